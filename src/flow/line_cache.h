/*
 * line_cache.h: what the names of lines came to, by their bytes, so that it is worked out once.
 *
 * Lines of a device differ in values and time only. The bytes "measurement,tags field=" at a line's
 * beginning (its head) find a shape: the fields that followed the last time, and for each the key,
 * hash and partition of its series. Equal bytes mean the same: what a head means depends on
 * nothing else but the tenant. One thread's; bounded by LINE_CACHE_BYTES_MAX.
 */
#ifndef WEIR_LINE_CACHE_H
#define WEIR_LINE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "span.h"

#define LINE_CACHE_BYTES_MAX (4u << 20) /* of shapes; the table has 256 KiB more */
#define LINE_CACHE_HEAD_BYTES_MAX 512   /* of longer heads nothing is kept */
#define LINE_CACHE_FIELDS_MAX 64

struct line_field {
	uint64_t key_hash;
	uint64_t run;        /* of the judge in which `series` was the series' number; 0: none */
	uint32_t series;
	uint32_t partition;
	uint32_t name_off, name_len; /* "name=", in the shape's bytes; of the first: in its head */
	uint32_t key_off, key_len;
};

struct line_shape {
	uint64_t hash;       /* of tenant and head */
	size_t bytes;        /* of this allocation */
	uint32_t head_len, tenant_len;
	uint32_t field_count;
	struct line_field fields[];
	/* then the head's bytes, the tenant's, and what the fields name */
};

struct line_cache;

int line_cache_create(struct line_cache **ret_cache); /* 0 or -ENOMEM */
void line_cache_destroy(struct line_cache *cache);    /* NULL ok */

/* The head at the beginning of `text` (one line or more); ptr NULL: it has none worth keeping. */
struct span line_cache_head(struct span text);

/* `seed` is the tenant's: line_cache_seed. */
uint64_t line_cache_seed(struct span tenant);
uint64_t line_cache_hash(uint64_t seed, struct span head);

/* The shape or NULL. Valid until the next line_cache_offer. */
struct line_shape *line_cache_find(struct line_cache *cache, uint64_t hash, struct span tenant,
    struct span head);

/* Bytes of a shape, behind its fields. */
static inline const char *
line_shape_bytes(const struct line_shape *shape)
{
	return (const char *)(shape->fields + shape->field_count);
}

struct line_offer {
	struct span name;    /* of the field, as it stands in the line */
	struct span key;
	uint64_t key_hash;
	uint32_t partition;
};

/* A line with this head had these fields. Kept when there is room, or when it was offered twice in
 * a row to the same full place; not kept when memory is out. */
void line_cache_offer(struct line_cache *cache, uint64_t hash, struct span tenant,
    struct span head, const struct line_offer *fields, size_t count);

#endif

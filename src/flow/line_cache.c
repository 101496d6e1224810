/*
 * line_cache.c: a table of sets of two places each, shapes allocated one by one.
 *
 * A full set gives a place up only to a head that comes twice without another between, so a flood
 * of heads that never repeat in time (a million series in turn) leaves what is here in peace and
 * costs no allocations.
 */
#include "line_cache.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "hash.h"

#define SETS 8192u /* a power of two */
#define WAYS 2u

/* 32 bytes: what is not here is known without a look at a shape. */
struct line_set {
	struct line_shape *shapes[WAYS];
	uint32_t tags[WAYS]; /* upper halves of the shapes' hashes */
	uint32_t candidate;  /* of the head that came last and found no place; 0: none */
};

struct line_cache {
	size_t bytes;        /* of all shapes */
	struct line_set *sets;
};

int
line_cache_create(struct line_cache **ret_cache)
{
	struct line_cache *cache = calloc(1, sizeof *cache);
	if (!cache)
		return -ENOMEM;
	*ret_cache = cache;
	return 0;
}

void
line_cache_destroy(struct line_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; cache->sets && i < SETS; i++)
		for (unsigned way = 0; way < WAYS; way++)
			free(cache->sets[i].shapes[way]);
	free(cache->sets);
	free(cache);
}

struct span
line_cache_head(struct span text)
{
	size_t max = MIN(text.len, (size_t)LINE_CACHE_HEAD_BYTES_MAX);
	if (max == 0)
		return span_of(NULL, 0);
	const char *space = memchr(text.ptr, ' ', max);
	size_t names = space ? (size_t)(space - text.ptr) : max;
	const char *equals = memchr(text.ptr + names, '=', max - names);
	return equals ? span_of(text.ptr, (size_t)(equals + 1 - text.ptr)) : span_of(NULL, 0);
}

uint64_t
line_cache_seed(struct span tenant)
{
	return hash64(tenant, 0);
}

uint64_t
line_cache_hash(uint64_t seed, struct span head)
{
	return hash64(head, seed);
}

static uint32_t
tag_of(uint64_t hash)
{
	return (uint32_t)(hash >> 32);
}

static bool
set_has(const struct line_set *set, unsigned way, uint64_t hash, struct span tenant,
    struct span head)
{
	const struct line_shape *shape = set->shapes[way];
	if (!shape || set->tags[way] != tag_of(hash) || shape->hash != hash)
		return false;
	const char *bytes = line_shape_bytes(shape);
	return span_eq(span_of(bytes, shape->head_len), head) &&
	    span_eq(span_of(bytes + shape->head_len, shape->tenant_len), tenant);
}

struct line_shape *
line_cache_find(struct line_cache *cache, uint64_t hash, struct span tenant, struct span head)
{
	if (!cache->sets)
		return NULL;
	const struct line_set *set = &cache->sets[hash % SETS];
	for (unsigned way = 0; way < WAYS; way++)
		if (set_has(set, way, hash, tenant, head))
			return set->shapes[way];
	return NULL;
}

static uint32_t
bytes_put(char *bytes, uint32_t *len, struct span text)
{
	uint32_t off = *len;
	memcpy(bytes + off, text.ptr, text.len);
	*len = off + (uint32_t)text.len;
	return off;
}

static struct line_shape *
shape_create(uint64_t hash, struct span tenant, struct span head, const struct line_offer *fields,
    size_t count)
{
	size_t size = sizeof(struct line_shape) + count * sizeof(struct line_field) + head.len +
	    tenant.len;
	for (size_t i = 0; i < count; i++)
		size += fields[i].name.len + 1 + fields[i].key.len;
	struct line_shape *shape = malloc(size);
	if (!shape)
		return NULL;
	*shape = (struct line_shape){
		.hash = hash,
		.bytes = size,
		.head_len = (uint32_t)head.len,
		.tenant_len = (uint32_t)tenant.len,
		.field_count = (uint32_t)count,
	};
	char *bytes = (char *)(shape->fields + count);
	uint32_t len = 0;
	bytes_put(bytes, &len, head);
	bytes_put(bytes, &len, tenant);
	for (size_t i = 0; i < count; i++) {
		struct line_field *field = &shape->fields[i];
		*field = (struct line_field){
			.key_hash = fields[i].key_hash,
			.partition = fields[i].partition,
			.name_len = (uint32_t)fields[i].name.len + 1,
			.key_len = (uint32_t)fields[i].key.len,
		};
		field->name_off = bytes_put(bytes, &len, fields[i].name);
		bytes_put(bytes, &len, SPAN("="));
		field->key_off = bytes_put(bytes, &len, fields[i].key);
	}
	return shape;
}

/* The place that the head may take: its own with other fields, a free one, or one that it has
 * asked for twice. WAYS: none. */
static unsigned
set_place(struct line_set *set, uint64_t hash, struct span tenant, struct span head)
{
	uint32_t candidate = tag_of(hash) | 1;
	for (unsigned way = 0; way < WAYS; way++)
		if (set_has(set, way, hash, tenant, head))
			return way;
	for (unsigned way = 0; way < WAYS; way++)
		if (!set->shapes[way])
			return way;
	if (set->candidate != candidate) {
		set->candidate = candidate;
		return WAYS;
	}
	set->candidate = 0;
	return (unsigned)(hash >> 63);
}

void
line_cache_offer(struct line_cache *cache, uint64_t hash, struct span tenant, struct span head,
    const struct line_offer *fields, size_t count)
{
	if (!cache->sets)
		cache->sets = calloc(SETS, sizeof cache->sets[0]);
	if (!cache->sets)
		return;
	struct line_set *set = &cache->sets[hash % SETS];
	unsigned way = set_place(set, hash, tenant, head);
	if (way == WAYS)
		return;
	if (set->shapes[way]) {
		cache->bytes -= set->shapes[way]->bytes;
		free(set->shapes[way]);
		set->shapes[way] = NULL;
	}
	struct line_shape *shape = shape_create(hash, tenant, head, fields, count);
	if (shape && cache->bytes + shape->bytes > LINE_CACHE_BYTES_MAX) {
		free(shape);
		shape = NULL;
	}
	if (!shape)
		return;
	cache->bytes += shape->bytes;
	set->shapes[way] = shape;
	set->tags[way] = tag_of(hash);
}

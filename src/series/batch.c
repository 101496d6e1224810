/*
 * batch.c: canonical keys, and the points of a record grouped by partition.
 *
 * Why an array per partition: the loops that own partitions read their points as one run, and the
 * batch must not change after it was built, so the grouping happens while points are added.
 * Invariants: points of a partition stand in the order of adding; keys live in one buffer and a
 * point names its key by offset, because the buffer moves while it grows.
 */
#include "batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "hash.h"

/* ── keys ── */

static int
batch_tag_order(const void *a, const void *b)
{
	return span_cmp(((const struct series_tag *)a)->name, ((const struct series_tag *)b)->name);
}

/* Insertion sort: tags are few and mostly sorted already. */
static void
batch_sort_tags(struct series_tag *tags, size_t count)
{
	if (count > 16) {
		qsort(tags, count, sizeof(*tags), batch_tag_order);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		struct series_tag tag = tags[i];
		size_t at = i;
		for (; at > 0 && span_cmp(tag.name, tags[at - 1].name) < 0; at--)
			tags[at] = tags[at - 1];
		tags[at] = tag;
	}
}

static char *
batch_put_text(char *at, const char *end, struct span text)
{
	if (text.len > UINT16_MAX || (size_t)(end - at) < 2 + text.len)
		return NULL;
	*at++ = (char)(text.len >> 8);
	*at++ = (char)text.len;
	if (text.len)
		memcpy(at, text.ptr, text.len);
	return at + text.len;
}

int
series_key_build(char *ret_key, size_t size, struct span tenant, struct span metric,
    struct series_tag *tags, size_t tag_count)
{
	if (tag_count > SERIES_TAGS_MAX)
		return -E2BIG;
	if (metric.len == 0)
		return -EINVAL;
	batch_sort_tags(tags, tag_count);
	const char *end = ret_key + MIN(size, (size_t)SERIES_KEY_BYTES_MAX);
	char *at = batch_put_text(ret_key, end, tenant);
	if (at)
		at = batch_put_text(at, end, metric);
	for (size_t i = 0; i < tag_count; i++) {
		if (tags[i].name.len == 0)
			return -EINVAL;
		if (i > 0 && span_eq(tags[i].name, tags[i - 1].name))
			return -EINVAL;
		if (at)
			at = batch_put_text(at, end, tags[i].name);
		if (at)
			at = batch_put_text(at, end, tags[i].value);
	}
	return at ? (int)(at - ret_key) : -E2BIG;
}

static bool
batch_take_text(struct span *key, struct span *ret_text)
{
	if (key->len < 2)
		return false;
	size_t len = (size_t)(uint8_t)key->ptr[0] << 8 | (uint8_t)key->ptr[1];
	if (key->len - 2 < len)
		return false;
	*ret_text = span_of(key->ptr + 2, len);
	*key = span_skip(*key, 2 + len);
	return true;
}

bool
series_key_split(struct span key, struct span *ret_tenant, struct span *ret_metric,
    struct series_tag *tags, size_t *tag_count)
{
	size_t count = 0;
	if (!batch_take_text(&key, ret_tenant) || !batch_take_text(&key, ret_metric))
		return false;
	while (key.len) {
		if (count == *tag_count)
			return false;
		if (!batch_take_text(&key, &tags[count].name) ||
		    !batch_take_text(&key, &tags[count].value))
			return false;
		count++;
	}
	*tag_count = count;
	return true;
}

uint64_t
series_key_hash(struct span key)
{
	return hash64(key, 0x5765697253657231u);
}

uint32_t
series_partition_of(struct span tenant, struct span device_or_key, uint32_t partitions)
{
	uint64_t seed = hash64(tenant, 0);
	return (uint32_t)((hash64(device_or_key, 0) ^ seed) % partitions);
}

/* ── batches ── */

struct batch_group {
	struct series_point *points;
	uint32_t count, cap;
};

struct series_batch {
	struct buf keys;
	size_t count;
	uint64_t last_hash;
	uint32_t last_off, last_len; /* the key of the point before; len 0: none */
	uint32_t partitions;
	struct batch_group groups[];
};

int
series_batch_create(uint32_t partitions, struct series_batch **ret_batch)
{
	struct series_batch *batch =
	    calloc(1, sizeof(*batch) + partitions * sizeof(batch->groups[0]));
	if (!batch)
		return -ENOMEM;
	batch->partitions = partitions;
	buf_init(&batch->keys, UINT32_MAX);
	*ret_batch = batch;
	return 0;
}

void
series_batch_destroy(struct series_batch *batch)
{
	if (!batch)
		return;
	for (uint32_t i = 0; i < batch->partitions; i++)
		free(batch->groups[i].points);
	buf_finish(&batch->keys);
	free(batch);
}

static int
batch_group_grow(struct batch_group *group)
{
	uint32_t cap = group->cap ? group->cap * 2 : 8;
	if (cap < group->cap)
		return -ENOMEM;
	struct series_point *points = realloc(group->points, cap * sizeof(*points));
	if (!points)
		return -ENOMEM;
	group->points = points;
	group->cap = cap;
	return 0;
}

static int
batch_take_key(struct series_batch *batch, uint64_t hash, struct span key)
{
	if (batch->last_len == key.len && batch->last_hash == hash && key.len &&
	    memcmp(batch->keys.ptr + batch->last_off, key.ptr, key.len) == 0)
		return 0;
	size_t off = batch->keys.len;
	if (buf_append_span(&batch->keys, key) != 0)
		return -ENOMEM;
	batch->last_off = (uint32_t)off;
	batch->last_len = (uint32_t)key.len;
	batch->last_hash = hash;
	return 0;
}

int
series_batch_add(struct series_batch *batch, uint32_t partition, uint64_t hash,
    struct span key, int64_t time_ms, double value)
{
	check(partition < batch->partitions);
	if (time_ms < -SERIES_TIME_MS_MAX || time_ms > SERIES_TIME_MS_MAX)
		return -ERANGE;
	struct batch_group *group = &batch->groups[partition];
	if (group->count == group->cap && batch_group_grow(group) != 0)
		return -ENOMEM;
	if (batch_take_key(batch, hash, key) != 0)
		return -ENOMEM;
	group->points[group->count++] = (struct series_point){
		.hash = hash,
		.key_off = batch->last_off,
		.key_len = batch->last_len,
		.time_ms = time_ms,
		.value = value,
	};
	batch->count++;
	return 0;
}

size_t
series_batch_count(const struct series_batch *batch)
{
	return batch->count;
}

const struct series_point *
series_batch_points(const struct series_batch *batch, uint32_t partition, size_t *ret_count)
{
	check(partition < batch->partitions);
	*ret_count = batch->groups[partition].count;
	return batch->groups[partition].points;
}

struct span
series_batch_key(const struct series_batch *batch, const struct series_point *point)
{
	return span_of(batch->keys.ptr + point->key_off, point->key_len);
}

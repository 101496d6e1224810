/*
 * batch.c: canonical keys, and the points of a record grouped by partition.
 *
 * Why an array per partition: the loops that own partitions read their points as one run, and the
 * batch must not change after it was built, so the grouping happens while points are added.
 * A point names its series by number: who applies a batch looks each series up once, not each
 * point.
 * Invariants: points of a partition stand in the order of adding; keys live in one buffer and a
 * series names its key by offset, because the buffer moves while it grows.
 */
#include "batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

struct batch_series {
	uint64_t hash;
	uint32_t key_off, key_len;
	uint32_t partition, slot;
};

struct batch_group {
	struct series_point *points;
	uint32_t *series;            /* numbers, by slot */
	uint32_t count, cap;
	uint32_t series_count, series_cap;
};

/* Most batches are small: what each array begins with lies in one allocation with the batch, in
 * room behind the groups. */
enum {
	ROOM_BYTES = 1024,
	FIRST_COUNT = 8,             /* elements that an array begins with */
	FIRST_KEY_BYTES = 512,
};

struct series_batch {
	char *keys;
	uint32_t keys_len, keys_cap;
	struct batch_series *series;
	uint32_t series_count, series_cap;
	size_t count;
	uint32_t partitions;
	uint32_t room_used;
	struct batch_group groups[];
};

int
series_batch_create(uint32_t partitions, struct series_batch **ret_batch)
{
	size_t bytes = sizeof(struct series_batch) + partitions * sizeof(struct batch_group);
	struct series_batch *batch = malloc(bytes + ROOM_BYTES);
	if (!batch)
		return -ENOMEM;
	memset(batch, 0, bytes);
	batch->partitions = partitions;
	*ret_batch = batch;
	return 0;
}

static inline char *
batch_room(const struct series_batch *batch)
{
	return (char *)(uintptr_t)(batch->groups + batch->partitions);
}

static inline bool
batch_is_within(const struct series_batch *batch, const void *array)
{
	uintptr_t room = (uintptr_t)batch_room(batch), at = (uintptr_t)array;
	return at >= room && at < room + ROOM_BYTES;
}

static void
batch_free(const struct series_batch *batch, void *array)
{
	if (array && !batch_is_within(batch, array))
		free(array);
}

void
series_batch_destroy(struct series_batch *batch)
{
	if (!batch)
		return;
	for (uint32_t i = 0; i < batch->partitions; i++) {
		batch_free(batch, batch->groups[i].points);
		batch_free(batch, batch->groups[i].series);
	}
	batch_free(batch, batch->series);
	batch_free(batch, batch->keys);
	free(batch);
}

/* The array of `used` bytes with `bytes` of room, elsewhere if need be. NULL: memory is out. */
static void *
batch_grow(struct series_batch *batch, void *array, size_t used, size_t bytes)
{
	if (!array && bytes <= ROOM_BYTES - batch->room_used) {
		array = batch_room(batch) + batch->room_used;
		batch->room_used += (uint32_t)((bytes + 7) & ~(size_t)7);
		return array;
	}
	if (!array || !batch_is_within(batch, array))
		return realloc(array, bytes);
	void *grown = malloc(bytes);
	if (grown)
		memcpy(grown, array, used);
	return grown;
}

/* The array with room for one more than `count`; NULL when memory is out. */
static inline void *
batch_array(struct series_batch *batch, void *array, uint32_t count, uint32_t *cap,
    size_t element_bytes)
{
	if (count < *cap)
		return array;
	uint32_t more = *cap ? *cap * 2 : FIRST_COUNT;
	void *grown = more < *cap ? NULL :
	    batch_grow(batch, array, count * element_bytes, more * element_bytes);
	if (grown)
		*cap = more;
	return grown;
}

/* 0 or -ENOMEM. */
static int
batch_keys_add(struct series_batch *batch, struct span key)
{
	if (key.len > batch->keys_cap - batch->keys_len) {
		uint64_t need = (uint64_t)batch->keys_len + key.len;
		uint64_t cap = MAX(MAX(need, (uint64_t)batch->keys_cap * 2),
		    (uint64_t)FIRST_KEY_BYTES);
		if (need > UINT32_MAX)
			return -ENOMEM;
		cap = MIN(cap, (uint64_t)UINT32_MAX);
		char *keys = batch_grow(batch, batch->keys, batch->keys_len, (size_t)cap);
		if (!keys)
			return -ENOMEM;
		batch->keys = keys;
		batch->keys_cap = (uint32_t)cap;
	}
	if (key.len)
		memcpy(batch->keys + batch->keys_len, key.ptr, key.len);
	batch->keys_len += (uint32_t)key.len;
	return 0;
}

int
series_batch_add_series(struct series_batch *batch, uint32_t partition, uint64_t hash,
    struct span key, uint32_t *ret_series)
{
	check(partition < batch->partitions);
	struct batch_group *group = &batch->groups[partition];
	void *series = batch_array(batch, batch->series, batch->series_count,
	    &batch->series_cap, sizeof(batch->series[0]));
	if (!series)
		return -ENOMEM;
	batch->series = series;
	void *numbers = batch_array(batch, group->series, group->series_count,
	    &group->series_cap, sizeof(group->series[0]));
	if (!numbers)
		return -ENOMEM;
	group->series = numbers;
	uint32_t off = batch->keys_len;
	if (batch_keys_add(batch, key))
		return -ENOMEM;
	uint32_t number = batch->series_count++;
	batch->series[number] = (struct batch_series){
		.hash = hash,
		.key_off = off,
		.key_len = (uint32_t)key.len,
		.partition = partition,
		.slot = group->series_count,
	};
	group->series[group->series_count++] = number;
	*ret_series = number;
	return 0;
}

int
series_batch_add_point(struct series_batch *batch, uint32_t series, int64_t time_ms,
    double value)
{
	check(series < batch->series_count);
	if (time_ms < -SERIES_TIME_MS_MAX || time_ms > SERIES_TIME_MS_MAX)
		return -ERANGE;
	const struct batch_series *of = &batch->series[series];
	struct batch_group *group = &batch->groups[of->partition];
	void *points = batch_array(batch, group->points, group->count, &group->cap,
	    sizeof(group->points[0]));
	if (!points)
		return -ENOMEM;
	group->points = points;
	group->points[group->count++] = (struct series_point){
		.time_ms = time_ms,
		.value = value,
		.series = series,
		.slot = of->slot,
	};
	batch->count++;
	return 0;
}

/* Whether the series that came last is this one. */
static bool
batch_is_last(const struct series_batch *batch, uint32_t partition, uint64_t hash, struct span key)
{
	if (batch->series_count == 0)
		return false;
	const struct batch_series *last = &batch->series[batch->series_count - 1];
	return last->hash == hash && last->partition == partition &&
	    span_eq(span_of(batch->keys + last->key_off, last->key_len), key);
}

int
series_batch_add(struct series_batch *batch, uint32_t partition, uint64_t hash,
    struct span key, int64_t time_ms, double value)
{
	if (time_ms < -SERIES_TIME_MS_MAX || time_ms > SERIES_TIME_MS_MAX)
		return -ERANGE;
	uint32_t series = batch->series_count - 1;
	if (!batch_is_last(batch, partition, hash, key) &&
	    series_batch_add_series(batch, partition, hash, key, &series) != 0)
		return -ENOMEM;
	return series_batch_add_point(batch, series, time_ms, value);
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

const uint32_t *
series_batch_series(const struct series_batch *batch, uint32_t partition, size_t *ret_count)
{
	check(partition < batch->partitions);
	*ret_count = batch->groups[partition].series_count;
	return batch->groups[partition].series;
}

struct span
series_batch_series_key(const struct series_batch *batch, uint32_t series)
{
	const struct batch_series *of = &batch->series[series];
	return span_of(batch->keys + of->key_off, of->key_len);
}

uint64_t
series_batch_series_hash(const struct series_batch *batch, uint32_t series)
{
	return batch->series[series].hash;
}

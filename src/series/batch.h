/*
 * batch.h: the points of one journal record, parsed once, grouped by partition.
 *
 * Built by the loop that took the record in (or by replay), then immutable and read by the loops
 * that own the partitions. Keys are canonical: see series_key_build.
 */
#ifndef WEIR_BATCH_H
#define WEIR_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

struct series_tag {
	struct span name, value;
};

#define SERIES_TAGS_MAX 64
#define SERIES_KEY_BYTES_MAX 65536

/* Times lie within ± this: exact as a JSON number, and differences never overflow. */
#define SERIES_TIME_MS_MAX (INT64_C(1) << 53)

/* Writes the canonical key of a series: tenant, metric, then the tags sorted by name, each with a
 * u16 length (high byte first) before its bytes, so that keys compare and split without escapes.
 * Sorts `tags` in place. The length, or -EINVAL (a tag twice, an empty name), -E2BIG (more than
 * SERIES_TAGS_MAX tags or longer than `size`). */
int series_key_build(char *ret_key, size_t size, struct span tenant, struct span metric,
    struct series_tag *tags, size_t tag_count);

/* Splits a key; spans lie in it. false when it is no key. *tag_count is the room in `tags` and
 * then the number of tags. */
bool series_key_split(struct span key, struct span *ret_tenant, struct span *ret_metric,
    struct series_tag *tags, size_t *tag_count);

/* Hash of a key: the same for ever, weir.db names series by it. */
uint64_t series_key_hash(struct span key);

/* The partition of a series: of its tag `device` when it has one, else of the whole key. Stable
 * for ever (it decides which file a point is in): XXH3 with seed 0, modulo partitions. */
uint32_t series_partition_of(struct span tenant, struct span device_or_key, uint32_t partitions);

struct series_point {
	int64_t time_ms;
	double value;
	uint32_t series;   /* its number in the batch */
	uint32_t slot;     /* the same among the series of its partition, from 0 */
};

struct series_batch;

int series_batch_create(uint32_t partitions, struct series_batch **ret_batch);
void series_batch_destroy(struct series_batch *batch); /* NULL ok; any thread, once */

/* Adds one point. The key is copied; giving the same key as for the point before costs nothing.
 * 0, -ENOMEM, or -ERANGE (a time beyond SERIES_TIME_MS_MAX: the judge's to refuse before). */
int series_batch_add(struct series_batch *batch, uint32_t partition, uint64_t hash,
    struct span key, int64_t time_ms, double value);

/* The same in two steps, for who remembers numbers: a series, to which at least one point must be
 * added (twice the same series does no harm but costs), and a point of it. As above. */
int series_batch_add_series(struct series_batch *batch, uint32_t partition, uint64_t hash,
    struct span key, uint32_t *ret_series);
int series_batch_add_point(struct series_batch *batch, uint32_t series, int64_t time_ms,
    double value);

size_t series_batch_count(const struct series_batch *batch);

/* The points of one partition in the order in which they were added. */
const struct series_point *series_batch_points(const struct series_batch *batch,
    uint32_t partition, size_t *ret_count);

/* Numbers of the series of one partition, by slot. */
const uint32_t *series_batch_series(const struct series_batch *batch, uint32_t partition,
    size_t *ret_count);

/* Of a series by its number in the batch. */
struct span series_batch_series_key(const struct series_batch *batch, uint32_t series);
uint64_t series_batch_series_hash(const struct series_batch *batch, uint32_t series);

static inline struct span
series_batch_key(const struct series_batch *batch, const struct series_point *point)
{
	return series_batch_series_key(batch, point->series);
}

#endif

/*
 * snapshot.c: what a query reads: keys, copies of the heads' points, references to parts.
 *
 * The owner copies and counts, nothing else; sorting and reading are the worker's (stream.c).
 * Invariant: a series' points of the frozen head stand before those of the head, so that in the
 * arrays, as everywhere, the later place wins.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "series_priv.h"

int
series_snapshot_keys(const struct series_snapshot *snapshot,
    int (*each)(void *ctx, struct span key), void *ctx)
{
	int error = 0;
	for (size_t i = 0; i < snapshot->count && !error; i++)
		error = each(ctx, snapshot->series[i].key);
	return error;
}

void
series_snapshot_unref(struct series_snapshot *snapshot)
{
	if (!snapshot || !refcount_down(&snapshot->refs))
		return;
	for (size_t i = 0; i < snapshot->part_count; i++)
		part_unref(snapshot->parts[i]);
	for (size_t i = 0; i < snapshot->roll_count; i++)
		part_unref(snapshot->rolls[i]);
	free(snapshot->parts);
	free(snapshot->rolled);
	free(snapshot->rolls);
	tombs_unref(snapshot->tombs);
	series_shelf_unref(snapshot->shelf);
	free(snapshot->series);
	free(snapshot->keys);
	free(snapshot->times_ms);
	free(snapshot->values);
	free(snapshot);
}

struct snapshot_heads {
	const struct head_series *of[2]; /* in the frozen head, in the head; or NULL */
};

static struct snapshot_heads
snapshot_heads(const struct series_partition *partition, uint32_t number)
{
	struct snapshot_heads heads = {{NULL, NULL}};
	if (partition->frozen && !partition_hides_frozen(partition, number))
		heads.of[0] = head_find(partition->frozen, &partition->roster, number);
	heads.of[1] = head_find(partition->head, &partition->roster, number);
	return heads;
}

static bool
snapshot_overlaps(const struct head_series *series, const struct series_snapshot *snapshot)
{
	return series && series->count && series->first_ms < snapshot->to_ms &&
	    series->last_ms >= snapshot->from_ms;
}

/* Room for all keys and all points that may lie in the range. */
static int
snapshot_reserve(struct series_snapshot *snapshot, const struct series_partition *partition,
    const uint32_t *numbers, size_t count)
{
	size_t points = 0, key_bytes = 0;
	for (size_t i = 0; i < count; i++) {
		struct snapshot_heads heads = snapshot_heads(partition, numbers[i]);
		key_bytes += roster_key(&partition->roster, numbers[i]).len;
		for (size_t k = 0; k < 2; k++)
			if (snapshot_overlaps(heads.of[k], snapshot))
				points += heads.of[k]->count;
	}
	snapshot->series = calloc(MAX(count, 1), sizeof(*snapshot->series));
	snapshot->keys = malloc(MAX(key_bytes, 1));
	snapshot->times_ms = malloc(MAX(points, 1) * sizeof(int64_t));
	snapshot->values = malloc(MAX(points, 1) * sizeof(double));
	if (!snapshot->series || !snapshot->keys || !snapshot->times_ms || !snapshot->values)
		return -ENOMEM;
	return 0;
}

static void
snapshot_copy(struct series_snapshot *snapshot, const struct series_partition *partition,
    const uint32_t *numbers, size_t count)
{
	size_t at = 0, key_at = 0;
	for (size_t i = 0; i < count; i++) {
		const struct roster_series *known = &partition->roster.series[numbers[i]];
		if (known->first_ms >= snapshot->to_ms || known->last_ms < snapshot->from_ms)
			continue;
		struct span key = roster_key(&partition->roster, numbers[i]);
		struct snapshot_heads heads = snapshot_heads(partition, numbers[i]);
		struct snapshot_series *series = &snapshot->series[snapshot->count++];
		memcpy(snapshot->keys + key_at, key.ptr, key.len);
		series->key = span_of(snapshot->keys + key_at, key.len);
		key_at += key.len;
		series->first_ms = known->first_ms;
		series->last_ms = known->last_ms;
		series->at = at;
		for (size_t k = 0; k < 2; k++)
			if (snapshot_overlaps(heads.of[k], snapshot))
				at += head_copy(heads.of[k],
				    MAX(snapshot->from_ms, partition->floor_ms),
				    snapshot->to_ms - 1, snapshot->times_ms + at,
				    snapshot->values + at);
		series->count = at - series->at;
	}
}

static bool
snapshot_wants(const struct series_snapshot *snapshot, const struct part *part)
{
	return part->info.time_first < snapshot->to_ms &&
	    part->info.time_last >= snapshot->from_ms;
}

static int
snapshot_take_parts(struct series_snapshot *snapshot, const struct series_partition *partition)
{
	snapshot->parts = malloc(MAX(partition->part_count, 1) * sizeof(struct part *));
	snapshot->rolled = malloc(MAX(partition->part_count, 1) * sizeof(uint32_t));
	snapshot->rolls = malloc(MAX(partition->roll_count, 1) * sizeof(struct part *));
	if (!snapshot->parts || !snapshot->rolled || !snapshot->rolls)
		return -ENOMEM;
	for (size_t i = 0; i < partition->part_count; i++) {
		struct part *part = partition->parts[i];
		if (!snapshot_wants(snapshot, part) || partition_is_gone(partition, part))
			continue;
		snapshot->rolled[snapshot->part_count] = part->info.rolled;
		snapshot->parts[snapshot->part_count++] = part_ref(part);
	}
	for (size_t i = 0; i < partition->roll_count; i++)
		if (snapshot_wants(snapshot, partition->rolls[i]))
			snapshot->rolls[snapshot->roll_count++] = part_ref(partition->rolls[i]);
	snapshot->roll_kinds = partition->roll_kinds;
	snapshot->tombs = tombs_ref(partition->tombs);
	snapshot->shelf = series_shelf_ref(partition->shelf);
	return 0;
}

int
series_partition_snapshot(struct series_partition *partition,
    const struct series_selector *selector, int64_t from_ms, int64_t to_ms, size_t series_max,
    struct series_snapshot **ret_snapshot)
{
	uint32_t *numbers;
	size_t count;
	int error = roster_select(&partition->roster, selector, series_max, &numbers, &count);
	if (error)
		return error;
	struct series_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	if (!snapshot) {
		free(numbers);
		return -ENOMEM;
	}
	refcount_init(&snapshot->refs);
	snapshot->from_ms = MAX(from_ms, -SERIES_TIME_MS_MAX);
	snapshot->to_ms = MIN(to_ms, SERIES_TIME_MS_MAX + 1);
	error = snapshot_reserve(snapshot, partition, numbers, count);
	if (error == 0) {
		snapshot_copy(snapshot, partition, numbers, count);
		error = snapshot_take_parts(snapshot, partition);
	}
	free(numbers);
	if (error) {
		series_snapshot_unref(snapshot);
		return error;
	}
	*ret_snapshot = snapshot;
	return 0;
}

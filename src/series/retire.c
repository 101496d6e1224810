/*
 * retire.c: retention: whole days of points, and files of roll-ups, are given up.
 *
 * The oldest first, and only while everything before goes too: so what is gone ends at one time,
 * the floor. Points of a day go when all roll-ups that are kept hold them (a damaged part never
 * gets there; it goes with its day). Rows and floor commit in one transaction, then the files are
 * unlinked. What is found below the floor afterwards (a point that was accepted just before and
 * lay in the head or in the journal) is not shown and not rolled up: a roll-up made anew from it
 * alone would be wrong.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "series_priv.h"

struct series_retire {
	uint32_t number;
	int64_t floor_ms;
	struct part **parts; /* referred to */
	size_t count;
};

void
series_partition_set_floor(struct series_partition *partition, int64_t floor_ms)
{
	partition->floor_ms = MAX(partition->floor_ms, floor_ms);
}

int64_t
series_partition_floor(const struct series_partition *partition)
{
	return partition->floor_ms;
}

/* ── choosing ── */

static bool
retire_is_clean(const struct series_partition *partition, const struct part *part)
{
	return part->damaged || !(partition->roll_kinds & ~part->info.rolled) ||
	    partition_is_gone(partition, part);
}

/* How many parts of points, from the first on, are of whole days that may go. */
static size_t
retire_count_points(const struct series_partition *partition, int64_t before_ms)
{
	size_t count = 0;
	for (size_t first = 0, end; first < partition->part_count; first = end) {
		int32_t day = partition->parts[first]->info.day;
		bool clean = true;
		for (end = first; end < partition->part_count &&
		     partition->parts[end]->info.day == day; end++)
			clean &= retire_is_clean(partition, partition->parts[end]);
		if (!clean || (day + 1) * PART_DAY_MS > before_ms)
			break;
		count = end;
	}
	return count;
}

static bool
retire_roll(const struct part *part, int64_t before_ms)
{
	int64_t days = part->info.day + part_days(part->info.rollup);
	return days * PART_DAY_MS <= before_ms;
}

struct series_retire *
series_partition_retire_begin(struct series_partition *partition, int64_t points_before_ms,
    int64_t rollups_before_ms)
{
	if (partition->retiring)
		return NULL;
	points_before_ms = MAX(points_before_ms, partition->floor_ms);
	size_t points = retire_count_points(partition, points_before_ms), count = points;
	for (size_t i = 0; i < partition->roll_count; i++)
		count += retire_roll(partition->rolls[i], rollups_before_ms);
	struct series_retire *retire = count ? calloc(1, sizeof(*retire)) : NULL;
	if (!retire)
		return NULL;
	retire->parts = calloc(count, sizeof(struct part *));
	if (!retire->parts) {
		free(retire);
		return NULL;
	}
	retire->number = partition->number;
	retire->floor_ms = partition->floor_ms;
	for (size_t i = 0; i < points; i++) {
		struct part *part = partition->parts[i];
		retire->floor_ms = MAX(retire->floor_ms, (part->info.day + 1) * PART_DAY_MS);
		retire->parts[retire->count++] = part_ref(part);
	}
	for (size_t i = 0; i < partition->roll_count; i++)
		if (retire_roll(partition->rolls[i], rollups_before_ms))
			retire->parts[retire->count++] = part_ref(partition->rolls[i]);
	partition->retiring = true;
	return retire;
}

int64_t
series_partition_bytes_before(const struct series_partition *partition, uint64_t bytes_max)
{
	uint64_t bytes = partition->part_bytes;
	int64_t before_ms = INT64_MIN;
	if (partition->part_count == 0)
		return before_ms;
	/* The newest day stays in any case. */
	int32_t newest = partition->parts[partition->part_count - 1]->info.day;
	for (size_t i = 0; i < partition->part_count && bytes > bytes_max; i++) {
		const struct store_part *info = &partition->parts[i]->info;
		if (info->day == newest)
			break;
		bytes -= info->bytes;
		before_ms = (info->day + 1) * PART_DAY_MS;
	}
	return before_ms;
}

int64_t
series_partition_rollup_bytes_before(const struct series_partition *partition, uint64_t bytes_max)
{
	uint64_t bytes = partition->roll_bytes;
	int64_t before_ms = INT64_MIN, least_ms;
	while (bytes > bytes_max) {
		/* The file that ends first of those that are left; the last of a kind stays. */
		uint64_t gone = 0;
		least_ms = INT64_MAX;
		for (size_t i = 0; i < partition->roll_count; i++) {
			const struct store_part *info = &partition->rolls[i]->info;
			int64_t end_ms = (info->day + part_days(info->rollup)) * PART_DAY_MS;
			bool last = i + 1 == partition->roll_count ||
			    partition->rolls[i + 1]->info.rollup != info->rollup;
			if (end_ms > before_ms && !last)
				least_ms = MIN(least_ms, end_ms);
		}
		if (least_ms == INT64_MAX)
			break;
		for (size_t i = 0; i < partition->roll_count; i++)
			if (retire_roll(partition->rolls[i], least_ms) &&
			    !retire_roll(partition->rolls[i], before_ms))
				gone += partition->rolls[i]->info.bytes;
		before_ms = least_ms;
		bytes -= MIN(gone, bytes);
	}
	return before_ms;
}

/* ── store's thread ── */

int
series_retire_commit(struct series_retire *retire, struct store_tx *tx)
{
	int error = 0;
	for (size_t i = 0; i < retire->count && error == 0; i++)
		error = store_part_remove(tx, retire->parts[i]->info.id);
	if (error == 0 && retire->floor_ms != INT64_MIN)
		error = store_cursor_put(tx, "floor", retire->number, (uint64_t)retire->floor_ms);
	return error;
}

/* ── owner ── */

void
series_partition_retired(struct series_partition *partition, struct series_retire *retire,
    int error)
{
	partition->retiring = false;
	for (size_t i = 0; i < retire->count; i++) {
		if (error == 0)
			partition_drop_part(partition, retire->parts[i]);
		part_unref(retire->parts[i]);
	}
	if (error == 0)
		partition->floor_ms = retire->floor_ms;
	free(retire->parts);
	free(retire);
}

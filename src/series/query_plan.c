/*
 * query_plan.c: which times of a series are answered from roll-ups, and which from points.
 *
 * From roll-ups: whole spans in the range whose points are all in parts that the roll-ups hold.
 * The largest span comes first, what it cannot answer is tried with the next, the rest are points:
 * the edges of the range, and what is dirty: touched by the head or by a part that is not rolled
 * up. A day of which no part is rolled up is dirty as a whole; of others each series' chunks tell
 * their times. A series begins and ends with its first and last point: there are no edges where a
 * range reaches beyond.
 * Invariant: the sink is called with ascending times that cover the range without overlap.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "query_priv.h"
#include "ranges.h"
#include "shelf.h"

#define POINTS_A_ROLLUP 8u /* what unpacking one takes */

/* Roll-ups of one kind. */
struct plan_level {
	enum rollup_kind kind;
	struct rollup_reader *reader;
	struct ranges days;        /* dirty for every series */
	struct ranges dirty;       /* for the present one */
	size_t *mixed;             /* parts not rolled up, of days that partly are */
	struct part_cursor **cursors; /* of these; NULL: not open */
	size_t mixed_count;
};

struct query_plan {
	const struct series_snapshot *snapshot;
	struct query_plan_sink sink;
	int64_t from_ms, to_ms;
	size_t at_once;            /* as in series_query */
	struct plan_level levels[ROLLUP_KINDS]; /* the largest first */
	size_t level_count;
	const struct snapshot_series *series; /* the present one */
	struct range pending;      /* points that were not asked for yet */
};

/* ── making ── */

static void
level_finish(struct plan_level *level, struct series_shelf *shelf)
{
	rollup_reader_destroy(level->reader);
	ranges_finish(&level->days);
	ranges_finish(&level->dirty);
	for (size_t i = 0; i < level->mixed_count && level->cursors; i++)
		shelf_put(shelf, level->cursors[i]);
	free(level->mixed);
	free(level->cursors);
}

/* The days of the snapshot's parts: dirty, clean, or to be asked series by series. */
static int
level_init_days(struct plan_level *level, const struct series_snapshot *snapshot)
{
	level->mixed = calloc(MAX(snapshot->part_count, 1), sizeof(*level->mixed));
	if (!level->mixed)
		return -ENOMEM;
	for (size_t first = 0, end; first < snapshot->part_count; first = end) {
		int32_t day = snapshot->parts[first]->info.day;
		size_t open = 0;
		for (end = first; end < snapshot->part_count &&
		     snapshot->parts[end]->info.day == day; end++)
			open += !(snapshot->rolled[end] & ROLLUP_BIT(level->kind));
		if (open == end - first && ranges_add(&level->days, day * PART_DAY_MS,
		    day * PART_DAY_MS, PART_DAY_MS) != 0)
			return -ENOMEM;
		for (size_t i = first; i < end && open < end - first; i++)
			if (!(snapshot->rolled[i] & ROLLUP_BIT(level->kind)))
				level->mixed[level->mixed_count++] = i;
	}
	level->cursors = calloc(MAX(level->mixed_count, 1), sizeof(struct part_cursor *));
	return level->cursors ? 0 : -ENOMEM;
}

static int
plan_add_level(struct query_plan *plan, enum rollup_kind kind)
{
	const struct series_snapshot *snapshot = plan->snapshot;
	size_t first = 0, end;
	while (first < snapshot->roll_count && snapshot->rolls[first]->info.rollup != kind)
		first++;
	for (end = first; end < snapshot->roll_count &&
	     snapshot->rolls[end]->info.rollup == kind; end++)
		;
	if (first == end)
		return 0;
	struct plan_level *level = &plan->levels[plan->level_count++];
	level->kind = kind;
	struct rollup_reader_settings settings = {
		.parts = snapshot->rolls + first,
		.part_count = end - first,
		.tombs = snapshot->tombs,
		.shelf = snapshot->shelf,
		.at_once = plan->at_once ? plan->at_once / POINTS_A_ROLLUP + 1 : 0,
		.damage = plan->sink.damage,
		.ctx = plan->sink.ctx,
	};
	int error = rollup_reader_create(&settings, &level->reader);
	return error ? error : level_init_days(level, snapshot);
}

int
query_plan_create(const struct series_snapshot *snapshot, const struct query_agg *agg,
    int64_t from_ms, int64_t to_ms, size_t at_once, const struct query_plan_sink *sink,
    struct query_plan **ret_plan)
{
	struct query_plan *plan = calloc(1, sizeof(*plan));
	if (!plan)
		return -ENOMEM;
	plan->snapshot = snapshot;
	plan->sink = *sink;
	plan->from_ms = from_ms;
	plan->to_ms = to_ms;
	plan->at_once = at_once;
	int error = 0;
	for (enum rollup_kind kind = ROLLUP_DAY; kind > ROLLUP_POINTS && error == 0; kind--)
		if (query_agg_takes_rollups(agg, rollup_span_ms(kind)))
			error = plan_add_level(plan, kind);
	if (error || plan->level_count == 0) {
		query_plan_destroy(plan);
		plan = NULL;
	}
	*ret_plan = plan;
	return error;
}

void
query_plan_destroy(struct query_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->level_count; i++)
		level_finish(&plan->levels[i], plan->snapshot->shelf);
	free(plan);
}

/* ── what is dirty ── */

/* The times of the series in one part that is not rolled up. */
static int
plan_add_chunks(struct query_plan *plan, struct plan_level *level, size_t at)
{
	struct part *part = plan->snapshot->parts[level->mixed[at]];
	struct part_cursor **cursor = &level->cursors[at];
	if (!*cursor && shelf_take(plan->snapshot->shelf, part, cursor) != 0)
		return -ENOMEM;
	part_cursor_set_reading(*cursor, plan->at_once == 0);
	struct span key = plan->series->key;
	int error = 0, got = part_cursor_seek(*cursor, key);
	while (got == 1 && error == 0 && span_eq(part_cursor_key(*cursor), key)) {
		const struct part_entry *entry = part_cursor_entry(*cursor);
		error = ranges_add(&level->dirty, entry->first_ms, entry->last_ms,
		    rollup_span_ms(level->kind));
		if (error == 0)
			got = part_cursor_next(*cursor);
	}
	/* What a damaged index hides may be anywhere in its day; the stream reports it. */
	if (error == 0 && got == -EBADMSG)
		return ranges_add(&level->dirty, part->info.day * PART_DAY_MS,
		    part->info.day * PART_DAY_MS, PART_DAY_MS);
	return error ? error : MIN(got, 0);
}

static int
plan_find_dirty(struct query_plan *plan, struct plan_level *level)
{
	const struct series_snapshot *snapshot = plan->snapshot;
	const int64_t *times_ms = snapshot->times_ms + plan->series->at;
	int64_t span_ms = rollup_span_ms(level->kind);
	int error = 0;
	level->dirty.count = 0;
	for (size_t i = 0; i < level->days.count && error == 0; i++)
		error = ranges_add(&level->dirty, level->days.of[i].from_ms,
		    level->days.of[i].to_ms - 1, span_ms);
	for (size_t i = 0; i < level->mixed_count && error == 0; i++)
		error = plan_add_chunks(plan, level, i);
	for (size_t i = 0; i < plan->series->count && error == 0; i++)
		error = ranges_add(&level->dirty, times_ms[i], times_ms[i], span_ms);
	ranges_sort(&level->dirty);
	return error;
}

/* ── running ── */

static int
plan_flush(struct query_plan *plan)
{
	struct range range = plan->pending;
	plan->pending.from_ms = plan->pending.to_ms;
	return range.from_ms < range.to_ms
	    ? plan->sink.points(plan->sink.ctx, range.from_ms, range.to_ms) : 0;
}

static int
plan_points(struct query_plan *plan, int64_t from_ms, int64_t to_ms)
{
	int error = 0;
	if (plan->pending.to_ms != from_ms) {
		error = plan_flush(plan);
		plan->pending.from_ms = from_ms;
	}
	plan->pending.to_ms = to_ms;
	return error;
}

static int plan_range(struct query_plan *plan, size_t at, int64_t from_ms, int64_t to_ms);

/* Roll-ups of the level for whole spans; what is damaged comes from the levels below. */
static int
plan_rollups(struct query_plan *plan, size_t at, int64_t from_ms, int64_t to_ms)
{
	struct plan_level *level = &plan->levels[at];
	int64_t file_ms = part_days(level->kind) * PART_DAY_MS;
	while (from_ms < to_ms) {
		int32_t day = rollup_file_day(level->kind, part_day_of(from_ms));
		int64_t end_ms = MIN(to_ms, day * PART_DAY_MS + file_ms);
		struct rollup_run run;
		int error = rollup_reader_read(level->reader, plan->series->key, day, &run);
		if (error)
			return error;
		size_t first = 0, last = run.count;
		while (first < run.count && run.rollups[first].start_ms < from_ms)
			first++;
		while (last > first && run.rollups[last - 1].start_ms >= end_ms)
			last--;
		if (run.damaged)
			error = plan_range(plan, at + 1, from_ms, end_ms);
		else if (first < last)
			error = plan_flush(plan);
		if (error == 0 && !run.damaged && first < last)
			error = plan->sink.rollups(plan->sink.ctx, run.rollups + first,
			    last - first, rollup_span_ms(level->kind));
		if (error)
			return error;
		from_ms = end_ms;
	}
	return 0;
}

/* [from, to) from the levels from `at` on. */
static int
plan_range(struct query_plan *plan, size_t at, int64_t from_ms, int64_t to_ms)
{
	if (from_ms >= to_ms)
		return 0;
	if (at == plan->level_count)
		return plan_points(plan, from_ms, to_ms);
	const struct plan_level *level = &plan->levels[at];
	int64_t span_ms = rollup_span_ms(level->kind);
	int64_t first_ms = cell_floor(from_ms + span_ms - 1, span_ms);
	int64_t last_ms = cell_floor(to_ms, span_ms);
	if (first_ms >= last_ms)
		return plan_range(plan, at + 1, from_ms, to_ms);
	int error = plan_range(plan, at + 1, from_ms, first_ms);
	int64_t done_ms = first_ms;
	for (size_t i = 0; i < level->dirty.count && error == 0 && done_ms < last_ms; i++) {
		struct range dirty = level->dirty.of[i];
		dirty.from_ms = MAX(dirty.from_ms, done_ms);
		dirty.to_ms = MIN(dirty.to_ms, last_ms);
		if (dirty.from_ms >= dirty.to_ms)
			continue;
		error = plan_rollups(plan, at, done_ms, dirty.from_ms);
		if (error == 0)
			error = plan_range(plan, at + 1, dirty.from_ms, dirty.to_ms);
		done_ms = dirty.to_ms;
	}
	if (error == 0)
		error = plan_rollups(plan, at, done_ms, last_ms);
	return error ? error : plan_range(plan, at + 1, last_ms, to_ms);
}

int
query_plan_run(struct query_plan *plan, const struct snapshot_series *series)
{
	int64_t day_ms = rollup_span_ms(ROLLUP_DAY);
	int64_t from_ms = plan->from_ms, to_ms = plan->to_ms;
	if (from_ms <= series->first_ms)
		from_ms = cell_floor(series->first_ms, day_ms);
	if (to_ms > series->last_ms)
		to_ms = cell_floor(series->last_ms, day_ms) + day_ms;
	int error = 0;
	plan->series = series;
	plan->pending = (struct range){from_ms, from_ms};
	for (size_t i = 0; i < plan->level_count && error == 0; i++)
		error = plan_find_dirty(plan, &plan->levels[i]);
	if (error == 0)
		error = plan_range(plan, 0, from_ms, to_ms);
	return error ? error : plan_flush(plan);
}

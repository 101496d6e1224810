/*
 * query.c: the series of all snapshots by key, each read through a stream of its snapshot.
 *
 * Snapshots are of different partitions, so a key is in one of them only; a small heap gives the
 * next one. A series without a row in the range is not told at all.
 */
#include "query.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "query_priv.h"
#include "series_priv.h"
#include "stream.h"

/* Finding a series takes as long as unpacking so many points. */
#define SERIES_COST 1000u

/* A snapshot on its way. */
struct query_source {
	struct series_reading *run;
	struct series_snapshot *snapshot;
	struct stream *stream;
	struct query_plan *plan; /* NULL: only points answer */
	size_t at; /* series */
};

struct series_reading {
	struct series_query query; /* its times within bounds */
	struct query_out out;
	struct query_agg *agg; /* NULL: raw */
	struct query_source *sources;
	size_t *heap;          /* those not at their end, by the key they are at */
	size_t count, live;
};

static struct span
query_key(const struct series_reading *run, size_t place)
{
	const struct query_source *source = &run->sources[run->heap[place]];
	return source->snapshot->series[source->at].key;
}

static void
query_sift(struct series_reading *run, size_t place)
{
	for (;;) {
		size_t least = place, child = 2 * place + 1;
		for (size_t i = child; i < child + 2 && i < run->live; i++)
			if (span_cmp(query_key(run, i), query_key(run, least)) < 0)
				least = i;
		if (least == place)
			return;
		size_t moved = run->heap[place];
		run->heap[place] = run->heap[least];
		run->heap[least] = moved;
		place = least;
	}
}

/* ── what is told ── */

int
query_out_rows(struct query_out *out, const struct series_rows *rows)
{
	if (!out->begun) {
		out->begun = true;
		int stop = out->sink->series_begin(out->ctx, out->key);
		if (stop)
			return stop;
	}
	return out->sink->rows(out->ctx, rows);
}

static void
query_damage(void *ctx, const struct series_damage *damage)
{
	struct series_reading *run = ctx;
	if (run->out.sink->damage)
		run->out.sink->damage(run->out.ctx, damage);
}

static bool
query_take(void *ctx, const struct part_entry *entry)
{
	struct series_reading *run = ctx;
	return run->agg && query_agg_takes(run->agg, entry);
}

/* ── one series ── */

static int
query_raw_piece(struct series_reading *run, const struct stream_piece *piece, uint64_t *told)
{
	uint64_t limit = run->out.query->limit;
	struct series_rows rows = {piece->count, piece->times_ms, piece->values, NULL};
	if (limit && rows.count > limit - *told)
		rows.count = limit - *told;
	*told += rows.count;
	return query_out_rows(&run->out, &rows);
}

static bool
query_full(const struct series_reading *run, uint64_t told)
{
	uint64_t limit = run->out.query->limit;
	return limit && (run->agg ? query_agg_full(run->agg) : told == limit);
}

/* The points of the series in the range that the stream was set to. */
static int
query_points(struct series_reading *run, struct query_source *source)
{
	const struct series_snapshot *snapshot = source->snapshot;
	const struct snapshot_series *series = &snapshot->series[source->at];
	struct stream_head head = {snapshot->times_ms + series->at, snapshot->values + series->at,
	    series->count};
	uint64_t told = 0;
	int error = stream_begin(source->stream, series->key, &head);
	struct stream_piece piece;
	while (error == 0 && (error = stream_next(source->stream, &piece)) == 1) {
		if (!run->agg)
			error = query_raw_piece(run, &piece, &told);
		else if (piece.count)
			error = query_agg_points(run->agg, piece.times_ms, piece.values,
			    piece.count);
		else
			error = query_agg_chunk(run->agg, piece.entry);
		if (query_full(run, told))
			break;
	}
	return error;
}

static int
query_plan_points(void *ctx, int64_t from_ms, int64_t to_ms)
{
	struct query_source *source = ctx;
	const struct series_query *query = source->run->out.query;
	if (query_full(source->run, 0))
		return 0;
	stream_set_range(source->stream, MAX(from_ms, query->from_ms),
	    MIN(to_ms, query->to_ms) - 1);
	return query_points(source->run, source);
}

static int
query_plan_rollups(void *ctx, const struct rollup *rollups, size_t count, int64_t span_ms)
{
	struct query_source *source = ctx;
	return query_agg_rollups(source->run->agg, rollups, count, span_ms);
}

static void
query_plan_damage(void *ctx, const struct series_damage *damage)
{
	query_damage(((struct query_source *)ctx)->run, damage);
}

static int
query_series(struct series_reading *run, struct query_source *source)
{
	const struct snapshot_series *series = &source->snapshot->series[source->at];
	run->out.key = series->key;
	run->out.begun = false;
	if (run->agg)
		query_agg_begin(run->agg);
	int error = source->plan ? query_plan_run(source->plan, series) :
				   query_points(run, source);
	if (error == 0 && run->agg)
		error = query_agg_end(run->agg);
	if (error == 0 && run->out.begun)
		error = run->out.sink->series_end(run->out.ctx);
	return error;
}

/* ── all ── */

/* The cells of the order of summation: by the minute when any partition keeps minutes. */
static int64_t
query_cell_ms(struct series_snapshot *const *snapshots, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (snapshots[i]->roll_kinds & SERIES_ROLLUP_MINUTES)
			return rollup_span_ms(ROLLUP_MINUTE);
	return rollup_span_ms(ROLLUP_HOUR);
}

static int
query_open_source(struct series_reading *run, struct query_source *source)
{
	const struct series_query *query = run->out.query;
	const struct series_snapshot *snapshot = source->snapshot;
	struct stream_settings settings = {
		.parts = snapshot->parts,
		.part_count = snapshot->part_count,
		.from_ms = MAX(query->from_ms, snapshot->from_ms),
		.to_ms = MIN(query->to_ms, snapshot->to_ms) - 1,
		.tombs = snapshot->tombs,
		.shelf = snapshot->shelf,
		.at_once = query->at_once,
		.take = query_take,
		.damage = query_damage,
		.ctx = run,
	};
	if (snapshot->count == 0 || settings.from_ms > settings.to_ms)
		return 0;
	int error = stream_create(&settings, &source->stream);
	if (error || !run->agg || query->points_only)
		return error;
	struct query_plan_sink sink = {
		.points = query_plan_points,
		.rollups = query_plan_rollups,
		.damage = query_plan_damage,
		.ctx = source,
	};
	return query_plan_create(snapshot, run->agg, settings.from_ms, settings.to_ms + 1,
	    query->at_once, &sink, &source->plan);
}

/* Whether it is small enough to be answered at once, as far as is known beforehand. */
static bool
query_is_small(const struct series_query *query, struct series_snapshot *const *snapshots,
    size_t count)
{
	size_t points = 0;
	for (size_t i = 0; i < query->agg_count; i++)
		if (query->aggs[i] == SERIES_P50 || query->aggs[i] == SERIES_P99)
			return false;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < snapshots[i]->count; k++)
			points += snapshots[i]->series[k].count + SERIES_COST;
	return points <= query->at_once;
}

static int
query_open(struct series_reading *run, struct series_snapshot *const *snapshots, size_t count)
{
	const struct series_query *query = run->out.query;
	run->sources = calloc(MAX(count, 1), sizeof(*run->sources));
	run->heap = calloc(MAX(count, 1), sizeof(*run->heap));
	if (!run->sources || !run->heap)
		return -ENOMEM;
	int error = query->agg_count || query->step_ms
	    ? query_agg_create(&run->out, query_cell_ms(snapshots, count), &run->agg) : 0;
	for (size_t i = 0; i < count && error == 0; i++) {
		run->sources[i].run = run;
		run->sources[i].snapshot = snapshots[i];
		run->count++;
		error = query_open_source(run, &run->sources[i]);
	}
	return error;
}

int
series_reading_create(const struct series_query *query, struct series_snapshot *const *snapshots,
    size_t count, const struct series_query_sink *sink, void *ctx,
    struct series_reading **ret_reading)
{
	if (query->at_once && !query_is_small(query, snapshots, count))
		return -EAGAIN;
	struct series_reading *run = calloc(1, sizeof(*run));
	if (!run)
		return -ENOMEM;
	run->query = *query;
	run->query.from_ms = MAX(query->from_ms, -SERIES_TIME_MS_MAX);
	run->query.to_ms = MIN(query->to_ms, SERIES_TIME_MS_MAX + 1);
	run->query.step_ms = MIN(query->step_ms, SERIES_TIME_MS_MAX);
	run->out = (struct query_out){.query = &run->query, .sink = sink, .ctx = ctx};
	int error = query_open(run, snapshots, count);
	if (error) {
		series_reading_destroy(run);
		return error;
	}
	*ret_reading = run;
	return 0;
}

void
series_reading_destroy(struct series_reading *run)
{
	if (!run)
		return;
	for (size_t i = 0; i < run->count; i++) {
		stream_destroy(run->sources[i].stream);
		query_plan_destroy(run->sources[i].plan);
	}
	query_agg_destroy(run->agg);
	free(run->sources);
	free(run->heap);
	free(run);
}

/* Every source to its first series that is not below `from`; into the heap, if it has one. */
static void
query_go_to(struct series_reading *run, struct span from)
{
	run->live = 0;
	for (size_t i = 0; i < run->count; i++) {
		struct query_source *source = &run->sources[i];
		const struct series_snapshot *snapshot = source->snapshot;
		size_t high = snapshot->count;
		source->at = 0;
		while (source->at < high) {
			size_t mid = (source->at + high) / 2;
			if (span_cmp(snapshot->series[mid].key, from) < 0)
				source->at = mid + 1;
			else
				high = mid;
		}
		if (source->stream && source->at < snapshot->count)
			run->heap[run->live++] = i;
	}
	for (size_t i = run->live; i-- > 0;)
		query_sift(run, i);
}

int
series_reading_run(struct series_reading *run, struct span from, struct span to)
{
	int error = 0;
	query_go_to(run, from);
	while (error == 0 && run->live && (!to.len || span_cmp(query_key(run, 0), to) < 0)) {
		struct query_source *source = &run->sources[run->heap[0]];
		error = query_series(run, source);
		if (++source->at == source->snapshot->count)
			run->heap[0] = run->heap[--run->live];
		query_sift(run, 0);
	}
	return error;
}

int
series_query_run(const struct series_query *query, struct series_snapshot *const *snapshots,
    size_t count, const struct series_query_sink *sink, void *ctx)
{
	struct series_reading *run;
	int error = series_reading_create(query, snapshots, count, sink, ctx, &run);
	if (error)
		return error;
	error = series_reading_run(run, SPAN(""), SPAN(""));
	series_reading_destroy(run);
	return error;
}

size_t
series_snapshots_cut(struct series_snapshot *const *snapshots, size_t count, struct span *ret_keys,
    size_t max)
{
	const struct series_snapshot *largest = NULL;
	for (size_t i = 0; i < count; i++)
		if (!largest || snapshots[i]->count > largest->count)
			largest = snapshots[i];
	size_t cuts = largest ? MIN(max, largest->count) : 0;
	for (size_t i = 0; i < cuts; i++)
		ret_keys[i] = largest->series[(i + 1) * largest->count / (cuts + 1)].key;
	return cuts;
}

size_t
series_snapshots_count(struct series_snapshot *const *snapshots, size_t count)
{
	size_t series = 0;
	for (size_t i = 0; i < count; i++)
		series += snapshots[i]->count;
	return series;
}

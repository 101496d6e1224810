/*
 * query.h: snapshots to points and aggregates, in order, streaming. Worker's side.
 *
 * The result is the series of all snapshots by key, each with its points ascending by time.
 * Bounded memory: a chunk of each part of a day at a time. NaN are counted, make avg and sum NaN,
 * and are left out of min, max and percentiles. Aggregates without a step: the whole range is one
 * bucket that begins at from_ms. A step without aggregates: avg.
 * Where buckets are made of whole hours or days, clean roll-ups answer instead of points: the same
 * bits, in the order of summation of cell.h. The edges of the range are answered from points.
 */
#ifndef WEIR_QUERY_H
#define WEIR_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "series.h"

enum series_agg {
	SERIES_AVG, SERIES_MIN, SERIES_MAX, SERIES_COUNT, SERIES_SUM, SERIES_FIRST, SERIES_LAST,
	SERIES_P50, SERIES_P99,
	SERIES_AGG_COUNT
};

enum series_fill { SERIES_FILL_NONE, SERIES_FILL_NULL, SERIES_FILL_PREVIOUS };

struct series_query {
	int64_t from_ms, to_ms;     /* inclusive, exclusive */
	int64_t step_ms;            /* 0: raw points */
	enum series_agg aggs[16];
	size_t agg_count;
	uint64_t limit;             /* rows per series; 0: none */
	enum series_fill fill;
	bool points_only;           /* not from roll-ups */
	size_t at_once;             /* not 0: a loop asks, which may not wait. -EAGAIN when a file
				would have to be read, or much more unpacked or sorted than so
				many points; what was told till then is to be forgotten */
};

/* What a query tells: series begins, its rows, its end. A row has one value (raw) or agg_count of
 * them; a filled bucket's values are NaN with `empty` true. A nonzero return stops the query and
 * is returned by series_query_run (a client that left: -ECANCELED). Rows come in blocks. */
struct series_rows {
	size_t count;
	const int64_t *times_ms;
	const double *values;   /* count × columns, row by row */
	const bool *empty;      /* count, or NULL: none is */
};

struct series_query_sink {
	int (*series_begin)(void *ctx, struct span key);
	int (*rows)(void *ctx, const struct series_rows *rows);
	int (*series_end)(void *ctx);
	void (*damage)(void *ctx, const struct series_damage *damage); /* a chunk was skipped */
};

/* Buckets start at multiples of the step since the epoch. 0, -ENOMEM, -EIO, -E2BIG
 * (percentiles of a bucket of more than 2^24 points), -EAGAIN (see at_once), or what a sink
 * function returned. Snapshots
 * stay the caller's. */
int series_query_run(const struct series_query *query, struct series_snapshot *const *snapshots,
    size_t count, const struct series_query_sink *sink, void *ctx);

/* ── the same in pieces, which several threads may share: each reads for itself ── */

struct series_reading;
/* The snapshots must stay while it lives. 0, -ENOMEM, -EAGAIN. */
int series_reading_create(const struct series_query *query,
    struct series_snapshot *const *snapshots, size_t count, const struct series_query_sink *sink,
    void *ctx, struct series_reading **ret_reading);
void series_reading_destroy(struct series_reading *reading); /* NULL ok */

/* The series with keys from `from` to before `to` (empty: all that follow); best ascending from
 * call to call. As series_query_run; what a sink function stopped may be run again. */
int series_reading_run(struct series_reading *reading, struct span from, struct span to);

/* Keys that cut the series of snapshots into pieces of about the same number: ascending, how many
 * there are, at most `max`. They live as long as the snapshots. */
size_t series_snapshots_cut(struct series_snapshot *const *snapshots, size_t count,
    struct span *ret_keys, size_t max);
size_t series_snapshots_count(struct series_snapshot *const *snapshots, size_t count); /* series */

#endif

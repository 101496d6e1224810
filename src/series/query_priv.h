/*
 * query_priv.h: what query.c and query_agg.c share.
 */
#ifndef WEIR_QUERY_PRIV_H
#define WEIR_QUERY_PRIV_H

#include "part.h"
#include "query.h"
#include "rollup.h"
#include "series_priv.h"

/* Where the rows of the present series go. */
struct query_out {
	const struct series_query *query;
	const struct series_query_sink *sink;
	void *ctx;
	struct span key;
	bool begun; /* series_begin was called */
};

int query_out_rows(struct query_out *out, const struct series_rows *rows);

struct query_agg;

/* `cell_ms` of the order of summation: see cell.h. 0, -ENOMEM. */
int query_agg_create(struct query_out *out, int64_t cell_ms, struct query_agg **ret_agg);
void query_agg_destroy(struct query_agg *agg); /* NULL ok */
void query_agg_begin(struct query_agg *agg);   /* a series */

/* Ascending, over all calls. 0, -ENOMEM, -E2BIG, or what the sink returned. */
int query_agg_points(struct query_agg *agg, const int64_t *times_ms, const double *values,
    size_t count);

/* Whether a chunk's summary is as good as its points; then query_agg_chunk takes it. */
bool query_agg_takes(const struct query_agg *agg, const struct part_entry *entry);
int query_agg_chunk(struct query_agg *agg, const struct part_entry *entry);

/* Whether buckets are made of whole spans of this length (and no points are needed). Then
 * query_agg_rollups takes such roll-ups, in their order among the points. */
bool query_agg_takes_rollups(const struct query_agg *agg, int64_t span_ms);
int query_agg_rollups(struct query_agg *agg, const struct rollup *rollups, size_t count,
    int64_t span_ms);

bool query_agg_full(const struct query_agg *agg); /* the limit of rows is reached */
int query_agg_end(struct query_agg *agg);

/* ── query_plan.c: which times of a series are answered from roll-ups ── */

struct query_plan;

struct query_plan_sink {
	/* Points of [from_ms, to_ms) are to be read. */
	int (*points)(void *ctx, int64_t from_ms, int64_t to_ms);
	int (*rollups)(void *ctx, const struct rollup *rollups, size_t count, int64_t span_ms);
	void (*damage)(void *ctx, const struct series_damage *damage);
	void *ctx;
};

/* NULL in *ret_plan: there is nothing in the snapshot that this query could be answered from but
 * points. 0, -ENOMEM. */
int query_plan_create(const struct series_snapshot *snapshot, const struct query_agg *agg,
    int64_t from_ms, int64_t to_ms, size_t at_once, const struct query_plan_sink *sink,
    struct query_plan **ret_plan);
void query_plan_destroy(struct query_plan *plan); /* NULL ok */

/* One series: calls the sink in the order of time. 0, -ENOMEM, -EIO, or what the sink returned. */
int query_plan_run(struct query_plan *plan, const struct snapshot_series *series);

#endif

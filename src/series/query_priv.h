/*
 * query_priv.h: what query.c and query_agg.c share.
 */
#ifndef WEIR_QUERY_PRIV_H
#define WEIR_QUERY_PRIV_H

#include "part.h"
#include "query.h"

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

int query_agg_create(struct query_out *out, struct query_agg **ret_agg); /* 0, -ENOMEM */
void query_agg_destroy(struct query_agg *agg); /* NULL ok */
void query_agg_begin(struct query_agg *agg);   /* a series */

/* Ascending, over all calls. 0, -ENOMEM, -E2BIG, or what the sink returned. */
int query_agg_points(struct query_agg *agg, const int64_t *times_ms, const double *values,
    size_t count);

/* Whether a chunk's summary is as good as its points; then query_agg_chunk takes it. */
bool query_agg_takes(const struct query_agg *agg, const struct part_entry *entry);
int query_agg_chunk(struct query_agg *agg, const struct part_entry *entry);

bool query_agg_full(const struct query_agg *agg); /* the limit of rows is reached */
int query_agg_end(struct query_agg *agg);

#endif

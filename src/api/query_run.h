/*
 * query_run.h: one question under way: what was asked, the snapshots it is answered from, and the
 * two forms of the answer.
 */
#ifndef WEIR_QUERY_RUN_H
#define WEIR_QUERY_RUN_H

#include "api_priv.h"
#include "query.h"
#include "pieces.h"
#include "stream.h"

struct question {
	struct stream *stream;
	struct api_selector selector;
	struct series_query query;
	struct flow_ask ask;
	struct series_snapshot *const *snapshots; /* what is answered from */
	size_t snapshot_count;
	struct pieces *pieces; /* NULL: it is made in one */
	bool csv;
	bool answered;        /* on the owner's loop; what is left is to send it */
};

/* stream_work.run: ctx is the question. */
int query_run_json(void *ctx, struct stream *stream);
int query_run_csv(void *ctx, struct stream *stream);

/* stream_work.help of both, where there are pieces. */
void query_run_help(void *ctx);

/* "avg" … "p99"; the words stand in the order of enum series_agg. */
extern const char *const query_agg_words[SERIES_AGG_COUNT];

#endif

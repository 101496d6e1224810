/*
 * events.h: fields of line protocol that are strings, out of journal records: they are no series,
 * but kept as long as raw messages are.
 */
#ifndef WEIR_EVENTS_H
#define WEIR_EVENTS_H

#include "buf.h"
#include "record.h"
#include "series.h"

struct flow_scope;
struct tombs;

/* One string: the metric is `measurement.field`. */
struct event {
	int64_t time_ms;
	struct span metric;
	const struct series_tag *tags;   /* as they stood in the line */
	size_t tag_count;
	struct span text;
};

/* Which ones are wanted; spans are the caller's. */
struct events_filter {
	struct span metric;              /* ptr NULL: all */
	const struct series_tag *tags;   /* each must be there */
	size_t tag_count;
	int64_t from_ms, to_ms;          /* to_ms exclusive */
	const struct flow_scope *scope;  /* NULL: all devices, and of none */
	const struct tombs *tombs;       /* what these hide is not wanted; NULL: nothing */
};

/* Gives each string of the record that was accepted and is wanted to each(); what it points to
 * lives during the call. A nonzero return ends it and is returned. 0, -ENOMEM. Any thread;
 * `scratch` is the caller's, reused. */
int events_each(const struct journal_record *record, const struct events_filter *filter,
    struct buf *scratch, int (*each)(void *ctx, const struct event *event), void *ctx);

#endif

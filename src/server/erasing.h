/*
 * erasing.h: what erased devices had reported goes out of the journal's files: when, and in which
 * order.
 *
 * A part of the periodic look (retention.h), which calls it. A pass is about all tombstones there
 * are when it begins: what lies before them becomes parts; spares are overwritten; the journal goes
 * on in a new segment; when everything in the full ones is in parts, one after the other is
 * rewritten. A crash at any point costs nothing: the next start begins a new pass, which leaves
 * alone what is done.
 */
#ifndef WEIR_ERASING_H
#define WEIR_ERASING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"
#include "journal.h"
#include "log.h"
#include "loop.h"

struct erasing;

struct erasing_options {
	struct log *log;
	struct journal *journal;
	struct loop *loop;            /* the first one, and its flow */
	struct flow_loop *flow;
	const atomic_bool *stopping;
};

/* 0 or -ENOMEM. As for retention_create. */
int erasing_create(const struct erasing_options *options, struct erasing **ret_erasing);
void erasing_destroy(struct erasing *erasing); /* NULL ok */

/* Passes begin at most every quarter of these hours. On the loop, as all but erasing_work. */
void erasing_set(struct erasing *erasing, uint64_t hours_max);

/* What must be in parts for it to go on; for the next look. 0: nothing. */
uint64_t erasing_flush_seq(const struct erasing *erasing);

/* All up to `cursor_seq` is in parts. */
void erasing_look(struct erasing *erasing, uint64_t cursor_seq);

/* A pass is under way: nothing else is sealed, and looks are wanted soon. */
bool erasing_active(const struct erasing *erasing);

/* Whether a worker is to call erasing_work, a piece that takes not too long; and then the loop
 * erasing_worked. */
bool erasing_wants_work(const struct erasing *erasing);
void erasing_work(struct erasing *erasing);
void erasing_worked(struct erasing *erasing);

#endif

/*
 * makers.h: who made which series, kept in weir.db, so that what a principal made still counts
 * after a restart: parts and heads do not say it.
 *
 * A row of two hashes for each series that was made while there was a limit. At start rows come
 * first, then what the journal makes again (a row may have been lost with the power, its record was
 * not), then all is settled: what is still there counts, the rows of what is gone go.
 */
#ifndef WEIR_MAKERS_H
#define WEIR_MAKERS_H

#include <stdint.h>

#include "store.h"

struct census;
struct makers;

/* 0 or -ENOMEM. */
int makers_create(struct store_writer *store, struct makers **ret_makers);

/* After the writer has stopped. NULL ok. */
void makers_destroy(struct makers *makers);

/* ── at start, one thread ── */

int makers_restore(struct makers *makers, uint64_t series, uint64_t maker); /* 0 or -ENOMEM */
int makers_replay(struct makers *makers, uint64_t series, uint64_t maker);  /* likewise */
int makers_settle(struct makers *makers, struct census *census);            /* likewise */

/* ── then, any thread ── */

/* A series was made. Without memory its row is missing after a restart. */
void makers_note(struct makers *makers, uint64_t series, uint64_t maker);

#endif

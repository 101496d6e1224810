/*
 * world.h: a node's flow with everything below it, real: loops on threads, committer, workers,
 * store, journal, in a directory of its own. The test's thread speaks to loops by mail and waits.
 */
#ifndef WEIR_TEST_FLOW_WORLD_H
#define WEIR_TEST_FLOW_WORLD_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "flow.h"

#define WORLD_LOOPS_MAX 2
#define WORLD_PARTITIONS 4

/* The real world with faults on order: between test and threads, all atomics. */
struct world_env {
	struct env env;
	struct env *real;
	atomic_bool journal_full;    /* writes to the journal fail with -ENOSPC */
	atomic_bool series_fail;     /* writes to parts fail with -EIO */
	atomic_bool journal_held;    /* writes to the journal wait */
	atomic_int_fast64_t back_ms; /* somebody has set the clock back by so much */
	atomic_int_fast64_t ahead_ms; /* both clocks are ahead by so much */
};

void world_env_init(struct world_env *env);

struct world_loop {
	struct loop *loop;
	struct mailbox *box;
	struct hub_local *hub;
	struct flow_loop *flow;
	pthread_t thread;
};

struct world {
	struct world_env env;
	char dir[64];
	unsigned loop_count;
	struct flow_options options;   /* the next opening's */
	struct store *store;
	struct store_writer *writer;
	struct journal *journal;
	struct workers *workers;
	struct flow *flow;
	struct world_loop loops[WORLD_LOOPS_MAX];
	char series_dir[96];
	atomic_uint warnings;
};

struct world *world_create(unsigned loops);
void world_destroy(struct world *world); /* removes its directory */

/* Opens what the directory holds, replays, starts. */
void world_open(struct world *world);

/* Ends the threads and closes. `flush`: stores all points first; else what a kill leaves. */
void world_close(struct world *world, bool flush);

/* Runs run(ctx) on a loop, between its other mail; waits for it. */
void world_call(struct world *world, unsigned loop, void (*run)(struct world_loop *loop, void *ctx),
    void *ctx);

/* Waits until the statistics satisfy `enough`, at most half a minute. */
void world_await(struct world *world, bool (*enough)(const struct flow_stats *stats));

struct flow_stats world_stats(struct world *world);

/* ── appending ── */

/* A ticket and what became of it. */
struct world_append {
	struct flow_ticket ticket;
	sem_t done;
	int error;
	uint64_t seq, count, rejected;
};

/* Judges lines of line protocol and makes the ticket's record. Times are of milliseconds. On the
 * loop. */
void world_append_init(struct world_loop *loop, struct world_append *append, const char *lines);

/* Appends on a loop and waits: what done() said, or flow_append. */
int world_append(struct world *world, unsigned loop, const char *lines);
int world_append_of(struct world *world, unsigned loop, const char *tenant, const char *lines);
int world_append_seq(struct world *world, unsigned loop, const char *lines, uint64_t *ret_seq);

/* By somebody else, some lines of which may be rejected: how many were. */
uint64_t world_append_by(struct world *world, unsigned loop, const char *principal,
    const char *lines);

/* ── asking ── */

/* All points as text, "metric{tags} time value" lines ascending, from snapshots of one metric
 * (NULL: all). The caller frees. */
char *world_points(struct world *world, unsigned loop, const char *metric);

/* What flow_ask says to a question for all series when so many may match. */
int world_ask_refused(struct world *world, unsigned loop, size_t series_max);

/* The newest of each series, likewise, in order of partition. */
char *world_latest(struct world *world, unsigned loop, const char *device);

/* Both, as somebody of this tenant is told who may only see these devices (blanks between). */
char *world_points_of(struct world *world, unsigned loop, const char *tenant, const char *devices);
char *world_latest_of(struct world *world, unsigned loop, const char *tenant, const char *devices);

#endif

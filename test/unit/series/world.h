/*
 * world.h: one partition with its store on a simulated disk, a journal in memory, and a naive
 * model of what the partition must hold. For the tests of this room.
 */
#ifndef WEIR_TEST_SERIES_WORLD_H
#define WEIR_TEST_SERIES_WORLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "query.h"
#include "series.h"
#include "store.h"

#define WORLD_DIR "/data"
#define WORLD_PARTS_DIR "/data/series"
#define WORLD_SERIES 7
#define WORLD_START_MS INT64_C(1700000000000)
#define WORLD_DAY_MS INT64_C(86400000)

struct world_point {
	int64_t time_ms;
	double value;
};

struct world_points {
	struct world_point *points; /* ascending, unique */
	size_t count, cap;
};

struct world_record {
	uint64_t seq;
	struct series_batch *batch;
};

struct world {
	struct env *env;
	struct store *store;
	struct series_partition *partition;
	_Atomic uint64_t next_id;
	uint64_t seq;
	struct world_record *records;
	size_t record_count, record_cap;
	struct world_points model[WORLD_SERIES];
	char keys[WORLD_SERIES][64];
	size_t key_lens[WORLD_SERIES];
	unsigned rollups;          /* which are kept; see series.h */
	size_t shelf_bytes;        /* queries have a shelf of that size; 0: none */
	size_t asked_at_once, answered_at_once; /* queries that may touch no file */
	int64_t floor_ms;          /* points before it are gone, their roll-ups are not */
	size_t doubted;            /* series of the last tombstone that failed, or WORLD_SERIES */
	uint64_t doubted_seq;
	size_t damages;            /* reported so far */
	struct series_damage damage; /* the last */
};

struct world *world_create(uint64_t seed);
void world_destroy(struct world *world);
uint64_t world_draw(struct world *world, uint64_t bound);
struct span world_key(const struct world *world, size_t series);

/* Opens store and partition, attaches, sweeps, replays. 0 or what failed. */
int world_open(struct world *world);
void world_close(struct world *world);

/* A record: begin, points, end (applies it). */
struct series_batch *world_begin(struct world *world);
void world_add(struct world *world, struct series_batch *batch, size_t series, int64_t time_ms,
    double value);
void world_end(struct world *world, struct series_batch *batch);

/* Freeze, run, commit, hand back: 0 also when there was nothing to do, else what failed. */
int world_flush(struct world *world);
int world_merge(struct world *world, bool compact); /* 1: merged, 0: nothing to do, -errno */
int world_roll(struct world *world, enum series_roll_when when); /* likewise */
int world_roll_before(struct world *world, int64_t before_ms);
int world_retire(struct world *world, int64_t before_ms); /* likewise; points only */

/* A tombstone for the device of a series, stored. 0 or what failed: then it may hold or not, which
 * the next world_open finds out. */
int world_erase(struct world *world, size_t series);
int world_rewrite(struct world *world); /* one step of rewriting; 1: there may be more, 0, -errno */
size_t world_tombstones(struct world *world); /* that are not done */

/* Everything the partition tells against the model; aggregates also from points only and at once,
 * and then every bit must be the same. */
void world_compare_raw(struct world *world, int64_t from_ms, int64_t to_ms, uint64_t limit);
void world_compare_query(struct world *world, const struct series_query *query);
void world_compare_latest(struct world *world);

/* Raw query of all: every point that is told must be the model's; how many were. */
size_t world_count_true_points(struct world *world);
size_t world_model_count(const struct world *world);

/* Rows of parts named in the store, ascending by day and seq; how many. */
size_t world_load_parts(struct world *world, struct store_part *parts, size_t room);

/* Only the partition, without replay: what parts alone hold. */
int world_reattach(struct world *world, const struct store_part *parts, size_t count);

#endif

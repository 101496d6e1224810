/*
 * series.h: time series of one partition: an in-memory head, immutable part files, one truth.
 *
 * A partition belongs to one loop. New points go to the head; a flush freezes the head, a worker
 * writes it into part files (one per UTC day), their manifest rows and the cursor commit in one
 * store transaction, then the partition drops the frozen head and reads the parts. A snapshot is
 * what a query reads: immutable, counted, any thread. In the same millisecond of a series the
 * point with the later seq wins; a point equal to what is there changes nothing.
 */
#ifndef WEIR_SERIES_H
#define WEIR_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch.h"
#include "env.h"
#include "span.h"
#include "store.h"

struct series_partition;
struct series_shelf;
struct series_snapshot;
struct series_flush;

struct series_damage {
	char file[64];
	uint64_t offset;
	char reason[64];
};

typedef void series_damage_fn(void *ctx, const struct series_damage *damage);

/* `dir` is DATA/series; made when missing. 0, -ENOMEM, -EIO. */
int series_partition_create(struct env *env, const char *dir, uint32_t number,
    struct series_partition **ret_partition);
void series_partition_destroy(struct series_partition *partition);

/* At start, ascending by day and seq: takes a part of the manifest in. -EBADMSG: the file's index
 * is damaged (reported; the part is not served), -ENOENT, -ENOMEM, -EIO. */
int series_partition_attach(struct series_partition *partition, const struct store_part *part,
    series_damage_fn *report, void *report_ctx);

/* What queries read of parts may be asked for again: index blocks and chunks, in memory, up to so
 * many bytes of all partitions that have this shelf. Any thread. 0, -ENOMEM. */
int series_shelf_create(size_t bytes_max, struct series_shelf **ret_shelf);
struct series_shelf *series_shelf_ref(struct series_shelf *shelf); /* NULL ok */
void series_shelf_unref(struct series_shelf *shelf);               /* NULL ok */

/* Once, before anybody asks; without it every query reads anew. */
void series_partition_set_shelf(struct series_partition *partition, struct series_shelf *shelf);

/* Deletes part files in `dir` that the manifest does not name (what a crash left behind). Once,
 * after every partition attached its parts; `known` ascending. *ret_next_id is above every id seen.
 * 0 or -EIO. */
int series_sweep(struct env *env, const char *dir, const uint64_t *known, size_t count,
    uint64_t *ret_next_id);

/* The seq up to which this partition's parts hold everything; set at start from the store. */
void series_partition_set_cursor(struct series_partition *partition, uint64_t seq);
uint64_t series_partition_cursor(const struct series_partition *partition);

/* Takes this partition's points of a released record. A record at or below the cursor, or below
 * one already applied, changes nothing. 0 or -ENOMEM (then nothing of it was applied). */
int series_partition_apply(struct series_partition *partition, const struct series_batch *batch,
    uint64_t seq, int64_t now_ms);

/* Records without points for this partition also move it on (cheap, no memory). */
void series_partition_advance(struct series_partition *partition, uint64_t seq);

struct series_partition_stats {
	uint64_t series, head_points, head_bytes, parts, part_points, part_bytes;
	uint64_t filling_bytes; /* of the head that takes points, none frozen */
	uint64_t roll_parts, roll_bytes; /* of roll-ups; not in the others */
	int64_t head_oldest_ms; /* arrival of the oldest point in the head; INT64_MAX: none */
};
void series_partition_stats(const struct series_partition *partition,
    struct series_partition_stats *ret_stats);

/* ── flushing ── */

/* Freezes the head (new points go to a new one). At most one flush at a time. NULL: nothing to
 * do or out of memory. `next_part_id` is shared by the node's partitions: ids are taken from it
 * with atomic adds, by series_flush_run. Without points a flush only moves the cursor. */
struct series_flush *series_partition_freeze(struct series_partition *partition,
    _Atomic uint64_t *next_part_id);

/* Worker: writes and syncs the part files. 0, -ENOSPC, -EIO, -ENOMEM. On failure its files are
 * gone again and it may be run once more. */
int series_flush_run(struct series_flush *flush);

/* Store's thread, inside a transaction: the manifest rows and cursor ("points", partition). */
int series_flush_commit(struct series_flush *flush, struct store_tx *tx);

/* Owner, after the transaction: error 0 puts the parts in the frozen head's place; else the frozen
 * head stays readable and the next freeze takes it again. Frees the flush. */
void series_partition_flushed(struct series_partition *partition, struct series_flush *flush,
    int error);

/* ── merging: small parts of a day into one; at most one merge at a time ── */
struct series_merge;
struct series_merge *series_partition_merge_begin(struct series_partition *partition,
    _Atomic uint64_t *next_part_id); /* NULL: nothing worth merging */
/* At the end of life: every day with more than one part is worth it. NULL: no such day. */
struct series_merge *series_partition_compact_begin(struct series_partition *partition,
    _Atomic uint64_t *next_part_id);
/* Worker. As series_flush_run; -EBADMSG: a part is damaged, it is not merged again. */
int series_merge_run(struct series_merge *merge);
int series_merge_commit(struct series_merge *merge, struct store_tx *tx);    /* store's thread */
void series_partition_merged(struct series_partition *partition, struct series_merge *merge,
    int error); /* owner; the old files are unlinked when the last snapshot lets them go */

/* ── roll-ups: count, sum, min, max, first, last of minutes, hours and UTC days ──
 *
 * Never adjusted, always made anew from points; see README.md for when, and cell.h for the order of
 * summation. A part of points knows which roll-ups hold all of it: that is committed together with
 * them, so what is dirty follows from the manifest. At most one such work at a time, not beside a
 * flush or merge. */
#define SERIES_ROLLUP_MINUTES 2u
#define SERIES_ROLLUP_HOURS 4u
#define SERIES_ROLLUP_DAYS 8u

/* Which are kept from now on; none until this is called. */
void series_partition_set_rollups(struct series_partition *partition, unsigned kinds);

enum series_roll_when {
	SERIES_ROLL_DUE,   /* where it pays: days that are over, the newest after some flushes */
	SERIES_ROLL_CLOSE, /* at the end of life: where it pays, the newest day, too */
};

struct series_roll;
struct series_roll *series_partition_roll_begin(struct series_partition *partition,
    _Atomic uint64_t *next_part_id, enum series_roll_when when); /* NULL: nothing to do */
/* Whether it pays or not: a day that ends at or before `before_ms`, so that it may be dropped. */
struct series_roll *series_partition_roll_before(struct series_partition *partition,
    _Atomic uint64_t *next_part_id, int64_t before_ms);
/* Worker. As series_merge_run. */
int series_roll_run(struct series_roll *roll);
int series_roll_commit(struct series_roll *roll, struct store_tx *tx); /* store's thread */
void series_partition_rolled(struct series_partition *partition, struct series_roll *roll,
    int error); /* owner */

/* ── retention: whole days of points, and files of roll-ups (an hour's: 32 days, a day's: 1,024),
 * oldest first. As a merge, but without a worker ── */

/* Points before it have gone: as committed under "floor" (store_cursor_get; 0: nothing has gone).
 * At start, before parts are attached. */
void series_partition_set_floor(struct series_partition *partition, int64_t floor_ms);

int64_t series_partition_floor(const struct series_partition *partition); /* INT64_MIN: none */

struct series_retire;
/* Days of points that end at or before `points_before_ms` and are rolled up (see
 * series_partition_roll_before), files of roll-ups likewise. NULL: none. */
struct series_retire *series_partition_retire_begin(struct series_partition *partition,
    int64_t points_before_ms, int64_t rollups_before_ms);
int series_retire_commit(struct series_retire *retire, struct store_tx *tx); /* store's thread */
void series_partition_retired(struct series_partition *partition, struct series_retire *retire,
    int error); /* owner; the files are unlinked when the last snapshot lets them go */

/* What must go so that no more than `bytes_max` of points, of roll-ups, stay: for retire_begin. The
 * newest day and the newest file of each kind stay. INT64_MIN: nothing. */
int64_t series_partition_bytes_before(const struct series_partition *partition,
    uint64_t bytes_max);
int64_t series_partition_rollup_bytes_before(const struct series_partition *partition,
    uint64_t bytes_max);

/* ── erasure: what a tombstone hides is not told from then on, and is rewritten out of the parts ──
 *
 * Hidden are the series with the tag `device` of that tenant: points of records up to `seq`,
 * roll-ups in parts made before `part_id` was taken. Their points live on that come later. */

/* Hides it at once. On the owner; at start too, before parts are attached, for those that are not
 * done or whose seq lies above the partition's cursor. 0 or -ENOMEM (nothing is changed). */
int series_partition_hide(struct series_partition *partition,
    const struct store_tombstone *tombstone);

struct series_erase;
struct tombs;
/* One part that holds something hidden is rewritten without it, as a merge is; when there is none
 * any more, the tombstones are done. NULL: nothing is hidden, or some of it is not in parts yet
 * (*ret_flush: then a flush comes first). Not beside a flush, merge or roll-up. */
struct series_erase *series_partition_erase_begin(struct series_partition *partition,
    _Atomic uint64_t *next_part_id, bool *ret_flush);
int series_erase_run(struct series_erase *erase); /* worker; as series_merge_run */
int series_erase_commit(struct series_erase *erase, struct store_tx *tx); /* store's thread */
/* What it is about; lives as long as the erase. */
struct tombs *series_erase_tombs(const struct series_erase *erase);
/* After a run with -EBADMSG: the number of a damaged part that cannot be rewritten while nothing
 * else is left to do; 0: there is more. */
uint64_t series_erase_stuck(const struct series_erase *erase);
/* Owner. True: all that was hidden has gone. */
bool series_partition_erased(struct series_partition *partition, struct series_erase *erase,
    int error);

/* ── asking ── */

/* A series matches when its tenant and metric are equal (an empty metric: any), each tag has the
 * value given, and its tag `device` is one of `devices`. The spans must live as long as the
 * call. */
struct series_selector {
	struct span tenant, metric;
	const struct series_tag *tags;
	size_t tag_count;
	const struct span *devices; /* ascending; NULL: any device, or none */
	size_t device_count;
};

/* Everything of the matching series in [from_ms, to_ms): the head's points copied, the parts
 * referred to. 0, -ENOMEM, -E2BIG (more than series_max series match). */
int series_partition_snapshot(struct series_partition *partition,
    const struct series_selector *selector, int64_t from_ms, int64_t to_ms, size_t series_max,
    struct series_snapshot **ret_snapshot);
/* The keys of its series, ascending; the spans live as long as the snapshot. Any thread. Stops at a
 * nonzero return and returns it. */
int series_snapshot_keys(const struct series_snapshot *snapshot,
    int (*each)(void *ctx, struct span key), void *ctx);
void series_snapshot_unref(struct series_snapshot *snapshot); /* any thread; NULL ok */

/* Every key it ever met since the start, in no order. On the owner. Stops at a nonzero return and
 * returns it. */
int series_partition_keys(const struct series_partition *partition,
    int (*each)(void *ctx, struct span key), void *ctx);

/* The matching series by key with the newest point of each; on the owner, from memory.
 * Spans are valid during the call. Stops at a nonzero return and returns it. */
struct series_latest {
	struct span key;
	int64_t first_ms, last_ms; /* of all its points */
	double last_value;
};
int series_partition_latest(struct series_partition *partition,
    const struct series_selector *selector,
    int (*each)(void *ctx, const struct series_latest *latest), void *ctx);

#endif

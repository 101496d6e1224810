/*
 * store.h: weir.db: registry, cursors, manifest of parts. SQLite, WAL, synchronous=FULL, on our
 * own VFS over os/, so that faults and the simulated disk reach it.
 *
 * A connection belongs to one thread. Work comes as units; store_run joins the waiting ones into
 * one transaction: an effect and the cursor it came from commit together or not at all. At start
 * everything is loaded by the thread that opened the store; then the writer thread owns it.
 */
#ifndef WEIR_STORE_H
#define WEIR_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "env.h"
#include "span.h"

struct store;
struct store_tx;

/* Opens or makes DIR/weir.db and migrates it (numbered, one transaction each). Everything that is
 * in it is on disk when this returns, also what a killed process wrote and did not sync.
 * 0, -ENOMEM, -EIO, -ENOSPC, -EPROTO (a newer version made it), -EUCLEAN (not a database),
 * -EWOULDBLOCK (it is open elsewhere), or why the file cannot be opened (-EACCES …). */
int store_open(struct env *env, const char *dir, struct store **ret_store);

/* As store_open; on failure `reason` (of `reason_size` bytes, > 0) gets a sentence for people. */
int store_open_explained(struct env *env, const char *dir, char *reason, size_t reason_size,
    struct store **ret_store);
void store_close(struct store *store); /* NULL ok; checkpoints */

/* A human sentence about the last failure of this store, valid until the next call. */
const char *store_error(const struct store *store);

struct store_unit {
	/* Does its part of the transaction; on the store's thread. A negative errno undoes this
	 * unit alone (a savepoint), the others go on. */
	int (*apply)(struct store_unit *unit, struct store_tx *tx);
	/* After commit (error 0) or failure; on the store's thread; owns the unit from here on. */
	void (*done)(struct store_unit *unit, int error);
	bool urgent;             /* do not gather */
	struct store_unit *next; /* the queue's */
	int error;               /* the store's */
};

/* For reading within a unit. */
struct store *store_tx_store(struct store_tx *tx);

/* Runs the list in one transaction, then calls every done() in order. The store's thread. Where the
 * disk fails within a unit the whole transaction is gone, and every unit that had not failed by
 * itself gets that error. */
void store_run(struct store *store, struct store_unit *units);

/* ── the writer thread ── */
struct store_writer;

/* The thread takes the store over until store_writer_stop. Units gather for at most `gather_ms`.
 * The queue has no limit of its own: who submits bounds what he has under way.
 * 0, -ENOMEM, -EAGAIN. */
int store_writer_start(struct store *store, unsigned gather_ms, struct store_writer **ret_writer);
/* Any thread, done() too. */
void store_writer_submit(struct store_writer *writer, struct store_unit *unit);
void store_writer_stop(struct store_writer *writer); /* runs what waits, joins; NULL ok */

/* ── meta: small values by name (secrets of the node, partition count, format) ── */
int store_meta_get(struct store *store, const char *name, char *ret_value, size_t size,
    size_t *ret_len); /* 0, -ENOENT, -ERANGE, -EIO */
int store_meta_put(struct store_tx *tx, const char *name, const void *value, size_t len);

/* ── cursors: how far a processor has come in a partition ── */
int store_cursor_put(struct store_tx *tx, const char *processor, uint32_t partition,
    uint64_t seq);
int store_cursor_get(struct store *store, const char *processor, uint32_t partition,
    uint64_t *ret_seq); /* 0 with seq 0 when there is none */

/* ── manifest of parts ── */
struct store_part {
	uint64_t id;             /* names the file; never reused */
	uint32_t partition;
	int32_t day;             /* UTC days since the epoch */
	uint32_t level;          /* 0 flushed, higher merged */
	uint64_t seq_first, seq_last; /* journal range it covers; orders parts of a day */
	int64_t time_first, time_last;
	uint64_t points, series, bytes;
	uint32_t rollup;         /* 0: points; else of which roll-ups it is (series room) */
	uint32_t rolled;         /* points: of which roll-ups hold all of it, a bit each */
};

int store_part_add(struct store_tx *tx, const struct store_part *part);
int store_part_remove(struct store_tx *tx, uint64_t id); /* 0 also when it is gone */
/* Which roll-ups hold all of a part, from now on. */
int store_part_set_rolled(struct store_tx *tx, uint64_t id, uint32_t rolled);
int store_parts_load(struct store *store, int (*each)(void *ctx, const struct store_part *part),
    void *ctx); /* by partition, day, seq_first */

/* ── tombstones: devices whose data is erased ── */
struct store_tombstone {
	struct span tenant, device;
	uint64_t seq;            /* records up to it are hidden */
	uint64_t part_id;        /* parts of roll-ups below it are hidden */
	int64_t created_ms;
	int64_t series_done_ms, journal_done_ms; /* 0: not yet rewritten */
	struct span series_failure, journal_failure; /* why not; empty: nothing failed */
};

/* A later one of the same device takes the place of the earlier one. */
int store_tombstone_put(struct store_tx *tx, const struct store_tombstone *tombstone);
/* When the series, the journal, no longer held what it hides. Of this seq, or nothing is done. */
int store_tombstone_series_done(struct store_tx *tx, struct span tenant, struct span device,
    uint64_t seq, int64_t now_ms);
int store_tombstone_journal_done(struct store_tx *tx, struct span tenant, struct span device,
    uint64_t seq, int64_t now_ms);
/* Likewise why it could not be rewritten; to be tried again. */
int store_tombstone_series_failed(struct store_tx *tx, struct span tenant, struct span device,
    uint64_t seq, struct span why);
int store_tombstone_journal_failed(struct store_tx *tx, struct span tenant, struct span device,
    uint64_t seq, struct span why);
int store_tombstones_load(struct store *store,
    int (*each)(void *ctx, const struct store_tombstone *tombstone), void *ctx);

/* ── durable channels; what was published on them is in the journal ── */
struct store_channel {
	uint64_t id;             /* never reused */
	struct span tenant, name;
	struct span meta;        /* JSON; empty: none */
	int64_t created_ms;
	int64_t ttl_ms;          /* 0: it stays */
	int64_t history_ms;
	uint64_t history_bytes;
	uint32_t history_messages;
	bool presence;           /* shows who is there */
	uint32_t slow;           /* what becomes of slow subscribers: the caller's number */
};

/* One of the same tenant and name that is there still takes its leave. */
int store_channel_add(struct store_tx *tx, const struct store_channel *channel);
int store_channel_set_ttl(struct store_tx *tx, uint64_t id, int64_t ttl_ms); /* -ENOENT */
int store_channel_remove(struct store_tx *tx, uint64_t id); /* 0 also when it is gone */
int store_channels_load(struct store *store,
    int (*each)(void *ctx, const struct store_channel *channel), void *ctx); /* by id */

/* ── who made a series, by the hashes of both (flow/makers.h); the first one counts ── */
int store_maker_add(struct store_tx *tx, uint64_t series, uint64_t maker);
int store_maker_remove(struct store_tx *tx, uint64_t series); /* 0 also when it is gone */
int store_makers_load(struct store *store,
    int (*each)(void *ctx, uint64_t series, uint64_t maker), void *ctx);

/* ── application keys (the rest of the registry: registry.h) ── */
struct store_key {
	uint64_t id;
	struct span tenant, name;
	struct span hash;        /* keyed BLAKE2b, 32 bytes */
	uint32_t rights;         /* access/access.h */
	struct span channels;    /* JSON array of patterns; empty: all */
	int64_t created_ms;
	uint64_t version;        /* rises with every change of the registry */
};

/* Assigns id and version. -EEXIST: the tenant has a key of this name. */
int store_key_add(struct store_tx *tx, const struct store_key *key, uint64_t *ret_id,
    uint64_t *ret_version);
int store_key_remove(struct store_tx *tx, struct span tenant, struct span name,
    uint64_t *ret_version); /* -ENOENT */

/* Other rights and channels for the key of this tenant and name; the rest stays. -ENOENT. */
int store_key_put(struct store_tx *tx, const struct store_key *key, uint64_t *ret_version);
int store_key_find(struct store *store, struct span tenant, struct span name,
    int (*each)(void *ctx, const struct store_key *key), void *ctx); /* -ENOENT */

/* Of one tenant, by name, those behind `after`, at most `limit`. */
int store_keys_list(struct store *store, struct span tenant, struct span after, unsigned limit,
    int (*each)(void *ctx, const struct store_key *key), void *ctx);
int store_keys_load(struct store *store, int (*each)(void *ctx, const struct store_key *key),
    void *ctx);

#endif

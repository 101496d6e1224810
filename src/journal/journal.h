/*
 * journal.h: the durable, replayable log of everything accepted. One per node.
 *
 * Segments of fixed size in DATA/journal, written over zeroed, really written blocks; a commit
 * begins a new 4 KiB block and ends with one sync. See docs/data-files.md for the bytes and
 * design.md "Journal" for the rules. The writer side belongs to one thread (the committer);
 * readers belong to their own threads and read only what the writer has acknowledged.
 */
#ifndef WEIR_JOURNAL_H
#define WEIR_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "env.h"
#include "record.h"

struct journal;
struct journal_reader;

enum journal_durability {
	JOURNAL_FSYNC, /* acknowledged after fdatasync */
	JOURNAL_OS,    /* acknowledged after write: survives kill -9, not a power cut */
	JOURNAL_NONE,  /* acknowledged before write */
};

struct journal_options {
	const char *dir;          /* made when missing */
	uint64_t segment_bytes;   /* multiple of 4096, >= 1 MiB; default 64 MiB */
	enum journal_durability durability;
	bool direct;              /* O_DIRECT where it works */
	bool read_only;           /* nothing on disk is changed, not even what a crash left: for
				   * looking at a journal, also one that another process writes.
				   * Only what reads may be called. -ENOENT without a directory */
};

#define JOURNAL_RECORD_BYTES_MAX (17u << 20) /* a 16 MiB body and its verdicts */

/* What recovery and readers met that was not as written. */
struct journal_damage {
	char segment[64];
	uint64_t offset;       /* byte in the segment file */
	uint64_t bytes;        /* how much was skipped */
	char reason[64];       /* "crc", "generation", "length" … */
};

typedef void journal_damage_fn(void *ctx, const struct journal_damage *damage);

/* Opens and recovers: finds the end, syncs what a crash left behind unsynced, reports a torn end
 * and damage to `report` (may be NULL). 0, -ENOMEM, -EIO, -ENOSPC, -EPROTO (made by a newer
 * version: feature bits unknown). */
int journal_open(struct env *env, const struct journal_options *options,
    journal_damage_fn *report, void *report_ctx, struct journal **ret_journal);
void journal_close(struct journal *journal); /* NULL ok; the writer must have stopped */

/* The smallest seq that was never handed out, as far as the journal tells. After journal_open. */
uint64_t journal_next_seq(const struct journal *journal);

/* Writes the records (ascending seq) as one commit and makes them durable. Committer's thread.
 * 0: all are, but for those above JOURNAL_RECORD_BYTES_MAX, whose error is -EMSGSIZE.
 * -ENOSPC: none is, the journal is as before and can be used when space returns.
 * Any other: storage failed twice (a failed sync was already retried into a new segment): the
 * process must exit. Sets each record's error. A failed record may be found after a crash, whole
 * and under its own seq, when the disk took nothing any more that would have voided it; so a seq
 * that was in a commit is never used again. */
int journal_commit(struct journal *journal, struct journal_record *const *records, size_t count);

/* Makes the next segment ready (zeroes it) when there is none: slow, for a worker; at most one
 * call at a time, beside commits. 0, -ENOSPC, -EIO. */
int journal_prepare(struct journal *journal);
bool journal_wants_prepare(const struct journal *journal); /* any thread */

/* Commits that would need a new segment, or let the last one grow, are answered -ENOSPC while
 * segments and spares would then take more than `bytes`; UINT64_MAX: no limit. Any thread. */
void journal_set_limit(struct journal *journal, uint64_t bytes);

/* ── sealing: a full segment becomes a packed file that is indexed by key, time and seq ── */

/* What one record is about: hashes of the caller's making, of which the lower half counts. A reader
 * that asks for one may get records of others, but all of this one. */
struct journal_keys {
	uint64_t *keys;
	size_t count, cap;
	bool unknown;          /* it may be about anything */
};

int journal_keys_add(struct journal_keys *keys, uint64_t key); /* 0 or -ENOMEM */

struct journal_seal_options {
	int64_t before_ms;     /* only segments in which nothing arrived from then on */
	/* Adds what the record is about. 0 or -ENOMEM. On the calling thread. */
	int (*keys)(void *ctx, const struct journal_record *record, struct journal_keys *keys);
	void *ctx;
	const atomic_bool *stop; /* once true the call ends with -ECANCELED; may be NULL */
};

/* Seals the oldest segment that is full and has not been. Readers go on beside it; the plain file
 * goes when the sealed one was written, synced, read back and named on disk, so a crash leaves
 * either. A damaged segment stays plain. 1: one was sealed, 0: there is none to seal. -ENOSPC,
 * -EIO, -ENOMEM, -EFBIG, -ECANCELED: everything is as before. Slow; for a worker. */
int journal_seal(struct journal *journal, const struct journal_seal_options *options);

/* ── erasing: what is in full segments is changed, and no file keeps what it was ── */

struct journal_erase_options {
	struct journal_seal_options seal; /* but for before_ms */
	uint64_t seq;                  /* records behind it stay as they are */
	uint64_t number_last;          /* and segments with a higher number; see journal_roll */
	/* Sealed segments that are about none of these keys stay as they are. Ascending by their
	 * lower halves. */
	const uint64_t *wanted;
	size_t wanted_count;
	/* What is to become of a record that is about `keys`. 1: *ret_record, which has the same
	 * seq, count, arrival and stream; it points to memory of ctx's, until the next call. 0: it
	 * stays. -ENOMEM. A record that came out of it once stays. */
	int (*edit)(void *ctx, const struct journal_record *record,
	    const struct journal_keys *keys, struct journal_record *ret_record);
};

/* Begins a new segment, so that all others are full, unless the last one is as new. On the
 * committer's thread. *ret_number: that of the last full one. 0, -ENOSPC, -EIO, -ENOMEM. */
int journal_roll(struct journal *journal, uint64_t *ret_number);

/* Rewrites the first segment behind *number that may hold something to be erased, and overwrites
 * its old file; a plain one is sealed. 1: it is done, *number is its. 0: there is none any more.
 * -EBADMSG: it is damaged and stays as it is, *number is its, *ret_damage says what. Else, as for
 * journal_seal: try again. */
int journal_erase(struct journal *journal, const struct journal_erase_options *options,
    uint64_t *number, struct journal_damage *ret_damage);

/* Overwrites spares that were segments, and files of segments that others stand for. 0; -EBADMSG:
 * there is a segment that cannot be read (*ret_damage), all else was done; -EIO. Slow; for a
 * worker. */
int journal_wipe(struct journal *journal, struct journal_damage *ret_damage);

/* Whether journal_trim overwrites the files that it gives up. Any thread. */
void journal_set_wipes(struct journal *journal, bool wipes);

/* Unlinks or recycles whole segments, oldest first, whose records all lie below `seq`. The one
 * written to stays. Any thread but the committer's: it waits for a seal or trim under way. */
int journal_trim(struct journal *journal, uint64_t seq);

struct journal_stats {
	uint64_t commits, records, bytes, syncs_failed, segments;
	uint64_t disk_bytes;   /* of segments and spares */
	uint64_t first_seq;    /* of the oldest record kept; 0 when empty */
	uint64_t durable_seq;  /* last seq (of the last record's range) that is durable */
	uint64_t sealed_segments, sealed_bytes;
	/* Since journal_open: */
	uint64_t trimmed;      /* segments */
	uint64_t seals, seal_plain_bytes, seal_bytes; /* sealed, and their size before and after */
	uint64_t rewrites;     /* of sealed segments, because something was erased */
};
void journal_stats(const struct journal *journal, struct journal_stats *ret_stats); /* any thread */

/* A segment as it is now. */
struct journal_segment_info {
	uint64_t number, records, disk_bytes;
	uint64_t first_seq, last_seq;          /* both 0 when it has no record */
	int64_t arrival_min_ms, arrival_max_ms;
	bool sealed;
	bool last;                             /* the one written to */
};

/* Calls each() for every segment by number; without a lock held. Stops at a nonzero return and
 * returns that; -ENOMEM. Any thread. */
int journal_each_segment(const struct journal *journal,
    int (*each)(void *ctx, const struct journal_segment_info *segment), void *ctx);

/* ── readers: any thread, each reader by one at a time ── */

/* Reads records with seq >= from_seq, ascending, up to what was durable when asked.
 * 0, -ENOMEM, -EIO. */
int journal_reader_open(struct journal *journal, uint64_t from_seq,
    struct journal_reader **ret_reader);
void journal_reader_close(struct journal_reader *reader);

/* 1: *ret_record is the next (parsed is NULL; its spans lie in the reader's memory and are valid
 * until the next call; do not ref). 0: nothing more for now. -EBADMSG: damage, described in
 * *ret_damage; the next call goes on behind it. -ENOMEM, -EIO. */
int journal_reader_next(struct journal_reader *reader, struct journal_record *ret_record,
    struct journal_damage *ret_damage);

/* Also the record whose range the first seq lies in. Before the first journal_reader_next. */
void journal_reader_within(struct journal_reader *reader);

/* Skips what holds only arrivals before `from_ms`. An aid, not a promise: other records may come,
 * too. */
void journal_reader_skip_to_time(struct journal_reader *reader, int64_t from_ms);

/* Likewise with what holds only arrivals from `to_ms` on. */
void journal_reader_skip_from_time(struct journal_reader *reader, int64_t to_ms);

/* Likewise with what is about none of these keys (see journal_seal); only sealed segments know.
 * Before the first journal_reader_next. 0 or -ENOMEM. */
int journal_reader_want(struct journal_reader *reader, const uint64_t *keys, size_t count);

struct journal_reader_stats {
	uint64_t plain_segments, sealed_segments; /* opened */
	uint64_t sealed_blocks;                   /* unpacked */
};
void journal_reader_stats(const struct journal_reader *reader,
    struct journal_reader_stats *ret_stats);

#endif

/*
 * journal_priv.h: the journal's own struct and the doors between its files.
 */
#ifndef WEIR_JOURNAL_PRIV_H
#define WEIR_JOURNAL_PRIV_H

#include <pthread.h>

#include "journal.h"
#include "journal_format.h"
#include "journal_frame.h"

#define JOURNAL_PATH_BYTES_MAX 4096u
#define JOURNAL_SPARES_MAX 2u /* files kept for use again */
#define JOURNAL_GONE ".gone"  /* behind the name of a file that is to be overwritten */

enum journal_spare {
	JOURNAL_SPARE_NONE,
	JOURNAL_SPARE_MAKING, /* journal_prepare is at it */
	JOURNAL_SPARE_READY,  /* really written, synced, segment_blocks long */
};

struct journal {
	struct env *env;
	char *dir;
	uint64_t segment_blocks;
	enum journal_durability durability;
	bool direct;
	bool read_only;

	/* The committer's. */
	struct env_file *file;    /* the last segment's; NULL: the next commit begins a new one */
	uint64_t capacity_blocks; /* what the last segment may grow to */
	bool growing;             /* its blocks were not written before */
	uint64_t number_last;     /* highest ever used, also by files that could not be finished */
	uint64_t commit_next;
	uint64_t next_seq;
	struct journal_frame frame;

	pthread_mutex_t chores;   /* held by whoever trims or seals */
	pthread_mutex_t lock;     /* guards what follows; taken last */
	bool locks_made;
	struct journal_segment *segments; /* by number; the last is the one written to */
	size_t segment_count, segment_cap;
	enum journal_spare spares[JOURNAL_SPARES_MAX];
	bool spare_clean[JOURNAL_SPARES_MAX]; /* zeroes, not an earlier use of the file */
	bool wipes;               /* what is given up is overwritten */
	uint64_t limit_bytes;     /* of disk_bytes */
	struct journal_stats counts; /* all but what the segments tell */
};

/* ── journal_segment.c: files ── */

/* "DIR/0000000000000007.seg", by edition ".sealed", ".sealed-2" …; false when it does not fit. */
bool journal_segment_path(const struct journal *journal, uint64_t number, uint32_t edition,
    char *ret_path);
void journal_segment_name(uint64_t number, uint32_t edition, char ret_name[64]);
bool journal_segment_parse_name(const char *name, uint64_t *ret_number, uint32_t *ret_edition);
bool journal_segment_spare_path(const struct journal *journal, unsigned slot, char *ret_path);

/* env_open, with ENV_DIRECT when `direct` and the file system can. */
int journal_segment_open_file(const struct journal *journal, const char *path, int flags,
    bool direct, struct env_file **ret_file);

/* Makes the next segment, from a spare if there is one and `blocks` fit, and makes it the one
 * written to. What the segment before holds is then final. 0 or -errno: nothing changed but
 * number_last. Committer. */
int journal_segment_create(struct journal *journal, uint64_t blocks, uint64_t first_seq);

/* Makes a commit of `blocks` that failed at the last segment's end unreadable, durably: 0; else it
 * may be found there after a crash. Committer. */
int journal_segment_void(struct journal *journal, uint64_t blocks);

/* Whether one more file of `blocks` is within the limit. */
bool journal_segment_may_grow(struct journal *journal, uint64_t blocks);

/* Whether the last segment's file, which grows, may take so many more. */
bool journal_segment_may_extend(struct journal *journal, uint64_t blocks);

bool journal_segment_has_spare(struct journal *journal);

/* Room for one more in journal->segments, besides the one that trimming may put back.
 * 0 or -ENOMEM. */
int journal_segment_reserve(struct journal *journal);

/* A copy of the segment written to; number 0: there is none. */
struct journal_segment journal_segment_last(struct journal *journal);

/* The index of the first segment with a number > `number`. Under the lock. */
size_t journal_segment_after(const struct journal *journal, uint64_t number);

/* Makes a plain segment's file a spare or deletes it, durably; before, it is overwritten when
 * `wipe`. With the chores held. */
int journal_segment_drop_plain(struct journal *journal, const struct journal_segment *segment,
    bool wipe);

/* Takes the name of a file that is not needed any more away, and the file: when `wipe` after it was
 * overwritten, even if a crash comes between. 0, -ENOENT, or another -errno. */
int journal_segment_discard(const struct journal *journal, const char *path, bool wipe);

/* Overwrites a file and unlinks it. 0, -ENOENT, or another -errno. */
int journal_segment_wipe(const struct journal *journal, const char *path);

/* Overwrites the spares that are not clean. With the chores held. 0 or -errno. */
int journal_segment_wipe_spares(struct journal *journal);

/* Takes one record into the bounds of its segment. */
void journal_segment_count_record(struct journal_segment *segment,
    const struct journal_record *record);

/* ── journal_recover.c ── */

/* Finds segments, spares and the end of what is durable. See journal_open. */
int journal_recover(struct journal *journal, journal_damage_fn *report, void *report_ctx);

#endif

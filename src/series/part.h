/*
 * part.h: an immutable file of the chunks of many series: one partition, one UTC day. Or of their
 * roll-ups: the days that part_days tells, chunks as rollup.h has them.
 *
 * The bytes are drawn in part_write.c. A `struct part` is the file's directory in memory: one
 * entry per block of some hundred chunks. It is counted and may be read by any thread; files are
 * opened by the thread that reads, for the time that it reads.
 */
#ifndef WEIR_PART_H
#define WEIR_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "env.h"
#include "list.h"
#include "series.h"
#include "span.h"
#include "store.h"
#include "thread.h"

#define PART_CHUNK_POINTS_MAX 16384u
#define PART_DAY_MS INT64_C(86400000)
#define PART_PATH_BYTES_MAX 4096u

/* Days of a file: of points and roll-ups of minutes, of hours, of days. See rollup.h. */
static inline int32_t
part_days(uint32_t rollup)
{
	return rollup == 3 ? 1024 : rollup == 2 ? 32 : 1;
}

/* The UTC day of a time, and its first millisecond. */
static inline int32_t
part_day_of(int64_t time_ms)
{
	return (int32_t)((time_ms - (time_ms % PART_DAY_MS + PART_DAY_MS) % PART_DAY_MS) /
	    PART_DAY_MS);
}

/* One chunk, as the index tells. */
struct part_entry {
	uint64_t offset;            /* in the file */
	uint32_t len;
	uint32_t count;             /* points */
	int64_t first_ms, last_ms;
	double last;
	bool summed;                /* the following are there (else decode) */
	double first, min, max, sum;
};

struct part_block {
	uint64_t data_offset, index_offset;
	uint32_t data_len, index_len, index_raw_len, index_crc, entries;
	uint32_t key_off, key_len;  /* first key, in part->keys */
};

/* What the shelf (shelf.h) keeps of a part. */
struct part_rest {
	struct list link;
	struct part_cursor *cursor; /* NULL: nothing */
	size_t bytes;
};

struct part {
	refcount refs;
	atomic_bool doomed;         /* unlink when the last one lets go */
	bool damaged;               /* the owner's mark: not to be merged */
	struct env *env;
	char *path;
	struct store_part info;
	struct part_block *blocks;
	size_t block_count;
	struct buf keys;
	uint64_t data_end;          /* where the chunks end */
	struct series_shelf *shelf; /* NULL: never was on one */
	struct part_rest rest;      /* the shelf's */
};

/* DIR/ID.part, `size` bytes. 0 or -ENAMETOOLONG. */
int part_path(char *ret_path, size_t size, const char *dir, uint64_t id);

/* Reads the directory. 0, -ENOENT, -EBADMSG (*ret_reason says why), -EPROTO, -ENOMEM, -EIO. */
int part_open(struct env *env, const char *dir, const struct store_part *info,
    struct part **ret_part, const char **ret_reason);
struct part *part_ref(struct part *part);
void part_unref(struct part *part); /* NULL ok; any thread */

/* ── reading ── */

/* A place in a part: opens the file when it is first read. One thread. */
struct part_cursor;

int part_cursor_create(struct part *part, struct part_cursor **ret_cursor); /* 0, -ENOMEM */
void part_cursor_destroy(struct part_cursor *cursor); /* NULL ok */

/* Whether it reads files. One that does not says -EAGAIN instead. True until told otherwise. */
void part_cursor_set_reading(struct part_cursor *cursor, bool reading);

/* Gives its part up, which *ret_part holds then, and its file; keeps what it has read, unless that
 * is much. The bytes it has. Until part_cursor_wake only part_cursor_destroy may follow. */
size_t part_cursor_rest(struct part_cursor *cursor, struct part **ret_part);
void part_cursor_wake(struct part_cursor *cursor, struct part *part); /* the same part */

/* Goes to the first entry whose key is `key` or above (an empty key: the first of all), best in
 * ascending order of calls. 1 there is one, 0 none, -EBADMSG (that block is damaged: see
 * part_cursor_damage; a further call goes on behind it), -ENOMEM, -EIO. */
int part_cursor_seek(struct part_cursor *cursor, struct span key);
int part_cursor_next(struct part_cursor *cursor); /* likewise */

/* Of the entry it stands on; valid until it moves. */
struct span part_cursor_key(const struct part_cursor *cursor);
const struct part_entry *part_cursor_entry(const struct part_cursor *cursor);

/* The bytes of a chunk, valid until the next call. 0, -EBADMSG (the file is shorter), -ENOMEM,
 * -EIO. */
int part_cursor_chunk(struct part_cursor *cursor, const struct part_entry *entry,
    struct span *ret_chunk);

/* Where the last -EBADMSG lay. */
uint64_t part_cursor_damage(const struct part_cursor *cursor);

void part_damage(struct series_damage *ret_damage, const struct part *part, uint64_t offset,
    const char *reason);

/* ── writing ── */

struct part_writer;

/* Makes the file. `info` is the future row; points, series, bytes and times are filled in. */
int part_writer_create(struct env *env, const char *dir, const struct store_part *info,
    struct part_writer **ret_writer); /* 0, -ENOMEM, -EIO, -ENOSPC … */

/* Points of the series from here on; keys ascend. 0 or -ENOMEM, -EIO, -ENOSPC. */
int part_writer_series(struct part_writer *writer, struct span key);

/* One chunk of the series: 1..PART_CHUNK_POINTS_MAX points behind those before. */
int part_writer_points(struct part_writer *writer, const int64_t *times_ms, const double *values,
    size_t count);

/* A chunk as it is in another part, or of roll-ups; of the entry all but its offset is used. */
int part_writer_copy(struct part_writer *writer, struct span chunk,
    const struct part_entry *entry);

bool part_writer_is_empty(const struct part_writer *writer); /* has it no chunk yet */

/* Index, footer, sync (the directory is the caller's to sync), and the part as it reads back. */
int part_writer_finish(struct part_writer *writer, struct part **ret_part);

/* Closes; removes the file unless it was finished. NULL ok. */
void part_writer_destroy(struct part_writer *writer);

#endif

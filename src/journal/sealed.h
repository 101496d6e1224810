/*
 * sealed.h: sealed segments: the records of a segment that is full, packed, with an index
 * by key (what the records are about: devices), time and seq.
 *
 * docs/data-files.md "Sealed segments" draws the bytes. A sealed file is written once, by one
 * thread, and then only read. Records are packed in runs: a run is one block, or several where one
 * record is larger than a block; it stands for itself.
 */
#ifndef WEIR_SEALED_H
#define WEIR_SEALED_H

#include "buf.h"
#include "env.h"
#include "journal.h"
#include "journal_format.h"

#define SEALED_BLOCK_BYTES (256u << 10) /* of a block, unpacked */
#define SEALED_HEADER_BYTES 64u
#define SEALED_BLOCKS_AT (SEALED_HEADER_BYTES + (uint64_t)JOURNAL_BLOCK_BYTES)
#define SEALED_FOOTER_BYTES 192u
#define SEALED_TABLE_BYTES_MAX (16u << 20)
#define SEALED_RUN_BYTES_MAX (JOURNAL_RECORD_BYTES_MAX + 1024u)

/* What the end of a sealed file says. */
struct sealed_footer {
	uint64_t pages_at;         /* where the blocks end and the pages of keys begin */
	uint64_t table_at;         /* where those end and the table begins, twice the same */
	uint64_t table_bytes, table_raw_bytes;
	uint64_t block_count, page_count, key_count;
	uint64_t plain_bytes;      /* of the segment before it was sealed */
	uint64_t commit_last;      /* no commit in it has a higher number */
	uint64_t next_seq;         /* no seq from here on had been handed out, as far as it tells */
	struct journal_segment segment;
	uint32_t table_crc;
};

/* ── bytes (sealed.c) ── */

void sealed_put_header(char *to, uint64_t number, uint64_t generation);
void sealed_put_footer(char *to, const struct sealed_footer *footer);

/* 0, -EBADMSG (not one, or damaged), -EPROTO (sound, of a version or with features unknown). */
int sealed_get_header(const char *from, uint64_t number);
int sealed_get_footer(const char *from, uint64_t number, struct sealed_footer *ret_footer);

uint64_t sealed_zigzag(int64_t value);
int64_t sealed_unzigzag(uint64_t value);
void sealed_put_varint(struct buf *to, uint64_t value);
void sealed_put_u32(struct buf *to, uint32_t value);

/* A place in bytes that may be anything: after a bad read `bad` is set and all reads give 0. */
struct sealed_cursor {
	const char *at, *end;
	bool bad;
};

uint64_t sealed_get_varint(struct sealed_cursor *cursor);
uint32_t sealed_get_u32(struct sealed_cursor *cursor);

/* ── writing (sealed_write.c) ── */

struct sealed_writer;

/* Makes the file at `path`, which must not be there. 0, -ENOMEM, -ENOSPC, -EIO. */
int sealed_writer_create(struct env *env, const char *path, struct sealed_writer **ret_writer);
void sealed_writer_destroy(struct sealed_writer *writer); /* NULL ok; the file stays */

/* One more record, seqs ascending, and what it is about. 0, -ENOMEM, -ENOSPC, -EIO. */
int sealed_writer_add(struct sealed_writer *writer, const struct journal_record *record,
    const struct journal_keys *keys);

/* Writes index and footer and syncs. `head` is the segment's head, a block as it was; `footer`
 * says what only the caller knows: segment, plain_bytes, commit_last, next_seq. 0, -ENOMEM,
 * -ENOSPC, -EIO, -EFBIG (the table would be too large). */
int sealed_writer_finish(struct sealed_writer *writer, const char *head,
    struct sealed_footer *footer, uint64_t *ret_file_bytes);

/* ── reading (sealed_read.c) ── */

struct sealed_reader;

/* Footer and head of the file at `path`. 0, -ENOENT, -EBADMSG with *ret_reason, -EPROTO, -ENOMEM,
 * -EIO. */
int sealed_read_footer(struct env *env, const char *path, uint64_t number,
    struct sealed_footer *ret_footer, struct journal_head *ret_head, const char **ret_reason);

/* As sealed_read_footer; stands before the first record. */
int sealed_reader_open(struct env *env, const char *path, uint64_t number,
    struct sealed_reader **ret_reader, const char **ret_reason);
void sealed_reader_close(struct sealed_reader *reader); /* NULL ok */

const struct sealed_footer *sealed_reader_footer(const struct sealed_reader *reader);

/* Runs with only seqs below, or only arrivals outside [from_ms, to_ms), are left out. */
void sealed_reader_from(struct sealed_reader *reader, uint64_t seq);
void sealed_reader_between(struct sealed_reader *reader, int64_t from_ms, int64_t to_ms);

/* Runs without any of these keys, ascending by their lower halves, are left out. 0; -EBADMSG: the
 * index is damaged there (*ret_damage) and nothing is left out for its sake; -ENOMEM, -EIO. */
int sealed_reader_want(struct sealed_reader *reader, const uint64_t *keys, size_t count,
    struct journal_damage *ret_damage);

/* Whether it may hold one of these keys: 1 or 0; else as sealed_reader_want. Nothing is left out
 * for their sake. */
int sealed_reader_has(struct sealed_reader *reader, const uint64_t *keys, size_t count,
    struct journal_damage *ret_damage);

/* The segment's head, JOURNAL_BLOCK_BYTES, as it was. 0, -EBADMSG, -ENOMEM, -EIO. */
int sealed_reader_head(struct sealed_reader *reader, char *ret_head);

/* As journal_scan_next. */
int sealed_reader_next(struct sealed_reader *reader, struct journal_record *ret_record,
    struct journal_damage *ret_damage);

/* Blocks unpacked so far. */
uint64_t sealed_reader_blocks(const struct sealed_reader *reader);

#endif

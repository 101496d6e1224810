/*
 * journal_format.h: the bytes of a segment file, made and read. Pure: no I/O, no allocation.
 *
 * docs/data-files.md "Journal" draws them. All numbers are little-endian. What these functions
 * read may be anything: each says whether it is what it should be and never reads further.
 */
#ifndef WEIR_JOURNAL_FORMAT_H
#define WEIR_JOURNAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"

#define JOURNAL_BLOCK_BYTES 4096u
#define JOURNAL_BLOCK_HEAD_BYTES 48u
#define JOURNAL_BLOCK_DATA_BYTES (JOURNAL_BLOCK_BYTES - JOURNAL_BLOCK_HEAD_BYTES)
#define JOURNAL_BLOCK_FIRST 2u /* blocks 0 and 1 hold the segment's head, twice the same */
#define JOURNAL_RECORD_HEAD_BYTES 64u
#define JOURNAL_RECORD_TAIL_BYTES 4u
#define JOURNAL_RECORD_ALIGN 8u

/* A segment, as memory and the head of the segment after it know it. */
struct journal_segment {
	uint64_t number;
	uint64_t generation;   /* random, new at each use of the file; never 0 */
	uint64_t end_block;    /* behind the last durable block */
	uint64_t torn_block;   /* 0, or: from here on a bad record is an unacknowledged one */
	uint64_t records;
	uint64_t first_seq;    /* of the first record; 0 when there is none */
	uint64_t last_seq;     /* the last seq of the last record */
	int64_t arrival_min_ms, arrival_max_ms;
	/* Not on disk. */
	uint64_t file_bytes;
	bool sealed;           /* its file is a sealed one: end_block, torn_block mean nothing */
	uint32_t edition;      /* 0: plain; 1: as it was sealed; more: rewritten */
	bool stays;            /* plain, damaged: it is not to be sealed */
	bool clean;            /* plain: behind its end are zeroes, no earlier use of the file */
};

/* What a segment's first two blocks say. */
struct journal_head {
	uint64_t number, generation;
	int64_t created_ms;
	uint64_t first_commit; /* its commits have at least this number */
	uint64_t first_seq;    /* of the record it was made for */
	uint64_t next_seq;     /* no seq from here on had been handed out, as far as is known */
	struct journal_segment before; /* number 0: there was none */
};

void journal_format_put_head(char *block, const struct journal_head *head);

/* 0, -EBADMSG (not a head, or damaged), -EPROTO (sound, of a version or with features unknown). */
int journal_format_get_head(const char *block, struct journal_head *ret_head);

/* What every block from JOURNAL_BLOCK_FIRST on begins with. */
struct journal_block {
	uint64_t generation;
	uint64_t commit;        /* rises over the life of the journal */
	uint64_t seq;           /* of the first record that begins here, else of the one going on */
	uint32_t commit_index;  /* this block's place in the commit */
	uint32_t commit_blocks; /* how many the commit has */
	uint32_t block;         /* this block's place in the segment */
	uint16_t first;         /* where in the block the first record begins; 0: none does */
	uint16_t used;          /* bytes of the block in use, head included */
};

void journal_format_put_block(char *block, const struct journal_block *head);
bool journal_format_get_block(const char *block, struct journal_block *ret_head);

/* Bytes of the record on disk, without padding to JOURNAL_RECORD_ALIGN; 0 when it is too large. */
size_t journal_format_record_bytes(const struct journal_record *record);

/* The fixed part; then follow rejects, tenant, principal, body, and the CRC of all (u32). */
void journal_format_put_record(char *to, uint64_t generation, const struct journal_record *record);

/* Whether `from` (JOURNAL_RECORD_HEAD_BYTES) is a sound head of a record of this generation. */
bool journal_format_get_record(const char *from, uint64_t generation, size_t *ret_bytes);

/* Whether the whole record's CRC is right. If so *ret_record's spans lie in `from`, which is
 * aligned to 4. */
bool journal_format_view_record(const char *from, size_t bytes, struct journal_record *ret_record);

void journal_format_put_u32(char *to, uint32_t value);
uint64_t journal_format_get_u64(const char *from);

#endif

/*
 * journal_scan.h: walks the records of one segment file, past whatever is damaged.
 *
 * Used by recovery and by readers. Reads only blocks before end_block, in chunks; what it has
 * verified is never older than its chunk. One thread. Does not own the file.
 */
#ifndef WEIR_JOURNAL_SCAN_H
#define WEIR_JOURNAL_SCAN_H

#include "env.h"
#include "journal.h"
#include "journal_format.h"

struct journal_scan {
	struct env_file *file;
	uint64_t generation;
	uint64_t block, end_block; /* where the next record begins or is to be looked for */
	uint32_t offset;           /* in that block; 0: at its first record */
	uint64_t commit;           /* of the newest block accepted: they rise */
	uint64_t verified_block;   /* `head` is this block's; 0: none */
	struct journal_block head;
	char *chunk;               /* aligned, chunk_cap blocks; NULL until used */
	size_t chunk_cap;
	uint64_t chunk_block;
	size_t chunk_count;        /* blocks in it that were there */
	char *joined;              /* a record that runs over blocks */
	size_t joined_cap;
};

/* Nothing is read or allocated yet. chunk_blocks: how much to read at a time. */
void journal_scan_init(struct journal_scan *scan, size_t chunk_blocks);
void journal_scan_finish(struct journal_scan *scan);

/* Begins with the first record that starts in `block` or later. */
void journal_scan_start(struct journal_scan *scan, struct env_file *file, uint64_t generation,
    uint64_t block, uint64_t end_block);

/* Moves the start forward, not behind the first record with seq >= `seq`. Seqs must rise over
 * the segment. 0, -ENOMEM, -EIO. */
int journal_scan_seek(struct journal_scan *scan, uint64_t seq);

/* The same, but not behind a record whose range has `seq` or ends behind it. */
int journal_scan_seek_within(struct journal_scan *scan, uint64_t seq);

/* 1: *ret_record, spans valid until the next call. 0: end_block reached. -EBADMSG: *ret_damage
 * (its segment name is left alone), the next call goes on behind it. -ENOMEM, -EIO: nothing
 * moved, the call may be repeated. */
int journal_scan_next(struct journal_scan *scan, struct journal_record *ret_record,
    struct journal_damage *ret_damage);

/* The bytes of a block before end_block; *ret_bytes is NULL when the file ends before it. Valid
 * until the next call on the scan. 0, -ENOMEM, -EIO. */
int journal_scan_block(struct journal_scan *scan, uint64_t block, const char **ret_bytes);

#endif

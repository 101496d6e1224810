/*
 * journal_frame.h: puts the records of one commit into blocks and writes them.
 *
 * The only copy of a body on its way to the disk: from the record into the aligned buffer, with
 * the CRC computed piece by piece on the way. A commit larger than the buffer leaves in several
 * writes. One thread.
 */
#ifndef WEIR_JOURNAL_FRAME_H
#define WEIR_JOURNAL_FRAME_H

#include "env.h"
#include "journal_format.h"

#define JOURNAL_FRAME_BLOCKS 256u /* 1 MiB: a commit of usual size is one write */

struct journal_frame {
	char *bytes;                /* aligned, JOURNAL_FRAME_BLOCKS blocks */
	struct env_file *file;      /* of the commit in hand */
	struct journal_block head;  /* of the block being filled */
	uint64_t seq;               /* of the record being put */
	size_t count;               /* full blocks in `bytes`, before the one being filled */
	size_t offset;              /* in the block being filled; 0: there is none */
};

/* 0 or -ENOMEM. */
int journal_frame_init(struct journal_frame *frame);
void journal_frame_finish(struct journal_frame *frame);

/* How many blocks a commit of `bytes` (each record padded to JOURNAL_RECORD_ALIGN) takes. */
uint64_t journal_frame_blocks(uint64_t bytes);

/* Writes the records whose error is 0 as commit `commit` of `blocks` blocks, from `block` on.
 * Does not sync. 0 or the write's error. */
int journal_frame_write(struct journal_frame *frame, struct env_file *file, uint64_t generation,
    uint64_t commit, uint64_t block, uint64_t blocks, struct journal_record *const *records,
    size_t count);

#endif

/*
 * journal_frame.c: puts the records of one commit into blocks and writes them.
 */
#include "journal_frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "hash.h"

int
journal_frame_init(struct journal_frame *frame)
{
	*frame = (struct journal_frame){.count = 0};
	frame->bytes = aligned_alloc(JOURNAL_BLOCK_BYTES,
	    (size_t)JOURNAL_FRAME_BLOCKS * JOURNAL_BLOCK_BYTES);
	return frame->bytes ? 0 : -ENOMEM;
}

void
journal_frame_finish(struct journal_frame *frame)
{
	free(frame->bytes);
	frame->bytes = NULL;
}

uint64_t
journal_frame_blocks(uint64_t bytes)
{
	return (bytes + JOURNAL_BLOCK_DATA_BYTES - 1) / JOURNAL_BLOCK_DATA_BYTES;
}

static int
frame_flush(struct journal_frame *frame)
{
	uint64_t block = frame->head.block - frame->count;
	size_t count = frame->count;
	frame->count = 0;
	if (count == 0)
		return 0;
	return env_pwrite(frame->file, frame->bytes, count * JOURNAL_BLOCK_BYTES,
	    block * JOURNAL_BLOCK_BYTES);
}

/* Finishes the block being filled. */
static int
frame_close_block(struct journal_frame *frame)
{
	char *block = frame->bytes + frame->count * JOURNAL_BLOCK_BYTES;
	frame->head.used = (uint16_t)frame->offset;
	journal_format_put_block(block, &frame->head);
	memset(block + frame->offset, 0, JOURNAL_BLOCK_BYTES - frame->offset);
	frame->offset = 0;
	frame->count++;
	frame->head.block++;
	frame->head.commit_index++;
	frame->head.first = 0;
	frame->head.seq = frame->seq;
	return frame->count == JOURNAL_FRAME_BLOCKS ? frame_flush(frame) : 0;
}

static int
frame_put(struct journal_frame *frame, const void *bytes, size_t len, uint32_t *crc)
{
	const char *from = bytes;
	while (len > 0) {
		if (frame->offset == 0)
			frame->offset = JOURNAL_BLOCK_HEAD_BYTES;
		char *to = frame->bytes + frame->count * JOURNAL_BLOCK_BYTES + frame->offset;
		size_t n = MIN(len, JOURNAL_BLOCK_BYTES - frame->offset);
		*crc = crc32c(*crc, from, n);
		memcpy(to, from, n);
		from += n;
		len -= n;
		frame->offset += n;
		if (frame->offset == JOURNAL_BLOCK_BYTES) {
			int r = frame_close_block(frame);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int
frame_put_record(struct journal_frame *frame, const struct journal_record *record)
{
	static const char zeros[JOURNAL_RECORD_ALIGN];
	char head[JOURNAL_RECORD_HEAD_BYTES], tail[JOURNAL_RECORD_TAIL_BYTES];
	size_t bytes = journal_format_record_bytes(record);
	size_t padding = -bytes & (JOURNAL_RECORD_ALIGN - 1);
	uint32_t crc = 0;
	frame->seq = record->seq;
	if (frame->head.first == 0) {
		size_t first = frame->offset ? frame->offset : JOURNAL_BLOCK_HEAD_BYTES;
		frame->head.first = (uint16_t)first;
		frame->head.seq = record->seq;
	}
	journal_format_put_record(head, frame->head.generation, record);
	int r = frame_put(frame, head, sizeof head, &crc);
	if (r == 0 && record->reject_count > 0)
		r = frame_put(frame, record->rejects,
		    (size_t)record->reject_count * sizeof record->rejects[0], &crc);
	if (r == 0)
		r = frame_put(frame, record->tenant.ptr, record->tenant.len, &crc);
	if (r == 0)
		r = frame_put(frame, record->principal.ptr, record->principal.len, &crc);
	if (r == 0)
		r = frame_put(frame, record->body.ptr, record->body.len, &crc);
	journal_format_put_u32(tail, crc);
	if (r == 0)
		r = frame_put(frame, tail, sizeof tail, &crc);
	if (r == 0)
		r = frame_put(frame, zeros, padding, &crc);
	return r;
}

int
journal_frame_write(struct journal_frame *frame, struct env_file *file, uint64_t generation,
    uint64_t commit, uint64_t block, uint64_t blocks, struct journal_record *const *records,
    size_t count)
{
	frame->file = file;
	frame->count = 0;
	frame->offset = 0;
	frame->head = (struct journal_block){
		.generation = generation,
		.commit = commit,
		.commit_blocks = (uint32_t)blocks,
		.block = (uint32_t)block,
	};
	for (size_t i = 0; i < count; i++) {
		if (records[i]->error)
			continue;
		int r = frame_put_record(frame, records[i]);
		if (r < 0)
			return r;
	}
	if (frame->offset != 0) {
		int r = frame_close_block(frame);
		if (r < 0)
			return r;
	}
	check(frame->head.commit_index == blocks);
	return frame_flush(frame);
}

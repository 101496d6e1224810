/*
 * journal_scan.c: walks the records of one segment file, past whatever is damaged.
 *
 * A bad record is skipped by its length when its fixed part is sound, else the rest of its block
 * is searched for the next fixed part, else the scan goes on at the next sound block in which a
 * record begins. Blocks of another generation, of another place, or of an older commit than the
 * one before are not sound: they are what an earlier use of the file left.
 *
 * Invariant: block and offset change only when a record or a damage is returned, so that a call
 * that failed for want of memory can be repeated.
 */
#include "journal_scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* A longer record's memory is given back at once: readers may be many. */
#define JOINED_KEPT_BYTES_MAX (1u << 20)

void
journal_scan_init(struct journal_scan *scan, size_t chunk_blocks)
{
	*scan = (struct journal_scan){.chunk_cap = chunk_blocks};
}

void
journal_scan_finish(struct journal_scan *scan)
{
	free(scan->chunk);
	free(scan->joined);
	*scan = (struct journal_scan){.chunk_cap = scan->chunk_cap};
}

void
journal_scan_start(struct journal_scan *scan, struct env_file *file, uint64_t generation,
    uint64_t block, uint64_t end_block)
{
	scan->file = file;
	scan->generation = generation;
	scan->block = block;
	scan->end_block = end_block;
	scan->offset = 0;
	scan->commit = 0;
	scan->verified_block = 0;
	scan->chunk_count = 0;
}

/* Makes the chunk begin with `block`, at most `count` blocks. */
static int
scan_load(struct journal_scan *scan, uint64_t block, size_t count)
{
	if (!scan->chunk) {
		size_t bytes = scan->chunk_cap * JOURNAL_BLOCK_BYTES;
		scan->chunk = aligned_alloc(JOURNAL_BLOCK_BYTES, bytes);
		if (!scan->chunk)
			return -ENOMEM;
	}
	count = MIN(count, scan->chunk_cap);
	if (count > scan->end_block - block)
		count = (size_t)(scan->end_block - block);
	scan->chunk_count = 0;
	ssize_t len = env_pread(scan->file, scan->chunk, count * JOURNAL_BLOCK_BYTES,
	    block * JOURNAL_BLOCK_BYTES);
	if (len < 0)
		return len == -ENOMEM ? -ENOMEM : -EIO;
	scan->chunk_block = block;
	scan->chunk_count = (size_t)len / JOURNAL_BLOCK_BYTES;
	return 0;
}

static int
scan_block(struct journal_scan *scan, uint64_t block, size_t count, const char **ret_bytes)
{
	if (block - scan->chunk_block >= scan->chunk_count) {
		int r = scan_load(scan, block, count);
		if (r < 0)
			return r;
	}
	*ret_bytes = scan->chunk_count == 0 ? NULL :
	    scan->chunk + (block - scan->chunk_block) * JOURNAL_BLOCK_BYTES;
	return 0;
}

int
journal_scan_block(struct journal_scan *scan, uint64_t block, const char **ret_bytes)
{
	return scan_block(scan, block, scan->chunk_cap, ret_bytes);
}

/* NULL when the block is sound and of this segment's use, else why not. */
static const char *
scan_judge(const struct journal_scan *scan, const char *bytes, uint64_t block,
    struct journal_block *ret_head)
{
	struct journal_block head;
	if (!bytes)
		return "missing";
	if (!journal_format_get_block(bytes, &head))
		return "block";
	if (head.generation != scan->generation)
		return "generation";
	if (head.block != block)
		return "place";
	if (head.commit < scan->commit)
		return "commit";
	*ret_head = head;
	return NULL;
}

/* Verifies block and makes it scan->head. 0, -EBADMSG with *ret_reason, or an error. */
static int
scan_verify(struct journal_scan *scan, uint64_t block, const char **ret_bytes,
    const char **ret_reason)
{
	int r = journal_scan_block(scan, block, ret_bytes);
	if (r < 0 || scan->verified_block == block)
		return r;
	*ret_reason = scan_judge(scan, *ret_bytes, block, &scan->head);
	if (*ret_reason) {
		scan->verified_block = 0;
		return -EBADMSG;
	}
	scan->verified_block = block;
	scan->commit = scan->head.commit;
	return 0;
}

/* Goes on at the first sound block from `block` on in which a record begins, and reports what is
 * skipped. */
static int
scan_skip(struct journal_scan *scan, uint64_t block, const char *reason,
    struct journal_damage *ret_damage)
{
	uint64_t from = scan->block * JOURNAL_BLOCK_BYTES + scan->offset;
	struct journal_block head = {.first = 0};
	for (; block < scan->end_block; block++) {
		const char *bytes;
		int r = journal_scan_block(scan, block, &bytes);
		if (r < 0)
			return r;
		if (!scan_judge(scan, bytes, block, &head) && head.first != 0)
			break;
	}
	if (block >= scan->end_block)
		head.first = 0;
	scan->block = block;
	scan->offset = 0;
	scan->verified_block = 0;
	ret_damage->offset = from;
	ret_damage->bytes = block * JOURNAL_BLOCK_BYTES + head.first - from;
	snprintf(ret_damage->reason, sizeof ret_damage->reason, "%s", reason);
	return -EBADMSG;
}

/* The fixed part of the record at scan->offset is bad: looks for the next one in this block. */
static int
scan_skip_head(struct journal_scan *scan, const char *bytes, struct journal_damage *ret_damage)
{
	uint32_t at = scan->offset + JOURNAL_RECORD_ALIGN;
	for (; at + JOURNAL_RECORD_HEAD_BYTES <= scan->head.used; at += JOURNAL_RECORD_ALIGN) {
		size_t unused;
		if (!journal_format_get_record(bytes + at, scan->generation, &unused))
			continue;
		ret_damage->offset = scan->block * JOURNAL_BLOCK_BYTES + scan->offset;
		ret_damage->bytes = at - scan->offset;
		snprintf(ret_damage->reason, sizeof ret_damage->reason, "record");
		scan->offset = at;
		return -EBADMSG;
	}
	return scan_skip(scan, scan->block + 1, "record", ret_damage);
}

/* A place in the segment while a record is put together. */
struct cursor {
	uint64_t block;
	uint32_t offset;
	size_t have; /* bytes of the record in scan->joined */
};

static int
scan_joined_grow(struct journal_scan *scan, size_t bytes)
{
	if (bytes <= scan->joined_cap)
		return 0;
	char *joined = realloc(scan->joined, bytes);
	if (!joined)
		return -ENOMEM;
	scan->joined = joined;
	scan->joined_cap = bytes;
	return 0;
}

/* Appends payload from *at on to scan->joined until it holds `want` bytes. -EBADMSG: the block
 * at->block is not the record's next, for *ret_reason. */
static int
scan_join(struct journal_scan *scan, struct cursor *at, size_t want, const char **ret_reason)
{
	int r = scan_joined_grow(scan, want);
	if (r < 0)
		return r;
	while (at->have < want) {
		struct journal_block last = scan->head;
		const char *bytes;
		if (at->offset == last.used) {
			at->block++;
			at->offset = JOURNAL_BLOCK_HEAD_BYTES;
			*ret_reason = "length";
			if (at->block >= scan->end_block)
				return -EBADMSG;
		}
		r = scan_verify(scan, at->block, &bytes, ret_reason);
		if (r < 0)
			return r;
		if (scan->head.block != last.block && (scan->head.commit != last.commit ||
		    scan->head.commit_index != last.commit_index + 1)) {
			*ret_reason = "commit";
			return -EBADMSG;
		}
		size_t n = MIN(want - at->have, (size_t)scan->head.used - at->offset);
		memcpy(scan->joined + at->have, bytes + at->offset, n);
		at->have += n;
		at->offset += (uint32_t)n;
	}
	return 0;
}

/* The place behind a record of which *at is the end, padding included. */
static void
scan_advance(struct journal_scan *scan, struct cursor at)
{
	uint32_t aligned = (at.offset + JOURNAL_RECORD_ALIGN - 1) &
	    ~(uint32_t)(JOURNAL_RECORD_ALIGN - 1);
	bool done = aligned >= scan->head.used;
	scan->block = done ? at.block + 1 : at.block;
	scan->offset = done ? 0 : aligned;
}

/* The whole record at scan->block, scan->offset; that block is verified and in `bytes`. *ret_at:
 * its end. -EBADMSG with *ret_reason; then ret_at->block is the block that was bad, and
 * *ret_bytes, if not 0, says that the record is all there but not right. */
static int
scan_gather(struct journal_scan *scan, const char *bytes, const char **ret_from, size_t *ret_bytes,
    struct cursor *ret_at, const char **ret_reason)
{
	const char *from = bytes + scan->offset;
	size_t left = scan->head.used - scan->offset, len = 0;
	*ret_at = (struct cursor){.block = scan->block, .offset = scan->offset};
	*ret_reason = "record";
	*ret_bytes = 0;
	if (left < JOURNAL_RECORD_HEAD_BYTES) {
		int r = scan_join(scan, ret_at, JOURNAL_RECORD_HEAD_BYTES, ret_reason);
		if (r < 0)
			return r;
		from = scan->joined;
	}
	if (!journal_format_get_record(from, scan->generation, &len))
		return -EBADMSG;
	if (len <= left) {
		ret_at->offset += (uint32_t)len;
	} else {
		int r = scan_join(scan, ret_at, len, ret_reason);
		if (r < 0)
			return r;
		from = scan->joined;
	}
	*ret_from = from;
	*ret_bytes = len;
	return 0;
}

static int
scan_record(struct journal_scan *scan, const char *bytes, struct journal_record *ret_record,
    struct journal_damage *ret_damage)
{
	const char *from, *reason;
	size_t len;
	struct cursor at;
	int r = scan_gather(scan, bytes, &from, &len, &at, &reason);
	if (r == 0 && journal_format_view_record(from, len, ret_record)) {
		scan_advance(scan, at);
		return 1;
	}
	if (r == 0) {
		ret_damage->offset = scan->block * JOURNAL_BLOCK_BYTES + scan->offset;
		scan_advance(scan, at);
		ret_damage->bytes = at.block * JOURNAL_BLOCK_BYTES + at.offset -
		    ret_damage->offset;
		snprintf(ret_damage->reason, sizeof ret_damage->reason, "crc");
		return -EBADMSG;
	}
	if (r != -EBADMSG)
		return r;
	if (at.block != scan->block) /* the record's later blocks hold nothing else before it */
		return scan_skip(scan, at.block, reason, ret_damage);
	return scan_skip_head(scan, bytes, ret_damage);
}

int
journal_scan_next(struct journal_scan *scan, struct journal_record *ret_record,
    struct journal_damage *ret_damage)
{
	if (scan->joined_cap > JOINED_KEPT_BYTES_MAX) {
		free(scan->joined);
		scan->joined = NULL;
		scan->joined_cap = 0;
	}
	while (scan->block < scan->end_block) {
		const char *bytes = NULL, *reason = "block";
		int r = scan_verify(scan, scan->block, &bytes, &reason);
		if (r == -EBADMSG)
			return scan_skip(scan, scan->block + 1, reason, ret_damage);
		if (r < 0)
			return r;
		if (scan->offset == 0)
			scan->offset = scan->head.first;
		if (scan->offset != 0 && scan->offset < scan->head.used)
			return scan_record(scan, bytes, ret_record, ret_damage);
		scan->block++;
		scan->offset = 0;
	}
	return 0;
}

/* The first sound block in [block, end): 1 with its seq, 0 when there is none, or an error. */
static int
scan_probe(struct journal_scan *scan, uint64_t block, uint64_t end, uint64_t *ret_block,
    uint64_t *ret_seq)
{
	for (; block < end; block++) {
		struct journal_block head;
		const char *bytes;
		int r = scan_block(scan, block, 1, &bytes);
		if (r < 0)
			return r;
		if (!scan_judge(scan, bytes, block, &head)) {
			*ret_block = block;
			*ret_seq = head.seq;
			return 1;
		}
	}
	return 0;
}

int
journal_scan_seek(struct journal_scan *scan, uint64_t seq)
{
	uint64_t low = scan->block, high = scan->end_block;
	while (low + 1 < high) {
		uint64_t middle = low + (high - low) / 2, block = high, block_seq = seq;
		int r = scan_probe(scan, middle, high, &block, &block_seq);
		if (r < 0)
			return r;
		if (r == 1 && block_seq < seq)
			low = block;
		else
			high = middle;
	}
	scan->block = low;
	scan->chunk_count = 0;
	return 0;
}

int
journal_scan_seek_within(struct journal_scan *scan, uint64_t seq)
{
	uint64_t first = scan->block, block, block_seq;
	int r = journal_scan_seek(scan, seq);
	if (r == 0)
		r = scan_probe(scan, scan->block, scan->end_block, &block, &block_seq);
	if (r <= 0)
		return r;
	/* That block may lie in the middle of the record, which bears its own seq. */
	scan->block = first;
	return journal_scan_seek(scan, MIN(block_seq, seq));
}

/*
 * journal_format.c: the bytes of a segment file, made and read.
 *
 * A segment is blocks of 4096 bytes. Blocks 0 and 1 are the same head; every later one belongs
 * to a commit and begins with
 *
 *    0 u32 magic        4 u32 CRC-32C of bytes 8..47
 *    8 u64 generation  16 u64 commit   24 u64 seq
 *   32 u32 place in the commit         36 u32 blocks of the commit
 *   40 u32 place in the segment        44 u16 first record   46 u16 bytes used
 *
 * so that a reader can find its way behind damage. A record runs over block ends; it has a CRC of
 * its fixed part (which makes its length trustworthy) and one of the whole at its end (so that it
 * is written in one pass):
 *
 *    0 u32 magic        4 u32 CRC-32C of bytes 8..63
 *    8 u64 generation  16 u32 length   20 u32 count   24 u64 seq   32 i64 arrival
 *   40 u16 stream      42 u16 format   44 u32 hints   48 u32 flags (0)
 *   52 u32 rejects     56 u16 tenant   58 u16 principal            60 u32 body
 *   64 rejects (12 bytes each), tenant, principal, body, u32 CRC-32C of all before
 */
#include "journal_format.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "check.h"
#include "hash.h"
#include "journal.h"

#define HEAD_MAGIC "WEIRJRNL"
#define HEAD_VERSION 1u
#define HEAD_CRC_AT (JOURNAL_BLOCK_BYTES - 4)
#define BLOCK_MAGIC 0x4b424a57u  /* "WJBK" */
#define RECORD_MAGIC 0x43524a57u /* "WJRC" */
#define REJECT_BYTES 12u
#define COMMIT_MAX (UINT64_MAX / 2) /* no journal lives that long */

/* Rejects are viewed in place: memory and disk have one layout. */
_Static_assert(sizeof(struct journal_reject) == REJECT_BYTES, "rejects have padding");
_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "rejects are stored as they are");

static void
put_u16(char *to, uint16_t value)
{
	value = htole16(value);
	memcpy(to, &value, sizeof value);
}

void
journal_format_put_u32(char *to, uint32_t value)
{
	value = htole32(value);
	memcpy(to, &value, sizeof value);
}

static void
put_u64(char *to, uint64_t value)
{
	value = htole64(value);
	memcpy(to, &value, sizeof value);
}

static uint16_t
get_u16(const char *from)
{
	uint16_t value;
	memcpy(&value, from, sizeof value);
	return le16toh(value);
}

static uint32_t
get_u32(const char *from)
{
	uint32_t value;
	memcpy(&value, from, sizeof value);
	return le32toh(value);
}

uint64_t
journal_format_get_u64(const char *from)
{
	uint64_t value;
	memcpy(&value, from, sizeof value);
	return le64toh(value);
}

#define get_u64 journal_format_get_u64
#define put_u32 journal_format_put_u32

void
journal_format_put_head(char *block, const struct journal_head *head)
{
	const struct journal_segment *before = &head->before;
	const uint64_t numbers[] = {
		head->number, head->generation, (uint64_t)head->created_ms, head->first_commit,
		head->first_seq, head->next_seq, before->number, before->generation,
		before->end_block, before->torn_block, before->records, before->first_seq,
		before->last_seq, (uint64_t)before->arrival_min_ms,
		(uint64_t)before->arrival_max_ms,
	};
	memset(block, 0, JOURNAL_BLOCK_BYTES);
	memcpy(block, HEAD_MAGIC, 8);
	put_u32(block + 8, HEAD_VERSION);
	/* 16: features a reader must know, 24: features it may ignore; none yet */
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
		put_u64(block + 32 + 8 * i, numbers[i]);
	put_u32(block + HEAD_CRC_AT, crc32c(0, block, HEAD_CRC_AT));
}

int
journal_format_get_head(const char *block, struct journal_head *ret_head)
{
	if (memcmp(block, HEAD_MAGIC, 8) != 0 ||
	    get_u32(block + HEAD_CRC_AT) != crc32c(0, block, HEAD_CRC_AT))
		return -EBADMSG;
	if (get_u32(block + 8) != HEAD_VERSION || get_u64(block + 16) != 0)
		return -EPROTO;
	const char *at = block + 32;
	struct journal_head read = {
		.number = get_u64(at),
		.generation = get_u64(at + 8),
		.created_ms = (int64_t)get_u64(at + 16),
		.first_commit = get_u64(at + 24),
		.first_seq = get_u64(at + 32),
		.next_seq = get_u64(at + 40),
		.before = {
			.number = get_u64(at + 48),
			.generation = get_u64(at + 56),
			.end_block = get_u64(at + 64),
			.torn_block = get_u64(at + 72),
			.records = get_u64(at + 80),
			.first_seq = get_u64(at + 88),
			.last_seq = get_u64(at + 96),
			.arrival_min_ms = (int64_t)get_u64(at + 104),
			.arrival_max_ms = (int64_t)get_u64(at + 112),
		},
	};
	if (read.generation == 0 || read.first_commit > COMMIT_MAX)
		return -EBADMSG;
	*ret_head = read;
	return 0;
}

void
journal_format_put_block(char *block, const struct journal_block *head)
{
	put_u32(block, BLOCK_MAGIC);
	put_u64(block + 8, head->generation);
	put_u64(block + 16, head->commit);
	put_u64(block + 24, head->seq);
	put_u32(block + 32, head->commit_index);
	put_u32(block + 36, head->commit_blocks);
	put_u32(block + 40, head->block);
	put_u16(block + 44, head->first);
	put_u16(block + 46, head->used);
	put_u32(block + 4, crc32c(0, block + 8, JOURNAL_BLOCK_HEAD_BYTES - 8));
}

bool
journal_format_get_block(const char *block, struct journal_block *ret_head)
{
	if (get_u32(block) != BLOCK_MAGIC ||
	    get_u32(block + 4) != crc32c(0, block + 8, JOURNAL_BLOCK_HEAD_BYTES - 8))
		return false;
	struct journal_block head = {
		.generation = get_u64(block + 8),
		.commit = get_u64(block + 16),
		.seq = get_u64(block + 24),
		.commit_index = get_u32(block + 32),
		.commit_blocks = get_u32(block + 36),
		.block = get_u32(block + 40),
		.first = get_u16(block + 44),
		.used = get_u16(block + 46),
	};
	if (head.used < JOURNAL_BLOCK_HEAD_BYTES || head.used > JOURNAL_BLOCK_BYTES ||
	    head.commit_index >= head.commit_blocks ||
	    head.commit == 0 || head.commit > COMMIT_MAX ||
	    head.block < (uint64_t)JOURNAL_BLOCK_FIRST + head.commit_index)
		return false;
	if (head.first != 0 && (head.first < JOURNAL_BLOCK_HEAD_BYTES || head.first >= head.used ||
	    head.first % JOURNAL_RECORD_ALIGN != 0))
		return false;
	*ret_head = head;
	return true;
}

static uint64_t
record_bytes(uint64_t rejects, uint64_t tenant, uint64_t principal, uint64_t body)
{
	return JOURNAL_RECORD_HEAD_BYTES + rejects * REJECT_BYTES + tenant + principal + body +
	    JOURNAL_RECORD_TAIL_BYTES;
}

size_t
journal_format_record_bytes(const struct journal_record *record)
{
	if (record->tenant.len > UINT16_MAX || record->principal.len > UINT16_MAX ||
	    record->body.len > JOURNAL_RECORD_BYTES_MAX)
		return 0;
	uint64_t bytes = record_bytes(record->reject_count, record->tenant.len,
	    record->principal.len, record->body.len);
	return bytes <= JOURNAL_RECORD_BYTES_MAX ? (size_t)bytes : 0;
}

void
journal_format_put_record(char *to, uint64_t generation, const struct journal_record *record)
{
	put_u32(to, RECORD_MAGIC);
	put_u64(to + 8, generation);
	put_u32(to + 16, (uint32_t)journal_format_record_bytes(record));
	put_u32(to + 20, record->count);
	put_u64(to + 24, record->seq);
	put_u64(to + 32, (uint64_t)record->arrival_ms);
	put_u16(to + 40, record->stream);
	put_u16(to + 42, record->format);
	put_u32(to + 44, record->hints);
	put_u32(to + 48, 0);
	put_u32(to + 52, record->reject_count);
	put_u16(to + 56, (uint16_t)record->tenant.len);
	put_u16(to + 58, (uint16_t)record->principal.len);
	put_u32(to + 60, (uint32_t)record->body.len);
	put_u32(to + 4, crc32c(0, to + 8, JOURNAL_RECORD_HEAD_BYTES - 8));
}

bool
journal_format_get_record(const char *from, uint64_t generation, size_t *ret_bytes)
{
	if (get_u32(from) != RECORD_MAGIC || get_u64(from + 8) != generation ||
	    get_u32(from + 4) != crc32c(0, from + 8, JOURNAL_RECORD_HEAD_BYTES - 8))
		return false;
	uint64_t bytes = get_u32(from + 16);
	uint64_t count = get_u32(from + 20);
	uint64_t seq = get_u64(from + 24);
	if (bytes > JOURNAL_RECORD_BYTES_MAX || bytes != record_bytes(get_u32(from + 52),
	    get_u16(from + 56), get_u16(from + 58), get_u32(from + 60)))
		return false;
	if (count == 0 || seq == 0 || seq > UINT64_MAX - count || get_u32(from + 48) != 0)
		return false;
	*ret_bytes = (size_t)bytes;
	return true;
}

bool
journal_format_view_record(const char *from, size_t bytes, struct journal_record *ret_record)
{
	size_t tail = bytes - JOURNAL_RECORD_TAIL_BYTES;
	if (get_u32(from + tail) != crc32c(0, from, tail))
		return false;
	uint32_t rejects = get_u32(from + 52);
	const char *tenant = from + JOURNAL_RECORD_HEAD_BYTES + (size_t)rejects * REJECT_BYTES;
	const char *principal = tenant + get_u16(from + 56);
	const char *body = principal + get_u16(from + 58);
	*ret_record = (struct journal_record){
		.seq = get_u64(from + 24),
		.count = get_u32(from + 20),
		.stream = get_u16(from + 40),
		.format = get_u16(from + 42),
		.hints = get_u32(from + 44),
		.arrival_ms = (int64_t)get_u64(from + 32),
		.tenant = span_of(tenant, get_u16(from + 56)),
		.principal = span_of(principal, get_u16(from + 58)),
		.body = span_of(body, get_u32(from + 60)),
		.rejects = rejects == 0 ? NULL :
		    (const struct journal_reject *)(const void *)(from + JOURNAL_RECORD_HEAD_BYTES),
		.reject_count = rejects,
	};
	return true;
}

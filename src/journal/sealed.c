/*
 * sealed.c: the bytes of a sealed segment's header and footer, and of its numbers.
 *
 *   header (64) | the segment's head as it was (4096) | blocks | pages of keys | table, twice |
 *   footer (192), twice
 *
 * Table and footer are there twice so that no single bad place costs more than a run.
 */
#include "sealed.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "check.h"
#include "hash.h"

#define HEADER_MAGIC "WEIRSEAL"
#define FOOTER_MAGIC "WEIRSEND"
#define SEALED_VERSION 1u
#define HEADER_CRC_AT (SEALED_HEADER_BYTES - 4)
#define FOOTER_CRC_AT (SEALED_FOOTER_BYTES - 4)
#define BLOCK_ENTRY_BYTES_MIN 7 /* in the table: three varints and a CRC */
#define PAGE_ENTRY_BYTES_MIN 6
#define NUMBERS_AT 32 /* behind magic, version, features */

static void
put_u64(char *to, uint64_t value)
{
	value = htole64(value);
	memcpy(to, &value, sizeof value);
}

static uint32_t
get_u32(const char *from)
{
	uint32_t value;
	memcpy(&value, from, sizeof value);
	return le32toh(value);
}

/* Magic, version, features: the same place in both. Then numbers, then the CRC of all. */
static void
put_fixed(char *to, size_t bytes, const char *magic, const uint64_t *numbers, size_t count)
{
	memset(to, 0, bytes);
	memcpy(to, magic, 8);
	journal_format_put_u32(to + 8, SEALED_VERSION);
	/* 16: features a reader must know, 24: features it may ignore; none yet */
	for (size_t i = 0; i < count; i++)
		put_u64(to + NUMBERS_AT + 8 * i, numbers[i]);
	journal_format_put_u32(to + bytes - 4, crc32c(0, to, bytes - 4));
}

static int
get_fixed(const char *from, size_t bytes, const char *magic)
{
	if (memcmp(from, magic, 8) != 0 || get_u32(from + bytes - 4) != crc32c(0, from, bytes - 4))
		return -EBADMSG;
	if (get_u32(from + 8) != SEALED_VERSION || journal_format_get_u64(from + 16) != 0)
		return -EPROTO;
	return 0;
}

void
sealed_put_header(char *to, uint64_t number, uint64_t generation)
{
	const uint64_t numbers[] = {number, generation};
	put_fixed(to, SEALED_HEADER_BYTES, HEADER_MAGIC, numbers, ARRAY_COUNT(numbers));
}

int
sealed_get_header(const char *from, uint64_t number)
{
	int r = get_fixed(from, SEALED_HEADER_BYTES, HEADER_MAGIC);
	if (r == 0 && journal_format_get_u64(from + NUMBERS_AT) != number)
		r = -EBADMSG;
	return r;
}

void
sealed_put_footer(char *to, const struct sealed_footer *footer)
{
	const struct journal_segment *segment = &footer->segment;
	const uint64_t numbers[] = {
		segment->number, segment->generation, segment->records, segment->first_seq,
		segment->last_seq, (uint64_t)segment->arrival_min_ms,
		(uint64_t)segment->arrival_max_ms, footer->pages_at, footer->table_at,
		footer->table_bytes, footer->table_raw_bytes, footer->table_crc,
		footer->block_count, footer->page_count, footer->key_count, footer->plain_bytes,
		footer->commit_last, footer->next_seq,
	};
	_Static_assert(NUMBERS_AT + sizeof numbers <= FOOTER_CRC_AT, "the footer is too small");
	put_fixed(to, SEALED_FOOTER_BYTES, FOOTER_MAGIC, numbers, ARRAY_COUNT(numbers));
}

/* What has a right CRC can still be nonsense. */
static bool
footer_plausible(const struct sealed_footer *footer)
{
	const struct journal_segment *segment = &footer->segment;
	if (footer->pages_at < SEALED_BLOCKS_AT || footer->table_at < footer->pages_at ||
	    footer->table_at > INT64_MAX || footer->table_raw_bytes > SEALED_TABLE_BYTES_MAX ||
	    footer->table_bytes > footer->table_raw_bytes ||
	    footer->block_count > footer->table_raw_bytes / BLOCK_ENTRY_BYTES_MIN ||
	    footer->page_count > footer->table_raw_bytes / PAGE_ENTRY_BYTES_MIN)
		return false;
	if (segment->generation == 0 || footer->commit_last > UINT64_MAX / 2)
		return false;
	if (segment->records == 0)
		return footer->block_count == 0;
	return segment->first_seq > 0 && segment->last_seq >= segment->first_seq &&
	    segment->last_seq < UINT64_MAX && footer->next_seq > segment->last_seq &&
	    segment->arrival_max_ms >= segment->arrival_min_ms;
}

int
sealed_get_footer(const char *from, uint64_t number, struct sealed_footer *ret_footer)
{
	uint64_t numbers[18];
	int r = get_fixed(from, SEALED_FOOTER_BYTES, FOOTER_MAGIC);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
		numbers[i] = journal_format_get_u64(from + NUMBERS_AT + 8 * i);
	struct sealed_footer read = {
		.segment = {
			.number = numbers[0],
			.generation = numbers[1],
			.records = numbers[2],
			.first_seq = numbers[3],
			.last_seq = numbers[4],
			.arrival_min_ms = (int64_t)numbers[5],
			.arrival_max_ms = (int64_t)numbers[6],
			.sealed = true,
		},
		.pages_at = numbers[7],
		.table_at = numbers[8],
		.table_bytes = numbers[9],
		.table_raw_bytes = numbers[10],
		.table_crc = (uint32_t)numbers[11],
		.block_count = numbers[12],
		.page_count = numbers[13],
		.key_count = numbers[14],
		.plain_bytes = numbers[15],
		.commit_last = numbers[16],
		.next_seq = numbers[17],
	};
	if (read.segment.number != number || !footer_plausible(&read))
		return -EBADMSG;
	*ret_footer = read;
	return 0;
}

uint64_t
sealed_zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

int64_t
sealed_unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1 ^ (~(value & 1) + 1));
}

void
sealed_put_varint(struct buf *to, uint64_t value)
{
	char bytes[10];
	size_t len = 0;
	for (; value >= 0x80; value >>= 7)
		bytes[len++] = (char)(value | 0x80);
	bytes[len++] = (char)value;
	buf_append(to, bytes, len);
}

void
sealed_put_u32(struct buf *to, uint32_t value)
{
	char bytes[4];
	journal_format_put_u32(bytes, value);
	buf_append(to, bytes, sizeof bytes);
}

uint64_t
sealed_get_varint(struct sealed_cursor *cursor)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64 && cursor->at < cursor->end; shift += 7) {
		uint64_t byte = (unsigned char)*cursor->at++;
		if (shift == 63 && byte > 1)
			break;
		value |= (byte & 0x7f) << shift;
		if (byte < 0x80)
			return value;
	}
	cursor->bad = true;
	cursor->at = cursor->end;
	return 0;
}

uint32_t
sealed_get_u32(struct sealed_cursor *cursor)
{
	if (cursor->end - cursor->at < 4) {
		cursor->bad = true;
		cursor->at = cursor->end;
		return 0;
	}
	uint32_t value = get_u32(cursor->at);
	cursor->at += 4;
	return value;
}

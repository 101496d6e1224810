/*
 * fuzz_sealed.c: opening and reading of arbitrary bytes as a sealed segment.
 *
 * The input is a byte with options, two of a key, and the file. Where the options say so, the
 * checksums of header, footers, tables, pages and blocks are made right, so that what lies behind
 * them is reached. Whatever the bytes are: opening does not crash, readers see seqs rise and end,
 * asking for a key and a time gives no more than all, and the journal goes on.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "check.h"
#include "hash.h"
#include "journal.h"
#include "sealed.h"
#include "sim.h"

#define INPUT_BYTES_MAX (512u << 10)
#define PATH "journal/0000000000000001.sealed"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
put_u64(char *to, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		to[i] = (char)(value >> (8 * i));
}

/* The CRCs that stand in an expanded table, of blocks and pages. */
static void
repair_table(const char *bytes, const struct sealed_footer *footer, char *table, size_t len)
{
	struct sealed_cursor cursor = {table, table + len, false};
	uint64_t at = SEALED_BLOCKS_AT;
	for (uint64_t i = 0; i < footer->block_count + footer->page_count && !cursor.bad; i++) {
		uint64_t own;
		if (i < footer->block_count) {
			own = sealed_get_varint(&cursor);
			sealed_get_varint(&cursor);
			if (sealed_get_varint(&cursor) > 0)
				for (int n = 0; n < 4; n++)
					sealed_get_varint(&cursor);
		} else {
			sealed_get_varint(&cursor);
			own = sealed_get_varint(&cursor);
		}
		if (cursor.bad || cursor.end - cursor.at < 4 || own > footer->table_at - at)
			return;
		journal_format_put_u32((char *)cursor.at, crc32c(0, bytes + at, own));
		cursor.at += 4;
		at += own;
	}
}

/* Makes what has a checksum right, from the inside out. Tables that are packed stay. */
static void
repair(char *bytes, size_t size)
{
	struct sealed_footer footer;
	if (size < SEALED_BLOCKS_AT + 2 * SEALED_FOOTER_BYTES)
		return;
	journal_format_put_u32(bytes + SEALED_HEADER_BYTES - 4,
	    crc32c(0, bytes, SEALED_HEADER_BYTES - 4));
	char *end = bytes + size - SEALED_FOOTER_BYTES;
	journal_format_put_u32(end + SEALED_FOOTER_BYTES - 4,
	    crc32c(0, end, SEALED_FOOTER_BYTES - 4));
	if (sealed_get_footer(end, 1, &footer) < 0 || footer.table_at > size ||
	    footer.table_bytes > size - footer.table_at)
		return;
	char *table = bytes + footer.table_at;
	if (footer.table_bytes == footer.table_raw_bytes)
		repair_table(bytes, &footer, table, footer.table_bytes);
	put_u64(end + 120, crc32c(0, table, footer.table_bytes));
	journal_format_put_u32(end + SEALED_FOOTER_BYTES - 4,
	    crc32c(0, end, SEALED_FOOTER_BYTES - 4));
}

/* Reads all, or what has the key and the time; the number of records. */
static uint64_t
read_all(struct journal *journal, const uint64_t *key, int64_t from_ms)
{
	struct journal_reader *reader;
	struct journal_record record;
	struct journal_damage damage;
	uint64_t next_seq = 0, count = 0;
	unsigned sum = 0;
	int r;
	check(journal_reader_open(journal, 0, &reader) == 0);
	check(!key || journal_reader_want(reader, key, 1) == 0);
	journal_reader_skip_to_time(reader, from_ms);
	while ((r = journal_reader_next(reader, &record, &damage)) != 0) {
		check(r == 1 || r == -EBADMSG);
		if (r != 1)
			continue;
		check(record.seq >= next_seq && record.count > 0);
		next_seq = record.seq + record.count;
		count++;
		for (size_t i = 0; i < record.body.len; i++)
			sum += (unsigned char)record.body.ptr[i];
		for (size_t i = 0; i < record.reject_count; i++)
			sum += record.rejects[i].code;
	}
	journal_reader_close(reader);
	check(sum != 1 || count > 0); /* the bytes were looked at */
	return count;
}

static void
open_and_read(struct env *env, uint64_t key)
{
	struct journal_options options = {.dir = "journal", .segment_bytes = 1 << 20};
	struct journal *journal;
	int r = journal_open(env, &options, NULL, NULL, &journal);
	if (r == -EPROTO)
		return;
	check(r == 0);
	uint64_t all = read_all(journal, NULL, INT64_MIN);
	check(read_all(journal, &key, INT64_MIN) <= all);
	check(read_all(journal, NULL, 1700000000000) <= all);
	uint64_t seq = journal_next_seq(journal);
	if (seq < UINT64_MAX / 2) {
		struct journal_record *record, like = {
			.seq = seq, .count = 1, .body = SPAN("a record of our own"),
		};
		check(journal_record_create(&like, false, &record) == 0);
		check(journal_commit(journal, &record, 1) == 0);
		journal_record_unref(record);
		check(read_all(journal, NULL, INT64_MIN) == all + 1);
	}
	journal_close(journal);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct env_file *file;
	if (size < 4 || size > INPUT_BYTES_MAX)
		return 0;
	size_t len = size - 3;
	char *bytes = malloc(len);
	struct env *env = sim_create(1);
	check(bytes && env);
	memcpy(bytes, data + 3, len);
	if (data[0] & 1)
		repair(bytes, len);
	check(env_mkdir(env, "journal") == 0);
	check(env_open(env, PATH, ENV_WRITE | ENV_CREATE, &file) == 0);
	check(env_pwrite(file, bytes, len, 0) == 0);
	env_close(file);
	free(bytes);
	open_and_read(env, (uint64_t)data[1] << 8 | data[2]);
	env_destroy(env);
	return 0;
}

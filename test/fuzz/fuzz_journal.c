/*
 * fuzz_journal.c: recovery and reading of arbitrary segment bytes.
 *
 * The input is one or two segment files on the simulated disk: first a byte with options, then
 * (with two) a u16 that says how many blocks the first one has. Where the options say so, checksums
 * are made right, so that what lies behind them is reached. Whatever the bytes are: opening does
 * not crash, readers see seqs rise, and a commit afterwards is found again by the next opening.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "hash.h"
#include "journal.h"
#include "journal_format.h"
#include "sim.h"

#define INPUT_BYTES_MAX (64u * JOURNAL_BLOCK_BYTES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
put_file(struct env *env, const char *path, const char *bytes, size_t len)
{
	struct env_file *file;
	check(env_open(env, path, ENV_WRITE | ENV_CREATE, &file) == 0);
	check(env_pwrite(file, bytes, len, 0) == 0);
	env_close(file);
}

/* Makes the checksums of heads, blocks and records that look like such right. */
static void
repair(char *bytes, size_t len)
{
	for (size_t at = 0; at + JOURNAL_BLOCK_BYTES <= len; at += JOURNAL_BLOCK_BYTES) {
		char *block = bytes + at;
		if (memcmp(block, "WEIRJRNL", 8) == 0)
			journal_format_put_u32(block + JOURNAL_BLOCK_BYTES - 4,
			    crc32c(0, block, JOURNAL_BLOCK_BYTES - 4));
		if (memcmp(block, "WJBK", 4) != 0)
			continue;
		journal_format_put_u32(block + 4,
		    crc32c(0, block + 8, JOURNAL_BLOCK_HEAD_BYTES - 8));
		for (size_t i = JOURNAL_BLOCK_HEAD_BYTES;
		     i + JOURNAL_RECORD_HEAD_BYTES <= JOURNAL_BLOCK_BYTES;
		     i += JOURNAL_RECORD_ALIGN) {
			char *record = block + i;
			if (memcmp(record, "WJRC", 4) != 0)
				continue;
			journal_format_put_u32(record + 4,
			    crc32c(0, record + 8, JOURNAL_RECORD_HEAD_BYTES - 8));
			uint32_t bytes_all;
			memcpy(&bytes_all, record + 16, 4);
			if (bytes_all > JOURNAL_RECORD_HEAD_BYTES + 4 &&
			    bytes_all <= JOURNAL_BLOCK_BYTES - i)
				journal_format_put_u32(record + bytes_all - 4,
				    crc32c(0, record, bytes_all - 4));
		}
	}
}

/* Reads all; the seq behind the last record. */
static uint64_t
read_all(struct journal *journal, uint64_t from_seq)
{
	struct journal_reader *reader;
	struct journal_record record;
	struct journal_damage damage;
	uint64_t next_seq = from_seq;
	unsigned sum = 0;
	check(journal_reader_open(journal, from_seq, &reader) == 0);
	for (;;) {
		int r = journal_reader_next(reader, &record, &damage);
		if (r == 0)
			break;
		check(r == 1 || r == -EBADMSG);
		if (r != 1)
			continue;
		check(record.seq >= next_seq && record.count > 0);
		next_seq = record.seq + record.count;
		for (size_t i = 0; i < record.body.len; i++)
			sum += (unsigned char)record.body.ptr[i];
		for (size_t i = 0; i < record.tenant.len; i++)
			sum += (unsigned char)record.tenant.ptr[i];
		for (size_t i = 0; i < record.reject_count; i++)
			sum += record.rejects[i].code;
	}
	journal_reader_close(reader);
	check(sum != 1 || next_seq != 1); /* the bytes were looked at */
	return next_seq;
}

static void
open_and_use(struct env *env)
{
	struct journal_options options = {.dir = "journal", .segment_bytes = 1 << 20};
	struct journal *journal;
	int r = journal_open(env, &options, NULL, NULL, &journal);
	if (r == -EPROTO)
		return;
	check(r == 0);
	struct journal_stats stats;
	journal_stats(journal, &stats);
	uint64_t seq = read_all(journal, 0);
	seq = MAX(seq, MAX(journal_next_seq(journal), stats.durable_seq + 1));
	if (seq < UINT64_MAX / 2) {
		struct journal_record *record, like = {
			.seq = seq, .count = 1, .body = SPAN("a record of our own"),
		};
		check(journal_record_create(&like, false, &record) == 0);
		check(journal_commit(journal, &record, 1) == 0);
		journal_record_unref(record);
		check(read_all(journal, seq) == seq + 1);
		journal_close(journal);
		check(journal_open(env, &options, NULL, NULL, &journal) == 0);
		check(read_all(journal, seq) == seq + 1);
	}
	journal_trim(journal, seq);
	journal_close(journal);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3 || size > INPUT_BYTES_MAX)
		return 0;
	char *bytes = malloc(size);
	struct env *env = sim_create(1);
	check(bytes && env);
	memcpy(bytes, data, size);
	size_t first = 1, second = size;
	if (data[0] & 1) { /* two files */
		first = 3;
		second = MIN(size, 3 + (size_t)data[1] * JOURNAL_BLOCK_BYTES + data[2]);
	}
	if (data[0] & 2) {
		repair(bytes + first, second - first);
		repair(bytes + second, size - second);
	}
	check(env_mkdir(env, "journal") == 0);
	put_file(env, "journal/0000000000000001.seg", bytes + first, second - first);
	if (data[0] & 1)
		put_file(env, "journal/0000000000000002.seg", bytes + second, size - second);
	free(bytes);
	open_and_use(env);
	env_destroy(env);
	return 0;
}

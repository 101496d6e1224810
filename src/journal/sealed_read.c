/*
 * sealed_read.c: reads sealed segments: the records of one run after another, of all runs
 * or of those that may hold what is wanted.
 *
 * The file's bytes may be anything. What the table says is checked against the file's size once;
 * a block counts only when its CRC is right and it unpacks to the length the table says; a record
 * only when its texts lie in the run. What is not so costs the run, is reported with its place,
 * and the next call goes on behind it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "check.h"
#include "hash.h"
#include "sealed.h"

#define REJECT_BYTES sizeof(struct journal_reject)
#define RUN_KEPT_BYTES_MAX (1u << 20) /* a larger run's memory is given back */

struct sealed_block {
	uint64_t offset, first_seq;
	int64_t arrival_min_ms, arrival_max_ms;
	uint32_t bytes, raw_bytes, crc;
	uint32_t records;   /* 0: goes on with the run before */
	bool unindexed;     /* may be about any key */
	bool wanted;        /* by key */
};

struct sealed_page {
	uint64_t offset;
	uint32_t first_key, bytes, crc;
};

struct sealed_reader {
	struct env_file *file;
	struct sealed_footer footer;
	struct sealed_block *blocks;
	struct sealed_page *pages;
	bool by_key;
	uint64_t from_seq;
	int64_t from_ms, to_ms;
	uint64_t blocks_read;

	uint32_t block;             /* the next run's first */
	uint32_t run;               /* the one in hand's */
	uint32_t records_left;      /* in it */
	struct sealed_cursor heads, texts;
	uint64_t seq_expected;
	int64_t arrival_last_ms;
	char *raw, *packed;
	size_t raw_cap;
	struct journal_reject *rejects; /* of the record given out: aligned */
	size_t reject_cap;
	ZSTD_DCtx *zstd;
};

/* ── opening ── */

static int
read_at(struct env_file *file, void *ret_bytes, size_t len, uint64_t offset)
{
	ssize_t n = env_pread(file, ret_bytes, len, offset);
	if (n < 0)
		return n == -ENOMEM ? -ENOMEM : -EIO;
	return (size_t)n == len ? 0 : -EBADMSG;
}

/* Header, the segment's head, and either footer. */
static int
read_ends(struct env_file *file, uint64_t number, struct sealed_footer *ret_footer,
    struct journal_head *ret_head, const char **ret_reason)
{
	char start[SEALED_BLOCKS_AT], footer[SEALED_FOOTER_BYTES];
	uint64_t size;
	int r = env_size(file, &size);
	*ret_reason = "length";
	if (r < 0)
		return r == -ENOMEM ? -ENOMEM : -EIO;
	if (size < SEALED_BLOCKS_AT + 2 * (uint64_t)SEALED_FOOTER_BYTES || size > INT64_MAX)
		return -EBADMSG;
	*ret_reason = "footer";
	for (uint64_t i = 1; i <= 2; i++) {
		r = read_at(file, footer, sizeof footer, size - i * SEALED_FOOTER_BYTES);
		if (r == 0)
			r = sealed_get_footer(footer, number, ret_footer);
		if (r != -EBADMSG)
			break;
	}
	if (r == 0 && ret_footer->table_at + 2 * ret_footer->table_bytes +
	    2 * (uint64_t)SEALED_FOOTER_BYTES != size)
		r = -EBADMSG;
	if (r < 0)
		return r;
	ret_footer->segment.file_bytes = size;
	r = read_at(file, start, sizeof start, 0);
	if (r < 0)
		return r;
	/* The header says the version first; nothing else of it is needed. */
	r = sealed_get_header(start, number);
	if (r == -EPROTO)
		return r;
	if (journal_format_get_head(start + SEALED_HEADER_BYTES, ret_head) < 0 ||
	    ret_head->number != number)
		*ret_head = (struct journal_head){.number = 0};
	return 0;
}

int
sealed_read_footer(struct env *env, const char *path, uint64_t number,
    struct sealed_footer *ret_footer, struct journal_head *ret_head, const char **ret_reason)
{
	struct env_file *file;
	int r = env_open(env, path, ENV_READ, &file);
	if (r < 0)
		return r == -ENOENT || r == -ENOMEM ? r : -EIO;
	r = read_ends(file, number, ret_footer, ret_head, ret_reason);
	env_close(file);
	return r;
}

/* One copy of the table as it was before it was packed. */
static int
table_load(struct sealed_reader *reader, uint64_t offset, char *stored, char *raw)
{
	const struct sealed_footer *footer = &reader->footer;
	int r = read_at(reader->file, stored, footer->table_bytes, offset);
	if (r < 0)
		return r;
	if (crc32c(0, stored, footer->table_bytes) != footer->table_crc)
		return -EBADMSG;
	if (footer->table_bytes == footer->table_raw_bytes) {
		memcpy(raw, stored, footer->table_bytes);
		return 0;
	}
	size_t len = ZSTD_decompressDCtx(reader->zstd, raw, footer->table_raw_bytes, stored,
	    footer->table_bytes);
	return !ZSTD_isError(len) && len == footer->table_raw_bytes ? 0 : -EBADMSG;
}

/* The entries of the blocks. Whether they make sense. */
static bool
table_take_blocks(struct sealed_reader *reader, struct sealed_cursor *cursor)
{
	uint64_t at = SEALED_BLOCKS_AT, seq = 0, arrival = 0, run_bytes = 0, records = 0;
	for (uint64_t i = 0; i < reader->footer.block_count; i++) {
		struct sealed_block *block = &reader->blocks[i];
		uint64_t bytes = sealed_get_varint(cursor), raw = sealed_get_varint(cursor);
		uint64_t count = sealed_get_varint(cursor);
		if (raw == 0 || raw > SEALED_BLOCK_BYTES || bytes > ZSTD_compressBound(raw) ||
		    count > UINT32_MAX || (i == 0 && count == 0))
			return false;
		run_bytes = count > 0 ? raw : run_bytes + raw;
		if (run_bytes > SEALED_RUN_BYTES_MAX)
			return false;
		*block = (struct sealed_block){.offset = at, .bytes = (uint32_t)bytes,
			.raw_bytes = (uint32_t)raw, .records = (uint32_t)count};
		if (count > 0) {
			uint64_t step = sealed_get_varint(cursor);
			arrival += (uint64_t)sealed_unzigzag(sealed_get_varint(cursor));
			uint64_t more = sealed_get_varint(cursor);
			block->unindexed = sealed_get_varint(cursor) != 0;
			if (step > UINT64_MAX - seq)
				return false;
			seq += step;
			block->first_seq = seq;
			block->arrival_min_ms = (int64_t)arrival;
			block->arrival_max_ms = (int64_t)(arrival + more);
		}
		block->crc = sealed_get_u32(cursor);
		at += bytes;
		records += count;
		if (cursor->bad || at > reader->footer.pages_at)
			return false;
	}
	return at == reader->footer.pages_at && records == reader->footer.segment.records;
}

static bool
table_take_pages(struct sealed_reader *reader, struct sealed_cursor *cursor)
{
	uint64_t at = reader->footer.pages_at, key = 0;
	for (uint64_t i = 0; i < reader->footer.page_count; i++) {
		uint64_t step = sealed_get_varint(cursor);
		uint64_t bytes = sealed_get_varint(cursor);
		uint32_t crc = sealed_get_u32(cursor);
		if (cursor->bad || step > UINT32_MAX - key || bytes > SEALED_TABLE_BYTES_MAX ||
		    bytes > reader->footer.table_at - at)
			return false;
		key += step;
		reader->pages[i] = (struct sealed_page){.offset = at, .first_key = (uint32_t)key,
			.bytes = (uint32_t)bytes, .crc = crc};
		at += bytes;
	}
	return at == reader->footer.table_at && cursor->at == cursor->end;
}

static int
reader_load_table(struct sealed_reader *reader)
{
	const struct sealed_footer *footer = &reader->footer;
	int r = -ENOMEM;
	char *stored = malloc(footer->table_bytes + 1), *raw = malloc(footer->table_raw_bytes + 1);
	reader->blocks = calloc(footer->block_count + 1, sizeof reader->blocks[0]);
	reader->pages = calloc(footer->page_count + 1, sizeof reader->pages[0]);
	if (!stored || !raw || !reader->blocks || !reader->pages)
		goto end;
	r = table_load(reader, footer->table_at, stored, raw);
	if (r == -EBADMSG)
		r = table_load(reader, footer->table_at + footer->table_bytes, stored, raw);
	if (r < 0)
		goto end;
	struct sealed_cursor cursor = {raw, raw + footer->table_raw_bytes, false};
	if (!table_take_blocks(reader, &cursor) || !table_take_pages(reader, &cursor))
		r = -EBADMSG;
end:
	free(stored);
	free(raw);
	return r;
}

int
sealed_reader_open(struct env *env, const char *path, uint64_t number,
    struct sealed_reader **ret_reader, const char **ret_reason)
{
	struct journal_head head;
	struct sealed_reader *reader = calloc(1, sizeof *reader);
	if (!reader)
		return -ENOMEM;
	reader->from_ms = INT64_MIN;
	reader->to_ms = INT64_MAX;
	int r = -ENOMEM;
	reader->zstd = ZSTD_createDCtx();
	reader->packed = malloc(ZSTD_compressBound(SEALED_BLOCK_BYTES));
	if (!reader->zstd || !reader->packed)
		goto fail;
	r = env_open(env, path, ENV_READ, &reader->file);
	if (r < 0) {
		r = r == -ENOENT || r == -ENOMEM ? r : -EIO;
		goto fail;
	}
	r = read_ends(reader->file, number, &reader->footer, &head, ret_reason);
	if (r < 0)
		goto fail;
	*ret_reason = "table";
	r = reader_load_table(reader);
	if (r < 0)
		goto fail;
	*ret_reader = reader;
	return 0;
fail:
	sealed_reader_close(reader);
	return r;
}

void
sealed_reader_close(struct sealed_reader *reader)
{
	if (!reader)
		return;
	env_close(reader->file);
	ZSTD_freeDCtx(reader->zstd);
	free(reader->blocks);
	free(reader->pages);
	free(reader->raw);
	free(reader->packed);
	free(reader->rejects);
	free(reader);
}

const struct sealed_footer *
sealed_reader_footer(const struct sealed_reader *reader)
{
	return &reader->footer;
}

uint64_t
sealed_reader_blocks(const struct sealed_reader *reader)
{
	return reader->blocks_read;
}

/* ── what is wanted ── */

void
sealed_reader_from(struct sealed_reader *reader, uint64_t seq)
{
	reader->from_seq = MAX(reader->from_seq, seq);
}

void
sealed_reader_between(struct sealed_reader *reader, int64_t from_ms, int64_t to_ms)
{
	reader->from_ms = from_ms;
	reader->to_ms = to_ms;
}

/* Marks the blocks of `key`, whose entry the cursor stands behind, and goes to its end. */
static void
page_take_spans(struct sealed_reader *reader, struct sealed_cursor *cursor, bool mark)
{
	uint64_t spans = sealed_get_varint(cursor), at = 0;
	for (uint64_t i = 0; i < spans && !cursor->bad; i++) {
		uint64_t gap = sealed_get_varint(cursor), count = 1;
		if (gap & 1)
			count = sealed_get_varint(cursor) + 2;
		if (gap >> 1 > reader->footer.block_count - at ||
		    count > reader->footer.block_count - at - (gap >> 1)) {
			cursor->bad = true;
			return;
		}
		at += gap >> 1;
		for (uint64_t n = 0; n < count && mark; n++)
			reader->blocks[at + n].wanted = true;
		at += count;
	}
}

/* Marks the blocks of the keys, ascending, that are in the page. */
static int
page_take(struct sealed_reader *reader, const struct sealed_page *page, const uint64_t *keys,
    size_t count)
{
	char *bytes = malloc((size_t)page->bytes + 1);
	if (!bytes)
		return -ENOMEM;
	int r = read_at(reader->file, bytes, page->bytes, page->offset);
	if (r == 0 && crc32c(0, bytes, page->bytes) != page->crc)
		r = -EBADMSG;
	struct sealed_cursor cursor = {bytes, bytes + page->bytes, false};
	uint64_t key = page->first_key;
	for (size_t i = 0; r == 0 && cursor.at < cursor.end && i < count; ) {
		key += sealed_get_varint(&cursor);
		while (i < count && (uint32_t)keys[i] < key)
			i++;
		page_take_spans(reader, &cursor, i < count && (uint32_t)keys[i] == key);
		if (cursor.bad)
			r = -EBADMSG;
	}
	free(bytes);
	return r;
}

/* How many pages begin with a key up to this one: it would be in the last of them. */
static size_t
page_find(const struct sealed_reader *reader, uint32_t key)
{
	size_t low = 0, high = reader->footer.page_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (reader->pages[middle].first_key <= key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int
sealed_reader_want(struct sealed_reader *reader, const uint64_t *keys, size_t count,
    struct journal_damage *ret_damage)
{
	reader->by_key = true;
	for (uint64_t i = 0; i < reader->footer.block_count; i++)
		reader->blocks[i].wanted = reader->blocks[i].unindexed;
	for (size_t i = 0; i < count; ) {
		size_t page = page_find(reader, (uint32_t)keys[i]), first = i++;
		while (i < count && page_find(reader, (uint32_t)keys[i]) == page)
			i++;
		if (page == 0)
			continue;
		const struct sealed_page *at = &reader->pages[page - 1];
		int r = page_take(reader, at, keys + first, i - first);
		if (r == 0)
			continue;
		reader->by_key = false;
		ret_damage->offset = at->offset;
		ret_damage->bytes = at->bytes;
		snprintf(ret_damage->reason, sizeof ret_damage->reason, "keys");
		return r;
	}
	return 0;
}

int
sealed_reader_has(struct sealed_reader *reader, const uint64_t *keys, size_t count,
    struct journal_damage *ret_damage)
{
	bool has = false;
	int r = sealed_reader_want(reader, keys, count, ret_damage);
	for (uint64_t i = 0; i < reader->footer.block_count && !has; i++)
		has = reader->blocks[i].wanted;
	reader->by_key = false;
	return r < 0 ? r : has;
}

int
sealed_reader_head(struct sealed_reader *reader, char *ret_head)
{
	return read_at(reader->file, ret_head, JOURNAL_BLOCK_BYTES, SEALED_HEADER_BYTES);
}

/* ── runs and records ── */

static uint32_t
run_end(const struct sealed_reader *reader, uint32_t run)
{
	do
		run++;
	while (run < reader->footer.block_count && reader->blocks[run].records == 0);
	return run;
}

static bool
run_wanted(const struct sealed_reader *reader, uint32_t run, uint32_t end)
{
	const struct sealed_block *block = &reader->blocks[run];
	uint64_t next_seq = end < reader->footer.block_count ? reader->blocks[end].first_seq :
	    reader->footer.segment.last_seq + 1;
	return next_seq > reader->from_seq && block->arrival_max_ms >= reader->from_ms &&
	    block->arrival_min_ms < reader->to_ms && (!reader->by_key || block->wanted);
}

static int
run_load_block(struct sealed_reader *reader, const struct sealed_block *block, size_t at,
    const char **ret_reason)
{
	int r = read_at(reader->file, reader->packed, block->bytes, block->offset);
	*ret_reason = "missing";
	if (r < 0)
		return r;
	reader->blocks_read++;
	*ret_reason = "crc";
	if (crc32c(0, reader->packed, block->bytes) != block->crc)
		return -EBADMSG;
	size_t len = ZSTD_decompressDCtx(reader->zstd, reader->raw + at, block->raw_bytes,
	    reader->packed, block->bytes);
	*ret_reason = "zstd";
	return !ZSTD_isError(len) && len == block->raw_bytes ? 0 : -EBADMSG;
}

static int
run_load(struct sealed_reader *reader, uint32_t run, uint32_t end, const char **ret_reason)
{
	size_t bytes = 0, at = 0;
	for (uint32_t i = run; i < end; i++)
		bytes += reader->blocks[i].raw_bytes;
	if (bytes > reader->raw_cap || reader->raw_cap > RUN_KEPT_BYTES_MAX) {
		size_t cap = MAX(bytes, (size_t)SEALED_BLOCK_BYTES);
		free(reader->raw);
		reader->raw_cap = 0;
		reader->raw = malloc(cap);
		if (!reader->raw)
			return -ENOMEM;
		reader->raw_cap = cap;
	}
	for (uint32_t i = run; i < end; i++) {
		int r = run_load_block(reader, &reader->blocks[i], at, ret_reason);
		if (r < 0)
			return r;
		at += reader->blocks[i].raw_bytes;
	}
	struct sealed_cursor all = {reader->raw, reader->raw + bytes, false};
	uint64_t heads = sealed_get_u32(&all);
	*ret_reason = "run";
	if (all.bad || heads > (size_t)(all.end - all.at))
		return -EBADMSG;
	reader->heads = (struct sealed_cursor){all.at, all.at + heads, false};
	reader->texts = (struct sealed_cursor){all.at + heads, all.end, false};
	reader->run = run;
	reader->records_left = reader->blocks[run].records;
	reader->seq_expected = reader->blocks[run].first_seq;
	reader->arrival_last_ms = 0;
	return 0;
}

static struct span
texts_take(struct sealed_reader *reader, uint64_t len)
{
	if (len > (size_t)(reader->texts.end - reader->texts.at)) {
		reader->texts.bad = true;
		return span_of(NULL, 0);
	}
	struct span taken = span_of(reader->texts.at, (size_t)len);
	reader->texts.at += len;
	return taken;
}

/* Rejects lie anywhere in the run: they are copied to where a struct may lie. */
static int
rejects_take(struct sealed_reader *reader, uint64_t count, struct journal_record *record)
{
	struct span bytes = texts_take(reader, count > UINT32_MAX ? UINT64_MAX :
	    count * REJECT_BYTES);
	if (reader->texts.bad)
		return -EBADMSG;
	if (count > reader->reject_cap) {
		struct journal_reject *grown = realloc(reader->rejects, bytes.len);
		if (!grown)
			return -ENOMEM;
		reader->rejects = grown;
		reader->reject_cap = count;
	}
	if (count > 0)
		memcpy(reader->rejects, bytes.ptr, bytes.len);
	record->rejects = count > 0 ? reader->rejects : NULL;
	record->reject_count = (uint32_t)count;
	return 0;
}

/* The next record of the run in hand. 0, -EBADMSG, -ENOMEM. */
static int
run_record(struct sealed_reader *reader, struct journal_record *ret_record)
{
	uint64_t numbers[10];
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
		numbers[i] = sealed_get_varint(&reader->heads);
	uint64_t seq = reader->seq_expected, last = reader->footer.segment.last_seq;
	if (reader->heads.bad || seq > last || numbers[0] > last - seq)
		return -EBADMSG;
	seq += numbers[0];
	if (seq == 0 || numbers[1] == 0 || numbers[1] > UINT32_MAX || numbers[1] - 1 > last - seq ||
	    numbers[3] > UINT16_MAX || numbers[4] > UINT16_MAX || numbers[5] > UINT32_MAX)
		return -EBADMSG;
	struct journal_record record = {
		.seq = seq,
		.count = (uint32_t)numbers[1],
		.stream = (uint16_t)numbers[3],
		.format = (uint16_t)numbers[4],
		.hints = (uint32_t)numbers[5],
		.arrival_ms = (int64_t)((uint64_t)reader->arrival_last_ms +
		    (uint64_t)sealed_unzigzag(numbers[2])),
	};
	int r = rejects_take(reader, numbers[6], &record);
	if (r < 0)
		return r;
	record.tenant = texts_take(reader, numbers[7]);
	record.principal = texts_take(reader, numbers[8]);
	record.body = texts_take(reader, numbers[9]);
	if (reader->texts.bad)
		return -EBADMSG;
	reader->seq_expected = seq + record.count;
	reader->arrival_last_ms = record.arrival_ms;
	reader->records_left--;
	*ret_record = record;
	return 0;
}

static int
run_damage(struct sealed_reader *reader, uint32_t run, const char *reason,
    struct journal_damage *ret_damage)
{
	uint32_t end = run_end(reader, run);
	ret_damage->offset = reader->blocks[run].offset;
	ret_damage->bytes = 0;
	for (uint32_t i = run; i < end; i++)
		ret_damage->bytes += reader->blocks[i].bytes;
	snprintf(ret_damage->reason, sizeof ret_damage->reason, "%s", reason);
	reader->records_left = 0;
	reader->block = end;
	return -EBADMSG;
}

int
sealed_reader_next(struct sealed_reader *reader, struct journal_record *ret_record,
    struct journal_damage *ret_damage)
{
	const char *reason = "";
	while (reader->records_left == 0 && reader->block < reader->footer.block_count) {
		uint32_t run = reader->block, end = run_end(reader, run);
		if (run_wanted(reader, run, end)) {
			int r = run_load(reader, run, end, &reason);
			if (r == -EBADMSG)
				return run_damage(reader, run, reason, ret_damage);
			if (r < 0)
				return r;
		}
		reader->block = end;
	}
	if (reader->records_left == 0)
		return 0;
	struct sealed_cursor heads = reader->heads, texts = reader->texts;
	int r = run_record(reader, ret_record);
	if (r == -ENOMEM) {
		reader->heads = heads;
		reader->texts = texts;
	}
	if (r == -EBADMSG)
		return run_damage(reader, reader->run, "record", ret_damage);
	return r < 0 ? r : 1;
}

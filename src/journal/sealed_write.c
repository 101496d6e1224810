/*
 * sealed_write.c: writes a sealed segment.
 *
 * A run is heads (numbers as varints), then texts (rejects, tenant, principal, body) of its
 * records: bodies lie next to each other, which packs better. It is cut into blocks of equal size,
 * each a zstd frame of its own. What the records are about is gathered as postings (key, block) of
 * 8 bytes, each once, and becomes the pages at the end. Beyond POSTINGS_MAX in all and
 * RUN_KEYS_MAX in a run, or when a record's keys are not known, the run is marked as being about
 * anything: a reader who asks for a key reads it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "check.h"
#include "hash.h"
#include "journal_priv.h"
#include "sealed.h"

#define ZSTD_LEVEL 1 /* on readings smaller than 3 makes it, and faster */
#define POSTINGS_MAX (2u << 20)
#define RUN_KEYS_MAX (SEEN_SLOTS / 2)
#define SEEN_SLOTS (1u << 16)
#define PAGE_BYTES 4096u
#define DIGIT_BITS 11u /* of a key, a pass of sorting */

/* Of a key in a block. */
static inline uint64_t
posting_make(uint32_t key, uint32_t block)
{
	return (uint64_t)key << 32 | block;
}

struct sealed_writer {
	struct env_file *file;
	uint64_t at;               /* what is written */
	uint32_t block;            /* number of the next block */
	ZSTD_CCtx *zstd;
	char *packed;
	size_t packed_cap;
	struct buf heads, texts;   /* of the run being filled */
	struct buf table, out;
	uint64_t records, keys, pages;

	uint64_t run_seq, seq_expected, run_records;
	int64_t arrival_min_ms, arrival_max_ms, arrival_last_ms;
	bool unindexed;
	uint64_t table_seq;        /* of the run before, for the table's differences */
	int64_t table_arrival_ms;

	uint64_t *seen;            /* SEEN_SLOTS: postings of the run by key; others are free */
	uint64_t *postings;
	size_t posting_count, posting_cap;
	size_t run_posting;        /* the first of the run being filled */
};

int
sealed_writer_create(struct env *env, const char *path, struct sealed_writer **ret_writer)
{
	char zeros[SEALED_BLOCKS_AT] = {0};
	struct sealed_writer *writer = calloc(1, sizeof *writer);
	if (!writer)
		return -ENOMEM;
	int r = -ENOMEM;
	writer->packed_cap = ZSTD_compressBound(SEALED_BLOCK_BYTES);
	writer->packed = malloc(writer->packed_cap);
	writer->zstd = ZSTD_createCCtx();
	writer->seen = malloc(SEEN_SLOTS * sizeof writer->seen[0]);
	if (!writer->packed || !writer->zstd || !writer->seen)
		goto fail;
	memset(writer->seen, 0xff, SEEN_SLOTS * sizeof writer->seen[0]); /* no block's */
	r = env_open(env, path, ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE, &writer->file);
	if (r == 0)
		r = env_pwrite(writer->file, zeros, sizeof zeros, 0); /* the head comes last */
	if (r < 0)
		goto fail;
	writer->at = sizeof zeros;
	*ret_writer = writer;
	return 0;
fail:
	sealed_writer_destroy(writer);
	return r;
}

void
sealed_writer_destroy(struct sealed_writer *writer)
{
	if (!writer)
		return;
	env_close(writer->file);
	ZSTD_freeCCtx(writer->zstd);
	free(writer->packed);
	free(writer->seen);
	free(writer->postings);
	buf_finish(&writer->heads);
	buf_finish(&writer->texts);
	buf_finish(&writer->table);
	buf_finish(&writer->out);
	free(writer);
}

static int
writer_put(struct sealed_writer *writer, const void *bytes, size_t len)
{
	int r = env_pwrite(writer->file, bytes, len, writer->at);
	if (r == 0)
		writer->at += len;
	return r;
}

/* ── runs ── */

/* Packs one block and notes it in the table; only the first of a run has records. */
static int
run_write_block(struct sealed_writer *writer, const char *bytes, size_t len, uint64_t records)
{
	size_t packed = ZSTD_compressCCtx(writer->zstd, writer->packed, writer->packed_cap, bytes,
	    len, ZSTD_LEVEL);
	if (ZSTD_isError(packed))
		return -ENOMEM;
	sealed_put_varint(&writer->table, packed);
	sealed_put_varint(&writer->table, len);
	sealed_put_varint(&writer->table, records);
	if (records > 0) {
		sealed_put_varint(&writer->table, writer->run_seq - writer->table_seq);
		sealed_put_varint(&writer->table,
		    sealed_zigzag((int64_t)((uint64_t)writer->arrival_min_ms -
		    (uint64_t)writer->table_arrival_ms)));
		sealed_put_varint(&writer->table, (uint64_t)writer->arrival_max_ms -
		    (uint64_t)writer->arrival_min_ms);
		sealed_put_varint(&writer->table, writer->unindexed);
		writer->table_seq = writer->run_seq;
		writer->table_arrival_ms = writer->arrival_min_ms;
	}
	sealed_put_u32(&writer->table, crc32c(0, writer->packed, packed));
	writer->block++;
	return writer_put(writer, writer->packed, packed);
}

static int
run_flush(struct sealed_writer *writer)
{
	if (writer->run_records == 0)
		return 0;
	if (writer->unindexed)
		writer->posting_count = writer->run_posting;
	buf_clear(&writer->out);
	sealed_put_u32(&writer->out, (uint32_t)writer->heads.len);
	buf_append_span(&writer->out, buf_span(&writer->heads));
	buf_append_span(&writer->out, buf_span(&writer->texts));
	if (!buf_ok(&writer->out) || !buf_ok(&writer->heads) || !buf_ok(&writer->texts))
		return -ENOMEM;
	size_t count = (writer->out.len + SEALED_BLOCK_BYTES - 1) / SEALED_BLOCK_BYTES;
	size_t each = (writer->out.len + count - 1) / count;
	int r = 0;
	for (size_t at = 0; at < writer->out.len && r == 0; at += each)
		r = run_write_block(writer, writer->out.ptr + at,
		    MIN(each, writer->out.len - at), at == 0 ? writer->run_records : 0);
	buf_clear(&writer->heads);
	buf_clear(&writer->texts);
	writer->run_records = 0;
	return r;
}

static void
run_begin(struct sealed_writer *writer, const struct journal_record *record)
{
	writer->run_seq = writer->seq_expected = record->seq;
	writer->arrival_min_ms = writer->arrival_max_ms = record->arrival_ms;
	writer->arrival_last_ms = 0;
	writer->unindexed = false;
	writer->run_posting = writer->posting_count;
}

/* Whether the run has the posting already; if not it has it now. */
static bool
run_has_seen(struct sealed_writer *writer, uint64_t posting)
{
	size_t slot = (size_t)(posting >> 32) % SEEN_SLOTS;
	while ((uint32_t)writer->seen[slot] == (uint32_t)posting) { /* of this run */
		if (writer->seen[slot] == posting)
			return true;
		slot = (slot + 1) % SEEN_SLOTS;
	}
	writer->seen[slot] = posting;
	return false;
}

static int
postings_grow(struct sealed_writer *writer)
{
	size_t cap = writer->posting_cap ? writer->posting_cap * 2 : 1024;
	uint64_t *grown = realloc(writer->postings, cap * sizeof *grown);
	if (!grown)
		return -ENOMEM;
	writer->postings = grown;
	writer->posting_cap = cap;
	return 0;
}

static int
run_add_keys(struct sealed_writer *writer, const struct journal_keys *keys)
{
	writer->unindexed = writer->unindexed || keys->unknown;
	for (size_t i = 0; i < keys->count && !writer->unindexed; i++) {
		uint64_t posting = posting_make((uint32_t)keys->keys[i], writer->block);
		if (run_has_seen(writer, posting))
			continue;
		if (writer->posting_count == writer->posting_cap) {
			int r = postings_grow(writer);
			if (r < 0)
				return r;
		}
		writer->postings[writer->posting_count++] = posting;
		writer->unindexed = writer->posting_count >= POSTINGS_MAX ||
		    writer->posting_count - writer->run_posting >= RUN_KEYS_MAX;
	}
	return 0;
}

int
sealed_writer_add(struct sealed_writer *writer, const struct journal_record *record,
    const struct journal_keys *keys)
{
	size_t rejects_bytes = (size_t)record->reject_count * sizeof record->rejects[0];
	size_t texts = rejects_bytes + record->tenant.len + record->principal.len +
	    record->body.len;
	/* 80: more than the numbers of a head take. */
	if (writer->run_records > 0 && writer->heads.len + writer->texts.len + texts + 80 + 4 >
	    SEALED_BLOCK_BYTES) {
		int r = run_flush(writer);
		if (r < 0)
			return r;
	}
	if (writer->run_records == 0)
		run_begin(writer, record);
	const uint64_t numbers[] = {
		record->seq - writer->seq_expected, record->count,
		sealed_zigzag((int64_t)((uint64_t)record->arrival_ms -
		    (uint64_t)writer->arrival_last_ms)),
		record->stream, record->format, record->hints, record->reject_count,
		record->tenant.len, record->principal.len, record->body.len,
	};
	for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
		sealed_put_varint(&writer->heads, numbers[i]);
	buf_append(&writer->texts, record->rejects, rejects_bytes);
	buf_append_span(&writer->texts, record->tenant);
	buf_append_span(&writer->texts, record->principal);
	buf_append_span(&writer->texts, record->body);
	writer->seq_expected = record->seq + record->count;
	writer->arrival_last_ms = record->arrival_ms;
	writer->arrival_min_ms = MIN(writer->arrival_min_ms, record->arrival_ms);
	writer->arrival_max_ms = MAX(writer->arrival_max_ms, record->arrival_ms);
	writer->run_records++;
	writer->records++;
	return run_add_keys(writer, keys);
}

/* ── the index ── */

/* By key; those of one key stay in the order of their blocks. */
static int
postings_sort(struct sealed_writer *writer)
{
	enum { DIGITS = 1 << DIGIT_BITS };
	size_t starts[DIGITS], count = writer->posting_count;
	uint64_t *from = writer->postings, *to = malloc((count + 1) * sizeof *to);
	if (!to)
		return -ENOMEM;
	for (unsigned shift = 32; shift < 64; shift += DIGIT_BITS) {
		memset(starts, 0, sizeof starts);
		for (size_t i = 0; i < count; i++)
			starts[from[i] >> shift & (DIGITS - 1)]++;
		for (size_t i = 0, sum = 0; i < DIGITS; i++) {
			size_t here = starts[i];
			starts[i] = sum;
			sum += here;
		}
		for (size_t i = 0; i < count; i++)
			to[starts[from[i] >> shift & (DIGITS - 1)]++] = from[i];
		uint64_t *other = from;
		from = to;
		to = other;
	}
	writer->postings = from;
	writer->posting_cap = count + 1;
	free(to);
	return 0;
}

/* One key and its blocks: runs of neighbours, each the gap from the last one's end. The index of
 * the next key. */
static size_t
page_put_key(struct sealed_writer *writer, size_t i, uint32_t *key)
{
	uint32_t now = (uint32_t)(writer->postings[i] >> 32), next_block = 0;
	size_t end = i, spans = 0;
	for (; end < writer->posting_count && (uint32_t)(writer->postings[end] >> 32) == now; end++)
		spans += end == i || (uint32_t)writer->postings[end] !=
		    (uint32_t)writer->postings[end - 1] + 1;
	sealed_put_varint(&writer->out, now - *key);
	sealed_put_varint(&writer->out, spans);
	while (i < end) {
		uint32_t block = (uint32_t)writer->postings[i];
		size_t count = 1;
		while (i + count < end && (uint32_t)writer->postings[i + count] == block + count)
			count++;
		sealed_put_varint(&writer->out,
		    (uint64_t)(block - next_block) << 1 | (count > 1));
		if (count > 1)
			sealed_put_varint(&writer->out, count - 2);
		next_block = block + (uint32_t)count;
		i += count;
	}
	*key = now;
	return end;
}

static int
writer_put_pages(struct sealed_writer *writer)
{
	uint32_t page_key = 0;
	int r = postings_sort(writer);
	for (size_t i = 0; i < writer->posting_count && r == 0; ) {
		uint32_t first = (uint32_t)(writer->postings[i] >> 32), key = first;
		buf_clear(&writer->out);
		while (i < writer->posting_count && writer->out.len < PAGE_BYTES) {
			i = page_put_key(writer, i, &key);
			writer->keys++;
		}
		sealed_put_varint(&writer->table, first - page_key);
		sealed_put_varint(&writer->table, writer->out.len);
		sealed_put_u32(&writer->table, crc32c(0, writer->out.ptr, writer->out.len));
		page_key = first;
		writer->pages++;
		r = buf_ok(&writer->out) ? writer_put(writer, writer->out.ptr, writer->out.len) :
		    -ENOMEM;
	}
	return r;
}

/* The table, packed where that is shorter, twice. */
static int
writer_put_table(struct sealed_writer *writer, struct sealed_footer *footer)
{
	struct span stored = buf_span(&writer->table);
	if (!buf_ok(&writer->table))
		return -ENOMEM;
	if (stored.len > SEALED_TABLE_BYTES_MAX)
		return -EFBIG;
	buf_clear(&writer->out);
	if (buf_reserve(&writer->out, ZSTD_compressBound(stored.len)))
		return -ENOMEM;
	size_t packed = ZSTD_compressCCtx(writer->zstd, writer->out.ptr, writer->out.cap,
	    stored.ptr, stored.len, ZSTD_LEVEL);
	footer->table_raw_bytes = stored.len;
	if (!ZSTD_isError(packed) && packed < stored.len)
		stored = span_of(writer->out.ptr, packed);
	footer->table_bytes = stored.len;
	footer->table_crc = crc32c(0, stored.ptr, stored.len);
	int r = stored.len ? writer_put(writer, stored.ptr, stored.len) : 0;
	if (r == 0 && stored.len)
		r = writer_put(writer, stored.ptr, stored.len);
	return r;
}

int
sealed_writer_finish(struct sealed_writer *writer, const char *head, struct sealed_footer *footer,
    uint64_t *ret_file_bytes)
{
	char header[SEALED_HEADER_BYTES], footers[2 * SEALED_FOOTER_BYTES];
	int r = run_flush(writer);
	if (r < 0)
		return r;
	footer->pages_at = writer->at;
	r = writer_put_pages(writer);
	if (r < 0)
		return r;
	footer->table_at = writer->at;
	footer->block_count = writer->block;
	footer->page_count = writer->pages;
	footer->key_count = writer->keys;
	r = writer_put_table(writer, footer);
	if (r < 0)
		return r;
	sealed_put_footer(footers, footer);
	sealed_put_footer(footers + SEALED_FOOTER_BYTES, footer);
	r = writer_put(writer, footers, sizeof footers);
	if (r < 0)
		return r;
	sealed_put_header(header, footer->segment.number, footer->segment.generation);
	r = env_pwrite(writer->file, header, sizeof header, 0);
	if (r == 0)
		r = env_pwrite(writer->file, head, JOURNAL_BLOCK_BYTES, sizeof header);
	if (r == 0)
		r = env_sync(writer->file);
	if (r == 0)
		*ret_file_bytes = writer->at;
	return r;
}

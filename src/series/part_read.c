/*
 * part_read.c: the directory of a part, and a cursor over its index blocks and chunks.
 *
 * Invariants: nothing is believed before its checksum held; a damaged index block costs the
 * entries of that block, a damaged chunk that chunk. One cursor holds one index block and one
 * buffer of chunk bytes, which reads ahead while chunks are asked for in their order.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "check.h"
#include "codec_priv.h"
#include "hash.h"
#include "part.h"
#include "part_priv.h"
#include "shelf.h"

#define READ_AHEAD_MIN 65536u
#define READ_AHEAD_MAX (512u << 10)
#define REST_DATA_MAX (256u << 10) /* of chunks, in a cursor that rests */

/* ── opening ── */

/* Reads exactly `len` bytes; -EBADMSG when the file is shorter. */
static int
read_exactly(struct env_file *file, void *ret_bytes, size_t len, uint64_t offset)
{
	ssize_t got = env_pread(file, ret_bytes, len, offset);
	if (got < 0)
		return (int)got;
	return (size_t)got == len ? 0 : -EBADMSG;
}

/* A stored block that may be compressed, into `raw`. `stored` is checked already. */
static int
read_expand(struct span stored, size_t raw_len, struct buf *raw)
{
	buf_clear(raw);
	if (raw_len > PART_INDEX_RAW_MAX || stored.len > raw_len)
		return -EBADMSG;
	if (buf_reserve(raw, MAX(raw_len, 1)) != 0)
		return -ENOMEM;
	raw->len = raw_len;
	if (stored.len == raw_len) {
		memcpy(raw->ptr, stored.ptr, raw_len);
		return 0;
	}
	size_t got = ZSTD_decompress(raw->ptr, raw_len, stored.ptr, stored.len);
	return got == raw_len ? 0 : -EBADMSG;
}

static int
read_head(struct env_file *file, const struct store_part *info, const char **ret_reason)
{
	struct part_head head;
	int error = read_exactly(file, &head, sizeof(head), 0);
	if (error)
		return error;
	*ret_reason = "damaged header";
	if (memcmp(head.magic, PART_HEAD_MAGIC, 8) != 0 ||
	    head.crc != crc32c(0, &head, offsetof(struct part_head, crc)))
		return -EBADMSG;
	*ret_reason = "made by a newer version";
	if (head.version != PART_VERSION || head.features & ~PART_FEATURES)
		return -EPROTO;
	*ret_reason = "header and manifest differ";
	if (head.id != info->id || head.partition != info->partition || head.day != info->day ||
	    head.rollup != info->rollup || (head.features & PART_FEATURE_ROLLUPS) !=
	    (info->rollup ? PART_FEATURE_ROLLUPS : 0) ||
	    head.seq_first != info->seq_first || head.seq_last != info->seq_last)
		return -EBADMSG;
	return 0;
}

static int
read_foot(struct env_file *file, uint64_t size, const struct store_part *info,
    struct part_foot *ret_foot, const char **ret_reason)
{
	*ret_reason = "too short";
	if (size < sizeof(struct part_head) + sizeof(struct part_foot))
		return -EBADMSG;
	int error = read_exactly(file, ret_foot, sizeof(*ret_foot), size - sizeof(*ret_foot));
	if (error)
		return error;
	*ret_reason = "damaged footer";
	if (memcmp(ret_foot->magic, PART_FOOT_MAGIC, 8) != 0 ||
	    ret_foot->crc != crc32c(0, ret_foot, offsetof(struct part_foot, crc)))
		return -EBADMSG;
	*ret_reason = "made by a newer version";
	if (ret_foot->version != PART_VERSION || ret_foot->features & ~PART_FEATURES)
		return -EPROTO;
	*ret_reason = "footer and manifest differ";
	if (ret_foot->points != info->points || ret_foot->series != info->series)
		return -EBADMSG;
	*ret_reason = "footer out of bounds";
	if (ret_foot->dir_offset > size || ret_foot->data_end > ret_foot->dir_offset ||
	    ret_foot->data_end < sizeof(struct part_head) ||
	    ret_foot->dir_len != size - sizeof(*ret_foot) - ret_foot->dir_offset ||
	    ret_foot->blocks > ret_foot->dir_raw_len)
		return -EBADMSG;
	return 0;
}

/* Appends the key that shares `shared` bytes with `before` (which may lie in `keys`). */
static bool
read_key(struct bits_in *in, struct buf *keys, size_t before_off, size_t before_len,
    size_t *ret_len)
{
	uint64_t shared, len;
	if (!bits_get_varint(in, &shared) || !bits_get_varint(in, &len))
		return false;
	if (shared > before_len || len > bits_left(in) || shared + len > SERIES_KEY_BYTES_MAX)
		return false;
	if (buf_reserve(keys, shared + len + 1) != 0)
		return false;
	memmove(keys->ptr + keys->len, keys->ptr + before_off, shared);
	memcpy(keys->ptr + keys->len + shared, in->at, len);
	in->at += len;
	keys->len += shared + len;
	*ret_len = shared + len;
	return true;
}

static bool
read_block(struct bits_in *in, struct part *part, struct part_block *block,
    const struct part_block *before)
{
	size_t key_len;
	uint64_t data_len, index_len, raw_len, entries;
	block->key_off = (uint32_t)part->keys.len;
	if (!read_key(in, &part->keys, before ? before->key_off : 0, before ? before->key_len : 0,
	    &key_len))
		return false;
	block->key_len = (uint32_t)key_len;
	const char *keys = part->keys.ptr;
	if (before && span_cmp(span_of(keys + before->key_off, before->key_len),
	    span_of(keys + block->key_off, key_len)) >= 0)
		return false;
	if (!bits_get_varint(in, &data_len) || !bits_get_varint(in, &index_len) ||
	    !bits_get_varint(in, &raw_len) || !bits_get_varint(in, &entries) ||
	    !bits_get(in, &block->index_crc, 4))
		return false;
	if (data_len > UINT32_MAX || index_len > raw_len || raw_len > PART_INDEX_RAW_MAX ||
	    entries > raw_len || entries == 0)
		return false;
	block->data_len = (uint32_t)data_len;
	block->index_len = (uint32_t)index_len;
	block->index_raw_len = (uint32_t)raw_len;
	block->entries = (uint32_t)entries;
	return true;
}

static int
read_blocks(struct part *part, const struct part_foot *foot, struct span raw)
{
	struct bits_in in = bits_in_of(raw);
	part->blocks = calloc(MAX(foot->blocks, 1), sizeof(*part->blocks));
	if (!part->blocks)
		return -ENOMEM;
	uint64_t data = sizeof(struct part_head), index = foot->data_end;
	for (uint32_t i = 0; i < foot->blocks; i++) {
		struct part_block *block = &part->blocks[i];
		if (!read_block(&in, part, block, i ? block - 1 : NULL))
			return buf_ok(&part->keys) ? -EBADMSG : -ENOMEM;
		block->data_offset = data;
		block->index_offset = index;
		data += block->data_len;
		index += block->index_len;
	}
	part->block_count = foot->blocks;
	part->data_end = foot->data_end;
	if (data != foot->data_end || index != foot->dir_offset || in.at != in.end)
		return -EBADMSG;
	return 0;
}

static int
read_directory(struct part *part, struct env_file *file, const char **ret_reason)
{
	struct part_foot foot;
	struct buf stored = {0}, raw = {0};
	uint64_t size;
	int error = env_size(file, &size);
	if (error == 0)
		error = read_head(file, &part->info, ret_reason);
	if (error == 0)
		error = read_foot(file, size, &part->info, &foot, ret_reason);
	if (error)
		return error;
	*ret_reason = "damaged directory";
	error = buf_reserve(&stored, foot.dir_len + 1);
	if (error == 0)
		error = read_exactly(file, stored.ptr, foot.dir_len, foot.dir_offset);
	if (error == 0 && crc32c(0, stored.ptr, foot.dir_len) != foot.dir_crc)
		error = -EBADMSG;
	if (error == 0)
		error = read_expand(span_of(stored.ptr, foot.dir_len), foot.dir_raw_len, &raw);
	if (error == 0)
		error = read_blocks(part, &foot, buf_span(&raw));
	buf_finish(&stored);
	buf_finish(&raw);
	return error;
}

int
part_open(struct env *env, const char *dir, const struct store_part *info,
    struct part **ret_part, const char **ret_reason)
{
	char path[PART_PATH_BYTES_MAX];
	struct env_file *file = NULL;
	*ret_reason = "cannot be read";
	int error = part_path(path, sizeof(path), dir, info->id);
	if (error)
		return error;
	struct part *part = calloc(1, sizeof(*part));
	if (!part)
		return -ENOMEM;
	refcount_init(&part->refs);
	part->env = env;
	part->info = *info;
	part->path = strdup(path);
	error = part->path ? env_open(env, path, ENV_READ, &file) : -ENOMEM;
	if (error == 0)
		error = read_directory(part, file, ret_reason);
	env_close(file);
	if (error) {
		part_unref(part);
		return error;
	}
	*ret_part = part;
	return 0;
}

struct part *
part_ref(struct part *part)
{
	refcount_up(&part->refs);
	return part;
}

void
part_unref(struct part *part)
{
	if (!part || !refcount_down(&part->refs))
		return;
	if (atomic_load_explicit(&part->doomed, memory_order_relaxed))
		env_unlink(part->env, part->path);
	shelf_forget(part);
	free(part->blocks);
	buf_finish(&part->keys);
	free(part->path);
	free(part);
}

void
part_damage(struct series_damage *ret_damage, const struct part *part, uint64_t offset,
    const char *reason)
{
	*ret_damage = (struct series_damage){.offset = offset};
	snprintf(ret_damage->file, sizeof(ret_damage->file), "%llu.part",
	    (unsigned long long)part->info.id);
	snprintf(ret_damage->reason, sizeof(ret_damage->reason), "%s", reason);
}

/* ── cursor ── */

struct part_cursor {
	struct part *part;
	struct env_file *file;
	size_t block;            /* it is in; block_count: at the end */
	bool loaded;
	size_t raw_block;        /* whose entries `raw` holds, … */
	bool raw_good;           /* … if it does */
	bool reading;            /* it may read the file */
	struct buf stored, raw;
	struct bits_in in;       /* rest of raw */
	uint32_t left;           /* entries not read yet */
	uint64_t chunk_offset;   /* of the next entry */
	int64_t before_ms;
	struct buf key;
	struct part_entry entry;
	bool standing;           /* key and entry are one's */
	bool first_of_key;
	struct buf sought;       /* the key of the last seek */
	size_t beyond;           /* keys above it that were come to since: at most that many */
	struct buf data;         /* bytes of the file from data_offset on */
	uint64_t data_offset, chunk_end;
	size_t ahead;
	uint64_t damage;
};

int
part_cursor_create(struct part *part, struct part_cursor **ret_cursor)
{
	struct part_cursor *cursor = calloc(1, sizeof(*cursor));
	if (!cursor)
		return -ENOMEM;
	cursor->part = part_ref(part);
	cursor->reading = true;
	*ret_cursor = cursor;
	return 0;
}

void
part_cursor_set_reading(struct part_cursor *cursor, bool reading)
{
	cursor->reading = reading;
}

size_t
part_cursor_rest(struct part_cursor *cursor, struct part **ret_part)
{
	*ret_part = cursor->part;
	cursor->part = NULL;
	env_close(cursor->file);
	cursor->file = NULL;
	buf_finish(&cursor->stored);
	if (cursor->data.cap > REST_DATA_MAX)
		buf_finish(&cursor->data);
	return sizeof(*cursor) + cursor->raw.cap + cursor->key.cap + cursor->sought.cap +
	    cursor->data.cap;
}

void
part_cursor_wake(struct part_cursor *cursor, struct part *part)
{
	cursor->part = part_ref(part);
	cursor->reading = true;
}

void
part_cursor_destroy(struct part_cursor *cursor)
{
	if (!cursor)
		return;
	env_close(cursor->file);
	buf_finish(&cursor->stored);
	buf_finish(&cursor->raw);
	buf_finish(&cursor->key);
	buf_finish(&cursor->sought);
	buf_finish(&cursor->data);
	part_unref(cursor->part);
	free(cursor);
}

static int
cursor_read(struct part_cursor *cursor, void *ret_bytes, size_t len, uint64_t offset)
{
	if (!cursor->file) {
		int error = env_open(cursor->part->env, cursor->part->path, ENV_READ,
		    &cursor->file);
		if (error)
			return error == -ENOENT ? -EIO : error;
	}
	return read_exactly(cursor->file, ret_bytes, len, offset);
}

static int
cursor_bad(struct part_cursor *cursor, uint64_t offset)
{
	cursor->damage = offset;
	cursor->left = 0;
	cursor->raw_good = false;
	return -EBADMSG;
}

/* To before the first entry of the block that is in `raw`. */
static void
cursor_rewind(struct part_cursor *cursor)
{
	const struct part_block *block = &cursor->part->blocks[cursor->raw_block];
	cursor->block = cursor->raw_block;
	cursor->loaded = true;
	cursor->standing = false;
	cursor->in = bits_in_of(buf_span(&cursor->raw));
	cursor->left = block->entries;
	cursor->chunk_offset = block->data_offset;
	cursor->before_ms = 0;
	buf_clear(&cursor->key);
}

/* As if it had not been asked for anything yet: it stands where the seek before has no say. */
static void
cursor_lose_place(struct part_cursor *cursor)
{
	cursor->block = 0;
	cursor->loaded = cursor->standing = false;
	cursor->left = 0;
	cursor->beyond = 0;
}

static int
cursor_load(struct part_cursor *cursor, size_t at)
{
	const struct part_block *block = &cursor->part->blocks[at];
	if (cursor->raw_good && cursor->raw_block == at) {
		cursor_rewind(cursor);
		return 0;
	}
	if (!cursor->reading) {
		cursor_lose_place(cursor);
		return -EAGAIN;
	}
	cursor->block = at;
	cursor->raw_good = false;
	cursor->loaded = true;
	cursor->standing = false;
	cursor->left = 0;
	buf_clear(&cursor->stored);
	if (buf_reserve(&cursor->stored, block->index_len + 1) != 0)
		return -ENOMEM;
	int error = cursor_read(cursor, cursor->stored.ptr, block->index_len,
	    block->index_offset);
	if (error == 0 && crc32c(0, cursor->stored.ptr, block->index_len) != block->index_crc)
		error = -EBADMSG;
	if (error == 0)
		error = read_expand(span_of(cursor->stored.ptr, block->index_len),
		    block->index_raw_len, &cursor->raw);
	if (error)
		return error == -EBADMSG ? cursor_bad(cursor, block->index_offset) : error;
	cursor->raw_block = at;
	cursor->raw_good = true;
	cursor_rewind(cursor);
	return 0;
}

static bool
cursor_read_numbers(struct bits_in *in, struct part_entry *entry)
{
	uint8_t form;
	if (!bits_get(in, &form, 1))
		return false;
	entry->summed = form & PART_ENTRY_SUMMED;
	unsigned exponent = form & PART_ENTRY_EXPONENT;
	double *more[] = {&entry->first, &entry->min, &entry->max, &entry->sum};
	if (exponent == 0) {
		if (!bits_get(in, &entry->last, 8))
			return false;
		for (size_t i = 0; entry->summed && i < ARRAY_COUNT(more); i++)
			if (!bits_get(in, more[i], 8))
				return false;
		return true;
	}
	if (exponent - 1 > CODEC_EXPONENT_MAX)
		return false;
	double power = codec_power(exponent - 1);
	int64_t last, first, min, max, sum;
	if (!bits_get_zigzag(in, &last))
		return false;
	entry->last = (double)last / power;
	if (!entry->summed)
		return true;
	if (!bits_get_zigzag(in, &first) || !bits_get_zigzag(in, &min) ||
	    !bits_get_zigzag(in, &max) || !bits_get_zigzag(in, &sum))
		return false;
	entry->first = (double)bits_sub(last, first) / power;
	entry->min = (double)bits_sub(last, min) / power;
	entry->max = (double)bits_add(max, last) / power;
	uint64_t base = entry->count * (uint64_t)last;
	entry->sum = (double)bits_add(sum, (int64_t)base) / power;
	return true;
}

static struct span
cursor_block_key(const struct part *part, size_t block)
{
	return span_of(part->keys.ptr + part->blocks[block].key_off, part->blocks[block].key_len);
}

/* Takes the key of the next entry: that of its block, or one above the key before. */
static int
cursor_read_key(struct part_cursor *cursor, bool first)
{
	struct bits_in *in = &cursor->in;
	struct buf *key = &cursor->key;
	uint64_t shared, rest;
	if (!bits_get_varint(in, &shared) || !bits_get_varint(in, &rest) || shared > key->len ||
	    rest > bits_left(in) || shared + rest > SERIES_KEY_BYTES_MAX)
		return -EBADMSG;
	if (shared < key->len && (rest == 0 || *in->at <= (uint8_t)key->ptr[shared]))
		return -EBADMSG;
	key->len = shared;
	if (buf_append(key, in->at, rest) != 0)
		return -ENOMEM;
	in->at += rest;
	cursor->first_of_key = rest > 0;
	if (first && !span_eq(buf_span(key), cursor_block_key(cursor->part, cursor->block)))
		return -EBADMSG;
	return 0;
}

/* Times of a part lie in its days, those of a series rise from chunk to chunk. */
static bool
cursor_times_fit(const struct part_cursor *cursor, const struct part_entry *entry, bool first,
    int64_t before_ms)
{
	int64_t day_ms = cursor->part->info.day * PART_DAY_MS;
	int64_t end_ms = day_ms + part_days(cursor->part->info.rollup) * PART_DAY_MS;
	return entry->first_ms >= day_ms && entry->last_ms >= entry->first_ms &&
	    entry->last_ms < end_ms && (first || entry->first_ms > before_ms);
}

/* The next entry of the loaded block. */
static int
cursor_read_entry(struct part_cursor *cursor)
{
	const struct part_block *block = &cursor->part->blocks[cursor->block];
	struct bits_in *in = &cursor->in;
	struct part_entry *entry = &cursor->entry;
	uint64_t len, count, span_ms;
	int64_t step_ms, before_ms = entry->last_ms;
	int error = cursor_read_key(cursor, cursor->left == block->entries);
	if (error)
		return error == -EBADMSG ? cursor_bad(cursor, block->index_offset) : error;
	if (!bits_get_varint(in, &len) || !bits_get_varint(in, &count) ||
	    !bits_get_zigzag(in, &step_ms) || !bits_get_varint(in, &span_ms) ||
	    len > block->data_offset + block->data_len - cursor->chunk_offset ||
	    count < 1 || count > PART_CHUNK_POINTS_MAX)
		return cursor_bad(cursor, block->index_offset);
	entry->offset = cursor->chunk_offset;
	entry->len = (uint32_t)len;
	entry->count = (uint32_t)count;
	entry->first_ms = bits_add(cursor->before_ms, step_ms);
	entry->last_ms = bits_add(entry->first_ms, (int64_t)span_ms);
	if (!cursor_read_numbers(in, entry) ||
	    !cursor_times_fit(cursor, entry, cursor->first_of_key, before_ms))
		return cursor_bad(cursor, block->index_offset);
	cursor->standing = true;
	cursor->beyond += cursor->first_of_key;
	cursor->before_ms = entry->first_ms;
	cursor->chunk_offset += len;
	cursor->left--;
	return 1;
}

int
part_cursor_next(struct part_cursor *cursor)
{
	cursor->standing = false;
	while (cursor->left == 0) {
		if (cursor->loaded)
			cursor->block++;
		if (cursor->block >= cursor->part->block_count)
			return 0;
		int error = cursor_load(cursor, cursor->block);
		if (error)
			return error;
	}
	return cursor_read_entry(cursor);
}

/* The last block whose first key is not above `key`, or the first of all. */
static size_t
cursor_find_block(const struct part *part, struct span key)
{
	size_t low = 0, high = part->block_count;
	while (high - low > 1) {
		size_t mid = (low + high) / 2;
		if (span_cmp(cursor_block_key(part, mid), key) <= 0)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* Whether the entry it stands on is the answer already: so it is in a walk in order. */
static bool
cursor_there(const struct part_cursor *cursor, struct span key)
{
	if (!cursor->standing || !cursor->first_of_key)
		return false;
	int order = span_cmp(buf_span(&cursor->key), key);
	return order == 0 || (order > 0 && cursor->beyond <= 1 &&
	    span_cmp(key, buf_span(&cursor->sought)) > 0);
}

/* Whether a walk in order has come to the end of the part. */
static bool
cursor_ended(const struct part_cursor *cursor, struct span key)
{
	return cursor->loaded && cursor->block >= cursor->part->block_count &&
	    cursor->beyond == 0 && span_cmp(key, buf_span(&cursor->sought)) > 0;
}

static int
cursor_go_to(struct part_cursor *cursor, struct span key)
{
	size_t block = cursor_find_block(cursor->part, key);
	bool before = cursor->standing && cursor->block == block &&
	    span_cmp(buf_span(&cursor->key), key) < 0;
	int error = before ? 0 : cursor_load(cursor, block);
	if (error)
		return error;
	for (;;) {
		int got = part_cursor_next(cursor);
		if (got <= 0 || span_cmp(buf_span(&cursor->key), key) >= 0)
			return got;
	}
}

int
part_cursor_seek(struct part_cursor *cursor, struct span key)
{
	if (cursor->part->block_count == 0)
		return 0;
	bool there = cursor_there(cursor, key), ended = cursor_ended(cursor, key);
	buf_clear(&cursor->sought);
	if (buf_append_span(&cursor->sought, key) != 0)
		return -ENOMEM;
	int got = there || ended ? there : cursor_go_to(cursor, key);
	cursor->beyond = got == 1 && !span_eq(buf_span(&cursor->key), key);
	return got;
}

struct span
part_cursor_key(const struct part_cursor *cursor)
{
	return buf_span(&cursor->key);
}

const struct part_entry *
part_cursor_entry(const struct part_cursor *cursor)
{
	return &cursor->entry;
}

uint64_t
part_cursor_damage(const struct part_cursor *cursor)
{
	return cursor->damage;
}

int
part_cursor_chunk(struct part_cursor *cursor, const struct part_entry *entry,
    struct span *ret_chunk)
{
	uint64_t end = entry->offset + entry->len;
	if (entry->offset >= cursor->data_offset &&
	    end <= cursor->data_offset + cursor->data.len)
		goto found;
	if (!cursor->reading)
		return -EAGAIN;
	if (entry->offset == cursor->chunk_end && cursor->chunk_end)
		cursor->ahead = MIN(MAX(cursor->ahead * 2, READ_AHEAD_MIN), READ_AHEAD_MAX);
	else
		cursor->ahead = 0;
	uint64_t want = MAX(entry->len, cursor->ahead);
	want = MIN(want, cursor->part->data_end - entry->offset);
	buf_clear(&cursor->data);
	if (buf_reserve(&cursor->data, want + 1) != 0)
		return -ENOMEM;
	int error = cursor_read(cursor, cursor->data.ptr, want, entry->offset);
	if (error)
		return error;
	cursor->data.len = want;
	cursor->data_offset = entry->offset;
found:
	cursor->chunk_end = end;
	*ret_chunk = span_of(cursor->data.ptr + (entry->offset - cursor->data_offset), entry->len);
	return 0;
}

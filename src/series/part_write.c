/*
 * part_write.c: a part file from first to last byte.
 *
 *   header     64 bytes: magic "WEIRPART", version, feature bits, id, partition, day, level,
 *              kind of roll-ups, seq_first, seq_last, 0, CRC-32C of the bytes before
 *   chunks     of all series in the order of their keys, one behind the other (codec.c)
 *   index      per block of chunks (64 KiB or 1,024 chunks, and always whole series) one index
 *              block, zstd where that is shorter; its entries, one a chunk:
 *                varint bytes of the key shared with the entry before, varint len, the rest
 *                varint len of the chunk, varint count
 *                zigzag varint first time − first time of the entry before, varint last − first
 *                1 byte: exponent + 1 (0: plain doubles) | 0x40: with first, min, max, sum
 *                last, then these: decimals as zigzag varints last, last − first, last − min,
 *                max − last, sum − count × last, all times 10^exponent; else 8 bytes each
 *   directory  zstd where that is shorter; per block: varint shared, varint len, rest of its
 *              first key; varints data len, index len, index raw len, entries; CRC-32C of the
 *              index block (4)
 *   footer     88 bytes: see part_priv.h; magic "WEIRPEND" and CRC-32C at its end
 *
 * All integers are little-endian. Every byte lies under a checksum: chunks under their own, index
 * blocks under the directory's, the directory under the footer's.
 * Invariant: until part_writer_finish returned 0 nobody may rely on the file.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "check.h"
#include "codec.h"
#include "codec_priv.h"
#include "hash.h"
#include "part.h"
#include "part_priv.h"

#define WRITE_BYTES (256u << 10)
#define WRITE_SUMMARY_POINTS_MIN 16u /* fewer are decoded as fast as a summary is read */
#define WRITE_ZSTD_LEVEL 3

struct part_writer {
	struct env *env;
	struct env_file *file;
	const char *dir; /* the caller's, for the time of writing */
	char *path;
	bool finished;
	struct store_part info;
	struct buf data;         /* chunks that were not written yet */
	uint64_t written;        /* bytes in the file */
	struct buf scratch;
	/* the block that is being filled */
	struct buf index;        /* its entries */
	uint64_t block_start;    /* offset of its first chunk */
	uint32_t block_entries;
	int64_t before_ms;       /* first time of the entry before */
	struct buf first_key;
	/* of all blocks */
	struct buf indexes;      /* finished index blocks */
	struct buf dir_bytes;
	struct buf dir_key;      /* first key of the block before */
	uint32_t blocks;
	/* the series */
	struct buf key, entry_key; /* its own; that of the entry before */
	bool fresh;              /* no chunk of it yet */
};

/* ── small pieces ── */

int
part_path(char *ret_path, size_t size, const char *dir, uint64_t id)
{
	int len = snprintf(ret_path, size, "%s/%llu.part", dir, (unsigned long long)id);
	return len > 0 && (size_t)len < size ? 0 : -ENAMETOOLONG;
}

static size_t
write_shared(struct span a, struct span b)
{
	size_t len = 0, max = MIN(a.len, b.len);
	while (len < max && a.ptr[len] == b.ptr[len])
		len++;
	return len;
}

static void
write_key(struct buf *out, struct span before, struct span key)
{
	size_t shared = write_shared(before, key);
	codec_put_varint(out, shared);
	codec_put_varint(out, key.len - shared);
	buf_append_span(out, span_skip(key, shared));
}

static void
write_copy(struct buf *to, struct span from)
{
	buf_clear(to);
	buf_append_span(to, from);
}

/* Appends `raw`, compressed where that is shorter; the bytes appended, 0 when memory is out. */
static size_t
write_compressed(struct buf *out, struct span raw)
{
	size_t room = ZSTD_compressBound(raw.len);
	if (buf_reserve(out, room) != 0)
		return 0;
	size_t len = ZSTD_compress(out->ptr + out->len, room, raw.ptr, raw.len, WRITE_ZSTD_LEVEL);
	if (ZSTD_isError(len) || len >= raw.len) {
		len = raw.len;
		memcpy(out->ptr + out->len, raw.ptr, len);
	}
	out->len += len;
	return len;
}

static uint64_t
write_end(const struct part_writer *writer)
{
	return writer->written + writer->data.len;
}

static int
write_out(struct part_writer *writer, struct buf *bytes)
{
	if (!buf_ok(bytes))
		return -ENOMEM;
	if (bytes->len == 0)
		return 0;
	int error = env_pwrite(writer->file, bytes->ptr, bytes->len, writer->written);
	if (error)
		return error;
	writer->written += bytes->len;
	buf_clear(bytes);
	return 0;
}

/* ── begin ── */

int
part_writer_create(struct env *env, const char *dir, const struct store_part *info,
    struct part_writer **ret_writer)
{
	char path[PART_PATH_BYTES_MAX];
	int error = part_path(path, sizeof(path), dir, info->id);
	if (error)
		return error;
	struct part_writer *writer = calloc(1, sizeof(*writer));
	if (!writer)
		return -ENOMEM;
	writer->env = env;
	writer->dir = dir;
	writer->info = *info;
	writer->info.points = writer->info.series = writer->info.bytes = 0;
	writer->info.time_first = INT64_MAX;
	writer->info.time_last = INT64_MIN;
	struct part_head head = {
		.magic = PART_HEAD_MAGIC,
		.version = PART_VERSION,
		.features = info->rollup ? PART_FEATURE_ROLLUPS : 0,
		.id = info->id,
		.partition = info->partition,
		.day = info->day,
		.level = info->level,
		.rollup = info->rollup,
		.seq_first = info->seq_first,
		.seq_last = info->seq_last,
	};
	head.crc = crc32c(0, &head, offsetof(struct part_head, crc));
	error = -ENOMEM;
	writer->path = strdup(path);
	if (!writer->path || buf_append(&writer->data, &head, sizeof(head)) != 0)
		goto fail;
	error = env_open(env, path, ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE, &writer->file);
	if (error)
		goto fail;
	*ret_writer = writer;
	return 0;
fail:
	part_writer_destroy(writer);
	return error;
}

void
part_writer_destroy(struct part_writer *writer)
{
	if (!writer)
		return;
	if (writer->file) {
		env_close(writer->file);
		if (!writer->finished)
			env_unlink(writer->env, writer->path);
	}
	struct buf *bufs[] = {&writer->data, &writer->scratch, &writer->index, &writer->first_key,
	    &writer->indexes, &writer->dir_bytes, &writer->dir_key, &writer->key,
	    &writer->entry_key};
	for (size_t i = 0; i < ARRAY_COUNT(bufs); i++)
		buf_finish(bufs[i]);
	free(writer->path);
	free(writer);
}

/* ── blocks ── */

static int
write_end_block(struct part_writer *writer)
{
	if (writer->block_entries == 0)
		return 0;
	if (!buf_ok(&writer->index) || !buf_ok(&writer->first_key))
		return -ENOMEM;
	size_t start = writer->indexes.len;
	size_t len = write_compressed(&writer->indexes, buf_span(&writer->index));
	if (len == 0)
		return -ENOMEM;
	uint8_t crc[4];
	bits_store32(crc, crc32c(0, writer->indexes.ptr + start, len));
	struct buf *dir = &writer->dir_bytes;
	write_key(dir, buf_span(&writer->dir_key), buf_span(&writer->first_key));
	codec_put_varint(dir, write_end(writer) - writer->block_start);
	codec_put_varint(dir, len);
	codec_put_varint(dir, writer->index.len);
	codec_put_varint(dir, writer->block_entries);
	buf_append(dir, crc, sizeof(crc));
	write_copy(&writer->dir_key, buf_span(&writer->first_key));
	if (!buf_ok(dir) || !buf_ok(&writer->dir_key))
		return -ENOMEM;
	writer->blocks++;
	writer->block_entries = 0;
	buf_clear(&writer->index);
	return 0;
}

int
part_writer_series(struct part_writer *writer, struct span key)
{
	if (writer->data.len >= WRITE_BYTES) {
		int error = write_out(writer, &writer->data);
		if (error)
			return error;
	}
	uint64_t block_bytes = write_end(writer) - writer->block_start;
	if (writer->block_entries >= PART_BLOCK_ENTRIES ||
	    (writer->block_entries && block_bytes >= PART_BLOCK_BYTES)) {
		int error = write_end_block(writer);
		if (error)
			return error;
	}
	write_copy(&writer->key, key);
	writer->fresh = true;
	return buf_ok(&writer->key) ? 0 : -ENOMEM;
}

/* ── entries ── */

static void
write_numbers_plain(struct buf *index, const struct part_entry *entry)
{
	uint8_t form = entry->summed ? PART_ENTRY_SUMMED : 0;
	const double numbers[] = {entry->last, entry->first, entry->min, entry->max, entry->sum};
	codec_put(index, &form, 1);
	codec_put(index, numbers, sizeof(double) * (entry->summed ? ARRAY_COUNT(numbers) : 1));
}

/* Whether the entry's numbers are decimals of a few digits; then it writes them. */
static bool
write_numbers_decimal(struct buf *index, const struct part_entry *entry)
{
	int64_t last = 0, first = 0, min = 0, max = 0, sum = 0;
	unsigned e = 0;
	for (; e <= 9; e++) {
		if (!codec_scale(entry->last, e, &last))
			continue;
		if (!entry->summed)
			break;
		if (codec_scale(entry->first, e, &first) && codec_scale(entry->min, e, &min) &&
		    codec_scale(entry->max, e, &max))
			break;
	}
	if (e > 9)
		return false;
	if (entry->summed) {
		/* The sum of decimals is one, too: better than the sum of roundings. */
		double scaled = nearbyint(entry->sum * codec_power(e));
		double most = fabs((double)last) * entry->count;
		if (!(fabs(scaled) < 0x1p50) || !(most < 0x1p50))
			return false;
		sum = (int64_t)scaled;
	}
	uint8_t form = (uint8_t)((e + 1) | (entry->summed ? PART_ENTRY_SUMMED : 0));
	codec_put(index, &form, 1);
	codec_put_varint(index, bits_zigzag(last));
	if (entry->summed) {
		codec_put_varint(index, bits_zigzag(last - first));
		codec_put_varint(index, bits_zigzag(last - min));
		codec_put_varint(index, bits_zigzag(max - last));
		codec_put_varint(index, bits_zigzag(sum - (int64_t)entry->count * last));
	}
	return true;
}

static int
write_entry(struct part_writer *writer, const struct part_entry *entry)
{
	struct buf *index = &writer->index;
	if (writer->block_entries == 0) {
		writer->block_start = entry->offset;
		writer->before_ms = 0;
		buf_clear(&writer->entry_key);
		write_copy(&writer->first_key, buf_span(&writer->key));
	}
	write_key(index, buf_span(&writer->entry_key), buf_span(&writer->key));
	codec_put_varint(index, entry->len);
	codec_put_varint(index, entry->count);
	codec_put_varint(index, bits_zigzag(entry->first_ms - writer->before_ms));
	codec_put_varint(index, (uint64_t)(entry->last_ms - entry->first_ms));
	if (!write_numbers_decimal(index, entry))
		write_numbers_plain(index, entry);
	if (writer->fresh)
		write_copy(&writer->entry_key, buf_span(&writer->key));
	writer->before_ms = entry->first_ms;
	writer->block_entries++;
	writer->info.series += writer->fresh;
	writer->fresh = false;
	writer->info.points += entry->count;
	writer->info.time_first = MIN(writer->info.time_first, entry->first_ms);
	writer->info.time_last = MAX(writer->info.time_last, entry->last_ms);
	return buf_ok(index) && buf_ok(&writer->entry_key) ? 0 : -ENOMEM;
}

static void
write_summarize(struct part_entry *entry, const double *values, size_t count)
{
	double min = values[0], max = values[0], sum = 0;
	for (size_t i = 0; i < count; i++) {
		min = values[i] < min ? values[i] : min;
		max = values[i] > max ? values[i] : max;
		sum += values[i];
	}
	entry->first = values[0];
	entry->min = min;
	entry->max = max;
	entry->sum = sum;
	/* One NaN or infinity makes the sum one: then only the points themselves can tell. */
	entry->summed = isfinite(sum);
}

int
part_writer_points(struct part_writer *writer, const int64_t *times_ms, const double *values,
    size_t count)
{
	check(count >= 1 && count <= PART_CHUNK_POINTS_MAX);
	struct part_entry entry = {
		.offset = write_end(writer),
		.count = (uint32_t)count,
		.first_ms = times_ms[0],
		.last_ms = times_ms[count - 1],
		.last = values[count - 1],
	};
	size_t before = writer->data.len;
	int error = codec_encode(times_ms, values, count, &writer->scratch, &writer->data);
	if (error)
		return error;
	entry.len = (uint32_t)(writer->data.len - before);
	if (count >= WRITE_SUMMARY_POINTS_MIN)
		write_summarize(&entry, values, count);
	return write_entry(writer, &entry);
}

int
part_writer_copy(struct part_writer *writer, struct span chunk, const struct part_entry *entry)
{
	struct part_entry copy = *entry;
	copy.offset = write_end(writer);
	if (buf_append_span(&writer->data, chunk) != 0)
		return -ENOMEM;
	int error = write_entry(writer, &copy);
	if (error == 0 && writer->data.len >= WRITE_BYTES)
		error = write_out(writer, &writer->data);
	return error;
}

/* ── end ── */

bool
part_writer_is_empty(const struct part_writer *writer)
{
	return writer->info.points == 0;
}

static int
write_foot(struct part_writer *writer)
{
	struct part_foot foot = {
		.data_end = write_end(writer),
		.blocks = writer->blocks,
		.points = writer->info.points,
		.series = writer->info.series,
		.time_first = writer->info.time_first,
		.time_last = writer->info.time_last,
		.version = PART_VERSION,
		.features = writer->info.rollup ? PART_FEATURE_ROLLUPS : 0,
		.magic = PART_FOOT_MAGIC,
	};
	struct buf *data = &writer->data;
	buf_append_span(data, buf_span(&writer->indexes));
	foot.dir_offset = write_end(writer);
	size_t start = data->len;
	size_t len = write_compressed(data, buf_span(&writer->dir_bytes));
	if (len == 0 || !buf_ok(data))
		return -ENOMEM;
	foot.dir_len = (uint32_t)len;
	foot.dir_raw_len = (uint32_t)writer->dir_bytes.len;
	foot.dir_crc = crc32c(0, data->ptr + start, len);
	foot.crc = crc32c(0, &foot, offsetof(struct part_foot, crc));
	buf_append(data, &foot, sizeof(foot));
	return write_out(writer, data);
}

int
part_writer_finish(struct part_writer *writer, struct part **ret_part)
{
	check(writer->info.points > 0);
	int error = write_end_block(writer);
	if (error == 0)
		error = write_foot(writer);
	if (error == 0)
		error = env_sync(writer->file);
	if (error)
		return error;
	writer->info.bytes = writer->written;
	const char *reason;
	error = part_open(writer->env, writer->dir, &writer->info, ret_part, &reason);
	if (error)
		return error == -EBADMSG ? -EIO : error;
	writer->finished = true;
	return 0;
}

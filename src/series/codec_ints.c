/*
 * codec_ints.c: a run of 64-bit integers in the form that is smallest for it.
 *
 * PACK: blocks of 256: zigzag varint (minimum minus the minimum of the block before), width in
 *   bits (1 byte, 0..64), then count × width bits of (value − minimum), lowest bit first.
 * RUNS: zigzag varint (value − value of the run before), varint (length of the run − 1).
 * ENTROPY: see codec_entropy.c.
 *
 * Invariants: all arithmetic wraps; a decoder writes exactly `count` values or fails.
 */
#include <errno.h>

#include "check.h"
#include "codec_priv.h"

#define INTS_BLOCK 256u

struct ints_range {
	int64_t min;
	unsigned width; /* bits of max − min */
};

static struct ints_range
ints_range(const int64_t *values, size_t count)
{
	int64_t min = values[0], max = values[0];
	for (size_t i = 1; i < count; i++) {
		min = MIN(min, values[i]);
		max = MAX(max, values[i]);
	}
	uint64_t span = (uint64_t)max - (uint64_t)min;
	return (struct ints_range){min, span ? 64 - (unsigned)__builtin_clzll(span) : 0};
}

/* ── PACK ── */

static size_t
ints_pack_bytes(const int64_t *values, size_t count)
{
	size_t bytes = 0;
	int64_t before = 0;
	for (size_t i = 0; i < count; i += INTS_BLOCK) {
		size_t n = MIN(count - i, INTS_BLOCK);
		struct ints_range range = ints_range(values + i, n);
		bytes += bits_varint_len(bits_zigzag(bits_sub(range.min, before))) + 1;
		bytes += (n * range.width + 7) / 8;
		before = range.min;
	}
	return bytes;
}

/* `at` is zeroed and has 16 bytes behind the last bit. */
static void
ints_pack_block(uint8_t *at, const int64_t *values, size_t count, struct ints_range range)
{
	uint64_t bit = 0;
	for (size_t i = 0; i < count; i++, bit += range.width) {
		uint64_t value = (uint64_t)values[i] - (uint64_t)range.min;
		uint8_t *byte = at + (bit >> 3);
		unsigned shift = bit & 7;
		bits_store64(byte, bits_load64(byte) | value << shift);
		if (shift + range.width > 64)
			byte[8] = (uint8_t)(value >> (64 - shift));
	}
}

static int
ints_pack_encode(const int64_t *values, size_t count, struct buf *out)
{
	int64_t before = 0;
	for (size_t i = 0; i < count; i += INTS_BLOCK) {
		size_t n = MIN(count - i, INTS_BLOCK);
		struct ints_range range = ints_range(values + i, n);
		size_t bytes = (n * range.width + 7) / 8;
		if (buf_reserve(out, BITS_VARINT_BYTES_MAX + 1 + bytes + 16) != 0)
			return -ENOMEM;
		uint8_t *at = (uint8_t *)out->ptr + out->len;
		at += bits_put_varint(at, bits_zigzag(bits_sub(range.min, before)));
		*at++ = (uint8_t)range.width;
		memset(at, 0, bytes + 16);
		if (range.width)
			ints_pack_block(at, values + i, n, range);
		out->len = (size_t)(at - (uint8_t *)out->ptr) + bytes;
		before = range.min;
	}
	return 0;
}

/* Values whose eight (nine) bytes lie inside [at, end). */
static size_t
ints_unpack_fast(const uint8_t *at, const uint8_t *end, int64_t *values, size_t count,
    struct ints_range range)
{
	size_t left = (size_t)(end - at);
	if (left < 9)
		return 0;
	size_t safe = MIN(count, ((left - 9) * 8 + 7) / range.width + 1);
	uint64_t mask = range.width == 64 ? UINT64_MAX : (UINT64_C(1) << range.width) - 1;
	uint64_t bit = 0;
	if (range.width <= 57) {
		for (size_t i = 0; i < safe; i++, bit += range.width) {
			uint64_t word = bits_load64(at + (bit >> 3)) >> (bit & 7);
			values[i] = bits_add(range.min, (int64_t)(word & mask));
		}
		return safe;
	}
	for (size_t i = 0; i < safe; i++, bit += range.width) {
		const uint8_t *byte = at + (bit >> 3);
		unsigned shift = bit & 7;
		uint64_t word = bits_load64(byte) >> shift;
		if (shift)
			word |= (uint64_t)byte[8] << (64 - shift);
		values[i] = bits_add(range.min, (int64_t)(word & mask));
	}
	return safe;
}

static int
ints_unpack_block(struct bits_in *in, int64_t *values, size_t count, struct ints_range range)
{
	if (range.width == 0) {
		for (size_t i = 0; i < count; i++)
			values[i] = range.min;
		return 0;
	}
	size_t bytes = (count * range.width + 7) / 8;
	if (bits_left(in) < bytes)
		return -EBADMSG;
	size_t done = ints_unpack_fast(in->at, in->end, values, count, range);
	uint64_t mask = range.width == 64 ? UINT64_MAX : (UINT64_C(1) << range.width) - 1;
	for (uint64_t bit = done * range.width; done < count; done++, bit += range.width) {
		uint8_t tail[16] = {0};
		const uint8_t *byte = in->at + (bit >> 3);
		memcpy(tail, byte, MIN((size_t)(in->end - byte), 9));
		unsigned shift = bit & 7;
		uint64_t word = bits_load64(tail) >> shift;
		if (shift)
			word |= (uint64_t)tail[8] << (64 - shift);
		values[done] = bits_add(range.min, (int64_t)(word & mask));
	}
	in->at += bytes;
	return 0;
}

static int
ints_pack_decode(struct bits_in *in, int64_t *values, size_t count)
{
	int64_t before = 0;
	for (size_t i = 0; i < count; i += INTS_BLOCK) {
		size_t n = MIN(count - i, INTS_BLOCK);
		int64_t step;
		uint8_t width;
		if (!bits_get_zigzag(in, &step) || !bits_get(in, &width, 1) || width > 64)
			return -EBADMSG;
		before = bits_add(before, step);
		if (ints_unpack_block(in, values + i, n, (struct ints_range){before, width}) != 0)
			return -EBADMSG;
	}
	return 0;
}

/* ── RUNS ── */

/* SIZE_MAX as soon as it exceeds `limit`. */
static size_t
ints_runs_bytes(const int64_t *values, size_t count, size_t limit)
{
	size_t bytes = 0;
	int64_t before = 0;
	for (size_t i = 0, end; i < count; i = end) {
		for (end = i + 1; end < count && values[end] == values[i]; end++)
			;
		bytes += bits_varint_len(bits_zigzag(bits_sub(values[i], before)));
		bytes += bits_varint_len(end - i - 1);
		before = values[i];
		if (bytes > limit)
			return SIZE_MAX;
	}
	return bytes;
}

static int
ints_runs_encode(const int64_t *values, size_t count, struct buf *out)
{
	int64_t before = 0;
	for (size_t i = 0, end; i < count; i = end) {
		for (end = i + 1; end < count && values[end] == values[i]; end++)
			;
		if (codec_put_varint(out, bits_zigzag(bits_sub(values[i], before))) != 0 ||
		    codec_put_varint(out, end - i - 1) != 0)
			return -ENOMEM;
		before = values[i];
	}
	return 0;
}

static int
ints_runs_decode(struct bits_in *in, int64_t *values, size_t count)
{
	int64_t value = 0;
	for (size_t i = 0; i < count;) {
		int64_t step;
		uint64_t more;
		if (!bits_get_zigzag(in, &step) || !bits_get_varint(in, &more))
			return -EBADMSG;
		if (more >= count - i)
			return -EBADMSG;
		value = bits_add(value, step);
		for (size_t end = i + more + 1; i < end; i++)
			values[i] = value;
	}
	return 0;
}

/* ── all ── */

struct codec_ints_plan
codec_ints_plan(const int64_t *values, size_t count)
{
	if (count == 0)
		return (struct codec_ints_plan){CODEC_INTS_PACK, 1};
	struct codec_ints_plan plan = {CODEC_INTS_PACK, ints_pack_bytes(values, count)};
	size_t runs = ints_runs_bytes(values, count, plan.bytes);
	if (runs < plan.bytes)
		plan = (struct codec_ints_plan){CODEC_INTS_RUNS, runs};
	plan.bytes++;
	return plan;
}

int
codec_ints_encode(struct codec_ints_plan plan, const int64_t *values, size_t count,
    struct buf *out)
{
	if (buf_append_byte(out, (char)plan.form) != 0)
		return -ENOMEM;
	if (plan.form == CODEC_INTS_RUNS)
		return ints_runs_encode(values, count, out);
	return ints_pack_encode(values, count, out);
}

int
codec_ints_decode(struct bits_in *in, int64_t *ret_values, size_t count)
{
	uint8_t form;
	if (!bits_get(in, &form, 1))
		return -EBADMSG;
	switch (form) {
	case CODEC_INTS_PACK:
		return ints_pack_decode(in, ret_values, count);
	case CODEC_INTS_RUNS:
		return ints_runs_decode(in, ret_values, count);
	default:
		return -EPROTO;
	}
}

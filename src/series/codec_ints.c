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
#define INTS_STEP_MAX (INT64_C(1) << 40) /* 65,536 of them do not overflow */

struct ints_range {
	int64_t min, max;
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
	return (struct ints_range){min, max, span ? 64 - (unsigned)__builtin_clzll(span) : 0};
}

/* ── PACK ── */

/* Also the range of all. */
static size_t
ints_pack_bytes(const int64_t *values, size_t count, struct ints_range *ret_range)
{
	size_t bytes = 0;
	int64_t before = 0, least = INT64_MAX, most = INT64_MIN;
	for (size_t i = 0; i < count; i += INTS_BLOCK) {
		size_t n = MIN(count - i, INTS_BLOCK);
		struct ints_range range = ints_range(values + i, n);
		bytes += bits_varint_len(bits_zigzag(bits_sub(range.min, before))) + 1;
		bytes += (n * range.width + 7) / 8;
		before = range.min;
		least = MIN(least, range.min);
		most = MAX(most, range.max);
	}
	const int64_t ends[2] = {least, most};
	*ret_range = ints_range(ends, 2);
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
		struct ints_range range = {before, before, width};
		if (ints_unpack_block(in, values + i, n, range) != 0)
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
	struct codec_ints_plan plan = {.form = CODEC_INTS_PACK, .bytes = 1, .form_bytes = 1};
	if (count == 0)
		return plan;
	struct ints_range range;
	size_t bytes = ints_pack_bytes(values, count, &range);
	size_t runs = ints_runs_bytes(values, count, bytes);
	if (runs < bytes) {
		plan.form = CODEC_INTS_RUNS;
		bytes = runs;
	}
	plan.bytes = plan.form_bytes = bytes + 1;
	size_t entropy = codec_entropy_choose(values, count, range.min, range.width,
	    &plan.choice);
	if (entropy < bytes) {
		plan.entropy = true;
		plan.bytes = entropy + 1;
	}
	return plan;
}

int
codec_ints_encode(const struct codec_ints_plan *plan, const int64_t *values, size_t count,
    struct buf *out)
{
	size_t start = out->len;
	if (plan->entropy) {
		if (buf_append_byte(out, CODEC_INTS_ENTROPY) != 0)
			return -ENOMEM;
		int error = codec_entropy_encode(&plan->choice, values, count, out);
		if (error == 0 && out->len - start < plan->form_bytes)
			return 0;
		if (error && error != -E2BIG)
			return error;
		out->len = start; /* the estimate was wrong */
	}
	if (buf_append_byte(out, (char)plan->form) != 0)
		return -ENOMEM;
	if (plan->form == CODEC_INTS_RUNS)
		return ints_runs_encode(values, count, out);
	return ints_pack_encode(values, count, out);
}

int
codec_ints_decode(struct bits_in *in, int64_t *ret_values, size_t count)
{
	uint8_t form;
	int64_t least;
	if (!bits_get(in, &form, 1))
		return -EBADMSG;
	switch (form) {
	case CODEC_INTS_PACK:
		return ints_pack_decode(in, ret_values, count);
	case CODEC_INTS_RUNS:
		return ints_runs_decode(in, ret_values, count);
	case CODEC_INTS_ENTROPY:;
		int error = codec_entropy_decode(in, 0, ret_values, count, &least);
		for (size_t i = count; error == 0 && i-- > 1;)
			ret_values[i] = bits_sub(ret_values[i], ret_values[i - 1]);
		return error;
	default:
		return -EPROTO;
	}
}

/* first + step, first + 2 × step, …; the last. Regular times are this, so eight at a time. */
static int64_t
ints_progression(int64_t first, int64_t step, int64_t *sums, size_t count)
{
	uint64_t ahead[8], at = (uint64_t)first;
	size_t i = 0;
	for (size_t j = 0; j < 8; j++)
		ahead[j] = (uint64_t)step * (j + 1);
	for (; i + 8 <= count; i += 8, at += ahead[7])
		for (size_t j = 0; j < 8; j++)
			sums[i + j] = (int64_t)(at + ahead[j]);
	for (size_t j = 0; i < count; i++, j++)
		sums[i] = (int64_t)(at + ahead[j]);
	return sums[count - 1];
}

static int
ints_runs_sums(struct bits_in *in, int64_t first, int64_t *sums, size_t count, bool *ret_rising)
{
	int64_t value = 0;
	*ret_rising = true;
	for (size_t i = 0; i < count;) {
		int64_t step;
		uint64_t more;
		if (!bits_get_zigzag(in, &step) || !bits_get_varint(in, &more))
			return -EBADMSG;
		if (more >= count - i)
			return -EBADMSG;
		value = bits_add(value, step);
		*ret_rising &= value > 0 && value < INTS_STEP_MAX;
		first = ints_progression(first, value, sums + i, more + 1);
		i += more + 1;
	}
	return 0;
}

int
codec_ints_decode_sums(struct bits_in *in, int64_t first, int64_t *ret_sums, size_t count,
    bool *ret_rising)
{
	int64_t least;
	*ret_rising = false;
	if (bits_left(in) && *in->at == CODEC_INTS_RUNS) {
		in->at++;
		return ints_runs_sums(in, first, ret_sums, count, ret_rising);
	}
	if (bits_left(in) && *in->at == CODEC_INTS_ENTROPY) {
		in->at++;
		int error = codec_entropy_decode(in, first, ret_sums, count, &least);
		*ret_rising = least > 0 && least < INTS_STEP_MAX; /* the others are near it */
		return error;
	}
	int error = codec_ints_decode(in, ret_sums, count);
	for (size_t i = 0; i < count && error == 0; i++)
		ret_sums[i] = first = bits_add(first, ret_sums[i]);
	return error;
}

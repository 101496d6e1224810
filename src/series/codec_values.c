/*
 * codec_values.c: the values of a chunk, every bit of them.
 *
 * CONST: 8 bytes, one value for all.
 * DECIMAL: byte (exponent | range << 6 | delta << 7); with range: zigzag varint smallest integer,
 *   varint largest − smallest (below 1,024: the decoder then divides each of them once); varint
 *   number of exceptions, for each a varint (points since the exception before) and 8 bytes; then
 *   integers: value = integer / 10^exponent. With delta: zigzag varint first, then count − 1
 *   differences; else all as they are. A value that does not come back bit for bit (-0.0, NaN,
 *   infinities, too many digits) is an exception and its integer repeats the one before.
 * BITS: byte (zero bits below | delta << 7), then integers as above: the bits of the double,
 *   without the low zero bits that all have in common, mapped so that they order as numbers do.
 *   Full-precision walks become small differences; XOR would leave the carry in.
 * PLANES: zstd frames of at most 4,096 values each, the first bytes of all, the second bytes of
 *   all, …; before each frame a varint of its length.
 *
 * Why a division when decoding: integer / 10^exponent is the double nearest to that decimal, so
 * whatever was read from text of up to 15 digits comes back exactly (a product with 10^-exponent
 * would not). Source of the idea: ALP (SIGMOD 2024).
 */
#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "check.h"
#include "codec_priv.h"

#define VALUES_DELTA 0x80u
#define VALUES_RANGE 0x40u
#define VALUES_EXPONENT 0x1fu
#define VALUES_RANGE_MAX 1024u     /* integers that are divided once for all */
#define VALUES_RANGE_COUNT_MIN 512u
#define VALUES_FRAME 4096u
#define VALUES_ZSTD_LEVEL 1

/* 2^52 + 2^51: adding it puts an integer below 2^51 into the low bits of the double. */
#define VALUES_MAGIC 6755399441055744.0
#define VALUES_MAGIC_BITS INT64_C(0x4338000000000000)
#define VALUES_SCALED_MAX 2251799813685248.0

static const double values_powers[CODEC_EXPONENT_MAX + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6,
    1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17};

double
codec_power(unsigned exponent)
{
	return values_powers[exponent];
}

bool
codec_scale(double value, unsigned exponent, int64_t *ret_scaled)
{
	double power = values_powers[exponent];
	double product = value * power;
	if (!(product > -VALUES_SCALED_MAX && product < VALUES_SCALED_MAX))
		return false;
	double rounded = product + VALUES_MAGIC;
	int64_t scaled = (int64_t)bits_of_double(rounded) - VALUES_MAGIC_BITS;
	*ret_scaled = scaled;
	return bits_of_double((rounded - VALUES_MAGIC) / power) == bits_of_double(value);
}

/* ── a run of integers, plain or as differences, behind a head byte ── */

static int
values_put_ints(const int64_t *ints, const struct codec_ints_plan *plan, bool delta,
    int64_t first, size_t count, struct buf *out)
{
	if (delta && codec_put_varint(out, bits_zigzag(first)) != 0)
		return -ENOMEM;
	size_t n = delta ? count - 1 : count;
	return n ? codec_ints_encode(plan, ints, n, out) : 0;
}

/* Writes differences of `ints` to `deltas`; the plan of the smaller, *ret_delta which. */
static struct codec_ints_plan
values_plan(const int64_t *ints, int64_t *deltas, size_t count, bool *ret_delta)
{
	for (size_t i = 1; i < count; i++)
		deltas[i - 1] = bits_sub(ints[i], ints[i - 1]);
	struct codec_ints_plan plain = codec_ints_plan(ints, count);
	struct codec_ints_plan delta = codec_ints_plan(deltas, count - 1);
	*ret_delta = delta.bytes + bits_varint_len(bits_zigzag(ints[0])) < plain.bytes;
	return *ret_delta ? delta : plain;
}

static int
values_get_ints(struct bits_in *in, bool delta, int64_t *ints, size_t count)
{
	if (!delta)
		return codec_ints_decode(in, ints, count);
	bool rising;
	if (!bits_get_zigzag(in, &ints[0]))
		return -EBADMSG;
	return count > 1 ? codec_ints_decode_sums(in, ints[0], ints + 1, count - 1, &rising) : 0;
}

/* ── DECIMAL ── */

/* The smallest exponent at which `value` is exact, or -1. */
static int
values_exponent_of(double value)
{
	int64_t scaled;
	for (unsigned e = 0; e <= CODEC_EXPONENT_MAX; e++)
		if (codec_scale(value, e, &scaled))
			return (int)e;
	return -1;
}

/* From a sample: the smallest exponent that covers nearly all that have any; -1: too few have. */
static int
values_exponent(const double *values, size_t count)
{
	size_t stride = MAX(count / 64, 1), none = 0, seen = 0;
	size_t owners[CODEC_EXPONENT_MAX + 1] = {0};
	for (size_t i = 0; i < count; i += stride, seen++) {
		int own = values_exponent_of(values[i]);
		if (own < 0)
			none++;
		else
			owners[own]++;
	}
	if (none * 8 > seen)
		return -1;
	size_t above = 0;
	int exponent = CODEC_EXPONENT_MAX;
	for (; exponent > 0; exponent--) {
		above += owners[exponent];
		if (above * 32 > seen)
			break;
	}
	return exponent;
}

/* Scales all; the number of values that are not exact. Stops when more than `limit` are. */
static size_t
values_scale(const double *values, size_t count, unsigned exponent, size_t limit, int64_t *ints,
    size_t *ret_first_bad)
{
	size_t bad = 0;
	for (size_t i = 0; i < count; i++) {
		if (codec_scale(values[i], exponent, &ints[i]))
			continue;
		ints[i] = i ? ints[i - 1] : 0;
		if (bad++ == 0)
			*ret_first_bad = i;
		if (bad > limit)
			return bad;
	}
	return bad;
}

static int
values_put_exceptions(const double *values, const int64_t *ints, size_t count, unsigned exponent,
    size_t bad, struct buf *out)
{
	if (codec_put_varint(out, bad) != 0)
		return -ENOMEM;
	size_t before = 0;
	for (size_t i = 0; bad && i < count; i++) {
		double back = (double)ints[i] / codec_power(exponent);
		if (bits_of_double(back) == bits_of_double(values[i]))
			continue;
		uint64_t bits = bits_of_double(values[i]);
		if (codec_put_varint(out, i - before) != 0 || codec_put(out, &bits, 8) != 0)
			return -ENOMEM;
		before = i;
		bad--;
	}
	return 0;
}

/* The range of the integers, where it is worth telling; the bytes written, 0: it is not. */
static size_t
values_put_range(const int64_t *ints, size_t count, uint8_t *ret_bytes)
{
	int64_t least = ints[0], most = ints[0];
	for (size_t i = 1; i < count; i++) {
		least = MIN(least, ints[i]);
		most = MAX(most, ints[i]);
	}
	if (count < VALUES_RANGE_COUNT_MIN || most - least >= VALUES_RANGE_MAX)
		return 0;
	size_t len = bits_put_varint(ret_bytes, bits_zigzag(least));
	return len + bits_put_varint(ret_bytes + len, (uint64_t)(most - least));
}

/* 1: written, 0: the values are not decimals. */
static int
values_encode_decimal(const double *values, size_t count, struct codec_work work, struct buf *out)
{
	int exponent = values_exponent(values, count);
	size_t limit = count / 16, bad = 0, first_bad = 0;
	for (int tries = 0; exponent >= 0; tries++) {
		bad = values_scale(values, count, (unsigned)exponent, limit, work.a, &first_bad);
		if (bad <= limit / 2 || tries == 4)
			break;
		int own = values_exponent_of(values[first_bad]);
		if (own <= exponent)
			break;
		exponent = own;
	}
	if (exponent < 0 || bad > limit)
		return 0;
	bool delta;
	struct codec_ints_plan plan = values_plan(work.a, work.b, count, &delta);
	uint8_t head[1 + 2 * BITS_VARINT_BYTES_MAX];
	size_t range_len = values_put_range(work.a, count, head + 1);
	head[0] = (uint8_t)((unsigned)exponent | (range_len ? VALUES_RANGE : 0) |
	    (delta ? VALUES_DELTA : 0));
	if (codec_put(out, head, 1 + range_len) != 0 ||
	    values_put_exceptions(values, work.a, count, (unsigned)exponent, bad, out) != 0)
		return -ENOMEM;
	int error = values_put_ints(delta ? work.b : work.a, &plan, delta, work.a[0],
	    count, out);
	return error ? error : 1;
}

static void
values_divide(double *values, size_t count, double power)
{
	int64_t *ints = (int64_t *)(void *)values;
	for (size_t i = 0; i < count; i++)
		values[i] = (bits_to_double((uint64_t)bits_add(ints[i], VALUES_MAGIC_BITS)) -
		    VALUES_MAGIC) / power;
}

/* By a table of all integers that are there: a load for a division. What a forged chunk has
 * outside the range becomes some value of the table. */
static void
values_look_up(double *values, size_t count, double power, int64_t least, uint64_t span)
{
	int64_t *ints = (int64_t *)(void *)values;
	double table[VALUES_RANGE_MAX] = {0};
	for (uint64_t i = 0; i <= span; i++)
		table[i] = (double)bits_add(least, (int64_t)i) / power;
	for (size_t i = 0; i < count; i++)
		values[i] = table[((uint64_t)ints[i] - (uint64_t)least) % VALUES_RANGE_MAX];
}

static bool
values_get_exception(struct bits_in *in, uint64_t *ret_gap, uint64_t *ret_bits)
{
	return bits_get_varint(in, ret_gap) && bits_get(in, ret_bits, 8);
}

static int
values_decode_decimal(struct bits_in *in, double *values, size_t count)
{
	uint8_t head;
	uint64_t exceptions, gap, bits, span = 0;
	int64_t least = 0;
	if (!bits_get(in, &head, 1) || (head & VALUES_EXPONENT) > CODEC_EXPONENT_MAX)
		return -EBADMSG;
	if (head & VALUES_RANGE && (!bits_get_zigzag(in, &least) || !bits_get_varint(in, &span) ||
	    span >= VALUES_RANGE_MAX))
		return -EBADMSG;
	if (!bits_get_varint(in, &exceptions) || exceptions > count)
		return -EBADMSG;
	struct bits_in list = *in;
	for (uint64_t i = 0; i < exceptions; i++)
		if (!values_get_exception(in, &gap, &bits))
			return -EBADMSG;
	int error = values_get_ints(in, head & VALUES_DELTA, (int64_t *)(void *)values, count);
	if (error)
		return error;
	double power = codec_power(head & VALUES_EXPONENT);
	if (head & VALUES_RANGE)
		values_look_up(values, count, power, least, span);
	else
		values_divide(values, count, power);
	size_t at = 0;
	for (uint64_t i = 0; i < exceptions; i++) {
		if (!values_get_exception(&list, &gap, &bits) || gap >= count - at)
			return -EBADMSG;
		at += gap;
		values[at] = bits_to_double(bits);
	}
	return 0;
}

/* ── BITS ── */

static int64_t
values_order_of(uint64_t bits, unsigned zeros)
{
	int64_t magnitude = (int64_t)((bits & INT64_MAX) >> zeros);
	return bits >> 63 ? ~magnitude : magnitude;
}

static uint64_t
values_bits_of_order(int64_t order, unsigned zeros)
{
	uint64_t magnitude = (uint64_t)(order < 0 ? ~order : order) << zeros;
	return (magnitude & INT64_MAX) | (order < 0 ? UINT64_C(1) << 63 : 0);
}

struct values_bits_plan {
	struct codec_ints_plan ints;
	unsigned zeros;
	bool delta;
};

static struct values_bits_plan
values_plan_bits(const double *values, size_t count, struct codec_work work)
{
	uint64_t any = 0;
	for (size_t i = 0; i < count; i++)
		any |= bits_of_double(values[i]) & INT64_MAX;
	struct values_bits_plan plan;
	plan.zeros = any ? (unsigned)__builtin_ctzll(any) : 0;
	for (size_t i = 0; i < count; i++)
		work.a[i] = values_order_of(bits_of_double(values[i]), plan.zeros);
	plan.ints = values_plan(work.a, work.b, count, &plan.delta);
	return plan;
}

static int
values_encode_bits(struct values_bits_plan plan, size_t count, struct codec_work work,
    struct buf *out)
{
	uint8_t head = (uint8_t)(plan.zeros | (plan.delta ? VALUES_DELTA : 0));
	if (codec_put(out, &head, 1) != 0)
		return -ENOMEM;
	return values_put_ints(plan.delta ? work.b : work.a, &plan.ints, plan.delta, work.a[0],
	    count, out);
}

static int
values_decode_bits(struct bits_in *in, double *values, size_t count)
{
	uint8_t head;
	if (!bits_get(in, &head, 1) || (head & ~VALUES_DELTA) > 63)
		return -EBADMSG;
	int64_t *ints = (int64_t *)(void *)values;
	int error = values_get_ints(in, head & VALUES_DELTA, ints, count);
	if (error)
		return error;
	for (size_t i = 0; i < count; i++)
		values[i] = bits_to_double(values_bits_of_order(ints[i], head & ~VALUES_DELTA));
	return 0;
}

/* ── PLANES ── */

static void
values_to_planes(const double *values, size_t count, uint8_t *planes)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t bits = bits_of_double(values[i]);
		for (unsigned k = 0; k < 8; k++)
			planes[k * count + i] = (uint8_t)(bits >> (8 * k));
	}
}

/* The bytes that PLANES takes for `count` values, judged by a sample from their middle. */
static size_t
values_planes_guess(const double *values, size_t count, struct codec_work work)
{
	size_t n = MIN(count, 512);
	values_to_planes(values + (count - n) / 2, n, (uint8_t *)work.a);
	size_t len = ZSTD_compress(work.b, n * 8, work.a, n * 8, VALUES_ZSTD_LEVEL);
	return ZSTD_isError(len) ? SIZE_MAX : len * count / n;
}

static int
values_encode_planes(const double *values, size_t count, struct codec_work work, struct buf *out)
{
	for (size_t i = 0; i < count; i += VALUES_FRAME) {
		size_t n = MIN(count - i, VALUES_FRAME);
		values_to_planes(values + i, n, (uint8_t *)work.a);
		size_t room = ZSTD_compressBound(n * 8);
		if (buf_reserve(out, BITS_VARINT_BYTES_MAX + room) != 0)
			return -ENOMEM;
		uint8_t *at = (uint8_t *)out->ptr + out->len;
		size_t len = ZSTD_compress(at + BITS_VARINT_BYTES_MAX, room, work.a, n * 8,
		    VALUES_ZSTD_LEVEL);
		if (ZSTD_isError(len))
			return -ENOMEM;
		size_t head = bits_put_varint(at, len);
		memmove(at + head, at + BITS_VARINT_BYTES_MAX, len);
		out->len += head + len;
	}
	return 0;
}

static int
values_decode_planes(struct bits_in *in, double *values, size_t count)
{
	uint8_t planes[VALUES_FRAME * 8];
	for (size_t i = 0; i < count; i += VALUES_FRAME) {
		size_t n = MIN(count - i, VALUES_FRAME);
		uint64_t len;
		if (!bits_get_varint(in, &len) || len > bits_left(in))
			return -EBADMSG;
		size_t got = ZSTD_decompress(planes, n * 8, in->at, len);
		if (ZSTD_getErrorCode(got) == ZSTD_error_memory_allocation)
			return -ENOMEM;
		if (got != n * 8)
			return -EBADMSG;
		in->at += len;
		for (size_t k = 0; k < n; k++) {
			uint64_t bits = 0;
			for (unsigned b = 0; b < 8; b++)
				bits |= (uint64_t)planes[b * n + k] << (8 * b);
			values[i + k] = bits_to_double(bits);
		}
	}
	return 0;
}

/* ── all ── */

static bool
values_constant(const double *values, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (bits_of_double(values[i]) != bits_of_double(values[0]))
			return false;
	return true;
}

int
codec_values_encode(const double *values, size_t count, struct codec_work work, struct buf *out,
    enum codec_values_form *ret_form)
{
	/* One small decimal is shorter as such than as the 8 bytes of CONST. */
	if (values_constant(values, count) && values_exponent_of(values[0]) < 0) {
		*ret_form = CODEC_VALUES_CONST;
		return codec_put(out, &values[0], 8);
	}
	int written = values_encode_decimal(values, count, work, out);
	if (written < 0)
		return written;
	*ret_form = CODEC_VALUES_DECIMAL;
	if (written)
		return 0;
	size_t guess = values_planes_guess(values, count, work);
	struct values_bits_plan plan = values_plan_bits(values, count, work);
	if (guess + guess / 32 < plan.ints.bytes) {
		*ret_form = CODEC_VALUES_PLANES;
		return values_encode_planes(values, count, work, out);
	}
	*ret_form = CODEC_VALUES_BITS;
	return values_encode_bits(plan, count, work, out);
}

int
codec_values_decode(enum codec_values_form form, struct bits_in *in, double *ret_values,
    size_t count)
{
	int error = 0;
	uint64_t bits;
	switch (form) {
	case CODEC_VALUES_CONST:
		if (!bits_get(in, &bits, 8))
			return -EBADMSG;
		for (size_t i = 0; i < count; i++)
			ret_values[i] = bits_to_double(bits);
		break;
	case CODEC_VALUES_DECIMAL:
		error = values_decode_decimal(in, ret_values, count);
		break;
	case CODEC_VALUES_BITS:
		error = values_decode_bits(in, ret_values, count);
		break;
	case CODEC_VALUES_PLANES:
		error = values_decode_planes(in, ret_values, count);
		break;
	default:
		return -EPROTO;
	}
	if (error == 0 && in->at != in->end)
		error = -EBADMSG;
	return error;
}

/*
 * codec_priv.h: the pieces of the codec, for its own files.
 *
 * A chunk is: CRC-32C of all that follows (4), version (1), form of times | form of values << 4
 * (1), varint count, varint length of the times' section, the times, the values. Both sections
 * come down to runs of 64-bit integers; codec_ints writes those.
 */
#ifndef WEIR_CODEC_PRIV_H
#define WEIR_CODEC_PRIV_H

#include "bits.h"
#include "buf.h"

#define CODEC_VERSION 1

enum codec_times_form {
	CODEC_TIMES_DELTA = 0, /* first, then the differences */
	CODEC_TIMES_GRID = 1,  /* first, step, then the distances from the grid */
	CODEC_TIMES_FORMS
};

enum codec_values_form {
	CODEC_VALUES_CONST = 0,   /* one value */
	CODEC_VALUES_DECIMAL = 1, /* integers over a power of ten */
	CODEC_VALUES_BITS = 2,    /* the bits in the order of the numbers */
	CODEC_VALUES_PLANES = 3,  /* zstd over the bytes of equal weight */
	CODEC_VALUES_FORMS
};

/* ── runs of integers ── */

/* How a run is written; the first byte of it. */
enum codec_ints_form {
	CODEC_INTS_PACK = 0,    /* frame of reference and bit-packing, by blocks */
	CODEC_INTS_RUNS = 1,    /* (difference from the value before, how many) */
	CODEC_INTS_ENTROPY = 2, /* Huffman, small alphabets */
	CODEC_INTS_FORMS
};

/* What writing `values` costs in the best form; encode then writes that one. */
struct codec_ints_plan {
	enum codec_ints_form form;
	size_t bytes; /* form's byte included; exact for PACK and RUNS */
};

struct codec_ints_plan codec_ints_plan(const int64_t *values, size_t count);
int codec_ints_encode(struct codec_ints_plan plan, const int64_t *values, size_t count,
    struct buf *out); /* 0 or -ENOMEM */
/* 0, -EBADMSG, -EPROTO. */
int codec_ints_decode(struct bits_in *in, int64_t *ret_values, size_t count);

/* ── sections; `work` is room for `count` integers each ── */

struct codec_work {
	int64_t *a, *b;
};

int codec_times_encode(const int64_t *times_ms, size_t count, struct codec_work work,
    struct buf *out, enum codec_times_form *ret_form);
int codec_times_decode(enum codec_times_form form, struct bits_in *in, int64_t *ret_times_ms,
    size_t count);

int codec_values_encode(const double *values, size_t count, struct codec_work work,
    struct buf *out, enum codec_values_form *ret_form);
int codec_values_decode(enum codec_values_form form, struct bits_in *in, double *ret_values,
    size_t count);

/* ── decimals ── */

#define CODEC_EXPONENT_MAX 17

/* 10^exponent, exact for 0..22. */
double codec_power(unsigned exponent);

/* Whether value is exactly *ret_scaled / 10^exponent, bit for bit, |*ret_scaled| < 2^51. */
bool codec_scale(double value, unsigned exponent, int64_t *ret_scaled);

/* ── bytes ── */

static inline int
codec_put(struct buf *out, const void *bytes, size_t len)
{
	return buf_append(out, bytes, len);
}

static inline int
codec_put_varint(struct buf *out, uint64_t value)
{
	uint8_t bytes[BITS_VARINT_BYTES_MAX];
	return buf_append(out, bytes, bits_put_varint(bytes, value));
}

#endif

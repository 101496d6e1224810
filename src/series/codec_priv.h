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

/* ── Huffman-coded words of small integers (codec_entropy.c) ── */

#define CODEC_ENTROPY_COUNT_MIN 128u

struct codec_entropy {
	int64_t min;         /* of all */
	uint64_t core;       /* first integer of the core alphabet − min */
	unsigned raw_width;  /* bits of max − min */
	unsigned core_size;  /* integers of the core alphabet */
	unsigned k;          /* integers in a word */
};

/* Parameters for these values, and about how many bytes they will take; SIZE_MAX: they are not
 * fit for it. */
size_t codec_entropy_choose(const int64_t *values, size_t count, int64_t min, unsigned raw_width,
    struct codec_entropy *ret);

/* 0, -ENOMEM, -E2BIG (not fit after all; `out` may have grown). */
int codec_entropy_encode(const struct codec_entropy *choice, const int64_t *values, size_t count,
    struct buf *out);

/* The running sums of the integers, begun with `first`. *ret_least: none of them is smaller. */
int codec_entropy_decode(struct bits_in *in, int64_t first, int64_t *ret_sums, size_t count,
    int64_t *ret_least);

/* What writing `values` costs in the best form; encode then writes that one. */
struct codec_ints_plan {
	enum codec_ints_form form;     /* PACK or RUNS, whichever is smaller */
	bool entropy;                  /* try ENTROPY first */
	size_t bytes;                  /* form's byte included; with entropy an estimate */
	size_t form_bytes;             /* exact, of `form` */
	struct codec_entropy choice;
};

struct codec_ints_plan codec_ints_plan(const int64_t *values, size_t count);
int codec_ints_encode(const struct codec_ints_plan *plan, const int64_t *values, size_t count,
    struct buf *out); /* 0 or -ENOMEM */
/* 0, -EBADMSG, -EPROTO. */
int codec_ints_decode(struct bits_in *in, int64_t *ret_values, size_t count);

/* The running sums of the integers, begun with `first`. *ret_rising: each is surely above the one
 * before it (false: unknown). */
int codec_ints_decode_sums(struct bits_in *in, int64_t first, int64_t *ret_sums, size_t count,
    bool *ret_rising);

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

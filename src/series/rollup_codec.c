/*
 * rollup_codec.c: the chunk of one series' roll-ups, column by column.
 *
 *   0  4  CRC-32C of everything after it
 *   4  1  version (1)
 *   5  1  kind (1 minutes, 2 hours, 3 days)
 *   6  v  varint: count
 *      v  varint: the first bucket's place in the file's span
 *      *  integers: places between neighbours − 1 (count − 1 of them)
 *      1  e + 1, or 0: doubles | 0x40: some points are NaN
 *      *  integers: counts
 *      *  integers: counts of NaN, with 0x40
 *      *  integers: first − last of the bucket before, last − first, min − lesser of both,
 *         max − greater of both, sum − prediction; decimals times 10^e
 *      *  integers, with e: bits of the sum − bits of its decimal
 * Without e the five are differences of bits: first − last before, last − first, min − first,
 * max − first, sum − sum before.
 *
 * A sum of decimals differs from the nearest decimal in a few last bits. Kept apart, these cost a
 * byte; the sum as a double would cost eight. The prediction is the mean of first, last, min and
 * max times the count.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "codec_priv.h"
#include "hash.h"
#include "rollup.h"

#define ROLLUP_VERSION 1
#define ROLLUP_NANS 0x40u
#define ROLLUP_EXPONENT 0x3fu
#define ROLLUP_DECIMALS_MAX 9u

enum { COL_FIRST, COL_LAST, COL_MIN, COL_MAX, COL_SUM, COL_REST, COLS };

/* One roll-up as integers: decimals, or the bits. */
struct rollup_ints {
	int64_t of[COLS];
};

/* ── writing ── */

static int
rollup_put_ints(const int64_t *ints, size_t count, struct buf *out)
{
	if (count == 0)
		return 0;
	struct codec_ints_plan plan = codec_ints_plan(ints, count);
	return codec_ints_encode(&plan, ints, count, out);
}

static bool
rollup_scale(const struct series_cell *cell, unsigned e, struct rollup_ints *ret)
{
	int64_t *of = ret->of;
	if (!codec_scale(cell->first, e, &of[COL_FIRST]) ||
	    !codec_scale(cell->last, e, &of[COL_LAST]) ||
	    !codec_scale(cell->min, e, &of[COL_MIN]) || !codec_scale(cell->max, e, &of[COL_MAX]))
		return false;
	double scaled = nearbyint(cell->sum * codec_power(e));
	if (!(fabs(scaled) < 0x1p50))
		return false;
	of[COL_SUM] = (int64_t)scaled;
	double decimal = (double)of[COL_SUM] / codec_power(e);
	of[COL_REST] = bits_sub((int64_t)bits_of_double(cell->sum),
	    (int64_t)bits_of_double(decimal));
	return true;
}

static void
rollup_take_bits(const struct series_cell *cell, struct rollup_ints *ret)
{
	const double numbers[] = {cell->first, cell->last, cell->min, cell->max, cell->sum};
	for (size_t k = 0; k < ARRAY_COUNT(numbers); k++)
		ret->of[k] = (int64_t)bits_of_double(numbers[k]);
	ret->of[COL_REST] = 0;
}

/* All as integers; the exponent + 1, or 0 when they are no decimals of a few digits. */
static unsigned
rollup_to_ints(const struct rollup *rollups, size_t count, struct rollup_ints *ints)
{
	size_t done = 0;
	unsigned e = 0;
	while (e <= ROLLUP_DECIMALS_MAX && done < count) {
		/* What an exponent fits, a greater one fits too, but for its size. */
		for (done = 0; done < count; done++)
			if (!rollup_scale(&rollups[done].cell, e, &ints[done]))
				break;
		e += done < count;
	}
	if (done == count)
		return e + 1;
	for (size_t i = 0; i < count; i++)
		rollup_take_bits(&rollups[i].cell, &ints[i]);
	return 0;
}

static int64_t
rollup_predict(uint64_t count, const int64_t *of)
{
	int64_t four = (of[COL_FIRST] + of[COL_LAST] + of[COL_MIN] + of[COL_MAX]) / 4;
	return (int64_t)(count * (uint64_t)four);
}

/* One column as it is stored. */
static void
rollup_column(const struct rollup *rollups, const struct rollup_ints *ints, size_t count,
    unsigned column, bool decimal, int64_t *ret)
{
	for (size_t i = 0; i < count; i++) {
		const int64_t *of = ints[i].of;
		const int64_t *before = i ? ints[i - 1].of : NULL;
		int64_t base = of[COL_FIRST];
		if (column == COL_FIRST)
			base = before ? before[COL_LAST] : 0;
		else if (column == COL_REST)
			base = 0;
		else if (column == COL_SUM && decimal)
			base = rollup_predict(rollups[i].cell.count, of);
		else if (column == COL_SUM)
			base = before ? before[COL_SUM] : 0;
		else if (decimal && column == COL_MIN)
			base = MIN(of[COL_FIRST], of[COL_LAST]);
		else if (decimal && column == COL_MAX)
			base = MAX(of[COL_FIRST], of[COL_LAST]);
		ret[i] = bits_sub(of[column], base);
	}
}

static int
rollup_put_places(enum rollup_kind kind, int64_t origin_ms, const struct rollup *rollups,
    size_t count, int64_t *work, struct buf *out)
{
	int64_t span = rollup_span_ms(kind);
	codec_put_varint(out, (uint64_t)((rollups[0].start_ms - origin_ms) / span));
	for (size_t i = 1; i < count; i++)
		work[i - 1] = (rollups[i].start_ms - rollups[i - 1].start_ms) / span - 1;
	return rollup_put_ints(work, count - 1, out);
}

static int
rollup_put_counts(const struct rollup *rollups, size_t count, bool nans, int64_t *work,
    struct buf *out)
{
	for (size_t i = 0; i < count; i++)
		work[i] = (int64_t)rollups[i].cell.count;
	int error = rollup_put_ints(work, count, out);
	if (error || !nans)
		return error;
	for (size_t i = 0; i < count; i++)
		work[i] = (int64_t)rollups[i].cell.nans;
	return rollup_put_ints(work, count, out);
}

int
rollup_encode(enum rollup_kind kind, int32_t file_day, const struct rollup *rollups, size_t count,
    struct buf *out)
{
	check(count >= 1 && count <= ROLLUP_CHUNK_MAX);
	struct rollup_ints ints[ROLLUP_CHUNK_MAX];
	int64_t work[ROLLUP_CHUNK_MAX];
	size_t start = out->len;
	uint8_t head[6] = {0, 0, 0, 0, ROLLUP_VERSION, (uint8_t)kind};
	uint64_t nans = 0;
	for (size_t i = 0; i < count; i++)
		nans += rollups[i].cell.nans;
	unsigned exponent = rollup_to_ints(rollups, count, ints);
	uint8_t form = (uint8_t)(exponent | (nans ? ROLLUP_NANS : 0));
	codec_put(out, head, sizeof(head));
	codec_put_varint(out, count);
	int error = rollup_put_places(kind, file_day * PART_DAY_MS, rollups, count, work, out);
	codec_put(out, &form, 1);
	if (error == 0)
		error = rollup_put_counts(rollups, count, nans > 0, work, out);
	for (unsigned column = 0; column < COLS && error == 0; column++) {
		if (column == COL_REST && !exponent)
			break;
		rollup_column(rollups, ints, count, column, exponent, work);
		error = rollup_put_ints(work, count, out);
	}
	if (error || !buf_ok(out)) {
		out->len = start;
		return -ENOMEM;
	}
	char *chunk = out->ptr + start;
	bits_store32(chunk, crc32c(0, chunk + 4, out->len - start - 4));
	return 0;
}

/* ── reading ── */

struct rollup_in {
	struct bits_in in;
	size_t count;
	int64_t work[ROLLUP_CHUNK_MAX];
	int64_t columns[COLS][ROLLUP_CHUNK_MAX];
};

static int
rollup_get_places(struct rollup_in *read, enum rollup_kind kind, int32_t file_day,
    struct rollup *ret)
{
	int64_t span = rollup_span_ms(kind), origin_ms = file_day * PART_DAY_MS;
	uint64_t places = (uint64_t)(part_days(kind) * PART_DAY_MS / span), place;
	if (!bits_get_varint(&read->in, &place) || place >= places)
		return -EBADMSG;
	int error = read->count > 1
	    ? codec_ints_decode(&read->in, read->work, read->count - 1) : 0;
	for (size_t i = 0; i < read->count && error == 0; i++) {
		if (i && (read->work[i - 1] < 0 || (uint64_t)read->work[i - 1] >= places))
			return -EBADMSG;
		place += i ? (uint64_t)read->work[i - 1] + 1 : 0;
		if (place >= places)
			return -EBADMSG;
		ret[i].start_ms = origin_ms + (int64_t)place * span;
	}
	return error;
}

static int
rollup_get_counts(struct rollup_in *read, bool nans, struct rollup *ret)
{
	int error = codec_ints_decode(&read->in, read->work, read->count);
	for (size_t i = 0; i < read->count && error == 0; i++) {
		ret[i].cell.count = (uint64_t)read->work[i];
		ret[i].cell.nans = 0;
		if (read->work[i] < 1)
			error = -EBADMSG;
	}
	if (error || !nans)
		return error;
	error = codec_ints_decode(&read->in, read->work, read->count);
	for (size_t i = 0; i < read->count && error == 0; i++) {
		ret[i].cell.nans = (uint64_t)read->work[i];
		if (ret[i].cell.nans > ret[i].cell.count)
			error = -EBADMSG;
	}
	return error;
}

/* The columns, each as differences; rollup_undo makes what they were. */
static int
rollup_get_columns(struct rollup_in *read, bool decimal)
{
	int error = 0;
	for (unsigned column = 0; column < COLS && error == 0; column++)
		if (column != COL_REST || decimal)
			error = codec_ints_decode(&read->in, read->columns[column], read->count);
	return error;
}

/* The integers of one roll-up; `last` and `sum` are those of the one before. */
static inline void
rollup_undo(const struct rollup_in *read, size_t i, bool decimal, int64_t last, int64_t sum,
    int64_t *ret)
{
	ret[COL_FIRST] = bits_add(read->columns[COL_FIRST][i], last);
	ret[COL_LAST] = bits_add(read->columns[COL_LAST][i], ret[COL_FIRST]);
	int64_t low = decimal ? MIN(ret[COL_FIRST], ret[COL_LAST]) : ret[COL_FIRST];
	int64_t high = decimal ? MAX(ret[COL_FIRST], ret[COL_LAST]) : ret[COL_FIRST];
	ret[COL_MIN] = bits_add(read->columns[COL_MIN][i], low);
	ret[COL_MAX] = bits_add(read->columns[COL_MAX][i], high);
	ret[COL_SUM] = bits_add(read->columns[COL_SUM][i], decimal ? 0 : sum);
	ret[COL_REST] = decimal ? read->columns[COL_REST][i] : 0;
}

static int
rollup_from_decimals(const struct rollup_in *read, double power, struct rollup *ret)
{
	const int64_t limit = INT64_C(1) << 60;
	int64_t of[COLS], last = 0;
	for (size_t i = 0; i < read->count; i++) {
		struct series_cell *cell = &ret[i].cell;
		rollup_undo(read, i, true, last, 0, of);
		for (unsigned k = COL_FIRST; k <= COL_MAX; k++)
			if (of[k] > limit || of[k] < -limit)
				return -EBADMSG;
		of[COL_SUM] = bits_add(of[COL_SUM], rollup_predict(cell->count, of));
		cell->first = (double)of[COL_FIRST] / power;
		cell->last = (double)of[COL_LAST] / power;
		cell->min = (double)of[COL_MIN] / power;
		cell->max = (double)of[COL_MAX] / power;
		double sum = (double)of[COL_SUM] / power;
		cell->sum = bits_to_double((uint64_t)bits_add((int64_t)bits_of_double(sum),
		    of[COL_REST]));
		last = of[COL_LAST];
	}
	return 0;
}

static void
rollup_from_bits(const struct rollup_in *read, struct rollup *ret)
{
	int64_t of[COLS], last = 0, sum = 0;
	for (size_t i = 0; i < read->count; i++) {
		struct series_cell *cell = &ret[i].cell;
		rollup_undo(read, i, false, last, sum, of);
		cell->first = bits_to_double((uint64_t)of[COL_FIRST]);
		cell->last = bits_to_double((uint64_t)of[COL_LAST]);
		cell->min = bits_to_double((uint64_t)of[COL_MIN]);
		cell->max = bits_to_double((uint64_t)of[COL_MAX]);
		cell->sum = bits_to_double((uint64_t)of[COL_SUM]);
		last = of[COL_LAST];
		sum = of[COL_SUM];
	}
}

int
rollup_decode(enum rollup_kind kind, int32_t file_day, struct span chunk,
    struct rollup *ret_rollups)
{
	struct rollup_in read;
	uint8_t head[6], form;
	uint64_t count;
	read.in = bits_in_of(chunk);
	if (!bits_get(&read.in, head, sizeof(head)) ||
	    crc32c(0, chunk.ptr + 4, chunk.len - 4) != bits_load32(head))
		return -EBADMSG;
	if (head[4] != ROLLUP_VERSION)
		return -EPROTO;
	if (head[5] != kind || !bits_get_varint(&read.in, &count) || count < 1 ||
	    count > ROLLUP_CHUNK_MAX)
		return -EBADMSG;
	read.count = count;
	int error = rollup_get_places(&read, kind, file_day, ret_rollups);
	if (error == 0 && !bits_get(&read.in, &form, 1))
		error = -EBADMSG;
	if (error)
		return error;
	unsigned exponent = form & ROLLUP_EXPONENT;
	if (exponent > ROLLUP_DECIMALS_MAX + 1 || form & ~(ROLLUP_NANS | ROLLUP_EXPONENT))
		return -EPROTO;
	error = rollup_get_counts(&read, form & ROLLUP_NANS, ret_rollups);
	if (error == 0)
		error = rollup_get_columns(&read, exponent);
	if (error == 0 && read.in.at != read.in.end)
		error = -EBADMSG;
	if (error == 0 && exponent)
		error = rollup_from_decimals(&read, codec_power(exponent - 1), ret_rollups);
	else if (error == 0)
		rollup_from_bits(&read, ret_rollups);
	return error ? error : (int)count;
}

/*
 * codec_times.c: ascending times of a chunk.
 *
 * DELTA: zigzag varint first, then count − 1 differences as a run of integers. Regular times are
 *   one run of equal differences: a few bytes.
 * GRID: zigzag varint first, varint step, then count − 1 distances from first + i × step. Times
 *   that jitter around a fixed rhythm are one bit a point smaller so than as differences.
 *
 * Invariant: decoded times rise strictly and stay within ± SERIES_TIME_MS_MAX, or it is -EBADMSG.
 */
#include <errno.h>

#include "batch.h"
#include "check.h"
#include "codec_priv.h"

#define TIMES_WINDOW 256u

/* Steps that devices are set to; the mean step of a chunk is rounded to each. */
static const int64_t times_rounds[] = {1, 10, 100, 500, 1000, 5000, 10000, 60000};

/* How far times stray from the grid within windows as long as a block of codec_ints: a gap spoils
 * one window only. */
static uint64_t
times_grid_spread(const int64_t *times_ms, size_t count, int64_t step)
{
	uint64_t sum = 0;
	size_t stride = MAX(count / 8, TIMES_WINDOW);
	for (size_t start = 0; start < count; start += stride) {
		int64_t min = 0, max = 0;
		size_t n = MIN(count - start, TIMES_WINDOW);
		for (size_t i = 8; i < n; i += 8) {
			int64_t off = times_ms[start + i] - times_ms[start] - (int64_t)i * step;
			min = MIN(min, off);
			max = MAX(max, off);
		}
		sum += (uint64_t)(max - min);
	}
	return sum;
}

/* The step whose grid the times of a few points stay closest to. */
static int64_t
times_grid_step(const int64_t *times_ms, size_t count)
{
	int64_t mean = (times_ms[count - 1] - times_ms[0]) / (int64_t)(count - 1);
	/* The median of a few differences: a gap spoils the mean. */
	int64_t few[9];
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_COUNT(few); i++) {
		size_t at = 1 + i * (count - 2) / (ARRAY_COUNT(few) - 1);
		int64_t step = times_ms[at] - times_ms[at - 1];
		size_t to = n++;
		for (; to > 0 && few[to - 1] > step; to--)
			few[to] = few[to - 1];
		few[to] = step;
	}
	const int64_t around[2] = {mean, few[n / 2]};
	int64_t best = mean;
	uint64_t best_spread = UINT64_MAX;
	for (size_t i = 0; i < 2 * ARRAY_COUNT(times_rounds); i++) {
		int64_t round = times_rounds[i / 2];
		int64_t step = (around[i % 2] + round / 2) / round * round;
		uint64_t spread = times_grid_spread(times_ms, count, step);
		if (spread < best_spread) {
			best = step;
			best_spread = spread;
		}
	}
	return best;
}

int
codec_times_encode(const int64_t *times_ms, size_t count, struct codec_work work,
    struct buf *out, enum codec_times_form *ret_form)
{
	size_t n = count - 1;
	for (size_t i = 0; i < n; i++)
		work.a[i] = times_ms[i + 1] - times_ms[i];
	struct codec_ints_plan plan = codec_ints_plan(work.a, n);
	const int64_t *ints = work.a;
	enum codec_times_form form = CODEC_TIMES_DELTA;
	int64_t step = 0;
	if (count > 16 && plan.bytes > count / 8) {
		step = times_grid_step(times_ms, count);
		for (size_t i = 0; i < n; i++)
			work.b[i] = times_ms[i + 1] - times_ms[0] - (int64_t)(i + 1) * step;
		struct codec_ints_plan grid = codec_ints_plan(work.b, n);
		grid.bytes += bits_varint_len((uint64_t)step);
		if (step > 0 && grid.bytes < plan.bytes) {
			plan = grid;
			ints = work.b;
			form = CODEC_TIMES_GRID;
		}
	}
	if (codec_put_varint(out, bits_zigzag(times_ms[0])) != 0)
		return -ENOMEM;
	if (form == CODEC_TIMES_GRID && codec_put_varint(out, (uint64_t)step) != 0)
		return -ENOMEM;
	*ret_form = form;
	return n ? codec_ints_encode(&plan, ints, n, out) : 0;
}

static bool
times_valid(const int64_t *times_ms, size_t count, bool rising)
{
	bool bad = times_ms[0] < -SERIES_TIME_MS_MAX || times_ms[count - 1] > SERIES_TIME_MS_MAX;
	for (size_t i = 1; i < count && !rising; i++)
		bad |= times_ms[i] <= times_ms[i - 1];
	return !bad;
}

int
codec_times_decode(enum codec_times_form form, struct bits_in *in, int64_t *ret_times_ms,
    size_t count)
{
	int64_t first;
	uint64_t step = 0;
	if (!bits_get_zigzag(in, &first))
		return -EBADMSG;
	if (form == CODEC_TIMES_GRID && !bits_get_varint(in, &step))
		return -EBADMSG;
	ret_times_ms[0] = first;
	bool rising = false;
	int error = 0;
	if (form == CODEC_TIMES_DELTA && count > 1)
		error = codec_ints_decode_sums(in, first, ret_times_ms + 1, count - 1, &rising);
	if (form == CODEC_TIMES_GRID) {
		error = count > 1 ? codec_ints_decode(in, ret_times_ms + 1, count - 1) : 0;
		for (size_t i = 1; i < count && error == 0; i++)
			ret_times_ms[i] = (int64_t)((uint64_t)first + i * step +
			    (uint64_t)ret_times_ms[i]);
	}
	if (error)
		return error;
	return times_valid(ret_times_ms, count, rising) && in->at == in->end ? 0 : -EBADMSG;
}

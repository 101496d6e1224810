/*
 * bench_codec.c: `weir bench codec`: chunks of points, without a server: their bytes, and how fast
 * they are made and read, times and values both, on one core.
 *
 * Four shapes of series: a walk in tenths at regular times, the same with times that jitter, a walk
 * of full precision, a battery in whole percent. Every bit that comes back is compared. limit_...
 * is a bare loop that adds as many doubles up.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "check.h"
#include "codec.h"
#include "prng.h"

enum { POINTS = 10000, CHUNKS = 100, STEP_MS = 60000, JITTER_MS = 500 };

enum shape { REGULAR, JITTERED, PRECISE, BATTERY, SHAPE_COUNT };

static const struct { const char *bytes, *encode, *decode; } names[SHAPE_COUNT] = {
    [REGULAR] = {"regular_bytes_per_point", "regular_encode_m_per_s", "regular_decode_m_per_s"},
    [JITTERED] = {"jittered_bytes_per_point", "jittered_encode_m_per_s",
	"jittered_decode_m_per_s"},
    [PRECISE] = {"precise_bytes_per_point", "precise_encode_m_per_s", "precise_decode_m_per_s"},
    [BATTERY] = {"battery_bytes_per_point", "battery_encode_m_per_s", "battery_decode_m_per_s"},
};

struct run {
	struct bench *bench;
	struct prng dice;
	int64_t times[CHUNKS][POINTS], back_times[POINTS];
	double values[CHUNKS][POINTS], back_values[POINTS];
	struct buf scratch, chunks[CHUNKS];
};

static double
uniform(struct prng *dice)
{
	return (double)(prng_next(dice) >> 11) / (double)(UINT64_C(1) << 53);
}

static void
series_make(struct run *run, enum shape shape, int64_t *times, double *values)
{
	double tenths = 200, precise = 20;
	for (size_t i = 0; i < POINTS; i++) {
		times[i] = (int64_t)i * STEP_MS;
		if (shape == JITTERED)
			times[i] += (int64_t)prng_below(&run->dice, 2 * JITTER_MS + 1) - JITTER_MS;
		tenths += (double)prng_below(&run->dice, 3) - 1;
		precise += uniform(&run->dice) - 0.5;
		values[i] = shape == PRECISE ? precise :
		    shape == BATTERY ? floor(100 - (double)i / 200) : tenths / 10;
	}
}

static int
encode_all(struct run *run)
{
	int error = 0;
	for (size_t i = 0; i < CHUNKS && !error; i++) {
		buf_clear(&run->chunks[i]);
		error = codec_encode(
		    run->times[i], run->values[i], POINTS, &run->scratch, &run->chunks[i]);
	}
	return error;
}

/* Once more, compared; all the other rounds only read. */
static int
compare_all(struct run *run)
{
	for (size_t i = 0; i < CHUNKS; i++) {
		int error = codec_decode(
		    buf_span(&run->chunks[i]), run->back_times, run->back_values);
		if (error)
			return error;
		if (memcmp(run->times[i], run->back_times, sizeof(run->back_times)) ||
		    memcmp(run->values[i], run->back_values, sizeof(run->back_values)))
			return -EBADMSG;
	}
	return 0;
}

static int
decode_all(struct run *run)
{
	int error = 0;
	for (size_t i = 0; i < CHUNKS && !error; i++)
		error = codec_decode(
		    buf_span(&run->chunks[i]), run->back_times, run->back_values);
	return error;
}

/* Million points a second of `rounds` rounds. */
static int
measure(struct run *run, int (*work)(struct run *run), uint64_t rounds, double *ret_m_per_s)
{
	double began = bench_seconds(run->bench);
	int error = 0;
	for (uint64_t i = 0; i < rounds && !error; i++)
		error = work(run);
	*ret_m_per_s = (double)rounds * CHUNKS * POINTS / 1e6 /
	    (bench_seconds(run->bench) - began);
	return error;
}

static int
shape_run(struct run *run, enum shape shape, struct bench_result *result)
{
	uint64_t rounds = run->bench->options.readings / (CHUNKS * POINTS) + 1;
	double encode, decode;
	size_t bytes = 0;
	for (size_t i = 0; i < CHUNKS; i++)
		series_make(run, shape, run->times[i], run->values[i]);
	int error = measure(run, encode_all, rounds / 10 + 1, &encode);
	if (!error)
		error = compare_all(run);
	if (!error)
		error = measure(run, decode_all, rounds, &decode);
	if (error)
		return bench_fail(
		    run->bench, error, "%s: %s", names[shape].bytes, strerror(-error));
	for (size_t i = 0; i < CHUNKS; i++)
		bytes += run->chunks[i].len;
	bench_figure_add(result, names[shape].bytes, (double)bytes / (CHUNKS * POINTS));
	bench_figure_add(result, names[shape].encode, encode);
	bench_figure_add(result, names[shape].decode, decode);
	return 0;
}

int
bench_codec(struct bench *b, unsigned number, struct bench_result *result)
{
	struct run *run = calloc(1, sizeof(*run));
	double scan_s;
	int error = 0;
	if (!run)
		return bench_fail(b, -ENOMEM, "no memory");
	run->bench = b;
	run->dice = (struct prng){number + 1};
	buf_init(&run->scratch, 0);
	for (size_t i = 0; i < CHUNKS; i++)
		buf_init(&run->chunks[i], 0);
	for (unsigned shape = 0; shape < SHAPE_COUNT && !error; shape++)
		error = shape_run(run, (enum shape)shape, result);
	if (!error)
		error = bench_limit_scan(b, b->options.readings, &scan_s);
	if (!error)
		bench_figure_add(result, "limit_scan_m_per_s",
		    (double)b->options.readings / 1e6 / scan_s);
	for (size_t i = 0; i < CHUNKS; i++)
		buf_finish(&run->chunks[i]);
	buf_finish(&run->scratch);
	free(run);
	return error;
}

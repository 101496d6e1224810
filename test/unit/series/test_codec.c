/* Points come back bit for bit, whatever they are; damaged chunks are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "codec.h"
#include "hash.h"

#define POINTS_MAX 20000

struct fixture {
	uint64_t random;
	struct buf scratch, out;
	int64_t times[POINTS_MAX], back_times[POINTS_MAX];
	double values[POINTS_MAX], back_values[POINTS_MAX];
};

static uint64_t
draw(struct fixture *f)
{
	f->random += 0x9e3779b97f4a7c15u;
	uint64_t z = f->random;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static double
uniform(struct fixture *f)
{
	return (double)(draw(f) >> 11) * 0x1p-53;
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *seed = getenv("WEIR_SEED");
	f->random = seed ? strtoull(seed, NULL, 0) : 1;
	buf_init(&f->scratch, 0);
	buf_init(&f->out, 0);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	buf_finish(&f->scratch);
	buf_finish(&f->out);
	free(f);
	return 0;
}

static double
bits(uint64_t pattern)
{
	double value;
	memcpy(&value, &pattern, sizeof(value));
	return value;
}

/* Encodes, decodes from memory that ends where the chunk ends, compares; bytes of the chunk. */
static size_t
round_trip(struct fixture *f, size_t count)
{
	buf_clear(&f->out);
	assert_int_equal(codec_encode(f->times, f->values, count, &f->scratch, &f->out), 0);
	size_t len = f->out.len;
	char *exact = malloc(len);
	memcpy(exact, f->out.ptr, len);
	struct span chunk = span_of(exact, len);
	assert_int_equal(codec_count(chunk), (int)count);
	memset(f->back_times, 0xee, count * 8);
	memset(f->back_values, 0xee, count * 8);
	assert_int_equal(codec_decode(chunk, f->back_times, f->back_values), 0);
	assert_memory_equal(f->back_times, f->times, count * 8);
	assert_memory_equal(f->back_values, f->values, count * 8);
	memset(f->back_values, 0xee, count * 8);
	assert_int_equal(codec_decode(chunk, NULL, f->back_values), 0);
	assert_memory_equal(f->back_values, f->values, count * 8);
	free(exact);
	return len;
}

static void
regular_times(struct fixture *f, size_t count)
{
	for (size_t i = 0; i < count; i++)
		f->times[i] = 1700000000000 + (int64_t)i * 10000;
}

/* A walk of tenths with entropy of about 1.85 bits a step. */
static void
tenths_walk(struct fixture *f, size_t count)
{
	int at = 200;
	for (size_t i = 0; i < count; i++) {
		double g = (uniform(f) + uniform(f) + uniform(f) + uniform(f) - 2) * 1.732;
		at += (int)lrint(g * 0.85);
		f->values[i] = at / 10.0;
	}
}

static void
special_values_come_back(void **state)
{
	struct fixture *f = *state;
	const double special[] = {0.0, -0.0, 1.0, -1.0, 0.1, INFINITY, -INFINITY, NAN, -NAN,
	    bits(0x7ff0000000000001), bits(0xfff8dead0000beef), bits(1), bits(0x000fffffffffffff),
	    bits(0x8000000000000001), 1.7976931348623157e308, 2.2250738585072014e-308,
	    9007199254740993.0, -9007199254740992.0, 2251799813685247.0, 2251799813685248.0, 1e22,
	    0.1 + 0.2, 1.0 / 3, 21.299999237060547, 12345.678};
	size_t n = ARRAY_COUNT(special);
	regular_times(f, POINTS_MAX);
	for (size_t i = 0; i < n; i++) { /* alone */
		f->values[0] = special[i];
		round_trip(f, 1);
		for (size_t k = 0; k < 100; k++) /* constant */
			f->values[k] = special[i];
		round_trip(f, 100);
		for (size_t at = 0; at < 100; at++) { /* one among tenths, at each place */
			tenths_walk(f, 100);
			f->values[at] = special[i];
			round_trip(f, 100);
		}
	}
	for (size_t k = 0; k < 1000; k++) /* all mixed */
		f->values[k] = special[draw(f) % n];
	round_trip(f, 1000);
}

static void
fill_values(struct fixture *f, size_t count, unsigned kind)
{
	double walk = uniform(f) * 100, power = pow(10, (double)(draw(f) % 18));
	uint64_t mask = UINT64_MAX << draw(f) % 64, rarely = draw(f) % 64;
	uint64_t far = UINT64_C(2) << draw(f) % 34;
	int64_t level = 0;
	for (size_t i = 0; i < count; i++) {
		walk += uniform(f) - 0.5;
		switch (kind) {
		case 0: f->values[i] = bits(draw(f)); break;
		case 1: f->values[i] = walk; break;
		case 2: f->values[i] = rint(walk * 1e3) / power; break;
		case 3: f->values[i] = (double)(int64_t)(draw(f) >> (draw(f) % 64)); break;
		case 4: f->values[i] = bits(draw(f) & mask); break;
		case 5: f->values[i] = (float)walk; break;
		case 6: f->values[i] = draw(f) % 50 ? rint(walk) : bits(draw(f)); break;
		case 7: f->values[i] = i && draw(f) % 90 ? f->values[i - 1] : rint(walk); break;
		case 8: f->values[i] = i && draw(f) % 9 ? f->values[i - 1] : bits(draw(f)); break;
		case 9: f->values[i] = rint(walk * 10) / 10; break;
		default: /* small steps, now and then a jump: words, escapes */
			if (i == 0 || draw(f) % 64 < rarely)
				level += (int64_t)(draw(f) % 5) - 2;
			if (draw(f) % 200 == 0)
				level += (int64_t)(draw(f) % far) - (int64_t)(far / 2);
			f->values[i] = (double)level / 10;
			break;
		}
	}
}

static void
fill_times(struct fixture *f, size_t count, unsigned kind)
{
	int64_t at = (int64_t)(draw(f) >> 12) - (INT64_C(1) << 51);
	int64_t step = (int64_t)(draw(f) % 100000) + 1, start = at;
	for (size_t i = 0; i < count; i++) {
		f->times[i] = at;
		switch (kind) {
		case 0: at += step; break;
		case 1: at = start + (int64_t)(i + 1) * (step + 1000) + (int64_t)(draw(f) % 1000);
			break;
		case 2: at += 1 + (int64_t)(draw(f) >> (draw(f) % 36 + 28)); break;
		case 3: at += draw(f) % 100 ? step : step * (int64_t)(draw(f) % 1000 + 1); break;
		default: at += 1; break;
		}
	}
}

static void
any_distribution_comes_back(void **state)
{
	struct fixture *f = *state;
	print_message("seed %llu (WEIR_SEED)\n", (unsigned long long)f->random);
	for (unsigned round = 0; round < 600; round++) {
		size_t count = 1 + draw(f) % (draw(f) % 8 ? 600 : 9000);
		fill_times(f, count, round % 5);
		fill_values(f, count, round % 14);
		round_trip(f, count);
	}
}

static void
largest_chunk_comes_back(void **state)
{
	(void)state;
	struct buf scratch, out;
	buf_init(&scratch, 0);
	buf_init(&out, 0);
	int64_t *times = malloc(2 * CODEC_POINTS_MAX * sizeof(*times));
	double *values = malloc(2 * CODEC_POINTS_MAX * sizeof(*values));
	for (size_t i = 0; i < CODEC_POINTS_MAX; i++) {
		times[i] = (int64_t)(i * i);
		values[i] = sqrt((double)i);
	}
	times[0] = -9007199254740992;
	times[CODEC_POINTS_MAX - 1] = 9007199254740992;
	assert_int_equal(codec_encode(times, values, CODEC_POINTS_MAX, &scratch, &out), 0);
	assert_int_equal(codec_count(buf_span(&out)), (int)CODEC_POINTS_MAX);
	assert_int_equal(codec_decode(buf_span(&out), times + CODEC_POINTS_MAX,
	    values + CODEC_POINTS_MAX), 0);
	assert_memory_equal(times, times + CODEC_POINTS_MAX, CODEC_POINTS_MAX * 8);
	assert_memory_equal(values, values + CODEC_POINTS_MAX, CODEC_POINTS_MAX * 8);
	free(times);
	free(values);
	buf_finish(&scratch);
	buf_finish(&out);
}

/* The sizes that the design promises, with a little room: a worse choice of form is a bug. */
static void
sensor_data_becomes_small(void **state)
{
	struct fixture *f = *state;
	size_t count = 8640;
	regular_times(f, count);
	tenths_walk(f, count);
	assert_in_range(round_trip(f, count), 1, count * 265 / 1000);
	for (size_t i = 0; i < count; i++)
		f->times[i] += (int64_t)(draw(f) % 1001) - 500;
	assert_in_range(round_trip(f, count), 1, count * 154 / 100);
	regular_times(f, count);
	double level = 100, walk = 20;
	for (size_t i = 0; i < count; i++)
		f->values[i] = level -= draw(f) % 120 == 0;
	assert_in_range(round_trip(f, count), 1, count * 35 / 1000);
	for (size_t i = 0; i < count; i++)
		f->values[i] = walk += (uniform(f) - 0.5) * 0.3;
	assert_in_range(round_trip(f, count), 1, count * 63 / 10);
	assert_in_range(round_trip(f, 10), 1, 10 * 8 + 24);
	tenths_walk(f, 10);
	assert_in_range(round_trip(f, 10), 1, 30);
}

static void
every_flipped_bit_and_cut_is_noticed(void **state)
{
	struct fixture *f = *state;
	regular_times(f, 200);
	tenths_walk(f, 200);
	size_t len = round_trip(f, 200);
	for (size_t bit = 0; bit < len * 8; bit++) {
		f->out.ptr[bit / 8] ^= (char)(1 << bit % 8);
		assert_int_equal(codec_decode(buf_span(&f->out), f->back_times, f->back_values),
		    -EBADMSG);
		f->out.ptr[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(codec_count(span_of(f->out.ptr, cut)), -EBADMSG);
}

/* Whoever can write a file can also write its checksum: the decoder must stay inside its memory. */
static void
forged_chunks_do_no_harm(void **state)
{
	struct fixture *f = *state;
	for (unsigned round = 0; round < 3000; round++) {
		size_t count = 1 + draw(f) % 900;
		fill_times(f, count, round % 5);
		fill_values(f, count, round % 14);
		size_t len = round_trip(f, count);
		char *forged = malloc(len);
		memcpy(forged, f->out.ptr, len);
		for (uint64_t flips = 1 + draw(f) % 3; flips > 0; flips--)
			forged[5 + draw(f) % (len - 5)] = (char)draw(f);
		if (draw(f) % 4 == 0)
			len = 6 + draw(f) % (len - 6);
		uint32_t crc = crc32c(0, forged + 4, len - 4);
		memcpy(forged, &crc, 4);
		struct span chunk = span_of(forged, len);
		int n = codec_count(chunk);
		if (n > 0) {
			int64_t *times = malloc((size_t)n * 8);
			double *values = malloc((size_t)n * 8);
			int error = codec_decode(chunk, times, values);
			assert_true(error == 0 || error == -EBADMSG || error == -EPROTO);
			for (int i = 1; i < n && error == 0; i++)
				assert_true(times[i] > times[i - 1]);
			free(times);
			free(values);
		}
		free(forged);
	}
}

static void
newer_versions_and_forms_are_named_as_such(void **state)
{
	struct fixture *f = *state;
	regular_times(f, 20);
	tenths_walk(f, 20);
	size_t len = round_trip(f, 20);
	const struct {
		size_t at;
		char byte;
	} changes[] = {{4, 2}, {5, 15}, {5, (char)0xf0}};
	for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
		char before = f->out.ptr[changes[i].at];
		f->out.ptr[changes[i].at] = changes[i].byte;
		uint32_t crc = crc32c(0, f->out.ptr + 4, len - 4);
		memcpy(f->out.ptr, &crc, 4);
		assert_int_equal(codec_count(buf_span(&f->out)), -EPROTO);
		f->out.ptr[changes[i].at] = before;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(special_values_come_back),
		cmocka_unit_test(any_distribution_comes_back),
		cmocka_unit_test(largest_chunk_comes_back),
		cmocka_unit_test(sensor_data_becomes_small),
		cmocka_unit_test(every_flipped_bit_and_cut_is_noticed),
		cmocka_unit_test(forged_chunks_do_no_harm),
		cmocka_unit_test(newer_versions_and_forms_are_named_as_such),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* Roll-ups: every bit through their chunks, damage, what outlives its points, what is worth it. */
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
#include "env.h"
#include "rollup.h"
#include "sim.h"
#include "world.h"

#define HOUR_MS INT64_C(3600000)
#define MORNING_MS (WORLD_START_MS - WORLD_START_MS % WORLD_DAY_MS)
#define PARTS_MAX 64

/* ── chunks ── */

static double
some_double(uint64_t *seed, unsigned kind)
{
	static const double special[] = {NAN, INFINITY, -INFINITY, -0.0, 5e-324, 1e308, -1e308};
	*seed = *seed * 6364136223846793005 + 1442695040888963407;
	uint64_t bits = *seed >> 11;
	if (kind == 0)
		return (double)(int64_t)(bits % 4000) / 10 - 100;
	if (kind == 1)
		return (double)bits / 3e11;
	return special[bits % ARRAY_COUNT(special)];
}

static void
every_bit_comes_back(void **state)
{
	(void)state;
	static const size_t counts[] = {1, 2, 24, 200, 768};
	static struct rollup in[ROLLUP_CHUNK_MAX], out[ROLLUP_CHUNK_MAX];
	uint64_t seed = 1;
	for (size_t round = 0; round < 60; round++) {
		size_t count = counts[round % ARRAY_COUNT(counts)];
		unsigned kind = (unsigned)(round / ARRAY_COUNT(counts)) % 3;
		struct buf chunk = {0};
		memset(in, 0, sizeof(in));
		for (size_t i = 0; i < count; i++) {
			struct series_cell *cell = &in[i].cell;
			in[i].start_ms = 19200 * WORLD_DAY_MS + (int64_t)i * HOUR_MS;
			cell->count = 1 + seed % 100;
			cell->nans = kind == 2 ? seed % 2 : 0;
			double *numbers[] = {&cell->first, &cell->last, &cell->min, &cell->max,
			    &cell->sum};
			for (size_t k = 0; k < ARRAY_COUNT(numbers); k++)
				*numbers[k] = some_double(&seed, kind);
			cell->sum *= kind == 0 ? 3.7 : 1;
		}
		assert_int_equal(rollup_encode(ROLLUP_HOUR, 19200, in, count, &chunk), 0);
		assert_int_equal(rollup_decode(ROLLUP_HOUR, 19200, buf_span(&chunk), out), count);
		assert_memory_equal(in, out, count * sizeof(in[0]));
		/* A chunk cut short or changed is none. */
		for (size_t cut = 0; cut < chunk.len; cut += 1 + chunk.len / 50)
			assert_true(rollup_decode(ROLLUP_HOUR, 19200, span_of(chunk.ptr, cut),
			    out) < 0);
		chunk.ptr[seed % chunk.len] ^= 4;
		assert_true(rollup_decode(ROLLUP_HOUR, 19200, buf_span(&chunk), out) < 0);
		buf_finish(&chunk);
	}
}

/* Steps so rare that columns are written as entropy codes, each followed by others. */
static void
columns_of_rare_steps_come_back(void **state)
{
	(void)state;
	static struct rollup in[ROLLUP_CHUNK_MAX], out[ROLLUP_CHUNK_MAX];
	uint64_t seed = 7;
	for (size_t count = 100; count <= ROLLUP_CHUNK_MAX; count += 134) {
		struct buf chunk = {0};
		double value = 20;
		memset(in, 0, sizeof(in));
		for (size_t i = 0; i < count; i++) {
			struct series_cell *cell = &in[i].cell;
			some_double(&seed, 0);
			in[i].start_ms = 19200 * WORLD_DAY_MS + (int64_t)i * 60000;
			cell->count = 60 - (seed >> 60 == 3);
			value += seed >> 61 == 5 ? 0.1 : 0;
			cell->first = cell->min = value;
			value += seed >> 61 == 3 ? 0.1 : 0;
			cell->last = cell->max = value;
			cell->sum = value * (double)cell->count;
		}
		assert_int_equal(rollup_encode(ROLLUP_MINUTE, 19200, in, count, &chunk), 0);
		assert_int_equal(rollup_decode(ROLLUP_MINUTE, 19200, buf_span(&chunk), out), count);
		assert_memory_equal(in, out, count * sizeof(in[0]));
		buf_finish(&chunk);
	}
}

static void
a_chunk_of_another_kind_or_place_is_refused(void **state)
{
	(void)state;
	struct rollup in = {.start_ms = 31 * WORLD_DAY_MS, .cell = {.count = 1}}, out[1440];
	struct buf chunk = {0};
	assert_int_equal(rollup_encode(ROLLUP_HOUR, 0, &in, 1, &chunk), 0);
	assert_int_equal(rollup_decode(ROLLUP_HOUR, 0, buf_span(&chunk), out), 1);
	assert_int_equal(rollup_decode(ROLLUP_DAY, 0, buf_span(&chunk), out), -EBADMSG);
	assert_int_equal(rollup_decode(ROLLUP_MINUTE, 0, buf_span(&chunk), out), -EBADMSG);
	buf_finish(&chunk);
}

/* ── worlds ── */

/* A reading of every series each `step_ms`. */
static void
write_points(struct world *world, int64_t start_ms, size_t points, int64_t step_ms)
{
	struct series_batch *batch = world_begin(world);
	for (size_t series = 0; series < WORLD_SERIES; series++)
		for (size_t i = 0; i < points; i++)
			world_add(world, batch, series, start_ms + (int64_t)i * step_ms,
			    (double)world_draw(world, 500) / 10);
	world_end(world, batch);
}

static struct world *
world_with_rollups(unsigned rollups)
{
	struct world *world = world_create(5);
	world->rollups = rollups;
	assert_int_equal(world_open(world), 0);
	return world;
}

static struct series_query
by_hour(int64_t from_ms, int64_t to_ms)
{
	return (struct series_query){
		.from_ms = from_ms,
		.to_ms = to_ms,
		.step_ms = HOUR_MS,
		.aggs = {SERIES_AVG, SERIES_COUNT, SERIES_MIN, SERIES_MAX, SERIES_FIRST,
		    SERIES_LAST, SERIES_SUM},
		.agg_count = 7,
	};
}

static size_t
count_rollup_parts(struct world *world, struct store_part *ret_one)
{
	struct store_part parts[PARTS_MAX];
	size_t count = world_load_parts(world, parts, PARTS_MAX), rolls = 0;
	for (size_t i = 0; i < count; i++) {
		if (!parts[i].rollup)
			continue;
		rolls++;
		if (parts[i].rollup == ROLLUP_HOUR)
			*ret_one = parts[i];
	}
	return rolls;
}

static void
sparse_points_are_not_rolled_up_before_they_must(void **state)
{
	(void)state;
	struct world *world = world_with_rollups(SERIES_ROLLUP_HOURS);
	struct store_part one;
	write_points(world, MORNING_MS, 24 * 6, 600000);
	assert_int_equal(world_flush(world), 0);
	assert_int_equal(world_roll(world, SERIES_ROLL_CLOSE), 0);
	assert_int_equal(world_roll_before(world, MORNING_MS + WORLD_DAY_MS - 1), 0);
	assert_int_equal(world_roll_before(world, MORNING_MS + WORLD_DAY_MS), 1);
	assert_int_equal(world_roll_before(world, MORNING_MS + WORLD_DAY_MS), 0);
	assert_int_equal(count_rollup_parts(world, &one), 1);
	world_destroy(world);
}

static void
the_newest_day_is_rolled_up_at_the_end_or_after_some_flushes(void **state)
{
	(void)state;
	struct world *world = world_with_rollups(SERIES_ROLLUP_HOURS | SERIES_ROLLUP_DAYS);
	struct store_part one;
	for (int64_t i = 0; i < 4; i++) {
		assert_int_equal(world_roll(world, SERIES_ROLL_DUE), 0);
		write_points(world, MORNING_MS + i * HOUR_MS, 360, 10000);
		assert_int_equal(world_flush(world), 0);
	}
	assert_int_equal(world_roll(world, SERIES_ROLL_DUE), 1);
	assert_int_equal(world_roll(world, SERIES_ROLL_DUE), 0);
	write_points(world, MORNING_MS + 4 * HOUR_MS, 360, 10000);
	assert_int_equal(world_flush(world), 0);
	assert_int_equal(world_roll(world, SERIES_ROLL_DUE), 0);
	assert_int_equal(world_roll(world, SERIES_ROLL_CLOSE), 1);
	assert_int_equal(count_rollup_parts(world, &one), 4);
	while (world_merge(world, true) == 1)
		;
	assert_int_equal(count_rollup_parts(world, &one), 2);
	struct series_query query = by_hour(MORNING_MS, MORNING_MS + WORLD_DAY_MS);
	world_compare_query(world, &query);
	world_destroy(world);
}

static void
roll_ups_and_the_newest_point_outlive_the_points(void **state)
{
	(void)state;
	struct world *world = world_with_rollups(SERIES_ROLLUP_HOURS | SERIES_ROLLUP_DAYS);
	write_points(world, MORNING_MS, 8640, 10000);
	assert_int_equal(world_flush(world), 0);
	assert_int_equal(world_retire(world, MORNING_MS + WORLD_DAY_MS), 0); /* not rolled up */
	assert_int_equal(world_roll_before(world, MORNING_MS + WORLD_DAY_MS), 1);
	assert_int_equal(world_retire(world, MORNING_MS + WORLD_DAY_MS), 1);
	for (int life = 0; life < 2; life++) {
		struct series_query query = by_hour(MORNING_MS, MORNING_MS + WORLD_DAY_MS);
		world_compare_query(world, &query);
		assert_int_equal(world_count_true_points(world), 0);
		world_compare_latest(world);
		world_close(world);
		assert_int_equal(world_open(world), 0);
	}
	world_destroy(world);
}

static void
points_below_the_floor_come_back_neither_from_the_journal_nor_the_head(void **state)
{
	(void)state;
	struct world *world = world_with_rollups(SERIES_ROLLUP_HOURS);
	write_points(world, MORNING_MS, 8640, 10000);
	assert_int_equal(world_flush(world), 0);
	assert_int_equal(world_roll_before(world, MORNING_MS + WORLD_DAY_MS), 1);
	assert_int_equal(world_retire(world, MORNING_MS + WORLD_DAY_MS), 1);
	/* Accepted, but behind what the model keeps: it must not make the hour anew. */
	struct series_batch *batch = world_begin(world);
	struct span key = world_key(world, 0);
	assert_int_equal(series_batch_add(batch, 0, series_key_hash(key), key, MORNING_MS + 5, 9e9),
	    0);
	world_end(world, batch);
	struct series_query query = by_hour(MORNING_MS, MORNING_MS + WORLD_DAY_MS);
	world_compare_query(world, &query);
	assert_int_equal(world_flush(world), 0);
	while (world_roll_before(world, MORNING_MS + WORLD_DAY_MS) == 1)
		;
	world_compare_query(world, &query);
	assert_int_equal(world_count_true_points(world), 0);
	assert_int_equal(world_retire(world, MORNING_MS), 1);
	world_close(world);
	assert_int_equal(world_open(world), 0);
	world_compare_query(world, &query);
	world_destroy(world);
}

static void
without_roll_ups_a_day_just_goes(void **state)
{
	(void)state;
	struct world *world = world_with_rollups(0);
	write_points(world, MORNING_MS, 10, 10000);
	write_points(world, MORNING_MS + WORLD_DAY_MS, 10, 10000);
	assert_int_equal(world_flush(world), 0);
	assert_true(series_partition_bytes_before(world->partition, UINT64_MAX) == INT64_MIN);
	assert_int_equal(series_partition_bytes_before(world->partition, 0),
	    MORNING_MS + WORLD_DAY_MS);
	assert_int_equal(world_retire(world, MORNING_MS + WORLD_DAY_MS), 1);
	world_compare_raw(world, INT64_MIN, INT64_MAX, 0);
	struct store_part parts[PARTS_MAX];
	assert_int_equal(world_load_parts(world, parts, PARTS_MAX), 1);
	world_destroy(world);
}

static void
files_of_roll_ups_go_by_age(void **state)
{
	(void)state;
	struct world *world = world_with_rollups(SERIES_ROLLUP_HOURS);
	struct store_part one;
	write_points(world, 0, 8640, 10000);
	write_points(world, 40 * WORLD_DAY_MS, 8640, 10000);
	assert_int_equal(world_flush(world), 0);
	while (world_roll(world, SERIES_ROLL_CLOSE) == 1)
		;
	assert_int_equal(count_rollup_parts(world, &one), 2);
	assert_int_equal(series_partition_rollup_bytes_before(world->partition, 0),
	    32 * WORLD_DAY_MS);
	assert_null(series_partition_retire_begin(world->partition, INT64_MIN,
	    32 * WORLD_DAY_MS - 1));
	struct series_retire *retire = series_partition_retire_begin(world->partition, INT64_MIN,
	    32 * WORLD_DAY_MS);
	assert_non_null(retire);
	series_partition_retired(world->partition, retire, 0);
	/* Their points are all there still. */
	world_compare_raw(world, INT64_MIN, INT64_MAX, 0);
	world_destroy(world);
}

/* ── damage ── */

static void
damaged_roll_ups_are_reported_and_points_answer(void **state)
{
	(void)state;
	struct world *world = world_with_rollups(SERIES_ROLLUP_HOURS);
	struct store_part one;
	write_points(world, MORNING_MS, 2000, 10000);
	assert_int_equal(world_flush(world), 0);
	assert_int_equal(world_roll(world, SERIES_ROLL_CLOSE), 1);
	assert_int_equal(count_rollup_parts(world, &one), 1);
	char path[128];
	snprintf(path, sizeof(path), "%s/%llu.part", WORLD_PARTS_DIR, (unsigned long long)one.id);
	struct series_query query = by_hour(MORNING_MS, MORNING_MS + WORLD_DAY_MS);
	size_t reported = 0;
	for (uint64_t byte = 64; byte < one.bytes - 88; byte += 1 + one.bytes / 200) {
		assert_int_equal(sim_flip_bit(world->env, path, byte * 8), 0);
		world->damages = 0;
		world_compare_query(world, &query);
		reported += world->damages > 0;
		assert_int_equal(sim_flip_bit(world->env, path, byte * 8), 0);
	}
	assert_true(reported > 50);
	world_destroy(world);
}

static void
a_roll_up_that_the_disk_refuses_changes_nothing(void **state)
{
	(void)state;
	struct world *world = world_with_rollups(SERIES_ROLLUP_HOURS | SERIES_ROLLUP_DAYS);
	struct store_part one;
	write_points(world, MORNING_MS, 2000, 10000);
	assert_int_equal(world_flush(world), 0);
	struct series_query query = by_hour(MORNING_MS, MORNING_MS + WORLD_DAY_MS);
	int error = -EIO;
	for (uint64_t calls = 0; error; calls++) {
		sim_crash_after(world->env, calls);
		error = world_roll(world, SERIES_ROLL_CLOSE);
		if (error >= 0) /* 0: a commit that failed was found after the power cut */
			break;
		world_close(world);
		sim_power_cut(world->env);
		sim_heal(world->env);
		assert_int_equal(world_open(world), 0);
		world_compare_query(world, &query);
	}
	sim_heal(world->env);
	assert_int_equal(count_rollup_parts(world, &one), 2);
	world_compare_query(world, &query);
	world_destroy(world);
}

/* ── erasure ── */

static void
an_erased_device_is_in_no_file_and_lives_on_when_it_comes_back(void **state)
{
	(void)state;
	struct world *world = world_with_rollups(SERIES_ROLLUP_HOURS | SERIES_ROLLUP_DAYS);
	struct store_part parts[PARTS_MAX];
	for (int64_t day = 0; day < 2; day++) {
		write_points(world, MORNING_MS + day * WORLD_DAY_MS, 2000, 10000);
		assert_int_equal(world_flush(world), 0);
	}
	while (world_roll(world, SERIES_ROLL_CLOSE) == 1)
		;
	write_points(world, MORNING_MS + 2 * WORLD_DAY_MS, 500, 10000); /* in the head */
	struct series_query query = by_hour(MORNING_MS, MORNING_MS + 3 * WORLD_DAY_MS);
	assert_int_equal(world_erase(world, 3), 0);
	world_compare_raw(world, INT64_MIN, INT64_MAX, 0);
	world_compare_query(world, &query);
	world_compare_latest(world);
	/* It reports again, into an hour that it had before. */
	struct series_batch *batch = world_begin(world);
	world_add(world, batch, 3, MORNING_MS + 5000, 42);
	world_end(world, batch);
	world_compare_query(world, &query);
	int steps = 0, more;
	while ((more = world_rewrite(world)) == 1)
		steps++;
	assert_int_equal(more, 0);
	assert_int_equal(steps, 6); /* of two days the points, the hours, the days */
	assert_int_equal(world_tombstones(world), 0);
	world_compare_query(world, &query);
	/* Without any tombstone the files hold nothing else. */
	size_t count = world_load_parts(world, parts, PARTS_MAX);
	assert_int_equal(world_reattach(world, parts, count), 0);
	assert_int_equal(world_count_true_points(world), world_model_count(world));
	world_compare_query(world, &query);
	world_compare_latest(world);
	world_destroy(world);
}

static void
a_device_that_was_all_there_was_leaves_no_part(void **state)
{
	(void)state;
	struct world *world = world_with_rollups(SERIES_ROLLUP_HOURS);
	struct store_part parts[PARTS_MAX];
	struct series_batch *batch = world_begin(world);
	for (int64_t i = 0; i < 500; i++)
		world_add(world, batch, 1, MORNING_MS + i * 1000, (double)i);
	world_end(world, batch);
	assert_int_equal(world_flush(world), 0);
	assert_int_equal(world_roll(world, SERIES_ROLL_CLOSE), 1);
	assert_int_equal(world_erase(world, 1), 0);
	while (world_rewrite(world) == 1)
		;
	assert_int_equal(world_load_parts(world, parts, PARTS_MAX), 0);
	world_compare_latest(world);
	world_close(world);
	assert_int_equal(world_open(world), 0);
	world_compare_latest(world);
	world_destroy(world);
}

static void
replay_brings_nothing_back_that_was_erased(void **state)
{
	(void)state;
	struct world *world = world_with_rollups(0);
	write_points(world, MORNING_MS, 50, 10000);
	assert_int_equal(world_erase(world, 2), 0);
	write_points(world, MORNING_MS + WORLD_DAY_MS, 5, 10000);
	for (int life = 0; life < 3; life++) {
		world_close(world);
		assert_int_equal(world_open(world), 0);
		world_compare_raw(world, INT64_MIN, INT64_MAX, 0);
		world_compare_latest(world);
		if (life == 1)
			assert_int_equal(world_flush(world), 0);
	}
	world_destroy(world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bit_comes_back),
		cmocka_unit_test(columns_of_rare_steps_come_back),
		cmocka_unit_test(a_chunk_of_another_kind_or_place_is_refused),
		cmocka_unit_test(sparse_points_are_not_rolled_up_before_they_must),
		cmocka_unit_test(the_newest_day_is_rolled_up_at_the_end_or_after_some_flushes),
		cmocka_unit_test(roll_ups_and_the_newest_point_outlive_the_points),
		cmocka_unit_test(
		    points_below_the_floor_come_back_neither_from_the_journal_nor_the_head),
		cmocka_unit_test(without_roll_ups_a_day_just_goes),
		cmocka_unit_test(files_of_roll_ups_go_by_age),
		cmocka_unit_test(damaged_roll_ups_are_reported_and_points_answer),
		cmocka_unit_test(a_roll_up_that_the_disk_refuses_changes_nothing),
		cmocka_unit_test(an_erased_device_is_in_no_file_and_lives_on_when_it_comes_back),
		cmocka_unit_test(a_device_that_was_all_there_was_leaves_no_part),
		cmocka_unit_test(replay_brings_nothing_back_that_was_erased),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

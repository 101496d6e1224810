/*
 * Partition, parts, store and queries against a naive model, driven by a seed: writes in order,
 * late, corrected and repeated, flushes, merges, restarts, power cuts in the middle of anything.
 * WEIR_SEED begins, WEIR_SEEDS says how many (default: modest).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "sim.h"
#include "world.h"

#define SEEDS_DEFAULT 100
#define STEPS 60

static double
some_value(struct world *world, size_t series)
{
	static const double special[] = {NAN, INFINITY, -INFINITY, -0.0, 5e-324, 1e300};
	if (series == 3 && world_draw(world, 20) == 0)
		return special[world_draw(world, ARRAY_COUNT(special))];
	if (series == 5)
		return (double)world_draw(world, UINT64_MAX) / 3e15;
	return (double)(int64_t)world_draw(world, 400) / 10.0 - 10.0;
}

static int64_t
some_time(struct world *world)
{
	return WORLD_START_MS + (int64_t)world_draw(world, 4 * WORLD_DAY_MS / 10000) * 10000;
}

static void
write_record(struct world *world)
{
	struct series_batch *batch = world_begin(world);
	for (uint64_t runs = 1 + world_draw(world, 4); runs > 0; runs--) {
		size_t series = world_draw(world, WORLD_SERIES);
		int64_t at = some_time(world);
		uint64_t kind = world_draw(world, 5);
		int64_t step = kind == 1 ? 10000 : 1000 * (int64_t)world_draw(world, 20);
		const struct world_points *model = &world->model[series];
		if (kind == 0 && model->count) /* corrections and repetitions */
			at = model->points[world_draw(world, model->count)].time_ms;
		if (kind == 1 && model->count) /* goes on behind the last */
			at = model->points[model->count - 1].time_ms + 10000;
		if (kind == 2) /* the millisecond around midnight */
			at = (at / WORLD_DAY_MS + 1) * WORLD_DAY_MS - (int64_t)world_draw(world, 3);
		for (uint64_t n = 1 + world_draw(world, kind == 1 ? 400 : 60); n > 0; n--) {
			if (at >= world->floor_ms) /* the judge's to refuse */
				world_add(world, batch, series, at, some_value(world, series));
			at += step - (kind == 4 ? 5000 : 0);
		}
	}
	world_end(world, batch);
}

/* Below the floor only whole spans of roll-ups can be told. */
static void
stay_with_rollups(struct world *world, struct series_query *query)
{
	bool hours = world->rollups & SERIES_ROLLUP_HOURS;
	query->from_ms -= query->from_ms % WORLD_DAY_MS;
	query->to_ms += WORLD_DAY_MS - query->to_ms % WORLD_DAY_MS;
	query->step_ms = world_draw(world, 3) ? WORLD_DAY_MS : 0;
	if (hours && world_draw(world, 2))
		query->step_ms = 3600000 * (int64_t)(1 + world_draw(world, 3));
	for (size_t i = 0; i < query->agg_count; i++)
		query->aggs[i] = (enum series_agg)world_draw(world, SERIES_P50);
}

static void
ask(struct world *world)
{
	int64_t a = some_time(world), b = some_time(world);
	struct series_query query = {.from_ms = MIN(a, b), .to_ms = MAX(a, b) + 1};
	static const int64_t steps[] = {0, 1000, 60000, 3600000, WORLD_DAY_MS, 77777};
	world_compare_raw(world, query.from_ms, query.to_ms, world_draw(world, 2) *
	    (1 + world_draw(world, 100)));
	query.step_ms = steps[world_draw(world, ARRAY_COUNT(steps))];
	query.agg_count = 1 + world_draw(world, 9);
	for (size_t i = 0; i < query.agg_count; i++)
		query.aggs[i] = (enum series_agg)world_draw(world, SERIES_AGG_COUNT);
	query.limit = world_draw(world, 2) * (1 + world_draw(world, 50));
	if (query.from_ms < world->floor_ms)
		stay_with_rollups(world, &query);
	if (query.step_ms >= 60000)
		query.fill = (enum series_fill)world_draw(world, 3);
	if (query.step_ms == 1000)
		query.to_ms = MIN(query.to_ms, query.from_ms + 3600000);
	world_compare_query(world, &query);
}

static void
compare_all(struct world *world)
{
	world_compare_raw(world, INT64_MIN, INT64_MAX, 0);
	world_compare_latest(world);
}

/* Whether it pays or not. */
static int
roll(struct world *world)
{
	int64_t before_ms = some_time(world) + WORLD_DAY_MS;
	switch (world_draw(world, 4)) {
	case 0:
		return world_roll(world, SERIES_ROLL_DUE);
	case 1:
		return world_roll(world, SERIES_ROLL_CLOSE);
	default:
		return world_roll_before(world, before_ms);
	}
}

/* Points of days before some time go, once roll-ups hold them. */
static int
retire(struct world *world)
{
	int64_t before_ms = some_time(world) - WORLD_DAY_MS;
	int error = world_flush(world);
	if (error || !world->rollups)
		return error;
	while ((error = world_roll_before(world, before_ms)) == 1)
		;
	return error ? error : world_retire(world, before_ms);
}

/* A device goes, or what is left of the ones that went. */
static int
erase(struct world *world)
{
	if (world_draw(world, 2))
		return world_erase(world, world_draw(world, WORLD_SERIES));
	int more = 1;
	for (uint64_t steps = 1 + world_draw(world, 8); steps > 0 && more == 1; steps--)
		more = world_rewrite(world);
	return MIN(more, 0);
}

static void
cut_power(struct world *world)
{
	sim_crash_after(world->env, world_draw(world, 60));
	/* Whatever they say, nothing may be lost. */
	uint64_t what = world_draw(world, 10);
	if (what >= 8)
		erase(world);
	else if (what < 3)
		world_flush(world);
	else if (what < 4)
		world_merge(world, world_draw(world, 2));
	else if (what < 6)
		roll(world);
	else
		retire(world);
	world_close(world);
	sim_power_cut(world->env);
	sim_heal(world->env);
	assert_int_equal(world_open(world), 0);
}

/* Adds up the queries that were asked and answered at once. */
static void
live_through(uint64_t seed, size_t *asked, size_t *answered)
{
	static const unsigned rollups[] = {0, SERIES_ROLLUP_HOURS | SERIES_ROLLUP_DAYS,
	    SERIES_ROLLUP_MINUTES | SERIES_ROLLUP_HOURS | SERIES_ROLLUP_DAYS,
	    SERIES_ROLLUP_DAYS};
	struct world *world = world_create(seed);
	world->rollups = rollups[seed % ARRAY_COUNT(rollups)];
	world->shelf_bytes = seed % 3 * (seed % 5) * 8000;
	assert_int_equal(world_open(world), 0);
	for (unsigned step = 0; step < STEPS; step++) {
		uint64_t what = world_draw(world, 100);
		if (what < 45)
			write_record(world);
		else if (what < 60)
			assert_int_equal(world_flush(world), 0);
		else if (what < 68)
			assert_true(world_merge(world, what < 63) >= 0);
		else if (what < 74)
			assert_true(roll(world) >= 0);
		else if (what < 90)
			ask(world);
		else if (what < 92)
			compare_all(world);
		else if (what < 93)
			assert_true(retire(world) >= 0);
		else if (what < 94)
			assert_int_equal(erase(world), 0);
		else if (what < 96) {
			world_close(world);
			assert_int_equal(world_open(world), 0);
		} else
			cut_power(world);
	}
	compare_all(world);
	assert_int_equal(world_flush(world), 0);
	compare_all(world);
	while (world_merge(world, true) == 1)
		;
	compare_all(world);
	int more;
	while ((more = world_rewrite(world)) == 1)
		;
	assert_int_equal(more, 0);
	assert_int_equal(world_tombstones(world), 0);
	compare_all(world);
	world_close(world);
	assert_int_equal(world_open(world), 0);
	compare_all(world);
	assert_int_equal(world->damages, 0);
	*asked += world->asked_at_once;
	*answered += world->answered_at_once;
	world_destroy(world);
}

static void
partition_equals_the_model_whatever_happens(void **state)
{
	(void)state;
	const char *first = getenv("WEIR_SEED"), *count = getenv("WEIR_SEEDS");
	uint64_t seed = first ? strtoull(first, NULL, 0) : 1;
	uint64_t seeds = count ? strtoull(count, NULL, 0) : SEEDS_DEFAULT;
	size_t asked = 0, answered = 0;
	for (uint64_t i = 0; i < seeds; i++) {
		print_message("seed %llu (WEIR_SEED)\n", (unsigned long long)(seed + i));
		live_through(seed + i, &asked, &answered);
	}
	print_message("%zu of %zu at once\n", answered, asked);
	assert_true(seeds < SEEDS_DEFAULT || (answered > asked / 20 && answered < asked));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partition_equals_the_model_whatever_happens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

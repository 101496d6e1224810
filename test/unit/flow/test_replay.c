/*
 * test_replay.c: several lanes replay a journal to what one makes of it, to the last detail: the
 * same points in the same heads, series in the same order, the same newest values. By seed: bodies
 * of all formats with corrections, late points and rejected items (more series than may be, too),
 * partitions whose cursors differ, devices that are erased, a damaged journal, a disk that fails.
 *
 * WEIR_SEEDS: how many (3), WEIR_SEED: the first.
 */
#include "power.h"

#include <errno.h>
#include <stdio.h>

#include "census.h"

#define SEEDS_DEFAULT 3
#define COMMITS 400
#define SERIES_MAX (POWER_SERIES * 2 / 3)

static uint64_t
number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* ── what is there, as text ── */

static int
tell_key(void *ctx, struct span key)
{
	buf_printf(ctx, "series %zu\n", power_series_of(key));
	return 0;
}

static int
tell_latest(void *ctx, const struct series_latest *latest)
{
	buf_printf(ctx, "latest %zu %lld %lld %a\n", power_series_of(latest->key),
	    (long long)latest->first_ms, (long long)latest->last_ms, latest->last_value);
	return 0;
}

static int
tell_rows(void *ctx, const struct series_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		buf_printf(ctx, "%lld %a\n", (long long)rows->times_ms[i], rows->values[i]);
	return 0;
}

static int
tell_end(void *ctx)
{
	(void)ctx;
	return 0;
}

static void
tell_damage(void *ctx, const struct series_damage *damage)
{
	(void)ctx;
	fail_msg("%s is damaged: %s", damage->file, damage->reason);
}

static void
tell_partition(struct series_partition *partition, struct buf *out)
{
	static const struct series_query_sink sink = {tell_key, tell_rows, tell_end, tell_damage};
	const struct series_query query = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
	const struct series_selector all = {.tenant = SPAN("main"), .metric = SPAN("")};
	struct series_snapshot *snapshot;
	struct series_partition_stats stats;
	series_partition_stats(partition, &stats);
	buf_printf(out, "%llu series, %llu points in the head, %llu bytes, oldest %lld\n",
	    (unsigned long long)stats.series, (unsigned long long)stats.head_points,
	    (unsigned long long)stats.head_bytes, (long long)stats.head_oldest_ms);
	check(series_partition_keys(partition, tell_key, out) == 0);
	check(series_partition_latest(partition, &all, tell_latest, out) == 0);
	check(series_partition_snapshot(partition, &all, INT64_MIN, INT64_MAX, POWER_SERIES,
	    &snapshot) == 0);
	check(series_query_run(&query, &snapshot, 1, &sink, out) == 0);
	series_snapshot_unref(snapshot);
}

/* Opens what the disk holds with so many lanes and tells of it. */
static void
tell_opened(struct power *power, unsigned loops, struct buf *out)
{
	struct flow_stats stats;
	power->loops = loops;
	power->warnings = 0;
	buf_clear(out);
	assert_int_equal(power_open(power), 0);
	for (uint32_t p = 0; p < POWER_PARTITIONS; p++)
		tell_partition(flow_partition(power->flow, p), out);
	flow_stats(power->flow, &stats);
	buf_printf(out, "%llu records, %u warnings\n", (unsigned long long)stats.replayed,
	    power->warnings);
	buf_append_byte(out, '\0');
	assert_int_equal(out->error, 0);
	power_close(power);
}

/* ── a life ── */

static void
erase_some_device(struct power *power)
{
	static const char *const devices[POWER_DEVICES] = {"0", "1", "2", "3", "4"};
	if (power->tomb_count == POWER_TOMBS_MAX)
		return;
	power->tombs[power->tomb_count++] = (struct store_tombstone){
		.tenant = SPAN("main"),
		.device = span_str(devices[power_draw(power, POWER_DEVICES)]),
		.seq = power_draw(power, power->next_seq),
		.part_id = atomic_load(&power->next_part_id),
		.created_ms = env_now_ms(power->env),
	};
}

/* Commits, flushes of some partitions, erasures; ends without a word. */
static void
live(struct power *power)
{
	struct judge_limits limits = {.future_ms = 0};
	const struct census_options census = {.max = {[CENSUS_NODE] = SERIES_MAX}};
	check(census_create(&census, &limits.census) == 0);
	judge_set_limits(power->judge, &limits);
	power->loops = 1;
	assert_int_equal(power_open(power), 0);
	for (unsigned i = 0; i < COMMITS; i++) {
		assert_int_equal(power_commit(power), 0);
		if (power_draw(power, 150) == 0)
			power_flush(power);
		if (power_draw(power, 120) == 0)
			erase_some_device(power);
	}
	power_close(power);
	judge_set_limits(power->judge, &(struct judge_limits){.future_ms = 0});
	census_destroy(limits.census);
}

static void
damage_the_journal(struct power *power)
{
	uint64_t bytes;
	assert_int_equal(env_stat(power->env, "/data/journal/0000000000000001.seg", &bytes), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(sim_flip_bit(power->env, "/data/journal/0000000000000001.seg",
		    3 * 4096 * 8 + power_draw(power, (bytes / 2 - 3 * 4096) * 8)), 0);
	power->damaged = true;
}

/* How many records were replayed. */
static unsigned
records_in(const struct buf *text)
{
	const char *end = text->ptr + text->len - 2;
	while (end > text->ptr && end[-1] != '\n')
		end--;
	return (unsigned)strtoul(end, NULL, 10);
}

static void
compare_lanes(uint64_t seed, bool damage, unsigned *records, unsigned *warnings)
{
	struct power power;
	struct buf one, many;
	power_init(&power, seed);
	live(&power);
	if (damage)
		damage_the_journal(&power);
	buf_init(&one, 0);
	buf_init(&many, 0);
	tell_opened(&power, 1, &one);
	*records += records_in(&one);
	*warnings += power.warnings;
	for (unsigned loops = 2; loops <= 6; loops += 2) {
		tell_opened(&power, loops, &many);
		if (strcmp(one.ptr, many.ptr) != 0) {
			fprintf(stderr, "── one lane\n%s── %u lanes\n%s", one.ptr, loops, many.ptr);
			fail_msg("seed %llu: %u lanes made something else than one",
			    (unsigned long long)seed, loops);
		}
	}
	buf_finish(&one);
	buf_finish(&many);
	power_finish(&power);
}

static void
many_lanes_make_what_one_makes(void **state)
{
	uint64_t seed = number_of("WEIR_SEED", 1), seeds = number_of("WEIR_SEEDS", SEEDS_DEFAULT);
	unsigned records = 0, warnings = 0;
	(void)state;
	print_message("seeds %llu to %llu (WEIR_SEED, WEIR_SEEDS)\n", (unsigned long long)seed,
	    (unsigned long long)(seed + seeds - 1));
	for (uint64_t i = seed; i < seed + seeds; i++)
		compare_lanes(i, false, &records, &warnings);
	print_message("%u records replayed\n", records);
	assert_true(records >= 64 * seeds);
	assert_int_equal(warnings, 0);
}

static void
a_damaged_journal_is_the_same_to_all(void **state)
{
	uint64_t seed = number_of("WEIR_SEED", 1), seeds = number_of("WEIR_SEEDS", SEEDS_DEFAULT);
	unsigned records = 0, warnings = 0;
	(void)state;
	for (uint64_t i = seed; i < seed + seeds; i++)
		compare_lanes(i, true, &records, &warnings);
	print_message("%u records replayed, %u warnings\n", records, warnings);
	assert_true(seeds < 3 || warnings > 0);
}

/* Every lane ends when one cannot read on, wherever that is, and what was under way is freed. */
static void
a_disk_that_fails_ends_every_lane(void **state)
{
	struct power power;
	uint64_t seed = number_of("WEIR_SEED", 1);
	unsigned failed = 0;
	(void)state;
	power_init(&power, seed);
	live(&power);
	uint64_t before = sim_op_count(power.env);
	assert_int_equal(power_open(&power), 0);
	power_close(&power);
	uint64_t ops = sim_op_count(power.env) - before;
	for (unsigned i = 0; i < 30; i++) {
		power.loops = 1 + i % 4;
		sim_fail(power.env, SIM_READ, ops * i / 30, -EIO, true);
		int error = power_open(&power);
		assert_true(error == 0 || error == -EIO);
		failed += error != 0;
		power_close(&power);
		sim_heal(power.env);
	}
	assert_true(failed > 10);
	assert_int_equal(power_open(&power), 0);
	power_close(&power);
	power_finish(&power);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_lanes_make_what_one_makes),
		cmocka_unit_test(a_damaged_journal_is_the_same_to_all),
		cmocka_unit_test(a_disk_that_fails_ends_every_lane),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_power.c: journal, store, parts and replay together on one simulated disk. The power goes in
 * the middle of anything, or the process is killed, or the disk fails, by seed. After the next
 * start every acknowledged reading is there once, with the value of the latest record that told it,
 * nothing else is, and the raw messages are as they were judged.
 *
 * A commit that was not acknowledged may be there or not, whole, but only the last one. WEIR_SEEDS:
 * how many (60; 400 with WEIR_TEST_LONG), WEIR_SEED: the first.
 */
#include "power.h"

#include <errno.h>

#define SEEDS_DEFAULT 60
#define SEEDS_LONG 400
#define LIVES 3
#define STEPS_MAX 40

/* ── what must hold after a start ── */

static struct power_told *
find_told(struct power *power, uint64_t seq)
{
	for (size_t i = power->told_count; i-- > 0;)
		if (power->told[i].record->seq == seq && power->told[i].fate != POWER_GONE)
			return &power->told[i];
	return NULL;
}

static void
must_equal(struct power *power, const struct power_told *told, const struct journal_record *found)
{
	const struct journal_record *record = told->record;
	char *raw = power_raw_text(power, found);
	if (found->count != record->count || found->arrival_ms != record->arrival_ms ||
	    !span_eq(found->body, record->body) || strcmp(raw, told->raw) != 0)
		fail_msg("seed %llu: record %llu is not what was committed",
		    (unsigned long long)power->seed, (unsigned long long)found->seq);
	free(raw);
}

/* The journal holds every acknowledged record, and perhaps the last commit that was not. */
static void
verify_journal(struct power *power)
{
	struct journal_reader *reader;
	struct journal_record record;
	struct journal_damage damage;
	uint64_t last = 0;
	int result;
	for (size_t i = 0; i < power->told_count; i++)
		power->told[i].seen = false;
	check(journal_reader_open(power->journal, 1, &reader) == 0);
	while ((result = journal_reader_next(reader, &record, &damage)) == 1) {
		struct power_told *told = find_told(power, record.seq);
		if (!told || told->seen || record.seq <= last)
			fail_msg("seed %llu: record %llu was never committed",
			    (unsigned long long)power->seed, (unsigned long long)record.seq);
		must_equal(power, told, &record);
		told->seen = true;
		last = record.seq + record.count - 1;
	}
	check(result == 0);
	journal_reader_close(reader);
	assert_true(power->next_seq > last);
	assert_true(power->next_seq >= power->reserved_seq);
}

/* Settles what was not known, and misses what must be there. */
static void
verify_fates(struct power *power)
{
	for (size_t i = 0; i < power->told_count; i++) {
		struct power_told *told = &power->told[i];
		uint64_t seq = told->record->seq;
		if (told->fate == POWER_ACKED && !told->seen && seq >= power->trimmed_seq)
			fail_msg("seed %llu: the acknowledged record %llu is lost",
			    (unsigned long long)power->seed, (unsigned long long)seq);
		if (told->fate != POWER_UNKNOWN)
			continue;
		told->fate = told->seen ? POWER_ACKED : POWER_GONE;
		if (!told->seen)
			continue;
		power->found++;
		for (size_t j = i + 1; j < power->told_count; j++)
			assert_false(power->told[j].fate == POWER_ACKED); /* only the last */
		power_model_take(power, told->record);
	}
}

struct verifying {
	struct power *power;
	size_t series, at;
	bool seen[POWER_SERIES];
};

static int
verify_begin(void *ctx, struct span key)
{
	struct verifying *verifying = ctx;
	verifying->series = power_series_of(key);
	verifying->at = 0;
	assert_false(verifying->seen[verifying->series]);
	verifying->seen[verifying->series] = true;
	return 0;
}

static int
verify_rows(void *ctx, const struct series_rows *rows)
{
	struct verifying *verifying = ctx;
	const struct power_points *points = &verifying->power->model[verifying->series];
	for (size_t i = 0; i < rows->count; i++, verifying->at++) {
		const struct power_point *must = &points->points[verifying->at];
		if (verifying->at < points->count && must->time_ms == rows->times_ms[i] &&
		    memcmp(&must->value, &rows->values[i], sizeof must->value) == 0)
			continue;
		bool more = verifying->at < points->count;
		fail_msg("seed %llu: series %zu, point %zu: (%lld, %g), it must be (%lld, %g)",
		    (unsigned long long)verifying->power->seed, verifying->series,
		    verifying->at, (long long)rows->times_ms[i], rows->values[i],
		    more ? (long long)must->time_ms : 0, more ? must->value : 0);
	}
	return 0;
}

static int
verify_end(void *ctx)
{
	struct verifying *verifying = ctx;
	size_t count = verifying->power->model[verifying->series].count;
	if (verifying->at != count)
		fail_msg("seed %llu: series %zu has %zu points, %zu are missing",
		    (unsigned long long)verifying->power->seed, verifying->series,
		    verifying->at, count - verifying->at);
	return 0;
}

static void
verify_damage(void *ctx, const struct series_damage *damage)
{
	const struct verifying *verifying = ctx;
	fail_msg("seed %llu: %s is damaged: %s", (unsigned long long)verifying->power->seed,
	    damage->file, damage->reason);
}

static void
verify_points(struct power *power)
{
	static const struct series_query_sink sink = {verify_begin, verify_rows, verify_end,
	    verify_damage};
	const struct series_query query = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
	const struct series_selector all = {.tenant = SPAN("main"), .metric = SPAN("")};
	struct series_snapshot *snapshots[POWER_PARTITIONS];
	struct verifying verifying = {.power = power};
	for (uint32_t p = 0; p < POWER_PARTITIONS; p++)
		check(series_partition_snapshot(flow_partition(power->flow, p), &all, INT64_MIN,
		    INT64_MAX, POWER_SERIES, &snapshots[p]) == 0);
	check(series_query_run(&query, snapshots, POWER_PARTITIONS, &sink, &verifying) == 0);
	for (uint32_t p = 0; p < POWER_PARTITIONS; p++)
		series_snapshot_unref(snapshots[p]);
	for (size_t i = 0; i < POWER_SERIES; i++)
		if (!verifying.seen[i] && power->model[i].count)
			fail_msg("seed %llu: series %zu is lost", (unsigned long long)power->seed,
			    i);
}

static void
verify(struct power *power)
{
	verify_journal(power);
	verify_fates(power);
	verify_points(power);
}

/* ── lives ── */

/* From a start to a death; then a start that must succeed. */
static void
live(struct power *power)
{
	bool cut = power_draw(power, 3) > 0, early = power_draw(power, 3) == 0;
	if (cut && early) /* while it starts, or soon after */
		sim_crash_after(power->env, power_draw(power, 200));
	int error = power_open(power);
	if (!cut || !early)
		verify(power);
	if (cut && !early)
		sim_crash_after(power->env, power_draw(power, power_draw(power, 2) ? 250 : 1200));
	for (uint64_t steps = power_draw(power, STEPS_MAX); steps > 0 && !error; steps--)
		error = power_step(power);
	power_close(power);
	sim_heal(power->env);
	if (cut) {
		sim_power_cut(power->env);
		power->cuts++;
	}
	error = power_open(power);
	if (error)
		fail_msg("seed %llu: it does not start: %d", (unsigned long long)power->seed,
		    error);
	verify(power);
	if (power_draw(power, 2)) { /* and goes on, and the power goes between two steps */
		for (uint64_t steps = power_draw(power, 6); steps > 0; steps--)
			assert_int_equal(power_commit(power), 0);
		verify_points(power);
	}
	power_close(power);
	if (power_draw(power, 2))
		sim_power_cut(power->env);
}

static void
live_by_seed(uint64_t seed, struct power *sum)
{
	struct power power;
	power_init(&power, seed);
	for (int i = 0; i < LIVES; i++)
		live(&power);
	power_finish(&power);
	sum->commits += power.commits;
	sum->failed += power.failed;
	sum->flushes += power.flushes;
	sum->merges += power.merges;
	sum->seals += power.seals;
	sum->cuts += power.cuts;
	sum->found += power.found;
}

static uint64_t
number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t
seeds_wanted(void)
{
	return number_of("WEIR_SEEDS", getenv("WEIR_TEST_LONG") ? SEEDS_LONG : SEEDS_DEFAULT);
}

static void
nothing_acknowledged_is_lost_and_nothing_else_is_there(void **state)
{
	uint64_t seed = number_of("WEIR_SEED", 1), seeds = seeds_wanted();
	struct power sum = {.env = NULL};
	(void)state;
	print_message("seeds %llu to %llu (WEIR_SEED, WEIR_SEEDS)\n", (unsigned long long)seed,
	    (unsigned long long)(seed + seeds - 1));
	for (uint64_t i = 0; i < seeds; i++)
		live_by_seed(seed + i, &sum);
	print_message("%u commits, %u failed (%u records of them found again), %u flushes, "
	    "%u merges, %u segments sealed, %u power cuts\n", sum.commits, sum.failed, sum.found,
	    sum.flushes, sum.merges, sum.seals, sum.cuts);
	assert_true(seeds < 50 || (sum.failed > 10 && sum.flushes > seeds &&
	    sum.merges > seeds / 2 && sum.seals > seeds / 10 && sum.cuts > seeds));
}

/* ── one call of the disk fails while heads and parts are stored ── */

static void
fail_in_storing(uint64_t seed, enum sim_op op, uint64_t after)
{
	struct power power;
	power_init(&power, seed);
	assert_int_equal(power_open(&power), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(power_commit(&power), 0);
		power_flush(&power);
	}
	sim_fail(power.env, op, after, power_draw(&power, 2) ? -ENOSPC : -EIO, false);
	for (int i = 0; i < 4; i++)
		power_draw(&power, 2) ? power_flush(&power) : power_merge(&power);
	sim_heal(power.env);
	verify_points(&power);
	for (uint64_t more = power_draw(&power, 3); more > 0; more--) {
		assert_int_equal(power_commit(&power), 0);
		power_flush(&power);
	}
	if (power_draw(&power, 2)) { /* closing writes nothing */
		sim_fail(power.env, SIM_WRITE, 0, -EIO, true);
		sim_fail(power.env, SIM_UNLINK, 0, -EIO, true);
		sim_fail(power.env, SIM_TRUNCATE, 0, -EIO, true);
	}
	power_close(&power);
	sim_heal(power.env);
	if (power_draw(&power, 2))
		sim_power_cut(power.env);
	int error = power_open(&power);
	if (error)
		fail_msg("seed %llu, operation %d after %llu: it does not start: %d",
		    (unsigned long long)seed, (int)op, (unsigned long long)after, error);
	verify(&power);
	power_close(&power);
	power_finish(&power);
}

static void
a_disk_that_fails_while_points_are_stored_loses_none(void **state)
{
	static const enum sim_op ops[] = {SIM_WRITE, SIM_SYNC, SIM_SYNC_DIR, SIM_OPEN, SIM_UNLINK,
	    SIM_TRUNCATE};
	uint64_t first = number_of("WEIR_SEED", 1);
	uint64_t seeds = seeds_wanted() / 20 + 1;
	(void)state;
	for (uint64_t seed = first; seed < first + seeds; seed++)
		for (size_t i = 0; i < ARRAY_COUNT(ops); i++)
			for (uint64_t after = 0; after < 8; after++)
				fail_in_storing(seed * 64 + i * 8 + after, ops[i], after);
}

/* The commit of what was flushed or merged fails in its sync, and the process dies of it: the next
 * one may find the transaction whole, so the files that it names must be there. */
static void
a_transaction_whose_sync_failed_may_yet_hold(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct power power;
		power_init(&power, seed);
		assert_int_equal(power_open(&power), 0);
		for (int i = 0; i < 12; i++) {
			assert_int_equal(power_commit(&power), 0);
			power_flush(&power);
		}
		unsigned done = power.flushes + power.merges;
		power.store_fails = true;
		for (int i = 0; i < 3; i++)
			seed % 2 ? power_flush(&power) : power_merge(&power);
		assert_int_equal(power.flushes + power.merges, done);
		sim_heal(power.env);
		power.store_fails = false;
		verify_points(&power);
		sim_fail(power.env, SIM_WRITE, 0, -EIO, true); /* closing writes nothing */
		power_close(&power);
		sim_heal(power.env);
		if (seed % 4 < 2)
			sim_power_cut(power.env);
		int error = power_open(&power);
		if (error)
			fail_msg("seed %llu: it does not start: %d", (unsigned long long)seed,
			    error);
		verify(&power);
		power_close(&power);
		power_finish(&power);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disk_that_fails_while_points_are_stored_loses_none),
		cmocka_unit_test(a_transaction_whose_sync_failed_may_yet_hold),
		cmocka_unit_test(nothing_acknowledged_is_lost_and_nothing_else_is_there),
	};
	return cmocka_run_group_tests_name("flow_power", tests, NULL, NULL);
}

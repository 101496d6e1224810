/*
 * test_power.c: the power goes at any operation, by seed, after lives that end in an orderly way or
 * by a kill, with calls that fail now and then. What was committed is there, nothing is there by
 * half, and the store goes on from what it finds. WEIR_SEEDS: how many (60; 400 with
 * WEIR_TEST_LONG); WEIR_SEED: that one only.
 */
#include "store_model.h"

#include <inttypes.h>

enum { ROUNDS = 4, BATCHES_MAX = 25, FAILED_MAX = BATCHES_MAX };

/* What one seed's run knows. */
struct run {
	struct env *env;
	uint64_t seed, seq;
	struct model committed;
	struct model failed[FAILED_MAX]; /* states that a failed commit may yet have left on disk */
	unsigned failed_count;
	unsigned commits, faults;
};

static void
state_must_be_allowed(struct run *run, const struct model *found)
{
	if (model_equal(found, &run->committed))
		return;
	for (unsigned i = 0; i < run->failed_count; i++) {
		if (model_equal(found, &run->failed[i])) {
			run->committed = *found;
			return;
		}
	}
	fail_msg("seed %" PRIu64 ": the store holds a state that no batch ended with", run->seed);
}

static struct store *
must_open(const struct run *run)
{
	struct store *store = NULL;
	char reason[200];
	int error = store_open_explained(run->env, "/", reason, sizeof(reason), &store);

	if (error)
		fail_msg("seed %" PRIu64 ": %d, %s", run->seed, error, reason);
	return store;
}

/* Small, so that checkpoints and the cutting of the WAL come often. */
static void
shorten_wal(struct store *store)
{
	sqlite3_exec(store->db, "PRAGMA wal_autocheckpoint = 24; PRAGMA journal_size_limit = 65536",
	    NULL, NULL, NULL);
}

/* Batches with faults now and then, until the world stops. */
static void
work(struct run *run, struct store *store)
{
	unsigned batches = (unsigned)sim_random_below(run->env, BATCHES_MAX + 1);

	for (unsigned i = 0; i < batches; i++) {
		struct model before = run->committed, next;

		if (sim_random_below(run->env, 10) == 0)
			sim_fail(run->env, sim_random_below(run->env, 2) ? SIM_SYNC : SIM_WRITE,
			    sim_random_below(run->env, 4), -EIO, false);
		if (model_batch(run->env, store, &run->committed, &run->seq, &next)) {
			check(run->failed_count < FAILED_MAX);
			run->failed[run->failed_count++] = next;
			run->faults++;
		} else if (!model_equal(&before, &next)) { /* an empty commit touches no disk */
			run->failed_count = 0;
			run->commits++;
		}
	}
}

/* The files close, nothing else happens. */
static void
kill_process(struct store *store)
{
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	store_close(store);
}

/* One process: opens, works, closes or is killed. What it reads at the start lasts from then on. */
static void
live(struct run *run)
{
	struct store *store = NULL;
	struct model found;

	if (sim_random_below(run->env, 3) == 0)
		sim_fail(run->env, (enum sim_op)sim_random_below(run->env, SIM_OP_COUNT),
		    sim_random_below(run->env, 12), -EIO, false);
	if (store_open(run->env, "/", &store))
		return;
	shorten_wal(store);
	if (model_read(store, &found) == 0) {
		state_must_be_allowed(run, &found);
		run->failed_count = 0;
		work(run, store);
	}
	if (sim_random_below(run->env, 2))
		kill_process(store);
	else
		store_close(store);
}

static void
run_round(struct run *run)
{
	struct store *store;
	struct model found;

	sim_crash_after(run->env, sim_random_below(run->env, 600));
	for (unsigned lives = 1 + (unsigned)sim_random_below(run->env, 3); lives > 0; lives--)
		live(run);
	sim_heal(run->env);
	sim_power_cut(run->env);

	store = must_open(run);
	model_check_integrity(store);
	assert_int_equal(model_read(store, &found), 0);
	state_must_be_allowed(run, &found);
	run->failed_count = 0;
	store_close(store);
}

static void
seed_run(uint64_t seed, unsigned *commits, unsigned *faults)
{
	struct run run = {.env = sim_create(seed), .seed = seed};

	check(run.env);
	for (int i = 0; i < ROUNDS; i++)
		run_round(&run);
	*commits += run.commits;
	*faults += run.faults;
	env_destroy(run.env);
}

static uint64_t
number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void
power_cut_at_any_operation_keeps_what_was_committed(void **state)
{
	uint64_t otherwise = getenv("WEIR_TEST_LONG") ? 400 : 60;
	uint64_t seeds = number_of("WEIR_SEEDS", otherwise), only = number_of("WEIR_SEED", 0);
	unsigned commits = 0, faults = 0;

	(void)state;
	for (uint64_t seed = only ? only : 1; seed <= (only ? only : seeds); seed++)
		seed_run(seed, &commits, &faults);
	print_message("seeds %" PRIu64 " (WEIR_SEEDS, WEIR_SEED), %u commits, %u failed\n",
	    only ? 1 : seeds, commits, faults);
	assert_true(only || seeds < 20 || (commits > seeds && faults > seeds));
}

/* ── one short life of a store, the power cut at each of its operations in turn ── */

static bool
short_life(uint64_t crash_after)
{
	struct run run = {.env = sim_create(crash_after + 1), .seed = crash_after};
	struct store *store = NULL;
	struct model found, next;
	uint64_t operations;

	check(run.env);
	sim_crash_after(run.env, crash_after);
	for (int life = 0; life < 2; life++) {
		if (store_open(run.env, "/", &store) == 0) {
			if (model_batch(run.env, store, &run.committed, &run.seq, &next))
				run.failed[run.failed_count++] = next;
		}
		store_close(store);
		store = NULL;
	}
	operations = sim_op_count(run.env);
	sim_power_cut(run.env);
	store = must_open(&run);
	model_check_integrity(store);
	assert_int_equal(model_read(store, &found), 0);
	state_must_be_allowed(&run, &found);
	store_close(store);
	env_destroy(run.env);
	return operations > crash_after;
}

static void
power_cut_at_each_operation_of_a_short_life(void **state)
{
	uint64_t operations = 0;

	(void)state;
	while (short_life(operations))
		operations++;
	print_message("%" PRIu64 " operations\n", operations);
	assert_true(operations > 40);
}

/* ── a failed sync, the process dies of it, the next one starts, the power goes ── */

/* Leaves a WAL whose last transaction programs can read and the disk has in part. */
static void
die_of_failed_sync(struct run *run)
{
	struct store *store = must_open(run);
	struct model next;

	do {
		assert_int_equal(model_batch(run->env, store, &run->committed, &run->seq,
		    &next), 0);
	} while (model_equal(&next, &(struct model){0}) || sim_random_below(run->env, 4));
	do {
		sim_fail(run->env, SIM_SYNC, 0, -EIO, false);
	} while (model_batch(run->env, store, &run->committed, &run->seq, &next) == 0);
	run->failed[run->failed_count++] = next;
	sim_heal(run->env);
	kill_process(store);
}

/* The next process gets as far as `after` operations; whether it was stopped by that. */
static bool
start_after_failed_sync(uint64_t seed, uint64_t after)
{
	struct run run = {.env = sim_create(seed), .seed = seed};
	struct store *store = NULL;
	struct model found;
	bool open;

	check(run.env);
	die_of_failed_sync(&run);
	sim_crash_after(run.env, after);
	open = store_open(run.env, "/", &store) == 0;
	if (open && model_read(store, &found) == 0) {
		state_must_be_allowed(&run, &found);
		run.failed_count = 0; /* what was read lasts */
	} else {
		open = false;
	}
	if (store)
		kill_process(store);
	sim_power_cut(run.env);
	store = must_open(&run);
	model_check_integrity(store);
	assert_int_equal(model_read(store, &found), 0);
	state_must_be_allowed(&run, &found);
	store_close(store);
	env_destroy(run.env);
	return !open;
}

static void
what_a_process_reads_after_one_that_died_of_a_failed_sync_lasts(void **state)
{
	unsigned stopped = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		uint64_t after = 0;

		while (start_after_failed_sync(seed, after))
			after++;
		stopped += (unsigned)after;
	}
	assert_true(stopped > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_cut_at_each_operation_of_a_short_life),
		cmocka_unit_test(what_a_process_reads_after_one_that_died_of_a_failed_sync_lasts),
		cmocka_unit_test(power_cut_at_any_operation_keeps_what_was_committed),
	};

	return cmocka_run_group_tests_name("store_power", tests, NULL, NULL);
}

/*
 * test_faults.c: a disk that is full, fails to sync, or fails any one call: the units are told, the
 * store holds what it held, and goes on when the disk does.
 */
#include "store_model.h"

struct world {
	struct env *env;
	struct store *store;
	struct model model;
	uint64_t seq;
};

static int
world_setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	check(world);
	world->env = sim_create(42);
	check(world->env && store_open(world->env, "/", &world->store) == 0);
	*state = world;
	return 0;
}

static int
world_teardown(void **state)
{
	struct world *world = *state;

	store_close(world->store);
	env_destroy(world->env);
	free(world);
	return 0;
}

static void
must_hold(struct world *world, const struct model *expected)
{
	struct model found;

	assert_int_equal(model_read(world->store, &found), 0);
	assert_true(model_equal(&found, expected));
}

static int
batch(struct world *world)
{
	struct model next;

	return model_batch(world->env, world->store, &world->model, &world->seq, &next);
}

static void
reopen(struct world *world)
{
	store_close(world->store);
	world->store = store_must_open(world->env, "/");
	model_check_integrity(world->store);
}

/* Batches until one fails. */
static int
first_failure(struct world *world)
{
	for (int i = 0; i < 10000; i++) {
		int error = batch(world);

		if (error)
			return error;
	}
	return 0;
}

static void
full_disk_is_told_read_from_and_recovered_from(void **state)
{
	struct world *world = *state;

	sim_disk_limit(world->env, 600000);
	assert_int_equal(first_failure(world), -ENOSPC);
	assert_non_null(strstr(store_error(world->store), "No space left"));
	must_hold(world, &world->model);
	sim_disk_limit(world->env, 1);
	for (int i = 0; i < 20; i++) { /* units that only fail by themselves write nothing */
		int error = batch(world);

		assert_true(error == -ENOSPC || error == 0);
	}
	must_hold(world, &world->model);
	sim_disk_limit(world->env, 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(batch(world), 0);
	reopen(world);
	must_hold(world, &world->model);
}

static void
store_opens_on_a_disk_that_is_still_full(void **state)
{
	struct world *world = *state;

	sim_disk_limit(world->env, 600000);
	assert_int_equal(first_failure(world), -ENOSPC);
	sim_disk_limit(world->env, 1);
	sim_crash_after(world->env, 0); /* no orderly close: the WAL stays */
	store_close(world->store);
	world->store = NULL;
	sim_power_cut(world->env);
	world->store = store_must_open(world->env, "/");
	must_hold(world, &world->model);
	sim_disk_limit(world->env, 0);
	assert_int_equal(batch(world), 0);
	must_hold(world, &world->model);
}

static int
put_cursor(struct store_tx *tx, void *ctx)
{
	return store_cursor_put(tx, "sync", 0, *(uint64_t *)ctx);
}

static uint64_t
cursor_of(struct world *world)
{
	uint64_t seq;

	assert_int_equal(store_cursor_get(world->store, "sync", 0, &seq), 0);
	return seq;
}

static void
failed_sync_is_told_and_what_follows_lasts(void **state)
{
	struct world *world = *state;
	uint64_t seqs[] = {1, 2, 3};

	assert_int_equal(run_one(world->store, put_cursor, &seqs[0]), 0);
	sim_fail(world->env, SIM_SYNC, 0, -EIO, false);
	assert_int_equal(run_one(world->store, put_cursor, &seqs[1]), -EIO);
	assert_non_null(strstr(store_error(world->store), "sync weir.db-wal"));
	assert_true(cursor_of(world) == 1);
	assert_int_equal(run_one(world->store, put_cursor, &seqs[2]), 0);
	sim_crash_after(world->env, 0);
	store_close(world->store);
	sim_power_cut(world->env);
	world->store = store_must_open(world->env, "/");
	assert_true(cursor_of(world) == 3);
}

static void
sync_that_fails_for_ever_commits_nothing(void **state)
{
	struct world *world = *state;
	uint64_t seqs[] = {1, 2};

	assert_int_equal(run_one(world->store, put_cursor, &seqs[0]), 0);
	sim_fail(world->env, SIM_SYNC, 0, -EIO, true);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(run_one(world->store, put_cursor, &seqs[1]), -EIO);
		assert_true(cursor_of(world) == 1);
	}
	sim_heal(world->env);
	assert_int_equal(run_one(world->store, put_cursor, &seqs[1]), 0);
}

/* A short life in which the call number `after` of one kind fails once. Whether it did. */
static bool
short_life(enum sim_op op, uint64_t after)
{
	struct world world = {.env = sim_create(after)};
	struct model found, next;
	unsigned failures = 0;

	check(world.env);
	sim_fail(world.env, op, after, -EIO, false);
	for (int life = 0; life < 2; life++) {
		if (store_open(world.env, "/", &world.store)) {
			failures++;
			continue;
		}
		for (int i = 0; i < 3; i++)
			failures += model_batch(world.env, world.store, &world.model, &world.seq,
			    &next) != 0;
		store_close(world.store);
		world.store = NULL;
	}
	sim_heal(world.env);
	world.store = store_must_open(world.env, "/");
	model_check_integrity(world.store);
	assert_int_equal(model_read(world.store, &found), 0);
	assert_true(model_equal(&found, &world.model)); /* told: not there; not told: there */
	store_close(world.store);
	env_destroy(world.env);
	return failures > 0;
}

static void
each_call_to_the_disk_may_fail_once(void **state)
{
	unsigned failed = 0;

	(void)state;
	for (int op = 0; op < SIM_OP_COUNT; op++) {
		for (uint64_t after = 0; after < 60; after++)
			failed += short_life((enum sim_op)op, after);
	}
	assert_true(failed > 60);
}

static void
damaged_header_is_found(void **state)
{
	struct world *world = *state;
	struct store *store = NULL;

	store_close(world->store);
	world->store = NULL;
	assert_int_equal(sim_flip_bit(world->env, "/weir.db", 8 * 3), 0);
	assert_int_equal(store_open(world->env, "/", &store), -EUCLEAN);
	assert_int_equal(sim_flip_bit(world->env, "/weir.db", 8 * 3), 0);
	world->store = store_must_open(world->env, "/");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(full_disk_is_told_read_from_and_recovered_from),
		TEST(store_opens_on_a_disk_that_is_still_full),
		TEST(failed_sync_is_told_and_what_follows_lasts),
		TEST(sync_that_fails_for_ever_commits_nothing),
		cmocka_unit_test(each_call_to_the_disk_may_fail_once),
		TEST(damaged_header_is_found),
	};

	return cmocka_run_group_tests_name("store_faults", tests, NULL, NULL);
}

/*
 * test_faults.c: calls that fail, at every position; full disks.
 *
 * A test does the same work again and again, each time with a fault one operation later, until
 * the fault comes after the end of the work.
 */
#include "journal_test.h"

#include "check.h"
#include "sim.h"

#define DIR_PATH "journal"
#define POSITIONS_MAX 400
#define WORK_CALLS 7

struct world {
	struct env *env;
	struct journal_options options;
	struct journal *journal;
	struct test_model model;
};

/* A journal with one full segment, part of a second one, and a spare if `spare`. */
static void
world_begin(struct world *world, bool spare)
{
	const size_t lens[] = {300000, 100};
	*world = (struct world){.env = sim_create(11)};
	assert_non_null(world->env);
	world->options = (struct journal_options){.dir = DIR_PATH, .segment_bytes = 1 << 20};
	world->journal = test_open(world->env, &world->options, NULL);
	for (int i = 0; i < 5; i++)
		assert_int_equal(test_commit(world->journal, &world->model, lens, 2), 0);
	if (spare)
		assert_int_equal(journal_prepare(world->journal), 0);
}

static void
world_end(struct world *world)
{
	journal_close(world->journal);
	test_model_finish(&world->model);
	env_destroy(world->env);
}

/* Forgets records that were answered with an error: from now on they must not be there. */
static void
world_drop_failed(struct world *world)
{
	size_t kept = 0;
	for (size_t i = 0; i < world->model.count; i++) {
		if (world->model.expects[i].fate != TEST_FAILED)
			world->model.expects[kept++] = world->model.expects[i];
	}
	world->model.count = kept;
}

/* Everything acknowledged is there, now and after a restart, with a power cut or without. */
static void
world_check(struct world *world, bool power_cut)
{
	struct test_reports reports = {.torn = 0};
	struct test_pass pass = {.records = 0};
	sim_heal(world->env);
	if (world->journal) {
		pass = test_read_all(world->journal, &world->model, 0);
		assert_int_equal(pass.error + (int)pass.damages, 0);
		test_all_seen(&world->model, 0);
		journal_close(world->journal);
	}
	if (power_cut)
		sim_power_cut(world->env);
	world->journal = test_open(world->env, &world->options, &reports);
	assert_int_equal(reports.damaged, 0);
	pass = test_read_all(world->journal, &world->model, 0);
	assert_int_equal(pass.error + (int)pass.damages, 0);
	test_all_seen(&world->model, 0);
	assert_true(journal_next_seq(world->journal) > pass.last_seq);
	world->model.next_seq = MAX(world->model.next_seq, journal_next_seq(world->journal));
	const size_t len = 500;
	assert_int_equal(test_commit(world->journal, &world->model, &len, 1), 0);
}

/* Commits that end a segment and begin the next: WORK_CALLS writes and as many syncs. */
static int
world_work(struct world *world)
{
	int r = 0;
	for (size_t len = 5; len <= 500000 && r == 0; len = len * 10)
		r = test_commit(world->journal, &world->model, &len, 1);
	return r;
}

static void
one_failed_call_is_got_over_by_a_new_segment(void **state)
{
	(void)state;
	const enum sim_op ops[] = {SIM_WRITE, SIM_SYNC, SIM_OPEN, SIM_RENAME, SIM_SYNC_DIR};
	for (size_t kind = 0; kind < ARRAY_COUNT(ops) * 2; kind++) {
		for (uint64_t after = 0; after < WORK_CALLS + 5; after++) {
			struct world world;
			world_begin(&world, kind % 2);
			sim_fail(world.env, ops[kind / 2], after, -EIO, false);
			assert_int_equal(world_work(&world), 0);
			world_check(&world, after % 2);
			world_end(&world);
		}
	}
}

static void
failed_sync_is_counted_and_its_segment_left(void **state)
{
	(void)state;
	struct world world;
	struct journal_stats before, after;
	const size_t len = 10;
	world_begin(&world, true);
	journal_stats(world.journal, &before);
	sim_fail(world.env, SIM_SYNC, 0, -EIO, false);
	assert_int_equal(test_commit(world.journal, &world.model, &len, 1), 0);
	journal_stats(world.journal, &after);
	assert_int_equal(after.syncs_failed, 1);
	assert_int_equal(after.segments, before.segments + 1);
	world_check(&world, true);
	world_end(&world);
}

static void
storage_that_fails_twice_is_an_error(void **state)
{
	(void)state;
	const enum sim_op ops[] = {SIM_WRITE, SIM_SYNC};
	for (size_t kind = 0; kind < ARRAY_COUNT(ops) * 2; kind++) {
		for (uint64_t after = 0; after < WORK_CALLS; after++) {
			struct world world;
			world_begin(&world, kind % 2);
			sim_fail(world.env, ops[kind / 2], after, -EIO, true);
			assert_int_equal(world_work(&world), -EIO);
			world_check(&world, true);
			world_end(&world);
		}
	}
}

static void
no_space_at_a_write_leaves_no_trace(void **state)
{
	(void)state;
	for (uint64_t after = 0; after < WORK_CALLS; after++) {
		for (int sticky = 0; sticky < 2; sticky++) {
			struct world world;
			world_begin(&world, false);
			sim_fail(world.env, SIM_WRITE, after, -ENOSPC, sticky);
			int r = world_work(&world);
			assert_true(r == 0 || r == -ENOSPC);
			assert_true(r == -ENOSPC || !sticky);
			sim_heal(world.env);
			assert_int_equal(world_work(&world), 0);
			world_drop_failed(&world);
			world_check(&world, after % 2);
			world_end(&world);
		}
	}
}

static void
full_disk_refuses_reads_on_and_goes_on_when_space_returns(void **state)
{
	(void)state;
	for (uint64_t room = 0; room < 900000; room += 70001) {
		struct world world;
		struct journal_stats stats;
		const size_t lens[] = {250000, 10};
		world_begin(&world, false);
		journal_stats(world.journal, &stats);
		sim_disk_limit(world.env, stats.disk_bytes + room);
		int r = 0;
		for (int i = 0; i < 20; i++)
			r = test_commit(world.journal, &world.model, &lens[i % 2], 1);
		assert_int_equal(journal_prepare(world.journal), -ENOSPC);
		for (int i = 0; i < 20; i++)
			r = test_commit(world.journal, &world.model, &lens[0], 1);
		assert_int_equal(r, -ENOSPC);
		assert_true(journal_wants_prepare(world.journal));
		test_all_seen(&world.model, UINT64_MAX);
		uint64_t segments = stats.segments;
		journal_stats(world.journal, &stats);
		assert_true(stats.segments <= segments + 2); /* no heap of empty ones */
		sim_disk_limit(world.env, 0);
		assert_int_equal(test_commit(world.journal, &world.model, lens, 2), 0);
		assert_int_equal(journal_prepare(world.journal), 0);
		world_drop_failed(&world);
		world_check(&world, true);
		world_end(&world);
	}
}

static void
full_disk_uses_a_spare(void **state)
{
	(void)state;
	struct world world;
	struct journal_stats stats;
	const size_t len = 300000;
	world_begin(&world, true);
	journal_stats(world.journal, &stats);
	sim_disk_limit(world.env, stats.disk_bytes);
	for (int i = 0; i < 3; i++) /* a segment's worth */
		assert_int_equal(test_commit(world.journal, &world.model, &len, 1), 0);
	assert_int_equal(test_commit(world.journal, &world.model, &len, 1), -ENOSPC);
	world_drop_failed(&world);
	sim_disk_limit(world.env, 0);
	world_check(&world, true);
	world_end(&world);
}

static void
open_that_fails_anywhere_can_be_repeated(void **state)
{
	(void)state;
	for (int kind = 0; kind < SIM_OP_COUNT; kind++) {
		int r = -1;
		for (uint64_t after = 0; r != 0 || after < 3; after++) {
			struct world world;
			struct journal *journal = NULL;
			assert_true(after < POSITIONS_MAX);
			world_begin(&world, true);
			journal_close(world.journal);
			world.journal = NULL;
			sim_fail(world.env, (enum sim_op)kind, after, -EIO, false);
			r = journal_open(world.env, &world.options, NULL, NULL, &journal);
			assert_true(r == 0 || r == -EIO);
			journal_close(journal);
			world_check(&world, after % 2);
			world_end(&world);
		}
	}
}

static void
new_segments_name_is_synced_at_start(void **state)
{
	(void)state;
	for (int cut = 0; cut < 20; cut++) {
		struct world world;
		const size_t len = 900000, small = 10;
		world_begin(&world, false);
		sim_fail(world.env, SIM_SYNC_DIR, 0, -EIO, true);
		sim_fail(world.env, SIM_UNLINK, 0, -EIO, true);
		assert_int_equal(test_commit(world.journal, &world.model, &len, 1), -EIO);
		sim_heal(world.env);
		journal_close(world.journal);
		world.journal = test_open(world.env, &world.options, NULL);
		for (int i = 0; i < cut; i++) /* other seeds for the same world */
			sim_random(world.env);
		assert_int_equal(test_commit(world.journal, &world.model, &small, 1), 0);
		world_check(&world, true);
		world_end(&world);
	}
}

static void
reads_that_fail_can_be_repeated(void **state)
{
	(void)state;
	const enum sim_op ops[] = {SIM_READ, SIM_OPEN};
	for (size_t kind = 0; kind < ARRAY_COUNT(ops); kind++) {
		bool failed = true;
		for (uint64_t after = 0; failed; after++) {
			struct world world;
			struct journal_reader *reader;
			world_begin(&world, false);
			assert_int_equal(journal_reader_open(world.journal, 5, &reader), 0);
			test_model_unsee(&world.model);
			sim_fail(world.env, ops[kind], after, -EIO, false);
			struct test_pass pass = test_read_on(reader, &world.model);
			failed = pass.error != 0;
			assert_true(pass.error == 0 || pass.error == -EIO);
			sim_heal(world.env);
			uint64_t last_seq = pass.last_seq;
			pass = test_read_on(reader, &world.model);
			assert_int_equal(pass.error + (int)pass.damages, 0);
			assert_true(pass.records == 0 || pass.last_seq > last_seq);
			test_all_seen(&world.model, 5);
			journal_reader_close(reader);
			world_end(&world);
		}
	}
}

static void
trim_and_prepare_that_fail_lose_nothing(void **state)
{
	(void)state;
	for (int kind = 0; kind < SIM_OP_COUNT; kind++) {
		for (uint64_t after = 0; after < 6; after++) {
			struct world world;
			world_begin(&world, after % 2);
			uint64_t seq = world.model.expects[world.model.count - 2].seq;
			for (size_t i = 0; i + 2 < world.model.count; i++)
				world.model.expects[i].fate = TEST_TRIMMED;
			sim_fail(world.env, (enum sim_op)kind, after, -EIO, false);
			int prepared = journal_prepare(world.journal);
			int trimmed = journal_trim(world.journal, seq);
			assert_true(prepared == 0 || prepared == -EIO);
			assert_true(trimmed == 0 || trimmed == -EIO);
			sim_heal(world.env);
			assert_int_equal(world_work(&world), 0);
			if (after % 3)
				assert_int_equal(journal_trim(world.journal, seq), 0);
			world_check(&world, true);
			world_end(&world);
		}
	}
}

static void
trim_that_stops_half_way_is_no_damage(void **state)
{
	(void)state;
	for (uint64_t after = 0; after < 10; after++) {
		struct world world;
		const size_t len = 900000;
		world_begin(&world, false);
		sim_fail(world.env, SIM_SYNC_DIR, 0, -EIO, true);
		sim_fail(world.env, SIM_UNLINK, 0, -EIO, true);
		assert_int_equal(test_commit(world.journal, &world.model, &len, 1), -EIO);
		sim_heal(world.env); /* two segments without records were left */
		journal_close(world.journal);
		world.journal = test_open(world.env, &world.options, NULL);
		assert_int_equal(world_work(&world), 0);
		for (size_t i = 0; i + 1 < world.model.count; i++)
			world.model.expects[i].fate = TEST_TRIMMED;
		sim_fail(world.env, SIM_UNLINK, after / 2, -EIO, false);
		int r = journal_trim(world.journal, world.model.next_seq - 3);
		assert_true(r == 0 || r == -EIO);
		if (after % 2) /* what could not be deleted is still the oldest */
			assert_int_equal(journal_trim(world.journal, world.model.next_seq - 3), 0);
		world_check(&world, false);
		assert_int_equal(journal_trim(world.journal, world.model.next_seq - 3), 0);
		world_check(&world, true);
		world_end(&world);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_failed_call_is_got_over_by_a_new_segment),
		cmocka_unit_test(failed_sync_is_counted_and_its_segment_left),
		cmocka_unit_test(storage_that_fails_twice_is_an_error),
		cmocka_unit_test(no_space_at_a_write_leaves_no_trace),
		cmocka_unit_test(full_disk_refuses_reads_on_and_goes_on_when_space_returns),
		cmocka_unit_test(full_disk_uses_a_spare),
		cmocka_unit_test(open_that_fails_anywhere_can_be_repeated),
		cmocka_unit_test(new_segments_name_is_synced_at_start),
		cmocka_unit_test(reads_that_fail_can_be_repeated),
		cmocka_unit_test(trim_and_prepare_that_fail_lose_nothing),
		cmocka_unit_test(trim_that_stops_half_way_is_no_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

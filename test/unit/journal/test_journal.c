/*
 * test_journal.c: writing, reading, following, trimming, on a disk that works.
 */
#include "journal_test.h"

#include "check.h"
#include "sim.h"

#define DIR_PATH "data/journal"

struct world {
	struct env *env;
	struct journal_options options;
	struct journal *journal;
	struct test_model model;
};

static void
world_reopen(struct world *world)
{
	struct test_reports reports = {.torn = 0};
	journal_close(world->journal);
	world->journal = test_open(world->env, &world->options, &reports);
	assert_int_equal(reports.torn + reports.damaged, 0);
}

static int
world_setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	assert_non_null(world);
	world->env = sim_create(7);
	assert_non_null(world->env);
	assert_int_equal(env_mkdir(world->env, "data"), 0);
	world->options = (struct journal_options){.dir = DIR_PATH, .segment_bytes = 1 << 20};
	world_reopen(world);
	*state = world;
	return 0;
}

static int
world_teardown(void **state)
{
	struct world *world = *state;
	journal_close(world->journal);
	env_destroy(world->env);
	test_model_finish(&world->model);
	free(world);
	return 0;
}

static void
world_commit(struct world *world, size_t len)
{
	assert_int_equal(test_commit(world->journal, &world->model, &len, 1), 0);
}

/* `count` commits of one record each. */
static void
world_commits(struct world *world, size_t count, size_t len)
{
	for (size_t i = 0; i < count; i++)
		world_commit(world, len);
}

static void
world_check(struct world *world)
{
	struct test_pass pass = test_read_all(world->journal, &world->model, 0);
	assert_int_equal(pass.error, 0);
	assert_int_equal(pass.damages, 0);
	test_all_seen(&world->model, 0);
}

static void
empty_journal_reads_nothing(void **state)
{
	struct world *world = *state;
	struct journal_stats stats;
	struct test_pass pass = test_read_all(world->journal, &world->model, 0);
	assert_int_equal(pass.records, 0);
	assert_int_equal(journal_next_seq(world->journal), 1);
	journal_stats(world->journal, &stats);
	assert_int_equal(stats.first_seq, 0);
	assert_int_equal(stats.segments, 0);
	world_reopen(world);
	assert_int_equal(journal_next_seq(world->journal), 1);
}

static void
records_of_all_sizes_come_back_as_they_were(void **state)
{
	struct world *world = *state;
	const size_t edges[] = {0, 1, 7, 8, 9, 100, 4048, 10000, 300000};
	for (size_t i = 0; i < ARRAY_COUNT(edges); i++)
		world_commit(world, edges[i]);
	for (size_t len = 3800; len < 4200; len += 3) { /* every way to meet a block's end */
		const size_t lens[] = {len, 5, len / 2, 60};
		assert_int_equal(test_commit(world->journal, &world->model, lens, 4), 0);
	}
	world_check(world);
	world_reopen(world);
	world_check(world);
	assert_int_equal(journal_next_seq(world->journal), world->model.next_seq);
}

static void
record_of_the_largest_size_gets_a_segment_of_its_own(void **state)
{
	struct world *world = *state;
	world_commit(world, 10);
	world_commit(world, 16u << 20);
	const size_t lens[] = {900000, 900000, 900000};
	assert_int_equal(test_commit(world->journal, &world->model, lens, 3), 0);
	world_commit(world, 10);
	world_check(world);
	world_reopen(world);
	world_check(world);
}

static void
record_too_large_is_refused_alone(void **state)
{
	struct world *world = *state;
	struct journal_record *records[] = {
		test_record(1, 10), test_record(3, JOURNAL_RECORD_BYTES_MAX), test_record(4, 10),
	};
	assert_int_equal(journal_commit(world->journal, records, 3), 0);
	assert_int_equal(records[0]->error, 0);
	assert_int_equal(records[1]->error, -EMSGSIZE);
	assert_int_equal(records[2]->error, 0);
	assert_int_equal(journal_commit(world->journal, records, 0), 0);
	for (size_t i = 0; i < 3; i++)
		journal_record_unref(records[i]);
	test_model_add(&world->model, 1, 10, TEST_ACKED);
	test_model_add(&world->model, 4, 10, TEST_ACKED);
	world_check(world);
}

static void
reader_begins_at_any_seq(void **state)
{
	struct world *world = *state;
	for (size_t i = 0; i < 400; i++)
		world_commit(world, (i * 379) % 9000);
	struct test_pass pass = {.records = 0};
	for (uint64_t seq = 0; seq < world->model.next_seq + 2; seq += 1 + seq % 5) {
		pass = test_read_all(world->journal, &world->model, seq);
		assert_int_equal(pass.error, 0);
		test_all_seen(&world->model, seq);
		for (size_t i = 0; i < world->model.count; i++) {
			if (world->model.expects[i].seen)
				assert_true(world->model.expects[i].seq >= seq);
		}
	}
	assert_int_equal(pass.records, 0);
}

static void
reader_follows_commits_and_segments(void **state)
{
	struct world *world = *state;
	struct journal_reader *reader;
	assert_int_equal(journal_reader_open(world->journal, 0, &reader), 0);
	assert_int_equal(test_read_on(reader, &world->model).records, 0);
	for (size_t i = 0; i < 60; i++) {
		world_commit(world, 60000);
		world_commit(world, 5);
		assert_int_equal(test_read_on(reader, &world->model).records, 2);
		assert_int_equal(test_read_on(reader, &world->model).records, 0);
	}
	journal_reader_close(reader);
	struct journal_stats stats;
	journal_stats(world->journal, &stats);
	assert_true(stats.segments > 3);
	assert_int_equal(stats.commits, 120);
	assert_int_equal(stats.records, 120);
	assert_true(stats.disk_bytes >= stats.bytes);
	test_all_seen(&world->model, 0);
}

static void
reserved_seqs_stay_reserved(void **state)
{
	struct world *world = *state;
	struct journal_record like = {
		.seq = 1, .count = 1, .stream = JOURNAL_RESERVE, .tenant = SPAN("main"),
		.body = span_of("\x40\x42\x0f\0\0\0\0\0", 8), /* 1,000,000 */
	};
	struct journal_record *record;
	assert_int_equal(journal_record_create(&like, false, &record), 0);
	assert_int_equal(journal_commit(world->journal, &record, 1), 0);
	journal_record_unref(record);
	assert_int_equal(journal_next_seq(world->journal), 1000000);
	world_reopen(world);
	assert_int_equal(journal_next_seq(world->journal), 1000000);
	world->model.next_seq = 2; /* below what is reserved: the sequencer hands it out */
	world_commits(world, 3, 600000);
	assert_int_equal(journal_trim(world->journal, world->model.next_seq - 1), 0);
	world_reopen(world);
	assert_int_equal(journal_next_seq(world->journal), 1000000);
}

static void
trim_keeps_what_is_wanted_and_the_last_segment(void **state)
{
	struct world *world = *state;
	struct journal_stats stats;
	world_commits(world, 10, 600000); /* one a segment */
	uint64_t seq = world->model.expects[4].seq;
	assert_int_equal(journal_trim(world->journal, seq), 0);
	journal_stats(world->journal, &stats);
	assert_int_equal(stats.first_seq, seq);
	assert_int_equal(stats.segments, 6);
	for (size_t i = 0; i < 4; i++)
		world->model.expects[i].fate = TEST_TRIMMED;
	world_check(world);
	assert_false(world->model.expects[3].seen);
	assert_int_equal(journal_trim(world->journal, UINT64_MAX), 0);
	journal_stats(world->journal, &stats);
	assert_int_equal(stats.segments, 1);
	world_reopen(world);
	assert_int_equal(journal_next_seq(world->journal), world->model.next_seq);
}

static void
reader_survives_trimming_and_recycling(void **state)
{
	struct world *world = *state;
	struct journal_reader *reader;
	assert_int_equal(journal_prepare(world->journal), 0);
	assert_int_equal(journal_reader_open(world->journal, 0, &reader), 0);
	struct journal_record record;
	struct journal_damage damage;
	for (size_t round = 0; round < 12; round++) {
		const size_t first = world->model.count;
		world_commits(world, 100, 9000); /* most of a segment */
		assert_int_equal(journal_reader_next(reader, &record, &damage), 1);
		world_commits(world, 30, 9000); /* into the next, often made of the one read */
		assert_int_equal(journal_trim(world->journal, world->model.next_seq), 0);
		if (journal_wants_prepare(world->journal))
			assert_int_equal(journal_prepare(world->journal), 0);
		for (size_t i = first; i < world->model.count; i++)
			world->model.expects[i].fate = TEST_TRIMMED;
		world_commits(world, 1, 50);
		test_model_unsee(&world->model);
		struct test_pass pass = test_read_on(reader, &world->model);
		assert_int_equal(pass.error, 0);
		assert_int_equal(pass.damages, 0);
		assert_true(world->model.expects[world->model.count - 1].seen);
	}
	journal_reader_close(reader);
	world_reopen(world);
}

static void
spares_are_used_and_kept_over_a_restart(void **state)
{
	struct world *world = *state;
	struct journal_stats before, after;
	assert_true(journal_wants_prepare(world->journal));
	assert_int_equal(journal_prepare(world->journal), 0);
	assert_false(journal_wants_prepare(world->journal));
	assert_int_equal(journal_prepare(world->journal), 0);
	world_reopen(world);
	assert_false(journal_wants_prepare(world->journal));
	journal_stats(world->journal, &before);
	world_commit(world, 100);
	assert_true(journal_wants_prepare(world->journal));
	journal_stats(world->journal, &after);
	assert_int_equal(before.disk_bytes, after.disk_bytes);
	assert_int_equal(journal_prepare(world->journal), 0);
	world->options.segment_bytes = 2 << 20; /* the spare does not fit the new setting */
	world_reopen(world);
	assert_true(journal_wants_prepare(world->journal));
	world_commits(world, 3, 900000);
	world_check(world);
}

static void
skip_to_time_passes_old_segments(void **state)
{
	struct world *world = *state;
	world_commits(world, 10, 600000);
	uint64_t seq = world->model.expects[6].seq;
	for (int reopened = 0; reopened < 2; reopened++) {
		struct journal_reader *reader;
		struct journal_record record;
		struct journal_damage damage;
		assert_int_equal(journal_reader_open(world->journal, 0, &reader), 0);
		if (reopened) /* also when it is in the middle of one */
			assert_int_equal(journal_reader_next(reader, &record, &damage), 1);
		journal_reader_skip_to_time(reader, TEST_ARRIVAL_MS + (int64_t)seq);
		assert_int_equal(journal_reader_next(reader, &record, &damage), 1);
		assert_int_equal(record.seq, seq);
		journal_reader_skip_to_time(reader, INT64_MAX);
		assert_int_equal(journal_reader_next(reader, &record, &damage), 0);
		journal_reader_close(reader);
		world_reopen(world);
	}
}

static void
durability_os_writes_without_syncing(void **state)
{
	struct world *world = *state;
	world_commit(world, 10);
	world->options.durability = JOURNAL_OS;
	world_reopen(world);
	sim_fail(world->env, SIM_SYNC, 0, -EIO, true);
	world_commit(world, 10);
	sim_heal(world->env);
	world_reopen(world);
	world_check(world);
}

static void
direct_files_hold_the_same(void **state)
{
	struct world *world = *state;
	world->options.direct = true;
	world_reopen(world);
	assert_int_equal(journal_prepare(world->journal), 0);
	world_commits(world, 30, 77777);
	world_check(world);
	world->options.direct = false;
	world_reopen(world);
	world_check(world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
		TEST(empty_journal_reads_nothing),
		TEST(records_of_all_sizes_come_back_as_they_were),
		TEST(record_of_the_largest_size_gets_a_segment_of_its_own),
		TEST(record_too_large_is_refused_alone),
		TEST(reader_begins_at_any_seq),
		TEST(reader_follows_commits_and_segments),
		TEST(reserved_seqs_stay_reserved),
		TEST(trim_keeps_what_is_wanted_and_the_last_segment),
		TEST(reader_survives_trimming_and_recycling),
		TEST(spares_are_used_and_kept_over_a_restart),
		TEST(skip_to_time_passes_old_segments),
		TEST(durability_os_writes_without_syncing),
		TEST(direct_files_hold_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

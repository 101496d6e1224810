/*
 * test_sealed.c: segments that were sealed: the same records, found by key, time and seq; each kind
 * of damage reported with its place; whatever fails while sealing, nothing is lost.
 */
#include "journal_test.h"

#include "check.h"
#include "sealed.h"
#include "sim.h"

#define DIR_PATH "journal"
#define FLIPS 400
#define COMMITS_SMALL 140 /* of 64 records */
#define COMMITS_FEW 40

struct world {
	struct env *env;
	struct journal_options options;
	struct journal *journal;
	struct test_model model;
	struct test_reports reports;
};

static void
world_open(struct world *world)
{
	world->reports = (struct test_reports){.torn = 0};
	world->journal = test_open(world->env, &world->options, &world->reports);
}

static void
world_begin(struct world *world, uint64_t seed)
{
	*world = (struct world){.env = sim_create(seed)};
	assert_non_null(world->env);
	world->options = (struct journal_options){.dir = DIR_PATH, .segment_bytes = 1 << 20};
	world_open(world);
}

/* With segments of 4 MiB. */
static void
world_begin_large(struct world *world, uint64_t seed)
{
	world_begin(world, seed);
	journal_close(world->journal);
	world->options.segment_bytes = 4 << 20;
	world_open(world);
}

static void
world_end(struct world *world)
{
	journal_close(world->journal);
	test_model_finish(&world->model);
	env_destroy(world->env);
}

static void
world_reopen(struct world *world)
{
	journal_close(world->journal);
	world_open(world);
}

/* Small records and now and then a large one, in so many segments and a begun one. */
static void
world_fill(struct world *world, unsigned segments)
{
	struct journal_stats stats;
	do {
		size_t lens[16];
		for (size_t i = 0; i < ARRAY_COUNT(lens); i++)
			lens[i] = (size_t)sim_random_below(world->env,
			    sim_random_below(world->env, 40) ? 900 : 400000);
		assert_int_equal(test_commit(world->journal, &world->model, lens,
		    ARRAY_COUNT(lens)), 0);
		journal_stats(world->journal, &stats);
	} while (stats.segments <= segments);
}

static unsigned
world_seal(struct world *world)
{
	unsigned count = 0;
	int r;
	while ((r = test_seal(world->journal)) == 1)
		count++;
	assert_int_equal(r, 0);
	return count;
}

static void
world_reads_all(struct world *world)
{
	struct test_pass pass = test_read_all(world->journal, &world->model, 0);
	assert_int_equal(pass.error, 0);
	assert_int_equal(pass.damages, 0);
	test_all_seen(&world->model, 0);
}

static bool
file_exists(struct world *world, uint64_t number, bool sealed)
{
	char path[96];
	uint64_t bytes;
	snprintf(path, sizeof path, DIR_PATH "/%016llu%s", (unsigned long long)number,
	    sealed ? ".sealed" : ".seg");
	return env_stat(world->env, path, &bytes) == 0;
}

static void
sealed_segments_hold_the_same(void **state)
{
	(void)state;
	struct world world;
	struct journal_stats stats;
	world_begin(&world, 1);
	world_fill(&world, 4);
	assert_int_equal(world_seal(&world), 4);
	journal_stats(world.journal, &stats);
	assert_int_equal(stats.sealed_segments, 4);
	assert_int_equal(stats.seals, 4);
	for (uint64_t number = 1; number <= 4; number++) {
		assert_true(file_exists(&world, number, true));
		assert_false(file_exists(&world, number, false));
	}
	world_reads_all(&world);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < world.model.count; i += 37) {
			uint64_t seq = world.model.expects[i].seq;
			struct test_pass pass = test_read_all(world.journal, &world.model, seq);
			assert_int_equal(pass.error, 0);
			assert_int_equal(pass.records, world.model.count - i);
		}
		world_reopen(&world);
		assert_int_equal(world.reports.damaged, 0);
		world_reads_all(&world);
		assert_true(journal_next_seq(world.journal) > world.model.next_seq - 1);
	}
	world_fill(&world, 6);
	assert_int_equal(world_seal(&world), 2);
	world_reopen(&world);
	world_reads_all(&world);
	world_end(&world);
}

static void
records_larger_than_a_block_or_a_segment(void **state)
{
	(void)state;
	static const size_t lens[] = {10, SEALED_BLOCK_BYTES - 200, SEALED_BLOCK_BYTES,
		SEALED_BLOCK_BYTES + 1, 3 * SEALED_BLOCK_BYTES, 0, 5 << 20, 16 << 20, 100};
	struct world world;
	world_begin(&world, 2);
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++)
		assert_int_equal(test_commit(world.journal, &world.model, &lens[i], 1), 0);
	world_fill(&world, 6);
	assert_true(world_seal(&world) >= 5);
	world_reads_all(&world);
	world_reopen(&world);
	world_reads_all(&world);
	world_end(&world);
}

/* ── the index ── */

/* A hundred neighbours share a key; the block of the seventh hundred does not know its own. */
static int
keys_by_hundred(void *ctx, const struct journal_record *record, struct journal_keys *keys)
{
	const struct world *world = ctx;
	size_t i = (size_t)(test_model_find((struct test_model *)&world->model, record->seq) -
	    world->model.expects);
	keys->unknown = i / 100 == 6 && i % 100 == 50;
	return journal_keys_add(keys, (i / 100) << 40 | i / 100);
}

/* Many small records in one sealed segment, packed badly: so in several blocks. */
static void
world_fill_small(struct world *world, int commits)
{
	for (int i = 0; i < commits; i++) {
		size_t lens[64];
		for (size_t n = 0; n < ARRAY_COUNT(lens); n++)
			lens[n] = 250 + n;
		assert_int_equal(test_commit(world->journal, &world->model, lens,
		    ARRAY_COUNT(lens)), 0);
	}
	world_fill(world, 1);
	struct journal_seal_options options = {
		.before_ms = INT64_MAX, .keys = keys_by_hundred, .ctx = world,
	};
	assert_int_equal(journal_seal(world->journal, &options), 1);
}

struct index_read {
	size_t records;
	struct journal_reader_stats stats;
};

static struct index_read
read_by_key(struct world *world, uint64_t key)
{
	struct index_read read = {.records = 0};
	struct journal_reader *reader;
	uint64_t keys[] = {key, 99999999};
	test_model_unsee(&world->model);
	assert_int_equal(journal_reader_open(world->journal, 1, &reader), 0);
	assert_int_equal(journal_reader_want(reader, keys, 2), 0);
	struct test_pass pass = test_read_on(reader, &world->model);
	assert_int_equal(pass.error, 0);
	assert_int_equal(pass.damages, 0);
	read.records = pass.records;
	journal_reader_stats(reader, &read.stats);
	journal_reader_close(reader);
	return read;
}

static void
a_key_is_found_without_reading_all_blocks(void **state)
{
	(void)state;
	struct world world;
	struct journal_reader_stats all;
	struct journal_reader *reader;
	world_begin_large(&world, 3);
	world_fill_small(&world, COMMITS_SMALL);
	test_model_unsee(&world.model);
	assert_int_equal(journal_reader_open(world.journal, 1, &reader), 0);
	assert_int_equal(test_read_on(reader, &world.model).damages, 0);
	journal_reader_stats(reader, &all);
	journal_reader_close(reader);
	assert_int_equal(all.sealed_segments, 1);
	assert_true(all.sealed_blocks >= 8);
	for (uint64_t key = 0; key < COMMITS_SMALL * 64 / 100; key++) {
		struct index_read read = read_by_key(&world, key << 40 | key);
		for (size_t i = key * 100; i < key * 100 + 100; i++)
			assert_true(world.model.expects[i].seen);
		/* Its own, of which it may have two, and the one that may be about anything. */
		assert_true(read.stats.sealed_blocks <= 3);
		assert_true(read.stats.sealed_blocks < all.sealed_blocks);
	}
	assert_true(read_by_key(&world, 77777).stats.sealed_blocks == 1);
	assert_true(world.model.expects[650].seen);
	world_end(&world);
}

static void
arrivals_are_found_without_reading_all_blocks(void **state)
{
	(void)state;
	struct world world;
	struct journal_reader *reader;
	struct journal_reader_stats stats;
	world_begin_large(&world, 4);
	world_fill_small(&world, COMMITS_SMALL);
	uint64_t from = world.model.expects[1000].seq, to = world.model.expects[1010].seq;
	test_model_unsee(&world.model);
	assert_int_equal(journal_reader_open(world.journal, 1, &reader), 0);
	journal_reader_skip_to_time(reader, TEST_ARRIVAL_MS + (int64_t)from);
	journal_reader_skip_from_time(reader, TEST_ARRIVAL_MS + (int64_t)to);
	assert_int_equal(test_read_on(reader, &world.model).error, 0);
	journal_reader_stats(reader, &stats);
	journal_reader_close(reader);
	for (size_t i = 1000; i < 1010; i++)
		assert_true(world.model.expects[i].seen);
	assert_in_range(stats.sealed_blocks, 1, 2);
	assert_int_equal(stats.plain_segments, 0);
	world_end(&world);
}

/* ── damage ── */

/* Reads all, by key or not, of a journal with one flipped bit. How many records were lost. */
static size_t
read_damaged(struct world *world, bool by_key, size_t *ret_damages)
{
	struct journal_reader *reader;
	uint64_t key = 5ull << 40 | 5;
	size_t lost = 0;
	test_model_unsee(&world->model);
	assert_int_equal(journal_reader_open(world->journal, 1, &reader), 0);
	if (by_key)
		assert_int_equal(journal_reader_want(reader, &key, 1), 0);
	struct test_pass pass = test_read_on(reader, &world->model);
	assert_int_equal(pass.error, 0);
	*ret_damages = pass.damages;
	journal_reader_close(reader);
	for (size_t i = by_key ? 500 : 0; i < (by_key ? 600 : world->model.count); i++)
		lost += !world->model.expects[i].seen;
	return lost;
}

static void
every_flipped_bit_is_seen_and_costs_one_run(void **state)
{
	(void)state;
	static const char path[] = DIR_PATH "/0000000000000001.sealed";
	struct world world;
	uint64_t bytes;
	size_t runs_lost = 0;
	world_begin(&world, 5);
	world_fill_small(&world, COMMITS_FEW);
	assert_int_equal(env_stat(world.env, path, &bytes), 0);
	for (uint64_t i = 0; i < FLIPS; i++) {
		/* Half of them in the index at the end, the rest anywhere. */
		uint64_t span = i % 2 ? MIN(bytes, 3000) : bytes;
		size_t damages;
		uint64_t bit = (bytes - span) * 8 + sim_random_below(world.env, span * 8);
		assert_int_equal(sim_flip_bit(world.env, path, bit), 0);
		world_reopen(&world);
		size_t lost = read_damaged(&world, false, &damages);
		assert_true(lost == 0 || damages == 1);
		assert_true(lost < world.model.count / 3);
		runs_lost += lost > 0;
		lost = read_damaged(&world, true, &damages);
		assert_true(lost == 0 || damages == 1);
		assert_int_equal(sim_flip_bit(world.env, path, bit), 0);
	}
	assert_true(runs_lost > FLIPS / 4);
	world_reopen(&world);
	world_reads_all(&world);
	world_end(&world);
}

static void
flip_byte(struct world *world, const char *path, uint64_t at)
{
	assert_int_equal(sim_flip_bit(world->env, path, at * 8 + 3), 0);
}

static void
both_footers_cost_the_segment_and_nothing_else(void **state)
{
	(void)state;
	static const char path[] = DIR_PATH "/0000000000000002.sealed";
	struct world world;
	uint64_t bytes;
	world_begin(&world, 6);
	world_fill(&world, 4);
	assert_int_equal(world_seal(&world), 4);
	assert_int_equal(env_stat(world.env, path, &bytes), 0);
	flip_byte(&world, path, bytes - 50);
	world_reopen(&world);
	assert_int_equal(world.reports.damaged, 0);
	world_reads_all(&world);
	flip_byte(&world, path, bytes - 50 - SEALED_FOOTER_BYTES);
	world_reopen(&world);
	assert_int_equal(world.reports.damaged, 1);
	assert_string_equal(world.reports.last.segment, "0000000000000002.sealed");
	assert_string_equal(world.reports.last.reason, "footer");
	struct test_pass pass = test_read_all(world.journal, &world.model, 0);
	assert_int_equal(pass.error, 0);
	assert_true(pass.records > 0 && pass.records < world.model.count);
	size_t edges = 0; /* what is lost is one stretch */
	for (size_t i = 1; i < world.model.count; i++)
		edges += world.model.expects[i].seen != world.model.expects[i - 1].seen;
	assert_int_equal(edges, 2);
	assert_int_equal(test_commit(world.journal, &world.model, (size_t[]){5}, 1), 0);
	world_end(&world);
}

static void
a_newer_version_is_refused(void **state)
{
	(void)state;
	static const char path[] = DIR_PATH "/0000000000000001.sealed";
	char footer[SEALED_FOOTER_BYTES];
	struct world world;
	struct env_file *file;
	uint64_t bytes;
	world_begin(&world, 7);
	world_fill(&world, 1);
	assert_int_equal(world_seal(&world), 1);
	journal_close(world.journal);
	assert_int_equal(env_open(world.env, path, ENV_WRITE, &file), 0);
	assert_int_equal(env_size(file, &bytes), 0);
	assert_int_equal(env_pread(file, footer, sizeof footer, bytes - sizeof footer),
	    sizeof footer);
	footer[16] = 1; /* a feature */
	journal_format_put_u32(footer + sizeof footer - 4, crc32c(0, footer, sizeof footer - 4));
	assert_int_equal(env_pwrite(file, footer, sizeof footer, bytes - sizeof footer), 0);
	env_close(file);
	assert_int_equal(journal_open(world.env, &world.options, NULL, NULL, &world.journal),
	    -EPROTO);
	world.journal = NULL;
	world_end(&world);
}

/* ── two files ── */

static void
copy_file(struct world *world, const char *from, const char *to)
{
	char *bytes;
	size_t len;
	struct env_file *file;
	assert_int_equal(env_read_file(world->env, from, 8 << 20, &bytes, &len), 0);
	assert_int_equal(env_open(world->env, to, ENV_WRITE | ENV_CREATE, &file), 0);
	assert_int_equal(env_pwrite(file, bytes, len, 0), 0);
	assert_int_equal(env_sync(file), 0);
	env_close(file);
	free(bytes);
}

static void
of_two_files_the_sealed_one_counts_unless_it_is_damaged(void **state)
{
	(void)state;
	static const char plain[] = DIR_PATH "/0000000000000002.seg";
	static const char sealed[] = DIR_PATH "/0000000000000002.sealed";
	for (int damaged = 0; damaged < 2; damaged++) {
		struct world world;
		world_begin(&world, 8);
		world_fill(&world, 3);
		copy_file(&world, plain, "kept");
		assert_int_equal(world_seal(&world), 3);
		copy_file(&world, "kept", plain);
		if (damaged)
			flip_byte(&world, sealed, SEALED_BLOCKS_AT + 5000);
		world_reopen(&world);
		assert_int_equal(world.reports.damaged, damaged);
		assert_int_equal(file_exists(&world, 2, true), !damaged);
		assert_int_equal(file_exists(&world, 2, false), damaged);
		world_reads_all(&world);
		assert_int_equal(world_seal(&world), (unsigned)damaged);
		world_reads_all(&world);
		world_end(&world);
	}
}

/* ── beside readers and trimming ── */

static void
a_reader_goes_on_in_the_sealed_file(void **state)
{
	(void)state;
	struct world world;
	struct journal_reader *reader;
	struct journal_record record;
	struct journal_damage damage;
	world_begin(&world, 9);
	assert_int_equal(journal_reader_open(world.journal, 1, &reader), 0);
	size_t seen = 0;
	for (unsigned segments = 1; segments < 6; segments++) {
		/* Into the begun one: it grows, is closed, sealed, its file used again. */
		world_fill(&world, segments);
		while (seen < world.model.count - 3) {
			assert_int_equal(journal_reader_next(reader, &record, &damage), 1);
			assert_int_equal(record.seq, world.model.expects[seen].seq);
			assert_true(test_same(&record));
			seen++;
		}
		world_fill(&world, segments + 1);
		world_seal(&world);
		assert_int_equal(journal_prepare(world.journal), 0);
	}
	test_model_unsee(&world.model);
	struct test_pass pass = test_read_on(reader, &world.model);
	assert_int_equal(pass.damages, 0);
	assert_int_equal(pass.records, world.model.count - seen);
	journal_reader_close(reader);
	world_end(&world);
}

static void
trimming_takes_sealed_and_plain_segments(void **state)
{
	(void)state;
	struct world world;
	struct journal_stats stats;
	world_begin(&world, 10);
	world_fill(&world, 3);
	assert_int_equal(world_seal(&world), 3);
	world_fill(&world, 5);
	uint64_t seq = world.model.expects[world.model.count - 1].seq;
	assert_int_equal(journal_trim(world.journal, seq), 0);
	journal_stats(world.journal, &stats);
	assert_int_equal(stats.segments, 1);
	assert_int_equal(stats.trimmed, 5);
	assert_int_equal(stats.sealed_segments, 0);
	assert_false(file_exists(&world, 1, true));
	world_reopen(&world);
	assert_int_equal(world.reports.damaged, 0);
	assert_true(test_read_all(world.journal, &world.model, 0).records > 0);
	world_end(&world);
}

static void
a_damaged_segment_stays_plain(void **state)
{
	(void)state;
	struct world world;
	world_begin(&world, 11);
	world_fill(&world, 3);
	flip_byte(&world, DIR_PATH "/0000000000000002.seg", 500 * TEST_BLOCK / 4 + 100);
	assert_int_equal(world_seal(&world), 2);
	assert_true(file_exists(&world, 2, false));
	assert_false(file_exists(&world, 2, true));
	struct test_pass pass = test_read_all(world.journal, &world.model, 0);
	assert_int_equal(pass.error, 0);
	assert_int_equal(pass.damages, 1);
	world_reopen(&world);
	pass = test_read_all(world.journal, &world.model, 0);
	assert_int_equal(pass.damages, 1);
	assert_true(pass.records > world.model.count - 20);
	world_end(&world);
}

static void
only_what_is_old_enough_is_sealed(void **state)
{
	(void)state;
	struct world world;
	struct journal_seal_options options = {
		.before_ms = TEST_ARRIVAL_MS, .keys = test_keys,
	};
	world_begin(&world, 12);
	world_fill(&world, 2);
	assert_int_equal(journal_seal(world.journal, &options), 0);
	atomic_bool stop = true;
	options.stop = &stop;
	options.before_ms = INT64_MAX;
	assert_int_equal(journal_seal(world.journal, &options), -ECANCELED);
	assert_false(file_exists(&world, 1, true));
	atomic_store(&stop, false);
	assert_int_equal(journal_seal(world.journal, &options), 1);
	world_reads_all(&world);
	world_end(&world);
}

/* ── faults ── */

static void
a_full_disk_while_sealing_loses_nothing(void **state)
{
	(void)state;
	struct world world;
	struct journal_stats stats;
	world_begin(&world, 13);
	world_fill(&world, 2);
	journal_stats(world.journal, &stats);
	sim_disk_limit(world.env, stats.disk_bytes + (1 << 18));
	assert_int_equal(test_seal(world.journal), -ENOSPC);
	assert_false(file_exists(&world, 1, true));
	world_reads_all(&world);
	assert_int_equal(test_commit(world.journal, &world.model, (size_t[]){100}, 1), 0);
	sim_disk_limit(world.env, 0);
	assert_int_equal(world_seal(&world), 2);
	world_reads_all(&world);
	world_reopen(&world);
	assert_int_equal(world.reports.damaged, 0);
	world_reads_all(&world);
	world_end(&world);
}

static void
a_limit_is_a_full_disk_until_something_goes(void **state)
{
	(void)state;
	struct world world;
	struct journal_stats stats;
	size_t len = 200000;
	int r;
	world_begin(&world, 15);
	world_fill(&world, 3);
	journal_stats(world.journal, &stats);
	journal_set_limit(world.journal, stats.disk_bytes + (1 << 20) - 1);
	for (int i = 0; i < 20 && (r = test_commit(world.journal, &world.model, &len, 1)) == 0; )
		i++;
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(journal_prepare(world.journal), -ENOSPC);
	assert_int_equal(test_commit(world.journal, &world.model, &len, 1), -ENOSPC);
	world_reads_all(&world);
	uint64_t first = world.model.expects[world.model.count - 5].seq;
	assert_int_equal(journal_trim(world.journal, first), 0);
	assert_int_equal(test_commit(world.journal, &world.model, &len, 1), 0);
	test_read_all(world.journal, &world.model, 0);
	test_all_seen(&world.model, first);
	world_end(&world);
}

static void
each_call_of_the_disk_fails_once(void **state)
{
	(void)state;
	unsigned failed = 0;
	for (int op = 0; op < SIM_OP_COUNT; op++) {
		for (uint64_t after = 0; after < 400; after += op == SIM_READ ? 7 : 1) {
			struct world world;
			world_begin(&world, 14);
			world_fill(&world, 2);
			sim_fail(world.env, (enum sim_op)op, after, -EIO, false);
			int r = test_seal(world.journal);
			sim_heal(world.env);
			assert_true(r == 1 || r == -EIO);
			failed += r != 1;
			world_reads_all(&world);
			sim_power_cut(world.env);
			world_reopen(&world);
			assert_int_equal(world.reports.damaged, 0);
			world_reads_all(&world);
			world_seal(&world); /* what is left */
			assert_true(file_exists(&world, 1, true) && file_exists(&world, 2, true));
			assert_false(file_exists(&world, 1, false));
			world_reads_all(&world);
			world_end(&world);
			if (r == 1)
				break;
		}
	}
	assert_true(failed >= 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sealed_segments_hold_the_same),
		cmocka_unit_test(records_larger_than_a_block_or_a_segment),
		cmocka_unit_test(a_key_is_found_without_reading_all_blocks),
		cmocka_unit_test(arrivals_are_found_without_reading_all_blocks),
		cmocka_unit_test(every_flipped_bit_is_seen_and_costs_one_run),
		cmocka_unit_test(both_footers_cost_the_segment_and_nothing_else),
		cmocka_unit_test(a_newer_version_is_refused),
		cmocka_unit_test(of_two_files_the_sealed_one_counts_unless_it_is_damaged),
		cmocka_unit_test(a_reader_goes_on_in_the_sealed_file),
		cmocka_unit_test(trimming_takes_sealed_and_plain_segments),
		cmocka_unit_test(a_damaged_segment_stays_plain),
		cmocka_unit_test(only_what_is_old_enough_is_sealed),
		cmocka_unit_test(a_full_disk_while_sealing_loses_nothing),
		cmocka_unit_test(a_limit_is_a_full_disk_until_something_goes),
		cmocka_unit_test(each_call_of_the_disk_fails_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

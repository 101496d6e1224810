/*
 * test_damage.c: what was acknowledged and is no longer as it was written: detected, reported, not
 * served, and the neighbours are served all the same.
 */
#include "journal_test.h"

#include "check.h"
#include "journal_scan.h"
#include "sim.h"

#define DIR_PATH "journal"
#define FLIPS 300

/* Where a record lies. */
struct place {
	uint64_t seq;
	int segment;                      /* index into world.paths */
	uint64_t first_block, last_block; /* the blocks that hold some of it */
};

struct world {
	struct env *env;
	struct journal_options options;
	struct journal *journal;
	struct test_model model;
	struct place *places; /* as model.expects */
	char paths[16][64];
	int path_count;
};

static int
world_each_name(void *ctx, const char *name)
{
	struct world *world = ctx;
	uint64_t number;
	if (strstr(name, "spare"))
		return 0;
	assert_int_equal(strlen(name), 20);
	number = strtoull(name, NULL, 10);
	assert_true(number > 0 && world->path_count < (int)ARRAY_COUNT(world->paths));
	snprintf(world->paths[world->path_count++], 64, "%s/%s", DIR_PATH, name);
	return 0;
}

/* Notes where the records of one segment lie. */
static void
world_map(struct world *world, int segment, size_t *next)
{
	static const size_t chunk_blocks = 16;
	char head[JOURNAL_BLOCK_BYTES];
	struct journal_head parsed;
	struct journal_scan scan;
	struct env_file *file;
	uint64_t bytes;
	assert_int_equal(env_open(world->env, world->paths[segment], ENV_READ, &file), 0);
	assert_int_equal(env_pread(file, head, sizeof head, 0), sizeof head);
	assert_int_equal(journal_format_get_head(head, &parsed), 0);
	assert_int_equal(env_size(file, &bytes), 0);
	journal_scan_init(&scan, chunk_blocks);
	journal_scan_start(&scan, file, parsed.generation, JOURNAL_BLOCK_FIRST,
	    bytes / JOURNAL_BLOCK_BYTES);
	for (;;) {
		struct journal_record record;
		struct journal_damage damage;
		struct place place = {.segment = segment, .first_block = scan.block};
		int r = journal_scan_next(&scan, &record, &damage);
		if (r != 1)
			break; /* the unused rest */
		place.seq = record.seq;
		place.last_block = scan.offset ? scan.block : scan.block - 1;
		assert_true(*next < world->model.count);
		assert_int_equal(world->model.expects[*next].seq, record.seq);
		world->places[(*next)++] = place;
	}
	journal_scan_finish(&scan);
	env_close(file);
}

/* Three segments of records of many sizes, closed. */
static void
world_begin(struct world *world, uint64_t seed)
{
	*world = (struct world){.env = sim_create(seed)};
	assert_non_null(world->env);
	world->options = (struct journal_options){.dir = DIR_PATH, .segment_bytes = 1 << 20};
	world->journal = test_open(world->env, &world->options, NULL);
	assert_int_equal(journal_prepare(world->journal), 0);
	for (int i = 0; i < 60; i++) {
		size_t lens[4];
		for (size_t k = 0; k < 4; k++)
			lens[k] = (size_t)sim_random_below(world->env, k < 3 ? 1000 : 80000);
		assert_int_equal(test_commit(world->journal, &world->model, lens, 4), 0);
	}
	journal_close(world->journal);
	world->journal = NULL;
	assert_int_equal(env_list_dir(world->env, DIR_PATH, world_each_name, world), 0);
	assert_true(world->path_count >= 3);
	world->places = calloc(world->model.count, sizeof world->places[0]);
	assert_non_null(world->places);
	size_t next = 0;
	for (int i = 0; i < world->path_count; i++)
		world_map(world, i, &next);
	assert_int_equal(next, world->model.count);
}

static void
world_end(struct world *world)
{
	journal_close(world->journal);
	test_model_finish(&world->model);
	free(world->places);
	env_destroy(world->env);
}

/* Opens, reads, checks that what does not lie in `block` of `segment` is there; how many records
 * that do are not. */
static size_t
world_lost(struct world *world, int segment, uint64_t block, size_t *ret_reports)
{
	struct test_reports reports = {.torn = 0};
	size_t lost = 0;
	world->journal = test_open(world->env, &world->options, &reports);
	struct test_pass pass = test_read_all(world->journal, &world->model, 0);
	assert_int_equal(pass.error, 0);
	for (size_t i = 0; i < world->model.count; i++) {
		const struct place *place = &world->places[i];
		if (world->model.expects[i].seen)
			continue;
		lost++;
		if (place->segment != segment || block < place->first_block ||
		    block > place->last_block)
			fail_msg("record %llu in blocks %llu to %llu of %d is lost, damaged was "
			    "%llu of %d", (unsigned long long)place->seq,
			    (unsigned long long)place->first_block,
			    (unsigned long long)place->last_block, place->segment,
			    (unsigned long long)block, segment);
	}
	*ret_reports = reports.torn + reports.damaged + pass.damages;
	assert_true(journal_next_seq(world->journal) >= pass.last_seq);
	journal_close(world->journal);
	world->journal = NULL;
	return lost;
}

static void
flipped_bit_is_reported_and_costs_only_its_block(void **state)
{
	(void)state;
	struct world world;
	size_t reports, lost_all = 0;
	world_begin(&world, 3);
	for (int i = 0; i < FLIPS; i++) {
		int segment = (int)sim_random_below(world.env, (uint64_t)world.path_count);
		uint64_t bytes;
		assert_int_equal(env_stat(world.env, world.paths[segment], &bytes), 0);
		uint64_t bit = sim_random_below(world.env, bytes * 8);
		uint64_t block = bit / 8 / TEST_BLOCK;
		assert_int_equal(sim_flip_bit(world.env, world.paths[segment], bit), 0);
		size_t lost = world_lost(&world, segment, block, &reports);
		if (lost > 0 || block < JOURNAL_BLOCK_FIRST)
			assert_true(reports > 0);
		lost_all += lost;
		assert_int_equal(sim_flip_bit(world.env, world.paths[segment], bit), 0);
	}
	assert_true(lost_all > FLIPS / 4); /* the test does hit something */
	assert_int_equal(world_lost(&world, 0, 0, &reports), 0);
	assert_int_equal(reports, 0);
	world_end(&world);
}

static void
flipped_bit_in_a_record_costs_only_the_record(void **state)
{
	(void)state;
	struct world world;
	size_t reports;
	world_begin(&world, 4);
	for (size_t i = 5; i < world.model.count - 4; i += 17) {
		const struct place *place = &world.places[i];
		if (place->first_block != place->last_block)
			continue;
		/* in the second half of the block: not in its head, in some record's bytes */
		uint64_t bit = (place->first_block * TEST_BLOCK + 2500) * 8;
		assert_int_equal(sim_flip_bit(world.env, world.paths[place->segment], bit), 0);
		assert_true(world_lost(&world, place->segment, place->first_block, &reports) <= 1);
		assert_int_equal(sim_flip_bit(world.env, world.paths[place->segment], bit), 0);
	}
	world_end(&world);
}

static void
damage_under_an_open_journal_is_met_by_readers(void **state)
{
	(void)state;
	struct world world;
	world_begin(&world, 5);
	world.journal = test_open(world.env, &world.options, NULL);
	const struct place *place = &world.places[10];
	/* in the number of the commit, in a block's head */
	uint64_t bit = (place->first_block * TEST_BLOCK + 20) * 8;
	assert_int_equal(sim_flip_bit(world.env, world.paths[place->segment], bit), 0);
	struct journal_reader *reader;
	assert_int_equal(journal_reader_open(world.journal, 0, &reader), 0);
	struct test_pass pass = test_read_on(reader, &world.model);
	assert_int_equal(pass.error, 0);
	assert_true(pass.damages > 0);
	assert_true(pass.records < world.model.count);
	assert_false(world.model.expects[10].seen);
	journal_reader_close(reader);
	world_end(&world);
}

/* Overwrites [from, to) of a segment with `byte`. */
static void
world_overwrite(struct world *world, int segment, uint64_t from, uint64_t to, int byte)
{
	struct env_file *file;
	char *bytes = malloc(to - from);
	assert_non_null(bytes);
	memset(bytes, byte, to - from);
	assert_int_equal(env_open(world->env, world->paths[segment], ENV_WRITE, &file), 0);
	assert_int_equal(env_pwrite(file, bytes, to - from, from), 0);
	env_close(file);
	free(bytes);
}

static void
segment_without_any_head_is_read_by_its_blocks(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct world world;
		struct test_reports reports = {.torn = 0};
		world_begin(&world, 6);
		int segment = i * (world.path_count - 1) / 2;
		world_overwrite(&world, segment, 0, 2 * TEST_BLOCK, 0);
		world.journal = test_open(world.env, &world.options, &reports);
		assert_int_equal(reports.torn, 0);
		assert_int_equal(reports.damaged, 2);
		struct test_pass pass = test_read_all(world.journal, &world.model, 0);
		assert_int_equal(pass.damages, 0);
		test_all_seen(&world.model, 0);
		const size_t len = 10;
		assert_int_equal(test_commit(world.journal, &world.model, &len, 1), 0);
		journal_close(world.journal);
		world.journal = test_open(world.env, &world.options, NULL);
		test_read_all(world.journal, &world.model, 0);
		test_all_seen(&world.model, 0);
		world_end(&world);
	}
}

static void
deleted_segment_is_reported(void **state)
{
	(void)state;
	struct world world;
	struct test_reports reports = {.torn = 0};
	world_begin(&world, 7);
	assert_int_equal(env_unlink(world.env, world.paths[1]), 0);
	world.journal = test_open(world.env, &world.options, &reports);
	assert_int_equal(reports.damaged, 1);
	assert_string_equal(reports.last.reason, "missing");
	test_read_all(world.journal, &world.model, 0);
	for (size_t i = 0; i < world.model.count; i++)
		assert_int_equal(world.model.expects[i].seen, world.places[i].segment != 1);
	assert_int_equal(env_unlink(world.env, world.paths[0]), 0); /* while it is open */
	struct test_pass pass = test_read_all(world.journal, &world.model, 0);
	assert_int_equal(pass.damages, 1);
	for (size_t i = 0; i < world.model.count; i++)
		assert_int_equal(world.model.expects[i].seen, world.places[i].segment > 1);
	world_end(&world);
}

static void
segment_cut_anywhere_keeps_what_is_before(void **state)
{
	(void)state;
	for (int last = 0; last < 2; last++) {
		struct world world;
		struct env_file *file;
		uint64_t bytes;
		world_begin(&world, 8);
		int segment = last ? world.path_count - 1 : 0;
		assert_int_equal(env_stat(world.env, world.paths[segment], &bytes), 0);
		for (; bytes > 0; bytes -= MIN(bytes, 9 * TEST_BLOCK + 1111)) {
			struct test_reports reports = {.torn = 0};
			assert_int_equal(env_open(world.env, world.paths[segment], ENV_WRITE,
			    &file), 0);
			assert_int_equal(env_truncate(file, bytes), 0);
			env_close(file);
			world.journal = test_open(world.env, &world.options, &reports);
			test_read_all(world.journal, &world.model, 0);
			for (size_t i = 0; i < world.model.count; i++) {
				const struct place *place = &world.places[i];
				bool there = place->segment != segment ||
				    (place->last_block + 1) * TEST_BLOCK <= bytes;
				if (there || !world.model.expects[i].seen)
					assert_int_equal(world.model.expects[i].seen, there);
			}
			journal_close(world.journal);
			world.journal = NULL;
		}
		world_end(&world);
	}
}

static void
newer_version_or_unknown_feature_is_refused(void **state)
{
	(void)state;
	const size_t fields[] = {8, 16};
	for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
		struct world world;
		struct env_file *file;
		char head[JOURNAL_BLOCK_BYTES];
		world_begin(&world, 9);
		assert_int_equal(env_open(world.env, world.paths[1], ENV_WRITE, &file), 0);
		assert_int_equal(env_pread(file, head, sizeof head, 0), sizeof head);
		head[fields[i]] = (char)(head[fields[i]] + 1);
		journal_format_put_u32(head + sizeof head - 4, crc32c(0, head, sizeof head - 4));
		assert_int_equal(env_pwrite(file, head, sizeof head, 0), 0);
		env_close(file);
		assert_int_equal(journal_open(world.env, &world.options, NULL, NULL,
		    &world.journal), -EPROTO);
		world_end(&world);
	}
}

static void
foreign_names_are_left_alone(void **state)
{
	(void)state;
	const char *names[] = {"journal/readme", "journal/1.seg", "journal/000000000000000a.seg",
		"journal/0000000000000000.seg", "journal/0000000000000001.seg2"};
	struct world world;
	struct env_file *file;
	uint64_t bytes;
	world_begin(&world, 10);
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		assert_int_equal(env_open(world.env, names[i], ENV_WRITE | ENV_CREATE, &file), 0);
		env_close(file);
	}
	size_t reports;
	assert_int_equal(world_lost(&world, 0, 0, &reports), 0);
	assert_int_equal(reports, 0);
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		assert_int_equal(env_stat(world.env, names[i], &bytes), 0);
	world_end(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flipped_bit_is_reported_and_costs_only_its_block),
		cmocka_unit_test(flipped_bit_in_a_record_costs_only_the_record),
		cmocka_unit_test(damage_under_an_open_journal_is_met_by_readers),
		cmocka_unit_test(segment_without_any_head_is_read_by_its_blocks),
		cmocka_unit_test(deleted_segment_is_reported),
		cmocka_unit_test(segment_cut_anywhere_keeps_what_is_before),
		cmocka_unit_test(newer_version_or_unknown_feature_is_refused),
		cmocka_unit_test(foreign_names_are_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_erase.c: what is erased is in no file any more and everything else as it was, whatever fails
 * meanwhile: a record is the old one or the new one, whole.
 */
#include "journal_test.h"

#include "check.h"
#include "sim.h"

#define DIR_PATH "journal"
#define KEY 1000u /* what is erased is about it: see test_keys */
#define SEEDS 40u

struct world {
	struct env *env;
	struct journal_options options;
	struct journal *journal;
	struct test_model model;
	struct test_reports reports;
	uint64_t seq;           /* up to it everything of KEY is to be erased */
};

static bool
is_erased(uint64_t seq)
{
	return seq % 3 == 0 && seq % 7 != 0;
}

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
	world->journal = NULL;
	world_open(world);
}

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

/* Two segments are sealed, two plain, one begun, whose file was another one before. */
static void
world_begin_mixed(struct world *world, uint64_t seed)
{
	world_begin(world, seed);
	world_fill(world, 2);
	assert_int_equal(test_seal(world->journal), 1);
	assert_int_equal(journal_prepare(world->journal), 0);
	world_fill(world, 3);
	assert_int_equal(test_seal(world->journal), 1);
	world_fill(world, 4);
	world->seq = world->model.expects[world->model.count - 5].seq;
}

static int
edit(void *ctx, const struct journal_record *record, const struct journal_keys *keys,
    struct journal_record *ret_record)
{
	bool about = false;
	(void)ctx;
	for (size_t i = 0; i < keys->count; i++)
		about = about || keys->keys[i] == KEY;
	if (!about || span_eq(record->body, SPAN("***")))
		return 0;
	*ret_record = *record;
	ret_record->body = SPAN("***");
	ret_record->rejects = NULL;
	ret_record->reject_count = 0;
	return 1;
}

/* As test_keys; of what was erased nothing is known. */
static int
keys_left(void *ctx, const struct journal_record *record, struct journal_keys *keys)
{
	return span_eq(record->body, SPAN("***")) ? 0 : test_keys(ctx, record, keys);
}

/* Everything that is to be done. The first error, but damage, ends it. */
static int
world_erase(struct world *world, struct journal_damage *ret_damage, unsigned *ret_damages)
{
	static const uint64_t wanted[] = {KEY};
	struct journal_erase_options options = {
		.seal = {.keys = keys_left},
		.seq = world->seq,
		.wanted = wanted,
		.wanted_count = 1,
		.edit = edit,
	};
	struct journal_damage damage;
	uint64_t number = 0;
	int r = journal_wipe(world->journal, &damage);
	if (r == 0)
		r = journal_roll(world->journal, &options.number_last);
	while (r == 0 || r == 1) {
		r = journal_erase(world->journal, &options, &number, &damage);
		if (r == 0)
			break;
		if (r == -EBADMSG && ret_damage) {
			*ret_damage = damage;
			++*ret_damages;
			r = 1;
		}
	}
	return r < 0 ? r : journal_wipe(world->journal, &damage);
}

/* Reads all: each record as it was or, where it may be, erased. How many that are to be erased are
 * still as they were. */
static size_t
world_reads(struct world *world, struct journal_reader *reader)
{
	struct journal_record record;
	struct journal_damage damage;
	size_t old = 0;
	int r;
	while ((r = journal_reader_next(reader, &record, &damage)) == 1) {
		struct test_expect *expect = test_model_find(&world->model, record.seq);
		bool erased = is_erased(record.seq) && record.seq <= world->seq;
		assert_non_null(expect);
		assert_false(expect->seen);
		expect->seen = true;
		if (erased && span_eq(record.body, SPAN("***"))) {
			assert_int_equal(record.count, 1 + record.seq % 3);
			assert_int_equal(record.arrival_ms, TEST_ARRIVAL_MS + (int64_t)record.seq);
			assert_int_equal(record.reject_count, 0);
			continue;
		}
		assert_int_equal(record.body.len, expect->len);
		assert_true(test_same(&record));
		old += erased;
	}
	assert_int_equal(r, 0);
	return old;
}

static size_t
world_reads_all(struct world *world)
{
	struct journal_reader *reader;
	test_model_unsee(&world->model);
	assert_int_equal(journal_reader_open(world->journal, 0, &reader), 0);
	size_t old = world_reads(world, reader);
	journal_reader_close(reader);
	test_all_seen(&world->model, 0);
	return old;
}

/* ── files ── */

struct search {
	struct world *world;
	size_t files, found;
};

/* Random bytes are not packed: they stand in sealed files, too. */
static int
search_file(void *ctx, const char *name)
{
	struct search *search = ctx;
	struct world *world = search->world;
	char path[96], needle[64], *bytes;
	size_t len;
	snprintf(path, sizeof path, DIR_PATH "/%s", name);
	assert_int_equal(env_read_file(world->env, path, 8 << 20, &bytes, &len), 0);
	for (size_t i = 0; i < world->model.count; i++) {
		const struct test_expect *expect = &world->model.expects[i];
		if (!is_erased(expect->seq) || expect->seq > world->seq ||
		    expect->len < sizeof needle || i % 5)
			continue;
		test_fill(needle, sizeof needle, expect->seq);
		search->found += memmem(bytes, len, needle, 24) != NULL;
	}
	search->files++;
	free(bytes);
	return 0;
}

static size_t
world_find_erased(struct world *world)
{
	struct search search = {.world = world};
	assert_int_equal(env_list_dir(world->env, DIR_PATH, search_file, &search), 0);
	assert_true(search.files >= 5);
	return search.found;
}

struct listing {
	const char *end;
	size_t count;
};

static int
list_name(void *ctx, const char *name)
{
	struct listing *listing = ctx;
	size_t len = strlen(name), end = strlen(listing->end);
	listing->count += len >= end && strcmp(name + len - end, listing->end) == 0;
	return 0;
}

static size_t
world_files(struct world *world, const char *end)
{
	struct listing listing = {.end = end};
	assert_int_equal(env_list_dir(world->env, DIR_PATH, list_name, &listing), 0);
	return listing.count;
}

/* ── tests ── */

static void
what_is_erased_is_in_no_file(void **state)
{
	(void)state;
	struct world world;
	struct journal_stats stats;
	world_begin_mixed(&world, 1);
	assert_true(world_find_erased(&world) > 20);
	assert_true(world_reads_all(&world) > 0);
	assert_int_equal(world_erase(&world, NULL, NULL), 0);
	assert_int_equal(world_reads_all(&world), 0);
	assert_int_equal(world_find_erased(&world), 0);
	assert_int_equal(world_files(&world, ".sealed-2"), 2);
	assert_int_equal(world_files(&world, ".gone") + world_files(&world, ".tmp"), 0);
	journal_stats(world.journal, &stats);
	assert_int_equal(stats.rewrites, 2);
	world_reopen(&world);
	assert_int_equal(world.reports.damaged, 0);
	assert_int_equal(world_reads_all(&world), 0);
	/* Once more there is nothing to do, and nothing is made. */
	journal_stats(world.journal, &stats);
	uint64_t segments = stats.segments;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(world_erase(&world, NULL, NULL), 0);
		journal_stats(world.journal, &stats);
		assert_int_equal(stats.rewrites, 0);
		assert_true(stats.segments <= segments + 1);
	}
	world_fill(&world, (unsigned)stats.segments);
	world.seq = world.model.next_seq;
	assert_int_equal(world_erase(&world, NULL, NULL), 0);
	assert_int_equal(world_reads_all(&world), 0);
	assert_int_equal(world_find_erased(&world), 0);
	world_end(&world);
}

static void
a_reader_goes_on_in_the_rewritten_file(void **state)
{
	(void)state;
	for (unsigned skip = 0; skip < 8; skip++) {
		struct world world;
		struct journal_reader *reader;
		struct journal_record record;
		struct journal_damage damage;
		world_begin_mixed(&world, 2);
		assert_int_equal(journal_reader_open(world.journal, 1, &reader), 0);
		for (size_t i = 0; i < world.model.count * skip / 8; i++) {
			assert_int_equal(journal_reader_next(reader, &record, &damage), 1);
			test_model_find(&world.model, record.seq)->seen = true;
		}
		assert_int_equal(world_erase(&world, NULL, NULL), 0);
		world_reads(&world, reader);
		test_all_seen(&world.model, 0);
		journal_reader_close(reader);
		world_end(&world);
	}
}

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
of_two_editions_the_higher_counts_unless_it_is_damaged(void **state)
{
	(void)state;
	static const char first[] = DIR_PATH "/0000000000000001.sealed";
	static const char second[] = DIR_PATH "/0000000000000001.sealed-2";
	for (int damaged = 0; damaged < 2; damaged++) {
		struct world world;
		world_begin_mixed(&world, 3);
		copy_file(&world, first, "kept");
		assert_int_equal(world_erase(&world, NULL, NULL), 0);
		copy_file(&world, "kept", first);
		if (damaged)
			assert_int_equal(sim_flip_bit(world.env, second, 8 * 9000), 0);
		world_reopen(&world);
		assert_int_equal(world.reports.damaged, damaged);
		assert_int_equal(world_files(&world, "1.sealed"), damaged);
		assert_int_equal(world_files(&world, "1.sealed-2"), !damaged);
		assert_int_equal(world_reads_all(&world) > 0, damaged);
		assert_int_equal(world_erase(&world, NULL, NULL), 0);
		assert_int_equal(world_reads_all(&world), 0);
		assert_int_equal(world_find_erased(&world), 0);
		world_end(&world);
	}
}

static void
a_damaged_segment_stays_and_the_others_are_done(void **state)
{
	(void)state;
	static const char *const paths[] = {
		DIR_PATH "/0000000000000001.sealed", DIR_PATH "/0000000000000003.seg"};
	for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
		struct world world;
		struct journal_damage damage;
		unsigned damages = 0;
		world_begin_mixed(&world, 4);
		size_t before = world_reads_all(&world);
		assert_int_equal(sim_flip_bit(world.env, paths[i], 8 * 90000), 0);
		for (unsigned round = 1; round <= 2; round++) {
			assert_int_equal(world_erase(&world, &damage, &damages), 0);
			assert_int_equal(damages, round);
			assert_string_equal(damage.segment, strchr(paths[i], '/') + 1);
			assert_true(damage.reason[0] != '\0');
		}
		assert_int_equal(sim_flip_bit(world.env, paths[i], 8 * 90000), 0);
		world_reopen(&world);
		size_t left = world_reads_all(&world);
		assert_true(left > 0 && left < before);
		assert_int_equal(world_erase(&world, NULL, NULL), 0);
		assert_int_equal(world_reads_all(&world), 0);
		world_end(&world);
	}
}

static void
a_segment_that_cannot_be_read_is_told(void **state)
{
	(void)state;
	static const char path[] = DIR_PATH "/0000000000000001.sealed";
	struct world world;
	struct journal_damage damage;
	uint64_t bytes;
	world_begin_mixed(&world, 5);
	assert_int_equal(env_stat(world.env, path, &bytes), 0);
	for (uint64_t i = 1; i <= 2; i++) /* both footers */
		assert_int_equal(sim_flip_bit(world.env, path, 8 * (bytes - 192 * i + 50)), 0);
	world_reopen(&world);
	assert_int_equal(journal_wipe(world.journal, &damage), -EBADMSG);
	assert_string_equal(damage.segment, "0000000000000001.sealed");
	assert_int_equal(world_files(&world, "1.sealed"), 1);
	world_end(&world);
}

static void
what_is_trimmed_meanwhile_is_overwritten(void **state)
{
	(void)state;
	struct world world;
	world_begin_mixed(&world, 6);
	uint64_t seq = world.model.expects[world.model.count - 1].seq;
	journal_set_wipes(world.journal, true);
	assert_int_equal(journal_trim(world.journal, seq), 0);
	assert_int_equal(world_files(&world, ".sealed"), 0);
	assert_int_equal(world_files(&world, ".gone"), 0);
	assert_int_equal(world_erase(&world, NULL, NULL), 0);
	struct search search = {.world = &world};
	assert_int_equal(env_list_dir(world.env, DIR_PATH, search_file, &search), 0);
	assert_int_equal(search.found, 0);
	world_end(&world);
}

static void
an_empty_journal_has_nothing_to_erase(void **state)
{
	(void)state;
	struct world world;
	struct journal_stats stats;
	world_begin(&world, 7);
	assert_int_equal(world_erase(&world, NULL, NULL), 0);
	journal_stats(world.journal, &stats);
	assert_int_equal(stats.segments, 0);
	world_end(&world);
}

/* ── faults ── */

static void
a_power_cut_leaves_old_or_new(void **state)
{
	(void)state;
	unsigned cut = 0;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world world;
		world_begin_mixed(&world, seed * 7919);
		for (unsigned round = 0; round < 3; round++) {
			sim_crash_after(world.env, sim_random_below(world.env, 400));
			int r = world_erase(&world, NULL, NULL);
			cut += r != 0;
			sim_power_cut(world.env);
			world_reopen(&world);
			if (world.reports.damaged)
				fail_msg("seed %llu: damage", (unsigned long long)seed);
			size_t old = world_reads_all(&world);
			assert_true(r != 0 || old == 0);
			assert_int_equal(test_commit(world.journal, &world.model,
			    (size_t[]){300}, 1), 0);
		}
		assert_int_equal(world_erase(&world, NULL, NULL), 0);
		assert_int_equal(world_reads_all(&world), 0);
		assert_int_equal(world_find_erased(&world), 0);
		assert_int_equal(world_files(&world, ".gone") + world_files(&world, ".tmp"), 0);
		world_end(&world);
	}
	assert_true(cut > SEEDS / 2);
}

static void
each_call_of_the_disk_fails_once(void **state)
{
	(void)state;
	unsigned failed = 0;
	for (int op = 0; op < SIM_OP_COUNT; op++) {
		for (uint64_t after = 0; after < 300; after += op == SIM_READ ? 11 : 4) {
			struct world world;
			world_begin_mixed(&world, 8);
			sim_fail(world.env, (enum sim_op)op, after, -EIO, false);
			int r = world_erase(&world, NULL, NULL);
			sim_heal(world.env);
			assert_true(r == 0 || r == -EIO);
			failed += r != 0;
			world_reads_all(&world);
			assert_int_equal(world_erase(&world, NULL, NULL), 0);
			assert_int_equal(world_reads_all(&world), 0);
			assert_int_equal(world_find_erased(&world), 0);
			sim_power_cut(world.env);
			world_reopen(&world);
			assert_int_equal(world.reports.damaged, 0);
			assert_int_equal(world_reads_all(&world), 0);
			world_end(&world);
			if (r == 0)
				break;
		}
	}
	assert_true(failed >= 10);
}

static void
a_full_disk_is_waited_for(void **state)
{
	(void)state;
	struct world world;
	struct journal_stats stats;
	world_begin_mixed(&world, 9);
	journal_stats(world.journal, &stats);
	sim_disk_limit(world.env, stats.disk_bytes + (1 << 17));
	assert_int_equal(world_erase(&world, NULL, NULL), -ENOSPC);
	world_reads_all(&world);
	sim_disk_limit(world.env, 0);
	assert_int_equal(world_erase(&world, NULL, NULL), 0);
	assert_int_equal(world_reads_all(&world), 0);
	world_end(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_erased_is_in_no_file),
		cmocka_unit_test(a_reader_goes_on_in_the_rewritten_file),
		cmocka_unit_test(of_two_editions_the_higher_counts_unless_it_is_damaged),
		cmocka_unit_test(a_damaged_segment_stays_and_the_others_are_done),
		cmocka_unit_test(a_segment_that_cannot_be_read_is_told),
		cmocka_unit_test(what_is_trimmed_meanwhile_is_overwritten),
		cmocka_unit_test(an_empty_journal_has_nothing_to_erase),
		cmocka_unit_test(a_power_cut_leaves_old_or_new),
		cmocka_unit_test(each_call_of_the_disk_fails_once),
		cmocka_unit_test(a_full_disk_is_waited_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_threads.c: a committer, workers that prepare, seal and trim segments and two readers, each
 * on its thread, on the real disk. Meant to run under ThreadSanitizer, too.
 */
#include "journal_test.h"

#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"
#include "thread.h"

#define COMMITS 400
#define KEPT_RECORDS 60 /* some segments; so readers are overtaken now and then */
#define READERS 2

struct world {
	struct env *env;
	struct journal *journal;
	char dir[64];
	_Atomic uint64_t seqs[COMMITS]; /* 0: not yet */
	_Atomic uint64_t last_seq; /* of the last record, once all are written */
	_Atomic uint64_t trimmed_below;
	unsigned seals;
};

static void
run_writer(void *ctx)
{
	struct world *world = ctx;
	uint64_t seq = 1;
	for (size_t i = 0; i < COMMITS; i++) {
		struct journal_record *record = test_record(seq, (i * 7919) % 40000);
		seq += record->count;
		check(journal_commit(world->journal, &record, 1) == 0);
		atomic_store(&world->seqs[i], record->seq);
		if (i + 1 == COMMITS)
			atomic_store(&world->last_seq, record->seq);
		journal_record_unref(record);
	}
}

static void
run_preparer(void *ctx)
{
	struct world *world = ctx;
	while (atomic_load(&world->last_seq) == 0) {
		if (journal_wants_prepare(world->journal))
			check(journal_prepare(world->journal) == 0);
		sched_yield();
	}
}

static void
run_sealer(void *ctx)
{
	struct world *world = ctx;
	while (atomic_load(&world->last_seq) == 0) {
		int r = test_seal(world->journal);
		check(r == 0 || r == 1);
		world->seals += (unsigned)r;
		sched_yield();
	}
}

/* Every tenth record, so far behind. */
static void
run_trimmer(void *ctx)
{
	struct world *world = ctx;
	for (size_t i = 0; i + KEPT_RECORDS < COMMITS; i += 10) {
		while (atomic_load(&world->seqs[i + KEPT_RECORDS]) == 0)
			sched_yield();
		uint64_t below = atomic_load(&world->seqs[i]);
		atomic_store(&world->trimmed_below, below);
		check(journal_trim(world->journal, below) == 0);
	}
}

/* Reads until the last record: each equal, seqs rise, and where one is left out it was trimmed. */
static void
run_reader(void *ctx)
{
	struct world *world = ctx;
	struct journal_reader *reader;
	struct journal_record record;
	struct journal_damage damage;
	uint64_t expected = 1;
	check(journal_reader_open(world->journal, 0, &reader) == 0);
	for (;;) {
		struct journal_stats stats;
		uint64_t last_seq = atomic_load(&world->last_seq);
		int r = journal_reader_next(reader, &record, &damage);
		check(r == 0 || r == 1);
		if (r == 0) {
			journal_stats(world->journal, &stats);
			if (last_seq != 0 && expected > last_seq)
				break;
			sched_yield();
			continue;
		}
		check(test_same(&record));
		check(record.seq == expected ||
		    (record.seq > expected && expected < atomic_load(&world->trimmed_below)));
		expected = record.seq + record.count;
	}
	journal_reader_close(reader);
}

static int
world_unlink(void *ctx, const char *name)
{
	struct world *world = ctx;
	char path[512];
	snprintf(path, sizeof path, "%s/%s", world->dir, name);
	return env_unlink(world->env, path);
}

static void
threads_share_a_journal(void **state)
{
	(void)state;
	struct world world = {.dir = "/tmp/weir-journal-XXXXXX"};
	struct journal_options options = {.dir = world.dir, .segment_bytes = 1 << 20};
	pthread_t writer, preparer, sealer, trimmer, readers[READERS];
	assert_non_null(mkdtemp(world.dir));
	world.env = env_create();
	assert_non_null(world.env);
	options.direct = true;
	world.journal = test_open(world.env, &options, NULL);
	for (size_t i = 0; i < READERS; i++)
		assert_int_equal(thread_start(&readers[i], "reader", run_reader, &world), 0);
	assert_int_equal(thread_start(&preparer, "preparer", run_preparer, &world), 0);
	assert_int_equal(thread_start(&sealer, "sealer", run_sealer, &world), 0);
	assert_int_equal(thread_start(&trimmer, "trimmer", run_trimmer, &world), 0);
	assert_int_equal(thread_start(&writer, "writer", run_writer, &world), 0);
	thread_join(writer);
	thread_join(preparer);
	thread_join(sealer);
	thread_join(trimmer);
	assert_true(world.seals > 0);
	for (size_t i = 0; i < READERS; i++)
		thread_join(readers[i]);
	journal_close(world.journal);
	assert_int_equal(env_list_dir(world.env, world.dir, world_unlink, &world), 0);
	assert_int_equal(rmdir(world.dir), 0);
	env_destroy(world.env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_share_a_journal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

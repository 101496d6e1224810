/*
 * test_writer.c: the writer thread: units from many threads, gathered into few transactions, an
 * urgent one at once, none lost at the stop.
 */
#include "store_testing.h"

#include <pthread.h>
#include <stdatomic.h>

#include "store_priv.h"
#include "thread.h"

enum { NEVER_MS = 3600000 };

/* Counts what is done; somebody waits for a number of them. */
struct tally {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned done, failed;
	uint64_t last[4]; /* by submitter: the order must be kept */
};

struct item {
	struct store_unit unit;
	struct tally *tally;
	struct store_writer *again; /* submits itself so often more */
	unsigned again_count;
	unsigned submitter;
	uint64_t seq;
};

static int
item_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct item *item = CONTAINER_OF(unit, struct item, unit);
	char name[16];

	snprintf(name, sizeof(name), "thread-%u", item->submitter);
	return store_cursor_put(tx, name, 0, item->seq);
}

static void
item_done(struct store_unit *unit, int error)
{
	struct item *item = CONTAINER_OF(unit, struct item, unit);
	struct tally *tally = item->tally;

	pthread_mutex_lock(&tally->mutex);
	tally->done++;
	tally->failed += error != 0 || item->seq != tally->last[item->submitter] + 1;
	tally->last[item->submitter] = item->seq;
	pthread_cond_broadcast(&tally->changed);
	pthread_mutex_unlock(&tally->mutex);
	if (item->again_count > 0) {
		item->again_count--;
		item->seq++;
		store_writer_submit(item->again, unit);
	} else {
		free(item);
	}
}

static void
tally_init(struct tally *tally)
{
	memset(tally, 0, sizeof(*tally));
	pthread_mutex_init(&tally->mutex, NULL);
	pthread_cond_init(&tally->changed, NULL);
}

static void
tally_await(struct tally *tally, unsigned done)
{
	pthread_mutex_lock(&tally->mutex);
	while (tally->done < done)
		pthread_cond_wait(&tally->changed, &tally->mutex);
	pthread_mutex_unlock(&tally->mutex);
}

static struct item *
submit(struct store_writer *writer, struct tally *tally, unsigned submitter, uint64_t seq,
    bool urgent)
{
	struct item *item = calloc(1, sizeof(*item));

	check(item);
	item->unit = (struct store_unit){
		.apply = item_apply, .done = item_done, .urgent = urgent,
	};
	item->tally = tally;
	item->submitter = submitter;
	item->seq = seq;
	store_writer_submit(writer, &item->unit);
	return item;
}

static int
count_commit(void *ctx)
{
	++*(unsigned *)ctx;
	return 0;
}

static uint64_t
cursor_of(struct store *store, const char *name)
{
	uint64_t seq;

	assert_int_equal(store_cursor_get(store, name, 0, &seq), 0);
	return seq;
}

static void
urgent_unit_takes_all_that_wait_along(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct store_writer *writer = NULL;
	struct tally tally;
	unsigned commits = 0;

	tally_init(&tally);
	sqlite3_commit_hook(store->db, count_commit, &commits);
	assert_int_equal(store_writer_start(store, NEVER_MS, &writer), 0);
	for (uint64_t seq = 1; seq <= 10; seq++)
		submit(writer, &tally, 0, seq, false);
	submit(writer, &tally, 0, 11, true);
	tally_await(&tally, 11);
	store_writer_stop(writer);
	assert_int_equal(tally.failed, 0);
	assert_int_equal(commits, 1);
	assert_true(cursor_of(store, "thread-0") == 11);
	store_close(store);
}

static void
units_wait_no_longer_than_the_gathering(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct store_writer *writer = NULL;
	struct tally tally;

	tally_init(&tally);
	assert_int_equal(store_writer_start(store, 20, &writer), 0);
	submit(writer, &tally, 0, 1, false);
	tally_await(&tally, 1); /* hangs when nothing makes it run */
	submit(writer, &tally, 0, 2, false);
	tally_await(&tally, 2);
	store_writer_stop(writer);
	assert_int_equal(tally.failed, 0);
	store_close(store);
}

static void
stop_runs_what_waits_in_bounded_transactions(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct store_writer *writer = NULL;
	struct tally tally;
	unsigned commits = 0;

	tally_init(&tally);
	sqlite3_commit_hook(store->db, count_commit, &commits);
	assert_int_equal(store_writer_start(store, NEVER_MS, &writer), 0);
	for (uint64_t seq = 1; seq <= 2500; seq++)
		submit(writer, &tally, 0, seq, false);
	store_writer_stop(writer);
	store_writer_stop(NULL);
	assert_int_equal(tally.done, 2500);
	assert_int_equal(tally.failed, 0);
	assert_int_equal(commits, 3);
	assert_true(cursor_of(store, "thread-0") == 2500); /* the store is the caller's again */
	store_close(store);
}

static void
done_may_submit_the_next(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct store_writer *writer = NULL;
	struct item *item = calloc(1, sizeof(*item));
	struct tally tally;

	check(item);
	tally_init(&tally);
	assert_int_equal(store_writer_start(store, 0, &writer), 0);
	item->unit = (struct store_unit){.apply = item_apply, .done = item_done};
	item->tally = &tally;
	item->again = writer;
	item->again_count = 4;
	item->seq = 1;
	store_writer_submit(writer, &item->unit);
	tally_await(&tally, 5);
	store_writer_stop(writer);
	assert_int_equal(tally.failed, 0);
	assert_true(cursor_of(store, "thread-0") == 5);
	store_close(store);
}

struct submitter {
	struct store_writer *writer;
	struct tally *tally;
	unsigned number;
};

static void
submit_many(void *ctx)
{
	struct submitter *submitter = ctx;

	for (uint64_t seq = 1; seq <= 300; seq++)
		submit(submitter->writer, submitter->tally, submitter->number, seq,
		    seq % 50 == 0);
}

static void
many_threads_submit_and_each_keeps_its_order(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct store_writer *writer = NULL;
	struct submitter submitters[4];
	pthread_t threads[4];
	struct tally tally;

	tally_init(&tally);
	assert_int_equal(store_writer_start(store, 1, &writer), 0);
	for (unsigned i = 0; i < 4; i++) {
		submitters[i] = (struct submitter){writer, &tally, i};
		assert_int_equal(thread_start(&threads[i], "submitter", submit_many,
		    &submitters[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		thread_join(threads[i]);
	store_writer_stop(writer);
	assert_int_equal(tally.done, 1200);
	assert_int_equal(tally.failed, 0);
	for (unsigned i = 0; i < 4; i++)
		assert_true(tally.last[i] == 300);
	store_close(store);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
	const struct CMUnitTest tests[] = {
		TEST(urgent_unit_takes_all_that_wait_along),
		TEST(units_wait_no_longer_than_the_gathering),
		TEST(stop_runs_what_waits_in_bounded_transactions),
		TEST(done_may_submit_the_next),
		TEST(many_threads_submit_and_each_keeps_its_order),
	};

	return cmocka_run_group_tests_name("store_writer", tests, NULL, NULL);
}

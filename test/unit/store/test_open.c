/*
 * test_open.c: opening weir.db on the real disk: what it refuses and how it says so, who is locked
 * out, what a killed process leaves.
 */
#include "store_testing.h"

#include <errno.h>
#include <sqlite3.h>
#include <sys/wait.h>

static void
write_db(const struct place *place, const void *bytes, size_t len)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/weir.db", place->dir);
	assert_int_equal(env_write_file(place->env, path, bytes, len), 0);
}

static void
must_fail(const struct place *place, int error, const char *words)
{
	struct store *store = NULL;
	char reason[200] = "";

	assert_int_equal(store_open_explained(place->env, place->dir, reason, sizeof(reason),
	    &store), error);
	assert_null(store);
	if (strstr(reason, words) == NULL)
		fail_msg("the reason is: %s", reason);
	assert_int_equal(store_open(place->env, place->dir, &store), error);
}

static void
file_that_is_no_database_is_refused_and_left_alone(void **state)
{
	struct place *place = *state;
	char garbage[9000], path[128];
	const size_t lens[] = {1, 16, 100, 511, 512, 4096, 9000};

	memset(garbage, 'g', sizeof(garbage));
	snprintf(path, sizeof(path), "%s/weir.db", place->dir);
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		char *bytes = NULL;
		size_t len = 0;

		write_db(place, garbage, lens[i]);
		must_fail(place, -EUCLEAN, "not a database");
		assert_int_equal(env_read_file(place->env, path, 10000, &bytes, &len), 0);
		assert_int_equal(len, lens[i]);
		assert_memory_equal(bytes, garbage, len);
		free(bytes);
	}
}

static void
empty_file_is_taken_for_a_new_one(void **state)
{
	struct place *place = *state;

	write_db(place, "", 0);
	store_close(store_must_open(place->env, place->dir));
}

static void
database_of_another_program_is_refused(void **state)
{
	struct place *place = *state;
	sqlite3 *db = NULL;
	char path[128];

	snprintf(path, sizeof(path), "%s/weir.db", place->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE theirs (a)", NULL, NULL, NULL), SQLITE_OK);
	must_fail(place, -EUCLEAN, "another program");
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 1", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	must_fail(place, -EUCLEAN, "another program");
}

static void
missing_directory_is_named(void **state)
{
	struct place place = **(struct place **)state;

	strcat(place.dir, "/nowhere");
	must_fail(&place, -ENOENT, "open weir.db: No such file");
}

static int
put_seven(struct store_tx *tx, void *ctx)
{
	return store_cursor_put(tx, ctx, 1, 7);
}

static uint64_t
seq_of(struct store *store, const char *processor)
{
	uint64_t seq = 99;

	assert_int_equal(store_cursor_get(store, processor, 1, &seq), 0);
	return seq;
}

static void
second_opener_is_locked_out_and_harms_nothing(void **state)
{
	struct place *place = *state;
	struct store *first = store_must_open(place->env, place->dir);
	char one[] = "one", two[] = "two";

	must_fail(place, -EWOULDBLOCK, "locked");
	assert_int_equal(run_one(first, put_seven, one), 0);
	must_fail(place, -EWOULDBLOCK, "locked");
	assert_int_equal(run_one(first, put_seven, two), 0);
	store_close(first);
	first = store_must_open(place->env, place->dir);
	assert_true(seq_of(first, "one") == 7 && seq_of(first, "two") == 7);
	store_close(first);
}

/* SQLite's own programs would copy the WAL and delete it under us. */
static void
other_programs_are_locked_out_too(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	char one[] = "one", path[128];
	sqlite3 *db = NULL;

	assert_int_equal(run_one(store, put_seven, one), 0);
	snprintf(path, sizeof(path), "%s/weir.db", place->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "SELECT * FROM cursor", NULL, NULL, NULL), SQLITE_BUSY);
	sqlite3_close(db);
	store_close(store);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "SELECT * FROM cursor", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
killed_process_leaves_what_it_committed(void **state)
{
	struct place *place = *state;
	char one[] = "one";
	struct store *store;
	int status = -1;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct store *own = NULL;
		struct job job = job_make(put_seven, one);

		if (store_open(place->env, place->dir, &own))
			_exit(1);
		store_run(own, &job.unit);
		_exit(job.error ? 2 : 0); /* no close: the WAL stays */
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	store = store_must_open(place->env, place->dir);
	assert_true(seq_of(store, "one") == 7);
	store_close(store);
}

/* A directory of its own in that of the test. */
static struct place
place_below(const struct place *place, const char *name)
{
	struct place below = *place;

	check(strlen(place->dir) + strlen(name) + 4 < sizeof(below.dir));
	strcat(below.dir, "/");
	strcat(below.dir, name);
	assert_int_equal(env_mkdir(below.env, below.dir), 0);
	return below;
}

static void
place_below_remove(struct place *below)
{
	env_list_dir(below->env, below->dir, place_unlink, below);
	assert_int_equal(rmdir(below->dir), 0); /* all that was made lay in there */
}

static void
directory_may_have_any_name(void **state)
{
	struct place *place = *state;
	static const char *const names[] = {"file:x?mode=ro", "50% of it", "a'b;c"};

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		struct place below = place_below(place, names[i]);
		char one[] = "one";
		struct store *store;

		strcat(below.dir, "//");
		store = store_must_open(below.env, below.dir);
		assert_int_equal(run_one(store, put_seven, one), 0);
		store_close(store);
		place_below_remove(&below);
	}
}

static unsigned
vfs_count(void)
{
	unsigned count = 0;

	for (sqlite3_vfs *vfs = sqlite3_vfs_find(NULL); vfs; vfs = vfs->pNext)
		count += strncmp(vfs->zName, "weir-", 5) == 0;
	return count;
}

static void
many_stores_live_in_one_process(void **state)
{
	struct place *place = *state;
	char names[][3] = {"s0", "s1", "s2", "s3", "s4"};
	struct place below[5];
	struct store *stores[5];

	assert_int_equal(vfs_count(), 0);
	for (int i = 0; i < 5; i++) {
		below[i] = place_below(place, names[i]);
		stores[i] = store_must_open(below[i].env, below[i].dir);
	}
	assert_int_equal(vfs_count(), 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(run_one(stores[i], put_seven, names[i]), 0);
	for (int i = 0; i < 5; i++) {
		assert_true(seq_of(stores[i], names[i]) == 7);
		assert_true(seq_of(stores[i], names[(i + 1) % 5]) == 0);
		store_close(stores[i]);
		place_below_remove(&below[i]);
	}
	assert_int_equal(vfs_count(), 0); /* also the failed ones of other tests are gone */
}

static void
close_leaves_one_file(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	char one[] = "one", path[128];
	uint64_t bytes;

	assert_int_equal(run_one(store, put_seven, one), 0);
	snprintf(path, sizeof(path), "%s/weir.db-wal", place->dir);
	assert_int_equal(env_stat(place->env, path, &bytes), 0);
	store_close(store);
	store_close(NULL);
	assert_int_equal(env_stat(place->env, path, &bytes), -ENOENT);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
	const struct CMUnitTest tests[] = {
		TEST(file_that_is_no_database_is_refused_and_left_alone),
		TEST(empty_file_is_taken_for_a_new_one),
		TEST(database_of_another_program_is_refused),
		TEST(missing_directory_is_named),
		TEST(second_opener_is_locked_out_and_harms_nothing),
		TEST(other_programs_are_locked_out_too),
		TEST(killed_process_leaves_what_it_committed),
		TEST(directory_may_have_any_name),
		TEST(many_stores_live_in_one_process),
		TEST(close_leaves_one_file),
	};

	return cmocka_run_group_tests_name("store_open", tests, NULL, NULL);
}

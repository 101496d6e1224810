/*
 * test_units.c: units are atomic: one that fails is undone alone, those of a call commit together.
 */
#include "store_testing.h"

#include <errno.h>

struct step {
	const char *processor;
	uint64_t seq;
	int error; /* what apply returns after it has written */
};

static int
write_then_return(struct store_tx *tx, void *ctx)
{
	struct step *step = ctx;
	struct store_part part = {.id = step->seq};
	int error = store_cursor_put(tx, step->processor, 0, step->seq);

	if (error == 0)
		error = store_part_add(tx, &part);
	return error ? error : step->error;
}

static uint64_t
cursor_of(struct store *store, const char *processor)
{
	uint64_t seq;

	assert_int_equal(store_cursor_get(store, processor, 0, &seq), 0);
	return seq;
}

static int
count_part(void *ctx, const struct store_part *part)
{
	(void)part;
	++*(unsigned *)ctx;
	return 0;
}

static unsigned
parts_of(struct store *store)
{
	unsigned count = 0;

	assert_int_equal(store_parts_load(store, count_part, &count), 0);
	return count;
}

static void
failing_unit_is_undone_alone(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct step steps[] = {{"a", 1, 0}, {"b", 2, -ECANCELED}, {"c", 3, 0}};
	struct job jobs[ARRAY_COUNT(steps)];

	for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
		jobs[i] = job_make(write_then_return, &steps[i]);
		jobs[i].unit.next = i + 1 < ARRAY_COUNT(steps) ? &jobs[i + 1].unit : NULL;
	}
	store_run(store, &jobs[0].unit);
	for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
		assert_int_equal(jobs[i].calls, 1);
		assert_int_equal(jobs[i].error, steps[i].error);
	}
	store_close(store);

	store = store_must_open(place->env, place->dir);
	assert_true(cursor_of(store, "a") == 1);
	assert_true(cursor_of(store, "b") == 0);
	assert_true(cursor_of(store, "c") == 3);
	assert_int_equal(parts_of(store), 2);
	store_close(store);
}

static void
unit_whose_statement_fails_is_undone_alone(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct step steps[] = {{"a", 1, 0}, {"b", 1, 0} /* the part is there */, {"c", 2, 0}};
	struct job jobs[ARRAY_COUNT(steps)];

	for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
		jobs[i] = job_make(write_then_return, &steps[i]);
		jobs[i].unit.next = i + 1 < ARRAY_COUNT(steps) ? &jobs[i + 1].unit : NULL;
	}
	store_run(store, &jobs[0].unit);
	assert_int_equal(jobs[0].error, 0);
	assert_int_equal(jobs[1].error, -EEXIST);
	assert_int_equal(jobs[2].error, 0);
	assert_true(cursor_of(store, "b") == 0);
	assert_int_equal(parts_of(store), 2);
	store_close(store);
}

/* done() owns its unit: it may free it, and the list must not be read through it after. */
static void
free_unit(struct store_unit *unit, int error)
{
	struct job *job = CONTAINER_OF(unit, struct job, unit);

	assert_int_equal(error, 0);
	++*(unsigned *)job->ctx;
	free(job);
}

static int
write_nothing(struct store_tx *tx, void *ctx)
{
	(void)tx;
	(void)ctx;
	return 0;
}

static void
done_may_free_its_unit(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct store_unit *head = NULL;
	unsigned count = 0;

	store_run(store, NULL);
	for (int i = 0; i < 3; i++) {
		struct job *job = malloc(sizeof(*job));

		assert_non_null(job);
		*job = job_make(write_nothing, &count);
		job->unit.done = free_unit;
		job->unit.next = head;
		head = &job->unit;
	}
	store_run(store, head);
	assert_int_equal(count, 3);
	store_close(store);
}

/* Larger than the cache: SQLite spills into the WAL before the commit. */
static int
write_large_then_fail(struct store_tx *tx, void *ctx)
{
	char value[4000];
	char name[32];

	memset(value, 'v', sizeof(value));
	for (int i = 0; i < 500; i++) {
		int error;

		snprintf(name, sizeof(name), "large-%d", i);
		error = store_meta_put(tx, name, value, sizeof(value));
		if (error)
			return error;
	}
	return *(int *)ctx;
}

static void
unit_larger_than_the_cache_is_undone_too(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	int error = -ECANCELED, good = 0;
	char value[4000];
	size_t len;

	assert_int_equal(run_one(store, write_large_then_fail, &error), -ECANCELED);
	assert_int_equal(store_meta_get(store, "large-0", value, sizeof(value), &len), -ENOENT);
	assert_int_equal(store_meta_get(store, "large-499", value, sizeof(value), &len), -ENOENT);
	assert_int_equal(run_one(store, write_large_then_fail, &good), 0);
	assert_int_equal(store_meta_get(store, "large-499", value, sizeof(value), &len), 0);
	store_close(store);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
	const struct CMUnitTest tests[] = {
		TEST(failing_unit_is_undone_alone),
		TEST(unit_whose_statement_fails_is_undone_alone),
		TEST(done_may_free_its_unit),
		TEST(unit_larger_than_the_cache_is_undone_too),
	};

	return cmocka_run_group_tests_name("store_units", tests, NULL, NULL);
}

/*
 * test_alloc.c: memory that runs out: each allocation of a piece of work fails once.
 *
 * Linked with --wrap for the allocating functions, so that the n-th call from Weir's own code
 * fails, the simulated disk's included.
 */
#include "journal_test.h"

#include "check.h"
#include "sim.h"

#define DIR_PATH "journal"
#define POSITIONS_MAX 500

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
char *__real_strdup(const char *string);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
char *__wrap_strdup(const char *string);

/* Allocations until the one that fails; negative: none does. The functions above have no place
 * for a context. */
static long alloc_left = -1;

static bool
alloc_fails(void)
{
	return alloc_left >= 0 && alloc_left-- == 0;
}

void *
__wrap_malloc(size_t bytes)
{
	return alloc_fails() ? NULL : __real_malloc(bytes);
}

void *
__wrap_calloc(size_t count, size_t bytes)
{
	return alloc_fails() ? NULL : __real_calloc(count, bytes);
}

void *
__wrap_realloc(void *ptr, size_t bytes)
{
	return alloc_fails() ? NULL : __real_realloc(ptr, bytes);
}

void *
__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
	return alloc_fails() ? NULL : __real_aligned_alloc(alignment, bytes);
}

char *
__wrap_strdup(const char *string)
{
	return alloc_fails() ? NULL : __real_strdup(string);
}

/* The work: open, commit into two segments, prepare, read, seal, read. 0, or the first error. */
struct work {
	struct env *env;
	struct journal_options options;
	struct journal *journal;
	struct test_model model;
	struct journal_record *records[6];
	int error;
};

static void
work_note(struct work *work, int r)
{
	if (r < 0 && work->error == 0)
		work->error = r;
}

static void
work_read(struct work *work)
{
	struct journal_reader *reader = NULL;
	struct journal_record record;
	struct journal_damage damage;
	int r = journal_reader_open(work->journal, 0, &reader), errors = 0;
	work_note(work, r);
	test_model_unsee(&work->model);
	while (r == 0) {
		int got = journal_reader_next(reader, &record, &damage);
		if (got == 0)
			break;
		if (got == 1)
			test_model_find(&work->model, record.seq)->seen = true;
		else
			errors++;
		if (got < 0)
			work_note(work, got);
		assert_true(got == 1 || got == -ENOMEM || got == -EIO);
		assert_true(errors < 2);
	}
	journal_reader_close(reader);
	if (r == 0) /* a call that failed was repeated */
		test_all_seen(&work->model, 0);
}

static void
work_run(struct work *work)
{
	int r = journal_open(work->env, &work->options, NULL, NULL, &work->journal);
	work_note(work, r);
	if (r < 0)
		return;
	for (size_t i = 0; i < ARRAY_COUNT(work->records); i++) {
		r = journal_commit(work->journal, &work->records[i], 1);
		work_note(work, r);
		struct test_expect *expect = test_model_find(&work->model, work->records[i]->seq);
		if (r == 0)
			expect->fate = TEST_ACKED;
		if (i == 1)
			work_note(work, journal_prepare(work->journal));
	}
	work_read(work);
	work_note(work, test_seal(work->journal));
	work_read(work);
}

static void
work_begin(struct work *work)
{
	*work = (struct work){.env = sim_create(3)};
	assert_non_null(work->env);
	work->options = (struct journal_options){.dir = DIR_PATH, .segment_bytes = 1 << 20};
	uint64_t seq = 1;
	for (size_t i = 0; i < ARRAY_COUNT(work->records); i++) {
		work->records[i] = test_record(seq, 300000);
		test_model_add(&work->model, seq, 300000, TEST_FAILED);
		seq += work->records[i]->count;
	}
}

static void
work_end(struct work *work)
{
	for (size_t i = 0; i < ARRAY_COUNT(work->records); i++)
		journal_record_unref(work->records[i]);
	journal_close(work->journal);
	test_model_finish(&work->model);
	env_destroy(work->env);
}

static void
each_allocation_may_fail_once(void **state)
{
	(void)state;
	bool failed = true;
	long position = 0;
	for (; failed; position++) {
		struct work work;
		assert_true(position < POSITIONS_MAX);
		work_begin(&work);
		alloc_left = position;
		work_run(&work);
		failed = alloc_left < 0;
		alloc_left = -1;
		/* Nothing that was acknowledged is lost, and what failed works now. */
		journal_close(work.journal);
		work.journal = test_open(work.env, &work.options, NULL);
		struct test_pass pass = test_read_all(work.journal, &work.model, 0);
		assert_int_equal(pass.error + (int)pass.damages, 0);
		test_all_seen(&work.model, 0);
		work_end(&work);
	}
	print_message("%ld allocations\n", position - 1);
	assert_true(position > 20);
}

static void
record_that_cannot_be_made_leaves_the_body_with_the_caller(void **state)
{
	(void)state;
	for (int malloced = 0; malloced < 2; malloced++) {
		for (long position = 0; position < 2 - malloced; position++) {
			char *body = malloc(10);
			assert_non_null(body);
			memset(body, 'x', 10);
			struct journal_record *record = NULL, like = {
				.seq = 1, .count = 1, .body = span_of(body, 10),
			};
			alloc_left = position;
			int r = journal_record_create(&like, malloced, &record);
			alloc_left = -1;
			assert_int_equal(r, -ENOMEM);
			assert_null(record);
			free(body);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_may_fail_once),
		cmocka_unit_test(record_that_cannot_be_made_leaves_the_body_with_the_caller),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_judge_alloc.c: memory that runs out while a body is judged, replayed, or read as raw
 * messages: each allocation fails once. Nothing leaks, nothing is counted, and the judge can go on.
 *
 * Linked with --wrap for the allocating functions.
 */
#include "judging_cases.h"

#include <errno.h>

#include "raw.h"

#define POSITIONS_MAX 300

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);

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

/* Judges `text` on a new judge while the n-th allocation fails; whether it was so many. */
static bool
judge_failing(enum journal_format format, struct span text, long n)
{
	struct judge *judge = NULL;
	struct judge_result result;
	char reason[160];
	char *bytes = malloc(text.len);
	check(bytes);
	memcpy(bytes, text.ptr, text.len);
	struct judge_body body = {
		.format = format,
		.tenant = SPAN("main"),
		.arrival_ms = JUDGING_ARRIVAL_MS,
		.bytes = bytes,
		.len = text.len,
	};
	judge_result_init(&result);
	alloc_left = n;
	int error = judge_create(JUDGING_PARTITIONS, &judge);
	if (!error)
		error = judge_run(judge, &body, &result, reason, sizeof reason);
	bool failed = alloc_left < 0;
	alloc_left = -1;
	if (error) {
		assert_int_equal(error, -ENOMEM);
		assert_null(result.batch);
		assert_int_equal(result.items + result.accepted + result.rejected, 0);
		assert_int_equal(result.reject_count + result.detail_count, 0);
	}
	if (error && judge) { /* it goes on */
		memcpy(bytes, text.ptr, text.len);
		error = judge_run(judge, &body, &result, reason, sizeof reason);
		assert_int_equal(error, 0);
		assert_true(result.accepted > 0);
	}
	judge_result_finish(&result);
	judge_destroy(judge);
	free(bytes);
	return failed;
}

static bool
read_failing(struct judging *judging, long n)
{
	struct journal_record record = judging_record(judging);
	struct series_batch *batch = NULL;
	struct judge *judge = NULL;
	struct buf scratch, out;
	buf_init(&scratch, 0);
	buf_init(&out, 0);
	alloc_left = n;
	int error = judge_create(JUDGING_PARTITIONS, &judge);
	if (!error)
		error = judge_replay(judge, &record, &batch);
	int count = error ? 0 : raw_write(&record, span_of(NULL, 0), NULL, &scratch, &out);
	bool failed = alloc_left < 0;
	alloc_left = -1;
	assert_true(error == 0 || error == -ENOMEM);
	/* What is only kept for later may be missing: the cache of lines. */
	bool told = error || count == -ENOMEM;
	assert_true(failed == told || (failed && record.format == JOURNAL_FORMAT_LINE));
	series_batch_destroy(batch);
	judge_destroy(judge);
	buf_finish(&scratch);
	buf_finish(&out);
	return failed;
}

static void
fail_each(enum journal_format format, const char *text)
{
	struct judging judging;
	long n = 0;
	while (judge_failing(format, span_str(text), n))
		assert_true(++n < POSITIONS_MAX);
	assert_true(n > 4);
	judging_init(&judging);
	judging_run(&judging, format, LP_NS, span_str(text));
	assert_int_equal(judging.error, 0);
	for (n = 0; read_failing(&judging, n); n++)
		assert_true(n < POSITIONS_MAX);
	assert_true(n > 4);
	judging_finish(&judging);
}

static void
each_allocation_fails_once(void **state)
{
	(void)state;
	fail_each(JOURNAL_FORMAT_JSON,
	    "[{\"readings\":[{\"\\u0061\":1,\"time\":5,\"auth\":7},{\"b\":null}],"
	    "\"device\":{\"id\":1,\"auth\":\"SECRET\"}},5,"
	    "{\"device\":{\"id\":\"x\"},\"reading\":{\"c\":1,\"d\":2}}]");
	fail_each(JOURNAL_FORMAT_NDJSON,
	    "{\"device\":{\"id\":1,\"auth\":\"SECRET\"},\"reading\":{\"a\":1}}\nbad\n{}\n"
	    "{\"device\":{\"id\":2},\"readings\":[{\"a\":1},{\"b\":2},{}]}\n");
	fail_each(JOURNAL_FORMAT_LINE, "w\\ x,device=1 a=1,b=2i,s=\"t\" 5\nbad\nv c=t\n"
	    "w,device=1 a=1,b=2 5\nw,device=1 a=3,b=4 6\nw,device=1 a=3,b=4,c=5 7\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_fails_once),
	};
	return cmocka_run_group_tests_name("flow_judge_alloc", tests, NULL, NULL);
}

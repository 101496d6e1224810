/*
 * test_bench.c: the load of `weir bench`: every reading it claims is another one; statistics; what
 * /proc says of ourselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "bench.h"
#include "scripted_server.h"

#define OK_LINE "HTTP/1.1 204 No Content\r\n\r\n"

static void
bench_begin(struct bench *b)
{
	*b = (struct bench){.env = env_create(), .stop_fd = -1};
	strcpy(b->home, "/tmp/weir-test-XXXXXX");
	assert_non_null(mkdtemp(b->home));
}

static void
bench_end(struct bench *b)
{
	struct stat st;
	bench_remove(b->env, b->home);
	assert_int_equal(stat(b->home, &st), -1);
	env_destroy(b->env);
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* device and time of each reading that was heard, as one number; how many there are. */
static size_t
pairs_heard(const struct scripted_server *server, bool json, uint64_t *pairs, size_t most)
{
	const char *device_mark = json ? "\"id\":" : ",device=";
	const char *time_mark = json ? "\"time\":" : " 1";
	uint64_t device = 0;
	size_t count = 0;
	char *text = strndup(server->heard.ptr, server->heard.len);
	for (char *at = text; *at; at++) {
		if (strncmp(at, device_mark, strlen(device_mark)) == 0)
			device = strtoull(at + strlen(device_mark), NULL, 10);
		if (strncmp(at, time_mark, strlen(time_mark)) != 0 || device == 0)
			continue;
		const char *digits = at + strlen(time_mark) - !json;
		uint64_t time = strtoull(digits, NULL, 10);
		if (time < UINT64_C(1000000000000))
			continue;
		assert_true(count < most);
		pairs[count++] = device << 44 | time;
	}
	free(text);
	return count;
}

static void
load_once(bool json, uint64_t readings, uint64_t series, uint64_t batch)
{
	static const struct scripted_step lines[] = {{.answer = OK_LINE, .forever = true}};
	static const struct scripted_step items[] = {{.accept = true, .forever = true}};
	struct scripted_server server;
	struct bench b;
	bench_begin(&b);
	scripted_start(&server, json ? items : lines, 1);
	struct bench_load load = {.address = server.address,
	    .authorization = "Bearer k",
	    .json = json,
	    .readings = readings,
	    .series = series,
	    .batch = batch,
	    .connections = 1};
	struct bench_load_result got;
	assert_int_equal(bench_load_run(&b, &load, &got), 0);
	assert_true(got.readings >= readings && got.readings < readings + batch + series);
	assert_true(got.p50_ms > 0 && got.p50_ms <= got.p99_ms);
	uint64_t *pairs = calloc(got.readings, sizeof(*pairs));
	assert_int_equal(pairs_heard(&server, json, pairs, got.readings), got.readings);
	qsort(pairs, got.readings, sizeof(*pairs), compare);
	for (size_t i = 0; i < got.readings; i++) {
		uint64_t time = pairs[i] & ((UINT64_C(1) << 44) - 1);
		assert_true(i == 0 || pairs[i] != pairs[i - 1]);
		assert_true((int64_t)time >= got.base_ms && (int64_t)time < got.end_ms);
	}
	free(pairs);
	scripted_finish(&server);
	bench_end(&b);
}

static void
no_reading_of_a_load_comes_twice(void **state)
{
	(void)state;
	load_once(false, 1000, 10, 100);
	load_once(false, 1000, 10, 33);
	load_once(false, 1000, 100, 7);
	load_once(true, 1000, 10, 100);
	load_once(true, 1000, 100, 30);
	load_once(true, 1, 1, 1);
}

static void
a_load_that_is_refused_says_so(void **state)
{
	(void)state;
	static const struct scripted_step steps[] = {
	    {.answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nwho"}};
	struct scripted_server server;
	struct bench b;
	bench_begin(&b);
	scripted_start(&server, steps, 1);
	struct bench_load load = {
	    .address = server.address, .readings = 10, .series = 1, .batch = 1, .connections = 1};
	struct bench_load_result got;
	assert_int_equal(bench_load_run(&b, &load, &got), -EPROTO);
	assert_non_null(strstr(b.reason, "answered 401: who"));
	scripted_finish(&server);
	bench_end(&b);
}

static void
the_bare_server_takes_the_same_load(void **state)
{
	(void)state;
	struct bench b;
	bench_begin(&b);
	struct bench_load load = {.readings = 5000, .series = 30, .batch = 500, .connections = 3};
	struct bench_load_result got;
	assert_int_equal(bench_limit_bare(&b, &load, &got), 0);
	assert_true(got.readings >= 5000);
	bench_end(&b);
}

static void
quantiles_of_sorted_values(void **state)
{
	(void)state;
	double values[] = {5, 1, 4, 2, 3};
	bench_sort(values, 5);
	assert_true(bench_quantile(values, 5, 0) == 1);
	assert_true(bench_quantile(values, 5, 0.5) == 3);
	assert_true(bench_quantile(values, 5, 0.99) == 5);
	assert_true(bench_quantile(values, 5, 1) == 5);
}

static void
proc_tells_of_this_process(void **state)
{
	(void)state;
	struct bench b;
	double p50, p99, seconds;
	bench_begin(&b);
	assert_true(bench_memory_kb(getpid(), "Pss") > 100);
	assert_true(bench_memory_kb(getpid(), "Rss") >= bench_memory_kb(getpid(), "Pss"));
	assert_true(bench_memory_kb(getpid(), "Nothing") == 0);
	while (bench_cpu_seconds(getpid()) == 0)
		assert_int_equal(bench_limit_scan(&b, 100000, &seconds), 0);
	assert_int_equal(bench_limit_wake(&b, 20, 1, &p50, &p99), 0);
	assert_true(p50 > 0 && p50 <= p99);
	bench_end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_reading_of_a_load_comes_twice),
	    cmocka_unit_test(a_load_that_is_refused_says_so),
	    cmocka_unit_test(the_bare_server_takes_the_same_load),
	    cmocka_unit_test(quantiles_of_sorted_values),
	    cmocka_unit_test(proc_tells_of_this_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

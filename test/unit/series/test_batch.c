/* Canonical keys and batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "batch.h"
#include "check.h"

static void
key_is_the_same_for_tags_in_any_order(void **state)
{
	(void)state;
	struct series_tag a[] = {{SPAN("host"), SPAN("h1")}, {SPAN("dc"), SPAN("x")}};
	struct series_tag b[] = {{SPAN("dc"), SPAN("x")}, {SPAN("host"), SPAN("h1")}};
	char key_a[256], key_b[256];
	int len_a = series_key_build(key_a, sizeof(key_a), SPAN("main"), SPAN("cpu.load"), a, 2);
	int len_b = series_key_build(key_b, sizeof(key_b), SPAN("main"), SPAN("cpu.load"), b, 2);
	assert_true(len_a > 0);
	assert_int_equal(len_a, len_b);
	assert_memory_equal(key_a, key_b, (size_t)len_a);
}

static void
key_splits_into_what_it_was_built_of(void **state)
{
	(void)state;
	struct series_tag tags[] = {{SPAN("b"), SPAN("")}, {SPAN("a"), SPAN("1")}};
	char key[256];
	int len = series_key_build(key, sizeof(key), SPAN("main"), SPAN("temp"), tags, 2);
	struct span tenant, metric;
	struct series_tag back[SERIES_TAGS_MAX];
	size_t count = SERIES_TAGS_MAX;
	assert_true(series_key_split(span_of(key, (size_t)len), &tenant, &metric, back, &count));
	assert_int_equal(count, 2);
	assert_true(span_eq(tenant, SPAN("main")) && span_eq(metric, SPAN("temp")));
	assert_true(span_eq(back[0].name, SPAN("a")) && span_eq(back[0].value, SPAN("1")));
	assert_true(span_eq(back[1].name, SPAN("b")) && span_eq(back[1].value, SPAN("")));
	for (int cut = 1; cut < len; cut++) {
		count = SERIES_TAGS_MAX;
		bool whole = series_key_split(span_of(key, (size_t)cut), &tenant, &metric, back,
		    &count);
		assert_true(!whole || count < 2); /* a cut between two tags is a key again */
	}
	count = 1;
	assert_false(series_key_split(span_of(key, (size_t)len), &tenant, &metric, back, &count));
}

static void
key_refuses_what_cannot_be_one(void **state)
{
	(void)state;
	struct series_tag twice[] = {{SPAN("a"), SPAN("1")}, {SPAN("a"), SPAN("2")}};
	struct series_tag unnamed[] = {{SPAN(""), SPAN("1")}};
	struct series_tag many[SERIES_TAGS_MAX + 1];
	char names[SERIES_TAGS_MAX + 1][8], key[4096];
	for (size_t i = 0; i < ARRAY_COUNT(many); i++) {
		snprintf(names[i], sizeof(names[i]), "t%03u", (unsigned)(ARRAY_COUNT(many) - i));
		many[i] = (struct series_tag){span_str(names[i]), SPAN("v")};
	}
	struct span tenant = SPAN("main"), metric = SPAN("m");
	assert_int_equal(series_key_build(key, sizeof(key), tenant, metric, twice, 2), -EINVAL);
	assert_int_equal(series_key_build(key, sizeof(key), tenant, metric, unnamed, 1), -EINVAL);
	assert_int_equal(series_key_build(key, sizeof(key), tenant, SPAN(""), NULL, 0), -EINVAL);
	assert_int_equal(series_key_build(key, sizeof(key), tenant, metric, many,
	    SERIES_TAGS_MAX + 1), -E2BIG);
	assert_true(series_key_build(key, sizeof(key), tenant, metric, many, SERIES_TAGS_MAX) > 0);
	for (size_t room = 0; room < 9; room++)
		assert_int_equal(series_key_build(key, room, tenant, metric, NULL, 0), -E2BIG);
	assert_int_equal(series_key_build(key, 9, tenant, metric, NULL, 0), 9);
}

/* A changed partition would be looked for in another file: these figures never change. */
static void
partition_of_a_device_is_stable(void **state)
{
	(void)state;
	uint32_t seen = 0;
	for (unsigned i = 0; i < 64; i++) {
		char device[16];
		int len = snprintf(device, sizeof(device), "%u", i);
		uint32_t p = series_partition_of(SPAN("main"), span_of(device, (size_t)len), 8);
		assert_true(p < 8);
		seen |= 1u << p;
	}
	assert_int_equal(seen, 255);
	assert_int_equal(series_partition_of(SPAN("main"), SPAN("123"), 1000), 383);
}

static void
batch_groups_points_by_partition_in_order(void **state)
{
	(void)state;
	struct series_batch *batch;
	assert_int_equal(series_batch_create(4, &batch), 0);
	for (unsigned i = 0; i < 1000; i++) {
		char key[16];
		int len = snprintf(key, sizeof(key), "key%u", i / 10);
		struct span k = span_of(key, (size_t)len);
		assert_int_equal(series_batch_add(batch, i / 10 % 4, series_key_hash(k), k, i,
		    i * 0.5), 0);
	}
	assert_int_equal(series_batch_count(batch), 1000);
	for (uint32_t p = 0; p < 4; p++) {
		size_t count;
		const struct series_point *points = series_batch_points(batch, p, &count);
		assert_int_equal(count, 250);
		for (size_t i = 0; i < count; i++) {
			char key[16];
			int64_t n = (int64_t)(i / 10 * 40 + p * 10 + i % 10);
			snprintf(key, sizeof(key), "key%d", (int)(n / 10));
			assert_int_equal(points[i].time_ms, n);
			assert_true(points[i].value == (double)n * 0.5);
			assert_true(span_eq(series_batch_key(batch, &points[i]), span_str(key)));
			assert_int_equal(points[i].slot, i / 10);
		}
		const uint32_t *series = series_batch_series(batch, p, &count);
		assert_int_equal(count, 25);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(series[i], points[i * 10].series);
	}
	series_batch_destroy(batch);
	series_batch_destroy(NULL);
}

static void
batch_takes_points_of_series_in_any_order(void **state)
{
	(void)state;
	struct series_batch *batch;
	uint32_t a, b;
	size_t count;
	assert_int_equal(series_batch_create(2, &batch), 0);
	assert_int_equal(series_batch_add_series(batch, 1, 11, SPAN("a"), &a), 0);
	assert_int_equal(series_batch_add_series(batch, 1, 22, SPAN("b"), &b), 0);
	assert_int_equal(series_batch_add_point(batch, b, 1, 10), 0);
	assert_int_equal(series_batch_add_point(batch, a, 2, 20), 0);
	assert_int_equal(series_batch_add_point(batch, b, 3, 30), 0);
	/* The same key and hash in another partition is another series. */
	assert_int_equal(series_batch_add(batch, 0, 22, SPAN("b"), 4, 40), 0);
	const struct series_point *points = series_batch_points(batch, 1, &count);
	assert_int_equal(count, 3);
	assert_true(span_eq(series_batch_key(batch, &points[0]), SPAN("b")));
	assert_true(span_eq(series_batch_key(batch, &points[1]), SPAN("a")));
	assert_int_equal(series_batch_series_hash(batch, points[1].series), 11);
	assert_int_equal(points[0].slot, 1);
	assert_int_equal(points[2].slot, 1);
	assert_int_equal(points[2].time_ms, 3);
	points = series_batch_points(batch, 0, &count);
	assert_int_equal(count, 1);
	assert_true(points[0].series != b && points[0].slot == 0);
	series_batch_destroy(batch);
}

static void
batch_refuses_times_that_no_file_can_hold(void **state)
{
	(void)state;
	struct series_batch *batch;
	assert_int_equal(series_batch_create(1, &batch), 0);
	struct span k = SPAN("k");
	assert_int_equal(series_batch_add(batch, 0, 1, k, INT64_MAX, 1), -ERANGE);
	assert_int_equal(series_batch_add(batch, 0, 1, k, INT64_MIN, 1), -ERANGE);
	assert_int_equal(series_batch_add(batch, 0, 1, k, SERIES_TIME_MS_MAX, 1), 0);
	assert_int_equal(series_batch_count(batch), 1);
	series_batch_destroy(batch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_is_the_same_for_tags_in_any_order),
		cmocka_unit_test(key_splits_into_what_it_was_built_of),
		cmocka_unit_test(key_refuses_what_cannot_be_one),
		cmocka_unit_test(partition_of_a_device_is_stable),
		cmocka_unit_test(batch_groups_points_by_partition_in_order),
		cmocka_unit_test(batch_takes_points_of_series_in_any_order),
		cmocka_unit_test(batch_refuses_times_that_no_file_can_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

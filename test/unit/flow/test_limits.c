/* Times that are too far off, points that are not kept, and more series than may be. */
#include "judging_cases.h"

#include "census.h"

static int
setup(void **state)
{
	struct judging *judging = calloc(1, sizeof *judging);
	check(judging);
	judging_init(judging);
	*state = judging;
	return 0;
}

static int
teardown(void **state)
{
	judging_finish(*state);
	free(*state);
	return 0;
}

/* An hour ahead, a day back, kept for ten hours. */
static void
set_times(struct judging *judging)
{
	struct judge_limits limits = {
		.future_ms = 3600000, .past_ms = 86400000, .kept_ms = 36000000};
	judge_set_limits(judging->judge, &limits);
}

static void
lines_with_times_too_far_off_are_rejected(void **state)
{
	static const struct judging_case cases[] = {
		{"the last that may be", "w a=1 1700003600000", "w.a 1700003600000 1\n", "", NULL},
		{"a millisecond more", "w a=1 1700003600001", "", "0 -1 out_of_time\n", NULL},
		{"the oldest kept", "w a=1 1699964000000", "w.a 1699964000000 1\n", "", NULL},
		{"a millisecond older", "w a=1 1699963999999", "", "0 -1 too_old\n", NULL},
		{"ancient", "w a=1 1699913599999", "", "0 -1 out_of_time\n", NULL},
		{"others go on", "w a=1 1\nw a=2 1700000000000\nw a=3",
		    "w.a 1700000000000 2\nw.a 1700000000000 3\n", "0 -1 out_of_time\n", NULL},
	};
	set_times(*state);
	judging_check_cases(*state, JOURNAL_FORMAT_LINE, LP_MS, cases, ARRAY_COUNT(cases));
}

static void
readings_with_times_too_far_off_are_rejected(void **state)
{
	static const struct judging_case cases[] = {
		{"two of three",
		    "[{\"device\":{\"id\":1},\"readings\":[{\"time\":1700003600001,\"t\":1},"
		    "{\"time\":1699963999999,\"t\":2},{\"time\":1700000000000,\"t\":3}]}]",
		    "t{device=1} 1700000000000 3\n", "0 0 out_of_time\n0 1 too_old\n", NULL},
	};
	set_times(*state);
	judging_check_cases(*state, JOURNAL_FORMAT_JSON, LP_MS, cases, ARRAY_COUNT(cases));
}

static void
new_series_beyond_the_limit_are_rejected_and_old_ones_go_on(void **state)
{
	static const struct judging_case lines[] = {
		{"two", "w,device=1 a=1,b=2 1", "w.a{device=1} 1 1\nw.b{device=1} 1 2\n", "", NULL},
		{"a third, of three there are", "w,device=1 a=1,c=2 1\nw,device=1 a=7 2",
		    "w.a{device=1} 1 1\nw.c{device=1} 1 2\nw.a{device=1} 2 7\n", "", NULL},
		{"a fourth", "w,device=1 a=1 3\nw,device=1 a=1,d=2 3\nw,device=1 c=1 3",
		    "w.a{device=1} 3 1\nw.c{device=1} 3 1\n", "1 -1 too_many_series\n", NULL},
	};
	static const struct judging_case items[] = {
		{"one new, one old",
		    "[{\"device\":{\"id\":1},\"readings\":[{\"time\":5,\"t\":1}]},"
		    "{\"device\":{\"id\":1},\"readings\":[{\"time\":5,\"w.a\":1}]}]",
		    "w.a{device=1} 5 1\n", "0 -1 too_many_series\n", NULL},
	};
	struct judging *judging = *state;
	struct judge_limits limits = {.future_ms = 0};
	assert_int_equal(census_create(3, 0, &limits.census), 0);
	judge_set_limits(judging->judge, &limits);
	judging_check_cases(judging, JOURNAL_FORMAT_LINE, LP_MS, lines, ARRAY_COUNT(lines));
	judging_check_cases(judging, JOURNAL_FORMAT_JSON, LP_MS, items, ARRAY_COUNT(items));
	census_destroy(limits.census);
}

static void
each_tenant_has_its_own_limit_and_all_have_one(void **state)
{
	struct census *census;
	(void)state;
	assert_int_equal(census_create(1500, 1000, &census), 0);
	for (uint64_t i = 0; i < 1000; i++)
		assert_true(census_allows(census, SPAN("main"), i * 0x9e3779b97f4a7c15));
	assert_false(census_allows(census, SPAN("main"), 77));
	for (uint64_t i = 0; i < 1000; i++)
		assert_true(census_allows(census, SPAN("main"), i * 0x9e3779b97f4a7c15));
	for (uint64_t i = 2000; i < 2500; i++)
		assert_true(census_allows(census, SPAN("acme"), i * 0x9e3779b97f4a7c15));
	assert_false(census_allows(census, SPAN("acme"), 77));
	assert_true(census_allows(census, SPAN("acme"), 2000 * 0x9e3779b97f4a7c15));
	census_destroy(census);
}

static void
what_is_there_counts_but_is_never_refused(void **state)
{
	struct census *census;
	char key[64];
	(void)state;
	assert_int_equal(census_create(2, 0, &census), 0);
	for (unsigned i = 0; i < 5; i++) {
		char device[2] = {(char)('a' + i), 0};
		struct series_tag tag = {SPAN("device"), span_str(device)};
		int len = series_key_build(key, sizeof key, SPAN("main"), SPAN("t"), &tag, 1);
		struct span span = span_of(key, (size_t)len);
		assert_int_equal(census_add(census, span, series_key_hash(span)), 0);
		assert_true(census_allows(census, SPAN("main"), series_key_hash(span)));
	}
	assert_false(census_allows(census, SPAN("main"), 1));
	census_destroy(census);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(lines_with_times_too_far_off_are_rejected),
		CASE(readings_with_times_too_far_off_are_rejected),
		CASE(new_series_beyond_the_limit_are_rejected_and_old_ones_go_on),
		cmocka_unit_test(each_tenant_has_its_own_limit_and_all_have_one),
		cmocka_unit_test(what_is_there_counts_but_is_never_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Names and patterns of channels: what is one, what matches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "check.h"
#include "hub.h"

static void
names_are_checked(void **state)
{
	(void)state;
	static const struct { const char *name; int result; } cases[] = {
		{"a", 0}, {"blog/7", 0}, {"7/blog", 0}, {"1a", 0}, {"ü/ж", 0}, {" ", 0},
		{"", -EINVAL}, {"17", -EINVAL}, {"/a", -EINVAL}, {"a/", -EINVAL}, {"a//b", -EINVAL},
		{"a/+", -EINVAL}, {"#", -EINVAL}, {"a+b", -EINVAL}, {"\xff", -EINVAL},
		{"a\xc3", -EINVAL},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const char *reason = NULL;
		int result = hub_name_check(span_str(cases[i].name), &reason);
		assert_int_equal(result, cases[i].result);
		assert_true((reason == NULL) == (result == 0));
	}
}

static void
patterns_are_checked(void **state)
{
	(void)state;
	static const struct { const char *pattern; int result; } cases[] = {
		{"a/+", 0}, {"+", 0}, {"#", 0}, {"+/+/#", 0}, {"a/+/b", 0}, {"a", 0},
		{"a/#/b", -EINVAL}, {"a#", -EINVAL}, {"a/b+", -EINVAL}, {"++", -EINVAL},
		{"#/", -EINVAL}, {"12", 0}, {"", -EINVAL},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const char *reason;
		assert_int_equal(hub_pattern_check(span_str(cases[i].pattern), &reason),
		    cases[i].result);
	}
}

static void
length_is_bounded_and_nul_refused(void **state)
{
	(void)state;
	char name[256];
	memset(name, 'x', sizeof(name));
	const char *reason;
	assert_int_equal(hub_name_check(span_of(name, 255), &reason), 0);
	assert_int_equal(hub_name_check(span_of(name, 256), &reason), -EINVAL);
	assert_int_equal(hub_name_check(SPAN("a\0b"), &reason), -EINVAL);
}

static void
patterns_match_as_in_mqtt(void **state)
{
	(void)state;
	static const struct { const char *pattern, *name; bool match; } cases[] = {
		{"a/b", "a/b", true}, {"a/b", "a/c", false}, {"a", "a/b", false},
		{"a/b", "a", false},
		{"+", "a", true}, {"+", "a/b", false}, {"a/+", "a/b", true}, {"a/+", "a", false},
		{"a/+/c", "a/b/c", true}, {"a/+/c", "a/b/d", false}, {"#", "a/b/c", true},
		{"a/#", "a", true}, {"a/#", "a/b", true}, {"a/#", "a/b/c", true},
		{"a/#", "ab", false},
		{"+/b/#", "a/b", true}, {"+/b/#", "a/c", false},
		{"#", "$a", false}, {"+", "$a", false}, {"+/b", "$a/b", false},
		{"$a/#", "$a/b", true}, {"$a/+", "$a/b", true}, {"$a", "$a", true},
		{"a/+", "a/$b", true},
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		assert_int_equal(hub_pattern_matches(span_str(cases[i].pattern),
		    span_str(cases[i].name)), cases[i].match);
	assert_true(hub_pattern_is_name(SPAN("a/b")));
	assert_false(hub_pattern_is_name(SPAN("a/+")));
}

static void
levels_are_encoded(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 0);
	assert_int_equal(hub_level_encode(&out, SPAN("a/b+c#d%e\n\x7f\0ü")), 0);
	assert_true(span_eq(buf_span(&out), SPAN("a%2Fb%2Bc%23d%25e%0A%7F%00ü")));
	buf_clear(&out);
	assert_int_equal(hub_level_encode(&out, SPAN("")), 0);
	assert_true(span_eq(buf_span(&out), SPAN("-")));
	buf_finish(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(patterns_are_checked),
		cmocka_unit_test(length_is_bounded_and_nul_refused),
		cmocka_unit_test(patterns_match_as_in_mqtt),
		cmocka_unit_test(levels_are_encoded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

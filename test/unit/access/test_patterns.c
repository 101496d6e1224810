/*
 * test_patterns.c: which channel patterns lie inside others, and the words of rights.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "access.h"
#include "access_priv.h"
#include "check.h"

static void
containment_by_table(void **state)
{
	static const struct {
		const char *outer, *inner;
		bool contains;
	} cases[] = {
		{"a", "a", true}, {"a", "b", false}, {"a", "A", false}, {"a", "ab", false},
		{"ab", "a", false}, {"a/b", "a", false}, {"a", "a/b", false},
		{"+", "a", true}, {"+", "+", true}, {"a", "+", false}, {"+", "a/b", false},
		{"+/b", "a/b", true}, {"+/b", "a/c", false}, {"a/+", "a/b", true},
		{"a/+", "a", false}, {"a/+", "a/b/c", false}, {"a/+", "+/b", false},
		{"+/+", "a/+", true}, {"+/+", "+/b", true}, {"a/+", "a/#", false},
		{"#", "a", true}, {"#", "a/b/c", true}, {"#", "#", true}, {"#", "+", true},
		{"#", "+/#", true}, {"a", "#", false}, {"+", "#", false}, {"a/#", "#", false},
		{"a/#", "a", true}, {"a/#", "a/b", true}, {"a/#", "a/b/c", true},
		{"a/#", "a/#", true}, {"a/#", "a/+/#", true}, {"a/#", "ab", false},
		{"a/#", "b", false}, {"a/#", "+", false}, {"a/#", "+/#", false},
		{"a/b/#", "a/#", false}, {"a/+/#", "a/#", false}, {"a/+/#", "a", false},
		{"a/+/#", "a/b/#", true}, {"+/#", "#", true}, {"+/#", "a", true},
		{"+/+/#", "#", false}, {"+/+/#", "a", false}, {"+/b/#", "a/b/c", true},
		{"tür/#", "tür/öffner", true}, {"tür/#", "tur/x", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		if (access_pattern_contains(span_str(cases[i].outer), span_str(cases[i].inner)) !=
		    cases[i].contains)
			fail_msg("%s and %s", cases[i].outer, cases[i].inner);
	}
}

/* ── every pattern of up to three levels, against every name of up to four ── */

enum { LEVELS_MAX = 4 };

struct text {
	char bytes[2 * LEVELS_MAX + 1];
};

/* The `index`th sequence of up to `levels_max` of the levels; false when there is none. */
static bool
text_make(unsigned index, const char *levels, unsigned levels_max, struct text *ret_text)
{
	unsigned kinds = (unsigned)strlen(levels), count = kinds;

	for (unsigned depth = 1; depth <= levels_max; depth++, count *= kinds) {
		if (index >= count) {
			index -= count;
			continue;
		}
		for (unsigned i = 0; i < depth; i++, index /= kinds) {
			ret_text->bytes[2 * i] = levels[index % kinds];
			ret_text->bytes[2 * i + 1] = i + 1 < depth ? '/' : '\0';
		}
		return true;
	}
	return false;
}

/* MQTT's matching, written anew: levels are single characters at even places. */
static bool
matches(const char *pattern, const char *name)
{
	for (;; pattern += 2, name += 2) {
		if (*pattern == '#')
			return true;
		if (*pattern != '+' && *pattern != *name)
			return false;
		if (name[1] == '\0')
			return pattern[1] == '\0' || strcmp(pattern + 1, "/#") == 0;
		if (pattern[1] == '\0')
			return false;
	}
}

static bool
matches_all_of(const char *outer, const char *inner)
{
	struct text name;

	for (unsigned i = 0; text_make(i, "abz", LEVELS_MAX, &name); i++) {
		if (matches(inner, name.bytes) && !matches(outer, name.bytes))
			return false;
	}
	return true;
}

static void
containment_is_that_of_the_names_matched(void **state)
{
	struct text outer, inner;
	unsigned yes = 0, no = 0;

	(void)state;
	for (unsigned i = 0; text_make(i, "ab+#", 3, &outer); i++) {
		if (!access_pattern_valid(span_str(outer.bytes)))
			continue;
		for (unsigned k = 0; text_make(k, "ab+#", 3, &inner); k++) {
			bool contains;

			if (!access_pattern_valid(span_str(inner.bytes)))
				continue;
			contains = access_pattern_contains(span_str(outer.bytes),
			    span_str(inner.bytes));
			if (contains != matches_all_of(outer.bytes, inner.bytes))
				fail_msg("%s and %s", outer.bytes, inner.bytes);
			contains ? yes++ : no++;
		}
	}
	assert_true(yes > 100 && no > 100);
}

static void
malformed_patterns_are_none(void **state)
{
	static const struct span bad[] = {
		{"", 0}, {"/", 1}, {"/a", 2}, {"a/", 2}, {"a//b", 4}, {"a+", 2}, {"+a", 2},
		{"a#", 2}, {"#/a", 3}, {"a/#/b", 5}, {"##", 2}, {"a/b#", 4}, {"++", 2},
		{"\xff", 1}, {"a/\xc3", 3},
	};
	char longest[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		if (access_pattern_valid(bad[i]))
			fail_msg("%.*s", SPAN_ARG(bad[i]));
	}
	memset(longest, 'n', sizeof(longest));
	assert_true(access_pattern_valid(span_of(longest, 255)));
	assert_false(access_pattern_valid(span_of(longest, 256)));
}

static void
malformed_names_are_refused_where_patterns_limit(void **state)
{
	struct access_principal principal = {.pattern_count = 1, .patterns = "\001#"};

	(void)state;
	assert_true(access_may_channel(&principal, SPAN("a/b")));
	assert_true(access_may_channel(&principal, SPAN("+/b/#")));
	assert_false(access_may_channel(&principal, SPAN("a/b#")));
	assert_false(access_may_channel(&principal, SPAN("a//b")));
	assert_false(access_may_channel(&principal, SPAN("")));
}

static void
any_of_the_patterns_allows(void **state)
{
	struct access_principal principal = {
	    .pattern_count = 2, .patterns = "\010alerts/#" "\004chat"};

	(void)state;
	assert_true(access_may_channel(&principal, SPAN("chat")));
	assert_true(access_may_channel(&principal, SPAN("alerts/ward/+")));
	assert_false(access_may_channel(&principal, SPAN("readings/a/b")));
	assert_false(access_may_channel(&principal, SPAN("#")));
	principal.pattern_count = 0;
	assert_true(access_may_channel(&principal, SPAN("#")));
}

static void
rights_are_words_in_any_order(void **state)
{
	uint32_t rights = 0;
	struct span bad;

	(void)state;
	assert_int_equal(access_rights_parse(SPAN("read"), &rights, &bad), 0);
	assert_int_equal(rights, ACCESS_READ);
	assert_int_equal(access_rights_parse(SPAN("subscribe,read , write,publish,read"), &rights,
	    &bad), 0);
	assert_int_equal(rights,
	    ACCESS_READ | ACCESS_WRITE | ACCESS_PUBLISH | ACCESS_SUBSCRIBE);
}

static void
other_words_are_no_rights(void **state)
{
	static const struct {
		const char *text, *bad;
	} cases[] = {
		{"", ""}, {"read,", ""}, {",read", ""}, {"read,admin", "admin"}, {"Read", "Read"},
		{"read;write", "read;write"}, {"read write", "read write"}, {"re", "re"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		uint32_t rights = 99;
		struct span bad = SPAN("untouched");

		assert_int_equal(access_rights_parse(span_str(cases[i].text), &rights, &bad),
		    -EINVAL);
		assert_true(span_eq(bad, span_str(cases[i].bad)));
		assert_int_equal(rights, 99);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containment_by_table),
		cmocka_unit_test(containment_is_that_of_the_names_matched),
		cmocka_unit_test(malformed_patterns_are_none),
		cmocka_unit_test(malformed_names_are_refused_where_patterns_limit),
		cmocka_unit_test(any_of_the_patterns_allows),
		cmocka_unit_test(rights_are_words_in_any_order),
		cmocka_unit_test(other_words_are_no_rights),
	};

	return cmocka_run_group_tests_name("access_patterns", tests, NULL, NULL);
}

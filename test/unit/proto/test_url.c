/* Percent-decoding and the pairs of a query. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "guard.h"
#include "http1.h"

static void
escapes_are_undone(void **state)
{
	static const struct {
		const char *in;
		bool form;
		const char *out; /* NULL: refused */
	} cases[] = {
	    {"", false, ""}, {"abc", false, "abc"}, {"%41%62", false, "Ab"}, {"a+b", false, "a+b"},
	    {"a+b", true, "a b"}, {"%2b%2F", true, "+/"}, {"%C3%a9", false, "\xc3\xa9"},
	    {"%", false, NULL}, {"%4", false, NULL}, {"a%4", false, NULL}, {"%4g", false, NULL},
	    {"%g4", false, NULL}, {"%00", false, NULL}, {"a%00b", true, NULL},
	    {"%%41", false, NULL},
	    {"% 1", false, NULL}, {"%+1", true, NULL}, {"%25", false, "%"}, {"%2541", false, "%41"},
	};
	(void)state;
	struct guard guard;
	guard_init(&guard, 64);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct span in = guard_end(&guard, span_str(cases[i].in));
		char *in_place = guard.map + (in.ptr - guard.map), out[64];
		ssize_t len = http1_url_decode(in, cases[i].form, out);
		if (!cases[i].out) {
			assert_int_equal(len, -EINVAL);
			continue;
		}
		assert_true(len >= 0);
		assert_true(span_eq(span_of(out, (size_t)len), span_str(cases[i].out)));
		assert_int_equal(http1_url_decode(in, cases[i].form, in_place), len);
		assert_true(span_eq(span_of(in_place, (size_t)len), span_str(cases[i].out)));
	}
	assert_int_equal(http1_url_decode(SPAN("a\0b"), false, (char[4]){0}), -EINVAL);
	guard_finish(&guard);
}

static void
queries_are_taken_apart_pair_by_pair(void **state)
{
	static const struct {
		const char *query, *pairs[8];
	} cases[] = {
	    {"", {NULL}},
	    {"&&&", {NULL}},
	    {"a=1", {"a", "1", NULL}},
	    {"a=1&b=2", {"a", "1", "b", "2", NULL}},
	    {"&a=1&&b=2&", {"a", "1", "b", "2", NULL}},
	    {"a", {"a", "", NULL}},
	    {"a=", {"a", "", NULL}},
	    {"=v", {"", "v", NULL}},
	    {"a=b=c", {"a", "b=c", NULL}},
	    {"a=1&a=2&%3d=%26", {"a", "1", "a", "2", "%3d", "%26", NULL}},
	    {"a;b=1", {"a;b", "1", NULL}},
	};
	(void)state;
	struct guard guard;
	guard_init(&guard, 64);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct span query = guard_end(&guard, span_str(cases[i].query)), name, value;
		const char *const *want = cases[i].pairs;
		while (http1_query_next(&query, &name, &value)) {
			assert_non_null(*want);
			assert_true(span_eq(name, span_str(*want++)));
			assert_true(span_eq(value, span_str(*want++)));
		}
		assert_null(*want);
	}
	guard_finish(&guard);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(escapes_are_undone),
	    cmocka_unit_test(queries_are_taken_apart_pair_by_pair),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Views of bytes: equality, order, beginnings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "span.h"

static void
equality_counts_length_and_bytes(void **state)
{
	(void)state;
	assert_true(span_eq(SPAN("abc"), span_str("abc")));
	assert_false(span_eq(SPAN("abc"), SPAN("ab")));
	assert_false(span_eq(SPAN("abc"), SPAN("abd")));
	assert_true(span_eq(SPAN("a\0b"), span_of("a\0b", 3)));
	assert_false(span_eq(SPAN("a\0b"), SPAN("a\0c")));
	assert_true(span_eq(span_of(NULL, 0), SPAN("")));
	assert_true(span_eq_nocase(SPAN("Content-Type"), SPAN("content-TYPE")));
	assert_false(span_eq_nocase(SPAN("Content-Type"), SPAN("content-typo")));
	assert_true(span_eq_nocase(span_of(NULL, 0), SPAN("")));
}

static void
order_puts_a_prefix_first_and_high_bytes_last(void **state)
{
	(void)state;
	assert_int_equal(span_cmp(SPAN("a"), SPAN("a")), 0);
	assert_true(span_cmp(SPAN("a"), SPAN("ab")) < 0);
	assert_true(span_cmp(SPAN("b"), SPAN("ab")) > 0);
	assert_true(span_cmp(SPAN("a"), SPAN("\xff")) < 0);
	assert_true(span_cmp(span_of(NULL, 0), SPAN("a")) < 0);
	assert_int_equal(span_cmp(span_of(NULL, 0), SPAN("")), 0);
}

static void
beginnings_and_rests(void **state)
{
	(void)state;
	assert_true(span_starts(SPAN("abc"), SPAN("ab")));
	assert_true(span_starts(SPAN("abc"), span_of(NULL, 0)));
	assert_false(span_starts(SPAN("abc"), SPAN("abcd")));
	assert_false(span_starts(SPAN("abc"), SPAN("b")));
	assert_true(span_eq(span_skip(SPAN("abc"), 1), SPAN("bc")));
	assert_int_equal(span_skip(SPAN("abc"), 3).len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equality_counts_length_and_bytes),
	    cmocka_unit_test(order_puts_a_prefix_first_and_high_bytes_last),
	    cmocka_unit_test(beginnings_and_rests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

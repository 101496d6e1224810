/* Growable buffers: contents, limits, the sticky error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

static void
assert_text(const struct buf *b, const char *text)
{
	assert_int_equal(b->len, strlen(text));
	assert_memory_equal(b->ptr, text, b->len);
}

static void
appends_of_every_kind_follow_each_other(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 0);
	assert_null(b.ptr);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_int_equal(buf_append_str(&b, "a"), 0);
	assert_int_equal(buf_append_span(&b, SPAN("bc")), 0);
	assert_int_equal(buf_append_byte(&b, ' '), 0);
	assert_int_equal(buf_append_u64(&b, UINT64_MAX), 0);
	assert_int_equal(buf_append_byte(&b, ' '), 0);
	assert_int_equal(buf_append_i64(&b, INT64_MIN), 0);
	assert_int_equal(buf_printf(&b, " %s-%03d", "x", 7), 0);
	assert_text(&b, "abc 18446744073709551615 -9223372036854775808 x-007");
	assert_true(buf_ok(&b));
	assert_true(span_starts(buf_span(&b), SPAN("abc ")));
	buf_finish(&b);
	assert_null(b.ptr);
}

static void
grows_over_many_appends(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 0);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(buf_append_byte(&b, (char)i), 0);
	assert_int_equal(b.len, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(b.ptr[i], (char)i);
	buf_finish(&b);
}

static void
limit_is_reached_exactly_and_never_passed(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 10);
	assert_int_equal(buf_append_str(&b, "0123456"), 0);
	assert_int_equal(buf_append_str(&b, "7890"), -EMSGSIZE);
	assert_text(&b, "0123456");
	assert_int_equal(buf_printf(&b, "%s", "789"), 0);
	assert_text(&b, "0123456789");
	assert_int_equal(buf_append_byte(&b, 'x'), -EMSGSIZE);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -EMSGSIZE);
	assert_text(&b, "0123456789");
	buf_finish(&b);
	assert_int_equal(b.limit, 10);
}

static void
first_error_sticks_until_clear(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 4);
	assert_int_equal(buf_append_str(&b, "12345"), -EMSGSIZE);
	assert_int_equal(buf_append_str(&b, "1"), 0);
	assert_false(buf_ok(&b));
	assert_int_equal(b.error, -EMSGSIZE);
	buf_clear(&b);
	assert_true(buf_ok(&b));
	assert_int_equal(b.len, 0);
	buf_finish(&b);
}

static void
impossible_sizes_are_refused(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 0);
	assert_int_equal(buf_append_byte(&b, 'x'), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -EMSGSIZE);
	assert_text(&b, "x");
	buf_finish(&b);
}

static void
long_prints_are_whole(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 0);
	for (int width = 250; width < 260; width++) {
		buf_clear(&b);
		assert_int_equal(buf_printf(&b, "%*d", width, 5), 0);
		assert_int_equal(b.len, width);
		assert_int_equal(b.ptr[width - 1], '5');
	}
	buf_finish(&b);
}

static void
consume_moves_the_rest_to_the_front(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 0);
	buf_consume(&b, 0);
	buf_append_str(&b, "headtail");
	buf_consume(&b, 4);
	assert_text(&b, "tail");
	buf_consume(&b, 0);
	assert_text(&b, "tail");
	buf_consume(&b, 4);
	assert_int_equal(b.len, 0);
	buf_finish(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(appends_of_every_kind_follow_each_other),
	    cmocka_unit_test(grows_over_many_appends),
	    cmocka_unit_test(limit_is_reached_exactly_and_never_passed),
	    cmocka_unit_test(first_error_sticks_until_clear),
	    cmocka_unit_test(impossible_sizes_are_refused),
	    cmocka_unit_test(long_prints_are_whole),
	    cmocka_unit_test(consume_moves_the_rest_to_the_front),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What is written as JSON reads back; what fails leaves the buffer as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>

#include "buf.h"
#include "guard.h"
#include "json.h"
#include "utf8.h"

static void
strings_are_escaped(void **state)
{
	static const struct {
		struct span text;
		const char *want;
	} cases[] = {
	    {{"", 0}, "\"\""},
	    {{"plain, longer than sixteen bytes", 32}, "\"plain, longer than sixteen bytes\""},
	    {{"\"\\/", 3}, "\"\\\"\\\\/\""},
	    {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
	    {{"\0\x01\x1f\x7f", 4}, "\"\\u0000\\u0001\\u001f\x7f\""},
	    {{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9},
		"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
	    {{"a\xff" "b", 3}, "\"a\xef\xbf\xbd" "b\""},
	    {{"\xc3", 1}, "\"\xef\xbf\xbd\""},
	    {{"\xe2\x82", 2}, "\"\xef\xbf\xbd\""},
	    {{"\xe2\x82x", 3}, "\"\xef\xbf\xbdx\""},
	    {{"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	    {{"\xc0\xaf", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
	    {{"\xf0\x9f\xf0\x9f\x98\x80", 6}, "\"\xef\xbf\xbd\xf0\x9f\x98\x80\""},
	};
	(void)state;
	struct guard guard;
	struct buf out;
	guard_init(&guard, 64);
	buf_init(&out, 0);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		buf_clear(&out);
		assert_int_equal(json_write_string(&out, guard_end(&guard, cases[i].text)), 0);
		assert_true(span_eq(buf_span(&out), span_str(cases[i].want)));
	}
	buf_finish(&out);
	guard_finish(&guard);
}

static void
any_bytes_make_a_string_that_reads_back(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 0);
	for (unsigned pair = 0; pair < 65536; pair++) {
		char bytes[2] = {(char)(pair >> 8), (char)pair}, back[16];
		struct json_reader reader;
		buf_clear(&out);
		assert_int_equal(json_write_string(&out, span_of(bytes, 2)), 0);
		json_reader_init(&reader, buf_span(&out), false);
		assert_int_equal(json_next(&reader), JSON_STRING);
		size_t len = json_string_decode(reader.text, back);
		assert_int_equal(json_next(&reader), JSON_END);
		if (utf8_valid(span_of(bytes, 2)))
			assert_true(span_eq(span_of(back, len), span_of(bytes, 2)));
		else
			assert_true(utf8_valid(span_of(back, len)));
	}
	buf_finish(&out);
}

static void
numbers_are_written_and_what_is_no_number_as_a_string(void **state)
{
	static const struct {
		double value;
		const char *want;
	} cases[] = {{0, "0"}, {21.5, "21.5"}, {-3, "-3"}, {1e300, "1e300"}, {NAN, "\"NaN\""},
	    {INFINITY, "\"Infinity\""}, {-INFINITY, "\"-Infinity\""}, {-0.0, "-0.0"}};
	(void)state;
	struct buf out;
	buf_init(&out, 0);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		buf_clear(&out);
		assert_int_equal(json_write_double(&out, cases[i].value), 0);
		assert_true(span_eq(buf_span(&out), span_str(cases[i].want)));
	}
	buf_finish(&out);
}

static void
a_full_buffer_stays_as_it_was(void **state)
{
	(void)state;
	struct span text = SPAN("a\n\"\xff" "b\x01");
	for (size_t limit = 3; limit < 20; limit++) {
		struct buf out;
		buf_init(&out, limit);
		buf_append_str(&out, "abc");
		int error = json_write_string(&out, text);
		assert_int_equal(error, limit < 20 ? -EMSGSIZE : 0);
		assert_true(span_eq(buf_span(&out), SPAN("abc")));
		assert_false(buf_ok(&out));
		buf_finish(&out);
	}
	struct buf out;
	buf_init(&out, 20);
	buf_append_str(&out, "abc");
	assert_int_equal(json_write_string(&out, text), 0);
	assert_int_equal(out.len, 20);
	buf_finish(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(strings_are_escaped),
	    cmocka_unit_test(any_bytes_make_a_string_that_reads_back),
	    cmocka_unit_test(numbers_are_written_and_what_is_no_number_as_a_string),
	    cmocka_unit_test(a_full_buffer_stays_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Server-sent events as text, whatever the line ends in the data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "buf.h"
#include "guard.h"
#include "sse.h"

static void
events_are_written(void **state)
{
	static const struct {
		const char *event, *id, *data, *want;
	} cases[] = {
	    {"", "", "hello", "data: hello\n\n"},
	    {"gap", "", "{}", "event: gap\ndata: {}\n\n"},
	    {"", "m17", "x", "id: m17\ndata: x\n\n"},
	    {"e", "1", "x", "event: e\nid: 1\ndata: x\n\n"},
	    {"", "", "", "data: \n\n"},
	    {"", "", "a\nb\rc\r\nd", "data: a\ndata: b\ndata: c\ndata: d\n\n"},
	    {"", "", "\n", "data: \ndata: \n\n"},
	    {"", "", "\r\n\r\n", "data: \ndata: \ndata: \n\n"},
	    {"", "", "a\n\nevent: evil", "data: a\ndata: \ndata: event: evil\n\n"},
	    {"", "", "a\r", "data: a\ndata: \n\n"},
	};
	(void)state;
	struct guard guard;
	struct buf out;
	guard_init(&guard, 64);
	buf_init(&out, 0);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		buf_clear(&out);
		struct span data = guard_end(&guard, span_str(cases[i].data));
		assert_int_equal(sse_write_event(&out, span_str(cases[i].event),
		    span_str(cases[i].id), data), 0);
		assert_true(span_eq(buf_span(&out), span_str(cases[i].want)));
	}
	buf_finish(&out);
	guard_finish(&guard);
}

static void
names_and_ids_are_one_line(void **state)
{
	static const struct span bad[] = {{"a\nb", 3}, {"a\r", 2}, {"\n", 1}, {"a\0b", 3}};
	(void)state;
	struct buf out;
	buf_init(&out, 0);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		assert_int_equal(sse_write_event(&out, bad[i], SPAN(""), SPAN("x")), -EINVAL);
		assert_int_equal(sse_write_event(&out, SPAN(""), bad[i], SPAN("x")), -EINVAL);
		assert_int_equal(sse_write_comment(&out, bad[i]), -EINVAL);
	}
	assert_int_equal(out.len, 0);
	assert_int_equal(sse_write_comment(&out, SPAN("still here")), 0);
	assert_true(span_eq(buf_span(&out), SPAN(": still here\n\n")));
	buf_finish(&out);
}

static void
a_full_buffer_stays_as_it_was(void **state)
{
	(void)state;
	size_t whole = strlen("event: e\nid: 1\ndata: a\ndata: b\n\n");
	for (size_t limit = 3; limit <= 3 + whole; limit++) {
		struct buf out;
		buf_init(&out, limit);
		buf_append_str(&out, "abc");
		int error = sse_write_event(&out, SPAN("e"), SPAN("1"), SPAN("a\nb"));
		assert_int_equal(error, limit == 3 + whole ? 0 : -EMSGSIZE);
		assert_int_equal(out.len, error ? 3 : 3 + whole);
		buf_finish(&out);
	}
	struct buf out;
	buf_init(&out, 6);
	assert_int_equal(sse_write_comment(&out, SPAN("ab")), 0);
	assert_int_equal(sse_write_comment(&out, SPAN("ab")), -EMSGSIZE);
	assert_int_equal(out.len, 6);
	buf_finish(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(events_are_written),
	    cmocka_unit_test(names_and_ids_are_one_line),
	    cmocka_unit_test(a_full_buffer_stays_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

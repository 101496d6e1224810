/* Chunked bodies in every cut; what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "buf.h"
#include "guard.h"
#include "http1.h"

struct fixture {
	struct guard guard;
	struct buf data, input;
	struct http1_chunked chunked;
	size_t used;
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	guard_init(&f->guard, 65536);
	buf_init(&f->data, 0);
	buf_init(&f->input, 0);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	buf_finish(&f->data);
	buf_finish(&f->input);
	guard_finish(&f->guard);
	free(f);
	return 0;
}

/* 1: ended; 0: more is wanted; -EBADMSG. The data is added to f->data. */
static int
feed_piece(struct fixture *f, struct span piece)
{
	while (piece.len > 0) {
		struct span data;
		bool end;
		ssize_t used = http1_chunked_feed(&f->chunked, piece, &data, &end);
		if (used < 0)
			return (int)used;
		assert_true(used > 0 && (size_t)used <= piece.len);
		assert_true(data.len == 0 ||
		    (data.ptr >= piece.ptr && data.ptr + data.len <= piece.ptr + used));
		buf_append_span(&f->data, data);
		f->used += (size_t)used;
		if (end)
			return 1;
		piece = span_skip(piece, (size_t)used);
	}
	return 0;
}

/* A first piece of `first` bytes, the others of `step`. */
static int
feed(struct fixture *f, struct span input, size_t first, size_t step)
{
	int answer = 0;
	http1_chunked_init(&f->chunked);
	buf_clear(&f->data);
	f->used = 0;
	for (size_t at = 0, len = first; at < input.len && !answer; at += len, len = step) {
		if (len > input.len - at)
			len = input.len - at;
		answer = feed_piece(f, guard_end(&f->guard, span_of(input.ptr + at, len)));
	}
	return answer;
}

/* What the whole gives and every cut too. */
static int
feed_every_cut(struct fixture *f, struct span input, const char *data, size_t used)
{
	int whole = feed(f, input, input.len, 1);
	const char *reason = http1_chunked_reason(&f->chunked);
	for (size_t cut = 0; cut <= input.len; cut++) {
		/* cut 0: byte by byte */
		assert_int_equal(feed(f, input, cut ? cut : 1, cut ? input.len : 1), whole);
		assert_ptr_equal(http1_chunked_reason(&f->chunked), reason);
		if (data) {
			assert_true(span_eq(buf_span(&f->data), span_str(data)));
			assert_int_equal(f->used, used);
		}
	}
	return whole;
}

static void
every_cut_of_a_body_gives_the_same_data(void **state)
{
	static const struct {
		const char *body, *data;
		size_t rest; /* bytes behind the body */
	} cases[] = {
	    {"0\r\n\r\n", "", 0},
	    {"5\r\nhello\r\n0\r\n\r\n", "hello", 0},
	    {"5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\nGET /", "hello, world", 5},
	    {"a\r\n0123456789\r\nA\r\n0123456789\r\n00\r\n\r\n", "01234567890123456789", 0},
	    {"0000000000000001\r\nx\r\n0\r\n\r\n", "x", 0},
	    {"1;name\r\nx\r\n1;a=b;c=\"d e\"\r\ny\r\n0;z\r\n\r\n", "xy", 0},
	    {"1\r\nx\r\n0\r\nA: b\r\nC-d:\r\nE: \xc3\xa9\t\r\n\r\n!", "x", 1},
	    {"4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", 0},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct span body = span_str(cases[i].body);
		assert_int_equal(
		    feed_every_cut(f, body, cases[i].data, body.len - cases[i].rest), 1);
	}
}

static void
bad_bodies_are_refused_in_every_cut(void **state)
{
	static const struct {
		const char *body, *words;
	} cases[] = {
	    {"\r\n", "no hex digit"},
	    {"g\r\n", "no hex digit"},
	    {"-1\r\n", "no hex digit"},
	    {"+1\r\nx\r\n", "no hex digit"},
	    {" 1\r\nx\r\n", "no hex digit"},
	    {"1 \r\nx\r\n", "no hex digit"},
	    {"1 ;a\r\nx\r\n", "no hex digit"},
	    {"1\t\r\nx\r\n", "no hex digit"},
	    {"0x1\r\nx\r\n", "no hex digit"},
	    {"1h\r\nx\r\n", "no hex digit"},
	    {";a\r\n", "no hex digit"},
	    {"1\nx\r\n", "no hex digit"},
	    {"1,1\r\nx\r\n", "no hex digit"},
	    {"1_0\r\nx\r\n", "no hex digit"},
	    {"00000000000000001\r\nx\r\n", "16 digits"},
	    {"10000000000000000\r\nx\r\n", "16 digits"},
	    {"1\rx\r\n", "CR without LF"},
	    {"1\r\rx\r\n", "CR without LF"},
	    {"1;a\nx\r\n", "extension"},
	    {"1;a\x01\r\nx\r\n", "extension"},
	    {"1;\x80\r\nx\r\n", "extension"},
	    {"1;a\rb\r\nx\r\n", "CR without LF"},
	    {"1\r\nxy\r\n", "says that it ends"},
	    {"1\r\nx!\n0\r\n\r\n", "says that it ends"},
	    {"1\r\nx\n0\r\n\r\n", "says that it ends"},
	    {"1\r\nx\r0\r\n\r\n", "says that it ends"},
	    {"1\r\nx0\r\n\r\n", "says that it ends"},
	    {"0\n\n", "no hex digit"},
	    {"0\r\n\n", "trailer"},
	    {"0\r\nA\r\n\r\n", "trailer"},
	    {"0\r\nA b: c\r\n\r\n", "trailer"},
	    {"0\r\nA : c\r\n\r\n", "trailer"},
	    {"0\r\n: c\r\n\r\n", "trailer"},
	    {"0\r\nA: b\r\n c\r\n\r\n", "trailer"},
	    {"0\r\n A: b\r\n\r\n", "trailer"},
	    {"0\r\nA: b\nC: d\r\n\r\n", "trailer"},
	    {"0\r\nA: b\x0b\r\n\r\n", "trailer"},
	    {"0\r\nA: b\rC: d\r\n\r\n", "CR without LF"},
	    {"0\r\n\rA", "CR without LF"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		int answer = feed_every_cut(f, span_str(cases[i].body), NULL, 0);
		if (answer != -EBADMSG)
			fail_msg("taken: %s", cases[i].body);
		const char *reason = http1_chunked_reason(&f->chunked);
		if (!strstr(reason, cases[i].words))
			fail_msg("\"%s\" for: %s", reason, cases[i].body);
	}
}

static void
nul_in_size_extension_and_trailer_is_refused(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(feed_every_cut(f, SPAN("1\0\r\nx\r\n"), NULL, 0), -EBADMSG);
	assert_int_equal(feed_every_cut(f, SPAN("1;\0\r\nx\r\n"), NULL, 0), -EBADMSG);
	assert_int_equal(feed_every_cut(f, SPAN("0\r\nA:\0\r\n\r\n"), NULL, 0), -EBADMSG);
}

static void
a_refusal_is_for_ever(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(feed(f, SPAN("x"), 1, 1), -EBADMSG);
	assert_int_equal(feed_piece(f, SPAN("0\r\n\r\n")), -EBADMSG);
	assert_non_null(http1_chunked_reason(&f->chunked));
}

static void
size_lines_are_bounded(void **state)
{
	struct fixture *f = *state;
	for (size_t len = 254; len <= 257; len++) {
		buf_clear(&f->input);
		buf_append_str(&f->input, "1;");
		while (f->input.len < len)
			buf_append_byte(&f->input, 'e');
		buf_append_str(&f->input, "\r\nx\r\n0\r\n\r\n");
		int answer = feed_every_cut(f, buf_span(&f->input), NULL, 0);
		assert_int_equal(answer, len <= 255 ? 1 : -EBADMSG);
	}
}

static void
trailers_are_bounded(void **state)
{
	struct fixture *f = *state;
	buf_append_str(&f->input, "0\r\n");
	for (int i = 0; i < 900; i++)
		buf_append_str(&f->input, "Abcde: fg\r\n");
	assert_int_equal(feed(f, buf_span(&f->input), 100, 100), -EBADMSG);
	assert_non_null(strstr(http1_chunked_reason(&f->chunked), "8 KiB"));
	f->input.len = 3 + 700 * 11;
	buf_append_str(&f->input, "\r\n");
	assert_int_equal(feed(f, buf_span(&f->input), 100, 100), 1);
}

static void
the_largest_chunk_is_counted(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(feed(f, SPAN("ffffffffffffffff\r\nabc"), 100, 1), 0);
	assert_true(f->chunked.left == UINT64_MAX - 3);
	assert_int_equal(f->data.len, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(every_cut_of_a_body_gives_the_same_data),
	    TEST(bad_bodies_are_refused_in_every_cut),
	    TEST(nul_in_size_extension_and_trailer_is_refused),
	    TEST(a_refusal_is_for_ever),
	    TEST(size_lines_are_bounded),
	    TEST(trailers_are_bounded),
	    TEST(the_largest_chunk_is_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Heads of requests and responses: what is taken, what is refused and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "buf.h"
#include "guard.h"
#include "http1.h"

#define HOST "Host: weir\r\n"

struct fixture {
	struct guard guard;
	struct http1_request request;
	struct http1_error error;
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	guard_init(&f->guard, 2 * HTTP1_HEAD_BYTES_MAX);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	guard_finish(&f->guard);
	free(f);
	return 0;
}

/* Gives the parser the input in pieces: each prefix of `step` bytes more. The last answer. */
static ssize_t
parse_in_steps(struct fixture *f, struct span input, size_t first, size_t step)
{
	size_t scanned = 0, len = first;
	for (;;) {
		struct span part = guard_end(&f->guard, span_of(input.ptr, len));
		ssize_t answer = http1_parse_request(part, &scanned, &f->request, &f->error);
		if (answer || len == input.len)
			return answer;
		assert_true(scanned <= len);
		len = len + step < input.len ? len + step : input.len;
	}
}

static ssize_t
parse(struct fixture *f, struct span input)
{
	return parse_in_steps(f, input, input.len, 1);
}

/* Whether every cut of the input gives what the whole gives; returns that. */
static ssize_t
parse_every_cut(struct fixture *f, struct span input)
{
	ssize_t whole = parse(f, input);
	struct http1_error error = f->error;
	for (size_t cut = 0; cut <= input.len; cut++) {
		ssize_t answer = parse_in_steps(f, input, cut, input.len);
		assert_int_equal(answer, whole);
		if (whole < 0) {
			assert_int_equal(f->error.status, error.status);
			assert_string_equal(f->error.reason, error.reason);
			assert_int_equal(f->error.line, error.line);
		}
	}
	assert_int_equal(parse_in_steps(f, input, 0, 1), whole);
	return whole;
}

static void
assert_span(struct span got, const char *want)
{
	if (!span_eq(got, span_str(want)))
		fail_msg("\"%.*s\" instead of \"%s\"", SPAN_ARG(got), want);
}

static void
refused(struct fixture *f, struct span input, unsigned status, const char *words)
{
	ssize_t answer = parse_every_cut(f, input);
	if (answer != -EBADMSG)
		fail_msg("taken: %.*s", SPAN_ARG(input));
	if (f->error.status != status || !strstr(f->error.reason, words))
		fail_msg("%u \"%s\" instead of %u \"%s\" for: %.*s", f->error.status,
		    f->error.reason, status, words, SPAN_ARG(input));
}

static void
every_cut_of_a_head_gives_the_same_answer(void **state)
{
	struct fixture *f = *state;
	struct span input = SPAN("POST /api/v1/readings?x=1&y=%20 HTTP/1.1\r\nHost: a.b:8080\r\n"
	    "Content-Length: 12\r\nX-Empty:\r\nX-Blank: \t a b \t\r\n\r\n{...");
	assert_int_equal(parse_every_cut(f, input), input.len - 4);
	const struct http1_request *r = &f->request;
	assert_span(r->method, "POST");
	assert_span(r->target, "/api/v1/readings?x=1&y=%20");
	assert_span(r->path, "/api/v1/readings");
	assert_span(r->query, "x=1&y=%20");
	assert_int_equal(r->minor, 1);
	assert_int_equal(r->header_count, 4);
	assert_true(r->has_length && r->length == 12);
	assert_false(r->chunked || r->expect_continue || r->upgrade_websocket);
	assert_true(r->keep_alive);
	assert_span(*http1_header_get(r, SPAN("host")), "a.b:8080");
	assert_span(*http1_header_get(r, SPAN("x-empty")), "");
	assert_span(*http1_header_get(r, SPAN("X-BLANK")), "a b");
	assert_null(http1_header_get(r, SPAN("x-none")));
}

static void
one_empty_line_before_a_request_is_passed_over(void **state)
{
	struct fixture *f = *state;
	struct span input = SPAN("\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(parse_every_cut(f, input), input.len);
	assert_span(f->request.method, "GET");
	refused(f, SPAN("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), 400, "empty");
}

static void
pipelined_requests_are_taken_one_by_one(void **state)
{
	struct fixture *f = *state;
	struct span input = SPAN("GET /a HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n" HOST "\r\n");
	ssize_t first = parse(f, input);
	assert_int_equal(first, input.len / 2);
	assert_span(f->request.path, "/a");
	assert_int_equal(parse(f, span_skip(input, (size_t)first)), input.len / 2);
	assert_span(f->request.path, "/b");
}

static void
targets_are_split(void **state)
{
	static const struct {
		const char *line, *target, *path, *query;
	} cases[] = {
	    {"GET / HTTP/1.1", "/", "/", ""},
	    {"GET /? HTTP/1.1", "/?", "/", ""},
	    {"GET /a?b?c=/d HTTP/1.1", "/a?b?c=/d", "/a", "b?c=/d"},
	    {"GET //a/../b HTTP/1.1", "//a/../b", "//a/../b", ""},
	    {"GET /\"{}|\\^` HTTP/1.1", "/\"{}|\\^`", "/\"{}|\\^`", ""},
	    {"GET /\xc3\xa9 HTTP/1.1", "/\xc3\xa9", "/\xc3\xa9", ""},
	    {"GET http://a.b/c?d HTTP/1.1", "/c?d", "/c", "d"},
	    {"GET HTTPS://[::1]:80/c HTTP/1.1", "/c", "/c", ""},
	    {"GET http://a.b HTTP/1.1", "/", "/", ""},
	    {"OPTIONS * HTTP/1.1", "*", "*", ""},
	    {"M-SEARCH /x HTTP/1.1", "/x", "/x", ""},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char text[200];
		int len = snprintf(text, sizeof(text), "%s\r\n" HOST "\r\n", cases[i].line);
		assert_int_equal(parse_every_cut(f, span_of(text, (size_t)len)), len);
		assert_span(f->request.target, cases[i].target);
		assert_span(f->request.path, cases[i].path);
		assert_span(f->request.query, cases[i].query);
	}
}

static void
bad_request_lines_are_refused(void **state)
{
	static const struct {
		const char *line;
		unsigned status;
		const char *words;
	} cases[] = {
	    {"GET", 400, "method"},
	    {"GET /", 400, "version"},
	    {"GET / ", 400, "version"},
	    {" GET / HTTP/1.1", 400, "method"},
	    {"GET  / HTTP/1.1", 400, "too many"},
	    {"GET /  HTTP/1.1", 400, "too many"},
	    {"GET / HTTP/1.1 ", 400, "too many"},
	    {"GET /a b HTTP/1.1", 400, "too many"},
	    {"GET\t/ HTTP/1.1", 400, "method"},
	    {"GET /\tHTTP/1.1", 400, "version"},
	    {"GET /a\tb HTTP/1.1", 400, "target"},
	    {"GET /a#b HTTP/1.1", 400, "target"},
	    {"G(T / HTTP/1.1", 400, "method"},
	    {"GET: / HTTP/1.1", 400, "method"},
	    {"GET a HTTP/1.1", 400, "no '/'"},
	    {"GET a.b:80 HTTP/1.1", 400, "no '/'"},
	    {"GET ftp://a/ HTTP/1.1", 400, "no '/'"},
	    {"GET http:///x HTTP/1.1", 400, "host"},
	    {"GET http://u@h/x HTTP/1.1", 400, "host"},
	    {"GET http://h?x HTTP/1.1", 400, "host"},
	    {"GET * HTTP/1.1", 400, "OPTIONS"},
	    {"CONNECT a.b:80 HTTP/1.1", 501, "CONNECT"},
	    {"GET / HTTP/1.2", 505, "version"},
	    {"GET / HTTP/0.9", 505, "version"},
	    {"PRI * HTTP/2.0", 505, "version"},
	    {"GET / HTTP/1.10", 400, "version"},
	    {"GET / HTTP/11", 400, "version"},
	    {"GET / HTTP/1,1", 400, "version"},
	    {"GET / http/1.1", 400, "version"},
	    {"GET / HTTP/x.1", 400, "version"},
	    {"GET / HTTPS/1.1", 400, "version"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char text[200];
		int len = snprintf(text, sizeof(text), "%s\r\n" HOST "\r\n", cases[i].line);
		refused(f, span_of(text, (size_t)len), cases[i].status, cases[i].words);
		assert_int_equal(f->error.line, 1);
	}
}

static void
heads_that_two_readers_may_take_differently_are_refused(void **state)
{
	static const struct {
		const char *headers, *words;
		unsigned status;
		size_t line;
	} cases[] = {
	    {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "both", 400, 4},
	    {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "both", 400, 4},
	    {"Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length stands", 400, 4},
	    {"Content-Length: 5\r\ncontent-LENGTH: 6\r\n", "Content-Length stands", 400, 4},
	    {"Content-Length: 5, 5\r\n", "plain number", 400, 3},
	    {"Content-Length: +5\r\n", "plain number", 400, 3},
	    {"Content-Length: -5\r\n", "plain number", 400, 3},
	    {"Content-Length: 0x5\r\n", "plain number", 400, 3},
	    {"Content-Length: 5.0\r\n", "plain number", 400, 3},
	    {"Content-Length: 1e3\r\n", "plain number", 400, 3},
	    {"Content-Length: 5 5\r\n", "plain number", 400, 3},
	    {"Content-Length:\r\n", "plain number", 400, 3},
	    {"Content-Length: \xd9\xa5\r\n", "plain number", 400, 3},
	    {"Content-Length: 18446744073709551616\r\n", "too large", 400, 3},
	    {"Content-Length: 9223372036854775808\r\n", "too large", 400, 3},
	    {"Content-Length: 999999999999999999999999\r\n", "too large", 400, 3},
	    {"Content-Length : 5\r\n", "blank before", 400, 3},
	    {"Content-Length\t: 5\r\n", "blank before", 400, 3},
	    {"Transfer-Encoding : chunked\r\n", "blank before", 400, 3},
	    {"Transfer-Encoding: identity\r\n", "exactly", 400, 3},
	    {"Transfer-Encoding: xchunked\r\n", "exactly", 400, 3},
	    {"Transfer-Encoding: chunked, identity\r\n", "exactly", 400, 3},
	    {"Transfer-Encoding: chunked, chunked\r\n", "exactly", 400, 3},
	    {"Transfer-Encoding: chunked,\r\n", "exactly", 400, 3},
	    {"Transfer-Encoding: ,chunked\r\n", "exactly", 400, 3},
	    {"Transfer-Encoding: \"chunked\"\r\n", "exactly", 400, 3},
	    {"Transfer-Encoding: chunked;q=1\r\n", "exactly", 400, 3},
	    {"Transfer-Encoding:\r\n", "exactly", 400, 3},
	    {"Transfer-Encoding: gzip\r\n", "exactly", 400, 3},
	    {"Transfer-Encoding: gzip, chunked\r\n", "only the transfer coding", 501, 3},
	    {"Transfer-Encoding: chunked, gzip\r\n", "exactly", 400, 3},
	    {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "twice", 400, 4},
	    {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "twice", 400, 4},
	    {"X: a\r\n b\r\n", "folded", 400, 4},
	    {"X: a\r\n\tb\r\n", "folded", 400, 4},
	    {" X: a\r\n", "folded", 400, 3},
	    {"X: a\r\n \r\n", "folded", 400, 4},
	    {"X a\r\n", "blank before", 400, 3},
	    {"X\r\n", "without ':'", 400, 3},
	    {": a\r\n", "without a name", 400, 3},
	    {"X(y): a\r\n", "bad character", 400, 3},
	    {"X\xc3\xa9: a\r\n", "bad character", 400, 3},
	    {"X: a\nY: b\r\n", "LF without CR", 400, 3},
	    {"X: a\n\r\n", "LF without CR", 400, 3},
	    {"X: a\rb\r\n", "CR without LF", 400, 3},
	    {"X: a\r\r\n", "CR without LF", 400, 3},
	    {"X: a\x01\r\n", "control", 400, 3},
	    {"X: a\x7f\r\n", "control", 400, 3},
	    {"X: a\x0b\r\n", "control", 400, 3},
	    {"X\x0c: a\r\n", "control", 400, 3},
	    {"Host: b\r\n", "Host stands", 400, 3},
	    {"Host: weir\r\n", "Host stands", 400, 3},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char text[300];
		int len = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n" HOST "%s\r\nbody",
		    cases[i].headers);
		refused(f, span_of(text, (size_t)len), cases[i].status, cases[i].words);
		assert_int_equal(f->error.line, cases[i].line);
	}
}

static void
nul_is_refused_wherever_it_stands(void **state)
{
	struct fixture *f = *state;
	struct span good = SPAN("GET /a HTTP/1.1\r\nHost: weir\r\nX: y\r\n\r\n");
	for (size_t at = 0; at < good.len; at++) {
		char text[100];
		memcpy(text, good.ptr, good.len);
		text[at] = '\0';
		ssize_t answer = parse(f, span_of(text, good.len));
		assert_int_equal(answer, -EBADMSG);
		bool in_line_end = (at > 0 && good.ptr[at - 1] == '\r') || good.ptr[at] == '\r';
		if (!in_line_end)
			assert_string_equal(f->error.reason, "NUL in the head");
	}
}

static void
host_is_asked_for(void **state)
{
	struct fixture *f = *state;
	refused(f, SPAN("GET / HTTP/1.1\r\n\r\n"), 400, "without Host");
	refused(f, SPAN("GET / HTTP/1.1\r\nX: Host\r\n\r\n"), 400, "without Host");
	refused(f, SPAN("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), 400, "twice");
	refused(f, SPAN("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400, "in Host");
	refused(f, SPAN("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400, "in Host");
	refused(f, SPAN("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), 400, "in Host");
	refused(f, SPAN("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), 400, "in Host");
	assert_true(parse(f, SPAN("GET / HTTP/1.0\r\n\r\n")) > 0);
	assert_true(parse(f, SPAN("GET / HTTP/1.1\r\nHost:\r\n\r\n")) > 0);
	assert_true(parse(f, SPAN("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n")) > 0);
}

static void
bodies_of_http_1_0_are_not_chunked(void **state)
{
	struct fixture *f = *state;
	refused(f, SPAN("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "HTTP/1.0");
	struct span good = SPAN("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \tCHUNKED \r\n\r\n");
	assert_int_equal(parse_every_cut(f, good), good.len);
	assert_true(f->request.chunked);
	assert_false(f->request.has_length);
}

static void
what_the_client_asks_of_the_connection_is_known(void **state)
{
	static const struct {
		const char *head;
		bool keep, expect, websocket;
	} cases[] = {
	    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", true, false, false},
	    {"GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", false, false, false},
	    {"GET / HTTP/1.1\r\nHost:\r\nConnection: x, CLOSE ,y\r\n\r\n", false, false, false},
	    {"GET / HTTP/1.1\r\nHost:\r\nConnection: closed\r\n\r\n", true, false, false},
	    {"GET / HTTP/1.1\r\nHost:\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
		false, false, false},
	    {"GET / HTTP/1.0\r\n\r\n", false, false, false},
	    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, false, false},
	    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, false, false},
	    {"GET / HTTP/1.1\r\nHost:\r\nExpect: 100-Continue\r\n\r\n", true, true, false},
	    {"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", false, false, false},
	    {"GET / HTTP/1.1\r\nHost:\r\nConnection: keep-alive, Upgrade\r\n"
	     "Upgrade: WebSocket\r\n\r\n",
		true, false, true},
	    {"GET / HTTP/1.1\r\nHost:\r\nUpgrade: websocket\r\n\r\n", true, false, false},
	    {"GET / HTTP/1.1\r\nHost:\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", true, false,
		false},
	    {"GET / HTTP/1.1\r\nHost:\r\nConnection: upgrade\r\nUpgrade: h2c, websocket\r\n\r\n",
		true, false, true},
	    {"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", false, false,
		false},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct span head = span_str(cases[i].head);
		assert_int_equal(parse(f, head), head.len);
		assert_int_equal(f->request.keep_alive, cases[i].keep);
		assert_int_equal(f->request.expect_continue, cases[i].expect);
		assert_int_equal(f->request.upgrade_websocket, cases[i].websocket);
	}
}

static void
comma_lists_are_searched_over_all_their_lines(void **state)
{
	struct fixture *f = *state;
	struct span head = SPAN("GET / HTTP/1.1\r\n" HOST "Accept-Encoding: br , GZIP\r\n"
	    "accept-encoding:,zstd,\r\n\r\n");
	assert_int_equal(parse(f, head), head.len);
	struct span name = SPAN("Accept-Encoding");
	assert_true(http1_header_has_token(&f->request, name, SPAN("gzip")));
	assert_true(http1_header_has_token(&f->request, name, SPAN("br")));
	assert_true(http1_header_has_token(&f->request, name, SPAN("zstd")));
	assert_false(http1_header_has_token(&f->request, name, SPAN("zip")));
	assert_false(http1_header_has_token(&f->request, SPAN("Accept"), SPAN("gzip")));
}

/* A head whose X header makes it `bytes` long. */
static void
make_head(struct buf *out, size_t bytes)
{
	buf_append_str(out, "GET / HTTP/1.1\r\n" HOST "X: ");
	while (out->len < bytes - 4)
		buf_append_byte(out, 'x');
	buf_append_str(out, "\r\n\r\n");
}

static void
long_heads_are_431(void **state)
{
	struct fixture *f = *state;
	struct buf head;
	buf_init(&head, 0);
	make_head(&head, HTTP1_HEAD_BYTES_MAX);
	assert_int_equal(parse_in_steps(f, buf_span(&head), 0, 1000), HTTP1_HEAD_BYTES_MAX);
	buf_clear(&head);
	make_head(&head, HTTP1_HEAD_BYTES_MAX + 1);
	assert_int_equal(parse_in_steps(f, buf_span(&head), 0, 1000), -EBADMSG);
	assert_int_equal(f->error.status, 431);
	assert_int_equal(parse(f, buf_span(&head)), -EBADMSG);
	assert_int_equal(f->error.status, 431);
	buf_finish(&head);
}

static void
too_many_headers_are_431(void **state)
{
	struct fixture *f = *state;
	struct buf head;
	buf_init(&head, 0);
	buf_append_str(&head, "GET / HTTP/1.1\r\n" HOST);
	for (int i = 1; i < HTTP1_HEADERS_MAX; i++)
		buf_append_str(&head, "X: y\r\n");
	size_t keep = head.len;
	buf_append_str(&head, "\r\n");
	assert_int_equal(parse(f, buf_span(&head)), head.len);
	assert_int_equal(f->request.header_count, HTTP1_HEADERS_MAX);
	head.len = keep;
	buf_append_str(&head, "X: y\r\n\r\n");
	assert_int_equal(parse(f, buf_span(&head)), -EBADMSG);
	assert_int_equal(f->error.status, 431);
	buf_finish(&head);
}

static void
long_targets_are_414(void **state)
{
	struct fixture *f = *state;
	static const size_t lens[] = {HTTP1_TARGET_BYTES_MAX, HTTP1_TARGET_BYTES_MAX + 1,
	    HTTP1_HEAD_BYTES_MAX - 64, HTTP1_HEAD_BYTES_MAX + 64};
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		struct buf head;
		buf_init(&head, 0);
		buf_append_str(&head, "GET /");
		for (size_t j = 1; j < lens[i]; j++)
			buf_append_byte(&head, 'a');
		buf_append_str(&head, " HTTP/1.1\r\n" HOST "\r\n");
		ssize_t answer = parse_in_steps(f, buf_span(&head), 0, 777);
		assert_int_equal(answer, i == 0 ? (ssize_t)head.len : -EBADMSG);
		if (i > 0)
			assert_int_equal(f->error.status, 414);
		buf_finish(&head);
	}
}

static void
other_protocols_are_refused_at_their_first_bytes(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(parse(f, SPAN("\x16\x03\x01\x02")), -EBADMSG);
	assert_int_equal(f->error.status, 400);
	assert_int_equal(parse(f, SPAN("\x10\x10\x00\x04MQTT")), -EBADMSG);
}

static void
responses_are_parsed(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *head;
		unsigned status;
		bool keep;
	} good[] = {
	    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 200, true},
	    {"HTTP/1.1 204\r\n\r\n", 204, true},
	    {"HTTP/1.0 503 Not now, please\r\n\r\n", 503, false},
	};
	static const char *const bad[] = {"HTTP/1.1 20\r\n\r\n", "HTTP/1.1 2000\r\n\r\n",
	    "HTTP/1.1  200 OK\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 099 x\r\n\r\n", "\r\n\r\n",
	    "\r\nHTTP/1.1 200 OK\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n"};
	struct http1_response response;
	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		struct span head = guard_end(&f->guard, span_str(good[i].head));
		for (size_t cut = 0; cut <= head.len; cut++) {
			size_t scanned = 0;
			ssize_t answer = http1_parse_response(span_of(head.ptr, cut), &scanned,
			    &response, &f->error);
			assert_int_equal(answer, cut < head.len ? 0 : (ssize_t)head.len);
		}
		assert_int_equal(response.status, good[i].status);
		assert_int_equal(response.keep_alive, good[i].keep);
		assert_int_equal(response.has_length, i == 0);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		size_t scanned = 0;
		assert_int_equal(http1_parse_response(span_str(bad[i]), &scanned, &response,
		    &f->error), -EBADMSG);
	}
}

static void
statuses_have_texts(void **state)
{
	(void)state;
	assert_string_equal(http1_status_text(404), "Not Found");
	assert_string_equal(http1_status_text(503), "Service Unavailable");
	assert_string_equal(http1_status_text(299), "Unknown");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(every_cut_of_a_head_gives_the_same_answer),
	    TEST(one_empty_line_before_a_request_is_passed_over),
	    TEST(pipelined_requests_are_taken_one_by_one),
	    TEST(targets_are_split),
	    TEST(bad_request_lines_are_refused),
	    TEST(heads_that_two_readers_may_take_differently_are_refused),
	    TEST(nul_is_refused_wherever_it_stands),
	    TEST(host_is_asked_for),
	    TEST(bodies_of_http_1_0_are_not_chunked),
	    TEST(what_the_client_asks_of_the_connection_is_known),
	    TEST(comma_lists_are_searched_over_all_their_lines),
	    TEST(long_heads_are_431),
	    TEST(too_many_headers_are_431),
	    TEST(long_targets_are_414),
	    TEST(other_protocols_are_refused_at_their_first_bytes),
	    TEST(responses_are_parsed),
	    TEST(statuses_have_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

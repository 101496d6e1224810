/*
 * fuzz_http1.c: heads, chunked bodies and URL parts. Holds: every cut gives the same answer, what
 * was taken and is written anew reads the same, and nothing points outside of the input.
 */
#include <errno.h>
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "http1.h"
#include "url_checks.h"

/* A head given whole, then in steps of `step`, each prefix in memory of its own length. */
static ssize_t
parse(struct span in, size_t step, struct http1_request *request, struct http1_error *error)
{
	size_t scanned = 0;
	ssize_t answer = 0;
	if (step == 0)
		return http1_parse_request(in, &scanned, request, error);
	for (size_t len = 0; !answer && len < in.len;) {
		len = MIN(len + step, in.len);
		char *copy = malloc(len);
		check(copy);
		memcpy(copy, in.ptr, len);
		answer = http1_parse_request(span_of(copy, len), &scanned, request, error);
		check(scanned <= len);
		free(copy);
	}
	return answer;
}

static void
check_inside(struct span whole, struct span part)
{
	check(part.len == 0 ||
	    (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

/* What was understood, written and read again. */
static void
check_rewriting(const struct http1_request *request)
{
	struct http1_request again;
	struct http1_error error;
	struct buf out;
	size_t scanned = 0;
	buf_init(&out, 0);
	buf_printf(&out, "%.*s %.*s HTTP/1.%u\r\n", SPAN_ARG(request->method),
	    SPAN_ARG(request->target), request->minor);
	for (size_t i = 0; i < request->header_count; i++) {
		buf_append_span(&out, request->headers[i].name);
		buf_append_str(&out, ": ");
		buf_append_span(&out, request->headers[i].value);
		buf_append_str(&out, "\r\n");
	}
	buf_append_str(&out, "\r\n");
	check(buf_ok(&out));
	/* The blanks before values may have made it too long. */
	if (out.len <= HTTP1_HEAD_BYTES_MAX) {
		ssize_t bytes = http1_parse_request(buf_span(&out), &scanned, &again, &error);
		check(bytes == (ssize_t)out.len);
		check(span_eq(again.method, request->method));
		check(span_eq(again.path, request->path) && span_eq(again.query, request->query));
		check(again.header_count == request->header_count);
		for (size_t i = 0; i < again.header_count; i++)
			check(span_eq(again.headers[i].value, request->headers[i].value));
		check(again.chunked == request->chunked && again.length == request->length);
		check(again.has_length == request->has_length);
		check(again.keep_alive == request->keep_alive);
		check(again.upgrade_websocket == request->upgrade_websocket);
	}
	buf_finish(&out);
}

/* The data of a body in pieces of `step` bytes. 1: over, 0: more wanted, or -EBADMSG. */
static int
read_body(struct span in, size_t step, struct buf *data, size_t *ret_used)
{
	struct http1_chunked chunked;
	bool end = false;
	http1_chunked_init(&chunked);
	*ret_used = 0;
	while (in.len > 0 && !end) {
		struct span piece = span_of(in.ptr, MIN(step, in.len)), part;
		ssize_t used = http1_chunked_feed(&chunked, piece, &part, &end);
		check((used < 0) == (http1_chunked_reason(&chunked) != NULL));
		if (used < 0)
			return (int)used;
		check(used > 0);
		check_inside(piece, part);
		buf_append_span(data, part);
		*ret_used += (size_t)used;
		in = span_skip(in, (size_t)used);
	}
	return end;
}

static void
check_body(struct span in, size_t step)
{
	struct buf whole, pieces;
	size_t whole_used, pieces_used;
	buf_init(&whole, 0);
	buf_init(&pieces, 0);
	int whole_answer = read_body(in, in.len, &whole, &whole_used);
	int pieces_answer = read_body(in, step, &pieces, &pieces_used);
	check(whole_answer == pieces_answer);
	check(span_eq(buf_span(&whole), buf_span(&pieces)));
	check(whole_answer < 0 || whole_used == pieces_used);
	buf_finish(&whole);
	buf_finish(&pieces);
}

static void
check_response(struct span in)
{
	struct http1_response response;
	struct http1_error error;
	size_t scanned = 0;
	ssize_t bytes = http1_parse_response(in, &scanned, &response, &error);
	if (bytes < 0)
		check(bytes == -EBADMSG && error.reason && error.status >= 400);
	if (bytes > 0)
		check(response.status >= 100 && !(response.chunked && response.has_length));
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct span in = span_of((const char *)bytes, size);
	struct http1_request request, pieces;
	struct http1_error error, pieces_error;
	size_t step = size ? 1 + bytes[size - 1] % 17 : 1;
	ssize_t answer = parse(in, 0, &request, &error);
	check(answer == parse(in, step, &pieces, &pieces_error));
	if (answer < 0) {
		check(answer == -EBADMSG && error.reason == pieces_error.reason);
		check(error.status == pieces_error.status && error.line == pieces_error.line);
	}
	if (answer > 0) {
		check(!(request.chunked && request.has_length));
		check_inside(in, request.method);
		for (size_t i = 0; i < request.header_count; i++) {
			check_inside(in, request.headers[i].name);
			check_inside(in, request.headers[i].value);
		}
		check_rewriting(&request);
		check_url(request.path, request.query);
		check_body(span_skip(in, (size_t)answer), step);
	}
	check_response(in);
	check_body(in, step);
	return 0;
}

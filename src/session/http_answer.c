/*
 * http_answer.c: answers made at once: status line, headers, body; and what all answers share.
 *
 * Invariant: a request has one answer. What net has no room for waits in request->rest and leaves
 * as room comes, so an answer of any size is taken; who makes very large ones streams them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "json.h"
#include "num.h"
#include "session_priv.h"

enum { PACK_LEVEL = 4, PACK_PIECE_BYTES = 16 * 1024 };

void
http_answer_lose(struct session_request *request)
{
	request->broken = true;
	buf_finish(&request->rest);
	request->rest_pos = 0;
	request->http->state = HTTP_OVER;
	net_close(request->http->conn, NET_CLOSE_MEMORY);
}

void
http_answer_out(struct session_request *request, struct span bytes)
{
	struct net_conn *conn = request->http->conn;
	if (bytes.len == 0 || request->broken)
		return;
	request->bytes_out += bytes.len;
	if (request->rest.len == 0) {
		size_t fits = MIN(bytes.len, net_out_room(conn));
		int error = fits ? net_send(conn, span_of(bytes.ptr, fits)) : 0;
		if (error == -ENOMEM)
			http_answer_lose(request);
		if (error)
			return;
		bytes = span_skip(bytes, fits);
	}
	if (bytes.len && buf_append_span(&request->rest, bytes))
		http_answer_lose(request);
}

bool
http_answer_flush(struct session_request *request)
{
	struct net_conn *conn = request->http->conn;
	struct span rest = span_skip(buf_span(&request->rest), request->rest_pos);
	rest.len = MIN(rest.len, net_out_room(conn));
	if (rest.len && net_send(conn, rest) == 0)
		request->rest_pos += rest.len;
	if (request->rest_pos < request->rest.len)
		return false;
	buf_finish(&request->rest);
	request->rest_pos = 0;
	return true;
}

int
session_add_header(struct session_request *request, const char *name, struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] == '\r' || value.ptr[i] == '\n' || value.ptr[i] == '\0')
			return -EINVAL;
	}
	if (strcasecmp(name, "ETag") == 0) {
		char *etag = span_dup(value);
		if (!etag)
			return -ENOMEM;
		free(request->etag);
		request->etag = etag;
		return 0;
	}
	size_t len = request->added.len;
	buf_append_str(&request->added, name);
	buf_append_str(&request->added, ": ");
	buf_append_span(&request->added, value);
	buf_append_str(&request->added, "\r\n");
	if (buf_ok(&request->added))
		return 0;
	request->added.len = len;
	request->added.error = 0;
	return -ENOMEM;
}

static bool
was_added(const struct session_request *request, struct span name)
{
	struct span rest = buf_span(&request->added);
	while (rest.len) {
		const char *end = memchr(rest.ptr, '\n', rest.len);
		if (rest.len > name.len && rest.ptr[name.len] == ':'
		    && span_eq_nocase(span_of(rest.ptr, name.len), name))
			return true;
		rest = span_skip(rest, (size_t)(end - rest.ptr) + 1);
	}
	return false;
}

static bool
may_pack(const struct session_request *request, const char *content_type)
{
	return request->http->sessions->settings.gzip && content_type
	    && http_accept_packable(content_type)
	    && !was_added(request, SPAN("Content-Encoding"));
}

bool
http_answer_packs(const struct session_request *request, const char *content_type)
{
	return may_pack(request, content_type) && http_accept_gzip(request);
}

/* Whether the connection ends with this answer. */
static bool
must_close(const struct session_request *request, bool until_close)
{
	const struct http *http = request->http;
	if (request->close || !request->keep_alive || http->sessions->draining || until_close)
		return true;
	/* The body is not all read: will the rest come, and is it worth reading? */
	return http->state == HTTP_BODY
	    && (request->expects || request->left > HTTP_DRAIN_BYTES_MAX);
}

static bool
is_bodiless(unsigned status)
{
	return status < 200 || status == 204 || status == 304;
}

void
http_answer_head(struct session_request *request, struct buf *out, const char *content_type,
    const size_t *length, bool packed)
{
	request->close = must_close(request, !length && request->minor0);
	buf_append_str(out, "HTTP/1.1 ");
	buf_append_u64(out, request->status);
	buf_append_byte(out, ' ');
	buf_append_str(out, http1_status_text(request->status));
	buf_append_str(out, "\r\nDate: ");
	buf_append_str(out, session_date(request->http->sessions));
	if (content_type) {
		buf_append_str(out, "\r\nContent-Type: ");
		buf_append_str(out, content_type);
	}
	if (length && !is_bodiless(request->status)) {
		buf_append_str(out, "\r\nContent-Length: ");
		buf_append_u64(out, *length);
	} else if (!length && !request->minor0) {
		buf_append_str(out, "\r\nTransfer-Encoding: chunked");
	}
	if (packed)
		buf_append_str(out, "\r\nContent-Encoding: gzip");
	if (may_pack(request, content_type))
		buf_append_str(out, "\r\nVary: Accept-Encoding");
	if (request->etag) {
		bool weaken = packed && strncmp(request->etag, "W/", 2) != 0;
		buf_append_str(out, weaken ? "\r\nETag: W/" : "\r\nETag: ");
		buf_append_str(out, request->etag);
	}
	if (request->close)
		buf_append_str(out, "\r\nConnection: close");
	else if (request->minor0)
		buf_append_str(out, "\r\nConnection: keep-alive");
	buf_append_str(out, "\r\n");
	buf_append_span(out, buf_span(&request->added));
	buf_append_str(out, "\r\n");
}

/* Compresses all of `body` into `out`; false when that failed or made it no shorter. */
static bool
pack(struct span body, struct buf *out)
{
	struct gzip *gzip;
	if (gzip_create(PACK_LEVEL, &gzip))
		return false;
	buf_init(out, body.len);
	bool end = false;
	int error = 0;
	while (!end && !error) {
		char piece[PACK_PIECE_BYTES];
		ssize_t made = gzip_run(gzip, &body, true, piece, sizeof(piece), &end);
		error = made < 0 ? (int)made : buf_append(out, piece, (size_t)made);
	}
	gzip_destroy(gzip);
	if (error)
		buf_finish(out);
	return !error;
}

void
session_answer(struct session_request *request, unsigned status, const char *content_type,
    struct span body)
{
	if (request->broken)
		return;
	check(request->answer == HTTP_ANSWER_NONE && !request->live);
	struct buf packed;
	bool is_packed = body.len >= HTTP_PACK_BYTES_MIN && http_answer_packs(request, content_type)
	    && !is_bodiless(status) && pack(body, &packed);
	struct span payload = is_packed ? buf_span(&packed) : body;
	struct buf *out = &request->http->sessions->scratch;
	request->status = status;
	http_answer_head(request, out, content_type, &payload.len, is_packed);
	if (request->is_head || is_bodiless(status))
		payload.len = 0;
	bool joined = payload.len <= HTTP_JOIN_BYTES_MAX;
	if (joined)
		buf_append_span(out, payload);
	request->answer = HTTP_ANSWER_ENDED;
	if (!buf_ok(out)) {
		http_answer_lose(request);
	} else {
		http_answer_out(request, buf_span(out));
		if (!joined)
			http_answer_out(request, payload);
	}
	buf_clear(out);
	if (is_packed)
		buf_finish(&packed);
	http_settle_soon(request);
}

void
http_answer_problem_json(struct buf *out, unsigned status, const char *pointer,
    const char *detail)
{
	buf_append_str(out, "{\"type\":\"about:blank\",\"title\":");
	json_write_string(out, span_str(http1_status_text(status)));
	buf_append_str(out, ",\"status\":");
	buf_append_u64(out, status);
	buf_append_str(out, ",\"detail\":");
	json_write_string(out, span_str(detail));
	if (pointer) {
		buf_append_str(out, ",\"pointer\":");
		json_write_string(out, span_str(pointer));
	}
	buf_append_byte(out, '}');
}

static void
add_customary_headers(struct session_request *request, unsigned status)
{
	if (status == 401 && !was_added(request, SPAN("WWW-Authenticate")))
		session_add_header(request, "WWW-Authenticate", SPAN("Bearer realm=\"weir\""));
	if ((status == 429 || status == 503) && !was_added(request, SPAN("Retry-After")))
		session_add_header(request, "Retry-After", SPAN("1"));
}

void
session_problem(struct session_request *request, unsigned status, const char *pointer,
    const char *detail_format, ...)
{
	if (request->broken)
		return;
	struct buf detail, body;
	buf_init(&detail, 0);
	buf_init(&body, 0);
	va_list args;
	va_start(args, detail_format);
	buf_vprintf(&detail, detail_format, args);
	va_end(args);
	buf_append_byte(&detail, '\0');
	http_answer_problem_json(&body, status, pointer, buf_ok(&detail) ? detail.ptr : "");
	add_customary_headers(request, status);
	session_answer(request, status, "application/problem+json", buf_span(&body));
	buf_finish(&body);
	buf_finish(&detail);
}

void
session_problem_later(struct session_request *request, uint64_t wait_ms, const char *what)
{
	uint64_t wait_s = (wait_ms + 999) / 1000;
	char text[NUM_TEXT_BYTES_MAX];
	session_add_header(request, "Retry-After", span_of(text, num_format_u64(text, wait_s)));
	session_problem(request, 429, NULL, "too many %s; come back in %llu s", what,
	    (unsigned long long)wait_s);
}

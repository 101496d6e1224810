/*
 * http_stream.c: streamed answers: chunked for HTTP/1.1, until close for 1.0, compressed when the
 * client takes it. A write is taken whole or not at all (-EAGAIN); it is taken while no more than
 * half of what a connection may be owed is queued, so one write of any size always gets through.
 */
#include <errno.h>
#include <stdio.h>

#include "check.h"
#include "session_priv.h"

enum { STREAM_LEVEL = 4, STREAM_PIECE_BYTES = 8 * 1024 };

int
session_answer_begin(struct session_request *request, unsigned status, const char *content_type)
{
	if (request->broken)
		return -EPIPE;
	check(request->answer == HTTP_ANSWER_NONE && !request->live);
	if (http_answer_packs(request, content_type) && gzip_create(STREAM_LEVEL, &request->gzip))
		request->gzip = NULL; /* memory is short: as it is, then */
	struct buf *out = &request->http->sessions->scratch;
	request->status = status;
	request->answer = HTTP_ANSWER_BEGUN;
	request->chunk_answer = !request->minor0;
	http_answer_head(request, out, content_type, NULL, request->gzip != NULL);
	if (buf_ok(out))
		http_answer_out(request, buf_span(out));
	else
		http_answer_lose(request);
	buf_clear(out);
	return request->broken ? -EPIPE : 0;
}

static void
emit(struct session_request *request, struct span bytes)
{
	if (bytes.len == 0)
		return;
	if (!request->chunk_answer) {
		http_answer_out(request, bytes);
		return;
	}
	char head[24];
	int len = snprintf(head, sizeof(head), "%zx\r\n", bytes.len);
	http_answer_out(request, span_of(head, (size_t)len));
	http_answer_out(request, bytes);
	http_answer_out(request, SPAN("\r\n"));
}

static int
emit_packed(struct session_request *request, struct span bytes, bool finish)
{
	bool end = false;
	ssize_t made;
	do {
		char piece[STREAM_PIECE_BYTES];
		made = gzip_run(request->gzip, &bytes, finish, piece, sizeof(piece), &end);
		if (made < 0)
			return (int)made;
		emit(request, span_of(piece, (size_t)made));
	} while (finish ? !end : made == STREAM_PIECE_BYTES);
	return 0;
}

int
session_answer_write(struct session_request *request, struct span bytes)
{
	struct net_conn *conn = request->http->conn;
	if (request->broken || net_send(conn, (struct span){NULL, 0}))
		return -EPIPE;
	check(request->answer == HTTP_ANSWER_BEGUN);
	if (request->is_head)
		return 0;
	size_t owed = net_out_bytes(conn);
	if (request->rest.len || owed > (owed + net_out_room(conn)) / 2) {
		request->want_writable = true;
		return -EAGAIN;
	}
	int error = 0;
	if (request->gzip)
		error = emit_packed(request, bytes, false);
	else
		emit(request, bytes);
	return request->broken ? -EPIPE : error;
}

void
session_answer_end(struct session_request *request)
{
	if (request->broken)
		return;
	check(request->answer == HTTP_ANSWER_BEGUN);
	if (!request->is_head) {
		if (request->gzip && emit_packed(request, (struct span){NULL, 0}, true)) {
			session_answer_abort(request);
			return;
		}
		if (request->chunk_answer)
			http_answer_out(request, SPAN("0\r\n\r\n"));
	}
	request->answer = HTTP_ANSWER_ENDED;
	http_settle_soon(request);
}

void
session_answer_abort(struct session_request *request)
{
	struct http *http = request->http;
	if (request->broken)
		return;
	request->broken = true;
	buf_finish(&request->rest);
	http->state = HTTP_OVER;
	/* A body that ends with the connection would look whole if it ended in peace. */
	if (request->chunk_answer)
		net_finish(http->conn, NET_CLOSE_ERROR);
	else
		net_close(http->conn, NET_CLOSE_ERROR);
}

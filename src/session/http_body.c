/*
 * http_body.c: a request's body: framing off, compression off, limits on, and on to the handler
 * in pieces or gathered whole.
 *
 * A handler that pauses gets no more than what HTTP_GUNZIP_BYTES of compressed bytes expand to.
 * A compressed body is bounded by what comes out of it, so a bomb ends at the route's limit.
 */
#include <errno.h>

#include "check.h"
#include "session_priv.h"

enum { PIECE_BYTES = 16 * 1024 };

bool
http_body_expected(const struct session_request *request)
{
	return request->chunked || request->left > 0;
}

/* The session gives the answer itself; what the handler says from now on is not heard. */
static enum http_body_result
fail_body(struct session_request *request, unsigned status, const char *detail)
{
	if (request->answer == HTTP_ANSWER_BEGUN) {
		session_answer_abort(request);
	} else {
		request->close |= status == 413;
		session_problem(request, status, NULL, "%s", detail);
		request->broken = true;
	}
	return HTTP_BODY_BAD;
}

static bool
is_listening(const struct session_request *request)
{
	return request->answer != HTTP_ANSWER_ENDED && !request->broken && !request->live;
}

static enum http_body_result
hand_on(struct session_request *request, struct span data)
{
	if (data.len == 0)
		return HTTP_BODY_MORE;
	request->body_bytes += data.len;
	if (request->route->streaming) {
		if (request->route->ops->body && is_listening(request))
			request->route->ops->body(request, data);
		return HTTP_BODY_MORE;
	}
	if (request->body_bytes > request->body_bytes_max)
		return fail_body(request, 413, "the body is larger than this path takes");
	if (request->route->ops->end && buf_append_span(&request->whole, data))
		return fail_body(request, 503, "memory is out");
	return HTTP_BODY_MORE;
}

static enum http_body_result
unpack(struct session_request *request, struct span data)
{
	char piece[PIECE_BYTES];
	ssize_t made;
	if (data.len == 0)
		return HTTP_BODY_MORE;
	do {
		made = gunzip_run(request->gunzip, &data, piece, sizeof(piece),
		    &request->gunzip_over);
		if (made < 0)
			return fail_body(request, made == -EBADMSG ? 400 : 503,
			    made == -EBADMSG ? "the compressed body is damaged" : "memory is out");
		enum http_body_result result = hand_on(request, span_of(piece, (size_t)made));
		if (result != HTTP_BODY_MORE)
			return result;
	} while (data.len > 0 || made == (ssize_t)sizeof(piece));
	return HTTP_BODY_MORE;
}

/* Takes one piece of framing; its data and length. -EBADMSG. */
static ssize_t
unframe(struct session_request *request, struct span in, struct span *ret_data, bool *ret_end)
{
	if (request->chunked)
		return http1_chunked_feed(&request->chunks, in, ret_data, ret_end);
	*ret_data = span_of(in.ptr, (size_t)MIN(request->left, (uint64_t)in.len));
	request->left -= ret_data->len;
	*ret_end = request->left == 0;
	return (ssize_t)ret_data->len;
}

static enum http_body_result
end_body(struct session_request *request)
{
	if (request->gunzip && !request->gunzip_over && is_listening(request))
		return fail_body(request, 400, "the compressed body ends in the middle");
	return HTTP_BODY_END;
}

enum http_body_result
http_body_take(struct session_request *request, struct span bytes, size_t *ret_used)
{
	*ret_used = 0;
	while (bytes.len > 0) {
		struct span piece = bytes, data = {NULL, 0};
		bool listening = is_listening(request), end = false;
		if (listening && request->paused)
			break;
		if (listening && request->gunzip)
			piece.len = MIN(piece.len, (size_t)HTTP_GUNZIP_BYTES);
		ssize_t used = unframe(request, piece, &data, &end);
		if (used < 0) {
			http_refuse(request->http, 400, NET_CLOSE_PROTOCOL,
			    "the chunked body's framing is broken");
			return HTTP_BODY_BAD;
		}
		*ret_used += (size_t)used;
		request->raw_bytes += (uint64_t)used;
		bytes = span_skip(bytes, (size_t)used);
		enum http_body_result result = HTTP_BODY_MORE;
		if (listening)
			result = request->gunzip ? unpack(request, data) : hand_on(request, data);
		if (end && result == HTTP_BODY_MORE)
			result = end_body(request);
		if (end && result == HTTP_BODY_BAD && request->answer == HTTP_ANSWER_ENDED)
			result = HTTP_BODY_END; /* answered; and there is nothing to drain */
		if (result != HTTP_BODY_MORE || used == 0)
			return result;
		if (listening && !is_listening(request))
			break;
	}
	return HTTP_BODY_MORE;
}

void
session_pause_body(struct session_request *request, bool paused)
{
	if (request->paused == paused)
		return;
	request->paused = paused;
	http_settle_soon(request);
}

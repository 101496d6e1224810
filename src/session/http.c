/*
 * http.c: a connection that speaks HTTP/1: its input, its deadlines, its end.
 *
 * Invariants: one request at a time, and while its answer is owed the input is paused, so the next
 * request's bytes wait in net (pipelining costs no recursion: net offers what is left). A request
 * is finished only in settle() or when the connection is gone; the handler is owed gone() from
 * its first call on, exactly once. Whatever breaks the framing ends the connection.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "live.h"
#include "session_priv.h"

enum { WIPE_BYTES_MAX = 4096 }; /* of a body: those that hold passwords are short */

static void
set_deadline(struct http *http, unsigned after_ms)
{
	net_set_deadline(http->conn, loop_mono_ms(http->sessions->loop) + after_ms);
}

/* ── the end of a request ── */

/* No password of a login, or of a short document, stays in memory that was freed. */
static void
wipe_request(struct session_request *request)
{
	struct span header = session_header(request, "Authorization");
	if (header.len && request->route && request->route->login)
		explicit_bzero((char *)request + (header.ptr - (const char *)request), header.len);
	if (request->whole.len && request->whole.len <= WIPE_BYTES_MAX)
		explicit_bzero(request->whole.ptr, request->whole.len);
}

static void
destroy_request(struct session_request *request)
{
	wipe_request(request);
	list_remove(&request->done_link);
	access_principal_unref(request->principal);
	gunzip_destroy(request->gunzip);
	gzip_destroy(request->gzip);
	buf_finish(&request->whole);
	buf_finish(&request->added);
	buf_finish(&request->rest);
	free(request->etag);
	free(request);
}

static void
end_request(struct http *http, bool broken)
{
	struct session_request *request = http->request;
	struct session_loop *sessions = http->sessions;
	if (sessions->hooks.finished && !request->folded) {
		uint64_t took_ns = env_mono_ns(loop_env(sessions->loop)) - request->begun_ns;
		sessions->hooks.finished(sessions->app, request, request->status, took_ns / 1000,
		    request->head_bytes + request->raw_bytes, request->bytes_out);
	}
	if (request->begun && request->route->ops->gone)
		request->route->ops->gone(request, broken);
	http->request = NULL;
	destroy_request(request);
}

static void
free_http(struct http *http)
{
	http_credentials_forget(http);
	list_remove(&http->link);
	free(http);
}

static void
end_answered(struct http *http)
{
	bool close = http->request->close || http->sessions->draining;
	end_request(http, http->request->broken);
	if (close) {
		http->state = HTTP_OVER;
		net_finish(http->conn, http->sessions->draining ? NET_CLOSE_DRAIN : NET_CLOSE_DONE);
		return;
	}
	http->state = HTTP_IDLE;
	set_deadline(http, http->sessions->settings.idle_ms);
}

/* From now on the connection belongs to the transport that the handler chose. */
static void
hand_over(struct http *http)
{
	struct live *live = http->request->live;
	struct net_conn *conn = http->conn;
	http->request->live = NULL;
	end_request(http, false);
	free_http(http);
	net_pause_input(conn, false);
	live_start(live, conn);
}

/* A handler that holds the body back is not the client's fault: no deadline meanwhile. */
static void
hold_body(struct http *http, struct session_request *request)
{
	bool held = http->state == HTTP_BODY && request->paused
	    && request->answer != HTTP_ANSWER_ENDED;
	if (held == request->held)
		return;
	request->held = held;
	if (held)
		net_set_deadline(http->conn, 0);
	else if (http->state == HTTP_BODY)
		set_deadline(http, http->sessions->settings.body_ms);
}

/* Moves on after anything happened. `http` may be gone afterwards. */
static void
settle(struct http *http)
{
	struct session_request *request = http->request;
	if (!request || http->state == HTTP_OVER)
		return;
	list_remove(&request->done_link);
	if (request->live) {
		hand_over(http);
		return;
	}
	bool answered = request->answer == HTTP_ANSWER_ENDED && request->rest.len == 0;
	if (answered && (http->state == HTTP_WAIT || request->close)) {
		end_answered(http);
		request = NULL;
	} else if (answered && http->state == HTTP_BODY) {
		http->state = HTTP_DRAIN;
		request->raw_bytes_answered = request->raw_bytes;
		set_deadline(http, http->sessions->settings.body_ms);
	}
	if (request)
		hold_body(http, request);
	net_pause_input(http->conn, http->state == HTTP_WAIT || (request && request->held));
}

void
http_settle_soon(struct session_request *request)
{
	struct session_loop *sessions = request->http->sessions;
	if (request->http->busy)
		return;
	list_remove(&request->done_link);
	list_push_back(&sessions->done, &request->done_link);
	/* Behind LOOP_FLUSH, where many are answered: then it is in this turn. */
	loop_task_queue(sessions->loop, LOOP_WRITE, &sessions->done_task);
}

void
http_settle_now(struct session_request *request)
{
	if (!request->http->busy)
		settle(request->http);
}

void
http_settle_all(struct session_loop *sessions)
{
	while (!list_empty(&sessions->done)) {
		struct list *link = sessions->done.next;
		list_remove(link);
		settle(CONTAINER_OF(link, struct session_request, done_link)->http);
	}
}

void
http_refuse(struct http *http, unsigned status, enum net_close_reason reason, const char *detail)
{
	struct session_request *request = http->request;
	http->state = HTTP_OVER;
	if (request && request->answer == HTTP_ANSWER_ENDED) {
		net_finish(http->conn, reason);
		return;
	}
	if (request && request->answer == HTTP_ANSWER_BEGUN) {
		request->broken = true;
		net_close(http->conn, reason);
		return;
	}
	if (request) {
		request->status = status;
		request->broken = true;
	}
	struct buf *out = &http->sessions->scratch, body;
	buf_init(&body, 0);
	http_answer_problem_json(&body, status, NULL, detail);
	buf_printf(out, "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Type: application/problem+json\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n\r\n", status, http1_status_text(status),
	    session_date(http->sessions), body.len);
	buf_append_span(out, buf_span(&body));
	if (!buf_ok(out) || !buf_ok(&body) || net_send(http->conn, buf_span(out)))
		net_close(http->conn, reason);
	else
		net_finish(http->conn, reason);
	buf_clear(out);
	buf_finish(&body);
}

/* ── input ── */

static void
tell_end(struct session_request *request)
{
	const struct session_route_ops *ops = request->route->ops;
	if (!ops->end || request->answer == HTTP_ANSWER_ENDED || request->broken || request->live)
		return;
	/* What took its time to come is worth what its credentials are worth now. */
	if (!request->route->streaming && !session_principal_holds(request))
		session_problem(request, 401, NULL, "these credentials are not valid any more");
	else if (http_head_admit_bytes(request))
		ops->end(request, buf_span(&request->whole));
}

static void
begin(struct http *http)
{
	struct session_request *request = http->request;
	request->begun = true;
	if (request->route->ops->begin)
		request->route->ops->begin(request);
	if (http->state == HTTP_WAIT) {
		tell_end(request);
		return;
	}
	if (http->state != HTTP_BODY || request->answer == HTTP_ANSWER_ENDED || request->live)
		return;
	set_deadline(http, http->sessions->settings.body_ms);
	if (request->expects && request->answer == HTTP_ANSWER_NONE) {
		request->expects = false;
		http_answer_out(request, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
	}
}

static size_t
take_head(struct http *http, struct span bytes)
{
	struct session_loop *sessions = http->sessions;
	struct http1_error error;
	ssize_t len = http1_parse_request(bytes, &http->scanned, &sessions->head, &error);
	if (len == 0) {
		if (!http->head_begun)
			set_deadline(http, sessions->settings.head_ms);
		http->head_begun = true;
		return 0;
	}
	if (len < 0) {
		http_refuse(http, error.status, NET_CLOSE_PROTOCOL, error.reason);
		return bytes.len;
	}
	http->scanned = 0;
	http->head_begun = false;
	struct session_request *request = http_head_create(http, span_of(bytes.ptr, (size_t)len));
	if (!request) {
		http->state = HTTP_OVER;
		net_close(http->conn, NET_CLOSE_MEMORY);
		return (size_t)len;
	}
	request->begun_ns = env_mono_ns(loop_env(sessions->loop));
	http->request = request;
	http->state = http_body_expected(request) ? HTTP_BODY : HTTP_WAIT;
	net_set_deadline(http->conn, 0);
	if (http_head_admit(request))
		begin(http);
	return (size_t)len;
}

static size_t
take_body(struct http *http, struct span bytes)
{
	struct session_request *request = http->request;
	size_t used;
	switch (http_body_take(request, bytes, &used)) {
	case HTTP_BODY_MORE:
		set_deadline(http, http->sessions->settings.body_ms);
		break;
	case HTTP_BODY_END:
		http->state = HTTP_WAIT;
		net_set_deadline(http->conn, 0);
		tell_end(request);
		break;
	case HTTP_BODY_BAD:
		break;
	}
	return used;
}

/* The rest of a body whose request is answered. */
static size_t
drain_body(struct http *http, struct span bytes)
{
	struct session_request *request = http->request;
	size_t used;
	if (http_body_take(request, bytes, &used) == HTTP_BODY_END)
		http->state = HTTP_WAIT;
	if (request->raw_bytes - request->raw_bytes_answered > HTTP_DRAIN_BYTES_MAX)
		request->close = true;
	return used;
}

static size_t
http_input(void *ctx, struct span bytes)
{
	struct http *http = ctx;
	size_t used = 0;
	http->busy = true;
	switch ((enum http_state)http->state) {
	case HTTP_IDLE:
		used = take_head(http, bytes);
		break;
	case HTTP_BODY:
		used = take_body(http, bytes);
		break;
	case HTTP_DRAIN:
		used = drain_body(http, bytes);
		break;
	case HTTP_WAIT:
		break;
	case HTTP_OVER:
		used = bytes.len;
		break;
	}
	http->busy = false;
	settle(http);
	return used;
}

static void
http_drained(void *ctx)
{
	struct http *http = ctx;
	struct session_request *request = http->request;
	if (!request || http->state == HTTP_OVER)
		return;
	http->busy = true;
	if (http_answer_flush(request) && request->want_writable
	    && request->answer == HTTP_ANSWER_BEGUN) {
		request->want_writable = false;
		if (request->route->ops->writable)
			request->route->ops->writable(request);
	}
	http->busy = false;
	settle(http);
}

static void
http_deadline(void *ctx)
{
	struct http *http = ctx;
	if (http->state == HTTP_IDLE && !http->head_begun) {
		http->state = HTTP_OVER;
		net_close(http->conn, NET_CLOSE_IDLE);
	} else if (http->state == HTTP_IDLE) {
		http_refuse(http, 408, NET_CLOSE_SLOW_HEAD, "the head did not arrive in time");
	} else if (http->state == HTTP_BODY) {
		http_refuse(http, 408, NET_CLOSE_SLOW_HEAD, "the body did not arrive in time");
	} else if (http->state == HTTP_DRAIN) {
		http->request->close = true;
		settle(http);
	}
}

static void
http_closed(void *ctx, enum net_close_reason reason)
{
	struct http *http = ctx;
	(void)reason; /* net counts it */
	if (http->request) {
		struct session_request *request = http->request;
		bool answered = request->answer == HTTP_ANSWER_ENDED && request->rest.len == 0;
		if (request->live)
			live_destroy(request->live);
		end_request(http, !answered || request->broken);
	}
	free_http(http);
}

static const struct net_conn_ops http_conn_ops = {
	.input = http_input,
	.drained = http_drained,
	.deadline = http_deadline,
	.closed = http_closed,
};

struct http *
http_create(struct session_loop *sessions, struct net_conn *conn, bool local)
{
	struct http *http = calloc(1, sizeof(*http));
	if (!http)
		return NULL;
	http->sessions = sessions;
	http->conn = conn;
	http->local = local;
	list_push_back(&sessions->https, &http->link);
	return http;
}

static int
accept_conn(struct session_loop *sessions, struct net_conn *conn, bool local,
    const struct net_conn_ops **ret_ops, void **ret_ctx)
{
	if (sessions->draining)
		return -ECONNREFUSED;
	struct http *http = http_create(sessions, conn, local);
	if (!http)
		return -ENOMEM;
	set_deadline(http, sessions->settings.idle_ms);
	*ret_ops = &http_conn_ops;
	*ret_ctx = http;
	return 0;
}

int
session_accept_http(void *ctx, struct net_conn *conn, const struct net_conn_ops **ret_ops,
    void **ret_ctx)
{
	return accept_conn(ctx, conn, false, ret_ops, ret_ctx);
}

int
session_accept_admin(void *ctx, struct net_conn *conn, const struct net_conn_ops **ret_ops,
    void **ret_ctx)
{
	return accept_conn(ctx, conn, true, ret_ops, ret_ctx);
}

void
http_own(struct http *http)
{
	net_set_owner(http->conn, &http_conn_ops, http);
}

size_t
http_resume(struct session_loop *sessions, struct net_conn *conn, bool local, struct span bytes)
{
	struct http *http = http_create(sessions, conn, local);
	if (!http) {
		net_close(conn, NET_CLOSE_MEMORY);
		return bytes.len;
	}
	http_own(http);
	set_deadline(http, sessions->settings.idle_ms);
	return bytes.len ? http_input(http, bytes) : 0;
}

void
http_drain(struct http *http)
{
	if (http->state != HTTP_IDLE)
		return; /* it ends with its request */
	http->state = HTTP_OVER;
	net_finish(http->conn, NET_CLOSE_DRAIN);
}

/*
 * http_fold.c: requests that are held for long: folded into what their answers need, so that very
 * many can wait; unfolded to be answered; and asked again.
 *
 * Who polls asks for the same again and again, but for where to go on. So a folded request knows
 * the bytes of its head by a hash under a key that nobody outside has: without those of the value
 * of `since`. A head with the same bytes around a cursor means the same, and is let in by the same
 * checks as the first, without being read anew (docs/decisions/0014).
 */
#include <errno.h>
#include <stdlib.h>

#include "access_limits.h"
#include "check.h"
#include "num.h"
#include "session_priv.h"

/* A longer one goes the long way: what it is built in stays as large as it was. */
enum { SHORT_BYTES_MAX = 64 * 1024 };

/* ── knowing it again ── */

/* The value of the one `since`, as it stands in the head; ptr NULL: it is not said so, or not only
 * there. */
static struct span
since_of(const struct session_request *request)
{
	struct span query = request->query, name, value, found = {NULL, 0};
	size_t pos = 0;
	if (session_header(request, "Last-Event-ID").ptr)
		return found;
	while (http1_query_next(&query, &name, &value)) {
		if (span_eq(name, SPAN("since")) && value.ptr)
			found = value;
	}
	size_t count = 0;
	while (session_query_next(request, &pos, &name, &value)) {
		if (span_eq(name, SPAN("last_event_id")))
			return span_of(NULL, 0);
		count += span_eq(name, SPAN("since"));
	}
	return count == 1 ? found : span_of(NULL, 0);
}

static uint64_t
print_of(const struct session_loop *sessions, struct span before, struct span behind)
{
	return access_print(sessions->access, behind, access_print(sessions->access, before, 0));
}

/* Notes what the head is known by, if the next one may follow on the connection. */
static void
fold_print(const struct session_request *request, struct http_folded *folded)
{
	struct span head = request->head, since = since_of(request);
	if (!since.ptr || request->method_text.ptr != head.ptr || request->is_head ||
	    request->minor0 || !request->keep_alive || request->close || request->expects ||
	    request->guest || http_body_expected(request))
		return;
	struct span before = span_of(head.ptr, (size_t)(since.ptr - head.ptr));
	struct span behind = span_skip(head, before.len + since.len);
	if (before.len > UINT16_MAX || behind.len > UINT16_MAX)
		return;
	folded->before = (uint16_t)before.len;
	folded->behind = (uint16_t)behind.len;
	folded->print = print_of(request->http->sessions, before, behind);
}

void
http_fold(struct session_request *request, struct http_folded *ret_folded)
{
	request->folded = true;
	*ret_folded = (struct http_folded){
		.route = request->route,
		.begun = (uint32_t)(request->begun_ns >> 20),
		.bytes_in = (uint32_t)(request->head_bytes + request->raw_bytes),
		.origin = http_cors_origin(request),
		.is_head = request->is_head,
		.minor0 = request->minor0,
		.keep_alive = request->keep_alive,
		.close = request->close,
		.takes_gzip = http_accept_gzip(request),
		.local = request->http->local,
	};
	fold_print(request, ret_folded);
}

/* The cursor that the bytes begin with; its length, or 0. */
static size_t
read_cursor(struct span bytes, uint64_t *ret_cursor)
{
	size_t len = 1;
	if (bytes.len < 2 || bytes.ptr[0] != 'm')
		return 0;
	while (len < bytes.len && len <= NUM_TEXT_BYTES_MAX && bytes.ptr[len] >= '0' &&
	    bytes.ptr[len] <= '9')
		len++;
	return num_parse_u64(span_of(bytes.ptr + 1, len - 1), ret_cursor) ? 0 : len;
}

/* What http_head.c looks at where nothing has changed since. */
static bool
let_in(const struct session_loop *sessions, const struct http_folded *folded,
    const struct access_principal *principal, uint64_t now_ns)
{
	uint32_t rights = folded->route->rights;
	if (!sessions->ready || sessions->draining || !http_credentials_hold(sessions, principal))
		return false;
	if (principal && (principal->rights & rights) != rights)
		return false;
	return access_limits_take(sessions->settings.limits, principal, ACCESS_RATE_REQUESTS, 1,
	    now_ns, false) == 0;
}

size_t
http_fold_again(struct session_loop *sessions, struct http_folded *folded,
    const struct access_principal *principal, struct span bytes, uint64_t cursor)
{
	uint64_t now_ns = env_mono_ns(loop_env(sessions->loop)), said;
	if (!folded->behind || bytes.len < (size_t)folded->before + folded->behind)
		return 0;
	struct span rest = span_skip(bytes, folded->before);
	size_t len = read_cursor(rest, &said);
	if (!len || said != cursor || rest.len < len + folded->behind)
		return 0;
	rest = span_skip(rest, len);
	struct span before = span_of(bytes.ptr, folded->before);
	if (print_of(sessions, before, span_of(rest.ptr, folded->behind)) != folded->print ||
	    !let_in(sessions, folded, principal, now_ns))
		return 0;
	len += (size_t)folded->before + folded->behind;
	folded->begun = (uint32_t)(now_ns >> 20);
	folded->bytes_in = (uint32_t)len;
	return len;
}

/* ── answers ── */

/* To a millisecond. */
static uint64_t
begun_ns(const struct session_loop *sessions, const struct http_folded *folded)
{
	uint64_t now_ns = env_mono_ns(loop_env(sessions->loop));
	return now_ns - ((uint64_t)((uint32_t)(now_ns >> 20) - folded->begun) << 20);
}

struct session_request *
http_unfold(struct session_loop *sessions, struct net_conn *conn,
    const struct http_folded *folded, struct access_principal *principal)
{
	struct session_request *request =
	    malloc(sizeof(*request) + sizeof(struct http1_header));
	struct http *http = request ? http_create(sessions, conn, folded->local) : NULL;
	if (!http) {
		free(request);
		net_close(conn, NET_CLOSE_MEMORY);
		return NULL;
	}
	http_head_unfold(folded, request);
	request->begun_ns = begun_ns(sessions, folded);
	request->headers = (struct http1_header *)(request + 1);
	request->headers[0] = (struct http1_header){SPAN("Accept-Encoding"), SPAN("gzip")};
	request->header_count = folded->takes_gzip ? 1 : 0;
	request->http = http;
	request->principal = principal ? access_principal_ref(principal) : NULL;
	http->request = request;
	http->state = HTTP_WAIT;
	http_cors_write(sessions, folded->origin, &request->added);
	http_own(http);
	net_pause_input(conn, true);
	net_set_deadline(conn, 0);
	return request;
}

/* Whether it is the same with the long way, and can leave at once. */
static bool
is_short(const struct session_loop *sessions, const struct net_conn *conn,
    const struct http_folded *folded, size_t len)
{
	bool packs = folded->takes_gzip && sessions->settings.gzip && len >= HTTP_PACK_BYTES_MIN;
	return folded->behind && len <= SHORT_BYTES_MAX && !packs && !sessions->draining &&
	    !net_out_bytes(conn);
}

bool
http_answer_folded(struct session_loop *sessions, struct net_conn *conn,
    const struct http_folded *folded, size_t len, void (*write)(void *ctx, struct buf *out),
    void *ctx)
{
	struct http http = {
		.sessions = sessions, .conn = conn, .state = HTTP_WAIT, .local = folded->local};
	struct session_request request;
	struct buf *out = &sessions->scratch;
	if (!is_short(sessions, conn, folded, len))
		return false;
	http_head_unfold(folded, &request);
	request.http = &http;
	request.status = 200;
	http_cors_write(sessions, folded->origin, &sessions->headers);
	buf_append_str(&sessions->headers, "Cache-Control: no-cache\r\n");
	request.added = sessions->headers; /* lent */
	http_answer_head(&request, out, "application/json", &len, false);
	size_t head_len = out->len;
	write(ctx, out);
	bool made = buf_ok(out) && buf_ok(&sessions->headers) && out->len <= net_out_room(conn);
	if (made) {
		check(out->len == head_len + len && !request.close);
		if (net_send_now(conn, buf_span(out)) == -ENOMEM)
			net_close(conn, NET_CLOSE_MEMORY);
		uint64_t took_ns =
		    env_mono_ns(loop_env(sessions->loop)) - begun_ns(sessions, folded);
		if (sessions->hooks.finished)
			sessions->hooks.finished(sessions->app, &request, 200, took_ns / 1000,
			    folded->bytes_in, out->len);
	}
	buf_clear(out);
	buf_clear(&sessions->headers);
	return made;
}

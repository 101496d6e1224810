/*
 * fuzz_session.c: conversations with the edge of a server over a socket pair. The first byte says
 * which: bytes as they are for HTTP, or, after a WebSocket's handshake (in half of the cases with
 * compression), bytes as they are or as a script of frames. Holds: each handler that began hears
 * its end once, nothing is left over, and HTTP answers are the same however the request's bytes
 * are cut.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "deflate.h"
#include "loop.h"
#include "net.h"
#include "session.h"
#include "store.h"
#include "ws.h"

enum { SEED_BYTES_MAX = 8192, QUIET_TURNS = 3, TURNS_MAX = 2000 };

#define KEY "the-key"
#define HANDSHAKE "GET /ws?channel=%23&token=" KEY " HTTP/1.1\r\nHost: h\r\n" \
	"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define DEFLATE "Sec-WebSocket-Extensions: permessage-deflate\r\n"

struct edge {
	struct env *env;
	struct loop *loop;
	struct net *net;
	struct access *access;
	struct hub *hub;
	struct hub_local *local;
	struct session_routes *routes;
	struct session_loop *sessions;
	uint64_t tokens[64], questions[64];
	size_t token_count, question_count;
	uint64_t seq, streamed;
	unsigned begun, gone;
};

/* ── handlers ── */

static void
begin(struct session_request *request)
{
	((struct edge *)session_app(request))->begun++;
}

static void
gone(struct session_request *request, bool broken)
{
	(void)broken;
	((struct edge *)session_app(request))->gone++;
}

static void
whole_end(struct session_request *request, struct span whole)
{
	size_t pos = 0;
	struct span name, value;
	while (session_query_next(request, &pos, &name, &value))
		check(name.ptr && value.ptr);
	session_answer(request, 200, "text/plain", whole);
}

static void
stream_body(struct session_request *request, struct span bytes)
{
	((struct edge *)session_app(request))->streamed += bytes.len;
}

static void
stream_end(struct session_request *request, struct span whole)
{
	struct edge *edge = session_app(request);
	(void)whole;
	if (session_answer_begin(request, 200, "text/plain"))
		return;
	if (session_answer_write(request, edge->streamed > 9 ? SPAN("many") : SPAN("few")) == 0)
		session_answer_end(request);
	else
		session_answer_abort(request);
	edge->streamed = 0;
}

static void
live_end(struct session_request *request, struct span whole)
{
	struct span patterns[4], name, value;
	struct session_subscription subscription = {.patterns = patterns};
	size_t pos = 0;
	(void)whole;
	while (session_query_next(request, &pos, &name, &value)) {
		if (span_eq(name, SPAN("channel")) && subscription.pattern_count < 4)
			patterns[subscription.pattern_count++] = value;
	}
	if (session_header(request, "Upgrade").ptr)
		session_become_ws(request, &subscription);
	else
		session_become_sse(request, &subscription);
}

static const struct session_route_ops whole_ops = {
	.begin = begin, .end = whole_end, .gone = gone,
};
static const struct session_route_ops stream_ops = {
	.begin = begin, .body = stream_body, .end = stream_end, .gone = gone,
};
static const struct session_route_ops live_ops = {.begin = begin, .end = live_end, .gone = gone};

static const struct session_route routes[] = {
	{.path = "/", .methods = SESSION_GET | SESSION_POST, .body_bytes_max = 64,
	    .ops = &whole_ops},
	{.path = "/a/{b}/{c...}", .methods = SESSION_GET, .rights = 1, .ops = &whole_ops},
	{.path = "/write", .methods = SESSION_POST, .streaming = true, .ops = &stream_ops},
	{.path = "/ws", .methods = SESSION_GET, .rights = ACCESS_SUBSCRIBE, .late_token = true,
	    .ops = &live_ops},
};

static int
want(void *ctx, unsigned loop, struct span tenant, struct span pattern, bool wanted,
    uint64_t token)
{
	struct edge *edge = ctx;
	if (wanted && edge->token_count == ARRAY_COUNT(edge->tokens))
		return -EAGAIN;
	check(hub_want(edge->hub, loop, tenant, pattern, wanted) == 0);
	if (wanted)
		edge->tokens[edge->token_count++] = token;
	return 0;
}

/* Answered after the turn, unless there are too many. */
static int
ask(void *ctx, unsigned loop, const struct hub_question *question, uint64_t token)
{
	struct edge *edge = ctx;
	(void)loop;
	check(question->pattern_count > 0 && question->tenant.len > 0);
	if (edge->question_count == ARRAY_COUNT(edge->questions))
		return -ENOMEM;
	edge->questions[edge->question_count++] = token;
	return 0;
}

static void
publish(void *app, const struct access_principal *principal, const struct span *channels,
    size_t channel_count, struct span key, struct span data,
    void (*done)(void *ctx, int error, struct span id_or_detail), void *ctx)
{
	struct edge *edge = app;
	struct hub_message *message;
	check(channel_count > 0 && data.len > 0);
	check(key.len == 0 || key.ptr);
	check(hub_message_create(++edge->seq, 0, principal->tenant, channels[0], data,
	    &message) == 0);
	hub_local_deliver(edge->local, message);
	hub_message_unref(message);
	if (data.len % 5 == 0) {
		const struct hub_target target = {.name = channels[0], .id = edge->seq};
		hub_local_closed(edge->local, principal->tenant, &target);
	}
	done(ctx, 0, SPAN("m1"));
}

/* Odd ids are of channels, with names that they do not look like; the even ones of none. */
static void
names(void *app, struct span tenant, const struct span *ids, size_t count,
    void (*done)(void *ctx, int error, const struct span *names), void *ctx)
{
	struct span found[64];
	int error = count > ARRAY_COUNT(found) ? -ENOMEM : 0;
	(void)app;
	check(tenant.len > 0 && count > 0);
	for (size_t i = 0; i < count && !error; i++) {
		check(hub_pattern_is_id(ids[i]));
		found[i] = ids[i].len % 2 ? SPAN("a/b") : SPAN("12");
		error = ids[i].ptr[ids[i].len - 1] % 2 ? 0 : -ENOENT;
	}
	done(ctx, error, error ? NULL : found);
}

/* ── the edge ── */

static void
edge_open(struct edge *edge)
{
	static const unsigned char secret[32] = {1};
	static const struct hub_hooks hub_hooks = {.want = want, .ask = ask};
	static const struct session_hooks hooks = {.publish = publish, .names = names};
	static const struct net_limits limits = {
		.in_bytes_max = 65536, .out_bytes_max = 65536, .conns_max = 4,
		.slow_write_ms = 60000,
	};
	static const struct session_settings settings = {
		.body_bytes_max = 4096, .idle_ms = 60000, .head_ms = 60000, .body_ms = 60000,
		.sse_comment_ms = 60000, .ws_ping_ms = 60000, .ws_message_bytes_max = 512,
		.ws_deflate_bytes_min = 64, .gzip = true,
	};
	const struct session_route *const tables[] = {routes};
	const size_t counts[] = {ARRAY_COUNT(routes)};
	unsigned char hash[ACCESS_HASH_BYTES];
	access_key_hash(secret, SPAN(KEY), hash);
	const struct store_key key = {
		.id = 1, .tenant = SPAN("main"), .name = SPAN("k"), .rights = 15,
		.hash = span_of((const char *)hash, sizeof(hash)),
	};
	*edge = (struct edge){.env = env_create()};
	check(edge->env);
	check(loop_create(edge->env, 0, &edge->loop) == 0);
	check(net_create(edge->loop, socket_real(), &limits, &edge->net) == 0);
	check(access_create(secret, &edge->access) == 0);
	check(access_key_put(edge->access, &key) == 0);
	check(hub_create(1, &edge->hub) == 0);
	check(hub_local_create(edge->loop, &hub_hooks, edge, &edge->local) == 0);
	check(session_routes_create(tables, counts, 1, &edge->routes) == 0);
	check(session_loop_create(edge->loop, edge->net, edge->access, edge->local, edge->routes,
	    &settings, &hooks, edge, &edge->sessions) == 0);
	session_set_ready(edge->sessions, true);
}

static void
edge_close(struct edge *edge)
{
	struct hub_stats stats;
	hub_local_stats(edge->local, &stats);
	check(stats.subscriptions == 0 && stats.sinks == 0);
	check(edge->begun == edge->gone);
	session_loop_destroy(edge->sessions);
	session_routes_destroy(edge->routes);
	hub_local_destroy(edge->local);
	hub_destroy(edge->hub);
	access_destroy(edge->access);
	net_destroy(edge->net);
	loop_destroy(edge->loop);
	env_destroy(edge->env);
}

/* Of the past there is one message, and now and then a gap or more. */
static void
answer_questions(struct edge *edge)
{
	size_t count = edge->question_count;
	uint64_t tokens[ARRAY_COUNT(edge->questions)];
	memcpy(tokens, edge->questions, sizeof(tokens));
	edge->question_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct hub_message *message;
		check(hub_message_create(++edge->seq, 0, SPAN("main"), SPAN("a"), SPAN("1"),
		    &message) == 0);
		const struct hub_caught caught = {
			.token = tokens[i],
			.error = tokens[i] % 7 ? 0 : -ENOMEM,
			.answer = {.gap = tokens[i] % 2, .more = tokens[i] % 4 == 0,
			    .seq_last = edge->seq},
			.seq = edge->seq,
		};
		hub_local_caught(edge->local, &caught, &message, caught.error ? 0 : 1);
		hub_message_unref(message);
	}
}

/* One turn, then what came; false when nothing did. */
static bool
step(struct edge *edge, int fd, struct buf *out)
{
	char bytes[4096];
	bool came = false;
	loop_turn(edge->loop, 0);
	for (size_t i = 0; i < edge->token_count; i++)
		hub_local_confirmed(edge->local, edge->tokens[i], ++edge->seq);
	edge->token_count = 0;
	answer_questions(edge);
	for (;;) {
		ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (got <= 0)
			return came;
		came = true;
		check(buf_append(out, bytes, (size_t)got) == 0);
	}
}

/* Sends all of `in` in pieces of `piece` bytes and gathers what is said until the end. */
static void
converse(struct span in, size_t piece, struct buf *out)
{
	struct edge edge;
	struct net_stats stats;
	struct net_conn *conn;
	const struct net_conn_ops *ops;
	void *ctx;
	int pair[2];
	edge_open(&edge);
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	/* The accept function needs the connection, so it is adopted without an owner first. */
	static const struct net_conn_ops none;
	check(net_adopt(edge.net, pair[0], &none, NULL, &conn) == 0);
	check(session_accept_http(edge.sessions, conn, &ops, &ctx) == 0);
	net_set_owner(conn, ops, ctx);
	while (in.len) {
		size_t len = MIN(in.len, piece);
		if (send(pair[1], in.ptr, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		in = span_skip(in, len);
		step(&edge, pair[1], out);
	}
	for (unsigned quiet = 0; quiet < QUIET_TURNS; quiet++) {
		if (step(&edge, pair[1], out))
			quiet = 0;
	}
	close(pair[1]);
	net_drain(edge.net, NET_CLOSE_DRAIN, 0);
	for (unsigned i = 0; i < TURNS_MAX; i++) {
		net_stats(edge.net, &stats);
		if (stats.open == 0)
			break;
		loop_turn(edge.loop, 0);
	}
	check(stats.open == 0);
	edge_close(&edge);
}

/* The clock may move between two conversations. */
static void
blank_dates(struct buf *out)
{
	if (!out->ptr)
		return;
	char *at = out->ptr, *end = out->ptr + out->len;
	while ((at = memmem(at, (size_t)(end - at), "\r\nDate: ", 8)))
		for (at += 8; at < end && *at != '\r'; at++)
			*at = '-';
}

static void
check_http(struct span in, size_t piece)
{
	struct buf whole, cut;
	buf_init(&whole, 0);
	buf_init(&cut, 0);
	converse(in, SEED_BYTES_MAX, &whole);
	converse(in, piece, &cut);
	blank_dates(&whole);
	blank_dates(&cut);
	/* What a WebSocket says after its handshake may come in another order. */
	if (!whole.len || !memmem(whole.ptr, whole.len, "HTTP/1.1 101", 12))
		check(span_eq(buf_span(&whole), buf_span(&cut)));
	buf_finish(&whole);
	buf_finish(&cut);
}

/* A script of frames: first byte, length below 126, payload; not masked by any bits. Two reserved
 * bits together stand for one, and for a payload that is to be compressed. */
static void
append_frames(struct buf *out, struct span in)
{
	static const uint8_t mask[4];
	while (in.len >= 2) {
		size_t len = MIN((size_t)((unsigned char)in.ptr[1] % 126), in.len - 2);
		unsigned first = (unsigned char)in.ptr[0];
		bool pack = (first & 0x70) == 0x60;
		struct buf packed;
		char head[WS_HEAD_BYTES_MAX];
		buf_init(&packed, 0);
		if (pack)
			check(deflate_pack(span_of(in.ptr + 2, len), &packed) == 0);
		struct span payload = pack ? buf_span(&packed) : span_of(in.ptr + 2, len);
		size_t bytes = ws_write_head(head, WS_TEXT, true, true, payload.len, mask);
		head[0] = (char)(pack ? first & ~0x20u : first);
		buf_append(out, head, bytes);
		buf_append_span(out, payload);
		buf_finish(&packed);
		in = span_skip(in, 2 + len);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 || size > SEED_BYTES_MAX)
		return 0;
	struct span in = span_of((const char *)data + 1, size - 1);
	size_t piece = 1 + data[0] / 4;
	struct buf request, out;
	if (data[0] % 4 < 2) {
		check_http(in, piece);
		return 0;
	}
	buf_init(&request, 0);
	buf_init(&out, 0);
	buf_append_span(&request, SPAN(HANDSHAKE));
	if (data[0] & 64)
		buf_append_span(&request, SPAN(DEFLATE));
	buf_append_span(&request, SPAN("\r\n"));
	if (data[0] % 4 == 2)
		append_frames(&request, in);
	else
		buf_append_span(&request, in);
	check(buf_ok(&request));
	converse(buf_span(&request), piece, &out);
	check(out.len > 0);
	buf_finish(&request);
	buf_finish(&out);
	return 0;
}

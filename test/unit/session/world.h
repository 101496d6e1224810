/*
 * world.h: a server's edge in one thread for the tests of session: a loop with net, access, hub and
 * sessions on a loopback port; routes that show what handlers see; and clients that are driven by
 * the same thread, turn by turn.
 */
#ifndef WEIR_TEST_SESSION_WORLD_H
#define WEIR_TEST_SESSION_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "http1.h"
#include "loop.h"
#include "net.h"
#include "num.h"
#include "session.h"
#include "store.h"

#define KEY_ALL "key-of-all-rights"
#define KEY_READ "key-that-only-reads"
#define KEY_BLOG "key-of-the-blog"
#define AUTH "Authorization: Bearer " KEY_ALL "\r\n"

enum { TURNS_MAX = 20000 };

struct world {
	struct env *env;
	struct loop *loop;
	struct socket_env sockets;
	struct net *net;
	struct access *access;
	struct hub *hub;
	struct hub_local *local;
	struct session_routes *routes;
	struct session_loop *sessions;
	char address[64];

	/* The sequencer, played by the test: confirmations wait for world_confirm. */
	uint64_t tokens[256];
	size_t token_count;
	bool confirm_by_hand;
	struct hub_caught answers[256]; /* to questions */
	size_t question_count;
	unsigned asked;           /* questions in all */
	uint64_t asked_cursor;    /* of the last one */
	uint64_t gone_id;         /* the sequencer knows no such channel any more */
	uint64_t seq;

	void (*faults)(bool on); /* called around the server's own work; NULL: nothing */

	/* What handlers did. */
	unsigned begun, gone, broken, writables, bodies, finished;
	unsigned status_last;
	uint64_t body_bytes;
	struct session_request *held;
	struct { void (*done)(void *ctx, int error, struct span text); void *ctx; } publish;
	struct { void (*done)(void *ctx, int error, const struct span *names); void *ctx; } lookup;
	char looked_up[256];      /* ids, each with a blank behind */
	char published[512];
};

/* ── handlers ── */

static inline struct world *
world_of(struct session_request *request)
{
	return session_app(request);
}

static inline uint64_t
number_of(struct session_request *request, const char *name)
{
	uint64_t value = 0;
	struct span text = session_query(request, name);
	if (text.ptr)
		assert_int_equal(num_parse_u64(text, &value), 0);
	return value;
}

static inline void
note_begin(struct session_request *request)
{
	world_of(request)->begun++;
}

static inline void
note_gone(struct session_request *request, bool broken)
{
	struct world *world = world_of(request);
	world->gone++;
	world->broken += broken;
	if (world->held == request)
		world->held = NULL;
	free(session_state(request));
}

static inline void
hello_begin(struct session_request *request)
{
	note_begin(request);
	session_answer(request, 200, "text/plain", SPAN("hello"));
}

/* "a=x|rest=y|q=z;" */
static inline void
echo_begin(struct session_request *request)
{
	note_begin(request);
	struct buf out;
	buf_init(&out, 0);
	struct span a = session_path_param(request, "a");
	struct span rest = session_path_param(request, "rest");
	buf_printf(&out, "a=%.*s|rest=%.*s|", SPAN_ARG(a), SPAN_ARG(rest));
	size_t pos = 0;
	struct span name, value;
	while (session_query_next(request, &pos, &name, &value))
		buf_printf(&out, "%.*s=%.*s;", SPAN_ARG(name), SPAN_ARG(value));
	session_answer(request, 200, "text/plain", buf_span(&out));
	buf_finish(&out);
}

static inline void
whole_end(struct session_request *request, struct span whole)
{
	session_answer(request, 200, "text/plain", whole);
}

static inline void
stream_begin(struct session_request *request)
{
	note_begin(request);
	if (session_query(request, "early").ptr)
		session_answer(request, 200, "text/plain", SPAN("early"));
	if (session_query(request, "refuse").ptr)
		session_problem(request, 503, NULL, "not now");
	if (session_query(request, "hold").ptr) {
		world_of(request)->held = request;
		session_pause_body(request, true);
	}
}

static inline void
stream_body(struct session_request *request, struct span bytes)
{
	world_of(request)->bodies++;
	world_of(request)->body_bytes += bytes.len;
	if (session_query(request, "pause").ptr) {
		world_of(request)->held = request;
		session_pause_body(request, true);
	}
}

static inline void
stream_end(struct session_request *request, struct span whole)
{
	char text[32];
	assert_int_equal(whole.len, 0);
	size_t len = num_format_u64(text, world_of(request)->body_bytes);
	world_of(request)->body_bytes = 0;
	session_answer(request, 200, "text/plain", span_of(text, len));
}

static inline void
large_begin(struct session_request *request)
{
	note_begin(request);
	size_t len = (size_t)number_of(request, "n");
	char *body = malloc(len + 1);
	for (size_t i = 0; i < len; i++)
		body[i] = (char)('a' + i % 23);
	session_add_header(request, "ETag", SPAN("\"v1\""));
	session_answer(request, 200, "text/plain", span_of(body, len));
	free(body);
}

struct rows { uint64_t next, count; };

static inline void
rows_write(struct session_request *request)
{
	struct rows *rows = session_state(request);
	world_of(request)->writables++;
	while (rows->next < rows->count) {
		char row[64];
		int len = snprintf(row, sizeof(row), "row %08llu\n",
		    (unsigned long long)rows->next);
		int error = session_answer_write(request, span_of(row, (size_t)len));
		if (error == -EAGAIN || error == -EPIPE)
			return;
		assert_int_equal(error, 0);
		rows->next++;
	}
	if (session_query(request, "abort").ptr)
		session_answer_abort(request);
	else
		session_answer_end(request);
}

static inline void
rows_begin(struct session_request *request)
{
	note_begin(request);
	struct rows *rows = calloc(1, sizeof(*rows));
	if (!rows) {
		session_problem(request, 503, NULL, "memory is out");
		return;
	}
	rows->count = number_of(request, "n");
	session_set_state(request, rows);
	if (session_answer_begin(request, 200, "text/csv") == 0)
		rows_write(request);
}

static inline void
later_begin(struct session_request *request)
{
	note_begin(request);
	world_of(request)->held = request;
}

enum { CHANNELS_MAX = 16 };

/* Every `channel=` of the query. */
static inline size_t
channels_of(const struct session_request *request, struct span patterns[CHANNELS_MAX])
{
	struct span name, value;
	size_t pos = 0, count = 0;
	while (session_query_next(request, &pos, &name, &value)) {
		if (!span_eq(name, SPAN("channel")))
			continue;
		assert_true(count < CHANNELS_MAX);
		patterns[count++] = value;
	}
	return count;
}

static inline void
live_begin(struct session_request *request, bool ws)
{
	note_begin(request);
	struct span patterns[CHANNELS_MAX];
	struct session_subscription subscription = {.patterns = patterns,
	    .pattern_count = channels_of(request, patterns)};
	/* A cursor: world_confirm answers with a gap. */
	subscription.since =
	    session_query(request, "gap").ptr ? HUB_SINCE_CURSOR : HUB_SINCE_NOW;
	struct span slow = session_query(request, "slow");
	if (slow.ptr)
		subscription.slow = span_eq(slow, SPAN("oldest")) ? HUB_SLOW_DROP_OLDEST :
		    HUB_SLOW_DROP_NEWEST;
	if (ws)
		session_become_ws(request, &subscription);
	else
		session_become_sse(request, &subscription);
}

/* The same, from `since` on. */
static inline void
poll_begin(struct session_request *request)
{
	note_begin(request);
	struct span patterns[CHANNELS_MAX];
	struct session_subscription subscription = {.patterns = patterns,
	    .pattern_count = channels_of(request, patterns)};
	assert_true(session_since(session_query(request, "since"), 0, &subscription));
	const struct hub_question question = {
		.tenant = SPAN("main"), .patterns = patterns,
		.pattern_count = subscription.pattern_count, .since = subscription.since,
		.cursor = subscription.cursor, .until_ms = INT64_MAX,
	};
	session_become_poll(request, &question, 100);
}

static inline void
sse_begin(struct session_request *request)
{
	live_begin(request, false);
}

static inline void
ws_begin(struct session_request *request)
{
	live_begin(request, true);
}

static const struct session_route_ops hello_ops = {.begin = hello_begin, .gone = note_gone};
static const struct session_route_ops echo_ops = {.begin = echo_begin, .gone = note_gone};
static const struct session_route_ops whole_ops = {
	.begin = note_begin, .end = whole_end, .gone = note_gone,
};
static const struct session_route_ops stream_ops = {
	.begin = stream_begin, .body = stream_body, .end = stream_end, .gone = note_gone,
};
static const struct session_route_ops large_ops = {.begin = large_begin, .gone = note_gone};
static const struct session_route_ops rows_ops = {
	.begin = rows_begin, .writable = rows_write, .gone = note_gone,
};
static const struct session_route_ops later_ops = {.begin = later_begin, .gone = note_gone};
static const struct session_route_ops sse_ops = {.begin = sse_begin, .gone = note_gone};
static const struct session_route_ops poll_ops = {.begin = poll_begin, .gone = note_gone};
static const struct session_route_ops ws_ops = {.begin = ws_begin, .gone = note_gone};

static const struct session_route world_routes[] = {
	{.path = "/", .methods = SESSION_GET, .ops = &hello_ops},
	{.path = "/healthz", .methods = SESSION_GET, .ops = &hello_ops},
	{.path = "/pages/{a...}", .methods = SESSION_GET, .fallback = true, .ops = &hello_ops},
	{.path = "/echo/{a}", .methods = SESSION_GET, .ops = &echo_ops},
	{.path = "/echo/{a}/{rest...}", .methods = SESSION_GET, .ops = &echo_ops},
	{.path = "/whole", .methods = SESSION_POST | SESSION_PUT, .rights = ACCESS_WRITE,
	    .body_bytes_max = 4000, .ops = &whole_ops},
	{.path = "/whole", .methods = SESSION_GET, .ops = &hello_ops},
	{.path = "/write", .methods = SESSION_POST, .rights = ACCESS_WRITE, .streaming = true,
	    .ops = &stream_ops},
	{.path = "/read", .methods = SESSION_GET, .rights = ACCESS_READ, .ops = &hello_ops},
	{.path = "/large", .methods = SESSION_GET, .ops = &large_ops},
	{.path = "/rows", .methods = SESSION_GET, .ops = &rows_ops},
	{.path = "/later", .methods = SESSION_GET | SESSION_POST, .ops = &later_ops},
	{.path = "/sse", .methods = SESSION_GET, .rights = ACCESS_SUBSCRIBE, .ops = &sse_ops},
	{.path = "/poll", .methods = SESSION_GET | SESSION_POST, .rights = ACCESS_SUBSCRIBE,
	    .ops = &poll_ops},
	{.path = "/ws", .methods = SESSION_GET, .rights = ACCESS_SUBSCRIBE, .late_token = true,
	    .ops = &ws_ops},
	{.path = "/open/ws", .methods = SESSION_GET, .ops = &ws_ops},
};

/* ── the world ── */

static inline int
world_want(void *ctx, unsigned loop, struct span tenant, struct span pattern, bool wanted,
    uint64_t token)
{
	struct world *world = ctx;
	int error = hub_want(world->hub, loop, tenant, pattern, wanted);
	if (wanted && !error)
		world->tokens[world->token_count++] = token;
	return error;
}

static inline int
world_ask(void *ctx, unsigned loop, const struct hub_question *question, uint64_t token)
{
	struct world *world = ctx;
	(void)loop;
	assert_true(question->pattern_count > 0 || question->ids);
	world->asked++;
	world->asked_cursor = question->cursor;
	world->answers[world->question_count++] = (struct hub_caught){
		.token = token, .answer.gap = question->since != HUB_SINCE_NOW,
		.error = world->gone_id && question->pattern_count &&
		    question->ids[0] == world->gone_id ? -ENOENT : 0};
	return 0;
}

/* Of the past nothing is there. */
static inline void
world_answer(struct world *world)
{
	for (size_t i = 0; i < world->question_count; i++) {
		world->answers[i].seq = world->seq;
		hub_local_caught(world->local, &world->answers[i], NULL, 0);
	}
	world->question_count = 0;
}

static inline void
world_confirm(struct world *world)
{
	for (size_t i = 0; i < world->token_count; i++)
		hub_local_confirmed(world->local, world->tokens[i], ++world->seq);
	world->token_count = 0;
	world_answer(world);
}

/* As the sequencer does: a message is made only if somebody wants it. */
static inline void
world_message(struct world *world, const char *channel, const char *data)
{
	struct hub_message *message;
	world->seq++;
	if (!hub_wanted(world->hub, SPAN("main"), span_str(channel)))
		return;
	assert_int_equal(hub_message_create(world->seq, 1700000000000, SPAN("main"),
	    span_str(channel), span_str(data), &message), 0);
	if (world->faults)
		world->faults(true);
	hub_local_deliver(world->local, message);
	if (world->faults)
		world->faults(false);
	hub_message_unref(message);
}

static inline void
world_turn(struct world *world, int wait_ms)
{
	if (world->faults)
		world->faults(true);
	loop_turn(world->loop, wait_ms);
	if (world->faults)
		world->faults(false);
	if (!world->confirm_by_hand)
		world_confirm(world);
}

static inline void
world_publish(void *app, const struct access_principal *principal, const struct span *channels,
    size_t channel_count, struct span key, struct span data,
    void (*done)(void *ctx, int error, struct span id_or_detail), void *ctx)
{
	struct world *world = app;
	assert_true(principal->rights & ACCESS_PUBLISH);
	snprintf(world->published, sizeof(world->published), "%zu %.*s %.*s%s%.*s", channel_count,
	    SPAN_ARG(channels[0]), SPAN_ARG(data), key.len ? " " : "", SPAN_ARG(key));
	world->publish.done = done;
	world->publish.ctx = ctx;
}

/* The test answers. */
static inline void
world_names(void *app, struct span tenant, const struct span *ids, size_t count,
    void (*done)(void *ctx, int error, const struct span *names), void *ctx)
{
	struct world *world = app;
	assert_true(span_eq(tenant, SPAN("main")));
	world->looked_up[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(world->looked_up);
		snprintf(world->looked_up + len, sizeof(world->looked_up) - len, "%.*s ",
		    SPAN_ARG(ids[i]));
	}
	world->lookup.done = done;
	world->lookup.ctx = ctx;
}

static inline void
world_finished(void *app, const struct session_request *request, unsigned status,
    uint64_t micros, uint64_t bytes_in, uint64_t bytes_out)
{
	struct world *world = app;
	(void)micros;
	assert_true(bytes_in > 0);
	assert_true(session_method_text(request).len > 0);
	(void)bytes_out;
	world->finished++;
	world->status_last = status;
}

static inline void
world_add_key(struct world *world, uint64_t id, const char *key, uint32_t rights,
    const char *channels)
{
	unsigned char secret[32] = {7}, hash[ACCESS_HASH_BYTES];
	access_key_hash(secret, span_str(key), hash);
	struct store_key row = {
		.id = id, .tenant = SPAN("main"), .name = SPAN("k"), .rights = rights,
		.hash = span_of((const char *)hash, sizeof(hash)), .channels = span_str(channels),
	};
	assert_int_equal(access_key_put(world->access, &row), 0);
}

static inline void
world_open_with(struct world *world, const struct session_settings *settings, size_t out_bytes,
    struct socket_env sockets)
{
	const unsigned char secret[32] = {7};
	static const struct hub_hooks hub_hooks = {.want = world_want, .ask = world_ask};
	static const struct session_hooks hooks = {
		.publish = world_publish, .names = world_names, .finished = world_finished,
	};
	const struct session_route *const tables[] = {world_routes};
	const size_t counts[] = {ARRAY_COUNT(world_routes)};
	const struct net_limits limits = {
		.in_bytes_max = 128 * 1024, .out_bytes_max = out_bytes, .conns_max = 500,
		.slow_write_ms = 60000,
	};
	*world = (struct world){.sockets = sockets};
	world->env = env_create();
	assert_non_null(world->env);
	assert_int_equal(loop_create(world->env, 0, &world->loop), 0);
	assert_int_equal(net_create(world->loop, sockets, &limits, &world->net), 0);
	assert_int_equal(access_create(secret, &world->access), 0);
	world_add_key(world, 1, KEY_ALL, 15, "");
	world_add_key(world, 2, KEY_READ, ACCESS_READ, "");
	world_add_key(world, 3, KEY_BLOG, 15, "[\"blog/#\"]");
	assert_int_equal(hub_create(1, &world->hub), 0);
	assert_int_equal(hub_local_create(world->loop, &hub_hooks, world, &world->local), 0);
	assert_int_equal(session_routes_create(tables, counts, 1, &world->routes), 0);
	assert_int_equal(session_loop_create(world->loop, world->net, world->access, world->local,
	    world->routes, settings, &hooks, world, &world->sessions), 0);
	session_set_ready(world->sessions, true);
	int fd = socket_listen("127.0.0.1:0", false);
	assert_true(fd >= 0);
	assert_int_equal(socket_local_name(fd, world->address, sizeof(world->address)), 0);
	assert_int_equal(net_listen(world->net, fd, session_accept_http, world->sessions), 0);
}

static const struct session_settings world_settings = {
	.body_bytes_max = 1 << 20, .idle_ms = 60000, .head_ms = 60000, .body_ms = 60000,
	.sse_comment_ms = 15000, .ws_ping_ms = 25000, .ws_message_bytes_max = 4096,
	.ws_deflate_bytes_min = 100, .gzip = true,
};

static inline void
world_open(struct world *world)
{
	world_open_with(world, &world_settings, 256 * 1024, socket_real());
}

/* Every handler that began must have been told its end, once. */
static inline void
world_close(struct world *world)
{
	struct net_stats stats;
	net_stop_listening(world->net);
	net_drain(world->net, NET_CLOSE_DRAIN, 0);
	for (unsigned i = 0; i < TURNS_MAX; i++) {
		net_stats(world->net, &stats);
		if (stats.open == 0)
			break;
		loop_turn(world->loop, 1);
	}
	assert_int_equal(stats.open, 0);
	assert_int_equal(world->begun, world->gone);
	session_loop_destroy(world->sessions);
	session_routes_destroy(world->routes);
	hub_local_destroy(world->local);
	hub_destroy(world->hub);
	access_destroy(world->access);
	net_destroy(world->net);
	loop_destroy(world->loop);
	env_destroy(world->env);
}

/* ── clients ── */

struct client {
	struct world *world;
	int fd;
	bool eof;
	struct buf in; /* what came and was not yet taken */
};

static inline void
client_open(struct client *client, struct world *world)
{
	*client = (struct client){.world = world};
	buf_init(&client->in, 0);
	client->fd = socket_connect(world->address);
	assert_true(client->fd >= 0);
}

static inline void
client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	buf_finish(&client->in);
}

/* One turn of the server; then whatever has come. */
static inline void
client_step(struct client *client, int wait_ms)
{
	char bytes[65536];
	world_turn(client->world, wait_ms);
	for (;;) {
		ssize_t got = client->eof ? -1 : recv(client->fd, bytes, sizeof(bytes),
		    MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno == ECONNRESET))
			client->eof = true;
		if (got <= 0)
			return;
		assert_int_equal(buf_append(&client->in, bytes, (size_t)got), 0);
	}
}

static inline void
client_send(struct client *client, struct span bytes)
{
	for (unsigned i = 0; bytes.len && i < TURNS_MAX; i++) {
		ssize_t sent = send(client->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno != EAGAIN)
			return; /* the server closed: the test looks at what it said */
		if (sent > 0)
			bytes = span_skip(bytes, (size_t)sent);
		client_step(client, 0);
	}
	assert_int_equal(bytes.len, 0);
}

static inline void
client_say(struct client *client, const char *text)
{
	client_send(client, span_str(text));
}

static inline bool
client_has(const struct client *client, const char *text)
{
	return client->in.len && memmem(client->in.ptr, client->in.len, text, strlen(text));
}

/* Turns until `text` has come, or the end. */
static inline void
client_await(struct client *client, const char *text)
{
	for (unsigned i = 0; i < TURNS_MAX && !client->eof && !client_has(client, text); i++)
		client_step(client, 1);
	if (!client_has(client, text))
		fail_msg("no '%s' in '%.*s'", text, (int)client->in.len, client->in.ptr);
}

static inline void
client_await_eof(struct client *client)
{
	for (unsigned i = 0; i < TURNS_MAX && !client->eof; i++)
		client_step(client, 1);
	assert_true(client->eof);
}

/* Some turns in which nothing is expected to come. */
static inline void
client_idle(struct client *client)
{
	for (unsigned i = 0; i < 20; i++)
		client_step(client, 0);
}

struct answer {
	unsigned status;
	char head[8192];
	struct buf body; /* out of its chunks */
	bool chunked;
};

static inline bool
answer_has(const struct answer *answer, const char *text)
{
	return strcasestr(answer->head, text) != NULL;
}

static inline bool
take_chunked(struct client *client, struct answer *answer, size_t at)
{
	struct http1_chunked chunks;
	http1_chunked_init(&chunks);
	bool end = false;
	while (!end && at < client->in.len) {
		struct span data;
		ssize_t used = http1_chunked_feed(&chunks, span_skip(buf_span(&client->in), at),
		    &data, &end);
		assert_true(used > 0);
		at += (size_t)used;
		buf_append_span(&answer->body, data);
	}
	if (end)
		buf_consume(&client->in, at);
	else
		buf_clear(&answer->body);
	return end;
}

/* Takes an answer off what has come, if it is all there. */
static inline bool
take_answer(struct client *client, struct answer *answer, bool head_only)
{
	struct http1_response *response = calloc(1, sizeof(*response));
	struct http1_error error;
	size_t scanned = 0;
	ssize_t len = http1_parse_response(buf_span(&client->in), &scanned, response, &error);
	bool complete = false;
	assert_true(len >= 0);
	if (len > 0) {
		assert_true((size_t)len < sizeof(answer->head));
		memcpy(answer->head, client->in.ptr, (size_t)len);
		answer->head[len] = '\0';
		answer->status = response->status;
		answer->chunked = response->chunked;
		size_t body = response->has_length && !head_only ? (size_t)response->length : 0;
		if (response->chunked && !head_only) {
			complete = take_chunked(client, answer, (size_t)len);
		} else if (response->has_length || head_only || response->status == 100
		    || response->status == 204 || response->status == 101) {
			complete = client->in.len >= (size_t)len + body;
			if (complete) {
				buf_append(&answer->body, client->in.ptr + len, body);
				buf_consume(&client->in, (size_t)len + body);
			}
		} else if (client->eof) {
			complete = true;
			buf_append(&answer->body, client->in.ptr + len,
			    client->in.len - (size_t)len);
			buf_clear(&client->in);
		}
	}
	free(response);
	return complete;
}

/* The next answer; `answer` is to be finished by answer_finish. */
static inline void
client_answer_to(struct client *client, struct answer *answer, bool head_only)
{
	*answer = (struct answer){0};
	buf_init(&answer->body, 0);
	for (unsigned i = 0; i < TURNS_MAX; i++) {
		if (take_answer(client, answer, head_only))
			return;
		client_step(client, client->in.len ? 0 : 1);
	}
	fail_msg("no answer; so far '%.*s'", (int)client->in.len, client->in.ptr);
}

static inline void
client_answer(struct client *client, struct answer *answer)
{
	client_answer_to(client, answer, false);
}

static inline void
answer_finish(struct answer *answer)
{
	buf_finish(&answer->body);
}

/* The next answer must have this status and, unless NULL, this body. */
static inline void
client_expect(struct client *client, unsigned status, const char *body)
{
	struct answer answer;
	client_answer(client, &answer);
	if (answer.status != status)
		fail_msg("status %u: %s%.*s", answer.status, answer.head, (int)answer.body.len,
		    answer.body.ptr);
	if (body && !span_eq(buf_span(&answer.body), span_str(body)))
		fail_msg("body '%.*s', not '%s'", (int)answer.body.len, answer.body.ptr, body);
	answer_finish(&answer);
}

/* A connection of its own for one request: its answer. */
static inline void
ask(struct world *world, const char *request, struct answer *ret_answer)
{
	struct client client;
	client_open(&client, world);
	client_say(&client, request);
	client_answer(&client, ret_answer);
	client_close(&client);
}

static inline void
expect(struct world *world, const char *request, unsigned status, const char *body)
{
	struct client client;
	client_open(&client, world);
	client_say(&client, request);
	client_expect(&client, status, body);
	client_close(&client);
}

#endif

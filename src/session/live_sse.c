/*
 * live_sse.c: event streams. The head leaves only when every subscription is in force, so who has
 * the head misses nothing. The stream is the connection's last answer: it ends by closing, for
 * HTTP/1.1 too, and so one encoded form of a message serves all.
 */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "live.h"
#include "num.h"
#include "sse.h"

struct sse {
	struct live live;
	bool open; /* the head has left */
	bool over; /* nothing more is sent */
	uint8_t origin; /* http_cors.c's */
};

static struct sse *
sse_of(struct live *live)
{
	return CONTAINER_OF(live, struct sse, live);
}

static int
encode(const struct hub_message *message, uint64_t channels, struct buf *out)
{
	char id[1 + NUM_TEXT_BYTES_MAX] = "m";
	size_t id_len = 1 + num_format_u64(id + 1, message->seq);
	struct buf json;
	buf_init(&json, 0);
	int error = hub_message_json(message, channels, &json);
	if (!error)
		error = sse_write_event(out, (struct span){NULL, 0}, span_of(id, id_len),
		    buf_span(&json));
	buf_finish(&json);
	return error;
}

static void
arm(struct sse *sse)
{
	net_set_deadline(sse->live.conn,
	    sse->live.sent_ms + sse->live.sessions->settings.sse_comment_ms);
}

static void
send_event(struct sse *sse, struct span name, struct span data)
{
	struct buf *out = &sse->live.sessions->scratch;
	size_t before = out->len;
	sse_write_event(out, name, (struct span){NULL, 0}, data);
	if (buf_ok(out))
		live_send(&sse->live, span_skip(buf_span(out), before));
	else
		net_close(sse->live.conn, NET_CLOSE_MEMORY);
	buf_clear(out);
}

static void
open_now(struct sse *sse)
{
	struct live *live = &sse->live;
	struct buf *out = &live->sessions->scratch;
	unsigned retry_ms = live->sessions->settings.sse_retry_ms;
	sse->open = true;
	buf_printf(out, "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: text/event-stream\r\n"
	    "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\nConnection: close\r\n",
	    session_date(live->sessions));
	http_cors_write(live->sessions, sse->origin, out);
	buf_append_str(out, "\r\n");
	if (retry_ms)
		buf_printf(out, "retry: %u\n\n", retry_ms);
	if (buf_ok(out))
		live_send(live, buf_span(out));
	else
		net_close(live->conn, NET_CLOSE_MEMORY);
	buf_clear(out);
	arm(sse);
}

/* Begins when it can: the connection is there and nothing is left to be confirmed. */
static void
try_open(struct sse *sse)
{
	struct live *live = &sse->live;
	if (!sse->open && live->conn && live->sink.waiting == 0)
		open_now(sse);
}

/* With the first of the past, for then every subscription is in force or silent. */
static void
open_for_past(struct sse *sse)
{
	if (!sse->open && sse->live.pasts && sse->live.conn)
		open_now(sse);
}

static void
deliver(struct sink *sink, struct hub_message *message, uint64_t channels)
{
	struct sse *sse = CONTAINER_OF(sink, struct sse, live.sink);
	open_for_past(sse);
	if (sse->open && !sse->over)
		live_deliver(&sse->live, message, channels);
}

static int
send_message(struct live *live, struct hub_message *message, uint64_t channels)
{
	return live_send_form(live, message, HUB_FORM_SSE, channels, encode);
}

static void
say_gap(struct live *live)
{
	send_event(sse_of(live), SPAN("gap"), SPAN("{\"gap\":true}"));
}

static void
finish(struct sse *sse, enum net_close_reason reason)
{
	sse->over = true;
	net_finish(sse->live.conn, reason);
}

/* The last id that it has is where to resume. */
static void
too_slow(struct live *live, uint64_t seq)
{
	(void)seq;
	live_send(live, SPAN(": too slow; resume with Last-Event-ID\n\n"));
	finish(sse_of(live), NET_CLOSE_OVERFLOW);
}

static void
deliver_run(struct sink *sink, struct hub_run *run)
{
	struct sse *sse = CONTAINER_OF(sink, struct sse, live.sink);
	if (sse->open && live_send_run(&sse->live, run, HUB_FORM_SSE, encode))
		return;
	for (size_t i = 0; i < run->count; i++)
		deliver(sink, run->messages[i], HUB_ALL_CHANNELS);
}

static void
gap(struct sink *sink)
{
	struct sse *sse = CONTAINER_OF(sink, struct sse, live.sink);
	open_for_past(sse);
	if (sse->open && !sse->over)
		say_gap(&sse->live);
}

static void
caught(struct sink *sink, const struct hub_caught *result)
{
	struct sse *sse = CONTAINER_OF(sink, struct sse, live.sink);
	enum live_caught how = live_caught(&sse->live, result);
	if (how == LIVE_CAUGHT_ALL)
		try_open(sse);
	else if (how == LIVE_CAUGHT_NOTHING && sse->open)
		finish(sse, NET_CLOSE_ERROR);
	else if (how == LIVE_CAUGHT_NOTHING)
		live_refuse(&sse->live, NET_CLOSE_ERROR);
}

static void
channel_closed(struct sink *sink, const struct hub_target *channel)
{
	struct sse *sse = CONTAINER_OF(sink, struct sse, live.sink);
	char text[64];
	int len = snprintf(text, sizeof(text), "{\"closed\":[%llu]}",
	    (unsigned long long)channel->id);
	open_for_past(sse);
	if (sse->open && !sse->over)
		send_event(sse, SPAN("closed"), span_of(text, (size_t)len));
}

static void
subscribed(struct sink *sink, uint64_t seq)
{
	(void)seq;
	try_open(CONTAINER_OF(sink, struct sse, live.sink));
}

static void
start(struct live *live)
{
	net_set_deadline(live->conn, live->sent_ms + live->sessions->settings.head_ms);
	try_open(sse_of(live));
}

/* A client has nothing to say. */
static size_t
input(void *ctx, struct span bytes)
{
	(void)ctx;
	return bytes.len;
}

static void
deadline(void *ctx)
{
	struct sse *sse = sse_of(ctx);
	struct live *live = ctx;
	uint64_t now_ms = loop_mono_ms(live->sessions->loop);
	if (!sse->open) {
		live_refuse(live, NET_CLOSE_ERROR);
		return;
	}
	if (now_ms >= live->sent_ms + live->sessions->settings.sse_comment_ms)
		live_send(live, SPAN(":\n\n"));
	arm(sse);
}

static void
closed(void *ctx, enum net_close_reason reason)
{
	(void)reason; /* net counts it */
	live_destroy(ctx);
}

static void
end(struct live *live, enum net_close_reason reason)
{
	if (sse_of(live)->open)
		finish(sse_of(live), reason);
	else
		live_refuse(live, reason);
}

static void
free_sse(struct live *live)
{
	slab_put(&live->sessions->sse_slab, sse_of(live));
}

static const struct live_ops sse_ops = {
	.conn = {.input = input, .drained = live_drained, .deadline = deadline, .closed = closed},
	.start = start,
	.end = end,
	.free = free_sse,
	.send = send_message,
	.gap = say_gap,
	.slow = too_slow,
};

static const struct sink_ops sse_sink_ops = {
	.deliver = deliver, .deliver_run = deliver_run,
	.subscribed = subscribed, .gap = gap, .caught = caught,
	.closed = channel_closed, .who = live_who,
};

void
live_sse_init(struct session_loop *sessions)
{
	slab_init(&sessions->sse_slab, sizeof(struct sse));
}

void
session_become_sse(struct session_request *request,
    const struct session_subscription *subscription)
{
	if (request->broken)
		return;
	if (request->is_head) {
		session_answer(request, 200, "text/event-stream", (struct span){NULL, 0});
		return;
	}
	struct sse *sse = slab_get(&request->http->sessions->sse_slab);
	if (!sse) {
		session_problem(request, 503, NULL, "memory is out");
		return;
	}
	*sse = (struct sse){0};
	live_init(&sse->live, &sse_ops, &sse_sink_ops, request);
	struct live_refusal refusal = {503, "memory is out"};
	if (live_slow_set(&sse->live, subscription->slow) ||
	    !live_listen(&sse->live, subscription, &refusal)) {
		session_problem(request, refusal.status, NULL, "%s", refusal.detail);
		live_destroy(&sse->live);
		return;
	}
	sse->origin = http_cors_origin(request);
	request->status = 200;
	live_take(&sse->live, request);
}

/*
 * live.c: connections with subscriptions: their life, what they may subscribe to, and sending.
 *
 * Invariants: nothing is destroyed while the hub delivers: a connection that must go is closed, and
 * net's closed(), in LOOP_REAP, ends its subscriptions and frees it. Short messages are copied into
 * the connection's output (they join others there in one piece); long ones are sent from the one
 * encoded form that all subscribers share.
 */
#include "live.h"

#include <errno.h>
#include <stdlib.h>

#include "access_may.h"
#include "check.h"

enum { COPY_BYTES_MAX = 2048, RESERVE_BYTES = 512 };

void
live_init(struct live *live, const struct live_ops *ops, const struct sink_ops *sink_ops,
    struct session_request *request)
{
	*live = (struct live){.ops = ops, .sessions = request->http->sessions};
	list_init(&live->link);
	hub_sink_init(&live->sink, sink_ops);
	if (request->principal)
		live->principal = access_principal_ref(request->principal);
}

void
live_destroy(struct live *live)
{
	if (!live)
		return;
	hub_unsubscribe_all(live->sessions->hub, &live->sink);
	live_past_forget(live);
	live_slow_forget(live);
	live_list_remove(live);
	access_principal_unref(live->principal);
	live->ops->free(live);
}

void
live_take(struct live *live, struct session_request *request)
{
	check(request->answer == HTTP_ANSWER_NONE && !request->live);
	request->live = live;
	/* Not later in the turn: the sequencer is quick, and mail that answers what the live asked
	 * would find it without a connection. */
	http_settle_now(request);
}

void
live_start(struct live *live, struct net_conn *conn)
{
	struct session_loop *sessions = live->sessions;
	live->conn = conn;
	live->sent_ms = loop_mono_ms(sessions->loop);
	live_list_add(live);
	net_set_owner(conn, &live->ops->conn, live);
	live->ops->start(live);
	if (sessions->draining)
		live_end(live, NET_CLOSE_DRAIN);
}

void
live_end(struct live *live, enum net_close_reason reason)
{
	if (reason == NET_CLOSE_DRAIN)
		hub_hurry(live->sessions->hub, &live->sink);
	live->ops->end(live, reason);
}

void
live_identify(struct live *live, struct access_principal *principal)
{
	live_list_remove(live);
	access_principal_unref(live->principal);
	live->principal = principal;
	live_list_add(live);
}

bool
live_may_listen(const struct live *live, struct span pattern)
{
	return !live->principal ||
	    access_may_listen(live->sessions->access, live->principal, pattern);
}

struct span
live_tenant(const struct live *live)
{
	const char *guests = live->sessions->settings.guest_tenant;
	if (live->principal)
		return live->principal->tenant;
	return guests ? span_str(guests) : SPAN("main");
}

void
live_who(const struct sink *sink, struct hub_member *ret_member)
{
	const struct live *live = CONTAINER_OF(sink, struct live, sink);
	if (live->principal)
		*ret_member = (struct hub_member){live->principal->name,
		    access_principal_info(live->principal)};
}

static bool
check_pattern(const struct live *live, struct span pattern, uint64_t id,
    struct live_refusal *ret_refusal)
{
	const char *reason;
	if (hub_pattern_check(pattern, &reason)) {
		*ret_refusal = (struct live_refusal){422, reason};
		return false;
	}
	if (live_may_listen(live, pattern))
		return true;
	if (id && access_channel_hidden(live->sessions->access, live->principal, pattern))
		*ret_refusal = (struct live_refusal){404, "no channel has one of these ids"};
	else
		*ret_refusal = (struct live_refusal){403,
			"these credentials may not listen to this channel"};
	return false;
}

static size_t
count_subscriptions(const struct live *live)
{
	size_t count = 0;
	struct hub_subscription *pos = NULL;
	struct span pattern;
	while (hub_sink_next(&live->sink, &pos, &pattern))
		count++;
	return count;
}

bool
live_check_patterns(const struct live *live, const struct span *patterns, const uint64_t *ids,
    size_t count, struct live_refusal *ret_refusal)
{
	if (count > LIVE_SUBSCRIPTIONS_MAX - MIN(count_subscriptions(live),
	    (size_t)LIVE_SUBSCRIPTIONS_MAX)) {
		*ret_refusal = (struct live_refusal){422, "too many subscriptions"};
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (!check_pattern(live, patterns[i], ids ? ids[i] : 0, ret_refusal))
			return false;
	}
	return true;
}

bool
live_subscribe(struct live *live, const struct span *patterns, size_t count,
    struct live_refusal *ret_refusal)
{
	if (!live_check_patterns(live, patterns, NULL, count, ret_refusal))
		return false;
	struct hub_local *hub = live->sessions->hub;
	struct hub_subscription *before = live->sink.subscriptions;
	for (size_t i = 0; i < count; i++) {
		int error = hub_subscribe(hub, &live->sink, live_tenant(live), patterns[i]);
		if (!error || error == -EEXIST)
			continue;
		while (live->sink.subscriptions != before)
			hub_unsubscribe_newest(hub, &live->sink);
		*ret_refusal = (struct live_refusal){503, "memory is out"};
		return false;
	}
	return true;
}

void
live_refuse(struct live *live, enum net_close_reason reason)
{
	net_send(live->conn, SPAN("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
	    "Content-Length: 0\r\nConnection: close\r\n\r\n"));
	net_finish(live->conn, reason);
}

static void
sent(struct live *live, int error)
{
	live->sent_ms = loop_mono_ms(live->sessions->loop);
	if (error == -EMSGSIZE)
		net_close(live->conn, NET_CLOSE_OVERFLOW);
	else if (error == -ENOMEM)
		net_close(live->conn, NET_CLOSE_MEMORY);
}

void
live_send(struct live *live, struct span bytes)
{
	sent(live, net_send(live->conn, bytes));
}

static void
release_message(void *ctx)
{
	hub_message_unref(ctx);
}

/* When more than half is queued net calls drained(), as it does after it refused something. */
static bool
is_half_full(const struct live *live)
{
	return net_out_bytes(live->conn) > net_out_room(live->conn);
}

static bool
has_room(const struct live *live, size_t len)
{
	return net_out_room(live->conn) >= len + (is_half_full(live) ? RESERVE_BYTES : 0);
}

int
live_send_form(struct live *live, struct hub_message *message, enum hub_form form,
    uint64_t channels,
    int (*encode)(const struct hub_message *message, uint64_t channels, struct buf *out))
{
	struct span bytes;
	int error = hub_message_form(message, form, channels, encode, &bytes);
	if (!error && !has_room(live, bytes.len)) {
		net_write_now(live->conn);
		if (!has_room(live, bytes.len) && is_half_full(live))
			return -EMSGSIZE;
	}
	if (!error && bytes.len <= COPY_BYTES_MAX) {
		error = net_send(live->conn, bytes);
	} else if (!error) {
		error = net_send_ref(live->conn, bytes, release_message, hub_message_ref(message));
		if (error)
			hub_message_unref(message);
	}
	if (error != -EMSGSIZE)
		sent(live, error);
	return error;
}

bool
live_send_run(struct live *live, struct hub_run *run, enum hub_form form,
    int (*encode)(const struct hub_message *message, uint64_t channels, struct buf *out))
{
	struct span bytes;
	void *joined;
	if (live->slow || hub_run_form(run, form, encode, &bytes, &joined))
		return false;
	if (!has_room(live, bytes.len))
		net_write_now(live->conn);
	int error = has_room(live, bytes.len)
	    ? net_send_ref(live->conn, bytes, hub_joined_unref, joined) : -EMSGSIZE;
	if (error)
		hub_joined_unref(joined);
	if (error != -EMSGSIZE)
		sent(live, error);
	return error != -EMSGSIZE;
}

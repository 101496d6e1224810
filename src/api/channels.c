/*
 * channels.c: GET /api/v1/subscribe over SSE and WebSocket, and a WebSocket's publish.
 */
#include <errno.h>
#include <stdlib.h>

#include "api_priv.h"
#include "check.h"

#define PATTERNS_MAX 128

/* Collects `channel` parameters. false: answered. */
static bool
patterns_collect(struct session_request *request, struct span *patterns, size_t *ret_count)
{
	const struct access_principal *principal = session_principal(request);
	struct span name, value;
	const char *reason;
	size_t pos = 0, count = 0;
	while (session_query_next(request, &pos, &name, &value)) {
		if (!span_eq(name, SPAN("channel")))
			continue;
		if (count == PATTERNS_MAX) {
			session_problem(request, 400, NULL, "more than %d channels; subscribe to a "
			    "pattern, or over a WebSocket in several frames", PATTERNS_MAX);
			return false;
		}
		if (hub_pattern_check(value, &reason)) {
			session_problem(request, 400, NULL, "channel '%.*s': %s", SPAN_ARG(value),
			    reason);
			return false;
		}
		if (principal && !access_may_channel(principal, value)) {
			session_problem(request, 403, NULL, "the key may not subscribe to '%.*s'",
			    SPAN_ARG(value));
			return false;
		}
		patterns[count++] = value;
	}
	*ret_count = count;
	return true;
}

/* Whether the client asks for something that was before now: this version keeps no histories. */
static bool
past_asked(const struct session_request *request)
{
	struct span since = session_query(request, "since");
	return session_header(request, "Last-Event-ID").len ||
	    session_query(request, "last_event_id").len ||
	    (since.len && !span_eq(since, SPAN("now")));
}

static void
subscribe_end(struct session_request *request, struct span whole)
{
	struct span patterns[PATTERNS_MAX];
	struct session_subscription subscription = {.patterns = patterns};
	(void)whole;
	if (!patterns_collect(request, patterns, &subscription.pattern_count))
		return;
	subscription.gap = past_asked(request);
	if (session_header(request, "Upgrade").ptr) {
		session_become_ws(request, &subscription);
		return;
	}
	if (subscription.pattern_count == 0) {
		session_problem(request, 400, NULL,
		    "no channel: say which, like channel=readings/%%2B/%%2B");
		return;
	}
	if (session_accepts(request, "text/event-stream") ||
	    span_eq(session_query(request, "mode"), SPAN("sse"))) {
		session_become_sse(request, &subscription);
		return;
	}
	session_problem(request, 406, NULL,
	    "this version streams: ask with Accept: text/event-stream, or upgrade to a WebSocket");
}

/* ── publish ── */

struct publication {
	struct flow_publish publish;
	void (*done)(void *ctx, int error, struct span id_or_detail);
	void *ctx;
};

static void
publication_done(struct flow_publish *publish, int error)
{
	struct publication *publication = CONTAINER_OF(publish, struct publication, publish);
	struct buf id;
	buf_init(&id, 0);
	buf_printf(&id, "m%llu", (unsigned long long)publish->message->seq);
	if (error)
		publication->done(publication->ctx, error, SPAN("the disk is full"));
	else
		publication->done(publication->ctx, 0, buf_span(&id));
	buf_finish(&id);
	hub_message_unref(publish->message);
	free(publication);
}

/* Whether this principal may publish on this channel; else a sentence. */
static int
publish_check(const struct access_principal *principal, const struct span *channels,
    size_t channel_count, struct span *ret_reason)
{
	const char *reason;
	if (channel_count != 1) {
		*ret_reason = SPAN("a message has exactly one channel in this version");
		return -EINVAL;
	}
	if (!(principal->rights & ACCESS_PUBLISH) ||
	    !access_may_channel(principal, channels[0])) {
		*ret_reason = SPAN("the key may not publish there");
		return -EACCES;
	}
	if (hub_name_check(channels[0], &reason)) {
		*ret_reason = span_str(reason);
		return -EINVAL;
	}
	if (span_starts(channels[0], SPAN("readings/")) ||
	    span_starts(channels[0], SPAN("alerts/")) ||
	    span_starts(channels[0], SPAN("gateways/"))) {
		*ret_reason = SPAN("the channel is a view: it shows what the server makes");
		return -EACCES;
	}
	return 0;
}

void
api_publish(void *app, const struct access_principal *principal, const struct span *channels,
    size_t channel_count, struct span data,
    void (*done)(void *ctx, int error, struct span id_or_detail), void *ctx)
{
	struct api_loop *al = app;
	struct span reason;
	int error = publish_check(principal, channels, channel_count, &reason);
	if (error) {
		done(ctx, error, reason);
		return;
	}
	struct publication *publication = calloc(1, sizeof *publication);
	if (!publication || hub_message_create(0, 0, principal->tenant, channels[0], data,
				&publication->publish.message)) {
		free(publication);
		done(ctx, -ENOMEM, SPAN("the server has no memory left; try again"));
		return;
	}
	publication->done = done;
	publication->ctx = ctx;
	publication->publish.done = publication_done;
	flow_publish(al->flow, &publication->publish);
}

static const struct session_route_ops subscribe_ops = {.end = subscribe_end};

const struct session_route api_channels_routes[] = {
	{
		.path = "/api/v1/subscribe",
		.methods = SESSION_GET,
		.rights = ACCESS_SUBSCRIBE,
		.late_token = true,
		.ops = &subscribe_ops,
		.summary = "Messages of channels as they come, over SSE or a WebSocket",
	},
	{.path = NULL},
};

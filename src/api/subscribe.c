/*
 * subscribe.c: GET /api/v1/subscribe over SSE and WebSocket.
 */
#include "access_may.h"
#include "api_priv.h"
#include "check.h"

#define PATTERNS_MAX 128

/* Who is not known yet is looked at when his token comes. */
static bool
may_listen(struct session_request *request, struct span pattern)
{
	const struct api_loop *al = session_app(request);
	const struct access_principal *principal = session_principal(request);
	if (!principal)
		return true;
	const struct access_object channel = {
		.what = ACCESS_A_CHANNEL, .tenant = principal->tenant, .id = pattern};
	return access_may(al->access, principal, ACCESS_LISTEN, &channel) == ACCESS_YES;
}

/* Collects `channel` parameters. false: answered. */
static bool
patterns_collect(struct session_request *request, struct span *patterns, size_t *ret_count)
{
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
		if (!may_listen(request, value)) {
			session_problem(request, 403, NULL,
			    "these credentials may not listen to '%.*s'", SPAN_ARG(value));
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

static const struct session_route_ops subscribe_ops = {.end = subscribe_end};

static const struct session_doc subscribe_doc = {
	.help = "With Accept: text/event-stream (or mode=sse) an event stream: id is a cursor, "
	    "data the message; a gap event first when the past that was asked for is not there. "
	    "With Upgrade: websocket one text frame a message, and the client may send "
	    "{\"subscribe\":[…]}, {\"unsubscribe\":[…]} and "
	    "{\"publish\":[…],\"data\":…}, each with a ref that is answered. A WebSocket "
	    "without credentials sends {\"token\":…} first.",
	.query = {
		{"channel?", "[string]", "Names or patterns (+ one level, # the rest). A WebSocket "
		    "may do without."},
		{"since?", "string", "now: only what is new; else a gap is told of."},
		{"mode?", "'sse'", "An event stream without the header."},
		{"last_event_id?", "string", "As the header Last-Event-ID."},
	},
	.headers = {
		{"Accept?", "string", "text/event-stream gives an event stream."},
		{"Last-Event-ID?", "string", "The cursor where the client stopped."},
	},
	.answers = {
		{101, "", "A WebSocket."},
		{200, "text/event-stream string", "An event stream."},
		{406, "", "Neither an event stream nor a WebSocket was asked for."},
		{426, "", "The WebSocket's version is not 13."},
	},
};

const struct session_route api_subscribe_routes[] = {
	{
		.path = "/api/v1/subscribe",
		.methods = SESSION_GET,
		.rights = ACCESS_SUBSCRIBE,
		.late_token = true,
		.ops = &subscribe_ops,
		.summary = "Messages of channels as they come, over SSE or a WebSocket",
		.doc = &subscribe_doc,
	},
	{.path = NULL},
};

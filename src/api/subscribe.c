/*
 * subscribe.c: GET /api/v1/subscribe: what is asked for, and over which transport.
 *
 * Ids are turned into names first, by the sequencer: rights are given for names, and channels are
 * listened to by them. For who is not known here the application is asked then (guests.h).
 */
#include <errno.h>
#include <stdlib.h>

#include "access_may.h"
#include "api_priv.h"
#include "check.h"
#include "guests.h"
#include "num.h"
#include "poll.h"

#define PATTERNS_MAX 128
#define RETRY_AFTER "3" /* seconds, when the application cannot be asked */

enum transport { OVER_WS, OVER_SSE, OVER_POLL, OVER_LONG_POLL };

/* What is asked for, while ids are looked up and the application is asked. */
struct asking {
	struct poll_owner owner;          /* first: what the request's state is */
	struct session_request *request;  /* NULL: gone */
	struct api_loop *al;
	enum transport transport;
	struct session_subscription subscription;
	int64_t until_ms;
	unsigned timeout_s;
	struct span patterns[PATTERNS_MAX];
	uint64_t ids[PATTERNS_MAX];       /* of those that were said as ids */
	struct guest *guest;              /* asked for; or NULL */
	char *names;                      /* of the patterns, where the sequencer gave some */
};

/* Its request has another state, or is gone. */
static void
asking_destroy(struct asking *asking)
{
	guests_forget(asking->guest);
	free(asking->names);
	free(asking);
}

/* ── parameters ── */

/* Collects `channel` parameters. false: answered. */
static bool
patterns_collect(struct session_request *request, struct asking *asking)
{
	struct session_subscription *subscription = &asking->subscription;
	struct span name, value;
	const char *reason;
	size_t pos = 0;
	while (session_query_next(request, &pos, &name, &value)) {
		if (!span_eq(name, SPAN("channel")))
			continue;
		if (subscription->pattern_count == PATTERNS_MAX) {
			session_problem(request, 400, NULL, "more than %d channels; subscribe to a "
			    "pattern, or over a WebSocket in several frames", PATTERNS_MAX);
			return false;
		}
		if (hub_pattern_check(value, &reason)) {
			session_problem(request, 400, NULL, "channel '%.*s': %s", SPAN_ARG(value),
			    reason);
			return false;
		}
		asking->patterns[subscription->pattern_count++] = value;
	}
	return true;
}

static bool
transport_choose(struct session_request *request, struct asking *asking)
{
	struct span mode = session_query(request, "mode");
	if (session_asks_ws(request))
		asking->transport = OVER_WS;
	else if (span_eq(mode, SPAN("longpoll")))
		asking->transport = OVER_LONG_POLL;
	else if (span_eq(mode, SPAN("sse")) ||
	    (!mode.ptr && session_accepts(request, "text/event-stream")))
		asking->transport = OVER_SSE;
	else if (!mode.ptr || span_eq(mode, SPAN("poll")))
		asking->transport = OVER_POLL;
	else {
		session_problem(request, 400, NULL,
		    "mode is poll, longpoll or sse, not '%.*s'", SPAN_ARG(mode));
		return false;
	}
	return true;
}

/* Where to begin: the header of an EventSource that comes back counts most. */
static bool
since_read(struct session_request *request, struct asking *asking)
{
	const char *names[] = {"last_event_id", "since"};
	struct span text = session_header(request, "Last-Event-ID");
	bool polls = asking->transport >= OVER_POLL;
	for (size_t i = 0; i < ARRAY_COUNT(names) && text.len == 0; i++)
		text = session_query(request, names[i]);
	asking->subscription.since = polls ? HUB_SINCE_OLDEST : HUB_SINCE_NOW;
	if (text.len == 0 || session_since(text, loop_now_ms(asking->al->loop),
	    &asking->subscription))
		return true;
	session_problem(request, 400, NULL, "since '%.*s' is neither a cursor, a time, 0 nor now",
	    (int)MIN(text.len, (size_t)64), text.ptr);
	return false;
}

/* What is to become of messages when the client is slow: a stream's choice. */
static bool
slow_read(struct session_request *request, struct asking *asking)
{
	struct span slow = session_query(request, "slow");
	if (!slow.ptr)
		return true;
	asking->subscription.slow = hub_slow_find(slow);
	if (asking->subscription.slow && asking->transport < OVER_POLL)
		return true;
	session_problem(request, 400, NULL, asking->transport >= OVER_POLL ?
	    "slow is for streams and WebSockets" :
	    "slow is disconnect, drop_oldest or drop_newest");
	return false;
}

static bool
bounds_read(struct session_request *request, struct asking *asking)
{
	uint64_t timeout_s = 50;
	if (!api_query_time(request, "until", INT64_MAX, &asking->until_ms) ||
	    !api_query_number(request, "timeout", 1, 300, &timeout_s))
		return false;
	asking->timeout_s = (unsigned)timeout_s;
	if (asking->until_ms == INT64_MAX || asking->transport >= OVER_POLL)
		return true;
	session_problem(request, 400, NULL, "until is for polls: streams go on for ever");
	return false;
}

/* ── the transports ── */

/* Who is not known yet is looked at when his token comes. */
static bool
may_listen(struct session_request *request, struct span pattern)
{
	const struct api_loop *al = session_app(request);
	const struct access_principal *principal = session_principal(request);
	return !principal || access_may_listen(al->access, principal, pattern);
}

static void
poll_begin(struct asking *asking)
{
	int64_t now_ms = loop_now_ms(asking->al->loop);
	const struct session_subscription *subscription = &asking->subscription;
	const struct hub_question question = {
		.tenant = session_principal(asking->request)->tenant,
		.patterns = subscription->patterns,
		.pattern_count = subscription->pattern_count,
		.ids = subscription->ids,
		.since = subscription->since,
		.from_ms = subscription->from_ms,
		.cursor = subscription->cursor,
		.until_ms = asking->until_ms,
		.limit = POLL_MESSAGES_MAX,
		.bytes_max = POLL_BYTES_MAX,
	};
	/* Nothing more comes of a time that is over. */
	if (asking->transport == OVER_LONG_POLL && asking->until_ms > now_ms)
		session_become_poll(asking->request, &question, asking->timeout_s);
	else
		poll_start(asking->request, &question);
}

/* All channels are named by now, and it is known whose request it is, or a token will say. */
static void
subscribe(struct asking *asking)
{
	struct session_request *request = asking->request;
	struct session_subscription *subscription = &asking->subscription;
	subscription->pattern_count = session_patterns_join(asking->patterns, asking->ids,
	    subscription->pattern_count);
	subscription->patterns = asking->patterns;
	for (size_t i = 0; i < subscription->pattern_count; i++) {
		struct span pattern = asking->patterns[i];
		if (may_listen(request, pattern))
			continue;
		if (asking->ids[i] && access_channel_hidden(asking->al->access,
		    session_principal(request), pattern))
			session_problem(request, 404, NULL, "no channel has the id %llu",
			    (unsigned long long)asking->ids[i]);
		else
			session_problem(request, 403, NULL,
			    "these credentials may not listen to '%.*s'", SPAN_ARG(pattern));
		return;
	}
	if (asking->transport == OVER_WS)
		session_become_ws(request, subscription);
	else if (asking->transport == OVER_SSE)
		session_become_sse(request, subscription);
	else
		poll_begin(asking);
}

/* ── guests ── */

static void
guest_answered(void *ctx, const struct session_verdict *verdict)
{
	struct asking *asking = ctx;
	struct session_request *request = asking->request;
	session_set_state(request, NULL);
	if (verdict->status == 200) {
		if (session_admit_guest(request, verdict->principal))
			subscribe(asking);
	} else {
		if (verdict->status == 503)
			session_add_header(request, "Retry-After", SPAN(RETRY_AFTER));
		else
			session_refuse_guest(request);
		session_problem(request, verdict->status, NULL, "%s", verdict->detail);
	}
	asking_destroy(asking);
}

/* Nobody waits for the answer any more. */
static void
guest_gone(struct poll_owner *owner)
{
	asking_destroy((struct asking *)owner);
}

static void
guest_ask(struct asking *asking)
{
	static const char *const words[] = {
		[OVER_WS] = "websocket", [OVER_SSE] = "sse", [OVER_POLL] = "poll",
		[OVER_LONG_POLL] = "longpoll",
	};
	asking->guest = guests_keep(asking->al->guests, asking->request);
	if (!asking->guest) {
		api_no_memory(asking->request);
		asking_destroy(asking);
		return;
	}
	asking->owner.gone = guest_gone;
	session_set_state(asking->request, asking);
	guests_ask(asking->guest, words[asking->transport], asking->patterns,
	    asking->subscription.pattern_count, guest_answered, asking);
}

void *
api_guest_keep(const struct session_request *request)
{
	const struct api_loop *al = session_app(request);
	return guests_keep(al->guests, request);
}

void
api_guest_ask(void *guest, const struct span *channels, size_t count,
    void (*done)(void *ctx, const struct session_verdict *verdict), void *ctx)
{
	guests_ask(guest, "websocket", channels, count, done, ctx);
}

void
api_guest_forget(void *guest)
{
	guests_forget(guest);
}

/* A WebSocket without channels says later what it wants, and who it is. */
static void
subscribe_or_ask(struct asking *asking)
{
	if (session_is_guest(asking->request) && asking->subscription.pattern_count) {
		guest_ask(asking);
		return;
	}
	subscribe(asking);
	asking_destroy(asking);
}

/* ── ids ── */

/* The names live during the call only, a question longer. */
static bool
names_keep(struct asking *asking)
{
	size_t count = asking->subscription.pattern_count, bytes = 1;
	for (size_t i = 0; i < count; i++)
		bytes += asking->patterns[i].len;
	char *at = asking->names = malloc(bytes);
	for (size_t i = 0; i < count && at; i++)
		asking->patterns[i] = span_keep(&at, asking->patterns[i]);
	return at;
}

static void
named(void *ctx, int error, const struct span *names)
{
	struct asking *asking = ctx;
	struct session_request *request = asking->request;
	if (request)
		session_set_state(request, NULL);
	for (size_t i = 0; i < asking->subscription.pattern_count && request && !error; i++) {
		if (!hub_pattern_is_id(asking->patterns[i]))
			continue;
		num_parse_u64(asking->patterns[i], &asking->ids[i]);
		asking->patterns[i] = *names++;
	}
	asking->subscription.ids = asking->ids;
	if (request && !error && names_keep(asking)) {
		subscribe_or_ask(asking);
		return;
	}
	if (request && error == -ENOENT)
		session_problem(request, 404, NULL, "no channel has the id %.*s",
		    SPAN_ARG(*names));
	else if (request)
		api_no_memory(request);
	asking_destroy(asking);
}

static void
asking_gone(struct poll_owner *owner)
{
	((struct asking *)owner)->request = NULL;
}

static bool
asking_read(struct session_request *request, struct asking *asking)
{
	if (!patterns_collect(request, asking) || !transport_choose(request, asking) ||
	    !since_read(request, asking) || !bounds_read(request, asking) ||
	    !slow_read(request, asking))
		return false;
	if (asking->subscription.pattern_count || asking->transport == OVER_WS)
		return true;
	session_problem(request, 400, NULL,
	    "no channel: say which, like channel=readings/%%2B/%%2B");
	return false;
}

static size_t
ids_collect(const struct asking *asking, struct span *ids)
{
	size_t count = 0;
	for (size_t i = 0; i < asking->subscription.pattern_count; i++) {
		if (hub_pattern_is_id(asking->patterns[i]))
			ids[count++] = asking->patterns[i];
	}
	return count;
}

static void
subscribe_end(struct session_request *request, struct span whole)
{
	struct asking *asking = calloc(1, sizeof *asking);
	(void)whole;
	if (!asking) {
		api_no_memory(request);
		return;
	}
	asking->request = request;
	asking->al = session_app(request);
	if (!asking_read(request, asking)) {
		free(asking);
		return;
	}
	struct span ids[PATTERNS_MAX];
	size_t id_count = ids_collect(asking, ids);
	if (id_count && !session_principal(request) && !session_is_guest(request)) {
		session_problem(request, 401, NULL, "channels by id need credentials at once");
		free(asking);
	} else if (id_count) {
		asking->owner.gone = asking_gone;
		session_set_state(request, asking);
		api_names(asking->al, session_tenant(request), ids, id_count, named, asking);
	} else {
		subscribe_or_ask(asking);
	}
}

static void
subscribe_gone(struct session_request *request, bool broken)
{
	struct poll_owner *owner = session_state(request);
	(void)broken;
	if (owner)
		owner->gone(owner);
}

static const struct session_route_ops subscribe_ops = {
	.end = subscribe_end, .gone = subscribe_gone,
};

static const struct session_doc subscribe_doc = {
	.help = "mode=poll answers at once, mode=longpoll when there is something or after the "
	    "timeout; next is the cursor to go on with. With Accept: text/event-stream (or "
	    "mode=sse) an event stream: id is a cursor, data the message; a gap event before the "
	    "first message after something that is gone. With Upgrade: websocket one text frame a "
	    "message, and the client may send {\"subscribe\":[…],\"since\":…}, "
	    "{\"unsubscribe\":[…]} and {\"publish\":[…],\"data\":…,\"key\":…}, each with a ref "
	    "that is answered; channels are names or ids. A WebSocket without credentials sends "
	    "{\"token\":…} first. Messages are compressed where permessage-deflate is offered. A "
	    "channel that is closed is told ({\"closed\":[17]}, event: closed) and ends its "
	    "subscription. 1013 closes one that is too slow. Where auth.subscribe_url is set, a "
	    "web application beside the server is asked for who has no credentials of the "
	    "server's: its 401 and 403 are passed on, 503 says that it could not be asked. A "
	    "WebSocket without channels is asked for when it subscribes, and again when it "
	    "subscribes to more than was granted.",
	.query = {
		{"channel?", "[string]", "Names, ids or patterns (+ one level, # the rest). A "
		    "WebSocket may do without."},
		{"since?", "string", "A cursor (exact), a time (inclusive), 0 (all), now. Without: "
		    "all for polls, now for streams. Of views (readings/…, gateways/…) all is what "
		    "the journal still has."},
		{"until?", "string", "Of a poll or long poll: messages up to this time, at which a "
		    "long poll ends. next is behind them."},
		{"mode?", "'poll'|'longpoll'|'sse'", "The transport, without a header."},
		{"timeout?", "integer", "How long a long poll is held: 1 to 300 s; 50 without."},
		{"slow?", "Slow", "Of a stream or WebSocket; without, as the message's channel "
		    "says."},
		{"last_event_id?", "string", "As the header Last-Event-ID."},
	},
	.headers = {
		{"Accept?", "string", "text/event-stream gives an event stream."},
		{"Last-Event-ID?", "string", "The cursor where the client stopped."},
		{"If-None-Match?", "string", "The ETag of a poll's last answer."},
	},
	.answers = {
		{101, "", "A WebSocket."},
		{200, "Polled", "What a poll found."},
		{200, "text/event-stream string", "An event stream."},
		{304, "", "A poll found what the ETag stands for."},
		{404, "", "No channel has one of the ids."},
		{426, "", "The WebSocket's version is not 13."},
	},
};

const struct session_route api_subscribe_routes[] = {
	{
		.path = "/api/v1/subscribe",
		.methods = SESSION_GET,
		.rights = ACCESS_SUBSCRIBE,
		.late_token = true,
		.guests = true,
		.ops = &subscribe_ops,
		.summary = "Messages of channels: polled, or as they come",
		.doc = &subscribe_doc,
	},
	{.path = NULL},
};

/*
 * live_ws_json.c: what a WebSocket client may say: JSON objects that bring a token, subscribe,
 * unsubscribe or publish, each with an optional "ref" that the answer repeats.
 *
 * Invariants: a subscription is acknowledged when it is in force, a publish when it is answered; a
 * mistake is answered, with "ack":null where there was no ref; only what is no JSON ends the
 * connection. Publishes under way are bounded: at the bound input pauses, as it does while
 * the names of ids are looked up, so that what is said later is done later.
 */
#include <errno.h>
#include <stdlib.h>

#include "access_guest.h"
#include "access_may.h"
#include "check.h"
#include "json.h"
#include "live_ws.h"
#include "num.h"

enum { PUBLISHES_MAX = 256, REF_BYTES_MAX = 256, NAMES_MAX = LIVE_SUBSCRIPTIONS_MAX };

struct live_ws_ack {
	struct live_ws_ack *next;
	size_t len;
	char ref[];
};

enum call_kind { CALL_NONE, CALL_TOKEN, CALL_SUBSCRIBE, CALL_UNSUBSCRIBE, CALL_PUBLISH };

struct call {
	enum call_kind kind;
	bool several;          /* more than one kind */
	struct session_subscription since; /* where a subscription begins */
	struct span ref, data; /* JSON */
	struct span key;       /* decoded */
	struct span *names;    /* decoded */
	uint64_t *ids;         /* what those names were said as that were ids; NULL: none */
	size_t name_count, name_cap;
	char *text;            /* where decoded strings lie: as long as the message */
	size_t text_len;
	struct env *env;
	const char *fault;
	/* What names and text are, mostly: room for a short message. */
	struct span few_names[4];
	char few_text[256];
};

/* ── answers ── */

static void
send_ack(struct live_ws *ws, struct span ref, const char *member, struct span value,
    const char *end)
{
	struct buf *out = live_ws_text_begin(ws);
	buf_append_span(out, SPAN("{\"ack\":"));
	buf_append_span(out, ref.len ? ref : SPAN("null"));
	buf_append_str(out, member);
	buf_append_span(out, value);
	buf_append_str(out, end);
	live_ws_text_end(ws);
}

static void
send_ok(struct live_ws *ws, struct span ref)
{
	if (ref.len)
		send_ack(ws, ref, ",\"ok\":true", (struct span){NULL, 0}, "}");
}

static void
send_error(struct live_ws *ws, struct span ref, unsigned status, const char *detail)
{
	struct buf problem;
	buf_init(&problem, 0);
	http_answer_problem_json(&problem, status, NULL, detail);
	send_ack(ws, ref, ",\"ok\":false,\"error\":", buf_span(&problem), "}");
	buf_finish(&problem);
}

void
live_ws_confirmed(struct live_ws *ws)
{
	while (ws->talk && ws->talk->acks) {
		struct live_ws_ack *ack = ws->talk->acks;
		ws->talk->acks = ack->next;
		send_ok(ws, span_of(ack->ref, ack->len));
		free(ack);
	}
	live_ws_talk_trim(ws);
}

/* Acknowledges as soon as every subscription is in force. */
static void
acknowledge_later(struct live_ws *ws, struct span ref)
{
	if (ws->live.sink.waiting == 0) {
		live_ws_confirmed(ws);
		send_ok(ws, ref);
		return;
	}
	if (!ref.len)
		return;
	struct live_ws_talk *talk = live_ws_talk_get(ws);
	struct live_ws_ack *ack = talk ? malloc(sizeof(*ack) + ref.len) : NULL;
	if (!ack) {
		net_close(ws->live.conn, NET_CLOSE_MEMORY);
		return;
	}
	ack->next = NULL;
	ack->len = ref.len;
	memcpy(ack->ref, ref.ptr, ref.len);
	struct live_ws_ack **at = &talk->acks;
	while (*at)
		at = &(*at)->next;
	*at = ack;
}

/* ── reading ── */

/* The text of the value whose first token was read, to its end. */
static struct span
raw_value(struct json_reader *reader, enum json_token first)
{
	const char *begin = reader->pos;
	if (first == JSON_OBJECT || first == JSON_ARRAY)
		begin -= 1;
	else if (first == JSON_STRING)
		begin = reader->text.ptr - 1;
	else if (first == JSON_NUMBER)
		begin = reader->text.ptr;
	else
		begin -= first == JSON_FALSE ? 5 : 4;
	if (json_skip(reader, first) == JSON_ERROR)
		return (struct span){NULL, 0};
	return span_of(begin, (size_t)(reader->pos - begin));
}

static struct span
decoded(struct call *call, const struct json_reader *reader)
{
	char *to = call->text + call->text_len;
	size_t len = json_string_decode(reader->text, to);
	call->text_len += len;
	return span_of(to, len);
}

static bool
add_name(struct call *call, struct span name)
{
	if (call->name_count == call->name_cap) {
		size_t cap = call->name_cap * 2;
		bool few = call->names == call->few_names;
		struct span *grown = realloc(few ? NULL : call->names, cap * sizeof(*grown));
		if (!grown)
			return false;
		if (few)
			memcpy(grown, call->few_names, sizeof(call->few_names));
		call->names = grown;
		call->name_cap = cap;
	}
	call->names[call->name_count++] = name;
	return true;
}

/* A number that is no id would pass for a name. */
static bool
is_id(const struct json_reader *reader)
{
	return hub_pattern_is_id(reader->text);
}

static enum json_token
read_names(struct call *call, struct json_reader *reader, enum json_token token)
{
	if (token != JSON_ARRAY) {
		call->fault = "channels come as an array";
		return json_skip(reader, token);
	}
	while ((token = json_next(reader)) != JSON_ARRAY_END && token != JSON_ERROR) {
		struct span name = reader->text;
		if (token == JSON_STRING) {
			name = decoded(call, reader);
		} else if (token != JSON_NUMBER || !is_id(reader)) {
			call->fault = "a channel is a name or an id";
			token = json_skip(reader, token);
			continue;
		}
		if (call->name_count == NAMES_MAX)
			call->fault = "too many channels";
		else if (!add_name(call, name))
			call->fault = "memory is out";
	}
	return token;
}

static void
set_kind(struct call *call, enum call_kind kind)
{
	call->several |= call->kind != CALL_NONE;
	call->kind = kind;
}

static enum json_token
read_member(struct call *call, struct json_reader *reader)
{
	static const struct {
		struct span name;
		enum call_kind kind;
	} kinds[] = {
		{{"publish", 7}, CALL_PUBLISH}, {{"token", 5}, CALL_TOKEN},
		{{"subscribe", 9}, CALL_SUBSCRIBE}, {{"unsubscribe", 11}, CALL_UNSUBSCRIBE},
	};
	enum call_kind kind = CALL_NONE;
	for (size_t i = 0; i < ARRAY_COUNT(kinds) && kind == CALL_NONE; i++) {
		if (json_text_eq(reader, kinds[i].name))
			kind = kinds[i].kind;
	}
	bool ref = json_text_eq(reader, SPAN("ref")), data = json_text_eq(reader, SPAN("data"));
	bool since = json_text_eq(reader, SPAN("since")), key = json_text_eq(reader, SPAN("key"));
	enum json_token token = json_next(reader);
	if (token == JSON_ERROR)
		return token;
	if (since) {
		if ((token != JSON_STRING && token != JSON_NUMBER) ||
		    !session_since(reader->text, env_now_ms(call->env), &call->since))
			call->fault = "since is a cursor, a time, 0 or now";
	}
	if (key && token == JSON_STRING)
		call->key = decoded(call, reader);
	if (key && call->key.len == 0)
		call->fault = "a key is a string of 1 to 255 bytes";
	if (kind != CALL_NONE)
		set_kind(call, kind);
	if (kind == CALL_TOKEN) {
		if (token != JSON_STRING)
			call->fault = "a token is a string";
		else if (!add_name(call, decoded(call, reader)))
			call->fault = "memory is out";
	} else if (kind != CALL_NONE) {
		return read_names(call, reader, token);
	} else if (ref || data) {
		struct span value = raw_value(reader, token);
		*(ref ? &call->ref : &call->data) = value;
		return value.ptr ? token : JSON_ERROR;
	}
	return json_skip(reader, token);
}

/* 0, or -EBADMSG: no JSON. What is JSON but makes no sense has call->fault. */
static int
read_call(struct call *call, struct span text)
{
	struct json_reader reader;
	json_reader_init(&reader, text, false);
	enum json_token token = json_next(&reader);
	if (token == JSON_ERROR || token == JSON_END)
		return -EBADMSG;
	if (token != JSON_OBJECT) {
		call->fault = "a message is a JSON object";
		token = json_skip(&reader, token);
	} else {
		while ((token = json_next(&reader)) == JSON_KEY) {
			if (read_member(call, &reader) == JSON_ERROR)
				return -EBADMSG;
		}
	}
	if (token == JSON_ERROR || json_next(&reader) != JSON_END)
		return -EBADMSG;
	if (!call->fault && call->ref.len > REF_BYTES_MAX) {
		call->ref.len = 0;
		call->fault = "ref is too long";
	}
	if (!call->fault && (call->several || call->kind == CALL_NONE))
		call->fault = "a message has one of token, subscribe, unsubscribe, publish";
	return 0;
}

/* As read_call, or -ENOMEM; call_finish follows. */
static int
call_read(struct call *call, const struct live_ws *ws, struct span text)
{
	memset(call, 0, offsetof(struct call, few_names));
	call->names = call->few_names;
	call->name_cap = ARRAY_COUNT(call->few_names);
	call->text = text.len < sizeof(call->few_text) ? call->few_text : malloc(text.len + 1);
	call->env = loop_env(ws->live.sessions->loop);
	call->since.since = HUB_SINCE_NOW;
	return call->text ? read_call(call, text) : -ENOMEM;
}

static void
call_finish(struct call *call)
{
	if (call->names != call->few_names)
		free(call->names);
	free(call->ids);
	if (call->text != call->few_text)
		free(call->text);
}

/* Whether they can be meant at all; else *ret_reason. */
static bool
check_names(const struct call *call, const char **ret_reason)
{
	for (size_t i = 0; i < call->name_count; i++) {
		if (hub_pattern_check(call->names[i], ret_reason))
			return false;
	}
	return true;
}

/* ── doing ── */

static bool
has_rights(const struct access_principal *principal, uint32_t rights)
{
	return principal && (principal->rights & rights) == rights;
}

/* Who is there, while it is not known whose it is; then the connection's peer. */
static const char *
peer_of(const struct live_ws *ws)
{
	const struct live_ws_opening *opening = ws->talk ? ws->talk->opening : NULL;
	return opening ? opening->from : net_peer(ws->live.conn);
}

/* Nobody, too, where this address was wrong too often. */
static struct access_principal *
authenticate(const struct live_ws *ws, struct span credential)
{
	const struct session_loop *sessions = ws->live.sessions;
	struct access_limits *limits = sessions->settings.limits;
	struct span address = span_str(peer_of(ws));
	uint64_t now_ns = env_mono_ns(loop_env(sessions->loop));
	if (access_limits_failures(limits, address, now_ns))
		return NULL;
	struct access_principal *principal =
	    access_authenticate_credential(sessions->access, credential,
		env_now_ms(loop_env(sessions->loop)));
	if (!principal)
		access_limits_failed(limits, address, now_ns);
	return principal;
}

static void
do_token(struct live_ws *ws, const struct call *call)
{
	struct live *live = &ws->live;
	struct access_principal *principal = authenticate(ws, call->names[0]);
	if (!has_rights(principal, ws->rights)) {
		access_principal_unref(principal);
		live_ws_close(ws, LIVE_WS_CODE_EXPIRED, NET_CLOSE_REVOKED, "no valid token");
		return;
	}
	if (ws->state == LIVE_WS_TOKEN) {
		struct live_refusal refusal;
		live_ws_forget_guest(ws); /* nobody needs to be asked for him */
		live_identify(live, principal);
		if (!live_listen(live, &ws->talk->opening->asked, &refusal)) {
			send_error(ws, call->ref, refusal.status, refusal.detail);
			live_ws_close(ws, LIVE_WS_CODE_POLICY, NET_CLOSE_PROTOCOL, refusal.detail);
			return;
		}
		live_ws_opened(ws);
	} else {
		access_principal_unref(principal); /* he stays who he was */
	}
	acknowledge_later(ws, call->ref);
}

static void
do_subscribe(struct live_ws *ws, const struct call *call)
{
	struct live_refusal refusal;
	check(ws->state == LIVE_WS_OPEN);
	struct session_subscription subscription = call->since;
	subscription.pattern_count =
	    session_patterns_join(call->names, call->ids, call->name_count);
	subscription.patterns = call->names;
	subscription.ids = call->ids;
	if (!live_listen(&ws->live, &subscription, &refusal)) {
		send_error(ws, call->ref, refusal.status, refusal.detail);
		return;
	}
	acknowledge_later(ws, call->ref);
}

static void
do_unsubscribe(struct live_ws *ws, const struct call *call)
{
	for (size_t i = 0; i < call->name_count; i++)
		live_unsubscribe(&ws->live, call->names[i]);
	acknowledge_later(ws, call->ref);
}

/* What is under way elsewhere and comes back whether or not the client is still there. */
struct live_ws_errand {
	struct list link;
	struct live_ws *ws; /* NULL: the client left */
	size_t len;
	char text[];        /* of a publish the ref, of a lookup the message */
};

/* NULL: memory is out, which was said. */
static struct live_ws_errand *
errand_create(struct live_ws *ws, struct span text, struct span ref)
{
	struct live_ws_talk *talk = live_ws_talk_get(ws);
	struct live_ws_errand *errand = talk ? malloc(sizeof(*errand) + text.len) : NULL;
	if (!errand) {
		send_error(ws, ref, 503, "memory is out");
		return NULL;
	}
	errand->ws = ws;
	errand->len = text.len;
	if (text.len)
		memcpy(errand->text, text.ptr, text.len);
	list_push_back(&talk->errands, &errand->link);
	return errand;
}

static void
pause_input(struct live_ws *ws)
{
	const struct live_ws_talk *talk = ws->talk;
	net_pause_input(ws->live.conn,
	    talk && (talk->looking || talk->publish_count >= PUBLISHES_MAX));
}

static unsigned
status_of(int error)
{
	switch (error) {
	case -EACCES: case -EPERM: return 403;
	case -ENOENT: return 404;
	case -EINVAL: return 422;
	case -EMSGSIZE: return 413;
	case -EAGAIN: return 429;
	default: return 503;
	}
}

static void
publish_done(void *ctx, int error, struct span id_or_detail)
{
	struct live_ws_errand *publish = ctx;
	struct live_ws *ws = publish->ws;
	struct span ref = span_of(publish->text, publish->len);
	list_remove(&publish->link);
	if (ws && ws->talk->publish_count-- == PUBLISHES_MAX)
		pause_input(ws);
	if (ws && error) {
		struct buf text;
		buf_init(&text, 0);
		buf_append_span(&text, id_or_detail);
		buf_append_byte(&text, '\0');
		send_error(ws, ref, status_of(error), buf_ok(&text) ? text.ptr : "memory is out");
		buf_finish(&text);
	} else if (ws && ref.len) {
		send_ack(ws, ref, ",\"ok\":true,\"id\":\"", id_or_detail, "\"}");
	}
	free(publish);
	if (ws)
		live_ws_talk_trim(ws);
}

/* ── guests ── */

/* Whether the application is to be asked for this first: it subscribes to more than is granted. */
static bool
needs_asking(const struct live_ws *ws, const struct call *call)
{
	if (call->kind != CALL_SUBSCRIBE || !ws->talk || !ws->talk->guest)
		return false;
	if (!ws->live.principal)
		return true;
	for (size_t i = 0; i < call->name_count; i++) {
		if (!live_may_listen(&ws->live, call->names[i]))
			return true;
	}
	return false;
}

/* What a guest may say before the application was asked for him. To unsubscribe from nothing is how
 * clients find out whether they are connected. */
static bool
may_precede(const struct live_ws *ws, const struct call *call)
{
	if (!ws->talk || !ws->talk->guest || call->fault)
		return false;
	return call->kind == CALL_SUBSCRIBE ||
	    (call->kind == CALL_UNSUBSCRIBE && call->name_count == 0);
}

/* Takes over what the application grants, besides what it granted before. 0 or -errno. */
static int
grant(struct live_ws *ws, struct access_principal *granted)
{
	struct live *live = &ws->live;
	struct access_principal *principal;
	if (live->principal) {
		int error = access_guest_join(live->principal, granted, &principal);
		if (error)
			return error;
	} else {
		principal = access_principal_ref(granted);
	}
	live_identify(live, principal);
	if (ws->state == LIVE_WS_TOKEN)
		live_ws_opened(ws);
	return 0;
}

static void refuse_said(struct live_ws *ws, struct span text, unsigned status, const char *detail);
static void hear(struct live_ws *ws, struct span text, const struct span *names);

static void
guest_answered(void *ctx, const struct session_verdict *verdict)
{
	struct live_ws *ws = ctx;
	struct live_ws_errand *asked = ws->talk->asked;
	struct span text = span_of(asked->text, asked->len);
	int error = 0;
	ws->talk->asked = NULL;
	ws->talk->looking = false;
	if (ws->state != LIVE_WS_OVER) {
		pause_input(ws);
		if (verdict->status == 200)
			error = grant(ws, verdict->principal);
		else if (ws->talk->unknown && verdict->status < 500)
			access_limits_failed(ws->live.sessions->settings.limits,
			    span_str(peer_of(ws)), env_mono_ns(loop_env(ws->live.sessions->loop)));
		if (error)
			refuse_said(ws, text, error == -EINVAL ? 422 : 503, error == -EINVAL ?
			    "too many channels" : "memory is out");
		else if (verdict->status == 200)
			hear(ws, text, NULL);
		else
			refuse_said(ws, text, verdict->status, verdict->detail);
	}
	free(asked);
}

/* Asks, and hears the message again when it is granted. */
static void
ask(struct live_ws *ws, const struct call *call, struct span text)
{
	struct session_loop *sessions = ws->live.sessions;
	const char *reason;
	if (!check_names(call, &reason)) {
		send_error(ws, call->ref, 422, reason);
		return;
	}
	struct live_ws_errand *asked = malloc(sizeof(*asked) + text.len);
	if (!asked) {
		send_error(ws, call->ref, 503, "memory is out");
		return;
	}
	list_init(&asked->link);
	asked->len = text.len;
	memcpy(asked->text, text.ptr, text.len);
	ws->talk->asked = asked;
	ws->talk->looking = true;
	pause_input(ws);
	sessions->hooks.guest_ask(ws->talk->guest, call->names, call->name_count, guest_answered,
	    ws);
}

/* ── publishing ── */

/* Why it may not be published; NULL: it may. */
static const char *
publish_fault(const struct live_ws *ws, const struct call *call, unsigned *ret_status)
{
	const struct session_loop *sessions = ws->live.sessions;
	const char *reason;
	*ret_status = 403;
	if (!sessions->hooks.publish || !has_rights(ws->live.principal, ACCESS_PUBLISH))
		return "these credentials may not publish";
	const char *fault = call->name_count == 0 ? "no channel is named" : NULL;
	for (size_t i = 0; i < call->name_count; i++) {
		if (hub_pattern_is_id(call->names[i]))
			continue; /* what may be done to it is asked when its name is known */
		if (hub_name_check(call->names[i], &reason)) {
			fault = reason;
			continue;
		}
		reason = access_publish_fault(sessions->access, ws->live.principal, call->names[i]);
		if (reason)
			return reason;
	}
	*ret_status = 422;
	return call->data.len ? fault : "data is missing";
}

static void
do_publish(struct live_ws *ws, const struct call *call)
{
	unsigned status;
	const char *fault = publish_fault(ws, call, &status);
	if (fault) {
		send_error(ws, call->ref, status, fault);
		return;
	}
	struct live_ws_errand *publish = errand_create(ws, call->ref, call->ref);
	if (!publish)
		return;
	if (++ws->talk->publish_count == PUBLISHES_MAX)
		pause_input(ws);
	struct session_loop *sessions = ws->live.sessions;
	sessions->hooks.publish(sessions->app, ws->live.principal, call->names, call->name_count,
	    call->key, call->data, publish_done, publish);
}

static void
do_call(struct live_ws *ws, const struct call *call)
{
	switch (call->kind) {
	case CALL_TOKEN:
		do_token(ws, call);
		break;
	case CALL_SUBSCRIBE:
		do_subscribe(ws, call);
		break;
	case CALL_UNSUBSCRIBE:
		do_unsubscribe(ws, call);
		break;
	case CALL_PUBLISH:
		do_publish(ws, call);
		break;
	case CALL_NONE:
		break;
	}
}

/* ── ids ── */

/* Whether a call that subscribes or unsubscribes says channels by their ids. */
static size_t
count_ids(const struct call *call)
{
	size_t count = 0;
	if (call->kind != CALL_SUBSCRIBE && call->kind != CALL_UNSUBSCRIBE)
		return 0;
	for (size_t i = 0; i < call->name_count; i++)
		count += hub_pattern_is_id(call->names[i]);
	return count;
}

static void
refuse_said(struct live_ws *ws, struct span text, unsigned status, const char *detail)
{
	struct call call;
	if (call_read(&call, ws, text) == 0)
		send_error(ws, call.ref, status, detail);
	call_finish(&call);
}

static void
lookup_done(void *ctx, int error, const struct span *names)
{
	struct live_ws_errand *lookup = ctx;
	struct live_ws *ws = lookup->ws;
	struct span text = span_of(lookup->text, lookup->len);
	list_remove(&lookup->link);
	if (ws) {
		ws->talk->looking = false;
		pause_input(ws);
	}
	if (ws && ws->state != LIVE_WS_OVER && !error)
		hear(ws, text, names);
	else if (ws && ws->state != LIVE_WS_OVER)
		refuse_said(ws, text, error == -ENOENT ? 404 : 503, error == -ENOENT ?
		    "no channel has one of these ids" : "memory is out");
	free(lookup);
	if (ws)
		live_ws_talk_trim(ws);
}

/* Looks the names up, and hears the message again when they are known. */
static void
look_up(struct live_ws *ws, const struct call *call, struct span text, size_t count)
{
	struct session_loop *sessions = ws->live.sessions;
	struct span *ids = malloc(count * sizeof(*ids));
	struct live_ws_errand *lookup = NULL;
	size_t at = 0;
	if (ids)
		lookup = errand_create(ws, text, call->ref);
	else
		send_error(ws, call->ref, 503, "memory is out");
	for (size_t i = 0; lookup && i < call->name_count; i++) {
		if (hub_pattern_is_id(call->names[i]))
			ids[at++] = call->names[i];
	}
	if (lookup) {
		ws->talk->looking = true;
		pause_input(ws);
		sessions->hooks.names(sessions->app, live_tenant(&ws->live), ids, count,
		    lookup_done, lookup);
	}
	free(ids);
}

static bool
take_names(struct call *call, const struct span *names)
{
	call->ids = calloc(call->name_count, sizeof(*call->ids));
	for (size_t i = 0; i < call->name_count && call->ids; i++) {
		if (!hub_pattern_is_id(call->names[i]))
			continue;
		num_parse_u64(call->names[i], &call->ids[i]);
		call->names[i] = *names++;
	}
	return call->ids;
}

/* `names`: those of the ids in it, once they were looked up. */
static void
hear(struct live_ws *ws, struct span text, const struct span *names)
{
	struct call call;
	int error = call_read(&call, ws, text);
	size_t ids = error ? 0 : count_ids(&call);
	if (error == -ENOMEM)
		net_close(ws->live.conn, NET_CLOSE_MEMORY);
	else if (error)
		live_ws_close(ws, LIVE_WS_CODE_NOT_JSON, NET_CLOSE_PROTOCOL, "not JSON");
	else if (ws->state == LIVE_WS_TOKEN && (call.fault || call.kind != CALL_TOKEN) &&
	    !may_precede(ws, &call))
		live_ws_close(ws, LIVE_WS_CODE_EXPIRED, NET_CLOSE_REVOKED, "a token comes first");
	else if (call.fault)
		send_error(ws, call.ref, 422, call.fault);
	else if (ids && !names)
		look_up(ws, &call, text, ids);
	else if (ids && !take_names(&call, names))
		send_error(ws, call.ref, 503, "memory is out");
	else if (needs_asking(ws, &call))
		ask(ws, &call, text);
	else
		do_call(ws, &call);
	call_finish(&call);
}

void
live_ws_message(struct live_ws *ws, struct span text)
{
	hear(ws, text, NULL);
}

void
live_ws_forget(struct live_ws *ws)
{
	struct live_ws_talk *talk = ws->talk;
	while (talk && talk->acks) {
		struct live_ws_ack *ack = talk->acks;
		talk->acks = ack->next;
		free(ack);
	}
	if (talk) {
		free(talk->asked);
		talk->asked = NULL;
	}
	while (talk && !list_empty(&talk->errands)) {
		struct list *link = talk->errands.next;
		CONTAINER_OF(link, struct live_ws_errand, link)->ws = NULL;
		list_remove(link);
	}
}

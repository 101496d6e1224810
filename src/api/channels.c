/*
 * channels.c: /api/v1/channels: made, shown, renewed, closed, and who is there.
 *
 * What is done to a channel that is said by its id asks for its name first, for rights are given
 * for names. A call outlives its request: what was begun is finished.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_may.h"
#include "api_priv.h"
#include "body_fault.h"
#include "check.h"
#include "num.h"

enum { LIST_DEFAULT = 100, LIST_MAX = 1000 };

#define CHANNEL_TTL_S_MAX UINT64_C(3153600000)  /* a hundred years */
#define CHANNEL_MESSAGES_MAX UINT64_C(1000000)
#define CHANNEL_META_BYTES_MAX 4096u

struct channel_call {
	struct flow_channel op;
	struct session_request *request; /* NULL: gone */
	struct api_loop *al;
	struct access_principal *principal;
	enum flow_channel_op then;       /* after the name is known */
	size_t limit;                    /* PRESENCE: then */
	struct buf text, meta;           /* what op's spans point to */
	struct span asked;               /* names[0] of NAMES */
	struct body_fault fault;
	struct flow_channel_info *infos;
};

static void
call_destroy(struct channel_call *call)
{
	if (!call)
		return;
	access_principal_unref(call->principal);
	buf_finish(&call->text);
	buf_finish(&call->meta);
	free(call->infos);
	free(call);
}

/* With room for `count` channels. NULL: answered. */
static struct channel_call *
call_create(struct session_request *request, size_t count)
{
	struct channel_call *call = calloc(1, sizeof *call);
	struct flow_channel_info *infos = calloc(count, sizeof *infos);
	if (!call || !infos) {
		free(call);
		free(infos);
		api_no_memory(request);
		return NULL;
	}
	call->request = request;
	call->al = session_app(request);
	call->principal = access_principal_ref(
	    (struct access_principal *)(uintptr_t)session_principal(request));
	call->infos = call->op.infos = infos;
	call->op.limit = count;
	call->op.spec.tenant = call->principal->tenant;
	buf_init(&call->text, 0);
	buf_init(&call->meta, 0);
	return call;
}

static bool
call_may(const struct channel_call *call, enum access_verb verb, struct span name)
{
	const struct access_object channel = {
		.what = ACCESS_A_CHANNEL, .tenant = call->op.spec.tenant, .id = name};
	return access_may(call->al->access, call->principal, verb, &channel) == ACCESS_YES;
}

/* ── answers ── */

static void
expiry_write(struct buf *out, int64_t expires_ms)
{
	buf_append_str(out, "\"expires_at\":");
	if (expires_ms == INT64_MAX)
		buf_append_str(out, "null");
	else
		buf_append_i64(out, expires_ms);
}

static void
head_write(struct buf *out, const struct flow_channel_info *info)
{
	buf_printf(out, "{\"id\":%llu,\"name\":", (unsigned long long)info->id);
	json_write_string(out, span_of(info->name, info->name_len));
	buf_append_byte(out, ',');
	expiry_write(out, info->expires_ms);
}

/* `meta`: what is shown of it; empty: nothing. */
static void
info_write(struct buf *out, const struct flow_channel_info *info, struct span meta)
{
	head_write(out, info);
	if (meta.len) {
		buf_append_str(out, ",\"meta\":");
		buf_append_span(out, meta);
	}
	buf_printf(out, ",\"durable\":%s,\"presence\":%s,\"slow\":\"%s\",\"subscribers\":%llu,"
	    "\"messages\":%llu,\"bytes\":%llu,\"last_id\":",
	    info->durable ? "true" : "false", info->presence ? "true" : "false",
	    hub_slow_word(MAX(info->slow, HUB_SLOW_DISCONNECT)),
	    (unsigned long long)info->subscribers, (unsigned long long)info->messages,
	    (unsigned long long)info->bytes);
	if (info->last_seq)
		buf_printf(out, "\"m%llu\"}", (unsigned long long)info->last_seq);
	else
		buf_append_str(out, "null}");
}

static void
answer_taken(const struct channel_call *call)
{
	struct buf out;
	buf_init(&out, 0);
	buf_printf(&out, "{\"type\":\"about:blank\",\"title\":\"Conflict\",\"status\":409,"
	    "\"detail\":\"there is a channel of this name already\",\"pointer\":\"/name\","
	    "\"id\":%llu}", (unsigned long long)call->infos[0].id);
	api_answer_buf(call->request, 409, "application/problem+json", &out);
}

/* A list leaves out what the caller may not see; what follows begins behind the last one looked
 * at. */
static void
answer_list(const struct channel_call *call)
{
	const struct flow_channel *op = &call->op;
	struct buf out;
	bool any = false;
	buf_init(&out, 0);
	buf_append_str(&out, "{\"items\":[");
	for (size_t i = 0; i < op->info_count; i++) {
		const struct flow_channel_info *info = &call->infos[i];
		if (!call_may(call, ACCESS_SEE, span_of(info->name, info->name_len)))
			continue;
		if (any)
			buf_append_byte(&out, ',');
		any = true;
		info_write(&out, info, SPAN(""));
	}
	if (op->info_count == op->limit)
		buf_printf(&out, "],\"next\":\"%llu\"}",
		    (unsigned long long)call->infos[op->limit - 1].id);
	else
		buf_append_str(&out, "],\"next\":null}");
	api_answer_buf(call->request, 200, "application/json", &out);
}

static void
answer_presence(const struct channel_call *call)
{
	const struct flow_presence *presence = &call->op.presence;
	struct buf out;
	buf_init(&out, 0);
	buf_append_str(&out, "{\"items\":[");
	buf_append_span(&out, buf_span(&call->meta));
	buf_printf(&out, "],\"members\":%zu,\"unlisted\":%llu,\"next\":", presence->members,
	    (unsigned long long)presence->unlisted);
	if (presence->more)
		buf_printf(&out, "\"%llu\"}", (unsigned long long)presence->number_last);
	else
		buf_append_str(&out, "null}");
	api_answer_buf(call->request, 200, "application/json", &out);
}

static void
answer_done(const struct channel_call *call)
{
	struct session_request *request = call->request;
	struct buf out;
	buf_init(&out, 0);
	switch (call->op.op) {
	case FLOW_CHANNEL_ADD:
		head_write(&out, call->infos);
		buf_append_byte(&out, '}');
		break;
	case FLOW_CHANNEL_RENEW:
		buf_append_byte(&out, '{');
		expiry_write(&out, call->infos[0].expires_ms);
		buf_append_byte(&out, '}');
		break;
	case FLOW_CHANNEL_REMOVE:
		session_answer(request, 204, NULL, span_of(NULL, 0));
		return;
	case FLOW_CHANNEL_PRESENCE:
		answer_presence(call);
		return;
	default:
		info_write(&out, call->infos,
		    span_of(call->meta.ptr, call->infos[0].meta_len));
		break;
	}
	api_answer_buf(request, call->op.op == FLOW_CHANNEL_ADD ? 201 : 200, "application/json",
	    &out);
}

static void
answer_error(const struct channel_call *call, int error)
{
	struct session_request *request = call->request;
	if (error == -EINVAL)
		body_fault_answer(request, &call->fault);
	else if (error == -EEXIST)
		answer_taken(call);
	else if (error == -ENOENT)
		session_problem(request, 404, NULL, "there is no such channel");
	else if (error == -ENODATA)
		session_problem(request, 404, NULL, "the channel does not show who is there: "
		    "it was made without presence");
	else if (error == -ENOSPC)
		session_problem(request, 503, NULL, "the disk is full");
	else if (error == -EIO)
		session_problem(request, 503, NULL, "the disk fails");
	else if (error == -EACCES)
		session_problem(request, 403, NULL, "these credentials may not do this to it");
	else
		api_no_memory(request);
}

static void
call_end(struct channel_call *call, int error)
{
	if (call->request) {
		session_set_state(call->request, NULL);
		if (error)
			answer_error(call, error);
		else if (call->op.op == FLOW_CHANNEL_LIST)
			answer_list(call);
		else
			answer_done(call);
	}
	call_destroy(call);
}

static void
op_done(struct flow_channel *op, int error)
{
	call_end(CONTAINER_OF(op, struct channel_call, op), error);
}

static void
call_run(struct channel_call *call, enum flow_channel_op what)
{
	call->op.op = what;
	call->op.done = op_done;
	session_set_state(call->request, call);
	flow_channel(call->al->flow, &call->op);
}

static void
channels_gone(struct session_request *request, bool broken)
{
	struct channel_call *call = session_state(request);
	(void)broken;
	if (call)
		call->request = NULL;
}

/* ── one that is there ── */

/* 0; -ENOENT: nor may it know of it; -EACCES. */
static int
named_fault(const struct channel_call *call, struct span name)
{
	bool changes = call_may(call, ACCESS_CHANGE, name);
	if (call->then == FLOW_CHANNEL_PRESENCE)
		return call_may(call, ACCESS_LISTEN, name) ? 0 : -ENOENT;
	if (!changes && !call_may(call, ACCESS_SEE, name))
		return -ENOENT;
	return changes || call->then == FLOW_CHANNEL_GET ? 0 : -EACCES;
}

/* Its name is known: may it be done? */
static void
named_done(struct flow_channel *op, int error)
{
	struct channel_call *call = CONTAINER_OF(op, struct channel_call, op);
	const struct flow_channel_info *info = call->infos;
	if (!error)
		error = named_fault(call, span_of(info->name, info->name_len));
	if (!error && call->fault.status)
		error = -EINVAL;
	if (error) {
		call_end(call, error);
		return;
	}
	call->op.op = call->then;
	call->op.name = call->asked;
	call->op.meta = &call->meta;
	call->op.limit = call->limit;
	call->op.done = op_done;
	flow_channel(call->al->flow, &call->op);
}

static struct channel_call *
one_create(struct session_request *request)
{
	struct channel_call *call = call_create(request, 1);
	if (!call)
		return NULL;
	if (buf_append_span(&call->text, session_path_param(request, "channel"))) {
		api_no_memory(request);
		call_destroy(call);
		return NULL;
	}
	call->asked = buf_span(&call->text);
	return call;
}

static void
one_run(struct channel_call *call, enum flow_channel_op what)
{
	call->then = what;
	call->op.op = FLOW_CHANNEL_NAMES;
	call->op.names = &call->asked;
	call->op.done = named_done;
	session_set_state(call->request, call);
	flow_channel(call->al->flow, &call->op);
}

static void
get_end(struct session_request *request, struct span whole)
{
	struct channel_call *call = one_create(request);
	(void)whole;
	if (call)
		one_run(call, FLOW_CHANNEL_GET);
}

static void
remove_end(struct session_request *request, struct span whole)
{
	struct channel_call *call = one_create(request);
	(void)whole;
	if (call)
		one_run(call, FLOW_CHANNEL_REMOVE);
}

/* ── bodies ── */

struct body {
	struct channel_call *call;
	struct json_reader reader;
};

static void
refuse(struct body *body, const char *pointer, const char *detail)
{
	body_fault_set(&body->call->fault, 422, pointer, detail);
}

/* An integer of at most `max`, or null: then *value stays. */
static void
number_take(struct body *body, const char *pointer, uint64_t max, uint64_t *value)
{
	enum json_token token = json_next(&body->reader);
	char detail[80];
	uint64_t number;
	if (token == JSON_NULL)
		return;
	if (token == JSON_NUMBER && num_parse_u64(body->reader.text, &number) == 0 &&
	    number <= max) {
		*value = number;
		return;
	}
	json_skip(&body->reader, token);
	snprintf(detail, sizeof detail, "it must be an integer from 0 to %llu",
	    (unsigned long long)max);
	refuse(body, pointer, detail);
}

static void
flag_take(struct body *body, const char *pointer, bool *value)
{
	enum json_token token = json_next(&body->reader);
	if (token != JSON_TRUE && token != JSON_FALSE) {
		json_skip(&body->reader, token);
		refuse(body, pointer, "it must be true or false");
		return;
	}
	*value = token == JSON_TRUE;
}

static void
slow_take(struct body *body, struct hub_channel_spec *spec)
{
	enum json_token token = json_next(&body->reader);
	if (token == JSON_STRING)
		spec->slow = hub_slow_find(body->reader.text);
	else
		json_skip(&body->reader, token);
	if (spec->slow == HUB_SLOW_UNSAID)
		refuse(body, "/slow", "it is disconnect, drop_oldest or drop_newest");
}

static void
name_take(struct body *body)
{
	struct channel_call *call = body->call;
	enum json_token token = json_next(&body->reader);
	const char *reason = "a name is a string";
	struct span text = body->reader.text;
	if (token != JSON_STRING || buf_reserve(&call->text, text.len + 1)) {
		json_skip(&body->reader, token);
		refuse(body, "/name", reason);
		return;
	}
	struct span name = span_of(call->text.ptr, json_string_decode(text, call->text.ptr));
	if (hub_name_check(name, &reason))
		refuse(body, "/name", reason);
	else if (access_is_view(name))
		refuse(body, "/name",
		    "names below readings, alerts, gateways and $presence are the server's");
	else
		call->op.spec.name = name;
	call->text.len = name.len;
}

static void
history_take(struct body *body, struct hub_limits *limits)
{
	struct json_reader *reader = &body->reader;
	enum json_token token = json_next(reader);
	uint64_t seconds = (uint64_t)limits->history_ms / 1000, messages = limits->messages;
	if (token != JSON_OBJECT) {
		json_skip(reader, token);
		refuse(body, "/history", "it must be an object");
		return;
	}
	while (json_next(reader) == JSON_KEY) {
		if (json_text_eq(reader, SPAN("seconds")))
			number_take(body, "/history/seconds", CHANNEL_TTL_S_MAX, &seconds);
		else if (json_text_eq(reader, SPAN("messages")))
			number_take(body, "/history/messages", CHANNEL_MESSAGES_MAX, &messages);
		else if (json_text_eq(reader, SPAN("bytes")))
			number_take(body, "/history/bytes", HUB_HISTORY_BYTES_MAX / 2,
			    &limits->bytes);
		else {
			json_skip(reader, json_next(reader));
			refuse(body, "/history", "a history has seconds, messages, bytes");
		}
	}
	limits->history_ms = (int64_t)seconds * 1000;
	limits->messages = (uint32_t)messages;
}

/* Any value, as it was said. */
static void
meta_take(struct body *body)
{
	struct channel_call *call = body->call;
	struct json_reader *reader = &body->reader;
	const char *begin = reader->pos;
	json_skip(reader, json_next(reader));
	while (begin < reader->pos && memchr(" \t\r\n:", *begin, 5))
		begin++;
	struct span meta = span_of(begin, (size_t)(reader->pos - begin));
	buf_clear(&call->meta);
	if (meta.len > CHANNEL_META_BYTES_MAX)
		refuse(body, "/meta", "it may have 4096 bytes");
	else if (buf_append_span(&call->meta, meta))
		refuse(body, "/meta", "there is no memory for it");
	call->op.spec.meta = buf_span(&call->meta);
}

static void
create_member(struct body *body, uint64_t *ttl_s)
{
	struct json_reader *reader = &body->reader;
	struct hub_channel_spec *spec = &body->call->op.spec;
	if (json_text_eq(reader, SPAN("name"))) {
		name_take(body);
	} else if (json_text_eq(reader, SPAN("ttl_s"))) {
		number_take(body, "/ttl_s", CHANNEL_TTL_S_MAX, ttl_s);
	} else if (json_text_eq(reader, SPAN("history"))) {
		history_take(body, &spec->limits);
	} else if (json_text_eq(reader, SPAN("durable"))) {
		flag_take(body, "/durable", &spec->durable);
	} else if (json_text_eq(reader, SPAN("presence"))) {
		flag_take(body, "/presence", &spec->presence);
	} else if (json_text_eq(reader, SPAN("slow"))) {
		slow_take(body, spec);
	} else if (json_text_eq(reader, SPAN("meta"))) {
		meta_take(body);
	} else {
		body_fault_unknown(&body->call->fault, reader, "a channel has name, ttl_s, history,"
		    " durable, presence, slow, meta and nothing else");
		json_skip(reader, json_next(reader));
	}
}

/* Whether the body, which may be empty, is an object; else that is noted. */
static bool
body_open(struct body *body, struct channel_call *call, struct span whole)
{
	*body = (struct body){.call = call};
	if (whole.len == 0)
		whole = SPAN("{}");
	if (!body_fault_check_json(&call->fault, whole))
		return false;
	json_reader_init(&body->reader, whole, false);
	if (json_next(&body->reader) == JSON_OBJECT)
		return true;
	refuse(body, NULL, "the body must be an object");
	return false;
}

static void
spec_take(struct channel_call *call, struct span whole)
{
	struct hub_channel_spec *spec = &call->op.spec;
	struct body body;
	uint64_t ttl_s = 0;
	spec->limits = (struct hub_limits){
		.history_ms = HUB_CHANNEL_HISTORY_MS,
		.bytes = HUB_CHANNEL_BYTES,
		.messages = HUB_CHANNEL_MESSAGES,
	};
	spec->presence = call->al->api->presence;
	if (!body_open(&body, call, whole))
		return;
	while (json_next(&body.reader) == JSON_KEY)
		create_member(&body, &ttl_s);
	if (spec->presence && spec->name.len > FLOW_PRESENCE_NAME_BYTES_MAX)
		refuse(&body, "/name", "with presence a name has at most 245 bytes");
	spec->ttl_ms = (int64_t)ttl_s * 1000;
}

static void
create_end(struct session_request *request, struct span whole)
{
	struct channel_call *call = call_create(request, 1);
	if (!call)
		return;
	spec_take(call, whole);
	struct span name = call->op.spec.name;
	bool named = call->fault.status != 400 && strcmp(call->fault.pointer, "/name") != 0;
	if (named && !call_may(call, ACCESS_CHANGE, name.len ? name : SPAN("#")))
		session_problem(request, 403, "/name",
		    "these credentials may not make this channel");
	else if (call->fault.status)
		body_fault_answer(request, &call->fault);
	else {
		call_run(call, FLOW_CHANNEL_ADD);
		return;
	}
	call_destroy(call);
}

static void
renewal_take(struct channel_call *call, struct span whole)
{
	struct body body;
	uint64_t ttl_s = 0;
	call->op.ttl_ms = FLOW_CHANNEL_TTL_AS_IT_IS;
	if (!body_open(&body, call, whole))
		return;
	while (json_next(&body.reader) == JSON_KEY) {
		if (json_text_eq(&body.reader, SPAN("ttl_s"))) {
			number_take(&body, "/ttl_s", CHANNEL_TTL_S_MAX, &ttl_s);
			call->op.ttl_ms = (int64_t)ttl_s * 1000;
			continue;
		}
		body_fault_unknown(&call->fault, &body.reader,
		    "a renewal has ttl_s and nothing else");
		json_skip(&body.reader, json_next(&body.reader));
	}
}

static void
renew_end(struct session_request *request, struct span whole)
{
	struct channel_call *call = one_create(request);
	if (!call)
		return;
	renewal_take(call, whole);
	one_run(call, FLOW_CHANNEL_RENEW);
}

static void
list_end(struct session_request *request, struct span whole)
{
	uint64_t limit = LIST_DEFAULT, after = 0;
	(void)whole;
	if (!api_query_number(request, "limit", 1, LIST_MAX, &limit) ||
	    !api_query_number(request, "cursor", 0, UINT64_MAX, &after))
		return;
	struct channel_call *call = call_create(request, (size_t)limit);
	if (!call)
		return;
	call->op.after_id = after;
	call_run(call, FLOW_CHANNEL_LIST);
}

static void
presence_end(struct session_request *request, struct span whole)
{
	uint64_t limit = LIST_DEFAULT, after = 0;
	(void)whole;
	if (!api_query_number(request, "limit", 1, LIST_MAX, &limit) ||
	    !api_query_number(request, "cursor", 0, UINT64_MAX, &after))
		return;
	struct channel_call *call = one_create(request);
	if (!call)
		return;
	call->limit = (size_t)limit;
	call->op.after_id = after;
	one_run(call, FLOW_CHANNEL_PRESENCE);
}

/* ── routes ── */

#define OPS(name) static const struct session_route_ops name##_ops = { \
	.end = name##_end, .gone = channels_gone}
OPS(create);
OPS(renew);
OPS(remove);
OPS(get);
OPS(list);
OPS(presence);

#define CHANNEL_PATH {{"channel", "string", "Its id, or its name percent-encoded."}}

static const struct session_doc create_doc = {
	.help = "Without a name its id is its name; without ttl_s it stays. A publish restarts "
	    "its time, and so does a start of the server. A durable one keeps its history over "
	    "restarts, as far as retention leaves the journal; what is gone is told as a gap.",
	.body = {"ChannelNew"},
	.answers = {
		{201, "ChannelMade", "It is there."},
		{409, "", "There is one of this name; the problem has its id."},
		{422, "", "A member is unknown, or has no valid value."},
	},
};

static const struct session_doc list_doc = {
	.help = "In order of ids; views are not listed.",
	.query = {
		{"limit?", "integer", "1 to 1,000; 100 without."},
		{"cursor?", "string", "The next of the page before."},
	},
	.answers = {{200, "{items: [Channel], next: string|null}", "A page."}},
};

static const struct session_doc get_doc = {
	.path = CHANNEL_PATH,
	.answers = {{200, "Channel", "The channel."}, {404, "", "There is none."}},
};

static const struct session_doc presence_doc = {
	.help = "Of a channel that was made with presence: who is subscribed by its name over a "
	    "WebSocket, an event stream or a held poll, in the order of their coming, and for some "
	    "seconds (channels.presence_linger_s) who was. Who may listen to the channel may ask. "
	    "That somebody came or left is told on $presence/NAME, which no pattern means that "
	    "begins with a wild card: data is {\"joined\":[…],\"left\":[…],\"members\":N}.",
	.path = CHANNEL_PATH,
	.query = {
		{"limit?", "integer", "1 to 1,000; 100 without."},
		{"cursor?", "string", "The next of the page before."},
	},
	.answers = {
		{200, "Presence", "A page."},
		{404, "", "There is no such channel, or it does not show who is there."},
	},
};

static const struct session_doc remove_doc = {
	.help = "Who is subscribed is told.",
	.path = CHANNEL_PATH,
	.answers = {{204, "", "It is no more."}, {404, "", "There is none."}},
};

static const struct session_doc renew_doc = {
	.help = "Without ttl_s its time begins anew as long as it was.",
	.path = CHANNEL_PATH,
	.body = {"{ttl_s?: integer|null}"},
	.answers = {
		{200, "{expires_at: Time|null}",
		    "When it ends; null: never (ttl_s was 0 or null)."},
		{404, "", "There is none."},
		{422, "", "ttl_s has no valid value."},
	},
};

#define CHANNEL_ROUTE(path_, method, right, name, summary_) \
	{.path = path_, .methods = method, .rights = right, .ops = &name##_ops, \
	    .summary = summary_, .doc = &name##_doc}

const struct session_route api_channels_routes[] = {
	CHANNEL_ROUTE("/api/v1/channels", SESSION_POST, ACCESS_PUBLISH, create, "Makes a channel"),
	CHANNEL_ROUTE("/api/v1/channels", SESSION_GET, ACCESS_SUBSCRIBE, list, "Channels in pages"),
	CHANNEL_ROUTE("/api/v1/channels/{channel}", SESSION_GET, ACCESS_SUBSCRIBE, get,
	    "What is known of a channel"),
	CHANNEL_ROUTE("/api/v1/channels/{channel}", SESSION_DELETE, ACCESS_PUBLISH, remove,
	    "Closes a channel"),
	CHANNEL_ROUTE("/api/v1/channels/{channel}/presence", SESSION_GET, ACCESS_SUBSCRIBE,
	    presence, "Who is subscribed to a channel"),
	CHANNEL_ROUTE("/api/v1/channels/{channel}/renew", SESSION_POST, ACCESS_PUBLISH, renew,
	    "Sets when a channel ends"),
	{.path = NULL},
};

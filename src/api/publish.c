/*
 * publish.c: POST /api/v1/publish: one message, a list or lines of them, or a body that is the data
 * itself; and a WebSocket's publish.
 *
 * A call outlives its request: what was begun is finished. Of a batch each item stands for itself,
 * and the answer lists what became of each.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base64.h"
#include "check.h"
#include "json.h"
#include "num.h"
#include "publish_item.h"
#include "utf8.h"

enum { ITEMS_MAX = 10000 };

struct publish_call {
	struct session_request *request; /* NULL: gone */
	struct api_loop *al;
	const struct access_principal *principal; /* while the body is read */
	struct publish_item **items;
	size_t count, cap;
	size_t waiting;
	bool batch;
	bool raw;                        /* the body is the data, and the URL says the rest */
};

/* ── what is said ── */

/* Where an item is read to: names are decoded into `text`. */
struct reading {
	struct publish_said said;
	struct span channels[HUB_MESSAGE_CHANNELS_MAX + 1];
	struct buf text;
	struct body_fault fault;
};

/* Text of a string token, decoded, in reading.text, which has room for the whole item. */
static struct span
text_take(struct reading *reading, const struct json_reader *reader)
{
	char *at = reading->text.ptr + reading->text.len;
	size_t len = json_string_decode(reader->text, at);
	reading->text.len += len;
	return span_of(at, len);
}

static void
refuse(struct reading *reading, const char *pointer, const char *detail)
{
	body_fault_set(&reading->fault, 422, pointer, detail);
}

/* A channel: its name, or its id as a number. */
static void
channel_take(struct reading *reading, const struct json_reader *reader, enum json_token token)
{
	struct publish_said *said = &reading->said;
	struct span name = reader->text;
	if (token == JSON_STRING)
		name = text_take(reading, reader);
	else if (token != JSON_NUMBER || !hub_pattern_is_id(name)) {
		refuse(reading, "/channels", "a channel is a name or an id");
		return;
	}
	if (said->channel_count <= HUB_MESSAGE_CHANNELS_MAX)
		reading->channels[said->channel_count++] = name;
}

static void
channels_take(struct reading *reading, struct json_reader *reader)
{
	enum json_token token = json_next(reader);
	if (token != JSON_ARRAY) {
		json_skip(reader, token);
		refuse(reading, "/channels", "channels is a list of names and ids");
		return;
	}
	while ((token = json_next(reader)) != JSON_ARRAY_END) {
		channel_take(reading, reader, token);
		json_skip(reader, token);
	}
}

/* The text of the value that comes next, as it stands. */
static struct span
value_take(struct json_reader *reader)
{
	const char *from = reader->pos;
	json_skip(reader, json_next(reader));
	while (from < reader->pos && memchr(" \t\r\n:", *from, 5))
		from++;
	return span_of(from, (size_t)(reader->pos - from));
}

static void
key_take(struct reading *reading, struct json_reader *reader)
{
	enum json_token token = json_next(reader);
	if (token == JSON_STRING)
		reading->said.key = text_take(reading, reader);
	else
		json_skip(reader, token);
	if (reading->said.key.len == 0)
		refuse(reading, "/key", "a key is a string of 1 to 255 bytes");
}

/* The members of a message whose '{' was read. */
static void
message_take(struct reading *reading, struct json_reader *reader)
{
	while (json_next(reader) == JSON_KEY) {
		if (json_text_eq(reader, SPAN("channels"))) {
			channels_take(reading, reader);
		} else if (json_text_eq(reader, SPAN("data"))) {
			reading->said.data = value_take(reader);
			reading->said.data_bytes = reading->said.data.len;
		} else if (json_text_eq(reader, SPAN("key"))) {
			key_take(reading, reader);
		} else {
			body_fault_unknown(&reading->fault, reader,
			    "a message has channels, data, key and nothing else");
			json_skip(reader, json_next(reader));
		}
	}
	if (reading->said.channel_count == 0)
		refuse(reading, "/channels", "a message needs channels");
	if (reading->said.data.len == 0)
		refuse(reading, "/data", "a message needs data");
}

/* ── calls ── */

static void
call_destroy(struct publish_call *call)
{
	for (size_t i = 0; i < call->count; i++)
		publish_item_destroy(call->items[i]);
	free(call->items);
	free(call);
}

/* `index`: where it stands in the batch. */
static void
item_write(struct buf *out, const struct publish_item *item, size_t index)
{
	const struct flow_publish *publish = &item->publish;
	const struct body_fault *fault = &item->fault;
	if (!fault->status) {
		buf_append_span(out, SPAN("{\"id\":\"m"));
		buf_append_u64(out, publish->seq);
		buf_append_span(out, SPAN("\",\"time\":"));
		buf_append_i64(out, publish->time_ms);
		buf_append_span(out, SPAN(",\"delivered\":"));
		buf_append_u64(out, publish->delivered);
		buf_append_byte(out, '}');
		return;
	}
	buf_printf(out, "{\"index\":%zu,\"status\":%u,\"detail\":", index, fault->status);
	json_write_string(out, span_str(fault->detail));
	if (fault->pointer[0]) {
		buf_append_str(out, ",\"pointer\":");
		json_write_string(out, span_str(fault->pointer));
	}
	buf_append_byte(out, '}');
}

/* What the URL said is never 422, and no pointer leads there. */
static void
fault_answer(const struct publish_call *call, const struct body_fault *fault)
{
	if (call->raw)
		session_problem(call->request, fault->status == 422 ? 400 : fault->status, NULL,
		    "%s", fault->detail);
	else
		body_fault_answer(call->request, fault);
}

static void
call_answer(struct publish_call *call)
{
	struct session_request *request = call->request;
	const struct publish_item *first = call->items[0];
	struct buf out;
	session_set_state(request, NULL);
	if (!call->batch && first->fault.status) {
		fault_answer(call, &first->fault);
		return;
	}
	buf_init(&out, 0);
	if (call->batch)
		buf_append_str(&out, "{\"results\":[");
	for (size_t i = 0; i < call->count; i++) {
		if (i)
			buf_append_byte(&out, ',');
		item_write(&out, call->items[i], i);
	}
	if (call->batch)
		buf_append_str(&out, "]}");
	api_answer_buf(request, 201, "application/json", &out);
}

static void
call_settle(struct publish_call *call)
{
	if (call->waiting > 0)
		return;
	if (call->request)
		call_answer(call);
	call_destroy(call);
}

static void
item_told(struct publish_item *item)
{
	struct publish_call *call = item->ctx;
	call->waiting--;
	call_settle(call);
}

/* Adds what was read, or what is wrong with it. 0 or -ENOMEM. */
static int
call_add(struct publish_call *call, const struct reading *reading)
{
	struct publish_said said = reading->said;
	if (call->count == call->cap) {
		size_t cap = call->cap ? call->cap * 2 : 1;
		void *grown = realloc(call->items, cap * sizeof *call->items);
		if (!grown)
			return -ENOMEM;
		call->items = grown;
		call->cap = cap;
	}
	said.channels = reading->channels;
	struct publish_item *item = publish_item_create(call->al, call->principal, &said);
	if (!item)
		return -ENOMEM;
	item->told = item_told;
	item->ctx = call;
	item->fault = reading->fault;
	call->items[call->count++] = item;
	return 0;
}

/* One value of the body, whose first token was read: a message, or none. */
static int
value_add(struct publish_call *call, struct json_reader *reader, enum json_token token)
{
	struct reading reading = {.fault.status = 0};
	struct json_reader end = *reader;
	buf_init(&reading.text, 0);
	json_skip(&end, token);
	int error = buf_reserve(&reading.text, (size_t)(end.pos - reader->pos) + 1);
	if (!error && token == JSON_OBJECT) {
		message_take(&reading, reader);
	} else if (!error) {
		json_skip(reader, token);
		refuse(&reading, NULL, "a message is an object");
	}
	if (!error)
		error = call_add(call, &reading);
	buf_finish(&reading.text);
	return error;
}

/* A value of the body: a message, or an array of them. 0, -ENOMEM or -E2BIG. */
static int
document_add(struct publish_call *call, struct span document)
{
	struct json_reader reader;
	json_reader_init(&reader, document, false);
	enum json_token token = json_next(&reader);
	int error = 0;
	if (token != JSON_ARRAY)
		return call->count == ITEMS_MAX ? -E2BIG : value_add(call, &reader, token);
	call->batch = true;
	while (!error && (token = json_next(&reader)) != JSON_ARRAY_END)
		error = call->count == ITEMS_MAX ? -E2BIG : value_add(call, &reader, token);
	return error;
}

/* As document_add; -EBADMSG: it is no JSON, which was answered. */
static int
whole_add(struct publish_call *call, struct span whole)
{
	struct body_fault fault = {.status = 0};
	if (body_fault_check_json(&fault, whole))
		return document_add(call, whole);
	body_fault_answer(call->request, &fault);
	return -EBADMSG;
}

/* Steps over one value and the blanks around it. false: there is none, or it is no JSON. */
static bool
value_skip(struct span *rest)
{
	struct json_reader reader;
	json_reader_init(&reader, *rest, false);
	if (json_skip(&reader, json_next(&reader)) == JSON_ERROR)
		return false;
	while (reader.pos < reader.end && memchr(" \t\r\n", *reader.pos, 4))
		reader.pos++;
	*rest = span_of(reader.pos, (size_t)(reader.end - reader.pos));
	return true;
}

/* Whether the body is lines: it says so, or another value follows the first one, or anything in
 * another line. */
static bool
is_lines(struct session_request *request, struct span whole)
{
	struct json_reader reader;
	struct span rest = whole;
	if (span_starts(session_header(request, "Content-Type"), SPAN("application/x-ndjson")))
		return true;
	if (!value_skip(&rest) || !rest.len)
		return false;
	json_reader_init(&reader, rest, false);
	return json_next(&reader) != JSON_ERROR || rest.ptr[-1] == '\n';
}

/* The values of a line, mostly one. A line that is no JSON is an item that failed; the others go
 * on. */
static int
line_add(struct publish_call *call, struct span line)
{
	struct reading reading = {.fault.status = 0};
	struct span rest = line;
	int error = 0;
	while (rest.len) {
		if (value_skip(&rest))
			continue;
		refuse(&reading, NULL, "the line is no JSON");
		return call->count == ITEMS_MAX ? -E2BIG : call_add(call, &reading);
	}
	for (rest = line; !error && rest.len; line = rest) {
		check(value_skip(&rest));
		error = document_add(call, span_of(line.ptr, (size_t)(rest.ptr - line.ptr)));
	}
	return error;
}

static int
lines_add(struct publish_call *call, struct span rest)
{
	int error = 0;
	call->batch = true;
	while (!error && rest.len) {
		const char *lf = memchr(rest.ptr, '\n', rest.len);
		size_t len = lf ? (size_t)(lf - rest.ptr) : rest.len;
		struct span line = span_of(rest.ptr, len);
		rest = span_skip(rest, lf ? len + 1 : len);
		while (line.len && memchr(" \t\r", line.ptr[line.len - 1], 3))
			line.len--;
		if (line.len)
			error = line_add(call, line);
	}
	return error;
}

/* The body is the data: its text, or its bytes in base64; ?channel= says where. */
static int
raw_add(struct publish_call *call, struct span whole)
{
	struct reading reading = {.fault.status = 0};
	struct span name, value;
	size_t pos = 0;
	call->raw = true;
	buf_init(&reading.text, 0);
	while (session_query_next(call->request, &pos, &name, &value)) {
		if (span_eq(name, SPAN("channel")) &&
		    reading.said.channel_count <= HUB_MESSAGE_CHANNELS_MAX)
			reading.channels[reading.said.channel_count++] = value;
	}
	reading.said.key = session_query(call->request, "key");
	reading.said.type = session_header(call->request, "Content-Type");
	if (utf8_valid(whole)) {
		json_write_string(&reading.text, whole);
	} else if (buf_append_str(&reading.text, "{\"base64\":\"") == 0 &&
	    buf_reserve(&reading.text, (whole.len + 2) / 3 * 4 + 2) == 0) {
		reading.text.len += base64_encode(whole, false,
		    reading.text.ptr + reading.text.len);
		buf_append_str(&reading.text, "\"}");
	}
	reading.said.data = buf_span(&reading.text);
	reading.said.data_bytes = whole.len;
	int error = buf_ok(&reading.text) ? call_add(call, &reading) : -ENOMEM;
	buf_finish(&reading.text);
	return error;
}

static int
body_add(struct publish_call *call, struct span whole)
{
	if (session_query(call->request, "channel").ptr)
		return raw_add(call, whole);
	return is_lines(call->request, whole) ? lines_add(call, whole) :
	    whole_add(call, whole);
}

static void
call_send(struct publish_call *call)
{
	session_set_state(call->request, call);
	call->waiting = 1; /* so that nothing is settled before all are sent */
	for (size_t i = 0; i < call->count; i++) {
		call->waiting++;
		publish_item_send(call->items[i]);
	}
	call->waiting--;
	call_settle(call);
}

static void
publish_end(struct session_request *request, struct span whole)
{
	struct publish_call *call = calloc(1, sizeof *call);
	if (!call) {
		api_no_memory(request);
		return;
	}
	call->request = request;
	call->al = session_app(request);
	call->principal = session_principal(request);
	int error = body_add(call, whole);
	if (!error && call->count == 0) {
		session_problem(request, call->batch ? 422 : 400, NULL,
		    "there is no message: send one as JSON");
		error = -EBADMSG;
	}
	if (!error) {
		call_send(call);
		return;
	}
	if (error == -E2BIG)
		session_problem(request, 413, NULL, "a batch has at most %d messages", ITEMS_MAX);
	else if (error != -EBADMSG)
		api_no_memory(request);
	call_destroy(call);
}

static void
publish_gone(struct session_request *request, bool broken)
{
	struct publish_call *call = session_state(request);
	(void)broken;
	if (call)
		call->request = NULL;
}

/* ── WebSocket ── */

static int
errno_of(unsigned status)
{
	switch (status) {
	case 0:
		return 0;
	case 403:
		return -EACCES;
	case 404:
		return -ENOENT;
	case 413:
		return -EMSGSIZE;
	case 422:
		return -EINVAL;
	default:
		return -ENOSPC;
	}
}

static void
ws_told(struct publish_item *item)
{
	char id[1 + NUM_TEXT_BYTES_MAX] = "m";
	size_t len = 1 + num_format_u64(id + 1, item->publish.seq);
	item->done(item->ctx, errno_of(item->fault.status),
	    item->fault.status ? span_str(item->fault.detail) : span_of(id, len));
	publish_item_destroy(item);
}

/* A WebSocket's message is a request, and its data are the body. */
static bool
publish_is_within(struct api_loop *al, const struct access_principal *principal, struct span data)
{
	uint64_t now_ns = env_mono_ns(al->api->env);
	struct access_limits *limits = al->api->limits;
	return access_limits_take(limits, principal, ACCESS_RATE_REQUESTS, 1, now_ns, true) == 0 &&
	    access_limits_take(limits, principal, ACCESS_RATE_BYTES, data.len, now_ns, true) == 0;
}

void
api_publish(void *app, const struct access_principal *principal, const struct span *channels,
    size_t channel_count, struct span key, struct span data,
    void (*done)(void *ctx, int error, struct span id_or_detail), void *ctx)
{
	struct api_loop *al = app;
	const struct publish_said said = {
		.channels = channels,
		.channel_count = channel_count,
		.key = key,
		.data = data,
		.data_bytes = data.len,
	};
	if (!publish_is_within(al, principal, data)) {
		done(ctx, -EAGAIN, SPAN("too many messages with these credentials; come back "
		    "later"));
		return;
	}
	struct publish_item *item = publish_item_create(al, principal, &said);
	if (!item) {
		done(ctx, -ENOMEM, SPAN("the server has no memory left; try again"));
		return;
	}
	item->told = ws_told;
	item->done = done;
	item->ctx = ctx;
	item->may = true;
	publish_item_send(item);
}

/* ── the route ── */

static const struct session_route_ops publish_ops = {.end = publish_end, .gone = publish_gone};

static const struct session_doc publish_doc = {
	.help = "A list, or lines (NDJSON), is a batch: each message stands for itself, and the "
	    "answer lists what became of each. With the parameter channel the body itself is the "
	    "data: its text, or {\"base64\":…} where it is no UTF-8; its Content-Type is kept. A "
	    "channel that is not there yet is made, for an hour. The same key within 300 s "
	    "publishes once.",
	.query = {
		{"channel?", "[string]", "The channels, for a body that is the data."},
		{"key?", "string", "The idempotency key of such a body."},
	},
	.body = {"Publication|[Publication]", "application/x-ndjson Publication", "*/* string"},
	.answers = {
		{201, "Published|PublishedBatch", "It was delivered."},
		{404, "", "No channel has one of the ids."},
		{422, "", "A member is missing, unknown, or has no valid value."},
	},
};

const struct session_route api_publish_routes[] = {
	{
		.path = "/api/v1/publish",
		.methods = SESSION_POST,
		.rights = ACCESS_PUBLISH,
		.ops = &publish_ops,
		.summary = "Messages on channels",
		.doc = &publish_doc,
	},
	{.path = NULL},
};

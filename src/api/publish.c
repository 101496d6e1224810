/*
 * publish.c: POST /api/v1/publish, and a WebSocket's publish. First form: one channel a message,
 * not durable.
 *
 * A publication outlives its request; its id is known when every loop has delivered it.
 */
#include <errno.h>
#include <stdlib.h>

#include "access_may.h"
#include "api_priv.h"
#include "base64.h"
#include "check.h"
#include "json.h"
#include "utf8.h"

#define DATA_BYTES_MAX (1u << 20)

struct publication {
	struct flow_publish publish;
	struct span channel;
	/* Called once, on the loop, before the publication is freed. */
	void (*told)(struct publication *publication, int error);
	struct session_request *request; /* HTTP; NULL: gone */
	void (*done)(void *ctx, int error, struct span id_or_detail); /* WebSocket */
	void *ctx;
};

static void
publication_done(struct flow_publish *publish, int error)
{
	struct publication *publication = CONTAINER_OF(publish, struct publication, publish);
	publication->told(publication, error);
	free(publication);
}

/* Whether this principal may publish on this channel: 0, or -EACCES, -EINVAL and a sentence. */
static int
publish_check(const struct api_loop *al, const struct access_principal *principal,
    struct span channel, const char **ret_reason)
{
	if (hub_name_check(channel, ret_reason))
		return -EINVAL;
	const char *fault = access_publish_fault(al->access, principal, channel);
	if (!fault)
		return 0;
	*ret_reason = fault;
	return -EACCES;
}

static struct span
keep(char **at, struct span text)
{
	struct span copy = span_of(*at, text.len);
	if (text.len)
		memcpy(*at, text.ptr, text.len);
	*at += text.len;
	return copy;
}

/* With copies of all texts. 0 or -ENOMEM. */
static int
publication_create(const struct access_principal *principal, struct span channel,
    struct span data, struct publication **ret_publication)
{
	struct publication *publication = calloc(1, sizeof *publication + principal->tenant.len +
	    principal->name.len + channel.len + data.len);
	if (!publication)
		return -ENOMEM;
	char *at = (char *)(publication + 1);
	struct flow_publish *publish = &publication->publish;
	publication->channel = keep(&at, channel);
	publish->tenant = keep(&at, principal->tenant);
	publish->principal = keep(&at, principal->name);
	publish->data = keep(&at, data);
	publish->channels = &publication->channel;
	publish->channel_count = 1;
	publish->done = publication_done;
	*ret_publication = publication;
	return 0;
}

/* ── WebSocket ── */

static void
ws_told(struct publication *publication, int error)
{
	struct buf id;
	buf_init(&id, 0);
	buf_printf(&id, "m%llu", (unsigned long long)publication->publish.seq);
	publication->done(publication->ctx, error,
	    error ? SPAN("the disk is full") : buf_span(&id));
	buf_finish(&id);
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
    size_t channel_count, struct span data,
    void (*done)(void *ctx, int error, struct span id_or_detail), void *ctx)
{
	struct api_loop *al = app;
	struct publication *publication;
	const char *reason = "a message has exactly one channel in this version";
	int error = channel_count == 1 ? publish_check(al, principal, channels[0],
	    &reason) : -EINVAL;
	if (!error && !publish_is_within(al, principal, data)) {
		reason = "too many messages with these credentials; come back later";
		error = -EAGAIN;
	}
	if (!error) {
		reason = "the server has no memory left; try again";
		error = publication_create(principal, channels[0], data, &publication);
	}
	if (error) {
		done(ctx, error, span_str(reason));
		return;
	}
	publication->told = ws_told;
	publication->done = done;
	publication->ctx = ctx;
	flow_publish(al->flow, &publication->publish);
}

/* ── HTTP ── */

static void
http_told(struct publication *publication, int error)
{
	struct session_request *request = publication->request;
	const struct flow_publish *publish = &publication->publish;
	if (!request)
		return;
	session_set_state(request, NULL);
	if (error) {
		session_problem(request, 503, NULL, "the disk is full");
		return;
	}
	struct buf out;
	buf_init(&out, 0);
	buf_printf(&out, "{\"id\":\"m%llu\",\"time\":%lld,\"delivered\":%zu}",
	    (unsigned long long)publish->seq, (long long)publish->time_ms,
	    (size_t)publish->delivered);
	api_answer_buf(request, 201, "application/json", &out);
}

/* What a publish says: spans lie in the body, the URL or in bytes. */
struct parsed {
	struct span channel, data;
	struct buf bytes;
};

static bool
channels_parse(struct session_request *request, struct json_reader *reader,
    struct parsed *parsed)
{
	enum json_token token = json_next(reader);
	size_t count = 0;
	if (token == JSON_ARRAY)
		token = json_next(reader);
	for (; token == JSON_STRING; token = json_next(reader), count++) {
		if (count == 0 && buf_reserve(&parsed->bytes, reader->text.len + 1) == 0)
			parsed->bytes.len = json_string_decode(reader->text, parsed->bytes.ptr);
	}
	parsed->channel = buf_span(&parsed->bytes);
	if (count == 1 && token == JSON_ARRAY_END && parsed->channel.len)
		return true;
	session_problem(request, 422, "/channels",
	    "channels must be a list with one name in this version");
	return false;
}

/* The text of the value that comes next, as it stands. */
static bool
data_parse(struct json_reader *reader, struct parsed *parsed)
{
	struct json_reader start = *reader;
	json_skip(reader, json_next(reader));
	const char *from = start.pos;
	while (from < reader->pos && memchr(" \t\r\n:", *from, 5))
		from++;
	parsed->data = span_of(from, (size_t)(reader->pos - from));
	return true;
}

/* The body is JSON. false: answered. */
static bool
object_parse(struct session_request *request, struct json_reader *reader, struct parsed *parsed)
{
	if (json_next(reader) != JSON_OBJECT) {
		session_problem(request, 422, NULL, "the body must be an object");
		return false;
	}
	while (json_next(reader) == JSON_KEY) {
		bool fine = false;
		if (json_text_eq(reader, SPAN("channels")))
			fine = channels_parse(request, reader, parsed);
		else if (json_text_eq(reader, SPAN("data")))
			fine = data_parse(reader, parsed);
		else
			session_problem(request, 422, NULL, "'%.*s' is not known to this version",
			    SPAN_ARG(reader->text));
		if (!fine)
			return false;
	}
	if (parsed->channel.len && parsed->data.len)
		return true;
	session_problem(request, 422, parsed->channel.len ? "/data" : "/channels",
	    "a message needs channels and data");
	return false;
}

/* A body that is no JSON, with ?channel=: its text, or its bytes in base64. */
static bool
raw_parse(struct session_request *request, struct span whole, struct parsed *parsed)
{
	if (utf8_valid(whole)) {
		json_write_string(&parsed->bytes, whole);
	} else if (buf_append_str(&parsed->bytes, "{\"base64\":\"") == 0 &&
	    buf_reserve(&parsed->bytes, (whole.len + 2) / 3 * 4 + 2) == 0) {
		parsed->bytes.len += base64_encode(whole, false,
		    parsed->bytes.ptr + parsed->bytes.len);
		buf_append_str(&parsed->bytes, "\"}");
	}
	parsed->data = buf_span(&parsed->bytes);
	if (buf_ok(&parsed->bytes))
		return true;
	api_no_memory(request);
	return false;
}

static bool
body_parse(struct session_request *request, struct span whole, struct parsed *parsed)
{
	struct json_reader reader;
	parsed->channel = session_query(request, "channel");
	if (parsed->channel.ptr)
		return raw_parse(request, whole, parsed);
	if (!api_json_check(request, whole))
		return false;
	json_reader_init(&reader, whole, false);
	return object_parse(request, &reader, parsed);
}

static void
publish_parsed(struct session_request *request, const struct parsed *parsed)
{
	const struct api_loop *al = session_app(request);
	const struct access_principal *principal = session_principal(request);
	struct publication *publication;
	const char *reason;
	int error = publish_check(al, principal, parsed->channel, &reason);
	if (error) {
		session_problem(request, error == -EINVAL ? 422 : 403, "/channels", "%s", reason);
		return;
	}
	if (parsed->data.len > DATA_BYTES_MAX) {
		session_problem(request, 413, "/data", "the data of a message may have 1 MiB");
		return;
	}
	if (publication_create(principal, parsed->channel, parsed->data, &publication)) {
		api_no_memory(request);
		return;
	}
	publication->told = http_told;
	publication->request = request;
	session_set_state(request, publication);
	flow_publish(al->flow, &publication->publish);
}

static void
publish_end(struct session_request *request, struct span whole)
{
	struct parsed parsed = {.data = span_of(NULL, 0)};
	buf_init(&parsed.bytes, 0);
	if (body_parse(request, whole, &parsed))
		publish_parsed(request, &parsed);
	buf_finish(&parsed.bytes);
}

static void
publish_gone(struct session_request *request, bool broken)
{
	struct publication *publication = session_state(request);
	(void)broken;
	if (publication)
		publication->request = NULL;
}

static const struct session_route_ops publish_ops = {.end = publish_end, .gone = publish_gone};

static const struct session_doc publish_doc = {
	.help = "With the parameter channel the body itself is the data: its text, or "
	    "{\"base64\":…} where it is no UTF-8.",
	.query = {{"channel?", "string", "The channel, for a body that is the data."}},
	.body = {"Publication", "*/* string"},
	.answers = {
		{201, "Published", "It was delivered."},
		{422, "", "A member is missing, unknown, or has no valid value."},
	},
};

const struct session_route api_publish_routes[] = {
	{
		.path = "/api/v1/publish",
		.methods = SESSION_POST,
		.rights = ACCESS_PUBLISH,
		.ops = &publish_ops,
		.summary = "A message on a channel",
		.doc = &publish_doc,
	},
	{.path = NULL},
};

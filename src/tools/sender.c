/*
 * sender.c: see sender.h. JSON bodies are an array of items, one a reading, or the bare item when
 * there is only one, as gateways with one device send it; line protocol has a line a reading, the
 * device's kind as measurement.
 */
#include "sender.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "http_client.h"
#include "json.h"
#include "num.h"
#include "prng.h"

enum { BACK_OFF_MS_MIN = 100, BACK_OFF_MS_MAX = 10000, REASON_BYTES = 400 };

struct sender {
	struct sender_options options;
	char *address;
	struct http_client *client;
	struct prng prng;
	struct buf body; /* JSON: begins with '[', items separated by commas */
	size_t pending;
	bool lost; /* note() was told so */
	char reason[REASON_BYTES];
};

int
sender_create(const struct sender_options *options, struct sender **ret_sender)
{
	struct sender *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	char authorization[512];
	struct http_client_options client = {
	    .address = options->address, .stop_fd = options->stop_fd};
	int error = -EINVAL;
	buf_init(&s->body, 0);
	if (options->key && *options->key) {
		int len = snprintf(authorization, sizeof(authorization), "Bearer %s", options->key);
		if (len < 0 || (size_t)len >= sizeof(authorization))
			goto fail;
		client.authorization = authorization;
	}
	s->options = *options;
	s->options.key = NULL;
	error = -ENOMEM;
	s->options.address = s->address = strdup(options->address);
	if (!s->address)
		goto fail;
	env_random(options->env, &s->prng.state, sizeof(s->prng.state));
	error = http_client_create(&client, &s->client);
	if (error)
		goto fail;
	*ret_sender = s;
	return 0;

fail:
	sender_destroy(s);
	return error;
}

void
sender_destroy(struct sender *s)
{
	if (!s)
		return;
	http_client_destroy(s->client);
	free(s->address);
	buf_finish(&s->body);
	free(s);
}

size_t
sender_pending(const struct sender *s)
{
	return s->pending;
}

const char *
sender_reason(const struct sender *s)
{
	return s->reason;
}

/* ── bodies ── */

static void
write_number(struct buf *body, double value)
{
	char text[NUM_TEXT_BYTES_MAX];
	buf_append(body, text, num_format_double(text, value));
}

static void
write_json(struct buf *body, const struct fleet_reading *r)
{
	buf_printf(body, "%c{\"device\":{\"id\":%u},\"readings\":[{\"time\":%lld",
	    body->len ? ',' : '[', r->device, (long long)r->time_ms);
	for (size_t i = 0; i < r->count; i++) {
		buf_printf(body, ",\"%s\":", r->metrics[i].name);
		write_number(body, r->metrics[i].value);
	}
	buf_append_str(body, "}]}");
}

static void
write_line(struct buf *body, const struct fleet_reading *r)
{
	buf_printf(body, "%s,device=%u ", fleet_kind_name(r->kind), r->device);
	for (size_t i = 0; i < r->count; i++) {
		buf_printf(body, "%s%s=", i ? "," : "", r->metrics[i].name);
		write_number(body, r->metrics[i].value);
		if (r->metrics[i].integer)
			buf_append_byte(body, 'i');
	}
	buf_printf(body, " %lld\n", (long long)r->time_ms);
}

int
sender_add(struct sender *s, const struct fleet_reading *reading)
{
	size_t len = s->body.len;
	if (s->options.format == SENDER_JSON)
		write_json(&s->body, reading);
	else
		write_line(&s->body, reading);
	int error = s->body.error;
	if (error) {
		s->body.len = len;
		s->body.error = 0;
		return error;
	}
	s->pending++;
	return 0;
}

/* ── answers ── */

/* The members "accepted" and the first of "rejected" of a 202's body; 0 and empty without. */
static uint64_t
accepted_in(struct span body, struct span *ret_rejected)
{
	struct json_reader reader;
	uint64_t accepted = 0;
	*ret_rejected = SPAN("");
	json_reader_init(&reader, body, false);
	if (json_next(&reader) != JSON_OBJECT)
		return 0;
	while (json_next(&reader) == JSON_KEY) {
		bool counts = json_text_eq(&reader, SPAN("accepted"));
		bool lists = json_text_eq(&reader, SPAN("rejected"));
		enum json_token token = json_next(&reader);
		if (counts && token == JSON_NUMBER)
			num_parse_u64(reader.text, &accepted);
		const char *begin = reader.pos - 1;
		if (token == JSON_OBJECT || token == JSON_ARRAY)
			json_skip(&reader, token);
		if (lists && token == JSON_ARRAY)
			*ret_rejected = span_of(begin, (size_t)(reader.pos - begin));
	}
	return accepted;
}

static void
reason_of_status(struct sender *s, const struct http_client_reply *reply, struct span detail)
{
	const char *hint = reply->status == 401 ? " (is --key right?)" : "";
	detail.len = MIN(detail.len, REASON_BYTES / 2);
	snprintf(s->reason, sizeof(s->reason), "%s answered %u%s%s%.*s", s->options.address,
	    reply->status, hint, detail.len ? ": " : "", SPAN_ARG(detail));
}

/* 0: all of it is acknowledged. -EAGAIN: to be tried again. -EACCES, -EPROTO: for good. */
static int
judge(struct sender *s, const struct http_client_reply *reply)
{
	unsigned status = reply->status;
	struct span rejected;
	if (status == 204 && s->options.format == SENDER_LINE)
		return 0;
	if (status == 202 && s->options.format == SENDER_JSON) {
		uint64_t accepted = accepted_in(reply->body, &rejected);
		if (accepted == s->pending)
			return 0;
		rejected.len = MIN(rejected.len, REASON_BYTES / 2);
		snprintf(s->reason, sizeof(s->reason), "%s accepted %llu of %zu readings: %.*s",
		    s->options.address, (unsigned long long)accepted, s->pending,
		    SPAN_ARG(rejected));
		return -EPROTO;
	}
	reason_of_status(s, reply, reply->body);
	if (status == 408 || status == 429 || (status >= 500 && status != 501))
		return -EAGAIN;
	return status == 401 || status == 403 ? -EACCES : -EPROTO;
}

static void
note(struct sender *s, bool lost)
{
	char text[REASON_BYTES + 32];
	if (s->lost == lost)
		return;
	s->lost = lost;
	if (!s->options.note)
		return;
	snprintf(text, sizeof(text), lost ? "%s; trying again" : "%s answers again",
	    lost ? s->reason : s->options.address);
	s->options.note(s->options.note_ctx, lost, text);
}

/* One try. As judge(), and -ECANCELED; *ret_wait_s: how long the server asks to wait. */
static int
post(struct sender *s, unsigned *ret_wait_s)
{
	bool json = s->options.format == SENDER_JSON;
	struct span body = buf_span(&s->body);
	struct http_client_reply reply;
	if (json && s->pending == 1)
		body = span_of(body.ptr + 1, body.len - 2);
	int error =
	    http_client_call(s->client, "POST", json ? "/api/v1/readings" : "/write?precision=ms",
		json ? "application/json" : "text/plain; charset=utf-8", body, &reply);
	*ret_wait_s = 0;
	if (error == 0) {
		*s->options.answered = true;
		*ret_wait_s = reply.retry_after_s;
		return judge(s, &reply);
	}
	if (error == -ECANCELED || error == -ENOMEM)
		return error;
	snprintf(s->reason, sizeof(s->reason), "cannot reach %s: %s", s->options.address,
	    strerror(-error));
	return -EAGAIN;
}

/* Posts until acknowledged or hopeless. */
static int
post_until(struct sender *s)
{
	uint64_t began_ns = env_mono_ns(s->options.env);
	for (int64_t back_off = BACK_OFF_MS_MIN;; back_off = MIN(back_off * 2, BACK_OFF_MS_MAX)) {
		unsigned wait_s;
		int error = post(s, &wait_s);
		if (error != -EAGAIN)
			return error;
		int64_t passed = (int64_t)((env_mono_ns(s->options.env) - began_ns) / 1000000);
		int64_t patience =
		    *s->options.answered ? s->options.patience_ms : s->options.first_patience_ms;
		if (patience >= 0 && passed >= patience)
			return -ETIMEDOUT;
		note(s, true);
		int64_t wait = back_off - (int64_t)prng_below(&s->prng, (uint64_t)back_off / 4);
		struct pollfd stop = {
		    .fd = s->options.stop_fd > 0 ? s->options.stop_fd : -1, .events = POLLIN};
		if (poll(&stop, 1, (int)MAX(wait, (int64_t)wait_s * 1000)) > 0)
			return -ECANCELED;
	}
}

int
sender_flush(struct sender *s)
{
	if (s->pending == 0)
		return 0;
	bool json = s->options.format == SENDER_JSON;
	int error = json ? buf_append_byte(&s->body, ']') : 0;
	if (error)
		return error;
	error = post_until(s);
	if (error) {
		s->body.len -= json;
		return error;
	}
	note(s, false);
	buf_clear(&s->body);
	s->pending = 0;
	return 0;
}

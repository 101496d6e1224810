/*
 * bench_push_dialect.c: how each server is told to subscribe and to publish.
 */
#include <stdio.h>
#include <string.h>

#include "bench_push.h"
#include "check.h"
#include "ws.h"

#define UPGRADE                                                                                   \
	"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"               \
	"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

/* PUSH_DATA_BYTES of text with one mark, no character that needs an escape. */
static const char data[PUSH_DATA_BYTES + 1] = "^2345678901234567890123456789012345678901234567890"
    "12345678901234567890123456789012345678901234567890";

void
bench_push_channel_name(char out[32], int64_t number)
{
	if (number < 0)
		snprintf(out, 32, "bench-all");
	else
		snprintf(out, 32, "bench%07llu", (unsigned long long)number);
}

static void
name_of(char out[32], uint64_t number, uint64_t spread)
{
	bench_push_channel_name(out, spread ? (int64_t)(number % spread) : -1);
}

/* ── ours ── */

static void
http_get(struct buf *out, const struct push_target *target, const char *path, const char *channel,
    const char *more)
{
	buf_printf(out, "GET %s%s HTTP/1.1\r\nHost: %s\r\n%s", path, channel, target->address,
	    more);
	if (target->secret) {
		buf_append_str(out, "Authorization: Bearer ");
		bench_push_sign(out, target->secret, channel);
		buf_append_str(out, "\r\n");
	} else if (*target->key)
		buf_printf(out, "Authorization: Bearer %s\r\n", target->key);
	buf_append_str(out, "\r\n");
}

static void
weir_ws(struct buf *out, const struct push_target *target, const char *channel)
{
	http_get(out, target, "/api/v1/subscribe?channel=", channel, UPGRADE);
}

static void
weir_sse(struct buf *out, const struct push_target *target, const char *channel)
{
	http_get(out, target, "/api/v1/subscribe?channel=", channel,
	    "Accept: text/event-stream\r\n");
}

static void
weir_poll(struct buf *out, const struct push_target *target, const char *channel)
{
	http_get(out, target, "/api/v1/subscribe?mode=longpoll&timeout=300&channel=", channel, "");
}

static void
weir_greet(struct buf *out, const struct push_target *target)
{
	http_get(out, target, "/api/v1/subscribe", "", UPGRADE);
}

static void
http_post(struct buf *out, const struct push_target *target, const char *path, struct span body)
{
	buf_printf(out, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n", path,
	    target->address, body.len);
	if (*target->key)
		buf_printf(out, "Authorization: Bearer %s\r\n", target->key);
	buf_append_str(out, "\r\n");
	buf_append_span(out, body);
}

/* One object a message, a line each. */
static void
weir_publish(struct buf *out, const struct push_target *target, uint64_t first, uint64_t count,
    uint64_t spread)
{
	struct buf body;
	buf_init(&body, 0);
	for (uint64_t i = 0; i < count; i++) {
		char name[32];
		name_of(name, first + i, spread);
		buf_printf(&body, "{\"channels\":[\"%s\"],\"data\":\"%.98s\"}%s", name, data,
		    count > 1 ? "\n" : "");
	}
	http_post(out, target, "/api/v1/publish", buf_span(&body));
	buf_finish(&body);
}

static void
weir_frames(struct buf *out, const struct push_target *target, uint64_t first, uint64_t count,
    uint64_t spread)
{
	static const uint8_t mask[4] = {0, 0, 0, 0};
	(void)target;
	for (uint64_t i = 0; i < count; i++) {
		char name[32], text[300], head[WS_HEAD_BYTES_MAX];
		name_of(name, first + i, spread);
		int len = snprintf(text, sizeof(text),
		    "{\"publish\":[\"%s\"],\"data\":\"%.98s\",\"ref\":1}", name, data);
		buf_append(out, head,
		    ws_write_head(head, WS_TEXT, true, false, (uint64_t)len, mask));
		buf_append(out, text, (size_t)len);
	}
}

/* ── nchan ── */

static void
nchan_ws(struct buf *out, const struct push_target *target, const char *channel)
{
	http_get(out, target, "/sub?id=", channel, UPGRADE);
}

static void
nchan_sse(struct buf *out, const struct push_target *target, const char *channel)
{
	http_get(out, target, "/sub?id=", channel, "Accept: text/event-stream\r\n");
}

static void
nchan_publish(struct buf *out, const struct push_target *target, uint64_t first, uint64_t count,
    uint64_t spread)
{
	for (uint64_t i = 0; i < count; i++) {
		char name[32], path[64];
		name_of(name, first + i, spread);
		snprintf(path, sizeof(path), "/pub?id=%s", name);
		http_post(out, target, path, span_of(data, PUSH_DATA_BYTES));
	}
}

/* ── redis ── */

static void
redis_subscribe(struct buf *out, const struct push_target *target, const char *channel)
{
	(void)target;
	buf_printf(out, "*2\r\n$9\r\nSUBSCRIBE\r\n$%zu\r\n%s\r\n", strlen(channel), channel);
}

static void
redis_publish(struct buf *out, const struct push_target *target, uint64_t first, uint64_t count,
    uint64_t spread)
{
	(void)target;
	for (uint64_t i = 0; i < count; i++) {
		char name[32];
		name_of(name, first + i, spread);
		buf_printf(out, "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n%s\r\n$%d\r\n%s\r\n", strlen(name),
		    name, PUSH_DATA_BYTES, data);
	}
}

/* ── NATS ── */

static void
nats_greet(struct buf *out, const struct push_target *target)
{
	(void)target;
	buf_append_str(out, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n");
}

static void
nats_subscribe(struct buf *out, const struct push_target *target, const char *channel)
{
	(void)target;
	buf_printf(out, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB %s 1\r\nPING\r\n",
	    channel);
}

static void
nats_publish(struct buf *out, const struct push_target *target, uint64_t first, uint64_t count,
    uint64_t spread)
{
	(void)target;
	for (uint64_t i = 0; i < count; i++) {
		char name[32];
		name_of(name, first + i, spread);
		buf_printf(out, "PUB %s %d\r\n%s\r\n", name, PUSH_DATA_BYTES, data);
	}
}

/* ── MQTT ── */

static void
mqtt_text(struct buf *out, const char *text)
{
	size_t len = strlen(text);
	buf_append_byte(out, (char)(len >> 8));
	buf_append_byte(out, (char)(len & 255));
	buf_append(out, text, len);
}

/* Clean session, no keep-alive, an identifier that the server makes up. */
static void
mqtt_greet(struct buf *out, const struct push_target *target)
{
	(void)target;
	buf_append(out, "\x10\x0c\0\4MQTT\4\2\0\0\0\0", 14);
}

static void
mqtt_subscribe(struct buf *out, const struct push_target *target, const char *channel)
{
	mqtt_greet(out, target);
	buf_append_byte(out, (char)0x82);
	buf_append_byte(out, (char)(2 + 2 + strlen(channel) + 1));
	buf_append(out, "\0\1", 2);
	mqtt_text(out, channel);
	buf_append_byte(out, 0);
}

static void
mqtt_publish(struct buf *out, const struct push_target *target, uint64_t first, uint64_t count,
    uint64_t spread)
{
	(void)target;
	for (uint64_t i = 0; i < count; i++) {
		char name[32];
		name_of(name, first + i, spread);
		size_t len = 2 + strlen(name) + PUSH_DATA_BYTES;
		check(len < 128);
		buf_append_byte(out, 0x30);
		buf_append_byte(out, (char)len);
		mqtt_text(out, name);
		buf_append(out, data, PUSH_DATA_BYTES);
	}
}

/* ── the bare loop ── */

static void
bare_subscribe(struct buf *out, const struct push_target *target, const char *channel)
{
	(void)target, (void)channel;
	buf_append_byte(out, 'S');
}

static void
bare_publish(struct buf *out, const struct push_target *target, uint64_t first, uint64_t count,
    uint64_t spread)
{
	(void)target, (void)first, (void)spread;
	for (uint64_t i = 0; i < count; i++)
		buf_append(out, data, PUSH_DATA_BYTES);
}

/* ── all ── */

#define HTTP_END SPAN_INIT("\r\n\r\n")
#define HTTP_ANSWER SPAN_INIT("HTTP/1.1 ")
#define SPAN_INIT(text) {(text), sizeof(text) - 1}

static const struct push_dialect dialects[] = {
    {.name = "weir-ws", .subscribe = weir_ws, .ready = HTTP_END, .publish = weir_publish,
	.answer = HTTP_ANSWER},
    {.name = "weir-sse", .subscribe = weir_sse, .ready = HTTP_END, .publish = weir_publish,
	.answer = HTTP_ANSWER},
    {.name = "weir-poll", .subscribe = weir_poll, .publish = weir_publish, .answer = HTTP_ANSWER,
	.polls = true},
    {.name = "weir-frames", .subscribe = weir_ws, .ready = HTTP_END, .greet = weir_greet,
	.greeted = HTTP_END, .publish = weir_frames, .answer = SPAN_INIT("{\"ack\""),
	.window_max = 128},
    {.name = "nchan-ws", .subscribe = nchan_ws, .ready = HTTP_END, .publish = nchan_publish,
	.answer = HTTP_ANSWER},
    {.name = "nchan-sse", .subscribe = nchan_sse, .ready = SPAN_INIT(": hi\n\n"),
	.publish = nchan_publish, .answer = HTTP_ANSWER},
    {.name = "redis", .subscribe = redis_subscribe, .ready = SPAN_INIT(":1\r\n"),
	.publish = redis_publish, .answer = SPAN_INIT(":")},
    {.name = "nats", .subscribe = nats_subscribe, .ready = SPAN_INIT("PONG\r\n"),
	.greet = nats_greet, .greeted = SPAN_INIT("PONG\r\n"), .publish = nats_publish},
    {.name = "mosquitto", .subscribe = mqtt_subscribe,
	.ready = SPAN_INIT("\x90\x03\x00\x01\x00"), .greet = mqtt_greet,
	.greeted = SPAN_INIT("\x20\x02\x00\x00"), .publish = mqtt_publish},
    {.name = "bare", .subscribe = bare_subscribe, .ready = SPAN_INIT("+"),
	.publish = bare_publish},
    {.name = "bare-frames", .publish = weir_frames, .answer = SPAN_INIT("{\"ack\""),
	.window_max = 128},
    {.name = "bare-http", .publish = weir_publish, .answer = HTTP_ANSWER},
};

const struct push_dialect *
bench_push_dialect_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_COUNT(dialects); i++) {
		if (strcmp(dialects[i].name, name) == 0)
			return &dialects[i];
	}
	return NULL;
}

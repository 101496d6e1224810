/*
 * ws_client.h: a WebSocket client that the test's thread drives: its frames, and what it expects.
 */
#ifndef WEIR_TEST_SESSION_WS_CLIENT_H
#define WEIR_TEST_SESSION_WS_CLIENT_H

#include "world.h"

#include "ws.h"

#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define OPEN "GET /ws HTTP/1.1\r\nHost: h:80\r\n" AUTH UPGRADE "\r\n"

static const uint8_t mask[4] = {0x12, 0xfe, 0x00, 0x77};

static inline void
append_frame(struct buf *out, enum ws_opcode opcode, bool fin, struct span payload)
{
	char head[WS_HEAD_BYTES_MAX];
	buf_append(out, head, ws_write_head(head, opcode, fin, false, payload.len, mask));
	size_t at = out->len;
	buf_append_span(out, payload);
	if (payload.len)
		ws_unmask(mask, 0, out->ptr + at, payload.len);
}

static inline void
say_frame(struct client *client, enum ws_opcode opcode, bool fin, struct span payload)
{
	struct buf out;
	buf_init(&out, 0);
	append_frame(&out, opcode, fin, payload);
	client_send(client, buf_span(&out));
	buf_finish(&out);
}

static inline void
say(struct client *client, const char *text)
{
	say_frame(client, WS_TEXT, true, span_str(text));
}

/* The next frame must be this one. */
static inline void
expect_frame(struct client *client, enum ws_opcode opcode, struct span payload)
{
	struct ws_frame frame;
	ssize_t head = 0;
	for (unsigned i = 0; i < TURNS_MAX; i++) {
		head = ws_parse_head(buf_span(&client->in), false, &frame);
		assert_true(head >= 0);
		if (head > 0 && client->in.len >= (size_t)head + frame.len)
			break;
		head = 0;
		client_step(client, 1);
	}
	if (head == 0)
		fail_msg("no frame; awaited '%.*s'", SPAN_ARG(payload));
	assert_true(frame.fin);
	assert_false(frame.masked);
	struct span got = span_of(client->in.ptr + head, (size_t)frame.len);
	if (frame.opcode != opcode || !span_eq(got, payload))
		fail_msg("frame %u '%.*s', not '%.*s'", frame.opcode, SPAN_ARG(got),
		    SPAN_ARG(payload));
	buf_consume(&client->in, (size_t)head + (size_t)frame.len);
}

static inline void
expect_text(struct client *client, const char *text)
{
	expect_frame(client, WS_TEXT, span_str(text));
}

/* The next frame must be text that contains this. */
static inline void
expect_text_with(struct client *client, const char *part)
{
	client_await(client, part);
	struct ws_frame frame;
	ssize_t head = ws_parse_head(buf_span(&client->in), false, &frame);
	assert_true(head > 0);
	assert_int_equal(frame.opcode, WS_TEXT);
	assert_non_null(memmem(client->in.ptr + head, (size_t)frame.len, part, strlen(part)));
	buf_consume(&client->in, (size_t)head + (size_t)frame.len);
}

static inline void
expect_close(struct client *client, unsigned code)
{
	struct ws_frame frame;
	client_await_eof(client);
	ssize_t head = ws_parse_head(buf_span(&client->in), false, &frame);
	assert_true(head > 0);
	assert_int_equal(frame.opcode, WS_CLOSE);
	assert_true(frame.len >= 2);
	assert_int_equal((unsigned char)client->in.ptr[head] << 8
	    | (unsigned char)client->in.ptr[head + 1], code);
	assert_int_equal(client->in.len, (size_t)head + frame.len);
}

static inline void
open_with(struct client *client, struct world *world, const char *request)
{
	client_open(client, world);
	client_say(client, request);
	client_expect(client, 101, NULL);
}

#endif

/*
 * WebSocket: the handshake, frames, the JSON conversation, pings, closing.
 */
#include "world.h"

#include "deflate.h"
#include "json.h"
#include "ws.h"

#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define OPEN "GET /ws HTTP/1.1\r\nHost: h:80\r\n" AUTH UPGRADE "\r\n"

static const uint8_t mask[4] = {0x12, 0xfe, 0x00, 0x77};

static void
append_frame(struct buf *out, enum ws_opcode opcode, bool fin, struct span payload)
{
	char head[WS_HEAD_BYTES_MAX];
	buf_append(out, head, ws_write_head(head, opcode, fin, false, payload.len, mask));
	size_t at = out->len;
	buf_append_span(out, payload);
	if (payload.len)
		ws_unmask(mask, 0, out->ptr + at, payload.len);
}

static void
say_frame(struct client *client, enum ws_opcode opcode, bool fin, struct span payload)
{
	struct buf out;
	buf_init(&out, 0);
	append_frame(&out, opcode, fin, payload);
	client_send(client, buf_span(&out));
	buf_finish(&out);
}

static void
say(struct client *client, const char *text)
{
	say_frame(client, WS_TEXT, true, span_str(text));
}

/* The next frame must be this one. */
static void
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

static void
expect_text(struct client *client, const char *text)
{
	expect_frame(client, WS_TEXT, span_str(text));
}

/* The next frame must be text that contains this. */
static void
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

static void
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

static void
open_with(struct client *client, struct world *world, const char *request)
{
	client_open(client, world);
	client_say(client, request);
	client_expect(client, 101, NULL);
}

static void
the_handshake_answers_the_key(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct answer answer;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, "GET /ws HTTP/1.1\r\nHost: h\r\n" AUTH UPGRADE
	    "Sec-WebSocket-Protocol: other, weir.v1.json\r\n\r\n");
	client_answer(&client, &answer);
	assert_int_equal(answer.status, 101);
	assert_true(answer_has(&answer, "Upgrade: websocket\r\n"));
	assert_true(answer_has(&answer, "Connection: Upgrade\r\n"));
	assert_true(answer_has(&answer, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	assert_true(answer_has(&answer, "Sec-WebSocket-Protocol: weir.v1.json\r\n"));
	assert_int_equal(world.status_last, 101);
	assert_int_equal(world.gone, 1);
	answer_finish(&answer);
	client_close(&client);
	world_close(&world);
}

static void
handshakes_that_are_refused(void **state)
{
	(void)state;
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define HEAD(rest) "GET /ws HTTP/1.1\r\nHost: h:80\r\n" AUTH rest "\r\n"
#define UP "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
	static const struct {
		const char *request;
		unsigned status;
	} cases[] = {
		{HEAD(""), 426},
		{HEAD(UP KEY), 426},
		{HEAD(UP KEY "Sec-WebSocket-Version: 8\r\n"), 426},
		{HEAD("Upgrade: websocket\r\n" KEY "Sec-WebSocket-Version: 13\r\n"), 426},
		{HEAD(UP "Sec-WebSocket-Version: 13\r\n"), 400},
		{HEAD(UP "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n"), 400},
		{HEAD(UPGRADE "Content-Length: 1\r\n"), 400},
		{HEAD(UPGRADE "Origin: http://evil\r\n"), 403},
		{HEAD(UPGRADE "Origin: null\r\n"), 403},
		{HEAD(UPGRADE "Origin: http://h\r\n"), 403},
		{HEAD(UPGRADE "Origin: https://H:80\r\n"), 101},
		{HEAD(UPGRADE "Origin: https://friend.example\r\n"), 101},
		{"GET /ws HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer no\r\n" UPGRADE "\r\n", 401},
		{"GET /ws HTTP/1.1\r\nHost: h\r\n\r\n", 401},
		{"GET /ws HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " KEY_READ "\r\n"
		    UPGRADE "\r\n",
		    403},
	};
	struct session_settings settings = world_settings;
	struct world world;
	settings.ws_origins = "https://other.example https://friend.example";
	world_open_with(&world, &settings, 65536, socket_real());
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct answer answer;
		ask(&world, cases[i].request, &answer);
		if (answer.status != cases[i].status)
			fail_msg("case %zu: %s", i, answer.head);
		assert_int_equal(answer_has(&answer, "Sec-WebSocket-Version: 13"),
		    answer.status == 426);
		answer_finish(&answer);
	}
	world_close(&world);
}

static void
a_conversation(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	open_with(&client, &world, OPEN);
	say(&client, "{\"subscribe\":[\"a\",\"b/+\"],\"ref\":1}");
	expect_text(&client, "{\"ack\":1,\"ok\":true}");
	world_message(&world, "b/\\u00fc", "{\"x\": 1}");
	world_message(&world, "c", "2");
	expect_text_with(&client, "\"data\":{\"x\": 1}}");
	say(&client, " { \"unsubscribe\" : [ \"b/+\" ] , \"ref\" : \"r\\u0031\" } ");
	expect_text(&client, "{\"ack\":\"r\\u0031\",\"ok\":true}");
	world_message(&world, "b/x", "3");
	world_message(&world, "a", "4");
	expect_text_with(&client, "\"data\":4}");
	say(&client, "{\"subscribe\":[\"a\"]}"); /* has it; no ref, no answer */
	say(&client, "{\"subscribe\":[\"a\"],\"ref\":null}");
	expect_text(&client, "{\"ack\":null,\"ok\":true}");
	say(&client, "{\"subscribe\":[\"d\"],\"since\":0,\"ref\":{\"n\":[1,2]}}");
	expect_text(&client, "{\"gap\":true}");
	expect_text(&client, "{\"ack\":{\"n\":[1,2]},\"ok\":true}");
	client_close(&client);
	world_close(&world);
}

static void
subscriptions_of_the_url_are_in_force_when_it_opens(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	world.confirm_by_hand = true;
	client_open(&client, &world);
	client_say(&client, "GET /ws?channel=a&gap HTTP/1.1\r\nHost: h\r\n" AUTH UPGRADE "\r\n");
	say(&client, "{\"subscribe\":[\"a\"],\"ref\":7}"); /* too early, but it will be heard */
	client_idle(&client);
	assert_int_equal(client.in.len, 0);
	world_confirm(&world);
	client_expect(&client, 101, NULL);
	expect_text(&client, "{\"gap\":true}");
	expect_text(&client, "{\"ack\":7,\"ok\":true}");
	world_message(&world, "a", "1");
	expect_text_with(&client, "\"data\":1}");
	client_close(&client);
	world_close(&world);
}

static void
acknowledgements_wait_for_the_confirmation(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	open_with(&client, &world, OPEN);
	world.confirm_by_hand = true;
	say(&client, "{\"subscribe\":[\"a\"],\"ref\":1}");
	say(&client, "{\"subscribe\":[\"b\"],\"ref\":2}");
	say(&client, "{\"unsubscribe\":[\"a\"],\"ref\":3}");
	client_idle(&client);
	assert_int_equal(client.in.len, 0);
	world_confirm(&world);
	expect_text(&client, "{\"ack\":1,\"ok\":true}");
	expect_text(&client, "{\"ack\":2,\"ok\":true}");
	expect_text(&client, "{\"ack\":3,\"ok\":true}");
	client_close(&client);
	world_close(&world);
}

static void
mistakes_are_answered(void **state)
{
	(void)state;
	static const struct {
		const char *text, *answer;
	} cases[] = {
		{"[1]", "{\"ack\":null,\"ok\":false,"},
		{"{}", "\"status\":422"},
		{"{\"ref\":5}", "{\"ack\":5,\"ok\":false,\"error\":{\"type\":\"about:blank\","},
		{"{\"subscribe\":[\"a\"],\"publish\":[\"a\"],\"data\":1}", "\"status\":422"},
		{"{\"subscribe\":\"a\"}", "channels come as an array"},
		{"{\"subscribe\":[{\"a\":[]}]}", "a channel is a name or an id"},
		{"{\"subscribe\":[true]}", "a channel is a name or an id"},
		{"{\"subscribe\":[\"a\"],\"key\":1}", "a key is a string"},
		{"{\"subscribe\":[\"a/#/b\"]}", "# is the last level"},
		{"{\"subscribe\":[\"news\"],\"ref\":9}", "\"status\":403"},
		{"{\"publish\":[\"blog/1\"]}", "data is missing"},
		{"{\"publish\":[],\"data\":1}", "no channel is named"},
		{"{\"publish\":[\"blog/+\"],\"data\":1}", "\"status\":422"},
		{"{\"publish\":[\"news\"],\"data\":1}", "\"status\":403"},
		{"{\"token\":1}", "a token is a string"},
	};
	struct world world;
	struct client client;
	world_open(&world);
	open_with(&client, &world, "GET /ws HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " KEY_BLOG
	    "\r\n" UPGRADE "\r\n");
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		say(&client, cases[i].text);
		expect_text_with(&client, cases[i].answer);
		assert_int_equal(client.in.len, 0);
	}
	say(&client, "{\"subscribe\":[\"blog/#\"],\"ref\":9}");
	expect_text(&client, "{\"ack\":9,\"ok\":true}");
	client_close(&client);
	world_close(&world);
}

static void
publishing_is_answered_with_the_id(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	open_with(&client, &world, OPEN);
	say(&client, "{\"publish\":[\"a\",\"b\"],\"data\": {\"k\":\"]}\"} ,\"ref\":1}");
	client_idle(&client);
	assert_string_equal(world.published, "2 a {\"k\":\"]}\"}");
	world.publish.done(world.publish.ctx, 0, SPAN("m12"));
	expect_text(&client, "{\"ack\":1,\"ok\":true,\"id\":\"m12\"}");
	say(&client, "{\"publish\":[\"a\"],\"data\":-1.5e3,\"ref\":2}");
	client_idle(&client);
	assert_string_equal(world.published, "1 a -1.5e3");
	world.publish.done(world.publish.ctx, -EAGAIN, SPAN("too much at once"));
	expect_text_with(&client, "\"status\":429,\"detail\":\"too much at once\"");
	/* The client leaves before the answer comes. */
	say(&client, "{\"publish\":[\"a\"],\"data\":null,\"ref\":3}");
	client_idle(&client);
	assert_string_equal(world.published, "1 a null");
	client_close(&client);
	struct net_stats stats;
	do {
		world_turn(&world, 1);
		net_stats(world.net, &stats);
	} while (stats.open);
	world.publish.done(world.publish.ctx, 0, SPAN("m13"));
	world_close(&world);
}

static void
messages_in_fragments_with_pings_between(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	open_with(&client, &world, OPEN);
	say_frame(&client, WS_TEXT, false, SPAN("{\"subscribe\":[\"\xc3"));
	say_frame(&client, WS_PING, true, SPAN("are you there?"));
	expect_frame(&client, WS_PONG, SPAN("are you there?"));
	say_frame(&client, WS_CONTINUATION, false, SPAN(""));
	say_frame(&client, WS_CONTINUATION, false, SPAN("\xbc\"],\"re"));
	say_frame(&client, WS_PONG, true, SPAN("unasked"));
	say_frame(&client, WS_CONTINUATION, true, SPAN("f\":1}"));
	expect_text(&client, "{\"ack\":1,\"ok\":true}");
	client_close(&client);
	world_close(&world);
}

static void
frames_byte_by_byte(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct buf out;
	world_open(&world);
	open_with(&client, &world, OPEN);
	buf_init(&out, 0);
	append_frame(&out, WS_TEXT, true, SPAN("{\"subscribe\":[\"a\"],\"ref\":1}"));
	append_frame(&out, WS_PING, true, SPAN("x"));
	append_frame(&out, WS_TEXT, false, SPAN("{\"subscribe\":[\"a\"],"));
	append_frame(&out, WS_CONTINUATION, true, SPAN("\"ref\":2}"));
	for (size_t i = 0; i < out.len; i++)
		client_send(&client, span_of(out.ptr + i, 1));
	expect_text(&client, "{\"ack\":1,\"ok\":true}");
	expect_frame(&client, WS_PONG, SPAN("x"));
	expect_text(&client, "{\"ack\":2,\"ok\":true}");
	buf_finish(&out);
	client_close(&client);
	world_close(&world);
}

static void
broken_frames_end_it_with_a_code(void **state)
{
	(void)state;
	static const struct {
		struct { const char *bytes; size_t len; } frame;
		unsigned code;
	} cases[] = {
#define BYTES(text) {text, sizeof(text) - 1}
		{BYTES("\x81\x02{}"), 1002},                       /* not masked */
		{BYTES("\xc1\x80" "mask"), 1002},                  /* RSV1 */
		{BYTES("\x83\x80" "mask"), 1002},                  /* reserved opcode */
		{BYTES("\x80\x80" "mask"), 1002},                  /* continuation of nothing */
		{BYTES("\x09\x80" "mask"), 1002},                  /* fragmented ping */
		{BYTES("\x89\xfe\x00\x7e" "mask"), 1002},          /* ping of 126 bytes */
		{BYTES("\x01\x80" "mask" "\x81\x80" "mask"), 1002}, /* text within text */
		{BYTES("\x82\x80" "mask"), 1003},                  /* binary */
		{BYTES("\x81\x80" "mask"), 1007},                  /* empty: no JSON */
		{BYTES("\x81\x81\0\0\0\0{"), 1007},
		{BYTES("\x81\x82\0\0\0\0\"\xff"), 1007},           /* no UTF-8 */
		{BYTES("\x81\x82\0\0\0\0\"\xc3"), 1007},           /* cut UTF-8 */
		{BYTES("\x81\xfe\x10\x01\0\0\0\0"), 1009},         /* 4097 bytes */
		{BYTES("\x01\xfe\x0f\xff\0\0\0\0"), 0},            /* 4095 of more: see below */
	};
	struct world world;
	world_open(&world);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct client client;
		open_with(&client, &world, OPEN);
		client_send(&client, span_of(cases[i].frame.bytes, cases[i].frame.len));
		if (cases[i].code == 0) {
			char blanks[4095];
			memset(blanks, ' ', sizeof(blanks));
			client_send(&client, span_of(blanks, sizeof(blanks)));
			say_frame(&client, WS_CONTINUATION, true, SPAN("{}"));
		}
		expect_close(&client, cases[i].code ? cases[i].code : 1009);
		client_close(&client);
	}
	world_close(&world);
}

static void
closing_is_answered_in_kind(void **state)
{
	(void)state;
	static const struct {
		struct { const char *bytes; size_t len; } payload;
		unsigned code;
	} cases[] = {
		{BYTES(""), 1000}, {BYTES("\x03\xe8"), 1000}, {BYTES("\x03\xe9" "going"), 1001},
		{BYTES("\x0f\xa0"), 4000}, {BYTES("\x03"), 1002}, {BYTES("\x03\xed"), 1002},
		{BYTES("\x00\x00"), 1002}, {BYTES("\x03\xe8\xff"), 1007},
	};
	struct world world;
	world_open(&world);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct client client;
		open_with(&client, &world, OPEN);
		say_frame(&client, WS_CLOSE, true, span_of(cases[i].payload.bytes,
		    cases[i].payload.len));
		say(&client, "{\"subscribe\":[\"a\"],\"ref\":1}"); /* not heard any more */
		expect_close(&client, cases[i].code);
		client_close(&client);
	}
	world_close(&world);
}

#define NAKED "GET /ws?channel=blog/1 HTTP/1.1\r\nHost: h\r\n" UPGRADE "\r\n"

static void
the_token_comes_in_the_first_frame(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	open_with(&client, &world, NAKED);
	world_message(&world, "blog/1", "0");
	say(&client, "{\"token\":\"" KEY_BLOG "\",\"ref\":1}");
	expect_text(&client, "{\"ack\":1,\"ok\":true}");
	world_message(&world, "blog/1", "1");
	expect_text_with(&client, "\"data\":1}");
	say(&client, "{\"token\":\"" KEY_BLOG "\",\"ref\":2}"); /* again: good */
	expect_text(&client, "{\"ack\":2,\"ok\":true}");
	say(&client, "{\"token\":\"wrong\"}");
	expect_close(&client, 4401);
	client_close(&client);
	world_close(&world);
}

static void
without_a_good_token_it_ends(void **state)
{
	(void)state;
	static const char *const first[] = {
		"{\"token\":\"wrong\"}", "{\"token\":\"" KEY_READ "\"}",
		    "{\"subscribe\":[\"a\"]}", "[]",
	};
	struct world world;
	struct client client;
	world_open(&world);
	for (size_t i = 0; i < ARRAY_COUNT(first); i++) {
		open_with(&client, &world, NAKED);
		say(&client, first[i]);
		expect_close(&client, 4401);
		client_close(&client);
	}
	/* A good token that may not hear what the URL names. */
	open_with(&client, &world, "GET /ws?channel=news HTTP/1.1\r\nHost: h\r\n" UPGRADE "\r\n");
	say(&client, "{\"token\":\"" KEY_BLOG "\"}");
	expect_text_with(&client, "\"status\":403");
	expect_close(&client, 1008);
	client_close(&client);
	world_close(&world);
}

static void
silence_brings_pings_and_deafness_the_end(void **state)
{
	(void)state;
	struct session_settings settings = world_settings;
	struct world world;
	struct client client;
	struct net_stats stats;
	settings.ws_ping_ms = 60;
	world_open_with(&world, &settings, 65536, socket_real());
	open_with(&client, &world, OPEN);
	expect_frame(&client, WS_PING, SPAN(""));
	say_frame(&client, WS_PONG, true, SPAN(""));
	expect_frame(&client, WS_PING, SPAN(""));
	client_await_eof(&client); /* no pong this time */
	net_stats(world.net, &stats);
	assert_int_equal(stats.closed[NET_CLOSE_IDLE], 1);
	client_close(&client);
	world_close(&world);
}

static void
revoked_keys_and_draining(void **state)
{
	(void)state;
	struct world world;
	struct client first, second;
	world_open(&world);
	open_with(&first, &world, OPEN);
	open_with(&second, &world, "GET /open/ws?channel=a HTTP/1.1\r\nHost: h\r\n" UPGRADE "\r\n");
	access_key_remove(world.access, 1);
	session_revoked(world.sessions);
	expect_close(&first, 4401);
	world_message(&world, "a", "1");
	expect_text_with(&second, "\"data\":1}");
	session_drain(world.sessions);
	expect_close(&second, 1012);
	client_close(&first);
	client_close(&second);
	world_close(&world);
}

static void
what_is_owed_in_a_turn_stays_separate_frames(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	char big[4003];
	memset(big, 'x', sizeof(big));
	big[0] = big[4001] = '"';
	big[4002] = '\0';
	world_open(&world);
	open_with(&client, &world, "GET /ws?channel=%23 HTTP/1.1\r\nHost: h\r\n"
	    AUTH UPGRADE "\r\n");
	for (unsigned i = 0; i < 20; i++)
		world_message(&world, "a", i % 5 == 4 ? big : "1"); /* big: by reference */
	for (unsigned i = 0; i < 20; i++) {
		char text[4200];
		snprintf(text, sizeof(text),
		    "{\"id\":\"m%u\",\"time\":1700000000000,\"channels\":[\"a\"],\"data\":%s}",
		    i + 2,
		    i % 5 == 4 ? big : "1");
		expect_text(&client, text);
	}
	client_close(&client);
	world_close(&world);
}

static void
too_many_publishes_under_way_hold_the_input(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	void *ctxs[64];
	world_open(&world);
	open_with(&client, &world, OPEN);
	for (unsigned i = 0; i < 64; i++) {
		say(&client, "{\"publish\":[\"a\"],\"data\":1,\"ref\":1}");
		client_idle(&client);
		ctxs[i] = world.publish.ctx;
	}
	say(&client, "{\"publish\":[\"a\"],\"data\":\"one more\",\"ref\":2}");
	client_idle(&client);
	assert_string_equal(world.published, "1 a 1");
	world.publish.done(ctxs[0], 0, SPAN("m1"));
	expect_text(&client, "{\"ack\":1,\"ok\":true,\"id\":\"m1\"}");
	client_idle(&client);
	assert_string_equal(world.published, "1 a \"one more\"");
	world.publish.done(world.publish.ctx, 0, SPAN("m2"));
	expect_text(&client, "{\"ack\":2,\"ok\":true,\"id\":\"m2\"}");
	for (unsigned i = 1; i < 64; i++)
		world.publish.done(ctxs[i], 0, SPAN("m1"));
	client_close(&client);
	world_close(&world);
}

static void
ids_are_turned_into_names_before_anything_else(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	const struct span names[] = {SPAN("blog/7"), SPAN("17")};
	world_open(&world);
	open_with(&client, &world, OPEN);
	say(&client, "{\"subscribe\":[17,\"a\",\"18\"],\"ref\":1}");
	say(&client, "{\"unsubscribe\":[\"a\"],\"ref\":2}");
	client_idle(&client);
	assert_string_equal(world.looked_up, "17 18 ");
	world.lookup.done(world.lookup.ctx, 0, names);
	expect_text(&client, "{\"ack\":1,\"ok\":true}");
	expect_text(&client, "{\"ack\":2,\"ok\":true}");
	world_message(&world, "a", "1");
	world_message(&world, "17", "2");
	expect_text_with(&client, "\"data\":2}");
	world_message(&world, "blog/7", "3");
	expect_text_with(&client, "\"data\":3}");
	say(&client, "{\"unsubscribe\":[17],\"ref\":3}");
	client_idle(&client);
	world.lookup.done(world.lookup.ctx, 0, names);
	expect_text(&client, "{\"ack\":3,\"ok\":true}");
	world_message(&world, "blog/7", "4");
	world_message(&world, "17", "5");
	expect_text_with(&client, "\"data\":5}");
	client_close(&client);
	world_close(&world);
}

static void
ids_that_nobody_knows(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	open_with(&client, &world, OPEN);
	say(&client, "{\"subscribe\":[19],\"ref\":1}");
	client_idle(&client);
	world.lookup.done(world.lookup.ctx, -ENOENT, NULL);
	expect_text_with(&client, "{\"ack\":1,\"ok\":false,\"error\":{\"type\":\"about:blank\","
	    "\"title\":\"Not Found\",\"status\":404");
	say(&client, "{\"subscribe\":[1.5],\"ref\":2}");
	expect_text_with(&client, "\"status\":422");
	say(&client, "{\"subscribe\":[-1],\"ref\":3}");
	expect_text_with(&client, "\"status\":422");
	say(&client, "{\"publish\":[19],\"data\":1,\"key\":\"k\\u0031\",\"ref\":4}");
	client_idle(&client);
	assert_string_equal(world.published, "1 19 1 k1");
	world.publish.done(world.publish.ctx, -ENOENT, SPAN("no channel has this id"));
	expect_text_with(&client, "\"status\":404");
	client_close(&client);
	world_close(&world);
}

static void
who_leaves_while_ids_are_looked_up(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	const struct span names[] = {SPAN("blog/7")};
	world_open(&world);
	open_with(&client, &world, OPEN);
	say(&client, "{\"subscribe\":[17],\"ref\":1}");
	client_idle(&client);
	session_drain(world.sessions);
	expect_close(&client, 1012);
	client_close(&client);
	world_turn(&world, 0);
	world.lookup.done(world.lookup.ctx, 0, names);
	world_close(&world);
}

static void
a_closed_channel_ends_the_subscription_by_its_name(void **state)
{
	(void)state;
	struct world world;
	struct client exact, wild;
	const struct hub_target channel = {.name = SPAN("a"), .id = 17};
	world_open(&world);
	open_with(&exact, &world, "GET /ws?channel=a&channel=b HTTP/1.1\r\nHost: h\r\n"
	    AUTH UPGRADE "\r\n");
	open_with(&wild, &world, "GET /ws?channel=%23 HTTP/1.1\r\nHost: h\r\n"
	    AUTH UPGRADE "\r\n");
	hub_local_closed(world.local, SPAN("main"), &channel);
	hub_local_closed(world.local, SPAN("main"), &channel);
	expect_text(&exact, "{\"closed\":[17]}");
	world_message(&world, "a", "1");
	world_message(&world, "b", "2");
	expect_text_with(&exact, "\"data\":2}");
	expect_text_with(&wild, "\"data\":1}");
	say(&exact, "{\"subscribe\":[\"a\"],\"ref\":1}");
	expect_text(&exact, "{\"ack\":1,\"ok\":true}");
	world_message(&world, "a", "3");
	expect_text_with(&exact, "\"data\":3}");
	client_close(&exact);
	client_close(&wild);
	world_close(&world);
}

#define DEFLATE "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
#define OPEN_DEFLATE "GET /ws?channel=a HTTP/1.1\r\nHost: h:80\r\n" AUTH UPGRADE DEFLATE "\r\n"

/* A message compressed, cut into so many frames. */
static void
say_deflated(struct client *client, struct span text, size_t frames)
{
	struct buf packed, out;
	buf_init(&packed, 0);
	buf_init(&out, 0);
	assert_int_equal(deflate_pack(text, &packed), 0);
	struct span rest = buf_span(&packed);
	for (size_t i = 0; i < frames; i++) {
		char head[WS_HEAD_BYTES_MAX];
		size_t len = i + 1 == frames ? rest.len : rest.len / 2;
		buf_append(&out, head, ws_write_head(head, i ? WS_CONTINUATION : WS_TEXT,
		    i + 1 == frames, i == 0, len, mask));
		size_t at = out.len;
		buf_append(&out, rest.ptr, len);
		ws_unmask(mask, 0, out.ptr + at, len);
		rest = span_skip(rest, len);
	}
	client_send(client, buf_span(&out));
	buf_finish(&packed);
	buf_finish(&out);
}

/* The next frame must be compressed, and say this. */
static void
expect_deflated(struct client *client, const char *text)
{
	struct ws_frame frame;
	ssize_t head = 0;
	for (unsigned i = 0; i < TURNS_MAX; i++) {
		head = ws_parse_head(buf_span(&client->in), true, &frame);
		assert_true(head >= 0);
		if (head > 0 && client->in.len >= (size_t)head + frame.len)
			break;
		head = 0;
		client_step(client, 1);
	}
	assert_true(head > 0 && frame.rsv1);
	struct buf back;
	buf_init(&back, 0);
	assert_int_equal(deflate_unpack(span_of(client->in.ptr + head, (size_t)frame.len), 10000,
	    &back), 0);
	assert_true(span_eq(buf_span(&back), span_str(text)));
	buf_finish(&back);
	buf_consume(&client->in, (size_t)head + (size_t)frame.len);
}

static void
compression_is_agreed_on_and_only_for_long_messages(void **state)
{
	(void)state;
	struct world world;
	struct client client, plain;
	struct answer answer;
	char data[400], text[600];
	memset(data, 'x', sizeof(data));
	data[0] = data[398] = '"';
	data[399] = '\0';
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, OPEN_DEFLATE);
	client_answer(&client, &answer);
	assert_int_equal(answer.status, 101);
	assert_true(answer_has(&answer, "Sec-WebSocket-Extensions: permessage-deflate; "
	    "server_no_context_takeover; client_no_context_takeover\r\n"));
	answer_finish(&answer);
	open_with(&plain, &world, "GET /ws?channel=a HTTP/1.1\r\nHost: h\r\n" AUTH UPGRADE "\r\n");
	world_message(&world, "a", "1");
	expect_text_with(&client, "\"data\":1}");
	expect_text_with(&plain, "\"data\":1}");
	world_message(&world, "a", data);
	snprintf(text, sizeof(text), "{\"id\":\"m%llu\",\"time\":1700000000000,\"channels\":[\"a\"],"
	    "\"data\":%s}", (unsigned long long)world.seq, data);
	expect_deflated(&client, text);
	expect_text(&plain, text);
	client_close(&client);
	client_close(&plain);
	world_close(&world);
}

static void
compressed_calls_are_heard_and_bounded(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	char large[5000];
	memset(large, ' ', sizeof(large));
	world_open(&world);
	open_with(&client, &world, OPEN_DEFLATE);
	say_deflated(&client, SPAN("{\"subscribe\":[\"b\"],\"ref\":1}"), 1);
	expect_text(&client, "{\"ack\":1,\"ok\":true}");
	say_deflated(&client, SPAN("{\"subscribe\":[\"c\"],\"ref\":2}"), 3);
	expect_text(&client, "{\"ack\":2,\"ok\":true}");
	say(&client, "{\"subscribe\":[\"d\"],\"ref\":3}");
	expect_text(&client, "{\"ack\":3,\"ok\":true}");
	say_deflated(&client, span_of(large, 5000), 1);
	expect_close(&client, 1009);
	client_close(&client);
	open_with(&client, &world, OPEN_DEFLATE);
	say_deflated(&client, SPAN("\"\xc3\x28\""), 1);
	expect_close(&client, 1007);
	client_close(&client);
	open_with(&client, &world, OPEN_DEFLATE);
	say_deflated(&client, SPAN("no JSON"), 1);
	expect_close(&client, 1007);
	client_close(&client);
	open_with(&client, &world, OPEN_DEFLATE);
	client_send(&client, SPAN("\xc1\x82\0\0\0\0\xff\xff"));
	expect_close(&client, 1007);
	client_close(&client);
	open_with(&client, &world, OPEN);
	client_send(&client, SPAN("\xc1\x82\0\0\0\0\xff\xff"));
	expect_close(&client, 1002);
	client_close(&client);
	world_close(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_handshake_answers_the_key),
		cmocka_unit_test(handshakes_that_are_refused),
		cmocka_unit_test(a_conversation),
		cmocka_unit_test(subscriptions_of_the_url_are_in_force_when_it_opens),
		cmocka_unit_test(acknowledgements_wait_for_the_confirmation),
		cmocka_unit_test(mistakes_are_answered),
		cmocka_unit_test(publishing_is_answered_with_the_id),
		cmocka_unit_test(messages_in_fragments_with_pings_between),
		cmocka_unit_test(frames_byte_by_byte),
		cmocka_unit_test(broken_frames_end_it_with_a_code),
		cmocka_unit_test(closing_is_answered_in_kind),
		cmocka_unit_test(the_token_comes_in_the_first_frame),
		cmocka_unit_test(without_a_good_token_it_ends),
		cmocka_unit_test(silence_brings_pings_and_deafness_the_end),
		cmocka_unit_test(revoked_keys_and_draining),
		cmocka_unit_test(what_is_owed_in_a_turn_stays_separate_frames),
		cmocka_unit_test(too_many_publishes_under_way_hold_the_input),
		cmocka_unit_test(compression_is_agreed_on_and_only_for_long_messages),
		cmocka_unit_test(compressed_calls_are_heard_and_bounded),
		cmocka_unit_test(ids_are_turned_into_names_before_anything_else),
		cmocka_unit_test(ids_that_nobody_knows),
		cmocka_unit_test(who_leaves_while_ids_are_looked_up),
		cmocka_unit_test(a_closed_channel_ends_the_subscription_by_its_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

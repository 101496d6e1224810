/*
 * WebSocket: the handshake, frames, the JSON conversation, pings, closing.
 */
#include "ws_client.h"

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
	void *ctxs[256];
	world_open(&world);
	open_with(&client, &world, OPEN);
	for (unsigned i = 0; i < 256; i++) {
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
	for (unsigned i = 1; i < 256; i++)
		world.publish.done(ctxs[i], 0, SPAN("m1"));
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

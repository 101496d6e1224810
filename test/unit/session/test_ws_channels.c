/*
 * WebSocket: channels by their ids and their ends, and compressed messages.
 */
#include "ws_client.h"

#include "deflate.h"

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
a_channel_that_went_before_the_sequencer_was_asked(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	const struct span names[] = {SPAN("blog/7")};
	world_open(&world);
	world.gone_id = 17;
	open_with(&client, &world, OPEN);
	say(&client, "{\"subscribe\":[17,\"a\"],\"ref\":1}");
	client_idle(&client);
	world.lookup.done(world.lookup.ctx, 0, names);
	expect_text(&client, "{\"closed\":[17]}");
	expect_text(&client, "{\"ack\":1,\"ok\":true}");
	world_message(&world, "blog/7", "1");
	world_message(&world, "a", "2");
	expect_text_with(&client, "\"data\":2}");
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
	/* Whose want or question comes behind the end waits for another channel. */
	world.confirm_by_hand = true;
	say(&exact, "{\"subscribe\":[\"c\"],\"ref\":2}");
	say(&wild, "{\"subscribe\":[\"a\"],\"since\":0,\"ref\":3}");
	client_idle(&exact);
	client_idle(&wild);
	buf_clear(&wild.in);
	hub_local_closed(world.local, SPAN("main"), &channel);
	hub_local_closed(world.local, SPAN("main"),
	    &(struct hub_target){.name = SPAN("c"), .id = 18});
	expect_text(&exact, "{\"closed\":[17]}");
	world_confirm(&world);
	expect_text(&exact, "{\"ack\":2,\"ok\":true}");
	expect_text(&wild, "{\"gap\":true}");
	expect_text(&wild, "{\"ack\":3,\"ok\":true}");
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
	snprintf(text, sizeof(text), "{\"id\":\"m%llu\",\"time\":1700000000000,"
	    "\"channels\":[\"a\"],\"data\":%s}", (unsigned long long)world.seq, data);
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
		cmocka_unit_test(compression_is_agreed_on_and_only_for_long_messages),
		cmocka_unit_test(compressed_calls_are_heard_and_bounded),
		cmocka_unit_test(ids_are_turned_into_names_before_anything_else),
		cmocka_unit_test(a_channel_that_went_before_the_sequencer_was_asked),
		cmocka_unit_test(ids_that_nobody_knows),
		cmocka_unit_test(who_leaves_while_ids_are_looked_up),
		cmocka_unit_test(a_closed_channel_ends_the_subscription_by_its_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

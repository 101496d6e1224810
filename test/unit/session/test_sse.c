/*
 * Event streams: when they begin, what they carry, how they end.
 */
#include "world.h"

#define GET(path, headers) "GET " path " HTTP/1.1\r\nHost: h\r\n" AUTH headers "\r\n"

static uint64_t
subscriptions(const struct world *world)
{
	struct hub_stats stats;
	hub_local_stats(world->local, &stats);
	return stats.subscriptions;
}

static void
the_head_leaves_when_all_is_in_force(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	world.confirm_by_hand = true;
	client_open(&client, &world);
	client_say(&client, GET("/sse?channel=a&channel=b/%2B", ""));
	client_idle(&client);
	assert_int_equal(client.in.len, 0);
	assert_int_equal(world.token_count, 2);
	hub_local_confirmed(world.local, world.tokens[0], ++world.seq);
	world_message(&world, "a", "\"before the head\"");
	client_idle(&client);
	assert_int_equal(client.in.len, 0);
	hub_local_confirmed(world.local, world.tokens[1], ++world.seq);
	client_await(&client, "\r\n\r\n");
	assert_true(client_has(&client, "HTTP/1.1 200 OK\r\n"));
	assert_true(client_has(&client, "\r\nContent-Type: text/event-stream\r\n"));
	assert_true(client_has(&client, "\r\nCache-Control: no-store\r\n"));
	assert_true(client_has(&client, "\r\nX-Accel-Buffering: no\r\n"));
	assert_int_equal(world.gone, 1);
	assert_int_equal(world.broken, 0);
	assert_int_equal(world.status_last, 200);
	buf_clear(&client.in);
	world_message(&world, "b/x", "{\"v\":1}");
	world_message(&world, "b", "2");
	world_message(&world, "a", "[3]");
	client_await(&client, "[3]}\n\n");
	assert_true(span_eq(buf_span(&client.in), SPAN(
	    "id: m4\ndata: {\"id\":\"m4\",\"time\":1700000000000,\"channels\":[\"b/x\"],"
	    "\"data\":{\"v\":1}}\n\n"
	    "id: m6\ndata: {\"id\":\"m6\",\"time\":1700000000000,\"channels\":[\"a\"],"
	    "\"data\":[3]}\n\n")));
	client_close(&client);
	world_close(&world);
}

static void
a_gap_is_said_first(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, "GET /sse?channel=a&gap HTTP/1.0\r\n" AUTH "\r\n");
	client_await(&client, "\r\n\r\nevent: gap\ndata: {\"gap\":true}\n\n");
	client_close(&client);
	world_close(&world);
}

static void
what_may_not_be_heard(void **state)
{
	(void)state;
	struct world world;
	world_open(&world);
	expect(&world, GET("/sse?channel=a//b", ""), 422, NULL);
	expect(&world, "GET /sse?channel=blog/7&channel=news HTTP/1.1\r\nHost: h\r\n"
	    "Authorization: Bearer " KEY_BLOG "\r\n\r\n", 403, NULL);
	expect(&world, "GET /sse?channel=a HTTP/1.1\r\nHost: h\r\n\r\n", 401, NULL);
	expect(&world, "GET /sse?channel=a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " KEY_READ
	    "\r\n\r\n", 403, NULL);
	assert_int_equal(subscriptions(&world), 0);
	world_close(&world);
}

static void
head_gets_the_head_only(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct answer answer;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, "HEAD /sse?channel=a HTTP/1.1\r\nHost: h\r\n" AUTH "\r\n");
	client_answer_to(&client, &answer, true);
	assert_int_equal(answer.status, 200);
	assert_true(answer_has(&answer, "text/event-stream"));
	answer_finish(&answer);
	assert_int_equal(subscriptions(&world), 0);
	client_close(&client);
	world_close(&world);
}

static void
silence_brings_comments(void **state)
{
	(void)state;
	struct session_settings settings = world_settings;
	struct world world;
	struct client client;
	settings.sse_comment_ms = 50;
	world_open_with(&world, &settings, 65536, socket_real());
	client_open(&client, &world);
	client_say(&client, GET("/sse?channel=a", ""));
	client_await(&client, "\r\n\r\n:\n\n:\n\n:\n\n");
	client_close(&client);
	world_close(&world);
}

static void
a_client_that_leaves_is_unsubscribed(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, GET("/sse?channel=a", "") "whatever it says now is not read");
	client_await(&client, "\r\n\r\n");
	assert_int_equal(subscriptions(&world), 1);
	client_close(&client);
	for (unsigned i = 0; i < TURNS_MAX && subscriptions(&world); i++)
		world_turn(&world, 1);
	assert_int_equal(subscriptions(&world), 0);
	assert_int_equal(hub_wanted(world.hub, SPAN("main"), SPAN("a")), 0);
	world_close(&world);
}

static void
a_client_that_leaves_before_the_head(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	world.confirm_by_hand = true;
	client_open(&client, &world);
	client_say(&client, GET("/sse?channel=a", ""));
	client_idle(&client);
	client_close(&client);
	for (unsigned i = 0; i < TURNS_MAX && subscriptions(&world); i++)
		world_turn(&world, 1);
	assert_int_equal(subscriptions(&world), 0);
	world_confirm(&world);
	world_close(&world);
}

static void
a_stream_that_is_never_confirmed_is_refused(void **state)
{
	(void)state;
	struct session_settings settings = world_settings;
	struct world world;
	struct client sse, ws;
	settings.head_ms = 100;
	world_open_with(&world, &settings, 65536, socket_real());
	world.confirm_by_hand = true;
	client_open(&sse, &world);
	client_open(&ws, &world);
	client_say(&sse, GET("/sse?channel=a", ""));
	client_say(&ws, GET("/ws?channel=b", "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
	client_expect(&sse, 503, "");
	client_expect(&ws, 503, "");
	client_await_eof(&sse);
	client_await_eof(&ws);
	assert_int_equal(subscriptions(&world), 0);
	client_close(&sse);
	client_close(&ws);
	world_close(&world);
}

/* Many readers, one of which does not read: it is dropped, the others are not held up. */
/* Publishes until the slow client is owed more than it may be, while the quick one reads. */
static unsigned
overwhelm(struct world *world, struct client *quick, unsigned count)
{
	char data[3002];
	memset(data, 'x', sizeof(data));
	data[0] = data[3000] = '"';
	data[3001] = '\0';
	for (unsigned i = 0; i < count; i++) {
		world_message(world, "a", data);
		client_step(quick, 0);
		buf_clear(&quick->in);
	}
	return count;
}

static void
open_two(struct world *world, struct client *slow, struct client *quick, const char *request)
{
	world_open_with(world, &world_settings, 32768, socket_real());
	client_open(slow, world);
	client_open(quick, world);
	client_say(slow, request);
	client_say(quick, GET("/sse?channel=a", ""));
	client_await(slow, "\r\n\r\n");
	client_await(quick, "\r\n\r\n");
}

enum { PLENTY = 4000 }; /* times 3 KB: more than any socket holds */

static void
a_slow_reader_gets_what_it_is_owed_and_ends(void **state)
{
	(void)state;
	struct world world;
	struct client slow, quick;
	open_two(&world, &slow, &quick, GET("/sse?channel=a", ""));
	overwhelm(&world, &quick, PLENTY);
	client_await_eof(&slow);
	assert_non_null(memmem(slow.in.ptr, slow.in.len, ": too slow", 10));
	assert_null(memmem(slow.in.ptr, slow.in.len, "event: gap", 10));
	assert_int_equal(subscriptions(&world), 1);
	world_message(&world, "a", "\"last\"");
	client_await(&quick, "\"last\"");
	client_close(&slow);
	client_close(&quick);
	world_close(&world);
}

/* How often `part` is in what came. */
static unsigned
count_of(const struct client *client, const char *part)
{
	unsigned count = 0;
	struct span rest = buf_span(&client->in);
	const char *at;
	while (rest.len && (at = memmem(rest.ptr, rest.len, part, strlen(part)))) {
		count++;
		rest = span_skip(rest, (size_t)(at - rest.ptr) + strlen(part));
	}
	return count;
}

static void
a_slow_reader_that_loses_the_newest(void **state)
{
	(void)state;
	struct world world;
	struct client slow, quick;
	open_two(&world, &slow, &quick, GET("/sse?channel=a&slow=newest", ""));
	unsigned sent = overwhelm(&world, &quick, PLENTY);
	client_await(&slow, "event: gap");
	world_message(&world, "a", "\"last\"");
	client_await(&slow, "\"last\"");
	assert_int_equal(count_of(&slow, "event: gap"), 1);
	assert_true(count_of(&slow, "\nid: m") < sent);
	/* The last before the gap is far from the newest. */
	char text[64];
	snprintf(text, sizeof(text), "id: m%llu\n", (unsigned long long)world.seq - 1);
	assert_int_equal(count_of(&slow, text), 0);
	client_close(&slow);
	client_close(&quick);
	world_close(&world);
}

static void
a_slow_reader_that_loses_the_oldest(void **state)
{
	(void)state;
	struct world world;
	struct client slow, quick;
	open_two(&world, &slow, &quick, GET("/sse?channel=a&slow=oldest", ""));
	unsigned sent = overwhelm(&world, &quick, PLENTY);
	char text[64];
	snprintf(text, sizeof(text), "id: m%llu\n", (unsigned long long)world.seq);
	client_await(&slow, text);
	assert_int_equal(count_of(&slow, "event: gap"), 1);
	assert_true(count_of(&slow, "\nid: m") < sent);
	world_message(&world, "a", "\"last\"");
	client_await(&slow, "\"last\"");
	client_close(&slow);
	/* One that never reads and leaves: what waited for it is gone with it. */
	client_open(&slow, &world);
	client_say(&slow, GET("/sse?channel=a&slow=oldest", ""));
	client_await(&slow, "\r\n\r\n");
	overwhelm(&world, &quick, PLENTY);
	client_close(&slow);
	client_close(&quick);
	world_close(&world);
}

static void
revoked_keys_and_draining_end_streams(void **state)
{
	(void)state;
	struct world world;
	struct client first, second;
	world_open(&world);
	client_open(&first, &world);
	client_open(&second, &world);
	client_say(&first, GET("/sse?channel=a", ""));
	client_say(&second, "GET /sse?channel=blog/1 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "
	    KEY_BLOG "\r\n\r\n");
	client_await(&first, "\r\n\r\n");
	client_await(&second, "\r\n\r\n");
	access_key_remove(world.access, 1);
	session_revoked(world.sessions);
	client_await_eof(&first);
	client_idle(&second);
	assert_false(second.eof);
	session_drain(world.sessions);
	client_await_eof(&second);
	client_close(&first);
	client_close(&second);
	world_close(&world);
}

static void
streams_over_faulty_sockets(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct world world;
		struct client client;
		printf("seed %llu\n", (unsigned long long)seed);
		struct socket_env faulty = socket_faulty_create(socket_real(), seed, 0);
		world_open_with(&world, &world_settings, 65536, faulty);
		client_open(&client, &world);
		client_say(&client, GET("/sse?channel=%23", ""));
		client_await(&client, "\r\n\r\n");
		for (unsigned i = 0; i < 200; i++) {
			world_message(&world, i % 2 ? "a/b" : "c", "\"some data of a message\"");
			if (i % 10 == 0)
				client_step(&client, 0);
		}
		world_message(&world, "end", "\"end\"");
		client_await(&client, "\"end\"}\n\n");
		/* Each id once, in order. */
		const char *at = client.in.ptr;
		for (unsigned id = 2; id <= 202; id++) {
			char line[32];
			int len = snprintf(line, sizeof(line), "id: m%u\n", id);
			at = memmem(at, (size_t)(client.in.ptr + client.in.len - at), line,
			    (size_t)len);
			assert_non_null(at);
		}
		client_close(&client);
		world_close(&world);
		socket_faulty_destroy(faulty);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_head_leaves_when_all_is_in_force),
		cmocka_unit_test(a_gap_is_said_first),
		cmocka_unit_test(what_may_not_be_heard),
		cmocka_unit_test(head_gets_the_head_only),
		cmocka_unit_test(silence_brings_comments),
		cmocka_unit_test(a_client_that_leaves_is_unsubscribed),
		cmocka_unit_test(a_client_that_leaves_before_the_head),
		cmocka_unit_test(a_stream_that_is_never_confirmed_is_refused),
		cmocka_unit_test(a_slow_reader_gets_what_it_is_owed_and_ends),
		cmocka_unit_test(a_slow_reader_that_loses_the_newest),
		cmocka_unit_test(a_slow_reader_that_loses_the_oldest),
		cmocka_unit_test(revoked_keys_and_draining_end_streams),
		cmocka_unit_test(streams_over_faulty_sockets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Long polls: what an answer holds, and the seam between one and the next on the same connection:
 * each message once, none lost, and nothing asked anew that need not be. The sequencer, played by
 * the test, says "gap" to every cursor: so who was asked anew is seen in the answer.
 */
#include "world.h"

#include "session_priv.h"

#define HEAD " HTTP/1.1\r\nHost: h\r\n"

static uint64_t
subscriptions(const struct world *world)
{
	struct hub_stats stats;
	hub_local_stats(world->local, &stats);
	return stats.subscriptions;
}

/* Polls for the channel a, or what the path says. */
static void
say_poll(struct client *client, const char *path, const char *since, const char *headers)
{
	char text[512];
	snprintf(text, sizeof(text), "GET %s&since=%s" HEAD AUTH "%s\r\n", path, since, headers);
	client_say(client, text);
	client_idle(client);
}

/* The next answer: these messages' data, and whether it says a gap. */
static void
expect_polled(struct client *client, const char *wanted, const char *next, bool gap)
{
	struct answer answer;
	char data[512] = "", text[64];
	client_answer(client, &answer);
	assert_int_equal(answer.status, 200);
	assert_true(answer_has(&answer, "\r\nContent-Type: application/json\r\n"));
	assert_true(answer_has(&answer, "\r\nCache-Control: no-cache\r\n"));
	buf_append_byte(&answer.body, '\0');
	for (const char *at = answer.body.ptr; (at = strstr(at, "\"data\":")); at++) {
		size_t len = strlen(data);
		const char *begin = at + strlen("\"data\":");
		snprintf(data + len, sizeof(data) - len, "%.*s ", (int)strcspn(begin, "}"), begin);
	}
	assert_string_equal(data, wanted);
	snprintf(text, sizeof(text), "\"next\":\"%s\"", next);
	assert_non_null(strstr(answer.body.ptr, text));
	assert_int_equal(strstr(answer.body.ptr, "\"gap\":true") != NULL, gap);
	answer_finish(&answer);
}

static void
expect_nothing(struct client *client)
{
	client_idle(client);
	assert_int_equal(client->in.len, 0);
}

/* Opens a client that polls for the channel a and has been answered with message 1: "next" is m2,
 * for its want was the first seq. */
static void
open_answered(struct client *client, struct world *world)
{
	world_open(world);
	client_open(client, world);
	say_poll(client, "/poll?channel=a", "now", "");
	assert_int_equal(world->asked, 1);
	world_message(world, "a", "1");
	expect_polled(client, "1 ", "m2", false);
}

static void
end(struct client *client, struct world *world)
{
	client_close(client);
	world_close(world);
}

static void
what_comes_while_it_is_held(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	say_poll(&client, "/poll?channel=a&channel=b/%2B", "now", "");
	expect_nothing(&client);
	world_message(&world, "c", "0");
	expect_nothing(&client);
	world_message(&world, "b/x", "1");
	world_message(&world, "a", "2");
	client_await(&client, "}");
	assert_true(client_has(&client, "\r\n\r\n{\"messages\":["
	    "{\"id\":\"m4\",\"time\":1700000000000,\"channels\":[\"b/x\"],\"data\":1},"
	    "{\"id\":\"m5\",\"time\":1700000000000,\"channels\":[\"a\"],\"data\":2}"
	    "],\"next\":\"m5\"}"));
	end(&client, &world);
}

static void
the_next_poll_goes_on_without_being_asked_anew(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	open_answered(&client, &world);
	for (unsigned i = 3; i < 40; i++) {
		char since[32], data[32], wanted[32], next[32];
		snprintf(since, sizeof(since), "m%u", i - 1);
		snprintf(data, sizeof(data), "%u", i);
		snprintf(wanted, sizeof(wanted), "%u ", i);
		snprintf(next, sizeof(next), "m%u", i);
		say_poll(&client, "/poll?channel=a", since, "");
		expect_nothing(&client);
		world_message(&world, "a", data);
		expect_polled(&client, wanted, next, false);
		assert_int_equal(world.finished, i - 1); /* each is counted */
	}
	assert_int_equal(world.asked, 1);
	assert_int_equal(world.begun, 1);
	assert_int_equal(subscriptions(&world), 1);
	end(&client, &world);
}

static void
what_comes_between_answer_and_next_poll_comes_once(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	open_answered(&client, &world);
	world_message(&world, "a", "2");
	expect_nothing(&client);
	world_message(&world, "b", "0");
	world_message(&world, "a", "3");
	expect_nothing(&client);
	say_poll(&client, "/poll?channel=a", "m2", "");
	expect_polled(&client, "2 3 ", "m5", false);
	say_poll(&client, "/poll?channel=a", "m5", "");
	expect_nothing(&client);
	world_message(&world, "a", "4");
	expect_polled(&client, "4 ", "m6", false);
	assert_int_equal(world.asked, 1);
	end(&client, &world);
}

static void
messages_of_one_release_come_in_one_answer(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct hub_message *messages[HUB_RUN_MAX];
	size_t delivered[HUB_RUN_MAX] = {0};
	open_answered(&client, &world);
	for (int round = 0; round < 2; round++) {
		/* The first time between two polls, then while one is held. */
		uint64_t first = world.seq + 1;
		for (size_t i = 0; i < 5; i++)
			assert_int_equal(hub_message_create(++world.seq, 1700000000000,
			    SPAN("main"), SPAN("a"), SPAN("7"), &messages[i]), 0);
		hub_local_deliver_run(world.local, messages, 5, delivered);
		for (size_t i = 0; i < 5; i++) {
			hub_message_unref(messages[i]);
			assert_int_equal(delivered[i], round + 1);
		}
		if (round == 0) {
			expect_nothing(&client);
			say_poll(&client, "/poll?channel=a", "m2", "");
		}
		expect_polled(&client, "7 7 7 7 7 ", first == 3 ? "m7" : "m12", false);
		if (round == 0)
			say_poll(&client, "/poll?channel=a", "m7", "");
	}
	assert_int_equal(world.asked, 1);
	end(&client, &world);
}

static void
any_other_request_is_read_as_ever(void **state)
{
	static const struct {
		const char *path, *since, *headers;
	} others[] = {
		{"/poll?channel=a", "m1", ""}, /* before the end of the last answer */
		{"/poll?channel=a", "m3", ""},
		{"/poll?channel=a", "0", ""},
		{"/poll?channel=b", "m2", ""},
		{"/poll?channel=a&x", "m2", ""},
		{"/poll?channel=a", "m2", "X: y\r\n"},
		{"/poll?channel=a", "m2&x=y", ""},
		{"/poll?channel=a", "%6d2", ""},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
		struct world world;
		struct client client;
		open_answered(&client, &world);
		world_message(&world, "a", "2");
		say_poll(&client, others[i].path, others[i].since, others[i].headers);
		assert_int_equal(world.asked, 2);
		assert_int_equal(world.asked_cursor, others[i].since[0] == '0' ? 0 :
		    strtoull(strpbrk(others[i].since, "123") , NULL, 10));
		/* Asked what was: a gap, in this world, behind the new want. */
		expect_polled(&client, "", "m4", true);
		assert_int_equal(subscriptions(&world), 0);
		client_say(&client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
		client_expect(&client, 200, "hello");
		end(&client, &world);
	}
}

static void
other_paths_and_other_credentials(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	open_answered(&client, &world);
	client_say(&client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	client_expect(&client, 200, "hello");
	assert_int_equal(subscriptions(&world), 0);
	say_poll(&client, "/poll?channel=a", "now", "");
	world_message(&world, "a", "2");
	expect_polled(&client, "2 ", "m4", false);
	client_say(&client, "GET /poll?channel=a&since=m4" HEAD
	    "Authorization: Bearer key-of-all-rightz\r\n\r\n");
	client_expect(&client, 401, NULL);
	client_say(&client, "GET /poll?channel=a&since=m4" HEAD "\r\n");
	client_expect(&client, 401, NULL);
	end(&client, &world);
}

static void
a_next_poll_in_pieces_or_with_more_behind_it(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	open_answered(&client, &world);
	client_say(&client, "GET /poll?chan");
	client_idle(&client);
	client_say(&client, "nel=a&since=m2" HEAD AUTH "\r\n");
	client_idle(&client);
	assert_int_equal(world.asked, 2);
	expect_polled(&client, "", "m3", true);
	/* Two at once: the second one waits until the first is answered. */
	say_poll(&client, "/poll?channel=a", "now", "");
	world_message(&world, "a", "2");
	expect_polled(&client, "2 ", "m5", false);
	client_say(&client, "GET /poll?channel=a&since=m5" HEAD AUTH "\r\n"
	    "GET /poll?channel=a&since=m6" HEAD AUTH "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
	expect_nothing(&client);
	world_message(&world, "a", "3");
	expect_polled(&client, "3 ", "m6", false);
	expect_nothing(&client);
	world_message(&world, "a", "4");
	expect_polled(&client, "4 ", "m7", false);
	client_expect(&client, 200, "hello");
	assert_int_equal(world.asked, 3);
	end(&client, &world);
}

static void
answers_after_which_nothing_lingers(void **state)
{
	static const struct {
		const char *method, *path, *rest;
		bool closes;
	} others[] = {
		{"GET", "/poll?channel=a&since=now", " HTTP/1.0\r\n" AUTH "\r\n", true},
		{"GET", "/poll?channel=a&since=now", HEAD AUTH "Connection: close\r\n\r\n", true},
		{"HEAD", "/poll?channel=a&since=now", HEAD AUTH "\r\n", false},
		{"POST", "/poll?channel=a&since=now", HEAD AUTH "Content-Length: 0\r\n\r\n", false},
		{"GET", "/poll?channel=a&since=now", HEAD AUTH "Last-Event-ID: m1\r\n\r\n", false},
		{"GET", "/poll?channel=a&since=now&last_event_id=m1", HEAD AUTH "\r\n", false},
		{"GET", "/poll?channel=a&since=now&since=m0", HEAD AUTH "\r\n", false},
		{"GET", "/poll?channel=a&sinc%65=now", HEAD AUTH "\r\n", false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
		struct world world;
		struct client client;
		char text[512];
		world_open(&world);
		client_open(&client, &world);
		snprintf(text, sizeof(text), "%s %s%s", others[i].method, others[i].path,
		    others[i].rest);
		client_say(&client, text);
		client_idle(&client);
		assert_int_equal(subscriptions(&world), 1);
		world_message(&world, "a", "1");
		client_await(&client, others[i].method[0] == 'H' ? "\r\n\r\n" : "\"next\":\"m2\"}");
		client_idle(&client);
		if (others[i].method[0] != 'P')
			assert_int_equal(subscriptions(&world), 0);
		if (others[i].closes)
			client_await_eof(&client);
		end(&client, &world);
	}
}

static void
a_compressed_answer_goes_the_long_way(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	char data[600];
	struct answer answer;
	memset(data, '1', sizeof(data));
	data[sizeof(data) - 1] = '\0';
	world_open(&world);
	client_open(&client, &world);
	say_poll(&client, "/poll?channel=a", "now", "Accept-Encoding: gzip\r\n");
	world_message(&world, "a", "1");
	expect_polled(&client, "1 ", "m2", false);
	say_poll(&client, "/poll?channel=a", "m2", "Accept-Encoding: gzip\r\n");
	world_message(&world, "a", data);
	client_answer(&client, &answer);
	assert_int_equal(answer.status, 200);
	assert_true(answer_has(&answer, "\r\nContent-Encoding: gzip\r\n"));
	answer_finish(&answer);
	assert_int_equal(world.asked, 1);
	say_poll(&client, "/poll?channel=a", "m3", "Accept-Encoding: gzip\r\n");
	assert_int_equal(world.asked, 2);
	assert_int_equal(world.asked_cursor, 3);
	end(&client, &world);
}

static void
so_does_a_long_one(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct answer answer;
	static const size_t lens[] = {60000, 70000};
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		char *data = calloc(1, lens[i] + 1);
		memset(data, '1', lens[i]);
		open_answered(&client, &world);
		say_poll(&client, "/poll?channel=a", "m2", "");
		world_message(&world, "a", data);
		client_answer(&client, &answer);
		assert_int_equal(answer.status, 200);
		assert_non_null(memmem(answer.body.ptr, answer.body.len, data, lens[i]));
		answer_finish(&answer);
		assert_true(world.sessions->scratch.cap < 65536 * 2);
		say_poll(&client, "/poll?channel=a", "m3", "");
		assert_int_equal(world.asked, i == 0 ? 1 : 2);
		free(data);
		end(&client, &world);
	}
}

static void
after_a_channel_was_closed_in_between_the_next_one_asks_anew(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	const struct hub_target channel = {.name = SPAN("a"), .id = 17};
	open_answered(&client, &world);
	world_message(&world, "a", "2");
	hub_local_closed(world.local, SPAN("main"), &channel);
	expect_nothing(&client);
	assert_int_equal(subscriptions(&world), 0);
	say_poll(&client, "/poll?channel=a", "m2", "");
	assert_int_equal(world.asked, 2);
	end(&client, &world);
}

static void
more_than_is_kept_is_asked_for_anew(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	char data[60000];
	memset(data, '1', sizeof(data));
	data[sizeof(data) - 1] = '\0';
	for (int many = 0; many < 2; many++) {
		open_answered(&client, &world);
		for (int i = 0; i < (many ? 1001 : 5); i++)
			world_message(&world, "a", many ? "2" : data);
		assert_int_equal(world.sessions->poll_bytes, 0); /* nothing is kept any more */
		world_message(&world, "a", "3");
		assert_int_equal(world.sessions->poll_bytes, 0);
		say_poll(&client, "/poll?channel=a", "m2", "");
		assert_int_equal(world.asked, 2);
		assert_int_equal(world.asked_cursor, 2);
		end(&client, &world);
	}
}

static void
what_is_kept_is_counted(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	open_answered(&client, &world);
	world_message(&world, "a", "2");
	size_t one = world.sessions->poll_bytes;
	assert_true(one > 50 && one < 200);
	world_message(&world, "a", "3");
	assert_int_equal(world.sessions->poll_bytes, 2 * one);
	say_poll(&client, "/poll?channel=a", "m2", "");
	expect_polled(&client, "2 3 ", "m4", false);
	assert_int_equal(world.sessions->poll_bytes, 0);
	world_message(&world, "a", "4");
	assert_int_equal(world.sessions->poll_bytes, one);
	client_close(&client);
	for (unsigned i = 0; i < TURNS_MAX && subscriptions(&world); i++)
		world_turn(&world, 1);
	assert_int_equal(subscriptions(&world), 0);
	assert_int_equal(world.sessions->poll_bytes, 0);
	world_close(&world);
}

/* A clock that can be set ahead. */
struct jump {
	struct env_ops ops;
	const struct env_ops *real;
	uint64_t ahead_ns;
};

static uint64_t
jump_mono(struct env *env)
{
	const struct jump *jump = (const struct jump *)(uintptr_t)env->ops;
	return jump->real->mono_ns(env) + jump->ahead_ns;
}

static void
who_does_not_come_again_is_forgotten(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	open_answered(&client, &world);
	struct jump jump = {.ops = *world.env->ops, .real = world.env->ops};
	jump.ops.mono_ns = jump_mono;
	world.env->ops = &jump.ops;
	client_idle(&client);
	assert_int_equal(subscriptions(&world), 1);
	jump.ahead_ns = UINT64_C(3000000000);
	for (unsigned i = 0; i < TURNS_MAX && subscriptions(&world); i++)
		client_step(&client, 1);
	assert_int_equal(subscriptions(&world), 0);
	/* The connection is as it was. */
	client_say(&client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	client_expect(&client, 200, "hello");
	say_poll(&client, "/poll?channel=a", "m2", "");
	assert_int_equal(world.asked, 2);
	client_close(&client);
	world_close(&world);
}

static void
whose_key_is_taken_away_in_between(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	open_answered(&client, &world);
	access_key_remove(world.access, 1);
	session_revoked(world.sessions);
	client_idle(&client);
	assert_false(client.eof);
	world_message(&world, "a", "2");
	say_poll(&client, "/poll?channel=a", "m2", "");
	client_expect(&client, 401, NULL);
	end(&client, &world);
}

static void
a_server_that_stops_ends_who_lingers(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	open_answered(&client, &world);
	session_drain(world.sessions);
	client_await_eof(&client);
	end(&client, &world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_while_it_is_held),
		cmocka_unit_test(the_next_poll_goes_on_without_being_asked_anew),
		cmocka_unit_test(what_comes_between_answer_and_next_poll_comes_once),
		cmocka_unit_test(messages_of_one_release_come_in_one_answer),
		cmocka_unit_test(any_other_request_is_read_as_ever),
		cmocka_unit_test(other_paths_and_other_credentials),
		cmocka_unit_test(a_next_poll_in_pieces_or_with_more_behind_it),
		cmocka_unit_test(answers_after_which_nothing_lingers),
		cmocka_unit_test(a_compressed_answer_goes_the_long_way),
		cmocka_unit_test(so_does_a_long_one),
		cmocka_unit_test(after_a_channel_was_closed_in_between_the_next_one_asks_anew),
		cmocka_unit_test(more_than_is_kept_is_asked_for_anew),
		cmocka_unit_test(what_is_kept_is_counted),
		cmocka_unit_test(who_does_not_come_again_is_forgotten),
		cmocka_unit_test(whose_key_is_taken_away_in_between),
		cmocka_unit_test(a_server_that_stops_ends_who_lingers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

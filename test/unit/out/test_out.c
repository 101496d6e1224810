/*
 * test_out.c: requests to a server on loopback: answers of every kind, bounds, ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <curl/curl.h>
#include <errno.h>

#include "check.h"
#include "out.h"
#include "peer.h"

struct world {
	struct env *env;
	struct mailbox *box;
	struct out *out;
	struct peer peer;
	unsigned back;
};

struct ask {
	struct out_call call;
	struct world *world;
	bool back;
};

static void
deliver(struct mail *mail)
{
	struct ask *ask = CONTAINER_OF(mail, struct ask, call.mail);
	assert_false(ask->back);
	ask->back = true;
	ask->world->back++;
}

static void
begin(struct world *world, const char *says, unsigned under_way_max, unsigned waiting_max)
{
	memset(world, 0, sizeof *world);
	peer_start(&world->peer, says);
	world->env = env_create();
	assert_non_null(world->env);
	assert_int_equal(mailbox_create_blocking(&world->box), 0);
	struct out_options options = {world->env, under_way_max, waiting_max};
	assert_int_equal(out_create(&options, &world->out), 0);
	assert_int_equal(out_start(world->out), 0);
}

static void
end(struct world *world)
{
	out_stop(world->out);
	mailbox_deliver(world->box, SIZE_MAX);
	out_destroy(world->out);
	mailbox_destroy(world->box);
	env_destroy(world->env);
	peer_stop(&world->peer);
}

static int
send_call(struct world *world, struct ask *ask)
{
	static const char *const headers[] = {"X-One: 1", "Cookie: a=b; c=\xff"};
	memset(ask, 0, sizeof *ask);
	ask->world = world;
	ask->call.mail.deliver = deliver;
	ask->call.reply_to = world->box;
	ask->call.method = "POST";
	ask->call.url = world->peer.url;
	ask->call.headers = headers;
	ask->call.header_count = 2;
	ask->call.body = SPAN("{\"x\":1}");
	ask->call.timeout_ms = 30000;
	ask->call.answer_bytes_max = 1000;
	return out_send(world->out, &ask->call);
}

static void
wait_for(struct world *world, unsigned count)
{
	while (world->back < count) {
		mailbox_wait(world->box, -1);
		mailbox_deliver(world->box, SIZE_MAX);
	}
}

static void
call_finish(struct ask *ask)
{
	buf_finish(&ask->call.answer);
}

static void
expect(const char *says, int error, unsigned status, const char *body, bool delimited)
{
	struct world world;
	struct ask ask;
	begin(&world, says, 4, 4);
	assert_int_equal(send_call(&world, &ask), 0);
	wait_for(&world, 1);
	if (ask.call.error != error)
		fail_msg("%s: %d, %s", says, ask.call.error, ask.call.why);
	assert_int_equal(ask.call.status, status);
	if (!error) {
		assert_true(span_eq(buf_span(&ask.call.answer), span_str(body)));
		assert_int_equal(ask.call.delimited, delimited);
	} else {
		assert_true(ask.call.why[0]);
		assert_int_equal(ask.call.answer.len, 0);
	}
	assert_int_equal(out_count(world.out), 0);
	call_finish(&ask);
	end(&world);
}

static void
answers_are_told_apart(void **state)
{
	(void)state;
	expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 0, 200, "hi", true);
	expect("HTTP/1.1 204 No Content\r\n\r\n", 0, 204, "", false);
	expect("HTTP/1.1 200 OK\r\n\r\nopen end", 0, 200, "open end", false);
	expect("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 0,
	    200, "abc", true);
	expect("HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\nHTTP/1.1 403 No\r\n\r\n", 0, 403,
	    "", false);
	expect("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", 0, 500, "", true);
}

static void
a_redirect_is_an_answer(void **state)
{
	(void)state;
	expect("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
	    "Content-Length: 0\r\n\r\n", 0, 302, "", true);
}

static void
broken_answers_fail(void **state)
{
	(void)state;
	expect("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi", -ECONNRESET, 0, "", false);
	expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", -ECONNRESET, 0, "",
	    false);
	expect("", -ECONNRESET, 0, "", false);
	expect("hello, who is there?\r\n\r\n", -EBADMSG, 0, "", false);
	expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", -ECONNRESET, 0, "",
	    false);
	expect("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", -EBADMSG, 0, "", false);
}

static void
long_answers_fail(void **state)
{
	char text[80 * 1024];
	(void)state;
	int len = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n");
	memset(text + len, 'x', 1001);
	text[len + 1001] = '\0';
	expect(text, -EMSGSIZE, 0, "", false);
	len = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n");
	while (len < 70 * 1024)
		len += snprintf(text + len, sizeof text - (size_t)len, "X-A: %01000d\r\n", 7);
	snprintf(text + len, sizeof text - (size_t)len, "\r\n");
	expect(text, -EMSGSIZE, 0, "", false);
}

static void
the_request_is_what_was_given(void **state)
{
	struct world world;
	struct ask ask;
	(void)state;
	begin(&world, "HTTP/1.1 204 No Content\r\n\r\n", 1, 0);
	assert_int_equal(send_call(&world, &ask), 0);
	wait_for(&world, 1);
	const char *heard = world.peer.heard;
	assert_ptr_equal(strstr(heard, "POST /ask HTTP/1.1\r\n"), heard);
	assert_non_null(strstr(heard, "\r\nX-One: 1\r\n"));
	assert_non_null(strstr(heard, "\r\nCookie: a=b; c=\xff\r\n"));
	assert_non_null(strstr(heard, "\r\nContent-Length: 7\r\n"));
	assert_non_null(strstr(heard, "\r\n\r\n{\"x\":1}"));
	assert_null(strstr(heard, "Expect"));
	call_finish(&ask);
	end(&world);
}

static void
connections_are_kept_and_made_anew(void **state)
{
	struct world world;
	struct ask ask;
	(void)state;
	begin(&world, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 4, 4);
	world.peer.keeps = true;
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(send_call(&world, &ask), 0);
		wait_for(&world, i);
		assert_int_equal(ask.call.error, 0);
		call_finish(&ask);
	}
	assert_int_equal(atomic_load(&world.peer.conns), 1);
	assert_int_equal(atomic_load(&world.peer.requests), 3);
	end(&world);
	/* A peer that closes after each answer without saying so. */
	begin(&world, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 4, 4);
	for (unsigned i = 1; i <= 20; i++) {
		assert_int_equal(send_call(&world, &ask), 0);
		wait_for(&world, i);
		assert_int_equal(ask.call.error, 0);
		call_finish(&ask);
	}
	end(&world);
}

static void
nobody_listens(void **state)
{
	struct world world;
	struct ask ask;
	(void)state;
	begin(&world, "", 4, 4);
	shutdown(world.peer.listener, SHUT_RDWR);
	assert_int_equal(send_call(&world, &ask), 0);
	wait_for(&world, 1);
	assert_int_equal(ask.call.error, -ECONNREFUSED);
	assert_non_null(strstr(ask.call.why, "connect to 127.0.0.1"));
	end(&world);
}

static void
the_end_comes_back_to_all(void **state)
{
	struct world world;
	struct ask asks[3];
	(void)state;
	begin(&world, NULL, 1, 4);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(send_call(&world, &asks[i]), 0);
	out_stop(world.out);
	mailbox_deliver(world.box, SIZE_MAX);
	assert_int_equal(world.back, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(asks[i].call.error, -ECANCELED);
	end(&world);
}

static int
send_short(struct world *world, struct ask *ask, unsigned timeout_ms)
{
	memset(ask, 0, sizeof *ask);
	ask->world = world;
	ask->call.mail.deliver = deliver;
	ask->call.reply_to = world->box;
	ask->call.method = "GET";
	ask->call.url = world->peer.url;
	ask->call.timeout_ms = timeout_ms;
	return out_send(world->out, &ask->call);
}

static void
a_silent_peer_times_out_also_who_waits(void **state)
{
	struct world world;
	struct ask asks[3];
	(void)state;
	begin(&world, NULL, 1, 4);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(send_short(&world, &asks[i], 50), 0);
	wait_for(&world, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(asks[i].call.error, -ETIMEDOUT);
		assert_non_null(strstr(asks[i].call.why, "within 50 ms"));
	}
	end(&world);
}

static void
more_than_the_bounds_is_refused(void **state)
{
	struct world world;
	struct ask asks[6];
	(void)state;
	begin(&world, NULL, 2, 3);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(send_call(&world, &asks[i]), 0);
	assert_int_equal(send_call(&world, &asks[5]), -EAGAIN);
	assert_int_equal(out_count(world.out), 5);
	/* Who is given last comes after all others have been looked at. */
	while (atomic_load(&world.peer.conns) < 2)
		usleep(1000);
	out_drop(&asks[4].call);
	out_stop(world.out);
	mailbox_deliver(world.box, SIZE_MAX);
	assert_int_equal(world.back, 5);
	assert_int_equal(atomic_load(&world.peer.conns), 2);
	end(&world);
}

static void
who_was_dropped_while_it_waited_is_not_sent(void **state)
{
	struct world world;
	struct ask first, second, third;
	(void)state;
	begin(&world, NULL, 1, 4);
	assert_int_equal(send_short(&world, &first, 200), 0);
	assert_int_equal(send_short(&world, &second, 60000), 0);
	out_drop(&second.call);
	assert_int_equal(send_short(&world, &third, 300), 0);
	wait_for(&world, 3);
	assert_int_equal(first.call.error, -ETIMEDOUT);
	assert_int_equal(second.call.error, -ECANCELED);
	assert_int_equal(third.call.error, -ETIMEDOUT);
	assert_true(atomic_load(&world.peer.conns) <= 2);
	end(&world);
}

static void
many_at_once_are_all_answered(void **state)
{
	enum { COUNT = 200 };
	struct world world;
	struct ask *asks = calloc(COUNT, sizeof *asks);
	(void)state;
	assert_non_null(asks);
	begin(&world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 8, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(send_call(&world, &asks[i]), 0);
	wait_for(&world, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(asks[i].call.error, 0);
		assert_true(span_eq(buf_span(&asks[i].call.answer), SPAN("hi")));
		call_finish(&asks[i]);
	}
	free(asks);
	end(&world);
}

static void
proxies_of_the_environment_do_not_count(void **state)
{
	(void)state;
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 0, 200, "hi", true);
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
}

static void
without_a_call_it_starts_and_ends(void **state)
{
	struct world world;
	(void)state;
	begin(&world, "", 1, 0);
	assert_true(out_wake_fd(world.out) >= 0);
	end(&world);
	out_stop(NULL);
	out_destroy(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_told_apart),
		cmocka_unit_test(a_redirect_is_an_answer),
		cmocka_unit_test(broken_answers_fail),
		cmocka_unit_test(long_answers_fail),
		cmocka_unit_test(the_request_is_what_was_given),
		cmocka_unit_test(connections_are_kept_and_made_anew),
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(the_end_comes_back_to_all),
		cmocka_unit_test(a_silent_peer_times_out_also_who_waits),
		cmocka_unit_test(more_than_the_bounds_is_refused),
		cmocka_unit_test(who_was_dropped_while_it_waited_is_not_sent),
		cmocka_unit_test(many_at_once_are_all_answered),
		cmocka_unit_test(proxies_of_the_environment_do_not_count),
		cmocka_unit_test(without_a_call_it_starts_and_ends),
	};
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	curl_global_cleanup();
	return failed;
}

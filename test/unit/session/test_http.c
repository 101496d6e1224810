/*
 * Conversations over HTTP/1: what is checked in which order, connections that are kept, pipelined,
 * timed out, drained.
 */
#include "world.h"

#include "prng.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void
a_request_is_answered(void **state)
{
	(void)state;
	struct world world;
	struct answer answer;
	world_open(&world);
	ask(&world, GET("/"), &answer);
	assert_int_equal(answer.status, 200);
	assert_true(span_eq(buf_span(&answer.body), SPAN("hello")));
	assert_true(answer_has(&answer, "\r\nDate: "));
	assert_true(answer_has(&answer, " GMT\r\n"));
	assert_true(answer_has(&answer, "\r\nContent-Type: text/plain\r\n"));
	assert_false(answer_has(&answer, "\r\nServer:"));
	assert_false(answer_has(&answer, "\r\nConnection:"));
	answer_finish(&answer);
	assert_int_equal(world.finished, 1);
	assert_int_equal(world.broken, 0);
	world_close(&world);
}

static void
checks_come_in_the_promised_order(void **state)
{
	(void)state;
	static const struct {
		const char *request;
		unsigned status;
	} cases[] = {
		{"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		{"POST /nothing?a=%zz HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		{"GET /a%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"GET /pages/x HTTP/1.1\r\nHost: h\r\n\r\n", 200},
		{"POST /pages/x HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		{"DELETE /whole HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"BREW /whole HTTP/1.1\r\nHost: h\r\n\r\n", 405},
		{"POST /whole HTTP/1.1\r\nHost: h\r\n\r\n", 401},
		{"POST /whole?a=%zz HTTP/1.1\r\nHost: h\r\nContent-Length: 9999\r\n\r\n", 401},
		{"POST /whole HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer no\r\n\r\n", 401},
		{"POST /whole HTTP/1.1\r\nHost: h\r\nAuthorization: What " KEY_ALL "\r\n\r\n", 401},
		{"POST /whole HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " KEY_READ "\r\n"
		    "Content-Length: 9999\r\n\r\n", 403},
		{"POST /whole?a=%zz HTTP/1.1\r\nHost: h\r\n" AUTH "Content-Length: 9999\r\n\r\n",
		    413},
		{"POST /whole HTTP/1.1\r\nHost: h\r\n" AUTH "Content-Encoding: br\r\n\r\n", 415},
		{"POST /whole?a=%zz HTTP/1.1\r\nHost: h\r\n" AUTH "\r\n", 400},
		{"POST /whole HTTP/1.1\r\nHost: h\r\n" AUTH "\r\n", 200},
		{"POST /whole HTTP/1.1\r\nHost: h\r\nAuthorization: Token " KEY_ALL "\r\n\r\n",
		    200},
		{"POST /whole HTTP/1.1\r\nHost: h\r\n"
		    "Authorization: Basic dTprZXktb2YtYWxsLXJpZ2h0cw==\r\n\r\n", 200},
		{"POST /whole?token=" KEY_ALL " HTTP/1.1\r\nHost: h\r\n\r\n", 200},
		{"POST /whole?u=x&p=" KEY_ALL " HTTP/1.1\r\nHost: h\r\n\r\n", 401},
		{"POST /write?u=x&p=" KEY_ALL " HTTP/1.1\r\nHost: h\r\n\r\n", 200},
		{"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer no\r\n\r\n", 200},
	};
	struct world world;
	world_open(&world);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct answer answer;
		ask(&world, cases[i].request, &answer);
		if (answer.status != cases[i].status)
			fail_msg("case %zu: %s", i, answer.head);
		if (answer.status >= 400) {
			assert_true(answer_has(&answer,
			    "Content-Type: application/problem+json\r\n"));
			assert_true(answer.body.len > 0 && answer.body.ptr[0] == '{');
		}
		assert_int_equal(answer_has(&answer, "\r\nAllow: "), answer.status == 405);
		assert_int_equal(answer_has(&answer, "\r\nWWW-Authenticate: "),
		    answer.status == 401);
		answer_finish(&answer);
	}
	world_close(&world);
}

static void
a_problem_is_complete(void **state)
{
	(void)state;
	struct world world;
	world_open(&world);
	expect(&world, GET("/nothing"), 404, "{\"type\":\"about:blank\",\"title\":\"Not Found\","
	    "\"status\":404,\"detail\":\"nothing is at this path\"}");
	world_close(&world);
}

static void
methods_are_told(void **state)
{
	(void)state;
	struct world world;
	struct answer answer;
	world_open(&world);
	ask(&world, "OPTIONS /whole HTTP/1.1\r\nHost: h\r\n\r\n", &answer);
	assert_int_equal(answer.status, 204);
	assert_true(answer_has(&answer, "\r\nAllow: GET, HEAD, POST, PUT, OPTIONS\r\n"));
	assert_false(answer_has(&answer, "Content-Length"));
	answer_finish(&answer);
	expect(&world, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 204, "");
	expect(&world, "OPTIONS /nothing HTTP/1.1\r\nHost: h\r\n\r\n", 404, NULL);
	world_close(&world);
}

static void
handlers_see_decoded_parameters(void **state)
{
	(void)state;
	struct world world;
	world_open(&world);
	expect(&world, GET("/echo/x%2Fy/b/c?q=a+b&r=%2B&r=&=v&flag"), 200,
	    "a=x/y|rest=b/c|q=a b;r=+;r=;=v;flag=;");
	expect(&world, "GET http://h/echo/1?k=v HTTP/1.1\r\nHost: h\r\n\r\n", 200,
	    "a=1|rest=|k=v;");
	world_close(&world);
}

static void
too_many_parameters_are_refused(void **state)
{
	(void)state;
	struct world world;
	struct buf request;
	world_open(&world);
	buf_init(&request, 0);
	buf_append_str(&request, "GET /echo/1?");
	for (int i = 0; i < 1025; i++)
		buf_append_str(&request, "a=1&");
	buf_append_str(&request, " HTTP/1.1\r\nHost: h\r\n\r\n");
	buf_append_byte(&request, '\0');
	expect(&world, request.ptr, 400, NULL);
	buf_finish(&request);
	world_close(&world);
}

static void
head_is_get_without_a_body(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct answer answer;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
	    "HEAD /rows?n=9 HTTP/1.1\r\nHost: h\r\n"
	    "\r\n" "HEAD /nothing HTTP/1.1\r\nHost: h\r\n\r\n" GET("/"));
	client_answer_to(&client, &answer, true);
	assert_int_equal(answer.status, 200);
	assert_true(answer_has(&answer, "Content-Length: 5\r\n"));
	answer_finish(&answer);
	client_answer_to(&client, &answer, true);
	assert_int_equal(answer.status, 200);
	assert_true(answer.chunked);
	answer_finish(&answer);
	client_answer_to(&client, &answer, true);
	assert_int_equal(answer.status, 404);
	answer_finish(&answer);
	client_expect(&client, 200, "hello");
	client_close(&client);
	world_close(&world);
}

static void
http_1_0_closes_unless_asked(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct answer answer;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
	client_answer(&client, &answer);
	assert_true(answer_has(&answer, "Connection: keep-alive\r\n"));
	assert_true(answer_has(&answer, "Content-Length: 5\r\n"));
	answer_finish(&answer);
	client_say(&client, "GET / HTTP/1.0\r\n\r\n");
	client_answer(&client, &answer);
	assert_true(answer_has(&answer, "Connection: close\r\n"));
	answer_finish(&answer);
	client_await_eof(&client);
	client_close(&client);
	world_close(&world);
}

static void
http_1_0_never_gets_chunks(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct answer answer;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, "GET /rows?n=1000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	client_answer(&client, &answer);
	assert_false(answer_has(&answer, "Transfer-Encoding"));
	assert_true(answer_has(&answer, "Connection: close\r\n"));
	assert_int_equal(answer.body.len, 13 * 1000);
	answer_finish(&answer);
	client_close(&client);
	world_close(&world);
}

static void
connection_close_is_obeyed(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct answer answer;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" GET("/"));
	client_answer(&client, &answer);
	assert_true(answer_has(&answer, "Connection: close\r\n"));
	answer_finish(&answer);
	client_await_eof(&client);
	assert_int_equal(client.in.len, 0);
	assert_int_equal(world.begun, 1);
	client_close(&client);
	world_close(&world);
}

enum { PIPELINED = 100 };

static void
append_pipeline(struct buf *out)
{
	buf_init(out, 0);
	for (unsigned i = 0; i < PIPELINED; i++) {
		if (i % 3 == 0)
			buf_printf(out, "GET /echo/%u HTTP/1.1\r\nHost: h\r\n\r\n", i);
		else if (i % 3 == 1)
			buf_printf(out, "POST /whole HTTP/1.1\r\nHost: h\r\n" AUTH
			    "Content-Length: 2\r\n\r\n%02u", i);
		else
			buf_printf(out, "POST /whole HTTP/1.1\r\nHost: h\r\n" AUTH
			    "Transfer-Encoding: chunked\r\n\r\n2\r\n%02u\r\n0\r\n\r\n", i);
	}
}

static void
expect_pipeline(struct client *client)
{
	for (unsigned i = 0; i < PIPELINED; i++) {
		char text[32];
		snprintf(text, sizeof(text), i % 3 == 0 ? "a=%u|rest=|" : "%02u", i);
		client_expect(client, 200, text);
	}
}

static void
a_hundred_requests_in_one_write(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct buf requests;
	world_open(&world);
	client_open(&client, &world);
	append_pipeline(&requests);
	client_send(&client, buf_span(&requests));
	expect_pipeline(&client);
	buf_finish(&requests);
	client_close(&client);
	world_close(&world);
}

static void
a_hundred_requests_byte_by_byte(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct buf requests;
	world_open(&world);
	client_open(&client, &world);
	append_pipeline(&requests);
	for (size_t i = 0; i < requests.len; i++)
		client_send(&client, span_of(requests.ptr + i, 1));
	expect_pipeline(&client);
	buf_finish(&requests);
	client_close(&client);
	world_close(&world);
}

static void
requests_over_faulty_sockets(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct world world;
		struct client client;
		struct buf requests;
		printf("seed %llu\n", (unsigned long long)seed);
		struct socket_env faulty = socket_faulty_create(socket_real(), seed, 0);
		world_open_with(&world, &world_settings, 4096, faulty);
		client_open(&client, &world);
		append_pipeline(&requests);
		client_send(&client, buf_span(&requests));
		expect_pipeline(&client);
		buf_finish(&requests);
		client_close(&client);
		world_close(&world);
		socket_faulty_destroy(faulty);
	}
}

/* Whatever breaks, each handler that began hears its end once: world_close looks. */
static void
connections_that_break_anywhere(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct world world;
		struct client client;
		struct buf requests;
		struct socket_env faulty = socket_faulty_create(socket_real(), seed,
		    (unsigned)(3 + seed * 3));
		world_open_with(&world, &world_settings, 4096, faulty);
		append_pipeline(&requests);
		buf_append_str(&requests, GET("/rows?n=5000"));
		client_open(&client, &world);
		for (size_t at = 0; at < requests.len; at += 100) {
			size_t len = MIN(requests.len - at, (size_t)100);
			send(client.fd, requests.ptr + at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
			client_step(&client, 0);
		}
		client_idle(&client);
		buf_finish(&requests);
		client_close(&client);
		world_close(&world);
		socket_faulty_destroy(faulty);
	}
}

static void
the_next_request_waits_for_the_answer(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, GET("/later") GET("/"));
	client_idle(&client);
	assert_int_equal(client.in.len, 0);
	assert_int_equal(world.begun, 1);
	session_answer(world.held, 200, "text/plain", SPAN("at last"));
	assert_int_equal(world.gone, 0); /* never within a call of the handler's */
	client_expect(&client, 200, "at last");
	client_expect(&client, 200, "hello");
	client_close(&client);
	world_close(&world);
}

static void
a_client_that_closed_its_side_is_still_answered(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, GET("/later"));
	shutdown(client.fd, SHUT_WR);
	client_idle(&client);
	session_answer(world.held, 200, "text/plain", SPAN("at last"));
	client_expect(&client, 200, "at last");
	client_await_eof(&client);
	client_close(&client);
	world_close(&world);
}

static void
a_client_that_left_is_told_to_the_handler(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct linger reset = {1, 0};
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, GET("/later"));
	client_idle(&client);
	assert_non_null(world.held);
	setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	client_close(&client);
	for (unsigned i = 0; i < TURNS_MAX && world.gone == 0; i++)
		world_turn(&world, 1);
	assert_int_equal(world.gone, 1);
	assert_int_equal(world.broken, 1);
	world_close(&world);
}

static void
a_revoked_key_is_refused_on_a_kept_connection(void **state)
{
	(void)state;
	static const char request[] = "GET /read HTTP/1.1\r\nHost: h\r\n" AUTH "\r\n";
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, request);
	client_expect(&client, 200, NULL);
	client_say(&client, request);
	client_expect(&client, 200, NULL);
	client_say(&client,
	    "GET /read HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer nobodys-key\r\n\r\n");
	client_expect(&client, 401, NULL);
	access_key_remove(world.access, 1);
	client_say(&client, request);
	client_expect(&client, 401, NULL);
	client_close(&client);
	world_close(&world);
}

static void
the_administrators_socket_needs_no_credentials(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	char path[] = "/tmp/weir-session-XXXXXX";
	world_open(&world);
	assert_non_null(mkdtemp(path));
	snprintf(world.address, sizeof(world.address), "unix:%s/s", path);
	int fd = socket_listen(world.address, false);
	assert_true(fd >= 0);
	assert_int_equal(net_listen(world.net, fd, session_accept_admin, world.sessions), 0);
	client_open(&client, &world);
	client_say(&client, GET("/read"));
	client_expect(&client, 200, "hello");
	client_close(&client);
	world_close(&world);
	unlink(world.address + 5);
	assert_int_equal(rmdir(path), 0);
}

static void
until_ready_only_health_is_answered(void **state)
{
	(void)state;
	struct world world;
	struct answer answer;
	world_open(&world);
	session_set_ready(world.sessions, false);
	ask(&world, GET("/"), &answer);
	assert_int_equal(answer.status, 503);
	assert_true(answer_has(&answer, "Retry-After: "));
	answer_finish(&answer);
	expect(&world, GET("/healthz"), 200, "hello");
	world_close(&world);
}

static void
draining_ends_idle_connections_and_lets_others_finish(void **state)
{
	(void)state;
	struct world world;
	struct client idle, busy;
	struct answer answer;
	world_open(&world);
	client_open(&idle, &world);
	client_open(&busy, &world);
	client_say(&idle, GET("/"));
	client_expect(&idle, 200, NULL);
	client_say(&busy, GET("/later"));
	client_idle(&busy);
	session_drain(world.sessions);
	client_await_eof(&idle);
	session_answer(world.held, 200, "text/plain", SPAN("done"));
	client_answer(&busy, &answer);
	assert_int_equal(answer.status, 200);
	assert_true(answer_has(&answer, "Connection: close\r\n"));
	answer_finish(&answer);
	client_await_eof(&busy);
	client_close(&idle);
	client_close(&busy);
	world_close(&world);
}

static void
slow_heads_and_bodies_and_idle_connections_time_out(void **state)
{
	(void)state;
	struct session_settings settings = world_settings;
	struct world world;
	struct client idle, head, body;
	settings.idle_ms = settings.head_ms = settings.body_ms = 100;
	world_open_with(&world, &settings, 65536, socket_real());
	client_open(&idle, &world);
	client_open(&head, &world);
	client_open(&body, &world);
	client_say(&head, "GET / HT");
	client_say(&body, "POST /write HTTP/1.1\r\nHost: h\r\n" AUTH "Content-Length: 10\r\n\r\nx");
	client_expect(&head, 408, NULL);
	client_expect(&body, 408, NULL);
	client_await_eof(&idle);
	client_await_eof(&head);
	client_await_eof(&body);
	assert_int_equal(idle.in.len, 0);
	assert_int_equal(world.broken, 1);
	client_close(&idle);
	client_close(&head);
	client_close(&body);
	world_close(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_answered),
		cmocka_unit_test(checks_come_in_the_promised_order),
		cmocka_unit_test(a_problem_is_complete),
		cmocka_unit_test(methods_are_told),
		cmocka_unit_test(handlers_see_decoded_parameters),
		cmocka_unit_test(too_many_parameters_are_refused),
		cmocka_unit_test(head_is_get_without_a_body),
		cmocka_unit_test(http_1_0_closes_unless_asked),
		cmocka_unit_test(http_1_0_never_gets_chunks),
		cmocka_unit_test(connection_close_is_obeyed),
		cmocka_unit_test(a_hundred_requests_in_one_write),
		cmocka_unit_test(a_hundred_requests_byte_by_byte),
		cmocka_unit_test(requests_over_faulty_sockets),
		cmocka_unit_test(connections_that_break_anywhere),
		cmocka_unit_test(the_next_request_waits_for_the_answer),
		cmocka_unit_test(a_client_that_closed_its_side_is_still_answered),
		cmocka_unit_test(a_client_that_left_is_told_to_the_handler),
		cmocka_unit_test(a_revoked_key_is_refused_on_a_kept_connection),
		cmocka_unit_test(the_administrators_socket_needs_no_credentials),
		cmocka_unit_test(until_ready_only_health_is_answered),
		cmocka_unit_test(draining_ends_idle_connections_and_lets_others_finish),
		cmocka_unit_test(slow_heads_and_bodies_and_idle_connections_time_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

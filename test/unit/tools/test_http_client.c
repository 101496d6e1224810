/*
 * test_http_client.c: the client against a server that plays a script.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "http_client.h"
#include "scripted_server.h"

#define HELLO "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"

struct world {
	struct scripted_server server;
	struct http_client *client;
	struct http_client_reply reply;
};

static void
world_start(struct world *w, const struct scripted_step *steps, size_t count, int stop_fd)
{
	*w = (struct world){0};
	scripted_start(&w->server, steps, count);
	struct http_client_options options = {.address = w->server.address,
	    .authorization = "Bearer k",
	    .timeout_ms = 20000,
	    .stop_fd = stop_fd};
	assert_int_equal(http_client_create(&options, &w->client), 0);
}

static void
world_finish(struct world *w)
{
	http_client_destroy(w->client);
	scripted_finish(&w->server);
}

static int
get(struct world *w)
{
	return http_client_call(w->client, "GET", "/x?y=1", NULL, SPAN(""), &w->reply);
}

static int
post(struct world *w, struct span body)
{
	return http_client_call(w->client, "POST", "/in", "text/plain", body, &w->reply);
}

static void
assert_body(const struct world *w, const char *text)
{
	assert_int_equal(w->reply.body.len, strlen(text));
	assert_memory_equal(w->reply.body.ptr ? w->reply.body.ptr : "", text, strlen(text));
}

static void
requests_go_out_whole_on_one_connection(void **state)
{
	(void)state;
	static const struct scripted_step steps[] = {
	    {.answer = HELLO}, {.answer = HELLO}, {.answer = HELLO}};
	struct world w;
	world_start(&w, steps, 3, 0);
	assert_int_equal(http_client_add_header(w.client, "X-More: 2"), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(get(&w), 0);
		assert_int_equal(w.reply.status, 200);
		assert_true(span_eq(w.reply.content_type, SPAN("text/plain")));
		assert_body(&w, "hello");
	}
	assert_int_equal(post(&w, SPAN("abc")), 0);
	assert_int_equal(http_client_connections(w.client), 1);
	char expected[1024], get_text[200];
	snprintf(get_text, sizeof(get_text),
	    "GET /x?y=1 HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer k\r\nX-More: 2\r\n\r\n",
	    w.server.address);
	snprintf(expected, sizeof(expected),
	    "%s%sPOST /in HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer k\r\nX-More: 2\r\n"
	    "Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc",
	    get_text, get_text, w.server.address);
	assert_int_equal(w.server.heard.len, strlen(expected));
	assert_memory_equal(w.server.heard.ptr, expected, strlen(expected));
	world_finish(&w);
}

static const char *const answers[] = {
    HELLO,
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=1\r\nllo\r\n0\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.0 200 OK\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
};

static void
every_form_of_answer_in_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(answers); i++) {
		for (size_t piece = 1; piece <= strlen(answers[i]); piece += piece < 9 ? 1 : 13) {
			struct scripted_step steps[] = {
			    {.answer = answers[i], .piece = piece, .close = i >= 3},
			    {.answer = HELLO}};
			struct world w;
			world_start(&w, steps, 2, 0);
			for (int k = 0; k < 2; k++) {
				assert_int_equal(get(&w), 0);
				assert_int_equal(w.reply.status, 200);
				assert_body(&w, "hello");
			}
			assert_int_equal(http_client_connections(w.client), i >= 3 ? 2 : 1);
			world_finish(&w);
		}
	}
}

/* A cut body is never taken for a whole one; only an answer that ends with its connection can be
 * cut without notice, and none of these is one. */
static void
an_answer_cut_anywhere_is_an_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (size_t len = 0; len < strlen(answers[i]); len += 3) {
			char *cut = strndup(answers[i], len);
			struct scripted_step steps[] = {
			    {.answer = cut, .close = true}, {.answer = HELLO}};
			struct world w;
			world_start(&w, steps, 2, 0);
			assert_int_equal(get(&w), -ECONNRESET);
			assert_int_equal(get(&w), 0);
			assert_body(&w, "hello");
			world_finish(&w);
			free(cut);
		}
	}
}

static void
a_kept_connection_closed_by_the_server_is_opened_again(void **state)
{
	(void)state;
	static const struct scripted_step steps[] = {
	    {.answer = HELLO, .close = true}, {.answer = HELLO}};
	struct world w;
	world_start(&w, steps, 2, 0);
	assert_int_equal(get(&w), 0);
	assert_int_equal(post(&w, SPAN("abc")), 0);
	assert_int_equal(http_client_connections(w.client), 2);
	world_finish(&w);
}

static void
answers_without_body(void **state)
{
	(void)state;
	static const struct scripted_step steps[] = {
	    {.answer = "HTTP/1.1 204 No Content\r\n\r\n"},
	    {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
	    {.answer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: "
		       "0\r\n\r\n"},
	};
	struct world w;
	world_start(&w, steps, 3, 0);
	assert_int_equal(get(&w), 0);
	assert_int_equal(w.reply.status, 204);
	int error = http_client_call(w.client, "HEAD", "/", NULL, SPAN(""), &w.reply);
	assert_int_equal(error, 0);
	assert_body(&w, "");
	assert_int_equal(get(&w), 0);
	assert_int_equal(w.reply.status, 503);
	assert_int_equal(w.reply.retry_after_s, 7);
	assert_int_equal(http_client_connections(w.client), 1);
	world_finish(&w);
}

static void
an_answer_while_the_body_is_still_being_sent(void **state)
{
	(void)state;
	static const struct scripted_step steps[] = {
	    {.answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n"
		       "Connection: close\r\n\r\nbig",
		.early = true}};
	struct world w;
	world_start(&w, steps, 1, 0);
	size_t len = (size_t)32 << 20;
	char *body = calloc(1, len);
	int error = post(&w, span_of(body, len));
	/* The reset may overtake the answer; it is never taken for something else. */
	if (error == 0)
		assert_int_equal(w.reply.status, 413);
	else
		assert_int_equal(error, -ECONNRESET);
	free(body);
	world_finish(&w);
}

static void
what_is_not_http_is_refused(void **state)
{
	(void)state;
	static const struct scripted_step steps[] = {
	    {.answer = "SSH-2.0-x\r\n\r\n", .close = true},
	    {.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		.close = true},
	};
	struct world w;
	world_start(&w, steps, 2, 0);
	assert_int_equal(get(&w), -EBADMSG);
	assert_int_equal(get(&w), -EBADMSG);
	world_finish(&w);
}

static void
stopping_breaks_off_a_call(void **state)
{
	(void)state;
	static const struct scripted_step steps[] = {{.silent = true}};
	int stop_fd = eventfd(0, EFD_CLOEXEC);
	struct world w;
	world_start(&w, steps, 1, stop_fd);
	assert_int_equal(eventfd_write(stop_fd, 1), 0);
	assert_int_equal(get(&w), -ECANCELED);
	world_finish(&w);
	close(stop_fd);
}

static void
nobody_listens(void **state)
{
	(void)state;
	int fd = socket_listen("127.0.0.1:0", false);
	char address[64];
	assert_int_equal(socket_local_name(fd, address, sizeof(address)), 0);
	close(fd);
	const char *const places[] = {address, "unix:/nonexistent/socket"};
	const int errors[] = {-ECONNREFUSED, -ENOENT};
	for (size_t i = 0; i < 2; i++) {
		struct http_client_options options = {.address = places[i]};
		struct http_client *client;
		struct http_client_reply reply;
		assert_int_equal(http_client_create(&options, &client), 0);
		assert_int_equal(
		    http_client_call(client, "GET", "/", NULL, SPAN(""), &reply), errors[i]);
		http_client_destroy(client);
	}
}

static void
addresses(void **state)
{
	(void)state;
	static const struct {
		const char *address;
		int error;
	} rows[] = {
	    {"127.0.0.1:8080", 0},
	    {"http://localhost:8080/", 0},
	    {"http://localhost", 0},
	    {"[::1]:80", 0},
	    {"HTTP://[::1]", 0},
	    {"unix:/a", 0},
	    {"", -EINVAL},
	    {":80", -EINVAL},
	    {"a:", -EINVAL},
	    {"a:0", -EINVAL},
	    {"a:65536", -EINVAL},
	    {"a:x", -EINVAL},
	    {"[::1", -EINVAL},
	    {"[::1]x", -EINVAL},
	    {"https://a", -EINVAL},
	    {"http://a/path", -EINVAL},
	    {"unix:", -EINVAL},
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct http_client_options options = {.address = rows[i].address};
		struct http_client *client = NULL;
		int error = http_client_create(&options, &client);
		if (error != rows[i].error)
			fail_msg("%s: %d", rows[i].address, error);
		http_client_destroy(client);
	}
	struct http_client_options options = {.address = "a", .authorization = "x\r\nHost: y"};
	struct http_client *client = NULL;
	assert_int_equal(http_client_create(&options, &client), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_go_out_whole_on_one_connection),
	    cmocka_unit_test(every_form_of_answer_in_every_cut),
	    cmocka_unit_test(an_answer_cut_anywhere_is_an_error),
	    cmocka_unit_test(a_kept_connection_closed_by_the_server_is_opened_again),
	    cmocka_unit_test(answers_without_body),
	    cmocka_unit_test(an_answer_while_the_body_is_still_being_sent),
	    cmocka_unit_test(what_is_not_http_is_refused),
	    cmocka_unit_test(stopping_breaks_off_a_call),
	    cmocka_unit_test(nobody_listens),
	    cmocka_unit_test(addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

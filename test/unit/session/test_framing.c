/*
 * Request smuggling, end to end: a request whose framing two readers could understand differently
 * is refused and the connection closed, so that what follows it is never taken for a request.
 */
#include "world.h"

#define SMUGGLED "GET /healthz HTTP/1.1\r\nHost: smuggled\r\n\r\n"
#define POST "POST /write HTTP/1.1\r\nHost: h\r\n" AUTH

#define CASE(status, ...) {__VA_ARGS__, sizeof(__VA_ARGS__) - 1, status}

static const struct {
	const char *request;
	size_t len;
	unsigned status;
} attempts[] = {
	CASE(400, POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
	CASE(400, POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" SMUGGLED),
	CASE(400, POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" SMUGGLED),
	CASE(400, POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" SMUGGLED),
	CASE(400, POST "Content-Length: 5, 5\r\n\r\nhello" SMUGGLED),
	CASE(400, POST "Content-Length: +5\r\n\r\nhello" SMUGGLED),
	CASE(400, POST "Content-Length: -1\r\n\r\n" SMUGGLED),
	CASE(400, POST "Content-Length: 0x5\r\n\r\nhello" SMUGGLED),
	CASE(400, POST "Content-Length: 99999999999999999999999\r\n\r\n" SMUGGLED),
	CASE(400, POST "Content-Length: \r\n\r\n" SMUGGLED),
	CASE(400, POST "Content-Length : 5\r\n\r\nhello" SMUGGLED),
	CASE(400, POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" SMUGGLED),
	CASE(501, POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
	CASE(400, POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" SMUGGLED),
	CASE(400, POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
	CASE(400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	    SMUGGLED),
	CASE(400, POST "X: a\r\n b\r\n\r\n" SMUGGLED),
	CASE(400, POST "X: a\r\n\tb\r\n\r\n" SMUGGLED),
	CASE(400, POST "X: a\nContent-Length: 5\r\n\r\nhello" SMUGGLED),
	CASE(400, "POST /write HTTP/1.1\nHost: h\n\n" SMUGGLED),
	CASE(400, POST "X: a\rb\r\n\r\n" SMUGGLED),
	CASE(400, POST "X: a\0b\r\n\r\n" SMUGGLED),
	CASE(400, POST "X\0: ab\r\n\r\n" SMUGGLED),
	CASE(400, POST ": empty\r\n\r\n" SMUGGLED),
	CASE(400, POST "no colon\r\n\r\n" SMUGGLED),
	CASE(400, "GET / HTTP/1.1\r\n\r\n" SMUGGLED),
	CASE(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" SMUGGLED),
	CASE(400, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED),
	CASE(400, "GET / HTTP/1.1 \r\nHost: h\r\n\r\n" SMUGGLED),
	CASE(400, "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED),
	CASE(400, "G\x01T / HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED),
	CASE(505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n" SMUGGLED),
	CASE(505, "GET / HTTP/1.2\r\nHost: h\r\n\r\n" SMUGGLED),
	CASE(400, "POST /write HTTP/1.0\r\n" AUTH "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	    SMUGGLED),
	CASE(400, POST "Transfer-Encoding: chunked\r\n\r\nzz\r\n" SMUGGLED),
	CASE(400, POST "Transfer-Encoding: chunked\r\n\r\n-1\r\n" SMUGGLED),
	CASE(400, POST "Transfer-Encoding: chunked\r\n\r\n 1\r\nx\r\n" SMUGGLED),
	CASE(400, POST "Transfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n" SMUGGLED),
	CASE(400, POST "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n" SMUGGLED),
	CASE(400, POST "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n" SMUGGLED),
	CASE(400, POST "Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\n" SMUGGLED),
	CASE(400, POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\nb\r\n\r\n" SMUGGLED),
};

static void
attempts_are_refused_and_what_follows_is_not_read(void **state)
{
	(void)state;
	struct world world;
	world_open(&world);
	for (size_t i = 0; i < ARRAY_COUNT(attempts); i++) {
		struct client client;
		struct answer answer;
		client_open(&client, &world);
		client_send(&client, span_of(attempts[i].request, attempts[i].len));
		client_answer(&client, &answer);
		if (answer.status != attempts[i].status)
			fail_msg("attempt %zu: %s%.*s", i, answer.head, (int)answer.body.len,
			    answer.body.ptr);
		assert_true(answer_has(&answer, "Connection: close\r\n"));
		assert_true(answer_has(&answer, "application/problem+json"));
		client_await_eof(&client);
		assert_int_equal(client.in.len, 0);
		answer_finish(&answer);
		client_close(&client);
	}
	assert_int_equal(world.begun, world.broken);
	world_close(&world);
}

/* The same, however the bytes are cut. */
static void
attempts_byte_by_byte(void **state)
{
	(void)state;
	struct world world;
	world_open(&world);
	for (size_t i = 0; i < ARRAY_COUNT(attempts); i++) {
		struct client client;
		struct answer answer;
		client_open(&client, &world);
		for (size_t k = 0; k < attempts[i].len && !client.eof; k++)
			client_send(&client, span_of(attempts[i].request + k, 1));
		client_answer(&client, &answer);
		assert_int_equal(answer.status, attempts[i].status);
		client_await_eof(&client);
		assert_int_equal(client.in.len, 0);
		answer_finish(&answer);
		client_close(&client);
	}
	world_close(&world);
}

static void
expect_refused_head(struct world *world, size_t path, size_t header, unsigned headers,
    unsigned status)
{
	struct client client;
	struct answer answer;
	struct buf out;
	buf_init(&out, 0);
	buf_append_str(&out, "GET /");
	for (size_t i = 0; i < path; i++)
		buf_append_byte(&out, 'p');
	buf_append_str(&out, " HTTP/1.1\r\nHost: h\r\n");
	for (unsigned i = 0; i < headers; i++)
		buf_append_str(&out, "A: b\r\n");
	buf_append_str(&out, "X: ");
	for (size_t i = 0; i < header; i++)
		buf_append_byte(&out, 'x');
	buf_append_str(&out, "\r\n\r\n");
	client_open(&client, world);
	client_send(&client, buf_span(&out));
	client_answer(&client, &answer);
	assert_int_equal(answer.status, status);
	answer_finish(&answer);
	client_await_eof(&client);
	client_close(&client);
	buf_finish(&out);
}

static void
heads_over_the_limits_are_refused(void **state)
{
	(void)state;
	struct world world;
	world_open(&world);
	expect_refused_head(&world, HTTP1_TARGET_BYTES_MAX + 10, 1, 0, 414);
	expect_refused_head(&world, 10, HTTP1_HEAD_BYTES_MAX + 10, 0, 431);
	expect_refused_head(&world, 10, 10, HTTP1_HEADERS_MAX + 1, 431);
	world_close(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attempts_are_refused_and_what_follows_is_not_read),
		cmocka_unit_test(attempts_byte_by_byte),
		cmocka_unit_test(heads_over_the_limits_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

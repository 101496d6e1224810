/*
 * Answers: large ones, streamed ones, compressed ones, to readers that are slow or leave.
 */
#include "world.h"

#include "gzip.h"

#define GET(path, headers) "GET " path " HTTP/1.1\r\nHost: h\r\n" headers "\r\n"

static void
gunzip_all(struct span packed, struct buf *out)
{
	struct gunzip *gunzip;
	bool end = false;
	buf_init(out, 0);
	assert_int_equal(gunzip_create(&gunzip), 0);
	for (ssize_t made = 1; made > 0 || packed.len;) {
		char piece[4096];
		made = gunzip_run(gunzip, &packed, piece, sizeof(piece), &end);
		assert_true(made >= 0);
		buf_append(out, piece, (size_t)made);
	}
	assert_true(end);
	gunzip_destroy(gunzip);
}

static void
expect_pattern(struct span body, size_t len)
{
	assert_int_equal(body.len, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(body.ptr[i], 'a' + (int)(i % 23));
}

static void
an_answer_larger_than_the_queue_is_taken(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct answer answer;
	world_open_with(&world, &world_settings, 16384, socket_real());
	client_open(&client, &world);
	client_say(&client, GET("/large?n=3000000", "") GET("/large?n=5", ""));
	client_answer(&client, &answer);
	expect_pattern(buf_span(&answer.body), 3000000);
	answer_finish(&answer);
	client_expect(&client, 200, "abcde");
	client_close(&client);
	world_close(&world);
}

static void
rows_are_streamed_as_the_reader_reads(void **state)
{
	(void)state;
	enum { ROWS = 100000 };
	struct world world;
	struct client client;
	struct answer answer;
	world_open_with(&world, &world_settings, 16384, socket_real());
	client_open(&client, &world);
	client_say(&client, GET("/rows?n=100000", ""));
	/* Nothing is read for a while: what is made meanwhile is bounded. */
	for (unsigned i = 0; i < 100; i++)
		world_turn(&world, 0);
	struct net_stats stats;
	net_stats(world.net, &stats);
	assert_true(stats.out_queued <= 16384);
	assert_int_equal(world.gone, 0);
	client_answer(&client, &answer);
	assert_true(answer.chunked);
	assert_int_equal(answer.body.len, (size_t)ROWS * 13);
	for (unsigned i = 0; i < ROWS; i += 997) {
		char row[32];
		snprintf(row, sizeof(row), "row %08u\n", i);
		assert_memory_equal(answer.body.ptr + (size_t)i * 13, row, 13);
	}
	assert_true(world.writables > 10);
	answer_finish(&answer);
	client_close(&client);
	world_close(&world);
}

static void
a_reader_that_leaves_stops_the_stream(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open_with(&world, &world_settings, 16384, socket_real());
	client_open(&client, &world);
	client_say(&client, GET("/rows?n=100000", ""));
	for (unsigned i = 0; i < 100; i++)
		world_turn(&world, 0);
	client_close(&client);
	for (unsigned i = 0; i < TURNS_MAX && world.gone == 0; i++)
		world_turn(&world, 1);
	assert_int_equal(world.gone, 1);
	assert_int_equal(world.broken, 1);
	world_close(&world);
}

static void
a_fatal_late_fault_cuts_the_body(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, GET("/rows?n=3&abort", ""));
	client_await_eof(&client);
	assert_true(client_has(&client, "row 00000002\n\r\n"));
	assert_false(client_has(&client, "\r\n0\r\n\r\n"));
	client_close(&client);
	client_open(&client, &world);
	client_say(&client, "GET /rows?n=3&abort HTTP/1.0\r\n\r\n");
	client_await_eof(&client); /* reset, not closed in peace */
	client_close(&client);
	world_close(&world);
}

static void
answers_are_compressed_on_request(void **state)
{
	(void)state;
	static const struct {
		const char *accept;
		bool packed;
	} cases[] = {
		{"", false},
		{"Accept-Encoding: gzip\r\n", true},
		{"Accept-Encoding: GZIP\r\n", true},
		{"Accept-Encoding: deflate, gzip;q=0.5\r\n", true},
		{"Accept-Encoding: *\r\n", true},
		{"Accept-Encoding: br\r\nAccept-Encoding: x-gzip\r\n", true},
		{"Accept-Encoding: br;q=1.0, *;q=0.1\r\n", true},
		{"Accept-Encoding: gzip;q=0\r\n", false},
		{"Accept-Encoding: gzip;q=0.000, *\r\n", false},
		{"Accept-Encoding: *;q=0\r\n", false},
		{"Accept-Encoding: identity, gzip;q=0.5\r\n", false},
		{"Accept-Encoding: gzip;q=nonsense\r\n", false},
		{"Accept-Encoding: gzipped\r\n", false},
	};
	struct world world;
	world_open(&world);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char request[256];
		struct answer answer;
		snprintf(request, sizeof(request),
		    "GET /large?n=5000 HTTP/1.1\r\nHost: h\r\n%s\r\n",
		    cases[i].accept);
		ask(&world, request, &answer);
		if (answer_has(&answer, "Content-Encoding: gzip") != cases[i].packed)
			fail_msg("%s", cases[i].accept);
		assert_true(answer_has(&answer, "Vary: Accept-Encoding"));
		assert_int_equal(answer_has(&answer, "ETag: W/\"v1\"\r\n"), cases[i].packed);
		assert_int_equal(answer_has(&answer, "ETag: \"v1\"\r\n"), !cases[i].packed);
		struct buf plain;
		if (cases[i].packed) {
			assert_true(answer.body.len < 2000);
			gunzip_all(buf_span(&answer.body), &plain);
			expect_pattern(buf_span(&plain), 5000);
			buf_finish(&plain);
		} else {
			expect_pattern(buf_span(&answer.body), 5000);
		}
		answer_finish(&answer);
	}
	world_close(&world);
}

static void
short_answers_are_not_compressed(void **state)
{
	(void)state;
	struct world world;
	struct answer answer;
	world_open(&world);
	ask(&world, GET("/large?n=100", "Accept-Encoding: gzip\r\n"), &answer);
	assert_false(answer_has(&answer, "Content-Encoding"));
	expect_pattern(buf_span(&answer.body), 100);
	answer_finish(&answer);
	world_close(&world);
}

static void
streams_are_compressed_too(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct answer answer;
	world_open_with(&world, &world_settings, 16384, socket_real());
	for (unsigned minor = 0; minor < 2; minor++) {
		client_open(&client, &world);
		char request[128];
		snprintf(request, sizeof(request), "GET /rows?n=100000 HTTP/1.%u\r\nHost: h\r\n"
		    "Accept-Encoding: gzip\r\n\r\n", minor);
		client_say(&client, request);
		client_answer(&client, &answer);
		assert_int_equal(answer.chunked, minor == 1);
		assert_true(answer_has(&answer, "Content-Encoding: gzip"));
		struct buf plain;
		gunzip_all(buf_span(&answer.body), &plain);
		assert_int_equal(plain.len, 100000 * 13);
		buf_finish(&plain);
		answer_finish(&answer);
		client_close(&client);
	}
	world_close(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_larger_than_the_queue_is_taken),
		cmocka_unit_test(rows_are_streamed_as_the_reader_reads),
		cmocka_unit_test(a_reader_that_leaves_stops_the_stream),
		cmocka_unit_test(a_fatal_late_fault_cuts_the_body),
		cmocka_unit_test(answers_are_compressed_on_request),
		cmocka_unit_test(short_answers_are_not_compressed),
		cmocka_unit_test(streams_are_compressed_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

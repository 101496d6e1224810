/*
 * Bodies: whole and streamed, framed either way, compressed, too large, held back, not wanted,
 * broken off.
 */
#include "world.h"

#include "gzip.h"

#define POST(path, headers) "POST " path " HTTP/1.1\r\nHost: h\r\n" AUTH headers "\r\n"

static void
gzip_of(struct span text, struct buf *out)
{
	struct gzip *gzip;
	bool end = false;
	buf_init(out, 0);
	assert_int_equal(gzip_create(6, &gzip), 0);
	while (!end) {
		char piece[4096];
		ssize_t made = gzip_run(gzip, &text, true, piece, sizeof(piece), &end);
		assert_true(made >= 0);
		buf_append(out, piece, (size_t)made);
	}
	gzip_destroy(gzip);
}

static void
send_body(struct client *client, const char *path, const char *header, struct span body)
{
	struct buf out;
	buf_init(&out, 0);
	buf_printf(&out, "POST %s HTTP/1.1\r\nHost: h\r\n" AUTH "%sContent-Length: %zu\r\n\r\n",
	    path,
	    header, body.len);
	buf_append_span(&out, body);
	client_send(client, buf_span(&out));
	buf_finish(&out);
}

static void
bodies_in_either_framing(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, POST("/whole", "Content-Length: 5\r\n") "hello");
	client_expect(&client, 200, "hello");
	client_say(&client, POST("/whole", "Transfer-Encoding: chunked\r\n")
	    "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: z\r\n\r\n");
	client_expect(&client, 200, "hello");
	client_say(&client, POST("/whole", "Content-Length: 0\r\n"));
	client_expect(&client, 200, "");
	client_say(&client, POST("/whole", ""));
	client_expect(&client, 200, "");
	client_say(&client, POST("/write", "Content-Length: 7\r\n") "1234567");
	client_expect(&client, 200, "7");
	client_say(&client, "POST /whole HTTP/1.0\r\n" AUTH "Content-Length: 3\r\n\r\nold");
	client_expect(&client, 200, "old");
	client_close(&client);
	world_close(&world);
}

static void
compressed_bodies_are_unpacked(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct buf packed;
	char text[3000];
	memset(text, 'x', sizeof(text));
	world_open(&world);
	client_open(&client, &world);
	gzip_of(SPAN("hello"), &packed);
	send_body(&client, "/whole", "Content-Encoding: gzip\r\n", buf_span(&packed));
	client_expect(&client, 200, "hello");
	send_body(&client, "/whole", "Content-Encoding: identity\r\n", SPAN("plain"));
	client_expect(&client, 200, "plain");
	buf_finish(&packed);
	gzip_of(span_of(text, sizeof(text)), &packed);
	send_body(&client, "/write", "Content-Encoding: x-gzip\r\n", buf_span(&packed));
	client_expect(&client, 200, "3000");
	/* Cut in the middle, and damaged. */
	send_body(&client, "/whole", "Content-Encoding: gzip\r\n",
	    span_of(packed.ptr, packed.len - 9));
	client_expect(&client, 400, NULL);
	packed.ptr[packed.len - 6] ^= 1;
	send_body(&client, "/write", "Content-Encoding: gzip\r\n", buf_span(&packed));
	client_expect(&client, 400, NULL);
	assert_int_equal(world.broken, 2);
	buf_finish(&packed);
	client_close(&client);
	world_close(&world);
}

static void
a_bomb_ends_at_the_limit(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct buf packed;
	char *zeros = calloc(1, 1 << 20);
	world_open(&world);
	gzip_of(span_of(zeros, 1 << 20), &packed);
	assert_true(packed.len < 4000);
	client_open(&client, &world);
	send_body(&client, "/whole", "Content-Encoding: gzip\r\n", buf_span(&packed));
	client_expect(&client, 413, NULL);
	client_close(&client);
	buf_finish(&packed);
	free(zeros);
	world_close(&world);
}

static void
large_bodies_are_refused_by_what_the_head_says(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct answer answer;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, POST("/whole", "Content-Length: 4001\r\nExpect: 100-continue\r\n"));
	client_answer(&client, &answer);
	assert_int_equal(answer.status, 413);
	assert_true(answer_has(&answer, "Connection: close"));
	answer_finish(&answer);
	client_await_eof(&client);
	assert_int_equal(world.begun, 0);
	client_close(&client);
	world_close(&world);
}

static void
large_bodies_are_refused_by_what_has_come(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, POST("/whole", "Transfer-Encoding: chunked\r\n"));
	for (unsigned i = 0; i < 401; i++)
		client_say(&client, "a\r\n0123456789\r\n");
	client_expect(&client, 413, NULL);
	client_await_eof(&client);
	client_close(&client);
	world_close(&world);
}

static void
streamed_bodies_have_no_bound(void **state)
{
	(void)state;
	enum { PIECE = 50000, PIECES = 200 };
	struct world world;
	struct client client;
	char *piece = calloc(1, PIECE);
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, POST("/write", "Content-Length: 10000000\r\n"));
	for (unsigned i = 0; i < PIECES; i++)
		client_send(&client, span_of(piece, PIECE));
	client_expect(&client, 200, "10000000");
	assert_true(world.bodies >= 100);
	free(piece);
	client_close(&client);
	world_close(&world);
}

static void
continue_is_said_when_the_body_is_wanted(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, POST("/whole", "Content-Length: 5\r\nExpect: 100-continue\r\n"));
	client_expect(&client, 100, NULL);
	client_say(&client, "hello");
	client_expect(&client, 200, "hello");
	client_say(&client, POST("/whole", "Expect: 100-continue\r\n"));
	client_expect(&client, 200, "");
	client_close(&client);
	world_close(&world);
}

static void
no_continue_when_the_answer_is_known(void **state)
{
	(void)state;
	static const char *const requests[] = {
		"POST /write HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
		    "Expect: 100-continue\r\n\r\n",
		POST("/write?refuse", "Content-Length: 5\r\nExpect: 100-continue\r\n"),
	};
	struct world world;
	world_open(&world);
	for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
		struct client client;
		struct answer answer;
		client_open(&client, &world);
		client_say(&client, requests[i]);
		client_answer(&client, &answer);
		assert_int_equal(answer.status, i == 0 ? 401 : 503);
		assert_true(answer_has(&answer, "Connection: close"));
		answer_finish(&answer);
		client_await_eof(&client);
		client_close(&client);
	}
	world_close(&world);
}

static void
no_continue_for_http_1_0(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, "POST /whole HTTP/1.0\r\n" AUTH
	    "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	client_idle(&client);
	assert_int_equal(client.in.len, 0);
	client_say(&client, "hello");
	client_expect(&client, 200, "hello");
	client_close(&client);
	world_close(&world);
}

static void
unread_bodies_are_drained_or_the_connection_closed(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct answer answer;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, POST("/write?early", "Content-Length: 5\r\n") "hello");
	client_expect(&client, 200, "early");
	client_say(&client, POST("/write?early", "Transfer-Encoding: chunked\r\n")
	    "5\r\nhello\r\n0\r\n\r\n");
	client_expect(&client, 200, "early");
	client_say(&client, POST("/nothing", "Content-Length: 5\r\n") "hello");
	client_expect(&client, 404, NULL);
	client_say(&client, POST("/write?early", "Content-Length: 1000000\r\n") "hello");
	client_answer(&client, &answer);
	assert_true(answer_has(&answer, "Connection: close"));
	answer_finish(&answer);
	client_await_eof(&client);
	assert_int_equal(world.bodies, 0);
	client_close(&client);
	world_close(&world);
}

static void
draining_has_a_bound(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	char *chunk = malloc(10008);
	memcpy(chunk, "2710\r\n", 6);
	memset(chunk + 6, 'x', 10000);
	memcpy(chunk + 10006, "\r\n", 2);
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, POST("/write?early", "Transfer-Encoding: chunked\r\n"));
	client_expect(&client, 200, "early");
	for (unsigned i = 0; i < 60 && !client.eof; i++)
		client_send(&client, span_of(chunk, 10008));
	client_await_eof(&client);
	free(chunk);
	client_close(&client);
	world_close(&world);
}

static void
a_handler_holds_the_body_back(void **state)
{
	(void)state;
	struct session_settings settings = world_settings;
	struct world world;
	struct client client;
	settings.body_ms = 100; /* not the client's fault: no time-out while held */
	world_open_with(&world, &settings, 65536, socket_real());
	client_open(&client, &world);
	client_say(&client, POST("/write?pause", "Content-Length: 30\r\n") "0123456789");
	client_idle(&client);
	client_say(&client, "0123456789");
	for (unsigned i = 0; i < 30; i++)
		client_step(&client, 10);
	assert_int_equal(world.bodies, 1);
	assert_int_equal(world.body_bytes, 10);
	client_say(&client, "0123456789");
	session_pause_body(world.held, false);
	client_idle(&client);
	assert_int_equal(world.bodies, 2);
	client_expect(&client, 200, "30");
	client_close(&client);
	world_close(&world);
}

static void
a_body_held_from_the_beginning(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, POST("/write?hold", "Content-Length: 10\r\n") "0123456789");
	client_idle(&client);
	assert_int_equal(world.bodies, 0);
	session_pause_body(world.held, false);
	client_expect(&client, 200, "10");
	client_close(&client);
	world_close(&world);
}

static void
compressed_pieces_end_soon_after_a_pause(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	struct buf packed;
	char *noise = malloc(100000);
	uint64_t x = 88172645463325252u;
	for (size_t i = 0; i < 100000; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		noise[i] = (char)x;
	}
	gzip_of(span_of(noise, 100000), &packed);
	world_open(&world);
	client_open(&client, &world);
	send_body(&client, "/write?pause", "Content-Encoding: gzip\r\n", buf_span(&packed));
	client_idle(&client);
	assert_true(world.body_bytes < 8192);
	for (unsigned i = 0; i < 100 && world.held; i++) {
		session_pause_body(world.held, false);
		client_idle(&client);
	}
	client_expect(&client, 200, "100000");
	buf_finish(&packed);
	free(noise);
	client_close(&client);
	world_close(&world);
}

static void
a_client_that_leaves_in_the_middle(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, POST("/write", "Content-Length: 100\r\n") "0123456789");
	client_idle(&client);
	assert_int_equal(world.body_bytes, 10);
	client_close(&client);
	for (unsigned i = 0; i < TURNS_MAX && world.gone == 0; i++)
		world_turn(&world, 1);
	assert_int_equal(world.gone, 1);
	assert_int_equal(world.broken, 1);
	world_close(&world);
}

static void
a_body_broken_in_the_middle_is_told_and_answered(void **state)
{
	(void)state;
	struct world world;
	struct client client;
	world_open(&world);
	client_open(&client, &world);
	client_say(&client, POST("/write",
	    "Transfer-Encoding: chunked\r\n") "5\r\nhello\r\nzz\r\n");
	client_expect(&client, 400, NULL);
	client_await_eof(&client);
	assert_int_equal(world.body_bytes, 5);
	assert_int_equal(world.broken, 1);
	client_close(&client);
	world_close(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_in_either_framing),
		cmocka_unit_test(compressed_bodies_are_unpacked),
		cmocka_unit_test(a_bomb_ends_at_the_limit),
		cmocka_unit_test(large_bodies_are_refused_by_what_the_head_says),
		cmocka_unit_test(large_bodies_are_refused_by_what_has_come),
		cmocka_unit_test(streamed_bodies_have_no_bound),
		cmocka_unit_test(continue_is_said_when_the_body_is_wanted),
		cmocka_unit_test(no_continue_when_the_answer_is_known),
		cmocka_unit_test(no_continue_for_http_1_0),
		cmocka_unit_test(unread_bodies_are_drained_or_the_connection_closed),
		cmocka_unit_test(draining_has_a_bound),
		cmocka_unit_test(a_handler_holds_the_body_back),
		cmocka_unit_test(a_body_held_from_the_beginning),
		cmocka_unit_test(compressed_pieces_end_soon_after_a_pause),
		cmocka_unit_test(a_client_that_leaves_in_the_middle),
		cmocka_unit_test(a_body_broken_in_the_middle_is_told_and_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

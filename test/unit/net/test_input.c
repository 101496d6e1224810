/* Input: what owners leave is kept and offered again, pausing holds it, floods are bounded. */
#include "net_world.h"

#include <stdio.h>

#include "net_priv.h"

static void
what_was_sent_comes_back(void **state)
{
	struct world *w = *state;
	struct owner *o;
	struct net_stats stats;
	w->model.echo = true;
	int fd = client_open_owned(w, &o);
	assert_string_equal(net_peer(o->conn), "127.0.0.1");
	assert_false(net_is_local_socket(o->conn));
	client_send_str(w, fd, "hello");
	client_expect(w, fd, "hello");
	net_stats(w->net, &stats);
	assert_int_equal(stats.bytes_in, 5);
	assert_int_equal(stats.bytes_out, 5);
	assert_int_equal(stats.accepted, 1);
	assert_int_equal(stats.open, 1);
	close(fd);
	PUMP(w, o->closeds);
	assert_int_equal(o->reason, NET_CLOSE_PEER);
	net_stats(w->net, &stats);
	assert_int_equal(stats.closed[NET_CLOSE_PEER], 1);
	assert_int_equal(stats.open, 0);
}

static void
a_local_socket_is_told_apart(void **state)
{
	struct world *w = *state;
	char address[64];
	struct owner *o;
	snprintf(address, sizeof(address), "unix:/tmp/weir-test-net-%d", (int)getpid());
	int listener = socket_listen(address, false);
	assert_true(listener >= 0);
	assert_int_equal(net_listen(w->net, listener, world_accept, w), 0);
	memcpy(w->address, address, sizeof(address));
	w->model.echo = true;
	int fd = client_open_owned(w, &o);
	assert_true(net_is_local_socket(o->conn));
	assert_string_equal(net_peer(o->conn), "unix");
	client_send_str(w, fd, "x");
	client_expect(w, fd, "x");
	unlink(address + strlen("unix:"));
	close(fd);
}

static void
lines_cut_anywhere_arrive_whole(void **state)
{
	struct world *w = *state;
	static const char text[] = "first line\nsecond\n\nlast one\n";
	for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
		struct owner *o;
		w->model.lines_only = true;
		w->owner_count = 0;
		int fd = client_open_owned(w, &o);
		client_send(w, fd, text, cut);
		PUMP(w, o->inputs > 0);
		client_send_str(w, fd, text + cut);
		PUMP(w, o->in.len == sizeof(text) - 1);
		assert_memory_equal(o->in.ptr, text, o->in.len);
		close(fd);
		PUMP(w, o->closeds);
		buf_finish(&o->in);
	}
}

/* Small, joined in the loop's buffer, and large ones, gathered in memory of their own. */
static void
lines_of_any_length_up_to_the_limit_arrive_whole(void **state)
{
	struct world *w = *state;
	static const size_t lens[] = {1, 4096, NET_IN_BYTES / 4 - 1, NET_IN_BYTES / 4,
	    NET_IN_BYTES / 4 + 1, NET_IN_BYTES - 1, NET_IN_BYTES, NET_IN_BYTES + 1, 300000,
	    1 << 20};
	struct owner *o;
	w->model.lines_only = true;
	int fd = client_open_owned(w, &o);
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		char *line = malloc(lens[i]);
		assert_non_null(line);
		memset(line, 'a' + (int)i, lens[i]);
		line[lens[i] - 1] = '\n';
		buf_clear(&o->in);
		client_send_str(w, fd, "x\n");
		client_send(w, fd, line, lens[i]);
		PUMP(w, o->in.len == lens[i] + 2);
		assert_memory_equal(o->in.ptr + 2, line, lens[i]);
		free(line);
		assert_null(o->conn->kept); /* nothing is held when nothing is left */
	}
	close(fd);
}

static void
input_stops_at_the_limit_of_what_is_kept(void **state)
{
	struct world *w = *state;
	struct owner *o;
	w->model.stop_using = true;
	int fd = client_open_owned(w, &o);
	char *bytes = pattern_new(1 << 20);
	client_send(w, fd, bytes, 1 << 20);
	while (o->in_max < 1 << 20) {
		size_t before = o->in_max;
		loop_turn(w->loop, 0);
		assert_true(o->in_max - before <= NET_IN_BYTES); /* a turn, also here */
	}
	assert_int_equal(send(fd, "more", 4, MSG_NOSIGNAL), 4);
	unsigned recvs = w->counting.recvs, inputs = o->inputs;
	for (int i = 0; i < 20; i++)
		loop_turn(w->loop, 0);
	assert_int_equal(w->counting.recvs, recvs);
	assert_int_equal(o->inputs, inputs);
	o->stop_using = false;
	net_retry_input(o->conn);
	PUMP(w, o->in.len == (1 << 20) + 4);
	assert_memory_equal(o->in.ptr, bytes, 1 << 20);
	free(bytes);
	close(fd);
}

static void
pause_after_first_line(struct owner *o, struct span bytes)
{
	(void)bytes;
	net_pause_input(o->conn, true);
}

static void
a_paused_owner_hears_nothing_until_resumed(void **state)
{
	struct world *w = *state;
	struct owner *o;
	w->model.lines_only = true;
	w->model.on_input = pause_after_first_line;
	int fd = client_open_owned(w, &o);
	client_send_str(w, fd, "a\nb\n");
	PUMP(w, o->inputs == 1);
	client_send_str(w, fd, "c\n");
	for (int i = 0; i < 10; i++)
		loop_turn(w->loop, 0);
	assert_int_equal(o->inputs, 1);
	net_pause_input(o->conn, false);
	PUMP(w, o->inputs == 2); /* pauses again */
	for (int i = 0; i < 10; i++)
		loop_turn(w->loop, 0);
	assert_int_equal(o->in.len, 4);
	o->on_input = NULL;
	net_pause_input(o->conn, false);
	PUMP(w, o->in.len == 6);
	assert_memory_equal(o->in.ptr, "a\nb\nc\n", 6);
	close(fd);
}

static void
pausing_for_each_request_costs_no_read_more(void **state)
{
	struct world *w = *state;
	struct owner *o;
	w->model.on_input = pause_after_first_line;
	int fd = client_open_owned(w, &o);
	for (unsigned i = 1; i <= 10; i++) {
		client_send_str(w, fd, "request");
		PUMP(w, o->inputs == i);
		uint32_t events = o->conn->io.events;
		net_pause_input(o->conn, false);
		assert_int_equal(o->conn->io.events, events); /* was never taken out of epoll */
	}
	assert_int_equal(w->counting.recvs, 10);
	close(fd);
}

static void
retried_input_is_offered_once_more_from_the_loop(void **state)
{
	struct world *w = *state;
	struct owner *o;
	w->model.stop_using = true;
	int fd = client_open_owned(w, &o);
	client_send_str(w, fd, "bytes");
	PUMP(w, o->inputs == 1);
	net_retry_input(o->conn);
	net_retry_input(o->conn);
	assert_int_equal(o->inputs, 1); /* not from within the call */
	loop_turn(w->loop, 0);
	loop_turn(w->loop, 0);
	assert_int_equal(o->inputs, 2);
	assert_int_equal(o->in_max, 5);
	close(fd);
}

static void
who_floods_has_one_buffer_a_turn(void **state)
{
	struct world *w = *state;
	struct owner *flooder, *modest;
	int flood_fd = client_open_owned(w, &flooder), fd = client_open_owned(w, &modest);
	char *bytes = pattern_new(1 << 20);
	for (ssize_t n = 1; n > 0;)
		n = send(flood_fd, bytes, 1 << 20, MSG_NOSIGNAL);
	client_send_str(w, fd, "me");
	size_t before = flooder->in.len;
	PUMP(w, modest->in.len == 2);
	assert_true(flooder->in.len - before <= 2 * NET_IN_BYTES);
	assert_true(flooder->in_max <= NET_IN_BYTES);
	free(bytes);
	close(flood_fd);
	close(fd);
}

static void
half_closed_peer_gets_what_is_queued_then_the_end(void **state)
{
	struct world *w = *state;
	struct owner *o;
	w->model.echo = true;
	int fd = client_open_owned(w, &o);
	client_send_str(w, fd, "last words");
	shutdown(fd, SHUT_WR);
	client_expect(w, fd, "last words");
	client_expect_end(w, fd);
	PUMP(w, o->closeds);
	assert_int_equal(o->reason, NET_CLOSE_PEER);
	close(fd);
}

static void
half_closed_peer_of_a_paused_owner_gets_his_answer(void **state)
{
	struct world *w = *state;
	struct owner *o;
	w->model.lines_only = true;
	w->model.on_input = pause_after_first_line;
	int fd = client_open_owned(w, &o);
	client_send_str(w, fd, "one\ntwo\nhalf a li");
	shutdown(fd, SHUT_WR);
	for (int line = 1; line <= 2; line++) {
		PUMP(w, o->inputs == (unsigned)line);
		for (int i = 0; i < 10; i++)
			loop_turn(w->loop, 0);
		assert_int_equal(o->closeds, 0);
		assert_int_equal(net_send(o->conn, SPAN("answer")), 0);
		net_pause_input(o->conn, false);
		client_expect(w, fd, "answer");
	}
	client_expect_end(w, fd);
	PUMP(w, o->closeds);
	assert_int_equal(o->reason, NET_CLOSE_PEER);
	assert_int_equal(o->in.len, 8); /* the half line was thrown away */
	close(fd);
}

static void
reset_by_the_peer_is_an_error(void **state)
{
	struct world *w = *state;
	struct owner *o;
	int fd = client_open_owned(w, &o);
	struct linger hard = {.l_onoff = 1, .l_linger = 0};
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	close(fd);
	PUMP(w, o->closeds);
	assert_int_equal(o->reason, NET_CLOSE_ERROR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
		TEST(what_was_sent_comes_back),
		TEST(a_local_socket_is_told_apart),
		TEST(lines_cut_anywhere_arrive_whole),
		TEST(lines_of_any_length_up_to_the_limit_arrive_whole),
		TEST(input_stops_at_the_limit_of_what_is_kept),
		TEST(a_paused_owner_hears_nothing_until_resumed),
		TEST(pausing_for_each_request_costs_no_read_more),
		TEST(retried_input_is_offered_once_more_from_the_loop),
		TEST(who_floods_has_one_buffer_a_turn),
		TEST(half_closed_peer_gets_what_is_queued_then_the_end),
		TEST(half_closed_peer_of_a_paused_owner_gets_his_answer),
		TEST(reset_by_the_peer_is_an_error),
#undef TEST
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

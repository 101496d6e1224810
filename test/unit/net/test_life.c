/* Life and end: accepting and its limits, finishing, lingering, closing from anywhere, draining. */
#include "net_world.h"

#include "net_priv.h"

static void
turns(struct world *w, int count)
{
	while (count-- > 0)
		loop_turn(w->loop, 0);
}

static void
every_reason_has_a_word(void **state)
{
	(void)state;
	assert_string_equal(net_close_word(NET_CLOSE_PEER), "peer");
	assert_string_equal(net_close_word(NET_CLOSE_SLOW_READER), "slow_reader");
	for (int reason = 0; reason < NET_CLOSE_REASON_COUNT; reason++)
		assert_true(strlen(net_close_word((enum net_close_reason)reason)) > 0);
}

/* ── accepting ── */

static void
a_refused_connection_is_closed_and_has_no_owner(void **state)
{
	struct world *w = *state;
	struct net_stats stats;
	w->refuse = -ENOMEM;
	int fd = client_open(w);
	char byte;
	PUMP(w, client_try_recv(fd, &byte, 1) != -EAGAIN);
	turns(w, 2);
	net_stats(w->net, &stats);
	assert_int_equal(stats.accepted, 0);
	assert_int_equal(stats.open, 0);
	assert_int_equal(stats.closed[NET_CLOSE_ERROR], 0);
	close(fd);
}

static void
greet(struct owner *o)
{
	assert_int_equal(net_send(o->conn, SPAN("welcome")), 0);
	net_set_deadline(o->conn, loop_mono_ms(o->w->loop) + 1000);
}

static void
greet_and_finish(struct owner *o)
{
	greet(o);
	net_finish(o->conn, NET_CLOSE_DONE);
}

static void
close_at_once(struct owner *o)
{
	greet(o);
	net_close(o->conn, NET_CLOSE_REVOKED);
}

static void
an_owner_may_send_finish_or_close_while_he_accepts(void **state)
{
	struct world *w = *state;
	struct owner *o;
	w->on_accept = greet;
	int fd = client_open_owned(w, &o);
	client_expect(w, fd, "welcome");
	close(fd);
	w->on_accept = greet_and_finish;
	fd = client_open_owned(w, &o);
	client_expect(w, fd, "welcome");
	client_expect_end(w, fd);
	PUMP(w, o->closeds);
	assert_int_equal(o->reason, NET_CLOSE_DONE);
	close(fd);
	w->on_accept = close_at_once;
	fd = client_open_owned(w, &o);
	client_expect_end(w, fd);
	assert_int_equal(o->reason, NET_CLOSE_REVOKED);
	close(fd);
	w->refuse = -EACCES; /* sends, then refuses */
	w->on_accept = greet;
	fd = client_open(w);
	char byte;
	PUMP(w, client_try_recv(fd, &byte, 1) != -EAGAIN);
	close(fd);
}

static void
accepting_stops_at_the_most_connections_and_goes_on_below(void **state)
{
	struct world *w = *state;
	struct net_limits limits = usual_limits;
	struct owner *o;
	world_close(w);
	limits.conns_max = 2;
	world_open(w, socket_real(), limits);
	w->model.echo = true;
	int a = client_open_owned(w, &o), b = client_open_owned(w, &o), c = client_open(w);
	turns(w, 20);
	assert_int_equal(w->owner_count, 2);
	unsigned accepts = w->counting.accepts;
	turns(w, 20);
	assert_int_equal(w->counting.accepts, accepts); /* does not spin */
	close(a);
	PUMP(w, w->owner_count == 3);
	client_send_str(w, c, "in");
	client_expect(w, c, "in");
	close(b);
	close(c);
}

static void
a_full_descriptor_table_does_not_spin_and_is_tried_again(void **state)
{
	struct world *w = *state;
	struct owner *o;
	int first = client_open_owned(w, &o);
	w->counting.accept_error = -EMFILE;
	int second = client_open(w);
	unsigned accepts = w->counting.accepts;
	PUMP(w, w->counting.accepts == accepts + 1);
	turns(w, 20);
	assert_int_equal(w->counting.accepts, accepts + 1);
	world_pass_ms(w, 200); /* by the timer */
	PUMP(w, w->counting.accepts == accepts + 2);
	turns(w, 20);
	assert_int_equal(w->counting.accepts, accepts + 2);
	w->counting.accept_error = 0;
	close(first); /* or because a descriptor became free */
	PUMP(w, w->owner_count == 2);
	w->counting.accept_error = -ENOBUFS;
	int third = client_open(w);
	PUMP(w, w->net->accept_paused);
	w->counting.accept_error = 0;
	world_pass_ms(w, 200);
	PUMP(w, w->owner_count == 3);
	close(second);
	close(third);
}

static void
a_connection_gone_before_it_is_accepted_harms_no_other(void **state)
{
	struct world *w = *state;
	w->counting.accept_error = -ECONNABORTED;
	int fd = client_open(w);
	unsigned accepts = w->counting.accepts;
	PUMP(w, w->counting.accepts > accepts + 5);
	w->counting.accept_error = 0;
	PUMP(w, w->owner_count == 1);
	close(fd);
}

static void
after_stop_listening_nobody_comes_and_others_stay(void **state)
{
	struct world *w = *state;
	struct owner *o;
	w->model.echo = true;
	int fd = client_open_owned(w, &o);
	net_stop_listening(w->net);
	assert_int_equal(socket_connect(w->address), -ECONNREFUSED);
	client_send_str(w, fd, "still here");
	client_expect(w, fd, "still here");
	close(fd);
}

static void
an_adopted_descriptor_is_a_connection(void **state)
{
	struct world *w = *state;
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	w->model.echo = true;
	struct owner *o = owner_new(w, NULL);
	assert_int_equal(net_adopt(w->net, pair[0], &owner_ops, o, &o->conn), 0);
	assert_true(net_is_local_socket(o->conn));
	client_send_str(w, pair[1], "ping");
	client_expect(w, pair[1], "ping");
	close(pair[1]);
	assert_int_equal(net_adopt(w->net, -1, &owner_ops, o, &o->conn), -EBADF);
}

/* ── finishing and closing ── */

static void
answer_too_large(struct owner *o, struct span bytes)
{
	(void)bytes;
	assert_int_equal(net_send(o->conn, SPAN("413")), 0);
	net_finish(o->conn, NET_CLOSE_PROTOCOL);
	assert_int_equal(net_send(o->conn, SPAN("too late")), -EPIPE);
}

/* Closing with unread input would reset the connection and could destroy the answer. */
static void
a_client_that_is_still_sending_reads_the_last_answer(void **state)
{
	struct world *w = *state;
	struct owner *o;
	struct net_stats stats;
	w->model.on_input = answer_too_large;
	int fd = client_open_owned(w, &o);
	char *bytes = pattern_new(3000000);
	client_send(w, fd, bytes, 3000000);
	PUMP(w, o->closeds); /* told already, though it lingers */
	assert_int_equal(o->inputs, 1);
	assert_int_equal(o->reason, NET_CLOSE_PROTOCOL);
	client_expect(w, fd, "413");
	client_expect_end(w, fd);
	net_stats(w->net, &stats);
	assert_int_equal(stats.open, 1);
	close(fd);
	PUMP(w, (net_stats(w->net, &stats), stats.open == 0));
	assert_int_equal(stats.closed[NET_CLOSE_PROTOCOL], 1);
	free(bytes);
}

static void
lingering_ends_when_the_client_does_not(void **state)
{
	struct world *w = *state;
	struct owner *o;
	struct net_stats stats;
	int fd = client_open_owned(w, &o);
	net_finish(o->conn, NET_CLOSE_DONE);
	client_expect_end(w, fd);
	world_pass_ms(w, NET_LINGER_MS - 100);
	net_stats(w->net, &stats);
	assert_int_equal(stats.open, 1);
	world_pass_ms(w, 100 + NET_TICK_MS);
	net_stats(w->net, &stats);
	assert_int_equal(stats.open, 0);
	assert_int_equal(stats.closed[NET_CLOSE_DONE], 1);
	assert_int_equal(stats.closed[NET_CLOSE_SLOW_READER], 0);
	close(fd);
}

static void
finish_waits_for_what_is_queued(void **state)
{
	struct world *w = *state;
	struct owner *o;
	size_t len = 1 << 20;
	char *bytes = pattern_new(len), *got = malloc(len);
	assert_non_null(got);
	int fd = client_open_owned(w, &o);
	w->counting.send_blocks = true;
	assert_int_equal(net_send_ref(o->conn, span_of(bytes, len), NULL, NULL), 0);
	turns(w, 2);
	net_finish(o->conn, NET_CLOSE_DONE);
	turns(w, 5);
	assert_int_equal(o->closeds, 0);
	w->counting.send_blocks = false;
	client_recv(w, fd, got, len);
	assert_memory_equal(got, bytes, len);
	client_expect_end(w, fd);
	PUMP(w, o->closeds);
	assert_int_equal(o->reason, NET_CLOSE_DONE);
	free(bytes);
	free(got);
	close(fd);
}

static void
close_in_input(struct owner *o, struct span bytes)
{
	(void)bytes;
	net_close(o->conn, NET_CLOSE_PROTOCOL);
	net_close(o->conn, NET_CLOSE_IDLE); /* the first reason stays */
	net_finish(o->conn, NET_CLOSE_DONE);
	net_retry_input(o->conn);
	net_pause_input(o->conn, true);
	net_pause_input(o->conn, false);
	net_set_deadline(o->conn, 1);
}

static void
a_connection_closed_in_its_input_hears_only_closed(void **state)
{
	struct world *w = *state;
	struct owner *o;
	w->model.lines_only = true;
	w->model.on_input = close_in_input;
	int fd = client_open_owned(w, &o);
	client_send_str(w, fd, "a\nb\nc");
	PUMP(w, o->closeds);
	assert_int_equal(o->inputs, 1);
	assert_int_equal(o->reason, NET_CLOSE_PROTOCOL);
	world_pass_ms(w, 1000);
	assert_int_equal(o->deadlines, 0);
	close(fd);
}

static struct owner *
other_of(struct owner *o)
{
	return &o->w->owners[o == &o->w->owners[0] ? 1 : 0];
}

static void
close_other_in_input(struct owner *o, struct span bytes)
{
	(void)bytes;
	if (other_of(o)->conn)
		net_close(other_of(o)->conn, NET_CLOSE_REVOKED);
}

static void
a_connection_closed_by_another_in_the_same_turn_hears_nothing(void **state)
{
	struct world *w = *state;
	struct owner *a, *b;
	w->model.on_input = close_other_in_input;
	int fd_a = client_open_owned(w, &a), fd_b = client_open_owned(w, &b);
	client_send_str(w, fd_a, "x");
	client_send_str(w, fd_b, "x");
	PUMP(w, a->closeds + b->closeds == 1);
	turns(w, 5);
	assert_int_equal(a->inputs + b->inputs, 1);
	assert_int_equal(a->closeds + b->closeds, 1);
	close(fd_a);
	close(fd_b);
}

static void
send_and_close_other(struct owner *o)
{
	struct owner *other = other_of(o);
	if (!other->conn)
		return;
	net_retry_input(other->conn);
	net_send(other->conn, SPAN("for the next turn"));
	net_close(other->conn, NET_CLOSE_REVOKED);
}

/* Queued for the next write, then closed, both in the write phase. */
static void
a_connection_that_lists_still_point_to_is_reaped_later(void **state)
{
	struct world *w = *state;
	struct owner *a, *b;
	size_t len = 600000; /* more than half the limit: drained() follows */
	char *bytes = pattern_new(len);
	w->model.on_drained = send_and_close_other;
	int fd_a = client_open_owned(w, &a), fd_b = client_open_owned(w, &b);
	assert_int_equal(net_send_ref(a->conn, span_of(bytes, len), NULL, NULL), 0);
	char *got = malloc(len);
	assert_non_null(got);
	client_recv(w, fd_a, got, len);
	PUMP(w, b->closeds);
	assert_int_equal(a->closeds, 0);
	free(got);
	free(bytes);
	close(fd_a);
	close(fd_b);
}

/* ── draining ── */

static void
drain_closes_the_idle_and_lets_the_queued_leave(void **state)
{
	struct world *w = *state;
	struct owner *idle, *busy, *stuck;
	int fd_idle = client_open_owned(w, &idle), fd_busy = client_open_owned(w, &busy);
	int fd_stuck = client_open_owned(w, &stuck);
	size_t len = 1 << 20;
	char *bytes = pattern_new(len);
	net_set_deadline(stuck->conn, loop_mono_ms(w->loop) + 60000);
	int small = 4096;
	setsockopt(fd_stuck, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (int i = 0; i < 40; i++) /* more than the kernel takes */
		if (net_send_ref(stuck->conn, span_of(bytes, len), NULL, NULL) == 0)
			turns(w, 3);
	assert_int_equal(net_send(busy->conn, SPAN("goodbye")), 0);
	assert_true(net_out_bytes(stuck->conn) > 0);
	net_drain(w->net, NET_CLOSE_DRAIN, 1000);
	client_expect_end(w, fd_idle);
	client_expect(w, fd_busy, "goodbye");
	client_expect_end(w, fd_busy);
	assert_int_equal(stuck->closeds, 0);
	world_pass_ms(w, 1000);
	turns(w, 2);
	assert_int_equal(idle->reason, NET_CLOSE_DRAIN);
	assert_int_equal(busy->reason, NET_CLOSE_DRAIN);
	assert_int_equal(stuck->closeds, 1);
	assert_int_equal(stuck->reason, NET_CLOSE_DRAIN);
	struct net_stats stats;
	net_stats(w->net, &stats);
	assert_int_equal(stats.open, 0);
	free(bytes);
	close(fd_idle);
	close(fd_busy);
	close(fd_stuck);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
		cmocka_unit_test(every_reason_has_a_word),
		TEST(a_refused_connection_is_closed_and_has_no_owner),
		TEST(an_owner_may_send_finish_or_close_while_he_accepts),
		TEST(accepting_stops_at_the_most_connections_and_goes_on_below),
		TEST(a_full_descriptor_table_does_not_spin_and_is_tried_again),
		TEST(a_connection_gone_before_it_is_accepted_harms_no_other),
		TEST(after_stop_listening_nobody_comes_and_others_stay),
		TEST(an_adopted_descriptor_is_a_connection),
		TEST(a_client_that_is_still_sending_reads_the_last_answer),
		TEST(lingering_ends_when_the_client_does_not),
		TEST(finish_waits_for_what_is_queued),
		TEST(a_connection_closed_in_its_input_hears_only_closed),
		TEST(a_connection_closed_by_another_in_the_same_turn_hears_nothing),
		TEST(a_connection_that_lists_still_point_to_is_reaped_later),
		TEST(drain_closes_the_idle_and_lets_the_queued_leave),
#undef TEST
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

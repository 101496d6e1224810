/* Output: one write a turn, copies and references in order, bounds, releases, slow readers. */
#include "net_world.h"

#include "net_priv.h"

static void
what_is_owed_in_a_turn_leaves_in_one_write(void **state)
{
	struct world *w = *state;
	struct owner *o;
	int fd = client_open_owned(w, &o);
	assert_int_equal(net_send(o->conn, SPAN("head ")), 0);
	assert_int_equal(net_send_ref(o->conn, SPAN("reference "), NULL, NULL), 0);
	assert_int_equal(net_send(o->conn, SPAN("copy ")), 0);
	assert_int_equal(net_send(o->conn, SPAN("grown")), 0);
	assert_int_equal(net_send(o->conn, SPAN("")), 0);
	assert_int_equal(net_out_bytes(o->conn), 25);
	assert_int_equal(w->counting.sends, 0);
	client_expect(w, fd, "head reference copy grown");
	assert_int_equal(w->counting.sends, 1);
	assert_int_equal(net_out_bytes(o->conn), 0);
	assert_null(o->conn->out); /* idle: holds no buffer */
	close(fd);
}

static void
an_idle_connection_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct net_conn) <= 160);
}

struct released {
	unsigned count;
};

static void
release(void *ctx)
{
	struct released *r = ctx;
	r->count++;
}

/* Pieces of every size, copied and referred to, by turns: more than one write takes. */
static void
many_pieces_of_all_sizes_keep_their_order(void **state)
{
	struct world *w = *state;
	struct owner *o;
	struct released released = {0};
	size_t total = 900000, at = 0, refs = 0;
	char *bytes = pattern_new(total), *got = malloc(total);
	assert_non_null(got);
	int fd = client_open_owned(w, &o);
	for (unsigned i = 0; at < total; i++) {
		size_t len = i % 7 == 0 ? 20000 : i % 3 == 0 ? 1 : 1 + (i * 37) % 300;
		len = MIN(len, total - at);
		struct span piece = span_of(bytes + at, len);
		if (i % 2) {
			assert_int_equal(net_send_ref(o->conn, piece, release, &released), 0);
			refs++;
		} else {
			assert_int_equal(net_send(o->conn, piece), 0);
		}
		at += len;
	}
	client_recv(w, fd, got, total);
	assert_memory_equal(got, bytes, total);
	assert_int_equal(released.count, refs);
	free(bytes);
	free(got);
	close(fd);
}

static void
thousands_of_small_references_leave_in_few_writes(void **state)
{
	struct world *w = *state;
	struct owner *o;
	struct released released = {0};
	enum { COUNT = 3000 };
	char got[COUNT];
	int fd = client_open_owned(w, &o);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(net_send_ref(o->conn, SPAN("x"), release, &released), 0);
	client_recv(w, fd, got, COUNT);
	assert_int_equal(w->counting.sends, (COUNT + NET_IOV_MAX - 1) / NET_IOV_MAX);
	assert_int_equal(released.count, COUNT);
	close(fd);
}

static void
references_are_released_when_the_connection_dies(void **state)
{
	struct world *w = *state;
	struct owner *o;
	struct released released = {0};
	int fd = client_open_owned(w, &o);
	assert_int_equal(net_send_ref(o->conn, SPAN(""), release, &released), 0);
	assert_int_equal(released.count, 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(net_send_ref(o->conn, SPAN("lost"), release, &released), 0);
	net_close(o->conn, NET_CLOSE_REVOKED);
	assert_int_equal(net_send_ref(o->conn, SPAN("no"), release, &released), -EPIPE);
	assert_int_equal(net_send(o->conn, SPAN("no")), -EPIPE);
	assert_int_equal(net_out_room(o->conn), 0);
	assert_int_equal(released.count, 1);
	loop_turn(w->loop, 0);
	assert_int_equal(released.count, 101);
	assert_int_equal(o->closeds, 1);
	assert_int_equal(o->reason, NET_CLOSE_REVOKED);
	close(fd);
}

static void
above_the_limit_nothing_is_queued_and_drained_is_told(void **state)
{
	struct world *w = *state;
	struct owner *o;
	struct released released = {0};
	size_t limit = usual_limits.out_bytes_max;
	char *bytes = pattern_new(limit), *got = malloc(limit);
	assert_non_null(got);
	int fd = client_open_owned(w, &o);
	w->counting.send_blocks = true;
	assert_int_equal(net_out_room(o->conn), limit);
	assert_int_equal(net_send(o->conn, span_of(bytes, 100)), 0);
	assert_int_equal(net_out_room(o->conn), limit - 100);
	assert_int_equal(net_send(o->conn, span_of(bytes, limit - 99)), -EMSGSIZE);
	assert_int_equal(
	    net_send_ref(o->conn, span_of(bytes, limit - 99), release, &released), -EMSGSIZE);
	assert_int_equal(released.count, 0);
	assert_int_equal(net_out_bytes(o->conn), 100);
	assert_int_equal(net_send(o->conn, span_of(bytes + 100, limit - 100)), 0);
	assert_int_equal(net_send(o->conn, SPAN("x")), -EMSGSIZE);
	loop_turn(w->loop, 0);
	assert_int_equal(o->draineds, 0);
	w->counting.send_blocks = false;
	client_recv(w, fd, got, limit);
	assert_memory_equal(got, bytes, limit);
	PUMP(w, o->draineds == 1);
	for (int i = 0; i < 5; i++)
		loop_turn(w->loop, 0);
	assert_int_equal(o->draineds, 1);
	free(bytes);
	free(got);
	close(fd);
}

static void
a_reference_of_any_length_is_taken_where_nothing_is_queued(void **state)
{
	struct world *w = *state;
	struct owner *o;
	struct released released = {0};
	size_t len = usual_limits.out_bytes_max * 2;
	char *bytes = pattern_new(len), *got = malloc(len);
	assert_non_null(got);
	int fd = client_open_owned(w, &o);
	assert_int_equal(net_send(o->conn, span_of(bytes, len)), -EMSGSIZE);
	assert_int_equal(net_send_ref(o->conn, span_of(bytes, len), release, &released), 0);
	assert_int_equal(net_out_room(o->conn), 0);
	assert_int_equal(net_send_ref(o->conn, SPAN("x"), release, &released), -EMSGSIZE);
	client_recv(w, fd, got, len);
	assert_memory_equal(got, bytes, len);
	assert_int_equal(released.count, 1);
	PUMP(w, o->draineds == 1);
	free(bytes);
	free(got);
	close(fd);
}

static void
beyond_what_all_may_be_owed_each_has_a_little(void **state)
{
	struct world *w = *state;
	struct owner *greedy, *modest;
	size_t all = 300000, sure = 64 * 1024;
	char *bytes = pattern_new(all), *got = malloc(all);
	assert_non_null(got);
	int fds[] = {client_open_owned(w, &greedy), client_open_owned(w, &modest)};
	w->net->limits.out_all_bytes_max = all;
	w->counting.send_blocks = true;
	assert_int_equal(net_send(greedy->conn, span_of(bytes, all)), 0);
	assert_int_equal(net_out_room(greedy->conn), 0);
	assert_int_equal(net_out_room(modest->conn), sure);
	assert_int_equal(net_send(modest->conn, span_of(bytes, sure)), 0);
	assert_int_equal(net_send(modest->conn, SPAN("x")), -EMSGSIZE);
	w->counting.send_blocks = false;
	client_recv(w, fds[0], got, all);
	assert_memory_equal(got, bytes, all);
	client_recv(w, fds[1], got, sure);
	PUMP(w, modest->draineds == 1);
	assert_int_equal(net_out_room(modest->conn), usual_limits.out_bytes_max);
	free(bytes);
	free(got);
	close(fds[0]);
	close(fds[1]);
}

static void
send_more(struct owner *o)
{
	static const char block[60000];
	while (o->in.len < 5000000 && net_send(o->conn, span_of(block, sizeof(block))) == 0)
		o->in.len += sizeof(block); /* counts; holds nothing */
}

static void
an_owner_can_stream_as_fast_as_it_drains(void **state)
{
	struct world *w = *state;
	struct owner *o;
	w->model.on_drained = send_more;
	int fd = client_open_owned(w, &o);
	send_more(o);
	size_t got = 0;
	char bytes[65536];
	while (got < 5000000 || got < o->in.len) {
		ssize_t n = client_try_recv(fd, bytes, sizeof(bytes));
		assert_int_not_equal(n, 0);
		got += n > 0 ? (size_t)n : 0;
		loop_turn(w->loop, 0);
	}
	assert_int_equal(got, o->in.len);
	assert_true(o->draineds > 2);
	o->in.len = 0;
	close(fd);
}

static void
who_does_not_read_is_dropped_after_the_time_without_progress(void **state)
{
	struct world *w = *state;
	struct owner *o;
	struct net_stats stats;
	int fd = client_open_owned(w, &o);
	w->counting.send_blocks = true;
	assert_int_equal(net_send(o->conn, SPAN("news")), 0);
	loop_turn(w->loop, 0);
	world_pass_ms(w, usual_limits.slow_write_ms - 100);
	assert_int_equal(o->closeds, 0);
	world_pass_ms(w, 100 + NET_TICK_MS);
	assert_int_equal(o->closeds, 1);
	assert_int_equal(o->reason, NET_CLOSE_SLOW_READER);
	net_stats(w->net, &stats);
	assert_int_equal(stats.closed[NET_CLOSE_SLOW_READER], 1);
	close(fd);
}

static void
progress_gives_a_slow_reader_more_time(void **state)
{
	struct world *w = *state;
	struct owner *o;
	int fd = client_open_owned(w, &o);
	w->counting.send_blocks = true;
	assert_int_equal(net_send(o->conn, SPAN("news")), 0);
	loop_turn(w->loop, 0);
	world_pass_ms(w, usual_limits.slow_write_ms - 100);
	w->counting.send_blocks = false;
	client_expect(w, fd, "news");
	w->counting.send_blocks = true;
	assert_int_equal(net_send(o->conn, SPAN("more")), 0);
	loop_turn(w->loop, 0);
	world_pass_ms(w, usual_limits.slow_write_ms - 100);
	assert_int_equal(o->closeds, 0);
	world_pass_ms(w, 100 + NET_TICK_MS);
	assert_int_equal(o->reason, NET_CLOSE_SLOW_READER);
	assert_int_equal(o->closeds, 1);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
		TEST(what_is_owed_in_a_turn_leaves_in_one_write),
		TEST(an_idle_connection_is_small),
		TEST(many_pieces_of_all_sizes_keep_their_order),
		TEST(thousands_of_small_references_leave_in_few_writes),
		TEST(references_are_released_when_the_connection_dies),
		TEST(above_the_limit_nothing_is_queued_and_drained_is_told),
		TEST(a_reference_of_any_length_is_taken_where_nothing_is_queued),
		TEST(beyond_what_all_may_be_owed_each_has_a_little),
		TEST(an_owner_can_stream_as_fast_as_it_drains),
		TEST(who_does_not_read_is_dropped_after_the_time_without_progress),
		TEST(progress_gives_a_slow_reader_more_time),
#undef TEST
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Deadlines: once, not early, a tick late at most; moved, cancelled, far away; many by seed. */
#include "net_world.h"

#include <stdio.h>

#include "net_priv.h"

static void
turns(struct world *w, int count)
{
	while (count-- > 0)
		loop_turn(w->loop, 0);
}

static void
a_deadline_fires_once_not_early_and_hardly_late(void **state)
{
	struct world *w = *state;
	struct owner *o;
	int fd = client_open_owned(w, &o);
	net_set_deadline(o->conn, loop_mono_ms(w->loop) + 1000);
	for (int ms = 0; ms < 999; ms += 37) {
		assert_int_equal(o->deadlines, 0);
		world_pass_ms(w, 37);
	}
	world_pass_ms(w, NET_TICK_MS + 1);
	assert_int_equal(o->deadlines, 1);
	world_pass_ms(w, 100000);
	assert_int_equal(o->deadlines, 1);
	close(fd);
}

static void
a_deadline_in_the_past_fires_at_the_next_tick(void **state)
{
	struct world *w = *state;
	struct owner *o;
	int fd = client_open_owned(w, &o);
	net_set_deadline(o->conn, 1);
	assert_int_equal(o->deadlines, 0); /* not from within the call */
	world_pass_ms(w, NET_TICK_MS);
	assert_int_equal(o->deadlines, 1);
	close(fd);
}

static void
a_deadline_moved_later_earlier_or_away_is_the_last_one_set(void **state)
{
	struct world *w = *state;
	struct owner *o;
	int fd = client_open_owned(w, &o);
	uint64_t now_ms = loop_mono_ms(w->loop);
	net_set_deadline(o->conn, now_ms + 1000);
	net_set_deadline(o->conn, now_ms + 5000);
	world_pass_ms(w, 4900);
	assert_int_equal(o->deadlines, 0);
	world_pass_ms(w, 100 + NET_TICK_MS);
	assert_int_equal(o->deadlines, 1);

	now_ms = loop_mono_ms(w->loop);
	net_set_deadline(o->conn, now_ms + 5000);
	net_set_deadline(o->conn, now_ms + 1000);
	world_pass_ms(w, 1000 + NET_TICK_MS);
	assert_int_equal(o->deadlines, 2);
	world_pass_ms(w, 10000);
	assert_int_equal(o->deadlines, 2);

	net_set_deadline(o->conn, loop_mono_ms(w->loop) + 1000);
	net_set_deadline(o->conn, 0);
	world_pass_ms(w, 10000);
	assert_int_equal(o->deadlines, 2);
	close(fd);
}

/* Beyond what the wheel reaches; looked at on the way without being told. */
static void
a_deadline_beyond_the_wheel_comes_in_its_time(void **state)
{
	struct world *w = *state;
	struct owner *o;
	uint64_t wheel_ms = (uint64_t)NET_TICK_MS * NET_WHEEL_SLOTS, far_ms = 10 * wheel_ms + 5;
	int fd = client_open_owned(w, &o);
	net_set_deadline(o->conn, loop_mono_ms(w->loop) + far_ms);
	for (uint64_t ms = 0; ms + 1000 < far_ms; ms += 1000) {
		world_pass_ms(w, 1000);
		assert_int_equal(o->deadlines, 0);
	}
	world_pass_ms(w, 1000 + NET_TICK_MS);
	assert_int_equal(o->deadlines, 1);

	net_set_deadline(o->conn, loop_mono_ms(w->loop) + 1000);
	world_pass_ms(w, 3 * wheel_ms); /* the machine slept */
	assert_int_equal(o->deadlines, 1 + 1);
	close(fd);
}

static void
set_again(struct owner *o)
{
	net_set_deadline(o->conn, loop_mono_ms(o->w->loop));
}

static void
a_deadline_that_sets_itself_in_the_past_does_not_hang_the_turn(void **state)
{
	struct world *w = *state;
	struct owner *o;
	w->model.on_deadline = set_again;
	int fd = client_open_owned(w, &o);
	set_again(o);
	for (unsigned i = 1; i <= 10; i++) {
		world_pass_ms(w, NET_TICK_MS);
		assert_int_equal(o->deadlines, i);
	}
	o->on_deadline = NULL;
	close(fd);
}

static void
close_all(struct owner *o)
{
	for (unsigned i = 0; i < o->w->owner_count; i++)
		if (o->w->owners[i].conn)
			net_close(o->w->owners[i].conn, NET_CLOSE_IDLE);
}

static void
who_is_closed_at_anothers_deadline_hears_none(void **state)
{
	struct world *w = *state;
	struct owner *o;
	int fds[5];
	unsigned deadlines = 0;
	w->model.on_deadline = close_all;
	for (int i = 0; i < 5; i++) {
		fds[i] = client_open_owned(w, &o);
		net_set_deadline(o->conn, loop_mono_ms(w->loop) + 500);
	}
	world_pass_ms(w, 500 + NET_TICK_MS);
	for (unsigned i = 0; i < 5; i++) {
		deadlines += w->owners[i].deadlines;
		assert_int_equal(w->owners[i].closeds, 1);
		assert_int_equal(w->owners[i].reason, NET_CLOSE_IDLE);
		close(fds[i]);
	}
	assert_int_equal(deadlines, 1);
}

static void
no_deadline_leaves_no_timer(void **state)
{
	struct world *w = *state;
	struct owner *o;
	int fd = client_open_owned(w, &o);
	assert_int_equal(w->net->armed_tick, NET_TICK_NONE); /* so an idle loop sleeps on */
	net_set_deadline(o->conn, loop_mono_ms(w->loop) + 100);
	assert_int_not_equal(w->net->armed_tick, NET_TICK_NONE);
	world_pass_ms(w, 200);
	assert_int_equal(w->net->armed_tick, NET_TICK_NONE);
	close(fd);
}

/* Against a model: each connection's deadline fires when it is due, whatever was set before. */
static void
random_deadlines_fire_when_a_model_says(void **state)
{
	struct world *w = *state;
	enum { CONNS = 30, STEPS = 20000 };
	struct owner *o;
	int fds[CONNS];
	uint64_t due_ms[CONNS] = {0};
	unsigned fired[CONNS] = {0}, seed = 20261121;
	print_message("seed %u\n", seed);
	for (int i = 0; i < CONNS; i++)
		fds[i] = client_open_owned(w, &o);
	for (int step = 0; step < STEPS; step++) {
		uint64_t now_ms = loop_mono_ms(w->loop);
		int i = rand_r(&seed) % CONNS;
		uint64_t spread_ms = step % 10 ? 3000 : 90000;
		if (rand_r(&seed) % 20 == 0)
			due_ms[i] = 0;
		else
			due_ms[i] = now_ms + 1 + (uint64_t)rand_r(&seed) % spread_ms;
		net_set_deadline(w->owners[i].conn, due_ms[i]);
		if (rand_r(&seed) % 4)
			continue;
		world_pass_ms(w, (uint64_t)rand_r(&seed) % (step % 50 ? 200 : 40000));
		now_ms = loop_mono_ms(w->loop);
		for (i = 0; i < CONNS; i++) {
			bool now_fired = w->owners[i].deadlines > fired[i];
			if (now_fired)
				assert_true(due_ms[i] != 0 && due_ms[i] <= now_ms);
			else
				assert_true(due_ms[i] == 0 || due_ms[i] + NET_TICK_MS > now_ms);
			fired[i] = w->owners[i].deadlines;
			if (now_fired)
				due_ms[i] = 0;
		}
	}
	turns(w, 1);
	for (int i = 0; i < CONNS; i++)
		close(fds[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
		TEST(a_deadline_fires_once_not_early_and_hardly_late),
		TEST(a_deadline_in_the_past_fires_at_the_next_tick),
		TEST(a_deadline_moved_later_earlier_or_away_is_the_last_one_set),
		TEST(a_deadline_beyond_the_wheel_comes_in_its_time),
		TEST(a_deadline_that_sets_itself_in_the_past_does_not_hang_the_turn),
		TEST(who_is_closed_at_anothers_deadline_hears_none),
		TEST(no_deadline_leaves_no_timer),
		TEST(random_deadlines_fire_when_a_model_says),
#undef TEST
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

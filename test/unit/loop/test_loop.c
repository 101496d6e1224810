/* The turn: descriptors, timers, phases, stopping; above all that what was cancelled is silent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "env.h"
#include "loop.h"
#include "thread.h"

struct world {
	struct env *env;
	struct loop *loop;
	char order[64]; /* one letter for each thing that happened */
	size_t order_len;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->env = env_create();
	assert_non_null(w->env);
	assert_int_equal(loop_create(w->env, 3, &w->loop), 0);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	loop_destroy(w->loop);
	env_destroy(w->env);
	free(w);
	return 0;
}

static void
note(struct world *w, char letter)
{
	assert_true(w->order_len + 1 < sizeof(w->order));
	w->order[w->order_len++] = letter;
}

/* ── descriptors ── */

struct ear {
	struct loop_io io;
	struct world *w;
	char letter;
	int heard;
	uint32_t events;
	void (*then)(struct ear *ear);
	struct ear *other;
	int peer;
};

static void
ear_ready(struct loop_io *io, uint32_t events)
{
	struct ear *ear = CONTAINER_OF(io, struct ear, io);
	ear->heard++;
	ear->events = events;
	if (ear->letter)
		note(ear->w, ear->letter);
	if (ear->then)
		ear->then(ear);
}

static void
ear_open(struct ear *ear, struct world *w)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	*ear = (struct ear){.io = {.ready = ear_ready, .fd = pair[0]}, .w = w, .peer = pair[1]};
}

static void
ear_close(struct ear *ear)
{
	assert_int_equal(loop_watch(ear->w->loop, &ear->io, 0), 0);
	close(ear->io.fd);
	close(ear->peer);
}

static void
poke(struct ear *ear)
{
	assert_int_equal(write(ear->peer, "x", 1), 1);
}

static void
io_hears_what_it_watches_until_removed(void **state)
{
	struct world *w = *state;
	struct ear ear;
	ear_open(&ear, w);
	assert_int_equal(loop_index(w->loop), 3);
	poke(&ear);
	loop_turn(w->loop, 0);
	assert_int_equal(ear.heard, 0);
	assert_int_equal(loop_watch(w->loop, &ear.io, EPOLLIN), 0);
	loop_turn(w->loop, -1);
	assert_int_equal(ear.heard, 1);
	assert_int_equal(ear.events, EPOLLIN);
	loop_turn(w->loop, -1); /* level-triggered: the byte is still there */
	assert_int_equal(ear.heard, 2);
	assert_int_equal(loop_watch(w->loop, &ear.io, EPOLLOUT), 0);
	loop_turn(w->loop, -1);
	assert_int_equal(ear.heard, 3);
	assert_int_equal(ear.events, EPOLLOUT);
	assert_int_equal(loop_watch(w->loop, &ear.io, 0), 0);
	loop_turn(w->loop, 0);
	assert_int_equal(ear.heard, 3);
	ear_close(&ear);
}

static void
watching_a_bad_descriptor_is_an_error(void **state)
{
	struct world *w = *state;
	struct loop_io io = {.ready = ear_ready, .fd = -1};
	assert_int_equal(loop_watch(w->loop, &io, EPOLLIN), -EBADF);
	assert_int_equal(io.events, 0);
}

static void
remove_other(struct ear *ear)
{
	loop_watch(ear->w->loop, &ear->other->io, 0);
}

static void
io_removed_by_another_in_the_same_turn_hears_nothing(void **state)
{
	struct world *w = *state;
	struct ear a, b;
	ear_open(&a, w);
	ear_open(&b, w);
	a.then = b.then = remove_other;
	a.other = &b;
	b.other = &a;
	loop_watch(w->loop, &a.io, EPOLLIN);
	loop_watch(w->loop, &b.io, EPOLLIN);
	poke(&a);
	poke(&b);
	loop_turn(w->loop, -1);
	assert_int_equal(a.heard + b.heard, 1);
	loop_turn(w->loop, -1); /* the first one goes on hearing */
	assert_int_equal(a.heard + b.heard, 2);
	assert_true(a.heard == 0 || b.heard == 0);
	ear_close(&a);
	ear_close(&b);
}

/* Removes the other, closes it, and opens a new one, which gets the same descriptor number. */
static void
reuse_other(struct ear *ear)
{
	struct ear *other = ear->other;
	int fd = other->io.fd, fresh[2];
	ear->then = other->then = NULL;
	loop_watch(ear->w->loop, &other->io, 0);
	close(fd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fresh), 0);
	assert_int_equal(fresh[0], fd);
	close(other->peer);
	other->peer = fresh[1];
	other->heard = 0;
	loop_watch(ear->w->loop, &other->io, EPOLLIN);
}

static void
io_whose_number_is_reused_hears_nothing_of_the_old_one(void **state)
{
	struct world *w = *state;
	struct ear a, b;
	ear_open(&a, w);
	ear_open(&b, w);
	a.then = b.then = reuse_other;
	a.other = &b;
	b.other = &a;
	loop_watch(w->loop, &a.io, EPOLLIN);
	loop_watch(w->loop, &b.io, EPOLLIN);
	poke(&a);
	poke(&b);
	loop_turn(w->loop, -1);
	assert_int_equal(a.heard + b.heard, 1);
	struct ear *fresh = a.heard ? &b : &a;
	poke(fresh);
	loop_turn(w->loop, -1);
	assert_int_equal(fresh->heard, 1);
	ear_close(&a);
	ear_close(&b);
}

static void
watch_other_for_hangup_only(struct ear *ear)
{
	loop_watch(ear->w->loop, &ear->other->io, EPOLLRDHUP);
}

static void
event_no_longer_watched_is_not_told(void **state)
{
	struct world *w = *state;
	struct ear a, b;
	ear_open(&a, w);
	ear_open(&b, w);
	a.then = b.then = watch_other_for_hangup_only;
	a.other = &b;
	b.other = &a;
	loop_watch(w->loop, &a.io, EPOLLIN);
	loop_watch(w->loop, &b.io, EPOLLIN);
	poke(&a);
	poke(&b);
	loop_turn(w->loop, -1);
	assert_int_equal(a.heard + b.heard, 1);
	ear_close(&a);
	ear_close(&b);
}

/* ── timers ── */

struct alarm {
	struct loop_timer timer;
	struct world *w;
	char letter;
	int fired;
	uint64_t at_ms; /* when it fired */
	struct alarm *cancel;
	bool again;
};

static void
alarm_fire(struct loop_timer *timer)
{
	struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);
	alarm->fired++;
	alarm->at_ms = loop_mono_ms(alarm->w->loop);
	if (alarm->letter)
		note(alarm->w, alarm->letter);
	if (alarm->cancel)
		loop_timer_cancel(alarm->w->loop, &alarm->cancel->timer);
	if (alarm->again)
		loop_timer_set(alarm->w->loop, timer, 0);
}

static struct alarm
alarm_new(struct world *w, char letter)
{
	return (struct alarm){.timer = {.fire = alarm_fire}, .w = w, .letter = letter};
}

static void
timers_fire_in_order_once_and_not_early(void **state)
{
	struct world *w = *state;
	struct alarm a = alarm_new(w, 'a'), b = alarm_new(w, 'b'), c = alarm_new(w, 'c');
	uint64_t now_ms = loop_mono_ms(w->loop);
	assert_int_equal(loop_timer_set(w->loop, &b.timer, now_ms + 12), 0);
	assert_int_equal(loop_timer_set(w->loop, &a.timer, now_ms + 5), 0);
	assert_int_equal(loop_timer_set(w->loop, &c.timer, now_ms), 0);
	loop_timer_set(w->loop, &c.timer, now_ms + 20); /* moved */
	while (!c.fired) {
		loop_turn(w->loop, -1);
		assert_true(w->order_len <= 3);
	}
	assert_string_equal(w->order, "abc");
	assert_true(a.at_ms >= now_ms + 5 && b.at_ms >= now_ms + 12 && c.at_ms >= now_ms + 20);
	loop_turn(w->loop, 0);
	assert_int_equal(w->order_len, 3);
}

static void
timer_cancelled_by_another_is_silent(void **state)
{
	struct world *w = *state;
	struct alarm a = alarm_new(w, 'a'), b = alarm_new(w, 'b');
	a.cancel = &b;
	uint64_t now_ms = loop_mono_ms(w->loop);
	loop_timer_set(w->loop, &a.timer, now_ms - 1);
	loop_timer_set(w->loop, &b.timer, now_ms);
	loop_timer_cancel(w->loop, &b.timer);
	loop_timer_set(w->loop, &b.timer, now_ms);
	loop_turn(w->loop, 0);
	assert_string_equal(w->order, "a");
	loop_timer_cancel(w->loop, &b.timer); /* again: harmless */
	loop_turn(w->loop, 0);
	assert_int_equal(b.fired, 0);
}

static void
timer_that_sets_itself_in_the_past_fires_once_a_turn(void **state)
{
	struct world *w = *state;
	struct alarm a = alarm_new(w, 0), b = alarm_new(w, 0);
	a.again = true;
	loop_timer_set(w->loop, &a.timer, 0);
	loop_timer_set(w->loop, &b.timer, loop_mono_ms(w->loop));
	loop_turn(w->loop, -1);
	assert_int_equal(a.fired, 1);
	assert_int_equal(b.fired, 1); /* not starved */
	loop_turn(w->loop, -1);
	assert_int_equal(a.fired, 2);
	loop_timer_cancel(w->loop, &a.timer);
}

static void
timer_set_to_never_does_not_fire(void **state)
{
	struct world *w = *state;
	struct alarm a = alarm_new(w, 'a'), b = alarm_new(w, 'b');
	loop_timer_set(w->loop, &a.timer, UINT64_MAX);
	loop_turn(w->loop, 0);
	loop_timer_set(w->loop, &b.timer, loop_mono_ms(w->loop) + 3);
	while (!b.fired)
		loop_turn(w->loop, -1);
	assert_string_equal(w->order, "b");
	loop_timer_cancel(w->loop, &a.timer);
}

/* ── phases ── */

struct chore {
	struct loop_task task;
	struct world *w;
	char letter;
	enum loop_phase again_in; /* LOOP_PHASE_COUNT: no */
	struct chore *cancel;
};

static void
chore_run(struct loop_task *task)
{
	struct chore *chore = CONTAINER_OF(task, struct chore, task);
	note(chore->w, chore->letter);
	if (chore->cancel)
		loop_task_cancel(&chore->cancel->task);
	if (chore->again_in != LOOP_PHASE_COUNT)
		loop_task_queue(chore->w->loop, chore->again_in, task);
	chore->again_in = LOOP_PHASE_COUNT;
}

static struct chore
chore_new(struct world *w, char letter)
{
	struct chore chore = {.w = w, .letter = letter, .again_in = LOOP_PHASE_COUNT};
	loop_task_init(&chore.task, chore_run);
	return chore;
}

/* Chores hold list links into the loop: they are made in place. */
#define CHORE(name, w, letter)                    \
	struct chore name = chore_new(w, letter); \
	list_init(&name.task.link)

static void
phases_run_in_their_order_after_descriptors_and_timers(void **state)
{
	struct world *w = *state;
	CHORE(append, w, 'A');
	CHORE(flush, w, 'F');
	CHORE(work, w, 'W');
	CHORE(write, w, 'O');
	CHORE(reap, w, 'R');
	struct ear ear;
	struct alarm alarm = alarm_new(w, 't');
	ear_open(&ear, w);
	ear.letter = 'i';
	loop_watch(w->loop, &ear.io, EPOLLIN);
	poke(&ear);
	loop_timer_set(w->loop, &alarm.timer, 0);
	loop_task_queue(w->loop, LOOP_REAP, &reap.task);
	loop_task_queue(w->loop, LOOP_WRITE, &write.task);
	loop_task_queue(w->loop, LOOP_WORK, &work.task);
	loop_task_queue(w->loop, LOOP_FLUSH, &flush.task);
	loop_task_queue(w->loop, LOOP_APPEND, &append.task);
	loop_turn(w->loop, -1);
	assert_string_equal(w->order, "itAFWOR");
	ear_close(&ear);
}

static void
task_queued_twice_runs_once_where_it_was(void **state)
{
	struct world *w = *state;
	CHORE(a, w, 'a');
	CHORE(b, w, 'b');
	loop_task_queue(w->loop, LOOP_FLUSH, &a.task);
	loop_task_queue(w->loop, LOOP_APPEND, &a.task);
	loop_task_queue(w->loop, LOOP_APPEND, &b.task);
	loop_turn(w->loop, -1);
	loop_turn(w->loop, 0);
	assert_string_equal(w->order, "ba");
}

static void
task_runs_this_turn_for_a_later_phase_and_next_turn_else(void **state)
{
	struct world *w = *state;
	CHORE(later, w, 'l');
	CHORE(same, w, 's');
	CHORE(earlier, w, 'e');
	later.again_in = LOOP_REAP;
	same.again_in = LOOP_FLUSH;
	earlier.again_in = LOOP_APPEND;
	loop_task_queue(w->loop, LOOP_FLUSH, &later.task);
	loop_task_queue(w->loop, LOOP_FLUSH, &same.task);
	loop_task_queue(w->loop, LOOP_FLUSH, &earlier.task);
	loop_turn(w->loop, -1);
	assert_string_equal(w->order, "lsel");
	loop_turn(w->loop, -1); /* does not wait: nothing else would wake it */
	assert_string_equal(w->order, "lseles");
}

static void
later_task_runs_once_when_it_is_due(void **state)
{
	struct world *w = *state;
	struct env *env = loop_env(w->loop);
	CHORE(a, w, 'a');
	uint64_t at_ns = env_mono_ns(env) + 3000000;
	loop_task_later(w->loop, LOOP_FLUSH, &a.task, at_ns);
	while (w->order[0] == '\0')
		loop_turn(w->loop, -1); /* nothing else would wake it */
	assert_true(env_mono_ns(env) >= at_ns);
	loop_turn(w->loop, 0);
	assert_string_equal(w->order, "a");
}

static void
later_task_takes_the_place_of_the_one_before(void **state)
{
	struct world *w = *state;
	CHORE(a, w, 'a');
	CHORE(b, w, 'b');
	loop_task_later(w->loop, LOOP_FLUSH, &a.task, 1);
	loop_task_later(w->loop, LOOP_FLUSH, &b.task, 1);
	loop_turn(w->loop, -1);
	assert_string_equal(w->order, "b");
	loop_task_later(w->loop, LOOP_FLUSH, &a.task, 1);
	loop_task_later(w->loop, LOOP_FLUSH, NULL, 0);
	loop_turn(w->loop, 0);
	assert_string_equal(w->order, "b");
}

static void
later_task_does_not_hold_up_timers(void **state)
{
	struct world *w = *state;
	CHORE(a, w, 'a');
	struct alarm alarm = alarm_new(w, 't');
	loop_task_later(w->loop, LOOP_FLUSH, &a.task, UINT64_MAX);
	loop_timer_set(w->loop, &alarm.timer, loop_mono_ms(w->loop) + 3);
	while (w->order[0] == '\0')
		loop_turn(w->loop, -1);
	assert_string_equal(w->order, "t");
	loop_task_later(w->loop, LOOP_FLUSH, NULL, 0);
}

static void
task_cancelled_by_another_in_its_own_phase_is_silent(void **state)
{
	struct world *w = *state;
	CHORE(a, w, 'a');
	CHORE(b, w, 'b');
	CHORE(c, w, 'c');
	a.cancel = &b;
	loop_task_queue(w->loop, LOOP_WORK, &a.task);
	loop_task_queue(w->loop, LOOP_WORK, &b.task);
	loop_task_queue(w->loop, LOOP_WORK, &c.task);
	loop_turn(w->loop, -1);
	loop_turn(w->loop, 0);
	assert_string_equal(w->order, "ac");
	loop_task_queue(w->loop, LOOP_WORK, &b.task); /* a cancelled one can be queued again */
	loop_turn(w->loop, -1);
	assert_string_equal(w->order, "acb");
}

/* ── stopping ── */

static void
stop_from_thread(void *ctx)
{
	loop_stop(ctx);
}

static void
stop_from_another_thread_wakes_a_sleeping_loop(void **state)
{
	struct world *w = *state;
	pthread_t thread;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(thread_start(&thread, "stop", stop_from_thread, w->loop), 0);
		loop_run(w->loop);
		thread_join(thread);
	}
}

static void
stop_before_run_ends_it_after_one_turn(void **state)
{
	struct world *w = *state;
	CHORE(a, w, 'a');
	loop_stop(w->loop);
	loop_task_queue(w->loop, LOOP_REAP, &a.task);
	loop_run(w->loop);
	assert_string_equal(w->order, "a");
}

static void
stop_callback(struct ear *ear)
{
	loop_stop(ear->w->loop);
}

static void
stop_within_a_turn_lets_it_finish(void **state)
{
	struct world *w = *state;
	struct ear ear;
	CHORE(a, w, 'a');
	ear_open(&ear, w);
	ear.letter = 'i';
	ear.then = stop_callback;
	loop_watch(w->loop, &ear.io, EPOLLIN);
	poke(&ear);
	loop_task_queue(w->loop, LOOP_REAP, &a.task);
	loop_run(w->loop);
	assert_string_equal(w->order, "ia");
	ear_close(&ear);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(io_hears_what_it_watches_until_removed),
		TEST(watching_a_bad_descriptor_is_an_error),
		TEST(io_removed_by_another_in_the_same_turn_hears_nothing),
		TEST(io_whose_number_is_reused_hears_nothing_of_the_old_one),
		TEST(event_no_longer_watched_is_not_told),
		TEST(timers_fire_in_order_once_and_not_early),
		TEST(timer_cancelled_by_another_is_silent),
		TEST(timer_that_sets_itself_in_the_past_fires_once_a_turn),
		TEST(timer_set_to_never_does_not_fire),
		TEST(phases_run_in_their_order_after_descriptors_and_timers),
		TEST(task_queued_twice_runs_once_where_it_was),
		TEST(task_runs_this_turn_for_a_later_phase_and_next_turn_else),
		TEST(later_task_runs_once_when_it_is_due),
		TEST(later_task_takes_the_place_of_the_one_before),
		TEST(later_task_does_not_hold_up_timers),
		TEST(task_cancelled_by_another_in_its_own_phase_is_silent),
		TEST(stop_from_another_thread_wakes_a_sleeping_loop),
		TEST(stop_before_run_ends_it_after_one_turn),
		TEST(stop_within_a_turn_lets_it_finish),
#undef TEST
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

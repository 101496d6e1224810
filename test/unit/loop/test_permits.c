/* Permits: no more loops work at once than there are permits, each has its turn, none is lost. Also
 * run with TSan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"
#include "env.h"
#include "loop.h"
#include "permits.h"
#include "thread.h"

enum { LOOPS = 6, PERMITS = 2, PIECES = 2000, TURNS_MAX = 1000 };

struct world;

/* A loop whose work is so many pieces. */
struct hand {
	struct world *world;
	struct loop *loop;
	struct loop_task work;
	size_t left, done;
	pthread_t thread;
};

struct world {
	struct env *env;
	struct permits *permits;
	struct hand hands[LOOPS];
	atomic_int working, most, finished;
};

static void
work_run(struct loop_task *task)
{
	struct hand *hand = CONTAINER_OF(task, struct hand, work);
	struct world *w = hand->world;
	int working = atomic_fetch_add(&w->working, 1) + 1;
	if (working > atomic_load(&w->most))
		atomic_store(&w->most, working);
	hand->done++;
	if (--hand->left)
		loop_task_queue(hand->loop, LOOP_WORK, task);
	atomic_fetch_sub(&w->working, 1);
}

static void
begin(struct hand *hand, size_t pieces)
{
	hand->left = pieces;
	loop_task_queue(hand->loop, LOOP_WORK, &hand->work);
}

static void
world_fill(struct world *w, unsigned permits)
{
	assert_int_equal(permits_create(permits, &w->permits), 0);
	for (unsigned i = 0; i < LOOPS; i++) {
		struct hand *hand = &w->hands[i];
		hand->world = w;
		assert_int_equal(loop_create(w->env, i, &hand->loop), 0);
		loop_set_permits(hand->loop, w->permits);
		loop_task_init(&hand->work, work_run);
	}
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->env = env_create();
	assert_non_null(w->env);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	for (unsigned i = 0; i < LOOPS; i++) {
		loop_task_cancel(&w->hands[i].work);
		loop_destroy(w->hands[i].loop);
	}
	permits_destroy(w->permits);
	env_destroy(w->env);
	free(w);
	return 0;
}

static void
who_has_no_permit_waits_until_the_other_is_done(void **state)
{
	struct world *w = *state;
	struct hand *first = &w->hands[0], *second = &w->hands[1];
	world_fill(w, 1);
	begin(first, 3);
	begin(second, 1);
	loop_turn(first->loop, 0);
	loop_turn(second->loop, 0);
	assert_int_equal(first->done, 1);
	assert_int_equal(second->done, 0);
	loop_turn(first->loop, 0);
	loop_turn(first->loop, 0);
	assert_int_equal(first->done, 3);
	/* It was woken, and need not be asked to look: a wait would not end otherwise. */
	loop_turn(second->loop, -1);
	assert_int_equal(second->done, 1);
}

static void
a_permit_goes_round_in_the_order_in_which_it_was_asked_for(void **state)
{
	struct world *w = *state;
	size_t turns = 0;
	world_fill(w, 1);
	for (unsigned i = 0; i < 3; i++)
		begin(&w->hands[i], SIZE_MAX);
	while (w->hands[2].done == 0 && turns++ < TURNS_MAX)
		for (unsigned i = 0; i < 3; i++)
			loop_turn(w->hands[i].loop, 0);
	size_t share = w->hands[0].done;
	assert_in_range(share, 1, TURNS_MAX - 1);
	assert_int_equal(w->hands[1].done, share);
	while (w->hands[1].done == share && turns++ < TURNS_MAX)
		for (unsigned i = 0; i < 3; i++)
			loop_turn(w->hands[i].loop, 0);
	assert_int_equal(w->hands[2].done, share);
	assert_int_equal(w->hands[0].done, 2 * share);
}

static void
who_is_alone_keeps_its_permit(void **state)
{
	struct world *w = *state;
	world_fill(w, 1);
	begin(&w->hands[0], TURNS_MAX);
	for (unsigned i = 0; i < TURNS_MAX; i++)
		loop_turn(w->hands[0].loop, -1);
	assert_int_equal(w->hands[0].done, TURNS_MAX);
}

static void
a_permit_that_comes_when_the_work_was_cancelled_goes_on_to_the_next(void **state)
{
	struct world *w = *state;
	world_fill(w, 1);
	for (unsigned i = 0; i < 3; i++) {
		begin(&w->hands[i], i == 0 ? 2 : 1);
		loop_turn(w->hands[i].loop, 0);
	}
	loop_turn(w->hands[0].loop, 0); /* done: the second one is given the permit */
	loop_task_cancel(&w->hands[1].work);
	loop_turn(w->hands[1].loop, -1);
	loop_turn(w->hands[2].loop, -1);
	assert_int_equal(w->hands[1].done, 0);
	assert_int_equal(w->hands[2].done, 1);
}

static void
who_waits_and_has_nothing_to_do_any_more_is_passed_over(void **state)
{
	struct world *w = *state;
	world_fill(w, 1);
	for (unsigned i = 0; i < 3; i++) {
		begin(&w->hands[i], i == 0 ? 2 : 1);
		loop_turn(w->hands[i].loop, 0);
	}
	loop_task_cancel(&w->hands[1].work);
	loop_turn(w->hands[1].loop, 0);
	loop_turn(w->hands[0].loop, 0);
	loop_turn(w->hands[2].loop, -1);
	assert_int_equal(w->hands[2].done, 1);
}

static void
a_loop_that_ends_leaves_its_permit_to_the_others(void **state)
{
	struct world *w = *state;
	world_fill(w, 1);
	for (unsigned i = 0; i < 2; i++) {
		begin(&w->hands[i], 5);
		loop_turn(w->hands[i].loop, 0);
	}
	loop_stop(w->hands[0].loop);
	loop_run(w->hands[0].loop);
	assert_in_range(w->hands[0].left, 1, 5);
	loop_turn(w->hands[1].loop, -1);
	assert_int_equal(w->hands[1].done, 1);
}

/* ── threads ── */

static void
hand_run(void *ctx)
{
	struct hand *hand = ctx;
	for (int round = 0; round < 3; round++) {
		begin(hand, PIECES / 3);
		while (hand->left)
			loop_turn(hand->loop, -1);
	}
	atomic_fetch_add(&hand->world->finished, 1);
}

static void
all_loops_get_their_work_done_and_never_more_at_once_than_may(void **state)
{
	struct world *w = *state;
	world_fill(w, PERMITS);
	for (unsigned i = 0; i < LOOPS; i++)
		assert_int_equal(
		    thread_start(&w->hands[i].thread, "hand", hand_run, &w->hands[i]), 0);
	for (unsigned i = 0; i < LOOPS; i++)
		thread_join(w->hands[i].thread);
	assert_int_equal(atomic_load(&w->finished), LOOPS);
	assert_in_range(atomic_load(&w->most), 1, PERMITS);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(who_has_no_permit_waits_until_the_other_is_done),
	    TEST(a_permit_goes_round_in_the_order_in_which_it_was_asked_for),
	    TEST(who_is_alone_keeps_its_permit),
	    TEST(a_permit_that_comes_when_the_work_was_cancelled_goes_on_to_the_next),
	    TEST(who_waits_and_has_nothing_to_do_any_more_is_passed_over),
	    TEST(a_loop_that_ends_leaves_its_permit_to_the_others),
	    TEST(all_loops_get_their_work_done_and_never_more_at_once_than_may),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

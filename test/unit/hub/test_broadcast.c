/*
 * What very many hear: told in pieces, turn by turn, each message once and in order whatever comes
 * between. With a model by seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "hub.h"
#include "loop.h"
#include "prng.h"
#include "runs.h"

#define MAIN SPAN("main")
#define MANY 700
#define HEARD_MAX 512

struct world {
	struct env *env;
	struct loop *loop;
	struct hub_local *local;
	uint64_t tokens[64], asked;
	size_t token_count;
	uint64_t seq;
	struct ear *ears;
};

/* Hears, and remembers what. */
struct ear {
	struct sink sink;
	uint64_t heard[HEARD_MAX];
	size_t count;
	bool runs, closed;
};

static void
ear_deliver(struct sink *sink, struct hub_message *message, uint64_t channels)
{
	struct ear *ear = CONTAINER_OF(sink, struct ear, sink);
	(void)channels;
	assert_true(ear->count < HEARD_MAX);
	assert_false(ear->closed);
	ear->heard[ear->count++] = message->seq;
}

static void
ear_deliver_run(struct sink *sink, struct hub_run *run)
{
	run_hear(sink, run, HUB_FORM_WS, ear_deliver);
}

static void
ear_subscribed(struct sink *sink, uint64_t seq)
{
	(void)sink, (void)seq;
}

static void
ear_closed(struct sink *sink, const struct hub_target *channel)
{
	(void)channel;
	CONTAINER_OF(sink, struct ear, sink)->closed = true;
}

static void
ear_gap(struct sink *sink)
{
	(void)sink;
}

static void
ear_caught(struct sink *sink, const struct hub_caught *caught)
{
	(void)sink, (void)caught;
}

static const struct sink_ops ear_ops = {.deliver = ear_deliver, .subscribed = ear_subscribed,
	.closed = ear_closed, .gap = ear_gap, .caught = ear_caught};
static const struct sink_ops run_ear_ops = {.deliver = ear_deliver,
	.deliver_run = ear_deliver_run, .subscribed = ear_subscribed, .closed = ear_closed,
	.gap = ear_gap, .caught = ear_caught};

static int
want(void *ctx, unsigned loop, struct span tenant, struct span pattern, bool wanted,
    uint64_t token)
{
	struct world *world = ctx;
	(void)loop, (void)tenant, (void)pattern;
	if (wanted)
		world->tokens[world->token_count++] = token;
	return 0;
}

static int
ask(void *ctx, unsigned loop, const struct hub_question *question, uint64_t token)
{
	(void)loop, (void)question;
	((struct world *)ctx)->asked = token;
	return 0;
}

static void
world_open(struct world *world)
{
	static const struct hub_hooks hooks = {.want = want, .ask = ask};
	*world = (struct world){.env = env_create(), .seq = 10};
	assert_int_equal(loop_create(world->env, 0, &world->loop), 0);
	assert_int_equal(hub_local_create(world->loop, &hooks, world, &world->local), 0);
	world->ears = test_calloc(MANY, sizeof(*world->ears));
	for (size_t i = 0; i < MANY; i++)
		hub_sink_init(&world->ears[i].sink, i % 3 ? &run_ear_ops : &ear_ops);
}

static void
world_close(struct world *world)
{
	for (size_t i = 0; i < MANY; i++)
		hub_unsubscribe_all(world->local, &world->ears[i].sink);
	loop_turn(world->loop, 0);
	hub_local_destroy(world->local);
	loop_destroy(world->loop);
	env_destroy(world->env);
	test_free(world->ears);
}

static void
confirm(struct world *world)
{
	world->seq++;
	for (size_t i = 0; i < world->token_count; i++)
		hub_local_confirmed(world->local, world->tokens[i], world->seq);
	world->token_count = 0;
	loop_turn(world->loop, 0); /* who joined what is in force */
}

static void
subscribe_all(struct world *world, const char *pattern)
{
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(hub_subscribe(world->local, &world->ears[i].sink, MAIN,
		    span_str(pattern)), 0);
	confirm(world);
}

/* `count` at once; to how many the first went. */
static size_t
publish(struct world *world, const char *channel, size_t count)
{
	struct hub_message *messages[HUB_RUN_MAX];
	size_t delivered[HUB_RUN_MAX] = {0};
	for (size_t i = 0; i < count; i++)
		assert_int_equal(hub_message_create(++world->seq, 0, MAIN, span_str(channel),
		    SPAN("1"), &messages[i]), 0);
	if (count == 1)
		delivered[0] = hub_local_deliver(world->local, messages[0]);
	else
		hub_local_deliver_run(world->local, messages, count, delivered);
	for (size_t i = 0; i < count; i++)
		hub_message_unref(messages[i]);
	return delivered[0];
}

static size_t
count_heard(const struct world *world, size_t least)
{
	size_t count = 0;
	for (size_t i = 0; i < MANY; i++)
		count += world->ears[i].count >= least;
	return count;
}

static void
turn_until_all_heard(struct world *world, size_t least)
{
	for (int turns = 0; count_heard(world, least) < MANY; turns++) {
		assert_true(turns < 100);
		loop_turn(world->loop, 0);
	}
}

static void
many_are_told_in_pieces_and_what_comes_meanwhile_at_once(void **state)
{
	struct world world;
	(void)state;
	world_open(&world);
	subscribe_all(&world, "a");
	assert_int_equal(publish(&world, "a", 1), MANY);
	assert_int_equal(count_heard(&world, 1), 0);
	loop_turn(world.loop, 0);
	size_t first = count_heard(&world, 1);
	assert_in_range(first, 1, 256);
	assert_int_equal(publish(&world, "a", 3), MANY);
	loop_turn(world.loop, 0);
	/* Who comes next gets all four, who had the first waits for the next pass. */
	assert_in_range(count_heard(&world, 4), 1, 256);
	assert_int_equal(count_heard(&world, 1), first + count_heard(&world, 4));
	turn_until_all_heard(&world, 4);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(world.ears[i].count, 4);
		for (size_t m = 1; m < 4; m++)
			assert_true(world.ears[i].heard[m] > world.ears[i].heard[m - 1]);
	}
	struct hub_stats stats;
	hub_local_stats(world.local, &stats);
	assert_int_equal(stats.delivered, 4 * MANY);
	world_close(&world);
}

static void
what_comes_on_another_channel_follows_what_is_on_its_way(void **state)
{
	struct world world;
	(void)state;
	world_open(&world);
	subscribe_all(&world, "a");
	struct ear *ear = &world.ears[MANY - 1];
	assert_int_equal(hub_subscribe(world.local, &ear->sink, MAIN, SPAN("b")), 0);
	confirm(&world);
	publish(&world, "a", 1);
	publish(&world, "b", 1);
	assert_int_equal(ear->count, 2);
	assert_int_equal(ear->heard[0] + 1, ear->heard[1]);
	publish(&world, "a", 1);
	hub_hurry(world.local, &ear->sink);
	assert_int_equal(ear->count, 3);
	turn_until_all_heard(&world, 2);
	assert_int_equal(ear->count, 3);
	world_close(&world);
}

static void
an_end_of_the_channel_comes_behind_all_of_it(void **state)
{
	struct world world;
	(void)state;
	world_open(&world);
	subscribe_all(&world, "a");
	publish(&world, "a", 2);
	loop_turn(world.loop, 0);
	hub_local_closed(world.local, MAIN, &(struct hub_target){SPAN("a"), 1});
	assert_int_equal(count_heard(&world, 2), MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_true(world.ears[i].closed);
	world_close(&world);
}

static void
who_asks_for_the_past_meanwhile_hears_nothing_twice(void **state)
{
	struct world world;
	struct hub_message *message;
	uint64_t token;
	(void)state;
	world_open(&world);
	struct ear *late = &world.ears[MANY - 1];
	subscribe_all(&world, "a");
	hub_unsubscribe_all(world.local, &late->sink);
	publish(&world, "a", 1);
	uint64_t missed = world.seq;
	struct span pattern = SPAN("a");
	struct hub_question question = {.tenant = MAIN, .patterns = &pattern, .pattern_count = 1,
	    .since = HUB_SINCE_OLDEST, .until_ms = INT64_MAX, .limit = 10};
	assert_int_equal(hub_catch(world.local, &late->sink, &question, true, &token), 0);
	loop_turn(world.loop, 0);
	assert_int_equal(late->count, 0);
	assert_int_equal(hub_message_create(missed, 0, MAIN, pattern, SPAN("1"), &message), 0);
	struct hub_caught caught = {.token = world.asked, .seq = ++world.seq,
	    .answer = {.seq_last = missed}};
	hub_local_caught(world.local, &caught, &message, 1);
	hub_message_unref(message);
	publish(&world, "a", 1);
	turn_until_all_heard(&world, 2);
	for (int i = 0; i < 5; i++)
		loop_turn(world.loop, 0);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(world.ears[i].count, 2);
	assert_int_equal(late->heard[0], missed);
	world_close(&world);
}

static void
all_may_leave_while_something_is_on_its_way(void **state)
{
	struct world world;
	(void)state;
	world_open(&world);
	subscribe_all(&world, "a");
	publish(&world, "a", 2);
	loop_turn(world.loop, 0);
	size_t heard = count_heard(&world, 1);
	for (size_t i = 0; i < MANY; i++)
		hub_unsubscribe_all(world.local, &world.ears[i].sink);
	loop_turn(world.loop, 0);
	assert_int_equal(count_heard(&world, 1), heard);
	world_close(&world);
}

/* ── the model: what each is to hear, in order ── */

struct model {
	uint64_t wanted[HEARD_MAX];
	size_t count;
	bool on[3];
};

static const char *const patterns[] = {"a", "b/x", "b/+"};
static const char *const channels[] = {"a", "b/x", "b/y"};

static void
model_step(struct world *world, struct model *models, struct prng *prng)
{
	size_t ear = prng_below(prng, MANY), which = prng_below(prng, 3);
	struct sink *sink = &world->ears[ear].sink;
	struct model *model = &models[ear];
	switch (prng_below(prng, 4)) {
	case 0: /* what is on its way need not come any more: so first it does */
		hub_hurry(world->local, sink);
		if (model->on[which])
			assert_int_equal(hub_unsubscribe(world->local, sink, MAIN,
			    span_str(patterns[which])), 0);
		else
			assert_int_equal(hub_subscribe(world->local, sink, MAIN,
			    span_str(patterns[which])), 0);
		model->on[which] = !model->on[which];
		confirm(world);
		return;
	case 1:
		loop_turn(world->loop, 0);
		return;
	default:
		break;
	}
	size_t count = 1 + prng_below(prng, 3), told = 0;
	for (size_t i = 0; i < MANY; i++) {
		bool hears = which == 2 ? models[i].on[2]
		    : models[i].on[which] || (which == 1 && models[i].on[2]);
		told += hears;
		for (size_t m = 0; hears && m < count; m++)
			models[i].wanted[models[i].count++] = world->seq + 1 + m;
	}
	assert_int_equal(publish(world, channels[which], count), told);
}

static void
each_hears_all_of_its_channels_once_and_in_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct world world;
		struct prng prng = {seed};
		struct model *models = test_calloc(MANY, sizeof(*models));
		print_message("seed %llu\n", (unsigned long long)seed);
		world_open(&world);
		for (size_t which = 0; which < 2; which++) {
			subscribe_all(&world, patterns[which]);
			for (size_t i = 0; i < MANY; i++)
				models[i].on[which] = true;
		}
		for (int step = 0; step < 150; step++)
			model_step(&world, models, &prng);
		for (int turns = 0; turns < 50; turns++)
			loop_turn(world.loop, 0);
		for (size_t i = 0; i < MANY; i++) {
			assert_int_equal(world.ears[i].count, models[i].count);
			assert_memory_equal(world.ears[i].heard, models[i].wanted,
			    models[i].count * sizeof(models[i].wanted[0]));
		}
		world_close(&world);
		test_free(models);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_are_told_in_pieces_and_what_comes_meanwhile_at_once),
		cmocka_unit_test(what_comes_on_another_channel_follows_what_is_on_its_way),
		cmocka_unit_test(an_end_of_the_channel_comes_behind_all_of_it),
		cmocka_unit_test(who_asks_for_the_past_meanwhile_hears_nothing_twice),
		cmocka_unit_test(all_may_leave_while_something_is_on_its_way),
		cmocka_unit_test(each_hears_all_of_its_channels_once_and_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

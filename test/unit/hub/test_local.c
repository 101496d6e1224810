/*
 * A loop's half: subscriptions, their confirmation, delivery; against the sequencer's half played
 * by the test, and a model by seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "hub.h"
#include "loop.h"
#include "prng.h"
#include "runs.h"

#define MAIN SPAN("main")

struct world {
	struct env *env;
	struct loop *loop;
	struct hub *hub;
	struct hub_local *local;
	uint64_t tokens[4096];
	size_t token_count, wants, unwants;
	int want_error;
	char present[256]; /* what was told of who is there */
};

struct ear {
	struct sink sink;
	unsigned heard, confirmed;
	uint64_t seq_heard, seq_confirmed;
	bool disorder; /* a message at or before a confirmation, or out of order */
};

static void
ear_deliver(struct sink *sink, struct hub_message *message, uint64_t channels)
{
	struct ear *ear = CONTAINER_OF(sink, struct ear, sink);
	(void)channels;
	ear->disorder |= message->seq <= ear->seq_heard || ear->confirmed == 0;
	ear->seq_heard = message->seq;
	ear->heard++;
}

static void
ear_deliver_run(struct sink *sink, struct hub_run *run)
{
	run_hear(sink, run, HUB_FORM_SSE, ear_deliver);
}

static void
ear_subscribed(struct sink *sink, uint64_t seq)
{
	struct ear *ear = CONTAINER_OF(sink, struct ear, sink);
	ear->disorder |= seq < ear->seq_heard;
	ear->seq_confirmed = seq;
	ear->confirmed++;
}

static const struct sink_ops ear_ops = {.deliver = ear_deliver, .subscribed = ear_subscribed};

static const struct sink_ops run_ear_ops = {
	.deliver = ear_deliver, .deliver_run = ear_deliver_run, .subscribed = ear_subscribed,
};

static void
ear_init(struct ear *ear)
{
	*ear = (struct ear){0};
	hub_sink_init(&ear->sink, &ear_ops);
}

static int
want(void *ctx, unsigned loop, struct span tenant, struct span pattern, bool wanted,
    uint64_t token)
{
	struct world *world = ctx;
	if (world->want_error && wanted)
		return world->want_error;
	assert_int_equal(hub_want(world->hub, loop, tenant, pattern, wanted), 0);
	if (wanted) {
		world->wants++;
		world->tokens[world->token_count++] = token;
	} else {
		world->unwants++;
		assert_int_equal(token, 0);
	}
	return 0;
}

static void
present(void *ctx, unsigned loop, uint64_t channel, const struct hub_member *member, bool here)
{
	struct world *world = ctx;
	size_t len = strlen(world->present);
	assert_int_equal(loop, 3);
	assert_true(span_eq(member->info, SPAN("{}")));
	snprintf(world->present + len, sizeof world->present - len, "%c%llu%.*s ",
	    here ? '+' : '-', (unsigned long long)channel, SPAN_ARG(member->name));
}

static void
world_open(struct world *world)
{
	static const struct hub_hooks hooks = {.want = want, .present = present};
	*world = (struct world){.env = env_create()};
	assert_int_equal(loop_create(world->env, 3, &world->loop), 0);
	assert_int_equal(hub_create(4, &world->hub), 0);
	assert_int_equal(hub_local_create(world->loop, &hooks, world, &world->local), 0);
}

static void
world_close(struct world *world)
{
	hub_local_destroy(world->local);
	hub_destroy(world->hub);
	loop_destroy(world->loop);
	env_destroy(world->env);
}

static void
confirm(struct world *world, uint64_t seq)
{
	for (size_t i = 0; i < world->token_count; i++)
		hub_local_confirmed(world->local, world->tokens[i], seq);
	world->token_count = 0;
}

static void
publish(struct world *world, uint64_t seq, const char *channel)
{
	struct hub_message *message;
	assert_int_equal(hub_message_create(seq, 0, MAIN, span_str(channel), SPAN("1"), &message),
	    0);
	hub_local_deliver(world->local, message);
	hub_message_unref(message);
}

/* `count` messages at once, from this seq on; to how many each went. */
static size_t
publish_run(struct world *world, uint64_t seq, const char *channel, size_t count)
{
	struct hub_message *messages[HUB_RUN_MAX];
	size_t delivered[HUB_RUN_MAX] = {0};
	for (size_t i = 0; i < count; i++)
		assert_int_equal(hub_message_create(seq + i, 0, MAIN, span_str(channel), SPAN("1"),
		    &messages[i]), 0);
	hub_local_deliver_run(world->local, messages, count, delivered);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(delivered[i], delivered[0]);
		hub_message_unref(messages[i]);
	}
	return delivered[0];
}

static void
nothing_is_heard_before_the_confirmation(void **state)
{
	(void)state;
	struct world world;
	struct ear ear;
	world_open(&world);
	ear_init(&ear);
	assert_int_equal(hub_subscribe(world.local, &ear.sink, MAIN, SPAN("a/+")), 0);
	assert_int_equal(ear.sink.waiting, 1);
	publish(&world, 4, "a/b");
	assert_int_equal(ear.heard, 0);
	confirm(&world, 5);
	assert_int_equal(ear.sink.waiting, 0);
	assert_int_equal(ear.confirmed, 1);
	assert_int_equal(ear.seq_confirmed, 5);
	publish(&world, 6, "a/b");
	publish(&world, 7, "a/b/c");
	assert_int_equal(ear.heard, 1);
	hub_unsubscribe_all(world.local, &ear.sink);
	publish(&world, 8, "a/b");
	assert_int_equal(ear.heard, 1);
	world_close(&world);
}

static void
a_pattern_is_wanted_once_however_many_sinks(void **state)
{
	(void)state;
	struct world world;
	struct ear ears[3];
	world_open(&world);
	for (size_t i = 0; i < 3; i++) {
		ear_init(&ears[i]);
		assert_int_equal(hub_subscribe(world.local, &ears[i].sink, MAIN, SPAN("a")), 0);
	}
	assert_int_equal(world.wants, 1);
	confirm(&world, 1);
	publish(&world, 2, "a");
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(ears[i].heard, 1);
		assert_int_equal(world.unwants, 0);
		hub_unsubscribe_all(world.local, &ears[i].sink);
	}
	assert_int_equal(world.unwants, 1);
	assert_int_equal(hub_wanted(world.hub, MAIN, SPAN("a")), 0);
	world_close(&world);
}

/* Who joins later is confirmed with the position of the loop's queue, in the same turn. */
static void
joining_a_pattern_in_force(void **state)
{
	(void)state;
	struct world world;
	struct ear first, second, third;
	world_open(&world);
	ear_init(&first);
	ear_init(&second);
	ear_init(&third);
	assert_int_equal(hub_subscribe(world.local, &first.sink, MAIN, SPAN("#")), 0);
	confirm(&world, 10);
	hub_local_advance(world.local, 20);
	assert_int_equal(hub_subscribe(world.local, &second.sink, MAIN, SPAN("#")), 0);
	assert_int_equal(second.confirmed, 0); /* never within the call */
	loop_turn(world.loop, 0);
	assert_int_equal(second.confirmed, 1);
	assert_int_equal(second.seq_confirmed, 20);
	/* A message that comes before the turn's end: confirmed first, at the old position. */
	assert_int_equal(hub_subscribe(world.local, &third.sink, MAIN, SPAN("#")), 0);
	publish(&world, 21, "x");
	assert_int_equal(third.seq_confirmed, 20);
	assert_int_equal(third.heard, 1);
	assert_int_equal(world.wants, 1);
	assert_false(first.disorder || second.disorder || third.disorder);
	hub_unsubscribe_all(world.local, &first.sink);
	hub_unsubscribe_all(world.local, &second.sink);
	hub_unsubscribe_all(world.local, &third.sink);
	loop_turn(world.loop, 0);
	world_close(&world);
}

static void
a_message_comes_once_over_several_subscriptions(void **state)
{
	(void)state;
	struct world world;
	struct ear ear;
	world_open(&world);
	ear_init(&ear);
	assert_int_equal(hub_subscribe(world.local, &ear.sink, MAIN, SPAN("a/b")), 0);
	assert_int_equal(hub_subscribe(world.local, &ear.sink, MAIN, SPAN("a/+")), 0);
	assert_int_equal(hub_subscribe(world.local, &ear.sink, MAIN, SPAN("#")), 0);
	assert_int_equal(hub_subscribe(world.local, &ear.sink, MAIN, SPAN("#")), -EEXIST);
	assert_int_equal(hub_subscribe(world.local, &ear.sink, MAIN, SPAN("a//b")), -EINVAL);
	confirm(&world, 1);
	assert_int_equal(ear.confirmed, 3);
	publish(&world, 2, "a/b");
	assert_int_equal(ear.heard, 1);
	struct hub_stats stats;
	hub_local_stats(world.local, &stats);
	assert_int_equal(stats.subscriptions, 3);
	assert_int_equal(stats.sinks, 1);
	assert_int_equal(stats.delivered, 1);
	assert_int_equal(hub_unsubscribe(world.local, &ear.sink, MAIN, SPAN("a/+")), 0);
	assert_int_equal(hub_unsubscribe(world.local, &ear.sink, MAIN, SPAN("a/+")), -ENOENT);
	assert_int_equal(hub_unsubscribe(world.local, &ear.sink, MAIN, SPAN("?")), -ENOENT);
	struct hub_subscription *pos = NULL;
	struct span pattern;
	assert_true(hub_sink_next(&ear.sink, &pos, &pattern));
	assert_true(span_eq(pattern, SPAN("#")));
	assert_true(hub_sink_next(&ear.sink, &pos, &pattern));
	assert_false(hub_sink_next(&ear.sink, &pos, &pattern));
	hub_unsubscribe_all(world.local, &ear.sink);
	hub_local_stats(world.local, &stats);
	assert_int_equal(stats.subscriptions + stats.sinks, 0);
	world_close(&world);
}

static void
a_want_given_up_and_taken_again(void **state)
{
	(void)state;
	struct world world;
	struct ear ear, other;
	world_open(&world);
	ear_init(&ear);
	ear_init(&other);
	assert_int_equal(hub_subscribe(world.local, &ear.sink, MAIN, SPAN("a")), 0);
	assert_int_equal(hub_subscribe(world.local, &other.sink, MAIN, SPAN("b")), 0);
	assert_int_equal(hub_unsubscribe(world.local, &ear.sink, MAIN, SPAN("a")), 0);
	assert_int_equal(ear.sink.waiting, 0);
	assert_int_equal(hub_subscribe(world.local, &ear.sink, MAIN, SPAN("a")), 0);
	assert_int_equal(world.token_count, 3);
	hub_local_confirmed(world.local, world.tokens[0], 1); /* of the want that was given up */
	assert_int_equal(ear.confirmed, 0);
	hub_local_confirmed(world.local, world.tokens[1], 2);
	assert_int_equal(other.confirmed, 1);
	hub_local_confirmed(world.local, world.tokens[2], 3);
	assert_int_equal(ear.confirmed, 1);
	hub_unsubscribe_all(world.local, &ear.sink);
	hub_unsubscribe_all(world.local, &other.sink);
	world_close(&world);
}

static void
a_want_that_cannot_be_told_leaves_nothing(void **state)
{
	(void)state;
	struct world world;
	struct ear ear;
	world_open(&world);
	ear_init(&ear);
	world.want_error = -ENOMEM;
	assert_int_equal(hub_subscribe(world.local, &ear.sink, MAIN, SPAN("a")), -ENOMEM);
	assert_null(ear.sink.subscriptions);
	world.want_error = 0;
	assert_int_equal(hub_subscribe(world.local, &ear.sink, MAIN, SPAN("a")), 0);
	hub_unsubscribe_newest(world.local, &ear.sink);
	assert_null(ear.sink.subscriptions);
	world_close(&world);
}

/* ── who is there ── */

struct person {
	struct ear ear;
	const char *name;
};

static void
person_who(const struct sink *sink, struct hub_member *ret_member)
{
	const struct person *person = CONTAINER_OF(sink, struct person, ear.sink);
	if (person->name)
		*ret_member = (struct hub_member){span_str(person->name), SPAN("{}")};
}

static const struct sink_ops person_ops = {
	.deliver = ear_deliver, .subscribed = ear_subscribed, .who = person_who,
};

static void
persons_init(struct person *persons, size_t count)
{
	static const char *const called[] = {"ann", "bob", NULL};
	for (size_t i = 0; i < count; i++) {
		persons[i] = (struct person){.name = called[i]};
		hub_sink_init(&persons[i].ear.sink, &person_ops);
	}
}

static void
tell(struct world *world, uint64_t id)
{
	hub_local_present(world->local, MAIN, &(struct hub_target){SPAN("room"), id});
}

static void
who_is_there_is_told_from_when_it_is_shown(void **state)
{
	(void)state;
	struct world world;
	struct person persons[3];
	world_open(&world);
	persons_init(persons, 3);
	tell(&world, 7); /* nobody of this loop */
	assert_int_equal(hub_subscribe(world.local, &persons[0].ear.sink, MAIN, SPAN("room")), 0);
	assert_int_equal(hub_subscribe(world.local, &persons[2].ear.sink, MAIN, SPAN("room")), 0);
	assert_int_equal(hub_subscribe(world.local, &persons[1].ear.sink, MAIN, SPAN("#")), 0);
	assert_string_equal(world.present, "");
	tell(&world, 7); /* who waits to be confirmed counts; without a name nobody does */
	assert_string_equal(world.present, "+7ann ");
	confirm(&world, 1);
	tell(&world, 7);
	assert_string_equal(world.present, "+7ann ");
	assert_int_equal(hub_subscribe(world.local, &persons[1].ear.sink, MAIN, SPAN("room")), 0);
	hub_unsubscribe_all(world.local, &persons[0].ear.sink);
	assert_string_equal(world.present, "+7ann +7bob -7ann ");
	/* Its end ends all of it at once. */
	hub_local_closed(world.local, MAIN, &(struct hub_target){SPAN("room"), 7});
	assert_string_equal(world.present, "+7ann +7bob -7ann ");
	assert_int_equal(hub_subscribe(world.local, &persons[0].ear.sink, MAIN, SPAN("room")), 0);
	tell(&world, 9);
	assert_string_equal(world.present, "+7ann +7bob -7ann +9ann ");
	for (size_t i = 0; i < 3; i++)
		hub_unsubscribe_all(world.local, &persons[i].ear.sink);
	assert_string_equal(world.present, "+7ann +7bob -7ann +9ann -9ann ");
	loop_turn(world.loop, 0);
	world_close(&world);
}

static void
who_could_not_subscribe_was_not_there(void **state)
{
	(void)state;
	struct world world;
	struct person persons[2];
	world_open(&world);
	persons_init(persons, 2);
	assert_int_equal(hub_subscribe(world.local, &persons[0].ear.sink, MAIN, SPAN("room")), 0);
	tell(&world, 7);
	world.want_error = -ENOMEM;
	const struct span patterns[] = {SPAN("room"), SPAN("new")};
	const struct hub_question question = {.tenant = MAIN, .patterns = patterns,
		.pattern_count = 2};
	uint64_t token;
	assert_int_equal(hub_catch(world.local, &persons[1].ear.sink, &question, true, &token),
	    -ENOMEM);
	assert_string_equal(world.present, "+7ann +7bob -7bob ");
	hub_unsubscribe_all(world.local, &persons[0].ear.sink);
	world_close(&world);
}

enum { EARS = 12, STEPS = 30000 };

static const char *const patterns[] = {"a", "a/b", "a/+", "+/b", "a/#", "#", "c/+/d", "c/x/d",
	"$a/b", "$a/#"};
static const char *const names[] = {"a", "a/b", "a/c", "c/b", "c/x/d", "c/y/d", "z", "$a/b", "$a"};

/* What the model knows of one ear: since when each of its subscriptions is in force. */
struct model {
	bool asked[ARRAY_COUNT(patterns)];
	unsigned heard;
};

static void
random_subscribers_hear_what_they_should(void **state)
{
	(void)state;
	const uint64_t seed = 7;
	printf("seed %llu\n", (unsigned long long)seed);
	struct prng prng = {seed};
	struct world world;
	struct ear ears[EARS];
	struct model models[EARS] = {0};
	uint64_t seq = 0;
	world_open(&world);
	for (size_t i = 0; i < EARS; i++) {
		ear_init(&ears[i]);
		if (i % 2)
			hub_sink_init(&ears[i].sink, &run_ear_ops);
	}
	for (unsigned step = 0; step < STEPS; step++) {
		size_t i = (size_t)prng_below(&prng, EARS);
		size_t p = (size_t)prng_below(&prng, ARRAY_COUNT(patterns));
		struct span pattern = span_str(patterns[p]);
		switch (prng_below(&prng, 6)) {
		case 0:
		case 1:
			assert_int_equal(hub_subscribe(world.local, &ears[i].sink, MAIN, pattern),
			    models[i].asked[p] ? -EEXIST : 0);
			models[i].asked[p] = true;
			break;
		case 2:
			assert_int_equal(hub_unsubscribe(world.local, &ears[i].sink, MAIN, pattern),
			    models[i].asked[p] ? 0 : -ENOENT);
			models[i].asked[p] = false;
			break;
		case 3:
			hub_unsubscribe_all(world.local, &ears[i].sink);
			models[i] = (struct model){.heard = models[i].heard};
			break;
		default:
			/* All are in force when a message comes: so who asked must hear it. */
			confirm(&world, ++seq);
			const char *name = names[prng_below(&prng, ARRAY_COUNT(names))];
			size_t run = 1 + (size_t)prng_below(&prng, 4), reached = 0;
			for (size_t k = 0; k < EARS; k++) {
				bool match = false;
				for (size_t q = 0; q < ARRAY_COUNT(patterns); q++)
					match |= models[k].asked[q] && hub_pattern_matches(
					    span_str(patterns[q]), span_str(name));
				models[k].heard += match ? (unsigned)run : 0;
				reached += match;
			}
			if (run > 1)
				assert_int_equal(publish_run(&world, ++seq, name, run), reached);
			else
				publish(&world, ++seq, name);
			seq += run - 1;
			for (size_t k = 0; k < EARS; k++) {
				assert_int_equal(ears[k].heard, models[k].heard);
				assert_int_equal(ears[k].sink.waiting, 0);
				assert_false(ears[k].disorder);
			}
		}
	}
	for (size_t i = 0; i < EARS; i++)
		hub_unsubscribe_all(world.local, &ears[i].sink);
	assert_int_equal(world.wants, world.unwants);
	loop_turn(world.loop, 0);
	world_close(&world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_heard_before_the_confirmation),
		cmocka_unit_test(a_pattern_is_wanted_once_however_many_sinks),
		cmocka_unit_test(joining_a_pattern_in_force),
		cmocka_unit_test(a_message_comes_once_over_several_subscriptions),
		cmocka_unit_test(a_want_given_up_and_taken_again),
		cmocka_unit_test(a_want_that_cannot_be_told_leaves_nothing),
		cmocka_unit_test(who_is_there_is_told_from_when_it_is_shown),
		cmocka_unit_test(who_could_not_subscribe_was_not_there),
		cmocka_unit_test(random_subscribers_hear_what_they_should),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Who is subscribed to channels that show it: counted over loops, told, away for a while. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "prng.h"
#include "world.h"

#define MAIN SPAN("main")

static struct world *
open_world(void **state, uint64_t linger_ms, uint64_t members_max)
{
	struct world *world = world_create((unsigned)(uintptr_t)*state);
	world->options.presence_linger_ms = linger_ms;
	world->options.presence_members_max = members_max;
	world_open(world);
	return world;
}

static void
end_world(struct world *world)
{
	world_close(world, false);
	world_destroy(world);
}

/* ── operations ── */

struct op {
	struct flow_channel op;
	struct flow_channel_info info;
	struct buf text;
	sem_t done;
	int error;
};

static void
op_done(struct flow_channel *channel, int error)
{
	struct op *op = CONTAINER_OF(channel, struct op, op);
	op->error = error;
	sem_post(&op->done);
}

static void
op_begin(struct world_loop *loop, void *ctx)
{
	struct op *op = ctx;
	flow_channel(loop->flow, &op->op);
}

static int
run_op(struct world *world, struct op *op, enum flow_channel_op what, const char *name)
{
	op->op.op = what;
	op->op.spec.tenant = MAIN;
	if (what == FLOW_CHANNEL_ADD)
		op->op.spec.name = span_str(name);
	op->op.name = span_str(name);
	op->op.infos = &op->info;
	op->op.meta = &op->text;
	op->op.done = op_done;
	sem_init(&op->done, 0, 0);
	world_call(world, 0, op_begin, op);
	sem_wait(&op->done);
	sem_destroy(&op->done);
	return op->error;
}

static void
make(struct world *world, const char *name)
{
	struct op op = {.op.spec = {
		.limits = {.history_ms = 60000, .bytes = 1 << 20, .messages = 1000},
		.presence = true,
	}};
	assert_int_equal(run_op(world, &op, FLOW_CHANNEL_ADD, name), 0);
	buf_finish(&op.text);
}

/* What is listed behind a number, as text; the caller frees. */
static struct op
list(struct world *world, const char *name, uint64_t after, size_t limit)
{
	struct op op = {.op = {.limit = limit, .after_id = after}};
	op.error = run_op(world, &op, FLOW_CHANNEL_PRESENCE, name);
	assert_int_equal(buf_append_byte(&op.text, 0), 0);
	return op;
}

/* Whether somebody is listed with so many connections; -1: not listed. */
static int
connections(const char *text, const char *name)
{
	char wanted[64];
	snprintf(wanted, sizeof wanted, "\"name\":\"%s\"", name);
	const char *at = strstr(text, wanted);
	at = at ? strstr(at, "\"connections\":") : NULL;
	return at ? atoi(at + strlen("\"connections\":")) : -1;
}

/* What loops tell is on its way for a moment. */
static void
await_connections(struct world *world, const char *name, int wanted)
{
	for (unsigned i = 0;; i++) {
		struct op op = list(world, "room", 0, 100);
		int found = connections(op.text.ptr, name);
		buf_finish(&op.text);
		if (found == wanted)
			return;
		if (i == 3000)
			fail_msg("%s has %d connections, not %d", name, found, wanted);
		struct timespec pause = {.tv_nsec = 1000000};
		nanosleep(&pause, NULL);
	}
}

/* ── who comes ── */

struct guest {
	struct sink sink;
	const char *name;
	struct span pattern;
	bool here;
};

static void
guest_deliver(struct sink *sink, struct hub_message *message, uint64_t channels)
{
	(void)sink, (void)message, (void)channels;
}

static void
guest_subscribed(struct sink *sink, uint64_t seq)
{
	(void)sink, (void)seq;
}

static void
guest_who(const struct sink *sink, struct hub_member *ret_member)
{
	const struct guest *guest = CONTAINER_OF(sink, struct guest, sink);
	*ret_member = (struct hub_member){span_str(guest->name), SPAN("{\"n\":1}")};
}

static void
guest_come(struct world_loop *loop, void *ctx)
{
	struct guest *guest = ctx;
	check(hub_subscribe(loop->hub, &guest->sink, MAIN, guest->pattern) == 0);
}

static void
guest_go(struct world_loop *loop, void *ctx)
{
	struct guest *guest = ctx;
	hub_unsubscribe_all(loop->hub, &guest->sink);
}

static struct guest
guest_of(const char *name, const char *pattern)
{
	static const struct sink_ops ops = {
		.deliver = guest_deliver, .subscribed = guest_subscribed, .who = guest_who,
	};
	struct guest guest = {.name = name, .pattern = span_str(pattern)};
	hub_sink_init(&guest.sink, &ops);
	return guest;
}

/* ── who hears of it: the feed in a model ── */

struct listener {
	struct sink sink;
	struct buf told; /* "+name " and "-name " */
	pthread_mutex_t lock;
};

/* The names of one list of a message. */
static void
listener_note(struct listener *listener, struct span data, const char *list_name, char sign)
{
	char *text = span_dup(data), *list_at = strstr(text, list_name);
	char *end = list_at ? strchr(list_at, ']') : NULL;
	check(list_at && end);
	*end = 0;
	for (char *at = list_at; (at = strstr(at, "\"name\":\"")); at++) {
		const char *name = at + strlen("\"name\":\"");
		buf_printf(&listener->told, "%c%.*s ", sign, (int)strcspn(name, "\""), name);
	}
	free(text);
}

static void
listener_deliver(struct sink *sink, struct hub_message *message, uint64_t channels)
{
	struct listener *listener = CONTAINER_OF(sink, struct listener, sink);
	(void)channels;
	pthread_mutex_lock(&listener->lock);
	listener_note(listener, message->data, "\"joined\":[", '+');
	listener_note(listener, message->data, "\"left\":[", '-');
	pthread_mutex_unlock(&listener->lock);
}

static void
listener_come(struct world_loop *loop, void *ctx)
{
	static const struct sink_ops ops = {
		.deliver = listener_deliver, .subscribed = guest_subscribed,
	};
	struct listener *listener = ctx;
	hub_sink_init(&listener->sink, &ops);
	check(hub_subscribe(loop->hub, &listener->sink, MAIN, SPAN("$presence/room")) == 0);
}

static void
listener_go(struct world_loop *loop, void *ctx)
{
	struct listener *listener = ctx;
	hub_unsubscribe_all(loop->hub, &listener->sink);
}

static void
nothing(struct world_loop *loop, void *ctx)
{
	(void)loop, (void)ctx;
}

/* Waits until this was told, which ends with a blank. */
static void
await_told(struct listener *listener, const char *wanted)
{
	for (unsigned i = 0;; i++) {
		pthread_mutex_lock(&listener->lock);
		bool same = span_eq(buf_span(&listener->told), span_str(wanted));
		char *told = span_dup(buf_span(&listener->told));
		pthread_mutex_unlock(&listener->lock);
		if (!same && i == 3000)
			fail_msg("told '%s', not '%s'", told, wanted);
		free(told);
		if (same)
			return;
		struct timespec pause = {.tv_nsec = 10000000};
		nanosleep(&pause, NULL);
	}
}

static struct listener
listener_of(void)
{
	struct listener listener = {.lock = PTHREAD_MUTEX_INITIALIZER};
	return listener;
}

/* ── tests ── */

static void
a_member_is_counted_over_all_loops_and_told_once(void **state)
{
	struct world *world = open_world(state, 0, 100);
	unsigned far = world->loop_count - 1;
	struct listener listener = listener_of();
	make(world, "room");
	world_call(world, 0, listener_come, &listener);
	struct guest one = guest_of("ann", "room"), two = one, other = guest_of("bob", "room"),
	    wild = guest_of("eve", "#");
	world_call(world, 0, guest_come, &one);
	world_call(world, far, guest_come, &two);
	world_call(world, far, guest_come, &wild);
	await_told(&listener, "+ann ");
	world_call(world, far, guest_come, &other);
	await_told(&listener, "+ann +bob ");
	await_connections(world, "ann", 2);
	struct op op = list(world, "room", 0, 10);
	assert_int_equal(op.error, 0);
	assert_int_equal(connections(op.text.ptr, "bob"), 1);
	assert_int_equal(connections(op.text.ptr, "eve"), -1);
	assert_non_null(strstr(op.text.ptr, "\"info\":{\"n\":1}"));
	assert_int_equal(op.op.presence.members, 2);
	buf_finish(&op.text);
	world_call(world, 0, guest_go, &one);
	world_call(world, far, guest_go, &other);
	await_told(&listener, "+ann +bob -bob ");
	world_call(world, far, guest_go, &two);
	await_told(&listener, "+ann +bob -bob -ann ");
	world_call(world, far, guest_go, &wild);
	world_call(world, 0, listener_go, &listener);
	buf_finish(&listener.told);
	end_world(world);
}

static void
who_comes_back_in_time_has_not_left(void **state)
{
	struct world *world = open_world(state, 5000, 100);
	unsigned far = world->loop_count - 1;
	struct listener listener = listener_of();
	make(world, "room");
	world_call(world, 0, listener_come, &listener);
	struct guest ann = guest_of("ann", "room"), bob = guest_of("bob", "room");
	world_call(world, 0, guest_come, &ann);
	await_told(&listener, "+ann ");
	world_call(world, far, guest_come, &bob);
	await_told(&listener, "+ann +bob ");
	for (unsigned i = 0; i < 20; i++) {
		world_call(world, i % 2 ? far : 0, guest_go, &ann);
		world_call(world, i % 2 ? 0 : far, guest_come, &ann);
	}
	world_call(world, far, guest_go, &bob);
	world_call(world, 0, guest_go, &ann);
	world_call(world, 0, guest_come, &ann);
	await_connections(world, "bob", 0);
	await_connections(world, "ann", 1);
	atomic_store(&world->env.ahead_ms, 5000);
	world_call(world, 0, nothing, NULL); /* it looks at the clock */
	await_told(&listener, "+ann +bob -bob ");
	await_connections(world, "ann", 1);
	world_call(world, 0, guest_go, &ann);
	world_call(world, 0, listener_go, &listener);
	buf_finish(&listener.told);
	end_world(world);
}

static void
there_is_room_for_so_many_and_others_are_counted(void **state)
{
	struct world *world = open_world(state, 0, 2);
	static const char *const names[] = {"a", "b", "c", "d"};
	struct guest guests[4];
	make(world, "room");
	for (size_t i = 0; i < 4; i++) {
		guests[i] = guest_of(names[i], "room");
		world_call(world, 0, guest_come, &guests[i]);
		if (i < 2)
			await_connections(world, names[i], 1);
	}
	struct op op = list(world, "room", 0, 10);
	assert_int_equal(op.op.presence.members, 2);
	assert_int_equal(op.op.presence.unlisted, 2);
	assert_int_equal(connections(op.text.ptr, "b"), 1);
	assert_int_equal(connections(op.text.ptr, "c"), -1);
	buf_finish(&op.text);
	world_call(world, 0, guest_go, &guests[3]);
	world_call(world, 0, guest_go, &guests[0]);
	world_call(world, 0, guest_come, &guests[0]);
	op = list(world, "room", 0, 10);
	assert_int_equal(op.op.presence.members, 2);
	assert_int_equal(op.op.presence.unlisted, 1);
	buf_finish(&op.text);
	for (size_t i = 0; i < 3; i++)
		world_call(world, 0, guest_go, &guests[i]);
	end_world(world);
}

static void
without_presence_nothing_is_shown(void **state)
{
	struct world *world = open_world(state, 0, 100);
	struct op op = {.error = 0};
	assert_int_equal(run_op(world, &op, FLOW_CHANNEL_ADD, "plain"), 0);
	buf_finish(&op.text);
	op = list(world, "plain", 0, 10);
	assert_int_equal(op.error, -ENODATA);
	buf_finish(&op.text);
	op = list(world, "unknown", 0, 10);
	assert_int_equal(op.error, -ENOENT);
	buf_finish(&op.text);
	end_world(world);
}

static void
its_end_forgets_who_was_there(void **state)
{
	struct world *world = open_world(state, 5000, 100);
	struct guest ann = guest_of("ann", "room"), late = guest_of("bob", "room");
	for (unsigned round = 0; round < 3; round++) {
		make(world, "room");
		world_call(world, 0, guest_come, &ann);
		world_call(world, world->loop_count - 1, guest_come, &late);
		await_connections(world, "bob", 1);
		world_call(world, world->loop_count - 1, guest_go, &late);
		await_connections(world, "ann", 1);
		await_connections(world, "bob", 0);
		struct op op = {.error = 0};
		assert_int_equal(run_op(world, &op, FLOW_CHANNEL_REMOVE, "room"), 0);
		buf_finish(&op.text);
		world_call(world, 0, guest_go, &ann);
		assert_int_equal(world_stats(world).present, 0);
	}
	end_world(world);
}

enum { GUESTS = 24, NAMES = 6, STEPS = 600 };

static void
random_guests_are_listed_as_they_are(void **state)
{
	static const char *const names[NAMES] = {"a", "b", "c", "d", "e", "f"};
	struct world *world = open_world(state, 0, 100);
	const uint64_t seed = 11;
	struct prng prng = {seed};
	struct guest guests[GUESTS];
	int counts[NAMES] = {0};
	printf("seed %llu\n", (unsigned long long)seed);
	for (size_t i = 0; i < GUESTS; i++)
		guests[i] = guest_of(names[i % NAMES], "room");
	for (unsigned step = 0; step < STEPS; step++) {
		size_t i = (size_t)prng_below(&prng, GUESTS);
		struct guest *guest = &guests[i];
		if (step == 20)
			make(world, "room"); /* some are there already */
		world_call(world, (unsigned)(i / NAMES) % world->loop_count,
		    guest->here ? guest_go : guest_come, guest);
		counts[i % NAMES] += guest->here ? -1 : 1;
		guest->here = !guest->here;
		if (step < 20 || step % 8)
			continue;
		for (size_t n = 0; n < NAMES; n++)
			await_connections(world, names[n], counts[n] ? counts[n] : -1);
	}
	for (size_t i = 0; i < GUESTS; i++)
		world_call(world, (unsigned)(i / NAMES) % world->loop_count, guest_go, &guests[i]);
	end_world(world);
}

#define ON_LOOPS(test)                                                          \
	{"one loop: " #test, test, NULL, NULL, (void *)1},           \
	{"two loops: " #test, test, NULL, NULL, (void *)2}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LOOPS(a_member_is_counted_over_all_loops_and_told_once),
		ON_LOOPS(who_comes_back_in_time_has_not_left),
		ON_LOOPS(there_is_room_for_so_many_and_others_are_counted),
		ON_LOOPS(without_presence_nothing_is_shown),
		ON_LOOPS(its_end_forgets_who_was_there),
		ON_LOOPS(random_guests_are_listed_as_they_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

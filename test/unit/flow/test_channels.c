/*
 * What flow does for channels, on threads: wants are confirmed in order, messages come in the order
 * of their seqs and each once, views only while somebody listens, and no seq is ever used twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "world.h"

static struct world *
open_world(void **state)
{
	struct world *world = world_create((unsigned)(uintptr_t)*state);
	world_open(world);
	return world;
}

static unsigned
last_loop(const struct world *world)
{
	return world->loop_count - 1;
}

/* ── a listener on one loop ── */

struct listener {
	struct sink sink;
	const char *pattern;
	sem_t subscribed;
	uint64_t from_seq, last_seq;
	size_t count;
	struct buf text;       /* "channel data\n" of each message */
};

static void
listener_deliver(struct sink *sink, struct hub_message *message, uint64_t channels)
{
	(void)channels;
	struct listener *listener = CONTAINER_OF(sink, struct listener, sink);
	check(message->seq > listener->last_seq && message->seq > listener->from_seq);
	listener->last_seq = message->seq;
	listener->count++;
	buf_append_span(&listener->text, message->channels[0].name);
	buf_append_byte(&listener->text, ' ');
	buf_append_span(&listener->text, message->data);
	buf_append_byte(&listener->text, '\n');
}

static void
listener_subscribed(struct sink *sink, uint64_t seq)
{
	struct listener *listener = CONTAINER_OF(sink, struct listener, sink);
	listener->from_seq = seq;
	sem_post(&listener->subscribed);
}

static void
listener_begin(struct world_loop *loop, void *ctx)
{
	static const struct sink_ops ops = {
		.deliver = listener_deliver, .subscribed = listener_subscribed,
	};
	struct listener *listener = ctx;
	hub_sink_init(&listener->sink, &ops);
	check(hub_subscribe(loop->hub, &listener->sink, SPAN("main"),
	    span_str(listener->pattern)) == 0);
}

static void
listener_end(struct world_loop *loop, void *ctx)
{
	struct listener *listener = ctx;
	hub_unsubscribe_all(loop->hub, &listener->sink);
}

static void
listen(struct world *world, unsigned loop, struct listener *listener, const char *pattern)
{
	*listener = (struct listener){.pattern = pattern};
	buf_init(&listener->text, 0);
	sem_init(&listener->subscribed, 0, 0);
	world_call(world, loop, listener_begin, listener);
	sem_wait(&listener->subscribed);
	sem_destroy(&listener->subscribed);
}

static void
unlisten(struct world *world, unsigned loop, struct listener *listener)
{
	world_call(world, loop, listener_end, listener);
}

/* What it heard; forgets it. */
static void
heard(struct listener *listener, const char *must)
{
	buf_append_byte(&listener->text, '\0');
	assert_string_equal(listener->text.ptr, must);
	buf_clear(&listener->text);
}

/* ── publishing ── */

struct publishing {
	struct flow_publish publish;
	const char *channel, *data;
	struct span name;
	sem_t done;
	int error;
	uint64_t seq;
	size_t delivered;
};

static void
publish_done(struct flow_publish *publish, int error)
{
	struct publishing *publishing = CONTAINER_OF(publish, struct publishing, publish);
	publishing->error = error;
	publishing->seq = publish->seq;
	publishing->delivered = atomic_load(&publish->delivered);
	sem_post(&publishing->done);
}

static void
publish_begin(struct world_loop *loop, void *ctx)
{
	struct publishing *publishing = ctx;
	publishing->name = span_str(publishing->channel);
	publishing->publish = (struct flow_publish){
		.tenant = SPAN("main"), .principal = SPAN("app-test"),
		.channels = &publishing->name, .channel_count = 1,
		.data = span_str(publishing->data), .done = publish_done,
	};
	flow_publish(loop->flow, &publishing->publish);
}

static int
publish(struct world *world, unsigned loop, const char *channel, const char *data,
    uint64_t *ret_seq, size_t *ret_delivered)
{
	struct publishing publishing = {.channel = channel, .data = data};
	sem_init(&publishing.done, 0, 0);
	world_call(world, loop, publish_begin, &publishing);
	sem_wait(&publishing.done);
	sem_destroy(&publishing.done);
	*ret_seq = publishing.seq;
	*ret_delivered = publishing.delivered;
	return publishing.error;
}

static void
listeners_hear_what_is_published_after_they_subscribed(void **state)
{
	struct world *world = open_world(state);
	struct listener first, second;
	uint64_t seq, before;
	size_t delivered;
	assert_int_equal(publish(world, 0, "a", "0", &before, &delivered), 0);
	assert_int_equal(delivered, 0);
	listen(world, 0, &first, "a");
	listen(world, last_loop(world), &second, "#");
	assert_int_equal(publish(world, last_loop(world), "a", "1", &seq, &delivered), 0);
	assert_int_equal(delivered, 2);
	assert_true(seq > before && first.from_seq >= before);
	assert_int_equal(publish(world, 0, "b/c", "2", &seq, &delivered), 0);
	assert_int_equal(delivered, 1);
	unlisten(world, 0, &first);
	assert_int_equal(publish(world, 0, "a", "3", &seq, &delivered), 0);
	assert_int_equal(delivered, 1);
	unlisten(world, last_loop(world), &second);
	assert_int_equal(publish(world, 0, "a", "4", &seq, &delivered), 0);
	assert_int_equal(delivered, 0);
	heard(&first, "a 1\n");
	heard(&second, "a 1\nb/c 2\na 3\n");
	buf_finish(&first.text);
	buf_finish(&second.text);
	world_close(world, false);
	world_destroy(world);
}

/* Many at once, from all loops, mixed with records. */
static void
messages_come_in_order_each_once(void **state)
{
	enum { COUNT = 300 };
	struct world *world = open_world(state);
	struct publishing *all = calloc(COUNT, sizeof *all);
	struct listener listeners[2];
	assert_non_null(all);
	listen(world, 0, &listeners[0], "a/+");
	listen(world, last_loop(world), &listeners[1], "#");
	for (int i = 0; i < COUNT; i++) {
		all[i] = (struct publishing){.channel = i % 3 ? "a/b" : "b", .data = "1"};
		sem_init(&all[i].done, 0, 0);
		world_call(world, (unsigned)i % world->loop_count, publish_begin, &all[i]);
		if (i % 50 == 0)
			assert_int_equal(world_append(world, 0, "w,device=1 a=1"), 0);
	}
	for (int i = 0; i < COUNT; i++) {
		sem_wait(&all[i].done);
		sem_destroy(&all[i].done);
		assert_int_equal(all[i].error, 0);
		assert_int_equal(all[i].delivered, i % 3 ? 2 : 1);
	}
	unlisten(world, 0, &listeners[0]);
	unlisten(world, last_loop(world), &listeners[1]);
	assert_int_equal(listeners[0].count, COUNT - COUNT / 3);
	/* '#' hears the views, too. */
	assert_int_equal(listeners[1].count, COUNT + 6);
	buf_finish(&listeners[0].text);
	buf_finish(&listeners[1].text);
	free(all);
	world_close(world, false);
	world_destroy(world);
}

/* ── views ── */

static void
views_come_while_somebody_listens(void **state)
{
	struct world *world = open_world(state);
	struct listener all, one;
	assert_int_equal(world_append(world, 0, "w,device=1 a=1 1"), 0);
	listen(world, last_loop(world), &all, "readings/#");
	assert_int_equal(world_append(world, 0, "w,device=1,x=y a=1.5 5\nv b=2 6\n"), 0);
	listen(world, 0, &one, "readings/2/+");
	assert_int_equal(world_append(world, last_loop(world),
	    "w,device=2 a=3,s=\"t\" 7\nw,device=a/b a=4 8"), 0);
	/* Once it is answered the loops have it in their queues: a round brings it out. */
	free(world_points(world, 0, NULL));
	unlisten(world, last_loop(world), &all);
	assert_int_equal(world_append(world, 0, "w,device=1 a=9 9"), 0);
	free(world_points(world, 0, NULL));
	unlisten(world, 0, &one);
	heard(&one, "readings/2/w.a {\"metric\":\"w.a\",\"device\":\"2\",\"tags\":{\"device\":"
	    "\"2\"},\"time\":7,\"value\":3}\n");
	assert_int_equal(all.count, 4);
	buf_append_byte(&all.text, '\0');
	assert_non_null(strstr(all.text.ptr, "readings/1/w.a {\"metric\":\"w.a\",\"device\":\"1\","
	    "\"tags\":{\"device\":\"1\",\"x\":\"y\"},\"time\":5,\"value\":1.5}\n"));
	assert_non_null(strstr(all.text.ptr, "readings/-/v.b {\"metric\":\"v.b\",\"device\":null,"
	    "\"tags\":{},\"time\":6,\"value\":2}\n"));
	assert_non_null(strstr(all.text.ptr, "readings/a%2Fb/w.a {"));
	buf_finish(&all.text);
	buf_finish(&one.text);
	world_close(world, false);
	world_destroy(world);
}

/* ── numbers ── */

static void
seqs_after_a_restart_lie_above_all_before(void **state)
{
	struct world *world = open_world(state);
	uint64_t last = 0, seq;
	size_t delivered;
	for (int life = 0; life < 4; life++) {
		for (int i = 0; i < 5; i++) {
			assert_int_equal(publish(world, last_loop(world), "a", "1", &seq,
			    &delivered), 0);
			assert_true(seq > last);
			last = seq;
			if (life == 2)
				continue; /* a life without records */
			assert_int_equal(world_append_seq(world, 0, "w,device=1 a=1,b=2 1", &seq),
			    0);
			assert_true(seq > last);
			last = seq + 2; /* one for each point */
		}
		world_close(world, life % 2);
		world_open(world);
	}
	assert_int_equal(publish(world, 0, "a", "1", &seq, &delivered), 0);
	assert_true(seq > last);
	world_close(world, false);
	world_destroy(world);
}

static void
what_cannot_be_numbered_on_disk_is_not_heard(void **state)
{
	struct world *world = world_create((unsigned)(uintptr_t)*state);
	struct listener listener;
	uint64_t seq, failed;
	size_t delivered;
	/* Full from the start: not even the first range can be reserved. */
	world_open(world);
	world_close(world, false);
	atomic_store(&world->env.journal_full, true);
	world_open(world);
	listen(world, last_loop(world), &listener, "a");
	assert_int_equal(publish(world, 0, "a", "1", &failed, &delivered), -ENOSPC);
	assert_int_equal(delivered, 0);
	assert_int_equal(publish(world, last_loop(world), "a", "2", &failed, &delivered), -ENOSPC);
	atomic_store(&world->env.journal_full, false);
	int error = publish(world, 0, "a", "3", &seq, &delivered);
	/* The range that was asked for meanwhile may have failed, too; the next one is good. */
	if (error)
		error = publish(world, 0, "a", "3", &seq, &delivered);
	assert_int_equal(error, 0);
	assert_int_equal(delivered, 1);
	assert_true(seq > failed);
	unlisten(world, last_loop(world), &listener);
	heard(&listener, "a 3\n");
	buf_finish(&listener.text);
	world_close(world, false);
	world_destroy(world);
}

/* The next range of seqs is asked for when half of one is used: whoever publishes meanwhile does
 * not wait for the disk. */
static void
nobody_waits_while_the_next_seqs_are_reserved(void **state)
{
	enum { STEP = 64 };
	struct world *world = world_create((unsigned)(uintptr_t)*state);
	uint64_t seq = 0, held, last = 0;
	size_t delivered;
	world->options.reserve_step = STEP;
	world_open(world);
	for (int i = 0; i < 5 * STEP; i++) {
		assert_int_equal(publish(world, last_loop(world), "a", "1", &seq, &delivered), 0);
		assert_true(seq > last);
		last = seq;
	}
	/* More than a range in all, but never more than half of one that the disk does not know. */
	for (int round = 0; round < 4; round++) {
		while (flow_intake_bytes(world->flow)) /* of the last record that reserves */
			assert_int_equal(publish(world, 0, "b", "1", &seq, &delivered), 0);
		atomic_store(&world->env.journal_held, true);
		for (held = seq; seq < held + STEP / 2 - 10;)
			assert_int_equal(publish(world, last_loop(world), "a", "2", &seq,
			    &delivered), 0);
		atomic_store(&world->env.journal_held, false);
	}
	for (int i = 0; i < STEP; i++)
		assert_int_equal(publish(world, 0, "a", "3", &seq, &delivered), 0);
	last = seq;
	world_close(world, false);
	world_open(world);
	assert_int_equal(publish(world, 0, "a", "4", &seq, &delivered), 0);
	assert_true(seq > last);
	world_close(world, false);
	world_destroy(world);
}

#define BOTH(test)                                               \
	{"one loop: " #test, test, NULL, NULL, (void *)1},       \
	{                                                        \
		"two loops: " #test, test, NULL, NULL, (void *)2 \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(listeners_hear_what_is_published_after_they_subscribed),
		BOTH(messages_come_in_order_each_once),
		BOTH(views_come_while_somebody_listens),
		BOTH(seqs_after_a_restart_lie_above_all_before),
		BOTH(what_cannot_be_numbered_on_disk_is_not_heard),
		BOTH(nobody_waits_while_the_next_seqs_are_reserved),
	};
	return cmocka_run_group_tests_name("flow_channels", tests, NULL, NULL);
}

/*
 * hub_broadcast.c: messages on their way to very many: told in pieces, a bounded number of sinks a
 * turn, so that a loop does not stand still while it speaks to all.
 *
 * A broadcast is what a topic owes: messages, oldest first, and those of its subscriptions that
 * have not been looked at in this pass. A sink is given all that it is owed at once, so what is
 * published meanwhile leaves in the same write. A pass ends when everybody was looked at; messages
 * that came before it began are then forgotten, and what came later makes another pass. Topics take
 * turns.
 *
 * Invariants: a sink has had every live message up to seq_last that it was to have, over all of its
 * subscriptions, so seq_last and `from` tell what a topic still owes it; whoever is given a message
 * is first given what is owed to it from before (hub_broadcast_serve); a message that is here
 * matched no other topic. What is owed is bounded: above it all is told at once.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "hub_local_priv.h"

enum {
	SINKS_A_TURN = 32,        /* a quarter of a millisecond of writes */
	SINKS_A_TOPIC = 16,       /* then it is another one's turn */
	LOOKS_A_SINK = 16,        /* at such as have all, which cost little */
	MESSAGES_MAX = 1024,
	BYTES_MAX = 64 * 1024,    /* of data */
	RUNS = 4,
};

/* Messages that many are given together. */
struct run {
	struct hub_run run;       /* count 0: none */
	uint64_t seq_first, seq_last;
};

struct hub_broadcast {
	struct list link;         /* in hub_local.broadcasts */
	struct topic *topic;
	struct list owed;         /* of hub_subscription.link: not looked at in this pass */
	uint64_t pass_seq;        /* of the last message there was when it began */
	struct hub_message **messages;
	size_t count, cap, bytes;
	struct run runs[RUNS];
};

static void broadcast_run(struct loop_task *task);

void
hub_broadcast_init(struct hub_local *local)
{
	list_init(&local->broadcasts);
	loop_task_init(&local->broadcast_task, broadcast_run);
}

void
hub_broadcast_finish(struct hub_local *local)
{
	check(list_empty(&local->broadcasts));
	loop_task_cancel(&local->broadcast_task);
}

bool
hub_broadcast_wanted(const struct topic *topic)
{
	return topic->broadcast || topic->count > HUB_BROADCAST_MIN;
}

/* ── messages ── */

static void
forget_runs(struct hub_broadcast *broadcast)
{
	for (size_t i = 0; i < RUNS; i++) {
		hub_run_finish(&broadcast->runs[i].run);
		broadcast->runs[i] = (struct run){0};
	}
}

/* Those up to this seq. */
static void
forget_messages(struct hub_broadcast *broadcast, uint64_t seq)
{
	size_t gone = 0;
	while (gone < broadcast->count && broadcast->messages[gone]->seq <= seq) {
		broadcast->bytes -= broadcast->messages[gone]->data.len;
		hub_message_unref(broadcast->messages[gone++]);
	}
	broadcast->count -= gone;
	memmove(broadcast->messages, broadcast->messages + gone,
	    broadcast->count * sizeof(broadcast->messages[0]));
}

static int
reserve(struct hub_broadcast *broadcast, size_t more)
{
	if (broadcast->count + more <= broadcast->cap)
		return 0;
	size_t cap = MAX(broadcast->cap * 2, broadcast->count + more);
	void *grown = realloc(broadcast->messages, cap * sizeof(broadcast->messages[0]));
	if (!grown)
		return -ENOMEM;
	broadcast->messages = grown;
	broadcast->cap = cap;
	return 0;
}

/* The first one behind this seq. */
static size_t
find_behind(const struct hub_broadcast *broadcast, uint64_t seq)
{
	size_t low = 0, high = broadcast->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (broadcast->messages[middle]->seq > seq)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* ── passes ── */

/* All subscriptions in force are owed something again. */
static void
begin_pass(struct hub_broadcast *broadcast)
{
	struct list *live = &broadcast->topic->live;
	broadcast->pass_seq = broadcast->messages[broadcast->count - 1]->seq;
	if (list_empty(live))
		return;
	/* The head of what is owed takes the place of the other in the ring. */
	list_push_back(live, &broadcast->owed);
	list_remove(live);
}

static void
broadcast_free(struct hub_broadcast *broadcast)
{
	broadcast->topic->broadcast = NULL;
	list_remove(&broadcast->link);
	forget_runs(broadcast);
	forget_messages(broadcast, UINT64_MAX);
	free(broadcast->messages);
	free(broadcast);
}

/* Everybody was looked at. Whether there is still something to tell. */
static bool
end_pass(struct hub_broadcast *broadcast)
{
	forget_messages(broadcast, broadcast->pass_seq);
	if (broadcast->count) {
		begin_pass(broadcast);
		return true;
	}
	broadcast_free(broadcast);
	return false;
}

void
hub_broadcast_drop(struct topic *topic)
{
	if (topic->broadcast)
		broadcast_free(topic->broadcast);
}

static int
broadcast_create(struct hub_local *local, struct topic *topic)
{
	struct hub_broadcast *broadcast = calloc(1, sizeof(*broadcast));
	if (!broadcast)
		return -ENOMEM;
	broadcast->topic = topic;
	list_init(&broadcast->owed);
	list_push_back(&local->broadcasts, &broadcast->link);
	topic->broadcast = broadcast;
	return 0;
}

int
hub_broadcast_add(struct hub_local *local, struct topic *topic,
    struct hub_message *const *messages, size_t count)
{
	struct hub_broadcast *broadcast = topic->broadcast;
	if (broadcast && (broadcast->count + count > MESSAGES_MAX || broadcast->bytes > BYTES_MAX))
		hub_broadcast_complete(local, topic);
	bool begun = topic->broadcast;
	int error = begun ? 0 : broadcast_create(local, topic);
	if (error)
		return error;
	broadcast = topic->broadcast;
	error = reserve(broadcast, count);
	if (error) {
		if (!begun)
			broadcast_free(broadcast);
		return error;
	}
	for (size_t i = 0; i < count; i++) {
		broadcast->messages[broadcast->count++] = hub_message_ref(messages[i]);
		broadcast->bytes += messages[i]->data.len;
	}
	if (!begun)
		begin_pass(broadcast);
	loop_task_queue(local->loop, LOOP_WORK, &local->broadcast_task);
	return 0;
}

/* ── sinks ── */

/* The run of these messages: who came before was mostly owed the same. */
static struct hub_run *
run_of(struct hub_broadcast *broadcast, size_t at, size_t count, size_t number)
{
	struct run *run = &broadcast->runs[number % RUNS];
	uint64_t first = broadcast->messages[at]->seq;
	uint64_t last = broadcast->messages[at + count - 1]->seq;
	if (run->run.count != count || run->seq_first != first || run->seq_last != last) {
		hub_run_finish(&run->run);
		*run = (struct run){.run.count = count, .seq_first = first, .seq_last = last};
	}
	run->run.messages = &broadcast->messages[at];
	return &run->run;
}

/* Gives all from this one on. */
static void
give(struct hub_broadcast *broadcast, struct sink *sink, size_t at)
{
	size_t number = 0;
	sink->seq_last = broadcast->messages[broadcast->count - 1]->seq;
	while (at < broadcast->count) {
		size_t count = MIN(broadcast->count - at, (size_t)HUB_RUN_MAX);
		if (count > 1 && sink->ops->deliver_run) {
			sink->ops->deliver_run(sink, run_of(broadcast, at, count, number++));
			at += count;
		} else {
			sink->ops->deliver(sink, broadcast->messages[at++], HUB_ALL_CHANNELS);
		}
	}
}

/* What its topic owes the sink of a subscription begins here; its `count`: nothing. */
static size_t
owed_from(const struct hub_broadcast *broadcast, const struct hub_subscription *subscription)
{
	uint64_t seq = MAX(subscription->from, subscription->sink->seq_last);
	return find_behind(broadcast, seq);
}

void
hub_broadcast_serve(struct hub_local *local, struct sink *sink)
{
	if (list_empty(&local->broadcasts))
		return;
	for (;;) {
		struct hub_broadcast *first = NULL;
		size_t first_at = 0, several = 0;
		for (struct hub_subscription *at = sink->subscriptions; at; at = at->next) {
			struct hub_broadcast *broadcast = at->topic->broadcast;
			size_t begin = broadcast ? owed_from(broadcast, at) : 0;
			if (!broadcast || begin == broadcast->count)
				continue;
			several++;
			if (first && first->messages[first_at]->seq <=
			    broadcast->messages[begin]->seq)
				continue;
			first = broadcast;
			first_at = begin;
		}
		if (several <= 1) {
			if (first)
				give(first, sink, first_at);
			return;
		}
		/* Of several topics: one by one, in the order of their seqs. */
		sink->seq_last = first->messages[first_at]->seq;
		sink->ops->deliver(sink, first->messages[first_at], HUB_ALL_CHANNELS);
	}
}

/* Looks at the next one. Whether it was given something. */
static bool
tell_next(struct hub_local *local, struct hub_broadcast *broadcast)
{
	struct list *link = broadcast->owed.next;
	struct hub_subscription *subscription = CONTAINER_OF(link, struct hub_subscription, link);
	struct sink *sink = subscription->sink;
	list_remove(link);
	list_push_back(&broadcast->topic->live, link);
	size_t at = owed_from(broadcast, subscription);
	if (at == broadcast->count)
		return false;
	if (!sink->subscriptions->next)
		give(broadcast, sink, at);
	else
		hub_broadcast_serve(local, sink);
	return true;
}

void
hub_broadcast_complete(struct hub_local *local, struct topic *topic)
{
	struct hub_broadcast *broadcast = topic->broadcast;
	while (broadcast) {
		while (!list_empty(&broadcast->owed))
			tell_next(local, broadcast);
		if (!end_pass(broadcast))
			return;
	}
}

static void
broadcast_run(struct loop_task *task)
{
	struct hub_local *local = CONTAINER_OF(task, struct hub_local, broadcast_task);
	size_t sinks = 0, looks = 0;
	while (!list_empty(&local->broadcasts) && sinks < SINKS_A_TURN &&
	    looks < SINKS_A_TURN * LOOKS_A_SINK) {
		struct hub_broadcast *broadcast =
		    CONTAINER_OF(local->broadcasts.next, struct hub_broadcast, link);
		size_t end = sinks + SINKS_A_TOPIC;
		size_t looks_end = looks + SINKS_A_TOPIC * LOOKS_A_SINK;
		while (!list_empty(&broadcast->owed) && sinks < end && looks++ < looks_end)
			sinks += tell_next(local, broadcast);
		if (list_empty(&broadcast->owed) && !end_pass(broadcast))
			continue;
		list_remove(&broadcast->link);
		list_push_back(&local->broadcasts, &broadcast->link);
	}
	if (!list_empty(&local->broadcasts))
		loop_task_queue(local->loop, LOOP_WORK, &local->broadcast_task);
}

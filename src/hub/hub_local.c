/*
 * hub_local.c: a loop's half: its subscriptions, and the way of a message to their sinks.
 *
 * A topic is a pattern that this loop wants, told to the sequencer once however many sinks have
 * it. Its life: *pending* until the sequencer confirms it (tokens rise, and so do confirmations),
 * then in force; a subscriber that comes later is *joining* until the next settling, which
 * confirms it with the position of the loop's queue: everything behind that position is still to
 * come and will reach it.
 *
 * Invariants: a subscription lies in exactly one of its topic's lists, `waiting` until it is
 * confirmed, `live` after; a topic without subscriptions is gone; a topic's link lies in `pending`
 * while its token is not 0, in `joining` while it is in force and somebody waits.
 */
#include "hub.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "hub_priv.h"
#include "list.h"
#include "loop.h"

struct topic {
	struct hub_entry entry;
	struct list live, waiting; /* of hub_subscription.link */
	struct list link;
	uint64_t token;            /* of the want that is not confirmed yet; else 0 */
	char text[];
};

/* 40 bytes: there are very many. */
struct hub_subscription {
	struct list link;
	struct topic *topic;
	struct sink *sink;
	struct hub_subscription *next; /* of the same sink */
};

struct hub_local {
	struct loop *loop;
	const struct hub_hooks *hooks;
	void *ctx;
	struct hub_index topics;
	struct list pending, joining; /* of topic.link; pending in the order of tokens */
	struct loop_task settle_task;
	uint64_t token_last;
	uint64_t seq;                 /* the queue has been worked off up to here */
	struct hub_stats stats;
};

static void settle_run(struct loop_task *task);

int
hub_local_create(struct loop *loop, const struct hub_hooks *hooks, void *ctx,
    struct hub_local **ret_local)
{
	struct hub_local *local = calloc(1, sizeof(*local));
	if (!local)
		return -ENOMEM;
	local->loop = loop;
	local->hooks = hooks;
	local->ctx = ctx;
	hub_index_init(&local->topics, (uint64_t)(uintptr_t)local);
	list_init(&local->pending);
	list_init(&local->joining);
	loop_task_init(&local->settle_task, settle_run);
	*ret_local = local;
	return 0;
}

static void
topic_drop(struct hub_entry *entry)
{
	check(!entry); /* there is none left: every sink has unsubscribed */
}

void
hub_local_destroy(struct hub_local *local)
{
	if (!local)
		return;
	loop_task_cancel(&local->settle_task);
	hub_index_finish(&local->topics, topic_drop);
	free(local);
}

void
hub_sink_init(struct sink *sink, const struct sink_ops *ops)
{
	*sink = (struct sink){.ops = ops};
}

static int
tell_want(struct hub_local *local, struct topic *topic, bool wanted, uint64_t token)
{
	return local->hooks->want(local->ctx, loop_index(local->loop),
	    hub_entry_tenant(&topic->entry), hub_entry_pattern(&topic->entry), wanted, token);
}

static int
topic_create(struct hub_local *local, struct span tenant, struct span pattern,
    struct topic **ret_topic)
{
	struct topic *topic = malloc(sizeof(*topic) + tenant.len + pattern.len);
	if (!topic)
		return -ENOMEM;
	list_init(&topic->live);
	list_init(&topic->waiting);
	list_init(&topic->link);
	int error = hub_index_add(&local->topics, &topic->entry, tenant, pattern, topic->text);
	if (error)
		goto fail;
	topic->token = ++local->token_last;
	error = tell_want(local, topic, true, topic->token);
	if (error) {
		hub_index_remove(&local->topics, &topic->entry);
		goto fail;
	}
	list_push_back(&local->pending, &topic->link);
	*ret_topic = topic;
	return 0;
fail:
	free(topic);
	return error;
}

/* Somebody left. The topic goes when nobody is left. */
static void
topic_release(struct hub_local *local, struct topic *topic)
{
	if (!list_empty(&topic->waiting))
		return;
	list_remove(&topic->link);
	if (!list_empty(&topic->live))
		return;
	tell_want(local, topic, false, 0);
	hub_index_remove(&local->topics, &topic->entry);
	free(topic);
}

static struct hub_subscription **
find_place(struct sink *sink, const struct topic *topic)
{
	struct hub_subscription **at = &sink->subscriptions;
	while (*at && (*at)->topic != topic)
		at = &(*at)->next;
	return at;
}

static bool
text_fits(struct span tenant, struct span pattern)
{
	const char *reason;
	return tenant.len <= HUB_TENANT_BYTES_MAX && hub_pattern_check(pattern, &reason) == 0;
}

int
hub_subscribe(struct hub_local *local, struct sink *sink, struct span tenant, struct span pattern)
{
	if (!text_fits(tenant, pattern))
		return -EINVAL;
	struct topic *topic = (struct topic *)hub_index_get(&local->topics, tenant, pattern);
	if (topic && *find_place(sink, topic))
		return -EEXIST;
	struct hub_subscription *subscription = malloc(sizeof(*subscription));
	if (!subscription)
		return -ENOMEM;
	int error = topic ? 0 : topic_create(local, tenant, pattern, &topic);
	if (error) {
		free(subscription);
		return error;
	}
	if (!topic->token && list_empty(&topic->waiting)) {
		list_push_back(&local->joining, &topic->link);
		loop_task_queue(local->loop, LOOP_FLUSH, &local->settle_task);
	}
	if (!sink->subscriptions)
		local->stats.sinks++;
	local->stats.subscriptions++;
	*subscription = (struct hub_subscription){
		.topic = topic, .sink = sink, .next = sink->subscriptions,
	};
	sink->subscriptions = subscription;
	sink->waiting++;
	list_push_back(&topic->waiting, &subscription->link);
	return 0;
}

static bool
is_waiting(const struct hub_subscription *subscription)
{
	const struct topic *topic = subscription->topic;
	if (list_empty(&topic->waiting) || list_empty(&topic->live))
		return list_empty(&topic->live);
	LIST_FOREACH(link, &topic->waiting) {
		if (link == &subscription->link)
			return true;
	}
	return false;
}

static void
drop_subscription(struct hub_local *local, struct hub_subscription **at)
{
	struct hub_subscription *subscription = *at;
	struct topic *topic = subscription->topic;
	*at = subscription->next;
	if (is_waiting(subscription))
		subscription->sink->waiting--;
	list_remove(&subscription->link);
	local->stats.subscriptions--;
	if (!subscription->sink->subscriptions)
		local->stats.sinks--;
	free(subscription);
	topic_release(local, topic);
}

int
hub_unsubscribe(struct hub_local *local, struct sink *sink, struct span tenant,
    struct span pattern)
{
	if (!text_fits(tenant, pattern))
		return -ENOENT;
	struct topic *topic = (struct topic *)hub_index_get(&local->topics, tenant, pattern);
	if (!topic)
		return -ENOENT;
	struct hub_subscription **at = find_place(sink, topic);
	if (!*at)
		return -ENOENT;
	drop_subscription(local, at);
	return 0;
}

void
hub_unsubscribe_newest(struct hub_local *local, struct sink *sink)
{
	check(sink->subscriptions);
	drop_subscription(local, &sink->subscriptions);
}

void
hub_unsubscribe_all(struct hub_local *local, struct sink *sink)
{
	while (sink->subscriptions)
		drop_subscription(local, &sink->subscriptions);
}

bool
hub_sink_next(const struct sink *sink, struct hub_subscription **pos, struct span *ret_pattern)
{
	*pos = *pos ? (*pos)->next : sink->subscriptions;
	if (!*pos)
		return false;
	*ret_pattern = hub_entry_pattern(&(*pos)->topic->entry);
	return true;
}

static void
confirm_waiting(struct topic *topic, uint64_t seq)
{
	while (!list_empty(&topic->waiting)) {
		struct list *link = topic->waiting.next;
		list_remove(link);
		list_push_back(&topic->live, link);
		struct sink *sink = CONTAINER_OF(link, struct hub_subscription, link)->sink;
		sink->waiting--;
		sink->ops->subscribed(sink, seq);
	}
}

/* Confirms those who joined a topic that is in force. */
static void
settle(struct hub_local *local)
{
	while (!list_empty(&local->joining)) {
		struct topic *topic = CONTAINER_OF(local->joining.next, struct topic, link);
		list_remove(&topic->link);
		confirm_waiting(topic, local->seq);
	}
}

static void
settle_run(struct loop_task *task)
{
	settle(CONTAINER_OF(task, struct hub_local, settle_task));
}

void
hub_local_advance(struct hub_local *local, uint64_t seq)
{
	if (seq <= local->seq)
		return;
	settle(local);
	local->seq = seq;
}

void
hub_local_confirmed(struct hub_local *local, uint64_t token, uint64_t seq)
{
	hub_local_advance(local, seq);
	/* Answers come in the order of the wants, so the one in question is the first, unless it
	 * was given up meanwhile. */
	LIST_FOREACH_SAFE(link, after, &local->pending) {
		struct topic *topic = CONTAINER_OF(link, struct topic, link);
		if (topic->token > token)
			return;
		if (topic->token == token) {
			list_remove(link);
			topic->token = 0;
			confirm_waiting(topic, seq);
			return;
		}
	}
}

struct delivery {
	struct hub_local *local;
	struct hub_message *message;
};

static void
deliver_topic(void *ctx, struct hub_entry *entry)
{
	const struct delivery *delivery = ctx;
	struct hub_message *message = delivery->message;
	LIST_FOREACH(link, &((struct topic *)entry)->live) {
		struct sink *sink = CONTAINER_OF(link, struct hub_subscription, link)->sink;
		if (sink->seq_last >= message->seq)
			continue;
		sink->seq_last = message->seq;
		delivery->local->stats.delivered++;
		sink->ops->deliver(sink, message);
	}
}

size_t
hub_local_deliver(struct hub_local *local, struct hub_message *message)
{
	settle(local);
	uint64_t before = local->stats.delivered;
	struct delivery delivery = {local, message};
	hub_index_match(&local->topics, message->tenant, message->channel, deliver_topic,
	    &delivery);
	if (message->seq > local->seq)
		local->seq = message->seq;
	return (size_t)(local->stats.delivered - before);
}

void
hub_local_stats(const struct hub_local *local, struct hub_stats *ret_stats)
{
	*ret_stats = local->stats;
}

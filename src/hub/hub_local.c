/*
 * hub_local.c: a loop's half: its subscriptions, and the way of a message to their sinks.
 *
 * A topic is a pattern that this loop wants, told to the sequencer once however many sinks have
 * it. Its life: *pending* until the sequencer confirms it (tokens rise, and so do confirmations),
 * then in force; a subscriber that comes later is *joining* until the next settling, which
 * confirms it with the position of the loop's queue: everything behind that position is still to
 * come and will reach it.
 *
 * A question (hub_catch) goes the same way as wants do, behind those of its patterns. Its
 * subscriptions stay silent until the answer is there: what was released before is in the answer,
 * what is released after comes live.
 *
 * Invariants: a subscription lies in exactly one of its topic's lists, `waiting` until it is
 * confirmed, `live` after; a topic without subscriptions is gone; a topic's link lies in `pending`
 * while its token is not 0, in `joining` while it is in force and somebody waits.
 */
#include "hub.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "hub_local_priv.h"

/* A question under way. */
struct question {
	struct list link;
	uint64_t token;
	struct sink *sink;
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
	slab_init(&local->subscriptions, sizeof(struct hub_subscription));
	list_init(&local->pending);
	list_init(&local->joining);
	list_init(&local->questions);
	loop_task_init(&local->settle_task, settle_run);
	hub_broadcast_init(local);
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
	hub_broadcast_finish(local);
	hub_index_finish(&local->topics, topic_drop);
	slab_finish(&local->subscriptions);
	free(local->matches);
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
	topic->count = topic->silent = 0;
	topic->broadcast = NULL;
	topic->shown = 0;
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
	if (topic->count)
		return;
	hub_broadcast_drop(topic);
	tell_want(local, topic, false, 0);
	hub_index_remove(&local->topics, &topic->entry);
	free(topic);
}

/* Tells that a sink came to what shows who is there, or left it. */
static void
tell_present(struct hub_local *local, const struct topic *topic, const struct sink *sink,
    bool here)
{
	struct hub_member member = {{NULL, 0}, {NULL, 0}};
	if (sink->ops->who)
		sink->ops->who(sink, &member);
	if (member.name.len)
		local->hooks->present(local->ctx, loop_index(local->loop), topic->shown, &member,
		    here);
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

/* Subscribes; `from` is SILENT, with the token of a question or without. */
static int
subscribe(struct hub_local *local, struct sink *sink, struct span tenant, struct span pattern,
    uint64_t from)
{
	if (!text_fits(tenant, pattern))
		return -EINVAL;
	struct topic *topic = (struct topic *)hub_index_get(&local->topics, tenant, pattern);
	if (topic && *find_place(sink, topic))
		return -EEXIST;
	struct hub_subscription *subscription = slab_get(&local->subscriptions);
	if (!subscription)
		return -ENOMEM;
	int error = topic ? 0 : topic_create(local, tenant, pattern, &topic);
	if (error) {
		slab_put(&local->subscriptions, subscription);
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
		.from = from, .topic = topic, .sink = sink, .next = sink->subscriptions,
	};
	sink->subscriptions = subscription;
	sink->waiting++;
	topic->silent++;
	if (topic->count++ == HUB_BROADCAST_MIN)
		local->many_count++;
	list_push_back(&topic->waiting, &subscription->link);
	if (topic->shown)
		tell_present(local, topic, sink, true);
	return 0;
}

int
hub_subscribe(struct hub_local *local, struct sink *sink, struct span tenant, struct span pattern)
{
	return subscribe(local, sink, tenant, pattern, SILENT);
}

static void
drop_subscription(struct hub_local *local, struct hub_subscription **at)
{
	struct hub_subscription *subscription = *at;
	struct topic *topic = subscription->topic;
	*at = subscription->next;
	if (subscription->from & SILENT) {
		subscription->sink->waiting--;
		topic->silent--;
	}
	list_remove(&subscription->link);
	if (--topic->count == HUB_BROADCAST_MIN)
		local->many_count--;
	local->stats.subscriptions--;
	if (!subscription->sink->subscriptions)
		local->stats.sinks--;
	if (topic->shown)
		tell_present(local, topic, subscription->sink, false);
	slab_put(&local->subscriptions, subscription);
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

static void
question_drop(struct question *question)
{
	question->sink->asking--;
	list_remove(&question->link);
	free(question);
}

void
hub_forget(struct hub_local *local, const struct sink *sink, uint64_t token)
{
	LIST_FOREACH_SAFE(link, after, &local->questions) {
		struct question *question = CONTAINER_OF(link, struct question, link);
		if (question->sink == sink && question->token == token)
			question_drop(question);
	}
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
	if (sink->asking == 0)
		return;
	LIST_FOREACH_SAFE(link, after, &local->questions) {
		struct question *question = CONTAINER_OF(link, struct question, link);
		if (question->sink == sink)
			question_drop(question);
	}
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
		struct hub_subscription *subscription =
		    CONTAINER_OF(link, struct hub_subscription, link);
		list_remove(link);
		list_push_back(&topic->live, link);
		if (subscription->from != SILENT)
			continue; /* a question comes first */
		struct sink *sink = subscription->sink;
		subscription->from = seq;
		sink->waiting--;
		topic->silent--;
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

/* ── questions ── */

static int
question_send(struct hub_local *local, struct sink *sink, const struct hub_question *asked,
    uint64_t token)
{
	struct question *question = malloc(sizeof(*question));
	if (!question)
		return -ENOMEM;
	int error = local->hooks->ask(local->ctx, loop_index(local->loop), asked, token);
	if (error) {
		free(question);
		return error;
	}
	*question = (struct question){.token = token, .sink = sink};
	list_push_back(&local->questions, &question->link);
	sink->asking++;
	return 0;
}

int
hub_catch(struct hub_local *local, struct sink *sink, const struct hub_question *question,
    bool stay, uint64_t *ret_token)
{
	const struct hub_subscription *before = sink->subscriptions;
	uint64_t token = ++local->token_last;
	int error = 0;
	for (size_t i = 0; i < question->pattern_count && !error; i++) {
		if (stay)
			error = subscribe(local, sink, question->tenant, question->patterns[i],
			    SILENT | token);
		else if (!text_fits(question->tenant, question->patterns[i]))
			error = -EINVAL;
	}
	if (!error)
		error = question_send(local, sink, question, token);
	while (error && sink->subscriptions != before)
		hub_unsubscribe_newest(local, sink);
	if (!error)
		*ret_token = token;
	return error;
}

int
hub_catch_go_on(struct hub_local *local, struct sink *sink, const struct hub_question *rest,
    uint64_t *token)
{
	uint64_t next = ++local->token_last;
	int error = question_send(local, sink, rest, next);
	if (error)
		return error;
	for (struct hub_subscription *at = sink->subscriptions; at; at = at->next) {
		if (at->from == (SILENT | *token))
			at->from = SILENT | next;
	}
	*token = next;
	return 0;
}

/* Whether the sink had this message live already, by a subscription that was in force then. */
static bool
had(const struct sink *sink, const struct hub_message *message)
{
	for (const struct hub_subscription *at = sink->subscriptions; at; at = at->next) {
		struct span pattern = hub_entry_pattern(&at->topic->entry);
		if (at->from >= message->seq)
			continue;
		for (uint32_t i = 0; i < message->channel_count; i++) {
			if (hub_pattern_matches(pattern, message->channels[i].name))
				return true;
		}
	}
	return false;
}

static void
answer(struct hub_local *local, struct sink *sink, const struct hub_caught *caught,
    struct hub_message *const *messages, size_t count)
{
	hub_broadcast_serve(local, sink);
	if (caught->answer.gap)
		sink->ops->gap(sink);
	for (size_t i = 0; i < count; i++) {
		if (had(sink, messages[i]))
			continue;
		local->stats.delivered++;
		sink->ops->deliver(sink, messages[i], HUB_ALL_CHANNELS);
	}
	for (struct hub_subscription *at = sink->subscriptions; at; at = at->next) {
		if (at->from != (SILENT | caught->token) || caught->answer.more)
			continue;
		at->from = caught->seq;
		sink->waiting--;
		at->topic->silent--;
	}
	sink->ops->caught(sink, caught);
}

void
hub_local_caught(struct hub_local *local, const struct hub_caught *caught,
    struct hub_message *const *messages, size_t count)
{
	hub_local_advance(local, caught->seq);
	settle(local);
	LIST_FOREACH_SAFE(link, after, &local->questions) {
		struct question *question = CONTAINER_OF(link, struct question, link);
		struct sink *sink = question->sink;
		if (question->token > caught->token)
			return;
		if (question->token < caught->token)
			continue;
		question_drop(question);
		answer(local, sink, caught, messages, count);
		return;
	}
}

/* ── delivery ── */

struct delivery {
	struct hub_local *local;
	struct hub_message *message;
	uint64_t channel; /* the one that is looked at, as a bit */
};

static void
deliver_topic(void *ctx, struct hub_entry *entry)
{
	const struct delivery *delivery = ctx;
	struct hub_message *message = delivery->message;
	LIST_FOREACH(link, &((struct topic *)entry)->live) {
		const struct hub_subscription *subscription =
		    CONTAINER_OF(link, struct hub_subscription, link);
		struct sink *sink = subscription->sink;
		if (sink->seq_last >= message->seq || subscription->from >= message->seq)
			continue;
		hub_broadcast_serve(delivery->local, sink);
		sink->seq_last = message->seq;
		delivery->local->stats.delivered++;
		sink->ops->deliver(sink, message, HUB_ALL_CHANNELS);
	}
}

static void
match_add(struct hub_local *local, struct sink *sink, uint64_t channels)
{
	if (local->match_count == local->match_cap) {
		size_t cap = local->match_cap ? local->match_cap * 2 : 64;
		void *grown = realloc(local->matches, cap * sizeof(*local->matches));
		if (!grown) {
			/* It hears of the message, if not of all the ways it came. */
			sink->match = UINT32_MAX;
			local->stats.delivered++;
			return;
		}
		local->matches = grown;
		local->match_cap = cap;
	}
	sink->match = (uint32_t)local->match_count;
	local->matches[local->match_count++] = (struct match){sink, channels};
}

/* Notes the sinks of a topic and through which channel they are reached. */
static void
match_topic(void *ctx, struct hub_entry *entry)
{
	const struct delivery *delivery = ctx;
	struct hub_local *local = delivery->local;
	struct hub_message *message = delivery->message;
	LIST_FOREACH(link, &((struct topic *)entry)->live) {
		const struct hub_subscription *subscription =
		    CONTAINER_OF(link, struct hub_subscription, link);
		struct sink *sink = subscription->sink;
		if (sink->seq_last > message->seq || subscription->from >= message->seq)
			continue;
		if (sink->seq_last < message->seq) {
			hub_broadcast_serve(local, sink);
			sink->seq_last = message->seq;
			match_add(local, sink, delivery->channel);
			if (sink->match == UINT32_MAX)
				sink->ops->deliver(sink, message, delivery->channel);
		} else if (sink->match != UINT32_MAX) {
			local->matches[sink->match].channels |= delivery->channel;
		}
	}
}

/* On several channels: first who is reached and how, then each gets it once. */
static void
deliver_matches(struct delivery *delivery)
{
	struct hub_local *local = delivery->local;
	struct hub_message *message = delivery->message;
	local->match_count = 0;
	for (uint32_t i = 0; i < message->channel_count; i++) {
		delivery->channel = UINT64_C(1) << i;
		hub_index_match(&local->topics, message->tenant, message->channels[i].name,
		    match_topic, delivery);
	}
	for (size_t i = 0; i < local->match_count; i++) {
		const struct match *match = &local->matches[i];
		local->stats.delivered++;
		match->sink->ops->deliver(match->sink, message, match->channels);
	}
}

/* Where a message goes. */
struct reach {
	struct topic *topic; /* the last one found */
	size_t count;
	struct hub_local *local;
};

static void
reach_topic(void *ctx, struct hub_entry *entry)
{
	struct reach *reach = ctx;
	reach->topic = (struct topic *)entry;
	reach->count++;
}

static void
complete_topic(void *ctx, struct hub_entry *entry)
{
	hub_broadcast_complete(((struct reach *)ctx)->local, (struct topic *)entry);
}

/* Whether messages, all on the same channels, are told in pieces: when they go to one topic that
 * many have. What goes to several follows what is on its way there. */
static bool
broadcast(struct hub_local *local, struct hub_message *const *messages, size_t count)
{
	const struct hub_message *first = messages[0];
	struct reach reach = {.local = local};
	if (!local->many_count && list_empty(&local->broadcasts))
		return false;
	for (uint32_t i = 0; i < first->channel_count; i++)
		hub_index_match(&local->topics, first->tenant, first->channels[i].name,
		    reach_topic, &reach);
	if (reach.count == 1 && first->channel_count == 1 && hub_broadcast_wanted(reach.topic) &&
	    hub_broadcast_add(local, reach.topic, messages, count) == 0) {
		local->stats.delivered += (reach.topic->count - reach.topic->silent) * count;
		return true;
	}
	for (uint32_t i = 0; i < first->channel_count && !list_empty(&local->broadcasts); i++)
		hub_index_match(&local->topics, first->tenant, first->channels[i].name,
		    complete_topic, &reach);
	return false;
}

size_t
hub_local_deliver(struct hub_local *local, struct hub_message *message)
{
	settle(local);
	uint64_t before = local->stats.delivered;
	struct delivery delivery = {local, message, 1};
	if (broadcast(local, &message, 1)) {
		local->seq = MAX(local->seq, message->seq);
		return (size_t)(local->stats.delivered - before);
	}
	if (message->channel_count == 1)
		hub_index_match(&local->topics, message->tenant, message->channels[0].name,
		    deliver_topic, &delivery);
	else
		deliver_matches(&delivery);
	if (message->seq > local->seq)
		local->seq = message->seq;
	return (size_t)(local->stats.delivered - before);
}

struct run_delivery {
	struct hub_local *local;
	struct hub_run run;
	size_t *delivered; /* of each message */
};

/* One after the other to a sink that does not take them together, or not all. */
static void
deliver_each(struct run_delivery *delivery, const struct hub_subscription *subscription)
{
	struct sink *sink = subscription->sink;
	for (size_t i = 0; i < delivery->run.count; i++) {
		struct hub_message *message = delivery->run.messages[i];
		if (sink->seq_last >= message->seq || subscription->from >= message->seq)
			continue;
		hub_broadcast_serve(delivery->local, sink);
		sink->seq_last = message->seq;
		delivery->delivered[i]++;
		sink->ops->deliver(sink, message, HUB_ALL_CHANNELS);
	}
}

static void
deliver_topic_run(void *ctx, struct hub_entry *entry)
{
	struct run_delivery *delivery = ctx;
	size_t count = delivery->run.count, together = 0;
	uint64_t first = delivery->run.messages[0]->seq;
	uint64_t last = delivery->run.messages[count - 1]->seq;
	LIST_FOREACH(link, &((struct topic *)entry)->live) {
		const struct hub_subscription *subscription =
		    CONTAINER_OF(link, struct hub_subscription, link);
		struct sink *sink = subscription->sink;
		/* Positions lie between releases, not within a run: then topic by topic gives
		 * each sink the same as message by message. */
		check(subscription->from < first || subscription->from >= last);
		if (subscription->from >= first || sink->seq_last >= first ||
		    !sink->ops->deliver_run) {
			deliver_each(delivery, subscription);
			continue;
		}
		hub_broadcast_serve(delivery->local, sink);
		sink->seq_last = last;
		together++;
		sink->ops->deliver_run(sink, &delivery->run);
	}
	for (size_t i = 0; i < count; i++)
		delivery->delivered[i] += together;
}

void
hub_local_deliver_run(struct hub_local *local, struct hub_message *const *messages, size_t count,
    size_t *delivered)
{
	struct run_delivery delivery = {
		.local = local,
		.run = {.messages = messages, .count = count},
		.delivered = delivered,
	};
	check(count > 0 && count <= HUB_RUN_MAX && messages[0]->channel_count == 1);
	settle(local);
	uint64_t told = local->stats.delivered;
	if (broadcast(local, messages, count)) {
		for (size_t i = 0; i < count; i++)
			delivered[i] += (size_t)(local->stats.delivered - told) / count;
		local->seq = MAX(local->seq, messages[count - 1]->seq);
		return;
	}
	size_t before = 0, after = 0;
	for (size_t i = 0; i < count; i++)
		before += delivered[i];
	hub_index_match(&local->topics, messages[0]->tenant, messages[0]->channels[0].name,
	    deliver_topic_run, &delivery);
	hub_run_finish(&delivery.run);
	for (size_t i = 0; i < count; i++)
		after += delivered[i];
	local->stats.delivered += after - before;
	if (messages[count - 1]->seq > local->seq)
		local->seq = messages[count - 1]->seq;
}

static struct hub_subscription *
find_in_force(const struct topic *topic)
{
	LIST_FOREACH(link, &topic->live) {
		struct hub_subscription *subscription =
		    CONTAINER_OF(link, struct hub_subscription, link);
		if (!(subscription->from & SILENT))
			return subscription;
	}
	return NULL;
}

/* Whose want or question is still on its way waits for another channel. */
void
hub_local_closed(struct hub_local *local, struct span tenant, const struct hub_target *channel)
{
	settle(local);
	struct topic *topic =
	    (struct topic *)hub_index_get(&local->topics, tenant, channel->name);
	struct hub_subscription *subscription;
	bool last = !topic;
	if (topic)
		hub_broadcast_complete(local, topic);
	if (topic && topic->shown == channel->id)
		topic->shown = 0; /* who was there ends with it */
	while (!last && (subscription = find_in_force(topic))) {
		struct sink *sink = subscription->sink;
		last = topic->count == 1; /* it takes the topic with it */
		drop_subscription(local, find_place(sink, topic));
		if (sink->ops->closed)
			sink->ops->closed(sink, channel);
	}
}

static void
tell_all_present(struct hub_local *local, const struct topic *topic, const struct list *list)
{
	LIST_FOREACH(link, list) {
		const struct hub_subscription *subscription =
		    CONTAINER_OF(link, struct hub_subscription, link);
		tell_present(local, topic, subscription->sink, true);
	}
}

void
hub_local_present(struct hub_local *local, struct span tenant, const struct hub_target *channel)
{
	struct topic *topic =
	    (struct topic *)hub_index_get(&local->topics, tenant, channel->name);
	if (!topic || topic->shown == channel->id)
		return; /* a want of before asked for it, too */
	topic->shown = channel->id;
	hub_broadcast_complete(local, topic);
	tell_all_present(local, topic, &topic->live);
	tell_all_present(local, topic, &topic->waiting);
}

void
hub_hurry(struct hub_local *local, struct sink *sink)
{
	hub_broadcast_serve(local, sink);
}

size_t
hub_local_count(const struct hub_local *local, struct span tenant, struct span name)
{
	const struct topic *topic = (struct topic *)hub_index_get(&local->topics, tenant, name);
	return topic ? topic->count : 0;
}

void
hub_local_stats(const struct hub_local *local, struct hub_stats *ret_stats)
{
	*ret_stats = local->stats;
}

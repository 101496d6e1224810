/*
 * channels.c: what the sequencer does for channels: numbers a message and finds its channels,
 * keeps it when it is released, answers who asks for the past, ends what has lived long enough.
 *
 * Channels are made when a message is numbered, messages are kept when they are released: so a
 * question, which is answered when it is released, finds exactly what was released before it, and
 * everything later follows live.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "flow_priv.h"
#include "hash.h"
#include "varint.h"

#define LOOK_MS_MIN 100   /* between two looks after what has ended */
#define LOOK_MS_MAX 60000 /* the clock may have been set */

/* ── idempotency keys ── */

struct key {
	struct list link;
	uint64_t hash, seq;
	int64_t time_ms;
	uint8_t tenant_len, len;
	char text[];
};

struct key_text {
	struct span tenant, text;
};

static bool
key_matches(const void *value, const void *text)
{
	const struct key *known = value;
	const struct key_text *wanted = text;
	return span_eq(span_of(known->text, known->tenant_len), wanted->tenant) &&
	    span_eq(span_of(known->text + known->tenant_len, known->len), wanted->text);
}

static uint64_t
key_hash(const struct flow *flow, const struct key_text *text)
{
	return hash64(text->text, hash64(text->tenant, (uint64_t)(uintptr_t)flow));
}

static struct key *
key_find(struct flow *flow, const struct flow_publish *publish)
{
	struct key_text text = {publish->tenant, publish->key};
	if (publish->key.len == 0)
		return NULL;
	return map_get(&flow->sequencer.channels.keys, key_hash(flow, &text), key_matches, &text);
}

static void
key_drop(struct channels *channels, struct key *key)
{
	check(map_remove(&channels->keys, key->hash, key));
	list_remove(&key->link);
	free(key);
}

int
channels_key_keep(struct flow *flow, const struct flow_publish *publish)
{
	struct channels *channels = &flow->sequencer.channels;
	struct key_text text = {publish->tenant, publish->key};
	if (publish->key.len == 0)
		return 0;
	struct key *key = malloc(sizeof *key + text.tenant.len + text.text.len);
	if (!key)
		return -ENOMEM;
	key->hash = key_hash(flow, &text);
	key->seq = publish->seq;
	key->time_ms = publish->time_ms;
	key->tenant_len = (uint8_t)text.tenant.len;
	key->len = (uint8_t)text.text.len;
	memcpy(key->text, text.tenant.ptr, text.tenant.len);
	memcpy(key->text + text.tenant.len, text.text.ptr, text.text.len);
	if (map_add(&channels->keys, key->hash, key)) {
		free(key);
		return -ENOMEM;
	}
	list_push_back(&channels->keys_by_age, &key->link);
	return 0;
}

static void
keys_expire(struct channels *channels, int64_t now_ms)
{
	while (!list_empty(&channels->keys_by_age)) {
		struct key *key = CONTAINER_OF(channels->keys_by_age.next, struct key, link);
		if (key->time_ms > now_ms - FLOW_KEY_MS)
			return;
		key_drop(channels, key);
	}
}

/* ── time ── */

/* Times never fall from one message to the next, whatever the clock does. */
static int64_t
message_time(struct flow *flow)
{
	struct channels *channels = &flow->sequencer.channels;
	channels->time_last_ms = MAX(channels->time_last_ms,
	    loop_now_ms(flow->loops[0]->loop));
	return channels->time_last_ms;
}

static void
look_at(struct flow *flow, int64_t when_ms)
{
	struct loop *loop = flow->loops[0]->loop;
	int64_t wait_ms = when_ms - loop_now_ms(loop);
	wait_ms = MAX(MIN(wait_ms, (int64_t)LOOK_MS_MAX), (int64_t)LOOK_MS_MIN);
	uint64_t at_ms = loop_mono_ms(loop) + (uint64_t)wait_ms;
	struct loop_timer *timer = &flow->sequencer.channels.look;
	if (timer->node.index && timer->node.key <= at_ms)
		return;
	/* Without memory for a timer what has ended ends with the next look. */
	(void)loop_timer_set(loop, timer, at_ms);
}

void
channels_end(struct flow *flow, struct hub_channel *channel)
{
	struct span tenant = hub_channel_tenant(channel), name = hub_channel_name(channel);
	struct flow_closed *closed = malloc(sizeof *closed + tenant.len + name.len);
	if (!closed)
		flow->options.fatal(flow->options.ctx, "no memory to end a channel", -ENOMEM);
	char *text = (char *)(closed + 1);
	memcpy(text, tenant.ptr, tenant.len);
	memcpy(text + tenant.len, name.ptr, name.len);
	closed->id = channel->id;
	closed->tenant = span_of(text, tenant.len);
	closed->name = span_of(text + tenant.len, name.len);
	presence_end(flow, channel);
	hub_channels_remove(flow->sequencer.channels.registry, channel);
	sequencer_submit(flow->loops[0], &closed->entry, FLOW_CLOSED);
}

static void
look_fire(struct loop_timer *timer)
{
	struct flow *flow = CONTAINER_OF(timer, struct flow, sequencer.channels.look);
	struct channels *channels = &flow->sequencer.channels;
	int64_t now_ms = loop_now_ms(flow->loops[0]->loop), next_ms;
	struct hub_channel *channel;
	while ((channel = hub_channels_expired(channels->registry, now_ms, &next_ms))) {
		if (channel->durable)
			channels_kept_over(flow, channel);
		else
			channels_end(flow, channel);
	}
	keys_expire(channels, now_ms);
	if (!list_empty(&channels->keys_by_age)) {
		const struct key *oldest =
		    CONTAINER_OF(channels->keys_by_age.next, struct key, link);
		next_ms = MIN(next_ms, oldest->time_ms + FLOW_KEY_MS);
	}
	if (next_ms != INT64_MAX)
		look_at(flow, next_ms);
}

/* What was published and shown before is lost, but for what is restored. */
int
channels_create(struct flow *flow)
{
	struct channels *channels = &flow->sequencer.channels;
	views_past_init(flow);
	map_init(&channels->keys);
	list_init(&channels->keys_by_age);
	channels->look.fire = look_fire;
	channels->viewed_seq = journal_next_seq(flow->options.journal) - 1;
	channels->viewed_ms = env_now_ms(flow->options.env);
	int error = presence_create(flow);
	return error ? error : hub_channels_create(flow->options.ring_bytes_max,
	    channels->viewed_seq, channels->viewed_ms, &channels->registry);
}

int
channels_start(struct flow *flow)
{
	look_at(flow, loop_now_ms(flow->loops[0]->loop));
	return presence_start(flow);
}

void
channels_finish(struct flow *flow)
{
	struct channels *channels = &flow->sequencer.channels;
	presence_destroy(channels->presences);
	if (!channels->registry)
		return;
	while (!list_empty(&channels->keys_by_age))
		key_drop(channels, CONTAINER_OF(channels->keys_by_age.next, struct key, link));
	map_finish(&channels->keys);
	hub_channels_destroy(channels->registry);
}

/* ── numbering ── */

static struct hub_channel *
channel_make(struct flow *flow, struct span tenant, struct span name, uint64_t id)
{
	struct hub_channel_spec spec = {
		.tenant = tenant, .name = name, .ttl_ms = HUB_CHANNEL_TTL_MS,
		.limits = {
			.history_ms = HUB_CHANNEL_HISTORY_MS,
			.bytes = HUB_CHANNEL_BYTES,
			.messages = HUB_CHANNEL_MESSAGES,
		},
	};
	int64_t now_ms = flow->sequencer.channels.time_last_ms;
	struct hub_channel *channel;
	if (hub_channels_add(flow->sequencer.channels.registry, id, &spec, now_ms, &channel))
		return NULL;
	look_at(flow, channel->expires_ms);
	return channel;
}

/* Channels that do not agree lose nothing silently. */
static void
slow_take(struct hub_message *like, const struct hub_channel *channel)
{
	enum hub_slow slow = MAX((enum hub_slow)channel->slow, HUB_SLOW_DISCONNECT);
	if (like->slow == HUB_SLOW_UNSAID)
		like->slow = slow;
	else if (like->slow != slow)
		like->slow = HUB_SLOW_DISCONNECT;
}

/* The channels of a message, as targets: each once; and what they say. 0, -ENOENT, -ENOMEM. */
static int
targets_find(struct flow *flow, struct flow_publish *publish, struct hub_target *targets,
    struct hub_message *like, bool *ret_durable)
{
	const struct hub_channels *registry = flow->sequencer.channels.registry;
	uint32_t count = 0;
	for (size_t i = 0; i < publish->channel_count; i++) {
		struct span name = publish->channels[i];
		struct hub_channel *channel = hub_channels_find(registry, publish->tenant, name);
		publish->unknown = i;
		if (!channel && hub_pattern_is_id(name))
			return -ENOENT;
		if (!channel)
			channel = channel_make(flow, publish->tenant, name,
			    publish->seq - publish->channel_count + i);
		if (!channel)
			return -ENOMEM;
		uint32_t at = 0;
		while (at < count && targets[at].id != channel->id)
			at++;
		if (at < count)
			continue;
		targets[count++] = (struct hub_target){hub_channel_name(channel), channel->id};
		publish->last = channel;
		*ret_durable |= channel->durable;
		slow_take(like, channel);
	}
	like->channel_count = count;
	publish->removed = hub_channels_removed(registry);
	return 0;
}

static void
put_text(struct buf *out, struct span text)
{
	unsigned char len[VARINT_BYTES_MAX];
	buf_append(out, len, varint_put(len, text.len));
	buf_append_span(out, text);
}

/* The record of a durable message: channels, key, type, data, each behind its length. */
static int
record_make(struct flow_publish *publish, struct journal_record **ret_record)
{
	const struct hub_message *message = publish->message;
	unsigned char number[VARINT_BYTES_MAX];
	struct buf body;
	buf_init(&body, 0);
	buf_append(&body, number, varint_put(number, message->channel_count));
	for (uint32_t i = 0; i < message->channel_count; i++)
		put_text(&body, message->channels[i].name);
	put_text(&body, publish->key);
	put_text(&body, message->type);
	put_text(&body, message->data);
	struct journal_record like = {
		.count = 1 + (uint32_t)publish->channel_count,
		.stream = JOURNAL_MESSAGES,
		.arrival_ms = message->time_ms,
		.tenant = message->tenant,
		.principal = publish->principal,
		.body = buf_span(&body),
	};
	int error = buf_ok(&body) ? journal_record_create(&like, false, ret_record) : -ENOMEM;
	buf_finish(&body);
	if (!error)
		(*ret_record)->seq = message->seq - publish->channel_count;
	return error;
}

/* 0, or why there is no message. */
static int
message_make(struct flow *flow, struct flow_publish *publish, bool *ret_durable)
{
	struct hub_target targets[HUB_MESSAGE_CHANNELS_MAX];
	struct hub_message like = {
		.seq = publish->seq, .time_ms = publish->time_ms, .tenant = publish->tenant,
		.type = publish->type, .data = publish->data, .channels = targets,
	};
	int error = targets_find(flow, publish, targets, &like, ret_durable);
	if (!error)
		error = hub_message_copy(&like, &publish->message);
	if (!error && *ret_durable)
		error = record_make(publish, &publish->ticket.record);
	if (!error)
		error = channels_key_keep(flow, publish);
	return error;
}

bool
channels_number(struct flow *flow, struct flow_publish *publish)
{
	struct flow_entry *entry = &publish->ticket.entry;
	const struct key *key = key_find(flow, publish);
	bool durable = false;
	check(publish->channel_count > 0 && publish->channel_count <= HUB_MESSAGE_CHANNELS_MAX);
	publish->message = NULL;
	publish->ticket.record = NULL;
	if (key) {
		publish->seq = key->seq;
		publish->time_ms = key->time_ms;
		entry->seq = flow->sequencer.next_seq - 1;
		return false;
	}
	/* One for each channel that it may make, and then its own: no channel has a message that is
	 * older than itself. */
	publish->seq = sequencer_take(flow, (unsigned)publish->channel_count + 1) +
	    publish->channel_count;
	publish->time_ms = message_time(flow);
	entry->seq = flow->sequencer.next_seq - 1;
	entry->error = message_make(flow, publish, &durable);
	if (entry->error) {
		hub_message_unref(publish->message);
		journal_record_unref(publish->ticket.record);
		publish->message = NULL;
		publish->ticket.record = NULL;
	}
	return publish->ticket.record != NULL;
}

/* ── release ── */

static int
message_keep(struct flow *flow, const struct flow_publish *publish)
{
	struct hub_channels *registry = flow->sequencer.channels.registry;
	const struct hub_message *message = publish->message;
	struct hub_channel *to[HUB_MESSAGE_CHANNELS_MAX];
	bool known = message->channel_count == 1 &&
	    publish->removed == hub_channels_removed(registry);
	size_t count = 0;
	if (known)
		to[count++] = publish->last;
	for (uint32_t i = 0; i < message->channel_count && !known; i++) {
		struct hub_channel *channel = hub_channels_find(registry, message->tenant,
		    message->channels[i].name);
		if (channel && channel->id == message->channels[i].id)
			to[count++] = channel; /* it may have ended meanwhile */
	}
	struct hub_kept kept = {
		.seq = message->seq, .time_ms = message->time_ms,
		.type = message->type, .data = message->data,
	};
	return count ? hub_channels_append(registry, to, count, &kept) : 0;
}

int
channels_release(struct flow *flow, struct flow_publish *publish, struct release *release)
{
	struct flow_entry *entry = &publish->ticket.entry;
	struct hub_message *message = publish->message;
	struct key *key = key_find(flow, publish);
	uint64_t loops = 0;
	if (!message) {
		/* A repeated one is as durable as the first was: that one came before. */
		if (!entry->error && (!key || key->seq != publish->seq))
			entry->error = -ENOSPC;
		return 0;
	}
	if (publish->ticket.record)
		entry->error = publish->ticket.record->error;
	else if (message->seq >= flow->sequencer.reserved_durable)
		entry->error = -ENOSPC;
	if (entry->error) {
		entry->error = -ENOSPC;
		if (key && key->seq == publish->seq)
			key_drop(&flow->sequencer.channels, key);
		return 0;
	}
	int error = message_keep(flow, publish);
	for (uint32_t i = 0; i < message->channel_count; i++)
		loops |= hub_wanted(flow->hub, message->tenant, message->channels[i].name);
	return error ? error : release_add_publish(release, publish, loops);
}

/* ── the past ── */

struct gather {
	struct span tenant;
	struct views_gather past;
};

static int
gather_each(void *ctx, const struct hub_kept *kept, const struct span *names, size_t name_count)
{
	struct gather *gather = ctx;
	struct hub_target targets[HUB_MESSAGE_CHANNELS_MAX];
	for (size_t i = 0; i < name_count; i++)
		targets[i] = (struct hub_target){.name = names[i]};
	struct hub_message like = {
		.seq = kept->seq, .time_ms = kept->time_ms, .tenant = gather->tenant,
		.type = kept->type, .data = kept->data,
		.channels = targets, .channel_count = (uint32_t)name_count,
	};
	struct hub_message *message;
	int error = hub_message_copy(&like, &message);
	if (error)
		return error;
	error = views_gather_add(&gather->past, message);
	if (error)
		hub_message_unref(message);
	return error;
}

/* Whether a channel that must be there is not. */
static bool
one_is_gone(const struct flow *flow, const struct hub_question *question, size_t *ret_index)
{
	for (size_t i = 0; i < question->pattern_count; i++) {
		struct span pattern = question->patterns[i];
		const struct hub_channel *channel;
		if (!question->ids[i] && !hub_pattern_is_id(pattern))
			continue;
		channel = hub_channels_find(flow->sequencer.channels.registry, question->tenant,
		    pattern);
		if (channel && (!question->ids[i] || channel->id == question->ids[i]))
			continue;
		*ret_index = i;
		return true;
	}
	return false;
}

/* A cursor of the future is another server's, or of a life that was lost. */
static void
question_settle(struct flow_past *past)
{
	struct hub_question *question = &past->question;
	if (question->since != HUB_SINCE_CURSOR || question->cursor <= past->entry.seq)
		return;
	question->since = HUB_SINCE_OLDEST;
	past->gap = true;
}

/* What channels have of it. Views have no channels: their patterns go behind the others (and ids,
 * which were looked at, stay where they are). */
static int
channels_find(struct flow *flow, struct hub_question *question, struct views_gather *found,
    struct hub_answer *ret_answer)
{
	struct span *patterns = (struct span *)(uintptr_t)question->patterns;
	struct gather gather = {.tenant = question->tenant};
	struct hub_question asked = *question;
	asked.pattern_count = 0;
	for (size_t i = 0; i < question->pattern_count; i++) {
		struct span pattern = patterns[i];
		if (views_only(pattern))
			continue;
		patterns[i] = patterns[asked.pattern_count];
		patterns[asked.pattern_count++] = pattern;
	}
	if (asked.pattern_count == 0)
		return 0;
	int error = hub_channels_collect(flow->sequencer.channels.registry, &asked,
	    loop_now_ms(flow->loops[0]->loop), gather_each, &gather, ret_answer);
	*found = gather.past;
	return error;
}

/* Moves the messages of both up to a seq, and no more than so many, to `out`. 0 or -ENOMEM. */
static int
past_merge(struct views_gather *one, struct views_gather *other, uint64_t upto, uint32_t limit,
    struct views_gather *out)
{
	struct views_gather *from[] = {one, other};
	size_t at[2] = {0, 0};
	int error = 0;
	while (!error && out->count < limit) {
		bool has[2];
		for (unsigned i = 0; i < 2; i++)
			has[i] = at[i] < from[i]->count &&
			    from[i]->messages[at[i]]->seq <= upto;
		if (!has[0] && !has[1])
			break;
		unsigned i = has[1] && (!has[0] || from[1]->messages[at[1]]->seq <
		    from[0]->messages[at[0]]->seq);
		error = views_gather_add(out, hub_message_ref(from[i]->messages[at[i]++]));
	}
	return error;
}

/* Adds what views have shown to what channels have, as far as both are known. */
static int
views_join(const struct flow_past *past, struct views_gather *found, struct hub_answer *answer)
{
	uint64_t upto;
	bool gap;
	struct views_gather *shown = views_past_found(past, &upto, &gap), both = {NULL, 0, 0};
	if (answer->more)
		upto = MIN(upto, answer->seq_last);
	int error = past_merge(found, shown, upto, past->question.limit, &both);
	bool cut = both.count == past->question.limit;
	uint64_t last = both.count ? both.messages[both.count - 1]->seq : 0;
	answer->gap |= gap;
	answer->more = cut || upto != UINT64_MAX;
	answer->seq_last = !cut && upto != UINT64_MAX ? upto : last;
	views_gather_finish(found);
	*found = both;
	return error;
}

static int
past_answer(struct flow *flow, struct flow_past *past, struct release *release)
{
	struct views_gather found = {NULL, 0, 0};
	struct hub_caught caught = {.token = past->token, .seq = past->entry.seq};
	if (one_is_gone(flow, &past->question, &caught.gone))
		caught.error = -ENOENT;
	else
		caught.error = channels_find(flow, &past->question, &found, &caught.answer);
	if (!caught.error && past->reading)
		caught.error = views_join(past, &found, &caught.answer);
	caught.answer.gap |= past->gap;
	views_past_end(past);
	return release_add_answer(release, past->entry.origin->index, &caught, found.messages,
	    found.count);
}

int
channels_answer(struct flow *flow, struct flow_past *past, struct release *release,
    bool *ret_gone)
{
	if (past->reading) {
		*ret_gone = !views_past_join(flow, past);
		return *ret_gone ? 0 : past_answer(flow, past, release);
	}
	question_settle(past);
	if (views_past_asked(flow, &past->question)) {
		if (views_past_begin(flow, past) == 0) {
			*ret_gone = true;
			return 0;
		}
		past->gap = true; /* too many read already */
	}
	return past_answer(flow, past, release);
}

/* ── operations ── */

static void
info_fill(struct flow_channel *op, const struct hub_channel *channel)
{
	struct flow_channel_info *info = &op->infos[op->info_count++];
	struct span name = hub_channel_name(channel);
	*info = (struct flow_channel_info){
		.id = channel->id,
		.name_len = (uint8_t)name.len,
		.expires_ms = channel->expires_ms,
		.durable = channel->durable,
		.presence = channel->presence,
		.slow = (enum hub_slow)channel->slow,
		.messages = channel->history.count,
		.bytes = hub_history_bytes(&channel->history),
		.last_seq = channel->history.seq_last,
	};
	memcpy(info->name, name.ptr, name.len);
	if (!op->meta || buf_append_span(op->meta, hub_channel_meta(channel)))
		return;
	info->meta_len = channel->meta_len;
}

unsigned
channels_takes(const struct flow_channel *op)
{
	if (op->op != FLOW_CHANNEL_ADD)
		return 0;
	return op->spec.presence ? 2 : 1;
}

/* One that shows who is there: where that is told has the id behind its own. 0 or -ENOMEM. */
static int
presence_show(struct flow *flow, struct hub_channel *channel, struct release *release)
{
	int error = presence_begin(flow, channel, message_time(flow));
	if (!error)
		return release_add_present(release, UINT64_MAX, channel->id,
		    hub_channel_tenant(channel), hub_channel_name(channel));
	hub_channels_remove(flow->sequencer.channels.registry, channel);
	return error;
}

/* 0, -errno; 1: it goes on by itself. */
static int
op_add(struct flow *flow, struct flow_channel *op, struct release *release)
{
	struct hub_channel *channel;
	uint64_t id = op->entry.seq + 1 - channels_takes(op);
	int error = hub_channels_add(flow->sequencer.channels.registry, id, &op->spec,
	    message_time(flow), &channel);
	if (error && error != -EEXIST)
		return error;
	if (!error && channel->presence && (error = presence_show(flow, channel, release)))
		return error;
	info_fill(op, channel);
	if (!error && channel->ttl_ms)
		look_at(flow, channel->expires_ms);
	if (error || !channel->durable)
		return error;
	channels_kept_add(flow, op, channel);
	return 1;
}

static int
op_list(struct flow *flow, struct flow_channel *op)
{
	const struct hub_channels *registry = flow->sequencer.channels.registry;
	uint64_t after = op->after_id;
	while (op->info_count < op->limit) {
		const struct hub_channel *channel = hub_channels_next(registry, op->spec.tenant,
		    after);
		if (!channel)
			break;
		after = channel->id;
		if (!span_starts(hub_channel_name(channel), SPAN(PRESENCE_TREE)))
			info_fill(op, channel);
	}
	return 0;
}

/* What channels that are named, or said by id, are called. */
static int
op_names(struct flow *flow, struct flow_channel *op)
{
	const struct hub_channels *registry = flow->sequencer.channels.registry;
	for (size_t i = 0; i < op->limit; i++) {
		const struct hub_channel *channel = hub_channels_find(registry, op->spec.tenant,
		    op->names[i]);
		if (!channel)
			return -ENOENT;
		info_fill(op, channel);
	}
	return 0;
}

int64_t
channels_renew(struct flow *flow, struct hub_channel *channel, int64_t ttl_ms)
{
	hub_channels_renew(flow->sequencer.channels.registry, channel, ttl_ms, message_time(flow));
	if (channel->ttl_ms)
		look_at(flow, channel->expires_ms);
	return channel->expires_ms;
}

/* What is done to one that must be there. 0, -errno; 1: it goes on by itself. */
static int
op_one(struct flow *flow, struct flow_channel *op, struct release *release)
{
	struct hub_channels *registry = flow->sequencer.channels.registry;
	struct hub_channel *channel = hub_channels_find(registry, op->spec.tenant, op->name);
	int error = 0;
	if (!channel)
		return -ENOENT;
	if (op->ttl_ms == FLOW_CHANNEL_TTL_AS_IT_IS)
		op->ttl_ms = channel->ttl_ms;
	if (op->op == FLOW_CHANNEL_RENEW && !channel->durable)
		channels_renew(flow, channel, op->ttl_ms);
	info_fill(op, channel);
	if (op->op == FLOW_CHANNEL_PRESENCE)
		return presence_list(flow, channel, op);
	if (channel->durable && op->op != FLOW_CHANNEL_GET) {
		channels_kept_change(flow, op, channel);
		return 1;
	}
	if (op->op == FLOW_CHANNEL_REMOVE) {
		error = release_add_closed(release, channel->id, hub_channel_tenant(channel),
		    hub_channel_name(channel));
		presence_end(flow, channel);
		hub_channels_remove(registry, channel);
	}
	return error;
}

/* Counts this loop's subscribers, then the next loop does; the last hands it to its owner. */
static void
count_deliver(struct mail *mail)
{
	struct flow_channel *op = CONTAINER_OF(mail, struct flow_channel, mail);
	struct flow *flow = op->entry.origin->flow;
	const struct flow_loop *fl = flow->loops[op->at++];
	for (size_t i = 0; i < op->info_count; i++) {
		struct flow_channel_info *info = &op->infos[i];
		info->subscribers += hub_local_count(fl->hub, op->spec.tenant,
		    span_of(info->name, info->name_len));
	}
	if (op->at < flow->options.loops)
		mailbox_send(flow->loops[op->at]->box, &op->mail);
	else
		sequencer_settle(&op->entry);
}

int
channels_apply(struct flow *flow, struct flow_channel *op, struct release *release)
{
	int result;
	op->info_count = 0;
	if (op->op == FLOW_CHANNEL_ADD)
		result = op_add(flow, op, release);
	else if (op->op == FLOW_CHANNEL_LIST)
		result = op_list(flow, op);
	else if (op->op == FLOW_CHANNEL_NAMES)
		result = op_names(flow, op);
	else
		result = op_one(flow, op, release);
	if (result > 0)
		return 1; /* by now it may be somebody else's */
	op->entry.error = result;
	if (op->entry.error || (op->op != FLOW_CHANNEL_GET && op->op != FLOW_CHANNEL_LIST))
		return 0;
	op->at = 0;
	op->entry.next = NULL;
	op->mail.deliver = count_deliver;
	mailbox_send(flow->loops[0]->box, &op->mail);
	return 1;
}

int
channels_close(struct flow *flow, struct flow_closed *closed, struct release *release)
{
	(void)flow;
	return release_add_closed(release, closed->id, closed->tenant, closed->name);
}

/*
 * presence.c: who is subscribed to the channels that show it, on the first loop.
 *
 * Loops tell of each subscription that comes or goes; here they are counted by who it is. Who
 * comes is told at once, who left only when he was away for a while: a poll that comes back for
 * more, or a connection that is made again, is no departure. What a turn brings is told in one
 * message, on a channel of its own (the *feed*, `$presence/NAME`), which has numbers, a history and
 * an end like any other, but is published to by nobody else.
 *
 * Invariants: a member lies in its channel's map and list, and in `away` exactly while nobody of it
 * is subscribed; a channel lies in `untold` exactly while it has news.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "flow_priv.h"
#include "hash.h"
#include "json.h"
#include "num.h"

enum { NEWS_MAX = 100 }; /* of one message */

struct place {
	uint64_t id, feed;          /* the channel; where it is told */
	struct map members;         /* of struct member, by name */
	struct list by_number;      /* of member.link */
	struct list untold;         /* in presences.untold */
	struct buf joined, left;    /* what is not told yet, with commas between */
	unsigned news;
	uint64_t unlisted;          /* subscriptions for whom there was no room */
	size_t tenant_len;
	char tenant[];
};

struct member {
	struct place *place;
	struct list link;
	struct list away;           /* in presences.away */
	uint64_t hash, number;      /* in the order of their coming, in the node */
	uint64_t away_ms;           /* since when, of the monotonic clock */
	int64_t since_ms;
	uint32_t connections;
	struct span info;           /* its own allocation */
	size_t name_len;
	char name[];
};

/* Mail of a loop: somebody came or left. */
struct sighting {
	struct mail mail;
	struct flow *flow;
	uint64_t channel;
	struct hub_member member;
	bool here;
};

/* A message on its way to the feed. */
struct telling {
	struct flow_publish publish;
	struct span channel;
	char digits[NUM_TEXT_BYTES_MAX];
	struct buf data;
	size_t tenant_len;
	char tenant[];
};

/* ── places ── */

static bool
place_matches(const void *value, const void *id)
{
	return ((const struct place *)value)->id == *(const uint64_t *)id;
}

static uint64_t
id_hash(uint64_t id)
{
	return id * UINT64_C(0x9e3779b97f4a7c15);
}

static struct place *
place_find(const struct presences *presences, uint64_t id)
{
	return map_get(&presences->places, id_hash(id), place_matches, &id);
}

static void
member_drop(struct presences *presences, struct member *member)
{
	struct flow *flow = presences->flow;
	check(map_remove(&member->place->members, member->hash, member));
	list_remove(&member->link);
	list_remove(&member->away);
	atomic_fetch_sub_explicit(&flow->counters.present, 1, memory_order_relaxed);
	free((char *)(uintptr_t)member->info.ptr);
	free(member);
}

static void
place_drop(struct presences *presences, struct place *place)
{
	while (!list_empty(&place->by_number))
		member_drop(presences,
		    CONTAINER_OF(place->by_number.next, struct member, link));
	check(map_remove(&presences->places, id_hash(place->id), place));
	map_finish(&place->members);
	list_remove(&place->untold);
	buf_finish(&place->joined);
	buf_finish(&place->left);
	free(place);
}

/* ── telling ── */

static void
member_write(struct buf *out, const struct member *member)
{
	struct span name = span_of(member->name, member->name_len);
	buf_append_str(out, "{\"name\":");
	json_write_string(out, name);
	if (span_starts(name, SPAN("sub-"))) {
		buf_append_str(out, ",\"sub\":");
		json_write_string(out, span_skip(name, 4));
	}
	if (member->info.len) {
		buf_append_str(out, ",\"info\":");
		buf_append_span(out, member->info);
	}
}

static void
telling_done(struct flow_publish *publish, int error)
{
	struct telling *telling = CONTAINER_OF(publish, struct telling, publish);
	(void)error; /* the channel has ended, or the disk is full: who asks is told the rest */
	buf_finish(&telling->data);
	free(telling);
}

/* NULL: memory is out. */
static struct telling *
telling_create(const struct place *place)
{
	struct telling *telling = calloc(1, sizeof *telling + place->tenant_len);
	if (!telling || !buf_ok(&place->joined) || !buf_ok(&place->left))
		goto fail;
	buf_append_str(&telling->data, "{\"joined\":[");
	buf_append_span(&telling->data, buf_span(&place->joined));
	buf_append_str(&telling->data, "],\"left\":[");
	buf_append_span(&telling->data, buf_span(&place->left));
	buf_printf(&telling->data, "],\"members\":%zu}", place->members.count);
	if (!buf_ok(&telling->data))
		goto fail;
	memcpy(telling->tenant, place->tenant, place->tenant_len);
	return telling;
fail:
	if (telling)
		buf_finish(&telling->data);
	free(telling);
	return NULL;
}

static void
place_tell(struct flow *flow, struct place *place)
{
	struct telling *telling = telling_create(place);
	list_remove(&place->untold);
	buf_finish(&place->joined);
	buf_finish(&place->left);
	place->news = 0;
	if (!telling)
		return; /* who asks is told all the same */
	flow_count(&flow->counters.presence_told, 1);
	telling->channel = span_of(telling->digits, num_format_u64(telling->digits, place->feed));
	telling->publish = (struct flow_publish){
		.tenant = span_of(telling->tenant, place->tenant_len),
		.principal = SPAN("local"),
		.channels = &telling->channel,
		.channel_count = 1,
		.data = buf_span(&telling->data),
		.done = telling_done,
	};
	sequencer_submit(flow->loops[0], &telling->publish.ticket.entry, FLOW_PUBLISH);
}

static void
tell_run(struct loop_task *task)
{
	struct presences *presences = CONTAINER_OF(task, struct presences, tell);
	while (!list_empty(&presences->untold))
		place_tell(presences->flow,
		    CONTAINER_OF(presences->untold.next, struct place, untold));
}

/* Who joined comes before who left: what is the other way round takes two messages. */
static void
news_add(struct flow *flow, const struct member *member, bool joined)
{
	struct presences *presences = flow->sequencer.channels.presences;
	struct place *place = member->place;
	if (place->news == NEWS_MAX || (joined && place->left.len))
		place_tell(flow, place);
	struct buf *out = joined ? &place->joined : &place->left;
	if (out->len)
		buf_append_byte(out, ',');
	member_write(out, member);
	buf_append_byte(out, '}');
	if (place->news++ == 0)
		list_push_back(&presences->untold, &place->untold);
	loop_task_queue(flow->loops[0]->loop, LOOP_FLUSH, &presences->tell);
}

/* ── coming and going ── */

static bool
member_matches(const void *value, const void *name)
{
	const struct member *member = value;
	return span_eq(span_of(member->name, member->name_len), *(const struct span *)name);
}

static uint64_t
name_hash(const struct presences *presences, struct span name)
{
	return hash64(name, (uint64_t)(uintptr_t)presences);
}

/* NULL: there is no room, or no memory. */
static struct member *
member_add(struct flow *flow, struct place *place, struct span name)
{
	struct presences *presences = flow->sequencer.channels.presences;
	if (flow->counters.present >= flow->options.presence_members_max)
		return NULL;
	struct member *member = calloc(1, sizeof *member + name.len);
	if (!member)
		return NULL;
	member->hash = name_hash(presences, name);
	if (map_add(&place->members, member->hash, member)) {
		free(member);
		return NULL;
	}
	member->place = place;
	member->number = ++presences->number_last;
	member->since_ms = loop_now_ms(flow->loops[0]->loop);
	member->name_len = name.len;
	memcpy(member->name, name.ptr, name.len);
	list_init(&member->away);
	list_push_back(&place->by_number, &member->link);
	flow_count(&flow->counters.present, 1);
	return member;
}

/* What the last one to come said of itself; as it was where memory is out. */
static void
member_inform(struct member *member, struct span info)
{
	if (span_eq(member->info, info))
		return;
	char *copy = info.len ? malloc(info.len) : NULL;
	if (info.len && !copy)
		return;
	if (info.len)
		memcpy(copy, info.ptr, info.len);
	free((char *)(uintptr_t)member->info.ptr);
	member->info = span_of(copy, info.len);
}

static void
member_come(struct flow *flow, struct place *place, const struct hub_member *seen)
{
	struct span name = seen->name;
	struct member *member = map_get(&place->members,
	    name_hash(flow->sequencer.channels.presences, name), member_matches, &name);
	bool is_new = !member;
	if (is_new)
		member = member_add(flow, place, name);
	if (!member) {
		place->unlisted++;
		return;
	}
	member_inform(member, seen->info);
	member->connections++;
	list_remove(&member->away);
	if (is_new)
		news_add(flow, member, true);
}

/* Those whose time away is over have left. */
static void
away_look(struct flow *flow)
{
	struct presences *presences = flow->sequencer.channels.presences;
	struct loop *loop = flow->loops[0]->loop;
	uint64_t now_ms = loop_mono_ms(loop), linger_ms = flow->options.presence_linger_ms;
	while (!list_empty(&presences->away)) {
		struct member *member = CONTAINER_OF(presences->away.next, struct member, away);
		if (member->away_ms + linger_ms > now_ms) {
			check(loop_timer_set(loop, &presences->timer,
			    member->away_ms + linger_ms) == 0); /* its place is taken */
			return;
		}
		news_add(flow, member, false);
		member_drop(presences, member);
	}
}

static void
timer_fire(struct loop_timer *timer)
{
	struct presences *presences = CONTAINER_OF(timer, struct presences, timer);
	away_look(presences->flow);
}

static void
member_go(struct flow *flow, struct place *place, struct span name)
{
	struct presences *presences = flow->sequencer.channels.presences;
	struct member *member = map_get(&place->members, name_hash(presences, name),
	    member_matches, &name);
	/* Of those that there was no room for nobody knows who they were. */
	if (!member || member->connections == 0) {
		place->unlisted -= place->unlisted > 0;
		return;
	}
	if (--member->connections)
		return;
	bool first = list_empty(&presences->away);
	member->away_ms = loop_mono_ms(flow->loops[0]->loop);
	list_push_back(&presences->away, &member->away);
	if (first)
		away_look(flow);
}

static void
sighting_take(struct mail *mail)
{
	struct sighting *sighting = CONTAINER_OF(mail, struct sighting, mail);
	struct flow *flow = sighting->flow;
	struct place *place = place_find(flow->sequencer.channels.presences, sighting->channel);
	if (place && sighting->here)
		member_come(flow, place, &sighting->member);
	else if (place)
		member_go(flow, place, sighting->member.name);
	free(sighting);
}

void
presence_sighted(struct flow *flow, uint64_t channel, const struct hub_member *member, bool here)
{
	struct sighting *sighting =
	    malloc(sizeof *sighting + member->name.len + member->info.len);
	if (!sighting) {
		flow->options.fatal(flow->options.ctx, "no memory to tell who is there", -ENOMEM);
		return;
	}
	char *at = (char *)(sighting + 1);
	*sighting = (struct sighting){
		.mail.deliver = sighting_take, .flow = flow, .channel = channel, .here = here,
	};
	sighting->member.name = span_keep(&at, member->name);
	sighting->member.info = span_keep(&at, member->info);
	mailbox_send(flow->loops[0]->box, &sighting->mail);
}

/* ── channels ── */

static int
feed_add(struct flow *flow, const struct hub_channel *channel, uint64_t id, int64_t now_ms,
    uint64_t *ret_feed)
{
	struct span name = hub_channel_name(channel);
	char text[HUB_NAME_BYTES_MAX];
	check(name.len <= FLOW_PRESENCE_NAME_BYTES_MAX);
	memcpy(text, PRESENCE_TREE, strlen(PRESENCE_TREE));
	memcpy(text + strlen(PRESENCE_TREE), name.ptr, name.len);
	struct hub_channel_spec spec = {
		.tenant = hub_channel_tenant(channel),
		.name = span_of(text, strlen(PRESENCE_TREE) + name.len),
		.limits = {
			.history_ms = channel->limits.history_ms,
			.bytes = HUB_CHANNEL_BYTES,
			.messages = HUB_CHANNEL_MESSAGES,
		},
	};
	struct hub_channel *feed;
	int error = hub_channels_add(flow->sequencer.channels.registry, id, &spec, now_ms, &feed);
	if (!error)
		*ret_feed = feed->id;
	return error;
}

int
presence_begin(struct flow *flow, const struct hub_channel *channel, int64_t now_ms)
{
	struct presences *presences = flow->sequencer.channels.presences;
	struct span tenant = hub_channel_tenant(channel);
	struct place *place = calloc(1, sizeof *place + tenant.len);
	if (!place)
		return -ENOMEM;
	place->id = channel->id;
	place->tenant_len = tenant.len;
	memcpy(place->tenant, tenant.ptr, tenant.len);
	map_init(&place->members);
	list_init(&place->by_number);
	list_init(&place->untold);
	int error = map_add(&presences->places, id_hash(place->id), place);
	if (error) {
		free(place);
		return error;
	}
	error = feed_add(flow, channel, channel->id + 1, now_ms, &place->feed);
	if (error)
		place_drop(presences, place);
	return error;
}

void
presence_end(struct flow *flow, const struct hub_channel *channel)
{
	struct presences *presences = flow->sequencer.channels.presences;
	struct place *place = place_find(presences, channel->id);
	char digits[NUM_TEXT_BYTES_MAX];
	if (!place)
		return;
	struct hub_channel *feed = hub_channels_find(flow->sequencer.channels.registry,
	    hub_channel_tenant(channel),
	    span_of(digits, num_format_u64(digits, place->feed)));
	check(feed);
	place_drop(presences, place);
	channels_end(flow, feed);
}

int
presence_wanted(struct flow *flow, unsigned loop, struct span tenant, struct span pattern,
    struct release *release)
{
	const struct channels *channels = &flow->sequencer.channels;
	if (channels->presences->places.count == 0 || !hub_pattern_is_name(pattern))
		return 0;
	const struct hub_channel *channel = hub_channels_find(channels->registry, tenant, pattern);
	if (!channel || !channel->presence)
		return 0;
	return release_add_present(release, UINT64_C(1) << loop, channel->id, tenant,
	    hub_channel_name(channel));
}

int
presence_list(const struct flow *flow, const struct hub_channel *channel, struct flow_channel *op)
{
	const struct place *place = place_find(flow->sequencer.channels.presences, channel->id);
	size_t count = 0;
	if (!place)
		return -ENODATA;
	op->presence = (struct flow_presence){
		.members = place->members.count, .unlisted = place->unlisted,
	};
	LIST_FOREACH(link, &place->by_number) {
		const struct member *member = CONTAINER_OF(link, struct member, link);
		if (member->number <= op->after_id)
			continue;
		if (count == op->limit) {
			op->presence.more = true;
			break;
		}
		if (count++)
			buf_append_byte(op->meta, ',');
		member_write(op->meta, member);
		buf_printf(op->meta, ",\"connections\":%u,\"since\":%lld}", member->connections,
		    (long long)member->since_ms);
		op->presence.number_last = member->number;
	}
	return buf_ok(op->meta) ? 0 : -ENOMEM;
}

/* ── life ── */

int
presence_create(struct flow *flow)
{
	struct presences *presences = calloc(1, sizeof *presences);
	if (!presences)
		return -ENOMEM;
	presences->flow = flow;
	presences->timer.fire = timer_fire;
	map_init(&presences->places);
	list_init(&presences->away);
	list_init(&presences->untold);
	loop_task_init(&presences->tell, tell_run);
	flow->sequencer.channels.presences = presences;
	return 0;
}

int
presence_start(struct flow *flow)
{
	return loop_timer_set(flow->loops[0]->loop, &flow->sequencer.channels.presences->timer,
	    UINT64_MAX);
}

void
presence_stop(struct flow *flow)
{
	struct presences *presences = flow->sequencer.channels.presences;
	loop_timer_cancel(flow->loops[0]->loop, &presences->timer);
	loop_task_cancel(&presences->tell);
}

void
presence_destroy(struct presences *presences)
{
	size_t pos = 0;
	struct place *place;
	if (!presences)
		return;
	while ((place = map_next(&presences->places, &pos))) {
		place_drop(presences, place);
		pos = 0;
	}
	map_finish(&presences->places);
	free(presences);
}

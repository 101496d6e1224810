/*
 * hub_collect.c: what somebody missed: the histories of the channels that he asks for and, for
 * patterns with wild cards, the ring, merged by seq.
 *
 * A source is at one message at a time; the heap gives the source with the lowest seq. Sources with
 * the same seq are at the same message: it came over several channels, and is given once with all
 * of their names.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "hub_channels_priv.h"
#include "hub.h"

struct source {
	struct heap_node node;            /* key: the seq that it is at */
	const struct hub_channel *channel; /* NULL: the ring */
	struct hub_history_pos pos;
	struct hub_kept kept;
};

struct collect {
	struct hub_channels *channels;
	const struct hub_question *question;
	const struct hub_tenant *tenant;
	struct heap heap;
	struct source *sources;           /* the last one is the ring's */
	size_t source_count;
	struct hub_ring_pos ring_pos;
	struct span ring_names[HUB_MESSAGE_CHANNELS_MAX]; /* of what the ring's source is at */
	size_t ring_name_count;
	struct span names[HUB_MESSAGE_CHANNELS_MAX];
	size_t name_count;
	uint32_t given;                   /* messages, and their bytes */
	size_t given_bytes;
	int64_t now_ms;
	uint64_t after;                   /* messages behind this seq */
	int64_t from_ms;
	struct hub_answer answer;
};

/* ── gaps ── */

/* Something with this seq and time is gone, and all before it. */
static void
note_lost(struct collect *c, uint64_t seq, int64_t time_ms)
{
	const struct hub_question *question = c->question;
	if (question->since == HUB_SINCE_CURSOR)
		c->answer.gap |= seq > question->cursor;
	else if (question->since == HUB_SINCE_TIME)
		c->answer.gap |= seq > 0 && time_ms >= question->from_ms;
}

static void
note_lost_before(struct collect *c, struct span name, const struct hub_channel *channel)
{
	uint64_t seq = hub_channels_lost(c->channels, c->tenant, name);
	int64_t time_ms = c->channels->lost_ms;
	/* It has all that there was since it was made, or says itself what it lost. */
	if (channel && channel->durable) {
		seq = MIN(seq, channel->id - 1);
		time_ms = MIN(time_ms, channel->created_ms - 1);
	}
	note_lost(c, seq, time_ms);
}

/* ── sources ── */

/* Whether the message is of a time that was asked for. If not, none behind it is. */
static bool
is_within(struct collect *c, const struct hub_kept *kept)
{
	uint64_t *beyond = &c->answer.seq_beyond;
	if (kept->time_ms <= c->question->until_ms)
		return true;
	*beyond = *beyond ? MIN(*beyond, kept->seq) : kept->seq;
	return false;
}

/* Whether it has one more that may be given. */
static bool
source_step(struct collect *c, struct source *source)
{
	return hub_history_next(&source->channel->history, &source->pos, &source->kept) &&
	    is_within(c, &source->kept);
}

static bool
matches_wild(const struct hub_question *question, struct span name)
{
	for (size_t i = 0; i < question->pattern_count; i++) {
		if (!hub_pattern_is_name(question->patterns[i]) &&
		    hub_pattern_matches(question->patterns[i], name))
			return true;
	}
	return false;
}

/* Whether the channel of this name still remembers this seq: another one of the same name that was
 * made later has a greater id. */
static bool
is_remembered(const struct collect *c, struct span name, uint64_t seq)
{
	struct hub_channel *channel = hub_channels_find(c->channels, c->question->tenant, name);
	if (!channel || channel->id > seq)
		return false;
	hub_channel_trim(channel, c->now_ms);
	return channel->history.seq_dropped < seq;
}

/* Those of a message's names that patterns ask for. */
static void
ring_pick(struct collect *c, const struct hub_ring_message *message)
{
	struct span names = message->names, name;
	c->ring_name_count = 0;
	while (hub_ring_name(&names, &name)) {
		if (!matches_wild(c->question, name))
			continue;
		if (is_remembered(c, name, message->kept.seq))
			c->ring_names[c->ring_name_count++] = name;
		else
			note_lost(c, message->kept.seq, message->kept.time_ms);
	}
}

static bool
ring_step(struct collect *c, struct source *source)
{
	struct hub_ring_message message;
	while (hub_ring_next(&c->channels->ring, &c->ring_pos, &message)) {
		if (!is_within(c, &message.kept))
			return false;
		if (!span_eq(message.tenant, c->question->tenant))
			continue;
		ring_pick(c, &message);
		source->kept = message.kept;
		if (c->ring_name_count)
			return true;
	}
	return false;
}

/* Puts it among those that wait, or leaves it out for good. */
static int
source_go_on(struct collect *c, struct source *source)
{
	bool more = source->channel ? source_step(c, source) : ring_step(c, source);
	if (source->node.index)
		heap_remove(&c->heap, &source->node);
	return more ? heap_add(&c->heap, &source->node, source->kept.seq) : 0;
}

static int
channel_begin(struct collect *c, struct span name_or_id)
{
	struct hub_channel *channel = hub_channels_find(c->channels, c->question->tenant,
	    name_or_id);
	note_lost_before(c, channel ? hub_channel_name(channel) : name_or_id, channel);
	if (!channel)
		return 0;
	hub_channel_trim(channel, c->now_ms);
	note_lost(c, channel->history.seq_dropped, channel->history.time_dropped_ms);
	struct source *source = &c->sources[c->source_count++];
	*source = (struct source){
		.channel = channel,
		.pos = hub_history_seek(&channel->history, c->after, c->from_ms),
	};
	return source_go_on(c, source);
}

static int
ring_begin(struct collect *c)
{
	const struct hub_ring *ring = &c->channels->ring;
	note_lost(c, ring->seq_dropped, ring->time_dropped_ms);
	c->ring_pos = hub_ring_seek(ring, c->after, c->from_ms);
	struct source *source = &c->sources[c->source_count++];
	*source = (struct source){.channel = NULL};
	return source_go_on(c, source);
}

static int
sources_begin(struct collect *c)
{
	const struct hub_question *question = c->question;
	bool wild = false;
	int error = 0;
	for (size_t i = 0; i < question->pattern_count && !error; i++) {
		if (hub_pattern_is_name(question->patterns[i]))
			error = channel_begin(c, question->patterns[i]);
		else
			wild = true;
	}
	return error || !wild ? error : ring_begin(c);
}

/* ── merging ── */

static void
name_add(struct collect *c, struct span name)
{
	for (size_t i = 0; i < c->name_count; i++) {
		if (span_eq(c->names[i], name))
			return;
	}
	if (c->name_count < HUB_MESSAGE_CHANNELS_MAX)
		c->names[c->name_count++] = name;
}

static void
names_add(struct collect *c, const struct source *source)
{
	if (source->channel)
		name_add(c, hub_channel_name(source->channel));
	for (size_t i = 0; !source->channel && i < c->ring_name_count; i++)
		name_add(c, c->ring_names[i]);
}

static struct source *
lowest(const struct collect *c)
{
	struct heap_node *node = heap_min(&c->heap);
	return node ? CONTAINER_OF(node, struct source, node) : NULL;
}

/* Whether no more fits into the answer. */
static bool
is_enough(struct collect *c, const struct hub_kept *kept)
{
	size_t max = c->question->bytes_max, bytes = HUB_MESSAGE_BYTES_WRITTEN + kept->data.len;
	if (c->given == c->question->limit || (max && c->given && c->given_bytes + bytes > max))
		return true;
	c->given++;
	c->given_bytes += bytes;
	return false;
}

static int
merge(struct collect *c, int (*each)(void *ctx, const struct hub_kept *kept,
    const struct span *names, size_t name_count), void *ctx)
{
	struct source *source;
	int error = 0;
	while (!error && (source = lowest(c))) {
		struct hub_kept kept = source->kept;
		if (is_enough(c, &kept)) {
			c->answer.more = true;
			break;
		}
		c->name_count = 0;
		while (!error && source && source->kept.seq == kept.seq) {
			names_add(c, source);
			error = source_go_on(c, source);
			source = lowest(c);
		}
		if (!error)
			error = each(ctx, &kept, c->names, c->name_count);
		c->answer.seq_last = kept.seq;
	}
	return error;
}

/* With a bound in time, what was released later is still to come: behind the last message given,
 * else where the question began, else before the first that is too late. */
uint64_t
hub_caught_next(const struct hub_question *question, const struct hub_caught *caught)
{
	const struct hub_answer *answer = &caught->answer;
	if (answer->more)
		return answer->seq_last;
	if (question->until_ms == INT64_MAX)
		return caught->seq;
	if (answer->seq_last)
		return answer->seq_last;
	if (question->since == HUB_SINCE_CURSOR)
		return MIN(question->cursor, caught->seq);
	return answer->seq_beyond ? answer->seq_beyond - 1 : caught->seq;
}

int
hub_channels_collect(struct hub_channels *channels, const struct hub_question *question,
    int64_t now_ms, int (*each)(void *ctx, const struct hub_kept *kept, const struct span *names,
	size_t name_count), void *ctx, struct hub_answer *ret_answer)
{
	struct collect c = {
		.channels = channels,
		.now_ms = now_ms,
		.question = question,
		.tenant = hub_tenant_find(channels, question->tenant),
		.after = question->since == HUB_SINCE_CURSOR ? question->cursor :
		    question->since == HUB_SINCE_NOW ? UINT64_MAX : 0,
		.from_ms = question->since == HUB_SINCE_TIME ? question->from_ms : INT64_MIN,
	};
	check(question->pattern_count <= HUB_QUESTION_PATTERNS_MAX);
	c.sources = calloc(question->pattern_count + 1, sizeof(*c.sources));
	if (!c.sources)
		return -ENOMEM;
	heap_init(&c.heap);
	int error = sources_begin(&c);
	if (!error)
		error = merge(&c, each, ctx);
	if (!error)
		*ret_answer = c.answer;
	heap_finish(&c.heap);
	free(c.sources);
	return error;
}

/*
 * channels_kept.c: what of channels outlives the process: the rows of durable channels in the
 * store, and their histories, which are read again out of the journal at start.
 *
 * A durable channel is made in memory first, which takes its name; its maker is told when its row
 * is on disk, and where it cannot be the channel is ended. A renewal, a removal and an end in time
 * take effect when the row says so. Rows change in the order of the store's queue, which is the
 * order of releases.
 *
 * What is read at start begins with the oldest segment of the journal in which something that is
 * still remembered may have arrived. What durable channels had before that counts as lost, also
 * what retention has taken from the journal.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "flow_priv.h"
#include "num.h"
#include "raw_keys.h"
#include "varint.h"

/* ── rows ── */

static void
unit_done(struct store_unit *unit, int error)
{
	struct flow_channel *op = CONTAINER_OF(unit, struct flow_channel, unit);
	op->entry.error = error == -ENOENT || error == -ENOSPC || error == -ENOMEM || !error ?
	    error : -EIO;
	mailbox_send(op->entry.origin->flow->loops[0]->box, &op->mail);
}

static void
unit_submit(struct flow *flow, struct flow_channel *op,
    int (*apply)(struct store_unit *unit, struct store_tx *tx), void (*stored)(struct mail *mail))
{
	op->unit = (struct store_unit){.apply = apply, .done = unit_done, .urgent = true};
	op->mail.deliver = stored;
	op->entry.next = NULL;
	store_writer_submit(flow->options.store, &op->unit);
}

static struct hub_channel *
find_id(const struct flow *flow, struct span tenant, uint64_t id)
{
	char digits[NUM_TEXT_BYTES_MAX];
	return hub_channels_find(flow->sequencer.channels.registry, tenant,
	    span_of(digits, num_format_u64(digits, id)));
}

/* The channel that the operation was about, unless it has ended meanwhile. */
static struct hub_channel *
op_channel(const struct flow *flow, const struct flow_channel *op)
{
	return find_id(flow, op->spec.tenant, op->row.id);
}

static int
add_apply(struct store_unit *unit, struct store_tx *tx)
{
	return store_channel_add(tx, &CONTAINER_OF(unit, struct flow_channel, unit)->row);
}

static void
add_stored(struct mail *mail)
{
	struct flow_channel *op = CONTAINER_OF(mail, struct flow_channel, mail);
	struct flow *flow = op->entry.origin->flow;
	struct hub_channel *channel = op_channel(flow, op);
	if (op->entry.error && channel)
		channels_end(flow, channel);
	sequencer_settle(&op->entry);
}

void
channels_kept_add(struct flow *flow, struct flow_channel *op, const struct hub_channel *channel)
{
	op->row = (struct store_channel){
		.id = channel->id,
		.tenant = op->spec.tenant,
		.name = span_of(op->infos[0].name, op->infos[0].name_len),
		.meta = op->spec.meta,
		.created_ms = channel->created_ms,
		.ttl_ms = channel->ttl_ms,
		.history_ms = channel->limits.history_ms,
		.history_bytes = channel->limits.bytes,
		.history_messages = channel->limits.messages,
		.presence = channel->presence,
		.slow = channel->slow,
	};
	unit_submit(flow, op, add_apply, add_stored);
}

static int
renew_apply(struct store_unit *unit, struct store_tx *tx)
{
	const struct flow_channel *op = CONTAINER_OF(unit, struct flow_channel, unit);
	return store_channel_set_ttl(tx, op->row.id, op->ttl_ms);
}

static void
renew_stored(struct mail *mail)
{
	struct flow_channel *op = CONTAINER_OF(mail, struct flow_channel, mail);
	struct flow *flow = op->entry.origin->flow;
	struct hub_channel *channel = op_channel(flow, op);
	if (!op->entry.error && !channel)
		op->entry.error = -ENOENT;
	if (!op->entry.error)
		op->infos[0].expires_ms = channels_renew(flow, channel, op->ttl_ms);
	sequencer_settle(&op->entry);
}

static int
remove_apply(struct store_unit *unit, struct store_tx *tx)
{
	return store_channel_remove(tx, CONTAINER_OF(unit, struct flow_channel, unit)->row.id);
}

static void
remove_stored(struct mail *mail)
{
	struct flow_channel *op = CONTAINER_OF(mail, struct flow_channel, mail);
	struct flow *flow = op->entry.origin->flow;
	struct hub_channel *channel = op_channel(flow, op);
	if (!op->entry.error && !channel)
		op->entry.error = -ENOENT; /* another one has removed it */
	if (!op->entry.error)
		channels_end(flow, channel);
	sequencer_settle(&op->entry);
}

void
channels_kept_change(struct flow *flow, struct flow_channel *op, const struct hub_channel *channel)
{
	bool renews = op->op == FLOW_CHANNEL_RENEW;
	op->row = (struct store_channel){.id = channel->id};
	unit_submit(flow, op, renews ? renew_apply : remove_apply,
	    renews ? renew_stored : remove_stored);
}

/* The row of a channel whose time is over. */
struct over {
	struct store_unit unit;
	struct mail mail;
	struct flow *flow;
	uint64_t id;
	int error;
	size_t tenant_len;
	char tenant[];
};

static int
over_apply(struct store_unit *unit, struct store_tx *tx)
{
	return store_channel_remove(tx, CONTAINER_OF(unit, struct over, unit)->id);
}

static void
over_stored(struct mail *mail)
{
	struct over *over = CONTAINER_OF(mail, struct over, mail);
	struct hub_channel *channel = find_id(over->flow,
	    span_of(over->tenant, over->tenant_len), over->id);
	if (!over->error && channel)
		channels_end(over->flow, channel);
	free(over);
}

static void
over_done(struct store_unit *unit, int error)
{
	struct over *over = CONTAINER_OF(unit, struct over, unit);
	over->error = error;
	mailbox_send(over->flow->loops[0]->box, &over->mail);
}

void
channels_kept_over(struct flow *flow, struct hub_channel *channel)
{
	struct span tenant = hub_channel_tenant(channel);
	struct over *over = malloc(sizeof *over + tenant.len);
	/* It lives once more, should the row not go. */
	(void)channels_renew(flow, channel, channel->ttl_ms);
	if (!over)
		return;
	*over = (struct over){
		.unit = {.apply = over_apply, .done = over_done},
		.mail = {.deliver = over_stored},
		.flow = flow, .id = channel->id, .tenant_len = tenant.len,
	};
	memcpy(over->tenant, tenant.ptr, tenant.len);
	store_writer_submit(flow->options.store, &over->unit);
}

/* ── at start ── */

int
flow_channel_restore(struct flow *flow, const struct store_channel *row)
{
	struct channels *channels = &flow->sequencer.channels;
	struct hub_channel_spec spec = {
		.tenant = row->tenant, .name = row->name, .meta = row->meta,
		.ttl_ms = row->ttl_ms,
		.limits = {
			.history_ms = row->history_ms,
			.bytes = row->history_bytes,
			.messages = row->history_messages,
		},
		.durable = true, .presence = row->presence,
		.slow = row->slow < HUB_SLOW_COUNT ? (enum hub_slow)row->slow : HUB_SLOW_UNSAID,
	};
	struct hub_channel *channel;
	int error = hub_channels_add(channels->registry, row->id, &spec, row->created_ms, &channel);
	if (!error && row->presence)
		error = presence_begin(flow, channel, row->created_ms);
	if (error)
		return error;
	hub_channels_renew(channels->registry, channel, row->ttl_ms,
	    env_now_ms(flow->options.env));
	if (!channels->refill_first || row->id < channels->refill_first)
		channels->refill_first = row->id;
	channels->refill_ms = MAX(channels->refill_ms, row->history_ms);
	return 0;
}

/* Where to begin to read: behind the oldest channel, with the first segment that holds something
 * that is young enough. */
struct beginning {
	int64_t from_ms;
	uint64_t seq;
};

static int
segment_see(void *ctx, const struct journal_segment_info *segment)
{
	struct beginning *beginning = ctx;
	if (segment->first_seq == 0 || segment->arrival_max_ms < beginning->from_ms)
		return 0;
	beginning->seq = segment->first_seq;
	return 1;
}

static bool
take_number(struct span *rest, uint64_t *ret_number)
{
	for (size_t i = 0; i < rest->len && i < VARINT_BYTES_MAX; i++) {
		if ((unsigned char)rest->ptr[i] & 0x80)
			continue;
		*rest = span_skip(*rest,
		    varint_get((const unsigned char *)rest->ptr, ret_number));
		return true;
	}
	return false;
}

static bool
take_text(struct span *rest, struct span *ret_text)
{
	uint64_t len;
	if (!take_number(rest, &len) || len > rest->len)
		return false;
	*ret_text = span_of(rest->ptr, (size_t)len);
	*rest = span_skip(*rest, (size_t)len);
	return true;
}

static int
key_restore(struct flow *flow, const struct journal_record *record, const struct hub_kept *kept,
    struct span key)
{
	struct flow_publish like = {
		.tenant = record->tenant, .key = key, .seq = kept->seq, .time_ms = kept->time_ms,
	};
	bool old = kept->time_ms <= env_now_ms(flow->options.env) - FLOW_KEY_MS;
	return old || key.len > FLOW_KEY_BYTES_MAX ? 0 : channels_key_keep(flow, &like);
}

/* 0, -ENOMEM, -EBADMSG: it is not what channels.c writes. */
static int
message_restore(struct flow *flow, const struct journal_record *record)
{
	struct channels *channels = &flow->sequencer.channels;
	struct hub_channel *to[HUB_MESSAGE_CHANNELS_MAX];
	struct span rest = record->body, key, name;
	struct hub_kept kept = {.seq = record->seq + record->count - 1};
	uint64_t name_count;
	size_t count = 0;
	if (!take_number(&rest, &name_count) || name_count > HUB_MESSAGE_CHANNELS_MAX)
		return -EBADMSG;
	for (uint64_t i = 0; i < name_count; i++) {
		if (!take_text(&rest, &name))
			return -EBADMSG;
		struct hub_channel *channel = hub_channels_find(channels->registry,
		    record->tenant, name);
		if (channel && channel->id < kept.seq)
			to[count++] = channel;
	}
	if (!take_text(&rest, &key) || !take_text(&rest, &kept.type) ||
	    !take_text(&rest, &kept.data))
		return -EBADMSG;
	channels->time_last_ms = MAX(channels->time_last_ms, record->arrival_ms);
	kept.time_ms = channels->time_last_ms;
	int error = key_restore(flow, record, &kept, key);
	if (!error && count)
		error = hub_channels_append(channels->registry, to, count, &kept);
	return error;
}

static void
record_warn(struct flow *flow, uint64_t seq)
{
	char text[128];
	snprintf(text, sizeof text, "journal record %llu is no message of channels: skipped",
	    (unsigned long long)seq);
	flow->options.warn(flow->options.ctx, text, -EBADMSG);
}

/* One record, or one piece of damage. 1: there may be more, 0: the end, or a negative errno. */
static int
refill_step(struct flow *flow, struct journal_reader *reader, bool *damaged, uint64_t *ret_seq)
{
	struct journal_record record;
	struct journal_damage damage;
	int result = journal_reader_next(reader, &record, &damage);
	if (result == -EBADMSG) {
		*damaged = true; /* flow_replay or the opening has told of it */
		return 1;
	}
	if (result <= 0)
		return result;
	*ret_seq = record.seq;
	if (*damaged)
		hub_channels_forget(flow->sequencer.channels.registry, record.seq - 1,
		    record.arrival_ms);
	*damaged = false;
	if (record.stream != JOURNAL_MESSAGES)
		return 1;
	int error = message_restore(flow, &record);
	*damaged = error == -EBADMSG;
	if (*damaged)
		record_warn(flow, record.seq);
	return error && error != -EBADMSG ? error : 1;
}

int
channels_refill(struct flow *flow, void (*progress)(void *ctx, uint64_t seq, uint64_t seq_end),
    void *ctx)
{
	struct channels *channels = &flow->sequencer.channels;
	struct journal *journal = flow->options.journal;
	int64_t now_ms = env_now_ms(flow->options.env);
	struct beginning beginning = {
		.from_ms = now_ms - MAX(channels->refill_ms, (int64_t)FLOW_KEY_MS),
		.seq = journal_next_seq(journal),
	};
	uint64_t end = beginning.seq, key = RAW_KEY_MESSAGES;
	struct journal_reader *reader = NULL;
	bool damaged = false;
	if (!channels->refill_first)
		return 0;
	int error = journal_each_segment(journal, segment_see, &beginning);
	if (error < 0)
		return error;
	hub_channels_forget(channels->registry, beginning.seq - 1, beginning.from_ms);
	uint64_t seq = MAX(beginning.seq, channels->refill_first);
	error = journal_reader_open(journal, seq, &reader);
	if (!error)
		error = journal_reader_want(reader, &key, 1);
	for (unsigned n = 0; !error; n++) {
		int result = refill_step(flow, reader, &damaged, &seq);
		if (result == 0)
			break;
		error = result < 0 ? result : 0;
		if (progress && n % 64 == 0)
			progress(ctx, seq, end);
	}
	if (damaged)
		hub_channels_forget(channels->registry, end - 1, now_ms);
	journal_reader_close(reader);
	return error;
}

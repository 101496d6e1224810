/*
 * release.c: what one turn of the sequencer lets go: records, messages and confirmations in seq
 * order, one immutable object for all loops that it concerns, each of which takes out what is its
 * own.
 *
 * The loop that lets it go takes its own part within the call, if it has taken all that came
 * before. A loop that has no part in a release is not woken by it. Its position is then read off
 * the count of what was handed to it (flow_position), and now and then it is told (LATE_MS), so
 * that what goes by positions goes on.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "flow_priv.h"

/* Data of messages that are handed on together, less the last. */
enum { RUN_BYTES_MAX = 64 * 1024 };

/* So long a loop may be without any release while there are some. */
enum { LATE_MS = 1000 };

enum release_kind { RELEASE_RECORD, RELEASE_MESSAGE, RELEASE_CONFIRM, RELEASE_ANSWER,
	RELEASE_CLOSED, RELEASE_PRESENT };

struct release_item {
	enum release_kind kind;
	union {
		struct {
			struct journal_record *record;
			uint64_t loops;
		} record;
		struct {
			struct hub_message *message;
			uint64_t loops;
			struct flow_publish *publish; /* NULL: of a view */
		} message;
		struct {
			unsigned loop;
			uint64_t token, seq;
		} confirm;
		struct {
			unsigned loop;
			struct hub_caught caught;
			struct hub_message **messages;
			size_t count;
		} answer;
		struct {
			uint64_t id, loops;
			uint8_t tenant_len, name_len;
			char *text; /* tenant, name */
		} channel; /* that is closed, or shows who is there */
	};
};

struct release_mail {
	struct mail mail;
	struct release *release;
	struct flow_loop *fl;
};

struct release {
	refcount refs;
	struct flow *flow;
	uint64_t seq_last;
	uint64_t loops;            /* whom it concerns */
	bool records;              /* it has some, whoever they are for */
	uint64_t record_bytes;     /* of their bodies */
	struct release_item *items;
	size_t count, cap;
	struct release_mail mails[];
};

int
release_create(struct flow *flow, struct release **ret_release)
{
	struct release *release =
	    calloc(1, sizeof *release + flow->options.loops * sizeof release->mails[0]);
	if (!release)
		return -ENOMEM;
	refcount_init(&release->refs);
	release->flow = flow;
	*ret_release = release;
	return 0;
}

static struct release_item *
release_push(struct release *release)
{
	if (release->count == release->cap) {
		size_t cap = release->cap ? release->cap * 4 : 16;
		void *grown = realloc(release->items, cap * sizeof *release->items);
		if (!grown)
			return NULL;
		release->items = grown;
		release->cap = cap;
	}
	return &release->items[release->count++];
}

/* The loops that own partitions of the record. */
static uint64_t
record_loops(const struct flow *flow, const struct journal_record *record)
{
	uint64_t loops = 0, all = flow_all_loops(flow);
	for (uint32_t p = 0; p < flow->options.partitions && loops != all; p++) {
		size_t count;
		series_batch_points(record->parsed, p, &count);
		if (count)
			loops |= UINT64_C(1) << flow_owner(flow, p)->index;
	}
	return loops;
}

int
release_add_record(struct release *release, struct journal_record *record)
{
	struct release_item *item = release_push(release);
	if (!item)
		return -ENOMEM;
	item->kind = RELEASE_RECORD;
	item->record.record = journal_record_ref(record);
	item->record.loops = record_loops(release->flow, record);
	release->loops |= item->record.loops;
	release->records = true;
	release->record_bytes += record->body.len;
	return 0;
}

int
release_add_message(struct release *release, struct hub_message *message, uint64_t loops)
{
	struct release_item *item = release_push(release);
	if (!item)
		return -ENOMEM;
	item->kind = RELEASE_MESSAGE;
	item->message.message = hub_message_ref(message);
	item->message.loops = loops;
	item->message.publish = NULL;
	release->loops |= loops;
	return 0;
}

int
release_add_publish(struct release *release, struct flow_publish *publish, uint64_t loops)
{
	int error = release_add_message(release, publish->message, loops);
	if (!error)
		release->items[release->count - 1].message.publish = publish;
	return error;
}

int
release_add_confirm(struct release *release, unsigned loop, uint64_t token, uint64_t seq)
{
	struct release_item *item = release_push(release);
	if (!item)
		return -ENOMEM;
	item->kind = RELEASE_CONFIRM;
	item->confirm.loop = loop;
	item->confirm.token = token;
	item->confirm.seq = seq;
	release->loops |= UINT64_C(1) << loop;
	return 0;
}

int
release_add_answer(struct release *release, unsigned loop, const struct hub_caught *caught,
    struct hub_message **messages, size_t count)
{
	struct release_item *item = release_push(release);
	if (!item)
		return -ENOMEM;
	item->kind = RELEASE_ANSWER;
	item->answer.loop = loop;
	item->answer.caught = *caught;
	item->answer.messages = messages;
	item->answer.count = count;
	release->loops |= UINT64_C(1) << loop;
	return 0;
}

static int
release_add_channel(struct release *release, enum release_kind kind, uint64_t loops, uint64_t id,
    struct span tenant, struct span name)
{
	struct release_item *item = release_push(release);
	char *text = malloc(tenant.len + name.len);
	if (!item || !text) {
		free(text);
		return -ENOMEM;
	}
	item->kind = kind;
	item->channel.id = id;
	item->channel.loops = loops;
	item->channel.tenant_len = (uint8_t)tenant.len;
	item->channel.name_len = (uint8_t)name.len;
	item->channel.text = text;
	memcpy(text, tenant.ptr, tenant.len);
	memcpy(text + tenant.len, name.ptr, name.len);
	release->loops = flow_all_loops(release->flow);
	return 0;
}

int
release_add_closed(struct release *release, uint64_t id, struct span tenant, struct span name)
{
	return release_add_channel(release, RELEASE_CLOSED, UINT64_MAX, id, tenant, name);
}

int
release_add_present(struct release *release, uint64_t loops, uint64_t id, struct span tenant,
    struct span name)
{
	return release_add_channel(release, RELEASE_PRESENT, loops, id, tenant, name);
}

static void
channel_tell(struct flow_loop *fl, const struct release_item *item)
{
	struct span tenant = span_of(item->channel.text, item->channel.tenant_len);
	struct hub_target target = {
		.name = span_of(item->channel.text + tenant.len, item->channel.name_len),
		.id = item->channel.id,
	};
	if (!(item->channel.loops >> fl->index & 1))
		return;
	if (item->kind == RELEASE_CLOSED)
		hub_local_closed(fl->hub, tenant, &target);
	else
		hub_local_present(fl->hub, tenant, &target);
}

/* The next item from *at on that is for this loop, NULL when it is no message or there is none;
 * *at goes to it, past messages that other loops wanted. */
static const struct release_item *
message_next(const struct flow_loop *fl, const struct release *release, size_t *at)
{
	for (; *at < release->count; (*at)++) {
		const struct release_item *item = &release->items[*at];
		if (item->kind != RELEASE_MESSAGE)
			return NULL;
		if (item->message.loops >> fl->index & 1)
			return item;
	}
	return NULL;
}

static bool
is_alike(const struct hub_message *one, const struct hub_message *other)
{
	return one->channel_count == 1 && other->channel_count == 1 &&
	    span_eq(one->channels[0].name, other->channels[0].name) &&
	    span_eq(one->tenant, other->tenant);
}

static void
message_told(const struct release_item *item, size_t delivered)
{
	if (item->message.publish)
		atomic_fetch_add(&item->message.publish->delivered, delivered);
}

/* From a message on: it, and those that follow on the same channel. Returns where it goes on. */
static size_t
messages_deliver(struct flow_loop *fl, const struct release *release, size_t at)
{
	const struct release_item *items[HUB_RUN_MAX], *item;
	struct hub_message *messages[HUB_RUN_MAX];
	size_t delivered[HUB_RUN_MAX] = {0}, count = 0, bytes = 0;
	while (count < HUB_RUN_MAX && (item = message_next(fl, release, &at))) {
		struct hub_message *message = item->message.message;
		if (count && (!is_alike(messages[0], message) || bytes > RUN_BYTES_MAX))
			break;
		bytes += message->data.len;
		items[count] = item;
		messages[count++] = message;
		at++;
	}
	if (count > 1)
		hub_local_deliver_run(fl->hub, messages, count, delivered);
	else if (count)
		delivered[0] = hub_local_deliver(fl->hub, messages[0]);
	for (size_t i = 0; i < count; i++)
		message_told(items[i], delivered[i]);
	return at;
}

static void
release_apply(struct flow_loop *fl, const struct release_item *item)
{
	switch (item->kind) {
	case RELEASE_RECORD:
		if (item->record.loops >> fl->index & 1)
			points_apply(fl, item->record.record);
		break;
	case RELEASE_MESSAGE:
		break; /* messages_deliver's */
	case RELEASE_CONFIRM:
		if (item->confirm.loop == fl->index)
			hub_local_confirmed(fl->hub, item->confirm.token, item->confirm.seq);
		break;
	case RELEASE_ANSWER:
		if (item->answer.loop == fl->index)
			hub_local_caught(fl->hub, &item->answer.caught, item->answer.messages,
			    item->answer.count);
		break;
	case RELEASE_CLOSED:
	case RELEASE_PRESENT:
		channel_tell(fl, item);
		break;
	}
}

static void
item_finish(struct release_item *item, struct flow_entry **chains)
{
	switch (item->kind) {
	case RELEASE_RECORD:
		journal_record_unref(item->record.record);
		break;
	case RELEASE_MESSAGE:
		hub_message_unref(item->message.message);
		if (item->message.publish)
			sequencer_chain(chains, &item->message.publish->ticket.entry);
		break;
	case RELEASE_ANSWER:
		for (size_t i = 0; i < item->answer.count; i++)
			hub_message_unref(item->answer.messages[i]);
		free(item->answer.messages);
		break;
	case RELEASE_CLOSED:
	case RELEASE_PRESENT:
		free(item->channel.text);
		break;
	case RELEASE_CONFIRM:
		break;
	}
}

/* `fl` is the loop that this is called on. Items end last first, so chains are in order. */
static void
release_unref(struct release *release, struct flow_loop *fl)
{
	struct flow_entry *chains[FLOW_LOOPS_MAX] = {NULL};
	if (!refcount_down(&release->refs))
		return;
	for (size_t i = release->count; i-- > 0;)
		item_finish(&release->items[i], chains);
	free(release->items);
	free(release);
	sequencer_settle_chains(fl, chains);
}

static void
release_take(struct release *release, struct flow_loop *fl)
{
	for (size_t i = 0; i < release->count;) {
		if (release->items[i].kind == RELEASE_MESSAGE)
			i = messages_deliver(fl, release, i);
		else
			release_apply(fl, &release->items[i++]);
	}
	hub_local_advance(fl->hub, release->seq_last);
	fl->released_seq = release->seq_last;
	fl->taken++;
	if (release->records) {
		points_passed(fl);
		points_settle(fl);
	}
	release_unref(release, fl);
}

static void
release_deliver(struct mail *mail)
{
	struct release_mail *sent = CONTAINER_OF(mail, struct release_mail, mail);
	release_take(sent->release, sent->fl);
}

/* Whom it concerns, and those who have heard nothing for long. */
static uint64_t
release_to(struct release *release)
{
	struct flow *flow = release->flow;
	uint64_t now_ms = loop_mono_ms(flow->loops[0]->loop), loops = release->loops;
	for (unsigned i = 0; i < flow->options.loops; i++) {
		struct flow_loop *fl = flow->loops[i];
		if (release->records && now_ms - fl->handed_ms >= LATE_MS)
			loops |= UINT64_C(1) << i;
		if (loops >> i & 1)
			fl->handed_ms = now_ms;
	}
	return loops;
}

bool
release_send(struct release *release, uint64_t seq_last, struct flow_loop *fl)
{
	struct flow *flow = release->flow;
	uint64_t loops = release_to(release);
	bool take = false;
	release->seq_last = seq_last;
	atomic_fetch_add(&flow->released_bytes, release->record_bytes);
	for (unsigned i = 0; i < flow->options.loops; i++) {
		if (!(loops >> i & 1))
			continue;
		uint64_t before = atomic_fetch_add(&flow->loops[i]->handed, 1);
		if (i == fl->index)
			take = before == fl->taken;
	}
	/* Who sees this seq sees what was handed out up to it. */
	atomic_store(&flow->counters.released_seq, seq_last);
	for (unsigned i = 0; i < flow->options.loops; i++) {
		struct release_mail *sent = &release->mails[i];
		if (!(loops >> i & 1) || (take && i == fl->index))
			continue;
		sent->release = release;
		sent->fl = flow->loops[i];
		sent->mail.deliver = release_deliver;
		refcount_up(&release->refs);
		mailbox_send(sent->fl->box, &sent->mail);
	}
	return take;
}

void
release_end(struct release *release, struct flow_loop *fl, bool take)
{
	/* At once: what is owed leaves in this turn. */
	if (take)
		release_take(release, fl);
	else
		release_unref(release, fl);
}

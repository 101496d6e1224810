/*
 * sequencer.c: one numbering and one order for everything, on the first loop.
 *
 * Entries (records, messages, wants) come by mail, get their seq, and stand in one list until all
 * before them is settled. A record is ready when its commit came back, everything else at once.
 * Released entries go to all loops first; only then are their owners told (docs/decisions/0002).
 *
 * Ranges of seqs are reserved by a record in the journal before any of them is handed out with
 * nothing durable to show for it. The next range is asked for when half of one is used, and nobody
 * waits for that. Where it does not come in time the record stands in the list like any other, so
 * what was numbered after it cannot leave before it is on disk.
 *
 * All this is the first loop's. Another loop that publishes does it in its stead while it sleeps
 * (submit_run): one message at a time would wake it up only to be sent back. Releases come to each
 * loop in order all the same: by mail, or at once where no mail is older (release_send).
 *
 * While a commit is under way the next one gathers. When it is back, the next waits for as many
 * records as were under way then, at most FLOW_GATHER_RECORDS of them and FLOW_GATHER_NS: clients
 * that wait for their answers send again when they have them. (With 2 and 8 of them that takes a
 * quarter less CPU a reading, and no answer is later for it; with 200 it would make them late.)
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "flow_priv.h"

static void sequencer_commit(struct flow *flow);
static void sequencer_flush(struct flow *flow, struct flow_loop *fl);
static void ahead_done(struct flow *flow);

static struct flow *
flow_of_append(struct loop_task *task)
{
	return CONTAINER_OF(task, struct flow, sequencer.append);
}

static void
append_run(struct loop_task *task)
{
	sequencer_commit(flow_of_append(task));
}

/* ── commits ── */

static int
batch_grow(struct commit_batch *batch)
{
	size_t cap = batch->cap ? batch->cap * 2 : 64;
	void *records = realloc(batch->records, cap * sizeof *batch->records);
	if (!records)
		return -ENOMEM;
	batch->records = records;
	void *tickets = realloc(batch->tickets, cap * sizeof *batch->tickets);
	if (!tickets)
		return -ENOMEM;
	batch->tickets = tickets;
	batch->cap = cap;
	return 0;
}

static void
batch_add(struct flow *flow, struct flow_ticket *ticket)
{
	struct sequencer *sequencer = &flow->sequencer;
	struct commit_batch *batch = sequencer->filling;
	if (batch->count == batch->cap && batch_grow(batch)) {
		ticket->record->error = -ENOMEM;
		ticket->entry.ready = true;
		loop_task_queue(flow->loops[0]->loop, LOOP_FLUSH, &sequencer->flush);
		return;
	}
	batch->bytes += ticket->record->body.len;
	batch->records[batch->count] = ticket->record;
	batch->tickets[batch->count++] = ticket;
	loop_task_queue(flow->loops[0]->loop, LOOP_APPEND, &sequencer->append);
}

/* Whether more is to be expected soon: who was answered now mostly sends his next at once, and a
 * commit costs the same for all of them as for one. Who is alone is never kept waiting. */
static bool
sequencer_gathers(struct flow *flow)
{
	struct sequencer *sequencer = &flow->sequencer;
	if (sequencer->gather_end_ns == 0 || sequencer->filling->count >= sequencer->expected ||
	    sequencer->filling->bytes >= FLOW_GATHER_BYTES)
		return false;
	loop_task_later(flow->loops[0]->loop, LOOP_APPEND, &sequencer->gather,
	    sequencer->gather_end_ns);
	return true;
}

/* Sends what has gathered, unless a commit is under way: it will call again. */
static void
sequencer_commit(struct flow *flow)
{
	struct sequencer *sequencer = &flow->sequencer;
	struct commit_batch *batch = sequencer->filling;
	if (sequencer->in_flight || batch->count == 0 || sequencer_gathers(flow))
		return;
	loop_task_later(flow->loops[0]->loop, LOOP_APPEND, NULL, 0);
	sequencer->gather_end_ns = 0;
	sequencer->filling = batch == &sequencer->batches[0] ? &sequencer->batches[1] :
							      &sequencer->batches[0];
	sequencer->in_flight = true;
	committer_send(flow->committer, batch);
}

/* It has waited long enough. */
static void
gather_run(struct loop_task *task)
{
	struct flow *flow = CONTAINER_OF(task, struct flow, sequencer.gather);
	flow->sequencer.gather_end_ns = 0;
	sequencer_commit(flow);
}

static void
sequencer_committed(struct flow *flow, struct commit_batch *batch)
{
	struct sequencer *sequencer = &flow->sequencer;
	for (size_t i = 0; i < batch->count; i++)
		batch->tickets[i]->entry.ready = true;
	if (sequencer->ahead && sequencer->ahead->entry.ready)
		ahead_done(flow);
	sequencer->expected = MIN(batch->count + sequencer->filling->count,
	    (size_t)FLOW_GATHER_RECORDS);
	sequencer->gather_end_ns = env_mono_ns(flow->options.env) + FLOW_GATHER_NS;
	batch->count = batch->bytes = 0;
	sequencer->in_flight = false;
	/* Not at once: what comes with the rest of this turn's mail joins the next commit. */
	if (sequencer->filling->count)
		loop_task_queue(flow->loops[0]->loop, LOOP_APPEND, &sequencer->append);
	loop_task_queue(flow->loops[0]->loop, LOOP_FLUSH, &sequencer->flush);
}

/* ── numbering ── */

static void
entry_push(struct sequencer *sequencer, struct flow_entry *entry)
{
	entry->next = NULL;
	*sequencer->tail = entry;
	sequencer->tail = &entry->next;
}

static void
reserve_done(struct flow_ticket *ticket, int error)
{
	(void)error; /* known since its release */
	free(ticket);
}

static void
ticket_number(struct flow *flow, struct flow_ticket *ticket)
{
	struct sequencer *sequencer = &flow->sequencer;
	ticket->record->seq = sequencer->next_seq;
	sequencer->next_seq += ticket->record->count;
	ticket->entry.seq = sequencer->next_seq - 1;
	ticket->entry.ready = false;
	if (ticket != sequencer->ahead)
		entry_push(sequencer, &ticket->entry);
	batch_add(flow, ticket);
}

static uint64_t
reserve_step(const struct flow *flow)
{
	return flow->options.reserve_step ? flow->options.reserve_step : FLOW_RESERVE_STEP;
}

/* A record that reserves what follows, up to *ret_bound. NULL: memory is out. */
static struct flow_ticket *
reserve_make(struct flow *flow, uint64_t *ret_bound)
{
	uint64_t bound = flow->sequencer.next_seq + reserve_step(flow);
	unsigned char body[8];
	for (unsigned i = 0; i < sizeof body; i++)
		body[i] = (unsigned char)(bound >> (8 * i));
	struct journal_record like = {
		.count = 1,
		.stream = JOURNAL_RESERVE,
		.arrival_ms = env_now_ms(flow->options.env),
		.tenant = SPAN("main"),
		.principal = SPAN("local"),
		.body = span_of((const char *)body, sizeof body),
	};
	struct flow_ticket *ticket = calloc(1, sizeof *ticket);
	if (!ticket || journal_record_create(&like, false, &ticket->record)) {
		free(ticket);
		return NULL;
	}
	ticket->done = reserve_done;
	ticket->entry.kind = FLOW_TICKET;
	ticket->entry.origin = flow->loops[0];
	atomic_fetch_add(&flow->intake_bytes, like.body.len);
	*ret_bound = bound;
	return ticket;
}

/* What follows waits for it. 0 or -ENOMEM. */
static int
reserve_append(struct flow *flow)
{
	struct sequencer *sequencer = &flow->sequencer;
	uint64_t bound;
	struct flow_ticket *ticket = reserve_make(flow, &bound);
	if (!ticket)
		return -ENOMEM;
	sequencer->reserved = bound;
	sequencer->ahead_seq = bound - reserve_step(flow) / 2;
	ticket_number(flow, ticket);
	return 0;
}

/* Nothing waits for it; without memory, or on a full disk, it is tried again later. */
static void
reserve_ahead(struct flow *flow)
{
	struct sequencer *sequencer = &flow->sequencer;
	uint64_t bound;
	sequencer->ahead_seq = sequencer->next_seq + reserve_step(flow) / 16;
	if (sequencer->ahead)
		return;
	sequencer->ahead = reserve_make(flow, &bound);
	if (sequencer->ahead)
		ticket_number(flow, sequencer->ahead);
}

uint64_t
sequencer_take(struct flow *flow, unsigned count)
{
	struct sequencer *sequencer = &flow->sequencer;
	uint64_t first;
	if (sequencer->next_seq >= sequencer->ahead_seq)
		reserve_ahead(flow);
	if (sequencer->next_seq + count >= sequencer->reserved && reserve_append(flow))
		flow->options.fatal(flow->options.ctx, "no memory to number a message", -ENOMEM);
	first = sequencer->next_seq;
	sequencer->next_seq += count;
	return first;
}

static void
publish_number(struct flow *flow, struct flow_publish *publish)
{
	struct flow_entry *entry = &publish->ticket.entry;
	bool durable = channels_number(flow, publish);
	entry->ready = !durable;
	entry_push(&flow->sequencer, entry);
	if (durable)
		batch_add(flow, &publish->ticket);
}

static void
other_number(struct flow *flow, struct flow_entry *entry)
{
	unsigned takes = entry->kind == FLOW_CHANNEL ?
	    channels_takes(CONTAINER_OF(entry, struct flow_channel, entry)) : 0;
	if (takes)
		sequencer_take(flow, takes);
	entry->seq = flow->sequencer.next_seq - 1;
	entry->ready = true;
	entry_push(&flow->sequencer, entry);
}

static void
entry_number(struct flow_entry *entry)
{
	struct flow *flow = entry->origin->flow;
	struct sequencer *sequencer = &flow->sequencer;
	if (entry->kind == FLOW_TICKET) {
		ticket_number(flow, CONTAINER_OF(entry, struct flow_ticket, entry));
		return;
	}
	if (entry->kind == FLOW_PUBLISH) {
		publish_number(flow, CONTAINER_OF(entry, struct flow_publish, ticket.entry));
	} else {
		other_number(flow, entry);
	}
	loop_task_queue(flow->loops[0]->loop, LOOP_FLUSH, &sequencer->flush);
}

static void
entries_number(struct flow_entry *entry)
{
	while (entry) {
		struct flow_entry *next = entry->next;
		entry_number(entry);
		entry = next;
	}
}

/* ── submitting ── */

static void
entries_take(struct mail *mail)
{
	entries_number(CONTAINER_OF(mail, struct flow_entry, mail));
}

static void
entries_mail(struct flow *flow, struct flow_entry *entries)
{
	entries->mail.deliver = entries_take;
	mailbox_send(flow->loops[0]->box, &entries->mail);
}

/* What has gathered; NULL: nothing. */
static struct flow_entry *
said_take(struct flow_loop *fl)
{
	struct flow_entry *entries = fl->said;
	fl->said = NULL;
	fl->said_tail = &fl->said;
	loop_task_cancel(&fl->submit);
	return entries;
}

/* The first loop sleeps mostly where little is published: what it would be woken for is done here
 * at once, as it would do it, and it hears of it where it has a part in it. */
static void
submit_run(struct loop_task *task)
{
	struct flow_loop *fl = CONTAINER_OF(task, struct flow_loop, submit);
	struct flow *flow = fl->flow;
	struct flow_entry *entries = said_take(fl);
	if (!loop_borrow(flow->loops[0]->loop)) {
		entries_mail(flow, entries);
		return;
	}
	entries_number(entries);
	loop_task_cancel(&flow->sequencer.flush);
	sequencer_flush(flow, fl);
}

void
sequencer_submit_init(struct flow_loop *fl)
{
	loop_task_init(&fl->submit, submit_run);
	fl->said_tail = &fl->said;
}

void
sequencer_submit_finish(struct flow_loop *fl)
{
	check(!fl->said);
	loop_task_cancel(&fl->submit);
}

void
sequencer_submit(struct flow_loop *fl, struct flow_entry *entry, enum flow_kind kind)
{
	entry->kind = (uint8_t)kind;
	entry->origin = fl;
	if (fl->index == 0) {
		entry_number(entry);
		return;
	}
	entry->next = NULL;
	*fl->said_tail = entry;
	fl->said_tail = &entry->next;
	if (kind == FLOW_PUBLISH)
		loop_task_queue(fl->loop, LOOP_FLUSH, &fl->submit);
	else
		entries_mail(fl->flow, said_take(fl));
}

void
sequencer_submit_again(struct flow_entry *entry)
{
	entry->next = NULL;
	if (entry->origin->index == 0)
		entry_number(entry);
	else
		entries_mail(entry->origin->flow, entry);
}

/* ── release ── */

static uint64_t
reserve_bound(const struct journal_record *record)
{
	uint64_t bound = 0;
	for (unsigned i = 8; i-- > 0;)
		bound = bound << 8 | (unsigned char)record->body.ptr[i];
	return bound;
}

/* What was numbered above a bound that did not reach the disk is not let out. */
static void
reserve_release(struct sequencer *sequencer, const struct journal_record *record)
{
	if (record->error)
		sequencer->reserved = 0;
	else
		sequencer->reserved_durable =
		    MAX(sequencer->reserved_durable, reserve_bound(record));
}

/* The next range is on disk, or is not: then its time comes again. */
static void
ahead_done(struct flow *flow)
{
	struct sequencer *sequencer = &flow->sequencer;
	struct flow_ticket *ticket = sequencer->ahead;
	sequencer->ahead = NULL;
	if (!ticket->record->error) {
		uint64_t bound = reserve_bound(ticket->record);
		sequencer->reserved_durable = MAX(sequencer->reserved_durable, bound);
		sequencer->reserved = MAX(sequencer->reserved, bound);
		sequencer->ahead_seq = sequencer->reserved - reserve_step(flow) / 2;
	}
	sequencer_settle(&ticket->entry);
}

static int
ticket_release(struct flow *flow, struct flow_ticket *ticket, struct release *release)
{
	struct journal_record *record = ticket->record;
	if (record->stream == JOURNAL_RESERVE)
		reserve_release(&flow->sequencer, record);
	if (record->error) {
		flow_count(&flow->counters.records_failed, 1);
		return 0;
	}
	flow_count(&flow->counters.records, 1);
	if (record->stream != JOURNAL_REPORTS)
		return 0;
	flow_count(&flow->counters.readings, series_batch_count(record->parsed));
	flow->sequencer.channels.viewed_seq = ticket->entry.seq;
	flow->sequencer.channels.viewed_ms = record->arrival_ms;
	views_past_released(flow, record);
	int error = release_add_record(release, record);
	return error ? error : views_add(flow, release, record);
}

static int
want_release(struct flow *flow, const struct flow_want *want, struct release *release)
{
	unsigned loop = want->entry.origin->index;
	int error = hub_want(flow->hub, loop, want->tenant, want->pattern, want->wanted);
	if (!error && want->wanted)
		error = release_add_confirm(release, loop, want->token, want->entry.seq);
	if (!error && want->wanted)
		error = presence_wanted(flow, loop, want->tenant, want->pattern, release);
	return error;
}

/* 0 or -ENOMEM; *ret_gone: the entry is somebody else's from now on. */
static int
entry_release(struct flow *flow, struct flow_entry *entry, struct release *release,
    bool *ret_gone)
{
	int result = 0;
	switch ((enum flow_kind)entry->kind) {
	case FLOW_TICKET:
		return ticket_release(flow, CONTAINER_OF(entry, struct flow_ticket, entry),
		    release);
	case FLOW_WANT:
		return want_release(flow, CONTAINER_OF(entry, struct flow_want, entry), release);
	case FLOW_PUBLISH:
		result = channels_release(flow,
		    CONTAINER_OF(entry, struct flow_publish, ticket.entry), release);
		*ret_gone = !entry->error && CONTAINER_OF(entry, struct flow_publish,
		    ticket.entry)->message;
		return result;
	case FLOW_ASK:
		return channels_answer(flow, CONTAINER_OF(entry, struct flow_past, entry), release,
		    ret_gone);
	case FLOW_CHANNEL:
		result = channels_apply(flow, CONTAINER_OF(entry, struct flow_channel, entry),
		    release);
		*ret_gone = result > 0;
		return MIN(result, 0);
	case FLOW_CLOSED:
		break;
	}
	return channels_close(flow, CONTAINER_OF(entry, struct flow_closed, entry), release);
}

static void
publish_done(struct flow_publish *publish)
{
	struct hub_message *message = publish->message;
	struct journal_record *record = publish->ticket.record;
	publish->done(publish, publish->ticket.entry.error);
	hub_message_unref(message);
	journal_record_unref(record);
}

static void
entry_done(struct flow_entry *entry)
{
	struct flow *flow = entry->origin->flow;
	struct flow_channel *op;
	struct flow_ticket *ticket;
	switch ((enum flow_kind)entry->kind) {
	case FLOW_TICKET:
		ticket = CONTAINER_OF(entry, struct flow_ticket, entry);
		atomic_fetch_sub(&flow->intake_bytes, ticket->record->body.len);
		struct journal_record *record = ticket->record;
		ticket->done(ticket, record->error);
		journal_record_unref(record);
		break;
	case FLOW_PUBLISH:
		publish_done(CONTAINER_OF(entry, struct flow_publish, ticket.entry));
		break;
	case FLOW_CHANNEL:
		op = CONTAINER_OF(entry, struct flow_channel, entry);
		op->done(op, entry->error);
		break;
	case FLOW_WANT:
		free(CONTAINER_OF(entry, struct flow_want, entry));
		break;
	case FLOW_ASK:
		free(CONTAINER_OF(entry, struct flow_past, entry));
		break;
	case FLOW_CLOSED:
		free(CONTAINER_OF(entry, struct flow_closed, entry));
		break;
	}
}

/* On the origin's loop: a chain of entries, released together. */
static void
entries_done(struct flow_entry *entry)
{
	while (entry) {
		struct flow_entry *next = entry->next;
		entry_done(entry);
		entry = next;
	}
}

static void
chain_done(struct mail *mail)
{
	entries_done(CONTAINER_OF(mail, struct flow_entry, mail));
}

static void
chain_send(struct flow_entry *chain)
{
	chain->mail.deliver = chain_done;
	mailbox_send(chain->origin->box, &chain->mail);
}

void
sequencer_settle(struct flow_entry *entry)
{
	entry->next = NULL;
	chain_send(entry);
}

void
sequencer_chain(struct flow_entry **chains, struct flow_entry *entry)
{
	struct flow_entry **chain = &chains[entry->origin->index];
	entry->next = *chain;
	*chain = entry;
}

/* Others first: they can begin while this loop tells its own. */
void
sequencer_settle_chains(struct flow_loop *fl, struct flow_entry **chains)
{
	unsigned own = fl->index, loops = fl->flow->options.loops;
	for (unsigned i = 0; i < loops; i++) {
		if (chains[i] && i != own)
			chain_send(chains[i]);
	}
	entries_done(chains[own]);
}

/* Takes the ready entries off the list's head, adds what follows from them to `release`, and
 * chains them by origin. The seq up to which everything is released. */
static uint64_t
entries_release(struct flow *flow, struct release *release, struct flow_entry **chains)
{
	struct sequencer *sequencer = &flow->sequencer;
	struct flow_entry **tails[FLOW_LOOPS_MAX];
	uint64_t seq = 0;
	for (unsigned i = 0; i < flow->options.loops; i++)
		tails[i] = &chains[i];
	struct flow_entry *entry;
	for (unsigned n = 0; n < FLOW_RELEASE_MAX; n++) {
		entry = sequencer->head;
		if (!entry || !entry->ready)
			break;
		sequencer->head = entry->next;
		if (!sequencer->head)
			sequencer->tail = &sequencer->head;
		entry->next = NULL;
		bool gone = false;
		uint64_t entry_seq = entry->seq;
		if (entry_release(flow, entry, release, &gone))
			flow->options.fatal(flow->options.ctx,
			    "no memory to apply what is acknowledged", -ENOMEM);
		seq = entry_seq;
		if (gone)
			continue;
		*tails[entry->origin->index] = entry;
		tails[entry->origin->index] = &entry->next;
	}
	return seq;
}

/* Lets go what is ready, on the first loop or on `fl`, which has borrowed it and gives it back. */
static void
sequencer_flush(struct flow *flow, struct flow_loop *fl)
{
	struct sequencer *sequencer = &flow->sequencer;
	struct loop *first = flow->loops[0]->loop;
	struct flow_entry *chains[FLOW_LOOPS_MAX] = {NULL};
	struct release *release = NULL;
	bool ready = sequencer->head && sequencer->head->ready, take = false;
	if (ready && release_create(flow, &release))
		flow->options.fatal(flow->options.ctx, "no memory to apply what is acknowledged",
		    -ENOMEM);
	if (ready) {
		uint64_t seq = entries_release(flow, release, chains);
		take = release_send(release, seq, fl);
		if (sequencer->head && sequencer->head->ready)
			loop_task_queue(first, LOOP_FLUSH, &sequencer->flush);
	}
	if (fl->index)
		loop_give_back(first);
	if (!ready)
		return;
	release_end(release, fl, take);
	sequencer_settle_chains(fl, chains);
}

static void
flush_run(struct loop_task *task)
{
	struct flow *flow = CONTAINER_OF(task, struct flow, sequencer.flush);
	sequencer_flush(flow, flow->loops[0]);
}

int
sequencer_start(struct flow *flow)
{
	struct sequencer *sequencer = &flow->sequencer;
	loop_task_init(&sequencer->append, append_run);
	loop_task_init(&sequencer->flush, flush_run);
	loop_task_init(&sequencer->gather, gather_run);
	sequencer->tail = &sequencer->head;
	sequencer->filling = &sequencer->batches[0];
	sequencer->next_seq = journal_next_seq(flow->options.journal);
	int error = channels_start(flow);
	if (!error)
		error = flow_start_committer(flow);
	if (error)
		return error;
	committer_begin(flow->committer);
	return reserve_append(flow);
}

int
flow_start_committer(struct flow *flow)
{
	return flow->committer ? 0 : committer_create(flow, flow->loops[0]->box,
	    sequencer_committed, &flow->committer);
}

void
sequencer_finish(struct flow *flow)
{
	struct sequencer *sequencer = &flow->sequencer;
	committer_destroy(flow->committer);
	flow->committer = NULL;
	channels_finish(flow);
	for (unsigned i = 0; i < 2; i++) {
		free(sequencer->batches[i].records);
		free(sequencer->batches[i].tickets);
	}
}

/*
 * erase.c: a device's data is hidden, everywhere and at once, and then erased.
 *
 * Where it was taken out of the registry nothing more of it is accepted; what was accepted before
 * is on its way to the sequencer. So the question visits every loop first (each has then sent what
 * it had), then takes the last number that the sequencer gave, hides what lies up to it in the
 * device's partition, and stores the tombstone. The partition's slot does the rest (points.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "flow_priv.h"

/* ── what is hidden in the journal, for any thread ── */

struct tombs *
flow_tombs(struct flow *flow)
{
	pthread_mutex_lock(&flow->tombs_lock);
	struct tombs *tombs = tombs_ref(flow->tombs);
	pthread_mutex_unlock(&flow->tombs_lock);
	return tombs;
}

struct tombs *
flow_loop_tombs(struct flow_loop *fl)
{
	return flow_tombs(fl->flow);
}

static int
erase_hide(struct flow *flow, const struct store_tombstone *tombstone)
{
	pthread_mutex_lock(&flow->tombs_lock);
	struct tombs *with = NULL, *before = flow->tombs;
	int error = tombs_copy(before, tombstone, NULL, &with);
	if (!error)
		flow->tombs = with;
	pthread_mutex_unlock(&flow->tombs_lock);
	if (!error)
		tombs_unref(before);
	return error;
}

static uint32_t
erase_partition(const struct flow *flow, const struct store_tombstone *tombstone)
{
	return series_partition_of(tombstone->tenant, tombstone->device,
	    flow->options.partitions);
}

int
flow_hide(struct flow *flow, const struct store_tombstone *tombstone)
{
	struct series_partition *partition =
	    flow->partitions[erase_partition(flow, tombstone)];
	int error = tombstone->journal_done_ms ? 0 : erase_hide(flow, tombstone);
	if (!error && (!tombstone->series_done_ms ||
	    tombstone->seq > series_partition_cursor(partition)))
		error = series_partition_hide(partition, tombstone);
	return error;
}

/* ── what has gone from the journal ── */

struct gone {
	struct store_unit unit;
	struct tombs *tombs; /* those up to `first_seq` are done */
	uint64_t first_seq;
	int64_t now_ms;
};

struct failed {
	struct store_unit unit;
	struct tombs *tombs;
	bool series; /* else the journal's part of the work */
	char why[];
};

static int
gone_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct gone *gone = CONTAINER_OF(unit, struct gone, unit);
	int error = 0;
	for (size_t i = 0; i < gone->tombs->count && !error; i++) {
		const struct tomb *tomb = &gone->tombs->of[i];
		if (tomb->seq < gone->first_seq)
			error = store_tombstone_journal_done(tx, tomb->tenant, tomb->device,
			    tomb->seq, gone->now_ms);
	}
	return error;
}

/* One that could not be stored is found again at the next start. */
static void
gone_done(struct store_unit *unit, int error)
{
	struct gone *gone = CONTAINER_OF(unit, struct gone, unit);
	(void)error;
	tombs_unref(gone->tombs);
	free(gone);
}

/* Takes the tombstones before `first_seq` off the list; they are in *ret_before, with others. NULL:
 * there are none. */
static int
gone_take(struct flow *flow, uint64_t first_seq, struct tombs **ret_before)
{
	struct tombs *before = flow->tombs, *after = NULL;
	size_t count = 0;
	int error = 0;
	*ret_before = NULL;
	for (size_t i = 0; before && i < before->count; i++)
		count += before->of[i].seq < first_seq;
	if (count == 0)
		return 0;
	error = tombs_copy_from(before, first_seq, &after);
	if (error)
		return error;
	flow->tombs = after;
	*ret_before = before;
	return 0;
}

static void
gone_submit(struct flow *flow, struct gone *gone, uint64_t first_seq)
{
	gone->first_seq = first_seq;
	gone->now_ms = env_now_ms(flow->options.env);
	gone->unit = (struct store_unit){.apply = gone_apply, .done = gone_done};
	store_writer_submit(flow->options.store, &gone->unit);
}

int
flow_loop_raw_gone(struct flow_loop *fl, uint64_t first_seq)
{
	struct flow *flow = fl->flow;
	struct gone *gone = calloc(1, sizeof *gone);
	if (!gone)
		return -ENOMEM;
	pthread_mutex_lock(&flow->tombs_lock);
	int error = gone_take(flow, first_seq, &gone->tombs);
	pthread_mutex_unlock(&flow->tombs_lock);
	if (error || !gone->tombs) {
		free(gone);
		return error;
	}
	gone_submit(flow, gone, first_seq);
	return 0;
}

int
flow_loop_raw_erased(struct flow_loop *fl, struct tombs *tombs)
{
	struct flow *flow = fl->flow;
	struct gone *gone = calloc(1, sizeof *gone);
	if (!gone)
		return -ENOMEM;
	pthread_mutex_lock(&flow->tombs_lock);
	struct tombs *left = NULL, *before = flow->tombs;
	int error = tombs_copy(before, NULL, tombs, &left);
	if (!error)
		flow->tombs = left;
	pthread_mutex_unlock(&flow->tombs_lock);
	if (error) {
		free(gone);
		return error;
	}
	tombs_unref(before);
	gone->tombs = tombs_ref(tombs);
	gone_submit(flow, gone, UINT64_MAX);
	return 0;
}

/* ── what could not be erased ── */

static int
failed_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct failed *failed = CONTAINER_OF(unit, struct failed, unit);
	struct span why = span_str(failed->why);
	int error = 0;
	for (size_t i = 0; i < failed->tombs->count && !error; i++) {
		const struct tomb *tomb = &failed->tombs->of[i];
		error = failed->series ?
		    store_tombstone_series_failed(tx, tomb->tenant, tomb->device, tomb->seq, why) :
		    store_tombstone_journal_failed(tx, tomb->tenant, tomb->device, tomb->seq,
			why);
	}
	return error;
}

/* One that could not be stored is found again at the next try. */
static void
failed_done(struct store_unit *unit, int error)
{
	struct failed *failed = CONTAINER_OF(unit, struct failed, unit);
	(void)error;
	tombs_unref(failed->tombs);
	free(failed);
}

static void
failed_submit(struct flow *flow, struct tombs *tombs, bool series, const char *why)
{
	size_t len = strlen(why) + 1;
	struct failed *failed = malloc(sizeof *failed + len);
	if (!failed)
		return;
	failed->tombs = tombs_ref(tombs);
	failed->series = series;
	memcpy(failed->why, why, len);
	failed->unit = (struct store_unit){.apply = failed_apply, .done = failed_done};
	store_writer_submit(flow->options.store, &failed->unit);
}

void
flow_loop_raw_failed(struct flow_loop *fl, struct tombs *tombs, const char *why)
{
	failed_submit(fl->flow, tombs, false, why);
}

void
erase_series_failed(struct flow *flow, struct tombs *tombs, const char *why)
{
	failed_submit(flow, tombs, true, why);
}

/* ── the way of one ── */

static void
erase_back(struct mail *mail)
{
	struct flow_erase *erase = CONTAINER_OF(mail, struct flow_erase, mail);
	erase->done(erase, erase->error);
}

static int
erase_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct flow_erase *erase = CONTAINER_OF(unit, struct flow_erase, unit);
	return store_tombstone_put(tx, &erase->tombstone);
}

static void
erase_stored(struct store_unit *unit, int error)
{
	struct flow_erase *erase = CONTAINER_OF(unit, struct flow_erase, unit);
	erase->error = error;
	erase->mail.deliver = erase_back;
	mailbox_send(erase->origin->box, &erase->mail);
}

/* On the loop that has its partition. Roll-ups that are being made now know nothing of the
 * tombstone: their number is below the one that is taken here. */
static void
erase_own(struct mail *mail)
{
	struct flow_erase *erase = CONTAINER_OF(mail, struct flow_erase, mail);
	struct flow *flow = erase->origin->flow;
	struct store_tombstone *tombstone = &erase->tombstone;
	struct series_partition *partition =
	    flow->partitions[erase_partition(flow, tombstone)];
	tombstone->part_id = atomic_fetch_add(&flow->next_part_id, 1);
	/* All up to it was released, and so has come by before this. */
	if (erase->quiet)
		series_partition_advance(partition, tombstone->seq);
	int error = series_partition_hide(partition, tombstone);
	if (!error)
		error = erase_hide(flow, tombstone);
	if (error) {
		erase_stored(&erase->unit, error);
		return;
	}
	erase->unit = (struct store_unit){
		.apply = erase_apply, .done = erase_stored, .urgent = true};
	store_writer_submit(flow->options.store, &erase->unit);
}

/* On the first loop. */
static void
erase_number(struct mail *mail)
{
	struct flow_erase *erase = CONTAINER_OF(mail, struct flow_erase, mail);
	struct flow *flow = erase->origin->flow;
	erase->tombstone.seq = flow->sequencer.next_seq - 1;
	erase->quiet = !flow->sequencer.head;
	erase->mail.deliver = erase_own;
	mailbox_send(flow_owner(flow, erase_partition(flow, &erase->tombstone))->box,
	    &erase->mail);
}

static void
erase_visit(struct mail *mail)
{
	struct flow_erase *erase = CONTAINER_OF(mail, struct flow_erase, mail);
	struct flow *flow = erase->origin->flow;
	bool last = ++erase->at == flow->options.loops;
	if (last)
		erase->mail.deliver = erase_number;
	mailbox_send(flow->loops[last ? 0 : erase->at]->box, &erase->mail);
}

void
flow_erase(struct flow_loop *fl, struct flow_erase *erase)
{
	erase->origin = fl;
	erase->at = 0;
	erase->tombstone.created_ms = loop_now_ms(fl->loop);
	erase->tombstone.series_done_ms = erase->tombstone.journal_done_ms = 0;
	erase->mail.deliver = erase_visit;
	mailbox_send(fl->flow->loops[0]->box, &erase->mail);
}

void
flow_roll(struct flow_loop *fl, struct flow_roll *roll)
{
	roll->origin = fl;
	committer_roll(fl->flow->committer, roll);
}

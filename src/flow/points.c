/*
 * points.c: the processor "points": released records join the heads of this loop's partitions;
 * heads become parts, parts are rolled up and merged.
 *
 * A slot is a partition's one piece of work under way: frozen or begun here, run by a worker,
 * committed by the store together with the cursor, settled here again. A failed one is tried again
 * after a while; its points stay readable meanwhile, and the journal still has them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "flow_priv.h"

#define POINTS_SERIES_BYTES 128u /* of heads, each series that is known */
#define POINTS_ROOM_FACTOR 4u

struct points_slot {
	struct flow_loop *fl;
	struct series_partition *partition;
	struct series_flush *flush;     /* one of these is not NULL while busy */
	struct series_roll *roll;
	struct series_merge *merge;
	struct series_retire *retire;
	struct series_erase *erase;
	int64_t points_before_ms, rollups_before_ms; /* what is to go; INT64_MIN: nothing */
	uint64_t erase_at_ms;           /* not before, after a step that failed */
	struct job job;
	struct store_unit unit;
	struct mail stored;
	int error;
	uint64_t retry_at_ms;           /* 0: may begin */
	uint64_t advance_at_ms;         /* when its cursor moves without points; 0: it need not */
	uint64_t flushed_bytes;         /* flow.released_bytes when the last flush began */
};

static void slot_done(struct mail *mail);

static bool
slot_busy(const struct points_slot *slot)
{
	return slot->flush || slot->roll || slot->merge || slot->retire ||
	    slot->erase;
}

/* Of its partition. */
static uint32_t
slot_number(const struct points_slot *slot)
{
	const struct flow_loop *fl = slot->fl;
	return fl->index + (uint32_t)(slot - fl->points.slots) * fl->flow->options.loops;
}

/* ── the way of one piece of work ── */

static void
slot_run(struct job *job)
{
	struct points_slot *slot = CONTAINER_OF(job, struct points_slot, job);
	slot->error = slot->flush ? series_flush_run(slot->flush) :
	    slot->roll		  ? series_roll_run(slot->roll) :
	    slot->merge		  ? series_merge_run(slot->merge) :
	    slot->erase		  ? series_erase_run(slot->erase) :
				    0;
}

static int
slot_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct points_slot *slot = CONTAINER_OF(unit, struct points_slot, unit);
	return slot->flush ? series_flush_commit(slot->flush, tx) :
	    slot->roll	   ? series_roll_commit(slot->roll, tx) :
	    slot->merge	   ? series_merge_commit(slot->merge, tx) :
	    slot->erase	   ? series_erase_commit(slot->erase, tx) :
			     series_retire_commit(slot->retire, tx);
}

static void
slot_stored(struct store_unit *unit, int error)
{
	struct points_slot *slot = CONTAINER_OF(unit, struct points_slot, unit);
	slot->error = error;
	slot->stored.deliver = slot_done;
	mailbox_send(slot->fl->box, &slot->stored);
}

/* The worker is back. */
static void
slot_ran(struct mail *mail)
{
	struct job *job = CONTAINER_OF(mail, struct job, mail);
	struct points_slot *slot = CONTAINER_OF(job, struct points_slot, job);
	if (slot->error) {
		slot_done(&slot->stored);
		return;
	}
	slot->unit.apply = slot_apply;
	slot->unit.done = slot_stored;
	slot->unit.urgent = false;
	store_writer_submit(slot->fl->flow->options.store, &slot->unit);
}

static void
slot_begin(struct points_slot *slot)
{
	slot->job.run = slot_run;
	slot->job.mail.deliver = slot_ran;
	slot->job.reply_to = slot->fl->box;
	workers_submit_always(slot->fl->flow->options.workers, &slot->job);
}

static bool
slot_flush(struct points_slot *slot)
{
	if (slot_busy(slot))
		return true;
	uint64_t bytes = atomic_load(&slot->fl->flow->released_bytes);
	series_partition_advance(slot->partition, flow_position(slot->fl));
	slot->flush = series_partition_freeze(slot->partition, &slot->fl->flow->next_part_id);
	if (!slot->flush)
		return false;
	slot->advance_at_ms = 0;
	slot->flushed_bytes = bytes;
	slot_begin(slot);
	return true;
}

/* One step of erasing; what is hidden and not yet in parts is flushed before. */
static void
slot_erase(struct points_slot *slot)
{
	bool flush;
	if (slot->erase_at_ms > loop_mono_ms(slot->fl->loop))
		return;
	slot->erase = series_partition_erase_begin(slot->partition,
	    &slot->fl->flow->next_part_id, &flush);
	if (slot->erase || !flush)
		return;
	series_partition_advance(slot->partition, flow_position(slot->fl));
	slot->flush = series_partition_freeze(slot->partition, &slot->fl->flow->next_part_id);
}

/* Gives up what has become too old, and rolls it up before. */
static void
slot_retire(struct points_slot *slot)
{
	slot->roll = series_partition_roll_before(slot->partition,
	    &slot->fl->flow->next_part_id, slot->points_before_ms);
	if (slot->roll)
		return;
	slot->retire = series_partition_retire_begin(slot->partition, slot->points_before_ms,
	    slot->rollups_before_ms);
	slot->points_before_ms = slot->rollups_before_ms = INT64_MIN;
}

/* Rolls up first: a part that is merged with one that is not rolled up is not, either. */
static void
slot_tidy(struct points_slot *slot)
{
	_Atomic uint64_t *next_part_id = &slot->fl->flow->next_part_id;
	slot_erase(slot);
	if (!slot_busy(slot))
		slot_retire(slot);
	if (!slot_busy(slot))
		slot->roll = series_partition_roll_begin(slot->partition, next_part_id,
		    SERIES_ROLL_DUE);
	if (!slot_busy(slot))
		slot->merge = series_partition_merge_begin(slot->partition, next_part_id);
	if (slot_busy(slot))
		slot_begin(slot);
}

/* At the end of life every day becomes one part. */
static bool
slot_compact(struct points_slot *slot)
{
	_Atomic uint64_t *next_part_id = &slot->fl->flow->next_part_id;
	slot->roll = series_partition_roll_begin(slot->partition, next_part_id, SERIES_ROLL_CLOSE);
	if (!slot->roll)
		slot->merge = series_partition_compact_begin(slot->partition, next_part_id);
	if (slot_busy(slot))
		slot_begin(slot);
	return slot_busy(slot);
}

static void
slot_failed(struct points_slot *slot, const char *what)
{
	struct flow *flow = slot->fl->flow;
	flow_count(&flow->counters.flushes_failed, 1);
	flow->options.warn(flow->options.ctx, what, slot->error);
	if (slot->error == -ENOSPC)
		flow_full(flow);
	if (slot->error == -EBADMSG)
		return; /* the damaged part is left alone from now on, the others are not */
	slot->retry_at_ms = loop_mono_ms(slot->fl->loop) + FLOW_RETRY_MS;
	slot->advance_at_ms = slot->retry_at_ms;
}

static void
slot_count(struct points_slot *slot, atomic_uint_fast64_t *done, const char *what)
{
	if (slot->error)
		slot_failed(slot, what);
	else
		flow_count(done, 1);
}

/* Whether there is more to erase in spite of an error: a part that turned out to be damaged is
 * passed over from now on, and told of when it is all that is left. */
static bool
slot_erased(struct points_slot *slot)
{
	struct flow *flow = slot->fl->flow;
	uint64_t stuck = series_erase_stuck(slot->erase);
	bool go_on = slot->error == -EBADMSG && !stuck;
	slot_count(slot, &flow->counters.erased, "erasing a device");
	if (slot->error == -EBADMSG && stuck) {
		char why[64];
		snprintf(why, sizeof why, "part %llu is damaged", (unsigned long long)stuck);
		erase_series_failed(flow, series_erase_tombs(slot->erase), why);
	}
	if (slot->error && !go_on)
		slot->erase_at_ms = loop_mono_ms(slot->fl->loop) + FLOW_ERASE_RETRY_MS;
	series_partition_erased(slot->partition, slot->erase, slot->error);
	slot->erase = NULL;
	return go_on;
}

static void
slot_done(struct mail *mail)
{
	struct points_slot *slot = CONTAINER_OF(mail, struct points_slot, stored);
	struct flow *flow = slot->fl->flow;
	bool go_on = false;
	slot->retry_at_ms = 0;
	if (slot->flush) {
		slot_count(slot, &flow->counters.flushes, "storing points");
		series_partition_flushed(slot->partition, slot->flush, slot->error);
		slot->flush = NULL;
	} else if (slot->roll) {
		slot_count(slot, &flow->counters.rolls, "rolling points up");
		series_partition_rolled(slot->partition, slot->roll, slot->error);
		slot->roll = NULL;
	} else if (slot->erase) {
		go_on = slot_erased(slot);
	} else if (slot->retire) {
		slot_count(slot, &flow->counters.retired, "giving up what is too old");
		series_partition_retired(slot->partition, slot->retire, slot->error);
		slot->retire = NULL;
		flow_floor_raise(flow, slot_number(slot));
	} else {
		slot_count(slot, &flow->counters.merges, "merging parts");
		series_partition_merged(slot->partition, slot->merge, slot->error);
		slot->merge = NULL;
	}
	if ((!slot->error || go_on) && !slot->fl->points.ending)
		slot_tidy(slot);
	points_settle(slot->fl);
}

/* ── when ── */

/* For flow_loop_flush: whether nothing is left to do. */
static bool
points_drained(struct flow_loop *fl)
{
	bool drained = true;
	for (unsigned i = 0; i < fl->points.count; i++) {
		struct points_slot *slot = &fl->points.slots[i];
		if (slot->retry_at_ms) {
			fl->points.flushed_error = slot->error;
			continue;
		}
		if (slot_busy(slot) || slot_flush(slot) || slot_compact(slot))
			drained = false;
	}
	return drained;
}

static void
points_check_drained(struct flow_loop *fl)
{
	struct points *points = &fl->points;
	if (!points->flushed || !points_drained(fl))
		return;
	void (*flushed)(void *ctx, int error) = points->flushed;
	points->flushed = NULL;
	flushed(points->flushed_ctx, points->flushed_error);
}

/* A partition without points must not hold back where replay begins: its cursor follows. */
static uint64_t
slot_due_empty(struct points_slot *slot, uint64_t now)
{
	if (slot->advance_at_ms == 0)
		return UINT64_MAX;
	if (slot->advance_at_ms > now)
		return slot->advance_at_ms;
	slot->advance_at_ms = 0;
	slot_flush(slot);
	return UINT64_MAX;
}

/* Whether a restart would have to replay too much for it. */
static bool
slot_is_behind(const struct points_slot *slot)
{
	const struct flow *flow = slot->fl->flow;
	uint64_t max = flow->options.replay_bytes_max;
	return max && atomic_load(&flow->released_bytes) - slot->flushed_bytes >= max;
}

/* Begins what is due in one partition; the moment of the loop's clock at which it must be looked
 * at again. */
static uint64_t
slot_due(struct points_slot *slot)
{
	const struct flow_options *options = &slot->fl->flow->options;
	struct loop *loop = slot->fl->loop;
	uint64_t now = loop_mono_ms(loop);
	struct series_partition_stats stats;
	series_partition_stats(slot->partition, &stats);
	if (slot_busy(slot))
		return UINT64_MAX;
	if (slot->retry_at_ms > now)
		return slot->retry_at_ms;
	bool behind = slot_is_behind(slot);
	if (stats.head_points == 0 && !behind)
		return slot_due_empty(slot, now);
	int64_t age = stats.head_points ? loop_now_ms(loop) - stats.head_oldest_ms : 0;
	if (slot->retry_at_ms || behind || age >= options->head_age_ms_max) {
		slot->retry_at_ms = 0;
		slot_flush(slot);
		return UINT64_MAX;
	}
	return now + (uint64_t)(options->head_age_ms_max - MAX(age, 0));
}

/* What the heads of this loop may take. With very many series the bound gives way: a head of one
 * point of each makes parts of one point of each, all of which are merged again and again. */
static uint64_t
points_room_bytes(const struct flow_loop *fl, uint64_t series)
{
	const struct flow_options *options = &fl->flow->options;
	uint64_t max = options->head_bytes_max / options->loops;
	return MIN(MAX(max, series * POINTS_SERIES_BYTES), max * POINTS_ROOM_FACTOR);
}

/* When the loop's heads are full its largest is flushed: so the partitions do not all become full
 * at once, and each part holds more than a partition's even share. */
static void
points_relieve(struct flow_loop *fl)
{
	uint64_t bytes = 0, series = 0, most = 0;
	uint64_t now = loop_mono_ms(fl->loop);
	struct points_slot *largest = NULL;
	for (unsigned i = 0; i < fl->points.count; i++) {
		struct points_slot *slot = &fl->points.slots[i];
		struct series_partition_stats stats;
		series_partition_stats(slot->partition, &stats);
		bytes += stats.filling_bytes;
		series += stats.series;
		if (stats.filling_bytes > most && !slot_busy(slot) && slot->retry_at_ms <= now) {
			most = stats.filling_bytes;
			largest = slot;
		}
	}
	if (largest && bytes >= points_room_bytes(fl, series)) {
		largest->retry_at_ms = 0;
		slot_flush(largest);
	}
}

void
points_settle(struct flow_loop *fl)
{
	uint64_t next = UINT64_MAX;
	/* At the end only what flow_loop_flush asked for is begun. */
	if (!fl->points.ending)
		points_relieve(fl);
	for (unsigned i = 0; i < fl->points.count && !fl->points.ending; i++)
		next = MIN(next, slot_due(&fl->points.slots[i]));
	if (next == UINT64_MAX)
		loop_timer_cancel(fl->loop, &fl->points.timer);
	else if (loop_timer_set(fl->loop, &fl->points.timer, next))
		fl->flow->options.fatal(fl->flow->options.ctx, "no memory for a timer", -ENOMEM);
	points_check_drained(fl);
}

static void
points_timer(struct loop_timer *timer)
{
	points_settle(CONTAINER_OF(timer, struct flow_loop, points.timer));
}

void
points_flush(struct flow_loop *fl, unsigned index)
{
	struct points_slot *slot = &fl->points.slots[index];
	if (fl->points.ending || slot_busy(slot) || slot->retry_at_ms > loop_mono_ms(fl->loop))
		return;
	slot->retry_at_ms = 0;
	slot_flush(slot);
}

void
points_retire(struct flow_loop *fl, unsigned index, int64_t points_before_ms,
    int64_t rollups_before_ms)
{
	struct points_slot *slot = &fl->points.slots[index];
	slot->points_before_ms = points_before_ms;
	slot->rollups_before_ms = rollups_before_ms;
	if (!fl->points.ending && !slot_busy(slot) &&
	    slot->retry_at_ms <= loop_mono_ms(fl->loop))
		slot_tidy(slot);
}

void
points_apply(struct flow_loop *fl, const struct journal_record *record)
{
	struct flow *flow = fl->flow;
	const struct series_batch *batch = record->parsed;
	int64_t now = loop_now_ms(fl->loop);
	for (unsigned i = 0; i < fl->points.count; i++) {
		struct points_slot *slot = &fl->points.slots[i];
		uint32_t number = fl->index + i * flow->options.loops;
		size_t count;
		series_batch_points(batch, number, &count);
		if (count && series_partition_apply(slot->partition, batch, record->seq, now))
			flow->options.fatal(flow->options.ctx,
			    "no memory for points that are acknowledged", -ENOMEM);
	}
}

void
points_passed(struct flow_loop *fl)
{
	uint64_t at_ms = loop_mono_ms(fl->loop) + (uint64_t)fl->flow->options.head_age_ms_max;
	for (unsigned i = 0; i < fl->points.count; i++) {
		struct points_slot *slot = &fl->points.slots[i];
		if (slot->advance_at_ms == 0)
			slot->advance_at_ms = at_ms;
	}
}

void
flow_loop_flush(struct flow_loop *fl, void (*done)(void *ctx, int error), void *ctx)
{
	for (unsigned i = 0; i < fl->points.count; i++)
		fl->points.slots[i].retry_at_ms = 0;
	fl->points.ending = true;
	fl->points.flushed = done;
	fl->points.flushed_ctx = ctx;
	fl->points.flushed_error = 0;
	points_check_drained(fl);
}

int
points_create(struct flow_loop *fl)
{
	struct flow *flow = fl->flow;
	struct points *points = &fl->points;
	points->timer.fire = points_timer;
	points->slots = calloc(flow->options.partitions, sizeof *points->slots);
	if (!points->slots)
		return -ENOMEM;
	for (uint32_t p = fl->index; p < flow->options.partitions; p += flow->options.loops) {
		struct points_slot *slot = &points->slots[points->count++];
		slot->fl = fl;
		slot->points_before_ms = slot->rollups_before_ms = INT64_MIN;
		slot->partition = flow->partitions[p];
	}
	return 0;
}

void
points_destroy(struct flow_loop *fl)
{
	if (fl->points.timer.fire)
		loop_timer_cancel(fl->loop, &fl->points.timer);
	for (unsigned i = 0; i < fl->points.count; i++)
		check(!slot_busy(&fl->points.slots[i]));
	free(fl->points.slots);
	fl->points.slots = NULL;
	fl->points.count = 0;
}

void
flow_loop_series_stats(struct flow_loop *fl, struct series_partition_stats *ret_stats)
{
	struct series_partition_stats sum = {.head_oldest_ms = INT64_MAX};
	for (unsigned i = 0; i < fl->points.count; i++) {
		struct series_partition_stats one;
		series_partition_stats(fl->points.slots[i].partition, &one);
		sum.series += one.series;
		sum.head_points += one.head_points;
		sum.head_bytes += one.head_bytes;
		sum.parts += one.parts;
		sum.part_points += one.part_points;
		sum.part_bytes += one.part_bytes;
		sum.roll_parts += one.roll_parts;
		sum.roll_bytes += one.roll_bytes;
		sum.head_oldest_ms = MIN(sum.head_oldest_ms, one.head_oldest_ms);
	}
	*ret_stats = sum;
}

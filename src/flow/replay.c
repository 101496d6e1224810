/*
 * replay.c: what the journal holds beyond the partitions' cursors joins their heads again. Reads
 * nothing but records; whoever was rejected then is rejected now. What channels had joins their
 * histories (channels_kept.c).
 */
#include <errno.h>
#include <stdio.h>

#include "flow_priv.h"

/* The record's series count; those that no part has were made by its principal. */
static int
record_count(struct flow *flow, const struct journal_record *record,
    const struct series_batch *batch)
{
	uint64_t maker = census_maker(record->tenant, record->principal);
	int error = 0;
	for (uint32_t p = 0; p < flow->options.partitions && !error; p++) {
		size_t count;
		const uint32_t *series = series_batch_series(batch, p, &count);
		for (size_t i = 0; i < count && !error; i++) {
			uint64_t hash = series_batch_series_hash(batch, series[i]);
			bool is_new;
			error = census_add(flow->census, series_batch_series_key(batch, series[i]),
			    hash, &is_new);
			if (!error && is_new && flow->makers)
				error = makers_replay(flow->makers, hash, maker);
		}
	}
	return error;
}

static int
record_replay(struct flow *flow, struct judge *judge, const struct journal_record *record)
{
	struct series_batch *batch;
	int error = judge_replay(judge, record, &batch);
	if (error)
		return error;
	if (flow->census)
		error = record_count(flow, record, batch);
	for (uint32_t p = 0; p < flow->options.partitions && !error; p++) {
		size_t count;
		series_batch_points(batch, p, &count);
		if (count == 0)
			series_partition_advance(flow->partitions[p], record->seq);
		else
			error = series_partition_apply(flow->partitions[p], batch, record->seq,
			    record->arrival_ms);
	}
	series_batch_destroy(batch);
	return error;
}

static uint64_t
cursor_min(const struct flow *flow)
{
	uint64_t min = UINT64_MAX;
	for (uint32_t p = 0; p < flow->options.partitions; p++) {
		uint64_t cursor = series_partition_cursor(flow->partitions[p]);
		min = cursor < min ? cursor : min;
	}
	return min;
}

static void
damage_warn(struct flow *flow, const struct journal_damage *damage)
{
	char text[256];
	snprintf(text, sizeof text,
	    "journal segment %s is damaged at byte %llu (%s): %llu bytes skipped",
	    damage->segment, (unsigned long long)damage->offset, damage->reason,
	    (unsigned long long)damage->bytes);
	flow->options.warn(flow->options.ctx, text, -EBADMSG);
}

static void
record_warn(struct flow *flow, uint64_t seq)
{
	char text[128];
	snprintf(text, sizeof text, "journal record %llu does not fit its own verdicts: skipped",
	    (unsigned long long)seq);
	flow->options.warn(flow->options.ctx, text, -EBADMSG);
}

/* One record, or one piece of damage. 1: there may be more, 0: the end, or a negative errno. */
static int
replay_step(struct flow *flow, struct judge *judge, struct journal_reader *reader,
    uint64_t *ret_seq)
{
	struct journal_record record;
	struct journal_damage damage;
	int result = journal_reader_next(reader, &record, &damage);
	if (result == -EBADMSG) {
		damage_warn(flow, &damage);
		return 1;
	}
	if (result <= 0)
		return result;
	*ret_seq = record.seq;
	if (record.stream != JOURNAL_REPORTS)
		return 1;
	int error = record_replay(flow, judge, &record);
	if (error == -EBADMSG) {
		record_warn(flow, record.seq);
		error = 0;
	}
	if (!error)
		flow_count(&flow->counters.replayed, 1);
	return error ? error : 1;
}

int
flow_replay(struct flow *flow, void (*progress)(void *ctx, uint64_t seq, uint64_t seq_end),
    void *ctx)
{
	struct journal_reader *reader = NULL;
	struct judge *judge = NULL;
	struct journal_stats stats;
	journal_stats(flow->options.journal, &stats);
	uint64_t seq = cursor_min(flow);
	int error = flow_count_series(flow);
	if (!error)
		error = judge_create(flow->options.partitions, &judge);
	if (!error)
		error = journal_reader_open(flow->options.journal, seq + 1, &reader);
	for (unsigned n = 0; !error; n++) {
		int result = replay_step(flow, judge, reader, &seq);
		if (result == 0)
			break;
		error = result < 0 ? result : 0;
		if (progress && n % 64 == 0)
			progress(ctx, seq, stats.durable_seq);
	}
	journal_reader_close(reader);
	judge_destroy(judge);
	return error ? error : channels_refill(flow, progress, ctx);
}

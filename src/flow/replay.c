/*
 * replay.c: what the journal holds beyond the partitions' cursors joins their heads again. Reads
 * nothing but records; whoever was rejected then is rejected now. What channels had joins their
 * histories (channels_kept.c).
 *
 * Lanes (threads, as many as there are loops) go through the journal together, piece by piece: one
 * at a time reads the next piece, each judges what it has read, and whoever finds a partition free
 * applies that partition's share of the next piece that is judged.
 *
 * Invariants: a partition is touched by one lane at a time and gets the pieces in the order in
 * which they were read, so the result is that of one lane; the pieces lie in a ring, and a place is
 * read into again when every partition has had what was there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "flow_priv.h"
#include "thread.h"

#define PIECE_BYTES (256u << 10) /* a piece is full with so much of bodies, or */
#define PIECE_RECORDS 64u        /* so many records */
#define LANE_PIECES 4u           /* in the ring, for each lane */
#define LANE_SEQS 64u            /* fewer to replay are not worth a further lane */

struct piece {
	struct journal_record *records[PIECE_RECORDS]; /* not `parsed`: it is left out */
	unsigned count;
	bool judged;
	uint32_t left;                  /* partitions that have not had it yet */
};

struct replay_partition {
	uint64_t next;                  /* piece */
	bool busy;
};

struct replay {
	struct flow *flow;
	void (*progress)(void *ctx, uint64_t seq, uint64_t seq_end);
	void *progress_ctx;
	uint64_t seq_end;

	/* The lane that is `reading` has these. */
	struct journal_reader *reader;
	uint64_t seq;

	pthread_mutex_t lock;           /* of all below, but for what a lane has taken; of makers */
	pthread_cond_t moved;
	struct piece *pieces;
	unsigned piece_count;
	uint64_t read, done;            /* pieces so far: begun; had by every partition */
	bool reading, ended;
	int error;
	struct replay_partition partitions[FLOW_PARTITIONS_MAX];
};

struct lane {
	struct replay *replay;
	struct judge *judge;
	pthread_t thread;
};

/* ── reading ── */

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
piece_clear(struct piece *piece)
{
	for (unsigned i = 0; i < piece->count; i++)
		journal_record_unref(piece->records[i]);
	piece->count = 0;
	piece->judged = false;
}

/* Fills the piece. 1: there may be more, 0: the end, or a negative errno. */
static int
piece_read(struct replay *replay, struct piece *piece)
{
	struct journal_record record;
	struct journal_damage damage;
	size_t bytes = 0;
	piece_clear(piece);
	while (bytes < PIECE_BYTES && piece->count < PIECE_RECORDS) {
		int result = journal_reader_next(replay->reader, &record, &damage);
		if (result == -EBADMSG) {
			damage_warn(replay->flow, &damage);
			continue;
		}
		if (result <= 0)
			return result;
		replay->seq = record.seq;
		if (record.stream != JOURNAL_REPORTS)
			continue;
		int error = journal_record_create(&record, false, &piece->records[piece->count]);
		if (error)
			return error;
		bytes += record.body.len;
		atomic_fetch_add(&replay->flow->released_bytes, record.body.len);
		piece->count++;
	}
	return 1;
}

/* ── judging ── */

static void
batch_drop(void *batch)
{
	series_batch_destroy(batch);
}

static void
record_warn(struct flow *flow, uint64_t seq)
{
	char text[128];
	snprintf(text, sizeof text, "journal record %llu does not fit its own verdicts: skipped",
	    (unsigned long long)seq);
	flow->options.warn(flow->options.ctx, text, -EBADMSG);
}

static int
piece_judge(struct flow *flow, struct judge *judge, struct piece *piece)
{
	for (unsigned i = 0; i < piece->count; i++) {
		struct journal_record *record = piece->records[i];
		struct series_batch *batch = NULL;
		int error = judge_replay(judge, record, &batch);
		if (error && error != -EBADMSG)
			return error;
		if (error)
			record_warn(flow, record->seq);
		else
			flow_count(&flow->counters.replayed, 1);
		record->parsed = batch;
		record->parsed_destroy = batch_drop;
	}
	return 0;
}

/* ── applying ── */

/* The record's series of a partition count; those that were in no part, nor in a record before,
 * were made by its principal. */
static int
record_count(struct replay *replay, const struct journal_record *record, uint32_t number)
{
	struct flow *flow = replay->flow;
	uint64_t maker = census_maker(record->tenant, record->principal);
	size_t count;
	const uint32_t *series = series_batch_series(record->parsed, number, &count);
	int error = 0;
	for (size_t i = 0; i < count && !error; i++) {
		uint64_t hash = series_batch_series_hash(record->parsed, series[i]);
		bool is_new;
		error = census_add(flow->census, series_batch_series_key(record->parsed, series[i]),
		    hash, &is_new);
		if (error || !is_new || !flow->makers)
			continue;
		pthread_mutex_lock(&replay->lock);
		error = makers_replay(flow->makers, hash, maker);
		pthread_mutex_unlock(&replay->lock);
	}
	return error;
}

static int
piece_apply(struct replay *replay, const struct piece *piece, uint32_t number)
{
	struct flow *flow = replay->flow;
	struct series_partition *partition = flow->partitions[number];
	int error = 0;
	for (unsigned i = 0; i < piece->count && !error; i++) {
		const struct journal_record *record = piece->records[i];
		size_t count;
		if (!record->parsed)
			continue;
		series_batch_points(record->parsed, number, &count);
		if (count > 0 && flow->census)
			error = record_count(replay, record, number);
		if (count == 0)
			series_partition_advance(partition, record->seq);
		else if (!error)
			error = series_partition_apply(partition, record->parsed, record->seq,
			    record->arrival_ms);
	}
	return error;
}

/* ── a lane: all with the lock held, but for the work itself ── */

static struct piece *
replay_piece(struct replay *replay, uint64_t number)
{
	return &replay->pieces[number % replay->piece_count];
}

static void
replay_failed(struct replay *replay, int error)
{
	if (error && !replay->error)
		replay->error = error;
}

/* Applies the next piece to a partition for which it is ready. False: there is none. */
static bool
lane_apply(struct replay *replay)
{
	for (uint32_t p = 0; p < replay->flow->options.partitions && !replay->error; p++) {
		struct replay_partition *partition = &replay->partitions[p];
		struct piece *piece = replay_piece(replay, partition->next);
		if (partition->busy || partition->next == replay->read || !piece->judged)
			continue;
		partition->busy = true;
		pthread_mutex_unlock(&replay->lock);
		int error = piece_apply(replay, piece, p);
		pthread_mutex_lock(&replay->lock);
		partition->busy = false;
		partition->next++;
		if (--piece->left == 0)
			replay->done++;
		replay_failed(replay, error);
		pthread_cond_broadcast(&replay->moved);
		return true;
	}
	return false;
}

/* Reads the next piece, if there is room, and judges it. False: it may not. */
static bool
lane_read(struct lane *lane)
{
	struct replay *replay = lane->replay;
	if (replay->error || replay->ended || replay->reading ||
	    replay->read - replay->done == replay->piece_count)
		return false;
	struct piece *piece = replay_piece(replay, replay->read);
	replay->reading = true;
	pthread_mutex_unlock(&replay->lock);
	int result = piece_read(replay, piece);
	if (replay->progress)
		replay->progress(replay->progress_ctx, replay->seq, replay->seq_end);
	pthread_mutex_lock(&replay->lock);
	piece->left = replay->flow->options.partitions;
	replay->reading = false;
	replay->read++;
	replay->ended = result == 0;
	replay_failed(replay, result < 0 ? result : 0);
	pthread_cond_broadcast(&replay->moved);
	pthread_mutex_unlock(&replay->lock);
	int error = result < 0 ? 0 : piece_judge(replay->flow, lane->judge, piece);
	pthread_mutex_lock(&replay->lock);
	piece->judged = true;
	replay_failed(replay, error);
	pthread_cond_broadcast(&replay->moved);
	return true;
}

static void
lane_run(void *ctx)
{
	struct lane *lane = ctx;
	struct replay *replay = lane->replay;
	pthread_mutex_lock(&replay->lock);
	while (!replay->error && !(replay->ended && replay->done == replay->read))
		if (!lane_apply(replay) && !lane_read(lane))
			pthread_cond_wait(&replay->moved, &replay->lock);
	pthread_mutex_unlock(&replay->lock);
}

/* ── all of it ── */

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

/* How many lanes are worth it. */
static unsigned
lanes_wanted(const struct replay *replay)
{
	uint64_t seqs = replay->seq_end - MIN(replay->seq, replay->seq_end);
	return (unsigned)MIN(replay->flow->options.loops, 1 + seqs / LANE_SEQS);
}

/* The first lane is the caller; those that cannot be had are done without. */
static int
lanes_run(struct replay *replay, struct lane *lanes, unsigned wanted)
{
	unsigned count = 0;
	int error = 0;
	while (count < wanted && !error) {
		struct lane *lane = &lanes[count];
		lane->replay = replay;
		error = judge_create(replay->flow->options.partitions, &lane->judge);
		if (!error && count > 0 &&
		    thread_start(&lane->thread, "replay", lane_run, lane) != 0) {
			judge_destroy(lane->judge);
			break;
		}
		count += !error;
	}
	if (count > 0) {
		error = 0;
		lane_run(&lanes[0]);
	}
	for (unsigned i = 0; i < count; i++) {
		if (i > 0)
			thread_join(lanes[i].thread);
		judge_destroy(lanes[i].judge);
	}
	return error ? error : replay->error;
}

static int
replay_run(struct replay *replay)
{
	unsigned wanted = lanes_wanted(replay);
	struct lane lanes[FLOW_LOOPS_MAX];
	replay->piece_count = wanted * LANE_PIECES;
	replay->pieces = calloc(replay->piece_count, sizeof *replay->pieces);
	int error = replay->pieces ? journal_reader_open(replay->flow->options.journal,
	    replay->seq + 1, &replay->reader) : -ENOMEM;
	if (!error)
		error = lanes_run(replay, lanes, wanted);
	journal_reader_close(replay->reader);
	for (unsigned i = 0; replay->pieces && i < replay->piece_count; i++)
		piece_clear(&replay->pieces[i]);
	free(replay->pieces);
	return error;
}

int
flow_replay(struct flow *flow, void (*progress)(void *ctx, uint64_t seq, uint64_t seq_end),
    void *ctx)
{
	struct journal_stats stats;
	journal_stats(flow->options.journal, &stats);
	struct replay replay = {
		.flow = flow,
		.progress = progress,
		.progress_ctx = ctx,
		.seq = cursor_min(flow),
		.seq_end = stats.durable_seq,
	};
	pthread_mutex_init(&replay.lock, NULL);
	pthread_cond_init(&replay.moved, NULL);
	int error = flow_count_series(flow);
	if (!error)
		error = replay_run(&replay);
	pthread_cond_destroy(&replay.moved);
	pthread_mutex_destroy(&replay.lock);
	return error ? error : channels_refill(flow, progress, ctx);
}

/*
 * journal.c: the writer's side: opening, commits, counts.
 *
 * A commit is written to one segment, at its end, in whole blocks, and synced; only then readers
 * see it. When it does not fit, a new segment is begun (of its own size, if it must be).
 *
 * When a write or a sync fails, that segment is left for good and the records are written once
 * more, to a new one, whose head says that the old one ends before them. A commit that fails in
 * the end is made unreadable where that is possible. Where it is not (the disk takes no writes),
 * and the process dies before the next commit succeeds, the next start may find its records: whole,
 * with their own seqs, which nobody else has, since no seq is given out twice and
 * journal_next_seq is above all that is found. So "failed" means "perhaps kept", as for a client
 * whose connection broke; it never means "kept with another's seq" or "kept twice".
 */
#include "journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "journal_priv.h"

#define SEGMENT_BYTES_DEFAULT (64u << 20)
#define SEGMENT_BYTES_MIN (1u << 20)
#define SEGMENT_BYTES_MAX ((uint64_t)JOURNAL_BLOCK_BYTES << 30)

/* Makes the directory and its name in the one above last. */
static int
journal_make_dir(struct journal *journal)
{
	char above[JOURNAL_PATH_BYTES_MAX];
	int r = env_mkdir(journal->env, journal->dir);
	if (r < 0)
		return r;
	snprintf(above, sizeof above, "%s", journal->dir);
	char *slash = strrchr(above, '/');
	if (!slash)
		return env_sync_dir(journal->env, ".");
	slash[slash == above ? 1 : 0] = '\0';
	return env_sync_dir(journal->env, above);
}

static int
journal_make_locks(struct journal *journal)
{
	int r = -pthread_mutex_init(&journal->lock, NULL);
	if (r < 0)
		return r;
	r = -pthread_mutex_init(&journal->chores, NULL);
	if (r < 0)
		pthread_mutex_destroy(&journal->lock);
	journal->locks_made = r == 0;
	return r;
}

int
journal_open(struct env *env, const struct journal_options *options, journal_damage_fn *report,
    void *report_ctx, struct journal **ret_journal)
{
	char path[JOURNAL_PATH_BYTES_MAX];
	uint64_t segment_bytes = options->segment_bytes ? options->segment_bytes :
	    SEGMENT_BYTES_DEFAULT;
	check(segment_bytes % JOURNAL_BLOCK_BYTES == 0 && segment_bytes >= SEGMENT_BYTES_MIN &&
	    segment_bytes <= SEGMENT_BYTES_MAX);
	struct journal *journal = calloc(1, sizeof *journal);
	if (!journal)
		return -ENOMEM;
	journal->env = env;
	journal->segment_blocks = segment_bytes / JOURNAL_BLOCK_BYTES;
	journal->durability = options->durability;
	journal->direct = options->direct;
	journal->read_only = options->read_only;
	journal->limit_bytes = UINT64_MAX;
	journal->next_seq = 1;
	journal->commit_next = 1;
	int r = journal_make_locks(journal);
	if (r < 0)
		goto fail;
	r = -ENOMEM;
	journal->dir = strdup(options->dir);
	if (!journal->dir)
		goto fail;
	r = -ENAMETOOLONG;
	if (!journal_segment_path(journal, UINT64_MAX, UINT32_MAX, path))
		goto fail;
	r = journal_frame_init(&journal->frame);
	if (r < 0)
		goto fail;
	r = journal->read_only ? 0 : journal_make_dir(journal);
	if (r < 0)
		goto fail;
	r = journal_recover(journal, report, report_ctx);
	if (r < 0)
		goto fail;
	*ret_journal = journal;
	return 0;
fail:
	journal_close(journal);
	return r;
}

void
journal_close(struct journal *journal)
{
	if (!journal)
		return;
	env_close(journal->file);
	journal_frame_finish(&journal->frame);
	if (journal->locks_made) {
		pthread_mutex_destroy(&journal->chores);
		pthread_mutex_destroy(&journal->lock);
	}
	free(journal->segments);
	free(journal->dir);
	free(journal);
}

uint64_t
journal_next_seq(const struct journal *journal)
{
	return journal->next_seq;
}

/* ── commits ── */

/* What one commit is about. */
struct commit {
	struct journal_record *const *records;
	size_t count;
	uint64_t first_seq;
	uint64_t blocks;
	bool written; /* something of it may lie at the last segment's end */
	bool unsynced; /* a sync failed: the segment is not to be trusted */
};

/* Clears errors, refuses what is too large, and counts blocks. False: nothing to write. */
static bool
commit_measure(const struct journal *journal, struct commit *commit)
{
	uint64_t bytes = 0, seq_min = journal->counts.durable_seq + 1;
	for (size_t i = 0; i < commit->count; i++) {
		struct journal_record *record = commit->records[i];
		size_t len = journal_format_record_bytes(record);
		check(record->seq >= seq_min && record->count > 0);
		check(record->seq <= UINT64_MAX - record->count);
		seq_min = record->seq + record->count;
		record->error = len == 0 ? -EMSGSIZE : 0;
		if (len == 0)
			continue;
		if (bytes == 0)
			commit->first_seq = record->seq;
		bytes += (len + JOURNAL_RECORD_ALIGN - 1) & ~(uint64_t)(JOURNAL_RECORD_ALIGN - 1);
	}
	commit->blocks = journal_frame_blocks(bytes);
	return bytes > 0;
}

static void
commit_leave_segment(struct journal *journal)
{
	env_close(journal->file);
	journal->file = NULL;
}

/* Writes and syncs at the end of the last segment, or of a new one. */
static int
commit_try(struct journal *journal, struct commit *commit)
{
	struct journal_segment segment = journal_segment_last(journal);
	if (journal->file && commit->blocks > journal->capacity_blocks - segment.end_block)
		commit_leave_segment(journal);
	if (!journal->file) {
		int r = journal_segment_create(journal, commit->blocks, commit->first_seq);
		if (r < 0)
			return r;
		commit->written = false;
		segment = journal_segment_last(journal);
	}
	if (journal->growing && !journal_segment_may_extend(journal, commit->blocks))
		return -ENOSPC;
	commit->written = true;
	int r = journal_frame_write(&journal->frame, journal->file, segment.generation,
	    journal->commit_next++, segment.end_block, commit->blocks, commit->records,
	    commit->count);
	if (r < 0 || journal->durability != JOURNAL_FSYNC)
		return r;
	r = env_sync(journal->file);
	if (r == 0)
		return 0;
	commit->unsynced = true;
	pthread_mutex_lock(&journal->lock);
	journal->counts.syncs_failed++;
	pthread_mutex_unlock(&journal->lock);
	return r;
}

/* The commit is durable: readers may see it. */
static void
commit_publish(struct journal *journal, const struct commit *commit)
{
	pthread_mutex_lock(&journal->lock);
	struct journal_segment *segment = &journal->segments[journal->segment_count - 1];
	segment->end_block += commit->blocks;
	segment->file_bytes = MAX(segment->file_bytes, segment->end_block * JOURNAL_BLOCK_BYTES);
	for (size_t i = 0; i < commit->count; i++) {
		const struct journal_record *record = commit->records[i];
		journal->next_seq = MAX(journal->next_seq, record->seq + record->count);
		if (record->error)
			continue;
		journal_segment_count_record(segment, record);
		journal->counts.records++;
		if (record->stream == JOURNAL_RESERVE && record->body.len == 8)
			journal->next_seq = MAX(journal->next_seq,
			    journal_format_get_u64(record->body.ptr));
	}
	journal->counts.commits++;
	journal->counts.bytes += commit->blocks * JOURNAL_BLOCK_BYTES;
	journal->counts.durable_seq = segment->last_seq;
	pthread_mutex_unlock(&journal->lock);
}

/* After commit_try failed with `error`: whether another try makes sense. */
static bool
commit_give_way(struct journal *journal, struct commit *commit, int error)
{
	if (error == -ENOSPC && journal->file && !commit->unsynced &&
	    journal_segment_void(journal, commit->blocks) == 0) {
		/* No trace is left and the segment is sound: it can go on when space returns. */
		commit->written = false;
		if (!journal_segment_has_spare(journal))
			return false;
	}
	return true;
}

int
journal_commit(struct journal *journal, struct journal_record *const *records, size_t count)
{
	struct commit commit = {.records = records, .count = count};
	int r = 0;
	check(!journal->read_only);
	if (!commit_measure(journal, &commit))
		return 0;
	for (int tries = 0; tries < 2; tries++) {
		r = commit_try(journal, &commit);
		if (r == -EDQUOT)
			r = -ENOSPC;
		if (r == 0) {
			commit_publish(journal, &commit);
			return 0;
		}
		if (!commit_give_way(journal, &commit, r))
			break;
		if (tries == 0)
			commit_leave_segment(journal);
	}
	if (commit.written) {
		journal_segment_void(journal, commit.blocks);
		commit_leave_segment(journal);
	}
	for (size_t i = 0; i < count; i++)
		records[i]->error = records[i]->error ? records[i]->error : r;
	return r;
}

int
journal_roll(struct journal *journal, uint64_t *ret_number)
{
	struct journal_segment last = journal_segment_last(journal);
	check(!journal->read_only);
	if (last.records > 0 || (last.number > 0 && !last.clean)) {
		commit_leave_segment(journal);
		int r = journal_segment_create(journal, 1, journal->next_seq);
		if (r < 0)
			return r == -EDQUOT ? -ENOSPC : r;
	}
	last = journal_segment_last(journal);
	*ret_number = last.number ? last.number - 1 : 0;
	return 0;
}

void
journal_set_limit(struct journal *journal, uint64_t bytes)
{
	pthread_mutex_lock(&journal->lock);
	journal->limit_bytes = bytes;
	pthread_mutex_unlock(&journal->lock);
}

/* ── counts ── */

void
journal_stats(const struct journal *journal, struct journal_stats *ret_stats)
{
	struct journal *j = (struct journal *)journal; /* the lock is not part of the value */
	pthread_mutex_lock(&j->lock);
	struct journal_stats stats = j->counts;
	stats.segments = j->segment_count;
	for (size_t i = 0; i < j->segment_count; i++) {
		stats.disk_bytes += j->segments[i].file_bytes;
		stats.sealed_segments += j->segments[i].sealed;
		stats.sealed_bytes += j->segments[i].sealed ? j->segments[i].file_bytes : 0;
		if (stats.first_seq == 0)
			stats.first_seq = j->segments[i].first_seq;
	}
	for (unsigned i = 0; i < JOURNAL_SPARES_MAX; i++) {
		if (j->spares[i] == JOURNAL_SPARE_READY)
			stats.disk_bytes += j->segment_blocks * JOURNAL_BLOCK_BYTES;
	}
	pthread_mutex_unlock(&j->lock);
	*ret_stats = stats;
}

/* The segment's entry for those outside. */
static struct journal_segment_info
segment_info(const struct journal_segment *segment, bool last)
{
	return (struct journal_segment_info){
		.number = segment->number,
		.records = segment->records,
		.disk_bytes = segment->file_bytes,
		.first_seq = segment->first_seq,
		.last_seq = segment->last_seq,
		.arrival_min_ms = segment->arrival_min_ms,
		.arrival_max_ms = segment->arrival_max_ms,
		.sealed = segment->sealed,
		.last = last,
	};
}

int
journal_each_segment(const struct journal *journal,
    int (*each)(void *ctx, const struct journal_segment_info *segment), void *ctx)
{
	struct journal *j = (struct journal *)journal; /* the lock is not part of the value */
	pthread_mutex_lock(&j->lock);
	size_t count = j->segment_count;
	struct journal_segment *copies = malloc((count + 1) * sizeof copies[0]);
	if (copies && count > 0)
		memcpy(copies, j->segments, count * sizeof copies[0]);
	pthread_mutex_unlock(&j->lock);
	int r = copies ? 0 : -ENOMEM;
	for (size_t i = 0; i < count && r == 0; i++) {
		struct journal_segment_info info = segment_info(&copies[i], i + 1 == count);
		r = each(ctx, &info);
	}
	free(copies);
	return r;
}

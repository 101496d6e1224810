/*
 * journal_recover.c: finds out at start what the journal holds and where it ends.
 *
 * Sealed segments say themselves what they hold. Where a crash left several files of a segment, the
 * one of the highest edition is kept that can be read whole; the others are overwritten: they may
 * hold what was to be erased. Closed plain segments cost the reading
 * of two blocks: how far they go and what they hold stands in the head of the segment after.
 * Only the last one (and one whose follower lost its head) is read: the highest commit number in
 * a sound block of its generation is the last commit; everything before it was acknowledged, so
 * what is bad there is damage; what is bad in the last commit was torn by a crash, or is damage
 * that cannot be told from it. A torn commit is never written to again: its sound records stay,
 * the next commit begins a new segment, whose head says from where on bad records are to be
 * passed over in silence.
 *
 * The scanned segment is synced first, then read past the page cache where that is possible: a
 * sync that failed before the crash may have left pages that are clean in memory and not on disk.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "journal_priv.h"
#include "journal_scan.h"
#include "sealed.h"

#define CHUNK_BLOCKS 256u
#define EDITIONS_MAX 4u /* a crash leaves two */

struct found {
	bool plain;   /* its plain file is there */
	uint32_t editions[EDITIONS_MAX]; /* its sealed files, highest first */
	unsigned edition_count;
	bool lost;    /* the sealed file is of no use, and there is no other */
	bool head_ok; /* `head` was readable */
	bool summed;  /* `segment` holds what the next head says */
	bool last;    /* the one with the highest number */
	bool torn;
	uint64_t end_commit; /* of a scanned one: its last commit, 0: none */
	struct journal_head head;
	struct journal_segment segment;
};

struct recovery {
	struct journal *journal;
	journal_damage_fn *report;
	void *report_ctx;
	struct found *found;
	size_t count, cap;
	uint64_t commit_last;
	struct journal_scan scan;
	int error; /* of the listing */
};

static void
recovery_report(struct recovery *recovery, const struct found *found, uint64_t offset,
    uint64_t bytes, const char *reason)
{
	struct journal_damage damage = {.offset = offset, .bytes = bytes};
	if (!recovery->report)
		return;
	journal_segment_name(found->segment.number, found->segment.edition, damage.segment);
	snprintf(damage.reason, sizeof damage.reason, "%s", reason);
	recovery->report(recovery->report_ctx, &damage);
}

static void
found_add(struct found *found, uint32_t edition)
{
	unsigned i = 0;
	if (edition == 0) {
		found->plain = true;
		return;
	}
	while (i < found->edition_count && found->editions[i] > edition)
		i++;
	if (i == EDITIONS_MAX)
		return;
	found->edition_count = MIN(found->edition_count + 1, EDITIONS_MAX);
	for (unsigned k = found->edition_count - 1; k > i; k--)
		found->editions[k] = found->editions[k - 1];
	found->editions[i] = edition;
}

/* Names come in order: those of one segment one after the other. */
static int
recovery_add(struct recovery *recovery, uint64_t number, uint32_t edition)
{
	struct found *same = recovery->count ? &recovery->found[recovery->count - 1] : NULL;
	if (same && same->segment.number == number) {
		found_add(same, edition);
		return 0;
	}
	if (recovery->count == recovery->cap) {
		size_t cap = recovery->cap ? recovery->cap * 2 : 16;
		struct found *found = realloc(recovery->found, cap * sizeof found[0]);
		if (!found)
			return -ENOMEM;
		recovery->found = found;
		recovery->cap = cap;
	}
	recovery->found[recovery->count] = (struct found){.segment = {.number = number}};
	found_add(&recovery->found[recovery->count++], edition);
	return 0;
}

/* A name in the directory: a segment is noted, what is unfinished is deleted. */
static int
recovery_each_name(void *ctx, const char *name)
{
	struct recovery *recovery = ctx;
	uint64_t number;
	uint32_t edition;
	if (journal_segment_parse_name(name, &number, &edition))
		return recovery_add(recovery, number, edition);
	return 0;
}

static bool
name_ends(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);
	return len > end_len && strcmp(name + len - end_len, end) == 0;
}

/* Deletes what was never finished, or not to its end. It may hold what is erased by now. */
static int
recovery_each_leftover(void *ctx, const char *name)
{
	struct recovery *recovery = ctx;
	struct journal *journal = recovery->journal;
	char path[JOURNAL_PATH_BYTES_MAX];
	if ((name_ends(name, ".tmp") || name_ends(name, JOURNAL_GONE)) &&
	    snprintf(path, sizeof path, "%s/%s", journal->dir, name) < (int)sizeof path &&
	    journal_segment_wipe(journal, path) < 0)
		env_unlink(journal->env, path);
	return 0;
}

static void
recovery_find_spares(struct recovery *recovery)
{
	struct journal *journal = recovery->journal;
	for (unsigned i = 0; i < JOURNAL_SPARES_MAX; i++) {
		char path[JOURNAL_PATH_BYTES_MAX];
		uint64_t bytes;
		check(journal_segment_spare_path(journal, i, path));
		if (env_stat(journal->env, path, &bytes) < 0)
			continue;
		if (bytes == journal->segment_blocks * JOURNAL_BLOCK_BYTES)
			journal->spares[i] = JOURNAL_SPARE_READY;
		else if (!journal->read_only) /* made under another setting */
			env_unlink(journal->env, path);
	}
}

/* ── heads ── */

static int
recovery_read_head(struct recovery *recovery, struct found *found, char *blocks)
{
	struct journal *journal = recovery->journal;
	char path[JOURNAL_PATH_BYTES_MAX];
	struct env_file *file = NULL;
	uint64_t number = found->segment.number;
	const size_t bytes = (size_t)JOURNAL_BLOCK_FIRST * JOURNAL_BLOCK_BYTES;
	check(journal_segment_path(journal, number, 0, path));
	int r = env_open(journal->env, path, ENV_READ, &file);
	if (r == 0)
		r = env_size(file, &found->segment.file_bytes);
	if (r < 0)
		goto end;
	memset(blocks, 0, bytes);
	ssize_t len = env_pread(file, blocks, bytes, 0);
	if (len < 0) {
		r = len == -ENOMEM ? -ENOMEM : -EIO;
		goto end;
	}
	for (unsigned i = 0; i < JOURNAL_BLOCK_FIRST; i++) {
		uint64_t at = (uint64_t)i * JOURNAL_BLOCK_BYTES;
		struct journal_head head;
		r = journal_format_get_head(blocks + at, &head);
		if (r == -EPROTO)
			goto end;
		if (r == 0 && head.number == number) {
			found->head_ok = true;
			found->head = head;
		} else {
			recovery_report(recovery, found, at, JOURNAL_BLOCK_BYTES, "head");
		}
	}
	r = 0;
end:
	env_close(file);
	return r;
}

/* Whether every record of a sealed file can be read: asked only where a plain one could take its
 * place. 0, -EBADMSG, -ENOMEM, -EIO. */
static int
recovery_verify(struct recovery *recovery, const char *path, uint64_t number,
    const char **ret_reason)
{
	struct sealed_reader *reader = NULL;
	int r = sealed_reader_open(recovery->journal->env, path, number, &reader, ret_reason);
	if (r == 0)
		*ret_reason = "records";
	for (uint64_t records = 0; r >= 0; records++) {
		struct journal_record record;
		struct journal_damage damage;
		r = sealed_reader_next(reader, &record, &damage);
		if (r == 0 && records != sealed_reader_footer(reader)->segment.records)
			r = -EBADMSG;
		if (r <= 0)
			break;
	}
	sealed_reader_close(reader);
	return r;
}

/* What the sealed file of this edition says, if it can be read: whole, where another could take its
 * place. 1, 0 when it is of no use, or -errno. */
static int
recovery_try_sealed(struct recovery *recovery, struct found *found, uint32_t edition)
{
	struct journal *journal = recovery->journal;
	char path[JOURNAL_PATH_BYTES_MAX];
	struct sealed_footer footer;
	struct journal_head head;
	uint64_t number = found->segment.number, bytes = 0;
	const char *reason = "missing";
	check(journal_segment_path(journal, number, edition, path));
	int r = sealed_read_footer(journal->env, path, number, &footer, &head, &reason);
	if (r == 0 && (found->plain || found->edition_count > 1))
		r = recovery_verify(recovery, path, number, &reason);
	if (r == -EBADMSG || r == -ENOENT) {
		found->segment.edition = edition;
		env_stat(journal->env, path, &bytes);
		recovery_report(recovery, found, 0, MAX(bytes, 1u), reason);
		found->segment.edition = 0;
		return 0;
	}
	if (r < 0)
		return r;
	found->segment = footer.segment;
	found->segment.edition = edition;
	found->summed = true;
	found->head_ok = head.number == number;
	found->head = head;
	journal->next_seq = MAX(journal->next_seq, footer.next_seq);
	recovery->commit_last = MAX(recovery->commit_last, footer.commit_last);
	return 1;
}

/* Which of a segment's files counts. */
static int
recovery_read_sealed(struct recovery *recovery, struct found *found)
{
	int r = 0;
	for (unsigned i = 0; i < found->edition_count && r == 0; i++)
		r = recovery_try_sealed(recovery, found, found->editions[i]);
	found->lost = r == 0 && !found->plain;
	return MIN(r, 0);
}

/* Of a segment with several files those that do not count go. */
static void
recovery_drop_others(struct recovery *recovery, const struct found *found)
{
	struct journal *journal = recovery->journal;
	char path[JOURNAL_PATH_BYTES_MAX];
	if (journal->read_only || found->lost)
		return;
	for (unsigned i = 0; i <= found->edition_count; i++) {
		uint32_t edition = i < found->edition_count ? found->editions[i] : 0;
		if (edition == found->segment.edition || (edition == 0 && !found->plain))
			continue;
		check(journal_segment_path(journal, found->segment.number, edition, path));
		if (journal_segment_discard(journal, path, true) < 0)
			env_unlink(journal->env, path);
	}
}

static int
recovery_read_heads(struct recovery *recovery)
{
	char *blocks = malloc((size_t)JOURNAL_BLOCK_FIRST * JOURNAL_BLOCK_BYTES);
	int r = blocks ? 0 : -ENOMEM;
	for (size_t i = 0; i < recovery->count && r == 0; i++) {
		struct found *found = &recovery->found[i];
		if (found->edition_count > 0)
			r = recovery_read_sealed(recovery, found);
		if (r == 0 && found->plain && !found->segment.sealed)
			r = recovery_read_head(recovery, found, blocks);
		if (r == 0)
			recovery_drop_others(recovery, found);
	}
	free(blocks);
	return r;
}

static bool
summary_plausible(const struct journal_segment *segment)
{
	return segment->generation != 0 && segment->end_block >= JOURNAL_BLOCK_FIRST &&
	    (segment->torn_block == 0 || (segment->torn_block >= JOURNAL_BLOCK_FIRST &&
	    segment->torn_block <= segment->end_block)) &&
	    (segment->records == 0 || (segment->first_seq > 0 &&
	    segment->last_seq >= segment->first_seq && segment->last_seq < UINT64_MAX));
}

/* Takes what `head` says of the segment before it. Whether that one is there. */
static bool
recovery_sum(struct recovery *recovery, const struct journal_head *head, size_t before)
{
	for (size_t i = before; i-- > 0; ) {
		struct found *found = &recovery->found[i];
		if (found->segment.number != head->before.number)
			continue;
		if (found->segment.sealed || found->lost)
			return true;
		if ((found->head_ok && found->head.generation != head->before.generation) ||
		    !summary_plausible(&head->before))
			return true;
		uint64_t file_bytes = found->segment.file_bytes;
		uint64_t blocks = file_bytes / JOURNAL_BLOCK_BYTES;
		found->segment = head->before;
		found->segment.file_bytes = file_bytes;
		found->summed = true;
		if (found->segment.end_block > blocks) {
			recovery_report(recovery, found, file_bytes,
			    (found->segment.end_block - blocks) * JOURNAL_BLOCK_BYTES, "missing");
			found->segment.end_block = MAX(blocks, (uint64_t)JOURNAL_BLOCK_FIRST);
		}
		return true;
	}
	return false;
}

static void
recovery_sum_all(struct recovery *recovery)
{
	struct journal *journal = recovery->journal;
	for (size_t i = 0; i < recovery->count; i++) {
		struct found *found = &recovery->found[i];
		if (!found->head_ok)
			continue;
		const struct journal_head *head = &found->head;
		found->segment.generation = head->generation;
		recovery->commit_last = MAX(recovery->commit_last,
		    head->first_commit ? head->first_commit - 1 : 0);
		journal->next_seq = MAX(journal->next_seq, head->next_seq);
		if (head->before.number == 0 || recovery_sum(recovery, head, i))
			continue;
		/* Segments are trimmed in order: a gap behind an older one was not trimmed. */
		struct found missing = {.segment = head->before};
		if (recovery->found[0].segment.number < head->before.number)
			recovery_report(recovery, &missing, 0,
			    head->before.end_block * JOURNAL_BLOCK_BYTES, "missing");
	}
}

/* ── reading a whole segment ── */

static int
recovery_open_scan(struct recovery *recovery, const struct found *found,
    struct env_file **ret_file)
{
	struct journal *journal = recovery->journal;
	char path[JOURNAL_PATH_BYTES_MAX];
	struct env_file *file;
	check(journal_segment_path(journal, found->segment.number, 0, path));
	if (journal->read_only)
		return env_open(journal->env, path, ENV_READ, ret_file);
	int r = env_open(journal->env, path, ENV_WRITE, &file);
	if (r < 0)
		return r;
	r = env_sync(file);
	env_close(file);
	if (r < 0)
		return r;
	return journal_segment_open_file(journal, path, ENV_READ, true, ret_file);
}

/* The head of a segment is lost and so is its follower's: its blocks must tell the generation,
 * and that they are not from an earlier use of the file. Whether they can. */
static int
recovery_guess(struct recovery *recovery, struct found *found, bool *ret_known)
{
	struct journal_block head;
	const char *bytes;
	int r = journal_scan_block(&recovery->scan, JOURNAL_BLOCK_FIRST, &bytes);
	if (r < 0)
		return r;
	*ret_known = bytes && journal_format_get_block(bytes, &head) &&
	    head.block == JOURNAL_BLOCK_FIRST && head.generation != 0 &&
	    head.commit > recovery->commit_last;
	if (*ret_known)
		found->segment.generation = head.generation;
	return 0;
}

/* The range of the last commit, by the heads of its blocks. */
static int
recovery_find_last(struct recovery *recovery, struct found *found, uint64_t blocks,
    uint64_t *ret_begin, uint64_t *ret_end)
{
	uint64_t begin = JOURNAL_BLOCK_FIRST, end = JOURNAL_BLOCK_FIRST, commit = 0;
	uint64_t least = found->head_ok ? found->head.first_commit : 1;
	for (uint64_t i = JOURNAL_BLOCK_FIRST; i < blocks; i++) {
		struct journal_block head;
		const char *bytes;
		int r = journal_scan_block(&recovery->scan, i, &bytes);
		if (r < 0)
			return r;
		if (!bytes)
			break;
		if (!journal_format_get_block(bytes, &head) || head.block != i ||
		    head.generation != found->segment.generation || head.commit < least ||
		    head.commit <= commit)
			continue;
		commit = head.commit;
		begin = i - head.commit_index;
		end = MIN(begin + head.commit_blocks, blocks);
		found->torn = begin + head.commit_blocks > blocks;
	}
	found->end_commit = commit;
	*ret_begin = begin;
	*ret_end = end;
	return 0;
}

static void
recovery_count_record(struct recovery *recovery, struct found *found,
    const struct journal_record *record)
{
	struct journal *journal = recovery->journal;
	journal_segment_count_record(&found->segment, record);
	journal->next_seq = MAX(journal->next_seq, record->seq + record->count);
	if (record->stream == JOURNAL_RESERVE && record->body.len == 8)
		journal->next_seq = MAX(journal->next_seq,
		    journal_format_get_u64(record->body.ptr));
}

/* Counts the records in [scan.block, scan.end_block) and reports what is bad as `reason`, or as
 * what it is when that is NULL. */
static int
recovery_count(struct recovery *recovery, struct found *found, const char *reason)
{
	for (;;) {
		struct journal_record record;
		struct journal_damage damage;
		int r = journal_scan_next(&recovery->scan, &record, &damage);
		if (r == 1) {
			recovery_count_record(recovery, found, &record);
		} else if (r == -EBADMSG) {
			recovery_report(recovery, found, damage.offset, damage.bytes,
			    reason ? reason : damage.reason);
			found->torn = found->torn || reason;
		} else {
			return r;
		}
	}
}

/* Reads a segment of which no head tells what it holds. *ret_known: its blocks could be told from
 * those of an earlier use. */
static int
recovery_scan(struct recovery *recovery, struct found *found, bool *ret_known)
{
	struct journal_scan *scan = &recovery->scan;
	struct journal_segment *segment = &found->segment;
	uint64_t blocks = segment->file_bytes / JOURNAL_BLOCK_BYTES, begin, end;
	struct env_file *file = NULL;
	bool known = found->head_ok;
	int r = recovery_open_scan(recovery, found, &file);
	if (r < 0)
		return r;
	blocks = MIN(MAX(blocks, (uint64_t)JOURNAL_BLOCK_FIRST), (uint64_t)UINT32_MAX);
	journal_scan_start(scan, file, segment->generation, JOURNAL_BLOCK_FIRST, blocks);
	if (!known && blocks > JOURNAL_BLOCK_FIRST)
		r = recovery_guess(recovery, found, &known);
	if (r < 0 || !known)
		goto end;
	r = recovery_find_last(recovery, found, blocks, &begin, &end);
	if (r < 0)
		goto end;
	segment->end_block = end;
	journal_scan_start(scan, file, segment->generation, JOURNAL_BLOCK_FIRST, begin);
	r = recovery_count(recovery, found, NULL);
	if (r < 0)
		goto end;
	journal_scan_start(scan, file, segment->generation, begin, end);
	scan->commit = found->end_commit;
	r = recovery_count(recovery, found, "torn");
	if (found->torn)
		segment->torn_block = begin;
	recovery->commit_last = MAX(recovery->commit_last, found->end_commit);
end:
	env_close(file);
	scan->file = NULL;
	*ret_known = known;
	return r;
}

/* ── the whole ── */

/* Makes the last segment the one written to, unless its end is torn or unclear. */
static int
recovery_go_on(struct recovery *recovery, const struct found *found)
{
	struct journal *journal = recovery->journal;
	char path[JOURNAL_PATH_BYTES_MAX];
	uint64_t blocks = found->segment.file_bytes / JOURNAL_BLOCK_BYTES;
	if (!found->last || !found->head_ok || found->torn || found->segment.sealed ||
	    journal->read_only)
		return 0;
	check(journal_segment_path(journal, found->segment.number, 0, path));
	int r = journal_segment_open_file(journal, path, ENV_WRITE, journal->direct,
	    &journal->file);
	if (r < 0)
		return r;
	journal->capacity_blocks = MAX(journal->segment_blocks, blocks);
	journal->growing = blocks < journal->segment_blocks;
	return 0;
}

static int
recovery_segments(struct recovery *recovery)
{
	struct journal *journal = recovery->journal;
	int r = 0;
	for (size_t i = 0; i < recovery->count; i++) {
		struct found *found = &recovery->found[i];
		bool known = !found->lost;
		if (known && !found->summed)
			r = recovery_scan(recovery, found, &known);
		if (r == 0)
			r = journal_segment_reserve(journal);
		if (r < 0)
			return r;
		journal->number_last = found->segment.number;
		if (!known) { /* kept on disk for whoever wants to look */
			if (!found->lost)
				recovery_report(recovery, found, 0,
				    found->segment.file_bytes, "head");
			continue;
		}
		journal->segments[journal->segment_count++] = found->segment;
		if (found->segment.records > 0) {
			journal->counts.durable_seq = MAX(journal->counts.durable_seq,
			    found->segment.last_seq);
			journal->next_seq = MAX(journal->next_seq, found->segment.last_seq + 1);
		}
		if (i + 1 == recovery->count)
			r = recovery_go_on(recovery, found);
	}
	return r;
}

int
journal_recover(struct journal *journal, journal_damage_fn *report, void *report_ctx)
{
	struct recovery recovery = {
		.journal = journal, .report = report, .report_ctx = report_ctx,
	};
	journal_scan_init(&recovery.scan, CHUNK_BLOCKS);
	int r = journal->read_only ? 0 :
	    env_list_dir(journal->env, journal->dir, recovery_each_leftover, &recovery);
	if (r == 0)
		r = env_list_dir(journal->env, journal->dir, recovery_each_name, &recovery);
	if (r < 0)
		goto end;
	if (recovery.count > 0)
		recovery.found[recovery.count - 1].last = true;
	recovery_find_spares(&recovery);
	r = recovery_read_heads(&recovery);
	if (r < 0)
		goto end;
	recovery_sum_all(&recovery);
	r = recovery_segments(&recovery);
	if (r < 0)
		goto end;
	journal->commit_next = recovery.commit_last + 1;
	/* What a crash left behind unsynced: names, of segments and of spares. */
	if (!journal->read_only)
		r = env_sync_dir(journal->env, journal->dir);
end:
	journal_scan_finish(&recovery.scan);
	free(recovery.found);
	return r;
}

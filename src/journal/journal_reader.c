/*
 * journal_reader.c: reads what is durable, from a seq on, beside the writer.
 *
 * A reader knows its segment by number and a copy of the writer's entry, taken under the lock; it
 * reads only blocks before the end that the copy says, so it never meets a half written one. When
 * it gets there it looks again. A segment that was trimmed is left for the next kept one: at once
 * when the file was used again meanwhile (its blocks have another generation), else at its end.
 * One that was sealed or rewritten meanwhile is entered again at the same seq, likewise. So what is
 * bad is reported only after making sure that the segment is still in the list, as it was.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "journal_priv.h"
#include "journal_scan.h"
#include "sealed.h"

#define CHUNK_BLOCKS 32u

struct journal_reader {
	struct journal *journal;
	uint64_t from_seq;              /* nothing below is wanted any more */
	bool within;                    /* but a record that ends there or later */
	int64_t from_ms, to_ms;         /* what has no arrival between may be skipped */
	uint64_t *keys;                 /* what is about none of them may be skipped, if by_key */
	size_t key_count;
	bool by_key;
	struct env_file *file;          /* of `segment` while it is plain, or */
	struct sealed_reader *sealed;   /* its reader; both NULL: between segments */
	uint64_t number;                /* the segment in hand, or the last one done */
	struct journal_segment segment;
	struct journal_scan scan;
	struct journal_reader_stats stats;
};

int
journal_reader_open(struct journal *journal, uint64_t from_seq, struct journal_reader **ret_reader)
{
	struct journal_reader *reader = calloc(1, sizeof *reader);
	if (!reader)
		return -ENOMEM;
	reader->journal = journal;
	reader->from_seq = from_seq;
	reader->from_ms = INT64_MIN;
	reader->to_ms = INT64_MAX;
	journal_scan_init(&reader->scan, CHUNK_BLOCKS);
	*ret_reader = reader;
	return 0;
}

static void
reader_leave_segment(struct journal_reader *reader)
{
	env_close(reader->file);
	reader->file = NULL;
	if (reader->sealed)
		reader->stats.sealed_blocks += sealed_reader_blocks(reader->sealed);
	sealed_reader_close(reader->sealed);
	reader->sealed = NULL;
}

void
journal_reader_close(struct journal_reader *reader)
{
	if (!reader)
		return;
	reader_leave_segment(reader);
	journal_scan_finish(&reader->scan);
	free(reader->keys);
	free(reader);
}

/* The newest entry of the segment in hand. False: it was trimmed. */
static bool
reader_look_up(struct journal_reader *reader, struct journal_segment *ret_segment, bool *ret_last)
{
	struct journal *journal = reader->journal;
	bool kept = false;
	pthread_mutex_lock(&journal->lock);
	size_t i = journal_segment_after(journal, reader->number - 1);
	if (i < journal->segment_count && journal->segments[i].number == reader->number) {
		*ret_segment = journal->segments[i];
		*ret_last = i + 1 == journal->segment_count;
		kept = true;
	}
	pthread_mutex_unlock(&journal->lock);
	return kept;
}

static bool
reader_wants(const struct journal_reader *reader, const struct journal_segment *segment)
{
	return segment->records > 0 && segment->last_seq >= reader->from_seq &&
	    segment->arrival_max_ms >= reader->from_ms && segment->arrival_min_ms < reader->to_ms;
}

/* The first segment behind the last one done that may hold something wanted. The last segment
 * of the journal is not passed, only waited for. */
static bool
reader_choose(struct journal_reader *reader)
{
	struct journal *journal = reader->journal;
	bool found = false;
	pthread_mutex_lock(&journal->lock);
	size_t i = journal_segment_after(journal, reader->number);
	while (i + 1 < journal->segment_count && !reader_wants(reader, &journal->segments[i]))
		i++;
	if (i < journal->segment_count && reader_wants(reader, &journal->segments[i])) {
		reader->segment = journal->segments[i];
		found = true;
	}
	pthread_mutex_unlock(&journal->lock);
	return found;
}

static int
reader_open_plain(struct journal_reader *reader, const char *path)
{
	const struct journal_segment *segment = &reader->segment;
	int r = env_open(reader->journal->env, path, ENV_READ, &reader->file);
	if (r < 0)
		return r == -ENOENT || r == -ENOMEM ? r : -EIO;
	reader->stats.plain_segments++;
	journal_scan_start(&reader->scan, reader->file, segment->generation, JOURNAL_BLOCK_FIRST,
	    segment->end_block);
	if (reader->from_seq <= segment->first_seq)
		return 0;
	return reader->within ? journal_scan_seek_within(&reader->scan, reader->from_seq) :
	    journal_scan_seek(&reader->scan, reader->from_seq);
}

/* -EBADMSG: part of it cannot be read. Then reader->sealed tells whether the rest can. */
static int
reader_open_sealed(struct journal_reader *reader, const char *path,
    struct journal_damage *ret_damage)
{
	const char *reason = "";
	int r = sealed_reader_open(reader->journal->env, path, reader->segment.number,
	    &reader->sealed, &reason);
	if (r == -EBADMSG || r == -EPROTO) {
		ret_damage->offset = 0;
		ret_damage->bytes = reader->segment.file_bytes;
		snprintf(ret_damage->reason, sizeof ret_damage->reason, "%s", reason);
		return -EBADMSG;
	}
	if (r < 0)
		return r;
	reader->stats.sealed_segments++;
	sealed_reader_from(reader->sealed, reader->from_seq);
	sealed_reader_between(reader->sealed, reader->from_ms, reader->to_ms);
	return reader->by_key ? sealed_reader_want(reader->sealed, reader->keys,
	    reader->key_count, ret_damage) : 0;
}

/* What the segment in hand is to its list now. */
enum reader_place { PLACE_SAME, PLACE_TRIMMED, PLACE_REWRITTEN };

static enum reader_place
reader_place(struct journal_reader *reader, struct journal_segment *ret_segment)
{
	bool last;
	if (!reader_look_up(reader, ret_segment, &last))
		return PLACE_TRIMMED;
	return ret_segment->edition == reader->segment.edition ? PLACE_SAME : PLACE_REWRITTEN;
}

/* Leaves it, to be entered again at from_seq. */
static void
reader_step_back(struct journal_reader *reader)
{
	reader_leave_segment(reader);
	reader->number = reader->segment.number - 1;
}

/* Opens the next wanted segment. 1, 0 when there is none yet, -EBADMSG (its file is missing or of
 * no use: it is passed over), -ENOMEM, -EIO. */
static int
reader_enter_segment(struct journal_reader *reader, struct journal_damage *ret_damage)
{
	char path[JOURNAL_PATH_BYTES_MAX];
	struct journal_segment *segment = &reader->segment, now;
	while (reader_choose(reader)) {
		check(journal_segment_path(reader->journal, segment->number, segment->edition,
		    path));
		reader->number = segment->number;
		int r = segment->sealed ? reader_open_sealed(reader, path, ret_damage) :
		    reader_open_plain(reader, path);
		if (r == 0)
			return 1;
		if (r != -ENOENT && r != -EBADMSG) {
			reader_step_back(reader);
			return r;
		}
		if (r == -ENOENT) {
			ret_damage->offset = 0;
			ret_damage->bytes = segment->file_bytes;
			snprintf(ret_damage->reason, sizeof ret_damage->reason, "missing");
		}
		switch (reader_place(reader, &now)) {
		case PLACE_SAME:
			return -EBADMSG;
		case PLACE_REWRITTEN:
			reader_step_back(reader);
			break;
		case PLACE_TRIMMED: /* between choosing and opening */
			reader_leave_segment(reader);
			break;
		}
	}
	return 0;
}

/* All that was known to be durable in the segment is read. 1: there is more here, or the next
 * segment is to be chosen; 0: wait. */
static int
reader_reach_end(struct journal_reader *reader)
{
	struct journal_segment now;
	bool last;
	if (!reader->segment.sealed && reader_look_up(reader, &now, &last)) {
		if (now.end_block > reader->segment.end_block && now.sealed) {
			reader_step_back(reader);
			return 1;
		}
		if (now.end_block > reader->segment.end_block) {
			reader->segment = now;
			reader->scan.end_block = now.end_block;
			return 1;
		}
		if (last)
			return 0;
	}
	reader_leave_segment(reader);
	return 1;
}

/* Whether damage is to be told: not in a segment that is gone or rewritten by now, not in a torn
 * commit. */
static bool
reader_tells(struct journal_reader *reader, const struct journal_damage *damage)
{
	struct journal_segment now;
	switch (reader_place(reader, &now)) {
	case PLACE_TRIMMED:
		reader_leave_segment(reader);
		return false;
	case PLACE_REWRITTEN:
		reader_step_back(reader);
		return false;
	case PLACE_SAME:
		break;
	}
	return now.sealed || now.torn_block == 0 ||
	    damage->offset < now.torn_block * JOURNAL_BLOCK_BYTES;
}

int
journal_reader_next(struct journal_reader *reader, struct journal_record *ret_record,
    struct journal_damage *ret_damage)
{
	int r = 1;
	while (r > 0) {
		struct journal_record record;
		if (!reader->file && !reader->sealed) {
			r = reader_enter_segment(reader, ret_damage);
			if (r <= 0)
				break;
		}
		r = reader->sealed ? sealed_reader_next(reader->sealed, &record, ret_damage) :
		    journal_scan_next(&reader->scan, &record, ret_damage);
		if (r == 1 && record.seq + (reader->within ? record.count - 1 : 0) >=
		    reader->from_seq) {
			reader->from_seq = record.seq + record.count;
			*ret_record = record;
			return 1;
		}
		if (r == 0)
			r = reader_reach_end(reader);
		else if (r == -EBADMSG && !reader_tells(reader, ret_damage))
			r = 1;
	}
	if (r == -EBADMSG)
		journal_segment_name(reader->number, reader->segment.edition, ret_damage->segment);
	return r;
}

void
journal_reader_within(struct journal_reader *reader)
{
	reader->within = true;
}

/* What was learned about the segment in hand may allow to leave it. */
static void
reader_times_changed(struct journal_reader *reader)
{
	struct journal_segment now;
	bool last;
	if (reader->sealed)
		sealed_reader_between(reader->sealed, reader->from_ms, reader->to_ms);
	else if (reader->file && reader_look_up(reader, &now, &last) && !last &&
	    !reader_wants(reader, &now))
		reader_leave_segment(reader);
}

void
journal_reader_skip_to_time(struct journal_reader *reader, int64_t from_ms)
{
	reader->from_ms = MAX(reader->from_ms, from_ms);
	reader_times_changed(reader);
}

void
journal_reader_skip_from_time(struct journal_reader *reader, int64_t to_ms)
{
	reader->to_ms = MIN(reader->to_ms, to_ms);
	reader_times_changed(reader);
}

static int
keys_order(const void *a, const void *b)
{
	uint32_t left = (uint32_t)*(const uint64_t *)a, right = (uint32_t)*(const uint64_t *)b;
	return (left > right) - (left < right);
}

int
journal_reader_want(struct journal_reader *reader, const uint64_t *keys, size_t count)
{
	uint64_t *copy = malloc((count + 1) * sizeof copy[0]);
	if (!copy)
		return -ENOMEM;
	if (count > 0)
		memcpy(copy, keys, count * sizeof copy[0]);
	qsort(copy, count, sizeof copy[0], keys_order);
	free(reader->keys);
	reader->keys = copy;
	reader->key_count = count;
	reader->by_key = true;
	return 0;
}

void
journal_reader_stats(const struct journal_reader *reader, struct journal_reader_stats *ret_stats)
{
	*ret_stats = reader->stats;
	if (reader->sealed)
		ret_stats->sealed_blocks += sealed_reader_blocks(reader->sealed);
}

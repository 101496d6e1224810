/*
 * journal_reader.c: reads what is durable, from a seq on, beside the writer.
 *
 * A reader knows its segment by number and a copy of the writer's entry, taken under the lock; it
 * reads only blocks before the end that the copy says, so it never meets a half written one. When
 * it gets there it looks again. A segment that was trimmed is left for the next kept one: at once
 * when the file was used again meanwhile (its blocks have another generation), else at its end.
 * So anything bad is reported only after making sure that the segment is still in the list.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "journal_priv.h"
#include "journal_scan.h"

#define CHUNK_BLOCKS 32u

struct journal_reader {
	struct journal *journal;
	uint64_t from_seq;              /* nothing below is wanted any more */
	int64_t from_ms;                /* segments with older arrivals only may be skipped */
	struct env_file *file;          /* of `segment`; NULL: between segments */
	uint64_t number;                /* the segment in hand, or the last one done */
	struct journal_segment segment;
	struct journal_scan scan;
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
	journal_scan_init(&reader->scan, CHUNK_BLOCKS);
	*ret_reader = reader;
	return 0;
}

static void
reader_leave_segment(struct journal_reader *reader)
{
	env_close(reader->file);
	reader->file = NULL;
}

void
journal_reader_close(struct journal_reader *reader)
{
	if (!reader)
		return;
	reader_leave_segment(reader);
	journal_scan_finish(&reader->scan);
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
	    segment->arrival_max_ms >= reader->from_ms;
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

/* Opens the next wanted segment. 1, 0 when there is none yet, -EBADMSG (its file is missing: it
 * is passed over), -ENOMEM, -EIO. */
static int
reader_enter_segment(struct journal_reader *reader, struct journal_damage *ret_damage)
{
	char path[JOURNAL_PATH_BYTES_MAX];
	struct journal_segment *segment = &reader->segment, now;
	bool last;
	while (reader_choose(reader)) {
		check(journal_segment_path(reader->journal, segment->number, path));
		int r = env_open(reader->journal->env, path, ENV_READ, &reader->file);
		if (r == 0) {
			reader->number = segment->number;
			journal_scan_start(&reader->scan, reader->file, segment->generation,
			    JOURNAL_BLOCK_FIRST, segment->end_block);
			if (reader->from_seq > segment->first_seq)
				r = journal_scan_seek(&reader->scan, reader->from_seq);
			if (r == 0)
				return 1;
			reader_leave_segment(reader);
			reader->number = segment->number - 1;
			return r;
		}
		if (r != -ENOENT)
			return r == -ENOMEM ? -ENOMEM : -EIO;
		reader->number = segment->number;
		if (!reader_look_up(reader, &now, &last))
			continue; /* trimmed between choosing and opening */
		ret_damage->offset = 0;
		ret_damage->bytes = segment->file_bytes;
		snprintf(ret_damage->reason, sizeof ret_damage->reason, "missing");
		return -EBADMSG;
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
	if (!reader_look_up(reader, &now, &last)) {
		reader_leave_segment(reader);
		return 1;
	}
	if (now.end_block > reader->segment.end_block) {
		reader->segment = now;
		reader->scan.end_block = now.end_block;
		return 1;
	}
	if (last)
		return 0;
	reader_leave_segment(reader);
	return 1;
}

/* Whether damage is to be told: not in a segment that is gone, not in a torn commit. */
static bool
reader_tells(struct journal_reader *reader, const struct journal_damage *damage)
{
	struct journal_segment now;
	bool last;
	if (!reader_look_up(reader, &now, &last)) {
		reader_leave_segment(reader);
		return false;
	}
	return now.torn_block == 0 || damage->offset < now.torn_block * JOURNAL_BLOCK_BYTES;
}

int
journal_reader_next(struct journal_reader *reader, struct journal_record *ret_record,
    struct journal_damage *ret_damage)
{
	int r = 1;
	while (r > 0) {
		struct journal_record record;
		if (!reader->file) {
			r = reader_enter_segment(reader, ret_damage);
			if (r <= 0)
				break;
		}
		r = journal_scan_next(&reader->scan, &record, ret_damage);
		if (r == 1 && record.seq >= reader->from_seq) {
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
		journal_segment_name(reader->number, ret_damage->segment);
	return r;
}

void
journal_reader_skip_to_time(struct journal_reader *reader, int64_t from_ms)
{
	struct journal_segment now;
	bool last;
	reader->from_ms = MAX(reader->from_ms, from_ms);
	if (reader->file && reader_look_up(reader, &now, &last) && !last &&
	    now.arrival_max_ms < from_ms)
		reader_leave_segment(reader);
}

/*
 * stream.c: lanes, and the choice of the next run of points.
 *
 * A lane is at a chunk that is decoded, or at one that is only known by its first and last time.
 * The lane with the smallest next time is run up to the next time of any other; where lanes
 * overlap closely the points are gathered, so that the reader gets them in long pieces anyway.
 * Parts of different days never overlap: the lanes of one day at a time are open, the head's all
 * the time.
 * Invariants: pieces rise strictly in time; a lane decodes a chunk only when it is its turn.
 */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "codec.h"
#include "shelf.h"
#include "tombs.h"

#define STREAM_GATHER 1024u       /* points gathered where lanes overlap */
#define STREAM_RUN_MIN 64u        /* longer runs are handed over where they lie */
#define STREAM_CURSORS_KEPT 256u  /* with more parts each is closed after its series */

struct lane {
	struct part_entry *entries; /* chunks of the series in its part */
	size_t entry_count, entry_cap, entry;
	size_t part;                /* index in settings.parts */
	bool decoded;
	int64_t *times_ms;          /* the lane's own room for a chunk */
	double *values;
	size_t at, count, room;
};

struct stream {
	struct stream_settings set;
	struct part_cursor **cursors; /* by part; NULL: not open */
	uint64_t *damaged;            /* by part: the last offset reported, +1 */
	struct buf key;
	struct tombs_limit hidden;  /* of the series */
	size_t next_part;           /* the first part of the next day */
	struct lane *lanes;         /* of the day, in order; the last is the head */
	size_t lane_count, lane_cap;
	struct lane head;
	uint32_t *order;            /* for sorting the head */
	size_t order_room;
	size_t unpacked;            /* points, in all */
	size_t gathered;
	int64_t times_ms[STREAM_GATHER];
	double values[STREAM_GATHER];
};

static void
lane_finish(struct lane *lane)
{
	free(lane->entries);
	free(lane->times_ms);
	free(lane->values);
}

static int
lane_reserve(struct lane *lane, size_t count)
{
	if (lane->room >= count)
		return 0;
	free(lane->times_ms);
	free(lane->values);
	lane->room = 0;
	lane->times_ms = malloc(count * sizeof(*lane->times_ms));
	lane->values = malloc(count * sizeof(*lane->values));
	if (!lane->times_ms || !lane->values)
		return -ENOMEM;
	lane->room = count;
	return 0;
}

int
stream_create(const struct stream_settings *settings, struct stream **ret_stream)
{
	/* Not the room for gathered points, which is most of it. */
	struct stream *stream = malloc(sizeof(*stream));
	if (!stream)
		return -ENOMEM;
	memset(stream, 0, offsetof(struct stream, times_ms));
	stream->set = *settings;
	size_t count = MAX(settings->part_count, 1);
	stream->cursors = calloc(count, sizeof(struct part_cursor *));
	stream->damaged = calloc(count, sizeof(*stream->damaged));
	if (!stream->cursors || !stream->damaged) {
		stream_destroy(stream);
		return -ENOMEM;
	}
	*ret_stream = stream;
	return 0;
}

void
stream_destroy(struct stream *stream)
{
	if (!stream)
		return;
	for (size_t i = 0; stream->cursors && i < stream->set.part_count; i++)
		shelf_put(stream->set.shelf, stream->cursors[i]);
	for (size_t i = 0; i < stream->lane_cap; i++)
		lane_finish(&stream->lanes[i]);
	lane_finish(&stream->head);
	free(stream->cursors);
	free(stream->damaged);
	free(stream->lanes);
	free(stream->order);
	buf_finish(&stream->key);
	free(stream);
}

void
stream_set_range(struct stream *stream, int64_t from_ms, int64_t to_ms)
{
	stream->set.from_ms = from_ms;
	stream->set.to_ms = to_ms;
}

static void
stream_report(struct stream *stream, size_t part, uint64_t offset, const char *reason)
{
	if (stream->damaged[part] == offset + 1)
		return;
	stream->damaged[part] = offset + 1;
	struct series_damage damage;
	part_damage(&damage, stream->set.parts[part], offset, reason);
	if (stream->set.damage)
		stream->set.damage(stream->set.ctx, &damage);
}

/* ── the head's lane ── */

struct order_ctx {
	const int64_t *times_ms;
};

static int
stream_head_order(const void *a, const void *b, void *ctx)
{
	const int64_t *times_ms = ((const struct order_ctx *)ctx)->times_ms;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	if (times_ms[x] != times_ms[y])
		return times_ms[x] < times_ms[y] ? -1 : 1;
	return x < y ? -1 : x > y;
}

static bool
stream_head_rises(const struct stream_head *head)
{
	for (size_t i = 1; i < head->count; i++)
		if (head->times_ms[i] <= head->times_ms[i - 1])
			return false;
	return true;
}

/* Sorted by time, of equal times the last that came. */
static int
stream_sort_head(struct stream *stream, const struct stream_head *head)
{
	if (stream->order_room < head->count) {
		free(stream->order);
		stream->order_room = 0;
		stream->order = malloc(head->count * sizeof(*stream->order));
		if (!stream->order)
			return -ENOMEM;
		stream->order_room = head->count;
	}
	for (size_t i = 0; i < head->count; i++)
		stream->order[i] = (uint32_t)i;
	struct order_ctx ctx = {head->times_ms};
	qsort_r(stream->order, head->count, sizeof(*stream->order), stream_head_order, &ctx);
	struct lane *lane = &stream->head;
	size_t count = 0;
	for (size_t i = 0; i < head->count; i++) {
		uint32_t from = stream->order[i];
		if (count && lane->times_ms[count - 1] == head->times_ms[from])
			count--;
		lane->times_ms[count] = head->times_ms[from];
		lane->values[count++] = head->values[from];
	}
	lane->count = count;
	return 0;
}

static void
lane_trim(struct lane *lane, int64_t from_ms, int64_t to_ms)
{
	while (lane->at < lane->count && lane->times_ms[lane->at] < from_ms)
		lane->at++;
	while (lane->count > lane->at && lane->times_ms[lane->count - 1] > to_ms)
		lane->count--;
}

static int
stream_load_head(struct stream *stream, const struct stream_head *head)
{
	struct lane *lane = &stream->head;
	lane->at = lane->count = lane->entry = lane->entry_count = 0;
	lane->decoded = true;
	if (!head || head->count == 0)
		return 0;
	if (lane_reserve(lane, head->count) != 0)
		return -ENOMEM;
	if (stream_head_rises(head)) {
		memcpy(lane->times_ms, head->times_ms, head->count * sizeof(int64_t));
		memcpy(lane->values, head->values, head->count * sizeof(double));
		lane->count = head->count;
	} else if (stream_sort_head(stream, head) != 0) {
		return -ENOMEM;
	}
	lane_trim(lane, stream->set.from_ms, stream->set.to_ms);
	return 0;
}

/* ── lanes of parts ── */

int
stream_begin(struct stream *stream, struct span key, const struct stream_head *head)
{
	if (stream->set.part_count > STREAM_CURSORS_KEPT) {
		for (size_t i = 0; i < stream->set.part_count; i++) {
			shelf_put(stream->set.shelf, stream->cursors[i]);
			stream->cursors[i] = NULL;
		}
	}
	buf_clear(&stream->key);
	if (buf_append_span(&stream->key, key) != 0)
		return -ENOMEM;
	stream->hidden = tombs_of_key(stream->set.tombs, key);
	stream->next_part = stream->lane_count = stream->gathered = 0;
	return stream_load_head(stream, head);
}

static int
lane_add_entry(struct lane *lane, const struct part_entry *entry)
{
	if (lane->entry_count == lane->entry_cap) {
		size_t cap = lane->entry_cap ? lane->entry_cap * 2 : 4;
		void *entries = realloc(lane->entries, cap * sizeof(*lane->entries));
		if (!entries)
			return -ENOMEM;
		lane->entries = entries;
		lane->entry_cap = cap;
	}
	lane->entries[lane->entry_count++] = *entry;
	return 0;
}

/* The chunks of the series in one part. 0, -ENOMEM, -EIO. */
static int
stream_find(struct stream *stream, size_t part, struct lane *lane)
{
	const struct stream_settings *set = &stream->set;
	if (!stream->cursors[part] &&
	    shelf_take(set->shelf, set->parts[part], &stream->cursors[part]) != 0)
		return -ENOMEM;
	struct part_cursor *cursor = stream->cursors[part];
	part_cursor_set_reading(cursor, set->at_once == 0);
	struct span key = buf_span(&stream->key);
	int got = part_cursor_seek(cursor, key);
	while (got == 1 && span_eq(part_cursor_key(cursor), key)) {
		const struct part_entry *entry = part_cursor_entry(cursor);
		if (entry->last_ms >= set->from_ms && entry->first_ms <= set->to_ms &&
		    lane_add_entry(lane, entry) != 0)
			return -ENOMEM;
		got = part_cursor_next(cursor);
	}
	if (got == -EBADMSG)
		stream_report(stream, part, part_cursor_damage(cursor), "damaged index");
	return got == -EBADMSG || got >= 0 ? 0 : got;
}

static bool
stream_part_wanted(const struct stream *stream, size_t part)
{
	const struct store_part *info = &stream->set.parts[part]->info;
	return info->time_last >= stream->set.from_ms && info->time_first <= stream->set.to_ms &&
	    !tombs_hide(&stream->hidden, info);
}

/* Opens the lanes of the next day that has any. 1 there are, 0 no more days. */
static int
stream_next_day(struct stream *stream)
{
	const struct stream_settings *set = &stream->set;
	stream->lane_count = 0;
	while (stream->lane_count == 0 && stream->next_part < set->part_count) {
		int32_t day = set->parts[stream->next_part]->info.day;
		for (; stream->next_part < set->part_count; stream->next_part++) {
			size_t part = stream->next_part;
			if (set->parts[part]->info.day != day)
				break;
			if (!stream_part_wanted(stream, part))
				continue;
			if (stream->lane_count == stream->lane_cap) {
				size_t cap = stream->lane_cap + 4;
				void *lanes = realloc(stream->lanes, cap * sizeof(struct lane));
				if (!lanes)
					return -ENOMEM;
				stream->lanes = lanes;
				memset(stream->lanes + stream->lane_cap, 0,
				    4 * sizeof(struct lane));
				stream->lane_cap = cap;
			}
			struct lane *lane = &stream->lanes[stream->lane_count];
			lane->entry = lane->entry_count = lane->at = lane->count = 0;
			lane->decoded = false;
			lane->part = part;
			int error = stream_find(stream, part, lane);
			if (error)
				return error;
			stream->lane_count += lane->entry_count > 0;
		}
	}
	return stream->lane_count > 0;
}

/* ── running ── */

static bool
lane_done(const struct lane *lane)
{
	return lane->entry == lane->entry_count && (!lane->decoded || lane->at == lane->count);
}

/* The time of its next point; INT64_MAX when it is done. Of a chunk that is not decoded yet it
 * may be too early (points before the range), never too late. */
static int64_t
lane_next_ms(const struct lane *lane)
{
	if (lane->decoded && lane->at < lane->count)
		return lane->times_ms[lane->at];
	return lane->entry < lane->entry_count ? lane->entries[lane->entry].first_ms : INT64_MAX;
}

static bool
lane_is_loaded(const struct lane *lane)
{
	return lane->decoded && lane->at < lane->count;
}

/* Decodes the lane's next chunk; a damaged one is reported and left out. */
static int
stream_decode(struct stream *stream, struct lane *lane)
{
	const struct part_entry *entry = &lane->entries[lane->entry++];
	struct span chunk;
	lane->at = lane->count = 0;
	lane->decoded = true;
	stream->unpacked += entry->count;
	if (stream->set.at_once && stream->unpacked > stream->set.at_once)
		return -EAGAIN;
	int error = part_cursor_chunk(stream->cursors[lane->part], entry, &chunk);
	if (error == 0) {
		int count = codec_count(chunk);
		error = count < 0 ? count : (uint32_t)count != entry->count ? -EBADMSG : 0;
	}
	if (error == 0 && lane_reserve(lane, entry->count) != 0)
		error = -ENOMEM;
	if (error == 0)
		error = codec_decode(chunk, lane->times_ms, lane->values);
	if (error == 0 && (lane->times_ms[0] != entry->first_ms ||
	    lane->times_ms[entry->count - 1] != entry->last_ms))
		error = -EBADMSG;
	if (error == -EBADMSG || error == -EPROTO) {
		stream_report(stream, lane->part, entry->offset, error == -EBADMSG ?
		    "damaged chunk" : "chunk of a newer version");
		return 0;
	}
	if (error)
		return error;
	lane->count = entry->count;
	lane_trim(lane, stream->set.from_ms, stream->set.to_ms);
	return 0;
}

struct stream_choice {
	struct lane *lane;  /* with the smallest next time, the highest of equals; NULL: all done */
	int64_t next_ms;    /* its next time */
	int64_t others_ms;  /* smallest next time of the others */
};

static struct lane *
stream_lane(struct stream *stream, size_t i)
{
	return i == stream->lane_count ? &stream->head : &stream->lanes[i];
}

static struct stream_choice
stream_choose(struct stream *stream)
{
	struct stream_choice choice = {NULL, INT64_MAX, INT64_MAX};
	for (size_t i = 0; i <= stream->lane_count; i++) {
		struct lane *lane = stream_lane(stream, i);
		int64_t next_ms = lane_next_ms(lane);
		if (next_ms == INT64_MAX)
			continue;
		if (next_ms <= choice.next_ms) {
			choice.others_ms = choice.next_ms;
			choice.next_ms = next_ms;
			choice.lane = lane;
		} else {
			choice.others_ms = MIN(choice.others_ms, next_ms);
		}
	}
	return choice;
}

static bool
stream_taken(struct stream *stream, const struct stream_choice *choice)
{
	const struct part_entry *entry = &choice->lane->entries[choice->lane->entry];
	return stream->set.take && entry->last_ms < choice->others_ms &&
	    entry->first_ms >= stream->set.from_ms && entry->last_ms <= stream->set.to_ms &&
	    stream->set.take(stream->set.ctx, entry);
}

/* Points of the lane before `others_ms`; where they are equal it has one, the others skip it. */
static size_t
stream_run(struct stream *stream, const struct stream_choice *choice)
{
	struct lane *lane = choice->lane;
	if (choice->next_ms == choice->others_ms) {
		for (size_t i = 0; i <= stream->lane_count; i++) {
			struct lane *other = stream_lane(stream, i);
			if (other != lane && lane_is_loaded(other) &&
			    other->times_ms[other->at] == choice->next_ms)
				other->at++;
		}
		return 1;
	}
	if (lane->times_ms[lane->count - 1] < choice->others_ms)
		return lane->count - lane->at;
	size_t low = lane->at + 1, high = lane->count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (lane->times_ms[mid] < choice->others_ms)
			low = mid + 1;
		else
			high = mid;
	}
	return low - lane->at;
}

/* A lane that must be decoded before the choice can be run, or NULL. */
static struct lane *
stream_undecoded(struct stream *stream, const struct stream_choice *choice)
{
	if (!lane_is_loaded(choice->lane))
		return choice->lane;
	if (choice->next_ms != choice->others_ms)
		return NULL;
	for (size_t i = 0; i < stream->lane_count; i++) {
		struct lane *lane = &stream->lanes[i];
		if (!lane_done(lane) && !lane_is_loaded(lane) &&
		    lane_next_ms(lane) == choice->next_ms)
			return lane;
	}
	return NULL;
}

static int
stream_give_gathered(struct stream *stream, struct stream_piece *ret_piece)
{
	*ret_piece = (struct stream_piece){
		.count = stream->gathered,
		.times_ms = stream->times_ms,
		.values = stream->values,
	};
	stream->gathered = 0;
	return 1;
}

static int
stream_give_chunk(struct stream *stream, struct lane *lane, struct stream_piece *ret_piece)
{
	*ret_piece = (struct stream_piece){
		.entry = &lane->entries[lane->entry++],
		.cursor = stream->cursors[lane->part],
	};
	lane->decoded = false;
	return 1;
}

/* One step: 1 a piece, 0 go on, 2 the end. */
static int
stream_step(struct stream *stream, struct stream_piece *ret_piece)
{
	bool open = false;
	for (size_t i = 0; i < stream->lane_count; i++)
		open |= !lane_done(&stream->lanes[i]);
	if (!open) {
		int more = stream_next_day(stream);
		if (more < 0)
			return more;
	}
	struct stream_choice choice = stream_choose(stream);
	if (!choice.lane)
		return stream->gathered ? stream_give_gathered(stream, ret_piece) : 2;
	struct lane *raw = stream_undecoded(stream, &choice);
	if (raw) {
		if (raw == choice.lane && choice.next_ms != choice.others_ms &&
		    stream_taken(stream, &choice)) {
			if (stream->gathered)
				return stream_give_gathered(stream, ret_piece);
			return stream_give_chunk(stream, raw, ret_piece);
		}
		return stream_decode(stream, raw);
	}
	size_t count = stream_run(stream, &choice);
	struct lane *lane = choice.lane;
	if (count < STREAM_RUN_MIN) {
		count = MIN(count, STREAM_GATHER - stream->gathered);
		memcpy(stream->times_ms + stream->gathered, lane->times_ms + lane->at,
		    count * sizeof(int64_t));
		memcpy(stream->values + stream->gathered, lane->values + lane->at,
		    count * sizeof(double));
		stream->gathered += count;
		lane->at += count;
		if (stream->gathered < STREAM_GATHER)
			return 0;
		return stream_give_gathered(stream, ret_piece);
	}
	if (stream->gathered)
		return stream_give_gathered(stream, ret_piece);
	*ret_piece = (struct stream_piece){
		.count = count,
		.times_ms = lane->times_ms + lane->at,
		.values = lane->values + lane->at,
	};
	lane->at += count;
	return 1;
}

int
stream_next(struct stream *stream, struct stream_piece *ret_piece)
{
	for (;;) {
		int step = stream_step(stream, ret_piece);
		if (step)
			return step == 2 ? 0 : step;
	}
}

/*
 * rollup_read.c: the roll-ups of a series out of the parts of one file span, merged.
 *
 * Invariant: what is handed out rises strictly; of equal buckets the one of the later part.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "rollup.h"
#include "shelf.h"
#include "tombs.h"

#define ROLLUP_CURSORS_KEPT 256u /* with more parts each is closed after its series */

struct rollup_reader {
	struct rollup_reader_settings set;
	struct part_cursor **cursors; /* by part; NULL: not open */
	struct rollup *rollups;
	size_t count, room;
	size_t unpacked;              /* in all */
	int64_t first_bucket_ms, last_bucket_ms; /* of all that was read */
	uint32_t *order;              /* for merging */
	struct rollup *merged;
	size_t merge_room;
};

int
rollup_reader_create(const struct rollup_reader_settings *settings,
    struct rollup_reader **ret_reader)
{
	struct rollup_reader *reader = calloc(1, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->set = *settings;
	reader->cursors = calloc(MAX(settings->part_count, 1), sizeof(struct part_cursor *));
	if (!reader->cursors) {
		rollup_reader_destroy(reader);
		return -ENOMEM;
	}
	*ret_reader = reader;
	return 0;
}

void
rollup_reader_destroy(struct rollup_reader *reader)
{
	if (!reader)
		return;
	for (size_t i = 0; reader->cursors && i < reader->set.part_count; i++)
		shelf_put(reader->set.shelf, reader->cursors[i]);
	free(reader->cursors);
	free(reader->rollups);
	free(reader->order);
	free(reader->merged);
	free(reader);
}

static void
reader_report(struct rollup_reader *reader, size_t part, uint64_t offset, const char *reason,
    struct rollup_run *run)
{
	struct series_damage damage;
	run->damaged = true;
	part_damage(&damage, reader->set.parts[part], offset, reason);
	if (reader->set.damage)
		reader->set.damage(reader->set.ctx, &damage);
}

static int
reader_reserve(struct rollup_reader *reader, size_t more)
{
	if (reader->room - reader->count >= more)
		return 0;
	size_t room = reader->count + more;
	void *rollups = realloc(reader->rollups, room * sizeof(*reader->rollups));
	if (!rollups)
		return -ENOMEM;
	reader->rollups = rollups;
	reader->room = room;
	return 0;
}

/* Appends the roll-ups of one chunk. */
static int
reader_take(struct rollup_reader *reader, size_t part, struct rollup_run *run)
{
	const struct store_part *info = &reader->set.parts[part]->info;
	const struct part_entry *entry = part_cursor_entry(reader->cursors[part]);
	struct span chunk;
	int error = part_cursor_chunk(reader->cursors[part], entry, &chunk);
	if (error == 0 && reader_reserve(reader, ROLLUP_CHUNK_MAX) != 0)
		error = -ENOMEM;
	int got = error ? error :
			  rollup_decode((enum rollup_kind)info->rollup, info->day, chunk,
			      reader->rollups + reader->count);
	if (got == -EBADMSG || got == -EPROTO) {
		reader_report(reader, part, entry->offset, got == -EBADMSG ?
		    "damaged roll-ups" : "roll-ups of a newer version", run);
		return 0;
	}
	if (got < 0)
		return got;
	/* Of the first bucket and the last the later part wins, too. */
	int64_t first = reader->rollups[reader->count].start_ms;
	int64_t last = reader->rollups[reader->count + (size_t)got - 1].start_ms;
	if (reader->count == 0 || first <= reader->first_bucket_ms) {
		reader->first_bucket_ms = first;
		run->first_ms = entry->first_ms;
	}
	if (reader->count == 0 || last >= reader->last_bucket_ms) {
		reader->last_bucket_ms = last;
		run->last_ms = entry->last_ms;
	}
	reader->count += (size_t)got;
	reader->unpacked += (size_t)got;
	return reader->set.at_once && reader->unpacked > reader->set.at_once ? -EAGAIN : 0;
}

static int
reader_order(const void *a, const void *b, void *ctx)
{
	const struct rollup *rollups = ctx;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	if (rollups[x].start_ms != rollups[y].start_ms)
		return rollups[x].start_ms < rollups[y].start_ms ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* Sorts, and of equal buckets keeps the last that was read. */
static int
reader_merge(struct rollup_reader *reader)
{
	if (reader->merge_room < reader->count) {
		free(reader->order);
		free(reader->merged);
		reader->merge_room = 0;
		reader->order = malloc(reader->count * sizeof(*reader->order));
		reader->merged = malloc(reader->count * sizeof(*reader->merged));
		if (!reader->order || !reader->merged)
			return -ENOMEM;
		reader->merge_room = reader->count;
	}
	for (size_t i = 0; i < reader->count; i++)
		reader->order[i] = (uint32_t)i;
	qsort_r(reader->order, reader->count, sizeof(*reader->order), reader_order,
	    reader->rollups);
	size_t count = 0;
	for (size_t i = 0; i < reader->count; i++) {
		const struct rollup *rollup = &reader->rollups[reader->order[i]];
		if (count && reader->merged[count - 1].start_ms == rollup->start_ms)
			count--;
		reader->merged[count++] = *rollup;
	}
	reader->count = count;
	return 0;
}

static bool
reader_rises(const struct rollup_reader *reader)
{
	for (size_t i = 1; i < reader->count; i++)
		if (reader->rollups[i].start_ms <= reader->rollups[i - 1].start_ms)
			return false;
	return true;
}

/* What one part has of the series. */
static int
reader_read_part(struct rollup_reader *reader, size_t part, struct span key,
    struct rollup_run *run)
{
	struct part_cursor **cursor = &reader->cursors[part];
	if (!*cursor && shelf_take(reader->set.shelf, reader->set.parts[part], cursor) != 0)
		return -ENOMEM;
	part_cursor_set_reading(*cursor, reader->set.at_once == 0);
	int got = part_cursor_seek(*cursor, key);
	while (got == 1 && span_eq(part_cursor_key(*cursor), key)) {
		int error = reader_take(reader, part, run);
		if (error)
			return error;
		got = part_cursor_next(*cursor);
	}
	if (got == -EBADMSG)
		reader_report(reader, part, part_cursor_damage(*cursor), "damaged index", run);
	else if (got < 0)
		return got;
	if (reader->set.part_count > ROLLUP_CURSORS_KEPT) {
		shelf_put(reader->set.shelf, *cursor);
		*cursor = NULL;
	}
	return 0;
}

int
rollup_reader_read(struct rollup_reader *reader, struct span key, int32_t file_day,
    struct rollup_run *ret_run)
{
	struct rollup_run run = {0};
	struct tombs_limit limit = tombs_of_key(reader->set.tombs, key);
	reader->count = 0;
	size_t low = 0, high = reader->set.part_count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (reader->set.parts[mid]->info.day < file_day)
			low = mid + 1;
		else
			high = mid;
	}
	for (size_t part = low; part < reader->set.part_count; part++) {
		const struct store_part *info = &reader->set.parts[part]->info;
		if (info->day != file_day)
			break;
		if (tombs_hide(&limit, info))
			continue;
		int error = reader_read_part(reader, part, key, &run);
		if (error)
			return error;
	}
	bool rises = reader_rises(reader);
	if (!rises && reader_merge(reader) != 0)
		return -ENOMEM;
	run.rollups = rises ? reader->rollups : reader->merged;
	run.count = reader->count;
	*ret_run = run;
	return 0;
}

/*
 * merge_rolls.c: parts of roll-ups of one kind and span of days become one.
 *
 * Of equal buckets that of the later part stays. As with points, a part with damage is not merged.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "merge_priv.h"
#include "walk.h"

struct rolls_work {
	struct walk *walk;
	struct rollup_reader *reader;
	struct part_writer *writer;
	struct buf chunk;
};

static int
rolls_write(struct rolls_work *work, const struct store_part *info, const struct rollup_run *run)
{
	struct span key = walk_key(work->walk);
	if (run->count == 0)
		return 0;
	buf_clear(&work->chunk);
	int error = rollup_encode((enum rollup_kind)info->rollup, info->day, run->rollups,
	    run->count, &work->chunk);
	if (error == 0)
		error = part_writer_series(work->writer, key);
	if (error)
		return error;
	struct part_entry entry = {
		.len = (uint32_t)work->chunk.len,
		.count = (uint32_t)run->count,
		.first_ms = run->first_ms,
		.last_ms = run->last_ms,
		.last = run->rollups[run->count - 1].cell.last,
	};
	return part_writer_copy(work->writer, buf_span(&work->chunk), &entry);
}

int
merge_rolls_run(struct series_merge *merge)
{
	struct rolls_work work = {0};
	struct rollup_reader_settings settings = {
		.parts = merge->inputs,
		.part_count = merge->count,
		.tombs = merge->tombs,
	};
	struct store_part info = merge_row(merge);
	struct rollup_run run;
	int more = 0, error = walk_create(merge->inputs, merge->count, &work.walk);
	if (error == 0)
		error = rollup_reader_create(&settings, &work.reader);
	if (error == 0)
		error = part_writer_create(merge->env, merge->dir, &info, &work.writer);
	while (error == 0 && (more = walk_next(work.walk)) == 1) {
		error = rollup_reader_read(work.reader, walk_key(work.walk), info.day, &run);
		if (error == 0 && run.damaged)
			error = -EBADMSG;
		if (error == 0)
			error = rolls_write(&work, &info, &run);
	}
	if (error == 0)
		error = more;
	if (error == 0 && !part_writer_is_empty(work.writer))
		error = part_writer_finish(work.writer, &merge->output);
	walk_destroy(work.walk);
	rollup_reader_destroy(work.reader);
	part_writer_destroy(work.writer);
	buf_finish(&work.chunk);
	return error;
}

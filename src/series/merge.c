/*
 * merge.c: adjacent parts of a day become one.
 *
 * Which: parts are looked at from the newest back; each older one joins while it is not larger
 * than what was gathered so far (for days that are over: than four times that). So a point is
 * rewritten a logarithmic number of times and a day ends with a handful of parts.
 * What tombstones hide is left out. Parts of roll-ups are merged likewise (merge_rolls.c).
 * Invariants: only neighbours in seq order are merged, so the order of the rest stays true; a part
 * with damage is never merged away, what can still be read from it would go with it.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "codec.h"
#include "merge_priv.h"
#include "stream.h"

#define MERGE_PARTS_MIN 4u      /* of the newest day; 2 of days that are over */
#define MERGE_OVER_RATIO 4u
#define MERGE_BYTES_MAX (UINT64_C(1) << 30)
#define MERGE_KEEP_POINTS (PART_CHUNK_POINTS_MAX / 2) /* chunks this long are copied as they are */

/* ── choosing ── */

struct merge_range {
	struct part *const *parts; /* of these */
	size_t first, count;       /* count 0: none */
};

/* Neighbours that end at `last` and are worth it. */
static struct merge_range
merge_suffix(struct part *const *parts, size_t day_first, size_t last, size_t least,
    uint64_t ratio)
{
	uint64_t bytes = 0;
	size_t at = last + 1;
	while (at > day_first) {
		const struct part *part = parts[at - 1];
		if (part->damaged || bytes + part->info.bytes > MERGE_BYTES_MAX)
			break;
		if (bytes && part->info.bytes > bytes * ratio)
			break;
		bytes += part->info.bytes;
		at--;
	}
	size_t count = last + 1 - at;
	return (struct merge_range){parts, at, count >= least ? count : 0};
}

/* Whether two parts cover the same days with the same kind of thing. */
static bool
merge_alike(const struct part *a, const struct part *b)
{
	return a->info.rollup == b->info.rollup && a->info.day == b->info.day;
}

static struct merge_range
merge_choose(struct part *const *parts, size_t part_count, bool all)
{
	struct merge_range best = {parts, 0, 0};
	for (size_t first = 0, end; first < part_count; first = end) {
		for (end = first; end < part_count && merge_alike(parts[first], parts[end]); end++)
			;
		bool newest = end == part_count ||
		    parts[end]->info.rollup != parts[first]->info.rollup;
		size_t least = all || !newest ? 2 : MERGE_PARTS_MIN;
		uint64_t ratio = all ? UINT32_MAX : newest ? 1 : MERGE_OVER_RATIO;
		/* A damaged part splits its day; what lies before it is tried as well. */
		for (size_t last = end; last > first && best.count == 0; last--)
			if (last == end || parts[last]->damaged)
				best = merge_suffix(parts, first, last - 1, least, ratio);
		if (best.count)
			return best;
	}
	return best;
}

struct series_merge *
merge_create(struct series_partition *partition, _Atomic uint64_t *next_part_id,
    struct part *const *inputs, size_t count)
{
	struct series_merge *merge = calloc(1, sizeof(*merge));
	if (!merge)
		return NULL;
	merge->inputs = calloc(MAX(count, 1), sizeof(struct part *));
	if (!merge->inputs) {
		free(merge);
		return NULL;
	}
	merge->env = partition->env;
	merge->dir = partition->dir;
	merge->next_id = next_part_id;
	merge->tombs = tombs_ref(partition->tombs);
	merge->rolled = UINT32_MAX;
	for (size_t i = 0; i < count; i++)
		merge_add_input(merge, inputs[i]);
	return merge;
}

void
merge_add_input(struct series_merge *merge, struct part *part)
{
	merge->inputs[merge->count++] = part_ref(part);
	merge->rolled &= part->info.rolled;
}

static struct series_merge *
merge_begin(struct series_partition *partition, _Atomic uint64_t *next_part_id, bool all)
{
	if (partition->merging)
		return NULL;
	struct merge_range range = merge_choose(partition->parts, partition->part_count, all);
	if (range.count == 0)
		range = merge_choose(partition->rolls, partition->roll_count, all);
	if (range.count == 0)
		return NULL;
	struct series_merge *merge = merge_create(partition, next_part_id,
	    range.parts + range.first, range.count);
	partition->merging = merge != NULL;
	return merge;
}

struct series_merge *
series_partition_merge_begin(struct series_partition *partition, _Atomic uint64_t *next_part_id)
{
	return merge_begin(partition, next_part_id, false);
}

struct series_merge *
series_partition_compact_begin(struct series_partition *partition, _Atomic uint64_t *next_part_id)
{
	return merge_begin(partition, next_part_id, true);
}

/* ── worker ── */

/* The keys of all inputs in order, and the points of the chunk that is being filled. */
struct merge_work {
	struct series_merge *merge;
	struct stream *stream;
	struct part_writer *writer;
	struct part_cursor **keys;
	bool *live;                /* keys[i] stands on an entry */
	struct buf key;
	bool damaged;
	size_t count;
	int64_t times_ms[PART_CHUNK_POINTS_MAX];
	double values[PART_CHUNK_POINTS_MAX];
};

static bool
merge_take(void *ctx, const struct part_entry *entry)
{
	(void)ctx;
	return entry->count >= MERGE_KEEP_POINTS;
}

static void
merge_damage(void *ctx, const struct series_damage *damage)
{
	(void)damage;
	((struct merge_work *)ctx)->damaged = true;
}

static void
merge_work_destroy(struct merge_work *work)
{
	for (size_t i = 0; work->keys && i < work->merge->count; i++)
		part_cursor_destroy(work->keys[i]);
	free(work->keys);
	free(work->live);
	stream_destroy(work->stream);
	part_writer_destroy(work->writer);
	buf_finish(&work->key);
	free(work);
}

/* Moves a cursor behind `key` (or to the first entry when there is none yet). */
static int
merge_move_key(struct merge_work *work, size_t i)
{
	int got;
	do {
		got = part_cursor_next(work->keys[i]);
	} while (got == 1 && work->key.len &&
	    span_eq(part_cursor_key(work->keys[i]), buf_span(&work->key)));
	work->live[i] = got == 1;
	return got < 0 ? got : 0;
}

struct store_part
merge_row(struct series_merge *merge)
{
	const struct store_part *first = &merge->inputs[0]->info;
	struct store_part info = {
		.id = atomic_fetch_add(merge->next_id, 1),
		.partition = first->partition,
		.day = first->day,
		.seq_first = first->seq_first,
		.seq_last = merge->inputs[merge->count - 1]->info.seq_last,
		.rollup = first->rollup,
		.rolled = merge->rolled,
	};
	for (size_t i = 0; i < merge->count; i++)
		info.level = MAX(info.level, merge->inputs[i]->info.level + 1);
	return info;
}

static int
merge_work_create(struct series_merge *merge, struct merge_work **ret_work)
{
	struct merge_work *work = calloc(1, sizeof(*work));
	if (!work)
		return -ENOMEM;
	work->merge = merge;
	struct stream_settings settings = {
		.parts = merge->inputs,
		.part_count = merge->count,
		.from_ms = INT64_MIN,
		.to_ms = INT64_MAX - 1,
		.tombs = merge->tombs,
		.take = merge_take,
		.damage = merge_damage,
		.ctx = work,
	};
	struct store_part info = merge_row(merge);
	int error = -ENOMEM;
	work->keys = calloc(merge->count, sizeof(struct part_cursor *));
	work->live = calloc(merge->count, sizeof(bool));
	if (!work->keys || !work->live)
		goto fail;
	error = stream_create(&settings, &work->stream);
	for (size_t i = 0; i < merge->count && error == 0; i++) {
		error = part_cursor_create(merge->inputs[i], &work->keys[i]);
		if (error == 0)
			error = merge_move_key(work, i);
	}
	if (error == 0)
		error = part_writer_create(merge->env, merge->dir, &info, &work->writer);
	if (error)
		goto fail;
	*ret_work = work;
	return 0;
fail:
	merge_work_destroy(work);
	return error;
}

/* The smallest key that is left, into work->key. 1, 0 when none is left, -errno. */
static int
merge_next_key(struct merge_work *work)
{
	const struct part_cursor *least = NULL;
	for (size_t i = 0; i < work->merge->count; i++)
		if (work->live[i] && (!least ||
		    span_cmp(part_cursor_key(work->keys[i]), part_cursor_key(least)) < 0))
			least = work->keys[i];
	if (!least)
		return 0;
	buf_clear(&work->key);
	if (buf_append_span(&work->key, part_cursor_key(least)) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < work->merge->count; i++) {
		if (!work->live[i] ||
		    !span_eq(part_cursor_key(work->keys[i]), buf_span(&work->key)))
			continue;
		int error = merge_move_key(work, i);
		if (error)
			return error;
	}
	return 1;
}

static int
merge_end_chunk(struct merge_work *work)
{
	if (work->count == 0)
		return 0;
	size_t count = work->count;
	work->count = 0;
	return part_writer_points(work->writer, work->times_ms, work->values, count);
}

static int
merge_copy_chunk(struct merge_work *work, const struct stream_piece *piece)
{
	struct span chunk;
	int error = merge_end_chunk(work);
	if (error == 0)
		error = part_cursor_chunk(piece->cursor, piece->entry, &chunk);
	if (error)
		return error;
	if (codec_count(chunk) != (int)piece->entry->count)
		return -EBADMSG;
	return part_writer_copy(work->writer, chunk, piece->entry);
}

static int
merge_piece(struct merge_work *work, const struct stream_piece *piece)
{
	if (piece->count == 0)
		return merge_copy_chunk(work, piece);
	for (size_t done = 0; done < piece->count;) {
		size_t count = MIN(piece->count - done, PART_CHUNK_POINTS_MAX - work->count);
		memcpy(work->times_ms + work->count, piece->times_ms + done,
		    count * sizeof(int64_t));
		memcpy(work->values + work->count, piece->values + done, count * sizeof(double));
		work->count += count;
		done += count;
		if (work->count == PART_CHUNK_POINTS_MAX) {
			int error = merge_end_chunk(work);
			if (error)
				return error;
		}
	}
	return 0;
}

static int
merge_series(struct merge_work *work)
{
	int error = part_writer_series(work->writer, buf_span(&work->key));
	if (error == 0)
		error = stream_begin(work->stream, buf_span(&work->key), NULL);
	struct stream_piece piece;
	while (error == 0 && (error = stream_next(work->stream, &piece)) == 1)
		error = merge_piece(work, &piece);
	if (error == 0)
		error = merge_end_chunk(work);
	return error == 0 && work->damaged ? -EBADMSG : error;
}

static int
merge_points_run(struct series_merge *merge)
{
	struct merge_work *work;
	int error = merge_work_create(merge, &work);
	if (error)
		return error;
	int more = 0;
	while (error == 0 && (more = merge_next_key(work)) == 1)
		error = merge_series(work);
	if (error == 0)
		error = more;
	if (error == 0 && !part_writer_is_empty(work->writer))
		error = part_writer_finish(work->writer, &merge->output);
	merge_work_destroy(work);
	return error;
}

int
series_merge_run(struct series_merge *merge)
{
	int error = merge->inputs[0]->info.rollup ? merge_rolls_run(merge) :
						    merge_points_run(merge);
	if (error == 0)
		error = env_sync_dir(merge->env, merge->dir);
	if (error && merge->output) {
		atomic_store_explicit(&merge->output->doomed, true, memory_order_relaxed);
		part_unref(merge->output);
		merge->output = NULL;
	}
	return error;
}

/* ── store's thread ── */

int
series_merge_commit(struct series_merge *merge, struct store_tx *tx)
{
	/* Nothing is left when all of it is erased. */
	int error = merge->output ? store_part_add(tx, &merge->output->info) : 0;
	for (size_t i = 0; i < merge->count && error == 0; i++)
		error = store_part_remove(tx, merge->inputs[i]->info.id);
	return error;
}

/* ── owner ── */

void
merge_finish(struct series_partition *partition, struct series_merge *merge, int error)
{
	for (size_t i = 0; i < merge->count; i++) {
		struct part *input = merge->inputs[i];
		if (error == 0)
			partition_drop_part(partition, input);
		else if (error == -EBADMSG)
			input->damaged = true;
		part_unref(input);
	}
	if (error == 0 && merge->output) {
		/* There is room: at least one has just gone. */
		check(partition_add_part(partition, merge->output) == 0);
	} else if (merge->output) {
		/* A transaction whose sync failed may yet be found after a crash, so the file that
		 * it names stays; without a row it is swept at the next start. */
		part_unref(merge->output);
	}
	tombs_unref(merge->tombs);
	free(merge->inputs);
	free(merge);
}

void
series_partition_merged(struct series_partition *partition, struct series_merge *merge, int error)
{
	partition->merging = false;
	merge_finish(partition, merge, error);
}

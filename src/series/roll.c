/*
 * roll.c: the points of a day become roll-ups.
 *
 * Which day: one with parts that roll-ups do not hold yet, where there is enough to roll up
 * (ROLL_POINTS_MIN points a bucket: below it a query reads points about as fast, and files of
 * roll-ups would cost more bytes than they save). What is not rolled up is answered from points.
 * Before a day's points are dropped it is rolled up in any case.
 * Every series with points in such a part is streamed out of all parts of the day, and each bucket
 * that those points touch is made anew; the new part of roll-ups stands above the older ones. Its
 * row and the marks of the parts of points commit in one transaction.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "ranges.h"
#include "series_priv.h"
#include "stream.h"
#include "walk.h"

#define ROLL_POINTS_MIN 32u /* a bucket, on average */
#define ROLL_PARTS_MIN 4u   /* parts of the newest day that are not rolled up */

struct series_roll {
	struct env *env;
	const char *dir;           /* the partition's */
	_Atomic uint64_t *next_id;
	uint64_t order;            /* orders the outputs among their likes; see store_part */
	int32_t day;
	uint32_t number;
	uint32_t kinds;            /* to be made: ROLLUP_BITs */
	int64_t cell_ms;
	struct part **inputs;      /* all of the day, referred to */
	uint32_t *rolled;          /* by input: what holds it already */
	size_t count;
	struct tombs *tombs;
	struct part *outputs[ROLLUP_KINDS];
};

void
series_partition_set_rollups(struct series_partition *partition, unsigned kinds)
{
	partition->roll_kinds = kinds;
}

/* ── choosing ── */

struct roll_day {
	size_t first, count;       /* in partition->parts */
	uint32_t missing;          /* kinds that do not hold all of it */
	size_t open;               /* parts of which some kind is missing */
	bool damaged;
	uint64_t points, series;
	int64_t time_first, time_last;
};

static struct roll_day
roll_look(const struct series_partition *partition, size_t first)
{
	struct roll_day day = {
		.first = first,
		.time_first = INT64_MAX,
		.time_last = INT64_MIN,
	};
	int32_t number = partition->parts[first]->info.day;
	for (size_t i = first; i < partition->part_count; i++) {
		const struct part *part = partition->parts[i];
		if (part->info.day != number)
			break;
		uint32_t missing = partition_is_gone(partition, part) ? 0 :
		    partition->roll_kinds & ~part->info.rolled;
		day.count++;
		day.missing |= missing;
		day.open += missing != 0;
		day.damaged |= part->damaged;
		day.points += part->info.points;
		day.series = MAX(day.series, part->info.series);
		day.time_first = MIN(day.time_first, part->info.time_first);
		day.time_last = MAX(day.time_last, part->info.time_last);
	}
	return day;
}

/* Of the missing kinds those that are worth their bytes. */
static uint32_t
roll_worth(const struct roll_day *day)
{
	uint32_t worth = 0;
	for (enum rollup_kind kind = ROLLUP_MINUTE; kind < ROLLUP_KINDS; kind++) {
		int64_t span_ms = rollup_span_ms(kind);
		uint64_t buckets = (uint64_t)(day->time_last / span_ms -
		    day->time_first / span_ms + 1);
		if (day->points >= day->series * buckets * ROLL_POINTS_MIN)
			worth |= ROLLUP_BIT(kind);
	}
	return worth & day->missing;
}

static struct series_roll *
roll_begin(struct series_partition *partition, _Atomic uint64_t *next_part_id,
    const struct roll_day *day, uint32_t kinds)
{
	struct series_roll *roll = calloc(1, sizeof(*roll));
	if (!roll)
		return NULL;
	*roll = (struct series_roll){
		.env = partition->env,
		.dir = partition->dir,
		.next_id = next_part_id,
		.order = atomic_fetch_add(next_part_id, 1),
		.day = partition->parts[day->first]->info.day,
		.number = partition->number,
		.kinds = kinds,
		.cell_ms = rollup_span_ms(partition->roll_kinds & SERIES_ROLLUP_MINUTES
				? ROLLUP_MINUTE : ROLLUP_HOUR),
		.inputs = calloc(day->count, sizeof(struct part *)),
		.rolled = calloc(day->count, sizeof(uint32_t)),
		.tombs = tombs_ref(partition->tombs),
	};
	if (!roll->inputs || !roll->rolled) {
		free(roll->inputs);
		free(roll->rolled);
		tombs_unref(roll->tombs);
		free(roll);
		return NULL;
	}
	roll->count = day->count;
	for (size_t i = 0; i < day->count; i++) {
		roll->inputs[i] = part_ref(partition->parts[day->first + i]);
		roll->rolled[i] = roll->inputs[i]->info.rolled;
	}
	partition->rolling = true;
	return roll;
}

struct series_roll *
series_partition_roll_begin(struct series_partition *partition, _Atomic uint64_t *next_part_id,
    enum series_roll_when when)
{
	for (size_t at = 0; at < partition->part_count && !partition->rolling;) {
		struct roll_day day = roll_look(partition, at);
		uint32_t worth = day.damaged ? 0 : roll_worth(&day);
		at += day.count;
		bool newest = at == partition->part_count;
		if (worth && (!newest || when == SERIES_ROLL_CLOSE || day.open >= ROLL_PARTS_MIN))
			return roll_begin(partition, next_part_id, &day, worth);
	}
	return NULL;
}

struct series_roll *
series_partition_roll_before(struct series_partition *partition, _Atomic uint64_t *next_part_id,
    int64_t before_ms)
{
	for (size_t at = 0; at < partition->part_count && !partition->rolling;) {
		struct roll_day day = roll_look(partition, at);
		if ((partition->parts[at]->info.day + 1) * PART_DAY_MS > before_ms)
			break;
		at += day.count;
		if (day.missing && !day.damaged)
			return roll_begin(partition, next_part_id, &day, day.missing);
	}
	return NULL;
}

/* ── worker ── */

/* The roll-ups of one kind that a series gets. */
struct roll_column {
	enum rollup_kind kind;
	struct ranges dirty;       /* of the series */
	struct rollup *rollups;    /* ROLLUP_CHUNK_MAX */
	size_t count;
	int64_t first_ms, last_ms; /* of the first one's first point, the last one's last */
	struct cell_fold fold;     /* of the open bucket */
	int64_t start_ms;          /* of the open bucket; INT64_MIN: none */
	int64_t open_first_ms, open_last_ms;
	struct part_writer *writer; /* NULL: no roll-up yet */
};

struct roll_work {
	struct series_roll *roll;
	struct walk *walk;         /* over the parts that are open */
	struct part **open;
	size_t *input_of;          /* by open part */
	size_t open_count;
	struct stream *stream;
	struct roll_column columns[ROLLUP_KINDS];
	size_t column_count;
	struct buf chunk;
	bool damaged;
};

static void
roll_damage(void *ctx, const struct series_damage *damage)
{
	(void)damage;
	((struct roll_work *)ctx)->damaged = true;
}

static void
roll_work_finish(struct roll_work *work)
{
	walk_destroy(work->walk);
	stream_destroy(work->stream);
	free(work->open);
	free(work->input_of);
	for (size_t i = 0; i < work->column_count; i++) {
		ranges_finish(&work->columns[i].dirty);
		free(work->columns[i].rollups);
		part_writer_destroy(work->columns[i].writer);
	}
	buf_finish(&work->chunk);
}

static int
roll_work_init(struct roll_work *work, struct series_roll *roll)
{
	*work = (struct roll_work){.roll = roll};
	work->open = calloc(roll->count, sizeof(struct part *));
	work->input_of = calloc(roll->count, sizeof(*work->input_of));
	if (!work->open || !work->input_of)
		return -ENOMEM;
	for (size_t i = 0; i < roll->count; i++) {
		if (!(roll->kinds & ~roll->rolled[i]))
			continue;
		work->open[work->open_count] = roll->inputs[i];
		work->input_of[work->open_count++] = i;
	}
	for (enum rollup_kind kind = ROLLUP_MINUTE; kind < ROLLUP_KINDS; kind++) {
		if (!(roll->kinds & ROLLUP_BIT(kind)))
			continue;
		struct roll_column *column = &work->columns[work->column_count++];
		column->kind = kind;
		column->rollups = malloc(ROLLUP_CHUNK_MAX * sizeof(*column->rollups));
		if (!column->rollups)
			return -ENOMEM;
	}
	struct stream_settings settings = {
		.parts = roll->inputs,
		.part_count = roll->count,
		.from_ms = roll->day * PART_DAY_MS,
		.to_ms = (roll->day + 1) * PART_DAY_MS - 1,
		.tombs = roll->tombs,
		.damage = roll_damage,
		.ctx = work,
	};
	int error = stream_create(&settings, &work->stream);
	return error ? error : walk_create(work->open, work->open_count, &work->walk);
}

/* Ends the open bucket of a column; one that is not dirty is not told again. */
static void
roll_close(struct roll_column *column)
{
	if (column->start_ms == INT64_MIN)
		return;
	const struct series_cell *cell = cell_end(&column->fold);
	if (ranges_hold(&column->dirty, column->start_ms)) {
		if (column->count == 0)
			column->first_ms = column->open_first_ms;
		column->last_ms = column->open_last_ms;
		column->rollups[column->count++] = (struct rollup){column->start_ms, *cell};
	}
	column->start_ms = INT64_MIN;
}

static void
roll_points(struct roll_column *column, int64_t cell_ms, const int64_t *times_ms,
    const double *values, size_t count)
{
	int64_t span_ms = rollup_span_ms(column->kind);
	for (size_t done = 0; done < count;) {
		int64_t start_ms = cell_floor(times_ms[done], span_ms);
		if (start_ms != column->start_ms) {
			roll_close(column);
			column->start_ms = start_ms;
			column->open_first_ms = times_ms[done];
			cell_begin(&column->fold, cell_ms);
		}
		size_t n = cell_count_before(times_ms + done, count - done, start_ms + span_ms);
		cell_points(&column->fold, times_ms + done, values + done, n);
		done += n;
		column->open_last_ms = times_ms[done - 1];
	}
}

static int
roll_write(struct roll_work *work, struct roll_column *column, struct span key)
{
	struct series_roll *roll = work->roll;
	if (column->count == 0)
		return 0;
	struct store_part info = {
		.partition = roll->number,
		.day = rollup_file_day(column->kind, roll->day),
		.seq_first = roll->order,
		.seq_last = roll->order,
		.rollup = column->kind,
	};
	int error = 0;
	if (!column->writer) {
		info.id = atomic_fetch_add(roll->next_id, 1);
		error = part_writer_create(roll->env, roll->dir, &info, &column->writer);
	}
	buf_clear(&work->chunk);
	if (error == 0)
		error = part_writer_series(column->writer, key);
	if (error == 0)
		error = rollup_encode(column->kind, info.day, column->rollups, column->count,
		    &work->chunk);
	if (error)
		return error;
	struct part_entry entry = {
		.len = (uint32_t)work->chunk.len,
		.count = (uint32_t)column->count,
		.first_ms = column->first_ms,
		.last_ms = column->last_ms,
		.last = column->rollups[column->count - 1].cell.last,
	};
	return part_writer_copy(column->writer, buf_span(&work->chunk), &entry);
}

/* Which buckets the points of the open parts touch. */
static int
roll_find_dirty(struct roll_work *work)
{
	size_t count;
	const struct walk_entry *entries = walk_entries(work->walk, &count);
	for (size_t k = 0; k < work->column_count; k++) {
		struct roll_column *column = &work->columns[k];
		column->dirty.count = column->count = 0;
		column->start_ms = INT64_MIN;
		for (size_t i = 0; i < count; i++) {
			uint32_t rolled = work->roll->rolled[work->input_of[entries[i].part]];
			if (!(rolled & ROLLUP_BIT(column->kind)) &&
			    ranges_add(&column->dirty, entries[i].first_ms, entries[i].last_ms,
			    rollup_span_ms(column->kind)) != 0)
				return -ENOMEM;
		}
		ranges_sort(&column->dirty);
	}
	return 0;
}

static int
roll_series(struct roll_work *work)
{
	struct span key = walk_key(work->walk);
	int error = roll_find_dirty(work);
	if (error == 0)
		error = stream_begin(work->stream, key, NULL);
	struct stream_piece piece;
	while (error == 0 && (error = stream_next(work->stream, &piece)) == 1) {
		for (size_t k = 0; k < work->column_count; k++)
			roll_points(&work->columns[k], work->roll->cell_ms, piece.times_ms,
			    piece.values, piece.count);
		error = 0;
	}
	for (size_t k = 0; k < work->column_count && error == 0; k++) {
		roll_close(&work->columns[k]);
		error = roll_write(work, &work->columns[k], key);
	}
	return error == 0 && work->damaged ? -EBADMSG : error;
}

/* Lets the outputs go; their files too when `doomed`. */
static void
roll_drop_outputs(struct series_roll *roll, bool doomed)
{
	for (size_t kind = 0; kind < ROLLUP_KINDS; kind++) {
		struct part *part = roll->outputs[kind];
		roll->outputs[kind] = NULL;
		if (!part)
			continue;
		atomic_store_explicit(&part->doomed, doomed, memory_order_relaxed);
		part_unref(part);
	}
}

int
series_roll_run(struct series_roll *roll)
{
	struct roll_work work;
	int more = 0, error = roll_work_init(&work, roll);
	while (error == 0 && (more = walk_next(work.walk)) == 1)
		error = roll_series(&work);
	if (error == 0)
		error = more;
	for (size_t k = 0; k < work.column_count && error == 0; k++)
		if (work.columns[k].writer)
			error = part_writer_finish(work.columns[k].writer,
			    &roll->outputs[work.columns[k].kind]);
	roll_work_finish(&work);
	if (error == 0)
		error = env_sync_dir(roll->env, roll->dir);
	if (error)
		roll_drop_outputs(roll, true);
	return error;
}

/* ── store's thread ── */

int
series_roll_commit(struct series_roll *roll, struct store_tx *tx)
{
	int error = 0;
	for (size_t kind = 0; kind < ROLLUP_KINDS && error == 0; kind++)
		if (roll->outputs[kind])
			error = store_part_add(tx, &roll->outputs[kind]->info);
	for (size_t i = 0; i < roll->count && error == 0; i++)
		if (roll->kinds & ~roll->rolled[i])
			error = store_part_set_rolled(tx, roll->inputs[i]->info.id,
			    roll->rolled[i] | roll->kinds);
	return error;
}

/* ── owner ── */

void
series_partition_rolled(struct series_partition *partition, struct series_roll *roll, int error)
{
	partition->rolling = false;
	/* Committed, but no memory to take the parts in: the points answer until the next start. */
	bool taken = error == 0 && partition_reserve_rolls(partition, ROLLUP_KINDS) == 0;
	for (size_t kind = 0; kind < ROLLUP_KINDS && taken; kind++) {
		if (roll->outputs[kind])
			check(partition_add_part(partition, roll->outputs[kind]) == 0);
		roll->outputs[kind] = NULL;
	}
	/* As with merges: what a transaction names whose sync failed stays until the next start. */
	roll_drop_outputs(roll, false);
	for (size_t i = 0; i < roll->count; i++) {
		if (taken)
			roll->inputs[i]->info.rolled |= roll->kinds;
		else if (error == -EBADMSG)
			roll->inputs[i]->damaged = true;
		part_unref(roll->inputs[i]);
	}
	free(roll->inputs);
	free(roll->rolled);
	tombs_unref(roll->tombs);
	free(roll);
}

/*
 * flush.c: a frozen head becomes part files, one per UTC day.
 *
 * The frozen head does not change any more, so a worker reads it while the owner takes points
 * into the new one. Files are written and synced, then the directory; only then rows and cursor
 * commit. A run that fails removes what it made and may be repeated under new ids. A transaction
 * that fails does not: its sync may have failed, and then it may yet be found after a crash, with
 * the files that it names. They are kept and committed by the next flush.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "series_priv.h"
#include "stream.h"

struct series_flush {
	struct env *env;
	const char *dir;           /* the partition's */
	uint32_t number;
	const struct head *head;   /* NULL: only the cursor moves */
	uint64_t cursor;
	_Atomic uint64_t *next_id;
	struct part **parts;       /* what was written */
	size_t part_count;
};

struct series_flush *
series_partition_freeze(struct series_partition *partition, _Atomic uint64_t *next_part_id)
{
	if (partition->flushing)
		return NULL;
	bool full = partition->head->points > 0;
	if (!partition->frozen && !full && partition->applied <= partition->cursor)
		return NULL;
	struct series_flush *flush = calloc(1, sizeof(*flush));
	if (!flush)
		return NULL;
	if (!partition->frozen && full) {
		struct head *head = head_create(1 - partition->head->side);
		if (!head) {
			free(flush);
			return NULL;
		}
		partition->frozen = partition->head;
		partition->frozen->cursor = partition->applied;
		partition->head = head;
	}
	*flush = (struct series_flush){
		.env = partition->env,
		.dir = partition->dir,
		.number = partition->number,
		.head = partition->frozen,
		.cursor = partition->frozen ? partition->frozen->cursor : partition->applied,
		.next_id = next_part_id,
		.parts = partition->written,
		.part_count = partition->written_count,
	};
	partition->written = NULL;
	partition->written_count = 0;
	partition->flushing = true;
	return flush;
}

/* ── worker ── */

/* Series of the head by key, and the days that their points lie in. */
struct flush_plan {
	const struct head_series **series;
	size_t series_count;
	int32_t *days;
	size_t day_count, day_cap;
	int64_t *times_ms;         /* room for the points of the largest series */
	double *values;
};

static void
flush_plan_finish(struct flush_plan *plan)
{
	free(plan->series);
	free(plan->days);
	free(plan->times_ms);
	free(plan->values);
}

static int
flush_order(const void *a, const void *b)
{
	return span_cmp(roster_key_at((*(const struct head_series *const *)a)->key),
	    roster_key_at((*(const struct head_series *const *)b)->key));
}

static int
flush_add_day(struct flush_plan *plan, int32_t day)
{
	size_t low = 0, high = plan->day_count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (plan->days[mid] < day)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < plan->day_count && plan->days[low] == day)
		return 0;
	if (plan->day_count == plan->day_cap) {
		size_t cap = plan->day_cap ? plan->day_cap * 2 : 8;
		void *days = realloc(plan->days, cap * sizeof(*plan->days));
		if (!days)
			return -ENOMEM;
		plan->days = days;
		plan->day_cap = cap;
	}
	memmove(&plan->days[low + 1], &plan->days[low],
	    (plan->day_count - low) * sizeof(*plan->days));
	plan->days[low] = day;
	plan->day_count++;
	return 0;
}

static int
flush_add_days(struct flush_plan *plan, const struct head_series *series)
{
	int32_t first = part_day_of(series->first_ms), last = part_day_of(series->last_ms);
	int error = flush_add_day(plan, first);
	if (error || first == last)
		return error;
	size_t count = head_copy(series, INT64_MIN, INT64_MAX, plan->times_ms, plan->values);
	int32_t before = first;
	for (size_t i = 0; i < count && error == 0; i++) {
		int32_t day = part_day_of(plan->times_ms[i]);
		if (day != before)
			error = flush_add_day(plan, day);
		before = day;
	}
	return error;
}

static int
flush_plan_init(struct flush_plan *plan, const struct head *head)
{
	*plan = (struct flush_plan){0};
	plan->series = malloc(head->count * sizeof(*plan->series));
	if (!plan->series)
		return -ENOMEM;
	size_t most = 0;
	for (uint32_t i = 0; i < head->count; i++) {
		const struct head_series *series = &head->series[i];
		if (series->count)
			plan->series[plan->series_count++] = series;
		most = MAX(most, series->count);
	}
	plan->times_ms = malloc(most * sizeof(*plan->times_ms));
	plan->values = malloc(most * sizeof(*plan->values));
	if (!plan->times_ms || !plan->values)
		return -ENOMEM;
	qsort(plan->series, plan->series_count, sizeof(*plan->series), flush_order);
	for (size_t i = 0; i < plan->series_count; i++)
		if (flush_add_days(plan, plan->series[i]) != 0)
			return -ENOMEM;
	return 0;
}

static int
flush_series(const struct flush_plan *plan, const struct head_series *series,
    struct stream *stream, struct part_writer *writer)
{
	struct span key = roster_key_at(series->key);
	struct stream_head head = {
		.times_ms = plan->times_ms,
		.values = plan->values,
		.count = head_copy(series, INT64_MIN, INT64_MAX, plan->times_ms, plan->values),
	};
	int error = stream_begin(stream, key, &head);
	bool begun = false;
	struct stream_piece piece;
	while (error == 0 && (error = stream_next(stream, &piece)) == 1) {
		error = begun ? 0 : part_writer_series(writer, key);
		begun = true;
		for (size_t i = 0; i < piece.count && error == 0; i += PART_CHUNK_POINTS_MAX)
			error = part_writer_points(writer, piece.times_ms + i,
			    piece.values + i, MIN(piece.count - i, PART_CHUNK_POINTS_MAX));
	}
	return error;
}

static int
flush_day(struct series_flush *flush, const struct flush_plan *plan, int32_t day)
{
	int64_t start_ms = day * PART_DAY_MS;
	struct stream_settings settings = {
		.from_ms = start_ms,
		.to_ms = start_ms + PART_DAY_MS - 1,
	};
	struct store_part info = {
		.id = atomic_fetch_add(flush->next_id, 1),
		.partition = flush->number,
		.day = day,
		.seq_first = flush->head->seq_first,
		.seq_last = flush->head->seq_last,
	};
	struct stream *stream = NULL;
	struct part_writer *writer = NULL;
	int error = stream_create(&settings, &stream);
	if (error == 0)
		error = part_writer_create(flush->env, flush->dir, &info, &writer);
	for (size_t i = 0; i < plan->series_count && error == 0; i++)
		if (plan->series[i]->first_ms <= settings.to_ms &&
		    plan->series[i]->last_ms >= settings.from_ms)
			error = flush_series(plan, plan->series[i], stream, writer);
	if (error == 0)
		error = part_writer_finish(writer, &flush->parts[flush->part_count]);
	if (error == 0)
		flush->part_count++;
	stream_destroy(stream);
	part_writer_destroy(writer);
	return error;
}

/* Lets the parts go; their files too when `doomed`. */
static void
flush_drop_parts(struct series_flush *flush, bool doomed)
{
	for (size_t i = 0; i < flush->part_count; i++) {
		atomic_store_explicit(&flush->parts[i]->doomed, doomed, memory_order_relaxed);
		part_unref(flush->parts[i]);
	}
	free(flush->parts);
	flush->parts = NULL;
	flush->part_count = 0;
}

int
series_flush_run(struct series_flush *flush)
{
	if (!flush->head || flush->part_count)
		return 0; /* nothing to write, or only the transaction failed the last time */
	free(flush->parts);
	flush->parts = NULL;
	struct flush_plan plan;
	int error = flush_plan_init(&plan, flush->head);
	if (error == 0) {
		flush->parts = calloc(plan.day_count, sizeof(struct part *));
		error = flush->parts ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < plan.day_count && error == 0; i++)
		error = flush_day(flush, &plan, plan.days[i]);
	if (error == 0)
		error = env_sync_dir(flush->env, flush->dir);
	if (error)
		flush_drop_parts(flush, true);
	flush_plan_finish(&plan);
	return error;
}

/* ── store's thread ── */

int
series_flush_commit(struct series_flush *flush, struct store_tx *tx)
{
	int error = 0;
	for (size_t i = 0; i < flush->part_count && error == 0; i++)
		error = store_part_add(tx, &flush->parts[i]->info);
	if (error == 0)
		error = store_cursor_put(tx, "points", flush->number, flush->cursor);
	return error;
}

/* ── owner ── */

void
series_partition_flushed(struct series_partition *partition, struct series_flush *flush,
    int error)
{
	bool committed = error == 0;
	partition->flushing = false;
	if (committed && partition_reserve_parts(partition, flush->part_count) == 0) {
		for (size_t i = 0; i < flush->part_count; i++)
			check(partition_add_part(partition, flush->parts[i]) == 0);
		flush->part_count = 0;
		if (flush->head) {
			head_destroy(partition->frozen);
			partition->frozen = NULL;
		}
		partition->cursor = MAX(partition->cursor, flush->cursor);
	}
	if (!committed) {
		partition->written = flush->parts;
		partition->written_count = flush->part_count;
		flush->parts = NULL;
		flush->part_count = 0;
	}
	/* Committed, but no memory to take the parts in: their files stay, the frozen head is
	 * flushed once more, and the points that are then there twice are read as one. */
	flush_drop_parts(flush, false);
	free(flush);
}

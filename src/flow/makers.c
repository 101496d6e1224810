/*
 * makers.c: rows on their way to the store, one unit at a time; rows that were there at start.
 *
 * A row is submitted when its series is judged, long before a part holds the series: so either the
 * row is there, or replay meets the series once more. (A part that is stored in the same tenth of a
 * second as its series' row, and a power cut between the two: then the series counts for nobody.)
 */
#include "makers.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "census.h"
#include "check.h"

#define MAKERS_UNIT_ROWS 4096u /* in one unit: others wait behind it */

struct maker_row {
	uint64_t series, maker; /* maker 0: the row goes */
};

struct maker_rows {
	struct maker_row *rows;
	size_t count, cap;
};

struct makers {
	struct store_writer *store;
	struct store_unit unit;
	pthread_mutex_t lock;
	struct maker_rows filling;   /* under the lock */
	bool in_flight;              /* likewise */
	struct maker_rows writing;   /* the unit's while it is in flight */
	size_t written, taken;       /* of `writing`: so many are stored, so many by this unit */
	struct maker_rows rows, replayed; /* of the start */
};

static int
rows_add(struct maker_rows *rows, uint64_t series, uint64_t maker)
{
	if (rows->count == rows->cap) {
		size_t cap = rows->cap ? rows->cap * 2 : 64;
		void *grown = realloc(rows->rows, cap * sizeof *rows->rows);
		if (!grown)
			return -ENOMEM;
		rows->rows = grown;
		rows->cap = cap;
	}
	rows->rows[rows->count++] = (struct maker_row){series, maker};
	return 0;
}

static void
rows_free(struct maker_rows *rows)
{
	free(rows->rows);
	*rows = (struct maker_rows){NULL, 0, 0};
}

/* ── to the store ── */

/* On the store's thread. When it is undone it is done again as it was. */
static int
makers_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct makers *makers = CONTAINER_OF(unit, struct makers, unit);
	int error = 0;
	if (makers->written == makers->writing.count) {
		struct maker_rows empty = makers->writing;
		empty.count = makers->written = 0;
		pthread_mutex_lock(&makers->lock);
		makers->writing = makers->filling;
		makers->filling = empty;
		pthread_mutex_unlock(&makers->lock);
	}
	makers->taken = MIN(makers->writing.count - makers->written, (size_t)MAKERS_UNIT_ROWS);
	for (size_t i = 0; i < makers->taken && !error; i++) {
		const struct maker_row *row = &makers->writing.rows[makers->written + i];
		error = row->maker ? store_maker_add(tx, row->series, row->maker) :
				     store_maker_remove(tx, row->series);
	}
	return error;
}

/* What failed is tried again with the next row. */
static void
makers_stored(struct store_unit *unit, int error)
{
	struct makers *makers = CONTAINER_OF(unit, struct makers, unit);
	if (!error)
		makers->written += makers->taken;
	pthread_mutex_lock(&makers->lock);
	makers->in_flight = !error &&
	    (makers->written < makers->writing.count || makers->filling.count);
	bool again = makers->in_flight;
	pthread_mutex_unlock(&makers->lock);
	if (again)
		store_writer_submit(makers->store, &makers->unit);
}

static int
makers_submit(struct makers *makers, uint64_t series, uint64_t maker)
{
	pthread_mutex_lock(&makers->lock);
	int error = rows_add(&makers->filling, series, maker);
	bool submit = !error && !makers->in_flight;
	makers->in_flight |= submit;
	pthread_mutex_unlock(&makers->lock);
	if (submit)
		store_writer_submit(makers->store, &makers->unit);
	return error;
}

void
makers_note(struct makers *makers, uint64_t series, uint64_t maker)
{
	(void)makers_submit(makers, series, maker);
}

/* ── at start ── */

int
makers_create(struct store_writer *store, struct makers **ret_makers)
{
	struct makers *makers = calloc(1, sizeof *makers);
	if (!makers)
		return -ENOMEM;
	makers->store = store;
	makers->unit.apply = makers_apply;
	makers->unit.done = makers_stored;
	pthread_mutex_init(&makers->lock, NULL);
	*ret_makers = makers;
	return 0;
}

void
makers_destroy(struct makers *makers)
{
	if (!makers)
		return;
	rows_free(&makers->filling);
	rows_free(&makers->writing);
	rows_free(&makers->rows);
	rows_free(&makers->replayed);
	pthread_mutex_destroy(&makers->lock);
	free(makers);
}

int
makers_restore(struct makers *makers, uint64_t series, uint64_t maker)
{
	return maker ? rows_add(&makers->rows, series, maker) : 0;
}

int
makers_replay(struct makers *makers, uint64_t series, uint64_t maker)
{
	return rows_add(&makers->replayed, series, maker);
}

static int
row_order(const void *a, const void *b)
{
	uint64_t left = ((const struct maker_row *)a)->series;
	uint64_t right = ((const struct maker_row *)b)->series;
	return (left > right) - (left < right);
}

int
makers_settle(struct makers *makers, struct census *census)
{
	struct maker_rows *rows = &makers->rows, *replayed = &makers->replayed;
	int error = 0;
	if (rows->count)
		qsort(rows->rows, rows->count, sizeof *rows->rows, row_order);
	for (size_t i = 0; i < replayed->count && !error; i++) {
		const struct maker_row *row = &replayed->rows[i];
		if (rows->count &&
		    bsearch(row, rows->rows, rows->count, sizeof *row, row_order))
			continue;
		error = census_credit(census, row->maker);
		if (!error)
			error = makers_submit(makers, row->series, row->maker);
	}
	for (size_t i = 0; i < rows->count && !error; i++) {
		const struct maker_row *row = &rows->rows[i];
		error = census_has(census, row->series) ? census_credit(census, row->maker) :
							  makers_submit(makers, row->series, 0);
	}
	rows_free(rows);
	rows_free(replayed);
	return error;
}

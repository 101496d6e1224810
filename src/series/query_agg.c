/*
 * query_agg.c: points to buckets: avg, min, max, count, sum, first, last, p50, p99, and fill.
 *
 * A bucket begins at a multiple of the step since the epoch; without a step the whole range is
 * one bucket, which begins at `from`. NaN: counted; makes avg and sum NaN; min, max and the
 * percentiles leave it out and are NaN when there is nothing else. Sums are made in the order that
 * cell.h defines, so points and roll-ups give the same.
 * Percentiles: linear interpolation between the ranks around p × (n − 1), found by quickselect.
 * Invariant: one bucket is open at a time; rows leave in blocks of AGG_ROWS.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "query_priv.h"

#define AGG_ROWS 256u
#define AGG_COLUMNS_MAX 16u
/* Points of one bucket that percentiles hold at once: 128 MiB. */
#define AGG_PERCENTILE_POINTS_MAX (UINT64_C(1) << 24)

struct query_agg {
	struct query_out *out;
	enum series_agg columns[AGG_COLUMNS_MAX];
	size_t column_count;
	bool ranked;            /* percentiles are asked for */
	bool open;              /* `bucket` has points */
	bool any;               /* the series had points */
	int64_t start_ms;       /* of the open bucket */
	int64_t next_ms;        /* of the bucket after the last row */
	int64_t cell_ms;        /* of the order of summation; 0: no sums are asked for */
	struct cell_fold bucket;
	double *ranks;          /* values of the open bucket */
	size_t rank_count, rank_cap;
	uint64_t told;
	size_t rows;
	bool any_empty, has_before;
	double before[AGG_COLUMNS_MAX]; /* the last row with points */
	int64_t times_ms[AGG_ROWS];
	bool empty[AGG_ROWS];
	double values[AGG_ROWS * AGG_COLUMNS_MAX];
};

int
query_agg_create(struct query_out *out, int64_t cell_ms, struct query_agg **ret_agg)
{
	/* Not the room for rows, which is most of it. */
	struct query_agg *agg = malloc(sizeof(*agg));
	if (!agg)
		return -ENOMEM;
	memset(agg, 0, offsetof(struct query_agg, times_ms));
	agg->out = out;
	agg->column_count = MIN(out->query->agg_count, AGG_COLUMNS_MAX);
	for (size_t i = 0; i < agg->column_count; i++) {
		agg->columns[i] = out->query->aggs[i];
		agg->ranked |= agg->columns[i] == SERIES_P50 || agg->columns[i] == SERIES_P99;
	}
	if (agg->column_count == 0)
		agg->columns[agg->column_count++] = SERIES_AVG;
	for (size_t i = 0; i < agg->column_count; i++)
		if (agg->columns[i] == SERIES_AVG || agg->columns[i] == SERIES_SUM)
			agg->cell_ms = cell_ms;
	*ret_agg = agg;
	return 0;
}

void
query_agg_destroy(struct query_agg *agg)
{
	if (!agg)
		return;
	free(agg->ranks);
	free(agg);
}

static int64_t
agg_start_of(const struct query_agg *agg, int64_t time_ms)
{
	int64_t step = agg->out->query->step_ms;
	if (step == 0)
		return agg->out->query->from_ms;
	return cell_floor(time_ms, step);
}

/* The first time behind a bucket. */
static int64_t
agg_end_of(const struct query_agg *agg, int64_t start_ms)
{
	const struct series_query *query = agg->out->query;
	return query->step_ms ? start_ms + query->step_ms : query->to_ms;
}

void
query_agg_begin(struct query_agg *agg)
{
	agg->open = agg->any = agg->has_before = agg->any_empty = false;
	agg->rows = agg->rank_count = 0;
	agg->told = 0;
	agg->next_ms = agg_start_of(agg, agg->out->query->from_ms);
}

/* ── percentiles ── */

static void
agg_swap(double *a, double *b)
{
	double kept = *a;
	*a = *b;
	*b = kept;
}

/* Reorders so that values[rank] is what sorting would put there, nothing smaller behind it. */
static void
agg_select(double *values, size_t count, size_t rank)
{
	size_t low = 0, high = count - 1;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (values[mid] < values[low])
			agg_swap(&values[mid], &values[low]);
		if (values[high] < values[low])
			agg_swap(&values[high], &values[low]);
		if (values[high] < values[mid])
			agg_swap(&values[high], &values[mid]);
		double pivot = values[mid];
		size_t left = low, right = high;
		for (;;) {
			while (values[left] < pivot)
				left++;
			while (values[right] > pivot)
				right--;
			if (left >= right)
				break;
			agg_swap(&values[left++], &values[right--]);
		}
		/* [low..right] <= pivot <= [left..high]; they may meet in one place. */
		if (rank <= right && right < high)
			high = right;
		else if (rank > right)
			low = right + 1;
		else
			high--;
	}
}

static double
agg_percentile(struct query_agg *agg, double share)
{
	if (agg->rank_count == 0)
		return NAN;
	double place = share * (double)(agg->rank_count - 1);
	size_t rank = (size_t)place;
	double rest = place - (double)rank;
	agg_select(agg->ranks, agg->rank_count, rank);
	double low = agg->ranks[rank];
	if (rest == 0 || rank + 1 == agg->rank_count)
		return low;
	double high = agg->ranks[rank + 1];
	for (size_t i = rank + 2; i < agg->rank_count; i++)
		high = MIN(high, agg->ranks[i]);
	return low == high ? low : low + rest * (high - low);
}

static int
agg_keep_ranks(struct query_agg *agg, const double *values, size_t count)
{
	if (agg->rank_count + count > AGG_PERCENTILE_POINTS_MAX)
		return -E2BIG;
	if (agg->rank_count + count > agg->rank_cap) {
		size_t cap = MAX(agg->rank_cap * 2, agg->rank_count + count);
		void *ranks = realloc(agg->ranks, cap * sizeof(*agg->ranks));
		if (!ranks)
			return -ENOMEM;
		agg->ranks = ranks;
		agg->rank_cap = cap;
	}
	for (size_t i = 0; i < count; i++) {
		agg->ranks[agg->rank_count] = values[i];
		agg->rank_count += !isnan(values[i]);
	}
	return 0;
}

/* ── rows ── */

static double
agg_value(struct query_agg *agg, const struct series_cell *bucket, enum series_agg column)
{
	bool none = bucket->nans == bucket->count;
	switch (column) {
	case SERIES_AVG:
		return bucket->sum / (double)bucket->count;
	case SERIES_MIN:
		return none ? NAN : bucket->min;
	case SERIES_MAX:
		return none ? NAN : bucket->max;
	case SERIES_COUNT:
		return (double)bucket->count;
	case SERIES_SUM:
		return bucket->sum;
	case SERIES_FIRST:
		return bucket->first;
	case SERIES_LAST:
		return bucket->last;
	case SERIES_P50:
		return agg_percentile(agg, 0.5);
	case SERIES_P99:
		return agg_percentile(agg, 0.99);
	case SERIES_AGG_COUNT:
		break;
	}
	return NAN;
}

static int
agg_send_rows(struct query_agg *agg)
{
	struct series_rows rows = {agg->rows, agg->times_ms, agg->values,
	    agg->any_empty ? agg->empty : NULL};
	agg->rows = 0;
	agg->any_empty = false;
	return rows.count ? query_out_rows(agg->out, &rows) : 0;
}

bool
query_agg_full(const struct query_agg *agg)
{
	uint64_t limit = agg->out->query->limit;
	return limit && agg->told >= limit;
}

/* Ends one row whose values the caller has written. */
static int
agg_add_row(struct query_agg *agg, int64_t start_ms, bool empty)
{
	agg->times_ms[agg->rows] = start_ms;
	agg->empty[agg->rows] = empty;
	agg->any_empty |= empty;
	agg->rows++;
	agg->told++;
	agg->next_ms = agg_end_of(agg, start_ms);
	return agg->rows == AGG_ROWS ? agg_send_rows(agg) : 0;
}

/* Rows for the buckets without points before `until_ms`. */
static int
agg_fill(struct query_agg *agg, int64_t until_ms)
{
	if (agg->out->query->fill == SERIES_FILL_NONE)
		return 0;
	bool previous = agg->out->query->fill == SERIES_FILL_PREVIOUS && agg->has_before;
	while (agg->next_ms < until_ms && !query_agg_full(agg)) {
		double *values = &agg->values[agg->rows * agg->column_count];
		for (size_t i = 0; i < agg->column_count; i++)
			values[i] = previous ? agg->before[i] : NAN;
		int error = agg_add_row(agg, agg->next_ms, !previous);
		if (error)
			return error;
	}
	return 0;
}

/* The row of a bucket that is whole, behind those that are filled. */
static int
agg_add_bucket(struct query_agg *agg, int64_t start_ms, const struct series_cell *bucket)
{
	int error = agg_fill(agg, start_ms);
	if (error || query_agg_full(agg))
		return error;
	double *values = &agg->values[agg->rows * agg->column_count];
	for (size_t i = 0; i < agg->column_count; i++)
		agg->before[i] = values[i] = agg_value(agg, bucket, agg->columns[i]);
	agg->has_before = true;
	agg->rank_count = 0;
	return agg_add_row(agg, start_ms, false);
}

static int
agg_close(struct query_agg *agg)
{
	if (!agg->open)
		return 0;
	agg->open = false;
	return agg_add_bucket(agg, agg->start_ms, cell_end(&agg->bucket));
}

/* The bucket that begins at start_ms is open from here on. */
static int
agg_enter(struct query_agg *agg, int64_t start_ms)
{
	if (agg->open && agg->start_ms == start_ms)
		return 0;
	int error = agg_close(agg);
	agg->open = agg->any = true;
	agg->start_ms = start_ms;
	cell_begin(&agg->bucket, agg->cell_ms);
	return error;
}

/* ── points ── */

int
query_agg_points(struct query_agg *agg, const int64_t *times_ms, const double *values,
    size_t count)
{
	for (size_t done = 0; done < count && !query_agg_full(agg);) {
		int64_t start_ms = agg_start_of(agg, times_ms[done]);
		int error = agg_enter(agg, start_ms);
		if (error)
			return error;
		size_t n = cell_count_before(times_ms + done, count - done,
		    agg_end_of(agg, start_ms));
		cell_points(&agg->bucket, times_ms + done, values + done, n);
		if (agg->ranked) {
			error = agg_keep_ranks(agg, values + done, n);
			if (error)
				return error;
		}
		done += n;
	}
	return 0;
}

/* What a chunk's summary says of sums was added in another order. */
bool
query_agg_takes(const struct query_agg *agg, const struct part_entry *entry)
{
	return entry->summed && !agg->ranked && !agg->cell_ms &&
	    agg_start_of(agg, entry->first_ms) == agg_start_of(agg, entry->last_ms);
}

int
query_agg_chunk(struct query_agg *agg, const struct part_entry *entry)
{
	struct rollup rollup = {
		.start_ms = entry->first_ms,
		.cell = {
			.count = entry->count,
			.min = entry->min,
			.max = entry->max,
			.first = entry->first,
			.last = entry->last,
		},
	};
	return query_agg_rollups(agg, &rollup, 1, 0);
}

bool
query_agg_takes_rollups(const struct query_agg *agg, int64_t span_ms)
{
	return !agg->ranked && agg->out->query->step_ms % span_ms == 0;
}

/* Roll-ups that are a bucket each. */
static int
agg_add_rollups(struct query_agg *agg, const struct rollup *rollups, size_t count)
{
	int error = agg_close(agg);
	agg->any = true;
	for (size_t i = 0; i < count && error == 0 && !query_agg_full(agg); i++) {
		struct series_cell cell = rollups[i].cell;
		cell_alone(&cell);
		error = agg_add_bucket(agg, rollups[i].start_ms, &cell);
	}
	return error;
}

int
query_agg_rollups(struct query_agg *agg, const struct rollup *rollups, size_t count,
    int64_t span_ms)
{
	if (span_ms && span_ms == agg->out->query->step_ms)
		return agg_add_rollups(agg, rollups, count);
	for (size_t i = 0; i < count && !query_agg_full(agg); i++) {
		int error = agg_enter(agg, agg_start_of(agg, rollups[i].start_ms));
		if (error)
			return error;
		cell_rollup(&agg->bucket, &rollups[i], span_ms);
	}
	return 0;
}

int
query_agg_end(struct query_agg *agg)
{
	int error = agg_close(agg);
	if (error == 0 && agg->any)
		error = agg_fill(agg, agg->out->query->to_ms);
	return error ? error : agg_send_rows(agg);
}

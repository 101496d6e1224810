/*
 * cell.c: points and roll-ups to one cell, in the order of summation that cell.h defines.
 *
 * Invariant: lanes, hour_sum and day_sum hold what is not yet in the level above; nothing of a
 * level is open when the level above it is closed. All of them begin with 0, which no sum of them
 * turns into -0, so that joining nothing changes no bit.
 */
#include "cell.h"

#include <math.h>

#include "check.h"

#define HOUR_MS INT64_C(3600000)
#define DAY_MS INT64_C(86400000)

void
cell_begin(struct cell_fold *fold, int64_t cell_ms)
{
	*fold = (struct cell_fold){
		.cell = {.min = INFINITY, .max = -INFINITY},
		.cell_ms = cell_ms,
		.cell_end_ms = INT64_MIN,
		.hour_end_ms = INT64_MIN,
		.day_end_ms = INT64_MIN,
	};
}

/* ── the levels of the sum ── */

static void
cell_close(struct cell_fold *fold)
{
	fold->hour_sum += (fold->lanes[0] + fold->lanes[1]) + (fold->lanes[2] + fold->lanes[3]);
	fold->lanes[0] = fold->lanes[1] = fold->lanes[2] = fold->lanes[3] = 0;
	fold->lane = 0;
	fold->cell_end_ms = INT64_MIN;
}

static void
cell_close_hour(struct cell_fold *fold)
{
	cell_close(fold);
	fold->day_sum += fold->hour_sum;
	fold->hour_sum = 0;
	fold->hour_end_ms = INT64_MIN;
}

static void
cell_close_day(struct cell_fold *fold)
{
	cell_close_hour(fold);
	fold->cell.sum += fold->day_sum;
	fold->day_sum = 0;
	fold->day_end_ms = INT64_MIN;
}

/* Closes what ends before `time_ms` and opens the day and hour that it lies in. */
static void
cell_enter(struct cell_fold *fold, int64_t time_ms)
{
	if (time_ms >= fold->day_end_ms) {
		cell_close_day(fold);
		fold->day_end_ms = cell_floor(time_ms, DAY_MS) + DAY_MS;
		fold->hour_end_ms = cell_floor(time_ms, HOUR_MS) + HOUR_MS;
	} else if (time_ms >= fold->hour_end_ms) {
		cell_close_hour(fold);
		fold->hour_end_ms = cell_floor(time_ms, HOUR_MS) + HOUR_MS;
	} else {
		cell_close(fold);
	}
}

/* ── points ── */

static inline void
cell_least_most(double value, double *min, double *max)
{
	*min = value < *min ? value : *min;
	*max = value > *max ? value : *max;
}

/* Points of one cell. The four sums go by name, so that they stay in registers: one alone would
 * wait for the addition before. */
static void
cell_run(struct cell_fold *fold, const double *values, size_t count)
{
	double *lanes = fold->lanes;
	double min_a = fold->cell.min, max_a = fold->cell.max;
	double min_b = min_a, max_b = max_a, min_c = min_a, max_c = max_a;
	double min_d = min_a, max_d = max_a;
	size_t i = 0;
	for (; i < count && fold->lane; i++) {
		lanes[fold->lane] += values[i];
		cell_least_most(values[i], &min_a, &max_a);
		fold->lane = (fold->lane + 1) & 3;
	}
	double a = lanes[0], b = lanes[1], c = lanes[2], d = lanes[3];
	for (; i + 4 <= count; i += 4) {
		a += values[i];
		b += values[i + 1];
		c += values[i + 2];
		d += values[i + 3];
		cell_least_most(values[i], &min_a, &max_a);
		cell_least_most(values[i + 1], &min_b, &max_b);
		cell_least_most(values[i + 2], &min_c, &max_c);
		cell_least_most(values[i + 3], &min_d, &max_d);
	}
	lanes[0] = a;
	lanes[1] = b;
	lanes[2] = c;
	lanes[3] = d;
	for (; i < count; i++) {
		lanes[fold->lane++] += values[i];
		cell_least_most(values[i], &min_a, &max_a);
	}
	fold->lane &= 3;
	fold->cell.min = MIN(MIN(min_a, min_b), MIN(min_c, min_d));
	fold->cell.max = MAX(MAX(max_a, max_b), MAX(max_c, max_d));
	if (isnan((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])))
		for (size_t k = 0; k < count; k++)
			fold->cell.nans += isnan(values[k]);
}

size_t
cell_count_before(const int64_t *times_ms, size_t count, int64_t end_ms)
{
	if (times_ms[count - 1] < end_ms)
		return count;
	size_t low = 0, high = count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (times_ms[mid] < end_ms)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void
cell_points(struct cell_fold *fold, const int64_t *times_ms, const double *values, size_t count)
{
	if (fold->cell.count == 0)
		fold->cell.first = values[0];
	fold->cell.last = values[count - 1];
	fold->cell.count += count;
	if (fold->cell_ms == 0) {
		cell_run(fold, values, count);
		return;
	}
	for (size_t done = 0; done < count;) {
		if (times_ms[done] >= fold->cell_end_ms) {
			cell_enter(fold, times_ms[done]);
			fold->cell_end_ms = cell_floor(times_ms[done], fold->cell_ms) +
			    fold->cell_ms;
		}
		size_t n = cell_count_before(times_ms + done, count - done, fold->cell_end_ms);
		cell_run(fold, values + done, n);
		done += n;
	}
}

/* ── roll-ups ── */

void
cell_rollup(struct cell_fold *fold, const struct rollup *rollup, int64_t span_ms)
{
	struct series_cell *cell = &fold->cell;
	const struct series_cell *more = &rollup->cell;
	if (cell->count == 0)
		cell->first = more->first;
	cell->last = more->last;
	cell->count += more->count;
	cell->nans += more->nans;
	cell->min = MIN(cell->min, more->min);
	cell->max = MAX(cell->max, more->max);
	if (fold->cell_ms == 0)
		return;
	cell_enter(fold, rollup->start_ms);
	if (span_ms >= DAY_MS)
		cell->sum += more->sum;
	else if (span_ms >= HOUR_MS)
		fold->day_sum += more->sum;
	else
		fold->hour_sum += more->sum;
}

void
cell_alone(struct series_cell *cell)
{
	/* -0 + 0 is 0; and the sign of a NaN that ∞ - ∞ makes is nobody's. */
	cell->min += 0.0;
	cell->max += 0.0;
	cell->sum = isnan(cell->sum) ? NAN : cell->sum + 0.0;
}

const struct series_cell *
cell_end(struct cell_fold *fold)
{
	cell_close_day(fold);
	cell_alone(&fold->cell);
	return &fold->cell;
}

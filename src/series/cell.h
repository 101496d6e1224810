/*
 * cell.h: what is known of the points of a span of time: count, sum, min, max, first, last.
 *
 * The order of summation, which makes an answer from roll-ups equal that from points bit for bit:
 * points are summed by cell, the cells of an hour in order, the hours of a UTC day in order, the
 * days in order. A cell is the part of an hour (of a minute, where roll-ups of minutes are kept)
 * that lies in the bucket. Within a cell four sums take turns, point by point from its first, and
 * are joined as (0 + 1) + (2 + 3). A NaN makes a sum NaN and is neither least nor most; a least or
 * most of zero has no sign.
 */
#ifndef WEIR_CELL_H
#define WEIR_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct series_cell {
	uint64_t count, nans;
	double sum;
	double min, max;         /* +∞, -∞ when all are NaN */
	double first, last;
};

/* A roll-up: the cell of one span of the grid. */
struct rollup {
	int64_t start_ms;
	struct series_cell cell;
};

/* A cell that is being made. */
struct cell_fold {
	struct series_cell cell; /* its sum: of the days that are over */
	int64_t cell_ms;         /* length of the smallest cell; 0: sums are not wanted */
	int64_t cell_end_ms, hour_end_ms, day_end_ms; /* of what is open; INT64_MIN: nothing */
	double lanes[4];
	unsigned lane;           /* takes the next point */
	double hour_sum, day_sum;
};

/* Begins a new one. `cell_ms`: 60,000, 3,600,000 or 0. */
void cell_begin(struct cell_fold *fold, int64_t cell_ms);

/* Its next points, ascending; at least one. */
void cell_points(struct cell_fold *fold, const int64_t *times_ms, const double *values,
    size_t count);

/* All points of the span of a roll-up at once. */
void cell_rollup(struct cell_fold *fold, const struct rollup *rollup, int64_t span_ms);

/* A roll-up's cell as one that cell_rollup alone has made would end. */
void cell_alone(struct series_cell *cell);

/* Ends it: the cell with its whole sum, valid until the next call. */
const struct series_cell *cell_end(struct cell_fold *fold);

/* How many of ascending times lie before `end_ms`; at least one time is given. */
size_t cell_count_before(const int64_t *times_ms, size_t count, int64_t end_ms);

/* The greatest multiple of `span_ms` that is not above `time_ms`. */
static inline int64_t
cell_floor(int64_t time_ms, int64_t span_ms)
{
	int64_t rest = time_ms % span_ms;
	return time_ms - rest - (rest < 0 ? span_ms : 0);
}

#endif

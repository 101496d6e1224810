/*
 * head.h: the newest points of a partition, in memory, in the order in which they came.
 *
 * Filled by the owner; once frozen it never changes and a worker may read it. A series' points
 * are a chain of runs in an arena; nothing is freed but the whole head.
 */
#ifndef WEIR_HEAD_H
#define WEIR_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "roster.h"

struct head_run {
	struct head_run *next;
	int64_t base_ms;   /* the first point's time */
	uint32_t count, cap;
	/* then cap doubles, then cap int32: time − base_ms */
};

struct head_series {
	const char *key;   /* the roster's, see roster_key_at */
	struct head_run *first, *last; /* NULL: no points */
	int64_t first_ms, last_ms;     /* smallest and largest time */
	uint32_t number;               /* the roster's */
	uint32_t count;
};

struct head {
	struct arena runs;
	struct head_series *series;
	uint32_t count, cap;
	unsigned side;        /* which of roster_series.slot is ours */
	uint64_t points;
	uint64_t seq_first, seq_last; /* of the records whose points are here; 0: none */
	uint64_t cursor;              /* once frozen: up to where parts hold all when it is one */
	int64_t arrival_first_ms;     /* INT64_MAX: none */
};

struct head *head_create(unsigned side); /* NULL when memory is out */
void head_destroy(struct head *head);    /* NULL ok */

/* The head's entry of a series, or NULL. */
struct head_series *head_find(const struct head *head, const struct roster *roster,
    uint32_t number);

/* The same, made when missing; its index. 0 or -ENOMEM. */
int head_take(struct head *head, struct roster *roster, uint32_t number, uint32_t *ret_index);

/* Memory so that head_put cannot fail for `points` points of `series` series. 0 or -ENOMEM. */
int head_reserve(struct head *head, size_t series, size_t points);

/* Ask for the memory that head_put will want: of the series, later of its last run. */
static inline void
head_expect(const struct head *head, uint32_t index)
{
	__builtin_prefetch(&head->series[index], 1);
}

static inline void
head_expect_run(const struct head *head, uint32_t index)
{
	const struct head_run *run = head->series[index].last;
	if (run)
		__builtin_prefetch(run, 1);
}

/* Adds a point; one that is equal to the one before it changes nothing. Must be reserved. */
void head_put(struct head *head, uint32_t index, int64_t time_ms, double value);

/* Forgets the points of a series. */
void head_forget(struct head *head, struct head_series *series);

/* Copies the points in [from_ms, to_ms] (inclusive) in order of arrival; how many. The arrays
 * have room for series->count. */
size_t head_copy(const struct head_series *series, int64_t from_ms, int64_t to_ms,
    int64_t *ret_times_ms, double *ret_values);

size_t head_bytes(const struct head *head);

#endif

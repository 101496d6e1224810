/*
 * head.c: chains of runs that double from 4 to 64 points, 12 bytes a point.
 *
 * Why runs: a million series with ten points each must fit, so no malloc per point, no doubling
 * arrays that waste half, and times as 32-bit distances. A time farther than 24 days from its
 * run's base begins a new small run.
 * Invariant: the order in a chain is the order of arrival, so of two points in one millisecond
 * the later one in the chain wins.
 */
#include "head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bits.h"
#include "check.h"

#define HEAD_RUN_POINTS_MIN 4u
#define HEAD_RUN_POINTS_MAX 64u

static size_t
head_run_bytes(uint32_t cap)
{
	return sizeof(struct head_run) + cap * (sizeof(double) + sizeof(int32_t));
}

_Static_assert(sizeof(struct head_run) + HEAD_RUN_POINTS_MAX * 12 <= ARENA_PIECE_BYTES_MAX,
    "arena_reserve reckons with pieces of this size");

static double *
head_run_values(const struct head_run *run)
{
	return (double *)(uintptr_t)(run + 1);
}

static int32_t *
head_run_offsets(const struct head_run *run)
{
	return (int32_t *)(void *)(head_run_values(run) + run->cap);
}

struct head *
head_create(unsigned side)
{
	struct head *head = calloc(1, sizeof(*head));
	if (!head)
		return NULL;
	arena_init(&head->runs);
	head->side = side;
	head->arrival_first_ms = INT64_MAX;
	return head;
}

void
head_destroy(struct head *head)
{
	if (!head)
		return;
	arena_finish(&head->runs);
	free(head->series);
	free(head);
}

struct head_series *
head_find(const struct head *head, const struct roster *roster, uint32_t number)
{
	uint32_t slot = roster->series[number].slot[head->side];
	if (slot >= head->count || head->series[slot].number != number)
		return NULL;
	return &head->series[slot];
}

int
head_take(struct head *head, struct roster *roster, uint32_t number, uint32_t *ret_index)
{
	struct head_series *known = head_find(head, roster, number);
	if (known) {
		*ret_index = (uint32_t)(known - head->series);
		return 0;
	}
	if (head->count == head->cap) {
		uint32_t cap = head->cap ? head->cap + head->cap / 2 : 32;
		void *series = realloc(head->series, cap * sizeof(*head->series));
		if (!series)
			return -ENOMEM;
		head->series = series;
		head->cap = cap;
	}
	uint32_t index = head->count++;
	head->series[index] = (struct head_series){
		.key = roster->series[number].key,
		.first_ms = INT64_MAX,
		.last_ms = INT64_MIN,
		.number = number,
	};
	roster->series[number].slot[head->side] = index;
	*ret_index = index;
	return 0;
}

int
head_reserve(struct head *head, size_t series, size_t points)
{
	/* At worst each series begins a large run and each point a small one, because it is far
	 * from the others. */
	return arena_reserve(&head->runs, series * head_run_bytes(HEAD_RUN_POINTS_MAX) +
	    points * head_run_bytes(HEAD_RUN_POINTS_MIN));
}

static struct head_run *
head_begin_run(struct head *head, struct head_series *series, int64_t time_ms, uint32_t cap)
{
	struct head_run *run = arena_alloc(&head->runs, head_run_bytes(cap));
	check(run);
	*run = (struct head_run){.base_ms = time_ms, .cap = cap};
	if (series->last)
		series->last->next = run;
	else
		series->first = run;
	series->last = run;
	return run;
}

/* The run that takes a point of this time. */
static struct head_run *
head_run_for(struct head *head, struct head_series *series, int64_t time_ms)
{
	struct head_run *run = series->last;
	if (!run)
		return head_begin_run(head, series, time_ms, HEAD_RUN_POINTS_MIN);
	int64_t offset = time_ms - run->base_ms;
	if (offset < INT32_MIN || offset > INT32_MAX)
		return head_begin_run(head, series, time_ms, HEAD_RUN_POINTS_MIN);
	if (run->count < run->cap)
		return run;
	return head_begin_run(head, series, time_ms, MIN(run->cap * 2, HEAD_RUN_POINTS_MAX));
}

void
head_put(struct head *head, uint32_t index, int64_t time_ms, double value)
{
	struct head_series *series = &head->series[index];
	struct head_run *run = series->last;
	if (series->count && time_ms <= series->last_ms) {
		uint32_t at = run->count - 1; /* the one that came last */
		if (run->base_ms + head_run_offsets(run)[at] == time_ms &&
		    bits_of_double(head_run_values(run)[at]) == bits_of_double(value))
			return;
	}
	run = head_run_for(head, series, time_ms);
	head_run_values(run)[run->count] = value;
	head_run_offsets(run)[run->count] = (int32_t)(time_ms - run->base_ms);
	run->count++;
	series->count++;
	series->first_ms = MIN(series->first_ms, time_ms);
	series->last_ms = MAX(series->last_ms, time_ms);
	head->points++;
}

void
head_forget(struct head *head, struct head_series *series)
{
	head->points -= series->count;
	series->first = series->last = NULL;
	series->count = 0;
	series->first_ms = INT64_MAX;
	series->last_ms = INT64_MIN;
}

size_t
head_copy(const struct head_series *series, int64_t from_ms, int64_t to_ms,
    int64_t *ret_times_ms, double *ret_values)
{
	size_t count = 0;
	for (const struct head_run *run = series->first; run; run = run->next) {
		const double *values = head_run_values(run);
		const int32_t *offsets = head_run_offsets(run);
		for (uint32_t i = 0; i < run->count; i++) {
			int64_t time_ms = run->base_ms + offsets[i];
			ret_times_ms[count] = time_ms;
			ret_values[count] = values[i];
			count += time_ms >= from_ms && time_ms <= to_ms;
		}
	}
	return count;
}

size_t
head_bytes(const struct head *head)
{
	return head->runs.bytes + head->cap * sizeof(*head->series);
}

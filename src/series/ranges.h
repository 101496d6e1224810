/*
 * ranges.h: a set of times as ranges [from, to), ascending and apart once it is sorted.
 */
#ifndef WEIR_RANGES_H
#define WEIR_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
	int64_t from_ms, to_ms;
};

struct ranges {
	struct range *of;
	size_t count, cap;
};

void ranges_finish(struct ranges *ranges);

/* Adds the buckets of `span_ms` that [first_ms, last_ms] touches. 0 or -ENOMEM. */
int ranges_add(struct ranges *ranges, int64_t first_ms, int64_t last_ms, int64_t span_ms);

/* In order, joined where they touch. */
void ranges_sort(struct ranges *ranges);

/* Of sorted ranges: whether a time is in one. */
bool ranges_hold(const struct ranges *ranges, int64_t time_ms);

#endif

/*
 * ranges.c: see ranges.h. What is added behind or within the last range costs nothing more, and so
 * it mostly is.
 */
#include "ranges.h"

#include <errno.h>
#include <stdlib.h>

#include "cell.h"
#include "check.h"

void
ranges_finish(struct ranges *ranges)
{
	free(ranges->of);
	*ranges = (struct ranges){NULL, 0, 0};
}

int
ranges_add(struct ranges *ranges, int64_t first_ms, int64_t last_ms, int64_t span_ms)
{
	int64_t from = cell_floor(first_ms, span_ms), to = cell_floor(last_ms, span_ms) + span_ms;
	struct range *last = ranges->count ? &ranges->of[ranges->count - 1] : NULL;
	if (last && from >= last->from_ms && from <= last->to_ms) {
		last->to_ms = MAX(last->to_ms, to);
		return 0;
	}
	if (ranges->count == ranges->cap) {
		size_t cap = ranges->cap ? ranges->cap * 2 : 16;
		void *grown = realloc(ranges->of, cap * sizeof(*ranges->of));
		if (!grown)
			return -ENOMEM;
		ranges->of = grown;
		ranges->cap = cap;
	}
	ranges->of[ranges->count++] = (struct range){from, to};
	return 0;
}

static int
ranges_order(const void *a, const void *b)
{
	const struct range *x = a, *y = b;
	return x->from_ms < y->from_ms ? -1 : x->from_ms > y->from_ms;
}

void
ranges_sort(struct ranges *ranges)
{
	if (ranges->count < 2)
		return;
	qsort(ranges->of, ranges->count, sizeof(*ranges->of), ranges_order);
	size_t count = 1;
	for (size_t i = 1; i < ranges->count; i++) {
		struct range *last = &ranges->of[count - 1];
		if (ranges->of[i].from_ms <= last->to_ms)
			last->to_ms = MAX(last->to_ms, ranges->of[i].to_ms);
		else
			ranges->of[count++] = ranges->of[i];
	}
	ranges->count = count;
}

bool
ranges_hold(const struct ranges *ranges, int64_t time_ms)
{
	size_t low = 0, high = ranges->count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (ranges->of[mid].to_ms <= time_ms)
			low = mid + 1;
		else
			high = mid;
	}
	return low < ranges->count && ranges->of[low].from_ms <= time_ms;
}

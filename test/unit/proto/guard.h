/*
 * guard.h: memory with forbidden pages around it, so that a parser that reads beyond its input
 * dies at once, whatever it was built with.
 */
#ifndef WEIR_TEST_GUARD_H
#define WEIR_TEST_GUARD_H

#include <sys/mman.h>

#include "check.h"
#include "span.h"

enum { GUARD_PAGE_BYTES = 4096 };

struct guard {
	char *map;
	size_t bytes; /* of the writable middle */
};

static inline void
guard_init(struct guard *guard, size_t bytes_max)
{
	guard->bytes = (bytes_max + GUARD_PAGE_BYTES) / GUARD_PAGE_BYTES * GUARD_PAGE_BYTES;
	size_t all = guard->bytes + 2 * GUARD_PAGE_BYTES;
	guard->map = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(guard->map != MAP_FAILED);
	check(!mprotect(guard->map + GUARD_PAGE_BYTES, guard->bytes, PROT_READ | PROT_WRITE));
}

static inline void
guard_finish(struct guard *guard)
{
	check(!munmap(guard->map, guard->bytes + 2 * GUARD_PAGE_BYTES));
}

/* A copy that ends where the forbidden page begins. Valid until the next one. */
static inline struct span
guard_end(struct guard *guard, struct span input)
{
	check(input.len <= guard->bytes);
	char *copy = guard->map + GUARD_PAGE_BYTES + guard->bytes - input.len;
	if (input.len > 0)
		memcpy(copy, input.ptr, input.len);
	return span_of(copy, input.len);
}

/* A copy that begins where a forbidden page ends. Valid until the next one. */
static inline struct span
guard_begin(struct guard *guard, struct span input)
{
	check(input.len <= guard->bytes);
	char *copy = guard->map + GUARD_PAGE_BYTES;
	if (input.len > 0)
		memcpy(copy, input.ptr, input.len);
	return span_of(copy, input.len);
}

#endif

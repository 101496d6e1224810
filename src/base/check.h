/*
 * check.h: what only a bug can violate, and small helpers every room uses.
 *
 * `check` is always on: a server that goes on after a broken invariant damages data. What the
 * world does (full disks, bad input) is never checked, it is returned as a negative errno.
 */
#ifndef WEIR_CHECK_H
#define WEIR_CHECK_H

#include <stddef.h>

#define check(condition) \
	((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__, __func__))

/* Prints one line to stderr and aborts. Does not allocate. */
_Noreturn void check_failed(const char *condition, const char *file, int line, const char *func);

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The struct that holds `member` at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#endif

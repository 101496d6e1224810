/*
 * reserve.h: a file that holds space on the disk, given up when there is no other: so that the
 * store can still commit, and what is to go can go. Made again when there is room.
 *
 * One thread at a time.
 */
#ifndef WEIR_RESERVE_H
#define WEIR_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"

struct reserve {
	struct env *env;
	const char *dir;   /* the data directory; the caller's */
	uint64_t bytes;    /* that it holds; 0: there is none */
};

enum reserve_change { RESERVE_SAME, RESERVE_MADE, RESERVE_GIVEN_UP };

/* Finds out what an earlier process left, unless that is known. Then, with `free_bytes` on the
 * disk: gives it up or makes it, so that it holds `wanted` bytes if it can. *ret_change: which. 0
 * or -errno: it could be neither made nor given up. */
int reserve_look(struct reserve *reserve, uint64_t wanted, uint64_t free_bytes,
    enum reserve_change *ret_change);

/* Whether the disk is near to where it is given up, or it is. */
bool reserve_is_near(const struct reserve *reserve, uint64_t wanted, uint64_t free_bytes);

#endif

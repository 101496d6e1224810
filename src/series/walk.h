/*
 * walk.h: all series of some parts in the order of their keys, each with its chunks' entries.
 */
#ifndef WEIR_WALK_H
#define WEIR_WALK_H

#include "part.h"

struct walk;

struct walk_entry {
	size_t part;             /* index among the parts */
	int64_t first_ms, last_ms;
};

int walk_create(struct part *const *parts, size_t count, struct walk **ret_walk); /* 0, -ENOMEM */
void walk_destroy(struct walk *walk); /* NULL ok */

/* The next series: 1, 0 at the end, -EBADMSG (an index is damaged), -ENOMEM, -EIO. */
int walk_next(struct walk *walk);

/* Of the series it is at, valid until the next step. */
struct span walk_key(const struct walk *walk);
const struct walk_entry *walk_entries(const struct walk *walk, size_t *ret_count);

#endif

/*
 * tombs.h: devices whose data is erased: what of them is hidden, as an immutable counted list.
 *
 * The owner of a partition makes a new list with each tombstone; snapshots and work under way keep
 * the one they began with. A tombstone is in the list while parts may hold what it hides.
 */
#ifndef WEIR_TOMBS_H
#define WEIR_TOMBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"
#include "store.h"
#include "thread.h"

struct tomb {
	struct span tenant, device; /* in the list's text */
	uint64_t seq, part_id;      /* see store_tombstone */
	int64_t created_ms;
};

struct tombs {
	refcount refs;
	size_t count;
	struct tomb *of;
	char *text;
};

/* What of a series is hidden; all 0: nothing. */
struct tombs_limit {
	uint64_t seq;     /* records, and parts of points that end with it or before */
	uint64_t part_id; /* parts of roll-ups that end before */
};

/* A copy of `tombs` (NULL: none) with one more in the place of an earlier one of its device, and
 * without those that stand in `done` as well. Either may be NULL. *ret_tombs is NULL when none is
 * left. 0 or -ENOMEM. */
int tombs_copy(const struct tombs *tombs, const struct store_tombstone *more,
    const struct tombs *done, struct tombs **ret_tombs);

/* A copy without those whose seq lies below `seq`, likewise. */
int tombs_copy_from(const struct tombs *tombs, uint64_t seq, struct tombs **ret_tombs);
struct tombs *tombs_ref(struct tombs *tombs); /* NULL ok */
void tombs_unref(struct tombs *tombs);        /* NULL ok; any thread */

/* What is hidden of the series with this key. `tombs` may be NULL. */
struct tombs_limit tombs_of_key(const struct tombs *tombs, struct span key);

/* Whether a record's reading of the device (ptr NULL: of none) is hidden. */
bool tombs_hide_record(const struct tombs *tombs, struct span tenant, struct span device,
    uint64_t seq);

static inline bool
tombs_hide(const struct tombs_limit *limit, const struct store_part *part)
{
	return part->rollup ? part->seq_last < limit->part_id :
			      limit->seq && part->seq_last <= limit->seq;
}

#endif

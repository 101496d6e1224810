/*
 * series_priv.h: a partition from inside, for the room's own files.
 */
#ifndef WEIR_SERIES_PRIV_H
#define WEIR_SERIES_PRIV_H

#include "head.h"
#include "part.h"
#include "rollup.h"
#include "roster.h"
#include "series.h"
#include "thread.h"
#include "tombs.h"

struct series_partition {
	struct env *env;
	char *dir;
	uint32_t number;
	struct roster roster;
	struct head *head;         /* takes new points */
	struct head *frozen;       /* being flushed, or left from a flush that failed; or NULL */
	struct part **written;     /* of `frozen`, when only their transaction failed; or NULL */
	size_t written_count;
	bool flushing;             /* a worker has `frozen` */
	bool merging;
	uint64_t cursor;           /* the parts hold everything up to here */
	uint64_t applied;          /* head and parts hold everything up to here */
	struct part **parts;       /* by day, then seq_first */
	size_t part_count, part_cap;
	uint64_t part_points, part_bytes; /* of all parts of points */
	struct part **rolls;       /* parts of roll-ups, by kind, day, seq_first */
	size_t roll_count, roll_cap;
	uint64_t roll_bytes;
	uint32_t roll_kinds;       /* which are kept: ROLLUP_BITs */
	bool rolling, retiring, erasing;
	int64_t floor_ms;          /* points before it are gone for good */
	struct tombs *tombs;       /* NULL: none */
	uint64_t tomb_seq;         /* of all of them the last */
	struct buf indexes;        /* series_partition_apply's own */
	struct series_shelf *shelf; /* or NULL */
};

/* Whether a part of points lies below the floor. */
static inline bool
partition_is_gone(const struct series_partition *partition, const struct part *part)
{
	return (part->info.day + 1) * PART_DAY_MS <= partition->floor_ms;
}

/* Puts a part in its place; takes the reference over. 0 or -ENOMEM. */
int partition_add_part(struct series_partition *partition, struct part *part);
/* Room for `count` more parts of points. 0 or -ENOMEM. */
int partition_reserve_parts(struct series_partition *partition, size_t count);
/* The same of roll-ups. */
int partition_reserve_rolls(struct series_partition *partition, size_t count);
/* Takes a part out and lets it go; its file goes with the last reference. */
void partition_drop_part(struct series_partition *partition, struct part *part);

/* Whether the frozen head's points of a series lie under a tombstone. */
bool partition_hides_frozen(const struct series_partition *partition, uint32_t number);

/* ── snapshots ── */

struct snapshot_series {
	struct span key;
	int64_t first_ms, last_ms; /* of all its points, known of old */
	size_t at, count;          /* its points of the heads, in order of arrival */
};

struct series_snapshot {
	refcount refs;
	int64_t from_ms, to_ms;    /* inclusive, exclusive */
	struct part **parts;       /* by day, then seq_first */
	uint32_t *rolled;          /* by part: which roll-ups hold all of it */
	size_t part_count;
	struct part **rolls;       /* by kind, day, seq_first */
	size_t roll_count;
	uint32_t roll_kinds;       /* which the partition keeps */
	struct tombs *tombs;
	struct series_shelf *shelf; /* or NULL */
	struct snapshot_series *series; /* by key */
	size_t count;
	char *keys;
	int64_t *times_ms;
	double *values;
};

#endif

/*
 * series_priv.h: a partition from inside, for the room's own files.
 */
#ifndef WEIR_SERIES_PRIV_H
#define WEIR_SERIES_PRIV_H

#include "head.h"
#include "part.h"
#include "roster.h"
#include "series.h"
#include "thread.h"

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
	uint64_t part_points, part_bytes; /* of all parts */
	struct buf indexes;        /* series_partition_apply's own */
};

/* Puts a part in its place; takes the reference over. 0 or -ENOMEM. */
int partition_add_part(struct series_partition *partition, struct part *part);
/* Room for `count` more parts. 0 or -ENOMEM. */
int partition_reserve_parts(struct series_partition *partition, size_t count);
/* Takes a part out and lets it go; its file goes with the last reference. */
void partition_drop_part(struct series_partition *partition, struct part *part);

/* ── snapshots ── */

struct snapshot_series {
	struct span key;
	size_t at, count;          /* its points of the heads, in order of arrival */
};

struct series_snapshot {
	refcount refs;
	int64_t from_ms, to_ms;    /* inclusive, exclusive */
	struct part **parts;       /* by day, then seq_first */
	size_t part_count;
	struct snapshot_series *series; /* by key */
	size_t count;
	char *keys;
	int64_t *times_ms;
	double *values;
};

#endif

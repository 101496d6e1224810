/*
 * merge_priv.h: a merge from inside; erasing is a merge of one part.
 */
#ifndef WEIR_MERGE_PRIV_H
#define WEIR_MERGE_PRIV_H

#include "series_priv.h"

struct series_merge {
	struct env *env;
	const char *dir;           /* the partition's */
	_Atomic uint64_t *next_id;
	struct part **inputs;      /* neighbours, referred to */
	size_t count;
	struct tombs *tombs;       /* what is left out */
	uint32_t rolled;           /* which roll-ups hold all inputs */
	struct part *output;       /* NULL until it ran, or when nothing is left */
};

/* A merge of these parts; of none: there is room for one. NULL: no memory. */
struct series_merge *merge_create(struct series_partition *partition,
    _Atomic uint64_t *next_part_id, struct part *const *inputs, size_t count);
void merge_add_input(struct series_merge *merge, struct part *part);

/* The row of its output. */
struct store_part merge_row(struct series_merge *merge);

/* Worker: writes the output of parts of roll-ups. As series_merge_run, but for the directory. */
int merge_rolls_run(struct series_merge *merge);

/* Owner: as series_partition_merged. */
void merge_finish(struct series_partition *partition, struct series_merge *merge, int error);

#endif

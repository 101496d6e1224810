/*
 * slab.h: objects of one size, very many of them, without what malloc spends on each.
 *
 * One owner, one thread. Memory of objects that were given back serves the next ones; it goes back
 * to the system when the slab is finished.
 */
#ifndef WEIR_SLAB_H
#define WEIR_SLAB_H

#include <stddef.h>

struct slab_block;

struct slab {
	size_t bytes;              /* of an object */
	struct slab_block *blocks;
	void *free;                /* given back, chained through their first bytes */
	char *at;                  /* in the newest block: what was never given out */
	size_t left;               /* objects there */
};

/* Objects are aligned to 8. */
void slab_init(struct slab *slab, size_t object_bytes);

/* All objects must have been given back, or never be used again. */
void slab_finish(struct slab *slab);

/* Not cleared. NULL: memory is out. */
void *slab_get(struct slab *slab);
void slab_put(struct slab *slab, void *object); /* NULL allowed */

#endif

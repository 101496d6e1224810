/*
 * slab.c: blocks that are cut into objects.
 *
 * Invariant: an object is given out, in the chain of free ones, or behind `at`. Where the address
 * sanitizer watches, each object is malloc's, so that it sees whoever uses one that is gone.
 */
#include "slab.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { BLOCK_BYTES = 16 * 1024 };

struct slab_block {
	struct slab_block *next;
	char objects[];
};

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define SLAB_WATCHED 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SLAB_WATCHED 1
#endif

void
slab_init(struct slab *slab, size_t object_bytes)
{
	size_t bytes = (object_bytes + 7) & ~(size_t)7;
	check(bytes > 0 && bytes <= BLOCK_BYTES / 8);
	*slab = (struct slab){.bytes = bytes};
}

void
slab_finish(struct slab *slab)
{
	while (slab->blocks) {
		struct slab_block *block = slab->blocks;
		slab->blocks = block->next;
		free(block);
	}
	*slab = (struct slab){.bytes = slab->bytes};
}

#ifdef SLAB_WATCHED

void *
slab_get(struct slab *slab)
{
	return malloc(slab->bytes);
}

void
slab_put(struct slab *slab, void *object)
{
	(void)slab;
	free(object);
}

#else

static bool
grow(struct slab *slab)
{
	/* With malloc's own head it fills whole pages. */
	size_t bytes = BLOCK_BYTES - 2 * sizeof(size_t);
	struct slab_block *block = malloc(bytes);
	if (!block)
		return false;
	block->next = slab->blocks;
	slab->blocks = block;
	slab->at = block->objects;
	slab->left = (bytes - sizeof(*block)) / slab->bytes;
	return true;
}

void *
slab_get(struct slab *slab)
{
	void *object = slab->free;
	if (object) {
		memcpy(&slab->free, object, sizeof(slab->free));
		return object;
	}
	if (slab->left == 0 && !grow(slab))
		return NULL;
	object = slab->at;
	slab->at += slab->bytes;
	slab->left--;
	return object;
}

void
slab_put(struct slab *slab, void *object)
{
	if (!object)
		return;
	memcpy(object, &slab->free, sizeof(slab->free));
	slab->free = object;
}

#endif

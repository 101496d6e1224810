/*
 * arena.h: many small pieces of memory that die together. One thread.
 *
 * Pieces are aligned to 8 bytes and never move. What was reserved cannot fail later.
 */
#ifndef WEIR_ARENA_H
#define WEIR_ARENA_H

#include <stddef.h>

#define ARENA_PAGE_BYTES 65536u
#define ARENA_PIECE_BYTES_MAX 1024u /* the largest piece that arena_reserve reckons with */

struct arena_page {
	struct arena_page *next;
	size_t size, used; /* bytes behind this head */
};

struct arena {
	struct arena_page *page;  /* the one in use, the full ones behind it */
	struct arena_page *spare; /* empty ones */
	size_t bytes;             /* of all pages, for statistics */
};

void arena_init(struct arena *arena);
void arena_finish(struct arena *arena);

/* NULL when memory is out. Larger pieces than a page get a page of their own. */
void *arena_alloc(struct arena *arena, size_t bytes);

/* After 0 pieces of at most ARENA_PIECE_BYTES_MAX and `bytes` in all can be had without failure;
 * -ENOMEM. */
int arena_reserve(struct arena *arena, size_t bytes);

#endif

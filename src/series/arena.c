/*
 * arena.c: pages that grow from 4 to 64 KiB, so that an idle partition costs little and a busy one
 * few calls of malloc. Invariant: only the first page of `page` has room that is still used.
 */
#include "arena.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"

#define ARENA_PAGE_BYTES_MIN 4096u

void
arena_init(struct arena *arena)
{
	*arena = (struct arena){0};
}

static void
arena_free(struct arena_page *page)
{
	while (page) {
		struct arena_page *next = page->next;
		free(page);
		page = next;
	}
}

void
arena_finish(struct arena *arena)
{
	arena_free(arena->page);
	arena_free(arena->spare);
	arena_init(arena);
}

static struct arena_page *
arena_page_create(struct arena *arena, size_t least)
{
	size_t size = MIN(MAX(arena->bytes, ARENA_PAGE_BYTES_MIN), ARENA_PAGE_BYTES);
	size = MAX(size - sizeof(struct arena_page), least);
	struct arena_page *page = malloc(sizeof(*page) + size);
	if (!page)
		return NULL;
	*page = (struct arena_page){.size = size};
	arena->bytes += sizeof(*page) + size;
	return page;
}

void *
arena_alloc(struct arena *arena, size_t bytes)
{
	bytes = (bytes + 7) & ~(size_t)7;
	struct arena_page *page = arena->page;
	if (!page || page->size - page->used < bytes) {
		page = arena->spare;
		if (page && page->size >= bytes)
			arena->spare = page->next;
		else
			page = arena_page_create(arena, bytes);
		if (!page)
			return NULL;
		page->next = arena->page;
		arena->page = page;
	}
	void *piece = (char *)(page + 1) + page->used;
	page->used += bytes;
	return piece;
}

int
arena_reserve(struct arena *arena, size_t bytes)
{
	size_t room = arena->page ? arena->page->size - arena->page->used : 0;
	if (room >= bytes)
		return 0;
	/* A page may be left with less than one piece unused. */
	room = room > ARENA_PIECE_BYTES_MAX ? room - ARENA_PIECE_BYTES_MAX : 0;
	for (struct arena_page *page = arena->spare; page; page = page->next)
		room += page->size - ARENA_PIECE_BYTES_MAX;
	while (room < bytes) {
		struct arena_page *page = arena_page_create(arena, 0);
		if (!page)
			return -ENOMEM;
		page->next = arena->spare;
		arena->spare = page;
		room += page->size - ARENA_PIECE_BYTES_MAX;
	}
	return 0;
}

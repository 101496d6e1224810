/*
 * heap.h: an intrusive 4-ary min-heap ordered by a 64-bit key (timers, expiry, merging).
 *
 * Nodes live inside the caller's structs and are not owned. One thread.
 */
#ifndef WEIR_HEAP_H
#define WEIR_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
	uint64_t key;
	size_t index; /* position + 1; 0: in no heap. Zeroed memory is a valid node. */
};

struct heap {
	struct heap_node **nodes;
	size_t count, cap;
};

void heap_init(struct heap *h);
void heap_finish(struct heap *h);

/* 0 or -ENOMEM. The node must be in no heap. */
int heap_add(struct heap *h, struct heap_node *node, uint64_t key);

/* Moves a node that is in h to its new place. Cannot fail. */
void heap_rekey(struct heap *h, struct heap_node *node, uint64_t key);

/* Takes a node that is in h out. Cannot fail. */
void heap_remove(struct heap *h, struct heap_node *node);

/* The node with the smallest key, or NULL. */
struct heap_node *heap_min(const struct heap *h);

#endif

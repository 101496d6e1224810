/*
 * heap.c: the intrusive 4-ary min-heap.
 *
 * Four children to a node: half the levels of a binary heap, and siblings share a cache line.
 * Invariants: nodes[i]->index == i + 1; a parent's key is not above its children's.
 */
#include "heap.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"

enum { HEAP_WAYS = 4, HEAP_CAP_MIN = 16 };

void
heap_init(struct heap *h)
{
	*h = (struct heap){0};
}

void
heap_finish(struct heap *h)
{
	free(h->nodes);
	heap_init(h);
}

static void
place(struct heap *h, struct heap_node *node, size_t at)
{
	h->nodes[at] = node;
	node->index = at + 1;
}

static void
sift_up(struct heap *h, struct heap_node *node, size_t at)
{
	while (at > 0) {
		size_t parent = (at - 1) / HEAP_WAYS;
		if (h->nodes[parent]->key <= node->key)
			break;
		place(h, h->nodes[parent], at);
		at = parent;
	}
	place(h, node, at);
}

static void
sift_down(struct heap *h, struct heap_node *node, size_t at)
{
	for (;;) {
		size_t first = at * HEAP_WAYS + 1;
		size_t end = MIN(first + HEAP_WAYS, h->count);
		if (first >= h->count)
			break;
		size_t least = first;
		for (size_t i = first + 1; i < end; i++) {
			if (h->nodes[i]->key < h->nodes[least]->key)
				least = i;
		}
		if (h->nodes[least]->key >= node->key)
			break;
		place(h, h->nodes[least], at);
		at = least;
	}
	place(h, node, at);
}

/* Puts `node` where its key belongs, beginning at the free place `at`. */
static void
settle(struct heap *h, struct heap_node *node, size_t at)
{
	if (at > 0 && h->nodes[(at - 1) / HEAP_WAYS]->key > node->key)
		sift_up(h, node, at);
	else
		sift_down(h, node, at);
}

int
heap_add(struct heap *h, struct heap_node *node, uint64_t key)
{
	check(node->index == 0);
	if (h->count == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : HEAP_CAP_MIN;
		if (cap > SIZE_MAX / sizeof(struct heap_node *))
			return -ENOMEM;
		struct heap_node **nodes = realloc(h->nodes, cap * sizeof(struct heap_node *));
		if (!nodes)
			return -ENOMEM;
		h->nodes = nodes;
		h->cap = cap;
	}
	node->key = key;
	h->count++;
	sift_up(h, node, h->count - 1);
	return 0;
}

static void
check_member(const struct heap *h, const struct heap_node *node)
{
	check(node->index > 0 && node->index <= h->count && h->nodes[node->index - 1] == node);
}

void
heap_rekey(struct heap *h, struct heap_node *node, uint64_t key)
{
	check_member(h, node);
	node->key = key;
	settle(h, node, node->index - 1);
}

void
heap_remove(struct heap *h, struct heap_node *node)
{
	check_member(h, node);
	size_t at = node->index - 1;
	struct heap_node *last = h->nodes[--h->count];
	node->index = 0;
	if (last != node)
		settle(h, last, at);
}

struct heap_node *
heap_min(const struct heap *h)
{
	return h->count ? h->nodes[0] : NULL;
}

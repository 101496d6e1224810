/*
 * list.h: intrusive circular doubly linked list. One thread. Nothing is owned.
 */
#ifndef WEIR_LIST_H
#define WEIR_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

static inline void
list_init(struct list *head)
{
	head->next = head->prev = head;
}

static inline bool
list_empty(const struct list *head)
{
	return head->next == head;
}

static inline void
list_push_back(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* The node is then a list of its own: removing it again is harmless. */
static inline void
list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#define LIST_FOREACH(node, head) \
	for (struct list *node = (head)->next; node != (head); node = node->next)

/* As LIST_FOREACH; the body may remove `node`. */
#define LIST_FOREACH_SAFE(node, after, head)                                             \
	for (struct list *node = (head)->next, *after = node->next; node != (head); \
	     node = after, after = node->next)

#endif

/*
 * shelf.c: cursors that nobody uses, by how long.
 *
 * Invariants: a cursor on the shelf holds no reference to its part: the part takes it down when it
 * ends, under the lock, so what the list leads to is alive. Of the part's fields only `shelf` is
 * read without the lock, by the last one who holds it.
 */
#include "shelf.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "check.h"

struct series_shelf {
	refcount refs;
	size_t bytes_max;
	pthread_mutex_t lock; /* guards what follows, and the `rest` of parts */
	struct list parts;    /* those with a cursor here, the longest unused first */
	size_t bytes;
};

int
series_shelf_create(size_t bytes_max, struct series_shelf **ret_shelf)
{
	struct series_shelf *shelf = calloc(1, sizeof(*shelf));
	if (!shelf)
		return -ENOMEM;
	refcount_init(&shelf->refs);
	shelf->bytes_max = bytes_max;
	check(pthread_mutex_init(&shelf->lock, NULL) == 0);
	list_init(&shelf->parts);
	*ret_shelf = shelf;
	return 0;
}

struct series_shelf *
series_shelf_ref(struct series_shelf *shelf)
{
	if (shelf)
		refcount_up(&shelf->refs);
	return shelf;
}

void
series_shelf_unref(struct series_shelf *shelf)
{
	if (!shelf || !refcount_down(&shelf->refs))
		return;
	check(list_empty(&shelf->parts));
	pthread_mutex_destroy(&shelf->lock);
	free(shelf);
}

/* Takes the part's cursor down; NULL: it has none here. With the lock. */
static struct part_cursor *
shelf_take_down(struct series_shelf *shelf, struct part *part)
{
	struct part_cursor *cursor = part->rest.cursor;
	if (!cursor)
		return NULL;
	list_remove(&part->rest.link);
	shelf->bytes -= part->rest.bytes;
	part->rest.cursor = NULL;
	return cursor;
}

int
shelf_take(struct series_shelf *shelf, struct part *part, struct part_cursor **ret_cursor)
{
	struct part_cursor *cursor = NULL;
	if (shelf) {
		check(pthread_mutex_lock(&shelf->lock) == 0);
		cursor = shelf_take_down(shelf, part);
		check(pthread_mutex_unlock(&shelf->lock) == 0);
	}
	if (!cursor)
		return part_cursor_create(part, ret_cursor);
	part_cursor_wake(cursor, part);
	*ret_cursor = cursor;
	return 0;
}

void
shelf_put(struct series_shelf *shelf, struct part_cursor *cursor)
{
	if (!cursor || !shelf) {
		part_cursor_destroy(cursor);
		return;
	}
	struct part *part;
	size_t bytes = part_cursor_rest(cursor, &part);
	check(pthread_mutex_lock(&shelf->lock) == 0);
	/* Of two the one that knows more stays. */
	struct part_cursor *less = cursor;
	if (bytes >= part->rest.bytes || !part->rest.cursor) {
		less = shelf_take_down(shelf, part);
		part->rest = (struct part_rest){.cursor = cursor, .bytes = bytes};
		list_push_back(&shelf->parts, &part->rest.link);
		shelf->bytes += bytes;
	}
	if (!part->shelf)
		part->shelf = series_shelf_ref(shelf);
	struct part_cursor *gone[16];
	size_t count = 0;
	while (shelf->bytes > shelf->bytes_max && count < ARRAY_COUNT(gone))
		gone[count++] = shelf_take_down(shelf,
		    CONTAINER_OF(shelf->parts.next, struct part, rest.link));
	check(pthread_mutex_unlock(&shelf->lock) == 0);
	part_cursor_destroy(less);
	for (size_t i = 0; i < count; i++)
		part_cursor_destroy(gone[i]);
	part_unref(part);
}

void
shelf_forget(struct part *part)
{
	struct series_shelf *shelf = part->shelf;
	if (!shelf)
		return;
	check(pthread_mutex_lock(&shelf->lock) == 0);
	struct part_cursor *cursor = shelf_take_down(shelf, part);
	check(pthread_mutex_unlock(&shelf->lock) == 0);
	part_cursor_destroy(cursor);
	series_shelf_unref(shelf);
}

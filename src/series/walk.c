/*
 * walk.c: a cursor for each part; the smallest key of all is the next.
 *
 * Invariant: between two steps every live cursor stands on the first entry of a key above the
 * present one.
 */
#include "walk.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"

struct walk {
	struct part_cursor **cursors;
	bool *live;
	size_t count;
	bool begun;
	struct buf key;
	struct buf entries; /* of struct walk_entry */
};

int
walk_create(struct part *const *parts, size_t count, struct walk **ret_walk)
{
	struct walk *walk = calloc(1, sizeof(*walk));
	if (!walk)
		return -ENOMEM;
	walk->cursors = calloc(MAX(count, 1), sizeof(struct part_cursor *));
	walk->live = calloc(MAX(count, 1), sizeof(bool));
	int error = walk->cursors && walk->live ? 0 : -ENOMEM;
	for (; walk->count < count && error == 0; walk->count++) {
		error = part_cursor_create(parts[walk->count], &walk->cursors[walk->count]);
		if (error)
			break;
	}
	if (error) {
		walk_destroy(walk);
		return error;
	}
	*ret_walk = walk;
	return 0;
}

void
walk_destroy(struct walk *walk)
{
	if (!walk)
		return;
	for (size_t i = 0; i < walk->count; i++)
		part_cursor_destroy(walk->cursors[i]);
	free(walk->cursors);
	free(walk->live);
	buf_finish(&walk->key);
	buf_finish(&walk->entries);
	free(walk);
}

/* Takes the entries of the present key off a cursor that stands on the first of them. */
static int
walk_take(struct walk *walk, size_t part)
{
	struct part_cursor *cursor = walk->cursors[part];
	int got = 1;
	while (got == 1 && span_eq(part_cursor_key(cursor), buf_span(&walk->key))) {
		const struct part_entry *entry = part_cursor_entry(cursor);
		struct walk_entry taken = {part, entry->first_ms, entry->last_ms};
		if (buf_append(&walk->entries, &taken, sizeof(taken)) != 0)
			return -ENOMEM;
		got = part_cursor_next(cursor);
	}
	walk->live[part] = got == 1;
	return got < 0 ? got : 0;
}

int
walk_next(struct walk *walk)
{
	const struct part_cursor *least = NULL;
	for (size_t i = 0; i < walk->count && !walk->begun; i++) {
		int got = part_cursor_next(walk->cursors[i]);
		if (got < 0)
			return got;
		walk->live[i] = got == 1;
	}
	walk->begun = true;
	for (size_t i = 0; i < walk->count; i++)
		if (walk->live[i] && (!least ||
		    span_cmp(part_cursor_key(walk->cursors[i]), part_cursor_key(least)) < 0))
			least = walk->cursors[i];
	if (!least)
		return 0;
	buf_clear(&walk->key);
	buf_clear(&walk->entries);
	if (buf_append_span(&walk->key, part_cursor_key(least)) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < walk->count; i++) {
		if (!walk->live[i] ||
		    !span_eq(part_cursor_key(walk->cursors[i]), buf_span(&walk->key)))
			continue;
		int error = walk_take(walk, i);
		if (error)
			return error;
	}
	return 1;
}

struct span
walk_key(const struct walk *walk)
{
	return buf_span(&walk->key);
}

const struct walk_entry *
walk_entries(const struct walk *walk, size_t *ret_count)
{
	*ret_count = walk->entries.len / sizeof(struct walk_entry);
	return (const struct walk_entry *)(const void *)walk->entries.ptr;
}

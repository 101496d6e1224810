/*
 * map.c: the hash table of pointers.
 *
 * Linear probing over a power of two of slots. Invariant: between a value's home slot and its own
 * slot there is no free one; removal restores it by moving later values back, so there are no
 * tombstones. At least a quarter of the slots are free, so every probe ends.
 */
#include "map.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "num.h"

enum { MAP_SLOTS_MIN = 8 };

/* Mixes, so that callers may use plain numbers as hashes. */
static size_t
home(const struct map *m, uint64_t hash)
{
	return (size_t)((hash * UINT64_C(0x9e3779b97f4a7c15)) >> 24) & m->mask;
}

void
map_init(struct map *m)
{
	*m = (struct map){0};
}

void
map_finish(struct map *m)
{
	free(m->slots);
	map_init(m);
}

void *
map_get(const struct map *m, uint64_t hash, map_match *match, const void *key)
{
	if (m->count == 0)
		return NULL;
	for (size_t i = home(m, hash); m->slots[i].value; i = (i + 1) & m->mask) {
		if (m->slots[i].hash == hash && match(m->slots[i].value, key))
			return m->slots[i].value;
	}
	return NULL;
}

static void
put(struct map *m, uint64_t hash, void *value)
{
	size_t i = home(m, hash);
	while (m->slots[i].value)
		i = (i + 1) & m->mask;
	m->slots[i] = (struct map_slot){hash, value};
	m->count++;
}

static int
resize(struct map *m, size_t slot_count)
{
	struct map bigger = {.mask = slot_count - 1};
	bigger.slots = calloc(slot_count, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; m->slots && i <= m->mask; i++) {
		if (m->slots[i].value)
			put(&bigger, m->slots[i].hash, m->slots[i].value);
	}
	free(m->slots);
	*m = bigger;
	return 0;
}

int
map_reserve(struct map *m, size_t count)
{
	if (count > SIZE_MAX / 4 / sizeof(struct map_slot))
		return -ENOMEM;
	size_t slot_count = m->slots ? m->mask + 1 : MAP_SLOTS_MIN;
	while (slot_count / 4 * 3 < count)
		slot_count *= 2;
	if (m->slots && slot_count == m->mask + 1)
		return 0;
	return resize(m, slot_count);
}

int
map_add(struct map *m, uint64_t hash, void *value)
{
	check(value);
	int error = map_reserve(m, m->count + 1);
	if (error)
		return error;
	put(m, hash, value);
	return 0;
}

/* Fills the hole at `hole` with the first later value that may stand there, and so on. */
static void
close_gap(struct map *m, size_t hole)
{
	for (size_t i = (hole + 1) & m->mask; m->slots[i].value; i = (i + 1) & m->mask) {
		size_t from_home = (i - home(m, m->slots[i].hash)) & m->mask;
		size_t from_hole = (i - hole) & m->mask;
		if (from_home < from_hole)
			continue;
		m->slots[hole] = m->slots[i];
		hole = i;
	}
	m->slots[hole] = (struct map_slot){0};
}

bool
map_remove(struct map *m, uint64_t hash, const void *value)
{
	if (m->count == 0)
		return false;
	for (size_t i = home(m, hash); m->slots[i].value; i = (i + 1) & m->mask) {
		if (m->slots[i].value != value || m->slots[i].hash != hash)
			continue;
		close_gap(m, i);
		m->count--;
		return true;
	}
	return false;
}

void *
map_next(const struct map *m, size_t *pos)
{
	while (m->slots && *pos <= m->mask) {
		void *value = m->slots[(*pos)++].value;
		if (value)
			return value;
	}
	return NULL;
}

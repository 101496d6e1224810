/*
 * map.h: a hash table from 64-bit hashes to pointers; the caller compares keys.
 *
 * Open addressing, linear probing, backward-shift deletion; load at most 3/4. Holds (hash, value)
 * pairs and nothing else: 16 bytes an entry. Values are never NULL and are not owned. One thread.
 * Hash with hash64() and a random seed where keys come from outside (hash flooding).
 */
#ifndef WEIR_MAP_H
#define WEIR_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
	uint64_t hash;
	void *value; /* NULL: free */
};

struct map {
	struct map_slot *slots; /* NULL while empty and never used */
	size_t mask;            /* slots - 1 */
	size_t count;
};

/* Whether `value` is the one that `key` asks for. */
typedef bool map_match(const void *value, const void *key);

void map_init(struct map *m);
void map_finish(struct map *m);

/* The value with this hash for which match() holds, or NULL. */
void *map_get(const struct map *m, uint64_t hash, map_match *match, const void *key);

/* Adds; does not look for an equal one. 0 or -ENOMEM. */
int map_add(struct map *m, uint64_t hash, void *value);

/* Removes exactly this value. Whether it was there. */
bool map_remove(struct map *m, uint64_t hash, const void *value);

/* Iterates in no order: *pos starts at 0; NULL at the end. No add or remove meanwhile. */
void *map_next(const struct map *m, size_t *pos);

/* Room for `count` entries without growing. 0 or -ENOMEM. */
int map_reserve(struct map *m, size_t count);

#endif

/*
 * roster.h: all series of a partition: key to number, first and last time, last value.
 *
 * Numbers rise from 0 and are never reused; keys never move. Owner's thread, but the bytes of a
 * key may be read by any thread while the partition lives.
 */
#ifndef WEIR_ROSTER_H
#define WEIR_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "series.h"
#include "span.h"

struct roster_series {
	const char *key;        /* u32 length, then the bytes */
	uint32_t hash;          /* upper half of series_key_hash */
	uint32_t slot[2];       /* where head 0 and head 1 have it; see head.h */
	int64_t first_ms;       /* first > last: no point yet */
	int64_t last_ms;
	double last_value;
};

struct roster {
	struct arena keys;
	struct roster_series *series;
	uint64_t *signatures;   /* Bloom bits of metric and tags, by number: scanned by selectors */
	uint32_t count, cap;
	uint32_t *table;        /* number + 1; 0: free */
	uint32_t mask;
	uint32_t *sorted;       /* numbers by key, made when a selector matches many */
	uint32_t sorted_count;  /* numbers below it are in `sorted` */
};

void roster_init(struct roster *roster);
void roster_finish(struct roster *roster);

/* The number of the key's series, made when it is new. 0 or -ENOMEM. */
int roster_take(struct roster *roster, uint64_t hash, struct span key, uint32_t *ret_number);

/* Asks for the memory that roster_take will want, one step of its way at a time: first the place
 * in the table, some other work later the record, then its key. For who takes many in a row. */
void roster_expect_place(const struct roster *roster, uint64_t hash);
void roster_expect_record(const struct roster *roster, uint64_t hash);
void roster_expect_key(const struct roster *roster, uint64_t hash);

struct span roster_key(const struct roster *roster, uint32_t number);

/* Span of a stored key (u32 length, bytes). */
struct span roster_key_at(const char *stored);

/* A point of the series is known; the later call wins in the same millisecond. */
void roster_note(struct roster *roster, uint32_t number, int64_t first_ms, int64_t last_ms,
    double last_value);

/* The numbers of matching series that have points, ordered by key; *ret_numbers is malloc'd, the
 * caller's. 0, -ENOMEM, -E2BIG (more than `max`). */
int roster_select(struct roster *roster, const struct series_selector *selector, size_t max,
    uint32_t **ret_numbers, size_t *ret_count);

size_t roster_bytes(const struct roster *roster);

#endif

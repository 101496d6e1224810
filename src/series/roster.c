/*
 * roster.c: an array of records, an open-addressing table of numbers, keys in an arena.
 *
 * Why not a struct per series: a million of them must stay under 100 MB, so a series is a record
 * of 48 bytes, its key, 8 bytes of Bloom bits and at most 8 bytes of table. A selector is first
 * held against the Bloom bits, which lie side by side, and only then against the key.
 */
#include "roster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bits.h"
#include "check.h"
#include "hash.h"

void
roster_init(struct roster *roster)
{
	*roster = (struct roster){0};
	arena_init(&roster->keys);
}

void
roster_finish(struct roster *roster)
{
	arena_finish(&roster->keys);
	free(roster->series);
	free(roster->signatures);
	free(roster->table);
	roster_init(roster);
}

size_t
roster_bytes(const struct roster *roster)
{
	return roster->keys.bytes + roster->cap * (sizeof(*roster->series) + sizeof(uint64_t)) +
	    (roster->table ? ((size_t)roster->mask + 1) * sizeof(uint32_t) : 0);
}

struct span
roster_key_at(const char *stored)
{
	return span_of(stored + 4, bits_load32(stored));
}

struct span
roster_key(const struct roster *roster, uint32_t number)
{
	return roster_key_at(roster->series[number].key);
}

/* ── signatures ── */

static uint64_t
roster_bit(uint64_t hash)
{
	return UINT64_C(1) << (hash & 63);
}

static uint64_t
roster_tag_bits(const struct series_tag *tag)
{
	uint64_t hash = hash64(tag->value, hash64(tag->name, 1));
	return roster_bit(hash) | roster_bit(hash >> 8);
}

static uint64_t
roster_metric_bits(struct span metric)
{
	uint64_t hash = hash64(metric, 2);
	return roster_bit(hash) | roster_bit(hash >> 8);
}

static uint64_t
roster_signature(struct span key)
{
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t count = SERIES_TAGS_MAX;
	if (!series_key_split(key, &tenant, &metric, tags, &count))
		return 0;
	uint64_t bits = roster_metric_bits(metric);
	for (size_t i = 0; i < count; i++)
		bits |= roster_tag_bits(&tags[i]);
	return bits;
}

/* ── finding and adding ── */

static int
roster_grow_table(struct roster *roster)
{
	size_t slots = roster->table ? ((size_t)roster->mask + 1) * 2 : 64;
	if (slots > UINT32_MAX)
		return -ENOMEM;
	uint32_t *table = calloc(slots, sizeof(*table));
	if (!table)
		return -ENOMEM;
	uint32_t mask = (uint32_t)(slots - 1);
	for (uint32_t i = 0; i < roster->count; i++) {
		uint32_t at = roster->series[i].hash & mask;
		while (table[at])
			at = (at + 1) & mask;
		table[at] = i + 1;
	}
	free(roster->table);
	roster->table = table;
	roster->mask = mask;
	return 0;
}

static int
roster_grow(struct roster *roster)
{
	if (roster->count == roster->cap) {
		uint32_t cap = roster->cap ? roster->cap + roster->cap / 2 : 64;
		if (cap < roster->cap)
			return -ENOMEM;
		void *series = realloc(roster->series, cap * sizeof(*roster->series));
		if (!series)
			return -ENOMEM;
		roster->series = series;
		void *signatures = realloc(roster->signatures, cap * sizeof(uint64_t));
		if (!signatures)
			return -ENOMEM;
		roster->signatures = signatures;
		roster->cap = cap;
	}
	if (!roster->table || roster->count >= (roster->mask >> 2) * 3)
		return roster_grow_table(roster);
	return 0;
}

static int
roster_add(struct roster *roster, uint32_t hash, struct span key, uint32_t *ret_number)
{
	if (roster_grow(roster) != 0)
		return -ENOMEM;
	char *stored = arena_alloc(&roster->keys, 4 + key.len);
	if (!stored)
		return -ENOMEM;
	bits_store32(stored, (uint32_t)key.len);
	memcpy(stored + 4, key.ptr, key.len);
	uint32_t number = roster->count++;
	roster->series[number] = (struct roster_series){
		.key = stored,
		.hash = hash,
		.slot = {UINT32_MAX, UINT32_MAX},
		.first_ms = INT64_MAX,
		.last_ms = INT64_MIN,
	};
	roster->signatures[number] = roster_signature(key);
	uint32_t at = hash & roster->mask;
	while (roster->table[at])
		at = (at + 1) & roster->mask;
	roster->table[at] = number + 1;
	*ret_number = number;
	return 0;
}

int
roster_take(struct roster *roster, uint64_t hash64_of_key, struct span key, uint32_t *ret_number)
{
	uint32_t hash = (uint32_t)(hash64_of_key >> 32);
	if (roster->table) {
		for (uint32_t at = hash & roster->mask; roster->table[at];
		     at = (at + 1) & roster->mask) {
			uint32_t number = roster->table[at] - 1;
			if (roster->series[number].hash == hash &&
			    span_eq(roster_key(roster, number), key)) {
				*ret_number = number;
				return 0;
			}
		}
	}
	return roster_add(roster, hash, key, ret_number);
}

void
roster_note(struct roster *roster, uint32_t number, int64_t first_ms, int64_t last_ms,
    double last_value)
{
	struct roster_series *series = &roster->series[number];
	series->first_ms = MIN(series->first_ms, first_ms);
	if (last_ms >= series->last_ms) {
		series->last_ms = last_ms;
		series->last_value = last_value;
	}
}

/* ── selecting ── */

static bool
roster_matches(struct span key, const struct series_selector *selector)
{
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t count = SERIES_TAGS_MAX;
	if (!series_key_split(key, &tenant, &metric, tags, &count) ||
	    !span_eq(tenant, selector->tenant))
		return false;
	if (selector->metric.len && !span_eq(metric, selector->metric))
		return false;
	for (size_t i = 0; i < selector->tag_count; i++) {
		const struct series_tag *wanted = &selector->tags[i];
		size_t at = 0;
		while (at < count && !span_eq(tags[at].name, wanted->name))
			at++;
		/* As users of labels expect: an empty value also means that the tag is missing. */
		struct span value = at < count ? tags[at].value : SPAN("");
		if (!span_eq(value, wanted->value))
			return false;
	}
	return true;
}

struct roster_pick {
	struct span key;
	uint32_t number;
};

static int
roster_pick_order(const void *a, const void *b)
{
	const struct roster_pick *x = a, *y = b;
	return span_cmp(x->key, y->key);
}

static uint64_t
roster_selector_bits(const struct series_selector *selector)
{
	uint64_t bits = selector->metric.len ? roster_metric_bits(selector->metric) : 0;
	for (size_t i = 0; i < selector->tag_count; i++)
		if (selector->tags[i].value.len)
			bits |= roster_tag_bits(&selector->tags[i]);
	return bits;
}

int
roster_select(const struct roster *roster, const struct series_selector *selector, size_t max,
    uint32_t **ret_numbers, size_t *ret_count)
{
	uint64_t bits = roster_selector_bits(selector);
	size_t count = 0, cap = 0;
	struct roster_pick *picks = NULL;
	int error = -ENOMEM;
	for (uint32_t i = 0; i < roster->count; i++) {
		if ((roster->signatures[i] & bits) != bits)
			continue;
		struct span key = roster_key(roster, i);
		if (roster->series[i].first_ms > roster->series[i].last_ms ||
		    !roster_matches(key, selector))
			continue;
		if (count == max) {
			error = -E2BIG;
			goto fail;
		}
		if (count == cap) {
			cap = cap ? cap * 2 : 16;
			void *more = realloc(picks, cap * sizeof(*picks));
			if (!more)
				goto fail;
			picks = more;
		}
		picks[count++] = (struct roster_pick){key, i};
	}
	if (count)
		qsort(picks, count, sizeof(*picks), roster_pick_order);
	uint32_t *numbers = malloc(MAX(count, 1) * sizeof(*numbers));
	if (!numbers)
		goto fail;
	for (size_t i = 0; i < count; i++)
		numbers[i] = picks[i].number;
	free(picks);
	*ret_numbers = numbers;
	*ret_count = count;
	return 0;
fail:
	free(picks);
	return error;
}

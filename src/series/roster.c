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

/* More matches than this are not sorted for one query. */
#define ROSTER_SORT_MAX 1024u

/* More devices than this are looked for in the keys only. */
#define ROSTER_ANY_MAX 32u

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
	free(roster->sorted);
	roster_init(roster);
}

size_t
roster_bytes(const struct roster *roster)
{
	return roster->keys.bytes + roster->cap * (sizeof(*roster->series) + sizeof(uint64_t)) +
	    (roster->table ? ((size_t)roster->mask + 1) * sizeof(uint32_t) : 0) +
	    roster->sorted_count * sizeof(uint32_t);
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

/* The record that the table's first place for this hash names, or NULL. */
static const struct roster_series *
roster_first(const struct roster *roster, uint64_t hash64_of_key)
{
	if (!roster->table)
		return NULL;
	uint32_t taken = roster->table[(uint32_t)(hash64_of_key >> 32) & roster->mask];
	return taken ? &roster->series[taken - 1] : NULL;
}

void
roster_expect_place(const struct roster *roster, uint64_t hash64_of_key)
{
	if (roster->table)
		__builtin_prefetch(
		    &roster->table[(uint32_t)(hash64_of_key >> 32) & roster->mask]);
}

void
roster_expect_record(const struct roster *roster, uint64_t hash64_of_key)
{
	const struct roster_series *series = roster_first(roster, hash64_of_key);
	if (series)
		__builtin_prefetch(series, 1);
}

void
roster_expect_key(const struct roster *roster, uint64_t hash64_of_key)
{
	const struct roster_series *series = roster_first(roster, hash64_of_key);
	if (series)
		__builtin_prefetch(series->key);
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

/* Whether the series is of a device that the selector lets through. */
static bool
roster_is_visible(const struct series_selector *selector, const struct series_tag *tags,
    size_t count)
{
	size_t at = 0, low = 0, high = selector->device_count;
	if (!selector->devices)
		return true;
	while (at < count && !span_eq(tags[at].name, SPAN("device")))
		at++;
	while (at < count && low < high) {
		size_t middle = (low + high) / 2;
		int order = span_cmp(selector->devices[middle], tags[at].value);
		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

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
	return roster_is_visible(selector, tags, count);
}

static int
roster_order(const void *a, const void *b, void *ctx)
{
	const struct roster *roster = ctx;
	return span_cmp(roster_key(roster, *(const uint32_t *)a),
	    roster_key(roster, *(const uint32_t *)b));
}

/* Takes the series that came since the last time into `sorted`. */
static int
roster_sort(struct roster *roster)
{
	uint32_t known = roster->sorted_count, count = roster->count, left = 0, at = 0;
	if (known == count)
		return 0;
	uint32_t *all = malloc(count * sizeof(*all));
	uint32_t *fresh = malloc((count - known) * sizeof(*fresh));
	if (!all || !fresh) {
		free(all);
		free(fresh);
		return -ENOMEM;
	}
	for (uint32_t i = known; i < count; i++)
		fresh[i - known] = i;
	qsort_r(fresh, count - known, sizeof(*fresh), roster_order, roster);
	for (uint32_t i = 0; i < count - known; i++) {
		while (left < known && roster_order(&roster->sorted[left], &fresh[i], roster) < 0)
			all[at++] = roster->sorted[left++];
		all[at++] = fresh[i];
	}
	while (left < known)
		all[at++] = roster->sorted[left++];
	free(fresh);
	free(roster->sorted);
	roster->sorted = all;
	roster->sorted_count = count;
	return 0;
}

/* Orders numbers that ascend by their keys. Many are picked out of the kept order: sorting a
 * million keys anew for every query would hold the loop up for a second. */
static int
roster_order_picks(struct roster *roster, uint32_t *numbers, size_t count)
{
	if (count < ROSTER_SORT_MAX) {
		qsort_r(numbers, count, sizeof(*numbers), roster_order, roster);
		return 0;
	}
	uint8_t *picked = calloc(roster->count, 1);
	if (!picked || roster_sort(roster) != 0) {
		free(picked);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		picked[numbers[i]] = 1;
	size_t at = 0;
	for (uint32_t i = 0; i < roster->count; i++)
		if (picked[roster->sorted[i]])
			numbers[at++] = roster->sorted[i];
	free(picked);
	return 0;
}

/* What a signature must show: all of `bits`, and all of one of `any` (if there are any). */
struct roster_filter {
	uint64_t bits, any[ROSTER_ANY_MAX];
	size_t any_count;
};

static void
roster_filter_init(struct roster_filter *filter, const struct series_selector *selector)
{
	filter->bits = selector->metric.len ? roster_metric_bits(selector->metric) : 0;
	for (size_t i = 0; i < selector->tag_count; i++)
		if (selector->tags[i].value.len)
			filter->bits |= roster_tag_bits(&selector->tags[i]);
	filter->any_count = 0;
	if (!selector->devices || selector->device_count > ROSTER_ANY_MAX)
		return;
	for (size_t i = 0; i < selector->device_count; i++) {
		struct series_tag tag = {SPAN("device"), selector->devices[i]};
		filter->any[filter->any_count++] = roster_tag_bits(&tag);
	}
}

static bool
roster_passes(const struct roster_filter *filter, uint64_t signature)
{
	if ((signature & filter->bits) != filter->bits)
		return false;
	for (size_t i = 0; i < filter->any_count; i++)
		if ((signature & filter->any[i]) == filter->any[i])
			return true;
	return filter->any_count == 0;
}

int
roster_select(struct roster *roster, const struct series_selector *selector, size_t max,
    uint32_t **ret_numbers, size_t *ret_count)
{
	struct roster_filter filter;
	roster_filter_init(&filter, selector);
	size_t count = 0, cap = 16;
	uint32_t *numbers = malloc(cap * sizeof(*numbers));
	int error = numbers ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < roster->count && error == 0; i++) {
		if (!roster_passes(&filter, roster->signatures[i]) ||
		    roster->series[i].first_ms > roster->series[i].last_ms ||
		    !roster_matches(roster_key(roster, i), selector))
			continue;
		if (count == max) {
			error = -E2BIG;
			break;
		}
		if (count == cap) {
			cap *= 2;
			void *more = realloc(numbers, cap * sizeof(*numbers));
			if (!more) {
				error = -ENOMEM;
				break;
			}
			numbers = more;
		}
		numbers[count++] = i;
	}
	if (error == 0)
		error = roster_order_picks(roster, numbers, count);
	if (error) {
		free(numbers);
		return error;
	}
	*ret_numbers = numbers;
	*ret_count = count;
	return 0;
}

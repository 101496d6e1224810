/*
 * census.c: hashes of keys in shards, each an open table under a lock of its own; counts by tenant,
 * principal and tag, and the values of tags, under one more, which only new series take.
 *
 * Two keys with one hash of 64 bits count as one series: then there is one more than allowed; so
 * for values and names. Of tags with more than CENSUS_TAGS_MAX names (those of all tenants
 * together) the later ones are not counted: their flood meets the limits on series.
 */
#include "census.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "check.h"
#include "hash.h"
#include "makers.h"

#define CENSUS_SHARDS 64u
#define CENSUS_SLOTS_MIN 64u
#define CENSUS_TAGS_MAX 4096u
#define CENSUS_WARN_MS 60000
#define CENSUS_NAME_BYTES 32u /* of a tag, in a sentence */

/* Hashes; 0 is kept as 1. */
struct census_set {
	uint64_t *slots;    /* 0: free */
	size_t count, mask; /* mask 0: no table yet */
};

struct census_count {
	uint64_t hash, count; /* hash 0: free */
};

struct census_counts {
	struct census_count *slots;
	size_t count, mask;
};

struct census_shard {
	pthread_mutex_t lock;
	struct census_set keys;
};

struct census {
	struct census_options options;
	uint64_t max[CENSUS_LIMIT_COUNT]; /* UINT64_MAX: no limit */
	struct census_shard shards[CENSUS_SHARDS];
	pthread_mutex_t lock; /* of all below */
	uint64_t count;
	struct census_counts tenants, principals, tags;
	struct census_set values[CENSUS_SHARDS];
	uint64_t refused[CENSUS_LIMIT_COUNT];
	int64_t warn_at_ms;
};

/* A new series on its way through the limits. */
struct census_new {
	const struct census_series *series;
	struct span tenant;
	uint64_t tenant_hash, maker;
	struct series_tag tags[SERIES_TAGS_MAX];
	uint64_t tag_hashes[SERIES_TAGS_MAX], value_hashes[SERIES_TAGS_MAX];
	size_t tag_count;
	size_t worst;         /* the tag with most values; with tag_count 0: none */
	uint64_t worst_count;
	enum census_limit limit; /* the one that it met */
};

int
census_create(const struct census_options *options, struct census **ret_census)
{
	struct census *census = calloc(1, sizeof *census);
	if (!census)
		return -ENOMEM;
	census->options = *options;
	for (unsigned i = 0; i < CENSUS_LIMIT_COUNT; i++)
		census->max[i] = options->max[i] ? options->max[i] : UINT64_MAX;
	for (size_t i = 0; i < CENSUS_SHARDS; i++)
		pthread_mutex_init(&census->shards[i].lock, NULL);
	pthread_mutex_init(&census->lock, NULL);
	census->warn_at_ms = INT64_MIN;
	*ret_census = census;
	return 0;
}

void
census_destroy(struct census *census)
{
	if (!census)
		return;
	for (size_t i = 0; i < CENSUS_SHARDS; i++) {
		pthread_mutex_destroy(&census->shards[i].lock);
		free(census->shards[i].keys.slots);
		free(census->values[i].slots);
	}
	pthread_mutex_destroy(&census->lock);
	free(census->tenants.slots);
	free(census->principals.slots);
	free(census->tags.slots);
	free(census);
}

/* ── sets and counts ── */

static uint64_t
hash_kept(uint64_t hash)
{
	return hash ? hash : 1;
}

/* Where the hash is, or the free place that it would take. The table has one. */
static size_t
set_place(const struct census_set *set, uint64_t hash)
{
	size_t at = (hash / CENSUS_SHARDS) & set->mask;
	while (set->slots[at] && set->slots[at] != hash)
		at = (at + 1) & set->mask;
	return at;
}

static bool
set_has(const struct census_set *set, uint64_t hash)
{
	return set->mask && set->slots[set_place(set, hash)];
}

/* Room for `more`. */
static int
set_reserve(struct census_set *set, size_t more)
{
	if (set->mask && (set->count + more) * 4 <= set->mask * 3)
		return 0;
	struct census_set grown = *set;
	size_t slots = set->mask ? (set->mask + 1) * 2 : CENSUS_SLOTS_MIN;
	while ((set->count + more) * 4 > (slots - 1) * 3)
		slots *= 2;
	grown.slots = calloc(slots, sizeof *grown.slots);
	if (!grown.slots)
		return -ENOMEM;
	grown.mask = slots - 1;
	for (size_t i = 0; set->mask && i <= set->mask; i++)
		if (set->slots[i])
			grown.slots[set_place(&grown, set->slots[i])] = set->slots[i];
	free(set->slots);
	*set = grown;
	return 0;
}

/* Whether it is new. There is room. */
static bool
set_put(struct census_set *set, uint64_t hash)
{
	size_t at = set_place(set, hash);
	if (set->slots[at])
		return false;
	set->slots[at] = hash;
	set->count++;
	return true;
}

static size_t
counts_place(const struct census_counts *counts, uint64_t hash)
{
	size_t at = hash & counts->mask;
	while (counts->slots[at].hash && counts->slots[at].hash != hash)
		at = (at + 1) & counts->mask;
	return at;
}

static uint64_t
counts_get(const struct census_counts *counts, uint64_t hash)
{
	return counts->mask ? counts->slots[counts_place(counts, hash)].count : 0;
}

static int
counts_reserve(struct census_counts *counts, size_t more)
{
	if (counts->mask && (counts->count + more) * 4 <= counts->mask * 3)
		return 0;
	struct census_counts grown = *counts;
	size_t slots = counts->mask ? (counts->mask + 1) * 2 : CENSUS_SLOTS_MIN;
	while ((counts->count + more) * 4 > (slots - 1) * 3)
		slots *= 2;
	grown.slots = calloc(slots, sizeof *grown.slots);
	if (!grown.slots)
		return -ENOMEM;
	grown.mask = slots - 1;
	for (size_t i = 0; counts->mask && i <= counts->mask; i++)
		if (counts->slots[i].hash)
			grown.slots[counts_place(&grown, counts->slots[i].hash)] = counts->slots[i];
	free(counts->slots);
	*counts = grown;
	return 0;
}

/* One more. There is room. */
static void
counts_raise(struct census_counts *counts, uint64_t hash)
{
	struct census_count *slot = &counts->slots[counts_place(counts, hash)];
	counts->count += slot->hash == 0;
	slot->hash = hash;
	slot->count++;
}

/* ── a new series ── */

uint64_t
census_maker(struct span tenant, struct span principal)
{
	return hash_kept(hash64(principal, hash64(tenant, 0)));
}

/* false: the key is none. */
static bool
new_split(struct census_new *new, const struct census_series *series)
{
	struct span metric;
	new->series = series;
	new->tag_count = SERIES_TAGS_MAX;
	if (!series_key_split(series->key, &new->tenant, &metric, new->tags, &new->tag_count))
		return false;
	new->tenant_hash = hash_kept(hash64(new->tenant, 0));
	new->maker = series->principal.len ? census_maker(new->tenant, series->principal) : 0;
	for (size_t i = 0; i < new->tag_count; i++) {
		const struct series_tag *tag = &new->tags[i];
		new->tag_hashes[i] = hash_kept(hash64(tag->name, new->tenant_hash));
		new->value_hashes[i] = hash_kept(hash64(tag->value, new->tag_hashes[i]));
	}
	return true;
}

static struct census_set *
values_of(struct census *census, uint64_t hash)
{
	return &census->values[hash % CENSUS_SHARDS];
}

/* So that nothing fails once the series counts. */
static int
new_reserve(struct census *census, const struct census_new *new)
{
	int error = counts_reserve(&census->tenants, 1);
	if (!error && new->maker)
		error = counts_reserve(&census->principals, 1);
	if (!error)
		error = counts_reserve(&census->tags, new->tag_count);
	for (size_t i = 0; i < new->tag_count && !error; i++)
		error = set_reserve(values_of(census, new->value_hashes[i]), new->tag_count);
	return error;
}

/* Whether a limit is in its way. Finds the worst tag. */
static bool
new_refused(struct census *census, struct census_new *new)
{
	const uint64_t *max = census->max;
	bool full = false;
	new->worst = 0;
	new->worst_count = 0;
	for (size_t i = 0; i < new->tag_count; i++) {
		uint64_t count = counts_get(&census->tags, new->tag_hashes[i]);
		if (count > new->worst_count) {
			new->worst = i;
			new->worst_count = count;
		}
	}
	if (census->count >= max[CENSUS_NODE])
		new->limit = CENSUS_NODE;
	else if (counts_get(&census->tenants, new->tenant_hash) >= max[CENSUS_TENANT])
		new->limit = CENSUS_TENANT;
	else if (new->maker && counts_get(&census->principals, new->maker) >= max[CENSUS_PRINCIPAL])
		new->limit = CENSUS_PRINCIPAL;
	else
		new->limit = CENSUS_LIMIT_COUNT;
	for (size_t i = 0; i < new->tag_count && new->limit == CENSUS_LIMIT_COUNT && !full; i++) {
		full = !span_eq(new->tags[i].name, SPAN("device")) &&
		    counts_get(&census->tags, new->tag_hashes[i]) >= max[CENSUS_TAG] &&
		    !set_has(values_of(census, new->value_hashes[i]), new->value_hashes[i]);
		new->worst = full ? i : new->worst;
	}
	if (full)
		new->limit = CENSUS_TAG;
	return new->limit != CENSUS_LIMIT_COUNT;
}

static void
new_count(struct census *census, const struct census_new *new)
{
	census->count++;
	counts_raise(&census->tenants, new->tenant_hash);
	if (new->maker)
		counts_raise(&census->principals, new->maker);
	for (size_t i = 0; i < new->tag_count; i++) {
		bool counted = census->tags.count < CENSUS_TAGS_MAX ||
		    counts_get(&census->tags, new->tag_hashes[i]);
		if (counted && set_put(values_of(census, new->value_hashes[i]),
		    new->value_hashes[i]))
			counts_raise(&census->tags, new->tag_hashes[i]);
	}
}

/* Counts one more. 0, -ENOMEM, -EDQUOT (a limit is reached). */
static int
census_count(struct census *census, struct census_new *new, bool limited)
{
	pthread_mutex_lock(&census->lock);
	int error = new_reserve(census, new);
	if (!error && limited && new_refused(census, new)) {
		census->refused[new->limit]++;
		error = -EDQUOT;
	}
	if (!error)
		new_count(census, new);
	pthread_mutex_unlock(&census->lock);
	return error;
}

/* 1: it is new and counts from now on; 0: it is known; -ENOMEM; -EDQUOT: `new` says why. */
static int
census_take(struct census *census, const struct census_series *series, bool limited,
    struct census_new *new)
{
	uint64_t hash = hash_kept(series->hash);
	struct census_shard *shard = &census->shards[hash % CENSUS_SHARDS];
	pthread_mutex_lock(&shard->lock);
	int result = set_reserve(&shard->keys, 1);
	if (!result && !set_has(&shard->keys, hash) && new_split(new, series)) {
		result = census_count(census, new, limited);
		if (!result)
			result = set_put(&shard->keys, hash);
	}
	pthread_mutex_unlock(&shard->lock);
	return result;
}

/* ── what is said of one that was refused ── */

/* The beginning of a name, no character cut in two. */
static struct span
name_cut(struct span name)
{
	size_t len = MIN(name.len, (size_t)CENSUS_NAME_BYTES);
	while (len < name.len && len > 0 && ((unsigned char)name.ptr[len] & 0xc0) == 0x80)
		len--;
	return span_of(name.ptr, len);
}

static void
why_print(const struct census *census, const struct census_new *new, char *ret_why)
{
	static const char *const heads[CENSUS_LIMIT_COUNT] = {
		[CENSUS_NODE] = "there are as many as may be",
		[CENSUS_TENANT] = "its tenant has as many as it may",
		[CENSUS_PRINCIPAL] = "its sender made as many as it may",
		[CENSUS_TAG] = "the values of its tag",
	};
	unsigned long long max = census->max[new->limit];
	struct span tag = new->tag_count ? name_cut(new->tags[new->worst].name) : SPAN("");
	if (new->limit == CENSUS_TAG)
		snprintf(ret_why, CENSUS_WHY_BYTES, "it would make a new series; %s %.*s are as "
		    "many as may be (%llu)", heads[new->limit], SPAN_ARG(tag), max);
	else if (new->worst_count > 1)
		snprintf(ret_why, CENSUS_WHY_BYTES, "it would make a new series; %s (%llu); of its "
		    "tags %.*s has most values (%llu)", heads[new->limit], max, SPAN_ARG(tag),
		    (unsigned long long)new->worst_count);
	else
		snprintf(ret_why, CENSUS_WHY_BYTES, "it would make a new series; %s (%llu)",
		    heads[new->limit], max);
}

static void
refusal_warn(struct census *census, const struct census_series *series, const char *why)
{
	char text[CENSUS_WHY_BYTES + 384];
	pthread_mutex_lock(&census->lock);
	bool due = series->now_ms >= census->warn_at_ms;
	if (due)
		census->warn_at_ms = series->now_ms + CENSUS_WARN_MS;
	pthread_mutex_unlock(&census->lock);
	if (!due || !census->options.warn)
		return;
	snprintf(text, sizeof text, "points of %.*s (tenant %.*s) are refused: %s",
	    SPAN_ARG(series->principal), SPAN_ARG(series->tenant), why);
	census->options.warn(census->options.ctx, text);
}

/* ── from outside ── */

int
census_allow(struct census *census, const struct census_series *series,
    char ret_why[CENSUS_WHY_BYTES])
{
	struct census_new new;
	int result = census_take(census, series, true, &new);
	if (result == 1 && new.maker && census->options.makers)
		makers_note(census->options.makers, series->hash, new.maker);
	if (result == -EDQUOT) {
		why_print(census, &new, ret_why);
		refusal_warn(census, series, ret_why);
	}
	return MIN(result, 0);
}

int
census_add(struct census *census, struct span key, uint64_t hash, bool *ret_new)
{
	struct census_series series = {.key = key, .hash = hash};
	struct census_new new;
	int result = census_take(census, &series, false, &new);
	if (result < 0)
		return result;
	*ret_new = result == 1;
	return 0;
}

bool
census_has(struct census *census, uint64_t hash)
{
	hash = hash_kept(hash);
	struct census_shard *shard = &census->shards[hash % CENSUS_SHARDS];
	pthread_mutex_lock(&shard->lock);
	bool has = set_has(&shard->keys, hash);
	pthread_mutex_unlock(&shard->lock);
	return has;
}

int
census_credit(struct census *census, uint64_t maker)
{
	pthread_mutex_lock(&census->lock);
	int error = counts_reserve(&census->principals, 1);
	if (!error)
		counts_raise(&census->principals, maker);
	pthread_mutex_unlock(&census->lock);
	return error;
}

void
census_refused(struct census *census, uint64_t ret_counts[CENSUS_LIMIT_COUNT])
{
	pthread_mutex_lock(&census->lock);
	memcpy(ret_counts, census->refused, sizeof census->refused);
	pthread_mutex_unlock(&census->lock);
}

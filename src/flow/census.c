/*
 * census.c: hashes of keys in shards, each an open table under a lock of its own; counts by tenant
 * under one more, which only new series take.
 *
 * Two keys with one hash of 64 bits count as one series: then there is one more than allowed.
 */
#include "census.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "batch.h"
#include "check.h"
#include "hash.h"

#define CENSUS_SHARDS 64u
#define CENSUS_SLOTS_MIN 64u

struct census_shard {
	pthread_mutex_t lock;
	uint64_t *slots;   /* 0: free; the hash 0 is kept as 1 */
	size_t count, mask; /* mask 0: no table yet */
};

struct census_tenant {
	uint64_t hash, count;
};

struct census {
	uint64_t series_max, tenant_max;
	struct census_shard shards[CENSUS_SHARDS];
	pthread_mutex_t lock; /* of all below */
	uint64_t count;
	struct census_tenant *tenants;
	size_t tenant_count;
};

int
census_create(uint64_t series_max, uint64_t tenant_max, struct census **ret_census)
{
	struct census *census = calloc(1, sizeof *census);
	if (!census)
		return -ENOMEM;
	census->series_max = series_max ? series_max : UINT64_MAX;
	census->tenant_max = tenant_max ? tenant_max : UINT64_MAX;
	for (size_t i = 0; i < CENSUS_SHARDS; i++)
		pthread_mutex_init(&census->shards[i].lock, NULL);
	pthread_mutex_init(&census->lock, NULL);
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
		free(census->shards[i].slots);
	}
	pthread_mutex_destroy(&census->lock);
	free(census->tenants);
	free(census);
}

/* Where the hash is, or the free place that it would take. The table has one. */
static size_t
shard_place(const struct census_shard *shard, uint64_t hash)
{
	size_t at = (hash / CENSUS_SHARDS) & shard->mask;
	while (shard->slots[at] && shard->slots[at] != hash)
		at = (at + 1) & shard->mask;
	return at;
}

static int
shard_reserve(struct census_shard *shard)
{
	if (shard->mask && shard->count * 4 < shard->mask * 3)
		return 0;
	struct census_shard grown = *shard;
	size_t slots = shard->mask ? (shard->mask + 1) * 2 : CENSUS_SLOTS_MIN;
	grown.slots = calloc(slots, sizeof *grown.slots);
	if (!grown.slots)
		return -ENOMEM;
	grown.mask = slots - 1;
	for (size_t i = 0; shard->mask && i <= shard->mask; i++)
		if (shard->slots[i])
			grown.slots[shard_place(&grown, shard->slots[i])] = shard->slots[i];
	free(shard->slots);
	shard->slots = grown.slots;
	shard->mask = grown.mask;
	return 0;
}

/* Counts one more of a tenant. 0, -ENOMEM, -EDQUOT (a limit is reached). */
static int
census_count(struct census *census, struct span tenant, bool limited)
{
	uint64_t hash = hash64(tenant, 0);
	int error = 0;
	size_t at = 0;
	pthread_mutex_lock(&census->lock);
	while (at < census->tenant_count && census->tenants[at].hash != hash)
		at++;
	if (at == census->tenant_count) {
		void *grown = realloc(census->tenants, (at + 1) * sizeof *census->tenants);
		if (grown) {
			census->tenants = grown;
			census->tenants[census->tenant_count++] = (struct census_tenant){hash, 0};
		}
		error = grown ? 0 : -ENOMEM;
	}
	if (!error && limited && (census->count >= census->series_max ||
	    census->tenants[at].count >= census->tenant_max))
		error = -EDQUOT;
	if (!error) {
		census->count++;
		census->tenants[at].count++;
	}
	pthread_mutex_unlock(&census->lock);
	return error;
}

static int
census_take(struct census *census, struct span tenant, uint64_t hash, bool limited)
{
	hash = hash ? hash : 1;
	struct census_shard *shard = &census->shards[hash % CENSUS_SHARDS];
	pthread_mutex_lock(&shard->lock);
	int error = shard_reserve(shard);
	if (!error) {
		size_t at = shard_place(shard, hash);
		if (!shard->slots[at]) {
			error = census_count(census, tenant, limited);
			if (!error) {
				shard->slots[at] = hash;
				shard->count++;
			}
		}
	}
	pthread_mutex_unlock(&shard->lock);
	return error;
}

int
census_add(struct census *census, struct span key, uint64_t hash)
{
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t tag_count = SERIES_TAGS_MAX;
	if (!series_key_split(key, &tenant, &metric, tags, &tag_count))
		return 0;
	return census_take(census, tenant, hash, false);
}

bool
census_allows(struct census *census, struct span tenant, uint64_t hash)
{
	return census_take(census, tenant, hash, true) == 0;
}

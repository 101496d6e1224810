/*
 * hub_channels.c: the registry of channels: by name in a table, by id in an array of each tenant,
 * by end of life in a heap.
 *
 * An id is found by binary search, for ids rise; a removed one leaves a hole, and when half of the
 * array is holes it is packed. What a channel that is gone remembered is lost: the last seq of it
 * is kept by name in a small table, so that who comes back for it is told of a gap, and others are
 * not; where two names share a place the one that is pushed out counts for all names.
 *
 * Invariants: ids of a tenant's array rise; `holes` counts its NULLs; the heap's keys are no later
 * than the channels' ends (a publish only moves the end; the key follows when it comes up).
 */
#include "hub_channels_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "hash.h"
#include "num.h"

/* ── tenants ── */

static bool
tenant_matches(const void *value, const void *name)
{
	const struct hub_tenant *tenant = value;
	return span_eq(span_of(tenant->name, tenant->name_len), *(const struct span *)name);
}

struct hub_tenant *
hub_tenant_find(const struct hub_channels *channels, struct span name)
{
	return map_get(&channels->tenants, hash64(name, channels->seed), tenant_matches, &name);
}

static struct hub_tenant *
tenant_make(struct hub_channels *channels, struct span name)
{
	struct hub_tenant *tenant = hub_tenant_find(channels, name);
	if (tenant)
		return tenant;
	tenant = calloc(1, sizeof(*tenant) + name.len);
	if (!tenant)
		return NULL;
	tenant->name_len = (uint8_t)name.len;
	if (name.len)
		memcpy(tenant->name, name.ptr, name.len);
	if (map_add(&channels->tenants, hash64(name, channels->seed), tenant)) {
		free(tenant);
		return NULL;
	}
	return tenant;
}

/* ── ids ── */

/* The place of the first slot whose id is above `id`. Holes keep the id that they had. */
static size_t
slot_above(const struct hub_tenant *tenant, uint64_t id)
{
	size_t low = 0, high = tenant->slot_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (tenant->slots[middle].id > id)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static struct hub_channel *
find_id(const struct hub_tenant *tenant, uint64_t id)
{
	size_t above = slot_above(tenant, id);
	if (above == 0 || tenant->slots[above - 1].id != id)
		return NULL;
	return tenant->slots[above - 1].channel;
}

static int
slot_add(struct hub_tenant *tenant, struct hub_channel *channel)
{
	size_t at = slot_above(tenant, channel->id);
	if (tenant->slot_count == tenant->slot_cap) {
		size_t cap = tenant->slot_cap ? tenant->slot_cap * 2 : 16;
		void *grown = realloc(tenant->slots, cap * sizeof(*tenant->slots));
		if (!grown)
			return -ENOMEM;
		tenant->slots = grown;
		tenant->slot_cap = cap;
	}
	memmove(tenant->slots + at + 1, tenant->slots + at,
	    (tenant->slot_count - at) * sizeof(*tenant->slots));
	tenant->slots[at] = (struct hub_slot){channel->id, channel};
	tenant->slot_count++;
	return 0;
}

static void
slot_remove(struct hub_tenant *tenant, const struct hub_channel *channel)
{
	size_t at = slot_above(tenant, channel->id) - 1, kept = 0;
	check(tenant->slots[at].channel == channel);
	tenant->slots[at].channel = NULL;
	if (++tenant->holes * 2 < tenant->slot_count)
		return;
	for (size_t i = 0; i < tenant->slot_count; i++) {
		if (tenant->slots[i].channel)
			tenant->slots[kept++] = tenant->slots[i];
	}
	tenant->slot_count = kept;
	tenant->holes = 0;
}

/* ── names ── */

struct name_key {
	const struct hub_tenant *tenant;
	struct span name;
};

static uint64_t
name_hash(const struct hub_channels *channels, const struct hub_tenant *tenant, struct span name)
{
	return hash64(name, channels->seed ^ (uint64_t)(uintptr_t)tenant);
}

static bool
name_matches(const void *value, const void *wanted)
{
	const struct hub_channel *channel = value;
	const struct name_key *key = wanted;
	return channel->tenant == key->tenant && span_eq(hub_channel_name(channel), key->name);
}

struct span
hub_channel_name(const struct hub_channel *channel)
{
	return span_of(channel->text, channel->name_len);
}

struct span
hub_channel_tenant(const struct hub_channel *channel)
{
	return span_of(channel->tenant->name, channel->tenant->name_len);
}

struct span
hub_channel_meta(const struct hub_channel *channel)
{
	return span_of(channel->text + channel->name_len, channel->meta_len);
}

struct hub_channel *
hub_channels_find(const struct hub_channels *channels, struct span tenant_name,
    struct span name_or_id)
{
	const struct hub_tenant *tenant = hub_tenant_find(channels, tenant_name);
	uint64_t id;
	if (!tenant)
		return NULL;
	if (num_parse_u64(name_or_id, &id) == 0)
		return find_id(tenant, id);
	struct name_key key = {tenant, name_or_id};
	return map_get(&channels->names, name_hash(channels, tenant, name_or_id), name_matches,
	    &key);
}

struct hub_channel *
hub_channels_next(const struct hub_channels *channels, struct span tenant_name, uint64_t after_id)
{
	const struct hub_tenant *tenant = hub_tenant_find(channels, tenant_name);
	if (!tenant)
		return NULL;
	for (size_t i = slot_above(tenant, after_id); i < tenant->slot_count; i++) {
		if (tenant->slots[i].channel)
			return tenant->slots[i].channel;
	}
	return NULL;
}

/* ── what is lost ── */

uint64_t
hub_channels_lost(const struct hub_channels *channels, const struct hub_tenant *tenant,
    struct span name)
{
	uint64_t hash = name_hash(channels, tenant, name);
	const struct hub_dead *dead = &channels->dead[hash % HUB_DEAD_COUNT];
	return dead->hash == hash && dead->seq > channels->dead_seq ? dead->seq :
	    channels->dead_seq;
}

static void
dead_note(struct hub_channels *channels, const struct hub_channel *channel)
{
	uint64_t hash = name_hash(channels, channel->tenant, hub_channel_name(channel));
	struct hub_dead *dead = &channels->dead[hash % HUB_DEAD_COUNT];
	if (channel->history.seq_last == 0)
		return; /* it never had anything */
	if (dead->hash != hash)
		channels->dead_seq = MAX(channels->dead_seq, dead->seq);
	*dead = (struct hub_dead){hash, channel->history.seq_last};
}

/* ── life ── */

int
hub_channels_create(uint64_t ring_bytes_max, uint64_t lost_seq, int64_t lost_ms,
    struct hub_channels **ret_channels)
{
	struct hub_channels *channels = calloc(1, sizeof(*channels));
	if (!channels)
		return -ENOMEM;
	channels->seed = (uint64_t)(uintptr_t)channels;
	channels->dead_seq = lost_seq;
	channels->lost_ms = lost_ms;
	map_init(&channels->names);
	map_init(&channels->tenants);
	heap_init(&channels->ends);
	hub_ring_init(&channels->ring, ring_bytes_max, lost_seq, lost_ms);
	*ret_channels = channels;
	return 0;
}

static void
channel_free(struct hub_channel *channel)
{
	hub_history_finish(&channel->history);
	free(channel);
}

void
hub_channels_destroy(struct hub_channels *channels)
{
	size_t pos = 0;
	struct hub_tenant *tenant;
	if (!channels)
		return;
	while ((tenant = map_next(&channels->tenants, &pos))) {
		for (size_t i = 0; i < tenant->slot_count; i++) {
			if (tenant->slots[i].channel)
				channel_free(tenant->slots[i].channel);
		}
		free(tenant->slots);
		free(tenant);
	}
	map_finish(&channels->tenants);
	map_finish(&channels->names);
	heap_finish(&channels->ends);
	hub_ring_finish(&channels->ring);
	free(channels);
}

size_t
hub_channels_count(const struct hub_channels *channels)
{
	return channels->names.count;
}

static struct hub_channel *
channel_make(uint64_t id, const struct hub_channel_spec *spec, struct span name, int64_t now_ms)
{
	struct hub_channel *channel = calloc(1, sizeof(*channel) + name.len + spec->meta.len);
	if (!channel)
		return NULL;
	channel->id = id;
	channel->created_ms = now_ms;
	channel->ttl_ms = spec->ttl_ms;
	channel->expires_ms = spec->ttl_ms ? now_ms + spec->ttl_ms : INT64_MAX;
	channel->limits = spec->limits;
	channel->durable = spec->durable;
	channel->presence = spec->presence;
	channel->slow = (uint8_t)spec->slow;
	channel->name_len = (uint8_t)name.len;
	channel->meta_len = (uint32_t)spec->meta.len;
	memcpy(channel->text, name.ptr, name.len);
	if (spec->meta.len)
		memcpy(channel->text + name.len, spec->meta.ptr, spec->meta.len);
	return channel;
}

/* In all indices or in none. */
static int
channel_index(struct hub_channels *channels, struct hub_channel *channel)
{
	uint64_t hash = name_hash(channels, channel->tenant, hub_channel_name(channel));
	int error = map_add(&channels->names, hash, channel);
	if (error)
		return error;
	error = slot_add(channel->tenant, channel);
	if (!error && channel->ttl_ms)
		error = heap_add(&channels->ends, &channel->expiry, (uint64_t)channel->expires_ms);
	if (!error)
		return 0;
	map_remove(&channels->names, hash, channel);
	if (find_id(channel->tenant, channel->id))
		slot_remove(channel->tenant, channel);
	return error;
}

int
hub_channels_add(struct hub_channels *channels, uint64_t id,
    const struct hub_channel_spec *spec, int64_t now_ms, struct hub_channel **ret_channel)
{
	char digits[NUM_TEXT_BYTES_MAX];
	struct span name = spec->name;
	if (name.len == 0)
		name = span_of(digits, num_format_u64(digits, id));
	struct hub_channel *channel = hub_channels_find(channels, spec->tenant, name);
	if (channel) {
		*ret_channel = channel;
		return -EEXIST;
	}
	struct hub_tenant *tenant = tenant_make(channels, spec->tenant);
	channel = tenant ? channel_make(id, spec, name, now_ms) : NULL;
	if (!channel)
		return -ENOMEM;
	channel->tenant = tenant;
	int error = channel_index(channels, channel);
	if (error) {
		channel_free(channel);
		return error;
	}
	*ret_channel = channel;
	return 0;
}

void
hub_channels_remove(struct hub_channels *channels, struct hub_channel *channel)
{
	uint64_t hash = name_hash(channels, channel->tenant, hub_channel_name(channel));
	dead_note(channels, channel);
	check(map_remove(&channels->names, hash, channel));
	slot_remove(channel->tenant, channel);
	if (channel->expiry.index)
		heap_remove(&channels->ends, &channel->expiry);
	channel_free(channel);
	channels->removed++;
}

uint64_t
hub_channels_removed(const struct hub_channels *channels)
{
	return channels->removed;
}

void
hub_channels_renew(struct hub_channels *channels, struct hub_channel *channel, int64_t ttl_ms,
    int64_t now_ms)
{
	channel->ttl_ms = ttl_ms;
	channel->expires_ms = ttl_ms ? now_ms + ttl_ms : INT64_MAX;
	if (!channel->expiry.index) {
		/* Where memory is out it lives on, which loses nothing. */
		if (ttl_ms && heap_add(&channels->ends, &channel->expiry,
		    (uint64_t)channel->expires_ms))
			channel->expires_ms = INT64_MAX;
		return;
	}
	if (!ttl_ms)
		heap_remove(&channels->ends, &channel->expiry);
	else
		heap_rekey(&channels->ends, &channel->expiry, (uint64_t)channel->expires_ms);
}

struct hub_channel *
hub_channels_expired(struct hub_channels *channels, int64_t now_ms, int64_t *ret_next_ms)
{
	struct heap_node *node;
	while ((node = heap_min(&channels->ends))) {
		struct hub_channel *channel = CONTAINER_OF(node, struct hub_channel, expiry);
		*ret_next_ms = (int64_t)node->key;
		if (*ret_next_ms > now_ms)
			return NULL;
		if (channel->expires_ms <= now_ms)
			return channel;
		heap_rekey(&channels->ends, node, (uint64_t)channel->expires_ms);
	}
	*ret_next_ms = INT64_MAX;
	return NULL;
}

void
hub_channels_forget(struct hub_channels *channels, uint64_t seq, int64_t time_ms)
{
	const struct hub_tenant *tenant;
	size_t pos = 0;
	while ((tenant = map_next(&channels->tenants, &pos))) {
		for (size_t i = 0; i < tenant->slot_count; i++) {
			struct hub_channel *channel = tenant->slots[i].channel;
			if (!channel || !channel->durable || channel->id >= seq)
				continue;
			channel->history.seq_dropped = MAX(channel->history.seq_dropped, seq);
			channel->history.time_dropped_ms = time_ms;
		}
	}
}

/* ── messages ── */

int
hub_channels_append(struct hub_channels *channels, struct hub_channel *const *to, size_t count,
    const struct hub_kept *kept)
{
	struct span names[HUB_MESSAGE_CHANNELS_MAX];
	int error = 0;
	check(count > 0 && count <= HUB_MESSAGE_CHANNELS_MAX);
	for (size_t i = 0; i < count; i++) {
		struct hub_channel *channel = to[i];
		names[i] = hub_channel_name(channel);
		if (channel->ttl_ms)
			channel->expires_ms = MAX(channel->expires_ms,
			    kept->time_ms + channel->ttl_ms);
		if (!error)
			error = hub_history_append(&channel->history, kept);
		hub_channel_trim(channel, kept->time_ms);
	}
	return error ? error : hub_ring_append(&channels->ring, hub_channel_tenant(to[0]), names,
	    count, kept);
}

void
hub_channel_trim(struct hub_channel *channel, int64_t now_ms)
{
	hub_history_trim(&channel->history, channel->limits.messages, channel->limits.bytes,
	    now_ms - channel->limits.history_ms);
}

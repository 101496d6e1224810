/*
 * hub_channels_priv.h: what the registry of channels and the reading of their histories share.
 */
#ifndef WEIR_HUB_CHANNELS_PRIV_H
#define WEIR_HUB_CHANNELS_PRIV_H

#include "hub_channels.h"
#include "hub_ring.h"
#include "map.h"

struct hub_slot {
	uint64_t id;
	struct hub_channel *channel; /* NULL: removed */
};

struct hub_tenant {
	struct hub_slot *slots;   /* by id */
	size_t slot_count, slot_cap, holes;
	uint8_t name_len;
	char name[];
};

#define HUB_DEAD_COUNT 4096

/* A channel that is gone: the last seq of what it remembered. */
struct hub_dead {
	uint64_t hash, seq;
};

struct hub_channels {
	uint64_t seed;
	struct map names;         /* of struct hub_channel */
	uint64_t removed;         /* how many channels */
	struct map tenants;       /* of struct hub_tenant */
	struct heap ends;         /* of hub_channel.expiry */
	struct hub_ring ring;
	int64_t lost_ms;
	uint64_t dead_seq;        /* what channels that are gone may have had, up to here */
	struct hub_dead dead[HUB_DEAD_COUNT];
};

struct hub_tenant *hub_tenant_find(const struct hub_channels *channels, struct span name);

/* Up to which seq a name may have had messages before its channel was made (or made anew). */
uint64_t hub_channels_lost(const struct hub_channels *channels, const struct hub_tenant *tenant,
    struct span name);

/* Forgets what the channel's limits do not let it keep. */
void hub_channel_trim(struct hub_channel *channel, int64_t now_ms);

#endif

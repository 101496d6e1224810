/*
 * hub_channels.h: what channels there are and what they remember: names, ids, ends of life,
 * histories, and the ring of everything published, from which patterns catch up.
 *
 * Belongs to the sequencer's loop; no I/O. Times are milliseconds since the epoch and never fall
 * from one message to the next: the caller sees to that. An id is the seq of what made the channel,
 * so none is ever used twice.
 */
#ifndef WEIR_HUB_CHANNELS_H
#define WEIR_HUB_CHANNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap.h"
#include "hub.h"
#include "hub_history.h"
#include "span.h"

struct hub_channels;
struct hub_tenant;

struct hub_limits {
	int64_t history_ms;       /* how long messages are kept */
	uint64_t bytes;           /* and how many bytes of them */
	uint32_t messages;        /* and how many */
};

#define HUB_CHANNEL_MESSAGES 1000
#define HUB_CHANNEL_BYTES (1u << 20)
#define HUB_CHANNEL_HISTORY_MS (300 * 1000)
#define HUB_CHANNEL_TTL_MS (3600 * 1000) /* of one that a publish made */

struct hub_channel_spec {
	struct span tenant, name; /* name empty: the id's digits */
	struct span meta;         /* JSON; empty: none */
	int64_t ttl_ms;           /* 0: it stays */
	struct hub_limits limits;
	bool durable, presence;
	enum hub_slow slow;
};

/* To be read by the owner; written here. About 200 bytes with a short name. */
struct hub_channel {
	struct hub_history history;
	struct heap_node expiry;  /* key: when it ends or, after a publish, was to end before */
	struct hub_tenant *tenant;
	uint64_t id;
	int64_t created_ms, ttl_ms;
	int64_t expires_ms;       /* INT64_MAX: never */
	struct hub_limits limits;
	uint32_t subscribers;     /* the caller's */
	uint32_t meta_len;
	uint8_t name_len;
	bool durable, presence;
	uint8_t slow;             /* enum hub_slow */
	char text[];              /* name, meta */
};

struct span hub_channel_name(const struct hub_channel *channel);
struct span hub_channel_tenant(const struct hub_channel *channel);
struct span hub_channel_meta(const struct hub_channel *channel);

/* `ring_bytes_max`: of the ring. `lost_seq`, `lost_ms`: what was published up to then is not
 * remembered, but for durable channels. 0 or -ENOMEM. */
int hub_channels_create(uint64_t ring_bytes_max, uint64_t lost_seq, int64_t lost_ms,
    struct hub_channels **ret_channels);
void hub_channels_destroy(struct hub_channels *channels); /* NULL ok */

/* `id` above all before of the tenant, except while restoring: then in any order. -EEXIST with the
 * one of this name in *ret_channel; -ENOMEM. The name must be one (hub_name_check), or empty. */
int hub_channels_add(struct hub_channels *channels, uint64_t id,
    const struct hub_channel_spec *spec, int64_t now_ms, struct hub_channel **ret_channel);

/* By name, or by id when it is all digits. NULL when there is none. Valid until it is removed. */
struct hub_channel *hub_channels_find(const struct hub_channels *channels, struct span tenant,
    struct span name_or_id);

/* The next of the tenant behind this id (0: the first), in order of ids; NULL at the end. */
struct hub_channel *hub_channels_next(const struct hub_channels *channels, struct span tenant,
    uint64_t after_id);

void hub_channels_renew(struct hub_channels *channels, struct hub_channel *channel,
    int64_t ttl_ms, int64_t now_ms);
void hub_channels_remove(struct hub_channels *channels, struct hub_channel *channel);

/* How many were removed so far: while it stays the same, so do the others' addresses. */
uint64_t hub_channels_removed(const struct hub_channels *channels);

/* One whose time is over, to be told of and removed; NULL: none, and *ret_next_ms says when to ask
 * again (INT64_MAX: not before something is added or renewed). */
struct hub_channel *hub_channels_expired(struct hub_channels *channels, int64_t now_ms,
    int64_t *ret_next_ms);

/* What durable channels may have had up to there is lost. While restoring. */
void hub_channels_forget(struct hub_channels *channels, uint64_t seq, int64_t time_ms);

size_t hub_channels_count(const struct hub_channels *channels);

/* ── messages ── */

/* Keeps a message in these channels (of one tenant, each once) and in the ring, and restarts their
 * lives. 0, -ENOMEM (then some may have it). */
int hub_channels_append(struct hub_channels *channels, struct hub_channel *const *to,
    size_t count, const struct hub_kept *kept);

/* Gives each message once, in order of seqs, with those of its channels that are asked for (the
 * names live until each() returns, and so does `kept`). What is older than a channel keeps is not
 * given, even if it is still there. each() returns 0 or a negative errno, which ends it.
 * 0, -ENOMEM, or what each() said. */
int hub_channels_collect(struct hub_channels *channels, const struct hub_question *question,
    int64_t now_ms, int (*each)(void *ctx, const struct hub_kept *kept, const struct span *names,
	size_t name_count), void *ctx, struct hub_answer *ret_answer);

#endif

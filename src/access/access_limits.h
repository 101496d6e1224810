/*
 * access_limits.h: the limits of a node: how much each principal may do a second, and how often an
 * address may come with credentials that are wrong. One for all loops; any thread.
 *
 * A principal has one set of buckets for the whole node, whatever loop he comes to. They are found
 * by a keyed hash of who he is, in a table of a fixed size: where a row is full the one that owes
 * least goes, and what it owed is forgotten.
 */
#ifndef WEIR_ACCESS_LIMITS_H
#define WEIR_ACCESS_LIMITS_H

#include "access.h"
#include "access_rate.h"

struct access_limits;

struct access_limits_settings {
	struct access_rate_limits rate; /* of each principal */
	uint64_t failures_per_s;        /* of each address; 0: no limit */
};

/* Failures of this many seconds may come at once. */
#define ACCESS_LIMITS_FAILURES_BURST_S 10

/* Nothing is limited yet. 0 or -ENOMEM. */
int access_limits_create(struct env *env, struct access_limits **ret_limits);
void access_limits_destroy(struct access_limits *limits); /* NULL ok */

/* For what comes from now on. */
void access_limits_set(struct access_limits *limits,
    const struct access_limits_settings *settings);

/* Takes `amount` of what this principal may do: 0, or in how many ms to come back; then nothing is
 * taken, and it is counted as refused if `refuses` (who only waits refuses nobody). The local
 * administrator has no limits, nor has anybody where `limits` or `principal` is NULL. `now_ns` is
 * env_mono_ns. */
uint64_t access_limits_take(struct access_limits *limits, const struct access_principal *principal,
    enum access_rate_of of, uint64_t amount, uint64_t now_ns, bool refuses);

/* Credentials that were wrong came from this address (text without a port; an IPv6 address counts
 * as its /64; what is no IP address, a local socket's, is not counted). */
void access_limits_failed(struct access_limits *limits, struct span address, uint64_t now_ns);

/* Whether credentials from this address are taken, right or wrong: 0, or in how many ms to come
 * back. Who is told to must not learn whether they were right. Limits NULL: 0. */
uint64_t access_limits_failures(struct access_limits *limits, struct span address,
    uint64_t now_ns);

/* Refused since the start: what principals may do, and in the last place credentials. */
#define ACCESS_LIMITS_REFUSED_COUNT (ACCESS_RATE_COUNT + 1)
void access_limits_refused(const struct access_limits *limits,
    uint64_t ret_refused[ACCESS_LIMITS_REFUSED_COUNT]);

#endif

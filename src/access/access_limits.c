/*
 * access_limits.c: buckets of principals and addresses, in two tables that loops share without a
 * lock.
 *
 * A table has rows of eight slots; a name (a hash that nobody outside can foresee) belongs to one
 * row. A slot is taken by swapping its name. Two loops that take one for the same name at the same
 * time may get two: then the first in the row is used from the next time on. A loop that holds a
 * slot while another gives it to somebody else takes once from a stranger's bucket. Both let a
 * little more or less through, once, and cost no waiting.
 */
#include "access_limits.h"

#include <errno.h>
#include <stdlib.h>

#include "access_priv.h"
#include "check.h"
#include "hash.h"

enum { WAYS = 8, PRINCIPAL_ROWS = 16384, ADDRESS_ROWS = 1024 };

struct slot {
	_Atomic uint64_t name; /* 0: free */
	struct access_rate rate;
};

struct access_limits {
	uint64_t seed;
	_Atomic uint64_t per_s[ACCESS_RATE_COUNT], burst_s, failures_per_s;
	atomic_bool limited;   /* any of per_s is set */
	atomic_bool failed;    /* any address ever did */
	_Atomic uint64_t refused[ACCESS_LIMITS_REFUSED_COUNT];
	struct slot *principals, *addresses; /* rows of WAYS */
};

int
access_limits_create(struct env *env, struct access_limits **ret_limits)
{
	struct access_limits *limits = calloc(1, sizeof(*limits));

	if (limits == NULL)
		return -ENOMEM;
	/* Memory that is not touched costs nothing. */
	limits->principals = calloc((size_t)PRINCIPAL_ROWS * WAYS, sizeof(struct slot));
	limits->addresses = calloc((size_t)ADDRESS_ROWS * WAYS, sizeof(struct slot));
	if (limits->principals == NULL || limits->addresses == NULL) {
		access_limits_destroy(limits);
		return -ENOMEM;
	}
	env_random(env, &limits->seed, sizeof(limits->seed));
	*ret_limits = limits;
	return 0;
}

void
access_limits_destroy(struct access_limits *limits)
{
	if (limits == NULL)
		return;
	free(limits->principals);
	free(limits->addresses);
	free(limits);
}

void
access_limits_set(struct access_limits *limits, const struct access_limits_settings *settings)
{
	bool limited = false;

	for (int of = 0; of < ACCESS_RATE_COUNT; of++) {
		atomic_store(&limits->per_s[of], settings->rate.per_s[of]);
		limited |= settings->rate.per_s[of] != 0;
	}
	atomic_store(&limits->burst_s, settings->rate.burst_s);
	atomic_store(&limits->failures_per_s, settings->failures_per_s);
	atomic_store(&limits->limited, limited);
}

static uint64_t
debt_until_ns(const struct slot *slot)
{
	uint64_t latest_ns = 0;

	for (int of = 0; of < ACCESS_RATE_COUNT; of++)
		latest_ns = MAX(latest_ns,
		    atomic_load_explicit(&slot->rate.full_ns[of], memory_order_relaxed));
	return latest_ns;
}

/* The slot of this name in its row; taken from who owes least where it has none. NULL: not `make`
 * and there is none. */
static struct slot *
slot_find(struct slot *row, uint64_t name, bool make)
{
	struct slot *least;
	uint64_t known;

	do {
		least = NULL;
		for (int i = 0; i < WAYS; i++) {
			known = atomic_load_explicit(&row[i].name, memory_order_relaxed);
			if (known == name)
				return &row[i];
			if (least == NULL || debt_until_ns(&row[i]) < debt_until_ns(least))
				least = &row[i];
		}
		if (!make)
			return NULL;
		known = atomic_load_explicit(&least->name, memory_order_relaxed);
	} while (known != name && !atomic_compare_exchange_strong(&least->name, &known, name));
	for (int of = 0; of < ACCESS_RATE_COUNT; of++)
		atomic_store_explicit(&least->rate.full_ns[of], 0, memory_order_relaxed);
	return least;
}

static uint64_t
refuse(struct access_limits *limits, int of, uint64_t wait_ms)
{
	atomic_fetch_add_explicit(&limits->refused[of], 1, memory_order_relaxed);
	return wait_ms;
}

/* ── principals ── */

static struct slot *
principal_slot(struct access_limits *limits, const struct access_principal *principal)
{
	uint64_t who[] = {principal->kind, principal->id, hash64(principal->tenant, limits->seed),
	    hash64(principal->name, limits->seed)};
	uint64_t name = hash64(span_of((const char *)who, sizeof(who)), limits->seed);

	return slot_find(limits->principals + name % PRINCIPAL_ROWS * WAYS, name ? name : 1, true);
}

uint64_t
access_limits_take(struct access_limits *limits, const struct access_principal *principal,
    enum access_rate_of of, uint64_t amount, uint64_t now_ns, bool refuses)
{
	struct access_rate_limits rate;
	uint64_t wait_ms;

	if (limits == NULL || !atomic_load_explicit(&limits->limited, memory_order_relaxed) ||
	    principal == NULL || principal->kind == ACCESS_LOCAL || amount == 0)
		return 0;
	rate.per_s[of] = atomic_load_explicit(&limits->per_s[of], memory_order_relaxed);
	rate.burst_s = atomic_load_explicit(&limits->burst_s, memory_order_relaxed);
	if (rate.per_s[of] == 0)
		return 0;
	wait_ms = access_rate_take(&principal_slot(limits, principal)->rate, &rate, of, amount,
	    now_ns);
	return wait_ms && refuses ? refuse(limits, (int)of, wait_ms) : wait_ms;
}

/* ── addresses: their bucket is that of requests ── */

static struct slot *
address_slot(struct access_limits *limits, struct span address, bool make)
{
	unsigned char bytes[16];
	size_t len = access_address_bytes(address, bytes);
	uint64_t name;

	if (len == 0)
		return NULL;
	name = hash64(span_of((const char *)bytes, len), limits->seed);
	return slot_find(limits->addresses + name % ADDRESS_ROWS * WAYS, name ? name : 1, make);
}

static struct access_rate_limits
failure_limits(const struct access_limits *limits)
{
	return (struct access_rate_limits){
		.per_s = {[ACCESS_RATE_REQUESTS] = atomic_load(&limits->failures_per_s)},
		.burst_s = ACCESS_LIMITS_FAILURES_BURST_S,
	};
}

void
access_limits_failed(struct access_limits *limits, struct span address, uint64_t now_ns)
{
	struct slot *slot = limits ? address_slot(limits, address, true) : NULL;
	struct access_rate_limits rate;

	if (slot == NULL)
		return;
	atomic_store_explicit(&limits->failed, true, memory_order_relaxed);
	rate = failure_limits(limits);
	access_rate_take(&slot->rate, &rate, ACCESS_RATE_REQUESTS, 1, now_ns);
}

uint64_t
access_limits_failures(struct access_limits *limits, struct span address, uint64_t now_ns)
{
	struct access_rate_limits rate;
	struct slot *slot;
	uint64_t wait_ms;

	if (limits == NULL || !atomic_load_explicit(&limits->failed, memory_order_relaxed))
		return 0;
	slot = address_slot(limits, address, false);
	if (slot == NULL)
		return 0;
	rate = failure_limits(limits);
	wait_ms = access_rate_wait(&slot->rate, &rate, ACCESS_RATE_REQUESTS, 1, now_ns);
	return wait_ms ? refuse(limits, ACCESS_RATE_COUNT, wait_ms) : 0;
}

void
access_limits_refused(const struct access_limits *limits,
    uint64_t ret_refused[ACCESS_LIMITS_REFUSED_COUNT])
{
	for (int of = 0; of < ACCESS_LIMITS_REFUSED_COUNT; of++)
		ret_refused[of] = atomic_load_explicit(&limits->refused[of], memory_order_relaxed);
}

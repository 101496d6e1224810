/*
 * access_rate.c: the bucket is the moment at which it will be full; taking moves it on.
 */
#include "access_rate.h"

#include "check.h"

#define NS_PER_S UINT64_C(1000000000)
#define DEBT_S_MAX 3600

/* What `amount` costs of the bucket's time. */
static uint64_t
cost_of(uint64_t amount, uint64_t per_s)
{
	return amount / per_s >= DEBT_S_MAX ? DEBT_S_MAX * NS_PER_S :
	    amount / per_s * NS_PER_S + amount % per_s * NS_PER_S / per_s;
}

/* In how many ms it may be taken. */
static uint64_t
wait_of(uint64_t full_ns, uint64_t cost_ns, uint64_t burst_ns, uint64_t now_ns)
{
	/* All of it within the burst, or, where it never fits, from a full bucket. */
	uint64_t until_ns = MAX(full_ns, now_ns) + cost_ns;
	uint64_t most_ns = now_ns + MAX(cost_ns, burst_ns);

	return until_ns > most_ns ? (until_ns - most_ns + 999999) / 1000000 : 0;
}

uint64_t
access_rate_wait(const struct access_rate *rate, const struct access_rate_limits *limits,
    enum access_rate_of of, uint64_t amount, uint64_t now_ns)
{
	uint64_t per_s = limits->per_s[of];

	if (per_s == 0 || amount == 0)
		return 0;
	return wait_of(atomic_load_explicit(&rate->full_ns[of], memory_order_relaxed),
	    cost_of(amount, per_s), MAX(limits->burst_s, 1) * NS_PER_S, now_ns);
}

uint64_t
access_rate_take(struct access_rate *rate, const struct access_rate_limits *limits,
    enum access_rate_of of, uint64_t amount, uint64_t now_ns)
{
	uint64_t per_s = limits->per_s[of], burst_ns = MAX(limits->burst_s, 1) * NS_PER_S;
	uint64_t full_ns = atomic_load_explicit(&rate->full_ns[of], memory_order_relaxed);
	uint64_t cost_ns, wait_ms;

	if (per_s == 0 || amount == 0)
		return 0;
	cost_ns = cost_of(amount, per_s);
	do {
		wait_ms = wait_of(full_ns, cost_ns, burst_ns, now_ns);
		if (wait_ms)
			return wait_ms;
	} while (!atomic_compare_exchange_weak_explicit(&rate->full_ns[of], &full_ns,
	    MAX(full_ns, now_ns) + cost_ns, memory_order_relaxed, memory_order_relaxed));
	return 0;
}

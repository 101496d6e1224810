/*
 * access_rate.h: how much one principal may do a second: requests, readings, bytes. Token buckets
 * by the generic cell rate algorithm (ITU-T I.371, virtual scheduling): a bucket is one time, so
 * loops share it without a lock.
 */
#ifndef WEIR_ACCESS_RATE_H
#define WEIR_ACCESS_RATE_H

#include <stdatomic.h>
#include <stdint.h>

enum access_rate_of { ACCESS_RATE_REQUESTS, ACCESS_RATE_READINGS, ACCESS_RATE_BYTES,
	ACCESS_RATE_COUNT };

/* For each a second; 0: no limit. `burst_s` seconds' worth may come at once. */
struct access_rate_limits {
	uint64_t per_s[ACCESS_RATE_COUNT];
	uint64_t burst_s;
};

/* Zeroed memory is full buckets. Any thread. */
struct access_rate {
	_Atomic uint64_t full_ns[ACCESS_RATE_COUNT]; /* when the bucket is full again */
};

/* Takes `amount`: 0, or in how many ms to come back; then nothing is taken. What is larger than the
 * burst is let through by a full bucket, which then owes it. `now_ns` is env_mono_ns. */
uint64_t access_rate_take(struct access_rate *rate, const struct access_rate_limits *limits,
    enum access_rate_of of, uint64_t amount, uint64_t now_ns);

/* What access_rate_take would say; takes nothing. */
uint64_t access_rate_wait(const struct access_rate *rate, const struct access_rate_limits *limits,
    enum access_rate_of of, uint64_t amount, uint64_t now_ns);

#endif

/*
 * prng.h: random numbers from a seed, for the simulated world and faulty sockets. Not for secrets:
 * env_random is. SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number
 * Generators", 2014).
 */
#ifndef WEIR_PRNG_H
#define WEIR_PRNG_H

#include <stdint.h>

struct prng {
	uint64_t state; /* the seed, at first; every value is good */
};

static inline uint64_t
prng_next(struct prng *p)
{
	uint64_t z = p->state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* 0 <= result < bound; bound > 0. Its bias is below bound / 2^64. */
static inline uint64_t
prng_below(struct prng *p, uint64_t bound)
{
	return (uint64_t)((__extension__(unsigned __int128) prng_next(p) * bound) >> 64);
}

#endif

/*
 * random.h: what measurements need of chance: ranges, noise, a sensor's resolution. Pure.
 */
#ifndef WEIR_RANDOM_H
#define WEIR_RANDOM_H

#include <stdint.h>

#include "prng.h"

static inline double
random_between(struct prng *prng, double least, double most)
{
	return least + (most - least) * ((double)(prng_next(prng) >> 11) * 0x1p-53);
}

/* Nearly normal (the sum of twelve uniform ones), never beyond six deviations. */
static inline double
random_normal(struct prng *prng, double deviation)
{
	double sum = -6.0;
	for (int i = 0; i < 12; i++)
		sum += random_between(prng, 0.0, 1.0);
	return sum * deviation;
}

/* To the nearest tenth, as the double that stands for that decimal. */
static inline double
random_tenths(double value)
{
	return (double)(int64_t)(value * 10.0 + (value < 0 ? -0.5 : 0.5)) / 10.0;
}

#endif

/*
 * num_priv.h: the powers that reading and writing numbers share.
 */
#ifndef WEIR_NUM_PRIV_H
#define WEIR_NUM_PRIV_H

#include <stdint.h>

#define NUM_POWER_MAX 22 /* 10^22 is the last power of ten that is a double */
#define NUM_FIVE_MAX 27  /* 5^27 is the last power of five below 2^64 */

extern const double num_powers[NUM_POWER_MAX + 1];
extern const uint64_t num_fives[NUM_FIVE_MAX + 1];

__extension__ typedef unsigned __int128 uint128;

#endif

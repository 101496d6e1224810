/*
 * hash.h: hashes that are not secret (XXH3 of libxxhash) and CRC-32C.
 *
 * Pure; any thread. hash64 with a random seed for tables, with a fixed one for what is stored.
 */
#ifndef WEIR_HASH_H
#define WEIR_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "span.h"

uint64_t hash64(struct span bytes, uint64_t seed);

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `bytes`, continued from `crc` (0 to begin).
 * Uses SSE4.2 where the processor has it, three streams at a time, else tables. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len);

/* The same by tables alone: what crc32c does on other processors. */
uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t len);

#endif

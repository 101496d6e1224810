/*
 * bits.h: bytes and bits of part files: little-endian integers, varints (LEB128, at most ten
 * bytes), zigzag. Reading never leaves [at, end). Pure.
 */
#ifndef WEIR_BITS_H
#define WEIR_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "span.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian, as memory is");

#define BITS_VARINT_BYTES_MAX 10

struct bits_in {
	const uint8_t *at, *end;
};

static inline struct bits_in
bits_in_of(struct span bytes)
{
	const uint8_t *at = (const uint8_t *)bytes.ptr;
	return (struct bits_in){at, at + bytes.len};
}

static inline size_t
bits_left(const struct bits_in *in)
{
	return (size_t)(in->end - in->at);
}

static inline bool
bits_get(struct bits_in *in, void *ret_bytes, size_t len)
{
	if (bits_left(in) < len)
		return false;
	memcpy(ret_bytes, in->at, len);
	in->at += len;
	return true;
}

static inline bool
bits_get_varint(struct bits_in *in, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64 && in->at < in->end; shift += 7) {
		uint8_t byte = *in->at++;
		if (shift == 63 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

/* Writes at most BITS_VARINT_BYTES_MAX bytes; returns how many. */
static inline size_t
bits_put_varint(uint8_t *at, uint64_t value)
{
	size_t len = 0;
	while (value >= 0x80) {
		at[len++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	at[len++] = (uint8_t)value;
	return len;
}

static inline size_t
bits_varint_len(uint64_t value)
{
	return (size_t)(70 - __builtin_clzll(value | 1)) / 7;
}

static inline uint64_t
bits_zigzag(int64_t value)
{
	return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t
bits_unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static inline bool
bits_get_zigzag(struct bits_in *in, int64_t *ret_value)
{
	uint64_t value;
	if (!bits_get_varint(in, &value))
		return false;
	*ret_value = bits_unzigzag(value);
	return true;
}

static inline uint64_t
bits_load64(const void *at)
{
	uint64_t value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static inline uint32_t
bits_load32(const void *at)
{
	uint32_t value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static inline void
bits_store64(void *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline void
bits_store32(void *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static inline uint64_t
bits_of_double(double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static inline double
bits_to_double(uint64_t bits)
{
	double value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* Wrapping arithmetic: what a hostile file makes overflow must not be undefined. */
static inline int64_t
bits_add(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline int64_t
bits_sub(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

#endif

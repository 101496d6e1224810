/*
 * varint.h: unsigned integers in 1 to 10 bytes: seven bits a byte, low ones first, the high bit
 * says that more follow (LEB128).
 */
#ifndef WEIR_VARINT_H
#define WEIR_VARINT_H

#include <stddef.h>
#include <stdint.h>

#define VARINT_BYTES_MAX 10

/* Writes at most VARINT_BYTES_MAX bytes; how many. */
static inline size_t
varint_put(unsigned char *at, uint64_t value)
{
	size_t len = 0;
	for (; value >= 0x80; value >>= 7)
		at[len++] = (unsigned char)(value | 0x80);
	at[len++] = (unsigned char)value;
	return len;
}

/* Reads one that varint_put wrote; for memory of our own, which is whole. How many bytes. */
static inline size_t
varint_get(const unsigned char *at, uint64_t *ret_value)
{
	uint64_t value = 0;
	size_t len = 0;
	unsigned shift = 0;
	unsigned char byte;
	do {
		byte = at[len++];
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	*ret_value = value;
	return len;
}

#endif

/*
 * utf8.c: validation of UTF-8 as a small state machine.
 *
 * A state says what the next byte must be. The second byte of a character carries all the special
 * cases (overlong forms, surrogates, the end of Unicode), later ones are any continuation byte:
 *
 *   first byte   second byte   further
 *   00..7f
 *   c2..df       80..bf
 *   e0           a0..bf        1
 *   e1..ec ee ef 80..bf        1
 *   ed           80..9f        1
 *   f0           90..bf        2
 *   f1..f3       80..bf        2
 *   f4           80..8f        2
 */
#include "utf8.h"

#include <stddef.h>
#include <string.h>

enum {
	NEED_1 = 2, /* one continuation byte, then a character ends */
	NEED_2,
	NEED_3,
	AFTER_E0,
	AFTER_ED,
	AFTER_F0,
	AFTER_F4,
};

struct range {
	uint8_t low, high; /* what the next byte may be */
	uint8_t next;	   /* the state after it */
};

static const struct range ranges[] = {
    [NEED_1] = {0x80, 0xbf, UTF8_START},
    [NEED_2] = {0x80, 0xbf, NEED_1},
    [NEED_3] = {0x80, 0xbf, NEED_2},
    [AFTER_E0] = {0xa0, 0xbf, NEED_1},
    [AFTER_ED] = {0x80, 0x9f, NEED_1},
    [AFTER_F0] = {0x90, 0xbf, NEED_2},
    [AFTER_F4] = {0x80, 0x8f, NEED_2},
};

static uint32_t
begin(uint8_t byte)
{
	if (byte < 0x80)
		return UTF8_START;
	if (byte < 0xc2)
		return UTF8_REJECT;
	if (byte < 0xe0)
		return NEED_1;
	if (byte < 0xf0)
		return byte == 0xe0 ? AFTER_E0 : byte == 0xed ? AFTER_ED : NEED_2;
	if (byte < 0xf5)
		return byte == 0xf0 ? AFTER_F0 : byte == 0xf4 ? AFTER_F4 : NEED_3;
	return UTF8_REJECT;
}

/* The index of the first byte from `i` on that a group of eight ASCII bytes does not hold. */
static size_t
skip_ascii(struct span bytes, size_t i)
{
	while (bytes.len - i >= 8) {
		uint64_t group;
		memcpy(&group, bytes.ptr + i, sizeof(group));
		if (group & UINT64_C(0x8080808080808080))
			break;
		i += 8;
	}
	return i;
}

uint32_t
utf8_continue(uint32_t state, struct span bytes)
{
	size_t i = 0;
	while (i < bytes.len && state != UTF8_REJECT) {
		if (state == UTF8_START) {
			i = skip_ascii(bytes, i);
			if (i == bytes.len)
				break;
			state = begin((uint8_t)bytes.ptr[i]);
		} else {
			uint8_t byte = (uint8_t)bytes.ptr[i];
			const struct range *range = &ranges[state];
			state =
			    byte >= range->low && byte <= range->high ? range->next : UTF8_REJECT;
		}
		i++;
	}
	return state;
}

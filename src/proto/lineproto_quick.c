/*
 * lineproto_quick.c: short numbers, eight characters at a time, without a branch for each.
 *
 * Eight bytes are taken as a word; how many of them are digits before anything else is the number
 * of its low bytes that are. Shifted up by the rest, with zeroes before them, they are eight
 * digits. A fraction makes the mantissa longer; 16 digits are below 10^16, not all of them below
 * 2^53: only those are, divided by a power of ten up to 10^16, rounded once (W. Clinger, 1990).
 */
#include "lineproto_quick.h"

#include <string.h>

enum { WORD = 8, DIGITS_MAX = 16, TIME_DIGITS_MAX = 19 };

#define EXACT_MAX (UINT64_C(1) << 53)

static const double powers[DIGITS_MAX + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
    1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16};

static const uint32_t shifts[WORD + 1] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
    100000000};

/* Up to eight bytes at p, the first one lowest; what lies behind the end is no digit. */
static inline uint64_t
load(const char *p, const char *end)
{
	uint64_t word = 0;
	if (end - p >= WORD)
		memcpy(&word, p, WORD);
	else
		memcpy(&word, p, (size_t)(end - p));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

/* Appends the digits at p, at most eight, to *value: how many. */
static inline unsigned
take_digits(const char *p, const char *end, uint64_t *value)
{
	uint64_t word = load(p, end) ^ UINT64_C(0x3030303030303030);
	/* The lowest byte above 9 has its high bit here; those above it may be wrong. */
	uint64_t other = (word | (word + UINT64_C(0x7676767676767676))) &
	    UINT64_C(0x8080808080808080);
	unsigned count = other ? (unsigned)__builtin_ctzll(other) / 8 : WORD;
	if (count == 0)
		return 0;
	word <<= 8 * (WORD - count);
	/* Bytes to pairs, to fours, to all eight. */
	word = word * 10 + (word >> 8);
	uint64_t low = word & UINT64_C(0x000000ff000000ff);
	uint64_t high = word >> 16 & UINT64_C(0x000000ff000000ff);
	word = low * UINT64_C(0x000f424000000064) + high * UINT64_C(0x0000271000000001);
	*value = *value * shifts[count] + (word >> 32);
	return count;
}

/* All digits at p, at most 24 of them. */
static inline unsigned
take_run(const char *p, const char *end, uint64_t *value)
{
	unsigned count = take_digits(p, end, value);
	if (count == WORD)
		count += take_digits(p + WORD, end, value);
	if (count == 2 * WORD)
		count += take_digits(p + 2 * WORD, end, value);
	return count;
}

bool
lp_quick_number(const char **at, const char *end, double *ret_number)
{
	const char *p = *at;
	bool negative = p < end && *p == '-';
	uint64_t mantissa = 0;
	p += negative;
	unsigned whole = take_run(p, end, &mantissa), fraction = 0;
	p += whole;
	if (p < end && *p == '.') {
		fraction = take_run(p + 1, end, &mantissa);
		p += 1 + fraction;
	} else if (p < end && *p == 'i') {
		if (whole == 0)
			return false;
		p++;
	}
	unsigned count = whole + fraction;
	if (count == 0 || count > DIGITS_MAX || mantissa > EXACT_MAX)
		return false;
	double magnitude = (double)mantissa;
	if (fraction)
		magnitude /= powers[fraction];
	*ret_number = negative ? -magnitude : magnitude;
	*at = p;
	return true;
}

bool
lp_quick_time(const char **at, const char *end, int64_t *ret_time)
{
	const char *p = *at;
	bool negative = p < end && *p == '-';
	uint64_t magnitude = 0;
	p += negative;
	unsigned count = take_run(p, end, &magnitude);
	if (count == 0 || count > TIME_DIGITS_MAX || magnitude > INT64_MAX)
		return false;
	*ret_time = negative ? -(int64_t)magnitude : (int64_t)magnitude;
	*at = p + count;
	return true;
}

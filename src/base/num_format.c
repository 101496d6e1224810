/*
 * num_format.c: numbers as text: every number of an answer goes through here.
 *
 * Digits are made eight at a time, side by side in one word, and stay in registers until they are
 * stored: a point is put between two stores of the same digits.
 *
 * Doubles: a sensor's 21.4 is an integer of few digits over a power of ten; if it gives
 * the value back its digits, without zeros at the end, are the shortest text, since up to 15 digits
 * no two texts read as the same double. A value of common size that has more, as averages have, is
 * scaled and compared exactly in 128 bits. What is left tries other powers, then printf's 15, 16
 * and 17 digits.
 */
#include <endian.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "num.h"
#include "num_priv.h"

enum {
	DIGITS_EXACT_MAX = 15, /* every decimal of so many digits survives a double */
	DIGITS_MAX = 17,       /* so many tell any two doubles apart */
	POWER_FEW = 4,         /* decimals tried before all else */
	POINT_LOW = -6,        /* 10^POINT_LOW .. 10^POINT_HIGH are written without exponent */
	POINT_HIGH = 21,
};

#define EIGHT_DIGITS ((uint64_t)NUM_EIGHT_DIGITS)
#define SIXTEEN_DIGITS UINT64_C(10000000000000000)
#define ASCII_ZEROS UINT64_C(0x3030303030303030)

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* ── integers ── */

/* The eight digits of a value below 10^8, the first in the lowest byte: halves, then quarters,
 * then single digits, each step for all of them at once. */
static inline uint64_t
eight_digits(uint64_t value)
{
	uint64_t fours = value / 10000 | value % 10000 << 32;
	uint64_t hundreds = (fours * 10486 >> 20) & UINT64_C(0x0000007f0000007f);
	uint64_t twos = hundreds | (fours - hundreds * 100) << 16;
	uint64_t tens = (twos * 103 >> 10) & UINT64_C(0x000f000f000f000f);
	return tens | (twos - tens * 10) << 8;
}

static inline void
store64(char *text, uint64_t word)
{
	word = htole64(word);
	memcpy(text, &word, sizeof(word));
}

/* The `len` lowest bytes, and no more; len < 8. */
static inline void
store_some(char *text, uint64_t word, size_t len)
{
	if (len & 4) {
		uint32_t four = htole32((uint32_t)word);
		memcpy(text, &four, sizeof(four));
		text += 4;
		word >>= 32;
	}
	if (len & 2) {
		uint16_t two = htole16((uint16_t)word);
		memcpy(text, &two, sizeof(two));
		text += 2;
		word >>= 16;
	}
	if (len & 1)
		*text = (char)word;
}

size_t
num_format_u64(char *text, uint64_t value)
{
	if (value >= EIGHT_DIGITS) {
		size_t len = num_format_u64(text, value / EIGHT_DIGITS);
		store64(text + len, eight_digits(value % EIGHT_DIGITS) | ASCII_ZEROS);
		return len + 8;
	}
	uint64_t digits = eight_digits(value);
	/* The last digit counts even if it is zero. */
	unsigned zeros = (unsigned)__builtin_ctzll(digits | UINT64_C(1) << 56) / 8;
	digits = (digits | ASCII_ZEROS) >> zeros * 8;
	if (zeros == 0)
		store64(text, digits);
	else
		store_some(text, digits, 8 - zeros);
	return 8 - zeros;
}

void
num_format_eight(char *text, uint32_t value)
{
	store64(text, eight_digits(value) | ASCII_ZEROS);
}

size_t
num_format_i64(char *text, int64_t value)
{
	if (value >= 0)
		return num_format_u64(text, (uint64_t)value);
	text[0] = '-';
	return 1 + num_format_u64(text + 1, 0 - (uint64_t)value);
}

/* ── decimals ── */

/* Writes digits * 10^exponent. `digits` neither begins nor ends with zero. */
static size_t
write_decimal(char *text, const char *digits, size_t count, int exponent)
{
	size_t len = 0;
	int point = (int)count + exponent; /* digits before the point */
	if (point > POINT_HIGH || point <= POINT_LOW) {
		text[len++] = digits[0];
		if (count > 1) {
			text[len++] = '.';
			memcpy(text + len, digits + 1, count - 1);
			len += count - 1;
		}
		text[len++] = 'e';
		return len + num_format_i64(text + len, point - 1);
	}
	if (point <= 0) {
		memcpy(text, "0.00000", 7);
		len = 2 + (size_t)-point;
		memcpy(text + len, digits, count);
		return len + count;
	}
	if (exponent >= 0) {
		memcpy(text, digits, count);
		memset(text + count, '0', (size_t)exponent);
		return count + (size_t)exponent;
	}
	memcpy(text, digits, (size_t)point);
	text[point] = '.';
	memcpy(text + point + 1, digits + point, count - (size_t)point);
	return count + 1;
}

/* `digits`, the first in the lowest byte and nothing but zeros behind the last, with a point before
 * the digit number `point`. Stores up to 9 bytes beyond what it counts. */
static inline size_t
write_short(char *text, uint64_t digits, size_t count, size_t point)
{
	store64(text, digits);
	store64(text + point + 1, digits >> point * 8);
	text[point] = '.';
	return count + 1;
}

/* The same of up to 16 digits. */
static inline size_t
write_long(char *text, uint128 digits, size_t count, size_t point)
{
	uint128 rest = digits >> point * 8;
	store64(text, (uint64_t)digits);
	store64(text + 8, (uint64_t)(digits >> 64));
	store64(text + point + 1, (uint64_t)rest);
	if (point < 8)
		store64(text + point + 9, (uint64_t)(rest >> 64));
	text[point] = '.';
	return count + 1;
}

static inline unsigned
zeros_before(uint64_t first, uint64_t second)
{
	return (unsigned)(first ? __builtin_ctzll(first) : 64 + __builtin_ctzll(second)) / 8;
}

static inline unsigned
zeros_behind(uint64_t first, uint64_t second)
{
	return (unsigned)(second ? __builtin_clzll(second) : 64 + __builtin_clzll(first)) / 8;
}

/* whole / 10^power of any kind, digit by digit. */
static size_t
write_scaled(char *text, uint64_t whole, int power)
{
	char digits[NUM_TEXT_BYTES_MAX];
	size_t count = num_format_u64(digits, whole);
	for (; digits[count - 1] == '0'; count--)
		power--;
	return write_decimal(text, digits, count, -power);
}

/* Writes "0." and as many zeros (up to 5); the place behind them. */
static inline char *
write_zeros(char *text, int zeros)
{
	memcpy(text, "0.000000", 8);
	return text + 2 + zeros;
}

/* whole / 10^power, which is no integer, whole < 10^8, power < 7. */
static inline size_t
write_fraction_short(char *text, uint64_t whole, int power)
{
	uint64_t digits = eight_digits(whole);
	unsigned zeros = (unsigned)__builtin_ctzll(digits) / 8;
	size_t count = 8 - zeros - (unsigned)__builtin_clzll(digits) / 8;
	int point = 8 - (int)zeros - power;
	digits = (digits | ASCII_ZEROS) >> zeros * 8;
	if (point > 0)
		return write_short(text, digits, count, (size_t)point);
	char *at = write_zeros(text, -point);
	store64(at, digits);
	return (size_t)(at - text) + count;
}

/* whole / 10^power, which is no integer and above 0; whole < 10^17. */
static size_t
write_fraction(char *text, uint64_t whole, int power)
{
	size_t lead = whole >= SIXTEEN_DIGITS;
	uint64_t low = lead ? whole % SIXTEEN_DIGITS : whole;
	uint64_t first = eight_digits(low / EIGHT_DIGITS);
	uint64_t second = eight_digits(low % EIGHT_DIGITS);
	unsigned before = lead ? 0 : zeros_before(first, second);
	size_t count = 16 - before;      /* behind the leading one */
	int point = (int)count - power;
	if (point + (int)lead <= POINT_LOW || low == 0)
		return write_scaled(text, whole, power);
	uint128 digits = (uint128)(second | ASCII_ZEROS) << 64 | (first | ASCII_ZEROS);
	digits >>= before * 8;
	count -= zeros_behind(first, second);
	char *at = text;
	if (point + (int)lead <= 0)
		at = write_zeros(text, -point - (int)lead);
	if (lead)
		*at++ = (char)('0' + whole / SIXTEEN_DIGITS);
	if (point + (int)lead > 0)
		return lead + write_long(at, digits, count, (size_t)point);
	store64(at, (uint64_t)digits);
	store64(at + 8, (uint64_t)(digits >> 64));
	return (size_t)(at - text) + count;
}

/* ── doubles ── */

/* The shortest text of a value that is a decimal of at most 15 digits, up to POWER_FEW of them
 * behind the point; 0: it is none. Where it has fewer, zeros at the end are not written. */
static inline size_t
format_few(char *text, double value)
{
	double scaled = value * num_powers[POWER_FEW] + 0.5;
	if (scaled >= num_powers[DIGITS_EXACT_MAX])
		return 0;
	int64_t whole = (int64_t)scaled;
	if ((double)whole / num_powers[POWER_FEW] != value)
		return 0;
	return whole < NUM_EIGHT_DIGITS ? write_fraction_short(text, (uint64_t)whole, POWER_FEW) :
					  write_fraction(text, (uint64_t)whole, POWER_FEW);
}

/* The same for any number of decimals. */
static size_t
format_exact(char *text, double value)
{
	for (int power = 1; power <= NUM_POWER_MAX; power++) {
		double scaled = value * num_powers[power] + 0.5;
		if (scaled >= num_powers[DIGITS_EXACT_MAX])
			return 0;
		int64_t whole = (int64_t)scaled;
		if ((double)whole / num_powers[power] == value)
			return write_fraction(text, (uint64_t)whole, power);
	}
	return 0;
}

/* A double times 10^power and half its rounding interval, exactly: wholes, and rests of which
 * 2^shift are a whole. The decimals that read back as the double are those whose distance from it
 * is less than the half, or equal when it is inclusive. */
struct scaled {
	uint64_t whole, rest;
	uint64_t half_whole, half_rest;
	int shift; /* 1 … 63 */
	bool inclusive;
};

/* The multiple of `step`, which is even, next to the value; whether it reads back. */
static inline bool
nearest_within(const struct scaled *s, uint64_t step, uint64_t *ret_decimal)
{
	uint64_t over = s->whole % step, rest = s->rest;
	uint64_t below = s->whole - over;
	bool up = over > step / 2 || (over == step / 2 && rest > 0);
	*ret_decimal = up ? below + step : below;
	if (up) {
		over = step - over - (rest > 0);
		rest = rest > 0 ? (UINT64_C(1) << s->shift) - rest : 0;
	}
	return over < s->half_whole || (over == s->half_whole &&
	    (rest < s->half_rest || (rest == s->half_rest && s->inclusive)));
}

/* Of the decimals that read back the one with the fewest digits. */
static inline uint64_t
shortest_within(const struct scaled *s)
{
	uint64_t decimal, over = s->whole % 100;
	/* Mostly there is no multiple of a hundred near. */
	if ((over <= s->half_whole || 99 - over <= s->half_whole) &&
	    nearest_within(s, 100, &decimal))
		return decimal;
	if (nearest_within(s, 10, &decimal))
		return decimal;
	return s->whole + (s->rest > UINT64_C(1) << (s->shift - 1));
}

/* The shortest text of a value between 1e-10 and 1e15 that no power of two is; 0: it is not so. */
static size_t
format_by_scaling(char *text, double value)
{
	const int kept = DBL_MANT_DIG - 1;
	uint64_t bits, fraction;
	memcpy(&bits, &value, sizeof(bits));
	fraction = bits & ((UINT64_C(1) << kept) - 1);
	if (value < 1e-10 || value >= 1e15 || fraction == 0)
		return 0;
	uint64_t mantissa = fraction | UINT64_C(1) << kept;
	int exponent = (int)(bits >> kept) - (DBL_MAX_EXP - 1) - kept;

	/* Digits before the point, perhaps one too few: then 18 are made and power goes down. */
	int point = ((exponent + kept) * 1233 >> 12) + 1;
	int power = DIGITS_MAX - point;
	struct scaled s = {.inclusive = mantissa % 2 == 0};
	uint128 centre, whole;
	for (;; power--) {
		s.shift = 1 - exponent - power;
		centre = (uint128)(2 * mantissa) * num_fives[power];
		whole = centre >> s.shift;
		if (whole < 10 * SIXTEEN_DIGITS)
			break;
	}
	uint64_t rest_mask = (UINT64_C(1) << s.shift) - 1;
	s.whole = (uint64_t)whole;
	s.rest = (uint64_t)centre & rest_mask;
	s.half_whole = num_fives[power] >> s.shift;
	s.half_rest = num_fives[power] & rest_mask;
	return write_fraction(text, shortest_within(&s), power);
}

/* printf's `count` digits and their exponent, whatever the locale's point is. */
static void
print_digits(char *digits, int *ret_exponent, double value, int count)
{
	char text[64];
	size_t len = 0;
	snprintf(text, sizeof(text), "%.*e", count - 1, value);
	const char *p = text;
	for (; *p != 'e'; p++) {
		if (is_digit(*p))
			digits[len++] = *p;
	}
	check(len == (size_t)count);
	*ret_exponent = atoi(p + 1) - (count - 1);
}

static bool
reads_back(const char *digits, int count, int exponent, double value)
{
	char text[64];
	snprintf(text, sizeof(text), "%.*se%d", count, digits, exponent);
	return strtod(text, NULL) == value;
}

/* The decimal of as many digits that is next above; false when that has a digit more. */
static bool
increment(char *digits, int count)
{
	int i = count - 1;
	while (i >= 0 && digits[i] == '9')
		digits[i--] = '0';
	if (i < 0)
		return false;
	digits[i]++;
	return true;
}

static size_t
format_by_printf(char *text, double value)
{
	char digits[DIGITS_MAX + 1];
	int exponent = 0;
	/* Subnormals have fewer digits of their own. */
	int count = value < DBL_MIN ? 1 : DIGITS_EXACT_MAX;
	for (; count < DIGITS_MAX; count++) {
		print_digits(digits, &exponent, value, count);
		if (reads_back(digits, count, exponent, value))
			break;
		/* Below a power of two doubles are denser: the nearest decimal may be a miss there
		 * while the next one above is a hit. */
		if (count == DIGITS_MAX - 1 && increment(digits, count) &&
		    reads_back(digits, count, exponent, value))
			break;
	}
	if (count == DIGITS_MAX)
		print_digits(digits, &exponent, value, count);
	for (; count > 1 && digits[count - 1] == '0'; count--)
		exponent++;
	return write_decimal(text, digits, (size_t)count, exponent);
}

/* Zero, and what is not finite. */
static size_t
format_special(char *text, double value)
{
	const char *word = isnan(value) ? "NaN" : signbit(value) ? "-Infinity" : "Infinity";
	if (value == 0)
		word = signbit(value) ? "-0.0" : "0";
	size_t len = strlen(word);
	memcpy(text, word, len);
	return len;
}

size_t
num_format_double(char *text, double value)
{
	size_t sign = value < 0;
	double magnitude = fabs(value);
	*text = '-';
	text += sign;
	if (!(magnitude > 0 && magnitude <= DBL_MAX))
		return format_special(text - sign, value);
	if (magnitude < num_powers[DIGITS_EXACT_MAX] && magnitude == (double)(int64_t)magnitude)
		return sign + num_format_u64(text, (uint64_t)magnitude);
	size_t len = format_few(text, magnitude);
	if (len == 0)
		len = format_by_scaling(text, magnitude);
	if (len == 0)
		len = format_exact(text, magnitude);
	return sign + (len ? len : format_by_printf(text, magnitude));
}

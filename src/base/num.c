/*
 * num.c: numbers from text; num_format.c writes them.
 *
 * Reading a double: its digits become an integer w and a power of ten e. When w < 2^53 and
 * |e| <= 22 both w and 10^|e| are exact doubles, so one multiplication or division rounds
 * correctly (W. Clinger, "How to read floating point numbers accurately", 1990). A longer w with a
 * small negative e is divided exactly in 128 bits. Otherwise strtod gets the digits without a
 * point, so neither the locale nor the length of the text matters.
 */
#include "num.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "num_priv.h"

enum {
	DIGITS_KEPT_MAX = 800, /* 767 digits and one more decide every rounding of a double */
	EXPONENT_MAX = 100000, /* beyond: zero or infinite whatever the digits kept */
};

const double num_powers[NUM_POWER_MAX + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
    1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

const uint64_t num_fives[NUM_FIVE_MAX + 1] = {UINT64_C(1), UINT64_C(5), UINT64_C(25),
    UINT64_C(125), UINT64_C(625), UINT64_C(3125), UINT64_C(15625), UINT64_C(78125),
    UINT64_C(390625), UINT64_C(1953125), UINT64_C(9765625), UINT64_C(48828125), UINT64_C(244140625),
    UINT64_C(1220703125), UINT64_C(6103515625), UINT64_C(30517578125), UINT64_C(152587890625),
    UINT64_C(762939453125), UINT64_C(3814697265625), UINT64_C(19073486328125),
    UINT64_C(95367431640625), UINT64_C(476837158203125), UINT64_C(2384185791015625),
    UINT64_C(11920928955078125), UINT64_C(59604644775390625), UINT64_C(298023223876953125),
    UINT64_C(1490116119384765625), UINT64_C(7450580596923828125)};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int
num_parse_u64(struct span text, uint64_t *ret_value)
{
	uint64_t value = 0;
	bool overflow = text.len > 20;
	if (text.len == 0)
		return -EINVAL;
	for (size_t i = 0; i < text.len; i++) {
		if (!is_digit(text.ptr[i]))
			return -EINVAL;
		overflow |= num_mul_overflows(value, UINT64_C(10), &value);
		overflow |= num_add_overflows(value, (uint64_t)(text.ptr[i] - '0'), &value);
	}
	if (overflow)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int
num_parse_i64(struct span text, int64_t *ret_value)
{
	uint64_t magnitude;
	bool negative = text.len > 0 && text.ptr[0] == '-';
	int error = num_parse_u64(negative ? span_skip(text, 1) : text, &magnitude);
	if (error)
		return error;
	if (magnitude > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	*ret_value = (int64_t)(negative ? 0 - magnitude : magnitude);
	return 0;
}

/* A decimal as read: its value is (digits kept) * 10^exponent. */
struct decimal {
	struct span digits; /* from the first significant digit on, perhaps with a point in it */
	uint64_t mantissa;  /* of the first 19 significant digits */
	size_t count;	    /* of significant digits */
	int64_t exponent;   /* of ten, for all the digits */
	bool negative;
};

/* Takes a run of digits at *at. The number of them. */
static size_t
read_digits(struct span text, size_t *at, struct decimal *d)
{
	size_t begin = *at;
	for (; *at < text.len && is_digit(text.ptr[*at]); ++*at) {
		unsigned digit = (unsigned)(text.ptr[*at] - '0');
		if (d->count == 0 && digit == 0)
			continue;
		if (d->count == 0)
			d->digits = span_skip(text, *at);
		if (d->count < 19)
			d->mantissa = d->mantissa * 10 + digit;
		d->count++;
	}
	return *at - begin;
}

/* What follows an 'e' or 'E' at *at. */
static int
read_exponent(struct span text, size_t *at, struct decimal *d)
{
	bool negative = false;
	if (*at < text.len && (text.ptr[*at] == '+' || text.ptr[*at] == '-'))
		negative = text.ptr[(*at)++] == '-';
	if (*at == text.len)
		return -EINVAL;
	int64_t exponent = 0;
	for (; *at < text.len && is_digit(text.ptr[*at]); ++*at)
		exponent = MIN(exponent * 10 + (text.ptr[*at] - '0'), INT64_C(1) << 40);
	d->exponent += negative ? -exponent : exponent;
	return 0;
}

static int
read_decimal(struct span text, struct decimal *d)
{
	size_t at = 0;
	*d = (struct decimal){0};
	if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+'))
		d->negative = text.ptr[at++] == '-';

	size_t first = at;
	size_t whole = read_digits(text, &at, d);
	if (whole > 1 && text.ptr[first] == '0')
		return -EINVAL;
	if (at < text.len && text.ptr[at] == '.') {
		at++;
		size_t fraction = read_digits(text, &at, d);
		if (fraction == 0)
			return -EINVAL;
		d->exponent = -(int64_t)fraction;
	} else if (whole == 0) {
		return -EINVAL;
	}
	if (at < text.len && (text.ptr[at] == 'e' || text.ptr[at] == 'E')) {
		at++;
		int error = read_exponent(text, &at, d);
		if (error)
			return error;
	}
	return at == text.len ? 0 : -EINVAL;
}

/* Whether the magnitude is exact by Clinger's argument. */
static bool
convert_fast(const struct decimal *d, double *ret_value)
{
	if (d->count > 19 || d->mantissa > UINT64_C(1) << 53)
		return false;
	if (d->mantissa == 0)
		*ret_value = 0;
	else if (d->exponent < -NUM_POWER_MAX || d->exponent > NUM_POWER_MAX)
		return false;
	else if (d->exponent < 0)
		*ret_value = (double)d->mantissa / num_powers[-d->exponent];
	else
		*ret_value = (double)d->mantissa * num_powers[d->exponent];
	return true;
}

/* The double nearest to `high` * 2^exponent, where `rest` says that a bit less than the lowest is
 * missing. The top bit of `high` is set; the result is a normal number. */
static double
round_binary(uint64_t high, bool rest, int exponent)
{
	uint64_t mantissa = high >> 11, below = high & 0x7ff;
	if (below > 0x400 || (below == 0x400 && (rest || mantissa & 1)))
		mantissa++;
	return ldexp((double)mantissa, exponent + 11);
}

/* A mantissa of up to 64 bits over a power of ten below 2^64: one exact division. */
static bool
convert_by_division(const struct decimal *d, double *ret_value)
{
	if (d->count > 19 || d->exponent >= 0 || d->exponent < -19 || d->mantissa == 0)
		return false;
	int power = (int)-d->exponent;
	uint64_t divisor = num_fives[power] << power;
	int shift = __builtin_clzll(d->mantissa);
	uint128 dividend = (uint128)(d->mantissa << shift) << 64;
	uint128 quotient = dividend / divisor; /* at least 2^63 */
	bool rest = quotient * divisor != dividend;

	uint64_t high = (uint64_t)(quotient >> 64);
	int extra = high ? 64 - __builtin_clzll(high) : 0;
	uint64_t top = (uint64_t)(quotient >> extra);
	rest |= ((uint128)top << extra) != quotient;
	*ret_value = round_binary(top, rest, extra - 64 - shift);
	return true;
}

static double
convert_slow(const struct decimal *d)
{
	char text[DIGITS_KEPT_MAX + 32];
	size_t len = 0, seen = 0;
	bool rest = false; /* whether a digit that does not fit is not zero */
	for (const char *p = d->digits.ptr; seen < d->count; p++) {
		if (*p == '.')
			continue;
		seen++;
		if (len < DIGITS_KEPT_MAX)
			text[len++] = *p;
		else
			rest |= *p != '0';
	}
	int64_t exponent = d->exponent + (int64_t)(seen - len);
	if (rest) {
		text[len++] = '1';
		exponent--;
	}
	exponent = MAX(MIN(exponent, EXPONENT_MAX), -EXPONENT_MAX);
	snprintf(text + len, sizeof(text) - len, "e%d", (int)exponent);
	return strtod(text, NULL);
}

int
num_parse_double(struct span text, double *ret_value)
{
	struct decimal d;
	double value;
	int error = read_decimal(text, &d);
	if (error)
		return error;
	if (!convert_fast(&d, &value) && !convert_by_division(&d, &value)) {
		int saved = errno;
		value = convert_slow(&d);
		errno = saved;
	}
	if (isinf(value))
		return -ERANGE;
	*ret_value = d.negative ? -value : value;
	return 0;
}

/* The power of two a unit stands for, or -1. */
static int
unit_shift(struct span unit)
{
	static const char letters[] = "kmgt";
	if (unit.len == 0 || span_eq_nocase(unit, SPAN("b")))
		return 0;
	const char *letter = strchr(letters, unit.ptr[0] | 0x20);
	if (!letter || !*letter)
		return -1;
	if (unit.len > 1 && !span_eq_nocase(span_skip(unit, 1), SPAN("ib")))
		return -1;
	return 10 * (int)(letter - letters + 1);
}

int
num_parse_bytes(struct span text, uint64_t *ret_bytes)
{
	size_t digits = 0;
	while (digits < text.len && is_digit(text.ptr[digits]))
		digits++;
	uint64_t value;
	int error = num_parse_u64(span_of(text.ptr, digits), &value);
	if (error)
		return error;
	struct span unit = span_skip(text, digits);
	if (unit.len > 1 && unit.ptr[0] == ' ')
		unit = span_skip(unit, 1);
	int shift = unit_shift(unit);
	if (shift < 0)
		return -EINVAL;
	if (num_mul_overflows(value, UINT64_C(1) << shift, &value))
		return -ERANGE;
	*ret_bytes = value;
	return 0;
}

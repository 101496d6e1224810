/*
 * num.c: numbers to and from text.
 *
 * Reading a double: its digits become an integer w and a power of ten e. When w < 2^53 and
 * |e| <= 22 both w and 10^|e| are exact doubles, so one multiplication or division rounds
 * correctly (W. Clinger, "How to read floating point numbers accurately", 1990). A longer w with a
 * small negative e is divided exactly in 128 bits. Otherwise strtod gets the digits without a
 * point, so neither the locale nor the length of the text matters.
 *
 * Writing: a sensor's 21.4 is an integer of few digits over a power of ten; the least such power
 * that gives the value back gives the shortest text, since up to 15 digits no two texts read as
 * the same double. A value of 16 or 17 digits, as averages are, and of common size is scaled and
 * compared exactly in 128 bits. What is left tries printf's 15, 16 and 17 digits.
 */
#include "num.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum {
	POWER_EXACT_MAX = 22,  /* 10^22 is the last power of ten that is a double */
	DIGITS_KEPT_MAX = 800, /* 767 digits and one more decide every rounding of a double */
	EXPONENT_MAX = 100000, /* beyond: zero or infinite whatever the digits kept */
	DIGITS_EXACT_MAX = 15, /* every decimal of so many digits survives a double */
	DIGITS_MAX = 17,       /* so many tell any two doubles apart */
	FIVE_EXACT_MAX = 27,   /* 5^27 is the last power of five below 2^64 */
	POINT_LOW = -6,	       /* 10^POINT_LOW .. 10^POINT_HIGH are written without exponent */
	POINT_HIGH = 21,
};

static const double powers[POWER_EXACT_MAX + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
    1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static const uint64_t fives[FIVE_EXACT_MAX + 1] = {UINT64_C(1), UINT64_C(5), UINT64_C(25),
    UINT64_C(125), UINT64_C(625), UINT64_C(3125), UINT64_C(15625), UINT64_C(78125),
    UINT64_C(390625), UINT64_C(1953125), UINT64_C(9765625), UINT64_C(48828125), UINT64_C(244140625),
    UINT64_C(1220703125), UINT64_C(6103515625), UINT64_C(30517578125), UINT64_C(152587890625),
    UINT64_C(762939453125), UINT64_C(3814697265625), UINT64_C(19073486328125),
    UINT64_C(95367431640625), UINT64_C(476837158203125), UINT64_C(2384185791015625),
    UINT64_C(11920928955078125), UINT64_C(59604644775390625), UINT64_C(298023223876953125),
    UINT64_C(1490116119384765625), UINT64_C(7450580596923828125)};

__extension__ typedef unsigned __int128 uint128;

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
	else if (d->exponent < -POWER_EXACT_MAX || d->exponent > POWER_EXACT_MAX)
		return false;
	else if (d->exponent < 0)
		*ret_value = (double)d->mantissa / powers[-d->exponent];
	else
		*ret_value = (double)d->mantissa * powers[d->exponent];
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
	uint64_t divisor = fives[power] << power;
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

/* Two digits at a time: every number of an answer goes through here. */
size_t
num_format_u64(char *text, uint64_t value)
{
	static const char pairs[] =
	    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
	    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
	    "8081828384858687888990919293949596979899";
	char reversed[20], *at = reversed + sizeof(reversed);
	for (; value >= 100; value /= 100) {
		at -= 2;
		memcpy(at, pairs + 2 * (value % 100), 2);
	}
	if (value >= 10) {
		at -= 2;
		memcpy(at, pairs + 2 * value, 2);
	} else {
		*--at = (char)('0' + value);
	}
	size_t len = (size_t)(reversed + sizeof(reversed) - at);
	memcpy(text, at, len);
	return len;
}

size_t
num_format_i64(char *text, int64_t value)
{
	if (value >= 0)
		return num_format_u64(text, (uint64_t)value);
	text[0] = '-';
	return 1 + num_format_u64(text + 1, 0 - (uint64_t)value);
}

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

/* The shortest text of a value that is a decimal of at most 15 digits; 0: it is none, or too
 * large or small for this way. */
static size_t
format_exact(char *text, double value)
{
	for (int power = 1; power <= POWER_EXACT_MAX; power++) {
		double scaled = value * powers[power] + 0.5;
		if (scaled >= powers[DIGITS_EXACT_MAX])
			return 0;
		int64_t whole = (int64_t)scaled;
		/* Most are not even near: then the division, which decides, is not needed. */
		double product = value * powers[power];
		if (fabs(product - (double)whole) > product * 0x1p-50 ||
		    (double)whole / powers[power] != value)
			continue;
		char digits[NUM_TEXT_BYTES_MAX];
		return write_decimal(text, digits, num_format_u64(digits, (uint64_t)whole), -power);
	}
	return 0;
}

/* A double times 10^power and its rounding interval, exactly: the decimals that read back as the
 * double are the n for which |n * 2^shift - centre| <= half (< when not inclusive). */
struct scaled {
	uint128 centre;
	uint64_t half;
	int shift;
	bool inclusive;
};

/* The multiple of `step` next to the centre, if it lies within the interval; else 0. */
static uint64_t
nearest_within(const struct scaled *s, uint64_t step)
{
	uint64_t below = (uint64_t)(s->centre >> s->shift) / step * step;
	uint64_t above = below + step;
	uint128 to_below = s->centre - ((uint128)below << s->shift);
	uint128 to_above = ((uint128)above << s->shift) - s->centre;
	uint128 distance = MIN(to_below, to_above);
	if (distance > s->half || (distance == s->half && !s->inclusive))
		return 0;
	return to_below <= to_above ? below : above;
}

/* The shortest text of a value between 1e-10 and 1e15 that no power of two is; 0: it is not so. */
static size_t
format_by_scaling(char *text, double value)
{
	int exponent;
	uint64_t mantissa = (uint64_t)ldexp(frexp(value, &exponent), DBL_MANT_DIG);
	if (value < 1e-10 || value >= 1e15 || mantissa == UINT64_C(1) << (DBL_MANT_DIG - 1))
		return 0;
	exponent -= DBL_MANT_DIG;

	/* Digits before the point, perhaps one too few: then 18 are made and power goes down. */
	int point = ((exponent + DBL_MANT_DIG - 1) * 1233 >> 12) + 1;
	int power = DIGITS_MAX - point;
	struct scaled s = {.inclusive = mantissa % 2 == 0};
	for (;; power--) {
		s.half = fives[power];
		s.centre = (uint128)(2 * mantissa) * s.half;
		s.shift = 1 - exponent - power;
		if (s.centre >> s.shift < UINT64_C(100000000000000000))
			break;
	}
	uint64_t decimal = 0;
	for (uint64_t step = 100; decimal == 0 && step > 0; step /= 10)
		decimal = nearest_within(&s, step);
	check(decimal > 0);
	for (; decimal % 10 == 0; decimal /= 10)
		power--;
	char digits[NUM_TEXT_BYTES_MAX];
	return write_decimal(text, digits, num_format_u64(digits, decimal), -power);
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

static size_t
format_special(char *text, const char *word)
{
	size_t len = strlen(word);
	memcpy(text, word, len);
	return len;
}

size_t
num_format_double(char *text, double value)
{
	if (isnan(value))
		return format_special(text, "NaN");
	if (isinf(value))
		return format_special(text, value < 0 ? "-Infinity" : "Infinity");
	if (value == 0)
		return format_special(text, signbit(value) ? "-0.0" : "0");

	size_t sign = value < 0;
	double magnitude = fabs(value);
	if (sign)
		*text++ = '-';
	if (magnitude < powers[DIGITS_EXACT_MAX] && magnitude == (double)(int64_t)magnitude)
		return sign + num_format_u64(text, (uint64_t)magnitude);
	size_t len = format_exact(text, magnitude);
	if (len == 0)
		len = format_by_scaling(text, magnitude);
	return sign + (len ? len : format_by_printf(text, magnitude));
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

/*
 * num.c: numbers to and from text.
 *
 * Reading a double: its digits become an integer w and a power of ten e. When w < 2^53 and
 * |e| <= 22 both w and 10^|e| are exact doubles, so one multiplication or division rounds
 * correctly (W. Clinger, "How to read floating point numbers accurately", 1990). Otherwise strtod
 * gets the digits without a point, so neither the locale nor the length of the text matters.
 *
 * Writing: a sensor's 21.4 is an integer of few digits over a power of ten; the least such power
 * that gives the value back gives the shortest text, since up to 15 digits no two texts read as
 * the same double. Otherwise printf's 15, 16 or 17 digits.
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
	POINT_LOW = -6,	       /* 10^POINT_LOW .. 10^POINT_HIGH are written without exponent */
	POINT_HIGH = 21,
};

static const double powers[POWER_EXACT_MAX + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
    1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

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
	if (!convert_fast(&d, &value)) {
		int saved = errno;
		value = convert_slow(&d);
		errno = saved;
	}
	if (isinf(value))
		return -ERANGE;
	*ret_value = d.negative ? -value : value;
	return 0;
}

size_t
num_format_u64(char *text, uint64_t value)
{
	char reversed[20];
	size_t len = 0;
	do {
		reversed[len++] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	for (size_t i = 0; i < len; i++)
		text[i] = reversed[len - 1 - i];
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
		if ((double)whole / powers[power] != value)
			continue;
		char digits[NUM_TEXT_BYTES_MAX];
		return write_decimal(text, digits, num_format_u64(digits, (uint64_t)whole), -power);
	}
	return 0;
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

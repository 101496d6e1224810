/*
 * lineproto_value.c: field values and timestamps of the line protocol.
 *
 * Short decimals, what sensors send, are read here: up to 19 digits fit an integer, and one below
 * 2^53 times or over a power of ten up to 10^22 is rounded once, so correctly (W. Clinger, 1990).
 * Others go to num_parse_double.
 */
#include <errno.h>
#include <string.h>

#include "lineproto_priv.h"
#include "num.h"
#include "scan.h"

enum {
	DIGITS_MAX = 19, /* so many always fit 64 bits */
	POWER_MAX = 22,
};

#define EXACT_MAX (UINT64_C(1) << 53)

static const double powers[POWER_MAX + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
    1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static int
refuse_value(const struct lineproto *parse, const char *at, const char *text)
{
	return lineproto_refuse(parse, at, "bad_field_value", text);
}

static inline bool
ends_value(const struct lineproto *parse, const char *p)
{
	return p == parse->end || *p == ',' || *p == ' ';
}

static const char *
value_end(const struct lineproto *parse, const char *p)
{
	while (!ends_value(parse, p))
		p++;
	return p;
}

/* ── numbers ── */

/* Eight digits at p, as a number; the caller knows that they are there. A 64-bit word holds them
 * as bytes, then as pairs, then as fours. */
static inline uint32_t
eight_digits(uint64_t word)
{
	word -= UINT64_C(0x3030303030303030);
	word = word * 10 + (word >> 8);
	uint64_t low = word & UINT64_C(0x000000ff000000ff);
	uint64_t high = word >> 16 & UINT64_C(0x000000ff000000ff);
	word = low * UINT64_C(0x000f424000000064) + high * UINT64_C(0x0000271000000001);
	return (uint32_t)(word >> 32);
}

static inline bool
are_eight_digits(uint64_t word)
{
	uint64_t above = word + UINT64_C(0x4646464646464646); /* over '9': the high bit */
	uint64_t below = word - UINT64_C(0x3030303030303030); /* under '0': the high bit */
	return ((word | above | below) & UINT64_C(0x8080808080808080)) == 0;
}

/* Adds the digits at p to *value, modulo 2^64. Behind them. */
static inline const char *
read_digits(const char *p, const char *end, uint64_t *value)
{
	uint64_t sum = *value;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint64_t word;
	while (end - p >= 8 && (memcpy(&word, p, sizeof(word)), are_eight_digits(word))) {
		sum = sum * 100000000 + eight_digits(word);
		p += 8;
	}
#endif
	for (; p < end && scan_is_digit(*p); p++)
		sum = sum * 10 + (uint64_t)(*p - '0');
	*value = sum;
	return p;
}

/* Any number that this file does not round itself; `begin` is its first digit or point. */
static int
convert_slowly(const struct lineproto *parse, const char *begin, const char *end,
    double *ret_magnitude)
{
	while (end - begin > 1 && begin[0] == '0' && scan_is_digit(begin[1]))
		begin++;
	size_t len = (size_t)(end - begin);
	if (len > 1 && begin[len - 1] == '.')
		len--;
	int error = num_parse_double(span_of(begin, len), ret_magnitude);
	if (error == -ERANGE)
		return refuse_value(parse, begin, "a number too large for a double");
	return error ? refuse_value(parse, begin, "not a number") : 0;
}

/* What follows an 'e' at *at; *ret_exponent is right within ±1000, beyond it only is beyond. */
static int
take_exponent(const struct lineproto *parse, const char **at, int *ret_exponent)
{
	const char *p = *at + 1;
	bool negative = p < parse->end && *p == '-';
	p += p < parse->end && (*p == '-' || *p == '+');
	const char *digits = p;
	int exponent = 0;
	for (; p < parse->end && scan_is_digit(*p); p++)
		exponent = exponent < 1000 ? exponent * 10 + (*p - '0') : exponent;
	if (p == digits)
		return refuse_value(parse, p, "a number without digits in its exponent");
	*ret_exponent = negative ? -exponent : exponent;
	*at = p;
	return 0;
}

/* An integer: its digits, as a number too when that fits, and behind them its mark, 'i' or 'u'. */
static inline int
take_integer(const struct lineproto *parse, struct span digits, uint64_t magnitude, char sign,
    struct lp_field *field)
{
	const char *mark = digits.ptr + digits.len;
	bool is_unsigned = *mark == 'u', negative = sign == '-';
	if (!ends_value(parse, mark + 1))
		return refuse_value(parse, mark, "not a number");
	if (is_unsigned && sign)
		return refuse_value(parse, digits.ptr, "an unsigned integer with a sign");
	int error = 0;
	if (digits.len > DIGITS_MAX) {
		while (digits.len > 1 && digits.ptr[0] == '0')
			digits = span_skip(digits, 1);
		error = num_parse_u64(digits, &magnitude);
	}
	uint64_t limit = is_unsigned ? UINT64_MAX : (uint64_t)INT64_MAX + negative;
	if (error || magnitude > limit)
		return refuse_value(parse, digits.ptr, "an integer too large for 64 bits");
	field->type = is_unsigned ? LP_UINT : LP_INT;
	field->number = negative ? -(double)magnitude : (double)magnitude;
	field->inexact = magnitude > EXACT_MAX;
	return 0;
}

static int
refuse_word(const struct lineproto *parse, const char *begin)
{
	static const char *const words[] = {"nan", "inf", "infinity"};
	const char *p = begin + (*begin == '-' || *begin == '+');
	struct span word = span_of(p, (size_t)(value_end(parse, p) - p));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (span_eq_nocase(word, span_str(words[i])))
			return refuse_value(parse, begin, "NaN and infinity are no values");
	}
	return refuse_value(parse, begin,
	    "a value that is neither a number, a boolean nor a string in quotes");
}

static inline int
take_number(const struct lineproto *parse, const char **at, struct lp_field *field)
{
	const char *begin = *at, *p = begin, *end = parse->end;
	char sign = *p == '-' || *p == '+' ? *p++ : '\0';
	uint64_t mantissa = 0;
	const char *whole = p;
	p = read_digits(p, end, &mantissa);
	ptrdiff_t count = p - whole;
	if (count > 0 && p < end && (*p == 'i' || *p == 'u')) {
		*at = p + 1;
		return take_integer(parse, span_of(whole, (size_t)count), mantissa, sign, field);
	}
	int exponent = 0, fraction = 0;
	if (p < end && *p == '.') {
		const char *point = p;
		p = read_digits(p + 1, end, &mantissa);
		ptrdiff_t digits = p - point - 1;
		count += digits;
		fraction = digits < 1000 ? (int)digits : 1000;
	}
	if (count == 0)
		return refuse_word(parse, begin);
	if (p < end && (*p == 'e' || *p == 'E') && take_exponent(parse, &p, &exponent))
		return -EBADMSG;
	if (!ends_value(parse, p))
		return refuse_value(parse, p, "a bad character in a number");
	exponent -= fraction;
	double magnitude;
	if (count > DIGITS_MAX || mantissa > EXACT_MAX || exponent > POWER_MAX ||
	    exponent < -POWER_MAX) {
		if (convert_slowly(parse, whole, p, &magnitude))
			return -EBADMSG;
	} else {
		magnitude = (double)mantissa;
		if (exponent < 0)
			magnitude /= powers[-exponent];
		else
			magnitude *= powers[exponent];
	}
	field->type = LP_FLOAT;
	field->number = sign == '-' ? -magnitude : magnitude;
	field->inexact = false;
	*at = p;
	return 0;
}

/* ── booleans and strings ── */

static bool
is_one_of(struct span text, struct span lower, struct span title, struct span upper)
{
	return span_eq(text, lower) || span_eq(text, title) || span_eq(text, upper);
}

static int
take_boolean(const struct lineproto *parse, const char **at, struct lp_field *field)
{
	const char *end = value_end(parse, *at);
	struct span text = span_of(*at, (size_t)(end - *at));
	bool value = (text.ptr[0] | 0x20) == 't';
	bool good = text.len == 1 ||
	    (value ? is_one_of(text, SPAN("true"), SPAN("True"), SPAN("TRUE")) :
	    is_one_of(text, SPAN("false"), SPAN("False"), SPAN("FALSE")));
	if (!good)
		return refuse_word(parse, *at);
	field->type = LP_BOOL;
	field->number = value;
	field->inexact = false;
	*at = end;
	return 0;
}

static const char *
scan_string(const char *p, const char *end)
{
	while (p < end && *p != '"' && *p != '\\')
		p++;
	return p;
}

/* A string at *at, its opening quote: \" and \\ are escapes. */
static int
take_string(const struct lineproto *parse, const char **at, struct lp_field *field)
{
	const char *begin = *at + 1, *end = parse->end;
	const char *p = scan_string(begin, end), *plain = begin;
	char *out = parse->scratch + (begin - parse->begin);
	size_t len = 0;
	while (p < end && *p == '\\') {
		bool escape = end - p > 1 && (p[1] == '"' || p[1] == '\\');
		/* What stands before the backslash, and that too when it is itself. */
		size_t piece = (size_t)(p - plain) + !escape;
		memcpy(out + len, plain, piece);
		len += piece;
		plain = p + 1;
		p = scan_string(p + (escape ? 2 : 1), end);
	}
	if (p == end)
		return refuse_value(parse, *at, "a string without its closing quote");
	field->string = span_of(begin, (size_t)(p - begin));
	if (plain != begin) {
		memcpy(out + len, plain, (size_t)(p - plain));
		field->string = span_of(out, len + (size_t)(p - plain));
	}
	field->type = LP_STRING;
	field->number = 0;
	field->inexact = false;
	*at = p + 1;
	return 0;
}

int
lineproto_take_value(const struct lineproto *parse, const char **at, struct lp_field *field)
{
	const char *p = *at;
	if (ends_value(parse, p))
		return refuse_value(parse, p, "a field without a value");
	field->column = (uint32_t)(p - parse->begin) + 1;
	field->string = span_of(NULL, 0);
	switch (*p) {
	case '"':
		return take_string(parse, at, field);
	case 't':
	case 'T':
	case 'f':
	case 'F':
		return take_boolean(parse, at, field);
	default:
		return take_number(parse, at, field);
	}
}

int
lineproto_take_time(const struct lineproto *parse, const char **at, int64_t *ret_time)
{
	bool negative = **at == '-';
	const char *begin = *at + negative;
	uint64_t magnitude = 0;
	const char *p = read_digits(begin, parse->end, &magnitude);
	if (p == begin)
		return lineproto_refuse(parse, p, "bad_timestamp", "the timestamp is no integer");
	while (p - begin > DIGITS_MAX && *begin == '0')
		begin++;
	if (p - begin > DIGITS_MAX || magnitude > (uint64_t)INT64_MAX + negative)
		return lineproto_refuse(parse, begin, "bad_timestamp",
		    "the timestamp does not fit 64 bits");
	*ret_time = (int64_t)(negative ? 0 - magnitude : magnitude);
	*at = p;
	return 0;
}

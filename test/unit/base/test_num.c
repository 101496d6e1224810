/* Numbers and text: grammar, rounding, shortest form, ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "num.h"

static uint64_t
next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void
assert_u64(const char *text, int error, uint64_t expected)
{
	uint64_t value = 77;
	assert_int_equal(num_parse_u64(span_str(text), &value), error);
	assert_true(value == (error ? 77 : expected));
}

static void
assert_i64(const char *text, int error, int64_t expected)
{
	int64_t value = 77;
	assert_int_equal(num_parse_i64(span_str(text), &value), error);
	assert_true(value == (error ? 77 : expected));
}

static void
unsigned_integers_are_read_to_their_limits(void **state)
{
	(void)state;
	assert_u64("0", 0, 0);
	assert_u64("007", 0, 7);
	assert_u64("18446744073709551615", 0, UINT64_MAX);
	assert_u64("00000000000000000001", 0, 1);
	assert_u64("18446744073709551616", -ERANGE, 0);
	assert_u64("99999999999999999999", -ERANGE, 0);
	assert_u64("000000000000000000001", -ERANGE, 0);
	assert_u64("", -EINVAL, 0);
	assert_u64("-1", -EINVAL, 0);
	assert_u64("+1", -EINVAL, 0);
	assert_u64(" 1", -EINVAL, 0);
	assert_u64("1 ", -EINVAL, 0);
	assert_u64("0x1", -EINVAL, 0);
	assert_u64("99999999999999999999999x", -EINVAL, 0);
	uint64_t value;
	assert_int_equal(num_parse_u64(span_of(NULL, 0), &value), -EINVAL);
	assert_int_equal(num_parse_u64(span_of("1\0", 2), &value), -EINVAL);
}

static void
signed_integers_are_read_to_their_limits(void **state)
{
	(void)state;
	assert_i64("0", 0, 0);
	assert_i64("-0", 0, 0);
	assert_i64("9223372036854775807", 0, INT64_MAX);
	assert_i64("-9223372036854775808", 0, INT64_MIN);
	assert_i64("9223372036854775808", -ERANGE, 0);
	assert_i64("-9223372036854775809", -ERANGE, 0);
	assert_i64("-18446744073709551616", -ERANGE, 0);
	assert_i64("-", -EINVAL, 0);
	assert_i64("--1", -EINVAL, 0);
	assert_i64("+1", -EINVAL, 0);
	assert_i64("", -EINVAL, 0);
}

static void
integers_are_written_to_their_limits(void **state)
{
	(void)state;
	char text[NUM_TEXT_BYTES_MAX];
	assert_int_equal(num_format_u64(text, UINT64_MAX), 20);
	assert_memory_equal(text, "18446744073709551615", 20);
	assert_int_equal(num_format_i64(text, INT64_MIN), 20);
	assert_memory_equal(text, "-9223372036854775808", 20);
	assert_int_equal(num_format_u64(text, 0), 1);
	assert_int_equal(text[0], '0');
	uint64_t seed = 9;
	for (int i = 0; i < 10000; i++) {
		int64_t value = (int64_t)(next_random(&seed) >> i % 64), again;
		size_t len = num_format_i64(text, value);
		assert_int_equal(num_parse_i64(span_of(text, len), &again), 0);
		assert_true(again == value);
	}
}

/* Digits are stored several at a time: never behind the last. */
static void
integers_of_every_length_end_where_they_say(void **state)
{
	(void)state;
	uint64_t value = 0;
	for (int digits = 1; digits <= 20; digits++) {
		for (int step = 0; step < 2; step++) {
			char text[NUM_TEXT_BYTES_MAX], expected[NUM_TEXT_BYTES_MAX];
			uint64_t number = step ? value * 10 : value * 10 + (uint64_t)(digits % 10);
			memset(text, '?', sizeof(text));
			size_t len = num_format_u64(text, number);
			snprintf(expected, sizeof(expected), "%" PRIu64, number);
			assert_int_equal(len, strlen(expected));
			assert_memory_equal(text, expected, len);
			for (size_t i = len; i < sizeof(text); i++)
				assert_int_equal(text[i], '?');
		}
		value = value * 10 + (uint64_t)(digits % 10);
	}
}

static void
assert_double(const char *text, int error, double expected)
{
	double value = 77;
	assert_int_equal(num_parse_double(span_str(text), &value), error);
	if (error)
		expected = 77;
	assert_memory_equal(&value, &expected, sizeof(value));
}

static void
doubles_follow_the_grammar(void **state)
{
	(void)state;
	static const char *const wrong[] = {"", "-", "+", ".", "-.", "e5", ".e5", "1e", "1e+",
	    "1e-", "01", "-00", "00.5", "1.", "1.e5", "1..2", "1.2.3", "+-1", "--1", "++1", " 1",
	    "1 ", "1e5.", "1e1e1", "0x10", "1_000", "1,5", "NaN", "nan", "Infinity", "-inf", "1f",
	    "1d", "1e 5"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_double(wrong[i], -EINVAL, 0);
	assert_double("0", 0, 0.0);
	assert_double("-0", 0, -0.0);
	assert_double("-0.0e99", 0, -0.0);
	assert_double("+1", 0, 1);
	assert_double(".5", 0, 0.5);
	assert_double("+.5", 0, 0.5);
	assert_double("-.5e1", 0, -5);
	assert_double("0.5", 0, 0.5);
	assert_double("21.4", 0, 21.4);
	assert_double("1E5", 0, 1e5);
	assert_double("1e+05", 0, 1e5);
	assert_double("1e-005", 0, 1e-5);
	assert_double("0e999999999999999999999999", 0, 0.0);
	assert_double("-40", 0, -40);
	double value;
	assert_int_equal(num_parse_double(span_of("1\0", 2), &value), -EINVAL);
	assert_int_equal(num_parse_double(span_of("12", 1), &value), 0);
	assert_true(value == 1);
}

static void
doubles_at_the_ends_of_the_range(void **state)
{
	(void)state;
	assert_double("1.7976931348623157e308", 0, DBL_MAX);
	assert_double("1.7976931348623158e308", 0, DBL_MAX);
	assert_double("1.7976931348623159e308", -ERANGE, 0);
	assert_double("-1e309", -ERANGE, 0);
	assert_double("1e99999999999999999999", -ERANGE, 0);
	assert_double("1e-99999999999999999999", 0, 0.0);
	assert_double("-1e-400", 0, -0.0);
	assert_double("4.9406564584124654e-324", 0, 0x1p-1074);
	assert_double("2.4703282292062327e-324", 0, 0.0);
	assert_double("2.4703282292062328e-324", 0, 0x1p-1074);
	assert_double("2.2250738585072014e-308", 0, DBL_MIN);
	assert_double("2.2250738585072011e-308", 0, 2.2250738585072011e-308);
}

static void
doubles_are_rounded_correctly_at_ties(void **state)
{
	(void)state;
	assert_double("9007199254740993", 0, 9007199254740992.0);
	assert_double(
	    "9007199254740993.00000000000000000000000000000000000001", 0, 9007199254740994.0);
	assert_double("9007199254740995", 0, 9007199254740996.0);
	assert_double("1e23", 0, 1e23);
	assert_double("8.5e22", 0, 8.5e22);
	assert_double("1000000000000000000000000000000000000000e-39", 0, 1);
}

/* A tie that only the last of 1,100 digits breaks. */
static void
every_digit_of_a_long_number_counts(void **state)
{
	(void)state;
	char text[1400];
	size_t len = (size_t)snprintf(text, sizeof(text), "9007199254740993.");
	memset(text + len, '0', 1100);
	len += 1100;
	double value;
	assert_int_equal(num_parse_double(span_of(text, len), &value), 0);
	assert_true(value == 9007199254740992.0);
	text[len - 1] = '1';
	assert_int_equal(num_parse_double(span_of(text, len), &value), 0);
	assert_true(value == 9007199254740994.0);

	memset(text, '0', sizeof(text));
	text[1] = '.';
	memcpy(text + 1301, "5e1300", 6);
	assert_int_equal(num_parse_double(span_of(text, 1307), &value), 0);
	assert_true(value == 5);
}

static void
random_decimals_are_read_as_strtod_reads_them(void **state)
{
	(void)state;
	uint64_t seed = 4711;
	for (int i = 0; i < 100000; i++) {
		char text[80];
		uint64_t digits = next_random(&seed) >> next_random(&seed) % 64;
		int exponent = (int)(next_random(&seed) % 60) - 35;
		unsigned point = (unsigned)(next_random(&seed) % 1000);
		if (i % 2)
			snprintf(
			    text, sizeof(text), "%llue%d", (unsigned long long)digits, exponent);
		else
			snprintf(
			    text, sizeof(text), "%llu.%03u", (unsigned long long)digits, point);
		assert_double(text, 0, strtod(text, NULL));
	}
}

static void
assert_written(double value, const char *expected)
{
	char text[NUM_TEXT_BYTES_MAX + 1];
	size_t len = num_format_double(text, value);
	text[len] = '\0';
	assert_string_equal(text, expected);
}

static void
doubles_are_written_short_and_plain(void **state)
{
	(void)state;
	assert_written(0.0, "0");
	assert_written(-0.0, "-0.0");
	assert_written(21.4, "21.4");
	assert_written(-21.4, "-21.4");
	assert_written(100, "100");
	assert_written(-1, "-1");
	assert_written(0.1, "0.1");
	assert_written(0.1 + 0.2, "0.30000000000000004");
	assert_written(1.0 / 3, "0.3333333333333333");
	assert_written((double)21.4f, "21.399999618530273");
	assert_written(1013.25, "1013.25");
	assert_written(0.000001, "0.000001");
	assert_written(0.00000125, "0.00000125");
	assert_written(1e-7, "1e-7");
	assert_written(1.5e-10, "1.5e-10");
	assert_written(999999999999999.0, "999999999999999");
	assert_written(9007199254740993.0, "9007199254740992");
	assert_written(1e15, "1000000000000000");
	assert_written(123456789012345680000.0, "123456789012345680000");
	assert_written(1e21, "1e21");
	assert_written(-1.25e21, "-1.25e21");
	assert_written(DBL_MAX, "1.7976931348623157e308");
	assert_written(DBL_MIN, "2.2250738585072014e-308");
	assert_written(0x1p-1074, "5e-324");
	assert_written(-0x1p-1074, "-5e-324");
	assert_written(0x1p-44, "5.684341886080802e-14");
	assert_written((double)NAN, "NaN");
	assert_written((double)INFINITY, "Infinity");
	assert_written((double)-INFINITY, "-Infinity");
}

/* Significant digits: without leading and trailing zeros. */
static int
count_digits(const char *text, size_t len)
{
	int count = 0, zeros = 0;
	for (size_t i = 0; i < len && text[i] != 'e'; i++) {
		if (text[i] < '0' || text[i] > '9' || (count == 0 && text[i] == '0'))
			continue;
		count++;
		zeros = text[i] == '0' ? zeros + 1 : 0;
	}
	return count - zeros;
}

static int
shortest_by_printf(double value)
{
	char text[64];
	for (int digits = 1; digits < 17; digits++) {
		snprintf(text, sizeof(text), "%.*e", digits - 1, value);
		if (strtod(text, NULL) == value)
			return digits;
	}
	return 17;
}

static void
assert_round_trip(double value, bool shortest)
{
	char text[NUM_TEXT_BYTES_MAX];
	double again = 0;
	size_t len = num_format_double(text, value);
	assert_in_range(len, 1, NUM_TEXT_BYTES_MAX);
	assert_int_equal(num_parse_double(span_of(text, len), &again), 0);
	assert_memory_equal(&again, &value, sizeof(value));
	if (shortest)
		assert_true(count_digits(text, len) <= shortest_by_printf(value));
}

static void
random_bit_patterns_come_back(void **state)
{
	(void)state;
	uint64_t seed = 20240101;
	for (int i = 0; i < 100000; i++) {
		uint64_t bits = next_random(&seed);
		double value;
		memcpy(&value, &bits, sizeof(value));
		if (isfinite(value))
			assert_round_trip(value, i % 10 == 0);
	}
}

static void
decimals_of_sensors_come_back(void **state)
{
	(void)state;
	uint64_t seed = 99;
	static const double scales[] = {1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e9, 1e12, 1e20};
	for (int i = 0; i < 100000; i++) {
		double whole =
		    (double)(int64_t)(next_random(&seed) >> (11 + next_random(&seed) % 50));
		assert_round_trip(whole / scales[i % 10], i % 10 == i / 10 % 10);
		assert_round_trip((double)(float)(whole / scales[i % 10]), false);
	}
}

/* Values of 16 and 17 digits between 2^-40 and 2^55, where formatting works in integers. */
static void
averages_of_sensors_come_back(void **state)
{
	(void)state;
	uint64_t seed = 5;
	for (int i = 0; i < 100000; i++) {
		double fraction = (double)(next_random(&seed) >> 11) * 0x1p-53;
		assert_round_trip(
		    ldexp(1 + fraction, (int)(next_random(&seed) % 96) - 40), i % 5 == 0);
	}
}

/* Short and long ones, with zeros behind the point and digits that end in zeros when scaled. */
static void
small_fractions_come_back(void **state)
{
	(void)state;
	uint64_t seed = 8;
	double power = 1;
	for (int zeros = 0; zeros < 14; zeros++, power *= 10) {
		assert_round_trip(1 / power, true);
		assert_round_trip(3 / power, true);
		assert_round_trip(-12345678 / power, true);
		for (int i = 0; i < 3000; i++) {
			uint64_t random = next_random(&seed) >> 11;
			assert_round_trip((double)random * 0x1p-53 / power, i % 5 == 0);
			assert_round_trip((double)(random % 1000000) / power, i % 5 == 0);
		}
	}
}

/* Between the shortest the nearest is written, as printf's rounding has it. */
static void
the_nearest_of_the_shortest_is_written(void **state)
{
	(void)state;
	uint64_t seed = 7;
	for (int i = 0; i < 30000; i++) {
		char text[NUM_TEXT_BYTES_MAX + 1], printed[64];
		double value = (double)(next_random(&seed) % 1000000) / (double)(1 + i % 997);
		size_t len = num_format_double(text, value);
		text[len] = '\0';
		int digits = MAX(count_digits(text, len), 1);
		snprintf(printed, sizeof(printed), "%.*e", digits - 1, value);
		assert_true(strtod(text, NULL) == strtod(printed, NULL));
		assert_true(fabsl(strtold(text, NULL) - strtold(printed, NULL)) <=
		    fabsl(strtold(text, NULL)) * 0x1p-60L);
	}
}

/* Halves and quarters of the last place: ties that 128 bits must see. */
static void
long_decimals_near_ties_are_read_as_strtod_reads_them(void **state)
{
	(void)state;
	uint64_t seed = 6;
	for (int i = 0; i < 50000; i++) {
		char text[80];
		uint64_t whole = (UINT64_C(1) << 53) + next_random(&seed) % (UINT64_C(1) << 53);
		const char *fraction[] = {"", ".0", ".5", ".00", ".50", ".25"};
		snprintf(
		    text, sizeof(text), "%llu%s", (unsigned long long)(whole | 1), fraction[i % 6]);
		assert_double(text, 0, strtod(text, NULL));
		snprintf(text, sizeof(text), "%llue-%d", (unsigned long long)whole, i % 21);
		assert_double(text, 0, strtod(text, NULL));
	}
}

static void
powers_of_two_and_their_neighbours_come_back(void **state)
{
	(void)state;
	for (int exponent = -1074; exponent < 1024; exponent++) {
		double value = ldexp(1, exponent);
		assert_round_trip(value, true);
		assert_round_trip(-nextafter(value, 0), true);
		assert_round_trip(nextafter(value, DBL_MAX), true);
	}
}

static void
assert_bytes(const char *text, int error, uint64_t expected)
{
	uint64_t value = 77;
	assert_int_equal(num_parse_bytes(span_str(text), &value), error);
	assert_true(value == (error ? 77 : expected));
}

static void
sizes_are_read_with_units(void **state)
{
	(void)state;
	assert_bytes("4096", 0, 4096);
	assert_bytes("0", 0, 0);
	assert_bytes("64k", 0, 65536);
	assert_bytes("64KiB", 0, 65536);
	assert_bytes("1 MiB", 0, 1 << 20);
	assert_bytes("2g", 0, UINT64_C(2) << 30);
	assert_bytes("3T", 0, UINT64_C(3) << 40);
	assert_bytes("7B", 0, 7);
	assert_bytes("16777215t", 0, UINT64_C(16777215) << 40);
	assert_bytes("16777216t", -ERANGE, 0);
	assert_bytes("99999999999999999999", -ERANGE, 0);
	assert_bytes("", -EINVAL, 0);
	assert_bytes("k", -EINVAL, 0);
	assert_bytes("-1", -EINVAL, 0);
	assert_bytes("1.5k", -EINVAL, 0);
	assert_bytes("1  k", -EINVAL, 0);
	assert_bytes("1 ", -EINVAL, 0);
	assert_bytes("1kb", -EINVAL, 0);
	assert_bytes("1kibi", -EINVAL, 0);
	assert_bytes("1x", -EINVAL, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(unsigned_integers_are_read_to_their_limits),
	    cmocka_unit_test(signed_integers_are_read_to_their_limits),
	    cmocka_unit_test(integers_are_written_to_their_limits),
	    cmocka_unit_test(integers_of_every_length_end_where_they_say),
	    cmocka_unit_test(doubles_follow_the_grammar),
	    cmocka_unit_test(doubles_at_the_ends_of_the_range),
	    cmocka_unit_test(doubles_are_rounded_correctly_at_ties),
	    cmocka_unit_test(every_digit_of_a_long_number_counts),
	    cmocka_unit_test(random_decimals_are_read_as_strtod_reads_them),
	    cmocka_unit_test(doubles_are_written_short_and_plain),
	    cmocka_unit_test(random_bit_patterns_come_back),
	    cmocka_unit_test(decimals_of_sensors_come_back),
	    cmocka_unit_test(averages_of_sensors_come_back),
	    cmocka_unit_test(small_fractions_come_back),
	    cmocka_unit_test(the_nearest_of_the_shortest_is_written),
	    cmocka_unit_test(long_decimals_near_ties_are_read_as_strtod_reads_them),
	    cmocka_unit_test(powers_of_two_and_their_neighbours_come_back),
	    cmocka_unit_test(sizes_are_read_with_units),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

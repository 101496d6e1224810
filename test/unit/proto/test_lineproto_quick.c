/*
 * Short numbers and times: what is taken means the same to the parser of lines, what is not is left
 * alone, and nothing behind the end is read. WEIR_SEED begins, WEIR_SEEDS says how many texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "buf.h"
#include "guard.h"
#include "lineproto.h"
#include "lineproto_quick.h"

static struct span
number_of(const char *text, double *ret_number)
{
	struct span all = span_str(text);
	const char *at = all.ptr;
	if (!lp_quick_number(&at, all.ptr + all.len, ret_number))
		return span_of(NULL, 0);
	return span_of(all.ptr, (size_t)(at - all.ptr));
}

static void
numbers_of_sensors_are_taken(void **state)
{
	static const struct {
		const char *text, *taken;
		double number;
	} cases[] = {
		{"23.4", "23.4", 23.4}, {"23.4 1700", "23.4", 23.4}, {"-0.5,b=1", "-0.5", -0.5},
		{"7", "7", 7}, {"80i ", "80i", 80}, {"1.", "1.", 1}, {".25", ".25", 0.25},
		{"00012.5", "00012.5", 12.5}, {"12345678", "12345678", 12345678},
		{"123456789", "123456789", 123456789},
		{"9007199254740992i", "9007199254740992i", 0x1p53},
		{"1234567.8901234", "1234567.8901234", 1234567.8901234}, {"1e5", "1", 1},
		{"5u", "5", 5}, {"1.5i", "1.5", 1.5}, {"3:", "3", 3}, {"3/", "3", 3},
		{"1\xb1", "1", 1}, {"0.0000000000000001", NULL, 0},
		{"9007199254740993", NULL, 0}, {"12345678901234567", NULL, 0}, {"", NULL, 0},
		{"-", NULL, 0}, {".", NULL, 0}, {"-i", NULL, 0}, {"+1", NULL, 0}, {"t", NULL, 0},
		{"\"x\"", NULL, 0}, {"1234567890123456789012345678", NULL, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		double number = -1;
		struct span taken = number_of(cases[i].text, &number);
		print_message("%s\n", cases[i].text);
		assert_int_equal(taken.len, cases[i].taken ? strlen(cases[i].taken) : 0);
		if (cases[i].taken)
			assert_memory_equal(&number, &cases[i].number, sizeof number);
	}
	double zero = number_of("-0", &zero).ptr ? zero : 1;
	assert_true(zero == 0 && __builtin_signbit(zero));
}

static uint32_t
roll(uint64_t *dice, uint32_t sides)
{
	*dice = *dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*dice >> 33) % sides;
}

static void
write_digits(uint64_t *dice, struct buf *out, uint32_t max)
{
	for (uint32_t n = roll(dice, max + 1); n > 0; n--)
		buf_append_byte(out, (char)('0' + roll(dice, 10)));
}

/* Something like a number, with a time behind it. */
static void
write_text(uint64_t *dice, struct buf *out)
{
	static const char odd[] = "i.eu-+,x\r";
	if (roll(dice, 3) == 0)
		buf_append_byte(out, '-');
	write_digits(dice, out, roll(dice, 3) ? 4 : 26);
	if (roll(dice, 2)) {
		buf_append_byte(out, '.');
		write_digits(dice, out, roll(dice, 3) ? 4 : 20);
	}
	if (roll(dice, 4) == 0)
		buf_append_byte(out, odd[roll(dice, sizeof odd - 1)]);
	if (roll(dice, 4) == 0)
		return;
	buf_append_byte(out, ' ');
	if (roll(dice, 4) == 0)
		buf_append_byte(out, '-');
	write_digits(dice, out, roll(dice, 3) ? 13 : 26);
}

/* The text as the value and time of a line, read in both ways. Whether quickly. */
static bool
check_text(struct guard *input, struct lp_line *line, struct span text)
{
	struct span at_end = guard_end(input, text);
	const char *at = at_end.ptr, *end = at + at_end.len;
	double number;
	int64_t time = 0;
	if (!lp_quick_number(&at, end, &number) || (at < end && *at != ' '))
		return false;
	if (at < end && (at++, !lp_quick_time(&at, end, &time) || at < end))
		return false;
	char copy[128], scratch[128];
	struct lp_error error;
	memcpy(copy, "m f=", 4);
	memcpy(copy + 4, text.ptr, text.len);
	assert_int_equal(lp_parse_line(span_of(copy, text.len + 4), scratch, line, &error), 0);
	assert_int_equal(line->field_count, 1);
	assert_false(line->fields[0].inexact);
	assert_memory_equal(&line->fields[0].number, &number, sizeof number);
	assert_int_equal(line->time, line->has_time ? time : line->time);
	return true;
}

static void
random_texts_mean_the_same_to_the_parser(void **state)
{
	const char *first = getenv("WEIR_SEED"), *count = getenv("WEIR_SEEDS");
	uint64_t seed = first ? strtoull(first, NULL, 0) : 1, taken = 0;
	uint64_t seeds = count ? strtoull(count, NULL, 0) : 200000;
	struct lp_line *line = malloc(sizeof *line);
	struct guard input;
	struct buf text;
	(void)state;
	assert_non_null(line);
	guard_init(&input, 128);
	buf_init(&text, 0);
	print_message("seeds %llu to %llu (WEIR_SEED, WEIR_SEEDS)\n", (unsigned long long)seed,
	    (unsigned long long)(seed + seeds - 1));
	for (uint64_t i = 0; i < seeds; i++) {
		uint64_t dice = seed + i;
		buf_clear(&text);
		write_text(&dice, &text);
		taken += check_text(&input, line, buf_span(&text));
	}
	assert_true(taken > seeds / 5 && taken < seeds);
	buf_finish(&text);
	guard_finish(&input);
	free(line);
}

static void
times_beyond_64_bits_are_not_taken(void **state)
{
	static const struct {
		const char *text;
		bool taken;
		int64_t time;
	} cases[] = {
		{"1700000000000", true, 1700000000000}, {"0", true, 0}, {"-5", true, -5},
		{"9223372036854775807", true, INT64_MAX}, {"9223372036854775808", false, 0},
		{"-9223372036854775808", false, 0}, {"18446744073709551617", false, 0},
		{"00000000000000000001", false, 0}, {"", false, 0}, {"-", false, 0},
		{"x", false, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct span text = span_str(cases[i].text);
		const char *at = text.ptr;
		int64_t time = 0;
		assert_int_equal(lp_quick_time(&at, text.ptr + text.len, &time), cases[i].taken);
		assert_int_equal(time, cases[i].time);
		assert_ptr_equal(at, text.ptr + (cases[i].taken ? text.len : 0));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_sensors_are_taken),
		cmocka_unit_test(random_texts_mean_the_same_to_the_parser),
		cmocka_unit_test(times_beyond_64_bits_are_not_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

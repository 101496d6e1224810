/* Times and durations: forms, calendar, ranges, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "datetime.h"

#define NOW INT64_C(1700000000000)

static void
assert_time(const char *text, int error, int64_t expected)
{
	int64_t ms = 77;
	int returned = datetime_parse(span_str(text), NOW, &ms);
	if (returned != error)
		print_error("%s: %d\n", text, returned);
	assert_int_equal(returned, error);
	assert_true(ms == (error ? 77 : expected));
}

static void
times_are_read_in_every_form(void **state)
{
	(void)state;
	assert_time("1700000000000", 0, NOW);
	assert_time("0", 0, 0);
	assert_time("-1", 0, -1);
	assert_time("2023-11-14T22:13:20Z", 0, NOW);
	assert_time("2023-11-14t22:13:20z", 0, NOW);
	assert_time("2023-11-14 22:13:20Z", 0, NOW);
	assert_time("2023-11-14T23:13:20+01:00", 0, NOW);
	assert_time("2023-11-14T16:43:20-05:30", 0, NOW);
	assert_time("2023-11-14T22:13:20.1Z", 0, NOW + 100);
	assert_time("2023-11-14T22:13:20.123999999999Z", 0, NOW + 123);
	assert_time("2023-11-14T22:13:20.0005Z", 0, NOW);
	assert_time("now", 0, NOW);
	assert_time("-15m", 0, NOW - 15 * 60000);
	assert_time("-1h", 0, NOW - 3600000);
	assert_time("-7d", 0, NOW - 7 * 86400000LL);
	assert_time("-2w", 0, NOW - 14 * 86400000LL);
	assert_time("-250ms", 0, NOW - 250);
	assert_time("-1h30m", 0, NOW - 5400000);
	assert_time("+10s", 0, NOW + 10000);
	assert_time("now-1h", 0, NOW - 3600000);
	assert_time("now+1s", 0, NOW + 1000);
}

static void
calendar_has_its_corners(void **state)
{
	(void)state;
	assert_time("1970-01-01T00:00:00Z", 0, 0);
	assert_time("1969-12-31T23:59:59.999Z", 0, -1);
	assert_time("1969-12-31T23:59:59.9999Z", 0, -1);
	assert_time("2000-02-29T00:00:00Z", 0, 951782400000);
	assert_time("2024-02-29T12:00:00Z", 0, 1709208000000);
	assert_time("0000-01-01T00:00:00Z", 0, -62167219200000);
	assert_time("0000-02-29T00:00:00Z", 0, -62167219200000 + 59 * 86400000LL);
	assert_time("9999-12-31T23:59:59.999Z", 0, 253402300799999);
	assert_time("2016-12-31T23:59:60Z", 0, 1483228800000);
	assert_time("2023-02-29T00:00:00Z", -EINVAL, 0);
	assert_time("1900-02-29T00:00:00Z", -EINVAL, 0);
	assert_time("2023-04-31T00:00:00Z", -EINVAL, 0);
	assert_time("2023-00-01T00:00:00Z", -EINVAL, 0);
	assert_time("2023-13-01T00:00:00Z", -EINVAL, 0);
	assert_time("2023-01-00T00:00:00Z", -EINVAL, 0);
	assert_time("2023-01-01T24:00:00Z", -EINVAL, 0);
	assert_time("2023-01-01T00:60:00Z", -EINVAL, 0);
	assert_time("2023-01-01T00:00:61Z", -EINVAL, 0);
	assert_time("2023-01-01T00:00:00+24:00", -EINVAL, 0);
	assert_time("2023-01-01T00:00:00+00:60", -EINVAL, 0);
}

static void
other_texts_are_no_times(void **state)
{
	(void)state;
	static const char *const wrong[] = {"", " ", "-", "+", "now ", "nowx", "now-", "now1h",
	    "NOW", "h", "-h", "-1x", "-1h30", "15m", "1.5h", "-1.5h", "+15", "2023-11-14",
	    "2023-11-14T22:13:20", "2023-11-14T22:13Z", "2023-11-14T22:13:20.Z",
	    "2023-11-14T22:13:20+1", "2023-11-14T22:13:20+0100", "2023-11-14T22:13:20Zx",
	    "2023-1-14T22:13:20Z", "1e3", "1.0", "20231114T221320Z", "2023/11/14T22:13:20Z"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_time(wrong[i], -EINVAL, 0);
	int64_t ms;
	assert_int_equal(datetime_parse(span_of(NULL, 0), NOW, &ms), -EINVAL);
	assert_int_equal(datetime_parse(span_of("now\0", 4), NOW, &ms), -EINVAL);
	/* Cut anywhere, a time is none. */
	struct span text = SPAN("2023-11-14T22:13:20.123+01:00");
	for (size_t len = 5; len < text.len; len++)
		assert_int_equal(datetime_parse(span_of(text.ptr, len), NOW, &ms), -EINVAL);
}

static void
times_out_of_range_are_told(void **state)
{
	(void)state;
	int64_t ms;
	assert_time("9223372036854775807", 0, INT64_MAX);
	assert_time("9223372036854775808", -ERANGE, 0);
	assert_time("-99999999999999999999d", -ERANGE, 0);
	assert_time("-9223372036854775807w", -ERANGE, 0);
	assert_int_equal(datetime_parse(SPAN("-1ms"), INT64_MIN, &ms), -ERANGE);
	assert_int_equal(datetime_parse(SPAN("now+1ms"), INT64_MAX, &ms), -ERANGE);
}

static void
assert_duration(const char *text, int error, int64_t expected)
{
	int64_t ms = 77;
	assert_int_equal(datetime_parse_duration(span_str(text), 1000, &ms), error);
	assert_true(ms == (error ? 77 : expected));
}

static void
durations_are_positive_sums_of_units(void **state)
{
	(void)state;
	assert_duration("500ms", 0, 500);
	assert_duration("5m", 0, 300000);
	assert_duration("1h30m", 0, 5400000);
	assert_duration("1d", 0, 86400000);
	assert_duration("2w", 0, 14 * 86400000LL);
	assert_duration("1m1ms", 0, 60001);
	assert_duration("30", 0, 30000);
	assert_duration("0", -EINVAL, 0);
	assert_duration("0s", -EINVAL, 0);
	assert_duration("0h1s", 0, 1000);
	assert_duration("", -EINVAL, 0);
	assert_duration("-5m", -EINVAL, 0);
	assert_duration("5", 0, 5000);
	assert_duration("5x", -EINVAL, 0);
	assert_duration("5m ", -EINVAL, 0);
	assert_duration("m", -EINVAL, 0);
	assert_duration("1h30", -EINVAL, 0);
	assert_duration("9223372036854775807", -ERANGE, 0);
	assert_duration("18446744073709551615", -ERANGE, 0);
	assert_duration("99999999999999999999w", -ERANGE, 0);
	assert_duration("15250284452w", 0, 15250284452 * 604800000);
	assert_duration("15250284453w", -ERANGE, 0);
	int64_t ms = 77;
	assert_int_equal(datetime_parse_duration(SPAN("5"), 0, &ms), -EINVAL);
	assert_int_equal(datetime_parse_duration(SPAN("5ms"), 0, &ms), 0);
	assert_int_equal(ms, 5);
}

static void
assert_formatted(int64_t ms, const char *expected)
{
	char text[DATETIME_TEXT_BYTES + 1];
	memset(text, '#', sizeof(text));
	datetime_format(text, ms);
	assert_int_equal(text[DATETIME_TEXT_BYTES], '#');
	assert_memory_equal(text, expected, DATETIME_TEXT_BYTES);
}

static void
times_are_written_and_clamped(void **state)
{
	(void)state;
	assert_formatted(NOW, "2023-11-14T22:13:20.000Z");
	assert_formatted(0, "1970-01-01T00:00:00.000Z");
	assert_formatted(-1, "1969-12-31T23:59:59.999Z");
	assert_formatted(-86400000, "1969-12-31T00:00:00.000Z");
	assert_formatted(951782400000, "2000-02-29T00:00:00.000Z");
	assert_formatted(253402300799999, "9999-12-31T23:59:59.999Z");
	assert_formatted(253402300800000, "9999-12-31T23:59:59.999Z");
	assert_formatted(INT64_MAX, "9999-12-31T23:59:59.999Z");
	assert_formatted(-62167219200000, "0000-01-01T00:00:00.000Z");
	assert_formatted(INT64_MIN, "0000-01-01T00:00:00.000Z");
}

/* Every day of 10,000 years there and back, and against the C library's calendar. */
static void
every_day_comes_back(void **state)
{
	(void)state;
	for (int64_t day = -719528; day < 2932897; day++) {
		char text[DATETIME_TEXT_BYTES], expected[64];
		int64_t ms = day * 86400000 + (day & 0xffffff), again = 0;
		datetime_format(text, ms);
		assert_int_equal(datetime_parse(span_of(text, sizeof(text)), 0, &again), 0);
		assert_true(again == ms);
		if (day % 97)
			continue;
		time_t seconds = day * 86400;
		struct tm tm;
		assert_non_null(gmtime_r(&seconds, &tm));
		snprintf(expected, sizeof(expected), "%04d-%02d-%02d", tm.tm_year + 1900,
		    tm.tm_mon + 1, tm.tm_mday);
		assert_memory_equal(text, expected, 10);
	}
}

static void
http_dates_go_both_ways(void **state)
{
	(void)state;
	char text[DATETIME_HTTP_BYTES + 1], expected[64];
	int64_t ms = 0;
	datetime_format_http(text, 784111777000);
	assert_memory_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT", DATETIME_HTTP_BYTES);
	for (int64_t seconds = -62167219200; seconds < 253402300800; seconds += 123456789) {
		time_t t = seconds;
		struct tm tm;
		assert_non_null(gmtime_r(&t, &tm));
		strftime(expected, sizeof(expected), "%a, %d %b ", &tm);
		size_t len = strlen(expected);
		snprintf(expected + len, sizeof(expected) - len, "%04d %02d:%02d:%02d GMT",
		    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
		datetime_format_http(text, seconds * 1000 + 999);
		assert_memory_equal(text, expected, DATETIME_HTTP_BYTES);
		assert_int_equal(datetime_parse_http(span_of(text, DATETIME_HTTP_BYTES), &ms), 0);
		assert_true(ms == seconds * 1000);
	}
}

static void
other_http_dates_are_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {
	    "",
	    "Sun, 06 Nov 1994 08:49:37 GM",
	    "Sun, 06 Nov 1994 08:49:37 UTC",
	    "Mon, 06 Nov 1994 08:49:37 GMT",
	    "Sun, 06 nov 1994 08:49:37 GMT",
	    "Sun, 06 Nov 1994 24:00:00 GMT",
	    "Sun, 06 Nov 1994 08:60:37 GMT",
	    "Fri, 31 Feb 1994 08:49:37 GMT",
	    "Sun, 00 Nov 1994 08:49:37 GMT",
	    "Sun, 6  Nov 1994 08:49:37 GMT",
	    "Sunday, 06-Nov-94 08:49:37 GM",
	    "Sun Nov  6 08:49:37 1994     ",
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int64_t ms = 77;
		assert_int_equal(datetime_parse_http(span_str(wrong[i]), &ms), -EINVAL);
		assert_int_equal(ms, 77);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(times_are_read_in_every_form),
	    cmocka_unit_test(calendar_has_its_corners),
	    cmocka_unit_test(other_texts_are_no_times),
	    cmocka_unit_test(times_out_of_range_are_told),
	    cmocka_unit_test(durations_are_positive_sums_of_units),
	    cmocka_unit_test(times_are_written_and_clamped),
	    cmocka_unit_test(every_day_comes_back),
	    cmocka_unit_test(http_dates_go_both_ways),
	    cmocka_unit_test(other_http_dates_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

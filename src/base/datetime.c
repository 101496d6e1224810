/*
 * datetime.c: times and durations as text.
 *
 * The calendar is the proleptic Gregorian one, counted in days from 1970-01-01 with years that
 * begin in March, so that the leap day is a year's last. Leap seconds do not exist: second 60 is
 * read as the first of the next minute.
 */
#include "datetime.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "num.h"

enum { SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS, HOUR_MS = 60 * MINUTE_MS };
#define DAY_MS INT64_C(86400000)

#define YEAR_0000_MS INT64_C(-62167219200000)
#define YEAR_9999_END_MS INT64_C(253402300799999)

struct unit {
	struct span name;
	int64_t ms;
};

/* Longer names first where one begins another. */
static const struct unit units[] = {
    {{"ms", 2}, 1},
    {{"s", 1}, SECOND_MS},
    {{"m", 1}, MINUTE_MS},
    {{"h", 1}, HOUR_MS},
    {{"d", 1}, DAY_MS},
    {{"w", 1}, 7 * DAY_MS},
};

static const char weekdays[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[][4] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct date {
	int year, month, day; /* month 1..12 */
};

/* Days from 1970-01-01; year >= 0. */
static int64_t
days_of(struct date date)
{
	int64_t year = date.month > 2 ? date.year : date.year - 1;
	int64_t month = (date.month + 9) % 12; /* from March */
	int64_t cycle = year >= 0 ? year / 400 : -1;
	int64_t year_in_cycle = year - cycle * 400;
	int64_t day_in_year = (153 * month + 2) / 5 + date.day - 1;
	int64_t day_in_cycle =
	    year_in_cycle * 365 + year_in_cycle / 4 - year_in_cycle / 100 + day_in_year;
	return cycle * 146097 + day_in_cycle - 719468;
}

/* The inverse, for days of the years 0..9999. */
static struct date
date_of(int64_t days)
{
	int64_t since = days + 719468 + 146097; /* from March of year -400: never negative */
	int64_t cycle = since / 146097;
	int64_t day = since % 146097;
	int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	int64_t day_in_year = day - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * day_in_year + 2) / 153;
	struct date date = {
	    .month = (int)(month < 10 ? month + 3 : month - 9),
	    .day = (int)(day_in_year - (153 * month + 2) / 5 + 1),
	};
	date.year = (int)(year + (cycle - 1) * 400) + (date.month <= 2);
	return date;
}

static int
days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return month == 2 && leap ? 29 : days[month - 1];
}

/* Exactly `count` digits at the front of *text, which they leave. False: they are not there. */
static bool
take_number(struct span *text, int count, int *ret_value)
{
	int value = 0;
	if (text->len < (size_t)count)
		return false;
	for (int i = 0; i < count; i++) {
		if (text->ptr[i] < '0' || text->ptr[i] > '9')
			return false;
		value = value * 10 + (text->ptr[i] - '0');
	}
	*text = span_skip(*text, (size_t)count);
	*ret_value = value;
	return true;
}

/* One byte of `set` at the front of *text. */
static bool
take_byte(struct span *text, const char *set)
{
	if (text->len == 0 || text->ptr[0] == '\0' || !strchr(set, text->ptr[0]))
		return false;
	*text = span_skip(*text, 1);
	return true;
}

/* ".123456": the milliseconds, floored. Absent: 0. */
static bool
take_fraction(struct span *text, int *ret_ms)
{
	int ms = 0, weight = 100, digit;
	if (take_byte(text, ".,")) {
		if (!take_number(text, 1, &digit))
			return false;
		do {
			ms += digit * weight;
			weight /= 10;
		} while (take_number(text, 1, &digit));
	}
	*ret_ms = ms;
	return true;
}

/* "Z" or "+01:00": milliseconds that local time is ahead. */
static bool
take_zone(struct span *text, int64_t *ret_ms)
{
	int hours, minutes;
	if (take_byte(text, "Zz")) {
		*ret_ms = 0;
		return true;
	}
	int sign = text->len > 0 && text->ptr[0] == '-' ? -1 : 1;
	if (!take_byte(text, "+-") || !take_number(text, 2, &hours) || !take_byte(text, ":") ||
	    !take_number(text, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret_ms = sign * (hours * (int64_t)HOUR_MS + minutes * MINUTE_MS);
	return true;
}

static int
parse_rfc3339(struct span text, int64_t *ret_ms)
{
	struct date date;
	int hour, minute, second, ms;
	int64_t ahead_ms;
	if (!take_number(&text, 4, &date.year) || !take_byte(&text, "-") ||
	    !take_number(&text, 2, &date.month) || !take_byte(&text, "-") ||
	    !take_number(&text, 2, &date.day) || !take_byte(&text, "Tt ") ||
	    !take_number(&text, 2, &hour) || !take_byte(&text, ":") ||
	    !take_number(&text, 2, &minute) || !take_byte(&text, ":") ||
	    !take_number(&text, 2, &second) || !take_fraction(&text, &ms) ||
	    !take_zone(&text, &ahead_ms) || text.len > 0)
		return -EINVAL;
	if (date.month < 1 || date.month > 12 || date.day < 1 ||
	    date.day > days_in_month(date.year, date.month) || hour > 23 || minute > 59 ||
	    second > 60)
		return -EINVAL;
	*ret_ms = days_of(date) * DAY_MS + hour * (int64_t)HOUR_MS + minute * MINUTE_MS +
		  second * SECOND_MS + ms - ahead_ms;
	return 0;
}

/* "15m", "1h30m" without sign; at least one part. */
static int
parse_parts(struct span text, int64_t *ret_ms)
{
	int64_t sum = 0;
	bool overflow = false;
	if (text.len == 0)
		return -EINVAL;
	while (text.len > 0) {
		int64_t count = 0;
		int digit, digits = 0;
		for (; take_number(&text, 1, &digit); digits++) {
			overflow |= num_mul_overflows(count, 10, &count);
			overflow |= num_add_overflows(count, digit, &count);
		}
		if (digits == 0)
			return -EINVAL;
		size_t i = 0;
		while (i < ARRAY_COUNT(units) && !span_starts(text, units[i].name))
			i++;
		if (i == ARRAY_COUNT(units))
			return -EINVAL;
		text = span_skip(text, units[i].name.len);
		overflow |= num_mul_overflows(count, units[i].ms, &count);
		overflow |= num_add_overflows(sum, count, &sum);
	}
	if (overflow)
		return -ERANGE;
	*ret_ms = sum;
	return 0;
}

/* "-15m" or "+15m", counted from now. */
static int
parse_relative(struct span text, int64_t now_ms, int64_t *ret_ms)
{
	int64_t distance_ms, ms;
	bool back = text.ptr[0] == '-';
	int error = parse_parts(span_skip(text, 1), &distance_ms);
	if (error)
		return error;
	bool overflow = back ? __builtin_sub_overflow(now_ms, distance_ms, &ms)
			     : num_add_overflows(now_ms, distance_ms, &ms);
	if (overflow)
		return -ERANGE;
	*ret_ms = ms;
	return 0;
}

int
datetime_parse(struct span text, int64_t now_ms, int64_t *ret_ms)
{
	if (span_eq(text, SPAN("now"))) {
		*ret_ms = now_ms;
		return 0;
	}
	if (span_starts(text, SPAN("now"))) {
		struct span rest = span_skip(text, 3);
		if (rest.ptr[0] != '-' && rest.ptr[0] != '+')
			return -EINVAL;
		return parse_relative(rest, now_ms, ret_ms);
	}
	int error = num_parse_i64(text, ret_ms);
	if (error != -EINVAL)
		return error;
	if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+'))
		return parse_relative(text, now_ms, ret_ms);
	return parse_rfc3339(text, ret_ms);
}

int
datetime_parse_duration(struct span text, int64_t bare_unit_ms, int64_t *ret_ms)
{
	uint64_t count;
	int64_t ms;
	check(bare_unit_ms >= 0);
	int error = num_parse_u64(text, &count);
	if (error == 0)
		error = num_mul_overflows(count, bare_unit_ms, &ms) ? -ERANGE : 0;
	else if (error == -EINVAL)
		error = parse_parts(text, &ms);
	if (error)
		return error;
	if (ms == 0)
		return -EINVAL;
	*ret_ms = ms;
	return 0;
}

static void
put_number(char *text, int count, int value)
{
	for (int i = count - 1; i >= 0; i--) {
		text[i] = (char)('0' + value % 10);
		value /= 10;
	}
}

/* Splits a time of the years 0..9999 into days and milliseconds of the day. */
static int64_t
split(int64_t ms, int *ret_ms_of_day)
{
	int64_t clamped = MAX(MIN(ms, YEAR_9999_END_MS), YEAR_0000_MS);
	int64_t days = (clamped - YEAR_0000_MS) / DAY_MS + YEAR_0000_MS / DAY_MS;
	*ret_ms_of_day = (int)(clamped - days * DAY_MS);
	return days;
}

/* "22:13:20" */
static void
put_clock(char *text, int ms_of_day)
{
	put_number(text, 2, ms_of_day / HOUR_MS);
	text[2] = ':';
	put_number(text + 3, 2, ms_of_day / MINUTE_MS % 60);
	text[5] = ':';
	put_number(text + 6, 2, ms_of_day / SECOND_MS % 60);
}

void
datetime_format(char *text, int64_t ms)
{
	int ms_of_day;
	struct date date = date_of(split(ms, &ms_of_day));
	put_number(text, 4, date.year);
	text[4] = '-';
	put_number(text + 5, 2, date.month);
	text[7] = '-';
	put_number(text + 8, 2, date.day);
	text[10] = 'T';
	put_clock(text + 11, ms_of_day);
	text[19] = '.';
	put_number(text + 20, 3, ms_of_day % SECOND_MS);
	text[23] = 'Z';
}

void
datetime_format_http(char *text, int64_t ms)
{
	int ms_of_day;
	int64_t days = split(ms, &ms_of_day);
	struct date date = date_of(days);
	/* 1970-01-01 was a Thursday. 400 years are whole weeks: seven times that, and no day is
	 * negative. */
	int64_t weekday = (days + 4 + INT64_C(146097) * 7) % 7;
	memcpy(text, weekdays[weekday], 3);
	memcpy(text + 3, ", ", 2);
	put_number(text + 5, 2, date.day);
	text[7] = ' ';
	memcpy(text + 8, months[date.month - 1], 3);
	text[11] = ' ';
	put_number(text + 12, 4, date.year);
	text[16] = ' ';
	put_clock(text + 17, ms_of_day);
	memcpy(text + 25, " GMT", 4);
}

int
datetime_parse_http(struct span text, int64_t *ret_ms)
{
	struct date date = {.month = 1};
	int hour, minute, second;
	if (text.len != DATETIME_HTTP_BYTES)
		return -EINVAL;
	while (date.month <= 12 && memcmp(text.ptr + 8, months[date.month - 1], 3) != 0)
		date.month++;
	struct span day = span_skip(text, 5), year = span_skip(text, 12);
	struct span clock = span_skip(text, 17);
	if (date.month > 12 || !take_number(&day, 2, &date.day) ||
	    !take_number(&year, 4, &date.year) || !take_number(&clock, 2, &hour) ||
	    !take_byte(&clock, ":") || !take_number(&clock, 2, &minute) ||
	    !take_byte(&clock, ":") || !take_number(&clock, 2, &second))
		return -EINVAL;
	int64_t ms = days_of(date) * DAY_MS + hour * (int64_t)HOUR_MS + minute * MINUTE_MS +
		     second * SECOND_MS;

	/* The one right spelling of this time settles the rest: spaces, weekday, ranges. */
	char again[DATETIME_HTTP_BYTES];
	datetime_format_http(again, ms);
	if (memcmp(again, text.ptr, sizeof(again)) != 0)
		return -EINVAL;
	*ret_ms = ms;
	return 0;
}

/*
 * weather.c: the hour of the year of a moment, and the way from that hour to the next.
 *
 * Days to civil dates as in H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", counting
 * years from March so that the leap day is the last one.
 */
#include "weather.h"

#include "check.h"
#include "climate.h"

#define HOUR_MS 3600000

/* Days of a common year from 1 January (0) for days since the epoch. */
static unsigned
day_of_year(int64_t days)
{
	int64_t from_march = days + 719468; /* since 1 March of the year 0 */
	int64_t day = from_march % 146097;  /* of a cycle of 400 years */
	int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	int64_t in_year = day - (365 * year + year / 4 - year / 100); /* 0: 1 March */
	if (in_year == 365)
		in_year = 364;
	return (unsigned)(in_year + 59) % 365;
}

static double
between(int from, int to, double share)
{
	return (from + (to - from) * share) / 10.0;
}

void
weather_at(int64_t time_ms, struct weather *ret_weather)
{
	check(time_ms >= 0);
	int64_t hours = time_ms / HOUR_MS, next = hours + 1;
	const struct climate_hour *a = &climate_hours[day_of_year(hours / 24) * 24 + hours % 24];
	const struct climate_hour *b = &climate_hours[day_of_year(next / 24) * 24 + next % 24];
	double share = (double)(time_ms % HOUR_MS) / HOUR_MS;
	ret_weather->temperature_c = between(a->temperature_c10, b->temperature_c10, share);
	ret_weather->pressure_hpa = between(a->pressure_hpa10, b->pressure_hpa10, share);
	ret_weather->wind_ms = between(a->wind_ms10, b->wind_ms10, share);
}

/*
 * weather.h: the weather at any moment, from a year of hourly values (climate.h).
 *
 * The year repeats; between two hours values go in a straight line; a leap year's 29 February is a
 * second 28 February. The hours are taken as UTC. Pure; any thread.
 */
#ifndef WEIR_WEATHER_H
#define WEIR_WEATHER_H

#include <stdint.h>

struct weather {
	double temperature_c;
	double pressure_hpa;
	double wind_ms;
};

/* Of a moment in milliseconds since the epoch, from 1970 on. */
void weather_at(int64_t time_ms, struct weather *ret_weather);

#endif

/*
 * climate.h: a year of weather, hour by hour.
 *
 * Hourly normals (dated 2010) of the NOAA station at Seattle-Tacoma, from the npm package
 * vega-datasets, made into C at build time by tools/embed.mjs. Hour 0 begins 1 January 00:00;
 * there is no 29 February. Constant.
 */
#ifndef WEIR_CLIMATE_H
#define WEIR_CLIMATE_H

#include <stdint.h>

#define CLIMATE_HOURS 8760

struct climate_hour {
	int16_t temperature_c10; /* tenths of a degree Celsius: 31..244 */
	int16_t pressure_hpa10;	 /* tenths of a hectopascal */
	int16_t wind_ms10;	 /* tenths of a metre a second */
};

extern const struct climate_hour climate_hours[CLIMATE_HOURS];

#endif

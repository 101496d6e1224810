/*
 * fleet.h: simulated gateways with their devices: a generator of reports, without I/O.
 *
 * Every fourth device is a weather station (temp, pressure, wind, batt) that replays climate.h
 * with a small offset of its site and the noise of its sensors; the others are refrigerators
 * (temp, door, compressor, batt; fridge.h). Each gateway asks its devices once an interval and then
 * reports. There is no humidity: the data has none to derive it from.
 *
 * Two clocks: the readings bear data time; the physics has a clock of its own that runs `speed_up`
 * times as fast. One thread. The same options give the same reports.
 */
#ifndef WEIR_FLEET_H
#define WEIR_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLEET_METRICS_MAX 4
#define FLEET_DEVICES_MAX 100000
#define FLEET_INTERVAL_MS_MIN 100
#define FLEET_DEVICE_FIRST 1001 /* devices are numbered from here */

struct fleet;

struct fleet_options {
	uint64_t seed;
	unsigned gateways;    /* 1..devices */
	unsigned devices;     /* 1..FLEET_DEVICES_MAX, all together */
	int64_t start_ms;     /* data time and, at first, physical time; >= 0 */
	unsigned interval_ms; /* >= FLEET_INTERVAL_MS_MIN */
	double speed_up;      /* of the physics, > 0 */
};

enum fleet_kind { FLEET_STATION, FLEET_FRIDGE };

/* "station", "fridge" */
const char *fleet_kind_name(enum fleet_kind kind);

struct fleet_metric {
	const char *name;
	double value; /* a whole number of tenths */
	bool integer;
};

struct fleet_reading {
	unsigned device;
	enum fleet_kind kind;
	int64_t time_ms; /* rises strictly for each device */
	size_t count;
	struct fleet_metric metrics[FLEET_METRICS_MAX];
};

struct fleet_report {
	unsigned gateway; /* from 0 */
	int64_t time_ms;  /* not before its readings; never falls */
	size_t count;
	const struct fleet_reading *readings;
};

/* 0, -EINVAL, -ENOMEM. */
int fleet_create(const struct fleet_options *options, struct fleet **ret_fleet);
void fleet_destroy(struct fleet *fleet); /* NULL allowed */

/* When the next report leaves its gateway. */
int64_t fleet_next_time(const struct fleet *fleet);

/* The next report; valid until the next call. */
const struct fleet_report *fleet_next(struct fleet *fleet);

/* Goes on from `from_ms` (not before the last report) at another pace. What would have come
 * before it is left out; the physics goes on where it was. */
void fleet_set_pace(struct fleet *fleet, int64_t from_ms, unsigned interval_ms, double speed_up);

#endif

/*
 * fleet.c: which gateway reports next, and what its devices measure.
 *
 * Gateway g's round n begins at from + n × interval + g's phase; device d is asked at its own place
 * in the first half of the round, give or take some milliseconds, and the report leaves in the
 * middle of the round: no reading is later than its report, and each device's times rise.
 * Every device has its own random numbers, so none depends on how many others there are.
 */
#include "fleet.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "fridge.h"
#include "heap.h"
#include "prng.h"
#include "random.h"
#include "weather.h"

#define DAY_MS 86400000.0
#define BATTERY_DAYS 540.0

struct device {
	struct prng prng;
	enum fleet_kind kind;
	double place;	/* in its gateway's round: 0..1 of the first half */
	double battery; /* percent at the fleet's start */
	double temp_offset_c, wind_factor;
	struct fridge fridge;
};

struct gateway {
	struct heap_node node; /* by the next report's time */
	double phase;	       /* 0..1 of a round */
	int64_t round_ms;      /* when the next round begins */
	unsigned first, count; /* its devices */
};

struct fleet {
	struct fleet_options options;
	int64_t from_ms; /* data time that belongs to physical_ms */
	int64_t physical_ms;
	struct heap due;
	struct gateway *gateways;
	struct device *devices;
	struct fleet_reading *readings;
	struct fleet_report report;
};

const char *
fleet_kind_name(enum fleet_kind kind)
{
	return kind == FLEET_STATION ? "station" : "fridge";
}

static void
device_init(struct device *d, unsigned index, const struct fleet_options *options)
{
	struct prng *prng = &d->prng;
	prng->state = options->seed * UINT64_C(0x9e3779b97f4a7c15) + index;
	prng->state = prng_next(prng);
	d->kind = index % 4 == 0 ? FLEET_STATION : FLEET_FRIDGE;
	d->place = random_between(prng, 0.0, 1.0);
	d->battery = random_between(prng, 30.0, 100.0);
	d->temp_offset_c = random_between(prng, -1.5, 1.5);
	d->wind_factor = random_between(prng, 0.7, 1.3);
	fridge_init(&d->fridge, prng_next(prng), options->start_ms);
}

static void
gateway_schedule(struct fleet *fleet, struct gateway *g, int64_t round_ms)
{
	g->round_ms = round_ms;
	heap_rekey(&fleet->due, &g->node, (uint64_t)(round_ms + fleet->options.interval_ms / 2));
}

static int
gateways_init(struct fleet *fleet)
{
	const struct fleet_options *o = &fleet->options;
	struct prng prng = {o->seed};
	unsigned first = 0;
	for (unsigned i = 0; i < o->gateways; i++) {
		struct gateway *g = &fleet->gateways[i];
		g->phase = random_between(&prng, 0.0, 1.0);
		g->first = first;
		g->count = o->devices / o->gateways + (i < o->devices % o->gateways);
		first += g->count;
		int error = heap_add(&fleet->due, &g->node, 0);
		if (error)
			return error;
	}
	fleet_set_pace(fleet, o->start_ms, o->interval_ms, o->speed_up);
	return 0;
}

static bool
options_valid(const struct fleet_options *o)
{
	return o->gateways >= 1 && o->gateways <= o->devices && o->devices <= FLEET_DEVICES_MAX &&
	       o->start_ms >= 0 && o->interval_ms >= FLEET_INTERVAL_MS_MIN && o->speed_up > 0;
}

int
fleet_create(const struct fleet_options *options, struct fleet **ret_fleet)
{
	if (!options_valid(options))
		return -EINVAL;
	int error = -ENOMEM;
	struct fleet *fleet = calloc(1, sizeof(*fleet));
	if (!fleet)
		return error;
	fleet->options = *options;
	fleet->physical_ms = fleet->from_ms = options->start_ms;
	heap_init(&fleet->due);
	fleet->gateways = calloc(options->gateways, sizeof(*fleet->gateways));
	fleet->devices = calloc(options->devices, sizeof(*fleet->devices));
	size_t most = options->devices / options->gateways + 1;
	fleet->readings = calloc(most, sizeof(*fleet->readings));
	if (!fleet->gateways || !fleet->devices || !fleet->readings)
		goto fail;
	for (unsigned i = 0; i < options->devices; i++)
		device_init(&fleet->devices[i], i, options);
	error = gateways_init(fleet);
	if (error)
		goto fail;
	*ret_fleet = fleet;
	return 0;

fail:
	fleet_destroy(fleet);
	return error;
}

void
fleet_destroy(struct fleet *fleet)
{
	if (!fleet)
		return;
	heap_finish(&fleet->due);
	free(fleet->gateways);
	free(fleet->devices);
	free(fleet->readings);
	free(fleet);
}

int64_t
fleet_next_time(const struct fleet *fleet)
{
	return (int64_t)heap_min(&fleet->due)->key;
}

static int64_t
physical_time(const struct fleet *fleet, int64_t time_ms)
{
	double passed = (double)(time_ms - fleet->from_ms) * fleet->options.speed_up;
	return fleet->physical_ms + (int64_t)passed;
}

void
fleet_set_pace(struct fleet *fleet, int64_t from_ms, unsigned interval_ms, double speed_up)
{
	check(from_ms >= fleet->from_ms && interval_ms >= FLEET_INTERVAL_MS_MIN && speed_up > 0);
	fleet->physical_ms = physical_time(fleet, from_ms);
	fleet->from_ms = from_ms;
	fleet->options.interval_ms = interval_ms;
	fleet->options.speed_up = speed_up;
	for (unsigned i = 0; i < fleet->options.gateways; i++) {
		struct gateway *g = &fleet->gateways[i];
		gateway_schedule(fleet, g, from_ms + (int64_t)(g->phase * interval_ms));
	}
}

/* The percentage falls in a straight line; an empty battery is replaced by a full one. */
static double
battery_at(const struct fleet *fleet, const struct device *d, int64_t physical_ms)
{
	double days = (double)(physical_ms - fleet->options.start_ms) / DAY_MS;
	double left = d->battery - days * 100.0 / BATTERY_DAYS;
	while (left < 4.0)
		left += 96.0;
	return (double)(int64_t)left;
}

static void
add_metric(struct fleet_reading *r, const char *name, double value, bool integer)
{
	check(r->count < FLEET_METRICS_MAX);
	r->metrics[r->count++] = (struct fleet_metric){name, value, integer};
}

static void
measure_station(struct device *d, int64_t physical_ms, struct fleet_reading *r)
{
	struct weather w;
	weather_at(physical_ms, &w);
	double temp = w.temperature_c + d->temp_offset_c + random_normal(&d->prng, 0.05);
	double pressure = w.pressure_hpa + random_normal(&d->prng, 0.05);
	double wind = w.wind_ms * d->wind_factor * (1.0 + random_normal(&d->prng, 0.1));
	add_metric(r, "temp", random_tenths(temp), false);
	add_metric(r, "pressure", random_tenths(pressure), false);
	add_metric(r, "wind", random_tenths(MAX(wind, 0.0)), false);
}

static void
measure_fridge(struct device *d, int64_t physical_ms, struct fleet_reading *r)
{
	struct fridge_state state;
	fridge_advance(&d->fridge, physical_ms);
	fridge_read(&d->fridge, &state);
	add_metric(r, "temp", state.temp_c, false);
	add_metric(r, "door", state.door, true);
	add_metric(r, "compressor", state.compressor, true);
}

static void
measure(struct fleet *fleet, const struct gateway *g, unsigned index, struct fleet_reading *r)
{
	struct device *d = &fleet->devices[index];
	unsigned half = fleet->options.interval_ms / 2, jitter = MIN(half / 4, 20);
	double place = d->place * (half - jitter) + random_between(&d->prng, 0.0, jitter);
	*r = (struct fleet_reading){.device = FLEET_DEVICE_FIRST + index, .kind = d->kind};
	r->time_ms = g->round_ms + (int64_t)place;
	int64_t physical_ms = physical_time(fleet, r->time_ms);
	if (d->kind == FLEET_STATION)
		measure_station(d, physical_ms, r);
	else
		measure_fridge(d, physical_ms, r);
	add_metric(r, "batt", battery_at(fleet, d, physical_ms), true);
}

const struct fleet_report *
fleet_next(struct fleet *fleet)
{
	struct gateway *g = CONTAINER_OF(heap_min(&fleet->due), struct gateway, node);
	for (unsigned i = 0; i < g->count; i++)
		measure(fleet, g, g->first + i, &fleet->readings[i]);
	fleet->report = (struct fleet_report){
	    .gateway = (unsigned)(g - fleet->gateways),
	    .time_ms = (int64_t)g->node.key,
	    .count = g->count,
	    .readings = fleet->readings,
	};
	gateway_schedule(fleet, g, g->round_ms + fleet->options.interval_ms);
	return &fleet->report;
}

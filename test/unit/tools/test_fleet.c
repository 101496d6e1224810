/*
 * test_fleet.c: the fleet is reproducible, and what it measures could have been measured.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "climate.h"
#include "fleet.h"
#include "fridge.h"
#include "weather.h"

#define START_MS INT64_C(1767225600000) /* 2026-01-01 */
#define MINUTE_MS 60000
#define HOUR_MS INT64_C(3600000)

static const struct fleet_options plain = {.seed = 1,
    .gateways = 3,
    .devices = 10,
    .start_ms = START_MS,
    .interval_ms = 10 * MINUTE_MS,
    .speed_up = 1.0};

static struct fleet *
made(const struct fleet_options *options)
{
	struct fleet *fleet = NULL;
	assert_int_equal(fleet_create(options, &fleet), 0);
	return fleet;
}

static void
same_report(const struct fleet_report *a, const struct fleet_report *b)
{
	assert_int_equal(a->gateway, b->gateway);
	assert_int_equal(a->time_ms, b->time_ms);
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		const struct fleet_reading *x = &a->readings[i], *y = &b->readings[i];
		assert_int_equal(x->device, y->device);
		assert_int_equal(x->time_ms, y->time_ms);
		assert_int_equal(x->count, y->count);
		for (size_t k = 0; k < x->count; k++) {
			assert_string_equal(x->metrics[k].name, y->metrics[k].name);
			assert_true(x->metrics[k].value == y->metrics[k].value);
		}
	}
}

static void
the_same_seed_gives_the_same_reports(void **state)
{
	(void)state;
	struct fleet *a = made(&plain), *b = made(&plain);
	for (int i = 0; i < 2000; i++)
		same_report(fleet_next(a), fleet_next(b));
	fleet_destroy(a);
	fleet_destroy(b);
}

static void
another_seed_gives_other_reports(void **state)
{
	(void)state;
	struct fleet_options other = plain;
	other.seed = 2;
	struct fleet *a = made(&plain), *b = made(&other);
	unsigned different = 0;
	for (int i = 0; i < 30; i++)
		different += fleet_next(a)->time_ms != fleet_next(b)->time_ms;
	assert_true(different > 20);
	fleet_destroy(a);
	fleet_destroy(b);
}

static void
times_rise_at_every_pace(void **state)
{
	(void)state;
	struct fleet_options options = plain;
	options.interval_ms = FLEET_INTERVAL_MS_MIN;
	struct fleet *fleet = made(&options);
	int64_t last[10] = {0}, last_report = 0;
	for (int i = 0; i < 6000; i++) {
		if (i == 2000)
			fleet_set_pace(fleet, last_report + 7, 2000, 60.0);
		if (i == 4000)
			fleet_set_pace(fleet, last_report, 333, 3600.0);
		int64_t announced = fleet_next_time(fleet);
		const struct fleet_report *report = fleet_next(fleet);
		assert_int_equal(report->time_ms, announced);
		assert_true(report->time_ms >= last_report);
		last_report = report->time_ms;
		for (size_t k = 0; k < report->count; k++) {
			const struct fleet_reading *r = &report->readings[k];
			int64_t *before = &last[r->device - FLEET_DEVICE_FIRST];
			assert_true(r->time_ms > *before);
			assert_true(r->time_ms <= report->time_ms);
			*before = r->time_ms;
		}
	}
	fleet_destroy(fleet);
}

struct bounds {
	const char *name;
	double least, most;
};

/* A fridge's sensor and a station's: what no weather of the data can leave. */
static const struct bounds station_bounds[] = {
    {"temp", -2, 32}, {"pressure", 980, 1050}, {"wind", 0, 30}, {"batt", 4, 100}};
static const struct bounds fridge_bounds[] = {
    {"temp", -1, 28}, {"door", 0, 1}, {"compressor", 0, 1}, {"batt", 4, 100}};

static void
plausible(const struct fleet_reading *r)
{
	const struct bounds *bounds = r->kind == FLEET_STATION ? station_bounds : fridge_bounds;
	assert_int_equal(r->count, 4);
	for (size_t i = 0; i < r->count; i++) {
		const struct fleet_metric *m = &r->metrics[i];
		assert_string_equal(m->name, bounds[i].name);
		if (m->value < bounds[i].least || m->value > bounds[i].most)
			fail_msg("device %u: %s = %g", r->device, m->name, m->value);
		double tenths = m->value * 10;
		assert_true(
		    (double)(int64_t)(tenths + (tenths < 0 ? -0.5 : 0.5)) / 10.0 == m->value);
		if (m->integer)
			assert_true((double)(int64_t)m->value == m->value);
	}
}

static void
a_year_is_plausible(void **state)
{
	(void)state;
	struct fleet *fleet = made(&plain);
	double warmest[10] = {0}, sum[10] = {0}, batt[10] = {0};
	unsigned count[10] = {0}, cooling[10] = {0}, refills = 0;
	while (fleet_next_time(fleet) < START_MS + 365 * 24 * HOUR_MS) {
		const struct fleet_report *report = fleet_next(fleet);
		for (size_t i = 0; i < report->count; i++) {
			const struct fleet_reading *r = &report->readings[i];
			unsigned d = r->device - FLEET_DEVICE_FIRST;
			plausible(r);
			warmest[d] = MAX(warmest[d], r->metrics[0].value);
			sum[d] += r->metrics[0].value;
			cooling[d] += r->kind == FLEET_FRIDGE && r->metrics[2].value > 0;
			refills += r->metrics[3].value > batt[d] && count[d] > 0;
			batt[d] = r->metrics[3].value;
			count[d]++;
		}
	}
	assert_in_range(refills, 1, 10);
	for (unsigned d = 0; d < 10; d++) {
		bool station = d % 4 == 0;
		double mean = sum[d] / count[d], duty = (double)cooling[d] / count[d];
		assert_true(count[d] > 52000);
		assert_true(station ? mean > 8 && mean < 15 : mean > 3 && mean < 7);
		assert_true(station ? warmest[d] > 20 : warmest[d] > 10); /* faults happened */
		assert_true(station || (duty > 0.1 && duty < 0.6));
	}
	fleet_destroy(fleet);
}

static void
every_fault_happens_and_ends(void **state)
{
	(void)state;
	struct fridge fridge;
	unsigned begun[4] = {0}, ended = 0, stuck_same = 0, stuck = 0;
	double highest[4] = {0};
	fridge_init(&fridge, 7, START_MS);
	double last = 0;
	enum fridge_fault before = FRIDGE_OK;
	for (int64_t t = START_MS; t < START_MS + 200 * 24 * HOUR_MS; t += MINUTE_MS) {
		struct fridge_state now;
		fridge_advance(&fridge, t);
		fridge_read(&fridge, &now);
		begun[fridge.fault] += fridge.fault != before;
		ended += fridge.fault == FRIDGE_OK && before != FRIDGE_OK;
		if (fridge.fault == FRIDGE_SENSOR_STUCK && before == FRIDGE_SENSOR_STUCK) {
			stuck++;
			stuck_same += now.temp_c == last;
		}
		if (fridge.fault == FRIDGE_COMPRESSOR_FAILED)
			assert_false(now.compressor);
		if (fridge.fault == FRIDGE_DOOR_AJAR)
			assert_true(now.door);
		highest[fridge.fault] = MAX(highest[fridge.fault], now.temp_c);
		before = fridge.fault;
		last = now.temp_c;
	}
	for (int fault = FRIDGE_COMPRESSOR_FAILED; fault <= FRIDGE_SENSOR_STUCK; fault++)
		assert_in_range(begun[fault], 3, 60);
	assert_true(ended > 10);
	assert_true(stuck > 100 && stuck_same == stuck);
	assert_true(highest[FRIDGE_COMPRESSOR_FAILED] > 9);
	assert_true(highest[FRIDGE_DOOR_AJAR] > 8);
}

/* The same course whether asked often or seldom: what was sped up was not made coarser. */
static void
a_fridge_does_not_depend_on_how_often_it_is_asked(void **state)
{
	(void)state;
	struct fridge often, seldom;
	fridge_init(&often, 3, START_MS);
	fridge_init(&seldom, 3, START_MS);
	for (int64_t t = START_MS; t <= START_MS + 48 * HOUR_MS; t += 10000)
		fridge_advance(&often, t);
	for (int64_t t = START_MS; t <= START_MS + 48 * HOUR_MS; t += 2 * HOUR_MS)
		fridge_advance(&seldom, t);
	assert_int_equal(often.time_ms, seldom.time_ms);
	assert_true(often.prng.state == seldom.prng.state);
	double difference = often.air_c - seldom.air_c;
	assert_true(difference < 0.05 && difference > -0.05);
}

static void
the_weather_is_the_datas_on_the_hour_and_between_in_between(void **state)
{
	(void)state;
	struct weather w;
	for (int hour = 0; hour < CLIMATE_HOURS - 1; hour += 101) {
		const struct climate_hour *a = &climate_hours[hour], *b = a + 1;
		weather_at(START_MS + hour * HOUR_MS, &w);
		assert_true(w.temperature_c == a->temperature_c10 / 10.0);
		assert_true(w.pressure_hpa == a->pressure_hpa10 / 10.0);
		assert_true(w.wind_ms == a->wind_ms10 / 10.0);
		weather_at(START_MS + hour * HOUR_MS + HOUR_MS / 4, &w);
		double quarter =
		    a->temperature_c10 + 0.25 * (b->temperature_c10 - a->temperature_c10);
		assert_true(w.temperature_c > quarter / 10 - 1e-9);
		assert_true(w.temperature_c < quarter / 10 + 1e-9);
	}
}

static void
the_year_is_a_circle_and_29_february_a_second_28th(void **state)
{
	(void)state;
	static const struct {
		int64_t days;  /* since the epoch */
		unsigned hour; /* of the data's year */
	} rows[] = {
	    {0, 0},	       /* 1970-01-01 */
	    {364, 364 * 24},   /* 1970-12-31 */
	    {365, 0},	       /* 1971-01-01 */
	    {11016, 58 * 24},  /* 2000-02-29 */
	    {11015, 58 * 24},  /* 2000-02-28 */
	    {11017, 59 * 24},  /* 2000-03-01 */
	    {19782, 58 * 24},  /* 2024-02-29 */
	    {20453, 364 * 24}, /* 2025-12-31 */
	    {20454, 0},	       /* 2026-01-01 */
	    {20512, 58 * 24},  /* 2026-02-28 */
	    {20513, 59 * 24},  /* 2026-03-01 */
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct weather w;
		weather_at(rows[i].days * 24 * HOUR_MS, &w);
		assert_true(w.temperature_c == climate_hours[rows[i].hour].temperature_c10 / 10.0);
		assert_true(w.pressure_hpa == climate_hours[rows[i].hour].pressure_hpa10 / 10.0);
	}
}

static void
options_out_of_range(void **state)
{
	(void)state;
	struct fleet_options bad[] = {plain, plain, plain, plain, plain, plain};
	bad[0].gateways = 0;
	bad[1].gateways = 11;
	bad[2].devices = FLEET_DEVICES_MAX + 1;
	bad[3].start_ms = -1;
	bad[4].interval_ms = FLEET_INTERVAL_MS_MIN - 1;
	bad[5].speed_up = 0;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		struct fleet *fleet;
		assert_int_equal(fleet_create(&bad[i], &fleet), -EINVAL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_same_seed_gives_the_same_reports),
	    cmocka_unit_test(another_seed_gives_other_reports),
	    cmocka_unit_test(times_rise_at_every_pace),
	    cmocka_unit_test(a_year_is_plausible),
	    cmocka_unit_test(every_fault_happens_and_ends),
	    cmocka_unit_test(a_fridge_does_not_depend_on_how_often_it_is_asked),
	    cmocka_unit_test(the_weather_is_the_datas_on_the_hour_and_between_in_between),
	    cmocka_unit_test(the_year_is_a_circle_and_29_february_a_second_28th),
	    cmocka_unit_test(options_out_of_range),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

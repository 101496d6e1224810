/*
 * fridge.c: the model of fridge.h, integrated by Euler's method.
 *
 *   air'   = (goods - air) / 15 min + (room - air) / 100 min [+ (room - air) / door] - cooling
 *   goods' = (air - goods) / 150 min
 *
 * The shortest time constant (door open, 4 min) is 24 steps long, so the method is stable. The room
 * is heated: it follows the weather outside by three tenths.
 */
#include "fridge.h"

#include "random.h"
#include "weather.h"

#define STEP_MS 10000
#define MINUTE_MS 60000
#define HOUR_MS 3600000

static const double step_min = (double)STEP_MS / MINUTE_MS;

/* In kelvin a minute, and minutes. */
static const double cooling = 0.6, defrost_heat = 0.1;
static const double goods_min = 15.0, walls_min = 100.0, open_min = 4.0, ajar_min = 20.0;
static const double goods_mass = 10.0; /* of the air's */

static const int64_t defrost_every_ms = 8 * HOUR_MS, defrost_ms = 25 * MINUTE_MS;
static const int64_t fault_every_ms = 120 * (int64_t)HOUR_MS; /* on average */

/* How often the door is opened in an hour, by hour of the day. */
static const uint8_t openings[24] = {
    0, 0, 0, 0, 0, 1, 3, 6, 4, 2, 2, 4, 8, 6, 3, 2, 3, 5, 8, 7, 4, 3, 2, 1};

void
fridge_init(struct fridge *f, uint64_t seed, int64_t time_ms)
{
	*f = (struct fridge){.prng = {seed}, .time_ms = time_ms};
	f->set_c = 4.0 + random_between(&f->prng, -0.7, 0.7);
	f->band_c = 1.0 + random_between(&f->prng, 0.0, 0.4);
	f->room_offset_c = random_between(&f->prng, -2.0, 2.0);
	f->defrost_phase_ms = (int64_t)prng_below(&f->prng, (uint64_t)defrost_every_ms);
	f->air_c = f->set_c + random_between(&f->prng, -f->band_c, f->band_c);
	f->goods_c = f->set_c;
}

static bool
happens(struct fridge *f, int64_t every_ms)
{
	return prng_below(&f->prng, (uint64_t)(every_ms / STEP_MS)) == 0;
}

static void
fault_step(struct fridge *f)
{
	if (f->fault != FRIDGE_OK) {
		if (f->time_ms >= f->fault_until_ms)
			f->fault = FRIDGE_OK;
		return;
	}
	if (!happens(f, fault_every_ms))
		return;
	static const struct {
		double least_h, most_h;
	} lasts[] = {
	    [FRIDGE_COMPRESSOR_FAILED] = {3.0, 8.0},
	    [FRIDGE_DOOR_AJAR] = {0.5, 2.0},
	    [FRIDGE_SENSOR_STUCK] = {2.0, 12.0},
	};
	f->fault = FRIDGE_COMPRESSOR_FAILED + (enum fridge_fault)prng_below(&f->prng, 3);
	double hours = random_between(&f->prng, lasts[f->fault].least_h, lasts[f->fault].most_h);
	f->fault_until_ms = f->time_ms + (int64_t)(hours * HOUR_MS);
	f->stuck_c = f->air_c;
}

static bool
door_step(struct fridge *f)
{
	unsigned rate = openings[f->time_ms / HOUR_MS % 24];
	if (f->time_ms >= f->door_until_ms && rate && happens(f, HOUR_MS / rate))
		f->door_until_ms = f->time_ms + (int64_t)random_between(&f->prng, 5e3, 45e3);
	bool open = f->time_ms < f->door_until_ms;
	f->opened |= open || f->fault == FRIDGE_DOOR_AJAR;
	return open;
}

static void
step(struct fridge *f, double room_c)
{
	f->time_ms += STEP_MS;
	fault_step(f);
	bool open = door_step(f);
	bool defrosting = (f->time_ms + f->defrost_phase_ms) % defrost_every_ms < defrost_ms;
	if (defrosting || f->fault == FRIDGE_COMPRESSOR_FAILED)
		f->compressor = false;
	else if (f->air_c > f->set_c + f->band_c)
		f->compressor = true;
	else if (f->air_c < f->set_c - f->band_c)
		f->compressor = false;

	double rate = (f->goods_c - f->air_c) / goods_min + (room_c - f->air_c) / walls_min;
	if (open)
		rate += (room_c - f->air_c) / open_min;
	else if (f->fault == FRIDGE_DOOR_AJAR)
		rate += (room_c - f->air_c) / ajar_min;
	if (f->compressor)
		rate -= cooling;
	if (defrosting)
		rate += defrost_heat;
	f->goods_c += (f->air_c - f->goods_c) / (goods_min * goods_mass) * step_min;
	f->air_c += rate * step_min;
}

void
fridge_advance(struct fridge *f, int64_t to_ms)
{
	if (to_ms - f->time_ms < STEP_MS)
		return;
	/* The room changes slowly: once for a stretch of at most an hour. */
	while (to_ms - f->time_ms >= STEP_MS) {
		struct weather outside;
		weather_at(f->time_ms, &outside);
		double room_c = 21.0 + 0.3 * (outside.temperature_c - 12.0) + f->room_offset_c;
		for (int i = 0; i < HOUR_MS / STEP_MS && to_ms - f->time_ms >= STEP_MS; i++)
			step(f, room_c);
	}
}

void
fridge_read(struct fridge *f, struct fridge_state *ret_state)
{
	double noise = random_normal(&f->prng, 0.04);
	double shown = f->fault == FRIDGE_SENSOR_STUCK ? f->stuck_c : f->air_c + noise;
	ret_state->temp_c = random_tenths(shown);
	ret_state->door = f->opened;
	ret_state->compressor = f->compressor;
	f->opened = f->time_ms < f->door_until_ms || f->fault == FRIDGE_DOOR_AJAR;
}

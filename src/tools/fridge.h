/*
 * fridge.h: a refrigerator: heat, compressor, door, defrosting, faults.
 *
 * Two bodies, air and goods, exchange heat with each other and the room (first order). The
 * compressor is switched by a thermostat with hysteresis; every eight hours the coil is defrosted;
 * the door opens by the time of day; now and then something fails. No I/O, no allocation; one
 * thread; the same seed and the same moments give the same course.
 */
#ifndef WEIR_FRIDGE_H
#define WEIR_FRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "prng.h"

enum fridge_fault { FRIDGE_OK, FRIDGE_COMPRESSOR_FAILED, FRIDGE_DOOR_AJAR, FRIDGE_SENSOR_STUCK };

struct fridge {
	struct prng prng;
	int64_t time_ms; /* how far the model has come */
	double air_c, goods_c;
	double set_c, band_c; /* the thermostat switches at set ± band */
	double room_offset_c;
	int64_t defrost_phase_ms;
	bool compressor;
	bool opened; /* the door was open since fridge_read */
	int64_t door_until_ms;
	enum fridge_fault fault;
	int64_t fault_until_ms;
	double stuck_c;
};

struct fridge_state {
	double temp_c; /* what the sensor shows, in tenths */
	bool door;     /* was open at some time since the last reading */
	bool compressor;
};

void fridge_init(struct fridge *fridge, uint64_t seed, int64_t time_ms);

/* Goes on to a later moment, in steps of ten seconds. */
void fridge_advance(struct fridge *fridge, int64_t to_ms);

/* What its sensors show now. */
void fridge_read(struct fridge *fridge, struct fridge_state *ret_state);

#endif

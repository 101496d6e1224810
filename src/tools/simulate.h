/*
 * simulate.h: a fleet of simulated gateways, run on a thread of its own against a server.
 *
 * The devices are weather stations and refrigerators (fleet.h); their gateways report over the same
 * HTTP door that real ones use, with an application key.
 *
 * Time: the readings bear the wall clock's times, so that charts of "the last hour" move; the
 * physics runs `speed_up` times faster. With a speed-up of 60 a day of weather, of door openings
 * and defrosting passes in 24 minutes. History comes first: `history_ms` before the start up to
 * now, at `history_interval_ms`, in large requests, with physics at the pace of the data (so that
 * a day of history looks like a day), the last quarter of an hour of it at the pace of what
 * follows; then live. Where the server has readings of an earlier fleet (the key then needs
 * `read`, too), history begins after the last of them.
 *
 * The generator is the buffer: what could not be sent while the server was away is generated and
 * sent when it is back, in order. A report is repeated until it is acknowledged; sending a reading
 * twice changes nothing.
 */
#ifndef WEIR_SIMULATE_H
#define WEIR_SIMULATE_H

#include <stdbool.h>
#include <stdint.h>

struct simulate;

struct simulate_options {
	const char *address; /* as http_client.h: "127.0.0.1:8080"; copied */
	const char *key;     /* application key with `write`; copied */
	uint64_t seed;
	unsigned gateways;    /* 0: SIMULATE_GATEWAYS */
	unsigned devices;     /* all together, >= gateways; 0: SIMULATE_DEVICES */
	double speed_up;      /* of the physics, 1..3600; 0: SIMULATE_SPEED_UP */
	unsigned interval_ms; /* between two reports of a gateway; 0: SIMULATE_INTERVAL_MS */
	int64_t history_ms;   /* 0: none */
	unsigned history_interval_ms; /* 0: SIMULATE_HISTORY_INTERVAL_MS */
	/* Called on the fleet's thread when something is worth a log line: history sent, server
	 * lost, server back, refused for good (then the thread ends). May be NULL. */
	void (*note)(void *ctx, bool failed, const char *text);
	void *note_ctx;
};

#define SIMULATE_GATEWAYS 3
#define SIMULATE_DEVICES 12
#define SIMULATE_SPEED_UP 60.0
#define SIMULATE_INTERVAL_MS 2000
#define SIMULATE_HISTORY_INTERVAL_MS 300000
#define SIMULATE_RECENT_MS 900000

/* Starts the thread ("fleet"); returns at once. The server need not listen yet: an unreachable
 * server is tried again with back-off. 0, -EINVAL (options), -ENOMEM, errnos of threads. */
int simulate_start(const struct simulate_options *options, struct simulate **ret_simulate);

/* Stops at once (a request under way is broken off), joins, frees. NULL allowed. */
void simulate_stop(struct simulate *simulate);

/* Any thread. Readings (device and time) acknowledged so far. */
uint64_t simulate_readings(const struct simulate *simulate);

#endif

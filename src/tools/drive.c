/*
 * drive.c: takes reports from the fleet in the order of time and gives each to its gateway's
 * sender. A gateway's reports leave in order; a server that is away holds up all of them, and the
 * fleet, which makes nothing ahead, is the buffer.
 */
#include "drive.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum {
	BODY_READINGS = 500, /* in one request, when there is much to send */
	WAIT_MS_MAX = 1000,  /* the wall clock may be set meanwhile */
};

struct drive {
	struct drive_options options;
	struct fleet *fleet;
	struct sender **senders;
	const char *reason;
	bool answered;	 /* the server was there at least once */
	int64_t last_ms; /* of the last report */
	atomic_uint_fast64_t readings;
};

int
drive_create(const struct drive_options *options, struct drive **ret_drive)
{
	struct drive *d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->options = *options;
	d->options.sender.answered = &d->answered;
	d->reason = "";
	atomic_init(&d->readings, 0);
	int error = fleet_create(&options->fleet, &d->fleet);
	if (error)
		goto fail;
	d->senders = calloc(options->fleet.gateways, sizeof(struct sender *));
	if (!d->senders)
		error = -ENOMEM;
	for (unsigned i = 0; i < options->fleet.gateways && !error; i++)
		error = sender_create(&d->options.sender, &d->senders[i]);
	if (error)
		goto fail;
	*ret_drive = d;
	return 0;

fail:
	drive_destroy(d);
	return error;
}

void
drive_destroy(struct drive *d)
{
	if (!d)
		return;
	for (unsigned i = 0; d->senders && i < d->options.fleet.gateways; i++)
		sender_destroy(d->senders[i]);
	free(d->senders);
	fleet_destroy(d->fleet);
	free(d);
}

uint64_t
drive_readings(const struct drive *d)
{
	return atomic_load_explicit(&d->readings, memory_order_relaxed);
}

const char *
drive_reason(const struct drive *d)
{
	return d->reason;
}

static int
flush(struct drive *d, struct sender *sender)
{
	size_t count = sender_pending(sender);
	int error = sender_flush(sender);
	if (error)
		d->reason = error == -ENOMEM ? strerror(ENOMEM) : sender_reason(sender);
	else
		atomic_fetch_add_explicit(&d->readings, count, memory_order_relaxed);
	return error;
}

/* At most *left readings of the next report. */
static int
take(struct drive *d, uint64_t *left)
{
	const struct fleet_report *report = fleet_next(d->fleet);
	struct sender *sender = d->senders[report->gateway];
	d->last_ms = report->time_ms;
	for (size_t i = 0; i<report->count && * left> 0; i++, --*left) {
		int error = sender_add(sender, &report->readings[i]);
		if (error) {
			d->reason = strerror(-error);
			return error;
		}
		if (d->options.expect)
			expect_add(d->options.expect, &report->readings[i]);
	}
	return sender_pending(sender) >= BODY_READINGS ? flush(d, sender) : 0;
}

static void
progress(struct drive *d, int64_t from_ms, int64_t until_ms, uint64_t done, uint64_t most)
{
	double by_time = 0, by_count = (double)done / (double)most;
	if (!d->options.progress)
		return;
	if (until_ms != INT64_MAX)
		by_time = (double)(fleet_next_time(d->fleet) - from_ms) /
			  (double)MAX(until_ms - from_ms, 1);
	d->options.progress(
	    d->options.progress_ctx, drive_readings(d), MIN(MAX(by_time, by_count), 1.0));
}

int
drive_push(struct drive *d, int64_t until_ms, uint64_t readings_max)
{
	int64_t from_ms = fleet_next_time(d->fleet);
	uint64_t left = readings_max;
	int error = 0;
	while (!error && left > 0 && fleet_next_time(d->fleet) <= until_ms) {
		uint64_t sent = drive_readings(d);
		error = take(d, &left);
		if (drive_readings(d) != sent)
			progress(d, from_ms, until_ms, readings_max - left, readings_max);
	}
	for (unsigned i = 0; i < d->options.fleet.gateways && !error; i++)
		error = flush(d, d->senders[i]);
	if (!error)
		progress(d, from_ms, until_ms, readings_max - left, readings_max);
	return error;
}

void
drive_set_pace(struct drive *d, int64_t from_ms, unsigned interval_ms, double speed_up)
{
	int64_t first_ms = MAX(d->last_ms + 1, d->options.fleet.start_ms);
	fleet_set_pace(d->fleet, MAX(from_ms, first_ms), interval_ms, speed_up);
}

int
drive_live(struct drive *d)
{
	struct env *env = d->options.sender.env;
	for (;;) {
		int error = drive_push(d, env_now_ms(env), UINT64_MAX);
		if (error)
			return error;
		int64_t wait = fleet_next_time(d->fleet) - env_now_ms(env);
		struct pollfd stop = {.fd = d->options.sender.stop_fd, .events = POLLIN};
		if (poll(&stop, 1, (int)MIN(MAX(wait, 0), WAIT_MS_MAX)) > 0)
			return -ECANCELED;
	}
}

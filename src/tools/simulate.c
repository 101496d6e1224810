/*
 * simulate.c: a drive on a thread: history, then live, until stopped. The eventfd ends every wait
 * and every request under way, so stopping takes no longer than generating one report.
 */
#include "simulate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "drive.h"
#include "thread.h"

struct simulate {
	struct simulate_options options; /* its strings are used only to create the drive */
	struct env *env;
	struct drive *drive;
	int stop_fd;
	pthread_t thread;
	bool started;
};

static void
note(struct simulate *s, bool failed, const char *text)
{
	if (s->options.note)
		s->options.note(s->options.note_ctx, failed, text);
}

/* The last of it already at the pace of what follows, so that a chart of minutes begins full. */
static int
run_history(struct simulate *s)
{
	char text[80];
	int64_t now = env_now_ms(s->env);
	int64_t recent_ms = MIN(s->options.history_ms, SIMULATE_RECENT_MS);
	int error = 0;
	if (s->options.history_ms > recent_ms)
		error = drive_push(s->drive, now - recent_ms, UINT64_MAX);
	if (error)
		return error;
	drive_set_pace(s->drive, now - recent_ms, s->options.interval_ms, s->options.speed_up);
	if (recent_ms == 0)
		return 0;
	error = drive_push(s->drive, now, UINT64_MAX);
	if (error)
		return error;
	snprintf(text, sizeof(text), "history of %lld hours sent, %llu readings",
	    (long long)(s->options.history_ms / 3600000),
	    (unsigned long long)drive_readings(s->drive));
	note(s, false, text);
	return 0;
}

static void
run(void *ctx)
{
	struct simulate *s = ctx;
	int error = run_history(s);
	if (!error)
		error = drive_live(s->drive);
	if (error != -ECANCELED)
		note(s, true, drive_reason(s->drive));
}

static void
set_defaults(struct simulate_options *o)
{
	if (!o->gateways)
		o->gateways = SIMULATE_GATEWAYS;
	if (!o->devices)
		o->devices = SIMULATE_DEVICES;
	if (o->speed_up == 0)
		o->speed_up = SIMULATE_SPEED_UP;
	if (!o->interval_ms)
		o->interval_ms = SIMULATE_INTERVAL_MS;
	if (!o->history_interval_ms)
		o->history_interval_ms = SIMULATE_HISTORY_INTERVAL_MS;
}

static int
create_drive(struct simulate *s)
{
	const struct simulate_options *o = &s->options;
	if (o->speed_up < 1 || o->speed_up > 3600 || o->history_ms < 0 ||
	    o->interval_ms < FLEET_INTERVAL_MS_MIN)
		return -EINVAL;
	struct drive_options drive = {
	    .fleet = {.seed = o->seed,
		.gateways = o->gateways,
		.devices = o->devices,
		.start_ms = env_now_ms(s->env) - o->history_ms,
		.interval_ms = o->history_interval_ms,
		.speed_up = 1.0},
	    .sender = {.env = s->env,
		.address = o->address,
		.key = o->key,
		.stop_fd = s->stop_fd,
		.first_patience_ms = -1,
		.patience_ms = -1,
		.note = o->note,
		.note_ctx = o->note_ctx},
	};
	return drive_create(&drive, &s->drive);
}

int
simulate_start(const struct simulate_options *options, struct simulate **ret_simulate)
{
	struct simulate *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	int error = -ENOMEM;
	s->options = *options;
	set_defaults(&s->options);
	s->stop_fd = -1;
	s->env = env_create();
	if (!s->env)
		goto fail;
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	error = s->stop_fd < 0 ? -errno : create_drive(s);
	if (error)
		goto fail;
	s->options.address = s->options.key = NULL;
	error = thread_start(&s->thread, "fleet", run, s);
	if (error)
		goto fail;
	s->started = true;
	*ret_simulate = s;
	return 0;

fail:
	simulate_stop(s);
	return error;
}

void
simulate_stop(struct simulate *s)
{
	if (!s)
		return;
	if (s->started) {
		check(eventfd_write(s->stop_fd, 1) == 0);
		thread_join(s->thread);
	}
	drive_destroy(s->drive);
	if (s->stop_fd >= 0)
		close(s->stop_fd);
	env_destroy(s->env);
	free(s);
}

uint64_t
simulate_readings(const struct simulate *s)
{
	return drive_readings(s->drive);
}

/*
 * simulate.c: a drive on a thread: history, then live, until stopped. The eventfd ends every wait
 * and every request under way, so stopping takes no longer than generating one report.
 */
#include "simulate.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "drive.h"
#include "http_client.h"
#include "json.h"
#include "num.h"
#include "thread.h"

enum { RETRY_MS = 200 };

struct simulate {
	struct simulate_options options; /* its strings are used only to create the drive */
	struct env *env;
	struct drive *drive;
	struct http_client *reader; /* asks where an earlier fleet ended */
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

/* The latest time in an answer of /api/v1/latest; 0: none. */
static int64_t
latest_time(struct span body)
{
	struct json_reader reader;
	int64_t latest = 0;
	json_reader_init(&reader, body, false);
	for (;;) {
		enum json_token token = json_next(&reader);
		if (token == JSON_END || token == JSON_ERROR)
			return latest;
		if (token != JSON_KEY || !json_text_eq(&reader, SPAN("time")))
			continue;
		int64_t time;
		if (json_next(&reader) == JSON_NUMBER && num_parse_i64(reader.text, &time) == 0)
			latest = MAX(latest, time);
	}
}

/* The time of the last reading that the server has; 0: none, or it does not tell. Waits until it
 * answers at all. 0 or -ECANCELED. */
static int
find_latest(struct simulate *s, int64_t *ret_latest_ms)
{
	for (;;) {
		struct http_client_reply reply;
		int error = http_client_call(
		    s->reader, "GET", "/api/v1/latest?metric=temp", NULL, SPAN(""), &reply);
		if (error == -ECANCELED)
			return error;
		if (!error && reply.status < 500) {
			*ret_latest_ms = reply.status == 200 ? latest_time(reply.body) : 0;
			http_client_disconnect(s->reader);
			return 0;
		}
		struct pollfd stop = {.fd = s->stop_fd, .events = POLLIN};
		if (poll(&stop, 1, RETRY_MS) > 0)
			return -ECANCELED;
	}
}

/* Data that was simulated into before has a history: a second one laid over it would make nonsense
 * of both. The last of it comes already at the pace of what follows, so that a chart of minutes
 * begins full. */
static int
run_history(struct simulate *s)
{
	const struct simulate_options *o = &s->options;
	char text[80];
	int64_t latest_ms = 0;
	int error = o->history_ms > 0 ? find_latest(s, &latest_ms) : 0;
	if (error)
		return error;
	int64_t now = env_now_ms(s->env);
	int64_t from_ms = MIN(MAX(now - o->history_ms, latest_ms + 1), now);
	int64_t recent_ms = MAX(now - SIMULATE_RECENT_MS, from_ms);
	if (from_ms < recent_ms) {
		drive_set_pace(s->drive, from_ms, o->history_interval_ms, 1.0);
		error = drive_push(s->drive, recent_ms, UINT64_MAX);
	}
	if (error)
		return error;
	drive_set_pace(s->drive, recent_ms, o->interval_ms, o->speed_up);
	if (o->history_ms == 0)
		return 0;
	error = drive_push(s->drive, now, UINT64_MAX);
	if (error)
		return error;
	snprintf(text, sizeof(text), "history sent, %llu readings of %lld minutes",
	    (unsigned long long)drive_readings(s->drive), (long long)((now - from_ms) / 60000));
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
	char authorization[512];
	int len = snprintf(authorization, sizeof(authorization), "Bearer %s", o->key);
	if (len < 0 || (size_t)len >= sizeof(authorization))
		return -EINVAL;
	struct http_client_options reader = {
	    .address = o->address, .authorization = authorization, .stop_fd = s->stop_fd};
	int error = http_client_create(&reader, &s->reader);
	return error ? error : drive_create(&drive, &s->drive);
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
	http_client_destroy(s->reader);
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

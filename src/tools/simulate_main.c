/*
 * simulate_main.c: the command `weir simulate`.
 *
 * SIGINT and SIGTERM are blocked and read from a signalfd, which is the senders' stop_fd: whatever
 * the command waits for, a signal ends it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "args.h"
#include "check.h"
#include "datetime.h"
#include "drive.h"
#include "progress.h"
#include "simulate.h"
#include "tools.h"

#define COUNT_START "2026-01-01T00:00:00Z"

static const char help[] =
    "usage: weir simulate --url URL --key KEY [OPTIONS]\n"
    "\n"
    "A fleet of simulated gateways with weather stations (a year of a NOAA station, replayed)\n"
    "and refrigerators (modelled in that weather) sends readings to a server, as real gateways\n"
    "do. Device numbers begin at 1001. A report is repeated until it is acknowledged.\n"
    "\n"
    "  --url URL          the server; default http://127.0.0.1:8080\n"
    "  --key KEY          application key with the right to write; default: $WEIR_KEY\n"
    "  --seed N           the fleet and its chances; default 1\n"
    "  --count M          send M readings as fast as the server takes them, then print what\n"
    "                     the store must hold: a JSON line a series, then the total. The same\n"
    "                     options send the same readings. Without: run on until a signal, each\n"
    "                     reading at its time by the clock\n"
    "  --devices D        default 12\n"
    "  --gateways G       default 3\n"
    "  --interval TIME    between two reports of a gateway; default 10s\n"
    "  --speed-up S       the physics (weather, doors, defrosting) runs S times as fast as\n"
    "                     the readings' times; default 1, at most 3600\n"
    "  --start TIME       time of the first reading: RFC 3339, milliseconds, -7d ...; default\n"
    "                     " COUNT_START " with --count, else now. Without --count what\n"
    "                     lies before now is sent first, fast, a report every 5 minutes\n"
    "  --format FORMAT    json (default) or line: POST /api/v1/readings or POST /write\n"
    "\n"
    "exit codes: 0 done or stopped, 1 failed, 2 wrong usage\n";

struct options {
	const char *url, *key, *start;
	uint64_t seed, count, devices, gateways;
	int64_t interval_ms;
	double speed_up;
	int format;
};

struct command {
	struct options options;
	struct env *env;
	int64_t start_ms;
	int stop_fd;
	struct progress progress;
	struct expect *expect;
	struct drive *drive;
};

static int
parse(struct options *o, int argc, char **argv)
{
	static const char *const formats[] = {"json", "line", NULL};
	const struct args_option table[] = {
	    {.name = "url", .kind = ARGS_STRING, .ret_value = &o->url},
	    {.name = "key", .kind = ARGS_STRING, .ret_value = &o->key},
	    {.name = "start", .kind = ARGS_STRING, .ret_value = &o->start},
	    {.name = "seed", .kind = ARGS_COUNT, .ret_value = &o->seed, .most = 0x1p53},
	    {.name = "count", .kind = ARGS_COUNT, .ret_value = &o->count, .least = 1, .most = 1e12},
	    {.name = "devices",
		.kind = ARGS_COUNT,
		.ret_value = &o->devices,
		.least = 1,
		.most = FLEET_DEVICES_MAX},
	    {.name = "gateways",
		.kind = ARGS_COUNT,
		.ret_value = &o->gateways,
		.least = 1,
		.most = 1000},
	    {.name = "interval", .kind = ARGS_DURATION, .ret_value = &o->interval_ms},
	    {.name = "speed-up",
		.kind = ARGS_NUMBER,
		.ret_value = &o->speed_up,
		.least = 1,
		.most = 3600},
	    {.name = "format", .kind = ARGS_CHOICE, .ret_value = &o->format, .choices = formats},
	};
	return args_parse("simulate", argc, argv, table, ARRAY_COUNT(table), NULL, NULL);
}

/* What the table cannot say. */
static int
validate(struct command *c)
{
	struct options *o = &c->options;
	const char *start = o->start ? o->start : o->count ? COUNT_START : "now";
	const char *reason = NULL;
	if (datetime_parse(span_str(start), env_now_ms(c->env), &c->start_ms) || c->start_ms < 0)
		reason = "--start wants a time like 2026-01-01T00:00:00Z, 1700000000000 or -7d";
	else if (o->interval_ms < FLEET_INTERVAL_MS_MIN || o->interval_ms > 86400000)
		reason = "--interval lies between 100ms and 1d";
	else if (o->gateways > o->devices)
		reason = "every gateway has a device: --gateways is at most --devices";
	if (reason)
		fprintf(stderr, "weir simulate: %s\n", reason);
	return reason ? -EINVAL : 0;
}

static void
on_note(void *ctx, bool failed, const char *text)
{
	struct command *c = ctx;
	(void)failed;
	progress_wipe(&c->progress);
	fprintf(stderr, "weir simulate: %s\n", text);
}

static void
on_progress(void *ctx, uint64_t readings, double share)
{
	struct command *c = ctx;
	progress_show(&c->progress, readings, share);
}

/* Blocks what asks to stop; a descriptor that becomes readable instead. */
static int
catch_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	int fd = signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int
prepare(struct command *c)
{
	const struct options *o = &c->options;
	enum sender_format format = o->format ? SENDER_LINE : SENDER_JSON;
	bool past = !o->count && c->start_ms < env_now_ms(c->env);
	c->stop_fd = catch_signals();
	if (c->stop_fd < 0)
		return c->stop_fd;
	progress_init(&c->progress, c->env, "readings");
	int error = o->count ? expect_create((unsigned)o->devices, format, &c->expect) : 0;
	if (error)
		return error;
	struct drive_options drive = {
	    .fleet = {.seed = o->seed,
		.gateways = (unsigned)o->gateways,
		.devices = (unsigned)o->devices,
		.start_ms = c->start_ms,
		.interval_ms = past ? SIMULATE_HISTORY_INTERVAL_MS : (unsigned)o->interval_ms,
		.speed_up = past ? 1.0 : o->speed_up},
	    .sender = {.env = c->env,
		.address = o->url,
		.key = o->key ? o->key : getenv("WEIR_KEY"),
		.format = format,
		.stop_fd = c->stop_fd,
		.patience_ms = o->count ? 60000 : -1,
		.note = on_note,
		.note_ctx = c},
	    .progress = on_progress,
	    .progress_ctx = c,
	    .expect = c->expect,
	};
	return drive_create(&drive, &c->drive);
}

static int
print_expected(struct command *c)
{
	struct buf out;
	buf_init(&out, 0);
	int error = expect_write(c->expect, &out);
	if (!error && (fwrite(out.ptr, 1, out.len, stdout) != out.len || fflush(stdout) != 0))
		error = -EIO;
	buf_finish(&out);
	return error;
}

static int
run(struct command *c)
{
	const struct options *o = &c->options;
	int error;
	if (o->count) {
		error = drive_push(c->drive, INT64_MAX, o->count);
		progress_wipe(&c->progress);
		return error ? error : print_expected(c);
	}
	int64_t now = env_now_ms(c->env);
	error = drive_push(c->drive, now, UINT64_MAX);
	if (!error) {
		drive_set_pace(c->drive, now, (unsigned)o->interval_ms, o->speed_up);
		error = drive_live(c->drive);
	}
	progress_wipe(&c->progress);
	return error;
}

static int
report(struct command *c, int error)
{
	uint64_t readings = c->drive ? drive_readings(c->drive) : 0;
	if (error == -ECANCELED) {
		fprintf(stderr, "weir simulate: stopped after %llu readings\n",
		    (unsigned long long)readings);
		return c->options.count ? 1 : 0;
	}
	if (error == -EINVAL && !c->drive) {
		fprintf(stderr,
		    "weir simulate: --url '%s' is no address like "
		    "http://127.0.0.1:8080, or --key no key\n",
		    c->options.url);
		return 2;
	}
	const char *reason = c->drive ? drive_reason(c->drive) : "";
	fprintf(stderr, "weir simulate: %s\n", *reason ? reason : strerror(-error));
	return 1;
}

int
tools_simulate_main(int argc, char **argv)
{
	struct command c = {.stop_fd = -1,
	    .options = {.url = "http://127.0.0.1:8080",
		.seed = 1,
		.devices = SIMULATE_DEVICES,
		.gateways = SIMULATE_GATEWAYS,
		.interval_ms = 10000,
		.speed_up = 1.0}};
	int code = 2, parsed = parse(&c.options, argc, argv);
	if (parsed == ARGS_HELP)
		return fputs(help, stdout) < 0 || fflush(stdout) != 0;
	c.env = env_create();
	if (!c.env) {
		fprintf(stderr, "weir simulate: %s\n", strerror(ENOMEM));
		return 1;
	}
	if (parsed == 0 && validate(&c) == 0) {
		int error = prepare(&c);
		if (!error)
			error = run(&c);
		code = error ? report(&c, error) : 0;
	}
	drive_destroy(c.drive);
	expect_destroy(c.expect);
	if (c.stop_fd >= 0)
		close(c.stop_fd);
	env_destroy(c.env);
	return code;
}

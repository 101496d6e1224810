/*
 * demo.c: `weir demo`: an ordinary server whose key everybody knows, so on loopback only; a fleet
 * of simulated gateways that reports to it over HTTP; and what to try next.
 *
 * Without --data it keeps everything in a directory of its own that is gone at the end.
 */
#include "demo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"
#include "env.h"
#include "serve.h"
#include "simulate.h"

enum { HISTORY_HOURS = 24 };

struct demo {
	struct serve_args args;
	const char *speed_text, *seed_text, *devices_text;
	struct simulate_options fleet;
	struct simulate *simulate;
	struct log *log;
};

/* ── a directory of its own ── */

struct sweep {
	struct env *env;
	const char *dir;
	unsigned depth;
};

static void sweep_dir(struct env *env, const char *dir, unsigned depth);

static int
sweep_each(void *ctx, const char *name)
{
	const struct sweep *sweep = ctx;
	char path[DATA_PATH_BYTES];
	struct stat st;
	if (data_path(sweep->dir, name, path) || lstat(path, &st))
		return 0;
	if (S_ISDIR(st.st_mode))
		sweep_dir(sweep->env, path, sweep->depth + 1);
	else
		env_unlink(sweep->env, path);
	return 0;
}

/* Removes the directory with what is in it; a data directory is two levels deep. */
static void
sweep_dir(struct env *env, const char *dir, unsigned depth)
{
	struct sweep sweep = {env, dir, depth};
	if (depth > 2)
		return;
	env_list_dir(env, dir, sweep_each, &sweep);
	remove(dir);
}

/* ── around the server ── */

static void
fleet_note(void *ctx, bool failed, const char *text)
{
	struct demo *demo = ctx;
	log_event(
	    demo->log, failed ? LOG_WARN : LOG_INFO, "fleet", LOG_FIELDS(LOG_TEXT("note", text)));
}

static void
welcome_print(const char *address, double speed_up)
{
	printf("\n  Weir's demonstration: open %s/ in a browser.\n\n"
	       "  A simulated fleet of weather stations and refrigerators reports to it; their "
	       "time runs\n"
	       "  %g times faster (--speed-up). The key is %s, with all rights, the\n"
	       "  administrator " DEMO_USER " with the password " DEMO_PASSWORD "; everybody "
	       "knows them, so only\n"
	       "  this machine can connect. Ctrl-C ends.\n\n"
	       "  Try in another terminal: what was measured last, an hour by minutes, live "
	       "readings\n\n"
	       "    curl -H 'Authorization: Bearer " DEMO_KEY "' '%s/api/v1/latest?metric=temp'\n"
	       "    curl -H 'Authorization: Bearer " DEMO_KEY "'"
	       " '%s/api/v1/query?metric=temp&from=-1h&step=5m&agg=min,avg,max'\n"
	       "    curl -N -H 'Authorization: Bearer " DEMO_KEY "' -H 'Accept: text/event-stream'"
	       " '%s/api/v1/subscribe?channel=readings/%%23'\n\n",
	    address, speed_up, DEMO_KEY, address, address, address);
	fflush(stdout);
}

static int
demo_started(void *ctx, struct server *server, struct log *log)
{
	struct demo *demo = ctx;
	const char *address = server_address(server, 0);
	demo->log = log;
	demo->fleet.address = address;
	demo->fleet.key = DEMO_KEY;
	demo->fleet.history_ms = (int64_t)HISTORY_HOURS * 3600 * 1000;
	demo->fleet.note = fleet_note;
	demo->fleet.note_ctx = demo;
	int error = simulate_start(&demo->fleet, &demo->simulate);
	if (error) {
		fprintf(stderr, "weir demo: the fleet cannot start: %s\n", strerror(-error));
		return error;
	}
	welcome_print(address, demo->fleet.speed_up);
	return 0;
}

static void
demo_stopping(void *ctx)
{
	struct demo *demo = ctx;
	simulate_stop(demo->simulate);
	demo->simulate = NULL;
}

/* ── options ── */

static bool
number_read(const char *name, const char *text, double min, double max, double *value)
{
	char *end;
	if (!text)
		return true;
	double number = strtod(text, &end);
	if (end != text && !*end && number >= min && number <= max) {
		*value = number;
		return true;
	}
	fprintf(stderr, "weir demo: --%s is '%s'; it must be a number from %g to %g\n", name, text,
	    min, max);
	return false;
}

static bool
demo_check(struct demo *demo)
{
	double speed_up = SIMULATE_SPEED_UP, seed = 1, devices = SIMULATE_DEVICES;
	if (!number_read("speed-up", demo->speed_text, 1, 3600, &speed_up) ||
	    !number_read("seed", demo->seed_text, 0, 1e15, &seed) ||
	    !number_read("devices", demo->devices_text, SIMULATE_GATEWAYS, 100000, &devices))
		return false;
	demo->fleet.speed_up = speed_up;
	demo->fleet.seed = (uint64_t)seed;
	demo->fleet.devices = (unsigned)devices;
	for (size_t i = 0; i < demo->args.listen.count; i++) {
		bool loopback;
		const char *url = demo->args.listen.items[i];
		if (!server_address_check(url, &loopback) || loopback)
			continue; /* what is no address the server refuses */
		fprintf(stderr,
		    "weir demo: %s is not loopback, and the key of the demonstration is known "
		    "to everybody; use `weir serve` to be reached from elsewhere\n",
		    url);
		return false;
	}
	return true;
}

static int
demo_run(struct demo *demo)
{
	const struct serve_hooks hooks = {demo_started, demo_stopping, demo, DEMO_KEY};
	char dir[] = "/tmp/weir-demo-XXXXXX";
	bool own = !demo->args.data && !demo->args.check_config;
	if (own && !mkdtemp(dir)) {
		fprintf(
		    stderr, "weir demo: no directory can be made in /tmp: %s\n", strerror(errno));
		return 1;
	}
	if (own)
		demo->args.data = dir;
	int code = serve_program(&demo->args, &hooks);
	struct env *env = own ? env_create() : NULL;
	if (env)
		sweep_dir(env, dir, 0);
	env_destroy(env);
	return code;
}

int
demo_main(int argc, char **argv)
{
	struct demo demo = {0};
	const struct options_entry options[] = {
	    {"speed-up", "N", OPTIONS_TEXT, false, &demo.speed_text,
		"how much faster the fleet's time runs, 1 to 3600 (60)"},
	    {"seed", "N", OPTIONS_TEXT, false, &demo.seed_text,
		"the same seed gives the same fleet (1)"},
	    {"devices", "N", OPTIONS_TEXT, false, &demo.devices_text, "devices of the fleet (12)"},
	    {"data", "DIR", OPTIONS_TEXT, false, &demo.args.data,
		"keep everything there; without it a temporary directory, gone at the end"},
	    {"listen", "URL", OPTIONS_LIST, false, &demo.args.listen,
		"loopback only; " SERVE_LISTEN_DEFAULT " without it; may be repeated"},
	    SERVE_OPTIONS(&demo.args),
	    {0},
	};
	const struct options_command command = {
	    .usage = "weir demo [OPTIONS]",
	    .help =
		"Serves a simulated fleet of weather stations and refrigerators, a day of history\n"
		"first, then live. The key " DEMO_KEY " has all rights; the administrator is\n"
		DEMO_USER " with the password " DEMO_PASSWORD ".",
	    .options = options,
	};
	enum options_result result = options_parse(&command, argc, argv, stdout, stderr);
	if (result != OPTIONS_OK)
		return result == OPTIONS_HELP ? 0 : 2;
	return demo_check(&demo) ? demo_run(&demo) : 2;
}

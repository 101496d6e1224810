/*
 * bench_main.c: the command `weir bench`: options, repetition, lines of JSON, medians.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "args.h"
#include "bench.h"
#include "bench_push.h"
#include "check.h"
#include "tools.h"

struct kind {
	const char *name, *help;
	int (*run)(struct bench *b, unsigned run, struct bench_result *ret_result);
	struct bench_options defaults;
};

static const struct kind kinds[] = {
    {"ingest", "line protocol in, answered when durable", bench_ingest,
	{.readings = 10000000, .series = 1000, .batch = 5000, .connections = 4}},
    {"json", "JSON readings in, answered when durable", bench_json,
	{.readings = 5000000, .series = 1000, .batch = 5000, .connections = 4}},
    {"live", "from the durable answer to the subscriber, SSE and WebSocket", bench_live,
	{.rate = 1000, .duration_ms = 10000, .subscribers = 1, .connections = 16}},
    {"messages", "small bodies over many connections, and how soon they are visible",
	bench_messages,
	{.rate = 70000, .duration_ms = 10000, .series = 100000, .batch = 1, .connections = 200}},
    {"start", "from exec to ready, after kill -9 and after SIGTERM", bench_start,
	{.readings = 10000000, .series = 1000, .batch = 5000, .connections = 4}},
    {"idle", "memory and CPU of a server that nobody asks", bench_idle,
	{.readings = 1000000,
	    .series = 1000,
	    .batch = 5000,
	    .connections = 4,
	    .duration_ms = 10000}},
    {"query", "answers of the store, after a cold start and warm", bench_query,
	{.readings = 10000000, .series = 1000, .batch = 5000, .connections = 4}},
    {"codec", "chunks of points: their bytes, how fast they are made and read", bench_codec,
	{.readings = 50000000}},
    {"access", "credentials: their cost, many devices, changes, reads beside ingestion",
	bench_access,
	{.series = 100000,
	    .batch = 500,
	    .connections = 4,
	    .rate = 100000,
	    .duration_ms = 10000}},
    {"push", "subscribers: memory, broadcasts, saturation, many channels", bench_push,
	{.subscribers = 9500, .duration_ms = 3000}},
    {"channels", "channels and what they remember, ten times as many each time", bench_channels,
	{.series = 1000000}},
    {"crowd", "very many subscribers: memory, broadcasts, readings taken in meanwhile",
	bench_crowd, {.subscribers = 100000, .duration_ms = 10000}},
    {"longpoll", "long polls beside streams and bare loops, at equal messages an answer",
	bench_longpoll, {.subscribers = 1000, .duration_ms = 2000}},
};

static const char help_begin[] =
    "usage: weir bench KIND [OPTIONS]\n"
    "\n"
    "Measures this binary: starts servers of its own on loopback with new data directories.\n"
    "Prints a JSON line a run, then one with the median, least and most of each figure.\n"
    "Figures named limit_... are a bare loop of the same system calls in the same run.\n"
    "\n";

static const char help_end[] =
    "\n"
    "  --runs N          default 3\n"
    "  --readings N      readings in all; default by kind\n"
    "  --series N        devices they are spread over; of channels: how many\n"
    "  --batch N         readings a request\n"
    "  --connections N   connections of the load, each a thread\n"
    "  --rate N          readings a second (live, messages, access)\n"
    "  --subscribers N   of each transport (live, push, crowd, longpoll)\n"
    "  --duration TIME   of a measurement (live, push, crowd, longpoll, messages, idle, access)\n"
    "  --dir PATH        where data directories are made and removed; default $TMPDIR or\n"
    "                    /var/tmp; must be on the disk in question\n"
    "  --set K=V,...     settings of the servers\n"
    "  --peer NAME --peer-url URL --peer-pid PID\n"
    "                    measure another server, that runs already: for ingest one that takes\n"
    "                    line protocol at /write; for push (URL: HOST:PORT) NAME is nchan-ws,\n"
    "                    nchan-sse, redis, nats or mosquitto, for longpoll nchan\n"
    "\n"
    "exit codes: 0 done, 1 failed, 2 wrong usage\n";

static int
show_help(void)
{
	fputs(help_begin, stdout);
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
		printf("  %-8s %s\n", kinds[i].name, kinds[i].help);
	fputs(help_end, stdout);
	return fflush(stdout) != 0;
}

/* ── figures ── */

void
bench_figure_add(struct bench_result *result, const char *name, double value)
{
	check(result->count < BENCH_FIGURES_MAX);
	result->figures[result->count++] = (struct bench_figure){name, value};
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

void
bench_sort(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
}

double
bench_quantile(const double *sorted, size_t count, double share)
{
	size_t index = (size_t)(share * (double)count);
	return sorted[MIN(index, count - 1)];
}

double
bench_seconds(struct bench *b)
{
	return (double)env_mono_ns(b->env) / 1e9;
}

int
bench_fail(struct bench *b, int error, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(b->reason, sizeof(b->reason), format, args);
	va_end(args);
	return error;
}

/* ── lines ── */

static void
print_begin(const struct bench *b, const struct kind *kind)
{
	const struct bench_options *o = &b->options;
	printf("{\"bench\":\"%s\",\"server\":\"%s\",\"parameters\":{", kind->name,
	    o->peer ? o->peer : "weir " WEIR_VERSION);
	const struct {
		const char *name;
		uint64_t value, initial;
	} rows[] = {
	    {"readings", o->readings, kind->defaults.readings},
	    {"series", o->series, kind->defaults.series},
	    {"batch", o->batch, kind->defaults.batch},
	    {"connections", o->connections, kind->defaults.connections},
	    {"rate", o->rate, kind->defaults.rate},
	    {"subscribers", o->subscribers, kind->defaults.subscribers},
	    {"duration_ms", (uint64_t)o->duration_ms, (uint64_t)kind->defaults.duration_ms},
	};
	const char *comma = "";
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		if (!rows[i].initial)
			continue;
		printf("%s\"%s\":%llu", comma, rows[i].name, (unsigned long long)rows[i].value);
		comma = ",";
	}
	if (o->set)
		printf("%s\"set\":\"%s\"", comma, o->set);
	fputs("}", stdout);
}

static void
print_run(
    const struct bench *b, const struct kind *kind, unsigned run, const struct bench_result *result)
{
	print_begin(b, kind);
	printf(",\"run\":%u,\"figures\":{", run + 1);
	for (size_t i = 0; i < result->count; i++)
		printf("%s\"%s\":%.6g", i ? "," : "", result->figures[i].name,
		    result->figures[i].value);
	puts("}}");
	fflush(stdout);
}

/* Every run of a kind adds the same figures in the same order. */
static void
print_medians(const struct bench *b, const struct kind *kind, const struct bench_result *results)
{
	size_t runs = b->options.runs;
	print_begin(b, kind);
	printf(",\"runs\":%zu,\"median\":{", runs);
	for (int what = 0; what < 3; what++) {
		static const char *const heads[] = {"", "},\"least\":{", "},\"most\":{"};
		fputs(heads[what], stdout);
		for (size_t i = 0; i < results[0].count; i++) {
			double values[BENCH_RUNS_MAX];
			for (size_t r = 0; r < runs; r++)
				values[r] = results[r].figures[i].value;
			bench_sort(values, runs);
			size_t at = what == 0 ? runs / 2 : what == 1 ? 0 : runs - 1;
			double value = values[at];
			if (what == 0 && runs % 2 == 0)
				value = (values[at] + values[at - 1]) / 2;
			printf("%s\"%s\":%.6g", i ? "," : "", results[0].figures[i].name, value);
		}
	}
	puts("}}");
	fflush(stdout);
}

/* ── the command ── */

static int
parse(struct bench_options *o, int argc, char **argv)
{
	const struct args_option table[] = {
	    {.name = "runs",
		.kind = ARGS_COUNT,
		.ret_value = &o->runs,
		.least = 1,
		.most = BENCH_RUNS_MAX},
	    {.name = "readings",
		.kind = ARGS_COUNT,
		.ret_value = &o->readings,
		.least = 1,
		.most = 1e10},
	    {.name = "series",
		.kind = ARGS_COUNT,
		.ret_value = &o->series,
		.least = 1,
		.most = 1e7},
	    {.name = "batch", .kind = ARGS_COUNT, .ret_value = &o->batch, .least = 1, .most = 1e5},
	    {.name = "connections",
		.kind = ARGS_COUNT,
		.ret_value = &o->connections,
		.least = 1,
		.most = 256},
	    {.name = "rate", .kind = ARGS_COUNT, .ret_value = &o->rate, .least = 1, .most = 1e6},
	    {.name = "subscribers",
		.kind = ARGS_COUNT,
		.ret_value = &o->subscribers,
		.least = 1,
		.most = 1000000},
	    {.name = "duration", .kind = ARGS_DURATION, .ret_value = &o->duration_ms},
	    {.name = "dir", .kind = ARGS_STRING, .ret_value = &o->dir},
	    {.name = "set", .kind = ARGS_STRING, .ret_value = &o->set},
	    {.name = "peer", .kind = ARGS_STRING, .ret_value = &o->peer},
	    {.name = "peer-url", .kind = ARGS_STRING, .ret_value = &o->peer_url},
	    {.name = "peer-pid",
		.kind = ARGS_COUNT,
		.ret_value = &o->peer_pid,
		.least = 1,
		.most = INT32_MAX},
	};
	return args_parse("bench", argc, argv, table, ARRAY_COUNT(table), NULL, NULL);
}

static int
prepare(struct bench *b)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	b->stop_fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (b->stop_fd < 0)
		return bench_fail(b, -errno, "signalfd: %s", strerror(errno));
	const char *tmp = getenv("TMPDIR"), *dir = b->options.dir;
	dir = dir ? dir : tmp && *tmp ? tmp : "/var/tmp";
	int len = snprintf(b->home, sizeof(b->home), "%s/weir-bench-XXXXXX", dir);
	if (len < 0 || len >= (int)sizeof(b->home) - 64 || !mkdtemp(b->home)) {
		b->home[0] = '\0';
		return bench_fail(b, -errno, "%s: %s", dir, strerror(errno));
	}
	return 0;
}

static int
repeat(struct bench *b, const struct kind *kind)
{
	struct bench_result results[BENCH_RUNS_MAX];
	for (unsigned run = 0; run < b->options.runs; run++) {
		results[run].count = 0;
		int error = kind->run(b, run, &results[run]);
		progress_wipe(&b->progress);
		if (error)
			return error;
		print_run(b, kind, run, &results[run]);
	}
	print_medians(b, kind, results);
	return 0;
}

static int
run_kind(const struct kind *kind, int argc, char **argv)
{
	struct bench b = {.options = kind->defaults, .stop_fd = -1};
	b.options.runs = 3;
	int error = parse(&b.options, argc, argv);
	if (error)
		return error == ARGS_HELP ? show_help() : 2;
	bool peer = b.options.peer || b.options.peer_url || b.options.peer_pid;
	if (peer && !(b.options.peer && b.options.peer_url && b.options.peer_pid)) {
		fputs("weir bench: --peer, --peer-url and --peer-pid go together\n", stderr);
		return 2;
	}
	b.env = env_create();
	error = b.env ? prepare(&b) : -ENOMEM;
	if (!error) {
		progress_init(&b.progress, b.env, "readings");
		error = repeat(&b, kind);
	}
	if (error)
		fprintf(stderr, "weir bench: %s\n", b.reason[0] ? b.reason : strerror(-error));
	if (b.home[0])
		bench_remove(b.env, b.home);
	if (b.stop_fd >= 0)
		close(b.stop_fd);
	env_destroy(b.env);
	return error ? 1 : 0;
}

int
tools_bench_main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return run_kind(&kinds[i], argc - 1, argv + 1);
	/* What `idle` compares with: a process of this program that does nothing. */
	if (strcmp(name, "nothing") == 0)
		return pause();
	/* What `push` compares with. */
	if (strcmp(name, "push-bare") == 0)
		return bench_push_bare_main();
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return show_help();
	fprintf(stderr, "weir bench: %s%s; see weir bench --help\n",
	    *name ? "no kind " : "which kind?", name);
	return 2;
}

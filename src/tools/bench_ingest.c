/*
 * bench_ingest.c: `weir bench ingest` and `json`: how many readings a second get durable.
 */
#include <errno.h>
#include <signal.h>

#include "bench.h"

static int
measure(struct bench *b, struct bench_server *server, struct bench_load *load,
    struct bench_result *ret_result)
{
	struct bench_load_result got, bare;
	double syncs;
	uint64_t stored = 0;
	double cpu = bench_cpu_seconds(server->pid);
	int error = bench_load_run(b, load, &got);
	if (error)
		return error;
	cpu = bench_cpu_seconds(server->pid) - cpu;
	double rss = bench_memory_kb(server->pid, "Rss"), pss = bench_memory_kb(server->pid, "Pss");
	error = bench_load_stored(b, load, &got, &stored);
	if (!error && stored != got.readings)
		error = bench_fail(b, -EPROTO, "%llu readings were acknowledged, %llu are stored",
		    (unsigned long long)got.readings, (unsigned long long)stored);
	if (!error)
		error = bench_server_end(b, server, SIGTERM);
	if (!error)
		error = bench_limit_bare(b, load, &bare);
	if (!error)
		error = bench_limit_sync(b, &syncs);
	if (error)
		return error;
	double count = (double)got.readings;
	bench_figure_add(ret_result, "readings_per_s", count / got.seconds);
	bench_figure_add(ret_result, "server_cpu_us_per_reading", cpu * 1e6 / count);
	bench_figure_add(ret_result, "request_p50_ms", got.p50_ms);
	bench_figure_add(ret_result, "request_p99_ms", got.p99_ms);
	bench_figure_add(ret_result, "body_bytes_per_reading", (double)got.bytes / count);
	bench_figure_add(ret_result, "rss_mb", rss / 1024);
	bench_figure_add(ret_result, "pss_mb", pss / 1024);
	bench_figure_add(ret_result, "limit_readings_per_s", (double)bare.readings / bare.seconds);
	bench_figure_add(ret_result, "limit_request_p50_ms", bare.p50_ms);
	bench_figure_add(ret_result, "limit_fdatasync_per_s", syncs);
	return 0;
}

static int
run(struct bench *b, bool json, struct bench_result *ret_result)
{
	const struct bench_options *o = &b->options;
	struct bench_server server;
	char authorization[256];
	int error = bench_server_init(b, &server);
	if (!error)
		error = bench_server_start(b, &server, false);
	if (!error) {
		bench_authorization(&server, authorization, sizeof(authorization));
		struct bench_load load = {.address = server.address,
		    .authorization = authorization,
		    .json = json,
		    .readings = o->readings,
		    .series = o->series,
		    .batch = o->batch,
		    .connections = o->connections};
		error = measure(b, &server, &load, ret_result);
	}
	bench_server_finish(b, &server);
	return error;
}

/* The same load to a server that somebody else started. Every run has times of its own: peers pay
 * for writing a point twice. */
static int
run_peer(struct bench *b, unsigned number, struct bench_result *ret_result)
{
	const struct bench_options *o = &b->options;
	struct bench_load load = {.address = o->peer_url,
	    .readings = o->readings,
	    .series = o->series,
	    .batch = o->batch,
	    .connections = o->connections};
	int64_t day_ms = 86400000, span_ms = (int64_t)(o->readings / o->series + 2 * o->batch + 2) *
					     BENCH_LOAD_STEP_MS;
	load.base_ms = env_now_ms(b->env) / day_ms * day_ms - (int64_t)(number + 1) * span_ms;
	struct bench_load_result got;
	pid_t pid = (pid_t)o->peer_pid;
	double cpu = bench_cpu_seconds(pid);
	int error = bench_load_run(b, &load, &got);
	if (error)
		return error;
	cpu = bench_cpu_seconds(pid) - cpu;
	double count = (double)got.readings;
	bench_figure_add(ret_result, "readings_per_s", count / got.seconds);
	bench_figure_add(ret_result, "server_cpu_us_per_reading", cpu * 1e6 / count);
	bench_figure_add(ret_result, "request_p50_ms", got.p50_ms);
	bench_figure_add(ret_result, "request_p99_ms", got.p99_ms);
	bench_figure_add(ret_result, "rss_mb", bench_memory_kb(pid, "Rss") / 1024);
	return 0;
}

int
bench_ingest(struct bench *b, unsigned number, struct bench_result *ret_result)
{
	if (b->options.peer_url)
		return run_peer(b, number, ret_result);
	return run(b, false, ret_result);
}

int
bench_json(struct bench *b, unsigned number, struct bench_result *ret_result)
{
	(void)number;
	return run(b, true, ret_result);
}

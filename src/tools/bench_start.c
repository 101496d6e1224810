/*
 * bench_start.c: `weir bench start` and `idle`.
 *
 * start: the store is filled once. The server is then killed and started as often as there are
 * runs (each replays the journal since the last flush), then told to stop and started as often
 * (nothing to replay). The clock runs from fork to the first 200 of /readyz.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>

#include "bench.h"
#include "check.h"

/* What a bench fills a store with, and how to ask for it again. */
struct filling {
	char authorization[256];
	struct bench_load load;
	struct bench_load_result result;
};

static int
fill(struct bench *b, const struct bench_server *server, struct filling *ret_filling)
{
	const struct bench_options *o = &b->options;
	struct filling *f = ret_filling;
	bench_authorization(server, f->authorization, sizeof(f->authorization));
	f->load = (struct bench_load){.address = server->address,
	    .authorization = f->authorization,
	    .readings = o->readings,
	    .series = o->series,
	    .batch = o->batch,
	    .connections = o->connections};
	return bench_load_run(b, &f->load, &f->result);
}

/* Ready means that all is there. */
static int
check_filling(struct bench *b, const struct filling *f)
{
	uint64_t stored;
	int error = bench_load_stored(b, &f->load, &f->result, &stored);
	if (!error && stored != f->result.readings)
		error = bench_fail(b, -EPROTO, "%llu points were stored, %llu are there",
		    (unsigned long long)f->result.readings, (unsigned long long)stored);
	return error;
}

/* Ends it by `signal` and starts it again, `runs` times. */
static int
restart(struct bench *b, struct bench_server *server, const struct filling *filling, int signal,
    double *ret_ms)
{
	for (unsigned i = 0; i < b->options.runs; i++) {
		int error = bench_server_end(b, server, signal);
		double began = bench_seconds(b);
		if (!error)
			error = bench_server_start(b, server, false);
		ret_ms[i] = (bench_seconds(b) - began) * 1e3;
		if (!error)
			error = check_filling(b, filling);
		if (error)
			return error;
	}
	return 0;
}

static int
restart_all(struct bench *b, struct bench_server *server)
{
	struct filling filling;
	int error = bench_server_start(b, server, false);
	if (!error)
		error = fill(b, server, &filling);
	if (!error)
		error = restart(b, server, &filling, SIGKILL, b->starts[0]);
	if (!error)
		error = restart(b, server, &filling, SIGTERM, b->starts[1]);
	return error;
}

int
bench_start(struct bench *b, unsigned run, struct bench_result *ret_result)
{
	if (run == 0) {
		struct bench_server server;
		int error = bench_server_init(b, &server);
		if (!error)
			error = restart_all(b, &server);
		double read_s;
		uint64_t bytes;
		if (!error)
			error = bench_limit_read(b, server.data, &read_s, &bytes);
		bench_server_finish(b, &server);
		if (error)
			return error;
		b->read_ms = read_s * 1e3;
		b->data_mb = (double)bytes / 1e6;
	}
	bench_figure_add(ret_result, "start_after_kill_ms", b->starts[0][run]);
	bench_figure_add(ret_result, "start_after_term_ms", b->starts[1][run]);
	bench_figure_add(ret_result, "data_mb", b->data_mb);
	bench_figure_add(ret_result, "limit_read_data_ms", b->read_ms);
	return 0;
}

/* ── idle ── */

enum { SETTLE_MS = 2000 };

/* Waits; -ECANCELED when told to stop. */
static int
wait_ms(struct bench *b, int64_t ms)
{
	struct pollfd stop = {.fd = b->stop_fd, .events = POLLIN};
	return poll(&stop, 1, (int)ms) > 0 ? -ECANCELED : 0;
}

/* What a server and a process that does nothing use while nobody asks anything. */
static int
watch(struct bench *b, const struct bench_server *server, struct bench_result *ret_result)
{
	pid_t nothing;
	int error = wait_ms(b, MIN(SETTLE_MS, b->options.duration_ms));
	if (!error)
		error = bench_nothing_start(b, &nothing);
	if (error)
		return error;
	double cpu = bench_cpu_seconds(server->pid), began = bench_seconds(b);
	error = wait_ms(b, b->options.duration_ms);
	cpu = bench_cpu_seconds(server->pid) - cpu;
	double seconds = bench_seconds(b) - began;
	bench_figure_add(ret_result, "pss_mb", bench_memory_kb(server->pid, "Pss") / 1024);
	bench_figure_add(ret_result, "rss_mb", bench_memory_kb(server->pid, "Rss") / 1024);
	bench_figure_add(ret_result, "cpu_percent", cpu / seconds * 100);
	bench_figure_add(ret_result, "limit_pss_mb", bench_memory_kb(nothing, "Pss") / 1024);
	bench_nothing_end(nothing);
	return error;
}

int
bench_idle(struct bench *b, unsigned run, struct bench_result *ret_result)
{
	struct bench_server server;
	struct filling filling;
	(void)run;
	int error = bench_server_init(b, &server);
	if (!error)
		error = bench_server_start(b, &server, false);
	if (!error)
		error = watch(b, &server, ret_result);
	if (!error)
		error = fill(b, &server, &filling);
	if (!error)
		error = bench_server_end(b, &server, SIGTERM);
	if (!error)
		error = bench_server_start(b, &server, false);
	if (!error)
		error = wait_ms(b, MIN(SETTLE_MS, b->options.duration_ms));
	if (!error)
		bench_figure_add(
		    ret_result, "pss_with_data_mb", bench_memory_kb(server.pid, "Pss") / 1024);
	bench_server_finish(b, &server);
	return error;
}

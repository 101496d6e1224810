/*
 * bench_query.c: `weir bench query`: the questions of docs/benchmarks.md to a store that was filled
 * and started anew; each once cold, in this order, then QUERIES times warm.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "check.h"
#include "http_client.h"

enum { QUERIES = 50, WIDE_QUERIES = 5, KINDS = 5, ALL_HOURLY = 3 };

struct question {
	const char *name_cold, *name_warm;
	unsigned repeat;
	char target[300];
};

static void
questions_init(
    struct question questions[KINDS], const struct bench_load_result *filled, uint64_t per_series)
{
	static const char metric[] = "/api/v1/query?metric=sensor.temp";
	long long from = filled->base_ms, to = filled->end_ms;
	long long some = from + (long long)per_series / 2 * BENCH_LOAD_STEP_MS;
	questions[0] = (struct question){"last_cold_ms", "last_p50_ms", QUERIES, ""};
	snprintf(questions[0].target, sizeof(questions[0].target),
	    "/api/v1/latest?metric=sensor.temp&device=100007");
	questions[1] = (struct question){"raw1000_cold_ms", "raw1000_p50_ms", QUERIES, ""};
	snprintf(questions[1].target, sizeof(questions[1].target),
	    "%s&device=100007&from=%lld&to=%lld&limit=1000", metric, some, to);
	questions[2] = (struct question){"hourly_cold_ms", "hourly_p50_ms", QUERIES, ""};
	snprintf(questions[2].target, sizeof(questions[2].target),
	    "%s&device=100007&from=%lld&to=%lld&step=1h&agg=avg,min,max", metric, from, to);
	questions[ALL_HOURLY] =
	    (struct question){"all_hourly_cold_ms", "all_hourly_p50_ms", WIDE_QUERIES, ""};
	snprintf(questions[ALL_HOURLY].target, sizeof(questions[ALL_HOURLY].target),
	    "%s&from=%lld&to=%lld&step=1h&agg=avg,min,max", metric, from, to);
	/* No roll-up fits such buckets. */
	questions[4] =
	    (struct question){"all_points_cold_ms", "all_points_p50_ms", WIDE_QUERIES, ""};
	snprintf(questions[4].target, sizeof(questions[4].target),
	    "%s&from=%lld&to=%lld&step=59m&agg=avg,min,max", metric, from, to);
}

static int
ask(struct bench *b, struct http_client *client, const struct question *q, double *ret_ms,
    size_t *ret_bytes)
{
	struct http_client_reply reply;
	double began = bench_seconds(b);
	int error = http_client_call(client, "GET", q->target, NULL, SPAN(""), &reply);
	*ret_ms = (bench_seconds(b) - began) * 1e3;
	if (error)
		return bench_fail(b, error, "%s: %s", q->target, strerror(-error));
	*ret_bytes = reply.body.len;
	if (reply.status != 200 || reply.body.len < 40)
		return bench_fail(b, -EPROTO, "%s answered %u: %.*s", q->target, reply.status,
		    (int)MIN(reply.body.len, 200), reply.body.ptr ? reply.body.ptr : "");
	return 0;
}

static int
ask_all(struct bench *b, struct http_client *client, struct question questions[KINDS],
    struct bench_result *ret_result)
{
	double ms[QUERIES];
	size_t bytes[KINDS];
	for (int i = 0; i < KINDS; i++) {
		int error = ask(b, client, &questions[i], ms, &bytes[i]);
		if (error)
			return error;
		bench_figure_add(ret_result, questions[i].name_cold, ms[0]);
	}
	for (int i = 0; i < KINDS; i++) {
		unsigned repeat = questions[i].repeat;
		for (unsigned k = 0; k < repeat; k++) {
			int error = ask(b, client, &questions[i], &ms[k], &bytes[i]);
			if (error)
				return error;
		}
		bench_sort(ms, repeat);
		bench_figure_add(
		    ret_result, questions[i].name_warm, bench_quantile(ms, repeat, 0.5));
	}
	bench_figure_add(ret_result, "all_hourly_answer_mb", (double)bytes[ALL_HOURLY] / 1e6);
	return 0;
}

static int
measure(struct bench *b, const struct bench_server *server, struct question questions[KINDS],
    struct bench_result *ret_result)
{
	char authorization[256];
	bench_authorization(server, authorization, sizeof(authorization));
	struct http_client_options options = {
	    .address = server->address, .authorization = authorization, .stop_fd = b->stop_fd};
	struct http_client *client;
	double wake_p50, wake_p99, scan_s;
	int error = http_client_create(&options, &client);
	if (error)
		return error;
	error = ask_all(b, client, questions, ret_result);
	http_client_destroy(client);
	if (!error)
		error = bench_limit_wake(b, 1000, 100, &wake_p50, &wake_p99);
	if (!error)
		error = bench_limit_scan(b, b->options.readings, &scan_s);
	if (error)
		return error;
	bench_figure_add(ret_result, "rss_mb", bench_memory_kb(server->pid, "Rss") / 1024);
	bench_figure_add(ret_result, "limit_round_trip_ms", 2 * wake_p50);
	bench_figure_add(ret_result, "limit_scan_all_ms", scan_s * 1e3);
	return 0;
}

int
bench_query(struct bench *b, unsigned run, struct bench_result *ret_result)
{
	const struct bench_options *o = &b->options;
	struct bench_server server;
	struct bench_load_result filled;
	struct question questions[KINDS];
	char authorization[256];
	(void)run;
	int error = bench_server_init(b, &server);
	if (!error)
		error = bench_server_start(b, &server, false);
	if (!error) {
		bench_authorization(&server, authorization, sizeof(authorization));
		struct bench_load load = {.address = server.address,
		    .authorization = authorization,
		    .readings = o->readings,
		    .series = o->series,
		    .batch = o->batch,
		    .connections = o->connections};
		error = bench_load_run(b, &load, &filled);
	}
	if (!error)
		error = bench_server_end(b, &server, SIGTERM);
	if (!error)
		error = bench_server_start(b, &server, false);
	if (!error) {
		questions_init(questions, &filled, o->readings / o->series);
		error = measure(b, &server, questions, ret_result);
	}
	bench_server_finish(b, &server);
	return error;
}

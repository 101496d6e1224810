/*
 * bench_load.c: readings in bulk: threads that post prepared bodies.
 *
 * Each connection has series of its own. A body holds `rounds` readings of each of some series;
 * there are as many bodies as it takes to go through the connection's series once (a cycle), and
 * variants with other values. Values are a walk in tenths of a degree. Times have 13 digits, so
 * between two uses of a body only the digits of its times are replaced: the load costs the machine
 * little more than its system calls.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "check.h"
#include "http_client.h"
#include "num.h"
#include "prng.h"
#include "thread.h"

enum { TIME_DIGITS = 13, BODIES_WANTED = 8 };

struct stamp {
	uint32_t offset; /* of a time's digits in the body */
	uint32_t round;
};

struct body {
	struct buf text;
	struct stamp *stamps;
	size_t count;
};

struct worker {
	const struct bench_load *load;
	struct bench *bench;
	struct http_client *client;
	uint64_t first, series; /* of this connection */
	uint64_t rounds, parts, variants;
	uint64_t requests;
	struct body *bodies; /* parts × variants */
	int32_t *walks;	     /* each series' value in tenths */
	struct prng prng;
	double *latencies; /* ms, of each request */
	uint64_t readings, bytes;
	int error;
	char reason[300];
	pthread_t thread;
	bool started;
};

/* ── bodies ── */

static void
write_value(struct worker *w, struct buf *out, uint64_t series)
{
	int32_t *walk = &w->walks[series];
	*walk += (int32_t)prng_below(&w->prng, 3) - 1;
	*walk = MIN(MAX(*walk, 10), 400);
	buf_printf(out, "%d.%d", *walk / 10, *walk % 10);
}

static void
write_time(struct body *body, uint64_t round)
{
	body->stamps[body->count++] = (struct stamp){(uint32_t)body->text.len, (uint32_t)round};
	buf_append(&body->text, "0000000000000", TIME_DIGITS);
}

static void
write_lines(struct worker *w, struct body *body, uint64_t from, uint64_t to)
{
	for (uint64_t round = 0; round < w->rounds; round++) {
		for (uint64_t i = from; i < to; i++) {
			unsigned long long id = BENCH_LOAD_FIRST_DEVICE + w->first + i;
			buf_printf(&body->text, "sensor,device=%llu temp=", id);
			write_value(w, &body->text, i);
			buf_append_byte(&body->text, ' ');
			write_time(body, round);
			buf_append_byte(&body->text, '\n');
		}
	}
}

static void
write_items(struct worker *w, struct body *body, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++) {
		unsigned long long id = BENCH_LOAD_FIRST_DEVICE + w->first + i;
		buf_printf(&body->text, "%c{\"device\":{\"id\":%llu},\"readings\":[",
		    i == from ? '[' : ',', id);
		for (uint64_t round = 0; round < w->rounds; round++) {
			buf_append_str(&body->text, round ? ",{\"time\":" : "{\"time\":");
			write_time(body, round);
			buf_append_str(&body->text, ",\"temp\":");
			write_value(w, &body->text, i);
			buf_append_byte(&body->text, '}');
		}
		buf_append_str(&body->text, "]}");
	}
	buf_append_byte(&body->text, ']');
}

static int
body_create(struct worker *w, struct body *body, uint64_t part)
{
	uint64_t wide = MIN(w->series, w->load->batch);
	uint64_t from = part * wide, to = MIN(from + wide, w->series);
	buf_init(&body->text, 0);
	body->stamps = calloc((to - from) * w->rounds, sizeof(*body->stamps));
	if (!body->stamps)
		return -ENOMEM;
	if (w->load->json)
		write_items(w, body, from, to);
	else
		write_lines(w, body, from, to);
	return body->text.error;
}

static int
worker_init(struct worker *w, struct bench *b, const struct bench_load *load, uint64_t index)
{
	uint64_t series = MAX(load->series, load->connections);
	*w = (struct worker){.load = load, .bench = b, .prng = {index + 1}};
	w->first = series * index / load->connections;
	w->series = series * (index + 1) / load->connections - w->first;
	uint64_t wide = MIN(w->series, load->batch);
	w->rounds = MAX(load->batch / w->series, 1);
	w->parts = (w->series + wide - 1) / wide;
	w->variants = MAX(BODIES_WANTED / w->parts, 1);
	/* Whole cycles, then as many bodies as the rest takes. */
	uint64_t share = MAX(load->readings / load->connections, 1);
	uint64_t a_cycle = w->series * w->rounds, a_body = wide * w->rounds;
	w->requests = share / a_cycle * w->parts + (share % a_cycle + a_body - 1) / a_body;
	struct http_client_options options = {
	    .address = load->address, .authorization = load->authorization, .stop_fd = b->stop_fd};
	int error = http_client_create(&options, &w->client);
	w->bodies = calloc(w->parts * w->variants, sizeof(*w->bodies));
	w->walks = calloc(w->series, sizeof(*w->walks));
	w->latencies = calloc(w->requests, sizeof(*w->latencies));
	if (error || !w->bodies || !w->walks || !w->latencies)
		return error ? error : -ENOMEM;
	for (uint64_t i = 0; i < w->series; i++)
		w->walks[i] = (int32_t)(150 + prng_below(&w->prng, 100));
	for (uint64_t i = 0; i < w->parts * w->variants && !error; i++)
		error = body_create(w, &w->bodies[i], i % w->parts);
	return error;
}

static void
worker_finish(struct worker *w)
{
	http_client_destroy(w->client);
	for (uint64_t i = 0; w->bodies && i < w->parts * w->variants; i++) {
		buf_finish(&w->bodies[i].text);
		free(w->bodies[i].stamps);
	}
	free(w->bodies);
	free(w->walks);
	free(w->latencies);
}

/* ── posting ── */

static void
body_stamp(const struct worker *w, struct body *body, uint64_t cycle)
{
	char digits[TIME_DIGITS + 8];
	uint32_t known = UINT32_MAX;
	for (size_t i = 0; i < body->count; i++) {
		uint32_t round = body->stamps[i].round;
		if (round != known) {
			uint64_t step = cycle * w->rounds + round;
			uint64_t time = (uint64_t)w->load->base_ms + step * BENCH_LOAD_STEP_MS;
			check(num_format_u64(digits, time) == TIME_DIGITS);
			known = round;
		}
		memcpy(body->text.ptr + body->stamps[i].offset, digits, TIME_DIGITS);
	}
}

static int
post(struct worker *w, struct body *body, double *ret_ms)
{
	struct http_client_reply reply;
	bool json = w->load->json;
	double began = bench_seconds(w->bench);
	int error = http_client_call(w->client, "POST",
	    json ? "/api/v1/readings" : "/write?db=bench&precision=ms", NULL, buf_span(&body->text),
	    &reply);
	*ret_ms = (bench_seconds(w->bench) - began) * 1e3;
	if (error) {
		snprintf(
		    w->reason, sizeof(w->reason), "%s: %s", w->load->address, strerror(-error));
		return error;
	}
	if (reply.status == 204 ||
	    (reply.status == 202 && memmem(reply.body.ptr, reply.body.len, "\"rejected\":[]", 13)))
		return 0;
	snprintf(w->reason, sizeof(w->reason), "%s answered %u: %.*s", w->load->address,
	    reply.status, (int)MIN(reply.body.len, 200), reply.body.ptr ? reply.body.ptr : "");
	return -EPROTO;
}

/* Each connection sends its share of the rate, at times of its own. */
static void
wait_turn(const struct worker *w, double began)
{
	double share = (double)w->load->rate / (double)w->load->connections;
	double phase = (double)w->load->batch * (double)w->first / (double)w->load->series;
	double early = w->load->rate ?
	    began + ((double)w->readings + phase) / share - bench_seconds(w->bench) : 0;
	if (early > 0)
		nanosleep(&(struct timespec){(time_t)early,
			      (long)((early - (double)(time_t)early) * 1e9)}, NULL);
}

static void
work(void *ctx)
{
	struct worker *w = ctx;
	double began = bench_seconds(w->bench);
	for (uint64_t n = 0; n < w->requests && !w->error; n++) {
		wait_turn(w, began);
		uint64_t cycle = n / w->parts, variant = cycle % w->variants;
		struct body *body = &w->bodies[variant * w->parts + n % w->parts];
		body_stamp(w, body, cycle);
		w->error = post(w, body, &w->latencies[n]);
		w->readings += body->count;
		w->bytes += body->text.len;
	}
}

static int
gather(struct bench *b, struct worker *workers, struct bench_load_result *ret_result)
{
	struct bench_load_result r = *ret_result;
	uint64_t connections = workers[0].load->connections, at = 0;
	for (uint64_t i = 0; i < connections; i++) {
		if (workers[i].error)
			return bench_fail(b, workers[i].error, "%s", workers[i].reason);
		r.readings += workers[i].readings;
		r.requests += workers[i].requests;
		r.bytes += workers[i].bytes;
	}
	double *all = calloc(r.requests, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (uint64_t i = 0; i < connections; at += workers[i++].requests)
		memcpy(all + at, workers[i].latencies, workers[i].requests * sizeof(*all));
	bench_sort(all, r.requests);
	r.p50_ms = bench_quantile(all, r.requests, 0.5);
	r.p99_ms = bench_quantile(all, r.requests, 0.99);
	free(all);
	*ret_result = r;
	return 0;
}

static int
run_workers(struct bench *b, struct worker *workers, struct bench_load_result *result)
{
	uint64_t connections = workers[0].load->connections;
	int error = 0;
	double began = bench_seconds(b);
	for (uint64_t i = 0; i < connections && !error; i++) {
		error = thread_start(&workers[i].thread, "load", work, &workers[i]);
		workers[i].started = !error;
	}
	for (uint64_t i = 0; i < connections; i++)
		if (workers[i].started)
			thread_join(workers[i].thread);
	result->seconds = bench_seconds(b) - began;
	return error ? error : gather(b, workers, result);
}

int
bench_load_run(
    struct bench *b, const struct bench_load *given, struct bench_load_result *ret_result)
{
	struct bench_load load = *given;
	/* The last readings are of about now. */
	uint64_t least = MAX(load.series / load.connections, 1); /* series of a connection */
	uint64_t steps = load.readings / load.connections / least + 2 + 2 * load.batch;
	int64_t span_ms = (int64_t)steps * BENCH_LOAD_STEP_MS;
	if (!load.base_ms)
		load.base_ms =
		    env_now_ms(b->env) / BENCH_LOAD_STEP_MS * BENCH_LOAD_STEP_MS - span_ms;
	struct bench_load_result result = {
	    .base_ms = load.base_ms, .end_ms = load.base_ms + span_ms};
	struct worker *workers = calloc(load.connections, sizeof(*workers));
	if (!workers)
		return -ENOMEM;
	int error = 0;
	for (uint64_t i = 0; i < load.connections && !error; i++)
		error = worker_init(&workers[i], b, &load, i);
	if (!error)
		error = run_workers(b, workers, &result);
	for (uint64_t i = 0; i < load.connections; i++)
		worker_finish(&workers[i]);
	free(workers);
	if (!error)
		*ret_result = result;
	return error;
}

/* ── what arrived ── */

/* Adds up the last column of a CSV answer. */
static uint64_t
sum_counts(struct span csv)
{
	uint64_t sum = 0;
	while (csv.len > 0) {
		const char *end = memchr(csv.ptr, '\n', csv.len);
		struct span line = span_of(csv.ptr, end ? (size_t)(end - csv.ptr) : csv.len);
		csv = span_skip(csv, line.len + (end != NULL));
		const char *comma = memrchr(line.ptr, ',', line.len);
		uint64_t count;
		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (comma &&
		    num_parse_u64(span_skip(line, (size_t)(comma + 1 - line.ptr)), &count) == 0)
			sum += count;
	}
	return sum;
}

int
bench_load_stored(struct bench *b, const struct bench_load *load,
    const struct bench_load_result *result, uint64_t *ret_points)
{
	struct http_client_options options = {
	    .address = load->address, .authorization = load->authorization, .stop_fd = b->stop_fd};
	struct http_client *client;
	struct http_client_reply reply;
	char target[256];
	snprintf(target, sizeof(target),
	    "/api/v1/query?metric=%stemp&from=%lld&to=%lld&step=1000d&agg=count",
	    load->json ? "" : "sensor.", (long long)result->base_ms, (long long)result->end_ms);
	int error = http_client_create(&options, &client);
	if (error)
		return error;
	error = http_client_add_header(client, "Accept: text/csv");
	if (!error)
		error = http_client_call(client, "GET", target, NULL, SPAN(""), &reply);
	if (error)
		bench_fail(b, error, "%s: %s", load->address, strerror(-error));
	else if (reply.status != 200)
		error = bench_fail(b, -EPROTO, "%s answered %u: %.*s", target, reply.status,
		    (int)MIN(reply.body.len, 200), reply.body.ptr ? reply.body.ptr : "");
	else
		*ret_points = sum_counts(reply.body);
	http_client_destroy(client);
	return error;
}

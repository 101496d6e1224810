/*
 * bench_access.c: `weir bench access`: what credentials and the registry cost a server: many
 * devices imported and loaded, changes until they are effective on every connection, reads of
 * administration while readings come in.
 *
 * A change is effective everywhere when it is answered: each time the new key is used at once on
 * connections that were open before, and the removed one is tried again; a run in which one of them
 * is behind fails.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "check.h"
#include "http_client.h"
#include "prng.h"
#include "thread.h"

enum { CHANGES = 100, CONNECTIONS = 8, READS_MAX = 100000, READS_QUIET = 1000,
	READ_GAP_US = 2000, WAKE_GAP_US = 5000 };

struct site {
	struct bench *bench;
	struct bench_server server;
	struct http_client *admin; /* DATA/admin.sock */
	/* Beside reads. */
	struct bench_load load;
	struct bench_load_result loaded;
	int load_error, wake_error;
	double wake_p50_ms, wake_p99_ms;
	double reads[READS_MAX]; /* ms */
	size_t read_count;
};

/* One call whose answer must have this status. */
static int
call(struct site *s, struct http_client *client, const char *method, const char *target,
    struct span body, unsigned status, struct http_client_reply *ret_reply)
{
	const char *type = body.len ? "application/x-ndjson" : NULL;
	int error = http_client_call(client, method, target, type, body, ret_reply);
	if (error)
		return bench_fail(s->bench, error, "%s %s: %s", method, target, strerror(-error));
	if (ret_reply->status == status)
		return 0;
	return bench_fail(s->bench, -EPROTO, "%s %s answered %u, not %u: %.*s", method, target,
	    ret_reply->status, status, (int)MIN(ret_reply->body.len, 200),
	    ret_reply->body.ptr ? ret_reply->body.ptr : "");
}

static int
client_open(struct site *s, const char *address, struct http_client **ret_client)
{
	struct http_client_options options = {
	    .address = address, .timeout_ms = 120000, .stop_fd = s->bench->stop_fd};
	int error = http_client_create(&options, ret_client);
	return error ? bench_fail(s->bench, error, "%s: %s", address, strerror(-error)) : 0;
}

static int
admin_open(struct site *s)
{
	char address[BENCH_PATH_BYTES + 32];
	snprintf(address, sizeof(address), "unix:%s/admin.sock", s->server.data);
	return client_open(s, address, &s->admin);
}

/* From fork to ready. */
static int
start(struct site *s, const char *figure, struct bench_result *ret_result)
{
	double began = bench_seconds(s->bench);
	int error = bench_server_start(s->bench, &s->server, false);
	if (!error)
		bench_figure_add(ret_result, figure, (bench_seconds(s->bench) - began) * 1e3);
	return error;
}

static int
import(struct site *s, struct bench_result *ret_result)
{
	struct http_client_reply reply;
	char wanted[64];
	struct buf body;
	uint64_t count = s->bench->options.series;
	buf_init(&body, 0);
	for (uint64_t i = 0; i < count; i++) {
		unsigned long long id = BENCH_LOAD_FIRST_DEVICE + i;
		buf_printf(&body, "{\"id\":%llu,\"auth\":\"token-%llu\",\"state\":true}\n", id, id);
	}
	double began = bench_seconds(s->bench);
	int error = buf_ok(&body) ? call(s, s->admin, "POST", "/api/v1/admin/devices/import",
					buf_span(&body), 200, &reply)
				  : -ENOMEM;
	bench_figure_add(ret_result, "import_s", bench_seconds(s->bench) - began);
	snprintf(wanted, sizeof(wanted), "\"added\":%llu,", (unsigned long long)count);
	if (!error && !memmem(reply.body.ptr, reply.body.len, wanted, strlen(wanted)))
		error = bench_fail(s->bench, -EPROTO, "not all were imported: %.*s",
		    (int)MIN(reply.body.len, 200), reply.body.ptr);
	buf_finish(&body);
	return error;
}

/* ── changes ── */

/* Every connection asks with the key and must be answered so. */
static int
use_key(struct site *s, struct http_client **clients, const char *key, unsigned status)
{
	struct http_client_reply reply;
	char target[256];
	int error = 0;
	snprintf(target, sizeof(target), "/api/v1/series?limit=1&token=%s", key);
	for (unsigned i = 0; i < CONNECTIONS && !error; i++)
		error = call(s, clients[i], "GET", target, SPAN(""), status, &reply);
	return error;
}

static int
change(struct site *s, struct http_client **clients, unsigned number, double *ret_made_ms,
    double *ret_gone_ms)
{
	static const char mark[] = "\"key\":\"";
	struct http_client_reply reply;
	char body[64], target[64], key[128] = "";
	int len = snprintf(body, sizeof(body), "{\"name\":\"k%u\",\"rights\":\"read\"}", number);
	double began = bench_seconds(s->bench);
	int error = call(s, s->admin, "POST", "/api/v1/admin/keys", span_of(body, (size_t)len), 201,
	    &reply);
	*ret_made_ms = (bench_seconds(s->bench) - began) * 1e3;
	const char *found = error ? NULL : memmem(reply.body.ptr, reply.body.len, mark,
	    strlen(mark));
	if (!found)
		return error ? error : bench_fail(s->bench, -EPROTO, "no key was made");
	snprintf(key, sizeof(key), "%.*s", 43, found + strlen(mark));
	error = use_key(s, clients, key, 200);
	if (error)
		return error;
	snprintf(target, sizeof(target), "/api/v1/admin/keys/k%u", number);
	began = bench_seconds(s->bench);
	error = call(s, s->admin, "DELETE", target, SPAN(""), 204, &reply);
	*ret_gone_ms = (bench_seconds(s->bench) - began) * 1e3;
	return error ? error : use_key(s, clients, key, 401);
}

static int
changes(struct site *s, struct bench_result *ret_result)
{
	struct http_client *clients[CONNECTIONS] = {0};
	double made[CHANGES], gone[CHANGES];
	int error = 0;
	for (unsigned i = 0; i < CONNECTIONS && !error; i++)
		error = client_open(s, s->server.address, &clients[i]);
	if (!error)
		error = use_key(s, clients, s->server.key, 200);
	for (unsigned i = 0; i < CHANGES && !error; i++)
		error = change(s, clients, i, &made[i], &gone[i]);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		http_client_destroy(clients[i]);
	if (error)
		return error;
	bench_sort(made, CHANGES);
	bench_sort(gone, CHANGES);
	bench_figure_add(ret_result, "key_made_p50_ms", bench_quantile(made, CHANGES, 0.5));
	bench_figure_add(ret_result, "key_made_p99_ms", bench_quantile(made, CHANGES, 0.99));
	bench_figure_add(ret_result, "key_removed_p50_ms", bench_quantile(gone, CHANGES, 0.5));
	bench_figure_add(ret_result, "key_removed_p99_ms", bench_quantile(gone, CHANGES, 0.99));
	return 0;
}

/* ── reads ── */

/* Devices one by one, in any order, 500 a second at most, until `end` or `count_max`. */
static int
read_devices(struct site *s, size_t count_max, double end)
{
	struct prng prng = {1};
	struct http_client_reply reply;
	char target[96];
	int error = 0;
	for (s->read_count = 0; s->read_count < count_max && !error; s->read_count++) {
		uint64_t id =
		    BENCH_LOAD_FIRST_DEVICE + prng_below(&prng, s->bench->options.series);
		double began = bench_seconds(s->bench);
		if (began >= end)
			break;
		snprintf(target, sizeof(target), "/api/v1/admin/devices/%llu",
		    (unsigned long long)id);
		error = call(s, s->admin, "GET", target, SPAN(""), 200, &reply);
		s->reads[s->read_count] = (bench_seconds(s->bench) - began) * 1e3;
		nanosleep(&(struct timespec){0, READ_GAP_US * 1000}, NULL);
	}
	bench_sort(s->reads, s->read_count);
	return error;
}

static void
load_run(void *ctx)
{
	struct site *s = ctx;
	s->load_error = bench_load_run(s->bench, &s->load, &s->loaded);
}

static void
wake_run(void *ctx)
{
	struct site *s = ctx;
	unsigned count = (unsigned)(s->bench->options.duration_ms * 1000 / WAKE_GAP_US);
	s->wake_error = bench_limit_wake(
	    s->bench, MAX(count, 1u), WAKE_GAP_US, &s->wake_p50_ms, &s->wake_p99_ms);
}

/* Reads while readings of the same devices come in at the rate. */
static int
reads_loaded(struct site *s)
{
	pthread_t load, wake;
	int error = thread_start(&load, "load", load_run, s);
	if (error)
		return error;
	error = thread_start(&wake, "wake", wake_run, s);
	if (!error) {
		double end = bench_seconds(s->bench) +
			     (double)s->bench->options.duration_ms / 1e3;
		error = read_devices(s, READS_MAX, end);
		thread_join(wake);
	}
	thread_join(load);
	error = error ? error : s->load_error;
	return error ? error : s->wake_error;
}

/* The series are there before the clock starts: new ones are another question. */
static int
warm_up(struct site *s)
{
	struct bench_load load = s->load;
	struct bench_load_result loaded;
	load.readings = load.series;
	load.rate = 0;
	return bench_load_run(s->bench, &load, &loaded);
}

static int
reads(struct site *s, struct bench_result *ret_result)
{
	const struct bench_options *o = &s->bench->options;
	char authorization[256];
	int error = read_devices(s, READS_QUIET, bench_seconds(s->bench) + 60);
	if (error || s->read_count == 0)
		return error;
	double quiet_ms = bench_quantile(s->reads, s->read_count, 0.99);
	bench_authorization(&s->server, authorization, sizeof(authorization));
	s->load = (struct bench_load){.address = s->server.address,
	    .authorization = authorization,
	    .json = true,
	    .readings = o->rate * (uint64_t)o->duration_ms / 1000,
	    .series = o->series,
	    .batch = o->batch,
	    .connections = o->connections,
	    .rate = o->rate};
	error = warm_up(s);
	double cpu = bench_cpu_seconds(s->server.pid);
	if (!error)
		error = reads_loaded(s);
	if (error || s->read_count == 0)
		return error;
	cpu = bench_cpu_seconds(s->server.pid) - cpu;
	double readings = (double)s->loaded.readings;
	bench_figure_add(ret_result, "read_quiet_p99_ms", quiet_ms);
	bench_figure_add(ret_result, "read_p50_ms", bench_quantile(s->reads, s->read_count, 0.5));
	bench_figure_add(ret_result, "read_p99_ms", bench_quantile(s->reads, s->read_count, 0.99));
	bench_figure_add(ret_result, "reads_per_s",
	    (double)s->read_count * 1e3 / (double)o->duration_ms);
	bench_figure_add(ret_result, "readings_per_s", readings / s->loaded.seconds);
	bench_figure_add(ret_result, "cpu_us_per_reading", cpu * 1e6 / readings);
	bench_figure_add(ret_result, "pss_mb", bench_memory_kb(s->server.pid, "Pss") / 1024);
	bench_figure_add(ret_result, "limit_wake_p50_ms", s->wake_p50_ms);
	bench_figure_add(ret_result, "limit_wake_p99_ms", s->wake_p99_ms);
	return 0;
}

/* ── all of it ── */

static int
measure(struct site *s, struct bench_result *ret_result)
{
	struct bench *b = s->bench;
	int error = start(s, "start_empty_ms", ret_result);
	if (!error)
		error = admin_open(s);
	if (!error)
		error = import(s, ret_result);
	if (!error)
		error = changes(s, ret_result);
	if (!error)
		error = bench_server_end(b, &s->server, SIGTERM);
	if (!error)
		error = start(s, "start_devices_ms", ret_result);
	return error ? error : reads(s, ret_result);
}

int
bench_access(struct bench *b, unsigned run, struct bench_result *ret_result)
{
	struct site *s = calloc(1, sizeof(*s));
	(void)run;
	if (!s)
		return -ENOMEM;
	s->bench = b;
	int error = bench_server_init(b, &s->server);
	if (!error)
		error = bench_access_index(b, ret_result);
	if (!error)
		error = measure(s, ret_result);
	http_client_destroy(s->admin);
	bench_server_finish(b, &s->server);
	free(s);
	return error;
}

/*
 * bench_channels.c: `weir bench channels`: what channels and the messages they remember cost, and
 * that it does not depend on how many there are.
 *
 * A server gets ten times as many channels each time: a message makes each of them, more follow,
 * then random ones are read. CPU is the server's, of all its threads.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench_push.h"
#include "check.h"
#include "http_client.h"
#include "prng.h"

enum {
	MESSAGES = 10, /* each channel gets */
	READS = 2000,
	BATCH = 1000,
	STEPS = 4,
};

struct step_names {
	const char *create_us, *publish_us, *read_us, *read_p50_ms, *bytes;
};

static const struct step_names step_names[STEPS] = {
    {"create_1_us", "publish_1_us", "read_1_us", "read_1_p50_ms", "bytes_1"},
    {"create_2_us", "publish_2_us", "read_2_us", "read_2_p50_ms", "bytes_2"},
    {"create_3_us", "publish_3_us", "read_3_us", "read_3_p50_ms", "bytes_3"},
    {"create_4_us", "publish_4_us", "read_4_us", "read_4_p50_ms", "bytes_4"},
};

struct channels {
	struct bench *bench;
	struct bench_server server;
	struct push_crowd publisher;
	struct http_client *reader;
	double start_kb;
};

/* Of all threads, in nanoseconds rather than ticks of 10 ms: the first steps are small. */
static double
cpu_seconds(pid_t pid)
{
	char path[64];
	double seconds = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	for (struct dirent *task; tasks && (task = readdir(tasks));) {
		char file[400];
		unsigned long long ns = 0;
		snprintf(file, sizeof(file), "%s/%s/schedstat", path, task->d_name);
		FILE *stat = task->d_name[0] == '.' ? NULL : fopen(file, "re");
		if (stat && fscanf(stat, "%llu", &ns) == 1)
			seconds += (double)ns / 1e9;
		if (stat)
			fclose(stat);
	}
	if (tasks)
		closedir(tasks);
	return seconds;
}

/* `rounds` messages to each of the channels from `first` to `end`; µs of CPU each. */
static int
publish(struct channels *c, uint64_t first, uint64_t end, unsigned rounds, double *ret_us)
{
	double cpu = cpu_seconds(c->server.pid);
	int error = 0;
	for (unsigned round = 0; round < rounds; round++) {
		for (uint64_t at = first; at < end && !error; at += BATCH)
			error = bench_push_publisher_say(
			    &c->publisher, at, MIN((uint64_t)BATCH, end - at), end);
	}
	*ret_us = (cpu_seconds(c->server.pid) - cpu) * 1e6 / (double)((end - first) * rounds);
	return error;
}

/* All that a channel remembers, of random ones among `count`. */
static int
read_some(struct channels *c, uint64_t count, double *ret_us, double *ret_p50_ms)
{
	static const char wanted[] = "\"messages\":[{";
	double times_ms[READS], cpu = cpu_seconds(c->server.pid);
	struct prng prng = {count};
	for (size_t i = 0; i < READS; i++) {
		char name[32], target[128];
		struct http_client_reply reply;
		bench_push_channel_name(name, (int64_t)prng_below(&prng, count));
		snprintf(target, sizeof(target), "/api/v1/subscribe?mode=poll&since=0&channel=%s",
		    name);
		double begin = bench_seconds(c->bench);
		int error = http_client_call(
		    c->reader, "GET", target, NULL, (struct span){NULL, 0}, &reply);
		times_ms[i] = (bench_seconds(c->bench) - begin) * 1e3;
		if (error || reply.status != 200 ||
		    !memmem(reply.body.ptr, reply.body.len, wanted, strlen(wanted)))
			return bench_fail(c->bench, error ? error : -EPROTO,
			    "channel %s cannot be read", name);
	}
	*ret_us = (cpu_seconds(c->server.pid) - cpu) * 1e6 / READS;
	bench_sort(times_ms, READS);
	*ret_p50_ms = bench_quantile(times_ms, READS, 0.5);
	return 0;
}

static int
measure_step(struct channels *c, uint64_t first, uint64_t end, const struct step_names *names,
    struct bench_result *result)
{
	double create_us, publish_us = 0, read_us = 0, read_ms = 0;
	int error = publish(c, first, end, 1, &create_us);
	if (!error)
		error = publish(c, first, end, MESSAGES - 1, &publish_us);
	if (!error)
		error = read_some(c, end, &read_us, &read_ms);
	if (error)
		return error;
	double kb = bench_memory_kb(c->server.pid, "Pss") - c->start_kb;
	bench_figure_add(result, names->create_us, create_us);
	bench_figure_add(result, names->publish_us, publish_us);
	bench_figure_add(result, names->read_us, read_us);
	bench_figure_add(result, names->read_p50_ms, read_ms);
	bench_figure_add(result, names->bytes, kb * 1024 / (double)end);
	return 0;
}

static int
measure_steps(struct channels *c, struct bench_result *result)
{
	uint64_t before = 0, counts[STEPS];
	int error = 0;
	for (int i = STEPS; i-- > 0;)
		counts[i] = i == STEPS - 1 ? c->bench->options.series : counts[i + 1] / 10;
	for (int i = 0; i < STEPS && !error; i++) {
		error = measure_step(c, before, counts[i], &step_names[i], result);
		before = counts[i];
	}
	if (!error)
		bench_figure_add(
		    result, "pss_mb", bench_memory_kb(c->server.pid, "Pss") * 1024 / 1e6);
	return error;
}

int
bench_channels(struct bench *b, unsigned run, struct bench_result *result)
{
	struct channels c = {.bench = b};
	char authorization[256];
	(void)run;
	struct push_target target;
	int error = bench_push_server_open(b, &c.server, &target);
	struct http_client_options options = {
	    .address = c.server.address, .authorization = authorization};
	bench_authorization(&c.server, authorization, sizeof(authorization));
	c.start_kb = bench_memory_kb(c.server.pid, "Pss");
	if (!error)
		error = bench_push_publisher_open(
		    b, bench_push_dialect_find("weir-ws"), &target, &c.publisher);
	if (!error)
		error = http_client_create(&options, &c.reader);
	if (!error)
		error = measure_steps(&c, result);
	http_client_destroy(c.reader);
	if (c.publisher.bench)
		bench_push_crowd_finish(&c.publisher);
	bench_server_finish(b, &c.server);
	return error;
}

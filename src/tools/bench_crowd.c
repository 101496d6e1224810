/*
 * bench_crowd.c: `weir bench crowd`: more subscribers than one table of descriptors holds, and
 * readings taken in while all of them are told something.
 *
 * The subscribers lie in parts, each a thread with a table of its own; the server has as many
 * loops. The bare loop of send() is a process for each part. A message is published, then waited
 * for until the last of all parts has it.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_push.h"
#include "check.h"
#include "http_client.h"
#include "process.h"
#include "thread.h"

enum {
	PART_SUBSCRIBERS = 17000,
	PARTS_MAX = 64,
	BROADCASTS = 10,
	ACKS_MAX = 100000,
	ACK_GAP_US = 2000,
	PATIENCE_S = 120,
};

/* Some of the subscribers, on a thread of their own. */
struct part {
	struct bench bench;        /* a copy: threads fail each for itself */
	const struct push_dialect *dialect;
	struct push_target target;
	size_t count;
	pthread_t thread;
	bool started;
	atomic_bool open, over;
	atomic_int error;
	atomic_uint_fast64_t arrived; /* messages that all of them have */
	struct push_crowd crowd;
};

struct crowd {
	struct bench *bench;
	struct part *parts;
	size_t part_count;
	struct push_crowd publishers[PARTS_MAX]; /* one for each server */
	size_t publisher_count;
	uint64_t sent;
};

/* ── parts ── */

/* Subscribers are elsewhere in life: here they take the time that the servers, and whoever sends
 * readings, leave. */
static void
step_back(void)
{
	const struct sched_param none = {0};
	sched_setscheduler(0, SCHED_IDLE, &none);
}

static void
part_run(void *ctx)
{
	struct part *part = ctx;
	step_back();
	int keep[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
	int error = process_own_files(keep, ARRAY_COUNT(keep));
	if (error)
		bench_fail(&part->bench, error, "no descriptors of its own: %s", strerror(-error));
	else
		error = bench_push_crowd_open(&part->bench, part->dialect, &part->target,
		    part->count, false, &part->crowd);
	atomic_store(&part->error, error);
	atomic_store(&part->open, true);
	while (!error && !atomic_load(&part->over)) {
		error = bench_push_crowd_turn(&part->crowd, 20);
		atomic_store(&part->arrived, bench_push_crowd_arrived(&part->crowd));
		atomic_store(&part->error, error);
	}
	bench_push_crowd_finish(&part->crowd);
}

static int
parts_error(struct crowd *c)
{
	for (size_t i = 0; i < c->part_count; i++) {
		int error = atomic_load(&c->parts[i].error);
		if (error)
			return bench_fail(c->bench, error, "%s", c->parts[i].bench.reason);
	}
	return 0;
}

static bool
all_open(const struct crowd *c)
{
	for (size_t i = 0; i < c->part_count; i++)
		if (!atomic_load(&c->parts[i].open))
			return false;
	return true;
}

static void
crowd_finish(struct crowd *c)
{
	for (size_t i = 0; i < c->part_count; i++)
		atomic_store(&c->parts[i].over, true);
	for (size_t i = 0; i < c->part_count; i++)
		if (c->parts[i].started)
			thread_join(c->parts[i].thread);
	for (size_t i = 0; i < c->publisher_count; i++)
		bench_push_crowd_finish(&c->publishers[i]);
	free(c->parts);
}

/* All of them at the one server, or each part at its own. */
static int
crowd_open(struct bench *b, const struct push_dialect *dialect,
    const struct push_dialect *publisher, const struct push_target *targets, size_t target_count,
    struct crowd *c)
{
	size_t count = b->options.subscribers;
	*c = (struct crowd){.bench = b};
	c->part_count = (count + PART_SUBSCRIBERS - 1) / PART_SUBSCRIBERS;
	c->parts = calloc(c->part_count, sizeof(*c->parts));
	if (!c->parts)
		return bench_fail(b, -ENOMEM, "memory is out");
	int error = 0;
	for (size_t i = 0; i < c->part_count && !error; i++) {
		struct part *part = &c->parts[i];
		part->bench = *b;
		part->dialect = dialect;
		part->target = targets[i % target_count];
		part->target.first = i * PART_SUBSCRIBERS;
		part->count = MIN((size_t)PART_SUBSCRIBERS, count - i * PART_SUBSCRIBERS);
		error = thread_start(&part->thread, "part", part_run, part);
		part->started = !error;
	}
	while (!error && !all_open(c)) {
		usleep(10 * 1000);
		error = parts_error(c);
	}
	for (size_t i = 0; i < target_count && !error; i++) {
		c->publisher_count++;
		error = bench_push_publisher_open(b, publisher, &targets[i], &c->publishers[i]);
	}
	return error ? error : parts_error(c);
}

/* Publishes one more and waits until all have it. */
static int
crowd_tell(struct crowd *c)
{
	int error = 0;
	for (size_t i = 0; i < c->publisher_count && !error; i++)
		error = bench_push_publisher_say(&c->publishers[i], 0, 1, 0);
	double end = bench_seconds(c->bench) + PATIENCE_S;
	c->sent++;
	for (size_t i = 0; i < c->part_count && !error; i++) {
		while (!error && atomic_load(&c->parts[i].arrived) < c->sent) {
			usleep(500);
			error = parts_error(c);
			if (!error && bench_seconds(c->bench) > end)
				error = bench_fail(c->bench, -ETIMEDOUT, "a message was lost");
		}
	}
	return error;
}

/* ── readings meanwhile ── */

struct acks {
	struct bench bench;
	const struct bench_server *server;
	pthread_t thread;
	atomic_bool over;
	int error;
	double *ms;
	size_t count;
};

static void
acks_run(void *ctx)
{
	struct acks *acks = ctx;
	thread_be_prompt();
	char authorization[256];
	struct http_client *client = NULL;
	struct http_client_options options = {
	    .address = acks->server->address, .authorization = authorization};
	bench_authorization(acks->server, authorization, sizeof(authorization));
	acks->error = http_client_create(&options, &client);
	while (!acks->error && !atomic_load(&acks->over) && acks->count < ACKS_MAX) {
		char line[64];
		struct http_client_reply reply;
		snprintf(line, sizeof(line), "meanwhile,device=d%zu v=%zu", acks->count % 100,
		    acks->count);
		double begin = bench_seconds(&acks->bench);
		acks->error = http_client_call(client, "POST", "/write", "text/plain",
		    span_str(line), &reply);
		if (!acks->error && reply.status != 204)
			acks->error = -EPROTO;
		acks->ms[acks->count++] = (bench_seconds(&acks->bench) - begin) * 1e3;
		usleep(ACK_GAP_US);
	}
	http_client_destroy(client);
}

/* How soon readings are answered, with broadcasts all the time or without. */
static int
measure_acks(struct bench *b, const struct bench_server *server, struct crowd *crowd,
    const char *p50, const char *p99, struct bench_result *result)
{
	struct acks acks = {.bench = *b, .server = server};
	acks.ms = malloc(ACKS_MAX * sizeof(*acks.ms));
	int error = acks.ms ? thread_start(&acks.thread, "acks", acks_run, &acks) : -ENOMEM;
	if (error) {
		free(acks.ms);
		return bench_fail(b, error, "thread: %s", strerror(-error));
	}
	double end = bench_seconds(b) + (double)b->options.duration_ms / 1e3;
	while (!error && bench_seconds(b) < end) {
		if (crowd)
			error = crowd_tell(crowd);
		else
			usleep(10 * 1000);
	}
	atomic_store(&acks.over, true);
	thread_join(acks.thread);
	if (!error && (acks.error || !acks.count))
		error = bench_fail(b, acks.error ? acks.error : -EPROTO, "readings: %s",
		    strerror(-acks.error));
	if (!error) {
		bench_sort(acks.ms, acks.count);
		bench_figure_add(result, p50, bench_quantile(acks.ms, acks.count, 0.5));
		bench_figure_add(result, p99, bench_quantile(acks.ms, acks.count, 0.99));
	}
	free(acks.ms);
	return error;
}

/* ── one way of subscribing ── */

struct names {
	const char *dialect, *bytes, *broadcast_us, *last_ms;
};

static double
cpu_of(const struct push_target *targets, size_t count)
{
	double seconds = 0;
	for (size_t i = 0; i < count; i++)
		seconds += bench_cpu_seconds(targets[i].pid);
	return seconds;
}

static int
measure_broadcasts(struct crowd *c, const struct push_target *targets, size_t target_count,
    const struct names *names, struct bench_result *result)
{
	double last_ms[BROADCASTS];
	int error = crowd_tell(c); /* the first one finds everything cold */
	double cpu = cpu_of(targets, target_count);
	for (int i = 0; i < BROADCASTS && !error; i++) {
		double begin = bench_seconds(c->bench);
		error = crowd_tell(c);
		last_ms[i] = (bench_seconds(c->bench) - begin) * 1e3;
	}
	usleep(300 * 1000); /* polls come back */
	if (error)
		return error;
	cpu = cpu_of(targets, target_count) - cpu;
	bench_sort(last_ms, BROADCASTS);
	bench_figure_add(result, names->broadcast_us,
	    cpu * 1e6 / (double)(c->bench->options.subscribers * BROADCASTS));
	bench_figure_add(result, names->last_ms, bench_quantile(last_ms, BROADCASTS, 0.5));
	return 0;
}

static int
measure_ours(struct bench *b, const struct names *names, bool acks, struct bench_result *result)
{
	struct bench_server server;
	struct crowd crowd = {0};
	struct push_target target;
	int error = bench_push_server_open(b, &server, &target);
	if (!error && acks)
		error = measure_acks(b, &server, NULL, "ack_quiet_p50_ms", "ack_quiet_p99_ms",
		    result);
	double before = bench_memory_kb(target.pid, "Pss");
	if (!error)
		error = crowd_open(b, bench_push_dialect_find(names->dialect),
		    bench_push_dialect_find("weir-frames"), &target, 1, &crowd);
	usleep(500 * 1000); /* who has no answer to his subscription is subscribed by then */
	if (!error)
		bench_figure_add(result, names->bytes,
		    (bench_memory_kb(target.pid, "Pss") - before) * 1024 /
			(double)b->options.subscribers);
	if (!error)
		error = measure_broadcasts(&crowd, &target, 1, names, result);
	if (!error && acks)
		error = measure_acks(b, &server, &crowd, "ack_p50_ms", "ack_p99_ms", result);
	crowd_finish(&crowd);
	bench_server_finish(b, &server);
	return error;
}

/* How soon a bare loop that syncs is answered from while the bare loops of send() tell all. */
static int
measure_bare_acks(struct bench *b, struct crowd *crowd, struct bench_result *result)
{
	struct bench_server server = {.pid = 0};
	struct bench_bare *bare;
	int error = bench_limit_bare_start(b, 1, &bare);
	if (error)
		return error;
	snprintf(server.address, sizeof(server.address), "%s", bench_limit_bare_address(bare));
	error = measure_acks(b, &server, crowd, "limit_ack_p50_ms", "limit_ack_p99_ms", result);
	bench_limit_bare_end(bare);
	return error;
}

static int
measure_bare(struct bench *b, struct bench_result *result)
{
	static const struct names names = {"bare", NULL, "limit_broadcast_us", "limit_last_ms"};
	const struct push_dialect *dialect = bench_push_dialect_find("bare");
	struct push_target targets[PARTS_MAX] = {0};
	char addresses[PARTS_MAX][64];
	struct crowd crowd = {0};
	size_t count = (b->options.subscribers + PART_SUBSCRIBERS - 1) / PART_SUBSCRIBERS;
	int error = 0;
	for (size_t i = 0; i < count && !error; i++) {
		targets[i] = (struct push_target){.address = addresses[i], .key = ""};
		error = bench_push_bare_start(b, &targets[i].pid, addresses[i],
		    sizeof(addresses[i]));
	}
	if (!error)
		error = crowd_open(b, dialect, dialect, targets, count, &crowd);
	if (!error)
		error = measure_broadcasts(&crowd, targets, count, &names, result);
	if (!error)
		error = measure_bare_acks(b, &crowd, result);
	crowd_finish(&crowd);
	for (size_t i = 0; i < count; i++)
		if (targets[i].pid > 0)
			bench_nothing_end(targets[i].pid);
	return error;
}

int
bench_crowd(struct bench *b, unsigned run, struct bench_result *result)
{
	static const struct names ways[] = {
	    {"weir-ws", "ws_bytes", "ws_broadcast_us", "ws_last_ms"},
	    {"weir-sse", "sse_bytes", "sse_broadcast_us", "sse_last_ms"},
	    {"weir-poll", "poll_bytes", "poll_broadcast_us", "poll_last_ms"},
	};
	char set[128];
	bool own = !b->options.set;
	int error = 0;
	(void)run;
	process_raise_files();
	/* Nobody answers pings here. */
	snprintf(set, sizeof(set), "net.loops=%llu,net.conns_max=%llu,ws.ping_s=1h",
	    (unsigned long long)b->options.subscribers / PART_SUBSCRIBERS + 1,
	    (unsigned long long)b->options.subscribers * 2);
	if (own)
		b->options.set = set;
	for (size_t i = 0; i < ARRAY_COUNT(ways) && !error; i++)
		error = measure_ours(b, &ways[i], i == 0, result);
	if (own)
		b->options.set = NULL;
	return error ? error : measure_bare(b, result);
}

/*
 * bench_push.c: `weir bench push`: what subscribers cost and how fast messages reach them.
 *
 * The same measurements for every transport of ours, for the bare loop of send() and, with --peer,
 * for another server. CPU is the server's, a delivered message.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench_push.h"
#include "check.h"
#include "process.h"

enum {
	BROADCASTS = 30,
	SATURATED_SUBSCRIBERS = 1000,
	SATURATED_WINDOW = 128,
	FURTHER_SUBSCRIBERS = 500,   /* of those who subscribe to more */
	FURTHER = 32,                /* so many more each */
	BATCH = 100,
	STEADY_RATE = 20000,         /* messages a second */
};

/* The figures of one way of subscribing. */
struct names {
	const char *dialect, *bytes, *broadcast_us, *last_p50_ms, *last_max_ms, *saturated_per_s,
	    *saturated_us;
};

static const struct names names_ws = {"weir-ws", "ws_bytes", "ws_broadcast_us", "ws_last_p50_ms",
    "ws_last_max_ms", "ws_saturated_per_s", "ws_saturated_us"};
static const struct names names_sse = {
    "weir-sse", "sse_bytes", "sse_broadcast_us", NULL, NULL, "sse_saturated_per_s",
    "sse_saturated_us"};
static const struct names names_poll = {
    "weir-poll", "poll_bytes", "poll_broadcast_us", NULL, NULL, "poll_saturated_per_s",
    "poll_saturated_us"};
static const struct names names_bare = {"bare", NULL, "limit_broadcast_us", "limit_last_p50_ms",
    "limit_last_max_ms", "limit_saturated_per_s", "limit_saturated_us"};
static const struct names names_peer = {NULL, "bytes", "broadcast_us", "last_p50_ms",
    "last_max_ms", "saturated_per_s", "saturated_us"};

/* ── one way of subscribing ── */

static int
measure_last(struct push_crowd *crowd, const struct push_dialect *dialect,
    const struct names *names, struct bench_result *result)
{
	double last_ms[64] = {0};
	uint64_t seconds = (uint64_t)crowd->bench->options.duration_ms / 1000;
	uint64_t messages = MIN(seconds + 1, (uint64_t)ARRAY_COUNT(last_ms));
	struct push_run run = {.dialect = dialect, .messages = messages, .window = 1, .batch = 1,
	    .rate = 1, .last_ms = last_ms};
	int error = bench_push_crowd_run(crowd, &run);
	if (error)
		return error;
	bench_sort(last_ms, messages);
	bench_figure_add(result, names->last_p50_ms, bench_quantile(last_ms, messages, 0.5));
	bench_figure_add(result, names->last_max_ms, last_ms[messages - 1]);
	return 0;
}

/* Memory, and one message at a time to many. */
static int
measure_many(struct bench *b, const struct push_dialect *dialect, const struct push_target *target,
    const struct names *names, struct bench_result *result)
{
	struct push_crowd crowd;
	size_t count = b->options.subscribers;
	double before = bench_memory_kb(target->pid, "Pss");
	int error = bench_push_crowd_open(b, dialect, target, count, false, &crowd);
	usleep(300 * 1000); /* who has no answer to his subscription is subscribed by then */
	double after = bench_memory_kb(target->pid, "Pss");
	struct push_run run = {.dialect = dialect, .messages = BROADCASTS, .window = 1, .batch = 1};
	if (!error && names->bytes)
		bench_figure_add(result, names->bytes, (after - before) * 1024 / (double)count);
	if (!error)
		error = bench_push_crowd_run(&crowd, &run);
	if (!error)
		bench_figure_add(result, names->broadcast_us,
		    run.cpu_s * 1e6 / (double)(run.sent * count));
	if (!error && names->last_p50_ms)
		error = measure_last(&crowd, dialect, names, result);
	bench_push_crowd_finish(&crowd);
	usleep(300 * 1000);
	return error;
}

/* As many messages as can be, to fewer. */
static int
measure_saturated(struct bench *b, const struct push_dialect *dialect,
    const struct push_target *target, const struct names *names, struct bench_result *result)
{
	/* Over HTTP a connection has one publish under way; frames may follow one another. */
	bool ours = strncmp(dialect->name, "weir", 4) == 0;
	const struct push_dialect *publisher =
	    ours ? bench_push_dialect_find("weir-frames") : dialect;
	struct push_crowd crowd;
	size_t count = MIN(b->options.subscribers, (uint64_t)SATURATED_SUBSCRIBERS);
	int error = bench_push_crowd_open(b, dialect, target, count, false, &crowd);
	struct push_run run = {.dialect = publisher, .messages = UINT64_MAX,
	    .window = SATURATED_WINDOW, .batch = 1,
	    .duration_s = (double)b->options.duration_ms / 1e3};
	if (!error)
		error = bench_push_crowd_run(&crowd, &run);
	if (!error) {
		double deliveries = (double)run.sent * (double)count;
		bench_figure_add(result, names->saturated_per_s, deliveries / run.seconds);
		bench_figure_add(result, names->saturated_us, run.cpu_s * 1e6 / deliveries);
	}
	bench_push_crowd_finish(&crowd);
	return error;
}

static int
measure_transport(struct bench *b, const struct push_target *target, const struct names *names,
    const char *dialect_name, struct bench_result *result)
{
	const struct push_dialect *dialect = bench_push_dialect_find(dialect_name);
	if (!dialect)
		return bench_fail(b, -EINVAL, "no server '%s' is known", dialect_name);
	int error = measure_many(b, dialect, target, names, result);
	return error ? error : measure_saturated(b, dialect, target, names, result);
}

/* ── channels with one subscriber each ── */

struct spread {
	const char *publisher, *figure;
	uint64_t window, batch;
};

static int
measure_spread(struct bench *b, const char *subscriber, const struct push_target *target,
    const struct spread *ways, size_t way_count, struct bench_result *result)
{
	struct push_crowd crowd;
	int error = bench_push_crowd_open(b, bench_push_dialect_find(subscriber), target,
	    b->options.subscribers, true, &crowd);
	for (size_t i = 0; i < way_count && !error; i++) {
		struct push_run run = {.dialect = bench_push_dialect_find(ways[i].publisher),
		    .messages = UINT64_MAX, .window = ways[i].window, .batch = ways[i].batch,
		    .duration_s = (double)b->options.duration_ms / 1e3};
		error = bench_push_crowd_run(&crowd, &run);
		if (!error)
			bench_figure_add(
			    result, ways[i].figure, run.cpu_s * 1e6 / (double)run.sent);
	}
	bench_push_crowd_finish(&crowd);
	return error;
}

/* How soon a message is there while so many come a second, one after the other. */
static int
measure_steady(struct bench *b, const struct push_target *target, struct bench_result *result)
{
	struct push_crowd crowd;
	uint64_t messages = (uint64_t)(b->options.duration_ms * STEADY_RATE / 1000);
	double *arrival_ms = calloc(messages, sizeof(*arrival_ms));
	int error = arrival_ms ? bench_push_crowd_open(b, bench_push_dialect_find("weir-ws"),
	    target, b->options.subscribers, true, &crowd) :
	    bench_fail(b, -ENOMEM, "memory is out");
	if (!arrival_ms)
		return error;
	struct push_run run = {.dialect = bench_push_dialect_find("weir-frames"),
	    .messages = messages, .window = UINT64_MAX, .batch = 1, .rate = STEADY_RATE,
	    .arrival_ms = arrival_ms};
	if (!error)
		error = bench_push_crowd_run(&crowd, &run);
	if (!error) {
		bench_sort(arrival_ms, messages);
		bench_figure_add(result, "publish_steady_us", run.cpu_s * 1e6 / (double)messages);
		bench_figure_add(result, "publish_steady_p50_ms",
		    bench_quantile(arrival_ms, messages, 0.5));
		bench_figure_add(result, "publish_steady_p99_ms",
		    bench_quantile(arrival_ms, messages, 0.99));
	}
	bench_push_crowd_finish(&crowd);
	free(arrival_ms);
	return error;
}

/* ── further subscriptions ── */

/* Every connection subscribes to these, in one frame. */
static int
subscribe_all(struct push_crowd *crowd, int first, int count, bool pattern)
{
	static const char mask[4] = {0};
	struct buf text, frame;
	buf_init(&text, 0);
	buf_init(&frame, 0);
	for (int i = first; i < first + count; i++)
		buf_printf(&text, "%s\"further/%03d%s\"", i > first ? "," : "{\"subscribe\":[", i,
		    pattern ? "/+" : "");
	buf_append_str(&text, "],\"ref\":7}");
	buf_append(&frame, "\x81\xfe", 2);
	buf_append_byte(&frame, (char)(text.len >> 8));
	buf_append_byte(&frame, (char)(text.len & 0xff));
	buf_append(&frame, mask, sizeof(mask));
	buf_append_span(&frame, buf_span(&text));
	int error = bench_push_crowd_say(
	    crowd, buf_span(&frame), SPAN("{\"ack\":7,\"ok\":true}"));
	buf_finish(&text);
	buf_finish(&frame);
	return error;
}

/* The growth for each of FURTHER more subscriptions that all connections have in common. The
 * first ones make what a connection needs to be talked to. */
static int
measure_further(struct push_crowd *crowd, bool pattern, const char *figure,
    struct bench_result *result)
{
	int error = subscribe_all(crowd, 0, 10, pattern);
	double before = bench_memory_kb(crowd->target.pid, "Pss");
	if (!error)
		error = subscribe_all(crowd, 10, FURTHER, pattern);
	double grown = bench_memory_kb(crowd->target.pid, "Pss") - before;
	if (!error)
		bench_figure_add(
		    result, figure, grown * 1024 / (double)(crowd->count * FURTHER));
	return error;
}

static int
measure_subscriptions(
    struct bench *b, const struct push_target *target, struct bench_result *result)
{
	struct push_crowd crowd;
	size_t count = MIN(b->options.subscribers, (uint64_t)FURTHER_SUBSCRIBERS);
	int error = bench_push_crowd_open(b, bench_push_dialect_find("weir-ws"), target, count,
	    false, &crowd);
	if (!error)
		error = measure_further(&crowd, false, "subscription_bytes", result);
	if (!error)
		error = measure_further(&crowd, true, "pattern_bytes", result);
	bench_push_crowd_finish(&crowd);
	return error;
}

/* What a token of his own adds to a subscriber: when it ends and what it allows. On a server that
 * has nobody yet, before and after it is started anew. */
static int
measure_claims(struct bench *b, struct bench_server *server, struct push_target *target,
    struct bench_result *result)
{
	double bytes[2] = {0};
	size_t count = b->options.subscribers;
	int error = 0;
	for (int tokens = 0; tokens < 2 && !error; tokens++) {
		struct push_crowd crowd;
		double before = bench_memory_kb(target->pid, "Pss");
		target->secret = tokens ? server->secret : NULL;
		error = bench_push_crowd_open(b, bench_push_dialect_find("weir-ws"), target, count,
		    true, &crowd);
		bytes[tokens] =
		    (bench_memory_kb(target->pid, "Pss") - before) * 1024 / (double)count;
		bench_push_crowd_finish(&crowd);
		if (!error)
			error = bench_server_end(b, server, SIGTERM);
		if (!error)
			error = bench_server_start(b, server, false);
		target->pid = server->pid;
	}
	target->secret = NULL;
	if (!error)
		bench_figure_add(result, "token_bytes", bytes[1] - bytes[0]);
	return error;
}

/* ── the bare loop ── */

int
bench_push_bare_start(struct bench *b, pid_t *ret_pid, char *ret_address, size_t len)
{
	int fd;
	int error = bench_spawn_self(b, "push-bare", ret_pid, &fd);
	if (error)
		return error;
	ssize_t n = read(fd, ret_address, len - 1);
	close(fd);
	ret_address[n > 0 ? n - 1 : 0] = '\0';
	return n > 1 ? 0 : bench_fail(b, -EPROTO, "the bare loop did not start");
}

static int
measure_bare(struct bench *b, struct bench_result *result)
{
	static const struct spread ways[] = {
	    {"bare-http", "limit_publish_http_us", 1, 1},
	    {"bare-frames", "limit_publish_us", 64, 1},
	};
	char address[64];
	struct push_target target = {.address = address, .key = ""};
	const struct push_dialect *dialect = bench_push_dialect_find("bare");
	int error = bench_push_bare_start(b, &target.pid, address, sizeof(address));
	if (!error)
		error = measure_many(b, dialect, &target, &names_bare, result);
	if (!error)
		bench_nothing_end(target.pid);
	/* A new one, that has no subscribers left over. */
	if (!error)
		error = bench_push_bare_start(b, &target.pid, address, sizeof(address));
	if (!error)
		error = measure_saturated(b, dialect, &target, &names_bare, result);
	if (!error)
		bench_nothing_end(target.pid);
	if (!error)
		error = bench_push_bare_start(b, &target.pid, address, sizeof(address));
	if (!error)
		error = measure_spread(b, "bare", &target, ways, ARRAY_COUNT(ways), result);
	if (target.pid > 0)
		bench_nothing_end(target.pid);
	return error;
}

/* ── all ── */

static int
measure_ours(struct bench *b, struct bench_result *result)
{
	static const struct spread ways[] = {
	    {"weir-ws", "publish_http_us", 1, 1},
	    {"weir-ws", "publish_batch_us", BATCH, BATCH},
	    {"weir-frames", "publish_frames_us", 64, 1},
	};
	struct bench_server server;
	struct push_target target;
	int error = bench_push_server_open(b, &server, &target);
	if (!error)
		error = measure_transport(b, &target, &names_ws, names_ws.dialect, result);
	if (!error)
		error = measure_spread(b, "weir-ws", &target, ways, ARRAY_COUNT(ways), result);
	if (!error)
		error = measure_steady(b, &target, result);
	const struct names *others[] = {&names_sse, &names_poll, NULL};
	for (size_t i = 0; i < ARRAY_COUNT(others) && !error; i++) {
		/* Memory grows anew in a new process. */
		error = bench_server_end(b, &server, SIGTERM);
		if (!error)
			error = bench_server_start(b, &server, false);
		target.pid = server.pid;
		if (!error && others[i])
			error = measure_transport(b, &target, others[i], others[i]->dialect,
			    result);
	}
	if (!error)
		error = measure_claims(b, &server, &target, result);
	if (!error)
		error = measure_subscriptions(b, &target, result);
	bench_server_finish(b, &server);
	return error;
}

int
bench_push(struct bench *b, unsigned run, struct bench_result *result)
{
	const struct bench_options *o = &b->options;
	(void)run;
	process_raise_files();
	if (!o->peer) {
		int error = measure_ours(b, result);
		return error ? error : measure_bare(b, result);
	}
	const struct spread way = {o->peer, "publish_us", SATURATED_WINDOW, 1};
	struct push_target target = {
	    .address = o->peer_url, .key = "", .pid = (pid_t)o->peer_pid};
	int error = measure_transport(b, &target, &names_peer, o->peer, result);
	return error ? error : measure_spread(b, o->peer, &target, &way, 1, result);
}

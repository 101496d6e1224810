/*
 * bench_live.c: `weir bench live`: how long after the durable answer a subscriber has the reading.
 *
 * Single readings are posted at a fixed rate, in turn by as many threads as connections; the value
 * of a reading is its number, and subscribers (SSE and WebSocket, on readings/#) look for numbers
 * in the bytes that they get: the least a client can do, so that the client's work is no part of
 * the figure. A message may come before the answer of its reading has: the delay is then negative.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "check.h"
#include "http_client.h"
#include "socket.h"
#include "thread.h"

enum { CARRY_BYTES = 64, RECV_BYTES = 65536, SETTLE_MS = 300, WAKE_GAP_US = 5000 };

struct subscriber {
	int fd;
	char carry[CARRY_BYTES]; /* the end of what came, where a number may be cut */
	size_t carry_len;
	double *got; /* when each number came; 0: not yet */
	uint64_t count;
};

struct live {
	struct bench *bench;
	const struct bench_server *server;
	uint64_t readings;
	double begin;		 /* when number 0 is due */
	double *sent, *answered; /* seconds, by number */
	struct subscriber *subscribers;
	size_t subscriber_count; /* the first half SSE, the second WebSocket */
	pthread_t listener;
	double wake_p50_ms, wake_p99_ms;
	int wake_error;
};

struct publisher {
	struct live *live;
	uint64_t index;
	int error;
	char reason[200];
	pthread_t thread;
	bool started;
};

/* ── subscribers ── */

static int
subscribe(struct live *l, struct subscriber *s, bool websocket)
{
	static const char upgrade[] =
	    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
	char head[1024], answer[4096];
	const char *address = l->server->address + strlen("http://");
	int len = snprintf(head, sizeof(head),
	    "GET /api/v1/subscribe?channel=readings%%2F%%23 HTTP/1.1\r\nHost: %s\r\n"
	    "Authorization: Bearer %s\r\n%s\r\n",
	    address, l->server->key, websocket ? upgrade : "Accept: text/event-stream\r\n");
	s->fd = socket_connect(address);
	if (s->fd < 0)
		return bench_fail(l->bench, s->fd, "%s: %s", address, strerror(-s->fd));
	size_t got = 0;
	if (send(s->fd, head, (size_t)len, MSG_NOSIGNAL) != len)
		return bench_fail(l->bench, -EIO, "%s: %s", address, strerror(errno));
	while (got < sizeof(answer) && !memmem(answer, got, "\r\n\r\n", 4)) {
		struct pollfd ready = {.fd = s->fd, .events = POLLIN};
		ssize_t n = poll(&ready, 1, 5000) == 1
				? recv(s->fd, answer + got, sizeof(answer) - got, 0)
				: 0;
		if (n <= 0)
			return bench_fail(l->bench, -EPROTO, "no answer to a subscription");
		got += (size_t)n;
	}
	const char *wanted = websocket ? "HTTP/1.1 101 " : "HTTP/1.1 200 ";
	if (got < strlen(wanted) || memcmp(answer, wanted, strlen(wanted)) != 0)
		return bench_fail(
		    l->bench, -EPROTO, "subscription refused: %.*s", (int)MIN(got, 200), answer);
	return 0;
}

/* Notes when the numbers in `bytes` came; returns where the first that may be cut begins. */
static size_t
find_numbers(struct live *l, struct subscriber *s, const char *bytes, size_t len, double now)
{
	static const char mark[] = "\"value\":";
	size_t mark_len = strlen(mark), at = 0;
	for (;;) {
		const char *found = memmem(bytes + at, len - at, mark, mark_len);
		if (!found)
			return MAX(at, len > mark_len ? len - mark_len : 0);
		size_t digit = (size_t)(found - bytes) + mark_len;
		uint64_t number = 0;
		while (digit < len && bytes[digit] >= '0' && bytes[digit] <= '9')
			number = number * 10 + (uint64_t)(bytes[digit++] - '0');
		if (digit == len)
			return (size_t)(found - bytes);
		if (number < l->readings && s->got[number] == 0) {
			s->got[number] = now;
			s->count++;
		}
		at = digit;
	}
}

/* false: nothing more will come. */
static bool
take(struct live *l, struct subscriber *s)
{
	char bytes[CARRY_BYTES + RECV_BYTES];
	memcpy(bytes, s->carry, s->carry_len);
	ssize_t n = recv(s->fd, bytes + s->carry_len, RECV_BYTES, 0);
	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	size_t len = s->carry_len + (size_t)n;
	size_t keep = find_numbers(l, s, bytes, len, bench_seconds(l->bench));
	s->carry_len = MIN(len - keep, sizeof(s->carry));
	memcpy(s->carry, bytes + len - s->carry_len, s->carry_len);
	return true;
}

/* Until every subscriber has everything, or nothing came for five seconds. */
static void
listen_all(void *ctx)
{
	struct live *l = ctx;
	struct pollfd *fds = calloc(l->subscriber_count, sizeof(*fds));
	size_t left = fds ? l->subscriber_count : 0;
	for (size_t i = 0; i < left; i++)
		fds[i] = (struct pollfd){.fd = l->subscribers[i].fd, .events = POLLIN};
	while (left > 0 && poll(fds, l->subscriber_count, 5000) > 0) {
		for (size_t i = 0; i < l->subscriber_count; i++) {
			if (!fds[i].revents)
				continue;
			bool more = take(l, &l->subscribers[i]);
			if (!more || l->subscribers[i].count == l->readings) {
				fds[i].fd = -1;
				left--;
			}
		}
	}
	free(fds);
}

/* ── publishers ── */

static void
sleep_until(struct live *l, double when)
{
	double wait = when - bench_seconds(l->bench);
	if (wait <= 0)
		return;
	struct timespec span = {(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)};
	nanosleep(&span, NULL);
}

static int
publish_one(struct publisher *p, struct http_client *client, uint64_t number)
{
	struct live *l = p->live;
	struct http_client_reply reply;
	char body[200];
	int len = snprintf(body, sizeof(body),
	    "{\"device\":{\"id\":%llu},\"readings\":[{\"time\":%lld,\"temp\":%llu}]}",
	    (unsigned long long)(1001 + number % 100), (long long)env_now_ms(l->bench->env),
	    (unsigned long long)number);
	l->sent[number] = bench_seconds(l->bench);
	int error = http_client_call(client, "POST", "/api/v1/readings", "application/json",
	    span_of(body, (size_t)len), &reply);
	l->answered[number] = bench_seconds(l->bench);
	if (error)
		snprintf(p->reason, sizeof(p->reason), "publishing: %s", strerror(-error));
	else if (reply.status != 202) {
		snprintf(p->reason, sizeof(p->reason), "publishing was answered %u", reply.status);
		error = -EPROTO;
	}
	return error;
}

static void
publish(void *ctx)
{
	struct publisher *p = ctx;
	struct live *l = p->live;
	const struct bench_options *o = &l->bench->options;
	char authorization[256];
	bench_authorization(l->server, authorization, sizeof(authorization));
	struct http_client_options options = {.address = l->server->address,
	    .authorization = authorization,
	    .stop_fd = l->bench->stop_fd};
	struct http_client *client = NULL;
	p->error = http_client_create(&options, &client);
	for (uint64_t n = p->index; n < l->readings && !p->error; n += o->connections) {
		sleep_until(l, l->begin + (double)n / (double)o->rate);
		p->error = publish_one(p, client, n);
	}
	http_client_destroy(client);
}

static int
publish_all(struct live *l)
{
	uint64_t count = l->bench->options.connections;
	struct publisher *publishers = calloc(count, sizeof(*publishers));
	int error = publishers ? 0 : -ENOMEM;
	l->begin = bench_seconds(l->bench) + SETTLE_MS / 1e3;
	for (uint64_t i = 0; i < count && !error; i++) {
		publishers[i] = (struct publisher){.live = l, .index = i};
		error = thread_start(&publishers[i].thread, "publish", publish, &publishers[i]);
		publishers[i].started = !error;
	}
	for (uint64_t i = 0; publishers && i < count; i++) {
		if (!publishers[i].started)
			continue;
		thread_join(publishers[i].thread);
		if (publishers[i].error && !error)
			error =
			    bench_fail(l->bench, publishers[i].error, "%s", publishers[i].reason);
	}
	free(publishers);
	return error;
}

/* ── figures ── */

struct names {
	const char *answer_p50, *answer_p99, *answer_max, *send_p50, *send_p99;
};

/* Over the subscribers from..to. */
static int
add_figures(const struct live *l, size_t from, size_t to, const struct names *names,
    struct bench_result *result)
{
	size_t count = (to - from) * l->readings, at = 0;
	double *after_answer = calloc(count, sizeof(double));
	double *after_send = calloc(count, sizeof(double));
	if (!after_answer || !after_send) {
		free(after_answer);
		free(after_send);
		return -ENOMEM;
	}
	for (size_t i = from; i < to; i++) {
		for (uint64_t n = 0; n < l->readings; n++, at++) {
			double got = l->subscribers[i].got[n];
			after_answer[at] = (got - l->answered[n]) * 1e3;
			after_send[at] = (got - l->sent[n]) * 1e3;
		}
	}
	bench_sort(after_answer, count);
	bench_sort(after_send, count);
	bench_figure_add(result, names->answer_p50, bench_quantile(after_answer, count, 0.5));
	bench_figure_add(result, names->answer_p99, bench_quantile(after_answer, count, 0.99));
	bench_figure_add(result, names->answer_max, after_answer[count - 1]);
	bench_figure_add(result, names->send_p50, bench_quantile(after_send, count, 0.5));
	bench_figure_add(result, names->send_p99, bench_quantile(after_send, count, 0.99));
	free(after_answer);
	free(after_send);
	return 0;
}

static int
report(struct live *l, double cpu, double seconds, struct bench_result *ret_result)
{
	static const struct names sse = {"sse_after_answer_p50_ms", "sse_after_answer_p99_ms",
	    "sse_after_answer_max_ms", "sse_after_send_p50_ms", "sse_after_send_p99_ms"};
	static const struct names ws = {"ws_after_answer_p50_ms", "ws_after_answer_p99_ms",
	    "ws_after_answer_max_ms", "ws_after_send_p50_ms", "ws_after_send_p99_ms"};
	for (size_t i = 0; i < l->subscriber_count; i++)
		if (l->subscribers[i].count != l->readings)
			return bench_fail(l->bench, -EPROTO, "subscriber %zu got %llu of %llu", i,
			    (unsigned long long)l->subscribers[i].count,
			    (unsigned long long)l->readings);
	size_t half = l->subscriber_count / 2;
	int error = add_figures(l, 0, half, &sse, ret_result);
	if (!error)
		error = add_figures(l, half, l->subscriber_count, &ws, ret_result);
	if (error)
		return error;
	bench_figure_add(ret_result, "readings_per_s", (double)l->readings / seconds);
	bench_figure_add(ret_result, "server_cpu_us_per_reading", cpu * 1e6 / (double)l->readings);
	bench_figure_add(ret_result, "limit_wake_p50_ms", l->wake_p50_ms);
	bench_figure_add(ret_result, "limit_wake_p99_ms", l->wake_p99_ms);
	return 0;
}

static int
live_init(struct live *l, struct bench *b, const struct bench_server *server)
{
	const struct bench_options *o = &b->options;
	*l = (struct live){.bench = b, .server = server};
	l->readings = MAX(o->rate * (uint64_t)o->duration_ms / 1000, 1);
	l->subscriber_count = 2 * o->subscribers;
	l->sent = calloc(l->readings, sizeof(*l->sent));
	l->answered = calloc(l->readings, sizeof(*l->answered));
	l->subscribers = calloc(l->subscriber_count, sizeof(*l->subscribers));
	if (!l->sent || !l->answered || !l->subscribers)
		return -ENOMEM;
	for (size_t i = 0; i < l->subscriber_count; i++)
		l->subscribers[i].fd = -1;
	for (size_t i = 0; i < l->subscriber_count; i++) {
		struct subscriber *s = &l->subscribers[i];
		s->got = calloc(l->readings, sizeof(*s->got));
		int error = s->got ? subscribe(l, s, i >= o->subscribers) : -ENOMEM;
		if (error)
			return error;
	}
	return 0;
}

static void
live_finish(struct live *l)
{
	for (size_t i = 0; l->subscribers && i < l->subscriber_count; i++) {
		if (l->subscribers[i].fd >= 0)
			close(l->subscribers[i].fd);
		free(l->subscribers[i].got);
	}
	free(l->subscribers);
	free(l->sent);
	free(l->answered);
}

/* The limit, at the same time: the neighbours on this machine change from second to second. */
static void
wake_meanwhile(void *ctx)
{
	struct live *l = ctx;
	unsigned count = (unsigned)MAX(l->bench->options.duration_ms * 1000 / WAKE_GAP_US, 1);
	l->wake_error =
	    bench_limit_wake(l->bench, count, WAKE_GAP_US, &l->wake_p50_ms, &l->wake_p99_ms);
}

static int
publish_and_wake(struct live *l)
{
	pthread_t waker;
	int error = thread_start(&waker, "wake", wake_meanwhile, l);
	if (error)
		return error;
	error = publish_all(l);
	thread_join(waker);
	return error ? error : l->wake_error;
}

static int
measure(struct bench *b, const struct bench_server *server, struct bench_result *ret_result)
{
	struct live l;
	int error = live_init(&l, b, server);
	if (!error)
		error = thread_start(&l.listener, "listen", listen_all, &l);
	if (!error) {
		double cpu = bench_cpu_seconds(server->pid);
		error = publish_and_wake(&l);
		double seconds = bench_seconds(b) - l.begin;
		thread_join(l.listener);
		cpu = bench_cpu_seconds(server->pid) - cpu;
		if (!error)
			error = report(&l, cpu, seconds, ret_result);
	}
	live_finish(&l);
	return error;
}

int
bench_live(struct bench *b, unsigned run, struct bench_result *ret_result)
{
	struct bench_server server;
	(void)run;
	int error = bench_server_init(b, &server);
	if (!error)
		error = bench_server_start(b, &server, false);
	if (!error)
		error = measure(b, &server, ret_result);
	bench_server_finish(b, &server);
	return error;
}

/*
 * bench_messages.c: `weir bench messages`: many connections that each send a small body, wait for
 * the answer and send the next when it is due; and how soon a reading among them is visible.
 *
 * Two threads drive the connections with epoll, so that the client takes as little of the two cores
 * as it can. With --batch 1 a body is one tracker's message of 200 bytes, each from another of
 * --series devices; with more it has so many readings of one device. All devices are introduced
 * before. Beside them a prober posts a reading of a device of its own and, when that is answered,
 * asks for its last value: from before sending to having the value is an upper bound for "from
 * arrival to visible in a query".
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "check.h"
#include "http_client.h"
#include "num.h"
#include "socket.h"
#include "thread.h"

enum {
	DRIVERS = 2,
	FIRST_DEVICE = 1000000, /* seven digits */
	DEVICE_DIGITS = 7,
	TIME_DIGITS = 13,
	ANSWER_BYTES = 4096,
	PROBE_GAP_MS = 5,
	INTRODUCED_AT_ONCE = 1000,
	WAIT_NS_MIN = 100000,
};

struct link {
	int fd;
	bool waiting;
	double due, sent; /* seconds */
	uint64_t number;  /* of its next message */
	char answer[ANSWER_BYTES];
	size_t len;
};

struct driver {
	struct messages *all;
	struct link *links;
	size_t link_count;
	uint64_t first;	   /* of its links */
	char *request;
	size_t request_len, device_at, *times_at;
	int epoll;
	double *latencies; /* ms */
	uint64_t answered, room;
	int error;
	char reason[200];
	pthread_t thread;
	bool started;
};

struct messages {
	struct bench *bench;
	const struct bench_server *server;
	double begin, end;
	struct driver drivers[DRIVERS];
	double *visible; /* ms */
	uint64_t probes, probes_max;
	int probe_error;
	char probe_reason[200];
	pthread_t prober;
};

/* ── the request ── */

/* One item; the digits of device and times are put in later, from the right. */
static void
write_item(struct driver *d, struct buf *body, uint64_t readings)
{
	buf_append_str(body, "{\"device\":{\"id\":");
	d->device_at = body->len;
	buf_append_str(body, "0000000,\"name\":\"tracker\"},\"readings\":[");
	for (uint64_t i = 0; i < readings; i++) {
		buf_append_str(body, i ? ",{\"time\":" : "{\"time\":");
		d->times_at[i] = body->len;
		buf_append_str(body, "0000000000000,");
		if (readings == 1)
			buf_append_str(body,
			    "\"latitude\":52.520008,\"longitude\":13.404954,\"speed\":13.5,"
			    "\"heading\":271.25,\"battery\":87,\"signal\":-71.5}");
		else
			buf_printf(body, "\"speed\":%d.%d}", (int)(i % 90), (int)(i % 10));
	}
	buf_append_str(body, "]}");
}

static int
request_create(struct driver *d)
{
	const struct bench_server *server = d->all->server;
	uint64_t readings = d->all->bench->options.batch;
	struct buf body, all;
	buf_init(&body, 0);
	buf_init(&all, 0);
	d->times_at = calloc(readings, sizeof(*d->times_at));
	if (!d->times_at)
		return -ENOMEM;
	write_item(d, &body, readings);
	buf_printf(&all,
	    "POST /api/v1/readings HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	    server->address + strlen("http://"), server->key, body.len);
	size_t head = all.len;
	buf_append_span(&all, buf_span(&body));
	int error = buf_ok(&all) && buf_ok(&body) ? 0 : -ENOMEM;
	buf_finish(&body);
	d->device_at += head;
	for (uint64_t i = 0; i < readings; i++)
		d->times_at[i] += head;
	d->request = all.ptr;
	d->request_len = all.len;
	return error;
}

static void
put_digits(char *at, unsigned digits, uint64_t number)
{
	for (; digits > 0; digits--, number /= 10)
		at[digits - 1] = (char)('0' + number % 10);
}

/* ── driving ── */

static int
driver_fail(struct driver *d, int error, const char *what)
{
	snprintf(d->reason, sizeof(d->reason), "%s: %s", what, strerror(-error));
	return error;
}

static int
link_send(struct driver *d, size_t i, double now)
{
	struct link *link = &d->links[i];
	const struct bench_options *o = &d->all->bench->options;
	uint64_t share = MAX(o->series / o->connections, 1);
	uint64_t device = (d->first + i) * share + link->number++ % share;
	uint64_t time = (uint64_t)env_now_ms(d->all->bench->env);
	put_digits(d->request + d->device_at, DEVICE_DIGITS, FIRST_DEVICE + device);
	for (uint64_t n = 0; n < o->batch; n++)
		put_digits(d->request + d->times_at[n], TIME_DIGITS, time - o->batch + 1 + n);
	for (size_t done = 0; done < d->request_len;) {
		ssize_t n = send(link->fd, d->request + done, d->request_len - done, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return driver_fail(d, -errno, "sending");
		done += n > 0 ? (size_t)n : 0;
	}
	link->sent = now;
	link->waiting = true;
	link->len = 0;
	return 0;
}

/* How long the answer is, 0: its head is not whole yet. */
static size_t
answer_len(const struct link *link)
{
	const char *head_end = memmem(link->answer, link->len, "\r\n\r\n", 4);
	if (!head_end)
		return 0;
	size_t head = (size_t)(head_end + 4 - link->answer);
	const char *field = memmem(link->answer, head, "Content-Length: ", 16);
	return head + (field ? strtoul(field + 16, NULL, 10) : 0);
}

static int
link_take(struct driver *d, struct link *link, double now)
{
	ssize_t n = recv(link->fd, link->answer + link->len, ANSWER_BYTES - 1 - link->len, 0);
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : driver_fail(d, -ECONNRESET, "receiving");
	link->len += (size_t)n;
	link->answer[link->len] = '\0';
	size_t want = answer_len(link);
	if (want == 0 || link->len < want)
		return 0;
	static const char good[] = "HTTP/1.1 202 ";
	if (memcmp(link->answer, good, strlen(good)) != 0 ||
	    !memmem(link->answer, link->len, "\"rejected\":[]", 13)) {
		snprintf(d->reason, sizeof(d->reason), "answered: %.150s", link->answer);
		return -EPROTO;
	}
	link->waiting = false;
	if (d->answered < d->room)
		d->latencies[d->answered++] = (now - link->sent) * 1e3;
	return 0;
}

/* Sends what is due; when the next is. */
static int
driver_send(struct driver *d, double now, double *ret_next)
{
	const struct bench_options *o = &d->all->bench->options;
	double period = (double)o->connections / (double)o->rate;
	*ret_next = now + 0.1;
	for (size_t i = 0; i < d->link_count; i++) {
		struct link *link = &d->links[i];
		if (link->waiting)
			continue;
		if (link->due <= now) {
			int error = link_send(d, i, now);
			if (error)
				return error;
			/* Who is late sends the next at once, but does not catch up for ever. */
			link->due = MAX(link->due + period, now - period);
		} else {
			*ret_next = MIN(*ret_next, link->due);
		}
	}
	return 0;
}

static void
drive(void *ctx)
{
	struct driver *d = ctx;
	struct messages *all = d->all;
	struct epoll_event events[128];
	double now = bench_seconds(all->bench), next = now;
	while (!d->error && now < all->end) {
		d->error = driver_send(d, now, &next);
		long ns = (long)MAX((next - now) * 1e9, (double)WAIT_NS_MIN);
		struct timespec wait = {0, MIN(ns, 100000000L)};
		int count = epoll_pwait2(d->epoll, events, 128, &wait, NULL);
		now = bench_seconds(all->bench);
		for (int i = 0; i < count && !d->error; i++)
			d->error = link_take(d, &d->links[events[i].data.u32], now);
	}
}

static int
driver_init(struct messages *all, unsigned index)
{
	struct driver *d = &all->drivers[index];
	const struct bench_options *o = &all->bench->options;
	const char *address = all->server->address + strlen("http://");
	d->all = all;
	d->first = o->connections * index / DRIVERS;
	d->link_count = o->connections * (index + 1) / DRIVERS - d->first;
	d->links = calloc(MAX(d->link_count, 1), sizeof(*d->links));
	d->room = o->rate * (uint64_t)o->duration_ms / 1000 + o->connections;
	d->latencies = calloc(d->room, sizeof(*d->latencies));
	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!d->links || !d->latencies || d->epoll < 0 || request_create(d))
		return -ENOMEM;
	for (size_t i = 0; i < d->link_count; i++)
		d->links[i].fd = -1;
	for (size_t i = 0; i < d->link_count; i++) {
		struct link *link = &d->links[i];
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
		link->fd = socket_connect(address);
		if (link->fd < 0)
			return bench_fail(all->bench, link->fd, "%s: %s", address,
			    strerror(-link->fd));
		if (epoll_ctl(d->epoll, EPOLL_CTL_ADD, link->fd, &event) < 0)
			return -errno;
		/* Spread over the first period. */
		link->due = all->begin + (double)(d->first + i) / (double)o->rate;
	}
	return 0;
}

static void
driver_finish(struct driver *d)
{
	for (size_t i = 0; d->links && i < d->link_count; i++)
		if (d->links[i].fd >= 0)
			close(d->links[i].fd);
	if (d->epoll > 0)
		close(d->epoll);
	free(d->links);
	free(d->latencies);
	free(d->times_at);
	free(d->request);
}

/* ── visible ── */

static int
probe_one(struct messages *all, struct http_client *client, uint64_t number)
{
	struct http_client_reply reply;
	char body[200], want[64];
	int len = snprintf(body, sizeof(body),
	    "{\"device\":{\"id\":7},\"readings\":[{\"time\":%lld,\"probe\":%llu}]}",
	    (long long)env_now_ms(all->bench->env), (unsigned long long)number);
	int want_len =
	    snprintf(want, sizeof(want), "\"value\":%llu}", (unsigned long long)number);
	double began = bench_seconds(all->bench);
	int error = http_client_call(client, "POST", "/api/v1/readings", "application/json",
	    span_of(body, (size_t)len), &reply);
	if (!error && reply.status != 202)
		error = -EPROTO;
	bool seen = false;
	while (!error && !seen) {
		error = http_client_call(client, "GET", "/api/v1/latest?metric=probe&device=7",
		    NULL, SPAN(""), &reply);
		seen = !error && memmem(reply.body.ptr, reply.body.len, want, (size_t)want_len);
		if (!error && reply.status != 200)
			error = -EPROTO;
	}
	all->visible[all->probes++] = (bench_seconds(all->bench) - began) * 1e3;
	if (error)
		snprintf(all->probe_reason, sizeof(all->probe_reason), "probing: %s",
		    strerror(-error));
	return error;
}

static void
probe(void *ctx)
{
	struct messages *all = ctx;
	char authorization[256];
	bench_authorization(all->server, authorization, sizeof(authorization));
	struct http_client_options options = {.address = all->server->address,
	    .authorization = authorization,
	    .stop_fd = all->bench->stop_fd};
	struct http_client *client = NULL;
	all->probe_error = http_client_create(&options, &client);
	while (!all->probe_error && all->probes < all->probes_max &&
	    bench_seconds(all->bench) < all->end) {
		all->probe_error = probe_one(all, client, all->probes + 1);
		struct timespec gap = {0, PROBE_GAP_MS * 1000000L};
		nanosleep(&gap, NULL);
	}
	http_client_destroy(client);
}

/* ── devices ── */

static int
introduce_some(struct messages *all, struct http_client *client, uint64_t from, uint64_t to)
{
	struct http_client_reply reply;
	struct buf body;
	long long time = (long long)env_now_ms(all->bench->env) - 60000;
	buf_init(&body, 0);
	for (uint64_t i = from; i < to; i++)
		buf_printf(&body,
		    "%c{\"device\":{\"id\":%llu,\"name\":\"tracker\"},\"readings\":[{\"time\":%lld,"
		    "\"latitude\":1,\"longitude\":1,\"speed\":1,\"heading\":1,\"battery\":1,"
		    "\"signal\":1}]}",
		    i == from ? '[' : ',', (unsigned long long)(FIRST_DEVICE + i), time);
	buf_append_byte(&body, ']');
	int error = http_client_call(client, "POST", "/api/v1/readings", "application/json",
	    buf_span(&body), &reply);
	buf_finish(&body);
	if (error)
		return bench_fail(all->bench, error, "introducing: %s", strerror(-error));
	return reply.status == 202
		   ? 0
		   : bench_fail(all->bench, -EPROTO, "introducing was answered %u", reply.status);
}

/* Each device sends once: what the first message of a device costs is no part of the figures. */
static int
introduce(struct messages *all)
{
	char authorization[256];
	bench_authorization(all->server, authorization, sizeof(authorization));
	struct http_client_options options = {.address = all->server->address,
	    .authorization = authorization,
	    .stop_fd = all->bench->stop_fd};
	struct http_client *client = NULL;
	uint64_t count = all->bench->options.series;
	int error = http_client_create(&options, &client);
	for (uint64_t from = 0; from < count && !error; from += INTRODUCED_AT_ONCE)
		error = introduce_some(all, client, from, MIN(from + INTRODUCED_AT_ONCE, count));
	http_client_destroy(client);
	return error;
}

/* ── figures ── */

static int
run_all(struct messages *all)
{
	unsigned started = 0;
	int error = thread_start(&all->prober, "probe", probe, all);
	bool probing = !error;
	for (; started < DRIVERS && !error; started += !error)
		error = thread_start(&all->drivers[started].thread, "drive", drive,
		    &all->drivers[started]);
	for (unsigned i = 0; i < started; i++) {
		thread_join(all->drivers[i].thread);
		if (all->drivers[i].error && !error)
			error = bench_fail(all->bench, all->drivers[i].error, "%s",
			    all->drivers[i].reason);
	}
	if (probing)
		thread_join(all->prober);
	if (all->probe_error && !error)
		error = bench_fail(all->bench, all->probe_error, "%s", all->probe_reason);
	return error;
}

static int
report(struct messages *all, double cpu, double seconds, struct bench_result *ret_result)
{
	uint64_t answered = 0, at = 0;
	for (unsigned i = 0; i < DRIVERS; i++)
		answered += all->drivers[i].answered;
	if (answered == 0 || all->probes == 0)
		return bench_fail(all->bench, -EPROTO, "nothing was answered");
	double *every = calloc(answered, sizeof(*every));
	if (!every)
		return -ENOMEM;
	for (unsigned i = 0; i < DRIVERS; at += all->drivers[i++].answered)
		memcpy(every + at, all->drivers[i].latencies,
		    all->drivers[i].answered * sizeof(*every));
	bench_sort(every, answered);
	bench_sort(all->visible, all->probes);
	double count = (double)answered;
	bench_figure_add(ret_result, "messages_per_s", count / seconds);
	bench_figure_add(ret_result, "body_bytes",
	    (double)(all->drivers[0].request_len - all->drivers[0].device_at + 16));
	bench_figure_add(ret_result, "server_cpu_us_per_message", cpu * 1e6 / count);
	bench_figure_add(ret_result, "server_cpu_percent", cpu * 100 / seconds);
	bench_figure_add(ret_result, "answer_p50_ms", bench_quantile(every, answered, 0.5));
	bench_figure_add(ret_result, "answer_p99_ms", bench_quantile(every, answered, 0.99));
	bench_figure_add(
	    ret_result, "visible_p50_ms", bench_quantile(all->visible, all->probes, 0.5));
	bench_figure_add(
	    ret_result, "visible_p99_ms", bench_quantile(all->visible, all->probes, 0.99));
	bench_figure_add(ret_result, "rss_mb", bench_memory_kb(all->server->pid, "Rss") / 1024);
	free(every);
	return 0;
}

static int
measure(struct bench *b, const struct bench_server *server, struct bench_result *ret_result)
{
	const struct bench_options *o = &b->options;
	struct messages all = {.bench = b, .server = server};
	int error = introduce(&all);
	all.begin = bench_seconds(b);
	all.end = all.begin + (double)o->duration_ms / 1e3;
	all.probes_max = (uint64_t)o->duration_ms / PROBE_GAP_MS + 1;
	all.visible = calloc(all.probes_max, sizeof(*all.visible));
	if (!all.visible && !error)
		error = -ENOMEM;
	for (unsigned i = 0; i < DRIVERS && !error; i++)
		error = driver_init(&all, i);
	double cpu = bench_cpu_seconds(server->pid), began = bench_seconds(b);
	if (!error)
		error = run_all(&all);
	cpu = bench_cpu_seconds(server->pid) - cpu;
	if (!error)
		error = report(&all, cpu, bench_seconds(b) - began, ret_result);
	for (unsigned i = 0; i < DRIVERS; i++)
		driver_finish(&all.drivers[i]);
	free(all.visible);
	return error;
}

int
bench_messages(struct bench *b, unsigned run, struct bench_result *ret_result)
{
	struct bench_server server;
	(void)run;
	int error = bench_server_init(b, &server);
	if (!error)
		error = bench_server_start(b, &server, false);
	if (!error)
		error = measure(b, &server, ret_result);
	if (!error)
		error = bench_server_end(b, &server, SIGTERM);
	bench_server_finish(b, &server);
	return error;
}

/*
 * bench_push_crowd.c: subscribers, a publisher, and the one loop that drives them.
 *
 * Subscribers come from several addresses of loopback, for one has not enough ports.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench_push.h"
#include "check.h"

enum {
	CARRY_BYTES = 2048,
	RECV_BYTES = 1 << 18,
	DISCARD_BYTES = 1 << 22,
	EVENTS = 1024,
	FIRST_ADDRESS = 2,           /* 127.0.0.2 */
	CONNS_AN_ADDRESS = 10000,
	CONNECTING_MAX = 200,        /* connections whose answer is awaited */
	PATIENCE_S = 30,             /* without any progress */
	LONG_WAIT_US = 100000,
};

int
bench_push_server_open(struct bench *b, struct bench_server *server, struct push_target *target)
{
	int error = bench_server_init(b, server);
	if (!error)
		error = bench_server_start(b, server, false);
	*target = (struct push_target){.address = server->address + strlen("http://"),
	    .key = server->key, .pid = server->pid};
	return error;
}

/* ── connections ── */

int
bench_push_connect(const struct push_target *target, size_t number)
{
	struct sockaddr_in to = {.sin_family = AF_INET}, from = {.sin_family = AF_INET};
	char host[32];
	unsigned port;
	if (sscanf(target->address, "%31[0-9.]:%u", host, &port) != 2)
		return -EINVAL;
	to.sin_port = htons((uint16_t)port);
	inet_pton(AF_INET, host, &to.sin_addr);
	from.sin_addr.s_addr =
	    htonl(0x7f000000u + FIRST_ADDRESS + (uint32_t)(number / CONNS_AN_ADDRESS));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	if (fd < 0)
		return -errno;
	/* The port is chosen when both ends are known: each pair of addresses has all of them. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static int
conn_open(struct push_crowd *c, struct push_conn *conn, size_t number, struct span hello)
{
	*conn = (struct push_conn){.fd = bench_push_connect(&c->target, c->target.first + number)};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
	if (conn->fd < 0)
		return bench_fail(c->bench, conn->fd, "connecting to %s: %s", c->target.address,
		    strerror(-conn->fd));
	conn->carry = malloc(CARRY_BYTES);
	if (!conn->carry || epoll_ctl(c->epoll, EPOLL_CTL_ADD, conn->fd, &event) < 0)
		return bench_fail(c->bench, -ENOMEM, "memory is out");
	if (hello.len && send(conn->fd, hello.ptr, hello.len, MSG_NOSIGNAL) != (ssize_t)hello.len)
		return bench_fail(c->bench, -EPIPE, "%s takes nothing", c->target.address);
	return 0;
}

static void
conn_close(struct push_conn *conn)
{
	if (conn->fd > 0)
		close(conn->fd);
	free(conn->carry);
	*conn = (struct push_conn){0};
}

static uint64_t
count_marks(const char *bytes, size_t len)
{
	uint64_t count = 0;
	const char *end = bytes + len, *at;
	while ((at = memchr(bytes, PUSH_MARK, (size_t)(end - bytes)))) {
		count++;
		bytes = at + 1;
	}
	return count;
}

static uint64_t
count_texts(const char *bytes, size_t len, struct span text)
{
	uint64_t count = 0;
	const char *end = bytes + len, *at;
	while ((at = memmem(bytes, (size_t)(end - bytes), text.ptr, text.len))) {
		count++;
		bytes = at + text.len;
	}
	return count;
}

/* ── what comes ── */

/* Until the answer to what was said first is whole; bytes behind it are counted. */
static void
take_ready(struct push_crowd *c, struct push_conn *conn, struct span wanted)
{
	ssize_t n = recv(conn->fd, conn->carry + conn->carry_len, CARRY_BYTES - conn->carry_len, 0);
	if (n <= 0 || conn->carry_len + (size_t)n == CARRY_BYTES) {
		c->error = bench_fail(c->bench, -EPROTO, "%s: a subscription was refused: %.*s",
		    c->dialect->name, (int)MIN(conn->carry_len, (size_t)300), conn->carry);
		return;
	}
	conn->carry_len += (size_t)n;
	const char *found = memmem(conn->carry, conn->carry_len, wanted.ptr, wanted.len);
	if (!found)
		return;
	size_t over = conn->carry_len - (size_t)(found + wanted.len - conn->carry);
	conn->bytes += over;
	c->bytes += over;
	conn->ready = true;
	conn->carry_len = 0;
	c->ready++;
}

/* Answers to publishes; one may be cut between two reads. */
static void
take_answers(struct push_crowd *c, struct push_conn *conn)
{
	struct span text = c->wanted;
	memcpy(c->scratch, conn->carry, conn->carry_len);
	ssize_t n = recv(conn->fd, c->scratch + conn->carry_len, RECV_BYTES, 0);
	if (n <= 0) {
		c->error = bench_fail(c->bench, -EPROTO, "the publisher was cut off");
		return;
	}
	if (text.len == 0)
		return;
	size_t len = conn->carry_len + (size_t)n;
	c->answers += count_texts(c->scratch, len, text);
	conn->carry_len = MIN(len, text.len - 1);
	memcpy(conn->carry, c->scratch + len - conn->carry_len, conn->carry_len);
}

/* An answer to a poll ends with where to go on; the next poll begins there. */
static void
take_poll(struct push_crowd *c, struct push_conn *conn)
{
	static const char next[] = "\"next\":\"m";
	memcpy(c->scratch, conn->carry, conn->carry_len);
	ssize_t n = recv(conn->fd, c->scratch + conn->carry_len, RECV_BYTES, 0);
	if (n <= 0) {
		c->error = bench_fail(c->bench, -EPROTO, "a poll was cut off");
		return;
	}
	c->messages += count_marks(c->scratch + conn->carry_len, (size_t)n);
	size_t len = conn->carry_len + (size_t)n;
	const char *end = c->scratch + len, *found = memmem(c->scratch, len, next, strlen(next));
	const char *digits = found ? found + strlen(next) : NULL;
	if (!digits || !memchr(digits, '"', (size_t)(end - digits))) {
		conn->carry_len = MIN(len, (size_t)64);
		memcpy(conn->carry, end - conn->carry_len, conn->carry_len);
		return;
	}
	conn->carry_len = 0;
	char name[32], channel[96];
	struct buf text;
	bench_push_channel_name(name, c->spread ? conn - c->conns : -1);
	snprintf(channel, sizeof(channel), "%s&since=m%llu", name, strtoull(digits, NULL, 10));
	buf_init(&text, 0);
	c->dialect->subscribe(&text, &c->target, channel);
	if (send(conn->fd, text.ptr, text.len, MSG_NOSIGNAL) != (ssize_t)text.len)
		c->error = bench_fail(c->bench, -EPIPE, "a poll was not taken");
	buf_finish(&text);
}

/* Channels come in turn, so which messages they are follows from how many came before. */
static void
note_arrivals(struct push_crowd *c, const struct push_conn *conn, uint64_t messages)
{
	double now = bench_seconds(c->bench);
	for (uint64_t i = 0; i < messages; i++) {
		uint64_t number =
		    (uint64_t)(conn - c->conns) + (conn->messages + i) * c->count;
		c->arrival_ms[number] = (now - c->arrival_ms[number]) * 1e3;
	}
}

static void
take_stream(struct push_crowd *c, struct push_conn *conn)
{
	bool counts = c->spread || conn == c->conns;
	ssize_t n = counts ? recv(conn->fd, c->scratch, RECV_BYTES, 0)
			   : recv(conn->fd, NULL, DISCARD_BYTES, MSG_TRUNC);
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			c->error = bench_fail(c->bench, -EPROTO, "%s: a subscriber was cut off",
			    c->dialect->name);
		return;
	}
	conn->bytes += (uint64_t)n;
	c->bytes += (uint64_t)n;
	if (counts) {
		uint64_t messages = count_marks(c->scratch, (size_t)n);
		if (c->arrival_ms)
			note_arrivals(c, conn, messages);
		conn->messages += messages;
		c->messages += messages;
	}
}

static void
turn(struct push_crowd *c, long wait_us)
{
	struct epoll_event events[EVENTS];
	struct timespec wait = {0, wait_us * 1000};
	int count = epoll_pwait2(c->epoll, events, EVENTS, &wait, NULL);
	for (int i = 0; i < count && !c->error; i++) {
		struct push_conn *conn = events[i].data.ptr;
		if (!conn->ready)
			take_ready(c, conn, c->wanted);
		else if (conn == &c->publisher)
			take_answers(c, conn);
		else if (c->dialect->polls)
			take_poll(c, conn);
		else
			take_stream(c, conn);
	}
}

int
bench_push_crowd_turn(struct push_crowd *c, int wait_ms)
{
	turn(c, wait_ms);
	return c->error;
}

static int
wait_ready(struct push_crowd *c, size_t wanted)
{
	double end = bench_seconds(c->bench) + PATIENCE_S;
	while (c->ready < wanted && !c->error) {
		turn(c, LONG_WAIT_US);
		if (bench_seconds(c->bench) > end)
			c->error = bench_fail(c->bench, -ETIMEDOUT,
			    "%s: only %zu of %zu subscriptions were answered", c->dialect->name,
			    c->ready, wanted);
	}
	return c->error;
}

int
bench_push_crowd_open(struct bench *b, const struct push_dialect *dialect,
    const struct push_target *target, size_t count, bool spread, struct push_crowd *c)
{
	*c = (struct push_crowd){.bench = b, .dialect = dialect, .target = *target,
	    .spread = spread, .count = count, .wanted = dialect->ready};
	buf_init(&c->out, 0);
	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	c->conns = calloc(count, sizeof(*c->conns));
	c->scratch = malloc(CARRY_BYTES + RECV_BYTES);
	if (c->epoll < 0 || !c->conns || !c->scratch)
		return bench_fail(b, -ENOMEM, "memory is out");
	for (size_t i = 0; i < count && !c->error; i++) {
		char name[32];
		bench_push_channel_name(name, spread ? (int64_t)i : -1);
		buf_clear(&c->out);
		dialect->subscribe(&c->out, target, name);
		c->error = conn_open(c, &c->conns[i], i, buf_span(&c->out));
		if (dialect->ready.len == 0) {
			c->conns[i].ready = true;
			c->ready++;
		}
		if (i + 1 > c->ready + CONNECTING_MAX && !c->error)
			wait_ready(c, i + 1 - CONNECTING_MAX);
	}
	buf_clear(&c->out);
	return c->error ? c->error : wait_ready(c, count);
}

void
bench_push_crowd_finish(struct push_crowd *c)
{
	for (size_t i = 0; c->conns && i < c->count; i++)
		conn_close(&c->conns[i]);
	conn_close(&c->publisher);
	if (c->epoll > 0)
		close(c->epoll);
	free(c->conns);
	free(c->scratch);
	buf_finish(&c->out);
}

int
bench_push_crowd_say(struct push_crowd *c, struct span bytes, struct span ready)
{
	c->ready = 0;
	c->wanted = ready;
	for (size_t i = 0; i < c->count && !c->error; i++) {
		struct push_conn *conn = &c->conns[i];
		conn->ready = false;
		if (send(conn->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL) != (ssize_t)bytes.len)
			return bench_fail(c->bench, -EPIPE, "a subscriber is not heard");
		if (i + 1 > c->ready + CONNECTING_MAX)
			wait_ready(c, i + 1 - CONNECTING_MAX);
	}
	return c->error ? c->error : wait_ready(c, c->count);
}

/* ── publishing ── */

static int
publisher_open(struct push_crowd *c, const struct push_dialect *dialect)
{
	conn_close(&c->publisher);
	buf_clear(&c->out);
	if (dialect->greet)
		dialect->greet(&c->out, &c->target);
	c->wanted = dialect->greeted;
	c->ready = 0;
	int error = conn_open(c, &c->publisher, 0, buf_span(&c->out));
	buf_clear(&c->out);
	if (!error && dialect->greeted.len)
		error = wait_ready(c, 1);
	c->publisher.ready = true;
	c->wanted = dialect->answer;
	c->answers = 0;
	return error;
}

/* How many messages have come to everybody, as far as that is known. */
static uint64_t
arrived(const struct push_crowd *c, bool by_all)
{
	if (c->spread)
		return c->messages;
	if (c->dialect->polls)
		return c->messages / c->count;
	uint64_t first = c->conns[0].messages;
	bool all = c->bytes >= c->conns[0].bytes * c->count;
	return by_all && !all && first ? first - 1 : first;
}

static uint64_t
answered(const struct push_crowd *c, const struct push_run *run)
{
	if (run->dialect->answer.len == 0)
		return UINT64_MAX;
	/* Each frame is answered for itself. */
	return c->answers * (run->dialect->window_max ? 1 : run->batch);
}

static void
begin_counting(struct push_crowd *c)
{
	for (size_t i = 0; i < c->count; i++)
		c->conns[i].bytes = c->conns[i].messages = 0;
	c->bytes = c->messages = 0;
}

static void
send_out(struct push_crowd *c)
{
	ssize_t n = c->out.len ? send(c->publisher.fd, c->out.ptr, c->out.len, MSG_NOSIGNAL) : 0;
	if (n > 0)
		buf_consume(&c->out, (size_t)n);
	else if (n < 0 && errno != EAGAIN)
		c->error = bench_fail(c->bench, -errno, "publishing: %s", strerror(errno));
}

/* As many as may be under way and are due. */
static void
publish_due(struct push_crowd *c, struct push_run *run, double elapsed)
{
	uint64_t window = run->window, behind = MIN(arrived(c, window == 1), answered(c, run));
	if (run->dialect->window_max)
		window = MIN(window, (uint64_t)run->dialect->window_max);
	bool over = run->duration_s > 0 && elapsed >= run->duration_s;
	while (!over && run->sent < run->messages && run->sent - behind + run->batch <= window &&
	    (run->rate <= 0 || (double)run->sent <= elapsed * run->rate)) {
		run->dialect->publish(&c->out, &c->target, run->sent, run->batch,
		    c->spread ? c->count : 0);
		if (run->arrival_ms)
			run->arrival_ms[run->sent] = bench_seconds(c->bench);
		run->sent += run->batch;
	}
	if (over)
		run->messages = run->sent;
	send_out(c);
}

/* Until something comes, or a part of the time to the next message is over. */
static long
wait_us(const struct push_crowd *c, const struct push_run *run)
{
	if (run->rate <= 0 && !c->out.len)
		return LONG_WAIT_US;
	return run->rate > 1000 ? 50 : 1000;
}

int
bench_push_crowd_run(struct push_crowd *c, struct push_run *run)
{
	int error = publisher_open(c, run->dialect);
	if (error)
		return error;
	begin_counting(c);
	c->arrival_ms = run->arrival_ms;
	double cpu = bench_cpu_seconds(c->target.pid), begin = bench_seconds(c->bench);
	double moved = begin, now = begin, sent_at = begin;
	uint64_t done = 0, seen = 0;
	run->sent = 0;
	while (!c->error && (done < run->messages || answered(c, run) < run->sent)) {
		uint64_t before = run->sent;
		publish_due(c, run, now - begin);
		if (run->sent != before)
			sent_at = now;
		turn(c, wait_us(c, run));
		now = bench_seconds(c->bench);
		uint64_t all = arrived(c, true);
		if (all > done && run->last_ms)
			run->last_ms[all - 1] = (now - sent_at) * 1e3;
		done = all;
		if (c->bytes + c->messages != seen)
			moved = now;
		seen = c->bytes + c->messages;
		if (now - moved > PATIENCE_S)
			c->error = bench_fail(c->bench, -ETIMEDOUT,
			    "%s: %llu of %llu messages were lost", c->dialect->name,
			    (unsigned long long)(run->sent - done), (unsigned long long)run->sent);
	}
	run->seconds = now - begin;
	run->cpu_s = bench_cpu_seconds(c->target.pid) - cpu;
	return c->error;
}

uint64_t
bench_push_crowd_arrived(const struct push_crowd *c)
{
	return arrived(c, true);
}

int
bench_push_publisher_open(struct bench *b, const struct push_dialect *dialect,
    const struct push_target *target, struct push_crowd *c)
{
	int error = bench_push_crowd_open(b, dialect, target, 0, false, c);
	return error ? error : publisher_open(c, dialect);
}

int
bench_push_publisher_say(struct push_crowd *c, uint64_t first, uint64_t count, uint64_t spread)
{
	uint64_t before = c->answers;
	double end = bench_seconds(c->bench) + PATIENCE_S;
	c->dialect->publish(&c->out, &c->target, first, count, spread);
	while (!c->error && (c->out.len || (c->dialect->answer.len && c->answers == before))) {
		send_out(c);
		turn(c, 10);
		if (bench_seconds(c->bench) > end)
			c->error = bench_fail(c->bench, -ETIMEDOUT, "a publish was not answered");
	}
	return c->error;
}

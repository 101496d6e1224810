/*
 * net_world.h: what the tests of net share: a loop with a clock that the test moves, a listener on
 * loopback, a recording owner for each connection, and a client's side that never blocks.
 */
#ifndef WEIR_TEST_NET_WORLD_H
#define WEIR_TEST_NET_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "check.h"
#include "env.h"
#include "loop.h"
#include "net.h"
#include "socket.h"

enum { OWNERS_MAX = 64, PUMP_MAX = 200000 };

/* Only the clocks are asked of it. */
struct clock_env {
	struct env env;
	uint64_t mono_ns;
};

/* Counts calls and can refuse them. */
struct counting {
	struct socket_env below;
	unsigned accepts, recvs, sends;
	int accept_error; /* given instead of accepting */
	bool send_blocks;
};

struct owner {
	struct world *w;
	struct net_conn *conn; /* NULL once closed */
	struct buf in;
	bool echo, lines_only, stop_using;
	unsigned inputs, draineds, deadlines, closeds;
	size_t in_max; /* most bytes offered at once */
	enum net_close_reason reason;
	void (*on_input)(struct owner *owner, struct span bytes);
	void (*on_drained)(struct owner *owner);
	void (*on_deadline)(struct owner *owner);
};

struct world {
	struct clock_env clock;
	struct counting counting;
	struct loop *loop;
	struct net *net;
	char address[64];
	struct owner owners[OWNERS_MAX];
	unsigned owner_count;
	struct owner model; /* what new owners are like */
	int refuse;         /* what accept answers */
	void (*on_accept)(struct owner *owner);
};

static inline int64_t
clock_now_ms(struct env *env)
{
	return (int64_t)(CONTAINER_OF(env, struct clock_env, env)->mono_ns / 1000000);
}

static inline uint64_t
clock_mono_ns(struct env *env)
{
	return CONTAINER_OF(env, struct clock_env, env)->mono_ns;
}

static const struct env_ops clock_ops = {.now_ms = clock_now_ms, .mono_ns = clock_mono_ns};

static inline int
counting_accept(void *ctx, int listener, struct sockaddr_storage *ret_peer)
{
	struct counting *c = ctx;
	c->accepts++;
	if (c->accept_error)
		return c->accept_error;
	return c->below.ops->accept(c->below.ctx, listener, ret_peer);
}

static inline ssize_t
counting_recv(void *ctx, int fd, void *ret_bytes, size_t len)
{
	struct counting *c = ctx;
	c->recvs++;
	return c->below.ops->recv(c->below.ctx, fd, ret_bytes, len);
}

static inline ssize_t
counting_sendv(void *ctx, int fd, const struct iovec *iov, int count)
{
	struct counting *c = ctx;
	c->sends++;
	if (c->send_blocks)
		return -EAGAIN;
	return c->below.ops->sendv(c->below.ctx, fd, iov, count);
}

static const struct socket_ops counting_ops = {
	.accept = counting_accept, .recv = counting_recv, .sendv = counting_sendv};

/* ── the owner ── */

static inline size_t
owner_input(void *ctx, struct span bytes)
{
	struct owner *o = ctx;
	size_t used = bytes.len;
	assert_non_null(o->conn);
	assert_int_equal(o->closeds, 0);
	o->inputs++;
	o->in_max = MAX(o->in_max, bytes.len);
	if (o->stop_using)
		return 0;
	if (o->lines_only) {
		const char *end = memchr(bytes.ptr, '\n', bytes.len);
		if (!end)
			return 0;
		used = (size_t)(end - bytes.ptr) + 1;
	}
	bytes.len = used;
	assert_int_equal(buf_append_span(&o->in, bytes), 0);
	if (o->on_input)
		o->on_input(o, bytes);
	if (o->echo) {
		int error = net_send(o->conn, bytes);
		assert_true(error == 0 || error == -EPIPE);
	}
	return used;
}

static inline void
owner_drained(void *ctx)
{
	struct owner *o = ctx;
	assert_int_equal(o->closeds, 0);
	o->draineds++;
	if (o->on_drained)
		o->on_drained(o);
}

static inline void
owner_deadline(void *ctx)
{
	struct owner *o = ctx;
	assert_int_equal(o->closeds, 0);
	o->deadlines++;
	if (o->on_deadline)
		o->on_deadline(o);
}

static inline void
owner_closed(void *ctx, enum net_close_reason reason)
{
	struct owner *o = ctx;
	o->closeds++;
	o->reason = reason;
	o->conn = NULL;
}

static const struct net_conn_ops owner_ops = {
	.input = owner_input,
	.drained = owner_drained,
	.deadline = owner_deadline,
	.closed = owner_closed,
};

static inline struct owner *
owner_new(struct world *w, struct net_conn *conn)
{
	assert_true(w->owner_count < OWNERS_MAX);
	struct owner *o = &w->owners[w->owner_count++];
	*o = w->model;
	o->w = w;
	o->conn = conn;
	buf_init(&o->in, 0);
	return o;
}

static inline int
world_accept(void *ctx, struct net_conn *conn, const struct net_conn_ops **ret_ops,
    void **ret_ctx)
{
	struct world *w = ctx;
	struct owner *o = owner_new(w, conn);
	if (w->on_accept)
		w->on_accept(o);
	if (w->refuse) {
		w->owner_count--;
		return w->refuse;
	}
	*ret_ops = &owner_ops;
	*ret_ctx = o;
	return 0;
}

/* ── the world ── */

static inline void
world_open(struct world *w, struct socket_env sockets, struct net_limits limits)
{
	memset(w, 0, sizeof(*w));
	w->clock.env.ops = &clock_ops;
	w->clock.mono_ns = 5000 * 1000000ull;
	w->counting.below = sockets;
	struct socket_env counting = {&counting_ops, &w->counting};
	assert_int_equal(loop_create(&w->clock.env, 0, &w->loop), 0);
	assert_int_equal(net_create(w->loop, counting, &limits, &w->net), 0);
	int fd = socket_listen("127.0.0.1:0", false);
	assert_true(fd >= 0);
	assert_int_equal(socket_local_name(fd, w->address, sizeof(w->address)), 0);
	assert_int_equal(net_listen(w->net, fd, world_accept, w), 0);
}

static const struct net_limits usual_limits = {
	.in_bytes_max = 1 << 20,
	.out_bytes_max = 1 << 20,
	.conns_max = 1000,
	.slow_write_ms = 5000,
};

static inline int
world_setup(void **state)
{
	struct world *w = malloc(sizeof(*w));
	assert_non_null(w);
	world_open(w, socket_real(), usual_limits);
	*state = w;
	return 0;
}

static inline void
world_close(struct world *w)
{
	struct net_stats stats;
	net_drain(w->net, NET_CLOSE_DRAIN, 0);
	for (int i = 0; i < 3; i++)
		loop_turn(w->loop, 0);
	net_stats(w->net, &stats);
	assert_int_equal(stats.open, 0);
	assert_int_equal(stats.out_queued, 0);
	for (unsigned i = 0; i < w->owner_count; i++) {
		assert_int_equal(w->owners[i].closeds, 1); /* exactly one last call */
		buf_finish(&w->owners[i].in);
	}
	net_destroy(w->net);
	loop_destroy(w->loop);
}

static inline int
world_teardown(void **state)
{
	world_close(*state);
	free(*state);
	return 0;
}

static inline void
world_pass_ms(struct world *w, uint64_t ms)
{
	w->clock.mono_ns += ms * 1000000;
	loop_turn(w->loop, 0);
}

/* Turns until `condition` holds. Fails after very many. */
#define PUMP(w, condition)                                         \
	do {                                                       \
		unsigned pump_turns = 0;                           \
		while (!(condition)) {                             \
			loop_turn((w)->loop, 0);                   \
			assert_true(++pump_turns < PUMP_MAX);      \
		}                                                  \
	} while (0)

/* ── the client's side ── */

static inline int
client_open(struct world *w)
{
	int fd = socket_connect(w->address);
	assert_true(fd >= 0);
	return fd;
}

/* A client whose connection has an owner: the newest one. */
static inline int
client_open_owned(struct world *w, struct owner **ret_owner)
{
	unsigned before = w->owner_count;
	int fd = client_open(w);
	PUMP(w, w->owner_count > before);
	*ret_owner = &w->owners[before];
	return fd;
}

static inline void
client_send(struct world *w, int fd, const void *bytes, size_t len)
{
	const char *at = bytes;
	unsigned tries = 0;
	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			assert_true(++tries < PUMP_MAX);
			loop_turn(w->loop, 0);
			continue;
		}
		at += n;
		len -= (size_t)n;
	}
}

static inline void
client_send_str(struct world *w, int fd, const char *string)
{
	client_send(w, fd, string, strlen(string));
}

/* What is there: bytes, 0 at the end, -errno. */
static inline ssize_t
client_try_recv(int fd, void *bytes, size_t len)
{
	ssize_t n = recv(fd, bytes, len, 0);
	return n < 0 ? -errno : n;
}

static inline void
client_recv(struct world *w, int fd, void *bytes, size_t len)
{
	char *at = bytes;
	unsigned tries = 0;
	while (len > 0) {
		ssize_t n = client_try_recv(fd, at, len);
		assert_int_not_equal(n, 0);
		if (n < 0) {
			assert_int_equal(n, -EAGAIN);
			assert_true(++tries < PUMP_MAX);
			loop_turn(w->loop, 0);
			continue;
		}
		at += n;
		len -= (size_t)n;
	}
}

static inline void
client_expect(struct world *w, int fd, const char *string)
{
	char got[256];
	size_t len = strlen(string);
	assert_true(len < sizeof(got));
	client_recv(w, fd, got, len);
	assert_memory_equal(got, string, len);
}

/* The server's FIN comes, and nothing before it. */
static inline void
client_expect_end(struct world *w, int fd)
{
	char byte;
	ssize_t n;
	PUMP(w, (n = client_try_recv(fd, &byte, 1)) != -EAGAIN);
	assert_int_equal(n, 0);
}

/* Bytes that tell where they are. */
static inline char *
pattern_new(size_t len)
{
	char *bytes = malloc(len);
	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)((i * 2654435761u) >> 13);
	return bytes;
}

#endif

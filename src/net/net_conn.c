/*
 * net_conn.c: the life of a connection and its input.
 *
 * Why it exists: bytes are read into one buffer of the loop and offered to the owner; only what he
 * leaves is kept, so an idle connection holds none.
 *
 * Invariants:
 * - one read a turn, of at most NET_IN_BYTES: who floods does not starve others;
 * - a state moves only as net_priv.h draws it, and only here;
 * - memory is freed in LOOP_REAP only, and not while another list still points to it;
 * - pausing is lazy: reading stops being watched when the next bytes come, so an owner who pauses
 *   for each request costs no system call.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "check.h"
#include "net_priv.h"

/* Kept input up to this is joined with what is read in the loop's buffer; more is read behind. */
enum { JOIN_BYTES_MAX = NET_IN_BYTES / 4 };

static void conn_ready(struct loop_io *io, uint32_t events);

struct net_conn *
net_conn_create(struct net *net, int fd, const struct sockaddr_storage *peer)
{
	struct net_conn *conn = slab_get(&net->conns);
	if (!conn)
		return NULL;
	*conn = (struct net_conn){.io = {.ready = conn_ready, .fd = fd}, .net = net};
	conn->deadline_tick = conn->stuck_tick = conn->slot_tick = NET_TICK_NONE;
	conn->family = (uint8_t)peer->ss_family;
	if (peer->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)peer;
		memcpy(conn->address, &in->sin_addr, sizeof(in->sin_addr));
	} else if (peer->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)peer;
		memcpy(conn->address, &in6->sin6_addr, sizeof(in6->sin6_addr));
	}
	list_push_back(&net->calm, &conn->link);
	net->stats.open++;
	return conn;
}

void
net_conn_destroy(struct net_conn *conn)
{
	check(!conn->write_queued && !conn->retry_queued);
	list_remove(&conn->link);
	conn->net->stats.open--;
	net_out_discard(conn);
	free(conn->kept);
	slab_put(&conn->net->conns, conn);
}

static size_t
kept_len(const struct net_conn *conn)
{
	return conn->kept ? conn->kept->len : 0;
}

static bool
wants_input(const struct net_conn *conn)
{
	if (conn->state == NET_LINGER)
		return true;
	return conn->state == NET_OPEN && !conn->paused && !conn->eof &&
	    kept_len(conn) < conn->net->limits.in_bytes_max;
}

static int
watch(struct net_conn *conn)
{
	uint32_t events = (wants_input(conn) ? (uint32_t)EPOLLIN : 0) |
	    (conn->blocked ? (uint32_t)EPOLLOUT : 0);
	/* EPOLLET alone asks for nothing but the news that the connection is broken, once. */
	return loop_watch(conn->net->loop, &conn->io, events ? events : (uint32_t)EPOLLET);
}

void
net_conn_update_watch(struct net_conn *conn)
{
	if (conn->state != NET_DEAD && watch(conn))
		net_conn_die(conn, NET_CLOSE_MEMORY);
}

int
net_conn_start(struct net_conn *conn, const struct net_conn_ops *ops, void *ctx)
{
	conn->ops = ops;
	conn->ctx = ctx;
	return conn->state == NET_DEAD ? 0 : watch(conn);
}

int
net_adopt(struct net *net, int fd, const struct net_conn_ops *ops, void *ctx,
    struct net_conn **ret_conn)
{
	struct sockaddr_storage peer = {0};
	socklen_t len = sizeof(peer);
	if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0)
		return -errno;
	struct net_conn *conn = net_conn_create(net, fd, &peer);
	if (!conn)
		return -ENOMEM;
	int error = net_conn_start(conn, ops, ctx);
	if (error) {
		net_conn_destroy(conn);
		return error;
	}
	*ret_conn = conn;
	return 0;
}

void
net_set_owner(struct net_conn *conn, const struct net_conn_ops *ops, void *ctx)
{
	conn->ops = ops;
	conn->ctx = ctx;
}

/* ── input ── */

/* Offers `bytes` while the owner makes progress; what he leaves. */
static struct span
offer(struct net_conn *conn, struct span bytes)
{
	while (bytes.len > 0 && conn->state == NET_OPEN && !conn->paused) {
		size_t used = conn->ops->input(conn->ctx, bytes);
		check(used <= bytes.len);
		if (used == 0)
			break;
		bytes = span_skip(bytes, used);
	}
	return bytes;
}

static void
forget_kept(struct net_conn *conn)
{
	free(conn->kept);
	conn->kept = NULL;
}

/* Room for `bytes` in all; what is kept stays. */
static bool
grow_kept(struct net_conn *conn, size_t bytes)
{
	if (conn->kept && conn->kept->cap >= bytes)
		return true;
	struct net_kept *kept = realloc(conn->kept, sizeof(*kept) + bytes);
	if (!kept) {
		net_conn_die(conn, NET_CLOSE_MEMORY);
		return false;
	}
	if (!conn->kept)
		kept->len = 0;
	kept->cap = bytes;
	conn->kept = kept;
	return true;
}

static void
shrink_kept(struct net_conn *conn)
{
	struct net_kept *kept = realloc(conn->kept, sizeof(*kept) + conn->kept->len);
	if (!kept)
		return;
	kept->cap = kept->len;
	conn->kept = kept;
}

/* Keeps what the owner left; it lies in the loop's buffer or in what is kept already. */
static void
keep(struct net_conn *conn, struct span rest, bool in_kept)
{
	if (rest.len == 0 || conn->state != NET_OPEN) {
		forget_kept(conn);
		return;
	}
	if (!in_kept && !grow_kept(conn, rest.len))
		return;
	memmove(conn->kept->bytes, rest.ptr, rest.len);
	conn->kept->len = rest.len;
	if (conn->kept->cap / 4 > MAX(rest.len, (size_t)JOIN_BYTES_MAX / 4))
		shrink_kept(conn);
}

/* FIN was read: it ends when nobody holds it. A paused owner has an answer to give; one who has
 * been promised another look at his input gets that first. */
static void
end_of_input(struct net_conn *conn)
{
	if (conn->eof && !conn->paused && !conn->retry_queued)
		net_finish(conn, NET_CLOSE_PEER);
}

/* What recv() said when it said no bytes. */
static void
read_nothing(struct net_conn *conn, ssize_t got)
{
	if (got == -EAGAIN)
		return;
	if (got < 0) {
		net_conn_die(conn, NET_CLOSE_ERROR);
		return;
	}
	conn->eof = true;
	net_conn_update_watch(conn);
	end_of_input(conn);
}

static ssize_t
receive(struct net_conn *conn, char *bytes, size_t len)
{
	struct net *net = conn->net;
	ssize_t got = net->sockets.ops->recv(net->sockets.ctx, conn->io.fd, bytes, len);
	if (got > 0)
		net->stats.bytes_in += (uint64_t)got;
	return got;
}

/* Joins what is kept, which is little, with what comes in the loop's buffer. */
static void
read_joined(struct net_conn *conn)
{
	struct net *net = conn->net;
	size_t before = kept_len(conn);
	size_t room = MIN(sizeof(net->in_bytes), net->limits.in_bytes_max) - before;
	ssize_t got = receive(conn, net->in_bytes + before, room);
	if (got <= 0) {
		read_nothing(conn, got);
		return;
	}
	if (before > 0)
		memcpy(net->in_bytes, conn->kept->bytes, before);
	keep(conn, offer(conn, span_of(net->in_bytes, before + (size_t)got)), false);
}

/* Reads behind what is kept, which is much. */
static void
read_behind(struct net_conn *conn)
{
	size_t before = kept_len(conn), limit = conn->net->limits.in_bytes_max;
	size_t wanted = MIN(MAX(2 * before, before + NET_IN_BYTES), limit);
	if (conn->kept->cap - before < MIN(limit - before, (size_t)JOIN_BYTES_MAX) &&
	    !grow_kept(conn, wanted))
		return;
	size_t room = MIN(conn->kept->cap, limit) - before;
	ssize_t got = receive(conn, conn->kept->bytes + before, MIN(room, (size_t)NET_IN_BYTES));
	if (got <= 0) {
		read_nothing(conn, got);
		return;
	}
	conn->kept->len += (size_t)got;
	keep(conn, offer(conn, span_of(conn->kept->bytes, conn->kept->len)), true);
}

static void
read_and_throw_away(struct net_conn *conn)
{
	struct net *net = conn->net;
	ssize_t got = receive(conn, net->in_bytes, sizeof(net->in_bytes));
	if (got <= 0 && got != -EAGAIN)
		net_conn_die(conn, conn->reason);
}

static void
conn_ready(struct loop_io *io, uint32_t events)
{
	struct net_conn *conn = CONTAINER_OF(io, struct net_conn, io);

	if (conn->blocked && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		conn->blocked = false;
		net_out_queue_write(conn);
	}
	if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		return;
	if (conn->state == NET_OPEN && !conn->blocked && !wants_input(conn) &&
	    (events & (EPOLLERR | EPOLLHUP)))
		net_conn_die(conn, NET_CLOSE_ERROR); /* broken while the owner holds it */
	else if (!wants_input(conn))
		net_conn_update_watch(conn);
	else if (conn->state == NET_LINGER)
		read_and_throw_away(conn);
	else if (kept_len(conn) <= JOIN_BYTES_MAX)
		read_joined(conn);
	else
		read_behind(conn);
}

void
net_retry_input(struct net_conn *conn)
{
	struct net *net = conn->net;

	if (conn->state != NET_OPEN || conn->retry_queued)
		return;
	conn->retry_queued = true;
	conn->next_retry = net->retries;
	net->retries = conn;
	loop_task_queue(net->loop, LOOP_APPEND, &net->retry_task);
}

void
net_pause_input(struct net_conn *conn, bool paused)
{
	if (conn->paused == paused)
		return;
	conn->paused = paused;
	if (paused || conn->state != NET_OPEN)
		return;
	net_conn_update_watch(conn);
	if (conn->kept || conn->eof)
		net_retry_input(conn);
}

static void
retry(struct net_conn *conn)
{
	if (conn->state != NET_OPEN || conn->paused)
		return;
	if (conn->kept)
		keep(conn, offer(conn, span_of(conn->kept->bytes, conn->kept->len)), true);
	net_conn_update_watch(conn);
	end_of_input(conn);
}

void
net_conn_run_retries(struct loop_task *task)
{
	struct net *net = CONTAINER_OF(task, struct net, retry_task);
	struct net_conn *conn = net->retries;

	net->retries = NULL;
	while (conn) {
		struct net_conn *next = conn->next_retry;
		conn->retry_queued = false;
		retry(conn);
		conn = next;
	}
}

/* ── the end ── */

static void
queue_reap(struct net_conn *conn)
{
	struct net *net = conn->net;

	if (conn->reap_queued)
		return;
	conn->reap_queued = true;
	list_remove(&conn->link);
	list_push_back(&net->reap, &conn->link);
	loop_task_queue(net->loop, LOOP_REAP, &net->reap_task);
}

void
net_conn_die(struct net_conn *conn, enum net_close_reason reason)
{
	if (conn->state == NET_DEAD)
		return;
	if (conn->state != NET_LINGER) /* then all was well, and counted so */
		conn->reason = (uint8_t)reason;
	conn->state = NET_DEAD;
	loop_watch(conn->net->loop, &conn->io, 0);
	queue_reap(conn);
}

void
net_conn_linger(struct net_conn *conn)
{
	struct net *net = conn->net;

	if (conn->eof || shutdown(conn->io.fd, SHUT_WR) < 0) {
		net_conn_die(conn, conn->reason);
		return;
	}
	conn->state = NET_LINGER;
	conn->stuck_tick = net_wheel_tick_at(net, loop_mono_ms(net->loop) + NET_LINGER_MS);
	forget_kept(conn);
	net_conn_update_watch(conn);
	queue_reap(conn);
}

void
net_close(struct net_conn *conn, enum net_close_reason reason)
{
	net_conn_die(conn, reason);
}

void
net_finish(struct net_conn *conn, enum net_close_reason reason)
{
	if (conn->state != NET_OPEN)
		return;
	conn->state = NET_FINISHING;
	conn->reason = (uint8_t)reason;
	if (!conn->blocked)
		net_out_queue_write(conn);
}

static void
tell_closed(struct net_conn *conn)
{
	const struct net_conn_ops *ops = conn->ops;

	net_out_discard(conn);
	if (!ops)
		return;
	conn->ops = NULL;
	conn->net->stats.closed[conn->reason]++;
	ops->closed(conn->ctx, conn->reason);
}

static void
reap(struct net_conn *conn)
{
	struct net *net = conn->net;

	conn->reap_queued = false;
	list_remove(&conn->link);
	if (conn->write_queued || conn->retry_queued) {
		list_push_back(&net->calm, &conn->link);
		queue_reap(conn); /* in the next turn they point to it no more */
		return;
	}
	list_push_back(&net->calm, &conn->link);
	conn->slot_tick = NET_TICK_NONE;
	tell_closed(conn);
	if (conn->state == NET_LINGER) {
		net_wheel_place(conn);
		return;
	}
	close(conn->io.fd);
	net_conn_destroy(conn);
	net_listen_resume(net);
}

void
net_conn_run_reap(struct loop_task *task)
{
	struct net *net = CONTAINER_OF(task, struct net, reap_task);
	struct list due;

	if (list_empty(&net->reap))
		return;
	list_init(&due);
	list_push_back(&net->reap, &due);
	list_remove(&net->reap);
	while (!list_empty(&due))
		reap(CONTAINER_OF(due.next, struct net_conn, link));
}

/* ── the peer ── */

const char *
net_peer(const struct net_conn *conn)
{
	struct sockaddr_storage peer = {.ss_family = conn->family};

	if (conn->family == AF_INET)
		memcpy(&((struct sockaddr_in *)(void *)&peer)->sin_addr, conn->address, 4);
	else if (conn->family == AF_INET6)
		memcpy(&((struct sockaddr_in6 *)(void *)&peer)->sin6_addr, conn->address, 16);
	socket_peer_name(&peer, conn->net->peer_text, sizeof(conn->net->peer_text));
	return conn->net->peer_text;
}

bool
net_is_local_socket(const struct net_conn *conn)
{
	return conn->family == AF_UNIX;
}

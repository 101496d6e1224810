/*
 * net_listen.c: listeners: accepting in batches, and standing still when there is no room.
 *
 * Why it exists: a full descriptor table must not make the loop spin (a listener stays readable),
 * so accepting then stops until a connection has gone or some time has passed.
 *
 * Invariant: listeners are watched exactly when accept_paused is false.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "check.h"
#include "net_priv.h"

enum {
	ACCEPT_BATCH = 64, /* a turn, a listener */
	RETRY_MS = 100,
};

static void
pause_accepting(struct net *net)
{
	net->accept_paused = true;
	LIST_FOREACH (link, &net->listeners)
		loop_watch(net->loop, &CONTAINER_OF(link, struct net_listener, link)->io, 0);
}

static void
pause_for_a_while(struct net *net)
{
	pause_accepting(net);
	loop_timer_set(net->loop, &net->accept_timer, loop_mono_ms(net->loop) + RETRY_MS);
}

void
net_listen_resume(struct net *net)
{
	if (!net->accept_paused || net->stats.open >= net->limits.conns_max)
		return;
	net->accept_paused = false;
	loop_timer_set(net->loop, &net->accept_timer, UINT64_MAX);
	LIST_FOREACH (link, &net->listeners) {
		struct net_listener *l = CONTAINER_OF(link, struct net_listener, link);
		if (loop_watch(net->loop, &l->io, EPOLLIN)) {
			pause_for_a_while(net);
			return;
		}
	}
}

void
net_listen_retry(struct loop_timer *timer)
{
	struct net *net = CONTAINER_OF(timer, struct net, accept_timer);
	loop_timer_set(net->loop, timer, UINT64_MAX);
	net_listen_resume(net);
}

static void
welcome(struct net_listener *l, int fd, const struct sockaddr_storage *peer)
{
	const struct net_conn_ops *ops = NULL;
	void *ctx = NULL;
	struct net_conn *conn = net_conn_create(l->net, fd, peer);
	if (!conn) {
		close(fd);
		return;
	}
	if (l->accept(l->ctx, conn, &ops, &ctx)) {
		net_conn_die(conn, NET_CLOSE_ERROR); /* has no owner: nobody is told */
		return;
	}
	l->net->stats.accepted++;
	int error = net_conn_start(conn, ops, ctx);
	if (error)
		net_close(conn, NET_CLOSE_MEMORY);
}

/* Whether accepting may go on with the next connection. */
static bool
accept_one(struct net_listener *l)
{
	struct net *net = l->net;
	struct sockaddr_storage peer;

	if (net->stats.open >= net->limits.conns_max) {
		pause_accepting(net);
		return false;
	}
	int fd = net->sockets.ops->accept(net->sockets.ctx, l->io.fd, &peer);
	if (fd >= 0) {
		welcome(l, fd, &peer);
		return true;
	}
	switch (fd) {
	case -ECONNABORTED: /* this one is gone; there may be others */
	case -ECONNRESET:
	case -EPROTO:
	case -EPERM:
		return true;
	case -EAGAIN:
		return false;
	default: /* -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM: not this one's fault, and it remains */
		pause_for_a_while(net);
		return false;
	}
}

static void
listener_ready(struct loop_io *io, uint32_t events)
{
	(void)events;
	struct net_listener *l = CONTAINER_OF(io, struct net_listener, io);
	for (int i = 0; i < ACCEPT_BATCH && accept_one(l); i++)
		;
}

int
net_listen(struct net *net, int fd, net_accept_fn *accept, void *ctx)
{
	struct net_listener *l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->io = (struct loop_io){.ready = listener_ready, .fd = fd};
	l->net = net;
	l->accept = accept;
	l->ctx = ctx;
	if (!net->accept_paused) {
		int error = loop_watch(net->loop, &l->io, EPOLLIN);
		if (error) {
			free(l);
			return error;
		}
	}
	list_push_back(&net->listeners, &l->link);
	return 0;
}

size_t
net_listeners(const struct net *net, int *ret_fds, size_t max)
{
	size_t count = 0;
	LIST_FOREACH (link, &net->listeners) {
		if (count < max)
			ret_fds[count++] = CONTAINER_OF(link, struct net_listener, link)->io.fd;
	}
	return count;
}

void
net_stop_listening(struct net *net)
{
	LIST_FOREACH_SAFE (link, after, &net->listeners) {
		struct net_listener *l = CONTAINER_OF(link, struct net_listener, link);
		loop_watch(net->loop, &l->io, 0);
		close(l->io.fd);
		list_remove(&l->link);
		free(l);
	}
}

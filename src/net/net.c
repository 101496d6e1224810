/*
 * net.c: the world of one loop's connections: making and ending it, draining, counting.
 *
 * Why it exists: see net_priv.h for the states of a connection; each of the other files has one
 * side of it (listening, input and life, output, deadlines).
 *
 * Invariant: every connection is in exactly one list through `link` (a slot of the wheel, `calm` or
 * `reap`), so these lists together are all connections.
 */
#include "net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "net_priv.h"

const char *
net_close_word(enum net_close_reason reason)
{
	static const char *const words[] = {
#define X(id, word, text) [NET_CLOSE_##id] = word,
		NET_CLOSE_REASONS(X)
#undef X
	};
	check((unsigned)reason < ARRAY_COUNT(words));
	return words[reason];
}

static void cut_all(struct loop_timer *timer);

int
net_create(struct loop *loop, struct socket_env sockets, const struct net_limits *limits,
    struct net **ret_net)
{
	struct net *net = calloc(1, sizeof(*net));
	if (!net)
		return -ENOMEM;
	net->loop = loop;
	net->sockets = sockets;
	net->limits = *limits;
	list_init(&net->listeners);
	list_init(&net->reap);
	net->writes_end = &net->writes;
	loop_task_init(&net->write_task, net_out_run_writes);
	loop_task_init(&net->retry_task, net_conn_run_retries);
	loop_task_init(&net->reap_task, net_conn_run_reap);
	slab_init(&net->conns, sizeof(struct net_conn));
	net_wheel_init(net);
	net->wheel_timer.fire = net_wheel_fire;
	net->accept_timer.fire = net_listen_retry;
	net->drain_timer.fire = cut_all;

	/* The timers keep their places, so that setting them later cannot fail. */
	int error = loop_timer_set(loop, &net->wheel_timer, UINT64_MAX);
	if (!error)
		error = loop_timer_set(loop, &net->accept_timer, UINT64_MAX);
	if (!error)
		error = loop_timer_set(loop, &net->drain_timer, UINT64_MAX);
	if (error)
		goto fail;
	*ret_net = net;
	return 0;

fail:
	net_destroy(net);
	return error;
}

void
net_destroy(struct net *net)
{
	if (!net)
		return;
	check(net->stats.open == 0);
	net_stop_listening(net);
	loop_task_cancel(&net->write_task);
	loop_task_cancel(&net->retry_task);
	loop_task_cancel(&net->reap_task);
	loop_timer_cancel(net->loop, &net->wheel_timer);
	loop_timer_cancel(net->loop, &net->accept_timer);
	loop_timer_cancel(net->loop, &net->drain_timer);
	net_out_free_pools(net);
	slab_finish(&net->conns);
	free(net);
}

static void
each_conn_of(struct list *conns, void (*each)(struct net_conn *conn))
{
	LIST_FOREACH_SAFE (link, after, conns)
		each(CONTAINER_OF(link, struct net_conn, link));
}

/* Every connection. `each` must not remove another one. */
static void
each_conn(struct net *net, void (*each)(struct net_conn *conn))
{
	each_conn_of(&net->reap, each); /* may hold some that linger */
	each_conn_of(&net->calm, each);
	for (size_t i = 0; i < NET_WHEEL_SLOTS; i++)
		each_conn_of(&net->slots[i], each);
}

static void
drain_one(struct net_conn *conn)
{
	if (conn->out || conn->state != NET_OPEN)
		net_finish(conn, conn->net->drain_reason);
	else
		net_close(conn, conn->net->drain_reason);
}

static void
cut_one(struct net_conn *conn)
{
	net_conn_die(conn, conn->net->drain_reason);
}

static void
cut_all(struct loop_timer *timer)
{
	struct net *net = CONTAINER_OF(timer, struct net, drain_timer);
	loop_timer_set(net->loop, timer, UINT64_MAX);
	each_conn(net, cut_one);
}

void
net_drain(struct net *net, enum net_close_reason reason, unsigned grace_ms)
{
	net->drain_reason = reason;
	if (grace_ms == 0) {
		cut_all(&net->drain_timer);
		return;
	}
	each_conn(net, drain_one);
	loop_timer_set(net->loop, &net->drain_timer, loop_mono_ms(net->loop) + grace_ms);
}

void
net_stats(const struct net *net, struct net_stats *ret_stats)
{
	*ret_stats = net->stats;
}

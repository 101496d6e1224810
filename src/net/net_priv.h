/*
 * net_priv.h: what the files of net share: a connection, the world of one loop, and who changes
 * what. States and their legal moves:
 *
 *     OPEN ──► FINISHING ──► LINGER ──► DEAD        (and from each straight to DEAD)
 *
 * OPEN: input goes to the owner. FINISHING: nothing more goes in, what is queued goes out. LINGER:
 * all is out and FIN is sent; what the peer still sends is thrown away, because closing with unread
 * input would reset the connection and could destroy our last answer; the owner is told already.
 * DEAD: not watched; freed in LOOP_REAP.
 */
#ifndef WEIR_NET_PRIV_H
#define WEIR_NET_PRIV_H

#include <sys/uio.h>

#include "list.h"
#include "net.h"
#include "slab.h"

enum {
	NET_TICK_MS = 64,           /* deadlines are exact to this */
	NET_WHEEL_SLOTS = 512,      /* 33 seconds; what is due later is looked at again then */
	NET_IN_BYTES = 64 * 1024,   /* one read, and one connection's share of a turn */
	NET_IOV_MAX = 1024,         /* Linux's IOV_MAX */
	NET_LINGER_MS = 2000,
};

#define NET_TICK_NONE UINT32_MAX

enum net_state { NET_OPEN, NET_FINISHING, NET_LINGER, NET_DEAD };

/* Input that the owner did not use yet. */
struct net_kept {
	size_t len, cap;
	char bytes[];
};

struct net_block; /* queued output; net_out.c */

/* All that an idle connection costs. */
struct net_conn {
	struct loop_io io;
	struct net *net;
	const struct net_conn_ops *ops; /* NULL once the owner was told (or refused) */
	void *ctx;
	struct list link;               /* in a slot of the wheel, in `calm`, or in `reap` */

	struct net_kept *kept;
	struct net_block *out; /* what it is owed, in blocks; NULL: nothing */
	struct net_conn *next_write, *next_retry;

	uint32_t deadline_tick; /* the owner's */
	uint32_t stuck_tick;    /* when waiting output, or lingering, has lasted too long */
	uint32_t slot_tick;     /* when the wheel looks at it: never later than is needed */

	uint8_t state;  /* enum net_state */
	uint8_t reason; /* enum net_close_reason */
	uint8_t family;
	uint8_t address[16];

	bool paused : 1;       /* by the owner */
	bool eof : 1;          /* FIN was read */
	bool blocked : 1;      /* the socket took less than we have; waiting for EPOLLOUT */
	bool want_drained : 1;
	bool write_queued : 1; /* in net->writes: may not be freed */
	bool retry_queued : 1; /* in net->retries: may not be freed */
	bool reap_queued : 1;  /* `link` is in net->reap */
};

struct net_listener {
	struct loop_io io;
	struct net *net;
	net_accept_fn *accept;
	void *ctx;
	struct list link;
};

/* Blocks for reuse: output of most turns is gone when the turn ends. */
struct net_pool {
	struct net_block *first;
	unsigned count;
};

struct net {
	struct loop *loop;
	struct socket_env sockets;
	struct net_limits limits;
	struct net_stats stats;

	struct list listeners;
	bool accept_paused;
	struct loop_timer accept_timer;

	struct net_conn *writes, **writes_end; /* in the order in which they were queued */
	struct net_conn *retries;              /* any order */
	struct loop_task write_task, retry_task, reap_task;
	struct list reap;

	struct list calm; /* connections with no deadline */
	struct list slots[NET_WHEEL_SLOTS];
	uint64_t origin_ms;   /* tick 0 */
	uint32_t wheel_tick;  /* all slots up to here were looked at */
	uint32_t armed_tick;  /* when the timer is due; NET_TICK_NONE: never */
	struct loop_timer wheel_timer;

	enum net_close_reason drain_reason;
	struct loop_timer drain_timer;

	struct slab conns;
	struct net_pool small, large;
	char peer_text[64];
	struct iovec iov[NET_IOV_MAX];
	char in_bytes[NET_IN_BYTES];
};

/* net_conn.c */
struct net_conn *net_conn_create(struct net *net, int fd, const struct sockaddr_storage *peer);
int net_conn_start(struct net_conn *conn, const struct net_conn_ops *ops, void *ctx);
void net_conn_destroy(struct net_conn *conn); /* one that nobody knows of */
void net_conn_die(struct net_conn *conn, enum net_close_reason reason);
void net_conn_linger(struct net_conn *conn); /* all is out: sends FIN */
void net_conn_update_watch(struct net_conn *conn);
void net_conn_run_retries(struct loop_task *task);
void net_conn_run_reap(struct loop_task *task);

/* net_out.c */
void net_out_queue_write(struct net_conn *conn);
void net_out_run_writes(struct loop_task *task);
void net_out_discard(struct net_conn *conn);
void net_out_free_pools(struct net *net);

/* net_wheel.c */
void net_wheel_init(struct net *net);
uint32_t net_wheel_tick_at(const struct net *net, uint64_t at_ms); /* rounded up */
void net_wheel_need(struct net_conn *conn, uint32_t tick); /* look at it at `tick`, or before */
void net_wheel_place(struct net_conn *conn);               /* in the slot that it now needs */
void net_wheel_fire(struct loop_timer *timer);

/* net_listen.c */
void net_listen_resume(struct net *net); /* accepts again if it may */
void net_listen_retry(struct loop_timer *timer);

#endif

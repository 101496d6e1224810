/*
 * net.h: listeners and connections of one loop: bounded buffers, one write a turn, slow peers,
 * one place where connections die.
 *
 * A connection belongs to its loop. Input is read into a buffer of the loop's and offered to the
 * owner, who says how much he used; only what is left over is kept (an idle connection holds no
 * buffer). Output is queued, copied or by reference, and leaves in LOOP_WRITE in one writev.
 */
#ifndef WEIR_NET_H
#define WEIR_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"
#include "socket.h"
#include "span.h"

/* Why a connection ended: the counter, the log word. */
#define NET_CLOSE_REASONS(X)                                                          \
	X(PEER, "peer", "the peer closed it")                                         \
	X(DONE, "done", "we closed it after the last answer")                         \
	X(ERROR, "error", "the socket failed")                                        \
	X(PROTOCOL, "protocol", "the peer broke the protocol")                        \
	X(IDLE, "idle", "nothing was asked for too long")                             \
	X(SLOW_HEAD, "slow_head", "a head or body took too long to arrive")           \
	X(SLOW_READER, "slow_reader", "the peer did not read what it was owed")       \
	X(OVERFLOW, "overflow", "more was owed than the bound allows")                \
	X(REVOKED, "revoked", "its credentials ended")                                \
	X(DRAIN, "drain", "the server is stopping")                                   \
	X(MEMORY, "memory", "memory was out")

enum net_close_reason {
#define X(id, word, text) NET_CLOSE_##id,
	NET_CLOSE_REASONS(X)
#undef X
	NET_CLOSE_REASON_COUNT
};

const char *net_close_word(enum net_close_reason reason);

struct net;      /* all of one loop */
struct net_conn;

struct net_limits {
	size_t in_bytes_max;    /* left over input a connection may keep; input stops above it */
	size_t out_bytes_max;   /* queued output above which net_send fails; drained() below half */
	size_t out_all_bytes_max; /* of all: while more is queued each has 64 KiB; 0: no bound */
	unsigned conns_max;     /* accepting stops at this many; goes on below */
	unsigned slow_write_ms; /* output waiting this long without progress: SLOW_READER */
};

struct net_conn_ops {
	/* Bytes arrived. Returns how many it used (0: needs more). Called again with the rest while
	 * it makes progress. Not called while paused. */
	size_t (*input)(void *ctx, struct span bytes);
	/* Queued output fell below half of the limit, after net_send had failed or more than half
	 * was queued. May be NULL, as deadline may. */
	void (*drained)(void *ctx);
	/* The deadline passed. */
	void (*deadline)(void *ctx);
	/* The last call, in LOOP_REAP; conn is freed after it. The end of a peer's input (FIN) is
	 * told only here, with what was left of input discarded, once input() used all it could
	 * and what is queued has left. An owner who still owes such a peer an answer that is not
	 * queued yet pauses input until it is: a paused connection is not closed by FIN. */
	void (*closed)(void *ctx, enum net_close_reason reason);
};

/* Makes the owner of a new connection: sets *ret_ops and *ret_ctx. A negative errno refuses it. */
typedef int net_accept_fn(void *ctx, struct net_conn *conn, const struct net_conn_ops **ret_ops,
    void **ret_ctx);

int net_create(struct loop *loop, struct socket_env sockets, const struct net_limits *limits,
    struct net **ret_net);
void net_destroy(struct net *net); /* all connections must be gone; listeners are closed */

/* Takes over a listening descriptor (socket_listen). 0 or -errno. */
int net_listen(struct net *net, int fd, net_accept_fn *accept, void *ctx);
void net_stop_listening(struct net *net);

/* The descriptors of its listeners, at most `max`; how many. */
size_t net_listeners(const struct net *net, int *ret_fds, size_t max);

/* Closes every connection with this reason (those with queued output after it left, at most
 * `grace_ms`). */
void net_drain(struct net *net, enum net_close_reason reason, unsigned grace_ms);

/* Takes over a connected descriptor (tools). */
int net_adopt(struct net *net, int fd, const struct net_conn_ops *ops, void *ctx,
    struct net_conn **ret_conn);

/* Queues a copy. 0, -ENOMEM, -EMSGSIZE (above the limit: nothing queued), -EPIPE (closing). */
int net_send(struct net_conn *conn, struct span bytes);

/* The same for what is all that it is owed in this turn: it is written at once, from where it lies,
 * and what the socket does not take is queued. */
int net_send_now(struct net_conn *conn, struct span bytes);

/* Queues by reference; release(ctx) once it left or the connection died. On failure release is
 * not called. Where nothing is queued one of any length is taken. */
int net_send_ref(struct net_conn *conn, struct span bytes, void (*release)(void *ctx), void *ctx);

/* Writes what the socket takes now instead of in LOOP_WRITE: for a burst within one turn that would
 * go over the limit though its reader is not slow. */
void net_write_now(struct net_conn *conn);

size_t net_out_bytes(const struct net_conn *conn);
size_t net_out_room(const struct net_conn *conn); /* bytes that net_send would still take */

/* Hands the connection to another owner: all further calls go to him. */
void net_set_owner(struct net_conn *conn, const struct net_conn_ops *ops, void *ctx);

void net_pause_input(struct net_conn *conn, bool paused);

/* Calls input() again with what is kept (after a pause of the owner's own); from the loop, in this
 * turn or the next, never from within this call. */
void net_retry_input(struct net_conn *conn);

/* At most 64 ms late; cheap to move later. 0: none. */
void net_set_deadline(struct net_conn *conn, uint64_t at_mono_ms);

void net_close(struct net_conn *conn, enum net_close_reason reason);  /* now; closed() in REAP */

/* After what is queued has left: no more input() or deadline(), then closed(). The descriptor may
 * stay open for two seconds more, so that unread input does not reset what was sent. */
void net_finish(struct net_conn *conn, enum net_close_reason reason);

/* "127.0.0.1", "unix"; valid until the next call for any connection of this loop. */
const char *net_peer(const struct net_conn *conn);
bool net_is_local_socket(const struct net_conn *conn);

struct net_stats {
	uint64_t accepted, open, bytes_in, bytes_out, out_queued;
	uint64_t closed[NET_CLOSE_REASON_COUNT];
};
void net_stats(const struct net *net, struct net_stats *ret_stats);

#endif

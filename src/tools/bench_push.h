/*
 * bench_push.h: what the files of `weir bench push` share: how each server is spoken to, and a
 * crowd of subscribers with one publisher.
 *
 * One thread drives all connections. A message's data holds one MARK, so messages are counted
 * without being parsed; what only has to be taken off the socket is counted in bytes, against those
 * of one subscriber who counts messages: the client's work is no part of a figure.
 */
#ifndef WEIR_BENCH_PUSH_H
#define WEIR_BENCH_PUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench.h"
#include "buf.h"
#include "span.h"

#define PUSH_MARK '^' /* in no head of a frame: '~' says that a length follows */
#define PUSH_DATA_BYTES 100

/* Where a server is and who asks. */
struct push_target {
	const char *address; /* 127.0.0.1:PORT */
	const char *key;     /* "": none */
	const char *secret;  /* not NULL: each subscriber has a JWT of his own, signed with it */
	pid_t pid;
	size_t first;        /* number of the first connection, for its address */
};

/* What a connection sends first and what tells that it is in force. */
struct push_dialect {
	const char *name;
	void (*subscribe)(struct buf *out, const struct push_target *target, const char *channel);
	struct span ready;   /* ends the answer to it; empty: there is none */
	void (*greet)(struct buf *out, const struct push_target *target); /* publisher; or NULL */
	struct span greeted; /* ends the answer to that */
	/* One request with `count` messages on "BASE" or, `spread`, each on the channel of its
	 * number, from `first` on. */
	void (*publish)(struct buf *out, const struct push_target *target, uint64_t first,
	    uint64_t count, uint64_t spread);
	struct span answer;  /* once in each answer to a publish; empty: there is none */
	unsigned window_max; /* requests under way; 0: any number */
	bool polls;          /* each answer is followed by the next poll */
};

/* Appends a JWT (HS256) for who may subscribe to this channel and nothing else. */
void bench_push_sign(struct buf *out, const char *secret, const char *channel);

/* NULL: none of this name. Of ours: weir-ws, weir-sse, weir-poll (publish one at a time over
 * HTTP), weir-batch (HTTP, many in a request), weir-frames (published over a WebSocket). */
const struct push_dialect *bench_push_dialect_find(const char *name);

/* The channel of a number, all equally long; of -1: the one that all share. */
void bench_push_channel_name(char out[32], int64_t number);

struct push_conn {
	int fd;
	bool ready;
	uint64_t bytes;      /* since it is ready */
	uint64_t messages;   /* where they are counted */
	size_t carry_len;
	char *carry;         /* until it is ready, and for polls: the end of what came */
};

struct push_crowd {
	struct bench *bench;
	const struct push_dialect *dialect;
	struct push_target target;
	bool spread;         /* each subscriber has a channel of his own */
	int epoll;
	struct push_conn *conns, publisher;
	size_t count, ready;
	uint64_t bytes, messages; /* of all; messages where all are counted */
	uint64_t answers;
	struct span wanted;  /* what conns are not ready without */
	struct buf out;      /* of the publisher, that has not left */
	double *arrival_ms;  /* of the run; seconds, when it left, until a message is there */
	int error;
	char *scratch;
};

struct push_run {
	const struct push_dialect *dialect; /* of the publisher */
	uint64_t messages, window, batch; /* in all; under way; in a request */
	double rate;         /* messages a second; 0: as fast as it goes */
	double duration_s;   /* sends no more after that; 0: all */
	double seconds, cpu_s; /* filled in: until all have all */
	uint64_t sent;
	double *last_ms;     /* where not NULL, of each message: until the last had it (window 1) */
	double *arrival_ms;  /* where not NULL, `spread`: of each message, until it was there */
};

/* A connection that does not block, from the address of its number; or -errno. */
int bench_push_connect(const struct push_target *target, size_t number);

/* A server of ours with a new data directory, and how it is reached. On failure the bench has the
 * reason; bench_server_finish follows in any case. */
int bench_push_server_open(struct bench *b, struct bench_server *ret_server,
    struct push_target *ret_target);

/* Connects `count` subscribers. On failure the bench has the reason; finish it in any case. */
int bench_push_crowd_open(struct bench *b, const struct push_dialect *dialect,
    const struct push_target *target, size_t count, bool spread, struct push_crowd *ret_crowd);
void bench_push_crowd_finish(struct push_crowd *crowd);

/* Sends `bytes` on every connection and waits until each has been answered with `ready`. */
int bench_push_crowd_say(struct push_crowd *crowd, struct span bytes, struct span ready);

int bench_push_crowd_run(struct push_crowd *crowd, struct push_run *run);

/* For who publishes elsewhere: takes what comes, waiting at most `wait_ms`; how many messages have
 * come to all of them. */
int bench_push_crowd_turn(struct push_crowd *crowd, int wait_ms);
uint64_t bench_push_crowd_arrived(const struct push_crowd *crowd);

/* A crowd of none but its publisher; bench_push_crowd_finish follows in any case. */
int bench_push_publisher_open(struct bench *b, const struct push_dialect *dialect,
    const struct push_target *target, struct push_crowd *ret_crowd);

/* One request with these messages (push_dialect.publish), and its answer where there is one. */
int bench_push_publisher_say(struct push_crowd *crowd, uint64_t first, uint64_t count,
    uint64_t spread);

/* The server that is nothing but a loop of send(), to streams and to who asks with GET: prints its
 * address, runs until it is killed. */
int bench_push_bare_main(void);
int bench_push_bare_start(struct bench *b, pid_t *ret_pid, char *ret_address, size_t len);

#endif

/*
 * bench_push_bare.c: the limit: a process that sends what comes from one connection to all others
 * with nothing but send(), all that has come in one call.
 *
 * What comes as frames of a WebSocket, or as requests of HTTP, is a publish on a channel of one:
 * each frame, or body, is sent to one subscriber, the next one after that, and what was received
 * together is acknowledged together.
 *
 * What begins with 'A' is, without that, for all: for subscribers, and for polls with GET, which
 * get the next that comes, or at once what came since the last, and are asked again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_push.h"
#include "process.h"
#include "socket.h"
#include "ws.h"

enum { RECV_BYTES = 65536, EVENTS = 64, POLLS_MAX = 32768 };

#define FRAME_ACK "{\"ack\":1,\"ok\":true,\"id\":\"m1000000\"}"
#define HTTP_ACK "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"

struct bare {
	int epoll, listener;
	int *fds; /* of subscribers */
	size_t count, cap;
	size_t next;          /* who gets the next publish */
	size_t carry;         /* bytes of a publish that is not whole */
	uint64_t rounds;      /* that have come for all */
	uint64_t had[POLLS_MAX]; /* by descriptor: behind the last one that a poll was given */
	int held[POLLS_MAX];
	size_t held_count;
	size_t answer_len;
	char answer[RECV_BYTES];
	char bytes[RECV_BYTES];
	char acks[RECV_BYTES];
};

static int
watch(struct bare *bare, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	return epoll_ctl(bare->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int
add(struct bare *bare, int fd)
{
	if (bare->count == bare->cap) {
		size_t cap = bare->cap ? bare->cap * 2 : 1024;
		int *grown = realloc(bare->fds, cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		bare->fds = grown;
		bare->cap = cap;
	}
	bare->fds[bare->count++] = fd;
	return send(fd, "+", 1, MSG_NOSIGNAL) == 1 ? 0 : -EPIPE;
}

/* All of it, though the peer is slow. */
static void
send_whole(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
}

/* How long the publish at the front is, which of it the head; 0: it is not whole. */
static size_t
publish_len(struct span in, size_t *ret_head)
{
	static const char length[] = "Content-Length: ";
	struct ws_frame frame;
	if (in.ptr[0] != 'P') {
		ssize_t head = ws_parse_head(in, false, &frame);
		*ret_head = 0;
		return head > 0 && (uint64_t)head + frame.len <= in.len ?
		    (size_t)head + (size_t)frame.len : 0;
	}
	const char *end = memmem(in.ptr, in.len, "\r\n\r\n", 4);
	const char *at = end ? memmem(in.ptr, in.len, length, strlen(length)) : NULL;
	if (!at)
		return 0;
	uint64_t body = strtoull(at + strlen(length), NULL, 10);
	*ret_head = (size_t)(end + 4 - in.ptr);
	return *ret_head + body <= in.len ? *ret_head + (size_t)body : 0;
}

/* Each to one, and the answers in one piece. */
static void
publish(struct bare *bare, int fd, size_t n)
{
	size_t end = bare->carry + n, at = 0, acks = 0, head, len;
	while (at < end && (len = publish_len(span_of(bare->bytes + at, end - at), &head))) {
		const char *ack = head ? HTTP_ACK : FRAME_ACK;
		size_t ack_len = strlen(ack);
		send_whole(bare->fds[bare->next++ % bare->count], bare->bytes + at + head,
		    len - head);
		memcpy(bare->acks + acks, ack, ack_len); /* shorter than what we publish */
		acks += ack_len;
		at += len;
	}
	bare->carry = end - at;
	memmove(bare->bytes, bare->bytes + at, bare->carry);
	send_whole(fd, bare->acks, acks);
}

/* The first one of a connection has nothing to catch up with. */
static void
poll(struct bare *bare, int fd)
{
	if (bare->had[fd] && bare->had[fd] <= bare->rounds) {
		send_whole(fd, bare->answer, bare->answer_len);
		bare->had[fd] = bare->rounds + 1;
		return;
	}
	bare->had[fd] = bare->rounds + 1;
	bare->held[bare->held_count++] = fd;
}

static void
tell_all(struct bare *bare, const char *bytes, size_t len)
{
	for (size_t i = 0; i < bare->count; i++)
		send_whole(bare->fds[i], bytes, len);
	for (size_t i = 0; i < bare->held_count; i++) {
		send_whole(bare->held[i], bytes, len);
		bare->had[bare->held[i]]++;
	}
	bare->held_count = 0;
	bare->rounds++;
	memcpy(bare->answer, bytes, len);
	bare->answer_len = len;
}

static int
serve(struct bare *bare, int fd)
{
	if (fd == bare->listener) {
		struct socket_env real = socket_real();
		struct sockaddr_storage peer;
		int conn = real.ops->accept(real.ctx, fd, &peer);
		return conn < 0 ? 0 : watch(bare, conn);
	}
	ssize_t n = recv(fd, bare->bytes + bare->carry, sizeof(bare->bytes) - bare->carry, 0);
	if (n <= 0)
		return n == 0 ? epoll_ctl(bare->epoll, EPOLL_CTL_DEL, fd, NULL) : 0;
	if (bare->bytes[0] == 'S' && n == 1)
		return add(bare, fd);
	if (n > 4 && memcmp(bare->bytes, "GET ", 4) == 0 && fd < POLLS_MAX) {
		poll(bare, fd);
		return 0;
	}
	if (bare->bytes[0] == 'A') {
		tell_all(bare, bare->bytes + 1, (size_t)n - 1);
		return 0;
	}
	if (bare->bytes[0] != PUSH_MARK) {
		publish(bare, fd, (size_t)n);
		return 0;
	}
	for (size_t i = 0; i < bare->count; i++)
		send_whole(bare->fds[i], bare->bytes, (size_t)n);
	return 0;
}

int
bench_push_bare_main(void)
{
	struct bare *bare = calloc(1, sizeof(*bare));
	char name[64];
	if (!bare)
		return 1;
	process_raise_files();
	bare->epoll = epoll_create1(EPOLL_CLOEXEC);
	bare->listener = socket_listen("127.0.0.1:0", false);
	int error = bare->listener < 0 ? bare->listener : watch(bare, bare->listener);
	if (!error)
		error = socket_local_name(bare->listener, name, sizeof(name));
	if (!error) {
		puts(name);
		fflush(stdout);
	}
	while (!error) {
		struct epoll_event events[EVENTS];
		int count = epoll_wait(bare->epoll, events, EVENTS, -1);
		for (int i = 0; i < count && !error; i++)
			error = serve(bare, events[i].data.fd);
	}
	free(bare->fds);
	free(bare);
	return 1;
}

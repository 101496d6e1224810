/*
 * bench_push_bare.c: the limit: a process that sends what comes from one connection to all others
 * with nothing but send(), all that has come in one call.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_push.h"
#include "process.h"
#include "socket.h"

enum { RECV_BYTES = 65536, EVENTS = 64 };

struct bare {
	int epoll, listener;
	int *fds; /* of subscribers */
	size_t count, cap;
	char bytes[RECV_BYTES];
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

static int
serve(struct bare *bare, int fd)
{
	if (fd == bare->listener) {
		struct socket_env real = socket_real();
		struct sockaddr_storage peer;
		int conn = real.ops->accept(real.ctx, fd, &peer);
		return conn < 0 ? 0 : watch(bare, conn);
	}
	ssize_t n = recv(fd, bare->bytes, sizeof(bare->bytes), 0);
	if (n <= 0)
		return n == 0 ? epoll_ctl(bare->epoll, EPOLL_CTL_DEL, fd, NULL) : 0;
	if (bare->bytes[0] == 'S' && n == 1)
		return add(bare, fd);
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

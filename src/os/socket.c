/*
 * socket.c: addresses, listeners, and the kernel's calls behind struct socket_ops.
 *
 * Calls broken off by signals are repeated; SIGPIPE never comes. Small answers leave at once:
 * TCP_NODELAY is set on listeners (accepted sockets inherit it) and on clients. Listeners have a
 * limit, too, for how long a peer may leave what it was sent unacknowledged: one that is gone
 * without a word and only listens is found by that, not after the kernel's quarter of an hour.
 */
#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "num.h"

enum { BACKLOG = 4096 };

static int
real_accept(void *ctx, int listener, struct sockaddr_storage *ret_peer)
{
	(void)ctx;
	int fd;
	do {
		socklen_t len = sizeof(*ret_peer);
		memset(ret_peer, 0, sizeof(*ret_peer));
		fd = accept4(
		    listener, (struct sockaddr *)ret_peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static ssize_t
real_recv(void *ctx, int fd, void *ret_bytes, size_t len)
{
	(void)ctx;
	ssize_t n;
	do {
		n = recv(fd, ret_bytes, len, 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t
real_sendv(void *ctx, int fd, const struct iovec *iov, int count)
{
	(void)ctx;
	struct msghdr message = {
	    .msg_iov = (struct iovec *)(uintptr_t)iov, /* sendmsg does not write to it */
	    .msg_iovlen = (size_t)MIN(count, IOV_MAX),
	};
	ssize_t n;
	do {
		/* Mostly it is one piece, for which the kernel has less to copy and to check. */
		n = count == 1 ? send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL) :
				 sendmsg(fd, &message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static const struct socket_ops real_ops = {
    .accept = real_accept,
    .recv = real_recv,
    .sendv = real_sendv,
};

struct socket_env
socket_real(void)
{
	return (struct socket_env){&real_ops, NULL};
}

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
		struct sockaddr_storage storage;
	};
	socklen_t len;
};

static int
parse_unix(const char *path, struct address *a)
{
	size_t len = strlen(path);
	if (len == 0 || len >= sizeof(a->un.sun_path))
		return -EINVAL;
	a->un.sun_family = AF_UNIX;
	memcpy(a->un.sun_path, path, len + 1);
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	return 0;
}

static int
parse_address(const char *text, struct address *a)
{
	*a = (struct address){0};
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, a);

	const char *colon = strrchr(text, ':');
	uint64_t port;
	if (!colon || num_parse_u64(span_str(colon + 1), &port) || port > UINT16_MAX)
		return -EINVAL;
	bool v6 = text[0] == '[';
	if (v6 && (colon - text < 2 || colon[-1] != ']'))
		return -EINVAL;
	char host[INET6_ADDRSTRLEN];
	size_t len = (size_t)(colon - text) - (v6 ? 2 : 0);
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text + v6, len);
	host[len] = '\0';
	if (v6) {
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_port = htons((uint16_t)port);
		a->len = sizeof(a->v6);
		return inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1 ? 0 : -EINVAL;
	}
	a->v4.sin_family = AF_INET;
	a->v4.sin_port = htons((uint16_t)port);
	a->len = sizeof(a->v4);
	return inet_pton(AF_INET, host, &a->v4.sin_addr) == 1 ? 0 : -EINVAL;
}

static int
set_option(int fd, int level, int option)
{
	int on = 1;
	return setsockopt(fd, level, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* A kernel that cannot do it does without. */
static void
set_gone_after(int fd)
{
	unsigned ms = SOCKET_GONE_MS;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

static int
set_options(int fd, int family, bool shared)
{
	if (family == AF_UNIX) {
		/* Before bind: the mode of the file that bind will make, no moment of another. */
		return fchmod(fd, 0600) < 0 ? -errno : 0;
	}
	int error = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
	if (!error && shared)
		error = set_option(fd, SOL_SOCKET, SO_REUSEPORT);
	if (!error && family == AF_INET6)
		error = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (!error)
		error = set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	set_gone_after(fd);
	return error;
}

/* Waits for what an interrupted connect goes on with. */
static int
finish_connect(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	while (poll(&wait, 1, -1) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	int error;
	socklen_t len = sizeof(error);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int
connect_address(const struct address *a)
{
	int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int error = connect(fd, &a->any, a->len) < 0 ? -errno : 0;
	if (error == -EINTR)
		error = finish_connect(fd);
	if (!error && a->any.sa_family != AF_UNIX)
		error = set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	if (!error && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		error = -errno;
	if (error)
		goto fail;
	return fd;

fail:
	close(fd);
	return error;
}

/* Removes a socket file that nobody listens on. Anything else is left for bind to trip over. */
static void
remove_stale(const struct address *a)
{
	struct stat st;
	if (lstat(a->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	int fd = connect_address(a);
	if (fd == -ECONNREFUSED)
		unlink(a->un.sun_path);
	if (fd >= 0)
		close(fd);
}

int
socket_listen(const char *address, bool shared)
{
	struct address a;
	int error = parse_address(address, &a);
	if (error)
		return error;
	if (a.any.sa_family == AF_UNIX)
		remove_stale(&a);
	int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	error = set_options(fd, a.any.sa_family, shared);
	if (!error && bind(fd, &a.any, a.len) < 0)
		error = -errno;
	if (!error && listen(fd, BACKLOG) < 0)
		error = -errno;
	if (error)
		goto fail;
	return fd;

fail:
	close(fd);
	return error;
}

/* ── datagrams ── */

int
socket_bind_datagrams(const char *address, bool shared, size_t buffer_bytes)
{
	struct address a;
	int bytes = (int)MIN(buffer_bytes, (size_t)INT_MAX / 2);
	int error = parse_address(address, &a);
	if (error || a.any.sa_family == AF_UNIX)
		return -EINVAL;
	int fd = socket(a.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (shared)
		error = set_option(fd, SOL_SOCKET, SO_REUSEPORT);
	if (!error && a.any.sa_family == AF_INET6)
		error = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (!error && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0)
		error = -errno;
	if (!error && bind(fd, &a.any, a.len) < 0)
		error = -errno;
	if (error)
		goto fail;
	return fd;

fail:
	close(fd);
	return error;
}

int
socket_receive_datagrams(int fd, char *ret_bytes, struct socket_datagram *ret_datagrams)
{
	struct mmsghdr messages[SOCKET_DATAGRAMS_MAX];
	struct iovec places[SOCKET_DATAGRAMS_MAX];
	int count;
	for (size_t i = 0; i < SOCKET_DATAGRAMS_MAX; i++) {
		places[i] = (struct iovec){ret_bytes + i * SOCKET_DATAGRAM_BYTES,
		    SOCKET_DATAGRAM_BYTES};
		messages[i] = (struct mmsghdr){.msg_hdr = {
		    .msg_name = &ret_datagrams[i].peer,
		    .msg_namelen = sizeof(ret_datagrams[i].peer),
		    .msg_iov = &places[i],
		    .msg_iovlen = 1,
		}};
	}
	do {
		count = recvmmsg(fd, messages, SOCKET_DATAGRAMS_MAX, 0, NULL);
	} while (count < 0 && errno == EINTR);
	for (int i = 0; i < count; i++)
		ret_datagrams[i].len = messages[i].msg_len;
	return count < 0 ? -errno : count;
}

uint64_t
socket_datagrams_lost(int fd)
{
	uint32_t figures[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(figures);
	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, figures, &len) < 0)
		return 0;
	return len > SK_MEMINFO_DROPS * sizeof(figures[0]) ? figures[SK_MEMINFO_DROPS] : 0;
}

int
socket_connect(const char *address)
{
	struct address a;
	int error = parse_address(address, &a);
	return error ? error : connect_address(&a);
}

int
socket_local_name(int fd, char *ret_text, size_t len)
{
	struct address a = {.len = sizeof(a.storage)};
	char host[INET6_ADDRSTRLEN];
	int written;
	if (getsockname(fd, &a.any, &a.len) < 0)
		return -errno;
	if (a.any.sa_family == AF_UNIX) {
		written = snprintf(ret_text, len, "unix:%s", a.un.sun_path);
	} else {
		socket_peer_name(&a.storage, host, sizeof(host));
		bool v6 = a.any.sa_family == AF_INET6;
		written = snprintf(ret_text, len, v6 ? "[%s]:%u" : "%s:%u", host,
		    (unsigned)ntohs(v6 ? a.v6.sin6_port : a.v4.sin_port));
	}
	return written >= 0 && (size_t)written < len ? 0 : -ENOSPC;
}

void
socket_peer_name(const struct sockaddr_storage *peer, char *ret_text, size_t len)
{
	struct address a = {.storage = *peer};
	const void *host = a.any.sa_family == AF_INET6 ? (const void *)&a.v6.sin6_addr
						       : (const void *)&a.v4.sin_addr;
	if (a.any.sa_family == AF_INET || a.any.sa_family == AF_INET6) {
		if (inet_ntop(a.any.sa_family, host, ret_text, (socklen_t)len))
			return;
	}
	snprintf(ret_text, len, "%s", a.any.sa_family == AF_UNIX ? "unix" : "unknown");
}

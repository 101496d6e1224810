/*
 * socket.h: the socket calls a server makes, behind one small table, so that tests can shorten
 * reads and writes, refuse buffers and break connections by seed.
 *
 * All sockets are non-blocking and close-on-exec. Negative errno on failure.
 */
#ifndef WEIR_SOCKET_H
#define WEIR_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct socket_ops {
	int (*accept)(void *ctx, int listener, struct sockaddr_storage *ret_peer);
	ssize_t (*recv)(void *ctx, int fd, void *ret_bytes, size_t len);
	ssize_t (*sendv)(void *ctx, int fd, const struct iovec *iov, int count);
};

/* How the server reaches the network. `ctx` goes to every call. */
struct socket_env {
	const struct socket_ops *ops;
	void *ctx;
};

/* The kernel's own. */
struct socket_env socket_real(void);

/* A table in front of `below` that by `seed` shortens reads and writes, answers -EAGAIN and, once
 * in `break_every` calls (0: never), -ECONNRESET. Out of memory: `ops` is NULL. One thread. Destroy
 * frees the table only. */
struct socket_env socket_faulty_create(struct socket_env below, uint64_t seed,
    unsigned break_every);
void socket_faulty_destroy(struct socket_env faulty);

/* How long a peer of a listener may leave what it was sent unacknowledged; then the connection
 * fails. */
#define SOCKET_GONE_MS (120 * 1000)

/* Listens on "127.0.0.1:8080", "[::1]:0", "0.0.0.0:80", "[::]:80" (IPv6 only) or "unix:/path"
 * (mode 0600; a stale socket file is replaced). With SO_REUSEPORT when `shared`,
 * which means nothing to a Unix socket: only one can listen there.
 * The descriptor (>= 0), -EADDRINUSE, -EACCES, -EINVAL when `address` is none. */
int socket_listen(const char *address, bool shared);

/* ── datagrams ── */

#define SOCKET_DATAGRAM_BYTES 65536 /* none is longer */
#define SOCKET_DATAGRAMS_MAX 16     /* received at a time */

struct socket_datagram {
	size_t len;
	struct sockaddr_storage peer;
};

/* A UDP socket on an address as for socket_listen (but none of Unix), with SO_REUSEPORT when
 * `shared`. The kernel keeps up to `buffer_bytes` of what is not yet received, as far as
 * net.core.rmem_max allows. The descriptor, or as socket_listen. */
int socket_bind_datagrams(const char *address, bool shared, size_t buffer_bytes);

/* What is there, at most SOCKET_DATAGRAMS_MAX: number i in `ret_bytes` at i times
 * SOCKET_DATAGRAM_BYTES. How many, -EAGAIN: none, or -errno. */
int socket_receive_datagrams(int fd, char *ret_bytes, struct socket_datagram *ret_datagrams);

/* How many the kernel has thrown away because the buffer was full; 0: it does not say. */
uint64_t socket_datagrams_lost(int fd);

/* The address a listener is bound to, as text ("127.0.0.1:8080"). 0 or -errno. */
int socket_local_name(int fd, char *ret_text, size_t len);

/* A peer's address as text: "127.0.0.1", "::1", "unix". Never fails. */
void socket_peer_name(const struct sockaddr_storage *peer, char *ret_text, size_t len);

/* A blocking-until-connected client socket, non-blocking after (for tools and tests).
 * Same addresses as socket_listen. The descriptor or -errno. */
int socket_connect(const char *address);

#endif

/*
 * peer.h: a server on loopback that says what a test wants it to say: one thread, one connection
 * after the other; or one that takes connections and never answers.
 */
#ifndef WEIR_TEST_OUT_PEER_H
#define WEIR_TEST_OUT_PEER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

struct peer {
	int listener;
	char url[64];
	const char *says;       /* to each request, then it closes unless `keeps`; NULL: nothing */
	bool keeps;
	char heard[65536];      /* the last request */
	atomic_uint conns, requests;
	atomic_bool over;
	pthread_t thread;
	int silent[64];
	unsigned silent_count;
};

/* Reads a request with its body. false: the connection ended. */
static inline bool
peer_hear(struct peer *peer, int fd)
{
	size_t len = 0;
	for (;;) {
		ssize_t got = recv(fd, peer->heard + len, sizeof peer->heard - 1 - len, 0);
		if (got <= 0)
			return false;
		len += (size_t)got;
		peer->heard[len] = '\0';
		const char *end = strstr(peer->heard, "\r\n\r\n");
		if (!end)
			continue;
		const char *length = strstr(peer->heard, "Content-Length: ");
		size_t body = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
		if (len - (size_t)(end + 4 - peer->heard) >= body)
			return true;
	}
}

static inline void
peer_talk(struct peer *peer, int fd)
{
	while (peer_hear(peer, fd)) {
		atomic_fetch_add(&peer->requests, 1);
		send(fd, peer->says, strlen(peer->says), MSG_NOSIGNAL);
		if (!peer->keeps)
			break;
	}
	close(fd);
}

static inline void *
peer_run(void *ctx)
{
	struct peer *peer = ctx;
	for (;;) {
		int fd = accept(peer->listener, NULL, NULL);
		if (fd < 0)
			return NULL;
		atomic_fetch_add(&peer->conns, 1);
		if (peer->says)
			peer_talk(peer, fd);
		else
			peer->silent[peer->silent_count++ % 64] = fd;
	}
}

static inline void
peer_start(struct peer *peer, const char *says)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	memset(peer, 0, sizeof *peer);
	peer->says = says;
	peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(peer->listener >= 0);
	assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(peer->listener, 128), 0);
	assert_int_equal(getsockname(peer->listener, (struct sockaddr *)&address, &len), 0);
	snprintf(peer->url, sizeof peer->url, "http://127.0.0.1:%u/ask", ntohs(address.sin_port));
	assert_int_equal(pthread_create(&peer->thread, NULL, peer_run, peer), 0);
}

/* After the other side has closed its connections. */
static inline void
peer_stop(struct peer *peer)
{
	shutdown(peer->listener, SHUT_RDWR);
	pthread_join(peer->thread, NULL);
	close(peer->listener);
	for (unsigned i = 0; i < peer->silent_count; i++)
		close(peer->silent[i]);
}

#endif

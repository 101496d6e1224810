/* Listening, connecting, names of addresses, and the faulty table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "socket.h"

enum { WAIT_MS_MAX = 10000 };

static void
await(int fd, short events)
{
	struct pollfd wait = {.fd = fd, .events = events};
	assert_int_equal(poll(&wait, 1, WAIT_MS_MAX), 1);
}

static int
accept_one(struct socket_env env, int listener, struct sockaddr_storage *ret_peer)
{
	for (;;) {
		await(listener, POLLIN);
		int fd = env.ops->accept(env.ctx, listener, ret_peer);
		if (fd != -EAGAIN)
			return fd;
	}
}

/* Both ends of a connection over `address`. */
struct pair {
	int listener, client, server;
	char name[160];
	struct sockaddr_storage peer;
};

static void
pair_open(struct pair *p, const char *address)
{
	p->listener = socket_listen(address, false);
	assert_true(p->listener >= 0);
	assert_int_equal(socket_local_name(p->listener, p->name, sizeof(p->name)), 0);
	p->client = socket_connect(p->name);
	assert_true(p->client >= 0);
	p->server = accept_one(socket_real(), p->listener, &p->peer);
	assert_true(p->server >= 0);
}

static void
pair_close(struct pair *p)
{
	close(p->client);
	close(p->server);
	close(p->listener);
}

static bool
has_flags(int fd)
{
	return fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static void
talk_over(const char *address, const char *peer_name)
{
	struct pair p;
	struct socket_env env = socket_real();
	char bytes[16], text[64];
	pair_open(&p, address);
	assert_true(has_flags(p.listener) && has_flags(p.client) && has_flags(p.server));
	socket_peer_name(&p.peer, text, sizeof(text));
	assert_string_equal(text, peer_name);

	assert_int_equal(env.ops->recv(env.ctx, p.server, bytes, sizeof(bytes)), -EAGAIN);
	char first[] = "hel", last[] = "lo";
	struct iovec iov[] = {{first, 3}, {last, 0}, {last, 2}};
	assert_int_equal(env.ops->sendv(env.ctx, p.client, iov, 3), 5);
	await(p.server, POLLIN);
	assert_int_equal(env.ops->recv(env.ctx, p.server, bytes, sizeof(bytes)), 5);
	assert_memory_equal(bytes, "hello", 5);
	close(p.client);
	await(p.server, POLLIN);
	assert_int_equal(env.ops->recv(env.ctx, p.server, bytes, sizeof(bytes)), 0);
	p.client = dup(p.listener);
	pair_close(&p);
}

static void
bytes_go_over_ipv4(void **state)
{
	(void)state;
	talk_over("127.0.0.1:0", "127.0.0.1");
}

static void
bytes_go_over_ipv6(void **state)
{
	(void)state;
	int fd = socket_listen("[::1]:0", false);
	if (fd == -EADDRNOTAVAIL || fd == -EAFNOSUPPORT)
		skip();
	close(fd);
	talk_over("[::1]:0", "::1");
}

static void
make_unix_address(char *ret_dir, char *ret_address, size_t len)
{
	strcpy(ret_dir, "/tmp/weir-socket-XXXXXX");
	assert_non_null(mkdtemp(ret_dir));
	snprintf(ret_address, len, "unix:%s/s", ret_dir);
}

static void
bytes_go_over_a_unix_socket_that_only_we_may_use(void **state)
{
	(void)state;
	char dir[32], address[64];
	struct stat st;
	make_unix_address(dir, address, sizeof(address));
	talk_over(address, "unix");
	assert_int_equal(stat(address + 5, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(unlink(address + 5), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void
stale_unix_socket_is_replaced_a_live_one_is_not(void **state)
{
	(void)state;
	char dir[32], address[64], name[64];
	make_unix_address(dir, address, sizeof(address));
	int first = socket_listen(address, false);
	assert_true(first >= 0);
	assert_int_equal(socket_listen(address, false), -EADDRINUSE);
	assert_int_equal(socket_listen(address, true), -EADDRINUSE);
	close(first);
	assert_int_equal(socket_connect(address), -ECONNREFUSED);
	int second = socket_listen(address, false);
	assert_true(second >= 0);
	assert_int_equal(socket_local_name(second, name, sizeof(name)), 0);
	assert_string_equal(name, address);
	assert_int_equal(socket_local_name(second, name, 10), -ENOSPC);
	close(second);
	assert_int_equal(unlink(address + 5), 0);

	/* A file that is no socket is not ours to remove. */
	int fd = open(address + 5, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(socket_listen(address, false), -EADDRINUSE);
	assert_int_equal(unlink(address + 5), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void
shared_listeners_share_a_port_others_do_not(void **state)
{
	(void)state;
	char name[64];
	int first = socket_listen("127.0.0.1:0", true);
	assert_true(first >= 0);
	assert_int_equal(socket_local_name(first, name, sizeof(name)), 0);
	int second = socket_listen(name, true);
	assert_true(second >= 0);
	assert_int_equal(socket_listen(name, false), -EADDRINUSE);
	close(first);
	close(second);
	assert_int_equal(socket_connect(name), -ECONNREFUSED);
}

static void
texts_that_are_no_address_are_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {"", ":", "8080", ":8080", "127.0.0.1",
	    "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:x", "127.0.0.1:80 ",
	    "1.2.3:80", "localhost:80", "::1:80", "[::1]", "[::1]80", "[::1:80", "::1]:80", "[]:80",
	    "[:80", "[127.0.0.1]:80",
	    "unix:", "[1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111]:80"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(socket_listen(wrong[i], false), -EINVAL);
		assert_int_equal(socket_connect(wrong[i]), -EINVAL);
	}
	char path[200];
	memset(path, 'a', sizeof(path));
	memcpy(path, "unix:/", 6);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(socket_listen(path, false), -EINVAL);
	assert_int_equal(socket_listen("unix:/nowhere/at/all", false), -ENOENT);
}

static void
peers_of_other_families_have_a_name_too(void **state)
{
	(void)state;
	struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
	char text[16];
	socket_peer_name(&peer, text, sizeof(text));
	assert_string_equal(text, "unknown");
	peer.ss_family = AF_INET;
	socket_peer_name(&peer, text, 4); /* too small for 0.0.0.0 */
	assert_true(strlen(text) < 4);
}

static void
broken_pipe_is_an_error_not_a_signal(void **state)
{
	(void)state;
	struct pair p;
	struct socket_env env = socket_real();
	char byte = 'x';
	struct iovec iov = {&byte, 1};
	ssize_t sent = 0;
	pair_open(&p, "127.0.0.1:0");
	close(p.server);
	p.server = dup(p.listener);
	for (int i = 0; i < 1000 && sent >= 0; i++) {
		await(p.client, POLLOUT);
		sent = env.ops->sendv(env.ctx, p.client, &iov, 1);
	}
	assert_true(sent == -EPIPE || sent == -ECONNRESET);
	pair_close(&p);
}

/* Sends `len` bytes through `env` and reads them back; the count of calls that did not do all. */
static int
transfer(struct socket_env env, const struct pair *p, const uint8_t *bytes, size_t len)
{
	uint8_t *seen = malloc(len);
	size_t sent = 0, received = 0;
	int faults = 0;
	assert_non_null(seen);
	while (received < len) {
		size_t half = (len - sent) / 2;
		struct iovec iov[] = {{(void *)(uintptr_t)(bytes + sent), half},
		    {(void *)(uintptr_t)(bytes + sent + half), len - sent - half}};
		ssize_t n = sent < len ? env.ops->sendv(env.ctx, p->client, iov, 2) : 0;
		assert_true(n >= 0 || n == -EAGAIN);
		faults += n < (ssize_t)(len - sent);
		sent += n > 0 ? (size_t)n : 0;
		if (received == sent)
			continue;
		await(p->server, POLLIN);
		n = env.ops->recv(env.ctx, p->server, seen + received, len - received);
		assert_true(n > 0 || n == -EAGAIN);
		received += n > 0 ? (size_t)n : 0;
	}
	assert_memory_equal(seen, bytes, len);
	free(seen);
	return faults;
}

static void
faulty_sockets_lose_nothing(void **state)
{
	(void)state;
	uint8_t bytes[20000];
	int faults = 0;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	for (uint64_t seed = 0; seed < 10; seed++) {
		struct pair p;
		struct socket_env faulty = socket_faulty_create(socket_real(), seed, 0);
		assert_non_null(faulty.ops);
		pair_open(&p, "127.0.0.1:0");
		faults += transfer(faulty, &p, bytes, sizeof(bytes));
		pair_close(&p);
		socket_faulty_destroy(faulty);
	}
	assert_true(faults > 10);
}

static void
faulty_accept_comes_in_the_end(void **state)
{
	(void)state;
	struct sockaddr_storage peer;
	char name[64];
	struct socket_env faulty = socket_faulty_create(socket_real(), 3, 1);
	int listener = socket_listen("127.0.0.1:0", false);
	assert_int_equal(socket_local_name(listener, name, sizeof(name)), 0);
	for (int i = 0; i < 20; i++) {
		int client = socket_connect(name);
		int server = accept_one(faulty, listener, &peer);
		assert_true(client >= 0 && server >= 0);
		close(client);
		close(server);
	}
	close(listener);
	socket_faulty_destroy(faulty);
}

static void
faulty_connections_break_about_as_often_as_asked(void **state)
{
	(void)state;
	struct pair p;
	struct socket_env faulty = socket_faulty_create(socket_real(), 5, 10);
	int broken = 0, again = 0;
	char byte;
	pair_open(&p, "127.0.0.1:0");
	for (int i = 0; i < 1000; i++) {
		ssize_t n = faulty.ops->recv(faulty.ctx, p.server, &byte, 1);
		broken += n == -ECONNRESET;
		again += n == -EAGAIN;
	}
	assert_int_equal(broken + again, 1000);
	assert_in_range(broken, 50, 200);
	pair_close(&p);
	socket_faulty_destroy(faulty);
}

/* Where the kernel can: else there is nothing to inherit. */
static void
who_is_gone_without_a_word_is_found(void **state)
{
	(void)state;
	struct pair p;
	unsigned ms = SOCKET_GONE_MS, got = 0;
	socklen_t len = sizeof(got);
	pair_open(&p, "127.0.0.1:0");
	bool able = setsockopt(p.client, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms)) == 0;
	if (able) {
		assert_int_equal(getsockopt(p.server, IPPROTO_TCP, TCP_USER_TIMEOUT, &got, &len),
		    0);
		assert_int_equal(got, SOCKET_GONE_MS);
	}
	pair_close(&p);
	if (!able)
		skip();
}

/* ── datagrams ── */

static void
datagrams_send(const char *to, const char *bytes, size_t len, unsigned count)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	address.sin_port = htons((uint16_t)atoi(strrchr(to, ':') + 1));
	assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &address.sin_addr), 1);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(sendto(fd, bytes, len, 0, (struct sockaddr *)&address,
		    sizeof(address)), len);
	close(fd);
}

static void
datagrams_come_in_batches_with_their_senders(void **state)
{
	(void)state;
	char name[64], peer[64];
	char *bytes = malloc((size_t)SOCKET_DATAGRAMS_MAX * SOCKET_DATAGRAM_BYTES);
	struct socket_datagram datagrams[SOCKET_DATAGRAMS_MAX];
	int fd = socket_bind_datagrams("127.0.0.1:0", false, 1 << 20);
	assert_true(fd >= 0 && bytes);
	assert_int_equal(socket_local_name(fd, name, sizeof(name)), 0);
	assert_int_equal(socket_receive_datagrams(fd, bytes, datagrams), -EAGAIN);
	datagrams_send(name, "", 0, 1);
	datagrams_send(name, "cpu v=1", 7, SOCKET_DATAGRAMS_MAX);
	assert_int_equal(socket_receive_datagrams(fd, bytes, datagrams), SOCKET_DATAGRAMS_MAX);
	assert_int_equal(datagrams[0].len, 0);
	for (size_t i = 1; i < SOCKET_DATAGRAMS_MAX; i++) {
		assert_int_equal(datagrams[i].len, 7);
		assert_memory_equal(bytes + i * SOCKET_DATAGRAM_BYTES, "cpu v=1", 7);
		socket_peer_name(&datagrams[i].peer, peer, sizeof(peer));
		assert_string_equal(peer, "127.0.0.1");
	}
	assert_int_equal(socket_receive_datagrams(fd, bytes, datagrams), 1);
	assert_int_equal(socket_datagrams_lost(fd), 0);
	memset(bytes, 'x', 65507);
	datagrams_send(name, bytes, 65507, 1);
	assert_int_equal(socket_receive_datagrams(fd, bytes, datagrams), 1);
	assert_int_equal(datagrams[0].len, 65507);
	close(fd);
	free(bytes);
}

static void
datagrams_that_have_no_room_are_counted(void **state)
{
	(void)state;
	char name[64];
	int fd = socket_bind_datagrams("127.0.0.1:0", false, 4096);
	assert_true(fd >= 0);
	assert_int_equal(socket_local_name(fd, name, sizeof(name)), 0);
	datagrams_send(name, "cpu v=1", 7, 1000);
	assert_true(socket_datagrams_lost(fd) > 0 && socket_datagrams_lost(fd) < 1000);
	close(fd);
}

static void
datagram_addresses_are_checked_as_listeners_are(void **state)
{
	(void)state;
	char name[64];
	int fd = socket_bind_datagrams("[::1]:0", true, 4096);
	assert_true(fd >= 0);
	assert_int_equal(socket_local_name(fd, name, sizeof(name)), 0);
	assert_int_equal(socket_bind_datagrams(name, false, 4096), -EADDRINUSE);
	int other = socket_bind_datagrams(name, true, 4096);
	assert_true(other >= 0);
	close(other);
	close(fd);
	assert_int_equal(socket_bind_datagrams("unix:/tmp/x", false, 4096), -EINVAL);
	assert_int_equal(socket_bind_datagrams("nowhere", false, 4096), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bytes_go_over_ipv4),
	    cmocka_unit_test(datagrams_come_in_batches_with_their_senders),
	    cmocka_unit_test(datagrams_that_have_no_room_are_counted),
	    cmocka_unit_test(datagram_addresses_are_checked_as_listeners_are),
	    cmocka_unit_test(bytes_go_over_ipv6),
	    cmocka_unit_test(bytes_go_over_a_unix_socket_that_only_we_may_use),
	    cmocka_unit_test(stale_unix_socket_is_replaced_a_live_one_is_not),
	    cmocka_unit_test(shared_listeners_share_a_port_others_do_not),
	    cmocka_unit_test(texts_that_are_no_address_are_refused),
	    cmocka_unit_test(peers_of_other_families_have_a_name_too),
	    cmocka_unit_test(who_is_gone_without_a_word_is_found),
	    cmocka_unit_test(broken_pipe_is_an_error_not_a_signal),
	    cmocka_unit_test(faulty_sockets_lose_nothing),
	    cmocka_unit_test(faulty_accept_comes_in_the_end),
	    cmocka_unit_test(faulty_connections_break_about_as_often_as_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

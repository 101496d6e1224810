/*
 * server_listen.c: addresses, and a listener for each of them on every loop.
 *
 * TCP listeners share a port among loops by SO_REUSEPORT, so the kernel spreads connections. Two
 * servers would share it just as well, unnoticed; so each address is first bound alone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "num.h"
#include "server_priv.h"
#include "socket.h"

static bool
is_unix(const char *url)
{
	return strncmp(url, "unix:", 5) == 0 && url[5];
}

/* "127.0.0.1:8080" of "http://127.0.0.1:8080/". false: not one. */
static bool
address_parse(const char *url, char *ret_address)
{
	if (is_unix(url))
		return snprintf(ret_address, SERVER_ADDRESS_BYTES, "%s", url) <
		       SERVER_ADDRESS_BYTES;
	if (strncmp(url, "http://", 7) != 0)
		return false;
	struct span host = span_str(url + 7);
	if (host.len && host.ptr[host.len - 1] == '/')
		host.len--;
	const char *bracket = host.len && *host.ptr == '[' ? memchr(host.ptr, ']', host.len) : NULL;
	const char *from = bracket ? bracket : host.ptr;
	const char *colon = memchr(from, ':', host.len - (size_t)(from - host.ptr));
	struct span port = SPAN("80");
	if (colon) {
		port = span_skip(host, (size_t)(colon - host.ptr) + 1);
		host.len = (size_t)(colon - host.ptr);
	}
	if (span_eq_nocase(host, SPAN("localhost")))
		host = SPAN("127.0.0.1");
	uint64_t number;
	if (host.len == 0 || host.len > 64 || num_parse_u64(port, &number) || number > UINT16_MAX)
		return false;
	return snprintf(ret_address, SERVER_ADDRESS_BYTES, "%.*s:%.*s", SPAN_ARG(host),
		   SPAN_ARG(port)) < SERVER_ADDRESS_BYTES;
}

bool
server_address_check(const char *url, bool *ret_loopback)
{
	char address[SERVER_ADDRESS_BYTES];
	if (!address_parse(url, address))
		return false;
	*ret_loopback =
	    is_unix(url) || strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0;
	return true;
}

static void
reason_fill(const char *url, int error, char *ret_reason)
{
	const char *why = strerror(-error);
	if (error == -EADDRINUSE)
		why = "the address is in use: another program listens there; stop it, or choose "
		      "another"
		      " with --listen";
	else if (error == -EACCES)
		why = "not permitted: ports below 1024 need rights of their own";
	else if (error == -EINVAL)
		why = "it is no numeric address with a port";
	data_explain(ret_reason, "cannot listen on %s: %s", url, why);
}

static net_accept_fn *
accept_of(bool admin)
{
	return admin ? session_accept_admin : session_accept_http;
}

static int
listen_on(struct server_loop *sl, const char *address, bool shared, bool admin)
{
	int fd = socket_listen(address, shared);
	if (fd < 0)
		return fd;
	int error = net_listen(sl->net, fd, accept_of(admin), sl->sessions);
	if (error)
		close(fd);
	return error ? error : fd;
}

/* Whether somebody has this address already. */
static int
probe(const char *address)
{
	size_t len = strlen(address);
	if (len > 2 && strcmp(address + len - 2, ":0") == 0)
		return 0; /* any free port */
	int fd = socket_listen(address, false);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int
listen_tcp(struct server *server, const char *address, struct server_listener *listener)
{
	char real[SERVER_ADDRESS_BYTES - 8];
	bool shared = server->loop_count > 1;
	int fd = probe(address);
	if (fd >= 0)
		fd = listen_on(&server->loops[0], address, shared, false);
	int error = fd < 0 ? fd : socket_local_name(fd, real, sizeof real);
	for (unsigned i = 1; i < server->loop_count && !error; i++)
		error = MIN(listen_on(&server->loops[i], real, shared, false), 0);
	if (!error)
		snprintf(listener->address, sizeof listener->address, "http://%s", real);
	return error;
}

static int
listen_one(struct server *server, const char *url, struct server_listener *listener)
{
	char address[SERVER_ADDRESS_BYTES];
	check(address_parse(url, address));
	if (!is_unix(url))
		return listen_tcp(server, address, listener);
	snprintf(listener->address, sizeof listener->address, "%s", address);
	return MIN(listen_on(&server->loops[0], address, false, false), 0);
}

/* The administrator's socket. Without it the server still serves; a path too long for a socket is
 * no reason to refuse. */
static void
listen_admin(struct server *server)
{
	char address[DATA_PATH_BYTES];
	int len = snprintf(address, sizeof address, "unix:%s/admin.sock", server->options.data);
	int fd = len < 0 || (size_t)len >= sizeof address
		     ? -ENAMETOOLONG
		     : listen_on(&server->loops[0], address, false, true);
	server->admin_listens = fd >= 0;
	if (fd < 0)
		log_event(server->log, LOG_WARN, "no_admin_socket",
		    LOG_FIELDS(LOG_TEXT("address", address),
			LOG_TEXT("error", fd == -EINVAL ? "the path is too long" : strerror(-fd))));
}

/* ── UDP ── */

static void
datagrams_warn(void *ctx, const char *event, const char *peer, const char *what)
{
	struct server *server = ctx;
	log_event(server->log, LOG_WARN, event,
	    LOG_FIELDS(LOG_TEXT("what", what), LOG_TEXT("peer", peer ? peer : "any")));
}

static int
datagrams_on(struct server_loop *sl, const char *address, bool shared, int *ret_fd)
{
	const struct settings *settings = &sl->server->settings;
	struct datagrams_options options = {
	    .al = &sl->api,
	    .fd = socket_bind_datagrams(address, shared, settings->udp.buffer_bytes),
	    .key = settings->udp.key,
	    .precision = (enum lp_precision)settings->udp.precision,
	    .warn = datagrams_warn,
	    .ctx = sl->server,
	};
	if (options.fd < 0)
		return options.fd;
	int error = datagrams_create(&options, &sl->datagrams);
	if (error)
		close(options.fd);
	*ret_fd = options.fd;
	return error;
}

/* On every loop, as for TCP: the kernel spreads senders. */
static int
listen_datagrams(struct server *server, const char *address, char *ret_real)
{
	bool shared = server->loop_count > 1;
	int fd, alone = socket_bind_datagrams(address, false, 0);
	if (alone < 0)
		return alone;
	close(alone);
	int error = datagrams_on(&server->loops[0], address, shared, &fd);
	if (!error)
		error = socket_local_name(fd, ret_real, SERVER_ADDRESS_BYTES);
	for (unsigned i = 1; i < server->loop_count && !error; i++)
		error = datagrams_on(&server->loops[i], ret_real, shared, &fd);
	return error;
}

static int
listen_udp(struct server *server, char *ret_reason)
{
	const char *address = server->settings.udp.listen;
	char real[SERVER_ADDRESS_BYTES];
	if (!*address)
		return 0;
	if (!*server->settings.udp.key) {
		data_explain(ret_reason, "udp.listen needs udp.key: the application key as which "
		    "what comes by UDP is written");
		return -EINVAL;
	}
	int error = listen_datagrams(server, address, real);
	if (error) {
		reason_fill(address, error, ret_reason);
		return error;
	}
	log_event(server->log, LOG_INFO, "listening_udp",
	    LOG_FIELDS(LOG_TEXT("address", real), LOG_TEXT("key", server->settings.udp.key)));
	return 0;
}

int
server_listen(struct server *server, char *ret_reason)
{
	for (size_t i = 0; i < server->options.listen_count; i++) {
		const char *url = server->options.listen[i];
		int error = listen_one(server, url, &server->listeners[i]);
		if (error) {
			reason_fill(url, error, ret_reason);
			return error;
		}
	}
	listen_admin(server);
	return listen_udp(server, ret_reason);
}

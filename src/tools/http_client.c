/*
 * http_client.c: one request at a time over one kept connection, blocking, but never deaf to
 * stop_fd.
 *
 * The socket does not block; all waiting is in wait_for(), which hears stop_fd and the timeout.
 * Request and answer may overlap: a server may refuse a long body while it is still being sent, so
 * input is taken at any time and a failed send ends the exchange only if no answer comes either.
 * Invariant: `fd` is open between calls only when the last answer was read to its end and both
 * sides keep the connection.
 */
#include "http_client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "buf.h"
#include "check.h"
#include "http1.h"
#include "num.h"

enum {
	RECV_BYTES = 65536,
	TIMEOUT_MS = 30000,
	CONTENT_TYPE_BYTES = 128,
};

struct http_client {
	char *host; /* a Unix socket's path when `port` is NULL */
	char *port;
	char *host_header;
	struct buf headers; /* whole lines that go with every request */
	int stop_fd;
	int timeout_ms;
	int fd; /* -1: not connected */
	unsigned connections;
	struct buf head, in, body;
	char content_type[CONTENT_TYPE_BYTES];
};

/* One answer being read. */
struct answer {
	bool no_body; /* to HEAD */
	bool has_head, chunked, to_end, keep_alive, done;
	bool heard; /* anything came at all */
	size_t scanned;
	uint64_t left; /* of a body with a length */
	struct http1_chunked chunks;
	struct http_client_reply reply;
};

/* ── addresses ── */

static int
parse_host(struct http_client *c, const char *text)
{
	const char *end = text + strcspn(text, "/?#");
	if (*end && !(end[0] == '/' && end[1] == '\0'))
		return -EINVAL;
	const char *host = text, *host_end, *rest;
	if (*text == '[') {
		host = text + 1;
		host_end = memchr(host, ']', (size_t)(end - host));
		if (!host_end)
			return -EINVAL;
		rest = host_end + 1;
	} else {
		host_end = memchr(host, ':', (size_t)(end - host));
		rest = host_end = host_end ? host_end : end;
	}
	if (host_end == host || (rest < end && (*rest != ':' || rest + 1 == end)))
		return -EINVAL;
	struct span port = rest < end ? span_of(rest + 1, (size_t)(end - rest - 1)) : SPAN("80");
	uint64_t number;
	if (num_parse_u64(port, &number) || number == 0 || number > UINT16_MAX)
		return -EINVAL;
	c->host = strndup(host, (size_t)(host_end - host));
	c->port = strndup(port.ptr, port.len);
	c->host_header = strndup(text, (size_t)(end - text));
	return c->host && c->port && c->host_header ? 0 : -ENOMEM;
}

static int
parse_address(struct http_client *c, const char *text)
{
	if (strncmp(text, "unix:", 5) == 0) {
		size_t len = strlen(text + 5);
		if (len == 0 || len >= sizeof((struct sockaddr_un){0}.sun_path))
			return -EINVAL;
		c->host = strdup(text + 5);
		c->host_header = strdup("localhost");
		return c->host && c->host_header ? 0 : -ENOMEM;
	}
	if (strncasecmp(text, "http://", 7) == 0)
		text += 7;
	return strstr(text, "://") ? -EINVAL : parse_host(c, text);
}

int
http_client_create(const struct http_client_options *options, struct http_client **ret_client)
{
	struct http_client *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->fd = -1;
	c->stop_fd = options->stop_fd > 0 ? options->stop_fd : -1;
	c->timeout_ms = options->timeout_ms ? (int)options->timeout_ms : TIMEOUT_MS;
	buf_init(&c->headers, 0);
	buf_init(&c->head, 0);
	buf_init(&c->in, 0);
	buf_init(&c->body, HTTP_CLIENT_BODY_BYTES_MAX);
	int error = parse_address(c, options->address);
	/* A line end in a key would begin a header of its own. */
	if (!error && options->authorization && strpbrk(options->authorization, "\r\n"))
		error = -EINVAL;
	if (!error && options->authorization)
		error = buf_printf(&c->headers, "Authorization: %s\r\n", options->authorization);
	if (error)
		goto fail;
	*ret_client = c;
	return 0;

fail:
	http_client_destroy(c);
	return error;
}

void
http_client_destroy(struct http_client *c)
{
	if (!c)
		return;
	http_client_disconnect(c);
	free(c->host);
	free(c->port);
	free(c->host_header);
	buf_finish(&c->headers);
	buf_finish(&c->head);
	buf_finish(&c->in);
	buf_finish(&c->body);
	free(c);
}

int
http_client_add_header(struct http_client *c, const char *line)
{
	return buf_printf(&c->headers, "%s\r\n", line);
}

void
http_client_disconnect(struct http_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

unsigned
http_client_connections(const struct http_client *c)
{
	return c->connections;
}

/* ── connecting ── */

/* *ret_ready holds what poll found on the socket. 0, -ECANCELED, -ETIMEDOUT or -errno. */
static int
wait_for(const struct http_client *c, int fd, short events, short *ret_ready)
{
	struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = c->stop_fd, .events = POLLIN}};
	for (;;) {
		int n = poll(fds, 2, c->timeout_ms);
		if (n == 0)
			return -ETIMEDOUT;
		if (n > 0)
			break;
		if (errno != EINTR)
			return -errno;
	}
	if (fds[1].revents)
		return -ECANCELED;
	*ret_ready = fds[0].revents;
	return 0;
}

static int
connect_to(struct http_client *c, const struct sockaddr *to, socklen_t len)
{
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int on = 1, error = 0;
	if (to->sa_family != AF_UNIX &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		error = -errno;
	if (!error && connect(fd, to, len) < 0)
		error = -errno;
	if (error == -EINPROGRESS || error == -EINTR) {
		short ready;
		error = wait_for(c, fd, POLLOUT, &ready);
		int failure = 0;
		socklen_t size = sizeof(failure);
		if (!error && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0)
			error = -errno;
		if (!error)
			error = -failure;
	}
	if (error)
		goto fail;
	c->fd = fd;
	c->connections++;
	return 0;

fail:
	close(fd);
	return error;
}

static int
connect_unix(struct http_client *c)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	memcpy(to.sun_path, c->host, strlen(c->host) + 1);
	int error = connect_to(c, (const struct sockaddr *)&to, sizeof(to));
	/* A full backlog of a Unix socket. */
	return error == -EAGAIN ? -ECONNREFUSED : error;
}

/* Each address of the name in turn; the last one's failure is told. */
static int
connect_name(struct http_client *c)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	int error = -EHOSTUNREACH;
	if (getaddrinfo(c->host, c->port, &hints, &list) != 0)
		return error;
	for (const struct addrinfo *a = list; a; a = a->ai_next) {
		error = connect_to(c, a->ai_addr, a->ai_addrlen);
		if (error == 0 || error == -ECANCELED)
			break;
	}
	freeaddrinfo(list);
	return error;
}

/* ── the exchange ── */

static void
head_take(struct http_client *c, struct answer *a, const struct http1_response *head)
{
	a->has_head = true;
	a->keep_alive = head->keep_alive;
	a->reply.status = head->status;
	for (size_t i = 0; i < head->header_count; i++) {
		struct span name = head->headers[i].name, value = head->headers[i].value;
		uint64_t seconds;
		if (span_eq_nocase(name, SPAN("content-type"))) {
			size_t len = MIN(value.len, sizeof(c->content_type));
			memcpy(c->content_type, value.ptr, len);
			a->reply.content_type = span_of(c->content_type, len);
		} else if (span_eq_nocase(name, SPAN("retry-after")) &&
			   num_parse_u64(value, &seconds) == 0) {
			a->reply.retry_after_s = (unsigned)MIN(seconds, 3600u);
		}
	}
	if (a->no_body || head->status == 204 || head->status == 304 || head->status == 101) {
		a->done = true;
	} else if (head->chunked) {
		a->chunked = true;
		http1_chunked_init(&a->chunks);
	} else if (head->has_length) {
		a->left = head->length;
		a->done = a->left == 0;
	} else {
		a->to_end = true;
		a->keep_alive = false;
	}
}

/* Heads until the final one: interim answers (1xx) are passed over. */
static int
heads_feed(struct http_client *c, struct answer *a)
{
	while (!a->has_head) {
		struct http1_response head;
		struct http1_error why;
		ssize_t n = http1_parse_response(buf_span(&c->in), &a->scanned, &head, &why);
		if (n <= 0)
			return (int)n;
		if (head.status >= 200 || head.status == 101)
			head_take(c, a, &head);
		buf_consume(&c->in, (size_t)n);
		a->scanned = 0;
	}
	return 0;
}

static int
chunks_feed(struct http_client *c, struct answer *a)
{
	struct span in = buf_span(&c->in);
	while (in.len && !a->done) {
		struct span data;
		ssize_t n = http1_chunked_feed(&a->chunks, in, &data, &a->done);
		if (n < 0)
			return (int)n;
		if (data.len) {
			int error = buf_append_span(&c->body, data);
			if (error)
				return error;
		}
		if (n == 0 && data.len == 0)
			break;
		in = span_skip(in, (size_t)n);
	}
	buf_consume(&c->in, c->in.len - in.len);
	return 0;
}

/* Takes what lies in c->in. */
static int
answer_feed(struct http_client *c, struct answer *a)
{
	int error = heads_feed(c, a);
	if (error || !a->has_head || a->done)
		return error;
	if (a->chunked)
		return chunks_feed(c, a);
	size_t len = a->to_end ? c->in.len : (size_t)MIN(a->left, (uint64_t)c->in.len);
	if (len == 0)
		return 0;
	error = buf_append(&c->body, c->in.ptr, len);
	if (error)
		return error;
	buf_consume(&c->in, len);
	if (!a->to_end) {
		a->left -= len;
		a->done = a->left == 0;
	}
	return 0;
}

static int
receive(struct http_client *c, struct answer *a)
{
	int error = buf_reserve(&c->in, RECV_BYTES);
	if (error)
		return error;
	ssize_t n = recv(c->fd, c->in.ptr + c->in.len, RECV_BYTES, 0);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -ECONNRESET;
	if (n == 0) {
		a->done = a->to_end;
		return a->done ? 0 : -ECONNRESET;
	}
	a->heard = true;
	c->in.len += (size_t)n;
	return answer_feed(c, a);
}

/* Sends what it can of head and body from *sent on. 0, or -ECONNRESET when the peer is gone. */
static int
transmit(struct http_client *c, struct span body, size_t *sent)
{
	size_t total = c->head.len + body.len;
	while (*sent < total) {
		struct iovec iov[2];
		int count = 0;
		size_t skip = *sent;
		if (skip < c->head.len)
			iov[count++] = (struct iovec){c->head.ptr + skip, c->head.len - skip};
		skip = skip > c->head.len ? skip - c->head.len : 0;
		if (skip < body.len)
			iov[count++] =
			    (struct iovec){(void *)(uintptr_t)(body.ptr + skip), body.len - skip};
		struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)count};
		ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno != EINTR)
			return -ECONNRESET;
		*sent += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int
exchange(struct http_client *c, struct span body, struct answer *a)
{
	size_t sent = 0, total = c->head.len + body.len;
	bool broken = false;
	buf_clear(&c->in);
	buf_clear(&c->body);
	while (!a->done) {
		/* After a failed send an answer that came before may still be read. */
		if (!broken && sent < total)
			broken = transmit(c, body, &sent) != 0;
		short ready = 0, events = POLLIN;
		if (!broken && sent < total)
			events |= POLLOUT;
		int error = wait_for(c, c->fd, events, &ready);
		if (!error && ready & (POLLIN | POLLHUP | POLLERR))
			error = receive(c, a);
		if (error)
			return error;
	}
	if (sent < total || c->in.len > 0)
		a->keep_alive = false;
	return 0;
}

static int
head_write(struct http_client *c, const char *method, const char *target, const char *content_type,
    size_t body_bytes)
{
	struct buf *head = &c->head;
	buf_clear(head);
	buf_printf(head, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, c->host_header);
	buf_append_span(head, buf_span(&c->headers));
	if (content_type)
		buf_printf(head, "Content-Type: %s\r\n", content_type);
	if (body_bytes || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0)
		buf_printf(head, "Content-Length: %zu\r\n", body_bytes);
	buf_append_str(head, "\r\n");
	return head->error;
}

int
http_client_call(struct http_client *c, const char *method, const char *target,
    const char *content_type, struct span body, struct http_client_reply *ret_reply)
{
	int error = head_write(c, method, target, content_type, body.len);
	if (error)
		return error;
	for (bool kept = c->fd >= 0;; kept = false) {
		if (!kept)
			error = c->port ? connect_name(c) : connect_unix(c);
		if (error)
			return error;
		struct answer a = {.no_body = strcmp(method, "HEAD") == 0};
		error = exchange(c, body, &a);
		if (error || !a.keep_alive)
			http_client_disconnect(c);
		if (error == -ECONNRESET && kept && !a.heard) {
			error = 0;
			continue;
		}
		if (error)
			return error;
		a.reply.body = buf_span(&c->body);
		*ret_reply = a.reply;
		return 0;
	}
}

/*
 * http_client.h: a small blocking HTTP/1.1 client for tools: `weir simulate`, `weir bench`,
 * `weir admin` over DATA/admin.sock.
 *
 * One client is one connection, opened when it is needed and kept alive; one request at a time; one
 * thread. Bodies of answers are read whole, up to HTTP_CLIENT_BODY_BYTES_MAX. A request that was
 * sent on a kept connection which the server had closed meanwhile (nothing of an answer came) is
 * sent once more on a new one; nothing else is repeated here: that is the caller's decision.
 */
#ifndef WEIR_HTTP_CLIENT_H
#define WEIR_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

#define HTTP_CLIENT_BODY_BYTES_MAX ((size_t)64 << 20)

struct http_client;

struct http_client_options {
	/* "127.0.0.1:8080", "[::1]:80", "host.name:80", "http://host.name[:80][/]" or "unix:PATH".
	 * Copied. */
	const char *address;
	/* The value of the Authorization header ("Bearer KEY"), or NULL for none. Copied. */
	const char *authorization;
	/* How long an answer may take, from the last byte that moved; 0: 30,000. */
	unsigned timeout_ms;
	/* When this descriptor (an eventfd, a signalfd) becomes readable every call returns
	 * -ECANCELED at once, the one under way too. It is not read. 0 or less: none. */
	int stop_fd;
};

struct http_client_reply {
	unsigned status;
	struct span content_type; /* empty when there was none */
	unsigned retry_after_s;	  /* of Retry-After in seconds; 0: none */
	struct span body;	  /* without chunking */
};

/* Connects to nothing yet. 0, -EINVAL (no such form of address), -ENOMEM. */
int http_client_create(const struct http_client_options *options, struct http_client **ret_client);
void http_client_destroy(struct http_client *client); /* NULL allowed */

/* Sends one request and reads its answer. `method` is "GET" …; `target` the path with query, as
 * it goes onto the wire; `content_type` may be NULL; `body` may be empty.
 * The reply's spans are the client's, valid until its next call.
 * 0; -ECONNREFUSED, -ENOENT and other errnos of connecting; -EHOSTUNREACH: the name is unknown;
 * -ECONNRESET: the connection broke before the answer was whole; -ETIMEDOUT; -EBADMSG: the answer
 * is not HTTP; -EMSGSIZE: it is over the limit; -ECANCELED: stop_fd; -ENOMEM. After any failure
 * the next call begins with a new connection. */
int http_client_call(struct http_client *client, const char *method, const char *target,
    const char *content_type, struct span body, struct http_client_reply *ret_reply);

/* Adds a header line ("If-None-Match: x") to every later request. 0 or -ENOMEM. */
int http_client_add_header(struct http_client *client, const char *line);

/* Drops the connection; the next call opens a new one. */
void http_client_disconnect(struct http_client *client);

/* How many connections were opened so far. */
unsigned http_client_connections(const struct http_client *client);

#endif

/*
 * server.h: a whole server: a data directory, loops on threads, listeners. Everything hangs off
 * `struct server`; a process may have several.
 *
 * Life: starting (data opened, listeners bound, threads running, /readyz 503) → ready (the journal
 * is replayed) → draining → gone. All functions are called by the thread that made it.
 */
#ifndef WEIR_SERVER_H
#define WEIR_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "data.h"
#include "log.h"
#include "settings.h"

struct server;

struct server_options {
	const char *data;             /* the directory; all texts must outlive the server */
	const char *const *listen;    /* "http://127.0.0.1:8080", "http://[::1]:0", "unix:PATH" */
	size_t listen_count;
	const struct settings *settings; /* copied */
	struct env *env;
	struct log *log;
	const char *demo_key;         /* a key with all rights that is in memory only; NULL: none */
	bool progress;                /* draw on stderr how far the replay is */
};

#define SERVER_REASON_BYTES DATA_REASON_BYTES
#define SERVER_ADDRESS_BYTES 192

/* Opens, binds, starts the threads, begins to replay, returns. `ret_reason` gets a sentence on
 * failure. 0 or a negative errno. */
int server_start(const struct server_options *options, struct server **ret_server,
    char *ret_reason);

/* Whether the journal is replayed on every loop. */
bool server_is_ready(const struct server *server);

/* Where listener `index` of the options listens: "http://127.0.0.1:8080" with its real port. */
const char *server_address(const struct server *server, size_t index);

/* Takes live settings over, logs which ones, and which others need a restart. */
void server_reload(struct server *server, const struct settings *settings);

/* Drains and ends: no more connections, requests under way answered (at most net.drain_ms),
 * points stored, journal and store closed, everything freed. NULL allowed. 0, or a negative errno
 * when not all points could be stored; the journal still has them. */
int server_stop(struct server *server);

/* Whether "http://HOST:PORT" or "unix:PATH" is one; *ret_loopback: only this machine reaches it. */
bool server_address_check(const char *url, bool *ret_loopback);

#endif

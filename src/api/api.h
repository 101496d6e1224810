/*
 * api.h: the routes of api.md, one file per resource.
 *
 * Handlers run on the connection's loop and hang off a `struct api_loop`, which is what
 * session_app() gives. What may block or take long runs on query workers (stream.h).
 */
#ifndef WEIR_API_H
#define WEIR_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "access.h"
#include "access_limits.h"
#include "flow.h"
#include "session.h"

struct access_change;
struct guests;
struct logins;
struct openapi;
struct registrar;

/* A line of the server's log, and where its reader is (zeroed: before the oldest). */
#define API_LOG_BYTES_MAX 4096

struct api_log_line {
	int64_t time_ms;
	unsigned level;         /* 0 debug, 1 info, 2 warn, 3 error */
	struct span json;       /* an object, in `bytes` */
	char bytes[API_LOG_BYTES_MAX];
};

struct api_log_cursor {
	uint64_t number;        /* of the next line */
	size_t at;
};

/* What the whole server shares; immutable after start but for the atomics behind the calls. */
struct api {
	struct env *env;
	struct flow *flow;
	struct journal *journal;
	struct store_writer *store;
	struct workers *queries;        /* threads for questions, apart from those that flush */
	const unsigned char *secret;    /* 32 bytes, protected: keys the hashes of access */
	struct access_limits *limits;   /* how much each principal may do */
	struct workers *hashers;        /* threads for passwords: as many hashes at once */
	struct logins *logins;
	uint64_t token_ms;              /* how long a person's token is valid */
	bool presence;                  /* channels show who is there, unless they say otherwise */
	size_t series_max;              /* series one question may touch */
	size_t chunk_bytes;             /* of a streamed body that make one record */
	const struct openapi *openapi;  /* what GET /api/v1/openapi.json answers */
	const char *demo_key;           /* NULL: no demo */
	bool metrics_open;              /* /metrics needs no key */
	/* Gathers /metrics from all loops; done(arg, out) comes on the calling one (its index is
	 * `loop`), and `out` is the receiver's to finish. NULL: out of memory. */
	void (*metrics)(void *ctx, unsigned loop, void (*done)(void *arg, struct buf *out),
	    void *arg);
	/* Tells every loop's access of a change that was committed, in the order of these calls;
	 * `applied` goes to `box` when all of them have applied it. From a unit's done(), which the
	 * store's thread calls. */
	void (*registry_changed)(void *ctx, struct access_change *change, struct mailbox *box,
	    struct mail *applied);
	/* The next line that is kept of the server's log; false: none yet. Any thread. */
	bool (*log_next)(void *ctx, struct api_log_cursor *cursor, struct api_log_line *ret_line);
	bool (*ready)(void *ctx);
	void *ctx;
};

struct api_loop {
	const struct api *api;
	struct flow_loop *flow;
	struct access *access;
	struct loop *loop;
	struct mailbox *box;
	struct guests *guests;          /* NULL: the application is not asked */
	struct registrar *registrar;    /* of devices that applications write first */
	struct hub_local *hub;
};

/* Routes about one thing, which the OpenAPI document shows together. */
struct api_group {
	const char *name, *help;            /* help NULL: the name came before, with its help */
	const struct session_route *routes; /* ends with an entry whose path is NULL */
};

/* Ends with an entry whose name is NULL. */
extern const struct api_group api_groups[];

/* All routes, for session_routes_create. `tables` and `counts` have room for API_TABLES_MAX. */
#define API_TABLES_MAX 64
size_t api_routes(const struct session_route **tables, size_t *counts);

/* session_hooks.publish. */
void api_publish(void *app, const struct access_principal *principal, const struct span *channels,
    size_t channel_count, struct span key, struct span data,
    void (*done)(void *ctx, int error, struct span id_or_detail), void *ctx);

/* session_hooks.names; handlers call it, too. */
void api_names(void *app, struct span tenant, const struct span *ids, size_t count,
    void (*done)(void *ctx, int error, const struct span *names), void *ctx);

/* session_hooks.guest_keep, guest_ask, guest_forget. */
void *api_guest_keep(const struct session_request *request);
void api_guest_ask(void *guest, const struct span *channels, size_t count,
    void (*done)(void *ctx, const struct session_verdict *verdict), void *ctx);
void api_guest_forget(void *guest);

#endif

/*
 * session.h: one file per kind of client: the state machines between proto and the rest. The
 * seam to what the server can do is a table of routes, owned here and filled by api.
 *
 * Everything belongs to the connection's loop. The HTTP session checks in this order: path 404,
 * method 405, credentials 401, right 403, rate 429, size 413; then the handler runs. It does
 * keep-alive, pipelining (one request at a time, the next one's bytes wait), 100-continue, chunked
 * and gzip bodies, HEAD, HTTP/1.0, compression of answers, and closes broken framing with 400.
 */
#ifndef WEIR_SESSION_H
#define WEIR_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "access.h"
#include "hub.h"
#include "span.h"

struct access_limits;
struct net;
struct net_conn;
struct net_conn_ops;
struct session_request;
struct session_loop; /* all sessions of one loop */

/* ── routes ── */

enum session_method {
	SESSION_GET = 1, SESSION_POST = 2, SESSION_PUT = 4, SESSION_DELETE = 8, SESSION_HEAD = 16,
	SESSION_OPTIONS = 32
};

struct session_route_ops {
	/* The head is checked. Afterwards exactly one answer must be made, now or later. */
	void (*begin)(struct session_request *request);
	/* A piece of the body, decompressed. Streaming routes only. */
	void (*body)(struct session_request *request, struct span bytes);
	/* The body is complete; `whole` is all of it for routes that want it whole, else empty.
	 * Valid until gone(). Comes even while the body is paused. */
	void (*end)(struct session_request *request, struct span whole);
	/* Streamed answers: output has room again. */
	void (*writable)(struct session_request *request);
	/* The request is over: answered (`broken` false) or the client left or broke the protocol
	 * in the middle of it. Always the last call, never within another call of the handler's;
	 * frees what the handler keeps. After it the handler must not touch the request. A request
	 * that became a stream is over once the stream has taken over. */
	void (*gone)(struct session_request *request, bool broken);
};

/* What the OpenAPI document says of a route beyond its row in the table; api reads it. A type is
 * written as openapi_type.h explains: "{name: Name, ttl_s?: integer}". A name that ends with '?'
 * may be left out. */
struct session_doc_param {
	const char *name, *type, *help;
};

struct session_doc_answer {
	unsigned status;
	const char *content;        /* a type (JSON), "MEDIA/TYPE type", or "": no body (from 400
					on: a problem) */
	const char *help;
};

struct session_doc {
	const char *help;           /* what the summary does not say; or NULL */
	bool always;                /* served while the server starts or stops, too */
	struct session_doc_param path[4];    /* in any order; the names are those of the path */
	struct session_doc_param query[12];
	struct session_doc_param headers[4];
	const char *body[3];        /* contents, as of answers; none: the body is not looked at */
	struct session_doc_answer answers[8]; /* what every route may answer goes without saying;
					rows of one status stand together */
};

struct session_route {
	const char *path;           /* "/api/v1/channels/{channel}/renew"; "{x...}" the rest */
	unsigned methods;           /* HEAD comes with GET */
	uint32_t rights;            /* all of them are needed; 0: open to everybody */
	bool streaming;             /* body() in pieces, unbounded; else whole */
	size_t body_bytes_max;      /* whole bodies: 413 above it; 0: session_settings' */
	bool late_token;            /* a WebSocket's credentials may come in its first frame: then
					session_principal is NULL and session_become_ws checks
					rights and patterns when they come */
	bool guests;                /* who has no credentials that are known here is let in, too,
					where there are guests (session_is_guest): then
					session_principal is NULL until session_admit_guest */
	bool login;                 /* the handler alone looks at the credentials of a request */
	bool body_credentials;      /* they may come in the body: then session_principal is NULL and
					the handler finds out whose request it is */
	bool fallback;              /* for paths that nothing else means: another method than its
					own is 404 there, not 405 */
	const struct session_route_ops *ops; /* NULL members allowed but for end (or begin) */
	const char *summary;        /* for the OpenAPI document */
	const struct session_doc *doc;
};

/* Matched in one pass over a tree built at start. Routes and ctx must outlive the server. */
struct session_routes;
int session_routes_create(const struct session_route *const *tables, const size_t *counts,
    size_t table_count, struct session_routes **ret_routes); /* -EEXIST: two routes collide */
void session_routes_destroy(struct session_routes *routes);

/* ── what handlers may ask ── */

void *session_app(const struct session_request *request);   /* what session_loop_create was given */
struct loop *session_get_loop(const struct session_request *request);
const struct session_route *session_route_of(const struct session_request *request);
enum session_method session_method_of(const struct session_request *request); /* HEAD is GET here */
struct span session_method_text(const struct session_request *request); /* as it came */
struct span session_target(const struct session_request *request);      /* as it came */
const struct access_principal *session_principal(const struct session_request *request);

/* Whether this is somebody whom nobody knows yet and for whom the application may be asked. */
bool session_is_guest(const struct session_request *request);

/* It is: the request goes on as this principal's, of whom a reference is taken. false: he asks too
 * much, which was answered. Guests without a name of their own share no limit. */
bool session_admit_guest(struct session_request *request, struct access_principal *principal);

/* It is not: what credentials came with the request were wrong ones. The answer is the caller's. */
void session_refuse_guest(struct session_request *request);

/* Whose channels are meant: the tenant of the principal, or of guests. */
struct span session_tenant(const struct session_request *request);

/* Whether whose request it is was neither revoked nor has expired since its head came; true for
 * nobody's. A whole body is handed over only if so; who streams or holds a request asks himself. */
bool session_principal_holds(const struct session_request *request);

/* Who asks: the connection's peer or, where that is a proxy of the settings, whom it names. Valid
 * until the next call for any request or connection of this loop. */
const char *session_peer(const struct session_request *request);

/* Decoded; valid until gone(). Absent: ptr NULL. */
struct span session_path_param(const struct session_request *request, const char *name);
struct span session_query(const struct session_request *request, const char *name); /* first one */
/* Every header in order: pos starts at 0. false at the end. */
bool session_header_next(const struct session_request *request, size_t *pos,
    struct span *ret_name, struct span *ret_value);

/* Every pair in order, decoded: pos starts at 0. false at the end. */
bool session_query_next(const struct session_request *request, size_t *pos, struct span *ret_name,
    struct span *ret_value);
struct span session_header(const struct session_request *request, const char *name);

/* Whether it would become a WebSocket. Other protocols that Upgrade may name (h2c) are not spoken,
 * and a client goes on without them. */
bool session_asks_ws(const struct session_request *request);

/* Whether Accept names the media type, not by a wild card. */
bool session_accepts(const struct session_request *request, const char *media_type);

/* The bound of bodies that are read whole (http.body_bytes_max), as it is now. */
size_t session_body_bytes_max(const struct session_request *request);

/* The handler's own pointer. */
void session_set_state(struct session_request *request, void *state);
void *session_state(const struct session_request *request);

/* Holds the body back (backpressure) until resumed; the handler's acknowledgement is under way.
 * A little more may still come: what is read already of this piece. */
void session_pause_body(struct session_request *request, bool paused);

/* ── answers: exactly one per request ── */

/* Adds a header to the answer to come. 0, -ENOMEM, -EINVAL (CR, LF, NUL). */
int session_add_header(struct session_request *request, const char *name, struct span value);
/* Pages of any origin may read the answer to come: for what is public and asks for nothing. */
void session_open_to_pages(struct session_request *request);

/* A whole answer. `content_type` NULL: no body. Never fails: out of memory closes the
 * connection. */
void session_answer(struct session_request *request, unsigned status, const char *content_type,
    struct span body);

/* application/problem+json: {"type":"about:blank","title":…,"status":…,"detail":…[,"pointer"]}.
 * `pointer` may be NULL. 401 adds WWW-Authenticate, 429 and 503 Retry-After when none was added. */
void session_problem(struct session_request *request, unsigned status, const char *pointer,
    const char *detail_format, ...) __attribute__((format(printf, 4, 5)));

/* 429 with Retry-After: this principal, or this address, may come back in so many ms. The detail
 * says "too many `what`; come back in 3 s". */
void session_problem_later(struct session_request *request, uint64_t wait_ms, const char *what);

/* A streamed answer: chunked for 1.1, until close for 1.0; gzip when the client takes it. 0 or
 * -EPIPE: the client left, or memory is out; gone() follows. */
int session_answer_begin(struct session_request *request, unsigned status,
    const char *content_type);
int session_answer_write(struct session_request *request, struct span bytes); /* -EAGAIN: no room,
	nothing taken, wait for writable(); -EPIPE: the client left */
void session_answer_end(struct session_request *request);
void session_answer_abort(struct session_request *request); /* cuts the body: a fatal late fault */

/* ── transports: what a route's begin() or end() may turn the request into; later, when nothing of
 * its operations is being called, gone() comes before these return ── */

/* Live subscriptions of one client: patterns, where to begin. Spans are copied. */
struct session_subscription {
	const struct span *patterns;
	size_t pattern_count;
	const uint64_t *ids;   /* as in hub_question */
	enum hub_since since;  /* HUB_SINCE_NOW: with what comes next */
	int64_t from_ms;
	uint64_t cursor;
	enum hub_slow slow;    /* for the connection, whatever it subscribes to later */
};

/* Reads "since": a cursor (m17), a time (milliseconds, RFC 3339, -15m), 0 (all), now. Whether it is
 * one; sets since, from_ms and cursor. */
bool session_since(struct span text, int64_t now_ms, struct session_subscription *subscription);

/* Leaves out what was said twice, by its name or by its id, which is in `ids` then (NULL: none is).
 * How many are left. */
size_t session_patterns_join(struct span *patterns, uint64_t *ids, size_t count);

/* Answers with an event stream. Ends when the client leaves or is too slow, or when the credentials
 * end. */
void session_become_sse(struct session_request *request,
    const struct session_subscription *subscription);

/* Answers the question as soon as there is something that it asks for, at the latest after
 * `timeout_s` or when its until_ms is over: {"messages":[…],"next":"m…"}. Meanwhile nothing is kept
 * of the request but what that takes. */
void session_become_poll(struct session_request *request, const struct hub_question *question,
    unsigned timeout_s);

/* Answers 101 and speaks WebSocket JSON of api.md "Channels". Checks version, key, Origin. */
void session_become_ws(struct session_request *request,
    const struct session_subscription *subscription);

/* ── a loop's sessions ── */

struct session_settings {
	size_t body_bytes_max;        /* 16 MiB */
	/* Time-outs: between requests; for a head (a request's, and that of a stream which waits
	 * for its subscriptions); for progress of a body. */
	unsigned idle_ms, head_ms, body_ms;
	unsigned sse_comment_ms, ws_ping_ms; /* 15,000 and 25,000 */
	unsigned sse_retry_ms;        /* after it a page whose stream ended comes back; 0: unsaid */
	size_t ws_message_bytes_max;  /* 1152 KiB; of what comes compressed, decompressed */
	/* Compression for WebSocket clients that offer it, of messages whose data has at least
	 * this many bytes; 0: none. */
	size_t ws_deflate_bytes_min;
	bool gzip;
	/* Origins of pages that may connect besides those of this host, separated by blanks;
	 * "*": all; NULL: none. Must outlive the sessions. */
	const char *ws_origins;
	const char *cors_origins; /* the same, of pages that may read answers */
	/* Addresses and networks of proxies whose X-Forwarded-For is believed, separated by blanks;
	 * NULL: none. Must outlive the sessions. */
	const char *proxies;
	/* The tenant of guests; NULL: there are none. Must outlive the sessions. */
	const char *guest_tenant;
	/* How much each principal may do, and how often an address may be wrong; NULL: as often as
	 * it likes. Must outlive the sessions. Bodies that stream, and a WebSocket's messages, are
	 * counted by their handlers. */
	struct access_limits *limits;
};

/* What the application said of a guest. */
struct session_verdict {
	unsigned status;                    /* 200: he may; else of the refusal */
	const char *detail;                 /* why not */
	struct access_principal *principal; /* who may all that was asked for; or NULL */
};

/* What sessions need from above; called on the session's loop. */
struct session_hooks {
	/* A WebSocket's {"publish":…}: answered by calling done() once, now or later, with error 0
	 * and the id's text, or a negative errno and a sentence. done() must be called even when
	 * the client has left. Channels are names, which he may publish on, and ids. */
	void (*publish)(void *app, const struct access_principal *principal,
	    const struct span *channels, size_t channel_count, struct span key,
	    struct span data, void (*done)(void *ctx, int error, struct span id_or_detail),
	    void *ctx);
	/* The names of these ids of channels: done() is called once, now or later, even when
	 * the client has left: error 0 and as many names; -ENOENT and the id that no channel has;
	 * or -ENOMEM. What it gets lives during the call. */
	void (*names)(void *app, struct span tenant, const struct span *ids, size_t count,
	    void (*done)(void *ctx, int error, const struct span *names), void *ctx);
	/* What the application will know this guest by, kept for the life of a WebSocket; NULL:
	 * memory is out. Where session_settings name guests. */
	void *(*guest_keep)(const struct session_request *request);
	/* Asks whether he may subscribe to these: done() is called once, now or later, if it is
	 * not forgotten before. One question at a time. What done() gets lives during the call. */
	void (*guest_ask)(void *guest, const struct span *channels, size_t count,
	    void (*done)(void *ctx, const struct session_verdict *verdict), void *ctx);
	void (*guest_forget)(void *guest);
	/* A finished request, for metrics and the access log; its route is NULL when no path
	 * matched. */
	void (*finished)(void *app, const struct session_request *request, unsigned status,
	    uint64_t micros, uint64_t bytes_in, uint64_t bytes_out);
};

int session_loop_create(struct loop *loop, struct net *net, struct access *access,
    struct hub_local *hub, const struct session_routes *routes,
    const struct session_settings *settings, const struct session_hooks *hooks, void *app,
    struct session_loop **ret_sessions);
void session_loop_destroy(struct session_loop *sessions);

/* Takes other settings over, for what begins from now on. */
void session_set_settings(struct session_loop *sessions, const struct session_settings *settings);

/* The net_accept_fn for HTTP listeners (ctx: the session_loop), and the one for admin.sock, whose
 * clients are the local administrator. */
int session_accept_http(void *ctx, struct net_conn *conn, const struct net_conn_ops **ret_ops,
    void **ret_ctx);
int session_accept_admin(void *ctx, struct net_conn *conn, const struct net_conn_ops **ret_ops,
    void **ret_ctx);

/* Until set, everything but /healthz, /readyz, /version and /metrics is 503 with Retry-After. */
void session_set_ready(struct session_loop *sessions, bool ready);

/* No more requests on kept connections: the answer under way says Connection: close; streams end
 * (WebSocket 1012). */
void session_drain(struct session_loop *sessions);

/* After every change of the loop's access: streams of those who were revoked, and of limited
 * persons who may no longer hear all that they listen to, end in this turn or, told between turns,
 * in the next. Costs nothing when nobody lost anything. */
void session_revoked(struct session_loop *sessions);

#endif

/*
 * session_priv.h: what the files of session share: a connection that speaks HTTP, the request it
 * is at, and the world of one loop.
 *
 * A connection's input moves through these states, written by http.c only:
 *
 *     IDLE ──► BODY ──► WAIT ──► IDLE      a head, its body, the answer
 *                └────► DRAIN ──► IDLE     answered early: the rest of the body is thrown away
 *     any  ──► OVER                        nothing more is read; what is queued leaves
 *
 * A request ends in one place (http_settle), never inside a call of its handler.
 */
#ifndef WEIR_SESSION_PRIV_H
#define WEIR_SESSION_PRIV_H

#include "access_limits.h"
#include "addresses.h"
#include "buf.h"
#include "gzip.h"
#include "http1.h"
#include "list.h"
#include "loop.h"
#include "routes.h"
#include "net.h"
#include "session.h"
#include "slab.h"

enum {
	HTTP_DRAIN_BYTES_MAX = 256 * 1024,  /* of an unread body; above it the connection closes */
	HTTP_PAIRS_MAX = 1024,              /* parameters in a query */
	HTTP_GUNZIP_BYTES = 4096,           /* compressed bytes between two looks at a pause */
	HTTP_PACK_BYTES_MIN = 512,          /* shorter answers are not compressed */
	HTTP_JOIN_BYTES_MAX = 16 * 1024,    /* an answer up to this is sent with its head as one */
	HTTP_ADDED_BYTES_MAX = 16 * 1024,   /* headers that a handler may add */
};

/* Slots of the wheel of ends: seconds. */
enum { SESSION_EXPIRY_SLOTS = 256 };

enum http_state { HTTP_IDLE, HTTP_BODY, HTTP_WAIT, HTTP_DRAIN, HTTP_OVER };

/* The last Authorization header and whom it meant. */
struct http_credentials {
	struct access_principal *principal;
	size_t len;
	char bytes[];
};

struct http {
	struct session_loop *sessions;
	struct net_conn *conn;
	struct session_request *request;  /* under way, or NULL */
	struct http_credentials *credentials;
	struct list link;                 /* in sessions->https */
	size_t scanned;                   /* how far the search for a head's end came */
	uint8_t state;                    /* enum http_state */
	bool local;                       /* the administrator's socket */
	bool busy;                        /* inside a call of ours that settles at its end */
	bool head_begun;                  /* a part of a head is here: its deadline is set */
};

enum http_answer { HTTP_ANSWER_NONE, HTTP_ANSWER_BEGUN, HTTP_ANSWER_ENDED };

struct http_pair {
	struct span name, value;
};

struct session_request {
	struct http *http;
	struct list done_link;            /* in sessions->done: to be settled */
	const struct session_route *route; /* NULL: none matched */
	struct access_principal *principal;
	void *state;                      /* the handler's */
	struct live *live;                /* what it is to become */
	uint64_t begun_ns;

	/* The head; all spans lie in this allocation. */
	struct span head;
	enum session_method method;
	struct span method_text, target, query;
	struct http1_header *headers;
	struct http_pair *pairs;
	size_t header_count, pair_count;
	struct routes_match match;

	/* The body. */
	struct http1_chunked chunks;
	struct gunzip *gunzip;
	struct buf whole;
	uint64_t left;                    /* of a body with Content-Length */
	uint64_t raw_bytes, body_bytes;   /* taken so far: as it came, decompressed */
	uint64_t raw_bytes_answered;      /* raw_bytes when draining began */
	uint64_t body_bytes_max;
	size_t head_bytes;

	/* The answer. */
	struct buf added;                 /* headers of the handler */
	char *etag;                       /* the handler's, kept apart: compression weakens it */
	struct gzip *gzip;
	struct buf rest;                  /* what found no room yet, from rest_pos on */
	size_t rest_pos;
	uint64_t bytes_out;
	unsigned status;
	uint8_t answer;                   /* enum http_answer */

	bool is_head, minor0, keep_alive, upgrade, has_length, chunked, bad_path,
	    bad_query;
	bool guest;                       /* the application let him in */
	bool unknown;                     /* credentials came that were not known */
	bool recalled;                    /* its credentials were the connection's last ones */
	bool expects;                     /* 100 Continue was asked for and not sent */
	bool gunzip_over;
	bool begun;                       /* the handler was called: it is owed gone() */
	bool paused;                      /* the body, by the handler */
	bool held;                        /* it is, and the deadline with it */
	bool close;                       /* the connection ends with this request */
	bool broken;                      /* what the handler answers is no more heard */
	bool want_writable;
	bool chunk_answer;
	bool folded;                      /* it is answered later, by what it becomes */
};

/* What is kept of a request that is held for long: enough to answer it, and to know it again when
 * it comes with nothing changed but the value of `since`. */
struct http_folded {
	const struct session_route *route;
	uint64_t print;              /* of the bytes before that value and behind it */
	uint32_t begun;              /* env_mono_ns, but for its lowest 20 bits and highest 12 */
	uint32_t bytes_in;
	uint16_t before, behind;     /* how many these are; behind 0: it is not known again */
	uint16_t timeout_s;          /* the owner's */
	uint8_t origin; /* http_cors.c's */
	bool is_head : 1, minor0 : 1, keep_alive : 1, close : 1, takes_gzip : 1, local : 1;
};

struct session_loop {
	struct loop *loop;
	struct net *net;
	struct access *access;
	struct hub_local *hub;
	const struct session_routes *routes;
	struct session_settings settings;
	struct session_hooks hooks;
	void *app;

	struct list https;                /* of http.link */
	/* live_list.c's: all lives, by live.link. */
	struct list lives;                /* that never expire */
	struct list expiring[SESSION_EXPIRY_SLOTS];
	struct loop_timer expiry_timer;
	int64_t expired_s;                /* who ended up to this second is gone */
	int64_t look_s;                   /* the second that the timer waits for */
	size_t limited_count;             /* lives of limited persons */
	struct loop_task sweep_task;
	bool sweep_devices;               /* limited persons lost some */
	struct access_losses losses;      /* seen so far */

	struct list pasts;                /* of live_past.link: to be asked for more */
	struct loop_task pasts_task;
	struct list polls;                /* live_poll.c's: to be answered */
	struct loop_task polls_task;
	size_t poll_bytes;                /* of messages that wait for the next poll */
	struct slab sse_slab, ws_slab, poll_slab;
	struct list done;                 /* of session_request.done_link */
	struct loop_task done_task;
	bool ready, draining;

	int64_t date_s;                   /* the second that `date` shows */
	char date[32];
	char peer[ADDRESSES_TEXT_BYTES];  /* session_peer's */
	struct buf scratch;               /* for building answers; empty between calls */
	struct buf frame;                 /* for a WebSocket's frame that came whole; likewise */
	struct buf headers;               /* of an answer that http_fold.c makes; likewise */
	struct http1_request head;        /* for parsing */
};

/* http.c */

/* Answers by itself and ends the connection: broken framing and time-outs. */
void http_refuse(struct http *http, unsigned status, enum net_close_reason reason,
    const char *detail);

/* Something happened to a request outside of the connection's own calls: looks after it in this
 * turn's LOOP_APPEND. */
void http_settle_soon(struct session_request *request);
void http_settle_all(struct session_loop *sessions);

/* The same at once, unless the connection is within a call of its own, whose end settles it. The
 * request may be gone. */
void http_settle_now(struct session_request *request);

/* The state of a connection, which is not its owner yet; http_own makes it that. NULL: memory is
 * out. */
struct http *http_create(struct session_loop *sessions, struct net_conn *conn, bool local);
void http_own(struct http *http);

/* Takes a connection, which is somebody else's and not closed, back, with what has come (or
 * nothing). How much of that was used. */
size_t http_resume(struct session_loop *sessions, struct net_conn *conn, bool local,
    struct span bytes);

/* Ends a connection that waits for a request; one at work ends with its request. */
void http_drain(struct http *http);

/* http_head.c */

/* Makes a request of sessions->head, whose bytes are `head`. NULL: memory is out. */
struct session_request *http_head_create(struct http *http, struct span head);

/* Makes one again of what was kept of it, without headers; the connection and who asks are the
 * caller's to set. */
void http_head_unfold(const struct http_folded *folded, struct session_request *ret_request);

/* Checks in the promised order. Whether the handler may begin; else an answer was made. */
bool http_head_admit(struct session_request *request);

/* Whether the bytes of a body that was read whole are within its principal's limit; else it is
 * answered. */
bool http_head_admit_bytes(struct session_request *request);

/* Whether it is within its principal's limit of requests; else it is answered. */
bool http_head_admit_rate(struct session_request *request);

/* Whether who is not known may be let in on this route. */
bool http_head_takes_guests(const struct session_request *request);

/* http_fold.c */

/* The request becomes something that holds it and unfolds it again to answer. */
void http_fold(struct session_request *request, struct http_folded *ret_folded);

/* Takes the connection, which is somebody else's and not closed, back with a request that waits
 * for its answer. NULL: memory is out, and the connection is closed. */
struct session_request *http_unfold(struct session_loop *sessions, struct net_conn *conn,
    const struct http_folded *folded, struct access_principal *principal);

/* Answers with a document of `len` bytes that write() appends, and leaves the connection with its
 * owner, for a request like this may follow. false: that must go the long way. */
bool http_answer_folded(struct session_loop *sessions, struct net_conn *conn,
    const struct http_folded *folded, size_t len, void (*write)(void *ctx, struct buf *out),
    void *ctx);

/* Whether the bytes begin with this request again, but for `since`, which is this cursor; and it is
 * let in as the first one was. Then `folded` is the new one's, and its length is returned; else
 * 0. */
size_t http_fold_again(struct session_loop *sessions, struct http_folded *folded,
    const struct access_principal *principal, struct span bytes, uint64_t cursor);

/* http_cors.c */

/* Which of the origins in the settings it comes from, from 1 on; 0: none. */
uint8_t http_cors_origin(const struct session_request *request);
void http_cors_write(const struct session_loop *sessions, uint8_t origin, struct buf *out);
void http_cors_add(struct session_request *request); /* to the answer to come */

/* What a browser asks with OPTIONS before it sends the request itself. */
void http_cors_preflight(struct session_request *request, struct span methods);

/* http_credentials.c */

/* Whose request it is, or NULL; *ret_given whether any credentials were. A reference. */
struct access_principal *http_credentials_find(struct session_request *request, bool *ret_given);
void http_credentials_forget(struct http *http);

/* Whether who was let in may still come; true for NULL. */
bool http_credentials_hold(const struct session_loop *sessions,
    const struct access_principal *principal);

/* http_body.c */

enum http_body_result { HTTP_BODY_MORE, HTTP_BODY_END, HTTP_BODY_BAD };

bool http_body_expected(const struct session_request *request);

/* Takes body bytes up to the body's end or a pause; *ret_used of them. After HTTP_BODY_BAD the
 * connection was refused or the request answered. */
enum http_body_result http_body_take(struct session_request *request, struct span bytes,
    size_t *ret_used);

/* http_accept.c */
bool http_accept_gzip(const struct session_request *request);
bool http_accept_packable(const char *content_type);

/* http_answer.c */

/* Queues bytes of an answer; what net has no room for is kept and follows. */
void http_answer_out(struct session_request *request, struct span bytes);
bool http_answer_flush(struct session_request *request); /* whether all found room */

/* Memory is out: the connection ends, and nothing more is heard of the answer. */
void http_answer_lose(struct session_request *request);

/* Whether an answer of this type is to be compressed. */
bool http_answer_packs(const struct session_request *request, const char *content_type);

/* Appends status line and headers. `length` NULL: chunked, or until close. */
void http_answer_head(struct session_request *request, struct buf *out,
    const char *content_type, const size_t *length, bool packed);

void http_answer_problem_json(struct buf *out, unsigned status, const char *pointer,
    const char *detail);

/* session.c */
const char *session_date(struct session_loop *sessions); /* DATETIME_HTTP_BYTES */

#endif

/*
 * live.h: what event streams and WebSockets have in common: a connection that a request was turned
 * into, with subscriptions. Within session.
 *
 * Life: made by live_init while the request is still there (conn is NULL, nothing can be sent),
 * started when the connection is handed over, ended by net's closed().
 */
#ifndef WEIR_LIVE_H
#define WEIR_LIVE_H

#include "session_priv.h"

struct live;

struct live_ops {
	struct net_conn_ops conn;           /* ctx is the live */
	void (*start)(struct live *live);   /* conn is there */
	void (*end)(struct live *live, enum net_close_reason reason); /* say good-bye, and finish */
	void (*free)(struct live *live);
	/* Sends a message. 0; -EMSGSIZE: there is no room now; else the connection ends. */
	int (*send)(struct live *live, struct hub_message *message, uint64_t channels);
	void (*gap)(struct live *live);     /* says that something was lost */
	/* Ends for it is too slow: what came behind this seq was not sent. */
	void (*slow)(struct live *live, uint64_t seq);
};

struct live {
	const struct live_ops *ops;
	struct session_loop *sessions;
	struct net_conn *conn;
	struct list link;                   /* in a list of live_list.c once started */
	struct sink sink;
	struct access_principal *principal; /* NULL: open to everybody, or not yet known */
	uint64_t sent_ms;                   /* when something was last sent */
	struct live_past *pasts;            /* questions about the past under way */
	struct live_slow *slow;             /* NULL: it did not say, and is not too slow */
};

enum { LIVE_SUBSCRIPTIONS_MAX = 4096 };

void live_init(struct live *live, const struct live_ops *ops, const struct sink_ops *sink_ops,
    struct session_request *request);

/* The request becomes this once its handler has returned; outside of its handler's calls, at once:
 * the request is gone then. */
void live_take(struct live *live, struct session_request *request);
void live_start(struct live *live, struct net_conn *conn);
void live_end(struct live *live, enum net_close_reason reason);
void live_destroy(struct live *live); /* NULL allowed; ends all subscriptions */

/* It became known after the start whose it is, or what more a guest may: takes the principal's
 * reference over. */
void live_identify(struct live *live, struct access_principal *principal);

/* Whether it may subscribe to the pattern. */
bool live_may_listen(const struct live *live, struct span pattern);

struct span live_tenant(const struct live *live);

/* The sink's who(). */
void live_who(const struct sink *sink, struct hub_member *ret_member);

/* Why a subscription is refused: a status and a sentence. */
struct live_refusal {
	unsigned status;
	const char *detail;
};

/* Checks and subscribes to all or none. A pattern it has already counts as done. Whether it did;
 * else *ret_refusal. */
bool live_subscribe(struct live *live, const struct span *patterns, size_t count,
    struct live_refusal *ret_refusal);

/* Whether they may all be subscribed to; else *ret_refusal. `ids`: of those that were said by their
 * id; NULL: none was. */
bool live_check_patterns(const struct live *live, const struct span *patterns, const uint64_t *ids,
    size_t count, struct live_refusal *ret_refusal);

/* live_past.c: subscribes to the question's patterns from its point in the past on. The sink's
 * deliver() gets what was and then what is; the tenant is the live's own. */
bool live_catch(struct live *live, const struct hub_question *question,
    struct live_refusal *ret_refusal);

/* Of a pattern: what is to come, and what was still to come of its past. */
void live_unsubscribe(struct live *live, struct span pattern);

/* What a request asks for, of the past or not. */
bool live_listen(struct live *live, const struct session_subscription *subscription,
    struct live_refusal *ret_refusal);

/* For the sink's caught(): how much of the past was answered; nothing of it on an error. A channel
 * that is gone is no error: closed() tells of it, and the rest is asked for again. */
enum live_caught { LIVE_CAUGHT_PART, LIVE_CAUGHT_ALL, LIVE_CAUGHT_NOTHING };
enum live_caught live_caught(struct live *live, const struct hub_caught *caught);
void live_drained(void *ctx);               /* net's drained() */
void live_past_forget(struct live *live);
void live_past_run(struct loop_task *task); /* sessions->pasts_task */

/* Instead of the head that the client waits for: 503, and the end. */
void live_refuse(struct live *live, enum net_close_reason reason);

/* Queues bytes now, copied; a reader too slow to be owed more is dropped. */
void live_send(struct live *live, struct span bytes);

/* Queues a form of a message, by reference where that is cheaper than copying. 0; -EMSGSIZE: there
 * is no room; -EPIPE, -ENOMEM: the connection ends. Leaves room for what is said besides. */
int live_send_form(struct live *live, struct hub_message *message, enum hub_form form,
    uint64_t channels,
    int (*encode)(const struct hub_message *message, uint64_t channels, struct buf *out));

/* live_slow.c */
int live_slow_set(struct live *live, enum hub_slow policy); /* 0 or -ENOMEM */
void live_slow_forget(struct live *live);
void live_slow_drained(struct live *live);

/* A message for a live that is open: sends it, now or later, or does what the policy says. */
void live_deliver(struct live *live, struct hub_message *message, uint64_t channels);

/* What a loop's connections of each kind lie in. */
void live_sse_init(struct session_loop *sessions);
void live_ws_init(struct session_loop *sessions);
void live_poll_init(struct session_loop *sessions);

/* Queues all of a run by reference. false: it does not fit at once, nothing is queued. */
bool live_send_run(struct live *live, struct hub_run *run, enum hub_form form,
    int (*encode)(const struct hub_message *message, uint64_t channels, struct buf *out));

/* live_list.c */
int live_list_init(struct session_loop *sessions); /* 0 or -ENOMEM */
void live_list_finish(struct session_loop *sessions);
void live_list_add(struct live *live);
void live_list_remove(struct live *live); /* harmless when it is in none */
void live_list_each(struct session_loop *sessions, void (*each)(struct live *live, void *ctx),
    void *ctx);

#endif

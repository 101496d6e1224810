/*
 * admin_call.h: one call of administration: a request, its unit of the store, its answer.
 *
 * A call is made on the loop, worked on by a worker where it takes long, applied on the store's
 * thread within a transaction, and answered on the loop. It outlives its request: what is committed
 * is committed, and told to every loop, also when the client has left. All that a call keeps lies
 * in its own memory, which is wiped when it ends, for it may hold tokens and passwords.
 *
 * Whoever finds something wrong, on any thread, says it with admin_call_refuse and returns what
 * that returns; on the store's thread this also undoes what the call did so far.
 */
#ifndef WEIR_ADMIN_CALL_H
#define WEIR_ADMIN_CALL_H

#include "access_may.h"
#include "api_priv.h"
#include "mail.h"
#include "store.h"
#include "workers.h"

struct admin_call;
struct admin_kept;

struct admin_call_ops {
	/* On the store's thread: 0 with `status` and `out` set, or a negative errno. */
	int (*apply)(struct admin_call *call, struct store_tx *tx);
	/* On a worker, before: what takes long. 0 or a negative errno. May be NULL. */
	int (*work)(struct admin_call *call);
	bool hashes; /* work() is for a hasher: a password */
	/* On the store's thread, before that: what the work needs to know. Changes nothing. May be
	 * NULL. */
	int (*find)(struct admin_call *call, struct store_tx *tx);
	/* Of a part, on the loop, when it is over: call->error, call->out. */
	void (*done)(struct admin_call *call);
	/* On the loop, when it is committed and every loop has heard of it, before the answer: true
	 * when something is still to be done, which ends with admin_call_finish. May be NULL. */
	bool (*after)(struct admin_call *call);
	/* What access_may is asked first, about the thing of the call's tenant that {id} in the
	 * path names. Calls that say nothing are for those who govern the node. */
	enum access_what what;
	enum access_verb verb;
	/* It is the caller's own account; or limited persons are not asked that, for apply() asks
	 * admin_call_may about each thing, or lists what is theirs. */
	bool own;
};

struct admin_call {
	struct session_request *request; /* NULL: gone */
	const struct api *api;
	const struct access *access; /* the loop's */
	const struct admin_call_ops *ops;
	struct mailbox *box;
	struct store_unit unit;
	struct mail mail;
	struct job job;
	bool finding;             /* in find() or on the way there or back */
	unsigned awaited;         /* mails to come: the store's, the worker's */
	struct admin_kept *kept;
	struct access_change *change; /* NULL: no loop needs to hear of it */
	size_t size;
	int error;
	bool no_memory;           /* admin_call_keep had none; then nothing is applied */
	struct access_principal *principal;
	struct span tenant;       /* the caller's, or ?tenant= of who governs the node */
	bool elsewhere;           /* a tenant that is not the caller's: it may not be there */
	struct span who, from;    /* for the audit */
	struct span if_match;     /* the header; empty: none */
	int64_t now_ms;
	unsigned status;          /* of the answer */
	uint64_t version;         /* of what is answered, for its ETag; 0: none */
	const char *content_type; /* NULL: JSON */
	struct buf out;           /* empty: no body */
	unsigned retry_after_s;   /* of a refusal: its Retry-After; 0: none said */
	unsigned refused;         /* the problem's status, and the problem */
	char pointer[96], detail[256];
};

/* A zeroed object of `size` bytes that begins with a struct admin_call, for a caller who may make
 * it. NULL: answered. */
void *admin_call_create(struct session_request *request, size_t size,
    const struct admin_call_ops *ops);

/* error 0: submits the call to the store; otherwise answers with what is wrong and ends it. */
void admin_call_run(struct admin_call *call, int error);

/* A call of many units: as many parts as it takes, each with a unit of its own, for the same caller
 * and tenant as `whole`. NULL: memory is out. They are run like others, and end with done(). */
void *admin_call_part(const struct admin_call *whole, size_t size,
    const struct admin_call_ops *ops);

/* Answers for the whole, whose own apply() never comes, and ends it. */
void admin_call_finish(struct admin_call *call, int error);

/* session_route_ops.gone of all routes whose calls these are. */
void admin_call_gone(struct session_request *request, bool broken);

/* Says what is wrong; `pointer` (JSON pointer) may be NULL. Always -ECANCELED. */
int admin_call_refuse(struct admin_call *call, unsigned status, const char *pointer,
    const char *detail_format, ...) __attribute__((format(printf, 4, 5)));

/* 0, or refused: with 404 what the caller may not know of. Of what needs the loop's index (devices
 * of limited persons, of gateways) on the loop only. */
int admin_call_may(struct admin_call *call, enum access_verb verb,
    const struct access_object *object);

/* The number of a limited person, who is shown only what is his; 0: another caller. */
uint64_t admin_call_limited(const struct admin_call *call);

/* Memory that lives as long as the call. NULL: there is none, and the call will say so. */
void *admin_call_alloc(struct admin_call *call, size_t size);
struct span admin_call_keep(struct admin_call *call, struct span bytes);

/* Wipes and frees all of that, as the end of the call does. */
void admin_call_forget(struct admin_call *call);

/* For apply: where to note what it changes in the registry (access_change_*), so that every loop
 * hears of it when it is committed; the answer leaves when all of them have. NULL: memory is out,
 * and the call will say so. */
struct access_change *admin_call_change(struct admin_call *call);

/* An unsigned number from the URL within [min, max]; absent keeps *value. 0, or refused: 400. */
int admin_call_number(struct admin_call *call, const char *name, uint64_t min, uint64_t max,
    uint64_t *value);

/* If-Match against the version of what is to be changed: 0, or refused with 412. */
int admin_call_match(struct admin_call *call, uint64_t version);

/* An entry of the audit in the same transaction. Documents without secrets; empty: none. */
int admin_call_audit(struct admin_call *call, struct store_tx *tx, const char *what,
    struct span object, struct span before, struct span after);

#endif

/*
 * guests.h: who comes to subscribe without credentials of this server may be a user of an
 * application beside it, which is asked (auth.subscribe_url).
 *
 * One per loop; everything is on that loop. The same question is asked once while it is under way,
 * and again only when its answer has grown old. What cannot be answered is refused.
 */
#ifndef WEIR_GUESTS_H
#define WEIR_GUESTS_H

#include <stdint.h>

#include "access.h"
#include "out.h"
#include "session.h"

struct guests;

struct guests_options {
	struct loop *loop;
	struct mailbox *box;
	struct access *access;
	struct out *out;
	/* Texts must outlive the guests. */
	const char *url;
	const char *headers;        /* names of those that are passed on, separated by blanks */
	const char *tenant;         /* whose channels guests listen to */
	unsigned timeout_ms;
	uint64_t cache_ms;          /* how long a permission counts that does not say */
	uint64_t cache_ms_max;      /* whatever the answer says */
	/* The application could not be asked, and why: a piece of a sentence. */
	void (*failed)(void *ctx, const char *why);
	void *ctx;
};

/* 0 or -ENOMEM. */
int guests_create(const struct guests_options *options, struct guests **ret_guests);
void guests_destroy(struct guests *guests); /* NULL ok; no guest is kept, no question under way */

enum guests_result {
	GUESTS_ALLOWED, GUESTS_REFUSED, GUESTS_FAILED, GUESTS_BUSY, GUESTS_RESULT_COUNT
};
const char *guests_result_word(unsigned result);

/* All uint64_t. */
struct guests_stats {
	uint64_t asked;                        /* questions sent */
	uint64_t results[GUESTS_RESULT_COUNT]; /* what subscribers were told */
	uint64_t cached, joined;               /* of these without a question of their own */
};
void guests_stats(const struct guests *guests, struct guests_stats *ret_stats);

/* One guest: what the application will know him by, taken from his request. NULL: memory is out. */
struct guest;
struct guest *guests_keep(struct guests *guests, const struct session_request *request);

/* As session_hooks.guest_ask. The transport is a constant: "poll", "longpoll", "sse" or
 * "websocket". */
void guests_ask(struct guest *guest, const char *transport, const struct span *patterns,
    size_t count, void (*done)(void *ctx, const struct session_verdict *verdict), void *ctx);

void guests_forget(struct guest *guest); /* NULL ok; guarantees silence */

#endif

/*
 * sender.h: a gateway's way to the server: readings gathered into a body, posted until they are
 * acknowledged.
 *
 * A body that failed by a lost connection, a time-out, 429 or 5xx is posted again, the same bytes,
 * with back-off (100 ms doubling to 10 s, less up to a quarter by chance; at least Retry-After)
 * before anything newer is: so what the server acknowledged is always a beginning of what was
 * given. Repetition is harmless: the same reading twice changes nothing. One thread; blocks.
 */
#ifndef WEIR_SENDER_H
#define WEIR_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "env.h"
#include "fleet.h"

enum sender_format { SENDER_JSON, SENDER_LINE };

struct sender;

struct sender_options {
	struct env *env;
	const char *address; /* as http_client.h; copied */
	const char *key;     /* application key; NULL or "": none; copied */
	enum sender_format format;
	int stop_fd; /* as http_client.h */
	/* How long to try: before the first answer of the server ever, and after it; -1: for ever.
	 */
	int64_t first_patience_ms, patience_ms;
	/* Set at the server's first answer; senders of one drive share it. */
	bool *answered;
	/* Told once when the server is lost and once when it is back. May be NULL. */
	void (*note)(void *ctx, bool failed, const char *text);
	void *note_ctx;
};

/* 0, -EINVAL (address, key), -ENOMEM. */
int sender_create(const struct sender_options *options, struct sender **ret_sender);
void sender_destroy(struct sender *sender); /* NULL allowed */

/* Adds a reading to the body. 0 or -ENOMEM. */
int sender_add(struct sender *sender, const struct fleet_reading *reading);

/* Readings added and not yet acknowledged. */
size_t sender_pending(const struct sender *sender);

/* Posts what is pending until it is acknowledged. 0; -ECANCELED: stop_fd; else an error for good
 * (patience over, 401, other refusals) that sender_reason() tells. What is pending stays. */
int sender_flush(struct sender *sender);

/* A sentence about the last failure. Valid until the next call. */
const char *sender_reason(const struct sender *sender);

#endif

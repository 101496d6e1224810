/*
 * poll.h: GET /api/v1/subscribe by polling: what there is at once.
 */
#ifndef WEIR_POLL_H
#define WEIR_POLL_H

#include "api_priv.h"

#define POLL_MESSAGES_MAX 1000
#define POLL_BYTES_MAX (32u << 20)

/* What the state of a request to subscribe begins with. */
struct poll_owner {
	void (*gone)(struct poll_owner *owner); /* the request is over */
};

/* Answers the question, which is copied. Becomes the request's state. */
void poll_start(struct session_request *request, const struct hub_question *question);

#endif

/*
 * live_ws.h: what the two files of the WebSocket session share: frames are live_ws.c's, what is
 * said in them live_ws_json.c's. Within session.
 */
#ifndef WEIR_LIVE_WS_H
#define WEIR_LIVE_WS_H

#include "live.h"
#include "ws.h"

enum live_ws_state {
	LIVE_WS_WAIT,   /* 101 waits until the first subscriptions are in force */
	LIVE_WS_TOKEN,  /* 101 was sent; the first frame must bring the token */
	LIVE_WS_OPEN,
	LIVE_WS_OVER,   /* a close frame was sent */
};

enum {
	LIVE_WS_CODE_DONE = 1000, LIVE_WS_CODE_PROTOCOL = 1002, LIVE_WS_CODE_BINARY = 1003,
	LIVE_WS_CODE_NOT_JSON = 1007, LIVE_WS_CODE_POLICY = 1008, LIVE_WS_CODE_TOO_BIG = 1009,
	LIVE_WS_CODE_FAULT = 1011, LIVE_WS_CODE_DRAIN = 1012, LIVE_WS_CODE_SLOW = 1013,
	LIVE_WS_CODE_EXPIRED = 4401,
};

/* A message that is arriving. */
struct live_ws_input {
	struct ws_frame frame;
	uint64_t got;          /* of the frame's payload */
	bool here;             /* one is */
	bool in_frame;
	bool deflated;
	uint32_t utf8;         /* of what is not compressed */
	struct buf message;
};

/* What is needed only until the connection is open. */
struct live_ws_opening {
	struct session_subscription asked; /* for when the token has come */
	struct span *patterns;
	size_t head_len;
	char head[400];        /* the answer 101 */
	char from[ADDRESSES_TEXT_BYTES]; /* session_peer of the request */
};

struct live_ws_ack;
struct live_ws_errand;

/* What a client that only listens does not need. */
struct live_ws_talk {
	struct live_ws_opening *opening;
	struct live_ws_input input;
	struct live_ws_ack *acks;    /* oldest first: subscriptions to be confirmed */
	struct list errands;         /* of live_ws_errand.link: publishes and lookups under way */
	uint32_t publish_count;
	bool looking;                /* for the names of ids, or the application's word: input
					waits */
	bool unknown;                /* credentials came that were not known */
	void *guest;                 /* the hooks' guest_keep; NULL: not one */
	struct live_ws_errand *asked; /* what he said while the application is asked */
};

struct live_ws {
	struct live live;
	struct live_ws_talk *talk;   /* NULL: all of it is empty; always there until it is open */
	uint32_t rights;             /* what the route needs */
	uint8_t state;               /* enum live_ws_state */
	bool pinged;                 /* and nothing heard since */
	bool deflate;                /* compression was agreed on */
};

static inline struct live_ws *
live_ws_of(struct live *live)
{
	return (struct live_ws *)live; /* its first member */
}

/* live_ws.c */
void live_ws_send_text(struct live_ws *ws, struct span text);

/* The same for a text that is written for this: it is appended to what live_ws_text_begin returns,
 * and live_ws_text_end sends it. Nothing else is sent between. */
struct buf *live_ws_text_begin(struct live_ws *ws);
void live_ws_text_end(struct live_ws *ws);
void live_ws_close(struct live_ws *ws, unsigned code, enum net_close_reason reason,
    const char *text);
void live_ws_opened(struct live_ws *ws); /* the token was good */

/* live_ws_guest.c */

/* Of who was let in by the application, or is not known yet. false: memory is out. */
bool live_ws_keep_guest(struct live_ws *ws, const struct session_request *request);
void live_ws_forget_guest(struct live_ws *ws); /* the application is not asked for him any more */

/* Where what it says is put. NULL: memory is out. It is given back when nothing is in it. */
struct live_ws_talk *live_ws_talk_get(struct live_ws *ws);
void live_ws_talk_trim(struct live_ws *ws);

/* live_ws_json.c */
void live_ws_message(struct live_ws *ws, struct span text);
void live_ws_confirmed(struct live_ws *ws); /* every subscription is in force: acknowledges */
void live_ws_forget(struct live_ws *ws);    /* acknowledgements and publishes under way */

#endif

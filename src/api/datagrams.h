/*
 * datagrams.h: line protocol by UDP: a loop's socket, whose datagrams are judged and appended as
 * bodies of POST /write are, for one application key. Nobody is answered; what is not taken is
 * counted.
 *
 * Each loop has its own; all calls are made on its thread, but for making and ending while it does
 * not run.
 */
#ifndef WEIR_DATAGRAMS_H
#define WEIR_DATAGRAMS_H

#include "api.h"
#include "lineproto.h"

struct datagrams;

/* Why datagrams were not taken. */
enum datagrams_drop {
	DATAGRAMS_FULL,    /* the kernel's buffer was: they came faster than the journal writes */
	DATAGRAMS_KEY,     /* there is no such key, or it may not write */
	DATAGRAMS_LIMIT,   /* the key is over its limits of requests, bytes or readings */
	DATAGRAMS_FAILED,  /* disk full, memory out, or the server ended */
	DATAGRAMS_DROP_COUNT
};

struct datagrams_options {
	const struct api_loop *al;
	int fd;                  /* of socket_bind_datagrams; ends with the datagrams */
	const char *key;         /* access_key_find; must outlive it */
	enum lp_precision precision;
	/* Something an operator should read, at most once in ten seconds of each event: of a line
	 * that was rejected with the peer (else NULL). */
	void (*warn)(void *ctx, const char *event, const char *peer, const char *what);
	void *ctx;
};

struct datagrams_stats {
	uint64_t received, bytes;
	uint64_t accepted, rejected; /* lines */
	uint64_t dropped[DATAGRAMS_DROP_COUNT]; /* datagrams */
};

/* 0 or -ENOMEM: then the socket is still the caller's. */
int datagrams_create(const struct datagrams_options *options, struct datagrams **ret_datagrams);
void datagrams_destroy(struct datagrams *datagrams); /* NULL ok; nothing comes back any more */

void datagrams_start(struct datagrams *datagrams); /* reads from here on. NULL ok */

/* Reads no more. What was read goes on its way: datagrams_waiting until the node has taken it. */
void datagrams_stop(struct datagrams *datagrams);  /* NULL ok */
bool datagrams_waiting(const struct datagrams *datagrams); /* NULL: no */

int datagrams_fd(const struct datagrams *datagrams); /* NULL: -1 */

void datagrams_stats(const struct datagrams *datagrams, struct datagrams_stats *ret_stats);

#endif

/*
 * hub.h: channels: names and patterns, live delivery. First form; issue D completes it.
 *
 * Two halves. The *hub* lives with the sequencer: it knows which loops want which names and
 * patterns, makes each message once and sends it to the loops that want it, in seq order. A
 * *hub_local* lives on each loop: it knows that loop's subscriptions and hands a message to their
 * sinks. A message is immutable and counted; what a transport sends of it is encoded once and kept
 * with it.
 */
#ifndef WEIR_HUB_H
#define WEIR_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "span.h"
#include "thread.h"

/* ── names ── */

#define HUB_NAME_BYTES_MAX 255

/* 0, or -EINVAL with *ret_reason a sentence: UTF-8, 1..255 bytes, no empty level, not all digits,
 * no '+' or '#' in a name; in a pattern '+' fills a level and '#' the last one(s). */
int hub_name_check(struct span name, const char **ret_reason);
int hub_pattern_check(struct span pattern, const char **ret_reason);
bool hub_pattern_is_name(struct span pattern);
bool hub_pattern_matches(struct span pattern, struct span name);

/* Percent-encodes `/ + # %` and controls into a level; an empty part becomes "-". */
int hub_level_encode(struct buf *out, struct span part);

/* ── messages ── */

enum hub_form { HUB_FORM_SSE, HUB_FORM_WS, HUB_FORM_COUNT };

struct hub_message {
	refcount refs;
	uint64_t seq;       /* its id is "m" + decimal */
	int64_t time_ms;
	struct span tenant, channel;
	struct span data;   /* JSON */
	void *forms[HUB_FORM_COUNT]; /* encoded once; see hub_message_form */
};

/* One allocation; copies all. One reference. 0 or -ENOMEM. */
int hub_message_create(uint64_t seq, int64_t time_ms, struct span tenant, struct span channel,
    struct span data, struct hub_message **ret_message);
struct hub_message *hub_message_ref(struct hub_message *message);
void hub_message_unref(struct hub_message *message);

/* Appends {"id":"m7","time":…,"channels":["a"],"data":…}. 0 or -ENOMEM. */
int hub_message_json(const struct hub_message *message, struct buf *out);

/* The bytes of this form, made by `encode` at the first call and kept (any thread; when two make
 * it at once one copy is dropped). 0 or -ENOMEM; *ret_bytes lives as long as the message. */
int hub_message_form(struct hub_message *message, enum hub_form form,
    int (*encode)(const struct hub_message *message, struct buf *out), struct span *ret_bytes);

/* ── a loop's half ── */

struct hub_local;
struct hub_subscription;
struct loop;

/* All that channels know of a receiver. Called on the loop's thread. */
struct sink;
struct sink_ops {
	/* One message, in seq order; must not subscribe, unsubscribe or destroy anything now
	 * (record the fact, act in LOOP_WRITE or LOOP_REAP). */
	void (*deliver)(struct sink *sink, struct hub_message *message);
	/* One subscription is in force: every message with a later seq will be delivered. Called
	 * once for each hub_subscribe that succeeded and was not undone; bound like deliver(). */
	void (*subscribed)(struct sink *sink, uint64_t seq);
};

struct sink {
	const struct sink_ops *ops;
	struct hub_subscription *subscriptions; /* chained, newest first */
	uint64_t seq_last;         /* the last one delivered: a sink sees each message once */
	uint32_t waiting;          /* subscriptions whose subscribed() is still to come */
};

void hub_sink_init(struct sink *sink, const struct sink_ops *ops);

struct hub_hooks {
	/* Tells the sequencer's hub, by mail, that this loop now wants (or no longer wants) a
	 * pattern. A want is answered by hub_local_confirmed(…, token, …) through the loop's
	 * queue; `token` is 0 for the end of a want, which needs no answer. 0 or a negative errno
	 * (a want only: the end of one that could not be told leaves mail that finds nobody). */
	int (*want)(void *ctx, unsigned loop, struct span tenant, struct span pattern, bool wanted,
	    uint64_t token);
};

int hub_local_create(struct loop *loop, const struct hub_hooks *hooks, void *ctx,
    struct hub_local **ret_local);
void hub_local_destroy(struct hub_local *local); /* every sink must have unsubscribed */

/* Subscribes. 0, -ENOMEM, -EINVAL (no pattern), -EEXIST (the sink has it). subscribed() follows,
 * never within the call: when the sequencer has confirmed the pattern or, if this loop has it
 * already, in this turn's LOOP_FLUSH, with the position that the loop's queue has come to. */
int hub_subscribe(struct hub_local *local, struct sink *sink, struct span tenant,
    struct span pattern);
int hub_unsubscribe(struct hub_local *local, struct sink *sink, struct span tenant,
    struct span pattern); /* 0 or -ENOENT */
void hub_unsubscribe_newest(struct hub_local *local, struct sink *sink); /* it must have one */
void hub_unsubscribe_all(struct hub_local *local, struct sink *sink); /* guarantees silence */

/* From the loop's queue, in seq order. hub_local_advance: every entry up to this seq has been taken
 * from the queue, whether or not it was a message for this loop. */
void hub_local_advance(struct hub_local *local, uint64_t seq);
void hub_local_confirmed(struct hub_local *local, uint64_t token, uint64_t seq);

/* Returns how many sinks got it. */
size_t hub_local_deliver(struct hub_local *local, struct hub_message *message);

/* Patterns the sink is subscribed to; pos starts at NULL. false at the end. */
bool hub_sink_next(const struct sink *sink, struct hub_subscription **pos,
    struct span *ret_pattern);

struct hub_stats { uint64_t subscriptions, sinks, delivered; };
void hub_local_stats(const struct hub_local *local, struct hub_stats *ret_stats);

/* ── the sequencer's half ── */

struct hub;

/* 0, -ENOMEM, -EINVAL (no loop, or over 64). */
int hub_create(unsigned loops, struct hub **ret_hub);
void hub_destroy(struct hub *hub);

/* A loop wants, or no longer wants, a pattern. 0, -ENOMEM, -EINVAL (longer than any pattern). */
int hub_want(struct hub *hub, unsigned loop, struct span tenant, struct span pattern, bool wanted);

/* Which loops want this name, as a bit set; 0: nobody, make no message. Cheap when nothing at all
 * is wanted below `readings/` and the like. */
uint64_t hub_wanted(const struct hub *hub, struct span tenant, struct span name);
bool hub_wants_any(const struct hub *hub, struct span tenant, struct span first_level);

#endif

/*
 * hub_local_priv.h: what the two files of a loop's half share: topics, subscriptions, and messages
 * on their way to many.
 */
#ifndef WEIR_HUB_LOCAL_PRIV_H
#define WEIR_HUB_LOCAL_PRIV_H

#include "hub.h"
#include "hub_priv.h"
#include "list.h"
#include "loop.h"
#include "slab.h"

/* More than so many are told in pieces, turn by turn. */
#define HUB_BROADCAST_MIN 256

struct hub_broadcast;

struct topic {
	struct hub_entry entry;
	size_t count;              /* subscriptions */
	size_t silent;             /* of these, not in force yet */
	struct list live, waiting; /* of hub_subscription.link */
	struct list link;
	uint64_t token;            /* of the want that is not confirmed yet; else 0 */
	uint64_t shown;            /* the id of the channel that shows who is there; 0: none */
	struct hub_broadcast *broadcast; /* NULL: everybody has all */
	char text[];
};

/* 48 bytes: there are very many. `from`: messages behind this seq are delivered; SILENT before it
 * is in force, and SILENT | token while a question is to be answered first. */
struct hub_subscription {
	uint64_t from;
	struct list link;
	struct topic *topic;
	struct sink *sink;
	struct hub_subscription *next; /* of the same sink */
};

#define SILENT (UINT64_C(1) << 63)

/* A sink that a message of several channels goes to. */
struct match {
	struct sink *sink;
	uint64_t channels;
};

struct hub_local {
	struct loop *loop;
	const struct hub_hooks *hooks;
	void *ctx;
	struct hub_index topics;
	struct slab subscriptions;
	struct list pending, joining; /* of topic.link; pending in the order of tokens */
	struct list questions;        /* of question.link, in the order of tokens */
	struct match *matches;        /* while a message of several channels is delivered */
	size_t match_count, match_cap;
	struct loop_task settle_task;
	struct list broadcasts;       /* of hub_broadcast.link */
	size_t many_count;            /* topics of more than HUB_BROADCAST_MIN subscriptions */
	struct loop_task broadcast_task;
	uint64_t token_last;
	uint64_t seq;                 /* the queue has been worked off up to here */
	struct hub_stats stats;
};

/* ── hub_broadcast.c ── */

void hub_broadcast_init(struct hub_local *local);
void hub_broadcast_finish(struct hub_local *local); /* no topic is left */

/* Whether what comes for this topic, and for no other, is to be told in pieces. */
bool hub_broadcast_wanted(const struct topic *topic);

/* Messages in the order of their seqs. 0; -ENOMEM: nothing was taken. */
int hub_broadcast_add(struct hub_local *local, struct topic *topic,
    struct hub_message *const *messages, size_t count);

/* What is on its way to a sink is there, for something later follows. Cheap when nothing is. */
void hub_broadcast_serve(struct hub_local *local, struct sink *sink);

/* All have all that is on its way to them: now. */
void hub_broadcast_complete(struct hub_local *local, struct topic *topic);

/* Nobody is left. */
void hub_broadcast_drop(struct topic *topic);

#endif

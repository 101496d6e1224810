/*
 * loop_priv.h: what the files of a loop share: how a sender wakes the thread that sleeps, the
 * mailboxes that a loop delivers in its turn, and its permit to work.
 */
#ifndef WEIR_LOOP_PRIV_H
#define WEIR_LOOP_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>

#include "list.h"
#include "loop.h"
#include "mail.h"

/* One sleeper. He says that he sleeps, looks once more for work, then sleeps; who makes work looks
 * after that whether he sleeps. All four are sequentially consistent, so one sees the other. */
struct loop_waker {
	atomic_uint asleep; /* 1: he may be */
	int fd;             /* an eventfd; -1: he waits for `asleep` to change, as a futex */
};

/* Any thread: wakes the sleeper if he may sleep. */
void loop_waker_wake(struct loop_waker *waker);

/* What a loop knows of its mailboxes. */
struct loop_box {
	struct list link;
	struct mailbox *box;
};

/* Returns the waker that the box's senders are to use. */
struct loop_waker *loop_add_box(struct loop *loop, struct loop_box *box);
void loop_remove_box(struct loop_box *box);

/* A loop's permit to work in pieces (permits.c). */
enum permit_state { PERMIT_NONE, PERMIT_ASKED, PERMIT_GIVEN };

struct permit {
	struct permits *permits;   /* NULL: none is needed */
	struct loop_waker *waker;
	struct list link;          /* in permits.waiting while ASKED */
	atomic_int state;          /* becomes GIVEN by another thread */
	unsigned pieces;           /* done since it was given */
};

void permits_attach(struct permit *permit, struct permits *permits, struct loop_waker *waker);

/* Before each piece: whether it may be done now. If not, the sleeper is woken when it may. */
bool permits_use(struct permit *permit);

/* There is nothing left to do. Harmless when it has none. */
void permits_return(struct permit *permit);

static inline enum permit_state
permit_state(const struct permit *permit)
{
	return (enum permit_state)atomic_load(&permit->state);
}

/* Whether a mail can be taken now. A mail whose sender has not finished is not counted: its sender
 * wakes the loop when he has. */
bool mailbox_ready(struct mailbox *box);

#endif

/*
 * loop_priv.h: what mail.c and loop.c share: how a sender wakes the thread that sleeps, and the
 * mailboxes that a loop delivers in its turn.
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

/* Whether a mail can be taken now. A mail whose sender has not finished is not counted: its sender
 * wakes the loop when he has. */
bool mailbox_ready(struct mailbox *box);

#endif

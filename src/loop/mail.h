/*
 * mail.h: what threads send each other: intrusive messages through a lock-free queue.
 *
 * Many senders, one receiver, first in first out per sender and, between senders, in the order in
 * which sends completed: a mail sent after another thread was seen to act on an earlier mail
 * arrives after it. Sending wakes the receiver only when it may be asleep: a loop through its
 * eventfd, another thread by a futex, which needs no descriptor.
 * Source of the queue: D. Vyukov, intrusive MPSC node-based queue.
 *
 * Bounds: a mailbox counts what waits in it; who makes mail bounds what he has under way (the
 * intake's bytes, the query's credit, a subscriber's queue) and says what happens at the bound.
 */
#ifndef WEIR_MAIL_H
#define WEIR_MAIL_H

#include <stdatomic.h>
#include <stddef.h>

#include "loop.h"

struct mail {
	_Atomic(struct mail *) next;
	void (*deliver)(struct mail *mail); /* on the receiver's thread; owns mail from here on */
};

struct mailbox;

/* A mailbox whose mail is delivered in the turn of `loop`. 0, -ENOMEM, -EMFILE. Each loop may have
 * several; the server gives each loop exactly one so that there is one order. */
int mailbox_create(struct loop *loop, struct mailbox **ret_box);

/* A mailbox for a thread that is no loop: it calls mailbox_wait. 0 or -ENOMEM. */
int mailbox_create_blocking(struct mailbox **ret_box);

/* NULL allowed. Every mail must have been delivered and every sender have returned. */
void mailbox_destroy(struct mailbox *box);

/* Any thread. Never fails, never blocks. */
void mailbox_send(struct mailbox *box, struct mail *mail);

/* Owner. Delivers what waits, at most `max`; the number delivered. */
size_t mailbox_deliver(struct mailbox *box, size_t max);

/* Owner of a blocking mailbox: sleeps until there is mail or `timeout_ms` (-1: none) passed.
 * May return early without mail, as a condition variable may. */
void mailbox_wait(struct mailbox *box, int timeout_ms);

/* Any thread: about how many wait. For metrics and bounds. */
size_t mailbox_count(const struct mailbox *box);

#endif

/*
 * mailbox.c: an intrusive queue of many senders and one receiver, and the receiver's sleep.
 *
 * Why it exists: threads share nothing but immutable objects; this is how they hand them over.
 *
 * The queue is a list from `tail` (the receiver's end) to `head` (the senders'), with one stub in
 * it so that it is never empty:
 *
 *     tail ─► mail ─► mail ─► … ◄─ head
 *
 * A sender exchanges `head` for his mail and then links the one before to it. The exchange is what
 * orders mails. Between the two steps the list is cut before his mail: the receiver takes nothing
 * beyond the cut (nor the mail just before it, which is still to be written to), may go to sleep,
 * and is woken by that sender, who looks for sleepers only after linking. So a sender who is
 * interrupted there delays what is behind him but reorders and loses nothing, and nobody spins.
 *
 * Source: D. Vyukov, intrusive MPSC node-based queue.
 */
#include "mail.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "loop_priv.h"

enum { CACHE_LINE = 64 };

struct mailbox {
	/* The senders'. */
	_Alignas(CACHE_LINE) _Atomic(struct mail *) head;
	atomic_size_t count; /* beside head: the sender has that line already */

	/* The receiver's, but for what does not change. */
	_Alignas(CACHE_LINE) struct mail *tail;
	struct loop_waker *waker;
	struct loop_box in_loop;
	bool blocking;
	struct loop_waker own_waker; /* of a blocking box */
	struct mail stub;
};

static struct mailbox *
box_alloc(void)
{
	struct mailbox *box = aligned_alloc(CACHE_LINE, sizeof(*box));
	if (!box)
		return NULL;
	*box = (struct mailbox){.tail = &box->stub, .own_waker.fd = -1};
	atomic_init(&box->own_waker.asleep, false);
	atomic_init(&box->stub.next, NULL);
	atomic_init(&box->head, &box->stub);
	atomic_init(&box->count, 0);
	return box;
}

int
mailbox_create(struct loop *loop, struct mailbox **ret_box)
{
	struct mailbox *box = box_alloc();
	if (!box)
		return -ENOMEM;
	box->in_loop.box = box;
	box->waker = loop_add_box(loop, &box->in_loop);
	*ret_box = box;
	return 0;
}

int
mailbox_create_blocking(struct mailbox **ret_box)
{
	struct mailbox *box = box_alloc();
	if (!box)
		return -ENOMEM;
	box->blocking = true;
	box->waker = &box->own_waker;
	*ret_box = box;
	return 0;
}

void
mailbox_destroy(struct mailbox *box)
{
	if (!box)
		return;
	check(atomic_load(&box->count) == 0);
	if (!box->blocking)
		loop_remove_box(&box->in_loop);
	free(box);
}

static void
push(struct mailbox *box, struct mail *mail)
{
	atomic_store_explicit(&mail->next, NULL, memory_order_relaxed);
	struct mail *before = atomic_exchange(&box->head, mail);
	/* Not just a release: whether the receiver sleeps must be read after it. */
	atomic_store(&before->next, mail);
}

void
mailbox_send(struct mailbox *box, struct mail *mail)
{
	atomic_fetch_add_explicit(&box->count, 1, memory_order_relaxed);
	push(box, mail);
	loop_waker_wake(box->waker);
}

/* Moves the tail past the stub, if there is something behind it. */
static void
skip_stub(struct mailbox *box)
{
	if (box->tail == &box->stub) {
		struct mail *next = atomic_load(&box->stub.next);
		if (next)
			box->tail = next;
	}
}

bool
mailbox_ready(struct mailbox *box)
{
	skip_stub(box);
	if (box->tail == &box->stub)
		return false;
	return atomic_load(&box->tail->next) || atomic_load(&box->head) == box->tail;
}

static struct mail *
take(struct mailbox *box)
{
	skip_stub(box);
	struct mail *mail = box->tail;
	if (mail == &box->stub)
		return NULL;
	struct mail *next = atomic_load_explicit(&mail->next, memory_order_acquire);
	if (!next) {
		/* The last one: the stub goes behind it, so that it can leave. */
		if (atomic_load(&box->head) != mail)
			return NULL;
		push(box, &box->stub);
		next = atomic_load_explicit(&mail->next, memory_order_acquire);
		if (!next)
			return NULL;
	}
	box->tail = next;
	return mail;
}

size_t
mailbox_deliver(struct mailbox *box, size_t max)
{
	size_t delivered = 0;
	struct mail *mail;

	while (delivered < max && (mail = take(box))) {
		delivered++;
		atomic_fetch_sub_explicit(&box->count, 1, memory_order_relaxed);
		mail->deliver(mail);
	}
	return delivered;
}

void
mailbox_wait(struct mailbox *box, int timeout_ms)
{
	check(box->blocking);
	atomic_store(&box->waker->asleep, true);
	if (!mailbox_ready(box)) {
		struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
		/* Returns at once when it was woken meanwhile: then asleep is not 1 any more. */
		syscall(SYS_futex, &box->waker->asleep, FUTEX_WAIT_PRIVATE, 1,
		    timeout_ms < 0 ? NULL : &timeout, NULL, 0);
	}
	atomic_store(&box->waker->asleep, false);
}

size_t
mailbox_count(const struct mailbox *box)
{
	return atomic_load_explicit(&box->count, memory_order_relaxed);
}

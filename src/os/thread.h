/*
 * thread.h: threads with names, and the reference count that lets immutable objects cross them.
 *
 * Between threads go only immutable objects and mail (loop/mail.h); these counts, the mail's
 * indices and the locks of the job queue and the permits are all the synchronisation there is.
 */
#ifndef WEIR_THREAD_H
#define WEIR_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Starts a joinable thread with all signals blocked. `name` at most 15 bytes. 0 or -errno. */
int thread_start(pthread_t *ret_thread, const char *name, void (*run)(void *ctx), void *ctx);
void thread_join(pthread_t thread);

/* The calling thread would rather run soon after it is woken than long at a stretch. A hint, which
 * Linux takes since 6.12; priorities stay as they are. */
void thread_be_prompt(void);

/* No longer: it has much to do, and those that are prompt go first. */
void thread_be_steady(void);

/* The number of processors this process may use; at least 1. */
unsigned thread_cpu_count(void);

typedef atomic_uint refcount;

static inline void
refcount_init(refcount *count)
{
	atomic_init(count, 1);
}

static inline void
refcount_up(refcount *count)
{
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

/* Whether this was the last one: the caller destroys the object. */
static inline bool
refcount_down(refcount *count)
{
	/* Not a release with a fence for the last one: TSan does not know fences. */
	return atomic_fetch_sub_explicit(count, 1, memory_order_acq_rel) == 1;
}

#endif

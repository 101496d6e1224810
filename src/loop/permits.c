/*
 * permits.c: permits to work, handed from loop to loop in the order in which they were asked for.
 *
 * Invariants: a permit is free, or one loop has it; none is free while somebody waits. What is
 * waited for is given, and the sleeper woken, under the lock: so who leaves under it finds itself
 * either in the list or given one.
 */
#include "permits.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "loop_priv.h"

enum { PIECES_MAX = 32 }; /* while others wait */

struct permits {
	pthread_mutex_t lock;
	unsigned free;
	struct list waiting;         /* of permit.link, who has waited longest first */
	atomic_size_t waiting_count; /* changed under the lock */
};

int
permits_create(unsigned count, struct permits **ret_permits)
{
	struct permits *permits = calloc(1, sizeof(*permits));
	check(count > 0);
	if (!permits)
		return -ENOMEM;
	pthread_mutex_init(&permits->lock, NULL);
	permits->free = count;
	list_init(&permits->waiting);
	atomic_init(&permits->waiting_count, 0);
	*ret_permits = permits;
	return 0;
}

void
permits_destroy(struct permits *permits)
{
	if (!permits)
		return;
	check(list_empty(&permits->waiting));
	pthread_mutex_destroy(&permits->lock);
	free(permits);
}

void
permits_attach(struct permit *permit, struct permits *permits, struct loop_waker *waker)
{
	*permit = (struct permit){.permits = permits, .waker = waker};
	list_init(&permit->link);
	atomic_init(&permit->state, PERMIT_NONE);
}

/* Under the lock. */
static void
give_one(struct permits *permits)
{
	if (list_empty(&permits->waiting)) {
		permits->free++;
		return;
	}
	struct permit *next = CONTAINER_OF(permits->waiting.next, struct permit, link);
	list_remove(&next->link);
	atomic_fetch_sub(&permits->waiting_count, 1);
	next->pieces = 0;
	atomic_store(&next->state, PERMIT_GIVEN);
	loop_waker_wake(next->waker);
}

/* Under the lock. */
static void
ask_one(struct permits *permits, struct permit *permit)
{
	if (permits->free) {
		permits->free--;
		permit->pieces = 0;
		atomic_store(&permit->state, PERMIT_GIVEN);
		return;
	}
	atomic_store(&permit->state, PERMIT_ASKED);
	list_push_back(&permits->waiting, &permit->link);
	atomic_fetch_add(&permits->waiting_count, 1);
}

bool
permits_use(struct permit *permit)
{
	struct permits *permits = permit->permits;
	enum permit_state state = permit_state(permit);
	bool over = state == PERMIT_GIVEN && permit->pieces >= PIECES_MAX &&
	    atomic_load_explicit(&permits->waiting_count, memory_order_relaxed);
	if (state == PERMIT_NONE || over) {
		pthread_mutex_lock(&permits->lock);
		if (over)
			give_one(permits);
		ask_one(permits, permit);
		pthread_mutex_unlock(&permits->lock);
		state = permit_state(permit);
	}
	if (state != PERMIT_GIVEN)
		return false;
	permit->pieces++;
	return true;
}

void
permits_return(struct permit *permit)
{
	struct permits *permits = permit->permits;
	if (!permits || permit_state(permit) == PERMIT_NONE)
		return;
	pthread_mutex_lock(&permits->lock);
	if (permit_state(permit) == PERMIT_GIVEN) {
		give_one(permits);
	} else {
		list_remove(&permit->link);
		atomic_fetch_sub(&permits->waiting_count, 1);
	}
	atomic_store(&permit->state, PERMIT_NONE);
	pthread_mutex_unlock(&permits->lock);
}

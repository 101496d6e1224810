/*
 * loop.c: the turn: wait, ready descriptors, mail, timers, phases.
 *
 * Why it exists: everything a server does happens in batches and in one order, so that work of
 * many connections shares one journal commit and what one connection is owed shares one write.
 *
 * Invariants:
 * - an io that was removed hears nothing more: its events that are fetched but not yet told are
 *   struck from the array, so neither its memory nor a reused descriptor number matters;
 * - a task is in at most one list; the list of a phase is taken whole when the phase begins, so a
 *   task queued into its own phase runs in the next turn and a phase always ends;
 * - a timer set while timers fire is due in a later turn, so firing always ends;
 * - before sleeping the loop says so (`asleep`) and then looks for mail; see loop_priv.h;
 * - what is a loop's is touched by one thread at a time: its own, or while it sleeps the one that
 *   borrowed it; who is being woken is lent no more, so it waits for one borrower at most.
 */
#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "loop_priv.h"
#include "thread.h"

enum {
	EVENTS_MAX = 256,     /* descriptors told in a turn */
	MAIL_TURN_MAX = 1024, /* mails delivered in a turn, a mailbox */
};

/* Whose a loop is. LOOP_AWAITED: lent, and its own thread sleeps until it is given back. */
enum loop_holder { LOOP_OWN, LOOP_FREE, LOOP_LENT, LOOP_AWAITED };

struct loop {
	struct env *env;
	unsigned index;
	int epoll_fd;
	struct loop_waker waker;
	atomic_uint holder; /* enum loop_holder; LOOP_FREE: it sleeps */
	uint64_t lent_until_ms; /* its first timer when it was borrowed */
	atomic_bool stopping;

	uint64_t mono_ms;
	int64_t now_ms;

	struct heap timers;
	bool firing;

	struct list phases[LOOP_PHASE_COUNT];
	struct list boxes;

	struct permit permit; /* for LOOP_WORK */
	bool steady;          /* its thread is */

	struct loop_task *later; /* NULL: none */
	enum loop_phase later_phase;
	uint64_t later_ns;

	int event_count, event_next; /* events[event_next .. event_count) are not yet told */
	struct epoll_event events[EVENTS_MAX];
};

static void
ring(struct loop_waker *waker)
{
	uint64_t one = 1;
	if (waker->fd < 0) {
		syscall(SYS_futex, &waker->asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		return;
	}
	/* Fails only when the counter is full, and then the sleeper is being woken already. */
	ssize_t written = write(waker->fd, &one, sizeof(one));
	(void)written;
}

void
loop_waker_wake(struct loop_waker *waker)
{
	if (atomic_load(&waker->asleep) && atomic_exchange(&waker->asleep, false))
		ring(waker);
}

struct loop_waker *
loop_add_box(struct loop *loop, struct loop_box *box)
{
	list_push_back(&loop->boxes, &box->link);
	return &loop->waker;
}

void
loop_remove_box(struct loop_box *box)
{
	list_remove(&box->link);
}

static void
read_clocks(struct loop *loop)
{
	loop->mono_ms = env_mono_ns(loop->env) / 1000000;
	loop->now_ms = env_now_ms(loop->env);
}

int
loop_create(struct env *env, unsigned index, struct loop **ret_loop)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	loop->env = env;
	loop->index = index;
	loop->epoll_fd = loop->waker.fd = -1;
	atomic_init(&loop->stopping, false);
	atomic_init(&loop->waker.asleep, false);
	atomic_init(&loop->holder, LOOP_OWN);
	permits_attach(&loop->permit, NULL, &loop->waker);
	heap_init(&loop->timers);
	list_init(&loop->boxes);
	for (int phase = 0; phase < LOOP_PHASE_COUNT; phase++)
		list_init(&loop->phases[phase]);

	int error = 0;
	loop->waker.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->waker.fd < 0 || loop->epoll_fd < 0) {
		error = -errno;
		goto fail;
	}
	/* Edge-triggered: each write to the eventfd is told once and it need never be read. */
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->waker.fd, &event) < 0) {
		error = -errno;
		goto fail;
	}
	read_clocks(loop);
	*ret_loop = loop;
	return 0;

fail:
	loop_destroy(loop);
	return error;
}

void
loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	check(list_empty(&loop->boxes));
	check(heap_min(&loop->timers) == NULL);
	for (int phase = 0; phase < LOOP_PHASE_COUNT; phase++)
		check(list_empty(&loop->phases[phase]));
	permits_return(&loop->permit);
	heap_finish(&loop->timers);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->waker.fd >= 0)
		close(loop->waker.fd);
	free(loop);
}

void
loop_set_permits(struct loop *loop, struct permits *permits)
{
	permits_attach(&loop->permit, permits, &loop->waker);
}

unsigned
loop_index(const struct loop *loop)
{
	return loop->index;
}

struct env *
loop_env(const struct loop *loop)
{
	return loop->env;
}

int
loop_wait_fd(const struct loop *loop)
{
	return loop->epoll_fd;
}

int
loop_wake_fd(const struct loop *loop)
{
	return loop->waker.fd;
}

uint64_t
loop_mono_ms(const struct loop *loop)
{
	return loop->mono_ms;
}

int64_t
loop_now_ms(const struct loop *loop)
{
	return loop->now_ms;
}

void
loop_stop(struct loop *loop)
{
	int saved_errno = errno; /* a signal handler must leave it alone */
	atomic_store(&loop->stopping, true);
	ring(&loop->waker);
	errno = saved_errno;
}

/* ── descriptors ── */

static void
strike_events(struct loop *loop, const struct loop_io *io)
{
	for (int i = loop->event_next; i < loop->event_count; i++)
		if (loop->events[i].data.ptr == io)
			loop->events[i].data.ptr = NULL;
}

int
loop_watch(struct loop *loop, struct loop_io *io, uint32_t events)
{
	if (events == io->events)
		return 0;
	int operation = EPOLL_CTL_MOD;
	if (events == 0) {
		operation = EPOLL_CTL_DEL;
		io->events = 0;
		strike_events(loop, io);
	} else if (io->events == 0) {
		operation = EPOLL_CTL_ADD;
	}
	struct epoll_event event = {.events = events, .data.ptr = io};
	if (epoll_ctl(loop->epoll_fd, operation, io->fd, &event) < 0)
		return -errno;
	io->events = events;
	return 0;
}

static void
tell_events(struct loop *loop)
{
	while (loop->event_next < loop->event_count) {
		struct epoll_event *event = &loop->events[loop->event_next++];
		struct loop_io *io = event->data.ptr;
		if (!io)
			continue;
		/* What is watched may have changed since the events were fetched. */
		uint32_t events = event->events & (io->events | EPOLLERR | EPOLLHUP);
		if (events)
			io->ready(io, events);
	}
}

/* ── timers ── */

int
loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ms)
{
	if (loop->firing)
		at_ms = MAX(at_ms, loop->mono_ms + 1);
	if (timer->node.index == 0)
		return heap_add(&loop->timers, &timer->node, at_ms);
	heap_rekey(&loop->timers, &timer->node, at_ms);
	return 0;
}

void
loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	if (timer->node.index != 0)
		heap_remove(&loop->timers, &timer->node);
}

static void
fire_timers(struct loop *loop)
{
	struct heap_node *node;

	loop->firing = true;
	while ((node = heap_min(&loop->timers)) && node->key <= loop->mono_ms) {
		struct loop_timer *timer = CONTAINER_OF(node, struct loop_timer, node);
		heap_remove(&loop->timers, node);
		timer->fire(timer);
	}
	loop->firing = false;
}

/* How long until the first timer, rounded up so that it is due when the wait ends; -1: none. */
static int
timer_wait_ms(struct loop *loop)
{
	const struct heap_node *node = heap_min(&loop->timers);
	if (!node || node->key == UINT64_MAX)
		return -1;
	/* Not the turn's clock: the turn has taken time. */
	uint64_t now_ns = env_mono_ns(loop->env);
	if (node->key <= now_ns / 1000000)
		return 0;
	uint64_t wait_ms = node->key - now_ns / 1000000;
	return (int)MIN(wait_ms, (uint64_t)INT_MAX);
}

/* ── phases ── */

void
loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task))
{
	list_init(&task->link);
	task->run = run;
	task->queued = false;
}

void
loop_task_queue(struct loop *loop, enum loop_phase phase, struct loop_task *task)
{
	if (task->queued)
		return;
	task->queued = true;
	list_push_back(&loop->phases[phase], &task->link);
}

void
loop_task_cancel(struct loop_task *task)
{
	list_remove(&task->link);
	task->queued = false;
}

static void
run_phase(struct list *tasks)
{
	struct list running;

	list_init(&running);
	if (list_empty(tasks))
		return;
	/* The new head takes the old one's place in the ring. */
	list_push_back(tasks, &running);
	list_remove(tasks);
	while (!list_empty(&running)) {
		struct loop_task *task = CONTAINER_OF(running.next, struct loop_task, link);
		list_remove(&task->link);
		task->queued = false;
		task->run(task);
	}
}

void
loop_task_later(struct loop *loop, enum loop_phase phase, struct loop_task *task, uint64_t at_ns)
{
	loop->later = task;
	loop->later_phase = phase;
	loop->later_ns = at_ns;
}

static void
queue_later(struct loop *loop)
{
	struct loop_task *task = loop->later;
	if (!task || (loop->later_ns && env_mono_ns(loop->env) < loop->later_ns))
		return;
	loop->later = NULL;
	loop_task_queue(loop, loop->later_phase, task);
}

/* While it works in pieces, threads that are prompt go first, other loops among them. */
static void
be_steady(struct loop *loop, bool steady)
{
	if (loop->steady == steady)
		return;
	loop->steady = steady;
	if (steady)
		thread_be_steady();
	else
		thread_be_prompt();
}

/* Work in pieces, with a permit. */
static void
run_work(struct loop *loop)
{
	struct list *tasks = &loop->phases[LOOP_WORK];
	if (loop->permit.permits && !list_empty(tasks)) {
		bool may = permits_use(&loop->permit);
		be_steady(loop, may);
		if (!may)
			return;
	}
	run_phase(tasks);
	if (list_empty(tasks)) {
		permits_return(&loop->permit);
		be_steady(loop, false);
	}
}

/* ── the turn ── */

/* Whether there is something that can be done now, if only to return a permit. */
static bool
has_work(const struct loop *loop)
{
	enum permit_state permit = permit_state(&loop->permit);
	for (int phase = 0; phase < LOOP_PHASE_COUNT; phase++)
		if (!list_empty(&loop->phases[phase]) &&
		    (phase != LOOP_WORK || permit != PERMIT_ASKED))
			return true;
	return permit == PERMIT_GIVEN;
}

static bool
has_mail(const struct loop *loop)
{
	LIST_FOREACH (link, &loop->boxes)
		if (mailbox_ready(CONTAINER_OF(link, struct loop_box, link)->box))
			return true;
	return false;
}

/* ── in another one's stead ── */

static uint64_t
first_timer_ms(const struct loop *loop)
{
	const struct heap_node *node = heap_min(&loop->timers);
	return node ? node->key : UINT64_MAX;
}

static bool
is_mailed(const struct loop *loop)
{
	LIST_FOREACH (link, &loop->boxes)
		if (mailbox_count(CONTAINER_OF(link, struct loop_box, link)->box))
			return true;
	return false;
}

/* By who has it. */
static void
free_loop(struct loop *loop)
{
	if (atomic_exchange(&loop->holder, LOOP_FREE) == LOOP_AWAITED)
		syscall(SYS_futex, &loop->holder, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

bool
loop_borrow(struct loop *loop)
{
	unsigned free = LOOP_FREE;
	if (!atomic_load(&loop->waker.asleep) ||
	    !atomic_compare_exchange_strong(&loop->holder, &free, LOOP_LENT))
		return false;
	/* Mail that is not quite sent counts, too. */
	if (!atomic_load(&loop->waker.asleep) || is_mailed(loop)) {
		free_loop(loop);
		return false;
	}
	loop->lent_until_ms = first_timer_ms(loop);
	read_clocks(loop);
	return true;
}

void
loop_give_back(struct loop *loop)
{
	bool wake = has_work(loop) || loop->later || first_timer_ms(loop) < loop->lent_until_ms;
	free_loop(loop);
	if (wake)
		loop_waker_wake(&loop->waker);
}

/* The loop's own thread, which is awake. */
static void
take_back(struct loop *loop)
{
	unsigned holder = LOOP_FREE;
	if (atomic_load(&loop->holder) == LOOP_OWN)
		return;
	while (!atomic_compare_exchange_strong(&loop->holder, &holder, LOOP_OWN)) {
		if (holder == LOOP_AWAITED ||
		    atomic_compare_exchange_strong(&loop->holder, &holder, LOOP_AWAITED))
			syscall(SYS_futex, &loop->holder, FUTEX_WAIT_PRIVATE, LOOP_AWAITED, NULL,
			    NULL, 0);
		holder = LOOP_FREE;
	}
}

/* Waits until the later task is due, at most `wait_ms` (below 0: however long). */
static int
wait_for_later(struct loop *loop, int wait_ms)
{
	uint64_t now_ns = env_mono_ns(loop->env);
	uint64_t wait_ns = loop->later_ns > now_ns ? loop->later_ns - now_ns : 0;
	if (wait_ms > 0)
		wait_ns = MIN(wait_ns, (uint64_t)wait_ms * 1000000);
	struct timespec wait = {
		.tv_sec = (time_t)(wait_ns / 1000000000), .tv_nsec = (long)(wait_ns % 1000000000),
	};
	int count = epoll_pwait2(loop->epoll_fd, loop->events, EVENTS_MAX, &wait, NULL);
	/* A clock that stands still has not the last word. */
	if (count == 0 && now_ns + wait_ns >= loop->later_ns)
		loop->later_ns = 0;
	return count;
}

static void
wait_events(struct loop *loop, int wait_ms)
{
	if (wait_ms != 0 && has_work(loop)) {
		wait_ms = 0;
		/* Work in pieces is for later; who waits for this processor is not to. */
		if (!list_empty(&loop->phases[LOOP_WORK]))
			sched_yield();
	}
	if (wait_ms != 0) {
		int timer_ms = timer_wait_ms(loop);
		if (timer_ms >= 0 && (wait_ms < 0 || timer_ms < wait_ms))
			wait_ms = timer_ms;
	}
	bool sleeping = wait_ms != 0;
	if (sleeping) {
		atomic_store(&loop->waker.asleep, true);
		if (has_mail(loop) || has_work(loop))
			wait_ms = 0;
		/* Who waits for something so fine would have to look at it meanwhile. */
		if (!loop->later)
			atomic_store(&loop->holder, LOOP_FREE);
	}
	int count = wait_ms != 0 && loop->later ? wait_for_later(loop, wait_ms) :
	    epoll_wait(loop->epoll_fd, loop->events, EVENTS_MAX, wait_ms);
	check(count >= 0 || errno == EINTR);
	if (sleeping) {
		atomic_store(&loop->waker.asleep, false);
		take_back(loop);
	}
	loop->event_next = 0;
	loop->event_count = MAX(count, 0);
}

static void
deliver_mail(struct loop *loop)
{
	LIST_FOREACH_SAFE (link, after, &loop->boxes)
		mailbox_deliver(CONTAINER_OF(link, struct loop_box, link)->box, MAIL_TURN_MAX);
}

void
loop_turn(struct loop *loop, int wait_ms)
{
	wait_events(loop, wait_ms);
	read_clocks(loop);
	tell_events(loop);
	deliver_mail(loop);
	fire_timers(loop);
	queue_later(loop);
	for (int phase = 0; phase < LOOP_PHASE_COUNT; phase++)
		phase == LOOP_WORK ? run_work(loop) : run_phase(&loop->phases[phase]);
}

void
loop_run(struct loop *loop)
{
	do
		loop_turn(loop, -1);
	while (!atomic_exchange(&loop->stopping, false));
	permits_return(&loop->permit);
}

/*
 * loop.h: one event loop: readiness, timers, phases of a turn, wake-ups.
 *
 * A loop belongs to the thread that runs it; every function is called on that thread unless said
 * otherwise. The turn (style.md 12): wait → ready descriptors → mail → timers → the phases in
 * their order (append, flush, bounded work, write, reap) → again. Callbacks of descriptors and
 * mail record facts; phases do work in batches.
 */
#ifndef WEIR_LOOP_H
#define WEIR_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "heap.h"
#include "list.h"

struct loop;
struct mail;
struct permits;

/* 0, -ENOMEM, -EMFILE … `index` is the loop's number in its server, from 0. */
int loop_create(struct env *env, unsigned index, struct loop **ret_loop);
void loop_destroy(struct loop *loop); /* NULL allowed; everything must have been removed */

unsigned loop_index(const struct loop *loop);

/* The world it was made in. */
struct env *loop_env(const struct loop *loop);

/* Its descriptors, for a thread that is to have its own table of them (process_own_files): the one
 * that it waits with, and the one that others wake it through. */
int loop_wait_fd(const struct loop *loop);
int loop_wake_fd(const struct loop *loop);

/* Before it runs: LOOP_WORK is done with one of these permits (permits.h), which outlive the loop.
 * Without, at any time. */
void loop_set_permits(struct loop *loop, struct permits *permits);

/* Runs turns until loop_stop. */
void loop_run(struct loop *loop);

/* Any thread, and signal handlers: the loop returns from loop_run after the current turn. */
void loop_stop(struct loop *loop);

/* One turn that waits at most `wait_ms` (-1: until something happens). For tests. */
void loop_turn(struct loop *loop, int wait_ms);

/* The clocks as of this turn's beginning: cheap, the same for the whole turn. */
uint64_t loop_mono_ms(const struct loop *loop);
int64_t loop_now_ms(const struct loop *loop);

/* ── descriptors (epoll, level-triggered unless EPOLLET is in events) ── */

struct loop_io {
	void (*ready)(struct loop_io *io, uint32_t events); /* EPOLLIN, EPOLLOUT … */
	int fd;
	uint32_t events; /* what is watched; 0: not added */
};

/* Adds, changes or (events == 0) removes. 0 or -errno. `io` must outlive its watch; an io removed
 * in the middle of a turn hears nothing more. */
int loop_watch(struct loop *loop, struct loop_io *io, uint32_t events);

/* ── in another one's stead ── */

/* Any thread: whether this loop sleeps and has no mail, and is the caller's until loop_give_back,
 * which follows soon. Meanwhile its tasks and timers may be set and its clocks read, which are of
 * now, as on its thread, and what belongs to that thread be touched, but for descriptors; when it
 * wakes up it waits. Whatever the caller mailed to it before is done. */
bool loop_borrow(struct loop *loop);

/* Wakes it where a task, or an earlier timer, is there that was not before. */
void loop_give_back(struct loop *loop);

/* ── timers ── */

struct loop_timer {
	struct heap_node node;
	void (*fire)(struct loop_timer *timer);
};

/* Fires once, at the first turn at or after loop_mono_ms() == at_ms. Setting again moves it,
 * which cannot fail; UINT64_MAX: never, but its place is kept. Set while timers fire, it fires in a
 * later turn. 0 or -ENOMEM. */
int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ms);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer); /* guarantees silence */

/* ── phases ── */

enum loop_phase { LOOP_APPEND, LOOP_FLUSH, LOOP_WORK, LOOP_WRITE, LOOP_REAP, LOOP_PHASE_COUNT };

struct loop_task {
	struct list link;
	void (*run)(struct loop_task *task);
	bool queued;
};

void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task));

/* Runs the task once in this turn's `phase` if that has not begun yet, else in the next turn's,
 * which then does not wait. A task already queued stays where it is. */
void loop_task_queue(struct loop *loop, enum loop_phase phase, struct loop_task *task);
void loop_task_cancel(struct loop_task *task); /* guarantees silence */

/* Queues the task in the first turn that begins at `at_ns` (env_mono_ns) or later, for what is
 * finer than timers are. A loop has one such task at a time: this one takes the place of the one
 * before. NULL: none. */
void loop_task_later(struct loop *loop, enum loop_phase phase, struct loop_task *task,
    uint64_t at_ns);

#endif

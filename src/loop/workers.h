/*
 * workers.h: a few threads for work that may block or take long: queries over parts, flushes,
 * compression, password hashing. A job runs on a worker, then its result goes back by mail.
 *
 * The queue is bounded: at the bound workers_submit says -EAGAIN and the caller answers 503.
 */
#ifndef WEIR_WORKERS_H
#define WEIR_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

#include "mail.h"

struct workers;

struct job {
	struct mail mail;              /* after run, deliver(&job->mail) is called at reply_to */
	struct mailbox *reply_to;
	void (*run)(struct job *job);  /* on a worker; may block */
	struct job *next;              /* the pool's */
};

int workers_create(unsigned threads, size_t jobs_max, struct workers **ret_workers);

/* Runs what is queued, then joins the threads. NULL allowed. */
void workers_destroy(struct workers *workers);

/* Jobs that no thread has taken yet; any thread. */
size_t workers_waiting(struct workers *workers);

/* Any thread. 0 or -EAGAIN when the queue is full. `job` is the pool's until it is delivered. */
int workers_submit(struct workers *workers, struct job *job);

/* As submit, never refused: for the server's own few standing jobs (flush, merge, retention). */
void workers_submit_always(struct workers *workers, struct job *job);

#endif

/*
 * workers.c: threads that take jobs from one queue, in order, and mail each back when it is done.
 *
 * Why it exists: loops never block; what may block goes here. A lock is good enough: jobs take
 * milliseconds.
 *
 * Invariant: a job that was accepted is run and delivered exactly once, also while the pool ends.
 */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "thread.h"

struct workers {
	pthread_mutex_t mutex;
	pthread_cond_t more;
	struct job *first, **last; /* waiting jobs */
	size_t count, count_max;
	bool ending;
	unsigned thread_count;
	pthread_t threads[];
};

static struct job *
take_job(struct workers *workers)
{
	struct job *job = NULL;

	check(pthread_mutex_lock(&workers->mutex) == 0);
	while (!workers->first && !workers->ending)
		check(pthread_cond_wait(&workers->more, &workers->mutex) == 0);
	if (workers->first) {
		job = workers->first;
		workers->first = job->next;
		if (!workers->first)
			workers->last = &workers->first;
		workers->count--;
	}
	check(pthread_mutex_unlock(&workers->mutex) == 0);
	return job;
}

static void
run_jobs(void *ctx)
{
	struct workers *workers = ctx;
	struct job *job;

	while ((job = take_job(workers))) {
		job->run(job);
		mailbox_send(job->reply_to, &job->mail);
	}
}

int
workers_create(unsigned threads, size_t jobs_max, struct workers **ret_workers)
{
	struct workers *workers = calloc(1, sizeof(*workers) + threads * sizeof(pthread_t));
	if (!workers)
		return -ENOMEM;
	check(pthread_mutex_init(&workers->mutex, NULL) == 0);
	check(pthread_cond_init(&workers->more, NULL) == 0);
	workers->last = &workers->first;
	workers->count_max = jobs_max;
	for (unsigned i = 0; i < threads; i++) {
		int error = thread_start(&workers->threads[i], "worker", run_jobs, workers);
		if (error) {
			workers_destroy(workers);
			return error;
		}
		workers->thread_count++;
	}
	*ret_workers = workers;
	return 0;
}

void
workers_destroy(struct workers *workers)
{
	if (!workers)
		return;
	check(pthread_mutex_lock(&workers->mutex) == 0);
	workers->ending = true;
	check(pthread_cond_broadcast(&workers->more) == 0);
	check(pthread_mutex_unlock(&workers->mutex) == 0);
	for (unsigned i = 0; i < workers->thread_count; i++)
		thread_join(workers->threads[i]);
	check(!workers->first);
	pthread_cond_destroy(&workers->more);
	pthread_mutex_destroy(&workers->mutex);
	free(workers);
}

static int
submit(struct workers *workers, struct job *job, size_t count_max)
{
	int error = 0;

	job->next = NULL;
	check(pthread_mutex_lock(&workers->mutex) == 0);
	if (workers->count >= count_max) {
		error = -EAGAIN;
	} else {
		*workers->last = job;
		workers->last = &job->next;
		workers->count++;
		check(pthread_cond_signal(&workers->more) == 0);
	}
	check(pthread_mutex_unlock(&workers->mutex) == 0);
	return error;
}

size_t
workers_waiting(struct workers *workers)
{
	check(pthread_mutex_lock(&workers->mutex) == 0);
	size_t count = workers->count;
	check(pthread_mutex_unlock(&workers->mutex) == 0);
	return count;
}

int
workers_submit(struct workers *workers, struct job *job)
{
	return submit(workers, job, workers->count_max);
}

void
workers_submit_always(struct workers *workers, struct job *job)
{
	submit(workers, job, SIZE_MAX);
}

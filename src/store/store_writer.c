/*
 * store_writer.c: the thread that owns the store while the server runs. Units wait in a list; the
 * first one starts a clock, and when it has run for gather_ms, or an urgent unit comes, all that
 * wait become one transaction with one sync. What comes meanwhile waits for the next.
 *
 * The thread sleeps on a condition while nothing waits: an idle server uses no CPU.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "check.h"
#include "store_priv.h"
#include "thread.h"

/* Beyond this many units the rest goes into the next transaction at once. */
#define UNITS_PER_TRANSACTION_MAX 1024

struct store_writer {
	struct store *store;
	struct env *env;
	uint64_t gather_ns;
	pthread_t thread;
	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t changed;
	struct store_unit *head, **tail;
	uint64_t due_ns; /* when the first that waits must run; counts while head is not NULL */
	bool stop;
};

/* Sleeps until something changes, or until due. The env's monotonic clock is the condition's. */
static void
wait_until_due(struct store_writer *writer)
{
	struct timespec due = {
		.tv_sec = (time_t)(writer->due_ns / 1000000000),
		.tv_nsec = (long)(writer->due_ns % 1000000000),
	};

	pthread_cond_timedwait(&writer->changed, &writer->mutex, &due);
}

/* Takes what runs next off the queue. */
static struct store_unit *
take(struct store_writer *writer)
{
	struct store_unit *units = writer->head;
	struct store_unit *last = units;

	for (unsigned count = 1; last->next && count < UNITS_PER_TRANSACTION_MAX; count++)
		last = last->next;
	writer->head = last->next;
	last->next = NULL;
	if (writer->head == NULL)
		writer->tail = &writer->head;
	return units;
}

static void
writer_run(void *ctx)
{
	struct store_writer *writer = ctx;

	pthread_mutex_lock(&writer->mutex);
	for (;;) {
		struct store_unit *units;

		if (writer->head == NULL && writer->stop)
			break;
		if (writer->head == NULL) {
			pthread_cond_wait(&writer->changed, &writer->mutex);
			continue;
		}
		if (!writer->stop && env_mono_ns(writer->env) < writer->due_ns) {
			wait_until_due(writer);
			continue;
		}
		units = take(writer);
		pthread_mutex_unlock(&writer->mutex);
		store_run(writer->store, units);
		pthread_mutex_lock(&writer->mutex);
	}
	pthread_mutex_unlock(&writer->mutex);
}

static void
writer_free(struct store_writer *writer)
{
	pthread_cond_destroy(&writer->changed);
	pthread_mutex_destroy(&writer->mutex);
	free(writer);
}

int
store_writer_start(struct store *store, unsigned gather_ms, struct store_writer **ret_writer)
{
	struct store_writer *writer = calloc(1, sizeof(*writer));
	pthread_condattr_t monotonic;
	int error;

	if (writer == NULL)
		return -ENOMEM;
	writer->store = store;
	writer->env = store->env;
	writer->gather_ns = (uint64_t)gather_ms * 1000000;
	writer->tail = &writer->head;
	check(pthread_mutex_init(&writer->mutex, NULL) == 0);
	check(pthread_condattr_init(&monotonic) == 0);
	check(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
	check(pthread_cond_init(&writer->changed, &monotonic) == 0);
	pthread_condattr_destroy(&monotonic);
	error = thread_start(&writer->thread, "weir-store", writer_run, writer);
	if (error) {
		writer_free(writer);
		return error;
	}
	*ret_writer = writer;
	return 0;
}

void
store_writer_submit(struct store_writer *writer, struct store_unit *unit)
{
	uint64_t now_ns = env_mono_ns(writer->env);

	unit->next = NULL;
	pthread_mutex_lock(&writer->mutex);
	if (writer->head == NULL)
		writer->due_ns = now_ns + writer->gather_ns;
	if (unit->urgent)
		writer->due_ns = MIN(writer->due_ns, now_ns);
	*writer->tail = unit;
	writer->tail = &unit->next;
	pthread_cond_signal(&writer->changed);
	pthread_mutex_unlock(&writer->mutex);
}

void
store_writer_stop(struct store_writer *writer)
{
	if (writer == NULL)
		return;
	pthread_mutex_lock(&writer->mutex);
	writer->stop = true;
	pthread_cond_signal(&writer->changed);
	pthread_mutex_unlock(&writer->mutex);
	thread_join(writer->thread);
	writer_free(writer);
}

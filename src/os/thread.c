/*
 * thread.c: starting and joining threads.
 *
 * Signals stay with the thread that began the process, so every other blocks all from its first
 * instruction: the mask is inherited, and set around pthread_create.
 */
#include "thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

enum {
	NAME_BYTES_MAX = 16,        /* with the NUL, as the kernel counts */
	PROMPT_SLICE_NS = 100000,   /* Linux's least */
};

/* Linux's struct sched_attr of its first version; a C library of 2022 does not know it. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

struct start {
	void (*run)(void *ctx);
	void *ctx;
	char name[NAME_BYTES_MAX];
};

static void *
begin(void *arg)
{
	struct start start = *(struct start *)arg;
	free(arg);
	pthread_setname_np(pthread_self(), start.name);
	start.run(start.ctx);
	return NULL;
}

int
thread_start(pthread_t *ret_thread, const char *name, void (*run)(void *ctx), void *ctx)
{
	size_t len = strlen(name);
	check(len < NAME_BYTES_MAX);
	struct start *start = malloc(sizeof(*start));
	if (!start)
		return -ENOMEM;
	*start = (struct start){.run = run, .ctx = ctx};
	memcpy(start->name, name, len);

	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_t thread;
	int error = pthread_create(&thread, NULL, begin, start);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		free(start);
		return -error;
	}
	*ret_thread = thread;
	return 0;
}

void
thread_join(pthread_t thread)
{
	check(pthread_join(thread, NULL) == 0);
}

static void
set_slice(uint64_t slice_ns)
{
	struct attributes attributes = {.size = sizeof(attributes)};
	if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) < 0 ||
	    attributes.policy != SCHED_OTHER)
		return;
	attributes.runtime = slice_ns;
	syscall(SYS_sched_setattr, 0, &attributes, 0);
}

void
thread_be_prompt(void)
{
	set_slice(PROMPT_SLICE_NS);
}

void
thread_be_steady(void)
{
	set_slice(0);
}

unsigned
thread_cpu_count(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return (unsigned)CPU_COUNT(&set);
	/* More processors than cpu_set_t holds. */
	long count = sysconf(_SC_NPROCESSORS_ONLN);
	return count > 0 ? (unsigned)count : 1;
}

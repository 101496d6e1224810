/* Threads: names, signals, joining; reference counts under contention. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "thread.h"

struct facts {
	char name[16];
	bool blocked;
	bool ran;
};

static void
record_facts(void *ctx)
{
	struct facts *facts = ctx;
	sigset_t mask;
	pthread_getname_np(pthread_self(), facts->name, sizeof(facts->name));
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	facts->blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGUSR1) == 1;
	facts->ran = true;
}

static void
thread_has_its_name_and_no_signals(void **state)
{
	(void)state;
	struct facts facts = {.name = ""};
	pthread_t thread;
	sigset_t mask;
	assert_int_equal(thread_start(&thread, "fifteen letters", record_facts, &facts), 0);
	thread_join(thread);
	assert_true(facts.ran);
	assert_true(facts.blocked);
	assert_string_equal(facts.name, "fifteen letters");
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_int_equal(sigismember(&mask, SIGTERM), 0);
}

struct standing {
	int policy, nice;
};

static void
ask_to_be_prompt(void *ctx)
{
	struct standing *standing = ctx;
	setpriority(PRIO_PROCESS, 0, 7); /* of this thread, in Linux */
	thread_be_prompt();
	thread_be_steady();
	standing->policy = sched_getscheduler(0);
	standing->nice = getpriority(PRIO_PROCESS, 0);
}

static void
prompt_thread_keeps_its_policy_and_priority(void **state)
{
	(void)state;
	struct standing standing = {-1, -1};
	pthread_t thread;
	assert_int_equal(thread_start(&thread, "prompt", ask_to_be_prompt, &standing), 0);
	thread_join(thread);
	assert_int_equal(standing.policy, sched_getscheduler(0));
	assert_int_equal(standing.nice, 7);
}

static void
processors_are_counted(void **state)
{
	(void)state;
	assert_in_range(thread_cpu_count(), 1, 100000);
}

struct shared {
	refcount count;
	int destroyed;
};

static void
hold_and_release(void *ctx)
{
	struct shared *shared = ctx;
	for (int i = 0; i < 20000; i++) {
		refcount_up(&shared->count);
		if (refcount_down(&shared->count))
			shared->destroyed++;
	}
	if (refcount_down(&shared->count))
		shared->destroyed++;
}

static void
exactly_one_holder_is_the_last(void **state)
{
	(void)state;
	struct shared shared = {.destroyed = 0};
	pthread_t threads[3];
	refcount_init(&shared.count);
	for (int i = 0; i < 3; i++) {
		refcount_up(&shared.count);
		assert_int_equal(thread_start(&threads[i], "holder", hold_and_release, &shared), 0);
	}
	if (refcount_down(&shared.count))
		shared.destroyed++;
	for (int i = 0; i < 3; i++)
		thread_join(threads[i]);
	assert_int_equal(shared.destroyed, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(thread_has_its_name_and_no_signals),
	    cmocka_unit_test(prompt_thread_keeps_its_policy_and_priority),
	    cmocka_unit_test(processors_are_counted),
	    cmocka_unit_test(exactly_one_holder_is_the_last),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Workers: every accepted job runs once and is mailed back; the queue refuses at its bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>

#include "check.h"
#include "mail.h"
#include "workers.h"

struct task {
	struct job job;
	int *delivered;
	int runs;
	sem_t *begun, *gate; /* may be NULL */
};

static void
task_run(struct job *job)
{
	struct task *task = CONTAINER_OF(job, struct task, job);
	if (task->begun)
		sem_post(task->begun);
	if (task->gate)
		check(sem_wait(task->gate) == 0);
	task->runs++;
}

static void
task_deliver(struct mail *mail)
{
	struct job *job = CONTAINER_OF(mail, struct job, mail);
	struct task *task = CONTAINER_OF(job, struct task, job);
	++*task->delivered;
}

static void
task_init(struct task *task, struct mailbox *box, int *delivered)
{
	*task = (struct task){.delivered = delivered};
	task->job.mail.deliver = task_deliver;
	task->job.reply_to = box;
	task->job.run = task_run;
}

static void
every_job_runs_once_and_comes_back(void **state)
{
	(void)state;
	enum { COUNT = 2000 };
	struct workers *workers;
	struct mailbox *box;
	struct task *tasks = calloc(COUNT, sizeof(*tasks));
	int delivered = 0, submitted = 0;
	assert_non_null(tasks);
	assert_int_equal(mailbox_create_blocking(&box), 0);
	assert_int_equal(workers_create(3, 16, &workers), 0);
	while (delivered < COUNT) {
		while (submitted < COUNT) {
			task_init(&tasks[submitted], box, &delivered);
			int error = workers_submit(workers, &tasks[submitted].job);
			if (error) {
				assert_int_equal(error, -EAGAIN);
				break;
			}
			submitted++;
		}
		if (delivered < submitted)
			mailbox_wait(box, 10);
		mailbox_deliver(box, SIZE_MAX);
	}
	workers_destroy(workers);
	assert_int_equal(mailbox_deliver(box, SIZE_MAX), 0);
	mailbox_destroy(box);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(tasks[i].runs, 1);
	free(tasks);
}

static void
a_full_queue_refuses_but_standing_jobs(void **state)
{
	(void)state;
	struct workers *workers;
	struct mailbox *box;
	struct task tasks[5];
	sem_t begun, gate;
	int delivered = 0;
	sem_init(&begun, 0, 0);
	sem_init(&gate, 0, 0);
	assert_int_equal(mailbox_create_blocking(&box), 0);
	assert_int_equal(workers_create(1, 2, &workers), 0);
	for (int i = 0; i < 5; i++)
		task_init(&tasks[i], box, &delivered);
	tasks[0].begun = &begun;
	tasks[0].gate = &gate;
	assert_int_equal(workers_submit(workers, &tasks[0].job), 0);
	while (sem_wait(&begun) != 0)
		; /* it runs, and no longer waits in the queue */
	assert_int_equal(workers_submit(workers, &tasks[1].job), 0);
	assert_int_equal(workers_submit(workers, &tasks[2].job), 0);
	assert_int_equal(workers_submit(workers, &tasks[3].job), -EAGAIN);
	workers_submit_always(workers, &tasks[4].job);
	sem_post(&gate);
	workers_destroy(workers); /* runs what is queued */
	assert_int_equal(mailbox_deliver(box, SIZE_MAX), 4);
	assert_int_equal(delivered, 4);
	assert_int_equal(tasks[3].runs, 0);
	mailbox_destroy(box);
	sem_destroy(&begun);
	sem_destroy(&gate);
}

static void
destroying_nothing_or_an_idle_pool_is_fine(void **state)
{
	(void)state;
	struct workers *workers;
	workers_destroy(NULL);
	assert_int_equal(workers_create(2, 1, &workers), 0);
	workers_destroy(workers);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_job_runs_once_and_comes_back),
		cmocka_unit_test(a_full_queue_refuses_but_standing_jobs),
		cmocka_unit_test(destroying_nothing_or_an_idle_pool_is_fine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

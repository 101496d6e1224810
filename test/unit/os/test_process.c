/*
 * test_process.c: what this process asks of the kernel for itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"
#include "thread.h"

/* In a process of its own: the protection cannot be taken back. */
static int
protected_child(void)
{
	struct rlimit limit;
	struct process_figures figures;

	if (prctl(PR_GET_DUMPABLE) != 1 || process_protect())
		return 1;
	if (prctl(PR_GET_DUMPABLE) != 0)
		return 2;
	if (getrlimit(RLIMIT_CORE, &limit) || limit.rlim_cur != 0 || limit.rlim_max != 0)
		return 3;
	process_figures(&figures); /* it still sees itself */
	return figures.rss_bytes > 0 && figures.files_open > 0 ? 0 : 4;
}

static void
protected_it_leaves_no_core_and_is_read_by_nobody(void **state)
{
	int status = -1;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(protected_child());
	assert_true(pid > 0);
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

struct owner {
	int kept[2], pipe[2], told[2]; /* told: when it may end */
	int error, kept_error, pipe_error;
	int said[2];                   /* by the owner: it has its table */
};

static int
error_of(int fd)
{
	return fcntl(fd, F_GETFD) < 0 ? errno : 0;
}

static void
own_files(void *ctx)
{
	struct owner *owner = ctx;
	char byte = 0;
	/* In no order, and one twice. */
	int keep[] = {owner->told[0], STDERR_FILENO, owner->kept[1], owner->said[1],
	    STDIN_FILENO, STDOUT_FILENO, owner->kept[1]};
	owner->error = process_own_files(keep, sizeof(keep) / sizeof(keep[0]));
	owner->kept_error = error_of(owner->kept[1]);
	owner->pipe_error = error_of(owner->pipe[1]);
	if (write(owner->said[1], "+", 1) != 1 || read(owner->told[0], &byte, 1) != 1)
		owner->error = -EIO;
}

/* While the other thread lives the last writer of a pipe closes it here, and only here. */
static void
a_thread_of_its_own_table_holds_what_it_keeps_and_nothing_else(void **state)
{
	struct owner owner = {0};
	pthread_t thread;
	char byte;
	(void)state;
	if (process_may_own_files()) {
		skip();
		return;
	}
	assert_int_equal(pipe(owner.kept), 0);
	assert_int_equal(pipe(owner.pipe), 0);
	assert_int_equal(pipe(owner.told), 0);
	assert_int_equal(pipe(owner.said), 0);
	assert_int_equal(thread_start(&thread, "owner", own_files, &owner), 0);
	assert_int_equal(read(owner.said[0], &byte, 1), 1);
	assert_int_equal(close(owner.pipe[1]), 0);
	assert_int_equal(read(owner.pipe[0], &byte, 1), 0);
	assert_int_equal(error_of(owner.kept[0]), 0);
	assert_int_equal(write(owner.told[1], "+", 1), 1);
	thread_join(thread);
	assert_int_equal(owner.error, 0);
	assert_int_equal(owner.kept_error, 0);
	assert_int_equal(owner.pipe_error, EBADF);
	int fds[] = {owner.kept[0], owner.kept[1], owner.pipe[0], owner.told[0], owner.told[1],
	    owner.said[0], owner.said[1]};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		assert_int_equal(close(fds[i]), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_of_its_own_table_holds_what_it_keeps_and_nothing_else),
		cmocka_unit_test(protected_it_leaves_no_core_and_is_read_by_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_process.c: what this process asks of the kernel for itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protected_it_leaves_no_core_and_is_read_by_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

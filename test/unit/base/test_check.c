/* A broken invariant ends the process with one line that says where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* Runs body() in a child; what it wrote to stderr, and how it ended. */
static int
run_child(void (*body)(void), char *ret_text, size_t size)
{
	int ends[2], status = 0;
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		body();
		_exit(0);
	}
	close(ends[1]);
	size_t len = 0;
	for (ssize_t n; (n = read(ends[0], ret_text + len, size - 1 - len)) > 0;)
		len += (size_t)n;
	ret_text[len] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void
break_invariant(void)
{
	check(1 + 1 == 3);
}

static void
break_with_a_long_word(void)
{
	char condition[2000];
	memset(condition, 'c', sizeof(condition) - 1);
	condition[sizeof(condition) - 1] = '\0';
	check_failed(condition, "file.c", 12, "func");
}

static void
hold_invariant(void)
{
	check(1 + 1 == 2);
}

static void
failed_check_aborts_and_says_where(void **state)
{
	(void)state;
	char text[4096];
	int status = run_child(break_invariant, text, sizeof(text));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(text, "test_check.c"));
	assert_non_null(strstr(text, "break_invariant: check failed: 1 + 1 == 3\n"));
}

static void
too_long_a_line_is_cut(void **state)
{
	(void)state;
	char text[4096];
	int status = run_child(break_with_a_long_word, text, sizeof(text));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(text, "file.c:12: func: check failed: ccc"));
	assert_non_null(strstr(text, "c\n"));
}

static void
held_check_is_silent(void **state)
{
	(void)state;
	char text[4096];
	int status = run_child(hold_invariant, text, sizeof(text));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_string_equal(text, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(failed_check_aborts_and_says_where),
	    cmocka_unit_test(too_long_a_line_is_cut),
	    cmocka_unit_test(held_check_is_silent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

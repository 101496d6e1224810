/*
 * check.c: the end of a process that found itself broken.
 *
 * It says where, in one write, and aborts: no allocation, no locks of stdio, so it works from any
 * state.
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void
check_failed(const char *condition, const char *file, int line, const char *func)
{
	char text[512];
	int len = snprintf(
	    text, sizeof(text), "weir: %s:%d: %s: check failed: %s\n", file, line, func, condition);
	if (len > (int)sizeof(text) - 1) {
		len = (int)sizeof(text) - 1;
		text[len - 1] = '\n';
	}
	/* Nothing can be done about a failed write here. */
	if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0)
		abort();
	abort();
}

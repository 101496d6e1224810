/*
 * process.c: figures of this process, from getrusage, getrlimit and /proc/self; its limits and
 * tables of descriptors.
 */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "thread.h"

static uint64_t
rss_bytes(void)
{
	char text[128] = {0};
	unsigned long long total, resident;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t got = read(fd, text, sizeof text - 1);
	close(fd);
	if (got <= 0 || sscanf(text, "%llu %llu", &total, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t
files_open(void)
{
	struct stat st;
	uint64_t count = 0;
	/* Since Linux 6.2 the size says it; before, they must be counted. */
	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		return (uint64_t)st.st_size;
	DIR *dir = opendir("/proc/self/fd");
	if (!dir)
		return 0;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count > 3 ? count - 3 : 0; /* ".", "..", and the one just opened */
}

static uint64_t
timeval_us(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

void
process_figures(struct process_figures *ret_figures)
{
	struct rusage usage = {0};
	struct rlimit limit = {0};
	getrusage(RUSAGE_SELF, &usage);
	getrlimit(RLIMIT_NOFILE, &limit);
	*ret_figures = (struct process_figures){
	    .rss_bytes = rss_bytes(),
	    .cpu_us = timeval_us(usage.ru_utime) + timeval_us(usage.ru_stime),
	    .files_open = files_open(),
	    .files_max = limit.rlim_cur,
	};
}

uint64_t
process_raise_files(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	uint64_t before = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) ? before : limit.rlim_max;
}

/* ── a table of descriptors of one's own ── */

static int
number_order(const void *a, const void *b)
{
	int left = *(const int *)a, right = *(const int *)b;
	return (left > right) - (left < right);
}

static void
close_between(int from, int to)
{
	if (from > to || close_range((unsigned)from, (unsigned)to, 0) == 0)
		return;
	/* Before Linux 5.9. */
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && (uint64_t)to >= limit.rlim_cur)
		to = (int)limit.rlim_cur - 1;
	for (int fd = from; fd <= to; fd++)
		close(fd);
}

int
process_own_files(int *keep, size_t count)
{
	if (unshare(CLONE_FILES))
		return -errno;
	qsort(keep, count, sizeof *keep, number_order);
	int from = 0;
	for (size_t i = 0; i < count; i++) {
		close_between(from, keep[i] - 1);
		from = keep[i] + 1;
	}
	close_between(from, INT_MAX);
	return 0;
}

static void
try_own_files(void *ctx)
{
	int *error = ctx;
	if (unshare(CLONE_FILES))
		*error = -errno;
}

/* The thread sanitizer knows each descriptor by its number, as of one table: where there are
 * several it sees races that are none. */
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define ONE_TABLE 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define ONE_TABLE 1
#endif
#ifndef ONE_TABLE
#define ONE_TABLE 0
#endif

int
process_may_own_files(void)
{
	if (ONE_TABLE)
		return -ENOTSUP;
	pthread_t thread;
	int result = 0;
	int error = thread_start(&thread, "files", try_own_files, &result);
	if (error)
		return error;
	thread_join(thread);
	return result;
}

int
process_protect(void)
{
	const struct rlimit none = {0, 0};
	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
	return 0;
}

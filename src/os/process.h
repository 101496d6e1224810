/*
 * process.h: what the kernel says of this process, and is told of it. Any thread; reads /proc,
 * which is no disk.
 */
#ifndef WEIR_PROCESS_H
#define WEIR_PROCESS_H

#include <stddef.h>
#include <stdint.h>

struct process_figures {
	uint64_t rss_bytes;      /* memory that is really there */
	uint64_t cpu_us;         /* user and system time of all threads, the dead ones too */
	uint64_t files_open;     /* descriptors */
	uint64_t files_max;      /* as many as it may have */
};

/* What cannot be found out is 0. */
void process_figures(struct process_figures *ret_figures);

/* Raises the limit on open files as far as it goes. The limit that now holds. */
uint64_t process_raise_files(void);

/* Gives the calling thread a table of descriptors of its own, which counts for itself against the
 * limit on open files: in it are these, under the same numbers, and nothing else. What is opened
 * later is known to the opener's table only. Sorts `keep`. 0 or -errno: it has what it had. */
int process_own_files(int *keep, size_t count);

/* Whether that can be done here: it may be forbidden. 0 or -errno. */
int process_may_own_files(void);

/* No core files, and other processes of the same user cannot read this one's memory. For good.
 * 0 or -errno. */
int process_protect(void);

#endif

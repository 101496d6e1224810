/*
 * progress.h: a bar on stderr while it is a terminal, else nothing. One thread.
 */
#ifndef WEIR_PROGRESS_H
#define WEIR_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"

struct progress {
	struct env *env;
	const char *what; /* "readings" */
	bool shown;	  /* stderr is a terminal */
	bool dirty;	  /* a bar stands on the line */
	uint64_t began_ns, drawn_ns;
};

void progress_init(struct progress *progress, struct env *env, const char *what);

/* Draws at most ten times a second. `share` 0..1; below 0: unknown, only the count is shown. */
void progress_show(struct progress *progress, uint64_t count, double share);

/* Wipes the bar, so that something else can be written. */
void progress_wipe(struct progress *progress);

#endif

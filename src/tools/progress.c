/*
 * progress.c: one line, drawn over itself.
 */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

enum { BAR_CELLS = 30 };

void
progress_init(struct progress *p, struct env *env, const char *what)
{
	*p = (struct progress){.env = env, .what = what, .shown = isatty(STDERR_FILENO) == 1};
	p->began_ns = env_mono_ns(env);
}

void
progress_show(struct progress *p, uint64_t count, double share)
{
	if (!p->shown)
		return;
	uint64_t now_ns = env_mono_ns(p->env);
	if (p->dirty && now_ns - p->drawn_ns < 100000000)
		return;
	p->dirty = true;
	p->drawn_ns = now_ns;
	double seconds = (double)(now_ns - p->began_ns) / 1e9;
	fputs("\r\033[K", stderr);
	if (share >= 0) {
		int cells = (int)((share > 1 ? 1 : share) * BAR_CELLS);
		fprintf(stderr, "[%.*s%*s] %3.0f %%  ", cells, "##############################",
		    BAR_CELLS - cells, "", share * 100);
	}
	fprintf(stderr, "%llu %s, %.0f/s", (unsigned long long)count, p->what,
	    seconds > 0 ? (double)count / seconds : 0.0);
	fflush(stderr);
}

void
progress_wipe(struct progress *p)
{
	if (p->dirty)
		fputs("\r\033[K", stderr);
	p->dirty = false;
}

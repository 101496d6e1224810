/*
 * server_replay.c: replays the journal on a thread of its own while the loops answer 503, then
 * starts the numbering on the first loop, then lets all begin.
 *
 * Invariant: no loop touches a partition before it got its order to be ready.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "server_priv.h"
#include "thread.h"

struct begin {
	struct mail mail;
	struct server *server;
};

/* On the first loop. */
static void
begin_deliver(struct mail *mail)
{
	struct begin *begin = CONTAINER_OF(mail, struct begin, mail);
	struct server *server = begin->server;
	free(begin);
	int error = flow_start(server->flow);
	if (error)
		server_fatal(server, "the journal cannot be begun", error);
	for (unsigned i = 0; i < server->loop_count; i++)
		server_loop_order(&server->loops[i], SERVER_ORDER_READY);
}

struct bar {
	bool drawn;
	uint64_t first_seq;
	unsigned percent;
};

static void
bar_draw(struct bar *bar, uint64_t seq, uint64_t seq_end)
{
	enum { WIDTH = 40 };
	static const char full[] = "########################################";
	if (!bar->first_seq)
		bar->first_seq = seq;
	if (seq_end <= bar->first_seq)
		return;
	unsigned percent = (unsigned)((seq - bar->first_seq) * 100 / (seq_end - bar->first_seq));
	if (bar->drawn && percent == bar->percent)
		return;
	bar->drawn = true;
	bar->percent = percent;
	fprintf(stderr, "\rreplaying the journal [%-*.*s] %3u %%", WIDTH,
	    (int)(percent * WIDTH / 100), full, percent);
}

static void
replay_progress(void *ctx, uint64_t seq, uint64_t seq_end)
{
	bar_draw(ctx, seq, seq_end);
}

static void
replay_run(void *ctx)
{
	struct server *server = ctx;
	struct bar bar = {0};
	int error =
	    flow_replay(server->flow, server->options.progress ? replay_progress : NULL, &bar);
	if (bar.drawn)
		fprintf(stderr, "\r%*s\r", 79, "");
	if (error)
		server_fatal(server, "the journal cannot be replayed", error);
	if (atomic_load(&server->stopping))
		return;
	struct begin *begin = malloc(sizeof *begin);
	if (!begin)
		server_fatal(server, "no memory to begin", -ENOMEM);
	begin->server = server;
	begin->mail.deliver = begin_deliver;
	mailbox_send(server->loops[0].box, &begin->mail);
}

int
server_replay_start(struct server *server)
{
	int error = thread_start(&server->replay_thread, "replay", replay_run, server);
	server->replaying = !error;
	return error;
}

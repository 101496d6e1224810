/*
 * server_files.c: descriptors: how many connections there may be, and a table for each loop.
 *
 * The limit on open files holds for a table of descriptors, and threads that share one share its
 * lock. So each loop leaves the process's table for one of its own, which holds what it needs and
 * nothing else: a file that is open in it would keep its room on the disk when it is removed.
 *
 * Invariants: a descriptor's number means something in one table only, so none goes from thread to
 * thread; what wakes loops is made before the first of them has its table and is in all. A loop's
 * connections and listeners are closed by its own thread. The first table keeps what is not: what
 * loops wait with and their sockets for datagrams, for when they have ended the server's thread
 * turns and destroys them (server.c).
 */
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "server_priv.h"

enum {
	FILES_SPARE = 1024, /* that connections leave to files: journal, parts, store, queries */
	OWN_SPARE = 128,    /* in the table of a loop, which opens no files to keep */
	LISTENERS_MAX = 64,
};

/* Whether loops can have their own tables. */
static bool
may_own(const struct server *server)
{
	if (server->loop_count < 2 || server->options.listen_count >= LISTENERS_MAX ||
	    server->settings.net.descriptor_tables != SETTINGS_TABLES_PER_LOOP)
		return false;
	int error = process_may_own_files();
	if (error)
		log_event(server->log, LOG_WARN, "descriptor_tables_shared",
		    LOG_FIELDS(LOG_TEXT("error", strerror(-error)),
			LOG_TEXT("note", "all loops share one limit on open files")));
	return !error;
}

void
server_files_plan(struct server *server)
{
	uint64_t max = server->settings.net.conns_max, loops = server->loop_count;
	uint64_t files_max = process_raise_files(), each;
	server->own_files = may_own(server);
	uint64_t spare = server->own_files ? OWN_SPARE : FILES_SPARE;
	each = files_max - MIN(files_max / 4, spare);
	if (!server->own_files)
		each = (each + loops - 1) / loops;
	server->conns_max = files_max ? MIN(max, each * loops) : max;
	server->loop_conns_max = (server->conns_max + loops - 1) / loops;
}

void
server_files_own(struct server_loop *sl)
{
	const struct server *server = sl->server;
	int keep[FLOW_LOOPS_MAX + LISTENERS_MAX + 8];
	size_t count = 0;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		keep[count++] = fd;
	keep[count++] = server->log->fd;
	for (unsigned i = 0; i < server->loop_count; i++)
		keep[count++] = loop_wake_fd(server->loops[i].loop);
	if (server->out)
		keep[count++] = out_wake_fd(server->out);
	keep[count++] = loop_wait_fd(sl->loop);
	keep[count++] = datagrams_fd(sl->datagrams);
	count += net_listeners(sl->net, keep + count, LISTENERS_MAX);
	sl->own_files = server->own_files && process_own_files(keep, count) == 0;
	server_loop_reply(sl);
}

void
server_files_give(struct server *server)
{
	int fds[LISTENERS_MAX];
	server_await_replies(server);
	for (unsigned i = 0; i < server->loop_count; i++) {
		const struct server_loop *sl = &server->loops[i];
		size_t count = sl->own_files ? net_listeners(sl->net, fds, LISTENERS_MAX) : 0;
		while (count > 0)
			close(fds[--count]);
	}
}

void
server_files_count(const struct server *server, uint64_t conns, struct process_figures *figures)
{
	if (!server->own_files)
		return;
	figures->files_open += conns;
	figures->files_max *= server->loop_count + 1;
}

/*
 * server_priv.h: what the files of a server share: the server, a loop of it, and the orders that
 * loops get by mail.
 */
#ifndef WEIR_SERVER_PRIV_H
#define WEIR_SERVER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "access_change.h"
#include "api.h"
#include "data.h"
#include "datagrams.h"
#include "guests.h"
#include "journal.h"
#include "logins.h"
#include "loop.h"
#include "mail.h"
#include "metrics.h"
#include "net.h"
#include "out.h"
#include "permits.h"
#include "process.h"
#include "retention.h"
#include "server.h"
#include "session.h"
#include "workers.h"

/* What a loop is told once in its life; the mail is part of it, so telling cannot fail. */
enum server_order_kind { SERVER_ORDER_READY, SERVER_ORDER_DRAIN, SERVER_ORDER_FLUSH,
	SERVER_ORDER_COUNT };

struct server_order {
	struct mail mail;
	struct server_loop *sl;
};

struct server_loop {
	struct server *server;
	unsigned index;
	struct loop *loop;
	struct mailbox *box;
	struct net *net;
	struct access *access;
	struct hub_local *hub;
	struct flow_loop *flow;
	struct session_loop *sessions;
	struct api_loop api;         /* what handlers get */
	struct datagrams *datagrams; /* NULL: udp.listen is empty */
	struct metrics_requests requests;

	pthread_t thread;
	bool running;
	bool own_files;              /* its thread has a table of descriptors of its own */

	struct server_order orders[SERVER_ORDER_COUNT];
	struct mail reply;           /* to server->box; one order at a time is answered */
	struct loop_timer drain_timer;
	uint64_t drain_until_ms;
	int flush_error;
};

struct server_listener {
	bool loopback;
	char address[SERVER_ADDRESS_BYTES];
};

struct server {
	struct server_options options;
	struct settings settings;    /* the making thread's, but for what never changes */
	struct env *env;
	struct log *log;
	struct data data;
	struct store_writer *writer;
	struct journal *journal;
	struct workers *workers, *queries, *hashers;
	struct out *out;             /* NULL: nobody is asked anything */
	struct logins *logins;
	struct flow *flow;
	struct retention *retention;
	struct session_routes *routes;
	struct openapi *openapi;
	struct api api;

	struct access_limits *limits; /* of principals and addresses, for all loops */
	struct access_change *registry; /* all of it, while starting */

	struct server_loop *loops;
	unsigned loop_count;
	struct permits *permits; /* of loops, for work in pieces */
	bool own_files;              /* loops are to have tables of descriptors of their own */
	uint64_t conns_max, loop_conns_max; /* of all loops together, of each */
	struct server_listener *listeners;
	char series_dir[DATA_PATH_BYTES];
	bool admin_listens;

	/* Loops answer orders here. */
	struct mailbox *box;
	unsigned waiting;

	pthread_t replay_thread;
	bool replaying;              /* the thread was started */
	uint64_t begun_ns;
	atomic_uint_fast64_t guests_warned_ns; /* when the log was last told of the application */
	atomic_bool stopping;        /* no more work is begun */
	atomic_uint loops_ready;
	atomic_uint_fast64_t ready_series, ready_parts;
};

/* ── server_open.c: from a directory to a flow whose partitions have their parts ── */
int server_open(struct server *server, char *ret_reason);

/* ── server_accounts.c: the first signing secret, the demonstration's administrator; while the
 * store belongs to this thread ── */
int server_accounts_prepare(struct server *server, char *ret_reason);

/* ── server_registry.c: the registry on its way to every loop ── */

/* Reads it from the store, which still belongs to this thread. 0, -ENOMEM or as the store says;
 * rows that cannot be read are logged and left out. */
int server_registry_load(struct server *server);

/* Puts it into a loop's index before the loop runs. 0 or -ENOMEM. */
int server_registry_put(struct server *server, struct access *access);

/* Frees what was only needed while starting. */
void server_registry_forget(struct server *server);

/* api.registry_changed; ctx is the server. */
void server_registry_changed(void *ctx, struct access_change *change, struct mailbox *box,
    struct mail *applied);

/* ── server_loop.c: a loop's world, and its orders ── */
int server_loop_create(struct server *server, unsigned index);
void server_loop_destroy(struct server_loop *sl); /* its thread must have ended */
int server_loop_start(struct server_loop *sl);

void server_loop_order(struct server_loop *sl, enum server_order_kind kind);

/* From the loop: what was asked of it is done. */
void server_loop_reply(struct server_loop *sl);

/* Waits, on the server's thread, until server->waiting loops have replied. */
void server_await_replies(struct server *server);

/* Live settings of the limits that all loops share. */
void server_loop_limits(struct server *server);

/* Live settings, by mail. 0 or -ENOMEM. */
int server_loop_reload(struct server_loop *sl, const struct settings *settings);

/* ── server_files.c: descriptors: how many connections there may be, a table for each loop ── */

/* Decides on tables and bounds, before there is any loop. */
void server_files_plan(struct server *server);

/* On the loop's thread before it runs; tells the server. */
void server_files_own(struct server_loop *sl);

/* Waits for all loops to have said so, then gives up what is theirs alone. Nothing that can fail
 * may follow in the server's start. */
void server_files_give(struct server *server);

/* Adds those of loops' tables to what the process's own one has. */
void server_files_count(const struct server *server, uint64_t conns,
    struct process_figures *figures);

/* ── server_listen.c ── */
int server_listen(struct server *server, char *ret_reason);

/* ── server_replay.c: the thread that replays the journal and then lets the loops begin ── */
int server_replay_start(struct server *server);

/* Ends the process; for what must not be survived. */
_Noreturn void server_fatal(struct server *server, const char *what, int error);

#endif

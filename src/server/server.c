/*
 * server.c: the life of a server, from start to end.
 *
 * Invariants: threads are started last and joined first; what a thread may still send mail to is
 * destroyed after it; at the end every mailbox is empty.
 */
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "openapi.h"
#include "server_priv.h"
#include "thread.h"

static int server_destroy(struct server *server);

void
server_fatal(struct server *server, const char *what, int error)
{
	log_event(server->log, LOG_ERROR, "fatal",
	    LOG_FIELDS(LOG_TEXT("what", what), LOG_TEXT("error", strerror(-error))));
	_exit(1);
}

bool
server_is_ready(const struct server *server)
{
	return atomic_load(&server->loops_ready) == server->loop_count &&
	       !atomic_load(&server->stopping);
}

const char *
server_address(const struct server *server, size_t index)
{
	return server->listeners[index].address;
}

/* ── api's questions to the server ── */

static bool
api_ready(void *ctx)
{
	return server_is_ready(ctx);
}

static bool
api_log_next(void *ctx, struct api_log_cursor *cursor, struct api_log_line *ret_line)
{
	struct server *server = ctx;
	struct log_ring_cursor at = {cursor->number, cursor->at};

	_Static_assert(API_LOG_BYTES_MAX == LOG_RING_LINE_BYTES_MAX, "a line fits");
	if (!server->log->ring || !log_ring_next(server->log->ring, &at, &ret_line->time_ms,
	    &ret_line->level, ret_line->bytes, &ret_line->json))
		return false;
	*cursor = (struct api_log_cursor){at.number, at.at};
	return true;
}

static void
api_init(struct server *server)
{
	const struct settings *settings = &server->settings;
	server->api = (struct api){
	    .env = server->env,
	    .flow = server->flow,
	    .journal = server->journal,
	    .store = server->writer,
	    .queries = server->queries,
	    .secret = server->data.secret,
	    .limits = server->limits,
	    .hashers = server->hashers,
	    .logins = server->logins,
	    .token_ms = settings->access.token_ms,
	    .presence = settings->channels.presence,
	    .series_max = settings->series.query_series_max,
	    .chunk_bytes = settings->intake.chunk_bytes,
	    .demo_key = server->options.demo_key,
	    .metrics = metrics_hook,
	    .registry_changed = server_registry_changed,
	    .log_next = api_log_next,
	    .ready = api_ready,
	    .ctx = server,
	};
	server->api.metrics_open = settings->metrics.open == SETTINGS_OPEN_YES;
	if (settings->metrics.open == SETTINGS_OPEN_LOOPBACK) {
		server->api.metrics_open = true;
		for (size_t i = 0; i < server->options.listen_count; i++)
			server->api.metrics_open &= server->listeners[i].loopback;
	}
}

static int
routes_create(struct server *server)
{
	const struct session_route *tables[API_TABLES_MAX];
	size_t counts[API_TABLES_MAX];
	size_t count = api_routes(tables, counts);
	int error = session_routes_create(tables, counts, count, &server->routes);
	if (!error)
		error = openapi_create(api_groups, &server->openapi);
	server->api.openapi = server->openapi;
	return error;
}

/* ── start ── */

static int
listeners_check(struct server *server, char *ret_reason)
{
	const struct server_options *options = &server->options;
	server->listeners = calloc(options->listen_count, sizeof *server->listeners);
	if (!server->listeners)
		return -ENOMEM;
	for (size_t i = 0; i < options->listen_count; i++) {
		if (server_address_check(options->listen[i], &server->listeners[i].loopback))
			continue;
		data_explain(ret_reason,
		    "%s is no address to listen on; it must be like http://127.0.0.1:8080,"
		    " http://[::1]:8080 or unix:PATH",
		    options->listen[i]);
		return -EINVAL;
	}
	return 0;
}

/* Who asks others is there only where somebody is to be asked. */
static int
out_make(struct server *server)
{
	struct out_options options = {
	    .env = server->env,
	    .under_way_max = (unsigned)server->settings.auth.subscribe_asks_max,
	    .waiting_max = (unsigned)server->settings.auth.subscribe_waiting_max,
	};
	return server->settings.auth.subscribe_url[0] ? out_create(&options, &server->out) : 0;
}

static int
loops_create(struct server *server)
{
	server->loops = calloc(server->loop_count, sizeof *server->loops);
	if (!server->loops)
		return -ENOMEM;
	int error = mailbox_create_blocking(&server->box);
	if (!error)
		error = permits_create(thread_cpu_count(), &server->permits);
	for (unsigned i = 0; i < server->loop_count && !error; i++)
		error = server_loop_create(server, i);
	server_registry_forget(server);
	return error;
}

static int
retention_make(struct server *server)
{
	struct server_loop *first = &server->loops[0];
	struct retention_options options = {
	    .env = server->env,
	    .log = server->log,
	    .dir = server->options.data,
	    .journal = server->journal,
	    .segment_bytes = server->settings.journal.segment_bytes,
	    .workers = server->workers,
	    .loop = first->loop,
	    .box = first->box,
	    .flow = first->flow,
	    .stopping = &server->stopping,
	};
	return retention_create(&options, &server->settings, &server->retention);
}

static int
threads_start(struct server *server)
{
	int error = flow_start_committer(server->flow);
	if (!error && server->out)
		error = out_start(server->out);
	server->waiting = server->loop_count;
	for (unsigned i = 0; i < server->loop_count && !error; i++)
		error = server_loop_start(&server->loops[i]);
	for (size_t i = 0; i < server->options.listen_count && !error; i++)
		log_event(server->log, LOG_INFO, "listening",
		    LOG_FIELDS(LOG_TEXT("address", server->listeners[i].address)));
	if (!error)
		error = server_replay_start(server);
	if (!error)
		server_files_give(server);
	return error;
}

static int
server_begin(struct server *server, char *ret_reason)
{
	static const char *const durabilities[] = {"fsync", "os", "none"};
	const struct settings *settings = &server->settings;
	server->loop_count =
	    settings->net.loops ? (unsigned)settings->net.loops : thread_cpu_count();
	server->loop_count = MIN(server->loop_count, (unsigned)FLOW_LOOPS_MAX);
	server_files_plan(server);
	int error = listeners_check(server, ret_reason);
	if (error)
		return error;
	log_event(server->log, LOG_INFO, "starting",
	    LOG_FIELDS(LOG_TEXT("version", WEIR_VERSION), LOG_TEXT("data", server->options.data),
		LOG_NUMBER("loops", server->loop_count),
		LOG_NUMBER("connections_max", server->conns_max),
		LOG_TEXT("descriptor_tables", server->own_files ? "per_loop" : "shared"),
		LOG_TEXT("durability", durabilities[settings->journal.durability])));
	error = access_limits_create(server->env, &server->limits);
	if (!error) {
		server_loop_limits(server);
		error = server_open(server, ret_reason);
	}
	if (!error) {
		api_init(server);
		error = routes_create(server);
	}
	if (!error)
		error = out_make(server);
	if (!error)
		error = loops_create(server);
	if (!error)
		error = retention_make(server);
	return error;
}

int
server_start(const struct server_options *options, struct server **ret_server, char *ret_reason)
{
	struct server *server = calloc(1, sizeof *server);
	int error = -ENOMEM;
	ret_reason[0] = '\0';
	if (!server)
		goto fail;
	server->options = *options;
	server->settings = *options->settings;
	server->env = options->env;
	server->log = options->log;
	server->begun_ns = env_mono_ns(server->env);
	error = server_begin(server, ret_reason);
	if (!error)
		error = server_listen(server, ret_reason);
	if (!error)
		error = threads_start(server);
	if (error)
		goto fail;
	*ret_server = server;
	return 0;

fail:
	if (!ret_reason[0])
		data_explain(ret_reason, "the server cannot start: %s", strerror(-error));
	server_destroy(server);
	return error;
}

/* ── settings while it runs ── */

void
server_reload(struct server *server, const struct settings *settings)
{
	bool changed = false;
	for (size_t i = 0; i < settings_count; i++) {
		const struct settings_entry *entry = &settings_table[i];
		if (!settings_differ(entry, &server->settings, settings))
			continue;
		struct buf value;
		buf_init(&value, 0);
		settings_format(entry, settings, &value);
		buf_append_byte(&value, '\0');
		log_event(server->log, entry->live ? LOG_INFO : LOG_WARN,
		    entry->live ? "setting_changed" : "setting_needs_restart",
		    LOG_FIELDS(LOG_TEXT("name", entry->name),
			LOG_TEXT("value", buf_ok(&value) ? value.ptr : "?")));
		buf_finish(&value);
		if (!entry->live)
			continue;
		settings_copy(entry, &server->settings, settings);
		changed = true;
	}
	atomic_store(&server->log->level, (unsigned)server->settings.log.level);
	atomic_store(&server->log->format, (unsigned)server->settings.log.format);
	server_loop_limits(server);
	for (unsigned i = 0; changed && i < server->loop_count; i++)
		if (server_loop_reload(&server->loops[i], &server->settings))
			log_event(server->log, LOG_ERROR, "reload_failed", NULL);
	log_event(server->log, LOG_INFO, "reloaded", NULL);
}

/* ── end ── */

void
server_await_replies(struct server *server)
{
	while (server->waiting > 0) {
		mailbox_wait(server->box, -1);
		mailbox_deliver(server->box, SIZE_MAX);
	}
}

/* Gives every loop an order and waits until all have answered. */
static void
order_all(struct server *server, enum server_order_kind kind)
{
	server->waiting = server->loop_count;
	for (unsigned i = 0; i < server->loop_count; i++)
		server_loop_order(&server->loops[i], kind);
	server_await_replies(server);
}

static int
drain(struct server *server)
{
	int error = 0;
	order_all(server, SERVER_ORDER_DRAIN);
	order_all(server, SERVER_ORDER_FLUSH);
	for (unsigned i = 0; i < server->loop_count && !error; i++)
		error = server->loops[i].flush_error;
	if (error)
		log_event(server->log, LOG_ERROR, "flush_failed",
		    LOG_FIELDS(LOG_TEXT("error", strerror(-error)),
			LOG_TEXT(
			    "note", "the journal has the points; the next start replays them")));
	return error;
}

/* Delivers what threads left behind: the loops have ended, so this thread may turn them. */
static void
loops_settle(struct server *server)
{
	size_t waiting = 1;
	while (waiting > 0) {
		waiting = 0;
		for (unsigned i = 0; i < server->loop_count; i++)
			if (server->loops[i].loop && server->loops[i].box)
				loop_turn(server->loops[i].loop, 0);
		for (unsigned i = 0; i < server->loop_count; i++)
			if (server->loops[i].box)
				waiting += mailbox_count(server->loops[i].box);
	}
}

static void
threads_end(struct server *server)
{
	for (unsigned i = 0; i < server->loop_count && server->loops; i++) {
		struct server_loop *sl = &server->loops[i];
		if (!sl->running)
			continue;
		loop_stop(sl->loop);
		thread_join(sl->thread);
		sl->running = false;
	}
	if (server->flow)
		flow_stop_reading(server->flow);
	/* Whoever still sends mail has returned before the receiver is destroyed. */
	out_stop(server->out);
	workers_destroy(server->queries);
	workers_destroy(server->hashers);
	workers_destroy(server->workers);
	if (server->flow)
		flow_stop(server->flow);
	store_writer_stop(server->writer);
	server->api.store = NULL;
	if (server->loops)
		loops_settle(server);
}

static int
server_destroy(struct server *server)
{
	if (!server)
		return 0;
	char path[DATA_PATH_BYTES];
	threads_end(server);
	out_destroy(server->out);
	retention_destroy(server->retention);
	for (unsigned i = 0; i < server->loop_count && server->loops; i++)
		server_loop_destroy(&server->loops[i]);
	flow_destroy(server->flow);
	for (unsigned i = 0; i < server->loop_count && server->loops; i++) {
		mailbox_destroy(server->loops[i].box);
		loop_destroy(server->loops[i].loop);
	}
	if (server->box)
		mailbox_deliver(server->box, SIZE_MAX); /* of a start that failed */
	mailbox_destroy(server->box);
	session_routes_destroy(server->routes);
	openapi_destroy(server->openapi);
	access_limits_destroy(server->limits);
	logins_destroy(server->logins);
	journal_close(server->journal);
	if (server->admin_listens && data_path(server->options.data, "admin.sock", path) == 0)
		env_unlink(server->env, path);
	data_close(&server->data);
	server_registry_forget(server);
	permits_destroy(server->permits);
	free(server->loops);
	free(server->listeners);
	free(server);
	return 0;
}

int
server_stop(struct server *server)
{
	if (!server)
		return 0;
	struct log *log = server->log;
	log_event(log, LOG_INFO, "stopping", NULL);
	atomic_store(&server->stopping, true);
	if (server->replaying)
		thread_join(server->replay_thread);
	int error = drain(server);
	server_destroy(server);
	log_event(log, LOG_INFO, "stopped", NULL);
	return error;
}

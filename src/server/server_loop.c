/*
 * server_loop.c: one loop and everything that lives on it; and what a loop is told by mail while it
 * runs: be ready, drain, store points, new settings, new and removed keys.
 *
 * Every order comes through the loop's one mailbox, so it stands in one order with all that flow
 * sends there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "registrar.h"
#include "server_priv.h"
#include "thread.h"

enum { DRAIN_LOOK_MS = 10 };
#define WARN_NS (10 * (uint64_t)1000000000)

static void
session_settings_fill(const struct server *server, const struct settings *settings,
    struct session_settings *ret_settings)
{
	/* These need a restart: they stay where the server keeps them. */
	const char *origins = server->settings.ws.origins;
	const char *cors = server->settings.http.cors_origins;
	const char *proxies = server->settings.net.trusted_proxies;
	*ret_settings = (struct session_settings){
	    .body_bytes_max = settings->http.body_bytes_max,
	    .idle_ms = (unsigned)settings->net.idle_ms,
	    .head_ms = (unsigned)settings->http.head_ms,
	    .body_ms = (unsigned)settings->http.body_ms,
	    .sse_comment_ms = (unsigned)settings->sse.comment_ms,
	    .sse_retry_ms = (unsigned)settings->sse.retry_ms,
	    .ws_ping_ms = (unsigned)settings->ws.ping_ms,
	    .ws_message_bytes_max = settings->ws.message_bytes_max,
	    .ws_deflate_bytes_min =
		settings->ws.deflate ? settings->ws.deflate_bytes_min : 0,
	    .gzip = settings->http.gzip,
	    .ws_origins = *origins ? origins : NULL,
	    .cors_origins = *cors ? cors : NULL,
	    .proxies = *proxies ? proxies : NULL,
	    .guest_tenant = server->out ? server->settings.auth.subscribe_tenant : NULL,
	    .limits = server->limits,
	};
}

void
server_loop_limits(struct server *server)
{
	const struct settings *settings = &server->settings;
	struct access_limits_settings limits = {
	    .rate = {
		.per_s = {
		    [ACCESS_RATE_REQUESTS] = settings->rate.requests_per_s,
		    [ACCESS_RATE_READINGS] = settings->rate.readings_per_s,
		    [ACCESS_RATE_BYTES] = settings->rate.bytes_per_s,
		},
		.burst_s = settings->rate.burst_ms / 1000,
	    },
	    .failures_per_s = settings->rate.failures_per_s,
	};
	access_limits_set(server->limits, &limits);
}

/* ── making ── */

static void
demo_key_put(struct server_loop *sl, int *error)
{
	unsigned char hash[ACCESS_HASH_BYTES];
	const char *key = sl->server->options.demo_key;
	if (!key || *error)
		return;
	access_key_hash(sl->server->data.secret, span_str(key), hash);
	struct store_key demo = {
	    .id = UINT64_MAX, /* the store counts from 1 */
	    .tenant = SPAN("main"),
	    .name = SPAN("demo"),
	    .hash = span_of((const char *)hash, sizeof hash),
	    .rights = ACCESS_READ | ACCESS_WRITE | ACCESS_PUBLISH | ACCESS_SUBSCRIBE,
	    .channels = SPAN(""),
	};
	*error = access_key_put(sl->access, &demo);
}

static void
request_finished(void *app, const struct session_request *request, unsigned status, uint64_t micros,
    uint64_t bytes_in, uint64_t bytes_out)
{
	struct server_loop *sl = CONTAINER_OF(app, struct server_loop, api);
	struct log *log = sl->server->log;
	metrics_count(&sl->requests, status, micros);
	if (!log_wants(log, LOG_DEBUG))
		return;
	/* The route, not the target: a query may hold a token. */
	char method[16];
	struct span text = session_method_text(request);
	const struct session_route *route = session_route_of(request);
	snprintf(method, sizeof method, "%.*s", (int)MIN(text.len, sizeof method - 1), text.ptr);
	log_event(log, LOG_DEBUG, "request",
	    LOG_FIELDS(LOG_TEXT("method", method), LOG_TEXT("route", route ? route->path : "none"),
		LOG_NUMBER("status", status), LOG_NUMBER("us", micros),
		LOG_NUMBER("bytes_in", bytes_in), LOG_NUMBER("bytes_out", bytes_out),
		LOG_TEXT("peer", session_peer(request))));
}

/* Once in a while, however many are refused meanwhile. */
static void
guests_failed(void *ctx, const char *why)
{
	struct server *server = ctx;
	uint64_t now_ns = env_mono_ns(server->env);
	uint64_t warned_ns = atomic_load(&server->guests_warned_ns);
	if ((warned_ns && now_ns - warned_ns < WARN_NS) ||
	    !atomic_compare_exchange_strong(&server->guests_warned_ns, &warned_ns, now_ns))
		return;
	log_event(server->log, LOG_WARN, "subscribe_not_asked",
	    LOG_FIELDS(LOG_TEXT("error", why),
		LOG_TEXT("note", "guests are answered 503: see to the application at"
		    " auth.subscribe_url; docs/proxies.md says what it must answer")));
}

static int
guests_begin(struct server_loop *sl)
{
	const struct server *server = sl->server;
	struct guests_options options = {
	    .loop = sl->loop,
	    .box = sl->box,
	    .access = sl->access,
	    .out = server->out,
	    .url = server->settings.auth.subscribe_url,
	    .headers = server->settings.auth.subscribe_headers,
	    .tenant = server->settings.auth.subscribe_tenant,
	    .timeout_ms = (unsigned)server->settings.auth.subscribe_timeout_ms,
	    .cache_ms = server->settings.auth.subscribe_cache_ms,
	    .cache_ms_max = server->settings.auth.subscribe_cache_ms_max,
	    .failed = guests_failed,
	    .ctx = sl->server,
	};
	return server->out ? guests_create(&options, &sl->api.guests) : 0;
}

static int
sessions_create(struct server_loop *sl)
{
	static const struct session_hooks hooks = {
	    .publish = api_publish,
	    .names = api_names,
	    .guest_keep = api_guest_keep,
	    .guest_ask = api_guest_ask,
	    .guest_forget = api_guest_forget,
	    .finished = request_finished,
	};
	struct server *server = sl->server;
	struct session_settings settings;
	session_settings_fill(server, &server->settings, &settings);
	sl->api = (struct api_loop){
	    .api = &server->api,
	    .flow = sl->flow,
	    .access = sl->access,
	    .loop = sl->loop,
	    .box = sl->box,
	    .hub = sl->hub,
	};
	int error = registrar_create(&sl->api, &sl->api.registrar);
	if (!error)
		error = guests_begin(sl);
	if (error)
		return error;
	return session_loop_create(sl->loop, sl->net, sl->access, sl->hub, server->routes,
	    &settings, &hooks, &sl->api, &sl->sessions);
}

static int
net_begin(struct server_loop *sl)
{
	const struct settings *settings = &sl->server->settings;
	uint64_t loops = sl->server->loop_count;
	struct net_limits limits = {
	    .in_bytes_max = settings->net.in_bytes_max,
	    .out_bytes_max = settings->net.out_bytes_max,
	    .out_all_bytes_max = settings->net.out_all_bytes_max / loops,
	    .conns_max = (unsigned)sl->server->loop_conns_max,
	    .slow_write_ms = (unsigned)settings->net.slow_write_ms,
	};
	return net_create(sl->loop, socket_real(), &limits, &sl->net);
}

static void
times_set(struct server_loop *sl, const struct settings *settings)
{
	flow_loop_set_times(sl->flow, (int64_t)settings->time.future_ms,
	    (int64_t)settings->time.past_ms, (int64_t)settings->retention.points_ms);
}


int
server_loop_create(struct server *server, unsigned index)
{
	struct server_loop *sl = &server->loops[index];
	sl->server = server;
	sl->index = index;
	int error = loop_create(server->env, index, &sl->loop);
	if (error)
		return error;
	loop_set_permits(sl->loop, server->permits);
	error = mailbox_create(sl->loop, &sl->box);
	if (!error)
		error = net_begin(sl);
	if (!error)
		error = access_create(server->data.secret, &sl->access);
	if (!error)
		error = server_registry_put(server, sl->access);
	demo_key_put(sl, &error);
	if (!error)
		error = hub_local_create(sl->loop, flow_hub_hooks(), server->flow, &sl->hub);
	if (!error)
		error = flow_loop_create(server->flow, sl->loop, sl->box, sl->hub, &sl->flow);
	if (!error)
		times_set(sl, &server->settings);
	if (!error)
		error = sessions_create(sl);
	return error;
}

/* All but loop and mailbox, which others may still send to. */
void
server_loop_destroy(struct server_loop *sl)
{
	if (sl->drain_timer.fire)
		loop_timer_cancel(sl->loop, &sl->drain_timer);
	datagrams_destroy(sl->datagrams);
	session_loop_destroy(sl->sessions);
	guests_destroy(sl->api.guests);
	registrar_destroy(sl->api.registrar);
	flow_loop_destroy(sl->flow);
	hub_local_destroy(sl->hub);
	if (sl->net)
		net_destroy(sl->net);
	access_destroy(sl->access);
}

static void
loop_thread(void *ctx)
{
	struct server_loop *sl = ctx;
	server_files_own(sl);
	thread_be_prompt();
	loop_run(sl->loop);
}

int
server_loop_start(struct server_loop *sl)
{
	char name[16];
	snprintf(name, sizeof name, "loop-%u", sl->index % 64);
	int error = thread_start(&sl->thread, name, loop_thread, sl);
	sl->running = !error;
	return error;
}

/* ── orders ── */

static void
reply_deliver(struct mail *mail)
{
	CONTAINER_OF(mail, struct server_loop, reply)->server->waiting--;
}

void
server_loop_reply(struct server_loop *sl)
{
	sl->reply.deliver = reply_deliver;
	mailbox_send(sl->server->box, &sl->reply);
}

/* The last loop to be ready says so. */
static void
ready_log(struct server *server)
{
	struct flow_stats stats;
	flow_stats(server->flow, &stats);
	log_event(server->log, LOG_INFO, "ready",
	    LOG_FIELDS(LOG_NUMBER("series", atomic_load(&server->ready_series)),
		LOG_NUMBER("parts", atomic_load(&server->ready_parts)),
		LOG_NUMBER("replayed", stats.replayed),
		LOG_NUMBER("ms", (env_mono_ns(server->env) - server->begun_ns) / 1000000)));
}

static void
on_ready(struct mail *mail)
{
	struct server_loop *sl = CONTAINER_OF(mail, struct server_order, mail)->sl;
	struct server *server = sl->server;
	struct series_partition_stats stats;
	flow_loop_series_stats(sl->flow, &stats);
	atomic_fetch_add(&server->ready_series, stats.series);
	atomic_fetch_add(&server->ready_parts, stats.parts);
	session_set_ready(sl->sessions, true);
	datagrams_start(sl->datagrams);
	if (sl->index == 0)
		retention_start(server->retention);
	if (atomic_fetch_add(&server->loops_ready, 1) + 1 == server->loop_count)
		ready_log(server);
}

/* Whether no connection is left and nothing is on its way to the journal. */
static void
drain_look(struct loop_timer *timer)
{
	struct server_loop *sl = CONTAINER_OF(timer, struct server_loop, drain_timer);
	struct net_stats stats;
	net_stats(sl->net, &stats);
	if (stats.open == 0 && flow_intake_bytes(sl->server->flow) == 0 &&
	    !datagrams_waiting(sl->datagrams)) {
		server_loop_reply(sl);
		return;
	}
	uint64_t now_ms = loop_mono_ms(sl->loop);
	if (now_ms >= sl->drain_until_ms && stats.open) {
		net_drain(sl->net, NET_CLOSE_DRAIN, 0);
		sl->drain_until_ms = UINT64_MAX;
	}
	if (loop_timer_set(sl->loop, timer, now_ms + DRAIN_LOOK_MS))
		server_fatal(sl->server, "no memory for a timer", -ENOMEM);
}

static void
on_drain(struct mail *mail)
{
	struct server_loop *sl = CONTAINER_OF(mail, struct server_order, mail)->sl;
	net_stop_listening(sl->net);
	session_drain(sl->sessions);
	datagrams_stop(sl->datagrams);
	sl->drain_until_ms = loop_mono_ms(sl->loop) + sl->server->settings.net.drain_ms;
	sl->drain_timer.fire = drain_look;
	drain_look(&sl->drain_timer);
}

static void
flushed(void *ctx, int error)
{
	struct server_loop *sl = ctx;
	sl->flush_error = error;
	server_loop_reply(sl);
}

static void
on_flush(struct mail *mail)
{
	struct server_loop *sl = CONTAINER_OF(mail, struct server_order, mail)->sl;
	flow_loop_flush(sl->flow, flushed, sl);
}

void
server_loop_order(struct server_loop *sl, enum server_order_kind kind)
{
	static void (*const deliver[SERVER_ORDER_COUNT])(struct mail * mail) = {
	    [SERVER_ORDER_READY] = on_ready,
	    [SERVER_ORDER_DRAIN] = on_drain,
	    [SERVER_ORDER_FLUSH] = on_flush,
	};
	struct server_order *order = &sl->orders[kind];
	order->sl = sl;
	order->mail.deliver = deliver[kind];
	mailbox_send(sl->box, &order->mail);
}

/* ── settings ── */

struct reload {
	struct mail mail;
	struct server_loop *sl;
	struct session_settings settings;
	struct settings all;
};

static void
reload_deliver(struct mail *mail)
{
	struct reload *reload = CONTAINER_OF(mail, struct reload, mail);
	session_set_settings(reload->sl->sessions, &reload->settings);
	times_set(reload->sl, &reload->all);
	if (reload->sl->index == 0)
		retention_set(reload->sl->server->retention, &reload->all);
	free(reload);
}

int
server_loop_reload(struct server_loop *sl, const struct settings *settings)
{
	struct reload *reload = malloc(sizeof *reload);
	if (!reload)
		return -ENOMEM;
	reload->sl = sl;
	reload->all = *settings;
	session_settings_fill(sl->server, settings, &reload->settings);
	reload->mail.deliver = reload_deliver;
	mailbox_send(sl->box, &reload->mail);
	return 0;
}

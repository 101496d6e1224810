/*
 * session.c: the world of one loop's sessions: made, drained, ended; and the date.
 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "datetime.h"
#include "live.h"
#include "session_priv.h"

static void
run_done(struct loop_task *task)
{
	http_settle_all(CONTAINER_OF(task, struct session_loop, done_task));
}

int
session_loop_create(struct loop *loop, struct net *net, struct access *access,
    struct hub_local *hub, const struct session_routes *routes,
    const struct session_settings *settings, const struct session_hooks *hooks, void *app,
    struct session_loop **ret_sessions)
{
	struct session_loop *sessions = calloc(1, sizeof(*sessions));
	if (!sessions)
		return -ENOMEM;
	sessions->loop = loop;
	sessions->net = net;
	sessions->access = access;
	sessions->hub = hub;
	sessions->routes = routes;
	sessions->settings = *settings;
	if (hooks)
		sessions->hooks = *hooks;
	sessions->app = app;
	sessions->date_s = -1;
	list_init(&sessions->https);
	list_init(&sessions->done);
	loop_task_init(&sessions->done_task, run_done);
	list_init(&sessions->pasts);
	loop_task_init(&sessions->pasts_task, live_past_run);
	live_sse_init(sessions);
	live_ws_init(sessions);
	live_poll_init(sessions);
	buf_init(&sessions->scratch, 0);
	buf_init(&sessions->frame, 0);
	buf_init(&sessions->headers, 0);
	if (live_list_init(sessions)) {
		free(sessions);
		return -ENOMEM;
	}
	*ret_sessions = sessions;
	return 0;
}

void
session_loop_destroy(struct session_loop *sessions)
{
	if (!sessions)
		return;
	check(list_empty(&sessions->https));
	live_list_finish(sessions);
	loop_task_cancel(&sessions->done_task);
	loop_task_cancel(&sessions->pasts_task);
	loop_task_cancel(&sessions->polls_task);
	slab_finish(&sessions->sse_slab);
	slab_finish(&sessions->ws_slab);
	slab_finish(&sessions->poll_slab);
	buf_finish(&sessions->scratch);
	buf_finish(&sessions->frame);
	buf_finish(&sessions->headers);
	free(sessions);
}

const char *
session_date(struct session_loop *sessions)
{
	int64_t now_ms = loop_now_ms(sessions->loop);
	if (now_ms / 1000 != sessions->date_s) {
		sessions->date_s = now_ms / 1000;
		datetime_format_http(sessions->date, now_ms);
		sessions->date[DATETIME_HTTP_BYTES] = '\0';
	}
	return sessions->date;
}

void
session_set_ready(struct session_loop *sessions, bool ready)
{
	sessions->ready = ready;
}

void
session_set_settings(struct session_loop *sessions, const struct session_settings *settings)
{
	sessions->settings = *settings;
}

static void
end_drained(struct live *live, void *ctx)
{
	(void)ctx;
	live_end(live, NET_CLOSE_DRAIN);
}

void
session_drain(struct session_loop *sessions)
{
	sessions->draining = true;
	LIST_FOREACH(link, &sessions->https)
		http_drain(CONTAINER_OF(link, struct http, link));
	live_list_each(sessions, end_drained, NULL);
}

/*
 * out.c: the thread that makes requests: a loop that drives libcurl's multi interface.
 *
 * A call comes by mail, waits in `waiting` until fewer than under_way_max are under way, becomes an
 * easy handle, and goes back by mail. Its one deadline is a timer of the loop, also while it waits.
 * The loop watches what curl tells it to, so an idle thread sleeps, and threads with other tables
 * of descriptors wake it as they wake any loop.
 *
 * Invariant: handles are added and removed outside of curl's callbacks only; these note in the call
 * what failed.
 */
#include "out.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "check.h"
#include "out_priv.h"
#include "thread.h"

struct out {
	struct loop *loop;
	struct mailbox *box;
	CURLM *multi;
	struct loop_timer timer;        /* curl's; keeps its place */
	struct list waiting, under_way; /* of out_call.link */
	unsigned under_way_count, under_way_max, calls_max;
	atomic_uint count;
	struct mail stop_mail;
	pthread_t thread;
	bool running;
};

/* A socket that curl wants to be told of. */
struct watch {
	struct loop_io io;
	struct out *out;
};

/* ── calls ── */

static void
give_back(struct out_call *call, int error)
{
	struct out *out = call->out;
	list_remove(&call->link);
	loop_timer_cancel(out->loop, &call->timer);
	out_easy_destroy(call);
	call->error = error;
	if (error) {
		call->status = 0;
		buf_finish(&call->answer);
		if (!call->why[0])
			snprintf(call->why, sizeof call->why, "%s", strerror(-error));
	}
	call->mail.deliver = call->deliver;
	atomic_fetch_sub(&out->count, 1);
	mailbox_send(call->reply_to, &call->mail);
}

static void
end_call(struct out_call *call, int error)
{
	struct out *out = call->out;
	check(curl_multi_remove_handle(out->multi, call->easy) == CURLM_OK);
	out->under_way_count--;
	give_back(call, error);
}

static void
start_call(struct out *out, struct out_call *call)
{
	list_remove(&call->link);
	int error = atomic_load(&call->dropped) ? -ECANCELED : out_easy_create(call);
	if (!error && curl_multi_add_handle(out->multi, call->easy) != CURLM_OK)
		error = -ENOMEM;
	if (error) {
		give_back(call, error);
		return;
	}
	list_push_back(&out->under_way, &call->link);
	out->under_way_count++;
}

static void
start_calls(struct out *out)
{
	while (out->under_way_count < out->under_way_max && !list_empty(&out->waiting))
		start_call(out, CONTAINER_OF(out->waiting.next, struct out_call, link));
}

/* Gives back what curl has finished. */
static void
reap(struct out *out)
{
	const CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(out->multi, &left))) {
		CURLcode code = message->data.result;
		char *private;
		check(message->msg == CURLMSG_DONE);
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
		struct out_call *call = (struct out_call *)(void *)private;
		end_call(call, out_easy_result(call, (int)code));
	}
	start_calls(out);
}

/* Its time is over, or it failed in one of curl's callbacks. */
static void
call_late(struct loop_timer *timer)
{
	struct out_call *call = CONTAINER_OF(timer, struct out_call, timer);
	struct out *out = call->out;
	int error = call->error ? call->error : -ETIMEDOUT;
	if (!call->error)
		snprintf(call->why, sizeof call->why, "no %s within %u ms",
		    call->easy ? "answer" : "free connection", call->timeout_ms);
	if (call->easy)
		end_call(call, error);
	else
		give_back(call, error);
	start_calls(out);
}

static void
call_arrive(struct mail *mail)
{
	struct out_call *call = CONTAINER_OF(mail, struct out_call, mail);
	struct out *out = call->out;
	call->timer.fire = call_late;
	list_push_back(&out->waiting, &call->link);
	if (loop_timer_set(out->loop, &call->timer,
	    loop_mono_ms(out->loop) + call->timeout_ms))
		give_back(call, -ENOMEM);
	start_calls(out);
}

int
out_send(struct out *out, struct out_call *call)
{
	check(call->timeout_ms && call->reply_to && call->mail.deliver);
	if (atomic_fetch_add(&out->count, 1) >= out->calls_max) {
		atomic_fetch_sub(&out->count, 1);
		return -EAGAIN;
	}
	call->out = out;
	call->deliver = call->mail.deliver;
	call->mail.deliver = call_arrive;
	call->timer = (struct loop_timer){0};
	call->easy = call->lines = NULL;
	call->head_bytes = 0;
	call->error = 0;
	call->status = 0;
	call->delimited = false;
	call->why[0] = '\0';
	buf_init(&call->answer, call->answer_bytes_max);
	list_init(&call->link);
	atomic_init(&call->dropped, false);
	mailbox_send(out->box, &call->mail);
	return 0;
}

void
out_drop(struct out_call *call)
{
	atomic_store(&call->dropped, true);
}

unsigned
out_count(const struct out *out)
{
	return atomic_load(&out->count);
}

/* ── what curl asks of the loop ── */

static void
act(struct out *out, curl_socket_t fd, int events)
{
	int running;
	curl_multi_socket_action(out->multi, fd, events, &running);
	reap(out);
}

static void
socket_ready(struct loop_io *io, uint32_t events)
{
	const struct watch *watch = CONTAINER_OF(io, struct watch, io);
	int mask = (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
	    (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
	    (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
	act(watch->out, io->fd, mask); /* the watch may be gone now */
}

/* What cannot be watched ends its call, in a turn of its own. */
static void
watch_failed(CURL *easy, int error)
{
	char *private = NULL;
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
	struct out_call *call = (struct out_call *)(void *)private;
	if (!call)
		return;
	call->error = error;
	check(loop_timer_set(call->out->loop, &call->timer, 0) == 0); /* it has its place */
}

static int
socket_changed(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
	static const uint32_t events[] = {
		[CURL_POLL_IN] = EPOLLIN, [CURL_POLL_OUT] = EPOLLOUT,
		[CURL_POLL_INOUT] = EPOLLIN | EPOLLOUT,
	};
	struct out *out = ctx;
	struct watch *watch = socket_ctx;
	if (what == CURL_POLL_REMOVE) {
		if (watch)
			loop_watch(out->loop, &watch->io, 0);
		free(watch);
		return 0;
	}
	if (!watch) {
		watch = calloc(1, sizeof *watch);
		if (!watch) {
			watch_failed(easy, -ENOMEM);
			return 0;
		}
		watch->out = out;
		watch->io.fd = fd;
		watch->io.ready = socket_ready;
		curl_multi_assign(out->multi, fd, watch);
	}
	int error = loop_watch(out->loop, &watch->io, events[what]);
	if (error)
		watch_failed(easy, error);
	return 0;
}

static void
timer_fired(struct loop_timer *timer)
{
	struct out *out = CONTAINER_OF(timer, struct out, timer);
	/* Its place is taken again before somebody else takes it. */
	check(loop_timer_set(out->loop, timer, UINT64_MAX) == 0);
	act(out, CURL_SOCKET_TIMEOUT, 0);
}

static int
timer_changed(CURLM *multi, long wait_ms, void *ctx)
{
	struct out *out = ctx;
	(void)multi;
	uint64_t at_ms = wait_ms < 0 ? UINT64_MAX :
	    loop_mono_ms(out->loop) + (uint64_t)wait_ms;
	check(loop_timer_set(out->loop, &out->timer, at_ms) == 0);
	return 0;
}

/* ── its life ── */

static int
multi_create(struct out *out)
{
	out->timer.fire = timer_fired;
	int error = loop_timer_set(out->loop, &out->timer, UINT64_MAX);
	if (error)
		return error;
	out->multi = curl_multi_init();
	if (!out->multi)
		return -ENOMEM;
	curl_multi_setopt(out->multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
	curl_multi_setopt(out->multi, CURLMOPT_SOCKETDATA, out);
	curl_multi_setopt(out->multi, CURLMOPT_TIMERFUNCTION, timer_changed);
	curl_multi_setopt(out->multi, CURLMOPT_TIMERDATA, out);
	curl_multi_setopt(out->multi, CURLMOPT_MAXCONNECTS, (long)out->under_way_max);
	return 0;
}

int
out_create(const struct out_options *options, struct out **ret_out)
{
	struct out *out = calloc(1, sizeof *out);
	if (!out)
		return -ENOMEM;
	check(options->under_way_max);
	out->under_way_max = options->under_way_max;
	out->calls_max = options->under_way_max + options->waiting_max;
	list_init(&out->waiting);
	list_init(&out->under_way);
	atomic_init(&out->count, 0);
	int error = loop_create(options->env, 0, &out->loop);
	if (!error)
		error = mailbox_create(out->loop, &out->box);
	if (!error)
		error = multi_create(out);
	if (error) {
		out_destroy(out);
		return error;
	}
	*ret_out = out;
	return 0;
}

int
out_wake_fd(const struct out *out)
{
	return loop_wake_fd(out->loop);
}

static void
run(void *ctx)
{
	struct out *out = ctx;
	loop_run(out->loop);
}

int
out_start(struct out *out)
{
	int error = thread_start(&out->thread, "out", run, out);
	out->running = !error;
	return error;
}

static void
stop_arrive(struct mail *mail)
{
	struct out *out = CONTAINER_OF(mail, struct out, stop_mail);
	while (!list_empty(&out->under_way))
		end_call(CONTAINER_OF(out->under_way.next, struct out_call, link), -ECANCELED);
	while (!list_empty(&out->waiting))
		give_back(CONTAINER_OF(out->waiting.next, struct out_call, link), -ECANCELED);
	loop_stop(out->loop);
}

void
out_stop(struct out *out)
{
	if (!out || !out->running)
		return;
	out->stop_mail.deliver = stop_arrive;
	mailbox_send(out->box, &out->stop_mail);
	thread_join(out->thread);
	out->running = false;
}

void
out_destroy(struct out *out)
{
	if (!out)
		return;
	check(!out->running && atomic_load(&out->count) == 0);
	if (out->multi)
		curl_multi_cleanup(out->multi);
	if (out->loop)
		loop_timer_cancel(out->loop, &out->timer);
	mailbox_destroy(out->box);
	loop_destroy(out->loop);
	free(out);
}

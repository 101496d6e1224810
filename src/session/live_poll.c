/*
 * live_poll.c: long polls: a connection that waits for an answer.
 *
 * While it is held, a request is folded into what its answer needs, so that many can wait: the
 * request, its connection's HTTP state and the credentials go, and are made anew for the answer.
 * The first turn that brings something answers, with all that the turn brought; `next` is the
 * position of the answer, so the next poll begins exactly behind it.
 *
 * Invariant: nothing is answered within a call of the hub's; the fact is noted, and polls_task
 * answers in LOOP_WRITE. What was found is there while the poll is queued or its question under
 * way, and may be there after.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "live.h"

enum { MESSAGES_MAX = 1000, BYTES_MAX = 32 << 20 };

/* What has come so far. */
struct found {
	struct live_poll *poll;
	struct list link;           /* in sessions->polls: to be answered */
	struct buf messages, closed;
	uint32_t count;
	int error;
	bool gap, over;             /* over: answered even with nothing */
};

struct live_poll {
	struct live live;
	struct found *found;
	uint64_t next;              /* seq: where to go on */
	int64_t until_ms;           /* messages of a later time are not its own */
	struct http_folded folded;
	uint32_t timeout_s;
	bool caught;
};

static struct live_poll *
poll_of(struct sink *sink)
{
	return CONTAINER_OF(sink, struct live_poll, live.sink);
}

static void
forget_found(struct live_poll *poll)
{
	struct found *found = poll->found;
	if (!found)
		return;
	list_remove(&found->link);
	buf_finish(&found->messages);
	buf_finish(&found->closed);
	free(found);
	poll->found = NULL;
}

/* NULL: memory is out, and the connection is closed. */
static struct found *
find(struct live_poll *poll)
{
	struct found *found = poll->found;
	if (found)
		return found;
	found = calloc(1, sizeof(*found));
	if (!found) {
		net_close(poll->live.conn, NET_CLOSE_MEMORY);
		return NULL;
	}
	found->poll = poll;
	list_init(&found->link);
	buf_init(&found->messages, 0);
	buf_init(&found->closed, 0);
	poll->found = found;
	return found;
}

static void
settle_later(struct live_poll *poll)
{
	struct session_loop *sessions = poll->live.sessions;
	struct found *found = find(poll);
	if (!found || !list_empty(&found->link))
		return;
	list_push_back(&sessions->polls, &found->link);
	loop_task_queue(sessions->loop, LOOP_WRITE, &sessions->polls_task);
}

/* ── the answer ── */

static void
write_answer(const struct live_poll *poll, struct buf *out)
{
	const struct found *found = poll->found;
	buf_append_str(out, "{\"messages\":[");
	if (found)
		buf_append_span(out, buf_span(&found->messages));
	buf_append_str(out, "],\"next\":\"m");
	buf_append_u64(out, poll->next);
	buf_append_byte(out, '"');
	if (found && found->gap)
		buf_append_str(out, ",\"gap\":true");
	if (found && found->closed.len) {
		buf_append_str(out, ",\"closed\":[");
		buf_append_span(out, buf_span(&found->closed));
		buf_append_byte(out, ']');
	}
	buf_append_byte(out, '}');
}

/* Whether he who asked may still hear all of it. */
static bool
may_listen(const struct live_poll *poll)
{
	struct hub_subscription *pos = NULL;
	struct span pattern;
	while (hub_sink_next(&poll->live.sink, &pos, &pattern)) {
		if (!live_may_listen(&poll->live, pattern))
			return false;
	}
	return true;
}

/* Gives the connection back to HTTP, with the answer. The poll is gone afterwards. */
static void
answer(struct live_poll *poll)
{
	struct session_request *request =
	    http_unfold(poll->live.sessions, poll->live.conn, &poll->folded, poll->live.principal);
	if (!request)
		return;
	struct buf out;
	buf_init(&out, 0);
	write_answer(poll, &out);
	int error = poll->found ? poll->found->error : 0;
	bool whole = buf_ok(&out) && !(poll->found && !buf_ok(&poll->found->messages));
	if (!session_principal_holds(request)) {
		session_problem(request, 401, NULL, "these credentials are not valid any more");
	} else if (!may_listen(poll)) {
		session_problem(request, 403, NULL, "you may not hear one of them any more");
	} else if (error == -ENOENT) {
		session_problem(request, 404, NULL, "one of the channels is no more");
	} else if (error == -EAGAIN) {
		session_problem(request, 503, NULL, "the server is stopping");
	} else if (error || !whole) {
		session_problem(request, 503, NULL, "memory is out");
	} else {
		session_add_header(request, "Cache-Control", SPAN("no-cache"));
		session_answer(request, 200, "application/json", buf_span(&out));
	}
	buf_finish(&out);
	live_destroy(&poll->live);
}

static void
live_poll_run(struct loop_task *task)
{
	struct session_loop *sessions = CONTAINER_OF(task, struct session_loop, polls_task);
	while (!list_empty(&sessions->polls)) {
		struct found *found = CONTAINER_OF(sessions->polls.next, struct found, link);
		struct live_poll *poll = found->poll;
		bool any = found->count || found->gap || found->closed.len || found->over;
		list_remove(&found->link);
		if (found->error || found->over || (poll->caught && any))
			answer(poll);
		else if (!any)
			forget_found(poll);
	}
}

/* ── what the hub says ── */

/* What does not fit any more, or is of a time that was not asked for, comes with the next poll:
 * `next` stays before it. */
static void
deliver(struct sink *sink, struct hub_message *message, uint64_t channels)
{
	struct live_poll *poll = poll_of(sink);
	struct found *found = find(poll);
	if (!found || found->over || found->count == MESSAGES_MAX ||
	    found->messages.len > BYTES_MAX)
		return;
	if (message->time_ms > poll->until_ms) {
		found->over = true;
		settle_later(poll);
		return;
	}
	if (found->count++)
		buf_append_byte(&found->messages, ',');
	hub_message_json(message, channels, &found->messages);
	poll->next = message->seq;
	if (poll->caught)
		settle_later(poll);
}

static void
gap(struct sink *sink)
{
	struct found *found = find(poll_of(sink));
	if (found)
		found->gap = true;
}

static void
caught(struct sink *sink, const struct hub_caught *result)
{
	struct live_poll *poll = poll_of(sink);
	poll->caught = true;
	poll->next = result->answer.more ? result->answer.seq_last : result->seq;
	if (result->error) {
		struct found *found = find(poll);
		if (found)
			found->error = result->error;
	}
	if (poll->found)
		settle_later(poll);
	struct loop *loop = poll->live.sessions->loop;
	int64_t left_ms = MAX(poll->until_ms - loop_now_ms(loop), (int64_t)0);
	net_set_deadline(poll->live.conn, loop_mono_ms(loop) +
	    MIN((uint64_t)poll->timeout_s * 1000, (uint64_t)left_ms));
}

static void
channel_closed(struct sink *sink, const struct hub_target *channel)
{
	struct live_poll *poll = poll_of(sink);
	struct found *found = find(poll);
	if (!found)
		return;
	if (found->closed.len)
		buf_append_byte(&found->closed, ',');
	buf_append_u64(&found->closed, channel->id);
	settle_later(poll);
}

/* ── the connection ── */

/* What follows waits until the answer is out; the end of it is the end of the poll: a client that
 * has gone would be held, counted and shown for the rest of its time. */
static size_t
input(void *ctx, struct span bytes)
{
	(void)ctx, (void)bytes;
	return 0;
}

static void
deadline(void *ctx)
{
	answer(ctx);
}

static void
closed(void *ctx, enum net_close_reason reason)
{
	(void)reason; /* net counts it */
	live_destroy(ctx);
}

static void
start(struct live *live)
{
	net_pause_input(live->conn, false);
}

static void
end(struct live *live, enum net_close_reason reason)
{
	struct live_poll *poll = (struct live_poll *)live;
	struct found *found = find(poll);
	if (!found)
		return;
	found->over = true;
	(void)reason; /* the answer says what is so by then */
	if (!poll->caught)
		found->error = -EAGAIN;
	settle_later(poll);
}

static void
free_poll(struct live *live)
{
	struct live_poll *poll = (struct live_poll *)live;
	forget_found(poll);
	slab_put(&live->sessions->poll_slab, poll);
}

static const struct live_ops poll_ops = {
	.conn = {.input = input, .deadline = deadline, .closed = closed},
	.start = start,
	.end = end,
	.free = free_poll,
};

static const struct sink_ops poll_sink_ops = {
	.deliver = deliver, .gap = gap, .caught = caught, .closed = channel_closed,
	.who = live_who,
};

void
live_poll_init(struct session_loop *sessions)
{
	list_init(&sessions->polls);
	loop_task_init(&sessions->polls_task, live_poll_run);
	slab_init(&sessions->poll_slab, sizeof(struct live_poll));
}

void
session_become_poll(struct session_request *request, const struct hub_question *question,
    unsigned timeout_s)
{
	if (request->broken)
		return;
	struct live_poll *poll = slab_get(&request->http->sessions->poll_slab);
	uint64_t token;
	if (!poll) {
		session_problem(request, 503, NULL, "memory is out");
		return;
	}
	*poll = (struct live_poll){.timeout_s = timeout_s, .until_ms = question->until_ms};
	live_init(&poll->live, &poll_ops, &poll_sink_ops, request);
	struct hub_question asked = *question;
	asked.limit = MESSAGES_MAX;
	asked.bytes_max = BYTES_MAX;
	int error = hub_catch(poll->live.sessions->hub, &poll->live.sink, &asked, true, &token);
	if (error) {
		session_problem(request, error == -EEXIST ? 400 : 503, NULL,
		    error == -EEXIST ? "a channel is named twice" : "memory is out");
		live_destroy(&poll->live);
		return;
	}
	http_fold(request, &poll->folded);
	live_take(&poll->live, request);
}

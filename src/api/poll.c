/*
 * poll.c: polls: a sink that lives for one answer. `next` is the position of the answer, so the
 * next poll begins exactly behind it.
 *
 * Invariants: nothing is answered within a call of the hub's; the fact is noted and the task
 * answers in LOOP_WRITE. What views have shown takes a while to be found: whether the caller may
 * hear it is asked when it is answered, too.
 */
#include "poll.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "access_may.h"
#include "check.h"
#include "num.h"

struct poll {
	struct poll_owner owner;        /* first: the request's state */
	struct sink sink;
	struct session_request *request;
	struct hub_local *hub;
	struct loop *loop;
	struct loop_task task;
	uint64_t token;
	struct hub_question asked;      /* without its ids; its patterns lie behind */
	uint64_t next, last;            /* seqs: where to go on; of the last message given */
	struct buf messages;
	uint32_t count;
	bool gap;
	int error;
	struct span patterns[];
};

static void
poll_destroy(struct poll *poll)
{
	hub_unsubscribe_all(poll->hub, &poll->sink);
	loop_task_cancel(&poll->task);
	buf_finish(&poll->messages);
	free(poll);
}

static void
poll_gone(struct poll_owner *owner)
{
	poll_destroy((struct poll *)owner);
}

/* ── the answer ── */

static void
write_answer(const struct poll *poll, struct buf *out)
{
	buf_append_str(out, "{\"messages\":[");
	buf_append_span(out, buf_span(&poll->messages));
	buf_printf(out, "],\"next\":\"m%llu\"", (unsigned long long)poll->next);
	if (poll->gap)
		buf_append_str(out, ",\"gap\":true");
	buf_append_byte(out, '}');
}

/* The messages tell answers apart, not where to go on. */
static bool
is_known(const struct poll *poll)
{
	char tag[64];
	int len = snprintf(tag, sizeof tag, "\"m%llu-%u%s\"", (unsigned long long)poll->last,
	    poll->count, poll->gap ? "-gap" : "");
	return api_etag_known(poll->request, span_of(tag, (size_t)len));
}

static bool
may_listen(const struct poll *poll)
{
	const struct api_loop *al = session_app(poll->request);
	for (size_t i = 0; i < poll->asked.pattern_count; i++) {
		if (!access_may_listen(al->access, session_principal(poll->request),
		    poll->patterns[i]))
			return false;
	}
	return true;
}

static void
poll_answer(struct poll *poll)
{
	struct session_request *request = poll->request;
	struct buf out;
	if (!session_principal_holds(request)) {
		session_problem(request, 401, NULL, "these credentials are not valid any more");
	} else if (!may_listen(poll)) {
		session_problem(request, 403, NULL, "you may not hear one of them any more");
	} else if (poll->error == -ENOENT) {
		session_problem(request, 404, NULL, "one of the channels is no more");
	} else if (poll->error || !buf_ok(&poll->messages)) {
		api_no_memory(request);
	} else if (is_known(poll)) {
		session_answer(request, 304, NULL, span_of(NULL, 0));
	} else {
		buf_init(&out, 0);
		write_answer(poll, &out);
		api_answer_buf(request, 200, "application/json", &out);
	}
}

static void
task_run(struct loop_task *task)
{
	poll_answer(CONTAINER_OF(task, struct poll, task));
}

/* ── what the hub says ── */

static struct poll *
poll_of(struct sink *sink)
{
	return CONTAINER_OF(sink, struct poll, sink);
}

static void
deliver(struct sink *sink, struct hub_message *message, uint64_t channels)
{
	struct poll *poll = poll_of(sink);
	if (poll->count++)
		buf_append_byte(&poll->messages, ',');
	hub_message_json(message, channels, &poll->messages);
	poll->last = message->seq;
}

static void
gap(struct sink *sink)
{
	poll_of(sink)->gap = true;
}

static void
caught(struct sink *sink, const struct hub_caught *result)
{
	struct poll *poll = poll_of(sink);
	poll->error = result->error;
	poll->next = hub_caught_next(&poll->asked, result);
	loop_task_queue(poll->loop, LOOP_WRITE, &poll->task);
}

static struct poll *
poll_create(struct session_request *request, const struct hub_question *question)
{
	static const struct sink_ops ops = {
		.deliver = deliver, .gap = gap, .caught = caught,
	};
	const struct api_loop *al = session_app(request);
	size_t bytes = question->pattern_count * sizeof(struct span);
	for (size_t i = 0; i < question->pattern_count; i++)
		bytes += question->patterns[i].len;
	struct poll *poll = malloc(sizeof *poll + bytes);
	if (!poll)
		return NULL;
	*poll = (struct poll){
		.owner.gone = poll_gone,
		.request = request,
		.hub = al->hub,
		.loop = al->loop,
		.asked = *question,
	};
	char *at = (char *)(poll->patterns + question->pattern_count);
	for (size_t i = 0; i < question->pattern_count; i++)
		poll->patterns[i] = span_keep(&at, question->patterns[i]);
	poll->asked.patterns = poll->patterns;
	poll->asked.ids = NULL;
	hub_sink_init(&poll->sink, &ops);
	loop_task_init(&poll->task, task_run);
	buf_init(&poll->messages, 0);
	return poll;
}

void
poll_start(struct session_request *request, const struct hub_question *question)
{
	struct poll *poll = poll_create(request, question);
	if (!poll) {
		api_no_memory(request);
		return;
	}
	int error = hub_catch(poll->hub, &poll->sink, question, false, &poll->token);
	if (!error) {
		session_set_state(request, poll);
		return;
	}
	if (error == -EEXIST)
		session_problem(request, 400, NULL, "a channel is named twice");
	else
		api_no_memory(request);
	poll_destroy(poll);
}

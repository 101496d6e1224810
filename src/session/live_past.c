/*
 * live_past.c: what a connection asks of the past, before the present follows without a seam.
 *
 * The past comes in pieces of at most PIECE messages. The next one is asked for when the output of
 * the piece before has mostly left, so who reads slowly is not drowned and not dropped.
 *
 * Invariant: a past is in its connection's chain until its last piece was answered; it is queued
 * (link) while the next piece is to be asked for.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "datetime.h"
#include "live.h"
#include "num.h"

enum { PIECE = 256 };

struct live_past {
	struct live_past *next;
	struct list link;             /* in sessions->pasts: to go on */
	struct live *live;
	uint64_t token;
	struct hub_question rest;     /* patterns and tenant lie behind */
};

static struct live_past *
past_create(struct live *live, const struct hub_question *question)
{
	size_t bytes = question->tenant.len + question->pattern_count * sizeof(struct span);
	for (size_t i = 0; i < question->pattern_count; i++)
		bytes += question->patterns[i].len;
	struct live_past *past = malloc(sizeof(*past) + bytes);
	if (!past)
		return NULL;
	struct span *patterns = (struct span *)(past + 1);
	char *at = (char *)(patterns + question->pattern_count);
	*past = (struct live_past){.live = live, .rest = *question};
	list_init(&past->link);
	for (size_t i = 0; i < question->pattern_count; i++)
		patterns[i] = span_keep(&at, question->patterns[i]);
	past->rest.patterns = patterns;
	past->rest.tenant = span_keep(&at, question->tenant);
	past->rest.limit = PIECE;
	return past;
}

static void
past_destroy(struct live_past *past)
{
	list_remove(&past->link);
	free(past);
}

void
live_past_forget(struct live *live)
{
	while (live->pasts) {
		struct live_past *past = live->pasts;
		live->pasts = past->next;
		past_destroy(past);
	}
}

bool
live_catch(struct live *live, const struct hub_question *question,
    struct live_refusal *ret_refusal)
{
	struct hub_local *hub = live->sessions->hub;
	if (!live_check_patterns(live, question->patterns, question->pattern_count, ret_refusal))
		return false;
	struct live_past *past = past_create(live, question);
	int error = past ? 0 : -ENOMEM;
	if (past) {
		/* Who has one of them already asks for its past anew. */
		for (size_t i = 0; i < question->pattern_count; i++)
			hub_unsubscribe(hub, &live->sink, past->rest.tenant,
			    past->rest.patterns[i]);
		error = hub_catch(hub, &live->sink, &past->rest, true, &past->token);
	}
	if (error) {
		if (past)
			past_destroy(past);
		*ret_refusal = error == -EEXIST ?
		    (struct live_refusal){422, "a channel is named twice"} :
		    (struct live_refusal){503, "memory is out"};
		return false;
	}
	past->next = live->pasts;
	live->pasts = past;
	return true;
}

bool
live_listen(struct live *live, const struct session_subscription *subscription,
    struct live_refusal *ret_refusal)
{
	const struct hub_question question = {
		.tenant = live_tenant(live),
		.patterns = subscription->patterns,
		.pattern_count = subscription->pattern_count,
		.since = subscription->since,
		.from_ms = subscription->from_ms,
		.cursor = subscription->cursor,
		.until_ms = INT64_MAX,
	};
	if (subscription->since == HUB_SINCE_NOW || subscription->pattern_count == 0)
		return live_subscribe(live, subscription->patterns, subscription->pattern_count,
		    ret_refusal);
	return live_catch(live, &question, ret_refusal);
}

bool
session_since(struct span text, int64_t now_ms, struct session_subscription *subscription)
{
	if (span_eq(text, SPAN("now"))) {
		subscription->since = HUB_SINCE_NOW;
	} else if (span_eq(text, SPAN("0"))) {
		subscription->since = HUB_SINCE_OLDEST;
	} else if (text.len && text.ptr[0] == 'm') {
		subscription->since = HUB_SINCE_CURSOR;
		return num_parse_u64(span_skip(text, 1), &subscription->cursor) == 0;
	} else {
		subscription->since = HUB_SINCE_TIME;
		return datetime_parse(text, now_ms, &subscription->from_ms) == 0;
	}
	return true;
}

static struct live_past **
find(struct live *live, uint64_t token)
{
	struct live_past **at = &live->pasts;
	while (*at && (*at)->token != token)
		at = &(*at)->next;
	return at;
}

bool
live_caught(struct live *live, const struct hub_caught *caught)
{
	struct live_past **at = find(live, caught->token), *past = *at;
	check(past);
	if (caught->error || !caught->answer.more) {
		*at = past->next;
		past_destroy(past);
		return true;
	}
	past->rest.since = HUB_SINCE_CURSOR;
	past->rest.cursor = caught->answer.seq_last;
	list_push_back(&live->sessions->pasts, &past->link);
	loop_task_queue(live->sessions->loop, LOOP_WORK, &live->sessions->pasts_task);
	return false;
}

/* Whether enough of what was sent has left for the next piece. */
static bool
has_room(const struct live *live)
{
	return net_out_room(live->conn) >= net_out_bytes(live->conn);
}

void
live_past_run(struct loop_task *task)
{
	struct session_loop *sessions = CONTAINER_OF(task, struct session_loop, pasts_task);
	LIST_FOREACH_SAFE(link, after, &sessions->pasts) {
		struct live_past *past = CONTAINER_OF(link, struct live_past, link);
		struct live *live = past->live;
		if (!live->conn || !has_room(live))
			continue; /* drained() comes */
		list_remove(link);
		if (hub_catch_go_on(sessions->hub, &live->sink, &past->rest, &past->token))
			net_close(live->conn, NET_CLOSE_MEMORY);
	}
}

void
live_drained(void *ctx)
{
	struct live *live = ctx;
	live_slow_drained(live);
	if (live->pasts)
		loop_task_queue(live->sessions->loop, LOOP_WORK, &live->sessions->pasts_task);
}

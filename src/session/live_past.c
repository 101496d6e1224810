/*
 * live_past.c: what a connection asks of the past, before the present follows without a seam.
 *
 * The past comes in pieces of so many messages and bytes. The next one is asked for when the output
 * of the piece before has mostly left, so who reads slowly is not drowned and not dropped.
 *
 * A channel that was asked for by its id may be gone when the sequencer is asked: that is told as
 * its end, and the rest is asked for again.
 *
 * Invariant: a past is in its connection's chain until its last piece was answered; it is queued
 * (link) while it is to be asked for again.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "datetime.h"
#include "live.h"
#include "num.h"

enum {
	/* Large: a report of which views show the past is judged anew for each piece of it. */
	PIECE = 1024,
	PIECE_BYTES = 256 * 1024,       /* or a quarter of what may be queued, if that is less */
	PIECE_BYTES_FIRST = 16 * 1024,  /* as long as it is not known how much may be queued */
};

struct live_past {
	struct live_past *next;
	struct list link;             /* in sessions->pasts: to go on */
	struct live *live;
	uint64_t token;
	size_t gone;                  /* the pattern whose channel is to be told of; NOBODY: none */
	struct span *patterns;        /* rest's; they, ids and the tenant lie behind */
	uint64_t *ids;
	struct hub_question rest;
};

#define NOBODY SIZE_MAX

static struct live_past *
past_create(struct live *live, const struct hub_question *question)
{
	size_t bytes = question->tenant.len +
	    question->pattern_count * (sizeof(struct span) + sizeof(uint64_t));
	for (size_t i = 0; i < question->pattern_count; i++)
		bytes += question->patterns[i].len;
	struct live_past *past = malloc(sizeof(*past) + bytes);
	if (!past)
		return NULL;
	struct span *patterns = (struct span *)(past + 1);
	uint64_t *ids = (uint64_t *)(patterns + question->pattern_count);
	char *at = (char *)(ids + question->pattern_count);
	*past = (struct live_past){.live = live, .gone = NOBODY, .patterns = patterns, .ids = ids,
	    .rest = *question};
	list_init(&past->link);
	for (size_t i = 0; i < question->pattern_count; i++) {
		patterns[i] = span_keep(&at, question->patterns[i]);
		ids[i] = question->ids ? question->ids[i] : 0;
	}
	past->rest.patterns = patterns;
	past->rest.ids = ids;
	past->rest.tenant = span_keep(&at, question->tenant);
	past->rest.limit = PIECE;
	past->rest.bytes_max = PIECE_BYTES_FIRST;
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

static void
leave_out(struct live_past *past, size_t at)
{
	past->rest.pattern_count--;
	for (size_t i = at; i < past->rest.pattern_count; i++) {
		past->patterns[i] = past->patterns[i + 1];
		past->ids[i] = past->ids[i + 1];
	}
	if (past->gone == at)
		past->gone = NOBODY;
	else if (past->gone != NOBODY && past->gone > at)
		past->gone--;
}

static void
go_on_later(struct live_past *past)
{
	struct session_loop *sessions = past->live->sessions;
	if (list_empty(&past->link))
		list_push_back(&sessions->pasts, &past->link);
	loop_task_queue(sessions->loop, LOOP_WORK, &sessions->pasts_task);
}

/* What is on its way of its past does not come any more; what else was asked for with it is asked
 * for again. */
void
live_unsubscribe(struct live *live, struct span pattern)
{
	struct hub_local *hub = live->sessions->hub;
	struct live_past **at = &live->pasts, *past;
	hub_unsubscribe(hub, &live->sink, live_tenant(live), pattern);
	while ((past = *at)) {
		size_t i = 0;
		while (i < past->rest.pattern_count && !span_eq(past->patterns[i], pattern))
			i++;
		bool has = i < past->rest.pattern_count;
		if (has) {
			leave_out(past, i);
			hub_forget(hub, &live->sink, past->token);
		}
		if (has && past->rest.pattern_count)
			go_on_later(past);
		if (past->rest.pattern_count) {
			at = &past->next;
		} else {
			*at = past->next;
			past_destroy(past);
		}
	}
}

static bool
has(const struct live *live, struct span pattern)
{
	struct hub_subscription *pos = NULL;
	struct span had;
	while (hub_sink_next(&live->sink, &pos, &had)) {
		if (span_eq(had, pattern))
			return true;
	}
	return false;
}

/* Who has one of them already asks for its past anew, or for nothing new. */
static void
have_already(struct live *live, struct live_past *past)
{
	bool anew = past->rest.since != HUB_SINCE_NOW;
	for (size_t i = 0; i < past->rest.pattern_count; i++) {
		if (anew)
			live_unsubscribe(live, past->patterns[i]);
		else if (has(live, past->patterns[i]))
			leave_out(past, i--);
	}
}

bool
live_catch(struct live *live, const struct hub_question *question,
    struct live_refusal *ret_refusal)
{
	struct hub_local *hub = live->sessions->hub;
	if (!live_check_patterns(live, question->patterns, question->ids, question->pattern_count,
	    ret_refusal))
		return false;
	struct live_past *past = past_create(live, question);
	int error = past ? 0 : -ENOMEM;
	if (past) {
		have_already(live, past);
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
		.ids = subscription->ids,
		.since = subscription->since,
		.from_ms = subscription->from_ms,
		.cursor = subscription->cursor,
		.until_ms = INT64_MAX,
	};
	bool now = subscription->since == HUB_SINCE_NOW && !subscription->ids;
	if (now || subscription->pattern_count == 0)
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

size_t
session_patterns_join(struct span *patterns, uint64_t *ids, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		size_t at = 0;
		while (at < kept && !span_eq(patterns[at], patterns[i]))
			at++;
		if (ids && (at == kept || ids[i]))
			ids[at] = ids[i];
		if (at == kept)
			patterns[kept++] = patterns[i];
	}
	return kept;
}

static struct live_past **
find(struct live *live, uint64_t token)
{
	struct live_past **at = &live->pasts;
	while (*at && (*at)->token != token)
		at = &(*at)->next;
	return at;
}

enum live_caught
live_caught(struct live *live, const struct hub_caught *caught)
{
	struct live_past **at = find(live, caught->token), *past = *at;
	check(past);
	if (caught->error == -ENOENT) {
		past->gone = caught->gone;
		go_on_later(past);
		return LIVE_CAUGHT_PART;
	}
	if (caught->error || !caught->answer.more) {
		*at = past->next;
		past_destroy(past);
		return caught->error ? LIVE_CAUGHT_NOTHING : LIVE_CAUGHT_ALL;
	}
	past->rest.since = HUB_SINCE_CURSOR;
	past->rest.cursor = caught->answer.seq_last;
	go_on_later(past);
	return LIVE_CAUGHT_PART;
}

/* Tells of the channel that is gone. It is left out from now on. */
static void
tell_gone(struct live *live, struct live_past *past)
{
	size_t gone = past->gone;
	const struct hub_target channel = {.name = past->patterns[gone], .id = past->ids[gone]};
	hub_unsubscribe(live->sessions->hub, &live->sink, past->rest.tenant, channel.name);
	live->sink.ops->closed(&live->sink, &channel);
	leave_out(past, gone);
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
		if (past->gone != NOBODY)
			tell_gone(live, past);
		past->rest.bytes_max = MIN((size_t)PIECE_BYTES,
		    (net_out_room(live->conn) + net_out_bytes(live->conn)) / 4);
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

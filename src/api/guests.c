/*
 * guests.c: the application is asked whether guests may subscribe; questions that are the same are
 * one, and answers are kept for a while.
 *
 * A question is its text: the body and the headers that go with it. While it is under way whoever
 * asks the same waits for the same answer; afterwards the answer is kept as long as it said. What
 * is kept is bounded in number and bytes (the oldest go first); what is under way by struct out.
 *
 * Invariant: a guest waits for at most one question; a question in the table either is under way or
 * has an answer that may still count.
 */
#include "guests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_guest.h"
#include "access_may.h"
#include "api.h"
#include "check.h"
#include "guests_answer.h"
#include "hash.h"
#include "json.h"
#include "map.h"
#include "utf8.h"

enum {
	KEPT_MAX = 4096,             /* answers */
	KEPT_BYTES_MAX = 8 << 20,    /* of their questions */
	ANSWER_BYTES_MAX = 64 * 1024,
	DETAIL_BYTES_MAX = 500,
	LINES_MAX = 34,              /* headers that go with a question */
};

struct guests {
	struct guests_options options;
	struct guests_stats stats;
	uint64_t seed;
	struct map questions;        /* of struct question: those that may be joined or count */
	struct list kept;            /* of question.link: answered, the oldest first */
	size_t kept_count, kept_bytes;
	struct loop_timer timer;     /* when kept ones are looked over */
};

struct guest {
	struct guests *guests;
	struct list link;            /* in question.waiters */
	struct question *question;   /* waits for this one; or NULL */
	void (*done)(void *ctx, const struct session_verdict *verdict);
	void *ctx;
	struct span peer, token;
	size_t lines_len;
	char text[];                 /* the headers, each with a NUL; peer; token */
};

struct question {
	struct guests *guests;
	struct list link;            /* in guests->kept */
	struct list waiters;         /* of guest.link */
	struct out_call call;
	const char *lines[LINES_MAX];
	struct session_verdict verdict;
	char *detail;                /* the application's own */
	enum guests_result result;
	uint64_t until_ms;           /* by loop_mono_ms: it counts before */
	uint64_t hash;
	bool mapped;
	struct span *patterns;       /* in this allocation, with their texts */
	size_t pattern_count;
	struct span text;            /* likewise: the body, a NUL, the headers, each with a NUL */
	size_t body_len;
};

const char *
guests_result_word(unsigned result)
{
	static const char *const words[GUESTS_RESULT_COUNT] = {
		[GUESTS_ALLOWED] = "allowed", [GUESTS_REFUSED] = "refused",
		[GUESTS_FAILED] = "failed", [GUESTS_BUSY] = "busy",
	};
	return words[result];
}

void
guests_stats(const struct guests *guests, struct guests_stats *ret_stats)
{
	*ret_stats = guests->stats;
}

/* ── the life of questions ── */

static bool
has_text(const void *value, const void *key)
{
	const struct question *question = value;
	return access_secret_equal(question->text, *(const struct span *)key);
}

static void
unmap(struct question *question)
{
	if (!question->mapped)
		return;
	check(map_remove(&question->guests->questions, question->hash, question));
	question->mapped = false;
}

/* It holds cookies and tokens. */
static void
question_destroy(struct question *question)
{
	struct guests *guests = question->guests;
	check(list_empty(&question->waiters));
	unmap(question);
	if (!list_empty(&question->link)) {
		list_remove(&question->link);
		guests->kept_count--;
		guests->kept_bytes -= question->text.len;
	}
	buf_finish(&question->call.answer);
	access_principal_unref(question->verdict.principal);
	free(question->detail);
	explicit_bzero((char *)(uintptr_t)question->text.ptr, question->text.len);
	free(question);
}

static void
lines_set(struct question *question)
{
	const char *at = question->text.ptr + question->body_len + 1;
	const char *end = question->text.ptr + question->text.len;
	size_t count = 0;
	question->lines[count++] = "Content-Type: application/json";
	for (; at < end && count < LINES_MAX; at += strlen(at) + 1)
		question->lines[count++] = at;
	question->call.headers = question->lines;
	question->call.header_count = count;
}

/* NULL: memory is out. */
static struct question *
question_create(struct guests *guests, struct span text, size_t body_len, uint64_t hash,
    const struct span *patterns, size_t count)
{
	size_t bytes = text.len + count * sizeof *patterns;
	for (size_t i = 0; i < count; i++)
		bytes += patterns[i].len;
	struct question *question = calloc(1, sizeof *question + bytes);
	if (!question)
		return NULL;
	question->guests = guests;
	question->hash = hash;
	question->patterns = (struct span *)(question + 1);
	question->pattern_count = count;
	question->body_len = body_len;
	char *at = (char *)(question->patterns + count);
	question->text = span_keep(&at, text);
	for (size_t i = 0; i < count; i++)
		question->patterns[i] = span_keep(&at, patterns[i]);
	list_init(&question->link);
	list_init(&question->waiters);
	buf_init(&question->call.answer, 0);
	lines_set(question);
	if (map_add(&guests->questions, hash, question)) {
		question_destroy(question);
		return NULL;
	}
	question->mapped = true;
	return question;
}

static bool
is_old(const struct question *question, uint64_t now_ms)
{
	return now_ms >= question->until_ms;
}

/* What is old goes once a second, so that no cookies lie about for longer than they count. */
static void
look_over(struct loop_timer *timer)
{
	struct guests *guests = CONTAINER_OF(timer, struct guests, timer);
	uint64_t now_ms = loop_mono_ms(guests->options.loop);
	LIST_FOREACH_SAFE(link, after, &guests->kept) {
		struct question *question = CONTAINER_OF(link, struct question, link);
		if (is_old(question, now_ms))
			question_destroy(question);
	}
	/* Without memory for a timer they go when others come. */
	if (!list_empty(&guests->kept))
		(void)loop_timer_set(guests->options.loop, timer, now_ms + 1000);
}

/* Keeps it, if its answer counts for a while, or ends it. */
static void
question_settle(struct question *question)
{
	struct guests *guests = question->guests;
	struct loop *loop = guests->options.loop;
	if (is_old(question, loop_mono_ms(loop)) || !question->mapped) {
		question_destroy(question);
		return;
	}
	buf_finish(&question->call.answer);
	list_push_back(&guests->kept, &question->link);
	guests->kept_count++;
	guests->kept_bytes += question->text.len;
	while (guests->kept_count > KEPT_MAX || guests->kept_bytes > KEPT_BYTES_MAX)
		question_destroy(CONTAINER_OF(guests->kept.next, struct question, link));
	if (guests->timer.node.index == 0)
		(void)loop_timer_set(loop, &guests->timer, loop_mono_ms(loop) + 1000);
}

/* ── answers ── */

static void
tell(struct guest *guest, enum guests_result result, const struct session_verdict *verdict)
{
	guest->question = NULL;
	guest->guests->stats.results[result]++;
	guest->done(guest->ctx, verdict);
}

static void
set_verdict(struct question *question, enum guests_result result, unsigned status,
    const char *detail)
{
	question->result = result;
	question->verdict.status = status;
	question->verdict.detail = detail;
}

static void
fail(struct question *question, const char *why)
{
	const struct guests_options *options = &question->guests->options;
	set_verdict(question, GUESTS_FAILED, 503,
	    "the application that decides about this cannot be asked now; come back later");
	options->failed(options->ctx, why);
}

static void
refuse(struct question *question, unsigned status, struct span detail)
{
	set_verdict(question, GUESTS_REFUSED, status, status == 401 ?
	    "this path needs credentials" : "the application does not allow this");
	if (detail.len == 0 || detail.len > DETAIL_BYTES_MAX)
		return;
	question->detail = span_dup(detail);
	if (question->detail)
		question->verdict.detail = question->detail;
}

static void
set_age(struct question *question, const struct guests_answer *answer)
{
	const struct guests *guests = question->guests;
	uint64_t ms = question->result == GUESTS_ALLOWED ? guests->options.cache_ms : 0;
	if (question->result == GUESTS_FAILED)
		return; /* asked anew each time */
	if (answer->cache_said)
		ms = answer->cache_s * 1000;
	if (answer->expires_in_s)
		ms = MIN(ms, answer->expires_in_s * 1000);
	question->until_ms = loop_mono_ms(guests->options.loop) +
	    MIN(ms, guests->options.cache_ms_max);
}

/* Whether he may all that was asked for: it is granted whole or not at all. */
static bool
covers(const struct question *question, const struct access_principal *principal)
{
	for (size_t i = 0; i < question->pattern_count; i++) {
		if (!access_may_listen(question->guests->options.access, principal,
		    question->patterns[i]))
			return false;
	}
	return true;
}

static void
allow(struct question *question, const struct guests_answer *answer)
{
	const struct guests_options *options = &question->guests->options;
	struct access_principal *principal;
	struct access_guest guest = {
		.tenant = span_str(options->tenant),
		.user = answer->user,
		.patterns = answer->allows_all ? question->patterns : answer->patterns,
		.pattern_count = answer->allows_all ? question->pattern_count :
		    answer->pattern_count,
		.publish = answer->publish,
		.publish_count = answer->publish_count,
	};
	if (answer->expires_in_s)
		guest.expires_ms = loop_now_ms(options->loop) +
		    (int64_t)answer->expires_in_s * 1000;
	int error = access_guest_create(&guest, &principal);
	if (error) {
		fail(question, error == -ENOMEM ? "memory is out" :
		    "what it answered has a name or pattern that is none");
		return;
	}
	if (!covers(question, principal)) {
		access_principal_unref(principal);
		refuse(question, 403, SPAN("the application does not allow all of these channels"));
		return;
	}
	set_verdict(question, GUESTS_ALLOWED, 200, "");
	question->verdict.principal = principal;
}

static void
read_permission(struct question *question, struct span body)
{
	struct guests_answer answer = {.allows = true, .allows_all = true};
	char text[OUT_WHY_BYTES];
	const char *why;
	int error = body.len ? guests_answer_read(body, false, &answer, &why) : 0;
	if (error) {
		snprintf(text, sizeof text, "what it answered cannot be read: %s", why);
		fail(question, text);
		return;
	}
	if (answer.allows)
		allow(question, &answer);
	else
		refuse(question, 403, answer.detail);
	set_age(question, &answer);
	guests_answer_finish(&answer);
}

/* A refusal holds whatever comes with it. */
static void
read_refusal(struct question *question, unsigned status, struct span body)
{
	struct guests_answer answer = {0};
	const char *why;
	if (guests_answer_read(body, true, &answer, &why))
		answer = (struct guests_answer){0};
	refuse(question, status, answer.detail);
	set_age(question, &answer);
	guests_answer_finish(&answer);
}

static void
answer_read(struct question *question)
{
	const struct out_call *call = &question->call;
	struct span body = buf_span(&call->answer);
	char why[OUT_WHY_BYTES];
	if (call->error) {
		fail(question, call->why);
	} else if (call->status == 204) {
		read_permission(question, SPAN(""));
	} else if (call->status == 200 && (body.len || call->delimited)) {
		read_permission(question, body);
	} else if (call->status == 200) {
		fail(question, "it answered nothing, without saying that this is all");
	} else if (call->status == 401 || call->status == 403) {
		read_refusal(question, call->status, body);
	} else {
		snprintf(why, sizeof why, "it answered with the status %u", call->status);
		fail(question, why);
	}
}

/* Those who wait are told; each may ask again, or make others be forgotten. */
static void
question_answered(struct mail *mail)
{
	struct question *question = CONTAINER_OF(mail, struct question, call.mail);
	/* Whom nobody waits for any more needs no line in the log. */
	if (question->call.error == -ECANCELED)
		set_verdict(question, GUESTS_FAILED, 503, "the server is stopping");
	else
		answer_read(question);
	if (is_old(question, loop_mono_ms(question->guests->options.loop)))
		unmap(question);
	while (!list_empty(&question->waiters)) {
		struct list *link = question->waiters.next;
		list_remove(link);
		tell(CONTAINER_OF(link, struct guest, link), question->result,
		    &question->verdict);
	}
	question_settle(question);
}

/* ── asking ── */

static void
write_question(const struct guest *guest, const char *transport, const struct span *patterns,
    size_t count, struct buf *out)
{
	buf_append_str(out, "{\"tenant\":");
	json_write_string(out, span_str(guest->guests->options.tenant));
	buf_append_str(out, ",\"channels\":[");
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_append_byte(out, ',');
		json_write_string(out, patterns[i]);
	}
	buf_printf(out, "],\"transport\":\"%s\",\"peer\":", transport);
	json_write_string(out, guest->peer);
	if (guest->token.ptr) {
		buf_append_str(out, ",\"token\":");
		json_write_string(out, guest->token);
	}
	buf_append_byte(out, '}');
}

static int
send_question(struct question *question)
{
	const struct guests_options *options = &question->guests->options;
	struct out_call *call = &question->call;
	call->mail.deliver = question_answered;
	call->reply_to = options->box;
	call->method = "POST";
	call->url = options->url;
	call->body = span_of(question->text.ptr, question->body_len);
	call->timeout_ms = options->timeout_ms;
	call->answer_bytes_max = ANSWER_BYTES_MAX;
	int error = out_send(options->out, call);
	if (!error)
		question->guests->stats.asked++;
	return error;
}

/* The question of this text, which may be an old one that is still good; NULL with *ret_error. */
static struct question *
question_get(struct guests *guests, struct span text, size_t body_len,
    const struct span *patterns, size_t count, int *ret_error)
{
	uint64_t hash = hash64(text, guests->seed);
	struct question *question = map_get(&guests->questions, hash, has_text, &text);
	bool kept = question && !list_empty(&question->link);
	if (kept && is_old(question, loop_mono_ms(guests->options.loop))) {
		question_destroy(question);
		question = NULL;
	}
	if (question) {
		guests->stats.cached += kept;
		guests->stats.joined += !kept;
		return question;
	}
	question = question_create(guests, text, body_len, hash, patterns, count);
	*ret_error = question ? send_question(question) : -ENOMEM;
	if (question && *ret_error) {
		question_destroy(question);
		question = NULL;
	}
	return question;
}

void
guests_ask(struct guest *guest, const char *transport, const struct span *patterns, size_t count,
    void (*done)(void *ctx, const struct session_verdict *verdict), void *ctx)
{
	static const struct session_verdict busy = {503,
	    "too many wait for the application's permission; come back later", NULL};
	static const struct session_verdict no_memory = {503, "memory is out", NULL};
	struct guests *guests = guest->guests;
	struct question *question = NULL;
	struct buf text;
	int error = -ENOMEM;
	check(!guest->question);
	guest->done = done;
	guest->ctx = ctx;
	buf_init(&text, 0);
	write_question(guest, transport, patterns, count, &text);
	size_t body_len = text.len;
	buf_append_byte(&text, '\0');
	buf_append(&text, guest->text, guest->lines_len);
	if (buf_ok(&text))
		question = question_get(guests, buf_span(&text), body_len, patterns, count,
		    &error);
	if (text.len)
		explicit_bzero(text.ptr, text.len);
	buf_finish(&text);
	if (!question) {
		tell(guest, GUESTS_BUSY, error == -EAGAIN ? &busy : &no_memory);
	} else if (!list_empty(&question->link)) {
		/* It may be pushed out while he is told. */
		struct session_verdict verdict = question->verdict;
		char detail[DETAIL_BYTES_MAX + 1];
		snprintf(detail, sizeof detail, "%s", verdict.detail);
		verdict.detail = detail;
		if (verdict.principal)
			access_principal_ref(verdict.principal);
		tell(guest, question->result, &verdict);
		access_principal_unref(verdict.principal);
	} else {
		guest->question = question;
		list_push_back(&question->waiters, &guest->link);
	}
}

/* ── guests ── */

static bool
is_bad_value(struct span value)
{
	return memchr(value.ptr, '\r', value.len) || memchr(value.ptr, '\n', value.len) ||
	    memchr(value.ptr, '\0', value.len);
}

/* A header that came several times is one whose values are joined as HTTP says. */
static void
append_header(struct buf *out, const struct session_request *request, struct span wanted)
{
	struct span between = span_eq_nocase(wanted, SPAN("Cookie")) ? SPAN("; ") : SPAN(", ");
	struct span name, value;
	size_t pos = 0, begin = out->len;
	while (session_header_next(request, &pos, &name, &value)) {
		if (value.len == 0 || !span_eq_nocase(name, wanted) || is_bad_value(value))
			continue;
		if (out->len == begin) {
			buf_append_span(out, wanted);
			buf_append_str(out, ": ");
		} else {
			buf_append_span(out, between);
		}
		buf_append_span(out, value);
	}
	if (out->len > begin)
		buf_append_byte(out, '\0');
}

static void
append_headers(struct buf *out, const struct session_request *request, const char *names)
{
	for (size_t i = 0; *names && i < LINES_MAX - 1; i++) {
		size_t len = strcspn(names, " ");
		if (len)
			append_header(out, request, span_of(names, len));
		names += len;
		names += strspn(names, " ");
	}
}

struct guest *
guests_keep(struct guests *guests, const struct session_request *request)
{
	struct span token = session_query(request, "token");
	struct span peer = span_str(session_peer(request));
	struct guest *guest = NULL;
	struct buf lines;
	buf_init(&lines, 0);
	append_headers(&lines, request, guests->options.headers);
	if (buf_ok(&lines))
		guest = malloc(sizeof *guest + lines.len + peer.len + token.len);
	if (guest) {
		*guest = (struct guest){.guests = guests, .lines_len = lines.len};
		char *at = guest->text;
		span_keep(&at, buf_span(&lines));
		guest->peer = span_keep(&at, peer);
		if (token.ptr && utf8_valid(token))
			guest->token = span_keep(&at, token);
		list_init(&guest->link);
	}
	if (lines.len)
		explicit_bzero(lines.ptr, lines.len);
	buf_finish(&lines);
	return guest;
}

void
guests_forget(struct guest *guest)
{
	if (!guest)
		return;
	struct question *question = guest->question;
	list_remove(&guest->link);
	if (question && list_empty(&question->waiters)) {
		/* Nobody may join what may never be sent. */
		out_drop(&question->call);
		unmap(question);
	}
	explicit_bzero(guest->text, guest->lines_len + guest->peer.len + guest->token.len);
	free(guest);
}

/* ── their world ── */

int
guests_create(const struct guests_options *options, struct guests **ret_guests)
{
	struct guests *guests = calloc(1, sizeof *guests);
	if (!guests)
		return -ENOMEM;
	guests->options = *options;
	guests->timer.fire = look_over;
	env_random(loop_env(options->loop), &guests->seed, sizeof guests->seed);
	map_init(&guests->questions);
	list_init(&guests->kept);
	*ret_guests = guests;
	return 0;
}

void
guests_destroy(struct guests *guests)
{
	if (!guests)
		return;
	while (!list_empty(&guests->kept))
		question_destroy(CONTAINER_OF(guests->kept.next, struct question, link));
	check(guests->questions.count == 0);
	loop_timer_cancel(guests->options.loop, &guests->timer);
	map_finish(&guests->questions);
	free(guests);
}

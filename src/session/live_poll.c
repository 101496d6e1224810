/*
 * live_poll.c: long polls: a connection that waits for an answer.
 *
 * While it is held, a request is folded into what its answer needs, so that many can wait: the
 * request, its connection's HTTP state and the credentials go, and are made anew for the answer.
 * The first turn that brings something answers, with all that the turn brought; `next` is the
 * position of the answer, so the next poll begins exactly behind it.
 *
 * Who was answered with messages mostly asks again at once. So the poll stays for LINGER_MS: its
 * subscriptions go on, and what comes is kept for the next poll. When that comes on the same
 * connection, is the same request, and goes on from `next`, it is held or answered as if it had
 * been there: nothing is asked anew, nothing is missed and nothing comes twice. Any other request
 * finds the connection as HTTP left it. What may be kept is bounded; above it the poll has lost
 * something, and its next one asks the sequencer, as the first did.
 *
 * Invariants: nothing is answered within a call of the hub's; the fact is noted, and polls_task
 * answers in LOOP_WRITE. What was found is there while the poll is queued or its question under
 * way, and may be there after; only who is held is queued.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "live.h"
#include "num.h"

enum {
	MESSAGES_MAX = 1000,
	BYTES_MAX = 32 << 20,
	LINGER_MS = 2000,
	LINGER_BYTES_MAX = 256 * 1024,          /* of messages for one */
	LINGER_ALL_BYTES_MAX = 32 * 1024 * 1024, /* for all of a loop; many share them */
	PIECES_HERE = 2,
};

/* Messages as they stand in an answer, each behind a comma; they live until release(ctx). */
struct piece {
	struct span bytes;
	void (*release)(void *ctx);
	void *ctx;
};

/* What has come so far. */
struct found {
	struct live_poll *poll;
	struct list link;           /* in sessions->polls: to be answered */
	struct piece here[PIECES_HERE], *pieces;
	size_t piece_count, piece_cap, bytes;
	size_t waiting_bytes;       /* of them, counted in sessions->poll_bytes */
	uint64_t from;              /* the poll's `next` before */
	int64_t until_ms;           /* messages of a later time are not its own */
	struct buf closed;
	uint32_t count;
	int error;
	bool gap, over;             /* over: answered even with nothing */
};

struct live_poll {
	struct live live;
	struct found *found;
	uint64_t next;              /* seq: where to go on */
	struct http_folded folded;
	bool held;                  /* else it lingers */
	bool caught, more;          /* its question is answered; not to the end */
	bool lost;                  /* lingers, but the next poll must ask anew */
	bool input;                 /* something came while it was held */
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
	poll->live.sessions->poll_bytes -= found->waiting_bytes;
	for (size_t i = 0; i < found->piece_count; i++)
		found->pieces[i].release(found->pieces[i].ctx);
	if (found->pieces != found->here)
		free(found->pieces);
	buf_finish(&found->closed);
	free(found);
	poll->found = NULL;
}

static struct found *
found_create(struct live_poll *poll)
{
	struct found *found = malloc(sizeof(*found));
	if (!found)
		return NULL;
	*found = (struct found){.poll = poll, .from = poll->next, .until_ms = INT64_MAX,
	    .piece_cap = PIECES_HERE};
	found->pieces = found->here;
	list_init(&found->link);
	buf_init(&found->closed, 0);
	poll->found = found;
	return found;
}

/* NULL: memory is out, and the connection is closed. */
static struct found *
find(struct live_poll *poll)
{
	if (!poll->found && !found_create(poll))
		net_close(poll->live.conn, NET_CLOSE_MEMORY);
	return poll->found;
}

static int64_t
until(const struct live_poll *poll)
{
	return poll->found ? poll->found->until_ms : INT64_MAX;
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
write_messages(const struct found *found, struct buf *out)
{
	size_t at = out->len;
	for (size_t i = 0; i < found->piece_count; i++)
		buf_append_span(out, found->pieces[i].bytes);
	if (out->len > at)
		out->ptr[at] = '['; /* for the comma of the first one */
}

static void
write_answer(const struct live_poll *poll, struct buf *out)
{
	const struct found *found = poll->found;
	buf_append_str(out, "{\"messages\":");
	if (found && found->count)
		write_messages(found, out);
	else
		buf_append_byte(out, '[');
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

/* The same of nothing but messages. */
static void
write_short(void *ctx, struct buf *out)
{
	write_answer(ctx, out);
}

static size_t
short_len(const struct live_poll *poll)
{
	char text[NUM_TEXT_BYTES_MAX];
	return strlen("{\"messages\":") + poll->found->bytes + strlen("],\"next\":\"m\"}") +
	    num_format_u64(text, poll->next);
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

/* Whether the next poll may go on where this one ends: it has had all up to `next`. */
static bool
may_linger(const struct live_poll *poll)
{
	const struct found *found = poll->found;
	if (!found || !found->count || found->error || found->gap || found->over ||
	    found->closed.len || poll->more || found->until_ms != INT64_MAX)
		return false;
	return poll->caught && found->count < MESSAGES_MAX && found->bytes <= BYTES_MAX &&
	    http_credentials_hold(poll->live.sessions, poll->live.principal) && may_listen(poll);
}

static void
linger(struct live_poll *poll)
{
	forget_found(poll);
	poll->held = false;
	net_set_deadline(poll->live.conn, loop_mono_ms(poll->live.sessions->loop) + LINGER_MS);
	if (poll->input)
		net_retry_input(poll->live.conn);
	poll->input = false;
}

/* Gives the connection back to HTTP, with the answer, and the poll is gone afterwards; or it
 * lingers. */
static void
answer(struct live_poll *poll)
{
	if (may_linger(poll) && http_answer_folded(poll->live.sessions, poll->live.conn,
	    &poll->folded, short_len(poll), write_short, poll)) {
		linger(poll);
		return;
	}
	struct session_request *request =
	    http_unfold(poll->live.sessions, poll->live.conn, &poll->folded, poll->live.principal);
	if (!request)
		return;
	struct buf out;
	buf_init(&out, 0);
	write_answer(poll, &out);
	int error = poll->found ? poll->found->error : 0;
	if (!session_principal_holds(request)) {
		session_problem(request, 401, NULL, "these credentials are not valid any more");
	} else if (!may_listen(poll)) {
		session_problem(request, 403, NULL, "you may not hear one of them any more");
	} else if (error == -ENOENT) {
		session_problem(request, 404, NULL, "one of the channels is no more");
	} else if (error == -EAGAIN) {
		session_problem(request, 503, NULL, "the server is stopping");
	} else if (error || !buf_ok(&out)) {
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
		else if (!any && found->until_ms == INT64_MAX)
			forget_found(poll);
	}
}

/* ── what the hub says ── */

static int
encode(const struct hub_message *message, uint64_t channels, struct buf *out)
{
	buf_append_byte(out, ',');
	return hub_message_json(message, channels, out);
}

/* What is kept for a poll that may not come is bounded. */
static void
lose(struct live_poll *poll)
{
	forget_found(poll);
	poll->lost = true;
}

static int
add_piece(struct found *found, struct piece piece)
{
	if (found->piece_count == found->piece_cap) {
		size_t cap = found->piece_cap * 4;
		struct piece *old = found->pieces == found->here ? NULL : found->pieces;
		struct piece *grown = realloc(old, cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		if (!old)
			memcpy(grown, found->here, sizeof(found->here));
		found->pieces = grown;
		found->piece_cap = cap;
	}
	found->pieces[found->piece_count++] = piece;
	found->bytes += piece.bytes.len;
	return 0;
}

/* Takes over what holds `count` messages up to this seq, unless it fails. 0 or -ENOMEM. */
static int
keep(struct live_poll *poll, struct piece piece, uint32_t count, uint64_t seq)
{
	struct session_loop *sessions = poll->live.sessions;
	struct found *found = find(poll);
	int error = found ? add_piece(found, piece) : -ENOMEM;
	if (error)
		return error;
	found->count += count;
	poll->next = seq;
	if (poll->held) {
		if (poll->caught)
			settle_later(poll);
		return 0;
	}
	found->waiting_bytes += piece.bytes.len;
	sessions->poll_bytes += piece.bytes.len;
	if (found->bytes > LINGER_BYTES_MAX || sessions->poll_bytes > LINGER_ALL_BYTES_MAX)
		lose(poll);
	return 0;
}

/* Nothing that comes later may be there without this. */
static void
miss(struct live_poll *poll)
{
	struct found *found = poll->held ? find(poll) : NULL;
	if (found) {
		found->error = -ENOMEM;
		settle_later(poll);
	} else {
		lose(poll);
	}
}

static void
release_message(void *ctx)
{
	hub_message_unref(ctx);
}

/* What does not fit any more comes with the next poll: `next` stays before it. */
static bool
is_full(struct live_poll *poll, size_t more)
{
	const struct found *found = poll->found;
	if (poll->lost || (found && (found->error || found->over)))
		return true;
	if (more <= MESSAGES_MAX - (found ? found->count : 0) &&
	    (!found || found->bytes <= BYTES_MAX))
		return false;
	if (!poll->held)
		lose(poll);
	return true;
}

/* So does what is of a time that was not asked for. */
static bool
is_over(struct live_poll *poll, const struct hub_message *message)
{
	if (message->time_ms <= until(poll))
		return false;
	struct found *found = find(poll);
	if (found) {
		found->over = true;
		settle_later(poll);
	}
	return true;
}

static void
deliver(struct sink *sink, struct hub_message *message, uint64_t channels)
{
	struct live_poll *poll = poll_of(sink);
	struct piece piece = {.release = release_message, .ctx = message};
	if (is_full(poll, 1) || is_over(poll, message))
		return;
	if (hub_message_form(message, HUB_FORM_POLL, channels, encode, &piece.bytes)) {
		miss(poll);
		return;
	}
	hub_message_ref(message);
	if (keep(poll, piece, 1, message->seq)) {
		hub_message_unref(message);
		miss(poll);
	}
}

static void
deliver_run(struct sink *sink, struct hub_run *run)
{
	struct live_poll *poll = poll_of(sink);
	struct piece piece = {.release = hub_joined_unref};
	uint64_t last = run->messages[run->count - 1]->seq;
	size_t count = poll->found ? poll->found->count : 0;
	if (count + run->count > MESSAGES_MAX || until(poll) != INT64_MAX) {
		for (size_t i = 0; i < run->count; i++)
			deliver(sink, run->messages[i], HUB_ALL_CHANNELS);
		return;
	}
	if (is_full(poll, run->count))
		return;
	if (hub_run_form(run, HUB_FORM_POLL, encode, &piece.bytes, &piece.ctx)) {
		miss(poll);
		return;
	}
	if (keep(poll, piece, (uint32_t)run->count, last)) {
		hub_joined_unref(piece.ctx);
		miss(poll);
	}
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
	poll->more = result->answer.more;
	poll->next = result->answer.more ? result->answer.seq_last : result->seq;
	if (result->error) {
		struct found *found = find(poll);
		if (found)
			found->error = result->error;
	}
	if (poll->found)
		settle_later(poll);
	struct loop *loop = poll->live.sessions->loop;
	int64_t left_ms = MAX(until(poll) - loop_now_ms(loop), (int64_t)0);
	net_set_deadline(poll->live.conn, loop_mono_ms(loop) +
	    MIN((uint64_t)poll->folded.timeout_s * 1000, (uint64_t)left_ms));
}

/* Who is held is told. Who comes later is told what everybody is told of a channel that is no
 * more, by who has them all. */
static void
channel_closed(struct sink *sink, const struct hub_target *channel)
{
	struct live_poll *poll = poll_of(sink);
	if (!poll->held) {
		lose(poll);
		return;
	}
	struct found *found = find(poll);
	if (!found)
		return;
	if (found->closed.len)
		buf_append_byte(&found->closed, ',');
	buf_append_u64(&found->closed, channel->id);
	settle_later(poll);
}

/* ── the connection ── */

/* If what came is the next poll it is held, or queued for its answer. How much it was. */
static size_t
go_on(struct live_poll *poll, struct span bytes)
{
	struct session_loop *sessions = poll->live.sessions;
	uint64_t told = poll->found ? poll->found->from : poll->next;
	if (poll->lost || !may_listen(poll))
		return 0;
	size_t used = http_fold_again(sessions, &poll->folded, poll->live.principal, bytes, told);
	if (!used)
		return 0;
	poll->held = true;
	net_set_deadline(poll->live.conn, loop_mono_ms(sessions->loop) +
	    (uint64_t)poll->folded.timeout_s * 1000);
	if (poll->found)
		settle_later(poll);
	return used;
}

/* The connection is HTTP's again. */
static size_t
leave(struct live_poll *poll, struct span bytes)
{
	struct session_loop *sessions = poll->live.sessions;
	struct net_conn *conn = poll->live.conn;
	bool local = poll->folded.local;
	live_destroy(&poll->live);
	return http_resume(sessions, conn, local, bytes);
}

/* While it is held what follows waits until the answer is out; the end of it is the end of the
 * poll: a client that has gone would be held, counted and shown for the rest of its time. */
static size_t
input(void *ctx, struct span bytes)
{
	struct live_poll *poll = ctx;
	if (poll->held) {
		poll->input = true;
		return 0;
	}
	size_t used = go_on(poll, bytes);
	return used ? used : leave(poll, bytes);
}

static void
deadline(void *ctx)
{
	struct live_poll *poll = ctx;
	if (poll->held)
		answer(poll);
	else
		leave(poll, span_of(NULL, 0));
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
	if (!poll->held) {
		poll->lost = true;
		if (reason == NET_CLOSE_DRAIN)
			net_finish(live->conn, reason);
		return;
	}
	struct found *found = find(poll);
	if (!found)
		return;
	found->over = true; /* the answer says what is so by then */
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
	.deliver = deliver, .deliver_run = deliver_run, .gap = gap, .caught = caught,
	.closed = channel_closed, .who = live_who,
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
	*poll = (struct live_poll){.held = true};
	live_init(&poll->live, &poll_ops, &poll_sink_ops, request);
	struct hub_question asked = *question;
	asked.limit = MESSAGES_MAX;
	asked.bytes_max = BYTES_MAX;
	bool ends = question->until_ms != INT64_MAX;
	int error = ends && !found_create(poll) ? -ENOMEM :
	    hub_catch(poll->live.sessions->hub, &poll->live.sink, &asked, true, &token);
	if (!error && ends)
		poll->found->until_ms = question->until_ms;
	if (error) {
		session_problem(request, error == -EEXIST ? 400 : 503, NULL,
		    error == -EEXIST ? "a channel is named twice" : "memory is out");
		live_destroy(&poll->live);
		return;
	}
	http_fold(request, &poll->folded);
	poll->folded.timeout_s = (uint16_t)timeout_s;
	live_take(&poll->live, request);
}

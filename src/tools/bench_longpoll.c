/*
 * bench_longpoll.c: `weir bench longpoll`: what a message costs over a long poll, beside a stream
 * and beside bare loops that do nothing but send it, and take the next poll, at as many messages an
 * answer.
 *
 * In rounds: the publisher says so many messages to each channel in one request, and says the next
 * when all subscribers have them; a poll is followed by the next at once. Saturated: it goes on
 * while no more than a window of messages is under way. Each subscriber counts what comes, and of
 * polls looks whether ids rise: so each message came once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench_push.h"
#include "check.h"
#include "process.h"

enum {
	CHANNELS = 4,
	EVENTS = 1024,
	RECV_BYTES = 1 << 18,
	PATIENCE_S = 20,
	SATURATED_WINDOW = 128,
	SATURATED_BATCH = 16,
};

/* How subscribers listen. */
enum way { WAY_WS, WAY_SSE, WAY_POLL, WAY_BARE_STREAM, WAY_BARE_POLL, WAY_NCHAN_WS,
	WAY_NCHAN_POLL };

static bool
polls(enum way way)
{
	return way == WAY_POLL || way == WAY_BARE_POLL || way == WAY_NCHAN_POLL;
}

struct listener {
	int fd;
	unsigned channel;
	bool ready;
	uint64_t messages;
	uint64_t seq;        /* of a poll: the last one that came */
	struct buf rest;     /* what has come and is not whole */
};

struct field {
	struct bench *bench;
	enum way way;
	struct push_target target;
	int epoll;
	struct listener *listeners, publisher;
	size_t count;
	uint64_t messages, answers; /* that have come */
	uint64_t acks;
	struct buf before[CHANNELS], behind; /* of requests */
	struct buf out;      /* scratch, for requests */
	struct span sample;  /* what a subscriber of a bare loop is sent */
	struct buf *keep;    /* NULL, or where one subscriber's answer is kept */
	char *bytes;
	int error;
};

/* What was measured. */
struct result {
	double us;           /* server CPU a delivered message */
	double per_s;
	double an_answer;    /* messages in one */
};

static void
lose(struct field *f, const char *why)
{
	if (!f->error)
		f->error = bench_fail(f->bench, -EPROTO, "long polls: %s", why);
}

/* ── what is said ── */

/* What each request of a channel is, around where to go on: made once, for the client has only one
 * processor and is to keep the server at work. */
static void
make_requests(struct field *f)
{
	static const char upgrade[] = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
	bool nchan = f->way >= WAY_NCHAN_WS;
	struct buf *behind = &f->behind;
	for (unsigned i = 0; i < CHANNELS; i++)
		buf_printf(&f->before[i], nchan ? "GET /sub?id=poll%u" :
		    "GET /api/v1/subscribe?channel=poll/%u%s", i,
		    polls(f->way) ? "&mode=longpoll&timeout=300&since=" : "");
	buf_printf(behind, " HTTP/1.1\r\nHost: %s\r\n", f->target.address);
	if (f->way == WAY_WS || f->way == WAY_NCHAN_WS)
		buf_append_str(behind, upgrade);
	else if (f->way == WAY_SSE)
		buf_append_str(behind, "Accept: text/event-stream\r\n");
	if (*f->target.key)
		buf_printf(behind, "Authorization: Bearer %s\r\n", f->target.key);
}

static void
write_request(struct field *f, const struct listener *listener, struct span more)
{
	buf_clear(&f->out);
	buf_append_span(&f->out, buf_span(&f->before[listener->channel]));
	if (polls(f->way) && f->way != WAY_NCHAN_POLL && !listener->ready) {
		buf_append_str(&f->out, "now");
	} else if (polls(f->way) && f->way != WAY_NCHAN_POLL) {
		buf_append_byte(&f->out, 'm');
		buf_append_u64(&f->out, listener->seq);
	}
	buf_append_span(&f->out, buf_span(&f->behind));
	buf_append_span(&f->out, more);
	buf_append_str(&f->out, "\r\n");
}

static void
say(struct field *f, int fd)
{
	if (!buf_ok(&f->out) ||
	    send(fd, f->out.ptr, f->out.len, MSG_NOSIGNAL) != (ssize_t)f->out.len)
		lose(f, "a request was not taken");
}

/* So many messages to each channel. */
static void
publish(struct field *f, uint64_t messages)
{
	struct buf body;
	buf_clear(&f->out);
	if (f->way == WAY_BARE_STREAM || f->way == WAY_BARE_POLL) {
		buf_append_byte(&f->out, 'A');
		buf_append_span(&f->out, f->sample);
		say(f, f->publisher.fd);
		return;
	}
	buf_init(&body, 0);
	for (unsigned channel = 0; channel < CHANNELS; channel++) {
		for (uint64_t i = 0; i < messages; i++) {
			if (f->way >= WAY_NCHAN_WS)
				buf_printf(&f->out, "POST /pub?id=poll%u HTTP/1.1\r\nHost: %s\r\n"
				    "Content-Length: %d\r\n\r\n%c%099d", channel,
				    f->target.address, PUSH_DATA_BYTES, PUSH_MARK, 0);
			else
				buf_printf(&body, "{\"channels\":[\"poll/%u\"],"
				    "\"data\":\"%c%097d\"}\n", channel, PUSH_MARK, 0);
		}
	}
	if (f->way < WAY_NCHAN_WS)
		buf_printf(&f->out, "POST /api/v1/publish HTTP/1.1\r\nHost: %s\r\n"
		    "Content-Length: %zu\r\nAuthorization: Bearer %s\r\n\r\n%.*s",
		    f->target.address, body.len, f->target.key, (int)body.len, body.ptr);
	buf_finish(&body);
	say(f, f->publisher.fd);
}

/* ── what comes ── */

static uint64_t
count_marks(struct span bytes)
{
	uint64_t count = 0;
	const char *at;
	while (bytes.len && (at = memchr(bytes.ptr, PUSH_MARK, bytes.len))) {
		count++;
		bytes = span_skip(bytes, (size_t)(at - bytes.ptr) + 1);
	}
	return count;
}

static struct span
after(struct span bytes, struct span text)
{
	const char *at = bytes.len ? memmem(bytes.ptr, bytes.len, text.ptr, text.len) : NULL;
	return at ? span_skip(bytes, (size_t)(at - bytes.ptr) + text.len) : span_of(NULL, 0);
}

/* The length of the answer that these bytes begin with; 0: it is not whole. */
static size_t
answer_len(struct span bytes, struct span *ret_body)
{
	struct span rest = after(bytes, SPAN("\r\n\r\n"));
	if (!rest.ptr)
		return 0;
	struct span head = span_of(bytes.ptr, (size_t)(rest.ptr - bytes.ptr));
	struct span length = after(head, SPAN("Content-Length: "));
	size_t len = length.ptr ? strtoul(length.ptr, NULL, 10) : 0;
	*ret_body = span_of(rest.ptr, len);
	return rest.len < len ? 0 : head.len + len;
}

/* Whether the ids of an answer are new, each higher than the one before. */
static void
look_at_ids(struct field *f, struct listener *listener, struct span body)
{
	struct span rest = body, next = after(body, SPAN("\"next\":\"m"));
	if (after(body, SPAN("\"gap\":true")).ptr)
		lose(f, "there was a gap");
	while ((rest = after(rest, SPAN("\"id\":\"m"))).ptr) {
		uint64_t seq = strtoull(rest.ptr, NULL, 10);
		if (seq <= listener->seq)
			lose(f, "a message came twice");
		listener->seq = seq;
	}
	if (next.ptr)
		listener->seq = strtoull(next.ptr, NULL, 10);
}

/* nchan says where to go on in headers. */
static void
poll_again(struct field *f, struct listener *listener, struct span head)
{
	char more[200] = "";
	if (f->way == WAY_NCHAN_POLL) {
		struct span time = after(head, SPAN("Last-Modified: "));
		struct span tag = after(head, SPAN("Etag: "));
		snprintf(more, sizeof(more), "If-Modified-Since: %.*s\r\nIf-None-Match: %.*s\r\n",
		    time.ptr ? (int)strcspn(time.ptr, "\r") : 0, time.ptr,
		    tag.ptr ? (int)strcspn(tag.ptr, "\r") : 0, tag.ptr);
	}
	write_request(f, listener, span_str(more));
	say(f, listener->fd);
}

static void
take_polled(struct field *f, struct listener *listener, struct span bytes)
{
	struct span body;
	size_t len;
	buf_append_span(&listener->rest, bytes);
	while ((len = answer_len(buf_span(&listener->rest), &body))) {
		struct span head =
		    span_of(listener->rest.ptr, (size_t)(body.ptr - listener->rest.ptr));
		uint64_t messages = count_marks(body);
		if (f->way == WAY_POLL)
			look_at_ids(f, listener, body);
		if (f->keep && listener == f->listeners) {
			buf_clear(f->keep);
			buf_append(f->keep, listener->rest.ptr, len);
		}
		listener->messages += messages;
		f->messages += messages;
		f->answers++;
		poll_again(f, listener, head);
		buf_consume(&listener->rest, len);
	}
}

static void
take(struct field *f, struct listener *listener)
{
	ssize_t n = recv(listener->fd, f->bytes, RECV_BYTES, 0);
	struct span bytes = span_of(f->bytes, n > 0 ? (size_t)n : 0);
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			lose(f, "a connection was cut off");
		return;
	}
	if (listener == &f->publisher) {
		while ((bytes = after(bytes, SPAN("HTTP/1.1 "))).ptr)
			f->acks++;
	} else if (!listener->ready) {
		listener->ready = true; /* the head of a stream */
		f->answers++;
	} else if (polls(f->way)) {
		take_polled(f, listener, bytes);
	} else {
		uint64_t messages = count_marks(bytes);
		if (f->keep && listener == f->listeners)
			buf_append_span(f->keep, bytes);
		listener->messages += messages;
		f->messages += messages;
		f->answers++;
	}
}

static void
turn(struct field *f, int wait_ms)
{
	struct epoll_event events[EVENTS];
	int count = epoll_wait(f->epoll, events, EVENTS, wait_ms);
	for (int i = 0; i < count && !f->error; i++)
		take(f, events[i].data.ptr);
}

/* ── the field ── */

static int
open_one(struct field *f, struct listener *listener, size_t number)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = listener};
	listener->fd = bench_push_connect(&f->target, number);
	buf_init(&listener->rest, 0);
	if (listener->fd < 0)
		return bench_fail(f->bench, listener->fd, "connecting to %s: %s", f->target.address,
		    strerror(-listener->fd));
	if (epoll_ctl(f->epoll, EPOLL_CTL_ADD, listener->fd, &event) < 0)
		return bench_fail(f->bench, -ENOMEM, "memory is out");
	return 0;
}

/* Until all streams are answered; who polls is held some time after he has asked. */
static void
settle(struct field *f)
{
	double end = bench_seconds(f->bench) + PATIENCE_S;
	while (!f->error && !polls(f->way) && f->answers < f->count) {
		turn(f, 100);
		if (bench_seconds(f->bench) > end)
			lose(f, "not all were let in");
	}
	usleep(300 * 1000);
}

static int
field_open(struct field *f, struct bench *b, enum way way, const struct push_target *target)
{
	*f = (struct field){.bench = b, .way = way, .target = *target,
	    .count = b->options.subscribers};
	buf_init(&f->out, 0);
	buf_init(&f->behind, 0);
	for (size_t i = 0; i < CHANNELS; i++)
		buf_init(&f->before[i], 0);
	make_requests(f);
	f->epoll = epoll_create1(EPOLL_CLOEXEC);
	f->listeners = calloc(f->count, sizeof(*f->listeners));
	f->bytes = malloc(RECV_BYTES);
	if (f->epoll < 0 || !f->listeners || !f->bytes)
		return bench_fail(b, -ENOMEM, "memory is out");
	for (size_t i = 0; i < f->count && !f->error; i++) {
		struct listener *listener = &f->listeners[i];
		listener->channel = (unsigned)(i % CHANNELS);
		f->error = open_one(f, listener, i);
		if (f->error)
			break;
		write_request(f, listener, span_of(NULL, 0));
		if (way == WAY_BARE_STREAM) {
			buf_clear(&f->out);
			buf_append_byte(&f->out, 'S');
		}
		say(f, listener->fd);
		listener->ready = polls(way);
	}
	if (!f->error)
		f->error = open_one(f, &f->publisher, f->count);
	if (!f->error)
		settle(f);
	f->answers = 0;
	return f->error;
}

static void
field_finish(struct field *f)
{
	for (size_t i = 0; f->listeners && i <= f->count; i++) {
		struct listener *listener = i < f->count ? &f->listeners[i] : &f->publisher;
		if (listener->fd > 0)
			close(listener->fd);
		buf_finish(&listener->rest);
	}
	if (f->epoll > 0)
		close(f->epoll);
	free(f->listeners);
	free(f->bytes);
	buf_finish(&f->out);
	buf_finish(&f->behind);
	for (size_t i = 0; i < CHANNELS; i++)
		buf_finish(&f->before[i]);
}

/* Publishes `batch` to each channel whenever no more than `window` of each are under way. */
static int
measure(struct field *f, uint64_t batch, uint64_t window, struct result *ret_result)
{
	struct bench *b = f->bench;
	double begin = bench_seconds(b), cpu = bench_cpu_seconds(f->target.pid);
	double end = begin + (double)b->options.duration_ms / 1e3, moved = begin, now = begin;
	uint64_t sent = 0, seen = 0;
	f->messages = f->answers = f->acks = 0;
	while (!f->error && (now < end || f->messages < sent * f->count)) {
		while (now < end && !f->error &&
		    sent + batch <= f->messages / f->count + window) {
			publish(f, batch);
			sent += batch;
		}
		turn(f, 100);
		now = bench_seconds(b);
		if (f->messages != seen)
			moved = now;
		seen = f->messages;
		if (now - moved > PATIENCE_S)
			lose(f, "messages were lost");
	}
	if (f->error)
		return f->error;
	for (size_t i = 0; i < f->count; i++) {
		if (f->listeners[i].messages % sent != 0)
			lose(f, "a message came twice to one and not to another");
		f->listeners[i].messages = 0;
	}
	*ret_result = (struct result){
		.us = (bench_cpu_seconds(f->target.pid) - cpu) * 1e6 / (double)f->messages,
		.per_s = (double)f->messages / (now - begin),
		.an_answer = (double)f->messages / (double)f->answers,
	};
	return f->error;
}

/* ── one way ── */

struct measure {
	enum way way;
	uint64_t batch, window;
	struct span sample;   /* for a bare loop: what each is sent */
	struct buf *keep;
};

static int
run(struct bench *b, const struct push_target *target, const struct measure *asked,
    struct result *ret_result)
{
	struct field f;
	int error = field_open(&f, b, asked->way, target);
	f.sample = asked->sample;
	f.keep = asked->keep;
	if (!error)
		error = measure(&f, asked->batch, asked->window, ret_result);
	field_finish(&f);
	usleep(200 * 1000);
	return error;
}

/* The same bytes from a process that does nothing else. */
static int
run_bare(struct bench *b, const struct measure *asked, struct result *ret_result)
{
	char address[64];
	struct push_target target = {.address = address, .key = ""};
	int error = bench_push_bare_start(b, &target.pid, address, sizeof(address));
	if (!error)
		error = run(b, &target, asked, ret_result);
	if (target.pid > 0)
		bench_nothing_end(target.pid);
	return error;
}

/* ── all ── */

struct names {
	uint64_t messages;    /* an answer */
	const char *ws, *sse, *poll, *limit_stream, *limit_poll, *of_ws, *of_sse, *of_limit,
	    *limit_of_stream, *an_answer;
};

static const struct names names[] = {
    {1, "ws_1_us", "sse_1_us", "poll_1_us", "limit_stream_1_us", "limit_poll_1_us",
	"poll_of_ws_1", "poll_of_sse_1", "poll_of_limit_1", "limit_poll_of_stream_1",
	"an_answer_1"},
    {16, "ws_16_us", "sse_16_us", "poll_16_us", "limit_stream_16_us", "limit_poll_16_us",
	"poll_of_ws_16", "poll_of_sse_16", "poll_of_limit_16", "limit_poll_of_stream_16",
	"an_answer_16"},
};

static int
measure_messages(struct bench *b, const struct push_target *target, const struct names *n,
    struct bench_result *result)
{
	struct result ws, sse, poll, bare_stream, bare_poll;
	struct buf stream_bytes, poll_bytes;
	struct measure asked = {.batch = n->messages, .window = n->messages};
	buf_init(&stream_bytes, 0);
	buf_init(&poll_bytes, 0);
	asked.way = WAY_WS;
	asked.keep = &stream_bytes;
	int error = run(b, target, &asked, &ws);
	asked.keep = &poll_bytes;
	asked.way = WAY_POLL;
	if (!error)
		error = run(b, target, &asked, &poll);
	asked.keep = NULL;
	asked.way = WAY_SSE;
	if (!error)
		error = run(b, target, &asked, &sse);
	/* Rounds of a stream are of the same length. */
	uint64_t rounds = count_marks(buf_span(&stream_bytes)) / n->messages;
	asked.way = WAY_BARE_STREAM;
	asked.sample = span_of(stream_bytes.ptr, stream_bytes.len / MAX(rounds, 1ull));
	if (!error)
		error = run_bare(b, &asked, &bare_stream);
	asked.way = WAY_BARE_POLL;
	asked.sample = buf_span(&poll_bytes);
	if (!error)
		error = run_bare(b, &asked, &bare_poll);
	buf_finish(&stream_bytes);
	buf_finish(&poll_bytes);
	if (error)
		return error;
	bench_figure_add(result, n->ws, ws.us);
	bench_figure_add(result, n->sse, sse.us);
	bench_figure_add(result, n->poll, poll.us);
	bench_figure_add(result, n->limit_stream, bare_stream.us);
	bench_figure_add(result, n->limit_poll, bare_poll.us);
	bench_figure_add(result, n->of_ws, poll.us / ws.us);
	bench_figure_add(result, n->of_sse, poll.us / sse.us);
	bench_figure_add(result, n->of_limit, poll.us / bare_poll.us);
	bench_figure_add(result, n->limit_of_stream, bare_poll.us / bare_stream.us);
	bench_figure_add(result, n->an_answer, poll.an_answer);
	return 0;
}

static int
measure_saturated(struct bench *b, const struct push_target *target, struct bench_result *result)
{
	struct result poll;
	const struct measure asked = {
		.way = WAY_POLL, .batch = SATURATED_BATCH, .window = SATURATED_WINDOW};
	int error = run(b, target, &asked, &poll);
	if (error)
		return error;
	bench_figure_add(result, "saturated_us", poll.us);
	bench_figure_add(result, "saturated_per_s", poll.per_s);
	bench_figure_add(result, "saturated_an_answer", poll.an_answer);
	return 0;
}

static int
measure_peer(struct bench *b, struct bench_result *result)
{
	const struct bench_options *o = &b->options;
	const struct push_target target = {
		.address = o->peer_url, .key = "", .pid = (pid_t)o->peer_pid};
	struct result ws, poll;
	struct measure asked = {.way = WAY_NCHAN_WS, .batch = 1, .window = 1};
	if (strcmp(o->peer, "nchan") != 0)
		return bench_fail(b, -EINVAL, "no server '%s' is known", o->peer);
	int error = run(b, &target, &asked, &ws);
	asked.way = WAY_NCHAN_POLL;
	if (!error)
		error = run(b, &target, &asked, &poll);
	if (error)
		return error;
	bench_figure_add(result, names[0].ws, ws.us);
	bench_figure_add(result, names[0].poll, poll.us);
	bench_figure_add(result, names[0].of_ws, poll.us / ws.us);
	bench_figure_add(result, names[0].an_answer, poll.an_answer);
	return 0;
}

int
bench_longpoll(struct bench *b, unsigned number, struct bench_result *result)
{
	struct bench_server server;
	(void)number;
	process_raise_files();
	if (b->options.peer)
		return measure_peer(b, result);
	/* The bare loop is one thread, too, and has a processor of its own beside the client's. */
	if (!b->options.set)
		b->options.set = "net.loops=1";
	struct push_target target;
	int error = bench_push_server_open(b, &server, &target);
	for (size_t i = 0; i < ARRAY_COUNT(names) && !error; i++)
		error = measure_messages(b, &target, &names[i], result);
	if (!error)
		error = measure_saturated(b, &target, result);
	bench_server_finish(b, &server);
	return error;
}

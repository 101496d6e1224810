/*
 * logs.c: GET /api/v1/admin/logs: the server's own log, as far as it is kept in memory, as NDJSON;
 * or as a stream of events that goes on. For those who govern the node: its lines are of all
 * tenants.
 *
 * NDJSON is made by a worker. A stream is looked after on its loop, some times a second while it
 * lasts; it ends with the caller's rights, or when the server stops.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access_may.h"
#include "api_priv.h"
#include "check.h"
#include "json.h"
#include "loop.h"
#include "num.h"
#include "stream.h"

#define TICK_MS 200
#define TICK_LINES_MAX 256
#define COMMENT_MS 15000
#define TEXT_BYTES_MAX 128

struct logs_filter {
	int64_t from_ms, to_ms;
	unsigned level;
	int64_t seen_ms;        /* lines up to this time and number were sent before */
	uint64_t seen_number;
	size_t text_len;
	char text[TEXT_BYTES_MAX];
};

struct logs_call {
	const struct api *api;
	struct logs_filter filter;
	struct api_log_cursor cursor;
	struct api_log_line line;
	struct buf out;
	/* Of a stream of events: */
	struct session_request *request;
	struct loop *loop;
	struct loop_timer timer;
	uint64_t silent_since_ms;
};

static bool
is_wanted(const struct logs_call *lc)
{
	const struct logs_filter *filter = &lc->filter;
	const struct api_log_line *line = &lc->line;

	if (line->time_ms < filter->seen_ms || (line->time_ms == filter->seen_ms &&
	    lc->cursor.number - 1 <= filter->seen_number))
		return false;
	return line->time_ms >= filter->from_ms && line->time_ms < filter->to_ms &&
	    line->level >= filter->level && (filter->text_len == 0 ||
	    memmem(line->json.ptr, line->json.len, filter->text, filter->text_len));
}

/* {"source":"server",…}. */
static void
line_write(struct buf *out, const struct api_log_line *line)
{
	buf_append_str(out, "{\"source\":\"server\",");
	buf_append_span(out, span_skip(line->json, 1));
}

/* ── NDJSON, on a worker ── */

static int
logs_run(void *ctx, struct stream *stream)
{
	struct logs_call *lc = ctx;
	int error = 0;

	while (error == 0 && lc->api->log_next(lc->api->ctx, &lc->cursor, &lc->line)) {
		if (!is_wanted(lc))
			continue;
		line_write(&lc->out, &lc->line);
		buf_append_byte(&lc->out, '\n');
		if (lc->out.len < 16384)
			continue;
		error = buf_ok(&lc->out) ? stream_write(stream, buf_span(&lc->out)) : -ENOMEM;
		buf_clear(&lc->out);
	}
	if (error == 0 && lc->out.len)
		error = buf_ok(&lc->out) ? stream_write(stream, buf_span(&lc->out)) : -ENOMEM;
	return error;
}

static void
logs_destroy(void *ctx)
{
	struct logs_call *lc = ctx;

	buf_finish(&lc->out);
	free(lc);
}

/* ── events, on the loop ── */

static bool
is_over(const struct logs_call *lc)
{
	const struct access_principal *principal = session_principal(lc->request);

	return principal->revoked || !lc->api->ready(lc->api->ctx) || !buf_ok(&lc->out) ||
	    (principal->expires_ms && principal->expires_ms <= loop_now_ms(lc->loop));
}

static void
event_write(struct logs_call *lc)
{
	buf_printf(&lc->out, "id: %lld-%llu\ndata: ", (long long)lc->line.time_ms,
	    (unsigned long long)lc->cursor.number - 1);
	line_write(&lc->out, &lc->line);
	buf_append_str(&lc->out, "\n\n");
}

/* What is owed, then what is new. */
static void
events_send(struct logs_call *lc)
{
	uint64_t now_ms = loop_mono_ms(lc->loop);
	unsigned count = 0;

	while (lc->out.len == 0 && count++ < TICK_LINES_MAX &&
	    lc->api->log_next(lc->api->ctx, &lc->cursor, &lc->line)) {
		if (is_wanted(lc))
			event_write(lc);
	}
	if (lc->out.len == 0 && now_ms - lc->silent_since_ms >= COMMENT_MS)
		buf_append_str(&lc->out, ":\n\n");
	if (is_over(lc)) {
		session_answer_end(lc->request);
		return;
	}
	if (lc->out.len && session_answer_write(lc->request, buf_span(&lc->out)) == 0) {
		buf_clear(&lc->out);
		lc->silent_since_ms = now_ms;
	}
	loop_timer_set(lc->loop, &lc->timer, now_ms + (count > TICK_LINES_MAX ? 1 : TICK_MS));
}

static void
events_tick(struct loop_timer *timer)
{
	events_send(CONTAINER_OF(timer, struct logs_call, timer));
}

static void
events_begin(struct session_request *request, struct logs_call *lc)
{
	lc->request = request;
	lc->loop = session_get_loop(request);
	lc->timer.fire = events_tick;
	lc->silent_since_ms = loop_mono_ms(lc->loop);
	if (loop_timer_set(lc->loop, &lc->timer, lc->silent_since_ms)) {
		logs_destroy(lc);
		api_no_memory(request);
		return;
	}
	session_set_state(request, lc);
	session_add_header(request, "Cache-Control", SPAN("no-store"));
	session_answer_begin(request, 200, "text/event-stream");
}

/* ── from the request ── */

static bool
level_read(struct session_request *request, unsigned *ret_level)
{
	static const char *const words[] = {"debug", "info", "warn", "error"};
	struct span text = session_query(request, "level");
	unsigned i = 0;

	while (text.ptr && i < ARRAY_COUNT(words) && !span_eq(text, span_str(words[i])))
		i++;
	if (i == ARRAY_COUNT(words)) {
		session_problem(request, 400, NULL, "level is debug, info, warn or error");
		return false;
	}
	*ret_level = i;
	return true;
}

/* What is no id of ours is none. */
static void
seen_read(struct span id, struct logs_filter *filter)
{
	const char *dash = id.len ? memchr(id.ptr, '-', id.len) : NULL;
	uint64_t time_ms, number;

	filter->seen_ms = INT64_MIN;
	filter->seen_number = 0;
	if (!dash || num_parse_u64(span_of(id.ptr, (size_t)(dash - id.ptr)), &time_ms) ||
	    num_parse_u64(span_skip(id, (size_t)(dash - id.ptr) + 1), &number) ||
	    time_ms > INT64_MAX)
		return;
	filter->seen_ms = (int64_t)time_ms;
	filter->seen_number = number;
}

/* false: answered. */
static bool
filter_read(struct session_request *request, bool live, struct logs_filter *filter)
{
	const struct api_loop *al = session_app(request);
	struct span source = session_query(request, "source");
	struct span text = session_query(request, "q");
	bool resumed = session_header(request, "Last-Event-ID").len > 0;
	const int64_t from_ms = live && !resumed ? loop_now_ms(al->loop) : INT64_MIN;

	seen_read(live ? session_header(request, "Last-Event-ID") : span_of(NULL, 0), filter);
	if (!api_query_time(request, "from", from_ms, &filter->from_ms) ||
	    !api_query_time(request, "to", INT64_MAX, &filter->to_ms) ||
	    !level_read(request, &filter->level))
		return false;
	if (source.ptr && !span_eq(source, SPAN("server"))) {
		session_problem(request, 400, NULL, "source is server; what gateways say is on "
		    "the channels gateways/ID/logs");
		return false;
	}
	if (text.len > TEXT_BYTES_MAX) {
		session_problem(request, 400, NULL, "q has at most %d bytes", TEXT_BYTES_MAX);
		return false;
	}
	filter->text_len = text.len;
	if (text.len)
		memcpy(filter->text, text.ptr, text.len);
	return true;
}

static void
logs_end(struct session_request *request, struct span whole)
{
	static const struct access_object node = {.what = ACCESS_A_NODE};
	const struct api_loop *al = session_app(request);
	bool live = session_accepts(request, "text/event-stream");
	struct logs_filter filter;
	struct logs_call *lc;
	struct stream *stream;

	(void)whole;
	if (access_may(al->access, session_principal(request), ACCESS_SEE, &node) != ACCESS_YES) {
		session_problem(request, 403, NULL, "this is for those who govern the node");
		return;
	}
	if (!filter_read(request, live, &filter))
		return;
	lc = calloc(1, sizeof *lc);
	if (!lc) {
		api_no_memory(request);
		return;
	}
	lc->api = al->api;
	lc->filter = filter;
	buf_init(&lc->out, 0);
	if (live) {
		events_begin(request, lc);
		return;
	}
	stream = stream_open(request);
	if (!stream) {
		logs_destroy(lc);
		return;
	}
	stream_submit(stream, &(struct stream_work){.run = logs_run, .done = logs_destroy,
	    .ctx = lc, .content_type = "application/x-ndjson"});
}

static void
logs_writable(struct session_request *request)
{
	if (!session_accepts(request, "text/event-stream"))
		stream_writable(request); /* events are looked after by their timer */
}

static void
logs_gone(struct session_request *request, bool broken)
{
	struct logs_call *lc = session_state(request);

	if (!session_accepts(request, "text/event-stream")) {
		stream_gone(request, broken);
	} else if (lc) {
		loop_timer_cancel(lc->loop, &lc->timer);
		logs_destroy(lc);
	}
}

static const struct session_route_ops logs_ops = {
	.end = logs_end, .writable = logs_writable, .gone = logs_gone,
};

static const struct session_doc logs_doc = {
	.help = "For those who govern the node. As far as log.ring_bytes keeps them. With Accept: "
	    "text/event-stream new lines as they come, and with from or Last-Event-ID older ones "
	    "before them.",
	.query = {
		{"from?", "When", "Lines from then on; by default all that are kept."},
		{"to?", "When", "Lines before that."},
		{"level?", "'debug'|'info'|'warn'|'error'", "The least; by default all."},
		{"source?", "'server'", "Whose lines."},
		{"q?", "string", "A text that the line holds."},
	},
	.headers = {{"Last-Event-ID?", "string", "The id of the last event that the caller has."}},
	.answers = {
		{200, "application/x-ndjson LogLine", "A line each, in order."},
		{200, "text/event-stream LogLine", ""},
	},
};

const struct session_route api_logs_routes[] = {
	{
		.path = "/api/v1/admin/logs", .methods = SESSION_GET, .rights = ACCESS_ADMIN,
		.ops = &logs_ops, .summary = "The server's log", .doc = &logs_doc,
	},
	{.path = NULL},
};

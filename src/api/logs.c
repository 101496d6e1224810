/*
 * logs.c: GET /api/v1/admin/logs: the server's own log, as far as it is kept in memory, as NDJSON;
 * or as a stream of events that goes on. For those who govern the node: its lines are of all
 * tenants. And what a gateway said on its topic logs, from the journal, for those who may see it.
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
#include "journal.h"
#include "loop.h"
#include "num.h"
#include "raw.h"
#include "stream.h"

#define TICK_MS 200
#define TICK_LINES_MAX 256
#define COMMENT_MS 15000
#define NAME_BYTES_MAX 64u
#define TEXT_BYTES_MAX 128

struct logs_filter {
	int64_t from_ms, to_ms;
	unsigned level;
	int64_t seen_ms;        /* lines up to this time and number were sent before */
	uint64_t seen_number;
	size_t text_len;
	char text[TEXT_BYTES_MAX];
};

static const char *const levels[] = {"debug", "info", "warn", "error"};

struct logs_call {
	const struct api *api;
	struct logs_filter filter;
	struct api_log_cursor cursor;
	struct api_log_line line;
	struct buf out;
	/* Of a gateway: */
	char tenant[NAME_BYTES_MAX + 1];
	char gateway[NAME_BYTES_MAX + 1];
	struct buf scratch;
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
	buf_finish(&lc->scratch);
	free(lc);
}

/* ── what a gateway said, on a worker ── */

/* Of an object with a member level, whose word it is; else info. */
static unsigned
level_of(struct span data)
{
	struct json_reader reader;
	unsigned level = 1;

	json_reader_init(&reader, data, false);
	if (json_next(&reader) != JSON_OBJECT)
		return level;
	while (json_next(&reader) == JSON_KEY) {
		bool is_level = json_text_eq(&reader, SPAN("level"));
		enum json_token token = json_next(&reader);

		for (unsigned i = 0; is_level && token == JSON_STRING && i < 4; i++)
			if (span_starts(reader.text, span_str(levels[i])))
				level = i;
		json_skip(&reader, token);
	}
	return level;
}

static int
said_each(void *ctx, int64_t time_ms, struct span data)
{
	struct logs_call *lc = ctx;
	const struct logs_filter *filter = &lc->filter;

	if (time_ms < filter->from_ms || time_ms >= filter->to_ms ||
	    (filter->level > 0 && level_of(data) < filter->level) || (filter->text_len &&
	    !memmem(data.ptr, data.len, filter->text, filter->text_len)))
		return 0;
	buf_printf(&lc->out, "{\"source\":\"%s\",\"time\":%lld,\"data\":", lc->gateway,
	    (long long)time_ms);
	buf_append_span(&lc->out, data);
	buf_append_str(&lc->out, "}\n");
	return buf_ok(&lc->out) ? 0 : -ENOMEM;
}

static int
said_record(struct logs_call *lc, const struct journal_record *record)
{
	if (record->stream != JOURNAL_REPORTS || !span_eq(record->tenant, span_str(lc->tenant)) ||
	    !span_eq(record->principal, span_str(lc->gateway)))
		return 0;
	return raw_messages_each(record, SPAN("logs"), &lc->scratch, said_each, lc);
}

/* Gateways say when it was, which is before it came. */
static int
said_run(void *ctx, struct stream *stream)
{
	struct logs_call *lc = ctx;
	struct journal_reader *reader;
	struct journal_record record;
	struct journal_damage damage;
	int error = journal_reader_open(lc->api->journal, 1, &reader), result = 1;

	if (error)
		return error;
	journal_reader_skip_to_time(reader, lc->filter.from_ms);
	while (error == 0 && (result = journal_reader_next(reader, &record, &damage)) != 0) {
		if (result == -EBADMSG) {
			buf_printf(&lc->out, "{\"warning\":\"journal segment %s is damaged at "
			    "byte %llu\"}\n", damage.segment,
			    (unsigned long long)damage.offset);
			continue;
		}
		error = result < 0 ? result : said_record(lc, &record);
		if (error == 0 && lc->out.len >= 16384) {
			error = stream_write(stream, buf_span(&lc->out));
			buf_clear(&lc->out);
		}
	}
	journal_reader_close(reader);
	return error || lc->out.len == 0 ? error : stream_write(stream, buf_span(&lc->out));
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
	struct span text = session_query(request, "level");
	unsigned i = 0;

	while (text.ptr && i < ARRAY_COUNT(levels) && !span_eq(text, span_str(levels[i])))
		i++;
	if (i == ARRAY_COUNT(levels)) {
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
	struct span text = session_query(request, "q");
	bool resumed = session_header(request, "Last-Event-ID").len > 0;
	const int64_t from_ms = live && !resumed ? loop_now_ms(al->loop) : INT64_MIN;

	seen_read(live ? session_header(request, "Last-Event-ID") : span_of(NULL, 0), filter);
	if (!api_query_time(request, "from", from_ms, &filter->from_ms) ||
	    !api_query_time(request, "to", INT64_MAX, &filter->to_ms) ||
	    !level_read(request, &filter->level))
		return false;
	if (text.len > TEXT_BYTES_MAX) {
		session_problem(request, 400, NULL, "q has at most %d bytes", TEXT_BYTES_MAX);
		return false;
	}
	filter->text_len = text.len;
	if (text.len)
		memcpy(filter->text, text.ptr, text.len);
	return true;
}

/* Whose log: 0 the server's, else a gateway's. false: answered. */
static bool
source_read(struct session_request *request, bool live, uint64_t *ret_gateway)
{
	struct span source = session_query(request, "source");
	bool is_gateway = span_starts(source, SPAN("gateway-"));
	uint64_t id = 0;

	if (is_gateway && (num_parse_u64(span_skip(source, 8), &id) || source.ptr[8] == '0'))
		id = 0;
	if (source.ptr && !span_eq(source, SPAN("server")) && id == 0) {
		session_problem(request, 400, NULL, "source is server, or gateway-ID");
		return false;
	}
	if (id && live) {
		session_problem(request, 400, NULL,
		    "what a gateway says is live on the channel gateways/%llu/logs",
		    (unsigned long long)id);
		return false;
	}
	*ret_gateway = id;
	return true;
}

/* false: answered. */
static bool
may_see(struct session_request *request, uint64_t gateway, struct span tenant)
{
	const struct api_loop *al = session_app(request);
	struct access_object object = {
		.what = gateway ? ACCESS_A_GATEWAY : ACCESS_A_NODE,
		.tenant = tenant,
		.number = gateway,
	};

	if (access_may(al->access, session_principal(request), ACCESS_SEE, &object) == ACCESS_YES)
		return true;
	session_problem(request, 403, NULL, gateway ? "your credentials do not allow this"
	    : "this is for those who govern the node");
	return false;
}

static void
logs_end(struct session_request *request, struct span whole)
{
	const struct api_loop *al = session_app(request);
	bool live = session_accepts(request, "text/event-stream");
	struct span tenant = session_query(request, "tenant");
	uint64_t gateway;
	struct logs_filter filter;
	struct logs_call *lc;
	struct stream *stream;

	(void)whole;
	if (!tenant.ptr)
		tenant = session_principal(request)->tenant;
	if (!source_read(request, live, &gateway) || !may_see(request, gateway, tenant) ||
	    !filter_read(request, live, &filter))
		return;
	lc = calloc(1, sizeof *lc);
	if (!lc) {
		api_no_memory(request);
		return;
	}
	lc->api = al->api;
	lc->filter = filter;
	buf_init(&lc->out, 0);
	buf_init(&lc->scratch, 0);
	snprintf(lc->tenant, sizeof lc->tenant, "%.*s", (int)MIN(tenant.len, NAME_BYTES_MAX),
	    tenant.ptr);
	snprintf(lc->gateway, sizeof lc->gateway, "gateway-%llu", (unsigned long long)gateway);
	if (live) {
		events_begin(request, lc);
		return;
	}
	stream = stream_open(request);
	if (!stream) {
		logs_destroy(lc);
		return;
	}
	stream_submit(stream, &(struct stream_work){.run = gateway ? said_run : logs_run,
	    .done = logs_destroy, .ctx = lc, .content_type = "application/x-ndjson"});
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
	.help = "The server's: for those who govern the node, as far as log.ring_bytes keeps "
	    "them. With Accept: text/event-stream new lines as they come, and with from or "
	    "Last-Event-ID older ones before them.",
	.query = {
		{"from?", "When", "Lines from then on; by default all that are kept."},
		{"to?", "When", "Lines before that."},
		{"level?", "'debug'|'info'|'warn'|'error'", "The least; by default all."},
		{"source?", "string", "server, or gateway-ID: what it said on its topic logs, for "
		    "those who may see it; times and levels are its own."},
		{"tenant?", "Name", "Whose gateway; for those who govern the node."},
		{"q?", "string", "A text that the line holds."},
	},
	.headers = {{"Last-Event-ID?", "string", "The id of the last event that the caller has."}},
	.answers = {
		{200, "application/x-ndjson LogLine|GatewayLogLine", "A line each, in order."},
		{200, "text/event-stream LogLine", ""},
	},
};

const struct session_route api_logs_routes[] = {
	{
		.path = "/api/v1/admin/logs", .methods = SESSION_GET, .rights = ACCESS_ADMIN,
		.ops = &logs_ops, .summary = "The server's log, or a gateway's", .doc = &logs_doc,
	},
	{.path = NULL},
};

/*
 * events.c: GET /api/v1/events: strings that came as fields of line protocol, read from the journal
 * on a query worker.
 *
 * The journal is in order of arrival, a string's time is its own: what may hold it begins a day
 * before `from` (clocks of devices go ahead) and has no end. The same string sent again is given
 * once.
 */
#include "events.h"

#include <errno.h>
#include <stdlib.h>

#include "api_priv.h"
#include "check.h"
#include "hash.h"
#include "json.h"
#include "map.h"
#include "raw_keys.h"
#include "sight.h"
#include "stream.h"

#define AHEAD_MS (24 * 3600 * 1000)

struct events_question {
	const struct api *api;
	struct api_selector selector;
	struct events_filter filter;
	struct tombs *tombs;         /* what is erased */
	uint64_t limit, written;
	struct buf scratch, out;
	struct map given;            /* by hash of the whole line; values say nothing */
};

static bool
any_matches(const void *value, const void *key)
{
	(void)value;
	(void)key;
	return true;
}

/* 1: this very line was not given before, and is noted; 0: it was; or -ENOMEM. */
static int
line_is_new(struct events_question *question, struct span line)
{
	uint64_t hash = hash64(line, 0);
	if (map_get(&question->given, hash, any_matches, NULL))
		return 0;
	int error = map_add(&question->given, hash, question);
	return error ? error : 1;
}

static int
event_write(void *ctx, const struct event *event)
{
	struct events_question *question = ctx;
	struct buf *out = &question->out;
	size_t before = out->len;
	if (question->limit && question->written == question->limit)
		return 0;
	buf_append_str(out, "{\"time\":");
	buf_append_i64(out, event->time_ms);
	buf_append_str(out, ",\"metric\":");
	json_write_string(out, event->metric);
	buf_append_str(out, ",\"tags\":");
	api_tags_write(out, event->tags, event->tag_count);
	buf_append_str(out, ",\"text\":");
	json_write_string(out, event->text);
	buf_append_str(out, "}\n");
	if (!buf_ok(out))
		return -ENOMEM;
	int is_new = line_is_new(question, span_skip(buf_span(out), before));
	if (is_new <= 0)
		out->len = before;
	question->written += is_new > 0;
	return MIN(is_new, 0);
}

static int
out_flush(struct events_question *question, struct stream *stream, size_t at_least)
{
	if (question->out.len <= at_least)
		return 0;
	int error = stream_write(stream, buf_span(&question->out));
	buf_clear(&question->out);
	return error;
}

static int
record_take(struct events_question *question, const struct journal_record *record)
{
	if (!span_eq(record->tenant, question->selector.selector.tenant))
		return 0;
	return events_each(record, &question->filter, &question->scratch, event_write, question);
}

static struct span
device_of(const struct events_question *question)
{
	for (size_t i = 0; i < question->filter.tag_count; i++) {
		if (span_eq(question->filter.tags[i].name, SPAN("device")))
			return question->filter.tags[i].value;
	}
	return span_of(NULL, 0);
}

static int
events_run(void *ctx, struct stream *stream)
{
	struct events_question *question = ctx;
	struct journal_reader *reader;
	int error = journal_reader_open(question->api->journal, 1, &reader);
	if (error)
		return error;
	journal_reader_skip_to_time(reader, question->filter.from_ms - AHEAD_MS);
	error = raw_want(reader, question->selector.selector.tenant, device_of(question),
	    question->filter.scope);
	while (!error && (!question->limit || question->written < question->limit)) {
		struct journal_record record;
		struct journal_damage damage;
		int result = journal_reader_next(reader, &record, &damage);
		if (result == 0)
			break;
		if (result == -EBADMSG)
			buf_printf(&question->out, "{\"warning\":\"journal segment %s is damaged "
			    "at byte %llu: %s\"}\n", damage.segment,
			    (unsigned long long)damage.offset, damage.reason);
		else
			error = result < 0 ? result : record_take(question, &record);
		if (!error)
			error = out_flush(question, stream, 16384);
	}
	journal_reader_close(reader);
	return error ? error : out_flush(question, stream, 0);
}

static void
events_destroy(void *ctx)
{
	struct events_question *question = ctx;
	api_selector_finish(&question->selector);
	tombs_unref(question->tombs);
	buf_finish(&question->scratch);
	buf_finish(&question->out);
	map_finish(&question->given);
	free(question);
}

static bool
events_read(struct session_request *request, struct events_question *question)
{
	static const char *const known[] = {"metric", "from", "to", "limit", "token", NULL};
	const struct api_loop *al = session_app(request);
	struct events_filter *filter = &question->filter;
	const struct flow_selector *selector = &question->selector.selector;
	if (!api_query_time(request, "from", loop_now_ms(al->loop) - 3600000, &filter->from_ms) ||
	    !api_query_time(request, "to", INT64_MAX, &filter->to_ms) ||
	    !api_query_number(request, "limit", 1, UINT32_MAX, &question->limit) ||
	    !api_selector_parse(request, known, false, &question->selector))
		return false;
	filter->metric = selector->metric.len ? selector->metric : span_of(NULL, 0);
	filter->tags = selector->tags;
	filter->tag_count = selector->tag_count;
	filter->scope = selector->scope;
	filter->tombs = question->tombs = flow_loop_tombs(al->flow);
	return true;
}

static void
events_end(struct session_request *request, struct span whole)
{
	const struct api_loop *al = session_app(request);
	(void)whole;
	if (!sight_check(request))
		return;
	struct events_question *question = calloc(1, sizeof *question);
	if (!question) {
		api_no_memory(request);
		return;
	}
	question->api = al->api;
	buf_init(&question->scratch, 0);
	buf_init(&question->out, 0);
	map_init(&question->given);
	if (!events_read(request, question)) {
		free(question);
		return;
	}
	struct stream *stream = stream_open(request);
	if (!stream) {
		events_destroy(question);
		return;
	}
	struct stream_work work = {
		.run = events_run,
		.done = events_destroy,
		.ctx = question,
		.content_type = "application/x-ndjson",
	};
	stream_submit(stream, &work);
}

static const struct session_route_ops events_ops = {
	.end = events_end,
	.writable = stream_writable,
	.gone = stream_gone,
};

static const struct session_doc events_doc = {
	.help = "In order of arrival. Kept as long as raw messages.",
	.query = {
		{"metric?", "string", "Only of this one: measurement.field."},
		{"from?", "When", "The first time; by default -1h."},
		{"to?", "When", "The end, exclusive; by default there is none."},
		{"limit?", "integer", "Strings, at most; by default all."},
		{"TAG?", "Tags", "Every other parameter, or tag.NAME, is a tag with its value."},
	},
	.answers = {
		{200, "application/x-ndjson EventLine", "A string a line."},
		SIGHT_DOC,
		{500, "", "The journal cannot be read."},
	},
};

const struct session_route api_events_routes[] = {
	{
		.path = "/api/v1/events",
		.methods = SESSION_GET,
		.rights = ACCESS_READ,
		.ops = &events_ops,
		.summary = "Strings that came as fields of line protocol",
		.doc = &events_doc,
	},
	{.path = NULL},
};

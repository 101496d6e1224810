/*
 * query.c: GET /api/v1/query: what is asked. The answer is made in query_run.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "datetime.h"
#include "query_run.h"
#include "sight.h"

const char *const query_agg_words[SERIES_AGG_COUNT] = {
	[SERIES_AVG] = "avg",
	[SERIES_MIN] = "min",
	[SERIES_MAX] = "max",
	[SERIES_COUNT] = "count",
	[SERIES_SUM] = "sum",
	[SERIES_FIRST] = "first",
	[SERIES_LAST] = "last",
	[SERIES_P50] = "p50",
	[SERIES_P99] = "p99",
};

#define STEPS_MAX 10000000 /* buckets that fill may make in one series */

/* What a loop may unpack for an answer: tens of microseconds. */
#define AT_ONCE_POINTS 20000u

static void
question_destroy(void *ctx)
{
	struct question *question = ctx;
	for (size_t i = 0; i < question->ask.snapshot_count; i++)
		series_snapshot_unref(question->ask.snapshots[i]);
	pieces_destroy(question->pieces);
	api_selector_finish(&question->selector);
	free(question);
}

static bool
agg_add(struct session_request *request, struct series_query *query, struct span word)
{
	for (size_t i = 0; i < SERIES_AGG_COUNT; i++) {
		if (!span_eq(word, span_str(query_agg_words[i])))
			continue;
		if (query->agg_count == ARRAY_COUNT(query->aggs))
			break;
		query->aggs[query->agg_count++] = (enum series_agg)i;
		return true;
	}
	session_problem(request, 400, NULL, "agg has '%.*s'; it takes up to %zu of avg, min, max, "
	    "count, sum, first, last, p50, p99", SPAN_ARG(word), ARRAY_COUNT(query->aggs));
	return false;
}

static bool
aggs_parse(struct session_request *request, struct series_query *query)
{
	struct span text = session_query(request, "agg");
	if (!text.ptr && query->step_ms)
		text = SPAN("avg");
	while (text.ptr) {
		const char *comma = text.len ? memchr(text.ptr, ',', text.len) : NULL;
		size_t len = comma ? (size_t)(comma - text.ptr) : text.len;
		if (!agg_add(request, query, span_of(text.ptr, len)))
			return false;
		text = comma ? span_skip(text, len + 1) : span_of(NULL, 0);
	}
	return true;
}

static bool
fill_parse(struct session_request *request, struct series_query *query)
{
	struct span text = session_query(request, "fill");
	query->fill = SERIES_FILL_NONE;
	if (!text.ptr)
		return true;
	if (span_eq(text, SPAN("null")))
		query->fill = SERIES_FILL_NULL;
	else if (span_eq(text, SPAN("previous")))
		query->fill = SERIES_FILL_PREVIOUS;
	bool bounded = query->step_ms &&
	    (query->to_ms - query->from_ms) / query->step_ms < STEPS_MAX;
	if (query->fill != SERIES_FILL_NONE && bounded)
		return true;
	session_problem(request, 400, NULL,
	    "fill takes null or previous, needs a step, and fills at most %d buckets", STEPS_MAX);
	return false;
}

static bool
step_parse(struct session_request *request, struct series_query *query)
{
	struct span text = session_query(request, "step");
	query->step_ms = 0;
	if (!text.ptr || datetime_parse_duration(text, 1, &query->step_ms) == 0)
		return true;
	session_problem(request, 400, NULL, "step is '%.*s'; it must be a duration like 5m or 1h",
	    SPAN_ARG(text));
	return false;
}

/* What later versions will know is refused rather than taken for a tag. */
static bool
later_refuse(struct session_request *request)
{
	static const char *const later[] = {"match", "tz"};
	for (size_t i = 0; i < ARRAY_COUNT(later); i++) {
		if (!session_query(request, later[i]).ptr)
			continue;
		session_problem(request, 400, NULL, "%s is not known to this version", later[i]);
		return false;
	}
	return true;
}

static bool
query_parse(struct session_request *request, struct series_query *query)
{
	const struct api_loop *al = session_app(request);
	int64_t now = loop_now_ms(al->loop);
	query->limit = 0;
	query->agg_count = 0;
	if (!later_refuse(request) ||
	    !api_query_time(request, "from", now - 3600000, &query->from_ms) ||
	    !api_query_time(request, "to", now, &query->to_ms) || !step_parse(request, query) ||
	    !aggs_parse(request, query) || !fill_parse(request, query) ||
	    !api_query_number(request, "limit", 1, UINT32_MAX, &query->limit))
		return false;
	if (query->from_ms <= query->to_ms)
		return true;
	session_problem(request, 400, NULL, "from lies after to");
	return false;
}

static struct stream_work
question_work(struct question *question)
{
	return (struct stream_work){
		.run = question->csv ? query_run_csv : query_run_json,
		.done = question_destroy,
		.ctx = question,
		.content_type = question->csv ? "text/csv; charset=utf-8" : "application/json",
	};
}

/* A small question whose answer lies in memory: a worker would cost more than the answer. */
static void
question_here(struct flow_ask *ask, struct series_snapshot *const *snapshots, size_t count)
{
	struct question *question = CONTAINER_OF(ask, struct question, ask);
	struct stream_work work = question_work(question);
	question->query.at_once = AT_ONCE_POINTS;
	question->snapshots = snapshots;
	question->snapshot_count = count;
	question->answered = stream_run_now(question->stream, &work) == 0;
	question->query.at_once = 0;
}

static void
question_asked(struct flow_ask *ask, int error)
{
	struct question *question = CONTAINER_OF(ask, struct question, ask);
	struct stream *stream = question->stream;
	if (error) {
		question_destroy(question);
		stream_refuse(stream, error);
		return;
	}
	struct stream_work work = question_work(question);
	question->snapshots = ask->snapshots;
	question->snapshot_count = ask->snapshot_count;
	if (question->answered) {
		stream_finish_now(stream, &work);
		return;
	}
	question->pieces = pieces_create(ask->snapshots, ask->snapshot_count);
	if (question->pieces)
		work.help = query_run_help;
	stream_submit(stream, &work);
}

static void
query_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {
		"metric", "from", "to", "step", "agg", "limit", "fill", "token", NULL};
	const struct api_loop *al = session_app(request);
	(void)whole;
	if (!sight_check(request))
		return;
	struct question *question = calloc(1, sizeof *question);
	if (!question) {
		api_no_memory(request);
		return;
	}
	if (!query_parse(request, &question->query) ||
	    !api_selector_parse(request, known, true, &question->selector)) {
		free(question);
		return;
	}
	question->csv = session_accepts(request, "text/csv");
	question->ask.selector = question->selector.selector;
	question->ask.from_ms = question->query.from_ms;
	question->ask.to_ms = question->query.to_ms;
	question->ask.series_max = al->api->series_max;
	question->ask.here = question_here;
	question->ask.done = question_asked;
	question->stream = stream_open(request);
	int error = question->stream ? flow_ask(al->flow, &question->ask) : 0;
	if (question->stream && !error)
		return;
	if (error)
		stream_refuse(question->stream, error);
	question_destroy(question);
}

static const struct session_route_ops query_ops = {
	.end = query_end,
	.writable = stream_writable,
	.gone = stream_gone,
};

static const struct session_doc query_doc = {
	.help = "Answers stream, whatever their size. In CSV the columns are metric, the tags, "
	    "time, and the value or the aggregates.",
	.query = {
		{"metric", "string", "Which metric."},
		{"TAG?", "Tags", "Every other parameter, or tag.NAME, is a tag with its value."},
		{"from?", "When", "The first time; by default -1h."},
		{"to?", "When", "The end, exclusive; by default now."},
		{"step?", "string", "Length of buckets, like 5m; without it, points as they are."},
		{"agg?", "string", "Of each bucket: some of avg, min, max, count, sum, first, "
		    "last, p50, p99, split by commas; by default avg."},
		{"fill?", "'null'|'previous'", "What empty buckets hold; by default "
		    "they are left out."},
		{"limit?", "integer", "Points of a series, at most; by default all."},
	},
	.headers = {{"Accept?", "string", "text/csv gives CSV."}},
	.answers = {
		{200, "QueryResult", "Points by series, ascending by time."},
		{200, "text/csv string", ""},
		SIGHT_DOC,
		{500, "", "What is stored cannot be read."},
	},
};

const struct session_route api_query_routes[] = {
	{
		.path = "/api/v1/query",
		.methods = SESSION_GET,
		.rights = ACCESS_READ,
		.ops = &query_ops,
		.summary = "Points of series, raw or in buckets, as JSON or CSV",
		.doc = &query_doc,
	},
	{.path = NULL},
};

/*
 * write.c: InfluxDB line protocol, v1 (/write) and v2 (/api/v2/write), and /ping.
 */
#include <stdio.h>

#include "api_priv.h"
#include "intake.h"
#include "json.h"

static void
rejected_write(struct buf *out, const struct judge_result *result)
{
	buf_append_str(out, ",\"rejected\":[");
	for (size_t i = 0; i < result->detail_count; i++) {
		const struct judge_detail *detail = &result->details[i];
		const char *word = detail->word ? detail->word : verdict_word(detail->code);
		buf_printf(out, "%s{\"line\":%llu", i ? "," : "",
		    (unsigned long long)detail->item + 1);
		if (detail->column)
			buf_printf(out, ",\"column\":%u", detail->column);
		buf_printf(out, ",\"code\":\"%s\",\"text\":", word);
		json_write_string(out, span_str(detail->text));
		buf_append_byte(out, '}');
	}
	buf_append_byte(out, ']');
}

static void
partial_text(char *text, size_t size, const struct judge_result *result)
{
	const struct judge_detail *first = &result->details[0];
	if (!result->detail_count)
		snprintf(text, size, "partial write: dropped=%llu",
		    (unsigned long long)result->rejected);
	else
		snprintf(text, size, "partial write: line %llu, column %u: %s dropped=%llu",
		    (unsigned long long)first->item + 1, first->column, first->text,
		    (unsigned long long)result->rejected);
}

static void
write_answer(struct session_request *request, const struct judge_result *result, bool v2)
{
	if (result->rejected == 0) {
		session_answer(request, 204, NULL, span_of(NULL, 0));
		return;
	}
	char text[320];
	struct buf out;
	buf_init(&out, 0);
	partial_text(text, sizeof text, result);
	buf_append_str(&out, v2 ? "{\"code\":\"invalid\",\"message\":" : "{\"error\":");
	json_write_string(&out, span_str(text));
	rejected_write(&out, result);
	buf_append_byte(&out, '}');
	api_answer_buf(request, 400, "application/json", &out);
}

static void
write_v1_answer(struct session_request *request, const struct judge_result *result)
{
	write_answer(request, result, false);
}

static void
write_v2_answer(struct session_request *request, const struct judge_result *result)
{
	write_answer(request, result, true);
}

static void
write_begin(struct session_request *request,
    void (*answer)(struct session_request *request, const struct judge_result *result))
{
	struct intake_kind kind = {.format = JOURNAL_FORMAT_LINE, .answer = answer};
	enum access_kind who = session_principal(request)->kind;
	if (who == ACCESS_GATEWAY || who == ACCESS_DEVICE) {
		session_problem(request, 403, NULL, "line protocol is for applications: its lines "
		    "do not say for which device a gateway or device speaks; use /api/v1/readings");
		return;
	}
	struct span precision = session_query(request, "precision");
	if (precision.ptr && lp_precision_parse(precision, &kind.precision)) {
		session_problem(request, 400, NULL,
		    "precision is '%.*s'; it must be one of ns, us, ms, s, m, h",
		    SPAN_ARG(precision));
		return;
	}
	intake_begin(request, &kind);
}

static void
write_v1_begin(struct session_request *request)
{
	write_begin(request, write_v1_answer);
}

static void
write_v2_begin(struct session_request *request)
{
	write_begin(request, write_v2_answer);
}

static void
ping_end(struct session_request *request, struct span whole)
{
	(void)whole;
	session_add_header(request, "X-Influxdb-Version", SPAN("weir-" WEIR_VERSION));
	session_answer(request, 204, NULL, span_of(NULL, 0));
}

static const struct session_route_ops write_v1_ops = {
	.begin = write_v1_begin,
	.body = intake_body,
	.end = intake_end,
	.gone = intake_gone,
};

static const struct session_route_ops write_v2_ops = {
	.begin = write_v2_begin,
	.body = intake_body,
	.end = intake_end,
	.gone = intake_gone,
};

static const struct session_route_ops ping_ops = {.end = ping_end};

#define WRITE_QUERY                                                                       \
	{                                                                                 \
		{"precision?", "'ns'|'us'|'ms'|'s'|'m'|'h'",                              \
		    "Unit of times; by default ns."},                                     \
		{"p?", "string", "The key, where agents send it as a password."},         \
		{"u?", "string", "A user; ignored."},                                     \
		{"db?", "string", "Ignored, as bucket, org and rp are."},                 \
	}

static const struct session_doc write_v1_doc = {
	.help = "A series is named MEASUREMENT.FIELD and has the line's tags.",
	.query = WRITE_QUERY,
	.body = {"text/plain string"},
	.answers = {
		{204, "", "All lines are durable."},
		{400, "WriteErrorV1", "Some lines are bad, the good ones are durable; or the URL "
		    "is malformed."},
		{400, "application/problem+json Problem", ""},
	},
};

static const struct session_doc write_v2_doc = {
	.help = "A series is named MEASUREMENT.FIELD and has the line's tags.",
	.query = WRITE_QUERY,
	.body = {"text/plain string"},
	.answers = {
		{204, "", "All lines are durable."},
		{400, "WriteErrorV2", "Some lines are bad, the good ones are durable; or the URL "
		    "is malformed."},
		{400, "application/problem+json Problem", ""},
	},
};

static const struct session_doc ping_doc = {
	.answers = {{204, "", "It may; X-Influxdb-Version says what this is."}},
};

const struct session_route api_write_routes[] = {
	{
		.path = "/write",
		.methods = SESSION_POST,
		.rights = ACCESS_WRITE,
		.streaming = true,
		.ops = &write_v1_ops,
		.summary = "Line protocol, InfluxDB 1.x",
		.doc = &write_v1_doc,
	},
	{
		.path = "/api/v2/write",
		.methods = SESSION_POST,
		.rights = ACCESS_WRITE,
		.streaming = true,
		.ops = &write_v2_ops,
		.summary = "Line protocol, InfluxDB 2.x",
		.doc = &write_v2_doc,
	},
	{
		.path = "/ping",
		.methods = SESSION_GET | SESSION_POST,
		.ops = &ping_ops,
		.summary = "Whether a writer may write here, as InfluxDB answers it",
		.doc = &ping_doc,
	},
	{.path = NULL},
};

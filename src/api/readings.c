/*
 * readings.c: POST /api/v1/readings.
 */
#include "api_priv.h"
#include "intake.h"
#include "json.h"

enum { ANSWER_BYTES = 96 }; /* of one that rejects nothing */

static void
detail_write(struct buf *out, const struct judge_detail *detail)
{
	buf_printf(out, "{\"index\":%llu", (unsigned long long)detail->item);
	if (detail->reading >= 0)
		buf_printf(out, ",\"reading\":%d", detail->reading);
	if (detail->column)
		buf_printf(out, ",\"column\":%u", detail->column);
	buf_append_str(out, ",\"code\":");
	json_write_string(out, span_str(verdict_word(detail->code)));
	buf_append_str(out, ",\"detail\":");
	json_write_string(out, span_str(detail->text));
	buf_append_byte(out, '}');
}

void
api_readings_answer(struct session_request *request, const struct judge_result *result)
{
	struct buf out;
	buf_init(&out, 0);
	buf_reserve(&out, ANSWER_BYTES);
	buf_append_span(&out, SPAN("{\"accepted\":"));
	buf_append_u64(&out, result->accepted);
	buf_append_span(&out, SPAN(",\"rejected\":["));
	for (size_t i = 0; i < result->detail_count; i++) {
		if (i)
			buf_append_byte(&out, ',');
		detail_write(&out, &result->details[i]);
	}
	buf_append_span(&out, SPAN("],\"rejected_count\":"));
	buf_append_u64(&out, result->rejected);
	buf_append_byte(&out, '}');
	api_answer_buf(request, 202, "application/json", &out);
}

static void
readings_begin(struct session_request *request)
{
	static const struct intake_kind kind = {
		.format = JOURNAL_FORMAT_NONE,
		.answer = api_readings_answer,
	};
	intake_begin(request, &kind);
}

static const struct session_route_ops readings_ops = {
	.begin = readings_begin,
	.body = intake_body,
	.end = intake_end,
	.gone = intake_gone,
};

static const struct session_doc readings_doc = {
	.help = "Answered when what is accepted is durable. Sending the same again changes "
	    "nothing. NDJSON is unbounded, each line stands for itself; a document may have "
	    "16 MiB. An application registers the devices it writes, and needs no token of "
	    "theirs; a gateway needs its own credentials and each device's; a device may speak "
	    "for itself. Without credentials in the head, the first item must name a gateway "
	    "within 64 KiB, and all others the same one or none.",
	.body = {
		"Report|QoldReport|[Report|QoldReport]",
		"application/x-ndjson Report|QoldReport",
	},
	.answers = {{202, "Intake", "What was accepted is durable; the rest is listed."}},
};

const struct session_route api_readings_routes[] = {
	{
		.path = "/api/v1/readings",
		.methods = SESSION_POST,
		.rights = ACCESS_WRITE,
		.streaming = true,
		.body_credentials = true,
		.ops = &readings_ops,
		.summary = "Readings of devices: an object, an array, or NDJSON",
		.doc = &readings_doc,
	},
	{.path = NULL},
};

/*
 * messages.c: POST /api/v1/gateway/messages: what gateways report of themselves.
 */
#include "access_may.h"
#include "api_priv.h"
#include "intake.h"

static void
messages_begin(struct session_request *request)
{
	static const struct intake_kind kind = {
		.format = JOURNAL_FORMAT_MESSAGES,
		.answer = api_readings_answer,
	};
	const struct api_loop *al = session_app(request);
	const struct access_principal *principal = session_principal(request);
	struct access_object object = {.what = ACCESS_A_GATEWAY};
	if (principal && principal->kind == ACCESS_GATEWAY) {
		object.tenant = principal->tenant;
		object.number = principal->id;
	}
	/* Who is named in the body is a gateway. */
	if (principal && (principal->kind != ACCESS_GATEWAY ||
	    access_may(al->access, principal, ACCESS_REPORT, &object) != ACCESS_YES))
		session_problem(request, 403, NULL, "only a gateway reports here, with its own "
		    "credentials");
	else
		intake_begin(request, &kind);
}

static const struct session_route_ops messages_ops = {
	.begin = messages_begin,
	.body = intake_body,
	.end = intake_end,
	.gone = intake_gone,
};

static const struct session_doc messages_doc = {
	.help = "Lines without end, each for itself; answered when what is accepted is durable. "
	    "Each appears on the channel gateways/ID/TOPIC. Of topic metrics, each numeric member "
	    "of the data is a series tagged gateway=ID. Without credentials in the head, the first "
	    "line must have the member gateway.",
	.body = {"application/x-ndjson GatewayMessage"},
	.answers = {{202, "Intake", "What was accepted is durable; the rest is listed."}},
};

const struct session_route api_messages_routes[] = {
	{
		.path = "/api/v1/gateway/messages",
		.methods = SESSION_POST,
		.rights = ACCESS_WRITE,
		.streaming = true,
		.body_credentials = true,
		.ops = &messages_ops,
		.summary = "Errors, logs, metrics and other messages of a gateway",
		.doc = &messages_doc,
	},
	{.path = NULL},
};

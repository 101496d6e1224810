/*
 * ops.c: what operators and load balancers ask: /healthz, /readyz, /version, /metrics.
 */
#include <stdlib.h>

#include "access_may.h"
#include "api_priv.h"
#include "json.h"

static void
healthz_end(struct session_request *request, struct span whole)
{
	(void)whole;
	session_answer(request, 200, "text/plain; charset=utf-8", SPAN("ok\n"));
}

static void
readyz_end(struct session_request *request, struct span whole)
{
	const struct api *api = ((struct api_loop *)session_app(request))->api;
	(void)whole;
	if (api->ready(api->ctx))
		session_answer(request, 200, "text/plain; charset=utf-8", SPAN("ready\n"));
	else
		session_problem(request, 503, NULL, "the server is replaying or stopping");
}

static void
version_end(struct session_request *request, struct span whole)
{
	(void)whole;
	session_answer(request, 200, "application/json",
	    SPAN("{\"name\":\"weir\",\"version\":\"" WEIR_VERSION "\"}\n"));
}

/* The answer comes when every loop has said its figures; the client may be gone by then. */
struct metrics_call {
	struct session_request *request;
};

static void
metrics_done(void *arg, struct buf *out)
{
	struct metrics_call *call = arg;
	struct session_request *request = call->request;
	free(call);
	if (request)
		session_set_state(request, NULL);
	if (request && out)
		api_answer_buf(request, 200, "text/plain; version=0.0.4; charset=utf-8", out);
	else if (request)
		api_no_memory(request);
	else if (out)
		buf_finish(out);
}

static void
metrics_end(struct session_request *request, struct span whole)
{
	const struct api_loop *al = session_app(request);
	const struct api *api = al->api;
	const struct access_principal *principal = session_principal(request);
	(void)whole;
	if (!api->metrics_open && !(principal && access_sight(principal) == ACCESS_SIGHT_ALL)) {
		session_problem(request, 401, NULL, "metrics need a key with the right read "
		    "(or metrics.open = yes)");
		return;
	}
	struct metrics_call *call = malloc(sizeof *call);
	if (!call) {
		api_no_memory(request);
		return;
	}
	call->request = request;
	session_set_state(request, call);
	api->metrics(api->ctx, loop_index(al->loop), metrics_done, call);
}

static void
metrics_gone(struct session_request *request, bool broken)
{
	struct metrics_call *call = session_state(request);
	(void)broken;
	if (call)
		call->request = NULL;
}

static void
demo_end(struct session_request *request, struct span whole)
{
	const struct api *api = ((struct api_loop *)session_app(request))->api;
	(void)whole;
	if (!api->demo_key) {
		session_problem(request, 404, NULL, "this is no demonstration");
		return;
	}
	struct buf out;
	buf_init(&out, 0);
	buf_append_str(&out, "{\"key\":");
	json_write_string(&out, span_str(api->demo_key));
	buf_append_byte(&out, '}');
	api_answer_buf(request, 200, "application/json", &out);
}

static const struct session_route_ops healthz_ops = {.end = healthz_end};
static const struct session_route_ops readyz_ops = {.end = readyz_end};
static const struct session_route_ops version_ops = {.end = version_end};
static const struct session_route_ops metrics_ops = {.end = metrics_end, .gone = metrics_gone};
static const struct session_route_ops demo_ops = {.end = demo_end};

static const struct session_doc healthz_doc = {
	.always = true,
	.answers = {{200, "text/plain string", "It is."}},
};

static const struct session_doc readyz_doc = {
	.always = true,
	.answers = {
		{200, "text/plain string", "It is."},
		{503, "", "It replays its journal, or it stops."},
	},
};

static const struct session_doc version_doc = {
	.always = true,
	.answers = {{200, "Version", "Name and version."}},
};

static const struct session_doc metrics_doc = {
	.help = "Needs a key with the right read unless the setting metrics.open allows all.",
	.always = true,
	.answers = {
		{200, "text/plain string", "Prometheus text."},
		{401, "", "A key with the right read is needed."},
	},
};

static const struct session_doc demo_doc = {
	.answers = {
		{200, "DemoKey", "A key with all rights."},
		{404, "", "This is no demonstration."},
	},
};

const struct session_route api_ops_routes[] = {
	{
		.path = "/healthz",
		.methods = SESSION_GET,
		.ops = &healthz_ops,
		.summary = "Whether the process is alive",
		.doc = &healthz_doc,
	},
	{
		.path = "/readyz",
		.methods = SESSION_GET,
		.ops = &readyz_ops,
		.summary = "Whether it is ready to serve",
		.doc = &readyz_doc,
	},
	{
		.path = "/version",
		.methods = SESSION_GET,
		.ops = &version_ops,
		.summary = "Which version runs",
		.doc = &version_doc,
	},
	{
		.path = "/metrics",
		.methods = SESSION_GET,
		.ops = &metrics_ops,
		.summary = "Counters for Prometheus",
		.doc = &metrics_doc,
	},
	{
		.path = "/api/v1/demo",
		.methods = SESSION_GET,
		.ops = &demo_ops,
		.summary = "The key of a demonstration server",
		.doc = &demo_doc,
	},
	{.path = NULL},
};

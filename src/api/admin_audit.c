/*
 * admin_audit.c: GET /api/v1/admin/audit: who changed what, when, and from where.
 */
#include "admin_call.h"
#include "check.h"
#include "json.h"
#include "registry.h"

struct audit_call {
	struct admin_call call;
	int64_t from_ms, to_ms;
	uint64_t cursor, limit, count, last;
};

static void
text_write(struct buf *out, const char *member, struct span text)
{
	buf_append_str(out, member);
	json_write_string(out, text);
}

static void
document_write(struct buf *out, const char *member, struct span document)
{
	buf_append_str(out, member);
	buf_append_span(out, document.len ? document : SPAN("null"));
}

static int
list_each(void *ctx, const struct store_audit *audit)
{
	struct audit_call *ac = ctx;
	struct buf *out = &ac->call.out;

	if (ac->count++ == ac->limit)
		return 0; /* the one more that tells that there is a next page */
	if (ac->count > 1)
		buf_append_byte(out, ',');
	ac->last = audit->id;
	buf_printf(out, "{\"time\":%lld", (long long)audit->time_ms);
	text_write(out, ",\"who\":", audit->who);
	text_write(out, ",\"what\":", audit->what);
	text_write(out, ",\"object\":", audit->object);
	text_write(out, ",\"from\":", audit->from);
	document_write(out, ",\"before\":", audit->before);
	document_write(out, ",\"after\":", audit->after);
	return buf_append_byte(out, '}');
}

static int
list_apply(struct admin_call *call, struct store_tx *tx)
{
	struct audit_call *ac = (struct audit_call *)call;
	struct store_page page = {.after_number = ac->cursor,
	    .limit = (unsigned)MIN(ac->limit + 1, STORE_LIST_MAX)};
	int error;

	buf_append_str(&call->out, "{\"items\":[");
	error = store_audits_list(store_tx_store(tx), call->tenant, ac->from_ms, ac->to_ms, &page,
	    list_each, ac);
	buf_append_str(&call->out, "],\"next\":");
	/* A full page of STORE_LIST_MAX may be followed by an empty one. */
	if (ac->count == page.limit)
		buf_printf(&call->out, "\"%llu\"", (unsigned long long)ac->last);
	else
		buf_append_str(&call->out, "null");
	buf_append_byte(&call->out, '}');
	return error;
}

static void
list_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = list_apply,
	    .what = ACCESS_A_TENANT, .verb = ACCESS_SEE};
	uint64_t limit = 100, cursor = 0;
	int64_t from_ms, to_ms;
	struct audit_call *ac;

	(void)whole;
	if (!api_query_time(request, "from", 0, &from_ms) ||
	    !api_query_time(request, "to", INT64_MAX, &to_ms) ||
	    !api_query_number(request, "limit", 1, STORE_LIST_MAX, &limit) ||
	    !api_query_number(request, "cursor", 1, INT64_MAX, &cursor))
		return;
	ac = admin_call_create(request, sizeof *ac, &ops);
	if (!ac)
		return;
	ac->from_ms = from_ms;
	ac->to_ms = to_ms;
	ac->limit = limit;
	ac->cursor = cursor;
	admin_call_run(&ac->call, 0);
}

static const struct session_route_ops list_ops = {.end = list_end, .gone = admin_call_gone};

static const struct session_doc list_doc = {
	.query = {
		{"from?", "When", "Changes from then on; all when it is left out."},
		{"to?", "When", "Changes before that."},
		{"limit?", "integer", "At most so many; 100 when it is left out, at most 1,000."},
		{"cursor?", "string", "next of the page before."},
	},
	.answers = {
		{200, "{items: [Audit], next: string|null}", "Changes, the latest first."},
		{500, "", "The store failed."},
	},
};

const struct session_route api_admin_audit_routes[] = {
	{
		.path = "/api/v1/admin/audit",
		.methods = SESSION_GET,
		.rights = ACCESS_ADMIN,
		.ops = &list_ops,
		.summary = "Who changed what, when, and from where",
		.doc = &list_doc,
	},
	{.path = NULL},
};

/*
 * admin_tenants.c: /api/v1/admin/tenants: whose things there are; for those who govern the node.
 *
 * What belongs to a tenant is made, seen and removed by the other routes of administration, with
 * ?tenant=NAME. A tenant is removed only when nothing is left in it, so nothing of it is ever
 * somebody else's.
 */
#include <errno.h>

#include "admin_doc.h"
#include "admin_json.h"
#include "check.h"
#include "registry.h"

struct tenant_call {
	struct admin_call call;
	struct span name;       /* in the call's memory */
	struct span cursor, last;
	uint64_t limit, count;
};

static int
tenant_write(void *ctx, const struct store_tenant *tenant)
{
	struct buf *out = ctx;

	buf_append_str(out, "{\"name\":");
	json_write_string(out, tenant->name);
	buf_append_str(out, ",\"created\":");
	buf_append_i64(out, tenant->created_ms);
	return buf_append_byte(out, '}');
}

/* ── on the store's thread ── */

static int
add_apply(struct admin_call *call, struct store_tx *tx)
{
	struct tenant_call *tc = (struct tenant_call *)call;
	struct store_tenant tenant = {.name = tc->name, .created_ms = call->now_ms};
	int error = store_tenant_add(tx, tc->name, call->now_ms, &call->version);

	if (error == -EEXIST)
		return admin_call_refuse(call, 409, "/name", "there is a tenant '%.*s' already",
		    SPAN_ARG(tc->name));
	tenant_write(&call->out, &tenant);
	call->status = 201;
	return error ? error : admin_call_audit(call, tx, "tenant.add", tc->name, SPAN(""),
	    admin_call_keep(call, buf_span(&call->out)));
}

static int
list_each(void *ctx, const struct store_tenant *tenant)
{
	struct tenant_call *tc = ctx;

	if (tc->count++ == tc->limit)
		return 0; /* the one more that tells that there is a next page */
	if (tc->count > 1)
		buf_append_byte(&tc->call.out, ',');
	tc->last = admin_call_keep(&tc->call, tenant->name);
	return tenant_write(&tc->call.out, tenant);
}

static int
list_apply(struct admin_call *call, struct store_tx *tx)
{
	struct tenant_call *tc = (struct tenant_call *)call;
	struct store_page page = {.after_name = tc->cursor,
	    .limit = (unsigned)MIN(tc->limit + 1, STORE_LIST_MAX)};
	int error;

	buf_append_str(&call->out, "{\"items\":[");
	error = store_tenants_list(store_tx_store(tx), &page, list_each, tc);
	buf_append_str(&call->out, "],\"next\":");
	/* A full page of STORE_LIST_MAX may be followed by an empty one. */
	if (tc->count == page.limit)
		json_write_string(&call->out, tc->last);
	else
		buf_append_str(&call->out, "null");
	buf_append_byte(&call->out, '}');
	return error;
}

static int
tenant_each(void *ctx, const struct store_tenant *tenant)
{
	struct tenant_call *tc = ctx;

	tc->call.version = tenant->version;
	return tenant_write(&tc->call.out, tenant);
}

static int
get_apply(struct admin_call *call, struct store_tx *tx)
{
	struct tenant_call *tc = (struct tenant_call *)call;
	int error = store_tenant_find(store_tx_store(tx), tc->name, tenant_each, tc);

	if (error == -ENOENT)
		return admin_call_refuse(call, 404, NULL, "there is no such tenant");
	return error;
}

static int
remove_apply(struct admin_call *call, struct store_tx *tx)
{
	struct tenant_call *tc = (struct tenant_call *)call;
	uint64_t version;
	int error = get_apply(call, tx);

	if (error == 0)
		error = admin_call_match(call, call->version);
	if (error == 0)
		error = store_tenant_remove(tx, tc->name, &version);
	if (error == -ENOTEMPTY)
		return admin_call_refuse(call, 409, NULL,
		    "there are users, devices, gateways, keys, secrets or venues left in it");
	if (error == -EPERM)
		return admin_call_refuse(call, 409, NULL, "this tenant always stays");
	if (error == 0)
		error = admin_call_audit(call, tx, "tenant.remove", tc->name,
		    admin_call_keep(call, buf_span(&call->out)), SPAN(""));
	buf_clear(&call->out);
	call->version = 0;
	call->status = 204;
	return error;
}

/* ── from the request ── */

static struct tenant_call *
tenant_call_create(struct session_request *request, const struct admin_call_ops *ops)
{
	struct tenant_call *tc = admin_call_create(request, sizeof *tc, ops);

	if (tc)
		tc->name = admin_call_keep(&tc->call, session_path_param(request, "tenant"));
	return tc;
}

static void
add_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"name", NULL};
	static const struct admin_call_ops ops = {.apply = add_apply,
	    .what = ACCESS_A_NODE, .verb = ACCESS_CHANGE};
	struct tenant_call *tc = tenant_call_create(request, &ops);
	struct admin_object body;
	int error;

	if (!tc)
		return;
	error = admin_json_body(&tc->call, whole, false, &body);
	if (error == 0)
		error = admin_json_only(&tc->call, &body, known);
	if (error == 0)
		error = admin_json_text(&tc->call, &body, "name", STORE_NAME_BYTES_MAX, &tc->name);
	if (error == 0 && !store_name_valid(tc->name))
		error = admin_call_refuse(&tc->call, 422, "/name",
		    "name must be 1 to %d characters of a-z 0-9 . _ -", STORE_NAME_BYTES_MAX);
	admin_call_run(&tc->call, error);
}

static void
list_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = list_apply,
	    .what = ACCESS_A_NODE, .verb = ACCESS_SEE};
	struct tenant_call *tc = tenant_call_create(request, &ops);
	int error;

	(void)whole;
	if (!tc)
		return;
	tc->limit = 100;
	error = admin_call_number(&tc->call, "limit", 1, STORE_LIST_MAX, &tc->limit);
	tc->cursor = admin_call_keep(&tc->call, session_query(request, "cursor"));
	admin_call_run(&tc->call, error);
}

static void
get_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = get_apply,
	    .what = ACCESS_A_NODE, .verb = ACCESS_SEE};
	struct tenant_call *tc = tenant_call_create(request, &ops);

	(void)whole;
	if (tc)
		admin_call_run(&tc->call, 0);
}

static void
remove_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = remove_apply,
	    .what = ACCESS_A_NODE, .verb = ACCESS_CHANGE};
	struct tenant_call *tc = tenant_call_create(request, &ops);

	(void)whole;
	if (tc)
		admin_call_run(&tc->call, 0);
}

static const struct session_route_ops add_ops = {.end = add_end, .gone = admin_call_gone};
static const struct session_route_ops list_ops = {.end = list_end, .gone = admin_call_gone};
static const struct session_route_ops get_ops = {.end = get_end, .gone = admin_call_gone};
static const struct session_route_ops remove_ops = {.end = remove_end, .gone = admin_call_gone};

#define TENANT_PATH {{"tenant", "Name", "The tenant's name."}}
#define NOT_THERE {404, "", "There is no such tenant."}

static const struct session_doc add_doc = {
	.help = "For those who govern the node. Its users, devices and keys are made with "
	    "?tenant=NAME.",
	.body = {"{name: Name}"},
	.answers = {{201, "Tenant", "The new tenant."},
	    {409, "", "There is a tenant of this name."},
	    {422, "", "A member is missing, unknown, or has no valid value."}, STORE_FAILED},
};

static const struct session_doc list_doc = {
	.query = {
		{"limit?", "integer", "At most so many; 100 when it is left out, at most 1,000."},
		{"cursor?", "string", "next of the page before."},
	},
	.answers = {{200, "{items: [Tenant], next: string|null}", "Tenants by name."},
	    STORE_FAILED},
};

static const struct session_doc get_doc = {
	.path = TENANT_PATH,
	.answers = {{200, "Tenant", "The tenant, its version as ETag."}, NOT_THERE, STORE_FAILED},
};

static const struct session_doc remove_doc = {
	.path = TENANT_PATH,
	.headers = {{"If-Match?", "string", "The ETag of the version that is to be removed."}},
	.answers = {{204, "", "It is gone."}, NOT_THERE,
	    {409, "", "Something is left in it, or it is main, which always stays."},
	    {412, "", "It was changed since."}, STORE_FAILED},
};

#define ROUTE(route_path, route_methods, name, route_summary)                                      \
	{                                                                                          \
		.path = route_path, .methods = route_methods, .rights = ACCESS_ADMIN,              \
		.ops = &name##_ops, .summary = route_summary, .doc = &name##_doc,                  \
	}

const struct session_route api_admin_tenants_routes[] = {
	ROUTE("/api/v1/admin/tenants", SESSION_POST, add, "A new tenant"),
	ROUTE("/api/v1/admin/tenants", SESSION_GET, list, "All tenants"),
	ROUTE("/api/v1/admin/tenants/{tenant}", SESSION_GET, get, "One tenant"),
	ROUTE("/api/v1/admin/tenants/{tenant}", SESSION_DELETE, remove, "Removes an empty tenant"),
	{.path = NULL},
};

/*
 * admin_gateways.c: /api/v1/admin/gateways: Qold's administration of gateways.
 *
 * The member "State" (or "state") of a configuration is the gateway's own state and not kept in
 * the configuration. A token is shown in the answer that made it and nowhere else.
 */
#include <errno.h>
#include <stdio.h>

#include "access_change.h"
#include "access_registry.h"
#include "admin_doc.h"
#include "admin_things.h"
#include "check.h"
#include "num.h"
#include "registry.h"

struct gateway_call {
	struct admin_call call;
	struct store_gateway gateway;   /* all of it in the call's memory */
	struct admin_object body;
	struct span token;
	char id[24];
	size_t id_len;
	bool paged, more;               /* of a list */
	struct span prefix;             /* of names; empty: any */
	uint64_t limit, count, seen, last;
};

/* ── documents ── */

/* {"id":…[,"state":…][,"config":…] without the closing brace. */
static void
head_write(struct buf *out, const struct store_gateway *gateway)
{
	buf_append_str(out, "{\"id\":");
	buf_append_u64(out, gateway->id);
	if (gateway->state.len) {
		buf_append_str(out, ",\"state\":");
		json_write_string(out, gateway->state);
	}
	if (gateway->config.len) {
		buf_append_str(out, ",\"config\":");
		buf_append_span(out, gateway->config);
	}
}

/* The whole gateway, in the call's memory. */
static struct span
gateway_write(struct gateway_call *gc)
{
	const struct store_gateway *gateway = &gc->gateway;
	struct span document;
	struct buf out;

	buf_init(&out, 0);
	head_write(&out, gateway);
	buf_append_str(&out, ",\"name\":");
	json_write_string(&out, gateway->name);
	buf_append_str(&out, gateway->may_enrol ? ",\"may_enrol\":true}" :
	    ",\"may_enrol\":false}");
	gc->call.no_memory |= !buf_ok(&out);
	document = admin_call_keep(&gc->call, buf_span(&out));
	buf_finish(&out);
	return document;
}

/* ── on the store's thread ── */

static struct span
id_text(const struct gateway_call *gc)
{
	return span_of(gc->id, gc->id_len);
}

static int
gateway_each(void *ctx, const struct store_gateway *found)
{
	struct gateway_call *gc = ctx;
	struct admin_call *call = &gc->call;
	struct store_gateway *gateway = &gc->gateway;

	*gateway = *found;
	gateway->tenant = call->tenant;
	gateway->name = admin_call_keep(call, found->name);
	gateway->state = admin_call_keep(call, found->state);
	gateway->config = admin_call_keep(call, found->config);
	gateway->hash = admin_call_keep(call, found->hash);
	call->version = found->version;
	return call->no_memory ? -ENOMEM : 0;
}

/* Finds the gateway that the path names. */
static int
gateway_find(struct gateway_call *gc, struct store_tx *tx)
{
	int error = store_gateway_find(store_tx_store(tx), gc->call.tenant, gc->gateway.id,
	    gateway_each, gc);

	if (error == -ENOENT)
		return admin_call_refuse(&gc->call, 404, NULL, "there is no such gateway");
	return error;
}

/* What POST and PUT set. */
static int
members_take(struct gateway_call *gc)
{
	const struct admin_member *enrol = admin_json_get(&gc->body, "may_enrol");

	if (enrol && enrol->type != JSON_TRUE && enrol->type != JSON_FALSE)
		return admin_call_refuse(&gc->call, 422, enrol->pointer,
		    "it must be true or false");
	if (enrol)
		gc->gateway.may_enrol = enrol->type == JSON_TRUE;
	return admin_json_text(&gc->call, &gc->body, "name", STORE_TEXT_BYTES_MAX,
	    &gc->gateway.name);
}

static int
add_apply(struct admin_call *call, struct store_tx *tx)
{
	struct gateway_call *gc = (struct gateway_call *)call;
	struct store_gateway *gateway = &gc->gateway;
	int error = members_take(gc);

	if (error == 0)
		error = store_gateway_next_id(tx, call->tenant, &gateway->id);
	if (error)
		return error;
	gc->id_len = num_format_u64(gc->id, gateway->id);
	if (gc->token.len == 0)
		gc->token = admin_things_token(call);
	gateway->hash = admin_things_hash(call, ACCESS_TOKEN_GATEWAY, id_text(gc), gc->token);
	if (call->no_memory)
		return -ENOMEM;
	gateway->created_ms = call->now_ms;
	error = store_gateway_add(tx, gateway, &gateway->version);
	if (error == 0)
		error = access_change_gateway(admin_call_change(call), gateway);
	if (error == 0)
		error = admin_call_audit(call, tx, "gateway.add", id_text(gc), SPAN(""),
		    gateway_write(gc));
	buf_printf(&call->out, "{\"id\":%llu,\"auth\":", (unsigned long long)gateway->id);
	json_write_string(&call->out, gc->token);
	buf_append_byte(&call->out, '}');
	call->status = 201;
	return error;
}

static int
list_each(void *ctx, const struct store_gateway *gateway)
{
	struct gateway_call *gc = ctx;

	struct buf *out = &gc->call.out;

	gc->seen++;
	if (gateway->name.len < gc->prefix.len || !span_eq_nocase(
	    span_of(gateway->name.ptr, gc->prefix.len), gc->prefix)) {
		gc->last = gateway->id;
		return 0;
	}
	if (gc->count == gc->limit) {
		gc->more = true;
		return 1;
	}
	if (gc->count++)
		buf_append_byte(out, ',');
	head_write(out, gateway);
	if (gc->paged) {
		buf_append_str(out, ",\"name\":");
		json_write_string(out, gateway->name);
	}
	gc->last = gateway->id;
	return buf_append_byte(out, '}');
}

static int
list_apply(struct admin_call *call, struct store_tx *tx)
{
	struct gateway_call *gc = (struct gateway_call *)call;
	struct store_page page = {.limit = STORE_LIST_MAX};
	int error;

	buf_append_str(&call->out, gc->paged ? "{\"items\":[" : "[");
	do {
		gc->seen = 0;
		page.after_number = gc->last;
		error = store_gateways_list(store_tx_store(tx), call->tenant, &page, list_each,
		    gc);
	} while (error == 0 && gc->seen == STORE_LIST_MAX);
	buf_append_byte(&call->out, ']');
	if (gc->paged && gc->more)
		buf_printf(&call->out, ",\"next\":\"%llu\"}", (unsigned long long)gc->last);
	else if (gc->paged)
		buf_append_str(&call->out, ",\"next\":null}");
	return MIN(error, 0);
}

static int
get_apply(struct admin_call *call, struct store_tx *tx)
{
	struct gateway_call *gc = (struct gateway_call *)call;
	int error = gateway_find(gc, tx);

	return error ? error : buf_append_span(&call->out, gateway_write(gc));
}

/* Writes the gateway back after change() and answers with it. */
static int
gateway_change(struct gateway_call *gc, struct store_tx *tx, const char *what,
    int (*change)(struct gateway_call *gc))
{
	struct admin_call *call = &gc->call;
	struct span before, after;
	int error = gateway_find(gc, tx);

	if (error == 0)
		error = admin_call_match(call, call->version);
	if (error)
		return error;
	before = gateway_write(gc);
	error = change(gc);
	if (error == 0)
		error = store_gateway_put(tx, &gc->gateway, &call->version);
	gc->gateway.version = call->version;
	if (error == 0)
		error = access_change_gateway(admin_call_change(call), &gc->gateway);
	if (error)
		return error;
	after = gateway_write(gc);
	error = admin_call_audit(call, tx, what, id_text(gc), before, after);
	return error ? error : buf_append_span(&call->out, after);
}

static int
put_apply(struct admin_call *call, struct store_tx *tx)
{
	return gateway_change((struct gateway_call *)call, tx, "gateway.put", members_take);
}

static int
state_own(struct admin_call *call, const struct admin_member *member)
{
	struct gateway_call *gc = (struct gateway_call *)call;

	if (!span_eq(member->name, SPAN("State")) && !span_eq(member->name, SPAN("state")))
		return 0;
	if (member->type == JSON_NULL) {
		gc->gateway.state = SPAN("");
		return 1;
	}
	if (member->type != JSON_STRING || member->text.len == 0 ||
	    member->text.len > STORE_NAME_BYTES_MAX || admin_json_controls(member->text))
		return admin_call_refuse(call, 422, member->pointer,
		    "it must be a word, like Active, of at most %d bytes; null: not set",
		    STORE_NAME_BYTES_MAX);
	gc->gateway.state = member->text;
	return 1;
}

static int
config_change(struct gateway_call *gc)
{
	return admin_things_merge(&gc->call, gc->gateway.config, &gc->body, state_own,
	    &gc->gateway.config);
}

static int
config_apply(struct admin_call *call, struct store_tx *tx)
{
	return gateway_change((struct gateway_call *)call, tx, "gateway.config", config_change);
}

static int
remove_apply(struct admin_call *call, struct store_tx *tx)
{
	struct gateway_call *gc = (struct gateway_call *)call;
	uint64_t version;
	int error = gateway_find(gc, tx);

	if (error == 0)
		error = admin_call_match(call, call->version);
	if (error == 0)
		error = store_gateway_remove(tx, call->tenant, gc->gateway.id, &version);
	if (error == 0)
		error = access_change_gateway_gone(admin_call_change(call), call->tenant,
		    gc->gateway.id);
	if (error == 0)
		error = admin_call_audit(call, tx, "gateway.remove", id_text(gc),
		    gateway_write(gc), SPAN(""));
	call->version = 0;
	call->status = 204;
	return error;
}

static int
login_apply(struct admin_call *call, struct store_tx *tx)
{
	struct gateway_call *gc = (struct gateway_call *)call;
	int error = store_gateway_find(store_tx_store(tx), call->tenant, gc->gateway.id,
	    gateway_each, gc);

	call->version = 0;
	if (error && error != -ENOENT)
		return error;
	error = admin_things_login(call, ACCESS_TOKEN_GATEWAY, id_text(gc), gc->token,
	    gc->gateway.hash);
	return error ? error : buf_append_str(&call->out, "{}");
}

/* ── from the request ── */

static struct gateway_call *
gateway_call_create(struct session_request *request, const struct admin_call_ops *ops)
{
	struct gateway_call *gc = admin_call_create(request, sizeof *gc, ops);
	struct span id = session_path_param(request, "id");

	if (!gc)
		return NULL;
	gc->gateway.tenant = gc->call.tenant;
	/* What is no number stays 0, which no gateway is. */
	if (id.len && id.len < sizeof gc->id && id.ptr[0] != '0' &&
	    num_parse_u64(id, &gc->gateway.id) == 0 && gc->gateway.id <= INT64_MAX) {
		memcpy(gc->id, id.ptr, id.len);
		gc->id_len = id.len;
	} else {
		gc->gateway.id = 0;
	}
	return gc;
}

static int
body_read(struct gateway_call *gc, struct span whole, bool optional, const char *const *known)
{
	int error = admin_json_body(&gc->call, whole, optional, &gc->body);

	return error ? error : admin_json_only(&gc->call, &gc->body, known);
}

static void
add_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"auth", "name", "may_enrol", NULL};
	static const struct admin_call_ops ops = {.apply = add_apply,
	    .what = ACCESS_A_GATEWAY, .verb = ACCESS_CHANGE};
	struct gateway_call *gc = gateway_call_create(request, &ops);
	int error;

	if (!gc)
		return;
	error = body_read(gc, whole, true, known);
	if (error == 0)
		error = admin_json_digits(&gc->call, &gc->body, "auth", ADMIN_TOKEN_BYTES_MAX,
		    &gc->token);
	admin_call_run(&gc->call, error);
}

static void
list_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = list_apply,
	    .what = ACCESS_A_GATEWAY, .verb = ACCESS_SEE};
	struct gateway_call *gc = gateway_call_create(request, &ops);
	struct span q = session_query(request, "q");
	int error;

	(void)whole;
	if (!gc)
		return;
	gc->prefix = admin_call_keep(&gc->call, q);
	gc->paged = q.ptr || session_query(request, "limit").ptr ||
	    session_query(request, "cursor").ptr;
	gc->limit = gc->paged ? 100 : UINT64_MAX;
	error = admin_call_number(&gc->call, "limit", 1, STORE_LIST_MAX, &gc->limit);
	if (error == 0)
		error = admin_call_number(&gc->call, "cursor", 1, INT64_MAX, &gc->last);
	admin_call_run(&gc->call, error);
}

static void
get_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = get_apply,
	    .what = ACCESS_A_GATEWAY, .verb = ACCESS_SEE};
	struct gateway_call *gc = gateway_call_create(request, &ops);

	(void)whole;
	if (gc)
		admin_call_run(&gc->call, 0);
}

static void
put_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"name", "may_enrol", NULL};
	static const struct admin_call_ops ops = {.apply = put_apply,
	    .what = ACCESS_A_GATEWAY, .verb = ACCESS_CHANGE};
	struct gateway_call *gc = gateway_call_create(request, &ops);

	if (gc)
		admin_call_run(&gc->call, body_read(gc, whole, false, known));
}

static void
config_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = config_apply,
	    .what = ACCESS_A_GATEWAY, .verb = ACCESS_CHANGE};
	struct gateway_call *gc = gateway_call_create(request, &ops);

	if (gc)
		admin_call_run(&gc->call,
		    admin_json_body(&gc->call, whole, false, &gc->body));
}

static void
remove_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = remove_apply,
	    .what = ACCESS_A_GATEWAY, .verb = ACCESS_CHANGE};
	struct gateway_call *gc = gateway_call_create(request, &ops);

	(void)whole;
	if (gc)
		admin_call_run(&gc->call, 0);
}

static void
login_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = login_apply,
	    .what = ACCESS_A_GATEWAY, .verb = ACCESS_SEE};
	struct gateway_call *gc = gateway_call_create(request, &ops);

	if (gc)
		admin_call_run(&gc->call, admin_things_auth(&gc->call, whole, &gc->token));
}

static const struct session_route_ops add_ops = {.end = add_end, .gone = admin_call_gone};
static const struct session_route_ops list_ops = {.end = list_end, .gone = admin_call_gone};
static const struct session_route_ops get_ops = {.end = get_end, .gone = admin_call_gone};
static const struct session_route_ops put_ops = {.end = put_end, .gone = admin_call_gone};
static const struct session_route_ops config_ops = {.end = config_end, .gone = admin_call_gone};
static const struct session_route_ops remove_ops = {.end = remove_end, .gone = admin_call_gone};
static const struct session_route_ops login_ops = {.end = login_end, .gone = admin_call_gone};

#define ID_PATH {{"id", "integer", "The gateway's id."}}
#define NOT_THERE {404, "", "There is no such gateway."}

static const struct session_doc add_doc = {
	.help = "An auth that is brought along is kept as it is. The body may be left out.",
	.body = {"GatewayNew"},
	.answers = {{201, "GatewayMade", "The only time that auth is shown."}, NOT_VALID,
	    STORE_FAILED},
};

static const struct session_doc list_doc = {
	.help = "Without limit, cursor and q all gateways, as a list.",
	.query = {
		{"q?", "string", "How the name begins; ASCII letters of either case."},
		{"limit?", "integer", "At most so many; 100 when it is left out, at most 1,000."},
		{"cursor?", "string", "next of the page before."},
	},
	.answers = {{200, "[GatewayShort]|{items: [GatewayNamed], next: string|null}",
	    "Gateways in order of their ids."}, STORE_FAILED},
};

static const struct session_doc get_doc = {
	.path = ID_PATH,
	.answers = {{200, "GatewayFull", "The gateway, its version as ETag."}, NOT_THERE,
	    STORE_FAILED},
};

static const struct session_doc put_doc = {
	.help = "What is left out stays. may_enrol: whether it may register devices.",
	.path = ID_PATH,
	.headers = IF_MATCH,
	.body = {"GatewayChange"},
	.answers = {{200, "GatewayFull", "The gateway as it is now."}, NOT_THERE, CHANGED_SINCE,
	    NOT_VALID, STORE_FAILED},
};

static const struct session_doc config_doc = {
	.help = "Merged into the configuration; null deletes a key. A gateway whose State (or "
	    "state) is set and not Active is refused.",
	.path = ID_PATH,
	.headers = IF_MATCH,
	.body = {"{State?: string|null, *: string|number|null}"},
	.answers = {{200, "GatewayFull", "The gateway as it is now."}, NOT_THERE, CHANGED_SINCE,
	    NOT_VALID, STORE_FAILED},
};

static const struct session_doc remove_doc = {
	.help = "Devices that are bound to it stay so: nobody else may write for them.",
	.path = ID_PATH,
	.headers = IF_MATCH,
	.answers = {{204, "", "It is gone."}, NOT_THERE, CHANGED_SINCE, STORE_FAILED},
};

static const struct session_doc login_doc = {
	.path = ID_PATH,
	.body = {"Login"},
	.answers = {
		{200, "{*: any}", "The token is the gateway's."},
		{401, "", "It is not, or there is no such gateway; or the caller is nobody."},
		{429, "", "Too many tries failed; Retry-After says when to come again."},
		NOT_VALID, STORE_FAILED,
	},
};

#define ROUTE(route_path, route_methods, name, route_summary)                                      \
	{                                                                                          \
		.path = route_path, .methods = route_methods, .rights = ACCESS_ADMIN,              \
		.ops = &name##_ops, .summary = route_summary, .doc = &name##_doc,                  \
	}

const struct session_route api_admin_gateways_routes[] = {
	ROUTE("/api/v1/admin/gateways", SESSION_POST, add,
	    "A new gateway; its token is shown once"),
	ROUTE("/api/v1/admin/gateways", SESSION_GET, list, "All gateways"),
	ROUTE("/api/v1/admin/gateways/{id}", SESSION_GET, get, "One gateway"),
	ROUTE("/api/v1/admin/gateways/{id}", SESSION_PUT, put,
	    "Changes what a gateway is called, and may"),
	ROUTE("/api/v1/admin/gateways/{id}", SESSION_DELETE, remove, "Removes a gateway"),
	ROUTE("/api/v1/admin/gateways/{id}/config", SESSION_PUT, config,
	    "Changes a gateway's configuration"),
	ROUTE("/api/v1/admin/gateways/{id}/login", SESSION_POST, login,
	    "Whether a token is the gateway's"),
	{.path = NULL},
};

/*
 * admin_devices.c: /api/v1/admin/devices: Qold's administration of devices.
 *
 * An id is a text; in JSON it is a number where a number carries all its digits everywhere (below
 * 2^53), else a string. A token is shown in the answer that made it and nowhere else.
 */
#include <errno.h>
#include <stdio.h>

#include "access_change.h"
#include "access_registry.h"
#include "admin_devices.h"
#include "admin_doc.h"
#include "check.h"
#include "erasures.h"
#include "num.h"

#define INTEGER_MAX ((UINT64_C(1) << 53) - 1)

/* ── documents ── */

void
admin_devices_id_write(struct buf *out, struct span id)
{
	uint64_t number;

	if (num_parse_u64(id, &number) == 0 && number <= INTEGER_MAX &&
	    (id.ptr[0] != '0' || id.len == 1))
		buf_append_u64(out, number);
	else
		json_write_string(out, id);
}

/* {"id":…,"state":…[,"config":…] without the closing brace. */
void
admin_devices_head_write(struct buf *out, const struct store_device *device)
{
	buf_append_str(out, "{\"id\":");
	admin_devices_id_write(out, device->id);
	buf_append_str(out, device->state ? ",\"state\":true" : ",\"state\":false");
	if (device->config.len) {
		buf_append_str(out, ",\"config\":");
		buf_append_span(out, device->config);
	}
}

void
admin_devices_text_write(struct buf *out, const char *member, struct span text)
{
	buf_append_str(out, member);
	json_write_string(out, text);
}

static int
user_each(void *ctx, const struct store_user *user)
{
	return json_write_string(ctx, user->name);
}

/* The whole device, in the call's memory. */
int
admin_devices_document(struct device_call *dc, struct span *ret_document)
{
	const struct store_device *device = &dc->device;
	uint64_t limited = admin_call_limited(&dc->call);
	bool any = false;
	struct buf out;
	int error = 0;

	buf_init(&out, 0);
	admin_devices_head_write(&out, device);
	admin_devices_text_write(&out, ",\"name\":", device->name);
	admin_devices_text_write(&out, ",\"group\":", device->group);
	admin_devices_text_write(&out, ",\"place\":", device->place);
	if (device->gateway)
		buf_printf(&out, ",\"gateway\":%llu", (unsigned long long)device->gateway);
	buf_append_str(&out, ",\"users\":[");
	for (size_t i = 0; error == 0 && i < device->user_count; i++) {
		if (limited && device->users[i] != limited)
			continue; /* he does not learn that others exist */
		if (any)
			buf_append_byte(&out, ',');
		any = true;
		error = store_user_find_id(dc->store, device->users[i], user_each, &out);
	}
	buf_append_str(&out, "]}");
	dc->call.no_memory |= !buf_ok(&out);
	*ret_document = admin_call_keep(&dc->call, buf_span(&out));
	buf_finish(&out);
	return error;
}

/* ── on the store's thread ── */

int
admin_devices_keep(struct admin_call *call, const struct store_device *found,
    uint64_t users[STORE_USERS_MAX], struct store_device *ret_device)
{
	struct store_device device = *found;

	device.tenant = call->tenant;
	device.id = admin_call_keep(call, found->id);
	device.name = admin_call_keep(call, found->name);
	device.group = admin_call_keep(call, found->group);
	device.place = admin_call_keep(call, found->place);
	device.config = admin_call_keep(call, found->config);
	device.hash = admin_call_keep(call, found->hash);
	memcpy(users, found->users, found->user_count * sizeof users[0]);
	device.users = users;
	*ret_device = device;
	return call->no_memory ? -ENOMEM : 0;
}

static int
device_each(void *ctx, const struct store_device *found)
{
	struct device_call *dc = ctx;

	dc->call.version = found->version;
	return admin_devices_keep(&dc->call, found, dc->users, &dc->device);
}

int
admin_devices_look(struct device_call *dc, struct store_tx *tx)
{
	dc->store = store_tx_store(tx);
	return store_device_find(dc->store, dc->call.tenant, dc->device.id, device_each, dc);
}

int
admin_devices_find(struct device_call *dc, struct store_tx *tx)
{
	struct span id = dc->device.id;
	int error = admin_devices_look(dc, tx);

	if (error == -ENOENT)
		return admin_call_refuse(&dc->call, 404, NULL, "there is no device '%.*s'",
		    SPAN_ARG(id));
	return error;
}

int
admin_devices_user_found(void *ctx, const struct store_user *user)
{
	struct device_call *dc = ctx;

	for (size_t i = 0; i < dc->device.user_count; i++)
		if (dc->users[i] == user->id)
			return 0;
	if (dc->device.user_count == STORE_USERS_MAX)
		return -EMSGSIZE;
	dc->users[dc->device.user_count++] = user->id;
	return 0;
}

static int
user_take(struct admin_call *call, struct span name, const char *pointer)
{
	struct device_call *dc = (struct device_call *)call;
	int error = store_user_find(dc->store, call->tenant, name, admin_devices_user_found, dc);

	if (error == -ENOENT)
		return admin_call_refuse(call, 422, pointer, "there is no user '%.*s'",
		    (int)MIN(name.len, 64u), name.ptr);
	if (error == -EMSGSIZE)
		return admin_call_refuse(call, 422, pointer, "a device has at most %d users",
		    STORE_USERS_MAX);
	return error;
}

static int
gateway_seen(void *ctx, const struct store_gateway *gateway)
{
	(void)ctx;
	(void)gateway;
	return 0;
}

static int
gateway_take(struct device_call *dc)
{
	const struct admin_member *member = admin_json_get(&dc->body, "gateway");
	uint64_t id = 0;
	int error = -ENOENT;

	if (!member)
		return 0;
	if (member->type == JSON_NULL) {
		dc->device.gateway = 0;
		return 0;
	}
	if (member->type == JSON_NUMBER && num_parse_u64(member->text, &id) == 0 &&
	    id <= INTEGER_MAX)
		error = store_gateway_find(dc->store, dc->call.tenant, id, gateway_seen, NULL);
	if (error == -ENOENT)
		return admin_call_refuse(&dc->call, 422, member->pointer,
		    "it must be the id of a gateway, or null");
	if (error == 0)
		dc->device.gateway = id;
	return error;
}

/* What POST and PUT set. */
static int
members_take(struct device_call *dc)
{
	struct store_device *device = &dc->device;
	const struct admin_object *body = &dc->body;
	const struct admin_member *users = admin_json_get(body, "users");
	struct admin_call *call = &dc->call;
	int error = admin_json_text(call, body, "name", STORE_TEXT_BYTES_MAX, &device->name);

	if (error == 0)
		error = admin_json_text(call, body, "group", STORE_TEXT_BYTES_MAX,
		    &device->group);
	if (error == 0)
		error = admin_json_text(call, body, "place", STORE_TEXT_BYTES_MAX,
		    &device->place);
	if (error == 0)
		error = gateway_take(dc);
	if (error == 0 && users) {
		device->users = dc->users;
		device->user_count = 0;
		if (users->type != JSON_NULL)
			error = admin_json_strings(call, users, user_take);
	}
	return error;
}

/* A new device that is filled but for its id and token. */
int
admin_devices_insert(struct device_call *dc, struct store_tx *tx)
{
	struct store_device *device = &dc->device;
	struct admin_call *call = &dc->call;
	char next[24];
	size_t len;
	struct span after;
	int error = 0;

	if (device->id.len == 0) {
		error = store_device_next_id(tx, call->tenant, next, &len);
		if (error)
			return error;
		device->id = admin_call_keep(call, span_of(next, len));
	}
	if (dc->token.len == 0)
		dc->token = admin_things_token(call);
	device->hash = admin_things_hash(call, ACCESS_TOKEN_DEVICE, device->id, dc->token);
	if (call->no_memory)
		return -ENOMEM;
	device->created_ms = call->now_ms;
	error = store_device_add(tx, device, &device->version);
	if (error == -EEXIST)
		return admin_call_refuse(call, 409, "/id", "there is a device '%.*s' already",
		    SPAN_ARG(device->id));
	if (error == 0)
		error = access_change_device(admin_call_change(call), device);
	if (error == 0)
		error = admin_devices_document(dc, &after);
	if (error == 0)
		error = admin_call_audit(call, tx, "device.add", device->id, SPAN(""), after);
	return error;
}

static int
add_apply(struct admin_call *call, struct store_tx *tx)
{
	struct device_call *dc = (struct device_call *)call;
	int error;

	dc->store = store_tx_store(tx);
	error = members_take(dc);
	if (error == 0)
		error = admin_devices_insert(dc, tx);
	buf_append_str(&call->out, "{\"id\":");
	admin_devices_id_write(&call->out, dc->device.id);
	admin_devices_text_write(&call->out, ",\"auth\":", dc->token);
	buf_append_str(&call->out, ",\"state\":false}");
	call->status = 201;
	return error;
}

static int
get_apply(struct admin_call *call, struct store_tx *tx)
{
	struct device_call *dc = (struct device_call *)call;
	struct span document;
	int error = admin_devices_find(dc, tx);

	if (error == 0)
		error = admin_devices_document(dc, &document);
	return error ? error : buf_append_span(&call->out, document);
}

/* Writes the device back after change() and answers with it. */
int
admin_devices_change(struct device_call *dc, struct store_tx *tx, const char *what,
    int (*change)(struct device_call *dc))
{
	struct admin_call *call = &dc->call;
	struct span before, after;
	int error = admin_devices_find(dc, tx);

	if (error == 0)
		error = admin_call_match(call, call->version);
	if (error == 0)
		error = admin_devices_document(dc, &before);
	if (error == 0)
		error = change(dc);
	if (error == 0)
		error = store_device_put(tx, &dc->device, &call->version);
	dc->device.version = call->version;
	if (error == 0)
		error = access_change_device(admin_call_change(call), &dc->device);
	if (error == 0)
		error = admin_devices_document(dc, &after);
	if (error == 0)
		error = admin_call_audit(call, tx, what, dc->device.id, before, after);
	return error ? error : buf_append_span(&call->out, after);
}

static int
put_apply(struct admin_call *call, struct store_tx *tx)
{
	return admin_devices_change((struct device_call *)call, tx, "device.put", members_take);
}

/* "state" is no member of the configuration but the device's own. */
static int
state_own(struct admin_call *call, const struct admin_member *member)
{
	if (!span_eq(member->name, SPAN("state")))
		return 0;
	if (member->type != JSON_TRUE && member->type != JSON_FALSE)
		return admin_call_refuse(call, 422, member->pointer,
		    "state must be true or false");
	((struct device_call *)call)->device.state = member->type == JSON_TRUE;
	return 1;
}

static int
config_change(struct device_call *dc)
{
	return admin_things_merge(&dc->call, dc->device.config, &dc->body, state_own,
	    &dc->device.config);
}

static int
config_apply(struct admin_call *call, struct store_tx *tx)
{
	return admin_devices_change((struct device_call *)call, tx, "device.config", config_change);
}

int
admin_devices_remove(struct device_call *dc, struct store_tx *tx)
{
	struct admin_call *call = &dc->call;
	struct span before;
	uint64_t version;
	int error = admin_call_match(call, call->version);

	if (error == 0)
		error = admin_devices_document(dc, &before);
	if (error == 0)
		error = store_device_remove(tx, call->tenant, dc->device.id, &version);
	if (error == 0)
		error = access_change_device_gone(admin_call_change(call), call->tenant,
		    dc->device.id);
	if (error == 0)
		error = admin_call_audit(call, tx, "device.remove", dc->device.id, before,
		    SPAN(""));
	call->version = 0;
	return error;
}

static int
remove_apply(struct admin_call *call, struct store_tx *tx)
{
	struct device_call *dc = (struct device_call *)call;
	int error = admin_devices_find(dc, tx);

	if (error == 0)
		error = admin_devices_remove(dc, tx);
	call->version = 0;
	if (error == 0)
		call->status = 204;
	return error;
}

static int
login_apply(struct admin_call *call, struct store_tx *tx)
{
	struct device_call *dc = (struct device_call *)call;
	struct span id = dc->device.id;
	int error = store_device_find(store_tx_store(tx), call->tenant, id, device_each, dc);

	call->version = 0;
	if (error && error != -ENOENT)
		return error;
	error = admin_things_login(call, ACCESS_TOKEN_DEVICE, id, dc->token, dc->device.hash);
	return error ? error : buf_append_str(&call->out, "{}");
}

/* ── from the request ── */

void *
admin_devices_create(struct session_request *request, size_t size,
    const struct admin_call_ops *ops)
{
	struct device_call *dc = admin_call_create(request, size, ops);

	check(size >= sizeof *dc);
	if (!dc)
		return NULL;
	dc->device.tenant = dc->call.tenant;
	dc->device.id = admin_call_keep(&dc->call, session_path_param(request, "id"));
	return dc;
}

int
admin_devices_body(struct device_call *dc, struct span whole, bool optional,
    const char *const *known)
{
	int error = admin_json_body(&dc->call, whole, optional, &dc->body);

	return error ? error : admin_json_only(&dc->call, &dc->body, known);
}

static void
add_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"id", "auth", "name", "group", "place", "users",
	    "gateway", NULL};
	static const struct admin_call_ops ops = {.apply = add_apply,
	    .what = ACCESS_A_DEVICE, .verb = ACCESS_CHANGE};
	struct device_call *dc = admin_devices_create(request, sizeof *dc, &ops);
	int error;

	if (!dc)
		return;
	error = admin_devices_body(dc, whole, true, known);
	if (error == 0)
		error = admin_json_digits(&dc->call, &dc->body, "id", STORE_DEVICE_ID_BYTES_MAX,
		    &dc->device.id);
	if (error == 0)
		error = admin_json_digits(&dc->call, &dc->body, "auth", ADMIN_TOKEN_BYTES_MAX,
		    &dc->token);
	admin_call_run(&dc->call, error);
}

static void
get_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = get_apply,
	    .what = ACCESS_A_DEVICE, .verb = ACCESS_SEE};
	struct device_call *dc = admin_devices_create(request, sizeof *dc, &ops);

	(void)whole;
	if (dc)
		admin_call_run(&dc->call, 0);
}

static void
put_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"name", "group", "place", "users", "gateway", NULL};
	static const struct admin_call_ops ops = {.apply = put_apply,
	    .what = ACCESS_A_DEVICE, .verb = ACCESS_CHANGE};
	struct device_call *dc = admin_devices_create(request, sizeof *dc, &ops);

	if (dc)
		admin_call_run(&dc->call, admin_devices_body(dc, whole, false, known));
}

static void
config_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = config_apply,
	    .what = ACCESS_A_DEVICE, .verb = ACCESS_CHANGE};
	struct device_call *dc = admin_devices_create(request, sizeof *dc, &ops);

	if (dc)
		admin_call_run(&dc->call,
		    admin_json_body(&dc->call, whole, false, &dc->body));
}

static void
remove_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = remove_apply,
	    .what = ACCESS_A_DEVICE, .verb = ACCESS_CHANGE};
	struct device_call *dc;

	(void)whole;
	if (span_eq(session_query(request, "erase"), SPAN("1"))) {
		erasures_begin(request);
		return;
	}
	dc = admin_devices_create(request, sizeof *dc, &ops);
	if (dc)
		admin_call_run(&dc->call, 0);
}

static void
login_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = login_apply,
	    .what = ACCESS_A_DEVICE, .verb = ACCESS_SEE};
	struct device_call *dc = admin_devices_create(request, sizeof *dc, &ops);

	if (dc)
		admin_call_run(&dc->call, admin_things_auth(&dc->call, whole, &dc->token));
}

static const struct session_route_ops add_ops = {.end = add_end, .gone = admin_call_gone};
static const struct session_route_ops get_ops = {.end = get_end, .gone = admin_call_gone};
static const struct session_route_ops put_ops = {.end = put_end, .gone = admin_call_gone};
static const struct session_route_ops config_ops = {.end = config_end, .gone = admin_call_gone};
static const struct session_route_ops remove_ops = {.end = remove_end, .gone = admin_call_gone};
static const struct session_route_ops login_ops = {.end = login_end, .gone = admin_call_gone};

#define ID_PATH {{"id", "string", "The device's id."}}
#define NOT_THERE {404, "", "There is no such device."}

static const struct session_doc add_doc = {
	.help = "It is inactive until its configuration sets state. An id or auth that is brought "
	    "along is kept as it is. The body may be left out.",
	.body = {"DeviceNew"},
	.answers = {
		{201, "DeviceMade", "The only time that auth is shown."},
		{409, "", "There is a device of this id."}, NOT_VALID, STORE_FAILED,
	},
};

static const struct session_doc get_doc = {
	.path = ID_PATH,
	.answers = {{200, "DeviceFull", "The device, its version as ETag."}, NOT_THERE,
	    STORE_FAILED},
};

static const struct session_doc put_doc = {
	.help = "What is left out stays; null empties it.",
	.path = ID_PATH,
	.headers = IF_MATCH,
	.body = {"DeviceChange"},
	.answers = {{200, "DeviceFull", "The device as it is now."}, NOT_THERE, CHANGED_SINCE,
	    NOT_VALID, STORE_FAILED},
};

static const struct session_doc config_doc = {
	.help = "Merged into the configuration; null deletes a key. state makes the device active.",
	.path = ID_PATH,
	.headers = IF_MATCH,
	.body = {"{state?: boolean, *: string|number|null}"},
	.answers = {{200, "DeviceFull", "The device as it is now."}, NOT_THERE, CHANGED_SINCE,
	    NOT_VALID, STORE_FAILED},
};

static const struct session_doc remove_doc = {
	.help = "With erase=1 its data goes, too, even where it is no device any more: it is "
	    "hidden when the answer comes, and rewritten out of all files in the background.",
	.path = ID_PATH,
	.query = {{"erase?", "'1'", "Erases what it has reported."}},
	.headers = IF_MATCH,
	.answers = {{204, "", "It is gone."},
	    {202, "{job: string}", "It is gone; /api/v1/admin/erasures/{job} says when its data "
		"is."},
	    NOT_THERE, CHANGED_SINCE, STORE_FAILED},
};

static const struct session_doc login_doc = {
	.path = ID_PATH,
	.body = {"Login"},
	.answers = {
		{200, "{*: any}", "The token is the device's."},
		{401, "", "It is not, or there is no such device; or the caller is nobody."},
		{429, "", "Too many tries failed; Retry-After says when to come again."},
		NOT_VALID, STORE_FAILED,
	},
};

#define ROUTE(route_path, route_methods, name, route_summary)                                      \
	{                                                                                          \
		.path = route_path, .methods = route_methods, .rights = ACCESS_ADMIN,              \
		.ops = &name##_ops, .summary = route_summary, .doc = &name##_doc,                  \
	}

const struct session_route api_admin_devices_routes[] = {
	ROUTE("/api/v1/admin/devices", SESSION_POST, add, "A new device; its token is shown once"),
	{
		.path = "/api/v1/admin/devices/{id}", .methods = SESSION_GET,
		.rights = ACCESS_READ, .ops = &get_ops, .summary = "One device", .doc = &get_doc,
	},
	ROUTE("/api/v1/admin/devices/{id}", SESSION_PUT, put, "Changes what a device is called"),
	ROUTE("/api/v1/admin/devices/{id}", SESSION_DELETE, remove, "Removes a device"),
	ROUTE("/api/v1/admin/devices/{id}/config", SESSION_PUT, config,
	    "Changes a device's configuration"),
	ROUTE("/api/v1/admin/devices/{id}/login", SESSION_POST, login,
	    "Whether a token is the device's"),
	{.path = NULL},
};

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
#include "admin_things.h"
#include "check.h"
#include "num.h"
#include "registry.h"

#define INTEGER_MAX ((UINT64_C(1) << 53) - 1)

struct device_call {
	struct admin_call call;
	struct store *store;
	struct store_device device;     /* all of it in the call's memory */
	struct admin_object body;
	struct span token;
	struct span min, max;           /* of the legacy call */
	struct span owner, phone;
	size_t count;                   /* of a list, so far */
	struct span last;
	uint64_t users[STORE_USERS_MAX];
};

/* ── documents ── */

static void
id_write(struct buf *out, struct span id)
{
	uint64_t number;

	if (num_parse_u64(id, &number) == 0 && number <= INTEGER_MAX &&
	    (id.ptr[0] != '0' || id.len == 1))
		buf_append_u64(out, number);
	else
		json_write_string(out, id);
}

/* {"id":…,"state":…[,"config":…] without the closing brace. */
static void
head_write(struct buf *out, const struct store_device *device)
{
	buf_append_str(out, "{\"id\":");
	id_write(out, device->id);
	buf_append_str(out, device->state ? ",\"state\":true" : ",\"state\":false");
	if (device->config.len) {
		buf_append_str(out, ",\"config\":");
		buf_append_span(out, device->config);
	}
}

static void
text_write(struct buf *out, const char *member, struct span text)
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
static int
device_write(struct device_call *dc, struct span *ret_document)
{
	const struct store_device *device = &dc->device;
	struct buf out;
	int error = 0;

	buf_init(&out, 0);
	head_write(&out, device);
	text_write(&out, ",\"name\":", device->name);
	text_write(&out, ",\"group\":", device->group);
	text_write(&out, ",\"place\":", device->place);
	if (device->gateway)
		buf_printf(&out, ",\"gateway\":%llu", (unsigned long long)device->gateway);
	buf_append_str(&out, ",\"users\":[");
	for (size_t i = 0; error == 0 && i < device->user_count; i++) {
		if (i)
			buf_append_byte(&out, ',');
		error = store_user_find_id(dc->store, device->users[i], user_each, &out);
	}
	buf_append_str(&out, "]}");
	dc->call.no_memory |= !buf_ok(&out);
	*ret_document = admin_call_keep(&dc->call, buf_span(&out));
	buf_finish(&out);
	return error;
}

/* ── on the store's thread ── */

static int
device_each(void *ctx, const struct store_device *found)
{
	struct device_call *dc = ctx;
	struct admin_call *call = &dc->call;
	struct store_device *device = &dc->device;

	*device = *found;
	device->tenant = call->tenant;
	device->id = admin_call_keep(call, found->id);
	device->name = admin_call_keep(call, found->name);
	device->group = admin_call_keep(call, found->group);
	device->place = admin_call_keep(call, found->place);
	device->config = admin_call_keep(call, found->config);
	device->hash = admin_call_keep(call, found->hash);
	memcpy(dc->users, found->users, found->user_count * sizeof dc->users[0]);
	device->users = dc->users;
	call->version = found->version;
	return call->no_memory ? -ENOMEM : 0;
}

/* Finds the device that the path names. */
static int
device_find(struct device_call *dc, struct store_tx *tx)
{
	struct span id = dc->device.id;
	int error;

	dc->store = store_tx_store(tx);
	error = store_device_find(dc->store, dc->call.tenant, id, device_each, dc);
	if (error == -ENOENT)
		return admin_call_refuse(&dc->call, 404, NULL, "there is no device '%.*s'",
		    SPAN_ARG(id));
	return error;
}

static int
user_found(void *ctx, const struct store_user *user)
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
	int error = store_user_find(dc->store, call->tenant, name, user_found, dc);

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
static int
device_insert(struct device_call *dc, struct store_tx *tx)
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
		error = device_write(dc, &after);
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
		error = device_insert(dc, tx);
	buf_append_str(&call->out, "{\"id\":");
	id_write(&call->out, dc->device.id);
	text_write(&call->out, ",\"auth\":", dc->token);
	buf_append_str(&call->out, ",\"state\":false}");
	call->status = 201;
	return error;
}

static int
list_each(void *ctx, const struct store_device *device)
{
	struct device_call *dc = ctx;
	struct buf *out = &dc->call.out;

	if (dc->count++)
		buf_append_byte(out, ',');
	head_write(out, device);
	dc->last = admin_call_keep(&dc->call, device->id);
	return buf_append_byte(out, '}');
}

static int
list_apply(struct admin_call *call, struct store_tx *tx)
{
	struct device_call *dc = (struct device_call *)call;
	struct store_page page = {.limit = STORE_LIST_MAX};
	size_t before;
	int error;

	buf_append_byte(&call->out, '[');
	do {
		before = dc->count;
		page.after_id = dc->last;
		error = store_devices_list(store_tx_store(tx), call->tenant, &page, list_each, dc);
	} while (error == 0 && dc->count - before == page.limit);
	buf_append_byte(&call->out, ']');
	return error;
}

static int
get_apply(struct admin_call *call, struct store_tx *tx)
{
	struct device_call *dc = (struct device_call *)call;
	struct span document;
	int error = device_find(dc, tx);

	if (error == 0)
		error = device_write(dc, &document);
	return error ? error : buf_append_span(&call->out, document);
}

/* Writes the device back after change() and answers with it. */
static int
device_change(struct device_call *dc, struct store_tx *tx, const char *what,
    int (*change)(struct device_call *dc))
{
	struct admin_call *call = &dc->call;
	struct span before, after;
	int error = device_find(dc, tx);

	if (error == 0)
		error = admin_call_match(call, call->version);
	if (error == 0)
		error = device_write(dc, &before);
	if (error == 0)
		error = change(dc);
	if (error == 0)
		error = store_device_put(tx, &dc->device, &call->version);
	dc->device.version = call->version;
	if (error == 0)
		error = access_change_device(admin_call_change(call), &dc->device);
	if (error == 0)
		error = device_write(dc, &after);
	if (error == 0)
		error = admin_call_audit(call, tx, what, dc->device.id, before, after);
	return error ? error : buf_append_span(&call->out, after);
}

static int
put_apply(struct admin_call *call, struct store_tx *tx)
{
	return device_change((struct device_call *)call, tx, "device.put", members_take);
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
	return device_change((struct device_call *)call, tx, "device.config", config_change);
}

static int
remove_apply(struct admin_call *call, struct store_tx *tx)
{
	struct device_call *dc = (struct device_call *)call;
	struct span before;
	uint64_t version;
	int error = device_find(dc, tx);

	if (error == 0)
		error = admin_call_match(call, call->version);
	if (error == 0)
		error = device_write(dc, &before);
	if (error == 0)
		error = store_device_remove(tx, call->tenant, dc->device.id, &version);
	if (error == 0)
		error = access_change_device_gone(admin_call_change(call), call->tenant,
		    dc->device.id);
	if (error == 0)
		error = admin_call_audit(call, tx, "device.remove", dc->device.id, before,
		    SPAN(""));
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

/* ── the legacy call: a new device with its comfort and its owner ── */

/* The owner by name, made without a password when there is none. */
static int
owner_take(struct device_call *dc, struct store_tx *tx)
{
	struct admin_call *call = &dc->call;
	struct store_user user = {.tenant = call->tenant, .name = dc->owner,
	    .permission = STORE_USER, .created_ms = call->now_ms};
	struct buf contacts;
	int error = store_user_find(dc->store, call->tenant, dc->owner, user_found, dc);

	if (error != -ENOENT)
		return error;
	buf_init(&contacts, 0);
	if (dc->phone.len) {
		text_write(&contacts, "{\"phone\":", dc->phone);
		buf_append_byte(&contacts, '}');
	}
	call->no_memory |= !buf_ok(&contacts);
	user.contacts = admin_call_keep(call, buf_span(&contacts));
	buf_finish(&contacts);
	error = store_user_add(tx, &user, &user.id, &user.version);
	user.generation = 1;
	if (error == 0)
		error = access_change_user(admin_call_change(call), &user);
	if (error == 0)
		error = admin_call_audit(call, tx, "user.add", user.name, SPAN(""),
		    user.contacts);
	return error ? error : user_found(dc, &user);
}

static int
legacy_apply(struct admin_call *call, struct store_tx *tx)
{
	struct device_call *dc = (struct device_call *)call;
	struct store_device *device = &dc->device;
	struct buf *out = &call->out;
	int error = 0;

	dc->store = store_tx_store(tx);
	device->users = dc->users;
	if (dc->owner.len)
		error = owner_take(dc, tx);
	if (error == 0)
		error = device_insert(dc, tx);
	if (error)
		return error;
	buf_append_str(out, "{\"Id\":");
	id_write(out, device->id);
	text_write(out, ",\"Auth\":", dc->token);
	buf_append_str(out, ",\"State\":false");
	if (dc->max.len)
		buf_printf(out, ",\"Config\":{\"maxTemp\":%.*s,\"minTemp\":%.*s}",
		    SPAN_ARG(dc->max), SPAN_ARG(dc->min));
	return buf_append_byte(out, '}');
}

static int
number_take(struct admin_call *call, const struct admin_object *object, const char *name,
    struct span *ret_text, double *ret_value)
{
	const struct admin_member *member = admin_json_get(object, name);

	if (!member || member->type != JSON_NUMBER || member->text.len > 32 ||
	    num_parse_double(member->text, ret_value))
		return admin_call_refuse(call, 422,
		    member ? member->pointer : "/comfort_interval", "%s must be a number", name);
	*ret_text = member->text;
	return 0;
}

static int
comfort_read(struct device_call *dc)
{
	static const char *const known[] = {"min", "max", NULL};
	const struct admin_member *member = admin_json_get(&dc->body, "comfort_interval");
	struct admin_call *call = &dc->call;
	struct admin_object comfort;
	double min, max;
	char config[128];
	int error, len;

	if (!member)
		return 0;
	error = admin_json_object(call, member->raw, member->pointer, &comfort);
	if (error == 0)
		error = admin_json_only(call, &comfort, known);
	if (error == 0)
		error = number_take(call, &comfort, "min", &dc->min, &min);
	if (error == 0)
		error = number_take(call, &comfort, "max", &dc->max, &max);
	if (error)
		return error;
	if (min > max)
		return admin_call_refuse(call, 422, "/comfort_interval", "min is above max");
	len = snprintf(config, sizeof config, "{\"maxTemp\":\"%.*s\",\"minTemp\":\"%.*s\"}",
	    SPAN_ARG(dc->max), SPAN_ARG(dc->min));
	dc->device.config = admin_call_keep(call, span_of(config, (size_t)len));
	return 0;
}

/* Names of users have small letters. */
static int
owner_read(struct device_call *dc)
{
	static const char *const known[] = {"name", "phone", NULL};
	const struct admin_member *member = admin_json_get(&dc->body, "user");
	struct admin_call *call = &dc->call;
	struct admin_object user;
	struct span name = {NULL, 0};
	char lower[STORE_NAME_BYTES_MAX];
	int error;

	if (!member)
		return 0;
	error = admin_json_object(call, member->raw, member->pointer, &user);
	if (error == 0)
		error = admin_json_only(call, &user, known);
	if (error == 0)
		error = admin_json_text(call, &user, "name", sizeof lower, &name);
	if (error == 0)
		error = admin_json_text(call, &user, "phone", STORE_NAME_BYTES_MAX, &dc->phone);
	if (error)
		return error;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		lower[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	if (!store_name_valid(span_of(lower, name.len)))
		return admin_call_refuse(call, 422, "/user/name",
		    "a user's name has 1 to %d letters, digits, . _ -", STORE_NAME_BYTES_MAX);
	dc->owner = admin_call_keep(call, span_of(lower, name.len));
	return 0;
}

/* ── from the request ── */

static struct device_call *
device_call_create(struct session_request *request, const struct admin_call_ops *ops)
{
	struct device_call *dc = admin_call_create(request, sizeof *dc, ops);

	if (!dc)
		return NULL;
	dc->device.tenant = dc->call.tenant;
	dc->device.id = admin_call_keep(&dc->call, session_path_param(request, "id"));
	return dc;
}

static int
body_read(struct device_call *dc, struct span whole, bool optional, const char *const *known)
{
	int error = admin_json_body(&dc->call, whole, optional, &dc->body);

	return error ? error : admin_json_only(&dc->call, &dc->body, known);
}

static void
add_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"id", "auth", "name", "group", "place", "users",
	    "gateway", NULL};
	static const struct admin_call_ops ops = {.apply = add_apply};
	struct device_call *dc = device_call_create(request, &ops);
	int error;

	if (!dc)
		return;
	error = body_read(dc, whole, true, known);
	if (error == 0)
		error = admin_json_digits(&dc->call, &dc->body, "id", STORE_DEVICE_ID_BYTES_MAX,
		    &dc->device.id);
	if (error == 0)
		error = admin_json_digits(&dc->call, &dc->body, "auth", ADMIN_TOKEN_BYTES_MAX,
		    &dc->token);
	admin_call_run(&dc->call, error);
}

static void
list_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = list_apply};
	struct device_call *dc = device_call_create(request, &ops);

	(void)whole;
	if (dc)
		admin_call_run(&dc->call, 0);
}

static void
get_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = get_apply};
	struct device_call *dc = device_call_create(request, &ops);

	(void)whole;
	if (dc)
		admin_call_run(&dc->call, 0);
}

static void
put_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"name", "group", "place", "users", "gateway", NULL};
	static const struct admin_call_ops ops = {.apply = put_apply};
	struct device_call *dc = device_call_create(request, &ops);

	if (dc)
		admin_call_run(&dc->call, body_read(dc, whole, false, known));
}

static void
config_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = config_apply};
	struct device_call *dc = device_call_create(request, &ops);

	if (dc)
		admin_call_run(&dc->call,
		    admin_json_body(&dc->call, whole, false, &dc->body));
}

static void
remove_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = remove_apply};
	struct device_call *dc = device_call_create(request, &ops);

	(void)whole;
	if (dc)
		admin_call_run(&dc->call, 0);
}

static void
login_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = login_apply};
	struct device_call *dc = device_call_create(request, &ops);

	if (dc)
		admin_call_run(&dc->call, admin_things_auth(&dc->call, whole, &dc->token));
}

static void
legacy_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"comfort_interval", "group", "name", "user", NULL};
	static const struct admin_call_ops ops = {.apply = legacy_apply};
	struct device_call *dc = device_call_create(request, &ops);
	struct admin_call *call = &dc->call;
	int error;

	if (!dc)
		return;
	error = body_read(dc, whole, false, known);
	if (error == 0)
		error = admin_json_text(call, &dc->body, "name", STORE_TEXT_BYTES_MAX,
		    &dc->device.name);
	if (error == 0)
		error = admin_json_text(call, &dc->body, "group", STORE_TEXT_BYTES_MAX,
		    &dc->device.group);
	if (error == 0)
		error = comfort_read(dc);
	if (error == 0)
		error = owner_read(dc);
	admin_call_run(call, error);
}

static const struct session_route_ops add_ops = {.end = add_end, .gone = admin_call_gone};
static const struct session_route_ops list_ops = {.end = list_end, .gone = admin_call_gone};
static const struct session_route_ops get_ops = {.end = get_end, .gone = admin_call_gone};
static const struct session_route_ops put_ops = {.end = put_end, .gone = admin_call_gone};
static const struct session_route_ops config_ops = {.end = config_end, .gone = admin_call_gone};
static const struct session_route_ops remove_ops = {.end = remove_end, .gone = admin_call_gone};
static const struct session_route_ops login_ops = {.end = login_end, .gone = admin_call_gone};
static const struct session_route_ops legacy_ops = {.end = legacy_end, .gone = admin_call_gone};

#define ID_PATH {{"id", "string", "The device's id."}}
#define IF_MATCH {{"If-Match?", "string", "The ETag of the version that is to be changed."}}
#define NOT_THERE {404, "", "There is no such device."}
#define NOT_VALID {422, "", "A member is unknown, or has no valid value."}
#define CHANGED_SINCE {412, "", "It was changed since."}
#define STORE_FAILED {500, "", "The store failed."}

static const struct session_doc add_doc = {
	.help = "It is inactive until its configuration sets state. An id or auth that is brought "
	    "along is kept as it is. The body may be left out.",
	.body = {"DeviceNew"},
	.answers = {
		{201, "DeviceMade", "The only time that auth is shown."},
		{409, "", "There is a device of this id."}, NOT_VALID, STORE_FAILED,
	},
};

static const struct session_doc list_doc = {
	.answers = {{200, "[DeviceShort]", "All devices, in order of their ids."}, STORE_FAILED},
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
	.path = ID_PATH,
	.headers = IF_MATCH,
	.answers = {{204, "", "It is gone."}, NOT_THERE, CHANGED_SINCE, STORE_FAILED},
};

static const struct session_doc login_doc = {
	.path = ID_PATH,
	.body = {"Login"},
	.answers = {
		{200, "{*: any}", "The token is the device's."},
		{401, "", "It is not, or there is no such device; or the caller is nobody."},
		NOT_VALID, STORE_FAILED,
	},
};

static const struct session_doc legacy_doc = {
	.help = "As Qold's first version made devices. The user is made, without a password, when "
	    "there is none of this name.",
	.body = {"{comfort_interval?: {min: number, max: number}, group?: string, name?: string, "
	    "user?: {name: string, phone?: string}}"},
	.answers = {{200, "DeviceLegacy", "The new device."}, NOT_VALID, STORE_FAILED},
};

#define ROUTE(route_path, route_methods, name, route_summary)                                      \
	{                                                                                          \
		.path = route_path, .methods = route_methods, .rights = ACCESS_ADMIN,              \
		.ops = &name##_ops, .summary = route_summary, .doc = &name##_doc,                  \
	}

const struct session_route api_admin_devices_routes[] = {
	ROUTE("/api/v1/admin/devices", SESSION_POST, add, "A new device; its token is shown once"),
	ROUTE("/api/v1/admin/devices", SESSION_GET, list, "All devices"),
	ROUTE("/api/v1/admin/devices", SESSION_PUT, legacy, "A new device, the old way"),
	ROUTE("/api/v1/admin/devices/{id}", SESSION_GET, get, "One device"),
	ROUTE("/api/v1/admin/devices/{id}", SESSION_PUT, put, "Changes what a device is called"),
	ROUTE("/api/v1/admin/devices/{id}", SESSION_DELETE, remove, "Removes a device"),
	ROUTE("/api/v1/admin/devices/{id}/config", SESSION_PUT, config,
	    "Changes a device's configuration"),
	ROUTE("/api/v1/admin/devices/{id}/login", SESSION_POST, login,
	    "Whether a token is the device's"),
	{.path = NULL},
};

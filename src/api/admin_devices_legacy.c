/*
 * admin_devices_legacy.c: PUT /api/v1/admin/devices, as Qold's first version made devices: a new
 * one with its comfort and its owner.
 */
#include <errno.h>
#include <stdio.h>

#include "access_change.h"
#include "admin_devices.h"
#include "check.h"
#include "num.h"

struct legacy_call {
	struct device_call dc;
	struct span min, max;
	struct span owner, phone;
};

/* ── on the store's thread ── */

/* The owner by name, made without a password when there is none. */
static int
owner_take(struct legacy_call *lc, struct store_tx *tx)
{
	struct device_call *dc = &lc->dc;
	struct admin_call *call = &dc->call;
	struct store_user user = {.tenant = call->tenant, .name = lc->owner,
	    .permission = STORE_USER, .created_ms = call->now_ms};
	struct buf contacts;
	struct access_object account = {.what = ACCESS_AN_ACCOUNT, .tenant = call->tenant};
	int error = store_user_find(dc->store, call->tenant, lc->owner,
	    admin_devices_user_found, dc);

	if (error == -ENOENT)
		error = admin_call_may(call, ACCESS_CHANGE, &account);
	else
		return error;
	if (error)
		return error;
	buf_init(&contacts, 0);
	if (lc->phone.len) {
		admin_devices_text_write(&contacts, "{\"phone\":", lc->phone);
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
	return error ? error : admin_devices_user_found(dc, &user);
}

static int
legacy_apply(struct admin_call *call, struct store_tx *tx)
{
	struct legacy_call *lc = (struct legacy_call *)call;
	struct device_call *dc = &lc->dc;
	struct store_device *device = &dc->device;
	struct buf *out = &call->out;
	int error = 0;

	dc->store = store_tx_store(tx);
	device->users = dc->users;
	if (lc->owner.len)
		error = owner_take(lc, tx);
	if (error == 0)
		error = admin_devices_insert(dc, tx);
	if (error)
		return error;
	buf_append_str(out, "{\"Id\":");
	admin_devices_id_write(out, device->id);
	admin_devices_text_write(out, ",\"Auth\":", dc->token);
	buf_append_str(out, ",\"State\":false");
	if (lc->max.len)
		buf_printf(out, ",\"Config\":{\"maxTemp\":%.*s,\"minTemp\":%.*s}",
		    SPAN_ARG(lc->max), SPAN_ARG(lc->min));
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
comfort_read(struct legacy_call *lc)
{
	struct device_call *dc = &lc->dc;
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
		error = number_take(call, &comfort, "min", &lc->min, &min);
	if (error == 0)
		error = number_take(call, &comfort, "max", &lc->max, &max);
	if (error)
		return error;
	if (min > max)
		return admin_call_refuse(call, 422, "/comfort_interval", "min is above max");
	len = snprintf(config, sizeof config, "{\"maxTemp\":\"%.*s\",\"minTemp\":\"%.*s\"}",
	    SPAN_ARG(lc->max), SPAN_ARG(lc->min));
	dc->device.config = admin_call_keep(call, span_of(config, (size_t)len));
	return 0;
}

/* Names of users have small letters. */
static int
owner_read(struct legacy_call *lc)
{
	struct device_call *dc = &lc->dc;
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
		error = admin_json_text(call, &user, "phone", STORE_NAME_BYTES_MAX, &lc->phone);
	if (error)
		return error;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		lower[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	if (!store_name_valid(span_of(lower, name.len)))
		return admin_call_refuse(call, 422, "/user/name",
		    "a user's name has 1 to %d letters, digits, . _ -", STORE_NAME_BYTES_MAX);
	lc->owner = admin_call_keep(call, span_of(lower, name.len));
	return 0;
}

/* ── from the request ── */

static void
legacy_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"comfort_interval", "group", "name", "user", NULL};
	static const struct admin_call_ops ops = {.apply = legacy_apply,
	    .what = ACCESS_A_DEVICE, .verb = ACCESS_CHANGE};
	struct legacy_call *lc = admin_devices_create(request, sizeof *lc, &ops);
	struct device_call *dc;
	struct admin_call *call;
	int error;

	if (!lc)
		return;
	dc = &lc->dc;
	call = &dc->call;
	error = admin_devices_body(dc, whole, false, known);
	if (error == 0)
		error = admin_json_text(call, &dc->body, "name", STORE_TEXT_BYTES_MAX,
		    &dc->device.name);
	if (error == 0)
		error = admin_json_text(call, &dc->body, "group", STORE_TEXT_BYTES_MAX,
		    &dc->device.group);
	if (error == 0)
		error = comfort_read(lc);
	if (error == 0)
		error = owner_read(lc);
	admin_call_run(call, error);
}

static const struct session_route_ops legacy_ops = {.end = legacy_end, .gone = admin_call_gone};

static const struct session_doc legacy_doc = {
	.help = "As Qold's first version made devices. The user is made, without a password, when "
	    "there is none of this name.",
	.body = {"{comfort_interval?: {min: number, max: number}, group?: string, name?: string, "
	    "user?: {name: string, phone?: string}}"},
	.answers = {{200, "DeviceLegacy", "The new device."},
	    {422, "", "A member is unknown, or has no valid value."},
	    {500, "", "The store failed."}},
};

const struct session_route api_admin_devices_legacy_routes[] = {
	{
		.path = "/api/v1/admin/devices", .methods = SESSION_PUT, .rights = ACCESS_ADMIN,
		.ops = &legacy_ops, .summary = "A new device, the old way", .doc = &legacy_doc,
	},
	{.path = NULL},
};

/*
 * enrol.c: POST /api/v1/enrol/device: a gateway registers a device that it hears for the first
 * time.
 *
 * The device is bound to the gateway and inactive until somebody accepts it. A gateway that lost
 * the answer asks again with the same id and is answered alike: the token that it brought is
 * compared; one that we made is replaced by a new one as long as the device was not accepted, for
 * nobody can show it again. The device of somebody else is 409, whoever's it is.
 */
#include <errno.h>

#include "access_change.h"
#include "access_registry.h"
#include "admin_devices.h"

struct enrol_call {
	struct device_call dc;
	struct span name;
	bool made; /* the token is ours: it is shown */
};

static int
conflict(struct enrol_call *ec, const char *why)
{
	return admin_call_refuse(&ec->dc.call, 409, "/id", "there is a device '%.*s' already: %s",
	    SPAN_ARG(ec->dc.device.id), why);
}

static int
token_renew(struct enrol_call *ec, struct store_tx *tx)
{
	struct device_call *dc = &ec->dc;
	struct admin_call *call = &dc->call;
	struct span document;
	int error;

	if (dc->device.state)
		return conflict(ec, "it was accepted, and its token is not shown again");
	dc->token = admin_things_token(call);
	dc->device.hash = admin_things_hash(call, ACCESS_TOKEN_DEVICE, dc->device.id, dc->token);
	if (call->no_memory)
		return -ENOMEM;
	error = store_device_put(tx, &dc->device, &dc->device.version);
	if (error == 0)
		error = access_change_device(admin_call_change(call), &dc->device);
	if (error == 0)
		error = admin_devices_document(dc, &document);
	if (error == 0)
		error = admin_call_audit(call, tx, "device.token", dc->device.id, document,
		    document);
	return error;
}

/* The device is there. */
static int
enrol_again(struct enrol_call *ec, struct store_tx *tx)
{
	struct device_call *dc = &ec->dc;
	struct span hash;

	if (dc->device.gateway != dc->call.principal->id)
		return conflict(ec, "it is not of this gateway");
	if (ec->made)
		return token_renew(ec, tx);
	hash = admin_things_hash(&dc->call, ACCESS_TOKEN_DEVICE, dc->device.id, dc->token);
	if (!access_secret_equal(hash, dc->device.hash))
		return conflict(ec, "its token is another one");
	return 0;
}

static int
enrol_apply(struct admin_call *call, struct store_tx *tx)
{
	struct enrol_call *ec = (struct enrol_call *)call;
	struct device_call *dc = &ec->dc;
	int error = dc->device.id.len ? admin_devices_look(dc, tx) : -ENOENT;

	dc->store = store_tx_store(tx);
	ec->made = dc->token.len == 0;
	if (error == 0) {
		error = enrol_again(ec, tx);
	} else if (error == -ENOENT) {
		dc->device.name = ec->name;
		dc->device.gateway = call->principal->id;
		error = admin_devices_insert(dc, tx);
		call->status = 201;
	}
	call->version = 0;
	buf_append_str(&call->out, "{\"id\":");
	admin_devices_id_write(&call->out, dc->device.id);
	if (ec->made)
		admin_devices_text_write(&call->out, ",\"auth\":", dc->token);
	buf_append_str(&call->out, dc->device.state ? ",\"state\":true}" : ",\"state\":false}");
	return error;
}

static void
enrol_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"id", "auth", "name", NULL};
	static const struct admin_call_ops ops = {
		.apply = enrol_apply, .what = ACCESS_A_TENANT, .verb = ACCESS_ENROL,
	};
	struct enrol_call *ec = admin_devices_create(request, sizeof *ec, &ops);
	int error;

	if (!ec)
		return;
	error = admin_devices_body(&ec->dc, whole, true, known);
	if (error == 0)
		error = admin_json_digits(&ec->dc.call, &ec->dc.body, "id",
		    STORE_DEVICE_ID_BYTES_MAX, &ec->dc.device.id);
	if (error == 0)
		error = admin_json_digits(&ec->dc.call, &ec->dc.body, "auth",
		    ADMIN_TOKEN_BYTES_MAX, &ec->dc.token);
	if (error == 0)
		error = admin_json_text(&ec->dc.call, &ec->dc.body, "name", STORE_TEXT_BYTES_MAX,
		    &ec->name);
	if (error == 0 && ec->dc.device.id.len && !store_device_id_valid(ec->dc.device.id))
		error = admin_call_refuse(&ec->dc.call, 422, "/id", "an id has 1 to %d bytes of "
		    "UTF-8 without control characters", STORE_DEVICE_ID_BYTES_MAX);
	admin_call_run(&ec->dc.call, error);
}

static const struct session_route_ops enrol_ops = {.end = enrol_end, .gone = admin_call_gone};

static const struct session_doc enrol_doc = {
	.help = "For gateways that may enrol. The device is bound to the gateway and inactive "
	    "until its configuration sets state. Without id it gets the next free one, so send one "
	    "where an answer may get lost: asking again is answered alike. auth is shown when it "
	    "was not brought along; asked again, it is a new one, until the device is accepted.",
	.body = {"{id?: DeviceId, auth?: string|integer, name?: string|null}"},
	.answers = {
		{200, "DeviceEnrolled", "This gateway enrolled it before."},
		{201, "DeviceEnrolled", "The new device."},
		{409, "", "There is a device of this id that is not this gateway's, has another "
		    "token, or was accepted."},
		{422, "", "A member is unknown, or has no valid value."},
		{500, "", "The store failed."},
	},
};

const struct session_route api_enrol_routes[] = {
	{
		.path = "/api/v1/enrol/device",
		.methods = SESSION_POST,
		.rights = ACCESS_WRITE,
		.ops = &enrol_ops,
		.summary = "A gateway registers a device that it heard",
		.doc = &enrol_doc,
	},
	{.path = NULL},
};

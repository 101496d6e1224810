/*
 * thresholds.c: PUT /api/v1/devices/{id}/thresholds: the limits that persons set for their devices.
 *
 * They are kept in the device's configuration, where Qold's administration puts them as well:
 * minTemperature, maxTemperature, minBattery, as the digits that were sent. min and max are short
 * for those of the temperature. Whoever reads them finds numbers, and no minimum above its maximum.
 */
#include <errno.h>
#include <math.h>

#include "admin_devices.h"
#include "check.h"
#include "num.h"

struct thresholds_call {
	struct device_call dc;
	struct admin_object changes;    /* by the names of the configuration */
};

static const struct {
	const char *name, *key;
} names[] = {
	{"min", "minTemperature"}, {"max", "maxTemperature"},
	{"minTemperature", "minTemperature"}, {"maxTemperature", "maxTemperature"},
	{"minBattery", "minBattery"},
};

#define DIGITS_MAX 32

/* ── on the store's thread ── */

static int
nothing_own(struct admin_call *call, const struct admin_member *member)
{
	(void)call;
	(void)member;
	return 0;
}

static bool
number_get(const struct admin_object *config, const char *key, double *ret_value)
{
	const struct admin_member *member = admin_json_get(config, key);

	return member && num_parse_double(member->text, ret_value) == 0;
}

static int
thresholds_change(struct device_call *dc)
{
	struct thresholds_call *tc = (struct thresholds_call *)dc;
	struct admin_object config;
	double min, max;
	int error = admin_things_merge(&dc->call, dc->device.config, &tc->changes, nothing_own,
	    &dc->device.config);

	if (error == 0)
		error = admin_json_object(&dc->call, dc->device.config, "", &config);
	if (error == 0 && number_get(&config, "minTemperature", &min) &&
	    number_get(&config, "maxTemperature", &max) && min > max)
		return admin_call_refuse(&dc->call, 422, NULL,
		    "the lowest temperature would be above the highest");
	return error;
}

static int
thresholds_apply(struct admin_call *call, struct store_tx *tx)
{
	return admin_devices_change((struct device_call *)call, tx, "device.thresholds",
	    thresholds_change);
}

/* ── from the request ── */

static int
threshold_read(struct thresholds_call *tc, const struct admin_member *member)
{
	struct admin_call *call = &tc->dc.call;
	struct admin_member *change = &tc->changes.members[tc->changes.count];
	double value;
	size_t i = 0;

	while (i < ARRAY_COUNT(names) && !span_eq(member->name, span_str(names[i].name)))
		i++;
	if (i == ARRAY_COUNT(names))
		return admin_call_refuse(call, 422, member->pointer,
		    "there is no member '%.*s' here; there are min, max, minTemperature, "
		    "maxTemperature, minBattery", (int)MIN(member->name.len, 64u),
		    member->name.ptr);
	if (admin_json_get(&tc->changes, names[i].key))
		return admin_call_refuse(call, 422, member->pointer, "%s is there twice",
		    names[i].key);
	if (member->type != JSON_NULL &&
	    ((member->type != JSON_NUMBER && member->type != JSON_STRING) ||
	    member->text.len > DIGITS_MAX || num_parse_double(member->text, &value) ||
	    !isfinite(value)))
		return admin_call_refuse(call, 422, member->pointer,
		    "it must be a number of at most %d digits; null takes it away", DIGITS_MAX);
	*change = *member;
	change->name = span_str(names[i].key);
	tc->changes.count++;
	return 0;
}

static void
put_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = thresholds_apply,
	    .what = ACCESS_A_DEVICE, .verb = ACCESS_ADJUST};
	struct thresholds_call *tc = admin_devices_create(request, sizeof *tc, &ops);
	struct device_call *dc;
	int error;

	if (!tc)
		return;
	dc = &tc->dc;
	error = admin_json_body(&dc->call, whole, false, &dc->body);
	if (error == 0 && dc->body.count) {
		tc->changes.members = admin_call_alloc(&dc->call,
		    dc->body.count * sizeof *tc->changes.members);
		error = tc->changes.members ? 0 : -ENOMEM;
	}
	for (size_t i = 0; error == 0 && i < dc->body.count; i++)
		error = threshold_read(tc, &dc->body.members[i]);
	admin_call_run(&dc->call, error);
}

static const struct session_route_ops put_ops = {.end = put_end, .gone = admin_call_gone};

static const struct session_doc put_doc = {
	.help = "Kept in the device's configuration. min and max are short for minTemperature and "
	    "maxTemperature. What is left out stays; null takes it away. Persons of permission "
	    "user may do this for their own devices.",
	.path = {{"id", "string", "The device's id."}},
	.headers = {{"If-Match?", "string", "The ETag of the version that is to be changed."}},
	.body = {"Thresholds"},
	.answers = {{200, "DeviceFull", "The device as it is now."},
	    {404, "", "There is no such device."}, {412, "", "It was changed since."},
	    {422, "", "A member is unknown or no number, or a minimum is above its maximum."},
	    {500, "", "The store failed."}},
};

const struct session_route api_thresholds_routes[] = {
	{
		.path = "/api/v1/devices/{id}/thresholds", .methods = SESSION_PUT,
		.rights = ACCESS_READ, .ops = &put_ops,
		.summary = "Sets a device's thresholds", .doc = &put_doc,
	},
	{.path = NULL},
};

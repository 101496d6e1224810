/*
 * sight.c: what of a tenant's readings a caller may see. The rules are those of access_may; here
 * they become an answer, or a list of devices that does not change while the question is worked
 * on.
 */
#include "sight.h"

#include <errno.h>
#include <stdlib.h>

#include "access_may.h"
#include "check.h"

/* The next device that the URL names. */
static bool
device_next(const struct session_request *request, size_t *pos, struct span *ret_device)
{
	struct span name, value;
	while (session_query_next(request, pos, &name, &value)) {
		if (!span_eq(name, SPAN("device")) && !span_eq(name, SPAN("tag.device")))
			continue;
		*ret_device = value;
		return true;
	}
	return false;
}

static bool
sees_device(struct session_request *request, struct span id)
{
	const struct api_loop *al = session_app(request);
	const struct access_principal *principal = session_principal(request);
	struct access_object device = {
		.what = ACCESS_A_DEVICE, .tenant = principal->tenant, .id = id};
	return access_may(al->access, principal, ACCESS_SEE, &device) == ACCESS_YES;
}

bool
sight_check(struct session_request *request)
{
	enum access_sight sight = access_sight(session_principal(request));
	struct span device;
	size_t pos = 0;
	if (sight == ACCESS_SIGHT_ALL)
		return true;
	if (sight == ACCESS_SIGHT_NONE) {
		session_problem(request, 403, NULL, "these credentials may not read");
		return false;
	}
	while (device_next(request, &pos, &device)) {
		if (sees_device(request, device))
			continue;
		session_problem(request, 404, NULL, "there is no device '%.*s'",
		    SPAN_ARG(device));
		return false;
	}
	return true;
}

int
sight_scope(struct session_request *request, bool one_device, struct flow_scope **ret_scope)
{
	const struct api_loop *al = session_app(request);
	const struct access_principal *principal = session_principal(request);
	struct span *ids = NULL, id;
	size_t count = 0, cap = 0, pos = 0;
	*ret_scope = NULL;
	if (access_sight(principal) == ACCESS_SIGHT_ALL || one_device)
		return 0;
	while (access_own_device_next(al->access, principal, &pos, &id)) {
		if (count == cap) {
			cap = MAX(cap * 2, (size_t)16);
			struct span *more = realloc(ids, cap * sizeof *ids);
			if (!more) {
				free(ids);
				return -ENOMEM;
			}
			ids = more;
		}
		ids[count++] = id;
	}
	int error = flow_scope_create(al->flow, principal->tenant, ids, count, ret_scope);
	free(ids);
	return error;
}

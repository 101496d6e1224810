/*
 * sight.h: what of a tenant's readings a caller may see: all, or those of his own devices.
 */
#ifndef WEIR_SIGHT_H
#define WEIR_SIGHT_H

#include "api.h"

/* Whether the caller may read at all and, where he sees only his own, every device that the URL
 * names (`device`, `tag.device`). false: answered 403, or 404 as for a device that is not there.
 * The first thing a handler asks. */
bool sight_check(struct session_request *request);

/* After sight_check: the devices that a question must stay within. NULL: all, or the question has
 * `one_device` of those that were checked and nothing else. The caller's to destroy. 0 or
 * -ENOMEM. */
int sight_scope(struct session_request *request, bool one_device, struct flow_scope **ret_scope);

/* What the routes may answer then. */
#define SIGHT_DOC {404, "", "There is no such device (said to who sees only his own)."}

#endif

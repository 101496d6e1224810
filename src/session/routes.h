/*
 * routes.h: which route a path means. Within session; the table itself is session.h's.
 */
#ifndef WEIR_ROUTES_H
#define WEIR_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "span.h"

struct session_routes;
struct session_route;

enum { ROUTES_PARAMS_MAX = 8, ROUTES_LEVELS_MAX = 32 };

struct routes_match {
	const struct session_route *const *routes; /* one a group of methods */
	size_t route_count;
	unsigned methods;                          /* of all of them; HEAD with GET */
	size_t param_count;
	struct span params[ROUTES_PARAMS_MAX];     /* in the order of the path */
};

/* `path` is percent-encoded and begins with '/'; its decoded form is written to `decoded` (at
 * least path.len bytes), where the parameters then lie. 0, -EINVAL (bad escape), -ENOENT. */
int routes_match(const struct session_routes *routes, struct span path, char *decoded,
    struct routes_match *ret_match);

/* The place of a parameter among a route's, or -1. */
int routes_param_index(const struct session_route *route, const char *name);

#endif

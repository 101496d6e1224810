/*
 * routes.c: the table of routes as a tree of levels, made once at start.
 *
 * A level of a route is a text, `{x}` (one level, not empty) or, last, `{x...}` (all the rest, not
 * empty). Texts win over `{x}`, that over `{x...}`; where a choice leads nowhere the next is
 * tried. The depth of the tree bounds the work, not the length of a client's path. A level is
 * decoded before it is compared, so "%2F" is data and never separates levels.
 */
#include "routes.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "http1.h"
#include "session.h"

struct node {
	struct span text;                     /* of the level that leads here */
	struct node *first_child, *next;      /* texts */
	struct node *param, *rest;
	const struct session_route **routes;
	size_t route_count;
	unsigned methods;
};

struct session_routes {
	struct node root;
};

/* The path's next level; *rest has ptr NULL after the last. */
static bool
next_level(struct span *rest, struct span *ret_level)
{
	if (!rest->ptr)
		return false;
	const char *slash = rest->len ? memchr(rest->ptr, '/', rest->len) : NULL;
	*ret_level = *rest;
	if (!slash) {
		rest->ptr = NULL;
		return true;
	}
	ret_level->len = (size_t)(slash - rest->ptr);
	*rest = span_skip(*rest, ret_level->len + 1);
	return true;
}

static bool
is_param(struct span level)
{
	return level.len > 2 && level.ptr[0] == '{' && level.ptr[level.len - 1] == '}';
}

static struct span
param_name(struct span level, bool *ret_rest)
{
	struct span name = span_of(level.ptr + 1, level.len - 2);
	*ret_rest = name.len > 3 && memcmp(name.ptr + name.len - 3, "...", 3) == 0;
	if (*ret_rest)
		name.len -= 3;
	return name;
}

static struct node *
find_text(const struct node *node, struct span text)
{
	struct node *child = node->first_child;
	while (child && !span_eq(child->text, text))
		child = child->next;
	return child;
}

static struct node *
find_or_make(struct node *node, struct span level)
{
	struct node **slot = NULL, *child;
	bool rest = false;
	if (is_param(level)) {
		param_name(level, &rest);
		slot = rest ? &node->rest : &node->param;
		child = *slot;
	} else {
		child = find_text(node, level);
	}
	if (child)
		return child;
	child = calloc(1, sizeof(*child));
	if (!child)
		return NULL;
	child->text = level;
	if (slot) {
		*slot = child;
	} else {
		child->next = node->first_child;
		node->first_child = child;
	}
	return child;
}

static int
add_route(struct session_routes *routes, const struct session_route *route)
{
	struct span rest = span_str(route->path), level;
	check(rest.len > 0 && rest.ptr[0] == '/');
	rest = span_skip(rest, 1);
	struct node *node = &routes->root;
	size_t depth = 0;
	while (node && next_level(&rest, &level)) {
		check(++depth <= ROUTES_LEVELS_MAX);
		node = find_or_make(node, level);
	}
	if (!node)
		return -ENOMEM;
	unsigned methods = route->methods | (route->methods & SESSION_GET ? SESSION_HEAD : 0u);
	if (node->methods & methods)
		return -EEXIST;
	const struct session_route **grown = realloc(node->routes,
	    (node->route_count + 1) * sizeof(const struct session_route *));
	if (!grown)
		return -ENOMEM;
	node->routes = grown;
	node->routes[node->route_count++] = route;
	node->methods |= methods;
	return 0;
}

int
session_routes_create(const struct session_route *const *tables, const size_t *counts,
    size_t table_count, struct session_routes **ret_routes)
{
	struct session_routes *routes = calloc(1, sizeof(*routes));
	if (!routes)
		return -ENOMEM;
	for (size_t i = 0; i < table_count; i++) {
		for (size_t k = 0; k < counts[i]; k++) {
			int error = add_route(routes, &tables[i][k]);
			if (error) {
				session_routes_destroy(routes);
				return error;
			}
		}
	}
	*ret_routes = routes;
	return 0;
}

/* Depth is bounded by ROUTES_LEVELS_MAX. */
static void
destroy_below(struct node *node)
{
	struct node *child = node->first_child;
	while (child) {
		struct node *next = child->next;
		destroy_below(child);
		free(child);
		child = next;
	}
	if (node->param)
		destroy_below(node->param);
	if (node->rest)
		destroy_below(node->rest);
	free(node->param);
	free(node->rest);
	free(node->routes);
}

void
session_routes_destroy(struct session_routes *routes)
{
	if (!routes)
		return;
	destroy_below(&routes->root);
	free(routes);
}

/* ── matching ── */

struct walk {
	struct span levels[ROUTES_LEVELS_MAX]; /* decoded */
	size_t level_count;
	bool deeper;                           /* the path has more levels than any route */
	const char *end;                       /* of the decoded path */
	struct routes_match *match;
};

static int
decode_levels(struct span path, char *decoded, struct walk *walk)
{
	struct span rest = span_skip(path, 1), level;
	char *to = decoded;
	while (next_level(&rest, &level)) {
		ssize_t len = http1_url_decode(level, false, to);
		if (len < 0)
			return -EINVAL;
		if (walk->level_count < ROUTES_LEVELS_MAX)
			walk->levels[walk->level_count++] = span_of(to, (size_t)len);
		else
			walk->deeper = true;
		to += len;
		if (rest.ptr)
			*to++ = '/';
	}
	walk->end = to;
	return 0;
}

static bool match_from(struct walk *walk, const struct node *node, size_t at, size_t params);

static bool
match_param(struct walk *walk, const struct node *node, struct span value, size_t next,
    size_t params)
{
	if (!node || value.len == 0 || params == ROUTES_PARAMS_MAX)
		return false;
	walk->match->params[params] = value;
	return match_from(walk, node, next, params + 1);
}

static bool
match_from(struct walk *walk, const struct node *node, size_t at, size_t params)
{
	if (at == walk->level_count && !walk->deeper) {
		if (!node->routes)
			return false;
		walk->match->routes = node->routes;
		walk->match->route_count = node->route_count;
		walk->match->methods = node->methods;
		walk->match->param_count = params;
		return true;
	}
	if (at >= walk->level_count)
		return false;
	struct span level = walk->levels[at];
	const struct node *child = find_text(node, level);
	if (child && match_from(walk, child, at + 1, params))
		return true;
	if (match_param(walk, node->param, level, at + 1, params))
		return true;
	if (!node->rest)
		return false;
	struct span rest = span_of(level.ptr, (size_t)(walk->end - level.ptr));
	bool deeper = walk->deeper;
	walk->deeper = false;
	if (match_param(walk, node->rest, rest, walk->level_count, params))
		return true;
	walk->deeper = deeper;
	return false;
}

int
routes_match(const struct session_routes *routes, struct span path, char *decoded,
    struct routes_match *ret_match)
{
	if (path.len == 0 || path.ptr[0] != '/')
		return -ENOENT;
	struct walk walk = {.match = ret_match};
	int error = decode_levels(path, decoded, &walk);
	if (error)
		return error;
	return match_from(&walk, &routes->root, 0, 0) ? 0 : -ENOENT;
}

int
routes_param_index(const struct session_route *route, const char *name)
{
	struct span rest = span_str(route->path), level;
	rest = span_skip(rest, 1);
	int index = 0;
	while (next_level(&rest, &level)) {
		bool all;
		if (!is_param(level))
			continue;
		if (span_eq(param_name(level, &all), span_str(name)))
			return index;
		index++;
	}
	return -1;
}

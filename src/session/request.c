/*
 * request.c: what handlers may ask of a request.
 */
#include "session_priv.h"

void *
session_app(const struct session_request *request)
{
	return request->http->sessions->app;
}

struct loop *
session_get_loop(const struct session_request *request)
{
	return request->http->sessions->loop;
}

const struct session_route *
session_route_of(const struct session_request *request)
{
	return request->route;
}

enum session_method
session_method_of(const struct session_request *request)
{
	return request->method;
}

struct span
session_method_text(const struct session_request *request)
{
	return request->method_text;
}

struct span
session_target(const struct session_request *request)
{
	return request->target;
}

const struct access_principal *
session_principal(const struct session_request *request)
{
	return request->principal;
}

const char *
session_peer(const struct session_request *request)
{
	return net_peer(request->http->conn);
}

struct span
session_path_param(const struct session_request *request, const char *name)
{
	int index = request->route ? routes_param_index(request->route, name) : -1;
	if (index < 0 || (size_t)index >= request->match.param_count)
		return (struct span){NULL, 0};
	return request->match.params[index];
}

bool
session_query_next(const struct session_request *request, size_t *pos, struct span *ret_name,
    struct span *ret_value)
{
	if (*pos >= request->pair_count)
		return false;
	const struct http_pair *pair = &request->pairs[(*pos)++];
	*ret_name = pair->name;
	*ret_value = pair->value;
	return true;
}

struct span
session_query(const struct session_request *request, const char *name)
{
	for (size_t i = 0; i < request->pair_count; i++) {
		if (span_eq(request->pairs[i].name, span_str(name)))
			return request->pairs[i].value;
	}
	return (struct span){NULL, 0};
}

struct span
session_header(const struct session_request *request, const char *name)
{
	for (size_t i = 0; i < request->header_count; i++) {
		if (span_eq_nocase(request->headers[i].name, span_str(name)))
			return request->headers[i].value;
	}
	return (struct span){NULL, 0};
}

size_t
session_body_bytes_max(const struct session_request *request)
{
	return request->http->sessions->settings.body_bytes_max;
}

void
session_set_state(struct session_request *request, void *state)
{
	request->state = state;
}

void *
session_state(const struct session_request *request)
{
	return request->state;
}

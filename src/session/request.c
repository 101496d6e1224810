/*
 * request.c: what handlers may ask of a request.
 */
#include "check.h"
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

/* Takes the last entry off a list that is separated by commas. */
static struct span
entry_pop(struct span *list)
{
	const char *comma = memrchr(list->ptr, ',', list->len);
	size_t before = comma ? (size_t)(comma - list->ptr) : 0;
	struct span entry = comma ? span_skip(*list, before + 1) : *list;
	*list = span_of(list->ptr, before);
	while (entry.len && (entry.ptr[0] == ' ' || entry.ptr[0] == '\t'))
		entry = span_skip(entry, 1);
	while (entry.len && (entry.ptr[entry.len - 1] == ' ' || entry.ptr[entry.len - 1] == '\t'))
		entry.len--;
	return entry;
}

/* Each proxy wrote down, at the end, who came to it; what a stranger wrote is before that. So the
 * last address that is no proxy of ours is the client; what is no address ends the search. */
static bool
forwarded_address(const struct session_request *request, struct span proxies,
    char ret_text[ADDRESSES_TEXT_BYTES])
{
	bool found = false;
	for (size_t i = request->header_count; i-- > 0;) {
		struct span list = request->headers[i].value;
		if (!span_eq_nocase(request->headers[i].name, SPAN("X-Forwarded-For")))
			continue;
		while (list.len) {
			if (!addresses_normal(entry_pop(&list), ret_text))
				return found;
			found = true;
			if (!addresses_listed(proxies, span_str(ret_text)))
				return true;
		}
	}
	return found;
}

const char *
session_peer(const struct session_request *request)
{
	struct session_loop *sessions = request->http->sessions;
	const char *peer = net_peer(request->http->conn), *list = sessions->settings.proxies;
	if (!list || !addresses_listed(span_str(list), span_str(peer)) ||
	    !forwarded_address(request, span_str(list), sessions->peer))
		return peer;
	return sessions->peer;
}

bool
session_is_guest(const struct session_request *request)
{
	return !request->principal && http_head_takes_guests(request);
}

bool
session_admit_guest(struct session_request *request, struct access_principal *principal)
{
	check(!request->principal);
	request->principal = access_principal_ref(principal);
	request->guest = true;
	return span_eq(principal->name, SPAN("sub-")) || http_head_admit_rate(request);
}

void
session_refuse_guest(struct session_request *request)
{
	if (request->unknown)
		access_limits_failed(request->http->sessions->settings.limits,
		    span_str(session_peer(request)), request->begun_ns);
}

struct span
session_tenant(const struct session_request *request)
{
	const char *guests = request->http->sessions->settings.guest_tenant;
	if (request->principal)
		return request->principal->tenant;
	return guests ? span_str(guests) : SPAN("main");
}

bool
session_header_next(const struct session_request *request, size_t *pos, struct span *ret_name,
    struct span *ret_value)
{
	if (*pos >= request->header_count)
		return false;
	const struct http1_header *header = &request->headers[(*pos)++];
	*ret_name = header->name;
	*ret_value = header->value;
	return true;
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

bool
session_asks_ws(const struct session_request *request)
{
	for (size_t i = 0; i < request->header_count; i++) {
		const struct http1_header *header = &request->headers[i];
		if (span_eq_nocase(header->name, SPAN("Upgrade")) &&
		    http1_list_has(header->value, SPAN("websocket")))
			return true;
	}
	return false;
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

/*
 * http_head.c: a parsed head becomes a request: everything of it is copied into one allocation
 * (the loop's input buffer is gone when the handler answers later), then it is checked in the
 * order that the API promises: path, method, readiness, credentials, right, rate, size, syntax.
 *
 * Layout: | struct session_request | headers | pairs | head bytes | decoded path | decoded query |
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "session_priv.h"

static size_t
count_pairs(struct span query)
{
	size_t count = 0;
	struct span name, value;
	while (http1_query_next(&query, &name, &value))
		count++;
	return count;
}

/* A span of the head that was parsed, as it lies in the copy. */
static struct span
moved(struct span old, struct span head, const char *copy)
{
	if (!old.ptr || old.ptr < head.ptr || old.ptr > head.ptr + head.len)
		return old;
	return span_of(copy + (old.ptr - head.ptr), old.len);
}

static enum session_method
method_of(struct span text)
{
	static const struct {
		const char *name;
		enum session_method method;
	} methods[] = {
		{"GET", SESSION_GET}, {"POST", SESSION_POST}, {"PUT", SESSION_PUT},
		{"DELETE", SESSION_DELETE}, {"HEAD", SESSION_HEAD}, {"OPTIONS", SESSION_OPTIONS},
	};
	for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
		if (span_eq(text, span_str(methods[i].name)))
			return methods[i].method;
	}
	return (enum session_method)0;
}

static void
copy_body_framing(struct session_request *request, const struct http1_request *head)
{
	request->minor0 = head->minor == 0;
	request->keep_alive = head->keep_alive;
	request->upgrade = head->upgrade_websocket;
	request->has_length = head->has_length;
	request->left = head->has_length ? head->length : 0;
	request->chunked = head->chunked;
	request->expects = head->expect_continue && head->minor > 0;
	http1_chunked_init(&request->chunks);
}

/* At most query.len bytes go to `to`. */
static void
decode_query(struct session_request *request, char *to)
{
	struct span query = request->query, name, value;
	while (request->pair_count < HTTP_PAIRS_MAX && http1_query_next(&query, &name, &value)) {
		struct http_pair *pair = &request->pairs[request->pair_count];
		ssize_t name_len = http1_url_decode(name, true, to);
		if (name_len < 0)
			goto bad;
		pair->name = span_of(to, (size_t)name_len);
		to += name_len;
		ssize_t value_len = http1_url_decode(value, true, to);
		if (value_len < 0)
			goto bad;
		pair->value = span_of(to, (size_t)value_len);
		to += value_len;
		request->pair_count++;
	}
	if (http1_query_next(&query, &name, &value))
		goto bad;
	return;
bad:
	request->bad_query = true;
}

/* At most path.len bytes go to `to`. Without a match, bad_path tells a 400 from a 404. */
static void
find_routes(struct session_request *request, struct span path, char *to)
{
	struct routes_match match = {0};
	int error = routes_match(request->http->sessions->routes, path, to, &match);
	if (error)
		request->bad_path = error == -EINVAL;
	else
		request->match = match;
}

struct session_request *
http_head_create(struct http *http, struct span bytes)
{
	const struct http1_request *head = &http->sessions->head;
	size_t pair_count = MIN(count_pairs(head->query), (size_t)HTTP_PAIRS_MAX);
	size_t headers_size = head->header_count * sizeof(struct http1_header);
	size_t pairs_size = pair_count * sizeof(struct http_pair);
	struct session_request *request = malloc(sizeof(*request) + headers_size + pairs_size
	    + bytes.len + head->path.len + head->query.len);
	if (!request)
		return NULL;
	*request = (struct session_request){.http = http};
	list_init(&request->done_link);
	buf_init(&request->added, HTTP_ADDED_BYTES_MAX);
	buf_init(&request->rest, 0);
	buf_init(&request->whole, 0);
	request->headers = (struct http1_header *)(request + 1);
	request->pairs = (struct http_pair *)(request->headers + head->header_count);
	char *copy = (char *)request->pairs + pairs_size;
	memcpy(copy, bytes.ptr, bytes.len);
	request->header_count = head->header_count;
	for (size_t i = 0; i < head->header_count; i++) {
		request->headers[i].name = moved(head->headers[i].name, bytes, copy);
		request->headers[i].value = moved(head->headers[i].value, bytes, copy);
	}
	request->head = span_of(copy, bytes.len);
	request->method_text = moved(head->method, bytes, copy);
	request->target = moved(head->target, bytes, copy);
	request->query = moved(head->query, bytes, copy);
	request->head_bytes = bytes.len;
	request->is_head = span_eq(head->method, SPAN("HEAD"));
	request->method = request->is_head ? SESSION_GET : method_of(head->method);
	copy_body_framing(request, head);
	decode_query(request, copy + bytes.len + head->path.len);
	find_routes(request, moved(head->path, bytes, copy), copy + bytes.len);
	return request;
}

void
http_head_unfold(const struct http_folded *folded, struct session_request *request)
{
	*request = (struct session_request){
		.route = folded->route,
		.method = SESSION_GET,
		.method_text = folded->is_head ? SPAN("HEAD") : SPAN("GET"),
		.target = span_str(folded->route->path),
		.head_bytes = folded->bytes_in,
		.is_head = folded->is_head,
		.minor0 = folded->minor0,
		.keep_alive = folded->keep_alive,
		.close = folded->close,
	};
	list_init(&request->done_link);
	buf_init(&request->added, HTTP_ADDED_BYTES_MAX);
	buf_init(&request->rest, 0);
	buf_init(&request->whole, 0);
}

static void
add_allow(struct session_request *request, unsigned methods)
{
	static const struct {
		unsigned method;
		const char *name;
	} names[] = {
		{SESSION_GET, "GET"}, {SESSION_HEAD, "HEAD"}, {SESSION_POST, "POST"},
		{SESSION_PUT, "PUT"}, {SESSION_DELETE, "DELETE"}, {SESSION_OPTIONS, "OPTIONS"},
	};
	char text[64];
	size_t len = 0;
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (!((methods | SESSION_OPTIONS) & names[i].method))
			continue;
		size_t name_len = strlen(names[i].name);
		if (len) {
			memcpy(text + len, ", ", 2);
			len += 2;
		}
		memcpy(text + len, names[i].name, name_len);
		len += name_len;
	}
	session_add_header(request, "Allow", span_of(text, len));
	if (request->method == SESSION_OPTIONS)
		http_cors_preflight(request, span_of(text, len));
}

static const struct session_route *
pick_route(const struct session_request *request)
{
	for (size_t i = 0; i < request->match.route_count; i++) {
		if (request->match.routes[i]->methods & (unsigned)request->method)
			return request->match.routes[i];
	}
	return NULL;
}

/* Path and method. */
static bool
admit_route(struct session_request *request)
{
	if (!request->match.routes) {
		if (request->bad_path)
			session_problem(request, 400, NULL, "the path has a malformed escape");
		else if (request->method == SESSION_OPTIONS && span_eq(request->target, SPAN("*")))
			session_answer(request, 204, NULL, (struct span){NULL, 0});
		else
			session_problem(request, 404, NULL, "nothing is at this path");
		return false;
	}
	request->route = pick_route(request);
	if (request->route)
		return true;
	if (request->match.routes[0]->fallback) {
		session_problem(request, 404, NULL, "nothing is at this path");
		return false;
	}
	add_allow(request, request->match.methods);
	if (request->method == SESSION_OPTIONS)
		session_answer(request, 204, NULL, (struct span){NULL, 0});
	else
		session_problem(request, 405, NULL, "this path does not take the method %.*s",
		    (int)MIN(request->method_text.len, (size_t)32), request->method_text.ptr);
	return false;
}

static bool
is_always_served(const struct session_route *route)
{
	static const char *const paths[] = {"/healthz", "/readyz", "/version", "/metrics"};
	for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
		if (strcmp(route->path, paths[i]) == 0)
			return true;
	}
	return false;
}

static bool
admit_now(struct session_request *request)
{
	const struct session_loop *sessions = request->http->sessions;
	if ((sessions->ready && !sessions->draining) || is_always_served(request->route))
		return true;
	session_problem(request, 503, NULL, sessions->draining ? "the server is stopping"
	    : "the server is starting and reads its journal");
	return false;
}

bool
http_head_takes_guests(const struct session_request *request)
{
	return request->route->guests && request->http->sessions->settings.guest_tenant;
}

/* Whether wrong credentials may be right ones of the application, which is asked before they are
 * counted. A user and a password never are: those of gateways and devices might be guessed. */
static bool
may_be_theirs(const struct session_request *request)
{
	char scratch[ACCESS_BASIC_BYTES_MAX];
	struct span header = session_header(request, "Authorization"), user, secret;
	bool basic = header.ptr &&
	    access_header_read(header, scratch, sizeof(scratch), &user, &secret) && user.ptr;
	explicit_bzero(scratch, sizeof(scratch));
	return http_head_takes_guests(request) && !basic;
}

/* Finds whose request it is. An address that was wrong too often is not told whether it is right
 * now, and the connection does not remember what it was not told. false: answered. */
static bool
find_principal(struct session_request *request, bool *ret_given)
{
	struct http *http = request->http;
	const struct session_loop *sessions = http->sessions;
	struct access_limits *limits = sessions->settings.limits;
	request->principal = http_credentials_find(request, ret_given);
	if (!*ret_given || http->local || !limits || request->recalled)
		return true;
	struct span address = span_str(session_peer(request));
	uint64_t wait_ms = access_limits_failures(limits, address, request->begun_ns);
	if (!wait_ms) {
		request->unknown = !request->principal && may_be_theirs(request);
		if (!request->principal && !request->unknown)
			access_limits_failed(limits, address, request->begun_ns);
		return true;
	}
	access_principal_unref(request->principal);
	request->principal = NULL;
	http_credentials_forget(http);
	if (request->route->rights == 0)
		return true;
	session_problem_later(request, wait_ms, "wrong credentials of this address");
	return false;
}

static bool
admit_principal(struct session_request *request)
{
	bool given;
	uint32_t rights = request->route->rights;
	if (!find_principal(request, &given))
		return false;
	if (rights == 0)
		return true;
	if (!request->principal) {
		if (!given && ((request->route->late_token && request->upgrade) ||
		    request->route->body_credentials))
			return true;
		if (http_head_takes_guests(request))
			return true;
		session_problem(request, 401, NULL, given ? "these credentials are not valid"
		    : "this path needs credentials");
		return false;
	}
	if ((request->principal->rights & rights) == rights)
		return true;
	session_problem(request, 403, NULL, "the key has not the right that this path needs");
	return false;
}

/* What always is served is not counted: who looks whether the server is well must not be refused
 * for what others with his key do. */
bool
http_head_admit_rate(struct session_request *request)
{
	uint64_t wait_ms = is_always_served(request->route) ? 0 :
	    access_limits_take(request->http->sessions->settings.limits, request->principal,
	    ACCESS_RATE_REQUESTS, 1, request->begun_ns, true);
	if (!wait_ms)
		return true;
	session_problem_later(request, wait_ms, "requests with these credentials");
	return false;
}

bool
http_head_admit_bytes(struct session_request *request)
{
	const struct session_loop *sessions = request->http->sessions;
	if (request->route->streaming || request->body_bytes == 0 || !sessions->settings.limits)
		return true;
	uint64_t wait_ms = access_limits_take(sessions->settings.limits, request->principal,
	    ACCESS_RATE_BYTES, request->body_bytes, env_mono_ns(loop_env(sessions->loop)), true);
	if (!wait_ms)
		return true;
	session_problem_later(request, wait_ms, "bytes with these credentials");
	return false;
}

/* What the head says of the body. */
static bool
admit_body(struct session_request *request)
{
	const struct session_route *route = request->route;
	request->body_bytes_max = route->streaming ? UINT64_MAX : route->body_bytes_max;
	if (request->body_bytes_max == 0)
		request->body_bytes_max = request->http->sessions->settings.body_bytes_max;
	if (request->has_length && request->left > request->body_bytes_max) {
		session_problem(request, 413, NULL, "the body has more than %llu bytes",
		    (unsigned long long)request->body_bytes_max);
		return false;
	}
	struct span encoding = session_header(request, "Content-Encoding");
	if (!encoding.ptr || encoding.len == 0 || span_eq_nocase(encoding, SPAN("identity")))
		return true;
	if (!span_eq_nocase(encoding, SPAN("gzip")) && !span_eq_nocase(encoding, SPAN("x-gzip"))
	    && !span_eq_nocase(encoding, SPAN("deflate"))) {
		session_add_header(request, "Accept-Encoding", SPAN("gzip, deflate"));
		session_problem(request, 415, NULL, "the body's Content-Encoding is not known");
		return false;
	}
	if (http_body_expected(request) && gunzip_create(&request->gunzip)) {
		session_problem(request, 503, NULL, "memory is out");
		return false;
	}
	return true;
}

bool
http_head_admit(struct session_request *request)
{
	http_cors_add(request);
	if (!admit_route(request) || !admit_now(request) || !admit_principal(request)
	    || !http_head_admit_rate(request) || !admit_body(request))
		return false;
	if (!request->bad_query)
		return true;
	session_problem(request, 400, NULL, "a percent escape in the query is malformed,"
	    " or it has more than %d parameters", HTTP_PAIRS_MAX);
	return false;
}

/*
 * http_credentials.c: whose request is it? The administrator's socket needs no credentials; else
 * the Authorization header, `?token=`, or, for the InfluxDB door, `u` and `p`.
 *
 * A connection remembers its last Authorization header and whom it meant, so that a kept
 * connection costs no hash a request. A principal that was revoked or has expired is forgotten at
 * once.
 */
#include <stdlib.h>

#include "session_priv.h"

void
http_credentials_forget(struct http *http)
{
	if (!http->credentials)
		return;
	access_principal_unref(http->credentials->principal);
	free(http->credentials);
	http->credentials = NULL;
}

static int64_t
now_ms(const struct http *http)
{
	return env_now_ms(loop_env(http->sessions->loop));
}

bool
http_credentials_hold(const struct session_loop *sessions,
    const struct access_principal *principal)
{
	return !principal || (!principal->revoked && (!principal->expires_ms ||
	    env_now_ms(loop_env(sessions->loop)) < principal->expires_ms));
}

bool
session_principal_holds(const struct session_request *request)
{
	return http_credentials_hold(request->http->sessions, request->principal);
}

static struct access_principal *
remembered(struct http *http, struct span header)
{
	struct http_credentials *known = http->credentials;
	if (!known)
		return NULL;
	if (!http_credentials_hold(http->sessions, known->principal)) {
		http_credentials_forget(http);
		return NULL;
	}
	if (!access_secret_equal(span_of(known->bytes, known->len), header))
		return NULL;
	return access_principal_ref(known->principal);
}

static void
remember(struct http *http, struct span header, struct access_principal *principal)
{
	http_credentials_forget(http);
	struct http_credentials *known = malloc(sizeof(*known) + header.len);
	if (!known)
		return; /* it is asked again next time */
	known->principal = access_principal_ref(principal);
	known->len = header.len;
	memcpy(known->bytes, header.ptr, header.len);
	http->credentials = known;
}

static struct access_principal *
from_header(struct session_request *request, struct span header)
{
	struct http *http = request->http;
	struct access_principal *principal = remembered(http, header);
	request->recalled = principal != NULL;
	if (principal)
		return principal;
	principal = access_authenticate_header(http->sessions->access, header, now_ms(http));
	if (principal)
		remember(http, header, principal);
	return principal;
}

static bool
speaks_influx(const struct session_request *request)
{
	return strcmp(request->route->path, "/write") == 0
	    || strcmp(request->route->path, "/api/v2/write") == 0
	    || strcmp(request->route->path, "/query") == 0;
}

struct access_principal *
http_credentials_find(struct session_request *request, bool *ret_given)
{
	struct http *http = request->http;
	*ret_given = true;
	if (http->local)
		return access_local(http->sessions->access);
	*ret_given = false;
	if (request->route->login)
		return NULL;
	*ret_given = true;
	struct span header = session_header(request, "Authorization");
	if (header.ptr)
		return from_header(request, header);
	struct access *access = http->sessions->access;
	struct span token = session_query(request, "token");
	if (token.ptr)
		return access_authenticate_credential(access, token, now_ms(http));
	struct span password = speaks_influx(request) ? session_query(request, "p")
	    : span_of(NULL, 0);
	if (password.ptr)
		return access_authenticate_basic(access, session_query(request, "u"), password);
	*ret_given = false;
	return NULL;
}

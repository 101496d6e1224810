/*
 * http_credentials.c: whose request is it? The administrator's socket needs no credentials; else
 * the Authorization header, `?token=`, or, for the InfluxDB door, `u` and `p`.
 *
 * A connection remembers its last Authorization header and whom it meant, so that a kept
 * connection costs no hash a request. The comparison takes the same time wherever the texts
 * differ. A principal marked revoked is forgotten at once.
 */
#include <stdlib.h>

#include "session_priv.h"

enum { KEY_BYTES_MAX = 1024 };

void
http_credentials_forget(struct http *http)
{
	if (!http->credentials)
		return;
	access_principal_unref(http->credentials->principal);
	free(http->credentials);
	http->credentials = NULL;
}

static bool
equal_in_constant_time(const char *a, const char *b, size_t len)
{
	unsigned char differs = 0;
	for (size_t i = 0; i < len; i++)
		differs |= (unsigned char)(a[i] ^ b[i]);
	return differs == 0;
}

static struct access_principal *
remembered(struct http *http, struct span header)
{
	struct http_credentials *known = http->credentials;
	if (!known)
		return NULL;
	if (known->principal->revoked) {
		http_credentials_forget(http);
		return NULL;
	}
	if (known->len != header.len
	    || !equal_in_constant_time(known->bytes, header.ptr, known->len))
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
from_header(struct http *http, struct span header)
{
	struct access_principal *principal = remembered(http, header);
	if (principal)
		return principal;
	char scratch[KEY_BYTES_MAX];
	struct span key;
	if (!access_header_key(header, scratch, sizeof(scratch), &key))
		return NULL;
	principal = access_authenticate(http->sessions->access, key);
	if (principal)
		remember(http, header, principal);
	return principal;
}

static bool
is_influx_write(const struct session_request *request)
{
	return strcmp(request->route->path, "/write") == 0
	    || strcmp(request->route->path, "/api/v2/write") == 0;
}

struct access_principal *
http_credentials_find(struct session_request *request, bool *ret_given)
{
	struct http *http = request->http;
	*ret_given = true;
	if (http->local)
		return access_local(http->sessions->access);
	struct span header = session_header(request, "Authorization");
	if (header.ptr)
		return from_header(http, header);
	struct span key = session_query(request, "token");
	if (!key.ptr && is_influx_write(request))
		key = session_query(request, "p");
	if (key.ptr)
		return access_authenticate(http->sessions->access, key);
	*ret_given = false;
	return NULL;
}

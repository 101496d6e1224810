/*
 * out_url.c: which addresses may be asked, and which headers given: what settings are checked by.
 */
#include <curl/curl.h>
#include <string.h>
#include <strings.h>

#include "check.h"
#include "out.h"

static const char *
part_fault(CURLU *parts)
{
	const char *fault = NULL;
	char *scheme = NULL, *user = NULL;
	if (curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) ||
	    (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		fault = "it begins with neither http:// nor https://";
	else if (curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_OK)
		fault = "it has a user's name in it";
	curl_free(scheme);
	curl_free(user);
	return fault;
}

bool
out_url_check(const char *url, const char **ret_reason)
{
	const char *fault = "it is no address like http://127.0.0.1:3000/path";
	CURLU *parts = curl_url();
	if (!parts)
		fault = "memory is out";
	else if (!strpbrk(url, " \t\r\n") &&
	    curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK)
		fault = part_fault(parts);
	curl_url_cleanup(parts);
	if (fault)
		*ret_reason = fault;
	return !fault;
}

static bool
is_token(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9');
		if (!plain && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return name.len > 0;
}

bool
out_header_check(struct span name)
{
	static const char *const ours[] = {
		"Accept", "Connection", "Content-Encoding", "Content-Length", "Content-Type",
		"Expect", "Host", "Keep-Alive", "Proxy-Connection", "TE", "Trailer",
		"Transfer-Encoding", "Upgrade", "User-Agent",
	};
	for (size_t i = 0; i < ARRAY_COUNT(ours); i++) {
		if (span_eq_nocase(name, span_str(ours[i])))
			return false;
	}
	return is_token(name) && !(name.len >= 4 && span_eq_nocase(span_of(name.ptr, 4),
	    SPAN("Sec-")));
}

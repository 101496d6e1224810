/*
 * page.c: the page, embedded in the binary, with conditional GET.
 */
#include "api_priv.h"
#include "web_assets.h"

/* Whether If-None-Match names this ETag: a list, weak marks aside, or "*". */
static bool
etag_matches(struct span list, struct span etag)
{
	if (span_eq(list, SPAN("*")))
		return true;
	for (size_t i = 0; i + etag.len <= list.len; i++)
		if (span_eq(span_of(list.ptr + i, etag.len), etag))
			return true;
	return false;
}

static void
page_end(struct session_request *request, struct span whole)
{
	struct span path = session_path_param(request, "path");
	char full[256] = "/";
	(void)whole;
	size_t len = path.len < sizeof full - 1 ? path.len : 0;
	if (len)
		memcpy(full + 1, path.ptr, len);
	const struct web_asset *asset = path.len < sizeof full - 1 ?
	    web_assets_find(full, len + 1) : NULL;
	if (!asset) {
		session_problem(request, 404, NULL, "there is nothing at this path");
		return;
	}
	struct span etag = span_str(asset->etag);
	session_add_header(request, "ETag", etag);
	session_add_header(request, "Cache-Control", SPAN("no-cache"));
	session_add_header(request, "X-Content-Type-Options", SPAN("nosniff"));
	session_add_header(request, "Content-Security-Policy",
	    SPAN("default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"));
	if (etag_matches(session_header(request, "If-None-Match"), etag))
		session_answer(request, 304, NULL, span_of(NULL, 0));
	else
		session_answer(request, 200, asset->type,
		    span_of((const char *)asset->bytes, asset->len));
}

static const struct session_route_ops page_ops = {.end = page_end};

const struct session_route api_page_routes[] = {
	{
		.path = "/",
		.methods = SESSION_GET,
		.ops = &page_ops,
		.summary = "The page",
	},
	{
		.path = "/{path...}",
		.fallback = true,
		.methods = SESSION_GET,
		.ops = &page_ops,
		.summary = "What belongs to the page",
	},
	{.path = NULL},
};

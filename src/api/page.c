/*
 * page.c: the pages, embedded in the binary, with conditional GET.
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

bool
api_etag_known(struct session_request *request, struct span etag)
{
	session_add_header(request, "ETag", etag);
	session_add_header(request, "Cache-Control", SPAN("no-cache"));
	return etag_matches(session_header(request, "If-None-Match"), etag);
}

void
api_answer_constant(struct session_request *request, const char *content_type, struct span etag,
    struct span body)
{
	session_add_header(request, "X-Content-Type-Options", SPAN("nosniff"));
	if (api_etag_known(request, etag))
		session_answer(request, 304, NULL, span_of(NULL, 0));
	else
		session_answer(request, 200, content_type, body);
}

static void
page_end(struct session_request *request, struct span whole)
{
	struct span path = session_path_param(request, "path");
	char full[256] = "/";
	(void)whole;
	if (!path.ptr)
		path = span_str(session_route_of(request)->path + 1);
	bool fits = path.len < sizeof full - 1;
	if (fits && path.len)
		memcpy(full + 1, path.ptr, path.len);
	const struct web_asset *asset = fits ? web_assets_find(full, path.len + 1) : NULL;
	if (!asset) {
		session_problem(request, 404, NULL, "there is nothing at this path");
		return;
	}
	if (asset->shared)
		session_open_to_pages(request);
	session_add_header(request, "Content-Security-Policy",
	    SPAN("default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"));
	api_answer_constant(request, asset->type, span_str(asset->etag),
	    span_of((const char *)asset->bytes, asset->len));
}

static const struct session_route_ops page_ops = {.end = page_end};

static const struct session_doc page_doc = {
	.answers = {
		{200, "text/html string", "The page, with an ETag."},
		{304, "", "The client has it already."},
	},
};

static const struct session_doc file_doc = {
	.path = {{"path", "string", "The file; may hold slashes."}},
	.answers = {
		{200, "*/* string", "The file, with an ETag."},
		{304, "", "The client has it already."},
		{404, "", "There is no such file."},
	},
};

const struct session_route api_page_routes[] = {
	{
		.path = "/",
		.methods = SESSION_GET,
		.ops = &page_ops,
		.summary = "The page",
		.doc = &page_doc,
	},
	{
		.path = "/docs",
		.methods = SESSION_GET,
		.ops = &page_ops,
		.summary = "The page that explains this interface",
		.doc = &page_doc,
	},
	{
		.path = "/{path...}",
		.fallback = true,
		.methods = SESSION_GET,
		.ops = &page_ops,
		.summary = "What belongs to the pages",
		.doc = &file_doc,
	},
	{.path = NULL},
};

/*
 * openapi_operation.c: what the OpenAPI document says of one route and method.
 *
 * What every route answers alike (bad syntax, credentials, rights, bodies that are too large, a
 * server that starts) follows from the route's row; its doc lists the rest. What the doc says of
 * such a status comes instead.
 */
#include <ctype.h>

#include "check.h"
#include "json.h"
#include "openapi_priv.h"
#include "openapi_type.h"

#define PROBLEM "application/problem+json Problem"

static const struct session_doc no_doc = {.help = NULL};

/* ── small pieces ── */

void
openapi_comma(struct buf *out)
{
	char last = out->len ? out->ptr[out->len - 1] : '{';
	if (last != '{' && last != '[')
		buf_append_byte(out, ',');
}

void
openapi_key(struct buf *out, const char *name)
{
	openapi_comma(out);
	json_write_string(out, span_str(name));
	buf_append_byte(out, ':');
}

void
openapi_text(struct buf *out, const char *name, const char *value)
{
	if (!value)
		return;
	openapi_key(out, name);
	json_write_string(out, span_str(value));
}

void
openapi_path(struct buf *out, const char *path)
{
	buf_append_byte(out, '"');
	for (const char *at = path; *at; at++)
		if (*at != '.' || strncmp(at, "...}", 4) != 0)
			buf_append_byte(out, *at);
		else
			at += 2;
	buf_append_byte(out, '"');
}

static void
type_write(struct buf *out, const char *type)
{
	openapi_key(out, "schema");
	check(openapi_type_write(type, out) || !buf_ok(out));
}

/* "application/json":{"schema":…} of "TYPE" or "MEDIA/TYPE TYPE". */
static void
content_write(struct buf *out, const char *content)
{
	const char *blank = strchr(content, ' ');
	const char *slash = strchr(content, '/');
	struct span media = SPAN("application/json");
	if (slash && blank && slash < blank) {
		media = span_of(content, (size_t)(blank - content));
		content = blank + 1;
	}
	openapi_comma(out);
	json_write_string(out, media);
	buf_append_str(out, ":{");
	type_write(out, content);
	buf_append_byte(out, '}');
}

/* ── parameters ── */

static void
param_write(struct buf *out, const char *in, struct span name, bool needed, const char *type,
    const char *help)
{
	openapi_comma(out);
	buf_append_str(out, "{\"name\":");
	json_write_string(out, name);
	openapi_text(out, "in", in);
	if (needed)
		buf_append_str(out, ",\"required\":true");
	openapi_text(out, "description", help);
	type_write(out, type);
	buf_append_byte(out, '}');
}

static void
params_write(struct buf *out, const char *in, const struct session_doc_param *params, size_t count)
{
	for (size_t i = 0; i < count && params[i].name; i++) {
		struct span name = span_str(params[i].name);
		bool needed = name.ptr[name.len - 1] != '?';
		if (!needed)
			name.len--;
		param_write(out, in, name, needed, params[i].type, params[i].help);
	}
}

static const struct session_doc_param *
path_param_find(const struct session_doc *doc, struct span name)
{
	for (size_t i = 0; i < ARRAY_COUNT(doc->path) && doc->path[i].name; i++)
		if (span_eq(name, span_str(doc->path[i].name)))
			return &doc->path[i];
	return NULL;
}

/* Administration is of the caller's tenant, or of another's for who governs the node. */
static void
tenant_param_write(struct buf *out, const char *path)
{
	static const char *const trees[] = {"/api/v1/admin/devices", "/api/v1/admin/gateways",
	    "/api/v1/admin/users", "/api/v1/admin/keys", "/api/v1/admin/secrets",
	    "/api/v1/admin/audit", "/api/v1/venues", "/api/v1/devices/"};

	for (size_t i = 0; i < ARRAY_COUNT(trees); i++)
		if (strncmp(path, trees[i], strlen(trees[i])) == 0)
			param_write(out, "query", SPAN("tenant"), false, "Name",
			    "Whose; for those who govern the node. The caller's own when left "
			    "out.");
}

/* Those that the path holds; the doc only explains them. */
static void
path_params_write(struct buf *out, const struct session_doc *doc, const char *path)
{
	for (const char *open = strchr(path, '{'); open; open = strchr(open + 1, '{')) {
		struct span name = span_of(open + 1, strcspn(open + 1, ".}"));
		const struct session_doc_param *param = path_param_find(doc, name);
		param_write(out, "path", name, true, param ? param->type : "string",
		    param ? param->help : NULL);
	}
}

/* ── answers ── */

static const struct {
	unsigned status;
	const char *name, *help;
} common[] = {
	{400, "Malformed", "The request is malformed; the detail says where."},
	{401, "Unauthorized", "No credentials, or none that are valid."},
	{403, "Forbidden", "The credentials lack the right that is needed here."},
	{413, "TooLarge", "The body has more bytes than may be."},
	{415, "UnknownEncoding", "The body's Content-Encoding is neither gzip nor deflate."},
	{429, "TooMuch", "More requests, readings or bytes than the limits of these credentials "
	    "allow, or too many wrong credentials of one address. Retry-After says when to come "
	    "again."},
	{503, "Unavailable", "The server starts, stops, or has too much to do, or its disk is "
	    "full. Retry-After says when to come again."},
};

void
openapi_responses(struct buf *out)
{
	openapi_key(out, "responses");
	buf_append_byte(out, '{');
	for (size_t i = 0; i < ARRAY_COUNT(common); i++) {
		openapi_key(out, common[i].name);
		buf_append_byte(out, '{');
		openapi_text(out, "description", common[i].help);
		openapi_key(out, "content");
		buf_append_byte(out, '{');
		content_write(out, PROBLEM);
		buf_append_str(out, "}}");
	}
	buf_append_byte(out, '}');
}

static bool
answers_have(const struct session_doc *doc, unsigned status)
{
	for (size_t i = 0; i < ARRAY_COUNT(doc->answers); i++)
		if (doc->answers[i].status == status)
			return true;
	return false;
}

static bool
is_expected(const struct session_route *route, const struct session_doc *doc, unsigned status)
{
	if (answers_have(doc, status))
		return false;
	switch (status) {
	case 401:
	case 403:
		return route->rights != 0;
	case 413:
	case 415:
		return doc->body[0] != NULL;
	case 429:
		return route->rights != 0 || !doc->always;
	case 503:
		return !doc->always;
	default:
		return true;
	}
}

/* All rows of one status, which stand together; the first one's help counts. */
static size_t
answer_write(struct buf *out, const struct session_doc_answer *answers, size_t count)
{
	size_t used = 0;
	char status[8] = {(char)('0' + answers->status / 100),
	    (char)('0' + answers->status / 10 % 10), (char)('0' + answers->status % 10)};
	bool problem = answers->status >= 400 && answers->content[0] == '\0';
	openapi_key(out, status);
	buf_append_byte(out, '{');
	openapi_text(out, "description", answers->help);
	if (problem || answers->content[0]) {
		openapi_key(out, "content");
		buf_append_byte(out, '{');
	}
	while (used < count && answers[used].status == answers->status) {
		if (problem || answers->content[0])
			content_write(out, problem ? PROBLEM : answers[used].content);
		used++;
	}
	buf_append_str(out, problem || answers->content[0] ? "}}" : "}");
	return used;
}

static void
answers_write(struct buf *out, const struct session_route *route, const struct session_doc *doc)
{
	size_t count = 0;
	openapi_key(out, "responses");
	buf_append_byte(out, '{');
	while (count < ARRAY_COUNT(doc->answers) && doc->answers[count].status)
		count++;
	for (size_t i = 0; i < count;)
		i += answer_write(out, doc->answers + i, count - i);
	for (size_t i = 0; i < ARRAY_COUNT(common); i++) {
		if (!is_expected(route, doc, common[i].status))
			continue;
		buf_printf(out, "%s\"%u\":{\"$ref\":\"#/components/responses/%s\"}",
		    out->len && out->ptr[out->len - 1] == '{' ? "" : ",", common[i].status,
		    common[i].name);
	}
	buf_append_byte(out, '}');
}

/* ── the whole ── */

static void
body_write(struct buf *out, const struct session_doc *doc)
{
	if (!doc->body[0])
		return;
	buf_append_str(out, ",\"requestBody\":{\"required\":true,\"content\":{");
	for (size_t i = 0; i < ARRAY_COUNT(doc->body) && doc->body[i]; i++)
		content_write(out, doc->body[i]);
	buf_append_str(out, "}}");
}

/* Who may call it. A route that is open but documents 401 looks at credentials when it must, and
 * credentials in the body are none of the schemes. */
static void
security_write(struct buf *out, const struct session_route *route, const struct session_doc *doc)
{
	static const struct {
		uint32_t right;
		const char *word;
	} words[] = {{ACCESS_READ, "read"}, {ACCESS_WRITE, "write"}, {ACCESS_PUBLISH, "publish"},
	    {ACCESS_SUBSCRIBE, "subscribe"}, {ACCESS_ADMIN, "admin"}};
	buf_append_str(out, ",\"security\":[");
	if (route->rights == 0 ? answers_have(doc, 401) : route->body_credentials)
		buf_append_str(out, "{},");
	if (route->rights || answers_have(doc, 401))
		buf_append_str(out, "{\"key\":[]},{\"token\":[]},{\"basic\":[]}");
	buf_append_str(out, "],\"x-rights\":[");
	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		if (!(route->rights & words[i].right))
			continue;
		openapi_comma(out);
		json_write_string(out, span_str(words[i].word));
	}
	buf_append_byte(out, ']');
}

/* "get_admin_keys_name": of clients that are generated from the document. What is not of this API
 * says so: "get_root_query". */
static void
id_write(struct buf *out, const char *method, const char *path)
{
	bool ours = strncmp(path, "/api/v1/", 8) == 0;
	if (ours)
		path += 7;
	buf_append_str(out, "\"operationId\":\"");
	buf_append_str(out, method);
	if (!ours)
		buf_append_str(out, "_root");
	bool gap = true;
	for (; *path; path++) {
		if (!isalnum((unsigned char)*path)) {
			gap = true;
			continue;
		}
		if (gap)
			buf_append_byte(out, '_');
		gap = false;
		buf_append_byte(out, *path);
	}
	buf_append_byte(out, '"');
}

static const char *
method_word(enum session_method method)
{
	switch (method) {
	case SESSION_GET:
		return "get";
	case SESSION_POST:
		return "post";
	case SESSION_PUT:
		return "put";
	case SESSION_DELETE:
		return "delete";
	case SESSION_HEAD:
		return "head";
	default:
		return "options";
	}
}

void
openapi_operation(struct buf *out, const struct api_group *group,
    const struct session_route *route, enum session_method method)
{
	const struct session_doc *doc = route->doc ? route->doc : &no_doc;
	openapi_key(out, method_word(method));
	buf_append_byte(out, '{');
	id_write(out, method_word(method), route->path);
	openapi_text(out, "summary", route->summary);
	openapi_text(out, "description", doc->help);
	openapi_key(out, "tags");
	buf_append_byte(out, '[');
	json_write_string(out, span_str(group->name));
	buf_append_str(out, "],\"parameters\":[");
	path_params_write(out, doc, route->path);
	params_write(out, "query", doc->query, ARRAY_COUNT(doc->query));
	tenant_param_write(out, route->path);
	params_write(out, "header", doc->headers, ARRAY_COUNT(doc->headers));
	buf_append_byte(out, ']');
	body_write(out, doc);
	answers_write(out, route, doc);
	security_write(out, route, doc);
	buf_append_byte(out, '}');
}

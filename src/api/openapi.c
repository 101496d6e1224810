/*
 * openapi.c: the OpenAPI 3.1 document and its route. The tables of routes are what the server
 * matches requests against, so what stands in one stands in the other.
 */
#include "openapi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "api_priv.h"
#include "check.h"
#include "hash.h"
#include "json.h"
#include "openapi_priv.h"
#include "openapi_type.h"

struct openapi {
	struct buf json;
	char etag[2 + 16 + 1];
};

static const char head[] =
    "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Weir\",\"version\":\"" WEIR_VERSION "\","
    "\"summary\":\"Sensor readings: taken in, kept, shown live\","
    "\"description\":\"HTTP/1.1 with JSON in UTF-8. Times in answers are milliseconds since "
    "1970. Errors are application/problem+json (RFC 9457). HEAD goes wherever GET does; a method "
    "that a path does not take is 405 with Allow, a path that is none is 404. Bodies may be gzip "
    "(Content-Encoding) and chunked; answers are compressed on request.\","
    "\"license\":{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}},"
    "\"servers\":[{\"url\":\"/\"}]";

static const char security_schemes[] =
    ",\"securitySchemes\":{"
    "\"key\":{\"type\":\"http\",\"scheme\":\"bearer\","
    "\"description\":\"An application key. The scheme Token means the same.\"},"
    "\"token\":{\"type\":\"apiKey\",\"in\":\"query\",\"name\":\"token\","
    "\"description\":\"The key in the address, for clients that can set no header.\"},"
    "\"basic\":{\"type\":\"http\",\"scheme\":\"basic\","
    "\"description\":\"Any user, the key as password.\"}}";

static void
tags_write(struct buf *out, const struct api_group *groups)
{
	openapi_key(out, "tags");
	buf_append_byte(out, '[');
	for (; groups->name; groups++) {
		if (!groups->help)
			continue;
		openapi_comma(out);
		buf_append_byte(out, '{');
		openapi_text(out, "name", groups->name);
		openapi_text(out, "description", groups->help);
		buf_append_byte(out, '}');
	}
	buf_append_byte(out, ']');
}

/* The operations of one path: it may stand in several rows, of several groups. */
static void
path_write(struct buf *out, const struct api_group *groups, const char *path)
{
	openapi_comma(out);
	openapi_path(out, path);
	buf_append_str(out, ":{");
	for (; groups->name; groups++) {
		for (const struct session_route *route = groups->routes; route->path; route++) {
			if (strcmp(route->path, path) != 0)
				continue;
			for (unsigned bit = SESSION_GET; bit <= SESSION_OPTIONS; bit <<= 1)
				if (route->methods & bit)
					openapi_operation(out, groups, route,
					    (enum session_method)bit);
		}
	}
	buf_append_byte(out, '}');
}

/* Whether an earlier row has this row's path. */
static bool
came_before(const struct api_group *groups, const struct session_route *row)
{
	for (; groups->name; groups++) {
		for (const struct session_route *route = groups->routes; route->path; route++) {
			if (route == row)
				return false;
			if (strcmp(route->path, row->path) == 0)
				return true;
		}
	}
	return false;
}

static void
paths_write(struct buf *out, const struct api_group *groups)
{
	openapi_key(out, "paths");
	buf_append_byte(out, '{');
	for (const struct api_group *group = groups; group->name; group++)
		for (const struct session_route *route = group->routes; route->path; route++)
			if (!came_before(groups, route))
				path_write(out, groups, route->path);
	buf_append_byte(out, '}');
}

/* The help goes first into the object that the type becomes. */
static void
schemas_write(struct buf *out)
{
	openapi_key(out, "schemas");
	buf_append_byte(out, '{');
	for (const struct openapi_schema *schema = openapi_schemas; schema->name; schema++) {
		openapi_key(out, schema->name);
		buf_append_byte(out, '{');
		openapi_text(out, "description", schema->help);
		size_t brace = out->len;
		check(openapi_type_write(schema->type, out) || !buf_ok(out));
		if (buf_ok(out) && schema->help)
			out->ptr[brace] = out->ptr[brace + 1] == '}' ? ' ' : ',';
		else if (buf_ok(out))
			out->ptr[brace] = ' ';
	}
	buf_append_byte(out, '}');
}

static void
document_write(struct buf *out, const struct api_group *groups)
{
	buf_append_str(out, head);
	tags_write(out, groups);
	paths_write(out, groups);
	openapi_key(out, "components");
	buf_append_byte(out, '{');
	schemas_write(out);
	openapi_responses(out);
	buf_append_str(out, security_schemes);
	buf_append_str(out, "}}\n");
}

int
openapi_create(const struct api_group *groups, struct openapi **ret_openapi)
{
	struct openapi *openapi = calloc(1, sizeof *openapi);
	if (!openapi)
		return -ENOMEM;
	buf_init(&openapi->json, 0);
	document_write(&openapi->json, groups);
	if (!buf_ok(&openapi->json)) {
		openapi_destroy(openapi);
		return -ENOMEM;
	}
	snprintf(openapi->etag, sizeof openapi->etag, "\"%016llx\"",
	    (unsigned long long)hash64(buf_span(&openapi->json), 0));
	*ret_openapi = openapi;
	return 0;
}

void
openapi_destroy(struct openapi *openapi)
{
	if (!openapi)
		return;
	buf_finish(&openapi->json);
	free(openapi);
}

struct span
openapi_json(const struct openapi *openapi)
{
	return buf_span(&openapi->json);
}

struct span
openapi_etag(const struct openapi *openapi)
{
	return span_str(openapi->etag);
}

/* ── the route ── */

static void
document_end(struct session_request *request, struct span whole)
{
	const struct openapi *openapi = ((struct api_loop *)session_app(request))->api->openapi;
	(void)whole;
	api_answer_constant(request, "application/json", openapi_etag(openapi),
	    openapi_json(openapi));
}

static const struct session_route_ops document_ops = {.end = document_end};

static const struct session_doc document_doc = {
	.headers = {{"If-None-Match?", "string", "The ETag of the document that the client has."}},
	.answers = {
		{200, "any", "The document, with an ETag."},
		{304, "", "The client has it already."},
	},
};

const struct session_route api_openapi_routes[] = {
	{
		.path = "/api/v1/openapi.json",
		.methods = SESSION_GET,
		.ops = &document_ops,
		.summary = "This document",
		.doc = &document_doc,
	},
	{.path = NULL},
};

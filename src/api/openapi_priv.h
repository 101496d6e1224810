/*
 * openapi_priv.h: what the files of the OpenAPI document share. All append to a buf; memory that
 * is out shows in buf_ok() at the end.
 */
#ifndef WEIR_OPENAPI_PRIV_H
#define WEIR_OPENAPI_PRIV_H

#include "api.h"
#include "buf.h"

struct openapi_schema {
	const char *name, *type, *help; /* the type in the notation of openapi_type.h */
};

/* Ends with an entry whose name is NULL. */
extern const struct openapi_schema openapi_schemas[];

/* A comma, unless an object or array was just opened. */
void openapi_comma(struct buf *out);

/* "name": after a comma where one is due. */
void openapi_key(struct buf *out, const char *name);

/* "name":"value"; nothing when value is NULL. */
void openapi_text(struct buf *out, const char *name, const char *value);

/* A path of the table as OpenAPI writes it: "{rest...}" becomes "{rest}". With quotes. */
void openapi_path(struct buf *out, const char *path);

/* "get":{…} of a route; `method` is one of its methods. */
void openapi_operation(struct buf *out, const struct api_group *group,
    const struct session_route *route, enum session_method method);

/* The answers that operations refer to: "responses":{…}. */
void openapi_responses(struct buf *out);

#endif

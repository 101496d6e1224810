/*
 * openapi.h: the OpenAPI 3.1 document of the server, made from the tables of routes. It is made
 * once at start and never changes, so all loops answer with the same bytes.
 */
#ifndef WEIR_OPENAPI_H
#define WEIR_OPENAPI_H

#include "api.h"
#include "span.h"

struct openapi;

/* `groups` ends with an entry whose name is NULL. A type that is none in the tables is a bug
 * (check). 0 or -ENOMEM. */
int openapi_create(const struct api_group *groups, struct openapi **ret_openapi);
void openapi_destroy(struct openapi *openapi);

/* Both live as long as the document; any thread. */
struct span openapi_json(const struct openapi *openapi);
struct span openapi_etag(const struct openapi *openapi); /* with its quotes */

#endif

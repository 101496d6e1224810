/*
 * openapi_type.h: types in a short notation, for tables, and their JSON Schema.
 *
 *   type   = one *("|" one)                      any of these
 *   one    = string | integer | number | boolean | null | any
 *          | Name                                a schema of openapi_schemas, a capital first
 *          | 'text'                              exactly this string
 *          | [type]                              an array
 *          | {name: type, name?: type, *: type}  an object; "?": may be left out; "*": all other
 *                                                members. What is not listed may be there as well.
 */
#ifndef WEIR_OPENAPI_TYPE_H
#define WEIR_OPENAPI_TYPE_H

#include <stdbool.h>

#include "buf.h"

/* Appends the schema. false: the text is no type; what was appended then is of no use. */
bool openapi_type_write(const char *type, struct buf *out);

#endif

/*
 * admin_json.h: JSON documents of administration: bodies of calls, and what the registry stored.
 *
 * The project's own reader is used, since it keeps the digits of numbers (tokens have 17), tells
 * line and column, and bounds the depth. Everything lies in the call's memory. What is wrong is
 * refused (admin_call_refuse): 400 with line and column, 422 with a JSON pointer. A member that is
 * not asked for is 422, so no caller sets what is not his to set.
 */
#ifndef WEIR_ADMIN_JSON_H
#define WEIR_ADMIN_JSON_H

#include "admin_call.h"
#include "json.h"

#define ADMIN_MEMBERS_MAX 256

struct admin_member {
	struct span name;      /* decoded */
	enum json_token type;
	struct span text;      /* of a string, decoded; of a number, its digits */
	struct span raw;       /* the value as it stands in the document */
	char pointer[80];      /* "/name", escaped, cut when it is long */
};

struct admin_object {
	struct admin_member *members;
	size_t count;
};

/* The body as an object. `optional`: an empty body is an object without members. */
int admin_json_body(struct admin_call *call, struct span body, bool optional,
    struct admin_object *ret_object);

/* An object within a document that was read before (a member of a body; pointers begin with
 * `pointer`), or one that the registry keeps (empty: no members). */
int admin_json_object(struct admin_call *call, struct span document, const char *pointer,
    struct admin_object *ret_object);

/* Refuses members that are not among `names` (which ends with NULL). */
int admin_json_only(struct admin_call *call, const struct admin_object *object,
    const char *const *names);

/* NULL: it is not there. */
const struct admin_member *admin_json_get(const struct admin_object *object, const char *name);

/* A line of text without control characters, at most bytes_max long. Absent: *text stays. null:
 * empty. */
int admin_json_text(struct admin_call *call, const struct admin_object *object, const char *name,
    size_t bytes_max, struct span *text);

/* The text of a string or the digits of an integer, at least one and at most bytes_max. Absent:
 * *text stays. */
int admin_json_digits(struct admin_call *call, const struct admin_object *object,
    const char *name, size_t bytes_max, struct span *text);

/* A string, or a list of strings, each (decoded) given to take() with its pointer. */
int admin_json_strings(struct admin_call *call, const struct admin_member *member,
    int (*take)(struct admin_call *call, struct span text, const char *pointer));

/* Whether the text has control characters. */
bool admin_json_controls(struct span text);

#endif

/*
 * body_fault.h: what is wrong with a body, noted while it is read and told when its turn has come:
 * whoever may not do a thing, or asks for what is not there, is told that and not what is wrong
 * with his words.
 */
#ifndef WEIR_BODY_FAULT_H
#define WEIR_BODY_FAULT_H

#include <stdbool.h>

#include "json.h"
#include "session.h"

enum { BODY_FAULT_POINTER_BYTES = 80, BODY_FAULT_DETAIL_BYTES = 200 };

struct body_fault {
	unsigned status;                        /* 0: nothing */
	char pointer[BODY_FAULT_POINTER_BYTES]; /* JSON pointer; "": the document */
	char detail[BODY_FAULT_DETAIL_BYTES];
};

/* Notes it, unless something was noted before. `pointer` may be NULL. */
void body_fault_set(struct body_fault *fault, unsigned status, const char *pointer,
    const char *detail);

/* Whether a body is one JSON document; else notes 400 with the place. Syntax comes before meaning,
 * so this comes before the members are read; the reader meets no JSON_ERROR then. */
bool body_fault_check_json(struct body_fault *fault, struct span whole);

/* Notes 422 for a member of the document's object, whose name the reader has just read. */
void body_fault_unknown(struct body_fault *fault, const struct json_reader *reader,
    const char *detail);

/* prefix/name, with ~ and / escaped as RFC 6901 says; cut where there is no room. */
void body_fault_point(char *pointer, size_t size, const char *prefix, struct span name);

/* What was noted. */
void body_fault_answer(struct session_request *request, const struct body_fault *fault);

#endif

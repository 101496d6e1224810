/*
 * body_fault.c: what is wrong with a body.
 */
#include "body_fault.h"

#include <stdio.h>

#include "check.h"

void
body_fault_set(struct body_fault *fault, unsigned status, const char *pointer, const char *detail)
{
	if (fault->status)
		return;
	fault->status = status;
	snprintf(fault->pointer, sizeof fault->pointer, "%s", pointer ? pointer : "");
	snprintf(fault->detail, sizeof fault->detail, "%s", detail);
}

bool
body_fault_check_json(struct body_fault *fault, struct span whole)
{
	char detail[BODY_FAULT_DETAIL_BYTES];
	struct json_reader reader;
	size_t line, column;
	json_reader_init(&reader, whole, false);
	enum json_token token = json_skip(&reader, json_next(&reader));
	if (token != JSON_ERROR && json_next(&reader) == JSON_END)
		return true;
	json_position(&reader, &line, &column);
	snprintf(detail, sizeof detail, "the body is no JSON: line %zu, column %zu: %s", line,
	    column, reader.reason);
	body_fault_set(fault, 400, NULL, detail);
	return false;
}

void
body_fault_point(char *pointer, size_t size, const char *prefix, struct span name)
{
	int prefix_len = snprintf(pointer, size, "%s/", prefix);
	size_t len = MIN((size_t)prefix_len, size - 1);
	for (size_t i = 0; i < name.len && name.ptr[i] && len + 2 < size; i++) {
		char c = name.ptr[i];
		if (c == '~' || c == '/') {
			pointer[len++] = '~';
			c = c == '~' ? '0' : '1';
		}
		pointer[len++] = c;
	}
	pointer[len] = '\0';
}

void
body_fault_unknown(struct body_fault *fault, const struct json_reader *reader, const char *detail)
{
	char name[BODY_FAULT_POINTER_BYTES], pointer[BODY_FAULT_POINTER_BYTES] = "";
	if (reader->text.len <= sizeof name)
		body_fault_point(pointer, sizeof pointer, "",
		    span_of(name, json_string_decode(reader->text, name)));
	body_fault_set(fault, 422, pointer, detail);
}

void
body_fault_answer(struct session_request *request, const struct body_fault *fault)
{
	session_problem(request, fault->status, fault->pointer[0] ? fault->pointer : NULL, "%s",
	    fault->detail);
}

/*
 * admin_json.c: JSON documents of administration. See admin_json.h.
 */
#include "admin_json.h"

#include <errno.h>
#include <stdio.h>

#include "body_fault.h"
#include "check.h"
#include "num.h"

bool
admin_json_controls(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
			return true;
	return false;
}

static struct span
text_keep(struct admin_call *call, const struct json_reader *reader)
{
	char *copy;

	if (!reader->escaped)
		return reader->text;
	copy = admin_call_alloc(call, reader->text.len);
	return copy ? span_of(copy, json_string_decode(reader->text, copy)) : span_of(NULL, 0);
}

static int
refuse_syntax(struct admin_call *call, const struct json_reader *reader)
{
	size_t line, column;

	json_position(reader, &line, &column);
	return admin_call_refuse(call, 400, NULL,
	    "the body is no JSON: line %zu, column %zu: %s", line, column, reader->reason);
}

static bool
is_twice(const struct admin_object *object)
{
	struct span name = object->members[object->count - 1].name;

	for (size_t i = 0; i + 1 < object->count; i++)
		if (span_eq(object->members[i].name, name))
			return true;
	return false;
}

/* The value after a name. The token it began with, or JSON_ERROR. */
static void
value_read(struct admin_call *call, struct json_reader *reader, struct admin_member *member)
{
	const char *begin;

	member->type = json_next(reader);
	begin = reader->pos - 1;
	if (member->type == JSON_STRING) {
		member->text = text_keep(call, reader);
		begin = reader->text.ptr - 1;
	} else if (member->type == JSON_NUMBER) {
		member->text = reader->text;
		begin = reader->text.ptr;
	} else if (member->type == JSON_OBJECT || member->type == JSON_ARRAY) {
		if (json_skip(reader, member->type) == JSON_ERROR)
			member->type = JSON_ERROR;
	} else {
		begin = reader->pos - (member->type == JSON_FALSE ? 5 : 4);
	}
	if (member->type != JSON_ERROR)
		member->raw = span_of(begin, (size_t)(reader->pos - begin));
}

/* The members, behind the object's '{'. */
static int
members_read(struct admin_call *call, struct json_reader *reader, const char *pointer,
    struct admin_object *object)
{
	enum json_token token;
	const char *twice = NULL;

	while ((token = json_next(reader)) == JSON_KEY) {
		struct admin_member *member = &object->members[object->count];

		if (object->count == ADMIN_MEMBERS_MAX)
			return admin_call_refuse(call, 422, pointer,
			    "an object has at most %d members here", ADMIN_MEMBERS_MAX);
		*member = (struct admin_member){.name = text_keep(call, reader)};
		body_fault_point(member->pointer, sizeof member->pointer, pointer, member->name);
		value_read(call, reader, member);
		if (member->type == JSON_ERROR)
			return refuse_syntax(call, reader);
		object->count++;
		if (!twice && is_twice(object))
			twice = member->pointer;
	}
	if (token != JSON_OBJECT_END || json_next(reader) != JSON_END)
		return refuse_syntax(call, reader);
	if (twice)
		return admin_call_refuse(call, 422, twice, "the member is there twice");
	return call->no_memory ? -ENOMEM : 0;
}

int
admin_json_object(struct admin_call *call, struct span document, const char *pointer,
    struct admin_object *ret_object)
{
	struct json_reader reader;
	struct admin_object object = {0};
	enum json_token token;
	int error;

	if (document.len == 0) {
		*ret_object = object;
		return 0;
	}
	object.members = admin_call_alloc(call, ADMIN_MEMBERS_MAX * sizeof *object.members);
	if (!object.members)
		return -ENOMEM;
	json_reader_init(&reader, document, false);
	token = json_next(&reader);
	if (token == JSON_ERROR)
		return refuse_syntax(call, &reader);
	if (token != JSON_OBJECT) {
		/* What follows may still be no JSON, which is said first. */
		json_skip(&reader, token);
		if (json_next(&reader) == JSON_ERROR)
			return refuse_syntax(call, &reader);
		return admin_call_refuse(call, 422, pointer, "it must be an object");
	}
	error = members_read(call, &reader, pointer, &object);
	if (error)
		return error;
	*ret_object = object;
	return 0;
}

int
admin_json_body(struct admin_call *call, struct span body, bool optional,
    struct admin_object *ret_object)
{
	struct span kept = admin_call_keep(call, body);

	if (body.len == 0 && !optional)
		return admin_call_refuse(call, 400, NULL,
		    "the body is no JSON: line 1, column 1: the document is empty");
	if (call->no_memory)
		return -ENOMEM;
	return admin_json_object(call, kept, "", ret_object);
}

int
admin_json_only(struct admin_call *call, const struct admin_object *object,
    const char *const *names)
{
	for (size_t i = 0; i < object->count; i++) {
		const struct admin_member *member = &object->members[i];
		size_t n = 0;

		while (names[n] && !span_eq(member->name, span_str(names[n])))
			n++;
		if (!names[n])
			return admin_call_refuse(call, 422, member->pointer,
			    "there is no member '%.*s' here", (int)MIN(member->name.len, 64u),
			    member->name.ptr);
	}
	return 0;
}

const struct admin_member *
admin_json_get(const struct admin_object *object, const char *name)
{
	for (size_t i = 0; i < object->count; i++)
		if (span_eq(object->members[i].name, span_str(name)))
			return &object->members[i];
	return NULL;
}

int
admin_json_text(struct admin_call *call, const struct admin_object *object, const char *name,
    size_t bytes_max, struct span *text)
{
	const struct admin_member *member = admin_json_get(object, name);

	if (!member)
		return 0;
	if (member->type == JSON_NULL) {
		*text = SPAN("");
		return 0;
	}
	if (member->type != JSON_STRING)
		return admin_call_refuse(call, 422, member->pointer, "it must be a string");
	if (member->text.len > bytes_max || admin_json_controls(member->text))
		return admin_call_refuse(call, 422, member->pointer,
		    "it must have at most %zu bytes and no control characters", bytes_max);
	*text = member->text;
	return 0;
}

static bool
is_integer(struct span digits)
{
	for (size_t i = 0; i < digits.len; i++)
		if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
			return false;
	return true;
}

int
admin_json_digits(struct admin_call *call, const struct admin_object *object,
    const char *name, size_t bytes_max, struct span *text)
{
	const struct admin_member *member = admin_json_get(object, name);

	if (!member)
		return 0;
	if (member->type != JSON_STRING &&
	    !(member->type == JSON_NUMBER && is_integer(member->text)))
		return admin_call_refuse(call, 422, member->pointer,
		    "it must be a string or a whole number that is not negative");
	if (member->text.len == 0 || member->text.len > bytes_max ||
	    admin_json_controls(member->text))
		return admin_call_refuse(call, 422, member->pointer,
		    "it must have 1 to %zu bytes and no control characters", bytes_max);
	*text = member->text;
	return 0;
}

int
admin_json_strings(struct admin_call *call, const struct admin_member *member,
    int (*take)(struct admin_call *call, struct span text, const char *pointer))
{
	struct json_reader reader;
	char pointer[sizeof member->pointer + 24];
	unsigned index = 0;
	int error;

	if (member->type == JSON_STRING)
		return take(call, member->text, member->pointer);
	if (member->type != JSON_ARRAY)
		return admin_call_refuse(call, 422, member->pointer,
		    "it must be a string or a list of strings");
	json_reader_init(&reader, member->raw, false);
	json_next(&reader);
	for (;;) {
		enum json_token token = json_next(&reader);

		if (token == JSON_ARRAY_END)
			return 0;
		snprintf(pointer, sizeof pointer, "%s/%u", member->pointer, index++);
		if (token != JSON_STRING)
			return admin_call_refuse(call, 422, pointer, "it must be a string");
		error = take(call, text_keep(call, &reader), pointer);
		if (error)
			return error;
	}
}

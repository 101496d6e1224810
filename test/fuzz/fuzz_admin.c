/*
 * fuzz_admin.c: bodies of calls of administration, read as the calls read them. Holds: what is
 * refused is 400 or 422 with a sentence and, if any, a pointer; what is taken has no member twice,
 * each member is a document of its own, and texts are as long and as plain as was asked for.
 */
#include <errno.h>
#include <string.h>

#include "admin_json.h"
#include "check.h"

enum { BODY_BYTES_MAX = 8192, TEXT_BYTES_MAX = 20 };

static void
check_refused(const struct admin_call *call, int error)
{
	check(error == -ECANCELED);
	check(call->refused == 400 || call->refused == 422);
	check(call->detail[0] && memchr(call->detail, '\0', sizeof(call->detail)));
	check(memchr(call->pointer, '\0', sizeof(call->pointer)));
	check(call->pointer[0] == '/' || call->pointer[0] == '\0');
}

static void
check_document(struct span raw)
{
	struct json_reader reader;
	enum json_token token;

	check(raw.ptr && raw.len);
	json_reader_init(&reader, raw, false);
	token = json_next(&reader);
	check(token != JSON_ERROR && token != JSON_END);
	check(json_skip(&reader, token) != JSON_ERROR);
	check(reader.pos == raw.ptr + raw.len && json_next(&reader) == JSON_END);
}

static int
take(struct admin_call *call, struct span text, const char *pointer)
{
	(void)call;
	check(pointer[0] == '/');
	check(text.len <= BODY_BYTES_MAX);
	return 0;
}

/* As a call reads its members; each may be refused. */
static void
read_member(struct admin_call *call, const struct admin_object *object,
    const struct admin_member *member)
{
	struct span text = {NULL, 0}, digits = {NULL, 0};
	struct admin_object inner;
	char name[BODY_BYTES_MAX + 1];
	int error;

	check_document(member->raw);
	error = admin_json_strings(call, member, take);
	if (error)
		check_refused(call, error);
	error = admin_json_object(call, member->raw, member->pointer, &inner);
	if (error)
		check_refused(call, error);
	if (memchr(member->name.ptr ? member->name.ptr : "", '\0', member->name.len))
		return;
	memcpy(name, member->name.ptr ? member->name.ptr : "", member->name.len);
	name[member->name.len] = '\0';
	check(admin_json_get(object, name) == member);
	error = admin_json_text(call, object, name, TEXT_BYTES_MAX, &text);
	if (error)
		check_refused(call, error);
	check(text.len <= TEXT_BYTES_MAX && !admin_json_controls(text));
	error = admin_json_digits(call, object, name, TEXT_BYTES_MAX, &digits);
	if (error)
		check_refused(call, error);
	check(digits.len <= TEXT_BYTES_MAX && !admin_json_controls(digits));
	check(error != 0 || digits.len > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"name", "id", "config", NULL};
	struct admin_call call = {0};
	struct admin_object object = {0};
	int error;

	if (size > BODY_BYTES_MAX)
		return 0;
	error = admin_json_body(&call, span_of((const char *)data, size), size % 2 == 0, &object);
	if (error)
		check_refused(&call, error);
	for (size_t i = 0; i < object.count; i++) {
		for (size_t j = 0; j < i; j++)
			check(!span_eq(object.members[i].name, object.members[j].name));
		read_member(&call, &object, &object.members[i]);
	}
	error = admin_json_only(&call, &object, names);
	if (error)
		check_refused(&call, error);
	admin_call_forget(&call);
	return 0;
}

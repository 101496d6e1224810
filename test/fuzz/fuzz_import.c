/*
 * fuzz_import.c: lines of an import of devices, as CSV or JSON. Holds: what is refused says so; a
 * row that is taken has plain texts within their bounds, names of users that can be some, and a
 * configuration that is one JSON object of strings, no member twice.
 */
#include <errno.h>
#include <string.h>

#include "admin_import.h"
#include "check.h"

enum { BODY_BYTES_MAX = 8192 };

static void
check_text(const struct import_row *row, enum import_member member, size_t bytes_max)
{
	check(row->text[member].len <= bytes_max);
	check(!admin_json_controls(row->text[member]));
}

static void
check_users(struct span names)
{
	while (names.len) {
		const char *end = memchr(names.ptr, ' ', names.len);

		check(end && store_name_valid(span_of(names.ptr, (size_t)(end - names.ptr))));
		names = span_skip(names, (size_t)(end + 1 - names.ptr));
	}
}

static void
check_config(struct admin_call *call, struct span config)
{
	struct admin_object object;

	check(admin_json_object(call, config, "", &object) == 0);
	for (size_t i = 0; i < object.count; i++) {
		check(object.members[i].type == JSON_STRING);
		check(object.members[i].text.len <= ADMIN_CONFIG_VALUE_BYTES_MAX);
		check(!admin_json_controls(object.members[i].text));
	}
}

static void
check_row(struct admin_call *call, const struct import_row *row)
{
	if (row->code) {
		check(row->detail[0] && memchr(row->detail, '\0', sizeof(row->detail)));
		return;
	}
	check(!row->given[IMPORT_ID] || store_device_id_valid(row->text[IMPORT_ID]));
	check(!row->given[IMPORT_AUTH] || row->text[IMPORT_AUTH].len > 0);
	check_text(row, IMPORT_AUTH, ADMIN_TOKEN_BYTES_MAX);
	check_text(row, IMPORT_NAME, STORE_TEXT_BYTES_MAX);
	check_text(row, IMPORT_GROUP, STORE_TEXT_BYTES_MAX);
	check_text(row, IMPORT_PLACE, STORE_TEXT_BYTES_MAX);
	check_users(row->text[IMPORT_USERS]);
	check_config(call, row->text[IMPORT_CONFIG]);
}

static struct span
line_next(struct span *rest)
{
	const char *end = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
	struct span line = *rest;

	if (end)
		line.len = (size_t)(end - rest->ptr);
	*rest = span_skip(*rest, MIN(line.len + 1, rest->len));
	return line;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct api api = {.series_max = 1};
	struct import_format format = {.csv = false};
	struct admin_call call = {.api = &api, .tenant = SPAN("main")};
	struct span rest = span_of((const char *)data, size);
	uint64_t number = 1;
	int error = 0;

	if (size > BODY_BYTES_MAX)
		return 0;
	if (size > 0 && data[0] != '{')
		error = admin_import_header(&call, line_next(&rest), &format);
	if (error)
		check(error == -ECANCELED && call.refused == 422 && call.detail[0]);
	while (error == 0 && rest.len) {
		struct import_row row = {.line = number++};

		admin_import_row_read(&call, &format, line_next(&rest), &row);
		check_row(&call, &row);
	}
	admin_call_forget(&call);
	return 0;
}

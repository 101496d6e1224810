/*
 * admin_import_rows.c: one line of an import, as CSV (RFC 4180, comma or semicolon) or as a JSON
 * object, to a row of texts that were checked. Pure but for the call's memory.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "access_registry.h"
#include "admin_import.h"
#include "check.h"
#include "json.h"
#include "num.h"
#include "utf8.h"

#define INTEGER_MAX ((UINT64_C(1) << 53) - 1)

static const char *const words[IMPORT_MEMBERS] = {
    [IMPORT_ID] = "id",
    [IMPORT_AUTH] = "auth",
    [IMPORT_NAME] = "name",
    [IMPORT_GROUP] = "group",
    [IMPORT_PLACE] = "place",
    [IMPORT_STATE] = "state",
    [IMPORT_GATEWAY] = "gateway",
    [IMPORT_USERS] = "users",
    [IMPORT_CONFIG] = "config",
};

const char *
admin_import_member_word(enum import_member member)
{
	return words[member];
}

void
admin_import_row_reject(struct import_row *row, const char *code, const char *detail_format, ...)
{
	va_list args;

	row->code = code;
	va_start(args, detail_format);
	vsnprintf(row->detail, sizeof row->detail, detail_format, args);
	va_end(args);
}

static enum import_member
word_find(struct span name)
{
	unsigned i = 0;

	while (i < IMPORT_MEMBERS && !span_eq(name, span_str(words[i])))
		i++;
	return (enum import_member)i;
}

/* ── values ── */

static void
text_set(struct import_row *row, enum import_member member, struct span text, size_t bytes_max)
{
	if (text.len > bytes_max || admin_json_controls(text))
		admin_import_row_reject(row, "bad_value",
		    "%s has at most %zu bytes and no control characters", words[member], bytes_max);
	row->text[member] = text;
}

static void
gateway_set(struct import_row *row, struct span text)
{
	row->gateway = 0;
	if (text.len &&
	    (num_parse_u64(text, &row->gateway) || row->gateway == 0 || row->gateway > INTEGER_MAX))
		admin_import_row_reject(row, "bad_value", "gateway must be the id of one");
}

static void
value_set(struct import_row *row, enum import_member member, struct span text)
{
	row->given[member] = true;
	switch (member) {
	case IMPORT_ID:
		text_set(row, member, text, STORE_DEVICE_ID_BYTES_MAX);
		if (!row->code && !store_device_id_valid(text))
			admin_import_row_reject(row, "bad_value", "id must have 1 to %d bytes",
			    STORE_DEVICE_ID_BYTES_MAX);
		break;
	case IMPORT_AUTH:
		text_set(row, member, text, ADMIN_TOKEN_BYTES_MAX);
		if (text.len == 0)
			admin_import_row_reject(row, "bad_value", "auth is empty");
		break;
	case IMPORT_GATEWAY:
		gateway_set(row, text);
		break;
	case IMPORT_STATE:
		row->state = span_eq(text, SPAN("true")) || span_eq(text, SPAN("1"));
		if (!row->state && !span_eq(text, SPAN("false")) && !span_eq(text, SPAN("0")))
			admin_import_row_reject(row, "bad_value", "state must be true or false");
		break;
	default:
		text_set(row, member, text, STORE_TEXT_BYTES_MAX);
		break;
	}
}

/* Names with blanks or semicolons between them. */
static void
users_set(struct admin_call *call, struct import_row *row, struct span text)
{
	struct buf names;
	size_t begin = 0;

	row->given[IMPORT_USERS] = true;
	buf_init(&names, 0);
	for (size_t i = 0; i <= text.len; i++) {
		struct span name = span_of(text.ptr + begin, i - begin);

		if (i < text.len && text.ptr[i] != ' ' && text.ptr[i] != ';')
			continue;
		begin = i + 1;
		if (name.len == 0)
			continue;
		if (!store_name_valid(name))
			admin_import_row_reject(
			    row, "bad_value", "users must be names with blanks between them");
		buf_append_span(&names, name);
		buf_append_byte(&names, ' ');
	}
	call->no_memory |= !buf_ok(&names);
	row->text[IMPORT_USERS] = admin_call_keep(call, buf_span(&names));
	buf_finish(&names);
}

/* ── configurations ── */

struct config {
	struct buf json;
	size_t count;
	struct span names[ADMIN_MEMBERS_MAX];
};

static void
config_add(struct import_row *row, struct config *config, struct span name, struct span value)
{
	bool twice = false;

	for (size_t i = 0; i < config->count; i++)
		twice |= span_eq(config->names[i], name);
	if (twice || config->count == ADMIN_MEMBERS_MAX) {
		admin_import_row_reject(row, "bad_value", "config has %s",
		    twice ? "a member twice" : "too many members");
		return;
	}
	if (name.len == 0 || name.len > STORE_NAME_BYTES_MAX || admin_json_controls(name) ||
	    value.len > ADMIN_CONFIG_VALUE_BYTES_MAX || admin_json_controls(value)) {
		admin_import_row_reject(row, "bad_value",
		    "config has names of 1 to %d bytes and values "
		    "of at most %d, without control characters",
		    STORE_NAME_BYTES_MAX, ADMIN_CONFIG_VALUE_BYTES_MAX);
		return;
	}
	buf_append_byte(&config->json, config->count ? ',' : '{');
	json_write_string(&config->json, name);
	buf_append_byte(&config->json, ':');
	json_write_string(&config->json, value);
	config->names[config->count++] = name;
}

static void
config_end(struct admin_call *call, struct import_row *row, struct config *config)
{
	if (config->count)
		buf_append_byte(&config->json, '}');
	if (config->json.len > STORE_DOCUMENT_BYTES_MAX)
		admin_import_row_reject(
		    row, "bad_value", "config has at most %d bytes", STORE_DOCUMENT_BYTES_MAX);
	call->no_memory |= !buf_ok(&config->json);
	row->text[IMPORT_CONFIG] = admin_call_keep(call, buf_span(&config->json));
	buf_finish(&config->json);
}

/* ── JSON ── */

static struct span
json_text(struct admin_call *call, const struct json_reader *reader)
{
	char *copy;

	if (!reader->escaped)
		return reader->text;
	copy = admin_call_alloc(call, reader->text.len);
	return copy ? span_of(copy, json_string_decode(reader->text, copy)) : span_of(NULL, 0);
}

static void
json_config(struct admin_call *call, struct json_reader *reader, struct import_row *row)
{
	struct config config = {.count = 0};
	struct span name;

	row->given[IMPORT_CONFIG] = true;
	buf_init(&config.json, 0);
	while (!row->code && json_next(reader) == JSON_KEY) {
		enum json_token token;

		name = json_text(call, reader);
		token = json_next(reader);
		if (token == JSON_STRING)
			config_add(row, &config, name, json_text(call, reader));
		else if (token == JSON_NUMBER)
			config_add(row, &config, name, reader->text);
		else
			admin_import_row_reject(
			    row, "bad_value", "a value of config is a string or a number");
	}
	config_end(call, row, &config);
}

static void
json_users(struct admin_call *call, struct json_reader *reader, struct import_row *row)
{
	struct buf names;

	row->given[IMPORT_USERS] = true;
	buf_init(&names, 0);
	for (;;) {
		enum json_token token = json_next(reader);

		if (token == JSON_ARRAY_END)
			break;
		if (token != JSON_STRING || !store_name_valid(json_text(call, reader))) {
			admin_import_row_reject(row, "bad_value", "users must be names");
			break;
		}
		buf_append_span(&names, json_text(call, reader));
		buf_append_byte(&names, ' ');
	}
	call->no_memory |= !buf_ok(&names);
	row->text[IMPORT_USERS] = admin_call_keep(call, buf_span(&names));
	buf_finish(&names);
}

/* A value whose first token this is. */
static void
json_value(struct admin_call *call, struct json_reader *reader, enum import_member member,
    enum json_token token, struct import_row *row)
{
	if (token == JSON_OBJECT && member == IMPORT_CONFIG)
		json_config(call, reader, row);
	else if (token == JSON_ARRAY && member == IMPORT_USERS)
		json_users(call, reader, row);
	else if (token == JSON_STRING && member == IMPORT_USERS)
		users_set(call, row, json_text(call, reader));
	else if (token == JSON_STRING && member != IMPORT_STATE && member != IMPORT_CONFIG &&
		 member != IMPORT_GATEWAY)
		value_set(row, member, json_text(call, reader));
	else if (token == JSON_NUMBER &&
		 (member == IMPORT_ID || member == IMPORT_AUTH || member == IMPORT_GATEWAY) &&
		 !memchr(reader->text.ptr, '.', reader->text.len) &&
		 !memchr(reader->text.ptr, 'e', reader->text.len) &&
		 !memchr(reader->text.ptr, 'E', reader->text.len) && reader->text.ptr[0] != '-')
		value_set(row, member, reader->text);
	else if ((token == JSON_TRUE || token == JSON_FALSE) && member == IMPORT_STATE)
		value_set(row, member, token == JSON_TRUE ? SPAN("1") : SPAN("0"));
	else if (token != JSON_NULL)
		admin_import_row_reject(
		    row, "bad_value", "%s has no value of its kind", words[member]);
}

static void
json_row(struct admin_call *call, struct span line, struct import_row *row)
{
	struct json_reader reader;
	enum json_token token;
	bool seen[IMPORT_MEMBERS] = {false};

	/* Syntax comes before meaning. */
	json_reader_init(&reader, line, false);
	token = json_skip(&reader, json_next(&reader));
	if (token == JSON_ERROR || json_next(&reader) != JSON_END) {
		admin_import_row_reject(row, "bad_json", "%s", reader.reason);
		return;
	}
	json_reader_init(&reader, line, false);
	if (json_next(&reader) != JSON_OBJECT) {
		admin_import_row_reject(row, "bad_value", "a line must be an object");
		return;
	}
	while (!row->code && json_next(&reader) == JSON_KEY) {
		struct span name = json_text(call, &reader);
		enum import_member member = word_find(name);

		token = json_next(&reader);
		if (member == IMPORT_MEMBERS)
			admin_import_row_reject(row, "bad_member", "there is no member '%.*s' here",
			    (int)MIN(name.len, 64u), name.ptr);
		else if (seen[member])
			admin_import_row_reject(
			    row, "bad_member", "%s is there twice", words[member]);
		else
			json_value(call, &reader, member, token, row);
		if (member < IMPORT_MEMBERS)
			seen[member] = true;
	}
}

/* ── CSV ── */

/* The next field of *rest, without its quotes; *rest has ptr NULL after the last. false: a quote
 * is where none may be, or not closed. */
static bool
field_next(struct admin_call *call, char separator, struct span *rest, struct span *ret_field)
{
	const char *end = rest->ptr + rest->len, *p = rest->ptr;
	bool open = false;
	size_t len = 0;
	char *copy;

	if (p == end || *p != '"') {
		while (p < end && *p != separator && *p != '"')
			p++;
		*ret_field = span_of(rest->ptr, (size_t)(p - rest->ptr));
	} else {
		copy = admin_call_alloc(call, rest->len);
		open = true;
		for (p++; p < end; p++) {
			open = *p != '"' || (++p < end && *p == '"');
			if (!open)
				break;
			if (copy)
				copy[len++] = *p;
		}
		*ret_field = span_of(copy, len);
	}
	if (open || (p < end && *p != separator))
		return false;
	*rest = p < end ? span_of(p + 1, (size_t)(end - p - 1)) : span_of(NULL, 0);
	return true;
}

static void
csv_row(struct admin_call *call, const struct import_format *format, struct span line,
    struct import_row *row)
{
	struct config config = {.count = 0};
	struct span field;
	size_t i = 0;

	buf_init(&config.json, 0);
	if (!utf8_valid(line))
		admin_import_row_reject(row, "bad_csv", "the line is no UTF-8");
	for (; line.ptr && !row->code && i < format->column_count; i++) {
		const struct import_column *column = &format->columns[i];

		if (!field_next(call, format->separator, &line, &field)) {
			admin_import_row_reject(row, "bad_csv",
			    "field %zu has a quote in its midst, or one that is not closed", i + 1);
			break;
		}
		if (field.len == 0)
			continue; /* not given */
		if (column->member == IMPORT_CONFIG)
			config_add(row, &config, column->name, field);
		else if (column->member == IMPORT_USERS)
			users_set(call, row, field);
		else
			value_set(row, column->member, field);
	}
	if (!row->code && (i < format->column_count || line.ptr))
		admin_import_row_reject(row, "bad_csv",
		    "the line must have %zu fields as the header has", format->column_count);
	row->given[IMPORT_CONFIG] = config.count > 0;
	config_end(call, row, &config);
}

static int
column_read(struct admin_call *call, struct span field, struct import_format *format)
{
	struct import_column *column = &format->columns[format->column_count];

	*column = (struct import_column){word_find(field), {NULL, 0}};
	if (span_starts(field, SPAN("config.")) && field.len > 7)
		*column = (struct import_column){IMPORT_CONFIG, span_skip(field, 7)};
	else if (column->member >= IMPORT_CONFIG)
		return admin_call_refuse(call, 422, NULL,
		    "line 1: there is no column '%.*s'; there are id, auth, name, group, place, "
		    "state, gateway, users, config.NAME",
		    (int)MIN(field.len, 64u), field.ptr);
	for (size_t i = 0; i < format->column_count; i++)
		if (format->columns[i].member == column->member &&
		    span_eq(format->columns[i].name, column->name))
			return admin_call_refuse(call, 422, NULL,
			    "line 1: the column '%.*s' is there twice", (int)MIN(field.len, 64u),
			    field.ptr);
	format->column_count++;
	return 0;
}

int
admin_import_header(struct admin_call *call, struct span line, struct import_format *ret_format)
{
	struct span field, rest = admin_call_keep(call, line);
	int error = 0;

	ret_format->csv = true;
	ret_format->column_count = 0;
	ret_format->separator = ',';
	if (rest.len && !memchr(rest.ptr, ',', rest.len) && memchr(rest.ptr, ';', rest.len))
		ret_format->separator = ';';
	while (error == 0 && rest.ptr) {
		if (ret_format->column_count == IMPORT_COLUMNS_MAX)
			return admin_call_refuse(call, 422, NULL,
			    "line 1: there are at most %d columns", IMPORT_COLUMNS_MAX);
		if (!field_next(call, ret_format->separator, &rest, &field))
			return admin_call_refuse(call, 422, NULL,
			    "line 1: a column has a quote in its midst, or one that is not closed");
		error = column_read(call, field, ret_format);
	}
	return error;
}

void
admin_import_row_read(struct admin_call *call, const struct import_format *format, struct span line,
    struct import_row *row)
{
	if (format->csv)
		csv_row(call, format, line, row);
	else
		json_row(call, line, row);
	if (!row->code && row->given[IMPORT_ID] && row->given[IMPORT_AUTH])
		access_token_hash(call->api->secret, ACCESS_TOKEN_DEVICE, call->tenant,
		    row->text[IMPORT_ID], row->text[IMPORT_AUTH], row->hash);
}

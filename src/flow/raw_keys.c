/*
 * raw_keys.c: the devices of a record, found by one pass over its body.
 *
 * JSON: every scalar "device", and every "id" within an object "device", at any depth: more than
 * the judge takes, so nothing is missed. Line protocol: the tag "device". A body without a
 * backslash, as nearly all are, hides no name behind an escape: then the names are searched for as
 * text, and only what follows them is read.
 */
#include "raw_keys.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "hash.h"
#include "judge_priv.h"

#define TAG ",device="
#define MEMBER "\"device\""

struct finder {
	const struct journal_record *record;
	struct journal_keys *keys;
	uint64_t tenant_hash;
	struct lp_line *line;  /* made when first needed, with room for a line */
	struct buf scratch;
};

static uint64_t
tenant_hash(struct span tenant)
{
	return hash64(tenant, 0);
}

static uint64_t
device_key(struct span device, uint64_t tenant)
{
	return hash64(device, tenant);
}

uint64_t
raw_key(struct span tenant, struct span device)
{
	return device_key(device, tenant_hash(tenant));
}

static int
device_add(struct finder *finder, struct span device)
{
	struct journal_keys *keys = finder->keys;
	uint64_t key = device_key(device, finder->tenant_hash);
	/* Many lines of one device follow each other. */
	if (keys->count > 0 && keys->keys[keys->count - 1] == key)
		return 0;
	return journal_keys_add(keys, key);
}

/* ── JSON ── */

/* One document from the reader on. 0, -ENOMEM, -EBADMSG. */
static int
document_find(struct finder *finder, struct json_reader *reader)
{
	enum { NONE, DEVICE, ID } member = NONE;
	char room[JUDGE_NAME_BYTES_MAX];
	bool within[JSON_DEPTH_MAX + 2] = {false}; /* by depth: an object "device" */
	for (;;) {
		enum json_token token = json_next(reader);
		int error = 0;
		switch (token) {
		case JSON_END:
			return 0;
		case JSON_ERROR:
			return -EBADMSG;
		case JSON_KEY:
			member = json_text_eq(reader, SPAN("device")) ? DEVICE :
			    within[reader->depth] && json_text_eq(reader, SPAN("id")) ? ID : NONE;
			continue;
		case JSON_OBJECT:
			within[reader->depth] = member == DEVICE;
			break;
		case JSON_STRING:
		case JSON_NUMBER:
			if (member != NONE) {
				struct span device = judge_device_id(reader, token, room);
				error = device.ptr ? device_add(finder, device) : 0;
			}
			break;
		default:
			break;
		}
		if (error)
			return error;
		member = NONE;
	}
}

static int
json_find(struct finder *finder)
{
	struct span rest = finder->record->body;
	struct json_reader reader;
	int error;
	do {
		json_reader_init(&reader, rest, true);
		error = document_find(finder, &reader);
		rest = span_of(reader.pos, (size_t)(reader.end - reader.pos));
	} while (!error && json_more(&reader));
	return error;
}

/* A line that is no JSON was rejected. */
static int
ndjson_line_find(struct finder *finder, struct span line)
{
	struct json_reader reader;
	json_reader_init(&reader, line, true);
	int error = document_find(finder, &reader);
	return error == -EBADMSG ? 0 : error;
}

/* The value of a member "device", which begins with or behind blanks, somewhere in a document.
 * What is no value is passed over. */
static int
member_find(struct finder *finder, struct span rest)
{
	char room[JUDGE_NAME_BYTES_MAX];
	struct json_reader reader;
	bool is_id = false;
	json_reader_init(&reader, rest, true);
	enum json_token token = json_next(&reader);
	unsigned depth = reader.depth;
	bool object = token == JSON_OBJECT;
	while (token != JSON_ERROR && token != JSON_END) {
		if ((is_id || !object) && (token == JSON_STRING || token == JSON_NUMBER)) {
			struct span device = judge_device_id(&reader, token, room);
			int error = device.ptr ? device_add(finder, device) : 0;
			if (error)
				return error;
		}
		if (!object)
			return 0;
		is_id = token == JSON_KEY && reader.depth == depth &&
		    json_text_eq(&reader, SPAN("id"));
		token = json_next(&reader);
		if (token == JSON_OBJECT_END && reader.depth < depth)
			return 0;
	}
	return 0;
}

/* The members "device" of a body without escapes. */
static int
members_find(struct finder *finder)
{
	struct span rest = finder->record->body;
	const char *at;
	int error = 0;
	while (!error && (at = memmem(rest.ptr, rest.len, MEMBER, sizeof MEMBER - 1))) {
		rest = span_skip(rest, (size_t)(at - rest.ptr) + sizeof MEMBER - 1);
		while (rest.len > 0 && strchr(" \t\r\n", *rest.ptr) && *rest.ptr)
			rest = span_skip(rest, 1);
		if (rest.len > 0 && *rest.ptr == ':') {
			rest = span_skip(rest, 1);
			error = member_find(finder, rest);
		}
	}
	return error;
}

/* ── line protocol ── */

/* The tags of a body without escapes; what looks like one in a string may be taken, too. */
static int
tags_find(struct finder *finder)
{
	struct span rest = finder->record->body;
	const char *at;
	int error = 0;
	while (!error && (at = memmem(rest.ptr, rest.len, TAG, sizeof TAG - 1))) {
		rest = span_skip(rest, (size_t)(at - rest.ptr) + sizeof TAG - 1);
		size_t len = 0;
		while (len < rest.len && rest.ptr[len] != ',' && rest.ptr[len] != ' ' &&
		    rest.ptr[len] != '\n')
			len++;
		error = device_add(finder, span_of(rest.ptr, len));
	}
	return error;
}

/* Measurement and tags as they stand: up to the first blank, or to the first backslash: then not
 * *ret_plain. */
static struct span
line_series(struct span line, bool *ret_plain)
{
	size_t i = 0;
	*ret_plain = true;
	while (i < line.len && (line.ptr[i] == ' ' || line.ptr[i] == '\t'))
		i++;
	struct span series = span_skip(line, i);
	for (i = 0; i < series.len && series.ptr[i] != ' '; i++) {
		if (series.ptr[i] == '\\') {
			*ret_plain = false;
			break;
		}
	}
	return span_of(series.ptr, i);
}

static int
line_parse_find(struct finder *finder, struct span line)
{
	struct lp_error bad;
	if (!finder->line)
		finder->line = malloc(sizeof *finder->line);
	buf_clear(&finder->scratch);
	if (!finder->line || buf_reserve(&finder->scratch, line.len + 1))
		return -ENOMEM;
	if (lp_parse_line(line, finder->scratch.ptr, finder->line, &bad))
		return 0; /* blank or rejected */
	for (size_t i = 0; i < finder->line->tag_count; i++)
		if (span_eq(finder->line->tags[i].name, SPAN("device")))
			return device_add(finder, finder->line->tags[i].value);
	return 0;
}

static int
line_find(struct finder *finder, struct span line)
{
	bool plain;
	struct span series = line_series(line, &plain);
	if (!plain)
		return line_parse_find(finder, line);
	const char *tag = memmem(series.ptr, series.len, TAG, sizeof TAG - 1);
	if (!tag)
		return 0;
	struct span value = span_skip(series, (size_t)(tag - series.ptr) + sizeof TAG - 1);
	const char *end = memchr(value.ptr, ',', value.len);
	return device_add(finder,
	    span_of(value.ptr, end ? (size_t)(end - value.ptr) : value.len));
}

/* ── records ── */

static int
each_line(struct finder *finder, int (*take)(struct finder *finder, struct span line))
{
	const char *at = finder->record->body.ptr, *end = at + finder->record->body.len;
	int error = 0;
	while (at < end && !error)
		error = take(finder, judge_take_line(&at, end));
	return error;
}

int
raw_keys(void *ctx, const struct journal_record *record, struct journal_keys *keys)
{
	struct finder finder = {
		.record = record, .keys = keys, .tenant_hash = tenant_hash(record->tenant),
	};
	int error = 0;
	(void)ctx;
	if (record->stream == JOURNAL_MESSAGES)
		return journal_keys_add(keys, RAW_KEY_MESSAGES);
	if (record->stream != JOURNAL_REPORTS || record->format == JOURNAL_FORMAT_MESSAGES)
		return 0; /* of no device */
	buf_init(&finder.scratch, 0);
	bool plain = record->body.len == 0 ||
	    !memchr(record->body.ptr, '\\', record->body.len);
	switch (record->format) {
	case JOURNAL_FORMAT_JSON:
		error = plain ? members_find(&finder) : json_find(&finder);
		break;
	case JOURNAL_FORMAT_NDJSON:
		error = plain ? members_find(&finder) : each_line(&finder, ndjson_line_find);
		break;
	case JOURNAL_FORMAT_LINE:
		error = plain ? tags_find(&finder) : each_line(&finder, line_find);
		break;
	case JOURNAL_FORMAT_MESSAGES: /* a gateway's, of no device */
		break;
	default:
		error = -EBADMSG;
	}
	if (error == -EBADMSG) {
		keys->unknown = true;
		error = 0;
	}
	free(finder.line);
	buf_finish(&finder.scratch);
	return error;
}

int
raw_want_any(struct journal_reader *reader, struct span tenant, const struct span *devices,
    size_t count)
{
	uint64_t hash = tenant_hash(tenant);
	struct journal_keys keys = {.count = 0};
	int error = 0;
	for (size_t i = 0; i < count && !error; i++)
		error = journal_keys_add(&keys, device_key(devices[i], hash));
	if (!error)
		error = journal_reader_want(reader, keys.keys, keys.count);
	free(keys.keys);
	return error;
}

int
raw_want(struct journal_reader *reader, struct span tenant, struct span device,
    const struct flow_scope *scope)
{
	size_t count;
	if (device.ptr)
		return raw_want_any(reader, tenant, &device, 1);
	if (!scope)
		return 0;
	const struct span *ids = flow_scope_all(scope, &count);
	return raw_want_any(reader, tenant, ids, count);
}

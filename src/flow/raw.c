/*
 * raw.c: messages as they came. A run of '*' that stands for a number becomes a string of them, so
 * that what leaves is JSON again; line ends between tokens become blanks, so that it is one line.
 */
#include "raw.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "check.h"
#include "flow.h"
#include "judge_priv.h"

struct raw {
	const struct journal_record *record;
	struct span device;
	const struct flow_scope *scope;
	const struct tombs *tombs;
	struct buf *scratch, *out;
	uint32_t item;
	uint32_t reject;  /* index into the record's rejects */
	int count;
};

/* Whether the current item as a whole was rejected. */
static bool
item_rejected(struct raw *raw)
{
	const struct journal_record *record = raw->record;
	while (raw->reject < record->reject_count &&
	    record->rejects[raw->reject].item < raw->item)
		raw->reject++;
	return raw->reject < record->reject_count &&
	    record->rejects[raw->reject].item == raw->item &&
	    record->rejects[raw->reject].reading < 0;
}

static void
line_begin(struct raw *raw, const char *member)
{
	buf_append_str(raw->out, "{\"time\":");
	buf_append_i64(raw->out, raw->record->arrival_ms);
	buf_append_byte(raw->out, ',');
	buf_append_str(raw->out, member);
}

/* The text between two tokens, or a token itself. */
static void
text_copy(struct buf *out, const char *from, const char *to)
{
	for (const char *at = from; at < to; at++)
		buf_append_byte(out, *at == '\n' || *at == '\r' ? ' ' : *at);
}

/* `device` with ptr NULL: an item that is of none. */
static bool
is_wanted(const struct raw *raw, struct span device)
{
	if (raw->device.ptr && !(device.ptr && span_eq(device, raw->device)))
		return false;
	if (tombs_hide_record(raw->tombs, raw->record->tenant, device, raw->record->seq))
		return false;
	return !raw->scope || (device.ptr && flow_scope_has(raw->scope, device));
}

/* Copies the value that begins with `token` to scratch. Notes on the way whether it is of the
 * device: the first "id" within the members "device" of the item that is one, as for the judge. */
static int
item_copy(struct raw *raw, struct json_reader *reader, enum json_token token, bool *ret_wanted)
{
	const char *from = reader->pos - 1;
	unsigned depth = reader->depth;
	bool in_device = false, is_id = false;
	char room[JUDGE_NAME_BYTES_MAX];
	struct span device = span_of(NULL, 0);
	buf_clear(raw->scratch);
	while (reader->depth >= depth) {
		token = json_next(reader);
		if (token == JSON_ERROR || token == JSON_END)
			return -EBADMSG;
		if (token == JSON_STARS) {
			text_copy(raw->scratch, from, reader->text.ptr);
			buf_append_byte(raw->scratch, '"');
			buf_append_span(raw->scratch, reader->text);
			buf_append_byte(raw->scratch, '"');
			from = reader->pos;
		}
		if (is_id && !device.ptr)
			device = judge_device_id(reader, token, room);
		if (token == JSON_KEY && reader->depth == depth)
			in_device = json_text_eq(reader, SPAN("device"));
		is_id = token == JSON_KEY && in_device && reader->depth == depth + 1 &&
		    json_text_eq(reader, SPAN("id"));
	}
	text_copy(raw->scratch, from, reader->pos);
	if (!buf_ok(raw->scratch))
		return -ENOMEM;
	*ret_wanted = is_wanted(raw, device);
	return 0;
}

static int
value_write(void *ctx, struct json_reader *reader, enum json_token token)
{
	struct raw *raw = ctx;
	if (token == JSON_END || token == JSON_ERROR)
		return -EBADMSG;
	bool rejected = item_rejected(raw);
	bool wanted = false;
	raw->item++;
	if (token != JSON_OBJECT)
		return json_skip(reader, token) == JSON_ERROR ? -EBADMSG : 0;
	int error = item_copy(raw, reader, token, &wanted);
	if (error || rejected || !wanted)
		return error;
	line_begin(raw, "\"message\":");
	buf_append_span(raw->out, buf_span(raw->scratch));
	buf_append_str(raw->out, "}\n");
	raw->count++;
	return 0;
}

static int
json_write(struct raw *raw)
{
	struct json_reader reader;
	return judge_each_item(&reader, raw->record->body, true, value_write, raw);
}

static int
ndjson_write(struct raw *raw)
{
	const char *at = raw->record->body.ptr, *end = at + raw->record->body.len;
	while (at < end) {
		struct span line = judge_take_line(&at, end);
		struct json_reader reader;
		if (item_rejected(raw)) {
			raw->item++;
			continue;
		}
		json_reader_init(&reader, line, true);
		enum json_token token = json_next(&reader);
		if (token != JSON_OBJECT) {
			raw->item++; /* blank */
			continue;
		}
		int error = value_write(raw, &reader, token);
		if (error)
			return error;
	}
	return 0;
}

static bool
line_wanted(const struct raw *raw, const struct lp_line *line)
{
	for (size_t i = 0; i < line->tag_count; i++)
		if (span_eq(line->tags[i].name, SPAN("device")))
			return is_wanted(raw, line->tags[i].value);
	return is_wanted(raw, span_of(NULL, 0));
}

/* Collects the wanted lines, each with its line end, in scratch behind the parser's room. */
static int
lines_collect(struct raw *raw, struct lp_line *parsed)
{
	struct span body = raw->record->body;
	const char *at = body.ptr, *end = at + body.len;
	struct lp_error bad;
	size_t room = 0;
	while (at < end) {
		size_t len = judge_take_line(&at, end).len;
		room = MAX(room, len);
	}
	buf_clear(raw->scratch);
	if (buf_reserve(raw->scratch, room + body.len + 2))
		return -ENOMEM;
	raw->scratch->len = room;
	for (at = body.ptr; at < end; raw->item++) {
		struct span line = judge_take_line(&at, end);
		if (item_rejected(raw) || lp_parse_line(line, raw->scratch->ptr, parsed, &bad) ||
		    !line_wanted(raw, parsed))
			continue;
		buf_append_span(raw->scratch, line);
		buf_append_byte(raw->scratch, '\n');
	}
	if (raw->scratch->len == room)
		return 0;
	line_begin(raw, "\"text\":");
	json_write_string(raw->out,
	    span_of(raw->scratch->ptr + room, raw->scratch->len - room - 1));
	buf_append_str(raw->out, "}\n");
	raw->count++;
	return 0;
}

static int
lines_write(struct raw *raw)
{
	struct lp_line *parsed = malloc(sizeof *parsed);
	if (!parsed)
		return -ENOMEM;
	int error = lines_collect(raw, parsed);
	free(parsed);
	return error;
}

int
raw_write(const struct journal_record *record, struct span device,
    const struct flow_scope *scope, struct buf *scratch, struct buf *out)
{
	return raw_write_shown(record, device, scope, NULL, scratch, out);
}

int
raw_write_shown(const struct journal_record *record, struct span device,
    const struct flow_scope *scope, const struct tombs *tombs, struct buf *scratch,
    struct buf *out)
{
	struct raw raw = {.record = record, .device = device, .scope = scope, .tombs = tombs,
		.scratch = scratch, .out = out};
	int error = -EBADMSG;
	if (record->format == JOURNAL_FORMAT_JSON)
		error = json_write(&raw);
	else if (record->format == JOURNAL_FORMAT_MESSAGES && (device.ptr || scope))
		error = 0; /* a gateway's, of no device, whatever members it has */
	else if (record->format == JOURNAL_FORMAT_NDJSON ||
	    record->format == JOURNAL_FORMAT_MESSAGES)
		error = ndjson_write(&raw);
	else if (record->format == JOURNAL_FORMAT_LINE)
		error = lines_write(&raw);
	if (error)
		return error;
	return buf_ok(out) && buf_ok(scratch) ? raw.count : -ENOMEM;
}

struct topic {
	struct span name;
	struct buf *scratch;
	int (*each)(void *ctx, int64_t time_ms, struct span data);
	void *ctx;
};

static int
topic_message(void *ctx, const struct judge_message *message)
{
	const struct topic *topic = ctx;
	int error;

	if (!span_eq(message->topic, topic->name))
		return 0;
	buf_clear(topic->scratch);
	error = judge_message_write(topic->scratch, message->data);
	if (error == 0 && !buf_ok(topic->scratch))
		error = -ENOMEM;
	return error ? error : topic->each(topic->ctx, message->time_ms, buf_span(topic->scratch));
}

int
raw_messages_each(const struct journal_record *record, struct span topic, struct buf *scratch,
    int (*each)(void *ctx, int64_t time_ms, struct span data), void *ctx)
{
	struct topic wanted = {topic, scratch, each, ctx};

	if (record->format != JOURNAL_FORMAT_MESSAGES)
		return 0;
	return judge_message_each(record, topic_message, &wanted);
}

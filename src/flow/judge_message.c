/*
 * judge_message.c: lines of POST /api/v1/gateway/messages: {"topic":…,"time":…,"data":…}, and of
 * topic "metrics" the points: each numeric member of the data is a metric tagged gateway=ID.
 *
 * Members may come in any order, the first one of a name counts. The data is read twice: once to
 * its end, to find credentials, then, of metrics, for its numbers.
 */
#include <errno.h>
#include <string.h>

#include "judge_priv.h"

struct line {
	struct judge_run *run;
	struct json_reader *reader;
	uint32_t code;                   /* first thing wrong with it; 0: nothing */
	const char *why;                 /* NULL: the verdict's own sentence */
	struct judge_message message;
	char topic_text[JUDGE_TOPIC_BYTES_MAX];
	bool has_time, has_gateway;
	struct json_reader data;         /* before it */
	struct judge_named gateway;
};

static void
line_blame(struct line *line, uint32_t code, const char *why)
{
	if (line->code)
		return;
	line->code = code;
	line->why = why;
}

static void
topic_take(struct line *line, enum json_token token)
{
	struct span text = line->reader->text;
	if (token == JSON_STRING && text.len <= sizeof line->topic_text)
		line->message.topic = span_of(line->topic_text,
		    json_string_decode(text, line->topic_text));
	if (!judge_name_ok(line->message.topic))
		line_blame(line, VERDICT_BAD_TOPIC, NULL);
}

static void
time_take(struct line *line, enum json_token token)
{
	line->has_time = true;
	uint32_t code = VERDICT_BAD_TIME;
	if (judge_json_time(line->run, line->reader, token, &line->message.time_ms))
		code = judge_time(line->run, line->message.time_ms);
	if (code)
		line_blame(line, code, NULL);
}

/* From where its first token may begin to where its last one ended. */
static struct span
value_text(const struct json_reader *before, const struct json_reader *after)
{
	const char *begin = before->pos;
	while (begin < after->pos && strchr(" \t\r\n:", *begin))
		begin++;
	return span_of(begin, (size_t)(after->pos - begin));
}

static int
member_take(struct line *line)
{
	struct json_reader *reader = line->reader;
	bool topic = json_text_eq(reader, SPAN("topic")) && !line->message.topic.ptr;
	bool time = json_text_eq(reader, SPAN("time")) && !line->has_time;
	bool data = json_text_eq(reader, SPAN("data")) && !line->message.data.ptr;
	bool gateway = json_text_eq(reader, SPAN("gateway"));
	bool auth = json_text_eq(reader, SPAN("auth"));
	struct json_reader before = *reader;
	enum json_token token = json_next(reader);
	if (topic)
		topic_take(line, token);
	if (time)
		time_take(line, token);
	line->has_gateway |= gateway;
	if (gateway)
		return judge_json_named(line->run, reader, token, &line->code, &line->gateway);
	int error = auth ? judge_json_auth(line->run, reader, token, &line->code) :
			   judge_json_skip(line->run, reader, token, &line->code);
	if (!error && data) {
		line->data = before;
		line->data.stars = true; /* by now */
		line->message.data = value_text(&before, reader);
	}
	return error;
}

/* After the line's JSON_OBJECT: its members. On -EBADMSG the reader says where. */
static int
line_read(struct line *line)
{
	enum json_token token;
	int error = 0;
	line->code = 0;
	line->why = NULL;
	line->message = (struct judge_message){.time_ms = line->run->body->arrival_ms};
	line->has_time = line->has_gateway = false;
	judge_named_init(&line->gateway);
	while (!error && (token = json_next(line->reader)) == JSON_KEY)
		error = member_take(line);
	if (error)
		return error;
	if (token != JSON_OBJECT_END || json_next(line->reader) != JSON_END)
		return -EBADMSG;
	if (!line->message.topic.ptr)
		line_blame(line, VERDICT_BAD_TOPIC, NULL);
	return 0;
}

/* ── metrics ── */

static int
metric_add(struct line *line, struct span name, double value)
{
	struct judge_run *run = line->run;
	struct judge *judge = run->judge;
	struct series_tag tag = {SPAN("gateway"), run->body->gateway};
	int len = series_key_build(judge->key, sizeof judge->key, run->body->tenant, name, &tag, 1);
	if (len < 0)
		return -EBADMSG;
	struct span key = span_of(judge->key, (size_t)len);
	uint32_t partition = series_partition_of(run->body->tenant, key, judge->partitions);
	return judge_point_add(run, key, partition, line->message.time_ms, value);
}

/* What is no number is part of the message only. */
static int
metric_take(struct line *line, struct json_reader *reader)
{
	char room[JUDGE_NAME_BYTES_MAX];
	struct span name = reader->text;
	bool fits = name.len <= sizeof room;
	if (fits)
		name = span_of(room, json_string_decode(name, room));
	enum json_token token = json_next(reader);
	double value;
	if (token != JSON_NUMBER && token != JSON_TRUE && token != JSON_FALSE)
		return json_skip(reader, token) == JSON_ERROR ? -EBADMSG : 0;
	if (!fits || !judge_name_ok(name)) {
		line_blame(line, VERDICT_BAD_NAME, NULL);
		return 0;
	}
	if (!judge_json_number(reader, token, &value)) {
		line_blame(line, VERDICT_BAD_VALUE, NULL);
		return 0;
	}
	return metric_add(line, name, value);
}

static int
metrics_take(struct line *line)
{
	struct json_reader *reader = &line->data;
	int error = 0;
	if (!line->message.data.ptr || json_next(reader) != JSON_OBJECT) {
		line_blame(line, VERDICT_BAD_VALUE, "the data of metrics must be an object");
		return 0;
	}
	while (!error && json_next(reader) == JSON_KEY)
		error = metric_take(line, reader);
	return error;
}

/* ── lines ── */

static int
line_settle(struct line *line)
{
	struct judge_run *run = line->run;
	const struct judge_gate *gate = run->body->gate;
	int error = 0;
	if (!line->code && span_eq(line->message.topic, SPAN("metrics")))
		error = metrics_take(line);
	if (!line->code && gate && line->has_gateway)
		line->code = gate->gateway(gate->ctx, &line->gateway);
	if (!error && !judge_points_kept(run))
		line_blame(line, VERDICT_TOO_OLD, NULL);
	if (!error && !line->code)
		error = judge_points_allow(run);
	if (error == -EDQUOT)
		line_blame(line, VERDICT_TOO_MANY_SERIES, run->judge->why);
	else if (error)
		return error;
	if (line->code) {
		judge_points_drop(run);
		return judge_reject(run, -1, line->code, 0, NULL, line->why);
	}
	if (run->result) {
		run->result->accepted++;
		run->result->messages++;
	}
	return judge_points_commit(run);
}

int
judge_message_take(struct judge_run *run, struct json_reader *reader)
{
	struct line line;
	line.run = run;
	line.reader = reader;
	int error = line_read(&line);
	return error ? error : line_settle(&line);
}

struct span
judge_gateway_of(struct span principal)
{
	return span_starts(principal, SPAN("gateway-")) ?
	    span_skip(principal, strlen("gateway-")) : span_of(NULL, 0);
}

int
judge_message_each(const struct journal_record *record,
    int (*each)(void *ctx, const struct judge_message *message), void *ctx)
{
	struct judge_body body = {.arrival_ms = record->arrival_ms};
	struct judge_run run = {.body = &body};
	const char *at = record->body.ptr, *end = at + record->body.len;
	run.skip = record->rejects;
	run.skip_end = record->reject_count ? run.skip + record->reject_count : run.skip;
	for (; at < end; run.item++) {
		struct span text = judge_take_line(&at, end);
		struct json_reader reader;
		struct line line;
		line.run = &run;
		line.reader = &reader;
		if (judge_json_blank(text) || judge_skips(&run, run.item, -1))
			continue;
		json_reader_init(&reader, text, true);
		int error = json_next(&reader) == JSON_OBJECT ? line_read(&line) : -EBADMSG;
		if (!error)
			error = each(ctx, &line.message);
		if (error)
			return error;
	}
	return 0;
}

int
judge_message_write(struct buf *out, struct span data)
{
	struct json_reader reader;
	enum json_token token;
	const char *from = data.ptr;
	if (!data.ptr)
		return buf_append_str(out, "null");
	json_reader_init(&reader, data, true);
	while ((token = json_next(&reader)) != JSON_END) {
		if (token == JSON_ERROR)
			return -EBADMSG;
		if (token != JSON_STARS)
			continue;
		buf_append(out, from, (size_t)(reader.text.ptr - from));
		buf_append_byte(out, '"');
		buf_append_span(out, reader.text);
		buf_append_byte(out, '"');
		from = reader.pos;
	}
	return buf_append(out, from, (size_t)(data.ptr + data.len - from));
}

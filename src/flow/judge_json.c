/*
 * judge_json.c: items of POST /api/v1/readings to points.
 *
 * One pass over an item. Members may come in any order: readings that come before the device are
 * remembered by a copy of the reader and judged at the item's end, where the gate is asked, too.
 * Every member named `auth`, at any depth, is a credential: its value is overwritten by '*' and is
 * never a metric. What the gate needs of them is kept apart until the item's end.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "datetime.h"
#include "judge_priv.h"
#include "num.h"

#define PENDING_MAX 8 /* "readings" members before the device is known, in one item */

struct item {
	struct judge_run *run;
	struct json_reader *reader;
	struct judge_named device;        /* id: NULL until known */
	struct judge_named gateway;
	bool has_gateway;
	uint32_t partition;               /* of the device; UINT32_MAX: not asked yet */
	uint32_t code;                    /* first thing wrong with the whole item; 0: nothing */
	int32_t readings;                 /* seen so far */
	uint64_t accepted;
	struct json_reader pending[PENDING_MAX];
	bool pending_seconds[PENDING_MAX];
	unsigned pending_count;
};

struct metric {
	struct span name;
	double value;
};

struct reading {
	struct metric metrics[JUDGE_METRICS_MAX];
	size_t count;
	bool has_time;
	int64_t time_ms;
	uint32_t code;
	struct span culprit;              /* the member that was bad */
};

static bool
wrong_json(enum json_token token)
{
	return token == JSON_ERROR || token == JSON_END;
}

static bool
all_of(struct span text, const char *set)
{
	for (size_t i = 0; i < text.len; i++)
		if (!strchr(set, text.ptr[i]) || !text.ptr[i])
			return false;
	return true;
}

/* Overwrites the value that begins with `first`: a string between its quotes, anything else from
 * its first byte to its last. Live only. */
static int
auth_star(struct item *item, enum json_token first)
{
	struct json_reader *reader = item->reader;
	const char *begin = reader->text.ptr, *end = begin + reader->text.len;
	if (wrong_json(first))
		return -EBADMSG;
	if (first == JSON_NUMBER && !all_of(reader->text, "-0123456789") && item->code == 0)
		item->code = VERDICT_BAD_AUTH;
	if (first != JSON_STRING && first != JSON_NUMBER && first != JSON_STARS) {
		bool nested = first == JSON_OBJECT || first == JSON_ARRAY;
		size_t word = nested ? 1 : first == JSON_FALSE ? 5 : 4;
		begin = reader->pos - word;
		if (wrong_json(json_skip(reader, first)))
			return -EBADMSG;
		end = reader->pos;
		if (item->code == 0)
			item->code = VERDICT_BAD_AUTH;
	}
	if (item->run->result) {
		char *bytes = item->run->body->bytes;
		memset(bytes + (begin - bytes), '*', (size_t)(end - begin));
	}
	return 0;
}

/* Passes over a value whose first token was read, overwriting credentials inside it. */
static int
value_skip(struct item *item, enum json_token first)
{
	struct json_reader *reader = item->reader;
	unsigned depth = reader->depth;
	if (wrong_json(first))
		return -EBADMSG;
	if (first != JSON_OBJECT && first != JSON_ARRAY)
		return 0;
	while (reader->depth >= depth) {
		enum json_token token = json_next(reader);
		if (wrong_json(token))
			return -EBADMSG;
		if (token == JSON_KEY && json_text_eq(reader, SPAN("auth"))) {
			int error = auth_star(item, json_next(reader));
			if (error)
				return error;
		}
	}
	return 0;
}

struct span
judge_device_id(const struct json_reader *reader, enum json_token token, char *room)
{
	struct span text = reader->text;
	if (token == JSON_STRING && text.len <= JUDGE_NAME_BYTES_MAX) {
		struct span id = span_of(room, json_string_decode(text, room));
		return judge_name_ok(id) ? id : span_of(NULL, 0);
	}
	if (token != JSON_NUMBER || text.len > 20 || !all_of(text, "0123456789"))
		return span_of(NULL, 0);
	memcpy(room, text.ptr, text.len);
	return span_of(room, text.len);
}

void
judge_named_init(struct judge_named *named)
{
	named->id = named->auth = named->tenant = span_of(NULL, 0);
}

/* The first one counts, as of ids. */
static void
auth_keep(struct judge_named *named, const struct json_reader *reader, enum json_token token)
{
	struct span text = reader->text;
	if (named->auth.ptr || (token != JSON_STRING && token != JSON_NUMBER))
		return;
	named->auth = span_of(named->auth_text,
	    text.len > JUDGE_AUTH_BYTES_MAX ? 0 : json_string_decode(text, named->auth_text));
}

/* What is no tenant's name is kept as an empty one, which none has. */
static void
tenant_keep(struct judge_named *named, const struct json_reader *reader, enum json_token token)
{
	bool fits = token == JSON_STRING && reader->text.len <= JUDGE_TENANT_BYTES_MAX;
	if (!named->tenant.ptr)
		named->tenant = span_of(named->tenant_text,
		    fits ? json_string_decode(reader->text, named->tenant_text) : 0);
}

/* The value of "device" or "gateway", whose first token was read. */
static int
named_take(struct item *item, enum json_token token, struct judge_named *named)
{
	struct json_reader *reader = item->reader;
	if (token != JSON_OBJECT)
		return value_skip(item, token);
	while ((token = json_next(reader)) == JSON_KEY) {
		bool is_id = json_text_eq(reader, SPAN("id"));
		bool is_auth = json_text_eq(reader, SPAN("auth"));
		bool is_tenant = json_text_eq(reader, SPAN("tenant"));
		token = json_next(reader);
		if (is_id && !named->id.ptr)
			named->id = judge_device_id(reader, token, named->id_text);
		if (is_auth)
			auth_keep(named, reader, token);
		if (is_tenant)
			tenant_keep(named, reader, token);
		int error = is_auth ? auth_star(item, token) : value_skip(item, token);
		if (error)
			return error;
	}
	return token == JSON_OBJECT_END ? 0 : -EBADMSG;
}

/* By its digits: as a double 2^53 + 1 cannot be told from 2^53. */
static bool
integer_beyond_double(struct span text, double value)
{
	int64_t whole;
	if (fabs(value) < 9007199254740992.0)
		return false;
	int error = num_parse_i64(text, &whole);
	if (error)
		return error == -ERANGE || all_of(text, "-0123456789");
	return whole > 9007199254740992 || whole < -9007199254740992;
}

static bool
time_parse(const struct judge_run *run, const struct json_reader *reader, enum json_token token,
    int64_t unit_ms, int64_t *ret_ms)
{
	struct span text = reader->text;
	int64_t whole;
	double number;
	if (token == JSON_STRING)
		return datetime_parse(text, run->body->arrival_ms, ret_ms) == 0;
	if (token != JSON_NUMBER)
		return false;
	if (num_parse_i64(text, &whole) == 0)
		return !num_mul_overflows(whole, unit_ms, ret_ms);
	if (num_parse_double(text, &number) || fabs(number) > 1e15)
		return false;
	*ret_ms = (int64_t)floor(number * (double)unit_ms);
	return true;
}

bool
judge_json_number(const struct json_reader *reader, enum json_token token, double *ret_value)
{
	double value = token == JSON_TRUE;
	if (token == JSON_NUMBER && (num_parse_double(reader->text, &value) ||
	    integer_beyond_double(reader->text, value)))
		return false;
	*ret_value = value;
	return token == JSON_NUMBER || token == JSON_TRUE || token == JSON_FALSE;
}

static void
reading_blame(struct reading *reading, uint32_t code, struct span culprit)
{
	if (reading->code)
		return;
	reading->code = code;
	reading->culprit = culprit;
}

/* A member that is neither time nor auth: a metric. */
static int
metric_take(struct item *item, struct reading *reading, struct span name, bool escaped,
    enum json_token token)
{
	double value = 0;
	if (!judge_json_number(item->reader, token, &value)) {
		reading_blame(reading, VERDICT_BAD_VALUE, name);
		if (token != JSON_NUMBER)
			return value_skip(item, token);
	}
	if (escaped) {
		struct buf *scratch = &item->run->judge->scratch;
		if (buf_reserve(scratch, name.len))
			return -ENOMEM;
		char *plain = scratch->ptr + scratch->len;
		name = span_of(plain, json_string_decode(name, plain));
		scratch->len += name.len;
	}
	if (!judge_name_ok(name))
		reading_blame(reading, VERDICT_BAD_NAME, name);
	else if (reading->count == JUDGE_METRICS_MAX)
		reading_blame(reading, VERDICT_BAD_VALUE, name);
	else
		reading->metrics[reading->count++] = (struct metric){name, value};
	return 0;
}

/* After the reading's JSON_OBJECT: its members. */
static int
reading_scan(struct item *item, bool seconds, struct reading *reading)
{
	struct json_reader *reader = item->reader;
	enum json_token token;
	/* Unescaped names lie in scratch, which must not move while they are used. */
	buf_clear(&item->run->judge->scratch);
	if (buf_reserve(&item->run->judge->scratch, (size_t)(reader->end - reader->pos)))
		return -ENOMEM;
	while ((token = json_next(reader)) == JSON_KEY) {
		struct span name = reader->text;
		bool escaped = reader->escaped;
		bool is_time = json_text_eq(reader, SPAN("time"));
		bool is_auth = json_text_eq(reader, SPAN("auth"));
		token = json_next(reader);
		int error;
		if (is_auth) {
			error = auth_star(item, token);
		} else if (is_time) {
			reading->has_time = true;
			uint32_t code = VERDICT_BAD_TIME;
			if (time_parse(item->run, reader, token, seconds ? 1000 : 1,
			    &reading->time_ms))
				code = judge_time(item->run, reading->time_ms);
			if (code)
				reading_blame(reading, code, name);
			error = value_skip(item, token);
		} else {
			error = metric_take(item, reading, name, escaped, token);
		}
		if (error)
			return error;
	}
	return token == JSON_OBJECT_END ? 0 : -EBADMSG;
}

static int
reading_reject(struct item *item, int32_t index, const struct reading *reading)
{
	char text[128];
	if (!reading->culprit.ptr)
		return judge_reject(item->run, index, reading->code, 0, NULL, NULL);
	snprintf(text, sizeof text, "\"%.*s\": %s", (int)MIN(reading->culprit.len, 40u),
	    reading->culprit.ptr, verdict_text(reading->code));
	return judge_reject(item->run, index, reading->code, 0, NULL, text);
}

static int
metric_store(struct item *item, const struct metric *metric, int64_t time_ms)
{
	struct judge_run *run = item->run;
	struct judge *judge = run->judge;
	struct span tenant = run->body->tenant;
	struct series_tag tag = {SPAN("device"), item->device.id};
	int len = series_key_build(judge->key, sizeof judge->key, tenant, metric->name, &tag, 1);
	if (len < 0)
		return -EBADMSG;
	return judge_point_add(run, span_of(judge->key, (size_t)len), item->partition, time_ms,
	    metric->value);
}

/* The readings of a device mostly have the same metrics in the same order: then the series are
 * those of the reading before. */
static int
reading_store(struct item *item, int32_t index, struct reading *reading)
{
	struct judge_run *run = item->run;
	int64_t time_ms = reading->has_time ? reading->time_ms : run->body->arrival_ms;
	if (item->partition == UINT32_MAX)
		item->partition = series_partition_of(run->body->tenant, item->device.id,
		    run->judge->partitions);
	if (!judge_kept(run, item->partition, time_ms)) {
		reading_blame(reading, VERDICT_TOO_OLD, SPAN("time"));
		return reading_reject(item, index, reading);
	}
	for (size_t i = 0; i < reading->count; i++) {
		const struct metric *metric = &reading->metrics[i];
		const struct judge_point *before = judge_point_before(run->judge, reading->count,
		    run->body->tenant, metric->name);
		int error = before ? judge_point_again(run, before, time_ms, metric->value) :
				     metric_store(item, metric, time_ms);
		if (error)
			return error;
	}
	item->accepted++;
	return 0;
}

/* One reading whose first token was read. */
static int
reading_take(struct item *item, enum json_token token, bool seconds)
{
	int32_t index = item->readings++;
	struct reading reading;
	reading.count = 0;
	reading.has_time = false;
	reading.code = 0;
	reading.culprit = span_of(NULL, 0);
	int error;
	if (token == JSON_OBJECT) {
		error = reading_scan(item, seconds, &reading);
	} else {
		reading.code = VERDICT_BAD_ITEM;
		error = value_skip(item, token);
	}
	if (error)
		return error;
	if (judge_skips(item->run, item->run->item, index))
		return 0;
	if (!reading.code && reading.count == 0)
		reading.code = VERDICT_NO_VALUES;
	return reading.code ? reading_reject(item, index, &reading) :
			      reading_store(item, index, &reading);
}

/* The value of "readings" or "reading", whose first token was read; the device is known. */
static int
readings_take(struct item *item, enum json_token token, bool seconds)
{
	if (seconds)
		return reading_take(item, token, true);
	if (token != JSON_ARRAY) {
		item->code = item->code ? item->code : VERDICT_BAD_ITEM;
		return value_skip(item, token);
	}
	while ((token = json_next(item->reader)) != JSON_ARRAY_END) {
		if (wrong_json(token))
			return -EBADMSG;
		int error = reading_take(item, token, false);
		if (error)
			return error;
	}
	return 0;
}

/* Readings before the device: remembered, and passed over for now. */
static int
readings_defer(struct item *item, enum json_token token, bool seconds,
    const struct json_reader *before)
{
	if (item->pending_count == PENDING_MAX) {
		item->code = item->code ? item->code : VERDICT_BAD_ITEM;
	} else {
		item->pending[item->pending_count] = *before;
		/* By then the credentials inside are overwritten. */
		item->pending[item->pending_count].stars = true;
		item->pending_seconds[item->pending_count++] = seconds;
	}
	return value_skip(item, token);
}

static int
member_take(struct item *item)
{
	struct json_reader *reader = item->reader;
	bool device = json_text_eq(reader, SPAN("device"));
	bool gateway = json_text_eq(reader, SPAN("gateway"));
	bool many = json_text_eq(reader, SPAN("readings"));
	bool one = json_text_eq(reader, SPAN("reading"));
	bool auth = json_text_eq(reader, SPAN("auth"));
	struct json_reader before = *reader;
	enum json_token token = json_next(reader);
	if (auth)
		return auth_star(item, token);
	if (device && token != JSON_OBJECT)
		item->code = item->code ? item->code : VERDICT_BAD_DEVICE;
	if (device)
		return named_take(item, token, &item->device);
	item->has_gateway |= gateway;
	if (gateway)
		return named_take(item, token, &item->gateway);
	if (!many && !one)
		return value_skip(item, token);
	if (!item->device.id.ptr)
		return readings_defer(item, token, one, &before);
	return readings_take(item, token, one);
}

static int
pending_take(struct item *item)
{
	struct json_reader *reader = item->reader;
	int error = 0;
	for (unsigned i = 0; i < item->pending_count && !error; i++) {
		item->reader = &item->pending[i];
		error = readings_take(item, json_next(item->reader), item->pending_seconds[i]);
	}
	item->reader = reader;
	return error;
}

static int
item_settle(struct item *item)
{
	struct judge_run *run = item->run;
	if (!item->code) {
		if (run->result)
			run->result->accepted += item->accepted;
		return judge_points_commit(run);
	}
	judge_points_drop(run);
	return judge_reject(run, -1, item->code, 0, NULL,
	    item->code == VERDICT_TOO_MANY_SERIES ? run->judge->why : NULL);
}

static uint32_t
gate_ask(struct item *item)
{
	const struct judge_gate *gate = item->run->body->gate;
	uint32_t code = 0;
	if (gate && item->has_gateway)
		code = gate->gateway(gate->ctx, &item->gateway);
	if (gate && !code)
		code = gate->device(gate->ctx, &item->device, item->accepted);
	return code;
}

/* The members of an item, and what must be true of it when all are known. */
static int
item_scan(struct item *item)
{
	struct json_reader *reader = item->reader;
	enum json_token token;
	int error = 0;
	while (!error && (token = json_next(reader)) == JSON_KEY)
		error = member_take(item);
	if (error)
		return error;
	if (token != JSON_OBJECT_END)
		return -EBADMSG;
	if (item->run->body->format == JOURNAL_FORMAT_NDJSON && json_next(reader) != JSON_END)
		return -EBADMSG;
	if (!item->code && !item->device.id.ptr)
		item->code = VERDICT_BAD_DEVICE;
	if (!item->code)
		error = pending_take(item);
	if (!item->code && item->readings == 0)
		item->code = VERDICT_BAD_ITEM;
	if (!error && !item->code)
		item->code = gate_ask(item);
	if (!error && !item->code)
		error = judge_points_allow(item->run);
	if (error != -EDQUOT)
		return error;
	item->code = VERDICT_TOO_MANY_SERIES;
	return 0;
}

/* An item whose JSON_OBJECT was read. On -EBADMSG the reader says where. */
static int
item_take(struct judge_run *run, struct json_reader *reader)
{
	struct item item;
	item.run = run;
	item.reader = reader;
	judge_named_init(&item.device);
	judge_named_init(&item.gateway);
	item.has_gateway = false;
	item.partition = UINT32_MAX;
	item.code = 0;
	item.readings = 0;
	item.accepted = 0;
	item.pending_count = 0;
	uint32_t rejects = run->result ? run->result->reject_count : 0;
	size_t details = run->result ? run->result->detail_count : 0;
	uint64_t rejected = run->result ? run->result->rejected : 0;
	int error = item_scan(&item);
	if ((error || item.code) && run->result) {
		/* What was said of its readings is taken back: the whole item is out. */
		run->result->reject_count = rejects;
		run->result->detail_count = details;
		run->result->rejected = rejected;
	}
	return error ? error : item_settle(&item);
}

/* One value of a document: an item, or something that is none. */
static int
value_take(void *ctx, struct json_reader *reader, enum json_token token)
{
	struct judge_run *run = ctx;
	int error;
	bool skipped = judge_skips(run, run->item, -1);
	if (skipped || token != JSON_OBJECT) {
		struct item none = {.run = run, .reader = reader};
		error = value_skip(&none, token);
		if (!error && !skipped)
			error = judge_reject(run, -1, VERDICT_BAD_ITEM, 0, NULL, NULL);
	} else {
		error = item_take(run, reader);
	}
	run->item++;
	return error;
}

int
judge_json(struct judge_run *run, char *ret_error, size_t error_size)
{
	struct json_reader reader;
	int error = judge_each_item(&reader, span_of(run->body->bytes, run->body->len),
	    run->result == NULL, value_take, run);
	if (error == -EBADMSG) {
		size_t line, column;
		reader.begin = run->body->bytes;
		json_position(&reader, &line, &column);
		snprintf(ret_error, error_size, "line %zu, column %zu: %s", line, column,
		    reader.reason ? reader.reason : "the document is empty");
	}
	return error;
}

/* A line that was not read to its end may hold a credential that was not found: nothing of it
 * stays. Live only. */
static void
line_star(struct judge_run *run, struct span line)
{
	char *bytes = run->body->bytes;
	memset(bytes + (line.ptr - bytes), '*', line.len);
}

static int
line_refuse(struct judge_run *run, struct span line, const struct json_reader *reader)
{
	size_t at, column;
	judge_points_drop(run);
	json_position(reader, &at, &column);
	line_star(run, line);
	return judge_reject(run, -1, VERDICT_BAD_JSON, (uint32_t)column, NULL, reader->reason);
}

/* A value that is no item; the whole line must still be one. */
static int
line_skip(struct judge_run *run, struct json_reader *reader, enum json_token token)
{
	struct item none = {.run = run, .reader = reader};
	int error = value_skip(&none, token);
	if (!error && json_next(reader) != JSON_END)
		error = -EBADMSG;
	const char *text = run->body->format == JOURNAL_FORMAT_MESSAGES ?
	    "a message must be {\"topic\":…,\"time\":…,\"data\":…}" : NULL;
	return error ? error : judge_reject(run, -1, VERDICT_BAD_ITEM, 0, NULL, text);
}

bool
judge_json_blank(struct span line)
{
	return all_of(line, " \t\r");
}

static int
line_take(struct judge_run *run, struct span line)
{
	if (judge_json_blank(line) || judge_skips(run, run->item, -1))
		return 0;
	if (line.len > LP_LINE_BYTES_MAX) {
		if (run->result)
			line_star(run, line);
		return judge_reject(run, -1, VERDICT_TOO_LONG, 0, NULL, NULL);
	}
	struct json_reader reader;
	json_reader_init(&reader, line, run->result == NULL);
	enum json_token token = json_next(&reader);
	int error;
	if (token != JSON_OBJECT)
		error = line_skip(run, &reader, token);
	else if (run->body->format == JOURNAL_FORMAT_MESSAGES)
		error = judge_message_take(run, &reader);
	else
		error = item_take(run, &reader);
	return error == -EBADMSG && run->result ? line_refuse(run, line, &reader) : error;
}

int
judge_ndjson(struct judge_run *run)
{
	const char *at = run->body->bytes, *end = at + run->body->len;
	for (; at < end; run->item++) {
		int error = line_take(run, judge_take_line(&at, end));
		if (error)
			return error;
	}
	return 0;
}

int
judge_first_gateway(struct span bytes, struct judge_named *ret_gateway)
{
	struct judge_run run = {.result = NULL}; /* so that nothing is overwritten */
	struct json_reader reader;
	struct item item;
	int error = 0;
	item.run = &run;
	item.reader = &reader;
	item.code = 0;
	json_reader_init(&reader, bytes, false);
	enum json_token token = json_next(&reader);
	if (token == JSON_ARRAY)
		token = json_next(&reader);
	if (token != JSON_OBJECT)
		return wrong_json(token) ? 0 : -ENOENT;
	while (!error && (token = json_next(&reader)) == JSON_KEY) {
		bool found = json_text_eq(&reader, SPAN("gateway"));
		token = json_next(&reader);
		judge_named_init(ret_gateway);
		error = found ? named_take(&item, token, ret_gateway) : value_skip(&item, token);
		if (!error && found)
			return 1;
	}
	return !error && token == JSON_OBJECT_END ? -ENOENT : 0;
}

/* ── for other documents ── */

static struct item *
item_for(struct item *item, struct judge_run *run, struct json_reader *reader, uint32_t code)
{
	item->run = run;
	item->reader = reader;
	item->code = code;
	return item;
}

int
judge_json_skip(struct judge_run *run, struct json_reader *reader, enum json_token token,
    uint32_t *code)
{
	struct item item;
	int error = value_skip(item_for(&item, run, reader, *code), token);
	*code = item.code;
	return error;
}

int
judge_json_auth(struct judge_run *run, struct json_reader *reader, enum json_token token,
    uint32_t *code)
{
	struct item item;
	int error = auth_star(item_for(&item, run, reader, *code), token);
	*code = item.code;
	return error;
}

int
judge_json_named(struct judge_run *run, struct json_reader *reader, enum json_token token,
    uint32_t *code, struct judge_named *named)
{
	struct item item;
	int error = named_take(item_for(&item, run, reader, *code), token, named);
	*code = item.code;
	return error;
}

bool
judge_json_time(const struct judge_run *run, const struct json_reader *reader,
    enum json_token token, int64_t *ret_ms)
{
	return time_parse(run, reader, token, 1, ret_ms);
}

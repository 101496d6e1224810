/*
 * query_run.c: a question's rows as JSON or CSV, on a query worker.
 */
#include "query_run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "json.h"
#include "num.h"

struct writer {
	const struct question *question;
	struct stream *stream;
	struct buf *sheet;       /* not NULL: what is made goes here, not to the stream */
	struct buf out;          /* what is not rows; these are written where they are sent from */
	bool any_series, any_row;
	size_t columns;
	unsigned damaged;
	struct series_damage damage; /* the first */
	struct buf columns_text; /* JSON: from the tags to the rows */
	/* The time before: the next is mostly equal but for its last digits. */
	int64_t time_high;
	size_t time_len;
	char time_text[NUM_TEXT_BYTES_MAX];
	/* CSV: the union of all tag names, ascending; the series' own values in that order. */
	struct series_tag names[SERIES_TAGS_MAX];
	size_t name_count;
	struct buf prefix;       /* "temp,123," of the series under way */
};

/* What a row's text takes at most, but for CSV's prefix. */
static size_t
row_bytes_max(const struct writer *writer)
{
	return (writer->columns + 2) * (NUM_TEXT_BYTES_MAX + 3);
}

static int
writer_write(struct writer *writer, struct span bytes)
{
	return writer->sheet ? buf_append_span(writer->sheet, bytes) :
			       stream_write(writer->stream, bytes);
}

/* Room for `bytes`; writer_advance says how many of them were written. */
static int
writer_reserve(struct writer *writer, size_t bytes, char **ret_at)
{
	if (!writer->sheet)
		return stream_reserve(writer->stream, bytes, ret_at);
	int error = buf_reserve(writer->sheet, bytes);
	if (error == 0)
		*ret_at = writer->sheet->ptr + writer->sheet->len;
	return error;
}

static void
writer_advance(struct writer *writer, size_t bytes)
{
	if (writer->sheet)
		writer->sheet->len += bytes;
	else
		stream_advance(writer->stream, bytes);
}

/* `out` joins what was written. */
static int
writer_flush(struct writer *writer)
{
	if (!buf_ok(&writer->out))
		return -ENOMEM;
	int error = writer_write(writer, buf_span(&writer->out));
	buf_clear(&writer->out);
	return error;
}

/* A time into `text`, which has room for NUM_TEXT_BYTES_MAX: its length. */
static inline size_t
write_time(struct writer *writer, char *text, int64_t time_ms)
{
	if (time_ms < 0)
		return num_format_i64(text, time_ms);
	int64_t high = time_ms / NUM_EIGHT_DIGITS;
	if (high != writer->time_high || high == 0) {
		if (high == 0)
			return num_format_i64(text, time_ms);
		writer->time_high = high;
		writer->time_len = num_format_i64(writer->time_text, high);
	}
	memcpy(text, writer->time_text, 16);
	num_format_eight(text + writer->time_len, (uint32_t)(time_ms % NUM_EIGHT_DIGITS));
	return writer->time_len + 8;
}

static void
writer_damage(void *ctx, const struct series_damage *damage)
{
	struct writer *writer = ctx;
	if (writer->damaged++ == 0)
		writer->damage = *damage;
}

static void
damage_text(const struct writer *writer, struct buf *out)
{
	buf_printf(out, "%u damaged chunk%s left out, the first in %s at byte %llu: %s",
	    writer->damaged, writer->damaged == 1 ? " was" : "s were", writer->damage.file,
	    (unsigned long long)writer->damage.offset, writer->damage.reason);
}

/* ── JSON ── */

static int
json_series_begin(void *ctx, struct span key)
{
	struct writer *writer = ctx;
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t count = SERIES_TAGS_MAX;
	if (!series_key_split(key, &tenant, &metric, tags, &count))
		return -EIO;
	buf_append_str(&writer->out, writer->any_series ? ",{\"metric\":" : "{\"metric\":");
	writer->any_series = true;
	writer->any_row = false;
	json_write_string(&writer->out, metric);
	buf_append_str(&writer->out, ",\"tags\":");
	api_tags_write(&writer->out, tags, count);
	buf_append_span(&writer->out, buf_span(&writer->columns_text));
	return writer_flush(writer);
}

static void
json_columns(struct writer *writer)
{
	const struct series_query *query = &writer->question->query;
	struct buf *out = &writer->columns_text;
	if (query->agg_count) {
		buf_append_str(out, ",\"columns\":[\"time\"");
		for (size_t i = 0; i < query->agg_count; i++)
			buf_printf(out, ",\"%s\"", query_agg_words[query->aggs[i]]);
		buf_append_byte(out, ']');
	}
	buf_append_str(out, ",\"points\":[");
}

/* A value's text; what is not finite is a string. */
static inline size_t
json_value(char *text, double value)
{
	if (isfinite(value))
		return num_format_double(text, value);
	size_t len = num_format_double(text + 1, value);
	text[0] = text[1 + len] = '"';
	return len + 2;
}

/* One row into `text`, which has room for it: its length. */
static inline size_t
json_row(struct writer *writer, char *text, int64_t time_ms, const double *values, bool empty)
{
	char *at = text;
	*at = ',';
	at += writer->any_row;
	writer->any_row = true;
	*at++ = '[';
	at += write_time(writer, at, time_ms);
	for (size_t k = 0; k < writer->columns; k++) {
		*at++ = ',';
		if (empty) {
			memcpy(at, "null", 4);
			at += 4;
		} else {
			at += json_value(at, values[k]);
		}
	}
	*at++ = ']';
	return (size_t)(at - text);
}

static int
json_rows(void *ctx, const struct series_rows *rows)
{
	struct writer *writer = ctx;
	size_t row_max = row_bytes_max(writer), done = 0;
	while (done < rows->count) {
		size_t count = MIN(rows->count - done, STREAM_RESERVE_MAX / row_max);
		char *text;
		int error = writer_reserve(writer, count * row_max, &text);
		if (error)
			return error;
		size_t len = 0;
		for (; count > 0; count--, done++)
			len += json_row(writer, text + len, rows->times_ms[done],
			    &rows->values[done * writer->columns],
			    rows->empty && rows->empty[done]);
		writer_advance(writer, len);
	}
	return 0;
}

static int
json_series_end(void *ctx)
{
	struct writer *writer = ctx;
	return buf_append_str(&writer->out, "]}");
}

static void
writer_init(struct writer *writer, const struct question *question, struct stream *stream)
{
	*writer = (struct writer){.question = question, .stream = stream};
	writer->columns = question->query.agg_count ? question->query.agg_count : 1;
	buf_init(&writer->out, 0);
	buf_init(&writer->columns_text, 0);
	buf_init(&writer->prefix, 0);
}

static void
writer_finish(struct writer *writer)
{
	buf_finish(&writer->out);
	buf_finish(&writer->columns_text);
	buf_finish(&writer->prefix);
}

/* ── CSV ── */

/* RFC 4180: quoted when it must be. */
static void
csv_write(struct buf *out, struct span text)
{
	bool plain = true;
	for (size_t i = 0; i < text.len; i++)
		if (strchr(",\"\r\n", text.ptr[i]) && text.ptr[i])
			plain = false;
	if (plain) {
		buf_append_span(out, text);
		return;
	}
	buf_append_byte(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"')
			buf_append_byte(out, '"');
		buf_append_byte(out, text.ptr[i]);
	}
	buf_append_byte(out, '"');
}

static const struct series_tag *
tag_find(const struct series_tag *tags, size_t count, struct span name)
{
	for (size_t i = 0; i < count; i++)
		if (span_eq(tags[i].name, name))
			return &tags[i];
	return NULL;
}

/* First pass: which tags there are. Names lie in the snapshots' keys. */
static int
names_series_begin(void *ctx, struct span key)
{
	struct writer *writer = ctx;
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t count = SERIES_TAGS_MAX;
	if (!series_key_split(key, &tenant, &metric, tags, &count))
		return -EIO;
	for (size_t i = 0; i < count; i++) {
		size_t at = writer->name_count;
		if (tag_find(writer->names, at, tags[i].name))
			continue;
		if (at == SERIES_TAGS_MAX)
			return -E2BIG;
		while (at > 0 && span_cmp(tags[i].name, writer->names[at - 1].name) < 0) {
			writer->names[at] = writer->names[at - 1];
			at--;
		}
		writer->names[at].name = tags[i].name;
		writer->name_count++;
	}
	return 0;
}

static void
csv_head(struct writer *writer)
{
	const struct series_query *query = &writer->question->query;
	buf_append_str(&writer->out, "metric");
	for (size_t i = 0; i < writer->name_count; i++) {
		buf_append_byte(&writer->out, ',');
		csv_write(&writer->out, writer->names[i].name);
	}
	buf_append_str(&writer->out, ",time");
	if (!query->agg_count)
		buf_append_str(&writer->out, ",value");
	for (size_t i = 0; i < query->agg_count; i++)
		buf_printf(&writer->out, ",%s", query_agg_words[query->aggs[i]]);
	buf_append_byte(&writer->out, '\n');
}

static int
csv_series_begin(void *ctx, struct span key)
{
	struct writer *writer = ctx;
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t count = SERIES_TAGS_MAX;
	if (!series_key_split(key, &tenant, &metric, tags, &count))
		return -EIO;
	buf_clear(&writer->prefix);
	csv_write(&writer->prefix, metric);
	for (size_t i = 0; i < writer->name_count; i++) {
		const struct series_tag *tag = tag_find(tags, count, writer->names[i].name);
		buf_append_byte(&writer->prefix, ',');
		if (tag)
			csv_write(&writer->prefix, tag->value);
	}
	return buf_append_byte(&writer->prefix, ',');
}

/* What follows the prefix. */
static size_t
csv_row(struct writer *writer, char *text, int64_t time_ms, const double *values, bool empty)
{
	char *at = text + write_time(writer, text, time_ms);
	for (size_t k = 0; k < writer->columns; k++) {
		*at++ = ',';
		if (!empty)
			at += num_format_double(at, values[k]);
	}
	*at++ = '\n';
	return (size_t)(at - text);
}

static int
csv_rows(void *ctx, const struct series_rows *rows)
{
	struct writer *writer = ctx;
	for (size_t i = 0; i < rows->count; i++) {
		char *text;
		int error = writer_write(writer, buf_span(&writer->prefix));
		if (!error)
			error = writer_reserve(writer, row_bytes_max(writer), &text);
		if (error)
			return error;
		writer_advance(writer, csv_row(writer, text, rows->times_ms[i],
		    &rows->values[i * writer->columns], rows->empty && rows->empty[i]));
	}
	return 0;
}

static int
csv_series_end(void *ctx)
{
	(void)ctx;
	return 0;
}

/* ── both ── */

static const struct series_query_sink json_sink = {
	.series_begin = json_series_begin,
	.rows = json_rows,
	.series_end = json_series_end,
	.damage = writer_damage,
};

static const struct series_query_sink csv_sink = {
	.series_begin = csv_series_begin,
	.rows = csv_rows,
	.series_end = csv_series_end,
	.damage = writer_damage,
};

static const struct series_query_sink *
writer_sink(const struct writer *writer)
{
	return writer->question->csv ? &csv_sink : &json_sink;
}

/* What all series need. */
static int
writer_prepare(struct writer *writer)
{
	const struct question *question = writer->question;
	int error = 0;
	if (!question->csv)
		json_columns(writer);
	for (size_t i = 0; i < question->snapshot_count && question->csv && !error; i++)
		error = series_snapshot_keys(question->snapshots[i], names_series_begin, writer);
	return error;
}

/* A piece's text, which begins without a comma. */
static int
piece_make(struct writer *writer, struct series_reading *reading, struct piece *piece)
{
	bool any = writer->any_series;
	writer->any_series = false;
	writer->sheet = &piece->text;
	int error = series_reading_run(reading, piece->from, piece->to);
	if (error == 0)
		error = writer_flush(writer);
	buf_clear(&writer->out);
	writer->sheet = NULL;
	writer->any_series = any;
	return error;
}

static int
piece_send(struct writer *writer, const struct piece *piece)
{
	int error = 0;
	if (piece->text.len == 0)
		return 0;
	if (writer->any_series && !writer->question->csv)
		error = stream_write(writer->stream, SPAN(","));
	writer->any_series = true;
	return error ? error : stream_write(writer->stream, buf_span(&piece->text));
}

static int
writer_run_pieces(struct writer *writer, struct series_reading *reading)
{
	struct pieces *pieces = writer->question->pieces;
	struct piece *piece = NULL;
	enum pieces_step step;
	int error = writer_flush(writer);
	while (error == 0 && (step = pieces_next(pieces, &piece)) != PIECES_END) {
		if (step == PIECES_AHEAD) {
			error = piece_make(writer, reading, piece);
			pieces_put(pieces, piece, error == 0);
			if (error == -EMSGSIZE)
				error = 0;
			continue;
		}
		if (step == PIECES_SEND)
			error = piece_send(writer, piece);
		else
			error = series_reading_run(reading, piece->from, piece->to);
		if (error == 0)
			error = writer_flush(writer);
		pieces_sent(pieces);
	}
	pieces_end(pieces);
	return error;
}

static int
writer_run(struct writer *writer)
{
	const struct question *question = writer->question;
	const struct series_query_sink *sink = writer_sink(writer);
	if (!question->pieces)
		return series_query_run(&question->query, question->snapshots,
		    question->snapshot_count, sink, writer);
	struct series_reading *reading;
	int error = series_reading_create(&question->query, question->snapshots,
	    question->snapshot_count, sink, writer, &reading);
	if (error)
		return error;
	error = writer_run_pieces(writer, reading);
	series_reading_destroy(reading);
	return error;
}

/* What cannot be made ahead the one who sends makes, and tells of what is wrong with it. */
void
query_run_help(void *ctx)
{
	struct question *question = ctx;
	struct series_reading *reading = NULL;
	struct writer writer;
	writer_init(&writer, question, NULL);
	int error = writer_prepare(&writer);
	if (error == 0)
		error = series_reading_create(&question->query, question->snapshots,
		    question->snapshot_count, writer_sink(&writer), &writer, &reading);
	struct piece *piece;
	while (error == 0 && !writer.damaged && !stream_others_wait(question->stream) &&
	    (piece = pieces_help(question->pieces))) {
		error = piece_make(&writer, reading, piece);
		pieces_put(question->pieces, piece, error == 0 && !writer.damaged);
	}
	series_reading_destroy(reading);
	writer_finish(&writer);
}

int
query_run_json(void *ctx, struct stream *stream)
{
	struct writer writer;
	writer_init(&writer, ctx, stream);
	buf_append_str(&writer.out, "{\"series\":[");
	int error = writer_prepare(&writer);
	if (!error)
		error = writer_run(&writer);
	buf_append_byte(&writer.out, ']');
	if (writer.damaged) {
		buf_append_str(&writer.out, ",\"warnings\":[\"");
		damage_text(&writer, &writer.out);
		buf_append_str(&writer.out, "\"]");
	}
	buf_append_byte(&writer.out, '}');
	if (!error)
		error = writer_flush(&writer);
	writer_finish(&writer);
	return error;
}

int
query_run_csv(void *ctx, struct stream *stream)
{
	struct writer writer;
	writer_init(&writer, ctx, stream);
	int error = writer_prepare(&writer);
	if (!error) {
		csv_head(&writer);
		error = writer_flush(&writer);
	}
	if (!error)
		error = writer_run(&writer);
	if (writer.damaged) {
		buf_append_str(&writer.out, "# ");
		damage_text(&writer, &writer.out);
		buf_append_byte(&writer.out, '\n');
	}
	if (!error)
		error = writer_flush(&writer);
	writer_finish(&writer);
	return error;
}

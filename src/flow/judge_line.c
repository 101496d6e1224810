/*
 * judge_line.c: line protocol to points: one line is one item, each numeric field one point of the
 * metric "measurement.field". Strings stay in the raw message.
 */
#include <errno.h>

#include "judge_priv.h"

/* Builds the key of "measurement.field" with the line's tags and adds the point. */
static int
field_add(struct judge_run *run, const struct lp_line *line, const struct lp_field *field,
    struct series_tag *tags, uint32_t *partition, int64_t time_ms)
{
	struct judge *judge = run->judge;
	struct buf *name = &judge->scratch;
	size_t keep = name->len;
	int error = buf_append_span(name, line->measurement);
	if (!error)
		error = buf_append_byte(name, '.');
	if (!error)
		error = buf_append_span(name, field->name);
	if (error)
		return error;
	struct span metric = span_of(name->ptr + keep, name->len - keep);
	int len = series_key_build(judge->key, sizeof judge->key, run->body->tenant, metric, tags,
	    line->tag_count);
	name->len = keep;
	if (len < 0)
		return len;
	struct span key = span_of(judge->key, (size_t)len);
	if (*partition == UINT32_MAX) {
		struct span place = key;
		for (size_t i = 0; i < line->tag_count; i++)
			if (span_eq(tags[i].name, SPAN("device")))
				place = tags[i].value;
		uint32_t where = series_partition_of(run->body->tenant, place, judge->partitions);
		if (place.ptr == key.ptr)
			return judge_point_add(run, key, where, time_ms, field->number);
		*partition = where;
	}
	return judge_point_add(run, key, *partition, time_ms, field->number);
}

static int
line_time(const struct judge_run *run, const struct lp_line *line, int64_t *ret_ms)
{
	if (!line->has_time) {
		*ret_ms = run->body->arrival_ms;
		return 0;
	}
	if (!lp_time_ms(line->time, run->body->precision, ret_ms) || !judge_time_ok(*ret_ms))
		return -ERANGE;
	return 0;
}

/* The line is syntactically good: its meaning. */
static int
line_judge(struct judge_run *run, struct lp_line *line)
{
	int64_t time_ms;
	if (line_time(run, line, &time_ms))
		return judge_reject(run, -1, VERDICT_BAD_TIME, 0, "bad_timestamp",
		    "the timestamp lies outside the years 1 to 9999; is the precision right?");
	struct series_tag tags[LP_TAGS_MAX];
	for (size_t i = 0; i < line->tag_count; i++)
		tags[i] = (struct series_tag){line->tags[i].name, line->tags[i].value};
	uint32_t partition = UINT32_MAX;
	for (size_t i = 0; i < line->field_count; i++) {
		const struct lp_field *field = &line->fields[i];
		if (field->type == LP_STRING)
			continue;
		int error = 0;
		if (field->inexact)
			return judge_reject(run, -1, VERDICT_BAD_VALUE, field->column, NULL,
			    "the integer lies beyond 2^53, a double cannot hold it exactly");
		error = field_add(run, line, field, tags, &partition, time_ms);
		if (error == -E2BIG || error == -EINVAL)
			return judge_reject(run, -1, VERDICT_BAD_NAME, field->column, NULL,
			    "the measurement, field and tags together are too long");
		if (error)
			return error;
	}
	int error = judge_points_commit(run);
	if (!error && run->result)
		run->result->accepted++;
	return error;
}

static int
line_take(struct judge_run *run, struct span text)
{
	struct judge *judge = run->judge;
	if (judge_skips(run, run->item, -1))
		return 0;
	if (text.len > LP_LINE_BYTES_MAX)
		return judge_reject(run, -1, VERDICT_TOO_LONG, 0, NULL, NULL);
	buf_clear(&judge->scratch);
	/* Its first text.len bytes hold unescaped names, what is built goes behind them: room for
	 * both now, because it must not move once names lie in it. */
	int error = buf_reserve(&judge->scratch, 2 * text.len + 2);
	if (error)
		return error;
	struct lp_error bad;
	error = lp_parse_line(text, judge->scratch.ptr, &judge->line, &bad);
	if (error == LP_BLANK)
		return 0;
	if (error)
		return judge_reject(run, -1, VERDICT_BAD_LINE, bad.column, bad.code, bad.text);
	judge->scratch.len = text.len;
	judge_points_drop(run);
	return line_judge(run, &judge->line);
}

int
judge_lines(struct judge_run *run)
{
	return judge_each_line(run, line_take);
}

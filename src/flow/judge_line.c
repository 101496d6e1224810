/*
 * judge_line.c: line protocol to points: one line is one item, each numeric field one point of the
 * metric "measurement.field". Strings stay in the raw message.
 *
 * A line whose names were seen before and whose values are short numbers is taken as it is read,
 * with the keys that the cache has; any other is parsed. Both give the same points.
 */
#include <errno.h>

#include "judge_priv.h"
#include "lineproto_quick.h"

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

/* 0 or the verdict on it. */
static uint32_t
line_time(const struct judge_run *run, const struct lp_line *line, int64_t *ret_ms)
{
	if (!line->has_time) {
		*ret_ms = run->body->arrival_ms;
		return 0;
	}
	if (!lp_time_ms(line->time, run->body->precision, ret_ms))
		return VERDICT_BAD_TIME;
	return judge_time(run, *ret_ms);
}

/* Keeps what the line's names came to, whose points wait to be committed. Not when line_quick would
 * not read it: strings, escapes, blanks before the line or between its parts. */
static void
line_keep(struct judge_run *run, struct span text, const struct lp_line *line)
{
	struct judge *judge = run->judge;
	struct line_offer offers[LINE_CACHE_FIELDS_MAX];
	struct span head = line_cache_head(text);
	const struct lp_field *first = &line->fields[0];
	if (!head.ptr || line->series.ptr != head.ptr || judge->point_count != line->field_count ||
	    line->field_count > LINE_CACHE_FIELDS_MAX || memchr(text.ptr, '\\', text.len) ||
	    first->name.ptr != head.ptr + line->series.len + 1 ||
	    first->name.ptr + first->name.len + 1 != head.ptr + head.len)
		return;
	for (size_t i = 0; i < line->field_count; i++) {
		const struct judge_point *point = &judge->points[i];
		offers[i] = (struct line_offer){
			.name = line->fields[i].name,
			.key = span_of(judge->keys.ptr + point->key_off, point->key_len),
			.key_hash = point->hash,
			.partition = point->partition,
		};
	}
	line_cache_offer(judge->lines, line_cache_hash(judge->line_seed, head), run->body->tenant,
	    head, offers, line->field_count);
}

/* The line is syntactically good: its meaning. */
static int
line_judge(struct judge_run *run, struct span text, struct lp_line *line)
{
	int64_t time_ms;
	uint32_t code = line_time(run, line, &time_ms);
	if (code == VERDICT_BAD_TIME)
		return judge_reject(run, -1, code, 0, "bad_timestamp",
		    "the timestamp lies outside the years 1 to 9999; is the precision right?");
	if (code)
		return judge_reject(run, -1, code, 0, NULL, NULL);
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
	int error = judge_points_kept(run) ? judge_points_allow(run) : -EDOM;
	if (error == -EDOM || error == -EDQUOT) {
		judge_points_drop(run);
		return error == -EDOM ? judge_reject(run, -1, VERDICT_TOO_OLD, 0, NULL, NULL) :
		    judge_reject(run, -1, VERDICT_TOO_MANY_SERIES, 0, NULL, run->judge->why);
	}
	if (error)
		return error;
	line_keep(run, text, line);
	error = judge_points_commit(run);
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
	return line_judge(run, text, &judge->line);
}

/* ── lines whose names are known ── */

/* The values at *at, each behind its name, that of the first already taken; *at is then behind
 * them. How many, 0: not such as this. */
static size_t
quick_values(const struct line_shape *shape, const char **at, const char *end,
    double values[LINE_CACHE_FIELDS_MAX])
{
	const char *p = *at, *names = line_shape_bytes(shape);
	size_t count = 0;
	for (;;) {
		if (!lp_quick_number(&p, end, &values[count++]))
			return 0;
		if (p == end || *p != ',')
			break;
		const struct line_field *next = &shape->fields[count];
		if (count == shape->field_count || (size_t)(end - ++p) < next->name_len ||
		    memcmp(p, names + next->name_off, next->name_len) != 0)
			return 0;
		p += next->name_len;
	}
	*at = p;
	return count;
}

/* What follows the values, to the line's end. */
static bool
quick_end(const struct judge_run *run, const char **at, const char *end, int64_t *ret_ms)
{
	const char *p = *at;
	int64_t time;
	*ret_ms = run->body->arrival_ms;
	if (p < end && *p == ' ') {
		p++;
		if (!lp_quick_time(&p, end, &time) ||
		    !lp_time_ms(time, run->body->precision, ret_ms) || judge_time(run, *ret_ms))
			return false;
	}
	p += p < end && *p == '\r';
	if (p < end && *p++ != '\n')
		return false;
	*at = p;
	return true;
}

static bool
quick_kept(const struct judge_run *run, const struct line_shape *shape, size_t count,
    int64_t time_ms)
{
	bool kept = true;
	for (size_t i = 0; i < count; i++)
		kept &= judge_kept(run, shape->fields[i].partition, time_ms);
	return kept;
}

/* 1: the line at *at was taken, *at is behind it. 0: it was not. -ENOMEM. */
static int
line_quick(struct judge_run *run, const char **at, const char *end)
{
	struct judge *judge = run->judge;
	struct span tenant = run->body->tenant;
	struct span head = line_cache_head(span_of(*at, (size_t)(end - *at)));
	if (!head.ptr)
		return 0;
	struct line_shape *shape = line_cache_find(judge->lines,
	    line_cache_hash(judge->line_seed, head), tenant, head);
	const char *p = *at + head.len;
	double values[LINE_CACHE_FIELDS_MAX];
	int64_t time_ms;
	size_t count = shape ? quick_values(shape, &p, end, values) : 0;
	if (count == 0 || !quick_end(run, &p, end, &time_ms) ||
	    !quick_kept(run, shape, count, time_ms))
		return 0;
	for (size_t i = 0; i < count; i++) {
		struct line_field *field = &shape->fields[i];
		struct span key = span_of(line_shape_bytes(shape) + field->key_off, field->key_len);
		int error = 0;
		/* Its series was there when the cache learned it, and a series stays. */
		if (field->run != judge->run)
			error = judge_series_take(run, field->partition, field->key_hash, key,
			    &field->series);
		field->run = judge->run;
		if (!error)
			error = series_batch_add_point(run->batch, field->series, time_ms,
			    values[i]);
		if (error)
			return error;
	}
	if (run->result)
		run->result->accepted++;
	*at = p;
	return 1;
}

int
judge_lines(struct judge_run *run)
{
	const char *at = run->body->bytes, *end = at + run->body->len;
	run->judge->line_seed = line_cache_seed(run->body->tenant);
	for (; at < end; run->item++) {
		int taken = judge_skips(run, run->item, -1) ? 0 : line_quick(run, &at, end);
		if (taken == 0)
			taken = line_take(run, judge_take_line(&at, end));
		if (taken < 0)
			return taken;
	}
	return 0;
}

/*
 * events.c: strings of line protocol. Lines are parsed as the judge parsed them; those it rejected
 * are in the record's list.
 */
#include "events.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "flow.h"
#include "judge_priv.h"
#include "lineproto.h"

struct reading {
	const struct journal_record *record;
	const struct events_filter *filter;
	struct buf *scratch;             /* the parser's room, then the metric */
	size_t room;
	int (*each)(void *ctx, const struct event *event);
	void *ctx;
	struct lp_line line;
	struct series_tag tags[LP_TAGS_MAX];
	uint32_t item, reject;
};

/* Whether line `item` was rejected; asked in ascending order. */
static bool
is_rejected(struct reading *reading)
{
	const struct journal_record *record = reading->record;
	while (reading->reject < record->reject_count &&
	    record->rejects[reading->reject].item < reading->item)
		reading->reject++;
	return reading->reject < record->reject_count &&
	    record->rejects[reading->reject].item == reading->item;
}

/* Whether the line's device may be seen, and was not erased. */
static bool
is_seen(const struct reading *reading)
{
	const struct lp_line *line = &reading->line;
	const struct events_filter *filter = reading->filter;
	for (size_t i = 0; i < line->tag_count; i++) {
		if (!span_eq(line->tags[i].name, SPAN("device")))
			continue;
		struct span device = line->tags[i].value;
		return (!filter->scope || flow_scope_has(filter->scope, device)) &&
		    !tombs_hide_record(filter->tombs, reading->record->tenant, device,
			reading->record->seq);
	}
	return !filter->scope;
}

static bool
has_tags(const struct reading *reading)
{
	const struct events_filter *filter = reading->filter;
	for (size_t i = 0; i < filter->tag_count; i++) {
		bool found = false;
		for (size_t k = 0; k < reading->line.tag_count && !found; k++)
			found = span_eq(reading->line.tags[k].name, filter->tags[i].name) &&
			    span_eq(reading->line.tags[k].value, filter->tags[i].value);
		if (!found)
			return false;
	}
	return true;
}

static int
field_give(struct reading *reading, const struct lp_field *field, int64_t time_ms)
{
	const struct lp_line *line = &reading->line;
	struct buf *scratch = reading->scratch;
	scratch->len = reading->room;
	buf_append_span(scratch, line->measurement);
	buf_append_byte(scratch, '.');
	if (buf_append_span(scratch, field->name))
		return -ENOMEM;
	struct event event = {
		.time_ms = time_ms,
		.metric = span_of(scratch->ptr + reading->room, scratch->len - reading->room),
		.tags = reading->tags,
		.tag_count = line->tag_count,
		.text = field->string,
	};
	const struct span wanted = reading->filter->metric;
	if (wanted.ptr && !span_eq(wanted, event.metric))
		return 0;
	return reading->each(reading->ctx, &event);
}

static int
line_give(struct reading *reading)
{
	const struct lp_line *line = &reading->line;
	int64_t time_ms = reading->record->arrival_ms;
	int error = 0;
	if (line->has_time &&
	    !lp_time_ms(line->time, (enum lp_precision)reading->record->hints, &time_ms))
		return 0;
	if (time_ms < reading->filter->from_ms || time_ms >= reading->filter->to_ms ||
	    !is_seen(reading) || !has_tags(reading))
		return 0;
	for (size_t i = 0; i < line->tag_count; i++)
		reading->tags[i] = (struct series_tag){line->tags[i].name, line->tags[i].value};
	for (size_t i = 0; i < line->field_count && !error; i++) {
		if (line->fields[i].type == LP_STRING)
			error = field_give(reading, &line->fields[i], time_ms);
	}
	return error;
}

static int
lines_give(struct reading *reading)
{
	struct span body = reading->record->body;
	const char *at = body.ptr, *end = at + body.len;
	struct lp_error bad;
	int error = 0;
	while (at < end) {
		size_t len = judge_take_line(&at, end).len;
		reading->room = MAX(reading->room, len);
	}
	buf_clear(reading->scratch);
	/* The metric is made of the line's own bytes, so there is room for it, too. */
	if (buf_reserve(reading->scratch, 2 * reading->room + 2))
		return -ENOMEM;
	for (at = body.ptr; !error && at < end; reading->item++) {
		struct span line = judge_take_line(&at, end);
		/* A string has quotes: most lines have none. */
		if (!memchr(line.ptr, '"', line.len) || is_rejected(reading) ||
		    lp_parse_line(line, reading->scratch->ptr, &reading->line, &bad))
			continue;
		error = line_give(reading);
	}
	return error;
}

int
events_each(const struct journal_record *record, const struct events_filter *filter,
    struct buf *scratch, int (*each)(void *ctx, const struct event *event), void *ctx)
{
	if (record->stream != JOURNAL_REPORTS || record->format != JOURNAL_FORMAT_LINE ||
	    !memchr(record->body.ptr, '"', record->body.len))
		return 0;
	struct reading *reading = malloc(sizeof *reading);
	if (!reading)
		return -ENOMEM;
	*reading = (struct reading){.record = record, .filter = filter, .scratch = scratch,
	    .each = each, .ctx = ctx};
	int error = lines_give(reading);
	free(reading);
	return error;
}

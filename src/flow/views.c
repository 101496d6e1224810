/*
 * views.c: released points as messages on `readings/DEVICE/METRIC`, made only while somebody
 * wants them.
 *
 * A record took one seq for itself and one for each of its points: the message of the n-th point,
 * counted partition by partition, has seq + 1 + n. So a replay makes the same messages.
 */
#include <errno.h>

#include "flow_priv.h"
#include "json.h"

struct view {
	struct span tenant, metric, device;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t tag_count;
};

static bool
view_split(struct span key, struct view *view)
{
	view->tag_count = SERIES_TAGS_MAX;
	if (!series_key_split(key, &view->tenant, &view->metric, view->tags, &view->tag_count))
		return false;
	view->device = span_of(NULL, 0);
	for (size_t i = 0; i < view->tag_count; i++)
		if (span_eq(view->tags[i].name, SPAN("device")))
			view->device = view->tags[i].value;
	return true;
}

static void
view_name(const struct view *view, struct buf *out)
{
	buf_append_span(out, SPAN("readings/"));
	hub_level_encode(out, view->device);
	buf_append_byte(out, '/');
	hub_level_encode(out, view->metric);
}

static void
view_data(const struct view *view, const struct series_point *point, struct buf *out)
{
	buf_append_span(out, SPAN("{\"metric\":"));
	json_write_string(out, view->metric);
	buf_append_span(out, SPAN(",\"device\":"));
	if (view->device.ptr)
		json_write_string(out, view->device);
	else
		buf_append_span(out, SPAN("null"));
	buf_append_span(out, SPAN(",\"tags\":{"));
	for (size_t i = 0; i < view->tag_count; i++) {
		if (i)
			buf_append_byte(out, ',');
		json_write_string(out, view->tags[i].name);
		buf_append_byte(out, ':');
		json_write_string(out, view->tags[i].value);
	}
	buf_append_span(out, SPAN("},\"time\":"));
	buf_append_i64(out, point->time_ms);
	buf_append_span(out, SPAN(",\"value\":"));
	json_write_double(out, point->value);
	buf_append_byte(out, '}');
}

/* A name longer than a channel's may be has no view. */
static int
view_add(struct flow *flow, struct release *release, const struct series_point *point,
    struct span key, uint64_t seq, struct buf *text)
{
	struct view view;
	struct hub_message *message;
	if (!view_split(key, &view))
		return 0;
	buf_clear(text);
	view_name(&view, text);
	size_t name_len = text->len;
	if (name_len > HUB_NAME_BYTES_MAX)
		return 0;
	uint64_t loops = hub_wanted(flow->hub, view.tenant, buf_span(text));
	if (!loops)
		return 0;
	view_data(&view, point, text);
	if (!buf_ok(text))
		return -ENOMEM;
	int error = hub_message_create(seq, loop_now_ms(flow->loops[0]->loop), view.tenant,
	    span_of(text->ptr, name_len), span_skip(buf_span(text), name_len), &message);
	if (error)
		return error;
	error = release_add_message(release, message, loops);
	hub_message_unref(message);
	return error;
}

int
views_add(struct flow *flow, struct release *release, const struct journal_record *record)
{
	const struct series_batch *batch = record->parsed;
	if (!hub_wants_any(flow->hub, record->tenant, SPAN("readings")))
		return 0;
	struct buf text;
	buf_init(&text, 0);
	uint64_t seq = record->seq + 1;
	int error = 0;
	for (uint32_t p = 0; p < flow->options.partitions && !error; p++) {
		size_t count;
		const struct series_point *points = series_batch_points(batch, p, &count);
		for (size_t i = 0; i < count && !error; i++)
			error = view_add(flow, release, &points[i],
			    series_batch_key(batch, &points[i]), seq++, &text);
	}
	buf_finish(&text);
	return error;
}

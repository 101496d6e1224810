/*
 * views.c: released points as messages on `readings/DEVICE/METRIC`, and what gateways report on
 * `gateways/ID/TOPIC`, made only while somebody wants them.
 *
 * A record took one seq for itself, one for each of its points, and one for each message of a
 * gateway: the message of the n-th point, counted partition by partition, has seq + 1 + n, those of
 * the gateway follow in their order. So a replay makes the same messages.
 */
#include <errno.h>

#include "check.h"
#include "flow_priv.h"
#include "json.h"
#include "judge_priv.h"

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

/* Adds a message whose name (so many bytes) and data stand in `text`. */
static int
view_send(struct flow *flow, struct release *release, struct span tenant, uint64_t seq,
    uint64_t loops, const struct buf *text, size_t name_len)
{
	struct hub_message *message;
	if (!buf_ok(text))
		return -ENOMEM;
	int error = hub_message_create(seq, loop_now_ms(flow->loops[0]->loop), tenant,
	    span_of(text->ptr, name_len), span_skip(buf_span(text), name_len), &message);
	if (error)
		return error;
	error = release_add_message(release, message, loops);
	hub_message_unref(message);
	return error;
}

/* A name longer than a channel's may be has no view. */
static int
view_add(struct flow *flow, struct release *release, const struct series_point *point,
    struct span key, uint64_t seq, struct buf *text)
{
	struct view view;
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
	return view_send(flow, release, view.tenant, seq, loops, text, name_len);
}

static int
points_add(struct flow *flow, struct release *release, const struct journal_record *record,
    struct buf *text)
{
	const struct series_batch *batch = record->parsed;
	uint64_t seq = record->seq + 1;
	int error = 0;
	for (uint32_t p = 0; p < flow->options.partitions && !error; p++) {
		size_t count;
		const struct series_point *points = series_batch_points(batch, p, &count);
		for (size_t i = 0; i < count && !error; i++)
			error = view_add(flow, release, &points[i],
			    series_batch_key(batch, &points[i]), seq++, text);
	}
	return error;
}

/* ── messages of gateways ── */

struct messages {
	struct flow *flow;
	struct release *release;
	const struct journal_record *record;
	struct span gateway;
	uint64_t seq;
	struct buf *text;
};

static int
message_add(void *ctx, const struct judge_message *message)
{
	struct messages *messages = ctx;
	struct span tenant = messages->record->tenant;
	struct buf *text = messages->text;
	uint64_t seq = messages->seq++;
	buf_clear(text);
	buf_append_str(text, "gateways/");
	buf_append_span(text, messages->gateway);
	buf_append_byte(text, '/');
	hub_level_encode(text, message->topic);
	size_t name_len = text->len;
	uint64_t loops = hub_wanted(messages->flow->hub, tenant, buf_span(text));
	if (!loops)
		return 0;
	buf_append_str(text, "{\"gateway\":");
	buf_append_span(text, messages->gateway);
	buf_append_str(text, ",\"topic\":");
	json_write_string(text, message->topic);
	buf_append_str(text, ",\"time\":");
	buf_append_i64(text, message->time_ms);
	buf_append_str(text, ",\"data\":");
	int error = judge_message_write(text, message->data);
	buf_append_byte(text, '}');
	return error ? error : view_send(messages->flow, messages->release, tenant, seq, loops,
	    text, name_len);
}

static int
messages_add(struct flow *flow, struct release *release, const struct journal_record *record,
    struct buf *text)
{
	struct messages messages = {
		.flow = flow,
		.release = release,
		.record = record,
		.gateway = judge_gateway_of(record->principal),
		.seq = record->seq + 1 + series_batch_count(record->parsed),
		.text = text,
	};
	int error = judge_message_each(record, message_add, &messages);
	check(error != -EBADMSG); /* it was judged by the same code */
	return error;
}

bool
views_match(struct span pattern)
{
	static const char *const trees[] = {"readings", "alerts", "gateways"};
	const char *slash = pattern.len ? memchr(pattern.ptr, '/', pattern.len) : NULL;
	struct span first = span_of(pattern.ptr, slash ? (size_t)(slash - pattern.ptr) :
	    pattern.len);
	if (span_eq(first, SPAN("#")) || (slash && span_eq(first, SPAN("+"))))
		return true;
	for (size_t i = 0; slash && i < ARRAY_COUNT(trees); i++) {
		if (span_eq(first, span_str(trees[i])))
			return true;
	}
	return false;
}

int
views_add(struct flow *flow, struct release *release, const struct journal_record *record)
{
	int error = 0;
	struct buf text;
	buf_init(&text, 0);
	if (hub_wants_any(flow->hub, record->tenant, SPAN("readings")))
		error = points_add(flow, release, record, &text);
	if (!error && record->format == JOURNAL_FORMAT_MESSAGES &&
	    hub_wants_any(flow->hub, record->tenant, SPAN("gateways")))
		error = messages_add(flow, release, record, &text);
	buf_finish(&text);
	return error;
}

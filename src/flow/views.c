/*
 * views.c: released points as messages on `readings/DEVICE/METRIC`, and what gateways report on
 * `gateways/ID/TOPIC`, made only while somebody wants them: as they come, or out of the journal.
 *
 * A record took one seq for itself, one for each of its points, and one for each message of a
 * gateway: the message of the n-th point, counted partition by partition, has seq + 1 + n, those of
 * the gateway follow in their order, and their time is its arrival. So whoever makes them again
 * makes the same messages.
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

/* ── who takes them ── */

struct making {
	const struct views_taker *taker;
	struct span tenant;
	uint64_t seq;
	struct buf *text; /* the name, then the data */
};

/* Hands over the message in `text`, whose name has so many bytes. */
static int
view_give(const struct making *making, size_t name_len)
{
	const struct buf *text = making->text;
	if (!buf_ok(text))
		return -ENOMEM;
	return making->taker->give(making->taker->ctx, making->seq,
	    span_of(text->ptr, name_len), span_skip(buf_span(text), name_len));
}

/* A name longer than a channel's may be has no view. */
static int
view_make(const struct making *making, const struct series_point *point, struct span key)
{
	const struct views_taker *taker = making->taker;
	struct buf *text = making->text;
	struct view view;
	if (!view_split(key, &view))
		return 0;
	buf_clear(text);
	view_name(&view, text);
	size_t name_len = text->len;
	if (name_len > HUB_NAME_BYTES_MAX ||
	    !taker->wants(taker->ctx, making->seq, view.device, buf_span(text)))
		return 0;
	view_data(&view, point, text);
	return view_give(making, name_len);
}

int
views_of_points(const struct journal_record *record, const struct series_batch *batch,
    uint32_t partitions, const struct views_taker *taker, struct buf *text)
{
	struct making making = {taker, record->tenant, record->seq, text};
	int error = 0;
	for (uint32_t p = 0; p < partitions && !error; p++) {
		size_t count;
		const struct series_point *points = series_batch_points(batch, p, &count);
		for (size_t i = 0; i < count && !error; i++) {
			making.seq++;
			error = view_make(&making, &points[i],
			    series_batch_key(batch, &points[i]));
		}
	}
	return error;
}

/* ── messages of gateways ── */

struct messages {
	struct making making;
	struct span gateway;
};

static int
message_make(void *ctx, const struct judge_message *message)
{
	struct messages *messages = ctx;
	struct making *making = &messages->making;
	struct buf *text = making->text;
	making->seq++;
	buf_clear(text);
	buf_append_str(text, "gateways/");
	buf_append_span(text, messages->gateway);
	buf_append_byte(text, '/');
	hub_level_encode(text, message->topic);
	size_t name_len = text->len;
	if (!making->taker->wants(making->taker->ctx, making->seq, span_of(NULL, 0),
	    buf_span(text)))
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
	return error ? error : view_give(making, name_len);
}

int
views_of_messages(const struct journal_record *record, const struct series_batch *batch,
    const struct views_taker *taker, struct buf *text)
{
	struct messages messages = {
		.making = {taker, record->tenant, record->seq + series_batch_count(batch), text},
		.gateway = judge_gateway_of(record->principal),
	};
	return record->format == JOURNAL_FORMAT_MESSAGES ?
	    judge_message_each(record, message_make, &messages) : 0;
}

/* ── as they come ── */

bool
views_only(struct span pattern)
{
	static const char *const trees[] = {"readings", "alerts", "gateways"};
	const char *slash = pattern.len ? memchr(pattern.ptr, '/', pattern.len) : NULL;
	for (size_t i = 0; slash && i < ARRAY_COUNT(trees); i++) {
		if (span_eq(span_of(pattern.ptr, (size_t)(slash - pattern.ptr)),
		    span_str(trees[i])))
			return true;
	}
	return false;
}

bool
views_match(struct span pattern)
{
	return views_only(pattern) || span_eq(pattern, SPAN("#")) ||
	    span_starts(pattern, SPAN("+/"));
}

struct coming {
	struct flow *flow;
	struct release *release;
	const struct journal_record *record;
	uint64_t loops; /* that want the message in hand */
};

static bool
coming_wants(void *ctx, uint64_t seq, struct span device, struct span name)
{
	struct coming *coming = ctx;
	(void)seq, (void)device;
	coming->loops = hub_wanted(coming->flow->hub, coming->record->tenant, name);
	return coming->loops != 0;
}

static int
coming_give(void *ctx, uint64_t seq, struct span name, struct span data)
{
	const struct coming *coming = ctx;
	struct hub_message *message;
	int error = hub_message_create(seq, coming->record->arrival_ms, coming->record->tenant,
	    name, data, &message);
	if (error)
		return error;
	error = release_add_message(coming->release, message, coming->loops);
	hub_message_unref(message);
	return error;
}

int
views_add(struct flow *flow, struct release *release, const struct journal_record *record)
{
	struct coming coming = {.flow = flow, .release = release, .record = record};
	const struct views_taker taker = {coming_wants, coming_give, &coming};
	int error = 0;
	struct buf text;
	buf_init(&text, 0);
	if (hub_wants_any(flow->hub, record->tenant, SPAN("readings")))
		error = views_of_points(record, record->parsed, flow->options.partitions, &taker,
		    &text);
	if (!error && hub_wants_any(flow->hub, record->tenant, SPAN("gateways")))
		error = views_of_messages(record, record->parsed, &taker, &text);
	check(error != -EBADMSG); /* it was judged by the same code */
	buf_finish(&text);
	return error;
}

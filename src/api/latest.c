/*
 * latest.c: GET /api/v1/latest: the newest point of each series, from memory.
 *
 * The owners of partitions append to one buffer, one after the other (flow_latest); the request
 * may be gone when it comes back.
 */
#include <errno.h>
#include <stdlib.h>

#include "api_priv.h"
#include "check.h"
#include "json.h"
#include "sight.h"

struct listing {
	struct session_request *request; /* NULL: gone */
	struct api_selector selector;
	struct flow_latest latest;
	struct buf out;
	bool any;
};

static int
listing_each(void *ctx, const struct series_latest *latest)
{
	struct listing *listing = ctx;
	struct buf *out = &listing->out;
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t count = SERIES_TAGS_MAX;
	if (!series_key_split(latest->key, &tenant, &metric, tags, &count))
		return -EIO;
	buf_append_str(out, listing->any ? ",{\"metric\":" : "{\"metric\":");
	listing->any = true;
	json_write_string(out, metric);
	buf_append_str(out, ",\"tags\":");
	api_tags_write(out, tags, count);
	buf_append_str(out, ",\"time\":");
	buf_append_i64(out, latest->last_ms);
	buf_append_str(out, ",\"value\":");
	json_write_double(out, latest->last_value);
	return buf_append_byte(out, '}');
}

static void
listing_done(struct flow_latest *latest, int error)
{
	struct listing *listing = CONTAINER_OF(latest, struct listing, latest);
	struct session_request *request = listing->request;
	buf_append_str(&listing->out, "]}");
	if (request) {
		session_set_state(request, NULL);
		if (error)
			api_no_memory(request);
		else
			api_answer_buf(request, 200, "application/json", &listing->out);
	}
	buf_finish(&listing->out);
	api_selector_finish(&listing->selector);
	free(listing);
}

static void
latest_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"metric", "token", NULL};
	struct api_loop *al = session_app(request);
	(void)whole;
	if (!sight_check(request))
		return;
	struct listing *listing = calloc(1, sizeof *listing);
	if (!listing) {
		api_no_memory(request);
		return;
	}
	if (!api_selector_parse(request, known, false, &listing->selector)) {
		free(listing);
		return;
	}
	listing->request = request;
	buf_init(&listing->out, 0);
	buf_append_str(&listing->out, "{\"series\":[");
	listing->latest.selector = listing->selector.selector;
	listing->latest.each = listing_each;
	listing->latest.ctx = listing;
	listing->latest.done = listing_done;
	session_set_state(request, listing);
	flow_latest(al->flow, &listing->latest);
}

static void
listing_gone(struct session_request *request, bool broken)
{
	struct listing *listing = session_state(request);
	(void)broken;
	if (listing)
		listing->request = NULL;
}

static const struct session_route_ops latest_ops = {.end = latest_end, .gone = listing_gone};

static const struct session_doc latest_doc = {
	.query = {
		{"metric?", "string", "Only of this metric."},
		{"TAG?", "Tags", "Every other parameter, or tag.NAME, is a tag with its value."},
	},
	.answers = {{200, "LatestList", "One point a series."}, SIGHT_DOC},
};

const struct session_route api_latest_routes[] = {
	{
		.path = "/api/v1/latest",
		.methods = SESSION_GET,
		.rights = ACCESS_READ,
		.ops = &latest_ops,
		.summary = "The newest point of each series",
		.doc = &latest_doc,
	},
	{.path = NULL},
};

/*
 * series_list.c: GET /api/v1/series: which series there are, a page at a time.
 *
 * Ascending by key over all partitions. A page is gathered by keeping the smallest limit + 1 keys
 * behind the cursor; the cursor is the last key of the page before, in base64.
 */
#include <errno.h>
#include <stdlib.h>

#include "api_priv.h"
#include "base64.h"
#include "check.h"
#include "json.h"
#include "sight.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX 1000

struct entry {
	int64_t first_ms, last_ms;
	struct span key; /* behind the struct */
};

struct page {
	struct session_request *request; /* NULL: gone */
	struct api_selector selector;
	struct flow_latest latest;
	struct buf after;                /* the cursor's key */
	uint64_t limit;
	size_t count;
	struct entry *entries[PAGE_MAX + 1]; /* ascending */
};

static void
page_destroy(struct page *page)
{
	for (size_t i = 0; i < page->count; i++)
		free(page->entries[i]);
	buf_finish(&page->after);
	api_selector_finish(&page->selector);
	free(page);
}

static struct entry *
entry_create(const struct series_latest *latest)
{
	struct entry *entry = malloc(sizeof *entry + latest->key.len);
	if (!entry)
		return NULL;
	memcpy(entry + 1, latest->key.ptr, latest->key.len);
	entry->key = span_of((const char *)(entry + 1), latest->key.len);
	entry->first_ms = latest->first_ms;
	entry->last_ms = latest->last_ms;
	return entry;
}

/* Where the key belongs among the entries. */
static size_t
entry_place(const struct page *page, struct span key)
{
	size_t low = 0, high = page->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (span_cmp(page->entries[middle]->key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int
page_each(void *ctx, const struct series_latest *latest)
{
	struct page *page = ctx;
	if (page->after.len && span_cmp(latest->key, buf_span(&page->after)) <= 0)
		return 0;
	size_t at = entry_place(page, latest->key);
	if (at > page->limit)
		return 0;
	struct entry *entry = entry_create(latest);
	if (!entry)
		return -ENOMEM;
	if (page->count > page->limit)
		free(page->entries[--page->count]);
	memmove(&page->entries[at + 1], &page->entries[at],
	    (page->count - at) * sizeof page->entries[0]);
	page->entries[at] = entry;
	page->count++;
	return 0;
}

static void
entry_write(struct buf *out, const struct entry *entry)
{
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t count = SERIES_TAGS_MAX;
	check(series_key_split(entry->key, &tenant, &metric, tags, &count));
	buf_append_str(out, "{\"metric\":");
	json_write_string(out, metric);
	buf_append_str(out, ",\"tags\":");
	api_tags_write(out, tags, count);
	buf_append_str(out, ",\"first\":");
	buf_append_i64(out, entry->first_ms);
	buf_append_str(out, ",\"last\":");
	buf_append_i64(out, entry->last_ms);
	buf_append_byte(out, '}');
}

static void
cursor_write(struct buf *out, struct span key)
{
	if (buf_reserve(out, (key.len + 2) / 3 * 4 + 2))
		return;
	out->ptr[out->len++] = '"';
	out->len += base64_encode(key, true, out->ptr + out->len);
	out->ptr[out->len++] = '"';
}

static void
page_answer(const struct page *page)
{
	struct buf out;
	size_t count = MIN(page->count, page->limit);
	buf_init(&out, 0);
	buf_append_str(&out, "{\"items\":[");
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_append_byte(&out, ',');
		entry_write(&out, page->entries[i]);
	}
	buf_append_str(&out, "],\"next\":");
	if (page->count > count)
		cursor_write(&out, page->entries[count - 1]->key);
	else
		buf_append_str(&out, "null");
	buf_append_byte(&out, '}');
	api_answer_buf(page->request, 200, "application/json", &out);
}

static void
page_done(struct flow_latest *latest, int error)
{
	struct page *page = CONTAINER_OF(latest, struct page, latest);
	if (page->request) {
		session_set_state(page->request, NULL);
		if (error)
			api_no_memory(page->request);
		else
			page_answer(page);
	}
	page_destroy(page);
}

/* The cursor is a key, or it is forged: 400. */
static bool
cursor_parse(struct session_request *request, struct page *page)
{
	struct span text = session_query(request, "cursor");
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t count = SERIES_TAGS_MAX;
	if (!text.ptr)
		return true;
	if (buf_reserve(&page->after, text.len + 4)) {
		api_no_memory(request);
		return false;
	}
	ssize_t len = base64_decode(text, true, page->after.ptr);
	page->after.len = len > 0 ? (size_t)len : 0;
	if (len > 0 && series_key_split(buf_span(&page->after), &tenant, &metric, tags, &count))
		return true;
	session_problem(request, 400, NULL, "cursor is none that this server gave");
	return false;
}

static void
series_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"metric", "limit", "cursor", "token", NULL};
	struct api_loop *al = session_app(request);
	(void)whole;
	if (!sight_check(request))
		return;
	struct page *page = calloc(1, sizeof *page);
	if (!page) {
		api_no_memory(request);
		return;
	}
	buf_init(&page->after, 0);
	page->limit = PAGE_DEFAULT;
	if (!api_query_number(request, "limit", 1, PAGE_MAX, &page->limit) ||
	    !cursor_parse(request, page) ||
	    !api_selector_parse(request, known, false, &page->selector)) {
		buf_finish(&page->after);
		free(page);
		return;
	}
	page->request = request;
	page->latest.selector = page->selector.selector;
	page->latest.each = page_each;
	page->latest.ctx = page;
	page->latest.done = page_done;
	session_set_state(request, page);
	flow_latest(al->flow, &page->latest);
}

static void
series_gone(struct session_request *request, bool broken)
{
	struct page *page = session_state(request);
	(void)broken;
	if (page)
		page->request = NULL;
}

static const struct session_route_ops series_ops = {.end = series_end, .gone = series_gone};

static const struct session_doc series_doc = {
	.query = {
		{"metric?", "string", "Only of this metric."},
		{"limit?", "integer", "How many, from 1 to 1000; by default 100."},
		{"cursor?", "string", "The next of the page before."},
		{"TAG?", "Tags", "Every other parameter, or tag.NAME, is a tag with its value."},
	},
	.answers = {{200, "SeriesPage", "A page of series, ascending."}, SIGHT_DOC},
};

const struct session_route api_series_routes[] = {
	{
		.path = "/api/v1/series",
		.methods = SESSION_GET,
		.rights = ACCESS_READ,
		.ops = &series_ops,
		.summary = "Which series there are",
		.doc = &series_doc,
	},
	{.path = NULL},
};

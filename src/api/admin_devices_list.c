/*
 * admin_devices_list.c: GET /api/v1/admin/devices: Qold's bare list; with limit, cursor or q pages
 * of it. A person who sees his own devices only gets a list of those.
 *
 * A cursor is the last id, and in a search, which goes by names, "LENGTH:ID" and the name.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin_devices.h"
#include "check.h"
#include "num.h"

struct list_call {
	struct admin_call call;
	bool paged, more;
	bool lines;             /* NDJSON, as an import takes it */
	struct store *store;
	uint64_t limit, count;  /* UINT64_MAX: all */
	size_t seen;            /* of the store's page */
	struct span prefix;     /* of names; empty: any */
	struct span last_id, last_name;
};

static bool
name_begins(struct span name, struct span prefix)
{
	return name.len >= prefix.len && span_eq_nocase(span_of(name.ptr, prefix.len), prefix);
}

static int
user_each(void *ctx, const struct store_user *user)
{
	return json_write_string(ctx, user->name);
}

/* What an import of lines takes besides. */
static int
line_end_write(struct list_call *lc, const struct store_device *device)
{
	struct buf *out = &lc->call.out;
	uint64_t limited = admin_call_limited(&lc->call);
	bool any = false;
	int error = 0;

	if (device->gateway)
		buf_printf(out, ",\"gateway\":%llu", (unsigned long long)device->gateway);
	buf_append_str(out, ",\"users\":[");
	for (size_t i = 0; error == 0 && i < device->user_count; i++) {
		if (limited && device->users[i] != limited)
			continue;
		if (any)
			buf_append_byte(out, ',');
		any = true;
		error = store_user_find_id(lc->store, device->users[i], user_each, out);
	}
	buf_append_str(out, "]}\n");
	return error;
}

static int
list_each(void *ctx, const struct store_device *device)
{
	struct list_call *lc = ctx;
	struct buf *out = &lc->call.out;

	lc->seen++;
	if (!name_begins(device->name, lc->prefix)) {
		lc->last_id = admin_call_keep(&lc->call, device->id);
		return 0;
	}
	if (lc->count == lc->limit) {
		lc->more = true;
		return 1;
	}
	if (lc->count++ && !lc->lines)
		buf_append_byte(out, ',');
	admin_devices_head_write(out, device);
	if (lc->paged || lc->lines) {
		admin_devices_text_write(out, ",\"name\":", device->name);
		admin_devices_text_write(out, ",\"group\":", device->group);
		admin_devices_text_write(out, ",\"place\":", device->place);
	}
	lc->last_id = admin_call_keep(&lc->call, device->id);
	if (lc->prefix.len && !admin_call_limited(&lc->call))
		lc->last_name = admin_call_keep(&lc->call, device->name);
	return lc->lines ? line_end_write(lc, device) : buf_append_byte(out, '}');
}

/* The store's next page. */
static int
list_fetch(struct list_call *lc, struct store *store)
{
	struct admin_call *call = &lc->call;
	uint64_t limited = admin_call_limited(call);
	struct store_page page = {.limit = STORE_LIST_MAX, .after_id = lc->last_id,
	    .after_name = lc->last_name};

	if (limited)
		return store_devices_of_user(store, call->tenant, limited, &page, list_each, lc);
	if (lc->prefix.len)
		return store_devices_search(store, call->tenant, lc->prefix, &page, list_each, lc);
	if (lc->limit < STORE_LIST_MAX)
		page.limit = (unsigned)lc->limit + 1;
	return store_devices_list(store, call->tenant, &page, list_each, lc);
}

static void
cursor_write(struct list_call *lc)
{
	struct buf *out = &lc->call.out;
	struct buf text;

	if (!lc->more) {
		buf_append_str(out, "null");
		return;
	}
	buf_init(&text, 0);
	if (lc->last_name.len)
		buf_printf(&text, "%zu:", lc->last_id.len);
	buf_append_span(&text, lc->last_id);
	buf_append_span(&text, lc->last_name);
	lc->call.no_memory |= !buf_ok(&text);
	json_write_string(out, buf_span(&text));
	buf_finish(&text);
}

static int
list_apply(struct admin_call *call, struct store_tx *tx)
{
	struct list_call *lc = (struct list_call *)call;
	int error;

	lc->store = store_tx_store(tx);
	if (!lc->lines)
		buf_append_str(&call->out, lc->paged ? "{\"items\":[" : "[");
	do {
		lc->seen = 0;
		error = list_fetch(lc, lc->store);
	} while (error == 0 && lc->seen == STORE_LIST_MAX);
	if (lc->lines)
		return MIN(error, 0);
	buf_append_byte(&call->out, ']');
	if (lc->paged) {
		buf_append_str(&call->out, ",\"next\":");
		cursor_write(lc);
		buf_append_byte(&call->out, '}');
	}
	return MIN(error, 0);
}

/* ── from the request ── */

static int
cursor_read(struct list_call *lc, struct span cursor)
{
	const char *colon;
	uint64_t len;

	cursor = admin_call_keep(&lc->call, cursor);
	if (!lc->prefix.len || admin_call_limited(&lc->call)) {
		lc->last_id = cursor;
		return 0;
	}
	if (!cursor.len)
		return 0;
	colon = memchr(cursor.ptr, ':', cursor.len);
	if (colon && num_parse_u64(span_of(cursor.ptr, (size_t)(colon - cursor.ptr)), &len) == 0 &&
	    len > 0 && len < (size_t)(cursor.ptr + cursor.len - colon)) {
		lc->last_id = span_of(colon + 1, (size_t)len);
		lc->last_name = span_skip(cursor, (size_t)(colon + 1 - cursor.ptr) + (size_t)len);
		return 0;
	}
	return admin_call_refuse(&lc->call, 400, NULL, "cursor is none of this list");
}

static void
list_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = list_apply,
	    .what = ACCESS_A_TENANT, .verb = ACCESS_SEE, .own = true};
	struct list_call *lc = admin_call_create(request, sizeof *lc, &ops);
	struct span cursor = session_query(request, "cursor");
	struct span limit = session_query(request, "limit");
	struct span format = session_query(request, "format");
	int error;

	(void)whole;
	if (!lc)
		return;
	lc->prefix = admin_call_keep(&lc->call, session_query(request, "q"));
	lc->paged = cursor.ptr || limit.ptr || session_query(request, "q").ptr;
	lc->lines = format.ptr != NULL;
	lc->paged &= !lc->lines;
	lc->limit = lc->paged ? 100 : UINT64_MAX;
	lc->call.content_type = lc->lines ? "application/x-ndjson" : NULL;
	if (lc->lines && (!span_eq(format, SPAN("ndjson")) || cursor.ptr || limit.ptr)) {
		admin_call_run(&lc->call, admin_call_refuse(&lc->call, 400, NULL,
		    "format is ndjson: all devices, a line each, without limit and cursor"));
		return;
	}
	error = admin_call_number(&lc->call, "limit", 1, STORE_LIST_MAX, &lc->limit);
	if (error == 0)
		error = cursor_read(lc, cursor);
	admin_call_run(&lc->call, error);
}

static const struct session_route_ops list_ops = {.end = list_end, .gone = admin_call_gone};

static const struct session_doc list_doc = {
	.help = "Without limit, cursor and q all devices, as a list. Persons of permission user "
	    "get their own.",
	.query = {
		{"q?", "string", "How the name begins; ASCII letters of either case."},
		{"limit?", "integer", "At most so many; 100 when it is left out, at most 1,000."},
		{"cursor?", "string", "next of the page before."},
		{"format?", "'ndjson'", "All devices, a line each, as an import takes them."},
	},
	.answers = {
		{200, "[DeviceShort]|{items: [DeviceNamed], next: string|null}",
		    "Devices in order of their ids; of a search by name."},
		{200, "application/x-ndjson DeviceImport", ""},
		{500, "", "The store failed."},
	},
};

const struct session_route api_admin_devices_list_routes[] = {
	{
		.path = "/api/v1/admin/devices", .methods = SESSION_GET, .rights = ACCESS_READ,
		.ops = &list_ops, .summary = "All devices", .doc = &list_doc,
	},
	{.path = NULL},
};

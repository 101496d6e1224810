/*
 * admin_venues.c: /api/v1/venues: places, what stands where in them, and who may see them.
 */
#include <errno.h>
#include <stdio.h>

#include "admin_doc.h"
#include "admin_things.h"
#include "check.h"
#include "num.h"
#include "registry.h"

#define ITEMS_MAX 4096

struct venue_call {
	struct admin_call call;
	struct store *store;
	struct store_venue venue;       /* all of it in the call's memory */
	struct admin_object body;
	uint64_t cursor, limit, count, last;
	uint64_t users[STORE_USERS_MAX];
};

/* ── documents ── */

static int
user_each(void *ctx, const struct store_user *user)
{
	return json_write_string(ctx, user->name);
}

/* A limited person does not learn that others exist. */
static int
users_write(const struct venue_call *vc, const struct store_venue *venue, struct buf *out)
{
	uint64_t limited = admin_call_limited(&vc->call);
	bool any = false;
	int error = 0;

	buf_append_byte(out, '[');
	for (size_t i = 0; error == 0 && i < venue->user_count; i++) {
		if (limited && venue->users[i] != limited)
			continue;
		if (any)
			buf_append_byte(out, ',');
		any = true;
		error = store_user_find_id(vc->store, venue->users[i], user_each, out);
	}
	buf_append_byte(out, ']');
	return error;
}

static int
venue_write(const struct venue_call *vc, const struct store_venue *venue, struct buf *out)
{
	int error;

	buf_printf(out, "{\"id\":%llu,\"name\":", (unsigned long long)venue->id);
	json_write_string(out, venue->name);
	buf_append_str(out, ",\"items\":");
	buf_append_span(out, venue->items.len ? venue->items : SPAN("[]"));
	if (venue->has_plan)
		buf_append_str(out, ",\"plan\":true");
	buf_append_str(out, ",\"users\":");
	error = users_write(vc, venue, out);
	buf_append_byte(out, '}');
	return error;
}

/* The venue in the call's memory. */
static int
venue_document(struct venue_call *vc, struct span *ret_document)
{
	struct buf out;
	int error;

	buf_init(&out, 0);
	error = venue_write(vc, &vc->venue, &out);
	vc->call.no_memory |= !buf_ok(&out);
	*ret_document = admin_call_keep(&vc->call, buf_span(&out));
	buf_finish(&out);
	return error;
}

/* ── what stands where ── */

static int
item_refuse(struct venue_call *vc, size_t index, const char *reason)
{
	char pointer[32];

	snprintf(pointer, sizeof pointer, "/items/%zu", index);
	return admin_call_refuse(&vc->call, 422, pointer, "%s", reason);
}

/* One member of an item: the word of its name in `out`, its value as it stands. NULL or what is
 * wrong. The document was checked before. */
static const char *
item_member(struct json_reader *reader, struct buf *out, unsigned *seen)
{
	static const char *const names[] = {"device", "x", "y", "rotation"};
	enum json_token token;
	unsigned i = 0;

	while (i < ARRAY_COUNT(names) && !json_text_eq(reader, span_str(names[i])))
		i++;
	if (i == ARRAY_COUNT(names))
		return "an item has device, x, y, and may have rotation; nothing else";
	if (*seen & 1u << i)
		return "a member is there twice";
	buf_printf(out, "%s\"%s\":", *seen ? "," : "{", names[i]);
	*seen |= 1u << i;
	token = json_next(reader);
	if (token == JSON_NUMBER && reader->text.len <= 32) {
		buf_append_span(out, reader->text);
		return NULL;
	}
	if (i == 0 && token == JSON_STRING && reader->text.len <= STORE_DEVICE_ID_BYTES_MAX &&
	    reader->text.len > 0) {
		buf_append_byte(out, '"');
		buf_append_span(out, reader->text);
		buf_append_byte(out, '"');
		return NULL;
	}
	return i == 0 ? "device must be the id of one" : "x, y and rotation must be numbers";
}

static int
items_write(struct venue_call *vc, struct span raw, struct buf *out)
{
	struct json_reader reader;
	enum json_token token;
	size_t count = 0;

	json_reader_init(&reader, raw, false);
	json_next(&reader);
	buf_append_byte(out, '[');
	while ((token = json_next(&reader)) == JSON_OBJECT) {
		const char *reason = NULL;
		unsigned seen = 0;

		if (count == ITEMS_MAX)
			return item_refuse(vc, count, "these are too many");
		if (count)
			buf_append_byte(out, ',');
		while (!reason && json_next(&reader) == JSON_KEY)
			reason = item_member(&reader, out, &seen);
		if (!reason && (seen & 7u) != 7u)
			reason = "device, x and y are needed";
		if (reason)
			return item_refuse(vc, count, reason);
		buf_append_byte(out, '}');
		count++;
	}
	if (token != JSON_ARRAY_END)
		return item_refuse(vc, count, "an item must be an object");
	buf_append_byte(out, ']');
	return 0;
}

static int
items_take(struct venue_call *vc)
{
	const struct admin_member *member = admin_json_get(&vc->body, "items");
	struct buf out;
	int error;

	if (!member)
		return 0;
	if (member->type != JSON_ARRAY)
		return admin_call_refuse(&vc->call, 422, member->pointer, "it must be a list");
	buf_init(&out, 0);
	error = items_write(vc, member->raw, &out);
	vc->call.no_memory |= !buf_ok(&out);
	vc->venue.items = admin_call_keep(&vc->call, buf_span(&out));
	buf_finish(&out);
	if (error == 0 && vc->venue.items.len > STORE_ITEMS_BYTES_MAX)
		return admin_call_refuse(&vc->call, 422, member->pointer, "it is too long");
	return error;
}

/* ── on the store's thread ── */

static int
venue_each(void *ctx, const struct store_venue *found)
{
	struct venue_call *vc = ctx;
	struct admin_call *call = &vc->call;

	vc->venue = *found;
	vc->venue.tenant = call->tenant;
	vc->venue.name = admin_call_keep(call, found->name);
	vc->venue.items = admin_call_keep(call, found->items);
	memcpy(vc->users, found->users, found->user_count * sizeof vc->users[0]);
	vc->venue.users = vc->users;
	call->version = found->version;
	return call->no_memory ? -ENOMEM : 0;
}

static int
venue_find(struct venue_call *vc, struct store_tx *tx)
{
	int error;

	vc->store = store_tx_store(tx);
	error = store_venue_find(vc->store, vc->call.tenant, vc->venue.id, venue_each, vc);
	if (error == -ENOENT)
		return admin_call_refuse(&vc->call, 404, NULL, "there is no such venue");
	return error;
}

static int
user_found(void *ctx, const struct store_user *user)
{
	struct venue_call *vc = ctx;

	for (size_t i = 0; i < vc->venue.user_count; i++)
		if (vc->users[i] == user->id)
			return 0;
	if (vc->venue.user_count == STORE_USERS_MAX)
		return -EMSGSIZE;
	vc->users[vc->venue.user_count++] = user->id;
	return 0;
}

static int
user_take(struct admin_call *call, struct span name, const char *pointer)
{
	struct venue_call *vc = (struct venue_call *)call;
	int error = store_user_find(vc->store, call->tenant, name, user_found, vc);

	if (error == -ENOENT)
		return admin_call_refuse(call, 422, pointer, "there is no user '%.*s'",
		    (int)MIN(name.len, 64u), name.ptr);
	if (error == -EMSGSIZE)
		return admin_call_refuse(call, 422, pointer, "a venue has at most %d users",
		    STORE_USERS_MAX);
	return error;
}

static int
members_take(struct venue_call *vc)
{
	const struct admin_member *users = admin_json_get(&vc->body, "users");
	int error = admin_json_text(&vc->call, &vc->body, "name", STORE_TEXT_BYTES_MAX,
	    &vc->venue.name);

	if (error == 0)
		error = items_take(vc);
	if (error == 0 && users) {
		vc->venue.users = vc->users;
		vc->venue.user_count = 0;
		error = admin_json_strings(&vc->call, users, user_take);
	}
	if (error == 0 && vc->venue.name.len == 0)
		error = admin_call_refuse(&vc->call, 422, "/name", "a venue has a name");
	return error;
}

static struct span
id_text(struct venue_call *vc)
{
	char text[24];

	return admin_call_keep(&vc->call, span_of(text, num_format_u64(text, vc->venue.id)));
}

static int
add_apply(struct admin_call *call, struct store_tx *tx)
{
	struct venue_call *vc = (struct venue_call *)call;
	struct span after;
	int error;

	vc->store = store_tx_store(tx);
	vc->venue.created_ms = call->now_ms;
	error = members_take(vc);
	if (error == 0)
		error = store_venue_add(tx, &vc->venue, &vc->venue.id, &call->version);
	if (error == 0)
		error = venue_document(vc, &after);
	if (error == 0)
		error = admin_call_audit(call, tx, "venue.add", id_text(vc), SPAN(""), after);
	call->status = 201;
	return error ? error : buf_append_span(&call->out, after);
}

static int
list_each(void *ctx, const struct store_venue *venue)
{
	struct venue_call *vc = ctx;

	if (vc->count++ == vc->limit)
		return 0; /* the one more that tells that there is a next page */
	if (vc->count > 1)
		buf_append_byte(&vc->call.out, ',');
	vc->last = venue->id;
	return venue_write(vc, venue, &vc->call.out);
}

static int
list_apply(struct admin_call *call, struct store_tx *tx)
{
	struct venue_call *vc = (struct venue_call *)call;
	struct store_page page = {.after_number = vc->cursor,
	    .limit = (unsigned)MIN(vc->limit + 1, STORE_LIST_MAX)};
	int error;

	vc->store = store_tx_store(tx);
	buf_append_str(&call->out, "{\"items\":[");
	error = store_venues_list(vc->store, call->tenant, admin_call_limited(call), &page,
	    list_each, vc);
	buf_append_str(&call->out, "],\"next\":");
	/* A full page of STORE_LIST_MAX may be followed by an empty one. */
	if (vc->count == page.limit)
		buf_printf(&call->out, "\"%llu\"}", (unsigned long long)vc->last);
	else
		buf_append_str(&call->out, "null}");
	return error;
}

static int
get_apply(struct admin_call *call, struct store_tx *tx)
{
	struct venue_call *vc = (struct venue_call *)call;
	int error = venue_find(vc, tx);
	struct access_object venue = {
		.what = ACCESS_A_VENUE,
		.tenant = call->tenant,
		.users = vc->users,
		.user_count = vc->venue.user_count,
	};

	if (error == 0)
		error = admin_call_may(call, ACCESS_SEE, &venue);
	return error ? error : venue_write(vc, &vc->venue, &call->out);
}

static int
users_apply(struct admin_call *call, struct store_tx *tx)
{
	struct venue_call *vc = (struct venue_call *)call;
	int error = venue_find(vc, tx);

	buf_append_str(&call->out, "{\"items\":");
	if (error == 0)
		error = users_write(vc, &vc->venue, &call->out);
	buf_append_str(&call->out, ",\"next\":null}");
	return error;
}

static int
put_apply(struct admin_call *call, struct store_tx *tx)
{
	struct venue_call *vc = (struct venue_call *)call;
	struct span before, after;
	int error = venue_find(vc, tx);

	if (error == 0)
		error = admin_call_match(call, call->version);
	if (error == 0)
		error = venue_document(vc, &before);
	if (error == 0)
		error = members_take(vc);
	if (error == 0)
		error = store_venue_put(tx, &vc->venue, &call->version);
	if (error == 0)
		error = venue_document(vc, &after);
	if (error == 0)
		error = admin_call_audit(call, tx, "venue.put", id_text(vc), before, after);
	return error ? error : buf_append_span(&call->out, after);
}

static int
remove_apply(struct admin_call *call, struct store_tx *tx)
{
	struct venue_call *vc = (struct venue_call *)call;
	struct span before;
	uint64_t version;
	int error = venue_find(vc, tx);

	if (error == 0)
		error = admin_call_match(call, call->version);
	if (error == 0)
		error = venue_document(vc, &before);
	if (error == 0)
		error = store_venue_remove(tx, call->tenant, vc->venue.id, &version);
	if (error == 0)
		error = admin_call_audit(call, tx, "venue.remove", id_text(vc), before, SPAN(""));
	call->version = 0;
	call->status = 204;
	return error;
}

/* ── from the request ── */

static struct venue_call *
venue_call_create(struct session_request *request, const struct admin_call_ops *ops)
{
	struct venue_call *vc = admin_call_create(request, sizeof *vc, ops);
	struct span id = session_path_param(request, "id");

	if (!vc)
		return NULL;
	vc->venue.tenant = vc->call.tenant;
	/* What is no number becomes 0, which no venue is. */
	if (id.len == 0 || id.ptr[0] == '0' || num_parse_u64(id, &vc->venue.id) ||
	    vc->venue.id > INT64_MAX)
		vc->venue.id = 0;
	return vc;
}

static int
body_read(struct venue_call *vc, struct span whole, const char *const *known)
{
	int error = admin_json_body(&vc->call, whole, false, &vc->body);

	return error ? error : admin_json_only(&vc->call, &vc->body, known);
}

static const char *const venue_members[] = {"name", "items", "users", NULL};

static void
add_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = add_apply,
	    .what = ACCESS_A_VENUE, .verb = ACCESS_CHANGE};
	struct venue_call *vc = venue_call_create(request, &ops);

	if (vc)
		admin_call_run(&vc->call, body_read(vc, whole, venue_members));
}

static void
list_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = list_apply,
	    .what = ACCESS_A_VENUE, .verb = ACCESS_SEE, .own = true};
	struct venue_call *vc = venue_call_create(request, &ops);
	int error;

	(void)whole;
	if (!vc)
		return;
	vc->limit = 100;
	error = admin_call_number(&vc->call, "limit", 1, STORE_LIST_MAX, &vc->limit);
	if (error == 0)
		error = admin_call_number(&vc->call, "cursor", 1, INT64_MAX, &vc->cursor);
	admin_call_run(&vc->call, error);
}

static void
plain_end(struct session_request *request, const struct admin_call_ops *ops)
{
	struct venue_call *vc = venue_call_create(request, ops);

	if (vc)
		admin_call_run(&vc->call, 0);
}

static void
get_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = get_apply,
	    .what = ACCESS_A_VENUE, .verb = ACCESS_SEE, .own = true};

	(void)whole;
	plain_end(request, &ops);
}

static void
users_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = users_apply,
	    .what = ACCESS_A_VENUE, .verb = ACCESS_CHANGE};

	(void)whole;
	plain_end(request, &ops);
}

static void
remove_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = remove_apply,
	    .what = ACCESS_A_VENUE, .verb = ACCESS_CHANGE};

	(void)whole;
	plain_end(request, &ops);
}

static void
put_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = put_apply,
	    .what = ACCESS_A_VENUE, .verb = ACCESS_CHANGE};
	struct venue_call *vc = venue_call_create(request, &ops);

	if (vc)
		admin_call_run(&vc->call, body_read(vc, whole, venue_members));
}

static void
give_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"users", NULL};
	static const struct admin_call_ops ops = {.apply = put_apply,
	    .what = ACCESS_A_VENUE, .verb = ACCESS_CHANGE};
	struct venue_call *vc = venue_call_create(request, &ops);

	if (vc)
		admin_call_run(&vc->call, body_read(vc, whole, known));
}

static const struct session_route_ops add_ops = {.end = add_end, .gone = admin_call_gone};
static const struct session_route_ops list_ops = {.end = list_end, .gone = admin_call_gone};
static const struct session_route_ops get_ops = {.end = get_end, .gone = admin_call_gone};
static const struct session_route_ops users_ops = {.end = users_end, .gone = admin_call_gone};
static const struct session_route_ops give_ops = {.end = give_end, .gone = admin_call_gone};
static const struct session_route_ops put_ops = {.end = put_end, .gone = admin_call_gone};
static const struct session_route_ops remove_ops = {.end = remove_end, .gone = admin_call_gone};

#define ID_PATH {{"id", "integer", "The venue's id."}}
#define NOT_THERE {404, "", "There is no such venue."}

static const struct session_doc add_doc = {
	.body = {"VenueNew"},
	.answers = {{201, "Venue", "The new venue."}, NOT_VALID, STORE_FAILED},
};

static const struct session_doc list_doc = {
	.query = {
		{"limit?", "integer", "At most so many; 100 when it is left out, at most 1,000."},
		{"cursor?", "string", "next of the page before."},
	},
	.answers = {{200, "{items: [Venue], next: string|null}", "Venues by id."}, STORE_FAILED},
};

static const struct session_doc get_doc = {
	.path = ID_PATH,
	.answers = {{200, "Venue", "The venue, its version as ETag."}, NOT_THERE, STORE_FAILED},
};

static const struct session_doc users_doc = {
	.path = ID_PATH,
	.answers = {{200, "{items: [Name], next: null}", "Names of those who may see it."},
	    NOT_THERE, STORE_FAILED},
};

static const struct session_doc give_doc = {
	.help = "Replaces the list.",
	.path = ID_PATH,
	.headers = IF_MATCH,
	.body = {"{users: Name|[Name]}"},
	.answers = {{200, "Venue", "The venue as it is now."}, NOT_THERE, CHANGED_SINCE,
	    NOT_VALID, STORE_FAILED},
};

static const struct session_doc put_doc = {
	.help = "What is left out stays; lists are replaced.",
	.path = ID_PATH,
	.headers = IF_MATCH,
	.body = {"VenueChange"},
	.answers = {{200, "Venue", "The venue as it is now."}, NOT_THERE, CHANGED_SINCE,
	    NOT_VALID, STORE_FAILED},
};

static const struct session_doc remove_doc = {
	.path = ID_PATH,
	.headers = IF_MATCH,
	.answers = {{204, "", "It is gone."}, NOT_THERE, CHANGED_SINCE, STORE_FAILED},
};

#define ROUTE(route_path, route_methods, name, route_summary)                                      \
	{                                                                                          \
		.path = route_path, .methods = route_methods, .rights = ACCESS_ADMIN,              \
		.ops = &name##_ops, .summary = route_summary, .doc = &name##_doc,                  \
	}

/* Persons who see their own things only see their venues. */
#define SEEN_ROUTE(route_path, name, route_summary)                                                \
	{                                                                                          \
		.path = route_path, .methods = SESSION_GET, .rights = ACCESS_READ,                 \
		.ops = &name##_ops, .summary = route_summary, .doc = &name##_doc,                  \
	}

const struct session_route api_admin_venues_routes[] = {
	ROUTE("/api/v1/venues", SESSION_POST, add, "A new venue"),
	SEEN_ROUTE("/api/v1/venues", list, "All venues"),
	SEEN_ROUTE("/api/v1/venues/{id}", get, "One venue"),
	ROUTE("/api/v1/venues/{id}", SESSION_PUT, put, "Changes a venue"),
	ROUTE("/api/v1/venues/{id}", SESSION_DELETE, remove, "Removes a venue"),
	ROUTE("/api/v1/venues/{id}/users", SESSION_GET, users, "Who may see a venue"),
	ROUTE("/api/v1/venues/{id}/users", SESSION_PUT, give, "Says who may see a venue"),
	{.path = NULL},
};

/*
 * registry_venues.c: venues with their floor plans, and the audit of every change.
 *
 * A plan is a row of its own: lists of venues do not read pictures.
 */
#include "registry.h"

#include <errno.h>

#include "check.h"
#include "registry_priv.h"
#include "store_bind.h"

/* ── venues ── */

static int
venue_check(const struct store_venue *venue)
{
	if (venue->name.len == 0)
		return -EINVAL;
	if (venue->name.len > STORE_TEXT_BYTES_MAX || venue->items.len > STORE_ITEMS_BYTES_MAX ||
	    venue->user_count > STORE_USERS_MAX)
		return -EMSGSIZE;
	return 0;
}

static int
users_add(struct store_tx *tx, const struct store_venue *venue, uint64_t id)
{
	sqlite3_stmt *statement;
	int error = 0;

	for (size_t i = 0; error == 0 && i < venue->user_count; i++) {
		error = registry_user_check(tx, venue->tenant, venue->users[i]);
		if (error == 0)
			error = store_prepare(tx->store, STORE_VENUE_USER_ADD, &statement);
		if (error)
			break;
		bind_text(statement, 1, venue->tenant);
		bind_u64(statement, 2, id);
		bind_u64(statement, 3, venue->users[i]);
		error = store_change(tx->store, statement, NULL);
	}
	return error;
}

/* Runs a statement whose two values name a venue. */
static int
venue_change(struct store_tx *tx, enum store_statement which, struct span tenant, uint64_t id)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, which, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, id);
	return store_change(tx->store, statement, NULL);
}

int
store_venue_add(struct store_tx *tx, const struct store_venue *venue, uint64_t *ret_id,
    uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version, id;
	int error = venue_check(venue);

	if (error == 0)
		error = registry_tenant_number(tx, STORE_TENANT_NEXT_VENUE, venue->tenant, &id);
	if (error == 0)
		error = registry_begin(tx, STORE_VENUE_ADD, &statement, &version);
	if (error)
		return error;
	bind_text(statement, 1, venue->tenant);
	bind_u64(statement, 2, id);
	bind_text(statement, 3, venue->name);
	bind_text(statement, 4, venue->items);
	bind_i64(statement, 5, venue->created_ms);
	bind_u64(statement, 6, version);
	error = registry_change_one(tx, statement);
	if (error == 0)
		error = users_add(tx, venue, id);
	if (error)
		return error;
	*ret_id = id;
	*ret_version = version;
	return 0;
}

int
store_venue_put(struct store_tx *tx, const struct store_venue *venue, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error = venue_check(venue);

	if (error == 0)
		error = registry_begin(tx, STORE_VENUE_PUT, &statement, &version);
	if (error)
		return error;
	bind_text(statement, 1, venue->tenant);
	bind_u64(statement, 2, venue->id);
	bind_text(statement, 3, venue->name);
	bind_text(statement, 4, venue->items);
	bind_u64(statement, 5, version);
	error = registry_change_one(tx, statement);
	if (error == 0)
		error = venue_change(tx, STORE_VENUE_USERS_REMOVE, venue->tenant, venue->id);
	if (error == 0)
		error = users_add(tx, venue, venue->id);
	if (error)
		return error;
	*ret_version = version;
	return 0;
}

int
store_venue_remove(struct store_tx *tx, struct span tenant, uint64_t id, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error = registry_begin(tx, STORE_VENUE_REMOVE, &statement, &version);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, id);
	error = registry_change_one(tx, statement);
	if (error == 0)
		error = venue_change(tx, STORE_VENUE_USERS_REMOVE, tenant, id);
	if (error == 0)
		error = venue_change(tx, STORE_PLAN_REMOVE, tenant, id);
	if (error)
		return error;
	*ret_version = version;
	return 0;
}

struct venue_reader {
	int (*each)(void *ctx, const struct store_venue *venue);
	void *ctx;
	uint64_t users[STORE_USERS_MAX];
};

static int
venue_row(void *ctx, sqlite3_stmt *statement)
{
	struct venue_reader *reader = ctx;
	struct store_venue venue = {
		.tenant = column_span(statement, 0),
		.id = column_u64(statement, 1),
		.name = column_span(statement, 2),
		.items = column_span(statement, 3),
		.created_ms = sqlite3_column_int64(statement, 4),
		.version = column_u64(statement, 5),
		.has_plan = column_u64(statement, 6) != 0,
		.users = reader->users,
		.user_count = registry_users_parse(column_span(statement, 7), reader->users),
	};

	return reader->each(reader->ctx, &venue);
}

int
store_venue_find(struct store *store, struct span tenant, uint64_t id,
    int (*each)(void *ctx, const struct store_venue *venue), void *ctx)
{
	struct venue_reader reader = {.each = each, .ctx = ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_VENUE_FIND, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, id);
	return store_row(store, statement, venue_row, &reader);
}

int
store_venues_list(struct store *store, struct span tenant, uint64_t user,
    const struct store_page *page, int (*each)(void *ctx, const struct store_venue *venue),
    void *ctx)
{
	struct venue_reader reader = {.each = each, .ctx = ctx};
	sqlite3_stmt *statement;
	int index = 1;
	int error = store_prepare(store, user ? STORE_VENUES_OF_USER : STORE_VENUES_PAGE,
	    &statement);

	if (error)
		return error;
	bind_text(statement, index++, tenant);
	if (user)
		bind_u64(statement, index++, user);
	bind_u64(statement, index++, page->after_number);
	bind_u64(statement, index, MIN(page->limit, STORE_LIST_MAX));
	return store_rows(store, statement, venue_row, &reader);
}

/* ── floor plans ── */

int
store_venue_plan_put(struct store_tx *tx, struct span tenant, uint64_t id, struct span type,
    struct span bytes, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error;

	if (type.len > STORE_TEXT_BYTES_MAX || bytes.len > STORE_PLAN_BYTES_MAX)
		return -EMSGSIZE;
	error = registry_begin(tx, STORE_VENUE_TOUCH, &statement, &version);
	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, id);
	bind_u64(statement, 3, version);
	error = registry_change_one(tx, statement);
	if (error == 0 && bytes.len == 0)
		error = venue_change(tx, STORE_PLAN_REMOVE, tenant, id);
	if (error == 0 && bytes.len) {
		error = store_prepare(tx->store, STORE_PLAN_PUT, &statement);
		if (error)
			return error;
		bind_text(statement, 1, tenant);
		bind_u64(statement, 2, id);
		bind_text(statement, 3, type);
		bind_blob(statement, 4, bytes);
		error = registry_change_one(tx, statement);
	}
	if (error)
		return error;
	*ret_version = version;
	return 0;
}

struct plan_reader {
	int (*each)(void *ctx, struct span type, struct span bytes);
	void *ctx;
};

static int
plan_row(void *ctx, sqlite3_stmt *statement)
{
	const struct plan_reader *reader = ctx;

	return reader->each(reader->ctx, column_span(statement, 0), column_span(statement, 1));
}

int
store_venue_plan_get(struct store *store, struct span tenant, uint64_t id,
    int (*each)(void *ctx, struct span type, struct span bytes), void *ctx)
{
	struct plan_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_PLAN_GET, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, id);
	return store_row(store, statement, plan_row, &reader);
}

/* ── audit ── */

static struct span
document_or_mark(struct span document)
{
	return document.len > STORE_DOCUMENT_BYTES_MAX ? SPAN("\"…\"") : document;
}

int
store_audit_add(struct store_tx *tx, const struct store_audit *audit)
{
	const struct span texts[] = {audit->who, audit->what, audit->object, audit->from};
	sqlite3_stmt *statement;
	int error;

	if (!registry_texts_fit(texts, ARRAY_COUNT(texts)))
		return -EMSGSIZE;
	error = store_prepare(tx->store, STORE_AUDIT_ADD, &statement);
	if (error)
		return error;
	bind_text(statement, 1, audit->tenant);
	bind_i64(statement, 2, audit->time_ms);
	bind_text(statement, 3, audit->who);
	bind_text(statement, 4, audit->what);
	bind_text(statement, 5, audit->object);
	bind_text(statement, 6, audit->from);
	bind_text(statement, 7, document_or_mark(audit->before));
	bind_text(statement, 8, document_or_mark(audit->after));
	return store_change(tx->store, statement, NULL);
}

struct audit_reader {
	int (*each)(void *ctx, const struct store_audit *audit);
	void *ctx;
};

static int
audit_row(void *ctx, sqlite3_stmt *statement)
{
	const struct audit_reader *reader = ctx;
	struct store_audit audit = {
		.id = column_u64(statement, 0),
		.tenant = column_span(statement, 1),
		.time_ms = sqlite3_column_int64(statement, 2),
		.who = column_span(statement, 3),
		.what = column_span(statement, 4),
		.object = column_span(statement, 5),
		.from = column_span(statement, 6),
		.before = column_span(statement, 7),
		.after = column_span(statement, 8),
	};

	return reader->each(reader->ctx, &audit);
}

int
store_audits_list(struct store *store, struct span tenant, int64_t from_ms, int64_t to_ms,
    const struct store_page *page, int (*each)(void *ctx, const struct store_audit *audit),
    void *ctx)
{
	struct audit_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_AUDITS_PAGE, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, page->after_number ? page->after_number : INT64_MAX);
	bind_i64(statement, 3, from_ms);
	bind_i64(statement, 4, to_ms);
	bind_u64(statement, 5, MIN(page->limit, STORE_LIST_MAX));
	return store_rows(store, statement, audit_row, &reader);
}

int
store_audit_trim(struct store_tx *tx, int64_t before_ms, unsigned count_max,
    unsigned *ret_count)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_AUDIT_TRIM, &statement);

	if (error)
		return error;
	bind_i64(statement, 1, before_ms);
	bind_u64(statement, 2, count_max);
	return store_change(tx->store, statement, ret_count);
}

/*
 * registry_devices.c: devices, and which users may see which.
 *
 * A device's id is a text; its length stands before it in the key of the table, so that ids which
 * are numbers come in their order whatever their length (an imported one may have 17 digits).
 */
#include "registry.h"

#include <errno.h>
#include <stdio.h>

#include "check.h"
#include "num.h"
#include "registry_priv.h"
#include "store_bind.h"

/* ── ids ── */

/* The number that the id is, when it is one of those that ids are given out from; else 0. */
static uint64_t
own_number(struct span id)
{
	uint64_t number;

	if (id.len == 0 || id.ptr[0] == '0' || num_parse_u64(id, &number) ||
	    number >= STORE_DEVICE_ID_OURS)
		return 0;
	return number;
}

static void
bind_device(sqlite3_stmt *statement, struct span tenant, struct span id)
{
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, id.len);
	bind_text(statement, 3, id);
}

static int
see_nothing(void *ctx, const struct store_device *device)
{
	(void)ctx;
	(void)device;
	return 0;
}

/* The last id that the tenant gave out or must not give out; -ENOENT: no such tenant. */
static int
last_get(struct store_tx *tx, struct span tenant, uint64_t *ret_last)
{
	return registry_tenant_number(tx, STORE_TENANT_DEVICE_LAST, tenant, ret_last);
}

static int
last_put(struct store_tx *tx, struct span tenant, uint64_t last)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_TENANT_DEVICE_PUT, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, last);
	return registry_change_one(tx, statement);
}

int
store_device_next_id(struct store_tx *tx, struct span tenant, char ret_id[24], size_t *ret_len)
{
	char text[24];
	uint64_t last;
	int len;
	int error = last_get(tx, tenant, &last);

	if (error)
		return error;
	do { /* more than once only beyond STORE_DEVICE_ID_OURS, where others' may be in the way */
		len = snprintf(text, sizeof(text), "%llu", (unsigned long long)++last);
		error = store_device_find(tx->store, tenant, span_of(text, (size_t)len),
		    see_nothing, NULL);
	} while (error == 0);
	if (error == -ENOENT)
		error = last_put(tx, tenant, last);
	if (error)
		return error;
	memcpy(ret_id, text, (size_t)len + 1);
	*ret_len = (size_t)len;
	return 0;
}

/* ── changes ── */

static int
device_check(const struct store_device *device)
{
	const struct span texts[] = {device->name, device->group, device->place, device->hash};

	if (!store_device_id_valid(device->id))
		return -EINVAL;
	if (!registry_texts_fit(texts, ARRAY_COUNT(texts)) ||
	    device->config.len > STORE_DOCUMENT_BYTES_MAX || device->user_count > STORE_USERS_MAX)
		return -EMSGSIZE;
	return 0;
}

static int
users_add(struct store_tx *tx, const struct store_device *device)
{
	sqlite3_stmt *statement;
	int error = 0;

	for (size_t i = 0; error == 0 && i < device->user_count; i++) {
		error = registry_user_check(tx, device->tenant, device->users[i]);
		if (error == 0)
			error = store_prepare(tx->store, STORE_DEVICE_USER_ADD, &statement);
		if (error)
			break;
		bind_device(statement, device->tenant, device->id);
		bind_u64(statement, 4, device->users[i]);
		error = store_change(tx->store, statement, NULL);
	}
	return error;
}

static int
users_remove(struct store_tx *tx, struct span tenant, struct span id)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_DEVICE_USERS_REMOVE, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_text(statement, 2, id);
	return store_change(tx->store, statement, NULL);
}

/* What adding and putting write, as parameters 1 to 10. */
static void
device_bind(sqlite3_stmt *statement, const struct store_device *device)
{
	bind_device(statement, device->tenant, device->id);
	bind_text(statement, 4, device->name);
	bind_text(statement, 5, device->group);
	bind_text(statement, 6, device->place);
	bind_text(statement, 7, device->config);
	bind_blob(statement, 8, device->hash);
	bind_u64(statement, 9, device->state);
	bind_u64(statement, 10, device->gateway);
}

int
store_device_add(struct store_tx *tx, const struct store_device *device, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version, last, number = own_number(device->id);
	int error = device_check(device);

	if (error == 0)
		error = last_get(tx, device->tenant, &last);
	if (error == 0 && number > last)
		error = last_put(tx, device->tenant, number);
	if (error == 0)
		error = registry_begin(tx, STORE_DEVICE_ADD, &statement, &version);
	if (error)
		return error;
	device_bind(statement, device);
	bind_i64(statement, 11, device->created_ms);
	bind_u64(statement, 12, version);
	error = registry_change_one(tx, statement);
	if (error == 0)
		error = users_add(tx, device);
	if (error)
		return error;
	*ret_version = version;
	return 0;
}

int
store_device_put(struct store_tx *tx, const struct store_device *device, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error = device_check(device);

	if (error == 0)
		error = registry_begin(tx, STORE_DEVICE_PUT, &statement, &version);
	if (error)
		return error;
	device_bind(statement, device);
	bind_u64(statement, 11, version);
	error = registry_change_one(tx, statement);
	if (error == 0)
		error = users_remove(tx, device->tenant, device->id);
	if (error == 0)
		error = users_add(tx, device);
	if (error)
		return error;
	*ret_version = version;
	return 0;
}

int
store_device_remove(struct store_tx *tx, struct span tenant, struct span id,
    uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error = registry_begin(tx, STORE_DEVICE_REMOVE, &statement, &version);

	if (error)
		return error;
	bind_device(statement, tenant, id);
	error = registry_change_one(tx, statement);
	if (error == 0)
		error = users_remove(tx, tenant, id);
	if (error)
		return error;
	*ret_version = version;
	return 0;
}

/* ── questions ── */

struct device_reader {
	int (*each)(void *ctx, const struct store_device *device);
	void *ctx;
	uint64_t users[STORE_USERS_MAX];
};

static int
device_row(void *ctx, sqlite3_stmt *statement)
{
	struct device_reader *reader = ctx;
	struct store_device device = {
		.tenant = column_span(statement, 0),
		.id = column_span(statement, 1),
		.name = column_span(statement, 2),
		.group = column_span(statement, 3),
		.place = column_span(statement, 4),
		.config = column_span(statement, 5),
		.hash = column_span(statement, 6),
		.state = column_u64(statement, 7) != 0,
		.gateway = column_u64(statement, 8),
		.created_ms = sqlite3_column_int64(statement, 9),
		.version = column_u64(statement, 10),
		.users = reader->users,
		.user_count = registry_users_parse(column_span(statement, 11), reader->users),
	};

	return reader->each(reader->ctx, &device);
}

int
store_device_find(struct store *store, struct span tenant, struct span id,
    int (*each)(void *ctx, const struct store_device *device), void *ctx)
{
	struct device_reader reader = {.each = each, .ctx = ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_DEVICE_FIND, &statement);

	if (error)
		return error;
	bind_device(statement, tenant, id);
	return store_row(store, statement, device_row, &reader);
}

int
store_devices_list(struct store *store, struct span tenant, const struct store_page *page,
    int (*each)(void *ctx, const struct store_device *device), void *ctx)
{
	struct device_reader reader = {.each = each, .ctx = ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_DEVICES_PAGE, &statement);

	if (error)
		return error;
	bind_device(statement, tenant, page->after_id);
	bind_u64(statement, 4, MIN(page->limit, STORE_LIST_MAX));
	return store_rows(store, statement, device_row, &reader);
}

int
store_devices_search(struct store *store, struct span tenant, struct span prefix,
    const struct store_page *page, int (*each)(void *ctx, const struct store_device *device),
    void *ctx)
{
	struct device_reader reader = {.each = each, .ctx = ctx};
	char lower[STORE_TEXT_BYTES_MAX], end[STORE_TEXT_BYTES_MAX + 1];
	size_t end_len;
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_DEVICES_SEARCH, &statement);

	if (error)
		return error;
	if (prefix.len > sizeof(lower))
		return 0; /* no name is as long */
	for (size_t i = 0; i < prefix.len; i++) {
		char c = prefix.ptr[i];

		lower[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	check(registry_prefix_end(span_of(lower, prefix.len), end, &end_len));
	bind_text(statement, 1, tenant);
	bind_text(statement, 2, span_of(lower, prefix.len));
	bind_text(statement, 3, span_of(end, end_len));
	bind_text(statement, 4, page->after_name);
	bind_u64(statement, 5, page->after_id.len);
	bind_text(statement, 6, page->after_id);
	bind_u64(statement, 7, MIN(page->limit, STORE_LIST_MAX));
	return store_rows(store, statement, device_row, &reader);
}

int
store_devices_of_user(struct store *store, struct span tenant, uint64_t user,
    const struct store_page *page, int (*each)(void *ctx, const struct store_device *device),
    void *ctx)
{
	struct device_reader reader = {.each = each, .ctx = ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_DEVICES_OF_USER, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, user);
	bind_u64(statement, 3, page->after_id.len);
	bind_text(statement, 4, page->after_id);
	bind_u64(statement, 5, MIN(page->limit, STORE_LIST_MAX));
	return store_rows(store, statement, device_row, &reader);
}

static int
short_row(void *ctx, sqlite3_stmt *statement)
{
	struct device_reader *reader = ctx;
	struct store_device device = {
		.tenant = column_span(statement, 0),
		.id = column_span(statement, 1),
		.hash = column_span(statement, 2),
		.state = column_u64(statement, 3) != 0,
		.gateway = column_u64(statement, 4),
		.version = column_u64(statement, 5),
		.users = reader->users,
		.user_count = registry_users_parse(column_span(statement, 6), reader->users),
	};

	return reader->each(reader->ctx, &device);
}

int
store_devices_load(struct store *store,
    int (*each)(void *ctx, const struct store_device *device), void *ctx)
{
	struct device_reader reader = {.each = each, .ctx = ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_DEVICES, &statement);

	return error ? error : store_rows(store, statement, short_row, &reader);
}

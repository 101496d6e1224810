/*
 * registry.c: the registry's version, what names and ids may be, tenants and users.
 *
 * A change first raises the version and then writes it into the rows it touches; both stand in the
 * transaction of the unit, so a version that a reader has seen is the version of what he has seen.
 */
#include "registry.h"

#include <errno.h>

#include "check.h"
#include "registry_priv.h"
#include "store_bind.h"
#include "store_priv.h"
#include "utf8.h"

/* ── names, ids, limits ── */

bool
store_name_valid(struct span name)
{
	if (name.len == 0 || name.len > STORE_NAME_BYTES_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
		    c == '-'))
			return false;
	}
	return true;
}

bool
store_device_id_valid(struct span id)
{
	if (id.len == 0 || id.len > STORE_DEVICE_ID_BYTES_MAX || !utf8_valid(id))
		return false;
	for (size_t i = 0; i < id.len; i++) {
		if ((unsigned char)id.ptr[i] < ' ' || id.ptr[i] == 0x7f)
			return false;
	}
	return true;
}

bool
registry_texts_fit(const struct span *texts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (texts[i].len > STORE_TEXT_BYTES_MAX)
			return false;
	}
	return true;
}

bool
registry_prefix_end(struct span prefix, char ret_end[STORE_TEXT_BYTES_MAX + 1], size_t *ret_len)
{
	size_t len = prefix.len;

	if (len > STORE_TEXT_BYTES_MAX)
		return false;
	if (len)
		memcpy(ret_end, prefix.ptr, len);
	while (len && (unsigned char)ret_end[len - 1] == 0xff)
		len--;
	if (len == 0)
		ret_end[len++] = (char)0xff; /* no UTF-8 begins with it */
	else
		ret_end[len - 1] = (char)((unsigned char)ret_end[len - 1] + 1);
	*ret_len = len;
	return true;
}

size_t
registry_users_parse(struct span text, uint64_t ret_users[STORE_USERS_MAX])
{
	size_t count = 0;
	uint64_t id = 0;

	for (size_t i = 0; i < text.len && count < STORE_USERS_MAX; i++) {
		if (text.ptr[i] != ',') {
			id = id * 10 + (uint64_t)(text.ptr[i] - '0');
		} else {
			ret_users[count++] = id;
			id = 0;
		}
	}
	if (text.len && count < STORE_USERS_MAX)
		ret_users[count++] = id;
	return count;
}

/* ── version ── */

int
store_registry_version(struct store *store, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_VERSION_GET, &statement);

	return error ? error : store_number(store, statement, ret_version);
}

int
store_version_raise(struct store *store, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	unsigned count = 0;
	int error = store_prepare(store, STORE_VERSION_RAISE, &statement);

	if (error)
		return error;
	error = store_change(store, statement, &count);
	if (error == 0 && count == 0)
		error = store_fail(store, -EUCLEAN, "weir.db has lost the version of its registry");
	return error ? error : store_registry_version(store, ret_version);
}

int
registry_begin(struct store_tx *tx, enum store_statement which, sqlite3_stmt **ret_statement,
    uint64_t *ret_version)
{
	int error = store_version_raise(tx->store, ret_version);

	return error ? error : store_prepare(tx->store, which, ret_statement);
}

int
registry_change_one(struct store_tx *tx, sqlite3_stmt *statement)
{
	unsigned count;
	int error = store_change(tx->store, statement, &count);

	return error ? error : count == 0 ? -ENOENT : 0;
}

int
registry_end(struct store_tx *tx, sqlite3_stmt *statement, uint64_t version,
    uint64_t *ret_version)
{
	int error = registry_change_one(tx, statement);

	if (error == 0)
		*ret_version = version;
	return error;
}

int
registry_tenant_number(struct store_tx *tx, enum store_statement which, struct span tenant,
    uint64_t *ret_value)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, which, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	return store_number(tx->store, statement, ret_value);
}

int
registry_user_check(struct store_tx *tx, struct span tenant, uint64_t user)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_USER_OF_TENANT, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, user);
	return store_number(tx->store, statement, &user);
}

/* ── tenants ── */

int
store_tenant_add(struct store_tx *tx, struct span name, int64_t now_ms, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error;

	if (!store_name_valid(name))
		return -EINVAL;
	error = registry_begin(tx, STORE_TENANT_ADD, &statement, &version);
	if (error)
		return error;
	bind_text(statement, 1, name);
	bind_i64(statement, 2, now_ms);
	bind_u64(statement, 3, version);
	return registry_end(tx, statement, version, ret_version);
}

int
store_tenant_remove(struct store_tx *tx, struct span name, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t used = 0, version;
	int error;

	if (span_eq(name, SPAN("main")))
		return -EPERM;
	error = registry_tenant_number(tx, STORE_TENANT_USED, name, &used);
	if (error == 0 && used)
		error = -ENOTEMPTY;
	if (error == 0)
		error = registry_begin(tx, STORE_TENANT_REMOVE, &statement, &version);
	if (error)
		return error;
	bind_text(statement, 1, name);
	return registry_end(tx, statement, version, ret_version);
}

struct tenant_reader {
	int (*each)(void *ctx, const struct store_tenant *tenant);
	void *ctx;
};

static int
tenant_row(void *ctx, sqlite3_stmt *statement)
{
	const struct tenant_reader *reader = ctx;
	struct store_tenant tenant = {
		.name = column_span(statement, 0),
		.created_ms = sqlite3_column_int64(statement, 1),
		.version = column_u64(statement, 2),
	};

	return reader->each(reader->ctx, &tenant);
}

int
store_tenant_find(struct store *store, struct span name,
    int (*each)(void *ctx, const struct store_tenant *tenant), void *ctx)
{
	struct tenant_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_TENANT_FIND, &statement);

	if (error)
		return error;
	bind_text(statement, 1, name);
	return store_row(store, statement, tenant_row, &reader);
}

int
store_tenants_list(struct store *store, const struct store_page *page,
    int (*each)(void *ctx, const struct store_tenant *tenant), void *ctx)
{
	struct tenant_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_TENANTS_PAGE, &statement);

	if (error)
		return error;
	bind_text(statement, 1, page->after_name);
	bind_u64(statement, 2, MIN(page->limit, STORE_LIST_MAX));
	return store_rows(store, statement, tenant_row, &reader);
}

/* ── users ── */

static int
user_check(const struct store_user *user)
{
	const struct span texts[] = {user->language, user->tz, user->hash};

	if (!store_name_valid(user->name) || user->permission < STORE_ADMIN ||
	    user->permission > STORE_USER)
		return -EINVAL;
	if (!registry_texts_fit(texts, ARRAY_COUNT(texts)) ||
	    user->contacts.len > STORE_DOCUMENT_BYTES_MAX)
		return -EMSGSIZE;
	return 0;
}

int
store_user_add(struct store_tx *tx, const struct store_user *user, uint64_t *ret_id,
    uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error = user_check(user);

	if (error == 0)
		error = registry_begin(tx, STORE_USER_ADD, &statement, &version);
	if (error)
		return error;
	bind_text(statement, 1, user->tenant);
	bind_text(statement, 2, user->name);
	bind_u64(statement, 3, user->permission);
	bind_u64(statement, 4, user->node);
	bind_text(statement, 5, user->hash);
	bind_text(statement, 6, user->contacts);
	bind_text(statement, 7, user->language);
	bind_text(statement, 8, user->tz);
	bind_i64(statement, 9, user->created_ms);
	bind_u64(statement, 10, version);
	error = registry_change_one(tx, statement);
	if (error)
		return error;
	*ret_id = (uint64_t)sqlite3_last_insert_rowid(tx->store->db);
	*ret_version = version;
	return 0;
}

int
store_user_put(struct store_tx *tx, const struct store_user *user, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error = user_check(user);

	if (error == 0)
		error = registry_begin(tx, STORE_USER_PUT, &statement, &version);
	if (error)
		return error;
	bind_text(statement, 1, user->tenant);
	bind_text(statement, 2, user->name);
	bind_u64(statement, 3, user->permission);
	bind_u64(statement, 4, user->node);
	bind_text(statement, 5, user->hash);
	bind_u64(statement, 6, user->generation);
	bind_text(statement, 7, user->contacts);
	bind_text(statement, 8, user->language);
	bind_text(statement, 9, user->tz);
	bind_u64(statement, 10, version);
	return registry_end(tx, statement, version, ret_version);
}

/* Takes the user out of one of the tables of who may see what. */
static int
user_lose(struct store_tx *tx, enum store_statement which, uint64_t id)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, which, &statement);

	if (error)
		return error;
	bind_u64(statement, 1, id);
	return store_change(tx->store, statement, NULL);
}

int
store_user_remove(struct store_tx *tx, struct span tenant, struct span name, uint64_t *ret_id,
    uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version, id;
	int error = registry_begin(tx, STORE_USER_REMOVE, &statement, &version);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_text(statement, 2, name);
	error = store_number(tx->store, statement, &id);
	if (error == 0)
		error = user_lose(tx, STORE_USER_DEVICES_REMOVE, id);
	if (error == 0)
		error = user_lose(tx, STORE_USER_VENUES_REMOVE, id);
	if (error)
		return error;
	*ret_id = id;
	*ret_version = version;
	return 0;
}

struct user_reader {
	int (*each)(void *ctx, const struct store_user *user);
	void *ctx;
};

static int
user_row(void *ctx, sqlite3_stmt *statement)
{
	const struct user_reader *reader = ctx;
	struct store_user user = {
		.id = column_u64(statement, 0),
		.tenant = column_span(statement, 1),
		.name = column_span(statement, 2),
		.permission = (enum store_permission)column_u64(statement, 3),
		.node = column_u64(statement, 4) != 0,
		.hash = column_span(statement, 5),
		.generation = column_u64(statement, 6),
		.contacts = column_span(statement, 7),
		.language = column_span(statement, 8),
		.tz = column_span(statement, 9),
		.created_ms = sqlite3_column_int64(statement, 10),
		.version = column_u64(statement, 11),
	};

	return reader->each(reader->ctx, &user);
}

int
store_user_find(struct store *store, struct span tenant, struct span name,
    int (*each)(void *ctx, const struct store_user *user), void *ctx)
{
	struct user_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_USER_FIND, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_text(statement, 2, name);
	return store_row(store, statement, user_row, &reader);
}

int
store_user_find_id(struct store *store, uint64_t id,
    int (*each)(void *ctx, const struct store_user *user), void *ctx)
{
	struct user_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_USER_FIND_ID, &statement);

	if (error)
		return error;
	bind_u64(statement, 1, id);
	return store_row(store, statement, user_row, &reader);
}

int
store_users_list(struct store *store, struct span tenant, struct span prefix,
    const struct store_page *page, int (*each)(void *ctx, const struct store_user *user),
    void *ctx)
{
	struct user_reader reader = {each, ctx};
	char end[STORE_TEXT_BYTES_MAX + 1];
	size_t end_len;
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_USERS_PAGE, &statement);

	if (error)
		return error;
	if (!registry_prefix_end(prefix, end, &end_len))
		return 0; /* nothing is as long */
	bind_text(statement, 1, tenant);
	bind_text(statement, 2, page->after_name);
	bind_text(statement, 3, prefix);
	bind_text(statement, 4, span_of(end, end_len));
	bind_u64(statement, 5, MIN(page->limit, STORE_LIST_MAX));
	return store_rows(store, statement, user_row, &reader);
}

int
store_users_load(struct store *store, int (*each)(void *ctx, const struct store_user *user),
    void *ctx)
{
	struct user_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_USERS, &statement);

	return error ? error : store_rows(store, statement, user_row, &reader);
}

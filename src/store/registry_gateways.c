/*
 * registry_gateways.c: gateways, and the secrets that sign JWTs.
 */
#include "registry.h"

#include <errno.h>

#include "check.h"
#include "registry_priv.h"
#include "store_bind.h"

/* ── gateways ── */

static int
gateway_check(const struct store_gateway *gateway)
{
	const struct span texts[] = {gateway->name, gateway->state, gateway->hash};

	if (gateway->id == 0)
		return -EINVAL;
	if (!registry_texts_fit(texts, ARRAY_COUNT(texts)) ||
	    gateway->config.len > STORE_DOCUMENT_BYTES_MAX)
		return -EMSGSIZE;
	return 0;
}

int
store_gateway_next_id(struct store_tx *tx, struct span tenant, uint64_t *ret_id)
{
	return registry_tenant_number(tx, STORE_TENANT_NEXT_GATEWAY, tenant, ret_id);
}

/* What adding and putting write, as parameters 1 to 7. */
static void
gateway_bind(sqlite3_stmt *statement, const struct store_gateway *gateway)
{
	bind_text(statement, 1, gateway->tenant);
	bind_u64(statement, 2, gateway->id);
	bind_text(statement, 3, gateway->name);
	bind_text(statement, 4, gateway->state);
	bind_text(statement, 5, gateway->config);
	bind_blob(statement, 6, gateway->hash);
	bind_u64(statement, 7, gateway->may_enrol);
}

int
store_gateway_add(struct store_tx *tx, const struct store_gateway *gateway,
    uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error = gateway_check(gateway);

	if (error == 0)
		error = registry_begin(tx, STORE_GATEWAY_ADD, &statement, &version);
	if (error)
		return error;
	gateway_bind(statement, gateway);
	bind_i64(statement, 8, gateway->created_ms);
	bind_u64(statement, 9, version);
	return registry_end(tx, statement, version, ret_version);
}

int
store_gateway_put(struct store_tx *tx, const struct store_gateway *gateway,
    uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error = gateway_check(gateway);

	if (error == 0)
		error = registry_begin(tx, STORE_GATEWAY_PUT, &statement, &version);
	if (error)
		return error;
	gateway_bind(statement, gateway);
	bind_u64(statement, 8, version);
	return registry_end(tx, statement, version, ret_version);
}

int
store_gateway_remove(struct store_tx *tx, struct span tenant, uint64_t id,
    uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error = registry_begin(tx, STORE_GATEWAY_REMOVE, &statement, &version);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, id);
	return registry_end(tx, statement, version, ret_version);
}

struct gateway_reader {
	int (*each)(void *ctx, const struct store_gateway *gateway);
	void *ctx;
};

static int
gateway_row(void *ctx, sqlite3_stmt *statement)
{
	const struct gateway_reader *reader = ctx;
	struct store_gateway gateway = {
		.tenant = column_span(statement, 0),
		.id = column_u64(statement, 1),
		.name = column_span(statement, 2),
		.state = column_span(statement, 3),
		.config = column_span(statement, 4),
		.hash = column_span(statement, 5),
		.may_enrol = column_u64(statement, 6) != 0,
		.created_ms = sqlite3_column_int64(statement, 7),
		.version = column_u64(statement, 8),
	};

	return reader->each(reader->ctx, &gateway);
}

int
store_gateway_find(struct store *store, struct span tenant, uint64_t id,
    int (*each)(void *ctx, const struct store_gateway *gateway), void *ctx)
{
	struct gateway_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_GATEWAY_FIND, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, id);
	return store_row(store, statement, gateway_row, &reader);
}

int
store_gateways_list(struct store *store, struct span tenant, const struct store_page *page,
    int (*each)(void *ctx, const struct store_gateway *gateway), void *ctx)
{
	struct gateway_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_GATEWAYS_PAGE, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, page->after_number);
	bind_u64(statement, 3, MIN(page->limit, STORE_LIST_MAX));
	return store_rows(store, statement, gateway_row, &reader);
}

int
store_gateways_load(struct store *store,
    int (*each)(void *ctx, const struct store_gateway *gateway), void *ctx)
{
	struct gateway_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_GATEWAYS, &statement);

	return error ? error : store_rows(store, statement, gateway_row, &reader);
}

/* ── secrets ── */

int
store_secret_next_id(struct store_tx *tx, uint64_t *ret_id)
{
	sqlite3_stmt *statement;
	int error = store_prepare(tx->store, STORE_SECRET_NEXT, &statement);

	return error ? error : store_number(tx->store, statement, ret_id);
}

int
store_secret_add(struct store_tx *tx, const struct store_secret *secret, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error;

	if (secret->id == 0 || !store_name_valid(secret->name))
		return -EINVAL;
	if (secret->sealed.len > STORE_TEXT_BYTES_MAX)
		return -EMSGSIZE;
	error = registry_begin(tx, STORE_SECRET_ADD, &statement, &version);
	if (error)
		return error;
	bind_u64(statement, 1, secret->id);
	bind_text(statement, 2, secret->tenant);
	bind_u64(statement, 3, secret->kind);
	bind_text(statement, 4, secret->name);
	bind_blob(statement, 5, secret->sealed);
	bind_i64(statement, 6, secret->created_ms);
	bind_i64(statement, 7, secret->expires_ms);
	bind_u64(statement, 8, version);
	return registry_end(tx, statement, version, ret_version);
}

int
store_secret_expire(struct store_tx *tx, uint64_t id, int64_t expires_ms, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version;
	int error = registry_begin(tx, STORE_SECRET_EXPIRE, &statement, &version);

	if (error)
		return error;
	bind_u64(statement, 1, id);
	bind_i64(statement, 2, expires_ms);
	bind_u64(statement, 3, version);
	return registry_end(tx, statement, version, ret_version);
}

int
store_secret_remove(struct store_tx *tx, struct span tenant, enum store_secret_kind kind,
    struct span name, uint64_t *ret_id, uint64_t *ret_version)
{
	sqlite3_stmt *statement;
	uint64_t version, id;
	int error = registry_begin(tx, STORE_SECRET_REMOVE, &statement, &version);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, kind);
	bind_text(statement, 3, name);
	error = store_number(tx->store, statement, &id);
	if (error)
		return error;
	*ret_id = id;
	*ret_version = version;
	return 0;
}

struct secret_reader {
	int (*each)(void *ctx, const struct store_secret *secret);
	void *ctx;
};

static int
secret_row(void *ctx, sqlite3_stmt *statement)
{
	const struct secret_reader *reader = ctx;
	struct store_secret secret = {
		.id = column_u64(statement, 0),
		.tenant = column_span(statement, 1),
		.kind = (enum store_secret_kind)column_u64(statement, 2),
		.name = column_span(statement, 3),
		.sealed = column_span(statement, 4),
		.created_ms = sqlite3_column_int64(statement, 5),
		.expires_ms = sqlite3_column_int64(statement, 6),
		.version = column_u64(statement, 7),
	};

	return reader->each(reader->ctx, &secret);
}

int
store_secrets_list(struct store *store, struct span tenant, enum store_secret_kind kind,
    const struct store_page *page, int (*each)(void *ctx, const struct store_secret *secret),
    void *ctx)
{
	struct secret_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_SECRETS_PAGE, &statement);

	if (error)
		return error;
	bind_text(statement, 1, tenant);
	bind_u64(statement, 2, kind);
	bind_u64(statement, 3, page->after_number);
	bind_u64(statement, 4, MIN(page->limit, STORE_LIST_MAX));
	return store_rows(store, statement, secret_row, &reader);
}

int
store_secrets_load(struct store *store,
    int (*each)(void *ctx, const struct store_secret *secret), void *ctx)
{
	struct secret_reader reader = {each, ctx};
	sqlite3_stmt *statement;
	int error = store_prepare(store, STORE_SECRETS, &statement);

	return error ? error : store_rows(store, statement, secret_row, &reader);
}

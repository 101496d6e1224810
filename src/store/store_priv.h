/*
 * store_priv.h: what the files of this room share: the store itself, its prepared statements, and
 * the way from SQLite's result codes to ours.
 */
#ifndef WEIR_STORE_PRIV_H
#define WEIR_STORE_PRIV_H

#include <sqlite3.h>

#include "store.h"
#include "store_vfs.h"

/* Every statement the store knows; prepared when first used, kept until the store closes. */
enum store_statement {
	STORE_BEGIN,
	STORE_COMMIT,
	STORE_ROLLBACK,
	STORE_SAVEPOINT,
	STORE_SAVEPOINT_UNDO,
	STORE_SAVEPOINT_RELEASE,
	STORE_META_GET,
	STORE_META_PUT,
	STORE_CURSOR_GET,
	STORE_CURSOR_PUT,
	STORE_PART_ADD,
	STORE_PART_REMOVE,
	STORE_PARTS,
	STORE_PART_SET_ROLLED,
	STORE_TOMBSTONE_PUT,
	STORE_TOMBSTONE_SERIES_DONE,
	STORE_TOMBSTONE_JOURNAL_DONE,
	STORE_TOMBSTONE_SERIES_FAILED,
	STORE_TOMBSTONE_JOURNAL_FAILED,
	STORE_TOMBSTONES,
	STORE_VERSION_RAISE,
	STORE_KEY_ADD,
	STORE_KEY_REMOVE,
	STORE_KEYS,
	STORE_KEY_FIND,
	STORE_KEY_PUT,
	STORE_KEYS_PAGE,
	STORE_VERSION_GET,
	STORE_TENANT_ADD,
	STORE_TENANT_REMOVE,
	STORE_TENANT_USED,
	STORE_TENANT_FIND,
	STORE_TENANTS_PAGE,
	STORE_TENANT_DEVICE_PUT,
	STORE_TENANT_DEVICE_LAST,
	STORE_TENANT_NEXT_GATEWAY,
	STORE_TENANT_NEXT_VENUE,
	STORE_USER_ADD,
	STORE_USER_PUT,
	STORE_USER_REMOVE,
	STORE_USER_FIND,
	STORE_USER_FIND_ID,
	STORE_USERS_PAGE,
	STORE_USERS,
	STORE_DEVICE_ADD,
	STORE_DEVICE_PUT,
	STORE_DEVICE_REMOVE,
	STORE_DEVICE_FIND,
	STORE_DEVICES_PAGE,
	STORE_DEVICES_SEARCH,
	STORE_DEVICES_OF_USER,
	STORE_DEVICES,
	STORE_DEVICE_USER_ADD,
	STORE_USER_OF_TENANT,
	STORE_DEVICE_USERS_REMOVE,
	STORE_USER_DEVICES_REMOVE,
	STORE_GATEWAY_ADD,
	STORE_GATEWAY_PUT,
	STORE_GATEWAY_REMOVE,
	STORE_GATEWAY_FIND,
	STORE_GATEWAYS_PAGE,
	STORE_GATEWAYS,
	STORE_SECRET_NEXT,
	STORE_SECRET_ADD,
	STORE_SECRET_EXPIRE,
	STORE_SECRET_REMOVE,
	STORE_SECRETS_PAGE,
	STORE_SECRETS,
	STORE_VENUE_ADD,
	STORE_VENUE_PUT,
	STORE_VENUE_TOUCH,
	STORE_VENUE_REMOVE,
	STORE_VENUE_FIND,
	STORE_VENUES_PAGE,
	STORE_VENUES_OF_USER,
	STORE_VENUE_USER_ADD,
	STORE_VENUE_USERS_REMOVE,
	STORE_USER_VENUES_REMOVE,
	STORE_PLAN_PUT,
	STORE_PLAN_REMOVE,
	STORE_PLAN_GET,
	STORE_AUDIT_ADD,
	STORE_AUDITS_PAGE,
	STORE_AUDIT_TRIM,
	STORE_CHANNEL_ADD,
	STORE_CHANNEL_SET_TTL,
	STORE_CHANNEL_REMOVE,
	STORE_CHANNELS,
	STORE_MAKER_ADD,
	STORE_MAKER_REMOVE,
	STORE_MAKERS,
	STORE_STATEMENT_COUNT
};

/* Their SQL (store_statements.c). */
extern const char *const store_sql[STORE_STATEMENT_COUNT];

/* A transaction is open while one of these is about; it lives in the store. */
struct store_tx {
	struct store *store;
};

struct store {
	struct env *env;
	struct store_vfs *vfs;
	sqlite3 *db;
	sqlite3_stmt *statements[STORE_STATEMENT_COUNT]; /* NULL: not prepared yet */
	struct store_tx tx;
	int error_last; /* of the call that failed last */
	char error[320];
};

/* As store_open_explained, but migrates only up to `version` (for tests of migrations). */
int store_open_version(struct env *env, const char *dir, unsigned version, char *reason,
    size_t reason_size, struct store **ret_store);

/* The errno for a result code, after writing the sentence for store_error. 0 for SQLITE_OK. */
int store_result(struct store *store, int result);

/* Puts `sentence` where store_error finds it; returns `error`. */
int store_fail(struct store *store, int error, const char *sentence);

/* The statement, ready for binding. 0, -ENOMEM, -EIO, -EUCLEAN (its table is not there). */
int store_prepare(struct store *store, enum store_statement which, sqlite3_stmt **ret_statement);

/* 1: a row; 0: the end; or an errno. After 0 and errors the statement is reset; after a row that
 * is the last one wanted the caller calls store_reset. */
int store_step(struct store *store, sqlite3_stmt *statement);

/* Forgets bindings too: they point into memory of the caller's. */
void store_reset(sqlite3_stmt *statement);

/* Runs a statement that changes rows to its end. 0 or an errno; *ret_count (NULL ok): how many. */
int store_change(struct store *store, sqlite3_stmt *statement, unsigned *ret_count);

/* Gives each row to row(), which must leave the statement alone. A nonzero return ends it and is
 * returned. store_row: the one row there is, or -ENOENT. */
int store_rows(struct store *store, sqlite3_stmt *statement,
    int (*row)(void *ctx, sqlite3_stmt *statement), void *ctx);
int store_row(struct store *store, sqlite3_stmt *statement,
    int (*row)(void *ctx, sqlite3_stmt *statement), void *ctx);

/* Runs a statement to its end that answers one number, or nothing (-ENOENT). */
int store_number(struct store *store, sqlite3_stmt *statement, uint64_t *ret_value);

/* The next version of the registry, in the transaction of the change that it numbers. */
int store_version_raise(struct store *store, uint64_t *ret_version);

/* ── store_schema.c ── */

/* The version this program makes. */
unsigned store_schema_version(void);

/* Brings the file from the version it has up to `version`. 0, -EPROTO, -EUCLEAN, -EIO … */
int store_schema_migrate(struct store *store, unsigned version);

#endif

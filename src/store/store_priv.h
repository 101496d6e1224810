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
	STORE_VERSION_RAISE,
	STORE_KEY_ADD,
	STORE_KEY_REMOVE,
	STORE_KEYS,
	STORE_STATEMENT_COUNT
};

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

/* ── store_schema.c ── */

/* The version this program makes. */
unsigned store_schema_version(void);

/* Brings the file from the version it has up to `version`. 0, -EPROTO, -EUCLEAN, -EIO … */
int store_schema_migrate(struct store *store, unsigned version);

#endif

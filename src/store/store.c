/*
 * store.c: opening weir.db, and the transactions its units share.
 *
 * A unit runs within a savepoint, so its failure undoes it alone; the units of one call of
 * store_run commit together, and done() is called only after the sync of that commit (WAL with
 * synchronous=FULL: one sync each). Some failures of the disk make SQLite undo the whole
 * transaction at once; then no unit of it is committed and all are told so.
 *
 * After a failed sync SQLite goes on from the last commit that succeeded: what came after is
 * written again by the next transaction, not just synced again, and committed frames share no
 * sector with it (store_vfs.c). So the store stays right; whether the process goes on after -EIO
 * is for the server to say. A checkpoint that fails is silent: what it was to copy stays in the
 * WAL, and the next commit tries again from the start.
 */
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "store_priv.h"

#define FILE_NAME "weir.db"

/* For each connection, before the file is touched: exclusive locking first, for then the WAL needs
 * no shared memory. 512 KiB of cache hold the whole manifest of a small server. */
static const char open_sql[] =
	"PRAGMA locking_mode = EXCLUSIVE;"
	"PRAGMA temp_store = MEMORY;"
	"PRAGMA mmap_size = 0;"
	"PRAGMA cache_size = -512;"
	"PRAGMA trusted_schema = OFF;"
	"PRAGMA journal_mode = WAL;"
	"PRAGMA synchronous = FULL;"
	"PRAGMA journal_size_limit = 8388608;"
	"PRAGMA wal_autocheckpoint = 1000;";

/* ── errors ── */

const char *
store_error(const struct store *store)
{
	return store->error;
}

int
store_fail(struct store *store, int error, const char *sentence)
{
	snprintf(store->error, sizeof(store->error), "%s", sentence);
	store->error_last = error;
	return error;
}

/* What SQLite's code means to a caller; `world` is the env's own word, 0 when it has none. */
static int
result_errno(int result, int world)
{
	check(result != SQLITE_MISUSE && result != SQLITE_RANGE);
	switch (result & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_IOERR:
		return result == SQLITE_IOERR_NOMEM ? -ENOMEM : -EIO;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EWOULDBLOCK;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_CANTOPEN:
		return world ? world : -EIO;
	case SQLITE_READONLY:
		return -EACCES;
	default: /* corrupt, not a database, or not the tables its version promises */
		return -EUCLEAN;
	}
}

int
store_result(struct store *store, int result)
{
	const char *what;
	int primary = result & 0xff;
	int world;

	if (result == SQLITE_OK)
		return 0;
	world = store_vfs_error(store->vfs, &what);
	if (world && (primary == SQLITE_IOERR || primary == SQLITE_FULL ||
	    primary == SQLITE_CANTOPEN))
		snprintf(store->error, sizeof(store->error), FILE_NAME ": %s (%s: %s)",
		    sqlite3_errstr(result), what, strerrordesc_np(-world));
	else
		snprintf(store->error, sizeof(store->error), FILE_NAME ": %s",
		    store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(result));
	store->error_last = result_errno(result, world);
	return store->error_last;
}

/* ── statements ── */

int
store_prepare(struct store *store, enum store_statement which, sqlite3_stmt **ret_statement)
{
	if (store->statements[which] == NULL) {
		int error = store_result(store, sqlite3_prepare_v3(store->db, store_sql[which],
		    -1, SQLITE_PREPARE_PERSISTENT, &store->statements[which], NULL));

		if (error)
			return error;
	}
	*ret_statement = store->statements[which];
	return 0;
}

void
store_reset(sqlite3_stmt *statement)
{
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}

int
store_step(struct store *store, sqlite3_stmt *statement)
{
	int result = sqlite3_step(statement);
	int error;

	if (result == SQLITE_ROW)
		return 1;
	error = result == SQLITE_DONE ? 0 : store_result(store, result);
	store_reset(statement);
	return error;
}

int
store_change(struct store *store, sqlite3_stmt *statement, unsigned *ret_count)
{
	int error = store_step(store, statement);

	check(error <= 0);
	if (error == 0 && ret_count)
		*ret_count = (unsigned)sqlite3_changes(store->db);
	return error;
}

int
store_rows(struct store *store, sqlite3_stmt *statement,
    int (*row)(void *ctx, sqlite3_stmt *statement), void *ctx)
{
	int error;

	while ((error = store_step(store, statement)) == 1) {
		error = row(ctx, statement);
		if (error)
			break;
	}
	store_reset(statement);
	return error;
}

int
store_row(struct store *store, sqlite3_stmt *statement,
    int (*row)(void *ctx, sqlite3_stmt *statement), void *ctx)
{
	int error = store_step(store, statement);

	if (error == 0)
		return -ENOENT;
	if (error == 1)
		error = row(ctx, statement);
	store_reset(statement);
	return error;
}

int
store_number(struct store *store, sqlite3_stmt *statement, uint64_t *ret_value)
{
	uint64_t value;
	int error = store_step(store, statement);

	if (error <= 0)
		return error ? error : -ENOENT;
	value = (uint64_t)sqlite3_column_int64(statement, 0);
	error = store_step(store, statement);
	if (error < 0)
		return error;
	if (error == 1) {
		store_reset(statement);
		return store_fail(store, -EUCLEAN, "weir.db has two rows where one must be");
	}
	*ret_value = value;
	return 0;
}

/* A statement without values or rows. */
static int
execute(struct store *store, enum store_statement which)
{
	sqlite3_stmt *statement;
	int error = store_prepare(store, which, &statement);

	return error ? error : store_step(store, statement);
}

/* ── open, close ── */

static int
database_open(struct store *store, unsigned version)
{
	int result, error;

	/* The name is all SQLite sees of the path: no "file:" in it, no limit of length. */
	result = sqlite3_open_v2(FILE_NAME, &store->db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
	    store_vfs_name(store->vfs));
	error = store->db ? store_result(store, result) : -ENOMEM;
	if (error)
		return error;
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	error = store_result(store, sqlite3_exec(store->db, open_sql, NULL, NULL, NULL));
	if (error == 0)
		error = store_schema_migrate(store, version);
	if (error)
		return error;
	/* A killed process may have left a commit in the page cache that no sync has reached. It
	 * is about to be believed, so it must last. A checkpoint syncs the WAL first, so where
	 * only the space for the copying is missing all is well. It must not cut the WAL: where
	 * the power goes meanwhile a part of it may be left, older than the database by then. */
	result = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_FULL, NULL, NULL);
	return result == SQLITE_FULL ? 0 : store_result(store, result);
}

int
store_open_version(struct env *env, const char *dir, unsigned version, char *reason,
    size_t reason_size, struct store **ret_store)
{
	struct store *store = calloc(1, sizeof(*store));
	int error = -ENOMEM;

	if (store == NULL)
		goto fail;
	store->env = env;
	store->tx.store = store;
	error = store_vfs_create(env, dir, &store->vfs);
	if (error)
		goto fail;
	error = database_open(store, version);
	if (error)
		goto fail;
	*ret_store = store;
	return 0;

fail:
	snprintf(reason, reason_size, "%s", error == -ENOMEM ? "out of memory" : store->error);
	store_close(store);
	return error;
}

int
store_open_explained(struct env *env, const char *dir, char *reason, size_t reason_size,
    struct store **ret_store)
{
	return store_open_version(env, dir, store_schema_version(), reason, reason_size,
	    ret_store);
}

int
store_open(struct env *env, const char *dir, struct store **ret_store)
{
	char reason[1];

	return store_open_explained(env, dir, reason, sizeof(reason), ret_store);
}

void
store_close(struct store *store)
{
	if (store == NULL)
		return;
	for (size_t i = 0; i < ARRAY_COUNT(store->statements); i++)
		sqlite3_finalize(store->statements[i]);
	check(sqlite3_close(store->db) == SQLITE_OK); /* nothing else holds it */
	store_vfs_destroy(store->vfs);
	free(store);
}

/* ── units ── */

/* Whether SQLite has undone the whole transaction by itself. */
static bool
transaction_is_gone(const struct store *store)
{
	return sqlite3_get_autocommit(store->db) != 0;
}

/* Runs one unit in a savepoint; its own failure goes to unit->error. The failure that is returned
 * is that of the transaction. */
static int
unit_apply(struct store *store, struct store_unit *unit)
{
	int error = execute(store, STORE_SAVEPOINT);

	if (error)
		return error;
	store->error_last = 0;
	unit->error = unit->apply(unit, &store->tx);
	check(unit->error <= 0);
	if (transaction_is_gone(store))
		return store->error_last ? store->error_last : -EIO;
	if (unit->error)
		error = execute(store, STORE_SAVEPOINT_UNDO);
	return error ? error : execute(store, STORE_SAVEPOINT_RELEASE);
}

static int
transaction_run(struct store *store, struct store_unit *units)
{
	int error = execute(store, STORE_BEGIN);

	if (error)
		return error;
	for (struct store_unit *unit = units; unit; unit = unit->next) {
		error = unit_apply(store, unit);
		if (error)
			goto fail;
	}
	error = execute(store, STORE_COMMIT);
	if (error)
		goto fail;
	return 0;

fail:
	if (!transaction_is_gone(store)) {
		char kept[sizeof(store->error)];

		/* Cannot fail in a way that leaves the transaction open; the first reason is the
		 * one to tell. */
		memcpy(kept, store->error, sizeof(kept));
		execute(store, STORE_ROLLBACK);
		memcpy(store->error, kept, sizeof(kept));
		check(transaction_is_gone(store));
	}
	return error;
}

void
store_run(struct store *store, struct store_unit *units)
{
	int error;

	if (units == NULL)
		return;
	for (struct store_unit *unit = units; unit; unit = unit->next)
		unit->error = 0;
	error = transaction_run(store, units);
	for (struct store_unit *unit = units, *next; unit; unit = next) {
		next = unit->next;
		unit->done(unit, unit->error ? unit->error : error);
	}
}

/*
 * store_schema.c: the tables of weir.db, as numbered migrations. Step N brings a file of version
 * N - 1 to version N, in one transaction that also sets user_version; a step that has left this
 * house is never changed again, the next change is a new step. Drawn in docs/data-files.md.
 *
 * Integers of 64 bits without sign are kept as SQLite's signed ones, bit for bit.
 */
#include <errno.h>
#include <stdio.h>

#include "check.h"
#include "store_priv.h"

static const char *const steps[] = {
	/* 1 */
	"CREATE TABLE meta ("
	"  name TEXT PRIMARY KEY,"
	"  value BLOB NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE cursor ("
	"  processor TEXT NOT NULL,"
	"  partition INTEGER NOT NULL,"
	"  seq INTEGER NOT NULL,"
	"  PRIMARY KEY (processor, partition)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE part ("
	"  id INTEGER PRIMARY KEY,"
	"  partition INTEGER NOT NULL,"
	"  day INTEGER NOT NULL,"
	"  level INTEGER NOT NULL,"
	"  seq_first INTEGER NOT NULL,"
	"  seq_last INTEGER NOT NULL,"
	"  time_first INTEGER NOT NULL,"
	"  time_last INTEGER NOT NULL,"
	"  points INTEGER NOT NULL,"
	"  series INTEGER NOT NULL,"
	"  bytes INTEGER NOT NULL"
	") STRICT;"
	"CREATE TABLE registry_version ("
	"  version INTEGER NOT NULL"
	") STRICT;"
	"INSERT INTO registry_version VALUES (0);"
	"CREATE TABLE key ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  tenant TEXT NOT NULL,"
	"  name TEXT NOT NULL,"
	"  hash BLOB NOT NULL UNIQUE,"
	"  rights INTEGER NOT NULL,"
	"  channels TEXT NOT NULL,"
	"  created_ms INTEGER NOT NULL,"
	"  version INTEGER NOT NULL,"
	"  UNIQUE (tenant, name)"
	") STRICT;"
	"PRAGMA application_id = 1464158546;" /* "WEIR" */
	"PRAGMA user_version = 1;",
};

#define APPLICATION_ID 1464158546

unsigned
store_schema_version(void)
{
	return ARRAY_COUNT(steps);
}

/* One number that a pragma or a count answers. */
static int
ask(struct store *store, const char *sql, int64_t *ret_value)
{
	sqlite3_stmt *statement = NULL;
	int result = sqlite3_prepare_v3(store->db, sql, -1, 0, &statement, NULL);
	int error;

	if (result != SQLITE_OK)
		return store_result(store, result);
	result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		*ret_value = sqlite3_column_int64(statement, 0);
	error = result == SQLITE_ROW ? 0 : store_result(store, result);
	sqlite3_finalize(statement);
	return error;
}

static int
step_run(struct store *store, unsigned from)
{
	int64_t version = 0;
	int result = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	int error;

	if (result == SQLITE_OK)
		result = sqlite3_exec(store->db, steps[from], NULL, NULL, NULL);
	error = store_result(store, result);
	if (error == 0)
		error = ask(store, "PRAGMA user_version", &version);
	if (error)
		goto fail;
	check(version == (int64_t)from + 1);
	error = store_result(store, sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL));
	if (error)
		goto fail;
	return 0;

fail:
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return error;
}

/* A file without a version is ours only when it is empty. */
static int
check_owner(struct store *store, int64_t version)
{
	int64_t application = 0, tables = 0;
	int error = ask(store, "PRAGMA application_id", &application);

	if (error == 0)
		error = ask(store, "SELECT count(*) FROM sqlite_schema", &tables);
	if (error)
		return error;
	if (version == 0 ? tables > 0 : application != APPLICATION_ID)
		return store_fail(store, -EUCLEAN, "weir.db is a database of another program");
	return 0;
}

int
store_schema_migrate(struct store *store, unsigned version)
{
	int64_t current = 0;
	int error = ask(store, "PRAGMA user_version", &current);

	check(version <= ARRAY_COUNT(steps));
	if (error == 0)
		error = check_owner(store, current);
	if (error)
		return error;
	if (current < 0 || current > (int64_t)version) {
		char sentence[128];

		snprintf(sentence, sizeof(sentence), "weir.db has version %lld, made by a newer"
		    " Weir; this one knows versions up to %u", (long long)current, version);
		return store_fail(store, -EPROTO, sentence);
	}
	while (error == 0 && current < (int64_t)version)
		error = step_run(store, (unsigned)current++);
	return error;
}

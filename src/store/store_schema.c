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

	/* 2: the registry. A device's id_len (bytes of its id) makes numbers ascend. */
	"CREATE TABLE tenant ("
	"  name TEXT PRIMARY KEY,"
	"  created_ms INTEGER NOT NULL,"
	"  device_last INTEGER NOT NULL DEFAULT 0,"
	"  gateway_last INTEGER NOT NULL DEFAULT 0,"
	"  venue_last INTEGER NOT NULL DEFAULT 0,"
	"  version INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"INSERT INTO tenant (name, created_ms, version) VALUES ('main', 0, 0);"
	"INSERT INTO tenant (name, created_ms, version)"
	"  SELECT DISTINCT tenant, 0, 0 FROM key WHERE tenant <> 'main';"
	"CREATE TABLE user ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  tenant TEXT NOT NULL,"
	"  name TEXT NOT NULL,"
	"  permission INTEGER NOT NULL,"
	"  node INTEGER NOT NULL,"
	"  hash TEXT NOT NULL,"
	"  generation INTEGER NOT NULL,"
	"  contacts TEXT NOT NULL,"
	"  language TEXT NOT NULL,"
	"  tz TEXT NOT NULL,"
	"  created_ms INTEGER NOT NULL,"
	"  version INTEGER NOT NULL,"
	"  UNIQUE (tenant, name)"
	") STRICT;"
	"CREATE TABLE device ("
	"  tenant TEXT NOT NULL,"
	"  id_len INTEGER NOT NULL,"
	"  id TEXT NOT NULL,"
	"  name TEXT NOT NULL COLLATE NOCASE,"
	"  grp TEXT NOT NULL,"
	"  place TEXT NOT NULL,"
	"  hash BLOB NOT NULL,"
	"  state INTEGER NOT NULL,"
	"  gateway INTEGER NOT NULL,"
	"  created_ms INTEGER NOT NULL,"
	"  version INTEGER NOT NULL,"
	"  config TEXT NOT NULL,"
	"  PRIMARY KEY (tenant, id_len, id)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX device_name ON device (tenant, name, id_len, id);"
	"CREATE TABLE device_user ("
	"  user INTEGER NOT NULL,"
	"  tenant TEXT NOT NULL,"
	"  id_len INTEGER NOT NULL,"
	"  device TEXT NOT NULL,"
	"  PRIMARY KEY (user, tenant, id_len, device)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX device_user_device ON device_user (tenant, device);"
	"CREATE TABLE gateway ("
	"  tenant TEXT NOT NULL,"
	"  id INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  state TEXT NOT NULL,"
	"  config TEXT NOT NULL,"
	"  hash BLOB NOT NULL,"
	"  may_enrol INTEGER NOT NULL,"
	"  created_ms INTEGER NOT NULL,"
	"  version INTEGER NOT NULL,"
	"  PRIMARY KEY (tenant, id)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE secret_last ("
	"  id INTEGER NOT NULL"
	") STRICT;"
	"INSERT INTO secret_last VALUES (0);"
	"CREATE TABLE secret ("
	"  id INTEGER PRIMARY KEY,"
	"  tenant TEXT NOT NULL,"
	"  kind INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  sealed BLOB NOT NULL,"
	"  created_ms INTEGER NOT NULL,"
	"  expires_ms INTEGER NOT NULL,"
	"  version INTEGER NOT NULL,"
	"  UNIQUE (tenant, kind, name)"
	") STRICT;"
	"CREATE TABLE venue ("
	"  tenant TEXT NOT NULL,"
	"  id INTEGER NOT NULL,"
	"  name TEXT NOT NULL,"
	"  items TEXT NOT NULL,"
	"  created_ms INTEGER NOT NULL,"
	"  version INTEGER NOT NULL,"
	"  PRIMARY KEY (tenant, id)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE venue_user ("
	"  user INTEGER NOT NULL,"
	"  tenant TEXT NOT NULL,"
	"  venue INTEGER NOT NULL,"
	"  PRIMARY KEY (user, tenant, venue)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX venue_user_venue ON venue_user (tenant, venue);"
	"CREATE TABLE venue_plan ("
	"  tenant TEXT NOT NULL,"
	"  venue INTEGER NOT NULL,"
	"  type TEXT NOT NULL,"
	"  bytes BLOB NOT NULL,"
	"  PRIMARY KEY (tenant, venue)"
	") STRICT;"
	"CREATE TABLE audit ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  tenant TEXT NOT NULL,"
	"  time_ms INTEGER NOT NULL,"
	"  who TEXT NOT NULL,"
	"  what TEXT NOT NULL,"
	"  object TEXT NOT NULL,"
	"  origin TEXT NOT NULL,"
	"  before TEXT NOT NULL,"
	"  after TEXT NOT NULL"
	") STRICT;"
	"CREATE INDEX audit_tenant ON audit (tenant, id);"
	"CREATE INDEX audit_time ON audit (time_ms);"
	"PRAGMA user_version = 2;",

	/* 3: roll-ups, and devices whose data is erased. */
	"ALTER TABLE part ADD COLUMN rollup INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE part ADD COLUMN rolled INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE tombstone ("
	"  tenant TEXT NOT NULL,"
	"  device TEXT NOT NULL,"
	"  seq INTEGER NOT NULL,"
	"  part INTEGER NOT NULL,"
	"  created_ms INTEGER NOT NULL,"
	"  series_done_ms INTEGER NOT NULL,"
	"  journal_done_ms INTEGER NOT NULL,"
	"  PRIMARY KEY (tenant, device)"
	") STRICT, WITHOUT ROWID;"
	"PRAGMA user_version = 3;",

	/* 4: durable channels. */
	"CREATE TABLE channel ("
	"  id INTEGER PRIMARY KEY,"
	"  tenant TEXT NOT NULL,"
	"  name TEXT NOT NULL,"
	"  meta TEXT NOT NULL,"
	"  created_ms INTEGER NOT NULL,"
	"  ttl_ms INTEGER NOT NULL,"
	"  history_ms INTEGER NOT NULL,"
	"  history_bytes INTEGER NOT NULL,"
	"  history_messages INTEGER NOT NULL,"
	"  UNIQUE (tenant, name)"
	") STRICT;"
	"PRAGMA user_version = 4;",

	/* 5: who made which series, by hashes of both. */
	"CREATE TABLE maker ("
	"  series INTEGER PRIMARY KEY,"
	"  maker INTEGER NOT NULL"
	") STRICT;"
	"PRAGMA user_version = 5;",

	/* 6: channels that show who is there. */
	"ALTER TABLE channel"
	"  ADD COLUMN presence INTEGER NOT NULL DEFAULT 0;"
	"PRAGMA user_version = 6;",

	/* 7: why an erasure could not be ended. */
	"ALTER TABLE tombstone ADD COLUMN series_failure TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE tombstone ADD COLUMN journal_failure TEXT NOT NULL DEFAULT '';"
	"PRAGMA user_version = 7;",

	/* 8: channels that say what becomes of subscribers that are too slow. */
	"ALTER TABLE channel"
	"  ADD COLUMN slow INTEGER NOT NULL DEFAULT 0;"
	"PRAGMA user_version = 8;",
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

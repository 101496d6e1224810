/*
 * store_statements.c: the SQL of every question and change. Nothing here is a value that comes from
 * outside; those are bound.
 *
 * What a bulk import runs (the version, tenants' last id, devices and their users) changes one row
 * by its key, without RETURNING and SELECT: for anything else SQLite keeps a journal of the
 * statement, and ending that one within a unit's savepoint costs time in proportion to all pages
 * that the unit has changed so far.
 */
#include "store_priv.h"

#define DEVICE_COLUMNS "d.tenant, d.id, d.name, d.grp, d.place, d.config, d.hash, d.state," \
	" d.gateway, d.created_ms, d.version," \
	" (SELECT group_concat(user) FROM device_user AS u" \
	" WHERE u.tenant = d.tenant AND u.device = d.id)"
#define USER_COLUMNS "id, tenant, name, permission, node, hash, generation, contacts, language," \
	" tz, created_ms, version"
#define GATEWAY_COLUMNS "tenant, id, name, state, config, hash, may_enrol, created_ms, version"
#define SECRET_COLUMNS "id, tenant, kind, name, sealed, created_ms, expires_ms, version"
#define CHANNEL_COLUMNS "id, tenant, name, meta, created_ms, ttl_ms, history_ms, history_bytes," \
	" history_messages, presence, slow"
#define VENUE_COLUMNS "v.tenant, v.id, v.name, v.items, v.created_ms, v.version," \
	" EXISTS (SELECT 1 FROM venue_plan AS p WHERE p.tenant = v.tenant AND p.venue = v.id)," \
	" (SELECT group_concat(user) FROM venue_user AS u" \
	" WHERE u.tenant = v.tenant AND u.venue = v.id)"

const char *const store_sql[STORE_STATEMENT_COUNT] = {
	[STORE_BEGIN] = "BEGIN IMMEDIATE",
	[STORE_COMMIT] = "COMMIT",
	[STORE_ROLLBACK] = "ROLLBACK",
	[STORE_SAVEPOINT] = "SAVEPOINT unit",
	[STORE_SAVEPOINT_UNDO] = "ROLLBACK TO unit",
	[STORE_SAVEPOINT_RELEASE] = "RELEASE unit",
	[STORE_META_GET] = "SELECT value FROM meta WHERE name = ?1",
	[STORE_META_PUT] = "INSERT INTO meta (name, value) VALUES (?1, ?2)"
	    " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
	[STORE_CURSOR_GET] = "SELECT seq FROM cursor WHERE processor = ?1 AND partition = ?2",
	[STORE_CURSOR_PUT] = "INSERT INTO cursor (processor, partition, seq) VALUES (?1, ?2, ?3)"
	    " ON CONFLICT (processor, partition) DO UPDATE SET seq = excluded.seq",
	[STORE_PART_ADD] = "INSERT INTO part (id, partition, day, level, seq_first, seq_last,"
	    " time_first, time_last, points, series, bytes, rollup, rolled)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
	[STORE_PART_REMOVE] = "DELETE FROM part WHERE id = ?1",
	[STORE_PARTS] = "SELECT id, partition, day, level, seq_first, seq_last, time_first,"
	    " time_last, points, series, bytes, rollup, rolled FROM part"
	    " ORDER BY partition, rollup, day, seq_first, id",
	[STORE_PART_SET_ROLLED] = "UPDATE part SET rolled = ?2 WHERE id = ?1",
	[STORE_TOMBSTONE_PUT] = "INSERT INTO tombstone (tenant, device, seq, part, created_ms,"
	    " series_done_ms, journal_done_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
	    " ON CONFLICT (tenant, device) DO UPDATE SET seq = excluded.seq,"
	    " part = excluded.part, created_ms = excluded.created_ms,"
	    " series_done_ms = excluded.series_done_ms,"
	    " journal_done_ms = excluded.journal_done_ms,"
	    " series_failure = '', journal_failure = ''",
	[STORE_TOMBSTONE_SERIES_DONE] = "UPDATE tombstone SET series_done_ms = ?4,"
	    " series_failure = '' WHERE tenant = ?1 AND device = ?2 AND seq = ?3",
	[STORE_TOMBSTONE_JOURNAL_DONE] = "UPDATE tombstone SET journal_done_ms = ?4,"
	    " journal_failure = '' WHERE tenant = ?1 AND device = ?2 AND seq = ?3",
	[STORE_TOMBSTONE_SERIES_FAILED] = "UPDATE tombstone SET series_failure = ?4"
	    " WHERE tenant = ?1 AND device = ?2 AND seq = ?3 AND series_done_ms = 0",
	[STORE_TOMBSTONE_JOURNAL_FAILED] = "UPDATE tombstone SET journal_failure = ?4"
	    " WHERE tenant = ?1 AND device = ?2 AND seq = ?3 AND journal_done_ms = 0",
	[STORE_TOMBSTONES] = "SELECT tenant, device, seq, part, created_ms, series_done_ms,"
	    " journal_done_ms, series_failure, journal_failure FROM tombstone"
	    " ORDER BY tenant, device",
	[STORE_VERSION_RAISE] = "UPDATE registry_version SET version = version + 1"
	    " WHERE rowid = 1",
	[STORE_KEY_ADD] = "INSERT INTO key (tenant, name, hash, rights, channels, created_ms,"
	    " version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[STORE_KEY_REMOVE] = "DELETE FROM key WHERE tenant = ?1 AND name = ?2",
	[STORE_KEYS] = "SELECT id, tenant, name, hash, rights, channels, created_ms, version"
	    " FROM key ORDER BY id",

	[STORE_KEY_FIND] = "SELECT id, tenant, name, hash, rights, channels, created_ms, version"
	    " FROM key WHERE tenant = ?1 AND name = ?2",
	[STORE_KEY_PUT] = "UPDATE key SET rights = ?3, channels = ?4, version = ?5"
	    " WHERE tenant = ?1 AND name = ?2",
	[STORE_KEYS_PAGE] = "SELECT id, tenant, name, hash, rights, channels, created_ms, version"
	    " FROM key WHERE tenant = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
	[STORE_VERSION_GET] = "SELECT version FROM registry_version",

	[STORE_TENANT_ADD] = "INSERT INTO tenant (name, created_ms, version) VALUES (?1, ?2, ?3)",
	[STORE_TENANT_REMOVE] = "DELETE FROM tenant WHERE name = ?1",
	[STORE_TENANT_USED] = "SELECT EXISTS (SELECT 1 FROM user WHERE tenant = ?1)"
	    " OR EXISTS (SELECT 1 FROM device WHERE tenant = ?1)"
	    " OR EXISTS (SELECT 1 FROM gateway WHERE tenant = ?1)"
	    " OR EXISTS (SELECT 1 FROM key WHERE tenant = ?1)"
	    " OR EXISTS (SELECT 1 FROM secret WHERE tenant = ?1)"
	    " OR EXISTS (SELECT 1 FROM venue WHERE tenant = ?1)",
	[STORE_TENANT_FIND] = "SELECT name, created_ms, version FROM tenant WHERE name = ?1",
	[STORE_TENANTS_PAGE] = "SELECT name, created_ms, version FROM tenant WHERE name > ?1"
	    " ORDER BY name LIMIT ?2",
	[STORE_TENANT_DEVICE_PUT] = "UPDATE tenant SET device_last = ?2 WHERE name = ?1",
	[STORE_TENANT_DEVICE_LAST] = "SELECT device_last FROM tenant WHERE name = ?1",
	[STORE_TENANT_NEXT_GATEWAY] = "UPDATE tenant SET gateway_last = gateway_last + 1"
	    " WHERE name = ?1 RETURNING gateway_last",
	[STORE_TENANT_NEXT_VENUE] = "UPDATE tenant SET venue_last = venue_last + 1"
	    " WHERE name = ?1 RETURNING venue_last",

	[STORE_USER_ADD] = "INSERT INTO user (tenant, name, permission, node, hash, generation,"
	    " contacts, language, tz, created_ms, version)"
	    " SELECT ?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8, ?9, ?10"
	    " WHERE EXISTS (SELECT 1 FROM tenant WHERE name = ?1)",
	[STORE_USER_PUT] = "UPDATE user SET permission = ?3, node = ?4, hash = ?5, generation = ?6,"
	    " contacts = ?7, language = ?8, tz = ?9, version = ?10"
	    " WHERE tenant = ?1 AND name = ?2",
	[STORE_USER_REMOVE] = "DELETE FROM user WHERE tenant = ?1 AND name = ?2 RETURNING id",
	[STORE_USER_FIND] = "SELECT " USER_COLUMNS " FROM user WHERE tenant = ?1 AND name = ?2",
	[STORE_USER_FIND_ID] = "SELECT " USER_COLUMNS " FROM user WHERE id = ?1",
	[STORE_USERS_PAGE] = "SELECT " USER_COLUMNS " FROM user WHERE tenant = ?1 AND name > ?2"
	    " AND name >= ?3 AND name < ?4 ORDER BY name LIMIT ?5",
	[STORE_USERS] = "SELECT " USER_COLUMNS " FROM user ORDER BY id",

	[STORE_DEVICE_ADD] = "INSERT INTO device (tenant, id_len, id, name, grp, place, config,"
	    " hash, state, gateway, created_ms, version)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
	[STORE_DEVICE_PUT] = "UPDATE device SET name = ?4, grp = ?5, place = ?6, config = ?7,"
	    " hash = ?8, state = ?9, gateway = ?10, version = ?11"
	    " WHERE tenant = ?1 AND id_len = ?2 AND id = ?3",
	[STORE_DEVICE_REMOVE] = "DELETE FROM device WHERE tenant = ?1 AND id_len = ?2 AND id = ?3",
	[STORE_DEVICE_FIND] = "SELECT " DEVICE_COLUMNS " FROM device AS d"
	    " WHERE tenant = ?1 AND id_len = ?2 AND id = ?3",
	[STORE_DEVICES_PAGE] = "SELECT " DEVICE_COLUMNS " FROM device AS d"
	    " WHERE tenant = ?1 AND (id_len, id) > (?2, ?3) ORDER BY id_len, id LIMIT ?4",
	[STORE_DEVICES_SEARCH] = "SELECT " DEVICE_COLUMNS " FROM device AS d"
	    " WHERE tenant = ?1 AND name >= ?2 AND name < ?3 AND (name, id_len, id) > (?4, ?5, ?6)"
	    " AND substr(name, 1, length(?2)) = ?2 COLLATE NOCASE"
	    " ORDER BY name, id_len, id LIMIT ?7",
	[STORE_DEVICES_OF_USER] = "SELECT " DEVICE_COLUMNS " FROM device_user AS s"
	    " CROSS JOIN device AS d"
	    " ON d.tenant = s.tenant AND d.id_len = s.id_len AND d.id = s.device"
	    " WHERE s.user = ?2 AND s.tenant = ?1 AND (s.id_len, s.device) > (?3, ?4)"
	    " ORDER BY s.id_len, s.device LIMIT ?5",
	[STORE_DEVICES] = "SELECT tenant, id, hash, state, gateway, version,"
	    " (SELECT group_concat(user) FROM device_user AS u"
	    " WHERE u.tenant = d.tenant AND u.device = d.id)"
	    " FROM device AS d ORDER BY tenant, id_len, id",
	[STORE_DEVICE_USER_ADD] = "INSERT OR IGNORE INTO device_user"
	    " (tenant, id_len, device, user) VALUES (?1, ?2, ?3, ?4)",
	[STORE_USER_OF_TENANT] = "SELECT id FROM user WHERE id = ?2 AND tenant = ?1",
	[STORE_DEVICE_USERS_REMOVE] = "DELETE FROM device_user WHERE tenant = ?1 AND device = ?2",
	[STORE_USER_DEVICES_REMOVE] = "DELETE FROM device_user WHERE user = ?1",

	[STORE_GATEWAY_ADD] = "INSERT INTO gateway (" GATEWAY_COLUMNS ")"
	    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9"
	    " WHERE EXISTS (SELECT 1 FROM tenant WHERE name = ?1)",
	[STORE_GATEWAY_PUT] = "UPDATE gateway SET name = ?3, state = ?4, config = ?5, hash = ?6,"
	    " may_enrol = ?7, version = ?8 WHERE tenant = ?1 AND id = ?2",
	[STORE_GATEWAY_REMOVE] = "DELETE FROM gateway WHERE tenant = ?1 AND id = ?2",
	[STORE_GATEWAY_FIND] = "SELECT " GATEWAY_COLUMNS " FROM gateway"
	    " WHERE tenant = ?1 AND id = ?2",
	[STORE_GATEWAYS_PAGE] = "SELECT " GATEWAY_COLUMNS " FROM gateway"
	    " WHERE tenant = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
	[STORE_GATEWAYS] = "SELECT " GATEWAY_COLUMNS " FROM gateway ORDER BY tenant, id",

	[STORE_SECRET_NEXT] = "UPDATE secret_last SET id = id + 1 RETURNING id",
	[STORE_SECRET_ADD] = "INSERT INTO secret (" SECRET_COLUMNS ")"
	    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8"
	    " WHERE EXISTS (SELECT 1 FROM tenant WHERE name = ?2)",
	[STORE_SECRET_EXPIRE] = "UPDATE secret SET expires_ms = ?2, version = ?3 WHERE id = ?1",
	[STORE_SECRET_REMOVE] = "DELETE FROM secret WHERE tenant = ?1 AND kind = ?2 AND name = ?3"
	    " RETURNING id",
	[STORE_SECRETS_PAGE] = "SELECT " SECRET_COLUMNS " FROM secret"
	    " WHERE tenant = ?1 AND kind = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
	[STORE_SECRETS] = "SELECT " SECRET_COLUMNS " FROM secret ORDER BY id",

	[STORE_VENUE_ADD] = "INSERT INTO venue (tenant, id, name, items, created_ms, version)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[STORE_VENUE_PUT] = "UPDATE venue SET name = ?3, items = ?4, version = ?5"
	    " WHERE tenant = ?1 AND id = ?2",
	[STORE_VENUE_TOUCH] = "UPDATE venue SET version = ?3 WHERE tenant = ?1 AND id = ?2",
	[STORE_VENUE_REMOVE] = "DELETE FROM venue WHERE tenant = ?1 AND id = ?2",
	[STORE_VENUE_FIND] = "SELECT " VENUE_COLUMNS " FROM venue AS v"
	    " WHERE tenant = ?1 AND id = ?2",
	[STORE_VENUES_PAGE] = "SELECT " VENUE_COLUMNS " FROM venue AS v"
	    " WHERE tenant = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
	[STORE_VENUES_OF_USER] = "SELECT " VENUE_COLUMNS " FROM venue_user AS s"
	    " CROSS JOIN venue AS v ON v.tenant = s.tenant AND v.id = s.venue"
	    " WHERE s.user = ?2 AND s.tenant = ?1 AND s.venue > ?3 ORDER BY s.venue LIMIT ?4",
	[STORE_VENUE_USER_ADD] = "INSERT OR IGNORE INTO venue_user (tenant, venue, user)"
	    " VALUES (?1, ?2, ?3)",
	[STORE_VENUE_USERS_REMOVE] = "DELETE FROM venue_user WHERE tenant = ?1 AND venue = ?2",
	[STORE_USER_VENUES_REMOVE] = "DELETE FROM venue_user WHERE user = ?1",
	[STORE_PLAN_PUT] = "INSERT INTO venue_plan (tenant, venue, type, bytes)"
	    " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (tenant, venue)"
	    " DO UPDATE SET type = excluded.type, bytes = excluded.bytes",
	[STORE_PLAN_REMOVE] = "DELETE FROM venue_plan WHERE tenant = ?1 AND venue = ?2",
	[STORE_PLAN_GET] = "SELECT type, bytes FROM venue_plan WHERE tenant = ?1 AND venue = ?2",

	[STORE_AUDIT_ADD] = "INSERT INTO audit (tenant, time_ms, who, what, object, origin,"
	    " before, after) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[STORE_AUDITS_PAGE] = "SELECT id, tenant, time_ms, who, what, object, origin, before, after"
	    " FROM audit WHERE tenant = ?1 AND id < ?2 AND time_ms >= ?3 AND time_ms < ?4"
	    " ORDER BY id DESC LIMIT ?5",
	[STORE_AUDIT_TRIM] = "DELETE FROM audit WHERE id IN"
	    " (SELECT id FROM audit WHERE time_ms < ?1 ORDER BY time_ms LIMIT ?2)",

	[STORE_CHANNEL_ADD] = "INSERT OR REPLACE INTO channel (" CHANNEL_COLUMNS ")"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
	    " ?11)",
	[STORE_CHANNEL_SET_TTL] = "UPDATE channel SET ttl_ms = ?2 WHERE id = ?1",
	[STORE_CHANNEL_REMOVE] = "DELETE FROM channel WHERE id = ?1",
	[STORE_CHANNELS] = "SELECT " CHANNEL_COLUMNS " FROM channel ORDER BY id",

	[STORE_MAKER_ADD] = "INSERT OR IGNORE INTO maker (series, maker) VALUES (?1, ?2)",
	[STORE_MAKER_REMOVE] = "DELETE FROM maker WHERE series = ?1",
	[STORE_MAKERS] = "SELECT series, maker FROM maker",
};

/*
 * test_schema.c: migrations: from every earlier version to this one with all that was in it, never
 * back. A new step of the schema adds a row to `samples`.
 */
#include "store_model.h"

/* For version N, at N: what a program of that version could have put in (SQL of that time), and
 * how a program of today finds it. */
static void
find_version_1(struct store *store)
{
	char value[8];
	size_t len;
	uint64_t seq;

	assert_int_equal(store_meta_get(store, "node", value, sizeof(value), &len), 0);
	assert_true(span_eq(span_of(value, len), SPAN("abc")));
	assert_int_equal(store_cursor_get(store, "series", 3, &seq), 0);
	assert_true(seq == 77);
}

static const struct {
	const char *sql;
	void (*find)(struct store *store);
} samples[] = {
	{"", NULL},
	{"INSERT INTO meta VALUES ('node', x'616263');"
	 "INSERT INTO cursor VALUES ('series', 3, 77);"
	 "INSERT INTO part VALUES (5, 3, 19000, 0, 1, 76, 10, 20, 100, 2, 900);"
	 "UPDATE registry_version SET version = 4;"
	 "INSERT INTO key VALUES (9, 'main', 'ward', x'00', 1, '', 0, 4);", find_version_1},
};

static void
execute(struct store *store, const char *sql)
{
	char *error = NULL;

	if (sqlite3_exec(store->db, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", sql, error);
}

static struct store *
open_version(struct place *place, unsigned version)
{
	struct store *store = NULL;
	char reason[200] = "";

	if (store_open_version(place->env, place->dir, version, reason, sizeof(reason), &store))
		fail_msg("version %u: %s", version, reason);
	return store;
}

static int
user_version(struct store *store)
{
	sqlite3_stmt *statement = NULL;
	int version;

	assert_int_equal(sqlite3_prepare_v2(store->db, "PRAGMA user_version", -1, &statement,
	    NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	version = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return version;
}

static void
every_earlier_version_is_brought_up_with_its_rows(void **state)
{
	struct place *place = *state;

	assert_int_equal(ARRAY_COUNT(samples), store_schema_version() + 1);
	for (unsigned version = 0; version <= store_schema_version(); version++) {
		struct store *store = open_version(place, version);

		assert_int_equal(user_version(store), version);
		execute(store, samples[version].sql);
		store_close(store);
		store = store_must_open(place->env, place->dir);
		assert_int_equal(user_version(store), store_schema_version());
		if (samples[version].find)
			samples[version].find(store);
		model_check_integrity(store);
		store_close(store);
		env_list_dir(place->env, place->dir, place_unlink, place);
	}
}

static int
add_key(struct store_tx *tx, void *ctx)
{
	struct store_key key = {.tenant = SPAN("main"), .name = SPAN("x"), .hash = SPAN("y")};
	uint64_t *id_and_version = ctx;

	return store_key_add(tx, &key, &id_and_version[0], &id_and_version[1]);
}

static void
numbers_go_on_from_what_was_there(void **state)
{
	struct place *place = *state;
	struct store *store = open_version(place, 1);
	uint64_t id_and_version[2];

	execute(store, samples[1].sql);
	store_close(store);
	store = store_must_open(place->env, place->dir);
	assert_int_equal(run_one(store, add_key, id_and_version), 0);
	assert_true(id_and_version[0] == 10 && id_and_version[1] == 5);
	store_close(store);
}

static void
newer_version_is_refused_and_says_so(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	char sql[64], reason[200] = "";

	snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", store_schema_version() + 1);
	execute(store, sql);
	store_close(store);
	store = NULL;
	assert_int_equal(store_open_explained(place->env, place->dir, reason, sizeof(reason),
	    &store), -EPROTO);
	assert_null(store);
	assert_non_null(strstr(reason, "newer Weir"));
	assert_int_equal(store_open(place->env, place->dir, &store), -EPROTO); /* still */
}

static void
database_without_its_tables_is_damaged_not_missing(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	uint64_t seq = 5;

	execute(store, "DROP TABLE cursor");
	assert_int_equal(store_cursor_get(store, "series", 0, &seq), -EUCLEAN);
	assert_true(seq == 5);
	assert_non_null(strstr(store_error(store), "cursor"));
	store_close(store);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
	const struct CMUnitTest tests[] = {
		TEST(every_earlier_version_is_brought_up_with_its_rows),
		TEST(numbers_go_on_from_what_was_there),
		TEST(newer_version_is_refused_and_says_so),
		TEST(database_without_its_tables_is_damaged_not_missing),
	};

	return cmocka_run_group_tests_name("store_schema", tests, NULL, NULL);
}

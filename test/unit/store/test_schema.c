/*
 * test_schema.c: migrations: from every earlier version to this one with all that was in it, never
 * back. A new step of the schema adds a row to `samples`.
 */
#include "registry.h"
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

static int
must_be_version_2(void *ctx, const struct store_device *device)
{
	assert_true(span_eq(device->id, SPAN("12")) && span_eq(device->config, SPAN("{}")));
	assert_true(device->state && device->gateway == 3 && device->version == 6);
	assert_true(device->user_count == 1 && device->users[0] == 2);
	++*(unsigned *)ctx;
	return 0;
}

static int
must_be_key(void *ctx, const struct store_key *key)
{
	assert_true(key->id == 9 && key->rights == 1 && key->version == 4);
	++*(unsigned *)ctx;
	return 0;
}

static void
find_version_2(struct store *store)
{
	uint64_t version = 0;
	unsigned count = 0;

	find_version_1(store);
	assert_int_equal(store_registry_version(store, &version), 0);
	assert_true(version == 6);
	assert_int_equal(store_device_find(store, SPAN("acme"), SPAN("12"), must_be_version_2,
	    &count), 0);
	assert_int_equal(store_key_find(store, SPAN("main"), SPAN("ward"), must_be_key, &count), 0);
	assert_int_equal(count, 2);
}

static int
must_be_part(void *ctx, const struct store_part *part)
{
	assert_true(part->id == 5 && part->rollup == 2 && part->rolled == 4);
	++*(unsigned *)ctx;
	return 0;
}

static int
must_be_tombstone(void *ctx, const struct store_tombstone *tombstone)
{
	assert_true(span_eq(tombstone->tenant, SPAN("main")));
	assert_true(span_eq(tombstone->device, SPAN("12")));
	assert_true(tombstone->seq == 7 && tombstone->part_id == 8);
	assert_true(tombstone->created_ms == 1 && tombstone->series_done_ms == 2);
	assert_true(tombstone->journal_done_ms == 3);
	++*(unsigned *)ctx;
	return 0;
}

static void
find_version_3(struct store *store)
{
	unsigned count = 0;

	find_version_1(store);
	assert_int_equal(store_parts_load(store, must_be_part, &count), 0);
	assert_int_equal(store_tombstones_load(store, must_be_tombstone, &count), 0);
	assert_int_equal(count, 2);
}

static int
must_be_channel(void *ctx, const struct store_channel *channel)
{
	assert_true(channel->id == 70 && span_eq(channel->tenant, SPAN("acme")));
	assert_true(span_eq(channel->name, SPAN("blog/7")));
	assert_true(span_eq(channel->meta, SPAN("{}")));
	assert_true(channel->created_ms == 5 && channel->ttl_ms == 6);
	assert_true(channel->history_ms == 7 && channel->history_bytes == 8);
	assert_true(channel->history_messages == 9 && !channel->presence);
	++*(unsigned *)ctx;
	return 0;
}

static void
find_version_4(struct store *store)
{
	unsigned count = 0;

	find_version_1(store);
	assert_int_equal(store_channels_load(store, must_be_channel, &count), 0);
	assert_int_equal(count, 1);
}

static int
must_be_maker(void *ctx, uint64_t series, uint64_t maker)
{
	assert_true(series == UINT64_MAX && maker == 7);
	++*(unsigned *)ctx;
	return 0;
}

static void
find_version_5(struct store *store)
{
	unsigned count = 0;

	find_version_4(store);
	assert_int_equal(store_makers_load(store, must_be_maker, &count), 0);
	assert_int_equal(count, 1);
}

static int
must_show_who_is_there(void *ctx, const struct store_channel *channel)
{
	assert_true(channel->id == 70 && channel->presence);
	++*(unsigned *)ctx;
	return 0;
}

static void
find_version_6(struct store *store)
{
	unsigned count = 0;

	assert_int_equal(store_channels_load(store, must_show_who_is_there, &count), 0);
	assert_int_equal(count, 1);
}

static int
must_be_failed(void *ctx, const struct store_tombstone *tombstone)
{
	assert_true(span_eq(tombstone->series_failure, SPAN("a part")));
	assert_true(span_eq(tombstone->journal_failure, SPAN("a segment")));
	return must_be_tombstone(ctx, tombstone);
}

static void
find_version_7(struct store *store)
{
	unsigned count = 0;

	find_version_1(store);
	assert_int_equal(store_tombstones_load(store, must_be_failed, &count), 0);
	assert_int_equal(count, 1);
}

static int
must_say_what_becomes_of_the_slow(void *ctx, const struct store_channel *channel)
{
	assert_true(channel->id == 71 && channel->slow == 2);
	++*(unsigned *)ctx;
	return 0;
}

static void
find_version_8(struct store *store)
{
	unsigned count = 0;

	assert_int_equal(store_channels_load(store, must_say_what_becomes_of_the_slow, &count), 0);
	assert_int_equal(count, 1);
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
	{"INSERT INTO meta VALUES ('node', x'616263');"
	 "INSERT INTO cursor VALUES ('series', 3, 77);"
	 "UPDATE registry_version SET version = 6;"
	 "INSERT INTO key VALUES (9, 'main', 'ward', x'00', 1, '', 0, 4);"
	 "INSERT INTO tenant VALUES ('acme', 5, 12, 3, 0, 5);"
	 "INSERT INTO user VALUES (2, 'acme', 'ana', 3, 0, '', 1, '', '', '', 5, 5);"
	 "INSERT INTO device VALUES ('acme', 2, '12', '', '', '', x'', 1, 3, 5, 6, '{}');"
	 "INSERT INTO device_user VALUES (2, 'acme', 2, '12');"
	 "INSERT INTO gateway VALUES ('acme', 3, '', '', '', x'', 0, 5, 5);"
	 "INSERT INTO secret VALUES (1, 'acme', 2, 's', x'', 5, 0, 5);"
	 "INSERT INTO venue VALUES ('acme', 1, 'v', '', 5, 5);"
	 "INSERT INTO venue_user VALUES (2, 'acme', 1);"
	 "INSERT INTO venue_plan VALUES ('acme', 1, 'image/png', x'00');"
	 "INSERT INTO audit VALUES (1, 'acme', 5, '', '', '', '', '', '');", find_version_2},
	{"INSERT INTO meta VALUES ('node', x'616263');"
	 "INSERT INTO cursor VALUES ('series', 3, 77);"
	 "INSERT INTO part VALUES (5, 3, 19000, 0, 1, 76, 10, 20, 100, 2, 900, 2, 4);"
	 "INSERT INTO tombstone VALUES ('main', '12', 7, 8, 1, 2, 3);", find_version_3},
	{"INSERT INTO meta VALUES ('node', x'616263');"
	 "INSERT INTO cursor VALUES ('series', 3, 77);"
	 "INSERT INTO channel VALUES (70, 'acme', 'blog/7', '{}', 5, 6, 7, 8, 9);", find_version_4},
	{"INSERT INTO meta VALUES ('node', x'616263');"
	 "INSERT INTO cursor VALUES ('series', 3, 77);"
	 "INSERT INTO channel VALUES (70, 'acme', 'blog/7', '{}', 5, 6, 7, 8, 9);"
	 "INSERT INTO maker VALUES (-1, 7);", find_version_5},
	{"INSERT INTO channel VALUES (70, 'acme', 'blog/7', '{}', 5, 6, 7, 8, 9, 1);",
	 find_version_6},
	{"INSERT INTO meta VALUES ('node', x'616263');"
	 "INSERT INTO cursor VALUES ('series', 3, 77);"
	 "INSERT INTO tombstone VALUES ('main', '12', 7, 8, 1, 2, 3, 'a part', 'a segment');",
	 find_version_7},
	{"INSERT INTO channel VALUES (71, 'acme', 'blog/8', '{}', 5, 6, 7, 8, 9, 0, 2);",
	 find_version_8},
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
tenants_of_version_1s_keys_are_there(void **state)
{
	struct place *place = *state;
	struct store *store = open_version(place, 1);
	uint64_t version;
	char id[24];
	size_t len;

	execute(store, "INSERT INTO key VALUES (1, 'acme', 'a', x'01', 1, '', 0, 1)");
	store_close(store);
	store = store_must_open(place->env, place->dir);
	execute(store, "BEGIN");
	assert_int_equal(store_tenant_remove(&store->tx, SPAN("acme"), &version), -ENOTEMPTY);
	assert_int_equal(store_device_next_id(&store->tx, SPAN("acme"), id, &len), 0);
	assert_int_equal(store_device_next_id(&store->tx, SPAN("main"), id, &len), 0);
	execute(store, "ROLLBACK");
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
		TEST(tenants_of_version_1s_keys_are_there),
		TEST(newer_version_is_refused_and_says_so),
		TEST(database_without_its_tables_is_damaged_not_missing),
	};

	return cmocka_run_group_tests_name("store_schema", tests, NULL, NULL);
}

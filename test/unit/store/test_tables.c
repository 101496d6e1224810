/*
 * test_tables.c: what is put into each table comes back, also after the store was closed.
 */
#include "store_testing.h"

#include <errno.h>

/* ── meta ── */

static int
put_meta(struct store_tx *tx, void *ctx)
{
	const char *const *pair = ctx;

	return store_meta_put(tx, pair[0], pair[1], strlen(pair[1]));
}

static void
meta_value_is_read_back_and_replaced(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	const char *first[] = {"node", "abc"}, *second[] = {"node", "wxyz"};
	char value[8];
	size_t len = 77;

	assert_int_equal(store_meta_get(store, "node", value, sizeof(value), &len), -ENOENT);
	assert_int_equal(len, 77);
	assert_int_equal(run_one(store, put_meta, first), 0);
	assert_int_equal(store_meta_get(store, "node", value, sizeof(value), &len), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(value, "abc", 3);
	assert_int_equal(run_one(store, put_meta, second), 0);
	store_close(store);

	store = store_must_open(place->env, place->dir);
	assert_int_equal(store_meta_get(store, "node", value, 3, &len), -ERANGE);
	assert_int_equal(store_meta_get(store, "node", value, 4, &len), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(value, "wxyz", 4);
	assert_int_equal(store_meta_get(store, "NODE", value, 4, &len), -ENOENT);
	store_close(store);
}

static void
meta_value_may_be_empty(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	const char *pair[] = {"empty", ""};
	char value[1];
	size_t len = 77;

	assert_int_equal(run_one(store, put_meta, pair), 0);
	assert_int_equal(store_meta_get(store, "empty", value, 0, &len), 0);
	assert_int_equal(len, 0);
	store_close(store);
}

/* ── cursors ── */

struct cursor {
	const char *processor;
	uint32_t partition;
	uint64_t seq;
};

static int
put_cursor(struct store_tx *tx, void *ctx)
{
	struct cursor *cursor = ctx;

	return store_cursor_put(tx, cursor->processor, cursor->partition, cursor->seq);
}

static void
cursors_are_kept_by_processor_and_partition(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct cursor cursors[] = {
		{"series", 0, 5}, {"series", UINT32_MAX, 7}, {"rules", 0, INT64_MAX},
		{"series", 0, 4}, /* back again: a rewind */
		{"'; DROP TABLE cursor; --", 1, UINT64_MAX},
	};
	uint64_t seq = 99;

	for (size_t i = 0; i < ARRAY_COUNT(cursors); i++)
		assert_int_equal(run_one(store, put_cursor, &cursors[i]), 0);
	store_close(store);
	store = store_must_open(place->env, place->dir);
	for (size_t i = 1; i < ARRAY_COUNT(cursors); i++) {
		assert_int_equal(store_cursor_get(store, cursors[i].processor,
		    cursors[i].partition, &seq), 0);
		assert_true(seq == cursors[i].seq);
	}
	assert_int_equal(store_cursor_get(store, "rules", 1, &seq), 0);
	assert_true(seq == 0);
	store_close(store);
}

/* ── parts ── */

static const struct store_part parts[] = {
	{.id = 9, .partition = 1, .day = 3, .seq_first = 1, .seq_last = 2, .rolled = 6},
	{.id = 11, .partition = 0, .day = -90, .seq_first = 10, .seq_last = 11, .rollup = 2},
	{.id = 3, .partition = 0, .day = 19000, .level = 2, .seq_first = 50, .seq_last = 60,
	    .time_first = 1641600000000, .time_last = 1641686399999, .points = 123456789012,
	    .series = 77, .bytes = 4096},
	{.id = 2, .partition = 0, .day = 19000, .seq_first = 40, .seq_last = 49},
	{.id = 7, .partition = 0, .day = -1, .seq_first = 90, .seq_last = 99,
	    .time_first = -86400000, .time_last = -1},
};
static const unsigned parts_order[] = {4, 3, 2, 1, 0}; /* by partition, roll-up, day, seq */

struct loaded_parts {
	struct store_part parts[8];
	unsigned count, stop_at;
};

static int
collect_part(void *ctx, const struct store_part *part)
{
	struct loaded_parts *loaded = ctx;

	if (loaded->stop_at && loaded->count == loaded->stop_at)
		return -ECANCELED;
	assert_true(loaded->count < ARRAY_COUNT(loaded->parts));
	loaded->parts[loaded->count++] = *part;
	return 0;
}

static int
add_part(struct store_tx *tx, void *ctx)
{
	return store_part_add(tx, ctx);
}

static int
remove_part(struct store_tx *tx, void *ctx)
{
	return store_part_remove(tx, *(uint64_t *)ctx);
}

static void
assert_part_equal(const struct store_part *a, const struct store_part *b)
{
	assert_true(a->id == b->id && a->partition == b->partition);
	assert_true(a->day == b->day && a->level == b->level);
	assert_true(a->seq_first == b->seq_first && a->seq_last == b->seq_last);
	assert_true(a->time_first == b->time_first && a->time_last == b->time_last);
	assert_true(a->points == b->points && a->series == b->series && a->bytes == b->bytes);
	assert_true(a->rollup == b->rollup && a->rolled == b->rolled);
}

static void
parts_load_in_order_with_all_fields(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct loaded_parts loaded = {.count = 0}, some = {.stop_at = 2}, left = {.count = 0};
	uint64_t gone = 2;

	for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
		assert_int_equal(run_one(store, add_part, (void *)(uintptr_t)&parts[i]), 0);
	store_close(store);
	store = store_must_open(place->env, place->dir);
	assert_int_equal(store_parts_load(store, collect_part, &loaded), 0);
	assert_int_equal(loaded.count, ARRAY_COUNT(parts));
	for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
		assert_part_equal(&loaded.parts[i], &parts[parts_order[i]]);
	assert_int_equal(store_parts_load(store, collect_part, &some), -ECANCELED);
	assert_int_equal(some.count, 2);
	assert_int_equal(run_one(store, remove_part, &gone), 0);
	assert_int_equal(run_one(store, remove_part, &gone), 0);
	assert_int_equal(store_parts_load(store, collect_part, &left), 0);
	assert_int_equal(left.count, ARRAY_COUNT(parts) - 1);
	store_close(store);
}

static int
roll_part(struct store_tx *tx, void *ctx)
{
	return store_part_set_rolled(tx, *(uint64_t *)ctx, 5);
}

static void
what_is_rolled_up_is_remembered(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct loaded_parts loaded = {.count = 0};
	struct store_part part = {.id = 4};

	assert_int_equal(run_one(store, add_part, &part), 0);
	assert_int_equal(run_one(store, roll_part, &part.id), 0);
	store_close(store);
	store = store_must_open(place->env, place->dir);
	assert_int_equal(store_parts_load(store, collect_part, &loaded), 0);
	assert_int_equal(loaded.parts[0].rolled, 5);
	store_close(store);
}

/* ── tombstones ── */

static int
put_tombstone(struct store_tx *tx, void *ctx)
{
	return store_tombstone_put(tx, ctx);
}

static int
end_tombstone(struct store_tx *tx, void *ctx)
{
	const struct store_tombstone *one = ctx;
	int error = store_tombstone_series_done(tx, one->tenant, one->device, one->seq,
	    one->created_ms);

	return error ? error : store_tombstone_journal_done(tx, one->tenant, one->device, one->seq,
	    one->created_ms + 1);
}

static int
fail_tombstone(struct store_tx *tx, void *ctx)
{
	const struct store_tombstone *one = ctx;
	int error = store_tombstone_series_failed(tx, one->tenant, one->device, one->seq,
	    SPAN("part 3"));

	return error ? error : store_tombstone_journal_failed(tx, one->tenant, one->device,
	    one->seq, SPAN("segment 4"));
}

static int
see_failures(void *ctx, const struct store_tombstone *tombstone)
{
	const struct span *must = ctx;

	assert_true(span_eq(tombstone->series_failure, must[0]));
	assert_true(span_eq(tombstone->journal_failure, must[1]));
	return 0;
}

static void
a_failure_is_told_until_it_is_done(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct store_tombstone one = {.tenant = SPAN("main"), .device = SPAN("7/x"), .seq = 5};
	struct span none[] = {SPAN(""), SPAN("")}, both[] = {SPAN("part 3"), SPAN("segment 4")};

	assert_int_equal(run_one(store, put_tombstone, &one), 0);
	assert_int_equal(store_tombstones_load(store, see_failures, none), 0);
	assert_int_equal(run_one(store, fail_tombstone, &one), 0);
	assert_int_equal(store_tombstones_load(store, see_failures, both), 0);
	assert_int_equal(run_one(store, put_tombstone, &one), 0);
	assert_int_equal(store_tombstones_load(store, see_failures, none), 0);
	assert_int_equal(run_one(store, fail_tombstone, &one), 0);
	one.created_ms = 8;
	assert_int_equal(run_one(store, end_tombstone, &one), 0);
	assert_int_equal(store_tombstones_load(store, see_failures, none), 0);
	assert_int_equal(run_one(store, fail_tombstone, &one), 0);
	assert_int_equal(store_tombstones_load(store, see_failures, none), 0);
	store_close(store);
}

static int
see_tombstone(void *ctx, const struct store_tombstone *tombstone)
{
	*(struct store_tombstone *)ctx = *tombstone;
	assert_true(span_eq(tombstone->tenant, SPAN("main")));
	assert_true(span_eq(tombstone->device, SPAN("7/x")));
	return 0;
}

static void
a_later_tombstone_takes_the_place_of_the_earlier(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct store_tombstone one = {.tenant = SPAN("main"), .device = SPAN("7/x"), .seq = 5,
	    .part_id = 6, .created_ms = 7, .series_done_ms = 8, .journal_done_ms = 9};
	struct store_tombstone seen = {.seq = 0};

	assert_int_equal(run_one(store, put_tombstone, &one), 0);
	one.seq = 50;
	one.series_done_ms = 0;
	assert_int_equal(run_one(store, put_tombstone, &one), 0);
	assert_int_equal(store_tombstones_load(store, see_tombstone, &seen), 0);
	assert_true(seen.seq == 50 && seen.part_id == 6 && seen.created_ms == 7);
	assert_true(seen.series_done_ms == 0 && seen.journal_done_ms == 9);
	one.created_ms = 77; /* when it was done */
	assert_int_equal(run_one(store, end_tombstone, &one), 0);
	assert_int_equal(store_tombstones_load(store, see_tombstone, &seen), 0);
	assert_true(seen.series_done_ms == 77 && seen.journal_done_ms == 78);
	one.seq = 49; /* an earlier one's work is no longer the question */
	one.created_ms = 99;
	assert_int_equal(run_one(store, end_tombstone, &one), 0);
	assert_int_equal(store_tombstones_load(store, see_tombstone, &seen), 0);
	assert_true(seen.series_done_ms == 77 && seen.journal_done_ms == 78);
	store_close(store);
}

static void
part_id_is_taken_once(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct store_part part = {.id = 1};

	assert_int_equal(run_one(store, add_part, &part), 0);
	assert_int_equal(run_one(store, add_part, &part), -EEXIST);
	assert_non_null(strstr(store_error(store), "UNIQUE"));
	store_close(store);
}

/* ── keys ── */

struct new_key {
	struct store_key key;
	uint64_t id, version;
};

static int
add_key(struct store_tx *tx, void *ctx)
{
	struct new_key *new_key = ctx;

	return store_key_add(tx, &new_key->key, &new_key->id, &new_key->version);
}

static int
remove_key(struct store_tx *tx, void *ctx)
{
	struct new_key *new_key = ctx;

	return store_key_remove(tx, new_key->key.tenant, new_key->key.name, &new_key->version);
}

static struct new_key
key_make(struct span tenant, struct span name, struct span hash)
{
	return (struct new_key){.key = {.tenant = tenant, .name = name, .hash = hash,
	    .rights = 5, .channels = SPAN("[\"a/#\"]"), .created_ms = -3}};
}

struct loaded_keys {
	unsigned count;
	uint64_t id, version;
};

static int
see_key(void *ctx, const struct store_key *key)
{
	struct loaded_keys *loaded = ctx;

	loaded->count++;
	loaded->id = key->id;
	loaded->version = key->version;
	assert_true(span_eq(key->tenant, SPAN("main")));
	assert_true(span_eq(key->name, SPAN("ward")));
	assert_true(span_eq(key->hash, SPAN("h\0one")));
	assert_int_equal(key->rights, 5);
	assert_true(span_eq(key->channels, SPAN("[\"a/#\"]")));
	assert_true(key->created_ms == -3);
	return 0;
}

static void
key_is_read_back_with_the_id_and_version_it_got(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct new_key key = key_make(SPAN("main"), SPAN("ward"), SPAN("h\0one"));
	struct loaded_keys loaded = {.count = 0};

	assert_int_equal(run_one(store, add_key, &key), 0);
	store_close(store);
	store = store_must_open(place->env, place->dir);
	assert_int_equal(store_keys_load(store, see_key, &loaded), 0);
	assert_int_equal(loaded.count, 1);
	assert_true(loaded.id == key.id && loaded.version == key.version && key.version > 0);
	store_close(store);
}

static void
key_names_are_unique_within_a_tenant(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct new_key first = key_make(SPAN("main"), SPAN("ward"), SPAN("1"));
	struct new_key again = key_make(SPAN("main"), SPAN("ward"), SPAN("2"));
	struct new_key other = key_make(SPAN("east"), SPAN("ward"), SPAN("3"));

	assert_int_equal(run_one(store, add_key, &first), 0);
	assert_int_equal(run_one(store, add_key, &again), -EEXIST);
	assert_true(again.id == 0 && again.version == 0);
	assert_int_equal(run_one(store, add_key, &other), 0);
	assert_true(other.version == first.version + 1); /* the refused one took none */
	store_close(store);
}

static void
key_ids_are_never_used_again(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct new_key first = key_make(SPAN("main"), SPAN("ward"), SPAN("1"));
	struct new_key second = key_make(SPAN("main"), SPAN("ward"), SPAN("2"));
	struct loaded_keys loaded = {.count = 0};
	uint64_t added;

	assert_int_equal(run_one(store, add_key, &first), 0);
	added = first.version;
	assert_int_equal(run_one(store, remove_key, &first), 0);
	assert_true(first.version > added);
	assert_int_equal(run_one(store, remove_key, &first), -ENOENT);
	assert_int_equal(store_keys_load(store, see_key, &loaded), 0);
	assert_int_equal(loaded.count, 0);
	assert_int_equal(run_one(store, add_key, &second), 0);
	assert_true(second.id > first.id && second.version > first.version);
	store_close(store);
}

/* ── channels ── */

static int
add_channel(struct store_tx *tx, void *ctx)
{
	return store_channel_add(tx, ctx);
}

static int
set_channel_ttl(struct store_tx *tx, void *ctx)
{
	const struct store_channel *channel = ctx;

	return store_channel_set_ttl(tx, channel->id, channel->ttl_ms);
}

static int
remove_channel(struct store_tx *tx, void *ctx)
{
	return store_channel_remove(tx, ((const struct store_channel *)ctx)->id);
}

struct seen_channels {
	struct store_channel last;
	size_t count;
};

static int
see_channel(void *ctx, const struct store_channel *channel)
{
	struct seen_channels *seen = ctx;

	assert_true(span_eq(channel->name, SPAN("a/b")) && span_eq(channel->meta, SPAN("[1]")));
	seen->last = *channel;
	seen->count++;
	return 0;
}

static void
a_channel_of_a_name_takes_the_earlier_ones_place(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct store_channel channel = {
		.id = 7, .tenant = SPAN("main"), .name = SPAN("a/b"), .meta = SPAN("[1]"),
		.created_ms = 1, .ttl_ms = 2, .history_ms = 3, .history_bytes = 4,
		.history_messages = 5,
	};
	struct seen_channels seen = {.count = 0};

	assert_int_equal(run_one(store, add_channel, &channel), 0);
	channel.ttl_ms = 60;
	assert_int_equal(run_one(store, set_channel_ttl, &channel), 0);
	assert_int_equal(store_channels_load(store, see_channel, &seen), 0);
	assert_true(seen.count == 1 && seen.last.id == 7 && seen.last.ttl_ms == 60);
	assert_true(seen.last.created_ms == 1 && seen.last.history_ms == 3);
	assert_true(seen.last.history_bytes == 4 && seen.last.history_messages == 5);
	channel.id = 9;
	assert_int_equal(run_one(store, add_channel, &channel), 0);
	store_close(store);

	store = store_must_open(place->env, place->dir);
	assert_int_equal(store_channels_load(store, see_channel, &seen), 0);
	assert_true(seen.count == 2 && seen.last.id == 9);
	assert_int_equal(run_one(store, remove_channel, &channel), 0);
	assert_int_equal(run_one(store, remove_channel, &channel), 0);
	assert_int_equal(run_one(store, set_channel_ttl, &channel), -ENOENT);
	assert_int_equal(store_channels_load(store, see_channel, &seen), 0);
	assert_int_equal(seen.count, 2);
	store_close(store);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
	const struct CMUnitTest tests[] = {
		TEST(meta_value_is_read_back_and_replaced),
		TEST(meta_value_may_be_empty),
		TEST(cursors_are_kept_by_processor_and_partition),
		TEST(parts_load_in_order_with_all_fields),
		TEST(what_is_rolled_up_is_remembered),
		TEST(a_later_tombstone_takes_the_place_of_the_earlier),
		TEST(a_failure_is_told_until_it_is_done),
		TEST(part_id_is_taken_once),
		TEST(key_is_read_back_with_the_id_and_version_it_got),
		TEST(key_names_are_unique_within_a_tenant),
		TEST(key_ids_are_never_used_again),
		TEST(a_channel_of_a_name_takes_the_earlier_ones_place),
	};

	return cmocka_run_group_tests_name("store_tables", tests, NULL, NULL);
}

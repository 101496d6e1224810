/*
 * test_devices.c: devices of the registry: ids given out and imported, order, search, who may see
 * which, tenants, thousands at once.
 */
#include "registry_testing.h"

#define MAIN SPAN("main")

static const struct store_page all = {.limit = STORE_LIST_MAX};

static int
must_be_device(void *ctx, const struct store_device *device)
{
	const struct store_device *want = ctx;

	assert_true(span_eq(device->tenant, want->tenant) && span_eq(device->id, want->id));
	assert_true(span_eq(device->name, want->name) && span_eq(device->group, want->group));
	assert_true(span_eq(device->place, want->place));
	assert_true(span_eq(device->config, want->config) && span_eq(device->hash, want->hash));
	assert_true(device->state == want->state && device->gateway == want->gateway);
	assert_true(device->created_ms == want->created_ms && device->version == want->version);
	assert_int_equal(device->user_count, want->user_count);
	for (size_t i = 0; i < want->user_count; i++)
		assert_true(device->users[i] == want->users[i]);
	return 0;
}

static void
device_is_found_changed_and_removed(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	uint64_t users[] = {add_user(store, MAIN, SPAN("ana")), add_user(store, MAIN, SPAN("bo"))};
	struct change add = {.run = change_device_add, .device = {.tenant = MAIN,
	    .id = SPAN("12345678901234567"), .name = SPAN("O'Neil \"1\"; --"),
	    .group = SPAN("Beach"), .place = SPAN("Küche"), .hash = SPAN("h\0"), .users = users,
	    .user_count = 2, .created_ms = 5}};
	struct change put = {.run = change_device_put}, remove = {.run = change_device_remove};

	assert_int_equal(change_run(store, &add), 0);
	assert_int_equal(change_run(store, &add), -EEXIST);
	add.device.version = add.version;
	store_close(store);
	store = store_must_open(place->env, place->dir);
	assert_int_equal(store_device_find(store, MAIN, add.device.id, must_be_device,
	    &add.device), 0);
	put.device = remove.device = add.device;
	put.device.state = true;
	put.device.gateway = 7;
	put.device.config = SPAN("{\"maxTemperature\":\"10.54\"}");
	put.device.users = users + 1;
	put.device.user_count = 1;
	assert_int_equal(change_run(store, &put), 0);
	put.device.version = put.version;
	assert_int_equal(store_device_find(store, MAIN, put.device.id, must_be_device,
	    &put.device), 0);
	assert_int_equal(change_run(store, &remove), 0);
	assert_int_equal(change_run(store, &remove), -ENOENT);
	assert_int_equal(change_run(store, &put), -ENOENT);
	assert_int_equal(store_device_find(store, MAIN, put.device.id, must_be_device,
	    &put.device), -ENOENT);
	store_close(store);
}

static void
ids_rise_above_those_imported(void **state)
{
	const struct {
		struct span imported;
		const char *next;
	} cases[] = {
		{SPAN(""), "1"},
		{SPAN("1234"), "1235"},
		{SPAN("7"), "1236"},
		{SPAN("0099999"), "1237"},           /* a text, not a number of ours */
		{SPAN("12345678901234567"), "1238"}, /* nor is this one */
		{SPAN("fridge"), "1239"},
		{SPAN("99999999999999999999999"), "1240"},
		{SPAN("999999999"), "1000000000"},
		{SPAN("1000000001"), "1000000002"},  /* in the way: passed over */
	};
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct change next = {.run = change_device_next, .device = {.tenant = MAIN}};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		if (cases[i].imported.len)
			assert_int_equal(add_device(store, MAIN, cases[i].imported, SPAN("")), 0);
		assert_int_equal(change_run(store, &next), 0);
		assert_string_equal(next.text_id, cases[i].next);
		assert_int_equal(next.text_len, strlen(cases[i].next));
	}
	next.device.tenant = SPAN("nowhere");
	assert_int_equal(change_run(store, &next), -ENOENT);
	store_close(store);
}

static void
id_of_a_removed_device_is_not_given_out_again(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct change remove = {.run = change_device_remove,
	    .device = {.tenant = MAIN, .id = SPAN("7")}};
	struct change next = {.run = change_device_next, .device = {.tenant = MAIN}};

	assert_int_equal(add_device(store, MAIN, SPAN("7"), SPAN("")), 0);
	assert_int_equal(change_run(store, &remove), 0);
	assert_int_equal(change_run(store, &next), 0);
	assert_string_equal(next.text_id, "8");
	store_close(store);
}

static void
list_goes_by_length_then_text_in_pages(void **state)
{
	const struct span ids[] = {SPAN("10"), SPAN("9"), SPAN("b"), SPAN("12345678901234567"),
	    SPAN("100"), SPAN("2"), SPAN("éa")};
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct store_page page = {.limit = 3};
	struct seen seen = {.count = 0};

	for (size_t i = 0; i < ARRAY_COUNT(ids); i++)
		assert_int_equal(add_device(store, MAIN, ids[i], SPAN("")), 0);
	assert_int_equal(store_devices_list(store, MAIN, &page, see_device, &seen), 0);
	assert_string_equal(seen.text, "2 9 b");
	page.after_id = SPAN("b");
	assert_int_equal(store_devices_list(store, MAIN, &page, see_device, &seen), 0);
	assert_string_equal(seen.text, "2 9 b 10 100 éa");
	page.after_id = SPAN("éa");
	assert_int_equal(store_devices_list(store, MAIN, &page, see_device, &seen), 0);
	assert_string_equal(seen.text, "2 9 b 10 100 éa 12345678901234567");
	page.after_id = SPAN("12345678901234567");
	assert_int_equal(store_devices_list(store, MAIN, &page, see_device, &seen), 0);
	assert_int_equal(seen.count, ARRAY_COUNT(ids));
	store_close(store);
}

static void
search_finds_names_by_their_beginning(void **state)
{
	const struct {
		struct span id, name;
	} devices[] = {
		{SPAN("1"), SPAN("Kitchen")}, {SPAN("2"), SPAN("kiosk")},
		{SPAN("3"), SPAN("Cellar")},
		{SPAN("4"), SPAN("KITCHEN")}, {SPAN("5"), SPAN("@home")}, {SPAN("6"), SPAN("_x")},
		{SPAN("7"), SPAN("100%")}, {SPAN("8"), SPAN("")},
	};
	const struct {
		struct span prefix;
		const char *ids;
	} cases[] = {
		{SPAN("ki"), "2 1 4"}, {SPAN("KIT"), "1 4"}, {SPAN("kitchen "), ""},
		{SPAN("@"), "5"}, {SPAN("_"), "6"}, {SPAN("%"), ""}, {SPAN("100%"), "7"},
		{SPAN("' OR 1=1 --"), ""}, {SPAN(""), "8 7 5 6 3 2 1 4"},
	};
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct store_page page = {.after_name = SPAN("kitchen"), .after_id = SPAN("1"),
	    .limit = 9};
	struct seen rest = {.count = 0};

	add_tenant(store, SPAN("acme"));
	assert_int_equal(add_device(store, SPAN("acme"), SPAN("9"), SPAN("kit")), 0);
	for (size_t i = 0; i < ARRAY_COUNT(devices); i++)
		assert_int_equal(add_device(store, MAIN, devices[i].id, devices[i].name), 0);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct seen seen = {.count = 0};

		assert_int_equal(store_devices_search(store, MAIN, cases[i].prefix, &all,
		    see_device, &seen), 0);
		assert_string_equal(seen.text, cases[i].ids);
	}
	assert_int_equal(store_devices_search(store, MAIN, SPAN("ki"), &page, see_device, &rest),
	    0);
	assert_string_equal(rest.text, "4");
	store_close(store);
}

static void
user_sees_those_he_was_given(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	uint64_t ana = add_user(store, MAIN, SPAN("ana")), stranger;
	uint64_t twice[] = {ana, ana};
	struct change add = {.run = change_device_add, .device = {.tenant = MAIN,
	    .id = SPAN("10"), .users = twice, .user_count = 2}};
	struct change leave = {.run = change_user_remove,
	    .user = {.tenant = MAIN, .name = SPAN("ana")}};
	struct store_page page = {.after_id = SPAN("9"), .limit = 5};
	struct seen seen = {.count = 0}, later = {.count = 0}, none = {.count = 0};

	add_tenant(store, SPAN("acme"));
	stranger = add_user(store, SPAN("acme"), SPAN("eve"));
	assert_int_equal(add_device(store, MAIN, SPAN("2"), SPAN("")), 0);
	assert_int_equal(change_run(store, &add), 0);
	add.device.id = SPAN("9");
	assert_int_equal(change_run(store, &add), 0);
	assert_int_equal(store_devices_of_user(store, MAIN, ana, &all, see_device, &seen), 0);
	assert_string_equal(seen.text, "9 10");
	assert_int_equal(store_devices_of_user(store, MAIN, ana, &page, see_device, &later), 0);
	assert_string_equal(later.text, "10");
	add.device.id = SPAN("11");
	add.device.users = &stranger;
	add.device.user_count = 1;
	assert_int_equal(change_run(store, &add), -ENOENT); /* of another tenant */
	assert_int_equal(store_devices_of_user(store, SPAN("acme"), ana, &all, see_device, &none),
	    0);
	assert_int_equal(change_run(store, &leave), 0);
	assert_int_equal(store_devices_of_user(store, MAIN, ana, &all, see_device, &none), 0);
	assert_int_equal(none.count, 0);
	store_close(store);
}

static void
tenants_do_not_see_each_others(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct change remove = {.run = change_device_remove,
	    .device = {.tenant = SPAN("acme"), .id = SPAN("1")}};
	struct seen seen = {.count = 0}, both = {.count = 0};

	assert_int_equal(add_device(store, SPAN("acme"), SPAN("1"), SPAN("")), -ENOENT);
	add_tenant(store, SPAN("acme"));
	assert_int_equal(add_device(store, SPAN("acme"), SPAN("1"), SPAN("theirs")), 0);
	assert_int_equal(store_devices_list(store, MAIN, &all, see_device, &seen), 0);
	assert_int_equal(seen.count, 0);
	assert_int_equal(add_device(store, MAIN, SPAN("1"), SPAN("ours")), 0);
	assert_int_equal(store_devices_load(store, see_device, &both), 0);
	assert_int_equal(both.count, 2);
	assert_int_equal(change_run(store, &remove), 0);
	assert_int_equal(store_devices_list(store, MAIN, &all, see_device, &seen), 0);
	assert_string_equal(seen.text, "1");
	store_close(store);
}

static void
sizes_have_limits(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	char much[STORE_DOCUMENT_BYTES_MAX + 1] = "";
	struct store_device good = {.tenant = MAIN, .id = SPAN("1")}, bad[5];
	struct change add = {.run = change_device_add};

	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		bad[i] = good;
	bad[0].name = bad[1].group = bad[2].place = span_of(much, STORE_TEXT_BYTES_MAX + 1);
	bad[3].config = span_of(much, sizeof(much));
	bad[4].user_count = STORE_USERS_MAX + 1;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		add.device = bad[i];
		assert_int_equal(change_run(store, &add), -EMSGSIZE);
	}
	add.device = good;
	add.device.id = SPAN("a\tb");
	assert_int_equal(change_run(store, &add), -EINVAL);
	assert_true(registry_version(store) == 0);
	store_close(store);
}

/* ── thousands in one unit ── */

enum { MANY = 5000 };

static int
add_many(struct store_tx *tx, void *ctx)
{
	unsigned *fail_at = ctx;

	for (unsigned i = 1; i <= MANY; i++) {
		struct store_device device = {.tenant = MAIN, .name = SPAN("n"), .state = true};
		uint64_t version;
		char id[24];
		size_t len;
		int error = store_device_next_id(tx, MAIN, id, &len);

		device.id = span_of(id, len);
		if (error == 0)
			error = store_device_add(tx, &device, &version);
		if (error == 0 && i == *fail_at)
			error = -ECANCELED;
		if (error)
			return error;
	}
	return 0;
}

static int
count_one(void *ctx, const struct store_device *device)
{
	(void)device;
	++*(unsigned *)ctx;
	return 0;
}

static void
import_is_whole_or_not_at_all(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	unsigned fail_at = MANY, count = 0;

	assert_int_equal(run_one(store, add_many, &fail_at), -ECANCELED);
	assert_int_equal(store_devices_load(store, count_one, &count), 0);
	assert_int_equal(count, 0);
	fail_at = 0;
	assert_int_equal(run_one(store, add_many, &fail_at), 0);
	store_close(store);
	store = store_must_open(place->env, place->dir);
	assert_int_equal(store_devices_load(store, count_one, &count), 0);
	assert_int_equal(count, MANY);
	assert_true(registry_version(store) == MANY);
	store_close(store);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
	const struct CMUnitTest tests[] = {
		TEST(device_is_found_changed_and_removed),
		TEST(ids_rise_above_those_imported),
		TEST(id_of_a_removed_device_is_not_given_out_again),
		TEST(list_goes_by_length_then_text_in_pages),
		TEST(search_finds_names_by_their_beginning),
		TEST(user_sees_those_he_was_given),
		TEST(tenants_do_not_see_each_others),
		TEST(sizes_have_limits),
		TEST(import_is_whole_or_not_at_all),
	};

	return cmocka_run_group_tests_name("store_devices", tests, NULL, NULL);
}

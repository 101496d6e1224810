/*
 * test_registry.c: tenants, users, gateways, secrets, venues and the audit: what is put comes back,
 * each tenant sees its own only, versions rise, limits are kept.
 */
#include "registry_testing.h"

#define MAIN SPAN("main")

static const struct store_page all = {.limit = STORE_LIST_MAX};

static void
names_and_ids_are_told_from_others(void **state)
{
	char long_name[STORE_NAME_BYTES_MAX + 1], long_id[STORE_DEVICE_ID_BYTES_MAX + 1];

	(void)state;
	memset(long_name, 'a', sizeof(long_name));
	memset(long_id, '1', sizeof(long_id));
	assert_true(store_name_valid(SPAN("a.b-c_9")));
	assert_true(store_name_valid(span_of(long_name, sizeof(long_name) - 1)));
	assert_false(store_name_valid(span_of(long_name, sizeof(long_name))));
	assert_false(store_name_valid(SPAN("")));
	assert_false(store_name_valid(SPAN("A")));
	assert_false(store_name_valid(SPAN("a b")));
	assert_false(store_name_valid(SPAN("a\0")));
	assert_false(store_name_valid(SPAN("a\r\n")));
	assert_false(store_name_valid(SPAN("ä")));
	assert_false(store_name_valid(SPAN("a'; DROP TABLE user; --")));
	assert_true(store_device_id_valid(SPAN("12345678901234567")));
	assert_true(store_device_id_valid(SPAN("Kühlraum 7/a")));
	assert_true(store_device_id_valid(span_of(long_id, sizeof(long_id) - 1)));
	assert_false(store_device_id_valid(span_of(long_id, sizeof(long_id))));
	assert_false(store_device_id_valid(SPAN("")));
	assert_false(store_device_id_valid(SPAN("a\nb")));
	assert_false(store_device_id_valid(SPAN("a\0b")));
	assert_false(store_device_id_valid(SPAN("\xff")));
}

/* ── tenants ── */

static void
tenant_goes_only_when_it_is_empty(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct change add = {.run = change_tenant_add, .name = SPAN("acme"), .time_ms = 5};
	struct change remove = {.run = change_tenant_remove, .name = SPAN("acme")};
	struct change leave = {.run = change_user_remove,
	    .user = {.tenant = SPAN("acme"), .name = SPAN("ana")}};
	struct seen seen = {.count = 0};

	assert_int_equal(change_run(store, &add), 0);
	assert_int_equal(change_run(store, &add), -EEXIST);
	assert_int_equal(store_tenants_list(store, &all, see_tenant, &seen), 0);
	assert_string_equal(seen.text, "acme main");
	add_user(store, SPAN("acme"), SPAN("ana"));
	assert_int_equal(change_run(store, &remove), -ENOTEMPTY);
	assert_int_equal(change_run(store, &leave), 0);
	assert_int_equal(change_run(store, &remove), 0);
	assert_int_equal(change_run(store, &remove), -ENOENT);
	remove.name = MAIN;
	assert_int_equal(change_run(store, &remove), -EPERM);
	add.name = SPAN("Acme");
	assert_int_equal(change_run(store, &add), -EINVAL);
	store_close(store);
}

static void
what_fails_raises_no_version(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct change add = {.run = change_user_add, .user = {.tenant = MAIN, .name = SPAN("ana"),
	    .permission = STORE_USER}};
	uint64_t version;

	assert_true(registry_version(store) == 0);
	assert_int_equal(change_run(store, &add), 0);
	version = registry_version(store);
	assert_true(version == 1 && add.version == version);
	assert_int_equal(change_run(store, &add), -EEXIST);
	add.user.name = SPAN("eve");
	add.user.tenant = SPAN("nowhere");
	assert_int_equal(change_run(store, &add), -ENOENT);
	assert_true(registry_version(store) == version);
	store_close(store);
}

/* ── users ── */

static const struct store_user ana = {
	.tenant = {"main", sizeof("main") - 1},
	.name = {"ana", sizeof("ana") - 1},
	.permission = STORE_DEVELOPER,
	.node = true,
	.hash = {"$argon2id$x", sizeof("$argon2id$x") - 1},
	.contacts = {"{\"mail\":\"a@b\"}", sizeof("{\"mail\":\"a@b\"}") - 1},
	.language = {"pt", sizeof("pt") - 1},
	.tz = {"Europe/Lisbon", sizeof("Europe/Lisbon") - 1},
	.created_ms = 1234,
};

static int
must_be_ana(void *ctx, const struct store_user *user)
{
	uint64_t *generation = ctx;

	assert_true(span_eq(user->tenant, ana.tenant) && span_eq(user->name, ana.name));
	assert_true(user->permission == ana.permission && user->node);
	assert_true(span_eq(user->hash, ana.hash) && span_eq(user->contacts, ana.contacts));
	assert_true(span_eq(user->language, ana.language) && span_eq(user->tz, ana.tz));
	assert_true(user->created_ms == 1234 && user->version > 0 && user->id > 0);
	*generation = user->generation;
	return 0;
}

static void
user_is_found_changed_and_removed(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct change add = {.run = change_user_add, .user = ana}, put = add, remove = add;
	uint64_t generation = 0, id;

	put.run = change_user_put;
	put.user.generation = 7;
	remove.run = change_user_remove;
	assert_int_equal(change_run(store, &put), -ENOENT);
	assert_int_equal(change_run(store, &add), 0);
	id = add.id;
	store_close(store);
	store = store_must_open(place->env, place->dir);
	assert_int_equal(store_user_find(store, MAIN, SPAN("ana"), must_be_ana, &generation), 0);
	assert_true(generation == 1);
	assert_int_equal(change_run(store, &put), 0);
	assert_true(put.version > add.version);
	assert_int_equal(store_user_find_id(store, id, must_be_ana, &generation), 0);
	assert_true(generation == 7);
	assert_int_equal(store_user_find(store, SPAN("acme"), SPAN("ana"), must_be_ana,
	    &generation), -ENOENT);
	assert_int_equal(change_run(store, &remove), 0);
	assert_true(remove.id == id);
	assert_int_equal(change_run(store, &remove), -ENOENT);
	assert_int_equal(store_user_find_id(store, id, must_be_ana, &generation), -ENOENT);
	assert_int_equal(change_run(store, &add), 0);
	assert_true(add.id > id); /* never used twice */
	store_close(store);
}

static void
users_are_listed_by_prefix_and_page(void **state)
{
	const struct span names[] = {SPAN("bo"), SPAN("ana"), SPAN("anton"), SPAN("an"),
	    SPAN("ao"), SPAN("bob")};
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct store_page page = {.limit = 2};
	struct seen seen = {.count = 0}, an = {.count = 0}, some = {.stop_at = 3};
	struct seen loaded = {.count = 0};

	add_tenant(store, SPAN("acme"));
	add_user(store, SPAN("acme"), SPAN("anna"));
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		add_user(store, MAIN, names[i]);
	assert_int_equal(store_users_list(store, MAIN, SPAN(""), &page, see_user, &seen), 0);
	assert_string_equal(seen.text, "an ana");
	page.after_name = SPAN("ana");
	assert_int_equal(store_users_list(store, MAIN, SPAN(""), &page, see_user, &seen), 0);
	assert_string_equal(seen.text, "an ana anton ao");
	assert_int_equal(store_users_list(store, MAIN, SPAN("an"), &all, see_user, &an), 0);
	assert_string_equal(an.text, "an ana anton");
	assert_int_equal(store_users_list(store, MAIN, SPAN(""), &all, see_user, &some),
	    -ECANCELED);
	assert_int_equal(some.count, 3);
	assert_int_equal(store_users_load(store, see_user, &loaded), 0);
	assert_int_equal(loaded.count, ARRAY_COUNT(names) + 1);
	store_close(store);
}

/* ── gateways ── */

static int
must_be_gateway(void *ctx, const struct store_gateway *gateway)
{
	const struct store_gateway *want = ctx;

	assert_true(span_eq(gateway->tenant, want->tenant) && gateway->id == want->id);
	assert_true(span_eq(gateway->name, want->name) && span_eq(gateway->state, want->state));
	assert_true(span_eq(gateway->config, want->config) && span_eq(gateway->hash, want->hash));
	assert_true(gateway->may_enrol == want->may_enrol && gateway->created_ms == 77);
	return 0;
}

static void
gateways_count_from_one_in_each_tenant(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct change next = {.run = change_gateway_next, .gateway = {.tenant = MAIN}};
	struct change add = {.run = change_gateway_add, .gateway = {.tenant = MAIN,
	    .name = SPAN("roof"), .config = SPAN("{\"connectivity\":\"4G\"}"),
	    .hash = SPAN("h\0h"), .may_enrol = true, .created_ms = 77}};
	struct seen seen = {.count = 0}, loaded = {.count = 0};
	struct change put, remove;

	add_tenant(store, SPAN("acme"));
	for (uint64_t id = 1; id <= 2; id++) {
		assert_int_equal(change_run(store, &next), 0);
		assert_true(next.id == id);
		add.gateway.id = next.id;
		assert_int_equal(change_run(store, &add), 0);
	}
	put = add;
	put.run = change_gateway_put;
	put.gateway.state = SPAN("Active");
	put.gateway.may_enrol = false;
	assert_int_equal(change_run(store, &put), 0);
	assert_int_equal(store_gateway_find(store, MAIN, 2, must_be_gateway, &put.gateway), 0);
	assert_int_equal(store_gateway_find(store, SPAN("acme"), 2, must_be_gateway, &put.gateway),
	    -ENOENT);
	remove = put;
	remove.run = change_gateway_remove;
	assert_int_equal(change_run(store, &remove), 0);
	assert_int_equal(change_run(store, &remove), -ENOENT);
	assert_int_equal(change_run(store, &put), -ENOENT);
	assert_int_equal(change_run(store, &next), 0);
	assert_true(next.id == 3); /* 2 is not used again */
	next.gateway.tenant = SPAN("acme");
	assert_int_equal(change_run(store, &next), 0);
	assert_true(next.id == 1);
	next.gateway.tenant = SPAN("nowhere");
	assert_int_equal(change_run(store, &next), -ENOENT);
	assert_int_equal(store_gateways_list(store, MAIN, &all, see_gateway, &seen), 0);
	assert_string_equal(seen.text, "1");
	assert_int_equal(store_gateways_load(store, see_gateway, &loaded), 0);
	assert_string_equal(loaded.text, "1");
	store_close(store);
}

/* ── secrets ── */

static int
must_be_secret(void *ctx, const struct store_secret *secret)
{
	const struct store_secret *want = ctx;

	assert_true(secret->id == want->id && secret->kind == want->kind);
	assert_true(span_eq(secret->tenant, want->tenant) && span_eq(secret->name, want->name));
	assert_true(span_eq(secret->sealed, want->sealed));
	assert_true(secret->created_ms == 3 && secret->expires_ms == want->expires_ms);
	return 0;
}

static void
secrets_have_ids_of_their_own_and_an_end(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	struct change next = {.run = change_secret_next};
	struct change add = {.run = change_secret_add, .secret = {.tenant = MAIN,
	    .name = SPAN("shop"), .kind = STORE_SECRET_APPLICATION, .sealed = SPAN("\0s"),
	    .created_ms = 3}};
	struct change expire = {.run = change_secret_expire, .time_ms = 99}, remove;
	struct seen mine = {.count = 0}, others = {.count = 0};

	assert_int_equal(change_run(store, &next), 0);
	add.secret.id = expire.id = next.id;
	assert_int_equal(change_run(store, &add), 0);
	assert_int_equal(change_run(store, &next), 0);
	assert_true(next.id == add.secret.id + 1);
	remove = add;
	remove.run = change_secret_remove;
	add.secret.id = next.id;
	assert_int_equal(change_run(store, &add), -EEXIST);
	add.secret.kind = STORE_SECRET_USER;
	assert_int_equal(change_run(store, &add), 0);
	assert_int_equal(change_run(store, &expire), 0);
	add.secret = remove.secret;
	add.secret.expires_ms = 99;
	assert_int_equal(store_secrets_list(store, MAIN, STORE_SECRET_APPLICATION, &all,
	    must_be_secret, &add.secret), 0);
	assert_int_equal(store_secrets_list(store, MAIN, STORE_SECRET_APPLICATION, &all,
	    see_secret, &mine), 0);
	assert_string_equal(mine.text, "1");
	assert_int_equal(store_secrets_list(store, SPAN("acme"), STORE_SECRET_APPLICATION, &all,
	    see_secret, &others), 0);
	assert_int_equal(others.count, 0);
	assert_int_equal(change_run(store, &remove), 0);
	assert_true(remove.id == 1);
	assert_int_equal(change_run(store, &remove), -ENOENT);
	expire.id = 1;
	assert_int_equal(change_run(store, &expire), -ENOENT);
	assert_int_equal(store_secrets_load(store, see_secret, &others), 0);
	assert_string_equal(others.text, "2");
	store_close(store);
}

/* ── venues ── */

static int
must_be_venue(void *ctx, const struct store_venue *venue)
{
	const struct store_venue *want = ctx;

	assert_true(venue->id == want->id && span_eq(venue->name, want->name));
	assert_true(span_eq(venue->items, want->items) && venue->has_plan == want->has_plan);
	assert_int_equal(venue->user_count, want->user_count);
	assert_memory_equal(venue->users, want->users, want->user_count * sizeof(uint64_t));
	return 0;
}

static int
must_be_plan(void *ctx, struct span type, struct span bytes)
{
	const struct change *change = ctx;

	assert_true(span_eq(type, change->name) && span_eq(bytes, change->text));
	return 0;
}

static void
venue_has_items_users_and_a_plan(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	uint64_t users[2] = {add_user(store, MAIN, SPAN("ana")), add_user(store, MAIN,
	    SPAN("bo"))};
	struct change add = {.run = change_venue_add, .venue = {.tenant = MAIN,
	    .name = SPAN("Hall's"), .items = SPAN("[{\"x\":1}]"), .users = users,
	    .user_count = 2}};
	struct change put, plan, leave = {.run = change_user_remove,
	    .user = {.tenant = MAIN, .name = SPAN("ana")}};
	struct seen seen = {.count = 0}, bo = {.count = 0};

	assert_int_equal(change_run(store, &add), 0);
	assert_int_equal(change_run(store, &add), 0);
	assert_true(add.id == 2);
	put = plan = add;
	put.run = change_venue_put;
	put.venue.id = plan.venue.id = 1;
	put.venue.name = SPAN("Hall 1");
	put.venue.user_count = 1;
	assert_int_equal(change_run(store, &put), 0);
	plan.run = change_plan_put;
	plan.name = SPAN("image/png");
	plan.text = SPAN("\x89PNG\0");
	assert_int_equal(change_run(store, &plan), 0);
	assert_int_equal(change_run(store, &plan), 0); /* replaces */
	put.venue.has_plan = true;
	assert_int_equal(store_venue_find(store, MAIN, 1, must_be_venue, &put.venue), 0);
	assert_int_equal(store_venue_plan_get(store, MAIN, 1, must_be_plan, &plan), 0);
	assert_int_equal(store_venue_plan_get(store, MAIN, 2, must_be_plan, &plan), -ENOENT);
	assert_int_equal(store_venues_list(store, MAIN, 0, &all, see_venue, &seen), 0);
	assert_string_equal(seen.text, "1 2");
	assert_int_equal(store_venues_list(store, MAIN, users[1], &all, see_venue, &bo), 0);
	assert_string_equal(bo.text, "2");
	assert_int_equal(change_run(store, &leave), 0);
	put.venue.user_count = 0;
	assert_int_equal(store_venue_find(store, MAIN, 1, must_be_venue, &put.venue), 0);
	plan.text = SPAN("");
	assert_int_equal(change_run(store, &plan), 0);
	assert_int_equal(store_venue_plan_get(store, MAIN, 1, must_be_plan, &plan), -ENOENT);
	put.run = change_venue_remove;
	assert_int_equal(change_run(store, &put), 0);
	assert_int_equal(change_run(store, &put), -ENOENT);
	assert_int_equal(change_run(store, &plan), -ENOENT);
	store_close(store);
}

/* ── audit ── */

struct audited {
	unsigned count;
	struct store_audit last;
};

static int
see_audit(void *ctx, const struct store_audit *audit)
{
	struct audited *audited = ctx;

	audited->count++;
	audited->last.id = audit->id;
	assert_true(span_eq(audit->tenant, MAIN) && span_eq(audit->who, SPAN("user-ana")));
	assert_true(span_eq(audit->what, SPAN("device.put")));
	assert_true(span_eq(audit->object, SPAN("12\r\n34")));
	assert_true(span_eq(audit->from, SPAN("::1")));
	assert_true(span_eq(audit->before, SPAN("{}")));
	assert_true(span_eq(audit->after, audit->id == 1 ? SPAN("\"…\"") : SPAN("")));
	return 0;
}

static void
audit_tells_latest_first_and_forgets_oldest(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	char *much = calloc(1, STORE_DOCUMENT_BYTES_MAX + 1);
	struct change add = {.run = change_audit_add, .audit = {.tenant = MAIN,
	    .who = SPAN("user-ana"), .what = SPAN("device.put"), .object = SPAN("12\r\n34"),
	    .from = SPAN("::1"), .before = SPAN("{}"),
	    .after = span_of(much, STORE_DOCUMENT_BYTES_MAX + 1)}};
	struct change trim = {.run = change_audit_trim, .time_ms = 4};
	struct store_page page = {.limit = 2};
	struct audited seen = {.count = 0};

	check(much);
	for (int i = 1; i <= 5; i++) {
		add.audit.time_ms = i;
		assert_int_equal(change_run(store, &add), 0);
		add.audit.after = SPAN("");
	}
	assert_true(registry_version(store) == 0); /* it is no change itself */
	assert_int_equal(store_audits_list(store, MAIN, 0, 9, &page, see_audit, &seen), 0);
	assert_true(seen.count == 2 && seen.last.id == 4);
	page.after_number = 4;
	assert_int_equal(store_audits_list(store, MAIN, 2, 9, &page, see_audit, &seen), 0);
	assert_true(seen.count == 4 && seen.last.id == 2);
	page.limit = 1;
	page.after_number = 2;
	assert_int_equal(store_audits_list(store, MAIN, 0, 9, &page, see_audit, &seen), 0);
	assert_true(seen.count == 5 && seen.last.id == 1);
	assert_int_equal(store_audits_list(store, SPAN("acme"), 0, 9, &all, see_audit, &seen), 0);
	assert_true(seen.count == 5);
	assert_int_equal(change_run(store, &trim), 0);
	assert_int_equal(trim.count, 2);
	assert_int_equal(change_run(store, &trim), 0);
	assert_int_equal(trim.count, 1);
	store_close(store);
	free(much);
}

/* ── limits ── */

static void
what_is_too_long_is_refused(void **state)
{
	struct place *place = *state;
	struct store *store = store_must_open(place->env, place->dir);
	size_t size = STORE_PLAN_BYTES_MAX + 1;
	char *much = calloc(1, size);
	struct change user = {.run = change_user_add, .user = ana};
	struct change gateway = {.run = change_gateway_add, .gateway = {.tenant = MAIN}};
	struct change venue = {.run = change_venue_add, .venue = {.tenant = MAIN,
	    .name = SPAN("v")}};
	struct change secret = {.run = change_secret_add, .secret = {.tenant = MAIN, .id = 1,
	    .name = SPAN("s"), .sealed = span_of(much, STORE_TEXT_BYTES_MAX + 1)}};
	struct change audit = {.run = change_audit_add, .audit = {.tenant = MAIN,
	    .object = span_of(much, STORE_TEXT_BYTES_MAX + 1)}};

	check(much);
	user.user.contacts = span_of(much, STORE_DOCUMENT_BYTES_MAX + 1);
	assert_int_equal(change_run(store, &user), -EMSGSIZE);
	user.user = ana;
	user.user.tz = span_of(much, STORE_TEXT_BYTES_MAX + 1);
	assert_int_equal(change_run(store, &user), -EMSGSIZE);
	user.user = ana;
	user.user.permission = 0;
	assert_int_equal(change_run(store, &user), -EINVAL);
	assert_int_equal(change_run(store, &gateway), -EINVAL); /* no id */
	gateway.gateway.id = 1;
	gateway.gateway.config = span_of(much, STORE_DOCUMENT_BYTES_MAX + 1);
	assert_int_equal(change_run(store, &gateway), -EMSGSIZE);
	venue.venue.items = span_of(much, STORE_ITEMS_BYTES_MAX + 1);
	assert_int_equal(change_run(store, &venue), -EMSGSIZE);
	venue.run = change_plan_put;
	venue.text = span_of(much, size);
	assert_int_equal(change_run(store, &venue), -EMSGSIZE);
	assert_int_equal(change_run(store, &secret), -EMSGSIZE);
	assert_int_equal(change_run(store, &audit), -EMSGSIZE);
	assert_true(registry_version(store) == 0);
	store_close(store);
	free(much);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_ids_are_told_from_others),
		TEST(tenant_goes_only_when_it_is_empty),
		TEST(what_fails_raises_no_version),
		TEST(user_is_found_changed_and_removed),
		TEST(users_are_listed_by_prefix_and_page),
		TEST(gateways_count_from_one_in_each_tenant),
		TEST(secrets_have_ids_of_their_own_and_an_end),
		TEST(venue_has_items_users_and_a_plan),
		TEST(audit_tells_latest_first_and_forgets_oldest),
		TEST(what_is_too_long_is_refused),
	};

	return cmocka_run_group_tests_name("store_registry", tests, NULL, NULL);
}

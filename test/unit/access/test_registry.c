/*
 * test_registry.c: the index of devices, gateways and persons: tokens, changes in order, revoking.
 */
#include "access_testing.h"

#define TOKEN "0123456789abcdef0123456789abcdef01234567"

static const struct store_device device_7 = {.tenant = {"main", 4}, .id = {"7", 1}, .state = true};

static const struct access_device *
find(const struct access *access, const char *id)
{
	return access_device_find(access, MAIN, span_str(id));
}

static void
device_token_is_right_again_and_again(void **state)
{
	struct access *access = access_must_create();
	const struct access_device *device;

	(void)state;
	assert_null(find(access, "7"));
	assert_int_equal(put_device(access, &device_7, TOKEN, 1), 0);
	device = find(access, "7");
	assert_non_null(device);
	assert_true(access_device_active(device));
	assert_false(access_device_token(access, device, SPAN("")));
	for (int i = 0; i < 3; i++) {
		assert_true(access_device_token(access, device, SPAN(TOKEN)));
		assert_false(access_device_token(access, device, span_of(TOKEN, 39)));
		assert_false(access_device_token(access, device, SPAN(TOKEN "0")));
		assert_false(access_device_token(access, device, SPAN(TOKEN "\0")));
		assert_false(access_device_token(access, device, SPAN("")));
	}
	access_destroy(access);
}

static void
token_of_seventeen_digits_is_compared_by_its_digits(void **state)
{
	struct access *access = access_must_create();
	const struct access_device *device;

	(void)state;
	assert_int_equal(put_device(access, &device_7, "12345678901234567", 1), 0);
	device = find(access, "7");
	assert_true(access_device_token(access, device, SPAN("12345678901234567")));
	/* The same double. */
	assert_false(access_device_token(access, device, SPAN("12345678901234568")));
	assert_false(access_device_token(access, device, SPAN("012345678901234567")));
	access_destroy(access);
}

static void
device_without_a_token_has_no_right_one(void **state)
{
	struct access *access = access_must_create();

	(void)state;
	assert_int_equal(put_device(access, &device_7, NULL, 1), 0);
	assert_false(access_device_token(access, find(access, "7"), SPAN("")));
	assert_false(access_device_token(access, find(access, "7"), SPAN("0")));
	access_destroy(access);
}

static void
hash_of_one_device_is_of_no_use_to_another(void **state)
{
	struct access *access = access_must_create();
	unsigned char hash[ACCESS_HASH_BYTES];
	struct store_device other = {.tenant = MAIN, .id = SPAN("8"), .state = true};
	struct access_device *made = NULL;

	(void)state;
	access_token_hash(node_secret, ACCESS_TOKEN_DEVICE, MAIN, SPAN("7"), SPAN(TOKEN), hash);
	other.hash = span_of((const char *)hash, sizeof(hash));
	assert_int_equal(access_device_create(&other, &made), 0);
	assert_int_equal(access_device_put(access, made), 0);
	assert_false(access_device_token(access, made, SPAN(TOKEN)));
	access_device_unref(made);
	other.hash.len = 31;
	assert_int_equal(access_device_create(&other, &made), -EINVAL);
	access_destroy(access);
}

static void
older_change_does_nothing_and_newer_token_replaces(void **state)
{
	struct access *access = access_must_create();
	struct store_device off = device_7;

	(void)state;
	off.state = false;
	assert_int_equal(put_device(access, &device_7, TOKEN, 5), 0);
	assert_true(access_device_token(access, find(access, "7"), SPAN(TOKEN)));
	assert_int_equal(put_device(access, &off, "old", 4), 0);
	assert_true(access_device_active(find(access, "7")));
	assert_int_equal(put_device(access, &off, "new", 6), 0);
	assert_false(access_device_active(find(access, "7")));
	assert_false(access_device_token(access, find(access, "7"), SPAN(TOKEN)));
	assert_true(access_device_token(access, find(access, "7"), SPAN("new")));
	access_device_remove(access, MAIN, SPAN("7"));
	access_device_remove(access, MAIN, SPAN("7"));
	assert_null(find(access, "7"));
	assert_int_equal(access_device_count(access), 0);
	access_destroy(access);
}

static void
two_loops_share_a_record(void **state)
{
	struct access *one = access_must_create(), *two = access_must_create();
	unsigned char hash[ACCESS_HASH_BYTES];
	struct store_device row = device_7;
	struct access_device *device = NULL;

	(void)state;
	access_token_hash(node_secret, ACCESS_TOKEN_DEVICE, MAIN, SPAN("7"), SPAN(TOKEN), hash);
	row.hash = span_of((const char *)hash, sizeof(hash));
	assert_int_equal(access_device_create(&row, &device), 0);
	assert_int_equal(access_device_put(one, device), 0);
	assert_int_equal(access_device_put(two, device), 0);
	access_device_unref(device);
	assert_ptr_equal(find(one, "7"), find(two, "7"));
	assert_true(access_device_token(one, find(one, "7"), SPAN(TOKEN)));
	access_destroy(one);
	assert_true(access_device_token(two, find(two, "7"), SPAN(TOKEN)));
	access_destroy(two);
}

static void
device_speaks_for_itself_until_it_changes(void **state)
{
	struct access *access = access_must_create();
	struct access_principal *principal, *again;
	struct store_device off = device_7;

	(void)state;
	off.state = false;
	assert_int_equal(put_device(access, &device_7, TOKEN, 1), 0);
	assert_null(access_authenticate_pair(access, SPAN("device-7"), SPAN("x")));
	assert_null(access_authenticate_pair(access, SPAN("device-8"), SPAN(TOKEN)));
	assert_null(access_authenticate_pair(access, SPAN("device-7@acme"), SPAN(TOKEN)));
	principal = access_authenticate_pair(access, SPAN("device-7@main"), SPAN(TOKEN));
	again = access_authenticate_pair(access, SPAN("device-7"), SPAN(TOKEN));
	assert_non_null(principal);
	assert_ptr_equal(principal, again);
	assert_true(principal->kind == ACCESS_DEVICE && span_eq(principal->name, SPAN("device-7")));
	assert_int_equal(principal->rights, ACCESS_READ | ACCESS_WRITE);
	assert_int_equal(put_device(access, &off, TOKEN, 2), 0);
	assert_true(principal->revoked);
	assert_null(access_authenticate_pair(access, SPAN("device-7"), SPAN(TOKEN)));
	access_principal_unref(principal);
	access_principal_unref(again);
	access_destroy(access);
}

/* ── gateways ── */

static void
gateway_is_told_by_its_token_and_refused_when_not_active(void **state)
{
	struct access *access = access_must_create();
	struct store_gateway gateway = {.tenant = MAIN, .id = 7, .version = 1, .may_enrol = true};
	struct store_gateway other = {.tenant = SPAN("acme"), .id = 7, .version = 2};
	struct access_principal *principal, *theirs;

	(void)state;
	assert_int_equal(put_gateway(access, &gateway, TOKEN), 0);
	assert_int_equal(put_gateway(access, &other, "another"), 0);
	principal = access_authenticate_pair(access, SPAN("gateway-7"), SPAN(TOKEN));
	assert_non_null(principal);
	assert_true(principal->kind == ACCESS_GATEWAY && principal->may_enrol);
	assert_true(span_eq(principal->name, SPAN("gateway-7")) && principal->id == 7);
	theirs = access_authenticate_pair(access, SPAN("gateway-7@acme"), SPAN("another"));
	assert_non_null(theirs);
	assert_true(span_eq(theirs->tenant, SPAN("acme")));
	assert_null(access_authenticate_pair(access, SPAN("gateway-7"), SPAN("another")));
	assert_null(access_authenticate_pair(access, SPAN("gateway-07"), SPAN(TOKEN)));
	assert_null(access_authenticate_pair(access, SPAN("gateway-"), SPAN(TOKEN)));
	assert_null(access_authenticate_pair(access, SPAN("gateway--7"), SPAN(TOKEN)));
	assert_null(access_authenticate_pair(access, SPAN("gateway-8"), SPAN(TOKEN)));
	assert_null(access_authenticate_pair(access, SPAN("ana"), SPAN(TOKEN)));
	gateway.version = 3;
	gateway.state = SPAN("Stolen");
	assert_int_equal(put_gateway(access, &gateway, TOKEN), 0);
	assert_true(principal->revoked && !theirs->revoked);
	assert_null(access_authenticate_pair(access, SPAN("gateway-7"), SPAN(TOKEN)));
	access_principal_unref(principal);
	gateway.version = 4;
	gateway.state = SPAN("Active");
	assert_int_equal(put_gateway(access, &gateway, TOKEN), 0);
	principal = access_authenticate_pair(access, SPAN("gateway-7"), SPAN(TOKEN));
	assert_non_null(principal);
	access_gateway_remove(access, MAIN, 7);
	assert_true(principal->revoked);
	access_principal_unref(principal);
	access_principal_unref(theirs);
	access_destroy(access);
}

/* ── persons ── */

static unsigned
count_devices(const struct access *access, uint64_t user)
{
	size_t pos = 0;
	unsigned count = 0;

	while (access_user_device_next(access, user, &pos))
		count++;
	return count;
}

static void
person_has_the_devices_that_say_so(void **state)
{
	struct access *access = access_must_create();
	const uint64_t users[] = {3, 4, 4};
	struct store_device shared = device_7, mine = {.tenant = MAIN, .id = SPAN("8"),
	    .users = users, .user_count = 1};

	(void)state;
	put_user(access, 3, MAIN, SPAN("ana"), STORE_USER, false);
	put_user(access, 4, MAIN, SPAN("bo"), STORE_USER, false);
	shared.users = users;
	shared.user_count = 3;
	assert_int_equal(put_device(access, &shared, TOKEN, 1), 0);
	assert_int_equal(put_device(access, &mine, TOKEN, 2), 0);
	assert_int_equal(count_devices(access, 3), 2);
	assert_int_equal(count_devices(access, 4), 1);
	assert_true(access_user_has_device(access, 4, MAIN, SPAN("7")));
	assert_false(access_user_has_device(access, 4, MAIN, SPAN("8")));
	assert_false(access_user_has_device(access, 4, SPAN("acme"), SPAN("7")));
	assert_int_equal(put_device(access, &device_7, TOKEN, 3), 0); /* nobody's now */
	assert_int_equal(count_devices(access, 3), 1);
	assert_int_equal(count_devices(access, 4), 0);
	access_device_remove(access, MAIN, SPAN("8"));
	assert_int_equal(count_devices(access, 3), 0);
	assert_int_equal(put_device(access, &shared, TOKEN, 4), 0);
	access_user_remove(access, 4);
	assert_int_equal(count_devices(access, 4), 0);
	access_destroy(access);
}

static void
what_somebody_lost_is_counted(void **state)
{
	struct access *access = access_must_create();
	const uint64_t users[] = {3, 4};
	struct store_device shared = device_7;
	struct store_gateway gateway = {.tenant = MAIN, .id = 7, .version = 1};
	struct access_principal *principal;

	(void)state;
	put_user(access, 3, MAIN, SPAN("ana"), STORE_USER, false);
	shared.users = users;
	shared.user_count = 1;
	assert_int_equal(put_device(access, &shared, TOKEN, 1), 0);
	shared.user_count = 2;
	assert_int_equal(put_device(access, &shared, TOKEN, 2), 0); /* one more has it */
	assert_int_equal(access_losses(access).devices, 0);
	shared.users = users + 1;
	shared.user_count = 1;
	assert_int_equal(put_device(access, &shared, TOKEN, 3), 0); /* 3 has it no more */
	assert_int_equal(access_losses(access).devices, 1);
	assert_int_equal(put_device(access, &device_7, TOKEN, 2), 0); /* an old version */
	assert_int_equal(access_losses(access).devices, 1);
	access_device_remove(access, MAIN, SPAN("7"));
	access_device_remove(access, MAIN, SPAN("7"));
	assert_int_equal(access_losses(access).devices, 2);
	assert_int_equal(put_gateway(access, &gateway, TOKEN), 0);
	gateway.version = 2;
	assert_int_equal(put_gateway(access, &gateway, TOKEN), 0);
	assert_int_equal(access_losses(access).principals, 0); /* nobody held it */
	principal = access_authenticate_gateway(access, MAIN, 7, SPAN(TOKEN));
	access_gateway_remove(access, MAIN, 7);
	assert_int_equal(access_losses(access).principals, 1);
	access_principal_unref(principal);
	access_destroy(access);
}

static void
tokens_are_forty_random_digits(void **state)
{
	struct env *env = sim_create(1);
	char one[ACCESS_TOKEN_BYTES], two[ACCESS_TOKEN_BYTES];

	(void)state;
	check(env);
	access_token_generate(env, one);
	access_token_generate(env, two);
	assert_memory_not_equal(one, two, sizeof(one));
	for (size_t i = 0; i < sizeof(one); i++)
		assert_non_null(strchr("0123456789abcdef", one[i]));
	env_destroy(env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_token_is_right_again_and_again),
		cmocka_unit_test(token_of_seventeen_digits_is_compared_by_its_digits),
		cmocka_unit_test(device_without_a_token_has_no_right_one),
		cmocka_unit_test(hash_of_one_device_is_of_no_use_to_another),
		cmocka_unit_test(older_change_does_nothing_and_newer_token_replaces),
		cmocka_unit_test(two_loops_share_a_record),
		cmocka_unit_test(device_speaks_for_itself_until_it_changes),
		cmocka_unit_test(gateway_is_told_by_its_token_and_refused_when_not_active),
		cmocka_unit_test(person_has_the_devices_that_say_so),
		cmocka_unit_test(what_somebody_lost_is_counted),
		cmocka_unit_test(tokens_are_forty_random_digits),
	};

	return cmocka_run_group_tests_name("access_registry", tests, NULL, NULL);
}

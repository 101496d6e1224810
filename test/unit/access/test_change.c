/*
 * test_change.c: one list of changes, applied to the index of each loop; it outlives the rows that
 * it was made from.
 */
#include "access_change.h"
#include "access_testing.h"

/* Rows whose bytes are overwritten once they were noted. */
static struct access_change *
change_make(void)
{
	struct access_change *change = access_change_create(node_secret);
	char tenant[] = "main", name[] = "ana", id[] = "7", channels[] = "[\"a/#\"]";
	unsigned char hash[3][ACCESS_HASH_BYTES], sealed[ACCESS_SEALED_BYTES_MAX];
	const uint64_t users[] = {3};
	struct span t = span_str(tenant);
	struct env *env = sim_create(1);
	struct store_secret secret = {.id = 1, .kind = STORE_SECRET_USER, .tenant = t};
	struct store_user user = {.id = 3, .tenant = t, .name = span_str(name),
	    .permission = STORE_USER, .generation = 1, .version = 1};
	struct store_device device = {.tenant = t, .id = span_str(id), .state = true,
	    .users = users, .user_count = 1, .version = 2};
	struct store_gateway gateway = {.tenant = t, .id = 4, .version = 3};
	struct store_key key = {.id = 5, .tenant = t, .name = span_str(name),
	    .rights = ACCESS_READ, .channels = span_str(channels), .version = 4};

	check(change && env);
	access_token_hash(node_secret, ACCESS_TOKEN_DEVICE, t, device.id, SPAN("d"), hash[0]);
	access_token_hash(node_secret, ACCESS_TOKEN_GATEWAY, t, SPAN("4"), SPAN("g"), hash[1]);
	access_key_hash(node_secret, SPAN("k"), hash[2]);
	device.hash = span_of((const char *)hash[0], ACCESS_HASH_BYTES);
	gateway.hash = span_of((const char *)hash[1], ACCESS_HASH_BYTES);
	key.hash = span_of((const char *)hash[2], ACCESS_HASH_BYTES);
	secret.sealed = span_of((const char *)sealed, access_seal(env, node_secret, &secret,
	    SPAN("s"), sealed));
	assert_int_equal(access_change_user(change, &user), 0);
	assert_int_equal(access_change_device(change, &device), 0);
	assert_int_equal(access_change_gateway(change, &gateway), 0);
	assert_int_equal(access_change_key(change, &key), 0);
	assert_int_equal(access_change_secret(change, &secret), 0);
	sealed[0] ^= 1;
	assert_int_equal(access_change_secret(change, &secret), -EBADMSG);
	assert_int_equal(access_change_count(change), 5);
	memset(tenant, 'x', sizeof(tenant));
	memset(name, 'x', sizeof(name));
	memset(id, 'x', sizeof(id));
	memset(channels, 'x', sizeof(channels));
	memset(hash, 'x', sizeof(hash));
	env_destroy(env);
	return change;
}

struct found {
	struct access_principal *device, *gateway, *key, *user;
};

static struct found
find_all(struct access *access)
{
	return (struct found){
		.device = access_authenticate_device(access, MAIN, SPAN("7"), SPAN("d")),
		.gateway = access_authenticate_gateway(access, MAIN, 4, SPAN("g")),
		.key = access_authenticate(access, SPAN("k")),
		.user = log_in(access, 3),
	};
}

static void
found_release(struct found *found)
{
	access_principal_unref(found->device);
	access_principal_unref(found->gateway);
	access_principal_unref(found->key);
	access_principal_unref(found->user);
}

static void
what_was_put_is_known_to_every_loop(void **state)
{
	struct access *loops[2] = {access_must_create(), access_must_create()};
	struct access_change *change = change_make();

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct found found;

		assert_int_equal(access_change_apply(change, loops[i]), 0);
		assert_int_equal(access_change_apply(change, loops[i]), 0); /* again: the same */
		found = find_all(loops[i]);
		assert_true(found.device && found.gateway && found.key && found.user);
		assert_memory_equal(found.key->patterns, "\003a/#", 4);
		assert_true(access_user_has_device(loops[i], 3, MAIN, SPAN("7")));
		found_release(&found);
	}
	access_change_unref(change);
	for (int i = 0; i < 2; i++) {
		assert_true(access_user_has_device(loops[i], 3, MAIN, SPAN("7")));
		access_destroy(loops[i]);
	}
}

static void
what_is_gone_is_refused_and_revoked(void **state)
{
	struct access *access = access_must_create();
	struct access_change *put = change_make(), *gone = access_change_create(node_secret);
	struct found found;

	(void)state;
	check(gone);
	assert_int_equal(access_change_apply(put, access), 0);
	found = find_all(access);
	assert_int_equal(access_change_device_gone(gone, MAIN, SPAN("7")), 0);
	assert_int_equal(access_change_gateway_gone(gone, MAIN, 4), 0);
	assert_int_equal(access_change_key_gone(gone, 5), 0);
	assert_int_equal(access_change_user_gone(gone, 3), 0);
	assert_int_equal(access_change_secret_gone(gone, 1), 0);
	assert_int_equal(access_change_apply(gone, access), 0);
	assert_true(found.device->revoked && found.gateway->revoked && found.key->revoked &&
	    found.user->revoked);
	assert_null(access_authenticate(access, SPAN("k")));
	assert_null(access_authenticate_gateway(access, MAIN, 4, SPAN("g")));
	assert_null(access_device_find(access, MAIN, SPAN("7")));
	found_release(&found);
	access_change_unref(access_change_ref(gone));
	access_change_unref(gone);
	access_change_unref(put);
	access_destroy(access);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_known_to_every_loop),
		cmocka_unit_test(what_is_gone_is_refused_and_revoked),
	};

	return cmocka_run_group_tests_name("access_change", tests, NULL, NULL);
}

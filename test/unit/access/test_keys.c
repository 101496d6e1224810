/*
 * test_keys.c: a loop's index of keys: who a key is, what revoking does, and that what is kept of a
 * key does not show it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access.h"
#include "check.h"
#include "store.h"

static const unsigned char secret[32] = "thirty-two bytes of node secret";

/* Takes the place of libsodium's, so that a comparison by other means is noticed. */
static size_t compared_bytes;

int
sodium_memcmp(const void *const a, const void *const b, size_t len)
{
	compared_bytes += len;
	return memcmp(a, b, len) ? -1 : 0;
}

/* Puts the key `text` with this id. */
static int
put_text(struct access *access, uint64_t id, const char *text, struct span channels)
{
	unsigned char hash[ACCESS_HASH_BYTES];
	struct store_key key = {
		.id = id,
		.tenant = SPAN("main"),
		.name = SPAN("ward"),
		.hash = span_of((const char *)hash, sizeof(hash)),
		.rights = ACCESS_READ | ACCESS_PUBLISH,
		.channels = channels,
		.version = id,
	};

	access_key_hash(secret, span_str(text), hash);
	return access_key_put(access, &key);
}

static struct access *
access_make(void)
{
	struct access *access = NULL;

	assert_int_equal(access_create(secret, &access), 0);
	return access;
}

static void
known_key_has_its_principal(void **state)
{
	struct access *access = access_make();
	struct access_principal *principal;

	(void)state;
	assert_int_equal(put_text(access, 7, "open sesame", SPAN("[\"a/#\", \"b\\u002f+\"]")), 0);
	principal = access_authenticate(access, SPAN("open sesame"));
	assert_non_null(principal);
	assert_true(span_eq(principal->tenant, SPAN("main")));
	assert_true(span_eq(principal->name, SPAN("app-ward")));
	assert_int_equal(principal->rights, ACCESS_READ | ACCESS_PUBLISH);
	assert_true(principal->id == 7);
	assert_false(principal->revoked);
	assert_int_equal(principal->pattern_count, 2);
	assert_memory_equal(principal->patterns, "\003a/#" "\003b/+", 8);
	access_destroy(access);
	assert_true(span_eq(principal->name, SPAN("app-ward"))); /* outlives the index */
	access_principal_unref(principal);
}

static void
unknown_keys_are_nobody(void **state)
{
	struct access *access = access_make();

	(void)state;
	assert_null(access_authenticate(access, SPAN("open sesame")));
	assert_int_equal(put_text(access, 7, "open sesame", SPAN("")), 0);
	assert_null(access_authenticate(access, SPAN("")));
	assert_null(access_authenticate(access, SPAN("open sesam")));
	assert_null(access_authenticate(access, SPAN("open sesamf")));
	assert_null(access_authenticate(access, SPAN("open sesame\0")));
	access_destroy(access);
}

static void
revoked_key_is_refused_and_its_holders_can_see_it(void **state)
{
	struct access *access = access_make();
	struct access_principal *before, *other;

	(void)state;
	assert_int_equal(put_text(access, 1, "one", SPAN("")), 0);
	assert_int_equal(put_text(access, 2, "two", SPAN("")), 0);
	before = access_authenticate(access, SPAN("one"));
	assert_non_null(before);
	access_key_remove(access, 1);
	access_key_remove(access, 1);
	access_key_remove(access, 99);
	assert_true(before->revoked);
	assert_int_equal(before->rights, ACCESS_READ | ACCESS_PUBLISH); /* still its own */
	assert_null(access_authenticate(access, SPAN("one")));
	other = access_authenticate(access, SPAN("two"));
	assert_non_null(other);
	assert_false(other->revoked);
	access_principal_unref(other);
	access_principal_unref(before);
	access_destroy(access);
}

static void
replaced_key_gives_way_to_the_new_one(void **state)
{
	struct access *access = access_make();
	struct access_principal *before, *after;

	(void)state;
	assert_int_equal(put_text(access, 1, "old", SPAN("")), 0);
	before = access_authenticate(access, SPAN("old"));
	assert_int_equal(put_text(access, 1, "new", SPAN("[\"a\"]")), 0);
	assert_true(before->revoked);
	assert_null(access_authenticate(access, SPAN("old")));
	after = access_authenticate(access, SPAN("new"));
	assert_non_null(after);
	assert_int_equal(after->pattern_count, 1);
	access_principal_unref(before);
	access_principal_unref(after);
	access_destroy(access);
}

static void
older_version_of_a_key_changes_nothing(void **state)
{
	unsigned char hash[ACCESS_HASH_BYTES];
	struct access *access = access_make();
	struct access_principal *principal;
	struct store_key key = {.id = 1, .tenant = SPAN("main"), .name = SPAN("ward"),
	    .hash = span_of((const char *)hash, sizeof(hash)), .version = 9};

	(void)state;
	access_key_hash(secret, SPAN("k"), hash);
	assert_int_equal(access_key_put(access, &key), 0);
	key.version = 8;
	key.rights = ACCESS_WRITE;
	assert_int_equal(access_key_put(access, &key), 0);
	principal = access_authenticate(access, SPAN("k"));
	assert_int_equal(principal->rights, 0);
	assert_false(principal->revoked);
	access_principal_unref(principal);
	access_destroy(access);
}

static void
key_that_cannot_be_read_is_refused_whole(void **state)
{
	static const char *const bad[] = {
		"{}", "null", "\"a\"", "[1]", "[\"a\", null]", "[[\"a\"]]", "[\"a#\"]", "[\"\"]",
		"[\"a\"", "[\"a\"]x", "[\"a\",]", "['a']", "a", " ", "[\"a//b\"]", "[\"\xff\"]",
	};
	struct access *access = access_make();
	unsigned char hash[ACCESS_HASH_BYTES] = {1};
	struct store_key key = {.id = 1, .hash = span_of((const char *)hash, sizeof(hash))};
	struct access_principal *principal;

	(void)state;
	assert_int_equal(put_text(access, 1, "k", SPAN("[\"a\"]")), 0);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		if (put_text(access, 1, "k", span_str(bad[i])) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	}
	key.version = 5;
	key.rights = ACCESS_ADMIN;
	assert_int_equal(access_key_put(access, &key), -EINVAL);
	key.rights = 0;
	key.hash.len = 31;
	assert_int_equal(access_key_put(access, &key), -EINVAL);
	key.hash.len = 32;
	key.id = 0; /* the local principal's */
	assert_int_equal(access_key_put(access, &key), -EINVAL);
	principal = access_authenticate(access, SPAN("k")); /* as it was */
	assert_non_null(principal);
	assert_int_equal(principal->pattern_count, 1);
	access_principal_unref(principal);
	access_destroy(access);
}

static void
local_principal_may_everything(void **state)
{
	struct access *access = access_make();
	struct access_principal *local = access_local(access);

	(void)state;
	assert_true(span_eq(local->name, SPAN("local")) && span_eq(local->tenant, SPAN("main")));
	assert_int_equal(local->rights, 127);
	assert_true(local->id == 0);
	assert_true(access_may_channel(local, SPAN("#")));
	access_destroy(access);
	access_principal_unref(local);
}

static void
many_keys_are_each_found(void **state)
{
	struct access *access = access_make();
	char text[32];

	(void)state;
	for (uint64_t id = 1; id <= 1000; id++) {
		snprintf(text, sizeof(text), "key %d", (int)id);
		assert_int_equal(put_text(access, id, text, SPAN("")), 0);
	}
	for (uint64_t id = 2; id <= 1000; id += 2)
		access_key_remove(access, id);
	for (uint64_t id = 1; id <= 1000; id++) {
		struct access_principal *principal;

		snprintf(text, sizeof(text), "key %d", (int)id);
		principal = access_authenticate(access, span_str(text));
		assert_true((principal != NULL) == (id % 2 == 1));
		assert_true(principal == NULL || principal->id == id);
		access_principal_unref(principal);
	}
	access_destroy(access);
}

/* ── secrets ── */

static void
whole_hash_is_compared_in_constant_time(void **state)
{
	unsigned char hash[ACCESS_HASH_BYTES];
	struct access *access = access_make();
	struct store_key key = {.id = 1, .hash = span_of((const char *)hash, sizeof(hash))};
	struct access_principal *principal;

	(void)state;
	access_key_hash(secret, SPAN("k"), hash);
	hash[31] ^= 1; /* found by its first bytes, and yet another one */
	assert_int_equal(access_key_put(access, &key), 0);
	compared_bytes = 0;
	assert_null(access_authenticate(access, SPAN("k")));
	assert_int_equal(compared_bytes, ACCESS_HASH_BYTES);
	hash[31] ^= 1;
	assert_int_equal(access_key_put(access, &key), 0);
	compared_bytes = 0;
	principal = access_authenticate(access, SPAN("k"));
	assert_non_null(principal);
	assert_int_equal(compared_bytes, ACCESS_HASH_BYTES);
	access_principal_unref(principal);
	access_destroy(access);
}

static void
hash_depends_on_the_secret_and_on_every_byte(void **state)
{
	unsigned char one[ACCESS_HASH_BYTES], two[ACCESS_HASH_BYTES], plain[ACCESS_HASH_BYTES];
	unsigned char other[32];

	(void)state;
	memcpy(other, secret, 32);
	other[31] ^= 0x80;
	access_key_hash(secret, SPAN("abc"), one);
	access_key_hash(secret, SPAN("abd"), two);
	assert_memory_not_equal(one, two, sizeof(one));
	access_key_hash(other, SPAN("abc"), two);
	assert_memory_not_equal(one, two, sizeof(one));
	crypto_generichash(plain, sizeof(plain), (const unsigned char *)"abc", 3, NULL, 0);
	assert_memory_not_equal(one, plain, sizeof(one));
	crypto_generichash(plain, sizeof(plain), (const unsigned char *)"abc", 3, secret, 32);
	assert_memory_equal(one, plain, sizeof(one));
}

static void
secrets_are_equal_only_as_a_whole(void **state)
{
	(void)state;
	assert_true(access_secret_equal(SPAN("abc"), SPAN("abc")));
	assert_true(access_secret_equal(SPAN(""), SPAN("")));
	assert_false(access_secret_equal(SPAN("abc"), SPAN("abd")));
	assert_false(access_secret_equal(SPAN("abc"), SPAN("ab")));
}

static void
generated_keys_are_text_and_differ(void **state)
{
	struct env *env = env_create();
	char one[ACCESS_KEY_BYTES + 1] = {0}, two[ACCESS_KEY_BYTES];

	(void)state;
	assert_non_null(env);
	one[ACCESS_KEY_BYTES] = '!'; /* not touched */
	access_key_generate(env, one);
	access_key_generate(env, two);
	assert_int_equal(one[ACCESS_KEY_BYTES], '!');
	one[ACCESS_KEY_BYTES] = '\0';
	assert_int_equal(strspn(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789-_"), ACCESS_KEY_BYTES);
	assert_memory_not_equal(one, two, sizeof(two));
	env_destroy(env);
}

/* ── what lies on disk ── */

struct disk {
	struct env *env;
	char dir[64];
	struct span needle;
	unsigned found;
};

static int
look_into(void *ctx, const char *name)
{
	struct disk *disk = ctx;
	char path[400];
	char *bytes = NULL;
	size_t len = 0;

	snprintf(path, sizeof(path), "%s/%s", disk->dir, name);
	assert_int_equal(env_read_file(disk->env, path, 1 << 24, &bytes, &len), 0);
	if (memmem(bytes, len, disk->needle.ptr, disk->needle.len))
		disk->found++;
	free(bytes);
	return 0;
}

static int
unlink_name(void *ctx, const char *name)
{
	struct disk *disk = ctx;
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", disk->dir, name);
	return env_unlink(disk->env, path);
}

struct new_key {
	struct store_unit unit;
	struct store_key key;
	int error;
};

static int
new_key_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct new_key *new_key = CONTAINER_OF(unit, struct new_key, unit);
	uint64_t id, version;

	return store_key_add(tx, &new_key->key, &id, &version);
}

static void
new_key_done(struct store_unit *unit, int error)
{
	CONTAINER_OF(unit, struct new_key, unit)->error = error;
}

static int
put_loaded(void *ctx, const struct store_key *key)
{
	return access_key_put(ctx, key);
}

static void
key_is_nowhere_on_disk_and_yet_known_after_a_restart(void **state)
{
	struct disk disk = {.env = env_create(), .dir = "/tmp/weir-access-XXXXXX"};
	char key[ACCESS_KEY_BYTES];
	unsigned char hash[ACCESS_HASH_BYTES];
	struct span hash_span = span_of((const char *)hash, sizeof(hash));
	struct new_key new_key = {.unit = {.apply = new_key_apply, .done = new_key_done},
	    .key = {.tenant = SPAN("main"), .name = SPAN("ward"), .rights = ACCESS_READ,
		.hash = hash_span}, .error = 1};
	struct access *access = access_make();
	struct access_principal *principal;
	struct store *store;

	(void)state;
	check(disk.env && mkdtemp(disk.dir));
	access_key_generate(disk.env, key);
	access_key_hash(secret, span_of(key, sizeof(key)), hash);
	assert_int_equal(store_open(disk.env, disk.dir, &store), 0);
	store_run(store, &new_key.unit);
	assert_int_equal(new_key.error, 0);
	disk.needle = span_of(key, sizeof(key));
	assert_int_equal(env_list_dir(disk.env, disk.dir, look_into, &disk), 0);
	assert_int_equal(disk.found, 0);
	disk.needle = hash_span;
	assert_int_equal(env_list_dir(disk.env, disk.dir, look_into, &disk), 0);
	assert_true(disk.found > 0); /* the search would have found it */
	store_close(store);

	assert_int_equal(store_open(disk.env, disk.dir, &store), 0);
	assert_int_equal(store_keys_load(store, put_loaded, access), 0);
	principal = access_authenticate(access, span_of(key, sizeof(key)));
	assert_non_null(principal);
	assert_int_equal(principal->rights, ACCESS_READ);
	access_principal_unref(principal);
	access_destroy(access);
	store_close(store);
	env_list_dir(disk.env, disk.dir, unlink_name, &disk);
	rmdir(disk.dir);
	env_destroy(disk.env);
}

static void
keys_are_found_by_id_name_and_tenant(void **state)
{
	static const struct {
		const char *which;
		uint64_t id; /* 0: nobody */
	} cases[] = {
		{"1", 1}, {"ward", 1}, {"main/ward", 1}, {"acme/ward", 2}, {"2", 2},
		{"acme/", 0}, {"/ward", 0}, {"ward/", 0}, {"3", 0}, {"", 0}, {"app-ward", 0},
		{"acme/ward/x", 0}, {"a/b", 4}, {"main/a/b", 4}, {"99999999999999999999", 0},
	};
	struct access *access = access_make();
	unsigned char hash[ACCESS_HASH_BYTES] = {0};
	struct store_key key = {.id = 1, .tenant = SPAN("main"), .name = SPAN("ward"),
	    .hash = span_of((const char *)hash, sizeof(hash))};

	(void)state;
	assert_int_equal(access_key_put(access, &key), 0);
	key.id = 2;
	key.tenant = SPAN("acme");
	hash[0] = 2;
	assert_int_equal(access_key_put(access, &key), 0);
	key.id = 4;
	key.tenant = SPAN("main");
	key.name = SPAN("a/b");
	hash[0] = 4;
	assert_int_equal(access_key_put(access, &key), 0);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct access_principal *principal = access_key_find(access,
		    span_str(cases[i].which));

		if (cases[i].id == 0 && principal)
			fail_msg("\"%s\" is somebody", cases[i].which);
		if (cases[i].id && (!principal || principal->id != cases[i].id))
			fail_msg("\"%s\" is not key %d", cases[i].which, (int)cases[i].id);
		access_principal_unref(principal);
	}
	access_destroy(access);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_key_has_its_principal),
		cmocka_unit_test(unknown_keys_are_nobody),
		cmocka_unit_test(revoked_key_is_refused_and_its_holders_can_see_it),
		cmocka_unit_test(replaced_key_gives_way_to_the_new_one),
		cmocka_unit_test(older_version_of_a_key_changes_nothing),
		cmocka_unit_test(key_that_cannot_be_read_is_refused_whole),
		cmocka_unit_test(local_principal_may_everything),
		cmocka_unit_test(many_keys_are_each_found),
		cmocka_unit_test(whole_hash_is_compared_in_constant_time),
		cmocka_unit_test(hash_depends_on_the_secret_and_on_every_byte),
		cmocka_unit_test(secrets_are_equal_only_as_a_whole),
		cmocka_unit_test(generated_keys_are_text_and_differ),
		cmocka_unit_test(keys_are_found_by_id_name_and_tenant),
		cmocka_unit_test(key_is_nowhere_on_disk_and_yet_known_after_a_restart),
	};

	return cmocka_run_group_tests_name("access_keys", tests, NULL, NULL);
}

/*
 * test_authenticate.c: whose a credential is, as headers, queries and first frames bring it.
 */
#include "access_testing.h"

#define KEY "an application's key of no particular form"
#define TOKEN "0123456789abcdef0123456789abcdef01234567"

static struct access *
world_make(void)
{
	struct access *access = access_must_create();
	unsigned char hash[ACCESS_HASH_BYTES];
	struct store_gateway gateway = {.tenant = MAIN, .id = 7, .version = 1};
	struct store_device device = {.tenant = MAIN, .id = SPAN("7"), .state = true};
	struct store_key key = {.id = 1, .tenant = MAIN, .name = SPAN("app"), .version = 1,
	    .rights = ACCESS_READ, .hash = span_of((const char *)hash, sizeof(hash))};

	access_key_hash(node_secret, SPAN(KEY), hash);
	assert_int_equal(access_key_put(access, &key), 0);
	assert_int_equal(put_gateway(access, &gateway, TOKEN), 0);
	assert_int_equal(put_device(access, &device, TOKEN, 2), 0);
	assert_int_equal(put_secret(access, 1, STORE_SECRET_USER, MAIN, "node's", 0, 3), 0);
	put_user(access, 3, MAIN, SPAN("ana"), STORE_ADMIN, true);
	return access;
}

/* The name of who it is, or "". */
static const char *
name_of(struct access_principal *principal, char text[80])
{
	snprintf(text, 80, "%.*s", principal ? (int)principal->name.len : 0,
	    principal ? principal->name.ptr : "");
	access_principal_unref(principal);
	return text;
}

static void
password_is_a_token_for_things_and_a_key_for_others(void **state)
{
	static const struct {
		const char *user, *password, *name;
	} cases[] = {
		{"gateway-7", TOKEN, "gateway-7"}, {"gateway-7@main", TOKEN, "gateway-7"},
		{"device-7", TOKEN, "device-7"}, {"telegraf", KEY, "app-app"}, {"", KEY, "app-app"},
		{"gateway-7", KEY, ""}, {"gateway-8", TOKEN, ""}, {"gateway-7@acme", TOKEN, ""},
		{"device-7", KEY, ""}, {"gateway-", KEY, ""}, {"telegraf", TOKEN, ""},
		{"ana", "a person's password", ""},
	};
	struct access *access = world_make();
	char text[80];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
		assert_string_equal(name_of(access_authenticate_basic(access,
		    span_str(cases[i].user), span_str(cases[i].password)), text), cases[i].name);
	access_destroy(access);
}

static void
header_brings_a_key_a_token_or_a_pair(void **state)
{
	struct access *access = world_make();
	char text[80], header[2000] = "Bearer ", pair[100] = "", basic[200] = "Basic ";
	ssize_t len = access_jwt_issue(access, 3, NOW_MS, 3600000, header + 7, 1500);

	(void)state;
	assert_true(len > 0);
	header[7 + len] = 0;
	assert_string_equal(name_of(access_authenticate_header(access, span_str(header), NOW_MS),
	    text), "user-ana");
	assert_string_equal(name_of(access_authenticate_header(access, span_str(header),
	    NOW_MS + 3600000), text), "");
	assert_string_equal(name_of(access_authenticate_credential(access,
	    span_str(header + 7), NOW_MS), text), "user-ana");
	memcpy(header, "Basic: ", 7);
	assert_null(access_authenticate_header(access, span_str(header), NOW_MS));
	assert_string_equal(name_of(access_authenticate_credential(access, SPAN(KEY), NOW_MS),
	    text), "app-app");
	strcat(pair, "gateway-7:" TOKEN);
	check(sodium_bin2base64(basic + 6, sizeof(basic) - 6, (const unsigned char *)pair,
	    strlen(pair), sodium_base64_VARIANT_ORIGINAL));
	assert_string_equal(name_of(access_authenticate_header(access, span_str(basic), NOW_MS),
	    text), "gateway-7");
	assert_null(access_authenticate_credential(access, SPAN(TOKEN), NOW_MS));
	assert_null(access_authenticate_credential(access, SPAN(".."), NOW_MS));
	assert_null(access_authenticate_credential(access, SPAN(""), NOW_MS));
	access_destroy(access);
}

static void
user_and_password_of_basic_are_told_apart(void **state)
{
	char scratch[64];
	struct span user, secret;

	(void)state;
	assert_true(access_header_read(SPAN("Basic YTpiOmM="), scratch, sizeof(scratch), &user,
	    &secret));
	assert_true(span_eq(user, SPAN("a")));
	assert_true(span_eq(secret, SPAN("b:c")));
	assert_true(access_header_read(SPAN("Bearer a:b"), scratch, sizeof(scratch), &user,
	    &secret));
	assert_null(user.ptr);
	assert_true(span_eq(secret, SPAN("a:b")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(password_is_a_token_for_things_and_a_key_for_others),
		cmocka_unit_test(header_brings_a_key_a_token_or_a_pair),
		cmocka_unit_test(user_and_password_of_basic_are_told_apart),
	};

	return cmocka_run_group_tests_name("access_authenticate", tests, NULL, NULL);
}

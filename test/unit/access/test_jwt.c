/*
 * test_jwt.c: attacks on JSON Web Tokens, and what revokes a good one.
 */
#include "access_testing.h"

#define KEY "application's secret of 43 characters or so"
#define USER_KEY "the node's own secret"
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"5\"}"
#define FORGED_PERSON "{\"iss\":\"weir\",\"aud\":\"weir-user\",\"sub\":\"ana@main\"," \
	"\"exp\":1700000060,\"uid\":3,\"gen\":1}"
#define NESTED(weir) "{\"aud\":\"weir\",\"exp\":1700000060," weir "," \
	"\"x\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}"
#define CLAIMS(more) "{\"aud\":\"weir\",\"exp\":1700000060,\"weir\":" \
	"{\"subscribe\":[\"a/#\"],\"publish\":[\"b\"]}" more "}"

/* Secret 5 is an application's of acme, 1 the node's. Ana is user 3. */
static struct access *
world_make(void)
{
	struct access *access = access_must_create();

	assert_int_equal(put_secret(access, 5, STORE_SECRET_APPLICATION, SPAN("acme"), KEY, 0, 1),
	    0);
	assert_int_equal(put_secret(access, 1, STORE_SECRET_USER, MAIN, USER_KEY, 0, 2), 0);
	put_user(access, 3, MAIN, SPAN("ana"), STORE_ADMIN, true);
	return access;
}

static bool
accepted(struct access *access, const char *token)
{
	struct access_principal *principal = access_authenticate_jwt(access, span_str(token),
	    NOW_MS);
	bool is = principal != NULL;

	access_principal_unref(principal);
	return is;
}

static void
subscriber_has_what_its_claim_lists(void **state)
{
	struct access *access = world_make();
	struct access_principal *principal, *again;
	char token[20000];

	(void)state;
	jwt_make(token, HEADER, CLAIMS(",\"sub\":\"eve\",\"iat\":1700000000"), KEY);
	principal = access_authenticate_jwt(access, span_str(token), NOW_MS);
	assert_non_null(principal);
	assert_true(principal->kind == ACCESS_SUBSCRIBER);
	assert_true(span_eq(principal->tenant, SPAN("acme")));
	assert_true(span_eq(principal->name, SPAN("sub-eve")));
	assert_true(principal->expires_ms == 1700000060000);
	assert_int_equal(principal->rights, ACCESS_SUBSCRIBE | ACCESS_PUBLISH);
	assert_true(access_may_channel(principal, SPAN("a/x")));
	assert_false(access_may_channel(principal, SPAN("b")));
	assert_true(access_may_publish(principal, SPAN("b")));
	assert_false(access_may_publish(principal, SPAN("a/x")));
	again = access_authenticate_jwt(access, span_str(token), NOW_MS + 59999);
	assert_ptr_equal(again, principal);
	access_principal_unref(again);
	assert_null(access_authenticate_jwt(access, span_str(token), NOW_MS + 60000));
	access_principal_unref(principal);
	access_destroy(access);
}

static void
subscriber_without_lists_may_nothing(void **state)
{
	struct access *access = world_make();
	struct access_principal *principal;
	char token[20000];

	(void)state;
	jwt_make(token, HEADER, "{\"aud\":[\"x\",\"weir\"],\"exp\":1700000060.5,\"weir\":{}}", KEY);
	principal = access_authenticate_jwt(access, span_str(token), NOW_MS);
	assert_non_null(principal);
	assert_int_equal(principal->rights, 0);
	assert_false(access_may_channel(principal, SPAN("a")));
	assert_false(access_may_publish(principal, SPAN("a")));
	access_principal_unref(principal);
	access_destroy(access);
}

/* Properly signed with the secret's key, and yet refused. */
static void
headers_that_are_refused(void **state)
{
	static const char *const headers[] = {
		"{\"alg\":\"none\",\"kid\":\"5\"}",
		"{\"alg\":\"None\",\"kid\":\"5\"}",
		"{\"alg\":\"hs256\",\"kid\":\"5\"}",
		"{\"alg\":\"HS256 \",\"kid\":\"5\"}",
		"{\"alg\":\"HS384\",\"kid\":\"5\"}",
		"{\"alg\":\"HS512\",\"kid\":\"5\"}",
		"{\"alg\":\"RS256\",\"kid\":\"5\"}",
		"{\"alg\":\"ES256\",\"kid\":\"5\"}",
		"{\"alg\":[\"HS256\"],\"kid\":\"5\"}",
		"{\"alg\":null,\"kid\":\"5\"}",
		"{\"alg\":\"HS256\\u0000\",\"kid\":\"5\"}",
		"{\"kid\":\"5\"}",
		"{\"alg\":\"HS256\"}",
		"{\"alg\":\"HS256\",\"kid\":5}",
		"{\"alg\":\"HS256\",\"kid\":\"\"}",
		"{\"alg\":\"HS256\",\"kid\":\"05\"}",
		"{\"alg\":\"HS256\",\"kid\":\"5 \"}",
		"{\"alg\":\"HS256\",\"kid\":\"6\"}",
		"{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}",
		"{\"alg\":\"HS256\",\"kid\":\"1' OR '1'='1\"}",
		"{\"alg\":\"HS256\",\"kid\":\"5\",\"crit\":[\"exp\"]}",
		"{\"alg\":\"HS256\",\"kid\":\"5\",\"crit\":null}",
		"{\"alg\":\"HS256\",\"kid\":\"5\",\"x\":[[[[1]]]]}",
		"{\"alg\":\"HS256\",\"kid\":\"5\"}{}",
		"{\"alg\":\"HS256\",\"kid\":\"5\",}",
		"{'alg':'HS256','kid':'5'}",
		"[\"HS256\"]",
		"null",
		"",
	};
	struct access *access = world_make();
	char token[20000];

	(void)state;
	assert_true(accepted(access, jwt_make(token, HEADER, CLAIMS(""), KEY)));
	for (size_t i = 0; i < ARRAY_COUNT(headers); i++) {
		if (accepted(access, jwt_make(token, headers[i], CLAIMS(""), KEY)))
			fail_msg("accepted with the header %s", headers[i]);
	}
	access_destroy(access);
}

static void
claims_that_are_refused(void **state)
{
#define WEIR "\"weir\":{\"subscribe\":[\"a\"]}"
	static const char *const claims[] = {
		"{\"aud\":\"weir\"," WEIR "}",                               /* no end */
		"{\"aud\":\"weir\",\"exp\":1700000000," WEIR "}",            /* over just now */
		"{\"aud\":\"weir\",\"exp\":1699999999," WEIR "}",
		"{\"aud\":\"weir\",\"exp\":-1," WEIR "}",
		"{\"aud\":\"weir\",\"exp\":\"1700000060\"," WEIR "}",
		"{\"aud\":\"weir\",\"exp\":null," WEIR "}",
		"{\"aud\":\"weir\",\"exp\":true," WEIR "}",
		"{\"aud\":\"weir\",\"exp\":NaN," WEIR "}",
		"{\"aud\":\"weir\",\"exp\":1700000060,\"nbf\":1700000010," WEIR "}",
		"{\"aud\":\"weir\",\"exp\":1700000060,\"nbf\":\"0\"," WEIR "}",
		"{\"aud\":\"weir\",\"exp\":1700000060,\"iat\":1700000010," WEIR "}",
		"{\"exp\":1700000060," WEIR "}",
		"{\"aud\":\"Weir\",\"exp\":1700000060," WEIR "}",
		"{\"aud\":\"weir\\u0000\",\"exp\":1700000060," WEIR "}",
		"{\"aud\":\"weir-user\",\"exp\":1700000060," WEIR "}",
		"{\"aud\":[],\"exp\":1700000060," WEIR "}",
		"{\"aud\":[\"x\",[\"weir\"]],\"exp\":1700000060," WEIR "}",
		"{\"aud\":{\"weir\":1},\"exp\":1700000060," WEIR "}",
		"{\"aud\":\"weir\",\"exp\":1700000060}",
		"{\"aud\":\"weir\",\"exp\":1700000060,\"weir\":[\"a\"]}",
		"{\"aud\":\"weir\",\"exp\":1700000060,\"weir\":{\"subscribe\":\"a\"}}",
		"{\"aud\":\"weir\",\"exp\":1700000060,\"weir\":{\"subscribe\":[1]}}",
		"{\"aud\":\"weir\",\"exp\":1700000060,\"weir\":{\"subscribe\":[\"a/#/b\"]}}",
		"{\"aud\":\"weir\",\"exp\":1700000060,\"weir\":{\"publish\":null}}",
		"{\"aud\":\"weir\",\"exp\":1700000060,\"sub\":\"a\\r\\nb\"," WEIR "}",
		NESTED(WEIR),
		/* An application does not make persons. */
		FORGED_PERSON,
		"[]",
		"",
	};
#undef WEIR
	struct access *access = world_make();
	char token[20000];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(claims); i++) {
		if (accepted(access, jwt_make(token, HEADER, claims[i], KEY)))
			fail_msg("accepted with the claims %s", claims[i]);
	}
	access_destroy(access);
}

static void
wrong_or_altered_signature_is_refused(void **state)
{
	struct access *access = world_make();
	char token[20000], altered[20000];
	size_t len;

	(void)state;
	assert_false(accepted(access, jwt_make(token, HEADER, CLAIMS(""), "another key")));
	assert_false(accepted(access, jwt_make(token, HEADER, CLAIMS(""), "")));
	/* Signed by the node's own secret, but says the application's. */
	assert_false(accepted(access, jwt_make(token, HEADER, CLAIMS(""), USER_KEY)));
	jwt_make(token, HEADER, CLAIMS(""), KEY);
	len = strlen(token);
	for (size_t i = 0; i < len; i++) { /* each character, also those with spare bits */
		strcpy(altered, token);
		altered[i] = altered[i] == 'A' ? 'B' : 'A';
		assert_false(accepted(access, altered));
		memmove(altered + i, token + i + 1, len - i);
		assert_false(accepted(access, altered)); /* one less */
	}
	assert_true(accepted(access, token));
	access_destroy(access);
}

static void
signature_has_one_text_only(void **state)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct access *access = world_make();
	char token[20000], other[20010];
	size_t len;
	unsigned good = 0;

	(void)state;
	jwt_make(token, HEADER, CLAIMS(""), KEY);
	len = strlen(token);
	for (size_t i = 0; i < 64; i++) { /* the last one carries two spare bits */
		strcpy(other, token);
		other[len - 1] = digits[i];
		good += accepted(access, other);
	}
	assert_int_equal(good, 1);
	for (const char *end = "=\n .A"; *end; end++) {
		snprintf(other, sizeof(other), "%s%c", token, *end);
		assert_false(accepted(access, other));
		snprintf(other, sizeof(other), "%c%s", *end, token);
		assert_false(accepted(access, other));
	}
	*strrchr(token, '.') = 0;
	assert_false(accepted(access, token));
	strcat(token, ".");
	assert_false(accepted(access, token));
	assert_false(accepted(access, "..") || accepted(access, ".") || accepted(access, ""));
	access_destroy(access);
}

static void
large_token_is_refused(void **state)
{
	struct access *access = world_make();
	char *claims = malloc(9000), token[20000];

	(void)state;
	check(claims);
	snprintf(claims, 9000, "{\"aud\":\"weir\",\"exp\":1700000060,\"weir\":{},"
	    "\"x\":\"%08000d\"}", 0);
	assert_false(accepted(access, jwt_make(token, HEADER, claims, KEY)));
	free(claims);
	access_destroy(access);
}

/* ── persons ── */

static void
person_is_known_by_the_token_he_was_given(void **state)
{
	struct access *access = world_make();
	struct access_principal *principal = log_in(access, 3);
	char token[1000];

	(void)state;
	assert_non_null(principal);
	assert_true(principal->kind == ACCESS_PERSON && principal->id == 3);
	assert_true(span_eq(principal->name, SPAN("user-ana")) && !principal->limited);
	assert_true(principal->rights & ACCESS_NODE);
	assert_true(principal->expires_ms == NOW_MS + 3600000);
	assert_int_equal(access_jwt_issue(access, 99, NOW_MS, 1000, token, sizeof(token)),
	    -ENOENT);
	for (size_t size = 0; size < 220; size++)
		assert_int_equal(access_jwt_issue(access, 3, NOW_MS, 1000, token, size),
		    -ENOBUFS);
	access_secret_remove(access, 1);
	assert_true(principal->revoked);
	assert_int_equal(access_jwt_issue(access, 3, NOW_MS, 1000, token, sizeof(token)),
	    -ENOKEY);
	access_principal_unref(principal);
	access_destroy(access);
}

static void
rights_of_persons_follow_their_permission(void **state)
{
	struct access *access = world_make();
	struct access_principal *developer, *plain, *user, *tenant_admin;

	(void)state;
	put_user(access, 4, MAIN, SPAN("dev"), STORE_DEVELOPER, true);
	put_user(access, 5, MAIN, SPAN("bo"), STORE_USER, true);
	put_user(access, 6, SPAN("acme"), SPAN("cy"), STORE_ADMIN, false);
	developer = log_in(access, 4);
	user = log_in(access, 5);
	tenant_admin = log_in(access, 6);
	assert_int_equal(developer->rights & (ACCESS_ADMIN | ACCESS_ACCOUNTS | ACCESS_NODE),
	    ACCESS_ADMIN | ACCESS_ACCOUNTS);
	assert_int_equal(user->rights, ACCESS_READ | ACCESS_SUBSCRIBE);
	assert_true(user->limited);
	assert_int_equal(tenant_admin->rights & (ACCESS_ADMIN | ACCESS_ACCOUNTS | ACCESS_NODE),
	    ACCESS_ADMIN | ACCESS_ACCOUNTS);
	access_principal_unref(developer);
	access_set_developer_accounts(access, false);
	plain = access_authenticate_jwt(access, SPAN(""), NOW_MS);
	assert_null(plain);
	access_destroy(access);
	access = world_make();
	access_set_developer_accounts(access, false);
	put_user(access, 4, MAIN, SPAN("dev"), STORE_DEVELOPER, false);
	plain = log_in(access, 4);
	assert_int_equal(plain->rights & (ACCESS_ADMIN | ACCESS_ACCOUNTS), ACCESS_ADMIN);
	access_principal_unref(plain);
	access_principal_unref(user);
	access_principal_unref(tenant_admin);
	access_destroy(access);
}

static void
password_change_and_removal_end_a_persons_tokens(void **state)
{
	struct access *access = world_make();
	struct store_user ana = {.id = 3, .tenant = MAIN, .name = SPAN("ana"),
	    .permission = STORE_ADMIN, .node = true, .generation = 1, .version = 10};
	struct access_principal *before = log_in(access, 3), *after;
	char token[1000];
	ssize_t len = access_jwt_issue(access, 3, NOW_MS, 1000, token, sizeof(token));

	(void)state;
	assert_int_equal(access_user_put(access, &ana), 0);
	assert_false(before->revoked); /* new contacts end nothing */
	ana.generation = 2;
	ana.version = 11;
	assert_int_equal(access_user_put(access, &ana), 0);
	assert_true(before->revoked);
	assert_null(access_authenticate_jwt(access, span_of(token, (size_t)len), NOW_MS));
	after = log_in(access, 3);
	assert_non_null(after);
	ana.version = 9;
	ana.generation = 1;
	assert_int_equal(access_user_put(access, &ana), 0); /* late: nothing */
	assert_false(after->revoked);
	access_user_remove(access, 3);
	assert_true(after->revoked);
	access_principal_unref(before);
	access_principal_unref(after);
	access_destroy(access);
}

static void
old_and_new_secret_are_both_valid_until_the_old_one_ends(void **state)
{
	struct access *access = world_make();
	struct access_principal *old = log_in(access, 3), *young, *again;
	char token[1000];
	ssize_t len = access_jwt_issue(access, 3, NOW_MS, 3600000, token, sizeof(token));

	(void)state;
	assert_int_equal(put_secret(access, 7, STORE_SECRET_USER, MAIN, "next", 0, 20), 0);
	assert_int_equal(put_secret(access, 1, STORE_SECRET_USER, MAIN, USER_KEY, NOW_MS + 9000,
	    21), 0);
	assert_false(old->revoked);
	assert_true(old->expires_ms == NOW_MS + 9000);
	young = log_in(access, 3);
	assert_true(young->expires_ms == NOW_MS + 3600000);
	again = access_authenticate_jwt(access, span_of(token, (size_t)len), NOW_MS + 8999);
	assert_non_null(again);
	assert_null(access_authenticate_jwt(access, span_of(token, (size_t)len), NOW_MS + 9000));
	access_principal_unref(again);
	access_principal_unref(old);
	access_principal_unref(young);
	access_destroy(access);
}

static void
thousands_of_tokens_are_kept_only_while_held(void **state)
{
	struct access *access = world_make();
	struct access_principal *held;
	char token[20000], claims[200];

	(void)state;
	jwt_make(token, HEADER, CLAIMS(""), KEY);
	held = access_authenticate_jwt(access, span_str(token), NOW_MS);
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(claims, sizeof(claims), "{\"aud\":\"weir\",\"exp\":1700000060,"
		    "\"sub\":\"%u\",\"weir\":{\"subscribe\":[\"a\"]}}", i);
		assert_true(accepted(access, jwt_make(token, HEADER, claims, KEY)));
	}
	assert_false(held->revoked);
	access_secret_remove(access, 5);
	assert_true(held->revoked);
	assert_false(accepted(access, token));
	access_principal_unref(held);
	access_destroy(access);
}

static void
seal_opens_in_its_own_row_only(void **state)
{
	struct env *env = sim_create(1);
	unsigned char sealed[ACCESS_SEALED_BYTES_MAX];
	struct store_secret row = {.id = 1, .kind = STORE_SECRET_USER, .tenant = MAIN}, other;
	struct access_secret *secret = NULL;

	(void)state;
	check(env);
	row.sealed = span_of((const char *)sealed, access_seal(env, node_secret, &row,
	    SPAN(KEY), sealed));
	assert_null(memmem(sealed, row.sealed.len, KEY, 8));
	other = row;
	other.id = 2;
	assert_int_equal(access_secret_create(node_secret, &other, &secret), -EBADMSG);
	other = row;
	other.kind = STORE_SECRET_APPLICATION;
	assert_int_equal(access_secret_create(node_secret, &other, &secret), -EBADMSG);
	other = row;
	other.tenant = SPAN("acme");
	assert_int_equal(access_secret_create(node_secret, &other, &secret), -EBADMSG);
	other = row;
	for (size_t len = 0; len < row.sealed.len; len++) {
		other.sealed.len = len;
		assert_int_equal(access_secret_create(node_secret, &other, &secret), -EBADMSG);
	}
	for (size_t i = 0; i < row.sealed.len; i++) {
		sealed[i] ^= 1;
		assert_int_equal(access_secret_create(node_secret, &row, &secret), -EBADMSG);
		sealed[i] ^= 1;
	}
	assert_int_equal(access_secret_create(node_secret, &row, &secret), 0);
	access_secret_unref(secret);
	env_destroy(env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(subscriber_has_what_its_claim_lists),
		cmocka_unit_test(subscriber_without_lists_may_nothing),
		cmocka_unit_test(headers_that_are_refused),
		cmocka_unit_test(claims_that_are_refused),
		cmocka_unit_test(wrong_or_altered_signature_is_refused),
		cmocka_unit_test(signature_has_one_text_only),
		cmocka_unit_test(large_token_is_refused),
		cmocka_unit_test(person_is_known_by_the_token_he_was_given),
		cmocka_unit_test(rights_of_persons_follow_their_permission),
		cmocka_unit_test(password_change_and_removal_end_a_persons_tokens),
		cmocka_unit_test(old_and_new_secret_are_both_valid_until_the_old_one_ends),
		cmocka_unit_test(thousands_of_tokens_are_kept_only_while_held),
		cmocka_unit_test(seal_opens_in_its_own_row_only),
	};

	return cmocka_run_group_tests_name("access_jwt", tests, NULL, NULL);
}

/*
 * test_login.c: passwords, the throttle of those who guess them, and rates of principals.
 */
#include "access_login.h"
#include "access_rate.h"
#include "access_testing.h"

static void
password_is_right_or_wrong(void **state)
{
	char hash[ACCESS_PASSWORD_HASH_BYTES] = "", other[ACCESS_PASSWORD_HASH_BYTES] = "";
	char much[ACCESS_PASSWORD_BYTES_MAX + 1];

	(void)state;
	memset(much, 'x', sizeof(much));
	assert_int_equal(access_password_hash(SPAN("correct horse"), hash), 0);
	assert_int_equal(access_password_hash(SPAN("correct horse"), other), 0);
	assert_string_not_equal(hash, other); /* salted */
	assert_int_equal(strncmp(hash, "$argon2id$v=19$m=65536,t=2,p=1$", 31), 0);
	assert_true(access_password_check(span_str(hash), SPAN("correct horse")));
	assert_false(access_password_check(span_str(hash), SPAN("correct horsf")));
	assert_false(access_password_check(span_str(hash), SPAN("")));
	assert_false(access_password_check(span_str(hash), span_of(much, sizeof(much))));
	assert_false(access_password_check(SPAN(""), SPAN("correct horse")));
	assert_false(access_password_check(SPAN("correct horse"), SPAN("correct horse")));
	assert_int_equal(access_password_hash(SPAN("short"), hash), -EINVAL);
	assert_int_equal(access_password_hash(span_of(much, sizeof(much)), hash), -EINVAL);
}

static struct access_throttle *
throttle_make(void)
{
	struct env *env = sim_create(1);
	struct access_throttle *throttle = NULL;

	check(env);
	assert_int_equal(access_throttle_create(env, &throttle), 0);
	env_destroy(env);
	return throttle;
}

/* How many tries pass at this time. */
static unsigned
tries(struct access_throttle *throttle, const char *account, const char *address, uint64_t now_ms)
{
	unsigned count = 0;

	while (count < 1000 && access_throttle_try(throttle, span_str(account),
	    span_str(address), now_ms) == 0)
		count++;
	return count;
}

static void
one_address_may_fail_five_times_for_an_account(void **state)
{
	struct access_throttle *throttle = throttle_make();
	uint64_t now = 1000000, wait;

	(void)state;
	assert_int_equal(tries(throttle, "ana", "10.0.0.1", now), 5);
	wait = access_throttle_try(throttle, SPAN("ana"), SPAN("10.0.0.1"), now);
	assert_true(wait > 0 && wait <= 30000);
	assert_int_equal(tries(throttle, "ana", "10.0.0.1", now + wait - 1), 0);
	assert_int_equal(tries(throttle, "ana", "10.0.0.1", now + wait), 1);
	assert_int_equal(tries(throttle, "ana", "10.0.0.2", now), 5);
	assert_int_equal(tries(throttle, "bo", "10.0.0.1", now), 5);
	access_throttle_destroy(throttle);
}

static void
right_password_forgives_the_address(void **state)
{
	struct access_throttle *throttle = throttle_make();

	(void)state;
	for (int i = 0; i < 100; i++) { /* people who log in and never fail are not held up */
		assert_true(access_throttle_try(throttle, SPAN("ana"), SPAN("10.0.0.1"),
		    1000) == 0);
		access_throttle_right(throttle, SPAN("ana"), SPAN("10.0.0.1"), 1000);
	}
	assert_int_equal(tries(throttle, "ana", "10.0.0.1", 1000), 5);
	access_throttle_destroy(throttle);
}

static void
many_addresses_share_an_accounts_limit(void **state)
{
	struct access_throttle *throttle = throttle_make();
	unsigned passed = 0;
	char address[24];

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		snprintf(address, sizeof(address), "10.1.%u.1", i);
		passed += tries(throttle, "ana", address, 1000);
	}
	assert_int_equal(passed, 50);
	access_throttle_destroy(throttle);
}

static void
many_accounts_share_an_addresss_limit(void **state)
{
	struct access_throttle *throttle = throttle_make();
	unsigned passed = 0;
	char account[24];

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		snprintf(account, sizeof(account), "user%u", i);
		passed += tries(throttle, account, i % 2 ? "2001:db8:1:2::1" : "2001:db8:1:2:9::f",
		    1000);
	}
	assert_int_equal(passed, 30); /* one /64 is one address */
	assert_int_equal(tries(throttle, "other", "2001:db8:1:3::1", 1000), 5);
	access_throttle_destroy(throttle);
}

static void
victim_is_not_forgotten_for_a_flood_of_names(void **state)
{
	struct access_throttle *throttle = throttle_make();
	char account[24], address[24];

	(void)state;
	assert_int_equal(tries(throttle, "ana", "10.0.0.1", 1000), 5);
	for (unsigned i = 0; i < 1500; i++) {
		snprintf(account, sizeof(account), "flood%u", i);
		snprintf(address, sizeof(address), "10.2.%u.%u", i / 250, i % 250);
		access_throttle_try(throttle, span_str(account), span_str(address), 1000);
	}
	assert_int_equal(tries(throttle, "ana", "10.0.0.1", 1000), 0);
	access_throttle_destroy(throttle);
}

/* ── rates ── */

#define S UINT64_C(1000000000)

static void
rate_lets_a_burst_through_and_then_its_pace(void **state)
{
	const struct access_rate_limits limits = {.per_s = {10, 0, 1000}, .burst_s = 2};
	struct access_rate rate = {0};
	uint64_t now = 50 * S;

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_true(access_rate_take(&rate, &limits, ACCESS_RATE_REQUESTS, 1, now) == 0);
	assert_true(access_rate_take(&rate, &limits, ACCESS_RATE_REQUESTS, 1, now) == 100);
	assert_true(access_rate_take(&rate, &limits, ACCESS_RATE_REQUESTS, 1, now + S / 10) == 0);
	assert_true(access_rate_take(&rate, &limits, ACCESS_RATE_REQUESTS, 1, now + S / 10) == 100);
	assert_true(access_rate_take(&rate, &limits, ACCESS_RATE_READINGS, 1 << 30, now) == 0);
	assert_true(access_rate_take(&rate, &limits, ACCESS_RATE_BYTES, 2000, now) == 0);
	assert_true(access_rate_take(&rate, &limits, ACCESS_RATE_BYTES, 1, now) == 1);
}

static void
more_than_a_burst_passes_once_and_is_owed(void **state)
{
	const struct access_rate_limits limits = {.per_s = {1, 1, 1000}, .burst_s = 1};
	struct access_rate rate = {0};
	uint64_t now = 50 * S;

	(void)state;
	assert_true(access_rate_take(&rate, &limits, ACCESS_RATE_BYTES, 10000, now) == 0);
	assert_true(access_rate_take(&rate, &limits, ACCESS_RATE_BYTES, 1, now) >= 9000);
	assert_true(access_rate_take(&rate, &limits, ACCESS_RATE_BYTES, 1, now + 10 * S) == 0);
	assert_true(access_rate_take(&rate, &limits, ACCESS_RATE_BYTES, UINT64_MAX,
	    now + 20 * S) == 0);
	assert_true(access_rate_take(&rate, &limits, ACCESS_RATE_BYTES, 1, now + 3700 * S) == 0);
}

static void
passwords_that_are_tried_first_have_a_flaw(void **state)
{
	static const char *const bad[] = {"", "short", "1234567", "aaaaaaaaaaaa", "abcabcabc",
	    "passwor\td", "administrator", "AdministratoR"};
	static const char *const good[] = {"weir-demo", "correct-horse-battery",
	    "gr\xc3\xbc\xc3\x9f-mich"};
	char longest[ACCESS_PASSWORD_BYTES_MAX + 2] = "abcd";

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_non_null(access_password_flaw(SPAN("administrator"), span_str(bad[i])));
	for (size_t i = 0; i < ARRAY_COUNT(good); i++)
		assert_null(access_password_flaw(SPAN("administrator"), span_str(good[i])));
	memset(longest + 4, 'x', sizeof longest - 5);
	assert_non_null(access_password_flaw(SPAN("a"), span_str(longest)));
	longest[ACCESS_PASSWORD_BYTES_MAX] = 0;
	assert_null(access_password_flaw(SPAN("a"), span_str(longest)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passwords_that_are_tried_first_have_a_flaw),
		cmocka_unit_test(password_is_right_or_wrong),
		cmocka_unit_test(one_address_may_fail_five_times_for_an_account),
		cmocka_unit_test(right_password_forgives_the_address),
		cmocka_unit_test(many_addresses_share_an_accounts_limit),
		cmocka_unit_test(many_accounts_share_an_addresss_limit),
		cmocka_unit_test(victim_is_not_forgotten_for_a_flood_of_names),
		cmocka_unit_test(rate_lets_a_burst_through_and_then_its_pace),
		cmocka_unit_test(more_than_a_burst_passes_once_and_is_owed),
	};

	return cmocka_run_group_tests_name("access_login", tests, NULL, NULL);
}

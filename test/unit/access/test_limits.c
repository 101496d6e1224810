/*
 * test_limits.c: limits of principals and addresses that all loops share.
 */
#include "access_limits.h"
#include "access_testing.h"

#define S UINT64_C(1000000000)
#define T0 (1000 * S)

static struct access_limits *
limits_make(uint64_t requests, uint64_t bytes, uint64_t failures)
{
	struct access_limits_settings settings = {
		.rate = {
			.per_s = {[ACCESS_RATE_REQUESTS] = requests, [ACCESS_RATE_BYTES] = bytes},
			.burst_s = 1,
		},
		.failures_per_s = failures,
	};
	struct access_limits *limits = NULL;
	struct env *env = sim_create(1);

	check(env);
	assert_int_equal(access_limits_create(env, &limits), 0);
	access_limits_set(limits, &settings);
	env_destroy(env);
	return limits;
}

static struct access_principal
principal_of(enum access_kind kind, const char *tenant, const char *name, uint64_t id)
{
	return (struct access_principal){.kind = (uint8_t)kind, .tenant = span_str(tenant),
	    .name = span_str(name), .id = id};
}

/* How many requests pass at this time. */
static unsigned
requests_of(struct access_limits *limits, const struct access_principal *principal,
    uint64_t now_ns)
{
	unsigned count = 0;

	while (count < 1000 && access_limits_take(limits, principal, ACCESS_RATE_REQUESTS, 1,
	    now_ns, true) == 0)
		count++;
	return count;
}

static void
each_principal_has_its_own(void **state)
{
	struct access_limits *limits = limits_make(10, 0, 0);
	struct access_principal all[] = {
		principal_of(ACCESS_APPLICATION, "main", "app-a", 1),
		principal_of(ACCESS_APPLICATION, "main", "app-b", 2),
		principal_of(ACCESS_APPLICATION, "other", "app-a", 3),
		principal_of(ACCESS_PERSON, "main", "user-a", 1),
		principal_of(ACCESS_DEVICE, "main", "device-a", 0),
		principal_of(ACCESS_DEVICE, "main", "device-b", 0),
		principal_of(ACCESS_DEVICE, "other", "device-a", 0),
		principal_of(ACCESS_SUBSCRIBER, "main", "sub-a", 1),
		principal_of(ACCESS_SUBSCRIBER, "main", "sub-a", 2),
	};
	uint64_t refused[ACCESS_LIMITS_REFUSED_COUNT];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(all); i++)
		assert_int_equal(requests_of(limits, &all[i], T0), 10);
	for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
		struct access_principal again = all[i]; /* as another loop has it */

		assert_int_equal(requests_of(limits, &again, T0), 0);
		assert_int_equal(requests_of(limits, &again, T0 + S / 2), 5);
	}
	access_limits_refused(limits, refused);
	assert_int_equal(refused[ACCESS_RATE_REQUESTS], 3 * ARRAY_COUNT(all));
	assert_int_equal(refused[ACCESS_RATE_READINGS], 0);
	assert_int_equal(refused[ACCESS_RATE_BYTES], 0);
	access_limits_destroy(limits);
}

static void
kinds_of_amounts_are_apart_and_waiting_refuses_nobody(void **state)
{
	struct access_limits *limits = limits_make(10, 1000, 0);
	struct access_principal app = principal_of(ACCESS_APPLICATION, "main", "app-a", 1);
	uint64_t refused[ACCESS_LIMITS_REFUSED_COUNT];

	(void)state;
	assert_int_equal(access_limits_take(limits, &app, ACCESS_RATE_BYTES, 1000, T0, true), 0);
	assert_int_equal(access_limits_take(limits, &app, ACCESS_RATE_BYTES, 500, T0, false), 500);
	assert_int_equal(access_limits_take(limits, &app, ACCESS_RATE_READINGS, 1u << 30, T0,
	    true), 0);
	assert_int_equal(requests_of(limits, &app, T0), 10);
	access_limits_refused(limits, refused);
	assert_int_equal(refused[ACCESS_RATE_BYTES], 0);
	assert_int_equal(refused[ACCESS_RATE_REQUESTS], 1);
	access_limits_destroy(limits);
}

static void
some_have_no_limits(void **state)
{
	struct access_limits *limits = limits_make(10, 0, 0);
	struct access_principal local = principal_of(ACCESS_LOCAL, "main", "local", 0);
	struct access_principal app = principal_of(ACCESS_APPLICATION, "main", "app-a", 1);
	struct access_limits_settings none = {.rate = {.burst_s = 1}};

	(void)state;
	assert_int_equal(requests_of(limits, &local, T0), 1000);
	assert_int_equal(requests_of(limits, NULL, T0), 1000);
	assert_int_equal(requests_of(NULL, &app, T0), 1000);
	assert_int_equal(requests_of(limits, &app, T0), 10);
	access_limits_set(limits, &none);
	assert_int_equal(requests_of(limits, &app, T0), 1000);
	access_limits_destroy(limits);
}

/* How many wrong credentials an address may bring at this time. */
static unsigned
failures_of(struct access_limits *limits, const char *address, uint64_t now_ns)
{
	unsigned count = 0;

	while (count < 1000 && access_limits_failures(limits, span_str(address), now_ns) == 0) {
		access_limits_failed(limits, span_str(address), now_ns);
		count++;
	}
	return count;
}

static void
an_address_may_fail_so_often(void **state)
{
	struct access_limits *limits = limits_make(0, 0, 2);
	uint64_t refused[ACCESS_LIMITS_REFUSED_COUNT];

	(void)state;
	assert_int_equal(failures_of(limits, "10.0.0.1", T0), 20);
	assert_int_equal(access_limits_failures(limits, SPAN("10.0.0.1"), T0), 500);
	assert_int_equal(failures_of(limits, "::ffff:10.0.0.1", T0), 0);
	assert_int_equal(failures_of(limits, "10.0.0.2", T0), 20);
	assert_int_equal(failures_of(limits, "2001:db8::1", T0), 20);
	assert_int_equal(failures_of(limits, "2001:db8::1:2:3:4", T0), 0);
	assert_int_equal(failures_of(limits, "2001:db8:0:1::1", T0), 20);
	assert_int_equal(failures_of(limits, "unix", T0), 1000);
	assert_int_equal(failures_of(limits, "", T0), 1000);
	assert_int_equal(failures_of(limits, "10.0.0.1", T0 + 3 * S), 6);
	access_limits_refused(limits, refused);
	assert_int_equal(refused[ACCESS_RATE_COUNT], 8);
	assert_int_equal(access_limits_failures(NULL, SPAN("10.0.0.1"), T0), 0);
	access_limits_failed(NULL, SPAN("10.0.0.1"), T0);
	access_limits_destroy(limits);
}

/* More addresses than there is room for: who owes most is not forgotten for them. */
static void
a_crowd_does_not_hide_who_guesses(void **state)
{
	struct access_limits *limits = limits_make(0, 0, 1);
	char address[32];

	(void)state;
	assert_int_equal(failures_of(limits, "10.0.0.1", T0), 10);
	for (unsigned i = 0; i < 30000; i++) {
		snprintf(address, sizeof(address), "11.0.%u.%u", i / 256, i % 256);
		access_limits_failed(limits, span_str(address), T0);
	}
	assert_int_equal(failures_of(limits, "10.0.0.1", T0), 0);
	access_limits_destroy(limits);
}

/* ── loops at the same time ── */

enum { THREADS = 4 };

struct taker {
	struct access_limits *limits;
	unsigned passed;
	pthread_t thread;
};

static void
take_all(void *ctx)
{
	struct taker *taker = ctx;

	for (unsigned i = 0; i < 50000; i++) {
		char name[16];
		struct access_principal one = {.kind = ACCESS_DEVICE, .tenant = SPAN("main")};
		uint64_t wait_ms;

		one.name = span_of(name, (size_t)snprintf(name, sizeof(name), "d%u", i % 500));
		wait_ms = access_limits_take(taker->limits, &one, ACCESS_RATE_REQUESTS, 1, T0,
		    true);
		taker->passed += wait_ms == 0;
	}
}

/* 500 principals of 10 each; each thread's own would be four times that. A principal whose slot was
 * taken twice at the very beginning may have two bursts. */
static void
loops_share_the_buckets(void **state)
{
	struct access_limits *limits = limits_make(10, 0, 0);
	struct taker takers[THREADS] = {0};
	unsigned passed = 0;

	(void)state;
	for (int i = 0; i < THREADS; i++) {
		takers[i].limits = limits;
		assert_int_equal(thread_start(&takers[i].thread, "taker", take_all, &takers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		thread_join(takers[i].thread);
		passed += takers[i].passed;
	}
	assert_in_range(passed, 500 * 10, 500 * 10 * 2);
	access_limits_destroy(limits);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_principal_has_its_own),
		cmocka_unit_test(kinds_of_amounts_are_apart_and_waiting_refuses_nobody),
		cmocka_unit_test(some_have_no_limits),
		cmocka_unit_test(an_address_may_fail_so_often),
		cmocka_unit_test(a_crowd_does_not_hide_who_guesses),
		cmocka_unit_test(loops_share_the_buckets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * test_guest.c: principals of guests: what an application grants, alone and together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "access_guest.h"
#include "check.h"

static struct access_principal *
make(const char *user, const char *pattern, const char *publish, int64_t expires_ms)
{
	struct span patterns[] = {span_str(pattern)}, may_publish[] = {span_str(publish)};
	struct access_guest guest = {.tenant = SPAN("acme"), .user = span_str(user),
	    .patterns = patterns, .pattern_count = *pattern ? 1 : 0, .publish = may_publish,
	    .publish_count = *publish ? 1 : 0, .expires_ms = expires_ms};
	struct access_principal *principal;
	assert_int_equal(access_guest_create(&guest, &principal), 0);
	return principal;
}

static void
a_guest_is_a_subscriber(void **state)
{
	struct access_principal *guest = make("eve", "a/+", "b", 70);
	(void)state;
	assert_true(guest->kind == ACCESS_SUBSCRIBER);
	assert_true(span_eq(guest->tenant, SPAN("acme")));
	assert_true(span_eq(guest->name, SPAN("sub-eve")));
	assert_int_equal(guest->rights, ACCESS_SUBSCRIBE | ACCESS_PUBLISH);
	assert_true(guest->expires_ms == 70);
	assert_true(access_may_channel(guest, SPAN("a/x")));
	assert_false(access_may_channel(guest, SPAN("b")));
	assert_true(access_may_publish(guest, SPAN("b")));
	assert_false(access_may_publish(guest, SPAN("a/x")));
	access_principal_unref(guest);
	guest = make("", "", "", 0);
	assert_int_equal(guest->rights, 0);
	assert_false(access_may_channel(guest, SPAN("a")));
	access_principal_unref(guest);
}

static int
error_of(struct span user, struct span pattern, size_t count)
{
	struct span patterns[ACCESS_GUEST_PATTERNS_MAX + 1];
	struct access_guest guest = {.tenant = SPAN("main"), .user = user, .patterns = patterns,
	    .pattern_count = count};
	struct access_principal *principal = NULL;
	for (size_t i = 0; i < count; i++)
		patterns[i] = pattern;
	int error = access_guest_create(&guest, &principal);
	access_principal_unref(principal);
	return error;
}

static void
what_is_no_pattern_or_name_is_refused(void **state)
{
	char text[300];
	(void)state;
	memset(text, 'x', sizeof text);
	assert_int_equal(error_of(SPAN("eve"), SPAN("a"), ACCESS_GUEST_PATTERNS_MAX), 0);
	assert_int_equal(error_of(SPAN("eve"), SPAN("a"), ACCESS_GUEST_PATTERNS_MAX + 1), -EINVAL);
	assert_int_equal(error_of(SPAN("eve"), SPAN("a//b"), 1), -EINVAL);
	assert_int_equal(error_of(SPAN("eve"), SPAN(""), 1), -EINVAL);
	assert_int_equal(error_of(SPAN("eve"), SPAN("a\xff"), 1), -EINVAL);
	assert_int_equal(error_of(SPAN("eve"), span_of(text, 255), 1), 0);
	assert_int_equal(error_of(SPAN("eve"), span_of(text, 256), 1), -EINVAL);
	assert_int_equal(error_of(span_of(text, 255), SPAN("a"), 1), 0);
	assert_int_equal(error_of(span_of(text, 256), SPAN("a"), 1), -EINVAL);
	assert_int_equal(error_of(SPAN("e\nve"), SPAN("a"), 1), -EINVAL);
}

static void
what_was_granted_adds_up_until_the_first_end(void **state)
{
	static const int64_t ends[][3] = {{0, 0, 0}, {5, 0, 5}, {0, 5, 5}, {5, 9, 5}, {9, 5, 5}};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
		struct access_principal *earlier = make("eve", "a/#", "p", ends[i][0]), *both;
		struct access_principal *later = make("Eve", "b", "", ends[i][1]);
		assert_int_equal(access_guest_join(earlier, later, &both), 0);
		access_principal_unref(earlier);
		access_principal_unref(later);
		assert_true(both->expires_ms == ends[i][2]);
		assert_true(span_eq(both->name, SPAN("sub-Eve")));
		assert_true(span_eq(both->tenant, SPAN("acme")));
		assert_true(access_may_channel(both, SPAN("a/x/y")));
		assert_true(access_may_channel(both, SPAN("b")));
		assert_false(access_may_channel(both, SPAN("c")));
		assert_true(access_may_publish(both, SPAN("p")));
		assert_int_equal(both->rights, ACCESS_SUBSCRIBE | ACCESS_PUBLISH);
		access_principal_unref(both);
	}
}

static void
together_they_are_bounded(void **state)
{
	struct span patterns[600];
	struct access_guest guest = {.tenant = SPAN("main"), .user = SPAN("eve"),
	    .patterns = patterns, .pattern_count = ARRAY_COUNT(patterns)};
	struct access_principal *one, *both;
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(patterns); i++)
		patterns[i] = SPAN("a");
	assert_int_equal(access_guest_create(&guest, &one), 0);
	assert_int_equal(access_guest_join(one, one, &both), -EINVAL);
	access_principal_unref(one);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_is_a_subscriber),
		cmocka_unit_test(what_is_no_pattern_or_name_is_refused),
		cmocka_unit_test(what_was_granted_adds_up_until_the_first_end),
		cmocka_unit_test(together_they_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

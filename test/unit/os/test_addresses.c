/*
 * Addresses and networks as settings name them, and whether an address is among them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "addresses.h"

#define LIST "127.0.0.1 10.0.0.0/8\t192.168.7.128/25 fd00::/9 ::1"

static bool
listed(const char *list, const char *address)
{
	return addresses_listed(span_str(list), span_str(address));
}

static void
an_address_is_in_the_networks_that_hold_it(void **state)
{
	(void)state;
	const char *in[] = {"127.0.0.1", "::ffff:127.0.0.1", "10.0.0.0", "10.255.255.255",
	    "192.168.7.128", "192.168.7.255", "fd00::1", "fd7f:ffff::", "::1", "0:0::1"};
	const char *out[] = {"127.0.0.2", "11.0.0.0", "9.255.255.255", "192.168.7.127",
	    "192.168.8.128", "fd80::", "::2", "::127.0.0.1", "", "unix", "10.0.0", "10.0.0.1 ",
	    "1234:1234:1234:1234:1234:1234:1234:1234:1234:1234"};
	for (size_t i = 0; i < sizeof in / sizeof in[0]; i++)
		assert_true(listed(LIST, in[i]));
	for (size_t i = 0; i < sizeof out / sizeof out[0]; i++)
		assert_false(listed(LIST, out[i]));
	assert_true(listed("0.0.0.0/0", "8.8.8.8"));
	assert_false(listed("0.0.0.0/0", "2001::1"));
	assert_true(listed("::/0", "8.8.8.8"));
	assert_false(listed("", "8.8.8.8"));
}

static void
a_list_with_anything_else_is_not_valid(void **state)
{
	(void)state;
	const char *bad[] = {"localhost", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1",
	    "/8", "10.0.0.0/8/8", "127.0.0.1,::1", "127.0.0.1 x", "10.0.0.0/1e1"};
	assert_true(addresses_list_valid(span_str(LIST)));
	assert_true(addresses_list_valid(span_str("")));
	assert_true(addresses_list_valid(span_of(NULL, 0)));
	assert_true(addresses_list_valid(span_str("  ::/0  ")));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(addresses_list_valid(span_str(bad[i])));
}

static void
an_address_has_one_usual_form(void **state)
{
	(void)state;
	char text[ADDRESSES_TEXT_BYTES];
	assert_true(addresses_normal(span_str("::FFFF:1.2.3.4"), text));
	assert_string_equal(text, "1.2.3.4");
	assert_true(addresses_normal(span_str("2001:0DB8:0:0:0:0:0:1"), text));
	assert_string_equal(text, "2001:db8::1");
	assert_false(addresses_normal(span_str("1.2.3.4:80"), text));
	assert_false(addresses_normal(span_str("unknown"), text));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_address_is_in_the_networks_that_hold_it),
	    cmocka_unit_test(a_list_with_anything_else_is_not_valid),
	    cmocka_unit_test(an_address_has_one_usual_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

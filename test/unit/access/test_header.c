/*
 * test_header.c: every form of credentials in an Authorization header, and what is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "check.h"

static void
credentials_by_table(void **state)
{
	static const struct {
		const char *header, *key;
	} cases[] = {
		{"Bearer abc", "abc"}, {"bearer abc", "abc"}, {"BEARER abc", "abc"},
		{"Bearer   abc", "abc"}, {"Bearer abc  ", "abc"}, {" \tBearer\tabc\t", "abc"},
		{"Bearer a:b=c+d/e", "a:b=c+d/e"},
		{"Token abc", "abc"}, {"token abc", "abc"}, {"Token u:p", "u:p"},
		/* weir:secret, alone and with what padding it takes */
		{"Basic d2VpcjpzZWNyZXQ=", "secret"}, {"Basic d2VpcjpzZWNyZXQ", "secret"},
		{"basic d2VpcjpzZWNyZXQ=", "secret"},
		{"Basic OnA=", "p"},            /* ":p" */
		{"Basic YTpiOmM=", "b:c"},      /* "a:b:c": the first colon ends the user */
		{"Basic dTo/Pz8+", "??" "?>"},  /* "u:???>" in the standard alphabet */
		{"Basic dTo_Pz8-", "??" "?>"},  /* and in the other one */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		char scratch[64];
		struct span user, key;

		if (!access_header_read(span_str(cases[i].header), scratch, sizeof(scratch), &user,
		    &key))
			fail_msg("refused: %s", cases[i].header);
		if (!span_eq(key, span_str(cases[i].key)))
			fail_msg("%s: %.*s", cases[i].header, SPAN_ARG(key));
	}
}

static void
malformed_credentials_are_none(void **state)
{
	static const char *const bad[] = {
		"", " ", "Bearer", "Bearer ", "Bearer\t", "Bearerabc", "Bearer a b", "Bearer a\tb",
		"Bearer a\x7f", "Bearer a\x01", "Bearer \xc3\xbc", "abc", "Token", "Token ",
		"Basic", "Basic ", "Digest abc", "Basic2 OnA=", "Negotiate OnA=",
		"Basic d2Vpcg==",     /* "weir": no colon */
		"Basic d2Vpcjo=",     /* "weir:": no password */
		"Basic d2VpcjpzZWNyZXQ==", "Basic d2VpcjpzZWNyZXQ=x", "Basic =",
		"Basic d2VpcjpzZWNyZX", /* cut: bits are left over */
		"Basic dTo_Pz8+",     /* both alphabets at once */
		"Basic d2Vp!jpzZWNyZXQ=", "Basic OnAK", /* ":p\n" */
		"Basic OgBw",         /* ":", NUL, "p" */
		"Basic AAAA", "Basic O", "Basic On A=",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		char scratch[64];
		struct span user, key = SPAN("untouched");

		if (access_header_read(span_str(bad[i]), scratch, sizeof(scratch), &user,
		    &key))
			fail_msg("taken: %s", bad[i]);
		assert_true(span_eq(key, SPAN("untouched")));
	}
}

static void
nul_within_is_no_end(void **state)
{
	struct span user, key;
	char scratch[16];

	(void)state;
	assert_false(access_header_read(SPAN("Bearer a\0b"), scratch, sizeof(scratch), &user,
		    &key));
	assert_false(access_header_read(SPAN("Basic OnA=\0"), scratch, sizeof(scratch), &user,
		    &key));
}

static void
password_that_does_not_fit_is_refused_and_wiped(void **state)
{
	char scratch[8] = "sssssss";
	struct span user, key;

	(void)state;
	assert_false(access_header_read(SPAN("Basic d2VpcjpzZWNyZXQ="), scratch, sizeof(scratch),
	    &user, &key));
	for (size_t i = 0; i < sizeof(scratch); i++)
		assert_int_equal(scratch[i], 0);
	assert_false(access_header_read(SPAN("Basic OnA="), NULL, 0, &user, &key));
}

/* Each cut stands at the end of its own allocation, so a read beyond it is seen. */
static void
every_cut_of_a_header_is_read_within_its_bounds(void **state)
{
	static const char whole[] = "Basic d2VpcjpzZWNyZXQ=";

	(void)state;
	for (size_t len = 0; len < sizeof(whole); len++) {
		char *cut = malloc(len ? len : 1);
		char scratch[32];
		struct span user, key;

		assert_non_null(cut);
		memcpy(cut, whole, len);
		if (access_header_read(span_of(cut, len), scratch, sizeof(scratch), &user,
		    &key))
			assert_true(key.len <= 6 && memcmp(key.ptr, "secret", key.len) == 0);
		free(cut);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credentials_by_table),
		cmocka_unit_test(malformed_credentials_are_none),
		cmocka_unit_test(nul_within_is_no_end),
		cmocka_unit_test(password_that_does_not_fit_is_refused_and_wiped),
		cmocka_unit_test(every_cut_of_a_header_is_read_within_its_bounds),
	};

	return cmocka_run_group_tests_name("access_header", tests, NULL, NULL);
}

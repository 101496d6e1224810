/* Base64: the RFC's examples, every length there and back, one form for each run of bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base64.h"
#include "guard.h"

static void
examples_of_the_rfc(void **state)
{
	static const char *const cases[][3] = {{"", "", ""}, {"f", "Zg==", "Zg"},
	    {"fo", "Zm8=", "Zm8"}, {"foo", "Zm9v", "Zm9v"}, {"foob", "Zm9vYg==", "Zm9vYg"},
	    {"fooba", "Zm9vYmE=", "Zm9vYmE"}, {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
	    {"\xfb\xff", "+/8=", "-_8"}};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		for (int url = 0; url < 2; url++) {
			char out[16];
			size_t len = base64_encode(span_str(cases[i][0]), url, out);
			assert_true(span_eq(span_of(out, len), span_str(cases[i][1 + url])));
		}
	}
}

static void
every_length_comes_back(void **state)
{
	(void)state;
	struct guard guard;
	guard_init(&guard, 512);
	for (size_t len = 0; len < 300; len++) {
		for (int url = 0; url < 2; url++) {
			char bytes[300], text[404], back[303];
			for (size_t i = 0; i < len; i++)
				bytes[i] = (char)(i * 151 + len * 7);
			struct span in = guard_end(&guard, span_of(bytes, len));
			size_t text_len = base64_encode(in, url, text);
			struct span coded = guard_end(&guard, span_of(text, text_len));
			assert_int_equal(base64_decode(coded, url, back), len);
			assert_memory_equal(back, bytes, len);
		}
	}
	guard_finish(&guard);
}

static void
other_forms_are_refused(void **state)
{
	static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg===", "Z===", "====", "=", "Zm8",
	    "Zm9v=", "Zm9v==", "Zh==", "Zm9=", "Zg==Zg==", "Z=g=", " Zg==", "Zg== ", "Zm9\n",
	    "Zm9v\n", "Zm-v", "Zm_v", "Zm9\x80", "Zm*v"};
	static const char *const bad_url[] = {"Z", "Zg=", "Zm8==", "Zh", "Zm9", "Zm+v", "Zm/v",
	    "Zg==="};
	char out[32];
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		if (base64_decode(span_str(bad[i]), false, out) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad_url); i++) {
		if (base64_decode(span_str(bad_url[i]), true, out) != -EINVAL)
			fail_msg("taken: %s", bad_url[i]);
	}
	assert_int_equal(base64_decode(SPAN("Zg=="), true, out), 1);
	assert_int_equal(base64_decode(SPAN("Zg"), true, out), 1);
	assert_int_equal(base64_decode(SPAN("Zm\0v"), true, out), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(examples_of_the_rfc),
	    cmocka_unit_test(every_length_comes_back),
	    cmocka_unit_test(other_forms_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

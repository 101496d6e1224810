/* UTF-8: every code point, every wrong form, every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

static size_t
encode(char *text, uint32_t code)
{
	if (code < 0x80) {
		text[0] = (char)code;
		return 1;
	}
	size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = len - 1; i > 0; i--) {
		text[i] = (char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	text[0] = (char)(leads[len] | code);
	return len;
}

static void
every_code_point_but_surrogates_is_valid(void **state)
{
	(void)state;
	char text[4];
	for (uint32_t code = 0; code < 0x112000; code++) {
		size_t len = encode(text, code);
		bool surrogate = code >= 0xd800 && code <= 0xdfff;
		assert_int_equal(utf8_valid(span_of(text, len)), !surrogate && code <= 0x10ffff);
		for (size_t cut = 1; cut < len; cut++)
			assert_false(utf8_valid(span_of(text, cut)));
	}
}

static void
wrong_forms_are_rejected(void **state)
{
	(void)state;
	static const char *const wrong[] = {
	    "\x80", /* a continuation alone */
	    "\xbf",
	    "\xc0\x80", /* overlong */
	    "\xc1\xbf",
	    "\xe0\x9f\xbf",
	    "\xf0\x8f\xbf\xbf",
	    "\xed\xa0\x80", /* surrogates */
	    "\xed\xbf\xbf",
	    "\xf4\x90\x80\x80", /* beyond U+10FFFF */
	    "\xf5\x80\x80\x80",
	    "\xff",
	    "\xc3(", /* no continuation */
	    "\xe2\x82(",
	    "abcdefgh\x80",
	    "abcdefgh\xe2\x82",
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(utf8_valid(span_str(wrong[i])));
	assert_int_equal(utf8_continue(UTF8_START, SPAN("a\xff"
							"a")),
	    UTF8_REJECT);
	assert_int_equal(utf8_continue(UTF8_REJECT, SPAN("a")), UTF8_REJECT);
}

static void
every_cut_gives_the_same_answer(void **state)
{
	(void)state;
	struct span text = SPAN("plain ascii, \xc3\xa9, \xe2\x82\xac, \xf0\x9f\x98\x80, the end");
	for (size_t cut = 0; cut <= text.len; cut++) {
		uint32_t middle = utf8_continue(UTF8_START, span_of(text.ptr, cut));
		assert_int_not_equal(middle, UTF8_REJECT);
		assert_int_equal(utf8_continue(middle, span_skip(text, cut)), UTF8_START);
	}
}

static void
empty_text_is_valid(void **state)
{
	(void)state;
	assert_true(utf8_valid(SPAN("")));
	assert_true(utf8_valid(span_of(NULL, 0)));
}

/* Compared with a decoder that works another way, over random bytes. */
static bool
valid_slow(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t more = p[i] < 0x80   ? 0
			      : p[i] < 0xc0 ? 9
			      : p[i] < 0xe0 ? 1
			      : p[i] < 0xf0 ? 2
					    : 3;
		uint32_t code = p[i];
		char again[4];
		if (more == 9 || p[i] >= 0xf8 || i + more >= len)
			return false;
		if (more)
			code &= 0x3fu >> more;
		for (size_t j = 1; j <= more; j++) {
			if ((p[i + j] & 0xc0) != 0x80)
				return false;
			code = code << 6 | (p[i + j] & 0x3f);
		}
		if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ||
		    encode(again, code) != more + 1)
			return false;
		i += more + 1;
	}
	return true;
}

static void
random_bytes_are_judged_as_by_a_decoder(void **state)
{
	(void)state;
	srand(5);
	int valid = 0;
	for (int i = 0; i < 300000; i++) {
		static const uint8_t likely[] = {'a', 0x80, 0xbf, 0xa0, 0x9f, 0x90, 0x8f, 0xc2,
		    0xe0, 0xe1, 0xed, 0xf0, 0xf1, 0xf4, 0xc1, 0xf5};
		uint8_t bytes[12];
		size_t len = (size_t)rand() % sizeof(bytes);
		for (size_t j = 0; j < len; j++)
			bytes[j] = rand() % 8 ? likely[rand() % 16] : (uint8_t)rand();
		bool expected = valid_slow(bytes, len);
		assert_int_equal(utf8_valid(span_of((const char *)bytes, len)), expected);
		valid += expected;
	}
	assert_true(valid > 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_code_point_but_surrogates_is_valid),
	    cmocka_unit_test(wrong_forms_are_rejected),
	    cmocka_unit_test(every_cut_gives_the_same_answer),
	    cmocka_unit_test(empty_text_is_valid),
	    cmocka_unit_test(random_bytes_are_judged_as_by_a_decoder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Whole messages compressed as WebSockets do: back as they were, bounded, and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "deflate.h"

static void
fill(struct buf *text, size_t len, unsigned seed)
{
	buf_init(text, 0);
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1103515245 + 12345;
		buf_append_byte(text, (char)(seed % 3 ? 'a' + i % 17 : seed >> 16));
	}
	assert_true(buf_ok(text));
}

static void
messages_come_back_as_they_were(void **state)
{
	(void)state;
	static const size_t lens[] = {0, 1, 255, 256, 511, 512, 513, 4095, 4096, 4097, 65536,
	    300000};
	for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
		struct buf text, packed, back;
		fill(&text, lens[i], (unsigned)i + 1);
		buf_init(&packed, 0);
		buf_init(&back, 0);
		buf_append_str(&packed, "head");
		buf_append_str(&back, "head");
		assert_int_equal(deflate_pack(buf_span(&text), &packed), 0);
		assert_int_equal(deflate_unpack(span_skip(buf_span(&packed), 4), lens[i], &back),
		    0);
		assert_true(span_eq(span_skip(buf_span(&back), 4), buf_span(&text)));
		assert_memory_equal(packed.ptr, "head", 4);
		assert_memory_equal(back.ptr, "head", 4);
		buf_finish(&text);
		buf_finish(&packed);
		buf_finish(&back);
	}
}

static void
more_than_the_bound_is_refused(void **state)
{
	(void)state;
	struct buf text, packed, back;
	buf_init(&text, 0);
	buf_init(&packed, 0);
	buf_init(&back, 0);
	for (size_t i = 0; i < 1 << 20; i++)
		buf_append_byte(&text, 'x');
	assert_int_equal(deflate_pack(buf_span(&text), &packed), 0);
	assert_true(packed.len < 4096);
	assert_int_equal(deflate_unpack(buf_span(&packed), (1 << 20) - 1, &back), -EFBIG);
	assert_int_equal(back.len, 0);
	assert_int_equal(deflate_unpack(buf_span(&packed), 0, &back), -EFBIG);
	assert_int_equal(deflate_unpack(buf_span(&packed), 1 << 20, &back), 0);
	assert_int_equal(back.len, 1 << 20);
	buf_finish(&text);
	buf_finish(&packed);
	buf_finish(&back);
}

static void
damage_is_seen_and_nothing_is_left_of_it(void **state)
{
	(void)state;
	const struct span broken[] = {
		SPAN("\x07\xff"), SPAN("\xff\xff\xff\xff"), SPAN("\x02\x00\x05"),
		SPAN("{\"a\":1}"),
	};
	for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
		struct buf back;
		buf_init(&back, 0);
		assert_int_equal(deflate_unpack(broken[i], 1000, &back), -EBADMSG);
		assert_int_equal(back.len, 0);
		buf_finish(&back);
	}
	/* Cut anywhere: damaged, or shorter than it was. */
	struct buf text, packed;
	fill(&text, 2000, 7);
	buf_init(&packed, 0);
	assert_int_equal(deflate_pack(buf_span(&text), &packed), 0);
	for (size_t len = 1; len + 1 < packed.len; len++) {
		struct buf back;
		buf_init(&back, 0);
		int error = deflate_unpack(span_of(packed.ptr, len), 2000, &back);
		assert_true(error ? back.len == 0 : back.len <= text.len);
		buf_finish(&back);
	}
	buf_finish(&text);
	buf_finish(&packed);
}

/* RFC 7692, section 7.2.3: the examples. */
static void
examples_of_the_rfc(void **state)
{
	(void)state;
	const struct span hellos[] = {
		SPAN("\xf2\x48\xcd\xc9\xc9\x07\x00"),
		SPAN("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),
		SPAN("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
		SPAN("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
	};
	for (size_t i = 0; i < ARRAY_COUNT(hellos); i++) {
		struct buf back;
		buf_init(&back, 0);
		assert_int_equal(deflate_unpack(hellos[i], 5, &back), 0);
		assert_true(span_eq(buf_span(&back), SPAN("Hello")));
		buf_finish(&back);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_come_back_as_they_were),
		cmocka_unit_test(more_than_the_bound_is_refused),
		cmocka_unit_test(damage_is_seen_and_nothing_is_left_of_it),
		cmocka_unit_test(examples_of_the_rfc),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

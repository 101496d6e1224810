/* gzip: any cut of input and output, several members, damage, truncation, bombs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "buf.h"
#include "check.h"
#include "gzip.h"

/* Compresses in pieces of `in_step` into pieces of `out_step`. */
static void
compress_in_steps(struct span text, size_t in_step, size_t out_step, struct buf *out)
{
	struct gzip *gzip;
	bool end = false;
	assert_int_equal(gzip_create(6, &gzip), 0);
	while (!end) {
		struct span piece = span_of(text.ptr, MIN(in_step, text.len));
		bool last = piece.len == text.len;
		text = span_skip(text, piece.len);
		ssize_t made;
		do {
			assert_int_equal(buf_reserve(out, out_step), 0);
			made = gzip_run(gzip, &piece, last, out->ptr + out->len, out_step, &end);
			assert_true(made >= 0);
			out->len += (size_t)made;
		} while (made == (ssize_t)out_step || piece.len > 0);
	}
	struct span nothing = {0};
	char byte;
	assert_int_equal(gzip_run(gzip, &nothing, true, &byte, 1, &end), 0);
	assert_true(end);
	gzip_destroy(gzip);
}

/* 0 at a proper end, -ENODATA when it is truncated, else the error. */
static int
decompress_in_steps(struct span data, size_t in_step, size_t out_step, struct buf *out)
{
	struct gunzip *gunzip;
	bool end = false;
	int error = 0;
	assert_int_equal(gunzip_create(&gunzip), 0);
	while (data.len > 0 && error == 0) {
		struct span piece = span_of(data.ptr, MIN(in_step, data.len));
		data = span_skip(data, piece.len);
		for (;;) {
			assert_int_equal(buf_reserve(out, out_step), 0);
			ssize_t made = gunzip_run(gunzip, &piece, out->ptr + out->len, out_step,
			    &end);
			if (made < 0) {
				error = (int)made;
				break;
			}
			out->len += (size_t)made;
			if (made == 0 && piece.len == 0)
				break;
		}
	}
	gunzip_destroy(gunzip);
	return error ? error : end ? 0 : -ENODATA;
}

static void
text_make(struct buf *text, size_t lines)
{
	buf_init(text, 0);
	for (size_t i = 0; i < lines; i++)
		assert_int_equal(
		    buf_printf(text, "temp,room=r%zu value=%zu.%zu\n", i % 17, i % 40, i % 10), 0);
}

static void
any_cut_of_both_sides_gives_the_same(void **state)
{
	(void)state;
	static const size_t steps[] = {1, 2, 7, 100, 4096, 1 << 20};
	struct buf text;
	text_make(&text, 700);
	for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
		for (size_t j = 0; j < ARRAY_COUNT(steps); j++) {
			struct buf packed, back;
			buf_init(&packed, 0);
			buf_init(&back, 0);
			compress_in_steps(buf_span(&text), steps[i], steps[j], &packed);
			assert_true(packed.len < text.len / 2);
			assert_int_equal(
			    decompress_in_steps(buf_span(&packed), steps[j], steps[i], &back), 0);
			assert_true(span_eq(buf_span(&back), buf_span(&text)));
			buf_finish(&packed);
			buf_finish(&back);
		}
	}
	buf_finish(&text);
}

static void
empty_text_is_a_stream_too(void **state)
{
	(void)state;
	struct buf packed, back;
	buf_init(&packed, 0);
	buf_init(&back, 0);
	compress_in_steps(span_of("", 0), 10, 10, &packed);
	assert_true(packed.len > 0);
	assert_int_equal(decompress_in_steps(buf_span(&packed), 3, 10, &back), 0);
	assert_int_equal(back.len, 0);
	buf_finish(&packed);
	buf_finish(&back);
}

static void
several_members_are_one_stream(void **state)
{
	(void)state;
	struct buf packed, back;
	buf_init(&packed, 0);
	compress_in_steps(SPAN("one "), 100, 100, &packed);
	compress_in_steps(span_of("", 0), 100, 100, &packed);
	compress_in_steps(SPAN("three"), 100, 100, &packed);
	for (size_t step = 1; step <= packed.len; step++) {
		buf_init(&back, 0);
		assert_int_equal(decompress_in_steps(buf_span(&packed), step, 3, &back), 0);
		assert_true(span_eq(buf_span(&back), SPAN("one three")));
		buf_finish(&back);
	}
	buf_finish(&packed);
}

static void
every_truncation_is_seen(void **state)
{
	(void)state;
	struct buf text, packed;
	text_make(&text, 20);
	buf_init(&packed, 0);
	compress_in_steps(buf_span(&text), 100, 100, &packed);
	for (size_t len = 1; len < packed.len; len++) {
		struct buf back;
		buf_init(&back, 0);
		assert_int_equal(
		    decompress_in_steps(span_of(packed.ptr, len), 11, 100, &back), -ENODATA);
		buf_finish(&back);
	}
	buf_finish(&text);
	buf_finish(&packed);
}

static void
a_flipped_bit_is_never_taken_for_the_text(void **state)
{
	(void)state;
	struct buf text, packed;
	text_make(&text, 20);
	buf_init(&packed, 0);
	compress_in_steps(buf_span(&text), 100, 100, &packed);
	for (size_t bit = 0; bit < packed.len * 8; bit++) {
		struct buf back;
		buf_init(&back, 0);
		packed.ptr[bit / 8] ^= (char)(1 << bit % 8);
		int error = decompress_in_steps(buf_span(&packed), 50, 200, &back);
		/* The header's time, system and the like are not checked by anybody. */
		assert_true(error == -EBADMSG || error == -ENODATA ||
		    span_eq(buf_span(&back), buf_span(&text)));
		packed.ptr[bit / 8] ^= (char)(1 << bit % 8);
		buf_finish(&back);
	}
	buf_finish(&text);
	buf_finish(&packed);
}

static void
what_follows_the_end_is_an_error(void **state)
{
	(void)state;
	struct buf packed, back;
	buf_init(&packed, 0);
	compress_in_steps(SPAN("text"), 100, 100, &packed);
	buf_append_str(&packed, "junk");
	for (size_t step = 1; step <= packed.len; step++) {
		buf_init(&back, 0);
		assert_int_equal(
		    decompress_in_steps(buf_span(&packed), step, 100, &back), -EBADMSG);
		buf_finish(&back);
	}
	buf_finish(&packed);
	buf_init(&back, 0);
	assert_int_equal(decompress_in_steps(SPAN("not compressed"), 5, 100, &back), -EBADMSG);
	buf_finish(&back);
}

static void
the_zlib_format_is_understood_and_has_one_member(void **state)
{
	(void)state;
	unsigned char packed[200];
	uLongf len = 100;
	struct buf back;
	assert_int_equal(compress(packed, &len, (const unsigned char *)"deflate", 7), Z_OK);
	buf_init(&back, 0);
	assert_int_equal(decompress_in_steps(span_of((char *)packed, len), 4, 3, &back), 0);
	assert_true(span_eq(buf_span(&back), SPAN("deflate")));
	memcpy(packed + len, packed, len);
	buf_clear(&back);
	assert_int_equal(
	    decompress_in_steps(span_of((char *)packed, 2 * len), 4, 3, &back), -EBADMSG);
	buf_finish(&back);
}

/* A caller who stops at his limit has spent no more memory than that. */
static void
a_bomb_gives_no_more_than_is_asked_for(void **state)
{
	(void)state;
	size_t size = 10 << 20;
	char *zeros = calloc(1, size), out[1000];
	struct buf packed;
	struct gunzip *gunzip;
	bool end = false;
	assert_non_null(zeros);
	buf_init(&packed, 0);
	compress_in_steps(span_of(zeros, size), size, 65536, &packed);
	free(zeros);
	assert_true(packed.len < 20000);
	assert_int_equal(gunzip_create(&gunzip), 0);
	struct span in = buf_span(&packed);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(gunzip_run(gunzip, &in, out, sizeof(out), &end), sizeof(out));
		assert_false(end);
	}
	gunzip_destroy(gunzip);
	buf_finish(&packed);
}

static void
a_level_that_is_none_is_refused(void **state)
{
	(void)state;
	struct gzip *gzip;
	assert_int_equal(gzip_create(99, &gzip), -EINVAL);
	gzip_destroy(NULL);
	gunzip_destroy(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_cut_of_both_sides_gives_the_same),
		cmocka_unit_test(empty_text_is_a_stream_too),
		cmocka_unit_test(several_members_are_one_stream),
		cmocka_unit_test(every_truncation_is_seen),
		cmocka_unit_test(a_flipped_bit_is_never_taken_for_the_text),
		cmocka_unit_test(what_follows_the_end_is_an_error),
		cmocka_unit_test(the_zlib_format_is_understood_and_has_one_member),
		cmocka_unit_test(a_bomb_gives_no_more_than_is_asked_for),
		cmocka_unit_test(a_level_that_is_none_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

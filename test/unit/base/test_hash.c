/* CRC-32C: published values, both ways of computing it, every cut. XXH3: seed and length count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hash.h"

/* Bit by bit, straight from the definition. */
static uint32_t
crc_slow(const uint8_t *p, size_t len)
{
	uint32_t crc = ~0u;
	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

/* RFC 3720, appendix B.4. */
static void
published_values_come_out(void **state)
{
	(void)state;
	uint8_t bytes[32];
	assert_int_equal(crc32c(0, "", 0), 0);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = i;
	assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(0, bytes, 32), 0x113fdb5c);
}

static void
both_ways_agree_for_all_lengths_and_alignments(void **state)
{
	(void)state;
	enum { BYTES = 16000 };
	uint8_t *bytes = malloc(BYTES);
	srand(11);
	for (size_t i = 0; i < BYTES; i++)
		bytes[i] = (uint8_t)rand();
	for (size_t len = 0; len < 1000; len++) {
		uint32_t expected = crc_slow(bytes + len % 9, len);
		assert_int_equal(crc32c(0, bytes + len % 9, len), expected);
		assert_int_equal(crc32c_portable(0, bytes + len % 9, len), expected);
	}
	for (size_t len = 1000; len < BYTES - 9; len += 97)
		assert_int_equal(
		    crc32c(0, bytes + len % 9, len), crc32c_portable(0, bytes + len % 9, len));
	free(bytes);
}

static void
every_cut_gives_the_same_sum(void **state)
{
	(void)state;
	uint8_t bytes[2000];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * i);
	uint32_t whole = crc32c(0, bytes, sizeof(bytes));
	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		uint32_t crc = crc32c(0, bytes, cut);
		assert_int_equal(crc32c(crc, bytes + cut, sizeof(bytes) - cut), whole);
	}
}

static void
hash_depends_on_bytes_length_and_seed(void **state)
{
	(void)state;
	uint64_t hash = hash64(SPAN("device"), 1);
	assert_true(hash == hash64(span_str("device"), 1));
	assert_true(hash != hash64(SPAN("device"), 2));
	assert_true(hash != hash64(SPAN("devicf"), 1));
	assert_true(hash != hash64(SPAN("device\0"), 1));
	assert_true(hash64(span_of(NULL, 0), 1) == hash64(SPAN(""), 1));
	/* Stored on disk: this value must never change. XXH3 of no bytes with seed 0. */
	assert_true(hash64(SPAN(""), 0) == UINT64_C(0x2d06800538d394c2));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(published_values_come_out),
	    cmocka_unit_test(both_ways_agree_for_all_lengths_and_alignments),
	    cmocka_unit_test(every_cut_gives_the_same_sum),
	    cmocka_unit_test(hash_depends_on_bytes_length_and_seed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

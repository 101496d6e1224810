/*
 * hash.c: XXH3 and CRC-32C.
 *
 * CRC-32C in reflected bit order, polynomial 0x82f63b78, complemented before and after. With
 * SSE4.2 the crc32 instruction does 8 bytes, but takes 3 cycles for a result it could begin every
 * cycle: so a long run is cut into three streams whose registers are joined by a carry-less
 * multiplication: appending n zero bytes multiplies the register by x^(8n) mod P (V. Gopal et al.,
 * "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction", Intel, 2011).
 * Without it: eight bytes a step through eight tables ("slicing by 8", Kounavis and Berry, 2005).
 */
#include "hash.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

uint64_t
hash64(struct span bytes, uint64_t seed)
{
	return XXH3_64bits_withSeed(bytes.ptr, bytes.len, seed);
}

/*
 * A CRC is linear: what a byte does to the register is the sum of what its bits do. So eight
 * constants make a table of 256, and the compiler works it out. Table t is for a byte that t more
 * bytes follow.
 */
#define BIT(i, bit, c) ((i) & (1 << (bit)) ? (c) : 0u)
#define ENTRY(i, c0, c1, c2, c3, c4, c5, c6, c7)                                                   \
	BIT(i, 0, c0) ^ BIT(i, 1, c1) ^ BIT(i, 2, c2) ^ BIT(i, 3, c3) ^ BIT(i, 4, c4) ^            \
	    BIT(i, 5, c5) ^ BIT(i, 6, c6) ^ BIT(i, 7, c7)
#define ENTRY4(i, ...)                                                                             \
	ENTRY(i, __VA_ARGS__), ENTRY((i) + 1, __VA_ARGS__), ENTRY((i) + 2, __VA_ARGS__),           \
	    ENTRY((i) + 3, __VA_ARGS__)
#define ENTRY16(i, ...)                                                                            \
	ENTRY4(i, __VA_ARGS__), ENTRY4((i) + 4, __VA_ARGS__), ENTRY4((i) + 8, __VA_ARGS__),        \
	    ENTRY4((i) + 12, __VA_ARGS__)
#define ENTRY64(i, ...)                                                                            \
	ENTRY16(i, __VA_ARGS__), ENTRY16((i) + 16, __VA_ARGS__), ENTRY16((i) + 32, __VA_ARGS__),   \
	    ENTRY16((i) + 48, __VA_ARGS__)
#define TABLE(...)                                                                                 \
	{                                                                                          \
		ENTRY64(0, __VA_ARGS__), ENTRY64(64, __VA_ARGS__), ENTRY64(128, __VA_ARGS__),      \
		    ENTRY64(192, __VA_ARGS__)                                                      \
	}

static const uint32_t tables[8][256] = {
    TABLE(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc,
	0x82f63b78),
    TABLE(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604,
	0xfbc3faf9),
    TABLE(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9,
	0x8b277743),
    TABLE(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7,
	0x52a0c93f),
    TABLE(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, 0x1ba8b557, 0x37516aae,
	0x6ea2d55c),
    TABLE(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, 0x85f4168d, 0x0e045beb,
	0x1c08b7d6),
    TABLE(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a,
	0xf56e0ef4),
    TABLE(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, 0x0d006599, 0x1a00cb32,
	0x34019664),
};

static uint64_t
load8(const uint8_t *p)
{
	uint64_t word;
	memcpy(&word, p, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

uint32_t
crc32c_portable(uint32_t crc, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	crc = ~crc;
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word = load8(p) ^ crc;
		crc = 0;
		for (int i = 0; i < 8; i++)
			crc ^= tables[7 - i][word >> (8 * i) & 0xff];
	}
	for (; len > 0; p++, len--)
		crc = tables[0][(crc ^ *p) & 0xff] ^ crc >> 8;
	return ~crc;
}

#if defined(__x86_64__)

#define CRC_TARGET __attribute__((target("sse4.2,pclmul")))

/* A length of stream, and what moves a register over one and over two of them: x^(8n - 33) mod P
 * (the 33 are what the multiplication and the reducing crc32 instruction add). */
struct stride {
	size_t len;
	uint32_t over_one, over_two;
};

CRC_TARGET static inline uint64_t
move(uint64_t crc, uint32_t factor)
{
	__m128i product = _mm_clmulepi64_si128(
	    _mm_cvtsi64_si128((long long)crc), _mm_cvtsi32_si128((int)factor), 0);
	return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* The register after three strides of bytes from p. */
CRC_TARGET static uint64_t
three_streams(uint64_t crc, const uint8_t *p, struct stride s)
{
	uint64_t second = 0, third = 0;
	for (const uint8_t *end = p + s.len; p < end; p += 8) {
		crc = _mm_crc32_u64(crc, load8(p));
		second = _mm_crc32_u64(second, load8(p + s.len));
		third = _mm_crc32_u64(third, load8(p + 2 * s.len));
	}
	return move(crc, s.over_two) ^ move(second, s.over_one) ^ third;
}

CRC_TARGET static uint32_t
crc32c_sse42(uint32_t begin, const void *bytes, size_t len)
{
	static const struct stride strides[] = {
	    {2048, 0xa51b6135, 0x82f89c77},
	    {256, 0xb9e02b86, 0xdd7e3b0c},
	};
	const uint8_t *p = bytes;
	uint64_t crc = (uint32_t)~begin;
	for (size_t i = 0; i < sizeof(strides) / sizeof(strides[0]); i++) {
		size_t step = 3 * strides[i].len;
		for (; len >= step; p += step, len -= step)
			crc = three_streams(crc, p, strides[i]);
	}
	for (; len >= 8; p += 8, len -= 8)
		crc = _mm_crc32_u64(crc, load8(p));
	for (; len > 0; p++, len--)
		crc = _mm_crc32_u8((uint32_t)crc, *p);
	return ~(uint32_t)crc;
}

#endif

uint32_t
crc32c(uint32_t crc, const void *bytes, size_t len)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
		return crc32c_sse42(crc, bytes, len);
#endif
	return crc32c_portable(crc, bytes, len);
}

/*
 * scan.h: the first byte of a kind in a run of bytes, 16 at a time where the processor has SSE2.
 * Private to proto. Nothing at or beyond `end` is read; `end` is the answer when there is none.
 */
#ifndef WEIR_SCAN_H
#define WEIR_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>

static inline __m128i
scan_load(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __m128i
scan_same(__m128i bytes, char c)
{
	return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c));
}

/* Bytes below 0x20. */
static inline __m128i
scan_low(__m128i bytes)
{
	return _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
}
#endif

/* A control character: below 0x20, or DEL. */
static inline const char *
scan_control(const char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		__m128i bytes = scan_load(p);
		__m128i hit = _mm_or_si128(scan_low(bytes), scan_same(bytes, 0x7f));
		unsigned mask = (unsigned)_mm_movemask_epi8(hit);
		if (mask)
			return p + __builtin_ctz(mask);
	}
#endif
	while (p < end && (uint8_t)*p >= 0x20 && *p != 0x7f)
		p++;
	return p;
}

/* A control character or a byte that is not ASCII. */
static inline const char *
scan_odd(const char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		__m128i bytes = scan_load(p);
		__m128i hit = _mm_or_si128(scan_low(bytes), scan_same(bytes, 0x7f));
		unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(hit, bytes));
		if (mask)
			return p + __builtin_ctz(mask);
	}
#endif
	while (p < end && (uint8_t)*p >= 0x20 && (uint8_t)*p < 0x7f)
		p++;
	return p;
}

/* What may not stand in a JSON string as it is, or is not ASCII. */
static inline const char *
scan_json_string(const char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		__m128i bytes = scan_load(p);
		__m128i hit = _mm_or_si128(scan_same(bytes, '"'), scan_same(bytes, '\\'));
		hit = _mm_or_si128(hit, _mm_or_si128(scan_low(bytes), bytes));
		unsigned mask = (unsigned)_mm_movemask_epi8(hit);
		if (mask)
			return p + __builtin_ctz(mask);
	}
#endif
	while (p < end && *p != '"' && *p != '\\' && (uint8_t)*p >= 0x20 && (uint8_t)*p < 0x80)
		p++;
	return p;
}

/* What ends or changes a name of the line protocol: ',', ' ', '=', '\'. */
static inline const char *
scan_line_name(const char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		__m128i bytes = scan_load(p);
		__m128i hit = _mm_or_si128(scan_same(bytes, ','), scan_same(bytes, ' '));
		hit = _mm_or_si128(hit, scan_same(bytes, '='));
		hit = _mm_or_si128(hit, scan_same(bytes, '\\'));
		unsigned mask = (unsigned)_mm_movemask_epi8(hit);
		if (mask)
			return p + __builtin_ctz(mask);
	}
#endif
	while (p < end && *p != ',' && *p != ' ' && *p != '=' && *p != '\\')
		p++;
	return p;
}

static inline bool
scan_is_digit(char c)
{
	return (uint8_t)(c - '0') <= 9;
}

#endif

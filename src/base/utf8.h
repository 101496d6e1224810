/*
 * utf8.h: validation of UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF).
 * Pure; any thread. The state can be carried over fragments.
 */
#ifndef WEIR_UTF8_H
#define WEIR_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

#define UTF8_START 0u
#define UTF8_REJECT 1u

/* Continues from `state` (UTF8_START to begin). UTF8_REJECT once invalid; UTF8_START when the
 * bytes so far end on a character's end. Source: B. Hoehrmann's description of a DFA decoder. */
uint32_t utf8_continue(uint32_t state, struct span bytes);

static inline bool
utf8_valid(struct span bytes)
{
	return utf8_continue(UTF8_START, bytes) == UTF8_START;
}

#endif

/*
 * num.h: numbers to and from text, and checked arithmetic. Pure; any thread; no locale.
 */
#ifndef WEIR_NUM_H
#define WEIR_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

/* The longest text that num_format_double and the integer writers make. */
#define NUM_TEXT_BYTES_MAX 32

/* The whole of `text` as a decimal integer: no space, no '+', at most 20 digits. 0, -EINVAL (no
 * number) or -ERANGE. ret_value is written only on success. */
int num_parse_u64(struct span text, uint64_t *ret_value);
int num_parse_i64(struct span text, int64_t *ret_value);

/* The whole of `text` as a double, in JSON's number grammar plus a leading '+' or '.'; correctly
 * rounded (Clinger's fast path: at most 19 digits, small powers of ten; else strtod).
 * 0, -EINVAL; overflow gives -ERANGE. "NaN", "Infinity" and the like are -EINVAL. */
int num_parse_double(struct span text, double *ret_value);

/* Writes the shortest text that reads back as the same double (JSON number; -0.0 is "-0.0"; an
 * integer has no fraction) and returns its length, <= NUM_TEXT_BYTES_MAX; `text` has room for as
 * many, and what is behind the length is not as it was. Not finite: "NaN",
 * "Infinity", "-Infinity" without quotes. */
size_t num_format_double(char *text, double value);
size_t num_format_u64(char *text, uint64_t value);
size_t num_format_i64(char *text, int64_t value);

/* Eight digits, with zeros in front; value < NUM_EIGHT_DIGITS. */
#define NUM_EIGHT_DIGITS 100000000
void num_format_eight(char *text, uint32_t value);

/* A size with an optional unit: "4096", "64k", "64KiB", "1 MiB", "2g". 0, -EINVAL, -ERANGE. */
int num_parse_bytes(struct span text, uint64_t *ret_bytes);

#define num_add_overflows(a, b, ret) __builtin_add_overflow(a, b, ret)
#define num_mul_overflows(a, b, ret) __builtin_mul_overflow(a, b, ret)

#endif

/*
 * base64.h: base64 (RFC 4648), standard and URL alphabets. Strict: no blanks, padding complete or,
 * in the URL alphabet, absent, spare bits zero.
 */
#ifndef WEIR_BASE64_H
#define WEIR_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "span.h"

/* The length; `out` has room for (len + 2) / 3 * 4 bytes. No NUL. The URL alphabet is written
 * without padding. */
size_t base64_encode(struct span bytes, bool url, char *out);

/* The length, or -EINVAL; `out` has room for text.len / 4 * 3 + 3 bytes. */
ssize_t base64_decode(struct span text, bool url, char *out);

#endif

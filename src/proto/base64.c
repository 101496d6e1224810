/*
 * base64.c: base64 (RFC 4648). One form for each run of bytes: bits left over must be zero.
 */
#include "base64.h"

#include <errno.h>
#include <stdint.h>

static const char alphabet_standard[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t
base64_encode(struct span bytes, bool url, char *out)
{
	const char *alphabet = url ? alphabet_url : alphabet_standard;
	const uint8_t *in = (const uint8_t *)bytes.ptr;
	size_t len = 0, left = bytes.len;
	for (; left >= 3; left -= 3, in += 3) {
		uint32_t group = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
		out[len++] = alphabet[group >> 18];
		out[len++] = alphabet[group >> 12 & 63];
		out[len++] = alphabet[group >> 6 & 63];
		out[len++] = alphabet[group & 63];
	}
	if (left == 0)
		return len;
	uint32_t group = (uint32_t)in[0] << 16 | (left == 2 ? (uint32_t)in[1] << 8 : 0);
	out[len++] = alphabet[group >> 18];
	out[len++] = alphabet[group >> 12 & 63];
	if (left == 2)
		out[len++] = alphabet[group >> 6 & 63];
	while (!url && len % 4 != 0)
		out[len++] = '=';
	return len;
}

/* A digit's six bits, or -1. */
static int
digit_value(char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (url ? '-' : '+'))
		return 62;
	return c == (url ? '_' : '/') ? 63 : -1;
}

ssize_t
base64_decode(struct span text, bool url, char *out)
{
	size_t digits = text.len, len = 0;
	while (digits > 0 && text.len - digits < 2 && text.ptr[digits - 1] == '=')
		digits--;
	bool padded = digits < text.len;
	if (digits % 4 == 1 || ((padded || !url) && text.len % 4 != 0))
		return -EINVAL;
	uint32_t group = 0;
	for (size_t i = 0; i < digits; i++) {
		int value = digit_value(text.ptr[i], url);
		if (value < 0)
			return -EINVAL;
		group = group << 6 | (uint32_t)value;
		if (i % 4 == 0)
			continue;
		unsigned spare = i % 4 == 1 ? 4 : i % 4 == 2 ? 2 : 0;
		out[len++] = (char)(group >> spare);
		group &= (1u << spare) - 1;
	}
	return group == 0 ? (ssize_t)len : -EINVAL;
}

/*
 * url.c: the parts of a URL's path and query.
 */
#include <errno.h>

#include "http1.h"

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

ssize_t
http1_url_decode(struct span in, bool form, char *out)
{
	size_t len = 0;
	for (size_t i = 0; i < in.len; i++) {
		char c = in.ptr[i];
		if (c == '%') {
			int high = in.len - i > 2 ? hex_value(in.ptr[i + 1]) : -1;
			int low = high >= 0 ? hex_value(in.ptr[i + 2]) : -1;
			if (low < 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && form) {
			c = ' ';
		}
		if (c == '\0')
			return -EINVAL;
		out[len++] = c;
	}
	return (ssize_t)len;
}

bool
http1_query_next(struct span *query, struct span *ret_name, struct span *ret_value)
{
	while (query->len > 0) {
		const char *amp = memchr(query->ptr, '&', query->len);
		size_t len = amp ? (size_t)(amp - query->ptr) : query->len;
		struct span pair = span_of(query->ptr, len);
		*query = span_skip(*query, amp ? len + 1 : len);
		if (len == 0)
			continue;
		const char *equals = memchr(pair.ptr, '=', len);
		size_t name_len = equals ? (size_t)(equals - pair.ptr) : len;
		*ret_name = span_of(pair.ptr, name_len);
		*ret_value = span_skip(pair, equals ? name_len + 1 : len);
		return true;
	}
	return false;
}

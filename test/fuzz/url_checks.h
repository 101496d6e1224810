/*
 * url_checks.h: what holds for the parts of any URL.
 */
#ifndef WEIR_FUZZ_URL_CHECKS_H
#define WEIR_FUZZ_URL_CHECKS_H

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "http1.h"

/* Decoding in place and elsewhere agree; every byte escaped decodes to the same. */
static inline void
check_decoding(struct span text, bool form)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out = malloc(text.len + 1), *in_place = malloc(text.len + 1);
	char *escaped = malloc(3 * text.len + 1);
	check(out && in_place && escaped);
	if (text.len > 0)
		memcpy(in_place, text.ptr, text.len);
	ssize_t len = http1_url_decode(text, form, out);
	check(http1_url_decode(span_of(in_place, text.len), form, in_place) == len);
	check(len == -EINVAL || (len >= 0 && (size_t)len <= text.len));
	for (ssize_t i = 0; i < len; i++) {
		check(in_place[i] == out[i] && out[i] != '\0');
		escaped[3 * i] = '%';
		escaped[3 * i + 1] = digits[(uint8_t)out[i] >> 4];
		escaped[3 * i + 2] = digits[out[i] & 15];
	}
	if (len > 0) {
		size_t all = 3 * (size_t)len;
		check(http1_url_decode(span_of(escaped, all), form, escaped) == len);
		check(memcmp(escaped, out, (size_t)len) == 0);
	}
	free(out);
	free(in_place);
	free(escaped);
}

static inline void
check_url(struct span path, struct span query)
{
	struct span name, value, rest = query;
	check_decoding(path, false);
	while (http1_query_next(&rest, &name, &value)) {
		check(rest.len < query.len);
		check(!name.len || !memchr(name.ptr, '=', name.len));
		check_decoding(name, true);
		check_decoding(value, true);
	}
}

#endif

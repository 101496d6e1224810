/*
 * hub_name.c: what a channel's name and a subscription's pattern may look like, and which names a
 * pattern means. Levels are what lies between slashes; '+' fills one level, '#' the last ones,
 * none included ("a/#" means "a" too), as in MQTT 5 section 4.7; there, too, a pattern that begins
 * with a wild card means no name that begins with '$' (4.7.2).
 */
#include <errno.h>

#include "hub.h"
#include "hub_priv.h"
#include "utf8.h"

bool
hub_level_next(struct span *rest, struct span *ret_level)
{
	if (!rest->ptr)
		return false;
	const char *slash = rest->len ? memchr(rest->ptr, '/', rest->len) : NULL;
	if (!slash) {
		*ret_level = *rest;
		*rest = (struct span){NULL, 0};
		return true;
	}
	*ret_level = span_of(rest->ptr, (size_t)(slash - rest->ptr));
	*rest = span_skip(*rest, ret_level->len + 1);
	return true;
}

bool
hub_pattern_is_id(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
	}
	return text.len > 0;
}

static const char *
level_fault(struct span level, bool wild_allowed, bool last)
{
	if (level.len == 0)
		return "a level of the channel's name is empty";
	bool plus = memchr(level.ptr, '+', level.len) != NULL;
	bool hash = memchr(level.ptr, '#', level.len) != NULL;
	if (!plus && !hash)
		return NULL;
	if (!wild_allowed)
		return "a channel's name has no + and no #";
	if (level.len != 1)
		return "+ and # fill a whole level";
	if (hash && !last)
		return "# is the last level of a pattern";
	return NULL;
}

static const char *
text_fault(struct span text, bool wild_allowed)
{
	if (text.len == 0)
		return "the channel's name is empty";
	if (text.len > HUB_NAME_BYTES_MAX)
		return "the channel's name has more than 255 bytes";
	if (!utf8_valid(text) || memchr(text.ptr, '\0', text.len))
		return "the channel's name is not UTF-8";
	if (!wild_allowed && hub_pattern_is_id(text))
		return "a channel's name is not all digits: those are ids";
	struct span level;
	while (hub_level_next(&text, &level)) {
		const char *fault = level_fault(level, wild_allowed, text.ptr == NULL);
		if (fault)
			return fault;
	}
	return NULL;
}

static int
verdict(const char *fault, const char **ret_reason)
{
	if (!fault)
		return 0;
	*ret_reason = fault;
	return -EINVAL;
}

int
hub_name_check(struct span name, const char **ret_reason)
{
	return verdict(text_fault(name, false), ret_reason);
}

int
hub_pattern_check(struct span pattern, const char **ret_reason)
{
	return verdict(text_fault(pattern, true), ret_reason);
}

bool
hub_pattern_is_name(struct span pattern)
{
	return pattern.len == 0 || (!memchr(pattern.ptr, '+', pattern.len)
	    && !memchr(pattern.ptr, '#', pattern.len));
}

bool
hub_name_is_hidden(struct span name)
{
	return name.len && name.ptr[0] == '$';
}

bool
hub_pattern_matches(struct span pattern, struct span name)
{
	struct span want, level;
	if (hub_name_is_hidden(name) && pattern.len && memchr("+#", pattern.ptr[0], 2))
		return false;
	while (hub_level_next(&pattern, &want)) {
		if (span_eq(want, SPAN("#")))
			return true;
		if (!hub_level_next(&name, &level))
			return false;
		if (!span_eq(want, SPAN("+")) && !span_eq(want, level))
			return false;
	}
	return name.ptr == NULL;
}

int
hub_level_encode(struct buf *out, struct span part)
{
	static const char digits[] = "0123456789ABCDEF";
	if (part.len == 0)
		return buf_append_byte(out, '-');
	int error = buf_reserve(out, part.len * 3);
	if (error)
		return error;
	char *to = out->ptr + out->len;
	for (size_t i = 0; i < part.len; i++) {
		unsigned char byte = (unsigned char)part.ptr[i];
		if (byte >= 0x20 && byte != 0x7f && !strchr("/+#%", byte)) {
			*to++ = (char)byte;
			continue;
		}
		*to++ = '%';
		*to++ = digits[byte >> 4];
		*to++ = digits[byte & 15];
	}
	out->len = (size_t)(to - out->ptr);
	return 0;
}

/*
 * access_pattern.c: the words of rights, and which channel patterns lie inside others. Access
 * keeps its own rules of containment because it may not know the hub; both follow MQTT 5.0, 4.7.1.
 */
#include <errno.h>
#include <string.h>

#include "access.h"
#include "access_priv.h"
#include "check.h"
#include "utf8.h"

static const struct {
	struct span word;
	uint32_t right;
} right_words[] = {
	{{"read", 4}, ACCESS_READ},
	{{"write", 5}, ACCESS_WRITE},
	{{"publish", 7}, ACCESS_PUBLISH},
	{{"subscribe", 9}, ACCESS_SUBSCRIBE},
};

static struct span
trim(struct span text)
{
	while (text.len && text.ptr[0] == ' ')
		text = span_skip(text, 1);
	while (text.len && text.ptr[text.len - 1] == ' ')
		text.len--;
	return text;
}

/* 0 when the word is none. */
static uint32_t
right_of(struct span word)
{
	for (size_t i = 0; i < ARRAY_COUNT(right_words); i++) {
		if (span_eq(word, right_words[i].word))
			return right_words[i].right;
	}
	return 0;
}

int
access_rights_parse(struct span text, uint32_t *ret_rights, struct span *ret_bad)
{
	uint32_t rights = 0;

	for (;;) {
		const char *comma = text.len ? memchr(text.ptr, ',', text.len) : NULL;
		size_t len = comma ? (size_t)(comma - text.ptr) : text.len;
		struct span word = trim(span_of(text.ptr, len));
		uint32_t right = right_of(word);

		if (right == 0) {
			*ret_bad = word;
			return -EINVAL;
		}
		rights |= right;
		if (comma == NULL)
			break;
		text = span_skip(text, len + 1);
	}
	*ret_rights = rights;
	return 0;
}

/* Takes the first level off; false when none is left. */
static bool
level_take(struct span *rest, struct span *ret_level)
{
	const char *slash;
	size_t len;

	if (rest->len == 0)
		return false;
	slash = memchr(rest->ptr, '/', rest->len);
	len = slash ? (size_t)(slash - rest->ptr) : rest->len;
	*ret_level = span_of(rest->ptr, len);
	*rest = span_skip(*rest, slash ? len + 1 : len);
	return true;
}

static bool
level_is(struct span level, char wild)
{
	return level.len == 1 && level.ptr[0] == wild;
}

bool
access_pattern_valid(struct span pattern)
{
	struct span level;

	if (pattern.len == 0 || pattern.len > ACCESS_PATTERN_BYTES_MAX ||
	    pattern.ptr[pattern.len - 1] == '/' || !utf8_valid(pattern))
		return false;
	while (level_take(&pattern, &level)) {
		bool wild = level.len && (memchr(level.ptr, '+', level.len) ||
		    memchr(level.ptr, '#', level.len));

		if (level.len == 0 || (wild && level.len > 1))
			return false;
		if (level_is(level, '#') && pattern.len > 0)
			return false;
	}
	return true;
}

bool
access_pattern_contains(struct span outer, struct span inner)
{
	for (bool first = true;; first = false) {
		struct span out, in;
		bool has_out = level_take(&outer, &out);
		bool has_in = level_take(&inner, &in);

		if (has_out && level_is(out, '#'))
			return true;
		if (!has_out || !has_in)
			return has_out == has_in;
		/* In the first place '#' has at least one level to match, so "+/#" is as wide;
		 * later on it may have none, and nothing but '#' matches that. */
		if (level_is(in, '#'))
			return first && level_is(out, '+') && span_eq(outer, SPAN("#"));
		if (!level_is(out, '+') && !span_eq(out, in))
			return false;
	}
}

/*
 * span.h: a view of bytes that somebody else owns.
 *
 * Passed by value. Not NUL-terminated. A span never owns: whoever returns one says how long it
 * stays valid. All functions are pure and may be called on any thread.
 */
#ifndef WEIR_SPAN_H
#define WEIR_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *ptr; /* may be NULL when len is 0 */
	size_t len;      /* bytes */
};

/* The span of a string literal, without its NUL. */
#define SPAN(literal) ((struct span){"" literal, sizeof(literal) - 1})

/* printf("%.*s", SPAN_ARG(s)) */
#define SPAN_ARG(s) (int)(s).len, (s).ptr

static inline struct span
span_of(const char *ptr, size_t len)
{
	return (struct span){ptr, len};
}

static inline struct span
span_str(const char *string)
{
	return (struct span){string, strlen(string)};
}

static inline bool
span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Equal but for the case of ASCII letters. */
static inline bool
span_eq_nocase(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool
span_starts(struct span s, struct span prefix)
{
	return s.len >= prefix.len &&
	    (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

/* What is left after the first `bytes`; bytes must not exceed s.len. */
static inline struct span
span_skip(struct span s, size_t bytes)
{
	return (struct span){s.ptr + bytes, s.len - bytes};
}

/* Copies to *at, which has room, and moves that behind the copy: for several texts in one block. */
static inline struct span
span_keep(char **at, struct span s)
{
	struct span copy = {*at, s.len};
	if (s.len)
		memcpy(*at, s.ptr, s.len);
	*at += s.len;
	return copy;
}

/* A string of its own, to be freed; NULL: memory is out. (strndup() may look for a zero byte behind
 * the span.) */
static inline char *
span_dup(struct span s)
{
	char *text = (char *)malloc(s.len + 1);
	if (!text)
		return NULL;
	if (s.len)
		memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	return text;
}

/* Bytewise order, a prefix before what it begins: <0, 0, >0. */
static inline int
span_cmp(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len ? memcmp(a.ptr, b.ptr, len) : 0;
	if (order)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}

#endif

/*
 * buf.c: growable bytes with a limit.
 *
 * Capacity doubles, so appending is amortised constant. Invariant: len <= cap, and len <= limit
 * when there is one. A failed operation changes `error` only.
 */
#include "buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "num.h"

enum { BUF_CAP_MIN = 64 };

static int
fail(struct buf *b, int error)
{
	if (b->error == 0)
		b->error = error;
	return error;
}

void
buf_init(struct buf *b, size_t limit)
{
	*b = (struct buf){.limit = limit};
}

void
buf_finish(struct buf *b)
{
	free(b->ptr);
	buf_init(b, b->limit);
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->error = 0;
}

int
buf_reserve(struct buf *b, size_t bytes)
{
	size_t need;
	if (num_add_overflows(b->len, bytes, &need))
		return fail(b, -EMSGSIZE);
	if (b->limit && need > b->limit)
		return fail(b, -EMSGSIZE);
	if (need <= b->cap)
		return 0;

	size_t cap = b->cap > SIZE_MAX / 2 ? need : b->cap * 2;
	cap = MAX(cap, need);
	cap = MAX(cap, (size_t)BUF_CAP_MIN);
	if (b->limit)
		cap = MIN(cap, b->limit);
	char *ptr = realloc(b->ptr, cap);
	if (!ptr)
		return fail(b, -ENOMEM);
	b->ptr = ptr;
	b->cap = cap;
	return 0;
}

int
buf_append(struct buf *b, const void *bytes, size_t len)
{
	if (len == 0)
		return 0;
	/* The limit need not be asked: what is allocated keeps to it. */
	int error = len <= b->cap - b->len ? 0 : buf_reserve(b, len);
	if (error)
		return error;
	memcpy(b->ptr + b->len, bytes, len);
	b->len += len;
	return 0;
}

int
buf_append_span(struct buf *b, struct span s)
{
	return buf_append(b, s.ptr, s.len);
}

int
buf_append_byte(struct buf *b, char byte)
{
	if (b->len == b->cap)
		return buf_append(b, &byte, 1);
	b->ptr[b->len++] = byte;
	return 0;
}

int
buf_append_str(struct buf *b, const char *string)
{
	return buf_append(b, string, strlen(string));
}

int
buf_append_u64(struct buf *b, uint64_t value)
{
	char text[NUM_TEXT_BYTES_MAX];
	return buf_append(b, text, num_format_u64(text, value));
}

int
buf_append_i64(struct buf *b, int64_t value)
{
	char text[NUM_TEXT_BYTES_MAX];
	return buf_append(b, text, num_format_i64(text, value));
}

int
buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int error = buf_vprintf(b, format, args);
	va_end(args);
	return error;
}

int
buf_vprintf(struct buf *b, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	/* vsnprintf wants room for a NUL, which the limit does not count: print apart, then copy.
	 */
	char small[256];
	char *text = small;
	int error = 0, len = vsnprintf(small, sizeof(small), format, args);
	check(len >= 0);
	if ((size_t)len >= sizeof(small)) {
		text = malloc((size_t)len + 1);
		error = text ? 0 : fail(b, -ENOMEM);
		if (text)
			vsnprintf(text, (size_t)len + 1, format, again);
	}
	if (!error)
		error = buf_append(b, text, (size_t)len);
	va_end(again);
	if (text != small)
		free(text);
	return error;
}

void
buf_consume(struct buf *b, size_t bytes)
{
	check(bytes <= b->len);
	if (bytes == 0)
		return;
	memmove(b->ptr, b->ptr + bytes, b->len - bytes);
	b->len -= bytes;
}

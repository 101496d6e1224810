/*
 * buf.h: a growable run of bytes with a limit.
 *
 * Owned by one thread at a time. An operation that fails leaves the contents as they were.
 * Every failure is sticky only in buf_ok(): writers of long documents may append without looking
 * at each result and ask once at the end.
 */
#ifndef WEIR_BUF_H
#define WEIR_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

struct buf {
	char *ptr;    /* NULL until something was appended */
	size_t len;   /* bytes in use */
	size_t cap;   /* bytes allocated */
	size_t limit; /* len never exceeds this; 0: no limit */
	int error;    /* first failure since init or clear: 0, -ENOMEM, -EMSGSIZE */
};

/* Allocates nothing. */
void buf_init(struct buf *b, size_t limit);

/* Frees; b is then as after buf_init with the same limit. */
void buf_finish(struct buf *b);

/* Forgets contents and error, keeps the memory. */
void buf_clear(struct buf *b);

/* Room for `bytes` more at b->ptr + b->len (the caller then adds to b->len itself).
 * 0, -ENOMEM, or -EMSGSIZE when the limit forbids it. */
int buf_reserve(struct buf *b, size_t bytes);

/* 0, -ENOMEM, -EMSGSIZE. */
int buf_append(struct buf *b, const void *bytes, size_t len);
int buf_append_span(struct buf *b, struct span s);
int buf_append_byte(struct buf *b, char byte);
int buf_append_str(struct buf *b, const char *string);
int buf_append_u64(struct buf *b, uint64_t value); /* decimal */
int buf_append_i64(struct buf *b, int64_t value);  /* decimal */
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Takes the first `bytes` away; what remains moves to the front. bytes <= b->len. */
void buf_consume(struct buf *b, size_t bytes);

/* Whether every operation since init or clear succeeded. */
static inline bool
buf_ok(const struct buf *b)
{
	return b->error == 0;
}

/* Valid until the next operation on b. */
static inline struct span
buf_span(const struct buf *b)
{
	return (struct span){b->ptr, b->len};
}

#endif

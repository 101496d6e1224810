/*
 * sse.h: server-sent events (WHATWG HTML, section 9.2) on the wire.
 */
#ifndef WEIR_SSE_H
#define WEIR_SSE_H

#include "buf.h"
#include "span.h"

/* Appends one event: "event: E\n" (when event.len), "id: I\n" (when id.len), the data, one
 * "data: " line per line of it (CR, LF and CRLF all end a line), and the empty line.
 * 0, -ENOMEM, -EINVAL (a line end or NUL in event or id). */
int sse_write_event(struct buf *out, struct span event, struct span id, struct span data);

/* ": text\n\n". 0, -ENOMEM, -EINVAL (a line end or NUL in text). */
int sse_write_comment(struct buf *out, struct span text);

#endif

/*
 * sse.c: server-sent events as text. A call that fails leaves the buffer as it was.
 */
#include "sse.h"

#include <errno.h>
#include <stdbool.h>

static bool
is_one_line(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\n' || text.ptr[i] == '\r' || text.ptr[i] == '\0')
			return false;
	}
	return true;
}

static int
write_line(struct buf *out, struct span prefix, struct span text)
{
	int error = buf_reserve(out, prefix.len + text.len + 1);
	if (error)
		return error;
	buf_append_span(out, prefix);
	buf_append_span(out, text);
	return buf_append_byte(out, '\n');
}

/* Takes the first line off *text, and its end. false when that was the last. */
static bool
next_line(struct span *text, struct span *ret_line)
{
	size_t i = 0;
	while (i < text->len && text->ptr[i] != '\n' && text->ptr[i] != '\r')
		i++;
	*ret_line = span_of(text->ptr, i);
	if (i == text->len)
		return false;
	bool pair = text->ptr[i] == '\r' && i + 1 < text->len && text->ptr[i + 1] == '\n';
	*text = span_skip(*text, i + (pair ? 2 : 1));
	return true;
}

int
sse_write_event(struct buf *out, struct span event, struct span id, struct span data)
{
	size_t len_before = out->len;
	struct span line;
	bool more;
	int error = 0;
	if (!is_one_line(event) || !is_one_line(id))
		return -EINVAL;
	if (event.len)
		error = write_line(out, SPAN("event: "), event);
	if (!error && id.len)
		error = write_line(out, SPAN("id: "), id);
	do {
		more = next_line(&data, &line);
		if (!error)
			error = write_line(out, SPAN("data: "), line);
	} while (more && !error);
	if (!error)
		error = buf_append_byte(out, '\n');
	if (error)
		out->len = len_before;
	return error;
}

int
sse_write_comment(struct buf *out, struct span text)
{
	size_t len_before = out->len;
	if (!is_one_line(text))
		return -EINVAL;
	int error = write_line(out, SPAN(": "), text);
	if (!error)
		error = buf_append_byte(out, '\n');
	if (error)
		out->len = len_before;
	return error;
}

/*
 * http1_chunked.c: bodies in chunks (RFC 9112 section 7.1), byte by byte but for the data.
 *
 *   1*HEX [ ; extension ] CRLF data CRLF … 1*"0" [ ; extension ] CRLF *( name: value CRLF ) CRLF
 *
 * Extensions and trailers are read over. Whatever two readers could take differently is refused:
 * blanks around the size, bare CR or LF, folded trailers. A refusal is for ever.
 */
#include <errno.h>

#include "check.h"
#include "http1.h"

enum {
	LINE_BYTES_MAX = UINT8_MAX,
	SIZE_DIGITS_MAX = 16,
	TRAILER_BYTES_MAX = 8192,
};

enum state {
	SIZE_FIRST, /* the first digit of a size */
	SIZE,
	EXTENSION,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_FIRST, /* a trailer's first byte, or the last line */
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	LAST_LF,
	OVER,
	REFUSED, /* from here on: refusals, in the order of `reasons` */
	BAD_SIZE = REFUSED,
	LONG_SIZE,
	BAD_EXTENSION,
	LONG_LINE,
	BAD_LINE_END,
	BAD_DATA_END,
	BAD_TRAILER,
	LONG_TRAILER,
	STATES,
};

static const char *const reasons[STATES - REFUSED] = {
    [BAD_SIZE - REFUSED] = "chunked body: a chunk's size holds something that is no hex digit",
    [LONG_SIZE - REFUSED] = "chunked body: a chunk's size has more than 16 digits",
    [BAD_EXTENSION - REFUSED] = "chunked body: a bad character in a chunk's extension",
    [LONG_LINE - REFUSED] = "chunked body: a chunk's size line is longer than 255 bytes",
    [BAD_LINE_END - REFUSED] = "chunked body: CR without LF",
    [BAD_DATA_END - REFUSED] = "chunked body: no CRLF where the chunk's size says that it ends",
    [BAD_TRAILER - REFUSED] = "chunked body: a trailer line is folded or has a bad character",
    [LONG_TRAILER - REFUSED] = "chunked body: the trailers are longer than 8 KiB",
};

void
http1_chunked_init(struct http1_chunked *chunked)
{
	*chunked = (struct http1_chunked){.state = SIZE_FIRST};
}

const char *
http1_chunked_reason(const struct http1_chunked *chunked)
{
	return chunked->state >= REFUSED ? reasons[chunked->state - REFUSED] : NULL;
}

static int
hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
is_text(uint8_t c)
{
	return c == '\t' || (c >= 0x20 && c < 0x7f);
}

/* A byte of a size's digits: the next state. */
static enum state
take_size(struct http1_chunked *chunked, uint8_t c)
{
	int digit = hex_value(c);
	if (digit >= 0) {
		if (chunked->line_bytes == SIZE_DIGITS_MAX)
			return LONG_SIZE;
		chunked->line_bytes++;
		chunked->left = chunked->left << 4 | (unsigned)digit;
		return SIZE;
	}
	if (chunked->state == SIZE_FIRST)
		return BAD_SIZE;
	if (c == ';') {
		chunked->line_bytes++;
		return EXTENSION;
	}
	return c == '\r' ? SIZE_LF : BAD_SIZE;
}

static enum state
take_extension(struct http1_chunked *chunked, uint8_t c)
{
	if (c == '\r')
		return SIZE_LF;
	if (!is_text(c))
		return BAD_EXTENSION;
	if (chunked->line_bytes == LINE_BYTES_MAX)
		return LONG_LINE;
	chunked->line_bytes++;
	return EXTENSION;
}

static enum state
take_trailer(struct http1_chunked *chunked, uint8_t c)
{
	if (chunked->trailer_bytes == TRAILER_BYTES_MAX)
		return LONG_TRAILER;
	chunked->trailer_bytes++;
	if (c == '\r') {
		if (chunked->state == TRAILER_FIRST)
			return LAST_LF;
		return chunked->state == TRAILER_VALUE ? TRAILER_LF : BAD_TRAILER;
	}
	if (chunked->state == TRAILER_VALUE)
		return is_text(c) || c >= 0x80 ? TRAILER_VALUE : BAD_TRAILER;
	if (c == ':' && chunked->state == TRAILER_NAME)
		return TRAILER_VALUE;
	return http1_is_token_char((char)c) ? TRAILER_NAME : BAD_TRAILER;
}

/* A byte that is not data: the next state. */
static enum state
take_byte(struct http1_chunked *chunked, uint8_t c)
{
	check(chunked->state != DATA && chunked->state < OVER);
	switch ((enum state)chunked->state) {
	case SIZE_FIRST:
	case SIZE:
		return take_size(chunked, c);
	case EXTENSION:
		return take_extension(chunked, c);
	case SIZE_LF:
		chunked->line_bytes = 0;
		if (c != '\n')
			return BAD_LINE_END;
		return chunked->left > 0 ? DATA : TRAILER_FIRST;
	case DATA_CR:
		return c == '\r' ? DATA_LF : BAD_DATA_END;
	case DATA_LF:
		return c == '\n' ? SIZE_FIRST : BAD_DATA_END;
	case TRAILER_FIRST:
	case TRAILER_NAME:
	case TRAILER_VALUE:
		return take_trailer(chunked, c);
	case TRAILER_LF:
		return c == '\n' ? TRAILER_FIRST : BAD_LINE_END;
	case LAST_LF:
		return c == '\n' ? OVER : BAD_LINE_END;
	default:
		return BAD_SIZE;
	}
}

ssize_t
http1_chunked_feed(struct http1_chunked *chunked, struct span in, struct span *ret_data,
    bool *ret_end)
{
	size_t i = 0;
	*ret_data = span_of(in.ptr, 0);
	while (i < in.len && chunked->state < OVER && chunked->state != DATA)
		chunked->state = (uint8_t)take_byte(chunked, (uint8_t)in.ptr[i++]);
	if (chunked->state >= REFUSED)
		return -EBADMSG;
	if (i < in.len && chunked->state == DATA) {
		size_t len = MIN(in.len - i, chunked->left);
		*ret_data = span_of(in.ptr + i, len);
		i += len;
		chunked->left -= len;
		if (chunked->left == 0)
			chunked->state = DATA_CR;
	}
	*ret_end = chunked->state == OVER;
	return (ssize_t)i;
}

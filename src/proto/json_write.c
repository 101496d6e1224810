/*
 * json_write.c: strings and numbers of JSON. What fails leaves the buffer as it was.
 */
#include <errno.h>
#include <math.h>

#include "json.h"
#include "num.h"
#include "scan.h"
#include "utf8.h"

/* The length of the character at the beginning of `text` (not empty) and whether it is one. For
 * bad bytes: of as many as one U+FFFD stands for (Unicode 15, section 3.9, "maximal subpart"). */
static size_t
character_len(struct span text, bool *ret_good)
{
	uint32_t state = UTF8_START;
	size_t len = 0;
	do
		state = utf8_continue(state, span_of(text.ptr + len++, 1));
	while (state != UTF8_START && state != UTF8_REJECT && len < text.len);
	*ret_good = state == UTF8_START;
	return state == UTF8_REJECT && len > 1 ? len - 1 : len;
}

static int
write_escape(struct buf *out, char c)
{
	static const char letters[] = "bfnrt\"\\", meanings[] = "\b\f\n\r\t\"\\";
	static const char digits[] = "0123456789abcdef";
	const char *meaning = memchr(meanings, c, sizeof(meanings) - 1);
	char text[6] = {'\\', 'u', '0', '0', digits[c >> 4 & 1], digits[c & 15]};
	if (meaning)
		text[1] = letters[meaning - meanings];
	return buf_append(out, text, meaning ? 2 : sizeof(text));
}

/* Writes the character at the beginning of *text, which is not plain, and takes it off. */
static int
write_odd(struct buf *out, struct span *text)
{
	bool good = true;
	size_t len = 1;
	int error;
	if ((uint8_t)text->ptr[0] < 0x80) {
		error = write_escape(out, text->ptr[0]);
	} else {
		len = character_len(*text, &good);
		error = good ? buf_append(out, text->ptr, len) : buf_append(out, "\xef\xbf\xbd", 3);
	}
	*text = span_skip(*text, len);
	return error;
}

int
json_write_string(struct buf *out, struct span text)
{
	size_t len_before = out->len;
	int error = buf_reserve(out, text.len + 2);
	if (!error)
		error = buf_append_byte(out, '"');
	while (text.len > 0 && !error) {
		const char *odd = scan_json_string(text.ptr, text.ptr + text.len);
		size_t plain = (size_t)(odd - text.ptr);
		error = buf_append(out, text.ptr, plain);
		text = span_skip(text, plain);
		if (text.len > 0 && !error)
			error = write_odd(out, &text);
	}
	if (!error)
		error = buf_append_byte(out, '"');
	if (error)
		out->len = len_before;
	return error;
}

int
json_write_double(struct buf *out, double value)
{
	char text[NUM_TEXT_BYTES_MAX + 2];
	size_t len = num_format_double(text + 1, value);
	if (isfinite(value))
		return buf_append(out, text + 1, len);
	text[0] = text[1 + len] = '"';
	return buf_append(out, text, len + 2);
}

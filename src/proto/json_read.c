/*
 * json_read.c: JSON (RFC 8259) pulled token by token.
 *
 * `state` says what may come next; `kinds` is a stack of bits, the innermost container's lowest.
 * pos stands behind the last token, after an error at the byte that is wrong. A scalar at the top
 * must be followed by a blank or the end, so that NDJSON readers do not take "01" for two values.
 */
#include "check.h"
#include "json.h"
#include "scan.h"
#include "utf8.h"

enum state {
	TOP,         /* the document's value */
	FIRST_VALUE, /* after '[' */
	FIRST_KEY,   /* after '{' */
	COLON,       /* after a key */
	AFTER,       /* after a value in a container: ',' or its end */
	OVER,        /* after the document's value */
	TRAILING,    /* something follows it: an error, but json_more() is true */
	FAILED,
};

#define REASON_CUT "the document ends in the middle"

void
json_reader_init(struct json_reader *reader, struct span document, bool stars)
{
	*reader = (struct json_reader){.begin = document.ptr, .pos = document.ptr,
	    .end = document.len ? document.ptr + document.len : document.ptr,
	    .stars = stars, .state = TOP};
}

static inline bool
is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

static enum json_token
fail(struct json_reader *reader, const char *p, const char *reason)
{
	reader->pos = p;
	reader->reason = p == reader->end ? REASON_CUT : reason;
	reader->state = FAILED;
	return JSON_ERROR;
}

static inline enum json_token
finish(struct json_reader *reader, const char *p, enum json_token token)
{
	reader->pos = p;
	reader->state = reader->depth ? AFTER : OVER;
	return token;
}

static inline bool
in_object(const struct json_reader *reader)
{
	return reader->kinds & 1;
}

static enum json_token
open_container(struct json_reader *reader, const char *p, bool object)
{
	if (reader->depth == JSON_DEPTH_MAX)
		return fail(reader, p, "nested deeper than 64 levels");
	reader->depth++;
	reader->kinds = reader->kinds << 1 | object;
	reader->state = object ? FIRST_KEY : FIRST_VALUE;
	reader->pos = p + 1;
	return object ? JSON_OBJECT : JSON_ARRAY;
}

static inline enum json_token
close_container(struct json_reader *reader, const char *p)
{
	bool object = in_object(reader);
	reader->depth--;
	reader->kinds >>= 1;
	return finish(reader, p + 1, object ? JSON_OBJECT_END : JSON_ARRAY_END);
}

/* ── strings ── */

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at p, or -1. */
static int32_t
read_hex4(const char *p, const char *end)
{
	int32_t unit = 0;
	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int value = hex_value(p[i]);
		if (value < 0)
			return -1;
		unit = unit << 4 | value;
	}
	return unit;
}

static bool
is_high_surrogate(int32_t unit)
{
	return unit >= 0xd800 && unit < 0xdc00;
}

static bool
is_low_surrogate(int32_t unit)
{
	return unit >= 0xdc00 && unit < 0xe000;
}

/* The character that the escape at p (behind "\u") and perhaps the next one stand for; -1: none.
 * *ret_len: what follows "\u". */
static int32_t
read_unicode_escape(const char *p, const char *end, size_t *ret_len)
{
	int32_t high = read_hex4(p, end);
	*ret_len = 4;
	if (high < 0 || is_low_surrogate(high))
		return -1;
	if (!is_high_surrogate(high))
		return high;
	if (end - p < 10 || p[4] != '\\' || p[5] != 'u')
		return -1;
	int32_t low = read_hex4(p + 6, end);
	if (!is_low_surrogate(low))
		return -1;
	*ret_len = 10;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* Passes the escape at p, a backslash. NULL: it is none. */
static const char *
pass_escape(const char *p, const char *end)
{
	if (end - p < 2)
		return NULL;
	if (p[1] == 'u') {
		size_t len;
		return read_unicode_escape(p + 2, end, &len) < 0 ? NULL : p + 2 + len;
	}
	return p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) ? p + 2 : NULL;
}

/* Passes a run of bytes over 0x7f at p. NULL: it is no UTF-8. */
static const char *
pass_utf8(const char *p, const char *end)
{
	const char *begin = p;
	while (p < end && (uint8_t)*p >= 0x80)
		p++;
	return utf8_valid(span_of(begin, (size_t)(p - begin))) ? p : NULL;
}

/* The rest of a string from p, where something is that is neither plain nor its end. */
static enum json_token
take_odd_string(struct json_reader *reader, const char *begin, const char *p,
    enum json_token token)
{
	const char *end = reader->end, *next;
	while (p < end && *p != '"') {
		if ((uint8_t)*p < 0x20)
			return fail(reader, p, "a control character in a string, not escaped");
		if (*p == '\\') {
			next = pass_escape(p, end);
			if (!next)
				return fail(reader, p, "a bad escape in a string");
			reader->escaped = true;
		} else {
			next = pass_utf8(p, end);
			if (!next)
				return fail(reader, p, "a string that is not UTF-8");
		}
		p = scan_json_string(next, end);
	}
	if (p == end)
		return fail(reader, p, REASON_CUT);
	reader->text = span_of(begin, (size_t)(p - begin));
	finish(reader, p + 1, token);
	if (token == JSON_KEY)
		reader->state = COLON;
	return token;
}

static inline enum json_token
take_string(struct json_reader *reader, const char *begin, enum json_token token)
{
	const char *p = scan_json_string(begin, reader->end);
	reader->escaped = false;
	if (p == reader->end || *p != '"')
		return take_odd_string(reader, begin, p, token);
	reader->text = span_of(begin, (size_t)(p - begin));
	reader->pos = p + 1;
	reader->state = token == JSON_KEY ? COLON : reader->depth ? AFTER : OVER;
	return token;
}

/* ── other scalars ── */

/* What may follow a scalar that has no end mark of its own. */
static inline bool
ends_scalar(const char *p, const char *end)
{
	return p == end || is_blank(*p) || *p == ',' || *p == ']' || *p == '}';
}

static inline const char *
skip_digits(const char *p, const char *end)
{
	while (p < end && scan_is_digit(*p))
		p++;
	return p;
}

static enum json_token
take_number(struct json_reader *reader, const char *begin)
{
	const char *p = begin, *end = reader->end, *digits;
	p += *p == '-';
	digits = p;
	p = skip_digits(p, end);
	if (p == digits)
		return fail(reader, p, "a number without digits");
	if (*digits == '0' && p - digits > 1)
		return fail(reader, digits, "a number with a leading zero");
	if (p < end && *p == '.') {
		digits = p + 1;
		p = skip_digits(digits, end);
		if (p == digits)
			return fail(reader, p, "a number without digits after the point");
	}
	if (p < end && (*p | 0x20) == 'e') {
		p++;
		p += p < end && (*p == '+' || *p == '-');
		digits = p;
		p = skip_digits(digits, end);
		if (p == digits)
			return fail(reader, p, "a number without digits in its exponent");
	}
	if (!ends_scalar(p, end))
		return fail(reader, p, "a bad character in a number");
	reader->text = span_of(begin, (size_t)(p - begin));
	return finish(reader, p, JSON_NUMBER);
}

static enum json_token
take_word(struct json_reader *reader, const char *p, struct span word, enum json_token token)
{
	for (size_t i = 0; i < word.len; i++, p++) {
		if (p == reader->end || *p != word.ptr[i])
			return fail(reader, p, "a word other than true, false and null");
	}
	if (!ends_scalar(p, reader->end))
		return fail(reader, p, "a word other than true, false and null");
	return finish(reader, p, token);
}

static enum json_token
take_stars(struct json_reader *reader, const char *begin)
{
	const char *p = begin;
	while (p < reader->end && *p == '*')
		p++;
	if (!ends_scalar(p, reader->end))
		return fail(reader, p, "a bad character after '*'");
	reader->text = span_of(begin, (size_t)(p - begin));
	return finish(reader, p, JSON_STARS);
}

static inline enum json_token
take_value(struct json_reader *reader, const char *p)
{
	if (p == reader->end)
		return fail(reader, p, REASON_CUT);
	if (scan_is_digit(*p) || *p == '-')
		return take_number(reader, p);
	switch (*p) {
	case '"':
		return take_string(reader, p + 1, JSON_STRING);
	case '{':
		return open_container(reader, p, true);
	case '[':
		return open_container(reader, p, false);
	case 't':
		return take_word(reader, p, SPAN("true"), JSON_TRUE);
	case 'f':
		return take_word(reader, p, SPAN("false"), JSON_FALSE);
	case 'n':
		return take_word(reader, p, SPAN("null"), JSON_NULL);
	case '*':
		if (reader->stars)
			return take_stars(reader, p);
	}
	return fail(reader, p, "no value where one must stand");
}

static inline enum json_token
take_key(struct json_reader *reader, const char *p)
{
	if (p == reader->end || *p != '"')
		return fail(reader, p, "no member name in quotes where one must stand");
	return take_string(reader, p + 1, JSON_KEY);
}

static enum json_token
take_over(struct json_reader *reader, const char *p)
{
	reader->pos = p;
	if (p == reader->end)
		return JSON_END;
	reader->reason = "something follows the end of the document";
	reader->state = TRAILING;
	return JSON_ERROR;
}

enum json_token
json_next(struct json_reader *reader)
{
	const char *end = reader->end;
	const char *p = skip_blanks(reader->pos, end);
	char c = p < end ? *p : '\0';
	switch ((enum state)reader->state) {
	case AFTER:
		if (c == ',') {
			p = skip_blanks(p + 1, end);
			return in_object(reader) ? take_key(reader, p) : take_value(reader, p);
		}
		if (c == (in_object(reader) ? '}' : ']'))
			return close_container(reader, p);
		return fail(reader, p,
		    in_object(reader) ? "neither ',' nor '}' after a member" :
		    "neither ',' nor ']' after an element");
	case COLON:
		if (c != ':')
			return fail(reader, p, "no ':' after a member's name");
		return take_value(reader, skip_blanks(p + 1, end));
	case FIRST_KEY:
		return c == '}' ? close_container(reader, p) : take_key(reader, p);
	case FIRST_VALUE:
		return c == ']' ? close_container(reader, p) : take_value(reader, p);
	case TOP:
		if (p < end)
			return take_value(reader, p);
		fail(reader, p, REASON_CUT);
		reader->reason = "the document is empty";
		return JSON_ERROR;
	case OVER:
		return take_over(reader, p);
	case TRAILING:
	case FAILED:
		break;
	}
	return JSON_ERROR;
}

enum json_token
json_skip(struct json_reader *reader, enum json_token first)
{
	if (first != JSON_OBJECT && first != JSON_ARRAY)
		return first;
	enum json_token token;
	unsigned depth = reader->depth;
	do
		token = json_next(reader);
	while (reader->depth >= depth && token != JSON_ERROR);
	return token;
}

bool
json_more(const struct json_reader *reader)
{
	if (reader->state != OVER && reader->state != TRAILING)
		return false;
	return skip_blanks(reader->pos, reader->end) < reader->end;
}

/* ── texts ── */

static size_t
encode_utf8(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Takes the escape off *text, which begins with one. The bytes written, at most 4. */
static size_t
take_escape(struct span *text, char *out)
{
	static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
	check(text->len >= 2);
	char c = text->ptr[1];
	size_t len = 0;
	if (c == 'u') {
		const char *end = text->ptr + text->len;
		int32_t character = read_unicode_escape(text->ptr + 2, end, &len);
		check(character >= 0);
		*text = span_skip(*text, 2 + len);
		return encode_utf8((uint32_t)character, out);
	}
	const char *letter = memchr(letters, c, sizeof(letters) - 1);
	out[0] = letter ? meanings[letter - letters] : c;
	*text = span_skip(*text, 2);
	return 1;
}

/* Takes the bytes before the next escape off *text. */
static struct span
take_plain(struct span *text)
{
	const char *escape = text->len ? memchr(text->ptr, '\\', text->len) : NULL;
	struct span plain = span_of(text->ptr, escape ? (size_t)(escape - text->ptr) : text->len);
	*text = span_skip(*text, plain.len);
	return plain;
}

size_t
json_string_decode(struct span text, char *out)
{
	size_t len = 0;
	while (text.len > 0) {
		struct span plain = take_plain(&text);
		memmove(out + len, plain.ptr, plain.len);
		len += plain.len;
		if (text.len > 0)
			len += take_escape(&text, out + len);
	}
	return len;
}

bool
json_text_eq_escaped(const struct json_reader *reader, struct span plain)
{
	struct span text = reader->text;
	while (text.len > 0) {
		char character[4];
		struct span piece = take_plain(&text);
		if (piece.len == 0)
			piece = span_of(character, take_escape(&text, character));
		if (!span_starts(plain, piece))
			return false;
		plain = span_skip(plain, piece.len);
	}
	return plain.len == 0;
}

void
json_position(const struct json_reader *reader, size_t *ret_line, size_t *ret_column)
{
	const char *line = reader->begin;
	size_t number = 1;
	for (const char *p = reader->begin; p < reader->pos; p++) {
		if (*p == '\n') {
			number++;
			line = p + 1;
		}
	}
	*ret_line = number;
	*ret_column = (size_t)(reader->pos - line) + 1;
}

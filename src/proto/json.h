/*
 * json.h: JSON (RFC 8259) read by pulling tokens, written by appending. Strict, depth-limited.
 *
 * The reader allocates nothing and keeps nothing: a token's span lies in the input. UTF-8 and
 * escapes are checked as they pass. One exception to the grammar, for bodies that come out of the
 * journal: with `stars` a run of '*' stands for a value (an overwritten credential).
 */
#ifndef WEIR_JSON_H
#define WEIR_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "span.h"

#define JSON_DEPTH_MAX 64

enum json_token {
	JSON_END,            /* the document is over; only blanks follow */
	JSON_OBJECT, JSON_OBJECT_END, JSON_ARRAY, JSON_ARRAY_END,
	JSON_KEY,            /* a member's name; text without quotes, escapes not undone */
	JSON_STRING,         /* likewise */
	JSON_NUMBER, JSON_TRUE, JSON_FALSE, JSON_NULL,
	JSON_STARS,
	JSON_ERROR,          /* see reason and pos; comes again for ever */
};

struct json_reader {
	const char *begin, *pos, *end;
	const char *reason;        /* after JSON_ERROR */
	struct span text;          /* of KEY, STRING, NUMBER, STARS */
	bool escaped;              /* the string has escapes: use json_string_decode */
	bool stars;
	uint8_t depth, state;
	uint64_t kinds;            /* a bit a level: array or object */
};

void json_reader_init(struct json_reader *reader, struct span document, bool stars);
enum json_token json_next(struct json_reader *reader);

/* After the first token of a value (OBJECT or ARRAY): skips to its end. Its last token or
 * JSON_ERROR. Nothing to do for scalars. */
enum json_token json_skip(struct json_reader *reader, enum json_token first);

/* After JSON_END of one document, whether something that is not blank follows. (json_next gives
 * JSON_ERROR there; NDJSON readers restart at reader->pos.) */
bool json_more(const struct json_reader *reader);

/* Undoes escapes into `out` (at least text.len bytes). The length. The text was checked. */
size_t json_string_decode(struct span text, char *out);

/* Whether a KEY or STRING token, decoded, equals `plain`. */
bool json_text_eq_escaped(const struct json_reader *reader, struct span plain);
static inline bool
json_text_eq(const struct json_reader *reader, struct span plain)
{
	return reader->escaped ? json_text_eq_escaped(reader, plain) :
				 span_eq(reader->text, plain);
}

/* Line and column (both from 1) of reader->pos, for messages. */
void json_position(const struct json_reader *reader, size_t *ret_line, size_t *ret_column);

/* ── writing: the caller places commas and braces; all return 0 or -ENOMEM, -EMSGSIZE ── */
int json_write_string(struct buf *out, struct span text);  /* with quotes; bad UTF-8 as U+FFFD */
int json_write_double(struct buf *out, double value);      /* "NaN" etc. as strings */

#endif

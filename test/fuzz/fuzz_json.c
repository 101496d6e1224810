/*
 * fuzz_json.c: documents one after the other. Holds: what was read and is written anew reads the
 * same, skipping ends where reading does, errors are for ever and point into the document; json-c,
 * as strict as it can be, takes what we take, and finds in it what it finds in what we wrote anew.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "json.h"
#include "num.h"
#include "utf8.h"

static void
write_text(struct buf *out, const struct json_reader *reader)
{
	char *plain = malloc(reader->text.len + 1);
	check(plain);
	size_t len = json_string_decode(reader->text, plain);
	check(len <= reader->text.len && utf8_valid(span_of(plain, len)));
	check(json_text_eq(reader, span_of(plain, len)));
	check(!json_write_string(out, span_of(plain, len)));
	free(plain);
}

static void
check_number(struct span text)
{
	char copy[NUM_TEXT_BYTES_MAX];
	double value, again;
	if (num_parse_double(text, &value))
		return;
	size_t len = num_format_double(copy, value);
	check(!num_parse_double(span_of(copy, len), &again));
	check(memcmp(&value, &again, sizeof(value)) == 0);
}

/* Writes a token; `comma`: something stands before it. */
static void
write_token(struct buf *out, const struct json_reader *reader, enum json_token token, bool comma)
{
	static const char *const words[] = {[JSON_OBJECT] = "{", [JSON_OBJECT_END] = "}",
	    [JSON_ARRAY] = "[", [JSON_ARRAY_END] = "]", [JSON_TRUE] = "true",
	    [JSON_FALSE] = "false", [JSON_NULL] = "null"};
	if (comma && token != JSON_OBJECT_END && token != JSON_ARRAY_END)
		buf_append_byte(out, ',');
	if (token == JSON_KEY || token == JSON_STRING) {
		write_text(out, reader);
		if (token == JSON_KEY)
			buf_append_byte(out, ':');
	} else if (token == JSON_NUMBER || token == JSON_STARS) {
		buf_append_span(out, reader->text);
		if (token == JSON_NUMBER)
			check_number(reader->text);
	} else {
		buf_append_str(out, words[token]);
	}
}

/* The document written anew; its last token is JSON_END or JSON_ERROR. */
static enum json_token
rewrite(struct json_reader *reader, struct buf *out)
{
	enum json_token token;
	bool comma = false;
	while ((token = json_next(reader)) != JSON_END && token != JSON_ERROR) {
		check(reader->pos <= reader->end && reader->depth <= JSON_DEPTH_MAX);
		write_token(out, reader, token, comma);
		comma = token != JSON_KEY && token != JSON_OBJECT && token != JSON_ARRAY;
	}
	check(buf_ok(out));
	return token;
}

/* What json-c makes of it; NULL also for null, and *ret_good tells. */
static struct json_object *
oracle_parse(struct span document, bool *ret_good)
{
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX + 2);
	check(tokener);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *object = json_tokener_parse_ex(tokener, document.ptr,
	    (int)document.len);
	/* A number goes on until something else comes. */
	if (json_tokener_get_error(tokener) == json_tokener_continue)
		object = json_tokener_parse_ex(tokener, " ", 1);
	*ret_good = json_tokener_get_error(tokener) == json_tokener_success;
	json_tokener_free(tokener);
	return object;
}

static void
check_oracle(struct span document, struct span rewritten)
{
	bool good, again;
	struct json_object *object = oracle_parse(document, &good);
	struct json_object *other = oracle_parse(rewritten, &again);
	check(good && again && json_object_equal(object, other));
	json_object_put(object);
	json_object_put(other);
}

/* Where the next document begins, or NULL. */
static const char *
check_document(struct span document, bool stars)
{
	struct json_reader reader, again, skipper;
	struct buf first, second;
	buf_init(&first, 0);
	buf_init(&second, 0);
	json_reader_init(&reader, document, stars);
	enum json_token last = rewrite(&reader, &first);
	const char *next = json_more(&reader) ? reader.pos : NULL;
	if (last == JSON_ERROR) {
		size_t line, column;
		check(reader.reason && json_next(&reader) == JSON_ERROR);
		json_position(&reader, &line, &column);
		check(line >= 1 && column >= 1 && column <= document.len + 1);
	}
	if (last == JSON_END && !stars)
		check_oracle(document, buf_span(&first));
	if (last == JSON_END || next) {
		json_reader_init(&again, buf_span(&first), stars);
		check(rewrite(&again, &second) == JSON_END);
		check(span_eq(buf_span(&first), buf_span(&second)));
		json_reader_init(&skipper, document, stars);
		check(json_skip(&skipper, json_next(&skipper)) != JSON_ERROR);
		check(skipper.depth == 0 && json_more(&skipper) == (next != NULL));
	}
	buf_finish(&first);
	buf_finish(&second);
	return next;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *begin = (const char *)bytes, *end = begin + size;
	for (int stars = 0; stars < 2; stars++) {
		const char *at = begin;
		do {
			const char *next = check_document(span_of(at, (size_t)(end - at)), stars);
			check(!next || next > at);
			at = next;
		} while (at);
	}
	return 0;
}

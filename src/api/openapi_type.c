/*
 * openapi_type.c: reads the notation of types by recursive descent and writes JSON Schema as it
 * goes. The input is the program's own tables; their nesting is as deep as their authors wrote it.
 */
#include "openapi_type.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "check.h"
#include "json.h"
#include "openapi_priv.h"

static bool type_read(const char **at, struct buf *out);

static void
skip_blanks(const char **at)
{
	while (**at == ' ')
		(*at)++;
}

/* Takes `c` and the blanks around it. */
static bool
take(const char **at, char c)
{
	skip_blanks(at);
	if (**at != c)
		return false;
	(*at)++;
	skip_blanks(at);
	return true;
}

static struct span
take_word(const char **at)
{
	const char *begin = *at;
	while (isalnum((unsigned char)**at) || **at == '_' || **at == '-')
		(*at)++;
	return span_of(begin, (size_t)(*at - begin));
}

static bool
word_read(const char **at, struct buf *out)
{
	static const char *const plain[] = {"string", "integer", "number", "boolean", "null"};
	struct span word = take_word(at);
	if (span_eq(word, SPAN("any"))) {
		buf_append_str(out, "{}");
		return true;
	}
	for (size_t i = 0; i < ARRAY_COUNT(plain); i++) {
		if (!span_eq(word, span_str(plain[i])))
			continue;
		buf_printf(out, "{\"type\":\"%s\"}", plain[i]);
		return true;
	}
	for (size_t i = 0; openapi_schemas[i].name; i++) {
		if (!span_eq(word, span_str(openapi_schemas[i].name)))
			continue;
		buf_printf(out, "{\"$ref\":\"#/components/schemas/%.*s\"}", SPAN_ARG(word));
		return true;
	}
	return false;
}

static bool
text_read(const char **at, struct buf *out)
{
	const char *end = strchr(*at + 1, '\'');
	if (!end)
		return false;
	buf_append_str(out, "{\"const\":");
	json_write_string(out, span_of(*at + 1, (size_t)(end - *at - 1)));
	buf_append_byte(out, '}');
	*at = end + 1;
	return true;
}

/* One member behind '{' or ','; the names of those that must be there go to `needed`. */
static bool
member_read(const char **at, struct buf *out, struct buf *needed, struct buf *rest)
{
	if (take(at, '*'))
		return take(at, ':') && rest->len == 0 && type_read(at, rest);
	struct span name = take_word(at);
	if (name.len == 0)
		return false;
	openapi_comma(out);
	json_write_string(out, name);
	buf_append_byte(out, ':');
	if (!take(at, '?')) {
		openapi_comma(needed);
		json_write_string(needed, name);
	}
	return take(at, ':') && type_read(at, out);
}

static bool
object_read(const char **at, struct buf *out)
{
	struct buf needed, rest;
	bool good;
	take(at, '{');
	buf_init(&needed, 0);
	buf_init(&rest, 0);
	buf_append_byte(&needed, '[');
	buf_append_str(out, "{\"type\":\"object\",\"properties\":{");
	do
		good = member_read(at, out, &needed, &rest);
	while (good && take(at, ','));
	buf_append_byte(out, '}');
	if (rest.len) {
		buf_append_str(out, ",\"additionalProperties\":");
		buf_append_span(out, buf_span(&rest));
	}
	if (needed.len > 1) {
		buf_append_str(out, ",\"required\":");
		buf_append_span(out, buf_span(&needed));
		buf_append_byte(out, ']');
	}
	buf_append_byte(out, '}');
	if (!buf_ok(&needed) || !buf_ok(&rest))
		out->error = -ENOMEM;
	buf_finish(&needed);
	buf_finish(&rest);
	return good && take(at, '}');
}

static bool
array_read(const char **at, struct buf *out)
{
	take(at, '[');
	buf_append_str(out, "{\"type\":\"array\",\"items\":");
	bool good = type_read(at, out);
	buf_append_byte(out, '}');
	return good && take(at, ']');
}

static bool
one_read(const char **at, struct buf *out)
{
	skip_blanks(at);
	if (**at == '{')
		return object_read(at, out);
	if (**at == '[')
		return array_read(at, out);
	if (**at == '\'')
		return text_read(at, out);
	return word_read(at, out);
}

/* A type of one stands for itself; the first "|" makes room before what was written. */
static bool
type_read(const char **at, struct buf *out)
{
	static const struct span any_of = {"{\"anyOf\":[", 10};
	size_t begin = out->len;
	if (!one_read(at, out))
		return false;
	if (!take(at, '|'))
		return true;
	if (buf_append_span(out, any_of) == 0) {
		memmove(out->ptr + begin + any_of.len, out->ptr + begin,
		    out->len - begin - any_of.len);
		memcpy(out->ptr + begin, any_of.ptr, any_of.len);
	}
	do {
		buf_append_byte(out, ',');
		if (!one_read(at, out))
			return false;
	} while (take(at, '|'));
	buf_append_str(out, "]}");
	return true;
}

bool
openapi_type_write(const char *type, struct buf *out)
{
	const char *at = type;
	return type_read(&at, out) && *at == '\0';
}

/*
 * lineproto.c: one line of InfluxDB line protocol, in one pass.
 *
 * This is the hot path of ingestion. Names are found 16 bytes at a time; a name without escapes is
 * a span of the line, one with escapes is written to the scratch at its own offset, so no two
 * meet. A backslash escapes only what is special where it stands, else it is itself. Values are in
 * lineproto_value.c.
 */
#include <errno.h>

#include "lineproto_priv.h"
#include "num.h"
#include "scan.h"
#include "utf8.h"

int
lineproto_refuse(const struct lineproto *parse, const char *at, const char *code,
    const char *text)
{
	*parse->error = (struct lp_error){
	    .column = (uint32_t)(at - parse->begin) + 1, .code = code, .text = text};
	return -EBADMSG;
}

struct name {
	struct span text;
	const char *end; /* of the name in the line: what ended it, or the line's end */
};

/* Writes the name to the scratch without its escapes. */
static struct span
unescape(const struct lineproto *parse, struct span raw, bool equals_special)
{
	char *out = parse->scratch + (raw.ptr - parse->begin);
	size_t len = 0;
	for (size_t i = 0; i < raw.len; i++) {
		char next = i + 1 < raw.len ? raw.ptr[i + 1] : '\0';
		if (raw.ptr[i] == '\\' &&
		    (next == ',' || next == ' ' || (next == '=' && equals_special)))
			i++;
		out[len++] = raw.ptr[i];
	}
	return span_of(out, len);
}

/* Reads a name from p up to ',', ' ' or, where that is special, '='. */
static inline struct name
read_name(const struct lineproto *parse, const char *begin, bool equals_special)
{
	const char *p = begin, *end = parse->end;
	bool escaped = false;
	for (;;) {
		p = scan_line_name(p, end);
		if (p == end)
			break;
		if (*p == '\\') {
			char next = end - p > 1 ? p[1] : '\0';
			bool escape = next == ',' || next == ' ' || (next == '=' && equals_special);
			escaped |= escape;
			p += escape ? 2 : 1;
		} else if (*p == '=' && !equals_special) {
			p++;
		} else {
			break;
		}
	}
	struct span raw = span_of(begin, (size_t)(p - begin));
	return (struct name){escaped ? unescape(parse, raw, equals_special) : raw, p};
}

/* Lines with bytes that are no plain ASCII: a line is UTF-8, a name has no control characters. */
static int
check_odd_line(const struct lineproto *parse)
{
	struct span line = span_of(parse->begin, (size_t)(parse->end - parse->begin));
	uint32_t state = UTF8_START;
	size_t i = 0;
	while (i < line.len && state != UTF8_REJECT)
		state = utf8_continue(state, span_of(line.ptr + i++, 1));
	if (state != UTF8_START)
		return lineproto_refuse(parse, line.ptr + (i ? i - 1 : 0), "bad_utf8",
		    "the line is not UTF-8");
	const char *nul = memchr(line.ptr, '\0', line.len);
	if (nul)
		return lineproto_refuse(parse, nul, "bad_character", "NUL in the line");
	return 0;
}

static int
check_name(const struct lineproto *parse, struct name name)
{
	const char *end = name.text.ptr + name.text.len;
	if (scan_control(name.text.ptr, end) < end)
		return lineproto_refuse(parse, name.end - 1, "bad_character",
		    "a control character in the name that ends here");
	return 0;
}

static bool
has_tag(const struct lp_line *line, struct span name)
{
	for (size_t i = 0; i < line->tag_count; i++) {
		if (span_eq(line->tags[i].name, name))
			return true;
	}
	return false;
}

/* A tag at *at, behind its ','. */
static inline int
take_tag(const struct lineproto *parse, const char **at, struct lp_line *line)
{
	const char *begin = *at;
	struct name name = read_name(parse, begin, true);
	if (name.text.len == 0)
		return lineproto_refuse(parse, begin, "bad_tag", "a tag without a name");
	if (name.end == parse->end || *name.end != '=')
		return lineproto_refuse(parse, name.end, "bad_tag", "no '=' after a tag's name");
	if (has_tag(line, name.text))
		return lineproto_refuse(parse, begin, "duplicate_tag", "a tag stands there twice");
	if (line->tag_count == LP_TAGS_MAX)
		return lineproto_refuse(parse, begin, "too_many_tags", "more than 64 tags");
	struct name value = read_name(parse, name.end + 1, true);
	if (value.text.len == 0)
		return lineproto_refuse(parse, name.end + 1, "bad_tag", "a tag without a value");
	if (value.end < parse->end && *value.end == '=')
		return lineproto_refuse(parse, value.end, "bad_tag",
		    "an '=' in a tag's value, not escaped");
	if (parse->odd && (check_name(parse, name) || check_name(parse, value)))
		return -EBADMSG;
	line->tags[line->tag_count++] = (struct lp_tag){name.text, value.text};
	*at = value.end;
	return 0;
}

/* measurement[,tag=value…] */
static inline int
take_series(const struct lineproto *parse, const char **at, struct lp_line *line)
{
	struct name measurement = read_name(parse, *at, false);
	if (measurement.text.len == 0)
		return lineproto_refuse(parse, *at, "bad_measurement", "no measurement");
	if (parse->odd && check_name(parse, measurement))
		return -EBADMSG;
	const char *p = measurement.end;
	line->measurement = measurement.text;
	line->tag_count = 0;
	while (p < parse->end && *p == ',') {
		p++;
		int error = take_tag(parse, &p, line);
		if (error)
			return error;
	}
	line->series = span_of(*at, (size_t)(p - *at));
	*at = p;
	return 0;
}

/* A field at *at. */
static inline int
take_field(const struct lineproto *parse, const char **at, struct lp_line *line)
{
	const char *begin = *at;
	struct name name = read_name(parse, begin, true);
	if (name.text.len == 0)
		return lineproto_refuse(parse, begin, "bad_field", "a field without a name");
	if (name.end == parse->end || *name.end != '=')
		return lineproto_refuse(parse, name.end, "bad_field",
		    "no '=' after a field's name");
	if (line->field_count == LP_FIELDS_MAX)
		return lineproto_refuse(parse, begin, "too_many_fields", "more than 1024 fields");
	if (parse->odd && check_name(parse, name))
		return -EBADMSG;
	struct lp_field *field = &line->fields[line->field_count];
	field->name = name.text;
	*at = name.end + 1;
	int error = lineproto_take_value(parse, at, field);
	if (error)
		return error;
	line->field_count++;
	return 0;
}

static inline const char *
skip_spaces(const struct lineproto *parse, const char *p)
{
	while (p < parse->end && *p == ' ')
		p++;
	return p;
}

/* field=value[,field=value…], behind the space; *at is then the space or end that ended them. */
static inline int
take_fields(const struct lineproto *parse, const char **at, struct lp_line *line)
{
	const char *p = skip_spaces(parse, *at);
	if (p == parse->end)
		return lineproto_refuse(parse, p, "missing_fields", "no fields");
	line->field_count = 0;
	for (;;) {
		int error = take_field(parse, &p, line);
		if (error)
			return error;
		if (p == parse->end || *p == ' ')
			break;
		if (*p != ',')
			return lineproto_refuse(parse, p, "bad_field_value",
			    "neither ',' nor a space after a field's value");
		p++;
	}
	*at = p;
	return 0;
}

/* [timestamp] */
static inline int
take_time(const struct lineproto *parse, const char *p, struct lp_line *line)
{
	const char *begin = skip_spaces(parse, p);
	const char *stop = begin;
	line->has_time = begin < parse->end;
	if (!line->has_time)
		return 0;
	int error = lineproto_take_time(parse, &stop, &line->time);
	if (error)
		return error;
	if (skip_spaces(parse, stop) != parse->end)
		return lineproto_refuse(parse, stop, "bad_timestamp",
		    "something other than digits in the timestamp");
	return 0;
}

int
lp_parse_line(struct span text, char *scratch, struct lp_line *ret_line,
    struct lp_error *ret_error)
{
	if (text.len > 0 && text.ptr[text.len - 1] == '\r')
		text.len--;
	if (text.len == 0)
		return LP_BLANK;
	struct lineproto parse = {.begin = text.ptr, .end = text.ptr + text.len,
	    .scratch = scratch, .error = ret_error};
	const char *p = text.ptr;
	while (p < parse.end && (*p == ' ' || *p == '\t'))
		p++;
	if (p == parse.end || *p == '#')
		return LP_BLANK;
	if (text.len > LP_LINE_BYTES_MAX)
		return lineproto_refuse(&parse, p, "line_too_long",
		    "the line is longer than 1 MiB");
	parse.odd = scan_odd(p, parse.end) < parse.end;
	if (parse.odd && check_odd_line(&parse))
		return -EBADMSG;
	int error = take_series(&parse, &p, ret_line);
	if (!error)
		error = take_fields(&parse, &p, ret_line);
	return error ? error : take_time(&parse, p, ret_line);
}

int
lp_precision_parse(struct span text, enum lp_precision *ret_precision)
{
	static const struct {
		struct span name;
		enum lp_precision precision;
	} names[] = {
	    {{"", 0}, LP_NS}, {{"ns", 2}, LP_NS}, {{"n", 1}, LP_NS}, {{"us", 2}, LP_US},
	    {{"u", 1}, LP_US}, {{"\xc2\xb5", 2}, LP_US}, {{"\xce\xbc", 2}, LP_US},
	    {{"ms", 2}, LP_MS}, {{"s", 1}, LP_S}, {{"m", 1}, LP_M}, {{"h", 1}, LP_H},
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (span_eq(text, names[i].name)) {
			*ret_precision = names[i].precision;
			return 0;
		}
	}
	return -EINVAL;
}

static int64_t
divide_floored(int64_t value, int64_t by)
{
	return value / by - (value % by < 0);
}

bool
lp_time_ms(int64_t time, enum lp_precision precision, int64_t *ret_ms)
{
	int64_t factor = 1, ms;
	switch (precision) {
	case LP_NS:
		*ret_ms = divide_floored(time, 1000000);
		return true;
	case LP_US:
		*ret_ms = divide_floored(time, 1000);
		return true;
	case LP_MS:
		break;
	case LP_S:
		factor = 1000;
		break;
	case LP_M:
		factor = 60000;
		break;
	case LP_H:
		factor = 3600000;
		break;
	}
	if (num_mul_overflows(time, factor, &ms))
		return false;
	*ret_ms = ms;
	return true;
}

/*
 * fuzz_lineproto.c: lines of line protocol. Holds: what was understood and is written anew reads
 * the same, a float is what the C library reads, an error points into the line.
 */
#include <errno.h>
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "lineproto.h"
#include "num.h"

static void
write_name(struct buf *out, struct span name, const char *special)
{
	for (size_t i = 0; i < name.len; i++) {
		if (strchr(special, name.ptr[i]))
			buf_append_byte(out, '\\');
		buf_append_byte(out, name.ptr[i]);
	}
}

/* The value as it stands in the line; not for strings. */
static struct span
value_text(struct span line, const struct lp_field *field)
{
	struct span text = span_skip(line, field->column - 1);
	size_t len = 0;
	while (len < text.len && text.ptr[len] != ',' && text.ptr[len] != ' ' &&
	    text.ptr[len] != '\r')
		len++;
	return span_of(text.ptr, len);
}

static void
check_float(struct span text, double number)
{
	char *copy = malloc(text.len + 1);
	check(copy);
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	double want = strtod(copy, NULL);
	check(memcmp(&want, &number, sizeof(want)) == 0);
	free(copy);
}

static void
write_field(struct buf *out, struct span line, const struct lp_field *field)
{
	write_name(out, field->name, ", =");
	buf_append_byte(out, '=');
	if (field->type == LP_STRING) {
		buf_append_byte(out, '"');
		write_name(out, field->string, "\"\\");
		buf_append_byte(out, '"');
	} else if (field->type == LP_FLOAT) {
		char text[NUM_TEXT_BYTES_MAX];
		check_float(value_text(line, field), field->number);
		buf_append(out, text, num_format_double(text, field->number));
	} else {
		buf_append_span(out, value_text(line, field));
	}
}

static void
write_line(struct buf *out, struct span text, const struct lp_line *line)
{
	write_name(out, line->measurement, ", ");
	for (size_t i = 0; i < line->tag_count; i++) {
		buf_append_byte(out, ',');
		write_name(out, line->tags[i].name, ", =");
		buf_append_byte(out, '=');
		write_name(out, line->tags[i].value, ", =");
	}
	for (size_t i = 0; i < line->field_count; i++) {
		buf_append_byte(out, i ? ',' : ' ');
		write_field(out, text, &line->fields[i]);
	}
	if (line->has_time) {
		buf_append_byte(out, ' ');
		buf_append_i64(out, line->time);
	}
	check(buf_ok(out));
}

static void
check_same(const struct lp_line *a, const struct lp_line *b)
{
	check(span_eq(a->measurement, b->measurement));
	check(a->tag_count == b->tag_count && a->field_count == b->field_count);
	check(a->has_time == b->has_time && (!a->has_time || a->time == b->time));
	for (size_t i = 0; i < a->tag_count; i++) {
		check(span_eq(a->tags[i].name, b->tags[i].name));
		check(span_eq(a->tags[i].value, b->tags[i].value));
		for (size_t j = 0; j < i; j++)
			check(!span_eq(a->tags[i].name, a->tags[j].name));
	}
	for (size_t i = 0; i < a->field_count; i++) {
		const struct lp_field *x = &a->fields[i], *y = &b->fields[i];
		check(span_eq(x->name, y->name) && x->type == y->type);
		check(x->inexact == y->inexact);
		check(memcmp(&x->number, &y->number, sizeof(x->number)) == 0);
		check(x->type != LP_STRING || span_eq(x->string, y->string));
	}
}

/* `lines` are two, too large for the stack. */
static void
check_line(struct span text, struct lp_line *lines)
{
	struct lp_error error;
	char *scratch = malloc(text.len + 1);
	check(scratch);
	int answer = lp_parse_line(text, scratch, &lines[0], &error);
	check(answer == 0 || answer == LP_BLANK || answer == -EBADMSG);
	if (answer == -EBADMSG)
		check(error.code && error.text && error.column - 1 <= text.len);
	if (answer == 0) {
		struct buf out, again;
		buf_init(&out, 0);
		buf_init(&again, 0);
		write_line(&out, text, &lines[0]);
		check(!buf_reserve(&again, out.len));
		check(!lp_parse_line(buf_span(&out), again.ptr, &lines[1], &error));
		check_same(&lines[0], &lines[1]);
		buf_finish(&out);
		buf_finish(&again);
	}
	free(scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct lp_line *lines = malloc(2 * sizeof(*lines));
	check(lines);
	struct span rest = span_of((const char *)bytes, size);
	while (rest.len > 0) {
		const char *lf = memchr(rest.ptr, '\n', rest.len);
		size_t len = lf ? (size_t)(lf - rest.ptr) : rest.len;
		check_line(span_of(rest.ptr, len), lines);
		rest = span_skip(rest, lf ? len + 1 : len);
	}
	free(lines);
	return 0;
}

/*
 * lineproto.h: InfluxDB line protocol, v1 and v2, one line at a time.
 *
 *   measurement[,tag=value…] field=value[,field=value…] [timestamp]
 *
 * No I/O, no allocation; spans point into the line or, where escapes had to be undone, into the
 * caller's scratch. Comments (#) and blank lines are LP_BLANK. A trailing CR is not part of a line.
 *
 * Escapes: `\,` and `\ ` in measurements, also `\=` in tags and field names, `\"` and `\\` in
 * strings; any other backslash is itself. A string cannot go over a line's end: LF ends a line
 * wherever it stands. Refused: empty tags, the same tag twice, NaN and infinity, bad UTF-8, NUL,
 * control characters in names. Blanks before the line, behind it and several between its parts
 * are no fault.
 */
#ifndef WEIR_LINEPROTO_H
#define WEIR_LINEPROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

#define LP_TAGS_MAX 64
#define LP_FIELDS_MAX 1024
#define LP_LINE_BYTES_MAX (1u << 20)

enum lp_type { LP_FLOAT, LP_INT, LP_UINT, LP_BOOL, LP_STRING };

struct lp_tag {
	struct span name, value;
};

struct lp_field {
	struct span name;
	enum lp_type type;
	double number;       /* FLOAT, INT, UINT, BOOL (0/1) */
	struct span string;  /* STRING, escapes undone */
	bool inexact;        /* INT, UINT: beyond ±2^53 */
	uint32_t column;     /* of the value, from 1 */
};

struct lp_line {
	struct span measurement;
	size_t tag_count, field_count;
	struct lp_tag tags[LP_TAGS_MAX];
	struct lp_field fields[LP_FIELDS_MAX];
	bool has_time;
	int64_t time;        /* in the precision's unit */
	struct span series;  /* measurement and tags as they came: a cache's key */
};

struct lp_error {
	uint32_t column;     /* from 1, in bytes */
	const char *code;    /* "bad_field_value", "missing_fields", "bad_timestamp" … */
	const char *text;    /* a sentence */
};

#define LP_BLANK 1

/* One line without its LF. `scratch` has at least line.len bytes. 0, LP_BLANK, or -EBADMSG.
 * *ret_line is large and scratch meanwhile: only what a good line has is written, and unless the
 * answer is 0 it means nothing. */
int lp_parse_line(struct span line, char *scratch, struct lp_line *ret_line,
    struct lp_error *ret_error);

enum lp_precision { LP_NS, LP_US, LP_MS, LP_S, LP_M, LP_H };

/* "ns" "n" "us" "u" "µ" "ms" "s" "m" "h"; empty is ns. 0 or -EINVAL. (µ: both of Unicode's.) */
int lp_precision_parse(struct span text, enum lp_precision *ret_precision);

/* To milliseconds, floored; false when it does not fit. */
bool lp_time_ms(int64_t time, enum lp_precision precision, int64_t *ret_ms);

#endif

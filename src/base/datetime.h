/*
 * datetime.h: times of the API: integer milliseconds since the epoch, RFC 3339, relative.
 * Pure; any thread; UTC only (time zones for buckets come later).
 */
#ifndef WEIR_DATETIME_H
#define WEIR_DATETIME_H

#include <stddef.h>
#include <stdint.h>

#include "span.h"

#define DATETIME_TEXT_BYTES 24 /* 2023-11-14T22:13:20.000Z, no NUL */

/* "1700000000000", "2023-11-14T22:13:20[.123456](Z|+01:00)", "now", "-15m", "-1h", "-7d", "now-1h".
 * Units ms s m h d w. Fractions are floored to milliseconds. 0 or -EINVAL / -ERANGE. */
int datetime_parse(struct span text, int64_t now_ms, int64_t *ret_ms);

/* A duration: "500ms", "5m", "1h30m", "1d"; a bare integer is `bare_unit_ms` times it
 * (0: bare integers are -EINVAL). Positive only: zero is -EINVAL. 0, -EINVAL, -ERANGE. */
int datetime_parse_duration(struct span text, int64_t bare_unit_ms, int64_t *ret_ms);

/* Writes DATETIME_TEXT_BYTES bytes for years 0..9999, else clamps. */
void datetime_format(char *text, int64_t ms);

/* "Sun, 06 Nov 1994 08:49:37 GMT" (29 bytes, no NUL), IMF-fixdate of RFC 9110, and back. */
#define DATETIME_HTTP_BYTES 29
void datetime_format_http(char *text, int64_t ms);
int datetime_parse_http(struct span text, int64_t *ret_ms);

#endif

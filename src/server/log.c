/*
 * log.c: log lines.
 *
 *     time=2026-11-21T13:14:15.123Z level=info event=listening address=http://127.0.0.1:8080
 *     {"time":"2026-11-21T13:14:15.123Z","level":"info","event":"listening","address":"…"}
 *
 * A line is built on the stack and leaves in one write; a log that cannot be written is given up
 * silently: there is nowhere left to say so.
 */
#include "log.h"

#include <string.h>
#include <unistd.h>

#include "check.h"
#include "datetime.h"
#include "num.h"
#include "utf8.h"

enum { LINE_BYTES_MAX = 4096, TAIL_BYTES = 4 }; /* room for a quote, a brace and the line's end */

struct line {
	size_t len;
	char bytes[LINE_BYTES_MAX];
};

void
log_init(struct log *log, struct env *env, int fd)
{
	log->env = env;
	log->fd = fd;
	log->ring = NULL;
	atomic_init(&log->level, LOG_INFO);
	atomic_init(&log->format, LOG_FORMAT_TEXT);
}

bool
log_wants(const struct log *log, enum log_level level)
{
	return level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

static bool
put(struct line *line, const char *bytes, size_t len)
{
	if (line->len + len > LINE_BYTES_MAX - TAIL_BYTES)
		return false;
	memcpy(line->bytes + line->len, bytes, len);
	line->len += len;
	return true;
}

static bool
put_text(struct line *line, const char *text)
{
	return put(line, text, strlen(text));
}

/* One character, escaped as JSON does. */
static bool
put_escaped(struct line *line, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char escaped[6] = {'\\', (char)c, '0', '0', hex[c >> 4], hex[c & 15]};
	if (c == '"' || c == '\\')
		return put(line, escaped, 2);
	if (c == '\n' || c == '\t') {
		escaped[1] = c == '\n' ? 'n' : 't';
		return put(line, escaped, 2);
	}
	escaped[1] = 'u';
	if (c < 0x20 || c == 0x7f)
		return put(line, escaped, 6);
	return put(line, (const char *)&c, 1);
}

static void
put_quoted(struct line *line, const char *text)
{
	/* What is no UTF-8 must not make the line something that no reader takes. */
	bool valid = utf8_valid(span_str(text));
	bool room = put_text(line, "\"");
	size_t whole = line->len; /* up to here no character is cut */
	for (; *text && room; text++) {
		unsigned char c = (unsigned char)*text;
		if ((c & 0xc0) != 0x80)
			whole = line->len;
		room = valid || c < 0x80 ? put_escaped(line, c) : put_text(line, "?");
	}
	if (!room)
		line->len = whole;
	line->bytes[line->len++] = '"'; /* there is room: TAIL_BYTES */
}

static bool
is_plain(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c <= ' ' || c >= 0x7f || strchr("\"\\=", c))
			return false;
	}
	return true;
}

static void
put_field(struct line *line, bool json, const char *name, const char *text, int64_t number)
{
	char digits[NUM_TEXT_BYTES_MAX];
	size_t before = line->len;
	bool room = json ? put_text(line, line->len > 1 ? ",\"" : "\"") && put_text(line, name) &&
			       put_text(line, "\":")
			 : put_text(line, line->len ? " " : "") && put_text(line, name) &&
			       put_text(line, "=");
	if (room && !text)
		room = put(line, digits, num_format_i64(digits, number));
	else if (room && !json && is_plain(text))
		room = put_text(line, text);
	else if (room && line->len < LINE_BYTES_MAX - TAIL_BYTES)
		put_quoted(line, text);
	else
		room = false;
	if (!room)
		line->len = before;
}

/* The line without its end. `time`: as text, else as milliseconds. */
static void
line_write(struct line *line, bool json, const char *time, int64_t time_ms,
    enum log_level level, const char *event, const struct log_field *fields)
{
	static const char *const levels[] = {"debug", "info", "warn", "error"};

	line->len = 0;
	if (json)
		put_text(line, "{");
	put_field(line, json, "time", time, time_ms);
	put_field(line, json, "level", levels[level], 0);
	put_field(line, json, "event", event, 0);
	for (; fields && fields->name; fields++)
		put_field(line, json, fields->name, fields->text, fields->number);
	if (json)
		line->bytes[line->len++] = '}';
}

void
log_event(struct log *log, enum log_level level, const char *event, const struct log_field *fields)
{
	if (!log_wants(log, level))
		return;
	bool json = atomic_load_explicit(&log->format, memory_order_relaxed) == LOG_FORMAT_JSON;
	int64_t now_ms = env_now_ms(log->env);
	char time[DATETIME_TEXT_BYTES + 1] = {0};
	struct line line;
	datetime_format(time, now_ms);
	if (log->ring) {
		line_write(&line, true, NULL, now_ms, level, event, fields);
		log_ring_add(log->ring, now_ms, level, span_of(line.bytes, line.len));
	}
	line_write(&line, json, time, 0, level, event, fields);
	line.bytes[line.len++] = '\n';
	ssize_t written = write(log->fd, line.bytes, line.len);
	(void)written;
}

/*
 * settings_read.c: where settings come from: a file of "key = value" lines in [sections], the
 * environment, --set.
 *
 * Every error names its place, and all of them are told, not only the first.
 *
 *     # comment          ; comment
 *     [net]
 *     loops = 2          # a comment begins after a blank
 *     idle_ms = "75s"    quotes are taken off
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "settings.h"
#include "utf8.h"

enum { FILE_BYTES_MAX = 1 << 20, LINE_BYTES_MAX = 4096, NAME_BYTES_MAX = 128 };

static struct span
trim(struct span s)
{
	while (s.len && (*s.ptr == ' ' || *s.ptr == '\t' || *s.ptr == '\r'))
		s = span_skip(s, 1);
	while (s.len && strchr(" \t\r", s.ptr[s.len - 1]))
		s.len--;
	return s;
}

/* The value without a comment behind it and without its quotes. */
static struct span
value_of(struct span s)
{
	s = trim(s);
	if (s.len >= 2 && s.ptr[0] == '"') {
		const char *end = memchr(s.ptr + 1, '"', s.len - 1);
		if (end)
			return span_of(s.ptr + 1, (size_t)(end - s.ptr) - 1);
	}
	for (size_t i = 0; i < s.len; i++)
		if (strchr("#;", s.ptr[i]) && (i == 0 || strchr(" \t", s.ptr[i - 1])))
			s.len = i;
	return trim(s);
}

/* ── a file ── */

struct reader {
	struct settings *settings;
	struct buf *errors;
	const char *name;
	unsigned line;
	char section[NAME_BYTES_MAX]; /* empty: none yet, or one that was refused */
	bool section_bad;
	bool good;
	unsigned lines[256]; /* where each entry was set, by its place in the table */
};

static void
reader_error_begin(struct reader *reader)
{
	reader->good = false;
	buf_printf(reader->errors, "%s:%u: ", reader->name, reader->line);
}

static void
reader_error(struct reader *reader, const char *sentence)
{
	reader_error_begin(reader);
	buf_printf(reader->errors, "%s\n", sentence);
}

static bool
section_known(struct span section)
{
	for (size_t i = 0; i < settings_count; i++) {
		const char *name = settings_table[i].name;
		if (span_eq(section, span_of(name, strcspn(name, "."))))
			return true;
	}
	return false;
}

static void
read_section(struct reader *reader, struct span line)
{
	struct span name = trim(span_of(line.ptr + 1, line.len - 2));
	reader->section[0] = '\0';
	reader->section_bad = true;
	if (line.ptr[line.len - 1] != ']' || line.len < 2) {
		reader_error(reader, "a section ends with ]");
		return;
	}
	if (name.len >= NAME_BYTES_MAX || !section_known(name)) {
		reader_error_begin(reader);
		buf_printf(reader->errors, "there is no section [%.*s]; there are",
		    (int)MIN(name.len, (size_t)NAME_BYTES_MAX), name.ptr);
		struct span last = {NULL, 0};
		for (size_t i = 0; i < settings_count; i++) {
			const char *entry = settings_table[i].name;
			struct span own = span_of(entry, strcspn(entry, "."));
			if (!span_eq(own, last))
				buf_printf(reader->errors, " %.*s", SPAN_ARG(own));
			last = own;
		}
		buf_append_byte(reader->errors, '\n');
		return;
	}
	memcpy(reader->section, name.ptr, name.len);
	reader->section[name.len] = '\0';
	reader->section_bad = false;
}

/* Whether this is the first time that the file sets the name. */
static bool
read_once(struct reader *reader, struct span name)
{
	for (size_t i = 0; i < settings_count; i++) {
		if (!span_eq(name, span_str(settings_table[i].name)))
			continue;
		check(i < ARRAY_COUNT(reader->lines));
		if (reader->lines[i] == 0) {
			reader->lines[i] = reader->line;
			return true;
		}
		reader_error_begin(reader);
		buf_printf(reader->errors, "%s is set already in line %u\n", settings_table[i].name,
		    reader->lines[i]);
		return false;
	}
	return true;
}

static void
read_pair(struct reader *reader, struct span key, struct span value)
{
	char name[2 * NAME_BYTES_MAX];
	if (reader->section_bad)
		return; /* said once, at its head */
	if (key.len == 0 || key.len >= NAME_BYTES_MAX) {
		reader_error(reader, "a line is 'key = value'");
		return;
	}
	size_t len = strlen(reader->section);
	memcpy(name, reader->section, len);
	if (len)
		name[len++] = '.';
	memcpy(name + len, key.ptr, key.len);
	struct span full = span_of(name, len + key.len);
	struct buf why;
	buf_init(&why, 0);
	if (read_once(reader, full) && !settings_put(reader->settings, full, value, &why)) {
		reader_error_begin(reader);
		buf_append_span(reader->errors, buf_span(&why));
		buf_append_byte(reader->errors, '\n');
	}
	buf_finish(&why);
}

static void
read_line(struct reader *reader, struct span line)
{
	if (line.len > LINE_BYTES_MAX || memchr(line.ptr, 0, line.len) || !utf8_valid(line)) {
		reader_error(reader, "this is no line of text (at most 4096 bytes of UTF-8)");
		return;
	}
	line = trim(line);
	if (line.len == 0 || *line.ptr == '#' || *line.ptr == ';')
		return;
	if (*line.ptr == '[') {
		read_section(reader, value_of(line));
		return;
	}
	const char *equals = memchr(line.ptr, '=', line.len);
	if (!equals) {
		reader_error(reader, "a line is 'key = value', and this one has no =");
		return;
	}
	size_t key_len = (size_t)(equals - line.ptr);
	read_pair(reader, trim(span_of(line.ptr, key_len)), value_of(span_skip(line, key_len + 1)));
}

bool
settings_read_text(
    struct settings *settings, const char *name, struct span text, struct buf *errors)
{
	struct reader reader = {.settings = settings, .errors = errors, .name = name, .good = true};
	if (span_starts(text, SPAN("\xef\xbb\xbf")))
		text = span_skip(text, 3);
	while (text.len) {
		const char *end = memchr(text.ptr, '\n', text.len);
		size_t len = end ? (size_t)(end - text.ptr) : text.len;
		reader.line++;
		read_line(&reader, span_of(text.ptr, len));
		text = span_skip(text, len + (end != NULL));
	}
	return reader.good;
}

static bool
read_file(struct settings *settings, struct env *env, const char *path, struct buf *errors)
{
	char *bytes;
	size_t len;
	int error = env_read_file(env, path, FILE_BYTES_MAX, &bytes, &len);
	if (error) {
		buf_printf(errors, "%s: cannot be read: %s\n", path,
		    error == -EFBIG ? "it has more than 1 MiB" : strerror(-error));
		return false;
	}
	bool good = settings_read_text(settings, path, span_of(bytes, len), errors);
	free(bytes);
	return good;
}

/* ── the environment ── */

/* "HTTP_BODY_BYTES_MAX" to "http.body_bytes_max": the first '_' ends the section. */
static bool
environment_name(struct span variable, char *ret_name)
{
	const char *split = memchr(variable.ptr, '_', variable.len);
	if (!split || variable.len >= NAME_BYTES_MAX)
		return false;
	for (size_t i = 0; i < variable.len; i++) {
		char c = variable.ptr[i];
		ret_name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	ret_name[split - variable.ptr] = '.';
	return section_known(span_of(ret_name, (size_t)(split - variable.ptr)));
}

bool
settings_read_environment(
    struct settings *settings, const char *const *environment, struct buf *errors)
{
	bool good = true;
	struct buf why;
	buf_init(&why, 0);
	for (; environment && *environment; environment++) {
		struct span all = span_str(*environment);
		char name[NAME_BYTES_MAX];
		const char *equals = strchr(*environment, '=');
		if (!span_starts(all, SPAN("WEIR_")) || !equals)
			continue;
		struct span variable = span_of(all.ptr, (size_t)(equals - all.ptr));
		if (!environment_name(span_skip(variable, 5), name))
			continue; /* somebody else's: WEIR_BIN and the like */
		buf_clear(&why);
		if (settings_put(
			settings, span_of(name, variable.len - 5), span_str(equals + 1), &why))
			continue;
		buf_printf(errors, "environment %.*s: ", SPAN_ARG(variable));
		buf_append_span(errors, buf_span(&why));
		buf_append_byte(errors, '\n');
		good = false;
	}
	buf_finish(&why);
	return good;
}

/* ── --set ── */

bool
settings_read_set(struct settings *settings, const char *assignment, struct buf *errors)
{
	const char *equals = strchr(assignment, '=');
	if (!equals) {
		buf_printf(errors, "--set %s: it must be SECTION.KEY=VALUE\n", assignment);
		return false;
	}
	struct buf why;
	buf_init(&why, 0);
	bool good = settings_put(settings, trim(span_of(assignment, (size_t)(equals - assignment))),
	    trim(span_str(equals + 1)), &why);
	if (!good) {
		buf_printf(errors, "--set %s: ", assignment);
		buf_append_span(errors, buf_span(&why));
		buf_append_byte(errors, '\n');
	}
	buf_finish(&why);
	return good;
}

bool
settings_load(
    const struct settings_sources *sources, struct settings *ret_settings, struct buf *errors)
{
	struct settings settings;
	settings_init(&settings);
	bool good = !sources->file || read_file(&settings, sources->env, sources->file, errors);
	good &= settings_read_environment(&settings, sources->environment, errors);
	for (size_t i = 0; i < sources->set_count; i++)
		good &= settings_read_set(&settings, sources->sets[i], errors);
	if (good)
		*ret_settings = settings;
	return good;
}

/*
 * settings.c: values of the table: defaults, text to value and back, the manual page.
 *
 * Invariant: a value that was refused changed nothing.
 */
#include "settings.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "addresses.h"
#include "options.h"
#include "check.h"
#include "datetime.h"
#include "num.h"
#include "out.h"

enum { HEADERS_MAX = 32 };

static uint64_t *
number_of(const struct settings_entry *entry, struct settings *settings)
{
	return (uint64_t *)(void *)((char *)settings + entry->offset);
}

static uint64_t
number_in(const struct settings_entry *entry, const struct settings *settings)
{
	return *(const uint64_t *)(const void *)((const char *)settings + entry->offset);
}

static const char *
text_in(const struct settings_entry *entry, const struct settings *settings)
{
	return (const char *)settings + entry->offset;
}

/* ── words ── */

/* The word at `index` of "a|b|c"; empty behind the last. */
static struct span
word_at(const char *words, uint64_t index)
{
	for (; index > 0 && words; index--) {
		words = strchr(words, '|');
		words = words ? words + 1 : NULL;
	}
	return words ? span_of(words, strcspn(words, "|")) : span_of(NULL, 0);
}

static bool
word_find(const char *words, struct span value, uint64_t *ret_index)
{
	struct span word;
	for (uint64_t i = 0; (word = word_at(words, i)).len; i++) {
		if (span_eq_nocase(word, value)) {
			*ret_index = i;
			return true;
		}
	}
	return false;
}

static bool
bool_find(struct span value, uint64_t *ret_value)
{
	uint64_t index;
	if (!word_find("no|yes|off|on|false|true|0|1", value, &index))
		return false;
	*ret_value = index & 1;
	return true;
}

/* ── text to value ── */

static bool
number_parse(const struct settings_entry *entry, struct span value, uint64_t *ret_number)
{
	int64_t bare_unit_ms = entry->type == SETTINGS_S ? 1000 : 1;
	int64_t ms;
	switch (entry->type) {
	case SETTINGS_BOOL:
		return bool_find(value, ret_number);
	case SETTINGS_INT:
		return num_parse_u64(value, ret_number) == 0;
	case SETTINGS_BYTES:
		return num_parse_bytes(value, ret_number) == 0;
	case SETTINGS_WORD:
		return word_find(entry->words, value, ret_number);
	default:
		break;
	}
	if (span_eq(value, SPAN("0"))) { /* which is no duration of datetime.h */
		*ret_number = 0;
		return true;
	}
	if (datetime_parse_duration(value, bare_unit_ms, &ms))
		return false;
	*ret_number = (uint64_t)ms;
	return true;
}

static void
number_format(const struct settings_entry *entry, uint64_t number, struct buf *out)
{
	static const char *const units[] = {"", "KiB", "MiB", "GiB"};
	unsigned unit = 0;
	switch (entry->type) {
	case SETTINGS_BOOL:
		buf_append_str(out, number ? "yes" : "no");
		break;
	case SETTINGS_WORD:
		buf_append_span(out, word_at(entry->words, number));
		break;
	case SETTINGS_BYTES:
		for (; unit < 3 && number && number % 1024 == 0; unit++)
			number /= 1024;
		buf_append_u64(out, number);
		buf_append_str(out, units[unit]);
		break;
	case SETTINGS_MS:
	case SETTINGS_S:
		buf_append_u64(out, number % 1000 ? number : number / 1000);
		if (number) /* 0s is no duration of datetime.h */
			buf_append_str(out, number % 1000 ? "ms" : "s");
		break;
	default:
		buf_append_u64(out, number);
	}
}

/* ── texts that have a form ── */

struct text_rule {
	size_t offset;
	bool (*holds)(struct span value);
	const char *expected;
};

static bool
is_url(struct span value)
{
	char url[SETTINGS_TEXT_BYTES];
	const char *reason;
	if (value.len == 0)
		return true;
	if (value.len >= sizeof url || memchr(value.ptr, '\0', value.len))
		return false;
	memcpy(url, value.ptr, value.len);
	url[value.len] = '\0';
	return out_url_check(url, &reason);
}

static bool
are_headers(struct span value)
{
	size_t count = 0;
	while (value.len) {
		const char *blank = memchr(value.ptr, ' ', value.len);
		size_t len = blank ? (size_t)(blank - value.ptr) : value.len;
		if (len && (!out_header_check(span_of(value.ptr, len)) || ++count > HEADERS_MAX))
			return false;
		value = span_skip(value, blank ? len + 1 : len);
	}
	return true;
}

static const struct text_rule text_rules[] = {
	{offsetof(struct settings, net.trusted_proxies), addresses_list_valid,
	    "addresses and networks, like 10.0.0.0/8"},
	{offsetof(struct settings, auth.subscribe_url), is_url,
	    "empty or an address like http://127.0.0.1:3000/path, without user and password"},
	{offsetof(struct settings, auth.subscribe_headers), are_headers,
	    "at most 32 names of headers that are not about the connection or the body"},
};

static const struct text_rule *
text_rule_of(const struct settings_entry *entry)
{
	for (size_t i = 0; i < ARRAY_COUNT(text_rules); i++) {
		if (text_rules[i].offset == entry->offset)
			return &text_rules[i];
	}
	return NULL;
}

/* "a number from 0 to 64" */
static void
expected_print(const struct settings_entry *entry, struct buf *out)
{
	static const char *const nouns[] = {
	    [SETTINGS_INT] = "a whole number",
	    [SETTINGS_BYTES] = "a size",
	    [SETTINGS_MS] = "a duration",
	    [SETTINGS_S] = "a duration",
	};
	if (entry->type == SETTINGS_BOOL) {
		buf_append_str(out, "yes or no");
	} else if (text_rule_of(entry)) {
		buf_append_str(out, text_rule_of(entry)->expected);
	} else if (entry->type == SETTINGS_TEXT) {
		buf_printf(out, "a text of at most %d bytes", SETTINGS_TEXT_BYTES - 1);
	} else if (entry->type == SETTINGS_WORD) {
		buf_append_str(out, "one of");
		for (uint64_t i = 0; word_at(entry->words, i).len; i++) {
			buf_append_str(out, i ? ", " : " ");
			buf_append_span(out, word_at(entry->words, i));
		}
	} else {
		buf_printf(out, "%s from ", nouns[entry->type]);
		number_format(entry, entry->min, out);
		buf_append_str(out, " to ");
		number_format(entry, entry->max, out);
	}
}

static bool
text_put(const struct settings_entry *entry, struct settings *settings, struct span value)
{
	char *text = (char *)settings + entry->offset;
	const struct text_rule *rule = text_rule_of(entry);
	if (rule && !rule->holds(value))
		return false;
	if (value.len >= SETTINGS_TEXT_BYTES || memchr(value.ptr ? value.ptr : "", 0, value.len))
		return false;
	memset(text, 0, SETTINGS_TEXT_BYTES);
	if (value.len)
		memcpy(text, value.ptr, value.len);
	return true;
}

static bool
value_put(const struct settings_entry *entry, struct settings *settings, struct span value)
{
	uint64_t number;
	if (entry->type == SETTINGS_TEXT)
		return text_put(entry, settings, value);
	if (!number_parse(entry, value, &number))
		return false;
	bool ranged = entry->type != SETTINGS_BOOL && entry->type != SETTINGS_WORD;
	if (ranged && (number < entry->min || number > entry->max))
		return false;
	if (entry->offset == offsetof(struct settings, journal.segment_bytes) && number % 4096)
		return false;
	*number_of(entry, settings) = number;
	return true;
}

/* ── names ── */

static const struct settings_entry *
entry_find(struct span name)
{
	for (size_t i = 0; i < settings_count; i++)
		if (span_eq(span_str(settings_table[i].name), name))
			return &settings_table[i];
	return NULL;
}

/* The name most like this one, if any is like it. */
static const struct settings_entry *
entry_guess(struct span name)
{
	const struct settings_entry *best = NULL;
	size_t least = name.len / 3 + 1;
	for (size_t i = 0; i < settings_count; i++) {
		struct span candidate = span_str(settings_table[i].name);
		size_t edits = options_distance(name, candidate);
		const char *dot = strchr(candidate.ptr, '.');
		/* The key alone, under no or another section, is as good as a misspelling. */
		if (span_eq(span_str(dot + 1), name))
			edits = 0;
		if (edits < least) {
			least = edits;
			best = &settings_table[i];
		}
	}
	return best;
}

bool
settings_put(struct settings *settings, struct span name, struct span value, struct buf *why)
{
	const struct settings_entry *entry = entry_find(name);
	if (!entry) {
		const struct settings_entry *guess = entry_guess(name);
		buf_printf(why, "there is no setting %.*s", SPAN_ARG(name));
		if (guess)
			buf_printf(why, "; did you mean %s?", guess->name);
		else
			buf_append_str(why, "; `weir help settings` lists them");
		return false;
	}
	if (value_put(entry, settings, value))
		return true;
	buf_printf(why, "%s is '%.*s'; it must be ", entry->name, (int)MIN(value.len, (size_t)80),
	    value.ptr ? value.ptr : "");
	expected_print(entry, why);
	if (entry->offset == offsetof(struct settings, journal.segment_bytes))
		buf_append_str(why, ", a multiple of 4096");
	return false;
}

void
settings_init(struct settings *settings)
{
	memset(settings, 0, sizeof *settings);
	for (size_t i = 0; i < settings_count; i++)
		check(value_put(&settings_table[i], settings, span_str(settings_table[i].initial)));
}

bool
settings_differ(
    const struct settings_entry *entry, const struct settings *a, const struct settings *b)
{
	if (entry->type == SETTINGS_TEXT)
		return strcmp(text_in(entry, a), text_in(entry, b)) != 0;
	return number_in(entry, a) != number_in(entry, b);
}

void
settings_copy(const struct settings_entry *entry, struct settings *to, const struct settings *from)
{
	size_t len = entry->type == SETTINGS_TEXT ? SETTINGS_TEXT_BYTES : sizeof(uint64_t);
	memcpy((char *)to + entry->offset, (const char *)from + entry->offset, len);
}

void
settings_format(
    const struct settings_entry *entry, const struct settings *settings, struct buf *out)
{
	if (entry->type == SETTINGS_TEXT)
		buf_append_str(out, text_in(entry, settings));
	else
		number_format(entry, number_in(entry, settings), out);
}

/* ── the manual page ── */

static void
environment_print(const char *name, struct buf *out)
{
	buf_append_str(out, "WEIR_");
	for (; *name; name++)
		buf_append_byte(out, *name == '.' ? '_' : (char)toupper((unsigned char)*name));
}

static void
help_print(const char *text, struct buf *out)
{
	enum { COLUMNS = 88 };
	size_t column = 0;
	while (*text) {
		size_t len = strcspn(text, " ");
		if (column && column + 1 + len > COLUMNS)
			column = 0;
		buf_append_str(out, column ? " " : "\n    ");
		buf_append(out, text, len);
		column += len + (column ? 1 : 0);
		text += len + (text[len] == ' ');
	}
}

static void
entry_print(const struct settings_entry *entry, struct buf *out)
{
	buf_printf(out, "\n%s = %s", strchr(entry->name, '.') + 1, entry->initial);
	help_print(entry->help, out);
	buf_append_str(out, "\n    (");
	expected_print(entry, out);
	buf_append_str(out, entry->live ? "; SIGHUP changes it; " : "; needs a restart; ");
	environment_print(entry->name, out);
	buf_append_str(out, ")\n");
}

void
settings_print(struct buf *out)
{
	buf_append_str(out,
	    "Settings of weir, as a configuration file (--config FILE) with its defaults.\n"
	    "The environment wins over the file, --set SECTION.KEY=VALUE over both.\n"
	    "Lines that begin with # or ; are comments.\n");
	struct span section = {NULL, 0};
	for (size_t i = 0; i < settings_count; i++) {
		const char *name = settings_table[i].name;
		struct span own = span_of(name, strcspn(name, "."));
		if (!span_eq(own, section))
			buf_printf(out, "\n[%.*s]\n", SPAN_ARG(own));
		section = own;
		entry_print(&settings_table[i], out);
	}
}

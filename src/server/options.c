/*
 * options.c: reads options by a table, prints help from the same table.
 */
#include "options.h"

#include <stdint.h>
#include <string.h>

#include "check.h"
#include "span.h"

enum { WORD_BYTES_MAX = 64, NAMES_MAX = 32 };

size_t
options_distance(struct span a, struct span b)
{
	size_t row[WORD_BYTES_MAX + 1];
	if (a.len > WORD_BYTES_MAX || b.len > WORD_BYTES_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t change = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
			diagonal = row[j];
			row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[b.len];
}

const char *
options_guess(const char *word, const char *const *words)
{
	const char *best = NULL;
	size_t least = strlen(word) / 3 + 2;
	for (; *words; words++) {
		size_t edits = options_distance(span_str(word), span_str(*words));
		if (edits < least && edits < strlen(*words)) {
			least = edits;
			best = *words;
		}
	}
	return best;
}

static void
help_print(const struct options_command *command, FILE *out)
{
	fprintf(out, "usage: %s\n\n%s\n\noptions:\n", command->usage, command->help);
	for (const struct options_entry *o = command->options; o->name; o++) {
		char left[48];
		snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "",
		    o->value ? o->value : "");
		fprintf(out, "  %-26s  ", left);
		for (const char *c = o->help; *c; c++) {
			fputc(*c, out);
			if (*c == '\n')
				fprintf(out, "%30s", "");
		}
		fputc('\n', out);
	}
	fprintf(out, "  %-26s  %s\n", "--help", "this text");
	if (command->more)
		fprintf(out, "\n%s\n", command->more);
}

/* "weir serve" of "weir serve --data DIR". */
static struct span
command_name(const struct options_command *command)
{
	const char *end = strstr(command->usage, " -");
	const char *bracket = strstr(command->usage, " [");
	if (!end || (bracket && bracket < end))
		end = bracket;
	return span_of(
	    command->usage, end ? (size_t)(end - command->usage) : strlen(command->usage));
}

static enum options_result
wrong(const struct options_command *command, FILE *err, const char *what, const char *word)
{
	struct span name = command_name(command);
	fprintf(err, "%.*s: ", SPAN_ARG(name));
	fprintf(err, "%s%s%s", what, word ? " " : "", word ? word : "");
	fprintf(err, "; see %.*s --help\n", SPAN_ARG(name));
	return OPTIONS_WRONG;
}

static enum options_result
wrong_option(const struct options_command *command, FILE *err, const char *word)
{
	const char *names[NAMES_MAX] = {NULL};
	char bare[WORD_BYTES_MAX];
	char text[256];
	size_t count = 0;
	for (const struct options_entry *o = command->options; o->name && count < NAMES_MAX - 1;
	     o++)
		names[count++] = o->name;
	snprintf(
	    bare, sizeof bare, "%.*s", (int)MIN(strcspn(word + 2, "="), sizeof bare - 1), word + 2);
	const char *guess = options_guess(bare, names);
	if (guess)
		snprintf(
		    text, sizeof text, "there is no option --%s; did you mean --%s?", bare, guess);
	else
		snprintf(text, sizeof text, "there is no option --%s", bare);
	return wrong(command, err, text, NULL);
}

static const struct options_entry *
option_find(const struct options_command *command, const char *word)
{
	struct span name = span_of(word + 2, strcspn(word + 2, "="));
	for (const struct options_entry *o = command->options; o->name; o++)
		if (span_eq(span_str(o->name), name))
			return o;
	return NULL;
}

static const char *
option_store(const struct options_entry *option, const char *value)
{
	if (option->kind == OPTIONS_FLAG) {
		*(bool *)option->place = true;
	} else if (option->kind == OPTIONS_TEXT) {
		const char **text = option->place;
		if (*text)
			return "is given twice";
		*text = value;
	} else {
		struct options_list *list = option->place;
		if (list->count == OPTIONS_LIST_MAX)
			return "is given too often";
		list->items[list->count++] = value;
	}
	return NULL;
}

static bool
option_given(const struct options_entry *option)
{
	switch (option->kind) {
	case OPTIONS_FLAG:
		return *(const bool *)option->place;
	case OPTIONS_TEXT:
		return *(const char *const *)option->place != NULL;
	case OPTIONS_LIST:
		break;
	}
	return ((const struct options_list *)option->place)->count > 0;
}

/* Reads the option at argv[*at], moves *at to its last word. NULL, or what is wrong with it. */
static const char *
option_read(const struct options_entry *option, int argc, char *const *argv, int *at)
{
	const char *equals = strchr(argv[*at], '=');
	if (option->kind == OPTIONS_FLAG)
		return equals ? "takes no value" : option_store(option, NULL);
	if (equals)
		return option_store(option, equals + 1);
	if (*at + 1 == argc)
		return "needs a value";
	return option_store(option, argv[++*at]);
}

static enum options_result
needed_check(const struct options_command *command, FILE *err)
{
	for (const struct options_entry *o = command->options; o->name; o++) {
		char text[256];
		if (!o->needed || option_given(o))
			continue;
		snprintf(text, sizeof text, "--%s %s is missing (%.*s)", o->name, o->value,
		    (int)strcspn(o->help, "\n"), o->help);
		return wrong(command, err, text, NULL);
	}
	return OPTIONS_OK;
}

enum options_result
options_parse(
    const struct options_command *command, int argc, char *const *argv, FILE *out, FILE *err)
{
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		char text[256];
		if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
			help_print(command, out);
			return OPTIONS_HELP;
		}
		if (strncmp(word, "--", 2) != 0 || !word[2])
			return wrong(command, err, "nothing is expected here, but there is", word);
		const struct options_entry *option = option_find(command, word);
		if (!option)
			return wrong_option(command, err, word);
		const char *fault = option_read(option, argc, argv, &i);
		if (fault) {
			snprintf(text, sizeof text, "--%s %s", option->name, fault);
			return wrong(command, err, text, NULL);
		}
	}
	return needed_check(command, err);
}

/*
 * args.c: the table reader. Words are compared whole: no abbreviations, no single letters but -h,
 * so that a new option never changes what an old command line means.
 */
#include "args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "datetime.h"
#include "num.h"
#include "span.h"

static __attribute__((format(printf, 2, 3))) int
wrong(const char *command, const char *format, ...)
{
	va_list args;
	fprintf(stderr, "weir %s: ", command);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "; see weir %s --help\n", command);
	return -EINVAL;
}

static const struct args_option *
find(struct span name, const struct args_option *options, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_eq(span_str(options[i].name), name))
			return &options[i];
	return NULL;
}

static int
take_number(const char *command, const struct args_option *o, const char *text)
{
	double number = 0;
	uint64_t whole = 0;
	bool count = o->kind == ARGS_COUNT;
	int error = count ? num_parse_u64(span_str(text), &whole)
			  : num_parse_double(span_str(text), &number);
	double value = count ? (double)whole : number;
	if (error || value < o->least || value > o->most)
		return wrong(command, "--%s wants a%s number from %.15g to %.15g, not '%s'",
		    o->name, count ? " whole" : "", o->least, o->most, text);
	if (count)
		*(uint64_t *)o->ret_value = whole;
	else
		*(double *)o->ret_value = number;
	return 0;
}

static int
take_choice(const char *command, const struct args_option *o, const char *text)
{
	for (int i = 0; o->choices[i]; i++) {
		if (strcmp(o->choices[i], text) == 0) {
			*(int *)o->ret_value = i;
			return 0;
		}
	}
	return wrong(command, "--%s does not know '%s'", o->name, text);
}

static int
take(const char *command, const struct args_option *o, const char *text)
{
	switch (o->kind) {
	case ARGS_STRING:
		*(const char **)o->ret_value = text;
		return 0;
	case ARGS_COUNT:
	case ARGS_NUMBER:
		return take_number(command, o, text);
	case ARGS_DURATION:
		if (datetime_parse_duration(span_str(text), 0, o->ret_value))
			return wrong(command,
			    "--%s wants a duration like 500ms, 10s or 5m, not '%s'", o->name, text);
		return 0;
	case ARGS_CHOICE:
		return take_choice(command, o, text);
	case ARGS_FLAG:
		break;
	}
	return wrong(command, "--%s takes no value", o->name);
}

int
args_parse(const char *command, int argc, char **argv, const struct args_option *options,
    size_t option_count, const char **operands, size_t *operand_count)
{
	size_t operands_max = operands ? *operand_count : 0, operands_seen = 0;
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
			return ARGS_HELP;
		if (word[0] != '-') {
			if (operands_seen == operands_max)
				return wrong(command, "what is '%s'?", word);
			operands[operands_seen++] = word;
			continue;
		}
		const char *equals = strchr(word, '=');
		struct span name = span_of(word, equals ? (size_t)(equals - word) : strlen(word));
		const struct args_option *option = NULL;
		if (span_starts(name, SPAN("--")))
			option = find(span_skip(name, 2), options, option_count);
		if (!option)
			return wrong(command, "unknown option %.*s", SPAN_ARG(name));
		if (option->kind == ARGS_FLAG && !equals) {
			*(bool *)option->ret_value = true;
			continue;
		}
		if (!equals && i + 1 == argc)
			return wrong(command, "--%s wants a value", option->name);
		int error = take(command, option, equals ? equals + 1 : argv[++i]);
		if (error)
			return error;
	}
	if (operand_count)
		*operand_count = operands_seen;
	return 0;
}

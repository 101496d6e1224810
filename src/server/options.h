/*
 * options.h: the words behind a command, read by the command's table of options.
 *
 * "--name VALUE", "--name=VALUE", "--flag". `--help` is every command's. What is wrong gets one
 * sentence on stderr that says what to do.
 */
#ifndef WEIR_OPTIONS_H
#define WEIR_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "span.h"

#define OPTIONS_LIST_MAX 64

struct options_list {
	const char *items[OPTIONS_LIST_MAX];
	size_t count;
};

enum options_kind {
	OPTIONS_FLAG,  /* bool *place */
	OPTIONS_TEXT,  /* const char **place; given at most once */
	OPTIONS_LIST,  /* struct options_list *place; may be repeated */
};

struct options_entry {
	const char *name;   /* "data", without dashes; NULL: the end of the table */
	const char *value;  /* "DIR", for the help; NULL for flags */
	enum options_kind kind;
	bool needed;
	void *place;
	const char *help;
};

struct options_command {
	const char *usage;  /* "weir serve --data DIR [OPTIONS]" */
	const char *help;   /* what it does: a few lines */
	const char *more;   /* behind the options; NULL: nothing */
	const struct options_entry *options;
};

enum options_result { OPTIONS_OK, OPTIONS_HELP, OPTIONS_WRONG };

/* Reads argv[1] … argv[argc - 1]. After OPTIONS_HELP the help was printed to `out`; after
 * OPTIONS_WRONG a sentence to `err`. */
enum options_result options_parse(const struct options_command *command, int argc,
    char *const *argv, FILE *out, FILE *err);

/* Insertions, deletions and changes that make one word of the other; SIZE_MAX for long ones. */
size_t options_distance(struct span a, struct span b);

/* The word of `words` (NULL at the end) most like this one; NULL: none is like it. */
const char *options_guess(const char *word, const char *const *words);

#endif

/*
 * args.h: options of a command, from a table. One thread; no state of its own.
 */
#ifndef WEIR_ARGS_H
#define WEIR_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum args_kind {
	ARGS_STRING,   /* const char * */
	ARGS_COUNT,    /* uint64_t, least..most */
	ARGS_NUMBER,   /* double, least..most */
	ARGS_DURATION, /* int64_t, milliseconds */
	ARGS_CHOICE,   /* int: the index of the word among `choices` */
	ARGS_FLAG,     /* bool, takes no value */
};

struct args_option {
	const char *name; /* without "--" */
	enum args_kind kind;
	void *ret_value;	    /* its type as the kind says; left alone when not given */
	double least, most;	    /* of COUNT and NUMBER */
	const char *const *choices; /* ends with NULL */
};

#define ARGS_HELP 1

/* Reads "--name value" and "--name=value". What is no option goes to `operands` (at most
 * *operand_count, which becomes how many there were); NULL: none allowed. 0, ARGS_HELP (--help or
 * -h), or -EINVAL after one line on stderr that begins with `command`. */
int args_parse(const char *command, int argc, char **argv, const struct args_option *options,
    size_t option_count, const char **operands, size_t *operand_count);

#endif

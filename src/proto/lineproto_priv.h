/*
 * lineproto_priv.h: what the two files of the line protocol share.
 */
#ifndef WEIR_LINEPROTO_PRIV_H
#define WEIR_LINEPROTO_PRIV_H

#include <stdbool.h>

#include "lineproto.h"

struct lineproto {
	const char *begin, *end; /* the line */
	char *scratch;           /* as long as the line: what is unescaped lies at its own offset */
	struct lp_error *error;
	bool odd;                /* some bytes are controls or not ASCII */
};

/* Sets the error; returns -EBADMSG. */
int lineproto_refuse(const struct lineproto *parse, const char *at, const char *code,
    const char *text);

/* Reads the value at *at into field (all but its name); *at is then behind it. 0 or -EBADMSG. */
int lineproto_take_value(const struct lineproto *parse, const char **at, struct lp_field *field);

/* Reads the timestamp at *at (before the line's end); *at is then behind it. 0 or -EBADMSG. */
int lineproto_take_time(const struct lineproto *parse, const char **at, int64_t *ret_time);

#endif

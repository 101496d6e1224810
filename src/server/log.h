/*
 * log.h: structured lines on a descriptor: key=value, or JSON.
 *
 * One line is one write, so lines of several threads do not mix. Values are quoted where needed.
 * Nothing that is secret is given to it: no keys, no query strings. Any thread.
 */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "env.h"
#include "log_ring.h"

/* The orders of the words of log.level and log.format. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Both may change while others log. */
struct log {
	struct env *env;
	int fd;
	struct log_ring *ring; /* keeps lines, too; NULL: none. Set before others log */
	atomic_uint level, format;
};

struct log_field {
	const char *name;  /* NULL: the end of a list */
	const char *text;  /* NULL: the number */
	int64_t number;
};

#define LOG_TEXT(name, text) {name, text, 0}
#define LOG_NUMBER(name, number) {name, NULL, (int64_t)(number)}
#define LOG_FIELDS(...) (const struct log_field[]){__VA_ARGS__, {NULL, NULL, 0}}

void log_init(struct log *log, struct env *env, int fd);

/* Whether lines of this level are written: for what is costly to say. */
bool log_wants(const struct log *log, enum log_level level);

/* `event` is one word; `fields` (LOG_FIELDS) may be NULL. What does not fit into 4 KiB is cut. */
void log_event(struct log *log, enum log_level level, const char *event,
    const struct log_field *fields);

#endif

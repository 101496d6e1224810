/*
 * serve.h: `weir serve`, and what `weir demo` shares with it: options, settings, signals, the wait
 * for the end.
 */
#ifndef WEIR_SERVE_H
#define WEIR_SERVE_H

#include <stdbool.h>

#include "options.h"
#include "log.h"
#include "server.h"
#include "settings.h"

#define SERVE_LISTEN_DEFAULT "http://127.0.0.1:8080"

/* What the options of serve say. */
struct serve_args {
	const char *config, *data, *log_format, *log_level;
	struct options_list listen, sets;
	bool check_config;
};

/* Rows of a table of options that fill `args`, for a command's own table. */
#define SERVE_OPTIONS(args)                                                                    \
	{"config", "FILE", OPTIONS_TEXT, false, &(args)->config,                                  \
	    "a file of settings; `weir help settings` describes them"},                        \
	{"set", "SECTION.KEY=VALUE", OPTIONS_LIST, false, &(args)->sets,                          \
	    "one setting; may be repeated; wins over file and environment"},                   \
	{"log-format", "text|json", OPTIONS_TEXT, false, &(args)->log_format,                     \
	    "as --set log.format=…"},                                                          \
	{"log-level", "LEVEL", OPTIONS_TEXT, false, &(args)->log_level,                           \
	    "debug, info, warn or error, as --set log.level=…"},                               \
	{"check-config", NULL, OPTIONS_FLAG, false, &(args)->check_config,                        \
	    "check the settings and end"}

/* What a program does around its server. Members may be NULL. */
struct serve_hooks {
	int (*started)(void *ctx, struct server *server, struct log *log); /* 0 or -errno: end */
	void (*stopping)(void *ctx);
	void *ctx;
	const char *demo_key;
};

/* Reads the settings, serves until a signal, ends. An exit code. `args` without listen: the
 * default. With check_config only the settings are read. */
int serve_program(struct serve_args *args, const struct serve_hooks *hooks);

/* `weir serve`. */
int serve_main(int argc, char **argv);

#endif

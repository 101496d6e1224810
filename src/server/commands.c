/*
 * commands.c: the table of commands, and the help on topics that are no commands.
 */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include "admin.h"
#include "options.h"
#include "check.h"
#include "demo.h"
#include "inspect.h"
#include "metrics.h"
#include "serve.h"
#include "settings.h"
#include "tools.h"

enum { WORDS_MAX = 32 };

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

static const struct command commands[] = {
    {"serve", serve_main, "serve from a data directory"},
    {"demo", demo_main, "serve a simulated fleet, on loopback, to look at"},
    {"inspect", inspect_main, "what is in a data directory, and what of it is damaged"},
    {"simulate", tools_simulate_main, "send what a simulated fleet measures to a server"},
    {"bench", tools_bench_main, "measure this binary"},
    {"admin", admin_main, "accounts, keys, secrets, with the server running or not"},
    {"bench", tools_bench_main, "measure this binary on this machine"},
};

struct topic {
	const char *name;
	void (*print)(struct buf *out);
	const char *summary;
};

static const struct topic topics[] = {
    {"settings", settings_print, "every setting with its bounds and default"},
    {"metrics", metrics_print_help, "what /metrics says"},
};

static void
help_print(FILE *out)
{
	fprintf(out, "usage: weir COMMAND [OPTIONS]\n\n"
		     "Takes in sensor readings, keeps them, and shows them live.\n\n");
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n  weir COMMAND --help    what a command takes\n");
	for (size_t i = 0; i < ARRAY_COUNT(topics); i++)
		fprintf(out, "  weir help %-12s %s\n", topics[i].name, topics[i].summary);
	fprintf(out, "  weir --version\n");
}

static int
topic_print(const struct topic *topic)
{
	struct buf out;
	buf_init(&out, 0);
	topic->print(&out);
	bool good = buf_ok(&out) && fwrite(out.ptr, 1, out.len, stdout) == out.len;
	buf_finish(&out);
	return good ? 0 : 1;
}

static int
unknown(const char *what, const char *word)
{
	const char *words[WORDS_MAX] = {NULL};
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
		words[i] = commands[i].name;
	const char *guess = options_guess(word, words);
	fprintf(stderr, "weir: there is no %s '%s'", what, word);
	if (guess)
		fprintf(stderr, "; did you mean %s?\n", guess);
	else
		fprintf(stderr, "; see weir --help\n");
	return 2;
}

static int
help_main(int argc, char **argv)
{
	char help[] = "--help";
	if (argc < 2) {
		help_print(stdout);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_COUNT(topics); i++)
		if (strcmp(argv[1], topics[i].name) == 0)
			return topic_print(&topics[i]);
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(2, (char *[]){argv[1], help, NULL});
	return unknown("help on", argv[1]);
}

int
commands_main(int argc, char **argv)
{
	if (argc < 2) {
		help_print(stderr);
		return 2;
	}
	const char *word = argv[1];
	if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) {
		printf("weir " WEIR_VERSION "\n");
		return 0;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
		return help_main(argc - 1, argv + 1);
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
		if (strcmp(word, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	return unknown("command", word);
}

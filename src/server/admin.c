/*
 * admin.c: `weir admin`: its commands, and what they share.
 *
 * A running server is asked over DATA/admin.sock, the ordinary HTTP API; who may open that file is
 * the administrator. Without one the command takes the lock and changes the store itself. Which of
 * the two it is the lock decides, so nothing is guessed from a socket file that a crash left.
 */
#include "admin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin_priv.h"
#include "check.h"
#include "options.h"

int
admin_say(const char *sentence)
{
	fprintf(stderr, "weir admin: %s\n", sentence);
	return 1;
}

int
admin_say_error(const char *what, int error)
{
	fprintf(stderr, "weir admin: %s: %s\n", what, strerror(-error));
	return 1;
}

static bool
name_check(const char *name)
{
	if (store_name_valid(span_str(name)))
		return true;
	fprintf(stderr,
	    "weir admin: '%s' is no name; it must be 1 to %d characters of a-z 0-9 . _ -\n", name,
	    ADMIN_NAME_BYTES_MAX);
	return false;
}

/* ── a running server ── */

struct span
admin_member_text(struct span document, struct span name)
{
	struct json_reader reader;
	json_reader_init(&reader, document, false);
	enum json_token token = json_next(&reader);
	while (token == JSON_OBJECT && (token = json_next(&reader)) == JSON_KEY) {
		bool found = json_text_eq(&reader, name);
		token = json_next(&reader);
		if (found && token == JSON_STRING)
			return reader.text;
		if (token == JSON_OBJECT || token == JSON_ARRAY)
			token = json_skip(&reader, token);
		if (token == JSON_ERROR)
			break;
		token = JSON_OBJECT;
	}
	return span_of(NULL, 0);
}

int
admin_ask(struct admin *admin, struct http_client **ret_client, const char *method,
    const char *target, struct span body, struct http_client_reply *ret_reply)
{
	char address[DATA_PATH_BYTES];
	snprintf(address, sizeof address, "unix:%s/admin.sock", admin->data);
	struct http_client_options options = {.address = address};
	int error = http_client_create(&options, ret_client);
	if (!error)
		error = http_client_call(
		    *ret_client, method, target, "application/json", body, ret_reply);
	if (error) {
		fprintf(stderr,
		    "weir admin: a server runs on %s, but %s/admin.sock does not answer: %s\n",
		    admin->data, admin->data, strerror(-error));
		return 1;
	}
	if (ret_reply->status < 300)
		return 0;
	struct span detail = admin_member_text(ret_reply->body, SPAN("detail"));
	fprintf(stderr, "weir admin: the server refuses (%u): %.*s\n", ret_reply->status,
	    SPAN_ARG(detail.len ? detail : SPAN("no reason given")));
	return 1;
}

/* ── the commands ── */

static const struct {
	const char *noun; /* NULL: the verb stands alone */
	const struct admin_verb *verbs;
} commands[] = {
    {NULL, admin_account_verbs},
    {"key", admin_key_verbs},
    {"secret", admin_secret_verbs},
};

static int
verb_run(struct admin *admin, const struct admin_verb *verb)
{
	char reason[DATA_REASON_BYTES];
	struct http_client *client = NULL;
	int code;
	admin->env = env_create();
	if (!admin->env)
		return admin_say("out of memory");
	int error = data_open(admin->env, admin->data, &admin->opened, reason);
	if (error == -EWOULDBLOCK) {
		code = verb->online(admin, &client);
	} else if (error) {
		code = admin_say(reason);
	} else {
		code = verb->offline(admin);
		data_close(&admin->opened);
	}
	http_client_destroy(client);
	env_destroy(admin->env);
	return code;
}

static size_t
options_fill(struct admin *admin, const struct admin_verb *verb, struct options_entry *options)
{
	size_t count = 0;
	options[count++] = (struct options_entry){
	    "data", "DIR", OPTIONS_TEXT, true, &admin->data, "the server's data directory"};
	if (verb->takes & ADMIN_NAMES)
		options[count++] = (struct options_entry){"name", "NAME", OPTIONS_TEXT, true,
		    &admin->name, "its name: a-z 0-9 . _ -"};
	if (verb->takes & ADMIN_GRANTS) {
		options[count++] = (struct options_entry){"rights", "LIST", OPTIONS_TEXT, true,
		    &admin->rights, "of read, write, publish, subscribe; with commas"};
		options[count++] = (struct options_entry){"channels", "LIST", OPTIONS_TEXT, false,
		    &admin->channels, "patterns it may use, like 'a/#,b/+'; without: all"};
	}
	if (verb->takes & ADMIN_PASSWORDS) {
		options[count++] = (struct options_entry){"user", "NAME", OPTIONS_TEXT, true,
		    &admin->name, "the person's name: a-z 0-9 . _ -"};
		options[count++] = (struct options_entry){"password-file", "FILE", OPTIONS_TEXT,
		    true, &admin->file,
		    "its first line is the password; - reads it from stdin"};
	}
	options[count] = (struct options_entry){0};
	return count;
}

static int
verb_main(const struct admin_verb *verb, int argc, char **argv)
{
	struct admin admin = {0};
	struct options_entry options[8];
	check(options_fill(&admin, verb, options) < ARRAY_COUNT(options));
	struct options_command command = {
	    .usage = verb->usage, .help = verb->help, .options = options};
	enum options_result result = options_parse(&command, argc, argv, stdout, stderr);
	if (result != OPTIONS_OK)
		return result == OPTIONS_HELP ? 0 : 2;
	buf_init(&admin.channels_json, 0);
	int code = 2;
	if ((!admin.name || name_check(admin.name)) && (!verb->prepare || verb->prepare(&admin)))
		code = verb_run(&admin, verb);
	explicit_bzero(admin.password, sizeof admin.password);
	buf_finish(&admin.channels_json);
	return code;
}

static int
help_print(FILE *out)
{
	fprintf(out, "usage: weir admin COMMAND [OPTIONS]\n\n");
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
		for (const struct admin_verb *verb = commands[i].verbs; verb->name; verb++)
			fprintf(out, "  %s\n", verb->usage);
	fprintf(out,
	    "\nWorks whether a server runs on DIR or not. --help behind a command explains it.\n");
	return out == stdout ? 0 : 2;
}

static bool
asks_help(int argc, char **argv, int at)
{
	return at < argc && (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0);
}

int
admin_main(int argc, char **argv)
{
	if (asks_help(argc, argv, 1))
		return help_print(stdout);
	for (size_t i = 0; argc >= 2 && i < ARRAY_COUNT(commands); i++) {
		int at = commands[i].noun ? 2 : 1;
		if (commands[i].noun && strcmp(argv[1], commands[i].noun) != 0)
			continue;
		if (asks_help(argc, argv, at))
			return help_print(stdout);
		const struct admin_verb *verb = commands[i].verbs;
		for (; at < argc && verb->name; verb++)
			if (strcmp(argv[at], verb->name) == 0)
				return verb_main(verb, argc - at, argv + at);
	}
	return help_print(stderr);
}

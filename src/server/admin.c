/*
 * admin.c: `weir admin key create|list|remove`.
 *
 * A running server is asked over DATA/admin.sock, the ordinary HTTP API; who may open that file is
 * the administrator. Without one the command takes the lock and changes the store itself. Which of
 * the two it is the lock decides, so nothing is guessed from a socket file that a crash left.
 */
#include "admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "access.h"
#include "options.h"
#include "buf.h"
#include "check.h"
#include "data.h"
#include "datetime.h"
#include "http_client.h"
#include "hub.h"
#include "json.h"

#define KEY_NAME_BYTES_MAX 64
#define KEYS_TARGET "/api/v1/admin/keys"

/* One call of the command. */
struct admin {
	const char *data, *name, *rights, *channels;
	uint32_t right_bits;
	struct buf channels_json; /* empty: all */
	struct env *env;
	struct data opened;
};

static int
say(const char *sentence)
{
	fprintf(stderr, "weir admin: %s\n", sentence);
	return 1;
}

static int
say_error(const char *what, int error)
{
	fprintf(stderr, "weir admin: %s: %s\n", what, strerror(-error));
	return 1;
}

/* ── what was asked for ── */

static bool
name_check(const char *name)
{
	size_t len = strlen(name);
	if (len > 0 && len <= KEY_NAME_BYTES_MAX &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len)
		return true;
	fprintf(stderr,
	    "weir admin: '%s' is no name; it must be 1 to %d characters of a-z 0-9 . _ -\n", name,
	    KEY_NAME_BYTES_MAX);
	return false;
}

static bool
rights_check(struct admin *admin)
{
	struct span bad;
	if (access_rights_parse(span_str(admin->rights), &admin->right_bits, &bad) == 0)
		return true;
	fprintf(stderr,
	    "weir admin: '%.*s' is no right; there are read, write, publish, subscribe\n",
	    SPAN_ARG(bad));
	return false;
}

/* "a/#,b" to ["a/#","b"]. */
static bool
channels_check(struct admin *admin)
{
	struct buf *json = &admin->channels_json;
	const char *at = admin->channels;
	while (at) {
		struct span pattern = span_of(at, strcspn(at, ","));
		const char *reason;
		if (hub_pattern_check(pattern, &reason)) {
			fprintf(stderr, "weir admin: '%.*s' is no channel pattern: %s\n",
			    SPAN_ARG(pattern), reason);
			return false;
		}
		buf_append_byte(json, json->len ? ',' : '[');
		json_write_string(json, pattern);
		at = strchr(at, ',');
		at = at ? at + 1 : NULL;
	}
	if (json->len)
		buf_append_byte(json, ']');
	return true;
}

/* ── a running server ── */

/* Member `name` of an object, a string without escapes. */
static struct span
member_text(struct span document, struct span name)
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

/* Asks the server; 0 with *ret_reply, or an exit code after saying why. */
static int
ask(struct admin *admin, struct http_client **ret_client, const char *method, const char *target,
    struct span body, struct http_client_reply *ret_reply)
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
	struct span detail = member_text(ret_reply->body, SPAN("detail"));
	fprintf(stderr, "weir admin: the server refuses (%u): %.*s\n", ret_reply->status,
	    SPAN_ARG(detail.len ? detail : SPAN("no reason given")));
	return 1;
}

static int
create_online(struct admin *admin, struct http_client **ret_client)
{
	struct http_client_reply reply;
	struct buf body;
	buf_init(&body, 0);
	buf_append_str(&body, "{\"name\":");
	json_write_string(&body, span_str(admin->name));
	buf_append_str(&body, ",\"rights\":");
	json_write_string(&body, span_str(admin->rights));
	if (admin->channels_json.len) {
		buf_append_str(&body, ",\"channels\":");
		buf_append_span(&body, buf_span(&admin->channels_json));
	}
	buf_append_byte(&body, '}');
	int code = buf_ok(&body)
		       ? ask(admin, ret_client, "POST", KEYS_TARGET, buf_span(&body), &reply)
		       : say("out of memory");
	buf_finish(&body);
	if (code)
		return code;
	struct span key = member_text(reply.body, SPAN("key"));
	printf("%.*s\n", SPAN_ARG(key));
	return 0;
}

static void
list_head_print(void)
{
	printf("%-6s %-24s %-30s %-24s %s\n", "id", "name", "rights", "made", "channels");
}

/* The strings of an array whose reader stands behind its '[', with commas, as they are given. */
static void
words_take(struct json_reader *reader, struct buf *words)
{
	while (json_next(reader) == JSON_STRING) {
		if (words->len)
			buf_append_byte(words, ',');
		if (buf_reserve(words, reader->text.len) == 0)
			words->len += json_string_decode(reader->text, words->ptr + words->len);
	}
}

/* One object of the server's list, whose reader stands behind its '{'. `words` has a buffer for
 * each of the two members that are lists. */
static bool
list_item_read(struct json_reader *reader, struct buf words[2])
{
	struct span texts[5] = {SPAN("?"), SPAN("?"), SPAN("?"), SPAN("?"), SPAN("?")};
	static const char *const names[] = {"id", "name", "rights", "created", "channels"};
	char made[DATETIME_TEXT_BYTES + 1] = "";
	int64_t created_ms;
	while (json_next(reader) == JSON_KEY) {
		size_t field = 0;
		while (field < 5 && !json_text_eq(reader, span_str(names[field])))
			field++;
		enum json_token token = json_next(reader);
		struct span text = reader->text;
		if (token == JSON_ARRAY) {
			struct buf *list = &words[field == 4];
			words_take(reader, list);
			text = buf_span(list);
		}
		if (token == JSON_ERROR)
			return false;
		if (field < 5)
			texts[field] = text;
	}
	if (datetime_parse(texts[3], 0, &created_ms) == 0)
		datetime_format(made, created_ms);
	printf("%-6.*s %-24.*s %-30.*s %-24s %.*s\n", SPAN_ARG(texts[0]), SPAN_ARG(texts[1]),
	    SPAN_ARG(texts[2]), made, SPAN_ARG(texts[4].len ? texts[4] : SPAN("all")));
	return true;
}

static bool
list_item_print(struct json_reader *reader)
{
	struct buf words[2];
	buf_init(&words[0], 0);
	buf_init(&words[1], 0);
	bool good = list_item_read(reader, words);
	buf_finish(&words[0]);
	buf_finish(&words[1]);
	return good;
}

static int
list_online(struct admin *admin, struct http_client **ret_client)
{
	struct http_client_reply reply;
	struct json_reader reader;
	int code = ask(admin, ret_client, "GET", KEYS_TARGET, span_of(NULL, 0), &reply);
	if (code)
		return code;
	json_reader_init(&reader, reply.body, false);
	bool good = json_next(&reader) == JSON_OBJECT && json_next(&reader) == JSON_KEY &&
		    json_next(&reader) == JSON_ARRAY;
	list_head_print();
	while (good && json_next(&reader) == JSON_OBJECT)
		good = list_item_print(&reader);
	return good ? 0 : say("the server's answer cannot be read");
}

static int
remove_online(struct admin *admin, struct http_client **ret_client)
{
	char target[sizeof KEYS_TARGET + KEY_NAME_BYTES_MAX + 1];
	struct http_client_reply reply;
	snprintf(target, sizeof target, KEYS_TARGET "/%s", admin->name);
	return ask(admin, ret_client, "DELETE", target, span_of(NULL, 0), &reply);
}

/* ── no server: the store itself ── */

struct key_unit {
	struct store_unit unit;
	struct store_key key;
};

static int
add_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct key_unit *add = CONTAINER_OF(unit, struct key_unit, unit);
	return store_key_add(tx, &add->key, &add->key.id, &add->key.version);
}

static int
remove_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct key_unit *remove = CONTAINER_OF(unit, struct key_unit, unit);
	return store_key_remove(tx, remove->key.tenant, remove->key.name, &remove->key.version);
}

static int
create_offline(struct admin *admin)
{
	char key[ACCESS_KEY_BYTES];
	unsigned char hash[ACCESS_HASH_BYTES];
	access_key_generate(admin->env, key);
	access_key_hash(admin->opened.secret, span_of(key, sizeof key), hash);
	struct key_unit add = {
	    .unit = {.apply = add_apply, .urgent = true},
	    .key =
		{
		    .tenant = SPAN("main"),
		    .name = span_str(admin->name),
		    .hash = span_of((const char *)hash, sizeof hash),
		    .rights = admin->right_bits,
		    .channels = buf_span(&admin->channels_json),
		    .created_ms = env_now_ms(admin->env),
		},
	};
	int error = data_run(admin->opened.store, &add.unit);
	if (error == -EEXIST) {
		fprintf(stderr, "weir admin: there is a key named '%s' already\n", admin->name);
		return 1;
	}
	if (error)
		return say_error("the key cannot be stored", error);
	printf("%.*s\n", ACCESS_KEY_BYTES, key);
	return 0;
}

static void
rights_print(uint32_t rights, char ret_text[64])
{
	static const char *const words[] = {"read", "write", "publish", "subscribe"};
	ret_text[0] = '\0';
	for (unsigned i = 0; i < ARRAY_COUNT(words); i++) {
		if (!(rights >> i & 1))
			continue;
		strcat(ret_text, ret_text[0] ? "," : "");
		strcat(ret_text, words[i]);
	}
}

static int
list_each(void *ctx, const struct store_key *key)
{
	char rights[64], made[DATETIME_TEXT_BYTES + 1] = "";
	(void)ctx;
	rights_print(key->rights, rights);
	datetime_format(made, key->created_ms);
	struct json_reader reader;
	struct buf words;
	buf_init(&words, 0);
	json_reader_init(&reader, key->channels, false);
	if (json_next(&reader) == JSON_ARRAY)
		words_take(&reader, &words);
	struct span channels = words.len ? buf_span(&words) : SPAN("all");
	printf("%-6llu %-24.*s %-30s %-24s %.*s\n", (unsigned long long)key->id,
	    SPAN_ARG(key->name), rights, made, SPAN_ARG(channels));
	buf_finish(&words);
	return 0;
}

static int
list_offline(struct admin *admin)
{
	list_head_print();
	int error = store_keys_load(admin->opened.store, list_each, NULL);
	return error ? say_error("the keys cannot be read", error) : 0;
}

static int
remove_offline(struct admin *admin)
{
	struct key_unit remove = {
	    .unit = {.apply = remove_apply, .urgent = true},
	    .key = {.tenant = SPAN("main"), .name = span_str(admin->name)},
	};
	int error = data_run(admin->opened.store, &remove.unit);
	if (error == -ENOENT) {
		fprintf(stderr, "weir admin: there is no key named '%s'\n", admin->name);
		return 1;
	}
	return error ? say_error("the key cannot be removed", error) : 0;
}

/* ── the command ── */

struct verb {
	const char *name;
	int (*online)(struct admin *admin, struct http_client **ret_client);
	int (*offline)(struct admin *admin);
	bool names, grants; /* takes --name; --rights and --channels */
	const char *usage, *help;
};

static const struct verb verbs[] = {
    {"create", create_online, create_offline, true, true,
	"weir admin key create --data DIR --name NAME --rights LIST [--channels LIST]",
	"Makes an application key and prints it, alone, on stdout: the only time that it is\n"
	"shown. Clients send it as `Authorization: Bearer KEY`."},
    {"list", list_online, list_offline, false, false, "weir admin key list --data DIR",
	"Lists the application keys, without the keys themselves."},
    {"remove", remove_online, remove_offline, true, false,
	"weir admin key remove --data DIR --name NAME",
	"Removes a key. A running server refuses it from then on and ends its streams."},
};

static int
verb_run(struct admin *admin, const struct verb *verb)
{
	char reason[DATA_REASON_BYTES];
	struct http_client *client = NULL;
	int code;
	admin->env = env_create();
	if (!admin->env)
		return say("out of memory");
	int error = data_open(admin->env, admin->data, &admin->opened, reason);
	if (error == -EWOULDBLOCK) {
		code = verb->online(admin, &client);
	} else if (error) {
		code = say(reason);
	} else {
		code = verb->offline(admin);
		data_close(&admin->opened);
	}
	http_client_destroy(client);
	env_destroy(admin->env);
	return code;
}

static int
verb_main(const struct verb *verb, int argc, char **argv)
{
	struct admin admin = {0};
	struct options_entry options[5] = {
	    {"data", "DIR", OPTIONS_TEXT, true, &admin.data, "the server's data directory"},
	};
	size_t count = 1;
	if (verb->names)
		options[count++] = (struct options_entry){"name", "NAME", OPTIONS_TEXT, true,
		    &admin.name, "the key's name: a-z 0-9 . _ -"};
	if (verb->grants) {
		options[count++] = (struct options_entry){"rights", "LIST", OPTIONS_TEXT, true,
		    &admin.rights, "of read, write, publish, subscribe; with commas"};
		options[count++] = (struct options_entry){"channels", "LIST", OPTIONS_TEXT, false,
		    &admin.channels, "patterns it may use, like 'a/#,b/+'; without: all"};
	}
	struct options_command command = {
	    .usage = verb->usage, .help = verb->help, .options = options};
	enum options_result result = options_parse(&command, argc, argv, stdout, stderr);
	if (result != OPTIONS_OK)
		return result == OPTIONS_HELP ? 0 : 2;
	buf_init(&admin.channels_json, 0);
	int code = 2;
	if ((!admin.name || name_check(admin.name)) && (!admin.rights || rights_check(&admin)) &&
	    channels_check(&admin))
		code = verb_run(&admin, verb);
	buf_finish(&admin.channels_json);
	return code;
}

static void
help_print(FILE *out)
{
	fprintf(out, "usage: weir admin key COMMAND [OPTIONS]\n\n");
	for (size_t i = 0; i < ARRAY_COUNT(verbs); i++)
		fprintf(out, "  %s\n", verbs[i].usage);
	fprintf(out,
	    "\nWorks whether a server runs on DIR or not. --help behind a command explains it.\n");
}

int
admin_main(int argc, char **argv)
{
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		help_print(stdout);
		return 0;
	}
	if (argc < 2 || strcmp(argv[1], "key") != 0) {
		help_print(stderr);
		return 2;
	}
	if (argc >= 3 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
		help_print(stdout);
		return 0;
	}
	for (size_t i = 0; argc >= 3 && i < ARRAY_COUNT(verbs); i++)
		if (strcmp(argv[2], verbs[i].name) == 0)
			return verb_main(&verbs[i], argc - 2, argv + 2);
	help_print(stderr);
	return 2;
}

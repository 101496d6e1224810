/*
 * admin_key.c: `weir admin key create|list|remove`.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin_priv.h"
#include "check.h"
#include "datetime.h"
#include "hub.h"

#define KEYS_TARGET "/api/v1/admin/keys"

/* ── what was asked for ── */

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

static bool
key_prepare(struct admin *admin)
{
	return (!admin->rights || rights_check(admin)) && channels_check(admin);
}

/* ── a running server ── */

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
		       ? admin_ask(admin, ret_client, "POST", KEYS_TARGET, buf_span(&body), &reply)
		       : admin_say("out of memory");
	buf_finish(&body);
	if (code)
		return code;
	struct span key = admin_member_text(reply.body, SPAN("key"));
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
	int code = admin_ask(admin, ret_client, "GET", KEYS_TARGET, span_of(NULL, 0), &reply);
	if (code)
		return code;
	json_reader_init(&reader, reply.body, false);
	bool good = json_next(&reader) == JSON_OBJECT && json_next(&reader) == JSON_KEY &&
		    json_next(&reader) == JSON_ARRAY;
	list_head_print();
	while (good && json_next(&reader) == JSON_OBJECT)
		good = list_item_print(&reader);
	return good ? 0 : admin_say("the server's answer cannot be read");
}

static int
remove_online(struct admin *admin, struct http_client **ret_client)
{
	char target[sizeof KEYS_TARGET + ADMIN_NAME_BYTES_MAX + 1];
	struct http_client_reply reply;
	snprintf(target, sizeof target, KEYS_TARGET "/%s", admin->name);
	return admin_ask(admin, ret_client, "DELETE", target, span_of(NULL, 0), &reply);
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
		return admin_say_error("the key cannot be stored", error);
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
	return error ? admin_say_error("the keys cannot be read", error) : 0;
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
	return error ? admin_say_error("the key cannot be removed", error) : 0;
}

const struct admin_verb admin_key_verbs[] = {
    {"create", key_prepare, create_online, create_offline, ADMIN_NAMES | ADMIN_GRANTS,
	"weir admin key create --data DIR --name NAME --rights LIST [--channels LIST]",
	"Makes an application key and prints it, alone, on stdout: the only time that it is\n"
	"shown. Clients send it as `Authorization: Bearer KEY`."},
    {"list", NULL, list_online, list_offline, 0, "weir admin key list --data DIR",
	"Lists the application keys, without the keys themselves."},
    {"remove", NULL, remove_online, remove_offline, ADMIN_NAMES,
	"weir admin key remove --data DIR --name NAME",
	"Removes a key. A running server refuses it from then on and ends its streams."},
    {.name = NULL},
};

/*
 * keys.c: application keys: POST, GET and DELETE /api/v1/admin/keys. For the local administrator
 * (DATA/admin.sock); the same code serves persons once they have accounts.
 *
 * Each call is one unit of the store. The unit outlives its request.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "api_priv.h"
#include "check.h"
#include "json.h"

#define KEY_NAME_BYTES_MAX 64
#define KEY_CHANNELS_BYTES_MAX 16384

enum key_verb { KEY_ADD, KEY_LIST, KEY_REMOVE };

struct key_call {
	struct session_request *request;  /* NULL: gone */
	const struct api *api;
	struct mailbox *box;
	enum key_verb verb;
	struct store_unit unit;
	struct mail mail;
	int error;
	struct store_key key;             /* spans lie in what follows */
	char name[KEY_NAME_BYTES_MAX];
	char text[ACCESS_KEY_BYTES];      /* the new key, shown once */
	unsigned char hash[ACCESS_HASH_BYTES];
	struct buf channels;              /* JSON array */
	struct buf out;
	bool any;
};

static void
call_destroy(struct key_call *call)
{
	sodium_memzero(call->text, sizeof call->text);
	buf_finish(&call->channels);
	buf_finish(&call->out);
	free(call);
}

static void
rights_write(struct buf *out, uint32_t rights)
{
	static const struct {
		uint32_t right;
		const char *word;
	} words[] = {{ACCESS_READ, "read"}, {ACCESS_WRITE, "write"}, {ACCESS_PUBLISH, "publish"},
	    {ACCESS_SUBSCRIBE, "subscribe"}};
	bool any = false;
	buf_append_byte(out, '[');
	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		if (!(rights & words[i].right))
			continue;
		buf_printf(out, "%s\"%s\"", any ? "," : "", words[i].word);
		any = true;
	}
	buf_append_byte(out, ']');
}

/* {"id":…,"name":…,"rights":…,"channels":…,"created":… without the closing brace. */
static void
key_write(struct buf *out, const struct store_key *key)
{
	buf_printf(out, "{\"id\":%llu,\"name\":", (unsigned long long)key->id);
	json_write_string(out, key->name);
	buf_append_str(out, ",\"rights\":");
	rights_write(out, key->rights);
	buf_append_str(out, ",\"channels\":");
	buf_append_span(out, key->channels.len ? key->channels : SPAN("[]"));
	buf_append_str(out, ",\"created\":");
	buf_append_i64(out, key->created_ms);
}

/* ── on the store's thread ── */

static int
list_each(void *ctx, const struct store_key *key)
{
	struct key_call *call = ctx;
	if (!span_eq(key->tenant, call->key.tenant))
		return 0;
	if (call->any)
		buf_append_byte(&call->out, ',');
	call->any = true;
	key_write(&call->out, key);
	return buf_append_byte(&call->out, '}');
}

static int
find_each(void *ctx, const struct store_key *key)
{
	struct key_call *call = ctx;
	if (span_eq(key->tenant, call->key.tenant) && span_eq(key->name, call->key.name))
		call->key.id = key->id;
	return 0;
}

static int
call_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct key_call *call = CONTAINER_OF(unit, struct key_call, unit);
	struct store_key *key = &call->key;
	if (call->verb == KEY_ADD)
		return store_key_add(tx, key, &key->id, &key->version);
	if (call->verb == KEY_LIST)
		return store_keys_load(store_tx_store(tx), list_each, call);
	int error = store_keys_load(store_tx_store(tx), find_each, call);
	return error ? error : store_key_remove(tx, key->tenant, key->name, &key->version);
}

static void
call_stored(struct store_unit *unit, int error)
{
	struct key_call *call = CONTAINER_OF(unit, struct key_call, unit);
	call->error = error;
	mailbox_send(call->box, &call->mail);
}

/* ── back on the loop ── */

static void
call_fail(const struct key_call *call)
{
	struct session_request *request = call->request;
	if (call->error == -EEXIST)
		session_problem(request, 409, "/name", "there is a key named '%.*s' already",
		    SPAN_ARG(call->key.name));
	else if (call->error == -ENOENT)
		session_problem(request, 404, NULL, "there is no key named '%.*s'",
		    SPAN_ARG(call->key.name));
	else if (call->error == -ENOSPC)
		session_problem(request, 503, NULL, "the disk is full");
	else
		session_problem(request, 500, NULL, "the store failed");
}

static void
call_answer(struct key_call *call)
{
	struct session_request *request = call->request;
	if (call->verb == KEY_REMOVE) {
		session_answer(request, 204, NULL, span_of(NULL, 0));
		return;
	}
	if (call->verb == KEY_LIST) {
		buf_append_str(&call->out, "],\"next\":null}");
		api_answer_buf(request, 200, "application/json", &call->out);
		return;
	}
	key_write(&call->out, &call->key);
	buf_append_str(&call->out, ",\"key\":");
	json_write_string(&call->out, span_of(call->text, sizeof call->text));
	buf_append_byte(&call->out, '}');
	api_answer_buf(request, 201, "application/json", &call->out);
}

static void
call_back(struct mail *mail)
{
	struct key_call *call = CONTAINER_OF(mail, struct key_call, mail);
	const struct api *api = call->api;
	if (!call->error && call->verb == KEY_ADD)
		api->key_changed(api->ctx, &call->key, 0);
	if (!call->error && call->verb == KEY_REMOVE)
		api->key_changed(api->ctx, NULL, call->key.id);
	if (call->request) {
		session_set_state(call->request, NULL);
		if (call->error)
			call_fail(call);
		else
			call_answer(call);
	}
	call_destroy(call);
}

/* ── from the request ── */

static struct key_call *
call_create(struct session_request *request, enum key_verb verb)
{
	const struct api_loop *al = session_app(request);
	struct key_call *call = calloc(1, sizeof *call);
	if (!call) {
		api_no_memory(request);
		return NULL;
	}
	call->request = request;
	call->api = al->api;
	call->box = al->box;
	call->verb = verb;
	call->mail.deliver = call_back;
	call->unit.apply = call_apply;
	call->unit.done = call_stored;
	call->unit.urgent = true;
	call->key.tenant = SPAN("main");
	buf_init(&call->channels, KEY_CHANNELS_BYTES_MAX);
	buf_init(&call->out, 0);
	return call;
}

static void
call_submit(struct key_call *call)
{
	session_set_state(call->request, call);
	store_writer_submit(call->api->store, &call->unit);
}

static bool
name_valid(struct span name)
{
	if (name.len == 0 || name.len > KEY_NAME_BYTES_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!name.ptr[i] || !strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", name.ptr[i]))
			return false;
	return true;
}

static bool
name_take(struct key_call *call, struct span name)
{
	if (!name_valid(name)) {
		session_problem(call->request, 422, "/name",
		    "name must be 1 to %d characters of a-z 0-9 . _ -", KEY_NAME_BYTES_MAX);
		return false;
	}
	memcpy(call->name, name.ptr, name.len);
	call->key.name = span_of(call->name, name.len);
	return true;
}

/* One word of the member "rights", in a list or alone. */
static bool
right_take(struct key_call *call, struct span word)
{
	uint32_t rights;
	struct span bad;
	if (access_rights_parse(word, &rights, &bad)) {
		session_problem(call->request, 422, "/rights",
		    "'%.*s' is no right; there are read, write, publish, subscribe", SPAN_ARG(bad));
		return false;
	}
	call->key.rights |= rights;
	return true;
}

static bool
channel_take(struct key_call *call, struct span text)
{
	char plain[HUB_NAME_BYTES_MAX * 6];
	const char *reason = "a pattern has at most 255 bytes";
	size_t len = text.len <= sizeof plain ? json_string_decode(text, plain) : 0;
	if (len == 0 || hub_pattern_check(span_of(plain, len), &reason)) {
		session_problem(call->request, 422, "/channels", "'%.*s' is no channel pattern: %s",
		    (int)MIN(text.len, 255u), text.ptr, reason);
		return false;
	}
	buf_append_byte(&call->channels, call->channels.len ? ',' : '[');
	json_write_string(&call->channels, span_of(plain, len));
	return true;
}

/* A string, or a list of strings, each given to take(). */
static bool
strings_take(struct key_call *call, struct json_reader *reader, const char *member,
    bool (*take)(struct key_call *call, struct span text))
{
	enum json_token token = json_next(reader);
	if (token == JSON_STRING)
		return take(call, reader->text);
	if (token == JSON_ARRAY) {
		while ((token = json_next(reader)) == JSON_STRING)
			if (!take(call, reader->text))
				return false;
		if (token == JSON_ARRAY_END)
			return true;
	}
	session_problem(call->request, 422, member, "must be a string or a list of strings");
	return false;
}

static bool
member_take(struct key_call *call, struct json_reader *reader)
{
	if (json_text_eq(reader, SPAN("name"))) {
		if (json_next(reader) == JSON_STRING)
			return name_take(call, reader->text);
		session_problem(call->request, 422, "/name", "name must be a string");
		return false;
	}
	if (json_text_eq(reader, SPAN("rights")))
		return strings_take(call, reader, "/rights", right_take);
	if (json_text_eq(reader, SPAN("channels")))
		return strings_take(call, reader, "/channels", channel_take);
	session_problem(call->request, 422, NULL, "'%.*s' is no member of a key",
	    SPAN_ARG(reader->text));
	return false;
}

/* The body is JSON. false: answered. */
static bool
key_parse(struct key_call *call, struct json_reader *reader)
{
	if (json_next(reader) != JSON_OBJECT) {
		session_problem(call->request, 422, NULL, "the body must be an object");
		return false;
	}
	while (json_next(reader) == JSON_KEY)
		if (!member_take(call, reader))
			return false;
	if (!call->key.name.len || !call->key.rights) {
		session_problem(call->request, 422, call->key.name.len ? "/rights" : "/name",
		    "a key needs a name and rights");
		return false;
	}
	if (call->channels.len)
		buf_append_byte(&call->channels, ']');
	return true;
}

static void
add_end(struct session_request *request, struct span whole)
{
	struct json_reader reader;
	struct key_call *call = api_json_check(request, whole) ?
	    call_create(request, KEY_ADD) : NULL;
	if (!call)
		return;
	json_reader_init(&reader, whole, false);
	if (!key_parse(call, &reader)) {
		call_destroy(call);
		return;
	}
	access_key_generate(call->api->env, call->text);
	access_key_hash(call->api->secret, span_of(call->text, sizeof call->text), call->hash);
	call->key.hash = span_of((const char *)call->hash, sizeof call->hash);
	call->key.channels = buf_span(&call->channels);
	call->key.created_ms = env_now_ms(call->api->env);
	call_submit(call);
}

static void
list_end(struct session_request *request, struct span whole)
{
	struct key_call *call = call_create(request, KEY_LIST);
	(void)whole;
	if (!call)
		return;
	buf_append_str(&call->out, "{\"items\":[");
	call_submit(call);
}

static void
remove_end(struct session_request *request, struct span whole)
{
	struct key_call *call = call_create(request, KEY_REMOVE);
	(void)whole;
	if (!call)
		return;
	if (!name_take(call, session_path_param(request, "name"))) {
		call_destroy(call);
		return;
	}
	call_submit(call);
}

static void
call_gone(struct session_request *request, bool broken)
{
	struct key_call *call = session_state(request);
	(void)broken;
	if (call)
		call->request = NULL;
}

static const struct session_route_ops add_ops = {.end = add_end, .gone = call_gone};
static const struct session_route_ops list_ops = {.end = list_end, .gone = call_gone};
static const struct session_route_ops remove_ops = {.end = remove_end, .gone = call_gone};

static const struct session_doc add_doc = {
	.body = {"KeyNew"},
	.answers = {
		{201, "KeyMade", "The key; this is the only time it is shown."},
		{409, "", "A key has this name already."},
		{422, "", "A member is missing, unknown, or has no valid value."},
		{500, "", "The store failed."},
	},
};

static const struct session_doc list_doc = {
	.answers = {
		{200, "KeyPage", "All keys."},
		{500, "", "The store failed."},
	},
};

static const struct session_doc remove_doc = {
	.path = {{"name", "Name", "The key's name."}},
	.answers = {
		{204, "", "It is gone."},
		{404, "", "There is no key of this name."},
		{422, "", "No key can have this name."},
		{500, "", "The store failed."},
	},
};

const struct session_route api_keys_routes[] = {
	{
		.path = "/api/v1/admin/keys",
		.methods = SESSION_POST,
		.rights = ACCESS_ADMIN,
		.ops = &add_ops,
		.summary = "A new application key, shown once",
		.doc = &add_doc,
	},
	{
		.path = "/api/v1/admin/keys",
		.methods = SESSION_GET,
		.rights = ACCESS_ADMIN,
		.ops = &list_ops,
		.summary = "All application keys, without the keys themselves",
		.doc = &list_doc,
	},
	{
		.path = "/api/v1/admin/keys/{name}",
		.methods = SESSION_DELETE,
		.rights = ACCESS_ADMIN,
		.ops = &remove_ops,
		.summary = "Removes an application key; its connections end",
		.doc = &remove_doc,
	},
	{.path = NULL},
};

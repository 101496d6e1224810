/*
 * keys.c: application keys: POST, GET and DELETE /api/v1/admin/keys. For the local administrator
 * (DATA/admin.sock); the same code serves persons once they have accounts.
 */
#include <errno.h>
#include <sodium.h>

#include "access_change.h"
#include "admin_call.h"
#include "admin_json.h"
#include "check.h"
#include "registry.h"

#define KEY_CHANNELS_BYTES_MAX 16384

struct key_call {
	struct admin_call call;
	struct store_key key;             /* its spans are kept by the call */
	struct buf channels;              /* JSON array; moved into the call's memory */
	char text[ACCESS_KEY_BYTES];      /* the new key, shown once */
	unsigned char hash[ACCESS_HASH_BYTES];
	bool any;
};

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
add_apply(struct admin_call *call, struct store_tx *tx)
{
	struct key_call *kc = (struct key_call *)call;
	struct store_key *key = &kc->key;
	int error = store_key_add(tx, key, &key->id, &key->version);
	struct span shown;

	if (error == -EEXIST)
		return admin_call_refuse(call, 409, "/name",
		    "there is a key named '%.*s' already", SPAN_ARG(key->name));
	if (error == 0)
		error = access_change_key(admin_call_change(call), key);
	if (error)
		return error;
	key_write(&call->out, key);
	buf_append_byte(&call->out, '}');
	shown = admin_call_keep(call, buf_span(&call->out));
	error = admin_call_audit(call, tx, "key.add", key->name, SPAN(""), shown);
	call->out.len--;
	buf_append_str(&call->out, ",\"key\":");
	json_write_string(&call->out, span_of(kc->text, sizeof kc->text));
	buf_append_byte(&call->out, '}');
	call->status = 201;
	return error;
}

static int
list_each(void *ctx, const struct store_key *key)
{
	struct key_call *kc = ctx;
	struct buf *out = &kc->call.out;

	if (!span_eq(key->tenant, kc->call.tenant))
		return 0;
	if (kc->any)
		buf_append_byte(out, ',');
	kc->any = true;
	key_write(out, key);
	return buf_append_byte(out, '}');
}

static int
list_apply(struct admin_call *call, struct store_tx *tx)
{
	int error;

	buf_append_str(&call->out, "{\"items\":[");
	error = store_keys_load(store_tx_store(tx), list_each, call);
	buf_append_str(&call->out, "],\"next\":null}");
	return error;
}

static int
find_each(void *ctx, const struct store_key *key)
{
	struct key_call *kc = ctx;

	kc->key.id = key->id;
	key_write(&kc->call.out, key);
	return buf_append_byte(&kc->call.out, '}');
}

static int
remove_apply(struct admin_call *call, struct store_tx *tx)
{
	struct key_call *kc = (struct key_call *)call;
	struct store_key *key = &kc->key;
	int error = store_key_find(store_tx_store(tx), key->tenant, key->name, find_each, kc);

	if (error == 0)
		error = store_key_remove(tx, key->tenant, key->name, &key->version);
	if (error == -ENOENT)
		return admin_call_refuse(call, 404, NULL, "there is no key named '%.*s'",
		    SPAN_ARG(key->name));
	if (error == 0)
		error = access_change_key_gone(admin_call_change(call), key->id);
	if (error == 0)
		error = admin_call_audit(call, tx, "key.remove", key->name,
		    admin_call_keep(call, buf_span(&call->out)), SPAN(""));
	buf_clear(&call->out);
	call->status = 204;
	return error;
}

/* ── from the request ── */

static int
name_take(struct key_call *kc, struct span name, const char *pointer)
{
	if (!store_name_valid(name))
		return admin_call_refuse(&kc->call, 422, pointer,
		    "name must be 1 to %d characters of a-z 0-9 . _ -", STORE_NAME_BYTES_MAX);
	kc->key.name = admin_call_keep(&kc->call, name);
	return 0;
}

/* One word of the member "rights", in a list or alone. */
static int
right_take(struct admin_call *call, struct span word, const char *pointer)
{
	uint32_t rights;
	struct span bad;

	if (access_rights_parse(word, &rights, &bad))
		return admin_call_refuse(call, 422, pointer,
		    "'%.*s' is no right; there are read, write, publish, subscribe",
		    SPAN_ARG(bad));
	((struct key_call *)call)->key.rights |= rights;
	return 0;
}

static int
channel_take(struct admin_call *call, struct span text, const char *pointer)
{
	struct key_call *kc = (struct key_call *)call;
	const char *reason = "a pattern has at most 255 bytes";

	if (text.len == 0 || text.len > HUB_NAME_BYTES_MAX || hub_pattern_check(text, &reason))
		return admin_call_refuse(call, 422, pointer, "'%.*s' is no channel pattern: %s",
		    (int)MIN(text.len, 100u), text.ptr, reason);
	buf_append_byte(&kc->channels, kc->channels.len ? ',' : '[');
	json_write_string(&kc->channels, text);
	return 0;
}

static int
key_read(struct key_call *kc, struct span body)
{
	static const char *const known[] = {"name", "rights", "channels", NULL};
	struct admin_call *call = &kc->call;
	const struct admin_member *member;
	struct admin_object object;
	struct span name = {NULL, 0};
	int error = admin_json_body(call, body, false, &object);

	if (error == 0)
		error = admin_json_only(call, &object, known);
	if (error == 0)
		error = admin_json_text(call, &object, "name", STORE_NAME_BYTES_MAX, &name);
	if (error == 0)
		error = name_take(kc, name, "/name");
	member = error ? NULL : admin_json_get(&object, "rights");
	if (member)
		error = admin_json_strings(call, member, right_take);
	if (error == 0 && !kc->key.rights)
		return admin_call_refuse(call, 422, "/rights", "a key needs rights");
	member = error ? NULL : admin_json_get(&object, "channels");
	if (member)
		error = admin_json_strings(call, member, channel_take);
	if (error == 0 && kc->channels.len)
		buf_append_byte(&kc->channels, ']');
	if (error == 0 && !buf_ok(&kc->channels))
		return admin_call_refuse(call, 422, "/channels", "these are too many");
	return error;
}

static struct key_call *
key_call_create(struct session_request *request, const struct admin_call_ops *ops)
{
	struct key_call *kc = admin_call_create(request, sizeof *kc, ops);

	if (kc)
		kc->key.tenant = kc->call.tenant;
	return kc;
}

static void
add_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = add_apply,
	    .what = ACCESS_A_KEY, .verb = ACCESS_CHANGE};
	struct key_call *kc = key_call_create(request, &ops);
	int error;

	if (!kc)
		return;
	buf_init(&kc->channels, KEY_CHANNELS_BYTES_MAX);
	error = key_read(kc, whole);
	access_key_generate(kc->call.api->env, kc->text);
	access_key_hash(kc->call.api->secret, span_of(kc->text, sizeof kc->text), kc->hash);
	kc->key.hash = span_of((const char *)kc->hash, sizeof kc->hash);
	kc->key.channels = admin_call_keep(&kc->call, buf_span(&kc->channels));
	kc->key.created_ms = kc->call.now_ms;
	buf_finish(&kc->channels);
	admin_call_run(&kc->call, error);
}

static void
list_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = list_apply,
	    .what = ACCESS_A_KEY, .verb = ACCESS_SEE};
	struct key_call *kc = key_call_create(request, &ops);

	(void)whole;
	if (kc)
		admin_call_run(&kc->call, 0);
}

static void
remove_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = remove_apply,
	    .what = ACCESS_A_KEY, .verb = ACCESS_CHANGE};
	struct key_call *kc = key_call_create(request, &ops);

	(void)whole;
	if (kc)
		admin_call_run(&kc->call,
		    name_take(kc, session_path_param(request, "name"), "/name"));
}

static const struct session_route_ops add_ops = {.end = add_end, .gone = admin_call_gone};
static const struct session_route_ops list_ops = {.end = list_end, .gone = admin_call_gone};
static const struct session_route_ops remove_ops = {.end = remove_end, .gone = admin_call_gone};

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

/*
 * admin_things.c: what devices and gateways share: tokens, and free configurations.
 */
#include "admin_things.h"

#include <errno.h>

#include "access_registry.h"
#include "check.h"
#include "logins.h"
#include "registry.h"

/* ── tokens ── */

struct span
admin_things_token(struct admin_call *call)
{
	char *token = admin_call_alloc(call, ACCESS_TOKEN_BYTES);

	if (!token)
		return span_of(NULL, 0);
	access_token_generate(call->api->env, token);
	return span_of(token, ACCESS_TOKEN_BYTES);
}

struct span
admin_things_hash(struct admin_call *call, const char *kind, struct span id, struct span token)
{
	unsigned char *hash = admin_call_alloc(call, ACCESS_HASH_BYTES);

	if (!hash)
		return span_of(NULL, 0);
	access_token_hash(call->api->secret, kind, call->tenant, id, token, hash);
	return span_of((const char *)hash, ACCESS_HASH_BYTES);
}

int
admin_things_auth(struct admin_call *call, struct span body, struct span *ret_token)
{
	static const char *const known[] = {"auth", NULL};
	struct span token = {NULL, 0};
	struct admin_object object;
	int error = admin_json_body(call, body, false, &object);

	if (error == 0)
		error = admin_json_only(call, &object, known);
	if (error == 0)
		error = admin_json_digits(call, &object, "auth", ADMIN_TOKEN_BYTES_MAX, &token);
	if (error == 0 && token.len == 0)
		error = admin_call_refuse(call, 422, "/auth", "auth is missing");
	if (error == 0)
		*ret_token = token;
	return error;
}

int
admin_things_try(struct admin_call *call, struct span account)
{
	uint64_t wait_ms = logins_try(call->api->logins, account, call->from);

	if (wait_ms == 0)
		return 0;
	call->retry_after_s = (unsigned)((wait_ms + 999) / 1000);
	return admin_call_refuse(call, 429, NULL, "too many logins failed; come again later");
}

void
admin_things_right(struct admin_call *call, struct span account)
{
	logins_right(call->api->logins, account, call->from);
}

/* "device:7@main": no name of a person has a colon. */
static struct span
account_of(struct admin_call *call, const char *kind, struct span id)
{
	struct buf text;
	struct span account;

	buf_init(&text, 0);
	buf_printf(&text, "%s:%.*s@%.*s", kind, SPAN_ARG(id), SPAN_ARG(call->tenant));
	call->no_memory |= !buf_ok(&text);
	account = admin_call_keep(call, buf_span(&text));
	buf_finish(&text);
	return account;
}

int
admin_things_login(struct admin_call *call, const char *kind, struct span id,
    struct span token, struct span hash)
{
	struct span mine = admin_things_hash(call, kind, id, token);
	struct span account = account_of(call, kind, id);
	int error = admin_things_try(call, account);

	if (error)
		return error;
	if (mine.len && access_secret_equal(mine, hash)) {
		admin_things_right(call, account);
		return 0;
	}
	return admin_call_refuse(call, 401, NULL, "id and auth do not belong together");
}

/* ── configurations ── */

struct entry {
	struct span name, value;
};

struct merge {
	struct entry entries[2 * ADMIN_MEMBERS_MAX];
	size_t count;
};

static void
merge_set(struct merge *merge, struct span name, struct span value)
{
	size_t i = 0;

	while (i < merge->count && !span_eq(merge->entries[i].name, name))
		i++;
	merge->entries[i] = (struct entry){name, value};
	merge->count += i == merge->count;
}

static void
merge_remove(struct merge *merge, struct span name)
{
	size_t to = 0;

	for (size_t i = 0; i < merge->count; i++)
		if (!span_eq(merge->entries[i].name, name))
			merge->entries[to++] = merge->entries[i];
	merge->count = to;
}

static int
merge_member(struct admin_call *call, struct merge *merge, const struct admin_member *member)
{
	if (member->name.len == 0 || member->name.len > STORE_NAME_BYTES_MAX ||
	    admin_json_controls(member->name))
		return admin_call_refuse(call, 422, member->pointer,
		    "a name has 1 to %d bytes and no control characters", STORE_NAME_BYTES_MAX);
	if (member->type == JSON_NULL) {
		merge_remove(merge, member->name);
		return 0;
	}
	if (member->type != JSON_STRING && member->type != JSON_NUMBER)
		return admin_call_refuse(call, 422, member->pointer,
		    "a value is a string or a number; null deletes it");
	if (member->text.len > ADMIN_CONFIG_VALUE_BYTES_MAX || admin_json_controls(member->text))
		return admin_call_refuse(call, 422, member->pointer,
		    "a value has at most %d bytes and no control characters",
		    ADMIN_CONFIG_VALUE_BYTES_MAX);
	merge_set(merge, member->name, member->text);
	return 0;
}

static int
merge_write(struct admin_call *call, const struct merge *merge, struct span *ret_config)
{
	struct buf out;

	if (merge->count > ADMIN_MEMBERS_MAX)
		return admin_call_refuse(call, 422, NULL,
		    "a configuration has at most %d members", ADMIN_MEMBERS_MAX);
	buf_init(&out, 0);
	for (size_t i = 0; i < merge->count; i++) {
		buf_append_byte(&out, i ? ',' : '{');
		json_write_string(&out, merge->entries[i].name);
		buf_append_byte(&out, ':');
		json_write_string(&out, merge->entries[i].value);
	}
	if (merge->count)
		buf_append_byte(&out, '}');
	call->no_memory |= !buf_ok(&out);
	*ret_config = admin_call_keep(call, buf_span(&out));
	buf_finish(&out);
	if (ret_config->len > STORE_DOCUMENT_BYTES_MAX)
		return admin_call_refuse(call, 422, NULL,
		    "a configuration has at most %d bytes", STORE_DOCUMENT_BYTES_MAX);
	return 0;
}

int
admin_things_merge(struct admin_call *call, struct span config,
    const struct admin_object *changes,
    int (*own)(struct admin_call *call, const struct admin_member *member),
    struct span *ret_config)
{
	struct merge *merge = admin_call_alloc(call, sizeof *merge);
	struct admin_object stored;
	int error;

	if (!merge)
		return -ENOMEM;
	merge->count = 0;
	error = admin_json_object(call, config, "", &stored);
	for (size_t i = 0; error == 0 && i < stored.count; i++)
		merge_set(merge, stored.members[i].name, stored.members[i].text);
	for (size_t i = 0; error == 0 && i < changes->count; i++) {
		const struct admin_member *member = &changes->members[i];

		error = own(call, member);
		if (error == 0)
			error = merge_member(call, merge, member);
		else if (error > 0)
			error = 0;
	}
	return error ? error : merge_write(call, merge, ret_config);
}

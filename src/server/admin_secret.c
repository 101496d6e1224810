/*
 * admin_secret.c: `weir admin secret create|list|remove|rotate`: what signs JWTs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "access_signing.h"
#include "admin_priv.h"
#include "check.h"
#include "datetime.h"

#define SECRETS_TARGET "/api/v1/admin/secrets"
#define ROTATE_TARGET "/api/v1/admin/token/rotate"
#define TENANT SPAN("main")

enum { OVERLAP_MS = 3600 * 1000 }; /* the setting access.token_s, where nobody changed it */

/* ── a running server ── */

static int
create_online(struct admin *admin, struct http_client **ret_client)
{
	struct http_client_reply reply;
	char body[sizeof "{\"name\":\"\"}" + ADMIN_NAME_BYTES_MAX];
	/* A name that was checked has nothing to escape. */
	int len = snprintf(body, sizeof body, "{\"name\":\"%s\"}", admin->name);
	int code = admin_ask(admin, ret_client, "POST", SECRETS_TARGET,
	    span_of(body, (size_t)len), &reply);
	if (code)
		return code;
	struct span id = admin_member_text(reply.body, SPAN("id"));
	struct span secret = admin_member_text(reply.body, SPAN("secret"));
	printf("%.*s %.*s\n", SPAN_ARG(id), SPAN_ARG(secret));
	return 0;
}

static void
row_print(struct span id, struct span name, int64_t created_ms)
{
	char made[DATETIME_TEXT_BYTES + 1] = "";
	datetime_format(made, created_ms);
	printf("%-6.*s %-24.*s %s\n", SPAN_ARG(id), SPAN_ARG(name), made);
}

static void
head_print(void)
{
	printf("%-6s %-24s %s\n", "id", "name", "made");
}

/* One object of the server's list, whose reader stands behind its '{'. */
static bool
item_print(struct json_reader *reader)
{
	struct span id = SPAN("?"), name = SPAN("?");
	int64_t created_ms = 0;
	while (json_next(reader) == JSON_KEY) {
		bool is_id = json_text_eq(reader, SPAN("id"));
		bool is_name = json_text_eq(reader, SPAN("name"));
		enum json_token token = json_next(reader);
		if (token == JSON_ERROR)
			return false;
		if (is_id)
			id = reader->text;
		else if (is_name)
			name = reader->text;
		else if (token == JSON_NUMBER)
			(void)datetime_parse(reader->text, 0, &created_ms);
	}
	row_print(id, name, created_ms);
	return true;
}

static int
list_online(struct admin *admin, struct http_client **ret_client)
{
	char target[sizeof SECRETS_TARGET + 64];
	struct http_client_reply reply;
	struct json_reader reader;
	bool good = true;
	snprintf(target, sizeof target, SECRETS_TARGET "?limit=%d", STORE_LIST_MAX);
	int code = admin_ask(admin, ret_client, "GET", target, span_of(NULL, 0), &reply);
	if (code)
		return code;
	json_reader_init(&reader, reply.body, false);
	good = json_next(&reader) == JSON_OBJECT && json_next(&reader) == JSON_KEY &&
	       json_next(&reader) == JSON_ARRAY;
	head_print();
	while (good && json_next(&reader) == JSON_OBJECT)
		good = item_print(&reader);
	return good ? 0 : admin_say("the server's answer cannot be read");
}

static int
remove_online(struct admin *admin, struct http_client **ret_client)
{
	char target[sizeof SECRETS_TARGET + ADMIN_NAME_BYTES_MAX + 1];
	struct http_client_reply reply;
	snprintf(target, sizeof target, SECRETS_TARGET "/%s", admin->name);
	return admin_ask(admin, ret_client, "DELETE", target, span_of(NULL, 0), &reply);
}

static int
rotate_online(struct admin *admin, struct http_client **ret_client)
{
	struct http_client_reply reply;
	int code =
	    admin_ask(admin, ret_client, "POST", ROTATE_TARGET, span_of(NULL, 0), &reply);
	if (code)
		return code;
	struct span id = admin_member_text(reply.body, SPAN("id"));
	printf("%.*s\n", SPAN_ARG(id));
	return 0;
}

/* ── no server: the store itself ── */

struct secret_unit {
	struct store_unit unit;
	struct access_signing signing;
	struct store_secret secret;
	char text[ACCESS_KEY_BYTES];
};

static struct secret_unit
unit_of(struct admin *admin, int (*apply)(struct store_unit *unit, struct store_tx *tx))
{
	return (struct secret_unit){
	    .unit = {.apply = apply, .urgent = true},
	    .signing = {admin->env, admin->opened.secret, NULL},
	    .secret =
		{
		    .tenant = TENANT,
		    .name = span_str(admin->name ? admin->name : ""),
		    .kind = STORE_SECRET_APPLICATION,
		    .created_ms = env_now_ms(admin->env),
		},
	};
}

static int
add_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct secret_unit *su = CONTAINER_OF(unit, struct secret_unit, unit);
	return access_signing_add(&su->signing, tx, &su->secret, su->text);
}

static int
remove_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct secret_unit *su = CONTAINER_OF(unit, struct secret_unit, unit);
	struct store_secret *secret = &su->secret;
	return store_secret_remove(
	    tx, secret->tenant, secret->kind, secret->name, &secret->id, &secret->version);
}

static int
rotate_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct secret_unit *su = CONTAINER_OF(unit, struct secret_unit, unit);
	return access_signing_rotate(
	    &su->signing, tx, su->secret.created_ms, OVERLAP_MS, &su->secret.id);
}

static int
create_offline(struct admin *admin)
{
	struct secret_unit add = unit_of(admin, add_apply);
	int error = data_run(admin->opened.store, &add.unit);
	if (error == -EEXIST) {
		fprintf(
		    stderr, "weir admin: there is a secret named '%s' already\n", admin->name);
		return 1;
	}
	if (error)
		return admin_say_error("the secret cannot be stored", error);
	printf("%llu %.*s\n", (unsigned long long)add.secret.id, ACCESS_KEY_BYTES, add.text);
	explicit_bzero(add.text, sizeof add.text);
	return 0;
}

static int
list_each(void *ctx, const struct store_secret *secret)
{
	char id[24];
	int len = snprintf(id, sizeof id, "%llu", (unsigned long long)secret->id);
	(void)ctx;
	row_print(span_of(id, (size_t)len), secret->name, secret->created_ms);
	return 0;
}

static int
list_offline(struct admin *admin)
{
	struct store_page page = {.limit = STORE_LIST_MAX};
	head_print();
	int error = store_secrets_list(
	    admin->opened.store, TENANT, STORE_SECRET_APPLICATION, &page, list_each, NULL);
	return error ? admin_say_error("the secrets cannot be read", error) : 0;
}

static int
remove_offline(struct admin *admin)
{
	struct secret_unit remove = unit_of(admin, remove_apply);
	int error = data_run(admin->opened.store, &remove.unit);
	if (error == -ENOENT) {
		fprintf(stderr, "weir admin: there is no secret named '%s'\n", admin->name);
		return 1;
	}
	return error ? admin_say_error("the secret cannot be removed", error) : 0;
}

static int
rotate_offline(struct admin *admin)
{
	struct secret_unit rotate = unit_of(admin, rotate_apply);
	int error = data_run(admin->opened.store, &rotate.unit);
	if (error)
		return admin_say_error("the secret cannot be stored", error);
	printf("%llu\n", (unsigned long long)rotate.secret.id);
	return 0;
}

const struct admin_verb admin_secret_verbs[] = {
    {"create", NULL, create_online, create_offline, ADMIN_NAMES,
	"weir admin secret create --data DIR --name NAME",
	"Makes a secret with which an application signs JWTs (HS256) for its subscribers, and\n"
	"prints its id, which is the `kid` of these tokens, and the secret: the only time that\n"
	"it is shown."},
    {"list", NULL, list_online, list_offline, 0, "weir admin secret list --data DIR",
	"Lists the secrets of applications (the first 1,000), without the secrets themselves."},
    {"remove", NULL, remove_online, remove_offline, ADMIN_NAMES,
	"weir admin secret remove --data DIR --name NAME",
	"Removes a secret. A running server refuses what it signed from then on."},
    {"rotate", NULL, rotate_online, rotate_offline, 0, "weir admin secret rotate --data DIR",
	"Makes another secret for signing the tokens of persons and prints its id. The one\n"
	"before it stays valid as long as a token lives (an hour, or access.token_s of a\n"
	"running server)."},
    {.name = NULL},
};

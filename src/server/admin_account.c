/*
 * admin_account.c: `weir admin create`: the first administrator, who makes all others.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin_priv.h"
#include "check.h"

#define USERS_TARGET "/api/v1/admin/users"
#define TENANT SPAN("main")

/* ── the password ── */

/* The first line of a file into admin->password. */
static bool
password_read(struct admin *admin)
{
	/* One more than a password may have, its end of line, and a NUL. */
	char line[ACCESS_PASSWORD_BYTES_MAX + 4];
	bool is_stdin = strcmp(admin->file, "-") == 0;
	FILE *in = is_stdin ? stdin : fopen(admin->file, "r");
	if (!in) {
		fprintf(stderr, "weir admin: %s cannot be read: %s\n", admin->file,
		    strerror(errno));
		return false;
	}
	setvbuf(in, NULL, _IONBF, 0); /* no copy stays in a buffer */
	bool good = fgets(line, sizeof line, in) != NULL;
	if (!is_stdin)
		fclose(in);
	if (good) {
		size_t len = strcspn(line, "\r\n");
		good = len < sizeof admin->password;
		memcpy(admin->password, line, good ? len : 0);
	}
	explicit_bzero(line, sizeof line);
	if (!good)
		fprintf(stderr, "weir admin: %s holds no password of %d to %d bytes\n",
		    is_stdin ? "stdin" : admin->file, ACCESS_PASSWORD_BYTES_MIN,
		    ACCESS_PASSWORD_BYTES_MAX);
	return good;
}

static bool
account_prepare(struct admin *admin)
{
	if (!password_read(admin))
		return false;
	const char *flaw =
	    access_password_flaw(span_str(admin->name), span_str(admin->password));
	if (flaw)
		fprintf(stderr, "weir admin: this password will not do: %s\n", flaw);
	return !flaw;
}

/* ── a running server ── */

static int
create_online(struct admin *admin, struct http_client **ret_client)
{
	struct http_client_reply reply;
	struct buf body;
	buf_init(&body, 0);
	buf_append_str(&body, "{\"username\":");
	json_write_string(&body, span_str(admin->name));
	buf_append_str(&body, ",\"permission\":\"admin\",\"node\":true,\"password\":");
	json_write_string(&body, span_str(admin->password));
	buf_append_byte(&body, '}');
	int code = buf_ok(&body) ? admin_ask(admin, ret_client, "POST", USERS_TARGET,
				       buf_span(&body), &reply)
				 : admin_say("out of memory");
	if (body.ptr)
		explicit_bzero(body.ptr, body.cap);
	buf_finish(&body);
	return code;
}

/* ── no server: the store itself ── */

struct user_unit {
	struct store_unit unit;
	struct store_user user;
};

static int
add_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct user_unit *add = CONTAINER_OF(unit, struct user_unit, unit);
	struct store_user *user = &add->user;
	char after[128 + ADMIN_NAME_BYTES_MAX];
	int error = store_user_add(tx, user, &user->id, &user->version);
	if (error)
		return error;
	int len = snprintf(after, sizeof after,
	    "{\"username\":\"%.*s\",\"permission\":\"admin\",\"node\":true}",
	    SPAN_ARG(user->name));
	struct store_audit audit = {
	    .tenant = TENANT,
	    .time_ms = user->created_ms,
	    .who = SPAN("local"),
	    .what = SPAN("user.add"),
	    .object = user->name,
	    .from = SPAN("weir admin"),
	    .after = span_of(after, (size_t)len),
	};
	return store_audit_add(tx, &audit);
}

static int
create_offline(struct admin *admin)
{
	char hash[ACCESS_PASSWORD_HASH_BYTES];
	int error = access_password_hash(span_str(admin->password), hash);
	if (error)
		return admin_say_error("the password cannot be hashed", error);
	struct user_unit add = {
	    .unit = {.apply = add_apply, .urgent = true},
	    .user =
		{
		    .tenant = TENANT,
		    .name = span_str(admin->name),
		    .permission = STORE_ADMIN,
		    .node = true,
		    .hash = span_str(hash),
		    .created_ms = env_now_ms(admin->env),
		},
	};
	error = data_run(admin->opened.store, &add.unit);
	if (error == -EEXIST) {
		fprintf(stderr, "weir admin: there is a user '%s' already\n", admin->name);
		return 1;
	}
	return error ? admin_say_error("the account cannot be stored", error) : 0;
}

const struct admin_verb admin_account_verbs[] = {
    {"create", account_prepare, create_online, create_offline, ADMIN_PASSWORDS,
	"weir admin create --data DIR --user NAME --password-file FILE",
	"Makes an administrator who governs the node: all tenants, and the accounts of all\n"
	"others. He logs in at POST /api/v1/admin/token."},
    {.name = NULL},
};

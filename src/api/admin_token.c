/*
 * admin_token.c: /api/v1/admin/token: a person's name and password for a token; whose token it is;
 * and the end of all tokens of a person.
 *
 * A login is a chain of steps, each begun by the one before, and its loop stands between them:
 *
 *     loop ─► store: throttle, who is it ─► loop ─► hasher: is it his password ─► loop
 *          ─► store: the success, the audit ─► loop: the token
 *
 * A try counts as a failure before its hash is computed, and only a right one is forgiven. Nobody
 * learns from answer or time whether an account exists: an unknown one costs a hash, too, and a
 * failure is answered before it is noted. Where the client has left the chain ends. Passwords lie
 * in the login only, which is wiped.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "access_change.h"
#include "access_login.h"
#include "admin_call.h"
#include "admin_doc.h"
#include "admin_users.h"
#include "check.h"
#include "json.h"
#include "logins.h"

#define ACCOUNT_BYTES_MAX 256
#define ADDRESS_BYTES_MAX 64
#define WRONG "name or password is wrong"
#define BASIC_CHALLENGE SPAN("Basic realm=\"weir\", charset=\"UTF-8\"")

struct login {
	struct session_request *request; /* NULL: gone, or answered */
	const struct api_loop *al;
	struct store_unit unit;
	struct mail mail;
	struct job job;
	int64_t now_ms;
	char scratch[ACCESS_BASIC_BYTES_MAX]; /* of the next two */
	struct span name, password;
	struct span tenant;                   /* lies behind the name, or is main */
	char account_text[ACCOUNT_BYTES_MAX], address_text[ADDRESS_BYTES_MAX];
	struct span account, address;         /* "ana@main", "::1" */

	int error;
	uint64_t wait_ms;                     /* he is throttled for so long */
	bool known, right;
	uint64_t id, generation;              /* of who is known */
	char hash[ACCESS_PASSWORD_HASH_BYTES];
};

static void
login_destroy(struct login *login)
{
	sodium_memzero(login, sizeof *login);
	free(login);
}

static void
login_stored(struct store_unit *unit, int error)
{
	struct login *login = CONTAINER_OF(unit, struct login, unit);

	login->error = error;
	mailbox_send(login->al->box, &login->mail);
}

static void
login_submit(struct login *login, int (*apply)(struct store_unit *unit, struct store_tx *tx),
    void (*deliver)(struct mail *mail))
{
	login->unit.apply = apply;
	login->unit.done = login_stored;
	login->mail.deliver = deliver;
	store_writer_submit(login->al->api->store, &login->unit);
}

static void
login_refuse(struct login *login, unsigned status, const char *detail)
{
	session_set_state(login->request, NULL);
	session_problem(login->request, status, NULL, "%s", detail);
	login->request = NULL;
}

/* ── on the store's thread ── */

static int
user_each(void *ctx, const struct store_user *user)
{
	struct login *login = ctx;

	if (user->hash.len >= sizeof login->hash)
		return -EUCLEAN;
	login->known = true;
	login->id = user->id;
	login->generation = user->generation;
	memcpy(login->hash, user->hash.ptr, user->hash.len);
	login->hash[user->hash.len] = '\0';
	return 0;
}

static int
find_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct login *login = CONTAINER_OF(unit, struct login, unit);
	int error;

	login->wait_ms = logins_try(login->al->api->logins, login->account, login->address);
	if (login->wait_ms)
		return 0;
	error = store_user_find(store_tx_store(tx), login->tenant, login->name, user_each, login);
	return error == -ENOENT || error == -EINVAL ? 0 : error;
}

static int
again_each(void *ctx, const struct store_user *user)
{
	struct login *login = ctx;

	login->right = user->generation == login->generation &&
	    access_secret_equal(user->hash, span_str(login->hash));
	return 0;
}

static int
audit_add(const struct login *login, struct store_tx *tx, const char *who, const char *what)
{
	struct store_audit audit = {
		.tenant = login->tenant,
		.time_ms = login->now_ms,
		.who = span_str(who),
		.what = span_str(what),
		.object = login->name,
		.from = login->address,
	};

	return store_audit_add(tx, &audit);
}

/* The password was right; unless it was changed or taken from him meanwhile, it still is. */
static int
right_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct login *login = CONTAINER_OF(unit, struct login, unit);
	char who[sizeof "user-" + STORE_NAME_BYTES_MAX];
	int error;

	login->right = false;
	error = store_user_find_id(store_tx_store(tx), login->id, again_each, login);
	if (error || !login->right)
		return error == -ENOENT ? 0 : error;
	logins_right(login->al->api->logins, login->account, login->address);
	snprintf(who, sizeof who, "user-%.*s", SPAN_ARG(login->name));
	return audit_add(login, tx, who, "login");
}

static int
wrong_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct login *login = CONTAINER_OF(unit, struct login, unit);

	if (!logins_tell(login->al->api->logins, login->account))
		return 0;
	return audit_add(login, tx, "unknown", "login.failed");
}

/* ── on a hasher ── */

static void
check_run(struct job *job)
{
	struct login *login = CONTAINER_OF(job, struct login, job);
	bool right = access_password_check(span_str(login->hash), login->password);

	login->right = login->known && right;
	sodium_memzero(login->scratch + (login->password.ptr - login->scratch),
	    login->password.len);
}

/* ── on the loop ── */

static void
noted_deliver(struct mail *mail)
{
	login_destroy(CONTAINER_OF(mail, struct login, mail));
}

/* Answers first: whether there is an account to be noted of nobody shall see. */
static void
login_wrong(struct login *login)
{
	logins_count(login->al->api->logins, LOGINS_WRONG);
	login_refuse(login, 401, WRONG);
	if (!login->known) {
		login_destroy(login);
		return;
	}
	login->unit.urgent = false;
	login_submit(login, wrong_apply, noted_deliver);
}

static void
token_answer(struct login *login)
{
	char token[ACCESS_JWT_BYTES_MAX];
	struct session_request *request = login->request;
	ssize_t len = access_jwt_issue(login->al->access, login->id, login->now_ms,
	    (int64_t)login->al->api->token_ms, token, sizeof token);
	struct buf out;

	if (len < 0) {
		login_refuse(login, len == -ENOENT ? 401 : 503,
		    len == -ENOENT ? WRONG
				   : "the server has no secret to sign with");
		return;
	}
	logins_count(login->al->api->logins, LOGINS_RIGHT);
	session_set_state(request, NULL);
	session_add_header(request, "Cache-Control", SPAN("no-store"));
	buf_init(&out, 0);
	buf_printf(&out, "{\"token\":\"%.*s\"}", (int)len, token);
	api_answer_buf(request, 200, "application/json", &out);
	sodium_memzero(token, sizeof token);
}

static void
right_deliver(struct mail *mail)
{
	struct login *login = CONTAINER_OF(mail, struct login, mail);

	if (login->request && login->error == -ENOSPC)
		login_refuse(login, 503, "the disk is full");
	else if (login->request && login->error)
		login_refuse(login, 500, "the store failed");
	else if (login->request && login->right)
		token_answer(login);
	else if (login->request)
		login_refuse(login, 401, WRONG);
	login_destroy(login);
}

static void
checked_deliver(struct mail *mail)
{
	struct login *login = CONTAINER_OF(mail, struct login, job.mail);

	if (!login->request)
		login_destroy(login);
	else if (login->right)
		login_submit(login, right_apply, right_deliver);
	else
		login_wrong(login);
}

static void
login_throttled(struct login *login)
{
	char text[24];
	int len = snprintf(text, sizeof text, "%llu",
	    (unsigned long long)(login->wait_ms + 999) / 1000);

	logins_count(login->al->api->logins, LOGINS_THROTTLED);
	session_add_header(login->request, "Retry-After", span_of(text, (size_t)len));
	login_refuse(login, 429, "too many logins failed; come again later");
	login_destroy(login);
}

static void
found_deliver(struct mail *mail)
{
	struct login *login = CONTAINER_OF(mail, struct login, mail);
	const struct api *api = login->al->api;

	if (login->request && !login->error && login->wait_ms) {
		login_throttled(login);
		return;
	}
	if (login->request && login->error)
		login_refuse(login, 500, "the store failed");
	if (!login->request) {
		login_destroy(login);
		return;
	}
	login->job.reply_to = login->al->box;
	login->job.run = check_run;
	login->job.mail.deliver = checked_deliver;
	if (workers_submit(api->hashers, &login->job) == 0)
		return;
	logins_count(api->logins, LOGINS_BUSY);
	login_refuse(login, 503, "too many logins wait; try again");
	login_destroy(login);
}

/* ── from the request ── */

/* "ana", of main, or "ana@acme". */
static void
account_read(struct login *login, struct span user)
{
	struct span tenant = SPAN("main");
	int len;

	for (size_t i = user.len; i > 0; i--) {
		if (user.ptr[i - 1] != '@')
			continue;
		tenant = span_skip(user, i);
		user.len = i - 1;
		break;
	}
	login->name = user;
	login->tenant = tenant;
	len = snprintf(login->account_text, sizeof login->account_text, "%.*s@%.*s",
	    SPAN_ARG(user), SPAN_ARG(tenant));
	login->account = span_of(login->account_text,
	    MIN((size_t)len, sizeof login->account_text - 1));
}

static void
login_end(struct session_request *request, struct span whole)
{
	const struct api_loop *al = session_app(request);
	struct span header = session_header(request, "Authorization");
	struct login *login = calloc(1, sizeof *login);
	struct span user;
	int len;

	(void)whole;
	if (!login) {
		api_no_memory(request);
		return;
	}
	login->request = request;
	login->al = al;
	login->unit.urgent = true;
	login->now_ms = env_now_ms(al->api->env);
	if (!header.ptr ||
	    !access_header_read(header, login->scratch, sizeof login->scratch, &user,
		&login->password) || !user.ptr) {
		session_add_header(request, "WWW-Authenticate", BASIC_CHALLENGE);
		login_refuse(login, 401, "a login needs name and password as HTTP Basic");
		login_destroy(login);
		return;
	}
	account_read(login, user);
	len = snprintf(login->address_text, sizeof login->address_text, "%s",
	    session_peer(request));
	login->address = span_of(login->address_text,
	    MIN((size_t)len, sizeof login->address_text - 1));
	session_set_state(request, login);
	login_submit(login, find_apply, found_deliver);
}

static void
login_gone(struct session_request *request, bool broken)
{
	struct login *login = session_state(request);

	(void)broken;
	if (login)
		login->request = NULL;
}

/* ── whose token it is ── */

/* The person whose token came with the request; NULL: answered. */
static const struct access_principal *
person_of(struct session_request *request)
{
	const struct access_principal *principal = session_principal(request);

	if (principal && principal->kind == ACCESS_PERSON)
		return principal;
	session_problem(request, 401, NULL, "this needs a person's token");
	return NULL;
}

static void
show_end(struct session_request *request, struct span whole)
{
	const struct api_loop *al = session_app(request);
	const struct access_principal *person = person_of(request);
	struct buf out;

	(void)whole;
	if (!person)
		return;
	buf_init(&out, 0);
	buf_append_str(&out, "{\"username\":");
	json_write_string(&out, span_skip(person->name, strlen("user-")));
	buf_append_str(&out, ",\"tenant\":");
	json_write_string(&out, person->tenant);
	buf_printf(&out, ",\"permission\":\"%s\"",
	    admin_users_permission(access_user_permission(al->access, person->id)));
	buf_append_str(&out, ",\"expires\":");
	buf_append_i64(&out, person->expires_ms);
	buf_append_byte(&out, '}');
	session_add_header(request, "Cache-Control", SPAN("no-store"));
	api_answer_buf(request, 200, "application/json", &out);
}

/* ── the end of all tokens of a person ── */

static void
end_end(struct session_request *request, struct span whole)
{
	(void)whole;
	if (person_of(request))
		admin_users_revoke(request, span_of(NULL, 0));
}

static void
revoke_end(struct session_request *request, struct span whole)
{
	(void)whole;
	admin_users_revoke(request, session_path_param(request, "user"));
}

static const struct session_route_ops login_ops = {.end = login_end, .gone = login_gone};
static const struct session_route_ops show_ops = {.end = show_end};
static const struct session_route_ops end_ops = {.end = end_end, .gone = admin_call_gone};
static const struct session_route_ops revoke_ops = {.end = revoke_end, .gone = admin_call_gone};


static const struct session_doc login_doc = {
	.help = "Name and password as HTTP Basic; a name of another tenant than main is"
		" NAME@TENANT. The token is a JWT for `Authorization: Bearer`. Wrong passwords"
		" count for account and address, and too many of them are 429 for a while.",
	.answers = {{200, "Token", "A token, valid for access.token_s (an hour)."},
	    {401, "", "Name or password is wrong, or there are none."},
	    {429, "", "Too many logins failed; Retry-After says when to come again."},
	    STORE_FAILED},
};

static const struct session_doc show_doc = {
	.answers = {{200, "TokenOf", "Whose token it is, and until when."},
	    {401, "", "It is no valid token of a person."}},
};

static const struct session_doc end_doc = {
	.help = "Ends all tokens of the person whose token this is, itself included.",
	.answers = {{204, "", "They are void."}, {401, "", "It is no valid token of a person."},
	    STORE_FAILED},
};

static const struct session_doc revoke_doc = {
	.path = {{"user", "Name", "The user's name."}},
	.answers = {{204, "", "They are void."}, {404, "", "There is no such user."},
	    STORE_FAILED},
};

const struct session_route api_admin_token_routes[] = {
	{
		.path = "/api/v1/admin/token",
		.methods = SESSION_POST,
		.login = true,
		.ops = &login_ops,
		.summary = "A token for a person's name and password",
		.doc = &login_doc,
	},
	{
		.path = "/api/v1/admin/token",
		.methods = SESSION_GET,
		.ops = &show_ops,
		.summary = "Whose token it is",
		.doc = &show_doc,
	},
	{
		.path = "/api/v1/admin/token",
		.methods = SESSION_DELETE,
		.ops = &end_ops,
		.summary = "Ends all tokens of the caller",
		.doc = &end_doc,
	},
	{
		.path = "/api/v1/admin/users/{user}/revoke",
		.methods = SESSION_POST,
		.rights = ACCESS_ADMIN,
		.ops = &revoke_ops,
		.summary = "Ends all tokens of a user",
		.doc = &revoke_doc,
	},
	{.path = NULL},
};

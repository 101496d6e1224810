/*
 * me.c: /api/v1/me: what a person sees and changes of his own account.
 *
 * Nobody raises himself here: permission, tenant and name are no members of what is taken. Another
 * password needs the old one, so a stolen token does not take an account over; it ends all tokens
 * of the account.
 */
#include <errno.h>
#include <stdio.h>

#include "access_change.h"
#include "access_login.h"
#include "admin_doc.h"
#include "admin_things.h"
#include "admin_users.h"
#include "check.h"

struct me_call {
	struct admin_call call;
	struct store_user user;         /* all of it in the call's memory */
	struct admin_object body;
	struct span password_old, password_new;
	struct span account;            /* "ana@main", as logins count tries */
	bool wrong;                     /* the worker found: it is not the old password */
	char hash[ACCESS_PASSWORD_HASH_BYTES];
};

static void
me_write(struct me_call *mc)
{
	struct buf *out = &mc->call.out;

	admin_users_write(out, &mc->user);
	out->len--;
	buf_append_str(out, ",\"tenant\":");
	json_write_string(out, mc->user.tenant);
	buf_append_byte(out, '}');
}

/* ── on the store's thread ── */

static int
me_each(void *ctx, const struct store_user *found)
{
	struct me_call *mc = ctx;

	return admin_users_keep(&mc->call, found, &mc->user);
}

static int
me_find(struct admin_call *call, struct store_tx *tx)
{
	struct me_call *mc = (struct me_call *)call;
	int error = store_user_find_id(store_tx_store(tx), call->principal->id, me_each, mc);

	if (error == -ENOENT)
		return admin_call_refuse(call, 404, NULL, "your account was removed");
	return error;
}

/* Who has the old password wrong is counted as who logs in with it. */
static int
password_find(struct admin_call *call, struct store_tx *tx)
{
	int error = me_find(call, tx);

	return error ? error : admin_things_try(call, ((struct me_call *)call)->account);
}

static int
get_apply(struct admin_call *call, struct store_tx *tx)
{
	int error = me_find(call, tx);

	if (error == 0)
		me_write((struct me_call *)call);
	return error;
}

static int
put_apply(struct admin_call *call, struct store_tx *tx)
{
	struct me_call *mc = (struct me_call *)call;
	struct span before, checked = mc->user.hash;
	int error = me_find(call, tx);

	if (error == 0 && mc->wrong)
		return admin_call_refuse(call, 403, "/password/old", "it is not your password");
	if (error == 0 && mc->password_new.len &&
	    !access_secret_equal(checked, mc->user.hash))
		return admin_call_refuse(call, 409, "/password",
		    "the password was changed meanwhile");
	if (error == 0)
		error = admin_call_match(call, call->version);
	if (error)
		return error;
	before = admin_users_document(call, &mc->user);
	error = admin_users_contacts(call, &mc->body, &mc->user);
	if (mc->password_new.len) {
		admin_things_right(call, mc->account);
		mc->user.hash = span_str(mc->hash);
		mc->user.generation++;
	}
	if (error == 0)
		error = store_user_put(tx, &mc->user, &call->version);
	mc->user.version = call->version;
	if (error == 0)
		error = access_change_user(admin_call_change(call), &mc->user);
	if (error == 0)
		error = admin_call_audit(call, tx,
		    mc->password_new.len ? "user.password" : "user.put", mc->user.name, before,
		    admin_users_document(call, &mc->user));
	if (error == 0)
		me_write(mc);
	return error;
}

/* ── on a worker ── */

static int
password_work(struct admin_call *call)
{
	struct me_call *mc = (struct me_call *)call;

	mc->wrong = !access_password_check(mc->user.hash, mc->password_old);
	return mc->wrong ? 0 : access_password_hash(mc->password_new, mc->hash);
}

/* ── from the request ── */

/* Keys, gateways and the administrator of the socket are no persons. */
static struct me_call *
me_call_create(struct session_request *request, const struct admin_call_ops *ops)
{
	struct me_call *mc;

	if (session_principal(request)->kind != ACCESS_PERSON) {
		session_problem(request, 403, NULL, "only persons have an account");
		return NULL;
	}
	mc = admin_call_create(request, sizeof *mc, ops);
	if (!mc)
		return NULL;
	/* One's account is where one is. */
	mc->call.tenant = mc->call.principal->tenant;
	mc->call.elsewhere = false;
	return mc;
}

static struct span
account_of(struct me_call *mc)
{
	const struct access_principal *person = mc->call.principal;
	struct span name = span_skip(person->name, strlen("user-"));
	char text[2 * STORE_NAME_BYTES_MAX + 2];

	return admin_call_keep(&mc->call, span_of(text, (size_t)snprintf(text, sizeof text,
	    "%.*s@%.*s", SPAN_ARG(name), SPAN_ARG(person->tenant))));
}

static int
password_read(struct me_call *mc)
{
	static const char *const known[] = {"old", "new", NULL};
	const struct admin_member *member = admin_json_get(&mc->body, "password");
	const struct admin_member *old_member, *new_member;
	struct admin_call *call = &mc->call;
	struct admin_object passwords;
	int error;

	if (!member)
		return 0;
	error = admin_json_object(call, member->raw, member->pointer, &passwords);
	if (error == 0)
		error = admin_json_only(call, &passwords, known);
	if (error)
		return error;
	old_member = admin_json_get(&passwords, "old");
	new_member = admin_json_get(&passwords, "new");
	if (!old_member || old_member->type != JSON_STRING)
		return admin_call_refuse(call, 422, "/password/old",
		    "your password until now is needed");
	if (!new_member)
		return admin_call_refuse(call, 422, "/password/new", "new is missing");
	mc->password_old = old_member->text;
	return admin_users_password(call, new_member, &mc->password_new);
}

static void
get_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = get_apply,
	    .what = ACCESS_AN_ACCOUNT, .verb = ACCESS_SEE, .own = true};
	struct me_call *mc = me_call_create(request, &ops);

	(void)whole;
	if (mc)
		admin_call_run(&mc->call, 0);
}

static void
put_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"contacts", "language", "tz", "password", NULL};
	static const struct admin_call_ops plain = {.apply = put_apply,
	    .what = ACCESS_AN_ACCOUNT, .verb = ACCESS_ADJUST, .own = true};
	static const struct admin_call_ops hashed = {.find = password_find, .work = password_work,
	    .hashes = true,
	    .apply = put_apply, .what = ACCESS_AN_ACCOUNT, .verb = ACCESS_ADJUST, .own = true};
	struct me_call *mc = me_call_create(request, &plain);
	int error;

	if (!mc)
		return;
	error = admin_json_body(&mc->call, whole, false, &mc->body);
	if (error == 0)
		error = admin_json_only(&mc->call, &mc->body, known);
	if (error == 0)
		error = password_read(mc);
	if (mc->password_new.len) {
		mc->account = account_of(mc);
		mc->call.ops = &hashed;
	}
	admin_call_run(&mc->call, error);
}

static const struct session_route_ops get_ops = {.end = get_end, .gone = admin_call_gone};
static const struct session_route_ops put_ops = {.end = put_end, .gone = admin_call_gone};


static const struct session_doc get_doc = {
	.answers = {{200, "Me", "The account, its version as ETag."},
	    {404, "", "The account was removed."}, STORE_FAILED},
};

static const struct session_doc put_doc = {
	.help = "What is left out stays. Another password needs the old one, and ends all tokens "
	    "of the account.",
	.headers = {{"If-Match?", "string", "The ETag of the version that is to be changed."}},
	.body = {"MeChange"},
	.answers = {{200, "Me", "The account as it is now."},
	    {403, "", "The caller is no person, or the old password is wrong."},
	    {404, "", "The account was removed."}, {409, "", "The password was changed meanwhile."},
	    {412, "", "It was changed since."},
	    {429, "", "The old password was wrong too often; Retry-After says when to come again."},
	    {422, "", "A member is unknown, or has no valid value."}, STORE_FAILED},
};

const struct session_route api_me_routes[] = {
	{
		.path = "/api/v1/me", .methods = SESSION_GET, .rights = ACCESS_READ,
		.ops = &get_ops, .summary = "One's own account", .doc = &get_doc,
	},
	{
		.path = "/api/v1/me", .methods = SESSION_PUT, .rights = ACCESS_READ,
		.ops = &put_ops, .summary = "Changes one's contacts, language, password",
		.doc = &put_doc,
	},
	{.path = NULL},
};

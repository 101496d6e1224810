/*
 * admin_users.c: /api/v1/admin/users: accounts of persons.
 *
 * A password is hashed by a worker (Argon2id) and kept as its hash only, which no answer shows,
 * nor the audit. Who gets another password or permission has no valid tokens any more.
 */
#include <errno.h>

#include "access_change.h"
#include "access_login.h"
#include "admin_doc.h"
#include "admin_things.h"
#include "admin_users.h"
#include "check.h"

struct user_call {
	struct admin_call call;
	struct store_user user;         /* all of it in the call's memory */
	struct admin_object body;
	struct span password;
	char hash[ACCESS_PASSWORD_HASH_BYTES];
	enum store_permission permission; /* 0: not said */
	struct span cursor, prefix;
	uint64_t limit, count;
	struct span last;
};

static const char *const permissions[] = {
	[STORE_ADMIN] = "admin", [STORE_DEVELOPER] = "developer", [STORE_USER] = "user",
};

const char *
admin_users_permission(enum store_permission permission)
{
	check(permission >= STORE_ADMIN && permission <= STORE_USER);
	return permissions[permission];
}

/* ── documents ── */

void
admin_users_write(struct buf *out, const struct store_user *user)
{
	buf_append_str(out, "{\"username\":");
	json_write_string(out, user->name);
	buf_printf(out, ",\"permission\":\"%s\"", permissions[user->permission]);
	if (user->node)
		buf_append_str(out, ",\"node\":true");
	if (user->contacts.len) {
		buf_append_str(out, ",\"contacts\":");
		buf_append_span(out, user->contacts);
	}
	if (user->language.len) {
		buf_append_str(out, ",\"language\":");
		json_write_string(out, user->language);
	}
	if (user->tz.len) {
		buf_append_str(out, ",\"tz\":");
		json_write_string(out, user->tz);
	}
	buf_append_str(out, ",\"created\":");
	buf_append_i64(out, user->created_ms);
	buf_append_byte(out, '}');
}

struct span
admin_users_document(struct admin_call *call, const struct store_user *user)
{
	struct span document;
	struct buf out;

	buf_init(&out, 0);
	admin_users_write(&out, user);
	call->no_memory |= !buf_ok(&out);
	document = admin_call_keep(call, buf_span(&out));
	buf_finish(&out);
	return document;
}

/* ── on a worker ── */

static int
password_work(struct admin_call *call)
{
	struct user_call *uc = (struct user_call *)call;

	return access_password_hash(uc->password, uc->hash);
}

/* ── on the store's thread ── */

int
admin_users_keep(struct admin_call *call, const struct store_user *found,
    struct store_user *ret_user)
{
	*ret_user = *found;
	ret_user->tenant = admin_call_keep(call, found->tenant);
	ret_user->name = admin_call_keep(call, found->name);
	ret_user->hash = admin_call_keep(call, found->hash);
	ret_user->contacts = admin_call_keep(call, found->contacts);
	ret_user->language = admin_call_keep(call, found->language);
	ret_user->tz = admin_call_keep(call, found->tz);
	call->version = found->version;
	return call->no_memory ? -ENOMEM : 0;
}

static int
user_each(void *ctx, const struct store_user *found)
{
	struct user_call *uc = ctx;

	return admin_users_keep(&uc->call, found, &uc->user);
}

/* Finds the user that the path names. */
static int
user_find(struct user_call *uc, struct store_tx *tx)
{
	struct span name = uc->user.name;
	int error = store_user_find(store_tx_store(tx), uc->call.tenant, name, user_each, uc);

	if (error == -ENOENT)
		return admin_call_refuse(&uc->call, 404, NULL, "there is no user '%.*s'",
		    SPAN_ARG(name));
	return error;
}

static int
contact_own(struct admin_call *call, const struct admin_member *member)
{
	(void)call;
	(void)member;
	return 0;
}

int
admin_users_contacts(struct admin_call *call, const struct admin_object *body,
    struct store_user *user)
{
	const struct admin_member *contacts = admin_json_get(body, "contacts");
	struct admin_object changes;
	int error = admin_json_text(call, body, "language", STORE_NAME_BYTES_MAX,
	    &user->language);

	if (error == 0)
		error = admin_json_text(call, body, "tz", STORE_NAME_BYTES_MAX, &user->tz);
	if (error == 0 && contacts)
		error = admin_json_object(call, contacts->raw, contacts->pointer, &changes);
	if (error == 0 && contacts)
		error = admin_things_merge(call, user->contacts, &changes, contact_own,
		    &user->contacts);
	return error;
}

/* Who governs the node is made, changed and removed only by those who do. */
static int
node_ask(struct user_call *uc)
{
	static const struct access_object node = {.what = ACCESS_A_NODE};

	return uc->user.node ? admin_call_may(&uc->call, ACCESS_CHANGE, &node) : 0;
}

static int
node_take(struct user_call *uc)
{
	const struct admin_member *member = admin_json_get(&uc->body, "node");
	struct store_user *user = &uc->user;

	if (member && member->type != JSON_TRUE && member->type != JSON_FALSE)
		return admin_call_refuse(&uc->call, 422, member->pointer,
		    "it must be true or false");
	if (member)
		user->node = member->type == JSON_TRUE;
	else if (user->permission != STORE_ADMIN)
		user->node = false;
	else if (user->id == 0) /* a new one: as who makes him, where there is no other tenant */
		user->node = (uc->call.principal->rights & ACCESS_NODE) &&
		    span_eq(user->tenant, SPAN("main"));
	if (user->node && (user->permission != STORE_ADMIN ||
	    !span_eq(user->tenant, SPAN("main"))))
		return admin_call_refuse(&uc->call, 422, member ? member->pointer : "/permission",
		    "who governs the node is an admin of the tenant main");
	return node_ask(uc);
}

/* What POST and PUT set. */
static int
members_take(struct user_call *uc)
{
	struct store_user *user = &uc->user;
	int error = admin_users_contacts(&uc->call, &uc->body, user);

	if (error)
		return error;
	if (uc->permission)
		user->permission = uc->permission;
	if (uc->password.len)
		user->hash = span_str(uc->hash);
	return node_take(uc);
}

static int
add_apply(struct admin_call *call, struct store_tx *tx)
{
	struct user_call *uc = (struct user_call *)call;
	struct store_user *user = &uc->user;
	struct span after;
	int error = members_take(uc);

	user->created_ms = call->now_ms;
	if (error == 0)
		error = store_user_add(tx, user, &user->id, &call->version);
	if (error == -EEXIST)
		return admin_call_refuse(call, 409, "/username",
		    "there is a user '%.*s' already", SPAN_ARG(user->name));
	user->version = call->version;
	user->generation = 1;
	if (error == 0)
		error = access_change_user(admin_call_change(call), user);
	if (error)
		return error;
	after = admin_users_document(call, &uc->user);
	call->status = 201;
	error = admin_call_audit(call, tx, "user.add", user->name, SPAN(""), after);
	return error ? error : buf_append_span(&call->out, after);
}

static int
list_each(void *ctx, const struct store_user *user)
{
	struct user_call *uc = ctx;

	if (uc->count++ == uc->limit)
		return 0; /* the one more that tells that there is a next page */
	if (uc->count > 1)
		buf_append_byte(&uc->call.out, ',');
	admin_users_write(&uc->call.out, user);
	uc->last = admin_call_keep(&uc->call, user->name);
	return 0;
}

static int
list_apply(struct admin_call *call, struct store_tx *tx)
{
	struct user_call *uc = (struct user_call *)call;
	struct store_page page = {.after_name = uc->cursor,
	    .limit = (unsigned)MIN(uc->limit + 1, STORE_LIST_MAX)};
	int error;

	buf_append_str(&call->out, "{\"items\":[");
	error = store_users_list(store_tx_store(tx), call->tenant, uc->prefix, &page, list_each,
	    uc);
	buf_append_str(&call->out, "],\"next\":");
	/* A full page of STORE_LIST_MAX may be followed by an empty one. */
	if (uc->count == page.limit)
		json_write_string(&call->out, uc->last);
	else
		buf_append_str(&call->out, "null");
	buf_append_byte(&call->out, '}');
	return error;
}

static int
get_apply(struct admin_call *call, struct store_tx *tx)
{
	struct user_call *uc = (struct user_call *)call;
	int error = user_find(uc, tx);

	if (error == 0)
		admin_users_write(&call->out, &uc->user);
	return error;
}

static int
put_apply(struct admin_call *call, struct store_tx *tx)
{
	struct user_call *uc = (struct user_call *)call;
	struct span before, after;
	enum store_permission permission;
	bool node;
	int error = user_find(uc, tx);

	if (error == 0)
		error = node_ask(uc);
	if (error == 0)
		error = admin_call_match(call, call->version);
	if (error)
		return error;
	before = admin_users_document(call, &uc->user);
	permission = uc->user.permission;
	node = uc->user.node;
	error = members_take(uc);
	uc->user.generation += uc->password.len > 0 ||
	    uc->user.permission != permission || uc->user.node != node;
	if (error == 0)
		error = store_user_put(tx, &uc->user, &call->version);
	uc->user.version = call->version;
	if (error == 0)
		error = access_change_user(admin_call_change(call), &uc->user);
	if (error)
		return error;
	after = admin_users_document(call, &uc->user);
	error = admin_call_audit(call, tx, uc->password.len ? "user.password" : "user.put",
	    uc->user.name, before, after);
	return error ? error : buf_append_span(&call->out, after);
}

static int
remove_apply(struct admin_call *call, struct store_tx *tx)
{
	struct user_call *uc = (struct user_call *)call;
	uint64_t version;
	int error = user_find(uc, tx);

	if (error == 0)
		error = node_ask(uc);
	if (error == 0)
		error = admin_call_match(call, call->version);
	if (error == 0)
		error = store_user_remove(tx, call->tenant, uc->user.name, &uc->user.id, &version);
	if (error == 0)
		error = access_change_user_gone(admin_call_change(call), uc->user.id);
	if (error == 0)
		error = admin_call_audit(call, tx, "user.remove", uc->user.name,
		    admin_users_document(call, &uc->user), SPAN(""));
	call->version = 0;
	call->status = 204;
	return error;
}

static int
revoke_apply(struct admin_call *call, struct store_tx *tx)
{
	struct user_call *uc = (struct user_call *)call;
	int error = user_find(uc, tx);

	if (error == 0 && !call->ops->own)
		error = node_ask(uc);
	uc->user.generation++;
	if (error == 0)
		error = store_user_put(tx, &uc->user, &uc->user.version);
	if (error == 0)
		error = access_change_user(admin_call_change(call), &uc->user);
	if (error == 0)
		error = admin_call_audit(call, tx, "user.revoke", uc->user.name, SPAN(""),
		    SPAN(""));
	call->version = 0;
	call->status = 204;
	return error;
}

/* ── from the request ── */

int
admin_users_password(struct admin_call *call, const struct admin_member *member,
    struct span *ret_password)
{
	if (member->type != JSON_STRING || member->text.len < ACCESS_PASSWORD_BYTES_MIN ||
	    member->text.len > ACCESS_PASSWORD_BYTES_MAX || admin_json_controls(member->text))
		return admin_call_refuse(call, 422, member->pointer,
		    "a password is a string of %d to %d bytes without control characters",
		    ACCESS_PASSWORD_BYTES_MIN, ACCESS_PASSWORD_BYTES_MAX);
	*ret_password = member->text;
	return 0;
}

static int
password_read(struct user_call *uc)
{
	const struct admin_member *member = admin_json_get(&uc->body, "password");

	return member ? admin_users_password(&uc->call, member, &uc->password) : 0;
}

static int
permission_read(struct user_call *uc)
{
	const struct admin_member *member = admin_json_get(&uc->body, "permission");

	if (!member)
		return 0;
	for (unsigned i = STORE_ADMIN; i <= STORE_USER; i++)
		if (member->type == JSON_STRING &&
		    span_eq(member->text, span_str(permissions[i])))
			uc->permission = (enum store_permission)i;
	if (!uc->permission)
		return admin_call_refuse(&uc->call, 422, member->pointer,
		    "permission is admin, developer or user");
	return 0;
}

static int
body_read(struct user_call *uc, struct span whole, const char *const *known)
{
	int error = admin_json_body(&uc->call, whole, false, &uc->body);

	if (error == 0)
		error = admin_json_only(&uc->call, &uc->body, known);
	if (error == 0)
		error = password_read(uc);
	return error ? error : permission_read(uc);
}

static struct user_call *
user_call_create(struct session_request *request, const struct admin_call_ops *ops)
{
	struct user_call *uc = admin_call_create(request, sizeof *uc, ops);

	if (!uc)
		return NULL;
	uc->user.tenant = uc->call.tenant;
	uc->user.name = admin_call_keep(&uc->call, session_path_param(request, "user"));
	return uc;
}

static int
name_read(struct user_call *uc)
{
	int error = admin_json_text(&uc->call, &uc->body, "username", STORE_NAME_BYTES_MAX,
	    &uc->user.name);

	if (error == 0 && !store_name_valid(uc->user.name))
		return admin_call_refuse(&uc->call, 422, "/username",
		    "username must be 1 to %d characters of a-z 0-9 . _ -", STORE_NAME_BYTES_MAX);
	if (error == 0 && !uc->password.len)
		return admin_call_refuse(&uc->call, 422, "/password", "password is missing");
	if (error == 0 && !uc->permission)
		return admin_call_refuse(&uc->call, 422, "/permission", "permission is missing");
	return error;
}

static void
add_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"username", "password", "permission", "node",
	    "contacts", "language", "tz", NULL};
	static const struct admin_call_ops ops = {.work = password_work, .hashes = true,
	    .apply = add_apply, .what = ACCESS_AN_ACCOUNT, .verb = ACCESS_CHANGE};
	struct user_call *uc = user_call_create(request, &ops);
	int error;

	if (!uc)
		return;
	error = body_read(uc, whole, known);
	admin_call_run(&uc->call, error ? error : name_read(uc));
}

static void
list_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = list_apply,
	    .what = ACCESS_AN_ACCOUNT, .verb = ACCESS_SEE};
	struct user_call *uc = user_call_create(request, &ops);
	int error;

	(void)whole;
	if (!uc)
		return;
	uc->limit = 100;
	error = admin_call_number(&uc->call, "limit", 1, STORE_LIST_MAX, &uc->limit);
	uc->cursor = admin_call_keep(&uc->call, session_query(request, "cursor"));
	uc->prefix = admin_call_keep(&uc->call, session_query(request, "q"));
	admin_call_run(&uc->call, error);
}

static void
get_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = get_apply,
	    .what = ACCESS_AN_ACCOUNT, .verb = ACCESS_SEE};
	struct user_call *uc = user_call_create(request, &ops);

	(void)whole;
	if (uc)
		admin_call_run(&uc->call, 0);
}

static void
put_end(struct session_request *request, struct span whole)
{
	static const char *const known[] = {"password", "permission", "node", "contacts",
	    "language", "tz", NULL};
	static const struct admin_call_ops plain = {.apply = put_apply,
	    .what = ACCESS_AN_ACCOUNT, .verb = ACCESS_CHANGE};
	static const struct admin_call_ops hashed = {.work = password_work, .hashes = true,
	    .apply = put_apply, .what = ACCESS_AN_ACCOUNT, .verb = ACCESS_CHANGE};
	struct user_call *uc = user_call_create(request, &plain);
	int error;

	if (!uc)
		return;
	error = body_read(uc, whole, known);
	if (uc->password.len)
		uc->call.ops = &hashed;
	admin_call_run(&uc->call, error);
}

static void
remove_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = remove_apply,
	    .what = ACCESS_AN_ACCOUNT, .verb = ACCESS_CHANGE};
	struct user_call *uc = user_call_create(request, &ops);

	(void)whole;
	if (uc)
		admin_call_run(&uc->call, 0);
}

void
admin_users_revoke(struct session_request *request, struct span name)
{
	static const struct admin_call_ops others = {.apply = revoke_apply,
	    .what = ACCESS_AN_ACCOUNT, .verb = ACCESS_CHANGE};
	static const struct admin_call_ops own = {.apply = revoke_apply,
	    .what = ACCESS_AN_ACCOUNT, .verb = ACCESS_ADJUST, .own = true};
	struct user_call *uc = user_call_create(request, name.ptr ? &others : &own);

	if (!uc)
		return;
	if (!name.ptr) {
		/* One's account is where one is. */
		uc->call.tenant = uc->call.principal->tenant;
		uc->call.elsewhere = false;
		uc->user.tenant = uc->call.tenant;
		uc->user.name = span_skip(uc->call.principal->name, strlen("user-"));
	}
	admin_call_run(&uc->call, 0);
}

static const struct session_route_ops add_ops = {.end = add_end, .gone = admin_call_gone};
static const struct session_route_ops list_ops = {.end = list_end, .gone = admin_call_gone};
static const struct session_route_ops get_ops = {.end = get_end, .gone = admin_call_gone};
static const struct session_route_ops put_ops = {.end = put_end, .gone = admin_call_gone};
static const struct session_route_ops remove_ops = {.end = remove_end, .gone = admin_call_gone};

#define USER_PATH {{"user", "Name", "The user's name."}}
#define NOT_THERE {404, "", "There is no such user."}

static const struct session_doc add_doc = {
	.body = {"UserNew"},
	.answers = {{201, "User", "The new user."},
	    {409, "", "There is a user of this name."}, NOT_VALID, STORE_FAILED},
};

static const struct session_doc list_doc = {
	.query = {
		{"q?", "string", "How the name begins."},
		{"limit?", "integer", "At most so many; 100 when it is left out, at most 1,000."},
		{"cursor?", "string", "next of the page before."},
	},
	.answers = {{200, "UserPage", "Users by name."}, STORE_FAILED},
};

static const struct session_doc get_doc = {
	.path = USER_PATH,
	.answers = {{200, "User", "The user, his version as ETag."}, NOT_THERE, STORE_FAILED},
};

static const struct session_doc put_doc = {
	.help = "What is left out stays. Another password or permission ends the user's tokens.",
	.path = USER_PATH,
	.headers = IF_MATCH,
	.body = {"UserChange"},
	.answers = {{200, "User", "The user as he is now."}, NOT_THERE, CHANGED_SINCE, NOT_VALID,
	    STORE_FAILED},
};

static const struct session_doc remove_doc = {
	.path = USER_PATH,
	.headers = IF_MATCH,
	.answers = {{204, "", "He is gone, also from his devices and venues."}, NOT_THERE,
	    CHANGED_SINCE, STORE_FAILED},
};

#define ROUTE(route_path, route_methods, name, route_summary)                                      \
	{                                                                                          \
		.path = route_path, .methods = route_methods, .rights = ACCESS_ADMIN,              \
		.ops = &name##_ops, .summary = route_summary, .doc = &name##_doc,                  \
	}

const struct session_route api_admin_users_routes[] = {
	ROUTE("/api/v1/admin/users", SESSION_POST, add, "A new account"),
	ROUTE("/api/v1/admin/users", SESSION_GET, list, "All accounts"),
	ROUTE("/api/v1/admin/users/{user}", SESSION_GET, get, "One account"),
	ROUTE("/api/v1/admin/users/{user}", SESSION_PUT, put, "Changes an account"),
	ROUTE("/api/v1/admin/users/{user}", SESSION_DELETE, remove, "Removes an account"),
	{.path = NULL},
};

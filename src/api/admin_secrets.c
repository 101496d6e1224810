/*
 * admin_secrets.c: /api/v1/admin/secrets: with these an application signs JWTs for its subscribers.
 * And the rotation of the node's own, which signs the tokens of persons.
 *
 * A secret is shown once; it is kept sealed, not hashed, for it is needed to check signatures.
 */
#include <errno.h>
#include <sodium.h>

#include "access_signing.h"
#include "admin_call.h"
#include "admin_doc.h"
#include "admin_json.h"
#include "check.h"

struct secret_call {
	struct admin_call call;
	struct store_secret secret;  /* its spans are kept by the call */
	uint64_t after, limit, count, last;
};

static struct access_signing
signing_of(struct admin_call *call)
{
	return (struct access_signing){call->api->env, call->api->secret, admin_call_change(call)};
}

/* {"id":"…","name":…,"created":… without the closing brace. The id is a string, as `kid` is. */
static void
secret_write(struct buf *out, const struct store_secret *secret)
{
	buf_printf(out, "{\"id\":\"%llu\",\"name\":", (unsigned long long)secret->id);
	json_write_string(out, secret->name);
	buf_append_str(out, ",\"created\":");
	buf_append_i64(out, secret->created_ms);
}

/* ── on the store's thread ── */

static int
add_apply(struct admin_call *call, struct store_tx *tx)
{
	struct secret_call *sc = (struct secret_call *)call;
	struct access_signing signing = signing_of(call);
	char text[ACCESS_KEY_BYTES];
	struct span shown;
	int error;

	if (!signing.change)
		return -ENOMEM;
	error = access_signing_add(&signing, tx, &sc->secret, text);
	if (error == -EEXIST)
		return admin_call_refuse(call, 409, "/name",
		    "there is a secret named '%.*s' already", SPAN_ARG(sc->secret.name));
	if (error)
		return error;
	secret_write(&call->out, &sc->secret);
	buf_append_byte(&call->out, '}');
	shown = admin_call_keep(call, buf_span(&call->out));
	error = admin_call_audit(call, tx, "secret.add", sc->secret.name, SPAN(""), shown);
	call->out.len--;
	buf_append_str(&call->out, ",\"secret\":");
	json_write_string(&call->out, span_of(text, sizeof text));
	buf_append_byte(&call->out, '}');
	sodium_memzero(text, sizeof text);
	call->status = 201;
	return error;
}

static int
list_each(void *ctx, const struct store_secret *secret)
{
	struct secret_call *sc = ctx;
	struct buf *out = &sc->call.out;

	if (sc->count++ == sc->limit)
		return 0; /* the one more that tells that there is a next page */
	if (sc->count > 1)
		buf_append_byte(out, ',');
	secret_write(out, secret);
	sc->last = secret->id;
	return buf_append_byte(out, '}');
}

static int
list_apply(struct admin_call *call, struct store_tx *tx)
{
	struct secret_call *sc = (struct secret_call *)call;
	struct store_page page = {.after_number = sc->after,
	    .limit = (unsigned)MIN(sc->limit + 1, STORE_LIST_MAX)};
	int error;

	buf_append_str(&call->out, "{\"items\":[");
	error = store_secrets_list(store_tx_store(tx), call->tenant, sc->secret.kind, &page,
	    list_each, sc);
	buf_append_str(&call->out, "],\"next\":");
	/* A full page of STORE_LIST_MAX may be followed by an empty one. */
	if (sc->count == page.limit)
		buf_printf(&call->out, "\"%llu\"", (unsigned long long)sc->last);
	else
		buf_append_str(&call->out, "null");
	buf_append_byte(&call->out, '}');
	return error;
}

static int
remove_apply(struct admin_call *call, struct store_tx *tx)
{
	struct secret_call *sc = (struct secret_call *)call;
	struct store_secret *secret = &sc->secret;
	int error = store_secret_remove(tx, secret->tenant, secret->kind, secret->name,
	    &secret->id, &secret->version);

	if (error == -ENOENT)
		return admin_call_refuse(call, 404, NULL, "there is no secret named '%.*s'",
		    SPAN_ARG(secret->name));
	if (error == 0)
		error = access_change_secret_gone(admin_call_change(call), secret->id);
	if (error == 0)
		error = admin_call_audit(call, tx, "secret.remove", secret->name, SPAN(""),
		    SPAN(""));
	call->status = 204;
	return error;
}

static int
rotate_apply(struct admin_call *call, struct store_tx *tx)
{
	struct access_signing signing = signing_of(call);
	uint64_t id;
	int error;

	if (!signing.change)
		return -ENOMEM;
	error = access_signing_rotate(&signing, tx, call->now_ms,
	    (int64_t)call->api->token_ms, &id);
	if (error)
		return error;
	buf_printf(&call->out, "{\"id\":\"%llu\"}", (unsigned long long)id);
	return admin_call_audit(call, tx, "token.rotate", SPAN("persons"), SPAN(""),
	    admin_call_keep(call, buf_span(&call->out)));
}

/* ── from the request ── */

static struct secret_call *
secret_call_create(struct session_request *request, const struct admin_call_ops *ops)
{
	struct secret_call *sc = admin_call_create(request, sizeof *sc, ops);

	if (!sc)
		return NULL;
	sc->secret.tenant = sc->call.tenant;
	sc->secret.kind = STORE_SECRET_APPLICATION;
	sc->secret.created_ms = sc->call.now_ms;
	sc->secret.name = admin_call_keep(&sc->call, session_path_param(request, "name"));
	return sc;
}

static int
body_read(struct secret_call *sc, struct span whole)
{
	static const char *const known[] = {"name", NULL};
	struct admin_call *call = &sc->call;
	struct admin_object object;
	int error = admin_json_body(call, whole, false, &object);

	if (error == 0)
		error = admin_json_only(call, &object, known);
	if (error == 0)
		error = admin_json_text(call, &object, "name", STORE_NAME_BYTES_MAX,
		    &sc->secret.name);
	if (error == 0 && !store_name_valid(sc->secret.name))
		return admin_call_refuse(call, 422, "/name",
		    "name must be 1 to %d characters of a-z 0-9 . _ -", STORE_NAME_BYTES_MAX);
	return error;
}

static void
add_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = add_apply,
	    .what = ACCESS_A_KEY, .verb = ACCESS_CHANGE};
	struct secret_call *sc = secret_call_create(request, &ops);

	if (sc)
		admin_call_run(&sc->call, body_read(sc, whole));
}

static void
list_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = list_apply,
	    .what = ACCESS_A_KEY, .verb = ACCESS_SEE};
	struct secret_call *sc = secret_call_create(request, &ops);
	int error;

	(void)whole;
	if (!sc)
		return;
	sc->limit = 100;
	error = admin_call_number(&sc->call, "limit", 1, STORE_LIST_MAX, &sc->limit);
	if (error == 0)
		error = admin_call_number(&sc->call, "cursor", 0, INT64_MAX, &sc->after);
	admin_call_run(&sc->call, error);
}

static void
remove_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = remove_apply,
	    .what = ACCESS_A_KEY, .verb = ACCESS_CHANGE};
	struct secret_call *sc = secret_call_create(request, &ops);

	(void)whole;
	if (sc)
		admin_call_run(&sc->call, 0);
}

static void
rotate_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = rotate_apply,
	    .what = ACCESS_A_NODE, .verb = ACCESS_CHANGE};
	struct secret_call *sc = secret_call_create(request, &ops);

	(void)whole;
	if (sc)
		admin_call_run(&sc->call, 0);
}

static const struct session_route_ops add_ops = {.end = add_end, .gone = admin_call_gone};
static const struct session_route_ops list_ops = {.end = list_end, .gone = admin_call_gone};
static const struct session_route_ops remove_ops = {.end = remove_end, .gone = admin_call_gone};
static const struct session_route_ops rotate_ops = {.end = rotate_end, .gone = admin_call_gone};


static const struct session_doc add_doc = {
	.help = "A subscriber's JWT is signed with HS256 and the secret's text, has `kid` = its id,"
		" `aud` = `weir`, `exp`, and `weir` = `{\"subscribe\":[patterns],\"publish\":"
		"[patterns]}`.",
	.body = {"SecretNew"},
	.answers = {{201, "SecretMade", "The secret; this is the only time it is shown."},
	    {409, "", "A secret has this name already."},
	    {422, "", "A member is missing, unknown, or has no valid value."}, STORE_FAILED},
};

static const struct session_doc list_doc = {
	.query = {
		{"limit?", "integer", "At most so many; 100 when it is left out, at most 1,000."},
		{"cursor?", "string", "next of the page before."},
	},
	.answers = {{200, "SecretPage", "Secrets in the order in which they were made."},
	    STORE_FAILED},
};

static const struct session_doc remove_doc = {
	.path = {{"name", "Name", "The secret's name."}},
	.answers = {{204, "", "It is gone, and what it signed is void."},
	    {404, "", "There is no secret of this name."}, STORE_FAILED},
};

static const struct session_doc rotate_doc = {
	.help = "What the old one signed stays valid until its time is over.",
	.answers = {{200, "{id: string}", "The `kid` of the new one."}, STORE_FAILED},
};

const struct session_route api_admin_secrets_routes[] = {
	{
		.path = "/api/v1/admin/secrets",
		.methods = SESSION_POST,
		.rights = ACCESS_ADMIN,
		.ops = &add_ops,
		.summary = "A new secret for signing subscribers' tokens, shown once",
		.doc = &add_doc,
	},
	{
		.path = "/api/v1/admin/secrets",
		.methods = SESSION_GET,
		.rights = ACCESS_ADMIN,
		.ops = &list_ops,
		.summary = "All secrets of applications, without the secrets themselves",
		.doc = &list_doc,
	},
	{
		.path = "/api/v1/admin/secrets/{name}",
		.methods = SESSION_DELETE,
		.rights = ACCESS_ADMIN,
		.ops = &remove_ops,
		.summary = "Removes a secret; what it signed is void",
		.doc = &remove_doc,
	},
	{
		.path = "/api/v1/admin/token/rotate",
		.methods = SESSION_POST,
		.rights = ACCESS_ADMIN,
		.ops = &rotate_ops,
		.summary = "Another secret for signing the tokens of persons",
		.doc = &rotate_doc,
	},
	{.path = NULL},
};

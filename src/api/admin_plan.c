/*
 * admin_plan.c: /api/v1/venues/{id}/plan: a venue's floor plan, a picture.
 *
 * What a picture is, its first bytes say; a Content-Type that claims another kind of image is
 * refused, so nobody is served as one thing what was given as another. A plan is shown as a picture
 * and never runs: SVG may hold scripts, so all plans are served in a sandbox without any source,
 * and nobody is to guess another type.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin_doc.h"
#include "admin_json.h"
#include "check.h"
#include "num.h"
#include "registry.h"
#include "utf8.h"

struct plan_call {
	struct admin_call call;
	uint64_t id;
	struct span id_text;
	const char *type;       /* of what is put */
	struct span bytes;
	struct span if_none;
	bool has_plan;
	char found[32];         /* the type of what is there */
};

/* ── which picture ── */

static bool
is_svg(struct span bytes)
{
	struct span rest = bytes;

	if (span_starts(rest, SPAN("\xef\xbb\xbf")))
		rest = span_skip(rest, 3);
	while (rest.len && strchr(" \t\r\n", rest.ptr[0]) && rest.ptr[0])
		rest = span_skip(rest, 1);
	if (!span_starts(rest, SPAN("<?xml")) && !span_starts(rest, SPAN("<svg")) &&
	    !span_starts(rest, SPAN("<!--")) && !span_starts(rest, SPAN("<!DOCTYPE svg")))
		return false;
	return memmem(rest.ptr, rest.len, "<svg", 4) && utf8_valid(bytes);
}

/* NULL: none that is known. */
static const char *
picture_type(struct span bytes)
{
	if (span_starts(bytes, SPAN("\x89PNG\r\n\x1a\n")))
		return "image/png";
	if (span_starts(bytes, SPAN("\xff\xd8\xff")))
		return "image/jpeg";
	if (bytes.len >= 12 && span_starts(bytes, SPAN("RIFF")) &&
	    span_starts(span_skip(bytes, 8), SPAN("WEBP")))
		return "image/webp";
	return is_svg(bytes) ? "image/svg+xml" : NULL;
}

/* Content-Type without its parameters. */
static struct span
media_type(struct span header)
{
	const char *end = header.len ? memchr(header.ptr, ';', header.len) : NULL;

	if (end)
		header.len = (size_t)(end - header.ptr);
	while (header.len && header.ptr[header.len - 1] == ' ')
		header.len--;
	return header;
}

static int
picture_read(struct plan_call *pc, struct span whole, struct span content_type)
{
	struct span claimed = media_type(content_type);

	pc->type = picture_type(whole);
	if (!pc->type)
		return admin_call_refuse(&pc->call, 422, NULL,
		    "the body is no PNG, JPEG, WebP or SVG picture");
	if (claimed.len > 6 && span_eq_nocase(span_of(claimed.ptr, 6), SPAN("image/")) &&
	    !span_eq_nocase(claimed, span_str(pc->type)))
		return admin_call_refuse(&pc->call, 422, NULL,
		    "Content-Type says '%.*s', but the body is %s",
		    (int)MIN(claimed.len, 64u), claimed.ptr, pc->type);
	pc->bytes = admin_call_keep(&pc->call, whole);
	return 0;
}

/* ── on the store's thread ── */

static int
venue_each(void *ctx, const struct store_venue *venue)
{
	struct plan_call *pc = ctx;
	struct access_object object = {
		.what = ACCESS_A_VENUE,
		.tenant = pc->call.tenant,
		.users = venue->users,
		.user_count = venue->user_count,
	};

	pc->call.version = venue->version;
	pc->has_plan = venue->has_plan;
	return admin_call_may(&pc->call, pc->call.ops->verb, &object);
}

static int
venue_find(struct plan_call *pc, struct store_tx *tx)
{
	int error = store_venue_find(store_tx_store(tx), pc->call.tenant, pc->id, venue_each, pc);

	if (error == -ENOENT)
		return admin_call_refuse(&pc->call, 404, NULL, "there is no such venue");
	return error;
}

/* For the audit: {"type":…,"bytes":…}. */
static struct span
plan_document(struct plan_call *pc, struct span type, size_t bytes)
{
	struct span document;
	struct buf out;

	buf_init(&out, 0);
	buf_append_str(&out, "{\"type\":");
	json_write_string(&out, type);
	buf_printf(&out, ",\"bytes\":%zu}", bytes);
	pc->call.no_memory |= !buf_ok(&out);
	document = admin_call_keep(&pc->call, buf_span(&out));
	buf_finish(&out);
	return document;
}

static int
before_each(void *ctx, struct span type, struct span bytes)
{
	struct plan_call *pc = ((void **)ctx)[0];
	struct span *before = ((void **)ctx)[1];

	*before = plan_document(pc, type, bytes.len);
	return 0;
}

/* Puts the plan that was given, or none. */
static int
plan_put(struct plan_call *pc, struct store_tx *tx, const char *what, struct span after)
{
	struct admin_call *call = &pc->call;
	struct span before = {NULL, 0};
	void *ctx[] = {pc, &before};
	int error = 0;

	if (pc->has_plan)
		error = store_venue_plan_get(store_tx_store(tx), call->tenant, pc->id,
		    before_each, ctx);
	if (error == 0)
		error = store_venue_plan_put(tx, call->tenant, pc->id,
		    span_str(pc->type ? pc->type : ""), pc->bytes, &call->version);
	call->status = 204;
	return error ? error : admin_call_audit(call, tx, what, pc->id_text, before, after);
}

static int
put_apply(struct admin_call *call, struct store_tx *tx)
{
	struct plan_call *pc = (struct plan_call *)call;
	int error = venue_find(pc, tx);

	if (error == 0)
		error = admin_call_match(call, call->version);
	return error ? error : plan_put(pc, tx, "venue.plan",
	    plan_document(pc, span_str(pc->type), pc->bytes.len));
}

static int
no_plan(struct plan_call *pc)
{
	return admin_call_refuse(&pc->call, 404, NULL, "the venue has no plan");
}

static int
remove_apply(struct admin_call *call, struct store_tx *tx)
{
	struct plan_call *pc = (struct plan_call *)call;
	int error = venue_find(pc, tx);

	if (error == 0 && !pc->has_plan)
		error = no_plan(pc);
	if (error == 0)
		error = admin_call_match(call, call->version);
	if (error == 0)
		error = plan_put(pc, tx, "venue.plan.remove", SPAN(""));
	call->version = 0;
	return error;
}

static int
get_each(void *ctx, struct span type, struct span bytes)
{
	struct plan_call *pc = ctx;

	snprintf(pc->found, sizeof pc->found, "%.*s", (int)MIN(type.len, sizeof pc->found),
	    type.ptr);
	pc->call.content_type = pc->found;
	return buf_append_span(&pc->call.out, bytes);
}

static int
get_apply(struct admin_call *call, struct store_tx *tx)
{
	struct plan_call *pc = (struct plan_call *)call;
	char tag[32];
	int error = venue_find(pc, tx);

	if (error)
		return error;
	if (!pc->has_plan)
		return no_plan(pc);
	snprintf(tag, sizeof tag, "\"%llu\"", (unsigned long long)call->version);
	if (pc->if_none.len && (span_eq(pc->if_none, SPAN("*")) ||
	    memmem(pc->if_none.ptr, pc->if_none.len, tag, strlen(tag)))) {
		call->status = 304;
		return 0;
	}
	return store_venue_plan_get(store_tx_store(tx), call->tenant, pc->id, get_each, pc);
}

/* ── from the request ── */

static struct plan_call *
plan_call_create(struct session_request *request, const struct admin_call_ops *ops)
{
	struct plan_call *pc = admin_call_create(request, sizeof *pc, ops);
	struct span id = session_path_param(request, "id");

	if (!pc)
		return NULL;
	pc->id_text = admin_call_keep(&pc->call, id);
	/* What is no number stays 0, which no venue is. */
	if (id.len == 0 || id.ptr[0] == '0' || num_parse_u64(id, &pc->id) || pc->id > INT64_MAX)
		pc->id = 0;
	return pc;
}

static void
put_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = put_apply,
	    .what = ACCESS_A_VENUE, .verb = ACCESS_CHANGE};
	struct plan_call *pc = plan_call_create(request, &ops);

	if (pc)
		admin_call_run(&pc->call,
		    picture_read(pc, whole, session_header(request, "Content-Type")));
}

static void
get_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = get_apply,
	    .what = ACCESS_A_VENUE, .verb = ACCESS_SEE, .own = true};
	struct plan_call *pc = plan_call_create(request, &ops);

	(void)whole;
	if (!pc)
		return;
	pc->if_none = admin_call_keep(&pc->call, session_header(request, "If-None-Match"));
	if (session_add_header(request, "Content-Security-Policy",
	    SPAN("default-src 'none'; style-src 'unsafe-inline'; sandbox")) ||
	    session_add_header(request, "X-Content-Type-Options", SPAN("nosniff")) ||
	    session_add_header(request, "Content-Disposition", SPAN("attachment")))
		pc->call.no_memory = true;
	admin_call_run(&pc->call, 0);
}

static void
remove_end(struct session_request *request, struct span whole)
{
	static const struct admin_call_ops ops = {.apply = remove_apply,
	    .what = ACCESS_A_VENUE, .verb = ACCESS_CHANGE};
	struct plan_call *pc = plan_call_create(request, &ops);

	(void)whole;
	if (pc)
		admin_call_run(&pc->call, 0);
}

static const struct session_route_ops put_ops = {.end = put_end, .gone = admin_call_gone};
static const struct session_route_ops get_ops = {.end = get_end, .gone = admin_call_gone};
static const struct session_route_ops remove_ops = {.end = remove_end, .gone = admin_call_gone};

#define ID_PATH {{"id", "integer", "The venue's id."}}

static const struct session_doc put_doc = {
	.help = "A PNG, JPEG, WebP or SVG picture of at most 8 MiB; its first bytes say which.",
	.path = ID_PATH,
	.headers = {{"If-Match?", "string", "The ETag of the version that is to be changed."}},
	.body = {"image/png string", "image/jpeg string", "image/svg+xml string"},
	.answers = {{204, "", "It is the venue's plan now."}, {404, "", "There is no such venue."},
	    {412, "", "It was changed since."},
	    {422, "", "It is no such picture, or another than Content-Type says."}, STORE_FAILED},
};

static const struct session_doc get_doc = {
	.path = ID_PATH,
	.headers = {{"If-None-Match?", "string", "The ETag of what the caller has."}},
	.answers = {{200, "image/png string", "The picture, with the venue's version as ETag."},
	    {200, "image/jpeg string", ""}, {200, "image/webp string", ""},
	    {200, "image/svg+xml string", ""},
	    {304, "", "The caller has it."}, {404, "", "There is no such venue, or no plan."},
	    STORE_FAILED},
};

static const struct session_doc remove_doc = {
	.path = ID_PATH,
	.headers = {{"If-Match?", "string", "The ETag of the version that is to be changed."}},
	.answers = {{204, "", "It is gone."}, {404, "", "There is no such venue, or no plan."},
	    {412, "", "It was changed since."}, STORE_FAILED},
};

const struct session_route api_admin_plan_routes[] = {
	{
		.path = "/api/v1/venues/{id}/plan", .methods = SESSION_PUT, .rights = ACCESS_ADMIN,
		.body_bytes_max = STORE_PLAN_BYTES_MAX, .ops = &put_ops,
		.summary = "Sets a venue's floor plan", .doc = &put_doc,
	},
	{
		.path = "/api/v1/venues/{id}/plan", .methods = SESSION_GET, .rights = ACCESS_READ,
		.ops = &get_ops, .summary = "A venue's floor plan", .doc = &get_doc,
	},
	{
		.path = "/api/v1/venues/{id}/plan", .methods = SESSION_DELETE,
		.rights = ACCESS_ADMIN, .ops = &remove_ops,
		.summary = "Takes a venue's floor plan away", .doc = &remove_doc,
	},
	{.path = NULL},
};

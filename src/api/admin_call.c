/*
 * admin_call.c: one call of administration: a request, its unit of the store, its answer.
 *
 * Ownership passes with the job, the unit and the mails: the loop has the call until it is
 * submitted, a worker until it submits it to the store, the store's thread until done(), then the
 * loop again, when all mails are there: the store's comes after every loop knows of the change.
 * `request` is the loop's alone.
 */
#include "admin_call.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "access_change.h"
#include "check.h"
#include "num.h"
#include "registry.h"

struct admin_kept {
	struct admin_kept *next;
	size_t size;
	char bytes[];
};

void
admin_call_forget(struct admin_call *call)
{
	struct admin_kept *kept;

	while ((kept = call->kept)) {
		call->kept = kept->next;
		sodium_memzero(kept->bytes, kept->size);
		free(kept);
	}
}

static void
call_destroy(struct admin_call *call)
{
	admin_call_forget(call);
	if (call->out.ptr)
		sodium_memzero(call->out.ptr, call->out.cap);
	buf_finish(&call->out);
	access_change_unref(call->change);
	access_principal_unref(call->principal);
	sodium_memzero(call, call->size);
	free(call);
}

void *
admin_call_alloc(struct admin_call *call, size_t size)
{
	struct admin_kept *kept = malloc(sizeof *kept + size);

	if (!kept) {
		call->no_memory = true;
		return NULL;
	}
	kept->size = size;
	kept->next = call->kept;
	call->kept = kept;
	return kept->bytes;
}

struct span
admin_call_keep(struct admin_call *call, struct span bytes)
{
	char *copy = bytes.len ? admin_call_alloc(call, bytes.len) : NULL;

	if (!copy)
		return span_of(NULL, 0);
	memcpy(copy, bytes.ptr, bytes.len);
	return span_of(copy, bytes.len);
}

int
admin_call_refuse(struct admin_call *call, unsigned status, const char *pointer,
    const char *detail_format, ...)
{
	va_list args;

	call->refused = status;
	snprintf(call->pointer, sizeof call->pointer, "%s", pointer ? pointer : "");
	va_start(args, detail_format);
	vsnprintf(call->detail, sizeof call->detail, detail_format, args);
	va_end(args);
	return -ECANCELED;
}

struct access_change *
admin_call_change(struct admin_call *call)
{
	if (!call->change)
		call->change = access_change_create(call->api->secret);
	if (!call->change)
		call->no_memory = true;
	return call->change;
}

int
admin_call_number(struct admin_call *call, const char *name, uint64_t min, uint64_t max,
    uint64_t *value)
{
	struct span text = session_query(call->request, name);
	uint64_t number;

	if (!text.ptr)
		return 0;
	if (num_parse_u64(text, &number) || number < min || number > max)
		return admin_call_refuse(call, 400, NULL,
		    "%s is '%.*s'; it must be a whole number from %llu to %llu", name,
		    (int)MIN(text.len, 64u), text.ptr, (unsigned long long)min,
		    (unsigned long long)max);
	*value = number;
	return 0;
}

int
admin_call_match(struct admin_call *call, uint64_t version)
{
	struct span rest = call->if_match;
	char tag[32];
	int len = snprintf(tag, sizeof tag, "\"%llu\"", (unsigned long long)version);

	if (rest.len == 0 || span_eq(rest, SPAN("*")))
		return 0;
	while (rest.len >= (size_t)len) {
		if (span_starts(rest, span_of(tag, (size_t)len)))
			return 0;
		rest = span_skip(rest, 1);
	}
	return admin_call_refuse(call, 412, NULL,
	    "it was changed since: it is at version %s now", tag);
}

int
admin_call_audit(struct admin_call *call, struct store_tx *tx, const char *what,
    struct span object, struct span before, struct span after)
{
	struct store_audit audit = {
		.tenant = call->tenant,
		.time_ms = call->now_ms,
		.who = call->who,
		.what = span_str(what),
		.object = object,
		.from = call->from,
		.before = before,
		.after = after,
	};

	return store_audit_add(tx, &audit);
}

/* ── who may ── */

int
admin_call_may(struct admin_call *call, enum access_verb verb, const struct access_object *object)
{
	static const char *const names[] = {
		[ACCESS_A_NODE] = "thing", [ACCESS_A_TENANT] = "tenant",
		[ACCESS_AN_ACCOUNT] = "user", [ACCESS_A_KEY] = "key",
		[ACCESS_A_DEVICE] = "device", [ACCESS_A_GATEWAY] = "gateway",
		[ACCESS_A_VENUE] = "venue", [ACCESS_A_CHANNEL] = "channel",
	};

	switch (access_may(call->access, call->principal, verb, object)) {
	case ACCESS_YES:
		return 0;
	case ACCESS_NO:
		return admin_call_refuse(call, 403, NULL, "your credentials do not allow this");
	case ACCESS_UNSEEN:
		break;
	}
	return admin_call_refuse(call, 404, NULL, "there is no such %s", names[object->what]);
}

uint64_t
admin_call_limited(const struct admin_call *call)
{
	return call->principal->limited ? call->principal->id : 0;
}

/* Whose things the call is about. */
static int
tenant_choose(struct admin_call *call)
{
	static const struct access_object node = {.what = ACCESS_A_NODE};
	struct span name = session_query(call->request, "tenant");

	call->tenant = admin_call_keep(call, name.ptr ? name : call->principal->tenant);
	call->elsewhere = !span_eq(call->tenant, call->principal->tenant);
	if (name.ptr && !store_name_valid(name))
		return admin_call_refuse(call, 400, NULL,
		    "tenant must be 1 to %d characters of a-z 0-9 . _ -", STORE_NAME_BYTES_MAX);
	return call->elsewhere ? admin_call_may(call, ACCESS_SEE, &node) : 0;
}

/* The thing that the path names. */
static int
thing_ask(struct admin_call *call)
{
	const struct access_principal *principal = call->principal;
	struct access_object object = {
		.what = call->ops->what,
		.tenant = call->tenant,
		.id = session_path_param(call->request, "id"),
	};
	struct span user = session_path_param(call->request, "user");

	if (call->ops->own && principal->limited)
		return 0;
	if (call->ops->own || (principal->kind == ACCESS_PERSON && user.len && !call->elsewhere &&
	    span_eq(span_skip(principal->name, strlen("user-")), user)))
		object.number = principal->id;
	return admin_call_may(call, call->ops->verb, &object);
}

/* ── on the store's thread ── */

static int
tenant_seen(void *ctx, const struct store_tenant *tenant)
{
	(void)ctx;
	(void)tenant;
	return 0;
}

static int
call_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct admin_call *call = CONTAINER_OF(unit, struct admin_call, unit);
	int error = 0;

	if (call->elsewhere)
		error = store_tenant_find(store_tx_store(tx), call->tenant, tenant_seen, NULL);
	if (error == -ENOENT)
		error = admin_call_refuse(call, 404, NULL, "there is no such tenant");
	if (error == 0)
		error = call->finding ? call->ops->find(call, tx) : call->ops->apply(call, tx);
	if (error == 0 && (call->no_memory || !buf_ok(&call->out)))
		error = -ENOMEM;
	return error;
}

static void
call_stored(struct store_unit *unit, int error)
{
	struct admin_call *call = CONTAINER_OF(unit, struct admin_call, unit);

	call->error = error;
	if (!error && call->change)
		call->api->registry_changed(call->api->ctx, call->change, call->box, &call->mail);
	else
		mailbox_send(call->box, &call->mail);
}

/* ── on the loop ── */

static void
call_fail(const struct admin_call *call)
{
	struct session_request *request = call->request;

	if (call->error == -ECANCELED && call->retry_after_s) {
		char text[16];
		int len = snprintf(text, sizeof text, "%u", call->retry_after_s);

		session_add_header(request, "Retry-After", span_of(text, (size_t)len));
	}
	if (call->error == -ECANCELED)
		session_problem(request, call->refused, call->pointer[0] ? call->pointer : NULL,
		    "%s", call->detail);
	else if (call->error == -ENOMEM)
		api_no_memory(request);
	else if (call->error == -ENOSPC)
		session_problem(request, 503, NULL, "the disk is full");
	else if (call->error == -EMSGSIZE)
		session_problem(request, 422, NULL, "it is longer than the registry keeps");
	else
		session_problem(request, 500, NULL, "the store failed");
}

static void
call_answer(struct admin_call *call)
{
	struct session_request *request = call->request;
	char tag[32];

	if (call->version) {
		int len = snprintf(tag, sizeof tag, "\"%llu\"", (unsigned long long)call->version);

		session_add_header(request, "ETag", span_of(tag, (size_t)len));
	}
	if (!call->content_type)
		call->content_type = "application/json";
	session_answer(request, call->status, call->out.len ? call->content_type : NULL,
	    buf_span(&call->out));
}

static void
call_end(struct admin_call *call)
{
	if (call->request) {
		session_set_state(call->request, NULL);
		if (call->error)
			call_fail(call);
		else
			call_answer(call);
	} else if (call->ops->done) {
		call->ops->done(call);
	}
	call_destroy(call);
}

/* On a worker. The store is told from here: the workers end before the store's thread does, while
 * the loops may have ended already. */
static void
call_work(struct job *job)
{
	struct admin_call *call = CONTAINER_OF(job, struct admin_call, job);
	int error = call->ops->work(call);

	if (error)
		call_stored(&call->unit, error);
	else
		store_writer_submit(call->api->store, &call->unit);
}

/* Whether the threads that a call goes through have ended (api.store is NULL then), while what they
 * did last still comes back; then the call ends. */
static bool
call_stops(struct admin_call *call)
{
	if (call->api->store)
		return false;
	call->error = admin_call_refuse(call, 503, NULL, "the server stops");
	call_end(call);
	return true;
}

/* All is known: to the worker, or to the store. */
static void
call_proceed(struct admin_call *call)
{
	if (call_stops(call))
		return;
	if (!call->ops->work) {
		call->awaited = 1;
		store_writer_submit(call->api->store, &call->unit);
		return;
	}
	call->awaited = 2;
	call->job.run = call_work;
	if (workers_submit(call->ops->hashes ? call->api->hashers : call->api->queries,
	    &call->job) == 0)
		return;
	call->error = admin_call_refuse(call, 503, NULL,
	    "the server has too much to do; try again");
	call_end(call);
}

static void
call_back(struct admin_call *call)
{
	if (--call->awaited > 0)
		return;
	if (call->finding && !call->error) {
		call->finding = false;
		call_proceed(call);
	} else if (call->error || !call->ops->after || !call->ops->after(call)) {
		call_end(call);
	}
}

static void
call_stored_deliver(struct mail *mail)
{
	call_back(CONTAINER_OF(mail, struct admin_call, mail));
}

static void
call_worked_deliver(struct mail *mail)
{
	call_back(CONTAINER_OF(mail, struct admin_call, job.mail));
}

static struct admin_call *
call_new(const struct api *api, struct mailbox *box, const struct access *access,
    struct access_principal *principal, size_t size, const struct admin_call_ops *ops)
{
	struct admin_call *call = calloc(1, size);

	check(size >= sizeof *call);
	if (!call)
		return NULL;
	call->api = api;
	call->ops = ops;
	call->box = box;
	call->size = size;
	call->mail.deliver = call_stored_deliver;
	call->job.reply_to = box;
	call->job.mail.deliver = call_worked_deliver;
	call->unit.apply = call_apply;
	call->unit.done = call_stored;
	call->unit.urgent = true;
	call->access = access;
	call->principal = access_principal_ref(principal);
	call->who = admin_call_keep(call, principal->name);
	call->now_ms = env_now_ms(api->env);
	call->status = 200;
	buf_init(&call->out, 0);
	return call;
}

void *
admin_call_create(struct session_request *request, size_t size, const struct admin_call_ops *ops)
{
	const struct api_loop *al = session_app(request);
	struct admin_call *call = call_new(al->api, al->box, al->access,
	    (struct access_principal *)session_principal(request), size, ops);
	int error;

	if (!call) {
		api_no_memory(request);
		return NULL;
	}
	call->request = request;
	call->from = admin_call_keep(call, span_str(session_peer(request)));
	call->if_match = admin_call_keep(call, session_header(request, "If-Match"));
	error = tenant_choose(call);
	if (error == 0)
		error = thing_ask(call);
	if (error == 0)
		return call;
	admin_call_run(call, error);
	return NULL;
}

void *
admin_call_part(const struct admin_call *whole, size_t size, const struct admin_call_ops *ops)
{
	struct admin_call *call = call_new(whole->api, whole->box, whole->access,
	    whole->principal, size, ops);

	if (!call)
		return NULL;
	call->from = admin_call_keep(call, whole->from);
	call->tenant = admin_call_keep(call, whole->tenant);
	call->elsewhere = whole->elsewhere;
	return call;
}

void
admin_call_run(struct admin_call *call, int error)
{
	call->error = call->no_memory ? -ENOMEM : error;
	if (call->error) {
		call_end(call);
		return;
	}
	if (call->request)
		session_set_state(call->request, call);
	if (call->ops->find && call_stops(call))
		return;
	if (call->ops->find) {
		call->finding = true;
		call->awaited = 1;
		store_writer_submit(call->api->store, &call->unit);
	} else {
		call_proceed(call);
	}
}

void
admin_call_finish(struct admin_call *call, int error)
{
	call->error = error == 0 && (call->no_memory || !buf_ok(&call->out)) ? -ENOMEM : error;
	call_end(call);
}

void
admin_call_gone(struct session_request *request, bool broken)
{
	struct admin_call *call = session_state(request);

	(void)broken;
	if (call)
		call->request = NULL;
}

/*
 * access_signing.c: secrets that sign JWTs, made and replaced in the store.
 *
 * Invariant: at most one secret for persons has no end; it is the youngest, and what it signs is
 * valid. All of them belong to tenant main, for they are the node's.
 */
#include "access_signing.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>

#include "check.h"
#include "span.h"

#define NODE_TENANT SPAN("main")

int
access_signing_add(const struct access_signing *signing, struct store_tx *tx,
    struct store_secret *row, char ret_text[ACCESS_KEY_BYTES])
{
	unsigned char sealed[ACCESS_SEALED_BYTES_MAX];
	struct store_secret secret = *row;
	int error = secret.id ? 0 : store_secret_next_id(tx, &secret.id);

	if (error)
		return error;
	access_key_generate(signing->env, ret_text);
	secret.sealed = span_of((const char *)sealed, access_seal(signing->env,
	    signing->node_secret, &secret, span_of(ret_text, ACCESS_KEY_BYTES), sealed));
	error = store_secret_add(tx, &secret, &secret.version);
	if (error == 0 && signing->change)
		error = access_change_secret(signing->change, &secret);
	if (error)
		return error;
	row->id = secret.id;
	row->version = secret.version;
	return 0;
}

/* ── secrets of persons, one after the other ── */

/* A row with bytes of its own. */
struct copy {
	struct store_secret row;
	char name[STORE_NAME_BYTES_MAX], sealed[ACCESS_SEALED_BYTES_MAX];
	bool found;
};

static int
copy_each(void *ctx, const struct store_secret *row)
{
	struct copy *copy = ctx;

	if (row->name.len > sizeof(copy->name) || row->sealed.len > sizeof(copy->sealed))
		return -EUCLEAN;
	copy->row = *row;
	copy->row.tenant = NODE_TENANT;
	copy->row.name = span_of(copy->name, row->name.len);
	copy->row.sealed = span_of(copy->sealed, row->sealed.len);
	memcpy(copy->name, row->name.ptr, row->name.len);
	memcpy(copy->sealed, row->sealed.ptr, row->sealed.len);
	copy->found = true;
	return 0;
}

/* The one behind `after`; found is false at the end. */
static int
next_of_persons(struct store_tx *tx, uint64_t after, struct copy *ret_copy)
{
	struct store_page page = {.after_number = after, .limit = 1};

	ret_copy->found = false;
	return store_secrets_list(store_tx_store(tx), NODE_TENANT, STORE_SECRET_USER, &page,
	    copy_each, ret_copy);
}

/* It ends at `until_ms`, or is removed when its time is over. */
static int
retire(const struct access_signing *signing, struct store_tx *tx, struct store_secret *row,
    int64_t now_ms, int64_t until_ms)
{
	struct access_change *change = signing->change;
	uint64_t id;
	int error;

	if (row->expires_ms && row->expires_ms <= now_ms) {
		error = store_secret_remove(tx, row->tenant, row->kind, row->name, &id,
		    &row->version);
		return error || !change ? error : access_change_secret_gone(change, id);
	}
	if (row->expires_ms && row->expires_ms <= until_ms)
		return 0;
	row->expires_ms = until_ms;
	error = store_secret_expire(tx, row->id, until_ms, &row->version);
	return error || !change ? error : access_change_secret(change, row);
}

int
access_signing_rotate(const struct access_signing *signing, struct store_tx *tx,
    int64_t now_ms, int64_t overlap_ms, uint64_t *ret_id)
{
	struct store_secret row = {.tenant = NODE_TENANT, .kind = STORE_SECRET_USER,
	    .created_ms = now_ms};
	char name[STORE_NAME_BYTES_MAX], text[ACCESS_KEY_BYTES];
	struct copy old;
	int error = next_of_persons(tx, 0, &old);

	while (error == 0 && old.found) {
		uint64_t id = old.row.id;

		error = retire(signing, tx, &old.row, now_ms, now_ms + overlap_ms);
		if (error == 0)
			error = next_of_persons(tx, id, &old);
	}
	if (error == 0)
		error = store_secret_next_id(tx, &row.id);
	if (error)
		return error;
	row.name = span_of(name, (size_t)snprintf(name, sizeof(name), "persons-%llu",
	    (unsigned long long)row.id));
	error = access_signing_add(signing, tx, &row, text);
	sodium_memzero(text, sizeof(text));
	if (error == 0)
		*ret_id = row.id;
	return error;
}

int
access_signing_ensure(const struct access_signing *signing, struct store_tx *tx, int64_t now_ms)
{
	struct copy old;
	uint64_t id = 0;
	int error;

	do {
		error = next_of_persons(tx, id, &old);
		if (error || (old.found && old.row.expires_ms == 0))
			return error;
		id = old.row.id;
	} while (old.found);
	return access_signing_rotate(signing, tx, now_ms, 0, &id);
}

/*
 * access_change.c: a list of records, each a row of the registry or the name of one that is gone.
 * Devices and secrets become the records that loops share; of the rest a copy of the row is kept.
 */
#include "access_change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "access_priv.h"
#include "check.h"
#include "registry.h"

enum kind { DEVICE, GATEWAY, USER, KEY, SECRET, DEVICE_GONE, GATEWAY_GONE, USER_GONE, KEY_GONE,
	SECRET_GONE };

struct record {
	struct record *next;
	enum kind kind;
	union {
		struct access_device *device;
		struct access_secret *secret;
		struct store_gateway gateway;
		struct store_user user;
		struct store_key key;
		struct {
			struct span tenant, id;
			uint64_t number;
		} gone;
	};
	char text[]; /* what the spans above point to */
};

struct access_change {
	refcount refs;
	const unsigned char *secret;
	struct record *first, **last;
	size_t count;
};

struct access_change *
access_change_create(const unsigned char secret[32])
{
	struct access_change *change = calloc(1, sizeof(*change));

	if (change == NULL)
		return NULL;
	refcount_init(&change->refs);
	change->secret = secret;
	change->last = &change->first;
	return change;
}

struct access_change *
access_change_ref(struct access_change *change)
{
	refcount_up(&change->refs);
	return change;
}

void
access_change_unref(struct access_change *change)
{
	struct record *record, *next;

	if (change == NULL || !refcount_down(&change->refs))
		return;
	for (record = change->first; record; record = next) {
		next = record->next;
		if (record->kind == DEVICE)
			access_device_unref(record->device);
		if (record->kind == SECRET)
			access_secret_unref(record->secret);
		free(record);
	}
	free(change);
}

size_t
access_change_count(const struct access_change *change)
{
	return change->count;
}

/* ── noting ── */

/* With room for text. NULL also when there is no change to note it in. */
static struct record *
record_create(const struct access_change *change, enum kind kind, size_t text_bytes)
{
	struct record *record = change ? calloc(1, sizeof(*record) + text_bytes) : NULL;

	if (record)
		record->kind = kind;
	return record;
}

/* Makes the spans point to copies of their text in the record. */
static void
copy_texts(struct record *record, struct span *const *spans, size_t count)
{
	char *place = record->text;

	for (size_t i = 0; i < count; i++) {
		if (spans[i]->len)
			memcpy(place, spans[i]->ptr, spans[i]->len);
		spans[i]->ptr = place;
		place += spans[i]->len;
	}
}

static int
record_note(struct access_change *change, struct record *record)
{
	*change->last = record;
	change->last = &record->next;
	change->count++;
	return 0;
}

int
access_change_device(struct access_change *change, const struct store_device *device)
{
	struct record *record = record_create(change, DEVICE, 0);
	int error;

	if (record == NULL)
		return -ENOMEM;
	error = access_device_create(device, &record->device);
	if (error) {
		free(record);
		return error;
	}
	return record_note(change, record);
}

int
access_change_secret(struct access_change *change, const struct store_secret *secret)
{
	struct record *record = record_create(change, SECRET, 0);
	int error;

	if (record == NULL)
		return -ENOMEM;
	error = access_secret_create(change->secret, secret, &record->secret);
	if (error) {
		free(record);
		return error;
	}
	return record_note(change, record);
}

int
access_change_gateway(struct access_change *change, const struct store_gateway *gateway)
{
	struct record *record = record_create(change, GATEWAY,
	    gateway->tenant.len + gateway->state.len + gateway->hash.len);

	if (record == NULL)
		return -ENOMEM;
	record->gateway = *gateway;
	record->gateway.name = record->gateway.config = span_of(NULL, 0);
	copy_texts(record, (struct span *const[]){&record->gateway.tenant,
	    &record->gateway.state, &record->gateway.hash}, 3);
	return record_note(change, record);
}

int
access_change_user(struct access_change *change, const struct store_user *user)
{
	struct record *record = record_create(change, USER,
	    user->tenant.len + user->name.len);

	if (record == NULL)
		return -ENOMEM;
	record->user = *user;
	record->user.hash = record->user.contacts = span_of(NULL, 0);
	record->user.language = record->user.tz = span_of(NULL, 0);
	copy_texts(record, (struct span *const[]){&record->user.tenant, &record->user.name}, 2);
	return record_note(change, record);
}

int
access_change_key(struct access_change *change, const struct store_key *key)
{
	struct record *record = record_create(change, KEY,
	    key->tenant.len + key->name.len + key->hash.len + key->channels.len);

	if (record == NULL)
		return -ENOMEM;
	record->key = *key;
	copy_texts(record, (struct span *const[]){&record->key.tenant, &record->key.name,
	    &record->key.hash, &record->key.channels}, 4);
	return record_note(change, record);
}

static int
note_gone(struct access_change *change, enum kind kind, struct span tenant, struct span id,
    uint64_t number)
{
	struct record *record = record_create(change, kind, tenant.len + id.len);

	if (record == NULL)
		return -ENOMEM;
	record->gone.tenant = tenant;
	record->gone.id = id;
	record->gone.number = number;
	copy_texts(record, (struct span *const[]){&record->gone.tenant, &record->gone.id}, 2);
	return record_note(change, record);
}

int
access_change_device_gone(struct access_change *change, struct span tenant, struct span id)
{
	return note_gone(change, DEVICE_GONE, tenant, id, 0);
}

int
access_change_gateway_gone(struct access_change *change, struct span tenant, uint64_t id)
{
	return note_gone(change, GATEWAY_GONE, tenant, SPAN(""), id);
}

int
access_change_user_gone(struct access_change *change, uint64_t id)
{
	return note_gone(change, USER_GONE, SPAN(""), SPAN(""), id);
}

int
access_change_key_gone(struct access_change *change, uint64_t id)
{
	return note_gone(change, KEY_GONE, SPAN(""), SPAN(""), id);
}

int
access_change_secret_gone(struct access_change *change, uint64_t id)
{
	return note_gone(change, SECRET_GONE, SPAN(""), SPAN(""), id);
}

/* ── applying ── */

static int
record_apply(const struct record *record, struct access *access)
{
	switch (record->kind) {
	case DEVICE:
		return access_device_put(access, record->device);
	case GATEWAY:
		return access_gateway_put(access, &record->gateway);
	case USER:
		return access_user_put(access, &record->user);
	case KEY:
		return access_key_put(access, &record->key);
	case SECRET:
		return access_secret_put(access, record->secret);
	case DEVICE_GONE:
		access_device_remove(access, record->gone.tenant, record->gone.id);
		return 0;
	case GATEWAY_GONE:
		access_gateway_remove(access, record->gone.tenant, record->gone.number);
		return 0;
	case USER_GONE:
		access_user_remove(access, record->gone.number);
		return 0;
	case KEY_GONE:
		access_key_remove(access, record->gone.number);
		return 0;
	case SECRET_GONE:
		access_secret_remove(access, record->gone.number);
		return 0;
	}
	return 0;
}

int
access_change_apply(const struct access_change *change, struct access *access)
{
	int error = 0;

	for (const struct record *record = change->first; record; record = record->next) {
		int failed = record_apply(record, access);

		if (failed && record->kind == KEY)
			access_key_remove(access, record->key.id); /* no old rights either */
		if (failed && error == 0)
			error = failed;
	}
	return error;
}

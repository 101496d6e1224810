/*
 * registrar.c: devices that an application writes for the first time, on their way into the
 * registry.
 *
 * A batch is filled during a turn, then the store's until done(), then in the mail to every loop,
 * then the loop's again, which forgets it. Batches come back in the order in which they left,
 * because the store takes units in order and mail keeps it.
 */
#include "registrar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "access_change.h"
#include "check.h"
#include "hash.h"
#include "mail.h"
#include "map.h"
#include "registry.h"

#define BATCH_DEVICES_MAX 4096 /* of one unit, so that the store's others need not wait for long */
#define UNDER_WAY_MAX 16384    /* then bodies wait; one may go beyond it by its own devices */

enum { TENANT, ID, WHO, FROM, TEXT_COUNT };

struct entry {
	struct entry *next;
	uint64_t hash;
	struct span texts[TEXT_COUNT]; /* behind it */
};

struct batch {
	struct store_unit unit;
	struct mail mail;
	struct registrar *registrar;
	struct list link;           /* in registrar.batches */
	struct list waits;
	struct entry *entries;
	size_t count;
	int64_t now_ms;
	struct access_change *change;
};

struct registrar {
	struct api_loop *al;
	struct map known;           /* of entries under way */
	uint64_t seed;
	struct list batches;        /* under way, the oldest first */
	struct batch *filling;      /* NULL: nothing was noted in this turn */
	struct loop_task task;
};

struct entry_key {
	struct span tenant, id;
};

static bool
entry_is(const void *value, const void *key)
{
	const struct entry *entry = value;
	const struct entry_key *wanted = key;
	return span_eq(entry->texts[ID], wanted->id) &&
	    span_eq(entry->texts[TENANT], wanted->tenant);
}

/* ── batches ── */

static struct batch *
batch_create(struct registrar *registrar)
{
	struct batch *batch = calloc(1, sizeof *batch);
	if (!batch)
		return NULL;
	batch->registrar = registrar;
	batch->now_ms = loop_now_ms(registrar->al->loop);
	list_init(&batch->waits);
	batch->change = access_change_create(registrar->al->api->secret);
	if (!batch->change) {
		free(batch);
		return NULL;
	}
	return batch;
}

static void
batch_destroy(struct batch *batch)
{
	struct map *known = &batch->registrar->known;
	while (batch->entries) {
		struct entry *entry = batch->entries;
		batch->entries = entry->next;
		map_remove(known, entry->hash, entry);
		free(entry);
	}
	while (!list_empty(&batch->waits)) {
		struct registrar_wait *wait = CONTAINER_OF(batch->waits.next,
		    struct registrar_wait, link);
		list_remove(&wait->link);
		wait->done(wait);
	}
	access_change_unref(batch->change);
	free(batch);
}

static void
batch_deliver(struct mail *mail)
{
	struct batch *batch = CONTAINER_OF(mail, struct batch, mail);
	list_remove(&batch->link);
	batch_destroy(batch);
}

/* ── on the store's thread ── */

/* Another loop, or an administrator, may have been faster: then it is there, and that is enough. A
 * tenant may be gone. */
static int
entry_store(const struct batch *batch, const struct entry *entry, struct store_tx *tx)
{
	struct store_device device = {
		.tenant = entry->texts[TENANT],
		.id = entry->texts[ID],
		.state = true,
		.created_ms = batch->now_ms,
	};
	struct store_audit audit = {
		.tenant = entry->texts[TENANT],
		.time_ms = batch->now_ms,
		.who = entry->texts[WHO],
		.what = SPAN("device.register"),
		.object = entry->texts[ID],
		.from = entry->texts[FROM],
	};
	int error = store_device_add(tx, &device, &device.version);
	if (error == -EEXIST || error == -ENOENT)
		return 0;
	if (!error)
		error = access_change_device(batch->change, &device);
	return error ? error : store_audit_add(tx, &audit);
}

static int
batch_apply(struct store_unit *unit, struct store_tx *tx)
{
	const struct batch *batch = CONTAINER_OF(unit, struct batch, unit);
	int error = 0;
	for (const struct entry *entry = batch->entries; entry && !error; entry = entry->next)
		error = entry_store(batch, entry, tx);
	return error;
}

static void
batch_stored(struct store_unit *unit, int error)
{
	struct batch *batch = CONTAINER_OF(unit, struct batch, unit);
	const struct api_loop *al = batch->registrar->al;
	batch->mail.deliver = batch_deliver;
	if (!error && access_change_count(batch->change) > 0)
		al->api->registry_changed(al->api->ctx, batch->change, al->box, &batch->mail);
	else
		mailbox_send(al->box, &batch->mail);
}

/* ── on the loop ── */

static void
registrar_submit(struct registrar *registrar)
{
	struct batch *batch = registrar->filling;
	struct store_writer *store = registrar->al->api->store;
	registrar->filling = NULL;
	if (!batch)
		return;
	if (!store) { /* the server ends */
		batch_destroy(batch);
		return;
	}
	batch->unit.apply = batch_apply;
	batch->unit.done = batch_stored;
	batch->unit.urgent = true;
	list_push_back(&registrar->batches, &batch->link);
	store_writer_submit(store, &batch->unit);
}

static void
registrar_run(struct loop_task *task)
{
	registrar_submit(CONTAINER_OF(task, struct registrar, task));
}

int
registrar_create(struct api_loop *al, struct registrar **ret_registrar)
{
	struct registrar *registrar = calloc(1, sizeof *registrar);
	if (!registrar)
		return -ENOMEM;
	registrar->al = al;
	map_init(&registrar->known);
	list_init(&registrar->batches);
	loop_task_init(&registrar->task, registrar_run);
	env_random(al->api->env, &registrar->seed, sizeof registrar->seed);
	*ret_registrar = registrar;
	return 0;
}

void
registrar_destroy(struct registrar *registrar)
{
	if (!registrar)
		return;
	check(list_empty(&registrar->batches));
	loop_task_cancel(&registrar->task);
	if (registrar->filling)
		batch_destroy(registrar->filling);
	map_finish(&registrar->known);
	free(registrar);
}

static struct entry *
entry_create(const struct span texts[TEXT_COUNT])
{
	size_t len = 0;
	for (unsigned i = 0; i < TEXT_COUNT; i++)
		len += texts[i].len;
	struct entry *entry = malloc(sizeof *entry + len);
	if (!entry)
		return NULL;
	char *place = (char *)(entry + 1);
	for (unsigned i = 0; i < TEXT_COUNT; i++) {
		entry->texts[i] = span_of(place, texts[i].len);
		if (texts[i].len)
			memcpy(place, texts[i].ptr, texts[i].len);
		place += texts[i].len;
	}
	return entry;
}

int
registrar_note(struct registrar *registrar, const struct access_principal *principal,
    const char *from, struct span id)
{
	const struct span texts[TEXT_COUNT] = {
		[TENANT] = principal->tenant, [ID] = id, [WHO] = principal->name,
		[FROM] = span_str(from),
	};
	uint64_t hash = hash64(id, hash64(principal->tenant, registrar->seed));
	struct entry_key key = {principal->tenant, id};
	if (map_get(&registrar->known, hash, entry_is, &key))
		return 0;
	if (!registrar->filling && !(registrar->filling = batch_create(registrar)))
		return -ENOMEM;
	loop_task_queue(registrar->al->loop, LOOP_APPEND, &registrar->task);
	struct batch *batch = registrar->filling;
	struct entry *entry = entry_create(texts);
	if (!entry || map_add(&registrar->known, hash, entry)) {
		free(entry);
		return -ENOMEM;
	}
	entry->hash = hash;
	entry->next = batch->entries;
	batch->entries = entry;
	if (++batch->count == BATCH_DEVICES_MAX)
		registrar_submit(registrar);
	return 0;
}

bool
registrar_full(const struct registrar *registrar)
{
	return registrar->known.count >= UNDER_WAY_MAX;
}

bool
registrar_await(struct registrar *registrar, struct registrar_wait *wait)
{
	struct batch *last = registrar->filling;
	if (!last && !list_empty(&registrar->batches))
		last = CONTAINER_OF(registrar->batches.prev, struct batch, link);
	list_remove(&wait->link);
	if (!last)
		return false;
	list_push_back(&last->waits, &wait->link);
	return true;
}

/*
 * publish_item.c: a message that is published, from what was said to what became of it.
 *
 * Ids are turned into names first, by the sequencer, for rights are given for names; a message
 * whose channels are all named goes there once only.
 */
#include "publish_item.h"

#include <errno.h>
#include <stdlib.h>

#include "access_may.h"
#include "check.h"

static size_t
text_bytes(const struct access_principal *principal, const struct publish_said *said)
{
	size_t bytes = principal->tenant.len + principal->name.len + said->key.len +
	    said->type.len + said->data.len;
	for (size_t i = 0; i < said->channel_count; i++)
		bytes += said->channels[i].len;
	return bytes;
}

struct publish_item *
publish_item_create(struct api_loop *al, const struct access_principal *principal,
    const struct publish_said *said)
{
	size_t spans = said->channel_count * sizeof(struct span);
	struct publish_item *item =
	    calloc(1, sizeof *item + spans + text_bytes(principal, said));
	if (!item)
		return NULL;
	struct flow_publish *publish = &item->publish;
	item->channels = (struct span *)(item + 1);
	char *at = (char *)item->channels + spans;
	item->al = al;
	item->principal = access_principal_ref(
	    (struct access_principal *)(uintptr_t)principal);
	for (size_t i = 0; i < said->channel_count; i++)
		item->channels[i] = span_keep(&at, said->channels[i]);
	publish->tenant = span_keep(&at, principal->tenant);
	publish->principal = span_keep(&at, principal->name);
	publish->channels = item->channels;
	publish->channel_count = said->channel_count;
	publish->key = span_keep(&at, said->key);
	publish->type = span_keep(&at, said->type);
	publish->data = span_keep(&at, said->data);
	item->data_bytes = said->data_bytes;
	return item;
}

void
publish_item_destroy(struct publish_item *item)
{
	if (!item)
		return;
	access_principal_unref(item->principal);
	free(item->names);
	free(item);
}

/* ── the end ── */

static void
item_told(struct mail *mail)
{
	struct publish_item *item = CONTAINER_OF(mail, struct publish_item, mail);
	item->told(item);
}

/* With the fault that was noted. By mail: whoever sends does not expect to be told within the
 * call. */
static void
item_end(struct publish_item *item)
{
	item->mail.deliver = item_told;
	mailbox_send(item->al->box, &item->mail);
}

/* With this fault, whatever was noted before. */
static void
item_fail(struct publish_item *item, unsigned status, const char *pointer, const char *detail)
{
	item->fault.status = 0;
	body_fault_set(&item->fault, status, pointer, detail);
	item_end(item);
}

static void
item_published(struct flow_publish *publish, int error)
{
	struct publish_item *item = CONTAINER_OF(publish, struct publish_item, publish);
	if (error == -ENOENT)
		item_fail(item, 404, "/channels", "no channel has this id");
	else if (error == -ENOSPC)
		item_fail(item, 503, NULL, "the disk is full");
	else if (error)
		item_fail(item, 503, NULL, "the server has no memory left; try again");
	else
		item->told(item);
}

/* ── rights ── */

/* Why it may not publish on one of its channels, which are names by now; NULL: it may. A name that
 * is none is noted. */
static const char *
channels_fault(struct publish_item *item)
{
	const struct flow_publish *publish = &item->publish;
	if (item->may && !item->names)
		return NULL;
	for (size_t i = 0; i < publish->channel_count; i++) {
		struct span name = item->channels[i];
		const char *reason;
		if (!hub_pattern_is_id(name) && hub_name_check(name, &reason)) {
			body_fault_set(&item->fault, 422, "/channels", reason);
			continue;
		}
		reason = access_publish_fault(item->al->access, item->principal, name);
		if (reason)
			return reason;
	}
	return NULL;
}

static void
item_publish(struct publish_item *item)
{
	const char *reason = channels_fault(item);
	if (reason) {
		item_fail(item, 403, "/channels", reason);
	} else if (item->fault.status) {
		item_end(item);
	} else {
		item->publish.done = item_published;
		flow_publish(item->al->flow, &item->publish);
	}
}

/* ── ids ── */

static size_t
ids_collect(const struct publish_item *item, struct span *ids)
{
	size_t count = 0;
	for (size_t i = 0; i < item->publish.channel_count; i++) {
		if (hub_pattern_is_id(item->channels[i]))
			ids[count++] = item->channels[i];
	}
	return count;
}

static void
item_named(void *ctx, int error, const struct span *names)
{
	struct publish_item *item = ctx;
	struct span ids[HUB_MESSAGE_CHANNELS_MAX];
	size_t bytes = 0, count = ids_collect(item, ids);
	if (error == -ENOENT) {
		item_fail(item, 404, "/channels", "no channel has this id");
		return;
	}
	for (size_t i = 0; i < count && !error; i++)
		bytes += names[i].len;
	char *at = item->names = error ? NULL : malloc(bytes);
	if (!at) {
		item_fail(item, 503, NULL, "the server has no memory left; try again");
		return;
	}
	for (size_t i = 0; i < item->publish.channel_count; i++) {
		if (!hub_pattern_is_id(item->channels[i]))
			continue;
		if (access_channel_hidden(item->al->access, item->principal, *names)) {
			item_fail(item, 404, "/channels", "no channel has this id");
			return;
		}
		item->channels[i] = span_keep(&at, *names++);
	}
	item_publish(item);
}

void
publish_item_send(struct publish_item *item)
{
	const struct flow_publish *publish = &item->publish;
	struct span ids[HUB_MESSAGE_CHANNELS_MAX];
	if (item->data_bytes > PUBLISH_DATA_BYTES_MAX) {
		item->fault.status = 0; /* size comes before meaning */
		body_fault_set(&item->fault, 413, "/data", "the data of a message may have 1 MiB");
	}
	if (publish->key.len > FLOW_KEY_BYTES_MAX)
		body_fault_set(&item->fault, 422, "/key", "a key has at most 255 bytes");
	if (publish->channel_count == 0 || publish->channel_count > HUB_MESSAGE_CHANNELS_MAX) {
		body_fault_set(&item->fault, 422, "/channels", "a message has 1 to 64 channels");
		item_end(item);
		return;
	}
	size_t id_count = ids_collect(item, ids);
	if (id_count)
		api_names(item->al, publish->tenant, ids, id_count, item_named, item);
	else
		item_publish(item);
}

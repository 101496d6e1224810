/*
 * publish_item.c: a message that is published, from what was said to what became of it.
 *
 * Ids are turned into names first, by the sequencer, for rights are given for names; a message
 * whose channels are all named goes there once only.
 */
#include "publish_item.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "access_may.h"
#include "check.h"

static struct span
keep(char **at, struct span text)
{
	struct span copy = span_of(*at, text.len);
	if (text.len)
		memcpy(*at, text.ptr, text.len);
	*at += text.len;
	return copy;
}

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
		item->channels[i] = keep(&at, said->channels[i]);
	publish->tenant = keep(&at, principal->tenant);
	publish->principal = keep(&at, principal->name);
	publish->channels = item->channels;
	publish->channel_count = said->channel_count;
	publish->key = keep(&at, said->key);
	publish->type = keep(&at, said->type);
	publish->data = keep(&at, said->data);
	return item;
}

void
publish_item_destroy(struct publish_item *item)
{
	if (!item)
		return;
	access_principal_unref(item->principal);
	free(item->infos);
	free(item);
}

/* ── the end ── */

static void
item_told(struct mail *mail)
{
	struct publish_item *item = CONTAINER_OF(mail, struct publish_item, mail);
	item->told(item);
}

/* By mail: whoever sends does not expect to be told within the call. */
static void
item_fail(struct publish_item *item, unsigned status, const char *pointer, const char *detail)
{
	item->status = status;
	item->pointer = pointer;
	snprintf(item->detail, sizeof item->detail, "%s", detail);
	item->mail.deliver = item_told;
	mailbox_send(item->al->box, &item->mail);
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
		item->status = 201;
	if (!error)
		item->told(item);
}

/* ── rights ── */

/* Whether it may publish on all its channels, which are names by now; else it has failed. */
static bool
item_may(struct publish_item *item)
{
	const struct flow_publish *publish = &item->publish;
	for (size_t i = 0; i < publish->channel_count; i++) {
		struct span name = item->channels[i];
		const char *reason = NULL;
		if (!hub_pattern_is_id(name) && hub_name_check(name, &reason)) {
			item_fail(item, 422, "/channels", reason);
			return false;
		}
		reason = access_publish_fault(item->al->access, item->principal, name);
		if (!reason)
			continue;
		item_fail(item, 403, "/channels", reason);
		return false;
	}
	return true;
}

static void
item_publish(struct publish_item *item)
{
	if (!item_may(item))
		return;
	item->publish.done = item_published;
	flow_publish(item->al->flow, &item->publish);
}

/* ── ids ── */

static void
item_resolved(struct flow_channel *resolve, int error)
{
	struct publish_item *item = CONTAINER_OF(resolve, struct publish_item, resolve);
	size_t at = 0;
	if (error) {
		item_fail(item, 404, "/channels", "no channel has this id");
		return;
	}
	for (size_t i = 0; i < item->publish.channel_count; i++) {
		const struct flow_channel_info *info = &item->infos[at];
		if (!hub_pattern_is_id(item->channels[i]))
			continue;
		item->channels[i] = span_of(info->name, info->name_len);
		at++;
	}
	item_publish(item);
}

static size_t
count_ids(const struct publish_item *item)
{
	size_t count = 0;
	for (size_t i = 0; i < item->publish.channel_count; i++)
		count += hub_pattern_is_id(item->channels[i]);
	return count;
}

static void
item_resolve(struct publish_item *item, size_t count)
{
	struct flow_channel *resolve = &item->resolve;
	item->infos = calloc(count, sizeof *item->infos + sizeof(struct span));
	if (!item->infos) {
		item_fail(item, 503, NULL, "the server has no memory left; try again");
		return;
	}
	struct span *ids = (struct span *)(item->infos + count);
	size_t at = 0;
	for (size_t i = 0; i < item->publish.channel_count; i++) {
		if (hub_pattern_is_id(item->channels[i]))
			ids[at++] = item->channels[i];
	}
	resolve->op = FLOW_CHANNEL_NAMES;
	resolve->spec.tenant = item->publish.tenant;
	resolve->names = ids;
	resolve->limit = count;
	resolve->infos = item->infos;
	resolve->done = item_resolved;
	flow_channel(item->al->flow, resolve);
}

void
publish_item_send(struct publish_item *item)
{
	const struct flow_publish *publish = &item->publish;
	size_t ids = count_ids(item);
	if (publish->channel_count == 0 || publish->channel_count > HUB_MESSAGE_CHANNELS_MAX)
		item_fail(item, 422, "/channels", "a message has 1 to 64 channels");
	else if (publish->key.len > FLOW_KEY_BYTES_MAX)
		item_fail(item, 422, "/key", "a key has at most 255 bytes");
	else if (publish->data.len > PUBLISH_DATA_BYTES_MAX)
		item_fail(item, 413, "/data", "the data of a message may have 1 MiB");
	else if (ids)
		item_resolve(item, ids);
	else
		item_publish(item);
}

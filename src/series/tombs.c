/*
 * tombs.c: lists of tombstones, and which of them a series lies under.
 *
 * Invariant: a list never changes; of a device there is one tombstone, the latest.
 */
#include "tombs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "check.h"

static bool
tombs_same_device(const struct tomb *tomb, struct span tenant, struct span device)
{
	return span_eq(tomb->tenant, tenant) && span_eq(tomb->device, device);
}

static bool
tombs_is_done(const struct tomb *tomb, const struct tombs *done)
{
	for (size_t i = 0; done && i < done->count; i++)
		if (tombs_same_device(&done->of[i], tomb->tenant, tomb->device) &&
		    done->of[i].seq == tomb->seq && done->of[i].part_id == tomb->part_id)
			return true;
	return false;
}

static struct span
tombs_keep_text(struct tombs *tombs, size_t *len, struct span text)
{
	struct span kept = span_of(tombs->text + *len, text.len);
	memcpy(tombs->text + *len, text.ptr, text.len);
	*len += text.len;
	return kept;
}

static void
tombs_add(struct tombs *tombs, size_t *len, const struct tomb *tomb)
{
	struct tomb *added = &tombs->of[tombs->count++];
	*added = *tomb;
	added->tenant = tombs_keep_text(tombs, len, tomb->tenant);
	added->device = tombs_keep_text(tombs, len, tomb->device);
}

/* Room for all of `tombs` and `more`. NULL: no memory. */
static struct tombs *
tombs_create(const struct tombs *tombs, const struct store_tombstone *more)
{
	size_t count = (tombs ? tombs->count : 0) + (more ? 1 : 0), bytes = 1;
	for (size_t i = 0; tombs && i < tombs->count; i++)
		bytes += tombs->of[i].tenant.len + tombs->of[i].device.len;
	bytes += more ? more->tenant.len + more->device.len : 0;
	struct tombs *copy = calloc(1, sizeof(*copy));
	if (!copy)
		return NULL;
	refcount_init(&copy->refs);
	copy->of = calloc(MAX(count, 1), sizeof(*copy->of));
	copy->text = malloc(bytes);
	if (!copy->of || !copy->text) {
		tombs_unref(copy);
		return NULL;
	}
	return copy;
}

static struct tombs *
tombs_or_null(struct tombs *tombs)
{
	if (tombs->count)
		return tombs;
	tombs_unref(tombs);
	return NULL;
}

int
tombs_copy(const struct tombs *tombs, const struct store_tombstone *more, const struct tombs *done,
    struct tombs **ret_tombs)
{
	size_t len = 0;
	struct tombs *copy = tombs_create(tombs, more);
	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; tombs && i < tombs->count; i++) {
		const struct tomb *tomb = &tombs->of[i];
		bool replaced = more && tombs_same_device(tomb, more->tenant, more->device);
		if (!replaced && !tombs_is_done(tomb, done))
			tombs_add(copy, &len, tomb);
	}
	if (more)
		tombs_add(copy, &len, &(struct tomb){more->tenant, more->device, more->seq,
		    more->part_id, more->created_ms});
	*ret_tombs = tombs_or_null(copy);
	return 0;
}

int
tombs_copy_from(const struct tombs *tombs, uint64_t seq, struct tombs **ret_tombs)
{
	size_t len = 0;
	struct tombs *copy = tombs_create(tombs, NULL);
	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; tombs && i < tombs->count; i++)
		if (tombs->of[i].seq >= seq)
			tombs_add(copy, &len, &tombs->of[i]);
	*ret_tombs = tombs_or_null(copy);
	return 0;
}

struct tombs *
tombs_ref(struct tombs *tombs)
{
	if (tombs)
		refcount_up(&tombs->refs);
	return tombs;
}

void
tombs_unref(struct tombs *tombs)
{
	if (!tombs || !refcount_down(&tombs->refs))
		return;
	free(tombs->of);
	free(tombs->text);
	free(tombs);
}

struct tombs_limit
tombs_of_key(const struct tombs *tombs, struct span key)
{
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t tag_count = SERIES_TAGS_MAX;
	struct tombs_limit none = {0, 0};
	if (!tombs || !series_key_split(key, &tenant, &metric, tags, &tag_count))
		return none;
	for (size_t t = 0; t < tag_count; t++) {
		if (!span_eq(tags[t].name, SPAN("device")))
			continue;
		for (size_t i = 0; i < tombs->count; i++)
			if (tombs_same_device(&tombs->of[i], tenant, tags[t].value))
				return (struct tombs_limit){tombs->of[i].seq,
				    tombs->of[i].part_id};
	}
	return none;
}

bool
tombs_hide_record(const struct tombs *tombs, struct span tenant, struct span device, uint64_t seq)
{
	for (size_t i = 0; tombs && device.ptr && i < tombs->count; i++)
		if (tombs_same_device(&tombs->of[i], tenant, device))
			return seq <= tombs->of[i].seq;
	return false;
}

/*
 * hub.c: the sequencer's half: which loops want a name?
 *
 * A want is a bit a loop, in an entry of the index; an entry without bits is gone. A count per
 * (tenant, first level) lets the makers of view messages skip all their work while nobody listens
 * below it; patterns that begin with a wild card count as first level '+'.
 */
#include "hub.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "hash.h"
#include "hub_priv.h"

struct want {
	struct hub_entry entry;
	uint64_t loops;
	char text[];
};

struct first_level {
	size_t want_count;
	uint8_t tenant_len, level_len;
	char text[]; /* tenant, level */
};

struct hub {
	unsigned loop_count;
	struct hub_index wants;
	struct map first_levels;
};

int
hub_create(unsigned loops, struct hub **ret_hub)
{
	if (loops == 0 || loops > 64)
		return -EINVAL;
	struct hub *hub = calloc(1, sizeof(*hub));
	if (!hub)
		return -ENOMEM;
	hub->loop_count = loops;
	/* The heap's address is the seed: names come from outside. */
	hub_index_init(&hub->wants, (uint64_t)(uintptr_t)hub);
	map_init(&hub->first_levels);
	*ret_hub = hub;
	return 0;
}

struct first_key {
	struct span tenant, level;
};

static bool
first_matches(const void *value, const void *wanted)
{
	const struct first_level *first = value;
	const struct first_key *key = wanted;
	return span_eq(span_of(first->text, first->tenant_len), key->tenant)
	    && span_eq(span_of(first->text + first->tenant_len, first->level_len), key->level);
}

static uint64_t
first_hash(const struct hub *hub, struct first_key key)
{
	return hash64(key.level, hash64(key.tenant, hub->wants.seed));
}

static struct first_level *
first_get(const struct hub *hub, struct first_key key)
{
	return map_get(&hub->first_levels, first_hash(hub, key), first_matches, &key);
}

static struct first_key
first_key_of(struct span tenant, struct span pattern)
{
	struct first_key key = {tenant, {NULL, 0}};
	hub_level_next(&pattern, &key.level);
	if (!hub_pattern_is_name(key.level))
		key.level = SPAN("+");
	return key;
}

static int
first_count_up(struct hub *hub, struct first_key key)
{
	struct first_level *first = first_get(hub, key);
	if (first) {
		first->want_count++;
		return 0;
	}
	first = malloc(sizeof(*first) + key.tenant.len + key.level.len);
	if (!first)
		return -ENOMEM;
	first->want_count = 1;
	first->tenant_len = (uint8_t)key.tenant.len;
	first->level_len = (uint8_t)key.level.len;
	if (key.tenant.len)
		memcpy(first->text, key.tenant.ptr, key.tenant.len);
	if (key.level.len)
		memcpy(first->text + key.tenant.len, key.level.ptr, key.level.len);
	int error = map_add(&hub->first_levels, first_hash(hub, key), first);
	if (error)
		free(first);
	return error;
}

static void
first_count_down(struct hub *hub, struct first_key key)
{
	struct first_level *first = first_get(hub, key);
	check(first);
	if (--first->want_count)
		return;
	map_remove(&hub->first_levels, first_hash(hub, key), first);
	free(first);
}

static void
want_destroy(struct hub *hub, struct want *want)
{
	first_count_down(hub, first_key_of(hub_entry_tenant(&want->entry),
	    hub_entry_pattern(&want->entry)));
	hub_index_remove(&hub->wants, &want->entry);
	free(want);
}

static int
want_create(struct hub *hub, struct span tenant, struct span pattern, struct want **ret_want)
{
	if (tenant.len > HUB_TENANT_BYTES_MAX || pattern.len > HUB_NAME_BYTES_MAX)
		return -EINVAL;
	struct want *want = malloc(sizeof(*want) + tenant.len + pattern.len);
	if (!want)
		return -ENOMEM;
	want->loops = 0;
	int error = hub_index_add(&hub->wants, &want->entry, tenant, pattern, want->text);
	if (error)
		goto fail;
	error = first_count_up(hub, first_key_of(tenant, pattern));
	if (error) {
		hub_index_remove(&hub->wants, &want->entry);
		goto fail;
	}
	*ret_want = want;
	return 0;
fail:
	free(want);
	return error;
}

int
hub_want(struct hub *hub, unsigned loop, struct span tenant, struct span pattern, bool wanted)
{
	check(loop < hub->loop_count);
	uint64_t bit = UINT64_C(1) << loop;
	struct want *want = (struct want *)hub_index_get(&hub->wants, tenant, pattern);
	if (wanted) {
		int error = want ? 0 : want_create(hub, tenant, pattern, &want);
		if (error)
			return error;
		want->loops |= bit;
	} else if (want) {
		want->loops &= ~bit;
		if (!want->loops)
			want_destroy(hub, want);
	}
	return 0;
}

static void
collect_loops(void *ctx, struct hub_entry *entry)
{
	uint64_t *loops = ctx;
	*loops |= ((struct want *)entry)->loops;
}

uint64_t
hub_wanted(const struct hub *hub, struct span tenant, struct span name)
{
	uint64_t loops = 0;
	hub_index_match(&hub->wants, tenant, name, collect_loops, &loops);
	return loops;
}

bool
hub_wants_any(const struct hub *hub, struct span tenant, struct span first_level)
{
	if (hub->first_levels.count == 0)
		return false;
	return first_get(hub, (struct first_key){tenant, first_level})
	    || first_get(hub, (struct first_key){tenant, SPAN("+")});
}

static void
want_free(struct hub_entry *entry)
{
	free(entry);
}

void
hub_destroy(struct hub *hub)
{
	if (!hub)
		return;
	hub_index_finish(&hub->wants, want_free);
	size_t pos = 0;
	struct first_level *first;
	while ((first = map_next(&hub->first_levels, &pos)))
		free(first);
	map_finish(&hub->first_levels);
	free(hub);
}

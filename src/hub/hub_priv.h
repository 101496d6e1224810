/*
 * hub_priv.h: what the hub's files share: levels of a name, and the index of patterns that both
 * halves of the hub look names up in.
 */
#ifndef WEIR_HUB_PRIV_H
#define WEIR_HUB_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hub.h"
#include "map.h"
#include "span.h"

/* Takes the next level off *rest, which has ptr NULL after the last. false when there is none. */
bool hub_level_next(struct span *rest, struct span *ret_level);

#define HUB_TENANT_BYTES_MAX 255

/* What an index holds: the owner's struct begins with it and ends with the text. */
struct hub_entry {
	uint64_t hash;
	struct hub_node *node;  /* where in the tree of levels; NULL for an exact name */
	const char *text;       /* the tenant's bytes, then the pattern's */
	uint8_t tenant_len, pattern_len;
};

struct hub_index {
	uint64_t seed;
	struct map exact;       /* of struct hub_entry */
	struct map nodes;       /* of struct hub_node, by parent and level */
	size_t pattern_count;   /* entries with wild cards */
};

void hub_index_init(struct hub_index *index, uint64_t seed);

/* Gives every entry that is left to drop(), which frees it and does not touch the index. */
void hub_index_finish(struct hub_index *index, void (*drop)(struct hub_entry *entry));

/* The entry of this very pattern, or NULL. */
struct hub_entry *hub_index_get(const struct hub_index *index, struct span tenant,
    struct span pattern);

/* Copies tenant and pattern to `text` (room for both, as long-lived as the entry) and adds the
 * entry; the index must not have an equal one. 0 or -ENOMEM. */
int hub_index_add(struct hub_index *index, struct hub_entry *entry, struct span tenant,
    struct span pattern, char *text);
void hub_index_remove(struct hub_index *index, struct hub_entry *entry);

/* Calls visit() with every entry that matches the name. visit() must not change the index. */
void hub_index_match(const struct hub_index *index, struct span tenant, struct span name,
    void (*visit)(void *ctx, struct hub_entry *entry), void *ctx);

static inline struct span
hub_entry_tenant(const struct hub_entry *entry)
{
	return span_of(entry->text, entry->tenant_len);
}

static inline struct span
hub_entry_pattern(const struct hub_entry *entry)
{
	return span_of(entry->text + entry->tenant_len, entry->pattern_len);
}

#endif

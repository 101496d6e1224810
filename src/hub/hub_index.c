/*
 * hub_index.c: which patterns mean a name? Exact names lie in a hash table. Patterns with wild
 * cards lie in a tree of levels, one tree a tenant, so that a name costs a walk along its levels
 * and never a look at every pattern; the tree's edges lie in one hash table by (parent, level).
 *
 * Invariant: a node has children or an entry, or it is gone. A walk visits a node at most once.
 */
#include "hub_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "hash.h"

struct hub_node {
	struct hub_node *parent;  /* NULL: a tenant's root, whose level is the tenant */
	struct hub_entry *entry;  /* of the pattern that ends here */
	struct hub_node *plus, *rest; /* the children '+' and '#' */
	uint32_t child_count;
	uint8_t level_len;
	char level[];
};

struct node_key {
	const struct hub_node *parent;
	struct span level;
};

static uint64_t
node_hash(const struct hub_index *index, const struct node_key *key)
{
	uint64_t parent = (uint64_t)(uintptr_t)key->parent;
	return hash64(key->level, index->seed ^ (parent * UINT64_C(0x9e3779b97f4a7c15)));
}

static bool
node_matches(const void *value, const void *wanted)
{
	const struct hub_node *node = value;
	const struct node_key *key = wanted;
	return node->parent == key->parent
	    && span_eq(span_of(node->level, node->level_len), key->level);
}

static struct hub_node *
node_get(const struct hub_index *index, const struct hub_node *parent, struct span level)
{
	struct node_key key = {parent, level};
	return map_get(&index->nodes, node_hash(index, &key), node_matches, &key);
}

static struct hub_node **
wild_slot(struct hub_node *parent, struct span level)
{
	if (!parent || level.len != 1)
		return NULL;
	if (level.ptr[0] == '+')
		return &parent->plus;
	return level.ptr[0] == '#' ? &parent->rest : NULL;
}

static struct hub_node *
node_make(struct hub_index *index, struct hub_node *parent, struct span level)
{
	struct hub_node *node = calloc(1, sizeof(*node) + level.len);
	if (!node)
		return NULL;
	struct node_key key = {parent, level};
	if (map_add(&index->nodes, node_hash(index, &key), node)) {
		free(node);
		return NULL;
	}
	node->parent = parent;
	node->level_len = (uint8_t)level.len;
	if (level.len)
		memcpy(node->level, level.ptr, level.len);
	struct hub_node **slot = wild_slot(parent, level);
	if (slot)
		*slot = node;
	if (parent)
		parent->child_count++;
	return node;
}

/* Removes the node and its ancestors as far as nothing needs them. */
static void
node_prune(struct hub_index *index, struct hub_node *node)
{
	while (node && !node->entry && node->child_count == 0) {
		struct hub_node *parent = node->parent;
		struct node_key key = {parent, span_of(node->level, node->level_len)};
		struct hub_node **slot = wild_slot(parent, key.level);
		if (slot)
			*slot = NULL;
		check(map_remove(&index->nodes, node_hash(index, &key), node));
		if (parent)
			parent->child_count--;
		free(node);
		node = parent;
	}
}

void
hub_index_init(struct hub_index *index, uint64_t seed)
{
	*index = (struct hub_index){.seed = seed};
	map_init(&index->exact);
	map_init(&index->nodes);
}

void
hub_index_finish(struct hub_index *index, void (*drop)(struct hub_entry *entry))
{
	size_t pos = 0;
	struct hub_entry *entry;
	while ((entry = map_next(&index->exact, &pos)))
		drop(entry);
	pos = 0;
	struct hub_node *node;
	while ((node = map_next(&index->nodes, &pos))) {
		if (node->entry)
			drop(node->entry);
		free(node);
	}
	map_finish(&index->exact);
	map_finish(&index->nodes);
}

struct entry_key {
	struct span tenant, pattern;
};

static uint64_t
entry_hash(const struct hub_index *index, struct span tenant, struct span pattern)
{
	return hash64(pattern, hash64(tenant, index->seed));
}

static bool
entry_matches(const void *value, const void *wanted)
{
	const struct hub_entry *entry = value;
	const struct entry_key *key = wanted;
	return span_eq(hub_entry_pattern(entry), key->pattern)
	    && span_eq(hub_entry_tenant(entry), key->tenant);
}

struct hub_entry *
hub_index_get(const struct hub_index *index, struct span tenant, struct span pattern)
{
	if (hub_pattern_is_name(pattern)) {
		struct entry_key key = {tenant, pattern};
		return map_get(&index->exact, entry_hash(index, tenant, pattern), entry_matches,
		    &key);
	}
	if (index->pattern_count == 0)
		return NULL;
	struct hub_node *node = node_get(index, NULL, tenant);
	struct span level;
	while (node && hub_level_next(&pattern, &level))
		node = node_get(index, node, level);
	return node ? node->entry : NULL;
}

static int
add_wild(struct hub_index *index, struct hub_entry *entry)
{
	struct hub_node *node = node_get(index, NULL, hub_entry_tenant(entry));
	if (!node)
		node = node_make(index, NULL, hub_entry_tenant(entry));
	struct span rest = hub_entry_pattern(entry), level;
	while (node && hub_level_next(&rest, &level)) {
		struct hub_node *child = node_get(index, node, level);
		if (!child)
			child = node_make(index, node, level);
		if (!child)
			node_prune(index, node);
		node = child;
	}
	if (!node)
		return -ENOMEM;
	check(!node->entry);
	node->entry = entry;
	entry->node = node;
	index->pattern_count++;
	return 0;
}

int
hub_index_add(struct hub_index *index, struct hub_entry *entry, struct span tenant,
    struct span pattern, char *text)
{
	check(tenant.len <= HUB_TENANT_BYTES_MAX && pattern.len <= UINT8_MAX);
	if (tenant.len)
		memcpy(text, tenant.ptr, tenant.len);
	if (pattern.len)
		memcpy(text + tenant.len, pattern.ptr, pattern.len);
	*entry = (struct hub_entry){
		.hash = entry_hash(index, tenant, pattern),
		.text = text,
		.tenant_len = (uint8_t)tenant.len,
		.pattern_len = (uint8_t)pattern.len,
	};
	if (hub_pattern_is_name(pattern))
		return map_add(&index->exact, entry->hash, entry);
	return add_wild(index, entry);
}

void
hub_index_remove(struct hub_index *index, struct hub_entry *entry)
{
	if (!entry->node) {
		check(map_remove(&index->exact, entry->hash, entry));
		return;
	}
	struct hub_node *node = entry->node;
	node->entry = NULL;
	entry->node = NULL;
	index->pattern_count--;
	node_prune(index, node);
}

struct walk {
	const struct hub_index *index;
	void (*visit)(void *ctx, struct hub_entry *entry);
	void *ctx;
};

static void
visit_node(const struct walk *walk, const struct hub_node *node)
{
	if (node && node->entry)
		walk->visit(walk->ctx, node->entry);
}

/* Depth is bounded by the levels of a name: 128. */
static void
walk_down(const struct walk *walk, const struct hub_node *node, struct span rest)
{
	visit_node(walk, node->rest);
	struct span level;
	if (!hub_level_next(&rest, &level)) {
		visit_node(walk, node);
		return;
	}
	if (node->plus)
		walk_down(walk, node->plus, rest);
	const struct hub_node *child = node_get(walk->index, node, level);
	if (child)
		walk_down(walk, child, rest);
}

void
hub_index_match(const struct hub_index *index, struct span tenant, struct span name,
    void (*visit)(void *ctx, struct hub_entry *entry), void *ctx)
{
	if (index->exact.count) {
		struct entry_key key = {tenant, name};
		struct hub_entry *entry = map_get(&index->exact, entry_hash(index, tenant, name),
		    entry_matches, &key);
		if (entry)
			visit(ctx, entry);
	}
	if (index->pattern_count == 0)
		return;
	const struct hub_node *root = node_get(index, NULL, tenant);
	struct span level;
	if (root && hub_name_is_hidden(name) && hub_level_next(&name, &level))
		root = node_get(index, root, level); /* past what begins with a wild card */
	if (root)
		walk_down(&(struct walk){index, visit, ctx}, root, name);
}

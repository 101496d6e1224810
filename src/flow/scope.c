/*
 * scope.c: which devices somebody may see, as partitions need it: each one's ids side by side and
 * ascending, so that a question goes only where they can be and meets only theirs.
 *
 * One allocation: | struct flow_scope | starts | ids | their texts, the tenant |
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "flow_priv.h"

struct flow_scope {
	struct span tenant;
	uint32_t partitions;
	const struct span *ids; /* by partition; ascending in each */
	uint32_t starts[];      /* partitions + 1 */
};

/* While sorting. */
struct scope_item {
	struct span id;
	uint32_t partition;
};

static int
item_order(const void *a, const void *b)
{
	const struct scope_item *left = a, *right = b;
	if (left->partition != right->partition)
		return left->partition < right->partition ? -1 : 1;
	return span_cmp(left->id, right->id);
}

static struct span
text_copy(char **to, struct span text)
{
	struct span copy = span_of(*to, text.len);
	if (text.len)
		memcpy(*to, text.ptr, text.len);
	*to += text.len;
	return copy;
}

static void
scope_fill(struct flow_scope *scope, struct span *ids, const struct scope_item *items,
    size_t count, struct span tenant)
{
	char *to = (char *)(ids + count);
	uint32_t partition = 0;
	for (size_t i = 0; i < count; i++) {
		while (partition < items[i].partition)
			scope->starts[++partition] = (uint32_t)i;
		ids[i] = text_copy(&to, items[i].id);
	}
	while (partition < scope->partitions)
		scope->starts[++partition] = (uint32_t)count;
	scope->ids = ids;
	scope->tenant = text_copy(&to, tenant);
}

int
flow_scope_create(const struct flow_loop *fl, struct span tenant, const struct span *ids,
    size_t count, struct flow_scope **ret_scope)
{
	uint32_t partitions = fl->flow->options.partitions;
	size_t starts = (partitions + 2) / 2 * 2 * sizeof(uint32_t), texts = tenant.len;
	struct scope_item *items = malloc((count + 1) * sizeof *items);
	for (size_t i = 0; items && i < count; i++) {
		items[i] = (struct scope_item){ids[i],
			series_partition_of(tenant, ids[i], partitions)};
		texts += ids[i].len;
	}
	struct flow_scope *scope = items && count < UINT32_MAX ? malloc(sizeof *scope + starts +
	    count * sizeof *ids + texts) : NULL;
	if (!scope) {
		free(items);
		return -ENOMEM;
	}
	if (count)
		qsort(items, count, sizeof *items, item_order);
	scope->partitions = partitions;
	scope->starts[0] = 0;
	scope_fill(scope, (void *)((char *)(scope + 1) + starts), items, count, tenant);
	free(items);
	*ret_scope = scope;
	return 0;
}

void
flow_scope_destroy(struct flow_scope *scope)
{
	free(scope);
}

const struct span *
flow_scope_part(const struct flow_scope *scope, uint32_t partition, size_t *ret_count)
{
	check(partition < scope->partitions);
	*ret_count = scope->starts[partition + 1] - scope->starts[partition];
	return *ret_count ? scope->ids + scope->starts[partition] : NULL;
}

const struct span *
flow_scope_all(const struct flow_scope *scope, size_t *ret_count)
{
	*ret_count = scope->starts[scope->partitions];
	return scope->ids;
}

bool
flow_scope_has(const struct flow_scope *scope, struct span id)
{
	uint32_t partition = series_partition_of(scope->tenant, id, scope->partitions);
	size_t low = scope->starts[partition], high = scope->starts[partition + 1];
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = span_cmp(scope->ids[middle], id);
		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

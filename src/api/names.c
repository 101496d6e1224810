/*
 * names.c: the names of ids, asked of the sequencer.
 *
 * A lookup outlives the client: it owns copies of all it needs.
 */
#include <errno.h>
#include <stdlib.h>

#include "api_priv.h"
#include "check.h"

struct lookup {
	struct flow_channel op;
	void (*done)(void *ctx, int error, const struct span *names);
	void *ctx;
	struct span *names;              /* the ids, then their names */
	struct flow_channel_info infos[];
	/* Then the names, and the bytes of tenant and ids. */
};

static void
names_found(struct flow_channel *op, int error)
{
	struct lookup *lookup = CONTAINER_OF(op, struct lookup, op);
	const struct span *names = lookup->names;
	for (size_t i = 0; i < op->limit && !error; i++)
		lookup->names[i] = span_of(lookup->infos[i].name, lookup->infos[i].name_len);
	if (error)
		names = error == -ENOENT ? &lookup->names[op->info_count] : NULL;
	lookup->done(lookup->ctx, error, names);
	free(lookup);
}

void
api_names(void *app, struct span tenant, const struct span *ids, size_t count,
    void (*done)(void *ctx, int error, const struct span *names), void *ctx)
{
	struct api_loop *al = app;
	size_t bytes = tenant.len;
	for (size_t i = 0; i < count; i++)
		bytes += ids[i].len;
	struct lookup *lookup = calloc(1, sizeof *lookup +
	    count * (sizeof *lookup->infos + sizeof *lookup->names) + bytes);
	if (!lookup) {
		done(ctx, -ENOMEM, NULL);
		return;
	}
	lookup->done = done;
	lookup->ctx = ctx;
	lookup->names = (struct span *)(lookup->infos + count);
	char *at = (char *)(lookup->names + count);
	for (size_t i = 0; i < count; i++)
		lookup->names[i] = span_keep(&at, ids[i]);
	lookup->op.op = FLOW_CHANNEL_NAMES;
	lookup->op.spec.tenant = span_keep(&at, tenant);
	lookup->op.names = lookup->names;
	lookup->op.limit = count;
	lookup->op.infos = lookup->infos;
	lookup->op.done = names_found;
	flow_channel(al->flow, &lookup->op);
}

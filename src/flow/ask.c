/*
 * ask.c: questions to the loops that own partitions, by the same mail that brings them releases:
 * so an answer holds everything that was acknowledged before it was asked.
 */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "flow_priv.h"

struct ask_leg {
	struct mail mail;
	struct flow_ask *ask;
	struct flow_loop *origin, *owner;
	struct series_snapshot *snapshots[FLOW_PARTITIONS_MAX];
	size_t count;
	int error;
};

struct flow_ask_legs {
	unsigned waiting;
	bool alone;        /* there is one leg only */
	int error;
	struct ask_leg legs[];
};

/* The one partition that a selector with a device can match, or UINT32_MAX: all. */
static uint32_t
selector_partition(const struct flow *flow, const struct flow_selector *selector)
{
	for (size_t i = 0; i < selector->tag_count; i++)
		if (span_eq(selector->tags[i].name, SPAN("device")))
			return series_partition_of(selector->tenant, selector->tags[i].value,
			    flow->options.partitions);
	return UINT32_MAX;
}

/* What a partition is asked; false: nothing of it can match. */
static bool
selector_view(const struct flow_selector *selector, uint32_t only, uint32_t partition,
    struct series_selector *ret_view)
{
	if (only != UINT32_MAX && partition != only)
		return false;
	*ret_view = (struct series_selector){
		.tenant = selector->tenant,
		.metric = selector->metric,
		.tags = selector->tags,
		.tag_count = selector->tag_count,
	};
	if (selector->scope)
		ret_view->devices = flow_scope_part(selector->scope, partition,
		    &ret_view->device_count);
	return !selector->scope || ret_view->devices;
}

static void
ask_finish(struct flow_ask *ask)
{
	int error = ask->legs->error;
	free(ask->legs);
	ask->legs = NULL;
	if (error) {
		for (size_t i = 0; i < ask->snapshot_count; i++)
			series_snapshot_unref(ask->snapshots[i]);
		ask->snapshot_count = 0;
	}
	ask->done(ask, error);
}

static void
leg_back(struct mail *mail)
{
	struct ask_leg *leg = CONTAINER_OF(mail, struct ask_leg, mail);
	struct flow_ask *ask = leg->ask;
	for (size_t i = 0; i < leg->count; i++)
		ask->snapshots[ask->snapshot_count++] = leg->snapshots[i];
	if (leg->error && !ask->legs->error)
		ask->legs->error = leg->error;
	if (--ask->legs->waiting == 0)
		ask_finish(ask);
}

static void
leg_run(struct mail *mail)
{
	struct ask_leg *leg = CONTAINER_OF(mail, struct ask_leg, mail);
	struct flow_ask *ask = leg->ask;
	struct flow *flow = leg->owner->flow;
	struct series_selector selector;
	uint32_t only = selector_partition(flow, &ask->selector);
	for (uint32_t p = leg->owner->index; p < flow->options.partitions;
	     p += flow->options.loops) {
		if (!selector_view(&ask->selector, only, p, &selector))
			continue;
		leg->error = series_partition_snapshot(flow->partitions[p], &selector,
		    ask->from_ms, ask->to_ms, ask->series_max, &leg->snapshots[leg->count]);
		if (leg->error)
			break;
		leg->count++;
	}
	if (ask->here && !leg->error && ask->legs->alone)
		ask->here(ask, leg->snapshots, leg->count);
	leg->mail.deliver = leg_back;
	mailbox_send(leg->origin->box, &leg->mail);
}

int
flow_ask(struct flow_loop *fl, struct flow_ask *ask)
{
	struct flow *flow = fl->flow;
	uint32_t only = selector_partition(flow, &ask->selector);
	unsigned count = only == UINT32_MAX ? flow->options.loops : 1;
	ask->legs = calloc(1, sizeof *ask->legs + count * sizeof ask->legs->legs[0]);
	if (!ask->legs)
		return -ENOMEM;
	ask->snapshot_count = 0;
	ask->legs->waiting = count;
	ask->legs->alone = count == 1;
	for (unsigned i = 0; i < count; i++) {
		struct ask_leg *leg = &ask->legs->legs[i];
		leg->ask = ask;
		leg->origin = fl;
		leg->owner = only == UINT32_MAX ? flow->loops[i] : flow_owner(flow, only);
		leg->mail.deliver = leg_run;
	}
	/* The last send may be answered before this loop ends: nothing of ask is touched after. */
	struct flow_ask_legs *legs = ask->legs;
	for (unsigned i = 0; i < count; i++)
		mailbox_send(legs->legs[i].owner->box, &legs->legs[i].mail);
	return 0;
}

/* ── newest points: from loop to loop, then home ── */

static void
latest_back(struct mail *mail)
{
	struct flow_latest *latest = CONTAINER_OF(mail, struct flow_latest, mail);
	latest->done(latest, latest->error);
}

static void
latest_run(struct mail *mail)
{
	struct flow_latest *latest = CONTAINER_OF(mail, struct flow_latest, mail);
	struct flow *flow = latest->origin->flow;
	struct flow_loop *fl = flow->loops[latest->at];
	struct series_selector selector;
	uint32_t only = selector_partition(flow, &latest->selector);
	for (uint32_t p = fl->index; p < flow->options.partitions && !latest->error;
	     p += flow->options.loops) {
		if (selector_view(&latest->selector, only, p, &selector))
			latest->error = series_partition_latest(flow->partitions[p], &selector,
			    latest->each, latest->ctx);
	}
	bool last = only != UINT32_MAX || latest->error || latest->at + 1 == flow->options.loops;
	struct mailbox *next = last ? latest->origin->box : flow->loops[++latest->at]->box;
	if (last)
		latest->mail.deliver = latest_back;
	mailbox_send(next, &latest->mail);
}

void
flow_latest(struct flow_loop *fl, struct flow_latest *latest)
{
	struct flow *flow = fl->flow;
	uint32_t only = selector_partition(flow, &latest->selector);
	latest->origin = fl;
	latest->error = 0;
	latest->at = only == UINT32_MAX ? 0 : only % flow->options.loops;
	latest->mail.deliver = latest_run;
	mailbox_send(flow->loops[latest->at]->box, &latest->mail);
}

/*
 * flow.c: making and ending a node's flow and the loops' halves of it; the doors to the sequencer.
 */
#include "flow.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "flow_priv.h"

static void
census_warn(void *ctx, const char *what)
{
	const struct flow *flow = ctx;
	flow->options.warn(flow->options.ctx, what, 0);
}

/* What counts series, when they are limited. */
static int
limits_create(struct flow *flow)
{
	const struct flow_options *options = &flow->options;
	struct census_options limits = {
		.max = {
			[CENSUS_NODE] = options->series_max,
			[CENSUS_TENANT] = options->tenant_series_max,
			[CENSUS_PRINCIPAL] = options->principal_series_max,
			[CENSUS_TAG] = options->tag_values_max,
		},
		.warn = census_warn,
		.ctx = flow,
	};
	int error = 0;
	if (options->principal_series_max)
		error = makers_create(options->store, &flow->makers);
	limits.makers = flow->makers;
	for (unsigned i = 0; i < CENSUS_LIMIT_COUNT && !error && !flow->census; i++)
		if (limits.max[i])
			error = census_create(&limits, &flow->census);
	return error;
}

int
flow_create(const struct flow_options *options, struct flow **ret_flow)
{
	check(options->loops > 0 && options->loops <= FLOW_LOOPS_MAX);
	check(options->partitions > 0 && options->partitions <= FLOW_PARTITIONS_MAX);
	struct flow *flow = calloc(1, sizeof *flow);
	if (!flow)
		return -ENOMEM;
	flow->options = *options;
	flow->next_part_id = 1;
	flow->floors.highest = INT64_MIN;
	flow->floors.of = flow->floor_of;
	for (uint32_t p = 0; p < FLOW_PARTITIONS_MAX; p++)
		flow->floor_of[p] = INT64_MIN;
	pthread_mutex_init(&flow->tombs_lock, NULL);
	int error = hub_create(options->loops, &flow->hub);
	if (!error)
		error = channels_create(flow);
	for (uint32_t p = 0; p < options->partitions && !error; p++)
		error = series_partition_create(options->env, options->series_dir, p,
		    &flow->partitions[p]);
	if (!error)
		error = series_shelf_create(FLOW_SHELF_BYTES_MAX, &flow->shelf);
	for (uint32_t p = 0; p < options->partitions && !error; p++)
		series_partition_set_shelf(flow->partitions[p], flow->shelf);
	for (uint32_t p = 0; p < options->partitions && !error; p++)
		series_partition_set_rollups(flow->partitions[p], options->rollups);
	if (!error)
		error = limits_create(flow);
	if (error) {
		flow_destroy(flow);
		return error;
	}
	*ret_flow = flow;
	return 0;
}

void
flow_stop_reading(struct flow *flow)
{
	views_past_stop(flow);
}

void
flow_stop(struct flow *flow)
{
	committer_destroy(flow->committer);
	flow->committer = NULL;
}

void
flow_destroy(struct flow *flow)
{
	if (!flow)
		return;
	sequencer_finish(flow);
	for (uint32_t p = 0; p < flow->options.partitions; p++)
		series_partition_destroy(flow->partitions[p]);
	series_shelf_unref(flow->shelf);
	census_destroy(flow->census);
	makers_destroy(flow->makers);
	tombs_unref(flow->tombs);
	pthread_mutex_destroy(&flow->tombs_lock);
	hub_destroy(flow->hub);
	free(flow);
}

int
flow_loop_create(struct flow *flow, struct loop *loop, struct mailbox *box,
    struct hub_local *hub, struct flow_loop **ret_loop)
{
	struct flow_loop *fl = calloc(1, sizeof *fl);
	if (!fl)
		return -ENOMEM;
	fl->flow = flow;
	fl->loop = loop;
	fl->box = box;
	fl->hub = hub;
	fl->index = loop_index(loop);
	sequencer_submit_init(fl);
	int error = judge_create(flow->options.partitions, &fl->judge);
	if (!error)
		error = points_create(fl);
	if (error) {
		flow_loop_destroy(fl);
		return error;
	}
	flow_loop_set_times(fl, 0, 0, 0);
	flow->loops[fl->index] = fl;
	*ret_loop = fl;
	return 0;
}

void
flow_loop_destroy(struct flow_loop *fl)
{
	if (!fl)
		return;
	if (fl->index == 0) {
		loop_timer_cancel(fl->loop, &fl->flow->sequencer.channels.look);
		presence_stop(fl->flow);
	}
	sequencer_submit_finish(fl);
	points_destroy(fl);
	judge_destroy(fl->judge);
	free(fl);
}

uint64_t
flow_position(struct flow_loop *fl)
{
	/* In this order: what was handed out up to the seq is in the count. */
	uint64_t seq = atomic_load(&fl->flow->counters.released_seq);
	if (atomic_load(&fl->handed) == fl->taken)
		fl->released_seq = MAX(fl->released_seq, seq);
	return fl->released_seq;
}

struct series_partition *
flow_partition(struct flow *flow, uint32_t number)
{
	return flow->partitions[number];
}

void
flow_set_next_part_id(struct flow *flow, uint64_t next_id)
{
	flow->next_part_id = next_id;
}

static int
census_take_key(void *ctx, struct span key)
{
	bool is_new;
	return census_add(ctx, key, series_key_hash(key), &is_new);
}

int
flow_count_series(struct flow *flow)
{
	int error = 0;
	if (!flow->census || flow->counted)
		return 0;
	for (uint32_t p = 0; p < flow->options.partitions && !error; p++)
		error = series_partition_keys(flow->partitions[p], census_take_key, flow->census);
	flow->counted = true;
	return error;
}

void
flow_floor_raise(struct flow *flow, uint32_t partition)
{
	int64_t floor_ms = series_partition_floor(flow->partitions[partition]);
	int64_t highest = atomic_load(&flow->floors.highest);
	atomic_store(&flow->floor_of[partition], floor_ms);
	while (highest < floor_ms &&
	    !atomic_compare_exchange_weak(&flow->floors.highest, &highest, floor_ms))
		continue;
}

int
flow_maker_restore(struct flow *flow, uint64_t series, uint64_t maker)
{
	return flow->makers ? makers_restore(flow->makers, series, maker) : 0;
}

int
flow_start(struct flow *flow)
{
	int error = flow_count_series(flow);
	for (uint32_t p = 0; p < flow->options.partitions; p++)
		flow_floor_raise(flow, p);
	if (!error && flow->makers)
		error = makers_settle(flow->makers, flow->census);
	return error ? error : sequencer_start(flow);
}

void
flow_loop_set_times(struct flow_loop *fl, int64_t future_ms, int64_t past_ms, int64_t kept_ms)
{
	struct judge_limits limits = {
		.future_ms = future_ms,
		.past_ms = past_ms,
		.kept_ms = kept_ms,
		.floors = &fl->flow->floors,
		.census = fl->flow->census,
	};
	judge_set_limits(fl->judge, &limits);
}

int
flow_append(struct flow_loop *fl, struct flow_ticket *ticket)
{
	struct flow *flow = fl->flow;
	size_t bytes = ticket->record->body.len;
	size_t before = atomic_fetch_add(&flow->intake_bytes, bytes);
	/* A record larger than the bound must still be able to come through, alone. */
	if (before > 0 && before + bytes > flow->options.intake_bytes_max) {
		atomic_fetch_sub(&flow->intake_bytes, bytes);
		return -EAGAIN;
	}
	sequencer_submit(fl, &ticket->entry, FLOW_TICKET);
	return 0;
}

size_t
flow_intake_bytes(const struct flow *flow)
{
	return atomic_load_explicit(&flow->intake_bytes, memory_order_relaxed);
}

struct judge *
flow_judge(struct flow_loop *fl)
{
	return fl->judge;
}

void
flow_publish(struct flow_loop *fl, struct flow_publish *publish)
{
	sequencer_submit(fl, &publish->ticket.entry, FLOW_PUBLISH);
}

void
flow_channel(struct flow_loop *fl, struct flow_channel *op)
{
	sequencer_submit(fl, &op->entry, FLOW_CHANNEL);
}

static int
ask_send(void *ctx, unsigned loop, const struct hub_question *question, uint64_t token)
{
	struct flow *flow = ctx;
	size_t text_len = question->tenant.len;
	for (size_t i = 0; i < question->pattern_count; i++)
		text_len += question->patterns[i].len;
	struct flow_past *past = malloc(sizeof *past +
	    question->pattern_count * (sizeof(struct span) + sizeof(uint64_t)) + text_len);
	if (!past)
		return -ENOMEM;
	struct span *patterns = (struct span *)(past + 1);
	uint64_t *ids = (uint64_t *)(patterns + question->pattern_count);
	char *at = (char *)(ids + question->pattern_count);
	past->token = token;
	past->reading = NULL;
	past->gap = false;
	past->question = *question;
	past->question.patterns = patterns;
	past->question.ids = ids;
	past->question.tenant = span_keep(&at, question->tenant);
	for (size_t i = 0; i < question->pattern_count; i++) {
		patterns[i] = span_keep(&at, question->patterns[i]);
		ids[i] = question->ids ? question->ids[i] : 0;
	}
	sequencer_submit(flow->loops[loop], &past->entry, FLOW_ASK);
	return 0;
}

static int
want_send(void *ctx, unsigned loop, struct span tenant, struct span pattern, bool wanted,
    uint64_t token)
{
	struct flow *flow = ctx;
	struct flow_want *want = malloc(sizeof *want + tenant.len + pattern.len);
	if (!want)
		return -ENOMEM;
	char *text = (char *)(want + 1);
	memcpy(text, tenant.ptr, tenant.len);
	memcpy(text + tenant.len, pattern.ptr, pattern.len);
	want->tenant = span_of(text, tenant.len);
	want->pattern = span_of(text + tenant.len, pattern.len);
	want->wanted = wanted;
	want->token = token;
	sequencer_submit(flow->loops[loop], &want->entry, FLOW_WANT);
	return 0;
}

static void
present_send(void *ctx, unsigned loop, uint64_t channel, const struct hub_member *member, bool here)
{
	(void)loop;
	presence_sighted(ctx, channel, member, here);
}

const struct hub_hooks *
flow_hub_hooks(void)
{
	static const struct hub_hooks hooks = {
		.want = want_send, .ask = ask_send, .present = present_send,
	};
	return &hooks;
}

void
flow_stats(const struct flow *flow, struct flow_stats *ret_stats)
{
	const struct flow_counters *counters = &flow->counters;
	*ret_stats = (struct flow_stats){
		.records = counters->records,
		.readings = counters->readings,
		.released_seq = counters->released_seq,
		.commits = counters->commits,
		.flushes = counters->flushes,
		.flushes_failed = counters->flushes_failed,
		.merges = counters->merges,
		.rolls = counters->rolls,
		.retired = counters->retired,
		.erased = counters->erased,
		.records_failed = counters->records_failed,
		.replayed = counters->replayed,
		.present = counters->present,
		.presence_told = counters->presence_told,
		.view_pasts = counters->view_pasts,
	};
	if (flow->census)
		census_refused(flow->census, ret_stats->series_refused);
}

/*
 * world.c: see world.h.
 */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "check.h"
#include "flow_priv.h"
#include "num.h"
#include "query.h"
#include "series_priv.h"

/* ── life ── */

static void
on_fatal(void *ctx, const char *what, int error)
{
	(void)ctx;
	fprintf(stderr, "fatal: %s: %s\n", what, strerror(-error));
	abort();
}

static void
on_warn(void *ctx, const char *what, int error)
{
	struct world *world = ctx;
	(void)what;
	(void)error;
	atomic_fetch_add(&world->warnings, 1);
}

struct world *
world_create(unsigned loops)
{
	struct world *world = calloc(1, sizeof *world);
	check(world);
	snprintf(world->dir, sizeof world->dir, "/tmp/weir-test-flow-XXXXXX");
	check(mkdtemp(world->dir));
	snprintf(world->series_dir, sizeof world->series_dir, "%s/series", world->dir);
	world_env_init(&world->env);
	world->loop_count = loops;
	world->options = (struct flow_options){
		.ring_bytes_max = 1 << 20,
		.env = &world->env.env,
		.series_dir = world->series_dir,
		.partitions = WORLD_PARTITIONS,
		.loops = loops,
		.intake_bytes_max = 1 << 20,
		.head_bytes_max = 64 << 20,
		.head_age_ms_max = 600000,
		.fatal = on_fatal,
		.warn = on_warn,
		.ctx = world,
	};
	return world;
}

static int
remove_name(void *ctx, const char *name)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", (const char *)ctx, name);
	return unlink(path) == 0 || errno == EISDIR || errno == EPERM ? 0 : -errno;
}

void
world_destroy(struct world *world)
{
	char dir[96];
	static const char *const names[] = {"journal", "series", ""};
	for (size_t i = 0; i < 3; i++) {
		snprintf(dir, sizeof dir, "%s/%s", world->dir, names[i]);
		check(env_list_dir(world->env.real, dir, remove_name, dir) == 0);
		check(rmdir(dir) == 0);
	}
	env_destroy(world->env.real);
	free(world);
}

/* What the store tells while this thread still owns it. */
struct parts {
	struct store_part parts[4096];
	uint64_t ids[4096];
	size_t count;
	uint64_t cursors[WORLD_PARTITIONS], floors[WORLD_PARTITIONS];
	struct channel_row {
		struct store_channel channel;
		char text[300];
	} channels[16];
	size_t channel_count;
	uint64_t makers[4096][2];
	size_t maker_count;
};

static int
part_take(void *ctx, const struct store_part *part)
{
	struct parts *parts = ctx;
	check(parts->count < 4096);
	parts->ids[parts->count] = part->id;
	parts->parts[parts->count++] = *part;
	return 0;
}

static int
channel_take(void *ctx, const struct store_channel *channel)
{
	struct parts *parts = ctx;
	check(parts->channel_count < ARRAY_COUNT(parts->channels));
	struct channel_row *row = &parts->channels[parts->channel_count++];
	row->channel = *channel;
	size_t len = (size_t)snprintf(row->text, sizeof row->text, "%.*s%.*s",
	    (int)channel->tenant.len, channel->tenant.ptr, (int)channel->name.len,
	    channel->name.ptr);
	check(channel->meta.len == 0);
	row->channel.tenant = span_of(row->text, channel->tenant.len);
	row->channel.name = span_of(row->text + channel->tenant.len, len - channel->tenant.len);
	return 0;
}

static int
maker_take(void *ctx, uint64_t series, uint64_t maker)
{
	struct parts *parts = ctx;
	check(parts->maker_count < ARRAY_COUNT(parts->makers));
	parts->makers[parts->maker_count][0] = series;
	parts->makers[parts->maker_count++][1] = maker;
	return 0;
}

static int
order_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void
parts_load(struct world *world, struct parts *parts)
{
	parts->count = parts->channel_count = parts->maker_count = 0;
	check(store_makers_load(world->store, maker_take, parts) == 0);
	check(store_channels_load(world->store, channel_take, parts) == 0);
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
		check(store_cursor_get(world->store, "points", p, &parts->cursors[p]) == 0);
		check(store_cursor_get(world->store, "floor", p, &parts->floors[p]) == 0);
	}
	check(store_parts_load(world->store, part_take, parts) == 0);
	qsort(parts->ids, parts->count, sizeof parts->ids[0], order_ids);
}

static void
parts_attach(struct world *world, const struct parts *parts)
{
	uint64_t next_id;
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
		series_partition_set_cursor(flow_partition(world->flow, p), parts->cursors[p]);
		if (parts->floors[p])
			series_partition_set_floor(flow_partition(world->flow, p),
			    (int64_t)parts->floors[p]);
	}
	for (size_t i = 0; i < parts->count; i++)
		check(series_partition_attach(flow_partition(world->flow,
			  parts->parts[i].partition), &parts->parts[i], NULL, NULL) == 0);
	check(series_sweep(&world->env.env, world->series_dir, parts->ids, parts->count,
	    &next_id) == 0);
	flow_set_next_part_id(world->flow, next_id);
	for (size_t i = 0; i < parts->channel_count; i++)
		check(flow_channel_restore(world->flow, &parts->channels[i].channel) == 0);
	for (size_t i = 0; i < parts->maker_count; i++)
		check(flow_maker_restore(world->flow, parts->makers[i][0],
		    parts->makers[i][1]) == 0);
}

static void
open_loop(struct world *world, unsigned index)
{
	struct world_loop *loop = &world->loops[index];
	check(loop_create(&world->env.env, index, &loop->loop) == 0);
	check(mailbox_create(loop->loop, &loop->box) == 0);
	check(hub_local_create(loop->loop, flow_hub_hooks(), world->flow, &loop->hub) == 0);
	check(flow_loop_create(world->flow, loop->loop, loop->box, loop->hub, &loop->flow) == 0);
}

static void
loop_main(void *ctx)
{
	loop_run(((struct world_loop *)ctx)->loop);
}

static void
start(struct world_loop *loop, void *ctx)
{
	struct world *world = ctx;
	(void)loop;
	check(flow_start(world->flow) == 0);
}

void
world_open(struct world *world)
{
	char dir[96];
	snprintf(dir, sizeof dir, "%s/journal", world->dir);
	struct journal_options journal = {
		.dir = dir,
		.segment_bytes = 1 << 20,
		.durability = JOURNAL_OS,
	};
	struct parts *parts = malloc(sizeof *parts);
	/* The writer sleeps by the real clock. */
	check(parts && store_open(world->env.real, world->dir, &world->store) == 0);
	parts_load(world, parts);
	check(store_writer_start(world->store, 1, &world->writer) == 0);
	check(journal_open(&world->env.env, &journal, NULL, NULL, &world->journal) == 0);
	check(workers_create(2, 64, &world->workers) == 0);
	world->options.journal = world->journal;
	world->options.workers = world->workers;
	world->options.store = world->writer;
	check(flow_create(&world->options, &world->flow) == 0);
	parts_attach(world, parts);
	free(parts);
	for (unsigned i = 0; i < world->loop_count; i++)
		open_loop(world, i);
	check(flow_replay(world->flow, NULL, NULL) == 0);
	for (unsigned i = 0; i < world->loop_count; i++)
		check(thread_start(&world->loops[i].thread, "loop", loop_main,
		    &world->loops[i]) == 0);
	world_call(world, 0, start, world);
}

struct flushing {
	sem_t done;
	int error;
};

static void
flush_done(void *ctx, int error)
{
	struct flushing *flushing = ctx;
	flushing->error = error;
	sem_post(&flushing->done);
}

static void
flush_begin(struct world_loop *loop, void *ctx)
{
	flow_loop_flush(loop->flow, flush_done, ctx);
}

static void
flush_all(struct world *world)
{
	for (unsigned i = 0; i < world->loop_count; i++) {
		struct flushing flushing = {.error = 1};
		sem_init(&flushing.done, 0, 0);
		world_call(world, i, flush_begin, &flushing);
		sem_wait(&flushing.done);
		check(flushing.error == 0);
		sem_destroy(&flushing.done);
	}
}

/* Delivers what threads left behind. */
static void
settle(struct world *world)
{
	size_t waiting = 1;
	while (waiting) {
		waiting = 0;
		for (unsigned i = 0; i < world->loop_count; i++)
			loop_turn(world->loops[i].loop, 0);
		for (unsigned i = 0; i < world->loop_count; i++)
			waiting += mailbox_count(world->loops[i].box);
	}
}

/* Whether a worker or the store has something of this loop's partitions. */
static void
look_for_work(struct world_loop *loop, void *ctx)
{
	struct flow_loop *fl = loop->flow;
	for (uint32_t p = 0; p < WORLD_PARTITIONS; p++) {
		const struct series_partition *partition = flow_partition(fl->flow, p);
		if (flow_owner(fl->flow, p) == fl && (partition->flushing || partition->merging))
			*(bool *)ctx = true;
	}
}

/* What was numbered and what workers do comes back before the mailboxes go. */
static void
wait_for_work(struct world *world)
{
	bool busy;
	do {
		busy = false;
		for (unsigned i = 0; i < world->loop_count; i++)
			world_call(world, i, look_for_work, &busy);
	} while (busy || flow_intake_bytes(world->flow));
}

void
world_close(struct world *world, bool flush)
{
	wait_for_work(world);
	if (flush)
		flush_all(world);
	for (unsigned i = 0; i < world->loop_count; i++) {
		loop_stop(world->loops[i].loop);
		thread_join(world->loops[i].thread);
	}
	store_writer_stop(world->writer);
	settle(world);
	for (unsigned i = 0; i < world->loop_count; i++) {
		flow_loop_destroy(world->loops[i].flow);
		hub_local_destroy(world->loops[i].hub);
	}
	workers_destroy(world->workers);
	flow_destroy(world->flow);
	for (unsigned i = 0; i < world->loop_count; i++) {
		mailbox_destroy(world->loops[i].box);
		loop_destroy(world->loops[i].loop);
	}
	journal_close(world->journal);
	store_close(world->store);
}

/* ── calling ── */

struct call {
	struct mail mail;
	struct world_loop *loop;
	void (*run)(struct world_loop *loop, void *ctx);
	void *ctx;
	sem_t done;
};

static void
call_deliver(struct mail *mail)
{
	struct call *call = CONTAINER_OF(mail, struct call, mail);
	call->run(call->loop, call->ctx);
	sem_post(&call->done);
}

void
world_call(struct world *world, unsigned loop, void (*run)(struct world_loop *loop, void *ctx),
    void *ctx)
{
	struct call call = {.loop = &world->loops[loop], .run = run, .ctx = ctx};
	call.mail.deliver = call_deliver;
	sem_init(&call.done, 0, 0);
	mailbox_send(world->loops[loop].box, &call.mail);
	sem_wait(&call.done);
	sem_destroy(&call.done);
}

static void
nothing(struct world_loop *loop, void *ctx)
{
	(void)loop;
	(void)ctx;
}

struct flow_stats
world_stats(struct world *world)
{
	struct flow_stats stats;
	flow_stats(world->flow, &stats);
	return stats;
}

void
world_await(struct world *world, bool (*enough)(const struct flow_stats *stats))
{
	uint64_t end_ns = env_mono_ns(world->env.real) + UINT64_C(30000000000);
	struct flow_stats stats;
	do {
		/* A round through the loops also lets them see that their clock was moved. */
		for (unsigned i = 0; i < world->loop_count; i++)
			world_call(world, i, nothing, NULL);
		stats = world_stats(world);
		check(env_mono_ns(world->env.real) < end_ns);
	} while (!enough(&stats));
}

/* ── appending ── */

static void
append_done(struct flow_ticket *ticket, int error)
{
	struct world_append *append = CONTAINER_OF(ticket, struct world_append, ticket);
	append->error = error;
	append->seq = ticket->record->seq;
	append->count = ticket->record->count;
	sem_post(&append->done);
}

static void
drop_batch(void *batch)
{
	series_batch_destroy(batch);
}

static void
append_init(struct world_loop *loop, struct world_append *append, const char *tenant,
    const char *principal, const char *lines)
{
	struct judge_result result;
	struct journal_record *record;
	char *copy = strdup(lines);
	struct judge_body body = {
		.format = JOURNAL_FORMAT_LINE,
		.tenant = span_str(tenant),
		.principal = span_str(principal),
		.arrival_ms = loop_now_ms(loop->loop),
		.precision = LP_MS,
		.bytes = copy,
		.len = strlen(lines),
	};
	judge_result_init(&result);
	check(copy && judge_run(flow_judge(loop->flow), &body, &result, NULL, 0) == 0);
	append->rejected = result.rejected;
	struct journal_record like = {
		.count = 1 + (uint32_t)series_batch_count(result.batch),
		.stream = JOURNAL_REPORTS,
		.format = JOURNAL_FORMAT_LINE,
		.hints = LP_MS,
		.arrival_ms = body.arrival_ms,
		.tenant = body.tenant,
		.principal = body.principal,
		.body = span_of(copy, body.len),
		.rejects = result.rejects,
		.reject_count = result.reject_count,
	};
	check(journal_record_create(&like, false, &record) == 0);
	record->parsed = result.batch;
	record->parsed_destroy = drop_batch;
	result.batch = NULL;
	judge_result_finish(&result);
	free(copy);
	append->ticket = (struct flow_ticket){.record = record, .done = append_done};
}

void
world_append_init(struct world_loop *loop, struct world_append *append, const char *lines)
{
	append_init(loop, append, "main", "app-test", lines);
	check(append->rejected == 0);
}

struct appending {
	struct world_append append;
	const char *tenant, *principal, *lines;
};

static void
append_run(struct world_loop *loop, void *ctx)
{
	struct appending *appending = ctx;
	struct world_append *append = &appending->append;
	const char *principal = appending->principal ? appending->principal : "app-test";
	append_init(loop, append, appending->tenant, principal, appending->lines);
	check(appending->principal || append->rejected == 0);
	append->error = flow_append(loop->flow, &append->ticket);
	if (append->error == 0)
		return;
	journal_record_unref(append->ticket.record);
	sem_post(&append->done);
}

static int
append_wait(struct world *world, unsigned loop, struct appending *appending)
{
	sem_init(&appending->append.done, 0, 0);
	world_call(world, loop, append_run, appending);
	sem_wait(&appending->append.done);
	sem_destroy(&appending->append.done);
	return appending->append.error;
}

uint64_t
world_append_by(struct world *world, unsigned loop, const char *principal, const char *lines)
{
	struct appending appending = {.tenant = "main", .principal = principal, .lines = lines};
	check(append_wait(world, loop, &appending) == 0);
	return appending.append.rejected;
}

int
world_append_seq(struct world *world, unsigned loop, const char *lines, uint64_t *ret_seq)
{
	struct appending appending = {.tenant = "main", .lines = lines};
	int error = append_wait(world, loop, &appending);
	*ret_seq = appending.append.seq;
	return error;
}

int
world_append(struct world *world, unsigned loop, const char *lines)
{
	return world_append_of(world, loop, "main", lines);
}

int
world_append_of(struct world *world, unsigned loop, const char *tenant, const char *lines)
{
	struct appending appending = {.tenant = tenant, .lines = lines};
	return append_wait(world, loop, &appending);
}

/* ── asking ── */

struct text {
	struct buf out;
	struct span key;
};

static void
text_key(struct buf *out, struct span key)
{
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t count = SERIES_TAGS_MAX;
	check(series_key_split(key, &tenant, &metric, tags, &count));
	buf_append_span(out, metric);
	for (size_t i = 0; i < count; i++) {
		buf_append_byte(out, i ? ',' : '{');
		buf_append_span(out, tags[i].name);
		buf_append_byte(out, '=');
		buf_append_span(out, tags[i].value);
	}
	buf_append_str(out, count ? "} " : " ");
}

static void
text_point(struct buf *out, struct span key, int64_t time_ms, double value)
{
	char number[NUM_TEXT_BYTES_MAX];
	text_key(out, key);
	buf_append_i64(out, time_ms);
	buf_append_byte(out, ' ');
	buf_append(out, number, num_format_double(number, value));
	buf_append_byte(out, '\n');
}

static int
text_begin(void *ctx, struct span key)
{
	((struct text *)ctx)->key = key;
	return 0;
}

static int
text_rows(void *ctx, const struct series_rows *rows)
{
	struct text *text = ctx;
	for (size_t i = 0; i < rows->count; i++)
		text_point(&text->out, text->key, rows->times_ms[i], rows->values[i]);
	return 0;
}

static int
text_end(void *ctx)
{
	(void)ctx;
	return 0;
}

static void
text_damage(void *ctx, const struct series_damage *damage)
{
	(void)ctx;
	(void)damage;
	check(false);
}

/* Who asks: a tenant, and the devices that he may see (NULL: all). */
struct asker {
	const char *tenant, *devices;
	struct flow_scope *scope;
};

static void
asker_begin(struct asker *asker, const struct world_loop *loop, struct flow_selector *selector)
{
	struct span ids[64];
	size_t count = 0;
	selector->tenant = span_str(asker->tenant);
	for (const char *at = asker->devices; at && *at; at += strspn(at, " ")) {
		check(count < ARRAY_COUNT(ids));
		ids[count] = span_of(at, strcspn(at, " "));
		at += ids[count++].len;
	}
	if (asker->devices)
		check(flow_scope_create(loop->flow, selector->tenant, ids, count,
		    &asker->scope) == 0);
	selector->scope = asker->scope;
}

struct asking {
	struct flow_ask ask;
	struct asker asker;
	sem_t done;
	int error;
};

static void
ask_done(struct flow_ask *ask, int error)
{
	struct asking *asking = CONTAINER_OF(ask, struct asking, ask);
	asking->error = error;
	sem_post(&asking->done);
}

static void
ask_run(struct world_loop *loop, void *ctx)
{
	struct asking *asking = ctx;
	asker_begin(&asking->asker, loop, &asking->ask.selector);
	check(flow_ask(loop->flow, &asking->ask) == 0);
}

static int
ask_wait(struct world *world, unsigned loop, struct asker asker, const char *metric,
    size_t series_max, struct asking *asking)
{
	*asking = (struct asking){
		.ask = {.from_ms = INT64_MIN, .to_ms = INT64_MAX, .series_max = series_max,
		    .done = ask_done},
		.asker = asker,
	};
	asking->ask.selector.metric = metric ? span_str(metric) : SPAN("");
	sem_init(&asking->done, 0, 0);
	world_call(world, loop, ask_run, asking);
	sem_wait(&asking->done);
	sem_destroy(&asking->done);
	flow_scope_destroy(asking->asker.scope);
	return asking->error;
}

int
world_ask_refused(struct world *world, unsigned loop, size_t series_max)
{
	struct asking asking;
	int error = ask_wait(world, loop, (struct asker){.tenant = "main"}, NULL, series_max,
	    &asking);
	check(error == 0 || asking.ask.snapshot_count == 0);
	for (size_t i = 0; i < asking.ask.snapshot_count; i++)
		series_snapshot_unref(asking.ask.snapshots[i]);
	return error;
}

static char *
points_of(struct world *world, unsigned loop, struct asker asker, const char *metric)
{
	static const struct series_query_sink sink = {text_begin, text_rows, text_end, text_damage};
	struct series_query query = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
	struct text text = {.key = SPAN("")};
	struct asking asking;
	buf_init(&text.out, 0);
	check(ask_wait(world, loop, asker, metric, 100000, &asking) == 0);
	check(series_query_run(&query, asking.ask.snapshots, asking.ask.snapshot_count, &sink,
	    &text) == 0);
	for (size_t i = 0; i < asking.ask.snapshot_count; i++)
		series_snapshot_unref(asking.ask.snapshots[i]);
	buf_append_byte(&text.out, '\0');
	check(buf_ok(&text.out));
	return text.out.ptr;
}

char *
world_points(struct world *world, unsigned loop, const char *metric)
{
	return points_of(world, loop, (struct asker){.tenant = "main"}, metric);
}

char *
world_points_of(struct world *world, unsigned loop, const char *tenant, const char *devices)
{
	return points_of(world, loop, (struct asker){.tenant = tenant, .devices = devices}, NULL);
}

struct newest {
	struct flow_latest latest;
	struct asker asker;
	struct buf out;
	sem_t done;
	int error;
};

static int
newest_each(void *ctx, const struct series_latest *latest)
{
	struct newest *newest = ctx;
	text_point(&newest->out, latest->key, latest->last_ms, latest->last_value);
	return 0;
}

static void
newest_done(struct flow_latest *latest, int error)
{
	struct newest *newest = CONTAINER_OF(latest, struct newest, latest);
	newest->error = error;
	sem_post(&newest->done);
}

static void
newest_run(struct world_loop *loop, void *ctx)
{
	struct newest *newest = ctx;
	asker_begin(&newest->asker, loop, &newest->latest.selector);
	flow_latest(loop->flow, &newest->latest);
}

static char *
latest_of(struct world *world, unsigned loop, struct asker asker, const char *device)
{
	struct newest newest = {
		.latest = {.each = newest_each, .done = newest_done},
		.asker = asker,
	};
	newest.latest.ctx = &newest;
	newest.latest.selector.tag_count = device ? 1 : 0;
	if (device)
		newest.latest.selector.tags[0] =
		    (struct series_tag){SPAN("device"), span_str(device)};
	buf_init(&newest.out, 0);
	sem_init(&newest.done, 0, 0);
	world_call(world, loop, newest_run, &newest);
	sem_wait(&newest.done);
	sem_destroy(&newest.done);
	flow_scope_destroy(newest.asker.scope);
	check(newest.error == 0);
	buf_append_byte(&newest.out, '\0');
	return newest.out.ptr;
}

char *
world_latest(struct world *world, unsigned loop, const char *device)
{
	return latest_of(world, loop, (struct asker){.tenant = "main"}, device);
}

char *
world_latest_of(struct world *world, unsigned loop, const char *tenant, const char *devices)
{
	return latest_of(world, loop, (struct asker){.tenant = tenant, .devices = devices}, NULL);
}

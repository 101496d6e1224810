/*
 * test_power.c: journal, store, parts and replay together on one simulated disk. The power goes in
 * the middle of anything, or the process is killed, or the disk fails, by seed. After the next
 * start every acknowledged reading is there once, with the value of the latest record that told it,
 * nothing else is, and the raw messages are as they were judged.
 *
 * A commit that was not acknowledged may be there or not, whole, but only the last one. WEIR_SEEDS:
 * how many (200), WEIR_SEED: the first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "flow.h"
#include "raw.h"
#include "sim.h"

#define SEEDS_DEFAULT 200
#define LIVES 3
#define STEPS_MAX 40
#define PARTITIONS 3
#define DEVICES 5
#define METRICS 3
#define SERIES (DEVICES * METRICS * 2)
#define DAY_MS INT64_C(86400000)
#define START_MS INT64_C(1700000000000)

enum fate { ACKED, UNKNOWN, GONE };

/* A record as it was judged, kept with its points. */
struct told {
	struct journal_record *record;
	char *raw;             /* what raw_write made of it then */
	enum fate fate;
	bool seen;             /* in this pass over the journal */
};

struct point {
	int64_t time_ms;
	double value;
};

struct points {
	struct point *points;  /* ascending, unique */
	size_t count, cap;
};

struct world {
	struct env *env;
	uint64_t seed;
	struct store *store;
	struct journal *journal;
	struct flow *flow;
	_Atomic uint64_t next_part_id;
	struct judge *judge;
	struct told *told;
	size_t told_count, told_cap;
	uint64_t next_seq, trimmed_seq, reserved_seq;
	struct points model[SERIES];
	struct buf body, scratch, out;
	bool store_fails;      /* the sync of the next transaction does */
	unsigned commits, failed, flushes, merges, cuts, found;
};

static uint64_t
draw(struct world *world, uint64_t bound)
{
	return sim_random_below(world->env, bound);
}

/* ── the model ── */

static void
points_put(struct points *points, int64_t time_ms, double value)
{
	size_t low = 0, high = points->count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (points->points[mid].time_ms < time_ms)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == points->count || points->points[low].time_ms != time_ms) {
		if (points->count == points->cap) {
			points->cap = points->cap ? points->cap * 2 : 64;
			points->points =
			    realloc(points->points, points->cap * sizeof *points->points);
			check(points->points);
		}
		memmove(&points->points[low + 1], &points->points[low],
		    (points->count - low) * sizeof *points->points);
		points->count++;
	}
	points->points[low] = (struct point){time_ms, value};
}

/* "m2{device=4}" is series 4 * METRICS + 2, "w.m2{device=4}" one of the second half. */
static size_t
series_of(struct span key)
{
	struct span tenant, metric;
	struct series_tag tags[2];
	size_t count = 2;
	check(series_key_split(key, &tenant, &metric, tags, &count) && count == 1);
	check(span_eq(tags[0].name, SPAN("device")) && tags[0].value.len == 1);
	size_t number = (size_t)(metric.ptr[metric.len - 1] - '0');
	size_t series = (size_t)(tags[0].value.ptr[0] - '0') * METRICS + number;
	series += metric.len > 2 ? SERIES / 2 : 0;
	check(series < SERIES);
	return series;
}

static void
model_take(struct world *world, const struct journal_record *record)
{
	const struct series_batch *batch = record->parsed;
	for (uint32_t p = 0; batch && p < PARTITIONS; p++) {
		size_t count;
		const struct series_point *points = series_batch_points(batch, p, &count);
		for (size_t i = 0; i < count; i++)
			points_put(&world->model[series_of(series_batch_key(batch, &points[i]))],
			    points[i].time_ms, points[i].value);
	}
}

/* ── bodies ── */

static int64_t
some_time(struct world *world)
{
	size_t series = draw(world, SERIES);
	const struct points *points = &world->model[series];
	uint64_t kind = draw(world, 4);
	if (kind == 0 && points->count) /* corrections and repetitions */
		return points->points[draw(world, points->count)].time_ms;
	if (kind == 1) /* around midnight */
		return (START_MS / DAY_MS + 1) * DAY_MS + (int64_t)draw(world, 5) - 3;
	return START_MS + (int64_t)draw(world, 2 * (uint64_t)DAY_MS / 60000) * 60000;
}

static void
write_lines(struct world *world, uint64_t count)
{
	int64_t at = some_time(world);
	for (uint64_t i = 0; i < count; i++, at += 1000) {
		if (draw(world, 10) == 0)
			buf_append_str(&world->body, "w,device=1 m0=\n");
		unsigned device = (unsigned)draw(world, DEVICES);
		buf_printf(&world->body, "w,device=%u m%u=%d,m%u=%u.5,s=\"x\" %lld\n", device,
		    (unsigned)draw(world, METRICS), (int)draw(world, 50),
		    (unsigned)draw(world, METRICS), (unsigned)draw(world, 50), (long long)at);
	}
}

static void
write_items(struct world *world, uint64_t count, bool lines)
{
	buf_append_str(&world->body, lines ? "" : "[");
	for (uint64_t i = 0; i < count; i++) {
		int64_t at = some_time(world);
		buf_append_str(&world->body, i == 0 ? "" : lines ? "\n" : ",\n ");
		if (lines && draw(world, 10) == 0)
			buf_append_str(&world->body, "{\"auth\":\"SECRET\"\n");
		buf_printf(&world->body,
		    "{\"device\":{\"id\":%u,\"auth\":\"SECRET\"},\"readings\":[{\"time\":%lld,"
		    "\"m%u\":%d},{\"m0\":%s,\"time\":%lld}]}",
		    (unsigned)draw(world, DEVICES), (long long)at, (unsigned)draw(world, METRICS),
		    (int)draw(world, 50), draw(world, 5) ? "7" : "null", (long long)at + 250);
	}
	buf_append_str(&world->body, lines ? "" : "]");
}

static enum journal_format
write_body(struct world *world)
{
	static const enum journal_format formats[] = {JOURNAL_FORMAT_LINE, JOURNAL_FORMAT_LINE,
	    JOURNAL_FORMAT_NDJSON, JOURNAL_FORMAT_JSON};
	enum journal_format format = formats[draw(world, 4)];
	uint64_t count = draw(world, 12) == 0 ? 600 : 1 + draw(world, 20);
	buf_clear(&world->body);
	if (format == JOURNAL_FORMAT_LINE)
		write_lines(world, count);
	else
		write_items(world, count, format == JOURNAL_FORMAT_NDJSON);
	check(buf_ok(&world->body));
	return format;
}

static void
drop_batch(void *batch)
{
	series_batch_destroy(batch);
}

static struct journal_record *
make_record(struct world *world)
{
	struct judge_result result;
	struct journal_record *record;
	char text[100];
	struct judge_body body = {
		.format = write_body(world),
		.tenant = SPAN("main"),
		.arrival_ms = env_now_ms(world->env),
		.precision = LP_MS,
		.bytes = world->body.ptr,
		.len = world->body.len,
	};
	judge_result_init(&result);
	check(judge_run(world->judge, &body, &result, text, sizeof text) == 0);
	struct journal_record like = {
		.count = 1 + (uint32_t)series_batch_count(result.batch),
		.stream = JOURNAL_REPORTS,
		.format = (uint16_t)body.format,
		.hints = LP_MS,
		.arrival_ms = body.arrival_ms,
		.tenant = body.tenant,
		.principal = SPAN("app-test"),
		.body = span_of(body.bytes, body.len),
		.rejects = result.rejects,
		.reject_count = result.reject_count,
	};
	check(journal_record_create(&like, false, &record) == 0);
	record->parsed = result.batch;
	record->parsed_destroy = drop_batch;
	result.batch = NULL;
	judge_result_finish(&result);
	return record;
}

/* As the sequencer reserves seqs for what leaves no record. */
static struct journal_record *
make_reserve(struct world *world)
{
	struct journal_record *record;
	uint64_t bound = world->next_seq + 100;
	unsigned char body[8];
	for (unsigned i = 0; i < 8; i++)
		body[i] = (unsigned char)(bound >> (8 * i));
	struct journal_record like = {
		.count = 1,
		.stream = JOURNAL_RESERVE,
		.arrival_ms = env_now_ms(world->env),
		.tenant = SPAN("main"),
		.principal = SPAN("local"),
		.body = span_of((const char *)body, sizeof body),
	};
	check(journal_record_create(&like, false, &record) == 0);
	return record;
}

static char *
raw_text(struct world *world, const struct journal_record *record)
{
	buf_clear(&world->out);
	if (record->stream == JOURNAL_REPORTS)
		check(raw_write(record, span_of(NULL, 0), &world->scratch, &world->out) >= 0);
	buf_append_byte(&world->out, '\0');
	check(buf_ok(&world->out) && !strstr(world->out.ptr, "SECRET"));
	char *copy = strdup(world->out.ptr);
	check(copy);
	return copy;
}

/* ── what a node does ── */

static void
apply_record(struct world *world, const struct journal_record *record)
{
	for (uint32_t p = 0; p < PARTITIONS && record->stream == JOURNAL_REPORTS; p++) {
		struct series_partition *partition = flow_partition(world->flow, p);
		size_t count;
		series_batch_points(record->parsed, p, &count);
		if (count == 0)
			series_partition_advance(partition, record->seq);
		else
			check(series_partition_apply(partition, record->parsed, record->seq,
			    env_now_ms(world->env)) == 0);
	}
}

static struct told *
tell(struct world *world, struct journal_record *record)
{
	if (world->told_count == world->told_cap) {
		world->told_cap = world->told_cap ? world->told_cap * 2 : 64;
		world->told = realloc(world->told, world->told_cap * sizeof *world->told);
		check(world->told);
	}
	struct told *told = &world->told[world->told_count++];
	record->seq = world->next_seq;
	world->next_seq += record->count;
	*told = (struct told){
		.record = record, .raw = raw_text(world, record), .fate = UNKNOWN};
	return told;
}

/* 0; a negative errno is the end of the process. */
static int
step_commit(struct world *world)
{
	struct journal_record *records[4];
	size_t count = 1 + draw(world, 4), first = world->told_count;
	for (size_t i = 0; i < count; i++) {
		records[i] = draw(world, 8) ? make_record(world) : make_reserve(world);
		tell(world, records[i]);
	}
	int error = journal_commit(world->journal, records, count);
	for (size_t i = 0; i < count && !error; i++) {
		check(records[i]->error == 0);
		world->told[first + i].fate = ACKED;
		model_take(world, records[i]);
		apply_record(world, records[i]);
		if (records[i]->stream == JOURNAL_RESERVE)
			world->reserved_seq = records[i]->seq + 100;
	}
	world->commits += !error;
	world->failed += error != 0;
	return error == -ENOSPC ? 0 : error;
}

struct work {
	struct store_unit unit;
	struct series_flush *flush;
	struct series_merge *merge;
	int error;
};

static int
work_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct work *work = CONTAINER_OF(unit, struct work, unit);
	return work->flush ? series_flush_commit(work->flush, tx) :
			     series_merge_commit(work->merge, tx);
}

static void
work_done(struct store_unit *unit, int error)
{
	CONTAINER_OF(unit, struct work, unit)->error = error;
}

static int
work_store(struct world *world, struct series_flush *flush, struct series_merge *merge)
{
	if (world->store_fails)
		sim_fail(world->env, SIM_SYNC, 0, -EIO, false);
	struct work work = {
		.unit = {.apply = work_apply, .done = work_done},
		.flush = flush,
		.merge = merge,
		.error = 1,
	};
	store_run(world->store, &work.unit);
	check(work.error <= 0);
	return work.error;
}

static void
step_flush(struct world *world)
{
	struct series_partition *partition =
	    flow_partition(world->flow, (uint32_t)draw(world, PARTITIONS));
	struct series_flush *flush = series_partition_freeze(partition, &world->next_part_id);
	if (!flush)
		return;
	int error = series_flush_run(flush);
	if (!error)
		error = work_store(world, flush, NULL);
	series_partition_flushed(partition, flush, error);
	world->flushes += !error;
}

static void
step_merge(struct world *world)
{
	struct series_partition *partition =
	    flow_partition(world->flow, (uint32_t)draw(world, PARTITIONS));
	struct series_merge *merge = draw(world, 2) ?
		  series_partition_merge_begin(partition, &world->next_part_id) :
		  series_partition_compact_begin(partition, &world->next_part_id);
	if (!merge)
		return;
	int error = series_merge_run(merge);
	if (!error)
		error = work_store(world, NULL, merge);
	series_partition_merged(partition, merge, error);
	world->merges += !error;
}

/* Forgets what every partition has in parts. */
static int
step_trim(struct world *world)
{
	uint64_t seq = UINT64_MAX;
	for (uint32_t p = 0; p < PARTITIONS; p++)
		seq = MIN(seq, series_partition_cursor(flow_partition(world->flow, p)));
	world->trimmed_seq = MAX(world->trimmed_seq, seq);
	return journal_trim(world->journal, seq);
}

static void verify_points(struct world *world);

/* One random step. A negative errno is the end of the process. */
static int
step(struct world *world)
{
	sim_advance_ms(world->env, (int64_t)draw(world, 1000));
	uint64_t what = draw(world, 100);
	if (what < 55)
		return step_commit(world);
	if (what < 72)
		step_flush(world);
	else if (what < 82)
		step_merge(world);
	else if (what < 90)
		return journal_prepare(world->journal) == -ENOSPC ? 0 : 0;
	else if (what < 95)
		return step_trim(world);
	else if (what < 98)
		sim_fail(world->env, draw(world, 2) ? SIM_WRITE : SIM_SYNC, draw(world, 6),
		    draw(world, 2) ? -ENOSPC : -EIO, false);
	return 0;
}

/* ── opening ── */

struct parts {
	struct world *world;
	uint64_t ids[1024];
	size_t count;
};

static int
part_attach(void *ctx, const struct store_part *part)
{
	struct parts *parts = ctx;
	check(parts->count < 1024);
	parts->ids[parts->count++] = part->id;
	return series_partition_attach(flow_partition(parts->world->flow, part->partition), part,
	    NULL, NULL);
}

static int
order_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void
never(void *ctx, const char *what, int error)
{
	const struct world *world = ctx;
	fail_msg("seed %llu: %s: %d", (unsigned long long)world->seed, what, error);
}

static int
open_flow(struct world *world)
{
	const struct flow_options options = {
		.env = world->env,
		.journal = world->journal,
		.series_dir = "/data/series",
		.partitions = PARTITIONS,
		.loops = 1,
		.fatal = never,
		.warn = never,
		.ctx = world,
	};
	struct parts parts = {.world = world};
	uint64_t next_id = 1, cursor = 0;
	int error = flow_create(&options, &world->flow);
	for (uint32_t p = 0; p < PARTITIONS && !error; p++) {
		error = store_cursor_get(world->store, "points", p, &cursor);
		if (!error)
			series_partition_set_cursor(flow_partition(world->flow, p), cursor);
	}
	if (!error)
		error = store_parts_load(world->store, part_attach, &parts);
	qsort(parts.ids, parts.count, sizeof parts.ids[0], order_ids);
	if (!error)
		error = series_sweep(world->env, "/data/series", parts.ids, parts.count, &next_id);
	atomic_store(&world->next_part_id, next_id);
	return error ? error : flow_replay(world->flow, NULL, NULL);
}

static int
open_all(struct world *world)
{
	const struct journal_options options = {
		.dir = "/data/journal",
		.segment_bytes = 1 << 20,
		.direct = world->seed % 2,
	};
	int error = store_open(world->env, "/data", &world->store);
	if (!error)
		error = journal_open(world->env, &options, NULL, NULL, &world->journal);
	if (!error)
		error = open_flow(world);
	if (!error)
		world->next_seq = journal_next_seq(world->journal);
	return error;
}

static void
close_all(struct world *world)
{
	flow_destroy(world->flow);
	journal_close(world->journal);
	store_close(world->store);
	world->flow = NULL;
	world->journal = NULL;
	world->store = NULL;
}

/* ── what must hold after a start ── */

static struct told *
find_told(struct world *world, uint64_t seq)
{
	for (size_t i = world->told_count; i-- > 0;)
		if (world->told[i].record->seq == seq && world->told[i].fate != GONE)
			return &world->told[i];
	return NULL;
}

static void
must_equal(struct world *world, const struct told *told, const struct journal_record *found)
{
	const struct journal_record *record = told->record;
	char *raw = raw_text(world, found);
	if (found->count != record->count || found->arrival_ms != record->arrival_ms ||
	    !span_eq(found->body, record->body) || strcmp(raw, told->raw) != 0)
		fail_msg("seed %llu: record %llu is not what was committed",
		    (unsigned long long)world->seed, (unsigned long long)found->seq);
	free(raw);
}

/* The journal holds every acknowledged record, and perhaps the last commit that was not. */
static void
verify_journal(struct world *world)
{
	struct journal_reader *reader;
	struct journal_record record;
	struct journal_damage damage;
	uint64_t last = 0;
	int result;
	for (size_t i = 0; i < world->told_count; i++)
		world->told[i].seen = false;
	check(journal_reader_open(world->journal, 1, &reader) == 0);
	while ((result = journal_reader_next(reader, &record, &damage)) == 1) {
		struct told *told = find_told(world, record.seq);
		if (!told || told->seen || record.seq <= last)
			fail_msg("seed %llu: record %llu was never committed",
			    (unsigned long long)world->seed, (unsigned long long)record.seq);
		must_equal(world, told, &record);
		told->seen = true;
		last = record.seq + record.count - 1;
	}
	check(result == 0);
	journal_reader_close(reader);
	assert_true(world->next_seq > last);
	assert_true(world->next_seq >= world->reserved_seq);
}

/* Settles what was not known, and misses what must be there. */
static void
verify_fates(struct world *world)
{
	for (size_t i = 0; i < world->told_count; i++) {
		struct told *told = &world->told[i];
		uint64_t seq = told->record->seq;
		if (told->fate == ACKED && !told->seen && seq >= world->trimmed_seq)
			fail_msg("seed %llu: the acknowledged record %llu is lost",
			    (unsigned long long)world->seed, (unsigned long long)seq);
		if (told->fate != UNKNOWN)
			continue;
		told->fate = told->seen ? ACKED : GONE;
		if (!told->seen)
			continue;
		world->found++;
		for (size_t j = i + 1; j < world->told_count; j++)
			assert_false(world->told[j].fate == ACKED); /* only the last */
		model_take(world, told->record);
	}
}

struct verifying {
	struct world *world;
	size_t series, at;
	bool seen[SERIES];
};

static int
verify_begin(void *ctx, struct span key)
{
	struct verifying *verifying = ctx;
	verifying->series = series_of(key);
	verifying->at = 0;
	assert_false(verifying->seen[verifying->series]);
	verifying->seen[verifying->series] = true;
	return 0;
}

static int
verify_rows(void *ctx, const struct series_rows *rows)
{
	struct verifying *verifying = ctx;
	const struct points *points = &verifying->world->model[verifying->series];
	for (size_t i = 0; i < rows->count; i++, verifying->at++) {
		const struct point *must = &points->points[verifying->at];
		if (verifying->at < points->count && must->time_ms == rows->times_ms[i] &&
		    memcmp(&must->value, &rows->values[i], sizeof must->value) == 0)
			continue;
		bool more = verifying->at < points->count;
		fail_msg("seed %llu: series %zu, point %zu: (%lld, %g), it must be (%lld, %g)",
		    (unsigned long long)verifying->world->seed, verifying->series,
		    verifying->at, (long long)rows->times_ms[i], rows->values[i],
		    more ? (long long)must->time_ms : 0, more ? must->value : 0);
	}
	return 0;
}

static int
verify_end(void *ctx)
{
	struct verifying *verifying = ctx;
	size_t count = verifying->world->model[verifying->series].count;
	if (verifying->at != count)
		fail_msg("seed %llu: series %zu has %zu points, %zu are missing",
		    (unsigned long long)verifying->world->seed, verifying->series,
		    verifying->at, count - verifying->at);
	return 0;
}

static void
verify_damage(void *ctx, const struct series_damage *damage)
{
	const struct verifying *verifying = ctx;
	fail_msg("seed %llu: %s is damaged: %s", (unsigned long long)verifying->world->seed,
	    damage->file, damage->reason);
}

static void
verify_points(struct world *world)
{
	static const struct series_query_sink sink = {verify_begin, verify_rows, verify_end,
	    verify_damage};
	const struct series_query query = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
	const struct series_selector all = {.tenant = SPAN("main"), .metric = SPAN("")};
	struct series_snapshot *snapshots[PARTITIONS];
	struct verifying verifying = {.world = world};
	for (uint32_t p = 0; p < PARTITIONS; p++)
		check(series_partition_snapshot(flow_partition(world->flow, p), &all, INT64_MIN,
		    INT64_MAX, SERIES, &snapshots[p]) == 0);
	check(series_query_run(&query, snapshots, PARTITIONS, &sink, &verifying) == 0);
	for (uint32_t p = 0; p < PARTITIONS; p++)
		series_snapshot_unref(snapshots[p]);
	for (size_t i = 0; i < SERIES; i++)
		if (!verifying.seen[i] && world->model[i].count)
			fail_msg("seed %llu: series %zu is lost", (unsigned long long)world->seed,
			    i);
}

static void
verify(struct world *world)
{
	verify_journal(world);
	verify_fates(world);
	verify_points(world);
}

/* ── lives ── */

/* From a start to a death; then a start that must succeed. */
static void
live(struct world *world)
{
	bool power = draw(world, 3) > 0, early = draw(world, 3) == 0;
	if (power && early) /* while it starts, or soon after */
		sim_crash_after(world->env, draw(world, 200));
	int error = open_all(world);
	if (!power || !early)
		verify(world);
	if (power && !early)
		sim_crash_after(world->env, draw(world, draw(world, 2) ? 250 : 1200));
	for (uint64_t steps = draw(world, STEPS_MAX); steps > 0 && !error; steps--)
		error = step(world);
	close_all(world);
	sim_heal(world->env);
	if (power) {
		sim_power_cut(world->env);
		world->cuts++;
	}
	error = open_all(world);
	if (error)
		fail_msg("seed %llu: it does not start: %d", (unsigned long long)world->seed,
		    error);
	verify(world);
	if (draw(world, 2)) { /* and goes on, and the power goes between two steps */
		for (uint64_t steps = draw(world, 6); steps > 0; steps--)
			assert_int_equal(step_commit(world), 0);
		verify_points(world);
	}
	close_all(world);
	if (draw(world, 2))
		sim_power_cut(world->env);
}

static void
world_init(struct world *world, uint64_t seed)
{
	*world = (struct world){.env = sim_create(seed), .seed = seed};
	check(world->env && judge_create(PARTITIONS, &world->judge) == 0);
	check(env_mkdir(world->env, "/data") == 0 && env_sync_dir(world->env, "/") == 0);
}

static void
world_finish(struct world *world)
{
	for (size_t i = 0; i < world->told_count; i++) {
		journal_record_unref(world->told[i].record);
		free(world->told[i].raw);
	}
	for (size_t i = 0; i < SERIES; i++)
		free(world->model[i].points);
	free(world->told);
	judge_destroy(world->judge);
	buf_finish(&world->body);
	buf_finish(&world->scratch);
	buf_finish(&world->out);
	env_destroy(world->env);
}

static void
live_by_seed(uint64_t seed, struct world *sum)
{
	struct world world;
	world_init(&world, seed);
	for (int i = 0; i < LIVES; i++)
		live(&world);
	world_finish(&world);
	sum->commits += world.commits;
	sum->failed += world.failed;
	sum->flushes += world.flushes;
	sum->merges += world.merges;
	sum->cuts += world.cuts;
	sum->found += world.found;
}

static uint64_t
number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void
nothing_acknowledged_is_lost_and_nothing_else_is_there(void **state)
{
	uint64_t seed = number_of("WEIR_SEED", 1), seeds = number_of("WEIR_SEEDS", SEEDS_DEFAULT);
	struct world sum = {.env = NULL};
	(void)state;
	print_message("seeds %llu to %llu (WEIR_SEED, WEIR_SEEDS)\n", (unsigned long long)seed,
	    (unsigned long long)(seed + seeds - 1));
	for (uint64_t i = 0; i < seeds; i++)
		live_by_seed(seed + i, &sum);
	print_message("%u commits, %u failed (%u records of them found again), %u flushes, "
	    "%u merges, %u power cuts\n", sum.commits, sum.failed, sum.found, sum.flushes,
	    sum.merges, sum.cuts);
	assert_true(seeds < 50 || (sum.failed > 10 && sum.flushes > seeds && sum.merges > seeds / 2 &&
	    sum.cuts > seeds));
}

/* ── one call of the disk fails while heads and parts are stored ── */

static void
fail_in_storing(uint64_t seed, enum sim_op op, uint64_t after)
{
	struct world world;
	world_init(&world, seed);
	assert_int_equal(open_all(&world), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(step_commit(&world), 0);
		step_flush(&world);
	}
	sim_fail(world.env, op, after, draw(&world, 2) ? -ENOSPC : -EIO, false);
	for (int i = 0; i < 4; i++)
		draw(&world, 2) ? step_flush(&world) : step_merge(&world);
	sim_heal(world.env);
	verify_points(&world);
	for (uint64_t more = draw(&world, 3); more > 0; more--) {
		assert_int_equal(step_commit(&world), 0);
		step_flush(&world);
	}
	if (draw(&world, 2)) { /* closing writes nothing */
		sim_fail(world.env, SIM_WRITE, 0, -EIO, true);
		sim_fail(world.env, SIM_UNLINK, 0, -EIO, true);
		sim_fail(world.env, SIM_TRUNCATE, 0, -EIO, true);
	}
	close_all(&world);
	sim_heal(world.env);
	if (draw(&world, 2))
		sim_power_cut(world.env);
	int error = open_all(&world);
	if (error)
		fail_msg("seed %llu, operation %d after %llu: it does not start: %d",
		    (unsigned long long)seed, (int)op, (unsigned long long)after, error);
	verify(&world);
	close_all(&world);
	world_finish(&world);
}

static void
a_disk_that_fails_while_points_are_stored_loses_none(void **state)
{
	static const enum sim_op ops[] = {SIM_WRITE, SIM_SYNC, SIM_SYNC_DIR, SIM_OPEN, SIM_UNLINK,
	    SIM_TRUNCATE};
	uint64_t first = number_of("WEIR_SEED", 1);
	uint64_t seeds = number_of("WEIR_SEEDS", SEEDS_DEFAULT) / 20 + 1;
	(void)state;
	for (uint64_t seed = first; seed < first + seeds; seed++)
		for (size_t i = 0; i < ARRAY_COUNT(ops); i++)
			for (uint64_t after = 0; after < 8; after++)
				fail_in_storing(seed * 64 + i * 8 + after, ops[i], after);
}

/* The commit of what was flushed or merged fails in its sync, and the process dies of it: the next
 * one may find the transaction whole, so the files that it names must be there. */
static void
a_transaction_whose_sync_failed_may_yet_hold(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct world world;
		world_init(&world, seed);
		assert_int_equal(open_all(&world), 0);
		for (int i = 0; i < 12; i++) {
			assert_int_equal(step_commit(&world), 0);
			step_flush(&world);
		}
		unsigned done = world.flushes + world.merges;
		world.store_fails = true;
		for (int i = 0; i < 3; i++)
			seed % 2 ? step_flush(&world) : step_merge(&world);
		assert_int_equal(world.flushes + world.merges, done);
		sim_heal(world.env);
		world.store_fails = false;
		verify_points(&world);
		sim_fail(world.env, SIM_WRITE, 0, -EIO, true); /* closing writes nothing */
		close_all(&world);
		sim_heal(world.env);
		if (seed % 4 < 2)
			sim_power_cut(world.env);
		int error = open_all(&world);
		if (error)
			fail_msg("seed %llu: it does not start: %d", (unsigned long long)seed,
			    error);
		verify(&world);
		close_all(&world);
		world_finish(&world);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disk_that_fails_while_points_are_stored_loses_none),
		cmocka_unit_test(a_transaction_whose_sync_failed_may_yet_hold),
		cmocka_unit_test(nothing_acknowledged_is_lost_and_nothing_else_is_there),
	};
	return cmocka_run_group_tests_name("flow_power", tests, NULL, NULL);
}

/*
 * power.c: see power.h.
 */
#include "power.h"

#include <errno.h>

#include "raw_keys.h"

#define DAY_MS INT64_C(86400000)
#define START_MS INT64_C(1700000000000)

uint64_t
power_draw(struct power *power, uint64_t bound)
{
	return sim_random_below(power->env, bound);
}

/* ── the model ── */

static void
points_put(struct power_points *points, int64_t time_ms, double value)
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
	points->points[low] = (struct power_point){time_ms, value};
}

/* "m2{device=4}" is series 4 * POWER_METRICS + 2, "w.m2{device=4}" one of the second half. */
size_t
power_series_of(struct span key)
{
	struct span tenant, metric;
	struct series_tag tags[2];
	size_t count = 2;
	check(series_key_split(key, &tenant, &metric, tags, &count) && count == 1);
	check(span_eq(tags[0].name, SPAN("device")) && tags[0].value.len == 1);
	size_t number = (size_t)(metric.ptr[metric.len - 1] - '0');
	size_t series = (size_t)(tags[0].value.ptr[0] - '0') * POWER_METRICS + number;
	series += metric.len > 2 ? POWER_SERIES / 2 : 0;
	check(series < POWER_SERIES);
	return series;
}

void
power_model_take(struct power *power, const struct journal_record *record)
{
	const struct series_batch *batch = record->parsed;
	for (uint32_t p = 0; batch && p < POWER_PARTITIONS; p++) {
		size_t count;
		const struct series_point *points = series_batch_points(batch, p, &count);
		for (size_t i = 0; i < count; i++)
			points_put(&power->model[power_series_of(
					series_batch_key(batch, &points[i]))],
			    points[i].time_ms, points[i].value);
	}
}

/* ── bodies ── */

static int64_t
some_time(struct power *power)
{
	size_t series = power_draw(power, POWER_SERIES);
	const struct power_points *points = &power->model[series];
	uint64_t kind = power_draw(power, 4);
	if (kind == 0 && points->count) /* corrections and repetitions */
		return points->points[power_draw(power, points->count)].time_ms;
	if (kind == 1) /* around midnight */
		return (START_MS / DAY_MS + 1) * DAY_MS + (int64_t)power_draw(power, 5) - 3;
	return START_MS + (int64_t)power_draw(power, 2 * (uint64_t)DAY_MS / 60000) * 60000;
}

static void
write_lines(struct power *power, uint64_t count)
{
	int64_t at = some_time(power);
	for (uint64_t i = 0; i < count; i++, at += 1000) {
		if (power_draw(power, 10) == 0)
			buf_append_str(&power->body, "w,device=1 m0=\n");
		unsigned device = (unsigned)power_draw(power, POWER_DEVICES);
		buf_printf(&power->body, "w,device=%u m%u=%d,m%u=%u.5,s=\"x\" %lld\n", device,
		    (unsigned)power_draw(power, POWER_METRICS), (int)power_draw(power, 50),
		    (unsigned)power_draw(power, POWER_METRICS), (unsigned)power_draw(power, 50),
		    (long long)at);
	}
}

static void
write_items(struct power *power, uint64_t count, bool lines)
{
	buf_append_str(&power->body, lines ? "" : "[");
	for (uint64_t i = 0; i < count; i++) {
		int64_t at = some_time(power);
		buf_append_str(&power->body, i == 0 ? "" : lines ? "\n" : ",\n ");
		if (lines && power_draw(power, 10) == 0)
			buf_append_str(&power->body, "{\"auth\":\"SECRET\"\n");
		buf_printf(&power->body,
		    "{\"device\":{\"id\":%u,\"auth\":\"SECRET\"},\"readings\":[{\"time\":%lld,"
		    "\"m%u\":%d},{\"m0\":%s,\"time\":%lld}]}",
		    (unsigned)power_draw(power, POWER_DEVICES), (long long)at,
		    (unsigned)power_draw(power, POWER_METRICS), (int)power_draw(power, 50),
		    power_draw(power, 5) ? "7" : "null", (long long)at + 250);
	}
	buf_append_str(&power->body, lines ? "" : "]");
}

static enum journal_format
write_body(struct power *power)
{
	static const enum journal_format formats[] = {JOURNAL_FORMAT_LINE, JOURNAL_FORMAT_LINE,
	    JOURNAL_FORMAT_NDJSON, JOURNAL_FORMAT_JSON};
	enum journal_format format = formats[power_draw(power, 4)];
	uint64_t count = power_draw(power, 12) == 0 ? 600 : 1 + power_draw(power, 20);
	buf_clear(&power->body);
	if (format == JOURNAL_FORMAT_LINE)
		write_lines(power, count);
	else
		write_items(power, count, format == JOURNAL_FORMAT_NDJSON);
	check(buf_ok(&power->body));
	return format;
}

static void
drop_batch(void *batch)
{
	series_batch_destroy(batch);
}

static struct journal_record *
make_record(struct power *power)
{
	struct judge_result result;
	struct journal_record *record;
	char text[100];
	struct judge_body body = {
		.format = write_body(power),
		.tenant = SPAN("main"),
		.arrival_ms = env_now_ms(power->env),
		.precision = LP_MS,
		.bytes = power->body.ptr,
		.len = power->body.len,
	};
	judge_result_init(&result);
	check(judge_run(power->judge, &body, &result, text, sizeof text) == 0);
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
make_reserve(struct power *power)
{
	struct journal_record *record;
	uint64_t bound = power->next_seq + 100;
	unsigned char body[8];
	for (unsigned i = 0; i < 8; i++)
		body[i] = (unsigned char)(bound >> (8 * i));
	struct journal_record like = {
		.count = 1,
		.stream = JOURNAL_RESERVE,
		.arrival_ms = env_now_ms(power->env),
		.tenant = SPAN("main"),
		.principal = SPAN("local"),
		.body = span_of((const char *)body, sizeof body),
	};
	check(journal_record_create(&like, false, &record) == 0);
	return record;
}

char *
power_raw_text(struct power *power, const struct journal_record *record)
{
	buf_clear(&power->out);
	if (record->stream == JOURNAL_REPORTS)
		check(raw_write(record, span_of(NULL, 0), NULL, &power->scratch, &power->out) >= 0);
	buf_append_byte(&power->out, '\0');
	check(buf_ok(&power->out) && !strstr(power->out.ptr, "SECRET"));
	char *copy = strdup(power->out.ptr);
	check(copy);
	return copy;
}

/* ── what a node does ── */

static void
apply_record(struct power *power, const struct journal_record *record)
{
	for (uint32_t p = 0; p < POWER_PARTITIONS && record->stream == JOURNAL_REPORTS; p++) {
		struct series_partition *partition = flow_partition(power->flow, p);
		size_t count;
		series_batch_points(record->parsed, p, &count);
		if (count == 0)
			series_partition_advance(partition, record->seq);
		else
			check(series_partition_apply(partition, record->parsed, record->seq,
			    env_now_ms(power->env)) == 0);
	}
}

static struct power_told *
tell(struct power *power, struct journal_record *record)
{
	if (power->told_count == power->told_cap) {
		power->told_cap = power->told_cap ? power->told_cap * 2 : 64;
		power->told = realloc(power->told, power->told_cap * sizeof *power->told);
		check(power->told);
	}
	struct power_told *told = &power->told[power->told_count++];
	record->seq = power->next_seq;
	power->next_seq += record->count;
	*told = (struct power_told){
		.record = record, .raw = power_raw_text(power, record), .fate = POWER_UNKNOWN};
	return told;
}

/* 0; a negative errno is the end of the process. */
int
power_commit(struct power *power)
{
	struct journal_record *records[4];
	size_t count = 1 + power_draw(power, 4), first = power->told_count;
	for (size_t i = 0; i < count; i++) {
		records[i] = power_draw(power, 8) ? make_record(power) : make_reserve(power);
		tell(power, records[i]);
	}
	int error = journal_commit(power->journal, records, count);
	for (size_t i = 0; i < count && !error; i++) {
		check(records[i]->error == 0);
		power->told[first + i].fate = POWER_ACKED;
		power_model_take(power, records[i]);
		apply_record(power, records[i]);
		if (records[i]->stream == JOURNAL_RESERVE)
			power->reserved_seq = records[i]->seq + 100;
	}
	power->commits += !error;
	power->failed += error != 0;
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
work_store(struct power *power, struct series_flush *flush, struct series_merge *merge)
{
	if (power->store_fails)
		sim_fail(power->env, SIM_SYNC, 0, -EIO, false);
	struct work work = {
		.unit = {.apply = work_apply, .done = work_done},
		.flush = flush,
		.merge = merge,
		.error = 1,
	};
	store_run(power->store, &work.unit);
	check(work.error <= 0);
	return work.error;
}

void
power_flush(struct power *power)
{
	struct series_partition *partition =
	    flow_partition(power->flow, (uint32_t)power_draw(power, POWER_PARTITIONS));
	struct series_flush *flush = series_partition_freeze(partition, &power->next_part_id);
	if (!flush)
		return;
	int error = series_flush_run(flush);
	if (!error)
		error = work_store(power, flush, NULL);
	series_partition_flushed(partition, flush, error);
	power->flushes += !error;
}

void
power_merge(struct power *power)
{
	struct series_partition *partition =
	    flow_partition(power->flow, (uint32_t)power_draw(power, POWER_PARTITIONS));
	struct series_merge *merge = power_draw(power, 2) ?
		  series_partition_merge_begin(partition, &power->next_part_id) :
		  series_partition_compact_begin(partition, &power->next_part_id);
	if (!merge)
		return;
	int error = series_merge_run(merge);
	if (!error)
		error = work_store(power, NULL, merge);
	series_partition_merged(partition, merge, error);
	power->merges += !error;
}

/* Forgets what every partition has in parts. */
static int
step_trim(struct power *power)
{
	uint64_t seq = UINT64_MAX;
	for (uint32_t p = 0; p < POWER_PARTITIONS; p++)
		seq = MIN(seq, series_partition_cursor(flow_partition(power->flow, p)));
	power->trimmed_seq = MAX(power->trimmed_seq, seq);
	return journal_trim(power->journal, seq);
}

/* What fails is tried again. */
static void
step_seal(struct power *power)
{
	struct journal_seal_options options = {.before_ms = INT64_MAX, .keys = raw_keys};
	power->seals += journal_seal(power->journal, &options) == 1;
}

/* One random step. A negative errno is the end of the process. */
int
power_step(struct power *power)
{
	sim_advance_ms(power->env, (int64_t)power_draw(power, 1000));
	uint64_t what = power_draw(power, 100);
	if (what < 55)
		return power_commit(power);
	if (what < 72)
		power_flush(power);
	else if (what < 82)
		power_merge(power);
	else if (what < 85)
		step_seal(power);
	else if (what < 90)
		journal_prepare(power->journal); /* a commit makes its segment itself then */
	else if (what < 95)
		return step_trim(power);
	else if (what < 98)
		sim_fail(power->env, power_draw(power, 2) ? SIM_WRITE : SIM_SYNC,
		    power_draw(power, 6), power_draw(power, 2) ? -ENOSPC : -EIO, false);
	return 0;
}

/* ── opening ── */

struct parts {
	struct power *power;
	uint64_t ids[1024];
	size_t count;
};

static int
part_attach(void *ctx, const struct store_part *part)
{
	struct parts *parts = ctx;
	check(parts->count < 1024);
	parts->ids[parts->count++] = part->id;
	return series_partition_attach(flow_partition(parts->power->flow, part->partition), part,
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
	const struct power *power = ctx;
	fail_msg("seed %llu: %s: %d", (unsigned long long)power->seed, what, error);
}

/* Of what only test_replay makes: by one lane at a time. */
static void
warned(void *ctx, const char *what, int error)
{
	struct power *power = ctx;
	if (!power->damaged)
		never(ctx, what, error);
	power->warnings++;
}

static int
open_flow(struct power *power)
{
	const struct flow_options options = {
		.env = power->env,
		.journal = power->journal,
		.series_dir = "/data/series",
		.partitions = POWER_PARTITIONS,
		.loops = power->loops,
		.series_max = power->seed % 2 ? POWER_SERIES : 0,
		.fatal = never,
		.warn = warned,
		.ctx = power,
	};
	struct parts parts = {.power = power};
	uint64_t next_id = 1, cursor = 0;
	int error = flow_create(&options, &power->flow);
	for (uint32_t p = 0; p < POWER_PARTITIONS && !error; p++) {
		error = store_cursor_get(power->store, "points", p, &cursor);
		if (!error)
			series_partition_set_cursor(flow_partition(power->flow, p), cursor);
	}
	for (size_t i = 0; i < power->tomb_count && !error; i++)
		error = flow_hide(power->flow, &power->tombs[i]);
	if (!error)
		error = store_parts_load(power->store, part_attach, &parts);
	qsort(parts.ids, parts.count, sizeof parts.ids[0], order_ids);
	if (!error)
		error = series_sweep(power->env, "/data/series", parts.ids, parts.count, &next_id);
	atomic_store(&power->next_part_id, next_id);
	return error ? error : flow_replay(power->flow, NULL, NULL);
}

int
power_open(struct power *power)
{
	const struct journal_options options = {
		.dir = "/data/journal",
		.segment_bytes = 1 << 20,
		.direct = power->seed % 2,
	};
	int error = store_open(power->env, "/data", &power->store);
	if (!error)
		error = journal_open(power->env, &options, NULL, NULL, &power->journal);
	if (!error)
		error = open_flow(power);
	if (!error)
		power->next_seq = journal_next_seq(power->journal);
	return error;
}

void
power_close(struct power *power)
{
	flow_destroy(power->flow);
	journal_close(power->journal);
	store_close(power->store);
	power->flow = NULL;
	power->journal = NULL;
	power->store = NULL;
}

/* ── life ── */

void
power_init(struct power *power, uint64_t seed)
{
	*power = (struct power){
		.env = sim_create(seed), .seed = seed, .loops = 1 + (unsigned)seed % 3};
	check(power->env && judge_create(POWER_PARTITIONS, &power->judge) == 0);
	check(env_mkdir(power->env, "/data") == 0 && env_sync_dir(power->env, "/") == 0);
}

void
power_finish(struct power *power)
{
	for (size_t i = 0; i < power->told_count; i++) {
		journal_record_unref(power->told[i].record);
		free(power->told[i].raw);
	}
	for (size_t i = 0; i < POWER_SERIES; i++)
		free(power->model[i].points);
	free(power->told);
	judge_destroy(power->judge);
	buf_finish(&power->body);
	buf_finish(&power->scratch);
	buf_finish(&power->out);
	env_destroy(power->env);
}

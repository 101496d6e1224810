/*
 * world.c: see world.h. The model keeps every point of every series in a sorted array and answers
 * queries by looking at all of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "env.h"
#include "sim.h"
#include "store.h"
#include "world.h"

static struct series_selector
world_selector(void)
{
	return (struct series_selector){.tenant = SPAN("main"), .metric = SPAN("temp")};
}

struct world *
world_create(uint64_t seed)
{
	struct world *world = calloc(1, sizeof(*world));
	world->doubted = WORLD_SERIES;
	world->env = sim_create(seed);
	for (size_t i = 0; i < WORLD_SERIES; i++) {
		char device[8] = {'d', (char)('a' + i), 0};
		struct series_tag tag = {SPAN("device"), span_str(device)};
		int len = series_key_build(world->keys[i], sizeof(world->keys[i]), SPAN("main"),
		    SPAN("temp"), &tag, 1);
		check(len > 0);
		world->key_lens[i] = (size_t)len;
	}
	check(env_mkdir(world->env, WORLD_DIR) == 0 && env_sync_dir(world->env, "/") == 0);
	return world;
}

void
world_destroy(struct world *world)
{
	world_close(world);
	for (size_t i = 0; i < world->record_count; i++)
		series_batch_destroy(world->records[i].batch);
	for (size_t i = 0; i < WORLD_SERIES; i++)
		free(world->model[i].points);
	free(world->records);
	env_destroy(world->env);
	free(world);
}

uint64_t
world_draw(struct world *world, uint64_t bound)
{
	return sim_random_below(world->env, bound);
}

struct span
world_key(const struct world *world, size_t series)
{
	return span_of(world->keys[series], world->key_lens[series]);
}

/* ── opening ── */

static void
world_damage(void *ctx, const struct series_damage *damage)
{
	struct world *world = ctx;
	world->damages++;
	world->damage = *damage;
}

struct world_parts {
	struct world *world;
	uint64_t ids[4096];
	size_t count;
};

static int
world_attach(void *ctx, const struct store_part *part)
{
	struct world_parts *parts = ctx;
	check(parts->count < ARRAY_COUNT(parts->ids));
	parts->ids[parts->count++] = part->id;
	int error = series_partition_attach(parts->world->partition, part, world_damage,
	    parts->world);
	return error == -EBADMSG || error == -EPROTO ? 0 : error;
}

static size_t
world_series_of(const struct store_tombstone *tombstone)
{
	return (size_t)(tombstone->device.ptr[1] - 'a');
}

struct world_tombs {
	struct world *world;
	uint64_t cursor, part_id;
};

static int
world_take_tombstone(void *ctx, const struct store_tombstone *tombstone)
{
	struct world_tombs *tombs = ctx;
	struct world *world = tombs->world;
	size_t series = world_series_of(tombstone);
	if (series == world->doubted && tombstone->seq == world->doubted_seq)
		world->model[series].count = 0;
	tombs->part_id = MAX(tombs->part_id, tombstone->part_id);
	if (tombstone->series_done_ms && tombstone->seq <= tombs->cursor)
		return 0;
	return series_partition_hide(world->partition, tombstone);
}

static int
world_order_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static int
world_create_partition(struct world *world)
{
	struct series_shelf *shelf = NULL;
	int error = series_partition_create(world->env, WORLD_PARTS_DIR, 0, &world->partition);
	if (error || world->shelf_bytes == 0)
		return error;
	check(series_shelf_create(world->shelf_bytes, &shelf) == 0);
	series_partition_set_shelf(world->partition, shelf);
	series_shelf_unref(shelf);
	return 0;
}

int
world_open(struct world *world)
{
	struct world_parts parts = {.world = world};
	uint64_t cursor, next_id, floor;
	int error = store_open(world->env, WORLD_DIR, &world->store);
	if (error)
		return error;
	error = world_create_partition(world);
	if (error == 0)
		error = store_cursor_get(world->store, "floor", 0, &floor);
	if (error == 0 && floor)
		series_partition_set_floor(world->partition, (int64_t)floor);
	struct world_tombs tombs = {.world = world};
	if (error == 0)
		error = store_cursor_get(world->store, "points", 0, &tombs.cursor);
	if (error == 0)
		error = store_tombstones_load(world->store, world_take_tombstone, &tombs);
	if (error == 0)
		error = store_parts_load(world->store, world_attach, &parts);
	qsort(parts.ids, parts.count, sizeof(parts.ids[0]), world_order_ids);
	if (error == 0)
		error = series_sweep(world->env, WORLD_PARTS_DIR, parts.ids, parts.count, &next_id);
	if (error == 0)
		error = store_cursor_get(world->store, "points", 0, &cursor);
	if (error) {
		world_close(world);
		return error;
	}
	atomic_store(&world->next_id, MAX(next_id, tombs.part_id + 1));
	world->doubted = WORLD_SERIES;
	world->floor_ms = floor ? (int64_t)floor : INT64_MIN;
	series_partition_set_cursor(world->partition, cursor);
	series_partition_set_rollups(world->partition, world->rollups);
	/* From a few records before the cursor on: they must change nothing. */
	for (size_t i = 0; i < world->record_count; i++)
		if (world->records[i].seq + 3 > cursor)
			check(series_partition_apply(world->partition, world->records[i].batch,
			    world->records[i].seq, env_now_ms(world->env)) == 0);
	series_partition_advance(world->partition, world->seq);
	return 0;
}

void
world_close(struct world *world)
{
	series_partition_destroy(world->partition);
	store_close(world->store);
	world->partition = NULL;
	world->store = NULL;
}

/* ── writing ── */

struct series_batch *
world_begin(struct world *world)
{
	struct series_batch *batch;
	(void)world;
	check(series_batch_create(1, &batch) == 0);
	return batch;
}

static void
world_model_put(struct world_points *model, int64_t time_ms, double value)
{
	size_t low = 0, high = model->count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (model->points[mid].time_ms < time_ms)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == model->count || model->points[low].time_ms != time_ms) {
		if (model->count == model->cap) {
			model->cap = model->cap ? model->cap * 2 : 64;
			model->points = realloc(model->points, model->cap * sizeof(*model->points));
		}
		memmove(&model->points[low + 1], &model->points[low],
		    (model->count - low) * sizeof(*model->points));
		model->count++;
	}
	model->points[low] = (struct world_point){time_ms, value};
}

void
world_add(struct world *world, struct series_batch *batch, size_t series, int64_t time_ms,
    double value)
{
	struct span key = world_key(world, series);
	check(series_batch_add(batch, 0, series_key_hash(key), key, time_ms, value) == 0);
	world_model_put(&world->model[series], time_ms, value);
}

void
world_end(struct world *world, struct series_batch *batch)
{
	if (world->record_count == world->record_cap) {
		world->record_cap = world->record_cap ? world->record_cap * 2 : 64;
		world->records = realloc(world->records,
		    world->record_cap * sizeof(*world->records));
	}
	world->seq += 1 + world_draw(world, 3);
	world->records[world->record_count++] = (struct world_record){world->seq, batch};
	check(series_partition_apply(world->partition, batch, world->seq,
	    env_now_ms(world->env)) == 0);
}

/* ── comparing ── */

struct world_reader {
	struct world *world;
	const struct series_query *query;
	size_t series;             /* the one that is told; WORLD_SERIES: none yet */
	size_t next_series;
	size_t at;                 /* raw: the model's next point */
	uint64_t told;
	bool compare;
	struct world_point *rows;  /* aggregated: kept by column */
	int64_t next_ms;
	bool any;
	double before[SERIES_AGG_COUNT];
	struct buf *kept;          /* every row that is told, byte for byte; NULL: not wanted */
};

static bool
same_bits(double a, double b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

static bool
nearly(double a, double b)
{
	if (isnan(a) || isnan(b) || isinf(a) || isinf(b))
		return (isnan(a) && isnan(b)) || a == b;
	return fabs(a - b) <= 1e-9 * fmax(fmax(fabs(a), fabs(b)), 1e-3);
}

static size_t
model_lower(const struct world_points *model, int64_t time_ms)
{
	size_t at = 0;
	while (at < model->count && model->points[at].time_ms < time_ms)
		at++;
	return at;
}

/* Where what is told begins: aggregates reach below the floor, points do not. */
static int64_t
reader_from(const struct world_reader *reader)
{
	const struct series_query *query = reader->query;
	bool points = !query->agg_count || query->points_only;
	return points ? MAX(query->from_ms, reader->world->floor_ms) : query->from_ms;
}

static int
reader_begin(void *ctx, struct span key)
{
	struct world_reader *reader = ctx;
	struct world *world = reader->world;
	size_t series = reader->next_series;
	for (; series < WORLD_SERIES && !span_eq(world_key(world, series), key); series++)
		if (reader->compare) { /* one left out has nothing in the range */
			const struct world_points *model = &world->model[series];
			size_t at = model_lower(model, reader_from(reader));
			assert_true(at == model->count ||
			    model->points[at].time_ms >= reader->query->to_ms);
		}
	assert_true(series < WORLD_SERIES);
	reader->series = series;
	reader->next_series = series + 1;
	reader->at = model_lower(&world->model[series], reader_from(reader));
	reader->told = 0;
	reader->any = false;
	int64_t step = reader->query->step_ms;
	reader->next_ms = reader->query->from_ms;
	if (step)
		reader->next_ms -= reader->next_ms % step;
	return 0;
}

static int
reader_raw_rows(void *ctx, const struct series_rows *rows)
{
	struct world_reader *reader = ctx;
	const struct world_points *model = &reader->world->model[reader->series];
	reader->told += rows->count;
	assert_true(rows->count > 0);
	for (size_t i = 0; i < rows->count && reader->compare; i++, reader->at++) {
		assert_true(reader->at < model->count);
		assert_int_equal(rows->times_ms[i], model->points[reader->at].time_ms);
		assert_true(rows->times_ms[i] < reader->query->to_ms);
		assert_true(same_bits(rows->values[i], model->points[reader->at].value));
	}
	return 0;
}

static int
reader_raw_end(void *ctx)
{
	struct world_reader *reader = ctx;
	const struct world_points *model = &reader->world->model[reader->series];
	if (!reader->compare)
		return 0;
	assert_true(reader->told > 0);
	if (reader->query->limit && reader->told == reader->query->limit)
		return 0;
	assert_true(reader->at == model->count ||
	    model->points[reader->at].time_ms >= reader->query->to_ms);
	return 0;
}

static int
order_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double
model_percentile(const double *sorted, size_t count, double share)
{
	if (count == 0)
		return NAN;
	double place = share * (double)(count - 1);
	size_t low = (size_t)place;
	if (low + 1 >= count || sorted[low] == sorted[low + 1] || place == (double)low)
		return sorted[low];
	return sorted[low] + (place - (double)low) * (sorted[low + 1] - sorted[low]);
}

/* All aggregates of the model's points in [from, to); false when there are none. */
static bool
model_aggregate(const struct world_points *model, int64_t from_ms, int64_t to_ms, double *ret)
{
	size_t first = model_lower(model, from_ms), last = model_lower(model, to_ms);
	if (first == last)
		return false;
	double sum = 0, *sorted = malloc((last - first) * sizeof(double));
	size_t n = 0;
	for (size_t i = first; i < last; i++) {
		sum += model->points[i].value;
		if (!isnan(model->points[i].value))
			sorted[n++] = model->points[i].value;
	}
	qsort(sorted, n, sizeof(*sorted), order_doubles);
	ret[SERIES_AVG] = sum / (double)(last - first);
	ret[SERIES_MIN] = n ? sorted[0] : NAN;
	ret[SERIES_MAX] = n ? sorted[n - 1] : NAN;
	ret[SERIES_COUNT] = (double)(last - first);
	ret[SERIES_SUM] = sum;
	ret[SERIES_FIRST] = model->points[first].value;
	ret[SERIES_LAST] = model->points[last - 1].value;
	ret[SERIES_P50] = model_percentile(sorted, n, 0.5);
	ret[SERIES_P99] = model_percentile(sorted, n, 0.99);
	free(sorted);
	return true;
}

/* The model's next row, or false when there is no more. */
static bool
reader_next_row(struct world_reader *reader, int64_t *ret_ms, double *ret, bool *ret_empty)
{
	const struct series_query *query = reader->query;
	const struct world_points *model = &reader->world->model[reader->series];
	while (reader->next_ms < query->to_ms) {
		int64_t start = reader->next_ms;
		int64_t end = query->step_ms ? start + query->step_ms : query->to_ms;
		reader->next_ms = end;
		bool some = model_aggregate(model, MAX(start, query->from_ms),
		    MIN(end, query->to_ms), ret);
		*ret_ms = start;
		*ret_empty = false;
		if (some) {
			memcpy(reader->before, ret, sizeof(reader->before));
			reader->any = true;
			return true;
		}
		if (query->fill == SERIES_FILL_PREVIOUS && reader->any) {
			memcpy(ret, reader->before, sizeof(reader->before));
			return true;
		}
		*ret_empty = true;
		if (query->fill != SERIES_FILL_NONE)
			return true;
	}
	return false;
}

static int
reader_agg_rows(void *ctx, const struct series_rows *rows)
{
	struct world_reader *reader = ctx;
	const struct series_query *query = reader->query;
	if (reader->kept) {
		buf_append(reader->kept, rows->times_ms, rows->count * sizeof(int64_t));
		buf_append(reader->kept, rows->values,
		    rows->count * query->agg_count * sizeof(double));
	}
	for (size_t i = 0; i < rows->count; i++) {
		int64_t start;
		double values[SERIES_AGG_COUNT];
		bool empty;
		assert_true(reader_next_row(reader, &start, values, &empty));
		assert_int_equal(rows->times_ms[i], start);
		assert_int_equal(rows->empty ? rows->empty[i] : false, empty);
		for (size_t k = 0; k < query->agg_count; k++) {
			double told = rows->values[i * query->agg_count + k];
			assert_true(empty ? isnan(told) : nearly(told, values[query->aggs[k]]));
		}
	}
	reader->told += rows->count;
	return 0;
}

static int
reader_agg_end(void *ctx)
{
	struct world_reader *reader = ctx;
	int64_t start;
	double values[SERIES_AGG_COUNT];
	bool empty;
	if (reader->query->limit && reader->told == reader->query->limit)
		return 0;
	assert_false(reader_next_row(reader, &start, values, &empty));
	return 0;
}

static void
reader_damage(void *ctx, const struct series_damage *damage)
{
	world_damage(((struct world_reader *)ctx)->world, damage);
}

static int
world_run_pieces(struct world *world, const struct series_query *query,
    struct series_snapshot *snapshot, const struct series_query_sink *sink,
    struct world_reader *reader)
{
	struct span keys[WORLD_SERIES + 1] = {{0}}, from = SPAN("");
	struct series_reading *reading;
	size_t cuts = series_snapshots_cut(&snapshot, 1, keys, world_draw(world, WORLD_SERIES + 1));
	int error = series_reading_create(query, &snapshot, 1, sink, reader, &reading);
	if (error)
		return error;
	for (size_t i = 0; i <= cuts && error == 0; i++) {
		error = series_reading_run(reading, from, i < cuts ? keys[i] : SPAN(""));
		from = i < cuts ? keys[i] : from;
	}
	series_reading_destroy(reading);
	return error;
}

static int
world_run(struct world *world, struct world_reader *reader, const struct series_query *query)
{
	struct series_query_sink sink = {
		.series_begin = reader_begin,
		.rows = query->agg_count ? reader_agg_rows : reader_raw_rows,
		.series_end = query->agg_count ? reader_agg_end : reader_raw_end,
		.damage = reader_damage,
	};
	struct series_snapshot *snapshot;
	struct series_selector selector = world_selector();
	int error = series_partition_snapshot(world->partition, &selector, query->from_ms,
	    query->to_ms, WORLD_SERIES, &snapshot);
	if (error)
		return error;
	reader->world = world;
	reader->query = query;
	if (world_draw(world, 2))
		error = series_query_run(query, &snapshot, 1, &sink, reader);
	else
		error = world_run_pieces(world, query, snapshot, &sink, reader);
	series_snapshot_unref(snapshot);
	return error;
}

static void
world_compare_told(struct world *world, const struct series_query *query, struct buf *kept)
{
	struct world_reader reader = {.world = world, .query = query, .compare = true,
	    .kept = kept};
	assert_int_equal(world_run(world, &reader, query), 0);
	for (size_t series = reader.next_series; series < WORLD_SERIES; series++) {
		const struct world_points *model = &world->model[series];
		size_t at = model_lower(model, reader_from(&reader));
		assert_true(at == model->count || model->points[at].time_ms >= query->to_ms);
	}
}

/* What a loop gets that may not wait: the same, or nothing of use. */
static void
world_compare_at_once(struct world *world, const struct series_query *query, struct span told)
{
	struct buf kept = {0};
	struct series_query at_once = *query;
	at_once.at_once = 1 + world_draw(world, 20000);
	struct world_reader reader = {.world = world, .query = &at_once, .compare = true,
	    .kept = &kept};
	int error = world_run(world, &reader, &at_once);
	assert_true(error == 0 || error == -EAGAIN);
	assert_true(error || span_eq(buf_span(&kept), told));
	world->asked_at_once++;
	world->answered_at_once += error == 0;
	buf_finish(&kept);
}

void
world_compare_query(struct world *world, const struct series_query *query)
{
	struct buf kept = {0}, points = {0};
	struct series_query other = *query;
	other.points_only = true;
	world_compare_told(world, query, &kept);
	world_compare_at_once(world, query, buf_span(&kept));
	if (query->agg_count && query->from_ms >= world->floor_ms) {
		world_compare_told(world, &other, &points);
		assert_true(span_eq(buf_span(&kept), buf_span(&points)));
	}
	buf_finish(&kept);
	buf_finish(&points);
}

void
world_compare_raw(struct world *world, int64_t from_ms, int64_t to_ms, uint64_t limit)
{
	struct series_query query = {.from_ms = from_ms, .to_ms = to_ms, .limit = limit};
	world_compare_query(world, &query);
}

static int
true_begin(void *ctx, struct span key)
{
	struct world_reader *reader = ctx;
	for (reader->series = 0; !span_eq(world_key(reader->world, reader->series), key);)
		assert_true(++reader->series < WORLD_SERIES);
	return 0;
}

static int
true_rows(void *ctx, const struct series_rows *rows)
{
	struct world_reader *reader = ctx;
	const struct world_points *model = &reader->world->model[reader->series];
	for (size_t i = 0; i < rows->count; i++) {
		size_t at = model_lower(model, rows->times_ms[i]);
		assert_true(at < model->count);
		assert_int_equal(model->points[at].time_ms, rows->times_ms[i]);
		assert_true(same_bits(model->points[at].value, rows->values[i]));
	}
	reader->told += rows->count;
	return 0;
}

static int
true_end(void *ctx)
{
	(void)ctx;
	return 0;
}

size_t
world_count_true_points(struct world *world)
{
	struct series_query query = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
	struct series_query_sink sink = {true_begin, true_rows, true_end, reader_damage};
	struct series_selector selector = world_selector();
	struct series_snapshot *snapshot;
	struct world_reader reader = {.world = world};
	assert_int_equal(series_partition_snapshot(world->partition, &selector, INT64_MIN,
	    INT64_MAX, WORLD_SERIES, &snapshot), 0);
	assert_int_equal(series_query_run(&query, &snapshot, 1, &sink, &reader), 0);
	series_snapshot_unref(snapshot);
	return reader.told;
}

size_t
world_model_count(const struct world *world)
{
	size_t count = 0;
	for (size_t i = 0; i < WORLD_SERIES; i++)
		count += world->model[i].count;
	return count;
}

struct world_rows {
	struct store_part *parts;
	size_t count, room;
};

static int
world_take_row(void *ctx, const struct store_part *part)
{
	struct world_rows *rows = ctx;
	check(rows->count < rows->room);
	rows->parts[rows->count++] = *part;
	return 0;
}

size_t
world_load_parts(struct world *world, struct store_part *parts, size_t room)
{
	struct world_rows rows = {parts, 0, room};
	check(store_parts_load(world->store, world_take_row, &rows) == 0);
	return rows.count;
}

int
world_reattach(struct world *world, const struct store_part *parts, size_t count)
{
	int first_error = 0;
	series_partition_destroy(world->partition);
	check(world_create_partition(world) == 0);
	for (size_t i = 0; i < count; i++) {
		int error = series_partition_attach(world->partition, &parts[i], world_damage,
		    world);
		first_error = first_error ? first_error : error;
	}
	series_partition_set_cursor(world->partition, world->seq);
	return first_error;
}

static int
latest_each(void *ctx, const struct series_latest *latest)
{
	struct world_reader *reader = ctx;
	struct world *world = reader->world;
	size_t series = reader->next_series;
	while (series < WORLD_SERIES && !span_eq(world_key(world, series), latest->key))
		assert_int_equal(world->model[series++].count, 0);
	assert_true(series < WORLD_SERIES);
	const struct world_points *model = &world->model[series];
	assert_true(model->count > 0);
	assert_int_equal(latest->first_ms, model->points[0].time_ms);
	assert_int_equal(latest->last_ms, model->points[model->count - 1].time_ms);
	assert_true(same_bits(latest->last_value, model->points[model->count - 1].value));
	reader->next_series = series + 1;
	return 0;
}

void
world_compare_latest(struct world *world)
{
	struct world_reader reader = {.world = world};
	struct series_selector selector = world_selector();
	assert_int_equal(series_partition_latest(world->partition, &selector, latest_each, &reader),
	    0);
	for (; reader.next_series < WORLD_SERIES; reader.next_series++)
		assert_int_equal(world->model[reader.next_series].count, 0);
}

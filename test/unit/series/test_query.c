/* Selectors, order over partitions, limits, clients that leave, and what buckets say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "query.h"
#include "series.h"
#include "sim.h"

#define PARTITIONS 3
#define ROWS_MAX 4096

struct table {
	struct series_partition *partitions[PARTITIONS];
	struct env *env;
	uint64_t seq;
	/* what a query told */
	char text[8192];           /* keys, ';' between */
	size_t begun, ended, rows, columns;
	int64_t times_ms[ROWS_MAX];
	double values[ROWS_MAX];
	bool empty[ROWS_MAX];
	size_t stop_after;         /* rows; 0: never */
};

static int
set_up(void **state)
{
	struct table *t = calloc(1, sizeof(*t));
	t->env = sim_create(1);
	for (uint32_t i = 0; i < PARTITIONS; i++)
		check(series_partition_create(t->env, "/series", i, &t->partitions[i]) == 0);
	*state = t;
	return 0;
}

static int
tear_down(void **state)
{
	struct table *t = *state;
	for (uint32_t i = 0; i < PARTITIONS; i++)
		series_partition_destroy(t->partitions[i]);
	env_destroy(t->env);
	free(t);
	return 0;
}

static struct span
make_key(char *key, size_t size, const char *tenant, const char *metric, const char *device,
    const char *place)
{
	struct series_tag tags[2];
	size_t count = 0;
	if (device)
		tags[count++] = (struct series_tag){SPAN("device"), span_str(device)};
	if (place)
		tags[count++] = (struct series_tag){SPAN("place"), span_str(place)};
	int len = series_key_build(key, size, span_str(tenant), span_str(metric), tags, count);
	check(len > 0);
	return span_of(key, (size_t)len);
}

/* `points` points from time 0 on, 1 s apart, of value `value` + their number. */
static void
put(struct table *t, uint32_t partition, struct span key, size_t points, double value)
{
	struct series_batch *batch;
	check(series_batch_create(PARTITIONS, &batch) == 0);
	for (size_t i = 0; i < points; i++)
		check(series_batch_add(batch, partition, series_key_hash(key), key,
		    (int64_t)i * 1000, value + (double)i) == 0);
	t->seq++;
	for (uint32_t i = 0; i < PARTITIONS; i++)
		check(series_partition_apply(t->partitions[i], batch, t->seq, 0) == 0);
	series_batch_destroy(batch);
}

static void
put_values(struct table *t, struct span key, const double *values, size_t count, int64_t step_ms)
{
	struct series_batch *batch;
	check(series_batch_create(PARTITIONS, &batch) == 0);
	for (size_t i = 0; i < count; i++)
		check(series_batch_add(batch, 0, series_key_hash(key), key, (int64_t)i * step_ms,
		    values[i]) == 0);
	check(series_partition_apply(t->partitions[0], batch, ++t->seq, 0) == 0);
	series_batch_destroy(batch);
}

static int
table_begin(void *ctx, struct span key)
{
	struct table *t = ctx;
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t count = SERIES_TAGS_MAX, len = strlen(t->text);
	assert_int_equal(t->begun, t->ended);
	t->begun++;
	assert_true(series_key_split(key, &tenant, &metric, tags, &count));
	len += (size_t)snprintf(t->text + len, sizeof(t->text) - len, "%.*s", SPAN_ARG(metric));
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(t->text + len, sizeof(t->text) - len, ",%.*s",
		    SPAN_ARG(tags[i].value));
	snprintf(t->text + len, sizeof(t->text) - len, ";");
	return 0;
}

static int
table_rows(void *ctx, const struct series_rows *rows)
{
	struct table *t = ctx;
	for (size_t i = 0; i < rows->count; i++, t->rows++) {
		assert_true(t->rows < ROWS_MAX / 4);
		t->times_ms[t->rows] = rows->times_ms[i];
		t->empty[t->rows] = rows->empty && rows->empty[i];
		memcpy(&t->values[t->rows * t->columns], &rows->values[i * t->columns],
		    t->columns * sizeof(double));
	}
	return t->stop_after && t->rows >= t->stop_after ? -ECANCELED : 0;
}

static int
table_end(void *ctx)
{
	((struct table *)ctx)->ended++;
	return 0;
}

static int
ask(struct table *t, const struct series_selector *selector, const struct series_query *query)
{
	struct series_query_sink sink = {table_begin, table_rows, table_end, NULL};
	struct series_snapshot *snapshots[PARTITIONS];
	for (uint32_t i = 0; i < PARTITIONS; i++)
		check(series_partition_snapshot(t->partitions[i], selector, query->from_ms,
		    query->to_ms, 1000, &snapshots[i]) == 0);
	t->text[0] = 0;
	t->begun = t->ended = t->rows = 0;
	t->columns = MAX(query->agg_count, 1);
	int error = series_query_run(query, snapshots, PARTITIONS, &sink, t);
	for (uint32_t i = 0; i < PARTITIONS; i++)
		series_snapshot_unref(snapshots[i]);
	return error;
}

static void
put_fleet(struct table *t)
{
	char key[256];
	put(t, 0, make_key(key, sizeof(key), "main", "temp", "d3", NULL), 5, 30);
	put(t, 1, make_key(key, sizeof(key), "main", "temp", "d1", "hall"), 5, 10);
	put(t, 2, make_key(key, sizeof(key), "main", "temp", "d2", "yard"), 5, 20);
	put(t, 0, make_key(key, sizeof(key), "main", "temp", "d4", "hall"), 5, 40);
	put(t, 1, make_key(key, sizeof(key), "main", "batt", "d1", NULL), 5, 50);
	put(t, 2, make_key(key, sizeof(key), "other", "temp", "d1", NULL), 5, 60);
}

static void
selector_finds_by_tenant_metric_and_tags_in_order_of_keys(void **state)
{
	struct table *t = *state;
	put_fleet(t);
	struct series_query query = {.from_ms = 0, .to_ms = 10000};
	struct series_tag hall = {SPAN("place"), SPAN("hall")}, none = {SPAN("place"), SPAN("")};
	struct series_tag both[] = {{SPAN("device"), SPAN("d4")}, {SPAN("place"), SPAN("hall")}};
	struct series_selector selector = {.tenant = SPAN("main"), .metric = SPAN("temp")};
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_string_equal(t->text, "temp,d1,hall;temp,d2,yard;temp,d3;temp,d4,hall;");
	assert_int_equal(t->ended, 4);
	selector.metric = SPAN("");
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_string_equal(t->text, "batt,d1;temp,d1,hall;temp,d2,yard;temp,d3;temp,d4,hall;");
	selector.tags = &hall;
	selector.tag_count = 1;
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_string_equal(t->text, "temp,d1,hall;temp,d4,hall;");
	selector.tags = &none;
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_string_equal(t->text, "batt,d1;temp,d3;");
	selector.tags = both;
	selector.tag_count = 2;
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_string_equal(t->text, "temp,d4,hall;");
	assert_true(t->values[0] == 40 && t->rows == 5);
	selector.tenant = SPAN("nobody");
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_string_equal(t->text, "");
	struct series_snapshot *snapshot;
	selector = (struct series_selector){.tenant = SPAN("main")};
	assert_int_equal(series_partition_snapshot(t->partitions[0], &selector, 0, 1, 1, &snapshot),
	    -E2BIG);
}

static void
selector_with_devices_lets_only_those_through(void **state)
{
	struct table *t = *state;
	struct series_query query = {.from_ms = 0, .to_ms = 10000};
	struct span ids[40] = {SPAN("d1"), SPAN("d4")};
	char texts[40][16], key[256];
	struct series_selector selector = {.tenant = SPAN("main"), .devices = ids};
	put_fleet(t);
	put(t, 1, make_key(key, sizeof(key), "main", "temp", NULL, "hall"), 5, 70);
	for (int i = 2; i < 40; i++) {
		snprintf(texts[i], sizeof(texts[i]), "e%02d", i);
		ids[i] = span_str(texts[i]);
	}
	/* Few are looked for in the signatures, many in the keys only. */
	for (selector.device_count = 2; selector.device_count <= 40; selector.device_count += 19) {
		selector.metric = SPAN("");
		assert_int_equal(ask(t, &selector, &query), 0);
		assert_string_equal(t->text, "batt,d1;temp,d1,hall;temp,d4,hall;");
		selector.metric = SPAN("temp");
		assert_int_equal(ask(t, &selector, &query), 0);
		assert_string_equal(t->text, "temp,d1,hall;temp,d4,hall;");
	}
	selector.device_count = 0;
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_string_equal(t->text, "");
}

static void
client_that_leaves_stops_the_query(void **state)
{
	struct table *t = *state;
	put_fleet(t);
	struct series_query query = {.from_ms = 0, .to_ms = 10000};
	struct series_selector selector = {.tenant = SPAN("main")};
	t->stop_after = 7;
	assert_int_equal(ask(t, &selector, &query), -ECANCELED);
	assert_int_equal(t->begun, 2);
	assert_int_equal(t->ended, 1);
	query.step_ms = 1000;
	assert_int_equal(ask(t, &selector, &query), -ECANCELED);
	t->stop_after = 0;
}

static void
range_is_inclusive_then_exclusive_and_limit_counts_per_series(void **state)
{
	struct table *t = *state;
	put_fleet(t);
	struct series_query query = {.from_ms = 1000, .to_ms = 3000};
	struct series_selector selector = {.tenant = SPAN("main"), .metric = SPAN("temp")};
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_int_equal(t->rows, 8);
	assert_int_equal(t->times_ms[0], 1000);
	assert_int_equal(t->times_ms[1], 2000);
	query.limit = 1;
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_int_equal(t->rows, 4);
	query.to_ms = 1000; /* nothing: no series is told */
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_int_equal(t->begun, 0);
	query = (struct series_query){.from_ms = 50000, .to_ms = 90000, .step_ms = 1000,
	    .fill = SERIES_FILL_NULL};
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_int_equal(t->begun, 0);
}

static void
bucket_tells_percentiles_by_linear_interpolation(void **state)
{
	struct table *t = *state;
	char key[256];
	const double values[] = {40, 10, 30, 20, NAN};
	put_values(t, make_key(key, sizeof(key), "main", "m", NULL, NULL), values, 5, 10);
	struct series_query query = {
		.from_ms = 0,
		.to_ms = 100,
		.aggs = {SERIES_P50, SERIES_P99, SERIES_COUNT, SERIES_MIN, SERIES_MAX, SERIES_SUM,
		    SERIES_FIRST, SERIES_LAST},
		.agg_count = 8,
	};
	struct series_selector selector = {.tenant = SPAN("main"), .metric = SPAN("m")};
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_int_equal(t->rows, 1);
	assert_int_equal(t->times_ms[0], 0);
	assert_true(t->values[0] == 25);
	assert_true(fabs(t->values[1] - 39.7) < 1e-12);
	assert_true(t->values[2] == 5 && t->values[3] == 10 && t->values[4] == 40);
	assert_true(isnan(t->values[5]));
	assert_true(t->values[6] == 40 && isnan(t->values[7]));
}

static void
percentiles_of_many_equal_or_sorted_values_are_right(void **state)
{
	struct table *t = *state;
	char key[256];
	double *values = malloc(20000 * sizeof(*values));
	struct series_query query = {.from_ms = 0, .to_ms = 1 << 30,
	    .aggs = {SERIES_P50, SERIES_P99}, .agg_count = 2};
	struct series_selector selector = {.tenant = SPAN("main")};
	static const char *const metrics[] = {"up", "down", "equal", "saw"};
	for (size_t kind = 0; kind < ARRAY_COUNT(metrics); kind++) {
		for (size_t i = 0; i < 20000; i++) {
			const double of[] = {(double)i, 19999.0 - (double)i, 7, (double)(i % 2)};
			values[i] = of[kind];
		}
		put_values(t, make_key(key, sizeof(key), "main", metrics[kind], NULL, NULL),
		    values, 20000, 1);
		selector.metric = span_str(metrics[kind]);
		assert_int_equal(ask(t, &selector, &query), 0);
		const double halves[] = {9999.5, 9999.5, 7, 0.5};
		const double most[] = {19799.01, 19799.01, 7, 1};
		assert_true(fabs(t->values[0] - halves[kind]) < 1e-9);
		assert_true(fabs(t->values[1] - most[kind]) < 1e-9);
	}
	free(values);
}

static void
buckets_start_at_multiples_of_the_step_also_before_the_epoch(void **state)
{
	struct table *t = *state;
	char buffer[256];
	struct span key = make_key(buffer, sizeof(buffer), "main", "old", NULL, NULL);
	struct series_batch *batch;
	check(series_batch_create(PARTITIONS, &batch) == 0);
	for (int64_t at = -2500; at <= 2500; at += 500)
		check(series_batch_add(batch, 0, series_key_hash(key), key, at, 1) == 0);
	check(series_partition_apply(t->partitions[0], batch, ++t->seq, 0) == 0);
	series_batch_destroy(batch);
	struct series_query query = {.from_ms = -2500, .to_ms = 2001, .step_ms = 1000,
	    .aggs = {SERIES_COUNT}, .agg_count = 1};
	struct series_selector selector = {.tenant = SPAN("main"), .metric = SPAN("old")};
	assert_int_equal(ask(t, &selector, &query), 0);
	const int64_t starts[] = {-3000, -2000, -1000, 0, 1000, 2000};
	const double counts[] = {1, 2, 2, 2, 2, 1};
	assert_int_equal(t->rows, ARRAY_COUNT(starts));
	for (size_t i = 0; i < t->rows; i++) {
		assert_int_equal(t->times_ms[i], starts[i]);
		assert_true(t->values[i] == counts[i]);
	}
}

static void
fill_tells_every_bucket_of_the_range(void **state)
{
	struct table *t = *state;
	char key[256];
	const double values[] = {1, 2};
	put_values(t, make_key(key, sizeof(key), "main", "m", NULL, NULL), values, 2, 3000);
	struct series_query query = {.from_ms = -1000, .to_ms = 6000, .step_ms = 1000,
	    .aggs = {SERIES_AVG}, .agg_count = 1, .fill = SERIES_FILL_NULL};
	struct series_selector selector = {.tenant = SPAN("main"), .metric = SPAN("m")};
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_int_equal(t->rows, 7);
	for (size_t i = 0; i < 7; i++) {
		assert_int_equal(t->times_ms[i], ((int64_t)i - 1) * 1000);
		assert_int_equal(t->empty[i], i != 1 && i != 4);
		assert_true(isnan(t->values[i]) == t->empty[i]);
	}
	query.fill = SERIES_FILL_PREVIOUS;
	assert_int_equal(ask(t, &selector, &query), 0);
	const double filled[] = {0, 1, 1, 1, 2, 2, 2};
	for (size_t i = 1; i < 7; i++)
		assert_true(!t->empty[i] && t->values[i] == filled[i]);
	assert_true(t->empty[0]);
	query.limit = 3;
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_int_equal(t->rows, 3);
	query.limit = 0;
	query.fill = SERIES_FILL_NONE;
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_int_equal(t->rows, 2);
}

static void
record_below_one_applied_changes_nothing(void **state)
{
	struct table *t = *state;
	char key[256];
	struct span k = make_key(key, sizeof(key), "main", "m", NULL, NULL);
	const double first[] = {1}, second[] = {2};
	put_values(t, k, first, 1, 1);
	t->seq -= 1;
	put_values(t, k, second, 1, 1); /* the same seq again */
	struct series_query query = {.from_ms = 0, .to_ms = 1};
	struct series_selector selector = {.tenant = SPAN("main"), .metric = SPAN("m")};
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_true(t->rows == 1 && t->values[0] == 1);
	put_values(t, k, second, 1, 1); /* a later one corrects */
	assert_int_equal(ask(t, &selector, &query), 0);
	assert_true(t->rows == 1 && t->values[0] == 2);
	struct series_partition_stats stats;
	put_values(t, k, second, 1, 1); /* and its repetition costs nothing */
	series_partition_stats(t->partitions[0], &stats);
	assert_int_equal(stats.head_points, 2);
}

struct walk {
	char before[64];
	size_t before_len, count;
};

static int
walk_each(void *ctx, const struct series_latest *latest)
{
	struct walk *walk = ctx;
	struct span before = span_of(walk->before, walk->before_len);
	assert_true(walk->count == 0 || span_cmp(before, latest->key) < 0);
	assert_true(latest->key.len <= sizeof(walk->before));
	memcpy(walk->before, latest->key.ptr, latest->key.len);
	walk->before_len = latest->key.len;
	walk->count++;
	return 0;
}

/* So many that they are picked out of a kept order, which must take new ones in. */
static void
thousands_of_series_are_told_in_order_of_keys(void **state)
{
	struct table *t = *state;
	struct series_selector selector = {.tenant = SPAN("main"), .metric = SPAN("temp")};
	for (size_t round = 1; round <= 3; round++) {
		struct series_batch *batch;
		check(series_batch_create(PARTITIONS, &batch) == 0);
		for (size_t i = 0; i < 2000; i++) {
			char key[64], device[16];
			snprintf(device, sizeof(device), "%u", (unsigned)((i * 7919 + round) * 31));
			struct span k = make_key(key, sizeof(key), "main", i % 4 ? "temp" : "batt",
			    device, NULL);
			check(series_batch_add(batch, 0, series_key_hash(k), k, 5, 1) == 0);
		}
		check(series_partition_apply(t->partitions[0], batch, ++t->seq, 0) == 0);
		series_batch_destroy(batch);
		struct walk walk = {.count = 0};
		assert_int_equal(series_partition_latest(t->partitions[0], &selector, walk_each,
		    &walk), 0);
		assert_int_equal(walk.count, round * 1500);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    selector_finds_by_tenant_metric_and_tags_in_order_of_keys, set_up, tear_down),
		cmocka_unit_test_setup_teardown(selector_with_devices_lets_only_those_through,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(client_that_leaves_stops_the_query, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    range_is_inclusive_then_exclusive_and_limit_counts_per_series, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(bucket_tells_percentiles_by_linear_interpolation,
		    set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    percentiles_of_many_equal_or_sorted_values_are_right, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    buckets_start_at_multiples_of_the_step_also_before_the_epoch, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(fill_tells_every_bucket_of_the_range, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(record_below_one_applied_changes_nothing, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(thousands_of_series_are_told_in_order_of_keys,
		    set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Times that are too far off, points that are not kept, and more series than may be. */
#include "judging_cases.h"

#include <errno.h>
#include <stdio.h>

#include "census.h"
#include "world.h"

static int
setup(void **state)
{
	struct judging *judging = calloc(1, sizeof *judging);
	check(judging);
	judging_init(judging);
	*state = judging;
	return 0;
}

static int
teardown(void **state)
{
	judging_finish(*state);
	free(*state);
	return 0;
}

static struct census *
limits_create(struct census_options options)
{
	struct census *census;
	assert_int_equal(census_create(&options, &census), 0);
	return census;
}

/* An hour ahead, a day back, kept for ten hours. */
static void
set_times(struct judging *judging)
{
	struct judge_limits limits = {
		.future_ms = 3600000, .past_ms = 86400000, .kept_ms = 36000000};
	judge_set_limits(judging->judge, &limits);
}

static void
lines_with_times_too_far_off_are_rejected(void **state)
{
	static const struct judging_case cases[] = {
		{"the last that may be", "w a=1 1700003600000", "w.a 1700003600000 1\n", "", NULL},
		{"a millisecond more", "w a=1 1700003600001", "", "0 -1 out_of_time\n", NULL},
		{"the oldest kept", "w a=1 1699964000000", "w.a 1699964000000 1\n", "", NULL},
		{"a millisecond older", "w a=1 1699963999999", "", "0 -1 too_old\n", NULL},
		{"ancient", "w a=1 1699913599999", "", "0 -1 out_of_time\n", NULL},
		{"others go on", "w a=1 1\nw a=2 1700000000000\nw a=3",
		    "w.a 1700000000000 2\nw.a 1700000000000 3\n", "0 -1 out_of_time\n", NULL},
	};
	set_times(*state);
	judging_check_cases(*state, JOURNAL_FORMAT_LINE, LP_MS, cases, ARRAY_COUNT(cases));
}

static void
readings_with_times_too_far_off_are_rejected(void **state)
{
	static const struct judging_case cases[] = {
		{"two of three",
		    "[{\"device\":{\"id\":1},\"readings\":[{\"time\":1700003600001,\"t\":1},"
		    "{\"time\":1699963999999,\"t\":2},{\"time\":1700000000000,\"t\":3}]}]",
		    "t{device=1} 1700000000000 3\n", "0 0 out_of_time\n0 1 too_old\n", NULL},
	};
	set_times(*state);
	judging_check_cases(*state, JOURNAL_FORMAT_JSON, LP_MS, cases, ARRAY_COUNT(cases));
}

/* Of one partition all before 1000 is gone, of another before 3000. */
static void
points_below_the_floor_of_their_partition_are_rejected(void **state)
{
	static const struct judging_case lines[] = {
		{"the first kept", "w,device=a v=1 1000", "w.v{device=a} 1000 1\n", "", NULL},
		{"a millisecond older, its names known", "w,device=a v=1 999", "",
		    "0 -1 too_old\n", NULL},
		{"a millisecond older, its names new", "w,device=a u=1 999", "",
		    "0 -1 too_old\n", NULL},
		{"elsewhere nothing is gone", "w,device=e v=1 1\nw,device=e v=2 2",
		    "w.v{device=e} 1 1\nw.v{device=e} 2 2\n", "", NULL},
		{"others of the body go on", "w,device=d v=1 2999\nw,device=d v=1 3000",
		    "w.v{device=d} 3000 1\n", "0 -1 too_old\n", NULL},
	};
	static const struct judging_case items[] = {
		{"one of two readings",
		    "[{\"device\":{\"id\":\"d\"},\"readings\":[{\"time\":2999,\"t\":1},"
		    "{\"time\":3000,\"t\":2}]}]",
		    "t{device=d} 3000 2\n", "0 0 too_old\n", NULL},
		{"readings before their device",
		    "[{\"readings\":[{\"time\":999,\"t\":1}],\"device\":{\"id\":\"a\"}},"
		    "{\"readings\":[{\"time\":999,\"t\":1}],\"device\":{\"id\":\"e\"}}]",
		    "t{device=e} 999 1\n", "0 0 too_old\n", NULL},
	};
	struct judging *judging = *state;
	_Atomic int64_t of[JUDGING_PARTITIONS];
	struct judge_floors floors = {.highest = 3000, .of = of};
	struct judge_limits limits = {.floors = &floors};
	uint32_t a = series_partition_of(SPAN("main"), SPAN("a"), JUDGING_PARTITIONS);
	uint32_t d = series_partition_of(SPAN("main"), SPAN("d"), JUDGING_PARTITIONS);
	uint32_t e = series_partition_of(SPAN("main"), SPAN("e"), JUDGING_PARTITIONS);
	assert_true(a != d && d != e && a != e);
	for (uint32_t p = 0; p < JUDGING_PARTITIONS; p++)
		of[p] = INT64_MIN;
	of[a] = 1000;
	of[d] = 3000;
	judge_set_limits(judging->judge, &limits);
	judging_check_cases(judging, JOURNAL_FORMAT_LINE, LP_MS, lines, ARRAY_COUNT(lines));
	judging_check_cases(judging, JOURNAL_FORMAT_JSON, LP_MS, items, ARRAY_COUNT(items));
}

static void
new_series_beyond_the_limit_are_rejected_and_old_ones_go_on(void **state)
{
	static const struct judging_case lines[] = {
		{"two", "w,device=1 a=1,b=2 1", "w.a{device=1} 1 1\nw.b{device=1} 1 2\n", "", NULL},
		{"a third, of three there are", "w,device=1 a=1,c=2 1\nw,device=1 a=7 2",
		    "w.a{device=1} 1 1\nw.c{device=1} 1 2\nw.a{device=1} 2 7\n", "", NULL},
		{"a fourth", "w,device=1 a=1 3\nw,device=1 a=1,d=2 3\nw,device=1 c=1 3",
		    "w.a{device=1} 3 1\nw.c{device=1} 3 1\n", "1 -1 too_many_series\n", NULL},
	};
	static const struct judging_case items[] = {
		{"one new, one old",
		    "[{\"device\":{\"id\":1},\"readings\":[{\"time\":5,\"t\":1}]},"
		    "{\"device\":{\"id\":1},\"readings\":[{\"time\":5,\"w.a\":1}]}]",
		    "w.a{device=1} 5 1\n", "0 -1 too_many_series\n", NULL},
	};
	struct judging *judging = *state;
	struct judge_limits limits = {.future_ms = 0};
	limits.census = limits_create((struct census_options){.max = {[CENSUS_NODE] = 3}});
	judge_set_limits(judging->judge, &limits);
	judging_check_cases(judging, JOURNAL_FORMAT_LINE, LP_MS, lines, ARRAY_COUNT(lines));
	judging_check_cases(judging, JOURNAL_FORMAT_JSON, LP_MS, items, ARRAY_COUNT(items));
	census_destroy(limits.census);
}

/* ── the census itself ── */

/* Whether `by` may write a series "t" with these tags ("a=1,b=2"); why not is in *ret_why. */
static bool
allowed(struct census *census, const char *tenant, const char *by, const char *tags,
    char *ret_why)
{
	struct series_tag split[4];
	size_t count = 0;
	char text[128], key[256], why[CENSUS_WHY_BYTES] = "";
	snprintf(text, sizeof text, "%s", tags);
	for (char *save, *one = strtok_r(text, ",", &save); one;
	    one = strtok_r(NULL, ",", &save)) {
		char *equals = strchr(one, '=');
		split[count++] = (struct series_tag){span_of(one, (size_t)(equals - one)),
		    span_str(equals + 1)};
	}
	int len = series_key_build(key, sizeof key, span_str(tenant), SPAN("t"), split, count);
	struct census_series series = {
		.tenant = span_str(tenant),
		.principal = span_str(by),
		.key = span_of(key, (size_t)len),
		.hash = series_key_hash(span_of(key, (size_t)len)),
		.now_ms = 1,
	};
	int error = census_allow(census, &series, why);
	assert_true(error == 0 || error == -EDQUOT);
	if (ret_why)
		memcpy(ret_why, why, sizeof why);
	return error == 0;
}

/* Writes series device=FIRST … : how many may be. */
static unsigned
allowed_many(struct census *census, const char *tenant, const char *by, unsigned first,
    unsigned count)
{
	unsigned good = 0;
	for (unsigned i = first; i < first + count; i++) {
		char tags[32];
		snprintf(tags, sizeof tags, "device=%u", i);
		good += allowed(census, tenant, by, tags, NULL);
	}
	return good;
}

static void
assert_refused(struct census *census, uint64_t node, uint64_t tenant, uint64_t principal,
    uint64_t tag)
{
	uint64_t counts[CENSUS_LIMIT_COUNT];
	census_refused(census, counts);
	assert_int_equal(counts[CENSUS_NODE], node);
	assert_int_equal(counts[CENSUS_TENANT], tenant);
	assert_int_equal(counts[CENSUS_PRINCIPAL], principal);
	assert_int_equal(counts[CENSUS_TAG], tag);
}

static void
each_tenant_has_its_own_limit_and_all_have_one(void **state)
{
	struct census *census = limits_create((struct census_options){
		.max = {[CENSUS_NODE] = 1500, [CENSUS_TENANT] = 1000}});
	(void)state;
	assert_int_equal(allowed_many(census, "main", "app-a", 0, 1200), 1000);
	assert_int_equal(allowed_many(census, "main", "app-b", 0, 1000), 1000);
	assert_int_equal(allowed_many(census, "acme", "app-a", 0, 501), 500);
	assert_true(allowed(census, "acme", "app-a", "device=7", NULL));
	assert_refused(census, 1, 200, 0, 0);
	census_destroy(census);
}

static void
each_principal_has_its_own_limit(void **state)
{
	char why[CENSUS_WHY_BYTES];
	struct census *census = limits_create((struct census_options){
		.max = {[CENSUS_PRINCIPAL] = 100}});
	(void)state;
	assert_int_equal(allowed_many(census, "main", "app-a", 0, 150), 100);
	/* What somebody else made is old for everybody, and counts for its maker only. */
	assert_int_equal(allowed_many(census, "main", "app-b", 0, 150), 150);
	assert_int_equal(allowed_many(census, "main", "app-a", 0, 151), 150);
	assert_int_equal(allowed_many(census, "main", "app-b", 150, 60), 50);
	assert_int_equal(allowed_many(census, "acme", "app-a", 0, 101), 100); /* another one */
	assert_int_equal(allowed_many(census, "main", "", 500, 500), 500);    /* nobody */
	assert_false(allowed(census, "main", "app-a", "device=9999", why));
	assert_string_equal(why, "it would make a new series; its sender made as many as it may "
	    "(100); of its tags device has most values (700)");
	census_destroy(census);
}

static void
a_tag_with_too_many_values_is_named(void **state)
{
	char why[CENSUS_WHY_BYTES], tags[64];
	struct census *census = limits_create((struct census_options){
		.max = {[CENSUS_TAG] = 50}});
	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		snprintf(tags, sizeof tags, "device=%u,host=h%u,request_id=%u", i, i % 3, i);
		assert_true(allowed(census, "main", "app-a", tags, NULL));
	}
	assert_false(allowed(census, "main", "app-a", "device=1,host=h1,request_id=x", why));
	assert_string_equal(why, "it would make a new series; the values of its tag request_id are "
	    "as many as may be (50)");
	assert_true(allowed(census, "main", "app-a", "device=1,host=h1,request_id=7", NULL));
	assert_true(allowed(census, "main", "app-a", "host=new,request_id=7", NULL));
	assert_true(allowed(census, "acme", "app-a", "request_id=x", NULL)); /* its own values */
	/* Devices are as many as there are; others may have the values of another tag. */
	assert_int_equal(allowed_many(census, "main", "app-a", 0, 500), 500);
	assert_true(allowed(census, "main", "app-a", "host=x", NULL));
	assert_refused(census, 0, 0, 0, 1);
	census_destroy(census);
}

/* A name is cut where a character begins, and a sentence is never longer than there is room. */
static void
a_long_name_is_cut(void **state)
{
	char why[CENSUS_WHY_BYTES], tags[128];
	struct census *census = limits_create((struct census_options){
		.max = {[CENSUS_TAG] = 1, [CENSUS_TENANT] = 2}});
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		snprintf(tags, sizeof tags, "0123456789012345678901234567890\303\244-long=%u", i);
		assert_int_equal(allowed(census, "main", "app-a", tags, why), i == 0);
	}
	assert_non_null(strstr(why, "tag 0123456789012345678901234567890 are"));
	census_destroy(census);
}

static void
warn_count(void *ctx, const char *what)
{
	assert_non_null(strstr(what, "points of app-a (tenant main) are refused: it would make"));
	++*(unsigned *)ctx;
}

static void
an_operator_hears_of_a_flood_once_a_minute(void **state)
{
	unsigned count = 0;
	struct census *census = limits_create((struct census_options){
		.max = {[CENSUS_NODE] = 1}, .warn = warn_count, .ctx = &count});
	(void)state;
	assert_int_equal(allowed_many(census, "main", "app-a", 0, 100), 1);
	assert_int_equal(count, 1);
	census_destroy(census);
}

static void
what_is_there_counts_but_is_never_refused(void **state)
{
	struct census *census = limits_create((struct census_options){.max = {[CENSUS_NODE] = 2}});
	char key[64];
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		char device[2] = {(char)('a' + i), 0}, tags[] = "device=?";
		struct series_tag tag = {SPAN("device"), span_str(device)};
		bool is_new;
		tags[7] = device[0];
		int len = series_key_build(key, sizeof key, SPAN("main"), SPAN("t"), &tag, 1);
		struct span span = span_of(key, (size_t)len);
		assert_int_equal(census_add(census, span, series_key_hash(span), &is_new), 0);
		assert_true(is_new && census_has(census, series_key_hash(span)));
		assert_int_equal(census_add(census, span, series_key_hash(span), &is_new), 0);
		assert_false(is_new);
		assert_true(allowed(census, "main", "app-a", tags, NULL));
	}
	assert_false(allowed(census, "main", "app-a", "device=x", NULL));
	census_destroy(census);
}

/* ── over restarts ── */

static uint64_t
append_many(struct world *world, const char *by, unsigned first, unsigned count)
{
	struct buf lines;
	buf_init(&lines, 0);
	for (unsigned i = first; i < first + count; i++)
		buf_printf(&lines, "t,device=%u v=1 5\n", i);
	buf_append_byte(&lines, 0);
	uint64_t rejected = world_append_by(world, 0, by, lines.ptr);
	buf_finish(&lines);
	return rejected;
}

/* Counts of makers are the same after an orderly end and after a kill, whether the series are in
 * parts or in the journal only, whether their rows are there or were lost. */
static void
who_made_what_is_known_after_a_restart(void **state)
{
	struct world *world = world_create(1);
	(void)state;
	world->options.principal_series_max = 100;
	world_open(world);
	assert_int_equal(append_many(world, "app-a", 0, 60), 0);
	for (unsigned round = 0; round < 3; round++) {
		world_close(world, round != 1);
		world_open(world);
		assert_int_equal(append_many(world, "app-a", 0, 60), 0);
		assert_int_equal(append_many(world, "app-a", 60, 10 * (round + 1)), 0);
		assert_int_equal(append_many(world, "app-b", 0, 70), 0);
		assert_int_equal(append_many(world, "app-b", 1000, 90), 0);
	}
	assert_int_equal(append_many(world, "app-a", 90, 15), 5);
	assert_int_equal(append_many(world, "app-b", 2000, 15), 5);
	struct flow_stats stats = world_stats(world);
	assert_int_equal(stats.series_refused[CENSUS_PRINCIPAL], 10);
	world_close(world, false);
	world_destroy(world);
}

struct losing {
	struct store_unit unit;
	struct store_tx *tx;
	unsigned count;
};

static int
row_lose(void *ctx, uint64_t series, uint64_t maker)
{
	struct losing *losing = ctx;
	(void)maker;
	losing->count++;
	return store_maker_remove(losing->tx, series);
}

/* All rows go; those of series that are not there any more come instead. */
static int
rows_lose(struct store_unit *unit, struct store_tx *tx)
{
	struct losing *losing = CONTAINER_OF(unit, struct losing, unit);
	losing->tx = tx;
	int error = store_makers_load(store_tx_store(tx), row_lose, losing);
	for (uint64_t i = 0; i < 70 && !error; i++)
		error = store_maker_add(tx, i, census_maker(SPAN("main"), SPAN("app-a")));
	return error;
}

static void
rows_lost(struct store_unit *unit, int error)
{
	(void)unit;
	assert_int_equal(error, 0);
}

/* The power went before weir.db had the rows, and after the journal had the record. And rows of
 * series that are gone count no more. */
static void
rows_follow_what_there_is(void **state)
{
	struct losing losing = {.unit = {.apply = rows_lose, .done = rows_lost}};
	struct world *world = world_create(1);
	struct store *store;
	(void)state;
	world->options.principal_series_max = 100;
	world_open(world);
	assert_int_equal(append_many(world, "app-a", 0, 60), 0);
	world_close(world, false);
	assert_int_equal(store_open(world->env.real, world->dir, &store), 0);
	store_run(store, &losing.unit);
	store_close(store);
	assert_int_equal(losing.count, 60);
	world_open(world);
	assert_int_equal(append_many(world, "app-a", 1000, 50), 10);
	world_close(world, true);
	world_open(world);
	assert_int_equal(append_many(world, "app-a", 0, 60), 0);
	assert_int_equal(append_many(world, "app-a", 2000, 1), 1);
	world_close(world, false);
	assert_int_equal(store_open(world->env.real, world->dir, &store), 0);
	losing.count = 0;
	store_run(store, &losing.unit);
	store_close(store);
	assert_int_equal(losing.count, 100);
	world_destroy(world);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(lines_with_times_too_far_off_are_rejected),
		CASE(readings_with_times_too_far_off_are_rejected),
		CASE(points_below_the_floor_of_their_partition_are_rejected),
		CASE(new_series_beyond_the_limit_are_rejected_and_old_ones_go_on),
		cmocka_unit_test(each_tenant_has_its_own_limit_and_all_have_one),
		cmocka_unit_test(each_principal_has_its_own_limit),
		cmocka_unit_test(a_tag_with_too_many_values_is_named),
		cmocka_unit_test(a_long_name_is_cut),
		cmocka_unit_test(an_operator_hears_of_a_flood_once_a_minute),
		cmocka_unit_test(what_is_there_counts_but_is_never_refused),
		cmocka_unit_test(who_made_what_is_known_after_a_restart),
		cmocka_unit_test(rows_follow_what_there_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * A node on threads, with one loop and with two: what is acknowledged can be read, by everybody, in
 * order; faults of the disk are answered and pass; a restart loses and doubles nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "flow_priv.h"
#include "world.h"

static struct world *
open_world(void **state)
{
	struct world *world = world_create((unsigned)(uintptr_t)*state);
	world_open(world);
	return world;
}

static void
check_text(char *is, const char *must)
{
	assert_string_equal(is, must);
	free(is);
}

static unsigned
last_loop(const struct world *world)
{
	return world->loop_count - 1;
}

static void
what_is_acknowledged_can_be_read(void **state)
{
	struct world *world = open_world(state);
	check_text(world_points(world, 0, NULL), "");
	assert_int_equal(world_append(world, last_loop(world), "w,device=1 a=1 5\n"), 0);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 5 1\n");
	check_text(world_latest(world, 0, "1"), "w.a{device=1} 5 1\n");
	check_text(world_latest(world, 0, "2"), "");
	assert_int_equal(world_append(world, 0,
	    "w,device=2 a=2 5\nw,device=1 a=3,b=4 6\nv,device=3 a=5 7\nw,device=1 a=1.5 5"), 0);
	check_text(world_points(world, last_loop(world), NULL),
	    "v.a{device=3} 7 5\nw.a{device=1} 5 1.5\nw.a{device=1} 6 3\nw.a{device=2} 5 2\n"
	    "w.b{device=1} 6 4\n");
	check_text(world_points(world, 0, "w.b"), "w.b{device=1} 6 4\n");
	check_text(world_latest(world, last_loop(world), "1"),
	    "w.a{device=1} 6 3\nw.b{device=1} 6 4\n");
	struct flow_stats stats = world_stats(world);
	assert_int_equal(stats.readings, 6);
	assert_int_equal(flow_intake_bytes(world->flow), 0);
	world_close(world, false);
	world_destroy(world);
}

static void
a_question_for_too_many_series_is_refused(void **state)
{
	struct world *world = open_world(state);
	char lines[2000];
	size_t len = 0;
	for (int i = 0; i < 50; i++)
		len += (size_t)snprintf(lines + len, sizeof lines - len, "w,device=%d a=1 5\n", i);
	assert_int_equal(world_append(world, 0, lines), 0);
	assert_int_equal(world_ask_refused(world, 0, 50), 0);
	assert_int_equal(world_ask_refused(world, last_loop(world), 5), -E2BIG);
	world_close(world, true);
	world_destroy(world);
}

/* One device in each of the partitions, twice; their ids are no texts of others. */
static void
who_may_see_some_devices_is_told_of_them_only(void **state)
{
	struct world *world = open_world(state);
	unsigned last = last_loop(world);
	assert_int_equal(world_append(world, 0, "w,device=1 a=1 5\nw,device=12 a=2 5\n"
	    "w,device=2 a=3 5\nw,device=x,place=1 a=4 5\nw,place=1 a=5 5\n"
	    "w,device=3 a=6 5\nw,device=4 a=7 5"), 0);
	check_text(world_points_of(world, 0, "main", ""), "");
	check_text(world_latest_of(world, last, "main", ""), "");
	check_text(world_points_of(world, 0, "main", "none 11 w a"), "");
	check_text(world_points_of(world, last, "main", "1"), "w.a{device=1} 5 1\n");
	check_text(world_latest_of(world, 0, "main", "2 none"), "w.a{device=2} 5 3\n");
	check_text(world_points_of(world, 0, "main", "4 x none 12 3"),
	    "w.a{device=3} 5 6\nw.a{device=4} 5 7\nw.a{device=x,place=1} 5 4\n"
	    "w.a{device=12} 5 2\n");
	world_close(world, true);
	world_destroy(world);
}

static void
tenants_see_nothing_of_each_other(void **state)
{
	struct world *world = open_world(state);
	assert_int_equal(world_append(world, 0, "w,device=1 a=1 5\nw,device=2 a=2 5"), 0);
	assert_int_equal(world_append_of(world, last_loop(world), "acme",
	    "w,device=1 a=10 5\nw,device=3 b=30 6"), 0);
	for (int round = 0; round < 2; round++) {
		check_text(world_points_of(world, 0, "main", NULL),
		    "w.a{device=1} 5 1\nw.a{device=2} 5 2\n");
		check_text(world_points_of(world, 0, "acme", NULL),
		    "w.a{device=1} 5 10\nw.b{device=3} 6 30\n");
		check_text(world_points_of(world, 0, "acme", "1 2"), "w.a{device=1} 5 10\n");
		check_text(world_latest_of(world, 0, "main", "1 3"), "w.a{device=1} 5 1\n");
		check_text(world_points_of(world, 0, "acm", NULL), "");
		check_text(world_points_of(world, 0, "", NULL), "");
		world_close(world, true); /* the second time out of parts */
		world_open(world);
	}
	world_close(world, false);
	world_destroy(world);
}

/* ── read your writes ── */

#define ROUNDS 100

/* Appends a value, reads it back from within done(), goes on. */
struct writer {
	struct world_loop *loop;
	struct world_append append;
	struct flow_latest latest;
	char device[8];
	int round, seen;
	sem_t *finished;
};

static void
writer_append(struct writer *writer);

static int
writer_each(void *ctx, const struct series_latest *latest)
{
	struct writer *writer = ctx;
	writer->seen = (int)latest->last_value;
	return 0;
}

static void
writer_read(struct flow_latest *latest, int error)
{
	struct writer *writer = CONTAINER_OF(latest, struct writer, latest);
	check(error == 0);
	check(writer->seen == writer->round);
	if (writer->round == ROUNDS)
		sem_post(writer->finished);
	else
		writer_append(writer);
}

static void
writer_done(struct flow_ticket *ticket, int error)
{
	struct writer *writer = CONTAINER_OF(ticket, struct writer, append.ticket);
	check(error == 0);
	writer->latest = (struct flow_latest){
		.each = writer_each, .ctx = writer, .done = writer_read};
	writer->latest.selector.tenant = SPAN("main");
	writer->latest.selector.tag_count = 1;
	writer->latest.selector.tags[0] =
	    (struct series_tag){SPAN("device"), span_str(writer->device)};
	flow_latest(writer->loop->flow, &writer->latest);
}

static void
writer_append(struct writer *writer)
{
	char line[64];
	writer->round++;
	snprintf(line, sizeof line, "w,device=%s a=%d %d", writer->device, writer->round,
	    writer->round);
	world_append_init(writer->loop, &writer->append, line);
	writer->append.ticket.done = writer_done;
	check(flow_append(writer->loop->flow, &writer->append.ticket) == 0);
}

static void
writer_begin(struct world_loop *loop, void *ctx)
{
	struct writer *writer = ctx;
	writer->loop = loop;
	writer_append(writer);
}

static void
every_writer_reads_its_writes(void **state)
{
	enum { WRITERS = 16 };
	struct world *world = open_world(state);
	struct writer writers[WRITERS] = {{0}};
	sem_t finished;
	sem_init(&finished, 0, 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].finished = &finished;
		snprintf(writers[i].device, sizeof writers[i].device, "%u", i);
		world_call(world, i % world->loop_count, writer_begin, &writers[i]);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		sem_wait(&finished);
	sem_destroy(&finished);
	struct flow_stats stats = world_stats(world);
	assert_int_equal(stats.readings, WRITERS * ROUNDS);
	assert_true(stats.commits < stats.records); /* they gather */
	world_close(world, false);
	world_open(world);
	assert_int_equal(world_stats(world).replayed, WRITERS * ROUNDS);
	char *points = world_points(world, 0, NULL);
	size_t lines = 0;
	for (const char *at = points; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, WRITERS * ROUNDS);
	free(points);
	world_close(world, false);
	world_destroy(world);
}

/* ── faults and bounds ── */

static void
a_full_disk_is_answered_and_passes(void **state)
{
	struct world *world = open_world(state);
	assert_int_equal(world_append(world, 0, "w,device=1 a=1 1"), 0);
	atomic_store(&world->env.journal_full, true);
	for (int i = 0; i < 3; i++)
		assert_int_equal(world_append(world, last_loop(world), "w,device=1 a=2 2"),
		    -ENOSPC);
	assert_int_equal(flow_intake_bytes(world->flow), 0);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 1 1\n");
	atomic_store(&world->env.journal_full, false);
	assert_int_equal(world_append(world, last_loop(world), "w,device=1 a=3 3"), 0);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 1 1\nw.a{device=1} 3 3\n");
	assert_int_equal(world_stats(world).records_failed, 3);
	world_close(world, false);
	world_open(world);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 1 1\nw.a{device=1} 3 3\n");
	world_close(world, true);
	world_destroy(world);
}

struct two_appends {
	struct world_append first, second, third;
	int second_error;
};

static void
append_two(struct world_loop *loop, void *ctx)
{
	struct two_appends *two = ctx;
	struct world_append *all[] = {&two->first, &two->second, &two->third};
	for (int i = 0; i < 3; i++) {
		struct world_append *append = all[i];
		sem_init(&append->done, 0, 0);
		world_append_init(loop, append, "w,device=1 a=1,b=2,c=3,d=4 5");
		append->error = flow_append(loop->flow, &append->ticket);
	}
}

static void
what_is_under_way_is_bounded(void **state)
{
	struct world *world = world_create((unsigned)(uintptr_t)*state);
	world->options.intake_bytes_max = 60; /* two bodies of 28, not three */
	world_open(world);
	assert_int_equal(world_append(world, 0, "w,device=1 a=1 1"), 0);
	atomic_store(&world->env.journal_held, true);
	struct two_appends two;
	world_call(world, last_loop(world), append_two, &two);
	assert_int_equal(two.first.error, 0);
	assert_int_equal(two.second.error, 0);
	assert_int_equal(two.third.error, -EAGAIN);
	assert_int_equal(flow_intake_bytes(world->flow), 56);
	journal_record_unref(two.third.ticket.record);
	atomic_store(&world->env.journal_held, false);
	sem_wait(&two.first.done);
	sem_wait(&two.second.done);
	/* One that is larger than the bound still comes through, alone. */
	char lines[200];
	snprintf(lines, sizeof lines, "w,device=1 %s 7",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1");
	while (flow_intake_bytes(world->flow))
		free(world_points(world, last_loop(world), NULL));
	assert_int_equal(world_append(world, 0, lines), 0);
	world_close(world, false);
	world_destroy(world);
}

/* ── flushing ── */

static bool
flushed(const struct flow_stats *stats)
{
	return stats->flushes > 0;
}

static bool
flush_failed(const struct flow_stats *stats)
{
	return stats->flushes_failed > 0;
}

static void
heads_are_flushed_by_size(void **state)
{
	struct world *world = world_create((unsigned)(uintptr_t)*state);
	world->options.head_bytes_max = 256 << 10;
	world_open(world);
	struct buf lines;
	buf_init(&lines, 0);
	for (int round = 0; !flushed(&(struct flow_stats){.flushes = world_stats(world).flushes});
	     round++) {
		assert_true(round < 1000);
		buf_clear(&lines);
		for (int i = 0; i < 500; i++)
			buf_printf(&lines, "w,device=%d a=%d %d\n", i, round, round);
		buf_append_byte(&lines, '\0');
		assert_int_equal(world_append(world, 0, lines.ptr), 0);
	}
	buf_finish(&lines);
	char *before = world_points(world, 0, NULL);
	world_close(world, false);
	world_open(world);
	check_text(world_points(world, 0, NULL), before);
	free(before);
	world_close(world, true);
	world_destroy(world);
}

static void
heads_are_flushed_by_age_and_cursors_follow(void **state)
{
	struct world *world = open_world(state);
	assert_int_equal(world_append(world, 0, "w,device=1 a=1 1"), 0);
	/* Every loop has it before the clock moves. */
	check_text(world_points(world, 0, NULL), "w.a{device=1} 1 1\n");
	atomic_store(&world->env.ahead_ms, 599000);
	free(world_points(world, 0, NULL));
	assert_int_equal(world_stats(world).flushes, 0);
	atomic_store(&world->env.ahead_ms, 600001);
	world_await(world, flushed);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 1 1\n");
	/* The partitions without points move on, too. */
	for (int left = 1; left;) {
		free(world_points(world, 0, NULL));
		left = world_stats(world).flushes < WORLD_PARTITIONS;
	}
	world_close(world, false);
	world_open(world);
	assert_int_equal(world_stats(world).replayed, 0);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 1 1\n");
	world_close(world, false);
	world_destroy(world);
}

/* Flushed so often; each question is a turn of every loop, in which timers fire. */
static void
await_flushes(struct world *world, uint64_t count)
{
	while (world_stats(world).flushes < count)
		free(world_points(world, 0, NULL));
}

static void
cursors_of_a_loop_that_no_record_concerns_follow(void **state)
{
	struct world *world = open_world(state);
	for (int i = 0; i < 3; i++)
		assert_int_equal(world_append(world, 0, "w,device=1 a=1 1"), 0);
	world_close(world, true);
	world_open(world);
	assert_int_equal(world_stats(world).replayed, 0);
	/* And while it lives: whenever the cursors are to follow, they do. */
	for (int round = 1; round <= 3; round++) {
		assert_int_equal(world_append(world, 0, "w,device=1 a=1 1"), 0);
		free(world_points(world, 0, NULL));
		atomic_store(&world->env.ahead_ms, 700000 * round);
		await_flushes(world, (uint64_t)(WORLD_PARTITIONS * round));
	}
	world_close(world, false);
	world_open(world);
	assert_int_equal(world_stats(world).replayed, 0);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 1 1\n");
	world_close(world, false);
	world_destroy(world);
}

/* ── what has become too old ── */

struct look {
	struct flow_look look;
	sem_t done;
};

static void
look_done(struct flow_look *look)
{
	sem_post(&CONTAINER_OF(look, struct look, look)->done);
}

static void
look_begin(struct world_loop *loop, void *ctx)
{
	struct look *look = ctx;
	look->look.done = look_done;
	flow_look(loop->flow, &look->look);
}

static void
look_at(struct world *world, struct look *look, int64_t before_ms, uint64_t bytes_max)
{
	uint64_t bytes = look->look.points_bytes;
	look->look = (struct flow_look){
		.points_before_ms = before_ms,
		.rollups_before_ms = INT64_MIN,
		.points_bytes_max = bytes_max,
		.points_bytes_now = bytes,
		.rollups_bytes_max = UINT64_MAX,
	};
	world_call(world, last_loop(world), look_begin, look);
	sem_wait(&look->done);
}

static bool
retired_one(const struct flow_stats *stats)
{
	return stats->retired > 0;
}

static bool
retired_two(const struct flow_stats *stats)
{
	return stats->retired > 1;
}

/* Days 1, 2 and 3 of one device, each in a part. */
static void
days_go_by_age_and_by_bytes_and_stay_away(void **state)
{
	struct world *world = world_create((unsigned)(uintptr_t)*state);
	world->options.rollups = SERIES_ROLLUP_HOURS;
	world_open(world);
	struct look look = {.look = {.points_bytes = 0}};
	sem_init(&look.done, 0, 0);
	assert_int_equal(world_append(world, 0,
	    "w,device=1 a=1 86400000\nw,device=1 a=2 172800000\nw,device=1 a=3 259200000"), 0);
	world_close(world, true);
	world_open(world);
	look_at(world, &look, INT64_MIN, UINT64_MAX);
	look_at(world, &look, 172799999, UINT64_MAX); /* a millisecond of day 1 is kept */
	check_text(world_points(world, 0, NULL), "w.a{device=1} 86400000 1\n"
	    "w.a{device=1} 172800000 2\nw.a{device=1} 259200000 3\n");
	assert_int_equal(world_stats(world).retired, 0);
	look_at(world, &look, 172800000, UINT64_MAX);
	world_await(world, retired_one);
	check_text(world_points(world, 0, NULL),
	    "w.a{device=1} 172800000 2\nw.a{device=1} 259200000 3\n");
	assert_int_equal(world_stats(world).rolls, 1);
	look_at(world, &look, INT64_MIN, 1); /* of bytes that this look counts for the next */
	look_at(world, &look, INT64_MIN, 1);
	world_await(world, retired_two);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 259200000 3\n");
	world_close(world, false);
	world_open(world);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 259200000 3\n");
	assert_int_equal(world_append_by(world, 0, "app-a",
	    "w,device=1 a=9 259199999\nw,device=1 a=3 259200000"), 1);
	/* Behind what is kept, however it came to be accepted (judged just before): not shown, not
	 * rolled up. */
	atomic_store(&world->flow->floors.highest, INT64_MIN);
	assert_int_equal(world_append(world, 0, "w,device=1 a=9 86400001"), 0);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 259200000 3\n");
	world_close(world, true);
	sem_destroy(&look.done);
	world_destroy(world);
}

static void
a_flush_that_fails_is_tried_again(void **state)
{
	struct world *world = open_world(state);
	assert_int_equal(world_append(world, 0, "w,device=1 a=1 1"), 0);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 1 1\n");
	atomic_store(&world->env.series_fail, true);
	atomic_store(&world->env.ahead_ms, 600001);
	world_await(world, flush_failed);
	assert_true(atomic_load(&world->warnings) > 0);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 1 1\n");
	assert_int_equal(world_append(world, 0, "w,device=1 a=2 2"), 0);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 1 1\nw.a{device=1} 2 2\n");
	atomic_store(&world->env.series_fail, false);
	uint64_t before = world_stats(world).flushes;
	atomic_store(&world->env.ahead_ms, 1300000);
	while (world_stats(world).flushes <= before + WORLD_PARTITIONS - 1)
		free(world_points(world, 0, NULL));
	check_text(world_points(world, 0, NULL), "w.a{device=1} 1 1\nw.a{device=1} 2 2\n");
	world_close(world, true);
	world_open(world);
	assert_int_equal(world_stats(world).replayed, 0);
	check_text(world_points(world, 0, NULL), "w.a{device=1} 1 1\nw.a{device=1} 2 2\n");
	world_close(world, false);
	world_destroy(world);
}

/* One device tells once, another all the time: for both, and for partitions that have nothing at
 * all, replay must not begin at the first record. */
static void
a_restart_replays_no_more_than_it_may(void **state)
{
	struct world *world = world_create((unsigned)(uintptr_t)*state);
	uint64_t records = 1;
	char line[400];
	world->options.replay_bytes_max = 4096;
	world->options.head_age_ms_max = INT64_C(1) << 40;
	world_open(world);
	assert_int_equal(world_append(world, 0, "w,device=1 a=1 1"), 0);
	for (; world_stats(world).flushes < WORLD_PARTITIONS; records++) {
		snprintf(line, sizeof line, "w,device=2 a=%d,s=\"%0300d\" 1", (int)records, 0);
		atomic_fetch_add(&world->env.ahead_ms, 2000); /* loops hear of it by and by */
		assert_int_equal(world_append(world, 0, line), 0);
	}
	assert_true(records > 10);
	world_close(world, false);
	world_open(world);
	assert_true(world_stats(world).replayed + 10 <= records);
	snprintf(line, sizeof line, "w.a{device=1} 1 1\nw.a{device=2} 1 %d\n", (int)records - 1);
	check_text(world_points(world, 0, NULL), line);
	world_close(world, false);
	world_destroy(world);
}

static void
the_last_flush_leaves_nothing_to_replay(void **state)
{
	struct world *world = open_world(state);
	for (int i = 0; i < 20; i++)
		assert_int_equal(world_append(world, (unsigned)i % world->loop_count,
		    i % 2 ? "w,device=1 a=1 1\nw,device=7 a=1 99999999999" :
			    "w,device=1 a=2 1\nw a=1 3"), 0);
	char *before = world_points(world, 0, NULL);
	world_close(world, true);
	world_open(world);
	assert_int_equal(world_stats(world).replayed, 0);
	check_text(world_points(world, 0, NULL), before);
	/* And again, with nothing new. */
	world_close(world, true);
	world_open(world);
	check_text(world_points(world, 0, NULL), before);
	assert_int_equal(world_append(world, 0, "w,device=1 a=5 1"), 0);
	world_close(world, false);
	world_open(world);
	assert_int_equal(world_stats(world).replayed, 1);
	check_text(world_latest(world, 0, "1"), "w.a{device=1} 1 5\n");
	free(before);
	world_close(world, false);
	world_destroy(world);
}

#define BOTH(test)                                               \
	{"one loop: " #test, test, NULL, NULL, (void *)1},       \
	{                                                        \
		"two loops: " #test, test, NULL, NULL, (void *)2 \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(what_is_acknowledged_can_be_read),
		BOTH(a_question_for_too_many_series_is_refused),
		BOTH(who_may_see_some_devices_is_told_of_them_only),
		BOTH(tenants_see_nothing_of_each_other),
		BOTH(every_writer_reads_its_writes),
		BOTH(a_full_disk_is_answered_and_passes),
		BOTH(what_is_under_way_is_bounded),
		BOTH(heads_are_flushed_by_size),
		BOTH(heads_are_flushed_by_age_and_cursors_follow),
		BOTH(cursors_of_a_loop_that_no_record_concerns_follow),
		BOTH(days_go_by_age_and_by_bytes_and_stay_away),
		BOTH(a_flush_that_fails_is_tried_again),
		BOTH(a_restart_replays_no_more_than_it_may),
		BOTH(the_last_flush_leaves_nothing_to_replay),
	};
	return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}

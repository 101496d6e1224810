/* Part files under damage, failing disks, full disks, and queries that outlive a merge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "env.h"
#include "part.h"
#include "shelf.h"
#include "sim.h"
#include "world.h"

#define PARTS_MAX 64
#define MORNING_MS (WORLD_START_MS - WORLD_START_MS % WORLD_DAY_MS)

/* Points of all series in one day: regular, tenths. */
static void
write_day(struct world *world, size_t points, int64_t start_ms)
{
	struct series_batch *batch = world_begin(world);
	for (size_t series = 0; series < WORLD_SERIES; series++) {
		double level = (double)series;
		for (size_t i = 0; i < points; i++) {
			level += (double)(int64_t)world_draw(world, 3) - 1;
			world_add(world, batch, series, start_ms + (int64_t)i * 10000, level / 10);
		}
	}
	world_end(world, batch);
}

static struct world *
world_with_parts(uint64_t seed, size_t flushes, size_t points)
{
	struct world *world = world_create(seed);
	assert_int_equal(world_open(world), 0);
	for (size_t i = 0; i < flushes; i++) {
		write_day(world, points, MORNING_MS + (int64_t)(i * points) * 10000);
		assert_int_equal(world_flush(world), 0);
	}
	return world;
}

static void
part_name(char *ret_path, size_t size, uint64_t id)
{
	snprintf(ret_path, size, "%s/%llu.part", WORLD_PARTS_DIR, (unsigned long long)id);
}

/* ── damage ── */

static void
flipped_bit_anywhere_in_a_part_is_reported_and_nothing_false_served(void **state)
{
	(void)state;
	struct world *world = world_with_parts(7, 1, 150);
	struct store_part parts[PARTS_MAX];
	size_t count = world_load_parts(world, parts, PARTS_MAX);
	assert_int_equal(count, 1);
	char path[128];
	part_name(path, sizeof(path), parts[0].id);
	size_t served_some = 0;
	for (uint64_t byte = 0; byte < parts[0].bytes; byte++) {
		uint64_t bit = byte * 8 + world_draw(world, 8);
		world->damages = 0;
		assert_int_equal(sim_flip_bit(world->env, path, bit), 0);
		int error = world_reattach(world, parts, count);
		assert_true(error == 0 || error == -EBADMSG || error == -EPROTO);
		size_t told = world_count_true_points(world);
		assert_true(world->damages > 0);
		assert_true(told < world_model_count(world));
		assert_true(strncmp(world->damage.file, "1.part", 7) == 0);
		served_some += told > 0;
		assert_int_equal(sim_flip_bit(world->env, path, bit), 0);
	}
	assert_true(served_some > 100); /* one damaged chunk leaves the other six series */
	world->damages = 0;
	assert_int_equal(world_reattach(world, parts, count), 0);
	assert_int_equal(world_count_true_points(world), world_model_count(world));
	assert_int_equal(world->damages, 0);
	world_destroy(world);
}

static void
cut_or_missing_part_is_reported(void **state)
{
	(void)state;
	struct world *world = world_with_parts(8, 2, 100);
	struct store_part parts[PARTS_MAX];
	size_t count = world_load_parts(world, parts, PARTS_MAX);
	assert_int_equal(count, 2);
	char path[128];
	part_name(path, sizeof(path), parts[0].id);
	for (uint64_t len = parts[0].bytes; len-- > 0;) {
		struct env_file *file;
		assert_int_equal(env_open(world->env, path, ENV_WRITE, &file), 0);
		assert_int_equal(env_truncate(file, len), 0);
		env_close(file);
		if (len % 16)
			continue;
		assert_int_equal(world_reattach(world, parts, count), -EBADMSG);
		assert_int_equal(world_count_true_points(world), world_model_count(world) / 2);
	}
	assert_int_equal(env_unlink(world->env, path), 0);
	world->damages = 0;
	assert_int_equal(world_reattach(world, parts, count), -ENOENT);
	assert_int_equal(world->damages, 1);
	assert_string_equal(world->damage.reason, "missing");
	world_destroy(world);
}

static void
damaged_part_is_never_merged_away(void **state)
{
	(void)state;
	struct world *world = world_with_parts(9, 3, 150);
	struct store_part parts[PARTS_MAX];
	assert_int_equal(world_load_parts(world, parts, PARTS_MAX), 3);
	char path[128];
	part_name(path, sizeof(path), parts[1].id);
	assert_int_equal(sim_flip_bit(world->env, path, 70 * 8), 0); /* in the first chunk */
	size_t whole = world_model_count(world);
	assert_int_equal(world_count_true_points(world), whole - 150);
	assert_int_equal(world_merge(world, true), -EBADMSG);
	assert_int_equal(world_merge(world, true), 0);
	assert_int_equal(world_load_parts(world, parts, PARTS_MAX), 3);
	assert_int_equal(world_count_true_points(world), whole - 150);
	uint64_t bytes;
	assert_int_equal(env_stat(world->env, path, &bytes), 0);
	assert_int_equal(bytes, parts[1].bytes);
	world_destroy(world);
}

static void
part_of_another_partition_or_id_is_refused(void **state)
{
	(void)state;
	struct world *world = world_with_parts(10, 1, 20);
	struct store_part parts[PARTS_MAX], wrong;
	assert_int_equal(world_load_parts(world, parts, PARTS_MAX), 1);
	wrong = parts[0];
	wrong.day++;
	assert_int_equal(world_reattach(world, &wrong, 1), -EBADMSG);
	wrong = parts[0];
	wrong.partition++;
	assert_int_equal(world_reattach(world, &wrong, 1), -EBADMSG);
	wrong = parts[0];
	wrong.points++;
	assert_int_equal(world_reattach(world, &wrong, 1), -EBADMSG);
	assert_int_equal(world_reattach(world, parts, 1), 0);
	world_destroy(world);
}

/* ── faults ── */

static void
compare_all(struct world *world)
{
	world_compare_raw(world, INT64_MIN, INT64_MAX, 0);
	world_compare_latest(world);
}

/* The work whose every disk call is to fail once. */
static int
flush_and_merge(struct world *world)
{
	int error = world_flush(world);
	if (error == 0) {
		int merged = world_merge(world, true);
		error = merged < 0 ? merged : 0;
	}
	return error;
}

static struct world *
world_before_work(void)
{
	struct world *world = world_with_parts(11, 2, 40);
	write_day(world, 40, MORNING_MS + 200000); /* overlaps both */
	write_day(world, 5, MORNING_MS + WORLD_DAY_MS);
	return world;
}

static void
any_failed_disk_call_loses_nothing(void **state)
{
	(void)state;
	static const enum sim_op ops[] = {SIM_READ, SIM_WRITE, SIM_SYNC, SIM_OPEN, SIM_SYNC_DIR};
	for (size_t i = 0; i < ARRAY_COUNT(ops); i++) {
		unsigned failures = 0;
		for (uint64_t at = 0;; at++) {
			struct world *world = world_before_work();
			sim_fail(world->env, ops[i], at, i % 2 ? -ENOSPC : -EIO, false);
			int error = flush_and_merge(world);
			failures += error != 0;
			sim_heal(world->env);
			compare_all(world);
			/* After a failed sync only a new start may be trusted, of store and all. */
			world_close(world);
			assert_int_equal(world_open(world), 0);
			compare_all(world);
			assert_int_equal(flush_and_merge(world), 0);
			compare_all(world);
			assert_int_equal(world->damages, 0);
			world_destroy(world);
			if (error == 0 && at > 12)
				break;
			assert_true(at < 200);
		}
		assert_true(failures > 0);
	}
}

static void
power_cut_at_any_call_loses_nothing(void **state)
{
	(void)state;
	bool whole = false;
	for (uint64_t at = 0; !whole; at += 3) {
		struct world *world = world_before_work();
		sim_crash_after(world->env, at);
		whole = flush_and_merge(world) == 0 && at > 30;
		world_close(world);
		sim_power_cut(world->env);
		sim_heal(world->env);
		assert_int_equal(world_open(world), 0);
		compare_all(world);
		assert_int_equal(flush_and_merge(world), 0);
		compare_all(world);
		assert_int_equal(world->damages, 0);
		world_destroy(world);
		assert_true(at < 1000);
	}
}

static void
full_disk_keeps_the_head_until_there_is_room(void **state)
{
	(void)state;
	struct world *world = world_with_parts(12, 1, 10);
	write_day(world, 2000, MORNING_MS);
	uint64_t next_before = world->next_id;
	sim_disk_limit(world->env, 1);
	assert_int_equal(world_flush(world), -ENOSPC);
	compare_all(world);
	write_day(world, 30, MORNING_MS + 5000);
	assert_int_equal(world_flush(world), -ENOSPC);
	compare_all(world);
	sim_disk_limit(world->env, 0);
	assert_int_equal(world_flush(world), 0); /* what was frozen at first */
	assert_int_equal(world_flush(world), 0); /* what came since */
	assert_int_equal(world_flush(world), 0);
	compare_all(world);
	struct series_partition_stats stats;
	series_partition_stats(world->partition, &stats);
	assert_int_equal(stats.head_points, 0);
	assert_int_equal(stats.parts, 3);
	assert_int_equal(series_partition_cursor(world->partition), world->seq);
	/* Nothing of the failed attempts is left on the disk. */
	for (uint64_t id = next_before; id < world->next_id; id++) {
		char path[128];
		uint64_t bytes;
		struct store_part parts[PARTS_MAX];
		size_t count = world_load_parts(world, parts, PARTS_MAX);
		bool named = false;
		for (size_t i = 0; i < count; i++)
			named |= parts[i].id == id;
		part_name(path, sizeof(path), id);
		assert_int_equal(env_stat(world->env, path, &bytes), named ? 0 : -ENOENT);
	}
	world_destroy(world);
}

/* ── files and their time ── */

static int
count_rows(void *ctx, const struct series_rows *rows)
{
	*(size_t *)ctx += rows->count;
	return 0;
}

static int
begin_series(void *ctx, struct span key)
{
	(void)ctx;
	(void)key;
	return 0;
}

static int
end_series(void *ctx)
{
	(void)ctx;
	return 0;
}

static void
snapshot_reads_files_that_were_merged_away(void **state)
{
	(void)state;
	struct world *world = world_with_parts(13, 4, 50);
	struct store_part before[PARTS_MAX];
	size_t count = world_load_parts(world, before, PARTS_MAX), told = 0;
	assert_int_equal(count, 4);
	struct series_selector selector = {.tenant = SPAN("main"), .metric = SPAN("temp")};
	struct series_snapshot *snapshot;
	assert_int_equal(series_partition_snapshot(world->partition, &selector, 0, INT64_MAX, 100,
	    &snapshot), 0);
	assert_int_equal(world_merge(world, false), 1);
	struct store_part after[PARTS_MAX];
	assert_int_equal(world_load_parts(world, after, PARTS_MAX), 1);
	assert_int_equal(after[0].level, 1);
	assert_int_equal(after[0].seq_first, before[0].seq_first);
	assert_int_equal(after[0].seq_last, before[3].seq_last);
	struct series_query query = {.from_ms = 0, .to_ms = INT64_MAX};
	struct series_query_sink sink = {begin_series, count_rows, end_series, NULL};
	assert_int_equal(series_query_run(&query, &snapshot, 1, &sink, &told), 0);
	assert_int_equal(told, world_model_count(world));
	char path[128];
	uint64_t bytes;
	for (size_t i = 0; i < count; i++) {
		part_name(path, sizeof(path), before[i].id);
		assert_int_equal(env_stat(world->env, path, &bytes), 0);
	}
	series_snapshot_unref(snapshot);
	for (size_t i = 0; i < count; i++) {
		part_name(path, sizeof(path), before[i].id);
		assert_int_equal(env_stat(world->env, path, &bytes), -ENOENT);
	}
	compare_all(world);
	world_destroy(world);
}

static void
sweep_removes_what_the_manifest_does_not_name(void **state)
{
	(void)state;
	struct world *world = world_with_parts(14, 2, 10);
	static const char *names[] = {"900.part", "7.part", "notes.txt", "12.part.old"};
	char path[128];
	uint64_t bytes, next_id = 0;
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		struct env_file *file;
		snprintf(path, sizeof(path), "%s/%s", WORLD_PARTS_DIR, names[i]);
		assert_int_equal(env_open(world->env, path, ENV_WRITE | ENV_CREATE, &file), 0);
		env_close(file);
	}
	uint64_t known[] = {1, 2};
	assert_int_equal(series_sweep(world->env, WORLD_PARTS_DIR, known, 2, &next_id), 0);
	assert_int_equal(next_id, 901);
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", WORLD_PARTS_DIR, names[i]);
		assert_int_equal(env_stat(world->env, path, &bytes), i < 2 ? -ENOENT : 0);
	}
	compare_all(world);
	world_destroy(world);
}

static void
flush_without_points_moves_the_cursor(void **state)
{
	(void)state;
	struct world *world = world_with_parts(15, 1, 10);
	uint64_t seq = world->seq + 100, stored;
	series_partition_advance(world->partition, seq);
	assert_int_equal(world_flush(world), 0);
	assert_int_equal(series_partition_cursor(world->partition), seq);
	assert_int_equal(store_cursor_get(world->store, "points", 0, &stored), 0);
	assert_int_equal(stored, seq);
	assert_null(series_partition_freeze(world->partition, &world->next_id));
	world_destroy(world);
}

static void
level_rises_and_parts_stay_few(void **state)
{
	(void)state;
	struct world *world = world_with_parts(16, 0, 0);
	for (unsigned i = 0; i < 40; i++) {
		write_day(world, 20, MORNING_MS + i * INT64_C(200000));
		assert_int_equal(world_flush(world), 0);
		while (world_merge(world, false) == 1)
			;
	}
	struct series_partition_stats stats;
	series_partition_stats(world->partition, &stats);
	assert_in_range(stats.parts, 1, 10);
	while (world_merge(world, true) == 1)
		;
	series_partition_stats(world->partition, &stats);
	assert_int_equal(stats.parts, 1);
	compare_all(world);
	world_destroy(world);
}

#define CURSOR_KEYS 20000u

/* Only even numbers are there. */
static struct span
cursor_key(char room[32], unsigned number)
{
	return span_of(room, (size_t)snprintf(room, 32, "a key of some length %06u", number));
}

static struct part *
part_of_many_keys(struct world *world)
{
	struct part_writer *writer;
	struct part *part;
	struct store_part info = {
		.id = atomic_fetch_add(&world->next_id, 1),
		.day = (int32_t)(MORNING_MS / WORLD_DAY_MS),
		.seq_first = 1,
		.seq_last = 1,
	};
	char room[32];
	assert_int_equal(part_writer_create(world->env, WORLD_PARTS_DIR, &info, &writer), 0);
	for (unsigned i = 0; i < CURSOR_KEYS; i++) {
		int64_t time_ms = MORNING_MS + i;
		double value = i;
		assert_int_equal(part_writer_series(writer, cursor_key(room, 2 * i)), 0);
		assert_int_equal(part_writer_points(writer, &time_ms, &value, 1), 0);
	}
	assert_int_equal(part_writer_finish(writer, &part), 0);
	part_writer_destroy(writer);
	return part;
}

static void
cursor_takes_a_break(struct world *world, struct part_cursor *cursor, struct part *part)
{
	struct part *held;
	assert_true(part_cursor_rest(cursor, &held) > 0);
	assert_ptr_equal(held, part);
	if (world_draw(world, 2))
		part_cursor_wake(cursor, part);
	else
		part_cursor_wake(cursor, held);
	part_unref(held);
}

/* Without reading it finds the right key or says that it cannot; the next seek is as good as
 * ever. */
static unsigned
cursor_looks_in_memory(struct world *world, struct part_cursor *cursor)
{
	char room[32];
	part_cursor_set_reading(cursor, false);
	unsigned last = 0;
	for (uint64_t i = 1 + world_draw(world, 3); i > 0; i--) {
		last = (unsigned)world_draw(world, CURSOR_KEYS);
		int got = part_cursor_seek(cursor, cursor_key(room, 2 * last));
		assert_true(got == 1 || got == -EAGAIN);
		if (got == 1)
			assert_true(span_eq(part_cursor_key(cursor), cursor_key(room, 2 * last)));
	}
	part_cursor_set_reading(cursor, true);
	return last;
}

/* Seeks, mostly onward and at times beyond the end, between walks: always the key that is due. */
static void
cursor_finds_what_is_due_however_it_came_there(void **state)
{
	(void)state;
	struct world *world = world_with_parts(17, 0, 0);
	struct part *part = part_of_many_keys(world);
	struct part_cursor *cursor;
	char room[32];
	assert_true(part->block_count > 2);
	assert_int_equal(part_cursor_create(part, &cursor), 0);
	unsigned due = 0; /* index of the key that it must stand on; CURSOR_KEYS: the end */
	assert_int_equal(part_cursor_seek(cursor, SPAN("")), 1);
	for (unsigned i = 0; i < 20000; i++) {
		int got;
		if (world_draw(world, 20) == 0)
			cursor_takes_a_break(world, cursor, part);
		if (world_draw(world, 20) == 0) {
			due = cursor_looks_in_memory(world, cursor);
			got = part_cursor_seek(cursor, cursor_key(room, 2 * due));
		} else if (world_draw(world, 2)) {
			got = part_cursor_next(cursor);
			due = MIN(due + 1, CURSOR_KEYS);
		} else {
			uint64_t reach = world_draw(world, 50) ? 8 : 2 * CURSOR_KEYS;
			unsigned back = MIN(2 * due, (unsigned)world_draw(world, 6));
			unsigned number = world_draw(world, 20) ?
			    2 * due - back + (unsigned)world_draw(world, reach) :
			    (unsigned)world_draw(world, 2 * CURSOR_KEYS + 9);
			got = part_cursor_seek(cursor, cursor_key(room, number));
			due = MIN((number + 1) / 2, CURSOR_KEYS);
		}
		assert_int_equal(got, due < CURSOR_KEYS);
		if (got)
			assert_true(span_eq(part_cursor_key(cursor), cursor_key(room, 2 * due)));
	}
	part_cursor_destroy(cursor);
	part_unref(part);
	world_destroy(world);
}

/* ── the shelf ── */

static struct part *
part_of_few_keys(struct world *world, unsigned keys)
{
	struct part_writer *writer;
	struct part *part;
	struct store_part info = {
		.id = atomic_fetch_add(&world->next_id, 1),
		.day = (int32_t)(MORNING_MS / WORLD_DAY_MS),
		.seq_first = 1,
		.seq_last = 1,
	};
	char room[32];
	assert_int_equal(part_writer_create(world->env, WORLD_PARTS_DIR, &info, &writer), 0);
	for (unsigned i = 0; i < keys; i++) {
		int64_t time_ms = MORNING_MS;
		double value = i;
		assert_int_equal(part_writer_series(writer, cursor_key(room, 2 * i)), 0);
		assert_int_equal(part_writer_points(writer, &time_ms, &value, 1), 0);
	}
	assert_int_equal(part_writer_finish(writer, &part), 0);
	part_writer_destroy(writer);
	return part;
}

/* Whether the shelf has what it takes to find the part's first key, which stays or comes there. */
static bool
shelf_knows(struct series_shelf *shelf, struct part *part)
{
	struct part_cursor *cursor;
	assert_int_equal(shelf_take(shelf, part, &cursor), 0);
	part_cursor_set_reading(cursor, false);
	int got = part_cursor_seek(cursor, SPAN(""));
	assert_true(got == 1 || got == -EAGAIN);
	part_cursor_set_reading(cursor, true);
	assert_int_equal(part_cursor_seek(cursor, SPAN("")), 1);
	shelf_put(shelf, cursor);
	return got == 1;
}

static void
shelf_gives_back_what_was_read_and_forgets_the_longest_unused(void **state)
{
	(void)state;
	enum { PARTS = 12 };
	struct world *world = world_with_parts(18, 0, 0);
	struct series_shelf *shelf;
	struct part *parts[PARTS];
	assert_int_equal(series_shelf_create(8000, &shelf), 0);
	for (unsigned i = 0; i < PARTS; i++) {
		parts[i] = part_of_few_keys(world, 100);
		assert_false(shelf_knows(shelf, parts[i]));
		assert_true(shelf_knows(shelf, parts[0])); /* always the one used last */
		assert_true(shelf_knows(shelf, parts[i]));
	}
	assert_false(shelf_knows(shelf, parts[1]));
	for (unsigned i = 0; i < PARTS; i++)
		part_unref(parts[i]);
	series_shelf_unref(shelf);
	world_destroy(world);
}

/* Cursors of the same part that are put back one after the other, by then without others. */
static void
shelf_outlives_nobody_and_nobody_it(void **state)
{
	(void)state;
	struct world *world = world_with_parts(19, 0, 0);
	struct series_shelf *shelf;
	struct part_cursor *cursors[3];
	struct part *part = part_of_few_keys(world, 10);
	assert_int_equal(series_shelf_create(SIZE_MAX, &shelf), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(shelf_take(shelf, part, &cursors[i]), 0);
	assert_int_equal(part_cursor_seek(cursors[1], SPAN("")), 1);
	shelf_put(shelf, cursors[0]);
	shelf_put(shelf, cursors[1]); /* it knows more */
	shelf_put(shelf, cursors[2]);
	assert_true(shelf_knows(shelf, part));
	assert_int_equal(shelf_take(shelf, part, &cursors[0]), 0);
	part_unref(part);
	shelf_put(shelf, cursors[0]); /* was the last to hold the part */
	assert_int_equal(shelf_take(NULL, part = part_of_few_keys(world, 10), &cursors[0]), 0);
	assert_int_equal(part_cursor_seek(cursors[0], SPAN("")), 1);
	shelf_put(NULL, cursors[0]);
	shelf_put(shelf, NULL);
	assert_false(shelf_knows(shelf, part));
	series_shelf_unref(shelf);
	part_unref(part);
	world_destroy(world);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    flipped_bit_anywhere_in_a_part_is_reported_and_nothing_false_served),
		cmocka_unit_test(cut_or_missing_part_is_reported),
		cmocka_unit_test(damaged_part_is_never_merged_away),
		cmocka_unit_test(part_of_another_partition_or_id_is_refused),
		cmocka_unit_test(any_failed_disk_call_loses_nothing),
		cmocka_unit_test(power_cut_at_any_call_loses_nothing),
		cmocka_unit_test(full_disk_keeps_the_head_until_there_is_room),
		cmocka_unit_test(snapshot_reads_files_that_were_merged_away),
		cmocka_unit_test(sweep_removes_what_the_manifest_does_not_name),
		cmocka_unit_test(flush_without_points_moves_the_cursor),
		cmocka_unit_test(level_rises_and_parts_stay_few),
		cmocka_unit_test(cursor_finds_what_is_due_however_it_came_there),
		cmocka_unit_test(shelf_gives_back_what_was_read_and_forgets_the_longest_unused),
		cmocka_unit_test(shelf_outlives_nobody_and_nobody_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

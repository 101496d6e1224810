/*
 * world_work.c: what is done with the world's parts: flushes, merges, roll-ups, retention, erasure;
 * each worked, committed and handed back as a loop would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "check.h"
#include "env.h"
#include "world.h"

struct world_unit {
	struct store_unit unit;
	struct series_flush *flush;
	struct series_merge *merge;
	struct series_roll *roll;
	struct series_retire *retire;
	struct series_erase *erase;
	const struct store_tombstone *tombstone;
	int error;
};

static int
world_unit_apply(struct store_unit *unit, struct store_tx *tx)
{
	struct world_unit *own = CONTAINER_OF(unit, struct world_unit, unit);
	if (own->flush)
		return series_flush_commit(own->flush, tx);
	if (own->roll)
		return series_roll_commit(own->roll, tx);
	if (own->retire)
		return series_retire_commit(own->retire, tx);
	if (own->erase)
		return series_erase_commit(own->erase, tx);
	if (own->tombstone)
		return store_tombstone_put(tx, own->tombstone);
	return series_merge_commit(own->merge, tx);
}

static void
world_unit_done(struct store_unit *unit, int error)
{
	CONTAINER_OF(unit, struct world_unit, unit)->error = error;
}

static int
world_commit(struct world *world, struct world_unit own)
{
	own.unit = (struct store_unit){.apply = world_unit_apply, .done = world_unit_done};
	own.error = 1;
	store_run(world->store, &own.unit);
	check(own.error <= 0);
	return own.error;
}

int
world_flush(struct world *world)
{
	struct series_flush *flush = series_partition_freeze(world->partition, &world->next_id);
	if (!flush)
		return 0;
	check(!series_partition_freeze(world->partition, &world->next_id));
	int error = series_flush_run(flush);
	if (error == 0)
		error = world_commit(world, (struct world_unit){.flush = flush});
	series_partition_flushed(world->partition, flush, error);
	return error;
}

int
world_merge(struct world *world, bool compact)
{
	struct series_merge *merge = compact
	    ? series_partition_compact_begin(world->partition, &world->next_id)
	    : series_partition_merge_begin(world->partition, &world->next_id);
	if (!merge)
		return 0;
	int error = series_merge_run(merge);
	if (error == 0)
		error = world_commit(world, (struct world_unit){.merge = merge});
	series_partition_merged(world->partition, merge, error);
	return error ? error : 1;
}

static int
world_run_roll(struct world *world, struct series_roll *roll)
{
	if (!roll)
		return 0;
	int error = series_roll_run(roll);
	if (error == 0)
		error = world_commit(world, (struct world_unit){.roll = roll});
	series_partition_rolled(world->partition, roll, error);
	return error ? error : 1;
}

int
world_roll(struct world *world, enum series_roll_when when)
{
	return world_run_roll(world, series_partition_roll_begin(world->partition,
	    &world->next_id, when));
}

int
world_roll_before(struct world *world, int64_t before_ms)
{
	return world_run_roll(world, series_partition_roll_before(world->partition,
	    &world->next_id, before_ms));
}

int
world_retire(struct world *world, int64_t before_ms)
{
	struct series_retire *retire = series_partition_retire_begin(world->partition, before_ms,
	    INT64_MIN);
	if (!retire)
		return 0;
	int error = world_commit(world, (struct world_unit){.retire = retire});
	series_partition_retired(world->partition, retire, error);
	uint64_t floor;
	if (error == 0 && store_cursor_get(world->store, "floor", 0, &floor) == 0)
		world->floor_ms = (int64_t)floor;
	return error ? error : 1;
}

static int
world_count_tombstone(void *ctx, const struct store_tombstone *tombstone)
{
	*(size_t *)ctx += tombstone->series_done_ms == 0;
	return 0;
}

int
world_erase(struct world *world, size_t series)
{
	char device[3] = {'d', (char)('a' + series), 0};
	struct store_tombstone tombstone = {
		.tenant = SPAN("main"),
		.device = span_str(device),
		.seq = world->seq,
		.part_id = atomic_fetch_add(&world->next_id, 1),
		.created_ms = 1,
	};
	check(series_partition_hide(world->partition, &tombstone) == 0);
	int error = world_commit(world, (struct world_unit){.tombstone = &tombstone});
	if (error) {
		world->doubted = series;
		world->doubted_seq = world->seq;
	} else {
		world->model[series].count = 0;
	}
	return error;
}

int
world_rewrite(struct world *world)
{
	bool flush;
	struct series_erase *erase = series_partition_erase_begin(world->partition,
	    &world->next_id, &flush);
	if (!erase && flush) {
		series_partition_advance(world->partition, world->seq);
		int error = world_flush(world);
		if (error)
			return error;
		erase = series_partition_erase_begin(world->partition, &world->next_id, &flush);
	}
	if (!erase)
		return 0;
	int error = series_erase_run(erase);
	if (error == 0)
		error = world_commit(world, (struct world_unit){.erase = erase});
	bool done = series_partition_erased(world->partition, erase, error);
	return error ? error : !done;
}

size_t
world_tombstones(struct world *world)
{
	size_t open = 0;
	check(store_tombstones_load(world->store, world_count_tombstone, &open) == 0);
	return open;
}

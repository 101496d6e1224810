/*
 * partition.c: what a loop does with a partition that it owns: take points in, tell the last ones.
 *
 * Invariants: head and frozen head lie on different sides (roster_series.slot); everything in the
 * frozen head came before everything in the head; parts are ordered by (day, seq_first) and parts
 * of a day never overlap in seq. A record is applied whole or not at all.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "series_priv.h"

/* Makes the directory and makes it last. */
static int
partition_make_dir(struct env *env, const char *dir)
{
	int error = env_mkdir(env, dir);
	if (error)
		return error;
	char *parent = strdup(dir);
	if (!parent)
		return -ENOMEM;
	char *slash = strrchr(parent, '/');
	if (slash)
		*(slash == parent ? slash + 1 : slash) = 0;
	error = env_sync_dir(env, slash ? parent : ".");
	free(parent);
	return error;
}

int
series_partition_create(struct env *env, const char *dir, uint32_t number,
    struct series_partition **ret_partition)
{
	struct series_partition *partition = calloc(1, sizeof(*partition));
	if (!partition)
		return -ENOMEM;
	partition->env = env;
	partition->number = number;
	partition->floor_ms = INT64_MIN;
	roster_init(&partition->roster);
	buf_init(&partition->indexes, 0);
	partition->dir = strdup(dir);
	partition->head = head_create(0);
	int error = -ENOMEM;
	if (!partition->dir || !partition->head)
		goto fail;
	error = partition_make_dir(env, dir);
	if (error)
		goto fail;
	*ret_partition = partition;
	return 0;
fail:
	series_partition_destroy(partition);
	return error;
}

void
series_partition_destroy(struct series_partition *partition)
{
	if (!partition)
		return;
	for (size_t i = 0; i < partition->part_count; i++)
		part_unref(partition->parts[i]);
	free(partition->parts);
	for (size_t i = 0; i < partition->written_count; i++)
		part_unref(partition->written[i]);
	free(partition->written);
	for (size_t i = 0; i < partition->roll_count; i++)
		part_unref(partition->rolls[i]);
	free(partition->rolls);
	tombs_unref(partition->tombs);
	head_destroy(partition->head);
	head_destroy(partition->frozen);
	roster_finish(&partition->roster);
	buf_finish(&partition->indexes);
	series_shelf_unref(partition->shelf);
	free(partition->dir);
	free(partition);
}

void
series_partition_set_shelf(struct series_partition *partition, struct series_shelf *shelf)
{
	check(!partition->shelf);
	partition->shelf = series_shelf_ref(shelf);
}

/* ── parts ── */

static bool
partition_part_before(const struct part *a, const struct part *b)
{
	if (a->info.rollup != b->info.rollup)
		return a->info.rollup < b->info.rollup;
	if (a->info.day != b->info.day)
		return a->info.day < b->info.day;
	return a->info.seq_first < b->info.seq_first;
}

static int
partition_reserve(struct part ***parts, size_t *cap, size_t used, size_t count)
{
	if (*cap - used >= count)
		return 0;
	size_t room = *cap + MAX(count, *cap / 2 + 8);
	void *grown = realloc(*parts, room * sizeof(struct part *));
	if (!grown)
		return -ENOMEM;
	*parts = grown;
	*cap = room;
	return 0;
}

int
partition_reserve_parts(struct series_partition *partition, size_t count)
{
	return partition_reserve(&partition->parts, &partition->part_cap, partition->part_count,
	    count);
}

int
partition_reserve_rolls(struct series_partition *partition, size_t count)
{
	return partition_reserve(&partition->rolls, &partition->roll_cap, partition->roll_count,
	    count);
}

static void
partition_insert(struct part **parts, size_t *count, struct part *part)
{
	size_t at = (*count)++;
	for (; at > 0 && partition_part_before(part, parts[at - 1]); at--)
		parts[at] = parts[at - 1];
	parts[at] = part;
}

int
partition_add_part(struct series_partition *partition, struct part *part)
{
	if (part->info.rollup) {
		if (partition_reserve_rolls(partition, 1) != 0)
			return -ENOMEM;
		partition_insert(partition->rolls, &partition->roll_count, part);
		partition->roll_bytes += part->info.bytes;
		return 0;
	}
	if (partition_reserve_parts(partition, 1) != 0)
		return -ENOMEM;
	partition_insert(partition->parts, &partition->part_count, part);
	partition->part_points += part->info.points;
	partition->part_bytes += part->info.bytes;
	return 0;
}

void
partition_drop_part(struct series_partition *partition, struct part *part)
{
	bool roll = part->info.rollup;
	struct part **parts = roll ? partition->rolls : partition->parts;
	size_t *count = roll ? &partition->roll_count : &partition->part_count;
	size_t at = 0;
	while (parts[at] != part)
		at++;
	--*count;
	memmove(&parts[at], &parts[at + 1], (*count - at) * sizeof(struct part *));
	if (roll) {
		partition->roll_bytes -= part->info.bytes;
	} else {
		partition->part_points -= part->info.points;
		partition->part_bytes -= part->info.bytes;
	}
	atomic_store_explicit(&part->doomed, true, memory_order_relaxed);
	part_unref(part);
}

/* The number of the series with this key. Parts name their series in order of keys, so what one
 * part has made known stands in the roster in the order of the next: behind `before`, mostly. */
static int
partition_enroll_key(struct series_partition *partition, struct span key, uint32_t before,
    uint32_t *ret_number)
{
	struct roster *roster = &partition->roster;
	uint32_t next = before + 1;
	if (next < roster->count && span_eq(key, roster_key(roster, next))) {
		*ret_number = next;
		return 0;
	}
	return roster_take(roster, series_key_hash(key), key, ret_number);
}

/* Makes the series of a part known. */
static int
partition_enroll(struct series_partition *partition, struct part *part, uint64_t *ret_damage)
{
	struct part_cursor *cursor;
	if (part_cursor_create(part, &cursor) != 0)
		return -ENOMEM;
	uint32_t number = UINT32_MAX;
	int got;
	while ((got = part_cursor_next(cursor)) == 1) {
		struct span key = part_cursor_key(cursor);
		const struct part_entry *entry = part_cursor_entry(cursor);
		if (number == UINT32_MAX ||
		    !span_eq(key, roster_key(&partition->roster, number))) {
			got = partition_enroll_key(partition, key, number, &number);
			if (got)
				break;
		}
		struct tombs_limit limit = tombs_of_key(partition->tombs, key);
		if (!tombs_hide(&limit, &part->info))
			roster_note(&partition->roster, number, entry->first_ms, entry->last_ms,
			    entry->last);
	}
	*ret_damage = part_cursor_damage(cursor);
	part_cursor_destroy(cursor);
	return got;
}

int
series_partition_attach(struct series_partition *partition, const struct store_part *info,
    series_damage_fn *report, void *report_ctx)
{
	struct part *part = NULL;
	struct series_damage damage;
	const char *reason;
	uint64_t offset = 0;
	int error = part_open(partition->env, partition->dir, info, &part, &reason);
	if (error == 0) {
		reason = "damaged index";
		error = partition_enroll(partition, part, &offset);
	}
	if (error == 0)
		error = partition_add_part(partition, part);
	if (error == 0)
		return 0;
	if (report && error != -ENOMEM) {
		struct part named = {.info = *info};
		part_damage(&damage, &named, offset, error == -ENOENT ? "missing" : reason);
		report(report_ctx, &damage);
	}
	part_unref(part);
	return error;
}

struct partition_sweep {
	struct env *env;
	const char *dir;
	const uint64_t *known;
	size_t count;
	uint64_t last_id;
	bool swept;
};

static bool
partition_id_known(const struct partition_sweep *sweep, uint64_t id)
{
	size_t low = 0, high = sweep->count;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (sweep->known[mid] < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < sweep->count && sweep->known[low] == id;
}

static int
partition_sweep_one(void *ctx, const char *name)
{
	struct partition_sweep *sweep = ctx;
	char *end;
	errno = 0;
	uint64_t id = strtoull(name, &end, 10);
	if (errno || end == name || strcmp(end, ".part") != 0)
		return 0;
	sweep->last_id = MAX(sweep->last_id, id);
	if (partition_id_known(sweep, id))
		return 0;
	char path[PART_PATH_BYTES_MAX];
	int len = snprintf(path, sizeof(path), "%s/%s", sweep->dir, name);
	if (len < 0 || (size_t)len >= sizeof(path))
		return -ENAMETOOLONG;
	sweep->swept = true;
	return env_unlink(sweep->env, path);
}

int
series_sweep(struct env *env, const char *dir, const uint64_t *known, size_t count,
    uint64_t *ret_next_id)
{
	struct partition_sweep sweep = {
		.env = env,
		.dir = dir,
		.known = known,
		.count = count,
		.last_id = count ? known[count - 1] : 0,
	};
	int error = env_list_dir(env, dir, partition_sweep_one, &sweep);
	if (error == 0 && sweep.swept)
		error = env_sync_dir(env, dir);
	if (error)
		return error;
	*ret_next_id = sweep.last_id + 1;
	return 0;
}

/* ── points ── */

void
series_partition_set_cursor(struct series_partition *partition, uint64_t seq)
{
	partition->cursor = seq;
	partition->applied = MAX(partition->applied, seq);
}

uint64_t
series_partition_cursor(const struct series_partition *partition)
{
	return partition->cursor;
}

void
series_partition_advance(struct series_partition *partition, uint64_t seq)
{
	partition->applied = MAX(partition->applied, seq);
}

/* With a million series each step of a look-up is a miss of all caches; asked for some series
 * ahead, the misses of several overlap. */
enum { EXPECT_PLACE = 24, EXPECT_RECORD = 16, EXPECT_KEY = 8, EXPECT_HEAD = 12, EXPECT_RUN = 6 };

/* Asks for what the first series will want, ahead of which nobody walks. */
static void
partition_expect_first(const struct series_partition *partition,
    const struct series_batch *batch, const uint32_t *series, size_t count)
{
	const struct roster *roster = &partition->roster;
	for (size_t i = 0; count > 1 && i < MIN(count, (size_t)EXPECT_PLACE); i++)
		roster_expect_place(roster, series_batch_series_hash(batch, series[i]));
	for (size_t i = 0; count > 1 && i < MIN(count, (size_t)EXPECT_RECORD); i++)
		roster_expect_record(roster, series_batch_series_hash(batch, series[i]));
	for (size_t i = 0; count > 1 && i < MIN(count, (size_t)EXPECT_KEY); i++)
		roster_expect_key(roster, series_batch_series_hash(batch, series[i]));
}

/* Asks for what the series from `i` on will want. */
static void
partition_expect_series(const struct series_partition *partition,
    const struct series_batch *batch, const uint32_t *series, size_t count, size_t i)
{
	const struct roster *roster = &partition->roster;
	if (i + EXPECT_PLACE < count)
		roster_expect_place(roster,
		    series_batch_series_hash(batch, series[i + EXPECT_PLACE]));
	if (i + EXPECT_RECORD < count)
		roster_expect_record(roster,
		    series_batch_series_hash(batch, series[i + EXPECT_RECORD]));
	if (i + EXPECT_KEY < count)
		roster_expect_key(roster,
		    series_batch_series_hash(batch, series[i + EXPECT_KEY]));
}

/* The head's index of each series of the batch, by slot. */
static int
partition_prepare(struct series_partition *partition, const struct series_batch *batch,
    size_t points)
{
	size_t count;
	const uint32_t *series = series_batch_series(batch, partition->number, &count);
	struct buf *indexes = &partition->indexes;
	buf_clear(indexes);
	if (buf_reserve(indexes, count * sizeof(uint32_t)) != 0)
		return -ENOMEM;
	partition_expect_first(partition, batch, series, count);
	for (size_t i = 0; i < count; i++) {
		uint32_t number, index;
		partition_expect_series(partition, batch, series, count, i);
		if (roster_take(&partition->roster, series_batch_series_hash(batch, series[i]),
		    series_batch_series_key(batch, series[i]), &number) != 0 ||
		    head_take(partition->head, &partition->roster, number, &index) != 0 ||
		    buf_append(indexes, &index, sizeof(index)) != 0)
			return -ENOMEM;
	}
	return head_reserve(partition->head, count, points);
}

static uint32_t
partition_index(const struct series_partition *partition, const struct series_point *point)
{
	uint32_t index;
	memcpy(&index, partition->indexes.ptr + point->slot * sizeof(index), sizeof(index));
	return index;
}

/* At replay, and in the moment of a tombstone. */
static bool
partition_hides_point(const struct series_partition *partition, const struct series_batch *batch,
    const struct series_point *point, uint64_t seq)
{
	return seq <= tombs_of_key(partition->tombs, series_batch_key(batch, point)).seq;
}

int
series_partition_apply(struct series_partition *partition, const struct series_batch *batch,
    uint64_t seq, int64_t now_ms)
{
	size_t count;
	const struct series_point *points = series_batch_points(batch, partition->number, &count);
	if (seq <= partition->applied)
		return 0;
	if (count && partition_prepare(partition, batch, count) != 0)
		return -ENOMEM;
	struct head *head = partition->head;
	bool hiding = partition->tombs && seq <= partition->tomb_seq;
	for (size_t i = 0; i < count; i++) {
		if (hiding && partition_hides_point(partition, batch, &points[i], seq))
			continue;
		if (i + EXPECT_HEAD < count)
			head_expect(head, partition_index(partition, &points[i + EXPECT_HEAD]));
		if (i + EXPECT_RUN < count)
			head_expect_run(head, partition_index(partition, &points[i + EXPECT_RUN]));
		uint32_t at = partition_index(partition, &points[i]);
		head_put(head, at, points[i].time_ms, points[i].value);
		roster_note(&partition->roster, head->series[at].number, points[i].time_ms,
		    points[i].time_ms, points[i].value);
	}
	partition->applied = seq;
	if (count) {
		head->seq_first = head->seq_first ? head->seq_first : seq;
		head->seq_last = seq;
		head->arrival_first_ms = MIN(head->arrival_first_ms, now_ms);
	}
	return 0;
}

/* ── asking ── */

int
series_partition_keys(const struct series_partition *partition,
    int (*each)(void *ctx, struct span key), void *ctx)
{
	int stop = 0;
	for (uint32_t i = 0; i < partition->roster.count && stop == 0; i++)
		stop = each(ctx, roster_key(&partition->roster, i));
	return stop;
}

void
series_partition_stats(const struct series_partition *partition,
    struct series_partition_stats *ret_stats)
{
	struct series_partition_stats stats = {
		.series = partition->roster.count,
		.parts = partition->part_count,
		.part_points = partition->part_points,
		.part_bytes = partition->part_bytes,
		.roll_parts = partition->roll_count,
		.roll_bytes = partition->roll_bytes,
		.filling_bytes = head_bytes(partition->head),
		.head_oldest_ms = INT64_MAX,
	};
	const struct head *heads[] = {partition->frozen, partition->head};
	for (size_t i = 0; i < ARRAY_COUNT(heads); i++) {
		if (!heads[i])
			continue;
		stats.head_points += heads[i]->points;
		stats.head_bytes += head_bytes(heads[i]);
		stats.head_oldest_ms = MIN(stats.head_oldest_ms, heads[i]->arrival_first_ms);
	}
	*ret_stats = stats;
}

int
series_partition_latest(struct series_partition *partition,
    const struct series_selector *selector,
    int (*each)(void *ctx, const struct series_latest *latest), void *ctx)
{
	uint32_t *numbers;
	size_t count;
	int stop = roster_select(&partition->roster, selector, SIZE_MAX, &numbers, &count);
	if (stop)
		return stop;
	for (size_t i = 0; i < count && stop == 0; i++) {
		const struct roster_series *series = &partition->roster.series[numbers[i]];
		struct series_latest latest = {
			.key = roster_key(&partition->roster, numbers[i]),
			.first_ms = series->first_ms,
			.last_ms = series->last_ms,
			.last_value = series->last_value,
		};
		stop = each(ctx, &latest);
	}
	free(numbers);
	return stop;
}

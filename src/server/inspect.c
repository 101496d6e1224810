/*
 * inspect.c: `weir inspect DIR`: parts, journal segments, damage and totals of a data directory.
 *
 * Changes nothing and takes no lock, so it works beside a running server, whose files come and go
 * meanwhile: what is gone when it is looked at again is no damage. Parts speak for themselves:
 * weir.db is not opened, so what a crash left behind counts until the next start deletes it; of
 * parts that a merge replaced only the merged one counts.
 */
#include "inspect.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "data.h"
#include "datetime.h"
#include "journal.h"
#include "num.h"
#include "options.h"
#include "part_check.h"

#define OPEN_TRIES 5 /* of the journal, while a server renames its files */

struct file_part {
	struct store_part info;
	bool replaced; /* by a merged one */
};

struct inspect {
	struct env *env;
	const char *dir;
	bool quick, list;
	char journal_dir[DATA_PATH_BYTES], series_dir[DATA_PATH_BYTES];
	uint64_t damages;

	struct file_part *parts;
	size_t part_count, part_cap;
	uint64_t *hashes;          /* of keys; sorted and unique up to hash_sorted */
	size_t hash_count, hash_cap, hash_sorted;

	struct journal *journal;
	struct journal_damage *opened; /* what opening reported */
	size_t opened_count;
	uint64_t records, segment_bytes, spare_bytes;
};

/* ── printing ── */

static void
print_time(const char *name, int64_t ms)
{
	char text[DATETIME_TEXT_BYTES];
	datetime_format(text, ms);
	printf(" %s %.*s", name, DATETIME_TEXT_BYTES, text);
}

static void __attribute__((format(printf, 2, 3)))
damage_print(struct inspect *inspect, const char *format, ...)
{
	va_list args;
	inspect->damages++;
	printf("damage ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void
total_print(const char *name, uint64_t value)
{
	printf("%s %llu\n", name, (unsigned long long)value);
}

/* ── parts ── */

static int
part_note(struct inspect *inspect, const struct store_part *info)
{
	if (inspect->part_count == inspect->part_cap) {
		size_t cap = inspect->part_cap ? inspect->part_cap * 2 : 64;
		void *grown = realloc(inspect->parts, cap * sizeof inspect->parts[0]);
		if (!grown)
			return -ENOMEM;
		inspect->parts = grown;
		inspect->part_cap = cap;
	}
	inspect->parts[inspect->part_count++] = (struct file_part){.info = *info};
	return 0;
}

static int
part_each_name(void *ctx, const char *name)
{
	struct inspect *inspect = ctx;
	struct span text = span_str(name);
	struct store_part info;
	const char *reason;
	uint64_t id;
	if (text.len <= 5 || strcmp(name + text.len - 5, ".part") != 0 ||
	    num_parse_u64(span_of(name, text.len - 5), &id))
		return 0;
	int error = part_peek(inspect->env, inspect->series_dir, id, &info, &reason);
	if (error == -EBADMSG || error == -EPROTO)
		damage_print(inspect, "%s: %s", name, reason);
	else if (error == 0)
		return part_note(inspect, &info);
	else if (error != -ENOENT)
		return error;
	return 0;
}

static int
hash_order(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

static void
hashes_sort(struct inspect *inspect)
{
	size_t kept = 0;
	if (inspect->hash_count > 0)
		qsort(inspect->hashes, inspect->hash_count, sizeof inspect->hashes[0], hash_order);
	for (size_t i = 0; i < inspect->hash_count; i++)
		if (i == 0 || inspect->hashes[i] != inspect->hashes[kept - 1])
			inspect->hashes[kept++] = inspect->hashes[i];
	inspect->hash_count = inspect->hash_sorted = kept;
}

static int
hash_note(void *ctx, uint64_t hash)
{
	struct inspect *inspect = ctx;
	if (inspect->hash_count == inspect->hash_cap) {
		hashes_sort(inspect);
		if (inspect->hash_count > inspect->hash_cap / 2 || inspect->hash_cap == 0) {
			size_t cap = inspect->hash_cap ? inspect->hash_cap * 2 : 4096;
			void *grown = realloc(inspect->hashes, cap * sizeof inspect->hashes[0]);
			if (!grown)
				return -ENOMEM;
			inspect->hashes = grown;
			inspect->hash_cap = cap;
		}
	}
	inspect->hashes[inspect->hash_count++] = hash;
	return 0;
}

static void
part_report(void *ctx, const struct series_damage *damage)
{
	damage_print(ctx, "%s at byte %llu: %s", damage->file, (unsigned long long)damage->offset,
	    damage->reason);
}

/* Reads a part, unless --quick; a merge of the server's may have taken it away meanwhile. */
static int
part_look(struct inspect *inspect, const struct file_part *file)
{
	struct part *part;
	const char *reason;
	const struct store_part *info = &file->info;
	int error = part_open(inspect->env, inspect->series_dir, info, &part, &reason);
	if (error == -EBADMSG || error == -EPROTO)
		damage_print(inspect, "%llu.part: %s", (unsigned long long)info->id, reason);
	if (error)
		return error == -ENOMEM || error == -EIO ? error : 0;
	if (!inspect->quick)
		error = part_check(part, hash_note, part_report, inspect);
	part_unref(part);
	return error == -ENOENT ? 0 : error;
}

static void
part_print(const struct file_part *file)
{
	static const char *const kinds[] = {"points", "minutes", "hours", "days"};
	const struct store_part *info = &file->info;
	printf("part %llu %s partition %u level %u bytes %llu points %llu series %llu",
	    (unsigned long long)info->id, kinds[MIN(info->rollup, 3u)], info->partition,
	    info->level, (unsigned long long)info->bytes, (unsigned long long)info->points,
	    (unsigned long long)info->series);
	print_time("from", info->time_first);
	print_time("to", info->time_last);
	printf("%s\n", file->replaced ? " replaced" : "");
}

/* Whether a merged part holds all of this one. */
static bool
part_replaced(const struct inspect *inspect, const struct store_part *info)
{
	for (size_t i = 0; i < inspect->part_count && info->rollup == 0; i++) {
		const struct store_part *other = &inspect->parts[i].info;
		if (other->rollup == 0 && other->partition == info->partition &&
		    other->day == info->day && other->level > info->level &&
		    other->seq_first <= info->seq_first && other->seq_last >= info->seq_last)
			return true;
	}
	return false;
}

static int
parts_look(struct inspect *inspect)
{
	int error = env_list_dir(inspect->env, inspect->series_dir, part_each_name, inspect);
	if (error == -ENOENT)
		return 0;
	for (size_t i = 0; i < inspect->part_count && !error; i++) {
		struct file_part *file = &inspect->parts[i];
		file->replaced = part_replaced(inspect, &file->info);
		error = part_look(inspect, file);
		if (inspect->list)
			part_print(file);
	}
	hashes_sort(inspect);
	return error;
}

/* ── journal ── */

static void
journal_opened(void *ctx, const struct journal_damage *damage)
{
	struct inspect *inspect = ctx;
	if (strcmp(damage->reason, "torn") == 0)
		return; /* a crash's, or what a server is just writing */
	void *grown = realloc(inspect->opened,
	    (inspect->opened_count + 1) * sizeof inspect->opened[0]);
	if (!grown)
		return;
	inspect->opened = grown;
	inspect->opened[inspect->opened_count++] = *damage;
}

static int
journal_begin(struct inspect *inspect)
{
	struct journal_options options = {.dir = inspect->journal_dir, .read_only = true};
	int error = 0;
	for (int i = 0; i < OPEN_TRIES; i++) {
		journal_close(inspect->journal);
		inspect->journal = NULL;
		inspect->opened_count = 0;
		error = journal_open(inspect->env, &options, journal_opened, inspect,
		    &inspect->journal);
		if (error != -ENOENT && (error || inspect->opened_count == 0))
			break;
	}
	return error;
}

/* The file was sealed, used again or trimmed meanwhile. */
static bool
segment_gone(const struct inspect *inspect, const char *name)
{
	char path[DATA_PATH_BYTES];
	uint64_t bytes;
	return data_path(inspect->journal_dir, name, path) == 0 &&
	    env_stat(inspect->env, path, &bytes) == -ENOENT;
}

static void
journal_damage_note(struct inspect *inspect, const struct journal_damage *damage)
{
	damage_print(inspect, "%s at byte %llu: %s (%llu bytes)", damage->segment,
	    (unsigned long long)damage->offset, damage->reason,
	    (unsigned long long)damage->bytes);
}

static int
segment_look(void *ctx, const struct journal_segment_info *segment)
{
	struct inspect *inspect = ctx;
	inspect->segment_bytes += segment->disk_bytes;
	inspect->records += segment->records;
	if (!inspect->list)
		return 0;
	printf("segment %llu %s bytes %llu records %llu", (unsigned long long)segment->number,
	    segment->sealed ? "sealed" : "plain", (unsigned long long)segment->disk_bytes,
	    (unsigned long long)segment->records);
	if (segment->records > 0) {
		printf(" seqs %llu to %llu", (unsigned long long)segment->first_seq,
		    (unsigned long long)segment->last_seq);
		print_time("from", segment->arrival_min_ms);
		print_time("to", segment->arrival_max_ms);
	}
	putchar('\n');
	return 0;
}

static int
journal_read(struct inspect *inspect)
{
	struct journal_reader *reader;
	struct journal_record record;
	struct journal_damage damage;
	int r = journal_reader_open(inspect->journal, 0, &reader);
	if (r < 0)
		return r;
	while ((r = journal_reader_next(reader, &record, &damage)) == 1 || r == -EBADMSG)
		if (r == -EBADMSG && !segment_gone(inspect, damage.segment))
			journal_damage_note(inspect, &damage);
	journal_reader_close(reader);
	return r;
}

static int
spare_each_name(void *ctx, const char *name)
{
	struct inspect *inspect = ctx;
	char path[DATA_PATH_BYTES];
	uint64_t bytes;
	if (strncmp(name, "spare-", 6) == 0 && data_path(inspect->journal_dir, name, path) == 0 &&
	    env_stat(inspect->env, path, &bytes) == 0)
		inspect->spare_bytes += bytes;
	return 0;
}

static int
journal_look(struct inspect *inspect)
{
	int error = journal_begin(inspect);
	if (error == -ENOENT)
		return 0;
	for (size_t i = 0; i < inspect->opened_count && !error; i++)
		journal_damage_note(inspect, &inspect->opened[i]);
	if (!error)
		error = journal_each_segment(inspect->journal, segment_look, inspect);
	if (!error)
		error = env_list_dir(inspect->env, inspect->journal_dir, spare_each_name, inspect);
	if (!error && !inspect->quick)
		error = journal_read(inspect);
	return error;
}

/* ── totals ── */

static void
totals_print(const struct inspect *inspect)
{
	uint64_t points = 0, bytes = 0, count = 0, rollup_bytes = 0, rollups = 0;
	struct journal_stats stats = {.commits = 0};
	for (size_t i = 0; i < inspect->part_count; i++) {
		const struct file_part *file = &inspect->parts[i];
		bool raw = file->info.rollup == 0 && !file->replaced;
		points += raw ? file->info.points : 0;
		bytes += raw ? file->info.bytes : 0;
		count += raw;
		rollups += file->info.rollup != 0;
		rollup_bytes += file->info.rollup ? file->info.bytes : 0;
	}
	if (inspect->journal)
		journal_stats(inspect->journal, &stats);
	if (!inspect->quick)
		total_print("series", inspect->hash_count);
	total_print("points", points);
	total_print("parts", count);
	total_print("part_bytes", bytes);
	printf("bytes_per_point %.3f\n", points ? (double)bytes / (double)points : 0);
	total_print("rollup_parts", rollups);
	total_print("rollup_bytes", rollup_bytes);
	printf("bytes_per_point_with_rollups %.3f\n",
	    points ? (double)(bytes + rollup_bytes) / (double)points : 0);
	total_print("journal_segments", stats.segments);
	total_print("journal_sealed_segments", stats.sealed_segments);
	total_print("journal_records", inspect->records);
	total_print("journal_first_seq", stats.first_seq);
	total_print("journal_last_seq", stats.durable_seq);
	total_print("journal_bytes", inspect->segment_bytes);
	total_print("journal_spare_bytes", inspect->spare_bytes);
	total_print("damages", inspect->damages);
}

static void
inspect_finish(struct inspect *inspect)
{
	journal_close(inspect->journal);
	free(inspect->opened);
	free(inspect->parts);
	free(inspect->hashes);
	env_destroy(inspect->env);
}

static int
inspect_run(struct inspect *inspect)
{
	inspect->env = env_create();
	int error = inspect->env ? 0 : -ENOMEM;
	uint64_t bytes;
	char path[DATA_PATH_BYTES];
	if (!error)
		error = data_path(inspect->dir, "lock", path);
	if (!error) /* every data directory has it */
		error = env_stat(inspect->env, path, &bytes);
	if (!error)
		error = data_path(inspect->dir, "series", inspect->series_dir);
	if (!error)
		error = data_path(inspect->dir, "journal", inspect->journal_dir);
	if (!error)
		error = parts_look(inspect);
	if (!error)
		error = journal_look(inspect);
	if (!error)
		totals_print(inspect);
	if (error)
		fprintf(stderr, "weir: %s cannot be inspected: %s\n", inspect->dir,
		    error == -ENOENT ? "it is no data directory" : strerror(-error));
	inspect_finish(inspect);
	return error || inspect->damages ? 1 : 0;
}

int
inspect_main(int argc, char **argv)
{
	struct inspect inspect = {.dir = NULL};
	const struct options_entry entries[] = {
	    {"list", NULL, OPTIONS_FLAG, false, &inspect.list,
		"also a line for each part and each segment"},
	    {"quick", NULL, OPTIONS_FLAG, false, &inspect.quick,
		"read only what files say of themselves, not all they hold"},
	    {.name = NULL},
	};
	const struct options_command command = {
	    .usage = "weir inspect DIR [OPTIONS]",
	    .help =
		"Says what is in a data directory: series, points, part files, journal, and what\n"
		"of it is damaged. Reads everything and changes nothing; a server may be running.\n"
		"A line is a name and a number; bytes_per_point is parts of points and their\n"
		"index ÷ points.",
	    .more = "Exit code: 0, or 1 when there is damage or the directory cannot be read.\n",
	    .options = entries,
	};
	/* The directory may stand anywhere among the options. */
	char *rest[OPTIONS_LIST_MAX + 2];
	int count = 0;
	for (int i = 0; i < argc && count < OPTIONS_LIST_MAX; i++) {
		if (i > 0 && argv[i][0] != '-' && !inspect.dir)
			inspect.dir = argv[i];
		else
			rest[count++] = argv[i];
	}
	rest[count] = NULL;
	enum options_result result = options_parse(&command, count, rest, stdout, stderr);
	if (result == OPTIONS_HELP)
		return 0;
	if (result == OPTIONS_OK && !inspect.dir)
		fprintf(stderr, "weir: a data directory is needed; see weir inspect --help\n");
	if (result != OPTIONS_OK || !inspect.dir)
		return 2;
	return inspect_run(&inspect);
}

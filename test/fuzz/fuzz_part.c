/*
 * fuzz_part.c: attaching and querying a part file of arbitrary bytes.
 *
 * The input is the file; the checksums of its header, footer and directory are made right, and
 * those of the index blocks where the directory is not compressed, so that what lies behind them
 * is reached (chunks have a fuzzer of their own). Whatever the bytes are: nothing is read outside,
 * queries end, and what they tell rises in time and lies in the range that was asked for.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bits.h"
#include "check.h"
#include "env.h"
#include "hash.h"
#include "part_priv.h"
#include "query.h"
#include "series.h"
#include "sim.h"

#define INPUT_BYTES_MAX (1u << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
	int64_t before_ms, to_ms;
	size_t rows;
};

static int
told_begin(void *ctx, struct span key)
{
	((struct told *)ctx)->before_ms = INT64_MIN;
	check(key.len > 0);
	return 0;
}

static int
told_rows(void *ctx, const struct series_rows *rows)
{
	struct told *told = ctx;
	for (size_t i = 0; i < rows->count; i++) {
		check(rows->times_ms[i] > told->before_ms);
		check(rows->times_ms[i] < told->to_ms);
		told->before_ms = rows->times_ms[i];
	}
	told->rows += rows->count;
	return told->rows > 100000 ? -ECANCELED : 0;
}

static int
told_end(void *ctx)
{
	(void)ctx;
	return 0;
}

static void
ask(struct series_partition *partition, const struct series_query *query)
{
	const struct series_query_sink sink = {told_begin, told_rows, told_end, NULL};
	struct series_selector selector = {.tenant = SPAN("main")};
	struct told told = {.to_ms = query->to_ms};
	struct series_snapshot *snapshot;
	check(series_partition_snapshot(partition, &selector, query->from_ms, query->to_ms,
	    SIZE_MAX, &snapshot) == 0);
	int error = series_query_run(query, &snapshot, 1, &sink, &told);
	check(error == 0 || error == -ECANCELED);
	series_snapshot_unref(snapshot);
}

/* Makes the checksums of index blocks right that an uncompressed directory has. */
static void
repair_directory(uint8_t *bytes, size_t size, const struct part_foot *foot)
{
	struct bits_in in = {bytes + foot->dir_offset, bytes + foot->dir_offset + foot->dir_len};
	uint64_t index = foot->data_end;
	for (uint32_t i = 0; i < foot->blocks; i++) {
		uint64_t shared, len, data_len, index_len, raw_len, entries;
		if (!bits_get_varint(&in, &shared) || !bits_get_varint(&in, &len) ||
		    len > bits_left(&in))
			return;
		in.at += len;
		if (!bits_get_varint(&in, &data_len) || !bits_get_varint(&in, &index_len) ||
		    !bits_get_varint(&in, &raw_len) || !bits_get_varint(&in, &entries) ||
		    bits_left(&in) < 4 || index > size || index_len > size - index)
			return;
		bits_store32(bytes + (in.at - bytes), crc32c(0, bytes + index, index_len));
		in.at += 4;
		index += index_len;
	}
}

/* Makes the ends right; the row that the manifest would have. */
static struct store_part
repair(uint8_t *bytes, size_t size)
{
	struct part_head head;
	struct part_foot foot;
	struct store_part info = {.id = 1};
	memcpy(&head, bytes, sizeof(head));
	memcpy(head.magic, PART_HEAD_MAGIC, sizeof(head.magic));
	head.version = PART_VERSION;
	head.features = 0;
	head.id = 1;
	head.partition = 0;
	head.crc = crc32c(0, &head, offsetof(struct part_head, crc));
	memcpy(bytes, &head, sizeof(head));
	uint8_t *end = bytes + size - sizeof(foot);
	memcpy(&foot, end, sizeof(foot));
	memcpy(foot.magic, PART_FOOT_MAGIC, sizeof(foot.magic));
	foot.version = PART_VERSION;
	foot.features = 0;
	if (foot.dir_offset < size && foot.dir_len <= size - foot.dir_offset) {
		repair_directory(bytes, size, &foot);
		foot.dir_crc = crc32c(0, bytes + foot.dir_offset, foot.dir_len);
	}
	foot.crc = crc32c(0, &foot, offsetof(struct part_foot, crc));
	memcpy(end, &foot, sizeof(foot));
	info.day = head.day;
	info.seq_first = head.seq_first;
	info.seq_last = head.seq_last;
	info.points = foot.points;
	info.series = foot.series;
	info.bytes = size;
	info.time_first = INT64_MIN;
	info.time_last = INT64_MAX;
	return info;
}

static void
put_file(struct env *env, const char *path, const uint8_t *bytes, size_t len)
{
	struct env_file *file;
	check(env_open(env, path, ENV_WRITE | ENV_CREATE, &file) == 0);
	check(env_pwrite(file, bytes, len, 0) == 0);
	env_close(file);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < sizeof(struct part_head) + sizeof(struct part_foot) || size > INPUT_BYTES_MAX)
		return 0;
	uint8_t *bytes = malloc(size);
	struct env *env = sim_create(1);
	struct series_partition *partition;
	check(bytes && env);
	memcpy(bytes, data, size);
	struct store_part info = repair(bytes, size);
	check(series_partition_create(env, "series", 0, &partition) == 0);
	put_file(env, "series/1.part", bytes, size);
	int error = series_partition_attach(partition, &info, NULL, NULL);
	check(error == 0 || error == -EBADMSG || error == -EPROTO);
	if (error == 0) {
		ask(partition, &(struct series_query){.from_ms = INT64_MIN, .to_ms = INT64_MAX});
		ask(partition, &(struct series_query){.from_ms = INT64_MIN, .to_ms = INT64_MAX,
		    .aggs = {SERIES_AVG, SERIES_P50}, .agg_count = 2});
		ask(partition, &(struct series_query){.from_ms = 0, .to_ms = INT64_C(1) << 50,
		    .step_ms = 3600000, .aggs = {SERIES_MAX}, .agg_count = 1});
	}
	series_partition_destroy(partition);
	env_destroy(env);
	free(bytes);
	return 0;
}

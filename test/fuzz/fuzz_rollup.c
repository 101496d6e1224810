/*
 * fuzz_rollup.c: chunks of roll-ups made of arbitrary bytes, and roll-ups made of arbitrary bytes.
 *
 * The first byte chooses the kind and, odd, that the rest is a chunk, whose checksum is made right
 * so that what lies behind it is reached; decoding stays in its memory, and what decodes is encoded
 * and decoded to the same again. Even: the rest are steps between buckets (1 byte), counts (2),
 * NaNs (1) and five doubles of roll-ups.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "hash.h"
#include "rollup.h"

#define FILE_DAY 1024
#define ROW_BYTES 44

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_be_same(const struct rollup *is, const struct rollup *must)
{
	check(is->start_ms == must->start_ms);
	check(is->cell.count == must->cell.count && is->cell.nans == must->cell.nans);
	check(memcmp(&is->cell.sum, &must->cell.sum, sizeof(double)) == 0);
	check(memcmp(&is->cell.min, &must->cell.min, sizeof(double)) == 0);
	check(memcmp(&is->cell.max, &must->cell.max, sizeof(double)) == 0);
	check(memcmp(&is->cell.first, &must->cell.first, sizeof(double)) == 0);
	check(memcmp(&is->cell.last, &must->cell.last, sizeof(double)) == 0);
}

static void
round_trip(enum rollup_kind kind, const struct rollup *rollups, size_t count)
{
	struct rollup *back = malloc(ROLLUP_CHUNK_MAX * sizeof(*back));
	struct buf out;
	buf_init(&out, 0);
	check(back && rollup_encode(kind, FILE_DAY, rollups, count, &out) == 0);
	check(rollup_decode(kind, FILE_DAY, buf_span(&out), back) == (int)count);
	for (size_t i = 0; i < count; i++)
		must_be_same(&back[i], &rollups[i]);
	buf_finish(&out);
	free(back);
}

static void
try_chunk(enum rollup_kind kind, const uint8_t *data, size_t size)
{
	struct rollup *rollups = malloc(ROLLUP_CHUNK_MAX * sizeof(*rollups));
	char *bytes = malloc(size + 4);
	check(bytes && rollups);
	memcpy(bytes + 4, data, size);
	uint32_t crc = crc32c(0, data, size);
	memcpy(bytes, &crc, 4);
	int count = rollup_decode(kind, FILE_DAY, span_of(bytes, size + 4), rollups);
	if (count > 0)
		round_trip(kind, rollups, (size_t)count);
	free(rollups);
	free(bytes);
}

static void
try_rows(enum rollup_kind kind, const uint8_t *data, size_t size)
{
	int64_t span = rollup_span_ms(kind), at_ms = FILE_DAY * PART_DAY_MS;
	int64_t end_ms = at_ms + part_days(kind) * PART_DAY_MS;
	struct rollup *rollups = malloc(ROLLUP_CHUNK_MAX * sizeof(*rollups));
	size_t count = 0;
	check(rollups);
	for (; size >= ROW_BYTES && count < ROLLUP_CHUNK_MAX; size -= ROW_BYTES) {
		struct rollup *row = &rollups[count];
		uint16_t points;
		at_ms += data[0] * span;
		if (at_ms >= end_ms)
			break;
		memcpy(&points, data + 1, 2);
		*row = (struct rollup){.start_ms = at_ms};
		row->cell.count = points + UINT64_C(1);
		row->cell.nans = MIN((uint64_t)data[3], row->cell.count);
		memcpy(&row->cell.sum, data + 4, 8);
		memcpy(&row->cell.min, data + 12, 8);
		memcpy(&row->cell.max, data + 20, 8);
		memcpy(&row->cell.first, data + 28, 8);
		memcpy(&row->cell.last, data + 36, 8);
		data += ROW_BYTES;
		at_ms += span;
		count++;
	}
	if (count)
		round_trip(kind, rollups, count);
	free(rollups);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	enum rollup_kind kind = (enum rollup_kind)(ROLLUP_MINUTE + (data[0] >> 1) % 3);
	if (data[0] & 1)
		try_chunk(kind, data + 1, size - 1);
	else
		try_rows(kind, data + 1, size - 1);
	return 0;
}

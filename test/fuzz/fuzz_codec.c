/*
 * fuzz_codec.c: chunks made of arbitrary bytes, and points made of arbitrary bytes.
 *
 * The first byte chooses. Odd: the rest is a chunk, whose checksum is made right so that what lies
 * behind it is reached; decoding stays in its memory, and what decodes is encoded and decoded to
 * the same again. Even: the rest are steps of time (2 bytes) and values (8 bytes) of points.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "codec.h"
#include "hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
round_trip(const int64_t *times_ms, const double *values, size_t count)
{
	struct buf scratch, out;
	buf_init(&scratch, 0);
	buf_init(&out, 0);
	check(codec_encode(times_ms, values, count, &scratch, &out) == 0);
	int64_t *back_times = malloc(count * sizeof(*back_times));
	double *back_values = malloc(count * sizeof(*back_values));
	check(back_times && back_values);
	check(codec_count(buf_span(&out)) == (int)count);
	check(codec_decode(buf_span(&out), back_times, back_values) == 0);
	check(memcmp(back_times, times_ms, count * sizeof(*times_ms)) == 0);
	check(memcmp(back_values, values, count * sizeof(*values)) == 0);
	free(back_times);
	free(back_values);
	buf_finish(&scratch);
	buf_finish(&out);
}

static void
try_chunk(const uint8_t *data, size_t size)
{
	char *bytes = malloc(size + 4);
	check(bytes);
	memcpy(bytes + 4, data, size);
	uint32_t crc = crc32c(0, data, size);
	memcpy(bytes, &crc, 4);
	struct span chunk = span_of(bytes, size + 4);
	int count = codec_count(chunk);
	if (count > 0) {
		int64_t *times_ms = malloc((size_t)count * sizeof(*times_ms));
		double *values = malloc((size_t)count * sizeof(*values));
		check(times_ms && values);
		if (codec_decode(chunk, times_ms, values) == 0)
			round_trip(times_ms, values, (size_t)count);
		free(times_ms);
		free(values);
	}
	free(bytes);
}

static void
try_points(const uint8_t *data, size_t size)
{
	size_t count = size / 10;
	if (count == 0 || count > CODEC_POINTS_MAX)
		return;
	int64_t *times_ms = malloc(count * sizeof(*times_ms)), at = 0;
	double *values = malloc(count * sizeof(*values));
	check(times_ms && values);
	for (size_t i = 0; i < count; i++, data += 10) {
		uint16_t step;
		memcpy(&step, data, 2);
		memcpy(&values[i], data + 2, 8);
		at += step + 1;
		times_ms[i] = at;
	}
	round_trip(times_ms, values, count);
	free(times_ms);
	free(values);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	if (data[0] & 1)
		try_chunk(data + 1, size - 1);
	else
		try_points(data + 1, size - 1);
	return 0;
}

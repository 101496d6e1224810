/*
 * codec.c: the frame of a chunk: checksum, version, forms, count, two sections.
 *
 *   0  4  CRC-32C of everything after it
 *   4  1  version (1)
 *   5  1  form of the times | form of the values << 4
 *   6  v  varint: count of points
 *      v  varint: bytes of the times' section
 *         times, then values up to the end
 *
 * Invariants: nothing is decoded before the checksum held; a section is used up to its last byte.
 */
#include "codec.h"

#include <errno.h>

#include "check.h"
#include "codec_priv.h"
#include "hash.h"

#define CODEC_HEAD_BYTES 6

int
codec_encode(const int64_t *times_ms, const double *values, size_t count, struct buf *scratch,
    struct buf *out)
{
	check(count >= 1 && count <= CODEC_POINTS_MAX);
	enum codec_times_form times_form;
	enum codec_values_form values_form;
	size_t start = out->len;
	uint8_t head[CODEC_HEAD_BYTES + 2 * BITS_VARINT_BYTES_MAX] = {0};
	buf_clear(scratch);
	size_t room = MAX(count, 8) * sizeof(int64_t); /* 8: the least that zstd is given */
	if (buf_reserve(scratch, 2 * room) != 0)
		return -ENOMEM;
	struct codec_work work = {
		.a = (int64_t *)(void *)scratch->ptr,
		.b = (int64_t *)(void *)(scratch->ptr + room),
	};
	/* The sections go to where the longest head would end, then move up to the real one. */
	if (buf_append(out, head, sizeof(head)) != 0)
		goto fail;
	if (codec_times_encode(times_ms, count, work, out, &times_form) != 0)
		goto fail;
	size_t times_len = out->len - start - sizeof(head);
	if (codec_values_encode(values, count, work, out, &values_form) != 0)
		goto fail;
	head[4] = CODEC_VERSION;
	head[5] = (uint8_t)(times_form | values_form << 4);
	size_t head_len = CODEC_HEAD_BYTES;
	head_len += bits_put_varint(head + head_len, count);
	head_len += bits_put_varint(head + head_len, times_len);
	char *chunk = out->ptr + start;
	size_t body_len = out->len - start - sizeof(head);
	memmove(chunk + head_len, chunk + sizeof(head), body_len);
	memcpy(chunk, head, head_len);
	out->len = start + head_len + body_len;
	bits_store32(chunk, crc32c(0, chunk + 4, head_len + body_len - 4));
	return 0;
fail:
	out->len = start;
	return -ENOMEM;
}

struct codec_head {
	enum codec_times_form times_form;
	enum codec_values_form values_form;
	size_t count;
	struct bits_in times, values;
};

static int
codec_head_read(struct span chunk, struct codec_head *ret_head)
{
	struct bits_in in = bits_in_of(chunk);
	uint8_t fixed[CODEC_HEAD_BYTES];
	uint64_t count, times_len;
	if (!bits_get(&in, fixed, sizeof(fixed)))
		return -EBADMSG;
	if (crc32c(0, chunk.ptr + 4, chunk.len - 4) != bits_load32(fixed))
		return -EBADMSG;
	if (fixed[4] != CODEC_VERSION || (fixed[5] & 15) >= CODEC_TIMES_FORMS ||
	    fixed[5] >> 4 >= CODEC_VALUES_FORMS)
		return -EPROTO;
	if (!bits_get_varint(&in, &count) || count < 1 || count > CODEC_POINTS_MAX)
		return -EBADMSG;
	if (!bits_get_varint(&in, &times_len) || times_len > bits_left(&in))
		return -EBADMSG;
	*ret_head = (struct codec_head){
		.times_form = fixed[5] & 15,
		.values_form = fixed[5] >> 4,
		.count = count,
		.times = {in.at, in.at + times_len},
		.values = {in.at + times_len, in.end},
	};
	return 0;
}

int
codec_count(struct span chunk)
{
	struct codec_head head;
	int error = codec_head_read(chunk, &head);
	return error ? error : (int)head.count;
}

int
codec_decode(struct span chunk, int64_t *ret_times_ms, double *ret_values)
{
	struct codec_head head;
	int error = codec_head_read(chunk, &head);
	if (error == 0 && ret_times_ms)
		error = codec_times_decode(head.times_form, &head.times, ret_times_ms, head.count);
	if (error == 0 && ret_values)
		error = codec_values_decode(head.values_form, &head.values, ret_values,
		    head.count);
	return error;
}

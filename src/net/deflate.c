/*
 * deflate.c: see deflate.h.
 *
 * Why streams are made for each message: nothing is remembered between two of them, and a window
 * no larger than the message makes a stream cheap: some 10 KiB for 512 bytes, not 264 KiB.
 */
#include "deflate.h"

#include <errno.h>
#include <limits.h>
#include <zlib.h>

#include "check.h"

enum {
	LEVEL = 6,
	WINDOW_BITS_MIN = 9, WINDOW_BITS_MAX = 15,
	MEMORY_LESS = 7,     /* zlib's memory level is that of the window less this */
	PIECE_BYTES = 4096,
	AT_BLOCK = 128,      /* zlib's data_type: between two blocks */
};

static const char flush_end[] = {0, 0, (char)0xff, (char)0xff};

static int
window_bits(size_t len)
{
	int bits = WINDOW_BITS_MIN;
	while (bits < WINDOW_BITS_MAX && (size_t)1 << bits < len)
		bits++;
	return bits;
}

/* Runs until all input is compressed; a call that leaves room has written everything. */
static int
pack_all(z_stream *z, struct buf *out)
{
	do {
		size_t room = PIECE_BYTES;
		int error = buf_reserve(out, room);
		if (error)
			return error;
		z->next_out = (unsigned char *)out->ptr + out->len;
		z->avail_out = (unsigned)room;
		int result = deflate(z, Z_SYNC_FLUSH);
		check(result == Z_OK || result == Z_BUF_ERROR);
		out->len += room - z->avail_out;
	} while (z->avail_out == 0);
	return 0;
}

int
deflate_pack(struct span in, struct buf *out)
{
	size_t before = out->len;
	int bits = window_bits(in.len);
	z_stream z = {0};
	check(in.len <= UINT_MAX);
	if (deflateInit2(&z, LEVEL, Z_DEFLATED, -bits, bits - MEMORY_LESS, Z_DEFAULT_STRATEGY))
		return -ENOMEM;
	z.next_in = (unsigned char *)(uintptr_t)in.ptr;
	z.avail_in = (unsigned)in.len;
	int error = pack_all(&z, out);
	deflateEnd(&z);
	if (error) {
		out->len = before;
		return error;
	}
	check(out->len - before >= sizeof(flush_end) && z.avail_in == 0);
	out->len -= sizeof(flush_end);
	return 0;
}

/* One run over what next_in has; *left is how much may still come out. */
static int
unpack_some(z_stream *z, struct buf *out, size_t *left)
{
	size_t room = MIN(*left + 1, (size_t)PIECE_BYTES);
	int error = buf_reserve(out, room);
	if (error)
		return error;
	z->next_out = (unsigned char *)out->ptr + out->len;
	z->avail_out = (unsigned)room;
	int result = inflate(z, Z_SYNC_FLUSH);
	size_t made = room - z->avail_out;
	if (result == Z_MEM_ERROR)
		return -ENOMEM;
	if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
		return -EBADMSG;
	if (made > *left)
		return -EFBIG;
	out->len += made;
	*left -= made;
	/* A block that says it is the last one ends a stream, not the message. */
	if (result == Z_STREAM_END && inflateReset(z) != Z_OK)
		return -EBADMSG;
	return 0;
}

static int
unpack_all(z_stream *z, struct span in, struct buf *out, size_t *left)
{
	z->next_in = (unsigned char *)(uintptr_t)in.ptr;
	z->avail_in = (unsigned)in.len;
	do {
		int error = unpack_some(z, out, left);
		if (error)
			return error;
	} while (z->avail_in > 0 || z->avail_out == 0);
	return 0;
}

int
deflate_unpack(struct span in, size_t bytes_max, struct buf *out)
{
	size_t before = out->len, left = bytes_max;
	z_stream z = {0};
	check(in.len <= UINT_MAX);
	if (inflateInit2(&z, -WINDOW_BITS_MAX) != Z_OK)
		return -ENOMEM;
	int error = in.len ? unpack_all(&z, in, out, &left) : 0;
	if (!error)
		error = unpack_all(&z, span_of(flush_end, sizeof(flush_end)), out, &left);
	if (!error && !(z.data_type & AT_BLOCK))
		error = -EBADMSG;
	inflateEnd(&z);
	if (error)
		out->len = before;
	return error;
}

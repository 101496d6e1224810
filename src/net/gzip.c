/*
 * gzip.c: zlib's compression in pieces.
 *
 * Why it exists: answers are compressed while they are made; the caller bounds each piece.
 *
 * Invariant: with `finish` the stream is over once its trailer has left, and makes nothing more.
 */
#include "gzip.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#include "check.h"

enum {
	WINDOW_BITS = 15,
	GZIP_FORMAT = 16, /* zlib: this instead of its own format */
	MEMORY_LEVEL = 8,
};

struct gzip {
	z_stream z;
	bool ended;
};

int
gzip_create(int level, struct gzip **ret_gzip)
{
	struct gzip *g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	int result = deflateInit2(&g->z, level, Z_DEFLATED, WINDOW_BITS + GZIP_FORMAT,
	    MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
	if (result != Z_OK) {
		free(g);
		return result == Z_MEM_ERROR ? -ENOMEM : -EINVAL;
	}
	*ret_gzip = g;
	return 0;
}

void
gzip_destroy(struct gzip *gzip)
{
	if (!gzip)
		return;
	deflateEnd(&gzip->z);
	free(gzip);
}

ssize_t
gzip_run(struct gzip *gzip, struct span *in, bool finish, char *out, size_t out_size,
    bool *ret_end)
{
	out_size = MIN(out_size, (size_t)INT_MAX);
	gzip->z.next_out = (Bytef *)out;
	gzip->z.avail_out = (uInt)out_size;
	while (!gzip->ended && gzip->z.avail_out > 0) {
		uInt given = (uInt)MIN(in->len, (size_t)UINT_MAX);
		gzip->z.next_in = (Bytef *)(uintptr_t)in->ptr; /* zlib does not write to it */
		gzip->z.avail_in = given;
		bool last = finish && given == in->len;
		if (given == 0 && !finish)
			break;
		int result = deflate(&gzip->z, last ? Z_FINISH : Z_NO_FLUSH);
		*in = span_skip(*in, given - gzip->z.avail_in);
		check(result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR);
		gzip->ended = result == Z_STREAM_END;
	}
	*ret_end = gzip->ended;
	return (ssize_t)(out_size - gzip->z.avail_out);
}

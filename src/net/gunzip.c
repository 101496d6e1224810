/*
 * gunzip.c: zlib's decompression behind our bounds.
 *
 * Why it exists: compressed bodies arrive in pieces, and zlib's own interface leaves to each caller
 * what a stream of several members is and when it is over.
 *
 * Invariant: a stream is over when a member has ended and no byte follows. More bytes after that
 * begin another member, which only gzip has; so a caller who has no more input and was not told
 * the end has a truncated stream.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#include "check.h"
#include "gzip.h"

enum {
	WINDOW_BITS = 15,
	AUTO_DETECT = 32, /* zlib: gzip or zlib format by the header */
	GZIP_MAGIC = 0x1f,
};

struct gunzip {
	z_stream z;
	bool begun;     /* the first byte was seen */
	bool is_gzip;   /* else the zlib format ("deflate") */
	bool ended;     /* a member has ended and none has begun since */
};

int
gunzip_create(struct gunzip **ret_gunzip)
{
	struct gunzip *g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	if (inflateInit2(&g->z, WINDOW_BITS + AUTO_DETECT) != Z_OK) {
		free(g);
		return -ENOMEM;
	}
	*ret_gunzip = g;
	return 0;
}

void
gunzip_destroy(struct gunzip *gunzip)
{
	if (!gunzip)
		return;
	inflateEnd(&gunzip->z);
	free(gunzip);
}

/* There is input: sees to the first byte of a stream or of its next member. 0 or -EBADMSG. */
static int
begin_member(struct gunzip *g, struct span in)
{
	unsigned char first = (unsigned char)in.ptr[0];

	if (!g->begun) {
		g->begun = true;
		g->is_gzip = first == GZIP_MAGIC;
	}
	if (!g->ended)
		return 0;
	if (!g->is_gzip || first != GZIP_MAGIC)
		return -EBADMSG;
	g->ended = false;
	return inflateReset(&g->z) == Z_OK ? 0 : -EBADMSG;
}

/* One call of inflate. 0, -EBADMSG, -ENOMEM. */
static int
inflate_piece(struct gunzip *g, struct span *in)
{
	uInt given = (uInt)MIN(in->len, (size_t)UINT_MAX);
	g->z.next_in = (Bytef *)(uintptr_t)in->ptr; /* zlib does not write to it */
	g->z.avail_in = given;
	int result = inflate(&g->z, Z_NO_FLUSH);
	*in = span_skip(*in, given - g->z.avail_in);
	switch (result) {
	case Z_STREAM_END:
		g->ended = true;
		return 0;
	case Z_OK:
	case Z_BUF_ERROR: /* no input or no room, which the caller sees */
		return 0;
	case Z_MEM_ERROR:
		return -ENOMEM;
	default: /* damaged, or wants a preset dictionary */
		return -EBADMSG;
	}
}

ssize_t
gunzip_run(struct gunzip *gunzip, struct span *in, char *out, size_t out_size, bool *ret_end)
{
	out_size = MIN(out_size, (size_t)INT_MAX);
	gunzip->z.next_out = (Bytef *)out;
	gunzip->z.avail_out = (uInt)out_size;
	/* Without input there may still be output that did not fit before. */
	do {
		int error = in->len > 0 ? begin_member(gunzip, *in) : 0;
		if (!error && !gunzip->ended)
			error = inflate_piece(gunzip, in);
		if (error)
			return error;
	} while (in->len > 0 && gunzip->z.avail_out > 0);
	*ret_end = gunzip->ended && in->len == 0;
	return (ssize_t)(out_size - gunzip->z.avail_out);
}

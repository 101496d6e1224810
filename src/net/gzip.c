/*
 * gzip.c: zlib's streams behind our bounds.
 *
 * Why it exists: compressed bodies arrive and leave in pieces, and zlib's own interface leaves to
 * each caller what a stream of several members is and when it is over.
 *
 * Invariant: a stream is over when a member has ended and no byte follows. More bytes after that
 * begin another member, which only gzip has; so a caller who has no more input and was not told
 * the end has a truncated stream.
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
	AUTO_DETECT = 32, /* zlib: gzip or zlib format by the header */
	GZIP_FORMAT = 16,
	MEMORY_LEVEL = 8,
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

static uInt
zlib_len(size_t len)
{
	return (uInt)MIN(len, (size_t)UINT_MAX);
}

static void
set_in(z_stream *z, struct span in)
{
	z->next_in = (Bytef *)(uintptr_t)in.ptr; /* zlib does not write to it */
	z->avail_in = zlib_len(in.len);
}

static void
set_out(z_stream *z, char *out, size_t out_size)
{
	z->next_out = (Bytef *)out;
	z->avail_out = zlib_len(out_size);
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
	set_in(&g->z, *in);
	size_t given = g->z.avail_in;
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
	set_out(&gunzip->z, out, out_size);
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
	set_out(&gzip->z, out, out_size);
	while (!gzip->ended && gzip->z.avail_out > 0) {
		set_in(&gzip->z, *in);
		size_t given = gzip->z.avail_in;
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

/*
 * gzip.h: gzip and deflate streams (zlib), in pieces, with bounds. One thread each.
 */
#ifndef WEIR_GZIP_H
#define WEIR_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "span.h"

struct gunzip;

int gunzip_create(struct gunzip **ret_gunzip);
void gunzip_destroy(struct gunzip *gunzip);

/* Decompresses from *in (advanced) into out; the bytes made, 0 when it needs more input or is over
 * (*ret_end), -EBADMSG when the stream is damaged or something follows its end. Several members
 * are one stream. A bomb is bounded by the caller's own limit on what comes out. */
ssize_t gunzip_run(struct gunzip *gunzip, struct span *in, char *out, size_t out_size,
    bool *ret_end);

struct gzip;

int gzip_create(int level, struct gzip **ret_gzip);
void gzip_destroy(struct gzip *gzip);

/* Compresses; with `finish` until all is out. The bytes made; call again while it fills `out`. */
ssize_t gzip_run(struct gzip *gzip, struct span *in, bool finish, char *out, size_t out_size,
    bool *ret_end);

#endif

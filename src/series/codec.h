/*
 * codec.h: a run of points (times ascending, unique) to bytes and back, loss-free for every double.
 *
 * The form is chosen per chunk by size: times and values apart. See docs/data-files.md "Chunks"
 * for the bytes. Source of the decimals: ALP (Afroozeh et al., SIGMOD 2024); what is no decimal is
 * coded as differences of its bits in numeric order, which for walks is smaller than the XOR of
 * Gorilla (VLDB 2015) and Chimp (VLDB 2022). Pure; any thread; decoding checks everything and
 * never reads or writes outside what it was given.
 */
#ifndef WEIR_CODEC_H
#define WEIR_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "span.h"

#define CODEC_POINTS_MAX 65536u

/* Appends the chunk of `count` (1..CODEC_POINTS_MAX) points. `scratch` is the caller's, reused
 * between calls, so that encoding allocates nothing in the long run. 0 or -ENOMEM. */
int codec_encode(const int64_t *times_ms, const double *values, size_t count, struct buf *scratch,
    struct buf *out);

/* How many points the chunk holds, or -EBADMSG. */
int codec_count(struct span chunk);

/* All points into arrays of codec_count(chunk) entries. Either array may be NULL: not wanted.
 * 0, -EBADMSG, -EPROTO (a form of a newer version), -ENOMEM (zstd's). */
int codec_decode(struct span chunk, int64_t *ret_times_ms, double *ret_values);

#endif

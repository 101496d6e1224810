/*
 * stream.h: the points of one series after the other, merged out of parts and head.
 *
 * The lanes are the parts of a day in seq order and, above them, the head. In the same
 * millisecond the highest lane wins. Holds one chunk of each part of a day at a time. One thread.
 */
#ifndef WEIR_STREAM_H
#define WEIR_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "part.h"

struct stream;

/* Points of the head, in any order and with repetitions: the later in the arrays wins. */
struct stream_head {
	const int64_t *times_ms;
	const double *values;
	size_t count;
};

struct stream_settings {
	struct part *const *parts; /* by day, then seq; must stay while the stream lives */
	size_t part_count;
	int64_t from_ms, to_ms;    /* inclusive, inclusive */
	const struct tombs *tombs; /* what is hidden of the parts; NULL: nothing */
	struct series_shelf *shelf; /* its cursors come from there; NULL: they are new */
	size_t at_once;            /* not 0: -EAGAIN when a file would have to be read, or more
				points unpacked than this */
	/* Whether a chunk that nothing else overlaps shall be handed over as it is. NULL: never. */
	bool (*take)(void *ctx, const struct part_entry *entry);
	void (*damage)(void *ctx, const struct series_damage *damage);
	void *ctx;
};

/* Either `count` points, or (count 0) a chunk that take() took. Valid until the next call. */
struct stream_piece {
	size_t count;
	const int64_t *times_ms;
	const double *values;
	const struct part_entry *entry;
	struct part_cursor *cursor; /* for part_cursor_chunk */
};

int stream_create(const struct stream_settings *settings, struct stream **ret_stream);
void stream_destroy(struct stream *stream); /* NULL ok */

/* Other times for the next series; within those of its making. */
void stream_set_range(struct stream *stream, int64_t from_ms, int64_t to_ms);

/* Goes to a series; best in ascending order of keys. `head` must stay until the next call. */
int stream_begin(struct stream *stream, struct span key, const struct stream_head *head);

/* 1: a piece, 0: the end, -ENOMEM, -EIO, -EAGAIN (see at_once). Damaged chunks are reported and
 * left out. */
int stream_next(struct stream *stream, struct stream_piece *ret_piece);

#endif

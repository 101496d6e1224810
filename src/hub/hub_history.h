/*
 * hub_history.h: the messages that a channel remembers, packed: about ten bytes a message besides
 * its data, so that a million channels can have a past.
 *
 * One block of bytes, appended at the end, dropped at the front. Belongs to one thread. A message
 * read from it points into the block: valid until the next append or drop.
 */
#ifndef WEIR_HUB_HISTORY_H
#define WEIR_HUB_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

#define HUB_HISTORY_BYTES_MAX (1u << 30)

struct hub_history {
	unsigned char *block;     /* | dropped | kept | room |; NULL: none */
	uint32_t begin, end, cap; /* bytes of block */
	uint32_t count;           /* messages kept */
	uint64_t seq_first, seq_last; /* of those kept; seq_last also of the last dropped one */
	int64_t time_first_ms, time_last_ms;
	uint64_t seq_dropped;     /* the last that was dropped; 0: none yet */
	int64_t time_dropped_ms;
};

/* One message as it lies there. */
struct hub_kept {
	uint64_t seq;
	int64_t time_ms;
	struct span type;         /* its media type; empty: JSON */
	struct span data;
};

/* Where a reader is. */
struct hub_history_pos {
	uint32_t at;
	uint64_t seq;             /* of the message before */
	int64_t time_ms;
};

/* Zeroed memory is an empty history. */
void hub_history_finish(struct hub_history *history);

/* seq above all before; time not below the last one's. 0, -ENOMEM, -EMSGSIZE: more than
 * HUB_HISTORY_BYTES_MAX. */
int hub_history_append(struct hub_history *history, const struct hub_kept *kept);

/* The same; what is kept as its data is `prefix`, then the data. */
int hub_history_append_behind(struct hub_history *history, struct span prefix,
    const struct hub_kept *kept);

/* Room for so many bytes more at once, of one that will grow to that: growing is by an eighth.
 * 0, -ENOMEM, -EMSGSIZE. */
int hub_history_reserve(struct hub_history *history, size_t bytes);

/* Forgets the oldest as long as there are more than `messages`, they take more than `bytes`, or are
 * older than `before_ms`. The last one alone may take more than `bytes`, unless that is 0: else who
 * polls would never see a message that is too long. How many were forgotten. */
uint32_t hub_history_trim(struct hub_history *history, uint32_t messages, uint64_t bytes,
    int64_t before_ms);

/* What the kept messages take, in bytes. */
uint64_t hub_history_bytes(const struct hub_history *history);

/* Begins before the oldest message. */
struct hub_history_pos hub_history_begin(const struct hub_history *history);

/* Reads the next message and steps behind it. false at the end. */
bool hub_history_next(const struct hub_history *history, struct hub_history_pos *pos,
    struct hub_kept *ret_kept);

/* Begins before the first message with a seq above `seq` and a time of `from_ms` or later. Looks at
 * the heads of the messages before it, not at their data. */
struct hub_history_pos hub_history_seek(const struct hub_history *history, uint64_t seq,
    int64_t from_ms);

#endif

/*
 * hub_ring.h: everything that was published, up to a number of bytes: what patterns with wild
 * cards catch up from, for they cannot ask every channel.
 *
 * Histories (hub_history.h) one behind the other; the oldest is dropped whole. Belongs to the
 * sequencer's loop.
 */
#ifndef WEIR_HUB_RING_H
#define WEIR_HUB_RING_H

#include "hub_history.h"
#include "list.h"

struct hub_ring {
	struct list pieces;       /* of struct piece, oldest first */
	uint64_t bytes, bytes_max;
	uint64_t seq_dropped;     /* nothing up to here is in it */
	int64_t time_dropped_ms;
};

void hub_ring_init(struct hub_ring *ring, uint64_t bytes_max, uint64_t lost_seq, int64_t lost_ms);
void hub_ring_finish(struct hub_ring *ring);

/* A message of a tenant on these channels. 0 or -ENOMEM. */
int hub_ring_append(struct hub_ring *ring, struct span tenant, const struct span *names,
    size_t count, const struct hub_kept *kept);

/* Reads on from where `pos` is; begin with hub_ring_seek. Names and data point into the ring. */
struct hub_ring_pos {
	struct list *piece;
	struct hub_history_pos at;
};

struct hub_ring_message {
	struct hub_kept kept;
	struct span tenant;
	struct span names;        /* packed: hub_ring_name */
};

struct hub_ring_pos hub_ring_seek(const struct hub_ring *ring, uint64_t seq, int64_t from_ms);
bool hub_ring_next(const struct hub_ring *ring, struct hub_ring_pos *pos,
    struct hub_ring_message *ret_message);

/* Takes the next name off. false when there is none. */
bool hub_ring_name(struct span *names, struct span *ret_name);

#endif

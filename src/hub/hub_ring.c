/*
 * hub_ring.c: pieces of up to PIECE_BYTES; the data of an entry is
 *
 *     varint tenant length, tenant, varint names' length, names (a byte of length and the name,
 *     for each), the message's data
 */
#include "hub_ring.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "hub_priv.h"
#include "varint.h"

enum {
	PIECE_BYTES = 1 << 20,
	PIECE_ROOM = PIECE_BYTES + 4096, /* for the last entry too, unless it is a large one */
	HEAD_BYTES_MAX = 2 * VARINT_BYTES_MAX + HUB_TENANT_BYTES_MAX +
	    HUB_MESSAGE_CHANNELS_MAX * (1 + HUB_NAME_BYTES_MAX),
};

struct piece {
	struct list link;
	struct hub_history history;
};

void
hub_ring_init(struct hub_ring *ring, uint64_t bytes_max, uint64_t lost_seq, int64_t lost_ms)
{
	*ring = (struct hub_ring){
		.bytes_max = bytes_max, .seq_dropped = lost_seq, .time_dropped_ms = lost_ms,
	};
	list_init(&ring->pieces);
}

static void
drop_oldest(struct hub_ring *ring)
{
	struct piece *piece = CONTAINER_OF(ring->pieces.next, struct piece, link);
	ring->bytes -= hub_history_bytes(&piece->history);
	if (piece->history.count) {
		ring->seq_dropped = piece->history.seq_last;
		ring->time_dropped_ms = piece->history.time_last_ms;
	}
	list_remove(&piece->link);
	hub_history_finish(&piece->history);
	free(piece);
}

void
hub_ring_finish(struct hub_ring *ring)
{
	while (!list_empty(&ring->pieces))
		drop_oldest(ring);
}

/* The piece that the next entry goes to. NULL: memory is out. */
static struct piece *
newest_with_room(struct hub_ring *ring)
{
	struct piece *newest = CONTAINER_OF(ring->pieces.prev, struct piece, link);
	if (!list_empty(&ring->pieces) && hub_history_bytes(&newest->history) < PIECE_BYTES)
		return newest;
	struct piece *piece = calloc(1, sizeof(*piece));
	if (!piece)
		return NULL;
	/* Pages that are not written to cost nothing. */
	if (hub_history_reserve(&piece->history,
	    (size_t)MIN(ring->bytes_max, (uint64_t)PIECE_ROOM))) {
		free(piece);
		return NULL;
	}
	list_push_back(&ring->pieces, &piece->link);
	return piece;
}

/* What stands before a message's data; how long. */
static size_t
put_head(unsigned char *head, struct span tenant, const struct span *names, size_t count)
{
	unsigned char *at = head;
	size_t bytes = 0;
	at += varint_put(at, tenant.len);
	if (tenant.len)
		memcpy(at, tenant.ptr, tenant.len);
	at += tenant.len;
	for (size_t i = 0; i < count; i++)
		bytes += 1 + names[i].len;
	at += varint_put(at, bytes);
	for (size_t i = 0; i < count; i++) {
		*at++ = (unsigned char)names[i].len;
		memcpy(at, names[i].ptr, names[i].len);
		at += names[i].len;
	}
	return (size_t)(at - head);
}

int
hub_ring_append(struct hub_ring *ring, struct span tenant, const struct span *names,
    size_t count, const struct hub_kept *kept)
{
	struct piece *piece = newest_with_room(ring);
	unsigned char head[HEAD_BYTES_MAX];
	if (!piece)
		return -ENOMEM;
	check(tenant.len <= HUB_TENANT_BYTES_MAX && count <= HUB_MESSAGE_CHANNELS_MAX);
	size_t head_len = put_head(head, tenant, names, count);
	uint64_t before = hub_history_bytes(&piece->history);
	int error = hub_history_append_behind(&piece->history,
	    span_of((const char *)head, head_len), kept);
	ring->bytes += hub_history_bytes(&piece->history) - before;
	while (ring->bytes > ring->bytes_max && !list_empty(&ring->pieces))
		drop_oldest(ring);
	return error;
}

struct hub_ring_pos
hub_ring_seek(const struct hub_ring *ring, uint64_t seq, int64_t from_ms)
{
	struct hub_ring_pos pos = {.piece = ring->pieces.next};
	for (; pos.piece != &ring->pieces; pos.piece = pos.piece->next) {
		const struct hub_history *history =
		    &CONTAINER_OF(pos.piece, struct piece, link)->history;
		if (history->seq_last <= seq || history->time_last_ms < from_ms)
			continue;
		pos.at = hub_history_seek(history, seq, from_ms);
		break;
	}
	return pos;
}

static struct span
take(struct span *rest)
{
	uint64_t len;
	size_t used = varint_get((const unsigned char *)rest->ptr, &len);
	struct span text = span_of(rest->ptr + used, (size_t)len);
	*rest = span_skip(*rest, used + (size_t)len);
	return text;
}

bool
hub_ring_next(const struct hub_ring *ring, struct hub_ring_pos *pos,
    struct hub_ring_message *ret_message)
{
	while (pos->piece != &ring->pieces) {
		const struct hub_history *history =
		    &CONTAINER_OF(pos->piece, struct piece, link)->history;
		if (hub_history_next(history, &pos->at, &ret_message->kept)) {
			struct span *data = &ret_message->kept.data;
			ret_message->tenant = take(data);
			ret_message->names = take(data);
			return true;
		}
		pos->piece = pos->piece->next;
		if (pos->piece != &ring->pieces)
			pos->at = hub_history_begin(
			    &CONTAINER_OF(pos->piece, struct piece, link)->history);
	}
	return false;
}

bool
hub_ring_name(struct span *names, struct span *ret_name)
{
	if (names->len == 0)
		return false;
	size_t len = (unsigned char)names->ptr[0];
	*ret_name = span_of(names->ptr + 1, len);
	*names = span_skip(*names, 1 + len);
	return true;
}

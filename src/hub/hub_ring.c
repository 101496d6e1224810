/*
 * hub_ring.c: pieces of up to PIECE_BYTES; the data of an entry is
 *
 *     varint tenant length, tenant, varint names' length, names (a byte of length and the name,
 *     for each), the message's data
 */
#include "hub_ring.h"

#include <errno.h>
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "varint.h"

enum { PIECE_BYTES = 1 << 20 };

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
	if (piece)
		list_push_back(&ring->pieces, &piece->link);
	return piece;
}

static void
put_text(struct buf *out, struct span text)
{
	unsigned char len[VARINT_BYTES_MAX];
	buf_append(out, len, varint_put(len, text.len));
	buf_append_span(out, text);
}

static void
put_names(struct buf *out, const struct span *names, size_t count)
{
	unsigned char len[VARINT_BYTES_MAX];
	size_t bytes = 0;
	for (size_t i = 0; i < count; i++)
		bytes += 1 + names[i].len;
	buf_append(out, len, varint_put(len, bytes));
	for (size_t i = 0; i < count; i++) {
		buf_append_byte(out, (char)names[i].len);
		buf_append_span(out, names[i]);
	}
}

int
hub_ring_append(struct hub_ring *ring, struct span tenant, const struct span *names,
    size_t count, const struct hub_kept *kept)
{
	struct piece *piece = newest_with_room(ring);
	struct hub_kept entry = *kept;
	struct buf packed;
	if (!piece)
		return -ENOMEM;
	buf_init(&packed, 0);
	put_text(&packed, tenant);
	put_names(&packed, names, count);
	buf_append_span(&packed, kept->data);
	entry.data = buf_span(&packed);
	uint64_t before = hub_history_bytes(&piece->history);
	int error = buf_ok(&packed) ? hub_history_append(&piece->history, &entry) : -ENOMEM;
	ring->bytes += hub_history_bytes(&piece->history) - before;
	buf_finish(&packed);
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

/*
 * hub_history.c: messages packed one behind the other:
 *
 *     varint seq - seq before, varint time - time before,
 *     varint length of the type, type, varint length of the data, data
 *
 * The first kept message's seq and time stand in the struct, so its deltas are not looked at when
 * those before it are gone.
 *
 * Invariants: begin <= end <= cap; count is 0 exactly when begin == end; seqs rise, times never
 * fall.
 */
#include "hub_history.h"

#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "varint.h"

enum { HEAD_BYTES_MAX = 4 * VARINT_BYTES_MAX, BLOCK_BYTES_MIN = 64 };

void
hub_history_finish(struct hub_history *history)
{
	free(history->block);
	*history = (struct hub_history){.block = NULL};
}

uint64_t
hub_history_bytes(const struct hub_history *history)
{
	return history->end - history->begin;
}

/* Moves what is kept to the block's front, into another block when it needs more room: an eighth
 * more than is used, if that would hold another one, for there are very many histories. */
static int
make_room(struct hub_history *history, size_t bytes)
{
	size_t kept = history->end - history->begin;
	size_t cap = history->cap;
	unsigned char *block = history->block;
	if (history->cap - history->end >= bytes)
		return 0;
	if (kept + bytes > HUB_HISTORY_BYTES_MAX)
		return -EMSGSIZE;
	/* When less than an eighth would be free after moving, the next move would come soon. */
	if (kept + bytes + cap / 8 > cap) {
		cap = kept + bytes;
		cap += cap / 8 < bytes ? 0 : cap / 8;
		cap = cap < BLOCK_BYTES_MIN ? BLOCK_BYTES_MIN : cap;
		block = malloc(cap);
		if (!block)
			return -ENOMEM;
	}
	if (kept)
		memmove(block, history->block + history->begin, kept);
	if (block != history->block)
		free(history->block);
	history->block = block;
	history->begin = 0;
	history->end = (uint32_t)kept;
	history->cap = (uint32_t)cap;
	return 0;
}

int
hub_history_reserve(struct hub_history *history, size_t bytes)
{
	return make_room(history, bytes);
}

static unsigned char *
put_bytes(unsigned char *at, struct span bytes)
{
	if (bytes.len)
		memcpy(at, bytes.ptr, bytes.len);
	return at + bytes.len;
}

int
hub_history_append(struct hub_history *history, const struct hub_kept *kept)
{
	return hub_history_append_behind(history, (struct span){NULL, 0}, kept);
}

int
hub_history_append_behind(struct hub_history *history, struct span prefix,
    const struct hub_kept *kept)
{
	check(kept->seq > history->seq_last);
	check(history->count == 0 || kept->time_ms >= history->time_last_ms);
	bool first = history->count == 0;
	size_t data_len = prefix.len + kept->data.len;
	unsigned char head[HEAD_BYTES_MAX], *end = head;
	end += varint_put(end, first ? 0 : kept->seq - history->seq_last);
	end += varint_put(end, first ? 0 : (uint64_t)(kept->time_ms - history->time_last_ms));
	end += varint_put(end, kept->type.len);
	size_t head_len = (size_t)(end - head);
	end += varint_put(end, data_len);
	size_t len_len = (size_t)(end - head) - head_len;
	int error = make_room(history, head_len + kept->type.len + len_len + data_len);
	if (error)
		return error;
	history->count++;
	if (first) {
		history->seq_first = history->seq_last = kept->seq;
		history->time_first_ms = history->time_last_ms = kept->time_ms;
	}
	unsigned char *at = history->block + history->end;
	at = put_bytes(at, span_of((const char *)head, head_len));
	at = put_bytes(at, kept->type);
	at = put_bytes(at, span_of((const char *)head + head_len, len_len));
	at = put_bytes(at, prefix);
	at = put_bytes(at, kept->data);
	history->end = (uint32_t)(at - history->block);
	history->seq_last = kept->seq;
	history->time_last_ms = kept->time_ms;
	return 0;
}

struct hub_history_pos
hub_history_begin(const struct hub_history *history)
{
	return (struct hub_history_pos){.at = history->begin};
}

/* The head of the message behind `before`: its seq and time, and in at where its type begins. */
static struct hub_history_pos
read_head(const struct hub_history *history, const struct hub_history_pos *before)
{
	const unsigned char *at = history->block + before->at;
	uint64_t seq, time;
	at += varint_get(at, &seq);
	at += varint_get(at, &time);
	return (struct hub_history_pos){
		.at = (uint32_t)(at - history->block),
		.seq = before->seq + seq,
		.time_ms = before->time_ms + (int64_t)time,
	};
}

static struct span
read_bytes(const struct hub_history *history, uint32_t *at)
{
	uint64_t len;
	*at += (uint32_t)varint_get(history->block + *at, &len);
	struct span bytes = span_of((const char *)history->block + *at, (size_t)len);
	*at += (uint32_t)len;
	return bytes;
}

bool
hub_history_next(const struct hub_history *history, struct hub_history_pos *pos,
    struct hub_kept *ret_kept)
{
	if (pos->at == history->end)
		return false;
	struct hub_history_pos after = read_head(history, pos);
	if (pos->at == history->begin) {
		after.seq = history->seq_first;
		after.time_ms = history->time_first_ms;
	}
	ret_kept->seq = after.seq;
	ret_kept->time_ms = after.time_ms;
	ret_kept->type = read_bytes(history, &after.at);
	ret_kept->data = read_bytes(history, &after.at);
	*pos = after;
	return true;
}

struct hub_history_pos
hub_history_seek(const struct hub_history *history, uint64_t seq, int64_t from_ms)
{
	struct hub_history_pos pos = hub_history_begin(history), after = pos;
	struct hub_kept kept;
	if (history->count && (history->seq_last <= seq || history->time_last_ms < from_ms)) {
		pos.at = history->end; /* which a client that is up to date asks for */
		return pos;
	}
	while (hub_history_next(history, &after, &kept)) {
		if (kept.seq > seq && kept.time_ms >= from_ms)
			break;
		pos = after;
	}
	return pos;
}

static void
drop_first(struct hub_history *history)
{
	struct hub_history_pos pos = hub_history_begin(history);
	struct hub_kept kept;
	check(hub_history_next(history, &pos, &kept));
	history->seq_dropped = kept.seq;
	history->time_dropped_ms = kept.time_ms;
	history->begin = pos.at;
	if (--history->count == 0)
		return;
	struct hub_history_pos first = read_head(history, &pos);
	history->seq_first = first.seq;
	history->time_first_ms = first.time_ms;
}

uint32_t
hub_history_trim(struct hub_history *history, uint32_t messages, uint64_t bytes,
    int64_t before_ms)
{
	uint32_t count = history->count;
	while (history->count && (history->count > messages ||
	    (hub_history_bytes(history) > bytes && (history->count > 1 || bytes == 0)) ||
	    history->time_first_ms < before_ms))
		drop_first(history);
	if (history->count == 0) {
		free(history->block);
		history->block = NULL;
		history->begin = history->end = history->cap = 0;
	}
	return count - history->count;
}

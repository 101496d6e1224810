/*
 * log_ring.c: the last lines of the log. A ring of bytes under a lock: each line behind a header,
 * both may wrap round the end. Lines have numbers, so a reader who is late is seen to be.
 */
#include "log_ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

struct header {
	int64_t time_ms;
	uint32_t len, level;
};

struct log_ring {
	pthread_mutex_t lock;
	size_t size, used;
	size_t tail;            /* of the oldest line */
	uint64_t first, next;   /* numbers: of the oldest line, of the one to come */
	char bytes[];
};

int
log_ring_create(size_t bytes, struct log_ring **ret_ring)
{
	struct log_ring *ring = calloc(1, sizeof *ring + bytes);

	if (!ring)
		return -ENOMEM;
	pthread_mutex_init(&ring->lock, NULL);
	ring->size = bytes;
	ring->first = ring->next = 1;
	*ret_ring = ring;
	return 0;
}

void
log_ring_destroy(struct log_ring *ring)
{
	if (!ring)
		return;
	pthread_mutex_destroy(&ring->lock);
	free(ring);
}

static size_t
ring_get(const struct log_ring *ring, size_t at, void *ret_bytes, size_t len)
{
	size_t first = MIN(len, ring->size - at);

	memcpy(ret_bytes, ring->bytes + at, first);
	memcpy((char *)ret_bytes + first, ring->bytes, len - first);
	return (at + len) % ring->size;
}

static size_t
ring_put(struct log_ring *ring, size_t at, const void *bytes, size_t len)
{
	size_t first = MIN(len, ring->size - at);

	memcpy(ring->bytes + at, bytes, first);
	memcpy(ring->bytes, (const char *)bytes + first, len - first);
	return (at + len) % ring->size;
}

static void
oldest_drop(struct log_ring *ring)
{
	struct header header;

	ring_get(ring, ring->tail, &header, sizeof header);
	ring->tail = (ring->tail + sizeof header + header.len) % ring->size;
	ring->used -= sizeof header + header.len;
	ring->first++;
}

void
log_ring_add(struct log_ring *ring, int64_t time_ms, unsigned level, struct span json)
{
	struct header header = {time_ms, (uint32_t)json.len, level};
	size_t at;

	if (json.len > LOG_RING_LINE_BYTES_MAX || sizeof header + json.len > ring->size)
		return;
	pthread_mutex_lock(&ring->lock);
	while (ring->size - ring->used < sizeof header + json.len)
		oldest_drop(ring);
	at = ring_put(ring, (ring->tail + ring->used) % ring->size, &header, sizeof header);
	ring_put(ring, at, json.ptr, json.len);
	ring->used += sizeof header + json.len;
	ring->next++;
	pthread_mutex_unlock(&ring->lock);
}

bool
log_ring_next(struct log_ring *ring, struct log_ring_cursor *cursor, int64_t *ret_time_ms,
    unsigned *ret_level, char bytes[LOG_RING_LINE_BYTES_MAX], struct span *ret_json)
{
	struct header header = {0};
	bool found;

	pthread_mutex_lock(&ring->lock);
	if (cursor->number < ring->first) {
		cursor->number = ring->first;
		cursor->at = ring->tail;
	}
	found = cursor->number < ring->next;
	if (found) {
		cursor->at = ring_get(ring, cursor->at, &header, sizeof header);
		cursor->at = ring_get(ring, cursor->at, bytes, header.len);
		cursor->number++;
	}
	pthread_mutex_unlock(&ring->lock);
	if (!found)
		return false;
	*ret_time_ms = header.time_ms;
	*ret_level = header.level;
	*ret_json = span_of(bytes, header.len);
	return true;
}

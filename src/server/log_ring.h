/*
 * log_ring.h: the last lines of the log, in memory, for those who ask over HTTP.
 *
 * Lines are JSON objects. When there is no room the oldest go. Any thread.
 */
#ifndef WEIR_LOG_RING_H
#define WEIR_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

#define LOG_RING_LINE_BYTES_MAX 4096

struct log_ring;

/* `bytes`: for all lines together. -ENOMEM. */
int log_ring_create(size_t bytes, struct log_ring **ret_ring);
void log_ring_destroy(struct log_ring *ring); /* NULL ok */

/* A longer line, or one that the ring has no room for at all, is left out. */
void log_ring_add(struct log_ring *ring, int64_t time_ms, unsigned level, struct span json);

/* Where a reader is; zeroed: before the oldest line. */
struct log_ring_cursor {
	uint64_t number;
	size_t at;
};

/* The next line, copied into `bytes`. false: none yet. Lines that went meanwhile are left out. */
bool log_ring_next(struct log_ring *ring, struct log_ring_cursor *cursor, int64_t *ret_time_ms,
    unsigned *ret_level, char bytes[LOG_RING_LINE_BYTES_MAX], struct span *ret_json);

#endif

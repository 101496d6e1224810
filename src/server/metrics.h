/*
 * metrics.h: what /metrics says: one table of names, types and help; figures from every loop.
 */
#ifndef WEIR_METRICS_H
#define WEIR_METRICS_H

#include <stdint.h>

#include "buf.h"

#define METRICS_STATUS_CLASSES 5   /* 1xx … 5xx */
#define METRICS_BUCKETS 12

/* A loop's own count of finished requests. */
struct metrics_requests {
	uint64_t classes[METRICS_STATUS_CLASSES];
	uint64_t buckets[METRICS_BUCKETS]; /* not summed up; above the last bound: in none */
	uint64_t count, micros;
};

void metrics_count(struct metrics_requests *requests, unsigned status, uint64_t micros);

/* api.metrics; ctx is the server. Asks the loops one after the other. */
void metrics_hook(void *ctx, unsigned loop, void (*done)(void *arg, struct buf *out), void *arg);

/* Name, type and help of every metric, as a table in Markdown (docs/metrics.md). */
void metrics_print_help(struct buf *out);

#endif

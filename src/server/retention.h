/*
 * retention.h: the periodic look at what a data directory keeps: what has become too old or too
 * much goes, oldest first; what the series have not stored is never dropped.
 *
 * One a server. A timer on the first loop begins a look: the loops are asked what their
 * partitions have stored (flow_look), then a worker trims the journal and seals what is full.
 * Series do their own part in flow_look: limits for them are members of struct flow_look, set
 * where the look begins.
 */
#ifndef WEIR_RETENTION_H
#define WEIR_RETENTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"
#include "journal.h"
#include "log.h"
#include "loop.h"
#include "mail.h"
#include "settings.h"
#include "workers.h"

struct retention;

struct retention_options {
	struct env *env;
	struct log *log;
	const char *dir;              /* the data directory */
	struct journal *journal;
	uint64_t segment_bytes;       /* of the journal */
	struct workers *workers;
	struct loop *loop;            /* the first one, its mailbox and its flow */
	struct mailbox *box;
	struct flow_loop *flow;
	const atomic_bool *stopping;  /* no more work is begun */
};

/* 0 or -ENOMEM. The first loop's thread, or before it runs. */
int retention_create(const struct retention_options *options, const struct settings *settings,
    struct retention **ret_retention);

/* When the loop, the workers and their mail have ended. NULL ok. */
void retention_destroy(struct retention *retention);

/* Looks now and from then on. On the first loop, once it is ready. */
void retention_start(struct retention *retention);

/* Live settings: hold from the next look on. On the first loop. */
void retention_set(struct retention *retention, const struct settings *settings);

/* The disk is full: looks soon. Any thread, at any time in its life. */
void retention_hurry(struct retention *retention);

/* As of the last look. Any thread. */
struct retention_stats {
	uint64_t disk_bytes;          /* journal, parts and weir.db */
	uint64_t reserve_bytes;       /* that are held; 0: given up */
};
void retention_stats(const struct retention *retention, struct retention_stats *ret_stats);

#endif

/*
 * drive.h: a fleet's reports on their way: pushed fast up to a moment, or paced by the wall clock.
 */
#ifndef WEIR_DRIVE_H
#define WEIR_DRIVE_H

#include <stdatomic.h>
#include <stdint.h>

#include "env.h"
#include "expect.h"
#include "fleet.h"
#include "sender.h"

struct drive;

struct drive_options {
	struct fleet_options fleet;
	struct sender_options
	    sender; /* one a gateway, `answered` is set here; stop_fd ends all waits */
	/* Readings acknowledged so far; of the time that drive_push goes through, the share done.
	 */
	void (*progress)(void *ctx, uint64_t readings, double share);
	void *progress_ctx;    /* progress may be NULL */
	struct expect *expect; /* told of every reading generated; may be NULL */
};

/* 0, -EINVAL, -ENOMEM. */
int drive_create(const struct drive_options *options, struct drive **ret_drive);
void drive_destroy(struct drive *drive); /* NULL allowed */

/* Generates and sends, in large bodies, all reports up to `until_ms` (data time) or `readings_max`
 * readings, whichever comes first; 0 when all are acknowledged, else as sender_flush. */
int drive_push(struct drive *drive, int64_t until_ms, uint64_t readings_max);

/* From `from_ms` on (data time; not before the last report) at another pace. */
void drive_set_pace(struct drive *drive, int64_t from_ms, unsigned interval_ms, double speed_up);

/* A report leaves when its time has come on the wall clock; what is overdue leaves at once. Returns
 * only on failure, as sender_flush (-ECANCELED: stopped). */
int drive_live(struct drive *drive);

/* Any thread. Readings acknowledged. */
uint64_t drive_readings(const struct drive *drive);

/* A sentence about the failure of drive_push or drive_live. */
const char *drive_reason(const struct drive *drive);

#endif

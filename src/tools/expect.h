/*
 * expect.h: what a store must hold after a fleet's readings, by device and metric.
 *
 * Values are whole tenths, so sums are exact: a text is rounded once, when it is written.
 */
#ifndef WEIR_EXPECT_H
#define WEIR_EXPECT_H

#include <stdint.h>

#include "buf.h"
#include "fleet.h"
#include "sender.h"

struct expect;

/* For devices FLEET_DEVICE_FIRST and on, sent in this format (it decides the metrics' names).
 * 0 or -ENOMEM. */
int expect_create(unsigned devices, enum sender_format format, struct expect **ret_expect);
void expect_destroy(struct expect *expect); /* NULL allowed */

void expect_add(struct expect *expect, const struct fleet_reading *reading);

/* Appends one JSON line for each series, by device, then the total. 0 or -ENOMEM. */
int expect_write(const struct expect *expect, struct buf *out);

#endif

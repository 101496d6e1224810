/*
 * power.h: a node's durable half on one simulated disk, without threads: judge, journal, store,
 * parts, replay; and a model of what it must hold. For test_power.
 */
#ifndef WEIR_TEST_FLOW_POWER_H
#define WEIR_TEST_FLOW_POWER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "flow.h"
#include "raw.h"
#include "sim.h"

#define POWER_PARTITIONS 3
#define POWER_DEVICES 5
#define POWER_METRICS 3
#define POWER_TOMBS_MAX 4
#define POWER_SERIES (POWER_DEVICES * POWER_METRICS * 2)

enum power_fate { POWER_ACKED, POWER_UNKNOWN, POWER_GONE };

/* A record as it was judged, kept with its points. */
struct power_told {
	struct journal_record *record;
	char *raw;             /* what raw_write made of it then */
	enum power_fate fate;
	bool seen;             /* in this pass over the journal */
};

struct power_point {
	int64_t time_ms;
	double value;
};

struct power_points {
	struct power_point *points;  /* ascending, unique */
	size_t count, cap;
};

struct power {
	struct env *env;
	uint64_t seed;
	struct store *store;
	struct journal *journal;
	struct flow *flow;
	_Atomic uint64_t next_part_id;
	struct judge *judge;
	struct power_told *told;
	size_t told_count, told_cap;
	uint64_t next_seq, trimmed_seq, reserved_seq;
	struct power_points model[POWER_SERIES];
	struct buf body, scratch, out;
	bool store_fails;      /* the sync of the next transaction does */
	unsigned loops;        /* of the next opening: so many lanes may replay */
	struct store_tombstone tombs[POWER_TOMBS_MAX]; /* which it is told of */
	size_t tomb_count;
	bool damaged;          /* somebody has been at the disk: the flow may warn */
	unsigned warnings;
	unsigned commits, failed, flushes, merges, seals, cuts, found;
};

void power_init(struct power *power, uint64_t seed);
void power_finish(struct power *power);

uint64_t power_draw(struct power *power, uint64_t bound);

/* The number of a series in the model. */
size_t power_series_of(struct span key);

/* The points of an accepted record. */
void power_model_take(struct power *power, const struct journal_record *record);

/* All raw messages of a record; the caller frees. */
char *power_raw_text(struct power *power, const struct journal_record *record);

/* Opens what the disk holds and replays; may fail half open. */
int power_open(struct power *power);
void power_close(struct power *power);

/* One thing that a node does, drawn. A negative errno is the end of the process. */
int power_step(struct power *power);
int power_commit(struct power *power);
void power_flush(struct power *power);
void power_merge(struct power *power);

#endif

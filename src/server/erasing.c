/*
 * erasing.c: passes over the journal: see erasing.h.
 *
 * Nothing is rewritten before every partition has all of it in parts: so what a replay reads is
 * never less than what it needs. What is damaged stays as it is and is told; the pass goes on
 * behind it and is tried again later.
 */
#include "erasing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "raw_cut.h"
#include "raw_keys.h"

#define RETRY_MS 600000u /* after what is damaged, or a fault of the disk */
#define HOUR_MS 3600000u

enum phase {
	ERASING_REST,
	ERASING_FLUSH,   /* until all before the tombstones is in parts, so in the journal, too */
	ERASING_WIPE,    /* spares and what was left behind */
	ERASING_ROLL,    /* the journal begins a new segment */
	ERASING_SETTLE,  /* until all of the full segments is in parts */
	ERASING_REWRITE, /* one segment at a time */
	ERASING_END,
};

struct erasing {
	struct erasing_options options;
	uint64_t interval_ms, not_before_ms; /* on the loop's clock */
	enum phase phase;              /* the worker's while it works, as all below */
	struct tombs *tombs;           /* what the pass is about */
	struct raw_cut *cut;
	uint64_t seq_wanted;           /* of FLUSH and SETTLE */
	uint64_t number, number_last;  /* the segment that is done, the last one to do */
	uint64_t segments;
	struct flow_roll roll;
	char failure[192];             /* the first; empty: none */
	int error;                     /* that ended it */
};

static void
failure_keep(struct erasing *erasing, const struct journal_damage *damage)
{
	if (!erasing->failure[0])
		snprintf(erasing->failure, sizeof erasing->failure,
		    "journal segment %s is damaged at byte %llu: %s", damage->segment,
		    (unsigned long long)damage->offset, damage->reason);
}

/* ── on the worker ── */

/* 0 or an error of the disk. */
static int
work_wipe(struct erasing *erasing)
{
	struct journal_damage damage;
	int error = journal_wipe(erasing->options.journal, &damage);
	if (error == -EBADMSG)
		failure_keep(erasing, &damage);
	return error == -EBADMSG ? 0 : error;
}

/* 1: there is more, 0: all are done, or an error. */
static int
work_rewrite(struct erasing *erasing)
{
	struct journal_damage damage;
	struct journal_erase_options options = {
		.seal = {.keys = raw_keys, .ctx = erasing->cut, .stop = erasing->options.stopping},
		.seq = raw_cut_seq(erasing->cut),
		.number_last = erasing->number_last,
		.edit = raw_cut_record,
	};
	options.wanted = raw_cut_wanted(erasing->cut, &options.wanted_count);
	int r = journal_erase(erasing->options.journal, &options, &erasing->number, &damage);
	if (r == -EBADMSG)
		failure_keep(erasing, &damage);
	erasing->segments += r == 1;
	return r == -EBADMSG ? 1 : r;
}

void
erasing_work(struct erasing *erasing)
{
	int r = erasing->phase == ERASING_WIPE ? work_wipe(erasing) : work_rewrite(erasing);
	if (r == 0 && erasing->phase == ERASING_REWRITE)
		r = work_wipe(erasing);
	if (r == 0)
		erasing->phase = erasing->phase == ERASING_WIPE ? ERASING_ROLL : ERASING_END;
	erasing->error = MIN(r, 0);
}

/* ── on the loop ── */

static void
pass_end(struct erasing *erasing, uint64_t wait_ms)
{
	uint64_t at_ms = loop_mono_ms(erasing->options.loop) + wait_ms;
	erasing->not_before_ms = MAX(erasing->not_before_ms, at_ms);
	erasing->phase = ERASING_REST;
	raw_cut_destroy(erasing->cut);
	tombs_unref(erasing->tombs);
	erasing->cut = NULL;
	erasing->tombs = NULL;
}

static void
pass_fail(struct erasing *erasing)
{
	log_event(erasing->options.log, LOG_WARN, "raw_erase_failed",
	    LOG_FIELDS(LOG_TEXT("error", erasing->failure),
		LOG_NUMBER("devices", erasing->tombs->count)));
	flow_loop_raw_failed(erasing->options.flow, erasing->tombs, erasing->failure);
	pass_end(erasing, RETRY_MS);
}

static void
pass_break(struct erasing *erasing, int error)
{
	if (error == -ECANCELED) {
		pass_end(erasing, 0);
		return;
	}
	snprintf(erasing->failure, sizeof erasing->failure, "the journal cannot be rewritten: %s",
	    strerror(-error));
	pass_fail(erasing);
}

static void
pass_begin(struct erasing *erasing)
{
	uint64_t now_ms = loop_mono_ms(erasing->options.loop);
	struct tombs *tombs = flow_loop_tombs(erasing->options.flow);
	journal_set_wipes(erasing->options.journal, tombs != NULL);
	if (!tombs || now_ms < erasing->not_before_ms ||
	    raw_cut_create(tombs, &erasing->cut)) {
		tombs_unref(tombs);
		return;
	}
	erasing->tombs = tombs;
	erasing->not_before_ms = now_ms + erasing->interval_ms;
	erasing->seq_wanted = raw_cut_seq(erasing->cut);
	erasing->number = erasing->segments = 0;
	erasing->failure[0] = '\0';
	erasing->phase = ERASING_FLUSH;
}

struct last_seq {
	uint64_t number, seq;
};

static int
last_seq_find(void *ctx, const struct journal_segment_info *segment)
{
	struct last_seq *last = ctx;
	if (segment->number <= last->number)
		last->seq = MAX(last->seq, segment->last_seq);
	return 0;
}

static void
rolled(struct flow_roll *roll, int error)
{
	struct erasing *erasing = CONTAINER_OF(roll, struct erasing, roll);
	struct last_seq last = {.number = roll->number};
	if (!error)
		error = journal_each_segment(erasing->options.journal, last_seq_find, &last);
	if (error) {
		pass_break(erasing, error);
		return;
	}
	erasing->number_last = roll->number;
	erasing->seq_wanted = last.seq;
	erasing->phase = ERASING_SETTLE;
}

void
erasing_look(struct erasing *erasing, uint64_t cursor_seq)
{
	if (erasing->phase == ERASING_REST)
		pass_begin(erasing);
	if (cursor_seq < erasing->seq_wanted)
		return;
	if (erasing->phase == ERASING_FLUSH)
		erasing->phase = ERASING_WIPE;
	else if (erasing->phase == ERASING_SETTLE)
		erasing->phase = ERASING_REWRITE;
}

void
erasing_worked(struct erasing *erasing)
{
	if (erasing->error) {
		pass_break(erasing, erasing->error);
		return;
	}
	if (erasing->phase == ERASING_ROLL) {
		erasing->roll.done = rolled;
		flow_roll(erasing->options.flow, &erasing->roll);
		return;
	}
	if (erasing->phase != ERASING_END)
		return;
	if (erasing->failure[0]) {
		pass_fail(erasing);
		return;
	}
	log_event(erasing->options.log, LOG_INFO, "raw_erased",
	    LOG_FIELDS(LOG_NUMBER("devices", erasing->tombs->count),
		LOG_NUMBER("segments", erasing->segments)));
	/* Without memory for it the next pass finds little to do. */
	(void)flow_loop_raw_erased(erasing->options.flow, erasing->tombs);
	pass_end(erasing, 0);
}

uint64_t
erasing_flush_seq(const struct erasing *erasing)
{
	return erasing->phase == ERASING_FLUSH || erasing->phase == ERASING_SETTLE ?
	    erasing->seq_wanted : 0;
}

bool
erasing_active(const struct erasing *erasing)
{
	return erasing->phase != ERASING_REST;
}

bool
erasing_wants_work(const struct erasing *erasing)
{
	return erasing->phase == ERASING_WIPE || erasing->phase == ERASING_REWRITE;
}

void
erasing_set(struct erasing *erasing, uint64_t hours_max)
{
	erasing->interval_ms = hours_max * HOUR_MS / 4;
}

int
erasing_create(const struct erasing_options *options, struct erasing **ret_erasing)
{
	struct erasing *erasing = calloc(1, sizeof *erasing);
	if (!erasing)
		return -ENOMEM;
	erasing->options = *options;
	*ret_erasing = erasing;
	return 0;
}

void
erasing_destroy(struct erasing *erasing)
{
	if (!erasing)
		return;
	raw_cut_destroy(erasing->cut);
	tombs_unref(erasing->tombs);
	free(erasing);
}

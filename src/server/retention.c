/*
 * retention.c: the periodic look at what a data directory keeps.
 *
 * Invariants: one look at a time; a segment goes only when every partition has all of it in parts
 * and only with all before it; nothing is begun once the server stops.
 */
#include "retention.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "data.h"
#include "erasing.h"
#include "raw_keys.h"
#include "reserve.h"

#define WARN_PERCENT 80u  /* of retention.disk_bytes_max: the log says so */
#define TRIM_PERCENT 95u  /* raw messages go, see trim_bytes */
#define NEAR_LOOK_MS 1000u /* how often it is looked above the first of these */
#define ERASING_LOOK_MS 200u /* and while something is being erased */

struct limits {
	uint64_t look_ms, raw_ms, raw_bytes, disk_bytes_max;
	uint64_t seal, seal_age_ms;
	uint64_t points_ms, points_bytes, rollups_ms, rollups_bytes;
	uint64_t reserve_bytes;
};

struct retention {
	struct retention_options options;
	struct limits limits;        /* the loop's */
	struct loop_timer timer;
	struct flow_look look;
	struct job job;
	struct erasing *erasing;
	unsigned level;              /* of the ladder: 0, WARN_PERCENT, TRIM_PERCENT */

	/* The worker's while it runs, else the loop's. */
	struct limits held;
	uint64_t cursor_seq, part_bytes, used_bytes;
	bool seal_more;              /* one was sealed: there may be another */
	bool trimmed;                /* raw messages went at the last look */
	uint64_t held_seq;           /* those up to it were to go, and are not in parts */
	struct reserve reserve;
	bool spent;                  /* the reserve was given up: the journal may not grow */
	bool near_full;

	struct mail hurry;
	atomic_bool hurried;         /* it is on its way, or the look that follows */
	bool looking;
	uint64_t looked_ms;          /* when the last look began */
	atomic_uint_fast64_t disk_bytes, reserve_bytes;
};

static void look_begin(struct loop_timer *timer);
static void job_begin(struct retention *retention, void (*run)(struct job *job));

/* ── on the worker ── */

/* Which segments go, from the oldest on. */
struct choice {
	const struct retention *retention;
	int64_t now_ms;
	uint64_t raw_bytes;  /* of the segments that stay */
	uint64_t used_bytes; /* of the directory, without those that go */
	uint64_t seq;        /* all below it goes */
	uint64_t held_seq;   /* up to it, the disk being full, all would go but is not in parts */
};

static int
segment_count(void *ctx, const struct journal_segment_info *segment)
{
	((struct choice *)ctx)->raw_bytes += segment->disk_bytes;
	return 0;
}

/* Above it raw messages go: TRIM_PERCENT, or what leaves no room for two more segments. */
static uint64_t
trim_bytes(const struct retention *retention)
{
	uint64_t max = retention->held.disk_bytes_max;
	uint64_t room = MIN(2 * retention->options.segment_bytes, max);
	return MIN(max / 100 * TRIM_PERCENT, max - room);
}

static bool
is_full(const struct choice *choice)
{
	const struct limits *limits = &choice->retention->held;
	return limits->disk_bytes_max && choice->used_bytes > trim_bytes(choice->retention);
}

static bool
segment_must_go(const struct choice *choice, const struct journal_segment_info *segment)
{
	const struct limits *limits = &choice->retention->held;
	return (limits->raw_ms && segment->arrival_max_ms + (int64_t)limits->raw_ms <
	    choice->now_ms) ||
	    (limits->raw_bytes && choice->raw_bytes > limits->raw_bytes) ||
	    is_full(choice);
}

/* 1: this one stays, and so do all behind it. */
static int
segment_choose(void *ctx, const struct journal_segment_info *segment)
{
	struct choice *choice = ctx;
	if (!segment->last && segment->last_seq > choice->retention->cursor_seq &&
	    is_full(choice))
		choice->held_seq = segment->last_seq;
	if (segment->last || segment->last_seq > choice->retention->cursor_seq ||
	    !segment_must_go(choice, segment))
		return 1;
	choice->seq = MAX(choice->seq, segment->last_seq + 1);
	choice->raw_bytes -= segment->disk_bytes;
	choice->used_bytes -= MIN(segment->disk_bytes, choice->used_bytes);
	return 0;
}

static uint64_t
used_bytes(const struct retention *retention)
{
	static const char *const files[] = {"weir.db", "weir.db-wal"};
	struct journal_stats stats;
	journal_stats(retention->options.journal, &stats);
	uint64_t sum = stats.disk_bytes + retention->part_bytes;
	for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
		char path[DATA_PATH_BYTES];
		uint64_t bytes;
		if (data_path(retention->options.dir, files[i], path) == 0 &&
		    env_stat(retention->options.env, path, &bytes) == 0)
			sum += bytes;
	}
	return sum;
}

static void
journal_look(struct retention *retention)
{
	struct journal *journal = retention->options.journal;
	struct journal_stats before, after;
	struct choice choice = {
		.retention = retention,
		.now_ms = env_now_ms(retention->options.env),
		.used_bytes = used_bytes(retention),
	};
	journal_stats(journal, &before);
	int error = journal_each_segment(journal, segment_count, &choice);
	if (!error)
		error = journal_each_segment(journal, segment_choose, &choice);
	if (error >= 0 && choice.seq)
		error = journal_trim(journal, choice.seq);
	journal_stats(journal, &after);
	retention->held_seq = choice.held_seq;
	if (error < 0)
		log_event(retention->options.log, LOG_WARN, "raw_trim_failed",
		    LOG_FIELDS(LOG_TEXT("error", strerror(-error))));
	if (after.first_seq)
		flow_loop_raw_gone(retention->options.flow, after.first_seq);
	retention->trimmed = after.trimmed > before.trimmed;
	if (retention->trimmed)
		log_event(retention->options.log, LOG_INFO, "raw_trimmed",
		    LOG_FIELDS(LOG_NUMBER("segments", after.trimmed - before.trimmed),
			LOG_NUMBER("first_seq", after.first_seq)));
}

/* Seals one segment: flushes and merges wait for the same workers. */
static void
seal_run(struct job *job)
{
	struct retention *retention = CONTAINER_OF(job, struct retention, job);
	struct journal *journal = retention->options.journal;
	struct journal_seal_options options = {
		.before_ms = env_now_ms(retention->options.env) -
		    (int64_t)retention->held.seal_age_ms,
		.keys = raw_keys,
		.stop = retention->options.stopping,
	};
	int result = journal_seal(journal, &options);
	retention->seal_more = result == 1;
	if (result < 0 && result != -ECANCELED)
		log_event(retention->options.log, LOG_WARN, "seal_failed",
		    LOG_FIELDS(LOG_TEXT("error", strerror(-result))));
	retention->used_bytes = used_bytes(retention);
	atomic_store(&retention->disk_bytes, retention->used_bytes);
}

static void
erase_run(struct job *job)
{
	struct retention *retention = CONTAINER_OF(job, struct retention, job);
	erasing_work(retention->erasing);
	retention->used_bytes = used_bytes(retention);
	atomic_store(&retention->disk_bytes, retention->used_bytes);
}

/* What the others leave of the directory's limit is the journal's. */
static void
limit_set(struct retention *retention)
{
	struct journal_stats stats;
	uint64_t max = retention->held.disk_bytes_max, used = used_bytes(retention);
	journal_stats(retention->options.journal, &stats);
	uint64_t others = used - MIN(stats.disk_bytes, used);
	uint64_t limit = max == 0 ? UINT64_MAX : max - MIN(others, max);
	/* What the reserve gave is not for the journal. */
	if (retention->spent)
		limit = MIN(limit, stats.disk_bytes);
	journal_set_limit(retention->options.journal, limit);
}

static void
reserve_run(struct retention *retention)
{
	struct reserve *reserve = &retention->reserve;
	uint64_t wanted = retention->held.reserve_bytes, free_bytes;
	enum reserve_change change;
	if (env_disk_free(retention->options.env, retention->options.dir, &free_bytes))
		return;
	int error = reserve_look(reserve, wanted, free_bytes, &change);
	if (error && error != -ENOSPC)
		log_event(retention->options.log, LOG_WARN, "reserve_failed",
		    LOG_FIELDS(LOG_TEXT("error", strerror(-error))));
	if (change != RESERVE_SAME)
		log_event(retention->options.log, change == RESERVE_MADE ? LOG_INFO : LOG_WARN,
		    change == RESERVE_MADE ? "reserve_made" : "reserve_given_up",
		    LOG_FIELDS(LOG_NUMBER("free_bytes", free_bytes)));
	if (change == RESERVE_GIVEN_UP)
		retention->spent = wanted > 0;
	if (reserve->bytes || !wanted)
		retention->spent = false;
	retention->near_full = reserve_is_near(reserve, wanted, free_bytes);
	atomic_store(&retention->reserve_bytes, reserve->bytes);
}

static void
look_run(struct job *job)
{
	struct retention *retention = CONTAINER_OF(job, struct retention, job);
	reserve_run(retention);
	limit_set(retention);
	journal_look(retention);
	retention->seal_more = retention->held.seal;
	retention->used_bytes = used_bytes(retention);
	atomic_store(&retention->disk_bytes, retention->used_bytes);
}

/* ── on the loop ── */

/* Where on the ladder the directory stands; says so when it climbs. */
static void
ladder_look(struct retention *retention)
{
	uint64_t percent = retention->held.disk_bytes_max / 100;
	unsigned level = 0;
	if (percent && retention->used_bytes > trim_bytes(retention))
		level = TRIM_PERCENT;
	else if (percent && retention->used_bytes > percent * WARN_PERCENT)
		level = WARN_PERCENT;
	if (level > retention->level)
		log_event(retention->options.log, LOG_WARN, "disk_filling",
		    LOG_FIELDS(LOG_NUMBER("used_bytes", retention->used_bytes),
			LOG_NUMBER("disk_bytes_max", retention->held.disk_bytes_max),
			LOG_NUMBER("above_percent", level)));
	retention->level = level;
}

/* The look that was hurried; not more often than when the disk is nearly full. */
static void
look_soon(struct retention *retention)
{
	uint64_t now_ms = loop_mono_ms(retention->options.loop);
	if (retention->looking)
		return;
	check(loop_timer_set(retention->options.loop, &retention->timer,
	    MAX(now_ms, retention->looked_ms + NEAR_LOOK_MS)) == 0);
}

static void
look_hurried(struct mail *mail)
{
	look_soon(CONTAINER_OF(mail, struct retention, hurry));
}

void
retention_hurry(struct retention *retention)
{
	if (atomic_exchange(&retention->hurried, true))
		return;
	retention->hurry.deliver = look_hurried;
	mailbox_send(retention->options.box, &retention->hurry);
}

static void
look_again(struct retention *retention)
{
	uint64_t wait_ms = retention->limits.look_ms;
	if (retention->level || retention->near_full)
		wait_ms = MIN(wait_ms, (uint64_t)NEAR_LOOK_MS);
	if (erasing_active(retention->erasing))
		wait_ms = MIN(wait_ms, (uint64_t)ERASING_LOOK_MS);
	retention->looking = false;
	/* It has its place since retention_start. */
	check(loop_timer_set(retention->options.loop, &retention->timer,
	    loop_mono_ms(retention->options.loop) + wait_ms) == 0);
	if (atomic_load(&retention->hurried))
		look_soon(retention);
}

static void
job_ran(struct mail *mail)
{
	struct job *job = CONTAINER_OF(mail, struct job, mail);
	struct retention *retention = CONTAINER_OF(job, struct retention, job);
	ladder_look(retention);
	if (job->run == erase_run)
		erasing_worked(retention->erasing);
	if (atomic_load(retention->options.stopping))
		return;
	if (erasing_wants_work(retention->erasing))
		job_begin(retention, erase_run);
	else if (retention->seal_more && !erasing_active(retention->erasing))
		job_begin(retention, seal_run);
	else
		look_again(retention);
}

static void
job_begin(struct retention *retention, void (*run)(struct job *job))
{
	retention->job.run = run;
	retention->job.mail.deliver = job_ran;
	retention->job.reply_to = retention->options.box;
	workers_submit_always(retention->options.workers, &retention->job);
}

static void
look_answered(struct flow_look *look)
{
	struct retention *retention = CONTAINER_OF(look, struct retention, look);
	if (atomic_load(retention->options.stopping))
		return;
	retention->held = retention->limits;
	retention->cursor_seq = look->cursor_seq;
	retention->part_bytes = look->part_bytes;
	erasing_look(retention->erasing, look->cursor_seq);
	job_begin(retention, look_run);
}

static int64_t
before_of(int64_t now_ms, uint64_t kept_ms)
{
	return kept_ms ? now_ms - (int64_t)kept_ms : INT64_MIN;
}

/* What of the series may go. Where the directory is full and no raw message went, points go. */
static void
series_limits(const struct retention *retention, struct flow_look *look)
{
	const struct limits *limits = &retention->limits;
	int64_t now_ms = env_now_ms(retention->options.env);
	look->points_before_ms = before_of(now_ms, limits->points_ms);
	look->rollups_before_ms = before_of(now_ms, limits->rollups_ms);
	look->points_bytes_now = look->points_bytes; /* of the last look */
	look->rollups_bytes_now = look->rollups_bytes;
	look->points_bytes_max = limits->points_bytes ? limits->points_bytes : UINT64_MAX;
	look->rollups_bytes_max = limits->rollups_bytes ? limits->rollups_bytes : UINT64_MAX;
	uint64_t most = limits->disk_bytes_max / 100 * TRIM_PERCENT;
	if (retention->level < TRIM_PERCENT || retention->trimmed || !most)
		return;
	uint64_t over = retention->used_bytes - MIN(most, retention->used_bytes);
	uint64_t left = look->points_bytes - MIN(over, look->points_bytes);
	look->points_bytes_max = MIN(look->points_bytes_max, left);
}

static void
look_begin(struct loop_timer *timer)
{
	struct retention *retention = CONTAINER_OF(timer, struct retention, timer);
	if (atomic_load(retention->options.stopping))
		return;
	loop_timer_set(retention->options.loop, timer, UINT64_MAX); /* keeps its place */
	retention->looking = true;
	retention->looked_ms = loop_mono_ms(retention->options.loop);
	atomic_store(&retention->hurried, false);
	series_limits(retention, &retention->look);
	retention->look.flush_seq = MAX(retention->held_seq,
	    erasing_flush_seq(retention->erasing));
	retention->look.done = look_answered;
	flow_look(retention->options.flow, &retention->look);
}

void
retention_set(struct retention *retention, const struct settings *settings)
{
	retention->limits = (struct limits){
		.look_ms = settings->retention.look_ms,
		.raw_ms = settings->retention.raw_ms,
		.raw_bytes = settings->retention.raw_bytes,
		.disk_bytes_max = settings->retention.disk_bytes_max,
		.seal = settings->journal.seal,
		.seal_age_ms = settings->journal.seal_age_ms,
		.points_ms = settings->retention.points_ms,
		.points_bytes = settings->retention.points_bytes,
		.rollups_ms = settings->retention.rollups_ms,
		.rollups_bytes = settings->retention.rollups_bytes,
		.reserve_bytes = settings->retention.reserve_bytes,
	};
	erasing_set(retention->erasing, settings->privacy.erase_hours_max);
}

int
retention_create(const struct retention_options *options, const struct settings *settings,
    struct retention **ret_retention)
{
	struct retention *retention = calloc(1, sizeof *retention);
	if (!retention)
		return -ENOMEM;
	retention->options = *options;
	retention->timer.fire = look_begin;
	retention->reserve = (struct reserve){.env = options->env, .dir = options->dir};
	struct erasing_options erasing = {
		.log = options->log,
		.journal = options->journal,
		.loop = options->loop,
		.flow = options->flow,
		.stopping = options->stopping,
	};
	int error = erasing_create(&erasing, &retention->erasing);
	if (!error)
		error = loop_timer_set(options->loop, &retention->timer, UINT64_MAX);
	if (error)
		goto fail;
	retention_set(retention, settings);
	*ret_retention = retention;
	return 0;

fail:
	erasing_destroy(retention->erasing);
	free(retention);
	return error;
}

void
retention_destroy(struct retention *retention)
{
	if (!retention)
		return;
	loop_timer_cancel(retention->options.loop, &retention->timer);
	erasing_destroy(retention->erasing);
	free(retention);
}

void
retention_start(struct retention *retention)
{
	look_begin(&retention->timer);
}

void
retention_stats(const struct retention *retention, struct retention_stats *ret_stats)
{
	*ret_stats = (struct retention_stats){
		.disk_bytes = atomic_load(&retention->disk_bytes),
		.reserve_bytes = atomic_load(&retention->reserve_bytes),
	};
}

/*
 * rollup.h: roll-ups of a series in files: which kinds there are, their chunks, reading them.
 *
 * Roll-ups of a kind lie in parts of their own, each of one partition and a span of days; in the
 * same bucket the later part wins, as with points. Whether they may be believed is not theirs to
 * say: what is dirty follows from the parts of points (query_plan.c).
 */
#ifndef WEIR_ROLLUP_H
#define WEIR_ROLLUP_H

#include "buf.h"
#include "cell.h"
#include "part.h"
#include "span.h"

enum rollup_kind {
	ROLLUP_POINTS,           /* no roll-up */
	ROLLUP_MINUTE,
	ROLLUP_HOUR,
	ROLLUP_DAY,
	ROLLUP_KINDS
};

#define ROLLUP_BIT(kind) (1u << (kind))
#define ROLLUP_CHUNK_MAX 1440u /* roll-ups of a series in a part: minutes of its day */

/* Of one bucket. */
static inline int64_t
rollup_span_ms(enum rollup_kind kind)
{
	return kind == ROLLUP_DAY ? INT64_C(86400000) :
	    kind == ROLLUP_HOUR ? INT64_C(3600000) : INT64_C(60000);
}

/* The first day of the file that a day's points or roll-ups go to. */
static inline int32_t
rollup_file_day(enum rollup_kind kind, int32_t day)
{
	int32_t days = part_days(kind);
	return day - (day % days + days) % days;
}

/* Appends the chunk of 1..ROLLUP_CHUNK_MAX roll-ups, ascending, all of the file that begins with
 * `file_day`. 0 or -ENOMEM. */
int rollup_encode(enum rollup_kind kind, int32_t file_day, const struct rollup *rollups,
    size_t count, struct buf *out);

/* How many there are (they are in *ret_rollups, which has room for ROLLUP_CHUNK_MAX), -EBADMSG,
 * -EPROTO. */
int rollup_decode(enum rollup_kind kind, int32_t file_day, struct span chunk,
    struct rollup *ret_rollups);

/* ── reading: the roll-ups of one series after the other ── */

struct rollup_reader;

struct rollup_reader_settings {
	struct part *const *parts; /* of one kind, by day, then seq; stay while the reader lives */
	size_t part_count;
	const struct tombs *tombs; /* NULL: nothing is erased */
	struct series_shelf *shelf; /* as of a stream's settings; NULL: none */
	size_t at_once;            /* as of a stream's settings, of roll-ups */
	void (*damage)(void *ctx, const struct series_damage *damage); /* may be NULL */
	void *ctx;
};

int rollup_reader_create(const struct rollup_reader_settings *settings,
    struct rollup_reader **ret_reader); /* 0, -ENOMEM */
void rollup_reader_destroy(struct rollup_reader *reader); /* NULL ok */

/* Roll-ups of one file span, ascending, valid until the next call. */
struct rollup_run {
	const struct rollup *rollups;
	size_t count;
	int64_t first_ms, last_ms; /* of the first point of the first one, the last of the last */
	bool damaged;              /* something was left out (and reported) */
};

/* The roll-ups of the series in the file span of `file_day`; best with ascending keys. 0, -ENOMEM,
 * -EIO, -EAGAIN. */
int rollup_reader_read(struct rollup_reader *reader, struct span key, int32_t file_day,
    struct rollup_run *ret_run);

#endif

/*
 * judge_priv.h: what the judge's files share.
 */
#ifndef WEIR_JUDGE_PRIV_H
#define WEIR_JUDGE_PRIV_H

#include "buf.h"
#include "census.h"
#include "json.h"
#include "judge.h"
#include "line_cache.h"

#define JUDGE_NAME_BYTES_MAX JUDGE_ID_BYTES_MAX
#define JUDGE_METRICS_MAX 64      /* in one reading */
#define JUDGE_TIME_MS_MIN (-62135596800000LL) /* year 1 */
#define JUDGE_TIME_MS_MAX 253402300799999LL   /* year 9999 */

/* A point of the item under way: it joins the batch when the whole item turned out well. */
struct judge_point {
	uint64_t hash;
	size_t key_off, key_len; /* in judge.keys */
	uint32_t partition;
	int64_t time_ms;
	double value;
};

/* A series of the batch under way, by the hash of its key. */
struct judge_series {
	uint64_t run;                   /* the judge's, or it means nothing */
	uint64_t hash;
	uint32_t number;
};

#define JUDGE_SERIES_KNOWN 2048u        /* a power of two */

struct judge {
	uint32_t partitions;
	struct judge_limits limits;
	uint64_t run;                   /* counts bodies */
	struct line_cache *lines;
	uint64_t line_seed;             /* of the tenant of the body under way */
	struct judge_series *series;    /* JUDGE_SERIES_KNOWN */
	struct lp_line line;
	struct buf scratch;             /* unescaped names of a line or reading */
	struct buf keys;                /* keys of the item under way */
	struct judge_point *points;     /* of the item under way */
	size_t point_count, point_cap;
	char key[SERIES_KEY_BYTES_MAX];
	char why[CENSUS_WHY_BYTES];     /* of the last item that had no room for its series */
};

/* One body's run. `result` is NULL at replay, `skip` is empty live. */
struct judge_run {
	struct judge *judge;
	const struct judge_body *body;
	struct judge_result *result;
	struct series_batch *batch;
	const struct journal_reject *skip, *skip_end;
	uint32_t item;                  /* index in this body */
};

/* Whether replay must leave this out. Asked in ascending order; item-level entries (-1) come
 * before the item's readings. */
bool judge_skips(struct judge_run *run, uint32_t item, int32_t reading);

/* Notes a rejection live: its number, and a detail while there is room. `word` and `text` may be
 * NULL: the verdict's own. -EBADMSG at replay (the list did not have it), -ENOMEM. */
int judge_reject(struct judge_run *run, int32_t reading, uint32_t code, uint32_t column,
    const char *word, const char *text);

bool judge_name_ok(struct span name);

/* A device's id as text, in `room` (JUDGE_NAME_BYTES_MAX bytes): an integer literal to the digit,
 * or a string that is a name. ptr NULL: the token is no id. */
struct span judge_device_id(const struct json_reader *reader, enum json_token token, char *room);

/* 0 or the verdict on a point's time. At replay only what no calendar knows is refused. */
uint32_t judge_time(const struct judge_run *run, int64_t ms);

/* Whether points of then are kept in this partition. At replay all are. */
static inline bool
judge_kept(const struct judge_run *run, uint32_t partition, int64_t time_ms)
{
	const struct judge_floors *floors = run->result ? run->judge->limits.floors : NULL;
	return !floors ||
	    time_ms >= atomic_load_explicit(&floors->highest, memory_order_relaxed) ||
	    time_ms >= atomic_load_explicit(&floors->of[partition], memory_order_relaxed);
}

/* Whether all points of the item under way are. */
bool judge_points_kept(const struct judge_run *run);

/* Whether the points of the item under way may join their series. 0, -ENOMEM, or -EDQUOT: judge.why
 * says why not. */
int judge_points_allow(struct judge_run *run);

/* Builds the key of a series into judge.keys and adds a point of the item under way.
 * 0, -ENOMEM, -EINVAL or -E2BIG (as series_key_build). `key_off` SIZE_MAX: build the key. */
int judge_point_add(struct judge_run *run, struct span key, uint32_t partition, int64_t time_ms,
    double value);

/* The point of the item under way that came `back` points ago, if there is one and its metric is
 * this one. / One more of the same series. 0 or -ENOMEM. */
const struct judge_point *judge_point_before(const struct judge *judge, size_t back,
    struct span tenant, struct span metric);
int judge_point_again(struct judge_run *run, const struct judge_point *before, int64_t time_ms,
    double value);

/* The number in the batch under way of the series with this key. 0 or -ENOMEM. */
int judge_series_take(struct judge_run *run, uint32_t partition, uint64_t hash, struct span series,
    uint32_t *ret_series);

/* The item is good: its points join the batch. / It is not: they are forgotten. */
int judge_points_commit(struct judge_run *run);
void judge_points_drop(struct judge_run *run);

/* The items of a JSON body: documents behind one another, and what is in those that are arrays.
 * each() gets the first token of each, also JSON_END or JSON_ERROR where there is none, which is an
 * error of its own. 0 or what each() said; the reader is where that was. */
static inline int
judge_each_item(struct json_reader *reader, struct span body, bool trusted,
    int (*each)(void *ctx, struct json_reader *reader, enum json_token token), void *ctx)
{
	int error = 0;
	do {
		json_reader_init(reader, body, trusted);
		enum json_token token = json_next(reader);
		if (token == JSON_ARRAY) {
			while (!error && (token = json_next(reader)) != JSON_ARRAY_END)
				error = each(ctx, reader, token);
		} else {
			error = each(ctx, reader, token);
		}
		body = span_of(reader->pos, (size_t)(reader->end - reader->pos));
	} while (!error && json_more(reader));
	return error;
}

/* The line at *at without its LF; *at is then behind both. */
struct span judge_take_line(const char **at, const char *end);

/* ── JSON (judge_json.c) ── */

void judge_named_init(struct judge_named *named);

/* Whether a line has no document. */
bool judge_json_blank(struct span line);

/* Each for a value whose first token was read; -EBADMSG: the reader says where. *code gets what is
 * wrong with a credential, unless something was before. Pass over it, overwriting credentials
 * inside it; overwrite it, the value of "auth"; read it, the value of "device" or "gateway". */
int judge_json_skip(struct judge_run *run, struct json_reader *reader, enum json_token token,
    uint32_t *code);
int judge_json_auth(struct judge_run *run, struct json_reader *reader, enum json_token token,
    uint32_t *code);
int judge_json_named(struct judge_run *run, struct json_reader *reader, enum json_token token,
    uint32_t *code, struct judge_named *named);

/* A time in milliseconds or as text. / A number within what a double holds, or a boolean. */
bool judge_json_time(const struct judge_run *run, const struct json_reader *reader,
    enum json_token token, int64_t *ret_ms);
bool judge_json_number(const struct json_reader *reader, enum json_token token,
    double *ret_value);

/* ── messages of gateways (judge_message.c) ── */

#define JUDGE_TOPIC_BYTES_MAX 64

struct judge_message {
	struct span topic;  /* decoded; valid within the call */
	int64_t time_ms;    /* what it says, or when it came */
	struct span data;   /* as it stands in the body; ptr NULL: none */
};

/* A line whose JSON_OBJECT was read. */
int judge_message_take(struct judge_run *run, struct json_reader *reader);

/* Calls each() for each accepted message of a record; a nonzero return ends it and is returned. 0,
 * -EBADMSG: the record does not fit its own verdicts. */
int judge_message_each(const struct journal_record *record,
    int (*each)(void *ctx, const struct judge_message *message), void *ctx);

/* Appends the data of a message as JSON: what was overwritten becomes strings. 0, -ENOMEM,
 * -EBADMSG. */
int judge_message_write(struct buf *out, struct span data);

/* The formats. 0, -ENOMEM, -EBADMSG. */
int judge_json(struct judge_run *run, char *ret_error, size_t error_size);
int judge_ndjson(struct judge_run *run);
int judge_lines(struct judge_run *run);

#endif

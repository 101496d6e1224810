/*
 * judge.h: bodies to points and verdicts, once, live and at replay by the same code.
 *
 * A judge belongs to one thread (a loop, or replay) and keeps what it reuses between bodies. Live,
 * it decides what is accepted, overwrites every `auth` value in the body with '*' and lists what
 * it rejected; at replay it follows the record's list and decides nothing.
 */
#ifndef WEIR_JUDGE_H
#define WEIR_JUDGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch.h"
#include "lineproto.h"
#include "record.h"
#include "span.h"
#include "verdict.h"

struct judge;
struct census;

#define JUDGE_DETAILS_MAX 100

/* One rejected item as the client is told of it. */
struct judge_detail {
	uint64_t item;       /* index in the whole request, from 0 */
	int32_t reading;     /* -1: the whole item */
	uint32_t code;       /* enum verdict */
	uint32_t column;     /* in the line or item, from 1; 0: none */
	const char *word;    /* a finer code of line protocol, or NULL: the verdict's */
	char text[160];
};

/* What became of one body. Reused: judge_result_clear between bodies; details and counts go on
 * over the bodies of one request until judge_result_reset. */
struct judge_result {
	struct series_batch *batch;      /* the caller takes it (sets NULL) or clear destroys it */
	struct journal_reject *rejects;  /* of this body; the result's own */
	uint32_t reject_count, reject_cap;
	uint32_t messages;               /* of gateways, accepted in this body */
	uint64_t items;                  /* items or lines in all bodies of the request so far */
	uint64_t accepted, rejected;     /* readings (JSON), lines, messages, likewise */
	size_t detail_count;
	struct judge_detail *details;    /* of the first JUDGE_DETAILS_MAX; NULL before any */
};

void judge_result_init(struct judge_result *result);
void judge_result_clear(struct judge_result *result);  /* ready for the request's next body */
void judge_result_reset(struct judge_result *result);  /* ready for another request */
void judge_result_finish(struct judge_result *result); /* frees */

/* A line that was dropped before it could be judged. */
void judge_result_too_long(struct judge_result *result);

/* `partitions` as the data directory was made. 0 or -ENOMEM. */
int judge_create(uint32_t partitions, struct judge **ret_judge);
void judge_destroy(struct judge *judge);

/* What retention has given up: points of a partition before its floor are not kept. Any thread. */
struct judge_floors {
	_Atomic int64_t highest;    /* none lies above it */
	_Atomic int64_t *of;        /* by partition; INT64_MIN: nothing is gone */
};

/* Which times and series are taken, live. 0 and NULL: any. */
struct judge_limits {
	int64_t future_ms, past_ms; /* from the arrival */
	int64_t kept_ms;            /* older points are not kept: too_old */
	const struct judge_floors *floors; /* likewise; the caller's, as the census */
	struct census *census;      /* the caller's; of the judge's life */
};
void judge_set_limits(struct judge *judge, const struct judge_limits *limits);

/* Who an item says that it is of or from, and the token beside it: of an integer its digits. ptr
 * NULL: not said. Not to be copied: the spans lie in the texts. */
#define JUDGE_ID_BYTES_MAX 255
#define JUDGE_AUTH_BYTES_MAX 768 /* as it stands in the body; of a longer one none is kept */
#define JUDGE_TENANT_BYTES_MAX 64
struct judge_named {
	struct span id, auth, tenant;
	char id_text[JUDGE_ID_BYTES_MAX];
	char auth_text[JUDGE_AUTH_BYTES_MAX];
	char tenant_text[JUDGE_TENANT_BYTES_MAX];
};

/* Who may report what, asked once an item when all of it was read, before it is accepted: 0 or an
 * enum verdict. Live only: at replay the record's list says what came of it. */
struct judge_gate {
	/* The item's member "gateway", where it has one; asked before device(). */
	uint32_t (*gateway)(void *ctx, const struct judge_named *gateway);
	/* Its device; `readings` of it are good. */
	uint32_t (*device)(void *ctx, const struct judge_named *device, uint64_t readings);
	void *ctx;
};

struct judge_body {
	enum journal_format format;
	struct span tenant;
	struct span principal;        /* who sends it, and makes new series; or nobody */
	struct span gateway;          /* JOURNAL_FORMAT_MESSAGES: its id */
	int64_t arrival_ms;
	enum lp_precision precision;  /* JOURNAL_FORMAT_LINE */
	char *bytes;                  /* auth values are overwritten in place */
	size_t len;
	const struct judge_gate *gate; /* NULL: everybody may report everything */
};

/* Judges a body: a whole JSON document (or several, one after another), or complete lines.
 * 0; -ENOMEM; -EBADMSG when a JSON document is malformed: *ret_error (a sentence with line and
 * column, at most `error_size` bytes) and nothing is counted. */
int judge_run(struct judge *judge, const struct judge_body *body, struct judge_result *result,
    char *ret_error, size_t error_size);

/* The member "gateway" of the first item of a body of JSON or NDJSON, the rest of which may still
 * be to come. 1: here it is; 0: not so far; -ENOENT: the item has none. Writes nothing but
 * *ret_gateway. */
int judge_first_gateway(struct span bytes, struct judge_named *ret_gateway);

/* The id of the gateway that a record's principal is ("gateway-7"); ptr NULL: another one. */
struct span judge_gateway_of(struct span principal);

/* The points of a record, as they were accepted. 0, -ENOMEM, -EBADMSG (a body that its own verdict
 * list does not fit: a bug or damage the CRC did not see). */
int judge_replay(struct judge *judge, const struct journal_record *record,
    struct series_batch **ret_batch);

#endif

/*
 * intake.h: bodies of readings on their way into the journal: collected, judged, appended in
 * records, answered when all of them are durable.
 */
#ifndef WEIR_INTAKE_H
#define WEIR_INTAKE_H

#include "api.h"
#include "judge.h"

struct intake;

struct intake_kind {
	enum journal_format format;   /* JOURNAL_FORMAT_NONE: JSON or NDJSON, the body tells */
	enum lp_precision precision;
	/* Everything acceptable is durable: the answer. */
	void (*answer)(struct session_request *request, const struct judge_result *result);
};

/* The answer to items of JSON: 202 with what was accepted and what rejected. */
void api_readings_answer(struct session_request *request, const struct judge_result *result);

/* The record of a body that was judged: its rejections and, taken over, its batch. `body` is
 * malloc'd; the record takes it over, too. 0 or -ENOMEM: nothing is taken. */
int intake_record(const struct access_principal *principal, const struct judge_body *body,
    struct judge_result *result, struct journal_record **ret_record);

/* From a route's begin(): the other three members of its operations must be those below. */
void intake_begin(struct session_request *request, const struct intake_kind *kind);
void intake_body(struct session_request *request, struct span bytes);
void intake_end(struct session_request *request, struct span whole);
void intake_gone(struct session_request *request, bool broken);

#endif

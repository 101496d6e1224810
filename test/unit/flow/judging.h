/*
 * judging.h: what the tests and the fuzzer of the judge share: a body judged, its points as text,
 * and the law that replay of the record gives exactly the points that were accepted.
 */
#ifndef WEIR_TEST_FLOW_JUDGING_H
#define WEIR_TEST_FLOW_JUDGING_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "judge_priv.h"
#include "num.h"

#define JUDGING_PARTITIONS 4
#define JUDGING_ARRIVAL_MS INT64_C(1700000000000)

struct judging {
	struct judge *judge, *replayer;
	struct judge_result result;
	struct judge_body body;
	const struct judge_gate *gate;
	struct buf points;      /* accepted, as text */
	struct buf rejects;     /* "item reading word", a line each */
	struct buf messages;    /* of a gateway: "topic time data", a line each */
	int error;
	char reason[160];
};

static inline void
judging_init(struct judging *judging)
{
	memset(judging, 0, sizeof *judging);
	check(!judge_create(JUDGING_PARTITIONS, &judging->judge));
	check(!judge_create(JUDGING_PARTITIONS, &judging->replayer));
	judge_result_init(&judging->result);
	buf_init(&judging->points, 0);
	buf_init(&judging->rejects, 0);
	buf_init(&judging->messages, 0);
}

static inline void
judging_finish(struct judging *judging)
{
	judge_destroy(judging->judge);
	judge_destroy(judging->replayer);
	judge_result_finish(&judging->result);
	buf_finish(&judging->points);
	buf_finish(&judging->rejects);
	buf_finish(&judging->messages);
	free(judging->body.bytes);
}

/* "temp{device=1} 1700000000000 4.2\n" */
static inline void
judging_write_point(struct buf *out, const struct series_batch *batch,
    const struct series_point *point)
{
	struct span tenant, metric;
	struct series_tag tags[SERIES_TAGS_MAX];
	size_t count = SERIES_TAGS_MAX;
	char number[NUM_TEXT_BYTES_MAX];
	struct span key = series_batch_key(batch, point);
	check(series_key_split(key, &tenant, &metric, tags, &count));
	check(span_eq(tenant, SPAN("main")));
	check(series_batch_series_hash(batch, point->series) == series_key_hash(key));
	buf_append_span(out, metric);
	for (size_t i = 0; i < count; i++) {
		buf_append_byte(out, i ? ',' : '{');
		buf_append_span(out, tags[i].name);
		buf_append_byte(out, '=');
		buf_append_span(out, tags[i].value);
	}
	buf_append_str(out, count ? "} " : " ");
	buf_append_i64(out, point->time_ms);
	buf_append_byte(out, ' ');
	buf_append(out, number, num_format_double(number, point->value));
	buf_append_byte(out, '\n');
}

static inline void
judging_write_points(struct buf *out, const struct series_batch *batch)
{
	for (uint32_t p = 0; p < JUDGING_PARTITIONS; p++) {
		size_t count;
		const struct series_point *points = series_batch_points(batch, p, &count);
		for (size_t i = 0; i < count; i++)
			judging_write_point(out, batch, &points[i]);
	}
	check(buf_ok(out));
}

/* As it would be found in the journal. */
static inline struct journal_record
judging_record(const struct judging *judging)
{
	return (struct journal_record){
		.seq = 1,
		.count = 1,
		.stream = JOURNAL_REPORTS,
		.format = (uint16_t)judging->body.format,
		.hints = (uint32_t)judging->body.precision,
		.arrival_ms = judging->body.arrival_ms,
		.tenant = judging->body.tenant,
		.principal = judging->body.gateway.ptr ? SPAN("gateway-7") : SPAN("app-test"),
		.body = span_of(judging->body.bytes, judging->body.len),
		.rejects = judging->result.rejects,
		.reject_count = judging->result.reject_count,
	};
}

/* The law: what replay takes from the record is what was accepted, to the bit. */
static inline void
judging_check_replay(struct judging *judging)
{
	struct journal_record record = judging_record(judging);
	struct series_batch *batch;
	struct buf again;
	buf_init(&again, 0);
	check(judge_replay(judging->replayer, &record, &batch) == 0);
	judging_write_points(&again, batch);
	check(span_eq(buf_span(&again), buf_span(&judging->points)));
	series_batch_destroy(batch);
	buf_finish(&again);
}

/* The law of line protocol: a body whose names the judge knows by now means what it meant. */
static inline void
judging_check_known(struct judging *judging)
{
	const struct judge_result *first = &judging->result;
	struct judge_result again;
	struct buf points;
	char reason[160];
	judge_result_init(&again);
	buf_init(&points, 0);
	check(judge_run(judging->judge, &judging->body, &again, reason, sizeof reason) == 0);
	judging_write_points(&points, again.batch);
	check(span_eq(buf_span(&points), buf_span(&judging->points)));
	check(again.items == first->items && again.accepted == first->accepted);
	check(again.reject_count == first->reject_count);
	for (uint32_t i = 0; i < again.reject_count; i++)
		check(memcmp(&again.rejects[i], &first->rejects[i], sizeof again.rejects[i]) == 0);
	judge_result_finish(&again);
	buf_finish(&points);
}

static inline int
judging_write_message(void *ctx, const struct judge_message *message)
{
	struct buf *out = ctx;
	buf_append_span(out, message->topic);
	buf_append_byte(out, ' ');
	buf_append_i64(out, message->time_ms);
	buf_append_byte(out, ' ');
	int error = judge_message_write(out, message->data);
	buf_append_byte(out, '\n');
	return error;
}

static inline int
judging_count_message(void *ctx, const struct judge_message *message)
{
	(void)message;
	++*(uint32_t *)ctx;
	return 0;
}

/* The messages that subscribers see are those that were accepted. */
static inline void
judging_write_messages(struct judging *judging)
{
	struct journal_record record = judging_record(judging);
	uint32_t count = 0;
	check(judge_message_each(&record, judging_write_message, &judging->messages) == 0);
	check(judge_message_each(&record, judging_count_message, &count) == 0);
	check(buf_ok(&judging->messages) && count == judging->result.messages);
}

static inline void
judging_write_rejects(struct judging *judging)
{
	for (uint32_t i = 0; i < judging->result.reject_count; i++) {
		const struct journal_reject *reject = &judging->result.rejects[i];
		buf_printf(&judging->rejects, "%u %d %s\n", reject->item, reject->reading,
		    verdict_word(reject->code));
		const struct journal_reject *last = reject - 1;
		check(i == 0 || last->item < reject->item ||
		    (last->item == reject->item && last->reading < reject->reading));
	}
}

/* Judges a copy of `text`; checks the law. The first body of a request. */
static inline void
judging_run(struct judging *judging, enum journal_format format, enum lp_precision precision,
    struct span text)
{
	free(judging->body.bytes);
	judge_result_reset(&judging->result);
	buf_clear(&judging->points);
	buf_clear(&judging->rejects);
	buf_clear(&judging->messages);
	/* Exactly as many bytes as it has, so that a sanitizer sees reading behind them. */
	char *bytes = malloc(text.len ? text.len : 1);
	check(bytes);
	if (text.len)
		memcpy(bytes, text.ptr, text.len);
	judging->body = (struct judge_body){
		.format = format,
		.tenant = SPAN("main"),
		.gateway = format == JOURNAL_FORMAT_MESSAGES ? SPAN("7") : span_of(NULL, 0),
		.arrival_ms = JUDGING_ARRIVAL_MS,
		.precision = precision,
		.bytes = bytes,
		.len = text.len,
		.gate = judging->gate,
	};
	judging->reason[0] = '\0';
	judging->error = judge_run(judging->judge, &judging->body, &judging->result,
	    judging->reason, sizeof judging->reason);
	if (judging->error)
		return;
	judging_write_points(&judging->points, judging->result.batch);
	judging_write_rejects(judging);
	judging_check_replay(judging);
	if (format == JOURNAL_FORMAT_MESSAGES)
		judging_write_messages(judging);
	if (format == JOURNAL_FORMAT_LINE)
		judging_check_known(judging);
}

#endif

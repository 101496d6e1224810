/*
 * journal_test.h: what the journal's tests share: records made from their seq, and a model of what
 * was appended, against which what is read is compared.
 */
#ifndef WEIR_JOURNAL_TEST_H
#define WEIR_JOURNAL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "journal.h"
#include "journal_format.h"

#define TEST_ARRIVAL_MS 1700000000000
#define TEST_BLOCK ((uint64_t)JOURNAL_BLOCK_BYTES)

enum test_fate {
	TEST_FAILED, /* answered with an error: may be there, whole */
	TEST_ACKED,  /* must be there */
	TEST_TRIMMED /* may be there */
};

struct test_expect {
	uint64_t seq;
	size_t len;
	enum test_fate fate;
	bool seen;
};

struct test_model {
	struct test_expect *expects;
	size_t count, cap;
	uint64_t next_seq;
};

/* The body of the record `seq`: bytes that nothing else has. */
static inline void
test_fill(char *body, size_t len, uint64_t seq)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t word = (seq * 0x9e3779b97f4a7c15u) ^ (i * 0xff51afd7ed558ccdu);
		memcpy(body + i, &word, len - i < 8 ? len - i : 8);
	}
}

static inline struct journal_record *
test_record(uint64_t seq, size_t len)
{
	struct journal_reject rejects[3] = {
		{(uint32_t)seq, -1, 1}, {(uint32_t)seq + 1, 0, 2}, {(uint32_t)seq + 1, 5, 3},
	};
	char *body = malloc(len + 1);
	assert_non_null(body);
	test_fill(body, len, seq);
	struct journal_record like = {
		.seq = seq,
		.count = (uint32_t)(1 + seq % 3),
		.stream = JOURNAL_REPORTS,
		.format = (uint16_t)(seq % 4),
		.hints = (uint32_t)(seq * 7),
		.arrival_ms = TEST_ARRIVAL_MS + (int64_t)seq,
		.tenant = SPAN("main"),
		.principal = span_of("app-weather-station", 4 + seq % 15),
		.body = span_of(body, len),
		.rejects = rejects,
		.reject_count = (uint32_t)(seq % 4),
	};
	struct journal_record *record;
	assert_int_equal(journal_record_create(&like, true, &record), 0);
	return record;
}

/* Whether it is exactly what test_record(record->seq, record->body.len) made. */
static inline bool
test_same(const struct journal_record *record)
{
	struct journal_record *made = test_record(record->seq, record->body.len);
	bool same = record->count == made->count && record->stream == made->stream &&
	    record->format == made->format && record->hints == made->hints &&
	    record->arrival_ms == made->arrival_ms && span_eq(record->tenant, made->tenant) &&
	    span_eq(record->principal, made->principal) && span_eq(record->body, made->body) &&
	    record->reject_count == made->reject_count && !record->parsed &&
	    (made->reject_count == 0 || memcmp(record->rejects, made->rejects,
	    made->reject_count * sizeof made->rejects[0]) == 0);
	journal_record_unref(made);
	return same;
}

static inline void
test_model_finish(struct test_model *model)
{
	free(model->expects);
	*model = (struct test_model){.next_seq = 0};
}

static inline void
test_model_add(struct test_model *model, uint64_t seq, size_t len, enum test_fate fate)
{
	if (model->count == model->cap) {
		model->cap = model->cap ? model->cap * 2 : 64;
		model->expects = realloc(model->expects, model->cap * sizeof model->expects[0]);
		assert_non_null(model->expects);
	}
	model->expects[model->count++] = (struct test_expect){seq, len, fate, false};
}

static inline struct test_expect *
test_model_find(struct test_model *model, uint64_t seq)
{
	size_t low = 0, high = model->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (model->expects[middle].seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low < model->count && model->expects[low].seq == seq ? &model->expects[low] : NULL;
}

/* Commits `count` records of these body lengths as one, and notes how it went. */
static inline int
test_commit(struct journal *journal, struct test_model *model, const size_t *lens, size_t count)
{
	struct journal_record *records[64];
	assert_in_range(count, 1, 64);
	if (model->next_seq == 0)
		model->next_seq = 1;
	for (size_t i = 0; i < count; i++) {
		records[i] = test_record(model->next_seq, lens[i]);
		model->next_seq += records[i]->count;
	}
	int r = journal_commit(journal, records, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(records[i]->error, r);
		test_model_add(model, records[i]->seq, lens[i], r == 0 ? TEST_ACKED : TEST_FAILED);
		journal_record_unref(records[i]);
	}
	return r;
}

/* What a record is about, for sealing: a third of it has two, some have none. */
static inline int
test_keys(void *ctx, const struct journal_record *record, struct journal_keys *keys)
{
	(void)ctx;
	if (record->seq % 7 == 0)
		return 0;
	int r = journal_keys_add(keys, hash64(span_of((const char *)&record->seq, 8), 1) % 50);
	if (r == 0 && record->seq % 3 == 0)
		r = journal_keys_add(keys, 1000);
	return r;
}

static inline int
test_seal(struct journal *journal)
{
	struct journal_seal_options options = {.before_ms = INT64_MAX, .keys = test_keys};
	return journal_seal(journal, &options);
}

/* What a pass over the journal met. */
struct test_pass {
	size_t records, damages;
	uint64_t last_seq;
	int error; /* that ended it: 0 for the end */
};

/* Reads on to the end; every record must be one of the model's, equal, in order, only once. */
static inline struct test_pass
test_read_on(struct journal_reader *reader, struct test_model *model)
{
	struct test_pass pass = {.records = 0};
	for (;;) {
		struct journal_record record;
		struct journal_damage damage;
		memset(&damage, 0, sizeof damage);
		int r = journal_reader_next(reader, &record, &damage);
		if (r == -EBADMSG) {
			assert_true(damage.segment[0] != '\0' && damage.reason[0] != '\0');
			assert_true(damage.bytes > 0);
			pass.damages++;
			continue;
		}
		if (r != 1) {
			pass.error = r;
			return pass;
		}
		struct test_expect *expect = test_model_find(model, record.seq);
		assert_non_null(expect);
		assert_int_equal(record.body.len, expect->len);
		assert_true(test_same(&record));
		assert_true(record.seq > pass.last_seq);
		assert_false(expect->seen);
		expect->seen = true;
		pass.records++;
		pass.last_seq = record.seq;
	}
}

static inline void
test_model_unsee(struct test_model *model)
{
	for (size_t i = 0; i < model->count; i++)
		model->expects[i].seen = false;
}

/* Reads everything from `from_seq` on with a reader of its own. */
static inline struct test_pass
test_read_all(struct journal *journal, struct test_model *model, uint64_t from_seq)
{
	struct journal_reader *reader;
	test_model_unsee(model);
	assert_int_equal(journal_reader_open(journal, from_seq, &reader), 0);
	struct test_pass pass = test_read_on(reader, model);
	journal_reader_close(reader);
	return pass;
}

/* Everything acknowledged from `from_seq` on was seen in the last pass. */
static inline void
test_all_seen(const struct test_model *model, uint64_t from_seq)
{
	for (size_t i = 0; i < model->count; i++) {
		const struct test_expect *expect = &model->expects[i];
		if (expect->fate == TEST_ACKED && expect->seq >= from_seq && !expect->seen)
			fail_msg("record %llu is lost", (unsigned long long)expect->seq);
	}
}

/* What recovery reported. */
struct test_reports {
	size_t torn, damaged;
	struct journal_damage last;
};

static inline void
test_report(void *ctx, const struct journal_damage *damage)
{
	struct test_reports *reports = ctx;
	assert_true(damage->segment[0] != '\0');
	if (strcmp(damage->reason, "torn") == 0)
		reports->torn++;
	else
		reports->damaged++;
	reports->last = *damage;
}

static inline struct journal *
test_open(struct env *env, const struct journal_options *options, struct test_reports *reports)
{
	struct journal *journal;
	assert_int_equal(journal_open(env, options, reports ? test_report : NULL, reports,
	    &journal), 0);
	return journal;
}

#endif

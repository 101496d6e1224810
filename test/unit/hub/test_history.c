/* Packed histories against a plain list of the same messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "hub_history.h"

enum { STEPS = 4000 };

/* What the history should hold. */
struct model {
	uint64_t seqs[STEPS];
	int64_t times[STEPS];
	unsigned data[STEPS]; /* length and first byte */
	size_t begin, end;
	uint64_t dropped;
};

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void
assert_next(const struct hub_history *history, struct hub_history_pos *pos,
    const struct model *model, size_t i)
{
	struct hub_kept kept;
	assert_true(hub_history_next(history, pos, &kept));
	assert_int_equal(kept.seq, model->seqs[i]);
	assert_int_equal(kept.time_ms, model->times[i]);
	assert_int_equal(kept.data.len, model->data[i]);
	for (size_t at = 0; at < kept.data.len; at++)
		assert_int_equal((unsigned char)kept.data.ptr[at], model->data[i] & 0xff);
	assert_int_equal(kept.type.len, model->data[i] % 3 ? 0 : strlen("text/plain"));
}

static void
assert_same(const struct hub_history *history, const struct model *model)
{
	struct hub_history_pos pos = hub_history_begin(history);
	struct hub_kept kept;
	assert_int_equal(history->count, model->end - model->begin);
	assert_int_equal(history->seq_dropped, model->dropped);
	for (size_t i = model->begin; i < model->end; i++)
		assert_next(history, &pos, model, i);
	assert_false(hub_history_next(history, &pos, &kept));
}

static void
append_both(struct hub_history *history, struct model *model, uint64_t *state)
{
	static char bytes[600];
	size_t i = model->end++;
	model->seqs[i] = (i ? model->seqs[i - 1] : 0) + 1 + next_random(state) % 1000;
	model->times[i] = (i ? model->times[i - 1] : 1) + (int64_t)(next_random(state) % 5);
	model->data[i] = (unsigned)(next_random(state) % sizeof bytes);
	memset(bytes, (int)(model->data[i] & 0xff), sizeof bytes);
	struct hub_kept kept = {
		.seq = model->seqs[i],
		.time_ms = model->times[i],
		.type = model->data[i] % 3 ? SPAN("") : SPAN("text/plain"),
		.data = span_of(bytes, model->data[i]),
	};
	assert_int_equal(hub_history_append(history, &kept), 0);
}

static void
drop_both(struct hub_history *history, struct model *model, uint32_t messages, int64_t before_ms)
{
	uint32_t expected = 0;
	while (model->begin < model->end && (model->end - model->begin > messages ||
	    model->times[model->begin] < before_ms)) {
		model->dropped = model->seqs[model->begin++];
		expected++;
	}
	assert_int_equal(hub_history_trim(history, messages, UINT64_MAX, before_ms), expected);
}

static void
test_a_history_holds_what_a_list_would(void **unused)
{
	static struct model model;
	struct hub_history history = {0};
	uint64_t state = 20261121;
	(void)unused;
	printf("seed %llu\n", (unsigned long long)state);
	while (model.end < STEPS) {
		append_both(&history, &model, &state);
		if (next_random(&state) % 16 == 0)
			drop_both(&history, &model, (uint32_t)(next_random(&state) % 40), 0);
		if (next_random(&state) % 64 == 0)
			drop_both(&history, &model, UINT32_MAX, model.times[model.end - 1] - 20);
		if (next_random(&state) % 8 == 0)
			assert_same(&history, &model);
	}
	drop_both(&history, &model, 0, 0);
	assert_same(&history, &model);
	assert_null(history.block);
	hub_history_finish(&history);
}

static void
test_a_seek_ends_before_the_first_message_that_is_asked_for(void **unused)
{
	static struct model model;
	struct hub_history history = {0};
	uint64_t state = 7;
	(void)unused;
	while (model.end < 100)
		append_both(&history, &model, &state);
	drop_both(&history, &model, 60, 0);
	for (size_t i = model.begin; i < model.end; i++) {
		struct hub_history_pos pos = hub_history_seek(&history, model.seqs[i] - 1,
		    INT64_MIN);
		assert_next(&history, &pos, &model, i);
		pos = hub_history_seek(&history, 0, model.times[i]);
		size_t first = i;
		while (first > model.begin && model.times[first - 1] == model.times[i])
			first--;
		assert_next(&history, &pos, &model, first);
	}
	struct hub_kept kept;
	struct hub_history_pos pos = hub_history_seek(&history, model.seqs[99], INT64_MIN);
	assert_false(hub_history_next(&history, &pos, &kept));
	pos = hub_history_seek(&history, 0, model.times[99] + 1);
	assert_false(hub_history_next(&history, &pos, &kept));
	hub_history_finish(&history);
}

static void
test_bytes_bound_a_history_too(void **unused)
{
	struct hub_history history = {0};
	char data[100] = {0};
	(void)unused;
	for (uint64_t seq = 1; seq <= 50; seq++) {
		struct hub_kept kept = {.seq = seq, .data = span_of(data, sizeof data)};
		assert_int_equal(hub_history_append(&history, &kept), 0);
		hub_history_trim(&history, UINT32_MAX, 1000, INT64_MIN);
		assert_true(hub_history_bytes(&history) <= 1000);
	}
	assert_int_equal(history.count, 9);
	assert_int_equal(history.seq_dropped, 41);
	assert_int_equal(history.seq_first, 42);
	/* The last one stays however long it is, unless nothing may be kept. */
	assert_int_equal(hub_history_trim(&history, UINT32_MAX, 50, INT64_MIN), 8);
	assert_int_equal(history.seq_first, 50);
	assert_int_equal(hub_history_trim(&history, UINT32_MAX, 0, INT64_MIN), 1);
	hub_history_finish(&history);
}

static void
test_an_empty_history_has_nothing(void **unused)
{
	struct hub_history history = {0};
	struct hub_history_pos pos = hub_history_seek(&history, 0, INT64_MIN);
	struct hub_kept kept;
	(void)unused;
	assert_false(hub_history_next(&history, &pos, &kept));
	assert_int_equal(hub_history_trim(&history, 0, 0, INT64_MAX), 0);
	assert_int_equal(hub_history_bytes(&history), 0);
	hub_history_finish(&history);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_history_holds_what_a_list_would),
		cmocka_unit_test(test_a_seek_ends_before_the_first_message_that_is_asked_for),
		cmocka_unit_test(test_bytes_bound_a_history_too),
		cmocka_unit_test(test_an_empty_history_has_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

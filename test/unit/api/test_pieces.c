/* Pieces of an answer: sent in order, once each, whoever makes them, whatever goes wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "query.h"
#include "pieces.h"
#include "sim.h"
#include "thread.h"

#define PARTITIONS 3
#define ROUNDS 300

struct table {
	struct env *env;
	struct series_partition *partitions[PARTITIONS];
	struct series_snapshot *snapshots[PARTITIONS];
};

static struct table *
table_create(unsigned series)
{
	struct table *t = calloc(1, sizeof(*t));
	struct series_batch *batch;
	struct series_selector selector = {.tenant = SPAN("main"), .metric = SPAN("m")};
	check(t && series_batch_create(PARTITIONS, &batch) == 0);
	t->env = sim_create(1);
	for (uint32_t i = 0; i < PARTITIONS; i++)
		check(series_partition_create(t->env, "/series", i, &t->partitions[i]) == 0);
	for (unsigned i = 0; i < series; i++) {
		char key[64], device[16];
		snprintf(device, sizeof(device), "%u", i);
		struct series_tag tag = {SPAN("device"), span_str(device)};
		int len = series_key_build(key, sizeof(key), SPAN("main"), SPAN("m"), &tag, 1);
		struct span text = span_of(key, (size_t)len);
		check(series_batch_add(batch, i * i % PARTITIONS, series_key_hash(text), text, 1000,
		    1) == 0);
	}
	for (uint32_t i = 0; i < PARTITIONS; i++) {
		check(series_partition_apply(t->partitions[i], batch, 1, 0) == 0);
		check(series_partition_snapshot(t->partitions[i], &selector, 0, 2000, SIZE_MAX,
		    &t->snapshots[i]) == 0);
	}
	series_batch_destroy(batch);
	return t;
}

static void
table_destroy(struct table *t)
{
	for (uint32_t i = 0; i < PARTITIONS; i++) {
		series_snapshot_unref(t->snapshots[i]);
		series_partition_destroy(t->partitions[i]);
	}
	env_destroy(t->env);
	free(t);
}

/* ── series as text ── */

struct teller {
	struct series_reading *reading;
	struct buf *out;
};

static int
teller_begin(void *ctx, struct span key)
{
	struct teller *teller = ctx;
	int error = buf_append_span(teller->out, key);
	return error ? error : buf_append_byte(teller->out, '\n');
}

static int
teller_rows(void *ctx, const struct series_rows *rows)
{
	(void)ctx;
	(void)rows;
	return 0;
}

static int
teller_end(void *ctx)
{
	(void)ctx;
	return 0;
}

static const struct series_query_sink teller_sink = {
	.series_begin = teller_begin, .rows = teller_rows, .series_end = teller_end};

static void
teller_create(struct teller *teller, struct table *t)
{
	struct series_query query = {.from_ms = 0, .to_ms = 2000};
	check(series_reading_create(&query, t->snapshots, PARTITIONS, &teller_sink, teller,
	    &teller->reading) == 0);
}

static int
teller_tell(struct teller *teller, const struct piece *piece, struct buf *out)
{
	teller->out = out;
	return series_reading_run(teller->reading, piece->from, piece->to);
}

static void
tell_all(struct table *t, struct buf *out)
{
	struct series_query query = {.from_ms = 0, .to_ms = 2000};
	struct teller teller = {.out = out};
	check(series_query_run(&query, t->snapshots, PARTITIONS, &teller_sink, &teller) == 0);
}

/* ── two threads ── */

struct helper {
	struct table *table;
	struct pieces *pieces;
	unsigned fails_after; /* pieces; the next one is not good */
	size_t made;
};

static void
help(void *ctx)
{
	struct helper *helper = ctx;
	struct teller teller;
	struct piece *piece;
	teller_create(&teller, helper->table);
	while ((piece = pieces_help(helper->pieces))) {
		bool good = teller_tell(&teller, piece, &piece->text) == 0 &&
		    helper->made < helper->fails_after;
		pieces_put(helper->pieces, piece, good);
		helper->made += good;
	}
	series_reading_destroy(teller.reading);
}

/* What is sent up to `stop_after` bytes. Counts by enum pieces_step. */
static void
send_all(struct table *t, struct pieces *pieces, size_t stop_after, struct buf *out,
    size_t *ret_steps)
{
	struct teller teller;
	struct piece *piece;
	enum pieces_step step;
	teller_create(&teller, t);
	while (out->len < stop_after && (step = pieces_next(pieces, &piece)) != PIECES_END) {
		ret_steps[step]++;
		if (step == PIECES_AHEAD) {
			int error = teller_tell(&teller, piece, &piece->text);
			pieces_put(pieces, piece, error == 0);
			continue;
		}
		if (step == PIECES_SEND)
			assert_int_equal(buf_append_span(out, buf_span(&piece->text)), 0);
		else
			assert_int_equal(teller_tell(&teller, piece, out), 0);
		pieces_sent(pieces);
	}
	pieces_end(pieces);
	series_reading_destroy(teller.reading);
}

static void
pieces_come_in_order_whoever_makes_them(void **state)
{
	(void)state;
	struct table *t = table_create(1000);
	struct buf expected = {0};
	size_t steps[PIECES_END] = {0}, helped = 0;
	tell_all(t, &expected);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct buf out = {0};
		struct helper helper = {.table = t, .fails_after = round % 7 * 5};
		size_t stop_after = round % 5 ? SIZE_MAX : expected.len / 2;
		pthread_t thread;
		helper.pieces = pieces_create(t->snapshots, PARTITIONS);
		assert_non_null(helper.pieces);
		assert_int_equal(thread_start(&thread, "helper", help, &helper), 0);
		send_all(t, helper.pieces, stop_after, &out, steps);
		thread_join(thread);
		assert_true(stop_after < SIZE_MAX || out.len == expected.len);
		assert_memory_equal(out.ptr, expected.ptr, out.len);
		helped += helper.made;
		pieces_destroy(helper.pieces);
		buf_finish(&out);
	}
	print_message("%zu made, %zu sent, %zu ahead, %zu by the helper\n", steps[PIECES_MAKE],
	    steps[PIECES_SEND], steps[PIECES_AHEAD], helped);
	assert_true(steps[PIECES_SEND] <= helped + steps[PIECES_AHEAD]);
	buf_finish(&expected);
	table_destroy(t);
}

/* Without threads: every case of whose turn it is. */
static void
what_lies_ready_is_sent_and_what_failed_is_made_by_who_sends(void **state)
{
	(void)state;
	struct table *t = table_create(160);
	struct pieces *pieces = pieces_create(t->snapshots, PARTITIONS);
	struct piece *front, *second, *third, *other;
	assert_non_null(pieces);
	second = pieces_help(pieces); /* never the one at the front */
	assert_int_equal(pieces_next(pieces, &front), PIECES_MAKE);
	assert_int_equal(front->from.len, 0);
	assert_true(span_eq(front->to, second->from));
	pieces_sent(pieces);
	assert_int_equal(pieces_next(pieces, &third), PIECES_AHEAD); /* second is not there yet */
	assert_true(span_eq(second->to, third->from));
	assert_int_equal(buf_append_str(&third->text, "three"), 0);
	pieces_put(pieces, third, true);
	assert_int_equal(buf_append_str(&second->text, "two"), 0);
	pieces_put(pieces, second, false);
	assert_null(pieces_help(pieces)); /* who failed once */
	assert_int_equal(pieces_next(pieces, &other), PIECES_MAKE);
	assert_ptr_equal(other, second);
	assert_int_equal(second->text.len, 0);
	pieces_sent(pieces);
	assert_int_equal(pieces_next(pieces, &other), PIECES_SEND);
	assert_ptr_equal(other, third);
	assert_true(span_eq(buf_span(&third->text), SPAN("three")));
	pieces_sent(pieces);
	assert_int_equal(pieces_next(pieces, &other), PIECES_MAKE);
	pieces_sent(pieces);
	assert_int_equal(pieces_next(pieces, &other), PIECES_MAKE);
	assert_int_equal(other->to.len, 0);
	pieces_sent(pieces);
	assert_int_equal(pieces_next(pieces, &other), PIECES_END);
	pieces_destroy(pieces);
	table_destroy(t);
}

static void
what_is_made_ahead_is_bounded(void **state)
{
	(void)state;
	enum { TEXT = 200 << 10 };
	struct table *t = table_create(2000);
	struct pieces *pieces = pieces_create(t->snapshots, PARTITIONS);
	struct piece *piece;
	size_t bytes = 0;
	char *text = calloc(1, TEXT);
	assert_non_null(pieces);
	for (; (piece = pieces_help(pieces)); bytes += TEXT) {
		assert_int_equal(buf_append(&piece->text, text, TEXT), 0);
		assert_int_equal(buf_append(&piece->text, text, TEXT), -EMSGSIZE);
		pieces_put(pieces, piece, true);
	}
	assert_in_range(bytes, TEXT, 2 << 20);
	free(text);
	pieces_destroy(pieces);
	table_destroy(t);
}

static void
few_series_are_one_piece(void **state)
{
	(void)state;
	struct table *t = table_create(60);
	assert_null(pieces_create(t->snapshots, PARTITIONS));
	table_destroy(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_come_in_order_whoever_makes_them),
		cmocka_unit_test(what_lies_ready_is_sent_and_what_failed_is_made_by_who_sends),
		cmocka_unit_test(what_is_made_ahead_is_bounded),
		cmocka_unit_test(few_series_are_one_piece),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

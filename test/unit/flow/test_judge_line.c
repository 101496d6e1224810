/*
 * Line protocol: lines to points, every verdict, and the law that replay gives what was accepted.
 * WEIR_SEED begins, WEIR_SEEDS says how many random bodies.
 */
#include "judging_cases.h"

#include <errno.h>

#define T "1700000000000"

static int
setup(void **state)
{
	struct judging *judging = malloc(sizeof *judging);
	check(judging);
	judging_init(judging);
	*state = judging;
	return 0;
}

static int
teardown(void **state)
{
	judging_finish(*state);
	free(*state);
	return 0;
}

static void
good_lines(void **state)
{
	static const struct judging_case cases[] = {
		{"nothing", "", "", "", NULL},
		{"fields become metrics, tags are sorted",
		    "w,site=b,device=7 temp=4.5,hum=80i,on=t 1700000000000000000\n",
		    "w.temp{device=7,site=b} " T " 4.5\nw.hum{device=7,site=b} " T " 80\n"
		    "w.on{device=7,site=b} " T " 1\n", "", NULL},
		{"without a time it is the arrival; finer times are floored",
		    "w a=1\nw a=2 1999999\nw a=3 -1",
		    "w.a " T " 1\nw.a 1 2\nw.a -1 3\n", "", NULL},
		{"comments and blank lines count as lines", "# x\n\n  \nw a=1 0\r\nw\n",
		    "w.a 0 1\n", "4 -1 bad_line\n", NULL},
		{"strings are no points", "w a=\"x\"\nw a=\"x\",b=1 0\n", "w.b 0 1\n", "", NULL},
		{"escapes", "w\\ x,t\\,g=v\\=w f\\ d=1 0\n", "w x.f d{t,g=v=w} 0 1\n", "", NULL},
	};
	judging_check_cases(*state, JOURNAL_FORMAT_LINE, LP_NS, cases,
	    sizeof cases / sizeof cases[0]);
}

static void
bad_lines_leave_nothing_behind(void **state)
{
	static const struct judging_case cases[] = {
		{"between good ones", "w a=1 0\nw a=1,b= 0\nw a=1,b=x 0\nw a=2 1000000\n",
		    "w.a 0 1\nw.a 1 2\n", "1 -1 bad_line\n2 -1 bad_line\n", NULL},
		{"an integer that no double holds", "w a=1,b=9007199254740993i,c=3 0\nw a=2 0\n",
		    "w.a 0 2\n", "0 -1 bad_value\n", NULL},
		{"a tag twice", "w,x=1,x=2 a=1\n", "", "0 -1 bad_line\n", NULL},
		{"no UTF-8", "w,x=\xff a=1\n", "", "0 -1 bad_line\n", NULL},
		{"a bad time", "w a=1 12x\nw a=2 0\n", "w.a 0 2\n", "0 -1 bad_line\n", NULL},
	};
	judging_check_cases(*state, JOURNAL_FORMAT_LINE, LP_NS, cases,
	    sizeof cases / sizeof cases[0]);
}

static void
precisions(void **state)
{
	static const struct judging_case seconds[] = {
		{"seconds", "w a=1 1700000000\nw a=2 -1\n", "w.a " T " 1\nw.a -1000 2\n", "", NULL},
		{"nanoseconds taken for seconds", "w a=1 1700000000000000000\n", "",
		    "0 -1 bad_time\n", NULL},
		{"the last second and the one behind it",
		    "w a=1 253402300799\nw a=2 253402300800\n",
		    "w.a 253402300799000 1\n", "1 -1 bad_time\n", NULL},
	};
	static const struct judging_case hours[] = {
		{"hours", "w a=1 1\n", "w.a 3600000 1\n", "", NULL},
	};
	judging_check_cases(*state, JOURNAL_FORMAT_LINE, LP_S, seconds,
	    sizeof seconds / sizeof seconds[0]);
	judging_check_cases(*state, JOURNAL_FORMAT_LINE, LP_H, hours,
	    sizeof hours / sizeof hours[0]);
}

static void
details_name_line_column_and_reason(void **state)
{
	struct judging *judging = *state;
	judging_run(judging, JOURNAL_FORMAT_LINE, LP_NS,
	    SPAN("w a=1 0\nw a=1,b=zz 0\nw a=1,b=9007199254740993i 0\n"));
	const struct judge_detail *details = judging->result.details;
	assert_int_equal(judging->result.detail_count, 2);
	assert_int_equal(details[0].item, 1);
	assert_int_equal(details[0].column, 9);
	assert_string_equal(details[0].word, "bad_field_value");
	assert_int_equal(details[1].item, 2);
	assert_int_equal(details[1].column, 9);
	assert_null(details[1].word);
	assert_int_equal(details[1].code, VERDICT_BAD_VALUE);
	assert_int_equal(judging->result.accepted, 1);
	assert_int_equal(judging->result.items, 3);
}

/* Names with escapes are undone into memory that must not move while they are used: a judge's
 * first line is a long one. */
static void
a_long_line_with_escapes_is_the_first(void **state)
{
	struct judging *judging = *state;
	struct buf body, points;
	buf_init(&body, 0);
	buf_init(&points, 0);
	buf_append_str(&body, "w\\ w,t\\ t=");
	buf_append_str(&points, "w w.f f{t t=");
	for (int i = 0; i < 5000; i++) {
		buf_append_str(&body, "v\\ ");
		buf_append_str(&points, "v ");
	}
	buf_append_str(&body, "v f\\ f=1 0");
	buf_append_str(&points, "v} 0 1\n");
	judging_run(judging, JOURNAL_FORMAT_LINE, LP_NS, buf_span(&body));
	assert_int_equal(judging->result.accepted, 1);
	assert_true(span_eq(buf_span(&judging->points), buf_span(&points)));
	buf_finish(&body);
	buf_finish(&points);
}

static void
names_too_long_for_a_key_and_lines_too_long(void **state)
{
	struct judging *judging = *state;
	struct buf body;
	buf_init(&body, 0);
	buf_append_str(&body, "w,t=");
	while (body.len < 70000)
		buf_append_byte(&body, 'v');
	buf_append_str(&body, " a=1 0\nw a=\"");
	while (body.len < 70000 + LP_LINE_BYTES_MAX)
		buf_append_byte(&body, 'x');
	buf_append_str(&body, "xxxxxxxx\" 0\nw a=1 0\n");
	judging_run(judging, JOURNAL_FORMAT_LINE, LP_NS, buf_span(&body));
	assert_int_equal(judging->result.accepted, 1);
	assert_true(span_eq(buf_span(&judging->rejects),
	    SPAN("0 -1 bad_name\n1 -1 too_long\n")));
	buf_finish(&body);
}

static void
replay_refuses_a_list_that_does_not_fit(void **state)
{
	struct judging *judging = *state;
	struct series_batch *batch = NULL;
	judging_run(judging, JOURNAL_FORMAT_LINE, LP_NS, SPAN("w a=1 0\nw\n"));
	struct journal_record record = judging_record(judging);
	record.reject_count = 0;
	assert_int_equal(judge_replay(judging->judge, &record, &batch), -EBADMSG);
	assert_null(batch);
}

/* ── random bodies ── */

static uint32_t
roll(uint64_t *dice, uint32_t sides)
{
	*dice = *dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*dice >> 33) % sides;
}

static void
write_line(uint64_t *dice, struct buf *out)
{
	static const char *const values[] = {"1", "-2.5", "7i", "t", "false", "\"a b\"",
	    "9007199254740993i", "1e400", "x", "3u", "\"\\\"\"", "\"open"};
	static const char *const ends[] = {"", " 0", " 1700000000000000000", " -5", " 1x", "\r",
	    " 9223372036854775807"};
	if (roll(dice, 12) == 0)
		buf_append_str(out, roll(dice, 2) ? "# comment" : " ");
	buf_printf(out, "%s", roll(dice, 3) ? "w" : "m\\ x\\,y");
	for (uint32_t n = roll(dice, 3), i = 0; i < n; i++)
		buf_printf(out, ",t%u\\ =v%u", (unsigned)(roll(dice, 9) ? i : 0),
		    (unsigned)roll(dice, 3));
	if (roll(dice, 2))
		buf_printf(out, ",device=%u", (unsigned)roll(dice, 5));
	for (uint32_t n = roll(dice, 4), i = 0; i < n; i++)
		buf_printf(out, "%cf%u=%s", i ? ',' : ' ', (unsigned)roll(dice, 4),
		    values[roll(dice, roll(dice, 3) ? 6 : 12)]);
	buf_append_str(out, ends[roll(dice, 7)]);
}

static void
replay_gives_what_was_accepted_for_random_bodies(void **state)
{
	struct judging *judging = *state;
	const char *first = getenv("WEIR_SEED"), *count = getenv("WEIR_SEEDS");
	uint64_t seed = first ? strtoull(first, NULL, 0) : 1;
	uint64_t seeds = count ? strtoull(count, NULL, 0) : 20000, points = 0, rejects = 0;
	struct buf body;
	buf_init(&body, 0);
	print_message("seeds %llu to %llu (WEIR_SEED, WEIR_SEEDS)\n", (unsigned long long)seed,
	    (unsigned long long)(seed + seeds - 1));
	for (uint64_t i = 0; i < seeds; i++) {
		uint64_t dice = (seed + i) * UINT64_C(0x9e3779b97f4a7c15);
		buf_clear(&body);
		for (uint32_t n = 1 + roll(&dice, 6); n > 0; n--) {
			write_line(&dice, &body);
			buf_append_str(&body, n > 1 || roll(&dice, 2) ? "\n" : "");
		}
		judging_run(judging, JOURNAL_FORMAT_LINE, (enum lp_precision)roll(&dice, 6),
		    buf_span(&body));
		assert_int_equal(judging->error, 0);
		assert_int_equal(memcmp(judging->body.bytes, body.ptr, body.len), 0);
		points += series_batch_count(judging->result.batch);
		rejects += judging->result.reject_count;
	}
	assert_true(seeds < 100 || (points > seeds / 4 && rejects > seeds / 4));
	buf_finish(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_long_line_with_escapes_is_the_first, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(good_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_lines_leave_nothing_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(precisions, setup, teardown),
		cmocka_unit_test_setup_teardown(details_name_line_column_and_reason, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(names_too_long_for_a_key_and_lines_too_long, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(replay_refuses_a_list_that_does_not_fit, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(replay_gives_what_was_accepted_for_random_bodies,
		    setup, teardown),
	};
	return cmocka_run_group_tests_name("flow_judge_line", tests, NULL, NULL);
}

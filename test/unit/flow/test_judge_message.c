/*
 * Lines of POST /api/v1/gateway/messages: every verdict, what stays in the body, what subscribers
 * see, and the law that replay gives what was accepted. WEIR_SEED begins the random lines.
 */
#include "judging_cases.h"

#include "prng.h"
#include "raw.h"

#define T "1700000000000"

struct message_case {
	const char *name, *body, *points, *rejects;
	const char *messages; /* as subscribers see them */
	const char *after;    /* the body afterwards; NULL: as it came */
};

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
check_cases(struct judging *judging, const struct message_case *cases, size_t count)
{
	bool good = true;
	for (size_t i = 0; i < count; i++) {
		const struct message_case *one = &cases[i];
		struct judging_case named = {.name = one->name};
		judging_run(judging, JOURNAL_FORMAT_MESSAGES, LP_NS, span_str(one->body));
		assert_int_equal(judging->error, 0);
		struct span body = span_of(judging->body.bytes, judging->body.len);
		good &= judging_same("points", &named, buf_span(&judging->points), one->points);
		good &= judging_same("rejects", &named, buf_span(&judging->rejects), one->rejects);
		good &= judging_same("messages", &named, buf_span(&judging->messages),
		    one->messages);
		good &= judging_same("bytes", &named, body, one->after ? one->after : one->body);
		good &= judging->result.accepted == judging->result.messages;
	}
	assert_true(good);
}

static void
good_lines(void **state)
{
	static const struct message_case cases[] = {
		{"one of each, and a blank line",
		    "{\"topic\":\"errors\",\"time\":5,\"data\":{\"code\":7}}\n\n"
		    "{\"data\":\"text\",\"topic\":\"logs\"}\r\n{\"topic\":\"a/b\",\"v\":1}", "", "",
		    "errors 5 {\"code\":7}\nlogs " T " \"text\"\na/b " T " null\n", NULL},
		{"times as text", "{\"topic\":\"x\",\"time\":\"2023-11-14T22:13:20Z\"}\n", "", "",
		    "x " T " null\n", NULL},
		{"metrics: each number is a series of the gateway",
		    "{\"topic\":\"metrics\",\"time\":5,\"data\":{\"cpu\":0.5,\"up\":true,"
		    "\"name\":\"gw\",\"deep\":{\"n\":1},\"\\u0061\":-2}}\n",
		    "up{gateway=7} 5 1\na{gateway=7} 5 -2\ncpu{gateway=7} 5 0.5\n", "",
		    "metrics 5 {\"cpu\":0.5,\"up\":true,\"name\":\"gw\",\"deep\":{\"n\":1},"
		    "\"\\u0061\":-2}\n", NULL},
		{"metrics before their topic and time",
		    "{\"data\":{\"cpu\":1},\"time\":6,\"topic\":\"metrics\"}\n",
		    "cpu{gateway=7} 6 1\n", "", "metrics 6 {\"cpu\":1}\n", NULL},
		{"the first of a name counts",
		    "{\"topic\":\"x\",\"topic\":\"metrics\",\"time\":1,\"time\":2,\"data\":1,"
		    "\"data\":{\"a\":1}}\n", "", "", "x 1 1\n", NULL},
		{"credentials are starred wherever they are",
		    "{\"topic\":\"logs\",\"gateway\":{\"id\":7,\"auth\":\"geheim\"},\"auth\":12345,"
		    "\"data\":[{\"auth\":9007199254740993,\"a\":1},{\"auth\":\"x\"}]}\n", "", "",
		    "logs " T " [{\"auth\":\"****************\",\"a\":1},{\"auth\":\"*\"}]\n",
		    "{\"topic\":\"logs\",\"gateway\":{\"id\":7,\"auth\":\"******\"},\"auth\":*****,"
		    "\"data\":[{\"auth\":****************,\"a\":1},{\"auth\":\"*\"}]}\n"},
		{"a credential among metrics is none of them",
		    "{\"topic\":\"metrics\",\"data\":{\"auth\":77,\"n\":1}}\n",
		    "n{gateway=7} " T " 1\n", "",
		    "metrics " T " {\"auth\":\"**\",\"n\":1}\n",
		    "{\"topic\":\"metrics\",\"data\":{\"auth\":**,\"n\":1}}\n"},
	};
	check_cases(*state, cases, ARRAY_COUNT(cases));
}

static void
bad_lines(void **state)
{
	static const struct message_case cases[] = {
		{"no topic, or none that is one",
		    "{\"data\":1}\n{\"topic\":7}\n{\"topic\":\"\"}\n{\"topic\":\"\\n\"}\n"
		    "{\"topic\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		    "xxxxxxxxxxxxxxxxxxxxxxxxx\"}\n",
		    "", "0 -1 bad_topic\n1 -1 bad_topic\n2 -1 bad_topic\n3 -1 bad_topic\n"
		    "4 -1 bad_topic\n", "", NULL},
		{"no time",
		    "{\"topic\":\"x\",\"time\":\"never\"}\n{\"topic\":\"x\",\"time\":1e17}\n",
		    "", "0 -1 bad_time\n1 -1 bad_time\n", "", NULL},
		{"metrics that are no object, numbers too large, names that are none",
		    "{\"topic\":\"metrics\",\"data\":7}\n{\"topic\":\"metrics\"}\n"
		    "{\"topic\":\"metrics\",\"data\":{\"ok\":1,\"n\":9007199254740993}}\n"
		    "{\"topic\":\"metrics\",\"data\":{\"ok\":1,\"\":1}}\n", "",
		    "0 -1 bad_value\n1 -1 bad_value\n2 -1 bad_value\n3 -1 bad_name\n", "", NULL},
		{"credentials of another type",
		    "{\"topic\":\"x\",\"data\":{\"auth\":null}}\n", "", "0 -1 bad_auth\n", "",
		    "{\"topic\":\"x\",\"data\":{\"auth\":****}}\n"},
		{"no object", "7\n[]\n\"x\"\n", "",
		    "0 -1 bad_item\n1 -1 bad_item\n2 -1 bad_item\n", "", NULL},
		{"no JSON: nothing of it stays, the others are good",
		    "{\"topic\":\"x\",\"data\":1}\n{\"auth\":\"geheim\",\n"
		    "{\"topic\":\"y\",\"data\":2} x\n{\"topic\":\"metrics\",\"data\":{\"n\":1}}",
		    "n{gateway=7} " T " 1\n", "1 -1 bad_json\n2 -1 bad_json\n",
		    "x " T " 1\nmetrics " T " {\"n\":1}\n",
		    "{\"topic\":\"x\",\"data\":1}\n*****************\n"
		    "************************\n{\"topic\":\"metrics\",\"data\":{\"n\":1}}"},
	};
	check_cases(*state, cases, ARRAY_COUNT(cases));
}

static void
raw_has_them_only_where_no_device_is_asked_for(void **state)
{
	struct judging *judging = *state;
	struct buf scratch, out;
	judging_run(judging, JOURNAL_FORMAT_MESSAGES, LP_NS,
	    SPAN("{\"topic\":\"logs\",\"device\":{\"id\":1,\"auth\":12},\"data\":1}\n7\n"));
	struct journal_record record = judging_record(judging);
	buf_init(&scratch, 0);
	buf_init(&out, 0);
	assert_int_equal(raw_write(&record, SPAN("1"), NULL, &scratch, &out), 0);
	assert_int_equal(out.len, 0);
	assert_int_equal(raw_write(&record, span_of(NULL, 0), NULL, &scratch, &out), 1);
	assert_true(judging_same("raw", &(struct judging_case){.name = "raw"}, buf_span(&out),
	    "{\"time\":" T ",\"message\":{\"topic\":\"logs\",\"device\":{\"id\":1,"
	    "\"auth\":\"**\"},\"data\":1}}\n"));
	buf_finish(&scratch);
	buf_finish(&out);
}

/* Lines made of good and broken pieces: judging_run checks the laws. */
static void
whatever_comes_replay_and_subscribers_see_what_was_accepted(void **state)
{
	static const char *const pieces[] = {
		"{", "}", "\"topic\"", ":", "\"metrics\"", "\"logs\"", ",", "\"data\"", "\"time\"",
		"5", "{\"n\":1}", "[1]", "\"auth\"", "\"x\"", "null", "12", "\n", " ",
		"{\"topic\":\"metrics\",\"data\":{\"a\":1,\"auth\":5}}", "\"gateway\"", "*",
		"{\"topic\":\"logs\",\"data\":{\"auth\":\"x\",\"b\":[{\"auth\":1}]}}",
		"\"\\u0000\"",
	};
	struct judging *judging = *state;
	const char *seed = getenv("WEIR_SEED");
	struct prng prng = {.state = seed ? strtoull(seed, NULL, 10) : 1};
	struct buf body;
	buf_init(&body, 0);
	print_message("WEIR_SEED=%llu\n", (unsigned long long)prng.state);
	for (unsigned round = 0; round < 3000; round++) {
		buf_clear(&body);
		for (uint64_t n = prng_below(&prng, 24); n > 0; n--)
			buf_append_str(&body, pieces[prng_below(&prng, ARRAY_COUNT(pieces))]);
		judging_run(judging, JOURNAL_FORMAT_MESSAGES, LP_NS, buf_span(&body));
		assert_int_equal(judging->error, 0);
	}
	buf_finish(&body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(good_lines),
		TEST(bad_lines),
		TEST(raw_has_them_only_where_no_device_is_asked_for),
		TEST(whatever_comes_replay_and_subscribers_see_what_was_accepted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Items of POST /api/v1/readings: every verdict, what stays in the body, and the law that replay
 * gives what was accepted. WEIR_SEED begins, WEIR_SEEDS says how many random documents.
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

#define CHECK_CASES(state, format, cases) \
	judging_check_cases(*(state), format, LP_NS, cases, sizeof(cases) / sizeof((cases)[0]))

static void
good_items(void **state)
{
	static const struct judging_case cases[] = {
		{"one object",
		    "{\"device\":{\"id\":1},\"readings\":[{\"time\":5,\"temp\":4.2,\"batt\":75}]}",
		    "temp{device=1} 5 4.2\nbatt{device=1} 5 75\n", "", NULL},
		{"several readings, time absent is arrival",
		    "{\"device\":{\"id\":1},\"readings\":[{\"time\":5,\"t\":1},{\"t\":2}]}",
		    "t{device=1} 5 1\nt{device=1} " T " 2\n", "", NULL},
		{"an array",
		    "[{\"device\":{\"id\":1},\"readings\":[{\"time\":5,\"t\":1}]},\n"
		    " {\"device\":{\"id\":1},\"readings\":[{\"time\":6,\"t\":2}]}]",
		    "t{device=1} 5 1\nt{device=1} 6 2\n", "", NULL},
		{"an empty array", "[]", "", "", NULL},
		{"two documents, one after the other",
		    "{\"device\":{\"id\":1},\"readings\":[{\"time\":5,\"t\":1}]} "
		    "[{\"device\":{\"id\":1},\"reading\":{\"time\":6,\"t\":2}}]",
		    "t{device=1} 5 1\nt{device=1} 6000 2\n", "", NULL},
		{"the Qold message has seconds",
		    "{\"device\":{\"id\":123,\"auth\":789},"
		    "\"reading\":{\"temp\":15,\"time\":1700000000,\"batt\":75}}",
		    "temp{device=123} " T " 15\nbatt{device=123} " T " 75\n", "",
		    "{\"device\":{\"id\":123,\"auth\":***},"
		    "\"reading\":{\"temp\":15,\"time\":1700000000,\"batt\":75}}"},
		{"device after readings",
		    "{\"readings\":[{\"time\":5,\"t\":1}],\"reading\":{\"time\":6,\"t\":2},"
		    "\"device\":{\"id\":1}}",
		    "t{device=1} 5 1\nt{device=1} 6000 2\n", "", NULL},
		{"readings before and after the device",
		    "{\"readings\":[{\"time\":5,\"t\":1}],\"device\":{\"id\":1},"
		    "\"readings\":[{\"time\":6,\"t\":2}]}",
		    "t{device=1} 6 2\nt{device=1} 5 1\n", "", NULL},
		{"ids are exact to the digit",
		    "[{\"device\":{\"id\":12345678901234567},\"reading\":{\"time\":1,\"t\":1}},"
		    "{\"device\":{\"id\":\"fridge 7\"},\"reading\":{\"time\":1,\"t\":1}},"
		    "{\"device\":{\"id\":\"\\u0066r\"},\"reading\":{\"time\":1,\"t\":1}}]",
		    "t{device=fridge 7} 1000 1\nt{device=fr} 1000 1\n"
		    "t{device=12345678901234567} 1000 1\n", "", NULL},
		{"members of no meaning are passed over",
		    "{\"v\":[{\"id\":[]}],\"device\":{\"x\":{\"id\":7},\"id\":1,\"id\":2},"
		    "\"reading\":{\"time\":1,\"t\":1}}",
		    "t{device=1} 1000 1\n", "", NULL},
		{"names with escapes",
		    "{\"device\":{\"id\":1},\"readings\":[{\"\\u0074ime\":5,\"te\\u006dp\":1,"
		    "\"\\u0061\":2,\"\\u00e4\":3}]}",
		    "temp{device=1} 5 1\na{device=1} 5 2\n\xc3\xa4{device=1} 5 3\n", "", NULL},
		{"the same metric twice: both, in order",
		    "{\"device\":{\"id\":1},\"readings\":[{\"time\":5,\"t\":1,\"t\":2}]}",
		    "t{device=1} 5 1\nt{device=1} 5 2\n", "", NULL},
		{"blanks everywhere",
		    " \r\n\t{ \"device\" : { \"id\" : 1 } , \"reading\" : { \"t\" : 1 } } \n",
		    "t{device=1} " T " 1\n", "", NULL},
	};
	CHECK_CASES(state, JOURNAL_FORMAT_JSON, cases);
}

#define READING(members) "{\"device\":{\"id\":1},\"readings\":[{" members "}]}"
#define SECONDS(members) "{\"device\":{\"id\":1},\"reading\":{" members "}}"

static void
values(void **state)
{
	static const struct judging_case cases[] = {
		{"booleans are numbers", READING("\"time\":5,\"a\":true,\"b\":false"),
		    "a{device=1} 5 1\nb{device=1} 5 0\n", "", NULL},
		{"integers up to 2^53",
		    READING("\"time\":5,\"a\":9007199254740992,\"b\":-9007199254740992"),
		    "a{device=1} 5 9007199254740992\nb{device=1} 5 -9007199254740992\n", "", NULL},
		{"beyond", READING("\"time\":5,\"a\":9007199254740993"), "", "0 0 bad_value\n",
		    NULL},
		{"far beyond", READING("\"a\":-100000000000000000000000000000"), "",
		    "0 0 bad_value\n", NULL},
		{"a fraction or exponent may be large",
		    READING("\"time\":5,\"a\":1e300,\"b\":9e15"),
		    "a{device=1} 5 1e300\nb{device=1} 5 9000000000000000\n", "", NULL},
		{"too large for a double", READING("\"a\":1e400"), "", "0 0 bad_value\n", NULL},
		{"negative zero", READING("\"time\":5,\"a\":-0.0"), "a{device=1} 5 -0.0\n", "",
		    NULL},
		{"null", READING("\"a\":null"), "", "0 0 bad_value\n", NULL},
		{"a string", READING("\"a\":\"1\""), "", "0 0 bad_value\n", NULL},
		{"a text of no number", READING("\"a\":\"NaN\""), "", "0 0 bad_value\n", NULL},
		{"an object", READING("\"a\":{\"b\":1}"), "", "0 0 bad_value\n", NULL},
		{"an array", READING("\"a\":[1]"), "", "0 0 bad_value\n", NULL},
		{"one bad metric takes the reading, not the item",
		    "{\"device\":{\"id\":1},\"readings\":[{\"time\":5,\"a\":1},"
		    "{\"a\":2,\"b\":null},{\"time\":6,\"a\":3}]}",
		    "a{device=1} 5 1\na{device=1} 6 3\n", "0 1 bad_value\n", NULL},
		{"no metric", READING("\"time\":5"), "", "0 0 no_values\n", NULL},
		{"an empty name", READING("\"\":5"), "", "0 0 bad_name\n", NULL},
		{"a control character in a name", READING("\"a\\nb\":5"), "", "0 0 bad_name\n",
		    NULL},
		{"readings that are none",
		    "{\"device\":{\"id\":1},\"readings\":[5,\"x\",[1],{\"time\":5,\"a\":1}]}",
		    "a{device=1} 5 1\n", "0 0 bad_item\n0 1 bad_item\n0 2 bad_item\n", NULL},
	};
	CHECK_CASES(state, JOURNAL_FORMAT_JSON, cases);
}

static void
times(void **state)
{
	static const struct judging_case cases[] = {
		{"a fraction is floored", READING("\"time\":5.9,\"a\":1"), "a{device=1} 5 1\n", "",
		    NULL},
		{"also below zero", READING("\"time\":-5.1,\"a\":1"), "a{device=1} -6 1\n", "",
		    NULL},
		{"an exponent", READING("\"time\":1.7e12,\"a\":1"), "a{device=1} " T " 1\n", "",
		    NULL},
		{"RFC 3339", READING("\"time\":\"2023-11-14T22:13:20.0019Z\",\"a\":1"),
		    "a{device=1} 1700000000001 1\n", "", NULL},
		{"with an offset", READING("\"time\":\"2023-11-14T23:13:20+01:00\",\"a\":1"),
		    "a{device=1} " T " 1\n", "", NULL},
		{"relative to arrival", READING("\"time\":\"-1s\",\"a\":1"),
		    "a{device=1} 1699999999000 1\n", "", NULL},
		{"seconds", SECONDS("\"time\":-1,\"a\":1"), "a{device=1} -1000 1\n", "", NULL},
		{"seconds with a fraction, to the millisecond",
		    SECONDS("\"time\":1700000000.001,\"a\":1"), "a{device=1} 1700000000001 1\n", "",
		    NULL},
		{"seconds with a finer fraction",
		    SECONDS("\"time\":1700000000.0019,\"a\":1"), "a{device=1} 1700000000001 1\n",
		    "", NULL},
		{"seconds below zero are floored", SECONDS("\"time\":-0.0001,\"a\":1"),
		    "a{device=1} -1 1\n", "", NULL},
		{"RFC 3339 in a Qold message",
		    SECONDS("\"time\":\"2023-11-14T22:13:20Z\",\"a\":1"), "a{device=1} " T " 1\n",
		    "", NULL},
		{"the first and the last",
		    "{\"device\":{\"id\":1},\"readings\":[{\"time\":-62135596800000,\"a\":1},"
		    "{\"time\":253402300799999,\"a\":2},{\"time\":-62135596800001,\"a\":3},"
		    "{\"time\":253402300800000,\"a\":4}]}",
		    "a{device=1} -62135596800000 1\na{device=1} 253402300799999 2\n",
		    "0 2 bad_time\n0 3 bad_time\n", NULL},
		{"out of 64 bits", READING("\"time\":99999999999999999999,\"a\":1"), "",
		    "0 0 bad_time\n", NULL},
		{"seconds out of 64 bits of milliseconds",
		    SECONDS("\"time\":9223372036854775807,\"a\":1"), "", "0 0 bad_time\n", NULL},
		{"out of a double", READING("\"time\":1e999,\"a\":1"), "", "0 0 bad_time\n", NULL},
		{"no time", READING("\"time\":\"soon\",\"a\":1"), "", "0 0 bad_time\n", NULL},
		{"null", READING("\"time\":null,\"a\":1"), "", "0 0 bad_time\n", NULL},
		{"a boolean", READING("\"time\":true,\"a\":1"), "", "0 0 bad_time\n", NULL},
		{"an object", READING("\"time\":{\"auth\":\"s\"},\"a\":1"), "", "0 0 bad_time\n",
		    READING("\"time\":{\"auth\":\"*\"},\"a\":1")},
	};
	CHECK_CASES(state, JOURNAL_FORMAT_JSON, cases);
}

static void
bad_items(void **state)
{
	static const struct judging_case cases[] = {
		{"no objects", "[1,\"x\",null,true,[{\"auth\":\"s\"}]]", "",
		    "0 -1 bad_item\n1 -1 bad_item\n2 -1 bad_item\n3 -1 bad_item\n4 -1 bad_item\n",
		    "[1,\"x\",null,true,[{\"auth\":\"*\"}]]"},
		{"a document that is no item", "5", "", "0 -1 bad_item\n", NULL},
		{"an empty item", "{}", "", "0 -1 bad_device\n", NULL},
		{"no device", "{\"reading\":{\"a\":1}}", "", "0 -1 bad_device\n", NULL},
		{"a device that is none", "{\"device\":5,\"reading\":{\"a\":1}}", "",
		    "0 -1 bad_device\n", NULL},
		{"a device without id", "{\"device\":{},\"reading\":{\"a\":1}}", "",
		    "0 -1 bad_device\n", NULL},
		{"ids that are none",
		    "[{\"device\":{\"id\":1.5},\"reading\":{\"a\":1}},"
		    "{\"device\":{\"id\":-1},\"reading\":{\"a\":1}},"
		    "{\"device\":{\"id\":1e3},\"reading\":{\"a\":1}},"
		    "{\"device\":{\"id\":123456789012345678901},\"reading\":{\"a\":1}},"
		    "{\"device\":{\"id\":\"\"},\"reading\":{\"a\":1}},"
		    "{\"device\":{\"id\":null},\"reading\":{\"a\":1}},"
		    "{\"device\":{\"id\":[\"x\"]},\"reading\":{\"a\":1}},"
		    "{\"device\":{\"id\":\"a\\u0000b\"},\"reading\":{\"a\":1}}]",
		    "",
		    "0 -1 bad_device\n1 -1 bad_device\n2 -1 bad_device\n3 -1 bad_device\n"
		    "4 -1 bad_device\n5 -1 bad_device\n6 -1 bad_device\n7 -1 bad_device\n", NULL},
		{"no readings", "{\"device\":{\"id\":1}}", "", "0 -1 bad_item\n", NULL},
		{"readings of a wrong kind", "{\"device\":{\"id\":1},\"readings\":{\"a\":1}}", "",
		    "0 -1 bad_item\n", NULL},
		{"what was said of readings is taken back with the item",
		    "[{\"device\":{\"id\":1},\"readings\":[{\"a\":null},{\"a\":1}],\"auth\":{}},"
		    "{\"device\":{\"id\":1},\"reading\":{\"time\":1,\"a\":1}}]",
		    "a{device=1} 1000 1\n", "0 -1 bad_auth\n",
		    "[{\"device\":{\"id\":1},\"readings\":[{\"a\":null},{\"a\":1}],\"auth\":**},"
		    "{\"device\":{\"id\":1},\"reading\":{\"time\":1,\"a\":1}}]"},
	};
	CHECK_CASES(state, JOURNAL_FORMAT_JSON, cases);
}

#define WITH_AUTH(value) \
	"{\"device\":{\"id\":1,\"auth\":" value "},\"reading\":{\"time\":1,\"a\":1}}"

static void
credentials_are_starred(void **state)
{
	static const struct judging_case cases[] = {
		{"a string", WITH_AUTH("\"se\\\"cret\""), "a{device=1} 1000 1\n", "",
		    WITH_AUTH("\"********\"")},
		{"17 digits", WITH_AUTH("12345678901234567"), "a{device=1} 1000 1\n", "",
		    WITH_AUTH("*****************")},
		{"an empty string", WITH_AUTH("\"\""), "a{device=1} 1000 1\n", "", NULL},
		{"wrong types",
		    "[" WITH_AUTH("null") "," WITH_AUTH("true") "," WITH_AUTH("false") ","
		    WITH_AUTH("{\"auth\":[\"s\"]}") "," WITH_AUTH("[ \"s\" ]") "]", "",
		    "0 -1 bad_auth\n1 -1 bad_auth\n2 -1 bad_auth\n3 -1 bad_auth\n4 -1 bad_auth\n",
		    "[" WITH_AUTH("****") "," WITH_AUTH("****") "," WITH_AUTH("*****") ","
		    WITH_AUTH("**************") "," WITH_AUTH("*******") "]"},
		{"no integer", "[" WITH_AUTH("1.5") "," WITH_AUTH("1e3") "]", "",
		    "0 -1 bad_auth\n1 -1 bad_auth\n",
		    "[" WITH_AUTH("***") "," WITH_AUTH("***") "]"},
		{"an escaped key",
		    "{\"device\":{\"id\":1,\"\\u0061uth\":\"s\"},\"reading\":{\"time\":1,\"a\":1}}",
		    "a{device=1} 1000 1\n", "",
		    "{\"device\":{\"id\":1,\"\\u0061uth\":\"*\"},"
		    "\"reading\":{\"time\":1,\"a\":1}}"},
		{"wherever it stands",
		    "{\"auth\":\"s\",\"x\":[{\"y\":{\"auth\":12}}],"
		    "\"device\":{\"auth\":\"t\",\"id\":1,\"deep\":{\"auth\":\"u\"}},"
		    "\"readings\":[{\"time\":5,\"auth\":\"v\",\"a\":1},[{\"auth\":\"w\"}]]}",
		    "a{device=1} 5 1\n", "0 1 bad_item\n",
		    "{\"auth\":\"*\",\"x\":[{\"y\":{\"auth\":**}}],"
		    "\"device\":{\"auth\":\"*\",\"id\":1,\"deep\":{\"auth\":\"*\"}},"
		    "\"readings\":[{\"time\":5,\"auth\":\"*\",\"a\":1},[{\"auth\":\"*\"}]]}"},
		{"in readings that come before the device",
		    "{\"readings\":[{\"time\":5,\"auth\":17,\"a\":1,\"b\":{\"auth\":\"s\"}},"
		    "{\"time\":6,\"a\":1,\"auth\":\"s\"}],\"device\":{\"id\":1}}",
		    "a{device=1} 6 1\n", "0 0 bad_value\n",
		    "{\"readings\":[{\"time\":5,\"auth\":**,\"a\":1,\"b\":{\"auth\":\"*\"}},"
		    "{\"time\":6,\"a\":1,\"auth\":\"*\"}],\"device\":{\"id\":1}}"},
		{"as a device", "{\"device\":[{\"auth\":1}],\"reading\":{\"a\":1}}", "",
		    "0 -1 bad_device\n", "{\"device\":[{\"auth\":*}],\"reading\":{\"a\":1}}"},
		{"as an id", "{\"device\":{\"id\":{\"auth\":1}},\"reading\":{\"a\":1}}", "",
		    "0 -1 bad_device\n",
		    "{\"device\":{\"id\":{\"auth\":*}},\"reading\":{\"a\":1}}"},
		{"a value named auth is no credential",
		    "{\"device\":{\"id\":\"auth\"},\"reading\":{\"time\":1,\"Auth\":1}}",
		    "Auth{device=auth} 1000 1\n", "", NULL},
	};
	CHECK_CASES(state, JOURNAL_FORMAT_JSON, cases);
}

#define GOOD(time) "{\"device\":{\"id\":1},\"readings\":[{\"time\":" time ",\"a\":1}]}"

static void
ndjson(void **state)
{
	static const struct judging_case cases[] = {
		{"nothing", "", "", "", NULL},
		{"lines", GOOD("5") "\n" GOOD("6") "\r\n" GOOD("7"),
		    "a{device=1} 5 1\na{device=1} 6 1\na{device=1} 7 1\n", "", NULL},
		{"blank lines count as lines", GOOD("5") "\n\n \t\r\n5\n" GOOD("6") "\n",
		    "a{device=1} 5 1\na{device=1} 6 1\n", "3 -1 bad_item\n", NULL},
		{"a bad line leaves nothing behind and is starred",
		    GOOD("5") "\n{\"device\":{\"id\":1,\"auth\":\"s\"},"
		    "\"readings\":[{\"a\":2},{\"a\":\n"
		    GOOD("6"),
		    "a{device=1} 5 1\na{device=1} 6 1\n", "1 -1 bad_json\n",
		    GOOD("5") "\n*******************************************************\n"
		    GOOD("6")},
		{"its rejected readings go with it",
		    "{\"device\":{\"id\":1},\"readings\":[{\"a\":null},{\"time\":5,\"a\":1}]\n"
		    GOOD("6"),
		    "a{device=1} 6 1\n", "0 -1 bad_json\n",
		    "***********************************************************\n" GOOD("6")},
		{"two values in a line", GOOD("5") GOOD("6") "\n" GOOD("7"),
		    "a{device=1} 7 1\n", "0 -1 bad_json\n",
		    "*************************************************"
		    "*************************************************\n" GOOD("7")},
		{"something behind a value that is no item", "[] {\"auth\":\"s\"}\n5 \"x\"\n"
		    GOOD("7"), "a{device=1} 7 1\n", "0 -1 bad_json\n1 -1 bad_json\n",
		    "***************\n*****\n" GOOD("7")},
		{"an array in a line", "[" GOOD("5") "]\n", "", "0 -1 bad_item\n", NULL},
		{"a wrong item", "{\"device\":{\"id\":1},\"auth\":[\"s\"]}\n" GOOD("6") "\n",
		    "a{device=1} 6 1\n", "0 -1 bad_auth\n",
		    "{\"device\":{\"id\":1},\"auth\":*****}\n" GOOD("6") "\n"},
		{"bytes that are no UTF-8", "{\"device\":{\"id\":\"\xff\"}}\n" GOOD("6"),
		    "a{device=1} 6 1\n", "0 -1 bad_json\n", "*********************\n" GOOD("6")},
	};
	CHECK_CASES(state, JOURNAL_FORMAT_NDJSON, cases);
}

/* ── errors and limits ── */

static void
check_refused(struct judging *judging, const char *body, const char *reason)
{
	judging_run(judging, JOURNAL_FORMAT_JSON, LP_NS, span_str(body));
	assert_int_equal(judging->error, -EBADMSG);
	assert_string_equal(judging->reason, reason);
	assert_null(judging->result.batch);
	assert_int_equal(judging->result.items, 0);
	assert_int_equal(judging->result.accepted, 0);
	assert_int_equal(judging->result.rejected, 0);
	assert_int_equal(judging->result.detail_count, 0);
	assert_int_equal(judging->result.reject_count, 0);
}

static void
a_malformed_document_is_refused_with_line_and_column(void **state)
{
	check_refused(*state, "", "line 1, column 1: the document is empty");
	check_refused(*state, " \n ", "line 2, column 2: the document is empty");
	check_refused(*state, "{\"device\":\n  {\"id\":01}}",
	    "line 2, column 9: a number with a leading zero");
	check_refused(*state, "[" GOOD("5") ",\n5,",
	    "line 2, column 3: the document ends in the middle");
	check_refused(*state, GOOD("5") "\n" GOOD("6") "\n\nnil",
	    "line 4, column 2: a word other than true, false and null");
	check_refused(*state, "{\"device\":{\"id\":1,\"auth\":***}}",
	    "line 1, column 26: no value where one must stand");
	check_refused(*state, "[[1],2", "line 1, column 7: the document ends in the middle");
}

static void
nesting_ends_at_64_levels(void **state)
{
	struct judging *judging = *state;
	struct buf body;
	buf_init(&body, 0);
	for (int levels = 63; levels <= 64; levels++) {
		buf_clear(&body);
		buf_append_str(&body, "{\"x\":");
		for (int i = 0; i < levels; i++)
			buf_append_byte(&body, '[');
		for (int i = 0; i < levels; i++)
			buf_append_byte(&body, ']');
		buf_append_str(&body, ",\"device\":{\"id\":1},\"reading\":{\"time\":1,\"a\":1}}");
		judging_run(judging, JOURNAL_FORMAT_JSON, LP_NS, buf_span(&body));
		assert_int_equal(judging->error, levels == 64 ? -EBADMSG : 0);
	}
	assert_string_equal(judging->reason, "line 1, column 69: nested deeper than 64 levels");
	buf_finish(&body);
}

static void
sixteen_mebibytes_of_items(void **state)
{
	struct judging *judging = *state;
	struct buf body;
	uint64_t count = 0;
	buf_init(&body, 16u << 20);
	buf_append_byte(&body, '[');
	while (body.len < (16u << 20) - 100)
		buf_printf(&body, "%s{\"device\":{\"id\":%llu},\"reading\":{\"time\":1,\"a\":1}}",
		    count ? "," : "", (unsigned long long)count % 1000), count++;
	buf_append_byte(&body, ']');
	assert_true(buf_ok(&body));
	judging_run(judging, JOURNAL_FORMAT_JSON, LP_NS, buf_span(&body));
	assert_int_equal(judging->error, 0);
	assert_int_equal(judging->result.accepted, count);
	buf_finish(&body);
}

static void
a_line_over_1_MiB_is_rejected_and_starred(void **state)
{
	struct judging *judging = *state;
	struct buf body;
	buf_init(&body, 0);
	buf_append_str(&body, "{\"device\":{\"id\":1,\"auth\":\"secret\"},\"x\":\"");
	while (body.len <= LP_LINE_BYTES_MAX)
		buf_append_byte(&body, 'x');
	size_t long_len = body.len + 2;
	buf_append_str(&body, "\"}\n" GOOD("5"));
	judging_run(judging, JOURNAL_FORMAT_NDJSON, LP_NS, buf_span(&body));
	assert_int_equal(judging->error, 0);
	assert_int_equal(judging->result.accepted, 1);
	assert_int_equal(judging->result.details[0].code, VERDICT_TOO_LONG);
	for (size_t i = 0; i < long_len; i++)
		assert_int_equal(judging->body.bytes[i], '*');
	buf_finish(&body);
}

static void
names_and_counts_at_their_limits(void **state)
{
	struct judging *judging = *state;
	char name[257];
	struct buf body;
	buf_init(&body, 0);
	memset(name, 'n', sizeof name);
	for (int len = 255; len <= 256; len++) {
		buf_clear(&body);
		buf_printf(&body, "[{\"device\":{\"id\":\"%.*s\"},\"reading\":{\"a\":1}},"
		    "{\"device\":{\"id\":1},\"reading\":{\"%.*s\":1}}]", len, name, len, name);
		judging_run(judging, JOURNAL_FORMAT_JSON, LP_NS, buf_span(&body));
		assert_int_equal(judging->result.accepted, len == 255 ? 2 : 0);
	}
	assert_true(span_eq(buf_span(&judging->rejects),
	    SPAN("0 -1 bad_device\n1 0 bad_name\n")));
	for (int metrics = 64; metrics <= 65; metrics++) {
		buf_clear(&body);
		buf_append_str(&body, "{\"device\":{\"id\":1},\"readings\":[{\"time\":1");
		for (int i = 0; i < metrics; i++)
			buf_printf(&body, ",\"m%d\":%d", i, i);
		buf_append_str(&body, "}]}");
		judging_run(judging, JOURNAL_FORMAT_JSON, LP_NS, buf_span(&body));
		assert_int_equal(judging->result.accepted, metrics == 64);
	}
	buf_finish(&body);
}

static void
many_readings_before_the_device(void **state)
{
	struct judging *judging = *state;
	struct buf body;
	buf_init(&body, 0);
	for (int lists = 8; lists <= 9; lists++) {
		buf_clear(&body);
		buf_append_byte(&body, '{');
		for (int i = 0; i < lists; i++)
			buf_printf(&body,
			    "\"readings\":[{\"time\":%d,\"auth\":\"s\",\"a\":1}],", i);
		buf_append_str(&body, "\"device\":{\"id\":1}}");
		judging_run(judging, JOURNAL_FORMAT_JSON, LP_NS, buf_span(&body));
		assert_int_equal(judging->result.accepted, lists == 8 ? 8 : 0);
	}
	assert_int_equal(judging->result.rejects[0].code, VERDICT_BAD_ITEM);
	buf_finish(&body);
}

/* ── counts and details over the bodies of a request ── */

static void
indexes_go_on_over_the_bodies_of_a_request(void **state)
{
	struct judging *judging = *state;
	char first[] = GOOD("5") "\nx\n", second[] = "y\n" GOOD("6") "\n", bad[] = "[";
	judging_run(judging, JOURNAL_FORMAT_NDJSON, LP_NS, span_str(first));
	judge_result_clear(&judging->result);
	struct judge_body body = judging->body;
	body.bytes = second;
	body.len = strlen(second);
	assert_int_equal(judge_run(judging->judge, &body, &judging->result, judging->reason,
	    sizeof judging->reason), 0);
	assert_int_equal(judging->result.items, 4);
	assert_int_equal(judging->result.accepted, 2);
	assert_int_equal(judging->result.rejected, 2);
	assert_int_equal(judging->result.details[1].item, 2);
	assert_int_equal(judging->result.reject_count, 1);
	assert_int_equal(judging->result.rejects[0].item, 0);
	judge_result_clear(&judging->result);
	judge_result_too_long(&judging->result);
	assert_int_equal(judging->result.details[2].item, 4);
	/* A body that is refused takes nothing back of those before it. */
	body.format = JOURNAL_FORMAT_JSON;
	body.bytes = bad;
	body.len = 1;
	assert_int_equal(judge_run(judging->judge, &body, &judging->result, judging->reason,
	    sizeof judging->reason), -EBADMSG);
	assert_int_equal(judging->result.items, 5);
	assert_int_equal(judging->result.accepted, 2);
	assert_int_equal(judging->result.rejected, 3);
	assert_int_equal(judging->result.detail_count, 3);
}

static void
the_first_hundred_rejections_are_told(void **state)
{
	struct judging *judging = *state;
	struct buf body;
	buf_init(&body, 0);
	for (int i = 0; i < 250; i++)
		buf_append_str(&body, "{\"device\":{\"id\":1},\"reading\":{\"\xc3\xa4\":null}}\n");
	judging_run(judging, JOURNAL_FORMAT_NDJSON, LP_NS, buf_span(&body));
	assert_int_equal(judging->result.rejected, 250);
	assert_int_equal(judging->result.reject_count, 250);
	assert_int_equal(judging->result.detail_count, JUDGE_DETAILS_MAX);
	assert_non_null(strstr(judging->result.details[99].text, "\"\xc3\xa4\": a metric must"));
	buf_finish(&body);
}

/* A verdict list that the body does not fit is damage, not a crash. */
static void
replay_refuses_a_list_that_does_not_fit(void **state)
{
	struct judging *judging = *state;
	judging_run(judging, JOURNAL_FORMAT_NDJSON, LP_NS, span_str(GOOD("5") "\nx\n" GOOD("6")));
	struct journal_record record = judging_record(judging);
	struct series_batch *batch = NULL;
	record.reject_count = 0;
	assert_int_equal(judge_replay(judging->judge, &record, &batch), -EBADMSG);
	assert_null(batch);
	record.format = 99;
	assert_int_equal(judge_replay(judging->judge, &record, &batch), -EBADMSG);
	judging_run(judging, JOURNAL_FORMAT_JSON, LP_NS, span_str(READING("\"a\":null")));
	record = judging_record(judging);
	record.reject_count = 0;
	assert_int_equal(judge_replay(judging->judge, &record, &batch), -EBADMSG);
}

/* ── random documents ── */

struct dice {
	uint64_t state;
};

static uint32_t
roll(struct dice *dice, uint32_t sides)
{
	dice->state = dice->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(dice->state >> 33) % sides;
}

static void
write_one_of(struct dice *dice, struct buf *out, const char *const *texts, uint32_t count)
{
	buf_append_str(out, texts[roll(dice, count)]);
}

#define ONE_OF(dice, out, ...)                                                        \
	write_one_of(dice, out, (const char *const[]){__VA_ARGS__},                   \
	    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void
write_value(struct dice *dice, struct buf *out)
{
	if (roll(dice, 4))
		buf_printf(out, "%d", (int)roll(dice, 100));
	else
		ONE_OF(dice, out, "true", "null", "\"x\"", "1e3", "-0.5", "9007199254740993",
		    "{\"auth\":\"SECRET\"}", "[{\"auth\":55555}]", "\"2023-11-14T22:13:20Z\"",
		    "1700000000.25", "{}", "[]", "1e400", "\"\\ud83d\\ude00\"");
}

static void
write_reading(struct dice *dice, struct buf *out)
{
	if (roll(dice, 12) == 0) {
		write_value(dice, out);
		return;
	}
	buf_append_byte(out, '{');
	for (uint32_t n = roll(dice, 4), i = 0; i < n; i++) {
		ONE_OF(dice, out, "\"temp\":", "\"time\":", "\"a\":", "\"\\u0061\":", "\"b\":");
		write_value(dice, out);
		buf_append_byte(out, ',');
	}
	if (roll(dice, 5) == 0)
		ONE_OF(dice, out, "\"auth\":\"SECRET\",", "\"\\u0061uth\":55555,",
		    "\"auth\":[\"SECRET\"],");
	buf_printf(out, "\"time\" :%d}", (int)roll(dice, 50));
}

static void
write_member(struct dice *dice, struct buf *out)
{
	switch (roll(dice, 7)) {
	case 0:
	case 1:
		ONE_OF(dice, out, "\"device\":{\"id\":1,\"auth\":55555}",
		    "\"device\":{\"auth\":\"SECRET\",\"id\":\"x\"}", "\"device\":{\"id\":null}",
		    "\"device\":{\"id\":2}", "\"device\":7", "\"device\":{\"id\":3,\"auth\":true}");
		break;
	case 2:
		buf_append_str(out, "\"reading\":");
		write_reading(dice, out);
		break;
	case 3:
	case 4:
		buf_append_str(out, "\"readings\":[");
		for (uint32_t n = roll(dice, 4), i = 0; i < n; i++) {
			buf_append_str(out, i ? ",\t" : "");
			write_reading(dice, out);
		}
		buf_append_byte(out, ']');
		break;
	case 5:
		ONE_OF(dice, out, "\"auth\":\"SECRET\"", "\"readings\":{}", "\"auth\":null");
		break;
	default:
		buf_append_str(out, "\"more\":");
		write_value(dice, out);
	}
}

static void
write_item(struct dice *dice, struct buf *out, bool may_break)
{
	size_t begin = out->len;
	if (roll(dice, 15) == 0) {
		write_value(dice, out);
	} else {
		buf_append_byte(out, '{');
		for (uint32_t n = 1 + roll(dice, 4), i = 0; i < n; i++) {
			buf_append_str(out, i ? ", " : "");
			write_member(dice, out);
		}
		buf_append_byte(out, '}');
	}
	if (may_break && roll(dice, 8) == 0)
		out->len = begin + roll(dice, (uint32_t)(out->len - begin) + 1);
	if (may_break && roll(dice, 12) == 0)
		buf_append_str(out, "{\"auth\":\"SECRET\"}");
}

static void
write_document(struct dice *dice, enum journal_format format, struct buf *out)
{
	bool lines = format == JOURNAL_FORMAT_NDJSON;
	bool array = !lines && roll(dice, 3);
	buf_clear(out);
	buf_append_str(out, array ? "[" : "");
	for (uint32_t n = 1 + roll(dice, 5), i = 0; i < n; i++) {
		buf_append_str(out, i == 0 ? "" : array ? ",\n" : "\n");
		write_item(dice, out, lines);
	}
	buf_append_str(out, array ? "]" : "");
}

static void
replay_gives_what_was_accepted_for_random_documents(void **state)
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
		struct dice dice = {(seed + i) * UINT64_C(0x9e3779b97f4a7c15)};
		enum journal_format format =
		    i % 2 ? JOURNAL_FORMAT_NDJSON : JOURNAL_FORMAT_JSON;
		write_document(&dice, format, &body);
		judging_run(judging, format, LP_NS, buf_span(&body));
		struct span after = span_of(judging->body.bytes, judging->body.len);
		if (judging->error || memmem(after.ptr, after.len, "SECRET", 6) ||
		    memmem(after.ptr, after.len, "55555", 5))
			fail_msg("seed %llu: %d %s\n%.*s\n%.*s", (unsigned long long)(seed + i),
			    judging->error, judging->reason, SPAN_ARG(buf_span(&body)),
			    SPAN_ARG(after));
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
		cmocka_unit_test_setup_teardown(good_items, setup, teardown),
		cmocka_unit_test_setup_teardown(values, setup, teardown),
		cmocka_unit_test_setup_teardown(times, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_items, setup, teardown),
		cmocka_unit_test_setup_teardown(credentials_are_starred, setup, teardown),
		cmocka_unit_test_setup_teardown(ndjson, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_malformed_document_is_refused_with_line_and_column, setup, teardown),
		cmocka_unit_test_setup_teardown(nesting_ends_at_64_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(sixteen_mebibytes_of_items, setup, teardown),
		cmocka_unit_test_setup_teardown(a_line_over_1_MiB_is_rejected_and_starred, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(names_and_counts_at_their_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(many_readings_before_the_device, setup, teardown),
		cmocka_unit_test_setup_teardown(indexes_go_on_over_the_bodies_of_a_request, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(the_first_hundred_rejections_are_told, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(replay_refuses_a_list_that_does_not_fit, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(replay_gives_what_was_accepted_for_random_documents,
		    setup, teardown),
	};
	return cmocka_run_group_tests_name("flow_judge_json", tests, NULL, NULL);
}

/*
 * Messages as they came, out of records that the judge made: what was accepted, of one device or
 * of all, credentials starred, one line each.
 */
#include "judging_cases.h"

#include <errno.h>

#include "flow_priv.h"
#include "json.h"
#include "hash.h"
#include "raw.h"
#include "raw_keys.h"

struct world {
	struct judging judging;
	struct buf scratch, out;
	const struct flow_scope *scope; /* who asks sees these devices */
};

static int
setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	check(world);
	judging_init(&world->judging);
	buf_init(&world->scratch, 0);
	buf_init(&world->out, 0);
	*state = world;
	return 0;
}

static int
teardown(void **state)
{
	struct world *world = *state;
	judging_finish(&world->judging);
	buf_finish(&world->scratch);
	buf_finish(&world->out);
	free(world);
	return 0;
}

/* Every line must be one JSON object that ends with it. */
static int
check_lines(struct span text)
{
	int lines = 0;
	while (text.len) {
		struct json_reader reader;
		const char *lf = memchr(text.ptr, '\n', text.len);
		assert_non_null(lf);
		json_reader_init(&reader, span_of(text.ptr, (size_t)(lf - text.ptr)), false);
		assert_int_equal(json_next(&reader), JSON_OBJECT);
		assert_int_equal(json_skip(&reader, JSON_OBJECT), JSON_OBJECT_END);
		assert_int_equal(json_next(&reader), JSON_END);
		text = span_skip(text, (size_t)(lf - text.ptr) + 1);
		lines++;
	}
	return lines;
}

/* A device whose messages come is one of the record's keys. */
static void
check_keys(const struct journal_record *record, const char *device)
{
	struct journal_keys keys = {.count = 0};
	uint64_t key = hash64(span_str(device), hash64(record->tenant, 0));
	assert_int_equal(raw_keys(NULL, record, &keys), 0);
	bool found = keys.unknown;
	for (size_t i = 0; i < keys.count; i++)
		found = found || keys.keys[i] == key;
	assert_true(found);
	free(keys.keys);
}

static void
check_raw(void **state, enum journal_format format, const char *body, const char *device,
    const char *must)
{
	struct world *world = *state;
	judging_run(&world->judging, format, LP_NS, span_str(body));
	assert_int_equal(world->judging.error, 0);
	struct journal_record record = judging_record(&world->judging);
	buf_clear(&world->out);
	int count = raw_write(&record, device ? span_str(device) : span_of(NULL, 0),
	    world->scope, &world->scratch, &world->out);
	if (!span_eq(buf_span(&world->out), span_str(must)))
		fail_msg("%s: for %s came\n%.*snot\n%s", body, device ? device : "all",
		    SPAN_ARG(buf_span(&world->out)), must);
	assert_int_equal(count, check_lines(buf_span(&world->out)));
	if (device && count > 0)
		check_keys(&record, device);
}

/* The number of keys of a record with this body; every one of `devices` (NULL at the end). */
static size_t
count_keys(enum journal_format format, const char *body, const char *const *devices)
{
	struct journal_keys keys = {.count = 0};
	struct journal_record record = {
		.stream = JOURNAL_REPORTS, .format = (uint16_t)format, .tenant = SPAN("main"),
		.body = span_str(body),
	};
	assert_int_equal(raw_keys(NULL, &record, &keys), 0);
	assert_false(keys.unknown);
	for (; *devices; devices++)
		check_keys(&record, *devices);
	free(keys.keys);
	return keys.count;
}

#define DEVICES(...) (const char *const[]){__VA_ARGS__, NULL}

static void
devices_are_keys(void **state)
{
	(void)state;
	assert_int_equal(count_keys(JOURNAL_FORMAT_LINE,
	    "m,device=a v=1\nm,device=a v=2\nn,b=c,device=x\\ y,z=1 v=1\n  m,device=late v=1\n"
	    "# m,device=no v=1\nm,other=1 v=1\n\nm v=\"a,device=q b\"",
	    DEVICES("a", "x y", "late")), 3);
	assert_int_equal(count_keys(JOURNAL_FORMAT_LINE,
	    "m,device=a v=1\nm,device=a v=2\n  m,device=late v=1\nm,x=y,device=b,z=1 v=\"q\"",
	    DEVICES("a", "late", "b")), 3);
	assert_int_equal(count_keys(JOURNAL_FORMAT_JSON,
	    "[{\"readings\":[{\"id\":9}],\"device\" : {\"auth\":***,\"id\":7}},{\"x\":\"device\","
	    "\"device\":{\"y\":{\"id\":8},\"id\":\"Ab\"},\"id\":5},{\"device\":6}]",
	    DEVICES("7", "Ab", "6")), 3);
	assert_int_equal(count_keys(JOURNAL_FORMAT_JSON,
	    "[{\"readings\":[{\"id\":9}],\"device\":{\"auth\":***,\"id\":7}},"
	    "{\"device\":{\"id\":\"\\u0041b\"},\"id\":5}]", DEVICES("7", "Ab")), 2);
	assert_int_equal(count_keys(JOURNAL_FORMAT_NDJSON,
	    "{\"device\":{\"id\":1}}\n{\"device\":\n\n{\"device\":{\"id\":1}}\n"
	    "{\"device\":{\"x\":{\"id\":4},\"id\":2}}", DEVICES("1", "2")), 2);
	assert_int_equal(count_keys(JOURNAL_FORMAT_MESSAGES,
	    "{\"topic\":\"a\",\"data\":{\"device\":{\"id\":1}}}\n", DEVICES(NULL)), 0);
}

static void
a_body_that_cannot_be_read_may_be_of_any_device(void **state)
{
	(void)state;
	struct journal_keys keys = {.count = 0};
	struct journal_record record = {
		.stream = JOURNAL_REPORTS, .format = JOURNAL_FORMAT_JSON, .tenant = SPAN("main"),
		.body = SPAN("[{\"device\":{\"id\":\"\\u0041\"}},"),
	};
	assert_int_equal(raw_keys(NULL, &record, &keys), 0);
	assert_true(keys.unknown);
	record.format = 1000;
	keys.unknown = false;
	assert_int_equal(raw_keys(NULL, &record, &keys), 0);
	assert_true(keys.unknown);
	free(keys.keys);
}

#define LINE(message) "{\"time\":1700000000000,\"message\":" message "}\n"
#define TEXT(lines) "{\"time\":1700000000000,\"text\":\"" lines "\"}\n"
#define ONE "{\"device\":{\"id\":1},\"reading\":{\"a\":1}}"
#define TWO "{\"reading\":{\"a\":2},\"x\":{\"device\":{\"id\":1}},\"device\":{\"id\":\"two\"}}"

static void
one_document(void **state)
{
	check_raw(state, JOURNAL_FORMAT_JSON, ONE, NULL, LINE(ONE));
	check_raw(state, JOURNAL_FORMAT_JSON, " " ONE "\r\n", "1", LINE(ONE));
	check_raw(state, JOURNAL_FORMAT_JSON, ONE, "2", "");
	check_raw(state, JOURNAL_FORMAT_JSON, ONE, "", "");
	check_raw(state, JOURNAL_FORMAT_JSON, TWO, "two", LINE(TWO));
	check_raw(state, JOURNAL_FORMAT_JSON, TWO, "1", "");
}

static void
several_items_are_filtered_by_device(void **state)
{
	check_raw(state, JOURNAL_FORMAT_JSON, "[" ONE "," TWO ",\n" ONE "]", NULL,
	    LINE(ONE) LINE(TWO) LINE(ONE));
	check_raw(state, JOURNAL_FORMAT_JSON, "[" ONE "," TWO "," ONE "]", "two", LINE(TWO));
	check_raw(state, JOURNAL_FORMAT_JSON, ONE " [" TWO "] " ONE, "1", LINE(ONE) LINE(ONE));
	check_raw(state, JOURNAL_FORMAT_NDJSON, ONE "\n\n" TWO "\r\n" ONE, NULL,
	    LINE(ONE) LINE(TWO) LINE(ONE));
	check_raw(state, JOURNAL_FORMAT_NDJSON, ONE "\n\n" TWO "\r\n" ONE, "1",
	    LINE(ONE) LINE(ONE));
	check_raw(state, JOURNAL_FORMAT_JSON, "[]", NULL, "");
}

static void
rejected_items_are_left_out(void **state)
{
	check_raw(state, JOURNAL_FORMAT_JSON, "[5,{\"device\":{\"id\":1}},[{}]," ONE ",{}]", NULL,
	    LINE(ONE));
	check_raw(state, JOURNAL_FORMAT_NDJSON, "{\"device\":{\"id\":1},\"auth\":[\n" ONE "\n5\n",
	    NULL, LINE(ONE));
	check_raw(state, JOURNAL_FORMAT_LINE, "w\nw,device=1 a=1 0\nw a=\n", NULL,
	    TEXT("w,device=1 a=1 0"));
}

static void
stars_are_quoted(void **state)
{
	check_raw(state, JOURNAL_FORMAT_JSON,
	    "{\"device\":{\"id\":1,\"auth\":12345},\"reading\":{\"a\":1},\"auth\":\"abc\"}", "1",
	    LINE("{\"device\":{\"id\":1,\"auth\":\"*****\"},\"reading\":{\"a\":1},"
	    "\"auth\":\"***\"}"));
	check_raw(state, JOURNAL_FORMAT_NDJSON,
	    "{\"device\":{\"auth\":1,\"id\":1},\"reading\":{\"a\":1,\"auth\":2}}", "1",
	    LINE("{\"device\":{\"auth\":\"*\",\"id\":1},\"reading\":{\"a\":1,\"auth\":\"*\"}}"));
}

static void
pretty_printed_input_is_one_line(void **state)
{
	check_raw(state, JOURNAL_FORMAT_JSON,
	    "{\r\n  \"device\":\n{\"id\":1,\"auth\":\n7\n},\n\t\"reading\":{\"a\":1}\n}", "1",
	    LINE("{    \"device\": {\"id\":1,\"auth\": \"*\" }, \t\"reading\":{\"a\":1} }"));
}

static void
ids_are_compared_as_the_judge_reads_them(void **state)
{
	check_raw(state, JOURNAL_FORMAT_JSON,
	    "{\"device\":{\"id\":\"\\u0066r \"},\"reading\":{\"a\":1}}", "fr ",
	    LINE("{\"device\":{\"id\":\"\\u0066r \"},\"reading\":{\"a\":1}}"));
	check_raw(state, JOURNAL_FORMAT_JSON,
	    "{\"device\":{\"id\":12345678901234567},\"reading\":{\"a\":1}}", "12345678901234568",
	    "");
	/* The first id that is one counts. */
	check_raw(state, JOURNAL_FORMAT_JSON,
	    "{\"device\":{\"id\":null,\"id\":5,\"id\":6},\"device\":{\"id\":7},"
	    "\"reading\":{\"a\":1}}",
	    "5",
	    LINE("{\"device\":{\"id\":null,\"id\":5,\"id\":6},\"device\":{\"id\":7},"
	    "\"reading\":{\"a\":1}}"));
	check_raw(state, JOURNAL_FORMAT_JSON,
	    "{\"device\":{\"id\":5,\"id\":6},\"reading\":{\"a\":1}}", "6", "");
}

static void
lines_of_a_device_come_together(void **state)
{
	const char *body = "w,device=1 a=1,s=\"x\\\"y\" 0\n# c\n\nw,device=2 a=2\r\nw a=3\n"
			   "v,device=1,b=c a=4";
	check_raw(state, JOURNAL_FORMAT_LINE, body, "1",
	    TEXT("w,device=1 a=1,s=\\\"x\\\\\\\"y\\\" 0\\nv,device=1,b=c a=4"));
	check_raw(state, JOURNAL_FORMAT_LINE, body, "3", "");
	check_raw(state, JOURNAL_FORMAT_LINE, "w\\ ,device=a\\ b a=1\n", "a b",
	    TEXT("w\\\\ ,device=a\\\\ b a=1"));
}

static void
of_a_report_only_visible_devices_are_told(void **state)
{
	struct world *world = *state;
	struct flow flow = {.options.partitions = 4};
	struct flow_loop loop = {.flow = &flow};
	const struct span ids[] = {SPAN("two"), SPAN("3"), SPAN("a b")};
	struct flow_scope *scope;
	assert_int_equal(flow_scope_create(&loop, SPAN("main"), ids, 3, &scope), 0);
	world->scope = scope;
	check_raw(state, JOURNAL_FORMAT_JSON, "[" ONE "," TWO "," ONE "]", NULL, LINE(TWO));
	check_raw(state, JOURNAL_FORMAT_JSON, "[" ONE "," TWO "]", "1", "");
	check_raw(state, JOURNAL_FORMAT_JSON, ONE, NULL, "");
	check_raw(state, JOURNAL_FORMAT_NDJSON, ONE "\n" TWO "\n" ONE, NULL, LINE(TWO));
	check_raw(state, JOURNAL_FORMAT_LINE, "w,device=1 a=1 1\nw,device=3 a=1 2\nw a=1 3\n"
	    "w,device=a\\ b a=1 4\nw,device=33 a=1 5\nw,gateway=3 a=1 6", NULL,
	    TEXT("w,device=3 a=1 2\\nw,device=a\\\\ b a=1 4"));
	check_raw(state, JOURNAL_FORMAT_LINE, "w,device=1 a=1 1\nw a=1 3\n", NULL, "");
	flow_scope_destroy(scope);
	assert_int_equal(flow_scope_create(&loop, SPAN("main"), NULL, 0, &scope), 0);
	world->scope = scope;
	check_raw(state, JOURNAL_FORMAT_JSON, TWO, NULL, "");
	flow_scope_destroy(scope);
	world->scope = NULL;
}

static void
damage_is_an_error_not_a_crash(void **state)
{
	struct world *world = *state;
	struct journal_record record = {
		.stream = JOURNAL_REPORTS,
		.format = JOURNAL_FORMAT_JSON,
		.body = SPAN("[{\"device\":{\"id\":1},\"rea"),
	};
	struct span all = span_of(NULL, 0);
	assert_int_equal(raw_write(&record, all, NULL, &world->scratch, &world->out), -EBADMSG);
	record.format = JOURNAL_FORMAT_NDJSON;
	record.body = SPAN("{\"device\":{\"id\":1}\n");
	assert_int_equal(raw_write(&record, all, NULL, &world->scratch, &world->out), -EBADMSG);
	record.format = JOURNAL_FORMAT_NONE;
	assert_int_equal(raw_write(&record, all, NULL, &world->scratch, &world->out), -EBADMSG);
	record.format = JOURNAL_FORMAT_JSON;
	record.body = SPAN("");
	assert_int_equal(raw_write(&record, all, NULL, &world->scratch, &world->out), -EBADMSG);
	assert_int_equal(world->out.len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_are_keys),
		cmocka_unit_test(a_body_that_cannot_be_read_may_be_of_any_device),
		cmocka_unit_test_setup_teardown(one_document, setup, teardown),
		cmocka_unit_test_setup_teardown(several_items_are_filtered_by_device, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(rejected_items_are_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(stars_are_quoted, setup, teardown),
		cmocka_unit_test_setup_teardown(pretty_printed_input_is_one_line, setup, teardown),
		cmocka_unit_test_setup_teardown(ids_are_compared_as_the_judge_reads_them, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(lines_of_a_device_come_together, setup, teardown),
		cmocka_unit_test_setup_teardown(of_a_report_only_visible_devices_are_told, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(damage_is_an_error_not_a_crash, setup, teardown),
	};
	return cmocka_run_group_tests_name("flow_raw", tests, NULL, NULL);
}

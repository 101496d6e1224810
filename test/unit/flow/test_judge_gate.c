/*
 * What the judge asks the gate, when, and what becomes of its answers. The gate of this test is of
 * gateway 7 (token "g7") and knows device 1 (token "t1" or 12345678901234567) and device 2, which
 * is inactive; everything it is asked is noted.
 */
#include "judging_cases.h"

#include <errno.h>

struct world {
	struct judging judging;
	struct judge_gate gate;
	struct buf asked; /* a line a question */
};

static void
note_span(struct buf *out, const char *name, struct span text)
{
	if (text.ptr)
		buf_printf(out, " %s=%.*s", name, SPAN_ARG(text));
}

static void
note(struct world *world, const char *what, const struct judge_named *named)
{
	buf_append_str(&world->asked, what);
	note_span(&world->asked, "id", named->id);
	note_span(&world->asked, "auth", named->auth);
	note_span(&world->asked, "tenant", named->tenant);
}

static uint32_t
gate_gateway(void *ctx, const struct judge_named *gateway)
{
	struct world *world = ctx;
	note(world, "gateway", gateway);
	buf_append_byte(&world->asked, '\n');
	return span_eq(gateway->id, SPAN("7")) && span_eq(gateway->auth, SPAN("g7")) ?
	    0 : VERDICT_BAD_AUTH;
}

static uint32_t
gate_device(void *ctx, const struct judge_named *device, uint64_t readings)
{
	struct world *world = ctx;
	note(world, "device", device);
	buf_printf(&world->asked, " %llu\n", (unsigned long long)readings);
	if (span_eq(device->id, SPAN("2")))
		return VERDICT_INACTIVE_DEVICE;
	if (!span_eq(device->id, SPAN("1")))
		return VERDICT_UNKNOWN_DEVICE;
	return span_eq(device->auth, SPAN("t1")) ||
	    span_eq(device->auth, SPAN("12345678901234567")) ? 0 : VERDICT_BAD_AUTH;
}

static int
setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	check(world);
	judging_init(&world->judging);
	buf_init(&world->asked, 0);
	world->gate = (struct judge_gate){gate_gateway, gate_device, world};
	world->judging.gate = &world->gate;
	*state = world;
	return 0;
}

static int
teardown(void **state)
{
	struct world *world = *state;
	judging_finish(&world->judging);
	buf_finish(&world->asked);
	free(world);
	return 0;
}

#define R "\"readings\":[{\"time\":5,\"t\":1}]"
#define GOOD "t{device=1} 5 1\n"

static void
check_cases(void **state, enum journal_format format, const struct judging_case *cases,
    size_t count)
{
	struct world *world = *state;
	judging_check_cases(&world->judging, format, LP_NS, cases, count);
}

static void
devices_with_and_without_their_token(void **state)
{
	static const struct judging_case cases[] = {
		{"the right one", "{\"device\":{\"id\":1,\"auth\":\"t1\"}," R "}", GOOD, "",
		    "{\"device\":{\"id\":1,\"auth\":\"**\"}," R "}"},
		{"an integer by its digits",
		    "{\"device\":{\"id\":1,\"auth\":12345678901234567}," R "}", GOOD, "",
		    "{\"device\":{\"id\":1,\"auth\":*****************}," R "}"},
		{"another integer that is the same double",
		    "{\"device\":{\"id\":1,\"auth\":12345678901234568}," R "}", "",
		    "0 -1 bad_auth\n", "{\"device\":{\"id\":1,\"auth\":*****************}," R "}"},
		{"auth before the id, escaped",
		    "{\"device\":{\"auth\":\"\\u0074\\u0031\",\"id\":1}," R "}", GOOD, "",
		    "{\"device\":{\"auth\":\"************\",\"id\":1}," R "}"},
		{"the device after its readings",
		    "{" R ",\"device\":{\"id\":1,\"auth\":\"t1\"}}", GOOD, "",
		    "{" R ",\"device\":{\"id\":1,\"auth\":\"**\"}}"},
		{"auth in a later member of the same name",
		    "{\"device\":{\"id\":1}," R ",\"device\":{\"auth\":\"t1\"}}", GOOD, "",
		    "{\"device\":{\"id\":1}," R ",\"device\":{\"auth\":\"**\"}}"},
		{"the first auth counts",
		    "{\"device\":{\"id\":1,\"auth\":\"no\",\"auth\":\"t1\"}," R "}", "",
		    "0 -1 bad_auth\n",
		    "{\"device\":{\"id\":1,\"auth\":\"**\",\"auth\":\"**\"}," R "}"},
		{"none", "{\"device\":{\"id\":1}," R "}", "", "0 -1 bad_auth\n", NULL},
		{"an empty one", "{\"device\":{\"id\":1,\"auth\":\"\"}," R "}", "",
		    "0 -1 bad_auth\n", NULL},
		{"one outside of the device is not the device's",
		    "{\"auth\":\"t1\",\"device\":{\"id\":1}," R "}", "", "0 -1 bad_auth\n",
		    "{\"auth\":\"**\",\"device\":{\"id\":1}," R "}"},
		{"unknown", "{\"device\":{\"id\":\"1 \",\"auth\":\"t1\"}," R "}", "",
		    "0 -1 unknown_device\n", "{\"device\":{\"id\":\"1 \",\"auth\":\"**\"}," R "}"},
		{"inactive", "{\"device\":{\"id\":2}," R "}", "", "0 -1 inactive_device\n", NULL},
		{"what is wrong with its readings is not said of an item that is out",
		    "{\"device\":{\"id\":2},\"readings\":[{\"t\":null},{\"t\":1}]}", "",
		    "0 -1 inactive_device\n", NULL},
		{"each item of an array for itself",
		    "[{\"device\":{\"id\":1}," R "},{\"device\":{\"id\":1,\"auth\":\"t1\"}," R "},"
		    "{\"device\":{\"id\":3,\"auth\":\"t1\"}," R "}]", GOOD,
		    "0 -1 bad_auth\n2 -1 unknown_device\n",
		    "[{\"device\":{\"id\":1}," R "},{\"device\":{\"id\":1,\"auth\":\"**\"}," R "},"
		    "{\"device\":{\"id\":3,\"auth\":\"**\"}," R "}]"},
	};
	check_cases(state, JOURNAL_FORMAT_JSON, cases, ARRAY_COUNT(cases));
}

static void
lines_with_and_without_their_token(void **state)
{
	static const struct judging_case cases[] = {
		{"each line for itself",
		    "{\"device\":{\"id\":2,\"auth\":\"t1\"}," R "}\n\n"
		    "{\"device\":{\"id\":1,\"auth\":\"t1\"}," R "}\n"
		    "{\"device\":{\"id\":1,\"auth\":\"t2\"}," R "}\n", GOOD,
		    "0 -1 inactive_device\n3 -1 bad_auth\n",
		    "{\"device\":{\"id\":2,\"auth\":\"**\"}," R "}\n\n"
		    "{\"device\":{\"id\":1,\"auth\":\"**\"}," R "}\n"
		    "{\"device\":{\"id\":1,\"auth\":\"**\"}," R "}\n"},
	};
	check_cases(state, JOURNAL_FORMAT_NDJSON, cases, ARRAY_COUNT(cases));
}

static void
gateways_beside_the_device(void **state)
{
	static const struct judging_case cases[] = {
		{"the right one, at the end",
		    "{\"device\":{\"id\":1,\"auth\":\"t1\"}," R
		    ",\"gateway\":{\"id\":7,\"auth\":\"g7\"}}", GOOD, "",
		    "{\"device\":{\"id\":1,\"auth\":\"**\"}," R
		    ",\"gateway\":{\"id\":7,\"auth\":\"**\"}}"},
		{"a wrong one is told before its device",
		    "{\"gateway\":{\"id\":8,\"auth\":\"g7\"},\"device\":{\"id\":2}," R "}", "",
		    "0 -1 bad_auth\n",
		    "{\"gateway\":{\"id\":8,\"auth\":\"**\"},\"device\":{\"id\":2}," R "}"},
		{"one that is none", "{\"gateway\":7,\"device\":{\"id\":1,\"auth\":\"t1\"}," R "}",
		    "", "0 -1 bad_auth\n",
		    "{\"gateway\":7,\"device\":{\"id\":1,\"auth\":\"**\"}," R "}"},
	};
	check_cases(state, JOURNAL_FORMAT_JSON, cases, ARRAY_COUNT(cases));
}

static void
is_asked_once_an_item_when_it_is_whole(void **state)
{
	struct world *world = *state;
	judging_run(&world->judging, JOURNAL_FORMAT_JSON, LP_NS, SPAN(
	    "[{\"device\":{\"id\":1,\"auth\":\"t1\"},"
	    "\"readings\":[{\"t\":1},{\"t\":\"x\"},{\"t\":2}],"
	    "\"gateway\":{\"id\":\"7\",\"auth\":\"g7\",\"tenant\":\"acme\"}},"
	    "{\"device\":{\"id\":3},\"readings\":[{\"t\":null}]},"
	    "{\"readings\":[{\"t\":1}]},{\"device\":{\"id\":4}},"
	    "{\"device\":{\"id\":1,\"auth\":null},\"readings\":[{\"t\":1}]},17]"));
	assert_int_equal(world->judging.error, 0);
	assert_true(judging_same("questions", &(struct judging_case){.name = "items"},
	    buf_span(&world->asked), "gateway id=7 auth=g7 tenant=acme\ndevice id=1 auth=t1 2\n"
	    "device id=3 0\n"));
	assert_true(judging_same("rejects", &(struct judging_case){.name = "items"},
	    buf_span(&world->judging.rejects), "0 1 bad_value\n1 -1 unknown_device\n"
	    "2 -1 bad_device\n3 -1 bad_item\n4 -1 bad_auth\n5 -1 bad_item\n"));
}

/* It must neither be read beyond its room nor be taken for a shorter one. */
static void
a_token_that_is_too_long_is_nobodys(void **state)
{
	struct world *world = *state;
	struct buf body;
	buf_init(&body, 0);
	buf_append_str(&body, "{\"device\":{\"id\":1,\"auth\":\"");
	for (int i = 0; i <= JUDGE_AUTH_BYTES_MAX; i++)
		buf_append_byte(&body, 'x');
	buf_append_str(&body, "\"},\"gateway\":{\"id\":7,\"auth\":\"g7\",\"tenant\":\"");
	for (int i = 0; i <= JUDGE_TENANT_BYTES_MAX; i++)
		buf_append_byte(&body, 'y');
	buf_append_str(&body, "\"}," R "}");
	judging_run(&world->judging, JOURNAL_FORMAT_JSON, LP_NS, buf_span(&body));
	assert_true(judging_same("questions", &(struct judging_case){.name = "long"},
	    buf_span(&world->asked), "gateway id=7 auth=g7 tenant=\ndevice id=1 auth= 1\n"));
	buf_finish(&body);
}

/* ── the gateway of a body's beginning ── */

static void
the_first_gateway_is_found_at_every_cut(void **state)
{
	static const char *const bodies[] = {
		"{\"v\":[1,{\"gateway\":{}}],\"gateway\":{\"id\":7,\"auth\":\"g7\"}",
		" [ {\"device\":{\"id\":1,\"auth\":2}," R
		",\"gateway\":{\"auth\":\"g7\",\"id\":\"7\"}",
		"\n\n{\"gateway\":{\"id\":7,\"x\":{\"auth\":1},\"auth\":\"g7\"}",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bodies); i++) {
		size_t len = strlen(bodies[i]);
		for (size_t cut = 0; cut <= len; cut++) {
			struct judge_named gateway;
			char *bytes = malloc(cut ? cut : 1); /* its end is watched */
			check(bytes);
			memcpy(bytes, bodies[i], cut);
			assert_int_equal(judge_first_gateway(span_of(bytes, cut), &gateway),
			    cut == len);
			assert_memory_equal(bytes, bodies[i], cut);
			free(bytes);
			if (cut < len)
				continue;
			assert_true(span_eq(gateway.id, SPAN("7")));
			assert_true(span_eq(gateway.auth, SPAN("g7")));
			assert_null(gateway.tenant.ptr);
		}
	}
}

static void
a_first_item_without_a_gateway(void **state)
{
	static const char *const bodies[] = {
		("{\"device\":{\"gateway\":{\"id\":7,\"auth\":\"g7\"}}}\n"
		 "{\"gateway\":{\"id\":7,\"auth\":\"g7\"}}"),
		"[]", "[7,{\"gateway\":{\"id\":7}}]", "7", "\"gateway\"",
	};
	struct judge_named gateway;
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bodies); i++)
		assert_int_equal(judge_first_gateway(span_str(bodies[i]), &gateway), -ENOENT);
	assert_int_equal(judge_first_gateway(SPAN("{]"), &gateway), 0);
	assert_int_equal(judge_first_gateway(SPAN(""), &gateway), 0);
	assert_int_equal(judge_first_gateway(SPAN("{\"gateway\":7"), &gateway), 1);
	assert_null(gateway.id.ptr);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(devices_with_and_without_their_token),
		TEST(lines_with_and_without_their_token),
		TEST(gateways_beside_the_device),
		TEST(is_asked_once_an_item_when_it_is_whole),
		TEST(a_token_that_is_too_long_is_nobodys),
		cmocka_unit_test(the_first_gateway_is_found_at_every_cut),
		cmocka_unit_test(a_first_item_without_a_gateway),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

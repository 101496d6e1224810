/*
 * Records without the items of erased devices: nothing of them is left, and what is left means
 * what it meant.
 */
#include "judging_cases.h"

#include "prng.h"
#include "raw.h"
#include "raw_cut.h"
#include "raw_keys.h"

#define SEQ 1 /* of judging_record */
#define BODIES 2000

struct world {
	struct judging judging;
	struct tombs *tombs;
	struct raw_cut *cut;
	struct journal_keys keys;
	struct buf scratch, out, must;
};

static void
tomb_add(struct world *world, const char *tenant, const char *device, uint64_t seq)
{
	struct store_tombstone more = {
		.tenant = span_str(tenant), .device = span_str(device), .seq = seq, .part_id = 1};
	struct tombs *before = world->tombs;
	assert_int_equal(tombs_copy(before, &more, NULL, &world->tombs), 0);
	tombs_unref(before);
	raw_cut_destroy(world->cut);
	assert_int_equal(raw_cut_create(world->tombs, &world->cut), 0);
}

static int
setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	check(world);
	judging_init(&world->judging);
	buf_init(&world->scratch, 0);
	buf_init(&world->out, 0);
	buf_init(&world->must, 0);
	tomb_add(world, "main", "gone", SEQ);
	tomb_add(world, "main", "77", SEQ + 5);
	tomb_add(world, "main", "a b", SEQ);
	tomb_add(world, "other", "kept", SEQ);
	tomb_add(world, "main", "later", SEQ - 1);
	*state = world;
	return 0;
}

static int
teardown(void **state)
{
	struct world *world = *state;
	judging_finish(&world->judging);
	raw_cut_destroy(world->cut);
	tombs_unref(world->tombs);
	free(world->keys.keys);
	buf_finish(&world->scratch);
	buf_finish(&world->out);
	buf_finish(&world->must);
	free(world);
	return 0;
}

/* 1 when something was cut: *ret_record; as the journal asks. */
static int
cut(struct world *world, const struct journal_record *record, struct journal_record *ret_record)
{
	world->keys.count = 0;
	world->keys.unknown = false;
	assert_int_equal(raw_keys(NULL, record, &world->keys), 0);
	return raw_cut_record(world->cut, record, &world->keys, ret_record);
}

static void
check_cut(void **state, enum journal_format format, const char *body, const char *must)
{
	struct world *world = *state;
	struct journal_record left, again;
	judging_run(&world->judging, format, LP_NS, span_str(body));
	struct journal_record record = judging_record(&world->judging);
	int cuts = cut(world, &record, &left);
	assert_int_equal(cuts, must != NULL);
	if (!must)
		return;
	if (!span_eq(left.body, span_str(must)))
		fail_msg("%s\ncame to\n%.*s\nnot\n%s", body, SPAN_ARG(left.body), must);
	assert_int_equal(left.seq, record.seq);
	assert_int_equal(left.count, record.count);
	assert_int_equal(cut(world, &left, &again), 0);
}

/* ── what goes ── */

static void
items_of_json_go(void **state)
{
	check_cut(state, JOURNAL_FORMAT_JSON,
	    "[{\"device\":{\"id\":\"gone\"},\"readings\":[{\"t\":1}]},"
	    " {\"device\":{\"id\":1},\"readings\":[{\"t\":2}]}]",
	    "[{}, {\"device\":{\"id\":1},\"readings\":[{\"t\":2}]}]");
	check_cut(state, JOURNAL_FORMAT_JSON,
	    "{\"x\":\"gone\",\"reading\":{\"t\":1},\"device\":{\"id\":77,\"auth\":5}}", "{}");
	check_cut(state, JOURNAL_FORMAT_JSON,
	    "{\"device\":{\"id\":\"\\u0067one\"},\"reading\":{\"t\":1}}"
	    "{\"device\":{\"id\":2},\"reading\":{\"t\":1}} "
	    "{\"device\":{\"id\":77},\"reading\":{\"t\":1}}",
	    "{}{\"device\":{\"id\":2},\"reading\":{\"t\":1}} {}");
	check_cut(state, JOURNAL_FORMAT_NDJSON,
	    "{\"device\":{\"id\":77},\"reading\":{\"t\":1}}\n\n"
	    "{\"device\":{\"id\":2},\"reading\":{\"t\":1}}\n",
	    "\n\n{\"device\":{\"id\":2},\"reading\":{\"t\":1}}\n");
}

static void
lines_go(void **state)
{
	check_cut(state, JOURNAL_FORMAT_LINE,
	    "w,device=gone a=1 1\nw,device=1 a=2,s=\"gone\" 2\r\nw,device=a\\ b s=\"x\" 3\nv b=1\n",
	    "\nw,device=1 a=2,s=\"gone\" 2\r\n\nv b=1\n");
	check_cut(state, JOURNAL_FORMAT_LINE, "w,device=77,z=1 a=1", "");
}

static void
what_was_rejected_goes_when_it_mentions_the_device(void **state)
{
	check_cut(state, JOURNAL_FORMAT_LINE,
	    "w,device=gone a= 1\nw,device=1 a= 1\nw,device=1 a=1\n",
	    "\nw,device=1 a= 1\nw,device=1 a=1\n");
	check_cut(state, JOURNAL_FORMAT_JSON,
	    "[{\"device\":\"gone\",\"readings\":[{\"t\":1}]},{\"device\":{\"id\":3},"
	    "\"reading\":{\"t\":1}},{\"device\":{\"id\":\"gone\"}}]",
	    "[{},{\"device\":{\"id\":3},\"reading\":{\"t\":1}},{}]");
}

static void
others_stay(void **state)
{
	check_cut(state, JOURNAL_FORMAT_LINE, "w,device=kept a=1\nw,device=later a=1\ngone a=1\n",
	    NULL);
	check_cut(state, JOURNAL_FORMAT_JSON,
	    "{\"device\":{\"id\":\"kept\"},\"reading\":{\"gone\":1}}", NULL);
	check_cut(state, JOURNAL_FORMAT_MESSAGES,
	    "{\"topic\":\"x\",\"data\":{\"device\":{\"id\":\"gone\"}}}\n", NULL);
}

static void
a_device_that_reported_itself_is_not_named(void **state)
{
	struct world *world = *state;
	struct journal_record left;
	judging_run(&world->judging, JOURNAL_FORMAT_LINE, LP_NS, SPAN("w,device=1 a=1\n"));
	struct journal_record record = judging_record(&world->judging);
	record.principal = SPAN("device-gone");
	assert_int_equal(cut(world, &record, &left), 1);
	assert_true(span_eq(left.principal, SPAN("device-*")));
	assert_true(span_eq(left.body, record.body));
	record.principal = SPAN("device-kept");
	assert_int_equal(cut(world, &record, &left), 0);
}

static void
a_body_that_cannot_be_read_goes_whole(void **state)
{
	struct world *world = *state;
	struct journal_record left, record = {
		.seq = SEQ, .count = 1, .stream = JOURNAL_REPORTS, .format = JOURNAL_FORMAT_JSON,
		.tenant = SPAN("main"), .body = SPAN("[{\"device\":{\"id\":\"gone\"}},"),
	};
	assert_int_equal(cut(world, &record, &left), 1);
	assert_int_equal(left.body.len, 0);
	record.body = SPAN("[{\"device\":{\"id\":\"kept\"}},");
	assert_int_equal(cut(world, &record, &left), 0);
	record.stream = JOURNAL_MESSAGES;
	record.body = SPAN("\1\4gone");
	assert_int_equal(cut(world, &record, &left), 0);
}

/* ── what is left means what it meant ── */

static const char *
pick(struct prng *prng, const char *const *of, size_t count)
{
	return of[prng_below(prng, count)];
}

static void
line_make(struct prng *prng, struct buf *body)
{
	static const char *const lines[] = {"", "# comment", "w,device=gone a=", "w a=1 5",
		"w,device=kept,x=y a=1,b=2 9", "w,device=gone,x=y s=\"text\",b=2 9",
		"x,device=77 a=t", "x,device=1 a=1i 7",
		"  w,device=a\\ b c=3", "w,device=kept a=99999999999999999i"};
	buf_append_str(body, pick(prng, lines, ARRAY_COUNT(lines)));
	buf_append_str(body, prng_below(prng, 20) ? "\n" : "\r\n");
}

static void
item_make(struct prng *prng, struct buf *body, bool array)
{
	static const char *const devices[] = {"\"gone\"", "77", "\"kept\"", "5", "\"a b\"", "true",
		"\"go\\u006ee\""};
	static const char *const readings[] = {"\"readings\":[{\"t\":1},{\"t\":\"x\"},{}]",
		"\"readings\":[{\"time\":5,\"t\":1,\"u\":true}]", "\"reading\":{\"v\":4}",
		"\"readings\":3", "\"note\":\"gone\""};
	static const char *const others[] = {"3", "\"gone\"", "[77]", "null", "[]"};
	if (array && prng_below(prng, 8) == 0) {
		buf_append_str(body, pick(prng, others, ARRAY_COUNT(others)));
		return;
	}
	bool first = prng_below(prng, 2);
	buf_append_byte(body, '{');
	if (!first)
		buf_printf(body, "%s,", pick(prng, readings, ARRAY_COUNT(readings)));
	buf_printf(body, "\"device\":{\"auth\":\"secret\",\"id\":%s}",
	    pick(prng, devices, ARRAY_COUNT(devices)));
	if (first)
		buf_printf(body, ",%s", pick(prng, readings, ARRAY_COUNT(readings)));
	buf_append_byte(body, '}');
}

static void
body_make(struct prng *prng, enum journal_format format, struct buf *body)
{
	size_t count = 1 + prng_below(prng, 6);
	bool array = format == JOURNAL_FORMAT_JSON && prng_below(prng, 3);
	buf_clear(body);
	if (array)
		buf_append_byte(body, '[');
	for (size_t i = 0; i < count; i++) {
		if (format == JOURNAL_FORMAT_LINE) {
			line_make(prng, body);
			continue;
		}
		if (i && array)
			buf_append_str(body, ", ");
		item_make(prng, body, array);
		if (format == JOURNAL_FORMAT_NDJSON)
			buf_append_str(body, prng_below(prng, 9) ? "\n" : "\ngone {\n");
	}
	if (array)
		buf_append_byte(body, ']');
}

/* The points that were accepted, but for those of erased devices. */
static void
points_left(const struct judging *judging, struct buf *out)
{
	struct span rest = buf_span(&judging->points);
	while (rest.len > 0) {
		const char *lf = memchr(rest.ptr, '\n', rest.len);
		struct span line = span_of(rest.ptr, (size_t)(lf - rest.ptr) + 1);
		if (!memmem(line.ptr, line.len, "device=gone", 11) &&
		    !memmem(line.ptr, line.len, "device=77", 9) &&
		    !memmem(line.ptr, line.len, "device=a b", 10))
			buf_append_span(out, line);
		rest = span_skip(rest, line.len);
	}
}

static void
points_replayed(struct world *world, const struct journal_record *record, struct buf *out)
{
	struct series_batch *batch;
	assert_int_equal(judge_replay(world->judging.replayer, record, &batch), 0);
	judging_write_points(out, batch);
	series_batch_destroy(batch);
}

static void
check_meaning(struct world *world, const struct journal_record *record,
    const struct journal_record *left)
{
	buf_clear(&world->must);
	buf_clear(&world->out);
	points_left(&world->judging, &world->must);
	points_replayed(world, left, &world->out);
	assert_true(span_eq(buf_span(&world->out), buf_span(&world->must)));
	buf_clear(&world->must);
	buf_clear(&world->out);
	int shown = raw_write_shown(record, span_of(NULL, 0), NULL, world->tombs,
	    &world->scratch, &world->must);
	assert_true(shown >= 0);
	assert_int_equal(raw_write(left, span_of(NULL, 0), NULL, &world->scratch, &world->out),
	    shown);
	if (!span_eq(buf_span(&world->out), buf_span(&world->must)))
		fail_msg("%.*s\nwas left of\n%.*s", SPAN_ARG(left->body), SPAN_ARG(record->body));
	for (uint32_t i = 1; i < left->reject_count; i++)
		assert_true(left->rejects[i - 1].item < left->rejects[i].item ||
		    left->rejects[i - 1].reading < left->rejects[i].reading);
}

static void
what_is_left_means_what_it_meant(void **state)
{
	static const enum journal_format formats[] = {
		JOURNAL_FORMAT_JSON, JOURNAL_FORMAT_NDJSON, JOURNAL_FORMAT_LINE};
	struct world *world = *state;
	struct buf body;
	struct prng prng = {20251121};
	unsigned cuts = 0;
	buf_init(&body, 0);
	for (unsigned i = 0; i < BODIES; i++) {
		struct journal_record left, again;
		body_make(&prng, formats[i % ARRAY_COUNT(formats)], &body);
		judging_run(&world->judging, formats[i % ARRAY_COUNT(formats)], LP_NS,
		    buf_span(&body));
		assert_int_equal(world->judging.error, 0);
		struct journal_record record = judging_record(&world->judging);
		bool is_cut = cut(world, &record, &left) == 1;
		if (!is_cut)
			left = record;
		check_meaning(world, &record, &left);
		assert_int_equal(cut(world, &left, &again), 0);
		cuts += is_cut;
	}
	assert_true(cuts > BODIES / 3);
	buf_finish(&body);
}

int
main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(items_of_json_go),
		CASE(lines_go),
		CASE(what_was_rejected_goes_when_it_mentions_the_device),
		CASE(others_stay),
		CASE(a_device_that_reported_itself_is_not_named),
		CASE(a_body_that_cannot_be_read_goes_whole),
		CASE(what_is_left_means_what_it_meant),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

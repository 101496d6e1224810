/*
 * test_sender.c: bodies, repetition and refusals of a gateway's sender; what a drive sends is what
 * it says the store must hold; the fleet on its thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>

#include "drive.h"
#include "json.h"
#include "num.h"
#include "scripted_server.h"
#include "simulate.h"

#define START_MS INT64_C(1767225600000)
#define OK_LINE "HTTP/1.1 204 No Content\r\n\r\n"

static const struct fleet_reading fridge = {.device = 1002,
    .kind = FLEET_FRIDGE,
    .time_ms = START_MS,
    .count = 2,
    .metrics = {{"temp", -4.2, false}, {"batt", 75, true}}};
static const struct fleet_reading station = {.device = 1001,
    .kind = FLEET_STATION,
    .time_ms = START_MS + 1,
    .count = 1,
    .metrics = {{"temp", 12, false}}};

struct world {
	struct scripted_server server;
	struct env *env;
	struct sender *sender;
	bool answered;
	char notes[400];
};

static void
on_note(void *ctx, bool failed, const char *text)
{
	struct world *w = ctx;
	size_t len = strlen(w->notes);
	(void)text;
	snprintf(w->notes + len, sizeof(w->notes) - len, "%s;", failed ? "lost" : "back");
}

static void
world_start(
    struct world *w, enum sender_format format, const struct scripted_step *steps, size_t count)
{
	*w = (struct world){.env = env_create()};
	scripted_start(&w->server, steps, count);
	struct sender_options options = {.env = w->env,
	    .address = w->server.address,
	    .key = "k",
	    .format = format,
	    .first_patience_ms = 0,
	    .patience_ms = 20000,
	    .answered = &w->answered,
	    .note = on_note,
	    .note_ctx = w};
	assert_int_equal(sender_create(&options, &w->sender), 0);
}

static void
world_finish(struct world *w)
{
	sender_destroy(w->sender);
	scripted_finish(&w->server);
	env_destroy(w->env);
}

static unsigned
occurrences(const struct scripted_server *server, const char *text)
{
	unsigned found = 0;
	struct span rest = buf_span(&server->heard), wanted = span_str(text);
	for (; rest.len >= wanted.len; rest = span_skip(rest, 1))
		found += span_starts(rest, wanted);
	return found;
}

static void
json_bodies(void **state)
{
	(void)state;
	static const struct scripted_step steps[] = {{.accept = true}, {.accept = true}};
	struct world w;
	world_start(&w, SENDER_JSON, steps, 2);
	assert_int_equal(sender_flush(w.sender), 0); /* nothing to send */
	assert_int_equal(sender_add(w.sender, &fridge), 0);
	assert_int_equal(sender_pending(w.sender), 1);
	assert_int_equal(sender_flush(w.sender), 0);
	assert_int_equal(sender_pending(w.sender), 0);
	assert_int_equal(sender_add(w.sender, &station), 0);
	assert_int_equal(sender_add(w.sender, &fridge), 0);
	assert_int_equal(sender_flush(w.sender), 0);
#define ITEM                                                                                       \
	"{\"device\":{\"id\":1002},\"readings\":[{\"time\":1767225600000,"                         \
	"\"temp\":-4.2,\"batt\":75}]}"
	assert_int_equal(occurrences(&w.server, "POST /api/v1/readings HTTP/1.1\r\n"), 2);
	assert_int_equal(occurrences(&w.server, "Authorization: Bearer k\r\n"), 2);
	assert_int_equal(occurrences(&w.server, "\r\n\r\n" ITEM "POST"), 1);
	assert_int_equal(
	    occurrences(&w.server, "\r\n\r\n[{\"device\":{\"id\":1001},\"readings\":"
				   "[{\"time\":1767225600001,\"temp\":12}]}," ITEM "]"),
	    1);
	world_finish(&w);
}

static void
line_bodies(void **state)
{
	(void)state;
	static const struct scripted_step steps[] = {{.answer = OK_LINE}};
	struct world w;
	world_start(&w, SENDER_LINE, steps, 1);
	assert_int_equal(sender_add(w.sender, &station), 0);
	assert_int_equal(sender_add(w.sender, &fridge), 0);
	assert_int_equal(sender_flush(w.sender), 0);
	assert_int_equal(occurrences(&w.server, "POST /write?precision=ms HTTP/1.1\r\n"), 1);
	assert_int_equal(
	    occurrences(&w.server, "\r\n\r\nstation,device=1001 temp=12 1767225600001\n"
				   "fridge,device=1002 temp=-4.2,batt=75i 1767225600000\n"),
	    1);
	world_finish(&w);
}

static void
the_same_body_again_until_it_is_acknowledged(void **state)
{
	(void)state;
	static const struct scripted_step steps[] = {
	    {.answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"},
	    {.answer = NULL, .close = true},
	    {.answer = "HTTP/1.1 204 No", .close = true},
	    {.answer = OK_LINE},
	    {.answer = OK_LINE},
	};
	struct world w;
	world_start(&w, SENDER_LINE, steps, 5);
	assert_int_equal(sender_add(w.sender, &station), 0);
	assert_int_equal(sender_flush(w.sender), 0);
	/* The second try met a closed connection on which it had not sent first: no extra one. */
	assert_int_equal(occurrences(&w.server, "station,device=1001"), 4);
	assert_string_equal(w.notes, "lost;back;");
	assert_int_equal(sender_add(w.sender, &fridge), 0);
	assert_int_equal(sender_flush(w.sender), 0);
	assert_int_equal(occurrences(&w.server, "station,device=1001"), 4);
	assert_int_equal(occurrences(&w.server, "fridge,device=1002"), 1);
	world_finish(&w);
}

static void
refusals_are_told_and_nothing_is_forgotten(void **state)
{
	(void)state;
	static const struct {
		const char *answer;
		int error;
		const char *reason; /* a part of it */
	} rows[] = {
	    {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nwho", -EACCES,
		"answered 401 (is --key right?): who"},
	    {"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", -EPROTO, "answered 400"},
	    {"HTTP/1.1 202 Accepted\r\nContent-Length: 65\r\n\r\n"
	     "{\"accepted\":1,\"rejected\":[{\"index\":1,\"code\":\"bad_value\"}],\"z\":{}}",
		-EPROTO, "accepted 1 of 2 readings: [{\"index\":1,\"code\":\"bad_value\"}]"},
	    {"HTTP/1.1 202 Accepted\r\nContent-Length: 7\r\n\r\nnothing", -EPROTO,
		"accepted 0 of 2"},
	};
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct scripted_step steps[] = {{.answer = rows[i].answer}, {.accept = true}};
		struct world w;
		world_start(&w, SENDER_JSON, steps, 2);
		assert_int_equal(sender_add(w.sender, &station), 0);
		assert_int_equal(sender_add(w.sender, &fridge), 0);
		assert_int_equal(sender_flush(w.sender), rows[i].error);
		if (!strstr(sender_reason(w.sender), rows[i].reason))
			fail_msg("%s", sender_reason(w.sender));
		assert_int_equal(sender_pending(w.sender), 2);
		assert_int_equal(sender_flush(w.sender), 0);
		assert_int_equal(occurrences(&w.server, "]}]"), 2);
		world_finish(&w);
	}
}

static void
a_server_that_never_was_there(void **state)
{
	(void)state;
	struct world w;
	world_start(&w, SENDER_JSON, NULL, 0);
	sender_destroy(w.sender);
	struct sender_options options = {
	    .env = w.env, .address = "unix:/nonexistent/socket", .answered = &w.answered};
	assert_int_equal(sender_create(&options, &w.sender), 0);
	assert_int_equal(sender_add(w.sender, &station), 0);
	assert_int_equal(sender_flush(w.sender), -ETIMEDOUT);
	assert_non_null(strstr(sender_reason(w.sender), "cannot reach unix:/nonexistent/socket"));
	world_finish(&w);
}

/* ── drives ── */

struct sums {
	uint64_t points, readings;
	double sum;
};

/* Adds up the numbers beside "time" of every reading that the server heard. */
static struct sums
heard_sums(const struct scripted_server *server)
{
	struct sums sums = {0};
	struct span rest = buf_span(&server->heard);
	while (rest.len > 0) {
		const char *body = memmem(rest.ptr, rest.len, "\r\n\r\n", 4);
		struct json_reader reader;
		json_reader_init(&reader, span_skip(rest, (size_t)(body + 4 - rest.ptr)), false);
		enum json_token token;
		bool counts = false;
		do {
			token = json_next(&reader);
			double value;
			if (token == JSON_KEY) {
				bool time = json_text_eq(&reader, SPAN("time"));
				counts = !time && !json_text_eq(&reader, SPAN("id"));
				sums.readings += time;
			} else if (token == JSON_NUMBER && counts) {
				assert_int_equal(num_parse_double(reader.text, &value), 0);
				sums.sum += value;
				sums.points++;
			}
		} while (reader.depth > 0 && token != JSON_ERROR);
		rest = span_skip(rest, (size_t)(reader.pos - rest.ptr));
	}
	return sums;
}

static double
member(const char *line, const char *name)
{
	const char *at = strstr(line, name);
	assert_non_null(at);
	return strtod(at + strlen(name), NULL);
}

static struct sums
expected_sums(const struct expect *expect)
{
	struct sums sums = {0};
	struct buf out;
	buf_init(&out, 0);
	assert_int_equal(expect_write(expect, &out), 0);
	assert_int_equal(buf_append_byte(&out, '\0'), 0);
	uint64_t points = 0;
	for (char *rest = NULL, *line = strtok_r(out.ptr, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (strstr(line, "\"total\"")) {
			sums.readings = (uint64_t)member(line, "\"readings\":");
			sums.points = (uint64_t)member(line, "\"points\":");
			continue;
		}
		points += (uint64_t)member(line, "\"count\":");
		sums.sum += member(line, "\"sum\":");
		assert_true(member(line, "\"min\":") <= member(line, "\"first\":"));
		assert_true(member(line, "\"max\":") >= member(line, "\"last\":"));
		assert_true(member(line, "\"first_time\":") <= member(line, "\"last_time\":"));
	}
	assert_int_equal(points, sums.points);
	buf_finish(&out);
	return sums;
}

static void
what_is_sent_is_what_is_expected(void **state)
{
	(void)state;
	static const struct scripted_step steps[] = {{.accept = true},
	    {.answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
		.close = true},
	    {.accept = true, .forever = true}};
	struct scripted_server server;
	struct expect *expect;
	struct drive *drive;
	struct env *env = env_create();
	scripted_start(&server, steps, 3);
	assert_int_equal(expect_create(10, SENDER_JSON, &expect), 0);
	struct drive_options options = {
	    .fleet = {.seed = 5,
		.gateways = 1,
		.devices = 10,
		.start_ms = START_MS,
		.interval_ms = 1000,
		.speed_up = 60},
	    .sender = {.env = env, .address = server.address, .patience_ms = 20000},
	    .expect = expect,
	};
	assert_int_equal(drive_create(&options, &drive), 0);
	assert_int_equal(drive_push(drive, INT64_MAX, 3001), 0);
	assert_int_equal(drive_readings(drive), 3001);
	drive_destroy(drive);
	struct sums want = expected_sums(expect), heard = heard_sums(&server);
	scripted_finish(&server);
	assert_int_equal(want.readings, 3001);
	assert_int_equal(want.points, 4 * 3001);
	/* One body was sent twice. */
	assert_true(heard.readings > 3001 && heard.readings < 3001 + 600);
	assert_true(heard.points == 4 * heard.readings);
	assert_true(want.sum < heard.sum);
	expect_destroy(expect);
	env_destroy(env);
}

static void
the_fleet_on_its_thread_sends_history_then_live_and_stops(void **state)
{
	(void)state;
	static const struct scripted_step steps[] = {{.accept = true, .forever = true}};
	struct scripted_server server;
	struct simulate *simulate;
	scripted_start(&server, steps, 1);
	struct simulate_options options = {.address = server.address,
	    .key = "k",
	    .seed = 1,
	    .gateways = 1,
	    .devices = 2,
	    .interval_ms = 100,
	    .history_ms = 3600000};
	assert_int_equal(simulate_start(&options, &simulate), 0);
	/* An hour at five minutes is 24 readings; more are live. */
	while (simulate_readings(simulate) < 26)
		poll(NULL, 0, 5);
	simulate_stop(simulate);
	scripted_finish(&server);
}

static void
on_history(void *ctx, bool failed, const char *text)
{
	atomic_bool *sent = ctx;
	if (!failed && strncmp(text, "history sent", 12) == 0)
		atomic_store(sent, true);
}

/* 25 minutes are missing: of the hour only those are sent. */
static void
history_begins_where_an_earlier_fleet_ended(void **state)
{
	(void)state;
	struct scripted_server server;
	struct simulate *simulate;
	atomic_bool sent;
	atomic_init(&sent, false);
	struct env *env = env_create();
	long long then = env_now_ms(env) - 1500000;
	char body[200], answer[400];
	snprintf(body, sizeof(body),
	    "{\"series\":[{\"tags\":{\"device\":\"1\"},\"time\":%lld,\"value\":1},{\"time\":5}]}",
	    then);
	snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
	    strlen(body), body);
	const struct scripted_step steps[] = {
	    {.answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"},
	    {.answer = answer}, {.accept = true, .forever = true}};
	scripted_start(&server, steps, 3);
	struct simulate_options options = {.address = server.address,
	    .key = "k",
	    .seed = 1,
	    .gateways = 1,
	    .devices = 1,
	    .interval_ms = 60000,
	    .history_ms = 3600000,
	    .history_interval_ms = 60000,
	    .note = on_history,
	    .note_ctx = &sent};
	assert_int_equal(simulate_start(&options, &simulate), 0);
	while (!atomic_load(&sent))
		poll(NULL, 0, 5);
	simulate_stop(simulate);
	assert_int_equal(occurrences(&server, "GET /api/v1/latest?metric=temp "), 2);
	struct span rest = buf_span(&server.heard);
	unsigned history = 0;
	static const char mark[] = "\"time\":";
	for (; rest.len > 30; rest = span_skip(rest, 1)) {
		if (!span_starts(rest, SPAN("\"time\":")))
			continue;
		long long time = strtoll(rest.ptr + strlen(mark), NULL, 10);
		assert_true(time > then);
		history++;
	}
	assert_in_range(history, 22, 26);
	scripted_finish(&server);
	env_destroy(env);
}

static void
a_fleet_without_server_stops_at_once(void **state)
{
	(void)state;
	struct simulate *simulate;
	struct simulate_options options = {.address = "unix:/nonexistent/socket", .key = "k"};
	assert_int_equal(simulate_start(&options, &simulate), 0);
	simulate_stop(simulate);
	options.speed_up = 3601;
	assert_int_equal(simulate_start(&options, &simulate), -EINVAL);
	options.speed_up = 1;
	options.address = "nowhere:x";
	assert_int_equal(simulate_start(&options, &simulate), -EINVAL);
	simulate_stop(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(json_bodies),
	    cmocka_unit_test(line_bodies),
	    cmocka_unit_test(the_same_body_again_until_it_is_acknowledged),
	    cmocka_unit_test(refusals_are_told_and_nothing_is_forgotten),
	    cmocka_unit_test(a_server_that_never_was_there),
	    cmocka_unit_test(what_is_sent_is_what_is_expected),
	    cmocka_unit_test(the_fleet_on_its_thread_sends_history_then_live_and_stops),
	    cmocka_unit_test(history_begins_where_an_earlier_fleet_ended),
	    cmocka_unit_test(a_fleet_without_server_stops_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

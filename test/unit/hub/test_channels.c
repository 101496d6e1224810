/* Channels, their ends, and what is given to who comes back, against a naive list of everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "hub.h"
#include "hub_channels.h"

static const struct hub_limits ample = {
	.history_ms = HUB_CHANNEL_HISTORY_MS, .bytes = HUB_CHANNEL_BYTES, .messages = 1000,
};

static struct hub_channel *
add(struct hub_channels *channels, uint64_t id, const char *tenant, const char *name, int64_t ttl)
{
	struct hub_channel_spec spec = {
		.tenant = span_str(tenant), .name = span_str(name), .ttl_ms = ttl, .limits = ample,
	};
	struct hub_channel *channel;
	assert_int_equal(hub_channels_add(channels, id, &spec, 1000, &channel), 0);
	return channel;
}

static void
say(struct hub_channels *channels, struct hub_channel *channel, uint64_t seq, int64_t time_ms)
{
	struct hub_kept kept = {.seq = seq, .time_ms = time_ms, .data = SPAN("\"x\"")};
	assert_int_equal(hub_channels_append(channels, &channel, 1, &kept), 0);
}

struct got {
	uint64_t seqs[4096];
	size_t names[4096];
	size_t count;
};

static int
got_each(void *ctx, const struct hub_kept *kept, const struct span *names, size_t name_count)
{
	struct got *got = ctx;
	(void)names;
	got->seqs[got->count] = kept->seq;
	got->names[got->count++] = name_count;
	return 0;
}

static struct hub_answer
collect(struct hub_channels *channels, const struct hub_question *question, int64_t now_ms,
    struct got *got)
{
	struct hub_answer answer;
	got->count = 0;
	assert_int_equal(hub_channels_collect(channels, question, now_ms, got_each, got, &answer),
	    0);
	return answer;
}

static struct hub_question
since(enum hub_since kind, uint64_t cursor, const struct span *patterns, size_t count)
{
	return (struct hub_question){
		.tenant = SPAN("main"), .patterns = patterns, .pattern_count = count,
		.since = kind, .cursor = cursor, .until_ms = INT64_MAX, .limit = 1000,
	};
}

static void
test_channels_are_found_by_name_and_id_in_their_tenant(void **unused)
{
	struct hub_channels *channels;
	struct hub_channel *found;
	(void)unused;
	assert_int_equal(hub_channels_create(1 << 20, 0, 0, &channels), 0);
	struct hub_channel *blog = add(channels, 17, "main", "blog/7", 0);
	struct hub_channel *plain = add(channels, 18, "main", "", 0);
	struct hub_channel *other = add(channels, 19, "other", "blog/7", 0);
	assert_ptr_equal(hub_channels_find(channels, SPAN("main"), SPAN("blog/7")), blog);
	assert_ptr_equal(hub_channels_find(channels, SPAN("main"), SPAN("17")), blog);
	assert_ptr_equal(hub_channels_find(channels, SPAN("main"), SPAN("18")), plain);
	assert_ptr_equal(hub_channels_find(channels, SPAN("other"), SPAN("blog/7")), other);
	assert_null(hub_channels_find(channels, SPAN("main"), SPAN("19")));
	assert_null(hub_channels_find(channels, SPAN("third"), SPAN("blog/7")));
	assert_true(span_eq(hub_channel_name(plain), SPAN("18")));
	struct hub_channel_spec again = {.tenant = SPAN("main"), .name = SPAN("blog/7")};
	assert_int_equal(hub_channels_add(channels, 20, &again, 0, &found), -EEXIST);
	assert_ptr_equal(found, blog);
	hub_channels_remove(channels, blog);
	assert_null(hub_channels_find(channels, SPAN("main"), SPAN("blog/7")));
	assert_null(hub_channels_find(channels, SPAN("main"), SPAN("17")));
	assert_int_equal(hub_channels_count(channels), 2);
	hub_channels_destroy(channels);
}

static void
test_a_list_goes_on_behind_a_channel_that_was_removed(void **unused)
{
	struct hub_channels *channels;
	struct hub_channel *at;
	uint64_t id = 0, expected = 0;
	(void)unused;
	assert_int_equal(hub_channels_create(1 << 20, 0, 0, &channels), 0);
	for (uint64_t n = 1; n <= 1000; n++)
		add(channels, n * 3, "main", "", 0);
	while ((at = hub_channels_next(channels, SPAN("main"), id))) {
		expected += 3;
		assert_int_equal(at->id, expected);
		id = at->id;
		hub_channels_remove(channels, at); /* its id is a cursor still */
	}
	assert_int_equal(expected, 3000);
	assert_int_equal(hub_channels_count(channels), 0);
	hub_channels_destroy(channels);
}

static void
test_a_publish_restarts_a_life(void **unused)
{
	struct hub_channels *channels;
	int64_t next;
	(void)unused;
	assert_int_equal(hub_channels_create(1 << 20, 0, 0, &channels), 0);
	struct hub_channel *first = add(channels, 1, "main", "a", 100);
	struct hub_channel *second = add(channels, 2, "main", "b", 150);
	add(channels, 3, "main", "c", 0);
	assert_null(hub_channels_expired(channels, 1099, &next));
	assert_int_equal(next, 1100);
	say(channels, first, 10, 1090);
	assert_null(hub_channels_expired(channels, 1149, &next));
	assert_ptr_equal(hub_channels_expired(channels, 1150, &next), second);
	hub_channels_remove(channels, second);
	assert_null(hub_channels_expired(channels, 1150, &next));
	assert_int_equal(next, 1190);
	hub_channels_renew(channels, first, 0, 1160);
	assert_null(hub_channels_expired(channels, 9999, &next));
	assert_int_equal(next, INT64_MAX);
	hub_channels_renew(channels, first, 5, 2000);
	assert_ptr_equal(hub_channels_expired(channels, 2005, &next), first);
	hub_channels_destroy(channels);
}

static void
test_a_gap_is_told_exactly_when_something_is_gone(void **unused)
{
	struct hub_channels *channels;
	struct got got;
	struct span name = SPAN("a"), unknown = SPAN("never"), wild = SPAN("#");
	(void)unused;
	assert_int_equal(hub_channels_create(1 << 20, 50, 900, &channels), 0);
	struct hub_channel *channel = add(channels, 100, "main", "a", 0);
	channel->limits.messages = 2;
	for (uint64_t seq = 101; seq <= 104; seq++)
		say(channels, channel, seq, 1000 + (int64_t)seq);
	struct hub_question question = since(HUB_SINCE_CURSOR, 102, &name, 1);
	assert_false(collect(channels, &question, 1104, &got).gap);
	assert_int_equal(got.count, 2);
	question.cursor = 101;
	assert_true(collect(channels, &question, 1104, &got).gap);
	question = since(HUB_SINCE_OLDEST, 0, &name, 1);
	assert_false(collect(channels, &question, 1104, &got).gap);
	question = since(HUB_SINCE_CURSOR, 60, &unknown, 1);
	assert_false(collect(channels, &question, 1104, &got).gap);
	question.cursor = 49; /* before this server's life */
	assert_true(collect(channels, &question, 1104, &got).gap);
	question = since(HUB_SINCE_CURSOR, 103, &wild, 1);
	assert_false(collect(channels, &question, 1104, &got).gap);
	assert_int_equal(got.count, 1);
	hub_channels_remove(channels, channel);
	assert_true(collect(channels, &question, 1104, &got).gap);
	assert_int_equal(got.count, 0);
	question = since(HUB_SINCE_CURSOR, 103, &name, 1);
	assert_true(collect(channels, &question, 1104, &got).gap);
	question.cursor = 104;
	assert_false(collect(channels, &question, 1104, &got).gap);
	hub_channels_destroy(channels);
}

static void
test_a_message_of_several_channels_comes_once(void **unused)
{
	struct hub_channels *channels;
	struct got got;
	struct span patterns[] = {SPAN("a"), SPAN("b"), SPAN("+"), SPAN("2")};
	(void)unused;
	assert_int_equal(hub_channels_create(1 << 20, 0, 0, &channels), 0);
	struct hub_channel *to[] = {add(channels, 1, "main", "a", 0),
	    add(channels, 2, "main", "b", 0), add(channels, 3, "main", "c/d", 0)};
	struct hub_kept kept = {.seq = 9, .time_ms = 5, .data = SPAN("1")};
	assert_int_equal(hub_channels_append(channels, to, 3, &kept), 0);
	struct hub_question question = since(HUB_SINCE_OLDEST, 0, patterns, 4);
	collect(channels, &question, 5, &got);
	assert_int_equal(got.count, 1);
	assert_int_equal(got.names[0], 2);
	hub_channels_destroy(channels);
}

static void
test_a_limit_says_where_to_go_on(void **unused)
{
	struct hub_channels *channels;
	struct got got;
	struct span name = SPAN("a");
	(void)unused;
	assert_int_equal(hub_channels_create(1 << 20, 0, 0, &channels), 0);
	struct hub_channel *channel = add(channels, 1, "main", "a", 0);
	for (uint64_t seq = 2; seq <= 11; seq++)
		say(channels, channel, seq, 1000);
	struct hub_question question = since(HUB_SINCE_OLDEST, 0, &name, 1);
	question.limit = 4;
	struct hub_answer answer = collect(channels, &question, 1000, &got);
	assert_true(answer.more);
	assert_int_equal(answer.seq_last, 5);
	question = since(HUB_SINCE_CURSOR, answer.seq_last, &name, 1);
	question.limit = 6;
	answer = collect(channels, &question, 1000, &got);
	assert_false(answer.more);
	assert_int_equal(answer.seq_last, 11);
	question = since(HUB_SINCE_TIME, 0, &name, 1);
	question.from_ms = 1001;
	assert_int_equal(collect(channels, &question, 1000, &got).seq_last, 0);
	question = since(HUB_SINCE_OLDEST, 0, &name, 1);
	question.bytes_max = 1;
	answer = collect(channels, &question, 1000, &got);
	assert_true(answer.more && answer.seq_last == 2); /* one, however long it is */
	question.bytes_max = 500;
	answer = collect(channels, &question, 1000, &got);
	assert_true(answer.more && got.count > 1 && got.count < 10);
	hub_channels_destroy(channels);
}

static void
test_a_cursor_behind_an_end_in_time_is_before_what_is_later(void **unused)
{
	struct hub_channels *channels;
	struct got got;
	struct span names[] = {SPAN("a"), SPAN("b"), SPAN("#")};
	struct hub_caught caught = {.seq = 90};
	(void)unused;
	assert_int_equal(hub_channels_create(1 << 20, 0, 0, &channels), 0);
	say(channels, add(channels, 1, "main", "a", 0), 10, 1000);
	say(channels, add(channels, 2, "main", "b", 0), 20, 2000);
	for (size_t from = 0; from < 3; from += 2) { /* by names, by a pattern */
		struct hub_question question =
		    since(HUB_SINCE_OLDEST, 0, names + from, from ? 1 : 2);
		question.until_ms = 999;
		caught.answer = collect(channels, &question, 3000, &got);
		assert_int_equal(hub_caught_next(&question, &caught), 9);
		question.until_ms = 1500;
		caught.answer = collect(channels, &question, 3000, &got);
		assert_int_equal(hub_caught_next(&question, &caught), 10);
		question = since(HUB_SINCE_CURSOR, 12, names + from, from ? 1 : 2);
		question.until_ms = 1500;
		caught.answer = collect(channels, &question, 3000, &got);
		assert_int_equal(hub_caught_next(&question, &caught), 12);
		question.until_ms = INT64_MAX;
		caught.answer = collect(channels, &question, 3000, &got);
		assert_int_equal(hub_caught_next(&question, &caught), 90);
	}
	hub_channels_destroy(channels);
}

/* ── model ── */

enum { NAMES = 6, SAID = 3000 };
static const char *const names[NAMES] = {"a", "b", "a/x", "a/y", "b/x", "c"};

struct said {
	uint64_t seq;
	unsigned mask;
};

struct world {
	struct hub_channels *channels;
	struct said said[SAID];
	size_t said_count;
	uint64_t lost[NAMES];     /* up to which seq this name forgot */
	uint64_t seq, state;
};

static uint64_t
chance(struct world *world, uint64_t below)
{
	world->state ^= world->state << 13;
	world->state ^= world->state >> 7;
	world->state ^= world->state << 17;
	return world->state % below;
}

static struct hub_channel *
channel_of(struct world *world, size_t i)
{
	struct hub_channel *channel = hub_channels_find(world->channels, SPAN("main"),
	    span_str(names[i]));
	return channel ? channel : add(world->channels, ++world->seq, "main", names[i], 0);
}

static void
world_say(struct world *world)
{
	struct hub_channel *to[NAMES];
	size_t count = 0;
	struct said *said = &world->said[world->said_count++];
	said->mask = (unsigned)(1 + chance(world, (1 << NAMES) - 1));
	for (size_t i = 0; i < NAMES; i++) {
		if (said->mask >> i & 1)
			to[count++] = channel_of(world, i);
	}
	said->seq = ++world->seq;
	struct hub_kept kept = {.seq = said->seq, .time_ms = (int64_t)said->seq, .data = SPAN("1")};
	assert_int_equal(hub_channels_append(world->channels, to, count, &kept), 0);
	for (size_t i = 0; i < NAMES; i++) {
		if (said->mask >> i & 1)
			world->lost[i] = MAX(world->lost[i],
			    channel_of(world, i)->history.seq_dropped);
	}
}

static void
world_forget(struct world *world)
{
	size_t i = chance(world, NAMES);
	struct hub_channel *channel = channel_of(world, i);
	if (chance(world, 3) == 0) {
		channel->limits.messages = (uint32_t)chance(world, 20);
		return;
	}
	world->lost[i] = MAX(world->lost[i], channel->history.seq_last);
	hub_channels_remove(world->channels, channel);
}

static void
world_ask(struct world *world)
{
	static const char *const asked[] = {"a", "b", "a/x", "a/+", "+", "#", "c", "a/#"};
	static struct got got;
	struct span patterns[3];
	size_t count = 1 + chance(world, 3);
	unsigned mask = 0;
	for (size_t i = 0; i < count; i++) {
		patterns[i] = span_str(asked[chance(world, ARRAY_COUNT(asked))]);
		for (size_t n = 0; n < NAMES; n++) {
			if (hub_pattern_matches(patterns[i], span_str(names[n])))
				mask |= 1u << n;
		}
	}
	struct hub_question question = since(HUB_SINCE_CURSOR,
	    world->seq - chance(world, MIN(world->seq, (uint64_t)200) + 1), patterns, count);
	for (size_t n = 0; n < NAMES; n++)
		channel_of(world, n); /* so that all are there, and their trims */
	struct hub_answer answer = collect(world->channels, &question, (int64_t)world->seq, &got);
	size_t at = 0;
	bool gone = false;
	for (size_t n = 0; n < NAMES; n++) /* what the question made it forget */
		world->lost[n] = MAX(world->lost[n], channel_of(world, n)->history.seq_dropped);
	for (size_t i = 0; i < world->said_count; i++) {
		const struct said *said = &world->said[i];
		unsigned wanted = said->mask & mask, kept = 0;
		for (size_t n = 0; n < NAMES; n++)
			kept |= (wanted >> n & 1 && world->lost[n] < said->seq) ? 1u << n : 0;
		if (!wanted || said->seq <= question.cursor)
			continue;
		gone |= kept == 0;
		if (!kept)
			continue;
		assert_true(at < got.count);
		assert_int_equal(got.seqs[at++], said->seq);
	}
	assert_int_equal(at, got.count);
	if (gone)
		assert_true(answer.gap);
}

static void
run_seed(uint64_t seed)
{
	static struct world world;
	memset(&world, 0, sizeof world);
	world.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	assert_int_equal(hub_channels_create(1 << 20, 0, 0, &world.channels), 0);
	while (world.said_count < SAID) {
		uint64_t what = chance(&world, 10);
		if (what < 7)
			world_say(&world);
		else if (what == 7 && chance(&world, 4) == 0)
			world_forget(&world);
		else
			world_ask(&world);
	}
	hub_channels_destroy(world.channels);
}

static void
test_who_comes_back_gets_what_a_list_of_everything_has(void **unused)
{
	(void)unused;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		printf("seed %llu\n", (unsigned long long)seed);
		run_seed(seed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_channels_are_found_by_name_and_id_in_their_tenant),
		cmocka_unit_test(test_a_list_goes_on_behind_a_channel_that_was_removed),
		cmocka_unit_test(test_a_publish_restarts_a_life),
		cmocka_unit_test(test_a_gap_is_told_exactly_when_something_is_gone),
		cmocka_unit_test(test_a_message_of_several_channels_comes_once),
		cmocka_unit_test(test_a_limit_says_where_to_go_on),
		cmocka_unit_test(test_a_cursor_behind_an_end_in_time_is_before_what_is_later),
		cmocka_unit_test(test_who_comes_back_gets_what_a_list_of_everything_has),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What views have shown, out of the journal: the same as it was shown, and then live. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "flow_priv.h"
#include "prng.h"
#include "raw_keys.h"
#include "world.h"

#define MAIN SPAN("main")

static struct world *
open_world(void **state)
{
	struct world *world = world_create((unsigned)(uintptr_t)*state);
	world_open(world);
	return world;
}

static void
end_world(struct world *world)
{
	world_close(world, false);
	world_destroy(world);
}

/* ── one who asks, or only listens ── */

enum { HEARD_MAX = 8192 };

struct asker {
	struct sink sink;
	struct span patterns[4];
	struct hub_question question;
	bool stay;
	uint64_t token;
	sem_t told; /* of an answer, or that it is subscribed */
	struct hub_caught answer;
	bool gap;
	atomic_size_t count;
	uint64_t seqs[HEARD_MAX];
	struct buf text; /* a line a message, when kept */
	bool keeps;
};

static void
asker_deliver(struct sink *sink, struct hub_message *message, uint64_t channels)
{
	struct asker *asker = CONTAINER_OF(sink, struct asker, sink);
	check(asker->count < HEARD_MAX);
	if (asker->keeps) {
		check(hub_message_json(message, channels, &asker->text) == 0);
		check(buf_append_byte(&asker->text, '\n') == 0);
	}
	asker->seqs[asker->count] = message->seq;
	asker->count++;
}

static void
asker_subscribed(struct sink *sink, uint64_t seq)
{
	(void)seq;
	sem_post(&CONTAINER_OF(sink, struct asker, sink)->told);
}

static void
asker_gap(struct sink *sink)
{
	CONTAINER_OF(sink, struct asker, sink)->gap = true;
}

static void
asker_caught(struct sink *sink, const struct hub_caught *caught)
{
	struct asker *asker = CONTAINER_OF(sink, struct asker, sink);
	asker->answer = *caught;
	sem_post(&asker->told);
}

static const struct sink_ops asker_ops = {
	.deliver = asker_deliver, .subscribed = asker_subscribed, .gap = asker_gap,
	.caught = asker_caught,
};

static void
asker_begin(struct world_loop *loop, void *ctx)
{
	struct asker *asker = ctx;
	check(hub_catch(loop->hub, &asker->sink, &asker->question, asker->stay, &asker->token) ==
	    0);
}

static void
asker_listen(struct world_loop *loop, void *ctx)
{
	struct asker *asker = ctx;
	for (size_t i = 0; i < asker->question.pattern_count; i++)
		check(hub_subscribe(loop->hub, &asker->sink, MAIN, asker->patterns[i]) == 0);
}

static void
asker_go_on(struct world_loop *loop, void *ctx)
{
	struct asker *asker = ctx;
	asker->question.since = HUB_SINCE_CURSOR;
	asker->question.cursor = asker->answer.answer.seq_last;
	check(hub_catch_go_on(loop->hub, &asker->sink, &asker->question, &asker->token) == 0);
}

static void
asker_end(struct world_loop *loop, void *ctx)
{
	struct asker *asker = ctx;
	hub_unsubscribe_all(loop->hub, &asker->sink);
}

static void
asker_init(struct asker *asker, const char *pattern, enum hub_since since, uint64_t cursor)
{
	static const uint64_t no_ids[4];
	memset(asker, 0, sizeof *asker);
	asker->patterns[0] = span_str(pattern);
	asker->question = (struct hub_question){
		.tenant = MAIN, .patterns = asker->patterns, .pattern_count = 1, .ids = no_ids,
		.since = since, .cursor = cursor, .until_ms = INT64_MAX, .limit = 1000,
	};
	hub_sink_init(&asker->sink, &asker_ops);
	sem_init(&asker->told, 0, 0);
}

static void
asker_finish(struct asker *asker)
{
	buf_finish(&asker->text);
	sem_destroy(&asker->told);
}

/* Asks, and asks on until all is there. How many answers it took. */
static unsigned
ask(struct world *world, unsigned loop, struct asker *asker)
{
	unsigned answers = 1;
	world_call(world, loop, asker_begin, asker);
	sem_wait(&asker->told);
	while (asker->answer.answer.more) {
		world_call(world, loop, asker_go_on, asker);
		sem_wait(&asker->told);
		answers++;
	}
	assert_int_equal(asker->answer.error, 0);
	return answers;
}

static void
must_rise(const struct asker *asker)
{
	for (size_t i = 1; i < asker->count; i++)
		assert_true(asker->seqs[i] > asker->seqs[i - 1]);
}

static const char *const lines[] = {
	"w,device=7 temp=1,hum=2 1000\nw,device=8 temp=3 1000\n",
	"w,device=a/b temp=1.5 2000\n",
	"w,device=7 temp=4 3000\nbroken line here\nw,device=7 temp=\"text\" 4000\n",
	"cpu,host=x load=0.5 1000\n",
	"w,device=8 temp=-0.25 5000\nw,device=8 temp=5 6000\nw,device=8 temp=6 7000\n",
};

static void
append_all(struct world *world)
{
	for (size_t i = 0; i < ARRAY_COUNT(lines); i++)
		world_append_by(world, (unsigned)i % world->loop_count, "app-test", lines[i]);
}

/* What was heard live of a pattern. */
static void
hear(struct world *world, struct asker *live, const char *pattern)
{
	asker_init(live, pattern, HUB_SINCE_NOW, 0);
	live->keeps = true;
	world_call(world, 0, asker_listen, live);
	sem_wait(&live->told);
}

/* ── tests ── */

static void
what_is_read_is_what_was_heard(void **state)
{
	static const char *const patterns[] = {"readings/#", "#", "readings/7/+",
		"readings/+/w.temp", "readings/a%2Fb/w.temp",
		"readings/-/cpu.load", "+/8/#", "readings/9/#"};
	struct world *world = open_world(state);
	static struct asker lives[ARRAY_COUNT(patterns)], asker;
	for (size_t i = 0; i < ARRAY_COUNT(patterns); i++)
		hear(world, &lives[i], patterns[i]);
	append_all(world);
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_COUNT(patterns); i++) {
			asker_init(&asker, patterns[i], HUB_SINCE_OLDEST, 0);
			asker.keeps = true;
			ask(world, world->loop_count - 1, &asker);
			assert_false(asker.gap);
			assert_int_equal(asker.count, lives[i].count);
			assert_true(span_eq(buf_span(&asker.text), buf_span(&lives[i].text)));
			asker_finish(&asker);
		}
		for (size_t i = 0; i < ARRAY_COUNT(patterns) && round == 0; i++)
			world_call(world, 0, asker_end, &lives[i]);
		if (round == 0) { /* and after a restart */
			world_close(world, false);
			world_open(world);
		}
	}
	assert_int_equal(lives[0].count, 9);
	assert_int_equal(lives[7].count, 0);
	for (size_t i = 0; i < ARRAY_COUNT(patterns); i++)
		asker_finish(&lives[i]);
	end_world(world);
}

static void
each_id_is_a_cursor_also_within_a_record(void **state)
{
	struct world *world = open_world(state);
	static struct asker all, asker;
	append_all(world);
	asker_init(&all, "readings/#", HUB_SINCE_OLDEST, 0);
	ask(world, 0, &all);
	assert_int_equal(all.count, 9);
	for (size_t i = 0; i < all.count; i++) {
		asker_init(&asker, "readings/#", HUB_SINCE_CURSOR, all.seqs[i]);
		ask(world, 0, &asker);
		assert_false(asker.gap);
		assert_int_equal(asker.count, all.count - 1 - i);
		if (asker.count)
			assert_int_equal(asker.seqs[0], all.seqs[i + 1]);
		asker_finish(&asker);
	}
	for (uint32_t limit = 1; limit < 10; limit++) {
		asker_init(&asker, "readings/#", HUB_SINCE_OLDEST, 0);
		asker.question.limit = limit;
		assert_true(ask(world, 0, &asker) >= 9 / limit);
		assert_int_equal(asker.count, 9);
		assert_memory_equal(asker.seqs, all.seqs, 9 * sizeof all.seqs[0]);
		asker_finish(&asker);
	}
	asker_finish(&all);
	end_world(world);
}

/* One record over many blocks, each id of it a cursor. */
static void
a_long_record_is_entered_in_its_middle(void **state)
{
	enum { POINTS = 1500 };
	static char text[POINTS * 40];
	struct world *world = open_world(state);
	static struct asker all, asker;
	size_t len = 0;
	for (unsigned i = 0; i < POINTS; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "w,device=7 t=%u %u\n", i,
		    i + 1);
	append_all(world);
	assert_int_equal(world_append(world, 0, text), 0);
	append_all(world);
	asker_init(&all, "readings/7/#", HUB_SINCE_OLDEST, 0);
	assert_int_equal(ask(world, 0, &all), 2);
	assert_int_equal(all.count, POINTS + 6);
	for (size_t i = 0; i < all.count; i += 97) {
		asker_init(&asker, "readings/7/#", HUB_SINCE_CURSOR, all.seqs[i]);
		ask(world, 0, &asker);
		assert_false(asker.gap);
		assert_int_equal(asker.count, all.count - 1 - i);
		assert_memory_equal(asker.seqs, all.seqs + i + 1, asker.count * sizeof all.seqs[0]);
		asker_finish(&asker);
	}
	asker_finish(&all);
	end_world(world);
}

static void
times_bound_what_is_read(void **state)
{
	struct world *world = open_world(state);
	static struct asker asker;
	append_all(world);
	int64_t now_ms = env_now_ms(&world->env.env);
	asker_init(&asker, "readings/#", HUB_SINCE_TIME, 0);
	asker.question.from_ms = now_ms - 60000;
	ask(world, 0, &asker);
	assert_false(asker.gap);
	assert_int_equal(asker.count, 9);
	asker_finish(&asker);
	asker_init(&asker, "readings/#", HUB_SINCE_TIME, 0);
	asker.question.from_ms = now_ms - 60000;
	asker.question.until_ms = now_ms - 30000;
	ask(world, 0, &asker);
	assert_int_equal(asker.count, 0);
	asker_finish(&asker);
	asker_init(&asker, "readings/#", HUB_SINCE_TIME, 0);
	asker.question.from_ms = now_ms + 60000;
	ask(world, 0, &asker);
	assert_int_equal(asker.count, 0);
	asker_finish(&asker);
	end_world(world);
}

/* ── channels beside them ── */

struct publishing {
	struct flow_publish publish;
	struct span channel;
	sem_t done;
};

static void
publish_done(struct flow_publish *publish, int error)
{
	check(error == 0);
	sem_post(&CONTAINER_OF(publish, struct publishing, publish)->done);
}

static void
publish_begin(struct world_loop *loop, void *ctx)
{
	flow_publish(loop->flow, &((struct publishing *)ctx)->publish);
}

static void
publish(struct world *world, const char *channel)
{
	struct publishing publishing = {.channel = span_str(channel)};
	publishing.publish = (struct flow_publish){
		.tenant = MAIN, .principal = SPAN("app-test"), .channels = &publishing.channel,
		.channel_count = 1, .data = SPAN("1"), .done = publish_done,
	};
	sem_init(&publishing.done, 0, 0);
	world_call(world, 0, publish_begin, &publishing);
	sem_wait(&publishing.done);
	sem_destroy(&publishing.done);
}

static void
channels_and_views_come_in_one_order(void **state)
{
	struct world *world = open_world(state);
	static struct asker live, asker;
	hear(world, &live, "#");
	for (unsigned i = 0; i < 40; i++) {
		if (i % 3)
			publish(world, "news");
		else
			world_append_by(world, 0, "app-test", lines[i % ARRAY_COUNT(lines)]);
	}
	for (uint32_t limit = 1; limit < 60; limit += 7) {
		asker_init(&asker, limit % 2 ? "#" : "readings/#", HUB_SINCE_OLDEST, 0);
		if (limit % 2 == 0) {
			asker.patterns[1] = SPAN("news");
			asker.question.pattern_count = 2;
		}
		asker.keeps = true;
		asker.question.limit = limit;
		ask(world, 0, &asker);
		assert_false(asker.gap);
		must_rise(&asker);
		assert_true(span_eq(buf_span(&asker.text), buf_span(&live.text)));
		asker_finish(&asker);
	}
	world_call(world, 0, asker_end, &live);
	asker_finish(&live);
	end_world(world);
}

/* ── seams ── */

struct load {
	struct world *world;
	atomic_bool over;
	pthread_t thread;
	size_t points;
};

static void
load_run(void *ctx)
{
	struct load *load = ctx;
	char text[256];
	for (unsigned i = 0; !load->over && load->points < 4000; i++) {
		snprintf(text, sizeof text, "w,device=%u temp=%u,hum=1 %u\n", i % 5, i, i + 1);
		check(world_append(load->world, i % load->world->loop_count, text) == 0);
		load->points += 2;
	}
}

static void
the_past_joins_the_present_under_load(void **state)
{
	enum { ASKERS = 12 };
	struct world *world = open_world(state);
	static struct asker askers[ASKERS], last;
	struct load load = {.world = world};
	append_all(world);
	assert_int_equal(thread_start(&load.thread, "load", load_run, &load), 0);
	for (unsigned i = 0; i < ASKERS; i++) {
		asker_init(&askers[i], i % 2 ? "readings/#" : "#", HUB_SINCE_OLDEST, 0);
		askers[i].stay = true;
		askers[i].question.limit = 100;
		ask(world, i % world->loop_count, &askers[i]);
	}
	load.over = true;
	thread_join(load.thread);
	asker_init(&last, "readings/#", HUB_SINCE_OLDEST, 0);
	ask(world, 0, &last);
	assert_int_equal(last.count, 9 + load.points);
	for (unsigned i = 0; i < ASKERS; i++) {
		world_call(world, i % world->loop_count, asker_end, &askers[i]);
		assert_false(askers[i].gap);
		must_rise(&askers[i]);
		assert_int_equal(askers[i].count, last.count);
		assert_memory_equal(askers[i].seqs, last.seqs, last.count * sizeof last.seqs[0]);
		asker_finish(&askers[i]);
	}
	asker_finish(&last);
	end_world(world);
}

/* ── bounds ── */

static void
set_bounds(struct world_loop *loop, void *ctx)
{
	const struct views_pasts *bounds = ctx;
	struct views_pasts *pasts = &loop->flow->flow->sequencer.channels.pasts;
	pasts->tail_bytes_max = bounds->tail_bytes_max;
	pasts->turn_bytes = bounds->turn_bytes;
	pasts->empty_bytes_max = bounds->empty_bytes_max;
}

static void
who_reads_long_and_finds_nothing_is_told_of_a_gap(void **state)
{
	struct world *world = open_world(state);
	struct views_pasts bounds = {
		.tail_bytes_max = SIZE_MAX, .turn_bytes = 1, .empty_bytes_max = UINT64_MAX};
	static struct asker asker, fence;
	append_all(world);
	asker_init(&fence, "readings/-/#", HUB_SINCE_NOW, 0);
	for (unsigned round = 0; round < 3; round++) {
		bool none = round > 0; /* what is asked for is nowhere */
		bounds.empty_bytes_max = round < 2 ? UINT64_MAX : 1;
		world_call(world, 0, set_bounds, &bounds);
		/* In turns of a record each it is found, or found not to be there. */
		asker_init(&asker, none ? "readings/+/none.x" : "readings/-/#",
		    HUB_SINCE_OLDEST, 0);
		asker.stay = true;
		ask(world, 0, &asker);
		assert_int_equal(asker.gap, round == 2);
		assert_int_equal(asker.count, none ? 0 : 1);
		world_append_by(world, 0, "app-test", "cpu load=1 2\n");
		ask(world, 0, &fence); /* its answer comes behind what is live */
		assert_int_equal(asker.count, none ? 0 : 2);
		world_call(world, 0, asker_end, &asker);
		asker_finish(&asker);
	}
	asker_finish(&fence);
	end_world(world);
}

/* ── what is not there any more ── */

static void
fill_segments(struct world *world)
{
	static char text[64 * 1024];
	size_t len = 0;
	while (len < sizeof text - 200)
		len += (size_t)snprintf(text + len, sizeof text - len,
		    "w,device=other note=\"%0128d\" 1\n", 1);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(world_append(world, 0, text), 0);
	while (journal_wants_prepare(world->journal))
		assert_int_equal(journal_prepare(world->journal), 0);
}

static void
what_does_not_fit_into_the_tail_is_read_again_or_a_gap(void **state)
{
	enum { ASKERS = 8 };
	struct world *world = open_world(state);
	struct views_pasts bounds = {.turn_bytes = UINT64_MAX, .empty_bytes_max = UINT64_MAX};
	static struct asker askers[ASKERS], last;
	struct load load = {.world = world};
	append_all(world);
	fill_segments(world); /* so that it takes a while to read */
	world_call(world, 0, set_bounds, &bounds);
	assert_int_equal(thread_start(&load.thread, "load", load_run, &load), 0);
	for (unsigned i = 0; i < ASKERS; i++) {
		asker_init(&askers[i], "readings/#", HUB_SINCE_OLDEST, 0);
		askers[i].stay = true;
		ask(world, i % world->loop_count, &askers[i]);
	}
	load.over = true;
	thread_join(load.thread);
	asker_init(&last, "readings/#", HUB_SINCE_OLDEST, 0);
	ask(world, 0, &last);
	for (unsigned i = 0; i < ASKERS; i++) {
		world_call(world, i % world->loop_count, asker_end, &askers[i]);
		must_rise(&askers[i]);
		assert_true(askers[i].gap || askers[i].count == last.count);
		asker_finish(&askers[i]);
	}
	asker_finish(&last);
	end_world(world);
}

static void
sealed_segments_are_read_by_device(void **state)
{
	struct world *world = open_world(state);
	static struct asker asker;
	const struct journal_seal_options options = {.before_ms = INT64_MAX, .keys = raw_keys};
	append_all(world);
	fill_segments(world);
	append_all(world);
	asker_init(&asker, "readings/#", HUB_SINCE_OLDEST, 0);
	ask(world, 0, &asker);
	assert_int_equal(asker.count, 18);
	uint64_t inside = asker.seqs[1]; /* the first record has more of it */
	asker_finish(&asker);
	unsigned sealed = 0;
	while (journal_seal(world->journal, &options) == 1)
		sealed++;
	assert_true(sealed > 0);
	asker_init(&asker, "readings/7/w.temp", HUB_SINCE_OLDEST, 0);
	ask(world, 0, &asker);
	assert_false(asker.gap);
	assert_int_equal(asker.count, 4);
	asker_finish(&asker);
	asker_init(&asker, "readings/a%2Fb/#", HUB_SINCE_OLDEST, 0);
	asker.patterns[1] = SPAN("readings/8/w.temp");
	asker.question.pattern_count = 2;
	ask(world, 0, &asker);
	assert_int_equal(asker.count, 10);
	asker_finish(&asker);
	asker_init(&asker, "readings/#", HUB_SINCE_CURSOR, inside);
	ask(world, 0, &asker);
	assert_false(asker.gap);
	assert_int_equal(asker.count, 16);
	asker_finish(&asker);
	end_world(world);
}

static void
what_was_trimmed_is_a_gap_for_who_had_not_seen_it(void **state)
{
	struct world *world = open_world(state);
	static struct asker asker;
	struct journal_stats stats;
	append_all(world);
	fill_segments(world);
	append_all(world);
	journal_stats(world->journal, &stats);
	assert_int_equal(journal_trim(world->journal, stats.durable_seq), 0);
	journal_stats(world->journal, &stats);
	assert_true(stats.first_seq > 20);
	asker_init(&asker, "readings/7/#", HUB_SINCE_CURSOR, 3);
	ask(world, 0, &asker);
	assert_true(asker.gap);
	assert_int_equal(asker.count, 3);
	asker_finish(&asker);
	asker_init(&asker, "readings/7/#", HUB_SINCE_CURSOR, stats.first_seq);
	ask(world, 0, &asker);
	assert_false(asker.gap);
	asker_finish(&asker);
	asker_init(&asker, "readings/7/#", HUB_SINCE_TIME, 0);
	ask(world, 0, &asker);
	assert_true(asker.gap);
	asker_finish(&asker);
	end_world(world);
}

/* ── erasure ── */

struct erasing {
	struct flow_erase erase;
	sem_t done;
};

static void
erase_done(struct flow_erase *erase, int error)
{
	check(error == 0);
	sem_post(&CONTAINER_OF(erase, struct erasing, erase)->done);
}

static void
erase_begin(struct world_loop *loop, void *ctx)
{
	flow_erase(loop->flow, &((struct erasing *)ctx)->erase);
}

static void
an_erased_device_is_not_shown_again(void **state)
{
	struct world *world = open_world(state);
	static struct asker asker;
	struct erasing erasing = {.erase = {
		.tombstone = {.tenant = MAIN, .device = SPAN("7")}, .done = erase_done,
	}};
	append_all(world);
	sem_init(&erasing.done, 0, 0);
	world_call(world, 0, erase_begin, &erasing);
	sem_wait(&erasing.done);
	sem_destroy(&erasing.done);
	for (unsigned round = 0; round < 2; round++) {
		asker_init(&asker, "readings/#", HUB_SINCE_OLDEST, 0);
		asker.keeps = true;
		ask(world, 0, &asker);
		assert_int_equal(asker.count, round ? 9 + 6 : 6);
		if (round == 0)
			assert_null(memmem(asker.text.ptr, asker.text.len, "readings/7/", 11));
		asker_finish(&asker);
		append_all(world); /* what comes of it later is another's */
	}
	end_world(world);
}

#define ON_LOOPS(test)                                                          \
	{"one loop: " #test, test, NULL, NULL, (void *)1},           \
	{"two loops: " #test, test, NULL, NULL, (void *)2}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LOOPS(what_is_read_is_what_was_heard),
		ON_LOOPS(each_id_is_a_cursor_also_within_a_record),
		ON_LOOPS(a_long_record_is_entered_in_its_middle),
		ON_LOOPS(times_bound_what_is_read),
		ON_LOOPS(channels_and_views_come_in_one_order),
		ON_LOOPS(the_past_joins_the_present_under_load),
		ON_LOOPS(who_reads_long_and_finds_nothing_is_told_of_a_gap),
		ON_LOOPS(what_does_not_fit_into_the_tail_is_read_again_or_a_gap),
		ON_LOOPS(sealed_segments_are_read_by_device),
		ON_LOOPS(what_was_trimmed_is_a_gap_for_who_had_not_seen_it),
		ON_LOOPS(an_erased_device_is_not_shown_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Channels and their past through the sequencer, on one loop and on two. */
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

/* ── publishing ── */

struct publishing {
	struct flow_publish publish;
	struct span channels[4];
	sem_t done;
	int error;
	bool told;
};

static void
publish_done(struct flow_publish *publish, int error)
{
	struct publishing *publishing = CONTAINER_OF(publish, struct publishing, publish);
	publishing->error = error;
	sem_post(&publishing->done);
}

static void
publish_begin(struct world_loop *loop, void *ctx)
{
	struct publishing *publishing = ctx;
	flow_publish(loop->flow, &publishing->publish);
}

/* `channels`: names with commas between. */
static void
publishing_init(struct publishing *publishing, const char *channels, const char *key)
{
	struct span rest = span_str(channels);
	memset(publishing, 0, sizeof *publishing);
	sem_init(&publishing->done, 0, 0);
	publishing->publish = (struct flow_publish){
		.tenant = MAIN, .principal = SPAN("app-test"), .key = span_str(key),
		.channels = publishing->channels, .data = SPAN("1"), .done = publish_done,
	};
	while (rest.len) {
		const char *comma = memchr(rest.ptr, ',', rest.len);
		size_t len = comma ? (size_t)(comma - rest.ptr) : rest.len;
		publishing->channels[publishing->publish.channel_count++] =
		    span_of(rest.ptr, len);
		rest = span_skip(rest, comma ? len + 1 : len);
	}
}

static int
publish_key(struct world *world, unsigned loop, const char *channels, const char *key,
    uint64_t *ret_seq)
{
	struct publishing publishing;
	publishing_init(&publishing, channels, key);
	world_call(world, loop, publish_begin, &publishing);
	sem_wait(&publishing.done);
	sem_destroy(&publishing.done);
	*ret_seq = publishing.publish.seq;
	return publishing.error;
}

static uint64_t
publish(struct world *world, unsigned loop, const char *channels)
{
	uint64_t seq;
	assert_int_equal(publish_key(world, loop, channels, "", &seq), 0);
	return seq;
}

/* ── one who asks ── */

enum { HEARD_MAX = 4096 };

struct asker {
	struct sink sink;
	struct span patterns[4];
	struct hub_question question;
	bool stay;
	uint64_t token;
	sem_t caught, closed;
	struct hub_caught answer;
	uint64_t seqs[HEARD_MAX];
	uint64_t bits[HEARD_MAX];
	uint32_t channels[HEARD_MAX];
	atomic_size_t count;
	size_t caught_at; /* how many came before the answer */
};

static void
asker_deliver(struct sink *sink, struct hub_message *message, uint64_t channels)
{
	struct asker *asker = CONTAINER_OF(sink, struct asker, sink);
	check(asker->count < HEARD_MAX);
	asker->bits[asker->count] = channels;
	asker->channels[asker->count] = message->channel_count;
	asker->seqs[asker->count++] = message->seq;
}

static void
asker_subscribed(struct sink *sink, uint64_t seq)
{
	(void)sink;
	(void)seq;
	check(false); /* it has only asked */
}

static void
asker_gap(struct sink *sink)
{
	struct asker *asker = CONTAINER_OF(sink, struct asker, sink);
	check(!asker->answer.answer.gap);
}

static void
asker_caught(struct sink *sink, const struct hub_caught *caught)
{
	struct asker *asker = CONTAINER_OF(sink, struct asker, sink);
	asker->answer = *caught;
	asker->caught_at = asker->count;
	check(caught->token == asker->token);
	sem_post(&asker->caught);
}

static void
asker_closed(struct sink *sink, const struct hub_target *channel)
{
	struct asker *asker = CONTAINER_OF(sink, struct asker, sink);
	check(channel->id > 0 && channel->name.len > 0);
	sem_post(&asker->closed);
}

static void
asker_begin(struct world_loop *loop, void *ctx)
{
	static const struct sink_ops ops = {
		.deliver = asker_deliver, .subscribed = asker_subscribed,
		.gap = asker_gap, .caught = asker_caught, .closed = asker_closed,
	};
	struct asker *asker = ctx;
	hub_sink_init(&asker->sink, &ops);
	check(hub_catch(loop->hub, &asker->sink, &asker->question, asker->stay, &asker->token) ==
	    0);
}

static void
asker_end(struct world_loop *loop, void *ctx)
{
	struct asker *asker = ctx;
	hub_unsubscribe_all(loop->hub, &asker->sink);
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
asker_init(struct asker *asker, const char *pattern, enum hub_since since, uint64_t cursor)
{
	memset(asker, 0, sizeof *asker);
	asker->patterns[0] = span_str(pattern);
	asker->question = (struct hub_question){
		.tenant = MAIN, .patterns = asker->patterns, .pattern_count = 1,
		.since = since, .cursor = cursor, .until_ms = INT64_MAX, .limit = 1000,
	};
	sem_init(&asker->caught, 0, 0);
	sem_init(&asker->closed, 0, 0);
}

static void
ask(struct world *world, unsigned loop, struct asker *asker)
{
	world_call(world, loop, asker_begin, asker);
	sem_wait(&asker->caught);
}

/* ── tests ── */

static void
who_asks_gets_what_was_and_what_comes(void **state)
{
	struct world *world = open_world(state);
	static struct asker asker;
	unsigned far = world->loop_count - 1;
	uint64_t first = publish(world, 0, "a");
	publish(world, 0, "other");
	uint64_t second = publish(world, far, "a,b");
	asker_init(&asker, "a", HUB_SINCE_OLDEST, 0);
	asker.stay = true;
	ask(world, far, &asker);
	assert_int_equal(asker.answer.error, 0);
	assert_false(asker.answer.answer.gap);
	assert_int_equal(asker.count, 2);
	assert_int_equal(asker.seqs[0], first);
	assert_int_equal(asker.seqs[1], second);
	assert_int_equal(asker.channels[1], 1);
	uint64_t third = publish(world, 0, "b,a");
	assert_int_equal(asker.count, 3);
	assert_int_equal(asker.seqs[2], third);
	assert_int_equal(asker.bits[2], 2);
	world_call(world, far, asker_end, &asker);
	publish(world, 0, "a");
	assert_int_equal(asker.count, 3);
	end_world(world);
}

static void
a_poll_hears_nothing_later(void **state)
{
	struct world *world = open_world(state);
	static struct asker asker;
	uint64_t first = publish(world, 0, "a");
	uint64_t second = publish(world, 0, "a");
	asker_init(&asker, "+", HUB_SINCE_CURSOR, first);
	ask(world, 0, &asker);
	assert_int_equal(asker.count, 1);
	assert_int_equal(asker.seqs[0], second);
	publish(world, 0, "a");
	assert_int_equal(asker.count, 1);
	end_world(world);
}

static void
a_long_past_comes_in_pieces_and_then_live(void **state)
{
	struct world *world = open_world(state);
	static struct asker asker;
	unsigned far = world->loop_count - 1;
	for (int i = 0; i < 25; i++)
		publish(world, 0, "a");
	asker_init(&asker, "a", HUB_SINCE_OLDEST, 0);
	asker.stay = true;
	asker.question.limit = 10;
	ask(world, far, &asker);
	assert_true(asker.answer.answer.more);
	assert_int_equal(asker.count, 10);
	publish(world, 0, "a"); /* silent until the rest was asked for */
	assert_int_equal(asker.count, 10);
	while (asker.answer.answer.more) {
		world_call(world, far, asker_go_on, &asker);
		sem_wait(&asker.caught);
	}
	assert_int_equal(asker.count, 26);
	publish(world, 0, "a");
	assert_int_equal(asker.count, 27);
	for (size_t i = 1; i < asker.count; i++)
		assert_true(asker.seqs[i] > asker.seqs[i - 1]);
	world_call(world, far, asker_end, &asker);
	end_world(world);
}

static void
the_past_joins_the_present_without_a_seam(void **state)
{
	enum { ROUNDS = 12, BURST = 40 };
	struct world *world = open_world(state);
	static struct asker askers[ROUNDS];
	struct publishing *all = calloc(ROUNDS * BURST, sizeof *all);
	uint64_t start = publish(world, 0, "a");
	assert_non_null(all);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < BURST; i++) {
			publishing_init(&all[round * BURST + i], i % 2 ? "a" : "a,b", "");
			world_call(world, i % world->loop_count, publish_begin,
			    &all[round * BURST + i]);
		}
		asker_init(&askers[round], round % 2 ? "#" : "a", HUB_SINCE_CURSOR, start);
		askers[round].stay = true;
		world_call(world, round % world->loop_count, asker_begin, &askers[round]);
	}
	for (size_t i = 0; i < ROUNDS * BURST; i++) {
		sem_wait(&all[i].done);
		assert_int_equal(all[i].error, 0);
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct asker *asker = &askers[round];
		sem_wait(&asker->caught);
		assert_false(asker->answer.answer.gap);
		assert_int_equal(asker->count, ROUNDS * BURST);
		for (size_t i = 1; i < asker->count; i++)
			assert_true(asker->seqs[i] > asker->seqs[i - 1]);
		world_call(world, round % world->loop_count, asker_end, asker);
	}
	free(all);
	end_world(world);
}

static void
a_key_publishes_once(void **state)
{
	struct world *world = open_world(state);
	static struct asker asker;
	uint64_t first, again, other;
	assert_int_equal(publish_key(world, 0, "a", "k1", &first), 0);
	assert_int_equal(publish_key(world, world->loop_count - 1, "a", "k1", &again), 0);
	assert_int_equal(publish_key(world, 0, "a", "k2", &other), 0);
	assert_int_equal(again, first);
	assert_true(other > first);
	asker_init(&asker, "a", HUB_SINCE_OLDEST, 0);
	ask(world, 0, &asker);
	assert_int_equal(asker.count, 2);
	end_world(world);
}

static void
an_id_that_no_channel_has_is_refused(void **state)
{
	struct world *world = open_world(state);
	static struct asker asker;
	uint64_t seq;
	assert_int_equal(publish_key(world, 0, "a,12345678", "", &seq), -ENOENT);
	asker_init(&asker, "12345678", HUB_SINCE_NOW, 0);
	asker.stay = true;
	ask(world, 0, &asker);
	assert_int_equal(asker.answer.error, -ENOENT);
	world_call(world, 0, asker_end, &asker);
	end_world(world);
}

/* ── operations ── */

struct op {
	struct flow_channel op;
	struct flow_channel_info infos[8];
	sem_t done;
	int error;
};

static void
op_done(struct flow_channel *channel, int error)
{
	struct op *op = CONTAINER_OF(channel, struct op, op);
	op->error = error;
	sem_post(&op->done);
}

static void
op_begin(struct world_loop *loop, void *ctx)
{
	struct op *op = ctx;
	flow_channel(loop->flow, &op->op);
}

static int
run_op(struct world *world, unsigned loop, struct op *op, enum flow_channel_op what,
    const char *name)
{
	op->op.op = what;
	op->op.spec.tenant = MAIN;
	if (what == FLOW_CHANNEL_ADD)
		op->op.spec.name = span_str(name);
	op->op.name = span_str(name);
	op->op.infos = op->infos;
	op->op.done = op_done;
	sem_init(&op->done, 0, 0);
	world_call(world, loop, op_begin, op);
	sem_wait(&op->done);
	sem_destroy(&op->done);
	return op->error;
}

static const struct hub_limits ample = {.history_ms = 60000, .bytes = 1 << 20, .messages = 100};

static void
channels_are_made_shown_and_removed(void **state)
{
	struct world *world = open_world(state);
	unsigned far = world->loop_count - 1;
	static struct asker asker;
	char digits[32];
	struct op op = {.op.spec.limits = ample};
	assert_int_equal(run_op(world, far, &op, FLOW_CHANNEL_ADD, "blog/7"), 0);
	uint64_t id = op.infos[0].id;
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_ADD, "blog/7"), -EEXIST);
	assert_int_equal(op.infos[0].id, id);
	snprintf(digits, sizeof digits, "%llu", (unsigned long long)id);
	struct span names[] = {SPAN("blog/7"), span_str(digits)};
	op.op.names = names;
	op.op.limit = 2;
	assert_int_equal(run_op(world, far, &op, FLOW_CHANNEL_NAMES, ""), 0);
	assert_int_equal(op.infos[1].name_len, strlen("blog/7"));
	names[1] = SPAN("999999999");
	assert_int_equal(run_op(world, far, &op, FLOW_CHANNEL_NAMES, ""), -ENOENT);
	assert_int_equal(op.op.info_count, 1);
	asker_init(&asker, "blog/7", HUB_SINCE_NOW, 0);
	asker.stay = true;
	ask(world, far, &asker);
	assert_int_equal(asker.answer.error, 0);
	uint64_t seq = publish(world, 0, "blog/7");
	publish(world, 0, digits);
	assert_int_equal(asker.count, 2);
	assert_int_equal(run_op(world, far, &op, FLOW_CHANNEL_GET, "blog/7"), 0);
	assert_int_equal(op.infos[0].subscribers, 1);
	assert_int_equal(op.infos[0].messages, 2);
	assert_true(op.infos[0].last_seq > seq);
	op.op.limit = 8;
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_LIST, ""), 0);
	assert_int_equal(op.op.info_count, 1);
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_REMOVE, digits), 0);
	sem_wait(&asker.closed);
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_GET, "blog/7"), -ENOENT);
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_RENEW, digits), -ENOENT);
	world_call(world, far, asker_end, &asker);
	end_world(world);
}

static void
a_channel_whose_time_is_over_is_closed(void **state)
{
	struct world *world = open_world(state);
	static struct asker asker;
	struct op op = {.op.spec = {.limits = ample, .ttl_ms = 1}};
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_ADD, "short"), 0);
	op.op.ttl_ms = 200;
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_RENEW, "short"), 0);
	asker_init(&asker, "short", HUB_SINCE_NOW, 0);
	asker.stay = true;
	ask(world, world->loop_count - 1, &asker);
	sem_wait(&asker.closed);
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_GET, "short"), -ENOENT);
	world_call(world, world->loop_count - 1, asker_end, &asker);
	end_world(world);
}

/* ── what outlives the process ── */

static void
reopen(struct world *world)
{
	world_close(world, false);
	world_open(world);
}

static uint64_t
make(struct world *world, struct op *op, const char *name, bool durable)
{
	op->op.spec = (struct hub_channel_spec){.limits = ample, .durable = durable};
	assert_int_equal(run_op(world, world->loop_count - 1, op, FLOW_CHANNEL_ADD, name), 0);
	return op->infos[0].id;
}

/* Asks for what was behind the cursor: how many, and whether something is missing. */
static size_t
count_since(struct world *world, const char *pattern, uint64_t cursor, bool *ret_gap)
{
	static struct asker asker;
	asker_init(&asker, pattern, HUB_SINCE_CURSOR, cursor);
	ask(world, 0, &asker);
	assert_int_equal(asker.answer.error, 0);
	*ret_gap = asker.answer.answer.gap;
	return asker.count;
}

static void
a_durable_channel_outlives_a_kill_with_its_messages(void **state)
{
	struct world *world = open_world(state);
	struct op op = {.error = 0};
	uint64_t seqs[4], again;
	bool gap;
	uint64_t id = make(world, &op, "kept", true);
	make(world, &op, "other", false);
	seqs[0] = publish(world, 0, "kept");
	seqs[1] = publish(world, world->loop_count - 1, "other,kept");
	assert_int_equal(publish_key(world, 0, "kept", "k", &seqs[2]), 0);
	publish(world, 0, "other");
	for (unsigned turn = 0; turn < 2; turn++) {
		reopen(world);
		assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_GET, "kept"), 0);
		assert_int_equal(op.infos[0].id, id);
		assert_int_equal(op.infos[0].messages, 3);
		assert_true(op.infos[0].durable);
		assert_int_equal(count_since(world, "kept", seqs[0], &gap), 2);
		assert_false(gap);
		assert_int_equal(count_since(world, "kept", seqs[2], &gap), 0);
		assert_false(gap);
		assert_int_equal(count_since(world, "other", seqs[1], &gap), 0);
		assert_true(gap);
		assert_int_equal(publish_key(world, 0, "kept", "k", &again), 0);
		assert_int_equal(again, seqs[2]);
	}
	seqs[3] = publish(world, 0, "kept");
	assert_true(seqs[3] > seqs[2]);
	assert_int_equal(count_since(world, "kept", seqs[1], &gap), 2);
	assert_false(gap);
	end_world(world);
}

static void
a_name_that_was_taken_anew_has_nothing_of_the_one_before(void **state)
{
	struct world *world = open_world(state);
	struct op op = {.error = 0};
	bool gap;
	uint64_t first = make(world, &op, "kept", true);
	uint64_t before = publish(world, 0, "kept");
	publish(world, 0, "kept");
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_REMOVE, "kept"), 0);
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_GET, "kept"), -ENOENT);
	assert_true(make(world, &op, "kept", true) > first);
	uint64_t seq = publish(world, 0, "kept");
	reopen(world);
	assert_int_equal(count_since(world, "kept", 0, &gap), 1);
	assert_int_equal(count_since(world, "kept", before, &gap), 1);
	assert_true(gap);
	assert_int_equal(count_since(world, "kept", seq, &gap), 0);
	assert_false(gap);
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_REMOVE, "kept"), 0);
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_REMOVE, "kept"), -ENOENT);
	reopen(world);
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_GET, "kept"), -ENOENT);
	end_world(world);
}

static void
two_who_remove_one_channel_are_told_who_did(void **state)
{
	struct world *world = open_world(state);
	struct op ops[2] = {{.error = 0}};
	unsigned removed = 0;
	make(world, &ops[0], "kept", true);
	for (unsigned i = 0; i < 2; i++) {
		ops[i].op = (struct flow_channel){
			.op = FLOW_CHANNEL_REMOVE, .spec.tenant = MAIN, .name = SPAN("kept"),
			.infos = ops[i].infos, .done = op_done,
		};
		sem_init(&ops[i].done, 0, 0);
		world_call(world, 0, op_begin, &ops[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		sem_wait(&ops[i].done);
		assert_true(ops[i].error == 0 || ops[i].error == -ENOENT);
		removed += !ops[i].error;
	}
	assert_int_equal(removed, 1);
	end_world(world);
}

static void
a_durable_channel_ends_in_its_time_and_stays_ended(void **state)
{
	struct world *world = open_world(state);
	static struct asker asker;
	struct op op = {.error = 0};
	make(world, &op, "kept", true);
	op.op.ttl_ms = 3600 * 1000;
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_RENEW, "kept"), 0);
	assert_true(op.infos[0].expires_ms < INT64_MAX);
	reopen(world);
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_GET, "kept"), 0);
	assert_true(op.infos[0].expires_ms < INT64_MAX);
	op.op.ttl_ms = 100;
	asker_init(&asker, "kept", HUB_SINCE_NOW, 0);
	asker.stay = true;
	ask(world, 0, &asker);
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_RENEW, "kept"), 0);
	sem_wait(&asker.closed);
	world_call(world, 0, asker_end, &asker);
	reopen(world);
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_GET, "kept"), -ENOENT);
	end_world(world);
}

static void
a_history_that_was_cut_is_cut_again_and_says_so(void **state)
{
	struct world *world = open_world(state);
	struct op op = {.op.spec = {.limits = ample, .durable = true}};
	uint64_t seqs[5];
	bool gap;
	op.op.spec.limits.messages = 2;
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_ADD, "kept"), 0);
	for (unsigned i = 0; i < 5; i++)
		seqs[i] = publish(world, 0, "kept");
	for (unsigned turn = 0; turn < 2; turn++) {
		assert_int_equal(count_since(world, "kept", seqs[1], &gap), 2);
		assert_true(gap);
		assert_int_equal(count_since(world, "kept", seqs[2], &gap), 2);
		assert_false(gap);
		reopen(world);
	}
	end_world(world);
}

static void
what_lies_before_the_needed_segments_is_a_gap(void **state)
{
	struct world *world = open_world(state);
	struct op op = {.error = 0};
	char line[64 << 10];
	bool gap;
	make(world, &op, "kept", true); /* for a minute */
	uint64_t first = publish(world, 0, "kept");
	publish(world, 0, "kept");
	memset(line, 'x', sizeof line);
	for (unsigned i = 0; i < 20; i++) { /* more than a segment */
		struct publishing publishing;
		publishing_init(&publishing, "kept", "");
		publishing.publish.data = span_of(line, sizeof line);
		world_call(world, 0, publish_begin, &publishing);
		sem_wait(&publishing.done);
		sem_destroy(&publishing.done);
		assert_int_equal(publishing.error, 0);
	}
	atomic_fetch_add(&world->env.ahead_ms, 3600 * 1000);
	/* The loops see the clock when they have had mail. */
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_GET, "kept"), 0);
	assert_int_equal(run_op(world, 0, &op, FLOW_CHANNEL_GET, "kept"), 0);
	uint64_t young = publish(world, 0, "kept");
	publish(world, 0, "kept");
	reopen(world);
	assert_int_equal(count_since(world, "kept", first, &gap), 2);
	assert_true(gap);
	assert_int_equal(count_since(world, "kept", young, &gap), 1);
	assert_false(gap);
	end_world(world);
}

static void
forged_done(struct flow_ticket *ticket, int error)
{
	check(error == 0);
	sem_post(&CONTAINER_OF(ticket, struct world_append, ticket)->done);
}

struct forged {
	struct world_append append;
	struct span body;
};

static void
forged_begin(struct world_loop *loop, void *ctx)
{
	struct forged *forged = ctx;
	struct journal_record like = {
		.count = 2, .stream = JOURNAL_MESSAGES, .arrival_ms = loop_now_ms(loop->loop),
		.tenant = MAIN, .principal = SPAN("x"), .body = forged->body,
	};
	forged->append.ticket.done = forged_done;
	check(journal_record_create(&like, false, &forged->append.ticket.record) == 0);
	check(flow_append(loop->flow, &forged->append.ticket) == 0);
}

static void
a_record_that_is_no_message_is_skipped_and_counts_as_lost(void **state)
{
	static const struct span bodies[] = {
		{"", 0}, {"\x41", 1}, {"\x01", 1}, {"\x01\x04kep", 5}, {"\x01\x04kept", 6},
		{"\x01\x04kept\x00\x00\x7f", 9}, {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10},
		{"\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7fkept", 14},
	};
	struct world *world = open_world(state);
	struct op op = {.error = 0};
	bool gap;
	make(world, &op, "kept", true);
	uint64_t first = publish(world, 0, "kept");
	for (size_t i = 0; i < ARRAY_COUNT(bodies); i++) {
		struct forged forged = {.body = bodies[i]};
		sem_init(&forged.append.done, 0, 0);
		world_call(world, 0, forged_begin, &forged);
		sem_wait(&forged.append.done);
		sem_destroy(&forged.append.done);
	}
	uint64_t last = publish(world, 0, "kept");
	reopen(world);
	assert_int_equal(world->warnings, ARRAY_COUNT(bodies));
	assert_int_equal(count_since(world, "kept", first, &gap), 1);
	assert_true(gap);
	assert_int_equal(count_since(world, "kept", last, &gap), 0);
	assert_false(gap);
	end_world(world);
}

static void
a_clock_that_is_set_back_turns_no_order_round(void **state)
{
	struct world *world = open_world(state);
	static struct asker asker;
	struct op op = {.error = 0};
	struct publishing publishing;
	int64_t time_ms = 0;
	uint64_t seq = 0;
	make(world, &op, "kept", true);
	for (unsigned i = 0; i < 30; i++) {
		if (i == 10)
			atomic_store(&world->env.back_ms, 3600 * 1000);
		if (i == 20)
			reopen(world);
		publishing_init(&publishing, i % 2 ? "kept" : "kept,other", "");
		world_call(world, i % world->loop_count, publish_begin, &publishing);
		sem_wait(&publishing.done);
		sem_destroy(&publishing.done);
		assert_int_equal(publishing.error, 0);
		assert_true(publishing.publish.seq > seq);
		assert_true(publishing.publish.time_ms >= time_ms);
		seq = publishing.publish.seq;
		time_ms = publishing.publish.time_ms;
	}
	asker_init(&asker, "kept", HUB_SINCE_OLDEST, 0);
	ask(world, 0, &asker);
	assert_int_equal(asker.count, 30);
	for (size_t i = 1; i < asker.count; i++)
		assert_true(asker.seqs[i] > asker.seqs[i - 1]);
	end_world(world);
}

#define ON_LOOPS(test)                                                          \
	{"one loop: " #test, test, NULL, NULL, (void *)1},           \
	{"two loops: " #test, test, NULL, NULL, (void *)2}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ON_LOOPS(who_asks_gets_what_was_and_what_comes),
		ON_LOOPS(a_poll_hears_nothing_later),
		ON_LOOPS(a_long_past_comes_in_pieces_and_then_live),
		ON_LOOPS(the_past_joins_the_present_without_a_seam),
		ON_LOOPS(a_key_publishes_once),
		ON_LOOPS(an_id_that_no_channel_has_is_refused),
		ON_LOOPS(channels_are_made_shown_and_removed),
		ON_LOOPS(a_channel_whose_time_is_over_is_closed),
		ON_LOOPS(a_durable_channel_outlives_a_kill_with_its_messages),
		ON_LOOPS(a_name_that_was_taken_anew_has_nothing_of_the_one_before),
		ON_LOOPS(two_who_remove_one_channel_are_told_who_did),
		ON_LOOPS(a_durable_channel_ends_in_its_time_and_stays_ended),
		ON_LOOPS(a_history_that_was_cut_is_cut_again_and_says_so),
		ON_LOOPS(what_lies_before_the_needed_segments_is_a_gap),
		ON_LOOPS(a_record_that_is_no_message_is_skipped_and_counts_as_lost),
		ON_LOOPS(a_clock_that_is_set_back_turns_no_order_round),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

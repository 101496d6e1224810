/*
 * runs.h: sinks that hear runs: all of one in one piece, which is made once.
 */
#ifndef TEST_RUNS_H
#define TEST_RUNS_H

#include "buf.h"
#include "hub.h"

static int
run_encode(const struct hub_message *message, uint64_t channels, struct buf *out)
{
	(void)channels;
	return buf_printf(out, "%llu,", (unsigned long long)message->seq);
}

/* Gives each message to `deliver`; the piece must be that of all of them. */
static void
run_hear(struct sink *sink, struct hub_run *run, enum hub_form form,
    void (*deliver)(struct sink *sink, struct hub_message *message, uint64_t channels))
{
	struct span bytes;
	void *joined;
	struct buf wanted;
	buf_init(&wanted, 0);
	assert_int_equal(hub_run_form(run, form, run_encode, &bytes, &joined), 0);
	assert_ptr_equal(run->joined[form], joined);
	for (size_t i = 0; i < run->count; i++) {
		deliver(sink, run->messages[i], HUB_ALL_CHANNELS);
		run_encode(run->messages[i], HUB_ALL_CHANNELS, &wanted);
	}
	assert_true(span_eq(bytes, buf_span(&wanted)));
	hub_joined_unref(joined);
	buf_finish(&wanted);
}

#endif

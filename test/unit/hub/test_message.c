/*
 * A message: its texts are copies, its forms are encoded once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hub.h"
#include "thread.h"

static struct hub_message *
make(const char *channel)
{
	struct hub_message *message;
	char *copy = strdup(channel);
	assert_int_equal(hub_message_create(7, 1700000000000, SPAN("main"), span_str(copy),
	    SPAN("{\"x\":1}"), &message), 0);
	free(copy);
	return message;
}

static void
json_is_as_promised(void **state)
{
	(void)state;
	struct hub_message *message = make("a\"\\\x01/ü");
	struct buf out;
	buf_init(&out, 0);
	assert_int_equal(hub_message_json(message, HUB_ALL_CHANNELS, &out), 0);
	assert_true(span_eq(buf_span(&out), SPAN("{\"id\":\"m7\",\"time\":1700000000000,"
	    "\"channels\":[\"a\\\"\\\\\\u0001/ü\"],\"data\":{\"x\":1}}")));
	buf_finish(&out);
	hub_message_unref(message);
}

static void
json_that_does_not_fit_leaves_the_buffer_as_it_was(void **state)
{
	(void)state;
	struct hub_message *message = make("a");
	struct buf out;
	buf_init(&out, 20);
	assert_int_equal(buf_append_str(&out, "before"), 0);
	assert_int_equal(hub_message_json(message, HUB_ALL_CHANNELS, &out), -EMSGSIZE);
	assert_true(span_eq(buf_span(&out), SPAN("before")));
	buf_finish(&out);
	hub_message_unref(message);
}

static int
encode_id(const struct hub_message *message, uint64_t channels, struct buf *out)
{
	(void)channels;
	return buf_append_u64(out, message->seq);
}

static int
encode_never(const struct hub_message *message, uint64_t channels, struct buf *out)
{
	(void)channels;
	(void)message;
	(void)out;
	return -ENOMEM;
}

static void
a_form_is_encoded_once(void **state)
{
	(void)state;
	struct hub_message *message = make("a");
	struct span first, second;
	assert_int_equal(hub_message_form(message, HUB_FORM_WS, 1, encode_never, &first), -ENOMEM);
	assert_int_equal(hub_message_form(message, HUB_FORM_WS, 1, encode_id, &first), 0);
	assert_true(span_eq(first, SPAN("7")));
	assert_int_equal(hub_message_form(message, HUB_FORM_WS, 1, encode_never, &second), 0);
	assert_ptr_equal(first.ptr, second.ptr);
	assert_int_equal(hub_message_form(message, HUB_FORM_SSE, 1, encode_never, &second),
	    -ENOMEM);
	struct hub_message *other = hub_message_ref(message);
	hub_message_unref(message);
	assert_int_equal(other->seq, 7);
	hub_message_unref(other);
	hub_message_unref(NULL);
}

enum { THREADS = 4, MESSAGES = 2000 };

struct racer {
	pthread_t thread;
	struct hub_message **messages;
	struct span forms[MESSAGES];
	unsigned failures;
};

static void
race(void *ctx)
{
	struct racer *racer = ctx;
	for (size_t i = 0; i < MESSAGES; i++) {
		racer->failures += hub_message_form(racer->messages[i], HUB_FORM_SSE, 1,
		    hub_message_json, &racer->forms[i]) != 0;
		racer->failures += racer->forms[i].len < 60;
	}
	for (size_t i = 0; i < MESSAGES; i++)
		hub_message_unref(racer->messages[i]);
}

static void
threads_that_encode_at_once_get_one_form(void **state)
{
	(void)state;
	struct racer *racers = calloc(THREADS, sizeof(*racers));
	struct hub_message *messages[MESSAGES];
	for (size_t i = 0; i < MESSAGES; i++) {
		messages[i] = make("a/b");
		for (size_t k = 0; k < THREADS; k++)
			hub_message_ref(messages[i]);
	}
	for (size_t k = 0; k < THREADS; k++) {
		racers[k].messages = messages;
		assert_int_equal(thread_start(&racers[k].thread, "race", race, &racers[k]), 0);
	}
	for (size_t k = 0; k < THREADS; k++)
		thread_join(racers[k].thread);
	for (size_t i = 0; i < MESSAGES; i++) {
		for (size_t k = 0; k < THREADS; k++)
			assert_ptr_equal(racers[k].forms[i].ptr, racers[0].forms[i].ptr);
		hub_message_unref(messages[i]);
	}
	for (size_t k = 0; k < THREADS; k++)
		assert_int_equal(racers[k].failures, 0);
	free(racers);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_is_as_promised),
		cmocka_unit_test(json_that_does_not_fit_leaves_the_buffer_as_it_was),
		cmocka_unit_test(a_form_is_encoded_once),
		cmocka_unit_test(threads_that_encode_at_once_get_one_form),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

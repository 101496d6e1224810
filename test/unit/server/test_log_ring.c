/*
 * test_log_ring.c: the last lines of the log: order, what goes when there is no room, late readers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "log_ring.h"

#define RING_BYTES 1000

static struct log_ring *
ring_with(unsigned first, unsigned count)
{
	struct log_ring *ring;

	assert_int_equal(log_ring_create(RING_BYTES, &ring), 0);
	for (unsigned i = first; i < first + count; i++) {
		char line[64];
		int len = snprintf(line, sizeof line, "{\"n\":%u,%.*s}", i, (int)(i % 23),
		    "xxxxxxxxxxxxxxxxxxxxxxx");

		log_ring_add(ring, 1000 + i, i % 4, span_of(line, (size_t)len));
	}
	return ring;
}

/* The number that the next line holds; -1: there is none. */
static int
next(struct log_ring *ring, struct log_ring_cursor *cursor)
{
	char bytes[LOG_RING_LINE_BYTES_MAX + 1];
	struct span json;
	int64_t time_ms;
	unsigned level;
	int number;

	if (!log_ring_next(ring, cursor, &time_ms, &level, bytes, &json))
		return -1;
	bytes[json.len] = '\0';
	assert_int_equal(sscanf(bytes, "{\"n\":%d,", &number), 1);
	assert_int_equal(time_ms, 1000 + number);
	assert_int_equal(level, number % 4);
	assert_int_equal(bytes[json.len - 1], '}');
	return number;
}

static void
lines_come_in_order_and_once(void **state)
{
	struct log_ring *ring = ring_with(0, 5);
	struct log_ring_cursor cursor = {0};

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(next(ring, &cursor), i);
	assert_int_equal(next(ring, &cursor), -1);
	log_ring_add(ring, 1005, 1, SPAN("{\"n\":5,}"));
	assert_int_equal(next(ring, &cursor), 5);
	assert_int_equal(next(ring, &cursor), -1);
	log_ring_destroy(ring);
}

static void
the_oldest_go_when_there_is_no_room(void **state)
{
	(void)state;
	for (unsigned count = 1; count < 300; count++) {
		struct log_ring *ring = ring_with(0, count);
		struct log_ring_cursor cursor = {0};
		int number = next(ring, &cursor), first = number;

		assert_true(count > 20 || first == 0);
		assert_true(count - (unsigned)first >= MIN(count, 20u));
		for (; number >= 0; number = next(ring, &cursor))
			first = number;
		assert_int_equal(first, count - 1);
		log_ring_destroy(ring);
	}
}

static void
a_late_reader_goes_on_with_what_is_there(void **state)
{
	struct log_ring *ring = ring_with(0, 3);
	struct log_ring_cursor cursor = {0};
	int number;

	(void)state;
	assert_int_equal(next(ring, &cursor), 0);
	for (unsigned i = 3; i < 200; i++) {
		char line[32];
		int len = snprintf(line, sizeof line, "{\"n\":%u,}", i);

		log_ring_add(ring, 1000 + i, i % 4, span_of(line, (size_t)len));
	}
	number = next(ring, &cursor);
	assert_true(number > 100);
	for (int i = number + 1; i < 200; i++)
		assert_int_equal(next(ring, &cursor), i);
	assert_int_equal(next(ring, &cursor), -1);
	log_ring_destroy(ring);
}

static void
a_line_without_room_is_left_out(void **state)
{
	struct log_ring *ring = ring_with(0, 2);
	struct log_ring_cursor cursor = {0};
	char line[LOG_RING_LINE_BYTES_MAX + 1];

	(void)state;
	memset(line, 'x', sizeof line);
	log_ring_add(ring, 0, 0, span_of(line, RING_BYTES));
	log_ring_add(ring, 0, 0, span_of(line, sizeof line));
	assert_int_equal(next(ring, &cursor), 0);
	assert_int_equal(next(ring, &cursor), 1);
	assert_int_equal(next(ring, &cursor), -1);
	log_ring_destroy(ring);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_in_order_and_once),
		cmocka_unit_test(the_oldest_go_when_there_is_no_room),
		cmocka_unit_test(a_late_reader_goes_on_with_what_is_there),
		cmocka_unit_test(a_line_without_room_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What the names of lines came to: found by their bytes, kept apart, bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "line_cache.h"

static void
offer(struct line_cache *cache, struct span tenant, struct span head, struct span name,
    uint32_t partition)
{
	struct line_offer fields[2] = {
		{name, SPAN("key"), 1, partition}, {SPAN("second"), SPAN("other"), 2, partition}};
	line_cache_offer(cache, line_cache_hash(line_cache_seed(tenant), head), tenant, head,
	    fields, 2);
}

static struct line_shape *
find(struct line_cache *cache, struct span tenant, struct span head)
{
	return line_cache_find(cache, line_cache_hash(line_cache_seed(tenant), head), tenant,
	    head);
}

static void
a_head_ends_behind_the_first_field_name(void **state)
{
	(void)state;
	assert_true(span_eq(line_cache_head(SPAN("w,a=b f=1,g=2 3")), SPAN("w,a=b f=")));
	assert_true(span_eq(line_cache_head(SPAN("w f=1")), SPAN("w f=")));
	assert_null(line_cache_head(SPAN("w")).ptr);
	assert_null(line_cache_head(SPAN("w,a=b")).ptr);
	assert_null(line_cache_head(SPAN("w,a=b f")).ptr);
	assert_null(line_cache_head(SPAN("")).ptr);
	assert_null(line_cache_head(span_of(NULL, 0)).ptr);
	char text[LINE_CACHE_HEAD_BYTES_MAX + 2];
	memset(text, 'w', sizeof text);
	text[LINE_CACHE_HEAD_BYTES_MAX - 3] = ' ';
	text[LINE_CACHE_HEAD_BYTES_MAX - 1] = '=';
	assert_int_equal(line_cache_head(span_of(text, sizeof text)).len,
	    LINE_CACHE_HEAD_BYTES_MAX);
	text[LINE_CACHE_HEAD_BYTES_MAX - 1] = 'f';
	text[LINE_CACHE_HEAD_BYTES_MAX] = '=';
	assert_null(line_cache_head(span_of(text, sizeof text)).ptr);
}

static void
a_shape_is_found_by_tenant_and_head(void **state)
{
	struct line_cache *cache;
	struct span head = SPAN("w,a=b f=");
	(void)state;
	assert_int_equal(line_cache_create(&cache), 0);
	assert_null(find(cache, SPAN("main"), head));
	offer(cache, SPAN("main"), head, SPAN("f"), 3);
	offer(cache, SPAN("other"), head, SPAN("f"), 5);
	struct line_shape *shape = find(cache, SPAN("main"), head);
	assert_non_null(shape);
	assert_int_equal(shape->field_count, 2);
	assert_int_equal(shape->fields[1].partition, 3);
	const char *bytes = line_shape_bytes(shape);
	const struct line_field *second = &shape->fields[1];
	assert_true(span_eq(span_of(bytes + second->name_off, second->name_len),
	    SPAN("second=")));
	assert_true(span_eq(span_of(bytes + second->key_off, second->key_len), SPAN("other")));
	assert_int_equal(find(cache, SPAN("other"), head)->fields[0].partition, 5);
	assert_null(find(cache, SPAN("main"), SPAN("w,a=b g=")));
	/* The same head with other fields takes its own place. */
	offer(cache, SPAN("main"), head, SPAN("f"), 4);
	assert_int_equal(find(cache, SPAN("main"), head)->fields[0].partition, 4);
	line_cache_destroy(cache);
	line_cache_destroy(NULL);
}

static struct span
head_write(char room[32], unsigned number)
{
	return span_of(room, (size_t)snprintf(room, 32, "w,device=%u f=", number));
}

static unsigned
count_known(struct line_cache *cache, unsigned from, unsigned to)
{
	char room[32];
	unsigned known = 0;
	for (unsigned i = from; i < to; i++)
		known += find(cache, SPAN("main"), head_write(room, i)) != NULL;
	return known;
}

static void
what_is_there_stays_until_another_head_comes_twice(void **state)
{
	struct line_cache *cache;
	char room[32];
	(void)state;
	assert_int_equal(line_cache_create(&cache), 0);
	for (unsigned i = 0; i < 100000; i++)
		offer(cache, SPAN("main"), head_write(room, i), SPAN("f"), 0);
	unsigned known = count_known(cache, 0, 100000);
	assert_true(known > 10000 && known < 20000);
	for (unsigned i = 100000; i < 110000; i++)
		offer(cache, SPAN("main"), head_write(room, i), SPAN("f"), 0);
	assert_true(count_known(cache, 0, 100000) == known);
	for (unsigned i = 100000; i < 101000; i++) {
		offer(cache, SPAN("main"), head_write(room, i), SPAN("f"), 0);
		offer(cache, SPAN("main"), head_write(room, i), SPAN("f"), 0);
	}
	assert_true(count_known(cache, 100000, 101000) > 900);
	assert_true(count_known(cache, 0, 100000) < known);
	line_cache_destroy(cache);
}

static void
memory_is_bounded(void **state)
{
	struct line_cache *cache;
	struct line_offer fields[LINE_CACHE_FIELDS_MAX];
	char room[32];
	size_t bytes = 0;
	(void)state;
	assert_int_equal(line_cache_create(&cache), 0);
	for (unsigned i = 0; i < LINE_CACHE_FIELDS_MAX; i++)
		fields[i] = (struct line_offer){SPAN("f"), SPAN("a key of some length"), 1, 0};
	for (unsigned i = 0; i < 10000; i++) {
		struct span head = head_write(room, i);
		line_cache_offer(cache, line_cache_hash(line_cache_seed(SPAN("main")), head),
		    SPAN("main"), head, fields, LINE_CACHE_FIELDS_MAX);
	}
	for (unsigned i = 0; i < 10000; i++) {
		struct line_shape *shape = find(cache, SPAN("main"), head_write(room, i));
		bytes += shape ? shape->bytes : 0;
	}
	assert_true(bytes > LINE_CACHE_BYTES_MAX / 2 && bytes <= LINE_CACHE_BYTES_MAX);
	line_cache_destroy(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_ends_behind_the_first_field_name),
		cmocka_unit_test(a_shape_is_found_by_tenant_and_head),
		cmocka_unit_test(what_is_there_stays_until_another_head_comes_twice),
		cmocka_unit_test(memory_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The hash table against a plain array, with good hashes, bad ones and one for all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "map.h"

enum { ITEMS = 2000 };

struct item {
	uint64_t key, hash;
	bool in;
};

static bool
match(const void *value, const void *key)
{
	return ((const struct item *)value)->key == *(const uint64_t *)key;
}

static size_t
count_by_iteration(const struct map *m)
{
	size_t pos = 0, count = 0;
	for (struct item *item; (item = map_next(m, &pos)); count++)
		assert_true(item->in);
	return count;
}

static void
run_against_model(uint64_t (*hash)(uint64_t key), size_t items, int steps)
{
	struct item *all = calloc(items, sizeof(*all));
	struct map m;
	size_t count = 0;
	srand(7);
	map_init(&m);
	for (size_t i = 0; i < items; i++)
		all[i] = (struct item){.key = i, .hash = hash(i)};
	for (int i = 0; i < steps; i++) {
		struct item *item = &all[(size_t)rand() % items];
		if (item->in) {
			assert_true(map_remove(&m, item->hash, item));
			count--;
		} else {
			assert_false(map_remove(&m, item->hash, item));
			assert_int_equal(map_add(&m, item->hash, item), 0);
			count++;
		}
		item->in = !item->in;
		assert_int_equal(m.count, count);
		item = &all[(size_t)rand() % items];
		assert_ptr_equal(
		    map_get(&m, item->hash, match, &item->key), item->in ? item : NULL);
	}
	for (size_t i = 0; i < items; i++)
		assert_ptr_equal(
		    map_get(&m, all[i].hash, match, &all[i].key), all[i].in ? &all[i] : NULL);
	assert_int_equal(count_by_iteration(&m), count);
	assert_true(m.count * 4 <= (m.mask + 1) * 3);
	map_finish(&m);
	free(all);
}

static uint64_t
scattered(uint64_t key)
{
	return (key + 1) * UINT64_C(0xd6e8feb86659fd93);
}

static uint64_t
plain(uint64_t key)
{
	return key << 12;
}

static uint64_t
constant(uint64_t key)
{
	(void)key;
	return 5;
}

static void
agrees_with_a_plain_array(void **state)
{
	(void)state;
	run_against_model(scattered, ITEMS, 60000);
}

static void
agrees_when_hashes_are_plain_numbers(void **state)
{
	(void)state;
	run_against_model(plain, ITEMS, 30000);
}

static void
agrees_when_all_hashes_are_equal(void **state)
{
	(void)state;
	run_against_model(constant, 60, 4000);
}

static void
empty_map_answers_and_allocates_nothing(void **state)
{
	(void)state;
	struct map m;
	uint64_t key = 1;
	size_t pos = 0;
	map_init(&m);
	assert_null(map_get(&m, 1, match, &key));
	assert_false(map_remove(&m, 1, &key));
	assert_null(map_next(&m, &pos));
	assert_null(m.slots);
	map_finish(&m);
}

static void
reserved_room_is_not_outgrown(void **state)
{
	(void)state;
	struct map m;
	struct item items[1000];
	map_init(&m);
	assert_int_equal(map_reserve(&m, 1000), 0);
	const struct map_slot *slots = m.slots;
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(map_add(&m, i, &items[i]), 0);
	assert_ptr_equal(m.slots, slots);
	assert_int_equal(map_reserve(&m, 10), 0);
	assert_ptr_equal(m.slots, slots);
	assert_true(map_reserve(&m, SIZE_MAX) < 0);
	assert_int_equal(m.count, 1000);
	map_finish(&m);
}

static void
equal_hashes_are_told_apart_by_the_caller(void **state)
{
	(void)state;
	struct map m;
	struct item a = {.key = 1}, b = {.key = 2};
	map_init(&m);
	assert_int_equal(map_add(&m, 9, &a), 0);
	assert_int_equal(map_add(&m, 9, &b), 0);
	assert_ptr_equal(map_get(&m, 9, match, &b.key), &b);
	assert_false(map_remove(&m, 8, &b));
	assert_true(map_remove(&m, 9, &a));
	assert_null(map_get(&m, 9, match, &a.key));
	assert_ptr_equal(map_get(&m, 9, match, &b.key), &b);
	map_finish(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(agrees_with_a_plain_array),
	    cmocka_unit_test(agrees_when_hashes_are_plain_numbers),
	    cmocka_unit_test(agrees_when_all_hashes_are_equal),
	    cmocka_unit_test(empty_map_answers_and_allocates_nothing),
	    cmocka_unit_test(reserved_room_is_not_outgrown),
	    cmocka_unit_test(equal_hashes_are_told_apart_by_the_caller),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

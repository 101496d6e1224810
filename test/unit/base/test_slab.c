/*
 * test_slab.c: objects of one size: distinct, aligned, used again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "slab.h"

enum { COUNT = 3000, BYTES = 44 };

static void
objects_of_many_blocks_do_not_touch_each_other(void **state)
{
	struct slab slab;
	static unsigned char *objects[COUNT];
	(void)state;
	slab_init(&slab, BYTES);
	for (int i = 0; i < COUNT; i++) {
		objects[i] = slab_get(&slab);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % 8, 0);
		memset(objects[i], i & 255, BYTES);
	}
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(objects[i][0], i & 255);
		assert_int_equal(objects[i][BYTES - 1], i & 255);
		slab_put(&slab, objects[i]);
	}
	slab_finish(&slab);
}

static void
what_was_given_back_serves_again(void **state)
{
	struct slab slab;
	(void)state;
	slab_init(&slab, BYTES);
	for (int round = 0; round < COUNT; round++) {
		char *first = slab_get(&slab), *second = slab_get(&slab);
		assert_non_null(first);
		assert_non_null(second);
		assert_ptr_not_equal(first, second);
		memset(first, 1, BYTES);
		memset(second, 2, BYTES);
		assert_int_equal(first[BYTES - 1], 1);
		slab_put(&slab, first);
		slab_put(&slab, second);
		slab_put(&slab, NULL);
	}
	slab_finish(&slab);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_of_many_blocks_do_not_touch_each_other),
		cmocka_unit_test(what_was_given_back_serves_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

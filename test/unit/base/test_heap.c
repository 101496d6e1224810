/* The heap against a search through a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "heap.h"

enum { NODES = 200 };

static uint64_t
least_key(const struct heap_node *nodes)
{
	uint64_t least = UINT64_MAX;
	for (int i = 0; i < NODES; i++) {
		if (nodes[i].index && nodes[i].key < least)
			least = nodes[i].key;
	}
	return least;
}

static void
minimum_is_right_under_random_changes(void **state)
{
	(void)state;
	struct heap_node nodes[NODES] = {{0}};
	struct heap h;
	size_t count = 0;
	srand(3);
	heap_init(&h);
	for (int i = 0; i < 20000; i++) {
		struct heap_node *node = &nodes[rand() % NODES];
		uint64_t key = (uint64_t)rand() % 500;
		if (!node->index) {
			assert_int_equal(heap_add(&h, node, key), 0);
			count++;
		} else if (rand() % 2) {
			heap_rekey(&h, node, key);
		} else {
			heap_remove(&h, node);
			assert_int_equal(node->index, 0);
			count--;
		}
		assert_int_equal(h.count, count);
		if (count)
			assert_int_equal(heap_min(&h)->key, least_key(nodes));
		else
			assert_null(heap_min(&h));
	}
	heap_finish(&h);
}

static void
nodes_come_out_in_order(void **state)
{
	(void)state;
	struct heap_node nodes[NODES] = {{0}};
	struct heap h;
	uint64_t last = 0;
	srand(4);
	heap_init(&h);
	for (int i = 0; i < NODES; i++)
		assert_int_equal(heap_add(&h, &nodes[i], (uint64_t)rand() << (i % 32)), 0);
	for (int i = 0; i < NODES; i++) {
		struct heap_node *node = heap_min(&h);
		assert_true(node->key >= last);
		last = node->key;
		heap_remove(&h, node);
	}
	assert_null(heap_min(&h));
	heap_finish(&h);
}

static void
largest_key_is_a_key_like_others(void **state)
{
	(void)state;
	struct heap_node a = {0}, b = {0};
	struct heap h;
	heap_init(&h);
	assert_int_equal(heap_add(&h, &a, UINT64_MAX), 0);
	assert_ptr_equal(heap_min(&h), &a);
	assert_int_equal(heap_add(&h, &b, 0), 0);
	assert_ptr_equal(heap_min(&h), &b);
	heap_rekey(&h, &b, UINT64_MAX);
	heap_rekey(&h, &a, 1);
	assert_ptr_equal(heap_min(&h), &a);
	heap_finish(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(minimum_is_right_under_random_changes),
	    cmocka_unit_test(nodes_come_out_in_order),
	    cmocka_unit_test(largest_key_is_a_key_like_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

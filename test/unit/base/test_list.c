/* The intrusive list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "check.h"
#include "list.h"

struct item {
	int number;
	struct list link;
};

static int
digits_of(struct list *head)
{
	int digits = 0;
	LIST_FOREACH (node, head)
		digits = digits * 10 + CONTAINER_OF(node, struct item, link)->number;
	return digits;
}

static void
items_keep_the_order_of_arrival(void **state)
{
	(void)state;
	struct list head;
	struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
	list_init(&head);
	assert_true(list_empty(&head));
	for (int i = 0; i < 3; i++)
		list_push_back(&head, &items[i].link);
	assert_false(list_empty(&head));
	assert_int_equal(digits_of(&head), 123);
}

static void
removing_twice_is_harmless(void **state)
{
	(void)state;
	struct list head;
	struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
	list_init(&head);
	for (int i = 0; i < 3; i++)
		list_push_back(&head, &items[i].link);
	list_remove(&items[1].link);
	list_remove(&items[1].link);
	assert_int_equal(digits_of(&head), 13);
}

static void
loop_may_remove_what_it_visits(void **state)
{
	(void)state;
	struct list head;
	struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
	list_init(&head);
	for (int i = 0; i < 4; i++)
		list_push_back(&head, &items[i].link);
	LIST_FOREACH_SAFE (node, after, &head) {
		if (CONTAINER_OF(node, struct item, link)->number % 2 == 0)
			list_remove(node);
	}
	assert_int_equal(digits_of(&head), 13);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(items_keep_the_order_of_arrival),
	    cmocka_unit_test(removing_twice_is_harmless),
	    cmocka_unit_test(loop_may_remove_what_it_visits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The file that holds space: made when there is room, given up when there is none, and not both in
 * turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "reserve.h"
#include "sim.h"

#define MIB (UINT64_C(1) << 20)
#define WANTED (64 * MIB)

static struct reserve
begin(void)
{
	struct reserve reserve = {.env = sim_create(1), .dir = "data"};
	assert_non_null(reserve.env);
	assert_int_equal(env_mkdir(reserve.env, "data"), 0);
	return reserve;
}

static void
look(struct reserve *reserve, uint64_t wanted, uint64_t free_bytes, enum reserve_change must)
{
	enum reserve_change change;
	uint64_t bytes = 0;
	assert_int_equal(reserve_look(reserve, wanted, free_bytes, &change), 0);
	assert_int_equal(change, must);
	env_stat(reserve->env, "data/reserve", &bytes);
	assert_int_equal(bytes, reserve->bytes);
}

static void
it_is_given_up_on_a_full_disk_and_made_again_when_there_is_room(void **state)
{
	(void)state;
	struct reserve reserve = begin();
	look(&reserve, WANTED, 127 * MIB, RESERVE_SAME);
	look(&reserve, WANTED, 128 * MIB, RESERVE_MADE);
	assert_int_equal(reserve.bytes, WANTED);
	look(&reserve, WANTED, 16 * MIB, RESERVE_SAME);
	assert_true(reserve_is_near(&reserve, WANTED, 16 * MIB));
	assert_false(reserve_is_near(&reserve, WANTED, 64 * MIB));
	look(&reserve, WANTED, 16 * MIB - 1, RESERVE_GIVEN_UP);
	assert_int_equal(reserve.bytes, 0);
	look(&reserve, WANTED, 80 * MIB, RESERVE_SAME);
	assert_true(reserve_is_near(&reserve, WANTED, 80 * MIB));
	look(&reserve, WANTED, 200 * MIB, RESERVE_MADE);
	env_destroy(reserve.env);
}

static void
what_an_earlier_process_left_is_known(void **state)
{
	(void)state;
	struct reserve reserve = begin();
	look(&reserve, WANTED, 200 * MIB, RESERVE_MADE);
	reserve.bytes = 0;
	look(&reserve, WANTED, 40 * MIB, RESERVE_SAME);
	assert_int_equal(reserve.bytes, WANTED);
	look(&reserve, WANTED / 2, 200 * MIB, RESERVE_GIVEN_UP);
	look(&reserve, WANTED / 2, 200 * MIB, RESERVE_MADE);
	assert_int_equal(reserve.bytes, WANTED / 2);
	look(&reserve, 0, 200 * MIB, RESERVE_GIVEN_UP);
	look(&reserve, 0, 200 * MIB, RESERVE_SAME);
	assert_false(reserve_is_near(&reserve, 0, 0));
	env_destroy(reserve.env);
}

static void
what_cannot_be_made_leaves_nothing(void **state)
{
	(void)state;
	struct reserve reserve = begin();
	enum reserve_change change;
	uint64_t bytes;
	sim_disk_limit(reserve.env, 10 * MIB);
	assert_int_equal(reserve_look(&reserve, WANTED, 200 * MIB, &change), -ENOSPC);
	assert_int_equal(change, RESERVE_SAME);
	assert_int_equal(env_stat(reserve.env, "data/reserve", &bytes), -ENOENT);
	sim_disk_limit(reserve.env, 0);
	for (int op = 0; op < SIM_OP_COUNT; op++) {
		sim_fail(reserve.env, (enum sim_op)op, op == SIM_READ, -EIO, false);
		int error = reserve_look(&reserve, WANTED, 200 * MIB, &change);
		sim_heal(reserve.env);
		assert_true(error == 0 || error == -EIO);
		assert_int_equal(change == RESERVE_MADE, error == 0);
		if (!error)
			look(&reserve, WANTED, 0, RESERVE_GIVEN_UP);
	}
	env_destroy(reserve.env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_given_up_on_a_full_disk_and_made_again_when_there_is_room),
		cmocka_unit_test(what_an_earlier_process_left_is_known),
		cmocka_unit_test(what_cannot_be_made_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

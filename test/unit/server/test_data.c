/*
 * test_data.c: a data directory: made, locked, its secret and its partitions kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#include "data.h"

struct world {
	struct env *env;
	char top[32], dir[64], reason[DATA_REASON_BYTES];
};

static int
setup(void **state)
{
	struct world *world = test_calloc(1, sizeof *world);
	strcpy(world->top, "/tmp/weir-data-XXXXXX");
	assert_non_null(mkdtemp(world->top));
	snprintf(world->dir, sizeof world->dir, "%s/made", world->top);
	world->env = env_create();
	*state = world;
	return 0;
}

static int
unlink_each(void *ctx, const char *name)
{
	struct world *world = ctx;
	char path[128];
	snprintf(path, sizeof path, "%s/%s", world->dir, name);
	unlink(path);
	return 0;
}

static int
teardown(void **state)
{
	struct world *world = *state;
	env_list_dir(world->env, world->dir, unlink_each, world);
	rmdir(world->dir);
	unlink(world->dir);
	rmdir(world->top);
	env_destroy(world->env);
	test_free(world);
	return 0;
}

static void
it_is_made_and_its_secret_stays(void **state)
{
	struct world *world = *state;
	struct data data;
	struct stat st;
	unsigned char secret[32], zeros[32] = {0};
	assert_int_equal(data_open(world->env, world->dir, &data, world->reason), 0);
	assert_int_equal(stat(world->dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	memcpy(secret, data.secret, sizeof secret);
	assert_memory_not_equal(secret, zeros, sizeof secret);
	data_close(&data);
	assert_null(data.secret);
	assert_int_equal(data_open(world->env, world->dir, &data, world->reason), 0);
	assert_memory_equal(secret, data.secret, sizeof secret);
	data_close(&data);
}

static void
partitions_are_fixed_when_it_is_made(void **state)
{
	struct world *world = *state;
	struct data data;
	uint32_t partitions = 0;
	assert_int_equal(data_open(world->env, world->dir, &data, world->reason), 0);
	assert_int_equal(data_partitions(&data, 4, &partitions, world->reason), 0);
	assert_int_equal(partitions, 4);
	data_close(&data);
	assert_int_equal(data_open(world->env, world->dir, &data, world->reason), 0);
	assert_int_equal(data_partitions(&data, 8, &partitions, world->reason), -EINVAL);
	assert_non_null(strstr(world->reason, "was made with 4 partitions"));
	assert_non_null(strstr(world->reason, "series.partitions is 8"));
	assert_int_equal(data_partitions(&data, 4, &partitions, world->reason), 0);
	data_close(&data);
}

static void
another_process_keeps_it(void **state)
{
	struct world *world = *state;
	struct data data;
	int ready[2], end[2];
	char byte = 0;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(end), 0);
	pid_t child = fork();
	if (child == 0) {
		close(end[1]);
		bool good = data_open(world->env, world->dir, &data, world->reason) == 0;
		if (write(ready[1], good ? "y" : "n", 1) == 1 && read(end[0], &byte, 1) == 0)
			_exit(0);
		_exit(1);
	}
	close(end[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(data_open(world->env, world->dir, &data, world->reason), -EWOULDBLOCK);
	assert_non_null(strstr(world->reason, world->dir));
	assert_non_null(strstr(world->reason, "in use by another weir"));
	close(end[1]);
	waitpid(child, NULL, 0);
	close(ready[0]);
	close(ready[1]);
	assert_int_equal(data_open(world->env, world->dir, &data, world->reason), 0);
	data_close(&data);
}

static void
a_file_in_its_place_is_named(void **state)
{
	struct world *world = *state;
	struct data data;
	int fd = open(world->dir, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_not_equal(data_open(world->env, world->dir, &data, world->reason), 0);
	assert_non_null(strstr(world->reason, world->dir));
}

static void
a_directory_that_cannot_be_made_is_named(void **state)
{
	struct world *world = *state;
	struct data data;
	char dir[128];
	snprintf(dir, sizeof dir, "%s/not/there", world->top);
	assert_int_equal(data_open(world->env, dir, &data, world->reason), -ENOENT);
	assert_non_null(strstr(world->reason, dir));
}

static void
a_store_that_is_none_is_named(void **state)
{
	struct world *world = *state;
	struct data data;
	char path[128];
	assert_int_equal(mkdir(world->dir, 0700), 0);
	snprintf(path, sizeof path, "%s/weir.db", world->dir);
	FILE *file = fopen(path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("this is no database\n", file);
	fclose(file);
	assert_int_equal(data_open(world->env, world->dir, &data, world->reason), -EUCLEAN);
	assert_true(strlen(world->reason) > 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(it_is_made_and_its_secret_stays, setup, teardown),
	    cmocka_unit_test_setup_teardown(partitions_are_fixed_when_it_is_made, setup, teardown),
	    cmocka_unit_test_setup_teardown(another_process_keeps_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_file_in_its_place_is_named, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_directory_that_cannot_be_made_is_named, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_store_that_is_none_is_named, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

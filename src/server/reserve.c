/*
 * reserve.c: DATA/reserve. It is made when the disk has twice its size free, and given up when less
 * than a quarter of it is: so it does not come and go.
 */
#include "reserve.h"

#include <errno.h>
#include <stdio.h>

#include "data.h"

#define LOW_BYTES_MAX (16u << 20)

static uint64_t
low_bytes(uint64_t wanted)
{
	return wanted / 4 < LOW_BYTES_MAX ? wanted / 4 : LOW_BYTES_MAX;
}

static int
reserve_drop(struct reserve *reserve, const char *path)
{
	int error = env_unlink(reserve->env, path);
	if (error && error != -ENOENT)
		return error;
	reserve->bytes = 0;
	return 0;
}

static int
reserve_make(struct reserve *reserve, const char *path, uint64_t wanted)
{
	struct env_file *file;
	int error = env_open(reserve->env, path, ENV_WRITE | ENV_CREATE, &file);
	if (error)
		return error;
	error = env_allocate(file, wanted);
	if (!error)
		error = env_sync(file);
	env_close(file);
	if (!error)
		error = env_sync_dir(reserve->env, reserve->dir);
	if (error)
		env_unlink(reserve->env, path);
	else
		reserve->bytes = wanted;
	return error;
}

int
reserve_look(struct reserve *reserve, uint64_t wanted, uint64_t free_bytes,
    enum reserve_change *ret_change)
{
	char path[DATA_PATH_BYTES];
	int error = data_path(reserve->dir, "reserve", path);
	*ret_change = RESERVE_SAME;
	if (error)
		return error;
	if (reserve->bytes == 0)
		env_stat(reserve->env, path, &reserve->bytes);
	if (reserve->bytes && (reserve->bytes != wanted || free_bytes < low_bytes(wanted))) {
		error = reserve_drop(reserve, path);
		if (!error)
			*ret_change = RESERVE_GIVEN_UP;
	} else if (!reserve->bytes && wanted && free_bytes / 2 >= wanted) {
		error = reserve_make(reserve, path, wanted);
		if (!error)
			*ret_change = RESERVE_MADE;
	}
	return error;
}

bool
reserve_is_near(const struct reserve *reserve, uint64_t wanted, uint64_t free_bytes)
{
	return wanted && (!reserve->bytes || free_bytes < wanted);
}

/*
 * world_env.c: the real world with faults on order, for a node that runs on threads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "world.h"

struct world_file {
	struct env_file file;
	struct env_file *real;
	struct world_env *env;
	bool journal, series;
};

static struct env *
real_of(struct env *env)
{
	return CONTAINER_OF(env, struct world_env, env)->real;
}

static void
file_close(struct env_file *file)
{
	struct world_file *own = CONTAINER_OF(file, struct world_file, file);
	env_close(own->real);
	free(own);
}

static ssize_t
file_pread(struct env_file *file, void *bytes, size_t len, uint64_t offset)
{
	return env_pread(CONTAINER_OF(file, struct world_file, file)->real, bytes, len, offset);
}

static ssize_t
file_pwrite(struct env_file *file, const void *bytes, size_t len, uint64_t offset)
{
	struct world_file *own = CONTAINER_OF(file, struct world_file, file);
	const struct timespec moment = {.tv_nsec = 1000000};
	while (own->journal && atomic_load(&own->env->journal_held))
		nanosleep(&moment, NULL);
	if (own->journal && atomic_load(&own->env->journal_full))
		return -ENOSPC;
	if (own->series && atomic_load(&own->env->series_fail))
		return -EIO;
	int error = env_pwrite(own->real, bytes, len, offset);
	return error ? error : (ssize_t)len;
}

static int
file_sync(struct env_file *file)
{
	return env_sync(CONTAINER_OF(file, struct world_file, file)->real);
}

static int
file_truncate(struct env_file *file, uint64_t len)
{
	return env_truncate(CONTAINER_OF(file, struct world_file, file)->real, len);
}

static int
file_size(struct env_file *file, uint64_t *ret_len)
{
	return env_size(CONTAINER_OF(file, struct world_file, file)->real, ret_len);
}

static int
file_lock(struct env_file *file)
{
	return env_lock(CONTAINER_OF(file, struct world_file, file)->real);
}

static const struct env_file_ops file_ops = {file_close, file_pread, file_pwrite, file_sync,
    file_truncate, file_size, file_lock, NULL};

static int
world_env_open(struct env *env, const char *path, int flags, struct env_file **ret_file)
{
	struct world_env *own = CONTAINER_OF(env, struct world_env, env);
	struct world_file *file = calloc(1, sizeof *file);
	check(file);
	int error = env_open(own->real, path, flags, &file->real);
	if (error) {
		free(file);
		return error;
	}
	file->file.ops = &file_ops;
	file->env = own;
	file->journal = strstr(path, "/journal/") != NULL;
	file->series = strstr(path, "/series/") != NULL;
	*ret_file = &file->file;
	return 0;
}

static int64_t
world_env_now_ms(struct env *env)
{
	struct world_env *world = CONTAINER_OF(env, struct world_env, env);
	return env_now_ms(real_of(env)) + atomic_load(&world->ahead_ms) -
	    atomic_load(&world->back_ms);
}

static uint64_t
world_env_mono_ns(struct env *env)
{
	return env_mono_ns(real_of(env)) +
	    (uint64_t)atomic_load(&CONTAINER_OF(env, struct world_env, env)->ahead_ms) * 1000000;
}

static void
world_env_random(struct env *env, void *bytes, size_t len)
{
	env_random(real_of(env), bytes, len);
}

static int
world_env_rename(struct env *env, const char *from, const char *to)
{
	return env_rename(real_of(env), from, to);
}

static int
world_env_unlink(struct env *env, const char *path)
{
	return env_unlink(real_of(env), path);
}

static int
world_env_mkdir(struct env *env, const char *path)
{
	return env_mkdir(real_of(env), path);
}

static int
world_env_sync_dir(struct env *env, const char *path)
{
	return env_sync_dir(real_of(env), path);
}

static int
world_env_list_dir(struct env *env, const char *path, int (*each)(void *ctx, const char *name),
    void *ctx)
{
	return env_list_dir(real_of(env), path, each, ctx);
}

static int
world_env_stat(struct env *env, const char *path, uint64_t *ret_bytes)
{
	return env_stat(real_of(env), path, ret_bytes);
}

static int
world_env_disk_free(struct env *env, const char *path, uint64_t *ret_bytes)
{
	return env_disk_free(real_of(env), path, ret_bytes);
}

static const struct env_ops world_env_ops = {
	.now_ms = world_env_now_ms,
	.mono_ns = world_env_mono_ns,
	.random = world_env_random,
	.open = world_env_open,
	.rename = world_env_rename,
	.unlink = world_env_unlink,
	.mkdir = world_env_mkdir,
	.sync_dir = world_env_sync_dir,
	.list_dir = world_env_list_dir,
	.stat = world_env_stat,
	.disk_free = world_env_disk_free,
};

void
world_env_init(struct world_env *env)
{
	env->env.ops = &world_env_ops;
	env->real = env_create();
	check(env->real);
}

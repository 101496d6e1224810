/* The real world's files, clocks and random bytes; and what env.c builds from them, the same on a
 * simulated disk whose every call fails once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env.h"
#include "sim.h"

struct world {
	struct env *env;
	char dir[64];
	char path[128];
};

static const char *
path_of(struct world *w, const char *name)
{
	snprintf(w->path, sizeof(w->path), "%s/%s", w->dir, name);
	return w->path;
}

static int
set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->env = env_create();
	assert_non_null(w->env);
	const char *base = getenv("TMPDIR");
	snprintf(w->dir, sizeof(w->dir), "%s/weir-env-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	*state = w;
	return 0;
}

static int
remove_one(void *ctx, const char *name)
{
	struct world *w = ctx;
	return remove(path_of(w, name)) == 0 ? 0 : -errno;
}

static int
tear_down(void **state)
{
	struct world *w = *state;
	assert_int_equal(env_list_dir(w->env, w->dir, remove_one, w), 0);
	assert_int_equal(rmdir(w->dir), 0);
	env_destroy(w->env);
	free(w);
	return 0;
}

static void
bytes_come_back_from_where_they_were_put(void **state)
{
	struct world *w = *state;
	struct env_file *file = NULL;
	char bytes[16] = "";
	uint64_t len = 0;
	assert_int_equal(env_open(w->env, path_of(w, "f"), ENV_WRITE | ENV_CREATE, &file), 0);
	assert_int_equal(env_pwrite(file, "world", 5, 7), 0);
	assert_int_equal(env_pwrite(file, "hello, ", 7, 0), 0);
	assert_int_equal(env_sync(file), 0);
	assert_int_equal(env_size(file, &len), 0);
	assert_int_equal(len, 12);
	assert_int_equal(env_pread(file, bytes, sizeof(bytes), 2), 10);
	assert_memory_equal(bytes, "llo, world", 10);
	assert_int_equal(env_pread(file, bytes, sizeof(bytes), 12), 0);
	assert_int_equal(env_truncate(file, 5), 0);
	assert_int_equal(env_truncate(file, 7), 0);
	assert_int_equal(env_pread(file, bytes, sizeof(bytes), 0), 7);
	assert_memory_equal(bytes, "hello\0\0", 7);
	env_close(file);
	assert_int_equal(env_stat(w->env, path_of(w, "f"), &len), 0);
	assert_int_equal(len, 7);
}

static void
open_makes_only_what_its_flags_say(void **state)
{
	struct world *w = *state;
	struct env_file *file = NULL;
	struct stat st;
	char byte = 0;
	assert_int_equal(env_open(w->env, path_of(w, "f"), ENV_READ, &file), -ENOENT);
	assert_int_equal(env_open(w->env, path_of(w, "f"), ENV_WRITE, &file), -ENOENT);
	assert_null(file);
	int flags = ENV_WRITE | ENV_CREATE | ENV_EXCLUSIVE;
	assert_int_equal(env_open(w->env, path_of(w, "f"), flags, &file), 0);
	env_close(file);
	file = NULL;
	assert_int_equal(env_open(w->env, path_of(w, "f"), flags, &file), -EEXIST);
	assert_int_equal(stat(path_of(w, "f"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(env_open(w->env, path_of(w, "f"), ENV_READ, &file), 0);
	assert_int_equal(env_pwrite(file, "x", 1, 0), -EBADF);
	assert_int_equal(env_pread(file, &byte, 1, 0), 0);
	env_close(file);
	env_close(NULL);
}

/* A file system without O_DIRECT (tmpfs of an old kernel) says so with -EINVAL. */
static void
direct_files_read_short_only_at_the_end(void **state)
{
	struct world *w = *state;
	struct env_file *file = NULL;
	char *bytes = aligned_alloc(4096, 12288);
	assert_non_null(bytes);
	memset(bytes, 'd', 12288);
	int error = env_open(w->env, path_of(w, "f"), ENV_WRITE | ENV_CREATE | ENV_DIRECT, &file);
	if (error == 0) {
		assert_int_equal(env_pwrite(file, bytes, 8192, 0), 0);
		assert_int_equal(env_truncate(file, 5000), 0);
		memset(bytes, 0, 12288);
		assert_int_equal(env_pread(file, bytes, 12288, 0), 5000);
		assert_int_equal(bytes[4999], 'd');
		env_close(file);
	} else {
		assert_int_equal(error, -EINVAL);
	}
	free(bytes);
}

static void
lock_keeps_others_out_until_close(void **state)
{
	struct world *w = *state;
	struct env_file *first = NULL, *second = NULL;
	assert_int_equal(env_open(w->env, path_of(w, "f"), ENV_WRITE | ENV_CREATE, &first), 0);
	assert_int_equal(env_open(w->env, path_of(w, "f"), ENV_WRITE, &second), 0);
	assert_int_equal(env_lock(first), 0);
	assert_int_equal(env_lock(first), 0);
	assert_int_equal(env_lock(second), -EWOULDBLOCK);
	env_close(first);
	assert_int_equal(env_lock(second), 0);
	env_close(second);
}

struct listing {
	char text[64];
	int stop_after;
};

static int
list_name(void *ctx, const char *name)
{
	struct listing *l = ctx;
	snprintf(l->text + strlen(l->text), sizeof(l->text) - strlen(l->text), "%s ", name);
	return --l->stop_after == 0 ? 42 : 0;
}

static void
names_are_listed_renamed_and_unlinked(void **state)
{
	struct world *w = *state;
	static const char *const names[] = {"b", "a10", "a9", "B"};
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(env_write_file(w->env, path_of(w, names[i]), names[i], 1), 0);
	struct listing all = {.stop_after = -1}, some = {.stop_after = 2};
	assert_int_equal(env_list_dir(w->env, w->dir, list_name, &all), 0);
	assert_string_equal(all.text, "B a10 a9 b ");
	assert_int_equal(env_list_dir(w->env, w->dir, list_name, &some), 42);
	assert_string_equal(some.text, "B a10 ");

	char target[128];
	snprintf(target, sizeof(target), "%s/c", w->dir);
	assert_int_equal(env_rename(w->env, path_of(w, "b"), target), 0);
	assert_int_equal(env_rename(w->env, path_of(w, "b"), target), -ENOENT);
	assert_int_equal(env_unlink(w->env, path_of(w, "a9")), 0);
	assert_int_equal(env_unlink(w->env, path_of(w, "a9")), -ENOENT);
	assert_int_equal(env_sync_dir(w->env, w->dir), 0);
	struct listing after = {.stop_after = -1};
	assert_int_equal(env_list_dir(w->env, w->dir, list_name, &after), 0);
	assert_string_equal(after.text, "B a10 c ");
	assert_int_equal(env_list_dir(w->env, path_of(w, "no"), list_name, &after), -ENOENT);
	assert_int_equal(env_sync_dir(w->env, path_of(w, "no")), -ENOENT);
	assert_int_equal(env_sync_dir(w->env, path_of(w, "c")), -ENOTDIR);
}

static void
directories_may_be_made_again_but_not_over_files(void **state)
{
	struct world *w = *state;
	struct stat st;
	uint64_t len = 0;
	assert_int_equal(env_mkdir(w->env, path_of(w, "d")), 0);
	assert_int_equal(env_mkdir(w->env, path_of(w, "d")), 0);
	assert_int_equal(stat(path_of(w, "d"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(env_write_file(w->env, path_of(w, "f"), "", 0), 0);
	assert_int_equal(env_mkdir(w->env, path_of(w, "f")), -EEXIST);
	assert_int_equal(env_mkdir(w->env, path_of(w, "no/d")), -ENOENT);
	assert_int_equal(env_stat(w->env, path_of(w, "no"), &len), -ENOENT);
	assert_int_equal(env_disk_free(w->env, w->dir, &len), 0);
	assert_int_equal(env_disk_free(w->env, path_of(w, "no"), &len), -ENOENT);
}

static void
small_files_are_read_and_replaced_whole(void **state)
{
	struct world *w = *state;
	char *bytes = NULL;
	size_t len = 0;
	assert_int_equal(env_write_file(w->env, path_of(w, "f"), "first version", 13), 0);
	assert_int_equal(env_write_file(w->env, path_of(w, "f"), "second", 6), 0);
	assert_int_equal(env_read_file(w->env, path_of(w, "f"), 6, &bytes, &len), 0);
	assert_int_equal(len, 6);
	assert_string_equal(bytes, "second");
	free(bytes);
	bytes = NULL;
	assert_int_equal(env_read_file(w->env, path_of(w, "f"), 5, &bytes, &len), -EFBIG);
	assert_int_equal(env_read_file(w->env, path_of(w, "g"), 5, &bytes, &len), -ENOENT);
	assert_null(bytes);
	assert_int_equal(env_write_file(w->env, path_of(w, "f"), NULL, 0), 0);
	assert_int_equal(env_read_file(w->env, path_of(w, "f"), 0, &bytes, &len), 0);
	assert_int_equal(len, 0);
	assert_string_equal(bytes, "");
	free(bytes);
	struct listing all = {.stop_after = -1};
	assert_int_equal(env_list_dir(w->env, w->dir, list_name, &all), 0);
	assert_string_equal(all.text, "f ");
	assert_int_equal(env_write_file(w->env, path_of(w, "no/f"), "x", 1), -ENOENT);
}

static void
clocks_go_forward(void **state)
{
	struct world *w = *state;
	uint64_t mono = env_mono_ns(w->env);
	for (int i = 0; i < 1000; i++) {
		uint64_t later = env_mono_ns(w->env);
		assert_true(later >= mono);
		mono = later;
	}
	assert_true(env_now_ms(w->env) > INT64_C(1700000000000));
}

static void
random_bytes_fill_all_and_differ(void **state)
{
	struct world *w = *state;
	uint8_t first[1000] = {0}, second[1000] = {0};
	int zeros = 0;
	env_random(w->env, first, sizeof(first));
	env_random(w->env, second, sizeof(second));
	env_random(w->env, NULL, 0);
	assert_memory_not_equal(first, second, sizeof(first));
	for (size_t i = 0; i < sizeof(first); i++)
		zeros += first[i] == 0;
	assert_true(zeros < 100);
}

/* Whichever call fails, the file holds the old contents or the new, whole, and the caller knows;
 * after a failure the old ones are safe from a power cut. */
static void
replacing_fails_cleanly_at_every_call(void **state)
{
	(void)state;
	static const enum sim_op ops[] = {
	    SIM_OPEN, SIM_TRUNCATE, SIM_WRITE, SIM_SYNC, SIM_RENAME, SIM_SYNC_DIR};
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		struct env *env = sim_create(i);
		struct listing all = {.stop_after = -1};
		char *bytes = NULL;
		size_t len = 0;
		assert_int_equal(env_write_file(env, "/f", "old", 3), 0);
		sim_fail(env, ops[i], 0, -EIO, false);
		assert_int_equal(env_write_file(env, "/f", "new", 3), -EIO);
		assert_int_equal(env_list_dir(env, "/", list_name, &all), 0);
		assert_string_equal(all.text, "f ");
		sim_power_cut(env);
		assert_int_equal(env_read_file(env, "/f", 10, &bytes, &len), 0);
		assert_int_equal(len, 3);
		/* Once renamed, the new one may be the one that lasts. */
		if (ops[i] != SIM_SYNC_DIR || memcmp(bytes, "new", 3) != 0)
			assert_memory_equal(bytes, "old", 3);
		free(bytes);
		env_destroy(env);
	}
}

static void
reading_fails_cleanly_at_every_call(void **state)
{
	(void)state;
	static const enum sim_op ops[] = {SIM_OPEN, SIM_READ};
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		struct env *env = sim_create(i);
		char *bytes = NULL;
		size_t len = 77;
		assert_int_equal(env_write_file(env, "f", "text", 4), 0);
		sim_fail(env, ops[i], 0, -EIO, false);
		assert_int_equal(env_read_file(env, "f", 10, &bytes, &len), -EIO);
		assert_null(bytes);
		assert_int_equal(len, 77);
		assert_int_equal(env_read_file(env, "f", 10, &bytes, &len), 0);
		assert_string_equal(bytes, "text");
		free(bytes);
		env_destroy(env);
	}
}

static void
full_disk_leaves_the_old_file(void **state)
{
	(void)state;
	struct env *env = sim_create(1);
	char *bytes = NULL, big[5000] = "";
	size_t len = 0;
	sim_disk_limit(env, 4096);
	assert_int_equal(env_write_file(env, "/f", "old", 3), 0);
	assert_int_equal(env_write_file(env, "/f", big, sizeof(big)), -ENOSPC);
	assert_int_equal(env_read_file(env, "/f", 10, &bytes, &len), 0);
	assert_string_equal(bytes, "old");
	free(bytes);
	assert_int_equal(env_write_file(env, "/f", big, 4000), 0);
	env_destroy(env);
	env_destroy(NULL);
}

/* Its bytes are there, and zeroes. */
static void
check_allocated(struct env *env, const char *path, uint64_t len)
{
	struct env_file *file;
	char bytes[8] = "xxxxxxxx";
	uint64_t have;
	assert_int_equal(env_open(env, path, ENV_WRITE | ENV_CREATE, &file), 0);
	assert_int_equal(env_allocate(file, len), 0);
	assert_int_equal(env_size(file, &have), 0);
	assert_int_equal(have, len);
	assert_int_equal(env_pread(file, bytes, sizeof(bytes), len - sizeof(bytes)), sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0);
	env_close(file);
}

static void
space_is_given_where_writing_is_not_needed(void **state)
{
	struct world *w = *state;
	struct stat st;
	check_allocated(w->env, path_of(w, "space"), 1000000);
	assert_int_equal(stat(path_of(w, "space"), &st), 0);
	assert_true(st.st_blocks * 512 >= 1000000);
}

static void
space_is_written_where_it_must_be(void **state)
{
	struct env *env = sim_create(3);
	struct env_file *file;
	(void)state;
	check_allocated(env, "space", 1000000);
	sim_disk_limit(env, 1500000);
	assert_int_equal(env_open(env, "more", ENV_WRITE | ENV_CREATE, &file), 0);
	assert_int_equal(env_allocate(file, 1000000), -ENOSPC);
	env_close(file);
	env_destroy(env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define ON_DISK(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    ON_DISK(bytes_come_back_from_where_they_were_put),
	    ON_DISK(open_makes_only_what_its_flags_say),
	    ON_DISK(direct_files_read_short_only_at_the_end),
	    ON_DISK(lock_keeps_others_out_until_close),
	    ON_DISK(names_are_listed_renamed_and_unlinked),
	    ON_DISK(directories_may_be_made_again_but_not_over_files),
	    ON_DISK(small_files_are_read_and_replaced_whole),
	    ON_DISK(clocks_go_forward),
	    ON_DISK(random_bytes_fill_all_and_differ),
	    ON_DISK(space_is_given_where_writing_is_not_needed),
	    cmocka_unit_test(space_is_written_where_it_must_be),
	    cmocka_unit_test(replacing_fails_cleanly_at_every_call),
	    cmocka_unit_test(reading_fails_cleanly_at_every_call),
	    cmocka_unit_test(full_disk_leaves_the_old_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

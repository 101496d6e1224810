/* The simulated world: what survives a power cut, and faults on order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "env.h"
#include "sim.h"

enum { SECTOR = 512, SEEDS = 300 };

static struct env_file *
open_file(struct env *env, const char *path)
{
	struct env_file *file = NULL;
	assert_int_equal(env_open(env, path, ENV_WRITE | ENV_CREATE, &file), 0);
	return file;
}

/* A file whose name is on disk. */
static struct env_file *
open_lasting(struct env *env, const char *path)
{
	struct env_file *file = open_file(env, path);
	assert_int_equal(env_sync_dir(env, "/"), 0);
	return file;
}

static void
fill(struct env_file *file, char byte, size_t len, uint64_t offset)
{
	char *bytes = malloc(len);
	assert_non_null(bytes);
	memset(bytes, byte, len);
	assert_int_equal(env_pwrite(file, bytes, len, offset), 0);
	free(bytes);
}

static struct env_file *
reopen_after_cut(struct env *env, const char *path, struct env_file *file)
{
	sim_power_cut(env);
	env_close(file);
	file = NULL;
	assert_int_equal(env_open(env, path, ENV_WRITE, &file), 0);
	return file;
}

static uint64_t
size_of(struct env_file *file)
{
	uint64_t len = 0;
	assert_int_equal(env_size(file, &len), 0);
	return len;
}

static bool
exists(struct env *env, const char *path)
{
	uint64_t len;
	return env_stat(env, path, &len) == 0;
}

static void
reads_see_writes_before_sync(void **state)
{
	(void)state;
	struct env *env = sim_create(1);
	struct env_file *file = open_file(env, "/f");
	char bytes[8] = "";
	assert_int_equal(env_pwrite(file, "hello", 5, 510), 0);
	assert_int_equal(env_pread(file, bytes, 8, 508), 7);
	assert_memory_equal(bytes, "\0\0hello", 7);
	assert_int_equal(env_pread(file, bytes, 8, 515), 0);
	assert_int_equal(env_pread(file, bytes, 8, 5000), 0);
	assert_int_equal(size_of(file), 515);
	env_close(file);
	env_destroy(env);
}

static void
contents_match_a_plain_array_under_random_writes_and_truncations(void **state)
{
	(void)state;
	enum { BYTES = 100000 };
	struct env *env = sim_create(77);
	struct env_file *file = open_file(env, "f");
	uint8_t *model = calloc(1, BYTES), *seen = malloc(BYTES);
	size_t model_len = 0;
	for (int i = 0; i < 2000; i++) {
		size_t offset = sim_random_below(env, BYTES), len = sim_random_below(env, 3000);
		len = len < BYTES - offset ? len : BYTES - offset;
		switch (sim_random_below(env, 8)) {
		case 0:
			assert_int_equal(env_truncate(file, offset), 0);
			if (offset < model_len)
				memset(model + offset, 0, BYTES - offset);
			model_len = offset;
			break;
		case 1:
			assert_int_equal(env_sync(file), 0);
			break;
		default:
			memset(model + offset, i, len);
			assert_int_equal(env_pwrite(file, model + offset, len, offset), 0);
			if (len > 0 && offset + len > model_len)
				model_len = offset + len;
		}
		assert_int_equal(size_of(file), model_len);
		assert_int_equal(env_pread(file, seen, BYTES, 0), model_len);
		assert_memory_equal(seen, model, model_len);
	}
	free(seen);
	free(model);
	env_close(file);
	env_destroy(env);
}

static void
synced_bytes_survive_every_cut(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct env *env = sim_create(seed);
		struct env_file *file = open_lasting(env, "/f");
		fill(file, 'a', 40 * SECTOR, 0);
		assert_int_equal(env_sync(file), 0);
		fill(file, 'b', 8 * SECTOR, 40 * SECTOR);
		file = reopen_after_cut(env, "/f", file);
		char bytes[40 * SECTOR];
		assert_int_equal(env_pread(file, bytes, sizeof(bytes), 0), sizeof(bytes));
		for (size_t i = 0; i < sizeof(bytes); i++)
			assert_int_equal(bytes[i], 'a');
		env_close(file);
		env_destroy(env);
	}
}

/* Over the seeds every outcome of one sector that was written twice occurs, and no other. */
static void
unsynced_sector_keeps_old_first_or_last_version(void **state)
{
	(void)state;
	int seen[256] = {0};
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct env *env = sim_create(seed);
		struct env_file *file = open_lasting(env, "/f");
		fill(file, 'o', 4 * SECTOR, 0);
		assert_int_equal(env_sync(file), 0);
		fill(file, '1', 4 * SECTOR, 0);
		fill(file, '2', 4 * SECTOR, 0);
		fill(file, '3', 4 * SECTOR, 0);
		file = reopen_after_cut(env, "/f", file);
		char bytes[4 * SECTOR];
		assert_int_equal(env_pread(file, bytes, sizeof(bytes), 0), sizeof(bytes));
		for (int i = 0; i < 4; i++) {
			for (int j = 0; j < SECTOR; j++)
				assert_int_equal(bytes[i * SECTOR + j], bytes[i * SECTOR]);
			seen[(uint8_t)bytes[i * SECTOR]]++;
		}
		env_close(file);
		env_destroy(env);
	}
	assert_true(seen['o'] > 0 && seen['1'] > 0 && seen['3'] > 0);
	assert_int_equal(seen['o'] + seen['1'] + seen['3'], 4 * SEEDS);
}

static void
unsynced_growth_keeps_any_length_with_zero_holes(void **state)
{
	(void)state;
	int shorter = 0, between = 0, whole = 0, holes = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct env *env = sim_create(seed);
		struct env_file *file = open_lasting(env, "/f");
		fill(file, 'a', 700, 0);
		assert_int_equal(env_sync(file), 0);
		fill(file, 'b', 5000, 700);
		file = reopen_after_cut(env, "/f", file);
		char bytes[6000];
		uint64_t len = size_of(file);
		assert_in_range(len, 700, 5700);
		assert_int_equal(env_pread(file, bytes, sizeof(bytes), 0), len);
		for (size_t i = 0; i < len; i++) {
			if (i < 700)
				assert_int_equal(bytes[i], 'a');
			else
				assert_true(bytes[i] == 'b' || bytes[i] == 0);
			holes += i >= 700 && bytes[i] == 0;
		}
		/* What is beyond the end is zero when the file grows again. */
		assert_int_equal(env_truncate(file, 6000), 0);
		assert_int_equal(env_pread(file, bytes, sizeof(bytes), 0), 6000);
		for (size_t i = len; i < sizeof(bytes); i++)
			assert_int_equal(bytes[i], 0);
		shorter += len == 700;
		whole += len == 5700;
		between += len > 700 && len < 5700;
		env_close(file);
		env_destroy(env);
	}
	assert_true(shorter > 0 && whole > 0 && between > 0 && holes > 0);
}

static void
unsynced_truncation_may_be_undone(void **state)
{
	(void)state;
	int undone = 0, done = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct env *env = sim_create(seed);
		struct env_file *file = open_lasting(env, "/f");
		fill(file, 'a', 3000, 0);
		assert_int_equal(env_sync(file), 0);
		assert_int_equal(env_truncate(file, 100), 0);
		file = reopen_after_cut(env, "/f", file);
		char bytes[3000];
		uint64_t len = size_of(file);
		assert_in_range(len, 100, 3000);
		assert_int_equal(env_pread(file, bytes, sizeof(bytes), 0), len);
		for (size_t i = 0; i < 100; i++)
			assert_int_equal(bytes[i], 'a');
		undone += len == 3000 && bytes[2999] == 'a';
		done += len == 100;
		env_close(file);
		env_destroy(env);
	}
	assert_true(undone > 0 && done > 0);
}

static void
new_name_may_vanish_until_its_directory_is_synced(void **state)
{
	(void)state;
	int gone = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct env *env = sim_create(seed);
		env_close(open_lasting(env, "/synced"));
		struct env_file *file = open_file(env, "/fresh");
		assert_int_equal(env_sync(file), 0);
		env_close(file);
		sim_power_cut(env);
		assert_true(exists(env, "/synced"));
		gone += !exists(env, "/fresh");
		env_destroy(env);
	}
	assert_in_range(gone, 1, SEEDS - 1);
}

static void
rename_leaves_the_old_or_the_new_file(void **state)
{
	(void)state;
	int old = 0, new = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct env *env = sim_create(seed);
		char *bytes = NULL;
		size_t len;
		assert_int_equal(env_write_file(env, "/f", "old", 3), 0);
		struct env_file *file = open_file(env, "/t");
		assert_int_equal(env_pwrite(file, "new", 3, 0), 0);
		assert_int_equal(env_sync(file), 0);
		env_close(file);
		assert_int_equal(env_rename(env, "/t", "/f"), 0);
		assert_false(exists(env, "/t"));
		sim_power_cut(env);
		assert_int_equal(env_read_file(env, "/f", 10, &bytes, &len), 0);
		assert_int_equal(len, 3);
		old += memcmp(bytes, "old", 3) == 0;
		new += memcmp(bytes, "new", 3) == 0;
		if (memcmp(bytes, "new", 3) == 0)
			assert_false(exists(env, "/t"));
		free(bytes);
		env_destroy(env);
	}
	assert_int_equal(old + new, SEEDS);
	assert_true(old > 0 && new > 0);
}

static void
names_are_kept_in_order_of_a_directory(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct env *env = sim_create(seed);
		char path[16];
		for (int i = 0; i < 10; i++) {
			snprintf(path, sizeof(path), "/%d", i);
			env_close(open_file(env, path));
		}
		sim_power_cut(env);
		bool before = true;
		for (int i = 0; i < 10; i++) {
			snprintf(path, sizeof(path), "/%d", i);
			bool here = exists(env, path);
			assert_true(before || !here);
			before = here;
		}
		env_destroy(env);
	}
}

static void
rename_between_directories_never_loses_or_doubles_the_file(void **state)
{
	(void)state;
	int from = 0, to = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct env *env = sim_create(seed);
		assert_int_equal(env_mkdir(env, "/a"), 0);
		assert_int_equal(env_mkdir(env, "/b"), 0);
		env_close(open_lasting(env, "/a/f"));
		assert_int_equal(env_sync_dir(env, "/a"), 0);
		env_close(open_file(env, "/b/before"));
		assert_int_equal(env_rename(env, "/a/f", "/b/f"), 0);
		env_close(open_file(env, "/a/after"));
		if (seed % 2)
			assert_int_equal(env_sync_dir(env, seed % 4 == 1 ? "/a" : "/b"), 0);
		sim_power_cut(env);
		assert_int_equal(exists(env, "/a/f") + exists(env, "/b/f"), 1);
		if (seed % 2) {
			assert_true(exists(env, "/b/f"));
			assert_true(exists(env, "/b/before"));
		}
		from += exists(env, "/a/f");
		to += exists(env, "/b/f");
		env_destroy(env);
	}
	assert_true(from > 0 && to > 0);
}

static void
unlinked_name_may_come_back_until_its_directory_is_synced(void **state)
{
	(void)state;
	int back = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct env *env = sim_create(seed);
		assert_int_equal(env_write_file(env, "/f", "x", 1), 0);
		assert_int_equal(env_unlink(env, "/f"), 0);
		assert_int_equal(env_unlink(env, "/f"), -ENOENT);
		if (seed >= SEEDS / 2)
			assert_int_equal(env_sync_dir(env, "/"), 0);
		sim_power_cut(env);
		if (seed >= SEEDS / 2)
			assert_false(exists(env, "/f"));
		back += exists(env, "/f");
		env_destroy(env);
	}
	assert_in_range(back, 1, SEEDS / 2 - 1);
}

static void
unsynced_directory_vanishes_with_all_below(void **state)
{
	(void)state;
	int gone = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct env *env = sim_create(seed);
		assert_int_equal(env_mkdir(env, "/d"), 0);
		assert_int_equal(env_mkdir(env, "/d"), 0);
		assert_int_equal(env_write_file(env, "/d/f", "x", 1), 0);
		sim_power_cut(env);
		assert_int_equal(exists(env, "/d"), exists(env, "/d/f"));
		gone += !exists(env, "/d");
		env_destroy(env);
	}
	assert_in_range(gone, 1, SEEDS - 1);
}

static void
open_files_are_dead_after_a_cut(void **state)
{
	(void)state;
	struct env *env = sim_create(1);
	struct env_file *file = open_lasting(env, "/f");
	uint64_t len;
	char byte;
	assert_int_equal(env_lock(file), 0);
	sim_power_cut(env);
	assert_int_equal(env_pwrite(file, "x", 1, 0), -EIO);
	assert_int_equal(env_pread(file, &byte, 1, 0), -EIO);
	assert_int_equal(env_sync(file), -EIO);
	assert_int_equal(env_truncate(file, 0), -EIO);
	assert_int_equal(env_size(file, &len), -EIO);
	assert_int_equal(env_lock(file), -EIO);
	struct env_file *again = open_file(env, "/f");
	assert_int_equal(env_lock(again), 0);
	env_close(file);
	struct env_file *third = open_file(env, "/f");
	assert_int_equal(env_lock(third), -EWOULDBLOCK);
	env_close(again);
	assert_int_equal(env_lock(third), 0);
	env_close(third);
	env_destroy(env);
}

static void
fault_comes_after_so_many_operations_and_once(void **state)
{
	(void)state;
	struct env *env = sim_create(1);
	struct env_file *file = open_file(env, "/f");
	sim_fail(env, SIM_WRITE, 2, -ENOSPC, false);
	assert_int_equal(env_pwrite(file, "a", 1, 0), 0);
	assert_int_equal(env_sync(file), 0);
	assert_int_equal(env_pwrite(file, "b", 1, 0), 0);
	assert_int_equal(env_pwrite(file, "c", 1, 0), -ENOSPC);
	assert_int_equal(env_pwrite(file, "d", 1, 0), 0);

	sim_fail(env, SIM_OPEN, 0, -EMFILE, true);
	struct env_file *none = NULL;
	assert_int_equal(env_open(env, "/g", ENV_WRITE | ENV_CREATE, &none), -EMFILE);
	assert_int_equal(env_open(env, "/g", ENV_WRITE | ENV_CREATE, &none), -EMFILE);
	assert_null(none);
	sim_heal(env);
	assert_int_equal(env_open(env, "/g", ENV_WRITE | ENV_CREATE, &none), 0);
	env_close(none);
	env_close(file);
	env_destroy(env);
}

static void
every_kind_of_operation_can_fail(void **state)
{
	(void)state;
	struct env *env = sim_create(1);
	struct env_file *file = open_file(env, "/f");
	uint64_t len;
	char byte;
	for (int op = 0; op < SIM_OP_COUNT; op++)
		sim_fail(env, (enum sim_op)op, 0, -EIO, true);
	assert_int_equal(env_pread(file, &byte, 1, 0), -EIO);
	assert_int_equal(env_pwrite(file, "x", 1, 0), -EIO);
	assert_int_equal(env_sync(file), -EIO);
	assert_int_equal(env_truncate(file, 9), -EIO);
	assert_int_equal(env_rename(env, "/f", "/g"), -EIO);
	assert_int_equal(env_unlink(env, "/f"), -EIO);
	assert_int_equal(env_sync_dir(env, "/"), -EIO);
	assert_int_equal(env_mkdir(env, "/d"), -EIO);
	assert_int_equal(env_stat(env, "/f", &len), -EIO);
	sim_heal(env);
	assert_true(exists(env, "/f"));
	assert_false(exists(env, "/d"));
	env_close(file);
	env_destroy(env);
}

static void
failed_write_leaves_a_prefix_of_sectors(void **state)
{
	(void)state;
	int none = 0, some = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct env *env = sim_create(seed);
		struct env_file *file = open_file(env, "/f");
		char bytes[4 * SECTOR], seen[4 * SECTOR];
		memset(bytes, 'b', sizeof(bytes));
		fill(file, 'a', sizeof(bytes), 0);
		sim_fail(env, SIM_WRITE, 0, -EIO, false);
		assert_int_equal(env_pwrite(file, bytes, sizeof(bytes), 0), -EIO);
		assert_int_equal(env_pread(file, seen, sizeof(seen), 0), sizeof(seen));
		size_t prefix = 0;
		while (prefix < sizeof(seen) && seen[prefix] == 'b')
			prefix++;
		assert_int_equal(prefix % SECTOR, 0);
		for (size_t i = prefix; i < sizeof(seen); i++)
			assert_int_equal(seen[i], 'a');
		none += prefix == 0;
		some += prefix > 0;
		env_close(file);
		env_destroy(env);
	}
	assert_true(none > 0 && some > 0);
}

/* The trap that a retried fsync falls into. */
static void
sync_after_a_failed_sync_does_not_save_what_was_lost(void **state)
{
	(void)state;
	int lost = 0;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct env *env = sim_create(seed);
		struct env_file *file = open_lasting(env, "/f");
		char bytes[8 * SECTOR];
		fill(file, 'a', sizeof(bytes), 0);
		assert_int_equal(env_sync(file), 0);
		fill(file, 'b', sizeof(bytes), 0);
		sim_fail(env, SIM_SYNC, 0, -EIO, false);
		assert_int_equal(env_sync(file), -EIO);
		assert_int_equal(env_pread(file, bytes, sizeof(bytes), 0), sizeof(bytes));
		for (size_t i = 0; i < sizeof(bytes); i++)
			assert_int_equal(bytes[i], 'b');
		fill(file, 'c', SECTOR, 0);
		assert_int_equal(env_sync(file), 0);
		file = reopen_after_cut(env, "/f", file);
		assert_int_equal(env_pread(file, bytes, sizeof(bytes), 0), sizeof(bytes));
		assert_int_equal(bytes[0], 'c');
		for (size_t i = SECTOR; i < sizeof(bytes); i += SECTOR)
			lost += bytes[i] == 'a';
		env_close(file);
		env_destroy(env);
	}
	assert_in_range(lost, 1, 7 * SEEDS - 1);
}

static void
crash_stops_everything_until_the_cut(void **state)
{
	(void)state;
	struct env *env = sim_create(5);
	struct env_file *file = open_lasting(env, "/f"), *other = NULL;
	uint64_t before = sim_op_count(env);
	uint64_t len;
	sim_crash_after(env, 1);
	assert_int_equal(env_pwrite(file, "x", 1, 0), 0);
	assert_int_equal(env_sync(file), -EIO);
	assert_int_equal(env_pwrite(file, "y", 1, 0), -EIO);
	assert_int_equal(env_open(env, "/f", ENV_READ, &other), -EIO);
	assert_int_equal(env_mkdir(env, "/d"), -EIO);
	assert_int_equal(env_size(file, &len), -EIO);
	assert_int_equal(env_disk_free(env, "/", &len), -EIO);
	assert_true(sim_op_count(env) > before + 1);
	file = reopen_after_cut(env, "/f", file);
	env_close(file);
	env_destroy(env);
}

/* A counter file replaced by env_write_file, crashed at every operation: it holds the last value
 * that was acknowledged, or the one in flight. */
static void
replaced_file_survives_a_crash_at_every_operation(void **state)
{
	(void)state;
	for (uint64_t at = 0; at < 40; at++) {
		for (uint64_t seed = 0; seed < 10; seed++) {
			struct env *env = sim_create(seed * 1000 + at);
			char *bytes = NULL, done = '0';
			size_t len;
			assert_int_equal(env_write_file(env, "/n", "0", 1), 0);
			sim_crash_after(env, at);
			while (done < '9') {
				char next = (char)(done + 1);
				if (env_write_file(env, "/n", &next, 1))
					break;
				done = next;
			}
			sim_power_cut(env);
			assert_int_equal(env_read_file(env, "/n", 10, &bytes, &len), 0);
			assert_int_equal(len, 1);
			assert_in_range(bytes[0], done, done + 1);
			free(bytes);
			env_destroy(env);
		}
	}
}

static void
disk_limit_stops_growth_not_overwriting(void **state)
{
	(void)state;
	struct env *env = sim_create(1);
	struct env_file *file = open_file(env, "/f"), *other = open_file(env, "/g");
	uint64_t left = 0;
	sim_disk_limit(env, 10000);
	fill(file, 'a', 6000, 0);
	fill(other, 'a', 3000, 0);
	assert_int_equal(env_disk_free(env, "/", &left), 0);
	assert_int_equal(left, 1000);
	char bytes[2000] = "";
	assert_int_equal(env_pwrite(file, bytes, 2000, 6000), -ENOSPC);
	assert_in_range(size_of(file), 6000, 7000);
	assert_int_equal(env_pwrite(file, bytes, 2000, 0), 0);
	assert_int_equal(env_truncate(other, 9000), -ENOSPC);
	assert_int_equal(env_unlink(env, "/g"), 0);
	assert_int_equal(env_pwrite(file, bytes, 2000, 6000), 0);
	env_close(other);
	env_close(file);
	env_destroy(env);
}

static void
flipped_bit_is_read_and_stays(void **state)
{
	(void)state;
	struct env *env = sim_create(3);
	struct env_file *file = open_lasting(env, "/f");
	char bytes[4];
	fill(file, 0, 2000, 0);
	assert_int_equal(env_sync(file), 0);
	assert_int_equal(sim_flip_bit(env, "/f", 1001 * 8 + 3), 0);
	assert_int_equal(sim_flip_bit(env, "/f", 2000 * 8), -EINVAL);
	assert_int_equal(sim_flip_bit(env, "/g", 0), -ENOENT);
	file = reopen_after_cut(env, "/f", file);
	assert_int_equal(env_pread(file, bytes, 4, 1000), 4);
	assert_memory_equal(bytes, "\0\10\0\0", 4);
	env_close(file);
	env_destroy(env);
}

static void
direct_files_want_alignment(void **state)
{
	(void)state;
	struct env *env = sim_create(1);
	struct env_file *file = NULL;
	assert_int_equal(env_open(env, "/f", ENV_WRITE | ENV_CREATE | ENV_DIRECT, &file), 0);
	char *bytes = aligned_alloc(4096, 8192);
	assert_non_null(bytes);
	memset(bytes, 0, 8192);
	assert_int_equal(env_pwrite(file, bytes, 4096, 4096), 0);
	assert_int_equal(env_pwrite(file, bytes, 4096, 512), -EINVAL);
	assert_int_equal(env_pwrite(file, bytes, 100, 0), -EINVAL);
	assert_int_equal(env_pwrite(file, bytes + 512, 4096, 0), -EINVAL);
	assert_int_equal(env_pread(file, bytes, 8192, 0), 8192);
	assert_int_equal(env_pread(file, bytes, 1, 0), -EINVAL);
	free(bytes);
	env_close(file);
	env_destroy(env);
}

static void
clocks_move_only_when_told(void **state)
{
	(void)state;
	struct env *env = sim_create(1);
	uint64_t mono = env_mono_ns(env);
	assert_int_equal(env_now_ms(env), 1700000000000);
	sim_advance_ms(env, 1500);
	assert_int_equal(env_now_ms(env), 1700000001500);
	assert_int_equal(env_mono_ns(env) - mono, 1500000000);
	sim_advance_ms(env, -5000);
	assert_int_equal(env_now_ms(env), 1699999996500);
	assert_int_equal(env_mono_ns(env) - mono, 1500000000);
	env_destroy(env);
}

static void
same_seed_gives_the_same_world(void **state)
{
	(void)state;
	uint64_t first[3], second[3];
	for (int round = 0; round < 2; round++) {
		struct env *env = sim_create(42);
		uint64_t *out = round ? second : first;
		struct env_file *file = open_lasting(env, "/f");
		fill(file, 'x', 9000, 0);
		env_random(env, &out[0], sizeof(out[0]));
		out[1] = sim_random_below(env, 1000);
		file = reopen_after_cut(env, "/f", file);
		out[2] = size_of(file);
		env_close(file);
		env_destroy(env);
	}
	assert_memory_equal(first, second, sizeof(first));
	assert_true(first[1] < 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_see_writes_before_sync),
	    cmocka_unit_test(contents_match_a_plain_array_under_random_writes_and_truncations),
	    cmocka_unit_test(synced_bytes_survive_every_cut),
	    cmocka_unit_test(unsynced_sector_keeps_old_first_or_last_version),
	    cmocka_unit_test(unsynced_growth_keeps_any_length_with_zero_holes),
	    cmocka_unit_test(unsynced_truncation_may_be_undone),
	    cmocka_unit_test(new_name_may_vanish_until_its_directory_is_synced),
	    cmocka_unit_test(rename_leaves_the_old_or_the_new_file),
	    cmocka_unit_test(names_are_kept_in_order_of_a_directory),
	    cmocka_unit_test(rename_between_directories_never_loses_or_doubles_the_file),
	    cmocka_unit_test(unlinked_name_may_come_back_until_its_directory_is_synced),
	    cmocka_unit_test(unsynced_directory_vanishes_with_all_below),
	    cmocka_unit_test(open_files_are_dead_after_a_cut),
	    cmocka_unit_test(fault_comes_after_so_many_operations_and_once),
	    cmocka_unit_test(every_kind_of_operation_can_fail),
	    cmocka_unit_test(failed_write_leaves_a_prefix_of_sectors),
	    cmocka_unit_test(sync_after_a_failed_sync_does_not_save_what_was_lost),
	    cmocka_unit_test(crash_stops_everything_until_the_cut),
	    cmocka_unit_test(replaced_file_survives_a_crash_at_every_operation),
	    cmocka_unit_test(disk_limit_stops_growth_not_overwriting),
	    cmocka_unit_test(flipped_bit_is_read_and_stays),
	    cmocka_unit_test(direct_files_want_alignment),
	    cmocka_unit_test(clocks_move_only_when_told),
	    cmocka_unit_test(same_seed_gives_the_same_world),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

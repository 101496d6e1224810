/*
 * sim.c: the simulated world: operations, faults and clocks. The disk is in sim_names.c and
 * sim_data.c.
 *
 * Every operation first asks step() what shall become of it. Three streams of random numbers, all
 * from the seed, so that a program which asks for more random bytes does not change which sectors
 * a power cut keeps.
 *
 * Invariants: nothing here touches the real world. A file that was open at a power cut belongs to
 * an older generation and is good for closing only.
 */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "num.h"
#include "prng.h"
#include "sim_priv.h"

enum { DIRECT_BYTES = 4096 };

#define NOW_FIRST_MS INT64_C(1700000000000)
#define MONO_FIRST_NS UINT64_C(1000000000)
#define FREE_UNLIMITED_BYTES (UINT64_C(1) << 40)

struct fault {
	bool armed, sticky;
	uint64_t after;
	int error;
};

struct sim {
	struct env env;
	struct prng world, bytes, test; /* decisions, env_random, sim_random */
	int64_t now_ms;
	uint64_t mono_ns;
	struct sim_names names;
	struct fault faults[SIM_OP_COUNT];
	uint64_t op_count;
	bool crash_armed, crashed;
	uint64_t crash_at; /* the op_count that is too much */
	uint64_t disk_limit_bytes;
	unsigned generation;
};

struct sim_file {
	struct env_file file;
	struct sim *sim;
	struct sim_node *node; /* referenced */
	unsigned generation;
	int flags;
};

/* What shall become of an operation: how much of it happens, and what its caller is told. */
enum effect { EFFECT_NONE, EFFECT_PART, EFFECT_WHOLE };

struct verdict {
	enum effect effect;
	int error;
};

static struct sim *
sim_of(struct env *env)
{
	return CONTAINER_OF(env, struct sim, env);
}

static struct sim_file *
file_of(struct env_file *file)
{
	return CONTAINER_OF(file, struct sim_file, file);
}

static enum effect
crash_effect(struct sim *s, enum sim_op op)
{
	if (op == SIM_WRITE)
		return EFFECT_PART;
	/* What a sync would have done, the power cut does as well. */
	if (op == SIM_SYNC || op == SIM_SYNC_DIR)
		return EFFECT_NONE;
	return prng_below(&s->world, 2) ? EFFECT_WHOLE : EFFECT_NONE;
}

static struct verdict
step(struct sim *s, enum sim_op op)
{
	s->op_count++;
	if (s->crashed)
		return (struct verdict){EFFECT_NONE, -EIO};
	if (s->crash_armed && s->op_count > s->crash_at) {
		s->crashed = true;
		return (struct verdict){crash_effect(s, op), -EIO};
	}
	struct fault *fault = &s->faults[op];
	if (!fault->armed)
		return (struct verdict){EFFECT_WHOLE, 0};
	if (fault->after > 0) {
		fault->after--;
		return (struct verdict){EFFECT_WHOLE, 0};
	}
	fault->armed = fault->sticky;
	bool part = op == SIM_WRITE || op == SIM_SYNC;
	return (struct verdict){part ? EFFECT_PART : EFFECT_NONE, fault->error};
}

/* Whether the file may still be used. */
static int
alive(const struct sim_file *f)
{
	return f->sim->crashed || f->generation != f->sim->generation ? -EIO : 0;
}

/* What O_DIRECT asks of memory and offsets. */
static int
aligned(const struct sim_file *f, const void *bytes, size_t len, uint64_t offset)
{
	if (!(f->flags & ENV_DIRECT))
		return 0;
	return ((uintptr_t)bytes | len | offset) % DIRECT_BYTES == 0 ? 0 : -EINVAL;
}

static void
sim_close(struct env_file *file)
{
	struct sim_file *f = file_of(file);
	if (f->node->lock == f)
		f->node->lock = NULL;
	sim_names_unref(f->node);
	free(f);
}

static ssize_t
sim_pread(struct env_file *file, void *ret_bytes, size_t len, uint64_t offset)
{
	struct sim_file *f = file_of(file);
	int error = alive(f);
	if (!error)
		error = aligned(f, ret_bytes, len, offset);
	if (!error)
		error = step(f->sim, SIM_READ).error;
	if (error)
		return error;
	return (ssize_t)sim_data_read(&f->node->data, ret_bytes, len, offset);
}

/* How many of `len` bytes at `offset` the disk has room for. */
static size_t
room(const struct sim_file *f, size_t len, uint64_t offset)
{
	uint64_t limit = f->sim->disk_limit_bytes;
	uint64_t have = f->node->data.len;
	if (limit == 0 || offset + len <= have)
		return len;
	uint64_t used = sim_names_used(&f->sim->names);
	uint64_t end_max = have + (used < limit ? limit - used : 0);
	return offset < end_max ? (size_t)MIN((uint64_t)len, end_max - offset) : 0;
}

/* The length of a random prefix of the sectors that a write covers. */
static size_t
torn_len(struct sim *s, size_t len, uint64_t offset)
{
	uint64_t first = offset / SIM_SECTOR_BYTES;
	uint64_t count = (offset + len + SIM_SECTOR_BYTES - 1) / SIM_SECTOR_BYTES - first;
	uint64_t end = (first + prng_below(&s->world, count + 1)) * SIM_SECTOR_BYTES;
	return end <= offset ? 0 : (size_t)MIN((uint64_t)len, end - offset);
}

static ssize_t
sim_pwrite(struct env_file *file, const void *bytes, size_t len, uint64_t offset)
{
	struct sim_file *f = file_of(file);
	int error = alive(f);
	if (!error)
		error = f->flags & ENV_WRITE ? aligned(f, bytes, len, offset) : -EBADF;
	if (error)
		return error;
	struct verdict verdict = step(f->sim, SIM_WRITE);
	size_t part = room(f, len, offset);
	if (verdict.effect == EFFECT_PART)
		part = MIN(part, torn_len(f->sim, len, offset));
	if (verdict.effect != EFFECT_NONE)
		error = sim_data_write(&f->node->data, bytes, part, offset);
	if (verdict.error)
		return verdict.error;
	if (!error && part < len)
		error = -ENOSPC;
	return error ? error : (ssize_t)len;
}

static int
sim_sync(struct env_file *file)
{
	struct sim_file *f = file_of(file);
	int error = alive(f);
	if (error)
		return error;
	struct verdict verdict = step(f->sim, SIM_SYNC);
	if (verdict.effect == EFFECT_WHOLE)
		sim_data_sync(&f->node->data);
	else if (verdict.effect == EFFECT_PART)
		sim_data_sync_failed(&f->node->data, &f->sim->world);
	return verdict.error;
}

static int
sim_truncate(struct env_file *file, uint64_t len)
{
	struct sim_file *f = file_of(file);
	uint64_t have = f->node->data.len;
	int error = alive(f);
	if (!error && !(f->flags & ENV_WRITE))
		error = -EBADF;
	if (error)
		return error;
	struct verdict verdict = step(f->sim, SIM_TRUNCATE);
	if (len > have && room(f, 1, len - 1) == 0)
		error = -ENOSPC;
	else if (verdict.effect == EFFECT_WHOLE)
		error = sim_data_truncate(&f->node->data, len);
	return verdict.error ? verdict.error : error;
}

static int
sim_size(struct env_file *file, uint64_t *ret_len)
{
	const struct sim_file *f = file_of(file);
	int error = alive(f);
	if (!error)
		*ret_len = f->node->data.len;
	return error;
}

static int
sim_lock(struct env_file *file)
{
	struct sim_file *f = file_of(file);
	int error = alive(f);
	if (!error && f->node->lock && f->node->lock != f)
		error = -EWOULDBLOCK;
	if (!error)
		f->node->lock = f;
	return error;
}

static const struct env_file_ops sim_file_ops = {
    .close = sim_close,
    .pread = sim_pread,
    .pwrite = sim_pwrite,
    .sync = sim_sync,
    .truncate = sim_truncate,
    .size = sim_size,
    .lock = sim_lock,
};

static void
sim_destroy(struct env *env)
{
	struct sim *s = sim_of(env);
	sim_names_finish(&s->names);
	free(s);
}

static int64_t
sim_now_ms(struct env *env)
{
	return sim_of(env)->now_ms;
}

static uint64_t
sim_mono_ns(struct env *env)
{
	return sim_of(env)->mono_ns;
}

static void
sim_random_bytes(struct env *env, void *ret_bytes, size_t len)
{
	struct sim *s = sim_of(env);
	for (size_t done = 0; done < len; done += sizeof(uint64_t)) {
		uint64_t word = prng_next(&s->bytes);
		memcpy((uint8_t *)ret_bytes + done, &word, MIN(len - done, sizeof(word)));
	}
}

/* The file at `path`, made when the flags say so. */
static int
find_or_create(struct sim *s, const char *path, int flags, struct sim_node **ret_node)
{
	struct sim_node *node;
	int error = sim_names_find(&s->names, path, &node);
	if (error == -ENOENT && flags & ENV_CREATE)
		return sim_names_create(&s->names, path, false, ret_node);
	if (!error && flags & ENV_CREATE && flags & ENV_EXCLUSIVE)
		return -EEXIST;
	if (!error && node->directory)
		return -EISDIR;
	if (!error)
		*ret_node = node;
	return error;
}

static int
sim_open(struct env *env, const char *path, int flags, struct env_file **ret_file)
{
	struct sim *s = sim_of(env);
	struct verdict verdict = step(s, SIM_OPEN);
	struct sim_node *node;
	if (verdict.effect == EFFECT_NONE)
		return verdict.error;
	int error = find_or_create(s, path, flags, &node);
	if (verdict.error || error)
		return verdict.error ? verdict.error : error;
	struct sim_file *f = malloc(sizeof(*f));
	if (!f)
		return -ENOMEM;
	*f = (struct sim_file){
	    .file.ops = &sim_file_ops,
	    .sim = s,
	    .node = sim_names_ref(node),
	    .generation = s->generation,
	    .flags = flags,
	};
	*ret_file = &f->file;
	return 0;
}

static int
sim_rename(struct env *env, const char *from, const char *to)
{
	struct sim *s = sim_of(env);
	struct verdict verdict = step(s, SIM_RENAME);
	int error = 0;
	if (verdict.effect == EFFECT_WHOLE)
		error = sim_names_rename(&s->names, from, to);
	return verdict.error ? verdict.error : error;
}

static int
sim_unlink(struct env *env, const char *path)
{
	struct sim *s = sim_of(env);
	struct verdict verdict = step(s, SIM_UNLINK);
	int error = 0;
	if (verdict.effect == EFFECT_WHOLE)
		error = sim_names_unlink(&s->names, path);
	return verdict.error ? verdict.error : error;
}

static int
sim_mkdir(struct env *env, const char *path)
{
	struct sim *s = sim_of(env);
	struct verdict verdict = step(s, SIM_OPEN);
	struct sim_node *node;
	int error = 0;
	if (verdict.effect == EFFECT_WHOLE) {
		error = sim_names_create(&s->names, path, true, &node);
		if (error == -EEXIST && sim_names_find(&s->names, path, &node) == 0 &&
		    node->directory)
			error = 0;
	}
	return verdict.error ? verdict.error : error;
}

static int
sim_sync_dir(struct env *env, const char *path)
{
	struct sim *s = sim_of(env);
	int error = step(s, SIM_SYNC_DIR).error;
	return error ? error : sim_names_sync_dir(&s->names, path);
}

static int
sim_list_dir(struct env *env, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	struct sim *s = sim_of(env);
	int error = step(s, SIM_READ).error;
	return error ? error : sim_names_list(&s->names, path, each, ctx);
}

static int
sim_stat(struct env *env, const char *path, uint64_t *ret_bytes)
{
	struct sim *s = sim_of(env);
	struct sim_node *node;
	int error = step(s, SIM_READ).error;
	if (!error)
		error = sim_names_find(&s->names, path, &node);
	if (!error)
		*ret_bytes = node->data.len;
	return error;
}

static int
sim_disk_free(struct env *env, const char *path, uint64_t *ret_bytes)
{
	struct sim *s = sim_of(env);
	struct sim_node *node;
	int error = s->crashed ? -EIO : sim_names_find(&s->names, path, &node);
	if (error)
		return error;
	uint64_t limit = s->disk_limit_bytes ? s->disk_limit_bytes : FREE_UNLIMITED_BYTES;
	uint64_t used = sim_names_used(&s->names);
	*ret_bytes = used < limit ? limit - used : 0;
	return 0;
}

static const struct env_ops sim_ops = {
    .destroy = sim_destroy,
    .now_ms = sim_now_ms,
    .mono_ns = sim_mono_ns,
    .random = sim_random_bytes,
    .open = sim_open,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .mkdir = sim_mkdir,
    .sync_dir = sim_sync_dir,
    .list_dir = sim_list_dir,
    .stat = sim_stat,
    .disk_free = sim_disk_free,
};

struct env *
sim_create(uint64_t seed)
{
	struct sim *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	if (sim_names_init(&s->names)) {
		free(s);
		return NULL;
	}
	struct prng streams = {seed};
	s->env.ops = &sim_ops;
	s->world.state = prng_next(&streams);
	s->bytes.state = prng_next(&streams);
	s->test.state = prng_next(&streams);
	s->now_ms = NOW_FIRST_MS;
	s->mono_ns = MONO_FIRST_NS;
	return &s->env;
}

void
sim_advance_ms(struct env *env, int64_t ms)
{
	struct sim *s = sim_of(env);
	s->now_ms += ms;
	if (ms > 0)
		s->mono_ns += (uint64_t)ms * 1000000;
}

void
sim_power_cut(struct env *env)
{
	struct sim *s = sim_of(env);
	sim_names_cut(&s->names, &s->world);
	s->generation++;
	s->crash_armed = s->crashed = false;
}

void
sim_fail(struct env *env, enum sim_op op, uint64_t after, int error, bool sticky)
{
	check(op < SIM_OP_COUNT && error < 0);
	sim_of(env)->faults[op] = (struct fault){true, sticky, after, error};
}

void
sim_heal(struct env *env)
{
	memset(sim_of(env)->faults, 0, sizeof(sim_of(env)->faults));
}

void
sim_crash_after(struct env *env, uint64_t after)
{
	struct sim *s = sim_of(env);
	s->crash_armed = true;
	s->crash_at = s->op_count + after;
}

uint64_t
sim_op_count(const struct env *env)
{
	return sim_of((struct env *)(uintptr_t)env)->op_count;
}

void
sim_disk_limit(struct env *env, uint64_t bytes)
{
	sim_of(env)->disk_limit_bytes = bytes;
}

int
sim_flip_bit(struct env *env, const char *path, uint64_t bit)
{
	struct sim_node *node;
	int error = sim_names_find(&sim_of(env)->names, path, &node);
	return error ? error : sim_data_flip(&node->data, bit);
}

uint64_t
sim_random(struct env *env)
{
	return prng_next(&sim_of(env)->test);
}

uint64_t
sim_random_below(struct env *env, uint64_t bound)
{
	check(bound > 0);
	return prng_below(&sim_of(env)->test, bound);
}

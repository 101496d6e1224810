/*
 * env.h: the world: time, randomness, files. The real one, or a simulated one that a seed drives.
 *
 * Every room gets its world as a `struct env *` and asks nothing else, so a test can give it a
 * disk that fails, a clock that jumps, and a power cut. Sockets are in socket.h, threads in
 * thread.h. All functions return a negative errno on failure and may be called on any thread,
 * unless said otherwise. Paths are NUL-terminated.
 *
 * The simulated env (sim.h) is for one thread.
 */
#ifndef WEIR_ENV_H
#define WEIR_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct env;
struct env_file;

struct env_ops {
	void (*destroy)(struct env *env);
	int64_t (*now_ms)(struct env *env);
	uint64_t (*mono_ns)(struct env *env);
	void (*random)(struct env *env, void *ret_bytes, size_t len);
	int (*open)(struct env *env, const char *path, int flags, struct env_file **ret_file);
	int (*rename)(struct env *env, const char *from, const char *to);
	int (*unlink)(struct env *env, const char *path);
	int (*mkdir)(struct env *env, const char *path);
	int (*sync_dir)(struct env *env, const char *path);
	int (*list_dir)(struct env *env, const char *path,
	    int (*each)(void *ctx, const char *name), void *ctx);
	int (*stat)(struct env *env, const char *path, uint64_t *ret_bytes);
	int (*disk_free)(struct env *env, const char *path, uint64_t *ret_bytes);
};

struct env_file_ops {
	void (*close)(struct env_file *file);
	ssize_t (*pread)(struct env_file *file, void *ret_bytes, size_t len, uint64_t offset);
	ssize_t (*pwrite)(struct env_file *file, const void *bytes, size_t len, uint64_t offset);
	int (*sync)(struct env_file *file);
	int (*truncate)(struct env_file *file, uint64_t len);
	int (*size)(struct env_file *file, uint64_t *ret_len);
	int (*lock)(struct env_file *file);
	int (*allocate)(struct env_file *file, uint64_t len); /* NULL: it cannot */
};

/* First member of every implementation. */
struct env {
	const struct env_ops *ops;
};

struct env_file {
	const struct env_file_ops *ops;
};

/* The real world. NULL when memory is out. env_destroy(NULL) is allowed. */
struct env *env_create(void);
void env_destroy(struct env *env);

/* Wall clock: milliseconds since the Unix epoch. May step in both directions. */
int64_t env_now_ms(struct env *env);

/* Monotonic clock: nanoseconds since some moment before the process began. */
uint64_t env_mono_ns(struct env *env);

/* `len` bytes fit for keys and tokens. Cannot fail. */
void env_random(struct env *env, void *ret_bytes, size_t len);

enum {
	ENV_READ = 0,       /* reading only */
	ENV_WRITE = 1,      /* reading and writing */
	ENV_CREATE = 2,     /* made when missing, mode 0600; the entry lasts only after sync_dir */
	ENV_EXCLUSIVE = 4,  /* with ENV_CREATE: -EEXIST when it is there */
	/* O_DIRECT: offsets, lengths, addresses in multiples of 4096; -EINVAL where the file system
	 * cannot. */
	ENV_DIRECT = 8,
};

/* *ret_file is the caller's, to be given to env_close. */
int env_open(struct env *env, const char *path, int flags, struct env_file **ret_file);
void env_close(struct env_file *file); /* NULL is allowed; does not sync */

/* Read all of `len` bytes at `offset` if they are there: the number read, less only at the end
 * of the file. Interruptions are retried. */
ssize_t env_pread(struct env_file *file, void *ret_bytes, size_t len, uint64_t offset);

/* Write all of `len` bytes: 0 or -errno (-ENOSPC, -EIO …); after a failure the range's contents
 * are unknown. */
int env_pwrite(struct env_file *file, const void *bytes, size_t len, uint64_t offset);

/* fdatasync: 0 when everything written before is on disk. After a failure nothing written since
 * the last success may be trusted, and the call must not be retried (the kernel may already have
 * dropped the dirty pages). */
int env_sync(struct env_file *file);
int env_truncate(struct env_file *file, uint64_t len);

/* The file becomes `len` zeroes (it was empty) whose space is its own: from the file system where
 * it gives space without writing, else they are written. 0, -ENOSPC … */
int env_allocate(struct env_file *file, uint64_t len);
int env_size(struct env_file *file, uint64_t *ret_len);

/* Exclusive lock of the whole file for this process, held until close or death.
 * 0, -EWOULDBLOCK when another process has it. */
int env_lock(struct env_file *file);

/* Atomic; lasts only after sync_dir of the directory (of both, when they differ). */
int env_rename(struct env *env, const char *from, const char *to);
int env_unlink(struct env *env, const char *path);
int env_mkdir(struct env *env, const char *path); /* 0 also when it is there; mode 0700 */
int env_sync_dir(struct env *env, const char *path);

/* Calls each() with every name but "." and "..", in bytewise order. Stops at the first nonzero
 * return and returns that. */
int env_list_dir(struct env *env, const char *path, int (*each)(void *ctx, const char *name),
    void *ctx);

/* The size of the file at `path`; -ENOENT. */
int env_stat(struct env *env, const char *path, uint64_t *ret_bytes);

/* Bytes an unprivileged process may still write below `path`. */
int env_disk_free(struct env *env, const char *path, uint64_t *ret_bytes);

/* A small file whole (at most `bytes_max`, else -EFBIG). *ret_bytes is malloc'd, the caller's,
 * and has a NUL after its end. */
int env_read_file(struct env *env, const char *path, size_t bytes_max, char **ret_bytes,
    size_t *ret_len);

/* Replaces a small file atomically and durably: temporary, sync, rename, sync of the directory. */
int env_write_file(struct env *env, const char *path, const void *bytes, size_t len);

#endif

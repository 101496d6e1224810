/*
 * env.c: the doors to the world, and the real world behind them.
 *
 * The first part hands every call to the implementation's table and knows no implementation. The
 * second is Linux: one descriptor for each file, no state besides. Calls broken off by signals are
 * repeated here, except a sync: after any failure of it the kernel may have dropped the pages.
 */
#include "env.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "check.h"
#include "name_list.h"

enum { DIRECT_BYTES = 4096 }; /* what ENV_DIRECT promises to be enough */

void
env_destroy(struct env *env)
{
	if (env)
		env->ops->destroy(env);
}

int64_t
env_now_ms(struct env *env)
{
	return env->ops->now_ms(env);
}

uint64_t
env_mono_ns(struct env *env)
{
	return env->ops->mono_ns(env);
}

void
env_random(struct env *env, void *ret_bytes, size_t len)
{
	env->ops->random(env, ret_bytes, len);
}

int
env_open(struct env *env, const char *path, int flags, struct env_file **ret_file)
{
	return env->ops->open(env, path, flags, ret_file);
}

void
env_close(struct env_file *file)
{
	if (file)
		file->ops->close(file);
}

ssize_t
env_pread(struct env_file *file, void *ret_bytes, size_t len, uint64_t offset)
{
	return file->ops->pread(file, ret_bytes, len, offset);
}

int
env_pwrite(struct env_file *file, const void *bytes, size_t len, uint64_t offset)
{
	ssize_t written = file->ops->pwrite(file, bytes, len, offset);
	if (written < 0)
		return (int)written;
	return (size_t)written == len ? 0 : -EIO;
}

int
env_sync(struct env_file *file)
{
	return file->ops->sync(file);
}

int
env_allocate(struct env_file *file, uint64_t len)
{
	static const char zeros[64 << 10] = {0};
	int error = file->ops->allocate ? file->ops->allocate(file, len) : -EOPNOTSUPP;
	if (error != -EOPNOTSUPP && error != -ENOSYS)
		return error;
	error = 0;
	for (uint64_t at = 0; at < len && !error; at += sizeof zeros)
		error = env_pwrite(file, zeros, (size_t)MIN(len - at, (uint64_t)sizeof zeros), at);
	return error;
}

int
env_truncate(struct env_file *file, uint64_t len)
{
	return file->ops->truncate(file, len);
}

int
env_size(struct env_file *file, uint64_t *ret_len)
{
	return file->ops->size(file, ret_len);
}

int
env_lock(struct env_file *file)
{
	return file->ops->lock(file);
}

int
env_rename(struct env *env, const char *from, const char *to)
{
	return env->ops->rename(env, from, to);
}

int
env_unlink(struct env *env, const char *path)
{
	return env->ops->unlink(env, path);
}

int
env_mkdir(struct env *env, const char *path)
{
	return env->ops->mkdir(env, path);
}

int
env_sync_dir(struct env *env, const char *path)
{
	return env->ops->sync_dir(env, path);
}

int
env_list_dir(struct env *env, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	return env->ops->list_dir(env, path, each, ctx);
}

int
env_stat(struct env *env, const char *path, uint64_t *ret_bytes)
{
	return env->ops->stat(env, path, ret_bytes);
}

int
env_disk_free(struct env *env, const char *path, uint64_t *ret_bytes)
{
	return env->ops->disk_free(env, path, ret_bytes);
}

int
env_read_file(
    struct env *env, const char *path, size_t bytes_max, char **ret_bytes, size_t *ret_len)
{
	struct env_file *file = NULL;
	char *bytes = NULL;
	uint64_t size = 0;
	ssize_t len = 0;
	int error = env_open(env, path, ENV_READ, &file);
	if (!error)
		error = env_size(file, &size);
	if (!error && size > bytes_max)
		error = -EFBIG;
	if (!error && !(bytes = malloc((size_t)size + 1)))
		error = -ENOMEM;
	if (!error && (len = env_pread(file, bytes, (size_t)size, 0)) < 0)
		error = (int)len;
	env_close(file);
	if (error)
		goto fail;
	bytes[len] = '\0';
	*ret_bytes = bytes;
	*ret_len = (size_t)len;
	return 0;

fail:
	free(bytes);
	return error;
}

/* The directory that holds `path`, NUL-terminated. */
static int
append_parent(struct buf *b, const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return buf_append(b, ".", 2);
	size_t len = slash == path ? 1 : (size_t)(slash - path);
	int error = buf_append(b, path, len);
	return error ? error : buf_append_byte(b, '\0');
}

/* A new file with these contents, on disk. */
static int
write_whole(struct env *env, const char *path, const void *bytes, size_t len)
{
	struct env_file *file = NULL;
	int error = env_open(env, path, ENV_WRITE | ENV_CREATE, &file);
	if (!error)
		error = env_truncate(file, 0);
	if (!error && len > 0)
		error = env_pwrite(file, bytes, len, 0);
	if (!error)
		error = env_sync(file);
	env_close(file);
	return error;
}

int
env_write_file(struct env *env, const char *path, const void *bytes, size_t len)
{
	struct buf temporary, parent;
	buf_init(&temporary, 0);
	buf_init(&parent, 0);
	int error = buf_printf(&temporary, "%s.tmp%c", path, '\0');
	if (!error)
		error = append_parent(&parent, path);
	if (!error) {
		error = write_whole(env, temporary.ptr, bytes, len);
		if (!error)
			error = env_rename(env, temporary.ptr, path);
		if (error)
			env_unlink(env, temporary.ptr);
	}
	if (!error)
		error = env_sync_dir(env, parent.ptr);
	buf_finish(&parent);
	buf_finish(&temporary);
	return error;
}

/* The real world. */

struct real_file {
	struct env_file file;
	int fd;
	bool direct;
};

static struct real_file *
real_of(struct env_file *file)
{
	return CONTAINER_OF(file, struct real_file, file);
}

static int
result(int returned)
{
	return returned < 0 ? -errno : 0;
}

static void
real_close(struct env_file *file)
{
	struct real_file *f = real_of(file);
	close(f->fd);
	free(f);
}

static ssize_t
real_pread(struct env_file *file, void *ret_bytes, size_t len, uint64_t offset)
{
	const struct real_file *f = real_of(file);
	size_t done = 0;
	while (done < len) {
		ssize_t n =
		    pread(f->fd, (char *)ret_bytes + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
		/* A direct read that came up short met the end; where it would go on is not
		 * aligned. */
		if (n == 0 || f->direct)
			break;
	}
	return (ssize_t)done;
}

static ssize_t
real_pwrite(struct env_file *file, const void *bytes, size_t len, uint64_t offset)
{
	const struct real_file *f = real_of(file);
	size_t done = 0;
	while (done < len) {
		ssize_t n =
		    pwrite(f->fd, (const char *)bytes + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int
real_sync(struct env_file *file)
{
	return result(fdatasync(real_of(file)->fd));
}

static int
real_truncate(struct env_file *file, uint64_t len)
{
	int returned;
	do {
		returned = ftruncate(real_of(file)->fd, (off_t)len);
	} while (returned < 0 && errno == EINTR);
	return result(returned);
}

static int
real_size(struct env_file *file, uint64_t *ret_len)
{
	struct stat st;
	if (fstat(real_of(file)->fd, &st) < 0)
		return -errno;
	*ret_len = (uint64_t)st.st_size;
	return 0;
}

static int
real_lock(struct env_file *file)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = real_of(file)->fd;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	/* Programs that are not ours (sqlite3) know only fcntl's locks, which are others; those
	 * need a file that is open for writing. */
	if (fcntl(fd, F_OFD_SETLK, &whole) < 0 && errno != EBADF)
		return errno == EACCES ? -EWOULDBLOCK : -errno;
	return 0;
}

static int
real_allocate(struct env_file *file, uint64_t len)
{
	int returned;
	do {
		returned = fallocate(real_of(file)->fd, 0, 0, (off_t)len);
	} while (returned < 0 && errno == EINTR);
	return result(returned);
}

static const struct env_file_ops real_file_ops = {
    .close = real_close,
    .pread = real_pread,
    .pwrite = real_pwrite,
    .sync = real_sync,
    .truncate = real_truncate,
    .size = real_size,
    .lock = real_lock,
    .allocate = real_allocate,
};

static void
real_destroy(struct env *env)
{
	free(env);
}

static int64_t
real_now_ms(struct env *env)
{
	(void)env;
	struct timespec ts;
	check(clock_gettime(CLOCK_REALTIME, &ts) == 0);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uint64_t
real_mono_ns(struct env *env)
{
	(void)env;
	struct timespec ts;
	check(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void
real_random(struct env *env, void *ret_bytes, size_t len)
{
	(void)env;
	size_t done = 0;
	while (done < len) {
		ssize_t n = getrandom((char *)ret_bytes + done, len - done, 0);
		check(n > 0 || errno == EINTR);
		done += n > 0 ? (size_t)n : 0;
	}
}

static int
open_retrying(const char *path, int flags)
{
	int fd;
	do {
		fd = open(path, flags | O_CLOEXEC, 0600);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

/* Some file systems take O_DIRECT at open() and then want more alignment at each write. */
static bool
direct_fits(int fd)
{
	bool fits = true;
#ifdef STATX_DIOALIGN
	struct statx st;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 && st.stx_mask & STATX_DIOALIGN)
		fits = st.stx_dio_offset_align > 0 && st.stx_dio_offset_align <= DIRECT_BYTES &&
		    st.stx_dio_mem_align <= DIRECT_BYTES;
#else
	(void)fd;
#endif
	return fits;
}

static int
real_open(struct env *env, const char *path, int flags, struct env_file **ret_file)
{
	(void)env;
	struct real_file *f = malloc(sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->fd = open_retrying(
	    path, (flags & ENV_WRITE ? O_RDWR : O_RDONLY) | (flags & ENV_CREATE ? O_CREAT : 0) |
		      (flags & ENV_EXCLUSIVE ? O_EXCL : 0) | (flags & ENV_DIRECT ? O_DIRECT : 0));
	if (f->fd >= 0 && flags & ENV_DIRECT && !direct_fits(f->fd)) {
		close(f->fd);
		if (flags & ENV_EXCLUSIVE)
			unlink(path);
		f->fd = -EINVAL;
	}
	if (f->fd < 0) {
		int error = f->fd;
		free(f);
		return error;
	}
	f->file.ops = &real_file_ops;
	f->direct = flags & ENV_DIRECT;
	*ret_file = &f->file;
	return 0;
}

static int
real_rename(struct env *env, const char *from, const char *to)
{
	(void)env;
	return result(rename(from, to));
}

static int
real_unlink(struct env *env, const char *path)
{
	(void)env;
	return result(unlink(path));
}

static int
real_mkdir(struct env *env, const char *path)
{
	(void)env;
	struct stat st;
	if (mkdir(path, 0700) == 0)
		return 0;
	int error = -errno;
	if (error == -EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return error;
}

static int
real_sync_dir(struct env *env, const char *path)
{
	(void)env;
	int fd = open_retrying(path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	int error = result(fsync(fd));
	close(fd);
	return error;
}

/* Every name of the directory. */
static int
read_names(struct name_list *list, const char *path)
{
	DIR *dir = opendir(path);
	if (!dir)
		return -errno;
	int error = 0;
	while (!error) {
		errno = 0;
		const struct dirent *entry = readdir(dir);
		if (!entry) {
			error = -errno;
			break;
		}
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			error = name_list_add(list, span_str(entry->d_name));
	}
	closedir(dir);
	return error;
}

static int
real_list_dir(
    struct env *env, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	(void)env;
	struct name_list list;
	name_list_init(&list);
	int returned = read_names(&list, path);
	if (!returned)
		returned = name_list_each(&list, each, ctx);
	name_list_finish(&list);
	return returned;
}

static int
real_stat(struct env *env, const char *path, uint64_t *ret_bytes)
{
	(void)env;
	struct stat st;
	if (stat(path, &st) < 0)
		return -errno;
	*ret_bytes = (uint64_t)st.st_size;
	return 0;
}

static int
real_disk_free(struct env *env, const char *path, uint64_t *ret_bytes)
{
	(void)env;
	struct statvfs st;
	if (statvfs(path, &st) < 0)
		return -errno;
	*ret_bytes = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

static const struct env_ops real_ops = {
    .destroy = real_destroy,
    .now_ms = real_now_ms,
    .mono_ns = real_mono_ns,
    .random = real_random,
    .open = real_open,
    .rename = real_rename,
    .unlink = real_unlink,
    .mkdir = real_mkdir,
    .sync_dir = real_sync_dir,
    .list_dir = real_list_dir,
    .stat = real_stat,
    .disk_free = real_disk_free,
};

struct env *
env_create(void)
{
	struct env *env = malloc(sizeof(*env));
	if (env)
		env->ops = &real_ops;
	return env;
}

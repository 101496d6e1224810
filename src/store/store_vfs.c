/*
 * store_vfs.c: the VFS under weir.db. SQLite asks it for files by bare names ("weir.db",
 * "weir.db-wal"); it puts the directory in front and hands every call to the env, so that the
 * simulated disk, its faults and its power cuts reach SQLite too.
 *
 * Why it is as it is:
 * - SQLite's list of VFSes is global to the process. Each store registers one of its own, named
 *   after its own address, and takes it out when it closes: no globals of ours.
 * - There is no shared memory: with locking_mode=EXCLUSIVE the index of the WAL lives in the heap.
 *   The lock is the env's lock of the whole file, taken once and held until the file closes.
 * - Nothing is promised about the disk (no SQLITE_IOCAP_*). In particular not POWERSAFE_OVERWRITE:
 *   SQLite then fills the WAL up to the end of the sector at each commit, so a later write never
 *   touches a sector with committed frames. The sector size named is 4096, the largest unit that
 *   disks tear in; the simulated disk's 512 divides it.
 * - A file that may have been created here has its directory synced with its first sync, also when
 *   it was there already: the process that made it may have died before it synced the directory.
 * - A failed sync may leave bytes that programs can read, no disk has and no later sync writes.
 *   SQLite writes again what the failed transaction wrote, but not the end of the filling: it lies
 *   behind the boundary up to which the commit before was synced, and all later frames build on
 *   its checksum. So that end is kept in memory and written again before the next sync.
 * - A process that died after a failed sync leaves such bytes too. So a WAL that is found is copied
 *   and synced before SQLite reads it: what is then believed is what the disk has.
 * - SQLite's own random numbers are global and seeded by the default VFS. They choose the salts of
 *   the WAL, never what is done, so a simulated run is the same run for the same seed.
 */
#include "store_vfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define NAME_BYTES_MAX 32 /* "weir.db-journal" and its NUL fit well */
#define SECTOR_BYTES 4096
#define FRAME_BYTES (24 + 4096) /* of the WAL: its header and a page; the filling is no longer */
#define COPY_NAME "weir.db-copy"
#define COPY_BYTES 65536
#define JULIAN_EPOCH_MS 210866760000000 /* 1970-01-01 as SQLite's Julian day in milliseconds */

struct store_vfs {
	sqlite3_vfs base; /* first: SQLite hands us pointers to it */
	struct env *env;
	char name[40];
	int error;
	char what[64];
	size_t dir_len;
	char path[]; /* DIR/ and behind it the name asked for; one thread uses it at a time */
};

struct vfs_file {
	sqlite3_file base; /* first */
	struct store_vfs *vfs;
	struct env_file *file;
	const char *name; /* SQLite keeps it until the file is closed */
	bool locked;
	bool sync_dir; /* the directory is to be synced with the next sync */
	struct wal_end *end; /* of the WAL only */
};

/* The first bytes written to the WAL since its last successful sync. */
struct wal_end {
	uint64_t offset;
	size_t len;
	bool suspect; /* a sync has failed since */
	char bytes[FRAME_BYTES];
};

static struct vfs_file *
vfs_file(sqlite3_file *file)
{
	return (struct vfs_file *)(void *)file;
}

static struct store_vfs *
vfs_of(sqlite3_vfs *base)
{
	return (struct store_vfs *)(void *)base;
}

/* Keeps the reason for store_vfs_error; returns `result`, the code SQLite gets. */
static int
vfs_failed(struct store_vfs *vfs, int error, const char *verb, const char *name, int result)
{
	vfs->error = error;
	snprintf(vfs->what, sizeof(vfs->what), "%s %s", verb, name);
	return result;
}

/* The path of `name`, or NULL when it is too long to be one of ours. */
static const char *
vfs_path(struct store_vfs *vfs, const char *name)
{
	size_t len = strlen(name);

	if (len >= NAME_BYTES_MAX)
		return NULL;
	memcpy(vfs->path + vfs->dir_len + 1, name, len + 1);
	return vfs->path;
}

static int
vfs_sync_dir(struct store_vfs *vfs)
{
	int error;

	vfs->path[vfs->dir_len] = '\0';
	error = env_sync_dir(vfs->env, vfs->dir_len ? vfs->path : "/");
	vfs->path[vfs->dir_len] = '/';
	if (error)
		return vfs_failed(vfs, error, "sync", "the directory", SQLITE_IOERR_DIR_FSYNC);
	return SQLITE_OK;
}

/* ── files ── */

static int
file_close(sqlite3_file *base)
{
	struct vfs_file *file = vfs_file(base);

	env_close(file->file);
	free(file->end);
	return SQLITE_OK;
}

static int
file_read(sqlite3_file *base, void *bytes, int len, sqlite3_int64 offset)
{
	struct vfs_file *file = vfs_file(base);
	ssize_t got = env_pread(file->file, bytes, (size_t)len, (uint64_t)offset);

	if (got < 0)
		return vfs_failed(file->vfs, (int)got, "read", file->name, SQLITE_IOERR_READ);
	if (got < len) {
		memset((char *)bytes + got, 0, (size_t)(len - got));
		return SQLITE_IOERR_SHORT_READ;
	}
	return SQLITE_OK;
}

/* Keeps what is written right behind the last successful sync, and what is written over that. */
static void
end_keep(struct wal_end *end, const char *bytes, size_t len, uint64_t offset)
{
	uint64_t from, to;

	if (end->len == 0)
		end->offset = offset;
	from = MAX(offset, end->offset);
	to = MIN(offset + len, end->offset + sizeof(end->bytes));
	if (from >= to || from > end->offset + end->len)
		return;
	memcpy(end->bytes + (from - end->offset), bytes + (from - offset), to - from);
	end->len = MAX(end->len, (size_t)(to - end->offset));
}

static int
file_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 offset)
{
	struct vfs_file *file = vfs_file(base);
	int error = env_pwrite(file->file, bytes, (size_t)len, (uint64_t)offset);

	if (error == -ENOSPC || error == -EDQUOT)
		return vfs_failed(file->vfs, error, "write", file->name, SQLITE_FULL);
	if (error)
		return vfs_failed(file->vfs, error, "write", file->name, SQLITE_IOERR_WRITE);
	if (file->end)
		end_keep(file->end, bytes, (size_t)len, (uint64_t)offset);
	return SQLITE_OK;
}

static int
file_truncate(sqlite3_file *base, sqlite3_int64 len)
{
	struct vfs_file *file = vfs_file(base);
	int error = env_truncate(file->file, (uint64_t)len);

	if (error)
		return vfs_failed(file->vfs, error, "cut", file->name, SQLITE_IOERR_TRUNCATE);
	return SQLITE_OK;
}

/* Syncs; after a failed sync writes first what that one may have lost. */
static int
file_sync_whole(struct vfs_file *file)
{
	struct wal_end *end = file->end;
	int error = 0;

	if (end && end->suspect)
		error = env_pwrite(file->file, end->bytes, end->len, end->offset);
	if (error == 0)
		error = env_sync(file->file);
	if (end) {
		end->suspect = error != 0;
		if (error == 0)
			end->len = 0;
	}
	return error;
}

static int
file_sync(sqlite3_file *base, int flags)
{
	struct vfs_file *file = vfs_file(base);
	int error = file_sync_whole(file);

	(void)flags;
	if (error)
		return vfs_failed(file->vfs, error, "sync", file->name, SQLITE_IOERR_FSYNC);
	if (file->sync_dir) {
		error = vfs_sync_dir(file->vfs);
		if (error)
			return error;
		file->sync_dir = false;
	}
	return SQLITE_OK;
}

static int
file_size(sqlite3_file *base, sqlite3_int64 *ret_len)
{
	struct vfs_file *file = vfs_file(base);
	uint64_t len;
	int error = env_size(file->file, &len);

	if (error)
		return vfs_failed(file->vfs, error, "measure", file->name, SQLITE_IOERR_FSTAT);
	*ret_len = (sqlite3_int64)len;
	return SQLITE_OK;
}

static int
file_lock(sqlite3_file *base, int level)
{
	struct vfs_file *file = vfs_file(base);
	int error;

	(void)level;
	if (file->locked)
		return SQLITE_OK;
	error = env_lock(file->file);
	if (error == -EWOULDBLOCK)
		return vfs_failed(file->vfs, error, "lock", file->name, SQLITE_BUSY);
	if (error)
		return vfs_failed(file->vfs, error, "lock", file->name, SQLITE_IOERR_LOCK);
	file->locked = true;
	return SQLITE_OK;
}

static int
file_unlock(sqlite3_file *base, int level)
{
	(void)base;
	(void)level;
	return SQLITE_OK;
}

static int
file_check_reserved_lock(sqlite3_file *base, int *ret_reserved)
{
	(void)base;
	*ret_reserved = 0; /* whoever asks has the lock that keeps all others out */
	return SQLITE_OK;
}

static int
file_control(sqlite3_file *base, int op, void *arg)
{
	(void)base;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int
file_sector_size(sqlite3_file *base)
{
	(void)base;
	return SECTOR_BYTES;
}

static int
file_device_characteristics(sqlite3_file *base)
{
	(void)base;
	return 0;
}

static const sqlite3_io_methods file_methods = {
	.iVersion = 1, /* no shared memory, no mapping */
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_reserved_lock,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_device_characteristics,
};

/* ── opening ── */

static int
copy_bytes(struct env_file *from, struct env_file *to)
{
	char *bytes = malloc(COPY_BYTES);
	uint64_t offset = 0;
	ssize_t got = 0;
	int error = bytes ? env_truncate(to, 0) : -ENOMEM;

	while (error == 0 && (got = env_pread(from, bytes, COPY_BYTES, offset)) > 0) {
		error = env_pwrite(to, bytes, (size_t)got, offset);
		offset += (uint64_t)got;
	}
	if (error == 0)
		error = got < 0 ? (int)got : env_sync(to);
	free(bytes);
	return error;
}

/* Puts a synced copy of the WAL in its place. Where only space is missing the WAL stays as it is:
 * it is wrong only if a sync had failed before. */
static int
wal_renew(struct store_vfs *vfs, const char *name)
{
	struct env_file *from = NULL, *to = NULL;
	char *copy = NULL;
	int error = env_open(vfs->env, vfs_path(vfs, name), ENV_READ, &from);

	if (error)
		return error == -ENOENT ? 0 : error;
	copy = strdup(vfs_path(vfs, COPY_NAME));
	error = copy ? env_open(vfs->env, copy, ENV_WRITE | ENV_CREATE, &to) : -ENOMEM;
	if (error == 0)
		error = copy_bytes(from, to);
	env_close(from);
	env_close(to);
	if (error == 0)
		error = env_rename(vfs->env, copy, vfs_path(vfs, name));
	else if (error == -ENOSPC || error == -EDQUOT)
		error = env_unlink(vfs->env, copy);
	free(copy);
	return error;
}

/* The part of vfs_open that only the WAL needs. SQLite has the lock of the database by then. */
static int
vfs_open_wal(struct store_vfs *vfs, const char *name, struct vfs_file *file)
{
	file->end = calloc(1, sizeof(*file->end));
	return file->end ? wal_renew(vfs, name) : -ENOMEM;
}

static int
vfs_open(sqlite3_vfs *base, sqlite3_filename name, sqlite3_file *ret_file, int flags,
    int *ret_flags)
{
	struct store_vfs *vfs = vfs_of(base);
	struct vfs_file *file = vfs_file(ret_file);
	int error = 0;

	memset(file, 0, sizeof(*file)); /* no methods: SQLite does not close what did not open */
	if (name == NULL || vfs_path(vfs, name) == NULL) /* temp_store=MEMORY: no such file */
		return vfs_failed(vfs, -EINVAL, "open", "a temporary file", SQLITE_CANTOPEN);
	if (flags & SQLITE_OPEN_WAL)
		error = vfs_open_wal(vfs, name, file);
	if (error == 0)
		error = env_open(vfs->env, vfs_path(vfs, name),
		    ((flags & SQLITE_OPEN_READWRITE) ? ENV_WRITE : ENV_READ) |
		    ((flags & SQLITE_OPEN_CREATE) ? ENV_CREATE : 0) |
		    ((flags & SQLITE_OPEN_EXCLUSIVE) ? ENV_EXCLUSIVE : 0), &file->file);
	if (error) {
		free(file->end);
		return error == -ENOMEM ? SQLITE_NOMEM :
		    vfs_failed(vfs, error, "open", name, SQLITE_CANTOPEN);
	}
	file->base.pMethods = &file_methods;
	file->vfs = vfs;
	file->name = name;
	file->sync_dir = (flags & SQLITE_OPEN_CREATE) != 0;
	if (ret_flags)
		*ret_flags = flags;
	return SQLITE_OK;
}

/* ── the directory, the clock ── */

static int
vfs_delete(sqlite3_vfs *base, const char *name, int sync_dir)
{
	struct store_vfs *vfs = vfs_of(base);
	const char *path = vfs_path(vfs, name);
	int error = path ? env_unlink(vfs->env, path) : -ENOENT;

	if (error == -ENOENT)
		return SQLITE_IOERR_DELETE_NOENT;
	if (error)
		return vfs_failed(vfs, error, "delete", name, SQLITE_IOERR_DELETE);
	return sync_dir ? vfs_sync_dir(vfs) : SQLITE_OK;
}

static int
vfs_access(sqlite3_vfs *base, const char *name, int flags, int *ret_there)
{
	struct store_vfs *vfs = vfs_of(base);
	const char *path = vfs_path(vfs, name);
	uint64_t len;
	int error = path ? env_stat(vfs->env, path, &len) : -ENOENT;

	(void)flags;
	if (error && error != -ENOENT)
		return vfs_failed(vfs, error, "find", name, SQLITE_IOERR_ACCESS);
	*ret_there = error == 0 && len > 0; /* an empty journal is none */
	return SQLITE_OK;
}

static int
vfs_full_path(sqlite3_vfs *base, const char *name, int size, char *ret_path)
{
	size_t len = strlen(name);

	(void)base;
	if (len >= (size_t)size)
		return SQLITE_CANTOPEN;
	memcpy(ret_path, name, len + 1);
	return SQLITE_OK;
}

static int
vfs_randomness(sqlite3_vfs *base, int len, char *ret_bytes)
{
	env_random(vfs_of(base)->env, ret_bytes, (size_t)len);
	return len;
}

/* Only a lock that is waited for would sleep; ours is had at once or not at all. */
static int
vfs_sleep(sqlite3_vfs *base, int us)
{
	(void)base;
	return us;
}

static int
vfs_current_time_ms(sqlite3_vfs *base, sqlite3_int64 *ret_julian_ms)
{
	*ret_julian_ms = env_now_ms(vfs_of(base)->env) + JULIAN_EPOCH_MS;
	return SQLITE_OK;
}

static int
vfs_current_time(sqlite3_vfs *base, double *ret_julian_day)
{
	*ret_julian_day = (double)(env_now_ms(vfs_of(base)->env) + JULIAN_EPOCH_MS) / 86400000.0;
	return SQLITE_OK;
}

static int
vfs_last_error(sqlite3_vfs *base, int size, char *ret_text)
{
	(void)size;
	(void)ret_text;
	return -vfs_of(base)->error;
}

int
store_vfs_create(struct env *env, const char *dir, struct store_vfs **ret_vfs)
{
	size_t dir_len = strlen(dir);
	struct store_vfs *vfs;

	while (dir_len > 0 && dir[dir_len - 1] == '/')
		dir_len--;
	vfs = calloc(1, sizeof(*vfs) + dir_len + 1 + NAME_BYTES_MAX);
	if (vfs == NULL)
		return -ENOMEM;
	vfs->env = env;
	vfs->dir_len = dir_len;
	memcpy(vfs->path, dir, dir_len);
	vfs->path[dir_len] = '/';
	snprintf(vfs->name, sizeof(vfs->name), "weir-%p", (void *)vfs);
	vfs->base = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = sizeof(struct vfs_file),
		.mxPathname = NAME_BYTES_MAX - 1,
		.zName = vfs->name,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_path,
		.xRandomness = vfs_randomness,
		.xSleep = vfs_sleep,
		.xCurrentTime = vfs_current_time,
		.xGetLastError = vfs_last_error,
		.xCurrentTimeInt64 = vfs_current_time_ms,
	};
	if (sqlite3_vfs_register(&vfs->base, 0) != SQLITE_OK) {
		free(vfs);
		return -ENOMEM;
	}
	*ret_vfs = vfs;
	return 0;
}

void
store_vfs_destroy(struct store_vfs *vfs)
{
	if (vfs == NULL)
		return;
	sqlite3_vfs_unregister(&vfs->base);
	free(vfs);
}

const char *
store_vfs_name(const struct store_vfs *vfs)
{
	return vfs->name;
}

int
store_vfs_error(struct store_vfs *vfs, const char **ret_what)
{
	int error = vfs->error;

	vfs->error = 0;
	*ret_what = error ? vfs->what : "";
	return error;
}

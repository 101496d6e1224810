/*
 * store_vfs.h: SQLite's view of files, clock and randomness, answered by a `struct env`.
 */
#ifndef WEIR_STORE_VFS_H
#define WEIR_STORE_VFS_H

#include <sqlite3.h>

#include "env.h"

struct store_vfs;

/* Registers a VFS for the files of one directory, under a name that no other has. It must be
 * destroyed after the connection that uses it. 0 or -ENOMEM. */
int store_vfs_create(struct env *env, const char *dir, struct store_vfs **ret_vfs);
void store_vfs_destroy(struct store_vfs *vfs); /* NULL ok */

/* What sqlite3_open_v2 calls it; lives as long as it. */
const char *store_vfs_name(const struct store_vfs *vfs);

/* The errno (negative) of the last call to the env that failed since the last asking, and what was
 * being done ("sync weir.db-wal"); 0 and "" when none. *ret_what holds until the next failure. */
int store_vfs_error(struct store_vfs *vfs, const char **ret_what);

#endif

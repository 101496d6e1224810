/*
 * data.h: a data directory, opened by one process at a time: its lock, weir.db, the node's secret.
 *
 * Used by the server, and by `weir admin` while no server runs.
 */
#ifndef WEIR_DATA_H
#define WEIR_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "env.h"
#include "store.h"

struct data {
	struct env *env;
	const char *dir;          /* the caller's, must outlive it */
	struct env_file *lock;
	struct store *store;
	unsigned char *secret;    /* 32 bytes that key the hashes of access; sodium_malloc */
};

#define DATA_PATH_BYTES 4096
#define DATA_REASON_BYTES 512

/* Writes a sentence into `ret_reason` (DATA_REASON_BYTES), cut where it is too long. */
void data_explain(char *ret_reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Makes the directory (mode 0700) when it is missing, takes DIR/lock, opens the store, makes the
 * secret once. `ret_reason` (DATA_REASON_BYTES) gets a sentence on failure. 0; -EWOULDBLOCK:
 * another process has the lock; other negative errnos. */
int data_open(struct env *env, const char *dir, struct data *ret_data, char *ret_reason);

/* Closes the store and gives the lock back; a zeroed struct is allowed. */
void data_close(struct data *data);

/* The number of partitions that the directory was made with; the first time `wanted`. Before the
 * store's writer runs. */
int data_partitions(struct data *data, uint32_t wanted, uint32_t *ret_partitions,
    char *ret_reason);

/* "DIR/NAME" into `ret_path` (DATA_PATH_BYTES). 0 or -ENAMETOOLONG. */
int data_path(const char *dir, const char *name, char *ret_path);

/* One unit of work in a transaction of its own, at once: before the writer runs. 0 or -errno. */
int data_run(struct store *store, struct store_unit *unit);

#endif

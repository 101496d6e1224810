/*
 * sim_priv.h: the parts of the simulated disk: contents of files (sim_data.c) and names
 * (sim_names.c). For sim.c only. One thread.
 */
#ifndef WEIR_SIM_PRIV_H
#define WEIR_SIM_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map.h"
#include "prng.h"
#include "span.h"

enum { SIM_SECTOR_BYTES = 512 };

/* What one file holds, as its reader sees it, and what of that is not on disk yet. */
struct sim_data {
	struct sim_chunk **chunks; /* NULL: all zero */
	size_t chunk_count;
	uint64_t len;
	uint64_t synced_len;	     /* on disk */
	uint64_t len_low, len_high;  /* bounds of every length since the last sync */
	struct sim_pending *pending; /* sectors that differ from the disk's, or may */
	size_t pending_count, pending_cap;
};

/* Zeroed memory is an empty file. */
void sim_data_finish(struct sim_data *d);

/* The bytes read: fewer than `len` only at the end. */
size_t sim_data_read(const struct sim_data *d, void *ret_bytes, size_t len, uint64_t offset);

/* 0, -ENOMEM, -EFBIG. */
int sim_data_write(struct sim_data *d, const void *bytes, size_t len, uint64_t offset);
int sim_data_truncate(struct sim_data *d, uint64_t len);

void sim_data_sync(struct sim_data *d);

/* Some sectors reach the disk; the others are taken for synced and are not. */
void sim_data_sync_failed(struct sim_data *d, struct prng *random);

/* The file becomes what a power cut leaves of it. */
void sim_data_cut(struct sim_data *d, struct prng *random);

/* In the reader's view and on disk. 0 or -EINVAL. */
int sim_data_flip(struct sim_data *d, uint64_t bit);

/* A file or a directory. */
struct sim_node {
	size_t refs; /* by names, pending changes and open files */
	bool directory;
	const void *lock; /* the open file that holds the lock */
	struct sim_data data;
	struct map entries; /* of struct sim_entry, by name */
	size_t changes;	    /* while sync_dir and cut work: of this directory */
	bool marked;
};

/* The tree as programs see it, and as it is on disk: every entry knows both. */
struct sim_names {
	struct sim_node *root;
	struct sim_change *changes; /* pending, in order */
	size_t count, cap;
};

int sim_names_init(struct sim_names *n); /* 0 or -ENOMEM */
void sim_names_finish(struct sim_names *n);

struct sim_node *sim_names_ref(struct sim_node *node);
void sim_names_unref(struct sim_node *node);

/* Paths are absolute, or relative to the root. -ENOENT, -ENOTDIR, -EINVAL ("..").
 * *ret_node is not referenced. */
int sim_names_find(struct sim_names *n, const char *path, struct sim_node **ret_node);

/* -EEXIST when the name is taken. */
int sim_names_create(
    struct sim_names *n, const char *path, bool directory, struct sim_node **ret_node);
int sim_names_unlink(struct sim_names *n, const char *path);
int sim_names_rename(struct sim_names *n, const char *from, const char *to);
int sim_names_sync_dir(struct sim_names *n, const char *path);
int sim_names_list(
    struct sim_names *n, const char *path, int (*each)(void *ctx, const char *name), void *ctx);

/* The sum of all files' lengths. */
uint64_t sim_names_used(const struct sim_names *n);

/* Names and files become what a power cut leaves of them. */
void sim_names_cut(struct sim_names *n, struct prng *random);

#endif

/*
 * sim.h: a simulated world for one thread: a disk in memory that forgets what was not synced, a
 * clock that the test moves, randomness from a seed, and faults on order.
 *
 * The disk: files are sectors of 512 bytes. A write is pending until env_sync of its file; a
 * created, renamed or unlinked name is pending until env_sync_dir of its directory (a directory
 * made by env_mkdir, too; the root is always there). At a power cut each pending sector is kept or
 * not (one that was written more than once may keep its first or its last version), a file whose
 * length changed without sync has any length that is not below the least nor above the greatest
 * since, its holes zero, and each pending name change of a directory is kept up to a random point
 * in its order, by the seed. Nothing else survives: open files are dead (-EIO) after.
 *
 * Paths begin at the root, with or without a slash; there are no ".." and no links.
 */
#ifndef WEIR_SIM_H
#define WEIR_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "env.h"

/* What a simulated file operation is, for faults. */
enum sim_op {
	SIM_READ, /* env_stat and env_list_dir, too */
	SIM_WRITE,
	SIM_SYNC,
	SIM_OPEN, /* env_mkdir, too */
	SIM_RENAME,
	SIM_UNLINK,
	SIM_SYNC_DIR,
	SIM_TRUNCATE,
	SIM_OP_COUNT
};

/* NULL when memory is out. Destroyed with env_destroy. The clock starts at 1700000000000 ms. */
struct env *sim_create(uint64_t seed);

/* Both clocks; a negative `ms` moves only the wall clock. */
void sim_advance_ms(struct env *env, int64_t ms);

/* The power goes: see above. All open files stay open for closing only. Faults stay as they are,
 * a crash that was ordered and did not come is called off. */
void sim_power_cut(struct env *env);

/* After `after` more operations of this kind succeed, the next one fails with `error` (a negative
 * errno) once, or for ever when `sticky`. A failed write has written a random prefix of its
 * sectors; a failed sync has synced a random subset and forgets that the rest was pending: programs
 * still read it, the disk does not have it, a later sync does not change that. */
void sim_fail(struct env *env, enum sim_op op, uint64_t after, int error, bool sticky);
void sim_heal(struct env *env); /* no more faults */

/* After `after` more operations of any kind every operation fails with -EIO until sim_power_cut:
 * a crash in the middle of whatever the code was doing. */
void sim_crash_after(struct env *env, uint64_t after);
uint64_t sim_op_count(const struct env *env); /* operations so far, of all kinds */

/* -ENOSPC when the lengths of all files come to more; what fits is written. 0: no limit. */
void sim_disk_limit(struct env *env, uint64_t bytes);

/* Flips one bit of what is on disk. 0 or -ENOENT, -EINVAL when the offset is outside. */
int sim_flip_bit(struct env *env, const char *path, uint64_t bit);

/* The seed's own random numbers, for the test that drives it. */
uint64_t sim_random(struct env *env);
uint64_t sim_random_below(struct env *env, uint64_t bound); /* 0 <= result < bound; bound > 0 */

#endif

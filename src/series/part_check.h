/*
 * part_check.h: a part file looked at from outside, without its row in weir.db.
 */
#ifndef WEIR_PART_CHECK_H
#define WEIR_PART_CHECK_H

#include "part.h"

/* What header and footer of DIR/ID.part say; *ret_info is then good for part_open (`rolled` is not
 * in the file: 0). 0, -ENOENT, -EBADMSG and -EPROTO with *ret_reason, -ENOMEM, -EIO. */
int part_peek(struct env *env, const char *dir, uint64_t id, struct store_part *ret_info,
    const char **ret_reason);

/* Reads every index block and the checksum of every chunk. Calls each() with the hash of every
 * key, ascending by key, and report() with every damage. 0, what each() returned, -ENOMEM, -EIO. */
int part_check(struct part *part, int (*each)(void *ctx, uint64_t key_hash),
    series_damage_fn *report, void *ctx);

#endif

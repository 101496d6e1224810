/*
 * raw_keys.h: what a record is about, as keys for the index of sealed segments: its devices; and
 * messages of durable channels have one key, all the same.
 *
 * A key is a hash of tenant and device; it is on disk, so it never changes. A record has the keys
 * of all devices whose messages raw_write would give out, and perhaps a few more.
 */
#ifndef WEIR_RAW_KEYS_H
#define WEIR_RAW_KEYS_H

#include "journal.h"
#include "span.h"

struct flow_scope;

/* The one key of every message of durable channels. */
#define RAW_KEY_MESSAGES UINT64_C(0x6d657373)

/* The key of a device. */
uint64_t raw_key(struct span tenant, struct span device);

/* The keys of a record; for struct journal_seal_options (ctx is not used). 0 or -ENOMEM. */
int raw_keys(void *ctx, const struct journal_record *record, struct journal_keys *keys);

/* The reader may leave out what raw_write would not give out of this tenant for `device` and
 * `scope`. Before the first record. 0 or -ENOMEM. */
int raw_want(struct journal_reader *reader, struct span tenant, struct span device,
    const struct flow_scope *scope);

/* The same for any of several devices. */
int raw_want_any(struct journal_reader *reader, struct span tenant, const struct span *devices,
    size_t count);

#endif
